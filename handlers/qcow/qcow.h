/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The qcow handler's own: an image as a logical unit. Everything here runs on the device's thread, which
 * is why nothing of it is locked, but for the functions named work_*.
 */
#ifndef QCOW_QCOW_H
#define QCOW_QCOW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "layer.h"
#include "map.h"
#include "slices.h"
#include "tcmu-runner.h"

/* An open logical unit. */
struct qcow_lun {
	struct tcmu_device *dev;
	struct qcow_layer *top;
	struct qcow_slices slices;
	int errno_said;
};

/* tcmur_cmd_priv() */
struct qcow_cmd {
	struct tcmur_io io; /* first: done() gets back from it */
	struct qcow_waiter waiter;
	struct qcow_lun *lun;
	struct tcmur_cmd *cmd;
	void (*step)(struct qcow_cmd *qc); /* goes on with it */
	uint64_t pos, end;                 /* bytes of the disk that are still to be done */

	/* find.c: the layer that is asked, about so many bytes at pos; NULL: find anew. */
	struct qcow_layer *layer;
	uint64_t len;

	struct qcow_place place;
	struct qcow_layer *found; /* where place is */
	union {
		struct { /* read.c */
			struct iovec *iov;
			size_t iov_cnt;
			size_t cut_cnt; /* so many iovecs are for this place, the last one without */
			size_t cut_off; /* so many bytes */
		};
		struct { /* status.c */
			struct tcmur_extent *extents;
			size_t max, count;
			unsigned int looks;
		};
	};
};

struct qcow_cmd *qcow_cmd_begin(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off,
				uint64_t len, void (*step)(struct qcow_cmd *qc));
/* Ends it: what errno err at pos means for a read. */
void qcow_cmd_fail(struct qcow_cmd *qc, int err);

/* ---- find.c ---- */

/*
 * Where are the bytes at qc->pos, up to qc->end? 1: place has the front of them, found the layer (NULL: zeros
 * that no layer has). 0: step() is called when there is more to know; it calls this again. Or -errno.
 */
int qcow_find(struct qcow_cmd *qc);

/* ---- inflate.c ---- */

/*
 * On a worker. The cluster of qc's place, QCOW_COMPRESSED, is read and decompressed, and its bytes from
 * place.skip on go to the front of iov. How many, or -errno; -EBADMSG: it is not what the header says.
 */
int64_t qcow_work_inflate(const struct qcow_layer *layer, const struct qcow_place *place,
			  struct iovec *iov, size_t iov_cnt);

/* ---- unzstd.c, or unzstd-none.c in a build without libzstd ---- */

/* Is it there? */
bool qcow_can_unzstd(void);
/* Fills all of out from the frames in in. 0 or -errno. */
int qcow_unzstd(const void *in, size_t in_len, void *out, size_t out_len);

/* ---- commands ---- */

int qcow_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
	      size_t len, off_t off);
int qcow_lba_status(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
		    struct tcmur_extent *extents, size_t max);

#endif
