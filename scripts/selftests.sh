#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: selftests.sh
# Boots the patched debug kernel and judges what the kselftest "pagewalk"
# said; once more on a CPU model with L1TF, where mprotect() has more to check.

. "$(dirname "$0")/common.sh"

s=$top/scripts
"$s/kernel.sh" "$linux" test run.config test.config kunit.config
binary=$linux/.obj-test/ksft/pagewalk
[ -e "$binary" ] || die 2 "the series has no tools/testing/selftests/mm/pagewalk.c: nothing to run"
out=$(new_result selftests)
export APPEND='panic_on_warn=1'
"$s/boot.sh" "$linux/.obj-test" "$out/max" pagewalk "$binary"
CPU=Skylake-Client,+pdpe1gb "$s/boot.sh" "$linux/.obj-test" "$out/l1tf" 'pagewalk -t mprotect_none' "$binary"
printf 'kselftest: '
"$s/judge.py" --expect "$top/tests/selftests.expected" \
	--allow "$top/tests/splats.allowed" "$out/max" || worse $?
grep '\.mprotect_none' "$top/tests/selftests.expected" >"$out/expected-l1tf"
printf 'kselftest, CPU with L1TF: '
"$s/judge.py" --expect "$out/expected-l1tf" \
	--allow "$top/tests/splats.allowed" "$out/l1tf" || worse $?
finish_result "$out"
exit "$worst"
