/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches that gather. Where the initiator shares its processor with us, each of its commands would wake us up
 * before it can submit the next: two switches of the processor, a doorbell and a completion for every one.
 * So before it takes commands out of the ring, the device's thread waits until the processor has nothing else
 * to do: a helper thread, of the scheduling class for when nobody else runs, says so. That is soon: the
 * initiator sleeps when it has submitted all that it may. Where another processor is idle it is at once.
 *
 * It is done only as long as it makes batches larger. A try that did not is followed by twice as many batches
 * without, up to GATHER_SKIP_MAX; so a single command at a time, or a processor that others keep busy, pays
 * next to nothing.
 */
#ifndef RUNNER_GATHER_H
#define RUNNER_GATHER_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "libtcmu.h"
#include "runner/thread.h"

struct runner_gather {
	sem_t asked, idle;
	struct runner_thread *helper; /* NULL: none */
	_Atomic(bool) end;            /* the helper is to end, or has */
	_Atomic(bool) waits;          /* the device's thread waits for the helper */
	unsigned int skip;            /* batches until the next try */
	unsigned int failed;          /* how many were skipped after the last one */
};

/* Main thread, before any device: how long it may take at most, microseconds; 0: never. */
void runner_gather_choose(unsigned int usec);

/* The rest on the device's thread, but init on the main thread before, and fini there if there is none. */
void runner_gather_init(struct runner_gather *g);
void runner_gather_fini(struct runner_gather *g);
/* Ends the helper until the next time that it is needed. */
void runner_gather_trim(struct runner_gather *g);
/* May wait as said above, if there are commands in the ring of dev. */
void runner_gather(struct runner_gather *g, struct tcmu_device *dev);

#endif
