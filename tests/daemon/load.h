/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An initiator that keeps a logical unit busy with random reads, writes, unmaps and flushes, and
 * knows what must come back: a model of the disk in memory. Commands in flight never overlap, so
 * each outcome is certain. BUSY, TASK SET FULL and unit attentions are retried, as initiators do.
 */
#ifndef TESTS_DAEMON_LOAD_H
#define TESTS_DAEMON_LOAD_H

#include "tests/ring/fake-kernel.h"

struct load_cfg {
	uint64_t blocks;     /* of 512 bytes */
	unsigned int depth;  /* commands in flight */
	unsigned int max_io; /* blocks of the longest */
	bool unmap;          /* also UNMAP and WRITE SAME; unmapped blocks read as zeros */
	unsigned int seed;
};

struct load;

/* A fresh unit, all zeros. Submits from a thread of its own until load_finish(). */
struct load *load_start(struct fake_ring *r, const struct load_cfg *cfg);
/* Waits until n more commands are answered. 0 or -1. */
int load_progress(struct load *l, unsigned long n, int timeout_ms);
/* How often BUSY was answered so far. */
unsigned long load_refused(struct load *l);
/* No new commands; waits for those in flight, then reads all of it back. The number of commands that
 * failed or gave other data than they should, each said on stderr (at most some). Frees l. */
unsigned int load_finish(struct load *l);
/* Also ends, but the unit is gone: commands that failed are no failures, and nothing is read. */
unsigned int load_abandon(struct load *l);

#endif
