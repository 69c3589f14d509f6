/* SPDX-License-Identifier: Apache-2.0 */
/* The file handler's own: a regular file or a block device as a logical unit. */
#ifndef FILE_FILE_H
#define FILE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tcmu-runner.h"

#define FILE_SUBTYPE "file"

/* ---- options.c: file/PATH[;OPTION]... ---- */

struct file_options {
	char *path; /* absolute */
	bool direct;
	bool read_only;
	bool create;
	bool removable;
	bool atomic;
	uint32_t phys_size; /* bytes of a physical block; 0: what the storage says */
};

#define FILE_PHYS_SIZE_LEAST 512
#define FILE_PHYS_SIZE_MOST  65536

/* 0 or -errno with *reason a malloc'ed sentence (NULL: no memory). On 0 free with the next one. */
int file_options_parse(const char *cfgstring, struct file_options *opts, char **reason);
void file_options_free(struct file_options *opts);

/* *reason becomes the sentence. Returns -err. */
int file_refuse(char **reason, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* ---- cut.c ---- */

/* path does not exist: a sentence for the case that it is the front of one that does, because a config
 * string cannot carry all of it. malloc'ed; NULL: it does not look like that. Reads the directory. */
char *file_cut_hint(const char *path);

/* ---- lock.c: who may use a file ---- */

/* A logical unit's claim on a file, in a table of this process. Its owner's memory. */
struct file_claim {
	struct file_claim *next;
	struct tcmu_device *dev;
	dev_t fs; /* block devices: their number, and node 0 */
	ino_t node;
	bool shared;
};

/* Claims for claim->dev; refused while another logical unit has it, unless both share. One that the
 * kernel has removed already and that only has to close is waited for. 0 or -errno with *reason. */
int file_claim_take(struct file_claim *claim, const char *path, char **reason);
/* A claim that was not taken is ignored. */
void file_claim_drop(struct file_claim *claim);

/* flock(2) on fd, waiting for what a dying predecessor has in flight. 0 or -errno with *reason. */
int file_lock(int fd, bool shared, const char *path, char **reason);

/* Is err, from opening or locking, worth another try? Sleeps before it says yes; *waited_ms
 * counts. */
bool file_wait_busy(int err, unsigned int *waited_ms);

/* ---- target.c: what is at the path ---- */

struct file_target {
	struct file_claim claim;
	int fd;
	bool block_dev;
	uint64_t size;       /* bytes */
	uint32_t block_size; /* block_dev: its logical block size, else 1 */
	uint32_t phys_size; /* bytes that the storage handles at once, a power of two; 0: unknown */
	uint32_t unmap_gran; /* bytes; 0: unknown */
	bool unmap;          /* deallocation is there */
	bool discard;        /* by BLKDISCARD only: what was unmapped has no defined contents */
	bool rotational;
};

/*
 * Opens, locks and measures. dev NULL: only looks whether that is likely to work, and opens for
 * reading at most. size is the dev_size of configfs, for ;create. 0 or -errno with *reason.
 */
int file_target_open(const struct file_options *opts, struct tcmu_device *dev, uint64_t size,
		     struct file_target *target, char **reason);
void file_target_close(struct file_target *target);

/* The directory entry of path survives as the file's data do. 0 or -errno. */
int file_sync_parent(const char *path);

/* The size now, or -errno. */
int64_t file_target_size(int fd, bool block_dev);

/* Can I/O of block_size bytes at a multiple of it be done with O_DIRECT? 0 or -errno. */
int file_target_probe_direct(int fd, uint32_t block_size);

/* ---- io.c, atomic.c, provision.c, mapping.c, saved.c: commands ---- */

struct file_journal; /* journal.h */

/* An open logical unit. */
struct file_lun {
	struct file_target target;
	bool direct;
	bool read_only;
	bool no_zero_range; /* the file system lacks FALLOC_FL_ZERO_RANGE */
	bool sync_failed;   /* see file_flush() */
	bool shrunk_said;
	int errno_said;
	struct file_journal *journal; /* with ;atomic */
	struct file_cmd *line;        /* atomic.c: those that need the journal, the first has it */
	struct file_cmd **line_last;
};

/* tcmur_cmd_priv() */
struct file_cmd {
	struct tcmur_io io; /* first: done() gets back from it */
	struct tcmu_device *dev;
	struct tcmur_cmd *cmd;
	struct file_lun *lun;
	union {
		struct iovec *iov;
		struct tcmur_extent *extents; /* file_lba_status() */
		const void *saved;            /* file_store_saved() */
	};
	size_t iov_cnt; /* or how many extents */
	uint64_t off, len;

	/* atomic.c */
	struct file_cmd *next;
	void (*start)(struct file_cmd *fc); /* NULL: it is a WRITE ATOMIC */
	void (*done)(struct tcmur_io *io, int64_t res);
	bool reads;
};

/* The command's memory, filled in; done gets the outcome of the engine call that follows. */
struct file_cmd *file_cmd_begin(struct tcmu_device *dev, struct tcmur_cmd *cmd,
				void (*done)(struct tcmur_io *io, int64_t res));
void file_cmd_end(struct file_cmd *fc, int sts);
/* Ends it with what errno err at byte off means; medium_sts: TCMU_STS_RD_ERR or TCMU_STS_WR_ERR. */
void file_cmd_fail(struct file_cmd *fc, const char *what, uint64_t off, int err, int medium_sts);

/* Calls start(fc), which makes an engine call, as soon as the storage can be accessed: at once, unless a
 * WRITE ATOMIC could not be finished. Then it may also end with an error. off and len are set.
 * TCMU_STS_ASYNC_HANDLED. */
int file_cmd_start(struct file_cmd *fc, bool reads, void (*start)(struct file_cmd *fc));
/* iov, off and len are set. */
int file_write_atomic(struct file_cmd *fc);

int file_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
	      size_t len, off_t off);
int file_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
	       size_t len, off_t off);
int file_flush(struct tcmu_device *dev, struct tcmur_cmd *cmd);
int file_unmap(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len);
int file_writesame(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
		   struct iovec *iov, size_t iov_cnt);
int file_lba_status(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
		    struct tcmur_extent *extents, size_t max);

/* The page cache has dropped what it could not write: every flush fails from now on. */
void file_sync_failed(struct tcmu_device *dev, struct file_lun *lun, int err);

/* Saved mode pages are an extended attribute of the file. */
ssize_t file_load_saved(struct tcmu_device *dev, void *data, size_t size);
int file_store_saved(struct tcmu_device *dev, struct tcmur_cmd *cmd, const void *data, size_t len);

/* On any thread of the device. */
int file_provisioning(struct tcmu_device *dev, uint64_t *used, uint64_t *available);

#endif
