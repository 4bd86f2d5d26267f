// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/pagewalk_bench: what bench.c cannot measure from user space. Not part
 * of the series: scripts/bench.sh copies it to mm/ of the kernels it builds,
 * with and without the series.
 */
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/pagewalk.h>
#if __has_include(<linux/pt_leaf.h>)
#include <linux/pt_leaf.h>
#define HAVE_PT_LEAF
#endif
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <asm/tlbflush.h>
#include "internal.h"
#include "pagewalk_bench.h"

/* A series that has PAGE_WALK_AGAIN hands the entry's value to the callback. */
#ifdef PAGE_WALK_AGAIN
#define VALUE(type)	type value,
#else
#define VALUE(type)
#endif

/*
 * The floor: map each table of PTEs once, take its lock once, read each entry.
 */

static void floor_pte(pmd_t *pmd, unsigned long addr, unsigned long end,
		      struct mm_struct *mm, unsigned long *nr)
{
	unsigned long present = 0;
	spinlock_t *ptl = NULL;
	pte_t *start, *pte;

	if (mm == &init_mm)
		start = pte_offset_kernel(pmd, addr);
	else
		start = pte_offset_map_lock(mm, pmd, addr, &ptl);
	if (!start)
		return;
	for (pte = start; addr < end; pte++, addr += PAGE_SIZE)
		present += !!pte_present(ptep_get(pte));
	nr[0] += present;
	if (ptl)
		pte_unmap_unlock(start, ptl);
}

static void floor_pmd(pud_t *pud, unsigned long addr, unsigned long end,
		      struct mm_struct *mm, unsigned long *nr)
{
	pmd_t *pmd = pmd_offset(pud, addr);
	unsigned long next;

	for (; addr < end; pmd++, addr = next) {
		pmd_t val = pmdp_get(pmd);

		next = pmd_addr_end(addr, end);
		if (pmd_none(val))
			continue;
		if (pmd_leaf(val)) {
			spinlock_t *ptl = pmd_lock(mm, pmd);

			nr[1] += !!pmd_present(pmdp_get(pmd));
			spin_unlock(ptl);
		} else {
			floor_pte(pmd, addr, next, mm, nr);
		}
	}
}

static void floor_pud(p4d_t *p4d, unsigned long addr, unsigned long end,
		      struct mm_struct *mm, unsigned long *nr)
{
	pud_t *pud = pud_offset(p4d, addr);
	unsigned long next;

	for (; addr < end; pud++, addr = next) {
		pud_t val = pudp_get(pud);

		next = pud_addr_end(addr, end);
		if (pud_none(val))
			continue;
		if (pud_leaf(val)) {
			spinlock_t *ptl = pud_lock(mm, pud);

			nr[2] += !!pud_present(pudp_get(pud));
			spin_unlock(ptl);
		} else {
			floor_pmd(pud, addr, next, mm, nr);
		}
	}
}

static void floor_mm(struct mm_struct *mm, unsigned long addr, unsigned long end,
		  unsigned long *nr)
{
	unsigned long next;

	for (; addr < end; addr = next) {
		pgd_t *pgd = pgd_offset(mm, addr);
		p4d_t *p4d = p4d_offset(pgd, addr);

		next = p4d_addr_end(addr, end);
		if (!pgd_none(*pgd) && !p4d_none(*p4d))
			floor_pud(p4d, addr, next, mm, nr);
	}
}

/*
 * Walks.
 */

static int no_pte(pte_t *pte, unsigned long addr, unsigned long next,
		  struct mm_walk *walk)
{
	return 0;
}

static int no_pmd(pmd_t *pmd, VALUE(pmd_t) unsigned long addr,
		  unsigned long next, struct mm_walk *walk)
{
	return 0;
}

static int no_pud(pud_t *pud, VALUE(pud_t) unsigned long addr,
		  unsigned long next, struct mm_walk *walk)
{
	return 0;
}

static int no_hole(unsigned long addr, unsigned long next, int depth,
		   struct mm_walk *walk)
{
	return 0;
}

#ifndef HAVE_PT_LEAF
static int no_hugetlb(pte_t *pte, unsigned long hmask, unsigned long addr,
		      unsigned long next, struct mm_walk *walk)
{
	return 0;
}
#endif

/* A leaf is for pmd_entry to take: no walk of ours is to split one. */
static int skip_pmd(pmd_t *pmd, VALUE(pmd_t) unsigned long addr,
		    unsigned long next, struct mm_walk *walk)
{
#ifdef PAGE_WALK_AGAIN
	return pmd_leaf(value) ? PAGE_WALK_SKIP : 0;
#else
	if (pmd_leaf(pmdp_get(pmd)))
		walk->action = ACTION_CONTINUE;
	return 0;
#endif
}

static int skip_pud(pud_t *pud, VALUE(pud_t) unsigned long addr,
		    unsigned long next, struct mm_walk *walk)
{
#ifdef PAGE_WALK_AGAIN
	return pud_leaf(value) ? PAGE_WALK_SKIP : 0;
#else
	if (pud_leaf(pudp_get(pud)))
		walk->action = ACTION_CONTINUE;
	return 0;
#endif
}

/* Without it, a walk passes over VM_PFNMAP. */
static int any_vma(unsigned long addr, unsigned long next, struct mm_walk *walk)
{
	return 0;
}

static const struct mm_walk_ops pte_ops = {
	.pte_entry	= no_pte,
	.test_walk	= any_vma,
	.walk_lock	= PGWALK_RDLOCK,
};

static const struct mm_walk_ops pmd_ops = {
	.pmd_entry	= no_pmd,
	.test_walk	= any_vma,
	.walk_lock	= PGWALK_RDLOCK,
};

static const struct mm_walk_ops all_ops = {
	.pud_entry	= skip_pud,
	.pmd_entry	= skip_pmd,
	.pte_entry	= no_pte,
	.pte_hole	= no_hole,
#ifndef HAVE_PT_LEAF
	.hugetlb_entry	= no_hugetlb,
#endif
	.test_walk	= any_vma,
	.walk_lock	= PGWALK_RDLOCK,
};

static const struct mm_walk_ops kernel_ops = {
	.pud_entry	= no_pud,
	.pmd_entry	= no_pmd,
	.pte_entry	= no_pte,
	.pte_hole	= no_hole,
};

static int walk(struct bench_arg *a, const struct mm_walk_ops *ops)
{
	return walk_page_range(current->mm, a->addr, a->addr + a->len, ops, NULL);
}

/*
 * Folios, and how many pages of each are mapped: a loop over a table that is
 * mapped and locked, by hand; and for_each_pt_leaf(), if there is one.
 */

static unsigned long nr_mapped;

static int plain_pmd(pmd_t *pmdp, VALUE(pmd_t) unsigned long addr,
		     unsigned long next, struct mm_walk *walk)
{
	pmd_t pmd = pmdp_get_lockless(pmdp);
	unsigned long nr = 1;
	pte_t *start, *ptep;
	spinlock_t *ptl;

	if (pmd_leaf(pmd)) {
		ptl = pmd_lock(walk->mm, pmdp);
		if (vm_normal_folio_pmd(walk->vma, addr, pmdp_get(pmdp)))
			nr_mapped += (next - addr) >> PAGE_SHIFT;
		spin_unlock(ptl);
		goto done;
	}
	start = ptep = pte_offset_map_lock(walk->mm, pmdp, addr, &ptl);
	if (!start)
		goto done;
	for (; addr < next; addr += nr * PAGE_SIZE, ptep += nr) {
		pte_t pte = ptep_get(ptep);
		struct folio *folio;

		nr = 1;
		if (!pte_present(pte))
			continue;
		folio = vm_normal_folio(walk->vma, addr, pte);
		if (!folio)
			continue;
		if (folio_test_large(folio))
			nr = folio_pte_batch(folio, ptep, pte,
					     (next - addr) >> PAGE_SHIFT);
		nr_mapped += nr;
	}
	pte_unmap_unlock(start, ptl);
done:
#ifdef PAGE_WALK_AGAIN
	return PAGE_WALK_SKIP;
#else
	walk->action = ACTION_CONTINUE;
	return 0;
#endif
}

static const struct mm_walk_ops plain_ops = {
	.pmd_entry	= plain_pmd,
	.test_walk	= any_vma,
	.walk_lock	= PGWALK_RDLOCK,
};

#ifdef HAVE_PT_LEAF
static int count_leaves(struct bench_arg *a)
{
	unsigned long end = a->addr + a->len;
	struct vm_area_struct *vma;
	VMA_ITERATOR(vmi, current->mm, a->addr);

	for_each_vma_range(vmi, vma, end) {
		for_each_pt_leaf_inline(leaf, vma, max(vma->vm_start, a->addr),
					min(vma->vm_end, end), 0) {
			struct page *page = pt_leaf_page(&leaf);

			if (!page)
				continue;
			if (leaf.type == PT_LEAF_PTE)
				nr_mapped += pt_leaf_batch(&leaf, page_folio(page),
						PT_LEAF_IGNORE_YOUNG | PT_LEAF_IGNORE_DIRTY |
						PT_LEAF_IGNORE_SOFT_DIRTY | PT_LEAF_IGNORE_WRITE);
			else
				nr_mapped += pt_leaf_nr(&leaf);
		}
	}
	return 0;
}
#else
static int count_leaves(struct bench_arg *a)
{
	return walk(a, &plain_ops);
}
#endif

/*
 * The file of the first VMA of the range.
 */

static int dirty_track(struct bench_arg *a, bool wp)
{
	struct vm_area_struct *vma = vma_lookup(current->mm, a->addr);
	pgoff_t index, nr = a->len >> PAGE_SHIFT, start = 0, end = 0;
	struct address_space *mapping;
	unsigned long *bitmap;

	if (!vma || !vma->vm_file)
		return -EINVAL;
	mapping = vma->vm_file->f_mapping;
	index = linear_page_index(vma, a->addr);
	if (wp) {
		wp_shared_mapping_range(mapping, index, nr);
		return 0;
	}
	bitmap = bitmap_zalloc(nr, GFP_KERNEL);
	if (!bitmap)
		return -ENOMEM;
	clean_record_shared_mapping_range(mapping, index, nr, index, bitmap,
					  &start, &end);
	bitmap_free(bitmap);
	return 0;
}

static int map_kernel(struct bench_arg *a)
{
	unsigned long nr = a->len >> PAGE_SHIFT;
	struct page **pages = kvmalloc_array(nr, sizeof(*pages), GFP_KERNEL);
	void *p;

	if (!pages)
		return -ENOMEM;
	for (unsigned long i = 0; i < nr; i++)
		pages[i] = ZERO_PAGE(0);
	p = vmap(pages, nr, VM_MAP, PAGE_KERNEL_RO);
	kvfree(pages);
	a->addr = (unsigned long)p;
	return p ? 0 : -ENOMEM;
}

/*
 * What others are told: secondary MMUs, and x86 tells them of each TLB flush.
 */

static unsigned long nr_notified, nr_flushed;

static int count_start(struct mmu_notifier *mn,
		       const struct mmu_notifier_range *range)
{
	nr_notified++;
	return 0;
}

static bool count_clear_young(struct mmu_notifier *mn, struct mm_struct *mm,
			      unsigned long start, unsigned long end)
{
	nr_notified++;
	return false;
}

static bool count_test_young(struct mmu_notifier *mn, struct mm_struct *mm,
			     unsigned long addr)
{
	nr_notified++;
	return false;
}

static void count_flush(struct mmu_notifier *mn, struct mm_struct *mm,
			unsigned long start, unsigned long end)
{
	nr_flushed++;
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start	= count_start,
	.clear_flush_young	= count_clear_young,
	.clear_young		= count_clear_young,
	.test_young		= count_test_young,
};

static const struct mmu_notifier_ops flush_ops = {
	.arch_invalidate_secondary_tlbs	= count_flush,
};

static struct mmu_notifier notifier = { .ops = &notifier_ops };
static struct mmu_notifier flush = { .ops = &flush_ops };

static int count(struct bench_arg *a, bool begin)
{
	if (begin) {
		int err = mmu_notifier_register(&notifier, current->mm) ?:
			  mmu_notifier_register(&flush, current->mm);

		nr_notified = 0;
		nr_flushed = 0;
		return err;
	}
	a->nr[0] = nr_notified;
	a->nr[1] = nr_flushed;
	mmu_notifier_unregister(&flush, current->mm);
	mmu_notifier_unregister(&notifier, current->mm);
	return 0;
}

static int bench(unsigned int cmd, struct bench_arg *a)
{
	struct mm_struct *mm = current->mm;
	int err = 0;

	switch (cmd) {
	case BENCH_WP:
	case BENCH_CLEAN:
		return dirty_track(a, cmd == BENCH_WP);
	case BENCH_VMAP:
		return map_kernel(a);
	case BENCH_COUNT:
	case BENCH_COUNTED:
		return count(a, cmd == BENCH_COUNT);
	case BENCH_FLUSH:
		flush_tlb_mm(mm);
		return 0;
	case BENCH_FLOOR_KERNEL:
	case BENCH_WALK_KERNEL:
		mmap_write_lock(&init_mm);
		if (cmd == BENCH_FLOOR_KERNEL)
			floor_mm(&init_mm, a->addr, a->addr + a->len, a->nr);
		else
			err = walk_kernel_page_table_range(a->addr, a->addr + a->len,
							   &kernel_ops, NULL, NULL);
		mmap_write_unlock(&init_mm);
		return err;
	}

	mmap_read_lock(mm);
	switch (cmd) {
	case BENCH_FLOOR:
		floor_mm(mm, a->addr, a->addr + a->len, a->nr);
		break;
	case BENCH_WALK_PTE:
		err = walk(a, &pte_ops);
		break;
	case BENCH_WALK_PMD:
		err = walk(a, &pmd_ops);
		break;
	case BENCH_WALK_ALL:
		err = walk(a, &all_ops);
		break;
	case BENCH_PLAIN:
		err = walk(a, &plain_ops);
		break;
	case BENCH_LEAVES:
		err = count_leaves(a);
		break;
	default:
		err = -ENOTTY;
	}
	mmap_read_unlock(mm);
	return err;
}

static long bench_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct bench_arg a;
	int err;

	if (copy_from_user(&a, (void __user *)arg, sizeof(a)))
		return -EFAULT;
	memset(a.nr, 0, sizeof(a.nr));
	err = bench(cmd, &a);
	if (!err && copy_to_user((void __user *)arg, &a, sizeof(a)))
		err = -EFAULT;
	return err;
}

static const struct file_operations bench_fops = {
	.unlocked_ioctl	= bench_ioctl,
};

static struct miscdevice bench_device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "pagewalk_bench",
	.fops	= &bench_fops,
};
builtin_misc_device(bench_device);
