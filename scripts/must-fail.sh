#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: must-fail.sh [PART|PATTERN]
# Drops each fix that tests/must-fail names (or those of PART, or that match
# PATTERN) from its part of the series, boots the rest, and sees exactly the
# fix's tests fail. The part with all its fixes is seen first: it has to pass.

. "$(dirname "$0")/common.sh"

s=$top/scripts obj=$scratch/.obj-kunit
part_of() {	# patch
	for p in $(parts); do
		! series_of "$p" | grep -q "^[0-9]*-*$1" || echo "$p"
	done
}
see_part() {
	"$s/kernel.sh" "$scratch" kunit run.config kunit.config || die 2 "part $part does not build"
	for cpu in max Skylake-Client; do
		boot_kunit "$obj" "$out/part-$part/$cpu" $cpu loglevel=7 >/dev/null
		"$s/judge.py" --list "$out/part-$part/$cpu" >"$out/part-$part/expected-$cpu"
		"$s/judge.py" --expect "$out/part-$part/expected-$cpu" \
			--allow "$top/tests/splats.allowed" "$out/part-$part/$cpu" ||
			die 2 "part $part fails with all its fixes"
	done
	"$s/ksft.sh" "$obj" "$obj/ksft/pagewalk" "$out/part-$part/selftest" >/dev/null
	"$s/judge.py" --fail '' "$out/part-$part/selftest"/[0-9]* ||
		die 2 "part $part fails with all its fixes"
}
out=$(new_result must-fail)
use_scratch series
n=0
grep -v -e '^#' -e '^$' "$top/tests/must-fail" >"$out/list" || :
while read -r patches globs <&3; do
	part=$(part_of "${patches%%,*}")
	case " $part $patches" in *${1-}*) ;; *) continue ;; esac
	case $globs in '#'*) echo "[SKIP] $patches: ${globs#??}"; continue ;; esac
	git -C "$scratch" checkout -q -f --detach "$(commit_of "$(series_of "$part" | tail -n 1)")"
	[ -e "$out/part-$part" ] || see_part
	# Drop the last one first: an earlier one may be needed by it.
	commits=''
	for p in $(echo "$patches" | tr , ' '); do
		commits="$(commit_of "$p") $commits"
	done
	fix=${patches%%,*} res=$out/${patches%%,*}
	# shellcheck disable=SC2086
	# What a later patch made of the fix goes with it ("theirs" is without).
	if ! git -C "$scratch" -c user.name=u -c user.email=u@localhost \
		revert --no-commit -X theirs $commits >"$out/log" 2>&1; then
		git -C "$scratch" revert --abort || :
		echo "[FAIL] $fix: cannot be dropped alone (name the patches on top of it, too)"
		worse 2
		continue
	fi
	git -C "$scratch" revert --quit || :
	if ! "$s/kernel.sh" "$scratch" kunit run.config kunit.config; then
		echo "[FAIL] $fix: the rest does not build"
		worse 2
		continue
	fi
	kunit='' selftest='' l1tf='' verdict=PASS
	for g in $globs; do
		case $g in
		kunit:*) kunit="$kunit ${g#*:}" ;;
		selftest:*) selftest="$selftest ${g#*:}" ;;
		l1tf:*) l1tf="$l1tf ${g#*:}" ;;
		*) die 2 "tests/must-fail: '$g' is not kunit:, selftest: or l1tf:" ;;
		esac
	done
	for cpu in max Skylake-Client; do
		boot_kunit "$obj" "$res/kunit-$cpu" $cpu loglevel=7 >/dev/null
		# A case that takes the kernel down leaves what the console saw.
		grep -q '^DONE' "$res/kunit-$cpu/ktap.log" ||
			cp "$res/kunit-$cpu/console.log" "$res/kunit-$cpu/ktap.log"
		"$s/judge.py" --expect "$out/part-$part/expected-$cpu" --fail "$kunit" \
			"$res/kunit-$cpu" >>"$res/judge" || verdict=FAIL
		kunit="$kunit $l1tf"
	done
	"$s/ksft.sh" "$obj" "$obj/ksft/pagewalk" "$res/selftest" >/dev/null
	"$s/judge.py" --fail "$selftest" "$res/selftest"/[0-9]* >>"$res/judge" || verdict=FAIL
	echo "[$verdict] $fix"
	grep '^   *' "$res/judge" || :
	[ $verdict = PASS ] || worse 1
	n=$((n + 1))
done 3<"$out/list"
[ $n -gt 0 ] || die 2 "tests/must-fail names no fix${1:+ that matches $1}"
finish_result "$out"
exit "$worst"
