/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting without sleep: to be woken takes longer than many a command. Where the next command usually comes
 * at once, the device's thread looks for it a little before it sleeps. Never with one processor, less and less
 * where it gains nothing, and hardly at all where somebody else wants the processor. All on the device's
 * thread.
 */
#ifndef RUNNER_SPIN_H
#define RUNNER_SPIN_H

#include <stdbool.h>

struct runner_spin {
	bool never;          /* there is one processor */
	unsigned int skip;   /* sleeps until the next try */
	unsigned int failed; /* so many were skipped last */
	unsigned int count;  /* tries of this window */
	long preemptions;    /* before it */
};

/* Main thread, before any device: at most usec microseconds (0: never). */
void runner_spin_choose(unsigned int usec);
/* one_cpu: the thread may run on one processor only. */
void runner_spin_init(struct runner_spin *s, bool one_cpu);
/* Looks until there(arg) or the limit. True: it is there. */
bool runner_spin(struct runner_spin *s, bool (*there)(void *arg), void *arg);

#endif
