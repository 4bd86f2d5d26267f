// SPDX-License-Identifier: GPL-2.0
/*
 * Test cases for the page table walkers in mm/pagewalk.c
 *
 * Each case builds a small address space, walks it with callbacks that do
 * nothing but take notes, and compares the notes with a list of the calls that
 * the walk must make. Nothing reads or writes what is mapped: there need not be
 * anything behind the PFNs.
 */
#include <kunit/test.h>

#include <linux/anon_inodes.h>
#include <linux/bitmap.h>
#include <linux/cred.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hmm.h>
#include <linux/hugetlb.h>
#include <linux/kthread.h>
#include <linux/leafops.h>
#include <linux/lockdep.h>
#include <linux/memremap.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmu_notifier.h>
#include <linux/pagemap.h>
#include <linux/pagewalk.h>
#include <linux/pgalloc.h>
#include <linux/pgtable.h>
#include <linux/prandom.h>
#include <linux/pt_leaf.h>
#include <linux/rmap.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/sizes.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include <asm/tlb.h>
#include <asm/tlbflush.h>

#include "../mm/internal.h"

#define MAX_CALLS	(MAX_PTRS_PER_PTE + 64)

/* CALL_PGD to CALL_PMD are the depth that ->pte_hole() gets, too. */
enum call_kind {
	CALL_PGD,
	CALL_P4D,
	CALL_PUD,
	CALL_PMD,
	CALL_PTE,
	CALL_HOLE,
	CALL_GAP,	/* ->pte_hole() where no VMA is */
	CALL_HUGETLB,
	CALL_TEST,
	CALL_PRE,
	CALL_POST,
	CALL_INSTALL,
	NR_CALL_KINDS
};

static const char * const call_name[NR_CALL_KINDS] = {
	"pgd_entry", "p4d_entry", "pud_entry", "pmd_entry", "pte_entry",
	"pte_hole", "pte_hole (no VMA)", "hugetlb leaf", "test_walk",
	"pre_vma", "post_vma", "install_pte",
};

#define ENTRIES	(BIT(CALL_PGD) | BIT(CALL_P4D) | BIT(CALL_PUD) | \
		 BIT(CALL_PMD) | BIT(CALL_PTE))
#define HOLES	(BIT(CALL_HOLE) | BIT(CALL_GAP))

struct call {
	enum call_kind kind;
	int depth;
	unsigned long addr;
	unsigned long end;
};

struct call_list {
	unsigned int nr;
	struct call call[MAX_CALLS];
};

struct pagewalk_test;

/* What becomes of an entry while a callback is looking at it */
struct change {
	bool (*to)(struct pagewalk_test *t, struct vm_area_struct *vma,
		   pmd_t *pmdp, unsigned long addr);
	const char *name;
};

/* For insert_pfn_refuses() */
enum mistake { NO_PFNMAP, BOTH_MAPS, PRIVATE_PFNMAP, PFN_HAS_PAGE, MISALIGNED,
	       BEYOND_VMA };

struct pagewalk_test {
	struct mm_struct *mm;
	/* What the callbacks answer, by kind; PAGE_WALK_AGAIN only once. */
	int ret[NR_CALL_KINDS];
	/* The file of open_pfn_file(): its first PFN, the order of new leaves. */
	unsigned long pfn;
	unsigned int order;
	/* For note_and_change_pmd(): to be done once. Has it been done? */
	const struct change *change;
	bool changed;
	struct folio *migrating;
	/* Mappings of other files than that of open_pfn_file() */
	enum mistake mistake;
	struct folio *folio;
	bool mixed;
	/* Faults for writing, for leaves of ->order and for PTEs */
	atomic_t nr_huge_writes;
	atomic_t nr_small_writes;
	struct call_list got;
	struct call_list want;
};

static void add_call(struct call_list *list, enum call_kind kind,
		     unsigned long addr, unsigned long end, int depth)
{
	if (list->nr < MAX_CALLS)
		list->call[list->nr] = (struct call){ kind, depth, addr, end };
	list->nr++;
}

/* The callbacks */

static int note_call(struct mm_walk *walk, enum call_kind kind,
		     unsigned long addr, unsigned long end, int depth)
{
	struct pagewalk_test *t = walk->private;
	int ret = t->ret[kind];

	add_call(&t->got, kind, addr, end, depth);
	if (ret == PAGE_WALK_AGAIN)
		t->ret[kind] = 0;
	return ret;
}

static int note_pgd(pgd_t *pgdp, pgd_t pgd, unsigned long addr,
		    unsigned long end, struct mm_walk *walk)
{
	return note_call(walk, CALL_PGD, addr, end, 0);
}

static int note_p4d(p4d_t *p4dp, p4d_t p4d, unsigned long addr,
		    unsigned long end, struct mm_walk *walk)
{
	return note_call(walk, CALL_P4D, addr, end, 0);
}

static int note_pud(pud_t *pudp, pud_t pud, unsigned long addr,
		    unsigned long end, struct mm_walk *walk)
{
	return note_call(walk, CALL_PUD, addr, end, 0);
}

static int note_pmd(pmd_t *pmdp, pmd_t pmd, unsigned long addr,
		    unsigned long end, struct mm_walk *walk)
{
	return note_call(walk, CALL_PMD, addr, end, 0);
}

static int note_pte(pte_t *pte, unsigned long addr, unsigned long end,
		    struct mm_walk *walk)
{
	return note_call(walk, CALL_PTE, addr, end, 0);
}

static int note_hole(unsigned long addr, unsigned long end, int depth,
		     struct mm_walk *walk)
{
	bool gap = !walk->vma && !walk->no_vma;

	return note_call(walk, gap ? CALL_GAP : CALL_HOLE, addr, end, depth);
}

static int note_test(unsigned long addr, unsigned long end,
		     struct mm_walk *walk)
{
	return note_call(walk, CALL_TEST, addr, end, 0);
}

static int note_pre(unsigned long addr, unsigned long end,
		    struct mm_walk *walk)
{
	return note_call(walk, CALL_PRE, addr, end, 0);
}

static void note_post(struct mm_walk *walk)
{
	note_call(walk, CALL_POST, walk->vma->vm_start, walk->vma->vm_end, 0);
}

static int note_install(unsigned long addr, unsigned long end, pte_t *pte,
			struct mm_walk *walk)
{
	*pte = make_pte_marker(PTE_MARKER_GUARD);
	return note_call(walk, CALL_INSTALL, addr, end, 0);
}

static int walk_any_vma(unsigned long addr, unsigned long end,
			struct mm_walk *walk)
{
	return 0;
}

static struct mm_walk_ops make_ops(unsigned int kinds)
{
	return (struct mm_walk_ops) {
		.pgd_entry	= kinds & BIT(CALL_PGD) ? note_pgd : NULL,
		.p4d_entry	= kinds & BIT(CALL_P4D) ? note_p4d : NULL,
		.pud_entry	= kinds & BIT(CALL_PUD) ? note_pud : NULL,
		.pmd_entry	= kinds & BIT(CALL_PMD) ? note_pmd : NULL,
		.pte_entry	= kinds & BIT(CALL_PTE) ? note_pte : NULL,
		.pte_hole	= kinds & HOLES ? note_hole : NULL,
		.test_walk	= kinds & BIT(CALL_TEST) ? note_test : NULL,
		.pre_vma	= kinds & BIT(CALL_PRE) ? note_pre : NULL,
		.post_vma	= kinds & BIT(CALL_POST) ? note_post : NULL,
		.install_pte	= kinds & BIT(CALL_INSTALL) ? note_install : NULL,
		.walk_lock	= PGWALK_RDLOCK,
	};
}

/* Walks: nothing may ASSERT while a lock is held, so these only return. */

static int walk_range(struct pagewalk_test *t, unsigned int kinds,
		      unsigned long start, unsigned long end)
{
	struct mm_walk_ops ops = make_ops(kinds);
	int err;

	mmap_read_lock(t->mm);
	err = walk_page_range(t->mm, start, end, &ops, t);
	mmap_read_unlock(t->mm);
	return err;
}

static int walk_range_unsafe(struct pagewalk_test *t, unsigned int kinds,
			     unsigned long start, unsigned long end)
{
	struct mm_walk_ops ops = make_ops(kinds);
	int err;

	mmap_read_lock(t->mm);
	err = walk_page_range_mm_unsafe(t->mm, start, end, &ops, t);
	mmap_read_unlock(t->mm);
	return err;
}

/* The range may leave the VMA, which is the one at @addr. */
static int walk_range_vma(struct pagewalk_test *t, unsigned int kinds,
			  unsigned long addr, unsigned long start,
			  unsigned long end)
{
	struct mm_walk_ops ops = make_ops(kinds);
	int err;

	mmap_read_lock(t->mm);
	err = walk_page_range_vma(vma_lookup(t->mm, addr), start, end, &ops, t);
	mmap_read_unlock(t->mm);
	return err;
}

static int walk_vma(struct pagewalk_test *t, unsigned int kinds,
		    unsigned long addr)
{
	struct mm_walk_ops ops = make_ops(kinds);
	int err;

	mmap_read_lock(t->mm);
	err = walk_page_vma(vma_lookup(t->mm, addr), &ops, t);
	mmap_read_unlock(t->mm);
	return err;
}

static int walk_kernel(struct pagewalk_test *t, unsigned int kinds,
		       unsigned long start, unsigned long end)
{
	struct mm_walk_ops ops = make_ops(kinds);
	int err;

	mmap_read_lock(&init_mm);
	err = walk_kernel_page_table_range(start, end, &ops, NULL, t);
	mmap_read_unlock(&init_mm);
	return err;
}

static int walk_debug(struct pagewalk_test *t, unsigned int kinds,
		      unsigned long start, unsigned long end)
{
	struct mm_walk_ops ops = make_ops(kinds);
	int err;

	mmap_write_lock(t->mm);
	mmap_write_lock_nested(&init_mm, SINGLE_DEPTH_NESTING);
	err = walk_page_range_debug(t->mm, start, end, &ops, NULL, t);
	mmap_write_unlock(&init_mm);
	mmap_write_unlock(t->mm);
	return err;
}

static int walk_mapping(struct pagewalk_test *t, const struct mm_walk_ops *ops,
			struct file *file, pgoff_t first, pgoff_t nr)
{
	int err;

	i_mmap_lock_read(file->f_mapping);
	err = walk_page_mapping(file->f_mapping, first, nr, ops, t);
	i_mmap_unlock_read(file->f_mapping);
	return err;
}

/* Expectations */

static void want_call(struct pagewalk_test *t, enum call_kind kind,
		      unsigned long addr, unsigned long end)
{
	add_call(&t->want, kind, addr, end, 0);
}

static void want_hole(struct pagewalk_test *t, int depth, unsigned long addr,
		      unsigned long end)
{
	add_call(&t->want, CALL_HOLE, addr, end, depth);
}

static void want_gap(struct pagewalk_test *t, unsigned long addr,
		     unsigned long end)
{
	add_call(&t->want, CALL_GAP, addr, end, -1);
}

static unsigned long entry_size(enum call_kind level)
{
	switch (level) {
	case CALL_PGD:
		return PGDIR_SIZE;
	case CALL_P4D:
		return P4D_SIZE;
	case CALL_PUD:
		return PUD_SIZE;
	case CALL_PMD:
		return PMD_SIZE;
	default:
		return PAGE_SIZE;
	}
}

/*
 * Each entry of [@addr, @end) at @level, followed by what is below it. With
 * CALL_INSTALL there was nothing before the walk.
 */
static void want_tree(struct pagewalk_test *t, unsigned int kinds,
		      enum call_kind level, unsigned long addr,
		      unsigned long end)
{
	unsigned long size = entry_size(level);
	unsigned long next;

	for (; addr < end; addr = next) {
		next = min(ALIGN_DOWN(addr, size) + size, end);
		if (level == CALL_PTE && kinds & BIT(CALL_INSTALL))
			want_call(t, CALL_INSTALL, addr, next);
		else if (kinds & BIT(level))
			want_call(t, level, addr, next);
		if (level != CALL_PTE)
			want_tree(t, kinds, level + 1, addr, next);
	}
}

static void want_ptes(struct pagewalk_test *t, unsigned long addr,
		      unsigned int nr)
{
	want_tree(t, BIT(CALL_PTE), CALL_PTE, addr, addr + nr * PAGE_SIZE);
}

static void expect_calls(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	const struct call *got = t->got.call;
	const struct call *want = t->want.call;
	unsigned int i;

	KUNIT_ASSERT_LE(test, t->want.nr, MAX_CALLS);
	for (i = 0; i < min(t->got.nr, t->want.nr); i++, got++, want++) {
		if (got->kind == want->kind && got->depth == want->depth &&
		    got->addr == want->addr && got->end == want->end)
			continue;
		KUNIT_FAIL(test, "call %u: %s [%lx, %lx) depth %d, expected %s [%lx, %lx) depth %d",
			   i, call_name[got->kind], got->addr, got->end,
			   got->depth, call_name[want->kind], want->addr,
			   want->end, want->depth);
		return;
	}
	KUNIT_EXPECT_EQ(test, t->got.nr, t->want.nr);
}

static void forget_calls(struct pagewalk_test *t)
{
	t->got.nr = 0;
	t->want.nr = 0;
}

/* Where the entry at @addr is a leaf, CALL_HOLE if nothing is mapped. */
static enum call_kind find_leaf(struct pagewalk_test *t, unsigned long addr,
				unsigned long *pfn)
{
	enum call_kind level = CALL_HOLE;
	pgd_t *pgd;
	p4d_t *p4d;
	pud_t *pudp, pud;
	pmd_t *pmdp, pmd;
	pte_t *ptep, pte;

	mmap_read_lock(t->mm);
	pgd = pgd_offset(t->mm, addr);
	if (pgd_none(*pgd))
		goto out;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(*p4d))
		goto out;
	pudp = pud_offset(p4d, addr);
	pud = pudp_get(pudp);
	if (pud_none(pud))
		goto out;
	if (pud_leaf(pud)) {
		level = CALL_PUD;
		*pfn = pud_pfn(pud);
		goto out;
	}
	if (!pud_present(pud))
		goto out;
	pmdp = pmd_offset(pudp, addr);
	pmd = pmdp_get_lockless(pmdp);
	if (pmd_none(pmd))
		goto out;
	if (pmd_leaf(pmd)) {
		level = CALL_PMD;
		*pfn = pmd_pfn(pmd);
		goto out;
	}
	if (!pmd_present(pmd))
		goto out;
	ptep = pte_offset_map(pmdp, addr);
	if (!ptep)
		goto out;
	pte = ptep_get(ptep);
	if (pte_present(pte)) {
		level = CALL_PTE;
		*pfn = pte_pfn(pte);
	}
	pte_unmap(ptep);
out:
	mmap_read_unlock(t->mm);
	return level;
}

/* The level at which there is nothing for @addr, not even a table below. */
static enum call_kind find_empty(struct pagewalk_test *t, unsigned long addr)
{
	enum call_kind level = CALL_PGD;
	pgd_t *pgd;
	p4d_t *p4d;
	pud_t *pud;

	mmap_read_lock(t->mm);
	pgd = pgd_offset(t->mm, addr);
	if (pgd_none(*pgd))
		goto out;
	level = CALL_P4D;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(*p4d))
		goto out;
	level = CALL_PUD;
	pud = pud_offset(p4d, addr);
	if (pud_none(*pud))
		goto out;
	level = CALL_PMD;
	if (!pmd_none(*pmd_offset(pud, addr)))
		level = CALL_PTE;
out:
	mmap_read_unlock(t->mm);
	return level;
}

static void expect_leaf(struct kunit *test, unsigned long addr,
			enum call_kind level)
{
	enum call_kind found;
	unsigned long pfn;

	found = find_leaf(test->priv, addr, &pfn);
	KUNIT_EXPECT_EQ_MSG(test, found, level, "at %lx: %s instead of %s",
			    addr, call_name[found], call_name[level]);
}

/* Mappings */

/* An address with a few mappable pages around it. */
static unsigned long somewhere(void)
{
	return ALIGN_DOWN(TASK_SIZE / 2, PGDIR_SIZE) + PMD_SIZE / 2;
}

#define FAKE_PFN	(IS_ENABLED(CONFIG_64BIT) ? PHYS_PFN(SZ_8T) : 0)

static vm_fault_t pfn_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct vm_area_struct *vma = vmf->vma;
	struct pagewalk_test *t = vma->vm_private_data;
	unsigned long size = PAGE_SIZE << order;
	unsigned long addr = ALIGN_DOWN(vmf->address, size);
	bool write = vmf->flags & FAULT_FLAG_WRITE;
	unsigned long pfn;

	if (order != t->order || !range_in_vma(vma, addr, addr + size))
		return VM_FAULT_FALLBACK;

	pfn = t->pfn + linear_page_index(vma, addr);
	if (IS_ENABLED(CONFIG_ARCH_SUPPORTS_PUD_PFNMAP) && order == PUD_ORDER)
		return vmf_insert_pfn_pud(vmf, pfn, write);
	if (IS_ENABLED(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP) && order == PMD_ORDER)
		return vmf_insert_pfn_pmd(vmf, pfn, write);
	return VM_FAULT_FALLBACK;
}

static vm_fault_t pfn_fault(struct vm_fault *vmf)
{
	struct pagewalk_test *t = vmf->vma->vm_private_data;

	return vmf_insert_pfn(vmf->vma, vmf->address, t->pfn + vmf->pgoff);
}

static const struct vm_operations_struct pfn_vm_ops = {
	.fault = pfn_fault,
	.huge_fault = pfn_huge_fault,
};

static int pfn_mmap_prepare(struct vm_area_desc *desc)
{
	vma_desc_set_flags(desc, VMA_PFNMAP_BIT, VMA_IO_BIT,
			   VMA_DONTEXPAND_BIT, VMA_DONTDUMP_BIT);
	desc->page_prot = pgprot_noncached(desc->page_prot);
	desc->vm_ops = &pfn_vm_ops;
	desc->private_data = desc->file->private_data;
	return 0;
}

static const struct file_operations pfn_fops = {
	.owner = THIS_MODULE,
	.mmap_prepare = pfn_mmap_prepare,
};

KUNIT_DEFINE_ACTION_WRAPPER(put_file, fput, struct file *);

static struct file *open_file(struct kunit *test,
			      const struct file_operations *fops)
{
	struct pagewalk_test *t = test->priv;
	struct file *file;

	t->pfn = FAKE_PFN;
	file = anon_inode_create_getfile("[pagewalk]", fops, t, O_RDWR, NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, put_file, file));
	return file;
}

/* To be mapped as VM_PFNMAP, with leaves of the size that the case asks for. */
static struct file *open_pfn_file(struct kunit *test)
{
	return open_file(test, &pfn_fops);
}

static int mixed_mmap_prepare(struct vm_area_desc *desc)
{
	vma_desc_set_flags(desc, VMA_MIXEDMAP_BIT, VMA_HUGEPAGE_BIT,
			   VMA_DONTEXPAND_BIT, VMA_DONTDUMP_BIT);
	desc->page_prot = pgprot_noncached(desc->page_prot);
	desc->vm_ops = &pfn_vm_ops;
	desc->private_data = desc->file->private_data;
	return 0;
}

static const struct file_operations mixed_fops = {
	.owner = THIS_MODULE,
	.mmap_prepare = mixed_mmap_prepare,
};

/* As open_pfn_file(), but to be mapped as VM_MIXEDMAP. */
static struct file *open_mixed_file(struct kunit *test)
{
	return open_file(test, &mixed_fops);
}

static void map(struct kunit *test, struct file *file, unsigned long addr,
		unsigned long len, pgoff_t pgoff)
{
	unsigned long flags = MAP_FIXED_NOREPLACE | MAP_NORESERVE;
	unsigned long ret;

	flags |= file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
	ret = kunit_vm_mmap(test, file, addr, len, PROT_READ | PROT_WRITE,
			    flags, pgoff << PAGE_SHIFT);
	KUNIT_ASSERT_EQ(test, ret, addr);
}

static int try_fault_in(struct pagewalk_test *t, unsigned long addr)
{
	int err;

	mmap_read_lock(t->mm);
	err = fixup_user_fault(t->mm, addr, FAULT_FLAG_WRITE, NULL);
	mmap_read_unlock(t->mm);
	return err;
}

static void fault_in(struct kunit *test, unsigned long addr)
{
	KUNIT_ASSERT_EQ(test, try_fault_in(test->priv, addr), 0);
}

static void map_anon(struct kunit *test, unsigned long addr, unsigned int nr)
{
	map(test, NULL, addr, nr * PAGE_SIZE, 0);
}

/* Exactly one anonymous huge page. Return its address. */
static unsigned long map_thp(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long addr = ALIGN(somewhere(), PMD_SIZE);
	unsigned long pfn;

	if (!IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		kunit_skip(test, "no huge pages in this kernel");
	if (!IS_ENABLED(CONFIG_ADVISE_SYSCALLS))
		kunit_skip(test, "no madvise() in this kernel");

	map_anon(test, addr, PTRS_PER_PTE);
	KUNIT_ASSERT_EQ(test, 0,
			do_madvise(t->mm, addr, PMD_SIZE, MADV_HUGEPAGE));
	fault_in(test, addr);
	if (find_leaf(t, addr, &pfn) != CALL_PMD)
		kunit_skip(test, "got no huge page");
	return addr;
}

static void map_and_fault_in(struct kunit *test, unsigned long addr,
			     unsigned int nr)
{
	map_anon(test, addr, nr);
	while (nr--)
		fault_in(test, addr + nr * PAGE_SIZE);
}

static void fault_in_leaf(struct kunit *test, unsigned long addr,
			  enum call_kind level)
{
	struct pagewalk_test *t = test->priv;
	unsigned long pfn;

	t->order = get_order(entry_size(level));
	fault_in(test, addr);
	KUNIT_ASSERT_EQ(test, find_leaf(t, addr, &pfn), level);
}

/* Can the file of open_pfn_file() be mapped with leaves of @level? */
static void need_leaves(struct kunit *test, enum call_kind level)
{
	if (level == CALL_PMD &&
	    !(IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) &&
	      IS_ENABLED(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP) &&
	      has_transparent_hugepage()))
		kunit_skip(test, "no PMD leaves for PFNs here");
	if (level == CALL_PUD &&
	    !(IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) &&
	      IS_ENABLED(CONFIG_ARCH_SUPPORTS_PUD_PFNMAP) &&
	      has_transparent_pud_hugepage()))
		kunit_skip(test, "no PUD leaves for PFNs here");
}

static bool is_folded(enum call_kind level)
{
	switch (level) {
	case CALL_P4D:
		return PTRS_PER_P4D == 1;
	case CALL_PUD:
		return PTRS_PER_PUD == 1;
	case CALL_PMD:
		return PTRS_PER_PMD == 1;
	default:
		return false;
	}
}

/*
 * An address where one entry of @level ends and the next one begins, in the
 * middle of user space, and in the middle of a table of @level.
 */
static unsigned long boundary(struct kunit *test, enum call_kind level)
{
	unsigned long addr = ALIGN_DOWN(TASK_SIZE / 2, PGDIR_SIZE);

	if (is_folded(level))
		kunit_skip(test, "%s: level is folded", call_name[level]);
	if (level != CALL_PGD)
		addr += entry_size(level);
	if (!addr || addr >= TASK_SIZE - PAGE_SIZE)
		kunit_skip(test, "%s: one entry maps all of user space",
			   call_name[level]);
	return addr;
}

struct level_param {
	enum call_kind level;
	const char *name;
};

static const struct level_param level_params[] = {
	{ CALL_PGD, "pgd" },
	{ CALL_P4D, "p4d" },
	{ CALL_PUD, "pud" },
	{ CALL_PMD, "pmd" },
};

KUNIT_ARRAY_PARAM_DESC(level, level_params, name);

/* All the others rely on it: what cannot be mapped has no address. */
static void map_nothing(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, 0,
			kunit_vm_mmap(test, NULL, somewhere(), 0, PROT_READ,
				      MAP_PRIVATE | MAP_ANONYMOUS, 0));
}

/* Order and ranges */

static void walk_order(struct kunit *test)
{
	const struct level_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	unsigned long mid = boundary(test, param->level);
	unsigned long start = mid - PAGE_SIZE, end = mid + PAGE_SIZE;

	map_and_fault_in(test, start, 2);
	KUNIT_EXPECT_EQ(test, walk_range(t, ENTRIES | HOLES, start, end), 0);
	want_tree(t, ENTRIES, CALL_PGD, start, end);
	expect_calls(test);
}

static void walk_part_of_a_table(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere() + 2 * PAGE_SIZE;
	unsigned long end = start + 3 * PAGE_SIZE;

	map_and_fault_in(test, somewhere(), 8);
	KUNIT_EXPECT_EQ(test, walk_range(t, ENTRIES | HOLES, start, end), 0);
	want_tree(t, ENTRIES, CALL_PGD, start, end);
	expect_calls(test);
}

/* DAMON asks for [addr, addr + 1) with any addr. */
static void walk_one_byte(struct kunit *test)
{
	static const unsigned long offsets[] = {
		0, 1, PAGE_SIZE - 1, PAGE_SIZE, 2 * PAGE_SIZE - 1,
	};
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere();
	unsigned int kinds = ENTRIES & ~BIT(CALL_PTE);
	unsigned int i;

	map_and_fault_in(test, start, 2);
	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		unsigned long addr = start + offsets[i];

		forget_calls(t);
		KUNIT_EXPECT_EQ(test, walk_range(t, kinds, addr, addr + 1), 0);
		want_tree(t, kinds, CALL_PGD, addr, addr + 1);
		expect_calls(test);
	}
}

/* A PTE maps a page: what comes is not cut to less than that. */
static void walk_one_byte_of_a_pte(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere();
	unsigned long addr;

	map_and_fault_in(test, start, 3);
	for (addr = start + PAGE_SIZE; addr < start + 2 * PAGE_SIZE;
	     addr += PAGE_SIZE / 4) {
		t->got.nr = 0;
		KUNIT_EXPECT_EQ(test, walk_range(t, BIT(CALL_PTE), addr,
						 addr + 1), 0);
		KUNIT_EXPECT_EQ(test, t->got.nr, 1);
		KUNIT_EXPECT_EQ(test, t->got.call[0].addr, addr);
	}
}

static void walk_one_byte_of_a_gap(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long addr = somewhere() + 1;

	KUNIT_EXPECT_EQ(test, walk_range(t, ENTRIES | HOLES, addr, addr + 1), 0);
	want_gap(t, addr, addr + 1);
	expect_calls(test);
}

static void walk_empty_range(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned int kinds = ENTRIES | HOLES | BIT(CALL_TEST) | BIT(CALL_PRE);
	unsigned long start = somewhere(), end = start + PAGE_SIZE;

	map_and_fault_in(test, start, 2);
	KUNIT_EXPECT_EQ(test, walk_range(t, kinds, start, start), -EINVAL);
	KUNIT_EXPECT_EQ(test, walk_range(t, kinds, end, start), -EINVAL);
	KUNIT_EXPECT_EQ(test, walk_range_vma(t, kinds, start, start, start),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, walk_range_vma(t, kinds, start, end, start),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, walk_debug(t, kinds, start, start), -EINVAL);
	KUNIT_EXPECT_EQ(test, walk_debug(t, kinds, end, start), -EINVAL);
	KUNIT_EXPECT_EQ(test, walk_kernel(t, kinds, PAGE_OFFSET, PAGE_OFFSET),
			-EINVAL);
	expect_calls(test);
}

static void walk_range_vma_stays_inside(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned int kinds = ENTRIES | HOLES | BIT(CALL_PRE);
	unsigned long start = somewhere(), end = start + 4 * PAGE_SIZE;

	map_and_fault_in(test, start, 4);
	KUNIT_EXPECT_EQ(test, walk_range_vma(t, kinds, start,
					     start - PAGE_SIZE, end), -EINVAL);
	KUNIT_EXPECT_EQ(test, walk_range_vma(t, kinds, start,
					     start, end + PAGE_SIZE), -EINVAL);
	KUNIT_EXPECT_EQ(test, walk_range_vma(t, kinds, start,
					     end, end + PAGE_SIZE), -EINVAL);
	expect_calls(test);
}

static void walk_range_vma_part(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere();

	map_and_fault_in(test, start, 4);
	KUNIT_EXPECT_EQ(test, walk_range_vma(t, ENTRIES | BIT(CALL_TEST), start,
					     start + PAGE_SIZE,
					     start + 3 * PAGE_SIZE), 0);
	want_tree(t, ENTRIES, CALL_PGD, start + PAGE_SIZE,
		  start + 3 * PAGE_SIZE);
	expect_calls(test);
}

static void walk_vma_whole(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere();

	map_and_fault_in(test, start, 4);
	KUNIT_EXPECT_EQ(test, walk_vma(t, ENTRIES | BIT(CALL_TEST), start), 0);
	want_tree(t, ENTRIES, CALL_PGD, start, start + 4 * PAGE_SIZE);
	expect_calls(test);
}

/* Holes */

/* A hole at @level, right behind something that is mapped. */
static unsigned long want_hole_at(struct kunit *test, enum call_kind level)
{
	struct pagewalk_test *t = test->priv;
	unsigned long addr = boundary(test, level);
	enum call_kind above, last = level;

	map_and_fault_in(test, addr - PAGE_SIZE, 1);

	/* It is the last one of the levels folded into it that is empty. */
	while (last < CALL_PMD && is_folded(last + 1))
		last++;
	if (find_empty(t, addr) != last)
		kunit_skip(test, "%s: all tables below are preallocated",
			   call_name[level]);
	for (above = CALL_PGD; above < last; above++)
		want_call(t, above, addr, addr + PAGE_SIZE);
	want_hole(t, level, addr, addr + PAGE_SIZE);
	return addr;
}

static void walk_hole(struct kunit *test)
{
	const struct level_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	unsigned long addr = want_hole_at(test, param->level);

	map_anon(test, addr, 1);
	KUNIT_EXPECT_EQ(test, walk_range(t, ENTRIES | HOLES, addr,
					 addr + PAGE_SIZE), 0);
	expect_calls(test);
}

/* Without VMAs there are holes, but no gaps. */
static void walk_debug_hole(struct kunit *test)
{
	const struct level_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	unsigned long addr = want_hole_at(test, param->level);

	KUNIT_EXPECT_EQ(test, walk_debug(t, ENTRIES | HOLES, addr,
					 addr + PAGE_SIZE), 0);
	expect_calls(test);
}

/* An empty PTE is an entry, not a hole. */
static void walk_empty_pte(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere();

	map_anon(test, start, 3);
	fault_in(test, start + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, walk_range(t, BIT(CALL_PTE) | HOLES, start,
					 start + 3 * PAGE_SIZE), 0);
	want_ptes(t, start, 3);
	expect_calls(test);
}

static void walk_gaps(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere();

	map_and_fault_in(test, start + PAGE_SIZE, 1);
	map_and_fault_in(test, start + 4 * PAGE_SIZE, 1);
	KUNIT_EXPECT_EQ(test, walk_range(t, BIT(CALL_PTE) | HOLES, start,
					 start + 7 * PAGE_SIZE), 0);
	want_gap(t, start, start + PAGE_SIZE);
	want_ptes(t, start + PAGE_SIZE, 1);
	want_gap(t, start + 2 * PAGE_SIZE, start + 4 * PAGE_SIZE);
	want_ptes(t, start + 4 * PAGE_SIZE, 1);
	want_gap(t, start + 5 * PAGE_SIZE, start + 7 * PAGE_SIZE);
	expect_calls(test);
}

/* What the callbacks answer */

struct kind_param {
	enum call_kind kind;
	const char *name;
};

static const struct kind_param negative_params[] = {
	{ CALL_PGD, "pgd_entry" },
	{ CALL_P4D, "p4d_entry" },
	{ CALL_PUD, "pud_entry" },
	{ CALL_PMD, "pmd_entry" },
	{ CALL_PTE, "pte_entry" },
	{ CALL_HOLE, "pte_hole" },
	{ CALL_GAP, "pte_hole_no_vma" },
	{ CALL_TEST, "test_walk" },
	{ CALL_PRE, "pre_vma" },
};

KUNIT_ARRAY_PARAM_DESC(negative, negative_params, name);

static void negative_ends_walk(struct kunit *test)
{
	const struct kind_param *param = test->param_value;
	unsigned int kinds = ENTRIES | HOLES | BIT(CALL_TEST) | BIT(CALL_PRE);
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere();
	const struct call *last;
	unsigned int i;

	/* Something to be called for, and something that may not be reached. */
	map_and_fault_in(test, start, 1);
	map_anon(test, start + PMD_SIZE, 1);
	map_and_fault_in(test, start + 2 * PMD_SIZE, 1);

	t->ret[param->kind] = -EIO;
	KUNIT_EXPECT_EQ(test, walk_range(t, kinds, start,
					 start + 2 * PMD_SIZE + PAGE_SIZE), -EIO);

	KUNIT_ASSERT_GT(test, t->got.nr, 0);
	last = &t->got.call[t->got.nr - 1];
	KUNIT_EXPECT_EQ(test, last->kind, param->kind);
	for (i = 0; i < t->got.nr - 1; i++)
		KUNIT_EXPECT_NE(test, t->got.call[i].kind, param->kind);
}

/* The entry is handled, and the walk goes on with the next one. */
static void expect_skip(struct kunit *test, int ret)
{
	const struct level_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	unsigned long mid = boundary(test, CALL_PGD);
	unsigned long start = mid - PAGE_SIZE, end = mid + PAGE_SIZE;
	int err = -EIO;

	map_and_fault_in(test, start, 2);
	t->ret[param->level] = ret;
	if (ret == PAGE_WALK_SKIP) {
		err = walk_range(t, ENTRIES, start, end);
	} else {
		kunit_warning_suppress(test)
			err = walk_range(t, ENTRIES, start, end);
	}
	KUNIT_EXPECT_EQ(test, err, 0);
	want_tree(t, GENMASK(param->level, CALL_PGD), CALL_PGD, start, end);
	expect_calls(test);
}

static void skip_skips_what_is_below(struct kunit *test)
{
	expect_skip(test, PAGE_WALK_SKIP);
}

/* It is not said with any other value, but there is nothing else it can be. */
static void positive_skips_what_is_below(struct kunit *test)
{
	expect_skip(test, 42);
}

static void again_takes_the_entry_again(struct kunit *test)
{
	const struct level_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	unsigned long mid = boundary(test, CALL_PGD);
	unsigned long start = mid - PAGE_SIZE, end = mid + PAGE_SIZE;

	map_and_fault_in(test, start, 2);
	t->ret[param->level] = PAGE_WALK_AGAIN;
	KUNIT_EXPECT_EQ(test, walk_range(t, ENTRIES, start, end), 0);
	want_tree(t, GENMASK(param->level, CALL_PGD), CALL_PGD, start, mid);
	want_tree(t, GENMASK(CALL_PTE, param->level), param->level, start, mid);
	want_tree(t, ENTRIES, CALL_PGD, mid, end);
	expect_calls(test);
}

/* VMAs */

static void test_walk_goes(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere();

	map_and_fault_in(test, start, 3);
	KUNIT_EXPECT_EQ(test, walk_range(t, BIT(CALL_TEST) | BIT(CALL_PTE),
					 start + PAGE_SIZE,
					 start + 2 * PAGE_SIZE), 0);
	want_call(t, CALL_TEST, start + PAGE_SIZE, start + 2 * PAGE_SIZE);
	want_ptes(t, start + PAGE_SIZE, 1);
	expect_calls(test);
}

static void test_walk_skips(struct kunit *test)
{
	unsigned int kinds = ENTRIES | HOLES | BIT(CALL_TEST) | BIT(CALL_PRE) |
			     BIT(CALL_POST);
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere();

	map_and_fault_in(test, start, 2);
	map_and_fault_in(test, start + 3 * PAGE_SIZE, 1);
	t->ret[CALL_TEST] = 1;
	KUNIT_EXPECT_EQ(test, walk_range(t, kinds, start,
					 start + 4 * PAGE_SIZE), 0);
	want_call(t, CALL_TEST, start, start + 2 * PAGE_SIZE);
	want_gap(t, start + 2 * PAGE_SIZE, start + 3 * PAGE_SIZE);
	want_call(t, CALL_TEST, start + 3 * PAGE_SIZE, start + 4 * PAGE_SIZE);
	expect_calls(test);
}

static void pre_and_post_vma(struct kunit *test)
{
	unsigned int kinds = BIT(CALL_PTE) | BIT(CALL_PRE) | BIT(CALL_POST);
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere();

	map_and_fault_in(test, start, 1);
	map_and_fault_in(test, start + 2 * PAGE_SIZE, 1);
	KUNIT_EXPECT_EQ(test, walk_range(t, kinds, start,
					 start + 3 * PAGE_SIZE), 0);
	want_call(t, CALL_PRE, start, start + PAGE_SIZE);
	want_ptes(t, start, 1);
	want_call(t, CALL_POST, start, start + PAGE_SIZE);
	start += 2 * PAGE_SIZE;
	want_call(t, CALL_PRE, start, start + PAGE_SIZE);
	want_ptes(t, start, 1);
	want_call(t, CALL_POST, start, start + PAGE_SIZE);
	expect_calls(test);
}

/* What pre_vma() began, post_vma() ends, whatever happened in between. */
static void post_vma_after_error(struct kunit *test)
{
	unsigned int kinds = BIT(CALL_PTE) | BIT(CALL_PRE) | BIT(CALL_POST);
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere();

	map_and_fault_in(test, start, 2);
	t->ret[CALL_PTE] = -EIO;
	KUNIT_EXPECT_EQ(test, walk_range(t, kinds, start,
					 start + 2 * PAGE_SIZE), -EIO);
	want_call(t, CALL_PRE, start, start + 2 * PAGE_SIZE);
	want_ptes(t, start, 1);
	want_call(t, CALL_POST, start, start + 2 * PAGE_SIZE);
	expect_calls(test);
}

static void no_post_vma_after_pre_vma_error(struct kunit *test)
{
	unsigned int kinds = BIT(CALL_PTE) | BIT(CALL_PRE) | BIT(CALL_POST);
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere();

	map_and_fault_in(test, start, 1);
	t->ret[CALL_PRE] = -EIO;
	KUNIT_EXPECT_EQ(test, walk_range(t, kinds, start, start + PAGE_SIZE),
			-EIO);
	want_call(t, CALL_PRE, start, start + PAGE_SIZE);
	expect_calls(test);
}

/* Installing */

static void install_is_refused(struct kunit *test)
{
	unsigned int kinds = ENTRIES | BIT(CALL_INSTALL);
	struct pagewalk_test *t = test->priv;
	struct mm_walk_ops ops = make_ops(kinds);
	unsigned long start = somewhere(), end = start + PAGE_SIZE;
	struct file *file = open_pfn_file(test);

	map(test, file, start, PAGE_SIZE, 0);

	KUNIT_EXPECT_EQ(test, walk_range(t, kinds, start, end), -EINVAL);
	KUNIT_EXPECT_EQ(test, walk_range_vma(t, kinds, start, start, end),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, walk_vma(t, kinds, start), -EINVAL);
	KUNIT_EXPECT_EQ(test, walk_mapping(t, &ops, file, 0, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, walk_debug(t, kinds, start, end), -EINVAL);
	KUNIT_EXPECT_EQ(test, walk_kernel(t, kinds, PAGE_OFFSET,
					  PAGE_OFFSET + PAGE_SIZE), -EINVAL);
	expect_calls(test);
}

/* Every table that is missing, and each PTE once. */
static void install_fills_holes(struct kunit *test)
{
	const struct level_param *param = test->param_value;
	unsigned int kinds = ENTRIES | HOLES | BIT(CALL_INSTALL);
	struct pagewalk_test *t = test->priv;
	unsigned long mid = boundary(test, param->level);
	unsigned long start = mid - 2 * PAGE_SIZE, end = mid + 2 * PAGE_SIZE;

	map_anon(test, start, 4);
	KUNIT_EXPECT_EQ(test, walk_range_unsafe(t, kinds, start, end), 0);
	want_tree(t, kinds, CALL_PGD, start, end);
	expect_calls(test);

	/* All of them are there now: pte_entry() sees them. */
	forget_calls(t);
	KUNIT_EXPECT_EQ(test, walk_range_unsafe(t, kinds, start, end), 0);
	want_tree(t, ENTRIES, CALL_PGD, start, end);
	expect_calls(test);
}

static void install_leaves_the_rest_alone(struct kunit *test)
{
	unsigned int kinds = BIT(CALL_PTE) | BIT(CALL_INSTALL);
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere();

	map_anon(test, start, 3);
	fault_in(test, start + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, walk_range_unsafe(t, kinds, start,
						start + 3 * PAGE_SIZE), 0);
	want_call(t, CALL_INSTALL, start, start + PAGE_SIZE);
	want_ptes(t, start + PAGE_SIZE, 1);
	want_call(t, CALL_INSTALL, start + 2 * PAGE_SIZE,
		  start + 3 * PAGE_SIZE);
	expect_calls(test);
	expect_leaf(test, start + PAGE_SIZE, CALL_PTE);
}

static void install_alone(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere();

	map_anon(test, start, 3);
	fault_in(test, start + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, walk_range_unsafe(t, BIT(CALL_INSTALL), start,
						start + 3 * PAGE_SIZE), 0);
	want_call(t, CALL_INSTALL, start, start + PAGE_SIZE);
	want_call(t, CALL_INSTALL, start + 2 * PAGE_SIZE,
		  start + 3 * PAGE_SIZE);
	expect_calls(test);
	expect_leaf(test, start + PAGE_SIZE, CALL_PTE);
}

static void install_negative_ends_walk(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere();

	map_anon(test, start, 2);
	t->ret[CALL_INSTALL] = -EIO;
	KUNIT_EXPECT_EQ(test, walk_range_unsafe(t, BIT(CALL_INSTALL), start,
						start + 2 * PAGE_SIZE), -EIO);
	want_call(t, CALL_INSTALL, start, start + PAGE_SIZE);
	expect_calls(test);
}

/* Walks that ignore VMAs */

static void walk_debug_order(struct kunit *test)
{
	unsigned int kinds = ENTRIES | HOLES | BIT(CALL_TEST) | BIT(CALL_PRE) |
			     BIT(CALL_POST);
	struct pagewalk_test *t = test->priv;
	unsigned long mid = boundary(test, CALL_PGD);
	unsigned long start = mid - PAGE_SIZE, end = mid + PAGE_SIZE;

	map_and_fault_in(test, start, 1);
	map_and_fault_in(test, mid, 1);
	KUNIT_EXPECT_EQ(test, walk_debug(t, kinds, start, end), 0);
	want_tree(t, ENTRIES, CALL_PGD, start, end);
	expect_calls(test);
}

static void walk_vmalloc(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	void *p = vmalloc(5 * PAGE_SIZE);
	unsigned long start = (unsigned long)p;
	int err;

	KUNIT_ASSERT_NOT_NULL(test, p);
	err = walk_kernel(t, BIT(CALL_PTE) | HOLES, start,
			  start + 5 * PAGE_SIZE);
	vfree(p);

	KUNIT_EXPECT_EQ(test, err, 0);
	want_ptes(t, start, 5);
	expect_calls(test);
}

/* VM_PFNMAP: not walked, unless the caller shows that it can deal with it */

static unsigned long map_two_pfns(struct kunit *test)
{
	unsigned long start = somewhere();

	map(test, open_pfn_file(test), start, 2 * PAGE_SIZE, 0);
	fault_in_leaf(test, start, CALL_PTE);
	return start;
}

static void pfnmap_is_skipped(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_two_pfns(test);
	unsigned long mid = start + 2 * PAGE_SIZE;

	map_and_fault_in(test, mid, 1);
	KUNIT_EXPECT_EQ(test, walk_range(t, BIT(CALL_PTE), start,
					 mid + PAGE_SIZE), 0);
	want_ptes(t, mid, 1);
	expect_calls(test);
}

static void pfnmap_is_a_hole(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_two_pfns(test);
	unsigned long mid = start + 2 * PAGE_SIZE;

	map_and_fault_in(test, mid, 1);
	KUNIT_EXPECT_EQ(test, walk_range(t, BIT(CALL_PTE) | HOLES, start,
					 mid + PAGE_SIZE), 0);
	want_hole(t, -1, start, mid);
	want_ptes(t, mid, 1);
	expect_calls(test);
}

static void pfnmap_with_test_walk(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_two_pfns(test);
	unsigned long end = start + 2 * PAGE_SIZE;

	KUNIT_EXPECT_EQ(test, walk_range(t, BIT(CALL_PTE) | BIT(CALL_TEST),
					 start, end), 0);
	want_call(t, CALL_TEST, start, end);
	want_ptes(t, start, 2);
	expect_calls(test);
}

static void pfnmap_by_vma(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_two_pfns(test);

	KUNIT_EXPECT_EQ(test, walk_vma(t, BIT(CALL_PTE) | HOLES, start), 0);
	want_ptes(t, start, 2);
	expect_calls(test);
}

/* hugetlb: there need not be a page, for a missing one is an entry, too */

static unsigned long map_hugetlb(struct kunit *test, unsigned long *size)
{
	unsigned long addr = ALIGN(somewhere(), PUD_SIZE);
	struct file *file;

	file = hugetlb_file_setup("pagewalk", PMD_SIZE,
				  mk_vma_flags(VMA_NORESERVE_BIT),
				  HUGETLB_ANONHUGE_INODE, 0);
	if (IS_ERR(file))
		kunit_skip(test, "no hugetlb: %pe", file);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, put_file, file));
	*size = huge_page_size(hstate_inode(file_inode(file)));
	map(test, file, addr, 2 * *size, 0);
	return addr;
}

static void hugetlb_is_passed_over(struct kunit *test)
{
	/* Not CALL_PTE: if it did not work, that would split the page. */
	unsigned int kinds = BIT(CALL_PGD) | BIT(CALL_P4D) | BIT(CALL_PUD) |
			     BIT(CALL_PMD) | HOLES | BIT(CALL_TEST) |
			     BIT(CALL_PRE) | BIT(CALL_POST);
	struct pagewalk_test *t = test->priv;
	unsigned long size;
	unsigned long start = map_hugetlb(test, &size);
	unsigned long end = start + 2 * size;

	/* It is all right if no page is left: then only the table is there. */
	try_fault_in(t, start);

	KUNIT_EXPECT_EQ(test, walk_range(t, kinds, start, end), 0);
	want_call(t, CALL_TEST, start, end);
	want_call(t, CALL_PRE, start, end);
	want_call(t, CALL_POST, start, end);
	expect_calls(test);
}

/* Even if it is made of a page that has been something else before */
static void new_table_is_not_shared(struct kunit *test)
{
#ifdef CONFIG_HUGETLB_PMD_PAGE_TABLE_SHARING
	struct pagewalk_test *t = test->priv;
	struct page *page = NULL;
	pud_t *table = NULL;

	for (int i = 0; i < 1000; i++) {
		page = alloc_page(GFP_PGTABLE_USER);
		KUNIT_ASSERT_NOT_NULL(test, page);
		page_ptdesc(page)->pt_index = 1;
		__free_page(page);

		table = pud_alloc_one(t->mm, 0);
		if (!table)
			kunit_skip(test, "there are no PUDs");
		if (virt_to_page(table) == page)
			break;
		pud_free(t->mm, table);
		table = NULL;
	}
	if (!table)
		kunit_skip(test, "always got another page");
	KUNIT_EXPECT_FALSE(test, ptdesc_pmd_is_shared(virt_to_ptdesc(table)));
	pud_free(t->mm, table);
#else
	kunit_skip(test, "this kernel does not share page tables");
#endif
}

static void hugetlb_install_is_refused(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long size;
	unsigned long start = map_hugetlb(test, &size);

	KUNIT_EXPECT_EQ(test, walk_range_unsafe(t, ENTRIES | BIT(CALL_INSTALL),
						start, start + size), -EINVAL);
	expect_calls(test);
}

/* Anonymous huge pages */

static void thp_is_kept(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_thp(test);

	KUNIT_EXPECT_EQ(test, walk_vma(t, BIT(CALL_PMD), start), 0);
	want_call(t, CALL_PMD, start, start + PMD_SIZE);
	expect_calls(test);
	expect_leaf(test, start, CALL_PMD);
}

static void thp_is_kept_by_skip(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_thp(test);

	t->ret[CALL_PMD] = PAGE_WALK_SKIP;
	KUNIT_EXPECT_EQ(test, walk_vma(t, BIT(CALL_PMD) | BIT(CALL_PTE) | HOLES,
				       start), 0);
	want_call(t, CALL_PMD, start, start + PMD_SIZE);
	expect_calls(test);
	expect_leaf(test, start, CALL_PMD);
}

static void thp_is_kept_by_install(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_thp(test);

	KUNIT_EXPECT_EQ(test, walk_range_unsafe(t, BIT(CALL_INSTALL), start,
						start + PMD_SIZE), 0);
	expect_calls(test);
	expect_leaf(test, start, CALL_PMD);
}

static void thp_is_split_for_pte_entry(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_thp(test);

	KUNIT_EXPECT_EQ(test, walk_vma(t, BIT(CALL_PMD) | BIT(CALL_PTE) | HOLES,
				       start), 0);
	want_call(t, CALL_PMD, start, start + PMD_SIZE);
	want_ptes(t, start, PTRS_PER_PTE);
	expect_calls(test);
	expect_leaf(test, start, CALL_PTE);
}

/*
 * An entry that changes between the snapshot and the answer. Each address has
 * to be dealt with once: what is there in the end, or what was there before.
 */

static void free_table(struct mm_struct *mm, pmd_t *pmdp)
{
	spinlock_t *ptl = pmd_lock(mm, pmdp);
	pmd_t pmd = pmdp_get(pmdp);

	if (!pmd_none(pmd)) {
		pmd_clear(pmdp);
		mm_dec_nr_ptes(mm);
	}
	spin_unlock(ptl);
	if (!pmd_none(pmd)) {
		flush_tlb_mm(mm);
		synchronize_rcu();
		pte_free(mm, pmd_pgtable(pmd));
	}
}

/* Nothing at all, not even a table */
static bool to_none(struct pagewalk_test *t, struct vm_area_struct *vma,
		    pmd_t *pmdp, unsigned long addr)
{
	zap_vma_range(vma, addr, PMD_SIZE);
	free_table(t->mm, pmdp);
	return true;
}

/* A table with one page, which is not the one that was there before. */
static bool to_table(struct pagewalk_test *t, struct vm_area_struct *vma,
		     pmd_t *pmdp, unsigned long addr)
{
	vm_flags_t huge = vma->vm_flags & VM_HUGEPAGE;
	int err;

	if (!to_none(t, vma, pmdp, addr))
		return false;
	vm_flags_mod(vma, VM_NOHUGEPAGE, huge);
	err = fixup_user_fault(t->mm, addr, FAULT_FLAG_WRITE, NULL);
	vm_flags_mod(vma, huge, VM_NOHUGEPAGE);
	return !err && !pmd_leaf(pmdp_get(pmdp));
}

static bool to_leaf(struct pagewalk_test *t, struct vm_area_struct *vma,
		    pmd_t *pmdp, unsigned long addr)
{
	return to_none(t, vma, pmdp, addr) &&
	       !fixup_user_fault(t->mm, addr, FAULT_FLAG_WRITE, NULL) &&
	       pmd_leaf(pmdp_get(pmdp));
}

static bool to_split(struct pagewalk_test *t, struct vm_area_struct *vma,
		     pmd_t *pmdp, unsigned long addr)
{
	split_huge_pmd(vma, pmdp, addr);
	return !pmd_leaf(pmdp_get(pmdp));
}

static bool to_migration(struct pagewalk_test *t, struct vm_area_struct *vma,
			 pmd_t *pmdp, unsigned long addr)
{
	struct page_vma_mapped_walk pvmw = {
		.vma = vma,
		.pmd = pmdp,
		.address = addr,
	};
	struct folio *folio;
	int err;

	if (!thp_migration_supported() || !to_leaf(t, vma, pmdp, addr))
		return false;

	folio = pmd_folio(pmdp_get(pmdp));
	folio_get(folio);
	folio_lock(folio);
	pvmw.ptl = pmd_lock(t->mm, pmdp);
	err = set_pmd_migration_entry(&pvmw, folio_page(folio, 0));
	spin_unlock(pvmw.ptl);
	t->migrating = folio;
	return !err;
}

static void end_migration(struct pagewalk_test *t)
{
	if (!thp_migration_supported() || !t->migrating)
		return;
	remove_migration_ptes(t->migrating, t->migrating, 0);
	folio_unlock(t->migrating);
	folio_put(t->migrating);
	t->migrating = NULL;
}

static int note_and_change_pmd(pmd_t *pmdp, pmd_t pmd, unsigned long addr,
			       unsigned long end, struct mm_walk *walk)
{
	struct pagewalk_test *t = walk->private;
	const struct change *change = t->change;

	t->change = NULL;
	if (change)
		t->changed = change->to(t, walk->vma, pmdp, addr & PMD_MASK);
	return note_call(walk, CALL_PMD, addr, end, 0);
}

/* For the whole of a PMD that is a table with a page in the middle of it */
static unsigned long map_table(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long addr = ALIGN(somewhere(), PMD_SIZE);

	map_anon(test, addr, PTRS_PER_PTE);
	if (IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		KUNIT_ASSERT_EQ(test, 0, do_madvise(t->mm, addr, PMD_SIZE,
						    MADV_NOHUGEPAGE));
	fault_in(test, addr + PMD_SIZE / 2);
	if (IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		KUNIT_ASSERT_EQ(test, 0, do_madvise(t->mm, addr, PMD_SIZE,
						    MADV_HUGEPAGE));
	return addr;
}

/* The write lock, because to_none() frees a table. */
static int walk_changing(struct pagewalk_test *t, unsigned int kinds,
			 unsigned long start, unsigned long end,
			 const struct change *change, int ret)
{
	struct mm_walk_ops ops = make_ops(kinds);
	int err;

	ops.pmd_entry = note_and_change_pmd;
	t->change = change;
	t->ret[CALL_PMD] = ret;
	mmap_write_lock(t->mm);
	vma_start_write(vma_lookup(t->mm, start));
	err = walk_page_range_mm_unsafe(t->mm, start, end, &ops, t);
	mmap_write_unlock(t->mm);
	end_migration(t);
	return err;
}

struct change_param {
	struct change change;
	/* Is pmd_entry() called again after it has said 0, what comes then? */
	bool twice;
	enum call_kind then;
};

static void change_desc(const struct change_param *param, char *desc)
{
	strscpy(desc, param->change.name, KUNIT_PARAM_DESC_SIZE);
}

static const struct change_param table_changes[] = {
	{ { to_none, "none" },			false,	CALL_HOLE },
	{ { to_table, "another_table" },	false,	CALL_PTE },
	{ { to_leaf, "leaf" },			true,	CALL_PTE },
	{ { to_migration, "migration_entry" },	true,	CALL_PTE },
};

KUNIT_ARRAY_PARAM(table_change, table_changes, change_desc);

static const struct change_param leaf_changes[] = {
	{ { to_none, "none" },			false,	CALL_HOLE },
	{ { to_table, "table" },		true,	CALL_PTE },
	{ { to_split, "split" },		true,	CALL_PTE },
	{ { to_leaf, "another_leaf" },		false,	CALL_PTE },
	{ { to_migration, "migration_entry" },	false,	CALL_PTE },
};

KUNIT_ARRAY_PARAM(leaf_change, leaf_changes, change_desc);

static void want_after_change(struct pagewalk_test *t, bool twice,
			      enum call_kind then, unsigned long start,
			      unsigned long end)
{
	want_call(t, CALL_PMD, start, end);
	if (twice)
		want_call(t, CALL_PMD, start, end);
	if (then == CALL_PTE)
		want_ptes(t, start, (end - start) / PAGE_SIZE);
	else if (then == CALL_HOLE)
		want_hole(t, CALL_PMD, start, end);
}

static void need_change(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;

	if (!t->changed)
		kunit_skip(test, "no such change here");
}

/* Not handled, says the callback: what is below is walked, or a hole. */
static void expect_change(struct kunit *test, unsigned long start)
{
	const struct change_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	unsigned long end = start + PMD_SIZE;

	KUNIT_EXPECT_EQ(test, 0, walk_changing(t, BIT(CALL_PTE) | HOLES,
					       start, end, &param->change, 0));
	need_change(test);
	want_after_change(t, param->twice, param->then, start, end);
	expect_calls(test);
}

static void table_changes_before_0(struct kunit *test)
{
	expect_change(test, map_table(test));
}

static void leaf_changes_before_0(struct kunit *test)
{
	expect_change(test, map_thp(test));
}

/* The same for a part of it: nothing outside of the range is called for. */
static void table_changes_in_part(struct kunit *test)
{
	const struct change_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_table(test) + 3 * PAGE_SIZE;
	unsigned long end = start + 2 * PAGE_SIZE;

	KUNIT_EXPECT_EQ(test, 0, walk_changing(t, BIT(CALL_PTE) | HOLES,
					       start, end, &param->change, 0));
	need_change(test);
	want_after_change(t, param->twice, param->then, start, end);
	expect_calls(test);
}

/* Look again: as often as it is said, then as if nothing had been. */
static void expect_again(struct kunit *test, unsigned long start)
{
	const struct change_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	unsigned long end = start + PMD_SIZE;

	KUNIT_EXPECT_EQ(test, 0, walk_changing(t, BIT(CALL_PTE) | HOLES, start,
					       end, &param->change,
					       PAGE_WALK_AGAIN));
	need_change(test);
	want_after_change(t, param->then != CALL_HOLE, param->then, start, end);
	expect_calls(test);
}

static void table_changes_before_again(struct kunit *test)
{
	expect_again(test, map_table(test));
}

static void leaf_changes_before_again(struct kunit *test)
{
	expect_again(test, map_thp(test));
}

/* Handled, says the callback: nothing else is looked at. */
static void expect_change_skipped(struct kunit *test, unsigned long start)
{
	const struct change_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	unsigned long end = start + PMD_SIZE;

	KUNIT_EXPECT_EQ(test, 0, walk_changing(t, BIT(CALL_PTE) | HOLES, start,
					       end, &param->change,
					       PAGE_WALK_SKIP));
	need_change(test);
	want_call(t, CALL_PMD, start, end);
	expect_calls(test);
}

static void table_changes_before_skip(struct kunit *test)
{
	expect_change_skipped(test, map_table(test));
}

static void leaf_changes_before_skip(struct kunit *test)
{
	expect_change_skipped(test, map_thp(test));
}

/* 0 out of habit, with nothing to be called for below: one call, no split. */
static void expect_change_ignored(struct kunit *test, unsigned long start)
{
	const struct change_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	unsigned long end = start + PMD_SIZE;

	KUNIT_EXPECT_EQ(test, 0, walk_changing(t, 0, start, end,
					       &param->change, 0));
	need_change(test);
	want_call(t, CALL_PMD, start, end);
	expect_calls(test);
}

static void table_changes_with_nothing_below(struct kunit *test)
{
	expect_change_ignored(test, map_table(test));
}

static void leaf_changes_with_nothing_below(struct kunit *test)
{
	expect_change_ignored(test, map_thp(test));
}

/* A table that goes away is installed again. */
static void table_goes_before_install(struct kunit *test)
{
	static const struct change none = { to_none };
	unsigned int kinds = BIT(CALL_PTE) | BIT(CALL_INSTALL);
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_table(test), end = start + PMD_SIZE;

	KUNIT_EXPECT_EQ(test, 0, walk_changing(t, kinds, start, end, &none, 0));
	want_call(t, CALL_PMD, start, end);
	want_call(t, CALL_PMD, start, end);
	want_tree(t, kinds, CALL_PTE, start, end);
	expect_calls(test);
}

/* What is not for them to skip, other callbacks cannot end either. */
static const struct kind_param positive_params[] = {
	{ CALL_PTE, "pte_entry" },
	{ CALL_HOLE, "pte_hole" },
	{ CALL_GAP, "pte_hole_no_vma" },
	{ CALL_PRE, "pre_vma" },
	{ CALL_INSTALL, "install_pte" },
};

KUNIT_ARRAY_PARAM_DESC(positive, positive_params, name);

static void positive_ends_nothing(struct kunit *test)
{
	const struct kind_param *param = test->param_value;
	unsigned int kinds = BIT(CALL_PTE) | HOLES;
	bool install = param->kind == CALL_INSTALL;
	struct pagewalk_test *t = test->priv;
	unsigned long start, end;
	int err = -EIO;

	if (param->kind == CALL_PRE || install) {
		kinds = BIT(param->kind);
		start = somewhere();
		end = start + 3 * PAGE_SIZE;
		map_anon(test, start, 1);
		map_anon(test, start + 2 * PAGE_SIZE, 1);
		want_call(t, param->kind, start, start + PAGE_SIZE);
		want_call(t, param->kind, start + 2 * PAGE_SIZE, end);
	} else {
		start = somewhere();
		end = start + 2 * PMD_SIZE + PAGE_SIZE;
		map_and_fault_in(test, start, 2);
		map_anon(test, start + PMD_SIZE, 1);
		map_and_fault_in(test, start + 2 * PMD_SIZE, 1);
		want_ptes(t, start, 2);
		want_gap(t, start + 2 * PAGE_SIZE, start + PMD_SIZE);
		want_hole(t, CALL_PMD, start + PMD_SIZE,
			  start + PMD_SIZE + PAGE_SIZE);
		want_gap(t, start + PMD_SIZE + PAGE_SIZE, end - PAGE_SIZE);
		want_ptes(t, end - PAGE_SIZE, 1);
	}

	t->ret[param->kind] = 42;
	kunit_warning_suppress(test) {
		err = install ? walk_range_unsafe(t, kinds, start, end) :
				walk_range(t, kinds, start, end);
	}
	KUNIT_EXPECT_EQ(test, err, 0);
	expect_calls(test);
}

/* Nor do they have an entry that can be taken again. */
static const struct kind_param no_entry_params[] = {
	{ CALL_PTE, "pte_entry" },
	{ CALL_HOLE, "pte_hole" },
	{ CALL_GAP, "pte_hole_no_vma" },
	{ CALL_TEST, "test_walk" },
	{ CALL_PRE, "pre_vma" },
	{ CALL_INSTALL, "install_pte" },
};

KUNIT_ARRAY_PARAM_DESC(no_entry, no_entry_params, name);

static void again_ends_walk_elsewhere(struct kunit *test)
{
	const struct kind_param *param = test->param_value;
	unsigned int kinds = BIT(param->kind);
	struct pagewalk_test *t = test->priv;
	unsigned long start, end;
	int err = -EIO;

	start = somewhere();
	end = start + 2 * PMD_SIZE;
	map_and_fault_in(test, start, 2);
	map_anon(test, start + PMD_SIZE, 2);
	if (param->kind == CALL_HOLE || param->kind == CALL_INSTALL)
		start += PMD_SIZE;
	/* Without it there is no reason to look for holes in a table. */
	if (param->kind == CALL_HOLE)
		kinds |= BIT(CALL_PTE);

	t->ret[param->kind] = PAGE_WALK_AGAIN;
	kunit_warning_suppress(test) {
		err = param->kind == CALL_INSTALL ?
		      walk_range_unsafe(t, kinds, start, start + 2 * PAGE_SIZE) :
		      walk_range(t, kinds, start, end);
	}
	KUNIT_EXPECT_EQ(test, err, -EINVAL);
	KUNIT_ASSERT_EQ(test, t->got.nr, 1);
	KUNIT_EXPECT_EQ(test, t->got.call[0].kind, param->kind);
}

/* Leaves for PFNs: what is split is gone, so a walk has to keep them */

static unsigned long map_pmd_leaf(struct kunit *test)
{
	unsigned long start = ALIGN(somewhere(), PMD_SIZE);

	need_leaves(test, CALL_PMD);
	map(test, open_pfn_file(test), start, PMD_SIZE, 0);
	fault_in_leaf(test, start, CALL_PMD);
	return start;
}

static void pmd_leaf_is_kept(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_pmd_leaf(test);

	KUNIT_EXPECT_EQ(test, walk_vma(t, BIT(CALL_PMD), start), 0);
	want_call(t, CALL_PMD, start, start + PMD_SIZE);
	expect_calls(test);
	expect_leaf(test, start, CALL_PMD);
}

static void pmd_leaf_is_kept_by_skip(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_pmd_leaf(test);

	t->ret[CALL_PMD] = PAGE_WALK_SKIP;
	KUNIT_EXPECT_EQ(test, walk_vma(t, BIT(CALL_PMD) | BIT(CALL_PTE) | HOLES,
				       start), 0);
	want_call(t, CALL_PMD, start, start + PMD_SIZE);
	expect_calls(test);
	expect_leaf(test, start, CALL_PMD);
}

/* Room for three PUD leaves, the first of them mapped. Return its address. */
static unsigned long map_pud_leaf(struct kunit *test, struct file *file)
{
	unsigned long start = boundary(test, CALL_PUD);

	need_leaves(test, CALL_PUD);
	map(test, file, start, 3 * PUD_SIZE, 0);
	fault_in_leaf(test, start, CALL_PUD);
	return start;
}

struct kinds_param {
	unsigned int kinds;
	const char *name;
};

static const struct kinds_param below_pud_params[] = {
	{ BIT(CALL_PMD), "pmd_entry" },
	{ BIT(CALL_PTE), "pte_entry" },
	{ BIT(CALL_PMD) | BIT(CALL_PTE), "pmd_entry_and_pte_entry" },
};

KUNIT_ARRAY_PARAM_DESC(below_pud, below_pud_params, name);

static void pud_leaf_is_kept(struct kunit *test)
{
	const struct kinds_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_pud_leaf(test, open_pfn_file(test));

	KUNIT_EXPECT_EQ(test, walk_range_vma(t, param->kinds, start, start,
					     start + PUD_SIZE), 0);
	expect_calls(test);
	expect_leaf(test, start, CALL_PUD);
}

static void pud_leaf_is_kept_in_part(struct kunit *test)
{
	const struct kinds_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_pud_leaf(test, open_pfn_file(test));
	unsigned long addr = start + PUD_SIZE / 2;

	KUNIT_EXPECT_EQ(test, walk_range_vma(t, param->kinds, start, addr,
					     addr + PAGE_SIZE), 0);
	expect_calls(test);
	expect_leaf(test, start, CALL_PUD);
}

static void pud_leaf_is_kept_by_mapping_walk(struct kunit *test)
{
	const struct kinds_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	struct mm_walk_ops ops = make_ops(param->kinds);
	struct file *file = open_pfn_file(test);
	unsigned long start = map_pud_leaf(test, file);

	ops.test_walk = walk_any_vma;
	KUNIT_EXPECT_EQ(test, walk_mapping(t, &ops, file, 0,
					   PUD_SIZE / PAGE_SIZE), 0);
	expect_calls(test);
	expect_leaf(test, start, CALL_PUD);
}

static void pud_leaf_is_kept_by_pud_entry(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_pud_leaf(test, open_pfn_file(test));

	KUNIT_EXPECT_EQ(test, walk_range_vma(t, BIT(CALL_PUD), start, start,
					     start + PUD_SIZE), 0);
	want_call(t, CALL_PUD, start, start + PUD_SIZE);
	expect_calls(test);
	expect_leaf(test, start, CALL_PUD);
}

static void pud_leaf_is_kept_by_skip(struct kunit *test)
{
	unsigned int kinds = BIT(CALL_PUD) | BIT(CALL_PMD) | BIT(CALL_PTE);
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_pud_leaf(test, open_pfn_file(test));

	t->ret[CALL_PUD] = PAGE_WALK_SKIP;
	KUNIT_EXPECT_EQ(test, walk_range_vma(t, kinds | HOLES, start, start,
					     start + PUD_SIZE), 0);
	want_call(t, CALL_PUD, start, start + PUD_SIZE);
	expect_calls(test);
	expect_leaf(test, start, CALL_PUD);
}

static int note_and_split_pud(pud_t *pudp, pud_t pud, unsigned long addr,
			      unsigned long end, struct mm_walk *walk)
{
	split_huge_pud(walk->vma, pudp, addr);
	return note_call(walk, CALL_PUD, addr, end, 0);
}

/* To split a PUD leaf is to clear it: the walk has to look again. */
static void pud_leaf_is_split_by_pud_entry(struct kunit *test)
{
	struct mm_walk_ops ops = make_ops(BIT(CALL_PTE) | HOLES);
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_pud_leaf(test, open_pfn_file(test));
	int err;

	ops.pud_entry = note_and_split_pud;
	mmap_read_lock(t->mm);
	err = walk_page_range_vma(vma_lookup(t->mm, start), start,
				  start + PUD_SIZE, &ops, t);
	mmap_read_unlock(t->mm);

	KUNIT_EXPECT_EQ(test, err, 0);
	want_call(t, CALL_PUD, start, start + PUD_SIZE);
	want_hole(t, CALL_PUD, start, start + PUD_SIZE);
	expect_calls(test);
}

struct pud_change_param {
	enum call_kind to;
	int ret;
	const char *name;
};

/* Leaves below, or the hole that is left, or the other leaf */
static const struct pud_change_param pud_changes[] = {
	{ CALL_HOLE,	0,			"none" },
	{ CALL_PMD,	0,			"table" },
	{ CALL_PUD,	0,			"another_leaf" },
	{ CALL_HOLE,	PAGE_WALK_AGAIN,	"none_again" },
	{ CALL_PMD,	PAGE_WALK_AGAIN,	"table_again" },
	{ CALL_PUD,	PAGE_WALK_AGAIN,	"another_leaf_again" },
};

KUNIT_ARRAY_PARAM_DESC(pud_change, pud_changes, name);

static int note_and_change_pud(pud_t *pudp, pud_t pud, unsigned long addr,
			       unsigned long end, struct mm_walk *walk)
{
	struct pagewalk_test *t = walk->private;

	if (!t->changed) {
		zap_vma_range(walk->vma, addr, PUD_SIZE);
		if (t->order)
			fixup_user_fault(t->mm, addr, FAULT_FLAG_WRITE, NULL);
		t->changed = true;
	}
	return note_call(walk, CALL_PUD, addr, end, 0);
}

static void pud_leaf_changes(struct kunit *test)
{
	const struct pud_change_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_pud_leaf(test, open_pfn_file(test));
	struct mm_walk_ops ops = make_ops(BIT(CALL_PMD) |
					  (param->to == CALL_HOLE ? HOLES : 0));
	int err;

	t->order = param->to == CALL_HOLE ? 0 :
		   get_order(entry_size(param->to));
	t->ret[CALL_PUD] = param->ret;
	ops.pud_entry = note_and_change_pud;
	mmap_read_lock(t->mm);
	err = walk_page_range_vma(vma_lookup(t->mm, start), start,
				  start + PUD_SIZE, &ops, t);
	mmap_read_unlock(t->mm);

	KUNIT_EXPECT_EQ(test, err, 0);
	want_call(t, CALL_PUD, start, start + PUD_SIZE);
	switch (param->to) {
	case CALL_PMD:
		want_call(t, CALL_PUD, start, start + PUD_SIZE);
		want_call(t, CALL_PMD, start, start + PMD_SIZE);
		break;
	case CALL_PUD:
		if (param->ret)
			want_call(t, CALL_PUD, start, start + PUD_SIZE);
		break;
	default:
		want_hole(t, CALL_PUD, start, start + PUD_SIZE);
	}
	expect_calls(test);
	expect_leaf(test, start, param->to);
}

/* A leaf, a table, a leaf: the table is still walked, by pmd_entry() ... */
static void pud_leaf_between_pmds(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_pud_leaf(test, open_pfn_file(test));
	unsigned long mid = start + PUD_SIZE, end = mid + PUD_SIZE;

	fault_in_leaf(test, mid, CALL_PTE);
	fault_in_leaf(test, end - PMD_SIZE, CALL_PMD);
	fault_in_leaf(test, end, CALL_PUD);

	KUNIT_EXPECT_EQ(test, walk_vma(t, BIT(CALL_PMD), start), 0);
	want_call(t, CALL_PMD, mid, mid + PMD_SIZE);
	want_call(t, CALL_PMD, end - PMD_SIZE, end);
	expect_calls(test);
	expect_leaf(test, start, CALL_PUD);
	expect_leaf(test, mid, CALL_PTE);
	expect_leaf(test, end - PMD_SIZE, CALL_PMD);
	expect_leaf(test, end, CALL_PUD);
}

/* ... and by pte_entry(). */
static void pud_leaf_between_ptes(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_pud_leaf(test, open_pfn_file(test));
	unsigned long mid = start + PUD_SIZE, end = mid + PUD_SIZE;

	fault_in_leaf(test, mid + PMD_SIZE, CALL_PTE);
	fault_in_leaf(test, end, CALL_PUD);

	KUNIT_EXPECT_EQ(test, walk_vma(t, BIT(CALL_PTE), start), 0);
	want_ptes(t, mid + PMD_SIZE, PTRS_PER_PTE);
	expect_calls(test);
	expect_leaf(test, start, CALL_PUD);
	expect_leaf(test, end, CALL_PUD);
}

/* walk_page_mapping() */

/*
 *	file	0   1   2   3   4   5   6   7
 *	a	|---------------|
 *	b		|---------------|
 */
struct mapping_vmas {
	struct file *file;
	unsigned long a;
	unsigned long b;
};

static struct mapping_vmas map_twice(struct kunit *test)
{
	struct mapping_vmas m = {
		.file = open_pfn_file(test),
		.a = somewhere(),
		.b = somewhere() + 16 * PAGE_SIZE,
	};

	map(test, m.file, m.a, 4 * PAGE_SIZE, 0);
	map(test, m.file, m.b, 4 * PAGE_SIZE, 2);
	fault_in_leaf(test, m.a, CALL_PTE);
	fault_in_leaf(test, m.b, CALL_PTE);
	return m;
}

struct mapping_param {
	pgoff_t first, nr;
	/* What is walked in a and b, in pages from their start. */
	unsigned int a_first, a_nr;
	unsigned int b_first, b_nr;
	const char *name;
};

static const struct mapping_param mapping_params[] = {
	{ 0, 8,			0, 4,	0, 4,	"all" },
	{ 0, ULONG_MAX,		0, 4,	0, 4,	"whole_file" },
	{ 0, 1,			0, 1,	0, 0,	"first_page" },
	{ 1, 1,			1, 1,	0, 0,	"page_of_a" },
	{ 1, 2,			1, 2,	0, 1,	"into_b" },
	{ 3, 1,			3, 1,	1, 1,	"page_of_both" },
	{ 3, 2,			3, 1,	1, 2,	"out_of_a" },
	{ 5, 1,			0, 0,	3, 1,	"last_page" },
	{ 6, 2,			0, 0,	0, 0,	"behind_both" },
	{ 1, ULONG_MAX,		1, 3,	0, 4,	"all_but_first_page" },
	{ 3, ULONG_MAX,		3, 1,	1, 3,	"to_the_end" },
	{ 2, 0,			0, 0,	0, 0,	"nothing" },
	{ 0, 0,			0, 0,	0, 0,	"nothing_at_start" },
};

KUNIT_ARRAY_PARAM_DESC(mapping, mapping_params, name);

static void mapping_is_clipped(struct kunit *test)
{
	const struct mapping_param *param = test->param_value;
	struct mm_walk_ops ops = make_ops(BIT(CALL_PTE));
	struct pagewalk_test *t = test->priv;
	struct mapping_vmas m = map_twice(test);

	ops.test_walk = walk_any_vma;
	KUNIT_EXPECT_EQ(test, walk_mapping(t, &ops, m.file, param->first,
					   param->nr), 0);
	want_ptes(t, m.a + param->a_first * PAGE_SIZE, param->a_nr);
	want_ptes(t, m.b + param->b_first * PAGE_SIZE, param->b_nr);
	expect_calls(test);
}

/* Do not let it get further than this: what comes out may be any address. */
static void mapping_nothing_far_out(struct kunit *test)
{
	struct mm_walk_ops ops = make_ops(BIT(CALL_PRE));
	struct pagewalk_test *t = test->priv;
	struct file *file = open_pfn_file(test);

	map(test, file, somewhere(), PAGE_SIZE, PHYS_PFN(TASK_SIZE));
	ops.test_walk = walk_any_vma;
	t->ret[CALL_PRE] = -EIO;
	KUNIT_EXPECT_EQ(test, walk_mapping(t, &ops, file, 0, 0), 0);
	expect_calls(test);
}

static int skip_vma_a(unsigned long addr, unsigned long end,
		      struct mm_walk *walk)
{
	return !walk->vma->vm_pgoff;
}

static void mapping_skips_only_one_vma(struct kunit *test)
{
	struct mm_walk_ops ops = make_ops(BIT(CALL_PTE));
	struct pagewalk_test *t = test->priv;
	struct mapping_vmas m = map_twice(test);

	ops.test_walk = skip_vma_a;
	KUNIT_EXPECT_EQ(test, walk_mapping(t, &ops, m.file, 0, 8), 0);
	want_ptes(t, m.b, 4);
	expect_calls(test);
}

static void mapping_skips_pfnmap(struct kunit *test)
{
	struct mm_walk_ops ops = make_ops(BIT(CALL_PTE));
	struct pagewalk_test *t = test->priv;
	struct mapping_vmas m = map_twice(test);

	KUNIT_EXPECT_EQ(test, walk_mapping(t, &ops, m.file, 0, 8), 0);
	expect_calls(test);
}

/* All callbacks hear of what is walked, and of nothing else. */
static void mapping_tells_test_walk_the_range(struct kunit *test)
{
	struct mm_walk_ops ops = make_ops(BIT(CALL_TEST) | BIT(CALL_PRE));
	struct pagewalk_test *t = test->priv;
	struct mapping_vmas m = map_twice(test);

	KUNIT_EXPECT_EQ(test, walk_mapping(t, &ops, m.file, 3, 2), 0);
	want_call(t, CALL_TEST, m.a + 3 * PAGE_SIZE, m.a + 4 * PAGE_SIZE);
	want_call(t, CALL_PRE, m.a + 3 * PAGE_SIZE, m.a + 4 * PAGE_SIZE);
	want_call(t, CALL_TEST, m.b + PAGE_SIZE, m.b + 3 * PAGE_SIZE);
	want_call(t, CALL_PRE, m.b + PAGE_SIZE, m.b + 3 * PAGE_SIZE);
	expect_calls(test);
}

static void mapping_pfnmap_is_a_hole(struct kunit *test)
{
	struct mm_walk_ops ops = make_ops(BIT(CALL_PTE) | HOLES);
	struct pagewalk_test *t = test->priv;
	struct mapping_vmas m = map_twice(test);

	KUNIT_EXPECT_EQ(test, walk_mapping(t, &ops, m.file, 1, 2), 0);
	want_hole(t, -1, m.a + PAGE_SIZE, m.a + 3 * PAGE_SIZE);
	want_hole(t, -1, m.b, m.b + PAGE_SIZE);
	expect_calls(test);
}

/* The last pages of user space, and of what a file can have */
static void mapping_at_the_top(struct kunit *test)
{
	struct mm_walk_ops ops = make_ops(BIT(CALL_PTE));
	unsigned long start = TASK_SIZE - 2 * PAGE_SIZE;
	pgoff_t pgoff = (ULONG_MAX >> PAGE_SHIFT) - 2;
	struct pagewalk_test *t = test->priv;
	struct file *file = open_pfn_file(test);

	t->pfn -= pgoff;
	map(test, file, start, 2 * PAGE_SIZE, pgoff);
	fault_in_leaf(test, start, CALL_PTE);
	ops.test_walk = walk_any_vma;
	KUNIT_EXPECT_EQ(test, walk_mapping(t, &ops, file, pgoff + 1, ULONG_MAX), 0);
	want_ptes(t, start + PAGE_SIZE, 1);
	expect_calls(test);
}

static void mapping_negative_ends_walk(struct kunit *test)
{
	struct mm_walk_ops ops = make_ops(BIT(CALL_PTE));
	struct pagewalk_test *t = test->priv;
	struct mapping_vmas m = map_twice(test);

	ops.test_walk = walk_any_vma;
	t->ret[CALL_PTE] = -EIO;
	KUNIT_EXPECT_EQ(test, walk_mapping(t, &ops, m.file, 0, 8), -EIO);
	want_ptes(t, m.a, 1);
	expect_calls(test);
}

static void mapping_test_walk_negative_ends_walk(struct kunit *test)
{
	struct mm_walk_ops ops = make_ops(BIT(CALL_PTE) | BIT(CALL_TEST));
	struct pagewalk_test *t = test->priv;
	struct mapping_vmas m = map_twice(test);

	t->ret[CALL_TEST] = -EIO;
	KUNIT_EXPECT_EQ(test, walk_mapping(t, &ops, m.file, 0, 8), -EIO);
	KUNIT_EXPECT_EQ(test, t->got.nr, 1);
}

/* Users of walks: an entry that is not present is not theirs to change */

static pte_t exchange_pte(struct pagewalk_test *t, unsigned long addr, pte_t pte)
{
	spinlock_t *ptl;
	pte_t *ptep, old;

	mmap_read_lock(t->mm);
	ptep = pte_offset_map_lock(t->mm, mm_find_pmd(t->mm, addr), addr, &ptl);
	old = ptep_get_and_clear(t->mm, addr, ptep);
	set_pte_at(t->mm, addr, ptep, pte);
	pte_unmap_unlock(ptep, ptl);
	mmap_read_unlock(t->mm);
	return old;
}

static unsigned long clean_shared(struct file *file, unsigned long *bitmap)
{
	pgoff_t start = 8, end = 0;

	return clean_record_shared_mapping_range(file->f_mapping, 0, 8, 0,
						 bitmap, &start, &end);
}

static void dirty_helpers_keep_swap_pte(struct kunit *test)
{
	unsigned long bitmap[BITS_TO_LONGS(8)] = { 0 };
	struct pagewalk_test *t = test->priv;
	struct mapping_vmas m = map_twice(test);
	unsigned long nr_wp, nr_clean;
	pte_t pte, old, got;

	/* Its bits look like those of a page that is writable and dirty. */
	pte = pte_swp_mksoft_dirty(swp_entry_to_pte(swp_entry(0, 42)));
	old = exchange_pte(t, m.a, pte);
	nr_wp = wp_shared_mapping_range(m.file->f_mapping, 0, 8);
	nr_clean = clean_shared(m.file, bitmap);
	got = exchange_pte(t, m.a, old);

	KUNIT_EXPECT_TRUE(test, pte_same(got, pte));
	KUNIT_EXPECT_EQ(test, nr_wp, 1);	/* in b */
	KUNIT_EXPECT_EQ(test, nr_clean, 0);
	KUNIT_EXPECT_EQ(test, bitmap[0], 0);
}

#if defined(CONFIG_ARCH_HAS_PMD_SOFTLEAVES) && defined(CONFIG_MIGRATION)
static pmd_t exchange_pmd(struct pagewalk_test *t, unsigned long addr, pmd_t pmd)
{
	spinlock_t *ptl;
	pmd_t *pmdp, old;

	mmap_read_lock(t->mm);
	pmdp = mm_find_pmd(t->mm, addr);
	ptl = pmd_lock(t->mm, pmdp);
	old = pmdp_get(pmdp);
	pmd_clear(pmdp);
	set_pmd_at(t->mm, addr, pmdp, pmd);
	spin_unlock(ptl);
	mmap_read_unlock(t->mm);
	return old;
}

static void dirty_helpers_keep_migration_pmd(struct kunit *test)
{
	unsigned long bitmap[BITS_TO_LONGS(8)] = { 0 };
	unsigned long start = boundary(test, CALL_PMD);
	struct pagewalk_test *t = test->priv;
	struct file *file = open_pfn_file(test);
	pmd_t pmd, old, got;

	need_leaves(test, CALL_PMD);
	map(test, file, start, PMD_SIZE, 0);
	fault_in_leaf(test, start, CALL_PMD);

	pmd = swp_entry_to_pmd(make_writable_migration_entry(t->pfn));
	old = exchange_pmd(t, start, pmd);
	wp_shared_mapping_range(file->f_mapping, 0, 8);
	clean_shared(file, bitmap);
	got = exchange_pmd(t, start, old);
	KUNIT_EXPECT_TRUE(test, pmd_same(got, pmd));
}

/* Nothing can be guarded below a huge page, wherever that is just going. */
static void guard_remove_keeps_migration_pmd(struct kunit *test)
{
	unsigned long addr = map_thp(test), pfn = 0;
	struct pagewalk_test *t = test->priv;
	bool before, after;
	struct folio *folio;
	int err;

	/* map_thp() has skipped if so, but the compiler can not know. */
	if (!IS_ENABLED(CONFIG_ADVISE_SYSCALLS))
		return;
	find_leaf(t, addr, &pfn);
	folio = pfn_folio(pfn);
	folio_get(folio);
	folio_lock(folio);
	try_to_migrate(folio, 0);
	before = pmd_is_migration_entry(pmdp_get_lockless(mm_find_pmd(t->mm, addr)));
	err = do_madvise(t->mm, addr, PMD_SIZE, MADV_GUARD_REMOVE);
	after = pmd_is_migration_entry(pmdp_get_lockless(mm_find_pmd(t->mm, addr)));
	remove_migration_ptes(folio, folio, 0);
	folio_unlock(folio);
	folio_put(folio);

	KUNIT_EXPECT_EQ(test, err, 0);
	if (!before)
		kunit_skip(test, "the huge page does not migrate");
	KUNIT_EXPECT_TRUE(test, after);
	expect_leaf(test, addr, CALL_PMD);
}
#else
static void dirty_helpers_keep_migration_pmd(struct kunit *test)
{
	kunit_skip(test, "huge pages do not migrate here");
}

static void guard_remove_keeps_migration_pmd(struct kunit *test)
{
	kunit_skip(test, "huge pages do not migrate here");
}
#endif

/*
 * mprotect(PROT_NONE) on a CPU that has L1TF: PFNs that lie where the inverted
 * address is no protection are not for everyone.
 */

#ifdef CONFIG_X86
static void need_l1tf(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;

	if (!IS_ENABLED(CONFIG_MULTIUSER))
		kunit_skip(test, "everyone has CAP_SYS_ADMIN");
	if (!boot_cpu_has_bug(X86_BUG_L1TF))
		kunit_skip(test, "this CPU does not have L1TF");
	t->pfn = l1tf_pfn_limit();
}
#else
static void need_l1tf(struct kunit *test)
{
	kunit_skip(test, "only x86 has L1TF");
}
#endif

/* mprotect() of the VMA at @addr, for as long as the mmap_lock is held. */
static int change_access(struct mm_struct *mm, unsigned long addr,
			 vm_flags_t access)
{
	struct vm_area_struct *vma, *prev = NULL;	/* There is only one. */
	struct mmu_gather tlb;
	int err;

	VMA_ITERATOR(vmi, mm, addr);

	vma = vma_find(&vmi, addr + 1);
	tlb_gather_mmu(&tlb, mm);
	err = mprotect_fixup(&vmi, &tlb, vma, &prev, vma->vm_start, vma->vm_end,
			     (vma->vm_flags & ~VM_ACCESS_FLAGS) | access);
	tlb_finish_mmu(&tlb);
	return err;
}

static int mprotect_none(struct pagewalk_test *t, unsigned long addr)
{
	int err;

	mmap_write_lock(t->mm);
	err = change_access(t->mm, addr, VM_NONE);
	mmap_write_unlock(t->mm);
	return err;
}

static int mprotect_none_without_caps(struct kunit *test, unsigned long addr)
{
	const struct cred *old;
	struct cred *cred;
	int err;

	cred = prepare_creds();
	KUNIT_ASSERT_NOT_NULL(test, cred);
	cap_clear(cred->cap_effective);
	old = override_creds(cred);
	err = mprotect_none(test->priv, addr);
	revert_creds(old);
	put_cred(cred);
	return err;
}

static const struct level_param leaf_params[] = {
	{ CALL_PUD, "pud" },
	{ CALL_PMD, "pmd" },
	{ CALL_PTE, "pte" },
};

KUNIT_ARRAY_PARAM_DESC(leaf, leaf_params, name);

static unsigned long map_l1tf_leaf(struct kunit *test)
{
	const struct level_param *param = test->param_value;
	struct file *file = open_pfn_file(test);
	unsigned long start;

	need_l1tf(test);
	need_leaves(test, param->level);
	start = boundary(test, param->level);
	map(test, file, start, entry_size(param->level), 0);
	fault_in_leaf(test, start, param->level);
	return start;
}

static void prot_none_asks_for_leaf(struct kunit *test)
{
	const struct level_param *param = test->param_value;
	unsigned long start = map_l1tf_leaf(test);

	KUNIT_EXPECT_EQ(test, mprotect_none_without_caps(test, start), -EACCES);
	expect_leaf(test, start, param->level);
}

static void prot_none_keeps_leaf(struct kunit *test)
{
	const struct level_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_l1tf_leaf(test);
	unsigned long pfn = 0;

	KUNIT_EXPECT_EQ(test, mprotect_none(t, start), 0);
	KUNIT_EXPECT_EQ(test, find_leaf(t, start, &pfn), param->level);
	KUNIT_EXPECT_EQ(test, pfn, t->pfn);
}

/* On any CPU: to a walk it is a leaf like any other. */
static void prot_none_pud_leaf_is_kept(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_pud_leaf(test, open_pfn_file(test));

	KUNIT_ASSERT_EQ(test, mprotect_none(t, start), 0);
	expect_leaf(test, start, CALL_PUD);
	KUNIT_EXPECT_EQ(test, walk_vma(t, BIT(CALL_PMD) | BIT(CALL_PTE), start),
			0);
	expect_calls(test);
	expect_leaf(test, start, CALL_PUD);
}

/* hmm_range_fault() */

#ifdef CONFIG_HMM_MIRROR
static bool ignore_invalidate(struct mmu_interval_notifier *notifier,
			      const struct mmu_notifier_range *range,
			      unsigned long seq)
{
	mmu_interval_set_seq(notifier, seq);
	return true;
}

static const struct mmu_interval_notifier_ops hmm_notifier_ops = {
	.invalidate = ignore_invalidate,
};

/* What does a device, whose memory is @owner's, get to see at @addr? */
static int hmm_look(struct pagewalk_test *t, unsigned long addr,
		    unsigned long *pfns, unsigned int nr, unsigned long flags,
		    void *owner)
{
	struct mmu_interval_notifier notifier;
	struct hmm_range range = {
		.notifier = &notifier,
		.start = addr,
		.end = addr + nr * PAGE_SIZE,
		.hmm_pfns = pfns,
		.default_flags = flags,
		.pfn_flags_mask = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE,
		.dev_private_owner = owner,
	};
	int err, tries = 100;

	err = mmu_interval_notifier_insert(&notifier, t->mm, addr,
					   nr * PAGE_SIZE, &hmm_notifier_ops);
	if (err)
		return err;
	do {
		range.notifier_seq = mmu_interval_read_begin(&notifier);
		mmap_read_lock(t->mm);
		err = hmm_range_fault(&range);
		mmap_read_unlock(t->mm);
	} while (err == -EBUSY && --tries);
	mmu_interval_notifier_remove(&notifier);
	return err;
}

static void hmm_refuses_special_leaf(struct kunit *test)
{
	const struct level_param *param = test->param_value;
	unsigned long start = boundary(test, param->level);
	struct pagewalk_test *t = test->priv;
	unsigned long pfn = 0;
	struct file *file;

	need_leaves(test, param->level);
	file = open_mixed_file(test);
	/* In a VM_MIXEDMAP, vmf_insert_pfn() takes no PFN of a struct page. */
	if (pfn_valid(t->pfn))
		kunit_skip(test, "no PFN here that has no struct page");
	map(test, file, start, entry_size(param->level), 0);
	t->order = get_order(entry_size(param->level));
	fault_in(test, start);
	if (find_leaf(t, start, &pfn) != param->level)
		kunit_skip(test, "huge pages are disabled");

	pfn = 0;
	KUNIT_EXPECT_EQ(test, hmm_look(t, start, &pfn, 1, 0, NULL), 0);
	KUNIT_EXPECT_EQ(test, pfn, HMM_PFN_ERROR);
	pfn = 0;
	KUNIT_EXPECT_EQ(test, -EFAULT,
			hmm_look(t, start, &pfn, 1, HMM_PFN_REQ_FAULT, NULL));
	expect_leaf(test, start, param->level);
}

static unsigned long nr_free_hugetlb(struct file *file)
{
#ifdef CONFIG_HUGETLB_PAGE
	return hstate_file(file)->free_huge_pages;
#else
	return 0;
#endif
}

/* Write access is asked for, but not to the first page, and is not there. */
static void hmm_heeds_each_page_of_hugetlb(struct kunit *test)
{
	unsigned long size, shared = map_hugetlb(test, &size);
	unsigned long addr = shared + max(PUD_SIZE, 2 * size), pfns[4] = {};
	struct pagewalk_test *t = test->priv;
	unsigned int last = ARRAY_SIZE(pfns) - 1;
	struct file *file;
	int err;

	if (!IS_ENABLED(CONFIG_64BIT))
		kunit_skip(test, "no room for another table of PMDs");
	mmap_read_lock(t->mm);
	file = vma_lookup(t->mm, shared)->vm_file;
	mmap_read_unlock(t->mm);
	KUNIT_ASSERT_EQ(test, addr,
			kunit_vm_mmap(test, file, addr, size,
				      PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_FIXED_NOREPLACE |
				      MAP_NORESERVE, 0));
	mmap_read_lock(t->mm);
	err = fixup_user_fault(t->mm, addr, 0, NULL);
	mmap_read_unlock(t->mm);
	if (err || !nr_free_hugetlb(file))
		kunit_skip(test, "no pages of hugetlb to be had");

	pfns[last] = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE;
	KUNIT_EXPECT_EQ(test, 0, hmm_look(t, addr, pfns, ARRAY_SIZE(pfns), 0,
					  NULL));
	KUNIT_EXPECT_TRUE(test, pfns[last] & HMM_PFN_WRITE);
}

/* No normal page, but one that a device may read. */
static void hmm_accepts_huge_zero_folio(struct kunit *test)
{
	unsigned long addr = ALIGN(somewhere(), PMD_SIZE), pfn = 0, found = 0;
	struct pagewalk_test *t = test->priv;
	int err;

	if (!IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		kunit_skip(test, "no huge pages in this kernel");
	map_anon(test, addr, PTRS_PER_PTE);
	KUNIT_ASSERT_EQ(test, 0,
			do_madvise(t->mm, addr, PMD_SIZE, MADV_HUGEPAGE));
	mmap_read_lock(t->mm);
	err = fixup_user_fault(t->mm, addr, 0, NULL);
	mmap_read_unlock(t->mm);
	KUNIT_ASSERT_EQ(test, err, 0);
	if (find_leaf(t, addr, &found) != CALL_PMD || !is_huge_zero_pfn(found))
		kunit_skip(test, "got no huge zero folio");

	addr += 3 * PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, 0,
			hmm_look(t, addr, &pfn, 1, HMM_PFN_REQ_FAULT, NULL));
	KUNIT_EXPECT_EQ(test, pfn & (HMM_PFN_VALID | HMM_PFN_WRITE | HMM_PFN_ERROR),
			HMM_PFN_VALID);
	KUNIT_EXPECT_EQ(test, pfn & ~HMM_PFN_FLAGS, found + 3);
}
#else
static void hmm_refuses_special_leaf(struct kunit *test)
{
	kunit_skip(test, "no hmm_range_fault() in this kernel");
}

static void hmm_heeds_each_page_of_hugetlb(struct kunit *test)
{
	kunit_skip(test, "no hmm_range_fault() in this kernel");
}

static void hmm_accepts_huge_zero_folio(struct kunit *test)
{
	kunit_skip(test, "no hmm_range_fault() in this kernel");
}
#endif

#if defined(CONFIG_HMM_MIRROR) && defined(CONFIG_DEVICE_PRIVATE) && \
	defined(CONFIG_TRANSPARENT_HUGEPAGE)
static vm_fault_t device_migrate_to_ram(struct vm_fault *vmf)
{
	return VM_FAULT_SIGBUS;
}

static void device_folio_free(struct folio *folio)
{
}

static const struct dev_pagemap_ops device_ops = {
	.migrate_to_ram = device_migrate_to_ram,
	.folio_free = device_folio_free,
};

/* Fill an empty PMD with the first huge page of the memory of a device. */
static bool migrate_hole_to_device(struct pagewalk_test *t, unsigned long addr,
				   struct dev_pagemap *pgmap)
{
	struct page *page = pfn_to_page(PHYS_PFN(pgmap->range.start));
	struct migrate_vma args = {
		.start = addr,
		.end = addr + PMD_SIZE,
		.flags = MIGRATE_VMA_SELECT_SYSTEM | MIGRATE_VMA_SELECT_COMPOUND,
		.pgmap_owner = pgmap->owner,
	};
	bool done = false;

	args.src = kcalloc(2 * PTRS_PER_PTE, sizeof(*args.src), GFP_KERNEL);
	if (!args.src)
		return false;
	args.dst = args.src + PTRS_PER_PTE;

	mmap_read_lock(t->mm);
	args.vma = vma_lookup(t->mm, addr);
	if (!migrate_vma_setup(&args)) {
		if (args.src[0] == (MIGRATE_PFN_MIGRATE | MIGRATE_PFN_COMPOUND)) {
			zone_device_folio_init(page_folio(page), pgmap,
					       HPAGE_PMD_ORDER);
			args.dst[0] = migrate_pfn(page_to_pfn(page)) |
				      MIGRATE_PFN_COMPOUND;
		}
		migrate_vma_pages(&args);
		done = args.dst[0] && args.src[0] & MIGRATE_PFN_MIGRATE;
		migrate_vma_finalize(&args);
	}
	mmap_read_unlock(t->mm);
	kfree(args.src);
	return done;
}

/*
 * memunmap_pages() waits until nobody has a page any more. If a failed test
 * still has one, leave all as it is.
 */
static void remove_device(struct kunit *test, struct dev_pagemap *pgmap)
{
	unsigned long first = PHYS_PFN(pgmap->range.start);

	for (int i = 0; i < PTRS_PER_PTE; i++) {
		if (page_ref_count(pfn_to_page(first + i))) {
			KUNIT_FAIL(test, "page %d of the device is in use", i);
			return;
		}
	}
	memunmap_pages(pgmap);
	release_mem_region(pgmap->range.start, range_len(&pgmap->range));
	kfree(pgmap);
}

/* Map a huge page of a new device, or skip. */
static struct dev_pagemap *map_device_thp(struct kunit *test,
					  unsigned long addr)
{
	struct pagewalk_test *t = test->priv;
	struct dev_pagemap *pgmap;
	struct resource *res;

	map_anon(test, addr, PTRS_PER_PTE);
	/* Not kunit_kzalloc(): see remove_device(). */
	pgmap = kzalloc_obj(*pgmap);
	KUNIT_ASSERT_NOT_NULL(test, pgmap);
	res = request_free_mem_region(&iomem_resource, PMD_SIZE, "pagewalk");
	if (IS_ERR(res)) {
		kfree(pgmap);
		kunit_skip(test, "no physical address space for device memory");
	}
	pgmap->type = MEMORY_DEVICE_PRIVATE;
	pgmap->nr_range = 1;
	pgmap->range.start = res->start;
	pgmap->range.end = res->end;
	pgmap->ops = &device_ops;
	pgmap->owner = t;
	if (IS_ERR(memremap_pages(pgmap, numa_node_id()))) {
		release_mem_region(res->start, resource_size(res));
		kfree(pgmap);
		kunit_skip(test, "no device memory to be had");
	}
	if (!migrate_hole_to_device(t, addr, pgmap)) {
		remove_device(test, pgmap);
		kunit_skip(test, "no device-private huge page to be had");
	}
	return pgmap;
}

static void unmap_device_thp(struct kunit *test, unsigned long addr,
			     struct dev_pagemap *pgmap)
{
	KUNIT_EXPECT_EQ(test, vm_munmap(addr, PMD_SIZE), 0);
	remove_device(test, pgmap);
}

static void hmm_in_the_middle_of_a_device_pmd(struct kunit *test)
{
	unsigned long addr = ALIGN(somewhere(), PMD_SIZE), pfns[4] = {};
	struct dev_pagemap *pgmap = map_device_thp(test, addr);
	struct pagewalk_test *t = test->priv;
	const unsigned int first = 3;

	KUNIT_EXPECT_EQ(test, 0, hmm_look(t, addr + first * PAGE_SIZE, pfns,
					  ARRAY_SIZE(pfns), 0, pgmap->owner));
	for (int i = 0; i < ARRAY_SIZE(pfns); i++) {
		KUNIT_EXPECT_TRUE(test, pfns[i] & HMM_PFN_VALID);
		KUNIT_EXPECT_EQ(test, pfns[i] & ~HMM_PFN_FLAGS,
				PHYS_PFN(pgmap->range.start) + first + i);
	}
	unmap_device_thp(test, addr, pgmap);
}

/*
 * A fault somewhere in a large folio that is mapped with PTEs, as do_swap_page()
 * and a driver handle it: whatever is collected must be locked.
 */
static void migrate_from_fault_in_large_folio(struct kunit *test)
{
	const unsigned int nr = 8, fault = 3;
	unsigned int nr_collected = 0, nr_locked = 0;
	unsigned long src[8] = {}, dst[8] = {};
	unsigned long addr = ALIGN(somewhere(), PMD_SIZE);
	struct dev_pagemap *pgmap = map_device_thp(test, addr);
	struct pagewalk_test *t = test->priv;
	struct migrate_vma args = {
		.start = addr,
		.end = addr + nr * PAGE_SIZE,
		.src = src,
		.dst = dst,
		.flags = MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
		.pgmap_owner = pgmap->owner,
		.fault_page = pfn_to_page(PHYS_PFN(pgmap->range.start) + fault),
	};
	struct folio *folio;

	KUNIT_EXPECT_EQ(test, 0, do_madvise(t->mm, addr + PMD_SIZE - PAGE_SIZE,
					    PAGE_SIZE, MADV_DONTNEED));
	folio = page_folio(args.fault_page);
	KUNIT_EXPECT_TRUE(test, folio_test_large(folio));
	folio_get(folio);
	folio_lock(folio);

	mmap_read_lock(t->mm);
	args.vma = vma_lookup(t->mm, addr);
	KUNIT_EXPECT_EQ(test, migrate_vma_setup(&args), 0);
	for (int i = 0; i < nr; i++) {
		if (!(src[i] & MIGRATE_PFN_VALID))
			continue;
		folio = page_folio(migrate_pfn_to_page(src[i]));
		nr_collected++;
		nr_locked += !folio_trylock(folio);
	}
	KUNIT_EXPECT_EQ(test, nr_collected, nr);
	KUNIT_EXPECT_EQ(test, nr_locked, nr_collected);
	migrate_vma_pages(&args);
	migrate_vma_finalize(&args);
	mmap_read_unlock(t->mm);

	folio = page_folio(args.fault_page);
	folio_unlock(folio);
	folio_put(folio);
	unmap_device_thp(test, addr, pgmap);
}
#else
static void hmm_in_the_middle_of_a_device_pmd(struct kunit *test)
{
	kunit_skip(test, "no device-private huge pages in this kernel");
}

static void migrate_from_fault_in_large_folio(struct kunit *test)
{
	kunit_skip(test, "no device-private huge pages in this kernel");
}
#endif

/*
 * migrate_vma_setup(), and what may happen while it waits for a folio lock in
 * order to split the folio: it holds no page table lock then.
 */

#if defined(CONFIG_DEVICE_MIGRATION) && defined(CONFIG_TRANSPARENT_HUGEPAGE)
#define NR_SMALL	8

struct migration {
	struct work_struct work;
	struct migrate_vma args;
	struct mm_struct *mm;
	struct folio *large;
	/* Pages that were collected, or anything behind their arrays. */
	unsigned long npages;
	bool overrun;
	int err;
	/* Flushes of the TLB for the first page */
	struct mmu_notifier notifier;
	atomic_t nr_flushes;
};

static void count_flush(struct mmu_notifier *notifier, struct mm_struct *mm,
			unsigned long start, unsigned long end)
{
	struct migration *m = container_of(notifier, struct migration, notifier);

	if (start <= m->args.start && end > m->args.start)
		atomic_inc(&m->nr_flushes);
}

static const struct mmu_notifier_ops count_flush_ops = {
	.arch_invalidate_secondary_tlbs = count_flush,
};

/* The arrays are twice as large as they have to be. */
static void migrate_nothing(struct work_struct *work)
{
	struct migration *m = container_of(work, struct migration, work);
	struct migrate_vma *args = &m->args;

	mmap_read_lock(m->mm);
	args->vma = vma_lookup(m->mm, args->start);
	m->err = migrate_vma_setup(args);
	m->npages = args->npages;
	m->overrun = memchr_inv(args->src + PTRS_PER_PTE, 0,
				PTRS_PER_PTE * sizeof(*args->src));
	if (!m->err) {
		migrate_vma_pages(args);
		migrate_vma_finalize(args);
	}
	mmap_read_unlock(m->mm);
}

/* Have the page at @from mapped at @to, like mremap() does. */
static bool move_page_to(struct pagewalk_test *t, unsigned long from,
			 unsigned long to)
{
	PAGETABLE_MOVE(pmc, NULL, NULL, from, to, PAGE_SIZE);
	struct vm_area_struct *vma;
	unsigned long moved = 0;

	mmap_write_lock(t->mm);
	vma = vma_lookup(t->mm, from);
	vma_start_write(vma);
	pmc.new = copy_vma(&vma, to, PAGE_SIZE, linear_page_index(vma, from),
			   __linear_anon_page_index(vma, from),
			   &pmc.need_rmap_locks, true);
	if (pmc.new) {
		pmc.old = vma;
		vm_stat_account(t->mm, vma->vm_flags, 1);
		moved = move_page_tables(&pmc);
	}
	mmap_write_unlock(t->mm);
	return moved == PAGE_SIZE;
}

/* Make a page look like one that was shared with a child once. */
static bool share_page(struct pagewalk_test *t, unsigned long addr)
{
	struct vm_area_struct *vma;
	spinlock_t *ptl = NULL;
	bool shared = false;
	struct page *page;
	pte_t *ptep, pte;

	mmap_read_lock(t->mm);
	vma = vma_lookup(t->mm, addr);
	ptep = pte_offset_map_lock(t->mm, mm_find_pmd(t->mm, addr), addr, &ptl);
	if (ptep) {
		pte = ptep_clear_flush(vma, addr, ptep);
		page = vm_normal_page(vma, addr, pte);
		shared = !folio_try_share_anon_rmap_pte(page_folio(page), page);
		set_pte_at(t->mm, addr, ptep, pte_wrprotect(pte));
		pte_unmap_unlock(ptep, ptl);
	}
	mmap_read_unlock(t->mm);
	return shared;
}

/*
 * A few pages, shared ones, and then one that is part of a large folio, whose
 * last page is mapped elsewhere. Lock it, and wait until migrate_vma_setup()
 * waits for it: when this returns, it has not got beyond the small pages.
 */
static struct migration *start_migration(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long addr = map_thp(test), pfn = 0;
	unsigned long last = addr + PMD_SIZE - PAGE_SIZE;
	struct migration *m;

	m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m);
	m->args.src = kunit_kcalloc(test, 4 * PTRS_PER_PTE,
				    sizeof(*m->args.src), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m->args.src);
	m->args.dst = m->args.src + 2 * PTRS_PER_PTE;
	m->args.start = addr;
	m->args.end = addr + PMD_SIZE;
	m->args.flags = MIGRATE_VMA_SELECT_SYSTEM | MIGRATE_VMA_SELECT_COMPOUND;
	m->mm = t->mm;
	INIT_WORK(&m->work, migrate_nothing);

	KUNIT_ASSERT_EQ(test, 0, do_madvise(t->mm, addr, NR_SMALL * PAGE_SIZE,
					    MADV_DONTNEED));
	for (int i = 0; i < NR_SMALL; i++) {
		fault_in(test, addr + i * PAGE_SIZE);
		find_leaf(t, addr + i * PAGE_SIZE, &pfn);
		if (folio_test_large(pfn_folio(pfn)))
			kunit_skip(test, "got no small pages");
		KUNIT_ASSERT_TRUE(test, share_page(t, addr + i * PAGE_SIZE));
	}
	KUNIT_ASSERT_TRUE(test, move_page_to(t, last, last + 2 * PMD_SIZE));
	KUNIT_ASSERT_EQ(test, find_leaf(t, last - PAGE_SIZE, &pfn), CALL_PTE);
	m->large = pfn_folio(pfn);
	KUNIT_ASSERT_TRUE(test, folio_test_large(m->large));

	m->notifier.ops = &count_flush_ops;
	KUNIT_ASSERT_EQ(test, 0, mmu_notifier_register(&m->notifier, t->mm));

	/* A reference of someone else would keep it from being split. */
	lru_add_drain_all();
	folio_lock(m->large);
	schedule_work(&m->work);
	for (int i = 0; i < 1000 && !folio_test_waiters(m->large); i++)
		msleep(20);
	KUNIT_EXPECT_TRUE(test, folio_test_waiters(m->large));
	return m;
}

static void finish_migration(struct kunit *test, struct migration *m)
{
	folio_unlock(m->large);
	flush_work(&m->work);
	mmu_notifier_unregister(&m->notifier, m->mm);
	KUNIT_EXPECT_EQ(test, m->err, 0);
	KUNIT_EXPECT_EQ(test, m->npages, PTRS_PER_PTE);
	KUNIT_EXPECT_FALSE(test, m->overrun);
}

static const struct level_param lost_table_params[] = {
	{ CALL_HOLE, "hole" },
	{ CALL_PMD, "huge_page" },
};

static void migrate_after_table_was_lost(struct kunit *test)
{
	const struct level_param *param = test->param_value;
	struct migration *m = start_migration(test);
	struct pagewalk_test *t = test->priv;
	unsigned long start = m->args.start, pfn;
	bool lost;

	KUNIT_EXPECT_EQ(test, 0, do_madvise(t->mm, start, PMD_SIZE,
					    MADV_DONTNEED));
	lost = find_empty(t, start) != CALL_PTE;
	if (lost && param->level == CALL_PMD) {
		KUNIT_EXPECT_EQ(test, try_fault_in(t, start), 0);
		lost = find_leaf(t, start, &pfn) == CALL_PMD;
	}
	finish_migration(test, m);
	if (!lost)
		kunit_skip(test, "MADV_DONTNEED freed no table, or no huge page came");
}

static void migrate_flushes_before_it_waits(struct kunit *test)
{
	struct migration *m = start_migration(test);
	int before = atomic_read(&m->nr_flushes), after;
	struct vm_area_struct *vma;

	mmap_read_lock(m->mm);
	vma = vma_lookup(m->mm, m->args.start);
	flush_tlb_range(vma, m->args.start, m->args.start + PAGE_SIZE);
	mmap_read_unlock(m->mm);
	after = atomic_read(&m->nr_flushes);
	finish_migration(test, m);
	if (before == after)
		kunit_skip(test, "nobody is told of flushes here");
	KUNIT_EXPECT_GT(test, before, 0);
}
#else
static const struct level_param lost_table_params[] = {
	{ CALL_HOLE, "hole" },
};

static void migrate_after_table_was_lost(struct kunit *test)
{
	kunit_skip(test, "no migrate_vma_setup() of huge pages in this kernel");
}

static void migrate_flushes_before_it_waits(struct kunit *test)
{
	kunit_skip(test, "no migrate_vma_setup() of huge pages in this kernel");
}
#endif

KUNIT_ARRAY_PARAM_DESC(lost_table, lost_table_params, name);

#if defined(CONFIG_MEMORY_FAILURE) && defined(CONFIG_CONTIG_ALLOC)
/* Was a SIGBUS sent? It has no address with it, for it was to a kthread. */
static bool got_sigbus(void)
{
	bool ret = sigismember(&current->pending.signal, SIGBUS);

	flush_signals(current);
	/* To send it was to unblock it: ignored is what it has to be. */
	disallow_signal(SIGBUS);
	return ret;
}

/*
 * Map memory with a PUD leaf, and consume poison in the middle of it that is
 * known already. Where it is mapped is for the walk to find.
 */
static void hwpoison_below_pud_leaf(struct kunit *test)
{
	const unsigned long nr = PUD_SIZE / PAGE_SIZE, index = nr / 3;
	unsigned long start = boundary(test, CALL_PUD);
	struct pagewalk_test *t = test->priv;
	struct file *file = open_pfn_file(test);
	struct page *page;

	need_leaves(test, CALL_PUD);
	page = alloc_contig_pages(nr, GFP_KERNEL | __GFP_NOWARN,
				  numa_node_id(), NULL);
	if (!page)
		kunit_skip(test, "no memory to fill a PUD leaf");

	t->pfn = page_to_pfn(page);
	t->order = PUD_ORDER;
	map(test, file, start, PUD_SIZE, 0);
	KUNIT_EXPECT_EQ(test, try_fault_in(t, start), 0);
	expect_leaf(test, start, CALL_PUD);

	SetPageHWPoison(page + index);
	KUNIT_EXPECT_EQ(test, -EHWPOISON,
			memory_failure(t->pfn + index, MF_ACTION_REQUIRED |
						       MF_SW_SIMULATED));
	ClearPageHWPoison(page + index);
	KUNIT_EXPECT_TRUE(test, got_sigbus());
	expect_leaf(test, start, CALL_PUD);

	KUNIT_EXPECT_EQ(test, vm_munmap(start, PUD_SIZE), 0);
	free_contig_range(t->pfn, nr);
}
#else
static void hwpoison_below_pud_leaf(struct kunit *test)
{
	kunit_skip(test, "no memory failures here");
}
#endif

/*
 * What happens to a PUD leaf when its VMA moves, or when a part of it goes.
 * Keep them at the end: a kernel that fails here may not live to tell.
 */

static unsigned long move_tables(struct vm_area_struct *old,
				 struct vm_area_struct *new)
{
	PAGETABLE_MOVE(pmc, old, new, old->vm_start, new->vm_start,
		       old->vm_end - old->vm_start);

	vma_start_write(old);
	vma_start_write(new);
	return move_page_tables(&pmc);
}

static unsigned long move_vma_at(struct pagewalk_test *t, unsigned long from,
				 unsigned long to)
{
	unsigned long moved;

	mmap_write_lock(t->mm);
	moved = move_tables(vma_lookup(t->mm, from), vma_lookup(t->mm, to));
	mmap_write_unlock(t->mm);
	return moved;
}

static void pud_leaf_moves(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	struct file *file = open_pfn_file(test);
	unsigned long start = map_pud_leaf(test, file);
	unsigned long to = start + 4 * PUD_SIZE;
	unsigned long pfn = 0;

	map(test, file, to, 3 * PUD_SIZE, 0);
	KUNIT_EXPECT_EQ(test, move_vma_at(t, start, to), 3 * PUD_SIZE);
	expect_leaf(test, start, CALL_HOLE);
	KUNIT_EXPECT_EQ(test, find_leaf(t, to, &pfn), CALL_PUD);
	KUNIT_EXPECT_EQ(test, pfn, t->pfn);
}

/* Nothing is left behind, and what is missing comes back as smaller leaves. */
static void pud_leaf_moves_askew(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	struct file *file = open_pfn_file(test);
	unsigned long start = map_pud_leaf(test, file);
	unsigned long to = start + 4 * PUD_SIZE + PMD_SIZE;
	unsigned long pfn = 0;

	map(test, file, to, 3 * PUD_SIZE, 0);
	KUNIT_EXPECT_EQ(test, move_vma_at(t, start, to), 3 * PUD_SIZE);
	expect_leaf(test, start, CALL_HOLE);
	fault_in_leaf(test, to, CALL_PMD);
	KUNIT_EXPECT_EQ(test, find_leaf(t, to, &pfn), CALL_PMD);
	KUNIT_EXPECT_EQ(test, pfn, t->pfn);
}

static void expect_unmap_of_part(struct kunit *test, unsigned long len,
				 enum call_kind level)
{
	unsigned long start = map_pud_leaf(test, open_pfn_file(test));

	fault_in_leaf(test, start + PUD_SIZE, CALL_PUD);
	KUNIT_EXPECT_EQ(test, vm_munmap(start, len), 0);

	/* To split a PUD leaf is to clear it. */
	expect_leaf(test, start, CALL_HOLE);
	expect_leaf(test, start + len, CALL_HOLE);
	expect_leaf(test, start + PUD_SIZE, CALL_PUD);

	fault_in_leaf(test, start + len, level);
}

static void pud_leaf_loses_a_pmd(struct kunit *test)
{
	expect_unmap_of_part(test, PMD_SIZE, CALL_PMD);
}

static void pud_leaf_loses_a_page(struct kunit *test)
{
	expect_unmap_of_part(test, PAGE_SIZE, CALL_PTE);
}

static const struct level_param huge_leaf_params[] = {
	{ CALL_PMD, "pmd" },
	{ CALL_PUD, "pud" },
};

KUNIT_ARRAY_PARAM_DESC(huge_leaf, huge_leaf_params, name);

/* Locks that pmd_trans_huge_lock() and pud_trans_huge_lock() are content with */

enum keeper { NOTHING, MMAP_LOCK, VMA_LOCK, I_MMAP, OTHER_I_MMAP };

static const char * const keeper_name[] = {
	"no lock", "mmap_lock", "VMA lock", "i_mmap_rwsem", "another i_mmap_rwsem",
};

/* The number of warnings when the leaf is locked, -1 if it was not. */
static int warnings_of_lock(struct kunit *test, enum call_kind level,
			    unsigned long addr, enum keeper keeper,
			    struct file *other)
{
	struct kunit_suppressed_warning *warnings;
	struct pagewalk_test *t = test->priv;
	struct vm_area_struct *vma;
	spinlock_t *ptl = NULL;
	pud_t *pudp;
	pmd_t *pmdp;
	int count;

	/* Nobody else has this mm: what is found will stay. */
	mmap_read_lock(t->mm);
	vma = vma_lookup(t->mm, addr);
	pudp = pud_offset(p4d_offset(pgd_offset(t->mm, addr), addr), addr);
	pmdp = level == CALL_PMD ? pmd_offset(pudp, addr) : NULL;
	if (keeper == VMA_LOCK && !lock_vma_under_rcu(t->mm, addr)) {
		KUNIT_EXPECT_FALSE(test, IS_ENABLED(CONFIG_PER_VMA_LOCK));
		keeper = MMAP_LOCK;
	}
	if (keeper != MMAP_LOCK)
		mmap_read_unlock(t->mm);
	if (keeper == I_MMAP)
		i_mmap_lock_read(vma->vm_file->f_mapping);
	if (keeper == OTHER_I_MMAP)
		i_mmap_lock_read(other->f_mapping);

	warnings = kunit_start_suppress_warning(test);
	if (level == CALL_PMD)
		ptl = pmd_trans_huge_lock(pmdp, vma);
	else
		ptl = pud_trans_huge_lock(pudp, vma);
	if (ptl)
		spin_unlock(ptl);
	count = kunit_suppressed_warning_count(warnings);
	kunit_end_suppress_warning(test, warnings);

	if (keeper == OTHER_I_MMAP)
		i_mmap_unlock_read(other->f_mapping);
	if (keeper == I_MMAP)
		i_mmap_unlock_read(vma->vm_file->f_mapping);
	if (keeper == VMA_LOCK)
		vma_end_read(vma);
	if (keeper == MMAP_LOCK)
		mmap_read_unlock(t->mm);
	return ptl ? count : -1;
}

static void huge_lock_wants_a_lock(struct kunit *test)
{
	const struct level_param *param = test->param_value;
	unsigned long start = boundary(test, param->level);
	struct file *file = open_pfn_file(test);
	struct file *other = shmem_kernel_file_setup("pagewalk", PAGE_SIZE,
						     EMPTY_VMA_FLAGS);
	enum keeper keeper;
	int count[ARRAY_SIZE(keeper_name)];

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, other);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_file, other));
	need_leaves(test, param->level);
	if (!IS_ENABLED(CONFIG_LOCKDEP) || !debug_locks)
		kunit_skip(test, "only lockdep can tell whose lock it is");
	map(test, file, start, entry_size(param->level), 0);
	fault_in_leaf(test, start, param->level);

	for (keeper = NOTHING; keeper < ARRAY_SIZE(keeper_name); keeper++)
		count[keeper] = warnings_of_lock(test, param->level, start,
						 keeper, other);
	for (keeper = NOTHING; keeper < ARRAY_SIZE(keeper_name); keeper++) {
		KUNIT_EXPECT_NE_MSG(test, count[keeper], -1, "%s",
				    keeper_name[keeper]);
		if (keeper == NOTHING || keeper == OTHER_I_MMAP)
			KUNIT_EXPECT_GT_MSG(test, count[keeper], 0, "%s",
					    keeper_name[keeper]);
		else
			KUNIT_EXPECT_EQ_MSG(test, count[keeper], 0, "%s",
					    keeper_name[keeper]);
	}
}

struct leaf_map_param {
	enum call_kind level;
	bool mixed;
	const char *name;
};

static const struct leaf_map_param leaf_map_params[] = {
	{ CALL_PMD, false, "pmd_pfnmap" },
	{ CALL_PMD, true, "pmd_mixedmap" },
	{ CALL_PUD, false, "pud_pfnmap" },
	{ CALL_PUD, true, "pud_mixedmap" },
};

KUNIT_ARRAY_PARAM_DESC(leaf_map, leaf_map_params, name);

/* Dirty pages of a file that is mapped by leaves and by PTEs, by two processes */

#if defined(CONFIG_TRANSPARENT_HUGEPAGE) && defined(CONFIG_MAPPING_DIRTY_HELPERS)
static vm_fault_t tracked_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct pagewalk_test *t = vmf->vma->vm_private_data;

	if (order == t->order && vmf->flags & FAULT_FLAG_WRITE)
		atomic_inc(&t->nr_huge_writes);
	return pfn_huge_fault(vmf, order);
}

static vm_fault_t tracked_mkwrite(struct vm_fault *vmf)
{
	struct pagewalk_test *t = vmf->vma->vm_private_data;

	atomic_inc(&t->nr_small_writes);
	return 0;
}

static const struct vm_operations_struct tracked_vm_ops = {
	.fault = pfn_fault,
	.huge_fault = tracked_huge_fault,
	.pfn_mkwrite = tracked_mkwrite,
};

static int tracked_mmap_prepare(struct vm_area_desc *desc)
{
	struct pagewalk_test *t = desc->file->private_data;

	pfn_mmap_prepare(desc);
	if (t->mixed) {
		vma_desc_clear_flags(desc, VMA_PFNMAP_BIT, VMA_IO_BIT);
		vma_desc_set_flags(desc, VMA_MIXEDMAP_BIT, VMA_HUGEPAGE_BIT);
	}
	desc->vm_ops = &tracked_vm_ops;
	return 0;
}

static const struct file_operations tracked_fops = {
	.owner = THIS_MODULE,
	.mmap_prepare = tracked_mmap_prepare,
};

KUNIT_DEFINE_ACTION_WRAPPER(put_mm, mmput, struct mm_struct *);

/* The mm of another process, with @len from @pgoff of the file at @addr. */
static struct mm_struct *map_elsewhere(struct kunit *test, struct file *file,
				       unsigned long addr, unsigned long len,
				       pgoff_t pgoff, unsigned long prot)
{
	struct pagewalk_test *t = test->priv;
	struct mm_struct *mm = mm_alloc();
	unsigned long ret;

	KUNIT_ASSERT_NOT_NULL(test, mm);
	mm->task_size = TASK_SIZE;
	arch_pick_mmap_layout(mm, &current->signal->rlim[RLIMIT_STACK]);

	kthread_unuse_mm(t->mm);
	kthread_use_mm(mm);
	ret = vm_mmap(file, addr, len, prot,
		      MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_NORESERVE,
		      pgoff << PAGE_SHIFT);
	kthread_unuse_mm(mm);
	kthread_use_mm(t->mm);

	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_mm, mm));
	KUNIT_ASSERT_EQ(test, ret, addr);
	return mm;
}

/* Like a CPU, which tries again after the PTE was inserted, read-only. */
static int fault_in_elsewhere(struct mm_struct *mm, unsigned long addr,
			      unsigned int flags)
{
	int err;

	mmap_read_lock(mm);
	err = fixup_user_fault(mm, addr, flags, NULL);
	if (!err && flags & FAULT_FLAG_WRITE)
		err = fixup_user_fault(mm, addr, flags, NULL);
	mmap_read_unlock(mm);
	return err;
}

KUNIT_DEFINE_ACTION_WRAPPER(free_bitmap, bitmap_free, unsigned long *);

struct leaf_bits {
	enum call_kind level;
	bool write;
	bool dirty;
};

static struct leaf_bits leaf_bits(struct mm_struct *mm, unsigned long addr)
{
	struct leaf_bits bits = { .level = CALL_HOLE };
	pud_t *pudp, pud;
	pmd_t *pmdp, pmd;
	pte_t *ptep, pte;

	mmap_read_lock(mm);
	pudp = pud_offset(p4d_offset(pgd_offset(mm, addr), addr), addr);
	pud = pudp_get(pudp);
	if (pud_leaf(pud)) {
		bits.level = CALL_PUD;
#ifdef CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD
		bits.write = pud_write(pud);
		bits.dirty = pud_dirty(pud);
#endif
		goto out;
	}
	if (!pud_present(pud))
		goto out;
	pmdp = pmd_offset(pudp, addr);
	pmd = pmdp_get_lockless(pmdp);
	if (pmd_leaf(pmd)) {
		bits.level = CALL_PMD;
		bits.write = pmd_write(pmd);
		bits.dirty = pmd_dirty(pmd);
		goto out;
	}
	ptep = pte_offset_map(pmdp, addr);
	if (!ptep)
		goto out;
	pte = ptep_get(ptep);
	if (pte_present(pte)) {
		bits.level = CALL_PTE;
		bits.write = pte_write(pte);
		bits.dirty = pte_dirty(pte);
	}
	pte_unmap(ptep);
out:
	mmap_read_unlock(mm);
	return bits;
}

static void expect_bits(struct kunit *test, struct mm_struct *mm,
			unsigned long addr, enum call_kind level, bool write,
			bool dirty)
{
	struct leaf_bits bits = leaf_bits(mm, addr);

	KUNIT_EXPECT_EQ(test, bits.level, level);
	KUNIT_EXPECT_EQ(test, bits.write, write);
	KUNIT_EXPECT_EQ(test, bits.dirty, dirty);
}

/*
 * What the dirty helpers are to find, in pages of the file:
 *
 *	huge	the test's own mm: from 0, one leaf, written to
 *	small	another mm: NR_TRACKED PTEs from TRACKED, at some other offset
 *		from a leaf, all written to but the last
 *	ro	yet another mm: from 0, one leaf, read-only
 */
#define TRACKED		5
#define NR_TRACKED	8

struct tracked {
	struct file *file;
	unsigned long nr;
	unsigned long huge;
	unsigned long small;
	unsigned long ro;
	struct mm_struct *small_mm;
	struct mm_struct *ro_mm;
	unsigned long *bitmap;
};

static struct tracked map_tracked(struct kunit *test, enum call_kind level)
{
	unsigned long size = entry_size(level), i;
	struct pagewalk_test *t = test->priv;
	struct tracked f = {
		.nr = size / PAGE_SIZE,
		.huge = boundary(test, level),
		.small = somewhere() + PAGE_SIZE,
		.ro = boundary(test, level) + 2 * size,
	};

	need_leaves(test, level);
	f.bitmap = bitmap_zalloc(f.nr, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f.bitmap);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_bitmap,
							   f.bitmap));
	f.file = open_file(test, &tracked_fops);
	if (t->mixed && pfn_valid(t->pfn))
		kunit_skip(test, "no PFN here that has no struct page");

	map(test, f.file, f.huge, size, 0);
	f.small_mm = map_elsewhere(test, f.file, f.small, NR_TRACKED * PAGE_SIZE,
				   TRACKED, PROT_READ | PROT_WRITE);
	f.ro_mm = map_elsewhere(test, f.file, f.ro, size, 0, PROT_READ);

	fault_in_leaf(test, f.huge, level);
	for (i = 0; i < NR_TRACKED; i++)
		KUNIT_ASSERT_EQ(test, 0,
				fault_in_elsewhere(f.small_mm,
						   f.small + i * PAGE_SIZE,
						   i < NR_TRACKED - 1 ?
						   FAULT_FLAG_WRITE : 0));
	KUNIT_ASSERT_EQ(test, 0, fault_in_elsewhere(f.ro_mm, f.ro, 0));
	return f;
}

static unsigned long wp_tracked(struct tracked *f, pgoff_t first, pgoff_t nr)
{
	return wp_shared_mapping_range(f->file->f_mapping, first, nr);
}

static unsigned long clean_tracked(struct tracked *f, pgoff_t first, pgoff_t nr,
				   pgoff_t *start, pgoff_t *end)
{
	bitmap_zero(f->bitmap, f->nr);
	*start = nr;
	*end = 0;
	return clean_record_shared_mapping_range(f->file->f_mapping, first, nr,
						 first, f->bitmap, start, end);
}

static void dirty_helpers_take_leaves(struct kunit *test)
{
	const struct leaf_map_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	pgoff_t start, end;
	struct tracked f;
	int writes;

	t->mixed = param->mixed;
	f = map_tracked(test, param->level);
	expect_bits(test, t->mm, f.huge, param->level, true, true);
	expect_bits(test, f.small_mm, f.small, CALL_PTE, true, true);
	expect_bits(test, f.ro_mm, f.ro, param->level, false, false);

	KUNIT_EXPECT_EQ(test, wp_tracked(&f, 0, f.nr), f.nr + NR_TRACKED - 1);
	expect_bits(test, t->mm, f.huge, param->level, false, true);
	expect_bits(test, f.small_mm, f.small, CALL_PTE, false, true);
	expect_bits(test, f.ro_mm, f.ro, param->level, false, false);
	KUNIT_EXPECT_EQ(test, wp_tracked(&f, 0, f.nr), 0);

	KUNIT_EXPECT_EQ(test, clean_tracked(&f, 0, f.nr, &start, &end),
			f.nr + NR_TRACKED - 1);
	KUNIT_EXPECT_EQ(test, start, 0);
	KUNIT_EXPECT_EQ(test, end, f.nr);
	KUNIT_EXPECT_TRUE(test, bitmap_full(f.bitmap, f.nr));
	expect_bits(test, t->mm, f.huge, param->level, false, false);
	expect_bits(test, f.small_mm, f.small, CALL_PTE, false, false);
	KUNIT_EXPECT_EQ(test, clean_tracked(&f, 0, f.nr, &start, &end), 0);
	KUNIT_EXPECT_EQ(test, end, 0);

	/* The driver gets to know of the next write, as for a PTE. */
	writes = atomic_read(&t->nr_huge_writes);
	fault_in(test, f.huge);
	KUNIT_EXPECT_EQ(test, atomic_read(&t->nr_huge_writes), writes + 1);
	expect_bits(test, t->mm, f.huge, param->level, true, true);
	writes = atomic_read(&t->nr_small_writes);
	KUNIT_EXPECT_EQ(test, 0, fault_in_elsewhere(f.small_mm, f.small,
						    FAULT_FLAG_WRITE));
	KUNIT_EXPECT_EQ(test, atomic_read(&t->nr_small_writes), writes + 1);
	KUNIT_EXPECT_EQ(test, clean_tracked(&f, 0, f.nr, &start, &end), f.nr + 1);

	/* Cleaned, but not write-protected */
	expect_bits(test, t->mm, f.huge, param->level, true, false);
}

/* The same for an ordinary file, whose leaf is of pages. */
static void dirty_helpers_take_shmem_leaf(struct kunit *test)
{
	struct tracked f = { .nr = PTRS_PER_PTE };
	struct pagewalk_test *t = test->priv;
	pgoff_t start, end;
	unsigned long pfn;

	f.bitmap = bitmap_zalloc(f.nr, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f.bitmap);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_bitmap,
							   f.bitmap));
	f.file = shmem_kernel_file_setup("pagewalk", PMD_SIZE, EMPTY_VMA_FLAGS);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, f.file);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_file, f.file));
	f.huge = boundary(test, CALL_PMD);
	map(test, f.file, f.huge, PMD_SIZE, 0);
	fault_in(test, f.huge);
	if (find_leaf(t, f.huge, &pfn) != CALL_PMD)
		kunit_skip(test, "no huge pages for shmem: see transparent_hugepage_shmem=");

	KUNIT_EXPECT_EQ(test, wp_tracked(&f, 0, f.nr), f.nr);
	expect_bits(test, t->mm, f.huge, CALL_PMD, false, true);
	KUNIT_EXPECT_EQ(test, clean_tracked(&f, 0, f.nr, &start, &end), f.nr);
	KUNIT_EXPECT_TRUE(test, bitmap_full(f.bitmap, f.nr));
	expect_bits(test, t->mm, f.huge, CALL_PMD, false, false);
	KUNIT_EXPECT_EQ(test, clean_tracked(&f, 0, f.nr, &start, &end), 0);

	fault_in(test, f.huge);
	KUNIT_EXPECT_TRUE(test, leaf_bits(t->mm, f.huge).write);
	KUNIT_EXPECT_GE(test, clean_tracked(&f, 0, f.nr, &start, &end), 1);
	KUNIT_EXPECT_TRUE(test, test_bit(0, f.bitmap));
}

/* What mmu notifiers hear of, and secondary TLBs: it takes one for each. */
struct heard {
#ifdef CONFIG_MMU_NOTIFIER
	struct mmu_notifier notifier;
	struct mmu_notifier flush_notifier;
#endif
	unsigned long start, end;
	unsigned long flush_start, flush_end;
	int nr_starts, nr_ends;
};

#ifdef CONFIG_MMU_NOTIFIER
static int hear_start(struct mmu_notifier *notifier,
		      const struct mmu_notifier_range *range)
{
	struct heard *h = container_of(notifier, struct heard, notifier);

	h->start = min(h->start, range->start);
	h->end = max(h->end, range->end);
	h->nr_starts++;
	return 0;
}

static void hear_end(struct mmu_notifier *notifier,
		     const struct mmu_notifier_range *range)
{
	container_of(notifier, struct heard, notifier)->nr_ends++;
}

static void hear_flush(struct mmu_notifier *notifier, struct mm_struct *mm,
		       unsigned long start, unsigned long end)
{
	struct heard *h = container_of(notifier, struct heard, flush_notifier);

	h->flush_start = min(h->flush_start, start);
	h->flush_end = max(h->flush_end, end);
}

static const struct mmu_notifier_ops hear_ops = {
	.invalidate_range_start = hear_start,
	.invalidate_range_end = hear_end,
};

static const struct mmu_notifier_ops hear_flush_ops = {
	.arch_invalidate_secondary_tlbs = hear_flush,
};

static int hear(struct heard *h, struct mm_struct *mm)
{
	int err;

	h->notifier.ops = &hear_ops;
	h->flush_notifier.ops = &hear_flush_ops;
	err = mmu_notifier_register(&h->notifier, mm);
	if (err)
		return err;
	err = mmu_notifier_register(&h->flush_notifier, mm);
	if (err)
		mmu_notifier_unregister(&h->notifier, mm);
	return err;
}

static void hear_no_more(struct heard *h, struct mm_struct *mm)
{
	mmu_notifier_unregister(&h->flush_notifier, mm);
	mmu_notifier_unregister(&h->notifier, mm);
}
#else
static int hear(struct heard *h, struct mm_struct *mm)
{
	return 0;
}

static void hear_no_more(struct heard *h, struct mm_struct *mm)
{
}
#endif

/*
 * One bit for all of the leaf: it can be write-protected for a part of it, but
 * not be cleaned, for nobody would hear of the rest.
 */
static void dirty_helpers_cut_leaves(struct kunit *test)
{
	const struct leaf_map_param *param = test->param_value;
	struct heard h = { .start = ULONG_MAX, .flush_start = ULONG_MAX };
	unsigned long size = entry_size(param->level), wp, clean;
	struct pagewalk_test *t = test->priv;
	pgoff_t start, end;
	struct tracked f;

	t->mixed = param->mixed;
	f = map_tracked(test, param->level);
	KUNIT_ASSERT_EQ(test, 0, hear(&h, t->mm));
	wp = wp_tracked(&f, TRACKED - 2, 4);
	hear_no_more(&h, t->mm);
	KUNIT_EXPECT_EQ(test, wp, 4 + 2);
	expect_bits(test, t->mm, f.huge, param->level, false, true);
	KUNIT_EXPECT_EQ(test, h.nr_starts, h.nr_ends);
	if (IS_ENABLED(CONFIG_MMU_NOTIFIER)) {
		KUNIT_EXPECT_EQ(test, h.start, f.huge);
		KUNIT_EXPECT_EQ(test, h.end, f.huge + size);
	}
	if (IS_ENABLED(CONFIG_MMU_NOTIFIER) && IS_ENABLED(CONFIG_X86)) {
		KUNIT_EXPECT_EQ(test, h.flush_start, f.huge);
		KUNIT_EXPECT_EQ(test, h.flush_end, f.huge + size);
	}

	clean = clean_tracked(&f, TRACKED - 2, 4, &start, &end);
	KUNIT_EXPECT_EQ(test, clean, 4 + 2);
	KUNIT_EXPECT_EQ(test, start, 0);
	KUNIT_EXPECT_EQ(test, end, 4);
	KUNIT_EXPECT_EQ(test, bitmap_weight(f.bitmap, f.nr), 4);
	expect_bits(test, t->mm, f.huge, param->level, false, true);
	expect_bits(test, f.small_mm, f.small, CALL_PTE, false, false);

	/* The end of the leaf, and what follows */
	clean = clean_tracked(&f, f.nr - 3, 100, &start, &end);
	KUNIT_EXPECT_EQ(test, clean, 3);
	KUNIT_EXPECT_EQ(test, end, 3);
	KUNIT_EXPECT_EQ(test, bitmap_weight(f.bitmap, f.nr), 3);
	expect_bits(test, t->mm, f.huge, param->level, false, true);

	/* All of it */
	clean = clean_tracked(&f, 0, f.nr + 1, &start, &end);
	KUNIT_EXPECT_EQ(test, clean, f.nr + NR_TRACKED - 3);
	expect_bits(test, t->mm, f.huge, param->level, false, false);
}

/*
 * Two threads write to memory while it is write-protected and cleaned: one by
 * a leaf, one by PTEs, each a word of its own in random pages. In some rounds
 * mprotect() takes their right to write, and gives it back. What the bitmap says
 * is dirty is copied. When they pause, the copy has to be up to date.
 */
#define WRITES_A_ROUND	1024
#define NR_ROUNDS	512

static void free_leaf(void *page)
{
	__free_pages(page, PMD_ORDER);
}

struct writer {
	struct task_struct *task;
	struct mm_struct *mm;
	unsigned long addr;
	unsigned int nr, word;
	/* Rounds to be done, rounds done; words written; why it gave up */
	unsigned int todo, done;
	unsigned long nr_writes;
	int err;
};

static void begin_round(struct writer *w, unsigned int nr, unsigned int round)
{
	while (nr--) {
		/* Pairs with the acquire in write_pages(). */
		smp_store_release(&w[nr].todo, round);
	}
}

static bool round_done(struct writer *w, unsigned int nr, unsigned int round)
{
	while (nr--) {
		/* Pairs with the release in write_pages(). */
		if (smp_load_acquire(&w[nr].done) != round)
			return false;
	}
	return true;
}

static int write_pages(void *arg)
{
	struct writer *w = arg;
	struct rnd_state random;
	u32 value = 0;
	unsigned int i;

	prandom_seed_state(&random, w->word + 1);
	kthread_use_mm(w->mm);
	while (!kthread_should_stop()) {
		/* Pairs with the release when a round begins. */
		if (w->done == smp_load_acquire(&w->todo)) {
			cond_resched();
			continue;
		}
		for (i = 0; i < WRITES_A_ROUND && !w->err; i++) {
			u32 __user *page;

			page = (u32 __user *)(w->addr + PAGE_SIZE *
					      (prandom_u32_state(&random) % w->nr));
			if (put_user(++value, page + w->word))
				w->err = -EFAULT;
			else
				w->nr_writes++;
		}
		/* What was written comes before: see count_lost(). */
		smp_store_release(&w->done, w->done + 1);
	}
	kthread_unuse_mm(w->mm);
	return 0;
}

struct collected {
	/* The memory, and a copy of its first words, page by page */
	struct page *page;
	u32 (*copy)[2];
	unsigned long nr_pages;
	unsigned int nr_collects;
};

static void collect(struct tracked *f, struct collected *c, bool protect)
{
	pgoff_t start, end;
	unsigned long i;

	if (protect)
		wp_tracked(f, 0, f->nr);
	c->nr_pages += clean_tracked(f, 0, f->nr, &start, &end);
	c->nr_collects++;
	for_each_set_bit(i, f->bitmap, f->nr) {
		const u32 *word = page_address(c->page + i);

		c->copy[i][0] = READ_ONCE(word[0]);
		c->copy[i][1] = READ_ONCE(word[1]);
	}
}

static unsigned long count_lost(struct tracked *f, struct collected *c)
{
	unsigned long i, lost = 0;

	for (i = 0; i < f->nr; i++) {
		const u32 *word = page_address(c->page + i);

		lost += word[0] != c->copy[i][0] || word[1] != c->copy[i][1];
	}
	return lost;
}

/* A CPU that is write-protected by this, too, only finds out afterwards. */
static int take_write_access(struct writer *w)
{
	int err;

	mmap_write_lock(w->mm);
	err = change_access(w->mm, w->addr, VM_READ);
	if (!err)
		err = change_access(w->mm, w->addr, VM_READ | VM_WRITE);
	mmap_write_unlock(w->mm);
	return err;
}

static void no_dirty_page_is_lost(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	struct collected c = { };
	struct tracked f = { .nr = PTRS_PER_PTE };
	struct writer w[2] = { { .word = 0 }, { .word = 1 } };
	unsigned long size = PMD_SIZE, lost = 0, late = 0;
	unsigned int round, i;
	int err = 0;

	need_leaves(test, CALL_PMD);
	if (num_online_cpus() < 2)
		kunit_skip(test, "there is but one CPU");
	c.page = alloc_pages(GFP_KERNEL | __GFP_ZERO | __GFP_COMP | __GFP_NOWARN,
			     PMD_ORDER);
	if (!c.page)
		kunit_skip(test, "no memory to fill a PMD leaf");
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_leaf, c.page));
	c.copy = kunit_kcalloc(test, f.nr, sizeof(*c.copy), GFP_KERNEL);
	f.bitmap = kunit_kzalloc(test, BITS_TO_LONGS(f.nr) * sizeof(long),
				 GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, c.copy);
	KUNIT_ASSERT_NOT_NULL(test, f.bitmap);

	f.file = open_file(test, &tracked_fops);
	t->pfn = page_to_pfn(c.page);
	t->order = PMD_ORDER;
	f.huge = boundary(test, CALL_PMD);
	f.small = somewhere() + PAGE_SIZE;
	map(test, f.file, f.huge, size, 0);
	f.small_mm = map_elsewhere(test, f.file, f.small, size / 4, f.nr / 3,
				   PROT_READ | PROT_WRITE);
	f.ro_mm = map_elsewhere(test, f.file, f.huge, size, 0, PROT_READ);
	KUNIT_ASSERT_EQ(test, 0, fault_in_elsewhere(f.ro_mm, f.huge, 0));

	w[0].mm = t->mm;
	w[0].addr = f.huge;
	w[0].nr = f.nr;
	w[1].mm = f.small_mm;
	w[1].addr = f.small;
	w[1].nr = f.nr / 4;
	for (i = 0; i < ARRAY_SIZE(w); i++) {
		w[i].task = kthread_run(write_pages, &w[i], "pagewalk/%u", i);
		if (IS_ERR(w[i].task))
			break;
	}

	for (round = 1; i == ARRAY_SIZE(w) && round <= NR_ROUNDS; round++) {
		begin_round(w, ARRAY_SIZE(w), round);
		do {
			collect(&f, &c, round % 2);
			if (round % 8 == 0)
				err = take_write_access(&w[late % 2]) ?: err;
			cond_resched();
			late++;
		} while (!round_done(w, ARRAY_SIZE(w), round));
		collect(&f, &c, round % 3);
		lost += count_lost(&f, &c);
	}
	while (i--)
		kthread_stop(w[i].task);

	kunit_info(test, "%lu and %lu writes, %u collects found %lu pages, %d and %d faults",
		   w[0].nr_writes, w[1].nr_writes, c.nr_collects, c.nr_pages,
		   atomic_read(&t->nr_huge_writes),
		   atomic_read(&t->nr_small_writes));
	KUNIT_EXPECT_EQ(test, lost, 0);
	KUNIT_EXPECT_EQ(test, err, 0);
	KUNIT_EXPECT_EQ(test, w[0].err, 0);
	KUNIT_EXPECT_EQ(test, w[1].err, 0);
	KUNIT_EXPECT_GE(test, w[0].nr_writes + w[1].nr_writes, 1000000);
	/* Have they met? */
	KUNIT_EXPECT_GT(test, late, NR_ROUNDS);
	KUNIT_EXPECT_GT(test, atomic_read(&t->nr_huge_writes), NR_ROUNDS / 4);
	KUNIT_EXPECT_GT(test, atomic_read(&t->nr_small_writes), NR_ROUNDS / 4);
	expect_bits(test, t->mm, f.huge, CALL_PMD,
		    leaf_bits(t->mm, f.huge).write, false);
}
#else
static void dirty_helpers_take_leaves(struct kunit *test)
{
	kunit_skip(test, "no huge pages in this kernel");
}

static void dirty_helpers_take_shmem_leaf(struct kunit *test)
{
	kunit_skip(test, "no huge pages in this kernel");
}

static void dirty_helpers_cut_leaves(struct kunit *test)
{
	kunit_skip(test, "no huge pages in this kernel");
}

static void no_dirty_page_is_lost(struct kunit *test)
{
	kunit_skip(test, "no huge pages in this kernel");
}
#endif

/* Special leaves, and others that have no page for just anybody */

enum leaf_kind {
	LEAF_HOLE,
	LEAF_NORMAL,
	LEAF_ZERO,
	LEAF_PFNMAP,
	LEAF_MIXEDMAP,
	LEAF_MIGRATION,
};

struct leaf_kind_param {
	enum call_kind level;
	enum leaf_kind kind;
	bool ask_for_zero;
	const char *name;
};

static const struct leaf_kind_param leaf_kind_params[] = {
	{ CALL_PTE, LEAF_HOLE, true,		"pte_hole" },
	{ CALL_PTE, LEAF_NORMAL, false,		"pte_normal" },
	{ CALL_PTE, LEAF_ZERO, false,		"pte_zero" },
	{ CALL_PTE, LEAF_ZERO, true,		"pte_zero_asked_for" },
	{ CALL_PTE, LEAF_PFNMAP, true,		"pte_pfnmap" },
	{ CALL_PTE, LEAF_MIXEDMAP, true,	"pte_mixedmap" },
	{ CALL_PTE, LEAF_MIGRATION, true,	"pte_migration" },
	{ CALL_PMD, LEAF_HOLE, true,		"pmd_hole" },
	{ CALL_PMD, LEAF_NORMAL, false,		"pmd_normal" },
	{ CALL_PMD, LEAF_ZERO, false,		"pmd_zero" },
	{ CALL_PMD, LEAF_ZERO, true,		"pmd_zero_asked_for" },
	{ CALL_PMD, LEAF_PFNMAP, true,		"pmd_pfnmap" },
	{ CALL_PMD, LEAF_MIXEDMAP, true,	"pmd_mixedmap" },
	{ CALL_PMD, LEAF_MIGRATION, true,	"pmd_migration" },
	{ CALL_PUD, LEAF_HOLE, true,		"pud_hole" },
	{ CALL_PUD, LEAF_NORMAL, false,		"pud_normal" },
	{ CALL_PUD, LEAF_PFNMAP, true,		"pud_pfnmap" },
	{ CALL_PUD, LEAF_MIXEDMAP, true,	"pud_mixedmap" },
};

KUNIT_ARRAY_PARAM_DESC(leaf_kind, leaf_kind_params, name);

static int read_fault(struct pagewalk_test *t, unsigned long addr)
{
	int err;

	mmap_read_lock(t->mm);
	err = fixup_user_fault(t->mm, addr, 0, NULL);
	mmap_read_unlock(t->mm);
	return err;
}

#ifdef CONFIG_TRANSPARENT_HUGEPAGE
static vm_fault_t folio_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct pagewalk_test *t = vmf->vma->vm_private_data;
	bool write = vmf->flags & FAULT_FLAG_WRITE;

	if (order != folio_order(t->folio))
		return VM_FAULT_FALLBACK;
	if (IS_ENABLED(CONFIG_ARCH_SUPPORTS_PUD_PFNMAP) && order == PUD_ORDER)
		return vmf_insert_folio_pud(vmf, t->folio, write);
	return vmf_insert_folio_pmd(vmf, t->folio, write);
}

static vm_fault_t no_fault(struct vm_fault *vmf)
{
	return VM_FAULT_SIGBUS;
}

static const struct vm_operations_struct folio_vm_ops = {
	.fault = no_fault,
	.huge_fault = folio_huge_fault,
};

static int folio_mmap_prepare(struct vm_area_desc *desc)
{
	vma_desc_set_flags(desc, VMA_MIXEDMAP_BIT, VMA_HUGEPAGE_BIT);
	desc->vm_ops = &folio_vm_ops;
	desc->private_data = desc->file->private_data;
	return 0;
}

static const struct file_operations folio_fops = {
	.owner = THIS_MODULE,
	.mmap_prepare = folio_mmap_prepare,
};

static void put_test_folio(void *arg)
{
	struct folio *folio = arg;

	if (folio_order(folio) <= MAX_PAGE_ORDER)
		folio_put(folio);
#ifdef CONFIG_CONTIG_ALLOC
	else if (folio_put_testzero(folio))
		free_contig_frozen_range(folio_pfn(folio), folio_nr_pages(folio));
#endif
}

/* A folio as large as a leaf of @level */
static struct folio *get_folio(struct kunit *test, enum call_kind level)
{
	gfp_t gfp = GFP_KERNEL | __GFP_NOWARN | __GFP_COMP;
	struct page *page = NULL;

	if (level == CALL_PMD)
		page = alloc_pages(gfp, PMD_ORDER);
#ifdef CONFIG_CONTIG_ALLOC
	else
		page = alloc_contig_frozen_pages(PUD_SIZE / PAGE_SIZE, gfp,
						 numa_node_id(), NULL);
	if (page && level == CALL_PUD)
		set_page_refcounted(page);
#endif
	if (!page)
		kunit_skip(test, "no memory to fill a leaf");
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_test_folio,
							   page_folio(page)));
	return page_rmappable_folio(page);
}

/* Map a folio with a leaf: a normal one, in a VM_MIXEDMAP. */
static unsigned long map_folio(struct kunit *test, enum call_kind level)
{
	unsigned long start = boundary(test, level), pfn;
	struct pagewalk_test *t = test->priv;

	need_leaves(test, level);
	t->folio = get_folio(test, level);
	map(test, open_file(test, &folio_fops), start, entry_size(level), 0);
	KUNIT_ASSERT_EQ(test, 0, read_fault(t, start));
	KUNIT_ASSERT_EQ(test, find_leaf(t, start, &pfn), level);
	return start;
}
#else
static unsigned long map_folio(struct kunit *test, enum call_kind level)
{
	kunit_skip(test, "no huge pages in this kernel");
	return 0;
}
#endif

static unsigned long map_huge_zero(struct kunit *test)
{
	unsigned long addr = ALIGN(somewhere(), PMD_SIZE), pfn = 0;
	struct pagewalk_test *t = test->priv;

	if (!IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) ||
	    !IS_ENABLED(CONFIG_ADVISE_SYSCALLS))
		kunit_skip(test, "no huge pages in this kernel");
	map_anon(test, addr, PTRS_PER_PTE);
	KUNIT_ASSERT_EQ(test, 0,
			do_madvise(t->mm, addr, PMD_SIZE, MADV_HUGEPAGE));
	KUNIT_ASSERT_EQ(test, 0, read_fault(t, addr));
	if (find_leaf(t, addr, &pfn) != CALL_PMD || !is_huge_zero_pfn(pfn))
		kunit_skip(test, "got no huge zero folio");
	return addr;
}

/* The address of a leaf, or of a hole, that is as the parameter says */
static unsigned long map_leaf_kind(struct kunit *test,
				   const struct leaf_kind_param *param)
{
	unsigned long start = param->level == CALL_PTE ? somewhere() :
							 boundary(test, param->level);
	unsigned long size = entry_size(param->level);
	struct pagewalk_test *t = test->priv;
	struct file *file;

	switch (param->kind) {
	case LEAF_HOLE:
		/* With a neighbour there is a table. */
		map(test, NULL, start, 2 * size, 0);
		fault_in(test, start + size);
		return start;
	case LEAF_NORMAL:
		if (param->level == CALL_PMD)
			return map_thp(test);
		if (param->level == CALL_PUD)
			return map_folio(test, param->level);
		map_and_fault_in(test, start, 1);
		return start;
	case LEAF_ZERO:
		if (param->level == CALL_PMD)
			return map_huge_zero(test);
		map_anon(test, start, 1);
		KUNIT_ASSERT_EQ(test, 0, read_fault(t, start));
		return start;
	case LEAF_PFNMAP:
	case LEAF_MIXEDMAP:
		need_leaves(test, param->level);
		file = param->kind == LEAF_PFNMAP ? open_pfn_file(test) :
						    open_mixed_file(test);
		if (param->kind == LEAF_MIXEDMAP && pfn_valid(t->pfn))
			kunit_skip(test, "no PFN here that has no struct page");
		map(test, file, start, size, 0);
		fault_in_leaf(test, start, param->level);
		return start;
	case LEAF_MIGRATION:
		if (param->level == CALL_PMD)
			return map_thp(test);
		map_and_fault_in(test, start, 1);
		return start;
	}
	return 0;
}

/* Turn what is mapped into migration entries and look, meanwhile, at @addr. */
static struct folio *look_while_migrating(struct pagewalk_test *t,
					  unsigned long addr, bool *migrating,
					  struct folio *(*look)(struct pagewalk_test *t,
								unsigned long addr,
								struct folio_walk *fw,
								folio_walk_flags_t flags),
					  struct folio_walk *fw)
{
	struct folio *folio, *found;
	unsigned long pfn = 0;
	enum call_kind level;

	level = find_leaf(t, addr, &pfn);
	*migrating = level != CALL_HOLE &&
		     (level != CALL_PMD || thp_migration_supported());
	if (!*migrating)
		return NULL;
	folio = pfn_folio(pfn);
	folio_get(folio);
	folio_lock(folio);
	try_to_migrate(folio, 0);
	*migrating = find_leaf(t, addr, &pfn) == CALL_HOLE;
	found = look(t, addr, fw, FW_ZEROPAGE);
	if (IS_ENABLED(CONFIG_MIGRATION))
		remove_migration_ptes(folio, folio, 0);
	folio_unlock(folio);
	folio_put(folio);
	return found;
}

static bool is_hugetlb_locked(struct vm_area_struct *vma)
{
	bool locked = false;

	if (is_vm_hugetlb_page(vma)) {
		locked = !hugetlb_vma_trylock_write(vma);
		if (!locked)
			hugetlb_vma_unlock_write(vma);
	}
	return locked;
}

static bool is_hugetlb_vma_locked(struct pagewalk_test *t, unsigned long addr)
{
	bool locked;

	mmap_write_lock(t->mm);
	locked = is_hugetlb_locked(vma_lookup(t->mm, addr));
	mmap_write_unlock(t->mm);
	return locked;
}

/* Look at @addr, with a check that a lock is held if, and only if, it's found. */
static bool locks_are_right, hugetlb_was_locked;

static struct folio *walk_to_folio(struct pagewalk_test *t, unsigned long addr,
				   struct folio_walk *fw,
				   folio_walk_flags_t flags)
{
	struct vm_area_struct *vma;
	struct folio *folio;
	int before, during;

	mmap_read_lock(t->mm);
	vma = vma_lookup(t->mm, addr);
	before = preempt_count();
	folio = folio_walk_start(fw, vma, addr, flags);
	during = preempt_count();
	if (folio) {
		hugetlb_was_locked = is_hugetlb_locked(vma);
		folio_walk_end(fw);
	}
	locks_are_right = before == preempt_count();
	if (IS_ENABLED(CONFIG_PREEMPT_COUNT))
		locks_are_right &= (during != before) == !!folio;
	mmap_read_unlock(t->mm);
	return folio;
}

static void folio_walk_to(struct kunit *test)
{
	static const enum pt_leaf_type type[] = {
		[CALL_PTE] = PT_LEAF_PTE,
		[CALL_PMD] = PT_LEAF_PMD,
		[CALL_PUD] = PT_LEAF_PUD,
	};
	const struct leaf_kind_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	struct folio_walk fw = { };
	bool found, migrating = true;
	struct folio *folio;
	unsigned long addr, pfn = 0;

	addr = map_leaf_kind(test, param);
	if (param->level != CALL_PTE)
		addr += 3 * PAGE_SIZE;
	find_leaf(t, addr, &pfn);

	if (param->kind == LEAF_MIGRATION)
		folio = look_while_migrating(t, addr, &migrating, walk_to_folio, &fw);
	else
		folio = walk_to_folio(t, addr, &fw,
				      param->ask_for_zero ? FW_ZEROPAGE : 0);
	if (!migrating)
		kunit_skip(test, "this page does not migrate");

	found = param->kind == LEAF_NORMAL ||
		(param->kind == LEAF_ZERO && param->ask_for_zero);
	KUNIT_EXPECT_TRUE(test, locks_are_right);
	KUNIT_EXPECT_EQ(test, !!folio, found);
	if (!folio || !found)
		return;
	KUNIT_EXPECT_EQ(test, fw.leaf->type, type[param->level]);
	KUNIT_EXPECT_PTR_EQ(test, folio, pfn_folio(pfn));
	if (param->kind == LEAF_ZERO)
		KUNIT_EXPECT_NULL(test, fw.page);
	else
		KUNIT_EXPECT_EQ(test, page_to_pfn(fw.page), pfn +
				(param->level != CALL_PTE ? 3 : 0));
}

/* The middle of a page of hugetlb, and of one that is not there */
static void folio_walk_to_hugetlb(struct kunit *test)
{
	unsigned long size, start = map_hugetlb(test, &size);
	struct pagewalk_test *t = test->priv;
	/* An address within a page, as move_pages() passes it on */
	unsigned long middle = start + 3 * PAGE_SIZE + 5;
	struct folio_walk fw = { };
	struct folio *folio;

	if (try_fault_in(t, start))
		kunit_skip(test, "no pages of hugetlb");
	KUNIT_EXPECT_NULL(test, walk_to_folio(t, middle + size, &fw, 0));
	KUNIT_EXPECT_TRUE(test, locks_are_right);
	KUNIT_EXPECT_FALSE(test, is_hugetlb_vma_locked(t, start));

	hugetlb_was_locked = false;
	folio = walk_to_folio(t, middle, &fw, 0);
	KUNIT_EXPECT_TRUE(test, locks_are_right);
	KUNIT_EXPECT_TRUE(test, hugetlb_was_locked);
	KUNIT_EXPECT_FALSE(test, is_hugetlb_vma_locked(t, start));
	KUNIT_ASSERT_NOT_NULL(test, folio);
	KUNIT_EXPECT_TRUE(test, folio_test_hugetlb(folio));
	KUNIT_EXPECT_PTR_EQ(test, fw.page, folio_page(folio, 3));
	KUNIT_EXPECT_EQ(test, fw.leaf->type, PT_LEAF_HUGETLB);
}

struct normal_param {
	const char *name;
	vm_flags_t vm_flags;
	/* The entry: special? with a struct page? what the VMA starts with? */
	bool special;
	bool valid;
	bool linear;
	/* Is it normal, by the special bit and without one? */
	bool normal;
	bool normal_without;
};

static const struct normal_param normal_params[] = {
	{ "plain",		VM_SHARED | VM_MAYWRITE,
	  false, true, false,	true, true },
	{ "private",		VM_MAYWRITE,
	  false, true, false,	true, true },
	{ "pfnmap",		VM_PFNMAP | VM_SHARED | VM_MAYWRITE,
	  true, true, false,	false, false },
	{ "pfnmap_no_page",	VM_PFNMAP | VM_SHARED | VM_MAYWRITE,
	  true, false, false,	false, false },
	{ "pfnmap_cow",		VM_PFNMAP | VM_MAYWRITE,
	  true, true, true,	false, false },
	{ "pfnmap_cow_copied",	VM_PFNMAP | VM_MAYWRITE,
	  false, true, false,	true, true },
	{ "mixedmap",		VM_MIXEDMAP | VM_SHARED | VM_MAYWRITE,
	  false, true, false,	true, true },
	{ "mixedmap_special",	VM_MIXEDMAP | VM_SHARED | VM_MAYWRITE,
	  true, true, false,	false, true },
	{ "mixedmap_no_page",	VM_MIXEDMAP | VM_SHARED | VM_MAYWRITE,
	  true, false, false,	false, false },
};

KUNIT_ARRAY_PARAM_DESC(normal, normal_params, name);

#ifdef CONFIG_TRANSPARENT_HUGEPAGE
/* A PFN that begins a leaf, with or without a struct page */
static unsigned long some_pfn(struct kunit *test, unsigned long nr, bool valid)
{
	unsigned long pfn;

	if (!valid) {
		if (pfn_valid(FAKE_PFN))
			kunit_skip(test, "no PFN here that has no struct page");
		return FAKE_PFN;
	}
	for (pfn = 0; pfn <= highest_memmap_pfn; pfn += nr)
		if (pfn_valid(pfn) && !is_zero_pfn(pfn) && !is_huge_zero_pfn(pfn))
			return pfn;
	kunit_skip(test, "no PFN here that has a struct page");
	return 0;
}

/* An entry that is not mapped anywhere, for there is no way to get all these. */
static void expect_normal(struct kunit *test, enum call_kind level, bool has_bit)
{
	const struct normal_param *param = test->param_value;
	unsigned long nr = entry_size(level) / PAGE_SIZE;
	unsigned long pfn = some_pfn(test, nr, param->valid);
	unsigned long addr = ALIGN(somewhere(), entry_size(level));
	bool normal = has_bit ? param->normal : param->normal_without;
	pgprot_t prot = vm_get_page_prot(VM_READ | VM_SHARED);
	struct vm_area_struct *vma;
	struct page *page;

	vma = kunit_kzalloc(test, sizeof(*vma), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vma);
	vma->vm_start = addr;
	vma->vm_end = addr + entry_size(level);
	vma->vm_pgoff = param->linear ? pfn : pfn + nr;
	vm_flags_init(vma, param->vm_flags);

	if (level == CALL_PMD) {
		pmd_t pmd = pmd_mkhuge(pfn_pmd(pfn, prot));

		if (param->special)
			pmd = pmd_mkspecial(pmd);
		page = vm_normal_page_pmd(vma, addr, pmd);
	} else {
#ifdef CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD
		pud_t pud = pud_mkhuge(pfn_pud(pfn, prot));

		if (param->special)
			pud = pud_mkspecial(pud);
		page = vm_normal_page_pud(vma, addr, pud);
#else
		kunit_skip(test, "no PUD leaves here");
#endif
	}
	if (normal)
		KUNIT_EXPECT_PTR_EQ(test, page, pfn_to_page(pfn));
	else
		KUNIT_EXPECT_NULL(test, page);
}

static void normal_page_of_a_pmd(struct kunit *test)
{
	expect_normal(test, CALL_PMD, IS_ENABLED(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP));
}

static void normal_page_of_a_pud(struct kunit *test)
{
	expect_normal(test, CALL_PUD, IS_ENABLED(CONFIG_ARCH_SUPPORTS_PUD_PFNMAP));
}

static void huge_zero_folio_is_not_normal(struct kunit *test)
{
	unsigned long addr = map_huge_zero(test);
	struct pagewalk_test *t = test->priv;
	struct page *page;
	pmd_t pmd;

	mmap_read_lock(t->mm);
	pmd = pmdp_get(mm_find_pmd(t->mm, addr));
	page = vm_normal_page_pmd(vma_lookup(t->mm, addr), addr, pmd);
	mmap_read_unlock(t->mm);
	KUNIT_EXPECT_NULL(test, page);
}
#else
static void normal_page_of_a_pmd(struct kunit *test)
{
	kunit_skip(test, "no huge pages in this kernel");
}

static void normal_page_of_a_pud(struct kunit *test)
{
	kunit_skip(test, "no huge pages in this kernel");
}

static void huge_zero_folio_is_not_normal(struct kunit *test)
{
	kunit_skip(test, "no huge pages in this kernel");
}
#endif

static void gup_takes_huge_zero_folio(struct kunit *test)
{
	unsigned long addr = map_huge_zero(test) + 3 * PAGE_SIZE, pfn = 0;
	struct pagewalk_test *t = test->priv;
	struct page *page = NULL;
	long ret;

	find_leaf(t, addr, &pfn);
	mmap_read_lock(t->mm);
	ret = get_user_pages(addr, 1, 0, &page);
	mmap_read_unlock(t->mm);
	KUNIT_ASSERT_EQ(test, ret, 1);
	KUNIT_EXPECT_EQ(test, page_to_pfn(page), pfn + 3);
	put_page(page);
}

#ifdef CONFIG_TRANSPARENT_HUGEPAGE
/* Normal leaves in a VM_MIXEDMAP hold a reference, however they go. */
static void normal_leaf_drops_its_folio(struct kunit *test)
{
	const struct level_param *param = test->param_value;
	unsigned long start = map_folio(test, param->level);
	struct pagewalk_test *t = test->priv;
	struct vm_area_struct *vma;
	int before, split, again, zapped;
	pud_t *pudp;

	before = folio_ref_count(t->folio);
	mmap_write_lock(t->mm);
	vma = vma_lookup(t->mm, start);
	vma_start_write(vma);
	pudp = pud_offset(p4d_offset(pgd_offset(t->mm, start), start), start);
	if (param->level == CALL_PMD)
		split_huge_pmd(vma, pmd_offset(pudp, start), start);
	else
		split_huge_pud(vma, pudp, start);
	mmap_write_unlock(t->mm);
	split = folio_ref_count(t->folio);
	KUNIT_EXPECT_EQ(test, 0, read_fault(t, start));
	again = folio_ref_count(t->folio);
	KUNIT_EXPECT_EQ(test, 0, vm_munmap(start, entry_size(param->level)));
	zapped = folio_ref_count(t->folio);

	KUNIT_EXPECT_EQ(test, before, 2);
	KUNIT_EXPECT_EQ(test, split, 1);
	KUNIT_EXPECT_EQ(test, again, 2);
	KUNIT_EXPECT_EQ(test, zapped, 1);
	KUNIT_EXPECT_EQ(test, folio_mapcount(t->folio), 0);
	/* What was leaked will not be freed: it is still "mapped". */
}
#else
static void normal_leaf_drops_its_folio(struct kunit *test)
{
	kunit_skip(test, "no huge pages in this kernel");
}
#endif

/*
 * fork() looks at the PMD leaf of a PFN mapping, then waits for the lock of its
 * table, while somebody who goes by the i_mmap_rwsem clears the leaf. That must
 * not come back in the child.
 */

#ifdef CONFIG_TRANSPARENT_HUGEPAGE
struct forker {
	struct mm_struct *dst_mm, *src_mm;
	struct vm_area_struct *dst_vma, *src_vma;
	pmd_t *dst_pmdp, *src_pmdp;
	unsigned long addr;
	struct completion done;
	bool go, called;
	int ret;
};

static int copy_leaf(void *arg)
{
	struct forker *f = arg;

	while (!READ_ONCE(f->go))
		cond_resched();
	WRITE_ONCE(f->called, true);
	f->ret = copy_huge_pmd(f->dst_mm, f->src_mm, f->dst_pmdp, f->src_pmdp,
			       f->addr, f->dst_vma, f->src_vma);
	complete(&f->done);
	return 0;
}

static void fork_looks_again(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	struct file *file = open_pfn_file(test);
	struct forker f = { .src_mm = t->mm };
	struct task_struct *task;
	spinlock_t *ptl;
	unsigned int cpu;
	p4d_t *p4dp;
	pud_t *pudp = NULL;
	pmd_t pmd;

	need_leaves(test, CALL_PMD);
	if (num_online_cpus() < 2)
		kunit_skip(test, "there is but one CPU");
	if (arch_needs_pgtable_deposit())
		kunit_skip(test, "a leaf has a table here, and cannot just be cleared");

	f.addr = boundary(test, CALL_PMD);
	map(test, file, f.addr, PMD_SIZE, 0);
	fault_in_leaf(test, f.addr, CALL_PMD);
	f.dst_mm = map_elsewhere(test, file, f.addr, PMD_SIZE, 0, PROT_READ);
	mmap_read_lock(f.src_mm);
	f.src_vma = vma_lookup(f.src_mm, f.addr);
	f.src_pmdp = mm_find_pmd(f.src_mm, f.addr);
	mmap_read_unlock(f.src_mm);
	mmap_read_lock(f.dst_mm);
	f.dst_vma = vma_lookup(f.dst_mm, f.addr);
	p4dp = p4d_alloc(f.dst_mm, pgd_offset(f.dst_mm, f.addr), f.addr);
	if (p4dp)
		pudp = pud_alloc(f.dst_mm, p4dp, f.addr);
	if (pudp)
		f.dst_pmdp = pmd_alloc(f.dst_mm, pudp, f.addr);
	mmap_read_unlock(f.dst_mm);
	KUNIT_ASSERT_NOT_NULL(test, f.src_pmdp);
	KUNIT_ASSERT_NOT_NULL(test, f.dst_pmdp);

	init_completion(&f.done);
	task = kthread_create(copy_leaf, &f, "pagewalk");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	migrate_disable();
	cpu = cpumask_any_but(cpu_online_mask, smp_processor_id());
	kthread_bind(task, cpu);
	wake_up_process(task);
	ptl = pmd_lock(f.src_mm, f.src_pmdp);
	WRITE_ONCE(f.go, true);
	while (!READ_ONCE(f.called))
		cpu_relax();
	mdelay(50);
	pmdp_huge_get_and_clear(f.src_mm, f.addr, f.src_pmdp);
	spin_unlock(ptl);
	migrate_enable();
	wait_for_completion(&f.done);

	KUNIT_EXPECT_EQ(test, f.ret, -EAGAIN);
	pmd = pmdp_get(f.dst_pmdp);
	KUNIT_EXPECT_TRUE(test, pmd_none(pmd));
}
#else
static void fork_looks_again(struct kunit *test)
{
	kunit_skip(test, "no huge pages in this kernel");
}
#endif

/* vmf_insert_pfn() and its siblings: mistakes of a driver */

struct mistake_param {
	enum call_kind level;
	enum mistake mistake;
	const char *name;
};

static const struct mistake_param mistake_params[] = {
	{ CALL_PMD, MISALIGNED,		"pmd_misaligned" },
	{ CALL_PUD, MISALIGNED,		"pud_misaligned" },
	{ CALL_PMD, BEYOND_VMA,		"pmd_beyond_vma" },
	{ CALL_PUD, BEYOND_VMA,		"pud_beyond_vma" },
	{ CALL_PTE, NO_PFNMAP,		"pte_no_pfnmap" },
	{ CALL_PTE, BOTH_MAPS,		"pte_both_maps" },
	{ CALL_PTE, PRIVATE_PFNMAP,	"pte_private_pfnmap" },
	{ CALL_PTE, PFN_HAS_PAGE,	"pte_pfn_has_page" },
	{ CALL_PMD, NO_PFNMAP,		"pmd_no_pfnmap" },
	{ CALL_PMD, BOTH_MAPS,		"pmd_both_maps" },
	{ CALL_PMD, PRIVATE_PFNMAP,	"pmd_private_pfnmap" },
	{ CALL_PUD, NO_PFNMAP,		"pud_no_pfnmap" },
	{ CALL_PUD, BOTH_MAPS,		"pud_both_maps" },
	{ CALL_PUD, PRIVATE_PFNMAP,	"pud_private_pfnmap" },
	{ CALL_PMD, PFN_HAS_PAGE,	"pmd_pfn_has_page" },
	{ CALL_PUD, PFN_HAS_PAGE,	"pud_pfn_has_page" },
};

KUNIT_ARRAY_PARAM_DESC(mistake, mistake_params, name);

static int mistaken_mmap_prepare(struct vm_area_desc *desc)
{
	struct pagewalk_test *t = desc->file->private_data;

	desc->vm_ops = &pfn_vm_ops;
	desc->private_data = t;
	vma_desc_set_flags(desc, VMA_DONTEXPAND_BIT, VMA_HUGEPAGE_BIT);
	if (t->mistake != NO_PFNMAP && t->mistake != PFN_HAS_PAGE)
		vma_desc_set_flags(desc, VMA_PFNMAP_BIT);
	if (t->mistake == BOTH_MAPS || t->mistake == PFN_HAS_PAGE)
		vma_desc_set_flags(desc, VMA_MIXEDMAP_BIT);
	return 0;
}

static const struct file_operations mistaken_fops = {
	.owner = THIS_MODULE,
	.mmap_prepare = mistaken_mmap_prepare,
};

static vm_fault_t insert_mistaken(struct pagewalk_test *t, unsigned long addr,
				  enum call_kind level)
{
	struct vm_fault vmf = {
		.vma = vma_lookup(t->mm, addr),
		.address = addr,
		.flags = FAULT_FLAG_WRITE,
	};

	vmf.pud = pud_offset(p4d_offset(pgd_offset(t->mm, addr), addr), addr);
	if (IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) &&
	    IS_ENABLED(CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD) &&
	    level == CALL_PUD)
		return vmf_insert_pfn_pud(&vmf, t->pfn, true);
	vmf.pmd = pmd_offset(vmf.pud, addr);
	if (IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) && level == CALL_PMD)
		return vmf_insert_pfn_pmd(&vmf, t->pfn, true);
	return vmf_insert_pfn(vmf.vma, addr, t->pfn);
}

/* Entries of this level could be, but cannot be marked as special. */
static bool no_special_bit(enum call_kind level)
{
	if (level == CALL_PTE)
		return true;
	if (!IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		return false;
	if (level == CALL_PMD)
		return !IS_ENABLED(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP) &&
		       has_transparent_hugepage();
	return !IS_ENABLED(CONFIG_ARCH_SUPPORTS_PUD_PFNMAP) &&
	       has_transparent_pud_hugepage();
}

/* What is refused used to be a BUG. */
static void insert_pfn_refuses(struct kunit *test)
{
	const struct mistake_param *param = test->param_value;
	unsigned long size = entry_size(param->level), ret, pfn;
	unsigned long start = param->level == CALL_PTE ? somewhere() :
							 boundary(test, param->level);
	struct pagewalk_test *t = test->priv;
	enum call_kind level = CALL_HOLE;
	vm_fault_t fault = 0;
	struct file *file;

	if (param->mistake != PFN_HAS_PAGE)
		need_leaves(test, param->level);
	else if (!no_special_bit(param->level))
		kunit_skip(test, "no such leaves here, or they have a special bit");
	t->mistake = param->mistake;
	file = open_file(test, &mistaken_fops);
	if (param->mistake == MISALIGNED)
		t->pfn++;
	if (param->mistake == PFN_HAS_PAGE) {
		t->pfn = ALIGN_DOWN(page_to_pfn(ZERO_PAGE(0)), size / PAGE_SIZE);
		KUNIT_ASSERT_TRUE(test, pfn_valid(t->pfn));
	}
	size = param->mistake == BEYOND_VMA ? PAGE_SIZE : 2 * size;
	ret = kunit_vm_mmap(test, file, start, size, PROT_READ | PROT_WRITE,
			    MAP_FIXED_NOREPLACE | MAP_NORESERVE |
			    (param->mistake == PRIVATE_PFNMAP ? MAP_PRIVATE :
								MAP_SHARED), 0);
	KUNIT_ASSERT_EQ(test, ret, start);
	/* Something close by, so that there are tables. */
	map_and_fault_in(test, start - PAGE_SIZE, 1);

	mmap_read_lock(t->mm);
	kunit_warning_suppress(test) {
		fault = insert_mistaken(t, start, param->level);
	}
	mmap_read_unlock(t->mm);
	level = find_leaf(t, start, &pfn);
	KUNIT_EXPECT_EQ(test, fault, VM_FAULT_SIGBUS);
	KUNIT_EXPECT_EQ(test, level, CALL_HOLE);
}

static struct kunit_case pagewalk_test_cases[] = {
	KUNIT_CASE(map_nothing),
	KUNIT_CASE_PARAM(walk_order, level_gen_params),
	KUNIT_CASE(walk_part_of_a_table),
	KUNIT_CASE(walk_one_byte),
	KUNIT_CASE(walk_one_byte_of_a_pte),
	KUNIT_CASE(walk_one_byte_of_a_gap),
	KUNIT_CASE(walk_empty_range),
	KUNIT_CASE(walk_range_vma_stays_inside),
	KUNIT_CASE(walk_range_vma_part),
	KUNIT_CASE(walk_vma_whole),
	KUNIT_CASE_PARAM(walk_hole, level_gen_params),
	KUNIT_CASE_PARAM(walk_debug_hole, level_gen_params),
	KUNIT_CASE(walk_empty_pte),
	KUNIT_CASE(walk_gaps),
	KUNIT_CASE_PARAM(negative_ends_walk, negative_gen_params),
	KUNIT_CASE_PARAM(skip_skips_what_is_below, level_gen_params),
	KUNIT_CASE_PARAM(positive_skips_what_is_below, level_gen_params),
	KUNIT_CASE_PARAM(again_takes_the_entry_again, level_gen_params),
	KUNIT_CASE(test_walk_goes),
	KUNIT_CASE(test_walk_skips),
	KUNIT_CASE(pre_and_post_vma),
	KUNIT_CASE(post_vma_after_error),
	KUNIT_CASE(no_post_vma_after_pre_vma_error),
	KUNIT_CASE(install_is_refused),
	KUNIT_CASE_PARAM(install_fills_holes, level_gen_params),
	KUNIT_CASE(install_leaves_the_rest_alone),
	KUNIT_CASE(install_negative_ends_walk),
	KUNIT_CASE(walk_debug_order),
	KUNIT_CASE(walk_vmalloc),
	KUNIT_CASE(pfnmap_is_skipped),
	KUNIT_CASE(pfnmap_is_a_hole),
	KUNIT_CASE(pfnmap_with_test_walk),
	KUNIT_CASE(pfnmap_by_vma),
	KUNIT_CASE(hugetlb_is_passed_over),
	KUNIT_CASE(new_table_is_not_shared),
	KUNIT_CASE(hugetlb_install_is_refused),
	KUNIT_CASE(thp_is_kept),
	KUNIT_CASE(thp_is_kept_by_skip),
	KUNIT_CASE(thp_is_kept_by_install),
	KUNIT_CASE(thp_is_split_for_pte_entry),
	KUNIT_CASE_PARAM(table_changes_before_0, table_change_gen_params),
	KUNIT_CASE_PARAM(leaf_changes_before_0, leaf_change_gen_params),
	KUNIT_CASE_PARAM(table_changes_in_part, table_change_gen_params),
	KUNIT_CASE_PARAM(table_changes_before_again, table_change_gen_params),
	KUNIT_CASE_PARAM(leaf_changes_before_again, leaf_change_gen_params),
	KUNIT_CASE_PARAM(table_changes_before_skip, table_change_gen_params),
	KUNIT_CASE_PARAM(leaf_changes_before_skip, leaf_change_gen_params),
	KUNIT_CASE_PARAM(table_changes_with_nothing_below,
			 table_change_gen_params),
	KUNIT_CASE_PARAM(leaf_changes_with_nothing_below,
			 leaf_change_gen_params),
	KUNIT_CASE(table_goes_before_install),
	KUNIT_CASE_PARAM(positive_ends_nothing, positive_gen_params),
	KUNIT_CASE_PARAM(again_ends_walk_elsewhere, no_entry_gen_params),
	KUNIT_CASE(pmd_leaf_is_kept),
	KUNIT_CASE(pmd_leaf_is_kept_by_skip),
	KUNIT_CASE_PARAM(pud_leaf_is_kept, below_pud_gen_params),
	KUNIT_CASE_PARAM(pud_leaf_is_kept_in_part, below_pud_gen_params),
	KUNIT_CASE_PARAM(pud_leaf_is_kept_by_mapping_walk, below_pud_gen_params),
	KUNIT_CASE(pud_leaf_is_kept_by_pud_entry),
	KUNIT_CASE(pud_leaf_is_kept_by_skip),
	KUNIT_CASE(pud_leaf_is_split_by_pud_entry),
	KUNIT_CASE_PARAM(pud_leaf_changes, pud_change_gen_params),
	KUNIT_CASE(pud_leaf_between_pmds),
	KUNIT_CASE(pud_leaf_between_ptes),
	KUNIT_CASE_PARAM(mapping_is_clipped, mapping_gen_params),
	KUNIT_CASE(mapping_nothing_far_out),
	KUNIT_CASE(mapping_skips_only_one_vma),
	KUNIT_CASE(mapping_skips_pfnmap),
	KUNIT_CASE(mapping_tells_test_walk_the_range),
	KUNIT_CASE(mapping_pfnmap_is_a_hole),
	KUNIT_CASE(mapping_at_the_top),
	KUNIT_CASE(mapping_negative_ends_walk),
	KUNIT_CASE(mapping_test_walk_negative_ends_walk),
	KUNIT_CASE(dirty_helpers_keep_swap_pte),
	KUNIT_CASE(dirty_helpers_keep_migration_pmd),
	KUNIT_CASE_PARAM(dirty_helpers_take_leaves, leaf_map_gen_params),
	KUNIT_CASE(dirty_helpers_take_shmem_leaf),
	KUNIT_CASE_PARAM(dirty_helpers_cut_leaves, leaf_map_gen_params),
	KUNIT_CASE_SLOW(no_dirty_page_is_lost),
	KUNIT_CASE(guard_remove_keeps_migration_pmd),
	KUNIT_CASE_PARAM(prot_none_asks_for_leaf, leaf_gen_params),
	KUNIT_CASE_PARAM(prot_none_keeps_leaf, leaf_gen_params),
	KUNIT_CASE(prot_none_pud_leaf_is_kept),
	KUNIT_CASE_PARAM(hmm_refuses_special_leaf, leaf_gen_params),
	KUNIT_CASE(hmm_heeds_each_page_of_hugetlb),
	KUNIT_CASE(hmm_accepts_huge_zero_folio),
	KUNIT_CASE(hmm_in_the_middle_of_a_device_pmd),
	KUNIT_CASE_PARAM(migrate_after_table_was_lost, lost_table_gen_params),
	KUNIT_CASE(migrate_flushes_before_it_waits),
	KUNIT_CASE(migrate_from_fault_in_large_folio),
	KUNIT_CASE(hwpoison_below_pud_leaf),
	KUNIT_CASE(pud_leaf_moves),
	KUNIT_CASE(pud_leaf_moves_askew),
	KUNIT_CASE(pud_leaf_loses_a_pmd),
	KUNIT_CASE(pud_leaf_loses_a_page),
	KUNIT_CASE_PARAM(huge_lock_wants_a_lock, huge_leaf_gen_params),
	KUNIT_CASE_PARAM(folio_walk_to, leaf_kind_gen_params),
	KUNIT_CASE(folio_walk_to_hugetlb),
	KUNIT_CASE_PARAM(normal_page_of_a_pmd, normal_gen_params),
	KUNIT_CASE_PARAM(normal_page_of_a_pud, normal_gen_params),
	KUNIT_CASE(huge_zero_folio_is_not_normal),
	KUNIT_CASE(gup_takes_huge_zero_folio),
	KUNIT_CASE_PARAM(normal_leaf_drops_its_folio, huge_leaf_gen_params),
	KUNIT_CASE(install_alone),
	KUNIT_CASE(fork_looks_again),
	KUNIT_CASE_PARAM(insert_pfn_refuses, mistake_gen_params),
	{}
};

/*
 * for_each_pt_leaf(). Each leaf is noted as a call for its level, each hole as
 * a call of ->pte_hole() for the level that it was found at.
 */

/* What the body of a loop does, once, at @at */
struct leaf_action {
	unsigned long at;
	enum {
		GO_ON,
		CONTINUE,
		BREAK,
		GOTO,
		RETURN,
		PAUSE,		/* and go on at @to */
		CHANGE,		/* the PMD that maps @to, as t->change says */
	} what;
	unsigned long to;
};

static int leaf_depth(enum pgtable_level level)
{
	return PGTABLE_LEVEL_PGD - level;
}

static __always_inline void note_leaf(struct pagewalk_test *t,
				      const struct pt_leaf *leaf)
{
	static const enum call_kind kinds[] = {
		[PT_LEAF_HOLE]	  = CALL_HOLE,
		[PT_LEAF_PTE]	  = CALL_PTE,
		[PT_LEAF_PMD]	  = CALL_PMD,
		[PT_LEAF_PUD]	  = CALL_PUD,
		[PT_LEAF_HUGETLB] = CALL_HUGETLB,
	};

	add_call(&t->got, kinds[leaf->type], leaf->addr, leaf->end,
		 leaf->type == PT_LEAF_HOLE ? leaf_depth(leaf->level) : 0);
}

static void look_vma(struct pagewalk_test *t, struct vm_area_struct *vma,
		     unsigned long start, unsigned long end,
		     struct leaf_action action)
{
	pmd_t *pmdp;

	for_each_pt_leaf_inline(leaf, vma, start, end, PT_LEAF_F_HOLES) {
		if (leaf.addr == action.at) {
			/* Not in a switch, where break means something else */
			if (action.what == CONTINUE)
				continue;
			if (action.what == BREAK)
				break;
			if (action.what == GOTO)
				goto out;
			if (action.what == RETURN)
				return;
		}
		note_leaf(t, &leaf);
		if (leaf.addr != action.at)
			continue;
		if (action.what == PAUSE) {
			action.what = GO_ON;
			pt_leaf_pause(&leaf, action.to);
			msleep(20);
		} else if (action.what == CHANGE && !leaf.ptep) {
			/* Only in holes above the PTEs nothing is locked. */
			action.what = GO_ON;
			pmdp = mm_find_pmd(t->mm, action.to);
			t->changed = t->change->to(t, vma, pmdp, action.to);
		}
	}
out:
	return;
}

static void look_with(struct pagewalk_test *t, unsigned long start,
		      unsigned long end, struct leaf_action action)
{
	mmap_read_lock(t->mm);
	look_vma(t, vma_lookup(t->mm, start), start, end, action);
	mmap_read_unlock(t->mm);
}

static void look(struct pagewalk_test *t, unsigned long start,
		 unsigned long end)
{
	look_with(t, start, end, (struct leaf_action){});
}

static void look_without_holes(struct pagewalk_test *t, unsigned long start,
			       unsigned long end)
{
	mmap_read_lock(t->mm);
	for_each_pt_leaf(leaf, vma_lookup(t->mm, start), start, end, 0)
		note_leaf(t, &leaf);
	mmap_read_unlock(t->mm);
}

/* What pt_leaf_seek() and the functions for a leaf say of an address */
enum seen {
	SEEN_HOLE,
	SEEN_PAGE,
	SEEN_ZEROPAGE,
	SEEN_PFN,
	SEEN_SOFTLEAF,
};

static enum seen seen_at(struct pagewalk_test *t, unsigned long addr,
			 unsigned long *pfn)
{
	enum seen seen = SEEN_HOLE;
	struct pt_leaf_walk walk;
	struct pt_leaf *leaf;

	*pfn = 0;
	mmap_read_lock(t->mm);
	leaf = pt_leaf_seek(&walk, vma_lookup(t->mm, addr), addr, 0);
	if (leaf) {
		struct page *page = pt_leaf_page(leaf);

		if (!leaf->present) {
			seen = SEEN_SOFTLEAF;
		} else if (page) {
			seen = SEEN_PAGE;
			*pfn = page_to_pfn(page);
		} else if (is_zero_pfn(pt_leaf_pfn(leaf)) ||
			   is_huge_zero_pfn(pt_leaf_pfn(leaf))) {
			seen = SEEN_ZEROPAGE;
		} else {
			seen = SEEN_PFN;
		}
	}
	pt_leaf_walk_end(&walk);
	mmap_read_unlock(t->mm);
	return seen;
}

static void leaf_ptes(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere();

	map_and_fault_in(test, start, 4);
	look(t, start, start + 4 * PAGE_SIZE);
	want_ptes(t, start, 4);
	expect_calls(test);
}

static void leaf_ptes_in_part(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere();

	map_and_fault_in(test, start, 4);
	look(t, start + PAGE_SIZE, start + 3 * PAGE_SIZE);
	want_ptes(t, start + PAGE_SIZE, 2);
	expect_calls(test);

	/* Nothing is nothing. */
	forget_calls(t);
	look(t, start + PAGE_SIZE, start + PAGE_SIZE);
	expect_calls(test);
}

/* From one table to the next, at each level */
static void leaf_next_table(struct kunit *test)
{
	const struct level_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	unsigned long mid = boundary(test, param->level);

	map_and_fault_in(test, mid - PAGE_SIZE, 2);
	look(t, mid - PAGE_SIZE, mid + PAGE_SIZE);
	want_ptes(t, mid - PAGE_SIZE, 2);
	expect_calls(test);
}

static void leaf_holes(struct kunit *test)
{
	const struct level_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	unsigned long addr = boundary(test, param->level);
	enum call_kind last = param->level;

	map_and_fault_in(test, addr - PAGE_SIZE, 1);
	while (last < CALL_PMD && is_folded(last + 1))
		last++;
	if (find_empty(t, addr) != last)
		kunit_skip(test, "%s: all tables below are preallocated",
			   param->name);
	map_anon(test, addr, 3);
	look(t, addr, addr + 3 * PAGE_SIZE);
	want_hole(t, last, addr, addr + 3 * PAGE_SIZE);
	expect_calls(test);

	forget_calls(t);
	look_without_holes(t, addr, addr + 3 * PAGE_SIZE);
	expect_calls(test);
}

/* Empty entries of a table are one hole, and end where the table does. */
static void leaf_holes_in_tables(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = ALIGN(somewhere(), PMD_SIZE);
	unsigned long end = start + 5 * PMD_SIZE;
	unsigned long page = start + PMD_SIZE + 2 * PAGE_SIZE;
	unsigned long last = end - PAGE_SIZE;

	map_anon(test, start, 5 * PTRS_PER_PTE);
	if (IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		KUNIT_ASSERT_EQ(test, 0, do_madvise(t->mm, start, end - start,
						    MADV_NOHUGEPAGE));
	fault_in(test, page);
	fault_in(test, last);
	look(t, start, end);
	want_hole(t, CALL_PMD, start, start + PMD_SIZE);
	want_hole(t, CALL_PTE, start + PMD_SIZE, page);
	want_ptes(t, page, 1);
	want_hole(t, CALL_PTE, page + PAGE_SIZE, start + 2 * PMD_SIZE);
	if (is_folded(CALL_PMD)) {
		/* Each PMD is a table of its own. */
		want_hole(t, CALL_PMD, start + 2 * PMD_SIZE, start + 3 * PMD_SIZE);
		want_hole(t, CALL_PMD, start + 3 * PMD_SIZE, start + 4 * PMD_SIZE);
	} else {
		want_hole(t, CALL_PMD, start + 2 * PMD_SIZE, start + 4 * PMD_SIZE);
	}
	want_hole(t, CALL_PTE, start + 4 * PMD_SIZE, last);
	want_ptes(t, last, 1);
	expect_calls(test);

	forget_calls(t);
	look_without_holes(t, start, end);
	want_ptes(t, page, 1);
	want_ptes(t, last, 1);
	expect_calls(test);

	forget_calls(t);
	look(t, start + PAGE_SIZE, start + PMD_SIZE + PAGE_SIZE);
	want_hole(t, CALL_PMD, start + PAGE_SIZE, start + PMD_SIZE);
	want_hole(t, CALL_PTE, start + PMD_SIZE,
		  start + PMD_SIZE + PAGE_SIZE);
	expect_calls(test);
}

static void leaf_thp(struct kunit *test)
{
	unsigned long start = map_thp(test), pfn = 0, pfn_at;
	struct pagewalk_test *t = test->priv;

	look(t, start, start + PMD_SIZE);
	want_call(t, CALL_PMD, start, start + PMD_SIZE);
	expect_calls(test);

	forget_calls(t);
	look(t, start + 3 * PAGE_SIZE, start + 5 * PAGE_SIZE);
	want_call(t, CALL_PMD, start + 3 * PAGE_SIZE, start + 5 * PAGE_SIZE);
	expect_calls(test);

	find_leaf(t, start, &pfn);
	KUNIT_EXPECT_EQ(test, seen_at(t, start + 3 * PAGE_SIZE, &pfn_at),
			SEEN_PAGE);
	KUNIT_EXPECT_EQ(test, pfn_at, pfn + 3);
	expect_leaf(test, start, CALL_PMD);
}

static void leaf_pmd_pfn(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_pmd_leaf(test), pfn;

	look(t, start + PAGE_SIZE, start + PMD_SIZE);
	want_call(t, CALL_PMD, start + PAGE_SIZE, start + PMD_SIZE);
	expect_calls(test);
	KUNIT_EXPECT_EQ(test, seen_at(t, start, &pfn), SEEN_PFN);
	expect_leaf(test, start, CALL_PMD);
}

/* A leaf, a table with a leaf at its end, a leaf */
static void leaf_pud_pfn(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_pud_leaf(test, open_pfn_file(test)), pfn;
	unsigned long mid = start + PUD_SIZE, end = mid + PUD_SIZE;

	fault_in_leaf(test, mid, CALL_PTE);
	fault_in_leaf(test, mid + 3 * PMD_SIZE, CALL_PMD);
	fault_in_leaf(test, end - 4 * PMD_SIZE, CALL_PMD);
	fault_in_leaf(test, end, CALL_PUD);
	look(t, start + PAGE_SIZE, end + PMD_SIZE);
	want_call(t, CALL_PUD, start + PAGE_SIZE, mid);
	want_ptes(t, mid, 1);
	want_hole(t, CALL_PTE, mid + PAGE_SIZE, mid + PMD_SIZE);
	want_hole(t, CALL_PMD, mid + PMD_SIZE, mid + 3 * PMD_SIZE);
	want_call(t, CALL_PMD, mid + 3 * PMD_SIZE, mid + 4 * PMD_SIZE);
	want_hole(t, CALL_PMD, mid + 4 * PMD_SIZE, end - 4 * PMD_SIZE);
	want_call(t, CALL_PMD, end - 4 * PMD_SIZE, end - 3 * PMD_SIZE);
	want_hole(t, CALL_PMD, end - 3 * PMD_SIZE, end);
	want_call(t, CALL_PUD, end, end + PMD_SIZE);
	expect_calls(test);

	/* The lock that is kept from leaf to leaf is kept over holes, too. */
	forget_calls(t);
	look_without_holes(t, start + PAGE_SIZE, end + PMD_SIZE);
	want_call(t, CALL_PUD, start + PAGE_SIZE, mid);
	want_ptes(t, mid, 1);
	want_call(t, CALL_PMD, mid + 3 * PMD_SIZE, mid + 4 * PMD_SIZE);
	want_call(t, CALL_PMD, end - 4 * PMD_SIZE, end - 3 * PMD_SIZE);
	want_call(t, CALL_PUD, end, end + PMD_SIZE);
	expect_calls(test);
	KUNIT_EXPECT_EQ(test, seen_at(t, start, &pfn), SEEN_PFN);
	KUNIT_EXPECT_EQ(test, seen_at(t, mid, &pfn), SEEN_PFN);
	expect_leaf(test, start, CALL_PUD);
	expect_leaf(test, end - 4 * PMD_SIZE, CALL_PMD);
	expect_leaf(test, end, CALL_PUD);
}

/* Of the pages of hugetlb that one table maps, where the last one begins */
static unsigned long hugetlb_last_page(unsigned long size)
{
#ifdef CONFIG_HUGETLB_PAGE
	return hugetlb_mask_last_page(size_to_hstate(size));
#else
	return 0;
#endif
}

/* hugetlb: no table, an empty entry, a page, and a part of each */
static void leaf_hugetlb(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long size, pfn, pfn_at, head = 0;
	unsigned long start = map_hugetlb(test, &size);
	unsigned long end = start + 2 * size;
	bool lower = size < PUD_SIZE || is_folded(CALL_PMD);
	enum call_kind level = size < PMD_SIZE ? CALL_PTE :
			       lower ? CALL_PMD : CALL_PUD;
	unsigned long next = start + size;

	/* If there is no table, what it would map is one hole. */
	if (find_empty(t, start) < level)
		next = min(next + hugetlb_last_page(size), end - PAGE_SIZE);
	look(t, start + PAGE_SIZE, end - PAGE_SIZE);
	want_hole(t, level, start + PAGE_SIZE, next);
	if (next < end - PAGE_SIZE)
		want_hole(t, level, next, end - PAGE_SIZE);
	expect_calls(test);

	if (try_fault_in(t, start + size))
		kunit_skip(test, "no pages of hugetlb");
	forget_calls(t);
	look(t, start, end - PAGE_SIZE);
	want_hole(t, level, start, start + size);
	want_call(t, CALL_HUGETLB, start + size, end - PAGE_SIZE);
	expect_calls(test);

	forget_calls(t);
	look_without_holes(t, start, end);
	want_call(t, CALL_HUGETLB, start + size, end);
	expect_calls(test);

	KUNIT_EXPECT_EQ(test, seen_at(t, start, &pfn), SEEN_HOLE);
	KUNIT_EXPECT_EQ(test, seen_at(t, start + size, &head), SEEN_PAGE);
	KUNIT_EXPECT_EQ(test, seen_at(t, end - PAGE_SIZE, &pfn_at),
			SEEN_PAGE);
	KUNIT_EXPECT_EQ(test, pfn_at, head + size / PAGE_SIZE - 1);
}

/* Two pages of hugetlb in one table, and the third in the next one */
static void leaf_hugetlb_in_two_tables(struct kunit *test)
{
	unsigned long size, addr = map_hugetlb(test, &size);
	unsigned long table = size < PUD_SIZE ? PUD_SIZE : P4D_SIZE;
	unsigned long start = ALIGN(addr + 4 * PUD_SIZE, table) - 2 * size;
	unsigned long pfns[3] = {}, pfn = 0, nr = 0;
	struct pagewalk_test *t = test->priv;
	struct file *file;

	if (size >= table)
		kunit_skip(test, "a page is as large as what a table maps");
	if (!IS_ENABLED(CONFIG_64BIT))
		kunit_skip(test, "no room for tables");
	mmap_read_lock(t->mm);
	file = vma_lookup(t->mm, addr)->vm_file;
	mmap_read_unlock(t->mm);
	map(test, file, start, 3 * size, 0);

	/* If there is no first table, the hole ends where that would. */
	if (try_fault_in(t, start + 2 * size))
		kunit_skip(test, "no pages of hugetlb");
	look_without_holes(t, start, start + 3 * size);
	want_call(t, CALL_HUGETLB, start + 2 * size, start + 3 * size);
	expect_calls(test);
	forget_calls(t);

	/* The last one in the first table is empty. */
	if (try_fault_in(t, start))
		kunit_skip(test, "no pages of hugetlb");
	look_without_holes(t, start, start + 3 * size);
	want_call(t, CALL_HUGETLB, start, start + size);
	want_call(t, CALL_HUGETLB, start + 2 * size, start + 3 * size);
	expect_calls(test);

	if (try_fault_in(t, start + size))
		kunit_skip(test, "no pages of hugetlb");
	mmap_read_lock(t->mm);
	for_each_pt_leaf(leaf, vma_lookup(t->mm, start), start, start + 3 * size, 0) {
		if (nr < ARRAY_SIZE(pfns))
			pfns[nr] = pt_leaf_pfn(&leaf);
		nr++;
	}
	mmap_read_unlock(t->mm);
	KUNIT_EXPECT_EQ(test, nr, ARRAY_SIZE(pfns));
	for (nr = 0; nr < ARRAY_SIZE(pfns); nr++) {
		KUNIT_EXPECT_EQ(test, SEEN_PAGE,
				seen_at(t, start + nr * size, &pfn));
		KUNIT_EXPECT_EQ(test, pfns[nr], pfn);
	}
}

/* Put @pte where the page of hugetlb at @addr is, and return what was there. */
static pte_t exchange_huge_pte(struct pagewalk_test *t, unsigned long addr,
			       unsigned long size, pte_t pte)
{
	struct vm_area_struct *vma;
	pte_t old = __pte(0);

	mmap_read_lock(t->mm);
	vma = vma_lookup(t->mm, addr);
	for_each_pt_leaf(leaf, vma, addr, addr + size, 0) {
		old = huge_ptep_clear_flush(vma, addr, leaf.ptep);
		set_huge_pte_at(t->mm, addr, leaf.ptep, pte, size);
	}
	mmap_read_unlock(t->mm);
	return old;
}

static softleaf_t make_wp_marker(struct page *page)
{
	return softleaf_from_pte(make_pte_marker(PTE_MARKER_UFFD_WP));
}

static softleaf_t make_poison_marker(struct page *page)
{
	return softleaf_from_pte(make_pte_marker(PTE_MARKER_POISONED));
}

static softleaf_t make_hwpoison(struct page *page)
{
	softleaf_t entry;

	lock_page(page);
	entry = make_hwpoison_entry(page);
	unlock_page(page);
	return entry;
}

static softleaf_t make_migration(struct page *page)
{
	return make_readable_migration_entry(page_to_pfn(page));
}

static const struct absent_param {
	const char *name;
	softleaf_t (*make)(struct page *page);
} absent_params[] = {
	{ "wp_marker", make_wp_marker },
	{ "poison_marker", make_poison_marker },
	{ "hwpoison", make_hwpoison },
	{ "migration", make_migration },
};

KUNIT_ARRAY_PARAM_DESC(absent, absent_params, name);

/* hugetlb that is not present is a softleaf, at whatever level its entry is. */
static void leaf_hugetlb_not_present(struct kunit *test)
{
	const struct absent_param *param = test->param_value;
	unsigned long size, start = map_hugetlb(test, &size), pfn = 0, nr = 0;
	struct pagewalk_test *t = test->priv;
	softleaf_t entry, seen = softleaf_mk_none();
	bool right = true;
	pte_t old;

	if (try_fault_in(t, start))
		kunit_skip(test, "no pages of hugetlb");
	KUNIT_ASSERT_EQ(test, seen_at(t, start, &pfn), SEEN_PAGE);
	entry = param->make(pfn_to_page(pfn));
	if (softleaf_is_none(entry))
		kunit_skip(test, "there are no such entries");

	old = exchange_huge_pte(t, start, size, softleaf_to_pte(entry));
	mmap_read_lock(t->mm);
	for_each_pt_leaf(leaf, vma_lookup(t->mm, start), start + PAGE_SIZE,
			 start + 2 * size, 0) {
		nr++;
		seen = pt_leaf_softleaf(&leaf);
		right = leaf.type == PT_LEAF_HUGETLB && !leaf.present &&
			leaf.addr == start + PAGE_SIZE &&
			leaf.end == start + size && leaf.offset == 1 &&
			!pt_leaf_page(&leaf);
	}
	mmap_read_unlock(t->mm);
	exchange_huge_pte(t, start, size, old);

	KUNIT_EXPECT_EQ(test, nr, 1);
	KUNIT_EXPECT_TRUE(test, right);
	KUNIT_EXPECT_EQ(test, seen.val, entry.val);
	KUNIT_EXPECT_EQ(test, seen_at(t, start, &pfn), SEEN_PAGE);
}

static void fault_in_for_reading(struct kunit *test, unsigned long addr)
{
	struct pagewalk_test *t = test->priv;
	int err;

	mmap_read_lock(t->mm);
	err = fixup_user_fault(t->mm, addr, 0, NULL);
	mmap_read_unlock(t->mm);
	KUNIT_ASSERT_EQ(test, err, 0);
}

static void leaf_seek(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere(), pfn = 0, pfn_at;
	pte_t old;

	map_anon(test, start, 4);
	fault_in(test, start);
	fault_in_for_reading(test, start + PAGE_SIZE);
	fault_in(test, start + 2 * PAGE_SIZE);
	find_leaf(t, start, &pfn);
	KUNIT_EXPECT_EQ(test, seen_at(t, start, &pfn_at), SEEN_PAGE);
	KUNIT_EXPECT_EQ(test, pfn_at, pfn);
	KUNIT_EXPECT_EQ(test, seen_at(t, start + PAGE_SIZE, &pfn_at),
			SEEN_ZEROPAGE);
	KUNIT_EXPECT_EQ(test, pfn_at, 0);
	KUNIT_EXPECT_EQ(test, seen_at(t, start + 3 * PAGE_SIZE, &pfn_at),
			SEEN_HOLE);

	old = exchange_pte(t, start + 2 * PAGE_SIZE,
			   make_pte_marker(PTE_MARKER_GUARD));
	KUNIT_EXPECT_EQ(test, seen_at(t, start + 2 * PAGE_SIZE, &pfn_at),
			SEEN_SOFTLEAF);
	exchange_pte(t, start + 2 * PAGE_SIZE, old);
}

static void leaf_seek_huge_zero(struct kunit *test)
{
	unsigned long addr = ALIGN(somewhere(), PMD_SIZE), pfn = 0;
	struct pagewalk_test *t = test->priv;

	if (!IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		kunit_skip(test, "no huge pages in this kernel");
	map_anon(test, addr, PTRS_PER_PTE);
	KUNIT_ASSERT_EQ(test, 0,
			do_madvise(t->mm, addr, PMD_SIZE, MADV_HUGEPAGE));
	fault_in_for_reading(test, addr);
	if (find_leaf(t, addr, &pfn) != CALL_PMD || !is_huge_zero_pfn(pfn))
		kunit_skip(test, "got no huge zero folio");
	KUNIT_EXPECT_EQ(test, seen_at(t, addr + PAGE_SIZE, &pfn), SEEN_ZEROPAGE);
}

/* If nothing is found, nothing is locked. */
static void expect_not_found(struct kunit *test, unsigned long addr)
{
	int preempt = preempt_count(), rcu = rcu_preempt_depth();
	struct pagewalk_test *t = test->priv;
	struct pt_leaf_walk walk;
	struct pt_leaf *leaf;

	memset(&walk, 0xff, sizeof(walk));
	mmap_read_lock(t->mm);
	leaf = pt_leaf_seek(&walk, vma_lookup(t->mm, addr), addr, 0);
	mmap_read_unlock(t->mm);
	KUNIT_EXPECT_EQ(test, preempt_count(), preempt);
	KUNIT_EXPECT_EQ(test, rcu_preempt_depth(), rcu);
	KUNIT_EXPECT_FALSE(test, is_hugetlb_vma_locked(t, addr));
	pt_leaf_walk_end(&walk);
	KUNIT_EXPECT_NULL(test, leaf);
}

/* No table at all, an empty entry, and the last page of a VMA that has one */
static void leaf_seek_nothing(struct kunit *test)
{
	unsigned long start = somewhere();

	map_anon(test, start, 3);
	expect_not_found(test, start);
	fault_in(test, start + PAGE_SIZE);
	expect_not_found(test, start);
	expect_not_found(test, start + 2 * PAGE_SIZE);
}

static void leaf_seek_no_hugetlb(struct kunit *test)
{
	unsigned long size, start = map_hugetlb(test, &size);

	expect_not_found(test, start + PAGE_SIZE);
	if (try_fault_in(test->priv, start))
		kunit_skip(test, "no pages of hugetlb");
	expect_not_found(test, start + size);
}

/* Leaving the loop leaves nothing locked, nor does what looks like it. */
struct leave_param {
	int what;
	const char *name;
};

static const struct leave_param leave_params[] = {
	{ BREAK, "break" },
	{ GOTO, "goto" },
	{ RETURN, "return" },
	{ CONTINUE, "continue" },
	{ GO_ON, "end" },
};

KUNIT_ARRAY_PARAM_DESC(leave, leave_params, name);

static void expect_left(struct kunit *test, unsigned long start,
			unsigned long end)
{
	const struct leave_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	int preempt = preempt_count(), rcu = rcu_preempt_depth();

	look_with(t, start, end, (struct leaf_action){
		.at = start, .what = param->what });
	KUNIT_EXPECT_EQ(test, preempt_count(), preempt);
	KUNIT_EXPECT_EQ(test, rcu_preempt_depth(), rcu);
	KUNIT_EXPECT_FALSE(test, is_hugetlb_vma_locked(t, start));
	/* The second page is only seen if the loop goes on. */
	if (param->what == GO_ON)
		KUNIT_EXPECT_GE(test, t->got.nr, 1);
	else if (param->what != CONTINUE)
		KUNIT_EXPECT_EQ(test, t->got.nr, 0);
	/* Whatever else is still locked, this needs it. */
	KUNIT_EXPECT_EQ(test, vm_munmap(start, end - start), 0);
}

static void leave_in_ptes(struct kunit *test)
{
	const struct leave_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere();

	map_and_fault_in(test, start, 2);
	expect_left(test, start, start + 2 * PAGE_SIZE);
	if (param->what == CONTINUE)
		want_ptes(t, start + PAGE_SIZE, 1);
	else if (param->what == GO_ON)
		want_ptes(t, start, 2);
	expect_calls(test);
}

static void leave_in_thp(struct kunit *test)
{
	unsigned long start = map_thp(test);

	expect_left(test, start, start + PMD_SIZE);
}

static void leave_in_pud_leaf(struct kunit *test)
{
	unsigned long start = map_pud_leaf(test, open_pfn_file(test));

	expect_left(test, start, start + 3 * PUD_SIZE);
}

static void leave_in_hole(struct kunit *test)
{
	unsigned long start = somewhere();

	map_anon(test, start, 2);
	expect_left(test, start, start + 2 * PAGE_SIZE);
}

static void leave_in_hugetlb(struct kunit *test)
{
	unsigned long size, start = map_hugetlb(test, &size);

	if (try_fault_in(test->priv, start))
		kunit_skip(test, "no page of hugetlb to be had");
	expect_left(test, start, start + 2 * size);
}

/* Sleep, and go on where it is said. */
static void leaf_pause(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere(), end = start + 8 * PAGE_SIZE;
	unsigned long at = start + 2 * PAGE_SIZE;

	map_and_fault_in(test, start, 8);
	look_with(t, start, end, (struct leaf_action){
		  at, PAUSE, at + PAGE_SIZE });
	want_ptes(t, start, 8);
	expect_calls(test);

	forget_calls(t);
	look_with(t, start, end, (struct leaf_action){ at, PAUSE, at });
	want_ptes(t, start, 3);
	want_ptes(t, at, 6);
	expect_calls(test);

	forget_calls(t);
	look_with(t, start, end, (struct leaf_action){
		  at, PAUSE, end - PAGE_SIZE });
	want_ptes(t, start, 3);
	want_ptes(t, end - PAGE_SIZE, 1);
	expect_calls(test);

	forget_calls(t);
	look_with(t, start, end, (struct leaf_action){ at, PAUSE, end });
	want_ptes(t, start, 3);
	expect_calls(test);
}

/* Of a huge page: go on in the middle of it. */
static void expect_pause_in_middle(struct kunit *test, enum call_kind kind,
				   unsigned long start, unsigned long size)
{
	unsigned long mid = start + 3 * PAGE_SIZE, end = start + size;
	unsigned long head = 0, pfn = 0, offset = 0;
	struct pagewalk_test *t = test->priv;

	look_with(t, start, end, (struct leaf_action){ start, PAUSE, mid });
	want_call(t, kind, start, end);
	want_call(t, kind, mid, end);
	expect_calls(test);

	mmap_read_lock(t->mm);
	for_each_pt_leaf(leaf, vma_lookup(t->mm, start), start, end, 0) {
		if (leaf.addr == start) {
			head = page_to_pfn(pt_leaf_page(&leaf));
			pt_leaf_pause(&leaf, mid);
		} else {
			pfn = page_to_pfn(pt_leaf_page(&leaf));
			offset = leaf.offset;
		}
	}
	mmap_read_unlock(t->mm);
	KUNIT_EXPECT_EQ(test, pfn, head + 3);
	KUNIT_EXPECT_EQ(test, offset, 3);
}

static void leaf_pause_in_thp(struct kunit *test)
{
	expect_pause_in_middle(test, CALL_PMD, map_thp(test), PMD_SIZE);
}

static void leaf_pause_in_hugetlb(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long size, start = map_hugetlb(test, &size);
	unsigned long end = start + 2 * size;

	if (try_fault_in(t, start) || try_fault_in(t, start + size))
		kunit_skip(test, "no pages of hugetlb");
	look_with(t, start, end, (struct leaf_action){ start, PAUSE, start });
	want_call(t, CALL_HUGETLB, start, start + size);
	want_call(t, CALL_HUGETLB, start, start + size);
	want_call(t, CALL_HUGETLB, start + size, end);
	expect_calls(test);

	forget_calls(t);
	expect_pause_in_middle(test, CALL_HUGETLB, start, size);
}

/* A PUD that was a leaf is a table after the pause. */
static void leaf_pause_and_split_pud(struct kunit *test)
{
	unsigned long start = map_pud_leaf(test, open_pfn_file(test));
	unsigned long end = start + PUD_SIZE;
	struct pagewalk_test *t = test->priv;
	struct vm_area_struct *vma;

	mmap_read_lock(t->mm);
	vma = vma_lookup(t->mm, start);
	for_each_pt_leaf(leaf, vma, start, end, PT_LEAF_F_HOLES) {
		note_leaf(t, &leaf);
		if (leaf.type != PT_LEAF_PUD || t->got.nr > 1)
			continue;
		pt_leaf_pause(&leaf, leaf.addr);
		zap_vma_range(vma, start, PUD_SIZE);
		t->order = PMD_ORDER;
		fixup_user_fault(t->mm, start, FAULT_FLAG_WRITE, NULL);
	}
	mmap_read_unlock(t->mm);
	want_call(t, CALL_PUD, start, end);
	want_call(t, CALL_PMD, start, start + PMD_SIZE);
	want_hole(t, CALL_PMD, start + PMD_SIZE, end);
	expect_calls(test);
}

#if defined(CONFIG_HUGETLB_PMD_PAGE_TABLE_SHARING) && \
	defined(CONFIG_TRANSPARENT_HUGEPAGE)	/* for map_elsewhere() */
/* A table that is shared with another process, and no longer after a pause */
static void leaf_pause_and_unshare(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long size, start = map_hugetlb(test, &size) + PUD_SIZE;
	struct vm_area_struct *vma;
	bool was_shared = false;
	struct mm_struct *mm;
	struct file *file;

	if (size != PMD_SIZE)
		kunit_skip(test, "tables of this size are not shared");
	mmap_read_lock(t->mm);
	file = vma_lookup(t->mm, start - PUD_SIZE)->vm_file;
	mmap_read_unlock(t->mm);
	map(test, file, start, PUD_SIZE, 0);
	mm = map_elsewhere(test, file, start, PUD_SIZE, 0, PROT_READ | PROT_WRITE);
	if (fault_in_elsewhere(mm, start + size, FAULT_FLAG_WRITE) ||
	    try_fault_in(t, start + size))
		kunit_skip(test, "no pages of hugetlb");

	mmap_write_lock(t->mm);
	vma = vma_lookup(t->mm, start);
	for_each_pt_leaf(leaf, vma, start, start + PUD_SIZE, PT_LEAF_F_HOLES) {
		note_leaf(t, &leaf);
		if (leaf.type != PT_LEAF_HUGETLB || was_shared)
			continue;
		was_shared = hugetlb_pmd_shared(leaf.ptep);
		pt_leaf_pause(&leaf, leaf.addr);
		if (was_shared)
			hugetlb_unshare_all_pmds(vma);
	}
	mmap_write_unlock(t->mm);
	if (!was_shared)
		kunit_skip(test, "the table is not shared");

	want_hole(t, CALL_PMD, start, start + size);
	want_call(t, CALL_HUGETLB, start + size, start + 2 * size);
	/* It is the table of the other one that had the page. */
	want_hole(t, CALL_PMD, start + size, start + PUD_SIZE);
	expect_calls(test);
}
#else
static void leaf_pause_and_unshare(struct kunit *test)
{
	kunit_skip(test, "no shared tables in this kernel");
}
#endif

/*
 * What changes before the loop gets there, while it is at a hole, where nothing
 * is locked.
 */
static void expect_next_change(struct kunit *test, unsigned long mid)
{
	const struct change_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	unsigned long start = mid - PMD_SIZE, end = mid + PMD_SIZE;
	struct vm_area_struct *vma;
	unsigned int ptes = 0, i;
	unsigned long addr;

	t->change = &param->change;
	mmap_write_lock(t->mm);
	vma = vma_lookup(t->mm, mid);
	vma_start_write(vma);
	look_vma(t, vma, start, end, (struct leaf_action){ start, CHANGE, mid });
	mmap_write_unlock(t->mm);
	end_migration(t);
	need_change(test);

	/* All of it, once */
	KUNIT_ASSERT_LE(test, t->got.nr, MAX_CALLS);
	for (i = 0, addr = start; i < t->got.nr; i++) {
		const struct call *call = &t->got.call[i];

		KUNIT_ASSERT_EQ(test, call->addr, addr);
		addr = call->end;
		if (call->kind == CALL_PTE)
			ptes++;
	}
	KUNIT_EXPECT_EQ(test, addr, end);

	KUNIT_ASSERT_GE(test, t->got.nr, 2);
	KUNIT_EXPECT_EQ(test, t->got.call[0].kind, CALL_HOLE);
	if (param->change.to == to_split) {
		KUNIT_EXPECT_EQ(test, ptes, PTRS_PER_PTE);
	} else if (param->change.to == to_table) {
		KUNIT_EXPECT_EQ(test, ptes, 1);
	} else {
		KUNIT_EXPECT_EQ(test, t->got.nr, 2);
		KUNIT_EXPECT_EQ(test, t->got.call[1].kind,
				param->change.to == to_none ? CALL_HOLE : CALL_PMD);
	}
}

/* Room for a PMD of holes, followed by another PMD. Return the latter. */
static unsigned long map_after_hole(struct kunit *test, bool huge)
{
	struct pagewalk_test *t = test->priv;
	unsigned long mid = ALIGN(somewhere(), PMD_SIZE) + 2 * PMD_SIZE;
	unsigned long pfn;

	if (!IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) ||
	    !IS_ENABLED(CONFIG_ADVISE_SYSCALLS))
		kunit_skip(test, "no huge pages in this kernel");
	map_anon(test, mid - PMD_SIZE, 2 * PTRS_PER_PTE);
	KUNIT_ASSERT_EQ(test, 0,
			do_madvise(t->mm, mid - PMD_SIZE, 2 * PMD_SIZE,
				   huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE));
	fault_in(test, mid);
	if (huge && find_leaf(t, mid, &pfn) != CALL_PMD)
		kunit_skip(test, "got no huge page");
	if (!huge)
		KUNIT_ASSERT_EQ(test, 0,
				do_madvise(t->mm, mid - PMD_SIZE, 2 * PMD_SIZE,
					   MADV_HUGEPAGE));
	return mid;
}

static void leaf_next_table_changes(struct kunit *test)
{
	expect_next_change(test, map_after_hole(test, false));
}

static void leaf_next_leaf_changes(struct kunit *test)
{
	expect_next_change(test, map_after_hole(test, true));
}

/*
 * What changes after the loop has read it without a lock, and before it has
 * that lock. The case holds the lock, and waits until the loop, on another CPU,
 * waits for it, too. Then it changes the entry, unlocks, and restores the entry
 * when the loop is done.
 */

#if defined(CONFIG_TRANSPARENT_HUGEPAGE) && defined(CONFIG_SMP) && \
	defined(arch_spin_is_contended)
struct other_loop {
	struct work_struct work;
	struct pagewalk_test *t;
	unsigned long start;
	unsigned long end;
};

static void look_elsewhere(struct work_struct *work)
{
	struct other_loop *loop = container_of(work, struct other_loop, work);

	look(loop->t, loop->start, loop->end);
}

static void need_two_cpus(struct kunit *test)
{
	if (num_online_cpus() < 2)
		kunit_skip(test, "only one CPU");
}

/* Run @work on another CPU. Does it get as far as to wait for @ptl? */
static bool waits_for(struct work_struct *work, spinlock_t *ptl)
{
	unsigned long timeout = jiffies + 5 * HZ;

	queue_work_on(cpumask_any_but(cpu_online_mask, smp_processor_id()),
		      system_percpu_wq, work);
	while (!spin_is_contended(ptl)) {
		if (time_after(jiffies, timeout))
			return false;
		cpu_relax();
	}
	return true;
}

/* No one else knows of it, so it does not matter what is locked. */
static void change_pmd(struct mm_struct *mm, unsigned long addr, pmd_t *pmdp,
		       pmd_t pmd)
{
	if (pmd_leaf(pmdp_get(pmdp)))
		pmdp_huge_get_and_clear(mm, addr, pmdp);
	else
		pmd_clear(pmdp);
	flush_tlb_mm(mm);
	if (pmd_none(pmd))
		return;
	if (pmd_leaf(pmd))
		set_pmd_at(mm, addr, pmdp, pmd);
	else
		pmd_populate(mm, pmdp, pmd_pgtable(pmd));
}

static const struct level_param locked_leaf_params[] = {
	{ CALL_HOLE, "none" },
	{ CALL_PMD, "table" },
	{ CALL_PTE, "split" },
};

KUNIT_ARRAY_PARAM_DESC(locked_leaf, locked_leaf_params, name);

static void leaf_changes_before_lock(struct kunit *test)
{
	const struct level_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_thp(test), end = start + PMD_SIZE;
	struct other_loop loop = { .t = t, .start = start, .end = end };
	struct vm_area_struct *vma;
	pgtable_t table;
	spinlock_t *ptl;
	pmd_t *pmdp, old;
	bool waits;

	need_two_cpus(test);
	table = pte_alloc_one(t->mm);
	KUNIT_ASSERT_NOT_NULL(test, table);
	INIT_WORK_ONSTACK(&loop.work, look_elsewhere);

	mmap_read_lock(t->mm);
	vma = vma_lookup(t->mm, start);
	pmdp = mm_find_pmd(t->mm, start);
	ptl = pmd_lock(t->mm, pmdp);
	old = pmdp_get(pmdp);
	waits = waits_for(&loop.work, ptl);
	if (param->level == CALL_HOLE) {
		change_pmd(t->mm, start, pmdp, __pmd(0));
	} else if (param->level == CALL_PMD) {
		change_pmd(t->mm, start, pmdp, __pmd(0));
		pmd_populate(t->mm, pmdp, table);
	} else {
		split_huge_pmd_locked(vma, start, pmdp, false);
	}
	spin_unlock(ptl);
	mmap_read_unlock(t->mm);
	flush_work(&loop.work);
	destroy_work_on_stack(&loop.work);
	if (param->level != CALL_PTE) {
		ptl = pmd_lock(t->mm, pmdp);
		change_pmd(t->mm, start, pmdp, old);
		spin_unlock(ptl);
	}
	synchronize_rcu();
	pte_free(t->mm, table);

	KUNIT_EXPECT_TRUE(test, waits);
	if (param->level == CALL_HOLE)
		want_hole(t, CALL_PMD, start, end);
	else if (param->level == CALL_PMD)
		want_hole(t, CALL_PTE, start, end);
	else
		want_ptes(t, start, PTRS_PER_PTE);
	expect_calls(test);
}

static const struct level_param locked_table_params[] = {
	{ CALL_HOLE, "none" },
	{ CALL_PMD, "leaf" },
};

KUNIT_ARRAY_PARAM_DESC(locked_table, locked_table_params, name);

/* pte_offset_map_lock() waits for the lock, and then returns NULL. */
static void table_changes_before_lock(struct kunit *test)
{
	const struct level_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	unsigned long end = map_after_hole(test, true);
	unsigned long start = end - PMD_SIZE;
	struct other_loop loop = { .t = t, .start = start, .end = end };
	pmd_t *pmdp, old, new = __pmd(0);
	spinlock_t *pml, *ptl;
	bool waits;

	need_two_cpus(test);
	KUNIT_ASSERT_EQ(test, 0, do_madvise(t->mm, start, PMD_SIZE,
					    MADV_NOHUGEPAGE));
	fault_in(test, start);
	expect_leaf(test, start, CALL_PTE);
	INIT_WORK_ONSTACK(&loop.work, look_elsewhere);

	mmap_read_lock(t->mm);
	if (param->level == CALL_PMD)
		new = pmd_wrprotect(pmdp_get(mm_find_pmd(t->mm, end)));
	pmdp = mm_find_pmd(t->mm, start);
	pml = pmd_lock(t->mm, pmdp);
	ptl = pte_lockptr(t->mm, pmdp);
	if (ptl != pml)
		spin_lock_nested(ptl, SINGLE_DEPTH_NESTING);
	old = pmdp_get(pmdp);
	waits = waits_for(&loop.work, ptl);
	change_pmd(t->mm, start, pmdp, new);
	if (ptl != pml)
		spin_unlock(ptl);
	spin_unlock(pml);
	mmap_read_unlock(t->mm);
	flush_work(&loop.work);
	destroy_work_on_stack(&loop.work);
	pml = pmd_lock(t->mm, pmdp);
	change_pmd(t->mm, start, pmdp, old);
	spin_unlock(pml);

	KUNIT_EXPECT_TRUE(test, waits);
	if (param->level == CALL_PMD)
		want_call(t, CALL_PMD, start, end);
	else
		want_hole(t, CALL_PMD, start, end);
	expect_calls(test);
}

static const struct level_param locked_pud_params[] = {
	{ CALL_HOLE, "none" },
	{ CALL_PMD, "table" },
};

KUNIT_ARRAY_PARAM_DESC(locked_pud, locked_pud_params, name);

#ifdef CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD
static void pud_leaf_changes_before_lock(struct kunit *test)
{
	const struct level_param *param = test->param_value;
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_pud_leaf(test, open_pfn_file(test));
	unsigned long end = start + PUD_SIZE;
	struct other_loop loop = { .t = t, .start = start, .end = end };
	pmd_t *table;
	spinlock_t *ptl;
	pud_t *pudp, old;
	bool waits;

	need_two_cpus(test);
	table = pmd_alloc_one(t->mm, start);
	KUNIT_ASSERT_NOT_NULL(test, table);
	INIT_WORK_ONSTACK(&loop.work, look_elsewhere);

	mmap_read_lock(t->mm);
	pudp = pud_offset(p4d_offset(pgd_offset(t->mm, start), start), start);
	ptl = pud_lock(t->mm, pudp);
	old = pudp_get(pudp);
	waits = waits_for(&loop.work, ptl);
	pudp_huge_get_and_clear(t->mm, start, pudp);
	flush_tlb_mm(t->mm);
	if (param->level == CALL_PMD)
		pud_populate(t->mm, pudp, table);
	spin_unlock(ptl);
	mmap_read_unlock(t->mm);
	flush_work(&loop.work);
	destroy_work_on_stack(&loop.work);
	ptl = pud_lock(t->mm, pudp);
	pud_clear(pudp);
	flush_tlb_mm(t->mm);
	set_pud_at(t->mm, start, pudp, old);
	spin_unlock(ptl);
	pmd_free(t->mm, table);

	KUNIT_EXPECT_TRUE(test, waits);
	want_hole(t, param->level == CALL_PMD ? CALL_PMD : CALL_PUD, start, end);
	expect_calls(test);
}
#else
static void pud_leaf_changes_before_lock(struct kunit *test)
{
	kunit_skip(test, "no PUD leaves in this kernel");
}
#endif

#define NR_NEIGHBOURS	4

/* Leaves in the same table. Return the address of the first one. */
static unsigned long map_neighbours(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = ALIGN(somewhere(), PMD_SIZE), addr, pfn;
	unsigned long end = start + NR_NEIGHBOURS * PMD_SIZE;

	if (!IS_ENABLED(CONFIG_ADVISE_SYSCALLS))
		kunit_skip(test, "no madvise() in this kernel");
	map_anon(test, start, NR_NEIGHBOURS * PTRS_PER_PTE);
	KUNIT_ASSERT_EQ(test, 0, do_madvise(t->mm, start, end - start,
					    MADV_HUGEPAGE));
	for (addr = start; addr < end; addr += PMD_SIZE) {
		fault_in(test, addr);
		if (find_leaf(t, addr, &pfn) != CALL_PMD)
			kunit_skip(test, "got no huge page");
	}
	return start;
}

struct lock_waiter {
	struct work_struct work;
	spinlock_t *ptl;
	bool got_it;
};

static void wait_for_lock(struct work_struct *work)
{
	struct lock_waiter *w = container_of(work, struct lock_waiter, work);

	spin_lock(w->ptl);
	WRITE_ONCE(w->got_it, true);
	spin_unlock(w->ptl);
}

/* Who waits for the lock of neighbouring leaves need not wait for the last. */
static void leaf_lock_is_passed_on(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_neighbours(test);
	unsigned long end = start + NR_NEIGHBOURS * PMD_SIZE;
	bool waits = false, got_it = false;
	struct lock_waiter waiter = {};

	need_two_cpus(test);
	INIT_WORK_ONSTACK(&waiter.work, wait_for_lock);
	mmap_read_lock(t->mm);
	waiter.ptl = pmd_lockptr(t->mm, mm_find_pmd(t->mm, start));
	for_each_pt_leaf(leaf, vma_lookup(t->mm, start), start, end, 0) {
		if (leaf.addr == start)
			waits = waits_for(&waiter.work, waiter.ptl);
		got_it = READ_ONCE(waiter.got_it);
	}
	mmap_read_unlock(t->mm);
	flush_work(&waiter.work);
	destroy_work_on_stack(&waiter.work);
	KUNIT_EXPECT_TRUE(test, waits);
	KUNIT_EXPECT_TRUE(test, got_it);
}

/* Nor does a task that should be rescheduled keep the CPU until then. */
static void leaf_is_rescheduled(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_neighbours(test);
	unsigned long end = start + NR_NEIGHBOURS * PMD_SIZE;
	unsigned int nr = 0, late = 0;

	mmap_read_lock(t->mm);
	for_each_pt_leaf(leaf, vma_lookup(t->mm, start), start, end, 0) {
		late += leaf.addr != start && need_resched();
		local_irq_disable();
		set_need_resched_current();
		local_irq_enable();
		nr++;
	}
	mmap_read_unlock(t->mm);
	KUNIT_EXPECT_EQ(test, nr, NR_NEIGHBOURS);
	/* There can be a tick behind where the loop asks. */
	KUNIT_EXPECT_LE(test, late, 1);
}
#else
static const struct level_param locked_leaf_params[] = {
	{ CALL_PMD, "any" },
};

KUNIT_ARRAY_PARAM_DESC(locked_leaf, locked_leaf_params, name);
KUNIT_ARRAY_PARAM_DESC(locked_table, locked_leaf_params, name);
KUNIT_ARRAY_PARAM_DESC(locked_pud, locked_leaf_params, name);

static void leaf_changes_before_lock(struct kunit *test)
{
	kunit_skip(test, "no huge pages here, or no one to wait for a lock");
}

static void table_changes_before_lock(struct kunit *test)
{
	leaf_changes_before_lock(test);
}

static void pud_leaf_changes_before_lock(struct kunit *test)
{
	leaf_changes_before_lock(test);
}

static void leaf_lock_is_passed_on(struct kunit *test)
{
	leaf_changes_before_lock(test);
}

static void leaf_is_rescheduled(struct kunit *test)
{
	leaf_changes_before_lock(test);
}
#endif

/*
 * Batches: a THP that is mapped by PTEs, which where there are contiguous PTEs,
 * on arm64, are that.
 */

static unsigned int batch_at(struct pagewalk_test *t, unsigned long addr,
			     unsigned long end, pt_leaf_ignore_t ignore, pte_t *pte)
{
	unsigned int nr = 0;
	pte_t *first = NULL;

	mmap_read_lock(t->mm);
	for_each_pt_leaf(leaf, vma_lookup(t->mm, addr), addr, end, 0) {
		struct page *page = pt_leaf_page(&leaf);

		if (!page || leaf.type != PT_LEAF_PTE)
			break;
		pt_leaf_batch(&leaf, page_folio(page), ignore);
		if (leaf.addr != addr) {
			/* The one that follows has to be where it should. */
			if (leaf.addr < addr + nr * PAGE_SIZE ||
			    leaf.ptep != first + (leaf.addr - addr) / PAGE_SIZE)
				nr = 0;
			break;
		}
		nr = (leaf.end - leaf.addr) / PAGE_SIZE;
		first = leaf.ptep;
		*pte = leaf.pte;
	}
	mmap_read_unlock(t->mm);
	return nr;
}

static unsigned long map_split_thp(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_thp(test);

	/* khugepaged must not put one there again. */
	KUNIT_ASSERT_EQ(test, 0, do_madvise(t->mm, start, PMD_SIZE,
					    MADV_NOHUGEPAGE));
	mmap_read_lock(t->mm);
	split_huge_pmd(vma_lookup(t->mm, start), mm_find_pmd(t->mm, start), start);
	mmap_read_unlock(t->mm);
	expect_leaf(test, start, CALL_PTE);
	return start;
}

static void leaf_batch(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_split_thp(test), end = start + PMD_SIZE;
	unsigned long small = end;
	pte_t pte;

	KUNIT_EXPECT_EQ(test, batch_at(t, start, end, 0, &pte), PTRS_PER_PTE);
	KUNIT_EXPECT_EQ(test, PTRS_PER_PTE - 3,
			batch_at(t, start + 3 * PAGE_SIZE, end, 0, &pte));
	KUNIT_EXPECT_EQ(test, 5,
			batch_at(t, start, start + 5 * PAGE_SIZE, 0, &pte));

	/* Another folio, and an empty entry */
	KUNIT_ASSERT_EQ(test, 0, do_madvise(t->mm, start + 8 * PAGE_SIZE,
					    2 * PAGE_SIZE, MADV_DONTNEED));
	KUNIT_EXPECT_EQ(test, 8, batch_at(t, start, end, 0, &pte));
	fault_in(test, start + 8 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 8, batch_at(t, start, end, 0, &pte));
	KUNIT_EXPECT_EQ(test, 1, batch_at(t, start + 8 * PAGE_SIZE, end, 0, &pte));

	map_and_fault_in(test, small, 2);
	KUNIT_EXPECT_EQ(test, 1,
			batch_at(t, small, small + 2 * PAGE_SIZE, 0, &pte));
}

/* What the architecture knows to be alike, from and to the middle of it */
static void leaf_batch_hint(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_split_thp(test) + 3 * PAGE_SIZE;
	unsigned long end = start + PMD_SIZE - 8 * PAGE_SIZE, next = start;
	unsigned long pfn = 0, leaves = 0;
	bool contiguous = false;

	mmap_read_lock(t->mm);
	for_each_pt_leaf(leaf, vma_lookup(t->mm, start), start, end, 0) {
		unsigned int hint = pte_batch_hint(leaf.ptep, leaf.pte);

		if (!leaves++)
			pfn = pt_leaf_pfn(&leaf);
		contiguous |= hint > 1;
		KUNIT_EXPECT_EQ(test, leaf.addr, next);
		next = min(next + hint * PAGE_SIZE, end);
		KUNIT_EXPECT_EQ(test, pt_leaf_batch_hint(&leaf),
				(next - leaf.addr) / PAGE_SIZE);
		KUNIT_EXPECT_EQ(test, leaf.end, next);
		KUNIT_EXPECT_EQ(test, pt_leaf_pfn(&leaf),
				pfn + (leaf.addr - start) / PAGE_SIZE);
	}
	mmap_read_unlock(t->mm);
	KUNIT_EXPECT_EQ(test, next, end);
	KUNIT_EXPECT_EQ(test, contiguous, leaves < (end - start) / PAGE_SIZE);
	kunit_info(test, "%lu leaves", leaves);
}

struct ignore_param {
	pt_leaf_ignore_t ignore;
	const char *name;
};

static const struct ignore_param ignore_params[] = {
	{ PT_LEAF_IGNORE_YOUNG,		"young" },
	{ PT_LEAF_IGNORE_DIRTY,		"dirty" },
	{ PT_LEAF_IGNORE_SOFT_DIRTY,	"soft_dirty" },
	{ PT_LEAF_IGNORE_WRITE,		"write" },
};

KUNIT_ARRAY_PARAM_DESC(ignore, ignore_params, name);

static pte_t without(pte_t pte, pt_leaf_ignore_t ignore)
{
	switch (ignore) {
	case PT_LEAF_IGNORE_YOUNG:
		return pte_mkold(pte);
	case PT_LEAF_IGNORE_DIRTY:
		return pte_mkclean(pte);
	case PT_LEAF_IGNORE_SOFT_DIRTY:
		return pte_clear_soft_dirty(pte);
	default:
		return pte_wrprotect(pte);
	}
}

static bool lacks(pte_t pte, pt_leaf_ignore_t ignore)
{
	switch (ignore) {
	case PT_LEAF_IGNORE_YOUNG:
		return !pte_young(pte);
	case PT_LEAF_IGNORE_DIRTY:
		return !pte_dirty(pte);
	case PT_LEAF_IGNORE_SOFT_DIRTY:
		return !pte_soft_dirty(pte);
	default:
		return !pte_write(pte);
	}
}

/*
 * The first eight lack a bit that the others have. Sixteen are looked at: an
 * architecture that has contiguous PTEs may mark a block that is alike.
 */
static void leaf_batch_ignores(struct kunit *test)
{
	const struct ignore_param *param = test->param_value;
	pt_leaf_ignore_t ignore = param->ignore, all = 0;
	struct pagewalk_test *t = test->priv;
	unsigned long start = map_split_thp(test), end = start + 16 * PAGE_SIZE;
	unsigned int i;
	pte_t pte;

	for (i = 0; i < ARRAY_SIZE(ignore_params); i++)
		all |= ignore_params[i].ignore;
	for (i = 0; i < 8; i++) {
		unsigned long addr = start + i * PAGE_SIZE;

		pte = exchange_pte(t, addr, make_pte_marker(PTE_MARKER_GUARD));
		if (pte_same(pte, without(pte, ignore)) || lacks(pte, ignore)) {
			exchange_pte(t, addr, pte);
			kunit_skip(test, "no such bit here");
		}
		exchange_pte(t, addr, without(pte, ignore));
	}
	flush_tlb_mm(t->mm);

	KUNIT_EXPECT_EQ(test, batch_at(t, start, end, 0, &pte), 8);
	KUNIT_EXPECT_TRUE(test, lacks(pte, ignore));
	KUNIT_EXPECT_EQ(test, batch_at(t, start, end, all & ~ignore, &pte), 8);
	KUNIT_EXPECT_EQ(test, batch_at(t, start, end, ignore, &pte), 16);
	KUNIT_EXPECT_TRUE(test, lacks(pte, ignore));
}

/* After a pause there is no table any more. */
static void leaf_batch_after_pause(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere();
	unsigned int warned = 0;

	if (!IS_ENABLED(CONFIG_DEBUG_VM))
		kunit_skip(test, "nothing is asserted in this kernel");
	map_and_fault_in(test, start, 1);
	mmap_read_lock(t->mm);
	for_each_pt_leaf(leaf, vma_lookup(t->mm, start), start,
			 start + PAGE_SIZE, 0) {
		struct folio *folio = page_folio(pt_leaf_page(&leaf));

		folio_get(folio);
		pt_leaf_pause(&leaf, leaf.end);
		kunit_warning_suppress(test) {
			pt_leaf_batch(&leaf, folio, 0);
			warned = KUNIT_SUPPRESSED_WARNING_COUNT();
		}
		folio_put(folio);
	}
	mmap_read_unlock(t->mm);
	KUNIT_EXPECT_EQ(test, warned, 1);
}

/* Locks of the caller */

static void leaf_with_vma_lock(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere(), end = start + 3 * PAGE_SIZE;
	struct vm_area_struct *vma;

	if (!IS_ENABLED(CONFIG_PER_VMA_LOCK))
		kunit_skip(test, "no VMA locks in this kernel");
	map_and_fault_in(test, start, 3);
	vma = lock_vma_under_rcu(t->mm, start);
	KUNIT_ASSERT_NOT_NULL(test, vma);
	look_vma(t, vma, start, end, (struct leaf_action){});
	vma_end_read(vma);
	want_ptes(t, start, 3);
	expect_calls(test);
}

static void look_mapping(struct pagewalk_test *t, struct file *file,
			 unsigned long start, unsigned long end,
			 pt_leaf_flags_t flags)
{
	struct vm_area_struct *vma;

	i_mmap_lock_read(file->f_mapping);
	mapping_rmap_tree_foreach(vma, file->f_mapping, 0, ULONG_MAX) {
		if (vma->vm_start != start)
			continue;
		for_each_pt_leaf(leaf, vma, start, end, flags | PT_LEAF_F_I_MMAP)
			note_leaf(t, &leaf);
	}
	i_mmap_unlock_read(file->f_mapping);
}

static void leaf_with_i_mmap_rwsem(struct kunit *test)
{
	struct mapping_vmas m = map_twice(test);
	struct pagewalk_test *t = test->priv;

	look_mapping(t, m.file, m.b, m.b + 4 * PAGE_SIZE, 0);
	want_ptes(t, m.b, 1);
	expect_calls(test);

	forget_calls(t);
	look_mapping(t, m.file, m.b, m.b + 4 * PAGE_SIZE, PT_LEAF_F_HOLES);
	want_ptes(t, m.b, 1);
	want_hole(t, CALL_PTE, m.b + PAGE_SIZE, m.b + 4 * PAGE_SIZE);
	expect_calls(test);
}

static void leaf_of_hugetlb_with_i_mmap_rwsem(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long size, start = map_hugetlb(test, &size);
	unsigned long end = start + 2 * size;
	struct file *file;

	if (try_fault_in(t, start))
		kunit_skip(test, "no pages of hugetlb");
	mmap_read_lock(t->mm);
	file = vma_lookup(t->mm, start)->vm_file;
	mmap_read_unlock(t->mm);

	look_mapping(t, file, start, end, 0);
	want_call(t, CALL_HUGETLB, start, start + size);
	expect_calls(test);

	forget_calls(t);
	look_mapping(t, file, start, end, PT_LEAF_F_HOLES);
	KUNIT_EXPECT_EQ(test, t->got.nr, 2);
	KUNIT_EXPECT_EQ(test, t->got.call[0].kind, CALL_HUGETLB);
	KUNIT_EXPECT_EQ(test, t->got.call[1].kind, CALL_HOLE);
	KUNIT_EXPECT_EQ(test, t->got.call[1].addr, start + size);
	KUNIT_EXPECT_EQ(test, t->got.call[1].end, end);
	/* That one is not for it to lock. */
	KUNIT_EXPECT_FALSE(test, is_hugetlb_vma_locked(t, start));
}

static void leaf_without_lock(struct kunit *test)
{
	struct pagewalk_test *t = test->priv;
	unsigned long start = somewhere();
	struct vm_area_struct *vma;
	bool warned = false;

	if (!IS_ENABLED(CONFIG_DEBUG_VM))
		kunit_skip(test, "nothing is asserted in this kernel");
	map_and_fault_in(test, start, 1);
	mmap_read_lock(t->mm);
	vma = vma_lookup(t->mm, start);
	mmap_read_unlock(t->mm);
	kunit_warning_suppress(test) {
		look_vma(t, vma, start, start + PAGE_SIZE, (struct leaf_action){});
		warned = KUNIT_SUPPRESSED_WARNING_COUNT();
	}
	KUNIT_EXPECT_TRUE(test, warned);
}

/*
 * Against a thread that changes page tables all the time:
 *
 * * in the first PMDs each page is always mapped, either by a leaf or by a
 *   table. To split the leaf is done as the kernel does it, with the page table
 *   lock only, but without the work that it has with the folio. To go back is
 *   done with the mmap_lock held for writing, as the kernel does.
 * * The PMD behind them is split by the kernel when its second page is zapped,
 *   and collapsed by the kernel now and then. Its first page is always mapped.
 * * The last PMD is filled and zapped, with all that is in it.
 *
 * What is always mapped has to be seen exactly once by each loop.
 */
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
#define NR_RACE_PMDS	2

struct leaf_race {
	struct work_struct work;
	struct mm_struct *mm;
	unsigned long start;
	unsigned long splits;
	unsigned long looks;
	bool stop;
	struct folio *folio[NR_RACE_PMDS];
	pmd_t leaf[NR_RACE_PMDS];
	pgtable_t table[NR_RACE_PMDS];
};

static void race_to_leaf(struct leaf_race *r, int i)
{
	unsigned long addr = r->start + i * PMD_SIZE;
	pmd_t *pmdp = mm_find_pmd(r->mm, addr);
	spinlock_t *ptl = pmd_lock(r->mm, pmdp);

	pmd_clear(pmdp);
	flush_tlb_mm(r->mm);
	set_pmd_at(r->mm, addr, pmdp, r->leaf[i]);
	spin_unlock(ptl);
}

static void race_to_table(struct leaf_race *r, int i)
{
	unsigned long addr = r->start + i * PMD_SIZE;
	pmd_t *pmdp = mm_find_pmd(r->mm, addr);
	spinlock_t *ptl = pmd_lock(r->mm, pmdp);

	pmdp_invalidate(vma_lookup(r->mm, addr), addr, pmdp);
	pmd_populate(r->mm, pmdp, r->table[i]);
	spin_unlock(ptl);
}

static void change_all_the_time(struct work_struct *work)
{
	struct leaf_race *r = container_of(work, struct leaf_race, work);
	unsigned long kept = r->start + NR_RACE_PMDS * PMD_SIZE;
	unsigned long zapped = kept + PMD_SIZE;
	struct rnd_state rnd;
	int i;

	prandom_seed_state(&rnd, 1);
	kthread_use_mm(r->mm);
	while (!READ_ONCE(r->stop)) {
		/* However slow the readers are, now and then they meet leaves. */
		if (r->splits % 256 == 0) {
			unsigned long looks = READ_ONCE(r->looks);

			while (READ_ONCE(r->looks) < looks + 2 &&
			       !READ_ONCE(r->stop))
				usleep_range(10, 20);
		}
		mmap_read_lock(r->mm);
		for (i = 0; i < NR_RACE_PMDS; i++) {
			udelay(prandom_u32_state(&rnd) % 128);
			race_to_table(r, i);
		}
		mmap_read_unlock(r->mm);
		if (r->splits % 8 == 0) {
			mmap_read_lock(r->mm);
			fixup_user_fault(r->mm, zapped, FAULT_FLAG_WRITE, NULL);
			mmap_read_unlock(r->mm);
			/* This splits the PMD; then there is a table. */
			do_madvise(r->mm, zapped + PAGE_SIZE, PAGE_SIZE,
				   MADV_DONTNEED);
			do_madvise(r->mm, zapped, PMD_SIZE, MADV_DONTNEED);
		}
		/* It takes a thousand times as long. */
		if (r->splits % 1024 == 1023)
			do_madvise(r->mm, kept, PMD_SIZE, MADV_COLLAPSE);
		if (r->splits % 1024 == 512)
			do_madvise(r->mm, kept + PAGE_SIZE, PAGE_SIZE,
				   MADV_DONTNEED);
		mmap_write_lock(r->mm);
		for (i = 0; i < NR_RACE_PMDS; i++)
			race_to_leaf(r, i);
		mmap_write_unlock(r->mm);
		WRITE_ONCE(r->splits, r->splits + 1);
		cond_resched();
	}
	kthread_unuse_mm(r->mm);
}

static void race_prepare(struct kunit *test, struct leaf_race *r, int i)
{
	unsigned long addr = r->start + i * PMD_SIZE;
	pmd_t *pmdp = mm_find_pmd(r->mm, addr);
	struct vm_area_struct *vma;
	spinlock_t *ptl;
	pte_t *ptep;

	r->table[i] = pte_alloc_one(r->mm);
	KUNIT_ASSERT_NOT_NULL(test, r->table[i]);
	r->leaf[i] = pmdp_get(pmdp);
	/* So that no one else deals with it or how it is mapped */
	r->folio[i] = pmd_folio(r->leaf[i]);
	folio_get(r->folio[i]);
	folio_lock(r->folio[i]);

	mmap_write_lock(r->mm);
	vma = vma_lookup(r->mm, addr);
	ptl = pmd_lock(r->mm, pmdp);
	pmdp_huge_get_and_clear(r->mm, addr, pmdp);
	pmd_populate(r->mm, pmdp, r->table[i]);
	ptep = pte_offset_map(pmdp, addr);
	/* Without set_pte_at(), so that page_table_check does not count them */
	for (int n = 0; ptep && n < PTRS_PER_PTE; n++)
		ptep[n] = pfn_pte(pmd_pfn(r->leaf[i]) + n, vma->vm_page_prot);
	if (ptep)
		pte_unmap(ptep);
	spin_unlock(ptl);
	race_to_leaf(r, i);
	mmap_write_unlock(r->mm);
}

static void leaf_race(struct kunit *test)
{
	unsigned long start = ALIGN(somewhere(), PMD_SIZE), addr, pfn;
	unsigned long kept = start + NR_RACE_PMDS * PMD_SIZE;
	unsigned long end = kept + 2 * PMD_SIZE;
	unsigned long timeout = jiffies + 2 * HZ;
	unsigned long lost = 0, wrong = 0, ptes = 0, pmds = 0;
	struct pagewalk_test *t = test->priv;
	struct leaf_race r = {
		.mm = t->mm,
		.start = start,
	};
	int i;

	if (!IS_ENABLED(CONFIG_ADVISE_SYSCALLS))
		kunit_skip(test, "no madvise() in this kernel");
	map_anon(test, start, (NR_RACE_PMDS + 2) * PTRS_PER_PTE);
	KUNIT_ASSERT_EQ(test, 0, do_madvise(t->mm, start, end - start,
					    MADV_HUGEPAGE));
	for (addr = start; addr <= kept; addr += PMD_SIZE) {
		fault_in(test, addr);
		if (find_leaf(t, addr, &pfn) != CALL_PMD)
			kunit_skip(test, "got no huge page");
	}
	/* khugepaged has nothing to do there. A VMA of its own, therefore */
	KUNIT_ASSERT_EQ(test, 0, do_madvise(t->mm, start, kept - start,
					    MADV_NOHUGEPAGE));
	for (i = 0; i < NR_RACE_PMDS; i++)
		race_prepare(test, &r, i);
	INIT_WORK_ONSTACK(&r.work, change_all_the_time);
	/* On another CPU, if there is one */
	queue_work(system_dfl_wq, &r.work);

	while (time_before(jiffies, timeout) || !r.looks) {
		unsigned int seen = 0;

		mmap_read_lock(t->mm);
		addr = start;
		for_each_pt_leaf(leaf, vma_lookup(t->mm, start), start, kept, 0) {
			struct page *page = pt_leaf_page(&leaf);

			i = (leaf.addr - start) / PMD_SIZE;
			pfn = (leaf.addr & ~PMD_MASK) / PAGE_SIZE;
			if (page != folio_page(r.folio[i], pfn))
				wrong++;
			if (leaf.addr != addr)
				lost++;
			addr = leaf.end;
			if (leaf.type == PT_LEAF_PMD)
				pmds++;
			else
				ptes++;
		}
		if (addr != kept)
			lost++;
		for_each_pt_leaf(leaf, vma_lookup(t->mm, kept), kept, end,
				 PT_LEAF_F_HOLES) {
			if (leaf.addr != addr)
				lost++;
			addr = leaf.end;
			if (leaf.addr == kept)
				seen += leaf.present;
		}
		mmap_read_unlock(t->mm);
		if (addr != end || seen != 1)
			lost++;
		WRITE_ONCE(r.looks, r.looks + 1);
		/* Readers that come and go can keep a writer waiting for long. */
		if (mmap_lock_is_contended(t->mm))
			usleep_range(10, 20);
		cond_resched();
	}
	WRITE_ONCE(r.stop, true);
	flush_work(&r.work);
	destroy_work_on_stack(&r.work);
	for (i = 0; i < NR_RACE_PMDS; i++) {
		folio_unlock(r.folio[i]);
		folio_put(r.folio[i]);
	}
	synchronize_rcu();
	for (i = 0; i < NR_RACE_PMDS; i++)
		pte_free(t->mm, r.table[i]);

	kunit_info(test, "%lu splits, %lu loops: %lu PMDs, %lu PTEs\n",
		   r.splits, r.looks, pmds, ptes);
	KUNIT_EXPECT_EQ(test, lost, 0);
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_GT(test, r.splits, 0);
	/* It has been worth it. */
	KUNIT_EXPECT_GT(test, pmds, 0);
	KUNIT_EXPECT_GT(test, ptes, 0);
}
#else
static void leaf_race(struct kunit *test)
{
	kunit_skip(test, "no huge pages in this kernel");
}
#endif

static struct kunit_case pt_leaf_test_cases[] = {
	KUNIT_CASE(leaf_ptes),
	KUNIT_CASE(leaf_ptes_in_part),
	KUNIT_CASE_PARAM(leaf_next_table, level_gen_params),
	KUNIT_CASE_PARAM(leaf_holes, level_gen_params),
	KUNIT_CASE(leaf_holes_in_tables),
	KUNIT_CASE(leaf_thp),
	KUNIT_CASE(leaf_pmd_pfn),
	KUNIT_CASE(leaf_pud_pfn),
	KUNIT_CASE(leaf_hugetlb),
	KUNIT_CASE(leaf_hugetlb_in_two_tables),
	KUNIT_CASE_PARAM(leaf_hugetlb_not_present, absent_gen_params),
	KUNIT_CASE(leaf_seek),
	KUNIT_CASE(leaf_seek_huge_zero),
	KUNIT_CASE(leaf_seek_nothing),
	KUNIT_CASE(leaf_seek_no_hugetlb),
	KUNIT_CASE_PARAM(leave_in_ptes, leave_gen_params),
	KUNIT_CASE_PARAM(leave_in_thp, leave_gen_params),
	KUNIT_CASE_PARAM(leave_in_pud_leaf, leave_gen_params),
	KUNIT_CASE_PARAM(leave_in_hole, leave_gen_params),
	KUNIT_CASE_PARAM(leave_in_hugetlb, leave_gen_params),
	KUNIT_CASE(leaf_pause),
	KUNIT_CASE(leaf_pause_in_thp),
	KUNIT_CASE(leaf_pause_in_hugetlb),
	KUNIT_CASE(leaf_pause_and_split_pud),
	KUNIT_CASE(leaf_pause_and_unshare),
	KUNIT_CASE_PARAM(leaf_next_table_changes, table_change_gen_params),
	KUNIT_CASE_PARAM(leaf_next_leaf_changes, leaf_change_gen_params),
	KUNIT_CASE_PARAM(leaf_changes_before_lock, locked_leaf_gen_params),
	KUNIT_CASE_PARAM(table_changes_before_lock, locked_table_gen_params),
	KUNIT_CASE_PARAM(pud_leaf_changes_before_lock, locked_pud_gen_params),
	KUNIT_CASE(leaf_lock_is_passed_on),
	KUNIT_CASE(leaf_is_rescheduled),
	KUNIT_CASE(leaf_batch),
	KUNIT_CASE(leaf_batch_hint),
	KUNIT_CASE_PARAM(leaf_batch_ignores, ignore_gen_params),
	KUNIT_CASE(leaf_batch_after_pause),
	KUNIT_CASE(leaf_with_vma_lock),
	KUNIT_CASE(leaf_with_i_mmap_rwsem),
	KUNIT_CASE(leaf_of_hugetlb_with_i_mmap_rwsem),
	KUNIT_CASE(leaf_without_lock),
	KUNIT_CASE(leaf_race),
	{}
};

static int pagewalk_test_init(struct kunit *test)
{
	struct pagewalk_test *t;
	int err;

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	if (!t)
		return -ENOMEM;

	err = kunit_attach_mm();
	if (err)
		return err;

	t->mm = current->mm;
	test->priv = t;
	return 0;
}

static struct kunit_suite pagewalk_test_suite = {
	.name = "pagewalk",
	.init = pagewalk_test_init,
	.test_cases = pagewalk_test_cases,
};

static struct kunit_suite pt_leaf_test_suite = {
	.name = "pt_leaf",
	.init = pagewalk_test_init,
	.test_cases = pt_leaf_test_cases,
};

kunit_test_suites(&pagewalk_test_suite, &pt_leaf_test_suite);
