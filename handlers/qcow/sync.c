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

static void begin(struct qcow_lun *lun);

static void synced(struct tcmur_io *io, int64_t res)
{
	struct qcow_lun *lun =
		(struct qcow_lun *)(void *)((char *)io - offsetof(struct qcow_lun, sync));
	struct qcow_cmd *qc = lun->in_sync;

	if (res < 0)
		qcow_sync_failed(lun, (int)-res);
	/* Also if somebody else's has failed: which of two was told is chance. */
	if (!lun->sync_failed) {
		if (lun->sync_commits > lun->synced)
			lun->synced = lun->sync_commits;
		qcow_keeper_durable(lun, lun->sync_frees);
	}
	lun->in_sync = NULL;
	if (lun->for_sync)
		begin(lun);
	while (qc) {
		struct qcow_cmd *next = qc->next;

		qc->then(qc, lun->sync_failed ? EIO : 0);
		qc = next;
	}
}

static void data_synced(struct tcmur_io *io, int64_t res)
{
	struct qcow_lun *lun =
		(struct qcow_lun *)(void *)((char *)io - offsetof(struct qcow_lun, sync));

	if (res < 0) {
		synced(io, res);
		return;
	}
	io->done = synced;
	tcmur_io_fsync(lun->dev, io, lun->top->fd);
}

static void begin(struct qcow_lun *lun)
{
	const struct qcow_layer *top = lun->top;

	lun->in_sync = lun->for_sync;
	lun->for_sync = NULL;
	lun->sync_commits = lun->commits;
	lun->sync_frees = lun->keeper.frees_end;
	lun->sync.done = top->data_fd == top->fd ? synced : data_synced;
	tcmur_io_fsync(lun->dev, &lun->sync, top->data_fd);
}

void qcow_sync_then(struct qcow_cmd *qc, void (*then)(struct qcow_cmd *qc, int err))
{
	struct qcow_lun *lun = qc->lun;

	if (lun->sync_failed) {
		then(qc, EIO);
		return;
	}
	qc->then = then;
	qc->next = lun->for_sync;
	lun->for_sync = qc;
	if (!lun->in_sync)
		begin(lun);
}

void qcow_sync_end(struct qcow_cmd *qc, int err)
{
	if (err)
		qcow_cmd_fail(qc, err);
	else
		qcow_cmd_end(qc);
}

/* ---- an initiator's ---- */

static void flush_step(struct qcow_cmd *qc)
{
	qcow_sync_then(qc, qcow_sync_end);
}

int qcow_flush(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	struct qcow_cmd *qc = qcow_cmd_begin(dev, cmd, 0, 0, flush_step);

	qc->fail_sts = TCMU_STS_WR_ERR;
	if (qc->lun->writable)
		flush_step(qc);
	else
		qcow_cmd_end(qc);
	return TCMU_STS_ASYNC_HANDLED;
}
