/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UNMAP (SBC-4 5.35): the descriptors of the parameter list, one after the other, each with its range
 * locked; those that begin where the one before ends are one.
 */
#include <assert.h>
#include <string.h>

#include "runner/data.h"
#include "runner/runner.h"
#include "scsi/param.h"

#define UNMAP_ANCHOR 0x01
#define HEADER_SIZE  8
#define DESC_SIZE    16

struct unmap_state {
	struct data_pos next; /* the next descriptor in the data-out buffer */
	size_t left;          /* descriptors */
	uint64_t lba;         /* of the one that is being unmapped */
	uint32_t blocks;
};
static_assert(sizeof(struct unmap_state) <= sizeof(((struct runner_cmd *)0)->state),
	      "unmap_state does not fit");

static struct unmap_state *state_of(struct runner_cmd *rc)
{
	return (struct unmap_state *)rc->state;
}

/* The list may be scattered over several iovecs. */
static void take(struct data_pos *from, uint8_t *to, size_t len)
{
	for (size_t n; len; len -= n, to += n) {
		const uint8_t *at;

		n = len;
		at = data_next(from, &n);
		memcpy(to, at, n);
	}
}

static void range_unmapped(struct runner_cmd *rc, int sts);

static void unmap_range(struct runner_cmd *rc)
{
	struct unmap_state *st = state_of(rc);
	struct tcmu_device *dev = runner_tcmu(rc);

	runner_op_unmap(rc, tcmu_lba_to_byte(dev, st->lba), tcmu_lba_to_byte(dev, st->blocks),
			range_unmapped);
}

/* The next descriptor that has blocks. False: there is none. */
static bool next_descriptor(struct unmap_state *st, uint64_t *lba, uint32_t *blocks)
{
	uint8_t desc[DESC_SIZE];

	while (st->left) {
		struct scsi_unmap_list list = { .desc = desc, .count = 1 };

		take(&st->next, desc, sizeof(desc));
		st->left--;
		if (scsi_unmap_next(&list, lba, blocks))
			return true;
	}
	return false;
}

/* Initiators that describe each block alone would cost the storage an operation for each. */
static void join_next(struct unmap_state *st)
{
	struct unmap_state ahead = *st;
	uint64_t lba;
	uint32_t blocks;

	while (next_descriptor(&ahead, &lba, &blocks) && lba == st->lba + st->blocks &&
	       blocks <= UINT32_MAX - st->blocks) {
		st->blocks += blocks;
		st->next = ahead.next;
		st->left = ahead.left;
	}
}

static void next_range(struct runner_cmd *rc)
{
	struct unmap_state *st = state_of(rc);

	if (next_descriptor(st, &st->lba, &st->blocks)) {
		join_next(st);
		runner_range_lock(rc, st->lba, st->blocks, RUNNER_RANGE_WRITE, unmap_range);
	} else if (!tcmu_dev_get_write_cache_enabled(runner_tcmu(rc))) {
		runner_op_flush(rc, runner_finish); /* nothing that was answered may come undone */
	} else {
		runner_finish(rc, TCMU_STS_OK);
	}
}

/* SBC-4 4.7.3.4: unmapping is a request, a unit that leaves a block mapped has obeyed it. */
static void range_unmapped(struct runner_cmd *rc, int sts)
{
	runner_range_unlock(rc);
	if (sts == TCMU_STS_OK || sts == TCMU_STS_NOT_HANDLED)
		next_range(rc);
	else
		runner_finish(rc, sts);
}

/* The whole list is checked before anything is unmapped. */
static void run_list(struct runner_cmd *rc)
{
	struct unmap_state *st = state_of(rc);
	struct data_pos start = { .iov = rc->pub.lib_cmd->iovec };
	uint64_t len = rc->blocks; /* PARAMETER LIST LENGTH */
	uint8_t copy[SCSI_UNMAP_LIST_MAX];
	struct scsi_unmap_list list;
	struct scsi_sense sense = { 0 };
	struct scsi_lu lu;

	/* Of a longer one no more is looked at. */
	st->next = start;
	take(&start, copy, len < sizeof(copy) ? len : sizeof(copy));
	runner_lu(rc->rdev, &lu, 0);
	if (scsi_unmap_parse(&lu, copy, len, &list, &sense)) {
		runner_finish_sense(rc, &sense);
		return;
	}
	st->left = list.count;
	if (st->left)
		take(&st->next, copy, HEADER_SIZE);
	next_range(rc);
}

void runner_exec_unmap(struct runner_cmd *rc)
{
	struct tcmulib_cmd *cmd = rc->pub.lib_cmd;

	memset(state_of(rc), 0, sizeof(struct unmap_state));
	/* SBC-4 6.6.6: LBPU is 0 then. */
	if (!tcmu_dev_get_unmap_enabled(runner_tcmu(rc))) {
		runner_finish(rc, TCMU_STS_INVALID_CMD);
		return;
	}
	/* SBC-4 5.35, ANCHOR: anchored blocks are not supported (ANC_SUP is 0). */
	if (cmd->cdb[1] & UNMAP_ANCHOR) {
		runner_finish_cdb_field(rc, 1, 0);
		return;
	}
	if (rc->blocks > rc->data_len)
		runner_finish(rc, TCMU_STS_INVALID_PARAM_LIST_LEN);
	else
		run_list(rc);
}
