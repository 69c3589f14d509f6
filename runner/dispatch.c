/* SPDX-License-Identifier: Apache-2.0 */
/* A command's way from the ring to its executor through the gates, and its end. */
#include <stdlib.h>
#include <string.h>

#include "runner/device.h"
#include "runner/runner.h"
#include "scsi/inquiry.h"
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
	[SCSI_COMPARE_AND_WRITE] = runner_exec_compare_and_write,
	[SCSI_ORWRITE] = runner_exec_orwrite,
	[SCSI_WRITE_AND_VERIFY] = runner_exec_write_and_verify,
	[SCSI_WRITE_ATOMIC] = runner_exec_write_atomic,
	[SCSI_PREFETCH] = runner_exec_prefetch,
	[SCSI_GET_LBA_STATUS] = runner_exec_get_lba_status,
	[SCSI_REPORT_SUPPORTED_OPCODES] = runner_exec_report_opcodes,
	[SCSI_REPORT_SUPPORTED_TMF] = runner_exec_report_tmf,
	[SCSI_FORMAT_UNIT] = runner_exec_format_unit,
	[SCSI_SANITIZE] = runner_exec_sanitize,
	[SCSI_LOG_SENSE] = runner_exec_log_sense,
	[SCSI_READ_DEFECT_DATA] = runner_exec_read_defect_data,
	[SCSI_SEND_DIAGNOSTIC] = runner_exec_send_diagnostic,
	[SCSI_RECEIVE_DIAGNOSTIC_RESULTS] = runner_exec_receive_diagnostic_results,
	[SCSI_EXTENDED_COPY] = runner_exec_extended_copy,
	[SCSI_RECEIVE_COPY_RESULTS] = runner_exec_receive_copy_results,
	[SCSI_REPORT_TARGET_PORT_GROUPS] = runner_exec_report_target_port_groups,
	[SCSI_SET_TARGET_PORT_GROUPS] = runner_exec_set_target_port_groups,
	[SCSI_PREVENT_ALLOW_MEDIUM_REMOVAL] = runner_exec_prevent_allow_medium_removal,
};

size_t runner_cmd_size(const struct runner_dev *rdev)
{
	return sizeof(struct runner_cmd) + rdev->handler->cmd_priv_size;
}

uint64_t runner_absent_commands(void)
{
	uint64_t absent = 0;

	for (unsigned int id = 0; id < SCSI_CMD_COUNT; id++) {
		if (!executors[id])
			absent |= UINT64_C(1) << id;
	}
	return absent;
}

/* ---- the end of a command ---- */

static void count_end(const struct runner_cmd *rc, int sts)
{
	struct runner_counters *c = &rc->rdev->counters;

	runner_count(&c->ended, 1);
	if (sts != TCMU_STS_OK) {
		runner_count(&c->errors, 1);
	} else if (rc->op && rc->op->id == SCSI_READ) {
		runner_count(&c->reads, 1);
		runner_count(&c->read_blocks, rc->blocks);
	} else if (rc->op && (rc->op->id == SCSI_WRITE || rc->op->id == SCSI_WRITE_ATOMIC ||
			      rc->op->id == SCSI_WRITE_AND_VERIFY)) {
		runner_count(&c->writes, 1);
		runner_count(&c->written_blocks, rc->blocks);
	}
}

static void answer(struct runner_cmd *rc, int sts)
{
	struct runner_dev *rdev = rc->rdev;

	count_end(rc, sts);
	if (rc->active)
		rdev->active--;
	rc->active = false;
	if (rc->range.listed)
		runner_range_unlock(rc);
	if (sts != TCMU_STS_OK || atomic_load_explicit(&rdev->traced, memory_order_relaxed))
		runner_report_end(rc, sts);
	if (!rc->abort.asked || !runner_abort_end(rc))
		tcmulib_command_complete(rdev->dev, rc->pub.lib_cmd, sts);
	if (rdev->wipe && !rdev->active)
		runner_wipe_kick(rdev);
}

void runner_finish_sense(struct runner_cmd *rc, const struct scsi_sense *sense)
{
	scsi_sense_build(sense, rc->rdev->mode.d_sense, rc->pub.lib_cmd->sense_buf);
	answer(rc, TCMU_STS_PASSTHROUGH_ERR);
}

void runner_finish_cdb_field(struct runner_cmd *rc, uint16_t byte, int bit)
{
	struct scsi_sense sense = scsi_sense_cdb_field(byte, bit);

	runner_finish_sense(rc, &sense);
}

/* SPC-5 4.4.2: with MISCOMPARE, INFORMATION is where the data differ first, counted from the first byte
 * that was compared. */
void runner_finish_miscompare(struct runner_cmd *rc, uint64_t offset)
{
	struct scsi_sense sense = SCSI_SENSE_MISCOMPARE;

	sense.has_info = true;
	sense.info = offset;
	runner_finish_sense(rc, &sense);
}

void runner_finish(struct runner_cmd *rc, int sts)
{
	struct scsi_sense sense;

	/* Here and not in the library, which does not know D_SENSE. */
	if (sts != TCMU_STS_OK && sts != TCMU_STS_PASSTHROUGH_ERR &&
	    scsi_sense_from_sts(sts, &sense) == SAM_STAT_CHECK_CONDITION) {
		if ((sts == TCMU_STS_RD_ERR || sts == TCMU_STS_WR_ERR) && rc->error_off_valid) {
			sense.has_info = true;
			sense.info = tcmu_byte_to_lba(rc->rdev->dev, rc->error_off);
		}
		runner_finish_sense(rc, &sense);
		return;
	}
	/* These two are no CHECK CONDITION, so the kernel would hand the data buffer, with what
	 * another command left in it, to the initiator. "No data" cannot be said: one zero byte; or
	 * zeros where READ_LEN would not be right. */
	if ((sts == TCMU_STS_BUSY || sts == TCMU_STS_NO_RESOURCE) && rc->data_len) {
		if (rc->op && rc->op->dir == SCSI_DIR_IN) {
			memset(rc->data_start, 0, 1);
			rc->pub.lib_cmd->read_len = 1;
		} else {
			tcmu_iovec_zero(rc->pub.lib_cmd->iovec, rc->pub.lib_cmd->iov_cnt);
		}
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
	 * would cost: what comes back then is what is on the medium now (and zeros, rw.c). */
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
	struct scsi_sense sense;

	if (!atomic_load_explicit(&rc->rdev->unit_attentions, memory_order_relaxed))
		return false;
	if (rc->op && rc->op->flags & SCSI_F_UA_PASSES)
		return false;
	if (!runner_dev_take_unit_attention(rc->rdev, &sense))
		return false;
	runner_finish_sense(rc, &sense);
	return true;
}

/* A format or sanitize operation is under way or has failed. What a handler does with a command of its
 * own is not known, so it does not get any then. */
static bool gate_health(struct runner_cmd *rc)
{
	struct runner_dev *rdev = rc->rdev;
	struct scsi_sense sense;

	if (!rc->op && !rdev->handler->handle_cmd)
		return false;
	if ((rdev->wipe || rdev->health != RUNNER_HEALTH_OK) &&
	    runner_health_check(rdev, rc->op, rc->pub.lib_cmd->cdb, &sense)) {
		runner_finish_sense(rc, &sense);
		return true;
	}
	if (!rc->op || !(rc->op->flags & SCSI_F_FORMAT_PASSES)) {
		rc->active = true;
		rdev->active++;
	}
	return false;
}

/* What runner_lu() must find out to tell whether the row is enabled. */
static unsigned int lu_for(const struct scsi_opcode *op)
{
	return op->flags & (SCSI_F_NEEDS_TPGS | SCSI_F_NEEDS_STPG) ? RUNNER_LU_PORTS : 0;
}

/* What this logical unit does not have. If it has others of the operation code, the service action is
 * what it lacks. */
static void refuse_unknown(struct runner_cmd *rc)
{
	struct scsi_lu lu;

	if (rc->op && rc->op->id == SCSI_SET_TARGET_PORT_GROUPS)
		runner_tpg_say(rc->rdev, "no group has Explicit in its alua_access_type");
	for (size_t i = 0; i < scsi_opcode_count; i++) {
		if (scsi_opcodes[i].opcode != rc->pub.lib_cmd->cdb[0] || &scsi_opcodes[i] == rc->op)
			continue;
		runner_lu(rc->rdev, &lu, lu_for(&scsi_opcodes[i]));
		if (scsi_opcode_enabled(&scsi_opcodes[i], &lu)) {
			runner_finish_cdb_field(rc, 1, 4);
			return;
		}
	}
	runner_finish(rc, TCMU_STS_INVALID_CMD);
}

static bool is_enabled(struct runner_cmd *rc)
{
	struct scsi_lu lu;

	if (!rc->op || !executors[rc->op->id])
		return false;
	if (!(rc->op->flags & SCSI_F_NEEDS))
		return true;
	runner_lu(rc->rdev, &lu, lu_for(rc->op));
	return scsi_opcode_enabled(rc->op, &lu);
}

static bool gate_known(struct runner_cmd *rc)
{
	struct scsi_sense sense;

	if (!is_enabled(rc)) {
		refuse_unknown(rc);
		return true;
	}
	if (scsi_cdb_check(rc->op, rc->pub.lib_cmd->cdb, &sense)) {
		runner_finish_sense(rc, &sense);
		return true;
	}
	return false;
}

static bool gate_medium(struct runner_cmd *rc)
{
	struct scsi_sense sense;

	if (!runner_medium_check(rc->rdev, rc->op, &sense))
		return false;
	runner_finish_sense(rc, &sense);
	return true;
}

static bool gate_write_protect(struct runner_cmd *rc)
{
	struct scsi_sense sense;

	if (!(rc->op->flags & SCSI_F_MEDIUM_WRITE) || !runner_write_check(rc->rdev, &sense))
		return false;
	runner_finish_sense(rc, &sense);
	return true;
}

/* SBC-4 4.5: no part of the range may lie beyond the capacity. */
static bool gate_range(struct runner_cmd *rc)
{
	uint64_t lbas = tcmu_dev_get_num_lbas(rc->rdev->dev);
	struct scsi_sense sense;

	if (!(rc->op->flags & SCSI_F_RANGE) || (rc->lba < lbas && rc->blocks <= lbas - rc->lba) ||
	    !scsi_cdb_check_range(rc->op, rc->pub.lib_cmd->cdb, lbas, &sense))
		return false;
	runner_finish_sense(rc, &sense);
	return true;
}

static enum runner_range_kind range_kind(const struct scsi_opcode *op)
{
	switch (op->id) {
	/* Read and write their range in one piece: SBC-4 asks for that of all but the last one, which
	 * would find the data of somebody else. */
	case SCSI_COMPARE_AND_WRITE:
	case SCSI_ORWRITE:
	case SCSI_WRITE_AND_VERIFY:
		return RUNNER_RANGE_ALONE;
	case SCSI_WRITE_ATOMIC:
		return RUNNER_RANGE_ATOMIC;
	default:
		return op->flags & SCSI_F_MEDIUM_WRITE ? RUNNER_RANGE_WRITE : RUNNER_RANGE_READ;
	}
}

/* Reads stand in nobody's way but that of WRITE ATOMIC: no cost for logical units without it. */
static bool locks_range(const struct runner_cmd *rc)
{
	uint32_t flags = rc->op->flags;

	if (!(flags & SCSI_F_RANGE))
		return false;
	return flags & SCSI_F_MEDIUM_WRITE ||
	       (flags & SCSI_F_MEDIUM_READ && tcmu_dev_get_max_atomic_len(rc->rdev->dev));
}

static void execute(struct runner_cmd *rc)
{
	executors[rc->op->id](rc);
}

/* What 0 blocks are to WRITE SAME; 0 where it has none to write, or refuses that (WSNZ). */
static uint64_t blocks_to_the_end(const struct runner_cmd *rc)
{
	uint64_t num_lbas = tcmu_dev_get_num_lbas(rc->rdev->dev);

	return scsi_wsnz(num_lbas) ? 0 : num_lbas - rc->lba;
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
	if (gate_medium(rc) || gate_write_protect(rc) || gate_range(rc))
		return;
	if (!rc->blocks && rc->op->flags & SCSI_F_ZERO_IS_REST)
		rc->blocks = blocks_to_the_end(rc);
	if (__builtin_expect(rc->rdev->thresholds.watched, 0) &&
	    rc->op->flags & SCSI_F_MEDIUM_WRITE && rc->op->flags & SCSI_F_RANGE)
		runner_thresholds_written(rc->rdev, rc->blocks);
	if (locks_range(rc))
		runner_range_lock(rc, rc->lba, rc->blocks, range_kind(rc->op), execute);
	else
		execute(rc);
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
	runner_count(&rdev->counters.begun, 1);
	atomic_init(&rc->pending, 0);
	rc->op = scsi_opcode_find(lib_cmd->cdb);
	rc->data_len = tcmu_iovec_length(lib_cmd->iovec, lib_cmd->iov_cnt);
	rc->data_start = lib_cmd->iov_cnt ? lib_cmd->iovec[0].iov_base : NULL;
	rc->fua = false;
	rc->error_off_valid = false;
	rc->range.listed = false;
	rc->active = false;
	rc->looks = 0;
	rc->begun_ns = 0;
	if (atomic_load_explicit(&rdev->traced, memory_order_relaxed))
		runner_report_begin(rc);
	rc->abort.asked = rc->abort.listed = rc->abort.kept = false;
	if (rdev->handler->cmd_priv_size)
		memset(tcmur_cmd_priv(&rc->pub), 0, rdev->handler->cmd_priv_size);

	if (gate_unit_attention(rc) || gate_health(rc))
		return;
	if (rdev->handler->handle_cmd)
		runner_op_handle_cmd(rc, after_handle_cmd);
	else
		dispatch_to_executor(rc);
}
