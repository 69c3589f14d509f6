/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random commands, many at once, and what a disk can have after them. No two that write overlap, for their
 * order would be nobody's; they share clusters all the more.
 */
#ifndef QCOW_LOAD_H
#define QCOW_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_BLOCK 512u

enum load_kind {
	LOAD_INITIAL, /* the contents before all commands; number 0 */
	LOAD_WRITE,
	LOAD_SAME,
	LOAD_UNMAP,
	LOAD_FLUSH,
	LOAD_READ,
	LOAD_STATUS,
	LOAD_KINDS,
};

/* A command that was begun. Moments are counts of recorded changes (record.h), or SIZE_MAX: never. */
struct load_cmd {
	enum load_kind kind;
	bool fua;
	bool zero;    /* LOAD_SAME: of zeros */
	bool nothing; /* it was answered with TCMU_STS_NOT_HANDLED, and has changed nothing */
	bool ok;
	uint64_t lba, blocks;
	uint64_t begun, ended; /* numbers of events */
	size_t begun_at, ended_at, durable_at;
};

struct load_options {
	bool tags; /* each block that is written is like no other; else each command has one byte */
	bool errors;      /* some commands may fail */
	unsigned int fua; /* so many of 16 writes */
	unsigned int weight[LOAD_KINDS];
	uint64_t most; /* bytes of a write */
	uint64_t near; /* bytes: half of the commands are this near to each other, for a while */
};

extern struct load_options load_options;
extern struct load_cmd *load_cmds;
extern size_t load_cmd_count;
extern unsigned int load_wrong; /* what was not as it has to be, and was said on stderr */

/* What the disk has, bytes of it; they stay the caller's. */
void load_init(const uint8_t *contents, uint64_t size);
/* It has become larger, by zeros. */
void load_grow(uint64_t size);
void load_fini(void);

/* So many commands, on the open device, from all of whom there is an answer at the end; or fewer, and of some there is
 * none, if record_dead is set meanwhile. */
void load_run(size_t count);
/* Called now and then while commands are under way. NULL: nothing. */
extern void (*load_between)(void);
/* Called with a command that has been done. NULL: nothing. */
extern void (*load_done)(const struct load_cmd *cmd, uint8_t pattern);

/* The moment that a disk is looked at. */
enum load_when {
	LOAD_NOW,    /* all commands are done */
	LOAD_KILLED, /* after `at` changes */
	LOAD_CUT,    /* as before, and the power was lost */
};

/* May the block have these contents? */
bool load_may_be(uint64_t lba, const uint8_t *block, enum load_when when, size_t at);
/* Says what it has and what it may have. */
void load_explain(uint64_t lba, const uint8_t *block, enum load_when when, size_t at);
/* Reads all of the open device. */
void load_verify(enum load_when when, size_t at, const char *what);

#endif
