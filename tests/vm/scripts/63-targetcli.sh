#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What an administrator does with targetcli, Debian's: it sees the handlers on the
# bus, shows what a config string looks like and why one is refused; a LUN is
# created, exported, grown, saved, restored and deleted with it, and gets another
# medium. A handler of another process is one like the others.
#
# needs: targetcli
# timeout: 900

. "$TCMU_SRC/tests/vm/lib.sh"
. "$TCMU_SRC/tests/vm/bus.sh"
. "$TCMU_SRC/tests/lib/readme.sh"
need /usr/bin/python3 sg_turs
modprobe sg
need_daemon
[ -n "${TCMU_VM_TARGETCLI:-}" ] || skip "targetcli could not be downloaded"

packages=$TCMU_VM_TARGETCLI/usr/lib/python3/dist-packages
libs=$TCMU_VM_TARGETCLI/usr/lib/x86_64-linux-gnu
mkdir -p /etc/target /etc/rtslib-fb-target /run/lock # which its packages would make
out=/run/targetcli.out

# As its package would install it.
cat >/usr/local/bin/targetcli <<END
#!/bin/sh
TERM=dumb HOME=/root PYTHONPATH=$packages GI_TYPELIB_PATH=$libs/girepository-1.0 LD_LIBRARY_PATH=$libs \\
	exec /usr/bin/python3 "$TCMU_VM_TARGETCLI/usr/bin/targetcli" "\$@"
END
chmod +x /usr/local/bin/targetcli

# cli COMMAND...: each one a line; one process for all, since Python is slow here.
cli()
{
	printf '%s\n' "$@" exit >/run/targetcli.in
	targetcli >"$out" 2>&1 </run/targetcli.in || fail "targetcli: $(cat "$out")"
}

# says TEXT: targetcli did.
says() { grep -qF -- "$1" "$out" || fail "targetcli does not say '$1': $(cat "$out")"; }

there() { compgen -G "/sys/kernel/config/target/core/user_*/$1" >/dev/null; }

bus_begin "$TCMU_BUILD/tcmu-runner.conf"
start_daemon
bus_has org.kernel.TCMUService1 || fail "the daemon is ready and has no name on the bus: $(cat "$daemon_log")"

step "the handlers are there, and no other; what is wrong is refused, with the reason"
cli '/backstores ls' '/backstores/user:file help create' \
	'/backstores/user:file create name=bad size=64M cfgstring=/mnt/data/missing.img'
assert_eq "nodes" "$(grep -o 'user:[a-z]* \.\.\.' "$out" | tr -d '.\n')" \
	"$(cd "$handlers_dir" && printf '%s\n' handler_*.so | sed 's/^handler_\(.*\)\.so$/user:\1/' | tr '\n' ' ')"
says "$(dbus-send --system --print-reply=literal --dest=org.kernel.TCMUService1 \
	/org/kernel/TCMUService1/file org.freedesktop.DBus.Properties.Get string:org.kernel.TCMUService1 \
	string:ConfigDesc | sed 's/^ *variant *//' | head -c 30)"
says "cfgstring invalid: '/mnt/data/missing.img' cannot be opened"
! there bad || fail "it is there all the same"

step "created, exported, used, with the README's commands"
readme_begin "$TCMU_BUILD" "$daemon_log"
readme_block targetcli-create
cli_disk()
{
	local dev
	for dev in /sys/block/sd*; do
		[ -e "$dev" ] && grep -q 'TCMU device' "$dev/device/model" || continue
		DISK=/dev/${dev##*/}
		[ -b "$DISK" ] && return 0
	done
	return 1
}
wait_for 30 cli_disk || fail "no disk appeared"
dd if=/dev/urandom of=/run/cli.data bs=1M count=4 status=none
dd if=/run/cli.data of="$DISK" bs=1M oflag=direct conv=fsync status=none

step "grown"
readme_block targetcli-grow
echo 1 >"/sys/block/${DISK##*/}/device/rescan"
assert_eq "size after" "$(blockdev --getsize64 "$DISK")" $((2 << 30))

step "saved, cleared, restored; a restart of the daemon and of the bus in between"
cli 'saveconfig /run/saved.json' 'clearconfig confirm=true'
! there disk1 || fail "clearconfig has left it: $(cat "$out")"
bus_end
bus_begin "$TCMU_BUILD/tcmu-runner.conf"
wait_for 60 bus_has org.kernel.TCMUService1 || fail "the daemon has not joined the new bus"
stop_daemon
! bus_has org.kernel.TCMUService1 || fail "the name is still there"
start_daemon
cli 'restoreconfig /run/saved.json'
wait_for 30 cli_disk || fail "no disk after restoreconfig: $(cat "$out")"
drop_caches
cmp -n $((4 << 20)) /run/cli.data "$DISK" || fail "other data after restoreconfig"

step "another medium"
for medium in A B; do
	head -c 64M /dev/zero | tr '\0' "$medium" >/var/tmp/medium$medium.img
done
truncate -s 96M /var/tmp/mediumB.img
cli '/backstores/user:file create name=cart size=64M cfgstring=/var/tmp/mediumA.img;removable' \
	'/loopback create naa.5001405000000003' \
	'/loopback/naa.5001405000000003/luns create /backstores/user:file/cart'
cart_disk()
{
	local dev
	for dev in /sys/block/sd*; do
		[ -e "$dev/removable" ] && [ "$(cat "$dev/removable")" = 1 ] && [ -e "$dev/device/generic" ] || continue
		grep -q 'TCMU device' "$dev/device/model" || continue
		CART=/dev/${dev##*/}
		# By its sg node: who opens the disk of a removable medium locks it (sd.c: sd_open()).
		sg=/dev/$(basename "$(readlink "$dev/device/generic")")
		[ -b "$CART" ] && [ -c "$sg" ] && return 0
	done
	return 1
}
wait_for 30 cart_disk || fail "no disk appeared: $(cat "$out")"
is_medium() { assert_eq "content" "$(dd if="$CART" bs=4k count=1 skip=99 iflag=direct status=none | tr -d "$1" | wc -c)" 0; }
attention() { sg_turs -v "$sg" >/run/turs.out 2>&1 || true; grep -qi "medium may have changed" /run/turs.out; }
sg_turs "$sg" >/dev/null 2>&1 || :
is_medium A

exec 8<"$CART"
cli '/backstores/user:file changemedium name=cart size=96M cfgstring=/var/tmp/mediumB.img;removable'
says "ChangeMedium failed: an initiator prevents the removal"
exec 8<&-
cli '/backstores/user:file changemedium name=cart size=96M cfgstring=/var/tmp/none.img;removable'
says "ChangeMedium failed: '/var/tmp/none.img' cannot be opened"
cli '/backstores/user:file changemedium name=disk1 size=96M cfgstring=/var/tmp/mediumB.img;removable'
says "ChangeMedium failed: its medium is not removable"
! attention || fail "a unit attention without a change: $(cat /run/turs.out)"
is_medium A

cli '/backstores/user:file changemedium name=cart size=96M cfgstring=/var/tmp/mediumB.img;removable' \
	'saveconfig /run/saved.json'
! grep -q failed "$out" || fail "changemedium: $(cat "$out")"
is_medium B
assert_eq "size, of which only the unit attention tells the disk driver" "$(blockdev --getsize64 "$CART")" $((96 << 20))
grep -q '"config": "file//var/tmp/mediumB.img;removable"' /run/saved.json || fail "not saved: $(cat /run/saved.json)"
stop_daemon
start_daemon
is_medium B
kill_daemon
start_daemon
is_medium B
cli '/backstores/user:file changemedium name=cart size=64M cfgstring=/var/tmp/mediumA.img;removable'
attention || fail "no unit attention: $(cat /run/turs.out)"
! attention || fail "it is told again: $(cat /run/turs.out)"
is_medium A
cli '/loopback delete naa.5001405000000003' '/backstores/user:file delete cart'

step "a handler in another process: it comes, is killed, and comes back"
shows() { cli '/backstores ls' && grep -qF "user:own " "$out"; }
hides() { cli '/backstores ls' && ! grep -qF "user:own " "$out"; }
own_begin()
{
	"$TCMU_BUILD/tests/registered" own >"$TCMU_RESULTS/63-own.out" 2>&1 </dev/null &
	own_pid=$!
	wait_for 60 shows || fail "user:own is not there: $(cat "$out")"
}
own_begin
cli '/backstores/user:own create name=other size=1M cfgstring=bad/1' \
	'/backstores/user:own create name=other size=1M cfgstring=good/1'
says "cfgstring invalid: it is not good"
there other || fail "it was not created: $(cat "$out")"
assert_eq "what the process has" "$(cat "$TCMU_RESULTS/63-own.out")" "added own/good/1"
kill -KILL "$own_pid"
wait "$own_pid" 2>/dev/null || :
wait_for 60 hides || fail "user:own is still there: $(cat "$out")"
there other || fail "its storage object is gone as well"
own_begin
wait_for 30 grep -qx 'added own/good/1' "$TCMU_RESULTS/63-own.out" || fail "it has not got its storage object again"
cli '/backstores/user:own delete other'
! there other || fail "it cannot be deleted: $(cat "$out")"
kill -TERM "$own_pid"
wait "$own_pid"
wait_for 60 hides || fail "user:own is still there: $(cat "$out")"

step "deleted"
readme_block targetcli-delete
! there disk1 || fail "delete has left it"
readme_end
stop_daemon
bus_end
