#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: test.sh
# KUnit, then kselftest, in boots of their own; the status is the worse one.

. "$(dirname "$0")/common.sh"

"$top/scripts/kunit.sh" || worse $?
[ "$worst" = 2 ] || "$top/scripts/selftests.sh" || worse $?
exit "$worst"
