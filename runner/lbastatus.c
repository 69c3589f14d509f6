/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET LBA STATUS (SBC-4, GET LBA STATUS): the handler's extents, in bytes, become descriptors, in
 * blocks. A block is deallocated if all of its bytes are; what is not known is mapped.
 */
#include <assert.h>
#include <string.h>

#include "runner/device.h"
#include "runner/runner.h"
#include "scsi/reply.h"
#include "util/be.h"

#define HEADER_SIZE 8
#define DESC_SIZE   16
#define DESC_MAX    1024 /* of one answer; an initiator asks again from where it ends */

#define STATUS_MAPPED      0
#define STATUS_DEALLOCATED 1

static_assert(DESC_MAX * sizeof(struct tcmur_extent) + HEADER_SIZE + DESC_MAX * DESC_SIZE <=
		      RUNNER_BOUNCE_SIZE,
	      "the bounce buffer holds the extents and the answer");

/* An answer that is being made. */
struct answer {
	uint8_t *data;
	size_t count, max;  /* descriptors */
	uint64_t lba;       /* behind the last one */
	uint8_t status;     /* of the last one */
	uint64_t last_from; /* its first block */
};

/* The blocks from where the answer ends up to end have this status. False: no room for them. */
static bool add(struct answer *a, uint64_t end, uint8_t status)
{
	while (a->lba < end) {
		uint64_t from = a->lba, n = end - from;
		uint8_t *d;

		if (a->count && a->status == status && end - a->last_from <= UINT32_MAX) {
			from = a->last_from;
			n = end - from;
			a->count--;
		} else if (a->count == a->max) {
			return false;
		} else if (n > UINT32_MAX) {
			n = UINT32_MAX; /* NUMBER OF LOGICAL BLOCKS has four bytes */
		}
		d = a->data + HEADER_SIZE + a->count * DESC_SIZE;
		memset(d, 0, DESC_SIZE);
		put_be64(d, from);
		put_be32(d + 8, (uint32_t)n);
		d[12] = status;
		a->count++;
		a->status = status;
		a->last_from = from;
		a->lba = from + n;
	}
	return true;
}

/* Neighbours of the same kind are one: a block may be deallocated in two pieces. */
static void add_extents(struct answer *a, const struct tcmur_extent *extents, size_t max,
			uint32_t block_size, uint64_t len)
{
	uint64_t first = a->lba, end = 0; /* end: bytes from the first block on */

	for (size_t i = 0; i < max && extents[i].len && end < len;) {
		bool deallocated = extents[i].deallocated;
		uint64_t blocks;

		while (i < max && extents[i].len && extents[i].deallocated == deallocated) {
			end = extents[i].len < len - end ? end + extents[i].len : len;
			i++;
		}
		blocks = end / block_size + (!deallocated && end % block_size);
		if (!add(a, first + blocks, deallocated ? STATUS_DEALLOCATED : STATUS_MAPPED))
			return;
	}
	/* SBC-4: at least one descriptor. */
	if (a->lba == first)
		add(a, end ? first + 1 : first + len / block_size, STATUS_MAPPED);
}

/* Up to the end of the medium, as it was when the command came. */
static uint64_t *blocks_left(struct runner_cmd *rc)
{
	return rc->state;
}

/* How many descriptors the ALLOCATION LENGTH and the initiator's buffer have room for; one is made
 * even if it is cut off. */
static size_t descriptors_wanted(const struct runner_cmd *rc)
{
	uint64_t room = rc->blocks < rc->data_len ? rc->blocks : rc->data_len;
	uint64_t n = room > HEADER_SIZE ? (room - HEADER_SIZE) / DESC_SIZE : 0;

	if (n > DESC_MAX)
		return DESC_MAX;
	return n ? (size_t)n : 1;
}

static struct tcmur_extent *extents_of(struct runner_cmd *rc)
{
	return runner_bounce(rc);
}

static void finish(struct runner_cmd *rc, int sts)
{
	struct tcmur_extent *extents = extents_of(rc);
	struct answer a = {
		.data = (uint8_t *)(extents + DESC_MAX),
		.max = descriptors_wanted(rc),
		.lba = rc->lba,
	};
	uint32_t block_size = tcmu_dev_get_block_size(runner_tcmu(rc));
	uint64_t left = *blocks_left(rc);
	size_t len;

	runner_bounce_put(rc); /* who waits for it gets it later */
	if (sts != TCMU_STS_OK && sts != TCMU_STS_NOT_HANDLED) {
		runner_finish(rc, sts);
		return;
	}
	if (sts == TCMU_STS_NOT_HANDLED)
		add(&a, rc->lba + left, STATUS_MAPPED);
	else
		add_extents(&a, extents, a.max, block_size, left * block_size);

	/* SBC-4, GET LBA STATUS parameter data: PARAMETER DATA LENGTH counts from byte 4 on. RTP and
	 * COMPLETION CONDITION 0: nothing is said about why it ends where it does. */
	len = HEADER_SIZE + a.count * DESC_SIZE;
	memset(a.data, 0, HEADER_SIZE);
	put_be32(a.data, (uint32_t)(len - 4));
	runner_finish_data(rc, a.data, len < rc->blocks ? len : rc->blocks);
}

static void got_bounce(struct runner_cmd *rc, int sts)
{
	struct tcmu_device *dev = runner_tcmu(rc);
	size_t max = descriptors_wanted(rc);

	if (sts != TCMU_STS_OK) {
		runner_finish(rc, sts);
		return;
	}
	memset(extents_of(rc), 0, max * sizeof(struct tcmur_extent));
	/* SBC-4 4.7.2: of a fully provisioned logical unit every block is mapped. */
	if (!tcmu_dev_get_unmap_enabled(dev))
		finish(rc, TCMU_STS_NOT_HANDLED);
	else
		runner_op_lba_status(rc, tcmu_lba_to_byte(dev, rc->lba),
				     tcmu_lba_to_byte(dev, *blocks_left(rc)), extents_of(rc), max,
				     finish);
}

void runner_exec_get_lba_status(struct runner_cmd *rc)
{
	uint64_t lbas = tcmu_dev_get_num_lbas(runner_tcmu(rc));

	/* SBC-4, GET LBA STATUS, STARTING LOGICAL BLOCK ADDRESS: not beyond the capacity. */
	if (rc->lba >= lbas) {
		struct scsi_sense sense = SCSI_SENSE_LBA_OUT_OF_RANGE;

		sense.has_field = sense.field_in_cdb = true;
		sense.field = rc->op->lba.at;
		runner_finish_sense(rc, &sense);
		return;
	}
	*blocks_left(rc) = lbas - rc->lba;
	/* SPC-5 4.2.5.6, ALLOCATION LENGTH: zero is not an error. */
	if (!rc->blocks || !rc->data_len) {
		runner_finish_data(rc, NULL, 0);
		return;
	}
	runner_bounce_get(rc, got_bounce);
}
