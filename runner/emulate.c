/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that the runner answers by itself: the small executors. The bytes are made by scsi/,
 * here they meet the device.
 */
#include "runner/device.h"
#include "runner/runner.h"
#include "scsi/capacity.h"
#include "scsi/inquiry.h"
#include "scsi/report_opcodes.h"
#include "scsi/request_sense.h"
#include "scsi/tmf.h"
#include "scsi_defs.h"

#define BUFFER_SIZE 4096 /* of the largest answer here */

void runner_answer(struct runner_cmd *rc, unsigned int with_lu,
		   uint8_t (*make)(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf,
				   size_t cap, size_t *len, struct scsi_sense *sense))
{
	uint8_t buf[BUFFER_SIZE];
	struct scsi_sense sense = { 0 };
	struct scsi_lu lu;
	size_t len = 0;

	runner_lu(rc->rdev, &lu, with_lu);
	if (make(&lu, rc->pub.lib_cmd->cdb, buf, sizeof(buf), &len, &sense) == SAM_STAT_GOOD)
		runner_finish_data(rc, buf, len);
	else
		runner_finish_sense(rc, &sense);
}

void runner_exec_test_unit_ready(struct runner_cmd *rc)
{
	runner_finish(rc, TCMU_STS_OK);
}

/* What REQUEST SENSE has to tell, if anything. A unit attention that waits is reported here as data, and
 * is reported then (SAM-5 5.14). */
static bool pending_sense(struct runner_dev *rdev, struct scsi_sense *sense)
{
	if (runner_dev_take_unit_attention(rdev, sense))
		return true;
	/* SPC-5 6.39: what makes the unit not ready; SBC-4 4.11.2, 5.4: progress as data. */
	return runner_health_check(rdev, NULL, NULL, sense) ||
	       runner_medium_check(rdev, NULL, sense);
}

void runner_exec_request_sense(struct runner_cmd *rc)
{
	struct scsi_sense pending;
	bool is_pending = pending_sense(rc->rdev, &pending);
	uint8_t buf[SCSI_SENSE_SIZE];
	size_t len = 0;

	scsi_request_sense_with(is_pending ? &pending : NULL, rc->pub.lib_cmd->cdb, buf,
				sizeof(buf), &len);
	runner_finish_data(rc, buf, len);
}

/* Names, serial number and ports are configfs files: read only for the pages that show them, so that the
 * frequent ones (B0h of every scan) cost nothing. */
static unsigned int inquiry_needs(const uint8_t *cdb)
{
	bool evpd = cdb[1] & 1;

	if (!evpd || cdb[2] == VPD_DEVICE_IDENTIFICATION)
		return RUNNER_LU_WWN | RUNNER_LU_PORTS;
	return cdb[2] == VPD_UNIT_SERIAL_NUMBER ? RUNNER_LU_WWN : 0;
}

void runner_exec_inquiry(struct runner_cmd *rc)
{
	runner_answer(rc, inquiry_needs(rc->pub.lib_cmd->cdb), scsi_inquiry);
}

void runner_exec_read_capacity_10(struct runner_cmd *rc)
{
	runner_answer(rc, 0, scsi_read_capacity_10);
}

void runner_exec_read_capacity_16(struct runner_cmd *rc)
{
	runner_answer(rc, 0, scsi_read_capacity_16);
}

void runner_exec_report_opcodes(struct runner_cmd *rc)
{
	runner_answer(rc, RUNNER_LU_PORTS, scsi_report_opcodes);
}

/* What LIO carries out, whatever the fabric (target_core_tmr.c): the others it refuses. */
static uint8_t report_tmf(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf, size_t cap,
			  size_t *len, struct scsi_sense *sense)
{
	(void)lu;
	return scsi_report_tmf(SCSI_TMF_ABORT_TASK | SCSI_TMF_LOGICAL_UNIT_RESET, cdb, buf, cap,
			       len, sense);
}

void runner_exec_report_tmf(struct runner_cmd *rc)
{
	runner_answer(rc, false, report_tmf);
}
