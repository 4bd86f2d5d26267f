#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: nospecial.sh
# Runs the KUnit suites on x86 made to be an architecture that cannot mark PMDs
# and PUDs as special: the other half of vm_normal_page_pmd() and _pud().

. "$(dirname "$0")/common.sh"

export KCFLAGS="-include $top/tests/no-special.h"
"$top/scripts/kernel.sh" "$linux" nospecial run.config kunit.config
out=$(new_result nospecial)
boot_kunit "$linux/.obj-nospecial" "$out/max" max panic_on_warn=1
# Which tests there are is for "make kunit" to say; others skip here, with a
# reason, but these are what this is about.
"$top/scripts/judge.py" --list "$out/max" >"$out/expected"
sed -i '/^pagewalk\.\(insert_pfn_refuses\.p[mu]d_pfn_has_page\|normal_page_of_a_p[mu]d\)/s/ # SKIP.*//' "$out/expected"
printf 'KUnit, no special bit in PMDs and PUDs: '
"$top/scripts/judge.py" --expect "$out/expected" --allow "$top/tests/splats.allowed" \
	"$out/max" || worse $?
finish_result "$out"
exit "$worst"
