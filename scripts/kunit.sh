#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: kunit.sh
# Boots the patched debug kernel, on two CPU models, and judges what its
# KUnit suite "pagewalk" said. Callbacks of the old type must not compile.

. "$(dirname "$0")/common.sh"

s=$top/scripts
"$s/kernel.sh" "$linux" test run.config test.config kunit.config
"$s/old-callback.sh" "$linux/.obj-test" || worse $?
out=$(new_result kunit)
for cpu in max Skylake-Client; do
	CPU=$cpu APPEND='panic_on_warn=1 transparent_hugepage_shmem=always kunit.enable=1 kunit.autorun=1' "$s/boot.sh" \
		"$linux/.obj-test" "$out/$cpu" 'cat /sys/kernel/debug/kunit/*/results'
	printf 'KUnit, -cpu %s: ' $cpu
	"$s/judge.py" --expect "$top/tests/kunit.expected" \
		--allow "$top/tests/splats.allowed" "$out/$cpu" || worse $?
done
finish_result "$out"
exit "$worst"
