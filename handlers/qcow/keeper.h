/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps what commands need to change the image: clusters that are reserved, tables to enter them in, and those
 * that have become free. It works on a worker, one job at a time, each begun in the name of a command, which
 * does not end before its job does: when no command is in flight, nothing of this is.
 */
#ifndef QCOW_KEEPER_H
#define QCOW_KEEPER_H

#include <pthread.h>

#include "refcount.h"
#include "slices.h"
#include "tcmu-runner.h"

struct qcow_lun;
struct qcow_cmd;

#define QCOW_RUNS    256
#define QCOW_RECLAIM 256

enum qcow_job {
	QCOW_NO_JOB,
	QCOW_RESERVE,
	QCOW_MAKE_TABLE,
	QCOW_SYNC,
	QCOW_GIVE_BACK,
	QCOW_MARK_CORRUPT,
};

/* Bytes of the image whose clusters an entry referred to. */
struct qcow_free {
	uint64_t off;
	uint64_t len;
	uint64_t epoch;
};

struct qcow_keeper {
	struct tcmur_io io; /* first */
	struct qcow_lun *lun;
	pthread_mutex_t lock; /* refcounts, and what the file has as header and L1 table */
	struct qcow_refcounts refcounts;

	/* The job, and in whose name. */
	enum qcow_job job;
	struct qcow_cmd *owner;
	struct qcow_waiter *waiters; /* until it is over */
	int64_t res;

	/* Clusters to take. */
	struct qcow_run reserve[QCOW_RUNS];
	size_t runs;
	uint64_t reserved; /* clusters in them */
	uint64_t batch;    /* so many are asked for the next time */
	struct qcow_run got[QCOW_RUNS];
	size_t room; /* for so many of them */
	bool wanted; /* the owner waits for some: it gets the error */

	/* QCOW_MAKE_TABLE */
	uint32_t l1_index;
	uint64_t table, old_table;

	/* A ring of a power of two, by number; frees_first is the oldest one. */
	struct qcow_free *frees;
	uint64_t frees_size, frees_first, frees_end;
	uint64_t frees_durable; /* those before it are in no table any more, durably */
	struct qcow_free reclaim[QCOW_RECLAIM];
	uint64_t reclaim_count;
	/* QCOW_SYNC: what it makes durable */
	uint64_t sync_end, sync_commits;
};

int qcow_keeper_open(struct qcow_lun *lun, char **reason);
/* Gives back what was reserved, and all that is free. May block. */
void qcow_keeper_close(struct qcow_lun *lun);
/* The same of one that could not be opened: nothing is written. */
void qcow_keeper_abandon(struct qcow_lun *lun);

/*
 * Takes clusters from the reserve, in a row: up to most, at least least. Their number, *off the first byte of
 * them, which read as zeros. 0: qc waits, and goes on with its step, or fails.
 */
uint64_t qcow_keeper_take(struct qcow_cmd *qc, uint64_t least, uint64_t most, uint64_t *off);

/* The L1 entry shall refer to an L2 table that is this image's alone. qc waits, and goes on with its step. */
void qcow_keeper_make_table(struct qcow_cmd *qc, uint32_t l1_index);

/* No entry refers to it any more, once what has been written is durable. In the name of qc that is seen to. */
void qcow_keeper_free(struct qcow_cmd *qc, uint64_t off, uint64_t len);
/* All that was freed before end is durably so. */
void qcow_keeper_durable(struct qcow_lun *lun, uint64_t end);
/* The image gets the bit that says so, in the name of qc. */
void qcow_keeper_mark_corrupt(struct qcow_cmd *qc);
/* Begins to give back what can be, in the name of qc. */
void qcow_keeper_reclaim(struct qcow_cmd *qc);

#endif
