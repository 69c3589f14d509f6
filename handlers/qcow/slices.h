/* SPDX-License-Identifier: Apache-2.0 */
/*
 * L2 tables in memory, in slices. Which one gives its place to another is a clock's choice: one that was used
 * since the hand came by is spared. All on the device's thread.
 */
#ifndef QCOW_SLICES_H
#define QCOW_SLICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tcmu-runner.h"

struct qcow_layer;
struct qcow_cmd;
struct qcow_shadow;

/* Who waits for a slice; its owner's memory. resume() may ask for slices. */
struct qcow_waiter {
	struct qcow_waiter *next;
	void (*resume)(struct qcow_waiter *waiter, int err); /* 0, or -errno: it cannot be read */
};

struct qcow_slice {
	struct tcmur_io io; /* first */
	struct qcow_slices *slices;
	struct qcow_slice *next;  /* in its bucket */
	struct qcow_layer *layer; /* NULL: it is free */
	uint64_t off;
	struct qcow_waiter *waiters; /* while it is being read */
	struct iovec iov;            /* the entries */
	bool reading;
	bool used;
	unsigned int pins; /* it stays */

	/* commit.c */
	bool checked; /* no entry refers to metadata */
	bool failed;  /* what the file has of it is not known: it is written before all else */
	struct qcow_cmd *queue;     /* changes that are to be made */
	struct qcow_shadow *shadow; /* with those that are being made */
	struct qcow_slice *next_for_shadow;
};

struct qcow_slices {
	struct tcmu_device *dev;
	struct qcow_slice *slice; /* count of them */
	size_t count;
	struct qcow_slice **bucket; /* buckets of them, a power of two */
	size_t buckets;
	uint8_t *entries; /* all of them */
	size_t hand;
	size_t pinned;                /* slices */
	struct qcow_waiter *roomless; /* those that wait because all slices are being read */
};

/* As many slices as have room in bytes, 16 at least. 0 or -ENOMEM. */
int qcow_slices_init(struct qcow_slices *slices, struct tcmu_device *dev, uint64_t bytes);
void qcow_slices_fini(struct qcow_slices *slices);

/*
 * The slice at byte off of the layer's file. 1: it stays until the next call, and while it is pinned. 0: waiter
 * gets resume(), later; then it asks again.
 */
int qcow_slices_get(struct qcow_slices *slices, struct qcow_layer *layer, uint64_t off,
		    struct qcow_waiter *waiter, struct qcow_slice **slice);
/*
 * May it be pinned? False: as many others are as can be, since who has pinned one may need another to go on;
 * waiter gets resume(), later.
 */
bool qcow_slice_may_pin(struct qcow_slice *slice, struct qcow_waiter *waiter);
void qcow_slice_pin(struct qcow_slice *slice);
void qcow_slice_unpin(struct qcow_slice *slice);
/* These bytes of the file are something else now. */
void qcow_slices_forget(struct qcow_slices *slices, struct qcow_layer *layer, uint64_t off,
			uint64_t len);

#endif
