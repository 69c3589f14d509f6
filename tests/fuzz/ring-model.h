/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a ring call may do to the shared memory. Before each call the memory is as in the shadow; after it
 * every byte that differs must be one that this call had to write. The model walks the entries by itself:
 * cmd_tail may only come to a boundary that it has seen consumed.
 */
#ifndef RING_MODEL_H
#define RING_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ring.h"

#define MODEL_MAX_MAP 8192u
#define MODEL_SLOTS   (MODEL_MAX_MAP / TCMU_ABI_OP_ALIGN)
#define MODEL_IDS     256 /* the kernel of the fuzzer gives none above */

/* A consumed entry, not passed by the tail yet. */
struct model_slot {
	uint32_t off, len, op;
};

struct model_answer {
	uint16_t id;
	uint8_t status, uflags;
	uint32_t read_len;
	uint8_t sense[TCMU_ABI_SENSE_SIZE];
};

struct model {
	struct tcmu_ring ring;
	uint8_t *map, *shadow;
	size_t map_len;
	uint32_t size, cmdr_off, data_off; /* of the mailbox */

	/* Nobody but the kernel has written to the ring, and by its rules: it must not be parked. */
	bool honest;
	/* Of the kernel's commands: on the ring, or answered but kept. */
	enum { ID_FREE, ID_LIVE, ID_KEPT } ids[MODEL_IDS];

	uint32_t tail, pos;
	struct model_slot slots[MODEL_SLOTS];
	uint32_t first, count;
	bool kick;

	/* before the call */
	enum tcmulib_ring_state state;
	bool was_reset;
	bool struck; /* what came in the middle of it makes its effect unforeseeable, */
	bool zeroed; /* a reset */

	/* In the next call that may change anything: after so many atomic accesses the kernel does
	 * something. 0: it does not. */
	uint32_t planned_strike, strike;
};

struct tcmu_abi_mailbox *model_mailbox(const struct model *m);

/* The memory has been changed, and not by the library: all of it, or len bytes at off. */
void model_sync(struct model *m);
void model_sync_part(struct model *m, size_t off, size_t len);

/* The memory is as the shadow has it. */
void model_unchanged(const struct model *m);
/* What is the program's, or nobody's yet, stays as it is, unless all of it was somebody else's. */
void model_allow_scratch(struct model *m);
/* The ring goes on where the mailbox says. */
void model_restart(struct model *m);

/* tcmu_ring_attach() and what comes after it, the reset included; 0 or what attach or start said. */
int model_start(struct model *m);

/* Around a call that may consume: tcmu_ring_next(), tcmu_ring_next_tmr(). cmd: what the first gave. */
void model_before(struct model *m);
void model_consumed(struct model *m, const struct tcmulib_cmd *cmd);

/* The calls that do not consume. */
void model_complete(struct model *m, struct tcmulib_cmd *cmd, uint8_t status);
/* A command that was answered with KEEP_BUF. */
void model_free_kept(struct model *m, uint16_t id);
int model_stop(struct model *m);
void model_note(struct model *m, uint16_t note);
void model_questions(struct model *m, uint16_t id);

/* action/reset_ring, at any time */
void model_kernel_reset(struct model *m);

#endif
