#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The jobs on one backstore after the other, over tcm_loop. Run by tests/bench/run.
#
# timeout: 360000
# mem: 2048

. "$TCMU_SRC/tests/bench/lib.sh"
. "$TCMU_SRC/tests/bench/peer.sh"
bench_begin

jobs=${TCMU_VM_BENCH_JOBS-}
if [ -z "$jobs" ]; then
	for job in "$TCMU_SRC"/tests/bench/jobs/*.fio; do
		jobs+=" $(basename "$job" .fio)"
	done
fi

# bench_kernel NAME PLUGIN CONTROL [BLOCK-SIZE]: a backstore of the kernel's own.
bench_kernel()
{
	local hba=$cfs/core/$2_0
	modprobe "target_core_${2/fileio/file}"
	mkdir -p "$hba/bench"
	put "$hba/bench/control" "$3"
	put "$hba/bench/enable" 1
	[ -z "${4:-}" ] || put "$hba/bench/attrib/block_size" "$4"
	put "$hba/bench/wwn/vpd_unit_serial" "$(cat /proc/sys/kernel/random/uuid)"
	core=$hba lun_attach bench
	all_jobs "$1"
	lun_detach bench
	rmdir "$hba/bench" "$hba"
}

# bench_floor NAME [FILE]: on tests/bench/floor.c, without a daemon.
bench_floor()
{
	local name=$1 floor=$TCMU_BUILD/tests/floor pid
	shift
	[ -x "$floor" ] || skip "$floor is not built"
	warm cat "$floor"
	lun_create bench floor/ "$size" data_pages_per_blk=64 cmd_ring_size_mb=1 max_data_area_mb=256 \
		nl_reply_supported=-1
	"$floor" "/dev/$(basename /sys/class/uio/uio*)" "$@" &
	pid=$!
	lun_attach bench
	all_jobs "$name"
	lun_detach bench
	kill "$pid"
	wait "$pid" || :
	lun_delete bench
}

# bench_user NAME CONFIG: on the daemon that runs. Large pieces of data area, so that an
# I/O is one iovec.
bench_user()
{
	lun_create bench "$2" "$size" data_pages_per_blk=64 cmd_ring_size_mb=1 max_data_area_mb=256
	lun_attach bench
	all_jobs "$1"
	lun_detach bench
	lun_delete bench
}

# bench_ours NAME CONFIG [OPTION]...
bench_ours()
{
	start_daemon "${@:3}"
	bench_user "$1" "$2"
	stop_daemon
}

has_size() { [ "$(cat "/sys/block/$1/size")" -gt 0 ]; }

# bench_nbd NAME IMAGE: QEMU's own way to an image, by the kernel's network block device.
bench_nbd()
{
	modprobe nbd
	qemu-nbd --fork --format=qcow2 --cache=writeback --connect=/dev/nbd0 "$2"
	wait_for 30 has_size nbd0 || fail "no disk by qemu-nbd"
	DISK=/dev/nbd0
	all_jobs "$1"
	qemu-nbd --disconnect /dev/nbd0 >/dev/null
}

# Storage that is there at once and copies nothing: what is left is the way to it.
nullb=/dev/nullb0
nullb_begin()
{
	local dev=/sys/kernel/config/nullb/nullb0
	[ ! -b "$nullb" ] || return 0
	modprobe null_blk nr_devices=0
	mkdir "$dev"
	put "$dev/size" $((size >> 20))
	put "$dev/blocksize" 512
	put "$dev/max_sectors" 2560 # what a disk has; its default, 127.5 KiB, cuts every I/O of 128 KiB in two
	put "$dev/queue_mode" 2
	put "$dev/irqmode" 0
	put "$dev/memory_backed" 0
	put "$dev/power" 1
	wait_for 10 test -b "$nullb" || fail "null_blk makes no $nullb"
}

# Its pages in memory, as those of a file on tmpfs are, until the last one closes it.
nullb_cached()
{
	nullb_begin
	dd if="$nullb" of=/dev/null bs=1M status=none
}

store_begin
for backstore in ${TCMU_VM_BENCH_BACKSTORES:-fileio null file file-workers}; do
	case $backstore in
	fileio) # The kernel's own, buffered: the yardstick.
		file_of_pages
		bench_kernel fileio fileio "fd_dev_name=$store/file,fd_dev_size=$size,fd_buffered_io=1" 512
		;;
	null) bench_ours null null/ ;;
	file)
		file_of_pages
		bench_ours file "file/$store/file"
		;;
	file-workers)
		file_of_pages
		bench_ours file-workers "file/$store/file" --engine=workers
		;;
	qcow)
		image_of_pages
		bench_ours qcow "qcow/$store/image"
		;;
	qemu-nbd)
		image_of_pages
		bench_nbd qemu-nbd "$store/image"
		;;
	floor) bench_floor floor ;;
	floor-file)
		file_of_pages
		bench_floor floor-file "$store/file"
		;;
	peer) # It copes with the device parameters that ours get, so it gets them, too.
		file_of_pages
		start_peer
		bench_user peer "qcow/$store/file"
		stop_peer
		;;
	fileio-nullb)
		nullb_begin
		exec {keep}<"$nullb"
		nullb_cached
		bench_kernel fileio-nullb fileio "fd_dev_name=$nullb,fd_dev_size=$size,fd_buffered_io=1"
		exec {keep}<&-
		;;
	iblock-nullb)
		nullb_begin
		bench_kernel iblock-nullb iblock "udev_path=$nullb"
		;;
	file-nullb)
		nullb_begin
		bench_ours file-nullb "file/$nullb;direct"
		;;
	file-nullb-workers)
		nullb_begin
		bench_ours file-nullb-workers "file/$nullb;direct" --engine=workers
		;;
	*) fail "there is no backstore '$backstore' here; tests/bench/run --help has them" ;;
	esac
done
umount "$store"
