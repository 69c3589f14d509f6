/* SPDX-License-Identifier: Apache-2.0 */
/* Log pages, defects and diagnostics, of which a logical unit without hardware has little to tell. */
#include <string.h>

#include "runner/runner.h"
#include "scsi/defects.h"
#include "scsi/diagnostic.h"
#include "scsi/log.h"
#include "scsi_defs.h"

#define LIST_SIZE 512 /* more than any diagnostic page that there is */

static uint8_t log_sense(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf, size_t cap,
			 size_t *len, struct scsi_sense *sense)
{
	const struct scsi_log log = { 0 };

	return scsi_log_sense(lu, &log, cdb, buf, cap, len, sense);
}

void runner_exec_log_sense(struct runner_cmd *rc)
{
	runner_answer(rc, false, log_sense);
}

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
