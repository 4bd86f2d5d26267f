#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: variants.sh
# Runs the KUnit suite in other configurations and on other architectures, with
# the kernel's own kunit.py and lib/tests/pagewalk.kunitconfig, once for each
# size of hugetlb. What an architecture needs that is not there (QEMU, a cross
# compiler) is a skip, and says which package has it.
# ONLY="name..." in the environment chooses among the names below.

. "$(dirname "$0")/common.sh"

out=$(new_result variants)
config=$linux/lib/tests/pagewalk.kunitconfig
kunit="python3 $linux/tools/testing/kunit/kunit.py"
export CCACHE_DIR="$B/ccache" CCACHE_DEPEND=1 PYTHONDONTWRITEBYTECODE=1
chosen=0

pid=''
trap '{ kill $pid; wait $pid; } 2>/dev/null || :; die 130 "interrupted"' INT TERM HUP
await() {	# log, command...
	l=$1
	shift
	"$@" >"$l" 2>&1 </dev/null &
	pid=$!
	wait $pid
}

boot() {	# what the kernel is told -> $log
	# shellcheck disable=SC2086
	if [ "$arch" = um ]; then
		await "$log" timeout -k 5 "$TIMEOUT" "$dir/linux" mem=1G console=tty $1 \
			kunit_shutdown=halt
	else
		await "$log.qemu" timeout -k 5 "$TIMEOUT" $qemu -accel tcg -smp 2 -m 8G \
			-nodefaults -display none -no-reboot -kernel "$dir/$image" \
			-serial "file:$log" -append "console=$console $1 kunit_shutdown=reboot"
	fi
}

variant() {	# name, architecture of kunit.py, sizes of hugetlb, option of the configuration...
	v=$1 arch=$2 sizes=$3 cross='' log=$out/$1-build.log dir=$B/variants/$1
	shift 3
	case " ${ONLY:-$v} " in *" $v "*) chosen=1 ;; *) return 0 ;; esac
	case $arch in
	arm64) cross=aarch64-linux-gnu- need='qemu-system-arm gcc-aarch64-linux-gnu'
		image=arch/arm64/boot/Image
		qemu='qemu-system-aarch64 -M virt -cpu max,pauth-impdef=on' console=ttyAMA0 ;;
	riscv) cross=riscv64-linux-gnu- need='qemu-system-misc opensbi gcc-riscv64-linux-gnu'
		image=arch/riscv/boot/Image
		qemu='qemu-system-riscv64 -M virt -cpu rv64,svnapot=true' console=ttyS0 ;;
	um) need=gcc qemu='' ;;
	*) need=qemu-system-x86 image=arch/x86/boot/bzImage
		qemu="qemu-system-x86_64 -cpu max" console=ttyS0 ;;
	esac
	for tool in ${qemu%% *} "${cross}gcc"; do
		command -v "$tool" >/dev/null || {
			echo "[SKIP] $v: no $tool: apt-get install $need"
			return 0
		}
	done
	for o; do
		shift
		set -- "$@" --kconfig_add "$o"
	done
	mkdir -p "$dir"
	# shellcheck disable=SC2086
	if ! await "$log" $kunit build --arch=$arch --kunitconfig="$config" --build_dir="$dir" \
		--jobs="$J" ${cross:+--cross_compile=$cross} \
		--make_options "CC=ccache ${cross}gcc" "$@"; then
		echo "[FAIL] $v: does not build, see $log"
		worse 2
		return 0
	fi
	for size in $sizes; do
		log=$out/$v-$size.log rc=0
		# What a test had can be freed some ticks after the next has begun.
		case $size in *G|512M) nr=4 ;; *) nr=16 ;; esac
		boot "kunit.enable=1 panic_on_warn=1 panic=-1 default_hugepagesz=$size hugepages=$nr" ||
			rc=$?
		# kunit.py's verdict: a plan that was not fulfilled is an error.
		verdict=PASS
		$kunit parse "$log" >"$log.parsed" 2>&1 || verdict=FAIL
		totals=$(sed -n 's/.*Testing complete. *//p' "$log.parsed")
		case $totals in ''|*errors:*|*crashed:*) verdict=FAIL ;; esac
		[ $verdict = PASS ] || worse 1
		case $rc in
		0) ;;
		124) verdict=TIMEOUT; worse 124 ;;
		*) verdict=FAIL; worse 2 ;;
		esac
		! grep -qE 'bad p[gu4m]d|BUG:|WARNING:|Kernel panic' "$log" || {
			verdict=SPLAT
			worse 3
		}
		echo "[$verdict] $v, hugetlb $size: ${totals:-nothing ran, see $log}"
	done
}

variant arm64 arm64 '2M 64K 32M 1G'
variant arm64_64k arm64 '2M 512M' CONFIG_ARM64_64K_PAGES=y
variant riscv64 riscv '2M 64K 1G'
variant pae i386 2M CONFIG_64BIT=n CONFIG_X86_PAE=y CONFIG_HIGHMEM4G=y
variant um um none CONFIG_SMP=n CONFIG_HUGETLBFS=n CONFIG_TRANSPARENT_HUGEPAGE=n
variant nothp x86_64 2M CONFIG_TRANSPARENT_HUGEPAGE=n
variant nohugetlb x86_64 none CONFIG_HUGETLBFS=n
variant numa x86_64 '2M 1G' CONFIG_NUMA=y CONFIG_MEMORY_FAILURE=y
variant noshmem x86_64 2M CONFIG_EXPERT=y CONFIG_SHMEM=n CONFIG_TMPFS=n CONFIG_TRANSPARENT_HUGEPAGE=n
[ $chosen = 1 ] || die 2 "ONLY=$ONLY names none of: $(sed -n 's/^variant \([^ ]*\).*/\1/p' "$0" | tr '\n' ' ')"
finish_result "$out"
exit "$worst"
