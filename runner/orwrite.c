/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ORWRITE(16) (SBC-4, ORWRITE): what is on the medium or'ed with the data-out buffer, a piece at a
 * time through the bounce buffer. The whole range is locked for it alone (runner/range.c).
 */
#include <assert.h>
#include <string.h>

#include "runner/data.h"
#include "runner/runner.h"

struct orwrite_state {
	uint64_t off;   /* bytes: where the range starts */
	uint64_t total; /* bytes */
	uint64_t done;
	struct data_pos data;
	struct iovec chunk;
	uint32_t chunk_len;
};
static_assert(sizeof(struct orwrite_state) <= sizeof(((struct runner_cmd *)0)->state),
	      "orwrite_state does not fit");

static struct orwrite_state *state_of(struct runner_cmd *rc)
{
	return (struct orwrite_state *)rc->state;
}

static void end(struct runner_cmd *rc, int sts)
{
	runner_bounce_put(rc);
	runner_finish(rc, sts);
}

/* The handler may have changed it. */
static void prepare_chunk(struct runner_cmd *rc)
{
	struct orwrite_state *st = state_of(rc);

	st->chunk.iov_base = runner_bounce(rc);
	st->chunk.iov_len = st->chunk_len;
}

static void or_data(struct runner_cmd *rc)
{
	struct orwrite_state *st = state_of(rc);
	uint8_t *medium = runner_bounce(rc);

	for (size_t left = st->chunk_len, n; left; left -= n) {
		const uint8_t *data;

		n = left;
		data = data_next(&st->data, &n);
		for (size_t i = 0; i < n; i++)
			medium[i] |= data[i];
		medium += n;
	}
}

static void chunk_read(struct runner_cmd *rc, int sts);

static void read_chunk(struct runner_cmd *rc)
{
	struct orwrite_state *st = state_of(rc);
	uint64_t left = st->total - st->done;

	st->chunk_len = left < RUNNER_BOUNCE_SIZE ? (uint32_t)left : RUNNER_BOUNCE_SIZE;
	prepare_chunk(rc);
	runner_op_read(rc, &st->chunk, 1, st->chunk_len, st->off + st->done, chunk_read);
}

static void chunk_written(struct runner_cmd *rc, int sts)
{
	struct orwrite_state *st = state_of(rc);

	st->done += st->chunk_len;
	if (sts != TCMU_STS_OK || st->done == st->total)
		end(rc, sts);
	else if (runner_hurry(rc))
		end(rc, TCMU_STS_BUSY); /* or'ing the same again does no harm */
	else
		read_chunk(rc);
}

static void chunk_read(struct runner_cmd *rc, int sts)
{
	struct orwrite_state *st = state_of(rc);

	if (sts != TCMU_STS_OK) {
		end(rc, sts);
		return;
	}
	or_data(rc);
	prepare_chunk(rc);
	runner_op_write(rc, &st->chunk, 1, st->chunk_len, st->off + st->done, chunk_written);
}

static void got_bounce(struct runner_cmd *rc, int sts)
{
	if (sts != TCMU_STS_OK)
		runner_finish(rc, sts);
	else
		read_chunk(rc);
}

void runner_exec_orwrite(struct runner_cmd *rc)
{
	struct orwrite_state *st = state_of(rc);
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
	runner_bounce_get(rc, got_bounce);
}
