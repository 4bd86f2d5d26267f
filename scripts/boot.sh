#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: boot.sh OBJ RESULT JOB [BINARY]
# Boots the kernel of OBJ under QEMU (TCG) with BINARY as /bin/pagewalk and
# has the guest run JOB, a line of shell. RESULT gets config, cmdline,
# console.log, ktap.log (what the job printed) and rc, QEMU's status or 124.
# CPU, APPEND and TIMEOUT in the environment, MACHINE and GUEST to replace what
# is below; judge.py says what it means.

. "$(dirname "$0")/common.sh"

obj=$1 result=$2 job=$3 binary=${4-}
command -v qemu-system-x86_64 >/dev/null ||
	die 2 "no qemu-system-x86_64 in PATH: apt-get install qemu-system-x86"
busybox=$(command -v busybox) || die 2 "no busybox: apt-get install busybox-static"

tmp=$result.tmp
guard "$tmp" "cannot prepare $result: is the disk full?"
rm -rf "$tmp" "$result"
mkdir -p "$tmp"
cp "$obj/.config" "$tmp/config"
echo "$job" >"$tmp/job"
{
	for d in bin proc sys dev tmp; do echo "dir /$d 0755 0 0"; done
	echo "nod /dev/console 0600 0 0 c 5 1"
	echo "file /init $top/scripts/guest-init 0755 0 0"
	echo "file /job $tmp/job 0644 0 0"
	echo "file /bin/busybox $busybox 0755 0 0"
	[ -z "$binary" ] || echo "file /bin/pagewalk $binary 0755 0 0"
	for a in sh cat echo find grep mount reboot stty; do
		echo "slink /bin/$a busybox 0777 0 0"
	done
} >"$tmp/initramfs.list"
touch -d @0 "$tmp/job"
"$obj/usr/gen_init_cpio" -t 0 "$tmp/initramfs.list" >"$tmp/initramfs.cpio"

# A PCI device whose 4 GiB BAR makes 1 GiB leaves, and two pmem regions for
# device-dax with 1 GiB and 2 MiB leaves. TCG always: KVM is not everywhere.
append="console=ttyS0 loglevel=6 panic=-1 oops=panic \
${GUEST:-memmap=3G!4G memmap=512M!7G numa=fake=2 \
hugepagesz=1G hugepages=1 hugepagesz=2M hugepages=64} \
vfio.enable_unsafe_noiommu_mode=1 vfio-pci.ids=1b36:0005${APPEND:+ $APPEND}"
# shellcheck disable=SC2086
set -- qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none \
	-machine q35 -cpu "${CPU:-max}" \
	${MACHINE:--accel tcg,thread=multi -smp 2,sockets=2 -m 12G} \
	-kernel "$obj/arch/x86/boot/bzImage" -initrd "$tmp/initramfs.cpio" \
	-device pci-testdev,membar=4G \
	-serial "file:$tmp/console.log" -serial "file:$tmp/ktap.log" -append "$append"
shown=
for a; do
	case $a in *[!A-Za-z0-9_/.:=,+-]*) shown="$shown '$a'" ;; *) shown="$shown $a" ;; esac
done
echo "${shown# }" | sed "s,$tmp/,$result/,g" >"$tmp/cmdline"
[ "${QUIET-}" ] || cat "$tmp/cmdline"

timeout -k 5 "$TIMEOUT" "$@" >"$tmp/qemu.log" 2>&1 &
pid=$!
trap 'kill $pid 2>/dev/null; wait $pid || :; rm -rf "$tmp"; die 130 "interrupted, no result was kept"' INT TERM HUP
rc=0
wait $pid || rc=$?
echo "$rc" >"$tmp/rc"
mv "$tmp" "$result"
unguard
