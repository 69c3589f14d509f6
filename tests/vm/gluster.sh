# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# A GlusterFS server in the guest, with the volume that the README makes. Sourced after
# lib.sh:
#
#	gluster_begin
#	gluster_file NAME SIZE
#	brick_pid VOLUME
#	gluster_end

. "$TCMU_SRC/tests/lib/readme.sh"

gluster_volume=vol0
gluster_host=127.1.1.1

# The brick is on the data disk. What an earlier script had in there is gone.
gluster_begin()
{
	need glusterd gluster qemu-img
	[ -e "$handlers_dir/handler_glfs.so" ] || skip "handler_glfs.so is not built"
	gluster_end
	rm -rf /var/lib/glusterd/* /mnt/data/brick
	mkdir -p /mnt/data/brick /srv/brick /var/log/glusterfs /var/run/gluster /var/lib/glusterd
	mount --bind /mnt/data/brick /srv/brick
	# Before it listens glusterd asks its geo-replication, a Python program, for one setting after the other, which
	# takes two minutes here; it goes on without. The root is the guest's own.
	rm -f /usr/lib/*/glusterfs/gsyncd
	readme_begin "$TCMU_BUILD" "$TCMU_RESULTS/$script_name.readme.log"
	trap gluster_on_exit EXIT
	within 200 readme_block glfs-volume >"$TCMU_RESULTS/$script_name.gluster.out" 2>&1 ||
		fail "no volume: $(cat "$TCMU_RESULTS/$script_name.gluster.out")"
}

# gluster_file NAME SIZE: a fresh sparse file in the volume.
gluster_file()
{
	local url=gluster+tcp://$gluster_host:24007/$gluster_volume/$1
	qemu-img create -q -f raw "$url" "$2" >/dev/null 2>&1 || fail "no file $1 in the volume"
}

brick_pid() { cat "/var/run/gluster/vols/$1"/*.pid; }

gluster_end()
{
	pkill -KILL "^gluster" || :
	! mountpoint -q /srv/brick || umount -l /srv/brick
}

gluster_on_exit()
{
	local status=$?
	[ "$BASHPID" = "$$" ] || return
	set +e
	tail -n 1000 /var/log/tcmu-runner-glfs.log /var/log/glusterfs/*.log /var/log/glusterfs/bricks/*.log \
		>"$TCMU_RESULTS/$script_name.gluster.log" 2>/dev/null
	gluster_end
	readme_end
	(exit "$status")
	on_exit
}
