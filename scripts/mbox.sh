#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: mbox.sh
# Writes the series as mail to build/mbox/<part>.mbox, one file for each cover
# letter patches/<part>.cover (first line: Subject:), and proves that b4
# takes it. git am needs --empty=drop, for the cover. With several parts, the
# comment "# <part>: ..." in series begins each.

. "$(dirname "$0")/common.sh"

out=$B/mbox
[ "$(cut -d' ' -f2 "$linux/.git/imported" 2>/dev/null)" = "$(git -C "$linux" rev-parse series)" ] ||
	die 2 "$linux and patches/ differ: make export first"
ls "$top"/patches/*.cover >/dev/null 2>&1 ||
	die 2 "no cover letter: write patches/<part>.cover, first line \"Subject: ...\""
guard "$out.tmp" "writing the mail failed"
rm -rf "$out.tmp" "$out"
mkdir -p "$out.tmp/b4"
author=$(git -C "$linux" log -1 --format='%an' series)
email=$(git -C "$linux" log -1 --format='%ae' series)
export GIT_COMMITTER_NAME="$author" GIT_COMMITTER_EMAIL="$email"
export GIT_CONFIG_COUNT=2		# b4 wants to know who runs it
export GIT_CONFIG_KEY_0=user.name GIT_CONFIG_VALUE_0="$author"
export GIT_CONFIG_KEY_1=user.email GIT_CONFIG_VALUE_1="$email"
for part in $(parts); do
	cover=$top/patches/$part.cover
	first=$(series_of "$part" | head -n 1)
	last=$(series_of "$part" | tail -n 1)
	[ "$first" ] || die 2 "series has no section '# $part: ...' for patches/$part.cover"
	git -C "$linux" format-patch -q --stdout --cover-letter --thread=shallow \
		--no-base --no-signature --full-index --diff-algorithm=myers \
		"$(commit_of "$first")~1..$(commit_of "$last")" >"$out.tmp/raw"
	python3 - "$cover" "$out.tmp/raw" >"$out.tmp/$part.mbox" <<-'END'
	import re
	import sys
	cover, raw = (open(f).read() for f in sys.argv[1:])
	subject, _, body = cover.removeprefix("Subject: ").partition("\n")
	# b4 0.12 trips over folded headers.
	raw = re.sub(r"^((?:From|Subject): .*)\n ", r"\1 ", raw, flags=re.M)
	raw = raw.replace("*** SUBJECT HERE ***", subject.strip(), 1)
	sys.stdout.write(raw.replace("*** BLURB HERE ***", body.strip(), 1))
	END
	rm "$out.tmp/raw"
	mkdir "$out.tmp/b4/$part"
	b4 --offline-mode -n am -m "$out.tmp/$part.mbox" -o "$out.tmp/b4/$part" >"$B/b4.log" 2>&1 ||
		die 2 "b4 does not take $part.mbox, see $B/b4.log"
	n=$(cat "$out.tmp/b4/$part"/*.mbx | grep -c '^Subject: \[PATCH')
	[ "$n" = "$(series_of "$part" | wc -l)" ] || die 2 "b4 found $n patches in $part.mbox"
done
mv "$out.tmp" "$out"
unguard
ls "$out"/*.mbox
