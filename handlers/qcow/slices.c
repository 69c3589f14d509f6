/* SPDX-License-Identifier: Apache-2.0 */
#include "slices.h"

#include <errno.h>
#include <stdlib.h>

#include "layer.h"
#include "map.h"
#include "tcmu-runner.h"

#define SLICE_BYTES 4096 /* the largest */
#define COUNT_LEAST 16

int qcow_slices_init(struct qcow_slices *slices, struct tcmu_device *dev, uint64_t bytes)
{
	size_t count = bytes / SLICE_BYTES;
	size_t buckets = 1;

	if (count < COUNT_LEAST)
		count = COUNT_LEAST;
	while (buckets < count)
		buckets *= 2;
	*slices = (struct qcow_slices) { .dev = dev, .count = count, .buckets = buckets };
	slices->slice = calloc(count, sizeof(*slices->slice));
	slices->bucket = calloc(buckets, sizeof(*slices->bucket));
	/* Memory is taken when it is used. */
	slices->entries = aligned_alloc(SLICE_BYTES, count * SLICE_BYTES);
	if (!slices->slice || !slices->bucket || !slices->entries) {
		qcow_slices_fini(slices);
		return -ENOMEM;
	}
	return 0;
}

void qcow_slices_fini(struct qcow_slices *slices)
{
	free(slices->slice);
	free(slices->bucket);
	free(slices->entries);
	*slices = (struct qcow_slices) { 0 };
}

static struct qcow_slice **bucket_of(struct qcow_slices *slices, const struct qcow_layer *layer,
				     uint64_t off)
{
	uint64_t hash = (off / 512 + (uintptr_t)layer / 64) * 0x9e3779b97f4a7c15ull;

	return &slices->bucket[(hash >> 32) & (slices->buckets - 1)];
}

static struct qcow_slice *find(struct qcow_slices *slices, const struct qcow_layer *layer,
			       uint64_t off)
{
	struct qcow_slice *slice = *bucket_of(slices, layer, off);

	while (slice && (slice->layer != layer || slice->off != off))
		slice = slice->next;
	return slice;
}

static void forget(struct qcow_slice *slice)
{
	struct qcow_slice **link = bucket_of(slice->slices, slice->layer, slice->off);

	while (*link != slice)
		link = &(*link)->next;
	*link = slice->next;
	slice->layer = NULL;
}

/* NULL: all are being read or changed. */
static struct qcow_slice *make_room(struct qcow_slices *slices)
{
	for (size_t turn = 0; turn < 2 * slices->count; turn++) {
		struct qcow_slice *slice = &slices->slice[slices->hand];

		slices->hand = (slices->hand + 1) % slices->count;
		if (slice->reading || slice->pins)
			continue;
		if (!slice->layer)
			return slice;
		if (!slice->used) {
			forget(slice);
			return slice;
		}
		slice->used = false;
	}
	return NULL;
}

static void resume_all(struct qcow_waiter *waiter, int err)
{
	while (waiter) {
		struct qcow_waiter *next = waiter->next;

		waiter->resume(waiter, err);
		waiter = next;
	}
}

static void read_done(struct tcmur_io *io, int64_t res)
{
	struct qcow_slice *slice = (struct qcow_slice *)io;
	struct qcow_slices *slices = slice->slices;
	struct qcow_waiter *waiters = slice->waiters;
	struct qcow_waiter *roomless = slices->roomless;
	int err = 0;

	if (res != (int64_t)slice->iov.iov_len)
		err = res < 0 ? (int)res : -ENODATA; /* the file ends inside a table */
	slice->reading = false;
	slice->used = true;
	slice->waiters = NULL;
	slices->roomless = NULL;
	if (err)
		forget(slice);
	resume_all(waiters, err);
	resume_all(roomless, 0);
}

static void start_read(struct qcow_slices *slices, struct qcow_slice *slice,
		       struct qcow_layer *layer, uint64_t off)
{
	struct qcow_slice **bucket = bucket_of(slices, layer, off);

	slice->io.done = read_done;
	slice->slices = slices;
	slice->layer = layer;
	slice->off = off;
	slice->next = *bucket;
	*bucket = slice;
	slice->iov.iov_base = slices->entries + (size_t)(slice - slices->slice) * SLICE_BYTES;
	slice->iov.iov_len = qcow_slice_bytes(&layer->header);
	slice->reading = true;
	slice->checked = false;
	tcmur_io_readv(slices->dev, &slice->io, layer->fd, &slice->iov, 1, (off_t)off);
}

static void wait_in(struct qcow_waiter **list, struct qcow_waiter *waiter)
{
	waiter->next = *list;
	*list = waiter;
}

int qcow_slices_get(struct qcow_slices *slices, struct qcow_layer *layer, uint64_t off,
		    struct qcow_waiter *waiter, struct qcow_slice **found)
{
	struct qcow_slice *slice = find(slices, layer, off);

	if (!slice) {
		slice = make_room(slices);
		if (!slice) {
			wait_in(&slices->roomless, waiter);
			return 0;
		}
		start_read(slices, slice, layer, off);
	}
	if (slice->reading) {
		wait_in(&slice->waiters, waiter);
		return 0;
	}
	slice->used = true;
	*found = slice;
	return 1;
}

bool qcow_slice_may_pin(struct qcow_slice *slice, struct qcow_waiter *waiter)
{
	if (slice->pins || slice->slices->pinned < slice->slices->count / 2)
		return true;
	wait_in(&slice->slices->roomless, waiter);
	return false;
}

void qcow_slice_pin(struct qcow_slice *slice)
{
	if (!slice->pins++)
		slice->slices->pinned++;
}

void qcow_slice_unpin(struct qcow_slice *slice)
{
	struct qcow_waiter *roomless = slice->slices->roomless;

	if (--slice->pins)
		return;
	slice->slices->pinned--;
	slice->slices->roomless = NULL;
	resume_all(roomless, 0);
}

void qcow_slices_forget(struct qcow_slices *slices, struct qcow_layer *layer, uint64_t off,
			uint64_t len)
{
	size_t bytes = qcow_slice_bytes(&layer->header);

	for (uint64_t at = off; at < off + len; at += bytes) {
		struct qcow_slice *slice = find(slices, layer, at);

		if (slice && !slice->pins && !slice->reading)
			forget(slice);
	}
}
