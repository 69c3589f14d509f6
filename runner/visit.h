/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages from one device's thread to another's: what a command needs of another logical unit is done
 * there. Nobody holds a device: who sends a message names the device by its number, which is never used
 * again, and learns whether it is still served. A device that stops takes no new messages and waits for
 * those that it has.
 */
#ifndef RUNNER_VISIT_H
#define RUNNER_VISIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "scsi/inquiry.h"
#include "util/list.h"
#include "util/mpsc.h"

struct runner_dev;

struct runner_visit {
	struct mpsc_node node;
	/* On the visited device's thread; ends with runner_visit_end(), there or in a later step. */
	void (*run)(struct runner_visit *visit, struct runner_dev *rdev);
};

/* In each runner_dev. */
struct runner_visits {
	struct list node; /* of the devices that can be visited; guarded by the lock in visit.c */
	uint64_t number;  /* 0: not there yet */
	bool named;       /* naa is what it said last of itself */
	uint8_t naa[SCSI_NAA_SIZE];
	_Atomic(unsigned int) guests; /* sent, and not yet ended */
	bool expected;                /* see runner_visits_expect() */
	struct mpsc arrived;
};

/* Device's thread: it is served from now on, and no more. */
void runner_visits_open(struct runner_dev *rdev);
void runner_visits_close(struct runner_dev *rdev);
/* Device's thread: runs those that have arrived. */
void runner_visits_reap(struct runner_dev *rdev);
/* Device's thread: one is over. */
void runner_visit_end(struct runner_dev *rdev);
/* Device's thread: its name, NULL: it has none. A hint for runner_visits_named(). */
void runner_visits_set_name(struct runner_dev *rdev, const uint8_t *naa);

/* Any thread: to the device with this number. False: it is not served any more, and run() does not run. */
bool runner_visit_send(uint64_t number, struct runner_visit *visit);
/* Any thread: the number of the device that said last that this is its name, 0: none. */
uint64_t runner_visits_named(const uint8_t *naa);
/* Any thread: the lowest number above this, 0: none. */
uint64_t runner_visits_next(uint64_t number);

/* Initiators know of a device that the kernel had before we came: it is expected until it is served, or
 * cannot be (runner_visits_give_up()). Main thread before the device's has started, device's thread, main
 * thread when that has ended. */
void runner_visits_expect(struct runner_dev *rdev);
void runner_visits_give_up(struct runner_dev *rdev);
/* Main thread: all devices are about to stop. */
void runner_visits_shut(void);
/* Any thread: may a device that is not there be there soon, when the command is sent again? That is so at
 * the start of the daemon, and at its end, as there will be another one. */
bool runner_visits_try_again(void);

#endif
