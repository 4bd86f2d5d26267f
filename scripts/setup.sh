#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: setup.sh
# Installs missing packages (as root; otherwise prints the command) and
# makes the base kernel in build/linux and build/base: from KSRC, a git tree
# or a directory of v7.3, or else from Debian's linux-source-7.3.

. "$(dirname "$0")/common.sh"

version=7.3.4
packages="b4 bc bison busybox-static ccache coccinelle cpio flex gcc git libc6-dev
libelf-dev make patch perl python3 qemu-system-x86 quilt shellcheck xz-utils"

install_packages() {
	command -v dpkg-query >/dev/null || return 0	# not Debian: hope
	missing=
	for p in $packages; do
		dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null |
			grep -q '^installed' || missing="$missing $p"
	done
	[ "$missing" ] || return 0
	cmd="apt-get install -y --no-install-recommends$missing"
	[ "$(id -u)" = 0 ] || die 2 "packages are missing, run: sudo $cmd"
	say "installing$missing"
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive $cmd >"$B/apt.log" 2>&1 ||
	{ apt-get update && DEBIAN_FRONTEND=noninteractive $cmd; } \
		>"$B/apt.log" 2>&1 || die 2 "failed: $cmd (see $B/apt.log)"
}

# Print "blob path" of each file as the first patch that touches it saw it.
preimages() {
	(cd "$top/patches" && series | xargs -r cat) | awk '
	/^diff --git a\// { f = substr($3, 3) }
	/^index / && !(f in seen) { seen[f] = 1; split($2, i, "."); print i[1], f }'
}

check_ksrc() {
	[ -f "$KSRC/mm/pagewalk.c" ] || git -C "$KSRC" cat-file -e HEAD:mm/pagewalk.c \
		2>/dev/null || die 2 "KSRC=$KSRC is no kernel tree: give a v7.3 tree"
	preimages | while read -r blob file; do
		if [ -e "$KSRC/.git" ]; then
			have=$(git -C "$KSRC" rev-parse -q --verify "HEAD:$file" || :)
		else
			have=$(git hash-object "$KSRC/$file" 2>/dev/null || :)
		fi
		[ "${have:-0000000000000000000000000000000000000000}" = "$blob" ] ||
			die 2 "KSRC=$KSRC: $file is not the one of v7.3 that the patches" \
				"were made for (want blob $blob): give a v$version tree"
	done
}

# Debian 12 does not list the suite that has the package: ask the mirror that
# this machine uses for it, without touching the system's configuration.
download() {
	deb=$(find "$B/dl/" -name "linux-source-7.3_$version-*.deb" 2>/dev/null | head -n 1)
	[ -z "$deb" ] || return 0
	# shellcheck disable=SC2016
	uri=$(apt-get indextargets --format '$(REPO_URI) $(LABEL) $(COMPONENT)' |
		awk '$2 == "Debian" && $3 == "main" { print $1; exit }')
	[ "$uri" ] || die 2 "apt lists no Debian archive: give KSRC=/path/to/v7.3"
	mkdir -p "$B/apt/lists/partial"
	for suite in trixie-backports experimental; do
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
			"$uri $suite main"
	done >"$B/apt/sources.list"
	opt="-o Dir::Etc::SourceList=$B/apt/sources.list
		-o Dir::Etc::SourceParts=/nonexistent -o Dir::State::Lists=$B/apt/lists
		-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User="
	say "downloading linux-source-7.3 $version (167 MB)"
	# shellcheck disable=SC2086
	{
		apt-get $opt update || :	# what counts is that it knows the package
		pkg=$(apt-cache $opt madison linux-source-7.3 |
			awk -v v="$version-" 'index($3, v) == 1 { print $3; exit }')
		rm -rf "$B/dl.tmp"
		mkdir -p "$B/dl.tmp" "$B/dl"
		[ "$pkg" ] && (cd "$B/dl.tmp" && apt-get $opt download "linux-source-7.3=$pkg")
	} >"$B/apt.log" 2>&1 ||
		die 2 "cannot get linux-source-7.3 $version (see $B/apt.log):" \
			"check the network, or give KSRC=/path/to/v7.3"
	mv "$B"/dl.tmp/*.deb "$B/dl/"
	rmdir "$B/dl.tmp"
	deb=$(find "$B/dl/" -name "linux-source-7.3_$version-*.deb")
}

make_tree() {
	free=$(df -Pk "$B" | awk 'NR == 2 { print int($4 / 1048576) }')
	[ "$free" -ge "${NEED_GB:-12}" ] ||
		die 2 "$B needs ${NEED_GB:-12} GB, $free are free: make room, or set B=/elsewhere"
	if [ "${KSRC-}" ]; then check_ksrc; else download; fi
	tmp=$B/linux.tmp
	rm -rf "$tmp"
	guard "$tmp" "making $linux was not finished (interrupted? disk full?): run it again"
	if [ "${KSRC-}" ] && [ -e "$KSRC/.git" ]; then
		say "cloning $KSRC"
		git clone -q --shared --no-checkout "$KSRC" "$tmp"
		git -C "$tmp" checkout -q -B base "$(git -C "$KSRC" rev-parse HEAD)" 2>/dev/null
	else
		mkdir "$tmp"
		if [ "${KSRC-}" ]; then
			say "copying $KSRC"
			cp -a "$KSRC/." "$tmp" 2>/dev/null
		else
			say "unpacking ${deb##*/}"
			dpkg-deb --fsys-tarfile "$deb" |
			tar -xO ./usr/src/linux-source-7.3.tar.xz |
			xz -dc -T2 | tar -x --strip-components=1 -C "$tmp" 2>/dev/null
			# Debian's .gitignore ends in "/*": it would hide new files.
			sed -i -e '/^# Debian packaging/,$d' "$tmp/.gitignore"
		fi
		say "committing it to branch base (about a minute)"
		git -C "$tmp" init -q -b base
		git -C "$tmp" config core.looseCompression 0
		git -C "$tmp" config gc.auto 0
		git -C "$tmp" add -A -f 2>/dev/null
		date='2026-01-01T00:00:00Z'
		GIT_COMMITTER_DATE=$date git -C "$tmp" -c user.name=series -c user.email=series@localhost \
			commit -q --date "$date" -m "Linux $(make -s -C "$tmp" kernelversion)" \
			>/dev/null
	fi
	echo "${KSRC-}" >"$tmp/.git/made-from"
	mv "$tmp" "$linux"
	unguard
}

mkdir -p "$B" 2>/dev/null || die 2 "cannot make $B: set B=/elsewhere"
if [ "${KSRC-}" ]; then
	KSRC=$(cd "$KSRC" 2>/dev/null && pwd) || die 2 "KSRC: no such directory: give a v7.3 tree"
fi
install_packages
command -v qemu-system-x86_64 >/dev/null ||
	die 2 "no qemu-system-x86_64 in PATH: apt-get install qemu-system-x86"
made_from=$(cat "$linux/.git/made-from" 2>/dev/null || :)
if ! [ -d "$linux" ]; then
	make_tree
elif [ "${KSRC-}" ] && [ "$KSRC" != "$made_from" ]; then
	die 2 "$linux was not made from KSRC=$KSRC: unset KSRC, or set B=/another/directory"
fi
if ! [ -d "$base" ]; then
	say "checking out branch base in $base"
	guard "$base.tmp" "making $base was not finished (interrupted? disk full?): run it again"
	rm -rf "$base.tmp"
	git -C "$linux" worktree prune
	git -C "$linux" -c checkout.workers=2 worktree add -q --detach "$base.tmp" base 2>/dev/null
	git -C "$linux" worktree move "$base.tmp" "$base"
	unguard
fi
