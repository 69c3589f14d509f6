/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WRITE SAME (SBC-4 5.50, 5.51): unmap if that is asked for and gives the same, else the handler's
 * own way, else writes of the pattern from the device's bounce buffer.
 */
#include <assert.h>
#include <string.h>

#include "runner/runner.h"
#include "scsi/inquiry.h"

#define WS_ANCHOR 0x10
#define WS_UNMAP  0x08
#define WS_NDOB   0x01 /* WRITE SAME(16) only; reserved in WRITE SAME(10) */

#define ZERO_BLOCK_SIZE 4096

/* A handler gets its own iovecs, since it may change them and still decline. */
#define PATTERN_IOVS 2

struct writesame_state {
	uint64_t off;   /* bytes: where the range starts */
	uint64_t total; /* bytes to write */
	uint64_t done;
	struct iovec pattern[PATTERN_IOVS];
	struct iovec chunk;
	uint32_t block_size;
	uint32_t chunk_max; /* bytes of the bounce buffer that hold the pattern */
};
static_assert(sizeof(struct writesame_state) <= sizeof(((struct runner_cmd *)0)->state),
	      "writesame_state does not fit");

static uint8_t zero_block[ZERO_BLOCK_SIZE]; /* never written */

static struct writesame_state *state_of(struct runner_cmd *rc)
{
	return (struct writesame_state *)rc->state;
}

static bool no_data_out(const struct runner_cmd *rc)
{
	const uint8_t *cdb = rc->pub.lib_cmd->cdb;

	return rc->op->cdb_len == 16 && cdb[1] & WS_NDOB;
}

/* ---- writes ---- */

static void chunk_written(struct runner_cmd *rc, int sts);

static void write_chunk(struct runner_cmd *rc)
{
	struct writesame_state *st = state_of(rc);
	uint64_t left = st->total - st->done;

	st->chunk.iov_base = runner_bounce(rc);
	st->chunk.iov_len = left < st->chunk_max ? (size_t)left : st->chunk_max;
	runner_op_write(rc, &st->chunk, 1, st->chunk.iov_len, st->off + st->done, chunk_written);
}

static void chunk_written(struct runner_cmd *rc, int sts)
{
	struct writesame_state *st = state_of(rc);
	uint64_t left = st->total - st->done;

	st->done += left < st->chunk_max ? left : st->chunk_max;
	if (sts == TCMU_STS_OK && st->done < st->total) {
		if (!runner_hurry(rc)) {
			write_chunk(rc);
			return;
		}
		sts = TCMU_STS_BUSY; /* writing the same again does no harm */
	}
	runner_bounce_put(rc);
	runner_finish(rc, sts);
}

/* The pattern again and again, as far as the bounce buffer or the range goes. */
static void fill_bounce(struct runner_cmd *rc)
{
	struct writesame_state *st = state_of(rc);
	struct tcmulib_cmd *cmd = rc->pub.lib_cmd;
	uint8_t *bounce = runner_bounce(rc);
	size_t filled = st->block_size;

	st->chunk_max = RUNNER_BOUNCE_SIZE - RUNNER_BOUNCE_SIZE % st->block_size;
	if (st->total < st->chunk_max)
		st->chunk_max = (uint32_t)st->total;

	if (no_data_out(rc))
		memset(bounce, 0, st->block_size);
	else
		tcmu_memcpy_from_iovec(bounce, st->block_size, cmd->iovec, cmd->iov_cnt);
	while (filled < st->chunk_max) {
		size_t n = st->chunk_max - filled < filled ? st->chunk_max - filled : filled;

		memcpy(bounce + filled, bounce, n);
		filled += n;
	}
}

static void got_bounce(struct runner_cmd *rc, int sts)
{
	if (sts != TCMU_STS_OK) {
		runner_finish(rc, sts);
		return;
	}
	fill_bounce(rc);
	write_chunk(rc);
}

/* ---- the handler's own ways ---- */

/* With the write cache off a completed write is on stable storage (SBC-4 4.15.1); runner_op_write()
 * takes care of that for itself. */
static void finish_stable(struct runner_cmd *rc, int sts)
{
	if (sts == TCMU_STS_OK && !tcmu_dev_get_write_cache_enabled(runner_tcmu(rc)))
		runner_op_flush(rc, runner_finish);
	else
		runner_finish(rc, sts);
}

static void tried_writesame(struct runner_cmd *rc, int sts)
{
	if (sts == TCMU_STS_NOT_HANDLED)
		runner_bounce_get(rc, got_bounce);
	else
		finish_stable(rc, sts);
}

static void try_writesame(struct runner_cmd *rc)
{
	struct writesame_state *st = state_of(rc);
	struct tcmulib_cmd *cmd = rc->pub.lib_cmd;
	size_t cnt = cmd->iov_cnt;

	if (no_data_out(rc)) {
		cnt = 1;
		st->pattern[0].iov_base = zero_block;
		st->pattern[0].iov_len = st->block_size;
		if (st->block_size > ZERO_BLOCK_SIZE)
			cnt = 0;
	} else if (cnt <= PATTERN_IOVS) {
		memcpy(st->pattern, cmd->iovec, cnt * sizeof(*st->pattern));
	} else {
		cnt = 0;
	}

	if (cnt)
		runner_op_writesame(rc, st->off, st->total, st->pattern, cnt, tried_writesame);
	else
		tried_writesame(rc, TCMU_STS_NOT_HANDLED);
}

static void tried_unmap(struct runner_cmd *rc, int sts)
{
	if (sts == TCMU_STS_NOT_HANDLED)
		try_writesame(rc);
	else
		finish_stable(rc, sts);
}

/* SBC-4 5.50, UNMAP bit: unmapping is permitted where a read then returns what would have been
 * written; everything else is written. */
static bool may_unmap(struct runner_cmd *rc)
{
	struct tcmulib_cmd *cmd = rc->pub.lib_cmd;
	struct tcmu_device *dev = runner_tcmu(rc);

	return cmd->cdb[1] & WS_UNMAP && tcmu_dev_get_unmap_enabled(dev) &&
	       tcmu_dev_get_unmap_zeroes(dev) &&
	       (no_data_out(rc) || tcmu_iovec_zeroed(cmd->iovec, cmd->iov_cnt));
}

void runner_exec_write_same(struct runner_cmd *rc)
{
	struct writesame_state *st = state_of(rc);
	struct tcmu_device *dev = runner_tcmu(rc);
	const uint8_t *cdb = rc->pub.lib_cmd->cdb;

	memset(st, 0, sizeof(*st));
	st->block_size = tcmu_dev_get_block_size(dev);

	/* SBC-4 5.50, ANCHOR bit: anchored blocks are not supported (ANC_SUP is 0). */
	if (cdb[1] & WS_ANCHOR) {
		runner_finish_cdb_field(rc, 1, 4);
		return;
	}
	/* SBC-4 6.6.6: LBPWS and LBPWS10 are 0 then. */
	if (cdb[1] & WS_UNMAP && !tcmu_dev_get_unmap_enabled(dev)) {
		runner_finish_cdb_field(rc, 1, 3);
		return;
	}
	/* SBC-4 6.6.3, MAXIMUM WRITE SAME LENGTH and WSNZ. The data-out buffer is one block; with NDOB it
	 * is not looked at. */
	if (rc->blocks > SCSI_MAX_WRITE_SAME ||
	    (!rc->blocks && scsi_wsnz(tcmu_dev_get_num_lbas(dev))) ||
	    (!no_data_out(rc) && rc->data_len != st->block_size)) {
		runner_finish_cdb_field(rc, rc->op->xfer.at, -1);
		return;
	}
	if (!rc->blocks) { /* at the very end */
		runner_finish(rc, TCMU_STS_OK);
		return;
	}

	st->off = tcmu_lba_to_byte(dev, rc->lba);
	st->total = tcmu_lba_to_byte(dev, rc->blocks);
	if (may_unmap(rc))
		runner_op_unmap(rc, st->off, st->total, tried_unmap);
	else
		try_writesame(rc);
}
