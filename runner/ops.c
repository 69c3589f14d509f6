/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on a handler, whatever its kind, and their way back to the device's thread. */
#include <assert.h>
#include <stdlib.h>

#include "runner/device.h"
#include "runner/runner.h"

/* runner_cmd.work.kind */
enum op_kind {
	OP_READ,
	OP_WRITE,
	OP_FLUSH,
	OP_UNMAP,
	OP_WRITESAME,
	OP_CAW,
	OP_LBA_STATUS,
	OP_HANDLE_CMD,
	OP_STORE_SAVED,
};

/* The device whose thread this is. */
static _Thread_local const struct runner_dev *thread_of;

void runner_ops_init(struct runner_dev *rdev)
{
	thread_of = rdev;
	rdev->here_first = NULL;
	rdev->here_last = &rdev->here_first;
}

static void outcome_here(struct runner_cmd *rc)
{
	rc->node.next = NULL;
	*rc->rdev->here_last = &rc->node;
	rc->rdev->here_last = &rc->node.next;
}

static const char twice[] = "it completed a command twice";

/* The handler's outcome, from any thread. */
static void op_done(struct runner_cmd *rc, int sts)
{
	struct runner_dev *rdev = rc->rdev;

	if (atomic_exchange_explicit(&rc->pending, 0, memory_order_acq_rel) != 1) {
		runner_ops_fault(rdev, twice);
		return;
	}
	/* Declined? Then what was written is not durable, and whoever asked for that has done its own
	 * operation before, which was not declined. */
	if (rc->work.kind == OP_FLUSH && sts == TCMU_STS_NOT_HANDLED)
		sts = TCMU_STS_WR_ERR;
	rc->sts = sts;
	if (thread_of == rdev) {
		outcome_here(rc);
		return;
	}
	/* rdev must outlive the wake-up, although rc may be finished by then. */
	atomic_fetch_add(&rdev->completing, 1);
	mpsc_push(&rdev->cmds_done, &rc->node);
	runner_dev_wake(rdev);
	atomic_fetch_sub(&rdev->completing, 1);
}

void tcmur_cmd_complete(struct tcmu_device *dev, struct tcmur_cmd *cmd, int sts)
{
	struct runner_cmd *rc = container_of(cmd, struct runner_cmd, pub);

	if (__builtin_expect(!rc->rdev, 0)) /* long over: tcmulib_ring_trim() */
		runner_ops_fault(runner_dev_of(dev), twice);
	else
		op_done(rc, sts);
}

void runner_ops_fault(struct runner_dev *rdev, const char *reason)
{
	tcmu_dev_err(
		rdev->dev,
		"handler '%s' is at fault: %s. The device is parked: it takes no more commands; "
		"delete it, or restart the daemon with a repaired handler",
		rdev->handler->subtype, reason);
	atomic_store(&rdev->fault, reason);
	assert(!"a handler broke the rules of tcmu-runner.h");
	runner_dev_request(rdev, RUNNER_REQ_PARK);
}

static void reap(struct mpsc_node *node)
{
	while (node) {
		struct runner_cmd *rc = container_of(node, struct runner_cmd, node);

		node = node->next; /* before the step: it may end the command */
		rc->step(rc, rc->sts);
	}
}

void runner_ops_reap(struct runner_dev *rdev)
{
	struct mpsc_node *here = rdev->here_first;

	rdev->here_first = NULL;
	rdev->here_last = &rdev->here_first;
	reap(here);
	reap(mpsc_take(&rdev->cmds_done));
}

static int call_handler(struct runner_cmd *rc)
{
	const struct tcmur_handler *h = rc->rdev->handler;
	struct tcmu_device *dev = rc->rdev->dev;
	struct tcmur_cmd *cmd = &rc->pub;

	switch ((enum op_kind)rc->work.kind) {
	case OP_READ:
		return h->read(dev, cmd, rc->work.iov, rc->work.iov_cnt, rc->work.len,
			       (off_t)rc->work.off);
	case OP_WRITE:
		return h->write(dev, cmd, rc->work.iov, rc->work.iov_cnt, rc->work.len,
				(off_t)rc->work.off);
	case OP_FLUSH:
		return h->flush(dev, cmd);
	case OP_UNMAP:
		return h->unmap(dev, cmd, rc->work.off, rc->work.len);
	case OP_WRITESAME:
		return h->writesame(dev, cmd, rc->work.off, rc->work.len, rc->work.iov,
				    rc->work.iov_cnt);
	case OP_CAW:
		return h->caw(dev, cmd, rc->work.off, rc->work.len, rc->work.iov, rc->work.iov_cnt);
	case OP_LBA_STATUS:
		return h->lba_status(dev, cmd, rc->work.off, rc->work.len, rc->work.extents,
				     rc->work.iov_cnt);
	case OP_STORE_SAVED:
		return h->store_saved(dev, cmd, rc->work.iov, rc->work.len);
	case OP_HANDLE_CMD:
		return h->handle_cmd(dev, cmd);
	}
	return TCMU_STS_HW_ERR;
}

/* Calls the handler here. With ASYNC_HANDLED it may have completed rc already, and rc may even have
 * been finished and reused: nothing of it is touched after that. */
static void op_call(struct runner_cmd *rc)
{
	bool old_async = rc->rdev->entry->old_style && !rc->rdev->handler->nr_threads;
	int sts = call_handler(rc);

	if (sts == TCMU_STS_ASYNC_HANDLED || (old_async && sts == TCMU_STS_OK))
		return;
	op_done(rc, sts);
}

static void op_call_on_worker(struct runner_job *job)
{
	op_call(container_of(job, struct runner_cmd, job));
}

/* An operation that the handler does not have, or does not get: its outcome takes the same way back. */
void runner_op_answer(struct runner_cmd *rc, int sts, void (*step)(struct runner_cmd *rc, int sts))
{
	rc->step = step;
	rc->sts = sts;
	outcome_here(rc);
}

static void op_start(struct runner_cmd *rc, enum op_kind kind,
		     void (*step)(struct runner_cmd *rc, int sts))
{
	struct runner_dev *rdev = rc->rdev;

	if (__builtin_expect(rc->abort.asked, 0)) {
		runner_op_answer(rc, TCMU_STS_ABORTED, step);
		return;
	}
	rc->work.kind = kind;
	rc->step = step;
	atomic_store_explicit(&rc->pending, 1, memory_order_relaxed);
	if (!rdev->handler->nr_threads) {
		op_call(rc);
		return;
	}
	rc->job.run = op_call_on_worker;
	rc->job.next = NULL;
	*rdev->batch_last = &rc->job;
	rdev->batch_last = &rc->job.next;
	rdev->batch_count++;
}

static void op_range(struct runner_cmd *rc, struct iovec *iov, size_t iov_cnt, uint64_t len,
		     uint64_t off)
{
	rc->work.iov = iov;
	rc->work.iov_cnt = iov_cnt;
	rc->work.len = len;
	rc->work.off = off;
}

void runner_op_read(struct runner_cmd *rc, struct iovec *iov, size_t iov_cnt, uint64_t len,
		    uint64_t off, void (*step)(struct runner_cmd *rc, int sts))
{
	if (!rc->rdev->handler->read) {
		runner_op_answer(rc, TCMU_STS_NOT_HANDLED, step);
		return;
	}
	op_range(rc, iov, iov_cnt, len, off);
	op_start(rc, OP_READ, step);
}

/* FUA for a handler that does not honour it: the write, then a flush, then the caller's step. */
static void write_then_flush(struct runner_cmd *rc, int sts)
{
	void (*step)(struct runner_cmd *, int) = rc->step_after_flush;

	if (sts != TCMU_STS_OK)
		step(rc, sts);
	else
		runner_op_flush(rc, step);
}

void runner_op_write(struct runner_cmd *rc, struct iovec *iov, size_t iov_cnt, uint64_t len,
		     uint64_t off, void (*step)(struct runner_cmd *rc, int sts))
{
	const struct tcmur_handler *h = rc->rdev->handler;

	if (!h->write) {
		runner_op_answer(rc, TCMU_STS_NOT_HANDLED, step);
		return;
	}
	if (rc->fua && !(h->flags & TCMUR_HANDLER_FUA) && h->flush) {
		rc->step_after_flush = step;
		step = write_then_flush;
	}
	op_range(rc, iov, iov_cnt, len, off);
	op_start(rc, OP_WRITE, step);
}

void runner_op_flush(struct runner_cmd *rc, void (*step)(struct runner_cmd *rc, int sts))
{
	if (!rc->rdev->handler->flush) {
		runner_op_answer(rc, TCMU_STS_OK, step);
		return;
	}
	op_start(rc, OP_FLUSH, step);
}

void runner_op_unmap(struct runner_cmd *rc, uint64_t off, uint64_t len,
		     void (*step)(struct runner_cmd *rc, int sts))
{
	if (!rc->rdev->handler->unmap) {
		runner_op_answer(rc, TCMU_STS_NOT_HANDLED, step);
		return;
	}
	op_range(rc, NULL, 0, len, off);
	op_start(rc, OP_UNMAP, step);
}

void runner_op_writesame(struct runner_cmd *rc, uint64_t off, uint64_t len, struct iovec *iov,
			 size_t iov_cnt, void (*step)(struct runner_cmd *rc, int sts))
{
	if (!rc->rdev->handler->writesame) {
		runner_op_answer(rc, TCMU_STS_NOT_HANDLED, step);
		return;
	}
	op_range(rc, iov, iov_cnt, len, off);
	op_start(rc, OP_WRITESAME, step);
}

/* With FUA, a flush unless the handler has compared in vain. */
void runner_op_caw(struct runner_cmd *rc, uint64_t off, uint64_t len, struct iovec *iov,
		   size_t iov_cnt, void (*step)(struct runner_cmd *rc, int sts))
{
	const struct tcmur_handler *h = rc->rdev->handler;

	if (!h->caw) {
		runner_op_answer(rc, TCMU_STS_NOT_HANDLED, step);
		return;
	}
	if (rc->fua && !(h->flags & TCMUR_HANDLER_FUA) && h->flush) {
		rc->step_after_flush = step;
		step = write_then_flush;
	}
	op_range(rc, iov, iov_cnt, len, off);
	op_start(rc, OP_CAW, step);
}

void runner_op_lba_status(struct runner_cmd *rc, uint64_t off, uint64_t len,
			  struct tcmur_extent *extents, size_t max,
			  void (*step)(struct runner_cmd *rc, int sts))
{
	if (!rc->rdev->handler->lba_status) {
		runner_op_answer(rc, TCMU_STS_NOT_HANDLED, step);
		return;
	}
	op_range(rc, NULL, max, len, off);
	rc->work.extents = extents;
	op_start(rc, OP_LBA_STATUS, step);
}

void runner_op_none(struct runner_cmd *rc, void (*step)(struct runner_cmd *rc, int sts))
{
	runner_op_answer(rc, TCMU_STS_OK, step);
}

void runner_op_store_saved(struct runner_cmd *rc, const void *data, size_t len,
			   void (*step)(struct runner_cmd *rc, int sts))
{
	if (!rc->rdev->handler->store_saved) {
		runner_op_answer(rc, TCMU_STS_NOT_HANDLED, step);
		return;
	}
	op_range(rc, (void *)(uintptr_t)data, 0, len, 0);
	op_start(rc, OP_STORE_SAVED, step);
}

void runner_op_handle_cmd(struct runner_cmd *rc, void (*step)(struct runner_cmd *rc, int sts))
{
	op_start(rc, OP_HANDLE_CMD, step);
}

/* ---- the bounce buffer: one owner, the others wait in order ---- */

void runner_bounce_get(struct runner_cmd *rc, void (*got)(struct runner_cmd *rc, int sts))
{
	struct runner_dev *rdev = rc->rdev;

	if (rc->abort.asked) {
		got(rc, TCMU_STS_ABORTED);
		return;
	}
	if (rdev->bounce_owner) {
		rc->step = got;
		rc->next = NULL;
		*rdev->bounce_last = rc;
		rdev->bounce_last = &rc->next;
		return;
	}
	if (!rdev->bounce && posix_memalign(&rdev->bounce, 4096, RUNNER_BOUNCE_SIZE)) {
		rdev->bounce = NULL;
		got(rc, TCMU_STS_NO_RESOURCE);
		return;
	}
	rdev->bounce_owner = rc;
	got(rc, TCMU_STS_OK);
}

void *runner_bounce(struct runner_cmd *rc)
{
	assert(rc->rdev->bounce_owner == rc);
	return rc->rdev->bounce;
}

void runner_bounce_put(struct runner_cmd *rc)
{
	struct runner_dev *rdev = rc->rdev;
	struct runner_cmd *next = rdev->bounce_first;

	assert(rdev->bounce_owner == rc);
	rdev->bounce_owner = next;
	if (!next)
		return;
	rdev->bounce_first = next->next;
	if (!rdev->bounce_first)
		rdev->bounce_last = &rdev->bounce_first;
	runner_op_answer(next, TCMU_STS_OK, next->step);
}

bool runner_bounce_abandon(struct runner_cmd *rc)
{
	struct runner_dev *rdev = rc->rdev;
	struct runner_cmd **at = &rdev->bounce_first;

	while (at != rdev->bounce_last && *at != rc)
		at = &(*at)->next;
	if (at == rdev->bounce_last)
		return false;
	*at = rc->next;
	if (rdev->bounce_last == &rc->next)
		rdev->bounce_last = at;
	runner_op_answer(rc, TCMU_STS_ABORTED, rc->step);
	return true;
}

/* ---- what handlers ask ---- */

bool runner_hurry(const struct runner_cmd *rc)
{
	return rc->rdev->stopping;
}

struct tcmu_device *runner_tcmu(struct runner_cmd *rc)
{
	return rc->rdev->dev;
}

void *tcmur_cmd_priv(struct tcmur_cmd *cmd)
{
	return container_of(cmd, struct runner_cmd, pub) + 1;
}

bool tcmur_cmd_fua(struct tcmur_cmd *cmd)
{
	return container_of(cmd, struct runner_cmd, pub)->fua;
}

bool tcmur_cmd_atomic(struct tcmur_cmd *cmd)
{
	const struct scsi_opcode *op = container_of(cmd, struct runner_cmd, pub)->op;

	return op && op->id == SCSI_WRITE_ATOMIC;
}

void tcmur_cmd_set_error_offset(struct tcmur_cmd *cmd, uint64_t off)
{
	struct runner_cmd *rc = container_of(cmd, struct runner_cmd, pub);

	rc->error_off = off;
	rc->error_off_valid = true;
}

void *tcmur_dev_get_private(struct tcmu_device *dev)
{
	return runner_dev_of(dev)->handler_private;
}

void tcmur_dev_set_private(struct tcmu_device *dev, void *priv)
{
	runner_dev_of(dev)->handler_private = priv;
}
