#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Two hundred storage objects created at once and removed at once: none is
# lost, none hangs; what one costs, and that a restart finds them all.
#
# timeout: 400

. "$TCMU_SRC/tests/vm/lib.sh"
need_daemon

count=${TCMU_MANY:-200}
dir=/mnt/data/many
mkdir -p "$dir" "$core"
for ((i = 0; i < count; i++)); do
	truncate -s 16M "$dir/$i"
done

status_of() { awk -v key="$1:" '$1 == key { print $2 }' "/proc/$daemon_pid/status"; }
now() { awk '{ print $1 }' /proc/uptime; }
per_lun() { awk -v a="$1" -v b="$2" -v n="$count" 'BEGIN { printf "%.3f s", (b - a) / n }'; }

devices() { cat "/proc/$daemon_pid/task"/*/comm 2>/dev/null | grep -c '^tcmu-device'; }

create() { small_lun "many$1" "file/$dir/$1"; }
remove() { rmdir "$core/many$1"; }

start_daemon
rss0=$(status_of VmRSS)
t0=$(now)
within $((60 + count / 2)) all_at_once "$count" create || fail "not all of $count storage objects were created"
t1=$(now)
for ((i = 0; i < count; i++)); do
	assert_eq "enable of many$i" "$(cat "$core/many$i/enable")" 1
	assert_match "size of many$i" "$(cat "$core/many$i/info")" 'Status: (ACTIVATED|DEACTIVATED)'
done
threads=$(status_of Threads)
rss1=$(status_of VmRSS)
step "attach: $(per_lun "$t0" "$t1") each; $threads threads; $(((rss1 - rss0) / count)) kB RSS each"
[ "$threads" -le $((count + 8)) ] || fail "$threads threads for $count idle devices"

t0=$(now)
stop_daemon
t1=$(now)
start_daemon
wait_for $((60 + count / 4)) eval '[ "$(devices)" -ge "$count" ]' || fail "not all devices are served after the restart"
t2=$(now)
step "stop: $(per_lun "$t0" "$t1") each; start: $(per_lun "$t1" "$t2") each"

t0=$(now)
within $((60 + count / 2)) all_at_once "$count" remove || fail "not all of $count storage objects were removed"
t1=$(now)
step "remove: $(per_lun "$t0" "$t1") each"
! compgen -G "$core/many*" >/dev/null || fail "some are still there"
daemon_alive || fail "the daemon ended"
wait_for 10 eval '[ "$(devices)" -eq 0 ]' || fail "$(devices) devices' threads are left"
stop_daemon
