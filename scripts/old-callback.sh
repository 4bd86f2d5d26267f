#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: old-callback.sh OBJ
# Compiles tests/old-callback.c the way mm/pagewalk.c was compiled in OBJ: with
# callbacks of the type that they have now it builds, and of those of the old
# type each one must be refused.

. "$(dirname "$0")/common.sh"

obj=$1 file=$top/tests/old-callback.c
tmp=$(mktemp -d)
guard "$tmp" "could not compile $file"
# What comes behind the compiler's command is objtool's, and not for us.
sed -n 's/^savedcmd_mm\/pagewalk\.o := //p' "$obj/mm/.pagewalk.o.cmd" |
	sed 's/ ;.*//; s/-Wp,-MMD,[^ ]*//; s/ -c -o .*/ -fsyntax-only "$@"/' >"$tmp/cc"
[ -s "$tmp/cc" ] || die 2 "$obj has no command that compiles mm/pagewalk.c"
cc() { (cd "$obj" && sh "$tmp/cc" "$@" "$file" 2>&1); }

if ! cc >"$tmp/new"; then
	echo "[FAIL] callbacks of the new type: $(grep -m 1 error: "$tmp/new")"
	worse 1
fi
cc -DOLD >"$tmp/old" || :
grep -n 'ERROR \*/$' "$file" | cut -d: -f1 >"$tmp/due"
sed -n 's/^[^:]*:\([0-9]*\):.* error: .*-Werror=incompatible-pointer-types.*/\1/p' \
	"$tmp/old" | sort -n >"$tmp/refused"
if [ "$(grep -c 'error:' "$tmp/old")" = "$(wc -l <"$tmp/due")" ] &&
	cmp -s "$tmp/due" "$tmp/refused"; then
	[ "$worst" != 0 ] || echo "[PASS] callbacks: all $(wc -l <"$tmp/due") of the old type are refused"
else
	echo "[FAIL] callbacks of the old type: refused in lines $(xargs <"$tmp/refused"), due are $(xargs <"$tmp/due")"
	worse 1
fi
rm -rf "$tmp"
unguard
exit "$worst"
