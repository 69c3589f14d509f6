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
	[ -z "${TCMU_VM_BENCH_PROFILE-}" ] || warm perf record -a -o /dev/null -- true
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

# profile_job JOB NAME: JOB.NAME.N.perf is what ran meanwhile, with the kernel's stacks. To walk down a stack costs
# more where it is deep: it is cut off, and there is much time between the samples. A command takes as long
# as the one before, so one period would see some places only: several are taken.
profile_job()
{
	local period n=0
	put /proc/sys/kernel/perf_cpu_time_max_percent 0
	put /proc/sys/kernel/perf_event_max_stack 12
	for period in 113147 127291 149993 167009; do
		n=$((n + 1))
		step "$2: $1, profile $n"
		perf record -q -a -B -N -e cpu-clock -c "$period" --kernel-callchains -g -m 8192 -o /run/perf.data -- \
			fio --filename="$DISK" --output=/run/fio.out --eta=never "$TCMU_SRC/tests/bench/jobs/$1.fio" \
			>/run/perf.err 2>&1 </dev/null || fail "perf record of $1 on $2: $(cat /run/perf.err)"
		cp /run/perf.data "$TCMU_RESULTS/$1.$2.$n.perf"
		rm /run/perf.data
	done
	cat /proc/kallsyms >"$TCMU_RESULTS/kallsyms"
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
		[ -z "${TCMU_VM_BENCH_PROFILE-}" ] || profile_job "$job" "$1"
	done
}

store_begin()
{
	mkdir -p "$store"
	mount -t tmpfs -o size=420m tmpfs "$store"
}

# Of both all is there, so no job is the first to write a page.
image_of_pages()
{
	rm -f "$store/file" "$store/image"
	qemu-img create -q -f qcow2 -o preallocation=full "$store/image" "$size"
}

file_of_pages()
{
	rm -f "$store/file" "$store/image"
	dd if=/dev/zero of="$store/file" bs=1M count=$((size >> 20)) status=none
}
