/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Piece by piece, each in one slice of the L2 table. Where clusters are that nobody else refers to, they are
 * written; where there are none, they come from the reserve, and are entered once they hold their data.
 *
 * A loss of power may keep the entry and lose the data. Where the bytes were zeros before and the new clusters
 * are zeros, that leaves what was there, as a lost write may; everywhere else the data are made durable first.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "qcow.h"

static bool has_data_file(const struct qcow_lun *lun)
{
	return lun->top->data_fd != lun->top->fd;
}

static uint64_t at_most(uint64_t len, uint64_t most)
{
	return len < most ? len : most;
}

void qcow_piece_done(struct qcow_cmd *qc)
{
	qcow_copy_put(qc);
	if (qc->iov)
		qcow_advance(qc, qc->piece);
	else
		qc->pos += qc->piece;
}

void qcow_piece_left_data(struct qcow_cmd *qc)
{
	if (qc->change.kind == QCOW_SET_DATA && qc->change.len && !qc->change.moved)
		qc->lun->fresh_from = UINT64_MAX;
}

/* Nothing refers to its clusters. */
void qcow_piece_failed(struct qcow_cmd *qc, int err)
{
	struct qcow_change *c = &qc->change;
	uint32_t bits = qc->lun->top->header.cluster_bits;

	if (c->kind == QCOW_SET_DATA && c->moved)
		qcow_keeper_free(qc, c->host,
				 (((c->off + c->len - 1) >> bits) - (c->off >> bits) + 1) << bits);
	qcow_piece_left_data(qc);
	qcow_uncut(qc);
	qcow_copy_put(qc);
	qcow_unclaim(qc);
	qcow_slice_unpin(c->slice);
	qcow_cmd_fail(qc, err);
}

/* ---- where there are clusters ---- */

static bool write_in_place(struct qcow_cmd *qc);

/*
 * A failed write that was to be durable was either refused itself, or did write and then failed to write back,
 * which may be about older data in the page cache. Lack of space is told apart by a write that is not: one that
 * succeeds convicts the write-back.
 */
static void in_place_failed(struct qcow_cmd *qc, int err, uint64_t progress)
{
	qcow_uncut(qc);
	if (qc->dsync && (err == ENOSPC || err == EDQUOT)) {
		qc->tried = true;
		write_in_place(qc);
		return;
	}
	if (qc->dsync && err != ECANCELED)
		qcow_sync_failed(qc->lun, err);
	qc->pos += progress;
	qcow_cmd_fail(qc, err);
}

static void in_place_done(struct tcmur_io *io, int64_t res)
{
	struct qcow_cmd *qc = (struct qcow_cmd *)io;

	if (res != (int64_t)qc->piece) {
		in_place_failed(qc, res < 0 ? (int)-res : EIO, res < 0 ? tcmur_io_progress(io) : 0);
		return;
	}
	if (qc->tried) {
		qcow_sync_failed(qc->lun, ENOSPC);
		qcow_cmd_fail(qc, EIO);
		return;
	}
	qcow_piece_done(qc);
	qc->step(qc);
}

static void write_data(struct qcow_cmd *qc, uint64_t off, unsigned int flags)
{
	struct qcow_lun *lun = qc->lun;

	if (qc->iov) {
		qcow_cut(qc, qc->piece);
		tcmur_io_writev(lun->dev, &qc->io, lun->top->data_fd, qc->iov, qc->cut_cnt,
				(off_t)off, flags);
	} else {
		qc->zero_iov = (struct iovec) { lun->zeros, (size_t)qc->piece };
		tcmur_io_writev(lun->dev, &qc->io, lun->top->data_fd, &qc->zero_iov, 1, (off_t)off,
				flags);
	}
}

static bool write_in_place(struct qcow_cmd *qc)
{
	struct qcow_lun *lun = qc->lun;

	/* It makes its own bytes durable, and the entries that lead to them are. */
	qc->dsync = qc->fua && lun->commits == lun->synced && !lun->sync_failed && !qc->tried;

	qc->must_sync |= qc->fua && !qc->dsync;
	qc->piece = qc->iov ? qc->place.len : at_most(qc->place.len, QCOW_ZEROS_BYTES);
	qc->io.done = in_place_done;
	write_data(qc, qc->place.off, qc->dsync ? TCMUR_IO_FUA : 0);
	return false;
}

/* ---- where there are none ---- */

static void durable(struct qcow_cmd *qc, int err)
{
	if (err)
		qcow_piece_failed(qc, err);
	else
		qcow_commit(qc);
}

static void data_written(struct tcmur_io *io, int64_t res)
{
	struct qcow_cmd *qc = (struct qcow_cmd *)io;

	if (res != (int64_t)(qc->copy ? qc->copy->iov.iov_len : qc->piece)) {
		qcow_piece_failed(qc, res < 0 ? (int)-res : EIO);
		return;
	}
	if (qc->change.barrier)
		qcow_sync_then(qc, durable);
	else
		qcow_commit(qc);
}

/* The old contents of the unit are there. */
static void copied(struct qcow_cmd *qc, int err)
{
	struct qcow_lun *lun = qc->lun;
	uint64_t cluster = 1ull << lun->top->header.cluster_bits;
	struct qcow_copy *copy = qc->copy;
	uint64_t start = qc->change.off % cluster;
	uint8_t *at = (uint8_t *)copy->room.iov_base + (qc->pos % cluster - start);

	if (err) {
		qcow_piece_failed(qc, err);
		return;
	}
	if (qc->iov)
		tcmu_memcpy_from_iovec(at, qc->piece, qc->iov, qc->iov_cnt);
	else
		memset(at, 0, qc->piece);
	copy->iov = (struct iovec) { copy->room.iov_base, (size_t)qc->change.len };
	if (has_data_file(lun)) /* which ends where the disk does */
		copy->iov.iov_len = at_most(qc->change.len,
					    lun->top->size - (qc->change.host + start));
	qc->io.done = data_written;
	tcmur_io_writev(lun->dev, &qc->io, lun->top->data_fd, &copy->iov, 1,
			(off_t)(qc->change.host + start), 0);
}

/* Do the bytes read as zeros, and has no layer below any for them? */
static bool reads_as_zeros(const struct qcow_cmd *qc)
{
	const struct qcow_layer *backing = qc->lun->top->backing;

	if (qc->place.where == QCOW_ZEROS)
		return true;
	return qc->place.where == QCOW_ELSEWHERE && (!backing || qc->pos >= backing->size);
}

/* All of the first unit, too: the backing file may end in it, before pos. */
static bool unit_reads_as_zeros(const struct qcow_cmd *qc, uint64_t unit)
{
	const struct qcow_layer *backing = qc->lun->top->backing;

	return reads_as_zeros(qc) && (qc->place.where == QCOW_ZEROS || !backing ||
				      qc->pos - qc->pos % unit >= backing->size);
}

static bool allocate(struct qcow_cmd *qc, struct qcow_slice *slice, uint64_t len)
{
	struct qcow_lun *lun = qc->lun;
	const struct qcow_header *h = &lun->top->header;
	const struct qcow_place *place = &qc->place;
	uint64_t cluster = 1ull << h->cluster_bits, span = qcow_slice_span(h);
	bool there = has_data_file(lun) || (place->stored && place->own);
	bool whole = place->where == QCOW_COMPRESSED || (!there && place->stored);
	uint64_t unit = whole ? cluster : qcow_unit_bytes(h);
	bool clean = unit_reads_as_zeros(qc, unit) && !(whole && qcow_has_subclusters(h)) &&
		     !has_data_file(lun) &&
		     (!there || (place->where == QCOW_ELSEWHERE && place->off >= lun->fresh_from));
	struct qcow_change change = { .kind = QCOW_SET_DATA, .slice = slice, .moved = !there };
	bool copy = false;
	uint64_t first = qc->pos / cluster, n;

	if (whole)
		len = at_most(qc->end - qc->pos, cluster - qc->pos % cluster);
	if (!clean) {
		copy = qc->pos % unit || len < unit;
		len = copy ? at_most(len, unit - qc->pos % unit) : len - len % unit;
	}
	if (copy && !qcow_copy_get(qc))
		return false;
	change.host = has_data_file(lun) ? first * cluster : place->off - qc->pos % cluster;
	if (!there) {
		n = qcow_keeper_take(qc, 1, (qc->pos + len - 1) / cluster - first + 1,
				     &change.host);
		if (!n) {
			qcow_copy_put(qc);
			return false;
		}
		len = at_most(len, (first + n) * cluster - qc->pos);
	}
	change.off = qc->pos % span;
	change.len = len;
	if (copy) {
		change.off -= change.off % unit;
		change.len = unit;
	}
	change.whole = whole;
	change.barrier = !clean;
	qcow_slice_pin(slice);
	qcow_claim(qc, first, (qc->pos + len - 1) / cluster);
	qc->change = change;
	qc->piece = len;
	qc->must_sync |= qc->fua;
	qc->cut_cnt = 0;
	qc->io.done = data_written;
	if (copy)
		qcow_copy_read(qc, qc->pos - qc->pos % unit, unit, copied);
	else if (!qc->iov && !there) /* they are zeros already, durably */
		qcow_commit(qc);
	else
		write_data(qc, change.host + qc->pos % cluster, 0);
	return false;
}

/* ---- zeros ---- */

static void hole_done(struct tcmur_io *io, int64_t res)
{
	struct qcow_cmd *qc = (struct qcow_cmd *)io;

	if (res == -EOPNOTSUPP || res == -ENOSYS || res == -EINVAL) {
		qc->lun->no_holes = true;
		write_in_place(qc);
		return;
	}
	if (res < 0) {
		qcow_cmd_fail(qc, (int)-res);
		return;
	}
	qcow_piece_done(qc);
	qc->step(qc);
}

/* In a data file clusters stay where they are. */
static bool punch(struct qcow_cmd *qc)
{
	qc->must_sync |= qc->fua;
	qc->piece = qc->place.len;
	qc->io.done = hole_done;
	tcmur_io_fallocate(qc->lun->dev, &qc->io, qc->lun->top->data_fd,
			   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)qc->place.off,
			   (off_t)qc->piece);
	return false;
}

static bool deallocate(struct qcow_cmd *qc, struct qcow_slice *slice, uint64_t len)
{
	const struct qcow_header *h = &qc->lun->top->header;

	qcow_slice_pin(slice);
	qcow_claim(qc, qc->pos >> h->cluster_bits, (qc->pos + len - 1) >> h->cluster_bits);
	qc->change = (struct qcow_change) {
		.kind = QCOW_SET_ZEROS,
		.slice = slice,
		.off = qc->pos % qcow_slice_span(h),
		.len = len,
	};
	qc->piece = len;
	qc->must_sync |= qc->fua;
	qcow_commit(qc);
	return false;
}

/* most: bytes of the slice from pos on whose entries nobody changes. */
static bool write_zeros(struct qcow_cmd *qc, struct qcow_slice *slice, uint64_t most)
{
	struct qcow_lun *lun = qc->lun;
	const struct qcow_header *h = &lun->top->header;
	uint64_t cluster = 1ull << h->cluster_bits, unit = qcow_unit_bytes(h);
	bool says_zeros = h->version >= 3 || !lun->top->backing;
	bool data = qc->place.where == QCOW_DATA && qc->place.own;
	uint64_t len = at_most(qc->place.len, most);

	if (reads_as_zeros(qc) && !(qc->place.stored && qc->place.own)) {
		qc->pos += len;
		return true;
	}
	if (has_data_file(lun)) {
		if (reads_as_zeros(qc)) {
			qc->pos += len;
			return true;
		}
		if (data)
			return lun->no_holes ? write_in_place(qc) : punch(qc);
		most = len; /* what follows may have data there */
	}
	if (says_zeros && qc->pos % cluster == 0 && most >= cluster)
		return deallocate(qc, slice, most - most % cluster);
	if (reads_as_zeros(qc)) { /* part of a cluster that is kept */
		qc->pos += len;
		return true;
	}
	if (says_zeros && qcow_has_subclusters(h) && qc->place.where != QCOW_COMPRESSED &&
	    qc->pos % unit == 0 && len >= unit)
		return deallocate(qc, slice, len - len % unit);
	return data ? write_in_place(qc) : allocate(qc, slice, len);
}

/* ---- all of it ---- */

/* Damage that writing would make worse. */
static void damaged(struct qcow_cmd *qc, const char *what)
{
	qcow_say_damaged(qc->lun, qc->lun->top, qc->pos, what);
	qcow_keeper_mark_corrupt(qc);
	qcow_cmd_fail(qc, EUCLEAN);
}

/* An entry that refers to metadata: data would be written over them. */
static bool refers_to_metadata(struct qcow_lun *lun, struct qcow_slice *slice)
{
	const struct qcow_header *h = &lun->top->header;
	size_t count = slice->iov.iov_len / qcow_l2_entry_bytes(h);

	if (slice->checked || h->version == 1 || has_data_file(lun))
		return false;
	for (size_t i = 0; i < count; i++) {
		uint64_t off, len;

		if (!qcow_map_reference(h, slice->iov.iov_base, i, &off, &len))
			continue;
		for (uint64_t c = off >> h->cluster_bits; c <= (off + len - 1) >> h->cluster_bits;
		     c++) {
			if (qcow_owned_has(&lun->keeper.refcounts.owned, c))
				return true;
		}
	}
	slice->checked = true;
	return false;
}

/* The slice for pos, of a table that is this image's alone. NULL: qc waits, or has failed. */
static struct qcow_slice *own_slice(struct qcow_cmd *qc, uint64_t in_table, uint32_t l1_index)
{
	struct qcow_lun *lun = qc->lun;
	struct qcow_layer *top = lun->top;
	const struct qcow_header *h = &top->header;
	uint64_t table = qcow_l2_table(h, top->l1[l1_index]);
	struct qcow_slice *slice;
	uint64_t off;

	if (!table || !qcow_l2_table_own(h, top->l1[l1_index])) {
		qcow_keeper_make_table(qc, l1_index);
		return NULL;
	}
	off = table + in_table / qcow_slice_span(h) * qcow_slice_bytes(h);
	if (off >= top->file_size || (h->version > 1 && table & ((1ull << h->cluster_bits) - 1))) {
		damaged(qc,
			"an L2 table that is not in the file, or not at the start of a cluster");
		return NULL;
	}
	if (!qcow_slices_get(&lun->slices, top, off, &qc->waiter, &slice))
		return NULL;
	if (refers_to_metadata(lun, slice)) {
		damaged(qc, "an entry in its L2 table that refers to metadata");
		return NULL;
	}
	if (!qcow_slice_may_pin(slice, &qc->waiter))
		return NULL;
	if (slice->failed) { /* nothing is done before the file has what the slice has */
		qcow_slice_pin(slice);
		qc->change = (struct qcow_change) { .slice = slice };
		qcow_commit(qc);
		return NULL;
	}
	return slice;
}

/* The front of what is left. True: it is done, and there may be more. */
static bool piece(struct qcow_cmd *qc)
{
	struct qcow_lun *lun = qc->lun;
	const struct qcow_header *h = &lun->top->header;
	uint32_t l1_shift = h->cluster_bits + h->l2_bits;
	uint32_t l1_index = (uint32_t)(qc->pos >> l1_shift);
	uint64_t in_table = qc->pos & ((1ull << l1_shift) - 1), span = qcow_slice_span(h);
	uint64_t most = at_most(qc->end - qc->pos, span - qc->pos % span), last;
	struct qcow_slice *slice;
	const char *wrong;

	if (!qc->iov && !lun->top->backing && !qcow_l2_table(h, lun->top->l1[l1_index])) {
		qc->pos += at_most(qc->end - qc->pos, (1ull << l1_shift) - in_table);
		return true;
	}
	slice = own_slice(qc, in_table, l1_index);
	if (!slice)
		return false;
	last = (qc->pos + most - 1) >> h->cluster_bits;
	if (!qcow_claim_free(qc, qc->pos >> h->cluster_bits, &last))
		return false;
	most = at_most(most, ((last + 1) << h->cluster_bits) - qc->pos);
	wrong = qcow_map(h, slice->iov.iov_base, qc->pos % span, most, &qc->place);
	if (wrong) {
		damaged(qc, wrong);
		return false;
	}
	if (!qc->iov)
		return write_zeros(qc, slice, most);
	if (qc->place.where == QCOW_DATA && qc->place.own)
		return write_in_place(qc);
	return allocate(qc, slice, qc->place.len);
}

static void write_step(struct qcow_cmd *qc)
{
	if (qc->lun->damaged) {
		qcow_cmd_fail(qc, EUCLEAN);
		return;
	}
	qcow_cmd_renew(qc);
	while (qc->pos < qc->end) {
		if (!piece(qc))
			return;
	}
	if (qc->must_sync)
		qcow_sync_then(qc, qcow_sync_end);
	else
		qcow_cmd_end(qc);
}

static int begin(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
		 struct iovec *iov, size_t iov_cnt)
{
	struct qcow_lun *lun = tcmur_dev_get_private(dev);
	struct qcow_cmd *qc;

	if (!lun->writable || lun->damaged)
		return TCMU_STS_WRITE_PROTECTED;
	qc = qcow_cmd_begin(dev, cmd, off, len, write_step);
	qc->fail_sts = TCMU_STS_WR_ERR;
	qc->iov = iov;
	qc->iov_cnt = iov_cnt;
	qc->fua = tcmur_cmd_fua(cmd);
	write_step(qc);
	return TCMU_STS_ASYNC_HANDLED;
}

int qcow_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
	       size_t len, off_t off)
{
	return begin(dev, cmd, (uint64_t)off, len, iov, iov_cnt);
}

int qcow_unmap(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len)
{
	return begin(dev, cmd, off, len, NULL, 0);
}

int qcow_writesame(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
		   struct iovec *iov, size_t iov_cnt)
{
	if (!tcmu_iovec_zeroed(iov, iov_cnt))
		return TCMU_STS_NOT_HANDLED;
	return begin(dev, cmd, off, len, NULL, 0);
}
