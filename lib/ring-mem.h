/* SPDX-License-Identifier: Apache-2.0 */
/* What the ring's files share: access to the mailbox by name, each with its memory order and why, and
 * the bookkeeping of consumed slots. Included by lib/ring*.c only. */
#ifndef LIB_RING_MEM_H
#define LIB_RING_MEM_H

#include "lib/ring.h"

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

#endif
