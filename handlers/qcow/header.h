/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of an image, as values that have been checked. The format of versions 2 and 3 is described in
 * QEMU's docs/interop/qcow2.rst, whose names are used here.
 */
#ifndef QCOW_HEADER_H
#define QCOW_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QCOW_NAME_MAX      1023 /* bytes of a file's name in an image */
#define QCOW_CLUSTER_MAX   (2u << 20)
#define QCOW_L1_BYTES_MAX  (32u << 20)
#define QCOW_SNAPSHOTS_MAX 65536u

enum qcow_compression {
	QCOW_DEFLATE = 0, /* the numbers of the header's compression_type */
	QCOW_ZSTD = 1,
};

/* incompatible_features */
#define QCOW_INCOMPAT_DIRTY       (1ull << 0)
#define QCOW_INCOMPAT_CORRUPT     (1ull << 1)
#define QCOW_INCOMPAT_DATA_FILE   (1ull << 2)
#define QCOW_INCOMPAT_COMPRESSION (1ull << 3)
#define QCOW_INCOMPAT_EXTENDED_L2 (1ull << 4)

#define QCOW_AUTOCLEAR_BITMAPS (1ull << 0)
/* autoclear_features that are understood, and kept when the image is written to */
#define QCOW_AUTOCLEAR_RAW_DATA (1ull << 1)

/* Bytes of the header's fields. */
#define QCOW_SIZE_AT      24
#define QCOW_INCOMPAT_AT  72
#define QCOW_AUTOCLEAR_AT 88

struct qcow_header {
	uint32_t version;      /* 1, 2 or 3 */
	uint32_t cluster_bits; /* a cluster has 1 << this many bytes */
	uint32_t l2_bits;      /* an L2 table has 1 << this many entries */
	uint64_t size;         /* of the disk, bytes */
	uint64_t l1_table_offset;
	uint32_t l1_size; /* entries */
	uint64_t refcount_table_offset;
	uint32_t refcount_table_clusters;
	uint32_t refcount_order;
	uint32_t nb_snapshots;
	uint64_t snapshots_offset;
	uint64_t incompatible_features;
	uint64_t compatible_features;
	uint64_t autoclear_features;
	enum qcow_compression compression;
	/* Dirty bitmaps: 0 of them, or where their extension is in the file, and what it says. */
	uint32_t nb_bitmaps;
	uint64_t bitmaps_extension;
	uint64_t bitmap_directory_offset;
	uint64_t bitmap_directory_size; /* bytes */
	/* Empty: there is none. */
	char backing_file[QCOW_NAME_MAX + 1];
	char backing_format[16];
	char data_file[QCOW_NAME_MAX + 1];
};

/* Extended L2 entries: 16 bytes, with a bitmap of the subclusters. */
static inline bool qcow_has_subclusters(const struct qcow_header *h)
{
	return h->incompatible_features & QCOW_INCOMPAT_EXTENDED_L2;
}

static inline uint32_t qcow_l2_entry_bytes(const struct qcow_header *h)
{
	return qcow_has_subclusters(h) ? 16 : 8;
}

/* The first bytes of a file, at least QCOW_HEADER_LEAST of them or all that there are, say how many of it
 * qcow_header_parse() wants: up to a cluster, QCOW_CLUSTER_MAX at most. */
#define QCOW_HEADER_LEAST 4096
size_t qcow_header_bytes(const uint8_t *buf, size_t len);

/*
 * Takes apart the first len bytes of a file of file_size bytes; len is what qcow_header_bytes() says, or
 * file_size where that is less. 0: every field is inside the limits of this program and, where it points to a table of
 * clusters, aligned and inside the file. -errno with *reason, a malloc'ed sentence (NULL: no memory);
 * -EMEDIUMTYPE: it is not an image at all.
 */
int qcow_header_parse(const uint8_t *buf, size_t len, uint64_t file_size, struct qcow_header *h,
		      char **reason);

/* The L1 entries that a disk of size bytes needs; UINT64_MAX: more than any table has. */
uint64_t qcow_l1_entries(const struct qcow_header *h, uint64_t size);

#endif
