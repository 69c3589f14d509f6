#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What an administrator does with targetcli, Debian's: it sees the handlers on the
# bus, shows what a config string looks like and why one is refused; a LUN is
# created, exported, grown, saved, restored and deleted with it.
#
# needs: targetcli
# timeout: 400

. "$TCMU_SRC/tests/vm/lib.sh"
. "$TCMU_SRC/tests/vm/bus.sh"
. "$TCMU_SRC/tests/lib/readme.sh"
need /usr/bin/python3
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
assert_eq "nodes" "$(grep -o 'user:[a-z]* \.\.\.' "$out" | tr -d '.\n')" "user:file user:null "
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

step "deleted"
readme_block targetcli-delete
! there disk1 || fail "delete has left it"
readme_end
stop_daemon
bus_end
