/* SPDX-License-Identifier: Apache-2.0 */
/*
 * L2 entries are changed in a copy of their slice, which is written; when it is in the file's page cache, the
 * slice gets it. So what commands find in a slice is in the file, and a command is answered only then. The
 * changes that come while one is written go with the next.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qcow.h"

struct qcow_shadow {
	struct tcmur_io io; /* first */
	struct qcow_lun *lun;
	struct qcow_shadow *next;
	struct qcow_slice *slice;
	struct qcow_cmd *changes;
	struct iovec iov;
	uint8_t *entries;
};

#define SHADOWS     32
#define SLICE_BYTES 4096

static void apply(const struct qcow_header *h, void *entries, const struct qcow_change *c)
{
	if (!c->len)
		return;
	if (c->kind == QCOW_SET_DATA)
		qcow_map_set_data(h, entries, c->off, c->len, c->host, c->moved, c->whole);
	else
		qcow_map_set_zeros(h, entries, c->off, c->len);
}

/* What the entries refer to before the change and not after it. */
static void free_old(struct qcow_cmd *qc, const struct qcow_slice *slice)
{
	const struct qcow_header *h = &qc->lun->top->header;
	const struct qcow_change *c = &qc->change;
	uint64_t cluster = 1ull << h->cluster_bits, end = c->off + c->len, off, len;

	if (!c->len || (c->kind == QCOW_SET_DATA && !c->moved) ||
	    qc->lun->top->data_fd != qc->lun->top->fd) /* not this image's clusters */
		return;
	for (uint64_t at = c->off & ~(cluster - 1); at < end; at += cluster) {
		/* Zeros in a part of a cluster leave it to the rest. */
		if (c->kind == QCOW_SET_ZEROS && (at < c->off || at + cluster > end))
			continue;
		if (qcow_map_reference(h, slice->iov.iov_base, (size_t)(at >> h->cluster_bits),
				       &off, &len))
			qcow_keeper_free(qc, off, len);
	}
}

static void kick(struct qcow_slice *slice, struct qcow_lun *lun);

static void put_shadow(struct qcow_shadow *shadow)
{
	struct qcow_lun *lun = shadow->lun;
	struct qcow_slice *slice = lun->for_shadow;

	shadow->next = lun->shadows;
	lun->shadows = shadow;
	if (slice) {
		lun->for_shadow = slice->next_for_shadow;
		kick(slice, lun);
	}
}

static void finish(struct qcow_cmd *qc, struct qcow_slice *slice, int err)
{
	uint64_t len = qc->change.len;

	if (len && !err) {
		qcow_piece_done(qc);
	} else {
		qcow_piece_left_data(qc);
		qcow_copy_put(qc);
	}
	if (len)
		qcow_unclaim(qc);
	qcow_slice_unpin(slice);
	if (err)
		qcow_cmd_fail(qc, -err);
	else
		qc->step(qc);
}

static void written(struct tcmur_io *io, int64_t res)
{
	struct qcow_shadow *shadow = (struct qcow_shadow *)io;
	struct qcow_lun *lun = shadow->lun;
	struct qcow_slice *slice = shadow->slice;
	struct qcow_cmd *changes = shadow->changes;
	int err = res == (int64_t)shadow->iov.iov_len ? 0 : res < 0 ? (int)res : -EIO;

	slice->shadow = NULL;
	slice->failed = err;
	for (struct qcow_cmd *qc = changes; qc && !err; qc = qc->next) {
		free_old(qc, slice);
		apply(&lun->top->header, slice->iov.iov_base, &qc->change);
		lun->commits++;
	}
	put_shadow(shadow);
	if (slice->queue)
		kick(slice, lun);
	while (changes) {
		struct qcow_cmd *qc = changes;

		changes = qc->next;
		finish(qc, slice, err);
	}
}

/* The bytes of the slice that are to be written. */
static void range(const struct qcow_header *h, const struct qcow_cmd *changes, size_t *from,
		  size_t *to)
{
	size_t entry = qcow_l2_entry_bytes(h);

	for (const struct qcow_cmd *qc = changes; qc; qc = qc->next) {
		const struct qcow_change *c = &qc->change;
		size_t first = (size_t)(c->off >> h->cluster_bits) * entry;
		size_t end = (size_t)((c->off + c->len - 1) >> h->cluster_bits) * entry + entry;

		if (!c->len)
			continue;
		*from = first < *from ? first : *from;
		*to = end > *to ? end : *to;
	}
}

static void kick(struct qcow_slice *slice, struct qcow_lun *lun)
{
	const struct qcow_header *h = &lun->top->header;
	size_t bytes = qcow_slice_bytes(h), from = bytes, to = 0;
	struct qcow_shadow *shadow = lun->shadows;

	if (slice->shadow || !slice->queue)
		return;
	if (!shadow) {
		for (struct qcow_slice *s = lun->for_shadow; s; s = s->next_for_shadow) {
			if (s == slice)
				return;
		}
		slice->next_for_shadow = lun->for_shadow;
		lun->for_shadow = slice;
		return;
	}
	lun->shadows = shadow->next;
	slice->shadow = shadow;
	shadow->slice = slice;
	shadow->changes = slice->queue;
	slice->queue = NULL;
	range(h, shadow->changes, &from, &to);
	if (slice->failed || from > to) {
		from = 0;
		to = bytes;
	}
	memcpy(shadow->entries, slice->iov.iov_base, bytes);
	for (struct qcow_cmd *qc = shadow->changes; qc; qc = qc->next)
		apply(h, shadow->entries, &qc->change);
	shadow->iov = (struct iovec) { shadow->entries + from, to - from };
	shadow->io.done = written;
	tcmur_io_writev(lun->dev, &shadow->io, lun->top->fd, &shadow->iov, 1,
			(off_t)(slice->off + from), 0);
}

void qcow_commit(struct qcow_cmd *qc)
{
	struct qcow_slice *slice = qc->change.slice;

	qc->next = slice->queue;
	slice->queue = qc;
	kick(slice, qc->lun);
}

int qcow_shadows_init(struct qcow_lun *lun)
{
	lun->all_shadows = calloc(SHADOWS, sizeof(*lun->all_shadows));
	lun->shadow_entries = aligned_alloc(SLICE_BYTES, SHADOWS * SLICE_BYTES);
	if (!lun->all_shadows || !lun->shadow_entries)
		return -ENOMEM;
	for (size_t i = 0; i < SHADOWS; i++) {
		struct qcow_shadow *shadow = &lun->all_shadows[i];

		shadow->lun = lun;
		shadow->entries = (uint8_t *)lun->shadow_entries + i * SLICE_BYTES;
		shadow->next = lun->shadows;
		lun->shadows = shadow;
	}
	return 0;
}

void qcow_shadows_fini(struct qcow_lun *lun)
{
	free(lun->all_shadows);
	free(lun->shadow_entries);
}
