/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stops a device for a while: its commands come to their end, new ones wait in the ring, the handler
 * closes the storage and opens it, or another one. The main thread asks (runner/control.c), the device's thread
 * does it, so a storage that takes its time holds up nobody else.
 */
#ifndef RUNNER_PAUSE_H
#define RUNNER_PAUSE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct runner_dev;

enum runner_pause_kind {
	RUNNER_PAUSE_CHANGE, /* another medium */
	RUNNER_PAUSE_REOPEN, /* the same one, closed and opened */
	RUNNER_PAUSE_DRAIN,  /* closed, until RUNNER_REQ_RESUME */
};

/* Who has decided what becomes of it? */
enum runner_pause_stage {
	RUNNER_PAUSE_OPEN,
	RUNNER_PAUSE_DONE,     /* the device's thread: it is, or has failed */
	RUNNER_PAUSE_GIVEN_UP, /* the main thread: it took too long, all stays as it was */
};

struct runner_pause {
	enum runner_pause_kind kind;
	_Atomic(enum runner_pause_stage) stage;
	struct runner_dev *rdev;

	/* CHANGE. The first three are exchanged with the device's, so in the end they are those that are not in
	 * use; stored is what the kernel shall have as the config string. */
	char *cfgstring;   /* malloc'ed */
	size_t config_len; /* runner/defaults.h: own_len */
	uint64_t size;     /* bytes; 0: what is there */
	char *stored;
	unsigned int time_out_sec;

	/* The device's thread; read in ended(). */
	bool flushing, flushed;
	int err;
	char why[256];                             /* a sentence, with err */
	void (*ended)(struct runner_pause *pause); /* on the main thread, once */
};

/* All on the device's thread. RUNNER_REQ_PAUSE was seen: rdev->pause begins, or is given up. */
void runner_pause_begin(struct runner_dev *rdev);
/* Nothing is under way: the next step. May block in the handler. */
void runner_pause_turn(struct runner_dev *rdev);
/* It comes to nothing, for this reason. There may be none. */
void runner_pause_end(struct runner_dev *rdev, int err, const char *why);
/* RUNNER_REQ_RESUME was seen. */
void runner_pause_resume(struct runner_dev *rdev);
/* While rdev->stale: is it over? */
void runner_pause_look(struct runner_dev *rdev);

#endif
