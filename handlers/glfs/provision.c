/* SPDX-License-Identifier: Apache-2.0 */
/* Deallocating and zeroing without moving data, in pieces: a brick has one answer for each. */
#include <errno.h>
#include <string.h>

#include "gluster.h"

#define DISCARD_PIECE (256ull << 20)
#define ZERO_PIECE    (16ull << 20) /* some file systems write them all */

static bool is_unsupported(int err)
{
	return err == EOPNOTSUPP || err == ENOSYS || err == EINVAL;
}

static void next_piece(struct gluster_cmd *gc, uint64_t most)
{
	gc->step = gc->len < most ? gc->len : most;
}

/* err: how the piece has ended. True: another one has to be done. */
static bool piece_done(struct gluster_cmd *gc, ssize_t ret, int err)
{
	if (ret < 0) {
		if (is_unsupported(err))
			gluster_cmd_end(gc, TCMU_STS_NOT_HANDLED);
		else
			gluster_cmd_fail(gc, err);
		return false;
	}
	gluster_cmd_written(gc);
	gc->off += gc->step;
	gc->len -= gc->step;
	if (gc->len)
		return true;
	gluster_cmd_end(gc, TCMU_STS_OK);
	return false;
}

/* ---- unmap ---- */

static void unmap_done(glfs_fd_t *fd, ssize_t ret, struct glfs_stat *pre, struct glfs_stat *post,
		       void *data)
{
	(void)fd, (void)pre, (void)post;
	if (piece_done(data, ret, errno))
		gluster_lock_again(data);
}

static void start_unmap(struct gluster_cmd *gc)
{
	next_piece(gc, DISCARD_PIECE);
	if (glfs_discard_async(gc->lun->target.fd, (off_t)gc->off, gc->step, unmap_done, gc))
		gluster_cmd_fail(gc, errno);
}

int gluster_unmap(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len)
{
	struct gluster_cmd *gc = gluster_cmd_begin(dev, cmd, "a deallocation", TCMU_STS_WR_ERR);

	if (!gc->lun->target.unmap)
		return TCMU_STS_NOT_HANDLED;
	gc->off = off;
	gc->len = len;
	gc->start = start_unmap;
	if (!gluster_cmd_is_in_vain(gc))
		gluster_lock_enter(gc);
	return TCMU_STS_ASYNC_HANDLED;
}

/* ---- write same: zeros only, the runner writes everything else ---- */

static void zeroed(glfs_fd_t *fd, ssize_t ret, struct glfs_stat *pre, struct glfs_stat *post,
		   void *data)
{
	(void)fd, (void)pre, (void)post;
	if (piece_done(data, ret, errno))
		gluster_lock_again(data);
}

static void start_zeroing(struct gluster_cmd *gc)
{
	next_piece(gc, ZERO_PIECE);
	if (glfs_zerofill_async(gc->lun->target.fd, (off_t)gc->off, (off_t)gc->step, zeroed, gc))
		gluster_cmd_fail(gc, errno);
}

/* Behind the end of the file zeros would make it larger, so no more is asked for than there was when the
 * size was last looked at. */
int gluster_writesame(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
		      struct iovec *iov, size_t iov_cnt)
{
	struct gluster_cmd *gc;

	if (!tcmu_iovec_zeroed(iov, iov_cnt))
		return TCMU_STS_NOT_HANDLED;
	gc = gluster_cmd_begin(dev, cmd, "writing zeros", TCMU_STS_WR_ERR);
	if (off + len > gc->lun->target.size)
		return TCMU_STS_NOT_HANDLED;
	gc->off = off;
	gc->len = len;
	gc->start = start_zeroing;
	if (!gluster_cmd_is_in_vain(gc))
		gluster_lock_enter(gc);
	return TCMU_STS_ASYNC_HANDLED;
}
