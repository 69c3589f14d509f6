#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Every operation code, with CDBs of every length and buffers of any: each is
# answered, what is unknown with 05/20/00, and nothing of another command comes
# back. The daemon lives, its other LUN notices nothing, and the disk that had to
# suffer works as before.
#
# timeout: 1000

. "$TCMU_SRC/tests/vm/lib.sh"
need fio sg_turs sg_start
need_daemon
sgfuzz=$TCMU_BUILD/tests/sgfuzz
[ -x "$sgfuzz" ] || skip "$sgfuzz is not built"

seed=${TCMU_VM_SEED:-1} # of the first of them
size=$((32 << 20))
status_of() { awk -v key="$1:" '$1 == key { print $2 }' "/proc/$daemon_pid/status"; }

start_daemon
lun_create other "file/$(backing other.img 64M)" $((64 << 20))
lun_attach other
load_begin "$DISK"
file=$(backing fuzz.img "$size")
lun_create fuzz "file/$file" "$size"
lun_attach fuzz
pid=$daemon_pid

# A few at once, so that commands of all kinds meet in the ring.
fuzz_pids=()
for ((i = seed; i < seed + 3; i++)); do
	"$sgfuzz" "$DISK" "$i" "${TCMU_VM_FUZZ_COUNT:-3000}" >"$TCMU_RESULTS/46-fuzz.$i.out" 2>&1 </dev/null &
	fuzz_pids+=($!)
done
bad=0
for ((i = seed; i < seed + 3; i++)); do
	wait "${fuzz_pids[i - seed]}" || bad=1
	step "$(tail -n 3 "$TCMU_RESULTS/46-fuzz.$i.out")"
done
[ "$bad" -eq 0 ] || fail "a command was not answered as it has to be, see above"
daemon_alive || fail "the daemon is gone"
load_runs

step "the disk works as before"
sg_start --start "$DISK" # it may have been told to stop
wait_for 60 eval 'sg_turs "$DISK" >/dev/null 2>&1' || fail "it is not ready"
assert_eq "size" "$(blockdev --getsize64 "$DISK")" "$size"
assert_eq "read-only" "$(blockdev --getro "$DISK")" 0
dd if=/dev/urandom of=/mnt/data/pattern bs=1M count=32 status=none
dd if=/mnt/data/pattern of="$DISK" bs=1M oflag=direct status=none
drop_caches
cmp -n "$size" /mnt/data/pattern "$DISK" || fail "it reads back something else"
blockdev --flushbufs "$DISK"
load_end
! grep -E '^tcmu-runner: (error|warning)' "$daemon_log" || fail "the log has something to say about it"
assert_eq "daemon" "$daemon_pid" "$pid"
assert_ge "kB of RSS that the daemon may have" 60000 "$(status_of VmRSS)"
lun_detach fuzz
lun_delete fuzz
lun_detach other
lun_delete other
stop_daemon
cmp /mnt/data/pattern "$file" || fail "the backing file holds something else"
