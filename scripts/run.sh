#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: run.sh
# Makes both trees (setup.sh, tree.sh), builds the base and the patched kernel
# with configs/run.config and small.config, boots them, runs the kselftest
# "pagewalk" in each and prints side by side what it measured.
# Where nothing has changed since it passed, prints that; FORCE=1 boots again.

. "$(dirname "$0")/common.sh"

s=$top/scripts
"$s/setup.sh"
# The second build gets what the first leaves idle, and what it has cached.
pids=''
trap '{ kill $pids; wait; } 2>/dev/null || :' EXIT
trap 'exit 130' INT TERM HUP
"$s/kernel.sh" "$base" run run.config small.config &
pids=$!
"$s/tree.sh" &
wait $! || exit
nice -n 19 "$s/kernel.sh" "$linux" run run.config small.config &
pids="$pids $!"
for p in $pids; do
	wait "$p" || exit
done
trap - INT TERM HUP EXIT
binary=$linux/.obj-run/ksft/pagewalk
[ -e "$binary" ] || die 2 "the series has no tools/testing/selftests/mm/pagewalk.c: nothing to run"

# What was seen with the same kernels, tests and scripts need not be seen again.
state=$(cd "$top" && cat "$base/.obj-run/state" "$linux/.obj-run/state" scripts/* tests/* 2>/dev/null | sha256sum)
last=$B/results/run/latest
if [ ! "${FORCE-}" ] && [ "$state" = "$(cat "$last/state" 2>/dev/null)" ]; then
	cat "$last/said" "$last/table"
	say "nothing has changed since $(readlink "$last"), FORCE=1 boots again"
	exit 0
fi
out=$(new_result run)
export s base linux binary out
say "booting both kernels (about a minute), logs in $out"
pids=''
trap 'for p in $pids; do kill -- -"$p"; done 2>/dev/null; wait; rm -rf "$out"; die 130 "interrupted, no result was kept"' INT TERM HUP
for k in base series; do
	# shellcheck disable=SC2016
	setsid sh -ec '
		boot() {	# base or series, where to, pattern...
			case $1 in base) obj=$base ;; *) obj=$linux ;; esac
			"$s/ksft.sh" "$obj/.obj-run" "$binary" "$out/$2" ${3:+"$3"}
		}
		boot $1 $1
		# It takes longer with the base kernel, which crashes.
		[ $1 = base ] || for k in base series; do
			CPU=Skylake-Client,+pdpe1gb boot $k $k-l1tf mprotect_none
		done' sh $k >"$out/$k.log" 2>&1 &
	pids="$pids $!"
done
sleep 1
sed -n 's/^qemu/  &/p' "$out/base.log"
for p in $pids; do
	wait "$p" || { cat "$out"/*.log >&2; die 2 "a boot could not be started"; }
done
said() {
	printf 'patched kernel: '
	"$s/judge.py" --expect "$top/tests/selftests.expected" --allow "$top/tests/splats.allowed" \
		"$out"/series/[0-9]* || worse $?
	grep '\.mprotect_none' "$top/tests/selftests.expected" >"$out/expected-l1tf"
	printf 'patched kernel, CPU with L1TF: '
	"$s/judge.py" --expect "$out/expected-l1tf" --allow "$top/tests/splats.allowed" \
		"$out"/series-l1tf/[0-9]* || worse $?
	printf 'base kernel, what tests/base.fails names must fail: '
	"$s/judge.py" --fail "$(grep -v '^#' "$top/tests/base.fails")" "$out"/base/[0-9]* || worse $?
	printf 'base kernel, CPU with L1TF: '
	"$s/judge.py" --fail 'pagewalk.vfio_[12]?.mprotect_none' "$out"/base-l1tf/[0-9]* || worse $?
}
said >"$out/said"
cat "$out/said"
echo
"$s/table.py" 'What readers of page tables do to huge leaves' "" "$out/base" "$out/series" \
	@L1TF "$out/base-l1tf" "$out/series-l1tf" >"$out/table" || worse 1
cat "$out/table"
[ "$worst" != 0 ] || echo "$state" >"$out/state"
finish_result "$out" table
exit "$worst"
