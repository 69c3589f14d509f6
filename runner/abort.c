/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Task management: LIO has aborted commands, and its initiator waits until they are answered here
 * (target_core_tmr.c: target_put_cmd_and_wait()). Status and data of the answer reach nobody.
 *
 * An aborted command is taken out of what it waits for, and starts no further operation: op_start() in
 * ops.c says TCMU_STS_ABORTED in place of the handler. So it ends like any command that fails, and its
 * executor gives back what it holds. An operation that is with the handler is waited for, since it may
 * use the data buffer and the range; where that takes long the command is answered with KEEP_BUF and
 * lives on, buffer and range and all, until the operation is over.
 */
#include <errno.h>
#include <string.h>

#include "runner/clock.h"
#include "runner/device.h"
#include "runner/runner.h"

/* target_core_base.h: enum tcm_tmreq_table */
#define TMR_LUN_RESET 5

/* For an operation of an aborted command: most end by themselves, and KEEP_BUF costs a write to
 * configfs. Initiators wait some 10 s for the end of a task management function. */
#define PATIENCE_NS INT64_C(1000000000)

/* ---- KEEP_BUF ---- */

/* CHECK CONDITION, so that the kernel copies nothing out of a buffer that is still being filled. */
static void answer_early(struct runner_cmd *rc)
{
	tcmu_dev_dbg(rc->rdev->dev,
		     "command %u (operation code %02xh) was aborted, but is still with the "
		     "handler: its buffer is kept until that is over",
		     rc->pub.lib_cmd->cmd_id, rc->pub.lib_cmd->cdb[0]);
	rc->abort.kept = true;
	rc->pub.lib_cmd->keep_buf = true;
	tcmulib_command_complete(rc->rdev->dev, rc->pub.lib_cmd, TCMU_STS_ABORTED);
}

static void set_timer(struct runner_dev *rdev);

static void patience_over(struct tcmur_io *io, int64_t res)
{
	struct runner_dev *rdev = container_of(io, struct runner_dev, abort_timer);
	int64_t now = runner_now_ns();

	(void)res;
	rdev->abort_timer_set = false;
	while (!list_empty(&rdev->aborted)) {
		struct runner_cmd *rc = container_of(rdev->aborted.next, struct runner_cmd,
						     abort.node);

		if (rc->abort.due_ns > now)
			break;
		list_del(&rc->abort.node);
		rc->abort.listed = false;
		if (atomic_load(&rc->pending)) /* else it is about to end */
			answer_early(rc);
	}
	set_timer(rdev);
}

static void set_timer(struct runner_dev *rdev)
{
	struct runner_cmd *first;
	int64_t left;

	if (rdev->abort_timer_set || list_empty(&rdev->aborted))
		return;
	first = container_of(rdev->aborted.next, struct runner_cmd, abort.node);
	left = first->abort.due_ns - runner_now_ns();
	rdev->abort_timer_set = true;
	rdev->abort_timer.done = patience_over;
	tcmur_io_timer(rdev->dev, &rdev->abort_timer, left > 0 ? (uint64_t)left : 0);
}

static void be_patient(struct runner_cmd *rc)
{
	struct runner_dev *rdev = rc->rdev;

	if (!(tcmulib_ring_features(rdev->dev) & TCMU_RING_KEEP_BUF))
		return;
	rc->abort.due_ns = runner_now_ns() + PATIENCE_NS;
	rc->abort.listed = true;
	list_add_tail(&rdev->aborted, &rc->abort.node);
	set_timer(rdev);
}

bool runner_abort_end(struct runner_cmd *rc)
{
	struct tcmu_device *dev = rc->rdev->dev;
	uint16_t id = rc->pub.lib_cmd->cmd_id;
	int ret;

	if (rc->abort.listed)
		list_del(&rc->abort.node);
	rc->abort.listed = false;
	if (!rc->abort.kept)
		return false;
	ret = tcmulib_free_kept_buffer(dev, id);
	if (ret && ret != -ENOENT) /* somebody removes it just now */
		tcmu_dev_warn(dev,
			      "the kernel does not take back the buffer of an aborted command "
			      "(free_kept_buf %u: %s): it is lost until the daemon restarts",
			      id, strerror(-ret));
	return true;
}

/* ---- the commands ---- */

/* What no worker has begun, of the operation itself or of the handler's engine calls for it. */
static void end_unbegun(struct runner_cmd *rc)
{
	struct runner_dev *rdev = rc->rdev;
	const char *from = (const char *)rc;
	struct runner_job *job;

	while ((job = runner_io_take(rdev, from, from + runner_cmd_size(rdev)))) {
		if (job == &rc->job)
			tcmur_cmd_complete(rdev->dev, &rc->pub, TCMU_STS_ABORTED);
		else
			runner_io_cancelled(job);
	}
}

/* Nothing here ends a command at once: the TMR's list of ids lies in the ring, where an answer would be
 * written over it. */
void runner_abort_command(struct runner_cmd *rc)
{
	const struct tcmur_handler *h = rc->rdev->handler;

	if (rc->abort.asked)
		return;
	rc->abort.asked = true;
	if (runner_copy_cancel(rc))
		return;
	if (runner_wipe_abandon(rc)) {
		runner_op_answer(rc, TCMU_STS_ABORTED, runner_finish);
		return;
	}
	if (runner_range_abandon(rc) || runner_bounce_abandon(rc))
		return;
	end_unbegun(rc);
	if (atomic_load(&rc->pending) && h->cancel)
		h->cancel(rc->rdev->dev, &rc->pub);
	if (atomic_load(&rc->pending))
		be_patient(rc);
}

void runner_abort_tmr(struct runner_dev *rdev, const struct tcmulib_tmr *tmr)
{
	for (uint32_t i = 0; i < tmr->cmd_cnt; i++) {
		struct tcmulib_cmd *cmd = tcmulib_command_by_id(rdev->dev, tmr->cmd_ids[i]);

		if (!cmd) /* its answer was on its way already */
			continue;
		runner_count(&rdev->counters.aborted, 1);
		runner_abort_command(cmd->hm_private);
	}
	if (tmr->type == TMR_LUN_RESET) {
		runner_count(&rdev->counters.resets, 1);
		runner_medium_reset(rdev);
		runner_copy_reset(rdev);
	}
}

static void turn_on(struct runner_job *job)
{
	struct runner_dev *rdev = container_of(job, struct runner_dev, abort_job);
	static const char attr[] = "attrib/tmr_notification";
	char now[8];
	int ret;

	if (atomic_load(&rdev->state) != RUNNER_RUNNING) /* this came late */
		return;
	/* Not there before Linux 5.9. */
	if (tcmu_dev_read_attr(rdev->dev, attr, now, sizeof(now)) < 0 || strcmp(now, "0"))
		return;
	ret = tcmu_dev_write_attr(rdev->dev, attr, "1");
	if (ret && ret != -ENOENT)
		tcmu_dev_warn(rdev->dev, "%s cannot be set: %s; commands are not cancelled", attr,
			      strerror(-ret));
}

/*
 * Only when the configfs writer that made the device has its answer, and on a worker: who looks up a file
 * of a storage object while somebody removes it sleeps until REMOVED is answered, which the device's thread
 * does before it waits for the workers.
 */
void runner_abort_start(struct runner_dev *rdev)
{
	if (!(tcmulib_ring_features(rdev->dev) & TCMU_RING_TMR))
		return;
	rdev->abort_job.run = turn_on;
	rdev->abort_job.next = NULL;
	runner_workers_submit(&rdev->workers, &rdev->abort_job, &rdev->abort_job.next, 1);
}
