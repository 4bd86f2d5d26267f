/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_PT_LEAF_H
#define _LINUX_PT_LEAF_H

#include <linux/leafops.h>
#include <linux/mm.h>
#include <linux/pgtable.h>

/**
 * enum pt_leaf_type - what a &struct pt_leaf is, as the page table has it
 * @PT_LEAF_HOLE:	nothing: one or more empty entries of one table
 * @PT_LEAF_PTE:	an entry in a table of PTEs, or a batch of them
 * @PT_LEAF_PMD:	a PMD that is no table
 * @PT_LEAF_PUD:	a PUD that is no table
 * @PT_LEAF_HUGETLB:	an entry for a page of hugetlb, at any level
 */
enum pt_leaf_type {
	PT_LEAF_HOLE,
	PT_LEAF_PTE,
	PT_LEAF_PMD,
	PT_LEAF_PUD,
	PT_LEAF_HUGETLB,
};

/* Flags of for_each_pt_leaf() */
typedef unsigned int __bitwise pt_leaf_flags_t;

/* Stop at holes, too. */
#define PT_LEAF_F_HOLES			((__force pt_leaf_flags_t)BIT(0))
/* The caller holds the i_mmap_rwsem, and maybe no other lock. */
#define PT_LEAF_F_I_MMAP		((__force pt_leaf_flags_t)BIT(1))

/*
 * What may differ from PTE to PTE in a batch, see pt_leaf_batch(). The value of
 * the leaf stays that of the first.
 */
typedef unsigned int __bitwise pt_leaf_ignore_t;

/* Each is the bit that FPB_RESPECT_* is, see __pt_leaf_batch(). */
#define PT_LEAF_IGNORE_DIRTY		((__force pt_leaf_ignore_t)BIT(0))
#define PT_LEAF_IGNORE_SOFT_DIRTY	((__force pt_leaf_ignore_t)BIT(1))
#define PT_LEAF_IGNORE_WRITE		((__force pt_leaf_ignore_t)BIT(2))
#define PT_LEAF_IGNORE_YOUNG		((__force pt_leaf_ignore_t)BIT(5))

struct pt_leaf_walk;

/**
 * struct pt_leaf - a leaf of a page table, or a hole in it
 * @addr:	where it begins, or where the loop did or went on if that is later
 * @end:	where it ends, or where the loop does if that is sooner
 * @type:	what it is, which says what is valid below
 * @level:	the level of the table that the entry is in. For hugetlb it is
 *		the highest level whose entries map no more than the page does;
 *		where the entry really is depends on the architecture.
 * @present:	is it present? Not if it is a hole.
 * @offset:	how many of the pages that the entry maps are before @addr;
 *		not valid for a hole
 * @ptep:	where it was read, for %PT_LEAF_PTE, %PT_LEAF_HUGETLB; if it is
 *		a hole in a table of PTEs or an empty entry of hugetlb, the
 *		(first) empty entry; for all other holes, NULL. (There are
 *		architectures that say of an empty entry of hugetlb that it is
 *		not there.)
 * @pmdp:	the same for %PT_LEAF_PMD
 * @pudp:	the same for %PT_LEAF_PUD
 * @pte:	the value. For %PT_LEAF_HUGETLB it is what huge_ptep_get()
 *		returns at any level: pte_present(), softleaf_from_pte(), ...
 *		are for it.
 * @pmd:	the value, for %PT_LEAF_PMD
 * @pud:	the value, for %PT_LEAF_PUD
 */
struct pt_leaf {
	unsigned long addr;
	unsigned long end;
	enum pt_leaf_type type;
	enum pgtable_level level;
	bool present;
	/* private: that of @walk, which the compiler can see to be constant */
	pt_leaf_flags_t flags;
	/* public: */
	unsigned long offset;
	union {
		pte_t *ptep;
		pmd_t *pmdp;
		pud_t *pudp;
	};
	union {
		pte_t pte;
		pmd_t pmd;
		pud_t pud;
	};
	/* private: where its table of PTEs ends; 0 if it is in none, or paused */
	unsigned long table_end;
	/* The PTE that maps @end, if that is in the same table */
	pte_t *next;
	struct pt_leaf_walk *walk;
};

/* private: what for_each_pt_leaf() hides */
struct pt_leaf_walk {
	struct vm_area_struct *vma;
	unsigned long end;
	pt_leaf_flags_t flags;
	/* Is the hugetlb VMA lock held? Never with PT_LEAF_F_I_MMAP. */
	bool hugetlb_locked;
	/* For hugetlb, otherwise NULL; then the size and level of its entries */
	struct hstate *hstate;
	unsigned long huge_size;
	enum pgtable_level huge_level;
	/* The table of PTEs that is mapped */
	pte_t *table;
	/* Held for @table, or for the table that @leaf is in */
	spinlock_t *ptl;
	/*
	 * The PMD that maps @pmd_addr, and others follow up to @pmd_end; as long
	 * as that is 0 the others are not set
	 */
	pmd_t *pmdp;
	unsigned long pmd_addr;
	unsigned long pmd_end;
	/*
	 * What is not in a table of PTEs goes this way, and has to stay for
	 * __pt_leaf_huge_page(), as does where a table of PTEs begins.
	 */
	struct pt_leaf leaf;
};

struct pt_leaf_walk *__pt_leaf_begin(struct pt_leaf_walk *walk,
				     struct vm_area_struct *vma,
				     unsigned long end, pt_leaf_flags_t flags);
bool __pt_leaf_step(struct pt_leaf_walk *walk, struct pt_leaf *leaf);
bool __pt_leaf_next(struct pt_leaf_walk *walk, unsigned long addr);
void __pt_leaf_unlock(struct pt_leaf_walk *walk);
softleaf_t __pt_leaf_softleaf(enum pt_leaf_type type, pte_t pte, pmd_t pmd);
struct page *__pt_leaf_huge_page(const struct pt_leaf_walk *walk);
unsigned long __pt_leaf_huge_pfn(const struct pt_leaf_walk *walk);
unsigned int __pt_leaf_batch(struct folio *folio, pte_t *ptep, pte_t pte,
			     unsigned int max_nr, pt_leaf_ignore_t ignore);

static __always_inline void __pt_leaf_next_pte(struct pt_leaf *leaf)
{
	leaf->pte = ptep_get(leaf->next);
	leaf->end += PAGE_SIZE;
	leaf->next++;
	leaf->addr = leaf->end - PAGE_SIZE;
	leaf->ptep = leaf->next - 1;
	leaf->type = PT_LEAF_PTE;
	leaf->level = PGTABLE_LEVEL_PTE;
	leaf->present = pte_present(leaf->pte);
}

/* Within a table of PTEs, all is done here. If inline, it is in registers. */
static __always_inline bool __pt_leaf_step_inline(struct pt_leaf_walk *walk,
						  struct pt_leaf *leaf)
{
	const pt_leaf_flags_t flags = leaf->flags;

	for (;;) {
		while (leaf->end < leaf->table_end) {
			__pt_leaf_next_pte(leaf);
			/* Present is never none, and what most bodies ask, too. */
			if (likely(leaf->present) || !pte_none(leaf->pte))
				return true;

			while (leaf->end < leaf->table_end &&
			       pte_none(ptep_get(leaf->next))) {
				leaf->end += PAGE_SIZE;
				leaf->next++;
			}
			leaf->type = PT_LEAF_HOLE;
			if (flags & PT_LEAF_F_HOLES)
				return true;
		}

		if (!__pt_leaf_next(walk, leaf->end))
			return false;
		*leaf = walk->leaf;
		leaf->walk = walk;
		leaf->flags = flags;
		/* Either one that is not in a table of PTEs, or such a table */
		if (!leaf->table_end)
			return true;
	}
}

/**
 * pt_leaf_walk_end - drop all locks that pt_leaf_seek() has taken
 * @walk:	what it was given
 *
 * Nothing is done if pt_leaf_seek() has returned NULL, or after
 * pt_leaf_pause().
 */
static __always_inline void pt_leaf_walk_end(struct pt_leaf_walk *walk)
{
	__pt_leaf_unlock(walk);
}

/* private: */
static __always_inline void __pt_leaf_leave(struct pt_leaf_walk **walk)
{
	if (*walk)
		__pt_leaf_unlock(*walk);
}

/**
 * for_each_pt_leaf - look at all that is mapped in a range of a VMA
 * @leaf:	name of the &struct pt_leaf, which is declared here
 * @_vma:	the VMA
 * @_start:	where to begin, within the VMA, page aligned
 * @_end:	where to end, within the VMA, page aligned
 * @_flags:	0, or %PT_LEAF_F_HOLES, %PT_LEAF_F_I_MMAP, or both; evaluated
 *		twice
 *
 * The body of the loop is executed for each entry of the page tables that maps
 * something in [@_start, @_end), be it present or not, in the order of their
 * addresses: for leaves of all levels, as they are, hugetlb included. Nothing
 * is split, nothing is allocated. With %PT_LEAF_F_HOLES it is executed for the
 * holes, too, and then @leaf.addr is where the one before had its @leaf.end,
 * up to @_end: no address is passed over, none is seen twice, whatever happens
 * to the page tables meanwhile. What changes while the loop has not got there
 * is seen as it was or as it is.
 *
 * Adjacent empty entries of one table of PTEs, or of PMDs, are one hole. Above
 * that, and for hugetlb, each empty entry is one; where hugetlb has no table,
 * at most what the table would map is one. So two holes can be adjacent.
 *
 * Locks that the caller holds from before the loop until it is left, one of:
 *
 * * the mmap_lock, for reading or writing,
 * * the lock of @_vma, for reading or writing,
 * * with %PT_LEAF_F_I_MMAP, the i_mmap_rwsem of the file that is mapped, for
 *   reading or writing. Then only that of @_vma may be relied on which never
 *   changes, as in walk_page_mapping().
 *
 * The loop must be entered where it is allowed to sleep.
 *
 * Locks that the loop adds: the hugetlb VMA lock, for reading, from the first
 * round to the last, if @_vma is of hugetlb (but not with %PT_LEAF_F_I_MMAP, as
 * that keeps tables from being unshared, too). In the body, the page table lock
 * of the table that the entry is in: the entry cannot change, except for what
 * the hardware, or who acts for it, sets, and a page that it maps cannot go
 * away. A table of PTEs is mapped, that is, in an RCU read-side critical
 * section. So the body must not sleep, nor take another page table lock, unless
 * it calls pt_leaf_pause().
 * There is no page table lock if @leaf is a hole and @leaf.ptep is NULL.
 *
 * In a table of PTEs the lock is kept from its first entry to its last. For
 * PMDs and hugetlb it is kept, too, but dropped between two of them if someone
 * waits for it, or may do so because spin_is_contended() cannot tell, or if this
 * task has to be rescheduled. For a PUD it is taken each time. Between two
 * tables the task is rescheduled if it has to be.
 *
 * The body may modify @leaf only with the functions below. They are for @leaf
 * itself, in the round that it is from, and not for copies. break, goto and
 * return leave the loop, and drop what it has locked, as a cleanup does: return
 * first evaluates what it returns, and what was declared with __free() or
 * guard() before the loop is cleaned up after it. What the caller has locked
 * must therefore not be unlocked by hand in the body, unless that has called
 * pt_leaf_pause(). Page and folio of a leaf may be used after the loop only
 * with a reference.
 *
 * Loops must not be nested. With kmap_local_*() the body has to undo what it
 * maps before it ends, pauses or leaves, since a table of PTEs can be mapped
 * like that.
 */
#define for_each_pt_leaf(leaf, _vma, _start, _end, _flags)		\
	__for_each_pt_leaf(leaf, _vma, _start, _end, _flags, __pt_leaf_step)

/**
 * for_each_pt_leaf_inline - for_each_pt_leaf() for a body that takes less
 * @leaf:	as there
 * @_vma:	as there
 * @_start:	as there
 * @_end:	as there
 * @_flags:	as there
 *
 * The same, but from one PTE to the next there is no call, which makes the code
 * some 200 bytes longer. @leaf is not meant to be passed by pointer to what is
 * not inline: as long as no one has its address it is kept in registers.
 */
#define for_each_pt_leaf_inline(leaf, _vma, _start, _end, _flags)	\
	__for_each_pt_leaf(leaf, _vma, _start, _end, _flags, __pt_leaf_step_inline)

/* Leaving the loop of the body ends this one, which drops what is locked. */
#define __for_each_pt_leaf(leaf, _vma, _start, _end, _flags, _step)	\
	for (struct pt_leaf_walk __pt_walk __uninitialized,		\
			*__pt_locked __cleanup(__pt_leaf_leave) =	\
			__pt_leaf_begin(&__pt_walk, _vma, _end, _flags),	\
			*__pt_once = &__pt_walk;			\
	     __pt_once; __pt_once = NULL)				\
		__for_each_pt_leaf_in(leaf, _start, _flags, _step)

/* At its own end nothing is locked any more. */
#define __for_each_pt_leaf_in(leaf, _start, _flags, _step)		\
	for (struct pt_leaf leaf = {					\
			.walk = &__pt_walk, .end = (_start), .flags = (_flags) }; \
	     _step(&__pt_walk, &leaf) || (__pt_locked = NULL);)

/**
 * pt_leaf_seek - look at what is mapped at one address
 * @walk:	what the leaf is kept in, to be passed to pt_leaf_walk_end()
 * @vma:	the VMA
 * @addr:	an address in it, page aligned
 * @flags:	0 or %PT_LEAF_F_I_MMAP
 *
 * The same as one round of for_each_pt_leaf(), from @addr to the next page: the
 * caller has to hold the same locks, and to be able to sleep. If there is
 * something, what the loop would hold in its body is held until
 * pt_leaf_walk_end() is called. If not, nothing is held: pt_leaf_walk_end() may
 * be called then, but need not.
 *
 * Return: the leaf, which is valid as long as @walk is, or NULL if there is
 * nothing at @addr. Never a hole.
 */
struct pt_leaf *pt_leaf_seek(struct pt_leaf_walk *walk,
			     struct vm_area_struct *vma, unsigned long addr,
			     pt_leaf_flags_t flags);

/**
 * pt_leaf_pause - drop all locks that for_each_pt_leaf() has taken
 * @leaf:	the leaf
 * @addr:	where the loop is to go on: @leaf.end, or any address behind it
 *		to skip what is in between; @leaf.addr to look at it again, or
 *		an address between the two
 *
 * After that the body can sleep and cause faults, until its end. It must not
 * drop the lock of the caller, or must leave the loop. The value of @leaf is
 * what was there once, and where it was read must not be looked at, nor may
 * pt_leaf_batch() and pt_leaf_batch_hint() be called. @leaf.end is @addr, so
 * pt_leaf_nr() no longer says how long the leaf was.
 */
static __always_inline void pt_leaf_pause(struct pt_leaf *leaf,
					  unsigned long addr)
{
	__pt_leaf_unlock(leaf->walk);
	leaf->table_end = 0;
	leaf->end = addr;
}

/* private: is there a table that the leaf can be extended in? */
static __always_inline void __pt_leaf_check_batch(const struct pt_leaf *leaf)
{
	VM_WARN_ON_ONCE(leaf->type != PT_LEAF_PTE || !leaf->table_end);
	VM_WARN_ON_ONCE(!leaf->present);
	/* It cannot be extended twice. */
	VM_WARN_ON_ONCE(leaf->end != leaf->addr + PAGE_SIZE);
}

/**
 * pt_leaf_batch - let a leaf be as long as its folio is mapped alike
 * @leaf:	the leaf, %PT_LEAF_PTE and present
 * @folio:	the folio that it maps a page of
 * @ignore:	what need not be alike: %PT_LEAF_IGNORE_YOUNG, ...
 *
 * Extends the leaf by the PTEs that follow in the same table, if they map the
 * pages of @folio that follow, and differ in nothing that @ignore does not
 * name. Once for a leaf, and not after pt_leaf_batch_hint(). Where reading a PTE
 * merges the young and dirty bits of a block, as said there, these are alike.
 *
 * Return: how many pages it is long now.
 */
static __always_inline unsigned long pt_leaf_batch(struct pt_leaf *leaf,
						   struct folio *folio,
						   pt_leaf_ignore_t ignore)
{
	unsigned long nr = 1;

	__pt_leaf_check_batch(leaf);
	if (folio_test_large(folio)) {
		nr += (leaf->table_end - leaf->end) >> PAGE_SHIFT;
		nr = __pt_leaf_batch(folio, leaf->next - 1, leaf->pte, nr, ignore);
		leaf->end += (nr - 1) << PAGE_SHIFT;
		leaf->next += nr - 1;
	}
	return nr;
}

/**
 * pt_leaf_batch_hint - let a leaf be as long as the architecture says it is
 * @leaf:	the leaf, %PT_LEAF_PTE and present
 *
 * Extends the leaf by those PTEs that follow in the same table of which the
 * architecture knows without looking that they map what follows, and differ
 * from it in nothing but the young and dirty bits, which the architecture
 * merges when it reads one of them. Once for a leaf, and not after
 * pt_leaf_batch().
 *
 * Return: how many pages it is long now.
 */
static __always_inline unsigned long pt_leaf_batch_hint(struct pt_leaf *leaf)
{
	unsigned long nr = pte_batch_hint(leaf->ptep, leaf->pte) - 1;

	__pt_leaf_check_batch(leaf);
	if (nr) {
		nr = min(nr, (leaf->table_end - leaf->end) >> PAGE_SHIFT);
		leaf->end += nr << PAGE_SHIFT;
		leaf->next += nr;
	}
	return nr + 1;
}

/**
 * pt_leaf_young - has a leaf been used?
 * @leaf:	the leaf, which must be present
 *
 * Return: true if the hardware, or who acts for it, has said so.
 */
static __always_inline bool pt_leaf_young(const struct pt_leaf *leaf)
{
	if (leaf->type == PT_LEAF_PMD)
		return pmd_young(leaf->pmd);
#if defined(CONFIG_TRANSPARENT_HUGEPAGE) && \
	defined(CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD)
	if (leaf->type == PT_LEAF_PUD)
		return pud_young(leaf->pud);
#endif
	return pte_young(leaf->pte);
}

/**
 * pt_leaf_dirty - has a leaf been written to?
 * @leaf:	the leaf, which must be present
 *
 * Return: true if the hardware, or who acts for it, has said so.
 */
static __always_inline bool pt_leaf_dirty(const struct pt_leaf *leaf)
{
	if (leaf->type == PT_LEAF_PMD)
		return pmd_dirty(leaf->pmd);
#if defined(CONFIG_TRANSPARENT_HUGEPAGE) && \
	defined(CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD)
	if (leaf->type == PT_LEAF_PUD)
		return pud_dirty(leaf->pud);
#endif
	return pte_dirty(leaf->pte);
}

/**
 * pt_leaf_nr - how many pages a leaf is long
 * @leaf:	the leaf
 *
 * Return: that number.
 */
static __always_inline unsigned long pt_leaf_nr(const struct pt_leaf *leaf)
{
	return (leaf->end - leaf->addr) >> PAGE_SHIFT;
}

/**
 * pt_leaf_softleaf - what a leaf is that is not present
 * @leaf:	the leaf
 *
 * If it has a PFN that is of the first page that the entry maps, and the one of
 * @leaf.addr is @leaf.offset pages behind it.
 *
 * Return: that, or an empty one for what is present or a hole, and also if the
 * architecture has no softleaf at that level: a PMD that is PROT_NONE need not be
 * present then.
 */
static __always_inline softleaf_t pt_leaf_softleaf(const struct pt_leaf *leaf)
{
	return __pt_leaf_softleaf(leaf->type, leaf->pte, leaf->pmd);
}

/**
 * pt_leaf_page - the page that a leaf maps at its beginning
 * @leaf:	the leaf
 *
 * Return: what vm_normal_page(), vm_normal_page_pmd() or vm_normal_page_pud()
 * says, or the page of hugetlb, but always that which is mapped at @leaf.addr;
 * NULL if that is nothing, not present, a zeropage or another special mapping.
 */
static __always_inline struct page *pt_leaf_page(const struct pt_leaf *leaf)
{
	if (!leaf->present)
		return NULL;
	if (likely(leaf->type == PT_LEAF_PTE))
		return vm_normal_page(leaf->walk->vma, leaf->addr, leaf->pte);
	if (leaf->type == PT_LEAF_HUGETLB)
		return pte_page(leaf->pte) + leaf->offset;
	VM_WARN_ON_ONCE(leaf->addr != leaf->walk->leaf.addr);
	return __pt_leaf_huge_page(leaf->walk);
}

/**
 * pt_leaf_pfn - the PFN that a leaf maps at its beginning
 * @leaf:	the leaf, which must be present
 *
 * Return: that PFN, whatever is there.
 */
static __always_inline unsigned long pt_leaf_pfn(const struct pt_leaf *leaf)
{
	if (likely(leaf->type == PT_LEAF_PTE))
		return pte_pfn(leaf->pte);
	VM_WARN_ON_ONCE(leaf->addr != leaf->walk->leaf.addr);
	return __pt_leaf_huge_pfn(leaf->walk);
}

typedef int __bitwise folio_walk_flags_t;

/* Walk shared zeropages (small + huge) as well. */
#define FW_ZEROPAGE			((__force folio_walk_flags_t)BIT(0))

/**
 * struct folio_walk - folio_walk_start() / folio_walk_end() data
 * @page:	exact folio page referenced (if applicable)
 * @leaf:	the leaf that references it
 *
 * (see folio_walk_start() documentation for more details)
 */
struct folio_walk {
	struct page *page;
	struct pt_leaf *leaf;
	/* private: what is locked */
	struct pt_leaf_walk walk;
};

struct folio *folio_walk_start(struct folio_walk *fw,
			       struct vm_area_struct *vma, unsigned long addr,
			       folio_walk_flags_t flags);

/**
 * folio_walk_end - drop all locks that folio_walk_start() has taken
 * @fw:	what it has filled, if it has returned a folio
 */
static inline void folio_walk_end(struct folio_walk *fw)
{
	pt_leaf_walk_end(&fw->walk);
}

#endif /* _LINUX_PT_LEAF_H */
