/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COMPARE AND WRITE (SBC-4 5.3): the handler's own way, else read, compare and write. The range is
 * locked for it alone (runner/range.c).
 *
 * Executed twice it would find what it has written itself, and call that a miscompare. So it leaves a
 * mark in the ring before it writes; after the death of the process the next one goes on from there, before
 * anybody else comes to the range (drain_replay() in runner/cmdproc.c).
 */
#include <assert.h>
#include <string.h>
#include <glib.h>

#include "runner/device.h"
#include "runner/runner.h"

#define CAW_MAX 255 /* NUMBER OF LOGICAL BLOCKS has one byte */

/* tcmulib_cmd.mark */
enum {
	CAW_EQUAL = 1, /* compared; the second half is being written */
	CAW_GIVEN,     /* given to the handler, which does both at once, or neither */
};

struct caw_state {
	uint64_t off, len; /* bytes: the range */
	struct iovec chunk;
};
static_assert(sizeof(struct caw_state) <= sizeof(((struct runner_cmd *)0)->state),
	      "caw_state does not fit");

static struct caw_state *state_of(struct runner_cmd *rc)
{
	return (struct caw_state *)rc->state;
}

uint32_t runner_caw_max(struct runner_dev *rdev)
{
	const struct tcmur_handler *h = rdev->handler;
	uint32_t max_xfer_len = tcmu_dev_get_max_xfer_len(rdev->dev);
	uint32_t max = RUNNER_BOUNCE_SIZE / tcmu_dev_get_block_size(rdev->dev);

	if (!h->read || !h->write)
		return 0;
	if (max > CAW_MAX)
		max = CAW_MAX;
	return max_xfer_len && max > max_xfer_len ? max_xfer_len : max;
}

/* The first half of the data is equal to what was read: the second half is written, from where it is. */
static void write_second_half(struct runner_cmd *rc)
{
	struct caw_state *st = state_of(rc);
	struct tcmulib_cmd *cmd = rc->pub.lib_cmd;
	size_t used = tcmu_iovec_seek(cmd->iovec, st->len);

	tcmulib_command_set_mark(runner_tcmu(rc), cmd, CAW_EQUAL);
	runner_op_write(rc, cmd->iovec + used, cmd->iov_cnt - used, st->len, st->off,
			runner_finish);
}

static void range_read(struct runner_cmd *rc, int sts)
{
	struct caw_state *st = state_of(rc);
	int64_t diff = -1;

	if (sts == TCMU_STS_OK)
		diff = tcmu_iovec_compare(runner_bounce(rc), rc->pub.lib_cmd->iovec, st->len);
	runner_bounce_put(rc);

	if (sts != TCMU_STS_OK)
		runner_finish(rc, sts);
	else if (diff >= 0)
		runner_finish_miscompare(rc, (uint64_t)diff);
	else
		write_second_half(rc);
}

static void read_range(struct runner_cmd *rc, int sts, void (*step)(struct runner_cmd *rc, int sts))
{
	struct caw_state *st = state_of(rc);

	if (sts != TCMU_STS_OK) {
		runner_finish(rc, sts);
		return;
	}
	st->chunk.iov_base = runner_bounce(rc);
	st->chunk.iov_len = st->len;
	runner_op_read(rc, &st->chunk, 1, st->len, st->off, step);
}

static void got_bounce(struct runner_cmd *rc, int sts)
{
	read_range(rc, sts, range_read);
}

/* ---- the handler's own way ---- */

static void tried_handler(struct runner_cmd *rc, int sts)
{
	struct caw_state *st = state_of(rc);

	/* It has done nothing: what may lie there already is not ours. */
	if (sts == TCMU_STS_NOT_HANDLED && rc->rdev->handler->caw)
		tcmulib_command_set_mark(runner_tcmu(rc), rc->pub.lib_cmd, 0);
	if (sts == TCMU_STS_NOT_HANDLED)
		runner_bounce_get(rc, got_bounce);
	else if (sts == TCMU_STS_MISCOMPARE && rc->error_off_valid && rc->error_off >= st->off &&
		 rc->error_off - st->off < st->len)
		runner_finish_miscompare(rc, rc->error_off - st->off);
	else
		runner_finish(rc, sts);
}

static void give_to_handler(struct runner_cmd *rc)
{
	struct caw_state *st = state_of(rc);
	struct tcmulib_cmd *cmd = rc->pub.lib_cmd;

	if (rc->rdev->handler->caw)
		tcmulib_command_set_mark(runner_tcmu(rc), cmd, CAW_GIVEN);
	runner_op_caw(rc, st->off, st->len, cmd->iovec, cmd->iov_cnt, tried_handler);
}

/* ---- after a death ---- */

/* Is there what the second half says? The iovecs are still to be used. */
static bool is_written(struct runner_cmd *rc)
{
	struct tcmulib_cmd *cmd = rc->pub.lib_cmd;
	g_autofree struct iovec *iov = g_memdup2(cmd->iovec, cmd->iov_cnt * sizeof(*iov));
	size_t used = tcmu_iovec_seek(iov, state_of(rc)->len);

	return tcmu_iovec_compare(runner_bounce(rc), iov + used, state_of(rc)->len) < 0;
}

static void range_read_again(struct runner_cmd *rc, int sts)
{
	bool written = sts == TCMU_STS_OK && is_written(rc);

	runner_bounce_put(rc);
	if (sts != TCMU_STS_OK)
		runner_finish(rc, sts);
	else if (!written)
		give_to_handler(rc);
	else if (rc->fua)
		runner_op_flush(rc, runner_finish);
	else
		runner_finish(rc, TCMU_STS_OK);
}

static void got_bounce_again(struct runner_cmd *rc, int sts)
{
	read_range(rc, sts, range_read_again);
}

void runner_exec_compare_and_write(struct runner_cmd *rc)
{
	struct caw_state *st = state_of(rc);
	struct tcmu_device *dev = runner_tcmu(rc);
	struct tcmulib_cmd *cmd = rc->pub.lib_cmd;

	/* SBC-4 5.3, NUMBER OF LOGICAL BLOCKS: zero is not an error. With data it is: 256 does not fit
	 * into the field, and who sent as many must not believe that they were compared. */
	if (!rc->blocks && !rc->data_len) {
		runner_finish(rc, TCMU_STS_OK);
		return;
	}
	st->off = tcmu_lba_to_byte(dev, rc->lba);
	st->len = tcmu_lba_to_byte(dev, rc->blocks);
	/* SBC-4 6.6 (Block Limits page), MAXIMUM COMPARE AND WRITE LENGTH. The data-out buffer has
	 * the blocks to compare and the blocks to write, neither less nor more: where the second
	 * half begins would be a guess. */
	if (rc->blocks > runner_caw_max(rc->rdev) || rc->data_len != 2 * st->len) {
		runner_finish_cdb_field(rc, rc->op->xfer.at, -1);
		return;
	}
	if (cmd->mark == CAW_EQUAL)
		write_second_half(rc);
	else if (cmd->mark == CAW_GIVEN)
		runner_bounce_get(rc, got_bounce_again);
	else
		give_to_handler(rc);
}
