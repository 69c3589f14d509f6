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

#include "keeper.h"
#include "layer.h"
#include "map.h"
#include "slices.h"
#include "tcmu-runner.h"

struct qcow_copy;

/* An open logical unit. */
struct qcow_lun {
	struct tcmu_device *dev;
	struct qcow_layer *top;
	struct qcow_slices slices;
	int errno_said;
	bool writable; /* it was opened so */
	bool damaged;  /* found since: nothing more is written */
	bool sync_failed;

	/* Of a writable one. */
	struct qcow_keeper keeper;
	/* From this byte of the image on, what no entry says to be data is zeros. */
	uint64_t fresh_from;
	struct qcow_cmd *claims;
	struct qcow_cmd *for_sync; /* they wait for one that has not begun */
	struct qcow_cmd *in_sync;
	struct tcmur_io sync;              /* fdatasync of the files that are written */
	uint64_t sync_commits, sync_frees; /* what it makes durable */
	uint64_t commits;                  /* changes of L2 tables that are in the page cache */
	uint64_t synced;                   /* so many of them are on stable storage */
	struct qcow_copy *copies;          /* free ones */
	struct qcow_copy *all_copies;
	struct qcow_waiter *for_copy;
	void *zeros;                 /* QCOW_ZEROS_BYTES of them */
	bool no_holes;               /* the data file's file system makes none */
	struct qcow_shadow *shadows; /* commit.c: free ones */
	struct qcow_shadow *all_shadows;
	void *shadow_entries;
	struct qcow_slice *for_shadow;

	/* Grace: what was freed in epoch n is nobody's once the epoch is n + 2. */
	uint64_t epoch;
	unsigned int running[2]; /* commands of the epoch with this parity */
};

#define QCOW_ZEROS_BYTES 65536u

enum qcow_change_kind {
	QCOW_SET_DATA,  /* the bytes are in the clusters from host on now */
	QCOW_SET_ZEROS, /* they read as zeros, and no cluster is kept for whole ones */
};

/* What is to be done to entries of a slice, once the data are where they say. */
struct qcow_change {
	enum qcow_change_kind kind;
	struct qcow_slice *slice;
	uint64_t off; /* from the first byte that the slice is about */
	uint64_t len;
	uint64_t host; /* QCOW_SET_DATA: the cluster of the first byte */
	bool moved;    /* the entries have had other clusters, or none */
	bool whole;    /* all of the cluster is data now, also what is outside off and len */
	bool barrier;  /* not before the data are on stable storage */
};

/* tcmur_cmd_priv() */
struct qcow_cmd {
	struct tcmur_io io; /* first: done() gets back from it */
	struct qcow_waiter waiter;
	struct qcow_lun *lun;
	struct tcmur_cmd *cmd;                        /* NULL: a copy's */
	void (*step)(struct qcow_cmd *qc);            /* goes on with it */
	void (*finish)(struct qcow_cmd *qc, int err); /* 0 or an errno; once */
	uint64_t pos, end; /* bytes of the disk that are still to be done */
	int fail_sts;      /* what an I/O error means */
	uint8_t parity;    /* of its epoch */
	bool ended;        /* finished, but for what pins it */
	unsigned int pins; /* what has been begun in its name and outlives it */
	int sts;

	/* find.c: the layer that is asked, about so many bytes at pos; NULL: find anew. */
	struct qcow_layer *layer;
	uint64_t len;

	struct qcow_place place;
	struct qcow_layer *found; /* where place is */
	union {
		struct {                   /* read.c, write.c */
			struct iovec *iov; /* NULL: zeros are written */
			size_t iov_cnt;
			size_t cut_cnt; /* so many iovecs are for this place, the last one without */
			size_t cut_off; /* so many bytes */
			struct iovec zero_iov;
		};
		struct { /* status.c */
			struct tcmur_extent *extents;
			size_t max, count;
			unsigned int looks;
		};
	};

	/* write.c */
	bool fua;
	bool must_sync; /* before it ends */
	bool dsync;     /* what is being written makes itself durable */
	bool tried;     /* a write that was to be durable had no room: it is tried without */
	uint64_t piece; /* bytes from pos on that are being written */
	void (*then)(struct qcow_cmd *qc, int err); /* sync.c */
	struct qcow_copy *copy;
	struct qcow_change change;
	struct qcow_cmd *next; /* in the list of those that wait for the same */
	/* claim.c: clusters of the disk whose entries it is changing */
	struct qcow_cmd *claim_next, **claim_link;
	uint64_t claim_first, claim_last;
	struct qcow_waiter *claim_waiters;
};

struct qcow_cmd *qcow_cmd_begin(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off,
				uint64_t len, void (*step)(struct qcow_cmd *qc));
void qcow_cmd_end(struct qcow_cmd *qc);
/* Ends it: what errno err at pos means for a command of its kind. */
void qcow_cmd_fail(struct qcow_cmd *qc, int err);
/* resume() of a waiter: goes on, or fails. */
void qcow_cmd_resumed(struct qcow_waiter *waiter, int err);
/* What pinned it is over. */
void qcow_cmd_unpin(struct qcow_cmd *qc);
/* It holds on to no place that it has read of anywhere: it counts as one that begins now. */
void qcow_cmd_renew(struct qcow_cmd *qc);
/* Goes on to the next epoch, if there is no command left of the one before. */
void qcow_epoch_try(struct qcow_lun *lun);

/* ---- iov.c: a command's iovecs, piece by piece ---- */

/* The iovecs of the next len bytes, as they are but for the end of the last one, are cut_cnt ones. */
void qcow_cut(struct qcow_cmd *qc, uint64_t len);
/* Also where nothing was cut. */
void qcow_uncut(struct qcow_cmd *qc);
/* The first len bytes of what was cut are done. */
void qcow_advance(struct qcow_cmd *qc, uint64_t len);

/* ---- find.c ---- */

/*
 * Where are the bytes at qc->pos, up to qc->end? 1: place has the front of them, found the layer (NULL: zeros
 * that no layer has). 0: step() is called when there is more to know; it calls this again. Or -errno.
 */
int qcow_find(struct qcow_cmd *qc);
/* Says so once for a file; the image itself is not written to any more. -EUCLEAN. */
int qcow_say_damaged(struct qcow_lun *lun, struct qcow_layer *layer, uint64_t pos,
		     const char *what);

/* ---- read.c ---- */

void qcow_read_step(struct qcow_cmd *qc);

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

/* ---- claim.c ---- */

/*
 * Does another command change the entry of one of these clusters of the disk? *last is cut to the last one
 * before any such; false if there is none: qc waits, and goes on with its step.
 */
bool qcow_claim_free(struct qcow_cmd *qc, uint64_t first, uint64_t *last);
void qcow_claim(struct qcow_cmd *qc, uint64_t first, uint64_t last);
/* Also those that waited for it go on. */
void qcow_unclaim(struct qcow_cmd *qc);

/* ---- copy.c: buffers in which a cluster is put together from old contents and new ones ---- */

struct qcow_copy {
	struct qcow_cmd read; /* first */
	struct qcow_copy *next, *next_of_all;
	struct qcow_cmd *owner;
	void (*done)(struct qcow_cmd *owner, int err);
	struct iovec iov;
	struct iovec room; /* a cluster */
};

int qcow_copies_init(struct qcow_lun *lun);
void qcow_copies_fini(struct qcow_lun *lun);
/* qc->copy; false: it waits for one, and goes on with its step. */
bool qcow_copy_get(struct qcow_cmd *qc);
void qcow_copy_put(struct qcow_cmd *qc);
/* Reads len bytes of the disk at pos, as they are now, into the copy; then done(). */
void qcow_copy_read(struct qcow_cmd *qc, uint64_t pos, uint64_t len,
		    void (*done)(struct qcow_cmd *owner, int err));

/* ---- commit.c ---- */

/*
 * qc->change is made, when its data may be found: in the slice, and in the image's page cache. What the entries
 * referred to before is freed, the claim ends, and qc goes on with its step, or fails.
 */
void qcow_commit(struct qcow_cmd *qc);
int qcow_shadows_init(struct qcow_lun *lun);
void qcow_shadows_fini(struct qcow_lun *lun);

/* ---- write.c ---- */

/* The bytes of the piece are written and can be found. */
void qcow_piece_done(struct qcow_cmd *qc);
/* A change that does not come about may have left data where none were, in a cluster that stays. */
void qcow_piece_left_data(struct qcow_cmd *qc);
/* A piece with a change that is not made: its claim and all that it has taken are given back, and qc fails. */
void qcow_piece_failed(struct qcow_cmd *qc, int err);

/* ---- sync.c ---- */

/*
 * All that has been written so far, also by others, is made durable; then then(), with 0 or an errno. One
 * fdatasync is under way at a time, for all who wait for it: of two the kernel would tell one that data are lost.
 */
void qcow_sync_then(struct qcow_cmd *qc, void (*then)(struct qcow_cmd *qc, int err));
/* For that: qc ends. */
void qcow_sync_end(struct qcow_cmd *qc, int err);
/* fdatasync() has failed: none is believed from now on. */
void qcow_sync_failed(struct qcow_lun *lun, int err);

/* ---- writable.c ---- */

/* Makes an open image one that can be written to. May block. 0 or -errno with *reason. */
int qcow_writable_open(struct qcow_lun *lun, char **reason);
void qcow_writable_close(struct qcow_lun *lun);
/* Of the 8 bytes of the header at this one, durably. 0 or -errno. */
int qcow_header_set_bits(int fd, uint64_t at, uint64_t set, uint64_t clear);
/* A larger disk. Device's thread; blocks. 0 or -errno with *reason. */
int qcow_grow(struct qcow_lun *lun, uint64_t size, char **reason);

/* ---- repair.c ---- */

/* An image whose refcounts are not up to date: all references are counted, and the counts set right; then the bit
 * that says so is cleared. *changed: how many were wrong. 0 or -errno with *reason. May block. */
int qcow_repair(struct qcow_layer *layer, uint64_t *changed, char **reason);

/* ---- commands ---- */

int qcow_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
	      size_t len, off_t off);
int qcow_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
	       size_t len, off_t off);
int qcow_flush(struct tcmu_device *dev, struct tcmur_cmd *cmd);
int qcow_unmap(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len);
int qcow_writesame(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
		   struct iovec *iov, size_t iov_cnt);
int qcow_provisioning(struct tcmu_device *dev, uint64_t *used, uint64_t *available);
int qcow_lba_status(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
		    struct tcmur_extent *extents, size_t max);

#endif
