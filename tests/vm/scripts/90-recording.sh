#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The fake kernel of tests/ring claims to behave as the real one: the same list
# of commands is run here, and what this kernel puts on its ring must be what is
# in tests/ring/recorded, which the fake is compared with.
#
# timeout: 300

. "$TCMU_SRC/tests/vm/lib.sh"

record=$TCMU_BUILD/tests/record
[ -x "$record" ] || skip "$record is not built"
load_modules
modprobe sg

step "a storage object without a daemon"
dev=$core/record
mkdir -p "$dev"
put "$dev/control" "dev_config=record/x"
put "$dev/control" "dev_size=1073741824"
put "$dev/control" "nl_reply_supported=-1"
put "$dev/control" "max_data_area_mb=4"
put "$dev/control" "cmd_ring_size_mb=1"
put "$dev/attrib/cmd_time_out" 0
within 30 put "$dev/enable" 1 || fail "enabling it failed"
uio=''
for name in /sys/class/uio/*/name; do
	if grep -q '^tcm-user/0/record/' "$name"; then
		uio=/dev/$(basename "${name%/name}")
	fi
done
[ -e "$uio" ] || fail "no uio device"

step "recording from $uio"
out=$TCMU_RESULTS/recorded.txt
mkfifo /run/record.in
"$record" "$uio" "$dev/action" "$out.new" </run/record.in >/run/record.out 2>&1 &
record_pid=$!
exec 7>/run/record.in
wait_for 10 grep -q serving /run/record.out || fail "it does not serve: $(cat /run/record.out)"

naa=$(lun_naa record)
tpg=$cfs/loopback/$naa/tpgt_1
mkdir -p "$tpg"
put "$tpg/nexus" "$naa"
mkdir -p "$tpg/lun/lun_0"
within 60 ln -s "$dev" "$tpg/lun/lun_0/port" || fail "attaching failed"
address=$(cat "$tpg/address")
sg_node() { sg=$(basename "/sys/class/scsi_device/$address:0/device/scsi_generic/"*) && [ -e "/dev/$sg" ]; }
wait_for 30 sg_node || fail "no sg device"

step "the list, on /dev/$sg"
echo "/dev/$sg" >&7
recorded() { grep -q recorded /run/record.out || ! kill -0 "$record_pid" 2>/dev/null; }
wait_for 200 recorded || fail "it takes too long: $(tail -n 3 "$out.new")"
wait "$record_pid" || fail "$(cat /run/record.out)"
exec 7>&-

{
	echo "## What Linux $(uname -r) put on the ring of a TCM-User device for the list of"
	echo "## commands in tests/ring/record-script.c (tests/vm/scripts/90-recording.sh)."
	echo "## An entry is written from its first to its last byte, 8x00 are eight zeros; of a PAD"
	echo "## only the header, as the kernel leaves old bytes behind it."
	cat "$out.new"
} >"$out"
rm "$out.new"
step "$(wc -l <"$out") lines"

# The recorded file first has to exist; the results directory has the new one.
recording=$TCMU_SRC/tests/ring/recorded/linux.txt
[ -e "$recording" ] || fail "there is no $recording; this run's is $out"
diff <(grep -v '^## ' "$recording") <(grep -v '^## ' "$out") >&2 ||
	fail "this kernel does something else than the recorded one: compare $out with $recording"
