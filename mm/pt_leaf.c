// SPDX-License-Identifier: GPL-2.0
/*
 * for_each_pt_leaf(): all that for_each_pt_leaf_inline() does not do inline, and
 * the rest of it once, out of line; and what looks at one address: pt_leaf_seek()
 * and folio_walk_start(). See Documentation/mm/pt_leaf.rst.
 */
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/pt_leaf.h>
#include <linux/sched.h>

#include "internal.h"

static __always_inline void pt_leaf_put_ptl(struct pt_leaf_walk *walk)
{
	spin_unlock(walk->ptl);
	/* Not before: the lock can go away with the table. */
	if (walk->table)
		pte_unmap(walk->table);
}

static noinline void pt_leaf_drop_ptl(struct pt_leaf_walk *walk)
{
	if (!walk->ptl)
		return;
	pt_leaf_put_ptl(walk);
	walk->leaf.table_end = 0;
	walk->table = NULL;
	walk->ptl = NULL;
}

/* Does someone wait for the lock? If that cannot be told, assume it. */
static __always_inline bool pt_leaf_contended(spinlock_t *ptl)
{
#if defined(arch_spin_is_contended) && !defined(CONFIG_PREEMPT_RT)
	return spin_is_contended(ptl);
#else
	return true;
#endif
}

/*
 * Between two entries: keep the lock, unless it is that of a table of PTEs,
 * which has come to its end, or someone waits, be it for the lock or the CPU.
 */
static __always_inline void pt_leaf_relax(struct pt_leaf_walk *walk)
{
	if (walk->ptl) {
		if (!walk->table && !need_resched() &&
		    !pt_leaf_contended(walk->ptl))
			return;
		pt_leaf_drop_ptl(walk);
	}
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

/* Drop all locks that the walk has taken. It can go on, anywhere. */
void __pt_leaf_unlock(struct pt_leaf_walk *walk)
{
	pt_leaf_drop_ptl(walk);
	if (walk->hugetlb_locked)
		hugetlb_vma_unlock_read(walk->vma);
	walk->hugetlb_locked = false;
	/* Not even the tables of PMDs need to be there when it goes on. */
	walk->pmd_end = 0;
}

/* What for_each_pt_leaf() wants of its caller, for what is at @addr */
static void pt_leaf_assert(struct pt_leaf_walk *walk, unsigned long addr)
{
	/* Otherwise vma_assert_stabilised() would look, and warn of nothing. */
	if (IS_ENABLED(CONFIG_PER_VMA_LOCK) && !IS_ENABLED(CONFIG_DEBUG_VM) &&
	    !IS_ENABLED(CONFIG_LOCKDEP))
		return;
	VM_WARN_ON_ONCE(addr < walk->vma->vm_start || !PAGE_ALIGNED(addr));
	if (walk->flags & PT_LEAF_F_I_MMAP)
		lockdep_assert_held(&walk->vma->vm_file->f_mapping->i_mmap_rwsem);
	else
		vma_assert_stabilised(walk->vma);
}

/* @offset is where in the entry @addr is. */
static bool pt_leaf_found(struct pt_leaf_walk *walk, enum pt_leaf_type type,
			  enum pgtable_level level, bool present,
			  unsigned long addr, unsigned long end,
			  unsigned long offset)
{
	walk->leaf.type = type;
	walk->leaf.level = level;
	walk->leaf.present = present;
	walk->leaf.addr = addr;
	walk->leaf.end = end;
	walk->leaf.offset = offset >> PAGE_SHIFT;
	return true;
}

static noinline bool pt_leaf_found_hole(struct pt_leaf_walk *walk,
					enum pgtable_level level,
					unsigned long addr, unsigned long end)
{
	/* Nothing is known of what was there before, or will be. */
	pt_leaf_drop_ptl(walk);
	walk->leaf.ptep = NULL;
	walk->leaf.pte = __pte(0);
	return pt_leaf_found(walk, PT_LEAF_HOLE, level, false, addr, end, 0);
}

#ifdef CONFIG_HUGETLB_PAGE
/*
 * The entry that maps @first, if it follows the last one in the table that is
 * locked, or NULL if hugetlb_walk() has to say what it is.
 */
static pte_t *pt_leaf_next_huge(struct pt_leaf_walk *walk, unsigned long first)
{
	if (!walk->ptl || !IS_ENABLED(CONFIG_ARCH_WANT_GENERAL_HUGETLB))
		return NULL;
	if (walk->huge_size == PMD_SIZE && (first & ~PUD_MASK))
		return (pte_t *)(walk->leaf.pmdp + 1);
	if (walk->huge_size == PUD_SIZE && (first & ~P4D_MASK))
		return (pte_t *)(walk->leaf.pudp + 1);
	return NULL;
}

static void pt_leaf_lock_hugetlb(struct pt_leaf_walk *walk, unsigned long addr)
{
	pt_leaf_assert(walk, addr);
	/* The i_mmap_rwsem keeps tables of hugetlb from being unshared, too. */
	if (!(walk->flags & PT_LEAF_F_I_MMAP)) {
		hugetlb_vma_lock_read(walk->vma);
		walk->hugetlb_locked = true;
	}
}

/*
 * The entry that maps @addr, from @first on, with its lock, or NULL if there is
 * no table. Then a hole is found, as long as what the table would map.
 */
static pte_t *pt_leaf_find_huge(struct pt_leaf_walk *walk, unsigned long first,
				unsigned long addr)
{
	unsigned long last;
	spinlock_t *ptl;
	pte_t *ptep;

	/* The first time, after a pause, and always with PT_LEAF_F_I_MMAP */
	if (!walk->hugetlb_locked)
		pt_leaf_lock_hugetlb(walk, addr);
	ptep = hugetlb_walk(walk->vma, first, walk->huge_size);
	if (!ptep) {
		last = (first + walk->huge_size - 1) |
		       hugetlb_mask_last_page(walk->hstate);
		last = min(last, walk->end - 1);
		pt_leaf_found_hole(walk, walk->huge_level, addr, last + 1);
		return NULL;
	}
	ptl = huge_pte_lockptr(walk->hstate, walk->vma->vm_mm, ptep);
	if (ptl != walk->ptl) {
		if (walk->ptl)
			pt_leaf_drop_ptl(walk);
		/* In this order, as then @ptl need not survive the call. */
		walk->ptl = ptl;
		spin_lock(ptl);
	}
	return ptep;
}

static noinline bool pt_leaf_next_hugetlb(struct pt_leaf_walk *walk,
					  unsigned long addr)
{
	do {
		unsigned long first = addr & ~(walk->huge_size - 1);
		enum pt_leaf_type type = PT_LEAF_HUGETLB;
		unsigned long end;
		pte_t *ptep, pte;

		pt_leaf_relax(walk);
		ptep = pt_leaf_next_huge(walk, first);
		if (!ptep)
			ptep = pt_leaf_find_huge(walk, first, addr);
		if (!ptep) {
			if (walk->flags & PT_LEAF_F_HOLES)
				return true;
			addr = walk->leaf.end;
			continue;
		}
		end = min(first + walk->huge_size, walk->end);
		pte = huge_ptep_get(walk->vma->vm_mm, first, ptep);
		walk->leaf.ptep = ptep;
		walk->leaf.pte = pte;
		if (huge_pte_none(pte)) {
			if (!(walk->flags & PT_LEAF_F_HOLES)) {
				addr = end;
				continue;
			}
			type = PT_LEAF_HOLE;
			first = addr;
		}
		return pt_leaf_found(walk, type, walk->huge_level,
				     pte_present(pte), addr, end, addr - first);
	} while (addr < walk->end);
	__pt_leaf_unlock(walk);
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

	pt_leaf_assert(walk, addr);
	if (walk->ptl)
		pt_leaf_drop_ptl(walk);
	walk->pmd_end = 0;

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
			if (walk->ptl)
				pt_leaf_drop_ptl(walk);
			walk->pmdp = pmd_offset(pudp, addr);
			walk->pmd_addr = addr;
			walk->pmd_end = end;
			return false;
		} else if (walk->ptl) {
			walk->leaf.pudp = pudp;
			walk->leaf.pud = pud;
			return pt_leaf_found(walk, PT_LEAF_PUD,
					     PGTABLE_LEVEL_PUD, pud_present(pud),
					     addr, end, addr & ~PUD_MASK);
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
	while (walk->pmd_addr < walk->pmd_end) {
		unsigned long addr = walk->pmd_addr;
		unsigned long end = pmd_addr_end(addr, walk->pmd_end);
		pmd_t *pmdp = walk->pmdp;
		pmd_t pmd = pmdp_get_lockless(pmdp);

		if (!pmd_none(pmd) && (!pmd_present(pmd) || pmd_leaf(pmd))) {
			if (!walk->ptl) {
				/* Look again, with the lock. */
				walk->ptl = pmd_lock(walk->vma->vm_mm, pmdp);
				continue;
			}
			walk->leaf.pmdp = pmdp;
			walk->leaf.pmd = pmd;
			pt_leaf_found(walk, PT_LEAF_PMD, PGTABLE_LEVEL_PMD,
				      pmd_present(pmd), addr, end,
				      addr & ~PMD_MASK);
		} else if (!pmd_none(pmd)) {
			if (walk->ptl)
				pt_leaf_drop_ptl(walk);
			walk->table = pte_offset_map_lock(walk->vma->vm_mm, pmdp,
							  addr, &walk->ptl);
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

static noinline bool pt_leaf_next_entry(struct pt_leaf_walk *walk,
					unsigned long addr)
{
	do {
		/* Each time, as there can be many that are empty. */
		pt_leaf_relax(walk);
		/* The first time, after a pause, or at the end of a table */
		if (addr >= walk->pmd_end || addr != walk->pmd_addr) {
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
	} while (addr < walk->end);
	__pt_leaf_unlock(walk);
	return false;
}

/*
 * A loop has seen its last entry. pt_leaf_seek() does not get here: nobody looks
 * at the walk again, so nothing in it is reset.
 */
static noinline bool pt_leaf_done(struct pt_leaf_walk *walk)
{
	if (walk->ptl)
		pt_leaf_put_ptl(walk);
	if (walk->hugetlb_locked)
		hugetlb_vma_unlock_read(walk->vma);
	return false;
}

/*
 * What maps @addr, or what follows. It is in walk->leaf, or its table_end is
 * set, and the PTEs from its next one on are to be looked at. Or there is
 * nothing left, and nothing is locked any more.
 */
bool __pt_leaf_next(struct pt_leaf_walk *walk, unsigned long addr)
{
	/* Each of these is called last, so that no stack is needed here. */
	if (addr >= walk->end)
		return pt_leaf_done(walk);
	if (walk->hstate)
		return pt_leaf_next_hugetlb(walk, addr);
	return pt_leaf_next_entry(walk, addr);
}

/* As this is done for each loop, it sets only what is used before it is set. */
struct pt_leaf_walk *__pt_leaf_begin(struct pt_leaf_walk *walk,
				     struct vm_area_struct *vma,
				     unsigned long end, pt_leaf_flags_t flags)
{
	VM_WARN_ON_ONCE(end > vma->vm_end || !PAGE_ALIGNED(end));
	walk->vma = vma;
	walk->end = end;
	walk->flags = flags;
	walk->hugetlb_locked = false;
	walk->hstate = NULL;
	walk->table = NULL;
	walk->ptl = NULL;
	walk->pmd_end = 0;
	walk->leaf.table_end = 0;
	if (is_vm_hugetlb_page(vma)) {
		walk->hstate = hstate_vma(vma);
		walk->huge_size = huge_page_size(walk->hstate);
		walk->huge_level = pt_leaf_huge_level(walk->huge_size);
	}
	return walk;
}

bool __pt_leaf_step(struct pt_leaf_walk *walk, struct pt_leaf *leaf)
{
	return __pt_leaf_step_inline(walk, leaf);
}

struct pt_leaf *pt_leaf_seek(struct pt_leaf_walk *walk,
			     struct vm_area_struct *vma, unsigned long addr,
			     pt_leaf_flags_t flags)
{
	struct pt_leaf *leaf = &walk->leaf;

	VM_WARN_ON_ONCE(flags & PT_LEAF_F_HOLES);
	__pt_leaf_begin(walk, vma, addr + PAGE_SIZE, flags);
	if (!__pt_leaf_next(walk, addr))
		return NULL;
	leaf->walk = walk;
	if (leaf->table_end) {
		__pt_leaf_next_pte(leaf);
		if (!leaf->present && pte_none(leaf->pte)) {
			__pt_leaf_unlock(walk);
			return NULL;
		}
	}
	return leaf;
}

softleaf_t __pt_leaf_softleaf(enum pt_leaf_type type, pte_t pte, pmd_t pmd)
{
	switch (type) {
	case PT_LEAF_PTE:
	case PT_LEAF_HUGETLB:
		return softleaf_from_pte(pte);
	case PT_LEAF_PMD:
		return softleaf_from_pmd(pmd);
	case PT_LEAF_PUD:	/* There are none. */
	case PT_LEAF_HOLE:
		break;
	}
	return softleaf_mk_none();
}

#ifdef CONFIG_PGTABLE_HAS_HUGE_LEAVES
/* The page that a PMD or PUD leaf maps at its beginning. It is present. */
struct page *__pt_leaf_huge_page(const struct pt_leaf_walk *walk)
{
	const struct pt_leaf *leaf = &walk->leaf;
	struct page *page;

	if (leaf->type == PT_LEAF_PMD)
		page = vm_normal_page_pmd(walk->vma, leaf->addr & PMD_MASK, leaf->pmd);
	else
		page = vm_normal_page_pud(walk->vma, leaf->addr & PUD_MASK, leaf->pud);
	return page ? page + leaf->offset : NULL;
}
#else
struct page *__pt_leaf_huge_page(const struct pt_leaf_walk *walk)
{
	return NULL;
}
#endif

unsigned long __pt_leaf_huge_pfn(const struct pt_leaf_walk *walk)
{
	const struct pt_leaf *leaf = &walk->leaf;

	if (leaf->type == PT_LEAF_PMD)
		return pmd_pfn(leaf->pmd) + leaf->offset;
	if (leaf->type == PT_LEAF_PUD)
		return pud_pfn(leaf->pud) + leaf->offset;
	return pte_pfn(leaf->pte) + leaf->offset;
}

#define PT_LEAF_SAME_BIT(name)						\
	static_assert((__force unsigned int)PT_LEAF_IGNORE_##name ==	\
		      (__force unsigned int)FPB_RESPECT_##name)
PT_LEAF_SAME_BIT(DIRTY);
PT_LEAF_SAME_BIT(SOFT_DIRTY);
PT_LEAF_SAME_BIT(WRITE);
PT_LEAF_SAME_BIT(YOUNG);

unsigned int __pt_leaf_batch(struct folio *folio, pte_t *ptep, pte_t pte,
			     unsigned int max_nr, pt_leaf_ignore_t ignore)
{
	const fpb_t flags = (FPB_RESPECT_DIRTY | FPB_RESPECT_SOFT_DIRTY |
			     FPB_RESPECT_WRITE | FPB_RESPECT_YOUNG) &
			    ~(__force fpb_t)ignore;

	return folio_pte_batch_flags(folio, NULL, ptep, &pte, max_nr, flags);
}

/**
 * folio_walk_start - walk the page tables to a folio
 * @fw: filled with information on success.
 * @vma: the VMA.
 * @addr: the virtual address to use for the page table walk.
 * @flags: flags modifying which folios to walk to.
 *
 * Walk the page tables using @addr in a given @vma to a mapped folio and
 * return the folio, making sure that the page table entry referenced by
 * @addr cannot change until folio_walk_end() was called.
 *
 * As default, this function returns only folios that are not special (e.g., not
 * the zeropage) and never returns folios that are supposed to be ignored by the
 * VM as documented by vm_normal_page(). If requested, zeropages will be
 * returned as well.
 *
 * If this function returns NULL it might either indicate "there is nothing" or
 * "there is nothing suitable".
 *
 * On success, @fw is filled and the function returns the folio while the PTL
 * is still held and folio_walk_end() must be called to clean up,
 * releasing any held locks. The returned folio must *not* be used after the
 * call to folio_walk_end(), unless a short-term folio reference is taken before
 * that call.
 *
 * @fw->page will correspond to the page that is effectively referenced by
 * @addr. However, for shared zeropages @fw->page is set to NULL. Note that
 * large folios might be mapped by multiple page table entries, and this
 * function will always only lookup a single entry as specified by @addr, which
 * might or might not cover more than a single page of the returned folio.
 *
 * This function must *not* be used as a naive replacement for
 * get_user_pages() / pin_user_pages(), especially not to perform DMA or
 * to carelessly modify page content. This function may *only* be used to grab
 * short-term folio references, never to grab long-term folio references.
 *
 * Using the page table entry pointers in @fw->leaf for reading or modifying
 * the entry should be avoided where possible: however, there might be valid
 * use cases.
 *
 * WARNING: Modifying page table entries in hugetlb VMAs requires a lot of care.
 * For example, PMD page table sharing might require prior unsharing. Also,
 * logical hugetlb entries might span multiple physical page table entries,
 * which *must* be modified in a single operation (set_huge_pte_at(),
 * huge_ptep_set_*, ...). The leaf is %PT_LEAF_HUGETLB then, its pointer that to
 * the first of them, and its value what huge_ptep_get() returns.
 *
 * Context: The mmap lock must be held, for reading or writing, until
 * folio_walk_end() was called. Might sleep.
 *
 * Return: folio pointer on success, otherwise NULL.
 */
struct folio *folio_walk_start(struct folio_walk *fw,
			       struct vm_area_struct *vma, unsigned long addr,
			       folio_walk_flags_t flags)
{
	struct pt_leaf *leaf;
	struct page *page;

	mmap_assert_locked(vma->vm_mm);

	if (WARN_ON_ONCE(addr < vma->vm_start || addr >= vma->vm_end))
		return NULL;

	leaf = pt_leaf_seek(&fw->walk, vma, addr & PAGE_MASK, 0);
	if (!leaf)
		return NULL;
	page = pt_leaf_page(leaf);
	fw->page = page;
	fw->leaf = leaf;
	if (page)
		return page_folio(page);

	if (leaf->present && (flags & FW_ZEROPAGE)) {
		unsigned long pfn = pt_leaf_pfn(leaf);

		if ((leaf->type == PT_LEAF_PTE && is_zero_pfn(pfn)) ||
		    (leaf->type == PT_LEAF_PMD && is_huge_zero_pfn(pfn)))
			return page_folio(pfn_to_page(pfn));
	}
	folio_walk_end(fw);
	return NULL;
}
