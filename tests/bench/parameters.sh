#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What the size of the ring and of the data area, and of the data area's pieces, do to
# the speed of the file handler and to the memory in use. Run by tests/bench/run
# --parameters; memory.NAME has what goes with the device: key and KiB a line.
#
# timeout: 360000
# mem: 2048

. "$TCMU_SRC/tests/bench/lib.sh"
bench_begin

jobs=${TCMU_VM_BENCH_JOBS:-randread-4k-32 read-128k-8}

# memory: what of it a device may hold, in KiB. What is free says nothing before the caches
# are dropped, and changes with all that runs; so it is looked at just around the deletion.
# MemFree leaves out the processors' own lists of free pages, some MiB.
memory()
{
	drop_caches
	awk '$1 == "nr_free_pages" || $1 == "count:" { free += $2 } END { print "free:", free * 4 }' /proc/zoneinfo
	awk '/^(VmallocUsed|Slab):/ { print $1, $2 }' /proc/meminfo
	awk '/^RssAnon:/ { print $1, $2 }' "/proc/$daemon_pid/status"
}

# one_set PAGES RING AREA
one_set()
{
	local name=pages$1-ring$2-area$3
	start_daemon
	lun_create bench "file/$store/file" "$size" data_pages_per_blk="$1" cmd_ring_size_mb="$2" max_data_area_mb="$3"
	lun_attach bench
	all_jobs "$name"
	lun_detach bench
	memory >/run/with
	lun_delete bench
	sleep 2 # what RCU frees
	memory >/run/without
	paste -d ' ' /run/with /run/without | awk '{ print $1, $2 - $4 }' >"$TCMU_RESULTS/memory.$name"
	stop_daemon
}

store_begin
file_of_pages
one_set 1 1 8 # and once more below: the first device of a boot has figures of its own
for pages in 1 4 16 64; do
	for area in 8 64 256; do
		one_set "$pages" 1 "$area"
	done
	one_set "$pages" 8 256
done
umount "$store"
