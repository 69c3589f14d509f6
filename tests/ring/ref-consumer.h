/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest user space that does everything right, independent of libtcmu: the fake kernel is
 * tested with it, and tests that misbehave on purpose build on its parts.
 */
#ifndef TESTS_RING_REF_CONSUMER_H
#define TESTS_RING_REF_CONSUMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "lib/abi.h"

struct ref_consumer {
	uint8_t *base;
	struct tcmu_abi_mailbox *mb;
	uint8_t *cmdr;
	uint32_t size, pos;
};

struct ref_cmd {
	uint8_t op; /* TCMU_ABI_OP_CMD or _TMR */
	uint16_t id;
	uint8_t cdb[260];
	uint32_t iov_cnt, bidi_cnt;
	struct iovec *iov; /* absolute; malloc'ed, ref_free() */
	uint8_t tmr_type;
	uint32_t tmr_cnt;
	uint16_t tmr_ids[64]; /* the first ones */
};

void ref_init(struct ref_consumer *c, void *base);
/* The next entry that is not a PAD; false if there is none. */
bool ref_next(struct ref_consumer *c, struct ref_cmd *cmd);
/* The entry at pos, which must be there. False for a PAD. */
bool ref_take(struct ref_consumer *c, struct ref_cmd *cmd);
/* Wrong on purpose: takes the entry at pos as soon as it looks like one, wherever cmd_head is. */
bool ref_next_ahead(struct ref_consumer *c, struct ref_cmd *cmd);
void ref_free(struct ref_cmd *cmd);
/* What the CDB of this command looks like: bytes. */
size_t ref_cdb_len(const uint8_t *cdb);
size_t ref_len(const struct ref_cmd *cmd);
void ref_fill(struct ref_cmd *cmd, uint8_t byte, size_t len);

/* The CMD slot that the next answer goes into; PAD and TMR slots in front of it are passed. NULL
 * if everything that was read is answered. */
struct tcmu_abi_entry *ref_slot(struct ref_consumer *c);
void ref_pass(struct ref_consumer *c); /* moves cmd_tail over one slot */
void ref_answer(struct ref_consumer *c, uint16_t id, uint8_t status, uint8_t uflags,
		uint32_t read_len);
/* CHECK CONDITION with this sense. */
void ref_answer_sense(struct ref_consumer *c, uint16_t id, uint8_t key, uint8_t asc);

#endif
