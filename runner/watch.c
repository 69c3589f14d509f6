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

/* Those that have a medium's size to go through. */
static bool may_take_long(const struct runner_cmd *rc)
{
	uint8_t opcode = rc->pub.lib_cmd->cdb[0];

	return opcode == FORMAT_UNIT || opcode == SANITIZE || opcode == EXTENDED_COPY;
}

static unsigned int age_sec(const struct runner_cmd *rc)
{
	return rc->looks * RUNNER_IDLE_SEC;
}

static void say(struct runner_dev *rdev, const struct runner_cmd *rc, unsigned int others)
{
	uint8_t *cdb = rc->pub.lib_cmd->cdb;

	tcmu_dev_warn(
		rdev->dev,
		"%s (operation code %02xh), LBA %llu, %u blocks, has taken %u s so far: it %s; so "
		"have %u others",
		rc->op ? rc->op->name : "a command", cdb[0],
		(unsigned long long)tcmu_cdb_get_lba(cdb), tcmu_cdb_get_xfer_length(cdb),
		age_sec(rc), atomic_load(&rc->pending) ? "is with the handler" : "waits", others);
}

/* One more look at this one. Has it just become too old to be passed over in silence? */
static bool look_at(struct runner_dev *rdev, struct runner_cmd *rc)
{
	unsigned int limit = rdev->time_out_sec && !may_take_long(rc) ? rdev->time_out_sec : 0;
	unsigned int before = age_sec(rc);

	if (rc->looks < UINT8_MAX)
		rc->looks++;
	if (limit && age_sec(rc) > limit)
		runner_abort_command(rc);
	return before < TOO_LONG_SEC && age_sec(rc) >= TOO_LONG_SEC;
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
