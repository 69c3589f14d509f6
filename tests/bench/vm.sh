#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The jobs on one backstore after the other, over tcm_loop; JOB.BACKSTORE.ROUND.json
# is what fio says. Run by tests/bench/run in a guest whose clock counts
# instructions, so that the figures come again; the first round warms up.
#
# timeout: 3600
# mem: 2048

. "$TCMU_SRC/tests/vm/lib.sh"
need fio python3
need_daemon

size=$((400 << 20))
rounds=${TCMU_VM_BENCH_ROUNDS:-2}
jobs=${TCMU_VM_BENCH_JOBS-}
if [ -z "$jobs" ]; then
	for job in "$TCMU_SRC"/tests/bench/jobs/*.fio; do
		jobs+=" $(basename "$job" .fio)"
	done
fi
store=/mnt/bench

# one_job JOB BACKSTORE ROUND
one_job()
{
	local out=$TCMU_RESULTS/$1.$2.$3
	fio --filename="$DISK" --output-format=json --output="$out.json" --eta=never \
		"$TCMU_SRC/tests/bench/jobs/$1.fio" >"$out.err" 2>&1 </dev/null || fail "fio $1 on $2: $(cat "$out.err")"
	[ -s "$out.err" ] || rm "$out.err"
}

all_jobs()
{
	local job round
	# As a disk of a server has it: no scheduler that merges, no read-ahead.
	put "/sys/block/${DISK##*/}/queue/scheduler" none
	for job in $jobs; do
		for round in $(seq "$rounds"); do
			step "$1: $job, round $round"
			one_job "$job" "$1" "$round"
		done
	done
}

# All of it is there, so no job is the first to write a page.
file_of_pages()
{
	rm -f "$store/file"
	dd if=/dev/zero of="$store/file" bs=1M count=$((size >> 20)) status=none
}

# The kernel's own, buffered: the yardstick.
bench_fileio()
{
	local core=$cfs/core/fileio_0
	modprobe target_core_file
	file_of_pages
	mkdir -p "$core/bench"
	put "$core/bench/control" "fd_dev_name=$store/file,fd_dev_size=$size,fd_buffered_io=1"
	put "$core/bench/enable" 1
	put "$core/bench/attrib/block_size" 512
	put "$core/bench/wwn/vpd_unit_serial" "$(cat /proc/sys/kernel/random/uuid)"
	lun_attach bench
	all_jobs fileio
	lun_detach bench
	rmdir "$core/bench" "$core"
}

# bench_ours NAME CONFIG [OPTION]...: large pieces of data area, so that an I/O is one iovec.
bench_ours()
{
	start_daemon "${@:3}"
	lun_create bench "$2" "$size" data_pages_per_blk=64 cmd_ring_size_mb=1 max_data_area_mb=256
	lun_attach bench
	all_jobs "$1"
	lun_detach bench
	lun_delete bench
	stop_daemon
}

mkdir -p "$store"
mount -t tmpfs -o size=420m tmpfs "$store"
for backstore in ${TCMU_VM_BENCH_BACKSTORES:-fileio null file file-io_uring}; do
	case $backstore in
	fileio) bench_fileio ;;
	null) bench_ours null null/ ;;
	file)
		file_of_pages
		bench_ours file "file/$store/file"
		;;
	file-io_uring)
		file_of_pages
		bench_ours file-io_uring "file/$store/file" --engine=io_uring
		;;
	*) fail "there is no backstore '$backstore' here: fileio, null, file, file-io_uring" ;;
	esac
done
umount "$store"
