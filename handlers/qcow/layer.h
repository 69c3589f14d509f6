/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers: an image, what it is backed by, what that is backed by, and so on. All of them are open for
 * reading, checked, and locked against writers, as long as the logical unit is open.
 */
#ifndef QCOW_LAYER_H
#define QCOW_LAYER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fileio.h"
#include "header.h"

#define QCOW_LAYERS_MAX 256

/* What is wanted of an image. */
enum qcow_use {
	QCOW_LOOK,  /* no more than to see whether it could be used */
	QCOW_READ,  /* others may read it, too */
	QCOW_WRITE, /* nobody else has it; what it is backed by is read */
};

struct qcow_layer {
	struct qcow_layer *backing; /* NULL: what is not in this one reads as zeros */
	char *path;
	int fd;
	int data_fd; /* where its clusters are: fd, or the data file's */
	bool block_dev;
	bool raw; /* no image: bytes are where they are */
	dev_t fs;
	ino_t node;
	uint64_t file_size;
	uint64_t size; /* of the disk; of a raw one all of the file */
	struct qcow_header header;
	uint64_t *l1; /* l1_size entries */
	uint32_t l1_size;
	bool corrupt_said;
};

/*
 * Opens the image at path with all that is behind it, locked. snapshot: NULL, or the name or ID of one in it.
 * May block. NULL with *err = -errno and *reason, a malloc'ed sentence (NULL: no memory).
 */
struct qcow_layer *qcow_layers_open(const char *path, const char *snapshot, enum qcow_use use,
				    int *err, char **reason);
void qcow_layers_close(struct qcow_layer *top); /* also NULL */

/* ---- snapshot.c ---- */

/* Takes the L1 table and the size of the snapshot instead of the active ones. 0 or -errno with *reason. */
int qcow_snapshot_use(struct qcow_layer *layer, const char *name, char **reason);

/* The L1 table of the snapshot whose entry in the snapshot table is at *off, which becomes that of the next. 0 or
 * -errno. Blocks. */
int qcow_snapshot_next(const struct qcow_layer *layer, uint64_t *off, uint64_t *l1_offset,
		       uint32_t *l1_size);

/* Reads an L1 table into layer->l1. 0 or -errno with *reason. */
int qcow_layer_read_l1(struct qcow_layer *layer, uint64_t offset, uint32_t entries, char **reason);

/* ---- bitmaps.c ---- */

/* Calls fn with each piece of the image that dirty bitmaps take, until it fails. 0 or -errno. Blocks. */
int qcow_bitmaps_each(const struct qcow_layer *layer,
		      int (*fn)(void *arg, uint64_t off, uint64_t len), void *arg);

/* ---- lock.c ---- */

/*
 * Locks a file as QEMU does: byte locks of the open file description, by which QEMU, qemu-img and this handler
 * tell each other what they do with it. And flock(2), by which the file handler does. A process that is just
 * ending is waited for. 0 or -errno with *reason.
 */
int qcow_lock(int fd, enum qcow_use use, const char *path, char **reason);

#endif
