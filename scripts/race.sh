#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: race.sh
# Boots the patched debug kernel with tests/race-delay.patch, which has a walk
# wait before and after it calls back for a PMD entry, and runs what the
# kselftest "pagewalk" has of races, some of it for longer: a walk that guesses
# when to look again at an entry loses pages there.

. "$(dirname "$0")/common.sh"

s=$top/scripts
use_scratch "$(git -C "$linux" rev-parse series)"
git -C "$scratch" apply "$top/tests/race-delay.patch" || die 2 "tests/race-delay.patch does not apply"
"$s/kernel.sh" "$scratch" race run.config test.config kunit.config
out=$(new_result race)
APPEND='panic_on_warn=1 walk_delay=4000' "$s/boot.sh" "$scratch/.obj-race" "$out/boot" \
	'pagewalk -f race; PAGEWALK_RACE_MS=6000 pagewalk -r race.dontneed.pagemap -r race.dontneed.mincore' \
	"$scratch/.obj-race/ksft/pagewalk"
printf 'kselftest with delays: '
"$s/judge.py" --allow "$top/tests/splats.allowed" "$out/boot" || worse $?
git -C "$scratch" checkout -q -f
finish_result "$out"
exit "$worst"
