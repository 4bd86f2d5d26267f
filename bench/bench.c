// SPDX-License-Identifier: GPL-2.0
/*
 * What a walk of page tables costs. Runs in a guest whose TSC counts
 * instructions (QEMU's icount), with /dev/pagewalk_bench of pagewalk_bench.c.
 *
 *   bench [mapping...] >FILE
 *
 * (a terminal would interrupt it) prints for each interface that can be applied to a mapping
 *
 *   cost INTERFACE MAPPING full|half ENTRIES INSTRUCTIONS
 *   paid INTERFACE MAPPING ENTRIES REFAULTS NOTIFIED FLUSHED
 *   scale INTERFACE dense|sparse BYTES ENTRIES INSTRUCTIONS
 *
 * and "none INTERFACE MAPPING ERRNO" for one that cannot. The difference of
 * full and half is what the entries cost, without what any call costs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <asm-generic/mman.h>
#include <linux/fs.h>
#include <linux/memfd.h>
#include <linux/mempolicy.h>
#include <linux/userfaultfd.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "bench.h"

#define RUNS	3
#define KB	(1UL << 10)
#define MB	(1UL << 20)
#define GB	(1UL << 30)
#define DENSE	(64 * GB)

#define SYS	"/sys/kernel/mm/"
#define THP	SYS "transparent_hugepage/"
#define KSM	SYS "ksm/"
#define DAMON	SYS "damon/admin/kdamonds/"

/* One each, as a set. */
enum {
	ANON4K = 1, MTHP64K = 2, PTETHP = 4, SHMEM = 8, THP2M = 16, HUGE2M = 32,
	HUGE1G = 64, VFIO4K = 128, VFIO2M = 256, VFIO1G = 512, DAX1G = 1024,
	SPARSE = 2048, KERNEL = 4096, SCALE = 8192,
	ANON = ANON4K | MTHP64K | PTETHP | THP2M | SPARSE,
	HUGETLB = HUGE2M | HUGE1G,
	VFIO = VFIO4K | VFIO2M | VFIO1G,
	PTES = ANON4K | MTHP64K | PTETHP | SHMEM | VFIO4K | SPARSE,
	ALL = KERNEL - 1,
};

static const struct mapping {
	unsigned int id;
	const char *name;
	size_t leaf, stride, nr;	/* nr leaves, one at each stride */
} mappings[] = {
	{ ANON4K,	"anon_4k",	4 * KB,	4 * KB,	GB / (4 * KB) },
	{ MTHP64K,	"mthp_64k",	4 * KB,	4 * KB,	256 * MB / (4 * KB) },
	{ PTETHP,	"thp_pte",	4 * KB,	4 * KB,	256 * MB / (4 * KB) },
	{ SHMEM,	"shmem_4k",	4 * KB,	4 * KB,	256 * MB / (4 * KB) },
	{ VFIO4K,	"vfio_4k",	4 * KB,	4 * KB,	256 * MB / (4 * KB) },
	{ SPARSE,	"sparse_16t",	4 * KB,	GB,	16384 },
	{ THP2M,	"thp_2m",	2 * MB,	2 * MB,	256 },
	{ HUGE2M,	"hugetlb_2m",	2 * MB,	2 * MB,	128 },
	{ VFIO2M,	"vfio_2m",	2 * MB,	2 * MB,	512 },
	{ HUGE1G,	"hugetlb_1g",	GB,	GB,	2 },
	{ VFIO1G,	"vfio_1g",	GB,	GB,	4 },
	{ DAX1G,	"dax_1g",	GB,	GB,	2 },
	{ KERNEL,	"kernel_4k",	4 * KB,	4 * KB,	256 * MB / (4 * KB) },
	{ SCALE,	"dense",	4 * KB,	4 * KB,	DENSE / (4 * KB) },
	{ SCALE,	"sparse",	4 * KB,	16 * MB, 64 * GB / (16 * MB) },
};

/* The mapping that is measured, and what of it. */
static const struct mapping *m;
static char *addr;
static size_t len;
static int bench_fd, uffd = -1;
static char buffer[256 * KB];	/* for what is read */

static void die(const char *what)
{
	printf("bench: %s: %s\n", what, strerror(errno));
	fflush(stdout);
	exit(1);
}

static uint64_t now(void)
{
	return __builtin_ia32_rdtsc();
}

static int put(const char *path, const char *fmt, ...)
{
	char value[64];
	va_list args;
	int fd, n, ret;

	va_start(args, fmt);
	n = vsnprintf(value, sizeof(value), fmt, args);
	va_end(args);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -1;
	ret = write(fd, value, n) != n ? -1 : 0;
	close(fd);
	return ret;
}

static long get(const char *path)
{
	char value[32] = "";
	int fd = open(path, O_RDONLY);

	if (fd < 0 || read(fd, value, sizeof(value) - 1) < 0)
		die(path);
	close(fd);
	return atol(value);
}

/* The CPU time of a kernel thread, which is instructions. */
static uint64_t cpu_time(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
		die("CPU time of a kernel thread");
	return t.tv_sec * 1000000000UL + t.tv_nsec;
}

/* How often a kernel thread went to sleep. */
static unsigned long sleeps(pid_t pid)
{
	unsigned long n;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	if (!f)
		die(path);
	while (fscanf(f, "voluntary_ctxt_switches: %lu", &n) != 1) {
		if (fscanf(f, "%*[^\n]") == EOF || fgetc(f) == EOF)
			die(path);
	}
	fclose(f);
	return n;
}

static pid_t thread_named(const char *name)
{
	char path[64], comm[32];

	for (pid_t pid = 2; pid < 1000; pid++) {
		int fd, n;

		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		n = read(fd, comm, sizeof(comm));
		close(fd);
		if (n > 0 && !strncmp(comm, name, n - 1) && !name[n - 1])
			return pid;
	}
	die(name);
	return 0;
}

/*
 * Let a kernel thread work, without sleep: QEMU wakes an idle CPU up a few
 * instructions earlier or later.
 */
static void wait_ms(unsigned long ms)
{
	uint64_t end = now() + ms * 1000000;

	setpriority(PRIO_PROCESS, 0, 19);
	while (now() < end) {
		/* Reading the TSC is slow in QEMU. */
		for (int i = 0; i < 10000; i++)
			asm volatile("");
	}
	setpriority(PRIO_PROCESS, 0, 0);
}

/*
 * Mappings.
 */

static int open_dax(void)
{
	char path[PATH_MAX];
	int fd = -1;
	glob_t g;

	if (glob("/sys/bus/dax/devices/*", 0, NULL, &g))
		return -1;
	for (size_t i = 0; i < g.gl_pathc && fd < 0; i++) {
		snprintf(path, sizeof(path), "%s/align", g.gl_pathv[i]);
		if (get(path) != GB)
			continue;
		snprintf(path, sizeof(path), "/dev/%s", basename(g.gl_pathv[i]));
		fd = open(path, O_RDWR);
	}
	globfree(&g);
	return fd;
}

/* BAR 2 of the only device of vfio-pci: where in the file, in memory? */
static int open_vfio(off_t *offset, unsigned long *phys)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = 2 };
	static int fd = -1, container, group;
	char path[PATH_MAX];
	FILE *f;
	glob_t g;

	if (glob("/sys/bus/pci/drivers/vfio-pci/*:*", 0, NULL, &g))
		return -1;
	if (fd < 0) {
		group = open("/dev/vfio/noiommu-0", O_RDWR);
		container = open("/dev/vfio/vfio", O_RDWR);
		if (!ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) &&
		    !ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU))
			fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, basename(g.gl_pathv[0]));
	}
	snprintf(path, sizeof(path), "%s/resource", g.gl_pathv[0]);
	globfree(&g);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%*[^\n]\n%*[^\n]\n%lx", phys) != 1 ||
	    ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info))
		return -1;
	fclose(f);
	*offset = info.offset;
	return fd;
}

/*
 * An accessed bit is set when the TLB does not have the entry, and what QEMU's
 * TLB has depends on the time of day: after an empty TLB it does not.
 */
static void forget(void)
{
	struct bench_arg a = { 0 };

	if (ioctl(bench_fd, BENCH_FLUSH, &a))
		die("flushing the TLB");
}

/* Each page gets its own content: KSM is to find nothing to merge. */
static void touch(void)
{
	forget();
	for (size_t i = 0; i < sizeof(buffer); i += 4 * KB)
		((volatile char *)buffer)[i];
	for (char *p = addr; p < addr + len; p += m->stride) {
		if (m->id & VFIO)
			*(volatile char *)p;
		else
			*(volatile unsigned long *)p = (unsigned long)p;
	}
}

static void map(void)
{
	int fd = -1, prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED;
	size_t phase = 0;
	unsigned long phys;
	off_t offset = 0;
	char *p;

	len = m->nr * m->stride;
	if (m->id & ANON)
		flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	if (m->id & SHMEM)
		fd = memfd_create("bench", 0);
	if (m->id & HUGETLB)
		fd = memfd_create("bench", MFD_HUGETLB |
				  __builtin_ctzl(m->leaf) << MFD_HUGE_SHIFT);
	if (m->id & (SHMEM | HUGETLB) && ftruncate(fd, len))
		die("ftruncate");
	if (m->id & DAX1G)
		fd = open_dax();
	if (m->id & VFIO) {
		/* Leaves are as large as the addresses are congruent. */
		fd = open_vfio(&offset, &phys);
		phase = (phys + (m->leaf < GB ? m->leaf : 0)) % GB;
	}
	p = mmap(NULL, len + 2 * GB, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		die("address space");
	addr = (char *)(((uintptr_t)p + GB - 1) & -GB) + phase;
	munmap(p, len + 2 * GB);
	if (mmap(addr, len, prot, flags | MAP_FIXED_NOREPLACE, fd, offset) != addr)
		die(m->name);
	if (m->id & (SHMEM | HUGETLB | DAX1G))
		close(fd);
	if (put(THP "hugepages-2048kB/enabled", m->id & (THP2M | PTETHP) ? "madvise" : "never") ||
	    put(THP "hugepages-64kB/enabled", m->id & MTHP64K ? "madvise" : "never"))
		die("THP");
	if (m->id & (THP2M | PTETHP | MTHP64K))
		madvise(addr, len, MADV_HUGEPAGE);
	touch();
	/* A VMA of one page splits the PMD; afterwards all is one VMA. */
	for (size_t off = 0; m->id & PTETHP && off < len; off += 2 * MB) {
		if (mprotect(addr + off, 4 * KB, PROT_READ) ||
		    mprotect(addr + off, 4 * KB, prot))
			die("mprotect");
	}
}

/* Are these the leaves that we think they are? */
static void check(void)
{
	struct bench_arg a = { .addr = (unsigned long)addr, .len = len };
	unsigned int level = m->leaf == GB ? 2 : m->leaf == 2 * MB ? 1 : 0;

	if (ioctl(bench_fd, m->id == KERNEL ? BENCH_FLOOR_KERNEL : BENCH_FLOOR, &a))
		die("floor");
	if (a.nr[level] != (len + m->stride - 1) / m->stride ||
	    a.nr[0] + a.nr[1] + a.nr[2] != a.nr[level]) {
		printf("bench: %s is wrong: %lu PTEs, %lu PMD leaves, %lu PUD leaves\n",
		       m->name, a.nr[0], a.nr[1], a.nr[2]);
		fflush(stdout);
		exit(1);
	}
}

/*
 * Interfaces: what is measured returns < 0 if it cannot be had.
 */

/*
 * A record that does not fit into what is left of seq_file's page is made again,
 * with a second walk, at the next read(); one read() per record avoids that.
 */
static long slurp(const char *path)
{
	int fd = open(path, O_RDONLY);
	long n;

	if (fd < 0)
		return -1;
	do
		n = read(fd, buffer, 512);
	while (n > 0);
	close(fd);
	return n;
}

static long smaps(void) { return slurp("/proc/self/smaps"); }
static long smaps_rollup(void) { return slurp("/proc/self/smaps_rollup"); }
static long numa_maps(void) { return slurp("/proc/self/numa_maps"); }
static long ptdump(void) { return slurp("/sys/kernel/debug/page_tables/kernel"); }
static long clear_refs_1(void) { return put("/proc/self/clear_refs", "1"); }
static long clear_refs_4(void) { return put("/proc/self/clear_refs", "4"); }

/* All of it would be 32 GiB of zeroes: what a 64th costs is enough. */
static size_t positional_len(void)
{
	return m->id & SPARSE ? len / 64 : len;
}

static long pagemap(void)
{
	size_t left = positional_len() / (4 * KB) * 8;
	off_t at = (uintptr_t)addr / (4 * KB) * 8;
	int fd = open("/proc/self/pagemap", O_RDONLY);
	long n = -1;

	while (left && (n = pread(fd, buffer, left < 128 * KB ? left : 128 * KB, at)) > 0) {
		left -= n;
		at += n;
	}
	close(fd);
	return left ? -1 : 0;
}

static long do_mincore(void)
{
	size_t step = sizeof(buffer) * 4 * KB;

	for (size_t off = 0, end = positional_len(); off < end; off += step) {
		if (mincore(addr + off, end - off < step ? end - off : step,
			    (void *)buffer))
			return -1;
	}
	return 0;
}

/* (Of more than 512 regions v7.3 would have us see the last ones twice.) */
static long scan(uint64_t flags, uint64_t categories)
{
	static struct page_region regions[512];
	struct pm_scan_arg arg = {
		.size = sizeof(arg), .flags = flags,
		.start = (uintptr_t)addr, .end = (uintptr_t)addr + len,
		.vec = (uintptr_t)regions, .vec_len = 512,
		.category_mask = categories, .return_mask = categories,
	};
	int fd = open("/proc/self/pagemap", O_RDONLY);
	long n = 0;

	while (n >= 0 && arg.start < arg.end) {
		n = ioctl(fd, PAGEMAP_SCAN, &arg);
		arg.start = arg.walk_end;
	}
	close(fd);
	return n;
}

static long scan_get(void)
{
	return scan(0, PAGE_IS_PRESENT);
}

static long scan_wp_begin(void)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED,
	};
	struct uffdio_register reg = {
		.range = { (uintptr_t)addr, len }, .mode = UFFDIO_REGISTER_MODE_WP,
	};

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	return uffd < 0 || ioctl(uffd, UFFDIO_API, &api) ||
	       ioctl(uffd, UFFDIO_REGISTER, &reg) ? -1 : 0;
}

static long scan_wp(void)
{
	return scan(PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
		    PAGE_IS_WRITTEN | PAGE_IS_PRESENT);
}

static long scan_wp_end(void)
{
	return close(uffd);
}

/*
 * Without the population, which is not a walk of this kind. What is special or
 * of hugetlb is not locked, only populated.
 */
static long do_mlock(void) { return mlock2(addr, len, MLOCK_ONFAULT); }
static long do_munlock(void) { return munlock(addr, len); }
static long cold(void) { return madvise(addr, len, MADV_COLD); }
static long do_free(void) { return madvise(addr, len, MADV_FREE); }

static long do_mbind(int mode, unsigned long nodes)
{
	return syscall(SYS_mbind, addr, len, mode, nodes ? &nodes : NULL,
		       nodes ? 64 : 0, nodes ? MPOL_MF_STRICT : 0);
}

static long mbind_strict(void) { return do_mbind(MPOL_BIND, 1); }
static long mbind_end(void) { return do_mbind(MPOL_DEFAULT, 0); }

static void **pages;
static int *status;

static long move_pages_begin(void)
{
	size_t nr = len / m->stride;

	pages = malloc(nr * sizeof(*pages));
	for (size_t i = 0; i < nr; i++)
		pages[i] = addr + i * m->stride;
	status = calloc(nr, sizeof(*status));
	memset(status, 1, nr * sizeof(*status));
	return 0;
}

static long move_pages_query(void)
{
	return syscall(SYS_move_pages, 0, len / m->stride, pages, NULL, status, 0);
}

static long move_pages_end(void)
{
	free(pages);
	free(status);
	return 0;
}

static long do_ioctl(unsigned int cmd)
{
	struct bench_arg a = { .addr = (unsigned long)addr, .len = len };

	return ioctl(bench_fd, cmd, &a);
}

static long limit(void) { return do_ioctl(BENCH_FLOOR); }
static long limit_kernel(void) { return do_ioctl(BENCH_FLOOR_KERNEL); }
static long walk_pte(void) { return do_ioctl(BENCH_WALK_PTE); }
static long walk_pmd(void) { return do_ioctl(BENCH_WALK_PMD); }
static long walk_all(void) { return do_ioctl(BENCH_WALK_ALL); }
static long plain(void) { return do_ioctl(BENCH_PLAIN); }
static long leaves(void) { return do_ioctl(BENCH_LEAVES); }
static long walk_kernel(void) { return do_ioctl(BENCH_WALK_KERNEL); }
static long wp_shared(void) { return do_ioctl(BENCH_WP); }
static long clean_record(void) { return do_ioctl(BENCH_CLEAN); }

/* The first scan of ksmd: it takes a checksum of every page. Returns its time. */
static long ksm(void)
{
	static unsigned int sleep = 100000;
	static pid_t pid;
	long scans = get(KSM "full_scans");
	uint64_t t;

	if (!pid)
		pid = thread_named("ksmd");
	if (put(KSM "pages_to_scan", "1000000000") ||
	    put(KSM "sleep_millisecs", "%u", sleep++) ||	/* wakes it up */
	    madvise(addr, len, MADV_MERGEABLE))
		return -1;
	t = cpu_time(pid);
	put(KSM "run", "1");
	while (get(KSM "full_scans") == scans)
		wait_ms(10);
	t = cpu_time(pid) - t;
	madvise(addr, len, MADV_UNMERGEABLE);
	put(KSM "run", "2");
	return t;
}

/* Returns the time of kdamond for about SAMPLES samples, INTERVAL ms between them. */
#define SAMPLES		20
#define INTERVAL	20
#define CONTEXT	DAMON "0/contexts/0/"

static unsigned long samples;	/* it took: a timer may be late */

static size_t damon_regions(void)
{
	return len == m->nr * m->stride ? 200 : 100;
}

static long damon(void)
{
	size_t nr = damon_regions();
	uint64_t t;
	pid_t pid;

	if (put(DAMON "nr_kdamonds", "1") ||
	    put(DAMON "0/contexts/nr_contexts", "1") ||
	    put(CONTEXT "operations", "fvaddr") ||
	    put(CONTEXT "monitoring_attrs/intervals/sample_us", "%d", INTERVAL * 1000) ||
	    put(CONTEXT "monitoring_attrs/intervals/aggr_us", "100000000") ||
	    put(CONTEXT "monitoring_attrs/intervals/update_us", "100000000") ||
	    put(CONTEXT "monitoring_attrs/nr_regions/max", "%zu", 2 * nr) ||
	    put(CONTEXT "monitoring_attrs/nr_regions/min", "%zu", nr) ||
	    put(CONTEXT "targets/nr_targets", "1") ||
	    put(CONTEXT "targets/0/pid_target", "%d", getpid()) ||
	    put(CONTEXT "targets/0/regions/nr_regions", "1") ||
	    put(CONTEXT "targets/0/regions/0/start", "%lu", (unsigned long)addr) ||
	    put(CONTEXT "targets/0/regions/0/end", "%lu", (unsigned long)addr + len) ||
	    put(DAMON "0/state", "on"))
		die("DAMON");
	pid = get(DAMON "0/pid");
	wait_ms(2);
	samples = sleeps(pid);
	t = cpu_time(pid);
	wait_ms(SAMPLES * INTERVAL + INTERVAL / 2);
	t = cpu_time(pid) - t;
	samples = sleeps(pid) - samples;
	put(DAMON "0/state", "off");
	put(DAMON "nr_kdamonds", "0");
	return t;
}

enum {
	ONCE = 1,	/* changes what it looks at for good */
	OWN_TIME = 2,	/* returns what it took */
	SCALES = 4,	/* is measured at all sizes */
};

static const struct row {
	const char *name;
	unsigned int where;
	long (*run)(void);
	long (*begin)(void);
	long (*end)(void);
	int flags;
} rows[] = {
	{ "floor",		ALL,		limit, NULL, NULL, SCALES },
	{ "walk_pte",		PTES,		walk_pte, NULL, NULL, SCALES },
	{ "walk_pmd",		ALL & ~HUGETLB,	walk_pmd },
	{ "walk_all",		ALL & ~HUGETLB,	walk_all },
	{ "plain",		PTES | THP2M,	plain },
	{ "leaves",		PTES | THP2M,	leaves },
	{ "smaps",		ALL,		smaps, NULL, NULL, SCALES },
	{ "smaps_rollup",	ALL,		smaps_rollup },
	{ "numa_maps",		ALL,		numa_maps },
	{ "pagemap",		ALL,		pagemap, NULL, NULL, SCALES },
	{ "scan_get",		ALL,		scan_get, NULL, NULL, SCALES },
	{ "mincore",		ALL,		do_mincore, NULL, NULL, SCALES },
	{ "move_pages",		ALL,		move_pages_query, move_pages_begin, move_pages_end },
	{ "mbind",		ALL,		mbind_strict, NULL, mbind_end, SCALES },
	{ "mlock",		ANON | SHMEM,	do_mlock, NULL, do_munlock },
	{ "munlock",		ANON | SHMEM,	do_munlock, do_mlock },
	{ "madv_cold",		ALL,		cold },
	{ "damon",		ALL,		damon, NULL, NULL, OWN_TIME },
	{ "clear_refs_1",	ALL,		clear_refs_1 },
	{ "clear_refs_4",	ALL,		clear_refs_4 },
	{ "wp_shared",		SHMEM,		wp_shared },
	{ "clean_record",	SHMEM,		clean_record },
	{ "madv_free",		ANON,		do_free, NULL, NULL, ONCE },
	/* Base loses the data of device-dax to it. The last, for it splits THPs. */
	{ "scan_wp",		ALL & ~(DAX1G | VFIO), scan_wp, scan_wp_begin, scan_wp_end },
	{ "ksm",		ANON4K | SPARSE, ksm, NULL, NULL, ONCE | OWN_TIME },
	{ "floor_kernel",	KERNEL,		limit_kernel },
	{ "walk_kernel",	KERNEL,		walk_kernel },
	{ "ptdump",		KERNEL,		ptdump },
};

/* -> instructions, or -1 */
static int64_t run(const struct row *r)
{
	int64_t ret = 0;
	uint64_t t;

	if (r->begin && r->begin())
		ret = -1;
	t = now();
	if (!ret)
		ret = r->run();
	t = now() - t;
	if (ret < 0)
		return -1;
	return r->flags & OWN_TIME ? ret : t;
}

static void finish(const struct row *r)
{
	forget();
	if (r->end)
		r->end();
}

static size_t kernel_len;	/* of all that bench_kernel() has mapped */

static size_t entries(const struct row *r)
{
	if (r->run == damon)
		return damon_regions() * samples;
	if (r->run == ptdump)
		return kernel_len / m->stride;
	if (r->run == pagemap || r->run == do_mincore)
		return positional_len() / m->stride;
	return len / m->stride;
}

/* The least of a few runs, for a run may be interrupted; -1 if it can't be had. */
static int64_t least(const struct row *r)
{
	int runs = r->flags & (ONCE | OWN_TIME) || (m->id == SCALE && len > 4 * GB) ? 1 : RUNS;
	int64_t t, best = INT64_MAX;

	for (int i = 0; i < runs; i++) {
		if (!(m->id & (KERNEL | SCALE)))
			touch();
		t = run(r);
		if (t < 0)
			printf("none %s %s %d\n", r->name, m->name, errno);
		finish(r);
		if (t < best)
			best = t;
		if (t < 0)
			break;
	}
	return best;
}

static bool measure(const struct row *r, const char *what)
{
	int64_t t = least(r);

	if (t >= 0)
		printf("cost %s %s %s %zu %ld\n", r->name, m->name, what, entries(r), t);
	return t >= 0;
}

static unsigned long faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt + usage.ru_majflt;
}

/* What is paid beyond the walk itself. */
static void paid(const struct row *r)
{
	struct bench_arg a = { 0 };
	unsigned long n;

	touch();
	if (ioctl(bench_fd, BENCH_COUNT, &a))
		die("counting");
	run(r);
	if (ioctl(bench_fd, BENCH_COUNTED, &a))
		die("counted");
	faults();	/* its own, of what is on our stack */
	n = faults();
	touch();
	n = faults() - n;
	finish(r);
	printf("paid %s %s %zu %lu %lu %lu\n", r->name, m->name, entries(r),
	       n, a.nr[0], a.nr[1]);
}

/*
 * What was done to the whole process once, as to clear soft-dirty, makes smaps
 * cheaper for ever: do all once beforehand, but not to all.
 */
static void warm_up(void)
{
	size_t all = len;

	/* Not less than a THP: MADV_COLD of a part of one splits it. */
	if (m->nr > 64)
		len = 64 * m->stride > 2 * MB ? 64 * m->stride : 2 * MB;
	for (const struct row *r = rows; r < rows + sizeof(rows) / sizeof(rows[0]); r++) {
		if (r->where & m->id && !(r->flags & ONCE)) {
			touch();
			run(r);
			finish(r);
		}
	}
	len = all;
	touch();
}

static void bench_mapping(void)
{
	const struct row *r, *end = rows + sizeof(rows) / sizeof(rows[0]);
	bool possible[sizeof(rows) / sizeof(rows[0])] = { false };
	char *start;
	size_t left;

	map();
	warm_up();
	check();
	for (r = rows; r < end; r++) {
		if (r->where & m->id && !(r->flags & ONCE))
			possible[r - rows] = measure(r, "full");
	}
	len /= 2;
	munmap(addr + len, len);
	touch();
	check();
	for (r = rows; r < end; r++) {
		if (possible[r - rows])
			measure(r, "half");
	}
	/* What can be done once: to a quarter of what is left, then to a half. */
	left = len;
	start = addr;
	for (r = rows; r < end; r++) {
		if (!(r->where & m->id && r->flags & ONCE))
			continue;
		len = left / 4;
		measure(r, "half");
		addr += len;
		len = left / 2;
		possible[r - rows] = measure(r, "full") && !(r->flags & OWN_TIME);
		addr += len;
		left /= 4;
	}
	/* A process that had a notifier once is slower for ever: that comes last. */
	munmap(start, addr - start);
	len = left;
	for (r = rows; r < end; r++) {
		if (possible[r - rows])
			paid(r);
	}
}

/*
 * 256 MiB of kernel address space. The half comes first and stays: vunmap() leaves
 * the tables, and ptdump looks at all there are.
 */
static void bench_kernel(void)
{
	struct bench_arg a;

	for (int half = 1; half >= 0; half--) {
		a = (struct bench_arg){ .len = m->nr * m->stride >> half };
		if (ioctl(bench_fd, BENCH_VMAP, &a))
			die("vmap");
		addr = (char *)a.addr;
		len = a.len;
		kernel_len += len;
		check();
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			if (rows[i].where & KERNEL)
				measure(&rows[i], half ? "half" : "full");
		}
	}
}

/*
 * From 1 MiB to 64 GiB. The pages are the zero page: what they hold is nothing to
 * a reader, and that many others a guest does not have.
 */
static void bench_scale(void)
{
	const size_t max = m->nr * m->stride;
	size_t done = 0;

	addr = mmap(NULL, max, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (addr == MAP_FAILED || munmap(addr, max))
		die("address space");
	for (len = MB; len <= max; len *= 4) {
		size_t step = m->stride;

		if (mmap(addr + done, len - done, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			 MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED ||
		    madvise(addr, len, MADV_NOHUGEPAGE))
			die("growing");
		if (step == 4 * KB)
			madvise(addr + done, len - done, MADV_POPULATE_READ);
		else
			for (size_t off = (done + step - 1) / step * step; off < len; off += step)
				*(volatile char *)(addr + off);
		done = len;
		check();
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			const struct row *r = &rows[i];

			if (r->flags & SCALES)
				printf("scale %s %s %zu %zu %ld\n", r->name, m->name, len,
				       (len + step - 1) / step, least(r));
		}
	}
	munmap(addr, done);
}

int main(int argc, char **argv)
{
	int status;
	pid_t pid;

	setvbuf(stdout, malloc(MB), _IOFBF, MB);
	bench_fd = open("/dev/pagewalk_bench", O_RDWR);
	if (bench_fd < 0)
		die("/dev/pagewalk_bench");
	put(THP "khugepaged/scan_sleep_millisecs", "100000000");
	memset(buffer, 1, sizeof(buffer));
	for (size_t i = 0; i < sizeof(mappings) / sizeof(mappings[0]); i++) {
		bool wanted = argc < 2;

		m = &mappings[i];
		for (int j = 1; j < argc; j++)
			wanted |= !strcmp(argv[j], m->name);
		if (!wanted)
			continue;
		/* Each in a process of its own. */
		fflush(stdout);
		pid = fork();
		if (!pid) {
			if (m->id == KERNEL)
				bench_kernel();
			else if (m->id == SCALE)
				bench_scale();
			else
				bench_mapping();
			exit(0);
		}
		if (waitpid(pid, &status, 0) != pid || status) {
			printf("bench: %s ended with %d\n", m->name, status);
			return 1;
		}
		printf("done %s %lu\n", m->name, now());
	}
	return 0;
}
