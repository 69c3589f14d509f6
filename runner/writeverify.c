/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WRITE AND VERIFY (SBC-4, WRITE AND VERIFY): writes, has it written to the medium, and verifies that
 * like VERIFY does. The range is locked for it alone (runner/range.c): what it finds is its own.
 *
 * The data go through the bounce buffer: a handler may change the iovecs that it writes from, and they
 * are needed again.
 */
#include <assert.h>
#include <string.h>

#include "runner/data.h"
#include "runner/runner.h"

#define BYTCHK 0x02 /* compare; else readable is enough */

struct write_verify_state {
	uint64_t off;   /* bytes: where the range starts */
	uint64_t total; /* bytes */
	uint64_t done;
	struct data_pos data;
	struct iovec chunk;
	uint32_t chunk_len;
};
static_assert(sizeof(struct write_verify_state) <= sizeof(((struct runner_cmd *)0)->state),
	      "write_verify_state does not fit");

static struct write_verify_state *state_of(struct runner_cmd *rc)
{
	return (struct write_verify_state *)rc->state;
}

static void on_medium(struct runner_cmd *rc, int sts)
{
	if (sts != TCMU_STS_OK) {
		runner_finish(rc, sts);
		return;
	}
	rc->fua = true; /* it is flushed */
	runner_verify(rc, rc->pub.lib_cmd->cdb[1] & BYTCHK ? 1 : 0);
}

static void chunk_written(struct runner_cmd *rc, int sts);

static void write_chunk(struct runner_cmd *rc)
{
	struct write_verify_state *st = state_of(rc);
	uint64_t left = st->total - st->done;
	uint8_t *to = runner_bounce(rc);

	st->chunk_len = left < RUNNER_BOUNCE_SIZE ? (uint32_t)left : RUNNER_BOUNCE_SIZE;
	st->chunk.iov_base = to;
	st->chunk.iov_len = st->chunk_len;
	for (size_t rest = st->chunk_len, n; rest; rest -= n) {
		const uint8_t *data;

		n = rest;
		data = data_next(&st->data, &n);
		memcpy(to, data, n);
		to += n;
	}
	runner_op_write(rc, &st->chunk, 1, st->chunk_len, st->off + st->done, chunk_written);
}

static void chunk_written(struct runner_cmd *rc, int sts)
{
	struct write_verify_state *st = state_of(rc);

	st->done += st->chunk_len;
	if (sts == TCMU_STS_OK && st->done < st->total) {
		if (!runner_hurry(rc)) {
			write_chunk(rc);
			return;
		}
		sts = TCMU_STS_BUSY; /* writing the same again does no harm */
	}
	runner_bounce_put(rc);
	if (sts == TCMU_STS_OK)
		runner_op_flush(rc, on_medium);
	else
		runner_finish(rc, sts);
}

static void got_bounce(struct runner_cmd *rc, int sts)
{
	if (sts != TCMU_STS_OK)
		runner_finish(rc, sts);
	else
		write_chunk(rc);
}

void runner_exec_write_and_verify(struct runner_cmd *rc)
{
	struct write_verify_state *st = state_of(rc);
	struct tcmu_device *dev = runner_tcmu(rc);

	if (!runner_check_data_out(rc))
		return;
	if (!rc->blocks) {
		runner_finish(rc, TCMU_STS_OK);
		return;
	}
	memset(st, 0, sizeof(*st));
	st->off = tcmu_lba_to_byte(dev, rc->lba);
	st->total = tcmu_lba_to_byte(dev, rc->blocks);
	st->data.iov = rc->pub.lib_cmd->iovec;
	rc->fua = false; /* one flush when all is written */
	runner_bounce_get(rc, got_bounce);
}
