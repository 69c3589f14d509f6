/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An initiator that keeps a logical unit busy whose storage fails now and then. What is read is judged by a model of
 * the disk (tests/ring/model.h), so a command that failed may have been carried out or not, but not later on; what
 * a failed flush leaves of a volatile cache is anything that was written since the last good one. Errors are
 * counted, not complained about. BUSY, TASK SET FULL and unit attentions are retried, as initiators do.
 */
#ifndef TESTS_GLFS_STRESS_H
#define TESTS_GLFS_STRESS_H

#include <stdio.h>

#include "tests/ring/fake-kernel.h"

#define STRESS_BLOCK 512u

struct stress_cfg {
	uint64_t blocks;
	unsigned int depth;  /* commands in flight, which never overlap */
	unsigned int max_io; /* blocks of the longest */
	unsigned int seed;
	unsigned int rate; /* commands a second at most; 0: as many as there may be */
	unsigned int flush, unmap, reading; /* of 100 commands */
	bool cached;                        /* the unit has a volatile cache */
	/* Any error, not only that of a flush, may tell of data that were written before and are lost. */
	bool any_loses;
	bool wavers; /* model_let_waver() */
};

struct stress;

/* BUSY, TASK SET FULL, UNIT ATTENTION? */
bool stress_wants_retry(const struct fake_cmd *cmd);

/* All zeros at first. */
struct stress *stress_new(struct fake_ring *r);
void stress_free(struct stress *s);
/* Submits from a thread of its own until stress_end(). */
void stress_begin(struct stress *s, const struct stress_cfg *cfg);
bool stress_runs(struct stress *s);
/* Waits until n more commands are answered, with an error or not. How many were. */
unsigned long stress_progress(struct stress *s, unsigned long n, int timeout_ms);
/* One line of JSON about what was since the last time. Moments are of CLOCK_MONOTONIC. */
void stress_print(struct stress *s, FILE *to);

struct stress_outcome {
	unsigned int wrong;     /* blocks, each kind said on stderr */
	unsigned int stuck;     /* commands that were not answered in time; the ring was reset */
	uint64_t unread;        /* blocks that could not be read back in time */
	uint64_t wait_ms, read; /* how long commands in flight took; blocks read back */
};

/* No new commands; waits for those in flight, then reads all of it back. Any number of times. */
void stress_end(struct stress *s, int timeout_ms, struct stress_outcome *to);

#endif
