// SPDX-License-Identifier: GPL-2.0
/* Callbacks that pagewalk.cocci must report: each line with "WARN". */
#include <linux/pagewalk.h>

static int bad_pud_entry(pud_t *pudp, pud_t pud, unsigned long addr,
			 unsigned long next, struct mm_walk *walk)
{
	if (pud_leaf(pud))
		return 1;	/* WARN: PAGE_WALK_SKIP */
	return 0;
}

static int bad_pmd_entry(pmd_t *pmdp, pmd_t pmd, unsigned long addr,
			 unsigned long next, struct mm_walk *walk)
{
	spinlock_t *ptl;
	pte_t *pte;

	pte = pte_offset_map_lock(walk->mm, pmdp, addr, &ptl);
	if (!pte)
		return 0;	/* WARN: PAGE_WALK_AGAIN */
	pte_unmap_unlock(pte, ptl);
	return 0;
}

static int bad_pmd_entry_2(pmd_t *pmdp, pmd_t pmd, unsigned long addr,
			   unsigned long next, struct mm_walk *walk)
{
	spinlock_t *ptl;
	pte_t *start_pte, *pte;

	if (pmd_leaf(pmd)) {
		walk->action = ACTION_CONTINUE;	/* WARN: walk->action */
		return PAGE_WALK_SKIP;
	}
	start_pte = pte = pte_offset_map_lock(walk->mm, pmdp, addr, &ptl);
	if (!pte) {
		cond_resched();
		return 0;	/* WARN: PAGE_WALK_AGAIN */
	}
	pte_unmap_unlock(start_pte, ptl);
	return 2;		/* WARN: PAGE_WALK_SKIP */
}

static int bad_pte_entry(pte_t *pte, unsigned long addr, unsigned long next,
			 struct mm_walk *walk)
{
	return 1;		/* WARN: only 0 and negative */
}

static int bad_hole(unsigned long addr, unsigned long next, int depth,
		    struct mm_walk *walk)
{
	return PAGE_WALK_AGAIN;	/* WARN: only 0 and negative */
}

static const struct mm_walk_ops bad_ops = {
	.pud_entry = bad_pud_entry,
	.pmd_entry = bad_pmd_entry,
	.pte_entry = bad_pte_entry,
	.pte_hole = bad_hole,
};

static const struct mm_walk_ops bad_ops_2 = {
	.pmd_entry = bad_pmd_entry_2,
	.walk_lock = PGWALK_RDLOCK,
};
