/* SPDX-License-Identifier: Apache-2.0 */
/* Which clusters are free, and making others so. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "refcount.h"

#define ZEROS_BYTES 65536

/* A free cluster, counted. */
static int take(struct qcow_refcounts *r, uint64_t *cluster)
{
	for (;;) {
		int ret = qcow_refcounts_seek(r);

		if (ret)
			return ret;
		if (r->block_dev && (r->hint + 1) << r->cluster_bits > r->file_size)
			return -ENOSPC;
		if (qcow_owned_has(&r->owned, r->hint))
			return -EUCLEAN; /* metadata that nobody counts */
		*cluster = r->hint++;
		if (qcow_refcounts_covered(r, *cluster))
			return qcow_refcount_set(r, *cluster, 1);
		if (qcow_rc_block(r, *cluster) >= r->entries)
			ret = qcow_refcounts_grow(r, *cluster);
		else
			ret = qcow_refcounts_make_block(r, qcow_rc_block(r, *cluster), *cluster);
		if (!ret && qcow_refcounts_covered(r, *cluster) &&
		    r->table[qcow_rc_block(r, *cluster)] == *cluster << r->cluster_bits)
			ret = qcow_refcount_set(r, *cluster, 1);
		if (ret)
			return ret;
	}
}

static int punch(struct qcow_refcounts *r, uint64_t off, uint64_t len)
{
	static const uint8_t zeros[ZEROS_BYTES];

	if (!fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len))
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL && errno != ENODEV)
		return -errno;
	while (len) {
		size_t n = len < ZEROS_BYTES ? (size_t)len : ZEROS_BYTES;
		int ret = qcow_pwrite(r->fd, zeros, n, off);

		if (ret)
			return ret;
		off += n;
		len -= n;
	}
	return 0;
}

/* A write where the file of a damaged image does not reach has made it longer. */
static int measure(struct qcow_refcounts *r)
{
	struct stat st;

	if (r->block_dev)
		return 0;
	if (fstat(r->fd, &st))
		return -errno;
	r->file_size = (uint64_t)st.st_size;
	return 0;
}

/* They read as zeros, and are in the file. */
static int make_zeros(struct qcow_refcounts *r, const struct qcow_run *run)
{
	uint64_t end = run->off + run->len, inside;
	int ret = measure(r);

	inside = end < r->file_size ? end : r->file_size;
	if (!ret && run->off < inside)
		ret = punch(r, run->off, inside - run->off);
	if (ret || end <= r->file_size)
		return ret;
	if (ftruncate(r->fd, (off_t)end))
		return -errno;
	r->file_size = end;
	return 0;
}

static int reserve(struct qcow_refcounts *r, uint64_t want, struct qcow_run *runs, size_t max)
{
	size_t count = 0;
	int ret = r->stale ? qcow_refcounts_reload(r) : 0;

	for (uint64_t n = 0; n < want && !ret; n++) {
		struct qcow_run *last = count ? &runs[count - 1] : NULL;
		uint64_t hint = r->hint, cluster;

		ret = take(r, &cluster);
		if (ret == -ENOSPC && count) {
			ret = 0;
			break;
		}
		if (ret)
			break;
		if (last && last->off + last->len == cluster << r->cluster_bits) {
			last->len += qcow_rc_cluster(r);
			continue;
		}
		if (count == max) {
			ret = qcow_refcount_set(r, cluster, 0);
			r->hint = hint;
			break;
		}
		runs[count++] = (struct qcow_run) { cluster << r->cluster_bits,
						    qcow_rc_cluster(r) };
	}
	for (size_t i = 0; i < count && !ret; i++)
		ret = make_zeros(r, &runs[i]);
	if (!ret)
		ret = qcow_refcounts_write(r);
	if (!ret)
		ret = qcow_refcounts_sync(r);
	return ret ? ret : (int)count;
}

/* Version 1: the end of the file. */
static int append(struct qcow_refcounts *r, uint64_t len)
{
	struct qcow_run run = { 0, len };
	int ret;

	run.off = (r->file_size + qcow_rc_cluster(r) - 1) & ~(uint64_t)(qcow_rc_cluster(r) - 1);
	if (r->block_dev)
		return -EOPNOTSUPP;
	ret = make_zeros(r, &run);
	return ret ? ret : qcow_refcounts_sync(r);
}

int qcow_refcounts_reserve(struct qcow_refcounts *r, uint64_t want, struct qcow_run *runs,
			   size_t max)
{
	uint64_t len = want << r->cluster_bits;
	int ret;

	if (r->none) {
		ret = append(r, len);
		runs[0] = (struct qcow_run) { r->file_size - len, len };
		return ret ? ret : 1;
	}
	ret = reserve(r, want, runs, max);
	if (ret < 0)
		r->stale = true;
	return ret;
}

/* The first free ones in a row from hint on. */
static int find_row(struct qcow_refcounts *r, uint64_t hint, uint64_t count, uint64_t *first)
{
	uint64_t n = 0, value;
	int ret = 0;

	for (uint64_t c = hint; n < count && !ret; c++) {
		if (r->block_dev && (c + 1) << r->cluster_bits > r->file_size)
			return -ENOSPC;
		ret = qcow_refcount_get(r, c, &value);
		n = value || qcow_owned_has(&r->owned, c) ? 0 : n + 1;
		*first = c + 1 - n;
	}
	return ret;
}

static int reserve_row(struct qcow_refcounts *r, uint64_t count, uint64_t *first)
{
	uint64_t hint = r->hint;
	int ret = r->stale ? qcow_refcounts_reload(r) : 0;

	if (!ret)
		ret = find_row(r, hint, count, first);
	/* with the blocks that may have to follow */
	while (!ret && qcow_rc_block(r, *first + 2 * count + 2) >= r->entries) {
		ret = qcow_refcounts_grow(r, (uint64_t)r->entries << qcow_rc_block_bits(r));
		if (!ret)
			ret = find_row(r, hint, count, first);
	}
	if (ret)
		return ret;
	ret = qcow_refcounts_count_row(r, *first, count);
	r->hint = hint; /* there may be free ones before it */
	return ret;
}

int64_t qcow_refcounts_reserve_row(struct qcow_refcounts *r, uint64_t count)
{
	struct qcow_run run = { 0, count << r->cluster_bits };
	uint64_t first = 0;
	int ret;

	if (r->none) {
		ret = append(r, run.len);
		return ret ? ret : (int64_t)(r->file_size - run.len);
	}
	ret = reserve_row(r, count, &first);
	run.off = first << r->cluster_bits;
	if (!ret)
		ret = make_zeros(r, &run);
	if (!ret)
		ret = qcow_refcounts_write(r);
	if (!ret)
		ret = qcow_refcounts_sync(r);
	if (ret)
		r->stale = true;
	return ret ? ret : (int64_t)run.off;
}

/* ---- fewer references ------------------------------------------------------------------------- */

static int drop(struct qcow_refcounts *r, uint64_t cluster, struct qcow_run *hole)
{
	uint64_t value, off = cluster << r->cluster_bits;
	int ret = qcow_refcount_get(r, cluster, &value);

	if (!ret && (!value || qcow_owned_has(&r->owned, cluster)))
		ret = -EUCLEAN; /* nobody has it, or metadata, and somebody had it */
	if (ret)
		return ret;
	ret = qcow_refcount_set(r, cluster, value - 1);
	if (ret || value > 1)
		return ret;
	if (cluster < r->hint)
		r->hint = cluster;
	if (hole->len && hole->off + hole->len == off) {
		hole->len += qcow_rc_cluster(r);
		return 0;
	}
	ret = hole->len ? punch(r, hole->off, hole->len) : 0;
	*hole = (struct qcow_run) { off, qcow_rc_cluster(r) };
	return ret;
}

int qcow_refcounts_drop(struct qcow_refcounts *r, uint64_t off, uint64_t len)
{
	uint64_t end = (off + len + qcow_rc_cluster(r) - 1) >> r->cluster_bits;
	struct qcow_run hole = { 0, 0 };
	int ret = 0;

	if (r->none) /* compressed clusters share what they are in */
		return off % qcow_rc_cluster(r) || len % qcow_rc_cluster(r) ? 0
									    : punch(r, off, len);
	if (r->stale)
		ret = qcow_refcounts_reload(r);
	for (uint64_t c = off >> r->cluster_bits; c < end && !ret; c++)
		ret = drop(r, c, &hole);
	if (hole.len && !ret)
		ret = punch(r, hole.off, hole.len);
	if (!ret)
		ret = qcow_refcounts_write_block(r);
	if (ret && ret != -EUCLEAN)
		r->stale = true;
	return ret;
}

int qcow_refcounts_give_back(struct qcow_refcounts *r, const struct qcow_run *runs, size_t count)
{
	int ret = measure(r);
	uint64_t end = r->file_size;

	for (size_t i = count; i > 0 && !ret; i--) {
		const struct qcow_run *run = &runs[i - 1];

		if (!r->none)
			ret = qcow_refcounts_drop(r, run->off, run->len);
		if (run->off + run->len == end)
			end = run->off;
	}
	if (ret || end == r->file_size || r->block_dev)
		return ret;
	if (ftruncate(r->fd, (off_t)end))
		return -errno;
	r->file_size = end;
	return 0;
}
