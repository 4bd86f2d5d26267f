#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: race.sh
# Boots the patched debug kernel with tests/race-delay.patch, which has a walk
# wait before and after it calls back for a PMD entry, and for_each_pt_leaf()
# before it locks one, and runs what the kselftest "pagewalk" has of races. Then
# has for_each_pt_leaf() pass over a table that has gone away: that must be seen.

. "$(dirname "$0")/common.sh"

s=$top/scripts obj=$scratch/.obj-race
use_scratch series
git -C "$scratch" apply "$top/tests/race-delay.patch" ||
	die 2 "tests/race-delay.patch does not apply: adapt it to mm/pagewalk.c and mm/pt_leaf.c"
"$s/kernel.sh" "$scratch" race run.config test.config kunit.config
out=$(new_result race)
APPEND='panic_on_warn=1 walk_delay=4000' "$s/boot.sh" "$obj" "$out/right" \
	'PAGEWALK_RACE_MS=1000 pagewalk -f race' "$obj/ksft/pagewalk"
APPEND='walk_delay=4000 walk_guess=1' "$s/boot.sh" "$obj" "$out/guess" \
	'PAGEWALK_RACE_MS=6000 pagewalk -r race.dontneed.pagemap -r race.dontneed.mincore' \
	"$obj/ksft/pagewalk"
printf 'races, with delays: '
grep '^race\.' "$top/tests/selftests.expected" >"$out/expected"
"$s/judge.py" --expect "$out/expected" --allow "$top/tests/splats.allowed" "$out/right" || worse $?
printf 'the same with a loop that guesses: '
"$s/judge.py" --fail 'race.dontneed.pagemap race.dontneed.mincore' "$out/guess" || worse $?
git -C "$scratch" checkout -q -f
finish_result "$out"
exit "$worst"
