#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# An image of QEMU's as a disk: what qemu-img reads of it is what the kernel reads,
# also of a snapshot, over a restart of the daemon, and nobody writes to it meanwhile.
#
# timeout: 180
# Initiators are told that a disk is write protected.
# dmesg: allowed Write protect

. "$TCMU_SRC/tests/vm/lib.sh"
need qemu-img qemu-io cmp
need_daemon
[ -e "$handlers_dir/handler_qcow.so" ] || skip "handler_qcow.so is not built"

size=$((64 << 20))
dir=/mnt/data/qcow
mkdir -p "$dir"
base=$dir/base.qcow2 image=$dir/image.qcow2 twin=$dir/twin.raw night=$dir/night.raw

step "an image with a backing file and a snapshot"
qemu-img create -q -f qcow2 "$base" "$size"
qemu-io -f qcow2 -c 'write -P 17 0 5M' -c 'write -P 34 40M 3M' "$base" >/dev/null
qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 "$image"
qemu-io -f qcow2 -c 'write -P 51 1M 777k' -c 'write -z 41M 64k' "$image" >/dev/null
qemu-img snapshot -c night "$image"
qemu-io -f qcow2 -c 'write -P 68 3M 100k' -c 'write -P 85 63M 1M' "$image" >/dev/null
qemu-img convert -f qcow2 -O raw "$image" "$twin"
qemu-img convert -l snapshot.name=night -O raw "$image" "$night"

step "the disk"
start_daemon
lun_create image "qcow/$image;ro" "$size"
lun_attach image
disk=$DISK
cmp "$disk" "$twin" || fail "the disk is not what qemu-img reads"
lun_create night "qcow/$image;ro;snapshot=night" "$size"
lun_attach night
cmp "$DISK" "$night" || fail "the snapshot is not what qemu-img reads"
lun_detach night
lun_delete night

step "nobody writes to it"
assert_eq "read-only" "$(cat "/sys/block/${disk#/dev/}/ro")" 1
said=$(qemu-io -f qcow2 -c 'write 0 512' "$image" 2>&1) && fail "QEMU writes to an image that is served"
assert_match "QEMU" "$said" 'Failed to get .*lock'
lun_refused 'Device or resource busy' writable "qcow/$image" "$size"
grep -q 'user_0/writable: .*is being used by another process' "$daemon_log" || fail "the log does not say why"

step "the next daemon"
stop_daemon
start_daemon
blockdev --flushbufs "$disk"
echo 3 >/proc/sys/vm/drop_caches
cmp "$disk" "$twin" || fail "the disk is not what it was"
lun_detach image
lun_delete image
qemu-io -f qcow2 -c 'write -P 1 0 512' "$image" >/dev/null || fail "QEMU cannot write to it afterwards"
stop_daemon
