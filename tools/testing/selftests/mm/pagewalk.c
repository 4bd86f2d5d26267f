// SPDX-License-Identifier: GPL-2.0
/*
 * What user space sees of the walkers of page tables: a reader of a mapping
 * must leave its huge leaves in place, and what it reports must be right.
 *
 * Each test prints one line,
 *
 *   # table: READER MAPPING lost=LEAVES/ALL refaults=N report=VERDICT DETAIL
 *
 * where a leaf is lost if touching it again after the read faults.
 *
 * A leaf of 1 GiB needs a device: a BAR bound to vfio-pci without an IOMMU
 * (vfio.enable_unsafe_noiommu_mode=1), or device-dax with such an alignment.
 * The test takes the first that it finds, reads the BAR and OVERWRITES the
 * memory: only if PAGEWALK_DEVICES=1 in the environment says that it may.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <asm-generic/mman.h>	/* MADV_GUARD_INSTALL, whatever libc has */
#include <linux/memfd.h>
#include <linux/mempolicy.h>
#include <linux/mount.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <lib/test_hmm_uapi.h>
#include <mm/gup_test.h>
#include "kselftest_harness.h"
#include "hugepage_settings.h"
#include "vm_util.h"

#define KB4	(4UL << 10)
#define MB2	(2UL << 20)
#define GB1	(512 * MB2)

#define DAMON	"/sys/kernel/mm/damon/admin/kdamonds/"

#ifndef MADV_COLD
#define MADV_COLD	20
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

enum backing { SMALL, THP, THP_PTE, HUGETLB, DAX, VFIO };

struct mapping {
	const char *name;
	enum backing backing;
	size_t leaf;
	unsigned int nr;		/* leaves */
	/* Found out by map_leaves(): */
	char *addr;
	size_t size;
	size_t phase;			/* of addr within 1 GiB */
};

/* Anonymous memory? */
static bool is_anon(const struct mapping *m)
{
	return m->backing <= THP_PTE;
}

static unsigned long nr_pages(const struct mapping *m)
{
	return m->size / psize();
}

/* Pages that the reader must find: it cannot tell what a pfnmap maps. */
static unsigned long nr_visible(const struct mapping *m)
{
	return m->backing == VFIO ? 0 : nr_pages(m);
}

/*
 * Touching, without dying of it.
 */

static sigjmp_buf fault_env;

static void fault_handler(int sig)
{
	siglongjmp(fault_env, 1);
}

static void on_fault(void (*handler)(int))
{
	signal(SIGSEGV, handler);
	signal(SIGBUS, handler);
}

/* Read a byte at every step from @from to @to, if that can be done. */
static bool readable(char *from, char *to, size_t step)
{
	if (sigsetjmp(fault_env, 1)) {
		on_fault(SIG_DFL);
		return false;
	}
	on_fault(fault_handler);
	for (; from < to; from += step)
		FORCE_READ(*from);
	on_fault(SIG_DFL);
	return true;
}

static bool readable_at(char *addr)
{
	return readable(addr, addr + 1, 1);
}

static unsigned long nr_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt + usage.ru_majflt;
}

struct touched {
	unsigned int lost;		/* leaves that faulted */
	unsigned long faults;
	bool dead;			/* somewhere the fault was fatal */
};

static struct touched touch(const struct mapping *m)
{
	size_t step = m->leaf < MB2 ? m->leaf : MB2;
	unsigned long before, faults;
	struct touched t = { 0 };
	char own;
	bool ok;

	/*
	 * After a fork or a clearing of soft-dirty bits the first write to a
	 * page of our own faults: let that be here, not in the loop.
	 */
	readable_at(&own);
	nr_faults();
	for (unsigned int i = 0; i < m->nr; i++) {
		char *leaf = m->addr + i * m->leaf;

		before = nr_faults();
		ok = readable(leaf, leaf + m->leaf, step);
		faults = nr_faults() - before;
		t.faults += faults;
		t.lost += faults || !ok;
		t.dead |= !ok;
	}
	return t;
}

/*
 * Every page of anonymous memory gets its own content, so that KSM finds
 * nothing to merge; otherwise one word in a leaf will do.
 */
static size_t content_step(const struct mapping *m)
{
	return is_anon(m) ? psize() : m->leaf;
}

static void fill(const struct mapping *m)
{
	size_t step = content_step(m);

	for (size_t off = 0; off < m->size; off += step) {
		if (m->backing == VFIO)
			FORCE_READ(m->addr[off]);
		else
			*(unsigned long *)(m->addr + off) = off + 1;
	}
}

static bool intact(const struct mapping *m)
{
	size_t step = content_step(m);

	if (m->backing == VFIO)
		return true;
	for (size_t off = 0; off < m->size; off += step) {
		if (*(unsigned long *)(m->addr + off) != off + 1)
			return false;
	}
	return true;
}

/*
 * Mapping.
 */

/* Address space for @size bytes, beginning @phase bytes after a 1 GiB boundary. */
static char *reserve(size_t size, size_t phase)
{
	char *p = mmap(NULL, size + 2 * GB1, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	return (char *)(((uintptr_t)p + GB1 - 1) & ~(GB1 - 1)) + phase;
}

/*
 * Hugetlb pages of 2 MiB and 1 GiB: of the whole program, for each test would
 * have to clear them again.
 */
static int hugetlb_fds[2] = { -1, -1 };

/* Ask for the pages of a variant; the exit handler gives them back. */
static int open_hugetlb(size_t size, unsigned long nr)
{
	unsigned long sizes[10], nr_free;
	int fd, n = detect_hugetlb_page_sizes(sizes, ARRAY_SIZE(sizes));

	while (n && sizes[n - 1] != size)
		n--;
	if (!n)
		return -1;
	nr_free = hugetlb_free_pages(size);
	if (nr_free < nr && !geteuid())
		hugetlb_set_nr_pages(size, hugetlb_nr_pages(size) + nr - nr_free);
	if (hugetlb_free_pages(size) < nr)
		return -1;
	fd = memfd_create("pagewalk", MFD_HUGETLB |
			  __builtin_ctzl(size) << MFD_HUGE_SHIFT);
	if (fd >= 0 && ftruncate(fd, nr * size)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Open the device-dax of this alignment. */
static int open_dax(const struct mapping *m)
{
	unsigned long align, size;
	char path[PATH_MAX];
	int fd = -1;
	glob_t g;

	if (glob("/sys/bus/dax/devices/*", 0, NULL, &g))
		return -1;
	for (size_t i = 0; i < g.gl_pathc && fd < 0; i++) {
		snprintf(path, sizeof(path), "%s/align", g.gl_pathv[i]);
		if (read_sysfs(path, &align) || align != m->leaf)
			continue;
		snprintf(path, sizeof(path), "%s/size", g.gl_pathv[i]);
		if (read_sysfs(path, &size) || size < m->size)
			continue;
		snprintf(path, sizeof(path), "/dev/%s", basename(g.gl_pathv[i]));
		fd = open(path, O_RDWR);
	}
	globfree(&g);
	return fd;
}

/* Open a device of vfio-pci, given by its directory in sysfs. */
static int open_vfio_device(const char *dir)
{
	char path[PATH_MAX], group_link[PATH_MAX] = "";
	int container, group, fd;

	snprintf(path, sizeof(path), "%s/iommu_group", dir);
	if (readlink(path, group_link, sizeof(group_link) - 1) < 0)
		return -1;
	snprintf(path, sizeof(path), "/dev/vfio/noiommu-%s", basename(group_link));
	group = open(path, O_RDWR);
	container = open("/dev/vfio/vfio", O_RDWR);
	if (!ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) &&
	    !ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU))
		fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, basename(dir));
	else
		fd = -1;
	/* The device keeps its group, and the group its container. */
	close(group);
	close(container);
	return fd;
}

/* Open a device with a BAR of at least 2 GiB: where in the file, in memory? */
static int open_vfio(off_t *offset, unsigned long *phys)
{
	struct vfio_region_info info = { .argsz = sizeof(info) };
	unsigned long start = 0, end;
	char line[PATH_MAX];
	int fd = -1;
	FILE *f;
	glob_t g;

	if (glob("/sys/bus/pci/drivers/vfio-pci/*:*", 0, NULL, &g))
		return -1;
	for (size_t i = 0; i < g.gl_pathc && fd < 0; i++) {
		snprintf(line, sizeof(line), "%s/resource", g.gl_pathv[i]);
		f = fopen(line, "r");
		info.index = 0;
		while (f && fd < 0 && fgets(line, sizeof(line), f)) {
			if (sscanf(line, "%lx %lx", &start, &end) == 2 &&
			    end - start >= 2 * GB1 - 1)
				fd = open_vfio_device(g.gl_pathv[i]);
			if (fd >= 0 && ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info)) {
				close(fd);
				fd = -1;
			}
			info.index++;
		}
		if (f)
			fclose(f);
	}
	globfree(&g);
	*offset = info.offset;
	*phys = start;
	return fd;
}

static bool devices_allowed(void)
{
	const char *env = getenv("PAGEWALK_DEVICES");

	return env && !strcmp(env, "1");
}

/*
 * Leaves that the kernel has split so far, or -1 where it does not count that.
 * Split by whomsoever: this is for a machine that does nothing else.
 */
struct splits {
	long pmd;
	long pud;
};

static struct splits nr_splits(void)
{
	struct splits s = { -1, -1 };
	FILE *f = fopen("/proc/vmstat", "r");
	char line[128];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "thp_split_pmd %ld", &s.pmd) != 1 &&
		    sscanf(line, "thp_split_pud %ld", &s.pud) == 1)
			break;
	}
	if (f)
		fclose(f);
	return s;
}

/* What it was when the mapping was made. */
static struct splits splits_before;

static void expect_no_splits(struct __test_metadata *_metadata)
{
	struct splits now = nr_splits();

	EXPECT_EQ(now.pmd, splits_before.pmd);
	EXPECT_EQ(now.pud, splits_before.pud);
}

/* Map @m and populate it with leaves of the size asked for, or skip. */
static void map_leaves(struct __test_metadata *_metadata, struct mapping *m)
{
	int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED, fd = -1;
	unsigned long phys = 0, faults;
	off_t offset = 0;

	m->size = m->nr * m->leaf;
	if (psize() != KB4)
		SKIP(return, "sizes of leaves are those of 4 KiB pages");

	switch (m->backing) {
	case SMALL:
		flags = MAP_PRIVATE | MAP_ANONYMOUS;
		break;
	case THP:
	case THP_PTE:
		if (!thp_is_enabled() || read_pmd_pagesize() != MB2)
			SKIP(return, "no transparent huge pages of 2 MiB");
		flags = MAP_PRIVATE | MAP_ANONYMOUS;
		break;
	case HUGETLB:
		fd = hugetlb_fds[m->leaf == GB1];
		if (fd < 0)
			SKIP(return, "no hugetlb pages of %zu MiB", m->leaf >> 20);
		break;
	case DAX:
		if (!devices_allowed())
			SKIP(return, "no PAGEWALK_DEVICES=1 in the environment");
		fd = open_dax(m);
		if (fd < 0)
			SKIP(return, "no device-dax of %zu MiB with an alignment of %zu MiB",
			     m->size >> 20, m->leaf >> 20);
		break;
	case VFIO:
		if (!devices_allowed())
			SKIP(return, "no PAGEWALK_DEVICES=1 in the environment");
		fd = open_vfio(&offset, &phys);
		if (fd < 0)
			SKIP(return, "no BAR of 2 GiB in a vfio noiommu group");
		/* Leaves are as large as the addresses are congruent. */
		m->phase = (phys + (m->leaf < GB1 ? m->leaf : 0)) & (GB1 - 1);
		break;
	}

	m->addr = reserve(m->size, m->phase);
	if (!m->addr)
		SKIP(return, "no address space for %zu MiB", m->size >> 20);
	if (mmap(m->addr, m->size, prot, flags | MAP_FIXED, fd, offset) == MAP_FAILED)
		SKIP(return, "no mapping of %u leaves of %zu KiB: %s", m->nr,
		     m->leaf >> 10, strerror(errno));
	if (is_anon(m))
		madvise(m->addr, m->size,
			m->backing == SMALL ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);

	faults = nr_faults();
	fill(m);
	faults = nr_faults() - faults;
	if (is_anon(m)) {
		if (m->backing != SMALL &&
		    !check_huge_anon(m->addr, m->size, m->size / MB2, MB2))
			SKIP(return, "no %zu transparent huge pages to be had",
			     m->size / MB2);
	} else if (faults != m->nr) {
		SKIP(return, "%zu MiB took %lu faults: no leaves of %zu KiB",
		     m->size >> 20, faults, m->leaf >> 10);
	}
	if (m->backing == THP_PTE) {
		/* A VMA of one page splits the PMD; afterwards all is one VMA. */
		for (size_t off = 0; off < m->size; off += MB2) {
			ASSERT_EQ(mprotect(m->addr + off, psize(), PROT_READ), 0);
			ASSERT_EQ(mprotect(m->addr + off, psize(), prot), 0);
		}
		ASSERT_TRUE(check_huge_anon(m->addr, m->size, 0, MB2));
		madvise(m->addr, m->size, MADV_NOHUGEPAGE);
	}
	splits_before = nr_splits();
}

/*
 * Reporting.
 */

enum verdict { WRONG, RIGHT, NONE };

/* Print the line of this test, then check it. */
static __printf(5, 6) void report(struct __test_metadata *_metadata,
				  const struct mapping *m, struct touched t,
				  enum verdict v, const char *fmt, ...)
{
	static const char * const verdicts[] = { "wrong", "right", "-" };
	char detail[128];
	va_list args;

	va_start(args, fmt);
	vsnprintf(detail, sizeof(detail), fmt, args);
	va_end(args);

	ksft_print_msg("table: %s %s lost=%u/%u refaults=%lu report=%s %s%s\n",
		       _metadata->name, m->name, t.lost, m->nr, t.faults,
		       verdicts[v], detail,
		       t.dead ? ", then a fatal fault" : "");

	EXPECT_EQ(t.lost, 0);
	EXPECT_FALSE(t.dead);
	EXPECT_NE(v, WRONG);
	expect_no_splits(_metadata);
	if (!t.dead)
		EXPECT_TRUE(intact(m));
}

/* A call must have succeeded, or failed with @expected where it is refused. */
static void report_call(struct __test_metadata *_metadata,
			const struct mapping *m, int ret, int expected)
{
	int err = ret ? errno : 0;

	report(_metadata, m, touch(m), err == expected ? RIGHT : WRONG,
	       "%s", err ? strerror(err) : "done");
}

/* What counts as populated: nothing of a pfnmap does. */
static void report_kb(struct __test_metadata *_metadata,
		      const struct mapping *m, long kb, bool whole_process)
{
	long expected = nr_visible(m) * (psize() >> 10);
	bool right = whole_process ? kb >= expected : kb == expected;

	report(_metadata, m, touch(m), right ? RIGHT : WRONG,
	       "Rss %ld kB of %ld kB", kb, expected);
}

/*
 * Readers.
 */

/* Sum up a few of the fields that @path has of the mapping. */
static long smaps_fields_kb(const struct mapping *m, const char *path,
			    const char * const *fields, int nr)
{
	uintptr_t start, end, addr = (uintptr_t)m->addr;
	long kb, sum = -1;
	bool ours = false;
	char line[512];
	FILE *f;

	f = fopen(path, "r");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
			ours = start < addr + m->size && end > addr;
			sum += ours && sum < 0;
			continue;
		}
		for (int i = 0; ours && i < nr; i++) {
			if (!strncmp(line, fields[i], strlen(fields[i])) &&
			    sscanf(line + strlen(fields[i]), "%ld", &kb) == 1)
				sum += kb;
		}
	}
	fclose(f);
	return sum;
}

/* Sum up Rss, and what is hugetlb, of all that @path tells of the mapping. */
static long smaps_kb(const struct mapping *m, const char *path)
{
	static const char * const fields[] = {
		"Rss:", "Shared_Hugetlb:", "Private_Hugetlb:",
	};

	return smaps_fields_kb(m, path, fields, ARRAY_SIZE(fields));
}

static bool no_numa(void)
{
	return access("/proc/self/numa_maps", R_OK);
}

/* The line of the mapping in numa_maps, to be freed, or NULL */
static char *numa_maps_line(const struct mapping *m)
{
	char *line = NULL;
	bool found = false;
	size_t len = 0;
	FILE *f;

	f = fopen("/proc/self/numa_maps", "r");
	if (!f)
		return NULL;
	while (!found && getline(&line, &len, f) > 0)
		found = strtoul(line, NULL, 16) == (uintptr_t)m->addr;
	fclose(f);
	if (found)
		return line;
	free(line);
	return NULL;
}

/* Pages on all nodes, as numa_maps has them; in kB. */
static long numa_maps_kb(const struct mapping *m)
{
	unsigned long pages, sum = 0, unit = psize() >> 10;
	char *line = numa_maps_line(m), *token;

	if (!line)
		return -1;
	for (token = strtok(line, " "); token; token = strtok(NULL, " ")) {
		if (sscanf(token, "N%*u=%lu", &pages) == 1)
			sum += pages;
		/* Hugetlb counts huge pages, others do not. */
		if (m->backing == HUGETLB)
			sscanf(token, "kernelpagesize_kB=%lu", &unit);
	}
	free(line);
	return sum * unit;
}

/* What numa_maps says of the mapping in one of its fields, which 0 is not. */
static long numa_maps_field(const struct mapping *m, const char *field)
{
	char *line = numa_maps_line(m), *token;
	long value = 0;

	if (!line)
		return -1;
	for (token = strtok(line, " "); token; token = strtok(NULL, " ")) {
		if (!strncmp(token, field, strlen(field)) &&
		    token[strlen(field)] == '=')
			value = atol(token + strlen(field) + 1);
	}
	free(line);
	return value;
}

/* Is this what pagemap must say of page @index of the mapping? */
static bool pagemap_right(const struct mapping *m, __u64 entry,
			  unsigned long index)
{
	unsigned long mask = m->leaf / psize() - 1;
	unsigned long pfn = PAGEMAP_PFN(entry);

	if (!nr_visible(m))
		return !(entry & (PM_PRESENT | PM_SWAP));
	/* PFNs are for the privileged; others see 0. */
	return PAGEMAP_PRESENT(entry) && (!pfn || (pfn & mask) == (index & mask));
}

static long pagemap_scan_arg(struct pm_scan_arg *arg)
{
	int fd = open("/proc/self/pagemap", O_RDONLY), ret;

	if (fd < 0)
		return -1;
	ret = ioctl(fd, PAGEMAP_SCAN, arg);
	close(fd);
	return ret;
}

static long pagemap_scan(const struct mapping *m, struct page_region *vec,
			 unsigned int nr, __u64 flags, __u64 category)
{
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = flags,
		.start = (uintptr_t)m->addr,
		.end = (uintptr_t)m->addr + m->size,
		.vec = (uintptr_t)vec,
		.vec_len = nr,
		.category_mask = category,
		.return_mask = category,
	};

	return pagemap_scan_arg(&arg);
}

/* Pages in those of the @n regions that lie within [@from, @to), or -1. */
static long scanned(const struct page_region *vec, long n, const char *from,
		    const char *to)
{
	__u64 at = (uintptr_t)from;
	long pages = 0;

	for (long i = 0; i < n; i++) {
		if (vec[i].start < at || vec[i].end <= vec[i].start ||
		    vec[i].end > (uintptr_t)to)
			return -1;
		at = vec[i].end;
		pages += (vec[i].end - vec[i].start) / psize();
	}
	return n < 0 ? -1 : pages;
}

static int write_string(const char *path, const char *string)
{
	int fd = open(path, O_WRONLY), ret;

	if (fd < 0)
		return -1;
	ret = write(fd, string, strlen(string)) == (ssize_t)strlen(string) ? 0 : -1;
	close(fd);
	return ret;
}

FIXTURE(pagewalk)
{
	struct mapping m;
};

FIXTURE_VARIANT(pagewalk)
{
	struct mapping m;
};

FIXTURE_VARIANT_ADD(pagewalk, vfio_1g)
{
	.m = { "vfio_1g", VFIO, GB1, 2 },
};

FIXTURE_VARIANT_ADD(pagewalk, vfio_2m)
{
	.m = { "vfio_2m", VFIO, MB2, 64 },
};

FIXTURE_VARIANT_ADD(pagewalk, vfio_4k)
{
	.m = { "vfio_4k", VFIO, KB4, 4096 },
};

FIXTURE_VARIANT_ADD(pagewalk, dax_1g)
{
	.m = { "dax_1g", DAX, GB1, 2 },
};

FIXTURE_VARIANT_ADD(pagewalk, dax_2m)
{
	.m = { "dax_2m", DAX, MB2, 32 },
};

FIXTURE_VARIANT_ADD(pagewalk, hugetlb_1g)
{
	.m = { "hugetlb_1g", HUGETLB, GB1, 1 },
};

FIXTURE_VARIANT_ADD(pagewalk, hugetlb_2m)
{
	.m = { "hugetlb_2m", HUGETLB, MB2, 32 },
};

FIXTURE_VARIANT_ADD(pagewalk, thp)
{
	.m = { "thp", THP, MB2, 16 },
};

FIXTURE_VARIANT_ADD(pagewalk, thp_pte)
{
	.m = { "thp_pte", THP_PTE, KB4, 2048 },
};

FIXTURE_VARIANT_ADD(pagewalk, small)
{
	.m = { "small", SMALL, KB4, 1024 },
};

FIXTURE_SETUP(pagewalk)
{
	self->m = variant->m;
	map_leaves(_metadata, &self->m);
}

FIXTURE_TEARDOWN(pagewalk)
{
}

/* The controls: if these fail, nothing that the others say is worth much. */
TEST(split_is_counted)
{
	struct mapping m = { "thp", THP, MB2, 2 };

	map_leaves(_metadata, &m);
	if (_metadata->exit_code == KSFT_SKIP)
		return;
	if (splits_before.pmd < 0)
		SKIP(return, "no thp_split_pmd in /proc/vmstat");
	ASSERT_EQ(mprotect(m.addr, psize(), PROT_READ), 0);
	EXPECT_EQ(nr_splits().pmd, splits_before.pmd + 1);
}

TEST_F(pagewalk, none)
{
	report(_metadata, &self->m, touch(&self->m), NONE, "nothing done");
}

TEST_F(pagewalk, maps)
{
	struct mapping *m = &self->m;
	uintptr_t start, end;
	bool found = false;
	char line[512];
	FILE *f;

	f = fopen("/proc/self/maps", "r");
	ASSERT_NE(f, NULL);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			found |= start == (uintptr_t)m->addr && end == start + m->size;
	}
	fclose(f);
	report(_metadata, m, touch(m), found ? RIGHT : WRONG, "%s",
	       found ? "there" : "not there");
}

TEST_F(pagewalk, smaps)
{
	report_kb(_metadata, &self->m, smaps_kb(&self->m, "/proc/self/smaps"), false);
}

TEST_F(pagewalk, smaps_other)
{
	char path[64];
	int result[2];
	long kb = -1;
	pid_t pid;

	ASSERT_EQ(pipe(result), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		snprintf(path, sizeof(path), "/proc/%d/smaps", getppid());
		kb = smaps_kb(&self->m, path);
		_exit(write(result[1], &kb, sizeof(kb)) != sizeof(kb));
	}
	EXPECT_EQ(read(result[0], &kb, sizeof(kb)), sizeof(kb));
	EXPECT_EQ(waitpid(pid, NULL, 0), pid);
	report_kb(_metadata, &self->m, kb, false);
}

TEST_F(pagewalk, smaps_rollup)
{
	if (access("/proc/self/smaps_rollup", R_OK))
		SKIP(return, "no /proc/self/smaps_rollup");
	report_kb(_metadata, &self->m,
		  smaps_kb(&self->m, "/proc/self/smaps_rollup"), true);
}

TEST_F(pagewalk, numa_maps)
{
	struct mapping *m = &self->m;
	/* The pages of devices are not counted. */
	bool counted = m->backing != VFIO && m->backing != DAX;
	long expected = counted ? nr_pages(m) * (psize() >> 10) : 0;
	long kb;

	if (no_numa())
		SKIP(return, "no NUMA");
	kb = numa_maps_kb(m);
	report(_metadata, m, touch(m), kb == expected ? RIGHT : WRONG,
	       "%ld kB of %ld kB", kb, expected);
}

/* Whose pages these are, which have been written to, and who else maps them */
TEST_F(pagewalk, numa_maps_fields)
{
	struct mapping *m = &self->m;
	int status;
	pid_t pid;

	if (!is_anon(m))
		SKIP(return, "not for the pages of a file");
	if (no_numa())
		SKIP(return, "no NUMA");
	EXPECT_EQ(numa_maps_field(m, "anon"), nr_pages(m));
	EXPECT_EQ(numa_maps_field(m, "dirty"), nr_pages(m));
	EXPECT_EQ(numa_maps_field(m, "mapmax"), 0);

	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(numa_maps_field(m, "mapmax"));
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_EQ(WEXITSTATUS(status), 2);
	if (m->backing != SMALL)
		return;

	/* What need not be kept is clean, in the middle of what is not. */
	ASSERT_EQ(madvise(m->addr + KB4, KB4, MADV_FREE), 0);
	ASSERT_EQ(madvise(m->addr + 3 * KB4, 5 * KB4, MADV_FREE), 0);
	EXPECT_EQ(numa_maps_field(m, "anon"), nr_pages(m));
	EXPECT_EQ(numa_maps_field(m, "dirty"), nr_pages(m) - 6);
}

TEST_F(pagewalk, pagemap)
{
	struct mapping *m = &self->m;
	size_t len = nr_pages(m) * sizeof(__u64), done = 0;
	unsigned long present = 0, right = 0;
	__u64 *entries = calloc(1, len);
	ssize_t n = 0;
	int fd;

	ASSERT_NE(entries, NULL);
	fd = open("/proc/self/pagemap", O_RDONLY);
	ASSERT_GE(fd, 0);
	do {
		done += n;
		n = pread(fd, (char *)entries + done, len - done,
			  (uintptr_t)m->addr / psize() * sizeof(*entries) + done);
	} while (n > 0);
	close(fd);

	for (unsigned long i = 0; i < nr_pages(m); i++) {
		present += PAGEMAP_PRESENT(entries[i]);
		right += pagemap_right(m, entries[i], i);
	}
	report(_metadata, m, touch(m),
	       done == len && right == nr_pages(m) ? RIGHT : WRONG,
	       "%lu present of %lu", present, nr_visible(m));
	free(entries);
}

TEST_F(pagewalk, pagemap_one)
{
	struct mapping *m = &self->m;
	unsigned long index = nr_pages(m) / 2 + m->leaf / psize() / 3;
	int fd = open("/proc/self/pagemap", O_RDONLY);
	__u64 entry;

	ASSERT_GE(fd, 0);
	entry = pagemap_get_entry(fd, m->addr + index * psize());
	close(fd);
	report(_metadata, m, touch(m),
	       pagemap_right(m, entry, index) ? RIGHT : WRONG,
	       "%d present of %d", PAGEMAP_PRESENT(entry), !!nr_visible(m));
}

/*
 * A buffer that ends anywhere, in a leaf or with it, and the last one behind
 * the mapping: all that fits in must be there, and in its place.
 */
TEST_F(pagewalk, pagemap_pieces)
{
	static const unsigned long sizes[] = { 1, 2, 511, 512, 513, 1025 };
	struct mapping *m = &self->m;
	unsigned long nr = 3 * MB2 / psize(), wrong, total = nr_pages(m);
	int fd = open("/proc/self/pagemap", O_RDONLY);
	__u64 entries[1025];

	ASSERT_GE(fd, 0);
	if (nr > total)
		nr = total;
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		wrong = 0;
		for (unsigned long i = total - nr; i <= total; i += sizes[s]) {
			unsigned long n = total + 1 - i;
			ssize_t len;

			if (n > sizes[s])
				n = sizes[s];
			memset(entries, 0xff, sizeof(entries));
			len = pread(fd, entries, n * sizeof(*entries),
				    ((uintptr_t)m->addr / psize() + i) * sizeof(*entries));
			ASSERT_EQ(len, n * sizeof(*entries));
			for (unsigned long j = 0; j < n; j++) {
				if (i + j == total)
					wrong += entries[j] & (PM_PRESENT | PM_SWAP) ? 1 : 0;
				else
					wrong += !pagemap_right(m, entries[j], i + j);
			}
		}
		EXPECT_EQ(wrong, 0) {
			TH_LOG("in pieces of %lu", sizes[s]);
		}
	}
	close(fd);
}

TEST_F(pagewalk, pagemap_scan)
{
	struct mapping *m = &self->m;
	struct page_region vec[256];
	long n, pages;

	n = pagemap_scan(m, vec, ARRAY_SIZE(vec), 0, PAGE_IS_PRESENT);
	if (n < 0 && errno == ENOTTY)
		SKIP(return, "no PAGEMAP_SCAN");
	pages = scanned(vec, n, m->addr, m->addr + m->size);
	report(_metadata, m, touch(m), pages == nr_visible(m) ? RIGHT : WRONG,
	       "%ld present of %lu", pages, nr_visible(m));
}

#define SCAN_WP	(PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC)

/* Track writes to @m with an asynchronous userfaultfd, or skip. */
static int track_writes(struct __test_metadata *_metadata,
			const struct mapping *m)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED |
			    UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
	};
	struct page_region vec;
	int uffd, ret;

	uffd = syscall(__NR_userfaultfd, O_CLOEXEC);
	if (uffd < 0)
		SKIP(return -1, "no userfaultfd: %s", strerror(errno));
	if (ioctl(uffd, UFFDIO_API, &api))
		SKIP(return -1, "no UFFD_FEATURE_WP_ASYNC: %s", strerror(errno));
	ret = uffd_register(uffd, m->addr, m->size, false, true, false);
	/* Not of pfnmaps. */
	ASSERT_EQ(ret, m->backing == VFIO ? -EINVAL : 0);
	if (pagemap_scan(m, &vec, 1, 0, PAGE_IS_PRESENT) < 0 && errno == ENOTTY)
		SKIP(return -1, "no PAGEMAP_SCAN");
	return uffd;
}

/*
 * Find out what was written: everything at first, then nothing, then the leaf
 * that was written (or a part of it, where the kernel splits it).
 */
TEST_F(pagewalk, pagemap_scan_wp)
{
	struct mapping *m = &self->m;
	char *last = m->addr + m->size - m->leaf;
	struct page_region vec[256];
	long n, first, second, third;
	struct touched t;
	bool right;
	int uffd;

	uffd = track_writes(_metadata, m);
	if (uffd < 0)
		return;
	if (m->backing == VFIO) {
		report(_metadata, m, touch(m), RIGHT, "%s", strerror(EINVAL));
		return;
	}

	n = pagemap_scan(m, vec, ARRAY_SIZE(vec), SCAN_WP, PAGE_IS_WRITTEN);
	first = scanned(vec, n, m->addr, m->addr + m->size);
	n = pagemap_scan(m, vec, ARRAY_SIZE(vec), SCAN_WP, PAGE_IS_WRITTEN);
	second = scanned(vec, n, m->addr, m->addr + m->size);
	t = touch(m);
	expect_no_splits(_metadata);

	/* Two bytes in the last leaf, beside the content: this may split it. */
	if (!t.dead) {
		last[sizeof(long)] = 1;
		last[m->leaf / 2 + sizeof(long)] = 1;
	}
	n = pagemap_scan(m, vec, ARRAY_SIZE(vec), SCAN_WP, PAGE_IS_WRITTEN);
	third = scanned(vec, n, last, last + m->leaf);
	right = first == nr_pages(m) && second == 0 && third > 0;
	/* Both bytes: at the start and in the middle. */
	right &= n > 0 && vec[0].start == (uintptr_t)last &&
		 vec[n - 1].end > (uintptr_t)last + m->leaf / 2;
	close(uffd);
	t.dead |= !readable(m->addr, m->addr + m->size, MB2);
	if (!t.dead)
		last[sizeof(long)] = 1;
	splits_before = nr_splits();

	report(_metadata, m, t, right ? RIGHT : WRONG,
	       "written %ld of %lu, again %ld of 0, after a write %ld",
	       first, nr_pages(m), second, third);
}

/*
 * As many pages at once as one leaf has, and one more: each scan goes on where
 * the one before has stopped, and together they must find everything, once.
 */
TEST_F(pagewalk, pagemap_scan_wp_max)
{
	struct mapping *m = &self->m;
	uintptr_t end = (uintptr_t)m->addr + m->size;
	struct page_region vec[256];
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = SCAN_WP,
		.start = (uintptr_t)m->addr,
		.end = end,
		.vec = (uintptr_t)vec,
		.vec_len = ARRAY_SIZE(vec),
		.max_pages = m->leaf / psize() + 1,
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN,
	};
	unsigned long found = 0, rounds = 0;
	long n, pages = 0;
	int uffd;

	uffd = track_writes(_metadata, m);
	if (uffd < 0 || m->backing == VFIO)
		return;

	while (arg.start < end && pages >= 0 && rounds++ < nr_pages(m)) {
		n = pagemap_scan_arg(&arg);
		EXPECT_LE(arg.walk_end, end);
		pages = scanned(vec, n, (char *)(uintptr_t)arg.start,
				(char *)(uintptr_t)arg.walk_end);
		/* They are all written: what is passed over is lost. */
		EXPECT_EQ(pages, (arg.walk_end - arg.start) / psize());
		found += pages;
		arg.start = arg.walk_end;
	}
	EXPECT_EQ(found, nr_pages(m));
	close(uffd);
}

/* There is a way ahead even if a single page may be reported. */
TEST_F(pagewalk, pagemap_scan_wp_max_1)
{
	struct mapping *m = &self->m;
	struct page_region vec;
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = SCAN_WP,
		.start = (uintptr_t)m->addr,
		.end = (uintptr_t)m->addr + m->size,
		.vec = (uintptr_t)&vec,
		.vec_len = 1,
		.max_pages = 1,
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN,
	};
	int uffd;

	uffd = track_writes(_metadata, m);
	if (uffd < 0 || m->backing == VFIO)
		return;

	EXPECT_EQ(pagemap_scan_arg(&arg), 1);
	EXPECT_EQ(arg.walk_end, arg.start + psize());
	close(uffd);
}

/*
 * The range is a part of a leaf.  Whether that gets protected or not, what was
 * written to it must be reported, before and after.
 */
TEST_F(pagewalk, pagemap_scan_wp_part)
{
	struct mapping *m = &self->m;
	uintptr_t start = (uintptr_t)m->addr + psize();
	struct page_region vec[4] = { 0 };
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = SCAN_WP,
		.start = start,
		.end = (uintptr_t)m->addr + m->leaf / 2,
		.vec = (uintptr_t)vec,
		.vec_len = ARRAY_SIZE(vec),
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN,
	};
	int uffd;

	if (arg.start >= arg.end)
		SKIP(return, "there are no parts of a page");
	uffd = track_writes(_metadata, m);
	if (uffd < 0 || m->backing == VFIO)
		return;

	EXPECT_EQ(pagemap_scan_arg(&arg), 1);
	EXPECT_EQ(vec[0].start, start);
	EXPECT_EQ(vec[0].end, arg.end);
	EXPECT_EQ(arg.walk_end, arg.end);

	((char *)start)[sizeof(long)] = 1;
	EXPECT_EQ(pagemap_scan_arg(&arg), 1);
	EXPECT_EQ(vec[0].start, start);
	EXPECT_EQ(arg.walk_end, arg.end);
	close(uffd);
}

/* What maps a page of a huge page need not map the others. */
TEST(pagemap_exclusive)
{
	struct mapping m = { "thp", THP, MB2, 1 };
	unsigned long i, nr = MB2 / psize(), exclusive = 0;
	int fd, status, to_child[2], to_parent[2];
	char byte;
	pid_t pid;

	map_leaves(_metadata, &m);
	if (_metadata->exit_code == KSFT_SKIP)
		return;
	ASSERT_EQ(pipe(to_child), 0);
	ASSERT_EQ(pipe(to_parent), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		close(to_child[1]);
		*(volatile char *)m.addr = 1;
		if (write(to_parent[1], "", 1) == 1 && read(to_child[0], &byte, 1) == 0)
			_exit(0);
		_exit(1);
	}
	close(to_parent[1]);
	ASSERT_EQ(read(to_parent[0], &byte, 1), 1);
	fd = open("/proc/self/pagemap", O_RDONLY);
	ASSERT_GE(fd, 0);
	/* The first page may be said to be, but need not. */
	for (i = 1; i < nr; i++)
		exclusive += !!(pagemap_get_entry(fd, m.addr + i * psize()) &
				PM_MMAP_EXCLUSIVE);
	close(fd);
	EXPECT_TRUE(check_huge_anon(m.addr, MB2, 1, MB2));
	EXPECT_EQ(exclusive, 0);
	close(to_child[1]);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
}

/*
 * Whole THPs only: to protect a part of one splits it, and then it is none. So
 * the scan goes on to the end, and must say so.
 */
TEST(pagemap_scan_wp_huge)
{
	struct mapping m = { "thp", THP, MB2, 4 };
	struct page_region vec[4] = { 0 };
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = SCAN_WP,
		.vec = (uintptr_t)vec,
		.vec_len = ARRAY_SIZE(vec),
		.max_pages = MB2 / KB4 + 1,
		.category_mask = PAGE_IS_WRITTEN | PAGE_IS_HUGE,
		.return_mask = PAGE_IS_WRITTEN | PAGE_IS_HUGE,
	};
	int uffd;

	map_leaves(_metadata, &m);
	if (_metadata->exit_code == KSFT_SKIP)
		return;
	uffd = track_writes(_metadata, &m);
	if (uffd < 0)
		return;
	arg.start = (uintptr_t)m.addr;
	arg.end = arg.start + m.size;

	EXPECT_EQ(pagemap_scan_arg(&arg), 1);
	EXPECT_EQ(vec[0].start, arg.start);
	EXPECT_EQ(vec[0].end, arg.start + MB2);
	EXPECT_EQ(arg.walk_end, arg.end);
	close(uffd);
}

/* More regions than the kernel copies at once, and not a multiple of that. */
TEST(pagemap_scan_many_regions)
{
	static struct page_region vec[2048];
	struct mapping m = { "small", SMALL, KB4, 2 * ARRAY_SIZE(vec) };
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.vec = (uintptr_t)vec,
		.vec_len = ARRAY_SIZE(vec),
		.category_mask = PAGE_IS_PRESENT,
		.return_mask = PAGE_IS_PRESENT,
	};
	unsigned int expected = m.nr / 2 - 7;
	long n;

	map_leaves(_metadata, &m);
	if (_metadata->exit_code == KSFT_SKIP)
		return;
	ASSERT_EQ(madvise(m.addr, 14 * psize(), MADV_DONTNEED), 0);
	for (size_t off = 0; off < m.size; off += 2 * psize())
		ASSERT_EQ(madvise(m.addr + off, psize(), MADV_DONTNEED), 0);
	arg.start = (uintptr_t)m.addr;
	arg.end = arg.start + m.size;

	n = pagemap_scan_arg(&arg);
	if (n < 0 && errno == ENOTTY)
		SKIP(return, "no PAGEMAP_SCAN");
	EXPECT_EQ(n, expected);
	EXPECT_EQ(scanned(vec, n, m.addr, m.addr + m.size), expected);
	EXPECT_EQ(arg.walk_end, arg.end);
}

/* Where the vector ends in the middle, the scan has not seen everything. */
TEST(pagemap_scan_efault)
{
	const size_t vec_size = 1024 * sizeof(struct page_region);
	struct mapping m = { "small", SMALL, KB4, 2048 };
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.vec_len = 1024,
		.category_mask = PAGE_IS_PRESENT,
		.return_mask = PAGE_IS_PRESENT,
	};
	char *vec = mmap(NULL, vec_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(vec, MAP_FAILED);
	map_leaves(_metadata, &m);
	if (_metadata->exit_code == KSFT_SKIP)
		return;
	for (size_t off = 0; off < m.size; off += 2 * psize())
		ASSERT_EQ(madvise(m.addr + off, psize(), MADV_DONTNEED), 0);
	arg.start = (uintptr_t)m.addr;
	arg.end = arg.start + m.size;
	arg.vec = (uintptr_t)vec;

	ASSERT_EQ(mprotect(vec + vec_size / 2, vec_size / 2, PROT_NONE), 0);
	if (pagemap_scan_arg(&arg) != -1 || errno == ENOTTY)
		SKIP(return, "no PAGEMAP_SCAN");
	EXPECT_EQ(errno, EFAULT);
	EXPECT_LT(arg.walk_end, arg.end);

	/* Nothing of it at all, in a single walk. */
	ASSERT_EQ(mprotect(vec, vec_size / 2, PROT_NONE), 0);
	arg.end = arg.start + 2 * psize();
	EXPECT_EQ(pagemap_scan_arg(&arg), -1);
	EXPECT_EQ(errno, EFAULT);
	EXPECT_EQ(arg.walk_end, arg.start);
}

static bool covers(const struct page_region *vec, long n, const char *addr)
{
	while (n-- > 0) {
		if (vec[n].start <= (uintptr_t)addr && (uintptr_t)addr < vec[n].end)
			return true;
	}
	return false;
}

static volatile bool writer_stop;

static void *writer(void *p)
{
	while (!writer_stop)
		(*(volatile long *)p)++;
	return NULL;
}

/*
 * Scan while somebody writes. Whatever meets whatever, in the end a write has
 * to be seen: an entry that is both writable and write-protected hides it.
 */
TEST_F_TIMEOUT(pagewalk, pagemap_scan_busy, 120)
{
	struct mapping *m = &self->m;
	char *word = m->addr + m->size - m->leaf + sizeof(long);
	struct page_region vec[256];
	pthread_t thread;
	int uffd;
	long n;

	uffd = track_writes(_metadata, m);
	if (uffd < 0 || m->backing == VFIO)
		return;

	/* Some with a hole to begin with, where faults install the leaf. */
	for (int i = 0; i < 20; i++) {
		if (m->backing == DAX) {
			ASSERT_EQ(madvise(m->addr, m->size, MADV_DONTNEED), 0);
			ASSERT_GE(pagemap_scan(m, vec, ARRAY_SIZE(vec), SCAN_WP,
					       PAGE_IS_WRITTEN), 0);
		}
		writer_stop = false;
		ASSERT_EQ(pthread_create(&thread, NULL, writer, word), 0);
		for (int j = 0; j < 50; j++)
			ASSERT_GE(pagemap_scan(m, vec, ARRAY_SIZE(vec), SCAN_WP,
					       PAGE_IS_WRITTEN), 0);
		writer_stop = true;
		ASSERT_EQ(pthread_join(thread, NULL), 0);

		/* Now without the thread: written, protected, written. */
		(*(volatile long *)word)++;
		pagemap_scan(m, vec, ARRAY_SIZE(vec), SCAN_WP, PAGE_IS_WRITTEN);
		n = pagemap_scan(m, vec, ARRAY_SIZE(vec), SCAN_WP,
				 PAGE_IS_WRITTEN);
		EXPECT_GE(n, 0);
		EXPECT_FALSE(covers(vec, n, word));
		(*(volatile long *)word)++;
		n = pagemap_scan(m, vec, ARRAY_SIZE(vec), SCAN_WP,
				 PAGE_IS_WRITTEN);
		EXPECT_TRUE(covers(vec, n, word));
	}
	close(uffd);
}

static void write_clear_refs(struct __test_metadata *_metadata,
			     const struct mapping *m, const char *what)
{
	const char *file = "/proc/self/clear_refs";

	if (access(file, W_OK))
		SKIP(return, "no %s", file);
	report_call(_metadata, m, write_string(file, what), 0);
}

TEST_F(pagewalk, clear_refs_1)
{
	write_clear_refs(_metadata, &self->m, "1");
}

TEST_F(pagewalk, clear_refs_3)
{
	write_clear_refs(_metadata, &self->m, "3");
}

TEST_F(pagewalk, clear_refs_4)
{
	write_clear_refs(_metadata, &self->m, "4");
}

TEST_F(pagewalk, mincore)
{
	struct mapping *m = &self->m;
	unsigned char *vec = calloc(1, nr_pages(m));
	unsigned long resident = 0;

	ASSERT_NE(vec, NULL);
	ASSERT_EQ(mincore(m->addr, m->size, vec), 0);
	for (unsigned long i = 0; i < nr_pages(m); i++)
		resident += vec[i] & 1;
	report(_metadata, m, touch(m),
	       resident == nr_pages(m) ? RIGHT : WRONG,
	       "%lu resident of %lu", resident, nr_pages(m));
	free(vec);
}

/* Bind to all the nodes there are, so that nothing is on a wrong one. */
static int mbind_all(char *addr, size_t len, unsigned int flags)
{
	unsigned long nodes[16] = { 0 };

	if (syscall(__NR_get_mempolicy, NULL, nodes, sizeof(nodes) * 8, NULL,
		    MPOL_F_MEMS_ALLOWED))
		return -1;
	return syscall(__NR_mbind, addr, len, MPOL_BIND, nodes,
		       sizeof(nodes) * 8, flags);
}

TEST_F(pagewalk, mbind_strict)
{
	int ret;

	if (no_numa())
		SKIP(return, "no NUMA");
	ret = mbind_all(self->m.addr, self->m.size, MPOL_MF_STRICT);
	report_call(_metadata, &self->m, ret, 0);
}

static int node_of(char *addr)
{
	int status = -1;

	if (syscall(__NR_move_pages, 0, 1, &addr, NULL, &status, 0))
		return -1;
	return status;
}

/* What is on a wrong node is an error, or gets moved. */
TEST_F(pagewalk, mbind_moves)
{
	const struct mapping *m = &self->m;
	size_t len = m->size / 2;
	unsigned long other;
	int node;

	if (no_numa())
		SKIP(return, "no NUMA");
	if (m->backing == VFIO || m->backing == DAX)
		SKIP(return, "memory of a device stays where it is");
	if (!len || len % m->leaf)
		SKIP(return, "one leaf only");
	node = node_of(m->addr);
	if (node != 0 && node != 1)
		SKIP(return, "on node %d, not 0 or 1", node);
	other = 1UL << !node;
	if (syscall(__NR_mbind, m->addr, m->size, MPOL_BIND, &other, 64, 0))
		SKIP(return, "no node %d: %s", !node, strerror(errno));

	EXPECT_EQ(syscall(__NR_mbind, m->addr, len, MPOL_BIND, &other, 64,
			  MPOL_MF_STRICT), -1);
	EXPECT_EQ(errno, EIO);
	EXPECT_EQ(node_of(m->addr), node);

	EXPECT_EQ(syscall(__NR_mbind, m->addr, len, MPOL_BIND, &other, 64,
			  MPOL_MF_STRICT | MPOL_MF_MOVE), 0);
	for (size_t off = 0; off < len; off += m->leaf)
		EXPECT_EQ(node_of(m->addr + off), !node);
}

static void madvise_reclaim(struct __test_metadata *_metadata,
			    const struct mapping *m, int advice)
{
	bool refused = m->backing == VFIO || m->backing == HUGETLB;
	int err = madvise(m->addr, m->size, advice) ? errno : 0;
	struct touched t = touch(m);

	/* It is reclaim, not the walk, that splits what there is no swap for. */
	if (advice == MADV_PAGEOUT && is_anon(m))
		splits_before = nr_splits();
	if (advice == MADV_PAGEOUT && m->backing == THP)
		t.lost = 0;
	report(_metadata, m, t, err == (refused ? EINVAL : 0) ? RIGHT : WRONG,
	       "%s", err ? strerror(err) : "done");
}

TEST_F(pagewalk, madv_cold)
{
	madvise_reclaim(_metadata, &self->m, MADV_COLD);
}

TEST_F(pagewalk, madv_pageout)
{
	unsigned long swap = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "r");

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "SwapTotal: %lu kB", &swap);
	if (f)
		fclose(f);
	if (swap && is_anon(&self->m))
		SKIP(return, "there is swap, so the pages do go");
	madvise_reclaim(_metadata, &self->m, MADV_PAGEOUT);
}

static int __printf(2, 3)
damon_write(const char *file, const char *fmt, ...)
{
	char path[256], value[64];
	va_list args;

	snprintf(path, sizeof(path), DAMON "%s", file);
	va_start(args, fmt);
	vsnprintf(value, sizeof(value), fmt, args);
	va_end(args);
	return write_string(path, value);
}

#define CONTEXT	"0/contexts/0/"
#define SCHEME	CONTEXT "schemes/0/"

/* Monitor the mapping, and nothing else, until every part was looked at. */
static bool damon_monitor(struct __test_metadata *_metadata,
			  const struct mapping *m)
{
	const char *regions = CONTEXT "targets/0/regions/0/start";
	unsigned long tried = 0;
	bool ok;

	ok = !damon_write("0/contexts/nr_contexts", "1") &&
	     !damon_write(CONTEXT "operations", "fvaddr") &&
	     !damon_write(CONTEXT "monitoring_attrs/intervals/sample_us", "1000") &&
	     !damon_write(CONTEXT "monitoring_attrs/intervals/aggr_us", "10000") &&
	     !damon_write(CONTEXT "targets/nr_targets", "1") &&
	     !damon_write(CONTEXT "targets/0/pid_target", "%d", getpid()) &&
	     !damon_write(CONTEXT "targets/0/regions/nr_regions", "1") &&
	     !damon_write(regions, "%lu", (unsigned long)m->addr) &&
	     !damon_write(CONTEXT "targets/0/regions/0/end", "%lu",
			  (unsigned long)m->addr + m->size) &&
	     !damon_write(CONTEXT "schemes/nr_schemes", "1") &&
	     !damon_write(SCHEME "action", "stat") &&
	     !damon_write(SCHEME "access_pattern/sz/max", "%lu", ~0UL) &&
	     !damon_write(SCHEME "access_pattern/nr_accesses/max", "%u", ~0U) &&
	     !damon_write(SCHEME "access_pattern/age/max", "%u", ~0U) &&
	     !damon_write("0/state", "on");
	for (int i = 0; ok && !tried && i < 1000; i++) {
		usleep(1000);
		ok = !damon_write("0/state", "update_schemes_stats") &&
		     !read_sysfs(DAMON SCHEME "stats/nr_tried", &tried);
	}
	damon_write("0/state", "off");
	if (ok)
		EXPECT_NE(tried, 0);
	return ok;
}

TEST_F_TIMEOUT(pagewalk, damon, 120)
{
	unsigned long nr;
	bool ok;

	if (access(DAMON "nr_kdamonds", W_OK))
		SKIP(return, "no DAMON in sysfs");
	if (read_sysfs(DAMON "nr_kdamonds", &nr) || nr)
		SKIP(return, "DAMON is in use");
	ASSERT_EQ(damon_write("nr_kdamonds", "1"), 0);
	ok = damon_monitor(_metadata, &self->m);
	damon_write("nr_kdamonds", "0");
	if (!ok)
		SKIP(return, "DAMON takes no ranges of addresses (fvaddr)");
	report(_metadata, &self->m, touch(&self->m), NONE, "monitored");
}

TEST_F_TIMEOUT(pagewalk, ksm, 120)
{
	char *page = mmap(NULL, psize(), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(page, MAP_FAILED);
	if (access("/sys/kernel/mm/ksm/run", W_OK))
		SKIP(return, "no KSM");
	/* It scans only if there is something that can be merged at all. */
	ASSERT_EQ(madvise(page, psize(), MADV_MERGEABLE), 0);
	EXPECT_EQ(madvise(self->m.addr, self->m.size, MADV_MERGEABLE), 0);
	EXPECT_EQ(ksm_start(), 0);
	EXPECT_EQ(ksm_stop(), 0);
	report(_metadata, &self->m, touch(&self->m), NONE, "scanned");
}

/*
 * Guard markers take the place of what is mapped, which may be a leaf that
 * reaches beyond the range: each page of the range, and no other, is fatal.
 */
TEST_F(pagewalk, guard_install)
{
	struct mapping *m = &self->m;
	size_t around = m->leaf < MB2 ? m->leaf : MB2 / 2, wrong = 0;
	char *middle = m->addr + (m->nr > 1 ? m->leaf : m->leaf / 2);
	char *start = middle - around, *end = middle + around;

	if (madvise(start, end - start, MADV_GUARD_INSTALL)) {
		EXPECT_EQ(errno, EINVAL);
		if (is_anon(m) || m->backing == DAX)
			SKIP(return, "no MADV_GUARD_INSTALL");
		report(_metadata, m, touch(m), RIGHT, "%s", strerror(EINVAL));
		return;
	}
	EXPECT_FALSE(m->backing == VFIO || m->backing == HUGETLB);

	for (char *p = start; p < end; p += psize())
		wrong += readable_at(p);
	EXPECT_EQ(wrong, 0);
	/* Device-dax cannot map what is left of the leaf. */
	if (m->backing == DAX)
		return;
	EXPECT_TRUE(readable(m->addr, start, psize()));
	EXPECT_TRUE(readable(end, end + around, psize()));

	ASSERT_EQ(madvise(start, end - start, MADV_GUARD_REMOVE), 0);
	EXPECT_TRUE(readable(start, end, psize()));
	for (char *p = m->addr; p < m->addr + m->size; p += psize())
		wrong += *(unsigned long *)p !=
			 (p < start || p >= end ? p - m->addr + 1 : 0);
	EXPECT_EQ(wrong, 0);
}

TEST_F(pagewalk, mlock)
{
	int ret = mlock(self->m.addr, self->m.size);

	if (ret && (errno == ENOMEM || errno == EPERM || errno == EAGAIN))
		SKIP(return, "RLIMIT_MEMLOCK is too low: %s", strerror(errno));
	if (!ret)
		ret = munlock(self->m.addr, self->m.size);
	report_call(_metadata, &self->m, ret, 0);
}

TEST_F(pagewalk, mprotect_none)
{
	struct mapping *m = &self->m;
	int ret = mprotect(m->addr, m->size, PROT_NONE);

	if (!ret) {
		EXPECT_FALSE(readable_at(m->addr));
		ret = mprotect(m->addr, m->size, PROT_READ | PROT_WRITE);
	}
	report_call(_metadata, m, ret, 0);
}

/*
 * A debugger may look into memory that has no access rights. (Not for long: if
 * it cannot, it does not return.)
 */
TEST_F_TIMEOUT(pagewalk, ptrace_none, 10)
{
	struct mapping *m = &self->m;
	long content = *(volatile long *)m->addr, seen;
	int status;
	pid_t pid;

	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		touch(m);
		if (mprotect(m->addr, m->size, PROT_NONE) ||
		    ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(1);
		raise(SIGSTOP);
		_exit(0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_TRUE(WIFSTOPPED(status));
	errno = 0;
	seen = ptrace(PTRACE_PEEKDATA, pid, m->addr, NULL);
	if (m->backing == VFIO) {
		EXPECT_EQ(errno, EIO);
	} else {
		EXPECT_EQ(errno, 0);
		EXPECT_EQ(seen, content);
	}
	kill(pid, SIGKILL);
	EXPECT_EQ(waitpid(pid, NULL, 0), pid);
}

TEST_F(pagewalk, fork)
{
	struct mapping *m = &self->m;
	struct touched t;
	int status = -1;
	pid_t pid;

	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		t = touch(m);
		_exit(t.dead || !intact(m));
	}
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	report(_metadata, m, touch(m), status ? WRONG : RIGHT, "child %s",
	       status ? "does not see the same" : "sees the same");
}

/*
 * Special leaves: memory of a device, at each level, is mapped for the CPU to
 * access and for nobody to take a page from.
 */

FIXTURE(special)
{
	struct mapping m;
};

FIXTURE_VARIANT(special)
{
	struct mapping m;
};

FIXTURE_VARIANT_ADD(special, vfio_1g)
{
	.m = { "vfio_1g", VFIO, GB1, 2 },
};

FIXTURE_VARIANT_ADD(special, vfio_2m)
{
	.m = { "vfio_2m", VFIO, MB2, 64 },
};

FIXTURE_VARIANT_ADD(special, vfio_4k)
{
	.m = { "vfio_4k", VFIO, KB4, 4096 },
};

FIXTURE_SETUP(special)
{
	self->m = variant->m;
	map_leaves(_metadata, &self->m);
}

FIXTURE_TEARDOWN(special)
{
}

/* Somewhere in the second leaf, not at its start unless it is a page */
static char *inside(const struct mapping *m)
{
	return m->addr + m->leaf + (m->leaf > KB4 ? 3 * KB4 : 0);
}

static char *map_small(struct __test_metadata *_metadata)
{
	char *page = mmap(NULL, KB4, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(page, MAP_FAILED);
	*page = 1;
	return page;
}

/* The pages that an ioctl of gup_test got at @addr, of one */
static long gup_pages(int fd, unsigned long cmd, char *addr, unsigned int flags)
{
	struct gup_test gup = {
		.addr = (unsigned long)addr,
		.size = KB4,
		.nr_pages_per_call = 1,
		.gup_flags = flags,
	};

	if (ioctl(fd, cmd, &gup))
		return -errno;
	return gup.size / KB4;
}

static void report_gup(struct __test_metadata *_metadata, struct mapping *m,
		       unsigned long cmd)
{
	int fd = open("/sys/kernel/debug/gup_test", O_RDWR);
	long nr[2], control;

	if (fd < 0)
		SKIP(return, "no gup_test in debugfs: %s", strerror(errno));
	control = gup_pages(fd, cmd, map_small(_metadata), 1);
	for (unsigned int write = 0; write < 2; write++)
		nr[write] = gup_pages(fd, cmd, inside(m), write);
	close(fd);
	ASSERT_EQ(control, 1);
	report(_metadata, m, touch(m), nr[0] > 0 || nr[1] > 0 ? WRONG : RIGHT,
	       "%ld and %ld pages", nr[0], nr[1]);
}

TEST_F(special, gup)
{
	report_gup(_metadata, &self->m, GUP_BASIC_TEST);
}

TEST_F(special, gup_fast)
{
	report_gup(_metadata, &self->m, GUP_FAST_BENCHMARK);
}

TEST_F(special, pin)
{
	report_gup(_metadata, &self->m, PIN_BASIC_TEST);
}

TEST_F(special, pin_fast)
{
	report_gup(_metadata, &self->m, PIN_FAST_BENCHMARK);
}

/* This one tells the error. */
TEST_F(special, pin_longterm)
{
	struct mapping *m = &self->m;
	int fd = open("/sys/kernel/debug/gup_test", O_RDWR);
	struct pin_longterm_test args = {
		.addr = (unsigned long)map_small(_metadata),
		.size = KB4,
	};
	int ret, err = 0;

	if (fd < 0)
		SKIP(return, "no gup_test in debugfs: %s", strerror(errno));
	ASSERT_EQ(ioctl(fd, PIN_LONGTERM_TEST_START, &args), 0);
	ASSERT_EQ(ioctl(fd, PIN_LONGTERM_TEST_STOP), 0);

	args.addr = (unsigned long)inside(m);
	for (args.flags = 0; args.flags < 4 && !err; args.flags++) {
		ret = ioctl(fd, PIN_LONGTERM_TEST_START, &args);
		if (!ret)
			ioctl(fd, PIN_LONGTERM_TEST_STOP);
		if (!ret || errno != EFAULT)
			err = ret ? errno : -1;
	}
	close(fd);
	report(_metadata, m, touch(m), err ? WRONG : RIGHT, "flags %u: %s",
	       args.flags, err == -1 ? "done" : strerror(err ?: EFAULT));
}

TEST_F(special, process_vm)
{
	struct mapping *m = &self->m;
	char buf[16] = "";
	struct iovec local = { buf, sizeof(buf) };
	struct iovec remote = { inside(m), sizeof(buf) };
	int read_err, write_err;
	ssize_t ret;

	if (process_vm_readv(getpid(), NULL, 0, NULL, 0, 0))
		SKIP(return, "no process_vm_readv(): %s", strerror(errno));
	ret = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
	read_err = ret < 0 ? errno : 0;
	ret = process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
	write_err = ret < 0 ? errno : 0;
	report(_metadata, m, touch(m),
	       read_err == EFAULT && write_err == EFAULT ? RIGHT : WRONG,
	       "read: %s, write: %s", strerror(read_err), strerror(write_err));
}

/* Without ->access() in the driver there is no other way than by a page. */
TEST_F(special, proc_mem)
{
	struct mapping *m = &self->m;
	int fd = open("/proc/self/mem", O_RDWR), err;
	char buf[16] = "";

	ASSERT_GE(fd, 0);
	err = pread(fd, buf, sizeof(buf), (off_t)inside(m)) < 0 ? errno : 0;
	if (err == EIO)
		err = pwrite(fd, buf, sizeof(buf), (off_t)inside(m)) < 0 ? errno : 0;
	close(fd);
	report(_metadata, m, touch(m), err == EIO ? RIGHT : WRONG, "%s",
	       strerror(err));
}

TEST_F(special, vmsplice)
{
	struct mapping *m = &self->m;
	struct iovec iov = { inside(m), 16 };
	int fds[2], err;

	ASSERT_EQ(pipe(fds), 0);
	err = vmsplice(fds[1], &iov, 1, 0) < 0 ? errno : 0;
	close(fds[0]);
	close(fds[1]);
	report(_metadata, m, touch(m), err == EFAULT ? RIGHT : WRONG, "%s",
	       strerror(err));
}

/* Where is it? Nowhere (ENOENT). Move it! There is nothing to move (EFAULT). */
TEST_F(special, move_pages)
{
	struct mapping *m = &self->m;
	void *addr[2] = { inside(m), map_small(_metadata) };
	int status[2] = { 42, 42 }, moved[2] = { 42, 42 }, nodes[2] = { 0, 0 };

	if (syscall(__NR_move_pages, 0, 0, NULL, NULL, NULL, 0))
		SKIP(return, "no move_pages(): %s", strerror(errno));
	ASSERT_EQ(syscall(__NR_move_pages, 0, 2, addr, NULL, status, 0), 0);
	ASSERT_GE(status[1], 0);
	syscall(__NR_move_pages, 0, 2, addr, nodes, moved, MPOL_MF_MOVE_ALL);
	report(_metadata, m, touch(m),
	       status[0] == -ENOENT && moved[0] == -EFAULT ? RIGHT : WRONG,
	       "query: %d, move: %d", status[0], moved[0]);
}

TEST_F_TIMEOUT(special, ksm_merges_nothing, 120)
{
	struct mapping *m = &self->m;
	char *pages = mmap(NULL, 2 * KB4, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long nr;

	ASSERT_NE(pages, MAP_FAILED);
	if (access("/sys/kernel/mm/ksm/run", W_OK))
		SKIP(return, "no KSM");
	/* What it can merge are two pages of ours. */
	memset(pages, 42, 2 * KB4);
	ASSERT_EQ(madvise(pages, 2 * KB4, MADV_MERGEABLE), 0);
	EXPECT_EQ(madvise(m->addr, m->size, MADV_MERGEABLE), 0);
	EXPECT_EQ(ksm_start(), 0);
	nr = ksm_get_self_merging_pages();
	EXPECT_EQ(ksm_stop(), 0);
	report(_metadata, m, touch(m), nr == 2 ? RIGHT : WRONG, "%ld pages", nr);
}

/*
 * A probe is an instruction in a page, and the file of a device has none. To
 * set one in another mapping of ours, to see that probes can be set.
 */
static int open_uprobe(const char *path, int type)
{
	struct perf_event_attr attr = {
		.type = type,
		.size = sizeof(attr),
		.uprobe_path = (unsigned long)path,
		.disabled = 1,
	};
	int fd = syscall(__NR_perf_event_open, &attr, 0, -1, -1, 0);

	return fd < 0 ? -errno : fd;
}

TEST_F(special, uprobe)
{
	const char *pmu = "/sys/bus/event_source/devices/uprobe/type";
	struct mapping *m = &self->m;
	int type = -1, control, fd;
	char line[512], path[64] = "";
	FILE *f = fopen(pmu, "r");

	if (!f || fscanf(f, "%d", &type) != 1)
		SKIP(return, "no uprobes in perf");
	fclose(f);
	control = open_uprobe("/proc/self/exe", type);
	if (control < 0)
		SKIP(return, "no uprobe to be had: %s", strerror(-control));
	close(control);

	/* The file of the mapping */
	f = fopen("/proc/self/maps", "r");
	ASSERT_NE(f, NULL);
	while (!path[0] && fgets(line, sizeof(line), f)) {
		unsigned long start, end;

		if (sscanf(line, "%lx-%lx", &start, &end) == 2 &&
		    start == (unsigned long)m->addr)
			snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx",
				 start, end);
	}
	fclose(f);
	ASSERT_NE(path[0], 0);
	fd = open_uprobe(path, type);
	report(_metadata, m, touch(m),
	       fd == -EINVAL || fd == -EIO ? RIGHT : WRONG, "%s",
	       strerror(fd < 0 ? -fd : 0));
}

/*
 * KSM looks for the next page to merge, and for pages that it has merged: in
 * each of a few page tables.
 */

#define KSM_TABLES	4
#define KSM_PAGES	8		/* in a table */

FIXTURE(ksm)
{
	char *addr;
	int fd;
};

FIXTURE_SETUP(ksm)
{
	if (psize() != KB4)
		SKIP(return, "sizes are those of 4 KiB pages");
	if (access("/sys/kernel/mm/ksm/run", W_OK))
		SKIP(return, "no KSM");
	self->fd = open("/proc/self/pagemap", O_RDONLY);
	ASSERT_GE(self->fd, 0);
	self->addr = reserve(KSM_TABLES * MB2, 0);
	ASSERT_NE(self->addr, NULL);
	ASSERT_EQ(mprotect(self->addr, KSM_TABLES * MB2, PROT_READ | PROT_WRITE), 0);
	madvise(self->addr, KSM_TABLES * MB2, MADV_NOHUGEPAGE);
}

FIXTURE_TEARDOWN(ksm)
{
	ksm_stop();
	close(self->fd);
}

static char *ksm_page(char *addr, int i)
{
	return addr + i / KSM_PAGES * MB2 + (i % KSM_PAGES + 5) * psize();
}

/* How many have the page frame of the first? */
static int ksm_nr_merged(char *addr, int fd)
{
	unsigned long first = pagemap_get_pfn(fd, addr + 5 * psize());
	int nr = 0;

	for (int i = 0; i < KSM_TABLES * KSM_PAGES; i++)
		nr += pagemap_get_pfn(fd, ksm_page(addr, i)) == first;
	return nr;
}

static void ksm_merge(struct __test_metadata *_metadata, char *addr)
{
	for (int i = 0; i < KSM_TABLES * KSM_PAGES; i++)
		memset(ksm_page(addr, i), 0x5a, psize());
	ASSERT_EQ(madvise(addr, KSM_TABLES * MB2, MADV_MERGEABLE), 0);
	ASSERT_EQ(ksm_start(), 0);
}

TEST_F_TIMEOUT(ksm, merges_all, 120)
{
	ksm_merge(_metadata, self->addr);
	EXPECT_EQ(ksm_nr_merged(self->addr, self->fd), KSM_TABLES * KSM_PAGES);
}

TEST_F_TIMEOUT(ksm, unmerges_all, 120)
{
	unsigned long pfn;
	int nr = 0;

	ksm_merge(_metadata, self->addr);
	pfn = pagemap_get_pfn(self->fd, ksm_page(self->addr, 0));
	if (ksm_nr_merged(self->addr, self->fd) != KSM_TABLES * KSM_PAGES)
		SKIP(return, "KSM has not merged the pages");
	ASSERT_EQ(madvise(self->addr, KSM_TABLES * MB2, MADV_UNMERGEABLE), 0);
	for (int i = 0; i < KSM_TABLES * KSM_PAGES; i++) {
		nr += pagemap_get_pfn(self->fd, ksm_page(self->addr, i)) == pfn;
		EXPECT_EQ(*ksm_page(self->addr, i), 0x5a);
	}
	EXPECT_EQ(nr, 0);
}

/*
 * A poisoned page of a THP that cannot be split, for somebody has a reference,
 * stays mapped. When that page is met again, the process that maps it has to
 * be told where.
 */

#define UNPOISON	"/sys/kernel/debug/hwpoison/unpoison-pfn"

FIXTURE(hwpoison)
{
	struct mapping m;
};

FIXTURE_VARIANT(hwpoison)
{
	struct mapping m;
};

FIXTURE_VARIANT_ADD(hwpoison, thp)
{
	.m = { "thp", THP, MB2, 2 },
};

FIXTURE_VARIANT_ADD(hwpoison, thp_pte)
{
	.m = { "thp_pte", THP_PTE, KB4, 1024 },
};

FIXTURE_SETUP(hwpoison)
{
	self->m = variant->m;
	map_leaves(_metadata, &self->m);
}

FIXTURE_TEARDOWN(hwpoison)
{
}

static volatile siginfo_t sigbus_info;
static volatile int nr_sigbus;

static void sigbus_handler(int sig, siginfo_t *info, void *context)
{
	sigbus_info = *info;
	nr_sigbus++;
}

TEST_F(hwpoison, met_again)
{
	struct sigaction action = {
		.sa_sigaction = sigbus_handler,
		.sa_flags = SA_SIGINFO,
	};
	/* Not the first page that is mapped, nor of a THP, nor of a table. */
	char *addr = self->m.addr + MB2 + 77 * psize();
	struct iovec iov = { addr + 3 * psize(), 1 };
	unsigned long pfn;
	int fd, pipefd[2], err;

	if (geteuid())
		SKIP(return, "not for us");
	if (access(UNPOISON, W_OK) && !devices_allowed())
		SKIP(return, "no %s: it would need a reboot", UNPOISON);
	fd = open("/proc/self/pagemap", O_RDONLY);
	ASSERT_GE(fd, 0);
	pfn = pagemap_get_pfn(fd, addr);
	ASSERT_EQ(pipe(pipefd), 0);
	ASSERT_EQ(vmsplice(pipefd[1], &iov, 1, 0), 1);
	ASSERT_EQ(sigaction(SIGBUS, &action, NULL), 0);

	ASSERT_EQ(madvise(addr, psize(), MADV_HWPOISON), -1);
	err = errno;
	if (err == EINVAL)
		SKIP(return, "no MADV_HWPOISON");
	EXPECT_EQ(err, EHWPOISON);
	EXPECT_EQ(nr_sigbus, 1);
	if (pagemap_get_pfn(fd, addr) == pfn) {
		nr_sigbus = 0;
		EXPECT_EQ(madvise(addr, psize(), MADV_HWPOISON), -1);
		EXPECT_EQ(errno, EHWPOISON);
		EXPECT_EQ(nr_sigbus, 1);
		EXPECT_EQ(sigbus_info.si_code, BUS_MCEERR_AR);
		EXPECT_EQ(sigbus_info.si_addr, addr);
		EXPECT_EQ(sigbus_info.si_addr_lsb, __builtin_ctzl(psize()));
	} else {
		ksft_print_msg("the THP was split\n");
		_metadata->exit_code = KSFT_SKIP;
	}

	/* A THP with it can be had again. If it stays poisoned, keep it. */
	if (access(UNPOISON, W_OK) && !fork()) {
		setsid();
		for (fd = 0; fd < 3; fd++)
			close(fd);
		for (;;)
			pause();
	}
	close(pipefd[0]);
	close(pipefd[1]);
	close(fd);
	munmap(self->m.addr, self->m.size);
	unpoison_memory(pfn);
}

/*
 * MGLRU: make it look, page table by page table, at what was accessed.
 */

#define LRU_GEN		"/sys/kernel/debug/lru_gen"
#define LRU_GEN_ENABLED	"/sys/kernel/mm/lru_gen/enabled"

struct lru_gen_node {
	unsigned int nid;
	unsigned long max_seq;
	unsigned long anon[64];			/* by the age in generations */
};

/* What there is of the cgroup that this process belongs to. */
static int read_lru_gen(struct lru_gen_node *nodes, int nr, unsigned long *memcg)
{
	char line[PATH_MAX], own[PATH_MAX] = "", path[PATH_MAX];
	unsigned long seq, age, anon;
	int n = 0, n_fields;
	bool ours = false;
	FILE *f;

	f = fopen("/proc/self/cgroup", "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "0::%s", own) == 1)
			break;
	}
	if (f)
		fclose(f);

	f = fopen(LRU_GEN, "r");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "memcg ", 6)) {
			/* Without the memory controller there is one only. */
			n_fields = sscanf(line, "memcg %lu %s", &seq, path);
			ours = n_fields == 1 || (n_fields == 2 && !strcmp(path, own));
			if (ours)
				*memcg = seq;
		} else if (ours && n < nr && sscanf(line, " node %u", &nodes[n].nid) == 1) {
			memset(nodes[n].anon, 0, sizeof(nodes[n].anon));
			n++;
		} else if (ours && n && sscanf(line, "%lu %lu %lu", &seq, &age, &anon) == 3) {
			struct lru_gen_node *node = &nodes[n - 1];

			memmove(node->anon + 1, node->anon,
				sizeof(node->anon) - sizeof(*node->anon));
			node->anon[0] = anon;
			node->max_seq = seq;
		}
	}
	fclose(f);
	return n;
}

FIXTURE(mglru)
{
	struct mapping m;
	unsigned long enabled;
};

static bool mglru_caps(unsigned long *caps)
{
	FILE *f = fopen(LRU_GEN_ENABLED, "r");
	bool ok = f && fscanf(f, "%lx", caps) == 1;

	if (f)
		fclose(f);
	return ok;
}

FIXTURE_SETUP(mglru)
{
	struct mapping small = { "small", SMALL, KB4, 4096 };

	if (!mglru_caps(&self->enabled))
		SKIP(return, "no MGLRU");
	if (access(LRU_GEN, W_OK))
		SKIP(return, "no %s", LRU_GEN);
	self->m = small;
	map_leaves(_metadata, &self->m);
	if (_metadata->exit_code != KSFT_SKIP)
		ASSERT_EQ(write_string(LRU_GEN_ENABLED, "y"), 0);
}

FIXTURE_TEARDOWN(mglru)
{
	char enabled[32];

	snprintf(enabled, sizeof(enabled), "0x%lx", self->enabled);
	write_string(LRU_GEN_ENABLED, enabled);
}

/* A CPU only says that it has used a page if its TLB does not have it. */
static bool flush_tlb(struct mapping *m)
{
	return !mprotect(m->addr, m->size, PROT_READ) &&
	       !mprotect(m->addr, m->size, PROT_READ | PROT_WRITE);
}

/* Have all nodes aged; their number, with the state afterwards. */
static int lru_gen_age(struct lru_gen_node *nodes, int nr)
{
	unsigned long memcg = 0;
	char command[64];
	int n;

	n = read_lru_gen(nodes, nr, &memcg);
	for (int i = 0; i < n; i++) {
		snprintf(command, sizeof(command), "+ %lu %u %lu 200",
			 memcg, nodes[i].nid, nodes[i].max_seq);
		if (write_string(LRU_GEN, command))
			return -1;
	}
	return read_lru_gen(nodes, nr, &memcg);
}

/*
 * Pages that were accessed between two of them get into the youngest generation
 * that there was before, at the second time at the latest.
 */
TEST_F(mglru, aging)
{
	struct mapping *m = &self->m;
	struct lru_gen_node nodes[16];
	unsigned long anon = 0, before = 0, caps = 0;
	int n;

	if (!mglru_caps(&caps) || !(caps & 2))
		SKIP(return, "MGLRU does not walk page tables here");
	for (int round = 0; round < 4; round++) {
		ASSERT_TRUE(flush_tlb(m));
		if (round != 3)
			ASSERT_TRUE(intact(m));
		n = lru_gen_age(nodes, ARRAY_SIZE(nodes));
		ASSERT_GT(n, 0);
		before = anon;
		anon = 0;
		for (int i = 0; i < n; i++)
			anon += nodes[i].anon[1];
	}
	/* But for those that are still in batches; none in the last round. */
	EXPECT_GE(before, m->nr - m->nr / 4);
	EXPECT_LT(anon, before);
}

/*
 * Swap, to a zram device of our own.
 */

FIXTURE(swap)
{
	unsigned long id;
	char dev[32];
};

static int make_swap(const char *dev, size_t size)
{
	struct {
		char boot[1024];
		__u32 version;
		__u32 last_page;
	} header = { .version = 1, .last_page = size / psize() - 1 };
	static const char magic[10] = "SWAPSPACE2";
	int fd = open(dev, O_WRONLY), ret;

	if (fd < 0)
		return -1;
	ret = pwrite(fd, &header, sizeof(header), 0) != sizeof(header) ||
	      pwrite(fd, magic, sizeof(magic), psize() - sizeof(magic)) != sizeof(magic);
	return close(fd) || ret ? -1 : 0;
}

static void remove_zram(unsigned long id)
{
	char path[64], value[32];

	snprintf(path, sizeof(path), "/sys/block/zram%lu/reset", id);
	write_string(path, "1");
	snprintf(value, sizeof(value), "%lu", id);
	write_string("/sys/class/zram-control/hot_remove", value);
}

FIXTURE_SETUP(swap)
{
	size_t size = 16 * MB2;
	char path[64], value[32];
	int err;

	if (read_sysfs("/sys/class/zram-control/hot_add", &self->id))
		SKIP(return, "no zram, or not for us");
	snprintf(self->dev, sizeof(self->dev), "/dev/zram%lu", self->id);
	snprintf(path, sizeof(path), "/sys/block/zram%lu/disksize", self->id);
	snprintf(value, sizeof(value), "%zu", size);
	if (write_string(path, value) || make_swap(self->dev, size) ||
	    swapon(self->dev, 0)) {
		err = errno;
		remove_zram(self->id);
		/* A setup that skips is not followed by a teardown. */
		SKIP(return, "cannot swap to %s: %s", self->dev, strerror(err));
	}
}

FIXTURE_TEARDOWN(swap)
{
	swapoff(self->dev);
	remove_zram(self->id);
}

/* A file in a tmpfs of huge pages that is mounted nowhere. */
static int open_huge_tmpfs(void)
{
	int fs = syscall(__NR_fsopen, "tmpfs", 0), mnt, fd = -1;

	if (fs < 0)
		return -1;
	if (syscall(__NR_fsconfig, fs, FSCONFIG_SET_STRING, "huge", "always", 0) ||
	    syscall(__NR_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0)) {
		close(fs);
		return -1;
	}
	mnt = syscall(__NR_fsmount, fs, 0, 0);
	if (mnt >= 0) {
		fd = openat(mnt, "file", O_RDWR | O_CREAT, 0600);
		close(mnt);
	}
	close(fs);
	return fd;
}

/* What smaps says is in swap of the mapping that begins at @addr. */
static long swap_kb(const char *addr)
{
	uintptr_t start, end;
	bool ours = false;
	char line[512];
	long kb = -1;
	FILE *f;

	f = fopen("/proc/self/smaps", "r");
	if (!f)
		return -1;
	while (kb < 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			ours = start == (uintptr_t)addr;
		else if (ours)
			sscanf(line, "Swap: %ld", &kb);
	}
	fclose(f);
	return kb;
}

/* What is in swap of a huge page of shmem is one large entry. */
TEST_F(swap, smaps_huge_shmem)
{
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_FIXED;
	const char *swpout =
		"/sys/kernel/mm/transparent_hugepage/hugepages-2048kB/stats/swpout";
	const long huge_kb = MB2 / 1024, page_kb = KB4 / 1024;
	char *shared, *part, *private;
	unsigned long before, after;
	int fd;

	if (psize() != KB4)
		SKIP(return, "sizes are those of 4 KiB pages");
	fd = open_huge_tmpfs();
	if (fd < 0 || ftruncate(fd, MB2))
		SKIP(return, "no tmpfs with huge pages: %s", strerror(errno));

	shared = reserve(MB2, 0);
	part = reserve(MB2, 0);
	private = reserve(MB2, 0);
	ASSERT_TRUE(shared && part && private);
	ASSERT_EQ(mmap(shared, MB2, prot, flags, fd, 0), shared);
	ASSERT_EQ(mmap(part, MB2 / 2, prot, flags, fd, 11 * KB4), part);
	ASSERT_EQ(mmap(private, MB2, prot, MAP_PRIVATE | MAP_FIXED, fd, 0), private);

	memset(shared, 1, MB2);
	if (!check_huge_shmem(shared, MB2, 1, MB2))
		SKIP(return, "no huge page in tmpfs");
	/* A page of our own, and an empty entry for each of the others. */
	private[0] = 2;
	if (read_sysfs(swpout, &before))
		SKIP(return, "no statistics of huge pages");
	ASSERT_EQ(madvise(shared, MB2, MADV_PAGEOUT), 0);
	if (swap_kb(shared) != huge_kb)
		SKIP(return, "%ld kB of a huge page go to swap", swap_kb(shared));
	if (read_sysfs(swpout, &after) || after == before)
		SKIP(return, "the huge page goes to swap in pieces");

	EXPECT_EQ(swap_kb(part), huge_kb / 2);
	EXPECT_EQ(swap_kb(private), huge_kb - page_kb);
	close(fd);
}

/* In a private mapping smaps looks for it where nothing is mapped. */
TEST_F(swap, smaps_shmem_holes)
{
	const int prot = PROT_READ | PROT_WRITE;
	const size_t size = 2 * MB2, page = psize();
	const long size_kb = size / 1024;
	char *shared, *private;
	long own_kb = 0;
	cpu_set_t cpu;
	int fd;

	/* MADV_PAGEOUT misses what another CPU is about to put on an LRU list. */
	CPU_ZERO(&cpu);
	CPU_SET(sched_getcpu(), &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu);

	fd = memfd_create("pagewalk", 0);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(ftruncate(fd, size), 0);
	shared = reserve(size, 0);
	private = reserve(size, 0);
	ASSERT_TRUE(shared && private);
	ASSERT_EQ(mmap(shared, size, prot, MAP_SHARED | MAP_FIXED, fd, 0), shared);
	ASSERT_EQ(mmap(private, size, prot, MAP_PRIVATE | MAP_FIXED, fd, 0), private);
	memset(shared, 1, size);

	/* Many runs of one or more empty entries, each behind a page of our own */
	for (size_t i = 0, step = 2; i < size / page; i += step, step = 2 + i % 3) {
		private[i * page] = 2;
		own_kb += page / 1024;
	}
	for (int i = 0; i < 10 && swap_kb(shared) != size_kb; i++)
		ASSERT_EQ(madvise(shared, size, MADV_PAGEOUT), 0);
	if (swap_kb(shared) != size_kb)
		SKIP(return, "%ld kB of shmem go to swap", swap_kb(shared));

	EXPECT_EQ(swap_kb(private), size_kb - own_kb);
	close(fd);
}

/*
 * Memory that is on a device, where the CPU cannot read it: test_hmm has such
 * devices. Who looks must not bring it back, and must not miss a write.
 */

FIXTURE(hmm)
{
	struct mapping m;
	int fd;
};

FIXTURE_VARIANT(hmm)
{
	struct mapping m;
};

FIXTURE_VARIANT_ADD(hmm, thp)
{
	.m = { "thp", THP, MB2, 1 },
};

FIXTURE_VARIANT_ADD(hmm, small)
{
	.m = { "small", SMALL, KB4, 16 },
};

FIXTURE_SETUP(hmm)
{
	self->fd = open("/dev/hmm_dmirror0", O_RDWR);
	if (self->fd < 0)
		SKIP(return, "no /dev/hmm_dmirror0 (CONFIG_TEST_HMM)");
	self->m = variant->m;
	map_leaves(_metadata, &self->m);
}

FIXTURE_TEARDOWN(hmm)
{
	close(self->fd);
}

/* How does the device see the page at @addr? */
static int hmm_snapshot(const char *addr, int fd)
{
	unsigned char prot;
	struct hmm_dmirror_cmd cmd = {
		.addr = (uintptr_t)addr,
		.ptr = (uintptr_t)&prot,
		.npages = 1,
	};

	return ioctl(fd, HMM_DMIRROR_SNAPSHOT, &cmd) ? -1 : prot;
}

/* Have @m on the device, or skip. */
static bool migrate_to_device(struct __test_metadata *_metadata,
			      const struct mapping *m, int fd)
{
	int prot = HMM_DMIRROR_PROT_DEV_PRIVATE_LOCAL | HMM_DMIRROR_PROT_WRITE |
		   (m->leaf == MB2 ? HMM_DMIRROR_PROT_PMD : 0);
	struct hmm_dmirror_cmd cmd = {
		.addr = (uintptr_t)m->addr,
		.npages = nr_pages(m),
	};
	char *buffer = malloc(m->size);

	ASSERT_NE(buffer, NULL);
	cmd.ptr = (uintptr_t)buffer;
	ASSERT_EQ(ioctl(fd, HMM_DMIRROR_MIGRATE_TO_DEV, &cmd), 0);
	free(buffer);
	if (hmm_snapshot(m->addr, fd) != prot)
		SKIP(return false, "the device did not take it");
	return true;
}

/* It is a device's, but private and never written. */
TEST_F(hmm, smaps)
{
	static const char * const clean[] = { "Private_Clean:" };
	static const char * const other[] = {
		"Shared_Clean:", "Shared_Dirty:", "Private_Dirty:",
	};
	struct mapping *m = &self->m;

	ASSERT_EQ(madvise(m->addr, m->size, MADV_DONTNEED), 0);
	if (!migrate_to_device(_metadata, m, self->fd))
		return;
	EXPECT_EQ(smaps_fields_kb(m, "/proc/self/smaps", clean, 1),
		  m->size >> 10);
	EXPECT_EQ(smaps_fields_kb(m, "/proc/self/smaps", other, 3), 0);
}

TEST_F(hmm, pagemap_scan_wp)
{
	struct mapping *m = &self->m;
	struct page_region vec[2];
	int uffd;
	long n;

	uffd = track_writes(_metadata, m);
	if (uffd < 0 || !migrate_to_device(_metadata, m, self->fd))
		return;
	n = pagemap_scan(m, vec, ARRAY_SIZE(vec), SCAN_WP, PAGE_IS_WRITTEN);
	EXPECT_EQ(scanned(vec, n, m->addr, m->addr + m->size), nr_pages(m));
	EXPECT_EQ(pagemap_scan(m, vec, ARRAY_SIZE(vec), 0, PAGE_IS_WRITTEN), 0);

	/* A read brings it back. */
	FORCE_READ(m->addr[0]);
	EXPECT_EQ(pagemap_scan(m, vec, ARRAY_SIZE(vec), 0, PAGE_IS_WRITTEN), 0);

	m->addr[0]++;
	n = pagemap_scan(m, vec, ARRAY_SIZE(vec), 0, PAGE_IS_WRITTEN);
	EXPECT_GE(scanned(vec, n, m->addr, m->addr + m->size), 1);
	close(uffd);
}

TEST_F(hmm, soft_dirty)
{
	struct mapping *m = &self->m;
	int fd;

	if (!softdirty_supported())
		SKIP(return, "no soft-dirty bits");
	if (!migrate_to_device(_metadata, m, self->fd))
		return;
	fd = open("/proc/self/pagemap", O_RDONLY);
	ASSERT_GE(fd, 0);
	EXPECT_TRUE(pagemap_is_softdirty(fd, m->addr));
	clear_softdirty();
	EXPECT_FALSE(pagemap_is_softdirty(fd, m->addr));

	/* A read brings it back. */
	FORCE_READ(m->addr[0]);
	EXPECT_FALSE(pagemap_is_softdirty(fd, m->addr));

	m->addr[0]++;
	EXPECT_TRUE(pagemap_is_softdirty(fd, m->addr));
	close(fd);
}

/*
 * Four pages of hugetlb: an empty entry and one that is not, then, from the
 * next 1 GiB on, nothing at all.
 */

FIXTURE(hugetlb_holes)
{
	struct mapping m;
};

FIXTURE_SETUP(hugetlb_holes)
{
	struct mapping *m = &self->m;
	char *p;

	*m = (struct mapping){
		.name = "hugetlb_holes",
		.backing = HUGETLB,
		.leaf = MB2,
		.nr = 4,
		.size = 4 * MB2,
		.phase = GB1 - 2 * MB2,
	};
	if (hugetlb_fds[0] < 0)
		SKIP(return, "no hugetlb pages of 2 MiB");
#ifndef __x86_64__
	SKIP(return, "other tables than those of x86-64");
#endif

	/* The file has pages, and in each page something else in each 4 KiB. */
	p = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED,
		 hugetlb_fds[0], 0);
	if (p == MAP_FAILED)
		SKIP(return, "no hugetlb pages of 2 MiB: %s", strerror(errno));
	for (size_t off = 0; off < m->size; off += KB4)
		*(unsigned long *)(p + off) = off + 1;
	munmap(p, m->size);

	/* Nothing else may have a table there. */
	m->addr = reserve(m->size + GB1, m->phase);
	ASSERT_NE(m->addr, NULL);
	p = mmap(m->addr, m->size, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, hugetlb_fds[0], 0);
	ASSERT_NE(p, MAP_FAILED);
	/* Beside the content */
	m->addr[MB2 + sizeof(long)] = 1;
}

FIXTURE_TEARDOWN(hugetlb_holes)
{
}

/* Scan pages @from to @to, and see which categories of @mask they have. */
static long scan_categories(const struct mapping *m, unsigned long from,
			    unsigned long to, __u64 flags, __u64 mask,
			    struct page_region *vec, unsigned int nr)
{
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = flags,
		.start = (uintptr_t)m->addr + from * KB4,
		.end = (uintptr_t)m->addr + to * KB4,
		.vec = (uintptr_t)vec,
		.vec_len = nr,
		.return_mask = mask,
	};

	return pagemap_scan_arg(&arg);
}

static bool is_region(const struct mapping *m, const struct page_region *region,
		      unsigned long from, unsigned long to, __u64 categories)
{
	return region->start == (uintptr_t)m->addr + from * KB4 &&
	       region->end == (uintptr_t)m->addr + to * KB4 &&
	       region->categories == categories;
}

#define HUGE_PAGES	(MB2 / KB4)

TEST_F(hugetlb_holes, pagemap_scan)
{
	const __u64 huge = PAGE_IS_HUGE, mapped = PAGE_IS_HUGE | PAGE_IS_PRESENT;
	struct mapping *m = &self->m;
	struct page_region vec[8];
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = (uintptr_t)m->addr,
		.end = (uintptr_t)m->addr + m->size,
		.vec = (uintptr_t)vec,
		.vec_len = ARRAY_SIZE(vec),
		.max_pages = 2 * HUGE_PAGES + 3,
		.return_mask = mapped,
	};
	long n;

	n = scan_categories(m, 1, 4 * HUGE_PAGES - 1, 0, mapped, vec,
			    ARRAY_SIZE(vec));
	if (n < 0 && errno == ENOTTY)
		SKIP(return, "no PAGEMAP_SCAN");
	ASSERT_EQ(n, 3);
	EXPECT_TRUE(is_region(m, &vec[0], 1, HUGE_PAGES, huge));
	EXPECT_TRUE(is_region(m, &vec[1], HUGE_PAGES, 2 * HUGE_PAGES, mapped));
	EXPECT_TRUE(is_region(m, &vec[2], 2 * HUGE_PAGES, 4 * HUGE_PAGES - 1, 0));

	/* Within a hole, and with the last region, it is full. */
	ASSERT_EQ(pagemap_scan_arg(&arg), 3);
	EXPECT_TRUE(is_region(m, &vec[2], 2 * HUGE_PAGES, 2 * HUGE_PAGES + 3, 0));
	EXPECT_EQ(arg.walk_end, vec[2].end);
	arg.vec_len = 2;
	arg.max_pages = 0;
	ASSERT_EQ(pagemap_scan_arg(&arg), 2);
	EXPECT_TRUE(is_region(m, &vec[0], 0, HUGE_PAGES, huge));
	EXPECT_EQ(arg.walk_end, vec[1].end);
}

/* Of what is not there, it is where there is no table that gets protected. */
TEST_F(hugetlb_holes, pagemap_scan_wp)
{
	const __u64 huge = PAGE_IS_HUGE, mapped = PAGE_IS_HUGE | PAGE_IS_PRESENT;
	const __u64 mask = mapped | PAGE_IS_WRITTEN | PAGE_IS_SWAPPED;
	struct mapping *m = &self->m;
	char *third = m->addr + 2 * MB2;
	struct page_region vec[8];
	int uffd;

	uffd = track_writes(_metadata, m);
	if (uffd < 0)
		return;

	/*
	 * That is how it is, not how it has to be. So is that a part of a page
	 * that is missing is all of it.
	 */
	ASSERT_EQ(scan_categories(m, 0, 3 * HUGE_PAGES - 1, SCAN_WP, mask, vec,
				  ARRAY_SIZE(vec)), 3);
	EXPECT_TRUE(is_region(m, &vec[0], 0, HUGE_PAGES, huge));
	EXPECT_TRUE(is_region(m, &vec[1], HUGE_PAGES, 2 * HUGE_PAGES,
			      mapped | PAGE_IS_WRITTEN));
	EXPECT_TRUE(is_region(m, &vec[2], 2 * HUGE_PAGES, 3 * HUGE_PAGES - 1, 0));

	ASSERT_EQ(scan_categories(m, 0, 3 * HUGE_PAGES, 0, mask, vec,
				  ARRAY_SIZE(vec)), 3);
	EXPECT_TRUE(is_region(m, &vec[0], 0, HUGE_PAGES, huge));
	EXPECT_TRUE(is_region(m, &vec[1], HUGE_PAGES, 2 * HUGE_PAGES, mapped));
	EXPECT_TRUE(is_region(m, &vec[2], 2 * HUGE_PAGES, 3 * HUGE_PAGES,
			      huge | PAGE_IS_SWAPPED));

	FORCE_READ(*third);
	ASSERT_EQ(scan_categories(m, 2 * HUGE_PAGES, 3 * HUGE_PAGES, 0, mask,
				  vec, ARRAY_SIZE(vec)), 1);
	EXPECT_EQ(vec[0].categories, mapped);
	third[sizeof(long)] = 1;
	ASSERT_EQ(scan_categories(m, 2 * HUGE_PAGES, 3 * HUGE_PAGES, 0, mask,
				  vec, ARRAY_SIZE(vec)), 1);
	EXPECT_EQ(vec[0].categories, mapped | PAGE_IS_WRITTEN);
	close(uffd);
}

/* So many that it may take more than one go: none is passed over. */
TEST(pagemap_scan_wp_many)
{
	struct mapping m = {
		.name = "hugetlb_2m",
		.backing = HUGETLB,
		.leaf = MB2,
		.nr = 66,
		.size = 66 * MB2,
	};
	struct page_region vec[4];
	int fd, uffd;

	if (psize() != KB4)
		SKIP(return, "pages are not of 4 KiB");
	fd = open_hugetlb(MB2, m.nr);
	if (fd < 0)
		SKIP(return, "fewer than %u hugetlb pages of 2 MiB", m.nr);
	m.addr = mmap(NULL, m.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m.addr == MAP_FAILED)
		SKIP(return, "no hugetlb pages of 2 MiB: %s", strerror(errno));
	for (size_t off = 0; off < m.size; off += MB2)
		m.addr[off] = 1;
	uffd = track_writes(_metadata, &m);
	if (uffd < 0)
		return;

	ASSERT_EQ(scan_categories(&m, 0, nr_pages(&m), SCAN_WP, PAGE_IS_WRITTEN,
				  vec, ARRAY_SIZE(vec)), 1);
	EXPECT_TRUE(is_region(&m, &vec[0], 0, nr_pages(&m), PAGE_IS_WRITTEN));
	ASSERT_EQ(scan_categories(&m, 0, nr_pages(&m), SCAN_WP, PAGE_IS_WRITTEN,
				  vec, ARRAY_SIZE(vec)), 1);
	EXPECT_TRUE(is_region(&m, &vec[0], 0, nr_pages(&m), 0));

	m.addr[63 * MB2] = 2;
	m.addr[64 * MB2] = 2;
	ASSERT_EQ(scan_categories(&m, 0, nr_pages(&m), SCAN_WP, PAGE_IS_WRITTEN,
				  vec, ARRAY_SIZE(vec)), 3);
	EXPECT_TRUE(is_region(&m, &vec[0], 0, 63 * HUGE_PAGES, 0));
	EXPECT_TRUE(is_region(&m, &vec[1], 63 * HUGE_PAGES, 65 * HUGE_PAGES,
			      PAGE_IS_WRITTEN));
	EXPECT_TRUE(is_region(&m, &vec[2], 65 * HUGE_PAGES, 66 * HUGE_PAGES, 0));
	close(uffd);
	close(fd);
}

/* A device looks at it, then reads from all pages but the last one. */
TEST_F(hugetlb_holes, hmm)
{
	const int mapped = HMM_DMIRROR_PROT_PMD | HMM_DMIRROR_PROT_WRITE;
	struct mapping *m = &self->m;
	static char buffer[16 * KB4];
	struct hmm_dmirror_cmd cmd = {
		.ptr = (uintptr_t)buffer,
		.npages = ARRAY_SIZE(buffer) / KB4,
	};
	int fd;

	fd = open("/dev/hmm_dmirror0", O_RDWR);
	if (fd < 0)
		SKIP(return, "no /dev/hmm_dmirror0 (CONFIG_TEST_HMM)");
	EXPECT_EQ(hmm_snapshot(m->addr, fd), HMM_DMIRROR_PROT_NONE);
	EXPECT_EQ(hmm_snapshot(m->addr + MB2, fd), mapped);
	EXPECT_EQ(hmm_snapshot(m->addr + 2 * MB2 - KB4, fd), mapped);
	EXPECT_EQ(hmm_snapshot(m->addr + 2 * MB2, fd), HMM_DMIRROR_PROT_NONE);

	/* Across the boundaries of the second page */
	for (size_t at = MB2; at <= 2 * MB2; at += MB2) {
		size_t start = at - sizeof(buffer) / 2;

		memset(buffer, 0, sizeof(buffer));
		cmd.addr = (uintptr_t)m->addr + start;
		ASSERT_EQ(ioctl(fd, HMM_DMIRROR_READ, &cmd), 0);
		for (size_t off = 0; off < sizeof(buffer); off += KB4)
			EXPECT_EQ(*(unsigned long *)(buffer + off),
				  start + off + 1);
	}
	EXPECT_EQ(hmm_snapshot(m->addr, fd), mapped);
	EXPECT_EQ(hmm_snapshot(m->addr + 2 * MB2, fd), mapped);
	EXPECT_EQ(hmm_snapshot(m->addr + 3 * MB2, fd), HMM_DMIRROR_PROT_NONE);
	close(fd);
}

/*
 * A boundary of VMAs within a leaf, and moving leaves.  Where a driver does
 * not allow it the call fails with EINVAL and everything stays as it is.
 */

FIXTURE(boundary)
{
	struct mapping m;
};

FIXTURE_VARIANT(boundary)
{
	struct mapping m;
};

FIXTURE_VARIANT_ADD(boundary, vfio_1g)
{
	.m = { "vfio_1g", VFIO, GB1, 2 },
};

FIXTURE_VARIANT_ADD(boundary, dax_1g)
{
	.m = { "dax_1g", DAX, GB1, 2 },
};

FIXTURE_SETUP(boundary)
{
	self->m = variant->m;
	map_leaves(_metadata, &self->m);
}

FIXTURE_TEARDOWN(boundary)
{
}

/* What is left of a mapping after a call on [@off, @off + @len) of it. */
static void check_rest(struct __test_metadata *_metadata,
		       const struct mapping *m, int ret, size_t off, size_t len,
		       bool gone)
{
	char *start = m->addr + off, *end = start + len;
	int err = ret ? errno : 0;

	EXPECT_EQ(err, m->backing == DAX ? EINVAL : 0);
	gone &= !err;
	EXPECT_EQ(readable_at(start), !gone);
	EXPECT_EQ(readable_at(end - psize()), !gone);
	EXPECT_TRUE(readable(m->addr, start, MB2));
	EXPECT_TRUE(readable_at(start - psize()));
	EXPECT_TRUE(readable_at(end));
	EXPECT_TRUE(readable(end, m->addr + m->size, MB2));
	EXPECT_TRUE(intact(m));
}

/* Somewhere in the first leaf; aligned to 2 MiB, and no more. */
#define INSIDE	(33 * MB2)

TEST_F(boundary, munmap_4k)
{
	int ret = munmap(self->m.addr + INSIDE, KB4);

	check_rest(_metadata, &self->m, ret, INSIDE, KB4, true);
}

TEST_F(boundary, split_is_counted)
{
	if (splits_before.pud < 0)
		SKIP(return, "no thp_split_pud in /proc/vmstat");
	if (madvise(self->m.addr + INSIDE, MB2, MADV_RANDOM)) {
		EXPECT_EQ(errno, EINVAL);
		expect_no_splits(_metadata);
	} else {
		EXPECT_EQ(nr_splits().pud, splits_before.pud + 1);
	}
}

TEST_F(boundary, munmap_2m)
{
	int ret = munmap(self->m.addr + INSIDE, MB2);

	check_rest(_metadata, &self->m, ret, INSIDE, MB2, true);
}

TEST_F(boundary, mprotect_4k)
{
	int ret = mprotect(self->m.addr + INSIDE, KB4, PROT_READ);

	check_rest(_metadata, &self->m, ret, INSIDE, KB4, false);
}

TEST_F(boundary, mprotect_2m)
{
	int ret = mprotect(self->m.addr + INSIDE, MB2, PROT_READ);

	check_rest(_metadata, &self->m, ret, INSIDE, MB2, false);
}

TEST_F(boundary, madvise_4k)
{
	int ret = madvise(self->m.addr + INSIDE, KB4, MADV_RANDOM);

	check_rest(_metadata, &self->m, ret, INSIDE, KB4, false);
}

TEST_F(boundary, mbind_4k)
{
	int ret;

	if (no_numa())
		SKIP(return, "no NUMA");
	ret = mbind_all(self->m.addr + INSIDE, KB4, 0);
	check_rest(_metadata, &self->m, ret, INSIDE, KB4, false);
}

TEST_F(boundary, madvise_2m_then_smaps)
{
	struct mapping *m = &self->m;
	int ret = madvise(m->addr + INSIDE, MB2, MADV_RANDOM), err = errno;

	EXPECT_GE(smaps_kb(m, "/proc/self/smaps"), 0);
	errno = err;
	check_rest(_metadata, m, ret, INSIDE, MB2, false);
}

/*
 * A guard region has fork() copy page tables. The leaf of a file is not to be
 * among what is copied: a fault in the child brings it back.
 */
TEST_F(boundary, fork_guard)
{
	struct mapping *m = &self->m;
	int status = -1;
	pid_t pid;

	if (madvise(m->addr + m->leaf, psize(), MADV_GUARD_INSTALL)) {
		EXPECT_EQ(errno, EINVAL);
		if (m->backing == DAX)
			SKIP(return, "no MADV_GUARD_INSTALL");
		return;
	}
	EXPECT_NE(m->backing, VFIO);

	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		unsigned long faults;
		bool alive;

		/* Have the child's own pages copied first. */
		readable_at((char *)m);
		faults = nr_faults();
		faults = nr_faults();
		alive = readable_at(m->addr);
		_exit(!alive || nr_faults() == faults);
	}
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_TRUE(readable_at(m->addr));
}

/*
 * Move all of the mapping.  Nothing may be left behind, neither in page tables
 * nor in the TLB: what is read just before must be gone just after.
 */
static void move(struct __test_metadata *_metadata, struct mapping *m, char *to)
{
	char *from = m->addr;

	ASSERT_NE(to, NULL);
	for (unsigned int i = 0; i < m->nr; i++)
		FORCE_READ(from[i * m->leaf]);
	ASSERT_EQ(mremap(from, m->size, m->size, MREMAP_MAYMOVE | MREMAP_FIXED, to),
		  to);
	for (unsigned int i = 0; i < m->nr; i++)
		EXPECT_FALSE(readable_at(from + i * m->leaf));
	m->addr = to;
}

TEST_F(boundary, mremap_whole)
{
	struct mapping *m = &self->m;
	struct touched t;

	move(_metadata, m, reserve(m->size, m->phase));
	t = touch(m);
	EXPECT_EQ(t.lost, 0);
	EXPECT_FALSE(t.dead);
	if (!t.dead)
		EXPECT_TRUE(intact(m));
}

TEST_F(boundary, mremap_unaligned_dst)
{
	struct mapping *m = &self->m;

	move(_metadata, m, reserve(m->size, m->phase + MB2));
	/* Device-dax maps nothing at an address that is not aligned. */
	if (m->backing == VFIO)
		EXPECT_TRUE(readable(m->addr, m->addr + m->size, MB2));
}

/* Move what lies between the middles of two leaves. */
TEST_F(boundary, mremap_part)
{
	struct mapping *m = &self->m;
	char *to = reserve(m->size, m->phase), *moved;

	ASSERT_NE(to, NULL);
	to += GB1 / 2;
	FORCE_READ(m->addr[GB1 / 2]);
	FORCE_READ(m->addr[GB1 + GB1 / 2 - psize()]);
	moved = mremap(m->addr + GB1 / 2, GB1, GB1,
		       MREMAP_MAYMOVE | MREMAP_FIXED, to);
	check_rest(_metadata, m, moved == MAP_FAILED ? -1 : 0, GB1 / 2, GB1, true);
	if (moved != MAP_FAILED) {
		EXPECT_EQ(moved, to);
		EXPECT_TRUE(readable(to, to + GB1, MB2));
	}
}

/* Moved away from its userfaultfd, memory is no longer write-protected. */
TEST_F(boundary, mremap_uffd)
{
	struct mapping *m = &self->m;
	struct page_region vec;
	int uffd, fd;

	uffd = track_writes(_metadata, m);
	if (uffd < 0 || m->backing == VFIO)
		return;
	ASSERT_EQ(pagemap_scan(m, &vec, 1, SCAN_WP, PAGE_IS_WRITTEN), 1);
	fd = open("/proc/self/pagemap", O_RDONLY);
	ASSERT_GE(fd, 0);
	EXPECT_TRUE(pagemap_get_entry(fd, m->addr) & PM_UFFD_WP);
	move(_metadata, m, reserve(m->size, m->phase));
	EXPECT_FALSE(pagemap_get_entry(fd, m->addr) & PM_UFFD_WP);
	m->addr[sizeof(long)] = 1;
	EXPECT_TRUE(intact(m));
	close(fd);
	close(uffd);
}

/*
 * Readers while somebody changes page tables: a table goes away and another
 * one, or a leaf, takes its place, between one look of the reader and the next.
 * Every other 2 MiB are left alone, and half of them is mapped, by a pattern:
 * that is what the readers must tell of them, each page in its place.
 */

#define RACE_BLOCKS	7
#define RACE_PAGES	(RACE_BLOCKS * (MB2 / KB4))

enum change { DONTNEED, COLLAPSE, MOVE, FORK, SHMEM };

struct race {
	enum change change;
	char *addr;
	char *other;		/* the same file, or where to move to */
	int fd;			/* of the file */
	pthread_t thread;
	volatile bool stop;
	volatile unsigned long changes;
	unsigned long collapsed;
};

FIXTURE(race)
{
	struct race race;
};

FIXTURE_VARIANT(race)
{
	enum change change;
};

FIXTURE_VARIANT_ADD(race, dontneed)
{
	.change = DONTNEED,
};

FIXTURE_VARIANT_ADD(race, collapse)
{
	.change = COLLAPSE,
};

FIXTURE_VARIANT_ADD(race, mremap)
{
	.change = MOVE,
};

FIXTURE_VARIANT_ADD(race, fork)
{
	.change = FORK,
};

FIXTURE_VARIANT_ADD(race, shmem)
{
	.change = SHMEM,
};

/* What is there of a page? */
enum there { NOTHING, PAGE, CHANGING };

static enum there race_page(enum change change, unsigned long page)
{
	unsigned long block = page / (MB2 / KB4), rest = page % (MB2 / KB4);

	if (!(block & 1))
		return (page * 0x9e3779b1U) >> 31 ? PAGE : NOTHING;
	/* The rest of the huge page comes and goes. */
	if (change == COLLAPSE && rest < MB2 / KB4 / 2)
		return PAGE;
	return CHANGING;
}

/* Was this seen of a page that nobody touches, and is not so? */
static bool contradicts(enum there there, bool seen)
{
	return there == (seen ? NOTHING : PAGE);
}

/* The page cache has them all but for one, whether or not they are mapped. */
static enum there race_cached(enum change change, unsigned long page)
{
	if (change == SHMEM && (page / (MB2 / KB4) & 1) &&
	    page % (MB2 / KB4) != MB2 / KB4 - 1)
		return PAGE;
	return race_page(change, page);
}

/* Change one block, of what is at @p, in the way of the variant. */
static void race_change(struct race *r, unsigned int block)
{
	char *p = r->addr + block * MB2, *q = r->other + block * MB2;
	volatile char *last = q + MB2 - KB4;
	pid_t pid;

	switch (r->change) {
	case DONTNEED:
		/* One block in three has huge pages. */
		madvise(p, MB2, MADV_DONTNEED);
		p[KB4 * 9] = 1;
		break;
	case COLLAPSE:
		madvise(p + MB2 / 2, MB2 / 2, MADV_DONTNEED);
		p[MB2 / 2] = 1;
		r->collapsed += !madvise(p, MB2, MADV_COLLAPSE);
		/* A boundary of VMAs splits it. */
		mprotect(p, KB4, PROT_READ);
		mprotect(p, KB4, PROT_READ | PROT_WRITE);
		r->collapsed += !madvise(p, MB2, MADV_COLLAPSE);
		break;
	case MOVE:
		/* Away and back; what is left behind is empty, but mapped. */
		mremap(p, MB2, MB2, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, q);
		p[KB4 * 9] = 1;
		mremap(q, MB2, MB2, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, p);
		p[KB4 * 10] = 1;
		break;
	case FORK:
		pid = fork();
		if (!pid)
			_exit(0);
		p[KB4 * 9] = 1;
		madvise(p, MB2, MADV_DONTNEED);
		p[KB4 * 9] = 1;
		if (pid > 0)
			waitpid(pid, NULL, 0);
		break;
	case SHMEM:
		/* Collapsing it at @q takes away the table at @p. */
		fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  block * MB2 + MB2 - KB4, KB4);
		*last = 1;
		FORCE_READ(p[KB4 * 9]);
		r->collapsed += !madvise(q, MB2, MADV_COLLAPSE);
		FORCE_READ(p[KB4 * 9]);
		madvise(p, MB2, MADV_DONTNEED);
		FORCE_READ(p[KB4 * 9]);
		break;
	}
}

static void *race_thread(void *arg)
{
	struct race *r = arg;

	while (!r->stop) {
		for (unsigned int block = 1; block < RACE_BLOCKS; block += 2) {
			/* Huge pages take longer. */
			if (r->change == DONTNEED && block == 3 && r->changes % 16)
				continue;
			race_change(r, block);
			r->changes++;
		}
	}
	return NULL;
}

FIXTURE_SETUP(race)
{
	struct race *r = &self->race;
	const int prot = PROT_READ | PROT_WRITE;
	size_t size = RACE_BLOCKS * MB2;

	r->change = variant->change;
	if (psize() != KB4)
		SKIP(return, "sizes are those of 4 KiB pages");
	if (!thp_is_enabled() || read_pmd_pagesize() != MB2)
		SKIP(return, "no transparent huge pages of 2 MiB");
	r->addr = reserve(size, 0);
	r->other = reserve(size, 0);
	ASSERT_TRUE(r->addr && r->other);
	ASSERT_EQ(mprotect(r->addr, size, prot), 0);
	madvise(r->addr, size, MADV_NOHUGEPAGE);
	r->fd = -1;
	if (r->change == SHMEM) {
		r->fd = memfd_create("pagewalk", 0);
		ASSERT_GE(r->fd, 0);
		ASSERT_EQ(ftruncate(r->fd, size), 0);
		ASSERT_NE(mmap(r->other, size, prot, MAP_SHARED | MAP_FIXED,
			       r->fd, 0), MAP_FAILED);
	} else if (r->change == MOVE) {
		ASSERT_EQ(mprotect(r->other, size, prot), 0);
		madvise(r->other, size, MADV_NOHUGEPAGE);
	}

	for (unsigned int block = 1; block < RACE_BLOCKS; block += 2) {
		char *p = r->addr + block * MB2;

		if (r->change == SHMEM) {
			ASSERT_NE(mmap(p, MB2, prot, MAP_SHARED | MAP_FIXED,
				       r->fd, block * MB2), MAP_FAILED);
			memset(r->other + block * MB2, 1, MB2);
		} else if (r->change == COLLAPSE ||
			   (r->change == DONTNEED && block == 3)) {
			madvise(p, MB2, MADV_HUGEPAGE);
		}
	}
	for (unsigned long i = 0; i < RACE_PAGES; i++) {
		if (race_page(r->change, i) == PAGE)
			*(unsigned long *)(r->addr + i * KB4) = i + 1;
	}
	ASSERT_EQ(pthread_create(&r->thread, NULL, race_thread, r), 0);
}

FIXTURE_TEARDOWN(race)
{
}

typedef bool race_reader(struct race *r);

static unsigned long msecs(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000UL + now.tv_nsec / 1000000;
}

/*
 * Read for as long as PAGEWALK_RACE_MS in the environment says, and while both
 * sides have not had a few turns.
 */
static void race(struct __test_metadata *_metadata, struct race *r,
		 race_reader *reader)
{
	const char *ms = getenv("PAGEWALK_RACE_MS");
	unsigned long end = msecs() + (ms ? strtoul(ms, NULL, 10) : 150);
	unsigned long reads = 0, wrong = 0;

	while (msecs() < end || reads < 3 || r->changes < 3) {
		wrong += !reader(r);
		reads++;
	}
	r->stop = true;
	ASSERT_EQ(pthread_join(r->thread, NULL), 0);
	ksft_print_msg("%s: %lu of %lu reads wrong, %lu changes\n",
		       _metadata->name, wrong, reads, r->changes);
	EXPECT_EQ(wrong, 0);
	if (!r->collapsed && (r->change == COLLAPSE || r->change == SHMEM))
		SKIP(return, "MADV_COLLAPSE collapses nothing here");

	for (unsigned long i = 0; i < RACE_PAGES; i++) {
		if (race_page(r->change, i) == PAGE)
			wrong += *(unsigned long *)(r->addr + i * KB4) != i + 1;
	}
	EXPECT_EQ(wrong, 0);
}

static bool reader_pagemap(struct race *r)
{
	static __u64 entries[RACE_PAGES];
	int fd = open("/proc/self/pagemap", O_RDONLY);
	ssize_t n;

	n = pread(fd, entries, sizeof(entries),
		  (uintptr_t)r->addr / KB4 * sizeof(*entries));
	close(fd);
	for (unsigned long i = 0; i < RACE_PAGES; i++) {
		if (contradicts(race_page(r->change, i), PAGEMAP_PRESENT(entries[i])))
			return false;
	}
	return n == sizeof(entries);
}

static bool reader_pagemap_scan(struct race *r)
{
	static struct page_region vec[RACE_PAGES];
	const struct mapping m = {
		.addr = r->addr, .size = RACE_BLOCKS * MB2,
	};
	static bool present[RACE_PAGES];
	long n;

	n = pagemap_scan(&m, vec, ARRAY_SIZE(vec), 0, PAGE_IS_PRESENT);
	if (scanned(vec, n, m.addr, m.addr + m.size) < 0)
		return false;
	memset(present, 0, sizeof(present));
	for (long i = 0; i < n; i++) {
		for (__u64 p = vec[i].start; p < vec[i].end; p += KB4)
			present[(p - (uintptr_t)m.addr) / KB4] = true;
	}
	for (unsigned long i = 0; i < RACE_PAGES; i++) {
		if (contradicts(race_page(r->change, i), present[i]))
			return false;
	}
	return true;
}

/* Pages in [@start, @end) that must be mapped. */
static unsigned long race_nr_pages(struct race *r, uintptr_t start,
				   uintptr_t end)
{
	uintptr_t addr = (uintptr_t)r->addr;
	unsigned long nr = 0;

	for (unsigned long i = 0; i < RACE_PAGES; i++)
		nr += addr + i * KB4 >= start && addr + i * KB4 < end &&
		      race_page(r->change, i) == PAGE;
	return nr;
}

/* What there is between two boundaries of VMAs, which come and go. */
static bool reader_smaps(struct race *r)
{
	uintptr_t start, end, addr = (uintptr_t)r->addr, seen = addr;
	bool ours = false, right = true;
	char line[512];
	long kb;
	FILE *f;

	f = fopen("/proc/self/smaps", "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
			ours = start >= addr && end <= addr + RACE_BLOCKS * MB2;
			if (ours && start <= seen && end > seen)
				seen = end;
		} else if (ours && sscanf(line, "Rss: %ld", &kb) == 1) {
			right &= kb <= (long)((end - start) >> 10);
			right &= kb >= (long)race_nr_pages(r, start, end) * 4;
		}
	}
	if (f)
		fclose(f);
	return right && seen == addr + RACE_BLOCKS * MB2;
}

static bool reader_smaps_rollup(struct race *r)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	char line[512];
	long kb = 0;

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "Rss: %ld", &kb);
	if (f)
		fclose(f);
	return kb >= (long)race_nr_pages(r, 0, ULONG_MAX) * 4;
}

/* VMAs may be merged between one line and the next: at least this much. */
static bool reader_numa_maps(struct race *r)
{
	uintptr_t start, addr = (uintptr_t)r->addr;
	unsigned long pages, sum = 0;
	char line[1024], *token;
	FILE *f;

	f = fopen("/proc/self/numa_maps", "r");
	while (f && fgets(line, sizeof(line), f)) {
		start = strtoul(line, NULL, 16);
		if (start < addr || start >= addr + RACE_BLOCKS * MB2)
			continue;
		for (token = strtok(line, " "); token; token = strtok(NULL, " ")) {
			if (sscanf(token, "N%*u=%lu", &pages) == 1)
				sum += pages;
		}
	}
	if (f)
		fclose(f);
	return sum >= race_nr_pages(r, 0, ULONG_MAX);
}

static bool reader_mincore(struct race *r)
{
	static unsigned char vec[RACE_PAGES];
	static char junk[KB4];

	/*
	 * The kernel collects the bytes in a buffer of one page: have another
	 * one of that size filled, and freed again.
	 */
	memset(junk, 0xff, sizeof(junk));
	mount("none", "/proc/self/none", "none", 0, junk);

	if (mincore(r->addr, RACE_BLOCKS * MB2, vec))
		return false;
	for (unsigned long i = 0; i < RACE_PAGES; i++) {
		if (vec[i] > 1 || contradicts(race_cached(r->change, i), vec[i]))
			return false;
	}
	return true;
}

static bool reader_clear_refs(struct race *r)
{
	return !write_string("/proc/self/clear_refs", "1") &&
	       !write_string("/proc/self/clear_refs", "4");
}

static bool reader_madv_cold(struct race *r)
{
	return !madvise(r->addr, RACE_BLOCKS * MB2, MADV_COLD);
}

static bool reader_madv_willneed(struct race *r)
{
	return !madvise(r->addr, RACE_BLOCKS * MB2, MADV_WILLNEED);
}

static bool reader_mbind_strict(struct race *r)
{
	return !mbind_all(r->addr, RACE_BLOCKS * MB2, MPOL_MF_STRICT);
}

TEST_F(race, pagemap)
{
	race(_metadata, &self->race, reader_pagemap);
}

TEST_F(race, pagemap_scan)
{
	race(_metadata, &self->race, reader_pagemap_scan);
}

TEST_F(race, smaps)
{
	race(_metadata, &self->race, reader_smaps);
}

TEST_F(race, smaps_rollup)
{
	race(_metadata, &self->race, reader_smaps_rollup);
}

TEST_F(race, numa_maps)
{
	if (no_numa())
		SKIP(return, "no NUMA");
	race(_metadata, &self->race, reader_numa_maps);
}

TEST_F(race, mincore)
{
	race(_metadata, &self->race, reader_mincore);
}

TEST_F(race, clear_refs)
{
	race(_metadata, &self->race, reader_clear_refs);
}

TEST_F(race, madv_cold)
{
	race(_metadata, &self->race, reader_madv_cold);
}

TEST_F(race, madv_willneed)
{
	race(_metadata, &self->race, reader_madv_willneed);
}

TEST_F(race, mbind_strict)
{
	if (no_numa())
		SKIP(return, "no NUMA");
	race(_metadata, &self->race, reader_mbind_strict);
}

int main(int argc, char **argv)
{
	/*
	 * No rseq: the kernel writes to it when it likes, and after a fork or a
	 * clearing of soft-dirty bits that is a fault which nobody asked for.
	 */
	if (!getenv("GLIBC_TUNABLES")) {
		setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=0", 1);
		execv("/proc/self/exe", argv);
	}
	if (!geteuid())
		hugetlb_save_settings();
	hugetlb_fds[0] = open_hugetlb(MB2, 32);
	hugetlb_fds[1] = open_hugetlb(GB1, 1);
	return test_harness_run(argc, argv);
}
