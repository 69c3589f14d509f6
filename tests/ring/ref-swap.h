/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user space that keeps the ring as its own journal, so that after a crash at any instruction the next
 * one goes on where it was, without a reset: the slots from tail to pos always hold the requests that
 * are not answered. As an answer lies over the request that stands in its slot,
 *
 *   1. a note says which command is being answered, how, and where,
 *   2. the request at the tail moves into the slot of that command (unless it is the same),
 *   3. the answer is written, cmd_tail moves, and the note is void.
 *
 * Each answer goes this way, also one in order, and cmd_tail moves with each.
 */
#ifndef TESTS_RING_REF_SWAP_H
#define TESTS_RING_REF_SWAP_H

#include "ref-consumer.h"

/* In the mailbox, behind cmd_tail. */
struct ref_note {
	uint32_t magic;
	uint32_t pos;   /* consumed up to here */
	uint32_t stage; /* enum ref_stage; the last to be set */
	uint32_t to, spare;
	uint16_t id;
	uint8_t status, uflags;
	uint32_t read_len;
	uint8_t key, asc; /* of CHECK CONDITION */
};

enum ref_stage { REF_IDLE, REF_COPY, REF_ANSWER };

#define REF_POS_OFF (offsetof(struct tcmu_abi_mailbox, scratch) + offsetof(struct ref_note, pos))

/* Mistakes to be made on purpose. */
enum ref_fault {
	REF_TAIL_FIRST = 1, /* moves cmd_tail before the request */
	REF_NO_SWAP = 2,    /* does not move the request */
	REF_POS_STAYS = 4,  /* does not say how far it has consumed */
	REF_NO_NOTE = 8,    /* writes no note */
	REF_TAIL_LATE = 16, /* several answers before cmd_tail moves */
};

struct ref_swap {
	struct ref_consumer c;
	struct ref_note *note;
	uint32_t *slot_of; /* by cmd_id: where its request stands */
	uint32_t tail;     /* the slot of the next answer; as cmd_tail but for REF_TAIL_LATE */
	bool replaying;    /* what was consumed before the crash comes once more */
	unsigned int faults;
	void (*boundary)(
		void *arg); /* called after each store to the ring or the mailbox; or NULL */
	void *arg;
};

/* Takes over: a fresh ring, or one whose user space died at any instruction. */
void ref_swap_init(struct ref_swap *s, void *base);
void ref_swap_free(struct ref_swap *s);
/* As ref_next(). After a crash all that is not answered comes again. */
bool ref_swap_next(struct ref_swap *s, struct ref_cmd *cmd);
/* False: the request at the tail does not fit into the slot of this command; answer that one, or any
 * other, first. */
bool ref_swap_answer(struct ref_swap *s, uint16_t id, uint8_t status);
bool ref_swap_answer_sense(struct ref_swap *s, uint16_t id, uint8_t key, uint8_t asc);
/* With REF_TAIL_LATE: now. */
void ref_swap_publish(struct ref_swap *s);

#endif
