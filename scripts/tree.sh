#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: tree.sh
# Imports patches/ as branch "series" of build/linux. Replaces only what it
# imported or exported itself: work that patches/ does not have is kept.

. "$(dirname "$0")/common.sh"

exec 8>"$B/.tree.lock"
flock 8
stamp=$linux/.git/imported	# "<hash of patches/> <tip of the branch>"
id=$(patches_id)
tip=$(git -C "$linux" rev-parse -q --verify refs/heads/series || :)
read -r old_id old_tip 2>/dev/null <"$stamp" || old_id='' old_tip=''

if [ "$tip" ] && [ "$id" = "$old_id" ]; then
	[ "$tip" = "$old_tip" ] || say "note: $linux is ahead of patches/ (make export)"
	exit 0
fi

if [ "$tip" ] && [ "$tip" != "$old_tip" ]; then
	# A branch that was made by hand: fine if it says what patches/ say.
	guard "$B/tree.tmp" "comparing failed"
	rm -rf "$B/tree.tmp"
	format_patches "$linux" base..series "$B/tree.tmp"
	same=$(cd "$B/tree.tmp" && cat -- *.patch 2>/dev/null | cksum)
	rm -rf "$B/tree.tmp"
	unguard
	if [ "$same" = "$(cd "$top/patches" && series | xargs -r cat | cksum)" ]; then
		echo "$id $tip" >"$stamp"
		exit 0
	fi
	die 2 "branch series of $linux has commits that patches/ lacks, and patches/ changed:" \
		"make export (keeps the branch), or git -C $linux branch -m series old (keeps patches/)"
fi
[ -z "$(git -C "$linux" status --porcelain --untracked-files=no)" ] ||
	die 2 "$linux has uncommitted changes: commit them and make export, or git stash"
for f in rebase-merge rebase-apply; do
	[ ! -e "$linux/.git/$f" ] || die 2 "$linux: finish the rebase first (git status)"
done

# Apply in a sparse worktree, so that a patch that fails leaves no trace.
wt=$B/import.tmp
guard "$wt" "importing failed: is the disk full?"
rm -rf "$wt"
git -C "$linux" worktree prune
git -C "$linux" worktree add -q --no-checkout --detach "$wt" base
export GIT_CONFIG_COUNT=2
export GIT_CONFIG_KEY_0=core.sparseCheckout GIT_CONFIG_VALUE_0=true
export GIT_CONFIG_KEY_1=core.looseCompression GIT_CONFIG_VALUE_1=0
sparse=$(git -C "$wt" rev-parse --git-path info/sparse-checkout)
mkdir -p "${sparse%/*}"
(cd "$top/patches" && series | xargs -r sed -n 's,^diff --git a/.* b/,/,p') |
	sort -u >"$sparse"
git -C "$wt" read-tree -mu HEAD
for p in $(series); do
	git -C "$wt" am -q --no-3way --committer-date-is-author-date \
		"$top/patches/$p" >"$B/am.log" 2>&1 ||
		die 2 "patches/$p does not apply on base (see $B/am.log): correct it or series"
done
tip=$(git -C "$wt" rev-parse HEAD)
unset GIT_CONFIG_COUNT
git -C "$linux" checkout -q -B series "$tip"
echo "$id $tip" >"$stamp"
git -C "$linux" worktree remove --force "$wt"
unguard
say "imported $(series | wc -l) patches, branch series is $(git -C "$linux" rev-parse --short series)"
