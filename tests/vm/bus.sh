# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# A system bus in the guest. Sourced after lib.sh.

# bus_begin POLICY: with the policy file of a tcmu-runner.
bus_begin()
{
	need dbus-daemon dbus-send
	mkdir -p /run/dbus
	cat >/run/dbus/bus.conf <<EOF
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>
  <include>$1</include>
</busconfig>
EOF
	dbus-daemon --config-file=/run/dbus/bus.conf --nofork --nopidfile >/run/dbus/bus.log 2>&1 </dev/null &
	bus_pid=$!
	wait_for 30 test -S /run/dbus/system_bus_socket || fail "the message bus does not start: $(cat /run/dbus/bus.log)"
}

bus_end()
{
	kill "$bus_pid"
	wait "$bus_pid" 2>/dev/null || :
	rm -f /run/dbus/system_bus_socket
}

# bus_has NAME: somebody owns it.
bus_has()
{
	dbus-send --system --print-reply=literal --dest=org.freedesktop.DBus / \
		org.freedesktop.DBus.NameHasOwner "string:$1" 2>/dev/null | grep -q 'true$'
}
