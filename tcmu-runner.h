/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcmu-runner.h: all that a handler includes (with scsi_defs.h for the numbers of the standards).
 *
 * A handler gives logical units their storage. It is a shared object handler_NAME.so in the
 * runner's handler directory with one entry point:
 *
 *	static struct tcmur_handler my_handler = {
 *		.name = "My storage", .subtype = "my", .cfg_desc = "my/PATH[;OPTIONS]",
 *		.open = my_open, .close = my_close, .read = my_read, .write = my_write, ...
 *	};
 *	TCMUR_REGISTER_HANDLER(my_handler)
 *
 * Kinds of handlers:
 * - blocking (nr_threads > 0): read, write, ... run on up to nr_threads worker threads of the
 *   device, may block, and return the outcome (enum tcmu_sts).
 * - asynchronous (nr_threads == 0): they run on the device's thread, must not block, start the I/O
 *   and return TCMU_STS_ASYNC_HANDLED; from any thread, exactly once, tcmur_cmd_complete() brings
 *   the outcome. Any other return value is the outcome itself.
 * - fd-based: asynchronous, through the I/O engine below.
 *
 * Buffers: iov and what it points to are the command's until it is completed, also when the initiator
 * has given it up and its answer was given early; the callback may change the iovecs themselves
 * (tcmu_iovec_seek). read() fills all of len.
 */
#ifndef TCMU_RUNNER_H
#define TCMU_RUNNER_H

#include "libtcmu.h"

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* Raised when a field of struct tcmur_handler changes its meaning; fields added at the end only
 * change the size. */
#define TCMUR_API_VERSION 2

/* One command, as a handler sees it. lib_cmd->cdb is the CDB; for tcmur_cmd_complete() the pointer
 * itself is the handle. */
struct tcmur_cmd {
	struct tcmulib_cmd *lib_cmd;
};

/* A piece of the range that lba_status() was asked about: it begins where the one before it ends. */
struct tcmur_extent {
	uint64_t len;     /* bytes; 0: behind the last one */
	bool deallocated; /* nothing is stored for any byte of it, all of them read as zeros */
};

/* struct tcmur_handler.flags */
#define TCMUR_HANDLER_FUA (1u << 0) /* write() honours tcmur_cmd_fua(): no flush is added */

struct tcmur_handler {
	/* Filled in by TCMUR_REGISTER_HANDLER or tcmur_register_handler(). */
	uint32_t _struct_size;
	uint32_t _api_version;

	const char *name;     /* for people. Required */
	const char *subtype;  /* [A-Za-z_][A-Za-z0-9_]*, matched whole. Required */
	const char *cfg_desc; /* one or more lines: what the config string may hold */
	void *opaque;         /* the handler's own */
	int nr_threads;       /* 0: asynchronous; n: blocking, at most n workers per device */
	size_t cmd_priv_size; /* bytes of per-command memory, see tcmur_cmd_priv() */
	uint32_t flags;       /* TCMUR_HANDLER_* */

	/* Is this config string (subtype/...) usable for a new device? false: *reason may be set to
	 * a malloc'ed sentence, which the caller frees. On a worker thread, concurrent with
	 * everything; may block. Optional. */
	bool (*check_config)(const char *cfgstring, char **reason);

	/* A new size or config for a running device: 0, or -errno to refuse (the writer of configfs
	 * sees it). For a size the runner sets num_lbas after 0. On the device's thread, while
	 * commands are in flight. Optional: absent means -EOPNOTSUPP. */
	int (*reconfig)(struct tcmu_device *dev, struct tcmulib_cfg_info *cfg);

	/* Opens the storage that tcmu_dev_get_cfgstring() names and sets the device's properties
	 * (tcmu_dev_set_*). block_size and, when configfs has a dev_size, num_lbas are preset; a
	 * handler that finds num_lbas 0 sets it from its storage. 0 or -errno, which the writer of
	 * configfs 'enable' sees, with the reason said by tcmu_dev_err(). Must exclude another
	 * opener of the same storage, also in a process that is just dying: the runner takes over
	 * the commands of a dead predecessor once open() has succeeded. reopen: the device was
	 * open before. On the device's thread; may block. Required. */
	int (*open)(struct tcmu_device *dev, bool reopen);

	/* Nothing is in flight. On the device's thread; may block. Required. */
	void (*close)(struct tcmu_device *dev);

	/* Sees every command before the runner does. An enum tcmu_sts; TCMU_STS_NOT_HANDLED passes
	 * it on to the runner. Where read() runs. Optional if read and write are there. */
	int (*handle_cmd)(struct tcmu_device *dev, struct tcmur_cmd *cmd);

	/* len and off in bytes, multiples of the block size, inside the capacity. */
	int (*write)(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		     size_t iov_cnt, size_t len, off_t off);
	int (*read)(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		    size_t iov_cnt, size_t len, off_t off);

	/* Every write that was completed before is on stable storage when this completes. Optional:
	 * absent means that a completed write always is. */
	int (*flush)(struct tcmu_device *dev, struct tcmur_cmd *cmd);

	/* Deallocates. TCMU_STS_NOT_HANDLED (returned or completed): this range cannot be
	 * deallocated, which is no error for the initiator. Optional. */
	int (*unmap)(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len);

	/* Fills off..off+len-1 with repetitions of the one block in iov. TCMU_STS_NOT_HANDLED
	 * (returned or completed): the runner writes the pattern itself. Optional. */
	int (*writesame)(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
			 struct iovec *iov, size_t iov_cnt);

	/* COMPARE AND WRITE: iov holds len bytes to compare, then len bytes to write, which are written
	 * if the first are equal to what is stored. TCMU_STS_MISCOMPARE if they are not, after
	 * tcmur_cmd_set_error_offset() of the first byte of the device that differs. Atomic against
	 * all that is written elsewhere; the runner lets nothing else of this device write there
	 * meanwhile. TCMUR_HANDLER_FUA goes for it too. TCMU_STS_NOT_HANDLED (returned or completed,
	 * with iov untouched): the runner reads, compares and writes. Optional. */
	int (*caw)(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
		   struct iovec *iov, size_t iov_cnt);

	/* Once after loading (0, or -errno: the handler is not used), once before unloading. On the
	 * main thread. Optional. */
	int (*init)(void);
	void (*destroy)(void);

	/* GET LBA STATUS: where is storage allocated in the len bytes from off? Fills extents[0], [1],
	 * ... from off on, without gaps, and stops where it likes: at len, at max extents (the runner
	 * has zeroed all of them, so the first one with len 0 ends the list), or where it becomes
	 * expensive; an initiator asks again from there. What is not known is not deallocated. Need not
	 * be multiples of the block size (a block that is partly deallocated counts as mapped), nor
	 * differ from their neighbours; what reaches beyond off + len is cut off. Runs while writes
	 * go on; its answer may be that of any moment since the call. Where read() runs, and with the same
	 * outcomes: for an asynchronous handler extents is valid until it completes the command.
	 * TCMU_STS_NOT_HANDLED (returned or completed): not known, all of it counts as mapped.
	 * Optional: absent means that too. */
	int (*lba_status)(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off,
			  uint64_t len, struct tcmur_extent *extents, size_t max);

	/* Saved mode pages (MODE SELECT with SP): some bytes, at most TCMUR_SAVED_MAX, that are kept with
	 * the storage, for the next device on it too. load_saved() gives them back: their number, 0 if
	 * there are none yet, -errno if this storage cannot keep any. On the device's thread, after
	 * open(); may block. store_saved() replaces them, durably when it completes; where read() runs,
	 * with the same outcomes. Optional, both or none: absent means that pages cannot be saved. */
	ssize_t (*load_saved)(struct tcmu_device *dev, void *data, size_t size);
	int (*store_saved)(struct tcmu_device *dev, struct tcmur_cmd *cmd, const void *data,
			   size_t len);

	/* The initiator has given this command up (ABORT TASK, LOGICAL UNIT RESET) while an operation of
	 * it is under way here: that may end soon now, unfinished. It ends once all the same, when nothing
	 * can touch its buffers any more: an asynchronous one by tcmur_cmd_complete(), also inside
	 * cancel(); a blocking one by returning, as ever. Its outcome (TCMU_STS_ABORTED, or the real one)
	 * reaches nobody, and no operation of this command follows. On the device's thread, at most once
	 * for a command; must not block. Other threads may be just about to begin the operation, in the
	 * middle of it, or about to end it: cmd and tcmur_cmd_priv() are valid until cancel() has
	 * returned, and hold there what the callback has left, zeros if it has not begun. Optional:
	 * absent, the operation is waited for. */
	void (*cancel)(struct tcmu_device *dev, struct tcmur_cmd *cmd);

	/* Thin provisioning: how much storage the logical unit takes (*used) and how much more the pool
	 * that it is taken from could give (*available, for this and all others that take from it). Bytes;
	 * what is not exact is fine. 0, or -errno: not known now; -EOPNOTSUPP at the first call: never,
	 * until the next open(). Initiators get provisioning thresholds (SBC-4 4.7.3.7) and the log page
	 * of the same name if the first call succeeds and the device can unmap. That call is on the
	 * device's thread, right after open() and in its time; the others are on workers of the
	 * device, more than one at a time, while commands go on, whatever the kind of the handler,
	 * and never after close() has begun. May block. Called for each LOG SENSE of that page, and
	 * while a threshold is enabled every 5 seconds and after each 64 MiB that are written.
	 * Optional. */
	int (*provisioning)(struct tcmu_device *dev, uint64_t *used, uint64_t *available);
};

#define TCMUR_SAVED_MAX 256

/* Defines the shared object's entry point. */
#define TCMUR_REGISTER_HANDLER(h)                                                                  \
	__attribute__((visibility("default"))) struct tcmur_handler *tcmur_handler_entry(void);    \
	struct tcmur_handler *tcmur_handler_entry(void)                                            \
	{                                                                                          \
		(h)._struct_size = sizeof(h);                                                      \
		(h)._api_version = TCMUR_API_VERSION;                                              \
		return &(h);                                                                       \
	}

/*
 * The older way: int handler_init(void) calls tcmur_register_handler(&h), once or more, and returns
 * 0. Registered like this with nr_threads == 0, TCMU_STS_OK returned by read, write, flush, unmap,
 * writesame, caw or handle_cmd means "queued, tcmur_cmd_complete() follows", as it always did there.
 */
int handler_init(void);
#define tcmur_register_handler(h) tcmur_register_handler_v2((h), sizeof(*(h)), TCMUR_API_VERSION)
int tcmur_register_handler_v2(struct tcmur_handler *h, size_t struct_size, uint32_t api_version);

/* ---- devices and commands ------------------------------------------------------------------ */

void *tcmur_dev_get_private(struct tcmu_device *dev);
void tcmur_dev_set_private(struct tcmu_device *dev, void *priv);

/* cmd_priv_size bytes for this command, 16-byte aligned, zeroed when the command arrives; the same
 * memory in every callback of one command. */
void *tcmur_cmd_priv(struct tcmur_cmd *cmd);

/* Must this write be on stable storage before it completes (FUA, or the write cache is off)? */
bool tcmur_cmd_fua(struct tcmur_cmd *cmd);

/* Must this write be found as a whole or not at all, whenever the power goes (WRITE ATOMIC)? Only where
 * tcmu_dev_set_max_atomic_len() has promised it, only in write(), for at most so many blocks in that one
 * call. Durable before it completes only if tcmur_cmd_fua() says so too. Until it has been answered the
 * runner lets nothing else of this device read or write its range. */
bool tcmur_cmd_atomic(struct tcmur_cmd *cmd);

/* The failing byte of the device, before completing with TCMU_STS_RD_ERR or TCMU_STS_WR_ERR: goes
 * into the sense data's INFORMATION field as an LBA. */
void tcmur_cmd_set_error_offset(struct tcmur_cmd *cmd, uint64_t off);

/* The outcome of a callback that returned TCMU_STS_ASYNC_HANDLED. Any thread, also inside the
 * callback, exactly once. */
void tcmur_cmd_complete(struct tcmu_device *dev, struct tcmur_cmd *cmd, int sts);

/* ---- the I/O engine ------------------------------------------------------------------------ */

/*
 * For asynchronous handlers over file descriptors. Put a struct tcmur_io into the command's memory
 * (tcmur_cmd_priv), set done, call one of the functions below on the device's thread. done runs on
 * the device's thread, never inside the call; res is bytes (short only at end of file), 0 for those
 * that move none, or -errno. io and iov belong to the engine until then. What is transient (EINTR,
 * EAGAIN) is retried, more than IOV_MAX iovecs are split; iovecs are not changed. readv, writev and
 * fallocate of a struct tcmur_io in the memory of a command that the initiator has given up may end with
 * -ECANCELED: nobody waits for it, and part of it may have been done.
 */
struct tcmur_io {
	void (*done)(struct tcmur_io *io, int64_t res);
	uint64_t priv[6]; /* the engine's */
};

#define TCMUR_IO_FUA (1u << 0) /* on stable storage before done (RWF_DSYNC) */

void tcmur_io_readv(struct tcmu_device *dev, struct tcmur_io *io, int fd, const struct iovec *iov,
		    size_t iov_cnt, off_t off);
void tcmur_io_writev(struct tcmu_device *dev, struct tcmur_io *io, int fd, const struct iovec *iov,
		     size_t iov_cnt, off_t off, unsigned int flags);
/* fdatasync(2) */
void tcmur_io_fsync(struct tcmu_device *dev, struct tcmur_io *io, int fd);
/* fallocate(2); for block devices use tcmur_io_work() and ioctl(2) where it does not fit. */
void tcmur_io_fallocate(struct tcmu_device *dev, struct tcmur_io *io, int fd, int mode, off_t off,
			off_t len);
/* fn runs on a worker of the device and may block or compute; res is what it returns. */
void tcmur_io_work(struct tcmu_device *dev, struct tcmur_io *io,
		   int64_t (*fn)(struct tcmur_io *io));
/* done after nsec nanoseconds, res 0. */
void tcmur_io_timer(struct tcmu_device *dev, struct tcmur_io *io, uint64_t nsec);

/*
 * Optional, on the device's thread: what is in the page cache of this open file need not be waited for, so
 * readv and writev may move it on the device's thread, which costs least. Only a file whose descriptor stays
 * open until it is removed here (before close(2)), or until the device is closed. Up to 4 of a device;
 * with O_DIRECT, O_DSYNC or O_SYNC nothing happens.
 */
void tcmur_io_add_fd(struct tcmu_device *dev, int fd);
void tcmur_io_remove_fd(struct tcmu_device *dev, int fd);

/* Inside done with an error from readv or writev: how many bytes came over before it. */
uint64_t tcmur_io_progress(const struct tcmur_io *io);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
