/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring in this process and its user space in another one, which is killed at any instruction. The
 * disk is a file; who writes a block of it cannot be killed halfway. The initiator has a model of it
 * (model.h). The process of the ring has one thread.
 */
#ifndef TESTS_RING_CRASH_H
#define TESTS_RING_CRASH_H

#include <sys/types.h>

#include "fake-ring.h"
#include "model.h"
#include "ref-consumer.h"

#define CRASH_BLOCK  512u
#define CRASH_BLOCKS 48u /* so few that commands overlap */
#define CRASH_DEPTH  24
#define CRASH_MAX_IO 24u /* blocks: three pages */

struct crash;

struct crash_io {
	struct crash *c;
	struct fake_cmd cmd;
	bool busy;
	uint64_t model;
	uint8_t data[CRASH_MAX_IO * CRASH_BLOCK];
};

/* What both processes have. */
struct crash_shared {
	_Atomic(int) step; /* how far the server is in its script */
	uint8_t journal[CRASH_BLOCK];
};

struct crash {
	struct fake_verdicts v;
	struct fake_ring *r;
	struct model *m;
	struct crash_shared *sh;
	int disk;
	pid_t pid;
	unsigned int seed;
	unsigned long done, refused; /* refused: BUSY */
	struct crash_io io[CRASH_DEPTH];
};

void crash_open(struct crash *c, const struct fake_ring_cfg *cfg, unsigned int seed);
void crash_close(struct crash *c);

/* serve() must not return. */
void crash_spawn(struct crash *c, void (*serve)(struct crash *c));
/* The server dies, and the fake knows. */
void crash_kill(struct crash *c);
/* What whoever takes over without knowing how far the other one was must do. */
void crash_reset(struct crash *c);

void crash_submit(struct crash *c, int slot, bool write, uint64_t lba, uint32_t blocks);
void crash_submit_some(struct crash *c);
/* Waits until this holds, processing answers; false after some seconds. */
bool crash_wait_step(struct crash *c, int step);
bool crash_wait_done(struct crash *c, unsigned long done); /* or nothing is in flight */
bool crash_wait_quiet(struct crash *c);
/* The end: everything is answered, and the disk holds what it must. */
void crash_judge(struct crash *c);

/* For servers. */
uint64_t crash_lba(const struct ref_cmd *cmd);
void crash_execute(struct crash *c, struct ref_cmd *cmd);

#endif
