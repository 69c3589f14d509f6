/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EXTENDED COPY(LID1) (SPC-4 6.4), block to block: the segments one after the other, each in pieces. A
 * piece is read while the one before it is written. The ends are the logical unit that has the command and
 * another one of this daemon, or twice the first: runner/copy.c does what has to be done there.
 *
 * A logical unit has one copy at a time; the next ones wait. The ring does not tell the I_T nexus, so two
 * that have the same list identifier may be of two initiators, and are none of them refused.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "runner/copy.h"
#include "runner/data.h"
#include "runner/device.h"
#include "runner/xcopy.h"
#include "scsi_defs.h"

#define PIECE RUNNER_BOUNCE_SIZE /* bytes, whole blocks on both ends */

struct runner_copy {
	struct runner_cmd *rc;
	struct scsi_xcopy list;
	struct scsi_xcopy_result result;
	bool named; /* naa is the manager's own */
	uint8_t naa[SCSI_NAA_SIZE];
	unsigned int segment; /* in work */
	struct copy_end from, to;
	void *buf;  /* two pieces */
	bool begun; /* something was read, or may have been */

	/* Of the segment. */
	struct scsi_xcopy_span span[SCSI_XCOPY_MAX_SEGMENTS]; /* and of those before */
	uint64_t total;                                       /* bytes */
	uint64_t pieces, round;
	bool backwards;
	bool wrote;             /* perhaps: a piece was given to the end */
	unsigned int under_way; /* operations of this round */
};

struct xcopy_state {
	uint8_t list_id;
	bool has_id;
};
static_assert(sizeof(struct xcopy_state) <= sizeof(((struct runner_cmd *)0)->state),
	      "xcopy_state does not fit");

static struct xcopy_state *state_of(struct runner_cmd *rc)
{
	return (struct xcopy_state *)rc->state;
}

static const struct scsi_xcopy_segment *segment_of(const struct runner_copy *c)
{
	return &c->list.segment[c->segment];
}

/* ---- the end ---- */

static void start_waiting(struct runner_cmd *rc, int sts);

static void let_next_start(struct runner_dev *rdev)
{
	struct runner_cmd *next = rdev->copy_first;

	if (!next)
		return;
	rdev->copy_first = next->next;
	if (!rdev->copy_first)
		rdev->copy_last = &rdev->copy_first;
	runner_op_none(next, start_waiting);
}

static struct runner_cmd *end_copy(struct runner_copy *c)
{
	struct runner_cmd *rc = c->rc;

	rc->rdev->copy = NULL;
	copy_end_release(&c->from);
	copy_end_release(&c->to);
	free(c->buf);
	free(c);
	let_next_start(rc->rdev);
	return rc;
}

/* As if it had not been begun, or as if nobody had asked for it. */
static void end_with_sts(struct runner_copy *c, int sts)
{
	runner_finish(end_copy(c), sts);
}

static void end_good(struct runner_copy *c)
{
	c->result.state = SCSI_XCOPY_DONE;
	if (c->list.usage == SCSI_XCOPY_HOLD)
		runner_copy_keep(c->rc->rdev, &c->result);
	runner_finish(end_copy(c), TCMU_STS_OK);
}

/* why: what the end said that has failed, NULL: the copy itself is at fault. */
static void end_failed(struct runner_copy *c, const struct scsi_sense *sense,
		       const struct scsi_sense *why)
{
	uint8_t buf[SCSI_SENSE_SIZE];
	struct scsi_sense told = *sense;
	size_t len;

	scsi_sense_build(why ? why : sense, c->rc->rdev->mode.d_sense, buf);
	len = scsi_sense_length(buf);
	c->result.state = SCSI_XCOPY_FAILED;
	c->result.has_details = true;
	c->result.sense_len = (uint8_t)(len < sizeof(c->result.sense) ? len
								      : sizeof(c->result.sense));
	memcpy(c->result.sense, buf, c->result.sense_len);
	/* Before that it was not processed (SPC-4 6.4.3.2): there is nothing to be told about it. */
	if (c->list.usage == SCSI_XCOPY_HOLD && c->begun)
		runner_copy_keep(c->rc->rdev, &c->result);
	runner_finish_sense(end_copy(c), &told);
}

/* byte: of the segment descriptor, -1: none is at fault. */
static void abort_segment(struct runner_copy *c, unsigned int asc, int byte)
{
	struct scsi_sense sense = scsi_xcopy_aborted(asc, (uint16_t)c->segment, byte);

	end_failed(c, &sense, NULL);
}

/* ---- stops ---- */

static bool is_repeatable(const struct runner_copy *c)
{
	return scsi_xcopy_repeatable(c->span, c->segment + c->wrote);
}

/*
 * When the device is about to stop, the initiator sends the command again, and all is copied again: as
 * good as once, unless something was written over what is to be read. Such a copy goes on to its end.
 */
static bool stops_here(struct runner_copy *c)
{
	if (c->rc->abort.asked)
		end_with_sts(c, TCMU_STS_ABORTED);
	else if (runner_hurry(c->rc) && is_repeatable(c))
		end_with_sts(c, TCMU_STS_BUSY);
	else
		return false;
	return true;
}

static void end_has_failed(struct runner_copy *c, const struct copy_end *end)
{
	struct scsi_sense sense = scsi_xcopy_aborted(ASC_THIRD_PARTY_DEVICE_FAILURE,
						     (uint16_t)c->segment, -1);
	struct scsi_sense why = end->sense;

	switch (end->outcome) {
	case COPY_STS:
		if (scsi_sense_from_sts(end->sts, &why) != SAM_STAT_CHECK_CONDITION) {
			/* It is short of something at the moment. */
			if (is_repeatable(c)) {
				end_with_sts(c, end->sts);
				return;
			}
			why = SCSI_SENSE_ABORTED;
		}
		break;
	case COPY_RANGE:
		abort_segment(c, ASC_NO_ADDITIONAL_SENSE, end->is_source ? 12 : 20);
		return;
	case COPY_REFUSED:
		abort_segment(c, ASC_COPY_NOT_AUTHORIZED, end->is_source ? 4 : 6);
		return;
	case COPY_GONE:
	case COPY_OTHER:
		if ((end->again || runner_visits_try_again()) && is_repeatable(c)) {
			end_with_sts(c, TCMU_STS_BUSY);
			return;
		}
		abort_segment(c, ASC_COPY_TARGET_DEVICE_NOT_REACHABLE, end->is_source ? 4 : 6);
		return;
	case COPY_RESERVED:
		why = SCSI_SENSE_ABORTED;
		break;
	case COPY_SENSE:
	case COPY_OK:
		break;
	}
	end_failed(c, &sense, &why);
}

/* ---- a segment, piece by piece ---- */

static void next_segment(struct runner_copy *c);
static void next_round(struct runner_copy *c);

static void segment_durable(struct copy_end *end)
{
	struct runner_copy *c = end->data;

	if (end->outcome != COPY_OK) {
		end_has_failed(c, end);
		return;
	}
	c->result.segments++;
	c->segment++;
	c->wrote = false;
	next_segment(c);
}

static void piece_done(struct copy_end *end)
{
	struct runner_copy *c = end->data;
	bool wrote = c->round > 0, read = c->round < c->pieces;

	if (--c->under_way)
		return;
	if (wrote && c->to.outcome == COPY_OK)
		c->result.bytes += c->to.iov.iov_len;
	if (wrote && c->to.outcome != COPY_OK) {
		end_has_failed(c, &c->to);
	} else if (read && c->from.outcome != COPY_OK) {
		end_has_failed(c, &c->from);
	} else {
		c->round++;
		next_round(c);
	}
}

static void set_piece(struct runner_copy *c, struct copy_end *end, uint64_t lba, uint64_t n)
{
	uint64_t off = (c->backwards ? c->pieces - 1 - n : n) * PIECE;
	uint64_t len = c->total - off < PIECE ? c->total - off : PIECE;

	end->lba = lba + off / end->block_size;
	end->blocks = len / end->block_size;
	end->iov.iov_base = (uint8_t *)c->buf + n % 2 * PIECE;
	end->iov.iov_len = (size_t)len;
}

/* Piece number round is read while the one before it is written. */
static void next_round(struct runner_copy *c)
{
	const struct scsi_xcopy_segment *s = segment_of(c);
	bool write = c->round > 0, read = c->round < c->pieces;

	if (stops_here(c))
		return;
	if (!write && !read) { /* no blocks: not an error (SPC-4 6.4.6.3) */
		c->round++;
		next_round(c);
		return;
	}
	if (c->round > c->pieces) {
		copy_end_do(&c->to, COPY_FLUSH, segment_durable);
		return;
	}
	c->under_way = (unsigned int)read + (unsigned int)write;
	c->begun = true;
	if (read) {
		set_piece(c, &c->from, s->from_lba, c->round);
		copy_end_do(&c->from, COPY_READ, piece_done);
	}
	if (write) {
		c->wrote = true;
		if (!is_repeatable(c))
			tcmulib_command_set_mark(runner_tcmu(c->rc), c->rc->pub.lib_cmd, 1);
		set_piece(c, &c->to, s->to_lba, c->round - 1);
		copy_end_do(&c->to, COPY_WRITE, piece_done);
	}
}

static bool in_range(struct runner_copy *c, struct copy_end *end, uint64_t lba, uint64_t blocks)
{
	if (lba <= end->num_lbas && blocks <= end->num_lbas - lba)
		return true;
	end->outcome = COPY_RANGE;
	end_has_failed(c, end);
	return false;
}

/* Both ends are known. */
static void begin_segment(struct runner_copy *c)
{
	const struct scsi_xcopy_segment *s = segment_of(c);
	struct scsi_xcopy_span *span = &c->span[c->segment];

	c->total = (uint64_t)s->blocks * (s->dc ? c->to.block_size : c->from.block_size);
	/* MAXIMUM SEGMENT LENGTH (SPC-4 6.18) */
	if (c->total > SCSI_XCOPY_MAX_SEGMENT_LEN) {
		abort_segment(c, ASC_INVALID_FIELD_IN_PARAMETER_LIST, 10);
		return;
	}
	/* SPC-4 6.4.6.2: what is left over is not carried into the next segment, nor padded. */
	if (c->total % c->from.block_size || c->total % c->to.block_size) {
		abort_segment(c, ASC_UNEXPECTED_INEXACT_SEGMENT, 10);
		return;
	}
	*span = (struct scsi_xcopy_span) {
		.from = c->from.number,
		.to = c->to.number,
		.from_lba = s->from_lba,
		.from_blocks = c->total / c->from.block_size,
		.to_lba = s->to_lba,
		.to_blocks = c->total / c->to.block_size,
	};
	if (!in_range(c, &c->from, span->from_lba, span->from_blocks) ||
	    !in_range(c, &c->to, span->to_lba, span->to_blocks))
		return;
	/* Where the two overlap, each block is read before it is written: from the end, if it moves up. */
	c->backwards = span->from == span->to && s->to_lba > s->from_lba;
	c->pieces = (c->total + PIECE - 1) / PIECE;
	c->round = 0;
	next_round(c);
}

/* ---- who are the ends? ---- */

static bool is_own(const struct runner_copy *c, const struct scsi_xcopy_cscd *cscd)
{
	return c->named && cscd->named && !memcmp(c->naa, cscd->naa, SCSI_NAA_SIZE);
}

static void find_end(struct runner_copy *c, struct copy_end *end);

/* SPC-4 6.4.5.2: is it what the descriptor says? */
static bool is_as_described(struct runner_copy *c, const struct copy_end *end, unsigned int cscd)
{
	const struct scsi_xcopy_cscd *d = &c->list.cscd[cscd];
	struct scsi_sense sense;

	if (d->type) {
		abort_segment(c, ASC_INCORRECT_COPY_TARGET_DEVICE_TYPE, -1);
		return false;
	}
	if (!d->block_size || d->block_size == end->block_size)
		return true;
	sense = scsi_xcopy_aborted(ASC_INVALID_FIELD_IN_PARAMETER_LIST, (uint16_t)c->segment, 0);
	sense.field_in_segment = false;
	sense.field = scsi_xcopy_cscd_at(cscd, 29);
	end_failed(c, &sense, NULL);
	return false;
}

static void end_is_known(struct runner_copy *c, struct copy_end *end)
{
	const struct scsi_xcopy_segment *s = segment_of(c);

	if (!is_as_described(c, end, end->is_source ? s->from : s->to))
		return;
	if (end->is_source)
		find_end(c, &c->to);
	else
		begin_segment(c);
}

static void found(struct copy_end *end)
{
	struct runner_copy *c = end->data;

	if (stops_here(c))
		return;
	if (end->outcome == COPY_OK)
		end_is_known(c, end);
	else
		end_has_failed(c, end);
}

static void find_end(struct runner_copy *c, struct copy_end *end)
{
	const struct scsi_xcopy_segment *s = segment_of(c);
	const struct scsi_xcopy_cscd *cscd = &c->list.cscd[end->is_source ? s->from : s->to];

	if (end->number && cscd->named && !memcmp(end->naa, cscd->naa, SCSI_NAA_SIZE)) {
		end_is_known(c, end); /* as in the segment before */
		return;
	}
	copy_end_release(end);
	if (cscd->named) {
		copy_end_find(end, cscd->naa, is_own(c, cscd), found);
		return;
	}
	end->outcome = COPY_OTHER;
	end_has_failed(c, end);
}

static void next_segment(struct runner_copy *c)
{
	const struct scsi_xcopy_segment *s;

	if (c->segment == c->list.segments) {
		end_good(c);
		return;
	}
	if (stops_here(c))
		return;
	s = segment_of(c);
	/* An initiator that may use this logical unit has no say in what two others do. */
	if (!is_own(c, &c->list.cscd[s->from]) && !is_own(c, &c->list.cscd[s->to])) {
		abort_segment(c, ASC_COPY_TARGET_DEVICE_NOT_REACHABLE, 4);
		return;
	}
	find_end(c, &c->from);
}

/* ---- the beginning ---- */

/* The parameter list may be scattered over several iovecs. */
static int parse(struct runner_cmd *rc, struct scsi_xcopy *list, struct scsi_sense *sense)
{
	struct data_pos pos = { .iov = rc->pub.lib_cmd->iovec };
	uint64_t len = rc->blocks; /* PARAMETER LIST LENGTH */
	uint8_t copy[SCSI_XCOPY_LIST_MAX];
	size_t left = len < sizeof(copy) ? (size_t)len : sizeof(copy);

	for (uint8_t *to = copy; left;) {
		size_t n = left;
		const uint8_t *at = data_next(&pos, &n);

		memcpy(to, at, n);
		to += n;
		left -= n;
	}
	return scsi_xcopy_parse(copy, (size_t)len, list, sense);
}

static struct runner_copy *copy_new(struct runner_cmd *rc)
{
	struct runner_copy *c = aligned_alloc(_Alignof(struct runner_copy), sizeof(*c));
	struct scsi_sense sense;
	struct scsi_lu lu;

	if (!c)
		return NULL;
	memset(c, 0, sizeof(*c));
	c->rc = rc;
	copy_end_init(&c->from, rc->rdev, true, c);
	copy_end_init(&c->to, rc->rdev, false, c);
	/* Nobody writes to the data buffer, it is as it was when it was accepted; all the same. */
	if (posix_memalign(&c->buf, 4096, 2 * PIECE) || parse(rc, &c->list, &sense)) {
		free(c->buf);
		free(c);
		return NULL;
	}
	runner_lu(rc->rdev, &lu, RUNNER_LU_WWN);
	c->named = scsi_lu_naa(&lu, c->naa);
	c->result.has_status = true;
	c->result.list_id = c->list.list_id;
	return c;
}

static void start(struct runner_cmd *rc)
{
	struct runner_dev *rdev = rc->rdev;
	struct runner_copy *c;

	if (rdev->copy) {
		rc->next = NULL;
		*rdev->copy_last = rc;
		rdev->copy_last = &rc->next;
		return;
	}
	c = copy_new(rc);
	if (!c) {
		let_next_start(rdev);
		runner_finish(rc, TCMU_STS_NO_RESOURCE);
		return;
	}
	rdev->copy = c;
	if (state_of(rc)->has_id)
		runner_copy_forget(rdev, c->list.list_id); /* SPC-4 6.20 */
	next_segment(c);
}

static void start_waiting(struct runner_cmd *rc, int sts)
{
	(void)sts;
	start(rc);
}

void runner_exec_extended_copy(struct runner_cmd *rc)
{
	struct scsi_xcopy list;
	struct scsi_sense sense = { 0 };

	/* A process that died has written over what is to be read: the initiator must know. */
	if (rc->pub.lib_cmd->mark) {
		sense = scsi_xcopy_aborted(ASC_NO_ADDITIONAL_SENSE, 0, -1);
		runner_finish_sense(rc, &sense);
		return;
	}
	if (rc->blocks > rc->data_len) {
		runner_finish(rc, TCMU_STS_INVALID_PARAM_LIST_LEN);
		return;
	}
	if (parse(rc, &list, &sense)) {
		runner_finish_sense(rc, &sense);
		return;
	}
	*state_of(rc) = (struct xcopy_state) {
		.list_id = list.list_id,
		.has_id = list.usage != SCSI_XCOPY_NO_ID,
	};
	if (list.segments)
		start(rc);
	else /* SPC-4 6.4.4: nothing to do is no error */
		runner_finish(rc, TCMU_STS_OK);
}

/* Was it waiting for the copy before it? */
static bool leave_queue(struct runner_cmd *rc)
{
	struct runner_dev *rdev = rc->rdev;

	for (struct runner_cmd **at = &rdev->copy_first; *at; at = &(*at)->next) {
		if (*at != rc)
			continue;
		*at = rc->next;
		if (rdev->copy_last == &rc->next)
			rdev->copy_last = at;
		return true;
	}
	return false;
}

bool runner_copy_cancel(struct runner_cmd *rc)
{
	const struct runner_copy *c = rc->rdev->copy;

	if (leave_queue(rc)) {
		runner_op_answer(rc, TCMU_STS_ABORTED, runner_finish);
		return true;
	}
	return c && c->rc == rc;
}

/* ---- for RECEIVE COPY RESULTS ---- */

bool runner_copy_progress(const struct runner_dev *rdev, uint8_t list_id,
			  struct scsi_xcopy_result *result)
{
	const struct runner_copy *c = rdev->copy;

	if (c && c->list.usage != SCSI_XCOPY_NO_ID && c->list.list_id == list_id) {
		*result = c->result;
		return true;
	}
	for (struct runner_cmd *rc = rdev->copy_first; rc; rc = rc->next) {
		if (!state_of(rc)->has_id || state_of(rc)->list_id != list_id)
			continue;
		*result = (struct scsi_xcopy_result) { .has_status = true, .list_id = list_id };
		return true;
	}
	return false;
}
