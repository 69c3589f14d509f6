/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of a copy: what EXTENDED COPY reads or writes on one logical unit, its own or another of this
 * daemon. The copy belongs to the device that has the command, the manager; all functions here run on its
 * thread. What is done at an end is done on the thread of the end's device.
 */
#ifndef RUNNER_COPY_H
#define RUNNER_COPY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "runner/runner.h"
#include "runner/visit.h"

enum copy_what {
	COPY_FIND,  /* for copy_end_find() alone */
	COPY_READ,  /* blocks at lba, into iov */
	COPY_WRITE, /* from iov; need not be durable */
	COPY_FLUSH, /* what was written is as durable as a write that is answered */
};

enum copy_outcome {
	COPY_OK,
	COPY_GONE,     /* it is not served any more */
	COPY_OTHER,    /* copy_end_find(): nobody has this name */
	COPY_REFUSED,  /* copy_end_find(): not from here to there */
	COPY_RESERVED, /* copy_end_find(): perhaps not for who sent the command */
	COPY_RANGE,    /* beyond its capacity */
	COPY_SENSE,    /* sense says why */
	COPY_STS,      /* sts, not TCMU_STS_OK */
};

struct copy_end {
	struct runner_dev *manager;
	bool is_source;
	void *data; /* the caller's */

	/* The caller sets what copy_end_do() has to do. */
	uint64_t lba, blocks;
	struct iovec iov;

	/* The outcome. */
	enum copy_outcome outcome;
	int sts;
	struct scsi_sense sense;

	/* Of copy_end_find(), until copy_end_release(). */
	uint64_t number; /* of the device, see visit.h; 0: none */
	uint8_t naa[SCSI_NAA_SIZE];
	uint32_t block_size; /* bytes */
	uint64_t num_lbas;   /* then */
	bool searching;      /* one by one, as the hint was of no use */
	bool again;          /* nobody has it, but somebody might have soon */

	enum copy_what what;
	void (*step)(struct copy_end *end);
	void (*found)(struct copy_end *end);
	struct runner_visit visit;
	struct runner_cmd back; /* how the outcome comes back: a command of the manager */
	struct iovec used;      /* handlers may consume it */
	struct tcmulib_cmd lib;
	uint8_t cdb[16];
	struct runner_cmd *cmd; /* of the end's device; with the handler's part */
};

void copy_end_init(struct copy_end *end, struct runner_dev *manager, bool is_source, void *data);
/* Looks for the device with this name, which may be copied from or to; own: it is the manager. step runs
 * later from the manager's loop, or at once when there is nobody to be asked: with COPY_OK, or with the end
 * released. */
void copy_end_find(struct copy_end *end, const uint8_t *naa, bool own,
		   void (*step)(struct copy_end *end));
/* Does it there. step runs later from the manager's loop; the end lives until then. One at a time. */
void copy_end_do(struct copy_end *end, enum copy_what what, void (*step)(struct copy_end *end));
/* Lets go of what copy_end_find() has found. */
void copy_end_release(struct copy_end *end);

#endif
