/* SPDX-License-Identifier: Apache-2.0 */
/* A command's way from the ring to its executor through the gates, and its end. */
#include <stdlib.h>
#include <string.h>

#include "runner/device.h"
#include "runner/runner.h"
#include "scsi_defs.h"

static void (*const executors[SCSI_CMD_COUNT])(struct runner_cmd *rc) = {
	[SCSI_TEST_UNIT_READY] = runner_exec_test_unit_ready,
	[SCSI_REQUEST_SENSE] = runner_exec_request_sense,
	[SCSI_INQUIRY] = runner_exec_inquiry,
	[SCSI_READ_CAPACITY_10] = runner_exec_read_capacity_10,
	[SCSI_READ_CAPACITY_16] = runner_exec_read_capacity_16,
	[SCSI_MODE_SENSE] = runner_exec_mode_sense,
	[SCSI_MODE_SELECT] = runner_exec_mode_select,
	[SCSI_START_STOP_UNIT] = runner_exec_start_stop,
	[SCSI_SYNCHRONIZE_CACHE] = runner_exec_sync_cache,
	[SCSI_READ] = runner_exec_read,
	[SCSI_WRITE] = runner_exec_write,
	[SCSI_VERIFY] = runner_exec_verify,
	[SCSI_UNMAP] = runner_exec_unmap,
	[SCSI_WRITE_SAME] = runner_exec_write_same,
	[SCSI_REPORT_SUPPORTED_OPCODES] = runner_exec_report_opcodes,
};

size_t runner_cmd_size(const struct runner_dev *rdev)
{
	return sizeof(struct runner_cmd) + rdev->handler->cmd_priv_size;
}

/* ---- the end of a command ---- */

static void answer(struct runner_cmd *rc, int sts)
{
	tcmulib_command_complete(rc->rdev->dev, rc->pub.lib_cmd, sts);
}

void runner_finish_sense(struct runner_cmd *rc, const struct scsi_sense *sense)
{
	scsi_sense_build(sense, false, rc->pub.lib_cmd->sense_buf);
	answer(rc, TCMU_STS_PASSTHROUGH_ERR);
}

void runner_finish(struct runner_cmd *rc, int sts)
{
	struct scsi_sense sense;

	if ((sts == TCMU_STS_RD_ERR || sts == TCMU_STS_WR_ERR) && rc->error_off_valid) {
		scsi_sense_from_sts(sts, &sense);
		sense.has_info = true;
		sense.info = tcmu_byte_to_lba(rc->rdev->dev, rc->error_off);
		runner_finish_sense(rc, &sense);
		return;
	}
	/* These two are no CHECK CONDITION, so the kernel would hand the data buffer, with what
	 * another command left in it, to the initiator. "No data" cannot be said: one zero byte. */
	if ((sts == TCMU_STS_BUSY || sts == TCMU_STS_NO_RESOURCE) && rc->op &&
	    rc->op->dir == SCSI_DIR_IN && rc->data_len) {
		memset(rc->data_start, 0, 1);
		rc->pub.lib_cmd->read_len = 1;
	}
	/* The write cache was turned off while this was under way: it is durable all the same when
	 * it is answered. */
	if (sts == TCMU_STS_OK && rc->op && rc->op->flags & SCSI_F_MEDIUM_WRITE && !rc->fua &&
	    !tcmu_dev_get_write_cache_enabled(rc->rdev->dev)) {
		rc->fua = true;
		runner_op_flush(rc, runner_finish);
		return;
	}
	/* The ring does not tell the direction of the buffer. One for data-in, which this command does
	 * not have, would come back with what another command left in it. Not for WRITE, where it
	 * would cost: what comes back then is what is on the medium now. */
	if (sts == TCMU_STS_OK && rc->op && rc->op->dir != SCSI_DIR_IN &&
	    rc->op->id != SCSI_WRITE && rc->data_len)
		tcmu_iovec_zero(rc->pub.lib_cmd->iovec, rc->pub.lib_cmd->iov_cnt);
	answer(rc, sts);
}

void runner_finish_data(struct runner_cmd *rc, const void *src, size_t len)
{
	struct tcmulib_cmd *cmd = rc->pub.lib_cmd;

	if (len)
		len = tcmu_memcpy_into_iovec(cmd->iovec, cmd->iov_cnt, (void *)(uintptr_t)src, len);
	if (len)
		cmd->read_len = (uint32_t)len;
	else /* READ_LEN cannot say "nothing" */
		tcmu_iovec_zero(cmd->iovec, cmd->iov_cnt);
	answer(rc, TCMU_STS_OK);
}

/* ---- the gates, in this order ---- */

static bool gate_unit_attention(struct runner_cmd *rc)
{
	struct scsi_sense sense = { .key = UNIT_ATTENTION };
	unsigned int code;

	if (rc->op && rc->op->flags & SCSI_F_UA_PASSES)
		return false;
	code = runner_dev_take_unit_attention(rc->rdev);
	if (!code)
		return false;
	sense.asc = (uint8_t)(code >> 8);
	sense.ascq = (uint8_t)code;
	runner_finish_sense(rc, &sense);
	return true;
}

static bool gate_known(struct runner_cmd *rc)
{
	const uint8_t *cdb = rc->pub.lib_cmd->cdb;
	struct scsi_sense sense;

	if (!rc->op && scsi_opcode_known(cdb[0])) {
		sense = scsi_sense_cdb_field(1, 4); /* its service action is the one we lack */
		runner_finish_sense(rc, &sense);
		return true;
	}
	if (!rc->op) {
		runner_finish(rc, TCMU_STS_INVALID_CMD);
		return true;
	}
	if (scsi_cdb_check(rc->op, cdb, &sense)) {
		runner_finish_sense(rc, &sense);
		return true;
	}
	return false;
}

static bool gate_write_protect(struct runner_cmd *rc)
{
	if (!(rc->op->flags & SCSI_F_MEDIUM_WRITE) ||
	    !tcmu_dev_get_write_protect_enabled(rc->rdev->dev))
		return false;
	runner_finish(rc, TCMU_STS_WRITE_PROTECTED);
	return true;
}

/* SBC-4 4.5: no part of the range may lie beyond the capacity. */
static bool gate_range(struct runner_cmd *rc)
{
	uint64_t lbas = tcmu_dev_get_num_lbas(rc->rdev->dev);

	if (!(rc->op->flags & SCSI_F_RANGE))
		return false;
	if (rc->lba <= lbas && rc->blocks <= lbas - rc->lba)
		return false;
	runner_finish(rc, TCMU_STS_RANGE);
	return true;
}

static void dispatch_to_executor(struct runner_cmd *rc)
{
	const uint8_t *cdb = rc->pub.lib_cmd->cdb;

	if (gate_known(rc))
		return;
	rc->lba = scsi_cdb_lba(rc->op, cdb);
	rc->blocks = scsi_cdb_xfer(rc->op, cdb);
	/* With the write cache off every write is durable before GOOD (SBC-4 6.5.6, WCE). */
	if (rc->op->flags & SCSI_F_MEDIUM_WRITE)
		rc->fua = (rc->op->flags & SCSI_F_FUA && cdb[1] & 0x08) ||
			  !tcmu_dev_get_write_cache_enabled(rc->rdev->dev);
	if (gate_write_protect(rc) || gate_range(rc))
		return;
	executors[rc->op->id](rc);
}

static void after_handle_cmd(struct runner_cmd *rc, int sts)
{
	if (sts == TCMU_STS_NOT_HANDLED)
		dispatch_to_executor(rc);
	else
		runner_finish(rc, sts);
}

void runner_dispatch(struct runner_dev *rdev, struct tcmulib_cmd *lib_cmd)
{
	struct runner_cmd *rc = lib_cmd->hm_private;

	rc->pub.lib_cmd = lib_cmd;
	rc->rdev = rdev;
	atomic_init(&rc->pending, 0);
	rc->op = scsi_opcode_find(lib_cmd->cdb);
	rc->data_len = tcmu_iovec_length(lib_cmd->iovec, lib_cmd->iov_cnt);
	rc->data_start = lib_cmd->iov_cnt ? lib_cmd->iovec[0].iov_base : NULL;
	rc->fua = false;
	rc->error_off_valid = false;
	if (rdev->handler->cmd_priv_size)
		memset(tcmur_cmd_priv(&rc->pub), 0, rdev->handler->cmd_priv_size);

	if (gate_unit_attention(rc))
		return;
	if (rdev->handler->handle_cmd)
		runner_op_handle_cmd(rc, after_handle_cmd);
	else
		dispatch_to_executor(rc);
}
