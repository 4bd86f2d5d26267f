#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: kunit.sh
# Boots the patched debug kernel, on two CPU models, and judges what its
# KUnit suites said. Callbacks of the old type must not compile.

. "$(dirname "$0")/common.sh"

s=$top/scripts
"$s/kernel.sh" "$linux" test run.config test.config kunit.config
"$s/old-callback.sh" "$linux/.obj-test" || worse $?
out=$(new_result kunit)
for cpu in max Skylake-Client; do
	boot_kunit "$linux/.obj-test" "$out/$cpu" $cpu panic_on_warn=1
	printf 'KUnit, -cpu %s: ' $cpu
	"$s/judge.py" --expect "$top/tests/kunit.expected" \
		--allow "$top/tests/splats.allowed" "$out/$cpu" || worse $?
done
finish_result "$out"
exit "$worst"
