/* SPDX-License-Identifier: Apache-2.0 */
/* What has to be durable: for an initiator that asks for it, and before an entry hides old contents. */
#include <errno.h>
#include <string.h>

#include "qcow.h"

/* The page cache has dropped what it could not write and calls it clean: a later fdatasync() would succeed and
 * prove nothing. */
void qcow_sync_failed(struct qcow_lun *lun, int err)
{
	if (lun->sync_failed)
		return;
	lun->sync_failed = true;
	tcmu_dev_err(lun->dev,
		     "writing back '%s' failed: %s. Data that were written before may be lost, and "
		     "every flush and every write that needs one fails from now on; repair the "
		     "storage, check the image with qemu-img check, then restart the daemon, or "
		     "delete the storage object and create it again",
		     lun->top->path, strerror(err));
}

static void durable(struct qcow_lun *lun, uint64_t commits, uint64_t frees)
{
	if (commits > lun->synced)
		lun->synced = commits;
	qcow_keeper_durable(lun, frees);
}

/* ---- for an initiator ---- */

static void sync_done(struct tcmur_io *io, int64_t res)
{
	struct qcow_cmd *qc = (struct qcow_cmd *)io;
	struct qcow_lun *lun = qc->lun;

	if (res < 0)
		qcow_sync_failed(lun, (int)-res);
	if (lun->sync_failed) { /* which of two was told is chance */
		qcow_cmd_fail(qc, EIO);
		return;
	}
	durable(lun, qc->sync_commits, qc->sync_frees);
	qcow_cmd_end(qc);
}

static void data_done(struct tcmur_io *io, int64_t res)
{
	struct qcow_cmd *qc = (struct qcow_cmd *)io;

	if (res < 0) {
		sync_done(io, res);
		return;
	}
	io->done = sync_done;
	tcmur_io_fsync(qc->lun->dev, io, qc->lun->top->fd);
}

void qcow_sync_and_end(struct qcow_cmd *qc)
{
	struct qcow_lun *lun = qc->lun;
	const struct qcow_layer *top = lun->top;

	if (lun->sync_failed) {
		qcow_cmd_fail(qc, EIO);
		return;
	}
	qc->sync_commits = lun->commits;
	qc->sync_frees = lun->keeper.frees_end;
	qc->io.done = top->data_fd == top->fd ? sync_done : data_done;
	tcmur_io_fsync(lun->dev, &qc->io, top->data_fd);
}

static void flush_step(struct qcow_cmd *qc)
{
	qcow_sync_and_end(qc);
}

int qcow_flush(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	struct qcow_cmd *qc = qcow_cmd_begin(dev, cmd, 0, 0, flush_step);

	qc->fail_sts = TCMU_STS_WR_ERR;
	if (qc->lun->writable)
		qcow_sync_and_end(qc);
	else
		qcow_cmd_end(qc);
	return TCMU_STS_ASYNC_HANDLED;
}

/* ---- before a commit ---- */

static void begin_barrier(struct qcow_lun *lun);

static void barrier_done(struct tcmur_io *io, int64_t res)
{
	struct qcow_lun *lun =
		(struct qcow_lun *)(void *)((char *)io - offsetof(struct qcow_lun, barrier));
	struct qcow_cmd *qc = lun->in_barrier;

	lun->in_barrier = NULL;
	if (res < 0)
		qcow_sync_failed(lun, (int)-res);
	else if (lun->top->data_fd == lun->top->fd)
		durable(lun, lun->barrier_commits, lun->barrier_frees);
	if (lun->for_barrier)
		begin_barrier(lun);
	while (qc) {
		struct qcow_cmd *next = qc->next;

		if (res < 0)
			qcow_piece_failed(qc, EIO);
		else
			qcow_commit(qc);
		qc = next;
	}
}

static void begin_barrier(struct qcow_lun *lun)
{
	lun->in_barrier = lun->for_barrier;
	lun->for_barrier = NULL;
	lun->barrier_commits = lun->commits;
	lun->barrier_frees = lun->keeper.frees_end;
	lun->barrier.done = barrier_done;
	tcmur_io_fsync(lun->dev, &lun->barrier, lun->top->data_fd);
}

void qcow_commit_durably(struct qcow_cmd *qc)
{
	struct qcow_lun *lun = qc->lun;

	if (lun->sync_failed) {
		qcow_piece_failed(qc, EIO);
		return;
	}
	qc->next = lun->for_barrier;
	lun->for_barrier = qc;
	if (!lun->in_barrier)
		begin_barrier(lun);
}
