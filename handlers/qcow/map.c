/* SPDX-License-Identifier: Apache-2.0 */
#include "map.h"

#include "bytes.h"

/* Of entries of L1 and L2 tables in versions 2 and 3. */
#define OFFSET_MASK 0x00fffffffffffe00ull
#define COPIED      (1ull << 63)
#define COMPRESSED  (1ull << 62)
#define ZERO        (1ull << 0)
/* Version 1 has one flag. */
#define V1_COMPRESSED (1ull << 63)

#define SUBCLUSTERS 32
#define SECTOR      512u

uint64_t qcow_l2_table(const struct qcow_header *h, uint64_t l1_entry)
{
	return h->version == 1 ? l1_entry : l1_entry & OFFSET_MASK;
}

bool qcow_l2_table_own(const struct qcow_header *h, uint64_t l1_entry)
{
	return h->version == 1 || l1_entry & COPIED;
}

uint64_t qcow_l1_entry(const struct qcow_header *h, uint64_t table)
{
	return h->version == 1 ? table : table | COPIED;
}

/* ---- one entry -------------------------------------------------------------------------------- */

struct unit {
	enum qcow_where where;
	bool stored;
	bool own;
	uint64_t off;   /* of the cluster, or of the compressed one */
	uint32_t bytes; /* compressed */
};

/* "Compressed Clusters Descriptor": x low bits are the offset, those up to 61 how many sectors follow the one
 * that it is in. */
static void compressed(const struct qcow_header *h, uint64_t entry, struct unit *unit)
{
	uint32_t x = 62 - (h->cluster_bits - 8);
	uint64_t sectors = ((entry & (COMPRESSED - 1)) >> x) + 1;

	unit->where = QCOW_COMPRESSED;
	unit->off = entry & ((1ull << x) - 1);
	unit->bytes = (uint32_t)(sectors * SECTOR - unit->off % SECTOR);
}

static const char *unit_v1(const struct qcow_header *h, uint64_t entry, struct unit *unit)
{
	uint32_t x = 63 - h->cluster_bits;

	if (entry & V1_COMPRESSED) {
		unit->where = QCOW_COMPRESSED;
		unit->off = entry & ((1ull << x) - 1);
		unit->bytes = (uint32_t)((entry & ~V1_COMPRESSED) >> x);
		return unit->bytes ? NULL : "a compressed cluster of 0 bytes";
	}
	unit->off = entry;
	unit->stored = unit->own = entry;
	unit->where = entry ? QCOW_DATA : QCOW_ELSEWHERE;
	return NULL;
}

/* Of a standard cluster: where its first byte is; *stored: it has one. */
static const char *standard(const struct qcow_header *h, uint64_t entry, struct unit *unit)
{
	bool data_file = h->incompatible_features & QCOW_INCOMPAT_DATA_FILE;

	unit->off = entry & OFFSET_MASK;
	unit->own = entry & COPIED;
	/* In a data file the first cluster is at byte 0. */
	unit->stored = unit->off || (data_file && (entry & COPIED));
	return unit->off & ((1ull << h->cluster_bits) - 1)
		       ? "a cluster that does not begin at a multiple of the cluster size"
		       : NULL;
}

static const char *unit_of_cluster(const struct qcow_header *h, uint64_t entry, struct unit *unit)
{
	const char *wrong;

	if (h->version == 1)
		return unit_v1(h, entry, unit);
	if (entry & COMPRESSED) {
		if (h->incompatible_features & QCOW_INCOMPAT_DATA_FILE)
			return "a compressed cluster, though there is a data file";
		compressed(h, entry, unit);
		return NULL;
	}
	wrong = standard(h, entry, unit);
	if (wrong)
		return wrong;
	if ((entry & ZERO) && h->version >= 3)
		unit->where = QCOW_ZEROS;
	else
		unit->where = unit->stored ? QCOW_DATA : QCOW_ELSEWHERE;
	return NULL;
}

/* "Extended L2 Entries": bit n of the low half of the bitmap says that subcluster n is allocated, of the high
 * half that it reads as zeros. */
static const char *unit_of_subcluster(const struct qcow_header *h, const uint8_t *entry,
				      unsigned int n, struct unit *unit)
{
	uint64_t descriptor = get_be64(entry);
	uint64_t bitmap = get_be64(entry + 8);
	bool allocated = bitmap >> n & 1;
	bool zeros = bitmap >> (n + SUBCLUSTERS) & 1;
	const char *wrong;

	if (descriptor & COMPRESSED)
		return unit_of_cluster(h, descriptor, unit);
	wrong = standard(h, descriptor, unit);
	if (wrong)
		return wrong;
	if (allocated && zeros)
		return "a subcluster that is allocated and zeros at once";
	if (allocated && !unit->stored)
		return "an allocated subcluster of a cluster that is not";
	unit->where = zeros ? QCOW_ZEROS : allocated ? QCOW_DATA : QCOW_ELSEWHERE;
	unit->off += (uint64_t)n << (h->cluster_bits - 5);
	return NULL;
}

/* ---- many ------------------------------------------------------------------------------------- */

static const char *unit_at(const struct qcow_header *h, const uint8_t *entries, uint64_t off,
			   struct unit *unit)
{
	uint64_t in_cluster = off & ((1ull << h->cluster_bits) - 1);
	const uint8_t *entry = entries + (off >> h->cluster_bits) * qcow_l2_entry_bytes(h);

	*unit = (struct unit) { 0 };
	if (qcow_has_subclusters(h))
		return unit_of_subcluster(
			h, entry, (unsigned int)(in_cluster >> (h->cluster_bits - 5)), unit);
	return unit_of_cluster(h, get_be64(entry), unit);
}

/* Bytes from off to the end of the unit that it is in. */
static uint64_t rest_of_unit(const struct qcow_header *h, const struct unit *unit, uint64_t off)
{
	uint32_t bits = h->cluster_bits;

	if (qcow_has_subclusters(h) && unit->where != QCOW_COMPRESSED)
		bits -= 5;
	return (1ull << bits) - (off & ((1ull << bits) - 1));
}

/* Does next, of the bytes behind the place, belong to it? */
static bool goes_on(const struct qcow_place *place, const struct unit *next)
{
	if (next->where != place->where || next->where == QCOW_COMPRESSED)
		return false;
	if (next->stored != place->stored)
		return false;
	return !next->stored || (next->own == place->own && next->off == place->off + place->len);
}

const char *qcow_map(const struct qcow_header *h, const void *entries, uint64_t off, uint64_t len,
		     struct qcow_place *place)
{
	uint64_t end = off + len;
	const char *wrong;
	struct unit unit;
	uint64_t rest, start;

	wrong = unit_at(h, entries, off, &unit);
	if (wrong)
		return wrong;
	rest = rest_of_unit(h, &unit, off);
	start = off & ((1ull << h->cluster_bits) - 1);
	*place = (struct qcow_place) {
		.where = unit.where,
		.len = rest,
		.stored = unit.stored,
		.own = unit.own,
		.off = unit.off,
		.compressed_len = unit.bytes,
		.skip = (uint32_t)start,
	};
	if (unit.where != QCOW_COMPRESSED && unit.stored)
		place->off += off & (qcow_unit_bytes(h) - 1);
	while (off + place->len < end) {
		if (unit_at(h, entries, off + place->len, &unit) || !goes_on(place, &unit))
			break; /* what is wrong there is said when it is asked for */
		place->len += rest_of_unit(h, &unit, off + place->len);
	}
	if (place->len > len)
		place->len = len;
	return NULL;
}

/* ---- changes ---------------------------------------------------------------------------------- */

static uint8_t *entry_at(const struct qcow_header *h, void *entries, uint64_t off)
{
	return (uint8_t *)entries + (off >> h->cluster_bits) * qcow_l2_entry_bytes(h);
}

/* The subclusters of these bytes of a cluster, as bits. */
static uint32_t subclusters(const struct qcow_header *h, uint64_t from, uint64_t to)
{
	uint32_t bits = h->cluster_bits - 5;
	uint64_t first = from >> bits, end = (to + (1ull << bits) - 1) >> bits;

	return (uint32_t)(((1ull << end) - 1) & ~((1ull << first) - 1));
}

bool qcow_map_reference(const struct qcow_header *h, const void *entries, size_t n, uint64_t *off,
			uint64_t *len)
{
	uint64_t entry = get_be64((const uint8_t *)entries + n * qcow_l2_entry_bytes(h));
	struct unit unit = { 0 };

	/* What is wrong is not made worse. Subclusters share one cluster, whatever is said of them. */
	if (unit_of_cluster(h, entry, &unit))
		return false;
	*off = unit.off;
	*len = unit.where == QCOW_COMPRESSED ? unit.bytes : 1ull << h->cluster_bits;
	return unit.where == QCOW_COMPRESSED || unit.stored;
}

static void set_bitmap(const struct qcow_header *h, uint8_t *entry, uint64_t from, uint64_t to,
		       bool zeros)
{
	uint64_t bitmap = get_be64(entry + 8);
	uint64_t allocated = (uint32_t)bitmap, zero = bitmap >> SUBCLUSTERS;
	uint64_t touched = subclusters(h, from, to);

	if (zeros) {
		zero |= touched;
		allocated &= ~touched;
	} else {
		zero &= ~touched;
		allocated |= touched;
	}
	put_be64(entry + 8, zero << SUBCLUSTERS | allocated);
}

void qcow_map_set_data(const struct qcow_header *h, void *entries, uint64_t off, uint64_t len,
		       uint64_t host, bool moved, bool whole)
{
	uint64_t cluster = 1ull << h->cluster_bits, end = off + len;

	for (uint64_t at = off & ~(cluster - 1); at < end; at += cluster, host += cluster) {
		uint8_t *entry = entry_at(h, entries, at);
		uint64_t from = off > at ? off - at : 0,
			 to = end - at < cluster ? end - at : cluster;

		if (moved && get_be64(entry) & COMPRESSED && qcow_has_subclusters(h))
			put_be64(entry + 8, 0);
		put_be64(entry, h->version == 1 ? host : host | COPIED);
		if (qcow_has_subclusters(h))
			set_bitmap(h, entry, whole ? 0 : from, whole ? cluster : to, false);
	}
}

void qcow_map_set_zeros(const struct qcow_header *h, void *entries, uint64_t off, uint64_t len)
{
	uint64_t cluster = 1ull << h->cluster_bits, end = off + len;

	for (uint64_t at = off & ~(cluster - 1); at < end; at += cluster) {
		uint8_t *entry = entry_at(h, entries, at);
		uint64_t from = off > at ? off - at : 0,
			 to = end - at < cluster ? end - at : cluster;

		if (from == 0 && to == cluster)
			put_be64(entry, h->version < 3 || qcow_has_subclusters(h) ? 0 : ZERO);
		if (qcow_has_subclusters(h))
			set_bitmap(h, entry, from, to, true);
	}
}
