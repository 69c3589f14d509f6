/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SANITIZE (SBC-4 4.11, 5.30): every block is really written, through the handler's write(), never by
 * what a storage may do instead (a hole leaves the old blocks to the file system). What lies below the
 * handler, snapshots and the like, is out of reach; the handler's manual says so.
 */
#include "runner/device.h"
#include "runner/runner.h"
#include "scsi_defs.h"

/* SBC-4 4.11.4: in restricted completion mode only a SANITIZE that is restricted too helps. */
static bool restricted(struct runner_cmd *rc, const struct scsi_sanitize *what)
{
	bool is_exit = what->service_action == SANITIZE_SA_EXIT_FAILURE_MODE;
	struct scsi_sense sense = scsi_sense_cdb_field(1, is_exit ? 4 : 5);

	if (rc->rdev->health != RUNNER_SANITIZE_FAILED_RESTRICTED || !(is_exit || what->ause))
		return false;
	runner_finish_sense(rc, &sense);
	return true;
}

/* SBC-4 5.30.5: ends what a sanitize operation has left, not what a format has, nor one of either that has
 * begun while this command waited. */
static void exit_failure_mode(struct runner_cmd *rc)
{
	struct runner_dev *rdev = rc->rdev;
	struct scsi_sense sense;

	if (rdev->wipe) {
		runner_wipe_sense(rdev, &sense);
		runner_finish_sense(rc, &sense);
		return;
	}
	if (rdev->health == RUNNER_SANITIZE_FAILED) {
		rdev->health = RUNNER_HEALTH_OK;
		runner_note_write(rdev);
	}
	runner_finish(rc, TCMU_STS_OK);
}

static void run(struct runner_cmd *rc, const struct scsi_sanitize *what)
{
	struct runner_wipe_plan plan = {
		.kind = RUNNER_WIPE_OVERWRITE,
		.passes = what->passes,
		.invert = what->invert,
		.pattern = what->pattern,
		/* SBC-4 5.30.1, AUSE: what a failure leads to, and so what an interruption does. */
		.failed = what->ause ? RUNNER_SANITIZE_FAILED : RUNNER_SANITIZE_FAILED_RESTRICTED,
	};

	switch (what->service_action) {
	case SANITIZE_SA_BLOCK_ERASE:
		plan.kind = RUNNER_WIPE_ERASE;
		plan.passes = 1;
		break;
	case SANITIZE_SA_EXIT_FAILURE_MODE:
		exit_failure_mode(rc);
		return;
	}
	runner_wipe_start(rc, &plan, what->immed);
}

/* The parameter list, if there is any, comes into the bounce buffer. */
static void got_bounce(struct runner_cmd *rc, int sts)
{
	struct tcmulib_cmd *cmd = rc->pub.lib_cmd;
	struct scsi_sense sense = { 0 };
	struct scsi_sanitize what = { 0 };
	struct scsi_lu lu;
	uint8_t status;
	size_t len;

	if (sts != TCMU_STS_OK) {
		runner_finish(rc, sts);
		return;
	}
	len = tcmu_memcpy_from_iovec(runner_bounce(rc), RUNNER_BOUNCE_SIZE, cmd->iovec,
				     cmd->iov_cnt);
	runner_lu(rc->rdev, &lu, 0);
	status = scsi_sanitize_parse(&lu, cmd->cdb, runner_bounce(rc), len, &what, &sense);
	runner_bounce_put(rc); /* the next owner uses it only after this, so the pattern stays */
	if (status != SAM_STAT_GOOD)
		runner_finish_sense(rc, &sense);
	else if (!restricted(rc, &what))
		run(rc, &what);
}

void runner_exec_sanitize(struct runner_cmd *rc)
{
	runner_bounce_get(rc, got_bounce);
}
