#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A disk made with targetcli, exported by iSCSI, used and saved; a second one for the machine itself. Under its I/O the
# daemon is reloaded, restarted, upgraded, killed and stopped in its tracks.
#
# needs: targetcli
# timeout: 500
#
# The initiator of this kernel warns of itself at a logout.
# dmesg: allowed WQ_MEM_RECLAIM iscsi_ctrl_.*iscsi_unbind_session
# dmesg: allowed WARNING: .* check_flush_dependency
# dmesg: allowed Call Trace:

. "$TCMU_SRC/tests/vm/systemd/lib.sh"
need iscsiadm fio mkfs.ext4
systemctl start "$unit" iscsid.service
modprobe iscsi_tcp

step "created, exported, saved with targetcli"
truncate -s 192M "$store/one.img" "$store/two.img"
cli "/backstores/user:file create name=one size=192M cfgstring=$store/one.img" \
	"/backstores/user:file create name=two size=192M cfgstring=$store/two.img" \
	"/iscsi create $iqn" \
	"/iscsi/$iqn/tpg1/luns create /backstores/user:file/one" \
	"/iscsi/$iqn/tpg1 set attribute authentication=0 generate_node_acls=1 demo_mode_write_protect=0" \
	'/loopback create naa.5001405000000002' \
	'/loopback/naa.5001405000000002/luns create /backstores/user:file/two' \
	'saveconfig'
[ -s /etc/rtslib-fb-target/saveconfig.json ] || fail "nothing was saved: $(cat "$out")"
wait_for 10 has_devices 2 || fail "the unit says: $(prop StatusText)"

step "used by iSCSI"
login
one=$DISK
mkfs.ext4 -q "$one"
mkdir -p /mnt/one
mount "$one" /mnt/one
cp -r /usr/share/common-licenses /mnt/one/
tree_sum /mnt/one >/srv/one.sum
sync

step "under I/O"
fio "${fio_verify_args[@]}" --filename=/mnt/one/load --size=64M --bsrange=4k-64k --blockalign=4k --iodepth=4 \
	--rate_iops=60 --runtime=3600 >/run/load.out 2>&1 </dev/null &
load_pid=$!
load_out=/run/load.out

# moves WHAT: the load does, soon.
moves()
{
	local before
	load_runs
	before=$(done_on "$one")
	wait_for 60 goes_on "$one" $((before + 20)) || fail "no I/O after $1"
}
moves "the beginning"
# What the unit forbids is not that.
ls -l "/proc/$(main_pid)/fd" >"$out"
grep -q 'io_uring' "$out" || fail "the daemon does not use io_uring: $(cat "$out")"

step "reload"
before=$(main_pid)
within 30 systemctl reload "$unit"
assert_eq "the process" "$(main_pid)" "$before"
wait_for 10 is active || fail "not active after the reload"
moves reload

step "a change of tcmu.conf"
conf=$(grep -a -o -m 1 '/[a-z/]*/tcmu/tcmu\.conf' "$(command -v tcmu-runner)" | head -n 1)
[ -e "$conf" ] || fail "no $conf was installed"
echo 'stop_timeout = 41' >>"$conf"
wait_for 20 has_said 1 "stop_timeout is 41 now" || fail "the change was not taken"
sed -i '$d' "$conf"
wait_for 20 has_said 1 "stop_timeout is 30 now" || fail "the change back was not taken"
moves "the change"

step "restart"
within 60 systemctl restart "$unit"
is active || fail "not active after the restart"
[ "$(main_pid)" != "$before" ] || fail "the same process"
moves restart

step "upgrade"
before=$(main_pid)
readies=$(times_said 'ready: ')
systemctl kill --kill-whom=main -s USR2 "$unit"
wait_for 30 has_said $((readies + 1)) "ready: " || fail "no upgrade"
wait_for 10 is active || fail "not active after the upgrade"
assert_eq "the process" "$(main_pid)" "$before"
moves upgrade

step "kill -9"
kill -KILL "$before"
wait_for 60 runs_anew "$before" || fail "it was not restarted"
moves "kill -9"

step "a hang of the main loop: the watchdog"
mkdir -p "/run/systemd/system/$unit.d"
printf '[Service]\nWatchdogSec=5\n' >"/run/systemd/system/$unit.d/watchdog.conf"
systemctl daemon-reload
within 60 systemctl restart "$unit"
before=$(main_pid)
sleep 7
assert_eq "the process, which lives" "$(main_pid)" "$before"
now_ms
stopped=$now
kill -STOP "$before"
wait_for 60 runs_anew "$before" || fail "the watchdog has not restarted it"
now_ms
echo "a new one is ready $((now - stopped)) ms after it was stopped"
[ $((now - stopped)) -lt 15000 ] || fail "SIGABRT was not enough"
moves "the watchdog"
[ ! -s /run/tcmu.lock.crashes ] || fail "a unit was blamed: $(cat /run/tcmu.lock.crashes)"
rm -r "/run/systemd/system/$unit.d"
systemctl daemon-reload
within 60 systemctl restart "$unit"

step "the end of the load"
moves "all that"
kill -TERM "$load_pid"
wait "$load_pid" || :
grep -q 'err= 0' "$load_out" && ! grep -q 'err=[^ ]' "$load_out" || load_hurt
rm /mnt/one/load
assert_eq "the files" "$(tree_sum /mnt/one)" "$(cat /srv/one.sum)"
umount /mnt/one
logout
systemctl stop iscsid.socket iscsid.service

step "a block device of this machine"
truncate -s 32M "$store/block.img"
loop=$(losetup -f --show "$store/block.img")
lun_create block "file/$loop" $((32 << 20)) || fail "the block device is refused"
lun_attach block
dd if=/dev/urandom of="$DISK" bs=64k count=4 oflag=direct status=none
sync
dd if="$DISK" bs=64k count=4 iflag=direct status=none | cmp - <(head -c 262144 "$store/block.img") || fail "other data"
lun_detach block
lun_delete block
losetup -d "$loop"
