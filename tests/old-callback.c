// SPDX-License-Identifier: GPL-2.0
/*
 * Callbacks of a walk that was not converted, if OLD is defined: the compiler
 * must refuse each line with "ERROR", and nothing else.
 */
#include <linux/mm.h>
#include <linux/pagewalk.h>

#ifdef OLD
#define SNAPSHOT(type)
#else
#define SNAPSHOT(type)	type entry,
#endif

#define CALLBACK(level)								\
static int level##_entry(level##_t *p, SNAPSHOT(level##_t) unsigned long addr,	\
			 unsigned long next, struct mm_walk *walk)		\
{										\
	return 0;								\
}

CALLBACK(pgd)
CALLBACK(p4d)
CALLBACK(pud)
CALLBACK(pmd)

static const struct mm_walk_ops ops = {
	.pgd_entry = pgd_entry,		/* ERROR */
	.p4d_entry = p4d_entry,		/* ERROR */
	.pud_entry = pud_entry,		/* ERROR */
	.pmd_entry = pmd_entry,		/* ERROR */
	.walk_lock = PGWALK_RDLOCK,
};

int old_callback(struct mm_struct *mm);
int old_callback(struct mm_struct *mm)
{
	return walk_page_range(mm, 0, PAGE_SIZE, &ops, NULL);
}
