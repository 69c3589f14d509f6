#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# kill -9, and upgrades in place, under load: what the ring held is done by the
# next daemon, and the initiators, over the loopback fabric and over iSCSI, see a
# pause and no error; a file, and an image of QEMU's, in which it finds no error.
#
# TCMU_VM_KILLS, TCMU_VM_UPGRADES: how often.
#
# timeout: 1500

. "$TCMU_SRC/tests/vm/lib.sh"
. "$TCMU_SRC/tests/vm/conformance.sh"
need fio iscsistart
need_daemon

kills=${TCMU_VM_KILLS:-6}
upgrades=${TCMU_VM_UPGRADES:-4}
size=$((128 << 20))
RANDOM=${TCMU_VM_SEED:-1}

iscsi_begin
start_daemon
lun_create crash "file/$(backing crash.img "$size")" "$size"
lun_attach crash
lun_create remote "file/$(backing remote.img "$size")" "$size"
iscsi_target "$core/remote"
iscsi_login
disks=("$DISK" "$REMOTE")
image=
if [ -e "$handlers_dir/handler_qcow.so" ] && command -v qemu-img >/dev/null; then
	image=/mnt/data/crash.qcow2
	rm -f "$image"
	qemu-img create -q -f qcow2 "$image" "$size"
	lun_create image "qcow/$image" "$size"
	lun_attach image
	disks+=("$DISK")
fi

fios=()
for disk in "${disks[@]}"; do
	fio_verify "$disk" --bsrange=512-256k --blockalign=512 --iodepth=16 --runtime=3600 --thread \
		>"$TCMU_RESULTS/44-fio-${disk##*/}.out" 2>&1 &
	fios+=($!)
done
fios_run()
{
	local i
	for i in "${!fios[@]}"; do
		kill -0 "${fios[i]}" 2>/dev/null ||
			fail "fio on ${disks[i]} has ended: $(tail -n 25 "$TCMU_RESULTS/44-fio-${disks[i]##*/}.out")"
	done
}

# paused WHAT: since `begin` until both go on; the longest is kept.
longest=0
paused()
{
	local i counts=() ready
	now_ms
	ready=$((now - begin))
	for i in "${!disks[@]}"; do
		counts+=("$(done_on "${disks[i]}")")
	done
	for i in "${!disks[@]}"; do
		wait_for 60 goes_on "${disks[i]}" "${counts[i]}" || fail "after $1 nothing ends on ${disks[i]}"
	done
	now_ms
	echo "$1: a daemon is ready after $ready ms, all go on after $((now - begin)) ms"
	[ $((now - begin)) -le "$longest" ] || longest=$((now - begin))
	fios_run
}

# Most of the time fio computes, and nothing is with the daemon. In vain after a while, on a fast machine.
until_in_flight()
{
	local reads writes disk n
	for ((n = 0; n < 3000; n++)); do
		for disk in "${disks[@]}"; do
			read -r reads writes <"/sys/block/${disk##*/}/inflight"
			[ "$((reads + writes))" -eq 0 ] || return 0
		done
	done
}

found() { grep -c 'commands are executed again' "$daemon_log" || :; }

# Whether a kill finds commands that have been begun is a matter of luck: more of them, until some have.
for ((i = 1; i <= kills || ($(found) < 2 && i <= kills + 60); i++)); do
	sleep "$((RANDOM % 2)).$((RANDOM % 10))"
	until_in_flight
	now_ms
	begin=$now
	kill_daemon
	start_daemon
	paused "kill $i"
done
step "$((i - 1)) kills, $(found) times a ring had unanswered commands; the longest pause, with the start of a" \
	"process, $longest ms"
[ "$(found)" -gt 0 ] || fail "no daemon has found anything on a ring"
! grep 'resetting the ring' "$daemon_log" || fail "a ring was reset"

longest=0
for ((i = 1; i <= upgrades; i++)); do
	sleep "$((RANDOM % 2)).$((RANDOM % 10))"
	now_ms
	begin=$now
	before=$(ready_lines)
	kill -USR2 "$daemon_pid"
	wait_for 60 is_ready "$before" || fail "upgrade $i: not ready after 60 s"
	paused "upgrade $i"
done
step "$upgrades upgrades; the longest pause $longest ms"
[ -z "$(stuck 'fio\|tcmu[^)]*')" ] || sleep 1
[ -z "$(stuck 'fio\|tcmu[^)]*')" ] || fail "stuck: $(stuck 'fio\|tcmu[^)]*')"

# fio ends when it is told to, with 128, after the I/O that is under way.
for i in "${!fios[@]}"; do
	out=$TCMU_RESULTS/44-fio-${disks[i]##*/}.out
	pkill -INT -P "${fios[i]}"
	status=0
	wait "${fios[i]}" || status=$?
	[ "$status" -eq 0 ] || [ "$status" -eq 128 ] && grep -q ': err= 0:' "$out" ||
		fail "fio saw an error ($status): $(tail -n 25 "$out")"
	grep -E 'READ:|WRITE:' "$out"
done

step "a creation that waits for a daemon is finished by the next one"
kill_daemon
lun_create late "file/$(backing late.img "$size")" "$size" &
create_pid=$!
sleep 2
start_daemon
wait "$create_pid" || fail "the creation failed"
assert_eq "late/enable" "$(cat "$core/late/enable")" 1
lun_delete late

iscsi_forget
iscsi_target_end || fail "the iSCSI target cannot be removed"
lun_delete remote
lun_detach crash
lun_delete crash
if [ -n "$image" ]; then
	lun_detach image
	lun_delete image
	# What was reserved by those that were killed is counted and not used.
	qemu-img check "$image" >"$TCMU_RESULTS/44-check.out" 2>&1 || [ $? -eq 3 ] ||
		fail "QEMU finds errors in the image: $(head -n 20 "$TCMU_RESULTS/44-check.out")"
	rm "$image"
fi
stop_daemon
