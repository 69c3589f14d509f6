# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# libiscsi's SCSI suite over LIO's own iSCSI target on loopback. Sourced after
# lib.sh:
#
#	iscsi_begin
#	iscsi_target STORAGE-OBJECT
#	suite LABEL [TESTS...]
#	iscsi_target_end
#	iscsi_login, iscsi_forget: this kernel as the initiator
#	conformance_lun LABEL OPTIONS SIZE [TESTS [key=value...]]
#	conformance_units [OPTIONS-FOR-WRITE-ATOMIC]
#	judge VARIANT LEAST LABEL...

iscsi=$cfs/iscsi
# Another one for each script: see iscsi_forget().
iqn=iqn.2003-01.org.linux-iscsi.tcmu:$script_name

# How long the whole family may take. It needs 200 s with TCG on an idle machine.
suite_limit=${TCMU_VM_SUITE_SECONDS:-1500}

iscsi_begin()
{
	local dbroot
	modprobe iscsi_target_mod
	# The kernel keeps persistent reservations here, and without the directory
	# answers each PERSISTENT RESERVE OUT with NOT READY.
	dbroot=$(cat "$cfs/dbroot")
	mkdir -p "$dbroot/pr"
	mkdir -p "$iscsi"
	iscsi-test-cu --list >"$TCMU_RESULTS/$script_name.list"
	trap iscsi_on_exit EXIT
}

# iscsi_portal TAG PORT STORAGE-OBJECT: LUN 0 for whoever logs in.
iscsi_portal()
{
	local tpg=$iscsi/$iqn/tpgt_$1 attribute
	mkdir -p "$tpg"
	for attribute in authentication=0 generate_node_acls=1 cache_dynamic_acls=1 demo_mode_write_protect=0; do
		put "$tpg/attrib/${attribute%=*}" "${attribute#*=}"
	done
	mkdir "$tpg/np/127.0.0.1:$2" "$tpg/lun/lun_0"
	ln -s "$3" "$tpg/lun/lun_0/port"
	put "$tpg/enable" 1
}

# iscsi_target STORAGE-OBJECT (its configfs directory): at two ports of one
# target, so that the suite has two paths to it.
iscsi_target()
{
	iscsi_portal 1 3260 "$1"
	iscsi_portal 2 3261 "$1"
}

iscsi_target_end()
{
	local tpg
	for tpg in "$iscsi/$iqn"/tpgt_*; do
		[ -d "$tpg" ] || continue
		# Ends the sessions that are left.
		within 60 put "$tpg/enable" 0 || return 1
		within 60 rm -f "$tpg/lun/lun_0/port" || return 1
		within 60 rmdir "$tpg/lun/lun_0" "$tpg"/np/* "$tpg" || return 1
	done
	[ ! -d "$iscsi/$iqn" ] || within 60 rmdir "$iscsi/$iqn"
}

# A storage object cannot be deleted, nor the guest used again, while it is exported.
iscsi_on_exit()
{
	local status=$?
	# A child that is told to end before its exec runs this trap as well.
	[ "$BASHPID" = "$$" ] || return
	set +e
	# Its commands would wait for the target to come back.
	! daemon_alive || (iscsi_forget)
	if ! iscsi_target_end; then
		echo "FAIL: the iSCSI target could not be removed" >&2
		[ "$status" != 0 ] && [ "$status" != 77 ] || status=1
	fi
	(exit "$status")
	on_exit
}

iscsi_disk()
{
	local dev
	for dev in /sys/class/iscsi_session/session*/device/target*/*/block/*; do
		[ -e "$dev" ] || return 1
		REMOTE=/dev/${dev##*/}
	done
	[ -b "$REMOTE" ] && [ "$(blockdev --getsize64 "$REMOTE")" -gt 0 ]
}

# iscsi_login: sets REMOTE to the disk. iscsistart is the part of open-iscsi that needs
# no database. On a slow machine a ping that is answered late would end the session.
iscsi_login()
{
	modprobe iscsi_tcp
	iscsistart -i iqn.2003-01.org.linux-iscsi.tcmu:initiator -t "$iqn" -g 1 -a 127.0.0.1 -p 3260 \
		-P node.session.timeo.replacement_timeout=300 \
		-P 'node.conn[0].timeo.noop_out_interval=0' -P 'node.conn[0].timeo.noop_out_timeout=0' \
		>"$TCMU_RESULTS/$script_name.login.out" 2>&1 </dev/null ||
		fail "cannot log in: $(cat "$TCMU_RESULTS/$script_name.login.out")"
	wait_for 30 iscsi_disk || fail "no disk over iSCSI after 30 s"
}

# iscsi_forget: the initiator's disk, before the target ends. Its session stays, without
# a disk, until the guest ends: only iscsid ends one. iscsistart refuses a second session
# with the same target.
iscsi_forget()
{
	local delete
	for delete in /sys/class/iscsi_session/session*/device/target*/*/delete; do
		[ ! -e "$delete" ] || within 100 put "$delete" 1 || fail "the iSCSI disk cannot be removed"
	done
}

suite_log() { echo "$TCMU_RESULTS/$script_name.$1.suite"; }

# The whole family, a word for each process that runs a part of it. The suite has a
# flaw: what a test changes on purpose and is to put back at its end, wrong transfer
# lengths or a reservation, stays if it is skipped half-way, and all that comes after
# it fails. So each test of Sanitize has a process of its own (Reservations is
# skipped at CRYPTO ERASE). Not among them is what can only fail: see $suite_left_out.
# TCMU_VM_SUITE_EACH=y runs each suite in a process of its own.
suite_left_out="SCSI.Sanitize.Reset"
whole_family()
{
	local list=$TCMU_RESULTS/$script_name.list separator=, one apart='SCSI\.Sanitize'
	[ -z "${TCMU_VM_SUITE_EACH-}" ] || separator=' '
	for one in $suite_left_out; do
		one=${one%.*}
		apart+="|${one//./\\.}"
	done
	grep -x 'SCSI\.[^.]*' "$list" | grep -vxE "$apart|SCSI\.Reserve6" | paste -sd "$separator"
	echo SCSI.Reserve6 # see slow_network()
	# shellcheck disable=SC2086 # a list of words
	grep -E "^($apart)\." "$list" | grep -vxF "$(printf '%s\n' $suite_left_out)"
}

# suite LABEL [TESTS...]: runs each of them in a process of its own on LUN 0; the
# whole family unless said.
suite()
{
	local label=$1 tests number=0
	shift
	# shellcheck disable=SC2046 # a list of words
	[ $# -gt 0 ] || set -- $(whole_family)
	for tests in "$@"; do
		run_suite "$label.$number" "$tests"
		number=$((number + 1))
	done
}

# The kernel answers a LOGOUT before it gives up what the session had reserved, some
# milliseconds later. SCSI.Reserve6 logs in again and looks; over a loopback that is
# too soon, not over a network.
slow_network()
{
	case "$1" in
	SCSI.Reserve6*) tc qdisc add dev lo root netem delay 10ms ;;
	*) tc qdisc del dev lo root 2>/run/tc || true ;;
	esac
}

run_suite()
{
	local tests=$2 log status=0
	slow_network "$tests"
	log=$(suite_log "$1")
	[ ${#tests} -lt 60 ] && step "the suite's $tests on $1" || step "the suite on $1"
	echo "$tests" >"${log%.suite}.tests"
	# By lines, or the two streams would not be in the order in which they were
	# written; without any buffer each byte of a dump is a system call. The log grows by thousands of lines: not over 9p.
	timeout "$suite_limit" stdbuf -oL iscsi-test-cu --dataloss --allow-sanitize --Verbose-scsi \
		--test="$tests" "iscsi://127.0.0.1:3260/$iqn/0" "iscsi://127.0.0.1:${TCMU_VM_SECOND_PORT:-3261}/$iqn/0" \
		>/run/suite.log 2>&1 </dev/null || status=$?
	slow_network none
	cp /run/suite.log "$log"
	# 1 is a failed test, of which judge() knows more.
	[ "$status" -le 1 ] || echo "iscsi-test-cu ended with $status" >>"$log"
}

# judge VARIANT LEAST LABEL...: the verdict on what suite() ran.
judge()
{
	local variant=$1 least=$2 label log logs=() verdict=()
	shift 2
	for label in "$@"; do
		for log in "$TCMU_RESULTS/$script_name.$label".*.suite; do
			logs+=("$log=$(cat "${log%.suite}.tests")")
		done
	done
	case $least in
	*/*) verdict=(--expect "$least") ;;
	*) verdict=(--least "$least" --variant "$variant" --skips "$TCMU_SRC/tests/vm/conformance.skip") ;;
	esac
	python3 "$TCMU_SRC/tests/vm/conformance.py" --list "$TCMU_RESULTS/$script_name.list" \
		--all "$TCMU_RESULTS/$script_name.$variant.outcomes" \
		--failures "$TCMU_RESULTS/$script_name.$variant.failures" \
		"${verdict[@]}" "${logs[@]}"
}

# conformance_lun LABEL OPTIONS SIZE ["TESTS..." [key=value...]]: the suite on a fresh
# LUN of the file handler, or $conformance_handler, with these options behind its path; for
# qcow on an image, for glfs in the volume of gluster.sh.
conformance_handler=file
conformance_lun()
{
	local label=$1 options=$2 size=$3 tests=${4-} file
	shift 3
	[ $# -eq 0 ] || shift
	file=$(backing conformance.img "$size")
	case $conformance_handler in
	qcow) qemu-img create -q -f qcow2 "$file" "$size" ;;
	glfs)
		gluster_file conformance.img "$size"
		file=$gluster_volume@$gluster_host/conformance.img
		;;
	esac
	lun_create conformance "$conformance_handler/$file$options" "$size" "$@" || return 1
	iscsi_target "$core/conformance"
	# shellcheck disable=SC2086 # a list of words
	suite "$label" $tests
	iscsi_target_end
	lun_delete conformance
	[ "$conformance_handler" != qcow ] || qemu-img check -q "$file" || fail "QEMU finds errors in the image"
}

# conformance_units ATOMIC: the suite on a LUN with 512-byte blocks, and what it
# skips there on others: one with larger physical blocks, a large, a removable, a
# read-only and, with ";atomic" or such as ATOMIC, one with atomic writes. They are
# plain_units and all_units for judge.
plain_units='plain physical large'
conformance_units()
{
	# Fewer than 65536 blocks: the suite's WriteSame16.Unmap would write as many with one
	# command, whatever MAXIMUM TRANSFER LENGTH is.
	local size=$((${TCMU_VM_LUN_MIB:-31} << 20)) atomic=${1-}
	suite_left_out="SCSI.Sanitize.Reset SCSI.WriteSame10.UnmapUntilEnd" # on the large one
	# The suite's GetLBAStatus.UnmapSingle is for physical blocks of one logical one: it
	# asks for the status of block n + 1 and expects that of n + LBPPB.
	conformance_lun plain ";phys=512" "$size"
	# For LBPPB of 2 and more it has other tests (see long/81-conformance-4096.sh, too).
	conformance_lun physical ";phys=4096" "$size" \
		SCSI.WriteSame10.UnmapUnaligned,SCSI.WriteSame16.UnmapUnaligned,SCSI.WriteSame10.InvalidDataOutSize,SCSI.WriteSame16.InvalidDataOutSize,SCSI.CompareAndWrite.InvalidDataOutSize
	# A sanitize operation that is still under way after four seconds at 200 MiB/s, and
	# WRITE SAME of 0 blocks refused: where it is not, the suite's test asks for a pattern
	# of FFh and wants to read zeros.
	conformance_lun large "" $((1200 << 20)) "SCSI.Sanitize.Reset SCSI.WriteSame10.UnmapUntilEnd"
	conformance_lun removable ";removable" "$size" \
		"SCSI.NoMedia,SCSI.StartStopUnit SCSI.PreventAllow.Simple SCSI.PreventAllow.Eject SCSI.PreventAllow.LUNReset"
	conformance_lun readonly ";ro" "$size" SCSI.ReadOnly
	all_units="$plain_units removable readonly"
	[ -n "$atomic" ] || return 0
	conformance_lun atomic "$atomic" "$size" SCSI.WriteAtomic16
	all_units+=' atomic'
}

# conformance_fileio SIZE: the same on the kernel's own backstore for files.
conformance_fileio()
{
	local dev=$cfs/core/fileio_0/conformance
	modprobe target_core_file
	mkdir -p "$dev"
	put "$dev/control" "fd_dev_name=$(backing conformance.img "$1"),fd_dev_size=$1"
	put "$dev/enable" 1
	put "$dev/attrib/emulate_tpu" 1
	put "$dev/attrib/emulate_tpws" 1
	put "$dev/wwn/vpd_unit_serial" "$(cat /proc/sys/kernel/random/uuid)"
	iscsi_target "$dev"
	suite fileio SCSI
	iscsi_target_end
	rmdir "$dev" "${dev%/*}"
}
