#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: cross.sh [FIRST [LAST]]
# Compiles the C files that the series touches for other architectures and in
# other configurations, as far as they are enabled there: for the whole series,
# or for each patch from FIRST to LAST. A warning is a failure.
# ONLY="name..." in the environment chooses among the names below.

. "$(dirname "$0")/common.sh"

export CCACHE_DIR="$B/ccache" CCACHE_DEPEND=1
commits=series
if [ "${1-}" ]; then
	first=$(commit_of "$1")
	commits=$(git -C "$linux" rev-list --reverse "$first~..$(commit_of "${2:-$1}")")
fi
use_scratch series
mkdir -p "$B/cross"

enabled() {	# C file: is it built with $o/.config?
	option=$(grep -ow "obj-\$(CONFIG_[A-Z0-9_]*).*\<$(basename "$1" .c)\.o" \
		"$scratch/$(dirname "$1")/Makefile" | head -n 1 | sed 's/.*(\(.*\)).*/\1/')
	case $1 in drivers/gpu/drm/xe/*) option=CONFIG_DRM_XE ;; esac
	[ ! "$option" ] || grep -q "^$option=[ym]" "$o/.config"
}

variant() {	# name, ARCH, compiler's prefix, configuration, option to set or -option...
	v=$1 arch=$2 cc=$3gcc config=$4 o=$B/cross/$1
	shift 4
	case " ${ONLY:-$v} " in *" $v "*) ;; *) return 0 ;; esac
	command -v "$cc" >/dev/null || {
		package=gcc-$(echo "${cc%-gcc}" | tr _ -)
		echo "[SKIP] $v: no $cc: apt-get install $package"
		return 0
	}
	mk() { make -s -C "$scratch" O="$o" ARCH="$arch" CROSS_COMPILE="${cc%gcc}" \
		CC="ccache $cc" HOSTCC='ccache gcc' -j"$J" "$@" >"$o.log" 2>&1; }
	mkdir -p "$o"
	git -C "$scratch" checkout -q -f --detach series
	mk "$config" || die 2 "$v: cannot configure, see $o.log"
	for option; do
		case $option in
		-*) "$scratch/scripts/config" --file "$o/.config" -d "${option#-}" ;;
		*) "$scratch/scripts/config" --file "$o/.config" -e "$option" ;;
		esac
	done
	mk olddefconfig || die 2 "$v: cannot configure, see $o.log"
	for option; do
		case $option in
		-*) ! grep "^CONFIG_${option#-}=" "$o/.config" >&2 ;;
		*) grep -q "^CONFIG_$option=" "$o/.config" ;;
		esac || die 2 "$v: $option did not survive in $o/.config"
	done
	cp "$o/.config" "$o.config"
	n=0
	for commit in $commits; do
		git -C "$scratch" checkout -q -f --detach "$commit"
		cp "$o.config" "$o/.config"
		objs=''
		for f in $(git -C "$linux" diff --name-only base series -- mm fs kernel virt lib \
				drivers "arch/${arch%_64}" | grep '\.c$'); do
			[ ! -e "$scratch/$f" ] || ! enabled "$f" || objs="$objs ${f%.c}.o"
		done
		# shellcheck disable=SC2086
		if ! mk olddefconfig prepare $objs || grep -q warning: "$o.log"; then
			echo "[FAIL] $v: $(git -C "$linux" log -1 --format=%s "$commit"):" \
				"$(grep -m 1 -E 'error:|warning:|Error' "$o.log"), see $o.log"
			worse 1
			return 0
		fi
		n=$((n + 1))
	done
	echo "[PASS] $v: $n $([ $n = 1 ] && echo tree || echo trees), the last with" \
		"$(echo "$objs" | wc -w) files"
}

tests='RUNTIME_TESTING_MENU KUNIT PAGEWALK_KUNIT_TEST'
# shellcheck disable=SC2086
{
	variant arm64 arm64 aarch64-linux-gnu- defconfig $tests
	variant riscv64 riscv riscv64-linux-gnu- defconfig $tests
	variant s390x s390 s390x-linux-gnu- defconfig $tests
	variant ppc64le powerpc powerpc64le-linux-gnu- ppc64le_defconfig PPC_SUBPAGE_PROT $tests
	variant mips64 mips mips64el-linux-gnuabi64- malta_defconfig -CPU_MIPS32_R2 CPU_MIPS64_R2 \
		-32BIT 64BIT -PAGE_SIZE_16KB PAGE_SIZE_64KB HUGETLBFS KSM $tests
	variant m68k m68k m68k-linux-gnu- multi_defconfig KSM $tests
	variant sun3 m68k m68k-linux-gnu- sun3_defconfig KSM $tests
	variant pae i386 '' i386_defconfig X86_PAE HIGHMEM4G TRANSPARENT_HUGEPAGE KSM $tests
	variant nothp x86_64 '' x86_64_defconfig -TRANSPARENT_HUGEPAGE KSM $tests
	variant nohugetlb x86_64 '' x86_64_defconfig -HUGETLBFS TRANSPARENT_HUGEPAGE KSM $tests
	variant nonuma x86_64 '' x86_64_defconfig -NUMA TRANSPARENT_HUGEPAGE KSM $tests
	variant allno x86_64 '' allnoconfig
	variant xe x86_64 '' x86_64_defconfig DRM_XE DAMON DAMON_VADDR MEMCG MEMCG_V1 MEMORY_FAILURE $tests
}
exit "$worst"
