/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refcounts, and by them which clusters of an image are free. All of it blocks, and is called by one thread
 * at a time (keeper.h). What is in the file is consistent at every moment, a loss of power included: a
 * cluster is counted, durably, before it is given out, and at worst one is counted that nobody uses.
 */
#ifndef QCOW_REFCOUNT_H
#define QCOW_REFCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layer.h"
#include "owned.h"

#define QCOW_REFCOUNT_TABLE_MAX (8u << 20) /* bytes; as in QEMU */
#define QCOW_FRESH_BLOCKS_MAX   64

/* Clusters, in bytes of the image. */
struct qcow_run {
	uint64_t off;
	uint64_t len;
};

struct qcow_refcounts {
	int fd;
	bool none; /* version 1: what is allocated stays so */
	bool block_dev;
	uint32_t cluster_bits;
	uint32_t order; /* a refcount has 1 << order bits */
	uint64_t file_size;
	uint64_t hint; /* no cluster before this one is free */

	uint64_t table_offset;
	uint64_t *table;
	size_t entries;
	bool stale; /* after an error: the table is read again before anything else is done */
	/* Entries that the table in the file does not have yet. */
	size_t fresh[QCOW_FRESH_BLOCKS_MAX];
	size_t fresh_count;

	/* One refcount block, with what is still to be written of it. */
	uint8_t *block;
	size_t block_index; /* SIZE_MAX: none */
	size_t dirty_from, dirty_to;

	int sync_err; /* fdatasync() has failed with it: the page cache has lost something */

	struct qcow_owned owned;
};

/* 0 or -errno with *reason. owned has all metadata of the layer then. */
int qcow_refcounts_open(struct qcow_refcounts *r, struct qcow_layer *layer, char **reason);
void qcow_refcounts_close(struct qcow_refcounts *r);

/*
 * Reserves up to want clusters, at least 1, in at most max runs. They read as zeros. All durable. The number of
 * runs, or -errno; -EUCLEAN: the counts contradict the image.
 */
int qcow_refcounts_reserve(struct qcow_refcounts *r, uint64_t want, struct qcow_run *runs,
			   size_t max);
/* The same, of count clusters in a row. Their first byte, or -errno. */
int64_t qcow_refcounts_reserve_row(struct qcow_refcounts *r, uint64_t count);
/* One reference less to each of the clusters that len bytes at off are in; what has none any more becomes a
 * hole. 0 or -errno. */
int qcow_refcounts_drop(struct qcow_refcounts *r, uint64_t off, uint64_t len);
/* Gives back what was reserved and is not used, and shortens the file if that was its end. */
int qcow_refcounts_give_back(struct qcow_refcounts *r, const struct qcow_run *runs, size_t count);

/* ---- refcount.c, for reserve.c and repair.c ---- */

static inline uint32_t qcow_rc_block_bits(const struct qcow_refcounts *r)
{
	return r->cluster_bits + 3 - r->order;
}

static inline size_t qcow_rc_block(const struct qcow_refcounts *r, uint64_t cluster)
{
	return (size_t)(cluster >> qcow_rc_block_bits(r));
}

static inline size_t qcow_rc_cluster(const struct qcow_refcounts *r)
{
	return (size_t)1 << r->cluster_bits;
}

/* A cluster's; 0 if no block covers it. 0 or -errno. */
int qcow_refcount_get(struct qcow_refcounts *r, uint64_t cluster, uint64_t *value);
/* Of one that is covered. */
int qcow_refcount_set(struct qcow_refcounts *r, uint64_t cluster, uint64_t value);
bool qcow_refcounts_covered(const struct qcow_refcounts *r, uint64_t cluster);
/* hint becomes the first cluster from there on that is not counted. */
int qcow_refcounts_seek(struct qcow_refcounts *r);
/* A block, of no references, that is in this cluster. */
int qcow_refcounts_make_block(struct qcow_refcounts *r, size_t index, uint64_t cluster);
/* A table with an entry for the cluster first, which is the first behind what the present one is about. */
int qcow_refcounts_grow(struct qcow_refcounts *r, uint64_t first);
/*
 * Counts clusters in a row, in blocks that come behind it where there are none yet, and counts these. hint is
 * behind all of them then. -EAGAIN: there is no room behind it.
 */
int qcow_refcounts_count_row(struct qcow_refcounts *r, uint64_t first, uint64_t count);
/* What was set is in the file's page cache, and if there are new blocks durable. */
int qcow_refcounts_write(struct qcow_refcounts *r);
/* The same, of the block that was set last; new ones are not in the table yet. */
int qcow_refcounts_write_block(struct qcow_refcounts *r);
/* fdatasync(); 0 or -errno, which stays in sync_err. */
int qcow_refcounts_sync(struct qcow_refcounts *r);
/* From the file. */
int qcow_refcounts_reload(struct qcow_refcounts *r);

#endif
