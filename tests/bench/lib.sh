# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What the guest scripts of the benches share. Sourced first; brings tests/vm/lib.sh.
# The guest's clock counts instructions, so that the figures come again; the first round
# of a job warms up.

. "$TCMU_SRC/tests/vm/lib.sh"

size=$((400 << 20))
rounds=${TCMU_VM_BENCH_ROUNDS:-2}
store=/mnt/bench

# warm COMMAND...: brings what it is made of into the guest's memory. While the guest waits
# for the host's files it has nothing to execute, and its clock then leaps from timer to
# timer: a deadline that is minutes away elsewhere is over at once.
warm() { "$@" >/dev/null 2>&1 </dev/null || :; }

bench_begin()
{
	need fio
	need_daemon
	warm fio --version
	warm "$daemon_bin" --version
	warm cat "$daemon_bin" "$handlers_dir"/*.so
}

# one_job JOB NAME ROUND: JOB.NAME.ROUND.json is what fio says.
one_job()
{
	fio --filename="$DISK" --output-format=json --output=/run/fio.json --eta=never \
		"$TCMU_SRC/tests/bench/jobs/$1.fio" >/run/fio.err 2>&1 </dev/null || fail "fio $1 on $2: $(cat /run/fio.err)"
	cp /run/fio.json "$TCMU_RESULTS/$1.$2.$3.json"
	[ ! -s /run/fio.err ] || cp /run/fio.err "$TCMU_RESULTS/$1.$2.$3.err"
}

# all_jobs NAME: $jobs on $DISK.
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

store_begin()
{
	mkdir -p "$store"
	mount -t tmpfs -o size=420m tmpfs "$store"
}

# All of it is there, so no job is the first to write a page.
file_of_pages()
{
	rm -f "$store/file"
	dd if=/dev/zero of="$store/file" bs=1M count=$((size >> 20)) status=none
}
