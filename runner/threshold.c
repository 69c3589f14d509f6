/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logical block provisioning thresholds (SBC-4 4.7.3.7): how much storage a logical unit has and can still
 * get is the handler's to know, and it is asked only while somebody wants to be told: LOG SENSE, and while
 * a threshold is enabled, every WATCH_NS and after each WATCH_BYTES that were written, one question at a
 * time, on a worker. So a command never waits for it, and a threshold is noticed a little late.
 *
 * The unit attention is for one command of whoever comes next (SITUA, scsi/mode_pages.c). After a restart a
 * threshold that is still reached is told again: whether it had been told before is not known.
 */
#include <errno.h>
#include <string.h>

#include "runner/device.h"
#include "runner/runner.h"
#include "scsi/threshold.h"

#define WATCH_NS    UINT64_C(5000000000)
#define WATCH_BYTES (64u << 20)

static struct runner_dev *rdev_of(struct runner_thresholds *t)
{
	return container_of(t, struct runner_dev, thresholds);
}

uint8_t runner_threshold_exponent(const struct runner_dev *rdev)
{
	struct tcmu_device *dev = rdev->dev;

	if (!rdev->thresholds.known || !tcmu_dev_get_unmap_enabled(dev))
		return 0;
	return scsi_threshold_exponent(tcmu_dev_get_num_lbas(dev), tcmu_dev_get_block_size(dev));
}

void runner_thresholds_open(struct runner_dev *rdev)
{
	const struct tcmur_handler *h = rdev->handler;
	struct runner_thresholds before = rdev->thresholds;
	uint64_t used, available;
	int ret = -EOPNOTSUPP;

	memset(&rdev->thresholds, 0, sizeof(rdev->thresholds));
	rdev->thresholds.timing =
		before.timing; /* it may be another medium: the timer is in a list */
	rdev->thresholds.timer = before.timer;
	if (h->provisioning && tcmu_dev_get_unmap_enabled(rdev->dev))
		ret = h->provisioning(rdev->dev, &used, &available);
	rdev->thresholds.known = !ret;
	if (ret && ret != -EOPNOTSUPP)
		tcmu_dev_warn(
			rdev->dev,
			"how much storage it uses cannot be found: %s. It has no provisioning "
			"thresholds until it is opened again",
			strerror(-ret));
}

/* ---- is one reached? ---- */

static void say_reached(struct runner_dev *rdev, unsigned int which, uint64_t bytes)
{
	tcmu_dev_info(rdev->dev,
		      which == SCSI_THRESHOLD_AVAILABLE
			      ? "a threshold is reached: %llu bytes of storage are left"
			      : "a threshold is reached: %llu bytes of storage are used",
		      (unsigned long long)bytes);
}

void runner_thresholds_check(struct runner_dev *rdev, uint64_t used, uint64_t available)
{
	const uint64_t bytes[SCSI_THRESHOLD_COUNT] = {
		[SCSI_THRESHOLD_AVAILABLE] = available,
		[SCSI_THRESHOLD_USED] = used,
	};
	struct runner_thresholds *t = &rdev->thresholds;
	struct scsi_lu lu;

	runner_lu(rdev, &lu, 0);
	if (!t->watched || !lu.threshold_exponent)
		return;
	for (unsigned int i = 0; i < SCSI_THRESHOLD_COUNT; i++) {
		if (!lu.threshold[i].enabled ||
		    !scsi_threshold_reached(&lu, i, bytes[i] / lu.block_size, &t->armed[i]))
			continue;
		say_reached(rdev, i, bytes[i]);
		runner_dev_unit_attention(rdev, RUNNER_UA_THRESHOLD(i));
	}
}

/* ---- asking ---- */

static void ask(struct runner_dev *rdev);

static int64_t work_ask(struct tcmur_io *io)
{
	struct runner_thresholds *t = container_of(io, struct runner_thresholds, ask);
	struct runner_dev *rdev = rdev_of(t);

	return rdev->handler->provisioning(rdev->dev, &t->used, &t->available);
}

static void asked(struct tcmur_io *io, int64_t res)
{
	struct runner_thresholds *t = container_of(io, struct runner_thresholds, ask);
	struct runner_dev *rdev = rdev_of(t);

	t->asking = false;
	if (!res)
		runner_thresholds_check(rdev, t->used, t->available);
	else if (!t->failed)
		tcmu_dev_warn(
			rdev->dev,
			"how much storage it uses cannot be found: %s. Its provisioning thresholds "
			"are not looked at meanwhile",
			strerror((int)-res));
	t->failed = res;
	if (t->again)
		ask(rdev);
}

static void ask(struct runner_dev *rdev)
{
	struct runner_thresholds *t = &rdev->thresholds;

	t->again = t->asking;
	if (t->asking || rdev->stopping || !rdev->opened)
		return;
	t->asking = true;
	t->written = 0;
	t->ask.done = asked;
	tcmur_io_work(rdev->dev, &t->ask, work_ask);
}

/* ---- watching ---- */

static void watch(struct runner_dev *rdev);

static void time_to_ask(struct tcmur_io *io, int64_t res)
{
	struct runner_thresholds *t = container_of(io, struct runner_thresholds, timer);
	struct runner_dev *rdev = rdev_of(t);

	(void)res;
	t->timing = false;
	if (!t->watched || rdev->stopping)
		return;
	if (!t->asking) /* a storage that takes longer is not asked more often */
		ask(rdev);
	watch(rdev);
}

static void watch(struct runner_dev *rdev)
{
	struct runner_thresholds *t = &rdev->thresholds;

	if (t->timing)
		return;
	t->timing = true;
	t->timer.done = time_to_ask;
	tcmur_io_timer(rdev->dev, &t->timer, WATCH_NS);
}

void runner_thresholds_written(struct runner_dev *rdev, uint64_t blocks)
{
	struct runner_thresholds *t = &rdev->thresholds;

	t->written += tcmu_lba_to_byte(rdev->dev, blocks);
	if (t->written >= WATCH_BYTES)
		ask(rdev);
}

static bool is_same(const struct scsi_mode_values *a, const struct scsi_mode_values *b,
		    unsigned int which)
{
	return a->lbpere == b->lbpere &&
	       a->threshold[which].enabled == b->threshold[which].enabled &&
	       a->threshold[which].count == b->threshold[which].count;
}

void runner_thresholds_changed(struct runner_dev *rdev, const struct scsi_mode_values *before)
{
	struct runner_thresholds *t = &rdev->thresholds;
	bool changed = false;

	t->watched = runner_threshold_exponent(rdev) && scsi_threshold_watched(&rdev->mode);
	for (unsigned int i = 0; i < SCSI_THRESHOLD_COUNT; i++) {
		if (is_same(before, &rdev->mode, i))
			continue;
		/* What an earlier one had to tell is of no interest any more. */
		atomic_fetch_and(&rdev->unit_attentions, ~RUNNER_UA_THRESHOLD(i));
		t->armed[i] = true;
		changed = true;
	}
	if (!changed || !t->watched)
		return;
	ask(rdev);
	watch(rdev);
}
