/* SPDX-License-Identifier: Apache-2.0 */
/* An image that is written to: before it is, and after. And how it gets larger. All of it blocks. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "bytes.h"
#include "qcow.h"
#include "refuse.h"

#define HEADER_FRONT 48 /* the fields that all versions have, up to l1_table_offset */
#define L1_SIZE_AT   36
#define L1_OFFSET_AT 40

int qcow_header_set_bits(int fd, uint64_t at, uint64_t set, uint64_t clear)
{
	uint8_t field[8];
	int ret = qcow_pread(fd, field, sizeof(field), at);

	if (ret)
		return ret;
	put_be64(field, (get_be64(field) & ~clear) | set);
	return qcow_pwrite_durable(fd, field, sizeof(field), at);
}

#define EXT_DROPPED 0x64726f70u /* a type that means nothing, and is passed over */

static int drop_piece(void *arg, uint64_t off, uint64_t len)
{
	return qcow_refcounts_drop(arg, off, len);
}

/* Their clusters are free once no header says that they are bitmaps. */
static int drop_bitmaps(struct qcow_lun *lun)
{
	struct qcow_layer *top = lun->top;
	bool consistent = top->header.autoclear_features & QCOW_AUTOCLEAR_BITMAPS;
	uint8_t type[4];
	int ret;

	if (!top->header.nb_bitmaps)
		return 0;
	put_be32(type, EXT_DROPPED);
	ret = qcow_pwrite_durable(top->fd, type, sizeof(type), top->header.bitmaps_extension);
	if (ret)
		return ret;
	tcmu_dev_warn(
		lun->dev,
		"'%s' had %u dirty bitmaps, which would not be true any more once something is "
		"written: they are deleted, and the next backup has to be a full one",
		top->path, top->header.nb_bitmaps);
	if (consistent) /* else they stay counted */
		qcow_bitmaps_each(top, drop_piece, &lun->keeper.refcounts);
	top->header.nb_bitmaps = 0;
	return 0;
}

/* What would not be true any more once something is written is taken back before. */
static int clear_autoclear(struct qcow_lun *lun, char **reason)
{
	struct qcow_layer *top = lun->top;
	uint64_t kept = QCOW_AUTOCLEAR_RAW_DATA;
	int ret = 0;

	if (top->header.version < 3)
		return 0;
	if (top->header.autoclear_features & ~kept)
		ret = qcow_header_set_bits(top->fd, QCOW_AUTOCLEAR_AT, 0, ~kept);
	if (!ret)
		ret = drop_bitmaps(lun);
	return ret ? qcow_refuse(reason, -ret, "its header cannot be written: %s", strerror(-ret))
		   : 0;
}

static int check_header(const struct qcow_layer *top, char **reason)
{
	uint64_t incompat = top->header.incompatible_features;

	if (incompat & QCOW_INCOMPAT_CORRUPT)
		return qcow_refuse(
			reason, EUCLEAN,
			"it is marked as corrupt, and writing would make it worse; repair "
			"it with qemu-img check -r all, or add ;ro to read what is left");
	if (top->header.version == 1 && top->block_dev)
		return qcow_refuse(reason, EOPNOTSUPP,
				   "an image of version 1 on a block device cannot be written to; "
				   "convert it (qemu-img convert -O qcow2), or add ;ro");
	return 0;
}

int qcow_writable_open(struct qcow_lun *lun, char **reason)
{
	struct qcow_layer *top = lun->top;
	uint64_t cluster = 1ull << top->header.cluster_bits;
	uint64_t changed;
	int ret = check_header(top, reason);

	if (!ret && top->header.incompatible_features & QCOW_INCOMPAT_DIRTY) {
		ret = qcow_repair(top, &changed, reason);
		if (!ret)
			tcmu_dev_info(
				lun->dev,
				"'%s' was not closed: %llu of its refcounts were not up to date, "
				"and have been set right",
				top->path, (unsigned long long)changed);
	}
	if (!ret)
		ret = qcow_keeper_open(lun, reason);
	if (!ret)
		ret = clear_autoclear(lun, reason);
	if (ret && *reason)
		qcow_refuse(reason, 0, "'%s': %s", top->path, *reason);
	if (!ret)
		ret = qcow_copies_init(lun);
	if (!ret)
		ret = qcow_shadows_init(lun);
	lun->fresh_from = (top->file_size + cluster - 1) & ~(cluster - 1);
	/* Whoever had it open before may have left entries in the page cache that no sync has met. */
	lun->commits = lun->synced + 1;
	lun->writable = !ret;
	return ret;
}

void qcow_writable_close(struct qcow_lun *lun)
{
	if (lun->writable)
		qcow_keeper_close(lun);
	else
		qcow_keeper_abandon(lun);
	qcow_copies_fini(lun);
	qcow_shadows_fini(lun);
}

/* ---- a larger disk ---- */

/* A copy of the L1 table with more entries, in the file and in *l1. Its first byte, or -errno. */
static int64_t make_l1(struct qcow_lun *lun, uint32_t entries, uint64_t **l1)
{
	struct qcow_layer *top = lun->top;
	uint64_t bytes = 8ull * entries, cluster = 1ull << top->header.cluster_bits;
	int64_t off = qcow_refcounts_reserve_row(&lun->keeper.refcounts,
						 (bytes + cluster - 1) / cluster);
	uint64_t *table;
	int ret;

	if (off < 0)
		return off;
	*l1 = calloc(entries, 8);
	table = calloc(entries, 8);
	ret = *l1 && table ? 0 : -ENOMEM;
	/* A table that is just being made may be in the file, and not in the memory yet. */
	if (!ret && top->l1_size)
		ret = qcow_pread(top->fd, table, 8ull * top->l1_size, top->header.l1_table_offset);
	if (!ret)
		ret = qcow_pwrite(top->fd, table, bytes, (uint64_t)off);
	if (!ret)
		ret = qcow_refcounts_sync(&lun->keeper.refcounts);
	if (!ret)
		memcpy(*l1, top->l1, 8ull * top->l1_size);
	free(table);
	if (ret) {
		free(*l1);
		return ret;
	}
	return off;
}

static int write_size(struct qcow_lun *lun, uint64_t size, uint32_t l1_size, uint64_t l1_offset)
{
	struct qcow_layer *top = lun->top;
	uint8_t front[HEADER_FRONT];
	int ret = qcow_pread(top->fd, front, sizeof(front), 0);

	if (ret)
		return ret;
	put_be64(front + QCOW_SIZE_AT, size);
	if (top->header.version > 1)
		put_be32(front + L1_SIZE_AT, l1_size);
	put_be64(front + L1_OFFSET_AT, l1_offset);
	return qcow_pwrite(top->fd, front, sizeof(front), 0); /* one sector */
}

static int grow_locked(struct qcow_lun *lun, uint64_t size)
{
	struct qcow_layer *top = lun->top;
	struct qcow_header *h = &top->header;
	struct qcow_refcounts *r = &lun->keeper.refcounts;
	uint64_t entries = qcow_l1_entries(h, size), old_offset = h->l1_table_offset;
	uint64_t *l1 = NULL;
	int64_t off = (int64_t)old_offset;
	uint32_t old_entries = top->l1_size;
	int ret = 0;

	if (entries > QCOW_L1_BYTES_MAX / 8)
		return -EFBIG;
	if (entries < old_entries)
		entries = old_entries;
	if (entries > old_entries)
		off = make_l1(lun, (uint32_t)entries, &l1);
	if (off < 0)
		return (int)off;
	/* A raw data file is as large as the disk. */
	if (h->autoclear_features & QCOW_AUTOCLEAR_RAW_DATA && top->data_fd != top->fd &&
	    ftruncate(top->data_fd, (off_t)size))
		ret = -errno;
	if (!ret)
		ret = write_size(lun, size, (uint32_t)entries, (uint64_t)off);
	if (ret) {
		free(l1);
		return ret;
	}
	/* It is so now, whether it is durable or not. */
	ret = qcow_refcounts_sync(r);
	h->size = top->size = size;
	if (!l1)
		return ret;
	free(top->l1);
	top->l1 = l1;
	top->l1_size = h->l1_size = (uint32_t)entries;
	h->l1_table_offset = (uint64_t)off;
	if (r->none || ret)
		return ret;
	qcow_owned_add(&r->owned, (uint64_t)off >> h->cluster_bits,
		       (8 * entries + (1ull << h->cluster_bits) - 1) >> h->cluster_bits);
	if (old_entries) {
		qcow_owned_remove(&r->owned, old_offset >> h->cluster_bits,
				  (8ull * old_entries + (1ull << h->cluster_bits) - 1) >>
					  h->cluster_bits);
		qcow_refcounts_drop(r, old_offset, 8ull * old_entries); /* else it stays counted */
	}
	return 0;
}

int qcow_grow(struct qcow_lun *lun, uint64_t size, char **reason)
{
	struct qcow_layer *top = lun->top;
	int ret;

	if (lun->damaged || lun->sync_failed)
		return qcow_refuse(reason, EIO, "'%s' is damaged", top->path);
	if (top->header.version < 3 && top->header.nb_snapshots)
		return qcow_refuse(
			reason, EOPNOTSUPP,
			"'%s' has snapshots, which in version 2 do not say how large the disk "
			"was; change the version with qemu-img amend -o compat=1.1",
			top->path);
	if (top->backing && top->backing->size > top->size)
		return qcow_refuse(
			reason, EOPNOTSUPP,
			"what '%s' is backed by is larger than the disk, and would be seen "
			"in what is added; delete the logical unit, make the image larger "
			"with qemu-img resize, and create it again",
			top->path);
	pthread_mutex_lock(&lun->keeper.lock);
	ret = grow_locked(lun, size);
	if (lun->keeper.refcounts.sync_err)
		qcow_sync_failed(lun, lun->keeper.refcounts.sync_err);
	pthread_mutex_unlock(&lun->keeper.lock);
	if (ret)
		return qcow_refuse(reason, -ret,
				   "the disk in '%s' cannot be made %llu bytes large: %s",
				   top->path, (unsigned long long)size, strerror(-ret));
	return 0;
}

/* ---- how much it takes ---- */

int qcow_provisioning(struct tcmu_device *dev, uint64_t *used, uint64_t *available)
{
	const struct qcow_lun *lun = tcmur_dev_get_private(dev);
	const struct qcow_layer *top = lun->top;
	struct statvfs fs;
	struct stat st;

	if (top->block_dev)
		return -EOPNOTSUPP;
	if (fstat(top->fd, &st) || fstatvfs(top->data_fd, &fs))
		return -errno;
	*used = (uint64_t)st.st_blocks * 512;
	if (top->data_fd != top->fd) {
		if (fstat(top->data_fd, &st))
			return -errno;
		*used += (uint64_t)st.st_blocks * 512;
	}
	*available = (uint64_t)fs.f_bavail * fs.f_frsize;
	return 0;
}
