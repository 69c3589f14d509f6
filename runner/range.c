/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who writes where on a device. COMPARE AND WRITE, ORWRITE and their kin read a range and write it
 * as one uninterrupted series of actions (SBC-4, COMPARE AND WRITE, ORWRITE(16)): they have their range alone, whatever
 * else writes waits for them, and they for what writes there already.
 *
 * The commands are in one list, in the order in which they came. One waits for the first
 * of those before it that it cannot run beside, whether that runs or waits itself: so nobody is
 * overtaken in his range, nobody starves, and since all wait for older ones only, nobody waits in a
 * circle. (A command that also needs the bounce buffer takes it after its range, never before.)
 * Without exclusive commands nobody can be in the way of anybody, and the list is only added to.
 *
 * Reads are mostly not in it. What an exclusive command leaves behind it writes in one go when it has
 * made up its mind, so a read finds what it would find beside a plain write: each block as it was
 * before or after. No standard promises more for a read of several blocks that are being written, but
 * for those that WRITE ATOMIC writes (SBC-4, WRITE ATOMIC(16)): nobody sees a part of them. Where there
 * is that command, reads are in the list, in the way of it alone, and it in theirs.
 */
#include "runner/device.h"
#include "runner/runner.h"

static struct runner_cmd *cmd_of(struct list *node)
{
	return container_of(node, struct runner_cmd, range.node);
}

/* Whom a command of each kind runs beside. */
static const bool compatible[RUNNER_RANGE_KINDS][RUNNER_RANGE_KINDS] = {
	[RUNNER_RANGE_READ][RUNNER_RANGE_READ] = true,
	[RUNNER_RANGE_READ][RUNNER_RANGE_WRITE] = true,
	[RUNNER_RANGE_READ][RUNNER_RANGE_ALONE] = true,
	[RUNNER_RANGE_WRITE][RUNNER_RANGE_READ] = true,
	[RUNNER_RANGE_WRITE][RUNNER_RANGE_WRITE] = true,
	[RUNNER_RANGE_ALONE][RUNNER_RANGE_READ] = true,
};

static bool in_the_way(const struct runner_cmd *a, const struct runner_cmd *b)
{
	return !compatible[a->range.kind][b->range.kind] && a->range.first < b->range.end &&
	       b->range.first < a->range.end;
}

static bool is_exclusive(const struct runner_cmd *rc)
{
	return rc->range.kind == RUNNER_RANGE_ALONE || rc->range.kind == RUNNER_RANGE_ATOMIC;
}

/* The first from here on, but before rc, that it has to wait for. */
static struct runner_cmd *blocker(struct runner_cmd *rc, struct list *from)
{
	for (struct list *node = from; node != &rc->range.node; node = node->next) {
		if (in_the_way(cmd_of(node), rc))
			return cmd_of(node);
	}
	return NULL;
}

void runner_range_lock(struct runner_cmd *rc, uint64_t lba, uint64_t blocks,
		       enum runner_range_kind kind, void (*granted)(struct runner_cmd *rc))
{
	struct runner_dev *rdev = rc->rdev;

	if (!blocks || rc->abort.asked) {
		granted(rc);
		return;
	}
	rc->range.first = lba;
	rc->range.end = lba + blocks;
	rc->range.kind = kind;
	rc->range.blocker = NULL;
	rc->range.listed = true;
	list_add_tail(&rdev->ranges, &rc->range.node);
	rdev->ranges_exclusive += is_exclusive(rc);
	if (__builtin_expect(rdev->ranges_exclusive, 0)) {
		rc->range.blocker = blocker(rc, rdev->ranges.next);
		if (rc->range.blocker) {
			rc->range.granted = granted;
			rdev->ranges_waiting++;
			return;
		}
	}
	granted(rc);
}

static void granted_later(struct runner_cmd *rc, int sts)
{
	(void)sts;
	rc->range.granted(rc);
}

/* It stays in its place of the list for the moment, where others wait for it. */
bool runner_range_abandon(struct runner_cmd *rc)
{
	if (!rc->range.listed || !rc->range.blocker)
		return false;
	rc->range.blocker = NULL;
	rc->rdev->ranges_waiting--;
	runner_op_none(rc, granted_later);
	return true;
}

/* gone was in front of next. Nobody who waited for it is kept by anything before that. */
static void wake_waiting(struct runner_dev *rdev, const struct runner_cmd *gone, struct list *next)
{
	for (struct list *node = next; node != &rdev->ranges; node = node->next) {
		struct runner_cmd *rc = cmd_of(node);

		if (rc->range.blocker != gone)
			continue;
		rc->range.blocker = blocker(rc, next);
		if (rc->range.blocker)
			continue;
		rdev->ranges_waiting--;
		runner_op_none(rc, granted_later);
	}
}

void runner_range_unlock(struct runner_cmd *rc)
{
	struct runner_dev *rdev = rc->rdev;
	struct list *next = rc->range.node.next;

	if (!rc->range.listed)
		return;
	rc->range.listed = false;
	list_del(&rc->range.node);
	rdev->ranges_exclusive -= is_exclusive(rc);
	if (__builtin_expect(rdev->ranges_waiting, 0))
		wake_waiting(rdev, rc, next);
}
