// SPDX-License-Identifier: GPL-2.0
/*
 * Print what readers of page tables say of a zoo of mappings, alone, with a
 * child that maps most of it, too, and after clear_refs, such that it can be
 * compared with what another kernel prints: no addresses, no PFNs. A mapping
 * fails if it is not what its name says.
 *
 * For the guest of compare.sh only: it overwrites device-dax, poisons pages,
 * swaps to a zram, and takes all pages of hugetlb.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/fs.h>
#include <linux/memfd.h>
#include <linux/mempolicy.h>
#include <linux/userfaultfd.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define KB	1024UL
#define MB	(KB * KB)
#define GB	(KB * MB)
#define PAGE	(4 * KB)

#define BASE	((char *)0x200000000000UL)

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

static size_t size;		/* of the mapping at BASE */
static size_t leaf = PAGE;	/* what can be unmapped, if it is that large */
static bool device;		/* of which the first half is mapped */
static const char *name, *state;
static const char *sign;	/* to be found in a line, or the setup failed */

static void say(const char *fmt, ...)
{
	char line[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	printf("# %s %s %s\n", name, state, line);
	if (sign && strstr(line, sign))
		sign = NULL;
}

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	say("cannot %s: %s", what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

static void put(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);

	need(fd >= 0 && write(fd, value, strlen(value)) > 0, path);
	close(fd);
}

/*
 * Readers
 */

static void smaps(const char *file, bool all)
{
	bool in = all;
	char line[512], path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/%s", file);
	f = fopen(path, "r");
	need(f, path);
	while (fgets(line, sizeof(line), f)) {
		unsigned long start, end, off;
		char perms[8];

		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "%lx-%lx %7s %lx", &start, &end, perms, &off) == 4) {
			in = all || (start >= (uintptr_t)BASE &&
				     end <= (uintptr_t)BASE + size);
			if (in && !all)
				say("%s +%lx-%lx %s", file, start - (uintptr_t)BASE,
				    end - (uintptr_t)BASE, perms);
		} else if (in && (!all || strncmp(line, "Referenced", 10))) {
			/* When the program itself was used is a matter of time. */
			say("%s %s", file, line);
		}
	}
	fclose(f);
}

static void numa_maps(void)
{
	FILE *f = fopen("/proc/self/numa_maps", "r");
	char line[1024], out[256], *p, *save;

	need(f, "read numa_maps");
	while (fgets(line, sizeof(line), f)) {
		unsigned long start = strtoul(line, &p, 16);

		if (start < (uintptr_t)BASE || start >= (uintptr_t)BASE + size)
			continue;
		*out = 0;
		for (p = strtok_r(p, " \n", &save); p;
		     p = strtok_r(NULL, " \n", &save)) {
			/* Pages are activated in batches, sooner or later. */
			if (strncmp(p, "file=", 5) && strncmp(p, "active=", 7))
				strcat(strcat(out, " "), p);
		}
		say("numa_maps +%lx%s", start - (uintptr_t)BASE, out);
	}
	fclose(f);
}

/* Words of a file that has one for each page, a part of them at a time */
struct words {
	const char *path;
	int fd;
	ssize_t n;
	uint64_t first, buf[4096];
};

static uint64_t word(struct words *w, uint64_t pfn)
{
	uint64_t first = pfn & ~4095UL;

	if (!w->fd) {
		w->fd = open(w->path, O_RDONLY);
		need(w->fd > 0, w->path);
	}
	if (w->n <= 0 || first != w->first) {
		w->n = pread(w->fd, w->buf, sizeof(w->buf), first * 8);
		need(w->n >= 0, w->path);
		w->first = first;
	}
	return (pfn - first) * 8 < (uint64_t)w->n ? w->buf[pfn - first] : -1UL;
}

static struct words flags_of = { .path = "/proc/kpageflags" };
static struct words count_of = { .path = "/proc/kpagecount" };

/* Bits of /proc/kpageflags */
#define HEAD	(1 << 15)
#define TAIL	(1 << 16)
/* Those that do not change by themselves: anonymous, backed by swap, ... */
#define STABLE	(1 << 12 | 1 << 14 | TAIL | 1 << 17 | 1 << 19 | 1 << 21 | \
		 1 << 22 | 1 << 24)

#define EXCLUSIVE	(1UL << 56)
#define PFN		((1UL << 55) - 1)

/* What can be compared of an entry of pagemap that follows that of @last */
struct entry {
	uint64_t bits, flags, count;
	const char *where;
};

static struct entry look_up(uint64_t entry, uint64_t last)
{
	struct entry e = { (entry & ~EXCLUSIVE) >> 55, 0, 0, "" };
	uint64_t pfn = entry & PFN;

	if (!(entry >> 63)) {
		/* The type of a swap entry, but not where it is */
		e.count = entry >> 62 ? pfn & 31 : pfn;
		return e;
	}
	e.flags = word(&flags_of, pfn);
	e.count = word(&count_of, pfn);
	/* Of device-dax there are no flags, and a leaf is one folio. */
	if (!e.flags || (e.flags & TAIL))
		e.where = pfn == (last & PFN) + 1 ? "next" : "elsewhere";
	e.flags &= STABLE;
	return e;
}

static void print_entry(char *to, size_t n, const struct entry *e)
{
	if (e->bits >> 8)
		snprintf(to, n, "%03lx flags %lx count %ld %s", e->bits,
			 e->flags, e->count, e->where);
	else
		snprintf(to, n, "%03lx type %lu", e->bits, e->count);
}

/* What has been the same since @from, and is not any more at @to */
struct run {
	const char *what;
	char was[128];
	size_t from;
};

static void extend(struct run *run, const char *is, size_t to)
{
	if (is && !strcmp(run->was, is))
		return;
	if (*run->was)
		say("%s +%zx-%zx %s", run->what, run->from, to, run->was);
	strcpy(run->was, is ?: "");
	run->from = to;
}

/* In pieces of @step bytes */
static void pagemap(size_t step)
{
	static uint64_t buf[32768];
	int fd = open("/proc/self/pagemap", O_RDONLY);
	struct run entries = { .what = "pagemap" };
	struct run exclusive = { .what = "exclusive" };
	struct entry e, was = { .where = NULL };
	uint64_t last = 0;
	ssize_t bytes;
	char is[128];
	size_t off;

	flags_of.n = count_of.n = 0;
	for (off = 0; off < size; off += bytes * (PAGE / 8)) {
		bytes = (size - off < step ? size - off : step) / (PAGE / 8);
		if (bytes > (ssize_t)sizeof(buf))
			bytes = sizeof(buf);
		need(pread(fd, buf, bytes, ((uintptr_t)BASE + off) / (PAGE / 8)) ==
		     bytes, "read pagemap");
		for (int i = 0; i < bytes / 8; i++) {
			e = look_up(buf[i], last);
			last = buf[i];
			if (memcmp(&e, &was, sizeof(e))) {
				print_entry(is, sizeof(is), &e);
				extend(&entries, is, off + i * PAGE);
				was = e;
			}
			extend(&exclusive, buf[i] & EXCLUSIVE ? "yes" : "no",
			       off + i * PAGE);
		}
	}
	extend(&entries, NULL, size);
	extend(&exclusive, NULL, size);
	close(fd);
}

static void mincore_all(size_t step)
{
	static unsigned char vec[GB / PAGE + 1];
	struct run run = { .what = "mincore" };
	size_t n;

	for (size_t off = 0; off < size; off += n) {
		n = size - off < step ? size - off : step;
		n = n < GB ? n : GB;
		memset(vec, 0xee, n / PAGE + 1);
		need(!mincore(BASE + off, n, vec), "mincore");
		for (size_t i = 0; i < n / PAGE; i++)
			extend(&run, vec[i] == 1 ? "yes" : vec[i] ? "?" : "no",
			       off + i * PAGE);
		need(vec[n / PAGE] == 0xee, "have mincore end where it should");
	}
	extend(&run, NULL, size);
}

/* On which node each page is, or why not */
static void move_pages(void)
{
	static void *pages[4096];
	static int status[4096];
	struct run run = { .what = "move_pages" };
	char is[16];
	size_t n;

	for (size_t off = 0; off < size; off += n * PAGE) {
		n = (size - off) / PAGE < 4096 ? (size - off) / PAGE : 4096;
		for (size_t i = 0; i < n; i++) {
			pages[i] = BASE + off + i * PAGE;
			status[i] = 777;
		}
		need(!syscall(SYS_move_pages, 0, n, pages, NULL, status, 0),
		     "move_pages");
		for (size_t i = 0; i < n; i++) {
			if (i && status[i] == status[i - 1])
				continue;
			snprintf(is, sizeof(is), "%d", status[i]);
			extend(&run, is, off + i * PAGE);
		}
	}
	extend(&run, NULL, size);
}

/* All that PAGEMAP_SCAN tells apart, @step bytes and @max pages in a call */
static void scan(size_t step, int max)
{
	const uint64_t all = PAGE_IS_WPALLOWED | PAGE_IS_WRITTEN | PAGE_IS_FILE |
		PAGE_IS_PRESENT | PAGE_IS_SWAPPED | PAGE_IS_PFNZERO |
		PAGE_IS_HUGE | PAGE_IS_SOFT_DIRTY | PAGE_IS_GUARD;
	int fd = open("/proc/self/pagemap", O_RDONLY);
	struct page_region vec[64];

	for (size_t off = 0; off < size; off += step) {
		char *end = BASE + (off + step < size ? off + step : size);
		char *at = BASE + off;

		while (at < end) {
			struct pm_scan_arg arg = {
				.size = sizeof(arg),
				.start = (uintptr_t)at,
				.end = (uintptr_t)end,
				.vec = (uintptr_t)vec,
				.vec_len = 64,
				.max_pages = max,
				.category_anyof_mask = all,
				.return_mask = all,
			};
			int n = ioctl(fd, PAGEMAP_SCAN, &arg);

			need(n >= 0, "PAGEMAP_SCAN");
			for (int i = 0; i < n; i++)
				say("scan/%zx/%d +%lx-%lx %lx", step, max,
				    (unsigned long)vec[i].start - (uintptr_t)BASE,
				    (unsigned long)vec[i].end - (uintptr_t)BASE,
				    (unsigned long)vec[i].categories);
			need(arg.walk_end > (uintptr_t)at, "go on");
			at = (char *)arg.walk_end;
		}
	}
	close(fd);
}

static void look(const char *as)
{
	/* How far an odd step goes, that no leaf is as long as */
	const size_t unit = size < 64 * MB ? PAGE : 16 * MB;

	state = as;
	smaps("smaps", false);
	smaps("smaps_rollup", true);
	numa_maps();
	pagemap(size);
	pagemap(7 * unit);
	mincore_all(size);
	mincore_all(5 * unit);
	move_pages();
	scan(size, 0);
	scan(3 * (size < 64 * MB ? MB : unit), 0);
	scan(size, 101 * unit / PAGE);
	/* What is left after all that? */
	smaps("smaps", false);
	fflush(stdout);
}

/*
 * Mappings
 */

static char *map(size_t n, int prot, int flags, int fd, off_t off)
{
	char *p;

	size = n;
	p = mmap(BASE, n, prot, flags | MAP_FIXED, fd, off);
	need(p != MAP_FAILED, "map");
	return p;
}

static void advise(char *p, size_t n, int advice)
{
	need(!madvise(p, n, advice), "madvise");
}

static void protect(char *p, size_t n, int prot)
{
	need(!mprotect(p, n, prot), "mprotect");
}

static char *anon(size_t n)
{
	char *p = map(n, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	advise(p, n, MADV_NOHUGEPAGE);
	return p;
}

/* Every page its own, or KSM and the like would see twins. */
static void fill(char *p, size_t n, size_t step)
{
	for (size_t i = 0; i < n; i += step)
		*(unsigned long *)(p + i) = (uintptr_t)p + i + 1;
}

static void load(volatile char *p, size_t n, size_t step)
{
	for (size_t i = 0; i < n; i += step)
		(void)p[i];
}

static void anon_some(void)
{
	char *p = anon(8 * MB);

	fill(p + PAGE, 2 * MB, PAGE);
	fill(p + 3 * MB, MB, 3 * PAGE);
	load(p + 5 * MB, MB, 2 * PAGE);	/* zeropages */
}

static void thp_all(char *p, size_t n)
{
	advise(p, n, MADV_HUGEPAGE);
	fill(p, n, 2 * MB);
}

/* And huge zeropages, but where a small one was first */
static void thp(void)
{
	char *p = anon(16 * MB);

	thp_all(p, 8 * MB);
	load(p + 10 * MB, 1, PAGE);
	advise(p + 8 * MB, 6 * MB, MADV_HUGEPAGE);
	load(p + 8 * MB, 6 * MB, 2 * MB);
}

static void thp_pte(void)
{
	char *p = anon(8 * MB);

	thp_all(p, 8 * MB);
	protect(p, PAGE, PROT_READ);
	protect(p, PAGE, 3);
	advise(p + 2 * MB + 7 * PAGE, 9 * PAGE, MADV_DONTNEED);
	protect(p + 4 * MB + 5 * PAGE, PAGE, PROT_NONE);
	advise(p, 8 * MB, MADV_NOHUGEPAGE);
}

#define THP	"/sys/kernel/mm/transparent_hugepage/"

static void mthp(void)
{
	char *p = anon(4 * MB);

	put(THP "hugepages-64kB/enabled", "always");
	put(THP "hugepages-2048kB/enabled", "never");
	advise(p, 4 * MB, MADV_HUGEPAGE);
	fill(p, 4 * MB, 64 * KB);
	put(THP "hugepages-64kB/enabled", "never");
	put(THP "hugepages-2048kB/enabled", "madvise");
	advise(p + MB, PAGE, MADV_DONTNEED);
}

static int memfd(const char *n, unsigned int flags, size_t len)
{
	int fd = memfd_create(n, flags);

	need(fd >= 0 && !ftruncate(fd, len), "make a memfd");
	return fd;
}

static void shmem(void)
{
	int fd = memfd("zoo", 0, 8 * MB);
	char *p;

	for (size_t i = 0; i < 6 * MB; i += 3 * PAGE)
		need(pwrite(fd, "x", 1, i) == 1, "write");
	p = map(8 * MB, 3, MAP_SHARED, fd, 0);
	fill(p, MB, PAGE);
	load(p + 4 * MB, MB, PAGE);
}

static void shmem_private(void)
{
	int fd = memfd("zoo", 0, 8 * MB);
	char *p;

	for (size_t i = 0; i < 6 * MB; i += 2 * PAGE)
		need(pwrite(fd, "x", 1, i) == 1, "write");
	p = map(8 * MB, 3, MAP_PRIVATE, fd, 0);
	fill(p, MB, 2 * PAGE);
	load(p + 4 * MB, MB, 4 * PAGE);
}

static void shmem_thp(void)
{
	int fd;
	char *p;

	put(THP "shmem_enabled", "always");
	fd = memfd("zoo", 0, 8 * MB);
	p = map(8 * MB, 3, MAP_SHARED, fd, 0);
	fill(p, 6 * MB, 2 * MB);
	put(THP "shmem_enabled", "never");
	/* Drop the second PMD, and map a part of it again, with PTEs. */
	protect(p + 2 * MB, PAGE, PROT_READ);
	protect(p + 2 * MB, PAGE, 3);
	advise(p + 2 * MB, 2 * MB, MADV_NOHUGEPAGE);
	load(p + 2 * MB, MB, PAGE);
}

static void file_private(void)
{
	int fd;
	char *p;

	need(!mkdir("/ramfs", 0700) && !mount("", "/ramfs", "ramfs", 0, ""),
	     "mount a ramfs");
	fd = open("/ramfs/zoo", O_RDWR | O_CREAT | O_TRUNC, 0600);
	for (int i = 0; i < 512 * 1024 / 8; i++)
		need(write(fd, "content", 8) == 8, "write");
	p = map(512 * KB, 3, MAP_PRIVATE, fd, 0);
	load(p, 256 * KB, PAGE);
	fill(p + 64 * KB, 32 * KB, PAGE);
}

static void hugetlb(size_t page, int nr, int touched, int flags)
{
	char *p = map(page * nr, 3, flags | MAP_ANONYMOUS | MAP_HUGETLB |
		      MAP_NORESERVE | __builtin_ctzl(page) << MAP_HUGE_SHIFT,
		      -1, 0);

	leaf = page;
	for (int i = 0; i < touched; i++)
		fill(p + i * 2 * page, 1, PAGE);
}

static void hugetlb_2m(void)
{
	hugetlb(2 * MB, 16, 6, MAP_SHARED);
}

static void hugetlb_2m_private(void)
{
	hugetlb(2 * MB, 16, 6, MAP_PRIVATE);
}

static void hugetlb_1g(void)
{
	hugetlb(GB, 2, 1, MAP_SHARED);
}

static void hugetlb_1g_private(void)
{
	hugetlb(GB, 2, 1, MAP_PRIVATE);
}

/* Long enough for page tables to be shared */
static void hugetlb_shared(void)
{
	int fd = memfd("zoo", MFD_HUGETLB | 21 << MFD_HUGE_SHIFT, 2 * GB);
	char *p = map(2 * GB, 3, MAP_SHARED | MAP_NORESERVE, fd, 0);

	leaf = 2 * MB;
	fill(p, 20 * MB, 2 * MB);
	fill(p + GB + 4 * MB, 4 * MB, 2 * MB);
	need(mmap(BASE + 16 * GB, 2 * GB, 3, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
		  fd, 0) != MAP_FAILED, "map again");
	load(BASE + 16 * GB, 20 * MB, 2 * MB);
}

/* Whoever maps what is poisoned gets a signal, which cannot be ignored. */
static void survive(int sig)
{
	(void)sig;
}

static void poison(char *p)
{
	signal(SIGBUS, survive);
	advise(p, PAGE, MADV_HWPOISON);
}

static void hwpoison(void)
{
	char *p = anon(2 * MB);

	fill(p, MB, PAGE);
	poison(p + 3 * PAGE);
	poison(p + 4 * PAGE);
}

static void hwpoison_hugetlb(void)
{
	hugetlb_2m();
	poison(BASE + 4 * MB);
}

static void guard(void)
{
	char *p = anon(8 * MB);

	fill(p, MB, PAGE);
	thp_all(p + 4 * MB, 4 * MB);
	advise(p + 2 * PAGE, 5 * PAGE, MADV_GUARD_INSTALL);
	advise(p + 2 * MB, 3 * MB, MADV_GUARD_INSTALL);
}

static void uffd_wp(void)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED |
			    UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
	};
	struct uffdio_register reg = {
		.range = { (uintptr_t)BASE, size },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_writeprotect wp = {
		.range = reg.range,
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	need(!ioctl(fd, UFFDIO_API, &api) &&
	     !ioctl(fd, UFFDIO_REGISTER, &reg) &&
	     !ioctl(fd, UFFDIO_WRITEPROTECT, &wp), "use userfaultfd");
}

static void uffd_anon(void)
{
	anon_some();
	uffd_wp();
	fill(BASE + PAGE, MB, 5 * PAGE);
}

static void uffd_thp(void)
{
	thp_all(anon(8 * MB), 6 * MB);
	uffd_wp();
	fill(BASE + 2 * MB, 1, PAGE);
}

static void uffd_shmem(void)
{
	shmem();
	uffd_wp();
	fill(BASE, MB, 3 * PAGE);
}

static void uffd_hugetlb(void)
{
	hugetlb_2m();
	uffd_wp();
	fill(BASE + 4 * MB, 1, PAGE);
}

static void uffd_hugetlb_1g(void)
{
	hugetlb_1g();
	uffd_wp();
}

static void prot_none(void)
{
	char *p = anon(8 * MB);

	fill(p, MB, PAGE);
	thp_all(p + 2 * MB, 4 * MB);
	protect(p, 8 * MB, PROT_NONE);
}

static void mlocked(void)
{
	char *p = anon(4 * MB);

	thp_all(p, 2 * MB);
	need(!mlock(p, 4 * MB), "lock");
}

static void swapped(void)
{
	char *p = anon(4 * MB);

	fill(p, 2 * MB, PAGE);
	advise(p, MB, MADV_PAGEOUT);
	load(p, 64 * KB, 2 * PAGE);	/* swapped in, in the swap cache or not */
}

static void swapped_thp(void)
{
	char *p = anon(4 * MB);

	thp_all(p, 4 * MB);
	advise(p, 2 * MB, MADV_PAGEOUT);
}

static void swapped_shmem(void)
{
	shmem();
	advise(BASE, MB, MADV_PAGEOUT);
}

static void swapped_shmem_private(void)
{
	shmem_private();
	advise(BASE, 6 * MB, MADV_PAGEOUT);
}

static void ksm(void)
{
	char *p = anon(MB);

	memset(p, 7, MB / 2);
	memset(p + MB / 2, 0, MB / 4);
	fill(p + MB * 3 / 4, MB / 4, PAGE);
	put("/sys/kernel/mm/ksm/use_zero_pages", "1");
	put("/sys/kernel/mm/ksm/pages_to_scan", "4096");
	put("/sys/kernel/mm/ksm/sleep_millisecs", "1");
	put("/sys/kernel/mm/ksm/max_page_sharing", "1024");
	advise(p, MB, MADV_MERGEABLE);
	put("/sys/kernel/mm/ksm/run", "1");
	for (int i = 0; i < 1000; i++) {
		FILE *f = fopen("/sys/kernel/mm/ksm/full_scans", "r");
		int n = 0;

		need(f && fscanf(f, "%d", &n) == 1, "wait for KSM");
		fclose(f);
		if (n >= 6)
			break;
		usleep(10000);
	}
	put("/sys/kernel/mm/ksm/run", "0");
}

static int dax_fd(size_t align)
{
	char path[PATH_MAX], v[32];
	glob_t g;

	device = true;
	need(!glob("/sys/bus/dax/devices/*", 0, NULL, &g), "find dax");
	for (size_t i = 0; i < g.gl_pathc; i++) {
		int fd;

		snprintf(path, sizeof(path), "%s/align", g.gl_pathv[i]);
		fd = open(path, O_RDONLY);
		memset(v, 0, sizeof(v));
		if (fd >= 0 && read(fd, v, 31) > 0 && strtoul(v, NULL, 10) == align) {
			snprintf(path, sizeof(path), "/dev/%s", basename(g.gl_pathv[i]));
			fd = open(path, O_RDWR);
			need(fd >= 0, path);
			return fd;
		}
		close(fd);
	}
	need(0, "find dax");
	return -1;
}

static void dax_2m(void)
{
	leaf = 2 * MB;
	fill(map(16 * MB, 3, MAP_SHARED, dax_fd(2 * MB), 0), 8 * MB, 2 * MB);
}

static void dax_1g(void)
{
	leaf = GB;
	fill(map(2 * GB, 3, MAP_SHARED, dax_fd(GB), 0), GB, GB);
}

static void vfio(size_t n, size_t touched, size_t phase)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = 2 };
	char path[PATH_MAX], link[PATH_MAX] = "";
	int container, group, fd;
	glob_t g;

	device = true;
	need(!glob("/sys/bus/pci/drivers/vfio-pci/*:*", 0, NULL, &g),
	     "find vfio-pci");
	snprintf(path, sizeof(path), "%s/iommu_group", g.gl_pathv[0]);
	need(readlink(path, link, sizeof(link) - 1) > 0, path);
	snprintf(path, sizeof(path), "/dev/vfio/noiommu-%s", basename(link));
	group = open(path, O_RDWR);
	container = open("/dev/vfio/vfio", O_RDWR);
	need(!ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) &&
	     !ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU), "use vfio");
	fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, basename(g.gl_pathv[0]));
	need(fd >= 0 && !ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info), "use vfio");
	load(map(n, 3, MAP_SHARED, fd, info.offset + phase), touched, leaf);
}

static void vfio_4k(void)
{
	vfio(2 * MB, MB, PAGE);	/* addresses are not congruent */
}

static void vfio_2m(void)
{
	leaf = 2 * MB;
	vfio(16 * MB, 8 * MB, leaf);
}

static void vfio_1g(void)
{
	leaf = GB;
	vfio(2 * GB, GB, 0);
}

static const struct {
	const char *name;
	void (*make)(void);
	const char *sign;	/* by which it can be told, on both kernels */
} zoo[] = {
#define ZOO(x, sign) { #x, x, sign }
	ZOO(anon_some, "101 flags 1000000 count 0"),
	ZOO(thp, "AnonHugePages:      8192 kB"),
	ZOO(thp_pte, "AnonHugePages:         0 kB"),
	ZOO(mthp, "+f1000-100000 101 flags 415000 count 1 next"),
	ZOO(shmem, "Pss_Shmem"),
	ZOO(shmem_private, "Pss_Shmem"),
	ZOO(shmem_thp, "ShmemPmdMapped:     4096 kB"),
	ZOO(file_private, "141 flags 0 count 1"),
	ZOO(hugetlb_2m, "Private_Hugetlb:   12288 kB"),
	ZOO(hugetlb_2m_private, "Private_Hugetlb:   12288 kB"),
	ZOO(hugetlb_1g, "mincore +0-40000000 yes"),
	ZOO(hugetlb_1g_private, "mincore +0-40000000 yes"),
	ZOO(hugetlb_shared, "Shared_Hugetlb:    20480 kB"),
	ZOO(guard, "089 "),
	ZOO(uffd_anon, "105 flags 5000 "),
	ZOO(uffd_thp, "105 flags 415000 "),
	ZOO(uffd_shmem, "145 flags 4000 "),
	ZOO(uffd_hugetlb, "145 flags 30000 "),
	ZOO(uffd_hugetlb_1g, "145 flags 30000 "),
	ZOO(prot_none, "AnonHugePages:      4096 kB"),
	ZOO(mlocked, "Locked:             4096 kB"),
	ZOO(swapped, "081 type 0"),
	ZOO(swapped_thp, "081 type 0"),
	ZOO(swapped_shmem, "Swap:               1024 kB"),
	ZOO(swapped_shmem_private, "081 type 0"),
	ZOO(ksm, "KSM:                 512 kB"),
	ZOO(dax_2m, "+0-800000 cc"),
	ZOO(vfio_4k, "mincore +0-100000 yes"),
	ZOO(vfio_2m, "mincore +0-800000 yes"),
	ZOO(hwpoison, "type 24"),
	ZOO(hwpoison_hugetlb, "+400000-600000 d0"),
	ZOO(dax_1g, "mincore"),
	ZOO(vfio_1g, "mincore"),
};

/* Fork does not copy the page tables of what is shared: map it again. */
static void __attribute__((noreturn)) share(void)
{
	size_t step = size < 64 * MB ? PAGE : 2 * MB;
	size_t hole = size / 4 & ~(leaf - 1);
	unsigned char vec;

	if (device)
		load(BASE, size / 2, step);
	/* This does not die of poison. */
	for (size_t off = 0; !device && off < size; off += step) {
		if (!mincore(BASE + off, PAGE, &vec) && vec)
			madvise(BASE + off, PAGE, MADV_POPULATE_READ);
	}
	if (leaf == PAGE)
		need(!munmap(BASE + hole + PAGE, hole), "unmap");
	else if (hole)
		need(!munmap(BASE + hole, leaf), "unmap");
	raise(SIGSTOP);
	_exit(0);
}

static void see(void (*make)(void))
{
	int status;
	pid_t pid;

	state = "make";
	make();
	look("alone");
	if (sign) {
		say("not made: nothing says '%s'", sign);
		fflush(stdout);
		_exit(1);
	}
	pid = fork();
	need(pid >= 0, "fork");
	if (!pid)
		share();
	need(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status),
	     "share it");
	look("forked");
	put("/proc/self/clear_refs", "1");
	look("old");
	put("/proc/self/clear_refs", "4");
	look("clean");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	look("single");
	_exit(0);
}

static void make_swap(void)
{
	struct {
		char boot[1024];
		uint32_t version, last_page;
	} header = { .version = 1, .last_page = 64 * MB / PAGE - 1 };
	int fd;

	put("/sys/block/zram0/disksize", "64M");
	fd = open("/dev/zram0", O_WRONLY);
	need(pwrite(fd, &header, sizeof(header), 0) == sizeof(header) &&
	     pwrite(fd, "SWAPSPACE2", 10, PAGE - 10) == 10 &&
	     !close(fd) && !swapon("/dev/zram0", 0), "make swap");
}

int main(void)
{
	const size_t nr = sizeof(zoo) / sizeof(*zoo);
	unsigned long node = 2;
	cpu_set_t cpus;

	setvbuf(stdout, NULL, _IOFBF, 64 * KB);
	printf("KTAP version 1\n1..%zu\n", nr);
	name = "all";
	state = "make";
	/* All on node 1, and what waits in batches in one of them */
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	need(!sched_setaffinity(0, sizeof(cpus), &cpus), "stay on a CPU");
	need(!syscall(SYS_set_mempolicy, MPOL_BIND, &node, 3), "bind to node 1");
	put(THP "khugepaged/scan_sleep_millisecs", "4294967295");
	make_swap();
	for (size_t i = 0; i < nr; i++) {
		int status = 1;
		pid_t pid;

		name = zoo[i].name;
		sign = zoo[i].sign;
		fflush(stdout);
		pid = fork();
		if (!pid)
			see(zoo[i].make);
		waitpid(pid, &status, 0);
		if (WIFSIGNALED(status))
			say("ended by signal %d", WTERMSIG(status));
		printf("%s %zu %s\n", status ? "not ok" : "ok", i + 1, name);
	}
	fflush(stdout);
	return 0;
}
