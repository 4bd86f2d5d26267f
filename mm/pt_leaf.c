// SPDX-License-Identifier: GPL-2.0
/*
 * for_each_pt_leaf(): what is not done inline, that is, all that is needed once
 * for a table, and for leaves above the PTEs. See Documentation/mm/pt_leaf.rst.
 */
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/pt_leaf.h>
#include <linux/sched.h>

#include "internal.h"

static noinline void __pt_leaf_drop_ptl(struct pt_leaf_walk *walk)
{
	spin_unlock(walk->ptl);
	/* Not before: the lock can go away with the table. */
	if (walk->table)
		pte_unmap(walk->table);
	walk->leaf.table_end = 0;
	walk->table = NULL;
	walk->ptl = NULL;
}

static __always_inline void pt_leaf_drop_ptl(struct pt_leaf_walk *walk)
{
	if (walk->ptl)
		__pt_leaf_drop_ptl(walk);
}

/*
 * Between two entries: keep the lock, unless it is that of a table of PTEs,
 * which has come to its end, or someone waits, be it for the lock or the CPU.
 */
static __always_inline void pt_leaf_relax(struct pt_leaf_walk *walk)
{
	if (walk->ptl && !walk->table && !need_resched() &&
	    !spin_is_contended(walk->ptl))
		return;
	pt_leaf_drop_ptl(walk);
	cond_resched();
}

/* An entry for pages of @size is as large as one or more at this level. */
static enum pgtable_level pt_leaf_huge_level(unsigned long size)
{
	if (size < PMD_SIZE)
		return PGTABLE_LEVEL_PTE;
	if (PTRS_PER_PMD == 1 || size < PUD_SIZE)
		return PGTABLE_LEVEL_PMD;
	return PGTABLE_LEVEL_PUD;
}

static void pt_leaf_begin(struct pt_leaf_walk *walk, unsigned long addr)
{
	struct vm_area_struct *vma = walk->vma;

	might_sleep();
	VM_WARN_ON_ONCE(addr < vma->vm_start || walk->end > vma->vm_end);
	VM_WARN_ON_ONCE(!PAGE_ALIGNED(addr | walk->end));
	if (walk->flags & PT_LEAF_F_I_MMAP) {
		/* That also keeps tables of hugetlb from being unshared. */
		lockdep_assert_held(&vma->vm_file->f_mapping->i_mmap_rwsem);
	} else {
		vma_assert_stabilised(vma);
		vma_pgtable_walk_begin(vma);
	}
	walk->huge_size = 0;
	if (is_vm_hugetlb_page(vma)) {
		walk->huge_size = huge_page_size(hstate_vma(vma));
		walk->huge_level = pt_leaf_huge_level(walk->huge_size);
	}
	walk->begun = true;
}

/* Drop all locks that the walk has taken. It can go on, anywhere. */
void __pt_leaf_unlock(struct pt_leaf_walk *walk)
{
	pt_leaf_drop_ptl(walk);
	if (walk->begun && !(walk->flags & PT_LEAF_F_I_MMAP))
		vma_pgtable_walk_end(walk->vma);
	walk->begun = false;
	/* Not even the tables of PMDs need to be there when it goes on. */
	walk->pmd_end = 0;
}

/* @offset is where in the entry @addr is. */
static bool pt_leaf_found(struct pt_leaf_walk *walk, enum pt_leaf_type type,
			  enum pgtable_level level, unsigned long addr,
			  unsigned long end, unsigned long offset)
{
	walk->leaf.type = type;
	walk->leaf.level = level;
	walk->leaf.addr = addr;
	walk->leaf.end = end;
	walk->leaf.offset = offset >> PAGE_SHIFT;
	return true;
}

static bool pt_leaf_found_hole(struct pt_leaf_walk *walk,
			       enum pgtable_level level, unsigned long addr,
			       unsigned long end)
{
	/* Nothing is known of what was there before, or will be. */
	pt_leaf_drop_ptl(walk);
	walk->leaf.ptep = NULL;
	return pt_leaf_found(walk, PT_LEAF_HOLE, level, addr, end, 0);
}

#ifdef CONFIG_HUGETLB_PAGE
static bool pt_leaf_next_hugetlb(struct pt_leaf_walk *walk, unsigned long addr)
{
	struct vm_area_struct *vma = walk->vma;
	struct mm_struct *mm = vma->vm_mm;
	const unsigned long size = walk->huge_size;
	const enum pgtable_level level = walk->huge_level;
	unsigned long last;	/* byte that is mapped by the same */

	for (; addr < walk->end; addr = last + 1) {
		unsigned long first = addr & ~(size - 1);
		pte_t *ptep = NULL;
		pte_t pte;

		last = first + size - 1;
		/* What is locked has the entry before. */
		if (walk->ptl)
			ptep = hugetlb_next_in_table(walk->leaf.ptep, first, size);
		if (!ptep) {
			struct hstate *h = hstate_vma(vma);
			spinlock_t *ptl;	/* of the table that @ptep is in */

			ptep = hugetlb_walk(vma, first, size);
			if (!ptep) {
				last |= hugetlb_mask_last_page(h);
				last = min(last, walk->end - 1);
				pt_leaf_found_hole(walk, level, addr, last + 1);
				if (walk->flags & PT_LEAF_F_HOLES)
					return true;
				cond_resched();
				continue;
			}
			ptl = huge_pte_lockptr(h, mm, ptep);
			if (ptl != walk->ptl) {
				pt_leaf_drop_ptl(walk);
				spin_lock(ptl);
				walk->ptl = ptl;
			}
		}
		last = min(last, walk->end - 1);
		pte = huge_ptep_get(mm, first, ptep);
		walk->leaf.ptep = ptep;
		if (!huge_pte_none(pte)) {
			walk->leaf.pte = pte;
			return pt_leaf_found(walk, PT_LEAF_HUGETLB, level, addr,
					     last + 1, addr - first);
		}
		if (walk->flags & PT_LEAF_F_HOLES)
			return pt_leaf_found(walk, PT_LEAF_HOLE, level, addr,
					     last + 1, 0);
		pt_leaf_relax(walk);
	}
	return false;
}
#else
static bool pt_leaf_next_hugetlb(struct pt_leaf_walk *walk, unsigned long addr)
{
	return false;
}
#endif

/*
 * Go down to the PMD that maps @addr. If there is none, what is in its place
 * is found: a PUD leaf, or a hole.
 */
static bool pt_leaf_find_pmds(struct pt_leaf_walk *walk, unsigned long addr)
{
	struct mm_struct *mm = walk->vma->vm_mm;
	unsigned long end;
	pgd_t *pgdp;
	p4d_t *p4dp;
	pud_t *pudp;

	pt_leaf_drop_ptl(walk);
	walk->pmd_end = 0;
	/* There can be many that are empty. */
	cond_resched();

	/* At each level, as one that is folded does not know where it ends. */
	end = pgd_addr_end(addr, walk->end);
	pgdp = pgd_offset(mm, addr);
	if (pgd_none_or_clear_bad(pgdp))
		return pt_leaf_found_hole(walk, PGTABLE_LEVEL_PGD, addr, end);
	end = p4d_addr_end(addr, end);
	p4dp = p4d_offset(pgdp, addr);
	if (p4d_none_or_clear_bad(p4dp))
		return pt_leaf_found_hole(walk, PGTABLE_LEVEL_P4D, addr, end);
	end = pud_addr_end(addr, end);
	pudp = pud_offset(p4dp, addr);
	for (;;) {
		pud_t pud = pudp_get(pudp);

		if (pud_none(pud)) {
			return pt_leaf_found_hole(walk, PGTABLE_LEVEL_PUD, addr,
						  end);
		} else if (pud_present(pud) && !pud_leaf(pud)) {
			/* A table of PMDs is there to stay. */
			pt_leaf_drop_ptl(walk);
			walk->pmdp = pmd_offset(pudp, addr);
			walk->pmd_addr = addr;
			walk->pmd_end = end;
			return false;
		} else if (walk->ptl) {
			walk->leaf.pudp = pudp;
			walk->leaf.pud = pud;
			return pt_leaf_found(walk, PT_LEAF_PUD,
					     PGTABLE_LEVEL_PUD, addr, end,
					     addr & ~PUD_MASK);
		}
		/* Look again, with the lock. */
		walk->ptl = pud_lock(mm, pudp);
	}
}

/*
 * From the PMD at walk->pmdp, which maps walk->pmd_addr, to the end of its
 * table: the next one that is not empty, or the hole that comes first if holes
 * are asked for.
 */
static bool pt_leaf_find_pmd(struct pt_leaf_walk *walk)
{
	struct mm_struct *mm = walk->vma->vm_mm;

	while (walk->pmd_addr < walk->pmd_end) {
		unsigned long addr = walk->pmd_addr;
		unsigned long end = pmd_addr_end(addr, walk->pmd_end);
		pmd_t *pmdp = walk->pmdp;
		pmd_t pmd = pmdp_get_lockless(pmdp);

		if (!pmd_none(pmd) && (!pmd_present(pmd) || pmd_leaf(pmd))) {
			if (!walk->ptl) {
				/* Look again, with the lock. */
				walk->ptl = pmd_lock(mm, pmdp);
				continue;
			}
			walk->leaf.pmdp = pmdp;
			walk->leaf.pmd = pmd;
			pt_leaf_found(walk, PT_LEAF_PMD, PGTABLE_LEVEL_PMD,
				      addr, end, addr & ~PMD_MASK);
		} else if (!pmd_none(pmd)) {
			pt_leaf_drop_ptl(walk);
			walk->table = pte_offset_map_lock(mm, pmdp, addr,
							  &walk->ptl);
			if (!walk->table) {
				/* It has gone away. Look again. */
				continue;
			}
			walk->leaf.next = walk->table;
			walk->leaf.end = addr;
			walk->leaf.offset = 0;
			walk->leaf.table_end = end;
		} else {
			while (end < walk->pmd_end) {
				pmd = pmdp_get_lockless(pmdp + 1);
				if (!pmd_none(pmd))
					break;
				end = pmd_addr_end(end, walk->pmd_end);
				pmdp++;
			}
			if (!(walk->flags & PT_LEAF_F_HOLES)) {
				walk->pmdp = pmdp + 1;
				walk->pmd_addr = end;
				continue;
			}
			pt_leaf_found_hole(walk, PGTABLE_LEVEL_PMD, addr, end);
		}
		walk->pmdp = pmdp + 1;
		walk->pmd_addr = end;
		return true;
	}
	return false;
}

static bool pt_leaf_next_entry(struct pt_leaf_walk *walk, unsigned long addr)
{
	if (walk->huge_size)
		return pt_leaf_next_hugetlb(walk, addr);

	while (addr < walk->end) {
		/* The first time, after a pause, or at the end of a table */
		if (addr != walk->pmd_addr || addr >= walk->pmd_end) {
			if (pt_leaf_find_pmds(walk, addr)) {
				if (walk->leaf.type != PT_LEAF_HOLE ||
				    walk->flags & PT_LEAF_F_HOLES)
					return true;
				addr = walk->leaf.end;
				continue;
			}
		}
		if (pt_leaf_find_pmd(walk))
			return true;
		addr = walk->pmd_end;
	}
	return false;
}

/*
 * What maps @addr, or what follows. It is in walk->leaf, or its table_end is
 * set, and the PTEs from its next one on are to be looked at. Or there is
 * nothing left, and nothing is locked any more.
 */
bool __pt_leaf_next(struct pt_leaf_walk *walk, unsigned long addr)
{
	if (addr < walk->end) {
		if (!walk->begun)
			pt_leaf_begin(walk, addr);
		pt_leaf_relax(walk);
		if (pt_leaf_next_entry(walk, addr))
			return true;
	}
	__pt_leaf_unlock(walk);
	return false;
}

bool pt_leaf_seek(struct pt_leaf_walk *walk, struct pt_leaf *leaf,
		  struct vm_area_struct *vma, unsigned long addr,
		  pt_leaf_flags_t flags)
{
	/* What is not set here is not used before it is, only copied. */
	walk->vma = vma;
	walk->end = addr + PAGE_SIZE;
	walk->flags = flags;
	walk->begun = false;
	walk->table = NULL;
	walk->ptl = NULL;
	walk->pmd_addr = 0;
	walk->pmd_end = 0;
	walk->leaf.table_end = 0;
	leaf->walk = walk;
	leaf->flags = flags;
	leaf->end = addr;
	leaf->table_end = 0;
	if (__pt_leaf_step(walk, leaf))
		return true;

	leaf->addr = addr;
	leaf->end = addr + PAGE_SIZE;
	leaf->type = PT_LEAF_HOLE;
	leaf->level = PGTABLE_LEVEL_PTE;
	leaf->ptep = NULL;
	leaf->table_end = 0;
	return false;
}

unsigned int __pt_leaf_batch(struct folio *folio, pte_t *ptep, pte_t pte,
			     unsigned int max_nr, pt_leaf_ignore_t ignore)
{
	fpb_t flags = 0;

	if (!(ignore & PT_LEAF_IGNORE_YOUNG))
		flags |= FPB_RESPECT_YOUNG;
	if (!(ignore & PT_LEAF_IGNORE_DIRTY))
		flags |= FPB_RESPECT_DIRTY;
	if (!(ignore & PT_LEAF_IGNORE_SOFT_DIRTY))
		flags |= FPB_RESPECT_SOFT_DIRTY;
	if (!(ignore & PT_LEAF_IGNORE_WRITE))
		flags |= FPB_RESPECT_WRITE;
	return folio_pte_batch_flags(folio, NULL, ptep, &pte, max_nr, flags);
}
