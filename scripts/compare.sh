#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: compare.sh
# Boots the base and the patched kernel of "make run", one after the other, and
# has each of them say of many kinds of mappings what its readers of page tables
# find there (tests/zoo.c). Where they differ must match tests/compare.allowed.

. "$(dirname "$0")/common.sh"

s=$top/scripts
"$s/kernel.sh" "$base" run run.config small.config
"$s/kernel.sh" "$linux" run run.config small.config
out=$(new_result compare)
gcc -O2 -Wall -static -isystem "$linux/.obj-run/usr/include" -o "$out/zoo" \
	"$top/tests/zoo.c" || die 2 "tests/zoo.c does not compile with $linux/.obj-run/usr/include"
say "booting both kernels (two minutes), logs in $out"
for k in base linux; do
	QUIET=1 GUEST="norandmaps memmap=3G!4G memmap=512M!7G numa=fake=2 \
hugepagesz=1G hugepages=2 hugepagesz=2M hugepages=64" \
		"$s/boot.sh" "$B/$k/.obj-run" "$out/$k" pagewalk "$out/zoo"
	printf '%s: ' "$k"
	"$s/judge.py" "$out/$k" || worse $?
	grep -a '^# ' "$out/$k/ktap.log" >"$out/$k.txt" || die 2 "$out/$k/ktap.log is empty"
done
diff -a "$out/base.txt" "$out/linux.txt" >"$out/diff" || [ $? = 1 ]
grep -a '^[<>]' "$out/diff" >"$out/differ" || :
sed '/^#/d;/^$/d' "$top/tests/compare.allowed" >"$out/needed"
sed 's/^? //' "$out/needed" >"$out/allowed"
while read -r re; do
	case $re in '? '*) continue ;; esac
	grep -qE "$re" "$out/differ" || {
		echo "nothing differs like '$re': remove it from tests/compare.allowed"
		worse 1
	}
done <"$out/needed"
if grep -vE -f "$out/allowed" "$out/differ" >"$out/unexpected"; then
	head -n 20 "$out/unexpected"
	echo "is not expected: mend the patch, or say why in tests/compare.allowed"
	worse 1
fi
echo "$(wc -l <"$out/linux.txt") lines, $(grep -c '^>' "$out/differ") of them differ as expected, $(wc -l <"$out/unexpected") otherwise"
finish_result "$out" unexpected
exit "$worst"
