/* SPDX-License-Identifier: Apache-2.0 */
/*
 * START STOP UNIT, PREVENT ALLOW MEDIUM REMOVAL, and whether there is a medium that is fit for use.
 *
 * The medium that is loaded again is the one that was ejected, and the ring does not tell who loaded it:
 * there is no unit attention MEDIUM MAY HAVE CHANGED for that. There is for another medium: runner/pause.c.
 */
#include "runner/device.h"
#include "runner/runner.h"
#include "scsi_defs.h"

/* START STOP UNIT, byte 4 */
#define SSU_POWER_CONDITION 0xf0
#define SSU_ACTIVE          0x10
#define SSU_NO_FLUSH        0x04
#define SSU_LOEJ            0x02
#define SSU_START           0x01

/* ---- is it fit for use? ---- */

static const struct scsi_sense FORMAT_CORRUPTED = {
	.key = MEDIUM_ERROR,
	.asc = ASC_MEDIUM_FORMAT_CORRUPTED >> 8,
	.ascq = ASC_MEDIUM_FORMAT_CORRUPTED & 0xff,
};

static int refuse(struct scsi_sense *sense, struct scsi_sense why)
{
	*sense = why;
	return -1;
}

static bool is(const struct scsi_opcode *op, enum scsi_cmd_id id)
{
	return op && op->id == id;
}

int runner_health_check(struct runner_dev *rdev, const struct scsi_opcode *op, const uint8_t *cdb,
			struct scsi_sense *sense)
{
	bool sanitizes = rdev->wipe ? runner_wipe_sanitizes(rdev)
				    : rdev->health == RUNNER_SANITIZE_FAILED ||
					      rdev->health == RUNNER_SANITIZE_FAILED_RESTRICTED;

	/* SBC-4 4.11.2, 4.11.4; 5.4 */
	if (op &&
	    (op->flags & SCSI_F_FORMAT_PASSES || (sanitizes && scsi_sanitize_passes(op, cdb))))
		return 0;
	if (rdev->wipe) {
		runner_wipe_sense(rdev, sense);
		return -1;
	}
	switch (rdev->health) {
	case RUNNER_HEALTH_OK:
		return 0;
	case RUNNER_SANITIZE_FAILED:
	case RUNNER_SANITIZE_FAILED_RESTRICTED:
		/* SBC-4 4.11.4 */
		return is(op, SCSI_SANITIZE) ? 0 : refuse(sense, SCSI_SENSE_SANITIZE_FAILED);
	case RUNNER_FORMAT_FAILED:
		/* SBC-4 5.4: neither the old data nor a formatted medium */
		if (op && !(op->flags & SCSI_F_NEEDS_MEDIUM))
			return 0;
		return is(op, SCSI_FORMAT_UNIT) || is(op, SCSI_SANITIZE)
			       ? 0
			       : refuse(sense, FORMAT_CORRUPTED);
	}
	return 0;
}

int runner_medium_check(struct runner_dev *rdev, const struct scsi_opcode *op,
			struct scsi_sense *sense)
{
	if (op && !(op->flags & SCSI_F_NEEDS_MEDIUM))
		return 0;
	return rdev->ejected ? refuse(sense, SCSI_SENSE_MEDIUM_NOT_PRESENT) : 0;
}

int runner_write_check(struct runner_dev *rdev, struct scsi_sense *sense)
{
	if (tcmu_dev_get_write_protect_enabled(rdev->dev))
		return refuse(sense, SCSI_SENSE_WRITE_PROTECTED);
	if (rdev->mode.swp)
		return refuse(sense, SCSI_SENSE_SOFTWARE_WRITE_PROTECTED);
	return 0;
}

/* ---- START STOP UNIT ---- */

static void set_ejected(struct runner_dev *rdev, bool ejected)
{
	rdev->ejected = ejected;
	runner_note_write(rdev);
}

static void flushed_to_eject(struct runner_cmd *rc, int sts)
{
	if (sts == TCMU_STS_OK && rc->rdev->prevented) { /* meanwhile */
		runner_finish_sense(rc, &SCSI_SENSE_REMOVAL_PREVENTED);
		return;
	}
	if (sts == TCMU_STS_OK)
		set_ejected(rc->rdev, true);
	runner_finish(rc, sts);
}

static void load_or_eject(struct runner_cmd *rc, bool load)
{
	struct runner_dev *rdev = rc->rdev;

	if (!tcmu_dev_get_removable(rdev->dev)) {
		struct scsi_sense sense = scsi_sense_cdb_field(4, 1);

		runner_finish_sense(rc, &sense);
	} else if (load != rdev->ejected) { /* it is where it shall go */
		runner_finish(rc, TCMU_STS_OK);
	} else if (rdev->prevented) { /* both ways: libiscsi's suite has a loader locked, too */
		runner_finish_sense(rc, &SCSI_SENSE_REMOVAL_PREVENTED);
	} else if (load) {
		set_ejected(rdev, false);
		runner_finish(rc, TCMU_STS_OK);
	} else {
		runner_op_flush(rc, flushed_to_eject);
	}
}

/*
 * SBC-4 5.31. Nothing spins here and nothing saves power: each power condition is entered by doing
 * nothing, as it would be left by the next command. STOP, or going to rest, flushes, as the host expects
 * that before the power goes, and leaves the unit ready, as other hosts may be using it. IMMED is answered
 * after the flush, see runner_exec_sync_cache().
 */
void runner_exec_start_stop(struct runner_cmd *rc)
{
	uint8_t what = rc->pub.lib_cmd->cdb[4], power = what & SSU_POWER_CONDITION;
	bool flush = !(what & SSU_NO_FLUSH);

	if (power) { /* START and LOEJ are ignored then */
		flush = flush && power != SSU_ACTIVE;
	} else if (what & SSU_LOEJ) {
		load_or_eject(rc, what & SSU_START);
		return;
	} else if (what & SSU_START) {
		if (rc->rdev->ejected) {
			runner_finish_sense(rc, &SCSI_SENSE_MEDIUM_NOT_PRESENT);
			return;
		}
		flush = false;
	}
	if (flush)
		runner_op_flush(rc, runner_finish);
	else
		runner_finish(rc, TCMU_STS_OK);
}

/* ---- PREVENT ALLOW MEDIUM REMOVAL ---- */

/*
 * SPC-5 6.18 wants removal prevented until each I_T nexus that prevented it has allowed it, was lost, or
 * the logical unit was reset. The ring does not tell the nexus, nor that one was lost: the last word
 * counts, whoever says it.
 */
void runner_exec_prevent_allow_medium_removal(struct runner_cmd *rc)
{
	uint8_t prevent = rc->pub.lib_cmd->cdb[4] & 3;
	struct scsi_sense sense;

	if (prevent > 1) { /* 10b and 11b are obsolete */
		sense = scsi_sense_cdb_field(4, 1);
		runner_finish_sense(rc, &sense);
		return;
	}
	rc->rdev->prevented = prevent;
	runner_note_write(rc->rdev);
	runner_finish(rc, TCMU_STS_OK);
}

void runner_medium_reset(struct runner_dev *rdev)
{
	if (!rdev->prevented)
		return;
	rdev->prevented = false;
	runner_note_write(rdev);
}
