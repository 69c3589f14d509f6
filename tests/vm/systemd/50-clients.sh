#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What gluster-block and ceph-iscsi do, call by call: the first with targetcli and a shell, the second with rtslib. Their
# handlers are stand-ins (handler-bare.c), whose storage is a file.
#
# needs: targetcli
# timeout: 400

. "$TCMU_SRC/tests/vm/systemd/lib.sh"
standins=$TCMU_BUILD/tests/vm-standins
[ -e "$standins/handler_glfs.so" ] || skip "handler_glfs.so is not built"
runner=$(systemctl show -P ExecStart "$unit" | sed -n 's/.*path=\([^ ;]*\).*/\1/p')
handlers=$(PKG_CONFIG_PATH=$TCMU_BUILD pkg-config --variable=handlerdir tcmu-runner)
cp "$standins"/handler_{glfs,rbd}.so "$handlers/"

step "gluster-blockd starts: the version, the handler, with the daemon started by that"
systemctl stop "$unit"
version=$("$runner" --version 2>&1 | awk '{printf $NF}')
assert_match "the version" "$version" '^[0-9]+\.[0-9]+\.[0-9]+$'
within 200 targetcli /backstores/user:glfs ls >"$out" 2>&1 || fail "targetcli ls: $(cat "$out")"
is active || fail "the daemon was not started"
ps aux ww | grep -w '[t]cmu-runner' || fail "ps does not find it"

gbid=6d3a6a36-0e2f-4f21-8a36-5b2a6b1c7d11
gb=/backstores/user:glfs/block1
gb_iqn=iqn.2016-12.org.gluster-block:$gbid
truncate -s 64M "$store/$gbid"

step "gluster-block create"
cli "/backstores/user:glfs create name=block1 size=64M cfgstring=vol@host/block-store/$gbid;tcmur_cmd_time_out=43 control=max_data_area_mb=8,hw_block_size=512, wwn=$gbid" \
	"$gb set attribute cmd_time_out=130" \
	"$gb/alua create name=glfs_tg_pt_gp_ao tag=1" \
	"$gb/alua/glfs_tg_pt_gp_ao set alua alua_access_type=1" \
	"$gb/alua/glfs_tg_pt_gp_ao set alua alua_access_state=0" \
	"$gb/alua create name=glfs_tg_pt_gp_ano tag=2" \
	"$gb/alua/glfs_tg_pt_gp_ano set alua alua_access_type=1" \
	"$gb/alua/glfs_tg_pt_gp_ano set alua alua_access_state=1" \
	"/iscsi create $gb_iqn" \
	"/iscsi/$gb_iqn/tpg1/luns create $gb" \
	"/iscsi/$gb_iqn/tpg1/luns/lun0 set alua alua_tg_pt_gp_name=glfs_tg_pt_gp_ao" \
	"/iscsi/$gb_iqn/tpg1 set attribute generate_node_acls=1 demo_mode_write_protect=0" \
	'/backstores ls' saveconfig
dev=$(object block1)
cat "$out"
assert_eq "enable" "$(cat "$dev/enable")" 1
assert_eq "cmd_time_out" "$(cat "$dev/attrib/cmd_time_out")" 130
assert_eq "serial" "$(sed 's/.*: //' "$dev/wwn/vpd_unit_serial")" "$gbid"
assert_match "control" "$(cat "$dev/info")" 'MaxDataAreaMB: 8'
assert_eq "tag" "$(cat "$dev/alua/glfs_tg_pt_gp_ano/tg_pt_gp_id")" 2
assert_eq "state" "$(cat "$dev/alua/glfs_tg_pt_gp_ano/alua_access_state")" 1
grep -q " block1 " "$out" || fail "ls does not show block1"
grep -q '"plugin": "user"' /etc/rtslib-fb-target/saveconfig.json || fail "not saved"

step "gluster-block modify size; logrotate"
truncate -s 96M "$store/$gbid"
cli "$gb set attribute dev_size=$((96 << 20))"
assert_match "size" "$(cat "$dev/info")" " Size: $((96 << 20))"
before=$(main_pid)
kill -HUP "$before"

step "gluster-block-target stops and starts: clear, with the daemon there, then restore"
within 200 systemctl restart rtslib-fb-targetctl.service || fail "restart of targetctl"
dev=$(object block1)
assert_eq "enable" "$(cat "$dev/enable")" 1
assert_eq "cmd_time_out" "$(cat "$dev/attrib/cmd_time_out")" 130
assert_match "size" "$(cat "$dev/info")" " Size: $((96 << 20))"
assert_eq "the process" "$(main_pid)" "$before"

step "gluster-block delete"
cli "/iscsi delete $gb_iqn" "/backstores/user:glfs delete block1" saveconfig
! compgen -G "$cfs/core/user_*/block1" || fail "it is still there: $(cat "$out")"

step "ceph-iscsi: map, resize, unmap"
truncate -s 64M "$store/image1"
cat >/run/ceph.py <<'END'
from rtslib_fb import (ALUATargetPortGroup, FabricModule, LUN, RTSRoot, Target, TPG,
                       UserBackedStorageObject)

size = 64 << 20
# lun.py, add_dev_to_lio(): the object; cmd_time_out and qfull_time_out, or it is deleted again.
so = UserBackedStorageObject("rbd.image1", config="rbd/rbd/image1;osd_op_timeout=30", size=size,
                             wwn="4c7f4be1-9f0e-4c1c-93d0-4ee2b2f6a7b3",
                             control="max_data_area_mb=8,hw_max_sectors=1024")
so.set_attribute("cmd_time_out", 0)
so.set_attribute("qfull_time_out", 5)
assert so.get_attribute("cmd_time_out") == "0" and so.get_attribute("qfull_time_out") == "5"
assert so.config == "rbd/rbd/image1;osd_op_timeout=30", so.config

# target.py: two gateways, two TPGs, of which one is this machine's.
target = Target(FabricModule("iscsi"), "iqn.2003-01.com.redhat.iscsi-gw:ceph-igw")
for tag in (1, 2):
    TPG(target, tag)

# alua.py: implicit; optimized through the owner's port, not so through the other.
for tpg in target.tpgs:
    owner = tpg.tag == 1
    name = "ao" if owner else "ano%d" % tpg.tag
    group = ALUATargetPortGroup(so, name, tpg.tag)
    group.alua_access_type = 1
    group.alua_support_offline = 0
    group.alua_support_unavailable = 0
    group.alua_support_transitioning = 1
    group.implicit_trans_secs = 45
    group.nonop_delay_msecs = 0
    group.alua_access_state = 0 if owner else 1
    if owner:
        group.preferred = 1
    LUN(tpg, 0, so).alua_tg_pt_gp_name = name
    tpg.enable = owner
assert [so.alua_supported, len(list(so.alua_tpgs))] == [True, 3], list(so.alua_tpgs)

# lun.py, on resize.
so.set_attribute("dev_size", 2 * size)
assert so.size == 2 * size, so.size

for tpg in target.tpgs:
    for lun in tpg.luns:
        lun.delete()
target.delete()
so.delete()
assert not list(RTSRoot().storage_objects)
END
within 200 /usr/bin/python3 /run/ceph.py >"$out" 2>&1 || fail "$(cat "$out")"
assert_eq "size of the image" "$(stat -c %s "$store/image1")" $((128 << 20))
assert_eq "the process" "$(main_pid)" "$before"
