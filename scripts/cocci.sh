#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: cocci.sh
# Has scripts/coccinelle/api/pagewalk.cocci of the patched tree look at the
# callbacks of tests/pagewalk-bad.c, where it must report the lines marked
# "WARN" and no others, and at all files of the tree that include
# <linux/pagewalk.h>, where it must be silent.

. "$(dirname "$0")/common.sh"

bad=$top/tests/pagewalk-bad.c
src=${KTREE:-$linux}
cocci=$src/scripts/coccinelle/api/pagewalk.cocci
command -v spatch >/dev/null || die 2 "no spatch in PATH: apt-get install coccinelle"
[ -e "$cocci" ] || die 2 "the series has no scripts/coccinelle/api/pagewalk.cocci"
out=$(new_result cocci)

spatch_report() {	# output, file...
	log=$1
	shift
	spatch -D report --no-includes --include-headers --very-quiet \
		--cocci-file "$cocci" "$@" >"$log" 2>"$log.err" ||
		die 2 "spatch failed, see $log.err"
}

spatch_report "$out/bad" "$bad"
grep -n "/\* WARN: " "$bad" | cut -d: -f1 >"$out/due"
sed -n 's/^[^:]*:\([0-9]*\):.*/\1/p' "$out/bad" | sort -n -u >"$out/reported"
if cmp -s "$out/due" "$out/reported"; then
	echo "[PASS] cocci: $(wc -l <"$out/due") bad lines, all reported"
else
	echo "[FAIL] cocci: reported lines $(xargs <"$out/reported"), due are $(xargs <"$out/due")"
	worse 1
fi

git -C "$src" grep -l '^#include <linux/pagewalk\.h>' -- '*.c' '*.h' >"$out/files" ||
	die 2 "nothing in $src includes <linux/pagewalk.h>"
cd "$src"
# shellcheck disable=SC2046
spatch_report "$out/tree" $(cat "$out/files")
if [ -s "$out/tree" ]; then
	echo "[FAIL] cocci: $(head -n 1 "$out/tree")"
	worse 1
else
	echo "[PASS] cocci: silent on $(wc -l <"$out/files") files"
fi
finish_result "$out"
exit "$worst"
