/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring as its own journal. An answer lies over the request that stands in its slot, and goes into
 * the slot at tail, whoever came in that. So before command B is answered there, the request that
 * stands at tail moves into B's slot, whose own request is dead. Between any two stores the slots from
 * tail to pos then hold the requests that are not answered, each once, and a note in the mailbox says
 * which two are in between:
 *
 *   tails, places, answer ─► stage COPY ─► the request moves ─► stage ANSWER ─► the answer ─► cmd_tail ─► stage IDLE
 *
 * A process that is killed has made all the stores before the one that it was at, so the order that
 * the compiler leaves is all that is needed.
 */
#include <string.h>

#include "lib/ring-mem.h"
#include "lib/ring.h"
#include "scsi/cdb.h"

#define FIXED_SENSE_KEY 2 /* SPC-5 4.4.3: byte of fixed format */
#define FIXED_SENSE_ASC 12

/* ---- sense data: what the mailbox has room for ------------------------------------------------ */

void ring_journal_sense(struct tcmu_ring *ring, const uint8_t *sense)
{
	struct tcmu_ring_scratch *scratch = ring_scratch(ring);
	size_t here = sizeof(scratch->sense);

	memcpy(scratch->sense, sense, here);
	/* ADDITIONAL SENSE LENGTH (SPC-5 4.4). That padding shares a cache line with cmd_head. */
	if (sense[7] + 8u > here)
		memcpy(ring->mb->pad0, sense + here, sizeof(ring->mb->pad0));
}

static void kept_sense(const struct tcmu_ring *ring, uint8_t sense[TCMU_ABI_SENSE_SIZE])
{
	const struct tcmu_ring_scratch *scratch = ring_scratch(ring);
	size_t here = sizeof(scratch->sense), room = here + sizeof(ring->mb->pad0);

	memset(sense, 0, TCMU_ABI_SENSE_SIZE);
	memcpy(sense, scratch->sense, here);
	if (sense[7] + 8u > here)
		memcpy(sense + here, ring->mb->pad0, sizeof(ring->mb->pad0));
	if (sense[7] + 8u > room)
		sense[7] = (uint8_t)(room - 8);
}

/* ---- an answer ------------------------------------------------------------------------------- */

/* The request in the slot at from, into another one; what does not fit is lost but for its id and its
 * mark. len_op and, in the slot at 0, the cookie stay. Everything comes from shared memory, once. */
static void move_request(struct tcmu_ring *ring, uint32_t from, uint32_t from_len, uint32_t into,
			 uint32_t into_len)
{
	const struct tcmu_abi_entry *a = (void *)ring_hdr(ring, from);
	struct tcmu_abi_entry *b = (void *)ring_hdr(ring, into);
	uint32_t iov_cnt = a->req.iov_cnt, bidi_cnt = a->req.iov_bidi_cnt, cdb_len = 0;
	uint64_t iovs = ((uint64_t)iov_cnt + bidi_cnt) * sizeof(struct iovec);
	uint64_t end = TCMU_ABI_IOV_OFF + iovs;
	uint64_t at = a->req.cdb_off - ring->cmdr_off - from; /* 0 becomes far too much */

	if (at >= end && at < from_len)
		cdb_len = ring_cdb_length((const uint8_t *)a + at, from_len - at);
	b->hdr.cmd_id = a->hdr.cmd_id;
	b->req.mark = a->req.mark;
	if (!cdb_len || end + cdb_len > into_len) {
		b->req.iov_cnt = b->req.iov_bidi_cnt = 0;
		b->req.cdb_off = 0;
		return;
	}
	b->req.iov_cnt = iov_cnt;
	b->req.iov_bidi_cnt = bidi_cnt;
	memcpy(b->req.iov, a->req.iov, iovs);
	memcpy((uint8_t *)b + end, (const uint8_t *)a + at, cdb_len);
	b->req.cdb_off = (uint64_t)ring->cmdr_off + into + end;
}

/* Of the command's slot at off; 0 if len_op is none of such. */
static uint32_t command_len(const struct tcmu_ring *ring, uint32_t off)
{
	uint32_t len_op = ring_hdr(ring, off)->len_op, len = ring_entry_len(len_op);

	return ring_entry_op(len_op) == TCMU_ABI_OP_CMD && len >= sizeof(struct tcmu_abi_entry) &&
			       len <= ring->size - off
		       ? len
		       : 0;
}

bool ring_journal_move(struct tcmu_ring *ring, uint32_t len, uint32_t spare)
{
	uint16_t id = ring_hdr(ring, ring->tail)->cmd_id;
	struct tcmu_ring_cmd *owner = &ring->cmds[id];
	uint32_t spare_len = command_len(ring, spare);

	if (!owner->live || owner->slot != ring->tail) {
		ring_park(ring, "slot at %u: cmd_id %u, whose request does not belong there",
			  ring->tail, id);
		return false;
	}
	/* One that is longer now would take along what is not consumed. */
	if (!spare_len || spare_len > ring_distance(ring, spare, ring->pos)) {
		ring_park(ring, "slot at %u: len_op is %#x, which no command's is", spare,
			  ring_hdr(ring, spare)->len_op);
		return false;
	}
	ring_scratch(ring)->spare = spare;
	ring_set_stage(ring, RING_STAGE_COPY);
	move_request(ring, ring->tail, len, spare, spare_len);
	ring_set_stage(ring, RING_STAGE_ANSWER);
	owner->slot = spare;
	return true;
}

/* ---- after a death --------------------------------------------------------------------------- */

/* What a walk over the entries from tail to head has met. */
struct walk {
	bool pos, to, spare;
};

/* False: they do not lead from one end to the other. */
static bool walk_entries(const struct tcmu_ring *ring, uint32_t tail, uint32_t head,
			 struct walk *walk)
{
	const struct tcmu_ring_scratch *scratch = ring_scratch(ring);
	uint32_t left = ring_distance(ring, tail, head), off = tail;

	for (;;) {
		uint32_t len_op, len;
		bool command;

		walk->pos |= off == scratch->pos;
		if (!left)
			return true;
		len_op = ring_hdr(ring, off)->len_op;
		len = ring_entry_len(len_op);
		command = ring_entry_op(len_op) == TCMU_ABI_OP_CMD;
		if (len < sizeof(struct tcmu_abi_hdr) || len > left || len > ring->size - off ||
		    (command && len < sizeof(struct tcmu_abi_entry)))
			return false;
		if (command && !walk->pos) {
			walk->to |= off == scratch->tails.from &&
				    ring_after(ring, off, len) == scratch->tails.next;
			walk->spare |= off == scratch->spare && off != scratch->tails.from;
		}
		left -= len;
		off = ring_after(ring, off, len);
	}
}

/* Was the ring reset after an answer began in the slot at 0, and is there another entry now? It has no cookie
 * (ring_was_reset()); where sense data lie over that, they do not begin with 0 (SPC-5 4.4.1). */
static bool is_new_at_0(const struct tcmu_ring *ring, uint32_t to)
{
	return !to && !(ring_load_cookie(ring) & 0xff);
}

bool ring_journal_whole(const struct tcmu_ring *ring, uint32_t tail)
{
	const struct tcmu_ring_scratch *scratch = ring_scratch(ring);
	struct walk walk = { 0 };

	/* Another tail is that of somebody who does not know the journal. */
	if (scratch->state != TCMU_RING_MARK_SERVING ||
	    (tail != scratch->tails.next && tail != scratch->tails.from) ||
	    !walk_entries(ring, tail, ring_load_head(ring), &walk) || !walk.pos)
		return false;
	if (scratch->stage == RING_STAGE_IDLE || tail == scratch->tails.next)
		return true;
	return walk.to && (walk.spare || scratch->stage != RING_STAGE_COPY) &&
	       !is_new_at_0(ring, tail);
}

/* The answer that was under way, from where it was. */
static void carry_out(struct tcmu_ring *ring)
{
	struct tcmu_ring_scratch *scratch = ring_scratch(ring);
	uint32_t to = scratch->tails.from, to_len = command_len(ring, to);
	uint32_t spare = scratch->spare, spare_len;
	uint8_t sense[TCMU_ABI_SENSE_SIZE];

	if (!to_len) /* reset since it was looked at */
		return;
	if (scratch->stage == RING_STAGE_COPY) {
		spare_len = command_len(ring, spare);
		if (!spare_len)
			return;
		move_request(ring, to, to_len, spare, spare_len);
		ring_set_stage(ring, RING_STAGE_ANSWER);
	}
	kept_sense(ring, sense);
	ring_write_answer(ring, to, scratch->answer, sense);
	/* Not over the tail of a reset. */
	__atomic_compare_exchange_n(&ring->mb->cmd_tail, &to, scratch->tails.next, false,
				    __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

uint32_t ring_journal_take_over(struct tcmu_ring *ring, uint32_t tail)
{
	struct tcmu_ring_scratch *scratch = ring_scratch(ring);

	if (scratch->stage != RING_STAGE_IDLE && tail == scratch->tails.from &&
	    tail != scratch->tails.next) {
		carry_out(ring);
		tail = scratch->tails.next;
	}
	ring_set_stage(ring, RING_STAGE_IDLE);
	ring->replay_end = scratch->pos;
	ring->replaying = scratch->pos != tail;
	return tail;
}

void ring_journal_new(struct tcmu_ring *ring)
{
	ring_set_stage(ring, RING_STAGE_IDLE);
	ring->replaying = false;
}

bool ring_journal_lost(const struct tcmu_ring *ring, uint32_t len_op)
{
	const struct tcmu_abi_entry *ent = (void *)ring_hdr(ring, ring->pos);

	return ring_entry_op(len_op) == TCMU_ABI_OP_CMD && ring_entry_len(len_op) >= sizeof(*ent) &&
	       !ent->req.cdb_off;
}

void ring_journal_answer_lost(struct tcmu_ring *ring, uint32_t len_op)
{
	const struct tcmu_abi_entry *ent = (void *)ring_hdr(ring, ring->pos);
	uint32_t mark = ent->req.mark;
	uint16_t id = ent->hdr.cmd_id;
	struct tcmu_ring_cmd *cmd = &ring->cmds[id];

	if (!id || cmd->live || cmd->kept) {
		ring_park_insane(ring, "entry at %u: cmd_id %u is %s", ring->pos, id,
				 id ? "in flight already" : "no valid one");
		return;
	}
	memset(&cmd->pub, 0, sizeof(cmd->pub));
	cmd->pub.cmd_id = id;
	cmd->pub.sense_buf[0] = 0x70; /* ABORTED COMMAND, INTERNAL TARGET FAILURE (SPC-5 4.4.3) */
	cmd->pub.sense_buf[FIXED_SENSE_KEY] = 0x0b;
	cmd->pub.sense_buf[7] = 10;
	cmd->pub.sense_buf[FIXED_SENSE_ASC] = 0x44;
	cmd->data_len = 0;
	cmd->orig_cnt = 0;
	cmd->slot = ring->pos;
	cmd->live = true;
	ring->in_flight++;
	ring_consumed(ring, len_op);
	tcmu_ring_complete(ring, &cmd->pub, mark ? SAM_CHECK_CONDITION : SAM_BUSY);
}

/* ---- for the program ------------------------------------------------------------------------- */

void tcmu_ring_set_mark(struct tcmu_ring *ring, const struct tcmulib_cmd *pub, uint32_t mark)
{
	const struct tcmu_ring_cmd *cmd = (const void *)pub;
	struct tcmu_abi_entry *ent = (void *)ring_hdr(ring, cmd->slot);

	if (cmd->live && ring_check_running(ring))
		__atomic_store_n(&ent->req.mark, mark, __ATOMIC_RELEASE);
}

bool tcmu_ring_replays(const struct tcmu_ring *ring)
{
	return ring->replaying;
}
