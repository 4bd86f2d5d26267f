# SPDX-License-Identifier: GPL-2.0
# Sourced by the other scripts: where things are, and how to stop.
# shellcheck shell=sh disable=SC2034
set -eu

top=$(cd "$(dirname "$0")/.." && pwd -P)
B=${B:-$top/build}
linux=$B/linux			# workbench: branch base, branch series
base=$B/base			# worktree of branch base
scratch=$B/scratch		# worktree for "each" and "must-fail"
J=${J:-$(nproc)}
TIMEOUT=${TIMEOUT:-600}
name=${0##*/}

# Neither the user's git configuration nor an outer make may change a result.
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 LC_ALL=C TZ=UTC
export GIT_COMMITTER_NAME=series GIT_COMMITTER_EMAIL=series@localhost
unset MAKEFLAGS MAKELEVEL MFLAGS GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE

say() { echo "$name: $*"; }
garbage=''
die() {
	trap - EXIT
	[ -z "$garbage" ] || rm -rf "$garbage"
	code=$1
	shift
	echo "$name: $*" >&2
	exit "$code"
}

# While something is half made: one line and a status, whatever ends us.
guard() {	# what to remove, what to say
	garbage=$1 excuse=$2
	trap 'rm -rf "$garbage"; echo "$name: $excuse" >&2; exit 2' EXIT
	trap 'die 130 "interrupted, nothing is left half made"' INT TERM HUP
}
unguard() { garbage=''; trap - EXIT INT TERM HUP; }

# The comment block below the copyright line is the script's help.
case ${1-} in
-h|--help)
	sed -n '3,/^[^#]/s/^# \{0,1\}//p' "$0"
	exit 0 ;;
esac

series() { sed -e 's/[[:space:]]*#.*//' -e '/^$/d' "$top/series"; }

# A part is what "# <part>: ..." in series begins, if it has a cover letter.
parts() { (cd "$top/patches" && for f in *.cover; do echo "${f%.cover}"; done); }
series_of() {	# part
	awk -v part="$1:" -v parts="$(parts | tr '\n' ' ')" '
		BEGIN { n = split(parts, c, " "); for (i in c) is[c[i] ":"]; on = n == 1 }
		/^#/ { if (n > 1 && ($2 in is)) on = $2 == part; next }
		NF && on { print $1 }' "$top/series"
}

# What the patch directory says, as one hash.
patches_id() {
	(cd "$top/patches" && series | xargs -r sha256sum 2>&1) | sha256sum | cut -c1-40
}

format_patches() {	# repository, range, directory
	git -C "$1" -c core.abbrev=40 format-patch -q -N --zero-commit \
		--no-signature --full-index --diff-algorithm=myers \
		--no-base -o "$3" "$2"
}

mirrored() {	# files below the directories that hold what the series adds
	{ cd "$top"; find include mm lib tools Documentation scripts/coccinelle \
		-type f 2>/dev/null || :; } | sort
}

new_result() {	# kind -> a directory of its own
	d=$B/results/$1/$(date +%Y%m%d-%H%M%S)
	mkdir -p "$d"
	echo "$d"
}

boot_kunit() {	# OBJ, RESULT, CPU, what else the kernel is told
	CPU=$3 APPEND="transparent_hugepage_shmem=always kunit.enable=1 kunit.autorun=1 $4" \
		"$top/scripts/boot.sh" "$1" "$2" 'cat /sys/kernel/debug/kunit/*/results'
}

finish_result() {	# directory, file to name last
	ln -sfn "${1##*/}" "${1%/*}/latest"
	echo "$1${2:+/$2}"
}

worst=0
rank() { case $1 in 0) echo 0 ;; 1) echo 1 ;; 124) echo 2 ;; 3) echo 3 ;; *) echo 4 ;; esac; }
worse() { [ "$(rank "$1")" -le "$(rank "$worst")" ] || worst=$1; }

use_scratch() {	# commit
	git -C "$linux" worktree prune
	if ! [ -e "$scratch/.git" ]; then
		git -C "$linux" -c checkout.workers=2 worktree add -q -f --detach "$scratch" "$1"
	fi
	git -C "$scratch" checkout -q -f --detach "$1"
	git -C "$scratch" clean -qfd
}

# The commit of a patch, whose name may lack the number and the end.
commit_of() {
	line=$(series | grep -n "^[0-9]*-*$1" | cut -d: -f1)
	case $line in
	''|*[!0-9]*) die 2 "'$1' names no patch of series, or more than one" ;;
	esac
	git -C "$linux" rev-list --reverse base..series | sed -n "${line}p"
}
