/* SPDX-License-Identifier: GPL-2.0 */
/* What bench.c asks of pagewalk_bench.c. */
struct bench_arg {
	unsigned long addr;
	unsigned long len;
	unsigned long nr[3];	/* out: present entries of 4 KiB, 2 MiB, 1 GiB */
};

/* nr: the entries that the floor's loop saw, also for the kernel's range */
#define BENCH_FLOOR		_IOWR('b', 1, struct bench_arg)
#define BENCH_FLOOR_KERNEL	_IOWR('b', 2, struct bench_arg)
/* walks with callbacks that do nothing */
#define BENCH_WALK_PTE		_IOWR('b', 3, struct bench_arg)
#define BENCH_WALK_PMD		_IOWR('b', 4, struct bench_arg)
#define BENCH_WALK_ALL		_IOWR('b', 5, struct bench_arg)
/* folios and their pages: with a loop by hand, and with for_each_pt_leaf() */
#define BENCH_PLAIN		_IOWR('b', 14, struct bench_arg)
#define BENCH_LEAVES		_IOWR('b', 15, struct bench_arg)
#define BENCH_WALK_KERNEL	_IOWR('b', 6, struct bench_arg)
/* of the mapped file */
#define BENCH_WP		_IOWR('b', 7, struct bench_arg)
#define BENCH_CLEAN		_IOWR('b', 8, struct bench_arg)
/* addr out: len bytes of kernel address space, one page mapped all over */
#define BENCH_VMAP		_IOWR('b', 9, struct bench_arg)
/* begin to count; end, nr out: notifier calls, TLB flushes */
#define BENCH_COUNT		_IOWR('b', 11, struct bench_arg)
#define BENCH_COUNTED		_IOWR('b', 12, struct bench_arg)
/* Forget all of the TLB. */
#define BENCH_FLUSH		_IOWR('b', 13, struct bench_arg)
