#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: judge-selftest.sh
# Gives judge.py the logs of judge-logs/ and sees that it says of each what
# its first line wants. What follows "@file" in a log is that file's text;
# "@fail" has the tests that must fail.

. "$(dirname "$0")/common.sh"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n=0 bad=0
echo "1..$(find "$top/scripts/judge-logs" -type f | wc -l)"
for log in "$top"/scripts/judge-logs/*; do
	n=$((n + 1)) r=$dir/$n got=0
	mkdir "$r"
	awk -v r="$r/" '/^@/ { f = r substr($0, 2); printf "" >f; next } f { print >f }' "$log"
	want=$(sed -n '1s/want //p' "$log")
	set -- --expect "$r/expect" --allow "$r/allow"
	[ ! -e "$r/fail" ] || set -- "$@" --fail "$(cat "$r/fail")"
	"$top/scripts/judge.py" "$@" "$r" >"$r/out" || got=$?
	if [ "$got" = "$want" ]; then
		echo "ok $n ${log##*/}"
	else
		echo "not ok $n ${log##*/}: got $got, wants $want: $(head -n 2 "$r/out" | tr '\n' ' ')"
		bad=1
	fi
done
exit $bad
