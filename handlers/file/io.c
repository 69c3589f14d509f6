/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading, writing and flushing the file, through the I/O engine. Everything here runs on the
 * device's thread but for the functions named work_*.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

#define BOUNCE_ALIGN 4096

struct file_cmd *file_cmd_begin(struct tcmu_device *dev, struct tcmur_cmd *cmd,
				void (*done)(struct tcmur_io *io, int64_t res))
{
	struct file_cmd *fc = tcmur_cmd_priv(cmd);

	fc->dev = dev;
	fc->cmd = cmd;
	fc->lun = tcmur_dev_get_private(dev);
	fc->io.done = done;
	return fc;
}

void file_cmd_end(struct file_cmd *fc, int sts)
{
	tcmur_cmd_complete(fc->dev, fc->cmd, sts);
}

/* ---- errors ---- */

/* Says it once for each kind: a storage that fails, fails often. */
static void say_error(struct file_cmd *fc, const char *what, uint64_t off, int err)
{
	if (fc->lun->errno_said == err)
		return;
	fc->lun->errno_said = err;
	tcmu_dev_err(fc->dev,
		     "%s at byte %llu failed: %s (said again only after an error of another kind)",
		     what, (unsigned long long)off, strerror(err));
}

/* The outcome of a failed operation: medium_sts for whatever is the medium's fault. */
static int sts_of_errno(int err, int medium_sts)
{
	switch (err) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return TCMU_STS_NO_SPACE;
	case EROFS:
	case EPERM:
		return medium_sts == TCMU_STS_WR_ERR ? TCMU_STS_WRITE_PROTECTED : medium_sts;
	case ENOMEM:
	case ENOBUFS:
		return TCMU_STS_NO_RESOURCE;
	default:
		return medium_sts;
	}
}

void file_cmd_fail(struct file_cmd *fc, const char *what, uint64_t off, int err, int medium_sts)
{
	if (err == ECANCELED) { /* nothing was done, and nobody waits for the outcome */
		file_cmd_end(fc, TCMU_STS_ABORTED);
		return;
	}
	say_error(fc, what, off, err);
	tcmur_cmd_set_error_offset(fc->cmd, off);
	file_cmd_end(fc, sts_of_errno(err, medium_sts));
}

/* The page cache has dropped what it could not write and called it clean: a later fsync() would
 * succeed and prove nothing. So none does, until the logical unit has been opened again. */
void file_sync_failed(struct tcmu_device *dev, struct file_lun *lun, int err)
{
	if (lun->sync_failed)
		return;
	lun->sync_failed = true;
	tcmu_dev_err(
		dev,
		"writing back failed: %s. Data that were written before may be lost, and every "
		"flush fails from now on; repair the storage, check the data, then restart the "
		"daemon, or delete the storage object and create it again",
		strerror(err));
}

/* ---- read ---- */

/* Copies from or to an aligned buffer, for iovecs that O_DIRECT does not take. */
static int64_t work_read_bounced(struct tcmur_io *io)
{
	struct file_cmd *fc = (struct file_cmd *)io;
	uint64_t have = 0;
	int64_t ret = 0;
	void *buf;

	if (posix_memalign(&buf, BOUNCE_ALIGN, fc->len))
		return -ENOMEM;
	while (have < fc->len) {
		ret = pread(fc->lun->target.fd, (char *)buf + have, fc->len - have,
			    (off_t)(fc->off + have));
		if (ret < 0 && errno == EINTR)
			continue;
		if (ret <= 0)
			break;
		have += (uint64_t)ret;
	}
	if (ret < 0)
		ret = -errno;
	else
		ret = (int64_t)tcmu_memcpy_into_iovec(fc->iov, fc->iov_cnt, buf, have);
	free(buf);
	return ret;
}

static void read_ended(struct file_cmd *fc, int64_t res, uint64_t progress)
{
	if (res < 0) {
		file_cmd_fail(fc, "a read", fc->off + progress, (int)-res, TCMU_STS_RD_ERR);
		return;
	}
	if ((uint64_t)res == fc->len) {
		file_cmd_end(fc, TCMU_STS_OK);
		return;
	}

	/* End of file, inside the capacity: what was there is gone and must not pass for zeros. */
	if (!fc->lun->shrunk_said)
		tcmu_dev_err(fc->dev,
			     "the file ends at byte %llu, before the end of the logical unit: "
			     "something has made it smaller",
			     (unsigned long long)(fc->off + (uint64_t)res));
	fc->lun->shrunk_said = true;
	tcmur_cmd_set_error_offset(fc->cmd, fc->off + (uint64_t)res);
	file_cmd_end(fc, TCMU_STS_RD_ERR);
}

static void read_bounced_done(struct tcmur_io *io, int64_t res)
{
	read_ended((struct file_cmd *)io, res, 0);
}

static void read_done(struct tcmur_io *io, int64_t res)
{
	struct file_cmd *fc = (struct file_cmd *)io;

	if (res == -EINVAL && fc->lun->direct) {
		io->done = read_bounced_done;
		tcmur_io_work(fc->dev, io, work_read_bounced);
		return;
	}
	read_ended(fc, res, res < 0 ? tcmur_io_progress(io) : 0);
}

static void start_read(struct file_cmd *fc)
{
	tcmur_io_readv(fc->dev, &fc->io, fc->lun->target.fd, fc->iov, fc->iov_cnt, (off_t)fc->off);
}

int file_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
	      size_t len, off_t off)
{
	struct file_cmd *fc = file_cmd_begin(dev, cmd, read_done);

	fc->iov = iov;
	fc->iov_cnt = iov_cnt;
	fc->off = (uint64_t)off;
	fc->len = len;
	return file_cmd_start(fc, true, start_read);
}

/* ---- write ---- */

static int64_t work_write_bounced(struct tcmur_io *io)
{
	struct file_cmd *fc = (struct file_cmd *)io;
	int flags = tcmur_cmd_fua(fc->cmd) ? RWF_DSYNC : 0;
	uint64_t have = 0;
	int64_t ret = 0;
	void *buf;

	if (posix_memalign(&buf, BOUNCE_ALIGN, fc->len))
		return -ENOMEM;
	tcmu_memcpy_from_iovec(buf, fc->len, fc->iov, fc->iov_cnt);
	while (have < fc->len) {
		struct iovec rest = { (char *)buf + have, fc->len - have };

		ret = pwritev2(fc->lun->target.fd, &rest, 1, (off_t)(fc->off + have), flags);
		if (ret < 0 && errno == EINTR)
			continue;
		if (ret <= 0)
			break;
		have += (uint64_t)ret;
	}
	if (ret < 0)
		ret = -errno;
	else
		ret = (int64_t)have;
	free(buf);
	return ret;
}

/* A failed FUA write was either refused itself, or did write and then failed to write back, which
 * may be about older data in the page cache (see file_sync_failed()). Lack of space is told apart by a
 * write without FUA: one that succeeds convicts the write-back. */
static void write_tried_again(struct tcmur_io *io, int64_t res)
{
	struct file_cmd *fc = (struct file_cmd *)io;

	if (res ==
	    -ECANCELED) { /* its command is aborted; what has become of others is to be known */
		tcmur_io_writev(fc->dev, io, fc->lun->target.fd, fc->iov, fc->iov_cnt,
				(off_t)fc->off, 0);
		return;
	}
	if (res < 0) {
		file_cmd_fail(fc, "a write", fc->off + tcmur_io_progress(io), (int)-res,
			      TCMU_STS_WR_ERR);
		return;
	}
	file_sync_failed(fc->dev, fc->lun, ENOSPC);
	tcmur_cmd_set_error_offset(fc->cmd, fc->off);
	file_cmd_end(fc, TCMU_STS_WR_ERR);
}

static bool may_come_from_writeback(int err)
{
	switch (err) {
	case EINVAL:
	case EFAULT:
	case EFBIG:
	case EPERM:
	case EROFS:
	case ENOMEM:
	case ENOBUFS:
	case ECANCELED:
		return false;
	default:
		return true;
	}
}

static void write_ended(struct file_cmd *fc, int64_t res, uint64_t progress)
{
	bool may_have_lost = tcmur_cmd_fua(fc->cmd) && !fc->lun->direct;
	int err = res < 0 ? (int)-res : 0;

	if (res == (int64_t)fc->len) {
		file_cmd_end(fc, TCMU_STS_OK);
		return;
	}
	if (!err)
		err = EIO; /* no progress and no reason */
	if (may_have_lost && (err == ENOSPC || err == EDQUOT)) {
		fc->io.done = write_tried_again;
		tcmur_io_writev(fc->dev, &fc->io, fc->lun->target.fd, fc->iov, fc->iov_cnt,
				(off_t)fc->off, 0);
		return;
	}
	if (may_have_lost && may_come_from_writeback(err))
		file_sync_failed(fc->dev, fc->lun, err);
	file_cmd_fail(fc, "a write", fc->off + progress, err, TCMU_STS_WR_ERR);
}

static void write_bounced_done(struct tcmur_io *io, int64_t res)
{
	write_ended((struct file_cmd *)io, res, 0);
}

static void write_done(struct tcmur_io *io, int64_t res)
{
	struct file_cmd *fc = (struct file_cmd *)io;

	if (res == -EINVAL && fc->lun->direct) {
		io->done = write_bounced_done;
		tcmur_io_work(fc->dev, io, work_write_bounced);
		return;
	}
	write_ended(fc, res, res < 0 ? tcmur_io_progress(io) : 0);
}

static void start_write(struct file_cmd *fc)
{
	tcmur_io_writev(fc->dev, &fc->io, fc->lun->target.fd, fc->iov, fc->iov_cnt, (off_t)fc->off,
			tcmur_cmd_fua(fc->cmd) ? TCMUR_IO_FUA : 0);
}

int file_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
	       size_t len, off_t off)
{
	struct file_cmd *fc = file_cmd_begin(dev, cmd, write_done);

	fc->iov = iov;
	fc->iov_cnt = iov_cnt;
	fc->off = (uint64_t)off;
	fc->len = len;
	if (fc->lun->journal && tcmur_cmd_atomic(cmd))
		return file_write_atomic(fc);
	return file_cmd_start(fc, false, start_write);
}

/* ---- flush ---- */

static void flush_done(struct tcmur_io *io, int64_t res)
{
	struct file_cmd *fc = (struct file_cmd *)io;

	if (res < 0)
		file_sync_failed(fc->dev, fc->lun, (int)-res);
	/* Also when another flush has just failed: which of the two was told is chance. */
	file_cmd_end(fc, fc->lun->sync_failed ? TCMU_STS_WR_ERR : TCMU_STS_OK);
}

int file_flush(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	struct file_cmd *fc = file_cmd_begin(dev, cmd, flush_done);

	if (fc->lun->sync_failed)
		return TCMU_STS_WR_ERR;
	if (fc->lun->read_only)
		return TCMU_STS_OK;
	tcmur_io_fsync(dev, &fc->io, fc->lun->target.fd);
	return TCMU_STS_ASYNC_HANDLED;
}
