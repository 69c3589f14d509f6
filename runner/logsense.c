/* SPDX-License-Identifier: Apache-2.0 */
/* Log pages, defects and diagnostics, of which a logical unit without hardware has little to tell. */
#include <assert.h>
#include <string.h>

#include "runner/device.h"
#include "runner/runner.h"
#include "scsi/defects.h"
#include "scsi/diagnostic.h"
#include "scsi/log.h"
#include "scsi_defs.h"

#define LIST_SIZE 512 /* more than any diagnostic page that there is */

/* ---- LOG SENSE ---- */

struct log_state {
	struct tcmur_io io;
	uint64_t used, available; /* bytes */
};
static_assert(sizeof(struct log_state) <= sizeof(((struct runner_cmd *)0)->state),
	      "log_state does not fit");

static struct log_state *state_of(struct runner_cmd *rc)
{
	return (struct log_state *)rc->state;
}

static struct runner_cmd *cmd_of(struct tcmur_io *io)
{
	return container_of((void *)io, struct runner_cmd, state);
}

/* The informational exception is none: a threshold that is reached is told by a unit attention, if LBPERE
 * asks for it, and not by the ways of SPC-5 7.5, MRIE. */
static void answer_log(struct runner_cmd *rc, uint64_t used, uint64_t available)
{
	struct scsi_sense sense = { 0 };
	struct scsi_log log = { 0 };
	uint8_t buf[LIST_SIZE];
	struct scsi_lu lu;
	size_t len = 0;

	runner_lu(rc->rdev, &lu, 0);
	log.used = scsi_threshold_sets(&lu, used / lu.block_size);
	log.available = scsi_threshold_sets(&lu, available / lu.block_size);
	if (scsi_log_sense(&lu, &log, rc->pub.lib_cmd->cdb, buf, sizeof(buf), &len, &sense) ==
	    SAM_STAT_GOOD)
		runner_finish_data(rc, buf, len);
	else
		runner_finish_sense(rc, &sense);
}

static int64_t work_ask(struct tcmur_io *io)
{
	struct log_state *st = state_of(cmd_of(io));
	struct runner_dev *rdev = cmd_of(io)->rdev;

	return rdev->handler->provisioning(rdev->dev, &st->used, &st->available);
}

static void asked(struct tcmur_io *io, int64_t res)
{
	struct runner_cmd *rc = cmd_of(io);
	struct log_state *st = state_of(rc);

	if (res) {
		tcmu_dev_warn(rc->rdev->dev, "how much storage it uses cannot be found: %s",
			      strerror((int)-res));
		runner_finish(rc, TCMU_STS_HW_ERR);
		return;
	}
	runner_thresholds_check(rc->rdev, st->used, st->available);
	answer_log(rc, st->used, st->available);
}

void runner_exec_log_sense(struct runner_cmd *rc)
{
	uint8_t page = rc->pub.lib_cmd->cdb[2] & 0x3f;

	if (page != LOG_PAGE_LOGICAL_BLOCK_PROVISIONING || !runner_threshold_exponent(rc->rdev)) {
		answer_log(rc, 0, 0);
		return;
	}
	state_of(rc)->io.done = asked;
	tcmur_io_work(rc->rdev->dev, &state_of(rc)->io, work_ask);
}

/* ---- the others ---- */

void runner_exec_read_defect_data(struct runner_cmd *rc)
{
	runner_answer(rc, false, scsi_read_defect_data);
}

/* The default self-test (SPC-5 SEND DIAGNOSTIC) has nothing to test but what each command tests. */
void runner_exec_send_diagnostic(struct runner_cmd *rc)
{
	struct tcmulib_cmd *cmd = rc->pub.lib_cmd;
	struct scsi_sense sense = { 0 };
	uint8_t list[LIST_SIZE];
	size_t len = tcmu_memcpy_from_iovec(list, sizeof(list), cmd->iovec, cmd->iov_cnt);

	if (scsi_send_diagnostic(cmd->cdb, list, len, &sense) == SAM_STAT_GOOD)
		runner_finish(rc, TCMU_STS_OK);
	else
		runner_finish_sense(rc, &sense);
}

void runner_exec_receive_diagnostic_results(struct runner_cmd *rc)
{
	runner_answer(rc, false, scsi_receive_diagnostic);
}
