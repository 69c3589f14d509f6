/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FORMAT UNIT (SBC-4 5.4): afterwards every block has the initialization pattern, or zeros without one,
 * deallocated where the handler can.
 */
#include "runner/runner.h"
#include "scsi_defs.h"

/* The parameter list, if there is any, comes into the bounce buffer. */
static void got_bounce(struct runner_cmd *rc, int sts)
{
	struct runner_wipe_plan plan = { .kind = RUNNER_WIPE_FORMAT,
					 .passes = 1,
					 .failed = RUNNER_FORMAT_FAILED };
	struct tcmulib_cmd *cmd = rc->pub.lib_cmd;
	struct scsi_sense sense = { 0 };
	struct scsi_format what = { 0 };
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
	status = scsi_format_parse(&lu, cmd->cdb, runner_bounce(rc), len, &what, &sense);
	runner_bounce_put(rc); /* the next owner uses it only after this, so the pattern stays */
	if (status != SAM_STAT_GOOD) {
		runner_finish_sense(rc, &sense);
		return;
	}
	plan.pattern = what.pattern;
	runner_wipe_start(rc, &plan, what.immed);
}

void runner_exec_format_unit(struct runner_cmd *rc)
{
	runner_bounce_get(rc, got_bounce);
}
