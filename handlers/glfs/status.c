/* SPDX-License-Identifier: Apache-2.0 */
/* Where the file has holes, and how much there is of the rest. libgfapi can only wait for that. */
#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "gluster.h"

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What is at byte at: data or a hole, as far as it goes, or as it is asked for. 0 or -errno. */
static int look(const struct gluster_lun *lun, uint64_t at, uint64_t end,
		struct tcmur_extent *extent)
{
	glfs_fd_t *fd = lun->target.fd;
	off_t next = glfs_lseek(fd, (off_t)at, SEEK_DATA);

	if (next < 0 && errno == ENXIO) {
		/* No data up to the end of the file. Behind that end is nothing that reads as zeros. */
		int64_t size = gluster_target_size(fd);

		if (size < 0)
			return (int)size;
		extent->deallocated = (uint64_t)size > at;
		extent->len = extent->deallocated ? least(end, (uint64_t)size) - at : end - at;
		return 0;
	}
	extent->deallocated = next > (off_t)at;
	if (next == (off_t)at)
		next = glfs_lseek(fd, (off_t)at, SEEK_HOLE);
	if (next < 0)
		return -errno;
	extent->len = least(end, (uint64_t)next) - at;
	return 0;
}

static int64_t work_lba_status(struct tcmur_io *io)
{
	struct gluster_cmd *gc = (struct gluster_cmd *)io;
	uint64_t at = gc->off, end = gc->off + gc->len;
	size_t found = 0;
	int ret = 0;

	while (found < gc->iov_cnt && at < end && !ret) {
		ret = look(gc->lun, at, end, &gc->extents[found]);
		at += gc->extents[found].len;
		if (gc->extents[found].len) /* else a hole was made between the two looks */
			found++;
	}
	return ret;
}

static void lba_status_done(struct tcmur_io *io, int64_t res)
{
	struct gluster_cmd *gc = (struct gluster_cmd *)io;

	if (res == -EINVAL || res == -EOPNOTSUPP || res == -ENOSYS)
		gluster_cmd_end(gc, TCMU_STS_NOT_HANDLED); /* sharded volumes */
	else if (res)
		gluster_cmd_fail(gc, (int)-res);
	else
		gluster_cmd_end(gc, TCMU_STS_OK);
}

int gluster_lba_status(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
		       struct tcmur_extent *extents, size_t max)
{
	struct gluster_cmd *gc = gluster_cmd_begin(dev, cmd, "looking for holes", TCMU_STS_RD_ERR);

	gc->extents = extents;
	gc->iov_cnt = max;
	gc->off = off;
	gc->len = len;
	gc->io.done = lba_status_done;
	tcmur_io_work(dev, &gc->io, work_lba_status);
	return TCMU_STS_ASYNC_HANDLED;
}

/* The pool is the volume. */
int gluster_provisioning(struct tcmu_device *dev, uint64_t *used, uint64_t *available)
{
	struct gluster_lun *lun = tcmur_dev_get_private(dev);
	struct statvfs fs;
	struct stat st;

	if (glfs_fstat(lun->target.fd, &st) ||
	    glfs_statvfs(gluster_volume_fs(lun->target.volume), "/", &fs))
		return -errno;
	*used = (uint64_t)st.st_blocks * 512;
	*available = (uint64_t)fs.f_bavail * fs.f_frsize;
	return 0;
}
