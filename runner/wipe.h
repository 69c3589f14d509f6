/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on a whole medium, for FORMAT UNIT and SANITIZE. Device's thread.
 *
 * The runner does them with a command of its own, a piece at a time, once the commands that came before
 * are over; meanwhile the gates in dispatch.c answer NOT READY with the progress. What is pending or
 * failed is in the device's note, so that a restart tells the truth. A stop, and a failure, leave the
 * failed state.
 */
#ifndef RUNNER_WIPE_H
#define RUNNER_WIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scsi/format.h"

struct runner_cmd;
struct runner_dev;
struct runner_wipe;

/* What became of a format or sanitize operation that did not come to a good end. */
enum runner_health {
	RUNNER_HEALTH_OK,
	RUNNER_SANITIZE_FAILED,            /* its AUSE bit was set: EXIT FAILURE MODE ends this */
	RUNNER_SANITIZE_FAILED_RESTRICTED, /* only a SANITIZE that succeeds ends this */
	RUNNER_FORMAT_FAILED,              /* FORMAT UNIT or SANITIZE ends this */
};

enum runner_wipe_kind {
	RUNNER_WIPE_FORMAT,    /* deallocate, or as the handler likes to write the pattern */
	RUNNER_WIPE_OVERWRITE, /* every byte is really written */
	RUNNER_WIPE_ERASE,     /* every byte is really written with 0, then deallocated */
};

struct runner_wipe_plan {
	enum runner_wipe_kind kind;
	unsigned int passes; /* each is on stable storage before the next one */
	bool invert; /* the last pass writes the pattern, the one before its complement, ... */
	struct scsi_pattern pattern; /* copied */
	enum runner_health failed;   /* the state if it does not come to a good end */
};

/* Starts it for rc, which is answered when it has ended; with immed, as soon as it has begun. */
void runner_wipe_start(struct runner_cmd *rc, const struct runner_wipe_plan *plan, bool immed);
/* Is rc waiting for the end of one? Then it does not any more, and the caller finishes it: the
 * operation itself goes on when its command is aborted (SBC-4 4.11.2). */
bool runner_wipe_abandon(struct runner_cmd *rc);
/* NOT READY, with the name of the operation that goes on and its progress. */
void runner_wipe_sense(const struct runner_dev *rdev, struct scsi_sense *sense);
/* Is the operation that goes on a sanitize operation? */
bool runner_wipe_sanitizes(const struct runner_dev *rdev);
/* dispatch.c: the last active command is over. */
void runner_wipe_kick(struct runner_dev *rdev);

#endif
