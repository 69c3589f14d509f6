/* SPDX-License-Identifier: Apache-2.0 */
/* Pure: bytes in, values out. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "header.h"
#include "refuse.h"

#define MAGIC 0x514649fbu /* "QFI\xfb" */

#define V1_HEADER_BYTES 48
#define V2_HEADER_BYTES 72
#define V3_HEADER_BYTES 104
#define COMPRESSION_AT  104 /* compression_type: the first additional field */

#define EXT_END            0x00000000u
#define EXT_BACKING_FORMAT 0xe2792acau
#define EXT_FEATURE_NAMES  0x6803f857u
#define EXT_DATA_FILE      0x44415441u
#define EXT_BITMAPS        0x23852875u

#define FEATURE_ENTRY_BYTES 48
#define FEATURE_NAME_BYTES  46

#define KNOWN_INCOMPAT                                                                             \
	(QCOW_INCOMPAT_DIRTY | QCOW_INCOMPAT_CORRUPT | QCOW_INCOMPAT_DATA_FILE |                   \
	 QCOW_INCOMPAT_COMPRESSION | QCOW_INCOMPAT_EXTENDED_L2)

uint64_t qcow_l1_entries(const struct qcow_header *h, uint64_t size)
{
	uint32_t shift = h->cluster_bits + h->l2_bits;

	if (shift > 62 || size > UINT64_MAX - ((1ull << shift) - 1))
		return UINT64_MAX;
	return (size + (1ull << shift) - 1) >> shift;
}

static bool aligned(const struct qcow_header *h, uint64_t offset)
{
	return !(offset & ((1ull << h->cluster_bits) - 1));
}

/* bytes from offset are inside the file, and not in the header. */
static bool inside(uint64_t offset, uint64_t bytes, uint64_t file_size)
{
	return offset && offset <= file_size && bytes <= file_size - offset;
}

static int check_l1(const struct qcow_header *h, uint64_t file_size, char **reason)
{
	uint64_t needed = qcow_l1_entries(h, h->size);
	uint64_t bytes = (uint64_t)h->l1_size * 8;

	if (bytes > QCOW_L1_BYTES_MAX || needed > QCOW_L1_BYTES_MAX / 8)
		return qcow_refuse(reason, EFBIG,
				   "its L1 table would have %llu entries, more than the %u that "
				   "are possible here (and in QEMU)",
				   (unsigned long long)(needed > h->l1_size ? needed : h->l1_size),
				   QCOW_L1_BYTES_MAX / 8);
	if (h->l1_size < needed)
		return qcow_refuse(reason, EINVAL,
				   "its L1 table has %u entries, a disk of %llu bytes needs %llu",
				   h->l1_size, (unsigned long long)h->size,
				   (unsigned long long)needed);
	if (!bytes)
		return 0;
	if (h->version > 1 && !aligned(h, h->l1_table_offset))
		return qcow_refuse(reason, EINVAL,
				   "its L1 table, at byte %llu, is not at the start of a cluster",
				   (unsigned long long)h->l1_table_offset);
	if (!inside(h->l1_table_offset, bytes, file_size))
		return qcow_refuse(reason, EINVAL,
				   "its L1 table, %llu bytes at byte %llu, is not inside the file "
				   "of %llu bytes",
				   (unsigned long long)bytes,
				   (unsigned long long)h->l1_table_offset,
				   (unsigned long long)file_size);
	return 0;
}

static int take_name(const uint8_t *buf, size_t len, uint64_t offset, uint64_t bytes,
		     const char *what, char *name, char **reason)
{
	if (bytes > QCOW_NAME_MAX || offset > len || bytes > len - offset)
		return qcow_refuse(reason, EINVAL,
				   "the name of its %s, %llu bytes at byte %llu, is not inside the "
				   "first cluster, or longer than %d bytes",
				   what, (unsigned long long)bytes, (unsigned long long)offset,
				   QCOW_NAME_MAX);
	if (memchr(buf + offset, 0, bytes))
		return qcow_refuse(reason, EINVAL, "the name of its %s has a NUL byte in it", what);
	memcpy(name, buf + offset, bytes);
	name[bytes] = '\0';
	return 0;
}

/* ---- version 1 ---- */

/* There is no document of it: the fields are those that QEMU's qemu-img create -f qcow writes. */
static int parse_v1(const uint8_t *buf, size_t len, uint64_t file_size, struct qcow_header *h,
		    char **reason)
{
	uint64_t backing_offset;
	uint64_t entries;

	if (len < V1_HEADER_BYTES)
		return qcow_refuse(reason, EINVAL, "it ends inside its header");
	backing_offset = get_be64(buf + 8);
	h->size = get_be64(buf + 24);
	h->cluster_bits = buf[32];
	h->l2_bits = buf[33];
	h->l1_table_offset = get_be64(buf + 40);
	if (h->cluster_bits < 9 || h->cluster_bits > 16)
		return qcow_refuse(reason, EINVAL, "its cluster_bits are %u, not 9 to 16",
				   h->cluster_bits);
	if (h->l2_bits < 6 || h->l2_bits > 13)
		return qcow_refuse(reason, EINVAL, "its l2_bits are %u, not 6 to 13", h->l2_bits);
	if (get_be32(buf + 36))
		return qcow_refuse(
			reason, EOPNOTSUPP,
			"it is encrypted, which is not supported; decrypt it (qemu-img convert)");
	entries = qcow_l1_entries(h, h->size);
	h->l1_size = entries > UINT32_MAX ? UINT32_MAX : (uint32_t)entries;
	if (backing_offset) {
		int ret = take_name(buf, len, backing_offset, get_be32(buf + 16), "backing file",
				    h->backing_file, reason);

		if (ret)
			return ret;
	}
	return check_l1(h, file_size, reason);
}

/* ---- versions 2 and 3 ---- */

struct feature_names {
	const uint8_t *at; /* NULL: there is no such extension */
	size_t bytes;
};

static int refuse_features(const struct feature_names *names, uint64_t bits, char **reason)
{
	int bit = __builtin_ctzll(bits);

	for (size_t i = 0; i + FEATURE_ENTRY_BYTES <= names->bytes; i += FEATURE_ENTRY_BYTES) {
		const uint8_t *entry = names->at + i;

		if (entry[0] == 0 && entry[1] == bit)
			return qcow_refuse(reason, EOPNOTSUPP,
					   "it needs the feature '%.*s' (incompatible feature %d), "
					   "which is not supported",
					   FEATURE_NAME_BYTES, (const char *)entry + 2, bit);
	}
	return qcow_refuse(reason, EOPNOTSUPP,
			   "it needs the incompatible feature %d, which is not supported and has "
			   "no name in the image",
			   bit);
}

static int parse_extensions(const uint8_t *buf, size_t len, size_t at, struct qcow_header *h,
			    struct feature_names *names, char **reason)
{
	while (at + 8 <= len) {
		uint32_t type = get_be32(buf + at);
		uint64_t bytes = get_be32(buf + at + 4);
		int ret = 0;

		at += 8;
		if (type == EXT_END)
			return 0;
		if (bytes > len - at)
			return qcow_refuse(reason, EINVAL,
					   "its header extension 0x%08x has %llu bytes, more than "
					   "the first cluster",
					   type, (unsigned long long)bytes);
		switch (type) {
		case EXT_BACKING_FORMAT:
			if (bytes >= sizeof(h->backing_format))
				return qcow_refuse(reason, EOPNOTSUPP,
						   "the name of its backing file's format is %llu "
						   "bytes long; no known one is",
						   (unsigned long long)bytes);
			ret = take_name(buf, len, at, bytes, "backing file's format",
					h->backing_format, reason);
			break;
		case EXT_DATA_FILE:
			ret = take_name(buf, len, at, bytes, "data file", h->data_file, reason);
			break;
		case EXT_FEATURE_NAMES:
			names->at = buf + at;
			names->bytes = (size_t)bytes;
			break;
		case EXT_BITMAPS:
			if (bytes < 24)
				break;
			h->bitmaps_extension = at - 8;
			h->nb_bitmaps = get_be32(buf + at);
			h->bitmap_directory_size = get_be64(buf + at + 8);
			h->bitmap_directory_offset = get_be64(buf + at + 16);
			break;
		default: /* can be safely ignored */
			break;
		}
		if (ret)
			return ret;
		bytes = (bytes + 7) & ~7ull;
		at = bytes > len - at ? len : at + (size_t)bytes;
	}
	return 0;
}

static int parse_v3_fields(const uint8_t *buf, size_t len, struct qcow_header *h,
			   uint32_t *header_length, char **reason)
{
	h->incompatible_features = get_be64(buf + 72);
	h->compatible_features = get_be64(buf + 80);
	h->autoclear_features = get_be64(buf + 88);
	h->refcount_order = get_be32(buf + 96);
	*header_length = get_be32(buf + 100);
	if (*header_length < V3_HEADER_BYTES || *header_length % 8 || *header_length > len)
		return qcow_refuse(reason, EINVAL,
				   "its header_length is %u, not a multiple of 8 from %d to the "
				   "size of a cluster",
				   *header_length, V3_HEADER_BYTES);
	if (h->refcount_order > 6)
		return qcow_refuse(reason, EINVAL, "its refcount_order is %u, more than 6",
				   h->refcount_order);
	if (*header_length > COMPRESSION_AT)
		h->compression = buf[COMPRESSION_AT];
	return 0;
}

/* What the features want of each other. */
static int check_features(const struct qcow_header *h, const struct feature_names *names,
			  char **reason)
{
	bool flagged = h->incompatible_features & QCOW_INCOMPAT_COMPRESSION;

	if (h->incompatible_features & ~KNOWN_INCOMPAT)
		return refuse_features(names, h->incompatible_features & ~KNOWN_INCOMPAT, reason);
	if (flagged != (h->compression != QCOW_DEFLATE))
		return qcow_refuse(
			reason, EINVAL,
			"its compression_type is %u, and its incompatible feature 3 says %s",
			(unsigned int)h->compression, flagged ? "another" : "0");
	if (h->compression > QCOW_ZSTD)
		return qcow_refuse(reason, EOPNOTSUPP,
				   "its compression_type is %u; supported are 0 (deflate) and 1 "
				   "(zstd)",
				   (unsigned int)h->compression);
	if (qcow_has_subclusters(h) && h->cluster_bits < 14)
		return qcow_refuse(reason, EINVAL,
				   "its cluster_bits are %u; with extended L2 entries they are 14 "
				   "at least",
				   h->cluster_bits);
	return 0;
}

static int check_tables(const struct qcow_header *h, uint64_t file_size, char **reason)
{
	if (!aligned(h, h->refcount_table_offset) || !aligned(h, h->snapshots_offset))
		return qcow_refuse(reason, EINVAL,
				   "its refcount table (byte %llu) or snapshot table (byte %llu) "
				   "is not at the start of a cluster",
				   (unsigned long long)h->refcount_table_offset,
				   (unsigned long long)h->snapshots_offset);
	if (h->nb_snapshots > QCOW_SNAPSHOTS_MAX)
		return qcow_refuse(reason, EFBIG, "it has %u snapshots, more than %u",
				   h->nb_snapshots, QCOW_SNAPSHOTS_MAX);
	if (h->nb_snapshots && !inside(h->snapshots_offset, 1, file_size))
		return qcow_refuse(reason, EINVAL,
				   "its snapshot table, at byte %llu, is not inside the file",
				   (unsigned long long)h->snapshots_offset);
	return check_l1(h, file_size, reason);
}

static int parse_v2(const uint8_t *buf, size_t len, uint64_t file_size, struct qcow_header *h,
		    char **reason)
{
	struct feature_names names = { 0 };
	uint32_t header_length = V2_HEADER_BYTES;
	uint64_t backing_offset;
	int ret = 0;

	if (len < (h->version == 2 ? V2_HEADER_BYTES : V3_HEADER_BYTES))
		return qcow_refuse(reason, EINVAL, "it ends inside its header");
	h->cluster_bits = get_be32(buf + 20);
	if (h->cluster_bits < 9 || h->cluster_bits > 21)
		return qcow_refuse(reason, EINVAL, "its cluster_bits are %u, not 9 to 21",
				   h->cluster_bits);
	if (len > 1ull << h->cluster_bits)
		len = 1ull << h->cluster_bits; /* all of the following is in the first cluster */
	backing_offset = get_be64(buf + 8);
	h->size = get_be64(buf + 24);
	h->l1_size = get_be32(buf + 36);
	h->l1_table_offset = get_be64(buf + 40);
	h->refcount_table_offset = get_be64(buf + 48);
	h->refcount_table_clusters = get_be32(buf + 56);
	h->nb_snapshots = get_be32(buf + 60);
	h->snapshots_offset = get_be64(buf + 64);
	h->refcount_order = 4;
	if (h->version == 3)
		ret = parse_v3_fields(buf, len, h, &header_length, reason);
	if (!ret)
		ret = parse_extensions(buf, len, header_length, h, &names, reason);
	if (!ret)
		ret = check_features(h, &names, reason);
	if (ret)
		return ret;
	h->l2_bits = h->cluster_bits - (qcow_has_subclusters(h) ? 4 : 3);
	if (get_be32(buf + 32))
		return qcow_refuse(
			reason, EOPNOTSUPP,
			"it is encrypted, which is not supported; decrypt it (qemu-img convert)");
	if (backing_offset)
		ret = take_name(buf, len, backing_offset, get_be32(buf + 16), "backing file",
				h->backing_file, reason);
	return ret ? ret : check_tables(h, file_size, reason);
}

size_t qcow_header_bytes(const uint8_t *buf, size_t len)
{
	uint32_t bits = len < 24 ? 0 : get_be32(buf + 20);

	if (bits < 12 || bits > 21 || get_be32(buf) != MAGIC || get_be32(buf + 4) < 2)
		return QCOW_HEADER_LEAST;
	return (size_t)1 << bits;
}

int qcow_header_parse(const uint8_t *buf, size_t len, uint64_t file_size, struct qcow_header *h,
		      char **reason)
{
	memset(h, 0, sizeof(*h));
	*reason = NULL;
	if (len < 8 || get_be32(buf) != MAGIC)
		return qcow_refuse(
			reason, EMEDIUMTYPE,
			"it is no qcow image; for one without a format use the file handler");
	h->version = get_be32(buf + 4);
	switch (h->version) {
	case 1:
		return parse_v1(buf, len, file_size, h, reason);
	case 2:
	case 3:
		return parse_v2(buf, len, file_size, h, reason);
	}
	return qcow_refuse(reason, EOPNOTSUPP, "its version is %u; supported are 1, 2 and 3",
			   h->version);
}
