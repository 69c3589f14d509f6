/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dirty bitmaps say what has changed since a backup. They are not kept up to date here, so before something
 * is written they are dropped: what QEMU finds then is an image without them, and no wrong backup.
 */
#include <errno.h>
#include <stdlib.h>

#include "bytes.h"
#include "layer.h"

#define ENTRY_BYTES   24 /* of the directory, without extra data and name */
#define BITMAPS_MAX   65535u
#define DIRECTORY_MAX (64u << 20)
#define TABLE_MAX     (1u << 26) /* entries; no allocation is sized by it */
#define OFFSET_MASK   0x00fffffffffffe00ull

struct each {
	const struct qcow_layer *layer;
	int (*fn)(void *arg, uint64_t off, uint64_t len);
	void *arg;
};

/* The clusters that a bitmap's table refers to; then, since fn may destroy it, the table's own. */
static int each_of_table(const struct each *e, uint64_t table, uint32_t entries)
{
	uint64_t cluster = 1ull << e->layer->header.cluster_bits;
	uint8_t some[4096];
	int ret = entries > TABLE_MAX ? -EFBIG : 0;

	for (uint32_t i = 0; i < entries && !ret; i++) {
		size_t at = i % (sizeof(some) / 8);
		uint64_t off;

		if (!at) {
			uint64_t left = 8ull * (entries - i);

			ret = qcow_pread(e->layer->fd, some,
					 left < sizeof(some) ? (size_t)left : sizeof(some),
					 table + 8ull * i);
		}
		if (ret)
			break;
		off = get_be64(some + 8 * at) & OFFSET_MASK;
		if (off)
			ret = e->fn(e->arg, off, cluster);
	}
	return ret ? ret : e->fn(e->arg, table, 8ull * entries);
}

int qcow_bitmaps_each(const struct qcow_layer *layer,
		      int (*fn)(void *arg, uint64_t off, uint64_t len), void *arg)
{
	const struct qcow_header *h = &layer->header;
	const struct each e = { layer, fn, arg };
	uint64_t at = h->bitmap_directory_offset, end = at + h->bitmap_directory_size;
	int ret = 0;

	if (!h->nb_bitmaps)
		return 0;
	if (h->nb_bitmaps > BITMAPS_MAX || h->bitmap_directory_size > DIRECTORY_MAX)
		return -EFBIG;
	for (uint32_t i = 0; i < h->nb_bitmaps && !ret; i++) {
		uint8_t entry[ENTRY_BYTES];

		if (at + ENTRY_BYTES > end)
			return -EUCLEAN;
		ret = qcow_pread(layer->fd, entry, sizeof(entry), at);
		if (!ret)
			ret = each_of_table(&e, get_be64(entry), get_be32(entry + 8));
		at += ENTRY_BYTES + get_be32(entry + 20) + get_be16(entry + 18);
		at = (at + 7) & ~7ull;
	}
	return ret ? ret : fn(arg, h->bitmap_directory_offset, h->bitmap_directory_size);
}
