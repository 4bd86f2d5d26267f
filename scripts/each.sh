#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: each.sh [PATCH]
# For every patch, or those from PATCH on: the C files that the series touches
# build with W=1 and no new warning, the kernel builds, and its KUnit suite, if
# it has one yet, passes. A tree that has passed is not built again (FORCE=1: it
# is), so that this can be interrupted and goes on where it was.

. "$(dirname "$0")/common.sh"

s=$top/scripts
out=$(new_result each)
passed=$B/each
use_scratch base
w1=$scratch/.obj-w1
files=$(git -C "$linux" diff --name-only base series -- 'mm/*.c' 'fs/*.c' 'lib/*.c' 'kernel/*.c' 'arch/x86/*.c' \
	':!mm/memcontrol-v1.c')	# this configuration has no memory cgroups
mkdir -p "$w1" "$passed"
export CCACHE_DIR="$B/ccache" CCACHE_DEPEND=1

warnings() {	# -> the W=1 warnings of what is built, without line numbers, one a line
	objs=''
	for f in $files; do
		[ ! -e "$scratch/$f" ] || objs="$objs ${f%.c}.o"
	done
	# The KUnit suite selects more from patch to patch.
	make -s -C "$scratch" O="$w1" CC='ccache gcc' KCONFIG_ALLCONFIG="$w1/fragment" \
		allnoconfig >"$out/w1.log" 2>&1 || return 1
	# shellcheck disable=SC2086
	make -s -C "$scratch" O="$w1" CC='ccache gcc' -j"$J" W=1 $objs >"$out/w1.log" 2>&1 ||
		return 1
	sed -n 's/:[0-9:]* warning:/: warning:/p' "$out/w1.log" | sort -u
}

say "building the touched files of base with W=1"
cat "$top/configs/run.config" "$top/configs/test.config" "$top/configs/kunit.config" >"$w1/fragment"
(cd "$w1" && echo "$files" | sed 's/c$/o/' | xargs rm -f)
warnings >"$out/known" || die 2 "base does not build with W=1, see $out/w1.log"
patches=$(series | sed -n "/^[0-9]*-*${1-}/,\$p")
[ "$patches" ] || die 2 "'$1' names no patch of series"
for p in $patches; do
	commit=$(commit_of "$p")
	# What is built: no documentation, no other architectures, no other selftests.
	ksft=$(git -C "$linux" rev-parse -q --verify "$commit:tools/testing/selftests/mm")
	id=$({
		git -C "$linux" ls-tree "$commit" | grep -vwE 'Documentation|arch|tools'
		git -C "$linux" ls-tree "$commit:arch" Kconfig x86
		git -C "$linux" ls-tree "$commit:tools" | grep -vw testing
		cat "$w1/fragment"
	} | sha256sum | cut -c1-40)
	if [ -e "$passed/$id" ] && [ -e "$passed/$ksft" ] && [ -z "${FORCE-}" ]; then
		echo "[PASS] $p (before)"
		continue
	fi
	git -C "$scratch" checkout -q -f --detach "$commit"
	why=''
	frag=''
	[ ! -e "$scratch/lib/tests/pagewalk_kunit.c" ] || frag=kunit.config
	if ! warnings >"$out/new"; then
		why="does not build with W=1, see $out/$p.log"
	elif new=$(grep -vxFf "$out/known" "$out/new"); then
		why="new warning: $(echo "$new" | head -n 1)"
	elif ! "$s/kernel.sh" "$scratch" kunit run.config $frag >"$out/build" 2>&1; then
		why=$(tail -n 1 "$out/build")
	elif [ "$frag" ]; then
		r=$out/${p%.patch}
		boot_kunit "$scratch/.obj-kunit" "$r" max panic_on_warn=1 >/dev/null
		# What a skip needs has a reason; which tests there are yet has no list.
		"$s/judge.py" --list "$r" >"$out/expected"
		"$s/judge.py" --expect "$out/expected" --allow "$top/tests/splats.allowed" "$r" \
			>"$out/judge" || why="KUnit: $(sed -n 2p "$out/judge")"
	fi
	if [ "$why" ]; then
		cp "$out/w1.log" "$out/$p.log"
		echo "[FAIL] $p: $why"
		worse 1
	else
		touch "$passed/$id" "$passed/$ksft"
		echo "[PASS] $p"
	fi
done
finish_result "$out"
exit "$worst"
