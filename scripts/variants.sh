#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: variants.sh
# Runs the KUnit suite in other configurations and on other architectures, with
# the kernel's own kunit.py and lib/tests/pagewalk.kunitconfig. ONLY="<name>
# ..." chooses among the names below. What an architecture needs that is not
# there (QEMU, a cross compiler) is a skip, and says which package has it.

. "$(dirname "$0")/common.sh"

out=$(new_result variants)
config=$linux/lib/tests/pagewalk.kunitconfig
export CCACHE_DIR="$B/ccache" CCACHE_DEPEND=1

variant() {	# name, architecture of kunit.py, option of the configuration...
	v=$1 arch=$2 cross='' log=$out/$1.log
	shift 2
	case " ${ONLY:-$v} " in *" $v "*) ;; *) return 0 ;; esac
	kunit="python3 $linux/tools/testing/kunit/kunit.py"
	case $arch in
	arm64) cross=aarch64-linux-gnu- need='qemu-system-arm gcc-aarch64-linux-gnu'
		image=arch/arm64/boot/Image
		qemu='qemu-system-aarch64 -M virt -cpu max,pauth-impdef=on' console=ttyAMA0 ;;
	riscv) cross=riscv64-linux-gnu- need='qemu-system-misc opensbi gcc-riscv64-linux-gnu'
		image=arch/riscv/boot/Image
		qemu='qemu-system-riscv64 -M virt -cpu rv64,svnapot=true' console=ttyS0 ;;
	*) need=qemu-system-x86 image=arch/x86/boot/bzImage
		qemu="qemu-system-x86_64 -cpu max" console=ttyS0 ;;
	esac
	[ "$arch" = um ] || for tool in "${qemu%% *}" "${cross}gcc"; do
		command -v "$tool" >/dev/null || {
			echo "[SKIP] $v: no $tool: apt-get install $need"
			return 0
		}
	done
	for o; do
		shift
		set -- "$@" --kconfig_add "$o"
	done
	dir=$B/variants/$v
	mkdir -p "$dir"
	say "$v: $arch $*"
	# shellcheck disable=SC2086
	if ! $kunit build --arch=$arch --kunitconfig="$config" --build_dir="$dir" --jobs="$J" \
		${cross:+--cross_compile=$cross} --make_options "CC=ccache ${cross}gcc" \
		${KCFLAGS:+--make_options "KCFLAGS=$KCFLAGS"} "$@" >"$log" 2>&1; then
		echo "[FAIL] $v: does not build, see $log"
		worse 2
		return 0
	fi
	append='kunit.enable=1 kunit_shutdown=reboot panic_on_warn=1 panic=-1'
	# shellcheck disable=SC2086
	if [ "$arch" = um ]; then
		timeout -k 5 "$TIMEOUT" "$dir/linux" mem=1G console=tty $append >"$log" 2>&1 </dev/null || :
	else
		timeout -k 5 "$TIMEOUT" $qemu -accel tcg -smp 2 -m 2G -nodefaults -display none -no-reboot \
			-kernel "$dir/$image" -append "console=$console $append" \
			-serial "file:$log" >"$log.qemu" 2>&1 || :
	fi
	# kunit.py's verdict: a plan that was not fulfilled is a failure, too.
	verdict=PASS
	$kunit parse "$log" >"$log.parsed" 2>&1 || verdict=FAIL
	totals=$(sed -n 's/.*Testing complete. *//p' "$log.parsed")
	! grep -qE 'bad p[gu4m]d|BUG:|WARNING:' "$log" || verdict=FAIL
	echo "[$verdict] $v: ${totals:-nothing ran, see $log}"
	[ $verdict = PASS ] || worse 1
}

variant x86_64 x86_64
variant nothp x86_64 CONFIG_TRANSPARENT_HUGEPAGE=n
variant nohugetlb x86_64 CONFIG_HUGETLBFS=n
variant noshmem x86_64 CONFIG_SHMEM=n CONFIG_TMPFS=n CONFIG_TRANSPARENT_HUGEPAGE=n
variant up x86_64 CONFIG_SMP=n
variant numa x86_64 CONFIG_NUMA=y CONFIG_MEMORY_FAILURE=y
# PMDs and PUDs without a special bit: the other half of vm_normal_page_pmd()
KCFLAGS="-include $top/tests/no-special.h" variant nospecial x86_64
variant i386 i386 CONFIG_64BIT=n CONFIG_HIGHMEM4G=y
variant pae i386 CONFIG_64BIT=n CONFIG_X86_PAE=y CONFIG_HIGHMEM4G=y
variant um um CONFIG_SMP=n CONFIG_HUGETLBFS=n CONFIG_TRANSPARENT_HUGEPAGE=n
variant arm64 arm64
variant arm64_64k arm64 CONFIG_ARM64_64K_PAGES=y
variant arm64_39bit arm64 CONFIG_ARM64_VA_BITS_39=y
variant riscv riscv
finish_result "$out"
exit "$worst"
