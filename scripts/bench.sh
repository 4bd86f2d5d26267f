#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: bench.sh [--size] [BASE [NEW]]
# What each walk costs on two kernels, in instructions, which a guest under
# QEMU's icount executes the same number of each time it boots. Each kernel
# boots twice; nothing is reported if that made any difference.
# BASE (without it, v7.3.4) and NEW (the whole series) are each a git tree (HEAD
# and what is not committed there), a patch, by the start of its number or name
# (the series up to that patch, which is in), or a commit of build/linux.
# ONLY="mapping..." in the environment measures these only.
# --size compares size and source lines instead, and boots nothing.

. "$(dirname "$0")/common.sh"

s=$top/scripts
flags='-accel tcg,thread=single -icount shift=0,sleep=off -smp 1 -m 8G
	-rtc base=2025-01-01T00:00:00,clock=vm -seed 1'
guest='memmap=3G!4G hugepagesz=1G hugepages=2 hugepagesz=2M hugepages=128 norandmaps'

state_of() {	# tree, patch or commit
	if [ -e "$1/.git" ]; then
		c=$(git -C "$1" -c user.name=u -c user.email=u@localhost stash create)
		c=${c:-$(git -C "$1" rev-parse HEAD)}
		git -C "$linux" cat-file -e "$c" 2>/dev/null ||
			git -C "$linux" fetch -q "$(cd "$1" && pwd)" "$c"
		echo "$c"
	else
		(commit_of "$1") 2>/dev/null ||
			git -C "$linux" rev-parse -q --verify "$1^{commit}" ||
			die 2 "'$1' is no git tree, no commit, and no patch (or more than one)"
	fi
}

# A worktree at COMMIT with pagewalk_bench.c in it -> $B/bench-NAME/.obj-bench
build() {	# name, commit
	wt=$B/bench-$1
	git -C "$linux" worktree prune
	[ -e "$wt/.git" ] || git -C "$linux" -c checkout.workers=2 \
		worktree add -q -f --detach "$wt" "$2"
	git -C "$wt" checkout -q -f --detach "$2"
	cp "$top/bench/pagewalk_bench.c" "$wt/mm/"
	cp "$top/bench/bench.h" "$wt/mm/pagewalk_bench.h"
	# shellcheck disable=SC2016
	[ "$size" ] || echo 'obj-$(CONFIG_PAGEWALK_BENCH) += pagewalk_bench.o' >>"$wt/mm/Makefile"
	cat "$top/bench/Kconfig" >>"$wt/mm/Kconfig"
	"$s/kernel.sh" "$wt" bench run.config bench.config
}

size=
[ "${1-}" != --size ] || { size=1; shift; }
base_commit=$(state_of "${1:-base}")
new_commit=$(state_of "${2:-series}")
build base "$base_commit"
build new "$new_commit"
if [ "$size" ]; then
	"$base/scripts/bloat-o-meter" "$B/bench-base/.obj-bench/vmlinux" \
		"$B/bench-new/.obj-bench/vmlinux"
	echo
	git -C "$linux" diff -U0 "$base_commit" "$new_commit" -- '*.[ch]' '*.S' \
		':!tools' ':!scripts' ':!*/tests/*' ':!lib/kunit' |
		awk '/^\+\+\+ / { file = substr($2, 3); next }
		/^--- / { old = substr($2, 3); next }
		!/^[-+]/ || /^[-+][ \t]*($|\/\*|\*( |\/|$))/ { next }	# empty, or a comment
		{ if (file == "dev/null") file = old; n[file, substr($0, 1, 1)]++; files[file] }
		END { for (f in files) {
			printf "%5d+ %5d-  %s\n", n[f, "+"], n[f, "-"], f | "sort -k 3"
			add += n[f, "+"]; del += n[f, "-"] }
		close("sort -k 3")
		printf "%5d+ %5d-  all lines of code, without comments and tests\n", add, del }'
	exit
fi

obj=$B/bench-new/.obj-bench
{ make -s -C "$B/bench-new" O="$obj" headers && gcc -O2 -Wall -static \
	-isystem "$obj/usr/include" -o "$obj/bench" "$top/bench/bench.c"; } >"$B/logs/bench.log" 2>&1 ||
	die 2 "building bench.c failed, see $B/logs/bench.log"

out=$(new_result bench)
start=$(date +%s)
say "booting each kernel twice (about ten minutes), logs in $out"
pids=''
stop() { for p in $pids; do kill -- -"$p"; done 2>/dev/null; wait; }
trap 'stop; rm -rf "$out"; die 130 "interrupted, no result was kept"' INT TERM HUP
for k in base new; do
	pids=''
	for i in 1 2; do
		CPU=max,-erms MACHINE=$flags GUEST=$guest TIMEOUT=${BENCH_TIMEOUT:-900} QUIET=1 \
			setsid "$s/boot.sh" "$B/bench-$k/.obj-bench" "$out/$k-$i" \
			"pagewalk ${ONLY-} >/tmp/log; rc=\$?; cat /tmp/log; (exit \$rc)" \
			"$obj/bench" &
		pids="$pids $!"
	done
	for p in $pids; do wait "$p" || { stop; die 2 "a boot could not be started"; }; done
	for i in 1 2; do
		r=$out/$k-$i
		grep -q '^DONE rc=0' "$r/ktap.log" || die 2 "$k: bench did not end:" \
			"$(grep -m 1 '^bench:' "$r/ktap.log" || tail -n 1 "$r/ktap.log"), see $r"
		! grep -E '(WARNING|BUG|Oops):' "$r/console.log" >&2 ||
			die 2 "$k: the kernel complained, no report: $r/console.log"
	done
	for f in console.log ktap.log; do
		cmp -s "$out/$k-1/$f" "$out/$k-2/$f" ||
			die 2 "$k: two boots differ, no report: $out/$k-[12]/$f:" \
				"$(diff "$out/$k-1/$f" "$out/$k-2/$f" | sed -n 's/^[<>]/& /p' | head -n 1)"
	done
done
say "four boots in $(($(date +%s) - start)) s"
"$s/bench.py" "$out" "$(git -C "$linux" log -1 --format='%h %s' "$base_commit")" \
	"$(git -C "$linux" log -1 --format='%h %s' "$new_commit")" >"$out/table" ||
	die 2 "bench.py failed"
cat "$out/table"
finish_result "$out" table
