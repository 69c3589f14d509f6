/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An initiator that tortures a logical unit: reads and writes of all kinds that overlap, aborts, commands
 * that it loses patience with, events late and in bursts; judged by a model of the disk (tests/ring/model.h),
 * which is accused by verdicts. What else is wrong with an answer is counted, and said on stderr.
 */
#ifndef TESTS_DAEMON_TORTURE_H
#define TESTS_DAEMON_TORTURE_H

#include "tests/ring/fake-kernel.h"

#define TORTURE_BLOCK 512u
#define TORTURE_DEPTH 64u

/* What its initiator has made durable; each of them alone would do what the others forget. */
enum torture_promise {
	TORTURE_FUA = 1, /* also WRITE AND VERIFY */
	TORTURE_FLUSH = 2,
	TORTURE_CACHE = 4, /* the write cache is turned off and on */
};

struct torture_cfg {
	struct fake_dev *dev; /* fresh, all zeros */
	struct fake_verdicts *v;
	const char *path; /* what reads shall bring; both stay the caller's */
	const char *disk; /* of handler-volatile.c: what a loss of power leaves of that. Or NULL */
	uint64_t blocks;
	uint32_t max_io;       /* blocks of the longest; 96 at most */
	unsigned int promises; /* enum torture_promise */
	bool may_tear;         /* a read beside a write may bring half a block of each */
	unsigned int seed;
};

struct torture_counts {
	unsigned long answers, aborted;
	unsigned long expired; /* answered by the kernel */
	unsigned long refused; /* with BUSY */
};

struct torture;

/* Submits from a thread of its own, until torture_stop(). */
struct torture *torture_start(const struct torture_cfg *cfg);
void torture_count(struct torture *t, struct torture_counts *to);
/* Until n more are answered. 0 or -1. */
int torture_progress(struct torture *t, unsigned long n, int timeout_ms);
/* The daemon is dead: has it left commands that it knew of and did not answer? Then the ring's journal and
 * what it had published are looked at. */
bool torture_died(struct torture *t);
/* The daemon is dead, and so is the power of its storage. */
void torture_power_cut(struct torture *t);
/* No new commands, until torture_go_on(); all are answered and the file holds what it must. 0 or -1. */
int torture_pause(struct torture *t, int timeout_ms);
void torture_go_on(struct torture *t);
/* Frees t. How many answers were wrong. */
unsigned int torture_stop(struct torture *t);

#endif
