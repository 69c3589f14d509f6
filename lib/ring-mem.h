/* SPDX-License-Identifier: Apache-2.0 */
/* What the ring's files share: access to the mailbox by name, each with its memory order and why, and
 * the bookkeeping of consumed slots. Included by lib/ring*.c only. */
#ifndef LIB_RING_MEM_H
#define LIB_RING_MEM_H

#include <string.h>

#include "lib/ring.h"

#define SAM_CHECK_CONDITION 0x02 /* SAM-5 5.3.1 */
#define SAM_BUSY            0x08

/* Acquire: the entries below head were written before it (target_core_user.c: UPDATE_HEAD() is an
 * smp_store_release). Without it a weakly ordered CPU may read an entry from before. */
static inline uint32_t ring_load_head(const struct tcmu_ring *ring)
{
	return __atomic_load_n(&ring->mb->cmd_head, __ATOMIC_ACQUIRE);
}

/* Relaxed: we are the only writer but for reset_ring, and nothing is read on the strength of it. */
static inline uint32_t ring_load_tail(const struct tcmu_ring *ring)
{
	return __atomic_load_n(&ring->mb->cmd_tail, __ATOMIC_RELAXED);
}

/* Relaxed stores of the program's own word: other threads only look at it. */
static inline void ring_set_state(struct tcmu_ring *ring, enum tcmulib_ring_state state)
{
	__atomic_store_n(&ring->state, state, __ATOMIC_RELAXED);
}

/* Release: the answer and the data are visible before the tail that hands the slot over. The kernel
 * may reuse slot, cmd_id and data blocks at once (memory reclaim also processes completions, not only
 * the doorbell), so nothing may be touched after this. Only from the tail as we left it: over one of a
 * reset since the last look the kernel would walk into entries that are not there. */
static inline void ring_store_tail(struct tcmu_ring *ring, uint32_t old)
{
	if (__atomic_compare_exchange_n(&ring->mb->cmd_tail, &old, ring->tail, false,
					__ATOMIC_RELEASE, __ATOMIC_RELAXED))
		ring->kick = true;
	else
		ring_set_state(ring, TCMULIB_RING_DRAINING);
}

static inline struct tcmu_ring_scratch *ring_scratch(const struct tcmu_ring *ring)
{
	return (void *)ring->mb->scratch;
}

/* See ring_was_reset(). Relaxed: after a reset the entry is zeroed before the head is stored, and the
 * head is loaded first. */
static inline uint32_t ring_load_cookie(const struct tcmu_ring *ring)
{
	const struct tcmu_abi_entry *ent = (void *)ring->entries;

	return __atomic_load_n(&ent->req.cookie, __ATOMIC_RELAXED);
}

/* Bytes from one offset forward to another. */
static inline uint32_t ring_distance(const struct tcmu_ring *ring, uint32_t from, uint32_t to)
{
	return to >= from ? to - from : ring->size - from + to;
}

static inline struct tcmu_abi_hdr *ring_hdr(const struct tcmu_ring *ring, uint32_t off)
{
	return (void *)(ring->entries + off);
}

static inline uint32_t ring_entry_len(uint32_t len_op)
{
	return len_op & ~TCMU_ABI_OP_MASK;
}

static inline uint32_t ring_entry_op(uint32_t len_op)
{
	return len_op & TCMU_ABI_OP_MASK;
}

/* The entry at pos is consumed. Room is certain: no slot is shorter than 8 bytes. */
static inline void ring_consumed(struct tcmu_ring *ring, uint32_t len_op)
{
	ring->lens[(ring->lens_first + ring->lens_count++) & ring->lens_mask] = len_op;
	ring->pos += ring_entry_len(len_op);
	if (ring->pos == ring->size)
		ring->pos = 0;
	if (__builtin_expect(ring->replaying, 0))
		ring->replaying = ring->pos != ring->replay_end;
	if (!ring->replaying) /* else the dead process had come further */
		__atomic_store_n(&ring_scratch(ring)->pos, ring->pos, __ATOMIC_RELAXED);
}

/* Zeroed memory that costs nothing until it is touched, one small page at a time. NULL: none. */
void *ring_lazy_table(size_t bytes);

/* Passes consumed entries that need no answer at the tail, so that an idle ring has tail == head. */
void ring_pass_unanswered(struct tcmu_ring *ring);

/*
 * Was the ring reset from outside since we last stored the tail? action/reset_ring sets head and tail to 0
 * and forgets all commands (target_core_user.c: tcmu_reset_ring()). Nobody else changes cmd_tail. Where
 * our tail is 0 anyway, the head tells as long as it lies before what we have consumed; when it has
 * caught up, the entry at 0 is a new one, and so without the cookie that we left in it
 * (queue_cmd_ring() and queue_tmr_ring() clear each entry).
 */
static inline bool ring_was_reset(const struct tcmu_ring *ring)
{
	if (ring_load_tail(ring) != ring->tail)
		return true;
	return !ring->tail && (ring->pos > ring_load_head(ring) ||
			       (ring->cookie && ring_load_cookie(ring) != TCMU_RING_COOKIE));
}

/* Starts and ends the draining that follows a reset. Is the ring running now? */
bool ring_settle(struct tcmu_ring *ring);

/* Is the ring running? Notices a reset from outside. */
static inline bool ring_check_running(struct tcmu_ring *ring)
{
	return (ring->state == TCMULIB_RING_RUNNING && !ring_was_reset(ring)) || ring_settle(ring);
}

/* No store to the mapping from now on. The sentence says what is wrong. */
void ring_park(struct tcmu_ring *ring, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Parks, where a check of an entry has failed. Not if the ring was reset meanwhile: then the entry may
 * have been half a new one. */
void ring_park_insane(struct tcmu_ring *ring, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The same, and is false: "return ring_insane(...)". */
#define ring_insane(ring, ...) (ring_park_insane(ring, __VA_ARGS__), false)

void ring_free_cmd(struct tcmu_ring *ring, struct tcmu_ring_cmd *cmd);

/* Bytes of the CDB, of which avail >= 1 may be looked at; 0 if they do not hold all of it. */
uint32_t ring_cdb_length(const uint8_t *cdb, uint64_t avail);

/* Writes over the request in the slot; len_op stays. sense: TCMU_ABI_SENSE_SIZE bytes, for CHECK CONDITION. */
static inline void ring_write_answer(struct tcmu_ring *ring, uint32_t slot,
				     struct tcmu_ring_answer a, const uint8_t *sense)
{
	struct tcmu_abi_entry *ent = (void *)ring_hdr(ring, slot);

	ent->hdr.cmd_id = a.cmd_id;
	ent->hdr.uflags = a.uflags;
	ent->rsp.scsi_status = a.status;
	ent->rsp.pad1 = 0;
	ent->rsp.pad2 = 0;
	ent->rsp.read_len = a.read_len;
	if (a.status == SAM_CHECK_CONDITION) /* the only status that comes with sense data */
		memcpy(ent->rsp.sense, sense, sizeof(ent->rsp.sense));
}

/* ---- lib/ring-journal.c ---- */

/* How far an answer has come. */
enum ring_stage {
	RING_STAGE_IDLE,   /* none is under way */
	RING_STAGE_COPY,   /* the request at tail is whole, the spare slot is not */
	RING_STAGE_ANSWER, /* the request is in the spare slot, the one at tail is in pieces */
};

/* A release store, and nothing moves up in front of it either. */
static inline void ring_set_stage(struct tcmu_ring *ring, enum ring_stage stage)
{
	__atomic_store_n(&ring_scratch(ring)->stage, (uint8_t)stage, __ATOMIC_RELEASE);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* Before cmd_tail is stored. One store, so that there is no half of it. */
static inline void ring_note_tails(struct tcmu_ring *ring, uint32_t from, uint32_t next)
{
	struct tcmu_ring_tails tails = { .from = from, .next = next };
	uint64_t both;

	memcpy(&both, &tails, sizeof(both));
	__atomic_store_n((uint64_t *)(void *)&ring_scratch(ring)->tails, both, __ATOMIC_RELEASE);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline uint32_t ring_after(const struct tcmu_ring *ring, uint32_t off, uint32_t len)
{
	return off + len == ring->size ? 0 : off + len;
}

void ring_journal_sense(struct tcmu_ring *ring, const uint8_t *sense);
bool ring_journal_move(struct tcmu_ring *ring, uint32_t len, uint32_t spare);

/* Before the answer of cmd is written into the slot at tail: notes it, and moves away the request that
 * stands there. False: parked, write nothing. When cmd_tail is stored RING_STAGE_IDLE is set. */
static inline bool ring_journal_begin(struct tcmu_ring *ring, const struct tcmu_ring_cmd *cmd,
				      struct tcmu_ring_answer a)
{
	uint32_t len = ring_entry_len(ring->lens[ring->lens_first & ring->lens_mask]);

	ring_note_tails(ring, ring->tail, ring_after(ring, ring->tail, len));
	ring_scratch(ring)->answer = a;
	if (__builtin_expect(a.status == SAM_CHECK_CONDITION, 0))
		ring_journal_sense(ring, cmd->pub.sense_buf);
	if (cmd->slot != ring->tail)
		return ring_journal_move(ring, len, cmd->slot);
	ring_set_stage(ring, RING_STAGE_ANSWER);
	return true;
}

/* Does the mailbox tell, after the death of a process, what is still to do? Looks at lengths and places
 * only: what the requests say is checked when they are consumed. tail: where cmd_tail was, sane. */
bool ring_journal_whole(const struct tcmu_ring *ring, uint32_t tail);
/* Gives the answer that was under way. Only if it is whole, with the same tail; before anything is consumed.
 * Where the tail is then: a reset from outside meanwhile is noticed by that, later. */
uint32_t ring_journal_take_over(struct tcmu_ring *ring, uint32_t tail);
/* Starts with none. */
void ring_journal_new(struct tcmu_ring *ring);

/* While the ring replays, is the entry at pos one whose request did not fit into the slot that it had to go
 * to? */
bool ring_journal_lost(const struct tcmu_ring *ring, uint32_t len_op);
/* Consumes and answers it: with BUSY, so that the initiator sends it again; one with a mark with CHECK
 * CONDITION, for it may have been executed in part. The ring may be parked then, or drain. */
void ring_journal_answer_lost(struct tcmu_ring *ring, uint32_t len_op);

#endif
