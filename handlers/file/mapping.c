/* SPDX-License-Identifier: Apache-2.0 */
/* Where the file has holes, and how much there is of the rest. */
#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "file.h"

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* No data from at on: a hole up to the end of the file. Behind that end is nothing that reads as zeros. */
static int hole_to_end(int fd, uint64_t at, uint64_t end, struct tcmur_extent *extent)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	extent->deallocated = (uint64_t)st.st_size > at;
	extent->len = extent->deallocated ? least(end, (uint64_t)st.st_size) - at : end - at;
	return 0;
}

/* What is at byte at: data or a hole, as far as it goes, or as it is asked for. */
static int look(int fd, uint64_t at, uint64_t end, struct tcmur_extent *extent)
{
	off_t next = lseek(fd, (off_t)at, SEEK_DATA);

	if (next < 0 && errno == ENXIO)
		return hole_to_end(fd, at, end, extent);
	extent->deallocated = next > (off_t)at;
	if (next == (off_t)at)
		next = lseek(fd, (off_t)at, SEEK_HOLE);
	if (next < 0)
		return -errno;
	extent->len = least(end, (uint64_t)next) - at;
	return 0;
}

/* The file offset, which this moves, is of no use to anybody else. */
static int64_t work_lba_status(struct tcmur_io *io)
{
	struct file_cmd *fc = (struct file_cmd *)io;
	uint64_t at = fc->off, end = fc->off + fc->len;
	size_t found = 0;
	int ret = 0;

	while (found < fc->iov_cnt && at < end && !ret) {
		ret = look(fc->lun->target.fd, at, end, &fc->extents[found]);
		at += fc->extents[found].len;
		if (fc->extents[found].len) /* else a hole was made between the two looks */
			found++;
	}
	return ret;
}

static void lba_status_done(struct tcmur_io *io, int64_t res)
{
	struct file_cmd *fc = (struct file_cmd *)io;

	if (res == -EINVAL || res == -EOPNOTSUPP)
		file_cmd_end(fc, TCMU_STS_NOT_HANDLED);
	else if (res)
		file_cmd_fail(fc, "looking for holes", fc->off, (int)-res, TCMU_STS_RD_ERR);
	else
		file_cmd_end(fc, TCMU_STS_OK);
}

int file_lba_status(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
		    struct tcmur_extent *extents, size_t max)
{
	struct file_cmd *fc = file_cmd_begin(dev, cmd, lba_status_done);

	if (fc->lun->target.block_dev)
		return TCMU_STS_NOT_HANDLED;
	fc->extents = extents;
	fc->iov_cnt = max;
	fc->off = off;
	fc->len = len;
	tcmur_io_work(dev, &fc->io, work_lba_status);
	return TCMU_STS_ASYNC_HANDLED;
}

/* The pool is the file system. Of what a block device is made of nothing is known. */
int file_provisioning(struct tcmu_device *dev, uint64_t *used, uint64_t *available)
{
	const struct file_target *target = &((struct file_lun *)tcmur_dev_get_private(dev))->target;
	struct statvfs fs;
	struct stat st;

	if (target->block_dev)
		return -EOPNOTSUPP;
	if (fstat(target->fd, &st) || fstatvfs(target->fd, &fs))
		return -errno;
	*used = (uint64_t)st.st_blocks *
		512; /* stat(2): whatever the blocks of the file system are */
	*available = (uint64_t)fs.f_bavail * fs.f_frsize;
	return 0;
}
