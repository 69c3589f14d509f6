/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MODE SENSE and MODE SELECT on a device: the bytes are scsi/mode.c's.
 *
 * Current values are kept in the device's note, saved ones by the handler beside the data, where there
 * is a place. The ring does not tell who sent a MODE SELECT, so there is no unit attention MODE
 * PARAMETERS CHANGED for "all others" (SPC-5 6.14): it would mostly meet the one who knows.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runner/device.h"
#include "runner/runner.h"
#include "scsi/mode.h"
#include "scsi_defs.h"

struct mode_state {
	struct scsi_mode_values before;
	bool cache_on; /* WCE goes from 0 to 1, at the end */
	bool save;
	char text[72]; /* what is stored */
};
static_assert(sizeof(struct mode_state) <= sizeof(((struct runner_cmd *)0)->state),
	      "mode_state does not fit");

static struct mode_state *state_of(struct runner_cmd *rc)
{
	return (struct mode_state *)rc->state;
}

/* ---- values ---- */

void runner_mode_current(struct runner_dev *rdev, struct scsi_mode_values *values)
{
	*values = rdev->mode;
	values->wce = tcmu_dev_get_write_cache_enabled(rdev->dev);
}

void runner_mode_apply(struct runner_dev *rdev, const struct scsi_mode_values *values)
{
	struct scsi_mode_values before = rdev->mode;

	tcmu_dev_set_write_cache_enabled(rdev->dev, values->wce);
	rdev->mode = *values;
	runner_thresholds_changed(rdev, &before);
}

static size_t put_text(const struct scsi_mode_values *values, char *text, size_t size)
{
	const struct scsi_threshold *available = &values->threshold[SCSI_THRESHOLD_AVAILABLE];
	const struct scsi_threshold *used = &values->threshold[SCSI_THRESHOLD_USED];

	return (size_t)snprintf(text, size,
				"wce=%d d_sense=%d swp=%d lbpere=%d avail=%d:%" PRIu32
				" used=%d:%" PRIu32 "\n",
				values->wce, values->d_sense, values->swp, values->lbpere,
				available->enabled, available->count, used->enabled, used->count);
}

/* As an older version has it, or a unit without thresholds, there are none. */
static void get_thresholds(const char *text, struct scsi_mode_values *values)
{
	struct scsi_threshold *available = &values->threshold[SCSI_THRESHOLD_AVAILABLE];
	struct scsi_threshold *used = &values->threshold[SCSI_THRESHOLD_USED];
	unsigned int lbpere, available_on, used_on;
	uint32_t available_count, used_count;

	if (sscanf(text, " lbpere=%1u avail=%1u:%" SCNu32 " used=%1u:%" SCNu32, &lbpere,
		   &available_on, &available_count, &used_on, &used_count) != 5)
		return;
	values->lbpere = lbpere;
	*available = (struct scsi_threshold) { available_on, available_count };
	*used = (struct scsi_threshold) { used_on, used_count };
}

/* What is missing, or was written by somebody else, stays as it is. */
static void get_text(const char *text, bool thresholds, struct scsi_mode_values *values)
{
	unsigned int wce, d_sense, swp;
	int end = 0;

	if (sscanf(text, "wce=%1u d_sense=%1u swp=%1u%n", &wce, &d_sense, &swp, &end) != 3)
		return;
	if (thresholds)
		get_thresholds(text + end, values);
	values->wce = wce;
	values->d_sense = d_sense;
	values->swp = swp;
}

void runner_mode_load(struct runner_dev *rdev)
{
	char text[TCMUR_SAVED_MAX + 1] = "";
	ssize_t len = -1;

	rdev->mode_default = (struct scsi_mode_values) {
		.wce = tcmu_dev_get_write_cache_enabled(rdev->dev),
	};
	rdev->mode_saved = rdev->mode_default;
	if (rdev->handler->load_saved && rdev->handler->store_saved)
		len = rdev->handler->load_saved(rdev->dev, text, sizeof(text) - 1);
	rdev->saves = len >= 0;
	if (len > 0 && len < (ssize_t)sizeof(text))
		get_text(text, rdev->thresholds.known, &rdev->mode_saved);
}

static void without_thresholds(struct scsi_mode_values *values)
{
	values->lbpere = false;
	memset(values->threshold, 0, sizeof(values->threshold));
}

bool runner_mode_carry_over(struct runner_dev *rdev, const struct scsi_mode_values *before)
{
	struct scsi_mode_values values = *before;

	runner_mode_load(rdev); /* sets nothing but what is saved */
	values.wce = before->wce && tcmu_dev_get_write_cache_enabled(rdev->dev);
	if (!rdev->thresholds.known)
		without_thresholds(&values);
	without_thresholds(&rdev->mode); /* all are armed anew */
	runner_mode_apply(rdev, &values);
	return values.wce != before->wce || values.lbpere != before->lbpere ||
	       memcmp(values.threshold, before->threshold, sizeof(values.threshold));
}

/* ---- commands ---- */

/* The Control Extension page (0Ah/01h) has IALUAE, by which TPGS is asked for. */
void runner_exec_mode_sense(struct runner_cmd *rc)
{
	const uint8_t *cdb = rc->pub.lib_cmd->cdb;

	runner_answer(rc, cdb[3] ? RUNNER_LU_PORTS : 0, scsi_mode_sense);
}

static void ended(struct runner_cmd *rc, int sts)
{
	struct runner_dev *rdev = rc->rdev;
	struct mode_state *st = state_of(rc);

	if (sts != TCMU_STS_OK)
		runner_mode_apply(rdev, &st->before);
	else if (st->cache_on)
		tcmu_dev_set_write_cache_enabled(rdev->dev, true);
	if (sts == TCMU_STS_OK && st->save)
		runner_mode_current(rdev, &rdev->mode_saved);
	runner_note_write(rdev);
	runner_bounce_put(rc);
	runner_finish(rc, sts);
}

static void flushed(struct runner_cmd *rc, int sts)
{
	struct mode_state *st = state_of(rc);
	struct scsi_mode_values now;

	if (sts != TCMU_STS_OK || !st->save) {
		ended(rc, sts);
		return;
	}
	runner_mode_current(rc->rdev, &now);
	now.wce |= st->cache_on;
	runner_op_store_saved(rc, st->text, put_text(&now, st->text, sizeof(st->text)), ended);
}

/* Turning the cache off: from now on writes are durable when they complete (SBC-4 6.5.6, WCE), and with
 * this answer those before it are, too. Turning it on waits for the end: what was written meanwhile would not
 * be durable if the command then failed. SWP: what is in the cache is written first (SPC-5 7.5.8). */
static void change_values(struct runner_cmd *rc, const struct scsi_mode_values *values)
{
	struct mode_state *st = state_of(rc);
	struct scsi_mode_values now = *values;

	runner_mode_current(rc->rdev, &st->before);
	st->cache_on = values->wce && !st->before.wce;
	now.wce = values->wce && st->before.wce;
	runner_mode_apply(rc->rdev, &now);
	runner_note_write(rc->rdev);
	if ((st->before.wce && !values->wce) || (!st->before.swp && values->swp))
		runner_op_flush(rc, flushed);
	else
		flushed(rc, TCMU_STS_OK);
}

/* One MODE SELECT after the other, as each may have to put back what was there before it: the bounce buffer
 * has one owner, and a place for the list. */
static void got_bounce(struct runner_cmd *rc, int sts)
{
	struct tcmulib_cmd *cmd = rc->pub.lib_cmd;
	struct scsi_mode_change change = { 0 };
	struct scsi_sense sense = { 0 };
	struct scsi_lu lu;
	size_t len;

	if (sts != TCMU_STS_OK) {
		runner_finish(rc, sts);
		return;
	}
	memset(state_of(rc), 0, sizeof(struct mode_state));
	runner_lu(rc->rdev, &lu, RUNNER_LU_PORTS);
	len = tcmu_memcpy_from_iovec(runner_bounce(rc), RUNNER_BOUNCE_SIZE, cmd->iovec,
				     cmd->iov_cnt);
	if (scsi_mode_select(&lu, cmd->cdb, runner_bounce(rc), len, &change, &sense) !=
	    SAM_STAT_GOOD) {
		runner_bounce_put(rc);
		runner_finish_sense(rc, &sense);
		return;
	}
	state_of(rc)->save = change.save;
	change_values(rc, &change.values);
}

void runner_exec_mode_select(struct runner_cmd *rc)
{
	runner_bounce_get(rc, got_bounce);
}
