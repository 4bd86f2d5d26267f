#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: cocci.sh
# Has each Coccinelle script that the series adds look at tests/<script>-bad.c,
# where it must report the lines marked "WARN" and no others, and at the files
# of the patched tree that it is for, where it must be silent.

. "$(dirname "$0")/common.sh"

src=${KTREE:-$linux}
command -v spatch >/dev/null || die 2 "no spatch in PATH: apt-get install coccinelle"
out=$(new_result cocci)

spatch_report() {	# script, output, file...
	cocci=$src/scripts/coccinelle/api/$1.cocci log=$2
	[ -e "$cocci" ] || die 2 "the series has no $cocci"
	shift 2
	spatch -D report --no-includes --include-headers --very-quiet \
		--cocci-file "$cocci" "$@" >"$log" 2>"$log.err" ||
		die 2 "spatch failed, see $log.err"
}

see() {	# script, what the files that it is for contain, where
	name=$1 what=$2
	shift 2
	bad=$top/tests/$name-bad.c
	spatch_report "$name" "$out/$name-bad" "$bad"
	grep -n '/\* WARN: ' "$bad" | cut -d: -f1 >"$out/due"
	sed -n 's/^[^:]*:\([0-9]*\):.*/\1/p' "$out/$name-bad" | sort -n -u >"$out/reported"
	if cmp -s "$out/due" "$out/reported"; then
		echo "[PASS] $name: $(wc -l <"$out/due") bad lines, all reported"
	else
		echo "[FAIL] $name: reported lines $(xargs <"$out/reported"), due are $(xargs <"$out/due")"
		worse 1
	fi
	git -C "$src" grep -lE "$what" -- "$@" >"$out/files" ||
		die 2 "nothing in $src has $what"
	# shellcheck disable=SC2046
	(cd "$src" && spatch_report "$name" "$out/$name-tree" $(cat "$out/files"))
	if [ -s "$out/$name-tree" ]; then
		echo "[FAIL] $name: $(head -n 1 "$out/$name-tree")"
		worse 1
	else
		echo "[PASS] $name: silent on $(wc -l <"$out/files") files"
	fi
}

see pagewalk '^#include <linux/pagewalk\.h>' '*.c' '*.h'
see special_leaf 'p[mu]d_special\(' '*.c'
finish_result "$out"
exit "$worst"
