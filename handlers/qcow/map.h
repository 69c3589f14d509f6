/* SPDX-License-Identifier: Apache-2.0 */
/* What L2 entries say. Pure: bytes in, a place out. */
#ifndef QCOW_MAP_H
#define QCOW_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "header.h"

enum qcow_where {
	QCOW_ELSEWHERE, /* not in this layer: in its backing file */
	QCOW_ZEROS,
	QCOW_DATA,
	QCOW_COMPRESSED,
};

/* Where some bytes of a disk are. */
struct qcow_place {
	enum qcow_where where;
	uint64_t len; /* bytes, of the disk */
	bool stored;  /* there are clusters for them, also if they read as zeros or are elsewhere */
	bool own;     /* and nothing else refers to these */
	uint64_t off; /* stored: byte of the data file; QCOW_COMPRESSED: of the image */
	/* QCOW_COMPRESSED: the cluster is in so many bytes at most, and begins so many bytes before the
	 * place does. */
	uint32_t compressed_len;
	uint32_t skip;
};

/* The bytes of L2 entries that are read and kept together: a piece of a table. */
static inline size_t qcow_slice_bytes(const struct qcow_header *h)
{
	size_t table = (size_t)qcow_l2_entry_bytes(h) << h->l2_bits;

	return table < 4096 ? table : 4096;
}

/* Bytes of the disk that a slice is about. */
static inline uint64_t qcow_slice_span(const struct qcow_header *h)
{
	return (uint64_t)(qcow_slice_bytes(h) / qcow_l2_entry_bytes(h)) << h->cluster_bits;
}

/*
 * entries: a slice, as in the image. *place is that of the len bytes at off, an offset from the first byte
 * that the slice is about, or of the front of them: up to the first that are in another kind of place, or
 * not behind these. NULL, or what is wrong with the entry.
 */
const char *qcow_map(const struct qcow_header *h, const void *entries, uint64_t off, uint64_t len,
		     struct qcow_place *place);

/* The L2 table that an entry of the L1 table points to; 0: there is none. */
uint64_t qcow_l2_table(const struct qcow_header *h, uint64_t l1_entry);
/* Does nothing else refer to it? */
bool qcow_l2_table_own(const struct qcow_header *h, uint64_t l1_entry);
/* The entry for a table of which that is so. */
uint64_t qcow_l1_entry(const struct qcow_header *h, uint64_t table);

/* ---- changes; off and len as in qcow_map() ---- */

/* Which bytes of the image, or of the data file, the nth entry refers to. False: none. */
bool qcow_map_reference(const struct qcow_header *h, const void *entries, size_t n, uint64_t *off,
			uint64_t *len);
/*
 * The bytes are data now, in clusters of which the first one is at host and that are nobody else's. moved: they are
 * other ones than before. whole: with them all the rest of these clusters. The units (clusters or subclusters)
 * that are touched are all data.
 */
void qcow_map_set_data(const struct qcow_header *h, void *entries, uint64_t off, uint64_t len,
		       uint64_t host, bool moved, bool whole);
/* They are zeros now, and whole clusters refer to nothing. Whole units; in versions 1 and 2 zeros are what is
 * nowhere. */
void qcow_map_set_zeros(const struct qcow_header *h, void *entries, uint64_t off, uint64_t len);

/* Bytes of a unit: what an entry has one state for. */
static inline uint64_t qcow_unit_bytes(const struct qcow_header *h)
{
	return 1ull << (h->cluster_bits - (qcow_has_subclusters(h) ? 5 : 0));
}

#endif
