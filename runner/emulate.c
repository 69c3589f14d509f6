/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that the runner answers by itself: the small executors. The bytes are made by scsi/,
 * here they meet the device.
 */
#include "runner/device.h"
#include "runner/runner.h"
#include "scsi/capacity.h"
#include "scsi/inquiry.h"
#include "scsi/mode.h"
#include "scsi/report_opcodes.h"
#include "scsi/request_sense.h"
#include "scsi_defs.h"

#define BUFFER_SIZE 4096 /* of the largest answer and the largest parameter list here */

/* Answers with what make() makes of the CDB. */
static void answer(struct runner_cmd *rc, bool with_wwn,
		   uint8_t (*make)(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf,
				   size_t cap, size_t *len, struct scsi_sense *sense))
{
	uint8_t buf[BUFFER_SIZE];
	struct scsi_sense sense = { 0 };
	struct scsi_lu lu;
	size_t len = 0;

	runner_lu(rc->rdev, &lu, with_wwn);
	if (make(&lu, rc->pub.lib_cmd->cdb, buf, sizeof(buf), &len, &sense) == SAM_STAT_GOOD)
		runner_finish_data(rc, buf, len);
	else
		runner_finish_sense(rc, &sense);
}

void runner_exec_test_unit_ready(struct runner_cmd *rc)
{
	runner_finish(rc, TCMU_STS_OK);
}

/* A unit attention that waits is reported here as data, and is reported then (SAM-5 5.14). */
void runner_exec_request_sense(struct runner_cmd *rc)
{
	unsigned int ua = runner_dev_take_unit_attention(rc->rdev);
	struct scsi_sense pending = {
		.key = UNIT_ATTENTION,
		.asc = (uint8_t)(ua >> 8),
		.ascq = (uint8_t)ua,
	};
	uint8_t buf[SCSI_SENSE_SIZE];
	size_t len = 0;

	scsi_request_sense_with(ua ? &pending : NULL, rc->pub.lib_cmd->cdb, buf, sizeof(buf), &len);
	runner_finish_data(rc, buf, len);
}

/* Names and serial number are configfs files: read only for the pages that show them, so that the
 * frequent ones (B0h of every scan) cost nothing. */
static bool inquiry_needs_wwn(const uint8_t *cdb)
{
	bool evpd = cdb[1] & 1;

	return !evpd || cdb[2] == 0x80 || cdb[2] == 0x83;
}

void runner_exec_inquiry(struct runner_cmd *rc)
{
	answer(rc, inquiry_needs_wwn(rc->pub.lib_cmd->cdb), scsi_inquiry);
}

void runner_exec_read_capacity_10(struct runner_cmd *rc)
{
	answer(rc, false, scsi_read_capacity_10);
}

void runner_exec_read_capacity_16(struct runner_cmd *rc)
{
	answer(rc, false, scsi_read_capacity_16);
}

void runner_exec_report_opcodes(struct runner_cmd *rc)
{
	answer(rc, false, scsi_report_opcodes);
}

void runner_exec_mode_sense(struct runner_cmd *rc)
{
	answer(rc, false, scsi_mode_sense);
}

static void cache_turned_off(struct runner_cmd *rc, int sts)
{
	if (sts != TCMU_STS_OK)
		runner_dev_set_write_cache(rc->rdev, true);
	runner_finish(rc, sts);
}

void runner_exec_mode_select(struct runner_cmd *rc)
{
	struct tcmulib_cmd *cmd = rc->pub.lib_cmd;
	uint8_t list[BUFFER_SIZE];
	struct scsi_mode_change change = { 0 };
	struct scsi_sense sense = { 0 };
	struct scsi_lu lu;
	size_t len;

	runner_lu(rc->rdev, &lu, false);
	len = tcmu_memcpy_from_iovec(list, sizeof(list), cmd->iovec, cmd->iov_cnt);
	if (scsi_mode_select(&lu, cmd->cdb, list, len, &change, &sense) != SAM_STAT_GOOD) {
		runner_finish_sense(rc, &sense);
		return;
	}
	if (!change.wce_valid) {
		runner_finish(rc, TCMU_STS_OK);
		return;
	}

	/* Off: from now on writes are durable when they complete (SBC-4 6.5.6, WCE), and with this
	 * answer those before it are, too. */
	runner_dev_set_write_cache(rc->rdev, change.wce);
	if (change.wce)
		runner_finish(rc, TCMU_STS_OK);
	else
		runner_op_flush(rc, cache_turned_off);
}

#define SSU_POWER_CONDITION 0xf0
#define SSU_NO_FLUSH        0x04
#define SSU_LOEJ            0x02
#define SSU_START           0x01

/*
 * START STOP UNIT (SBC-4 5.31): nothing spins here. STOP flushes, as the host expects that before
 * the power goes, and leaves the unit ready, as other hosts may be using it. IMMED is answered
 * after the flush, see runner_exec_sync_cache().
 */
void runner_exec_start_stop(struct runner_cmd *rc)
{
	uint8_t what = rc->pub.lib_cmd->cdb[4];

	/* No power conditions, and a medium that is not removable. */
	if (what & (SSU_POWER_CONDITION | SSU_LOEJ)) {
		struct scsi_sense sense = scsi_sense_cdb_field(4, what & SSU_LOEJ ? 1 : 7);

		runner_finish_sense(rc, &sense);
		return;
	}
	if (what & (SSU_START | SSU_NO_FLUSH))
		runner_finish(rc, TCMU_STS_OK);
	else
		runner_op_flush(rc, runner_finish);
}
