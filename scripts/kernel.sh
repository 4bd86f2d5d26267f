#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: kernel.sh SRC NAME FRAGMENT...
# Builds SRC with allnoconfig plus the fragments of configs/ in SRC/.obj-NAME,
# the last of which has the last word, and the kselftest "pagewalk", static, if
# SRC has it.
# (Below the source, all compiler paths are relative: ccache serves every tree.)
# KCFLAGS in the environment is for the compiler.
# Does nothing when sources and configuration are those of the last build.

. "$(dirname "$0")/common.sh"

src=$1 obj=$1/.obj-$2 log=$B/logs/build-${1##*/}-$2.log
shift 2
mkdir -p "$obj" "$B/logs"
image=$obj/arch/x86/boot/bzImage
state=$(
	git -C "$src" rev-parse 'HEAD^{tree}'
	git -C "$src" diff HEAD
	# (not what the selftests find out about this machine)
	(cd "$src" && git ls-files -o -z -x '/.*' -x 'local_config.*' -x __pycache__ |
		xargs -0 -r sha256sum)
	gcc --version
	[ -z "${KCFLAGS-}" ] || echo "$KCFLAGS"
	cd "$top/configs" && cat "$@"
)
state=$(echo "$state" | sha256sum)
fresh() { [ -e "$image" ] && [ "$state" = "$(cat "$obj/state" 2>/dev/null)" ]; }

! fresh || exit 0
exec 9>"$obj/lock"
flock -n 9 || { say "waiting for another build of $obj"; flock 9; }
! fresh || exit 0
(cd "$top/configs" && cat "$@") | awk '
	/^CONFIG_/ { option = $1; sub(/=.*/, "", option) }
	/^# CONFIG_[A-Z0-9_]* is not set$/ { option = $2 }
	option { if (!(option in last)) order[++n] = option; last[option] = $0; option = "" }
	END { for (i = 1; i <= n; i++) print last[order[i]] }' >"$obj/fragment"
rm -f "$obj/state"

mk() {
	exec make -C "$src" O="$obj" CC='ccache gcc' HOSTCC='ccache gcc' -j"$J" \
		KBUILD_BUILD_TIMESTAMP=@0 KBUILD_BUILD_USER=u KBUILD_BUILD_HOST=h \
		"$@" 9>&-
}
pid=''
trap '{ kill $pid; wait $pid; } 2>/dev/null || :; die 130 "interrupted, run it again to go on"' INT TERM HUP
await() {	# command...: what a signal is to end is make itself
	"$@" >"$log" 2>&1 &
	pid=$!
	wait $pid
}
export CCACHE_DIR="$B/ccache" CCACHE_DEPEND=1 CCACHE_BASEDIR="$src"
steps=$(cat "$B/logs/steps" 2>/dev/null || echo 900)
start=$(date +%s)
if [ "$(cat "$obj/fragment" "$src/Makefile" | cksum)" != "$(cat "$obj/configured" 2>/dev/null)" ] ||
	! await mk -s olddefconfig; then
	await mk KCONFIG_ALLCONFIG="$obj/fragment" allnoconfig ||
		die 2 "configuring $obj failed, see $log"
fi
while read -r line; do
	case $line in
	CONFIG_*) grep -qxF "$line" "$obj/.config" ||
		die 2 "$line did not survive in $obj/.config: check its dependencies" ;;
	'# CONFIG_'*' is not set')
		option=${line#\# } option=${option% is not set}
		! grep "^$option=" "$obj/.config" >&2 ||
			die 2 "$option is set in $obj/.config: see what selects it" ;;
	esac
done <"$obj/fragment"
cat "$obj/fragment" "$src/Makefile" | cksum >"$obj/configured"

mk bzImage >"$log" 2>&1 &
pid=$!
n=0
while kill -0 $pid 2>/dev/null; do
	sleep 1
	n=$((n + 1))
	[ $((n % 15)) != 0 ] || echo "  building ${src##*/} (${obj##*.obj-}):" \
		"$(grep -c '^  [A-Z]' "$log") of about $steps steps, $n s"
done
wait $pid || {
	! grep -q 'Error 130$' "$log" || die 130 "interrupted, run it again to go on"
	grep -m 3 -E 'error|Error|No space' "$log" >&2 || :
	die 2 "building $src failed, see $log"
}
ksft=$src/tools/testing/selftests/mm
rm -rf "$obj/ksft"
if [ -e "$ksft/pagewalk.c" ]; then
	mkdir "$obj/ksft"
	{ (mk -s headers) && make -s -C "$ksft" OUTPUT="$obj/ksft" EXTRA_CFLAGS=-static \
		KHDR_INCLUDES="-isystem $obj/usr/include" "$obj/ksft/pagewalk"; } \
		>>"$log" 2>&1 || die 2 "building the kselftest failed, see $log"
fi
n=$(grep -c '^  [A-Z]' "$log" || :)
[ "$n" -lt 500 ] || echo "$n" >"$B/logs/steps"
echo "$state" >"$obj/state"
say "built ${src##*/} (${obj##*.obj-}) in $(($(date +%s) - start)) s"
