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
	bool stored;  /* QCOW_ZEROS: clusters are reserved for them */
	uint64_t off; /* byte of the data file (QCOW_DATA), of the image (QCOW_COMPRESSED) */
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

#endif
