/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that take too long. Every five seconds, as long as a device is used (runner/idle.c), each command in
 * flight is counted once more, so none needs a clock. What has been counted for as long as is too long is told
 * of, once; and given up where the config string sets a limit (";tcmur_cmd_time_out=N"), as if the initiator
 * had aborted it (runner/abort.c).
 */
#include "runner/device.h"
#include "runner/runner.h"
#include "scsi_defs.h"

#define TOO_LONG_SEC 15

/*
 * How many times as long as a read or write a command of its class may take, as Linux's disk driver counts:
 * twice for a flush, which writes out what others have left, four times for what changes any number of blocks.
 */
enum patience { PATIENCE_DATA = 1, PATIENCE_FLUSH = 2, PATIENCE_BLOCKS = 4, PATIENCE_MEDIUM = 40 };

static enum patience patience(const struct runner_cmd *rc)
{
	switch (rc->pub.lib_cmd->cdb[0]) {
	case SYNCHRONIZE_CACHE:
	case SYNCHRONIZE_CACHE_16:
	case START_STOP:
		return PATIENCE_FLUSH;
	case UNMAP:
	case WRITE_SAME:
	case WRITE_SAME_16:
		return PATIENCE_BLOCKS;
	case FORMAT_UNIT:
	case SANITIZE:
	case EXTENDED_COPY:
		return PATIENCE_MEDIUM;
	default:
		return PATIENCE_DATA;
	}
}

/* Seconds; 0: none. What has a whole medium to go through comes to its end. */
static uint64_t limit(const struct runner_dev *rdev, enum patience times)
{
	return times == PATIENCE_MEDIUM ? 0 : (uint64_t)rdev->time_out_sec * times;
}

static unsigned int age_sec(const struct runner_cmd *rc)
{
	return rc->looks * RUNNER_IDLE_SEC;
}

static void say(struct runner_dev *rdev, const struct runner_cmd *rc, unsigned int others)
{
	uint8_t *cdb = rc->pub.lib_cmd->cdb;
	struct tcmu_log_about about;

	runner_report_about(rc, &about);
	tcmu_log_command(
		TCMU_LOG_WARN, rdev->dev, &about,
		"%s (operation code %02xh), LBA %llu, %u blocks, has taken %u s so far: it %s; so "
		"have %u others",
		rc->op ? rc->op->name : "a command", cdb[0],
		(unsigned long long)tcmu_cdb_get_lba(cdb), tcmu_cdb_get_xfer_length(cdb),
		age_sec(rc), atomic_load(&rc->pending) ? "is with the handler" : "waits", others);
}

/* One more look at this one. Has it just become too old to be passed over in silence? */
static bool look_at(struct runner_dev *rdev, struct runner_cmd *rc)
{
	enum patience times = patience(rc);
	uint64_t give_up = limit(rdev, times);
	unsigned int before = age_sec(rc);

	if (rc->looks < UINT16_MAX)
		rc->looks++;
	if (give_up && age_sec(rc) > give_up) {
		if (!rc->abort.asked)
			runner_count(&rdev->counters.expired, 1);
		runner_abort_command(rc);
	}
	return before < TOO_LONG_SEC * times && age_sec(rc) >= TOO_LONG_SEC * times;
}

void runner_watch(struct runner_dev *rdev)
{
	uint32_t left =
		tcmulib_ring_in_flight(rdev->dev); /* those that are kept have no id any more */
	const struct runner_cmd *first = NULL;
	unsigned int old = 0;

	for (uint32_t id = 1; left && id <= UINT16_MAX; id++) {
		struct tcmulib_cmd *cmd = tcmulib_command_by_id(rdev->dev, (uint16_t)id);

		if (!cmd)
			continue;
		left--;
		if (!look_at(rdev, cmd->hm_private))
			continue;
		if (!first)
			first = cmd->hm_private;
		old++;
	}
	if (first)
		say(rdev, first, old - 1);
}
