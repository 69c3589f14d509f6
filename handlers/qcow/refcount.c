/* SPDX-License-Identifier: Apache-2.0 */
#include "refcount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "map.h"
#include "refuse.h"

#define NO_BLOCK     SIZE_MAX
#define ENTRY_OFFSET 0xfffffffffffffe00ull /* the other bits are reserved */
#define ZEROS_BYTES  65536
#define TABLE_AT     48 /* in the header: refcount_table_offset, refcount_table_clusters */

int qcow_pwrite(int fd, const void *buf, size_t len, uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(fd, (const char *)buf + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

int qcow_sync(int fd)
{
	return fdatasync(fd) ? -errno : 0;
}

/* ---- one block -------------------------------------------------------------------------------- */

static uint32_t per_block_bits(const struct qcow_refcounts *r)
{
	return r->cluster_bits + 3 - r->order;
}

static size_t index_of(const struct qcow_refcounts *r, uint64_t cluster)
{
	return (size_t)(cluster >> per_block_bits(r));
}

static size_t cluster_bytes(const struct qcow_refcounts *r)
{
	return (size_t)1 << r->cluster_bits;
}

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

static int write_block(struct qcow_refcounts *r)
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
	int ret;

	if (r->block_index == index)
		return 0;
	ret = write_block(r);
	if (ret)
		return ret;
	r->block_index = NO_BLOCK;
	ret = qcow_pread(r->fd, r->block, cluster_bytes(r), off);
	if (!ret)
		r->block_index = index;
	return ret == -ENODATA ? -EUCLEAN : ret;
}

/* A block, of no references, that is in this cluster. */
static int make_block(struct qcow_refcounts *r, size_t index, uint64_t cluster)
{
	int ret = write_block(r);

	if (!ret && r->fresh_count == QCOW_FRESH_BLOCKS_MAX)
		ret = qcow_refcounts_write(r);
	if (!ret)
		ret = qcow_owned_add(&r->owned, cluster, 1);
	if (ret)
		return ret == -EEXIST ? -EUCLEAN : ret;
	r->table[index] = cluster << r->cluster_bits;
	r->fresh[r->fresh_count++] = index;
	memset(r->block, 0, cluster_bytes(r));
	r->block_index = index;
	r->dirty_from = 0;
	r->dirty_to = cluster_bytes(r);
	return 0;
}

static bool covered(const struct qcow_refcounts *r, uint64_t cluster)
{
	size_t index = index_of(r, cluster);

	return index < r->entries && r->table[index];
}

int qcow_refcount_get(struct qcow_refcounts *r, uint64_t cluster, uint64_t *value)
{
	int ret;

	*value = 0;
	if (!covered(r, cluster))
		return 0;
	ret = load(r, index_of(r, cluster));
	if (!ret)
		*value = value_at(r, cluster & ((1ull << per_block_bits(r)) - 1));
	return ret;
}

static int set_covered(struct qcow_refcounts *r, uint64_t cluster, uint64_t value)
{
	int ret = load(r, index_of(r, cluster));

	if (!ret)
		put_value(r, cluster & ((1ull << per_block_bits(r)) - 1), value);
	return ret;
}

/* ---- the table -------------------------------------------------------------------------------- */

static int read_table(struct qcow_refcounts *r)
{
	int ret = qcow_pread(r->fd, r->table, r->entries * 8, r->table_offset);

	r->block_index = NO_BLOCK;
	r->dirty_from = r->dirty_to = 0;
	r->fresh_count = 0;
	for (size_t i = 0; i < r->entries && !ret; i++) {
		r->table[i] = get_be64(&r->table[i]) & ENTRY_OFFSET;
		if (r->table[i] & (cluster_bytes(r) - 1))
			ret = -EUCLEAN;
	}
	r->stale = ret != 0;
	return ret;
}

int qcow_refcounts_write(struct qcow_refcounts *r)
{
	int ret = write_block(r);

	/* A block is durable before the table has it. */
	if (!ret && r->fresh_count)
		ret = qcow_sync(r->fd);
	for (size_t i = 0; i < r->fresh_count && !ret; i++) {
		uint64_t entry = htobe64(r->table[r->fresh[i]]);

		ret = qcow_pwrite(r->fd, &entry, 8, r->table_offset + 8 * r->fresh[i]);
	}
	if (!ret && r->fresh_count) {
		r->fresh_count = 0;
		ret = qcow_sync(r->fd);
	}
	return ret;
}

/* The header says where the table is, in one sector. All that it points to is durable before, and so is the
 * header before the former one is anything else. */
static int switch_table(struct qcow_refcounts *r, uint64_t off)
{
	uint8_t header[12];
	uint64_t *entries = malloc(r->entries * 8);
	int ret = entries ? write_block(r) : -ENOMEM;

	if (!ret) {
		for (size_t i = 0; i < r->entries; i++)
			entries[i] = htobe64(r->table[i]);
		ret = put(r, entries, r->entries * 8, off);
	}
	free(entries);
	if (!ret)
		ret = qcow_sync(r->fd);
	put_be64(header, off);
	put_be32(header + 8, (uint32_t)(r->entries * 8 >> r->cluster_bits));
	if (!ret)
		ret = qcow_pwrite(r->fd, header, sizeof(header), TABLE_AT);
	if (ret)
		return ret;
	r->table_offset = off;
	r->fresh_count = 0;
	return qcow_sync(r->fd);
}

/*
 * Counts clusters in a row, in blocks that come behind it where there are none yet, and counts these. hint is
 * behind all of them then. -EAGAIN: there is no room behind it.
 */
static int count_row(struct qcow_refcounts *r, uint64_t first, uint64_t count)
{
	uint64_t next = first + count, value;
	int ret = 0;

	for (uint64_t c = first; c < next && !ret; c++) {
		if (index_of(r, c) >= r->entries)
			return -EAGAIN;
		if (!covered(r, c)) {
			ret = qcow_refcount_get(r, next, &value);
			if (!ret && value)
				return -EAGAIN;
			if (!ret)
				ret = make_block(r, index_of(r, c), next++);
		}
		if (!ret)
			ret = set_covered(r, c, 1);
	}
	r->hint = next;
	return ret;
}

static int move_table(struct qcow_refcounts *r, uint64_t first, size_t clusters)
{
	struct qcow_run old = { r->table_offset, 0 };
	size_t old_entries = r->entries;
	uint64_t *table = calloc(clusters, cluster_bytes(r));
	int ret;

	if (!table)
		return -ENOMEM;
	old.len = old_entries * 8;
	memcpy(table, r->table, old_entries * 8);
	free(r->table);
	r->table = table;
	r->entries = clusters * cluster_bytes(r) / 8;
	r->fresh_count = 0; /* the new table has all of them */
	ret = qcow_owned_add(&r->owned, first, clusters);
	if (!ret)
		ret = count_row(r, first, clusters);
	if (!ret)
		ret = switch_table(r, first << r->cluster_bits);
	if (ret) {
		if (r->table_offset == old.off) /* the entries are those of the former one again */
			r->entries = old_entries;
		return ret;
	}
	qcow_owned_remove(&r->owned, old.off >> r->cluster_bits, old.len >> r->cluster_bits);
	return old.off ? qcow_refcounts_drop(r, old.off, old.len) : 0;
}

/* A table with an entry for the cluster first, which is the first behind what the present one is about. */
static int grow_table(struct qcow_refcounts *r, uint64_t first)
{
	size_t bytes = (r->entries ? r->entries : 1) * 8;
	uint64_t clusters, end;

	do {
		bytes *= 2;
		if (bytes > QCOW_REFCOUNT_TABLE_MAX)
			return -EFBIG;
		clusters = (bytes + cluster_bytes(r) - 1) >> r->cluster_bits;
		/* itself, and the blocks for itself and for them */
		end = first + clusters + index_of(r, clusters) + 3;
	} while (index_of(r, end) >= clusters * cluster_bytes(r) / 8);
	return move_table(r, first, (size_t)clusters);
}

/* ---- free clusters ---------------------------------------------------------------------------- */

/* hint becomes the first free cluster from there on. */
static int seek(struct qcow_refcounts *r)
{
	uint64_t mask = (1ull << per_block_bits(r)) - 1;

	while (covered(r, r->hint)) {
		uint64_t n = r->hint & mask;
		int ret = load(r, index_of(r, r->hint));

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

/* A free cluster, counted. */
static int take(struct qcow_refcounts *r, uint64_t *cluster)
{
	for (;;) {
		int ret = seek(r);

		if (ret)
			return ret;
		if (r->block_dev && (r->hint + 1) << r->cluster_bits > r->file_size)
			return -ENOSPC;
		if (qcow_owned_has(&r->owned, r->hint))
			return -EUCLEAN; /* metadata that nobody counts */
		*cluster = r->hint++;
		if (covered(r, *cluster))
			return set_covered(r, *cluster, 1);
		if (index_of(r, *cluster) >= r->entries)
			ret = grow_table(r, *cluster);
		else
			ret = make_block(r, index_of(r, *cluster), *cluster);
		if (!ret && covered(r, *cluster) &&
		    r->table[index_of(r, *cluster)] == *cluster << r->cluster_bits)
			ret = set_covered(r, *cluster, 1);
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

/* They read as zeros, and are in the file. */
static int make_zeros(struct qcow_refcounts *r, const struct qcow_run *run)
{
	uint64_t end = run->off + run->len, inside = end < r->file_size ? end : r->file_size;
	int ret = run->off < inside ? punch(r, run->off, inside - run->off) : 0;

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
	int ret = r->stale ? read_table(r) : 0;

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
			last->len += cluster_bytes(r);
			continue;
		}
		if (count == max) {
			ret = set_covered(r, cluster, 0);
			r->hint = hint;
			break;
		}
		runs[count++] = (struct qcow_run) { cluster << r->cluster_bits, cluster_bytes(r) };
	}
	for (size_t i = 0; i < count && !ret; i++)
		ret = make_zeros(r, &runs[i]);
	if (!ret)
		ret = qcow_refcounts_write(r);
	if (!ret)
		ret = qcow_sync(r->fd);
	return ret ? ret : (int)count;
}

/* Version 1: the end of the file. */
static int append(struct qcow_refcounts *r, uint64_t len)
{
	struct qcow_run run = { 0, len };
	int ret;

	run.off = (r->file_size + cluster_bytes(r) - 1) & ~(uint64_t)(cluster_bytes(r) - 1);
	if (r->block_dev)
		return -EOPNOTSUPP;
	ret = make_zeros(r, &run);
	return ret ? ret : qcow_sync(r->fd);
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
	int ret = r->stale ? read_table(r) : 0;

	if (!ret)
		ret = find_row(r, hint, count, first);
	/* with the blocks that may have to follow */
	while (!ret && index_of(r, *first + 2 * count + 2) >= r->entries) {
		ret = grow_table(r, (uint64_t)r->entries << per_block_bits(r));
		if (!ret)
			ret = find_row(r, hint, count, first);
	}
	if (ret)
		return ret;
	ret = count_row(r, *first, count);
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
		ret = qcow_sync(r->fd);
	if (ret)
		r->stale = true;
	return ret ? ret : (int64_t)run.off;
}

/* ---- fewer references ------------------------------------------------------------------------- */

static int drop(struct qcow_refcounts *r, uint64_t cluster, struct qcow_run *hole)
{
	uint64_t value, off = cluster << r->cluster_bits;
	int ret = qcow_refcount_get(r, cluster, &value);

	if (ret || !value)
		return ret ? ret : -EUCLEAN; /* nobody has it, and somebody had it */
	ret = set_covered(r, cluster, value - 1);
	if (ret || value > 1)
		return ret;
	if (cluster < r->hint)
		r->hint = cluster;
	if (hole->len && hole->off + hole->len == off) {
		hole->len += cluster_bytes(r);
		return 0;
	}
	ret = hole->len ? punch(r, hole->off, hole->len) : 0;
	*hole = (struct qcow_run) { off, cluster_bytes(r) };
	return ret;
}

int qcow_refcounts_drop(struct qcow_refcounts *r, uint64_t off, uint64_t len)
{
	uint64_t end = (off + len + cluster_bytes(r) - 1) >> r->cluster_bits;
	struct qcow_run hole = { 0, 0 };
	int ret = 0;

	if (r->none) /* compressed clusters share what they are in */
		return off % cluster_bytes(r) || len % cluster_bytes(r) ? 0 : punch(r, off, len);
	if (r->stale)
		ret = read_table(r);
	for (uint64_t c = off >> r->cluster_bits; c < end && !ret; c++)
		ret = drop(r, c, &hole);
	if (hole.len && !ret)
		ret = punch(r, hole.off, hole.len);
	if (!ret)
		ret = write_block(r);
	if (ret && ret != -EUCLEAN)
		r->stale = true;
	return ret;
}

int qcow_refcounts_give_back(struct qcow_refcounts *r, const struct qcow_run *runs, size_t count)
{
	uint64_t end = r->file_size;
	int ret = 0;

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

/* ---- open ------------------------------------------------------------------------------------- */

static int own(struct qcow_refcounts *r, uint64_t off, uint64_t len, const char *what,
	       char **reason)
{
	uint64_t first = off >> r->cluster_bits;
	uint64_t end = (off + len + cluster_bytes(r) - 1) >> r->cluster_bits;
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
			ret = own(r, r->table[i], cluster_bytes(r), "refcount block", reason);
	}
	for (uint32_t i = 0; i < layer->l1_size && !ret; i++) {
		uint64_t off = qcow_l2_table(h, layer->l1[i]);

		if (off)
			ret = own(r, off, table_bytes, "L2 table", reason);
	}
	return ret;
}

int qcow_refcounts_open(struct qcow_refcounts *r, struct qcow_layer *layer, char **reason)
{
	const struct qcow_header *h = &layer->header;
	uint64_t bytes = (uint64_t)h->refcount_table_clusters << h->cluster_bits;
	int ret;

	*r = (struct qcow_refcounts) {
		.fd = layer->fd,
		.none = h->version == 1,
		.block_dev = layer->block_dev,
		.cluster_bits = h->cluster_bits,
		.order = h->refcount_order,
		.file_size = layer->file_size,
		.table_offset = h->refcount_table_offset,
		.block_index = NO_BLOCK,
	};
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
		r->block = malloc(cluster_bytes(r));
		ret = r->table && r->block ? read_table(r) : -ENOMEM;
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
	free(r->table);
	free(r->block);
	r->table = NULL;
	r->block = NULL;
}
