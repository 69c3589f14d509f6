/* SPDX-License-Identifier: Apache-2.0 */
#include "refcount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "map.h"
#include "refuse.h"

#define NO_BLOCK     SIZE_MAX
#define ENTRY_OFFSET 0xfffffffffffffe00ull /* the other bits are reserved */
#define TABLE_AT     48 /* in the header: refcount_table_offset, refcount_table_clusters */

int qcow_refcounts_sync(struct qcow_refcounts *r)
{
	int ret = qcow_sync(r->fd);

	if (ret)
		r->sync_err = -ret;
	return ret;
}

/* ---- one block -------------------------------------------------------------------------------- */

static uint64_t value_at(const struct qcow_refcounts *r, uint64_t n)
{
	const uint8_t *p = r->block;

	switch (r->order) {
	case 3:
		return p[n];
	case 4:
		return get_be16(p + 2 * n);
	case 5:
		return get_be32(p + 4 * n);
	case 6:
		return get_be64(p + 8 * n);
	default: /* the first one is in the lowest bits */
		return p[n >> (3 - r->order)] >> ((n << r->order) & 7) &
		       ((1u << (1u << r->order)) - 1);
	}
}

static void put_value(struct qcow_refcounts *r, uint64_t n, uint64_t value)
{
	uint8_t *p = r->block;
	size_t at = (size_t)((n << r->order) >> 3), end = at + ((1u << r->order) + 7) / 8;
	unsigned int shift;
	uint8_t mask;

	switch (r->order) {
	case 3:
		p[n] = (uint8_t)value;
		break;
	case 4:
		put_be16(p + 2 * n, (uint16_t)value);
		break;
	case 5:
		put_be32(p + 4 * n, (uint32_t)value);
		break;
	case 6:
		put_be64(p + 8 * n, value);
		break;
	default:
		shift = (unsigned int)(n << r->order) & 7;
		mask = (uint8_t)(((1u << (1u << r->order)) - 1) << shift);
		p[at] = (uint8_t)((p[at] & ~mask) | (uint8_t)(value << shift));
	}
	if (r->dirty_from == r->dirty_to) {
		r->dirty_from = at;
		r->dirty_to = end;
	} else {
		r->dirty_from = at < r->dirty_from ? at : r->dirty_from;
		r->dirty_to = end > r->dirty_to ? end : r->dirty_to;
	}
}

/* What is written behind the end of the file moves it. */
static int put(struct qcow_refcounts *r, const void *buf, size_t len, uint64_t off)
{
	int ret = qcow_pwrite(r->fd, buf, len, off);

	if (!ret && off + len > r->file_size)
		r->file_size = off + len;
	return ret;
}

int qcow_refcounts_write_block(struct qcow_refcounts *r)
{
	size_t from = r->dirty_from & ~(size_t)511, to = (r->dirty_to + 511) & ~(size_t)511;
	int ret;

	if (r->block_index == NO_BLOCK || r->dirty_from == r->dirty_to)
		return 0;
	ret = put(r, r->block + from, to - from, r->table[r->block_index] + from);
	if (!ret)
		r->dirty_from = r->dirty_to = 0;
	return ret;
}

static int load(struct qcow_refcounts *r, size_t index)
{
	uint64_t off = r->table[index];
	ssize_t n;
	int ret;

	if (r->block_index == index)
		return 0;
	ret = qcow_refcounts_write_block(r);
	if (ret)
		return ret;
	r->block_index = NO_BLOCK;
	n = qcow_pread_some(r->fd, r->block, qcow_rc_cluster(r), off);
	if (n < 0)
		return (int)n;
	/* What is cut off counts nothing. */
	memset(r->block + n, 0, qcow_rc_cluster(r) - (size_t)n);
	r->block_index = index;
	return 0;
}

int qcow_refcounts_make_block(struct qcow_refcounts *r, size_t index, uint64_t cluster)
{
	int ret = qcow_refcounts_write_block(r);

	if (!ret && r->fresh_count == QCOW_FRESH_BLOCKS_MAX)
		ret = qcow_refcounts_write(r);
	if (!ret)
		ret = qcow_owned_add(&r->owned, cluster, 1);
	if (ret)
		return ret == -EEXIST ? -EUCLEAN : ret;
	r->table[index] = cluster << r->cluster_bits;
	r->fresh[r->fresh_count++] = index;
	memset(r->block, 0, qcow_rc_cluster(r));
	r->block_index = index;
	r->dirty_from = 0;
	r->dirty_to = qcow_rc_cluster(r);
	return 0;
}

bool qcow_refcounts_covered(const struct qcow_refcounts *r, uint64_t cluster)
{
	size_t index = qcow_rc_block(r, cluster);

	return index < r->entries && r->table[index];
}

int qcow_refcount_get(struct qcow_refcounts *r, uint64_t cluster, uint64_t *value)
{
	int ret;

	*value = 0;
	if (!qcow_refcounts_covered(r, cluster))
		return 0;
	ret = load(r, qcow_rc_block(r, cluster));
	if (!ret)
		*value = value_at(r, cluster & ((1ull << qcow_rc_block_bits(r)) - 1));
	return ret;
}

int qcow_refcount_set(struct qcow_refcounts *r, uint64_t cluster, uint64_t value)
{
	int ret = load(r, qcow_rc_block(r, cluster));

	if (!ret)
		put_value(r, cluster & ((1ull << qcow_rc_block_bits(r)) - 1), value);
	return ret;
}

/* ---- the table -------------------------------------------------------------------------------- */

int qcow_refcounts_reload(struct qcow_refcounts *r)
{
	size_t fresh = r->fresh_count;
	int ret;

	/* What was made and did not get into the table is nobody's. */
	for (size_t i = 0; i < fresh; i++)
		qcow_owned_remove(&r->owned, r->table[r->fresh[i]] >> r->cluster_bits, 1);
	ret = qcow_pread(r->fd, r->table, r->entries * 8, r->table_offset);
	r->block_index = NO_BLOCK;
	r->dirty_from = r->dirty_to = 0;
	r->fresh_count = 0;
	for (size_t i = 0; i < r->entries && !ret; i++) {
		r->table[i] = get_be64(&r->table[i]) & ENTRY_OFFSET;
		if (r->table[i] & (qcow_rc_cluster(r) - 1) || r->table[i] >= r->file_size)
			ret = -EUCLEAN;
	}
	for (size_t i = 0; i < fresh && !ret; i++) {
		if (r->fresh[i] < r->entries && r->table[r->fresh[i]])
			ret = qcow_owned_add(&r->owned, r->table[r->fresh[i]] >> r->cluster_bits,
					     1);
	}
	r->hint = 0;
	r->stale = ret != 0;
	return ret;
}

int qcow_refcounts_write(struct qcow_refcounts *r)
{
	int ret = qcow_refcounts_write_block(r);

	/* A block is durable before the table has it. */
	if (!ret && r->fresh_count)
		ret = qcow_refcounts_sync(r);
	for (size_t i = 0; i < r->fresh_count && !ret; i++) {
		uint64_t entry = htobe64(r->table[r->fresh[i]]);

		ret = qcow_pwrite(r->fd, &entry, 8, r->table_offset + 8 * r->fresh[i]);
	}
	if (!ret && r->fresh_count) {
		r->fresh_count = 0;
		ret = qcow_refcounts_sync(r);
	}
	return ret;
}

/* The header says where the table is, in one sector. All that it points to is durable before, and so is the
 * header before the former one is anything else. */
static int switch_table(struct qcow_refcounts *r, uint64_t off)
{
	uint8_t header[12];
	uint64_t *entries = malloc(r->entries * 8);
	int ret = entries ? qcow_refcounts_write_block(r) : -ENOMEM;

	if (!ret) {
		for (size_t i = 0; i < r->entries; i++)
			entries[i] = htobe64(r->table[i]);
		ret = put(r, entries, r->entries * 8, off);
	}
	free(entries);
	if (!ret)
		ret = qcow_refcounts_sync(r);
	put_be64(header, off);
	put_be32(header + 8, (uint32_t)(r->entries * 8 >> r->cluster_bits));
	if (!ret)
		ret = qcow_pwrite(r->fd, header, sizeof(header), TABLE_AT);
	if (ret)
		return ret;
	r->table_offset = off;
	r->fresh_count = 0;
	return qcow_refcounts_sync(r);
}

int qcow_refcounts_count_row(struct qcow_refcounts *r, uint64_t first, uint64_t count)
{
	uint64_t next = first + count, value;
	int ret = 0;

	for (uint64_t c = first; c < next && !ret; c++) {
		if (qcow_rc_block(r, c) >= r->entries)
			return -EAGAIN;
		if (!qcow_refcounts_covered(r, c)) {
			ret = qcow_refcount_get(r, next, &value);
			if (!ret && value)
				return -EAGAIN;
			if (!ret)
				ret = qcow_refcounts_make_block(r, qcow_rc_block(r, c), next++);
		}
		if (!ret)
			ret = qcow_refcount_set(r, c, 1);
	}
	r->hint = next;
	return ret;
}

static int move_table(struct qcow_refcounts *r, uint64_t first, size_t clusters)
{
	struct qcow_run old = { r->table_offset, r->entries * 8 };
	size_t old_entries = r->entries;
	uint64_t *table;
	int ret = qcow_refcounts_write(r); /* the former table has what it can have */

	if (ret)
		return ret;
	table = calloc(clusters, qcow_rc_cluster(r));
	if (!table)
		return -ENOMEM;
	memcpy(table, r->table, old_entries * 8);
	free(r->table);
	r->table = table;
	r->entries = clusters * qcow_rc_cluster(r) / 8;
	ret = qcow_owned_add(&r->owned, first, clusters);
	if (ret)
		return ret == -EEXIST ? -EUCLEAN : ret;
	ret = qcow_refcounts_count_row(r, first, clusters);
	if (!ret)
		ret = switch_table(r, first << r->cluster_bits);
	if (ret && r->table_offset == old.off) { /* the former one is what there is */
		r->entries = old_entries;
		qcow_owned_remove(&r->owned, first, clusters);
	}
	if (ret)
		return ret;
	qcow_owned_remove(&r->owned, old.off >> r->cluster_bits, old.len >> r->cluster_bits);
	return old.off ? qcow_refcounts_drop(r, old.off, old.len) : 0;
}

int qcow_refcounts_grow(struct qcow_refcounts *r, uint64_t first)
{
	size_t bytes = (r->entries ? r->entries : 1) * 8;
	uint64_t clusters, end;

	do {
		bytes *= 2;
		if (bytes > QCOW_REFCOUNT_TABLE_MAX)
			return -EFBIG;
		clusters = (bytes + qcow_rc_cluster(r) - 1) >> r->cluster_bits;
		/* itself, and the blocks for itself and for them */
		end = first + clusters + qcow_rc_block(r, clusters) + 3;
	} while (qcow_rc_block(r, end) >= clusters * qcow_rc_cluster(r) / 8);
	return move_table(r, first, (size_t)clusters);
}

int qcow_refcounts_seek(struct qcow_refcounts *r)
{
	uint64_t mask = (1ull << qcow_rc_block_bits(r)) - 1;

	while (qcow_refcounts_covered(r, r->hint)) {
		uint64_t n = r->hint & mask;
		int ret = load(r, qcow_rc_block(r, r->hint));

		if (ret)
			return ret;
		while (n <= mask && value_at(r, n))
			n++;
		r->hint = (r->hint & ~mask) + n;
		if (n <= mask)
			return 0;
	}
	return 0;
}

/* ---- open ------------------------------------------------------------------------------------- */

static int own(struct qcow_refcounts *r, uint64_t off, uint64_t len, const char *what,
	       char **reason)
{
	uint64_t first = off >> r->cluster_bits;
	uint64_t end = (off + len + qcow_rc_cluster(r) - 1) >> r->cluster_bits;
	int ret = qcow_owned_add(&r->owned, first, end - first);

	if (ret == -EEXIST)
		return qcow_refuse(
			reason, EUCLEAN,
			"it is damaged: its %s at byte %llu is where other metadata are; "
			"repair it with qemu-img check -r all, or add ;ro to read what is "
			"left",
			what, (unsigned long long)off);
	return ret;
}

static int own_all(struct qcow_refcounts *r, const struct qcow_layer *layer, char **reason)
{
	const struct qcow_header *h = &layer->header;
	uint64_t table_bytes = (uint64_t)qcow_l2_entry_bytes(h) << h->l2_bits;
	int ret = 0;

	if (r->none) /* tables need not begin at a cluster's start there */
		return 0;
	ret = own(r, 0, 1, "header", reason);
	if (!ret && layer->l1_size)
		ret = own(r, h->l1_table_offset, 8ull * layer->l1_size, "L1 table", reason);
	if (!ret)
		ret = own(r, r->table_offset, 8 * r->entries, "refcount table", reason);
	for (size_t i = 0; i < r->entries && !ret; i++) {
		if (r->table[i])
			ret = own(r, r->table[i], qcow_rc_cluster(r), "refcount block", reason);
	}
	for (uint32_t i = 0; i < layer->l1_size && !ret; i++) {
		uint64_t off = qcow_l2_table(h, layer->l1[i]);

		if (off)
			ret = own(r, off, table_bytes, "L2 table", reason);
	}
	return ret;
}

/* An open file description of its own: the kernel tells each of them once that something was lost. */
static int reopen(int fd)
{
	char path[48];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	return again < 0 ? -errno : again;
}

int qcow_refcounts_open(struct qcow_refcounts *r, struct qcow_layer *layer, char **reason)
{
	const struct qcow_header *h = &layer->header;
	uint64_t bytes = (uint64_t)h->refcount_table_clusters << h->cluster_bits;
	int ret;

	*r = (struct qcow_refcounts) {
		.fd = reopen(layer->fd),
		.none = h->version == 1,
		.block_dev = layer->block_dev,
		.cluster_bits = h->cluster_bits,
		.order = h->refcount_order,
		.file_size = layer->file_size,
		.table_offset = h->refcount_table_offset,
		.block_index = NO_BLOCK,
	};
	if (r->fd < 0)
		return r->fd;
	ret = qcow_owned_init(&r->owned);
	if (ret)
		return ret;
	if (!r->none) {
		if (bytes > QCOW_REFCOUNT_TABLE_MAX || !bytes || !r->table_offset)
			return qcow_refuse(reason, EINVAL,
					   "its refcount table has %llu bytes; supported are a "
					   "cluster to %u",
					   (unsigned long long)bytes, QCOW_REFCOUNT_TABLE_MAX);
		r->entries = (size_t)bytes / 8;
		r->table = malloc(bytes);
		r->block = malloc(qcow_rc_cluster(r));
		ret = r->table && r->block ? qcow_refcounts_reload(r) : -ENOMEM;
		if (ret && ret != -ENOMEM)
			return qcow_refuse(reason, -ret,
					   "its refcount table at byte %llu cannot be used: %s",
					   (unsigned long long)r->table_offset, strerror(-ret));
	}
	return ret ? ret : own_all(r, layer, reason);
}

void qcow_refcounts_close(struct qcow_refcounts *r)
{
	if (r->owned.slot)
		qcow_owned_fini(&r->owned);
	if (r->fd >= 0)
		close(r->fd);
	free(r->table);
	free(r->block);
	r->table = NULL;
	r->block = NULL;
}
