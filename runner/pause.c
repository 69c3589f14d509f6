/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/pause.h"

#include <errno.h>
#include <string.h>

#include "runner/clock.h"
#include "runner/device.h"
#include "runner/runner.h"

#define STALE_NS INT64_C(1000000000)

static gboolean tell(gpointer arg)
{
	struct runner_pause *pause = arg;

	pause->ended(pause);
	return G_SOURCE_REMOVE;
}

/* From here on it is the main thread's. */
static void finish(struct runner_dev *rdev, int err, const char *why)
{
	struct runner_pause *pause = rdev->pause;

	pause->err = err;
	if (why != pause->why)
		g_strlcpy(pause->why, why, sizeof(pause->why));
	atomic_store(&pause->stage, RUNNER_PAUSE_DONE);
	rdev->pause = NULL;
	g_idle_add_full(G_PRIORITY_DEFAULT, tell, pause, NULL);
}

static void let_go(struct runner_dev *rdev)
{
	if (rdev->held)
		runner_visits_open(
			rdev); /* by another number: who copies to or from here finds it gone */
	rdev->held = false;
	runner_dev_set_state(rdev, RUNNER_RUNNING);
}

void runner_pause_end(struct runner_dev *rdev, int err, const char *why)
{
	if (!rdev->pause)
		return;
	let_go(rdev);
	finish(rdev, err, why);
}

static bool given_up(const struct runner_pause *pause)
{
	return atomic_load(&pause->stage) == RUNNER_PAUSE_GIVEN_UP;
}

/* The main thread cannot give it up any more. False: it has. */
static bool decide(struct runner_pause *pause)
{
	enum runner_pause_stage open = RUNNER_PAUSE_OPEN;

	return atomic_compare_exchange_strong(&pause->stage, &open, RUNNER_PAUSE_DONE);
}

/* ---- may it be? ---- */

static int refusal(struct runner_dev *rdev, const char **why)
{
	*why = "it is parked, as the log says: delete it, or restart the daemon";
	if (rdev->parked || tcmulib_ring_state(rdev->dev) == TCMULIB_RING_PARKED)
		return -EIO;
	*why = "a format or sanitize operation is under way";
	if (rdev->wipe)
		return -EBUSY;
	*why = "it is drained: resume it first";
	if (rdev->drained)
		return -EBUSY;
	if (rdev->pause->kind != RUNNER_PAUSE_CHANGE)
		return 0;
	*why = "its medium is not removable (RMB is 0), so initiators take it for granted that it "
	       "is never another "
	       "one: create it with the option ;removable in its config string";
	if (!tcmu_dev_get_removable(rdev->dev))
		return -EMEDIUMTYPE;
	*why = "an initiator prevents the removal of the medium (PREVENT ALLOW MEDIUM REMOVAL): "
	       "unmount it there";
	return rdev->prevented ? -EBUSY : 0;
}

void runner_pause_begin(struct runner_dev *rdev)
{
	const char *why;
	int err;

	if (given_up(rdev->pause)) {
		runner_pause_end(rdev, -ETIMEDOUT, "");
		return;
	}
	err = refusal(rdev, &why);
	if (err) {
		finish(rdev, err, why);
		return;
	}
	rdev->held = true;
	runner_visits_close(rdev);
	runner_dev_set_state(rdev, RUNNER_CHANGING);
}

/* ---- another medium ---- */

static int check_fits(struct runner_dev *rdev, uint32_t block_size, struct runner_pause *pause)
{
	if (!tcmu_dev_get_removable(rdev->dev)) {
		g_strlcpy(pause->why,
			  "with the new config string the medium would not be removable any more: "
			  "add the option "
			  ";removable",
			  sizeof(pause->why));
		return -EMEDIUMTYPE;
	}
	if (tcmu_dev_get_block_size(rdev->dev) != block_size) {
		g_snprintf(pause->why, sizeof(pause->why),
			   "the new medium has blocks of %u bytes, this logical unit of %u",
			   tcmu_dev_get_block_size(rdev->dev), block_size);
		return -EMEDIUMTYPE;
	}
	return 0;
}

/*
 * The moment from which on it is the new one, also for the next daemon. The unit attention is noted first: a death
 * in between tells initiators of a change that did not happen, not the other way round.
 */
static int commit(struct runner_dev *rdev, struct runner_pause *pause)
{
	unsigned int before = atomic_load(&rdev->unit_attentions);
	int ret;

	if (!decide(pause))
		return -ETIMEDOUT;
	runner_dev_unit_attention(rdev, RUNNER_UA_MEDIUM_CHANGED);
	runner_note_write(rdev);
	ret = tcmulib_device_store_config(rdev->dev, pause->stored,
					  tcmu_dev_get_config_size(rdev->dev));
	if (!ret)
		return 0;
	if (!(before & RUNNER_UA_MEDIUM_CHANGED))
		atomic_fetch_and(&rdev->unit_attentions, ~RUNNER_UA_MEDIUM_CHANGED);
	g_snprintf(pause->why, sizeof(pause->why),
		   "the kernel does not take the new config string: %s", strerror(-ret));
	return ret;
}

/* What was said of the medium before is of no interest any more; initiators look at all of the new one. */
static void settle(struct runner_dev *rdev, const struct scsi_mode_values *mode)
{
	atomic_fetch_and(&rdev->unit_attentions, RUNNER_UA_MEDIUM_CHANGED | RUNNER_UA_MODE_CHANGED);
	rdev->ejected = rdev->prevented = false;
	rdev->health = RUNNER_HEALTH_OK;
	rdev->time_out_sec = rdev->pause->time_out_sec;
	rdev->stale = tcmulib_ring_pending(rdev->dev);
	rdev->stale_until = runner_now_ns() + STALE_NS;
	if (runner_mode_carry_over(rdev, mode))
		runner_dev_unit_attention(rdev, RUNNER_UA_MODE_CHANGED);
	runner_note_write(rdev);
	tcmu_dev_info(
		rdev->dev, "there is another medium now: '%s', %llu bytes",
		tcmu_dev_get_cfgstring(rdev->dev),
		(unsigned long long)tcmu_lba_to_byte(rdev->dev, tcmu_dev_get_num_lbas(rdev->dev)));
}

static void exchange(struct runner_dev *rdev)
{
	struct runner_pause *pause = rdev->pause;
	size_t len = rdev->config_len;

	tcmulib_device_exchange_config(rdev->dev, &pause->cfgstring, &pause->size);
	rdev->config_len = pause->config_len;
	pause->config_len = len;
}

/* Opens what was open before; false: a stop was asked for before that could be. */
static bool open_as_before(struct runner_dev *rdev, bool reopen,
			   const struct scsi_mode_values *mode)
{
	int err = runner_dev_open(rdev, reopen);

	if (err && runner_dev_open_again(rdev, err))
		return false;
	if (runner_mode_carry_over(rdev, mode))
		runner_dev_unit_attention(rdev, RUNNER_UA_MODE_CHANGED);
	runner_note_write(rdev);
	return true;
}

static void change(struct runner_dev *rdev)
{
	uint32_t block_size = tcmu_dev_get_block_size(rdev->dev);
	struct runner_pause *pause = rdev->pause;
	struct scsi_mode_values mode;
	int err;

	runner_mode_current(rdev, &mode);
	runner_dev_close(rdev);
	exchange(rdev);
	err = runner_dev_open(rdev, false);
	if (err)
		g_snprintf(pause->why, sizeof(pause->why),
			   "'%s' cannot be opened: %s; the log says more", pause->stored,
			   strerror(-err));
	else
		err = check_fits(rdev, block_size, pause);
	if (!err)
		err = commit(rdev, pause);
	if (!err) {
		settle(rdev, &mode);
		runner_pause_end(rdev, 0, "");
		return;
	}
	runner_dev_close(rdev);
	tcmu_dev_set_block_size(rdev->dev, block_size);
	exchange(rdev);
	decide(pause);
	finish(rdev, err, pause->why);
	if (open_as_before(rdev, true, &mode))
		let_go(rdev);
}

/* ---- the same medium ---- */

static void reopen(struct runner_dev *rdev)
{
	struct scsi_mode_values mode;

	runner_mode_current(rdev, &mode);
	runner_dev_close(rdev);
	if (open_as_before(rdev, true, &mode))
		runner_pause_end(rdev, 0, "");
	else /* the stop is the next thing that the loop sees */
		finish(rdev, -ESHUTDOWN, "the storage object is being removed, or the daemon ends");
}

static void drain(struct runner_dev *rdev)
{
	if (!decide(rdev->pause)) {
		runner_pause_end(rdev, -ETIMEDOUT, "");
		return;
	}
	runner_dev_close(rdev);
	rdev->drained = true;
	runner_dev_set_state(rdev, RUNNER_DRAINED);
	tcmu_dev_info(
		rdev->dev,
		"drained: its storage is closed and its commands wait, until it is resumed or "
		"the daemon restarts");
	finish(rdev, 0, "");
}

void runner_pause_resume(struct runner_dev *rdev)
{
	struct scsi_mode_values mode;

	if (!rdev->drained)
		return;
	tcmu_dev_info(rdev->dev, "resumed");
	runner_mode_current(rdev, &mode);
	runner_dev_set_state(rdev, RUNNER_OPENING);
	if (!open_as_before(rdev, true, &mode))
		return;
	rdev->drained = false;
	let_go(rdev);
}

/* ---- step by step ---- */

static void flushed(struct runner_cmd *rc, int sts)
{
	struct runner_dev *rdev = rc->rdev;

	rdev->own_busy = false;
	if (!rdev->pause || !rdev->pause->flushing) /* it was given up meanwhile */
		return;
	rdev->pause->flushing = false;
	rdev->pause->flushed = true;
	if (sts != TCMU_STS_OK)
		runner_pause_end(
			rdev, -EIO,
			"what is in its write cache cannot be written: nothing was changed");
}

void runner_pause_turn(struct runner_dev *rdev)
{
	struct runner_pause *pause = rdev->pause;
	const char *why;
	int err;

	if (pause->flushing)
		return;
	/* As at an eject: after this no SYNCHRONIZE CACHE reaches the medium any more. */
	if (!pause->flushed && !tcmu_dev_get_write_protect_enabled(rdev->dev)) {
		pause->flushing = true;
		err = runner_own_flush(rdev, flushed);
		if (err)
			runner_pause_end(rdev, err, "it cannot be flushed: out of memory");
		return;
	}
	err = refusal(rdev, &why); /* by a command that has ended meanwhile */
	if (err) {
		runner_pause_end(rdev, err, why);
		return;
	}
	switch (pause->kind) {
	case RUNNER_PAUSE_CHANGE:
		change(rdev);
		break;
	case RUNNER_PAUSE_REOPEN:
		reopen(rdev);
		break;
	case RUNNER_PAUSE_DRAIN:
		drain(rdev);
		break;
	}
}

/* Until the ring has been empty once: what waits in the kernel for room in it comes with the next doorbell. Who
 * never stops sending would never get past it, so not for ever. */
void runner_pause_look(struct runner_dev *rdev)
{
	if (!tcmulib_ring_pending(rdev->dev) || runner_now_ns() >= rdev->stale_until)
		rdev->stale = false;
}
