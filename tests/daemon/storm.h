/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands as nobody should send them: every opcode with random CDBs of every length, commands that
 * exist with fields that are at their limits or wrong, and data buffers of any length and direction.
 * What the standards say of an answer is checked here, with tables of its own.
 */
#ifndef TESTS_DAEMON_STORM_H
#define TESTS_DAEMON_STORM_H

#include "tests/ring/fake-kernel.h"

#define STORM_BLOCKS   4096u /* of the unit, of 512 bytes */
#define STORM_DATA_MAX 262144u

struct storm {
	/* By opcode: does REPORT SUPPORTED OPERATION CODES list it? */
	bool listed[256];
	bool no_strangers; /* no commands that are listed, but not in the table here */
	unsigned int seed;
	unsigned int turn;       /* opcodes in turn */
	const uint8_t *medium;   /* for data-out that is there already, or NULL */
	unsigned int write_zone; /* data-changing commands aim at blocks in front of this one */
	unsigned long good, refused, unknown;
};

struct storm_cmd {
	struct fake_cmd cmd;
	uint8_t *data, *bidi; /* STORM_DATA_MAX bytes each */
	int done;
};

unsigned int storm_rand(struct storm *s, unsigned int below);
void storm_alloc(struct storm_cmd *sc);
void storm_free(struct storm_cmd *sc);
/* Fills in listed from the answer to REPORT SUPPORTED OPERATION CODES. NULL, or what is wrong. */
const char *storm_learn(struct storm *s, const uint8_t *list, size_t len);
/* One that the unit has, and the table here has not: only the form of its answers can be judged. */
bool storm_is_stranger(const struct storm *s, const struct fake_cmd *cmd);
void storm_compose(struct storm *s, struct storm_cmd *sc);

/* What is wrong with this answer, whatever the medium holds; NULL: nothing. */
const char *storm_wrong(struct storm *s, const struct fake_cmd *cmd);
void storm_print(const struct fake_cmd *cmd);

/* Which blocks the command names, if it is one that changes them (WRITE, WRITE SAME: one range, UNMAP:
 * the nth); false: no more. What lies beyond the medium is cut off, and told by *beyond. */
bool storm_range(const struct fake_cmd *cmd, unsigned int n, uint32_t *lba, uint32_t *blocks,
		 bool *beyond);
uint64_t storm_get(const uint8_t *p, int bytes);

#endif
