/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VERIFY: reads the medium through the device's bounce buffer, a piece at a time, and compares it
 * with the data-out buffer as BYTCHK says (SBC-4 5.36).
 */
#include <assert.h>
#include <string.h>

#include "runner/data.h"
#include "runner/runner.h"

enum bytchk {
	BYTCHK_MEDIUM = 0, /* readable is enough */
	BYTCHK_ALL = 1,    /* data-out has every block */
	BYTCHK_ONE = 3,    /* data-out has one block, all on the medium are equal to it */
};

struct verify_state {
	uint64_t done;        /* bytes verified */
	uint64_t total;       /* bytes to verify */
	struct data_pos data; /* BYTCHK_ALL: what comes next in the data-out buffer */
	struct iovec chunk;   /* the piece of the bounce buffer that is being read */
	uint32_t chunk_len;
	uint32_t block_size;
	uint8_t bytchk;
};
static_assert(sizeof(struct verify_state) <= sizeof(((struct runner_cmd *)0)->state),
	      "verify_state does not fit");

static struct verify_state *state_of(struct runner_cmd *rc)
{
	return (struct verify_state *)rc->state;
}

static void end(struct runner_cmd *rc, int sts)
{
	runner_bounce_put(rc);
	runner_finish(rc, sts);
}

/* Not with tcmu_iovec_seek(): with BUSY all of the buffer is zeroed. */
static int64_t compare_data(struct verify_state *st, const uint8_t *medium)
{
	for (size_t done = 0, n; done < st->chunk_len; done += n) {
		const uint8_t *data;
		size_t i = 0;

		n = st->chunk_len - done;
		data = data_next(&st->data, &n);
		if (!memcmp(medium + done, data, n))
			continue;
		while (medium[done + i] == data[i])
			i++;
		return (int64_t)(done + i);
	}
	return -1;
}

/* Offset of the first byte of the chunk that differs, -1 if there is none. */
static int64_t compare_chunk(struct runner_cmd *rc)
{
	struct verify_state *st = state_of(rc);
	uint8_t *medium = runner_bounce(rc);
	int64_t diff;

	switch (st->bytchk) {
	case BYTCHK_ALL:
		return compare_data(st, medium);
	case BYTCHK_ONE:
		for (uint32_t off = 0; off < st->chunk_len; off += st->block_size) {
			diff = tcmu_iovec_compare(medium + off, rc->pub.lib_cmd->iovec,
						  st->block_size);
			if (diff >= 0)
				return off + diff;
		}
		return -1;
	default:
		return -1;
	}
}

static void chunk_read(struct runner_cmd *rc, int sts);

static void read_chunk(struct runner_cmd *rc)
{
	struct verify_state *st = state_of(rc);
	uint64_t left = st->total - st->done;
	uint32_t most = RUNNER_BOUNCE_SIZE - RUNNER_BOUNCE_SIZE % st->block_size;

	st->chunk_len = left < most ? (uint32_t)left : most;
	st->chunk.iov_base = runner_bounce(rc);
	st->chunk.iov_len = st->chunk_len;
	runner_op_read(rc, &st->chunk, 1, st->chunk_len,
		       tcmu_lba_to_byte(runner_tcmu(rc), rc->lba) + st->done, chunk_read);
}

static void chunk_read(struct runner_cmd *rc, int sts)
{
	struct verify_state *st = state_of(rc);
	int64_t diff;

	if (sts != TCMU_STS_OK) {
		end(rc, sts);
		return;
	}
	diff = compare_chunk(rc);
	if (diff >= 0) {
		runner_bounce_put(rc);
		runner_finish_miscompare(rc, st->done + (uint64_t)diff);
		return;
	}

	st->done += st->chunk_len;
	if (st->done == st->total)
		end(rc, TCMU_STS_OK);
	else if (runner_hurry(rc))
		end(rc, TCMU_STS_BUSY);
	else
		read_chunk(rc);
}

static void start(struct runner_cmd *rc, int sts)
{
	if (sts != TCMU_STS_OK)
		runner_finish(rc, sts);
	else
		read_chunk(rc);
}

/* The least data-out that BYTCHK needs, in blocks. */
static uint64_t blocks_needed(uint8_t bytchk, uint64_t blocks)
{
	switch (bytchk) {
	case BYTCHK_ALL:
		return blocks;
	case BYTCHK_ONE:
		return 1;
	default:
		return 0;
	}
}

void runner_verify(struct runner_cmd *rc, uint8_t bytchk)
{
	struct verify_state *st = state_of(rc);
	struct tcmu_device *dev = runner_tcmu(rc);

	memset(st, 0, sizeof(*st));
	st->block_size = tcmu_dev_get_block_size(dev);
	st->bytchk = bytchk;
	st->data.iov = rc->pub.lib_cmd->iovec;
	st->total = tcmu_lba_to_byte(dev, rc->blocks);
	runner_bounce_get(rc, start);
}

void runner_exec_verify(struct runner_cmd *rc)
{
	struct tcmu_device *dev = runner_tcmu(rc);
	uint32_t block_size = tcmu_dev_get_block_size(dev);
	uint32_t max_blocks = tcmu_dev_get_max_xfer_len(dev);
	uint8_t bytchk = rc->pub.lib_cmd->cdb[1] >> 1 & 3;

	/* SBC-4 table 127: BYTCHK 10b is reserved. */
	if (bytchk == 2) {
		runner_finish_cdb_field(rc, 1, 2);
		return;
	}
	/* SBC-4 5.36, VERIFICATION LENGTH: zero is not an error. */
	if (!rc->blocks) {
		runner_finish(rc, TCMU_STS_OK);
		return;
	}
	/* SBC-4 6.6.3: MAXIMUM TRANSFER LENGTH is about data that are sent. */
	if (bytchk == BYTCHK_ALL && max_blocks && rc->blocks > max_blocks) {
		runner_finish_cdb_field(rc, rc->op->xfer.at, -1);
		return;
	}
	/* Nothing to compare with is not "equal". */
	if (rc->data_len / block_size < blocks_needed(bytchk, rc->blocks)) {
		runner_finish_cdb_field(rc, rc->op->xfer.at, -1);
		return;
	}
	runner_verify(rc, bytchk);
}
