// SPDX-License-Identifier: GPL-2.0
/* Readers of special bits that special_leaf.cocci must report: lines with "WARN". */
#include <linux/mm.h>

static struct page *bad_pmd_page(pmd_t pmd)
{
	if (pmd_special(pmd))		/* WARN: vm_normal_page_pmd() */
		return NULL;
	return pmd_page(pmd);
}

static bool bad_leaves(pmd_t pmd, pud_t pud)
{
	if (!pmd_present(pmd))
		return false;
	return pmd_special(pmd) ||	/* WARN: vm_normal_page_pmd() */
	       pud_special(pud);	/* WARN: vm_normal_page_pud() */
}

struct page *vm_normal_page_pmd(struct vm_area_struct *vma, unsigned long addr, pmd_t pmd)
{
	return pmd_special(pmd) ? NULL : pmd_page(pmd);
}
