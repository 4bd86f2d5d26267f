#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: ksft.sh OBJ BINARY RESULT [PATTERN]
# Runs every test of the kselftest BINARY, or those that match PATTERN, on the
# kernel of OBJ. A test that takes the kernel down is noted in RESULT/<n>/crashed,
# and the next boot goes on behind it. CPU, APPEND and TIMEOUT as in boot.sh.

. "$(dirname "$0")/common.sh"

obj=$1 binary=$2 result=$3 n=0
rm -rf "$result"
mkdir -p "$result"
# The list is a table of fixtures with their variants and, beside, their tests.
"$binary" -l 2>&1 | awk '
function flush(  i, j) {
	for (i = 1; i <= nv || i == 1; i++) for (j = 1; j <= nt; j++)
		print f (nv ? "." v[i] : "") "." t[j]
	nv = nt = 0
}
/^[#-]/ { next }
{
	c[1] = substr($0, 1, 20); c[2] = substr($0, 22, 25); c[3] = substr($0, 48)
	for (i = 1; i <= 3; i++) gsub(/ /, "", c[i])
	if (c[1] != "") { flush(); f = c[1] }
	if (c[2] != "") v[++nv] = c[2]
	if (c[3] != "") t[++nt] = c[3]
}
END { flush() }' | grep -e "${4-.}" >"$result/list"

opts=''
[ $# -lt 4 ] || opts=$(sed 's/^/-r /' "$result/list" | tr '\n' ' ')
while :; do
	n=$((n + 1))
	"$top/scripts/boot.sh" "$obj" "$result/$n" "pagewalk $opts" "$binary"
	! grep -q '^DONE' "$result/$n/ktap.log" || break
	"$top/scripts/judge.py" --left "$result/list" "$result"/[0-9]* >"$result/left"
	if ! grep -q '^1\.\.' "$result/$n/ktap.log" || ! [ -s "$result/left" ]; then
		break		# not a test's doing
	fi
	head -n 1 "$result/left" >"$result/$n/crashed"
	opts=$(sed -n '2,$s/^/-r /p' "$result/left" | tr '\n' ' ')
	[ "$opts" ] || break
done
