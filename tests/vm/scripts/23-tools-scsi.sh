#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The rest of what sg3-utils and smartmontools ask of a disk: what it can do, its
# logs, where its blocks are, COMPARE AND WRITE, stop and start, locking, and
# FORMAT UNIT and SANITIZE, which end with a disk that is as good as before.
#
# timeout: 300

. "$TCMU_SRC/tests/vm/lib.sh"
need sg_opcodes sg_luns sg_logs sg_get_lba_status sg_compare_and_write sg_requests sg_start \
	sg_prevent sg_sanitize sg_format sg_write_same sg_verify sg_turs sg_readcap smartctl cmp
need_daemon
modprobe sg

size=$((16 << 20))
file=$(backing tools.img "$size")
start_daemon
lun_create tools "file/$file" "$size"
lun_attach tools

complaints='malformed|bad field|illegal|invalid|truncated|unexpected|aborted|inconsistent|too short|not supported'

# ran COMMAND...: it succeeds; what it said is in $out.
ran()
{
	local status=0
	out=$("$@" 2>&1) || status=$?
	step "$*"
	[ "$status" -eq 0 ] || fail "$*: exit status $status: $out"
}

# said COMMAND...: and it complains about nothing.
said()
{
	ran "$@"
	! grep -Eiq "$complaints" <<<"$out" || fail "$* complains: $out"
}

# refused STATUS COMMAND...: it ends with this exit status (sg3_utils(8)).
refused()
{
	local want=$1 status=0
	shift
	out=$("$@" 2>&1) || status=$?
	step "$* is refused"
	assert_eq "exit status of $*" "$status" "$want"
}

block_is() { dd if="$DISK" bs=512 count=1 skip="$1" iflag=direct status=none | cmp - "$2" || fail "block $1 is not $2"; }

# all_is BYTE: every byte of the disk.
all_is()
{
	blockdev --flushbufs "$DISK"
	drop_caches
	cmp -n "$size" "$DISK" <(tr '\0' "$1" </dev/zero) || fail "the disk does not read as $1"
}

# --- what it can do ---
for options in '' --alpha --unsorted --compact --mask --rctd '--rctd --mask' --hex --tmf '--tmf --repd' --no-inquiry; do
	# shellcheck disable=SC2086 # a list of options
	said sg_opcodes $options "$DISK"
done
said sg_opcodes "$DISK"
for command in 'Test Unit Ready' 'Read\(16\)' 'Write\(16\)' 'Compare and write' 'Get LBA status' 'Unmap' \
	'Write same\(16\)' 'Sanitize, block erase' 'Format Unit' 'Log sense' 'Mode select\(6\)' 'Start stop unit'; do
	assert_match "sg_opcodes" "$out" "$command"
done
said sg_opcodes --opcode=0x28 --rctd "$DISK"
assert_match "one command" "$out" 'conforming to SCSI'
assert_match "one command" "$out" '[Uu]sage data: 28 [0-9a-f]{2} ff ff ff ff [0-9a-f]{2} ff ff [0-9a-f]{2}'
said sg_opcodes --opcode=0x9e,0x10 "$DISK"
assert_match "one service action" "$out" 'conforming to SCSI'
# An error by itself in sg_opcodes' eyes would be one of the command.
out=$(sg_opcodes --opcode=0xc1 "$DISK" 2>&1 || :)
assert_match "a command that there is not" "$out" 'NOT supported'

said sg_luns "$DISK"
assert_match "REPORT LUNS" "$out" 'Report luns \[select_report=0x0\]'
assert_match "REPORT LUNS" "$out" '^ *0000000000000000'

# --- its logs ---
said sg_logs "$DISK"
assert_match "the list of log pages" "$out" '0x00 .*[Ss]upported log pages'
said sg_logs -a "$DISK"
# It says of much that a disk without hardware has not that it is "not supported".
ran smartctl -a "$DISK"
assert_match "smartctl" "$out" 'SMART Health Status: OK'
assert_match "smartctl" "$out" "User Capacity: *16,777,216 bytes"
assert_match "smartctl" "$out" "Serial number: *$lun_serial"
assert_match "smartctl" "$out" 'LU is thin provisioned'

# --- where its blocks are ---
said sg_get_lba_status --brief "$DISK"
assert_match "GET LBA STATUS of an empty file" "$out" '^0x0+ +0x[0-9a-f]+ +1 +0'
dd if=/dev/urandom of="$DISK" bs=64k count=1 seek=16 oflag=direct status=none
said sg_get_lba_status --brief --brief --lba=2048 "$DISK"
assert_eq "provisioning status of what was written" "$out" 0
said sg_get_lba_status --brief --brief --lba=1024 "$DISK"
assert_eq "provisioning status of what was not" "$out" 1
refused 22 sg_get_lba_status --lba=$((size / 512)) "$DISK"

# --- COMPARE AND WRITE, WRITE SAME, VERIFY ---
head -c 512 /dev/zero >/tmp/zeros
head -c 512 /dev/urandom >/tmp/one
head -c 512 /dev/urandom >/tmp/two
said sg_compare_and_write --in=/tmp/zeros --inw=/tmp/one --lba=100 "$DISK"
block_is 100 /tmp/one
refused 14 sg_compare_and_write --quiet --in=/tmp/two --inw=/tmp/two --lba=100 "$DISK"
block_is 100 /tmp/one
said sg_compare_and_write --fua --in=/tmp/one --inw=/tmp/two --lba=100 "$DISK"
block_is 100 /tmp/two
block_is 101 /tmp/zeros

said sg_write_same --16 --lba=200 --num=10 --xferlen=512 --in=/tmp/one "$DISK"
block_is 209 /tmp/one
block_is 210 /tmp/zeros
said sg_write_same --16 --ndob --lba=200 --num=5 "$DISK"
block_is 204 /tmp/zeros
block_is 205 /tmp/one
said sg_verify --16 --lba=0 --count=1000 "$DISK"
said sg_verify --lba=205 --count=1 --ndo=512 --in=/tmp/one "$DISK"
refused 14 sg_verify --quiet --lba=205 --count=1 --ndo=512 --in=/tmp/two "$DISK"

# --- stopping, locking ---
said sg_requests "$DISK"
said sg_requests --desc "$DISK"
# It stays ready, as others may be using it (docs/tcmu-runner.8).
said sg_start --stop "$DISK"
said sg_turs "$DISK"
said sg_requests "$DISK"
said sg_start --start "$DISK"
said sg_turs "$DISK"
block_is 100 /tmp/two

# --- FORMAT UNIT and SANITIZE ---
said sg_format --format --quick --wait "$DISK"
all_is '\0'
said sg_format "$DISK"
dd if=/dev/urandom of="$DISK" bs=1M oflag=direct count=16 status=none
head -c 512 /dev/zero | tr '\0' '\125' >/tmp/pattern
said sg_sanitize --overwrite --pattern=/tmp/pattern --ipl=512 --quick --wait "$DISK"
all_is '\125'
said sg_sanitize --block --quick --wait "$DISK"
all_is '\0'
refused 5 sg_sanitize --crypto --quick --wait "$DISK"
said sg_sanitize --fail --quick --wait "$DISK"
said sg_turs "$DISK"
lun_detach tools
lun_delete tools

# --- a removable one can be locked and ejected ---
lun_create tools "file/$file;removable" "$size"
lun_attach tools
# By its sg node: who opens the disk of a removable medium locks it (sd.c: sd_open()).
sg=/dev/$(basename "$(readlink "/sys/block/${DISK##*/}/device/generic")")
said sg_prevent --prevent=1 "$sg"
refused 5 sg_start --eject "$sg"
said sg_turs "$sg"
said sg_prevent --allow "$sg"
said sg_start --eject "$sg"
refused 2 sg_turs "$sg"
said sg_start --load "$sg"
said sg_turs "$sg"
said sg_readcap "$sg"
lun_detach tools
lun_delete tools
stop_daemon
