/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a ring call may do to the shared memory. Before each call the memory is as in the shadow. After it
 * the model does to the shadow what the call had to do (ring-expect.c), by a reading of its own; then both
 * must be the same, byte for byte. cmd_tail may only come to a boundary that has been seen consumed.
 *
 * The kernel's side (ring-kernel.c) remembers each request as it was put, so it also knows, across deaths,
 * which commands have to come again and what they look like.
 */
#ifndef RING_MODEL_H
#define RING_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ring.h"

#define MODEL_MAX_MAP 8192u
#define MODEL_DATA    4096u /* bytes of the data area */
#define MODEL_SLOTS   (MODEL_MAX_MAP / TCMU_ABI_OP_ALIGN)
#define MODEL_IDS     256 /* the kernel of the fuzzer gives none above */
#define MODEL_IOVS    66
#define MODEL_CDB     264

/* A consumed entry, not passed by the tail yet. */
struct model_slot {
	uint32_t off, len, op;
	uint16_t id; /* of a command: whose request stands there now */
};

struct model_answer {
	uint16_t id;
	uint8_t status, uflags;
	uint32_t read_len;
	uint8_t sense[TCMU_ABI_SENSE_SIZE];
};

/* A command of the kernel's, as it was put; and what became of it. */
struct model_request {
	uint32_t iov_cnt, bidi_cnt, cdb_len, mark;
	bool lost; /* has moved into a slot that it does not fit */
	bool held; /* the process has it */
	enum { GIVEN_NOT, GIVEN_MAYBE, GIVEN } given; /* to any process */
	struct iovec iov[MODEL_IOVS];
	uint8_t cdb[MODEL_CDB];
};

/* The answer of one command makes the request of another one move. */
struct model_move {
	uint16_t answered, moved;
	bool was_lost;
};

enum model_id { ID_FREE, ID_LIVE, ID_KEPT };

/* The memory, and what the kernel knows, in the middle of a call: a process that dies there leaves it so. The
 * call goes on meanwhile and is judged as any other. */
struct model_death {
	bool happens;
	bool in_next;
	bool stale, loose;
	uint32_t cleaned;
	enum model_id ids[MODEL_IDS];
	uint8_t map[MODEL_MAX_MAP];
};

struct model {
	struct tcmu_ring ring;
	uint8_t *map, *shadow;
	size_t map_len;
	uint32_t size, cmdr_off, data_off; /* of the mailbox */

	/* Nobody but the kernel has written to the ring, and by its rules: it must not be parked. */
	bool honest;
	/* Of the kernel's commands: on the ring, or answered but kept. */
	enum model_id ids[MODEL_IDS];
	struct model_request *requests;
	uint32_t cleaned;  /* up to where the kernel has taken answers */
	bool stale;        /* the journal is from before a reset */
	bool loose;        /* and may be replayed nevertheless */
	size_t last_entry; /* where it is in the mapping */

	uint32_t tail, pos;
	struct model_slot slots[MODEL_SLOTS];
	uint32_t first, count;
	bool kick;
	bool replaying;
	uint32_t replay_end;
	bool overtaken; /* a head that no kernel would set made pos pass the tail */

	/* before the call */
	enum tcmulib_ring_state state;
	bool was_reset;
	bool starting; /* it is tcmu_ring_start() */
	bool struck;   /* what came in the middle of it makes its effect unforeseeable, */
	bool zeroed;   /* a reset took the tail back to 0 */

	/* The last call's */
	struct model_answer answer;
	struct model_move moves[MODEL_SLOTS];
	uint32_t moves_count;

	/* In the next call that may change anything: after so many atomic accesses the kernel does
	 * something, or the process dies. 0: it does not. */
	uint32_t planned_strike, strike;
	struct model_death *death;
};

struct tcmu_abi_mailbox *model_mailbox(const struct model *m);

/* The memory has been changed, and not by the library: all of it, or len bytes at off. */
void model_sync(struct model *m);
void model_sync_part(struct model *m, size_t off, size_t len);

/* The memory is as the shadow has it. */
void model_unchanged(const struct model *m);

/* tcmu_ring_attach() and what comes after it, the reset included; 0 or what attach or start said. */
int model_start(struct model *m);

/* Around a call that may consume: tcmu_ring_next(), tcmu_ring_next_tmr(). cmd: what the first gave. */
void model_before(struct model *m);
void model_consumed(struct model *m, const struct tcmulib_cmd *cmd);

/* The calls that do not consume. */
void model_complete(struct model *m, struct tcmulib_cmd *cmd, uint8_t status);
/* A command that was answered with KEEP_BUF. */
void model_free_kept(struct model *m, uint16_t id);
void model_set_mark(struct model *m, struct tcmulib_cmd *cmd, uint32_t mark);
int model_stop(struct model *m);
void model_note(struct model *m, uint16_t note);
void model_questions(struct model *m, uint16_t id);

/* After a strike: the model sees the ring as the library does. Entries that it may have written to are
 * allowed to have changed. */
void model_resync(struct model *m, const struct tcmulib_cmd *cmd);

/* ---- ring-expect.c: to the shadow ---- */

struct model_slot *model_slot_at(struct model *m, uint32_t i); /* the ith from the tail */
struct tcmu_ring_scratch *expect_scratch(const struct model *m);
struct tcmu_abi_entry *expect_entry(const struct model *m, uint32_t off);
uint32_t model_distance(const struct model *m, uint32_t from, uint32_t to);

bool expect_marked(const struct model *m);
void expect_mark(struct model *m, enum tcmu_ring_mark mark);
/* The ring starts at cmd_tail, without a journal. */
void expect_fresh(struct model *m);
/* The end of draining. False: parked. */
bool expect_restart(struct model *m);
/* Slots at the tail that need no answer. False: parked. */
bool expect_pass(struct model *m);
bool expect_answer(struct model *m, const struct model_answer *a);
/* The entry at pos is consumed; and answered, if it is a lost one. False: parked. */
bool expect_consume(struct model *m);
bool expect_resumable(const struct model *m);
bool expect_whole(const struct model *m);
void expect_take_over(struct model *m);

/* ---- ring-kernel.c ---- */

uint32_t take(size_t bytes); /* of the input */
void model_put_command(struct model *m);
void model_put_tmr(struct model *m);
void model_put_unknown(struct model *m);
/* action/reset_ring, at any time */
void model_kernel_reset(struct model *m);

/* ---- ring-death.c: of an honest kernel ---- */

/* It takes the answers up to cmd_tail. dead: those that a dead process had begun, or given and not told. */
void model_collect(struct model *m, bool dead);
/* Do the slots from tail to head hold what is not answered, each once and as it was put? */
void model_check_journal(const struct model *m);
/* The process is given what it has a right to. */
void model_check_given(struct model *m, const struct tcmulib_cmd *cmd);
/* The command, whose request is in the slot, has been given a mark. */
void model_marked(struct model *m, uint16_t id, uint32_t slot, uint32_t mark);
/* Whether the memory is honest or not: it is as at this moment when the process is dead. */
void model_snapshot(struct model *m);
/* The process has died, now or when the snapshot was made. tear: what it may have written half is garbage. */
void model_die(struct model *m, bool tear);

#endif
