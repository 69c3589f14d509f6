/* SPDX-License-Identifier: Apache-2.0 */
/* The RECEIVE COPY RESULTS commands (SPC-4 6.18 to 6.20): what became of the last copies. */
#include <string.h>

#include "runner/device.h"
#include "runner/runner.h"
#include "runner/xcopy.h"
#include "scsi_defs.h"

#define BUFFER_SIZE 256 /* more than the longest answer */

static bool is_kept(const struct scsi_xcopy_result *r)
{
	return r->has_status || r->has_details;
}

void runner_copy_forget(struct runner_dev *rdev, uint8_t list_id)
{
	for (unsigned int i = 0; i < RUNNER_COPY_RESULTS; i++) {
		if (rdev->copy_results[i].list_id == list_id)
			memset(&rdev->copy_results[i], 0, sizeof(rdev->copy_results[i]));
	}
}

void runner_copy_keep(struct runner_dev *rdev, const struct scsi_xcopy_result *result)
{
	/* SPC-4 6.20: discarded when the copy manager needs the room. */
	rdev->copy_results[rdev->copy_result_next] = *result;
	rdev->copy_result_next = (rdev->copy_result_next + 1) % RUNNER_COPY_RESULTS;
}

void runner_copy_reset(struct runner_dev *rdev)
{
	memset(rdev->copy_results, 0, sizeof(rdev->copy_results));
}

static struct scsi_xcopy_result *kept(struct runner_dev *rdev, uint8_t list_id)
{
	for (unsigned int i = 0; i < RUNNER_COPY_RESULTS; i++) {
		struct scsi_xcopy_result *r = &rdev->copy_results[i];

		if (is_kept(r) && r->list_id == list_id)
			return r;
	}
	return NULL;
}

/* SPC-4 6.20: the status is kept until it is fetched. */
static uint8_t copy_status(struct runner_dev *rdev, const uint8_t *cdb, uint8_t *buf, size_t *len,
			   struct scsi_sense *sense)
{
	struct scsi_xcopy_result running, *r = kept(rdev, cdb[2]);
	uint8_t status;
	bool all;

	if (runner_copy_progress(rdev, cdb[2], &running))
		r = &running;
	else if (r && !r->has_status)
		r = NULL;
	status = scsi_xcopy_status(r, cdb, buf, BUFFER_SIZE, len, &all, sense);
	if (all)
		r->has_status = false;
	return status;
}

/* SPC-4 6.19: not of a copy that goes on. */
static uint8_t failure_details(struct runner_dev *rdev, const uint8_t *cdb, uint8_t *buf,
			       size_t *len, struct scsi_sense *sense)
{
	struct scsi_xcopy_result running, *r = kept(rdev, cdb[2]);
	uint8_t status;
	bool all;

	if (runner_copy_progress(rdev, cdb[2], &running) || (r && !r->has_details && r->sense_len))
		r = NULL;
	status = scsi_xcopy_details(r, cdb, buf, BUFFER_SIZE, len, &all, sense);
	if (all)
		r->has_details = false;
	return status;
}

void runner_exec_receive_copy_results(struct runner_cmd *rc)
{
	const uint8_t *cdb = rc->pub.lib_cmd->cdb;
	struct scsi_sense sense = { 0 };
	uint8_t buf[BUFFER_SIZE], status;
	struct scsi_lu lu;
	size_t len = 0;

	switch (cdb[1] & 0x1f) {
	case RCR_SA_COPY_STATUS:
		status = copy_status(rc->rdev, cdb, buf, &len, &sense);
		break;
	case RCR_SA_FAILED_SEGMENT_DETAILS:
		status = failure_details(rc->rdev, cdb, buf, &len, &sense);
		break;
	default: /* RCR_SA_OPERATING_PARAMETERS: there is no other row */
		runner_lu(rc->rdev, &lu, 0);
		status = scsi_xcopy_parameters(&lu, cdb, buf, sizeof(buf), &len, &sense);
		break;
	}
	if (status == SAM_STAT_GOOD)
		runner_finish_data(rc, buf, len);
	else
		runner_finish_sense(rc, &sense);
}
