/* SPDX-License-Identifier: Apache-2.0 */
/* Internal snapshots: each has an L1 table of its own. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "layer.h"
#include "refuse.h"

#define ENTRY_BYTES     40 /* without what is behind it: extra data, ID, name */
#define TABLE_BYTES_MAX (64u << 20)
#define EXTRA_SIZE_AT   8 /* in the extra data: the size of the disk then */

struct entry {
	uint64_t l1_table_offset;
	uint32_t l1_size;
	uint32_t extra_bytes;
	uint64_t size;
	char id[256];
	char name[256];
};

/* The first bytes of a string; what does not fit is nobody's name on a command line. */
static int read_string(int fd, uint64_t off, uint32_t bytes, char *text, size_t room)
{
	size_t len = bytes < room ? bytes : room - 1;

	text[len] = '\0';
	return qcow_pread(fd, text, len, off);
}

/* *off goes to the next one. 0 or -errno. */
static int read_entry(const struct qcow_layer *layer, uint64_t *off, struct entry *entry)
{
	uint8_t buf[ENTRY_BYTES], size[8];
	uint32_t id_bytes, name_bytes;
	uint64_t at = *off + ENTRY_BYTES;
	int ret = qcow_pread(layer->fd, buf, sizeof(buf), *off);

	if (ret)
		return ret;
	entry->l1_table_offset = get_be64(buf);
	entry->l1_size = get_be32(buf + 8);
	id_bytes = get_be16(buf + 12);
	name_bytes = get_be16(buf + 14);
	entry->extra_bytes = get_be32(buf + 36);
	entry->size = layer->header.size;
	if (entry->extra_bytes >= EXTRA_SIZE_AT + sizeof(size)) {
		ret = qcow_pread(layer->fd, size, sizeof(size), at + EXTRA_SIZE_AT);
		if (!ret)
			entry->size = get_be64(size);
	}
	at += entry->extra_bytes;
	if (!ret)
		ret = read_string(layer->fd, at, id_bytes, entry->id, sizeof(entry->id));
	at += id_bytes;
	if (!ret)
		ret = read_string(layer->fd, at, name_bytes, entry->name, sizeof(entry->name));
	at += name_bytes;
	*off = (at + 7) & ~7ull;
	return ret;
}

int qcow_snapshot_next(const struct qcow_layer *layer, uint64_t *off, uint64_t *l1_offset,
		       uint32_t *l1_size)
{
	struct entry entry = { 0 };
	int ret = read_entry(layer, off, &entry);

	if (!ret && *off - layer->header.snapshots_offset > TABLE_BYTES_MAX)
		ret = -EFBIG;
	*l1_offset = entry.l1_table_offset;
	*l1_size = entry.l1_size;
	return ret;
}

static int use(struct qcow_layer *layer, const struct entry *entry, char **reason)
{
	uint64_t needed = qcow_l1_entries(&layer->header, entry->size);

	if (entry->l1_size > QCOW_L1_BYTES_MAX / 8 || entry->l1_size < needed ||
	    entry->l1_table_offset % (1ull << layer->header.cluster_bits))
		return qcow_refuse(reason, EINVAL,
				   "the L1 table of its snapshot '%s', %u entries at byte %llu, "
				   "is not one for a disk of %llu bytes",
				   entry->name, entry->l1_size,
				   (unsigned long long)entry->l1_table_offset,
				   (unsigned long long)entry->size);
	layer->size = entry->size;
	return qcow_layer_read_l1(layer, entry->l1_table_offset, entry->l1_size, reason);
}

int qcow_snapshot_use(struct qcow_layer *layer, const char *name, char **reason)
{
	uint64_t off = layer->header.snapshots_offset;
	struct entry entry;

	for (uint32_t i = 0; i < layer->header.nb_snapshots; i++) {
		int ret = read_entry(layer, &off, &entry);

		if (!ret && off - layer->header.snapshots_offset > TABLE_BYTES_MAX)
			ret = -EFBIG;
		if (ret)
			return qcow_refuse(reason, -ret,
					   "its snapshot table cannot be read at byte %llu: %s",
					   (unsigned long long)off, strerror(-ret));
		if (!strcmp(entry.name, name) || !strcmp(entry.id, name))
			return use(layer, &entry, reason);
	}
	return qcow_refuse(reason, ENOENT,
			   "it has no snapshot '%s'; 'qemu-img snapshot -l' lists those that it "
			   "has",
			   name);
}
