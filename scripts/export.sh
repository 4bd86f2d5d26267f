#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: export.sh
# Writes branch "series" of build/linux to patches/ and series, and mirrors
# the files that it adds. Nothing is changed unless all of it can be.

. "$(dirname "$0")/common.sh"

dirty=$(git -C "$linux" status --porcelain --untracked-files=no | head -n 1)
[ -z "$dirty" ] || die 2 "$linux is dirty (${dirty# }): commit or stash it first"
for f in rebase-merge rebase-apply; do
	[ ! -e "$linux/.git/$f" ] || die 2 "$linux: finish the rebase first (git status)"
done
git -C "$linux" merge-base --is-ancestor base series ||
	die 2 "branch series of $linux is not on top of base: git rebase --onto base <from> series"
bad=$(git -C "$linux" log --format=%s base..series | grep -E '^(fixup|squash|amend)!' | head -n 1 || :)
[ -z "$bad" ] || die 2 "'$bad' is to be folded: git -C $linux rebase -i --autosquash base"

tmp=$B/export.tmp
guard "$tmp" "export failed, nothing was changed: is the disk full?"
rm -rf "$tmp"
mkdir -p "$tmp/new" "$top/patches"
format_patches "$linux" base..series "$tmp/new"
(cd "$tmp/new" && ls) >"$tmp/names"
find "$top/patches" -mindepth 1 ! -name '*.patch' -exec cp -a {} "$tmp/new/" \;
touch "$top/series"
"$top/scripts/sections.py" "$top/series" "$tmp/names" >"$tmp/series"
git -C "$linux" diff --no-renames --diff-filter=A --name-only base series >"$tmp/added"
mkdir "$tmp/mirror"
xargs -r git -C "$linux" archive series <"$tmp/added" >"$tmp/mirror.tar"
[ ! -s "$tmp/mirror.tar" ] || tar -xf "$tmp/mirror.tar" -C "$tmp/mirror"

# Only renames from here on, but for the mirror (make check compares it).
trap '' INT TERM HUP
[ "$(cut -d' ' -f1 "$linux/.git/imported" 2>/dev/null)" = "$(patches_id)" ] ||
	say "patches/ had changes that were never imported: they are kept in $B/patches.old"
rm -rf "$B/patches.old"
mv "$top/patches" "$B/patches.old"
mv "$tmp/new" "$top/patches"
mv "$tmp/series" "$top/series"
mirrored | { grep -vxFf "$tmp/added" || :; } | (cd "$top" && xargs -r rm --)
cp -a "$tmp/mirror/." "$top/"
echo "$(patches_id) $(git -C "$linux" rev-parse series)" >"$linux/.git/imported"
rm -rf "$tmp"
unguard
say "wrote $(series | wc -l) patches"
