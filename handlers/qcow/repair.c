/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image with lazy refcounts that was not closed: its tables are right, and what they refer to may not be
 * counted. All references are counted in memory, then the refcounts are set to that; only then the bit that
 * says so is cleared, so that it is done again if it could not be finished.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "map.h"
#include "qcow.h"
#include "refuse.h"

#define CLUSTERS_MAX (1ull << 26) /* that are counted: 256 MiB */

struct counts {
	const struct qcow_layer *layer;
	uint32_t *of; /* each cluster of the file */
	uint64_t clusters;
	uint8_t *table; /* an L2 table */
};

static int count(void *arg, uint64_t off, uint64_t len)
{
	struct counts *n = arg;
	uint32_t bits = n->layer->header.cluster_bits;
	uint64_t last = (off + len - 1) >> bits;

	if (!len)
		return 0;
	if (off + len < off || last >= n->clusters)
		return -EUCLEAN; /* behind the end of the file */
	for (uint64_t c = off >> bits; c <= last; c++) {
		if (n->of[c] < UINT32_MAX)
			n->of[c]++;
	}
	return 0;
}

static int count_l2(struct counts *n, uint64_t off)
{
	const struct qcow_header *h = &n->layer->header;
	size_t bytes = (size_t)qcow_l2_entry_bytes(h) << h->l2_bits;
	int ret = count(n, off, bytes);

	if (ret || n->layer->data_fd != n->layer->fd) /* a data file's clusters are not counted */
		return ret;
	ret = qcow_pread(n->layer->fd, n->table, bytes, off);
	for (size_t i = 0; i < 1u << h->l2_bits && !ret; i++) {
		uint64_t at, len;

		if (qcow_map_reference(h, n->table, i, &at, &len))
			ret = count(n, at, len);
	}
	return ret;
}

static int count_l1(struct counts *n, uint64_t off, uint32_t entries)
{
	int ret = count(n, off, 8ull * entries);

	for (uint32_t i = 0; i < entries && !ret; i++) {
		uint8_t entry[8];
		uint64_t table;

		ret = qcow_pread(n->layer->fd, entry, sizeof(entry), off + 8ull * i);
		table = ret ? 0 : qcow_l2_table(&n->layer->header, get_be64(entry));
		if (table)
			ret = count_l2(n, table);
	}
	return ret;
}

static int count_snapshots(struct counts *n)
{
	const struct qcow_header *h = &n->layer->header;
	uint64_t off = h->snapshots_offset, l1;
	uint32_t entries;
	int ret = 0;

	for (uint32_t i = 0; i < h->nb_snapshots && !ret; i++) {
		ret = qcow_snapshot_next(n->layer, &off, &l1, &entries);
		if (!ret)
			ret = count_l1(n, l1, entries);
	}
	return ret ? ret : count(n, h->snapshots_offset, off - h->snapshots_offset);
}

static int count_all(struct counts *n, const struct qcow_refcounts *r)
{
	const struct qcow_header *h = &n->layer->header;
	int ret = count(n, 0, 1);

	if (!ret)
		ret = count(n, r->table_offset, 8 * r->entries);
	for (size_t i = 0; i < r->entries && !ret; i++) {
		if (r->table[i])
			ret = count(n, r->table[i], qcow_rc_cluster(r));
	}
	if (!ret)
		ret = count_l1(n, h->l1_table_offset, h->l1_size);
	if (!ret)
		ret = count_snapshots(n);
	return ret ? ret : qcow_bitmaps_each(n->layer, count, n);
}

/* New blocks come behind the end of the file. */
static int set_all(const struct counts *n, struct qcow_refcounts *r, uint64_t *changed)
{
	uint64_t next = n->clusters;
	int ret = 0;

	for (uint64_t c = 0; c < next && !ret; c++) {
		uint64_t wanted = c < n->clusters ? n->of[c] : 1, have;

		if (r->order < 6 && wanted >> (1u << r->order))
			return -EUCLEAN; /* more references than its bits can count */
		ret = qcow_refcount_get(r, c, &have);
		if (ret || have == wanted)
			continue;
		if (!qcow_refcounts_covered(r, c)) {
			if (qcow_rc_block(r, c) >= r->entries)
				return -EFBIG;
			ret = qcow_refcounts_make_block(r, qcow_rc_block(r, c), next++);
		}
		if (!ret)
			ret = qcow_refcount_set(r, c, wanted);
		++*changed;
	}
	return ret ? ret : qcow_refcounts_write(r);
}

static int repair(struct counts *n, struct qcow_refcounts *r, uint64_t *changed)
{
	const struct qcow_header *h = &n->layer->header;
	int ret;

	n->clusters = (r->file_size + qcow_rc_cluster(r) - 1) >> r->cluster_bits;
	if (n->clusters > CLUSTERS_MAX)
		return -EFBIG;
	n->of = calloc(n->clusters, sizeof(*n->of));
	n->table = malloc((size_t)qcow_l2_entry_bytes(h) << h->l2_bits);
	ret = n->of && n->table ? count_all(n, r) : -ENOMEM;
	if (!ret)
		ret = set_all(n, r, changed);
	if (!ret)
		ret = qcow_sync(r->fd);
	free(n->of);
	free(n->table);
	return ret ? ret : qcow_header_set_bits(r->fd, QCOW_INCOMPAT_AT, 0, QCOW_INCOMPAT_DIRTY);
}

int qcow_repair(struct qcow_layer *layer, uint64_t *changed, char **reason)
{
	struct counts n = { .layer = layer };
	struct qcow_refcounts r;
	int ret = qcow_refcounts_open(&r, layer, reason);

	*changed = 0;
	if (!ret) {
		ret = repair(&n, &r, changed);
		layer->file_size = r.file_size;
		if (ret && ret != -ENOMEM)
			qcow_refuse(reason, -ret,
				    "it was not closed, and its refcounts cannot be set right: %s; "
				    "repair it with qemu-img check -r all, or add ;ro to read it",
				    strerror(-ret));
	}
	qcow_refcounts_close(&r);
	if (!ret)
		layer->header.incompatible_features &= ~QCOW_INCOMPAT_DIRTY;
	return ret;
}
