/* SPDX-License-Identifier: Apache-2.0 */
/* Deallocating and zeroing without moving data. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "file.h"

/* ---- unmap ---- */

static void unmap_done(struct tcmur_io *io, int64_t res)
{
	struct file_cmd *fc = (struct file_cmd *)io;

	switch (res) {
	case 0:
		file_cmd_end(fc, TCMU_STS_OK);
		return;
	case -EOPNOTSUPP:
	case -ENOSYS:
		if (tcmu_dev_get_unmap_enabled(fc->dev))
			tcmu_dev_warn(fc->dev, "the storage cannot deallocate after all: UNMAP is "
					       "switched off");
		tcmu_dev_set_unmap_enabled(fc->dev, false);
		file_cmd_end(fc, TCMU_STS_NOT_HANDLED);
		return;
	case -EINVAL: /* not aligned as a block device wants it */
		file_cmd_end(fc, TCMU_STS_NOT_HANDLED);
		return;
	default:
		file_cmd_fail(fc, "a deallocation", fc->off, (int)-res, TCMU_STS_WR_ERR);
	}
}

static int64_t work_discard(struct tcmur_io *io)
{
	struct file_cmd *fc = (struct file_cmd *)io;
	uint64_t range[2] = { fc->off, fc->len };

	return ioctl(fc->lun->target.fd, BLKDISCARD, range) ? -errno : 0;
}

static void start_unmap(struct file_cmd *fc)
{
	if (fc->lun->target.discard)
		tcmur_io_work(fc->dev, &fc->io, work_discard);
	else
		tcmur_io_fallocate(fc->dev, &fc->io, fc->lun->target.fd,
				   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)fc->off,
				   (off_t)fc->len);
}

int file_unmap(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len)
{
	struct file_cmd *fc = file_cmd_begin(dev, cmd, unmap_done);

	if (!tcmu_dev_get_unmap_enabled(dev))
		return TCMU_STS_NOT_HANDLED;
	fc->off = off;
	fc->len = len;
	return file_cmd_start(fc, false, start_unmap);
}

/* ---- write same: zeros only, the runner writes everything else ---- */

static bool is_unsupported(int64_t res)
{
	return res == -EOPNOTSUPP || res == -ENOSYS || res == -EINVAL;
}

static void zeroed(struct tcmur_io *io, int64_t res)
{
	struct file_cmd *fc = (struct file_cmd *)io;

	if (!res)
		file_cmd_end(fc, TCMU_STS_OK);
	else if (is_unsupported(res))
		file_cmd_end(fc, TCMU_STS_NOT_HANDLED);
	else
		file_cmd_fail(fc, "writing zeros", fc->off, (int)-res, TCMU_STS_WR_ERR);
}

static void zero_by_hole(struct file_cmd *fc)
{
	fc->io.done = zeroed;
	tcmur_io_fallocate(fc->dev, &fc->io, fc->lun->target.fd,
			   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)fc->off,
			   (off_t)fc->len);
}

static void zero_range_done(struct tcmur_io *io, int64_t res)
{
	struct file_cmd *fc = (struct file_cmd *)io;

	if (!is_unsupported(res)) {
		zeroed(io, res);
		return;
	}
	if (res != -EINVAL)
		fc->lun->no_zero_range = true;
	zero_by_hole(fc);
}

static void start_zeroing(struct file_cmd *fc)
{
	if (fc->lun->no_zero_range)
		zero_by_hole(fc);
	else
		tcmur_io_fallocate(fc->dev, &fc->io, fc->lun->target.fd,
				   FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)fc->off,
				   (off_t)fc->len);
}

int file_writesame(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
		   struct iovec *iov, size_t iov_cnt)
{
	struct file_cmd *fc;

	if (!tcmu_iovec_zeroed(iov, iov_cnt))
		return TCMU_STS_NOT_HANDLED;

	fc = file_cmd_begin(dev, cmd, zero_range_done);
	fc->off = off;
	fc->len = len;
	return file_cmd_start(fc, false, start_zeroing);
}
