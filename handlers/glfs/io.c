/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading, writing and flushing, and what errors mean. Commands begin on the device's thread, or on the lock's
 * keeper; they end on a thread of libgfapi.
 *
 * libgfapi keeps nothing back here (volume.c), so what was answered is at the bricks, in their page
 * caches, and a flush makes it durable there. If a brick was out of reach between the two, it may have lost
 * power, and the flush proves nothing: then it fails with MEDIUM ERROR, which no initiator sends again on another
 * path, where it would succeed.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "gluster.h"
#include "scsi_defs.h"

struct gluster_cmd *gluster_cmd_begin(struct tcmu_device *dev, struct tcmur_cmd *cmd,
				      const char *what, int medium_sts)
{
	struct gluster_cmd *gc = tcmur_cmd_priv(cmd);

	gc->dev = dev;
	gc->cmd = cmd;
	gc->lun = tcmur_dev_get_private(dev);
	gc->what = what;
	gc->medium_sts = medium_sts;
	gc->waits = gc->inside = false;
	return gc;
}

void gluster_cmd_end(struct gluster_cmd *gc, int sts)
{
	struct gluster_lun *lun = gc->lun;

	if (gc->inside) {
		gc->inside = false;
		gluster_lock_leave(&lun->lock);
	}
	tcmur_cmd_complete(gc->dev, gc->cmd, sts);
}

/* ---- errors ---- */

static int sts_of_errno(int err, int medium_sts)
{
	if (gluster_is_out_of_reach(err))
		return TCMU_STS_NOT_READY;
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

/* Once for each kind: a volume that is out of reach is so for all commands, whatever each of them meets. */
static void say_error(struct gluster_cmd *gc, int err)
{
	int kind = gluster_is_out_of_reach(err) ? ENOTCONN : err;

	if (gc->lun->errno_said == kind)
		return;
	gc->lun->errno_said = kind;
	tcmu_dev_err(gc->dev,
		     "%s at byte %llu failed: %s (said again only after an error of another kind)",
		     gc->what, (unsigned long long)gc->off, strerror(err));
}

void gluster_cmd_fail(struct gluster_cmd *gc, int err)
{
	if (gc->lun->lock.fenced && gc->inside && (err == EBUSY || err == EAGAIN)) {
		/* Whoever sends this again means it. */
		gluster_lock_lost(&gc->lun->lock);
		gluster_cmd_end(gc, TCMU_STS_BUSY);
		return;
	}
	if (gluster_is_out_of_reach(err))
		gluster_outage_begin(gc->lun);
	say_error(gc, err);
	tcmur_cmd_set_error_offset(gc->cmd, gc->off);
	gluster_cmd_end(gc, sts_of_errno(err, gc->medium_sts));
}

bool gluster_cmd_is_in_vain(struct gluster_cmd *gc)
{
	if (!gc->lun->outage.on)
		return false;
	gluster_cmd_end(gc, TCMU_STS_NOT_READY);
	return true;
}

void gluster_cmd_standby(struct gluster_cmd *gc)
{
	gluster_cmd_end(gc, tcmu_sense_set_data(gc->cmd->lib_cmd->sense_buf, NOT_READY,
						ASC_NOT_READY_ALUA_STANDBY));
}

/* ---- read and write ---- */

/* ret bytes of it are done. True: that is all. */
static bool advance(struct gluster_cmd *gc, ssize_t ret)
{
	size_t done = ret < (ssize_t)gc->len ? (size_t)ret : gc->len;

	gc->off += done;
	gc->len -= done;
	if (!gc->len)
		return true;
	while (gc->iov_cnt && done >= gc->iov->iov_len) {
		done -= gc->iov->iov_len;
		gc->iov++;
		gc->iov_cnt--;
	}
	gc->iov->iov_base = (char *)gc->iov->iov_base + done;
	gc->iov->iov_len -= done;
	return false;
}

static void read_done(glfs_fd_t *fd, ssize_t ret, struct glfs_stat *pre, struct glfs_stat *post,
		      void *data)
{
	struct gluster_cmd *gc = data;
	int err = errno;

	(void)fd, (void)pre, (void)post;
	if (ret < 0) {
		gluster_cmd_fail(gc, err);
	} else if (!ret) {
		/* End of file, inside the capacity: what was there is gone and must not pass for zeros. */
		if (!gc->lun->shrunk_said)
			tcmu_dev_err(
				gc->dev,
				"the file ends at byte %llu, before the end of the logical unit: "
				"something has made it smaller",
				(unsigned long long)gc->off);
		gc->lun->shrunk_said = true;
		tcmur_cmd_set_error_offset(gc->cmd, gc->off);
		gluster_cmd_end(gc, TCMU_STS_RD_ERR);
	} else if (advance(gc, ret)) {
		gluster_cmd_end(gc, TCMU_STS_OK);
	} else {
		gluster_lock_again(gc);
	}
}

static void start_read(struct gluster_cmd *gc)
{
	if (glfs_preadv_async(gc->lun->target.fd, gc->iov, (int)gc->iov_cnt, (off_t)gc->off, 0,
			      read_done, gc))
		gluster_cmd_fail(gc, errno);
}

int gluster_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
		 size_t len, off_t off)
{
	struct gluster_cmd *gc = gluster_cmd_begin(dev, cmd, "a read", TCMU_STS_RD_ERR);

	gc->iov = iov;
	gc->iov_cnt = iov_cnt;
	gc->off = (uint64_t)off;
	gc->len = len;
	gc->start = start_read;
	if (gluster_cmd_is_in_vain(gc))
		return TCMU_STS_ASYNC_HANDLED;
	if (gc->lun->lock.fenced)
		gluster_lock_enter(gc);
	else
		start_read(gc);
	return TCMU_STS_ASYNC_HANDLED;
}

void gluster_cmd_written(struct gluster_cmd *gc)
{
	pthread_mutex_lock(&gc->lun->flush_mutex);
	gc->lun->written++;
	pthread_mutex_unlock(&gc->lun->flush_mutex);
}

static void write_done(glfs_fd_t *fd, ssize_t ret, struct glfs_stat *pre, struct glfs_stat *post,
		       void *data)
{
	struct gluster_cmd *gc = data;
	int err = errno;

	(void)fd, (void)pre, (void)post;
	if (ret <= 0) {
		gluster_cmd_fail(gc, ret ? err : ENOSPC);
	} else if (!advance(gc, ret)) {
		gluster_lock_again(gc);
	} else {
		if (!tcmur_cmd_fua(gc->cmd))
			gluster_cmd_written(gc);
		gluster_cmd_end(gc, TCMU_STS_OK);
	}
}

/* With O_DSYNC the bricks write it to their disks before they answer. */
static void start_write(struct gluster_cmd *gc)
{
	if (glfs_pwritev_async(gc->lun->target.fd, gc->iov, (int)gc->iov_cnt, (off_t)gc->off,
			       tcmur_cmd_fua(gc->cmd) ? O_DSYNC : 0, write_done, gc))
		gluster_cmd_fail(gc, errno);
}

int gluster_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
		  size_t len, off_t off)
{
	struct gluster_cmd *gc = gluster_cmd_begin(dev, cmd, "a write", TCMU_STS_WR_ERR);

	gc->iov = iov;
	gc->iov_cnt = iov_cnt;
	gc->off = (uint64_t)off;
	gc->len = len;
	gc->start = start_write;
	if (!gluster_cmd_is_in_vain(gc))
		gluster_lock_enter(gc);
	return TCMU_STS_ASYNC_HANDLED;
}

/* ---- flush ---- */

/* ok: the bricks have said so. True: what was written up to this flush is durable, or nothing was. */
static bool take_flush(struct gluster_cmd *gc, bool ok, bool *lost)
{
	struct gluster_lun *lun = gc->lun;

	pthread_mutex_lock(&lun->flush_mutex);
	*lost = (!ok || lun->doubt) && gc->number > lun->flushed;
	if (ok || *lost) {
		if (gc->number > lun->flushed)
			lun->flushed = gc->number;
		if (lun->flushed == lun->written)
			lun->doubt = false;
	}
	pthread_mutex_unlock(&lun->flush_mutex);
	return ok && !*lost;
}

/* err 0: the bricks have it on their disks. */
static void end_flush(struct gluster_cmd *gc, int err)
{
	bool lost;

	if (take_flush(gc, !err, &lost)) {
		gluster_cmd_end(gc, TCMU_STS_OK);
		return;
	}
	if (gluster_is_out_of_reach(err))
		gluster_outage_begin(gc->lun);
	if (!lost) {
		gluster_cmd_fail(gc, err);
		return;
	}
	tcmu_dev_err(gc->dev,
		     "a flush failed (%s): data that were written since the last one may be lost",
		     err ? strerror(err) : "bricks were out of reach since");
	gluster_cmd_end(gc, TCMU_STS_WR_ERR);
}

static void flush_done(glfs_fd_t *fd, ssize_t ret, struct glfs_stat *pre, struct glfs_stat *post,
		       void *data)
{
	int err = ret < 0 ? errno : 0;

	(void)fd, (void)pre, (void)post;
	end_flush(data, err);
}

int gluster_flush(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	struct gluster_cmd *gc = gluster_cmd_begin(dev, cmd, "a flush", TCMU_STS_WR_ERR);

	pthread_mutex_lock(&gc->lun->flush_mutex);
	gc->number = gc->lun->written;
	pthread_mutex_unlock(&gc->lun->flush_mutex);
	gc->off = 0;
	if (gc->lun->outage.on)
		end_flush(gc, ENOTCONN);
	else if (glfs_fsync_async(gc->lun->target.fd, flush_done, gc))
		end_flush(gc, errno);
	return TCMU_STS_ASYNC_HANDLED;
}

/* ---- what needs no storage ---- */

/* TEST UNIT READY is what initiators ask a path that has failed. */
int gluster_handle_cmd(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	struct gluster_lun *lun = tcmur_dev_get_private(dev);

	if (cmd->lib_cmd->cdb[0] == TEST_UNIT_READY && lun->outage.on)
		return TCMU_STS_NOT_READY;
	return TCMU_STS_NOT_HANDLED;
}

void gluster_cancel(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	struct gluster_cmd *gc = tcmur_cmd_priv(cmd);

	(void)dev;
	if (gc->lun && gluster_lock_cancel(gc))
		gluster_cmd_end(gc, TCMU_STS_ABORTED);
}
