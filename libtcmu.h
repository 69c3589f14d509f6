/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libtcmu: the user-space half of a TCM-User device, for programs with an event loop of their own.
 *
 * A program registers handlers (one per subtype, the text before the first '/' of a device's
 * config string), watches tcmulib_get_master_fd() and calls tcmulib_master_fd_ready() when it is
 * readable. Devices arrive in added(); each has a file descriptor (tcmu_dev_get_fd()) that becomes
 * readable when the kernel has queued SCSI commands. examples/consumer.c is a complete program.
 *
 * Error families: an `int` that is not a SCSI outcome is 0 (or a count) or a negative errno. A SCSI
 * outcome is an enum tcmu_sts. Nothing here aborts the program for what the kernel or an initiator
 * sent.
 *
 * Threads: all tcmulib_*(ctx) calls, and every callback of struct tcmulib_handler, belong to one
 * thread, the master. The ring calls of one device (get_next_command, get_next_tmr,
 * command_complete, processing_*) belong to one thread at a time, any thread; different devices are
 * independent. tcmulib_event_done() may be called from any thread. There is no lock inside the ring
 * calls.
 */
#ifndef LIBTCMU_H
#define LIBTCMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct tcmu_device;     /* one logical unit; opaque */
struct tcmulib_context; /* one connection to the kernel; opaque */

#define TCMU_SENSE_BUFFERSIZE 96

/* SCSI outcomes. Each maps to a status and, but for OK, BUSY and NO_RESOURCE, to sense data
 * (scsi/sts.c holds the table; SPC-5 4.4). */
enum tcmu_sts {
	TCMU_STS_OK = 0,
	TCMU_STS_NOT_HANDLED,            /* 05/20/00 INVALID COMMAND OPERATION CODE */
	TCMU_STS_ASYNC_HANDLED,          /* not an outcome: the answer comes later */
	TCMU_STS_PASSTHROUGH_ERR,        /* CHECK CONDITION, sense_buf is already filled */
	TCMU_STS_NO_RESOURCE,            /* TASK SET FULL: the initiator retries */
	TCMU_STS_BUSY,                   /* BUSY: the initiator retries */
	TCMU_STS_WR_ERR,                 /* 03/0C/00 WRITE ERROR */
	TCMU_STS_RD_ERR,                 /* 03/11/00 UNRECOVERED READ ERROR */
	TCMU_STS_MISCOMPARE,             /* 0E/1D/00 MISCOMPARE DURING VERIFY OPERATION */
	TCMU_STS_INVALID_CMD,            /* 05/20/00 */
	TCMU_STS_INVALID_CDB,            /* 05/24/00 INVALID FIELD IN CDB */
	TCMU_STS_INVALID_PARAM_LIST,     /* 05/26/00 INVALID FIELD IN PARAMETER LIST */
	TCMU_STS_INVALID_PARAM_LIST_LEN, /* 05/1A/00 PARAMETER LIST LENGTH ERROR */
	TCMU_STS_RANGE,                  /* 05/21/00 LOGICAL BLOCK ADDRESS OUT OF RANGE */
	TCMU_STS_NO_SPACE,               /* 07/27/07 SPACE ALLOCATION FAILED WRITE PROTECT */
	TCMU_STS_WRITE_PROTECTED,        /* 07/27/00 WRITE PROTECTED */
	TCMU_STS_HW_ERR,                 /* 04/44/00 INTERNAL TARGET FAILURE */
	TCMU_STS_NOT_READY,              /* 02/04/00 LOGICAL UNIT NOT READY, CAUSE NOT REPORTABLE */
	TCMU_STS_TIMEOUT,                /* 0B/2E/02 COMMAND TIMEOUT DURING PROCESSING: retried */
	TCMU_STS_ABORTED,                /* 0B/00/00 */
	TCMU_STS_CAPACITY_CHANGED,       /* 06/2A/09 CAPACITY DATA HAS CHANGED */
	TCMU_STS_FRMT_IN_PROGRESS,       /* 02/04/04 FORMAT IN PROGRESS */
	TCMU_STS_NOTSUPP_SAVE_PARAMS,    /* 05/39/00 SAVING PARAMETERS NOT SUPPORTED */
	TCMU_STS_COUNT
};

/* ---- handlers ------------------------------------------------------------------------------ */

enum tcmulib_cfg_type {
	TCMULIB_CFG_DEV_CFGSTR,
	TCMULIB_CFG_DEV_SIZE,
	TCMULIB_CFG_WRITE_CACHE,
};

/* What a configfs write to attrib/ wants to change. The library owns it during the callback. */
struct tcmulib_cfg_info {
	enum tcmulib_cfg_type type;
	union {
		uint64_t dev_size;   /* bytes */
		char *dev_cfgstring; /* subtype/config */
		bool write_cache;
	} data;
};

/*
 * A subtype and what to do with its devices. All callbacks run on the master thread and must not
 * block: use tcmulib_event_defer() for anything slow. The array given to tcmulib_initialize() is
 * copied; the strings must live as long as the context.
 */
struct tcmulib_handler {
	const char *name;            /* shown to people */
	const char *subtype;         /* matched whole against the text before the first '/' */
	const char *cfg_desc;        /* what a config string looks like, for help texts */
	struct tcmulib_context *ctx; /* set by tcmulib_initialize() */

	/* Is this config string (subtype/...) usable? false: *reason may be set to a malloc'ed
	 * sentence, which the caller frees. Asked before added(); false refuses the device with
	 * -EINVAL. Optional. */
	bool (*check_config)(const char *cfgstring, char **reason);

	/* A configfs write to attrib/ waits for the answer: 0 accepts, -errno refuses; the kernel
	 * stores the new value only after 0. May be deferred. Optional: absent means -EOPNOTSUPP.*/
	int (*reconfig)(struct tcmu_device *dev, struct tcmulib_cfg_info *cfg);

	/* A device of this subtype exists. Its file descriptor is open, its ring not yet mapped
	 * (tcmulib_device_start()). 0 takes it, -errno refuses it and ends dev; the writer of
	 * configfs 'enable' sees that errno. May be deferred. Required. */
	int (*added)(struct tcmu_device *dev);

	/* The device is going away; the kernel has answered all its commands (only those that it
	 * had timed out may still run here). On return the library unmaps, closes and frees it,
	 * unless deferred. Also called for every device that is left at tcmulib_close(). Required. */
	void (*removed)(struct tcmu_device *dev);

	void *hm_private; /* the program's own */
};

/*
 * Connects to the kernel, finds the devices that exist already and calls added() for those whose
 * subtype is in handlers[0..n-1]. NULL with errno set on failure (EPERM: needs CAP_NET_ADMIN;
 * ENOENT: no TCM-USER family, load target_core_user).
 */
struct tcmulib_context *tcmulib_initialize(struct tcmulib_handler *handlers, size_t n);

/*
 * Subtypes that another daemon on this kernel owns: their events are never answered here, nor are they
 * for any device that nobody answers for beside that daemon (reset_netlink ends the waits of all).
 * The list is copied and replaces an earlier one; call it right after tcmulib_initialize(), on the
 * master thread. 0 or -ENOMEM. Without it, an event for a subtype that nobody here owns is refused with
 * -ENOENT after 5 s, or after 60 s if another program listens to the kernel's events too; one in
 * another network namespace cannot be seen, and has to be listed.
 */
int tcmulib_set_foreign(struct tcmulib_context *ctx, const char *const *subtypes, size_t n);

/* An epoll descriptor: readable (level-triggered) when tcmulib_master_fd_ready() has work. */
int tcmulib_get_master_fd(struct tcmulib_context *ctx);

/* Handles what is pending: kernel events, deferred replies, deadlines. Never blocks on a device.
 * 0, or -errno when the connection to the kernel is beyond repair. */
int tcmulib_master_fd_ready(struct tcmulib_context *ctx);

/* Ends all devices (removed() for each), answers what the kernel still waits for and leaves: a
 * later create does not hang, the next daemon finds the devices by its scan. A dev whose removed()
 * was or is now deferred stays valid until tcmulib_device_release(); tcmulib_event_done() for it is
 * not needed any more. NULL is ignored. */
void tcmulib_close(struct tcmulib_context *ctx);

/*
 * Does another process serve the same devices right after this one, as when this one is about to execute
 * another program? Then tcmulib_close() leaves the kernel waiting for answers, and a creation that has none
 * yet, whether added() was called, has deferred or not, is left to that process, which finds it in its
 * tcmulib_initialize(). A dev whose ADDED is deferred may be released without tcmulib_event_done() for that.
 * Removals need nobody meanwhile, and reconfigs fail with ESRCH. No effect beside other daemons, where a
 * removal would wait for them, nor while one waits since before this program. On the master thread.
 */
void tcmulib_set_successor(struct tcmulib_context *ctx, bool on);

/*
 * For a program that must exit while devices hang in its callbacks or threads, so that tcmulib_close()
 * would never come to an end: answers what the kernel still waits for and touches no device: nothing is
 * unmapped, no callback is called, other threads may be anywhere. REMOVED is answered with 0, a
 * reconfig with -ESHUTDOWN, and ADDED with 0 too: a refusal would have the kernel free a ring that is
 * open here; the next process finds the device by its scan. On the master thread, right before
 * _exit(); no other call may follow. NULL is ignored.
 */
void tcmulib_abandon(struct tcmulib_context *ctx);

/*
 * Deferred replies. Inside added(), removed() or reconfig() tcmulib_event_defer() makes the return
 * value ignored; the kernel's writer waits until tcmulib_event_done(), which any thread may call,
 * exactly once per deferral. The reply itself is sent by tcmulib_master_fd_ready().
 * After a negative status on ADDED the library unmaps and closes the device before the reply
 * (the kernel frees the mailbox after it) and keeps dev itself until tcmulib_device_release(). It
 * is the caller's duty that no thread uses the ring or the descriptor any more.
 */
void tcmulib_event_defer(struct tcmu_device *dev);
/* Inside added(): does a configfs writer wait for the answer? false: the device was enabled before
 * this program started, its commands wait in the ring, and a refusal only means that nobody serves
 * it. */
bool tcmulib_event_awaited(struct tcmu_device *dev);
void tcmulib_event_done(struct tcmu_device *dev, int status);

/* Ends a dev whose REMOVED or failed ADDED was deferred: unmaps, closes, frees. Any thread, after
 * tcmulib_event_done(); the reply that is still queued is sent all the same. Also the way to end a
 * running device before tcmulib_close() (a daemon that stops), then on the master thread only, where
 * no event can be on its way into a callback: no removed() call follows. */
void tcmulib_device_release(struct tcmu_device *dev);

/*
 * For a program that puts another medium behind a running device by itself (a change that comes as an event is
 * reconfig()'s). exchange: the config string, which is malloc'ed and becomes dev's, and the size in bytes
 * take the place of those that dev has, and the other way round: *cfgstring, which tcmu_dev_get_cfgstring()
 * may have given to somebody, is the caller's to free or to exchange again. num_lbas becomes what fits into the
 * size. No other event of dev may be under way. store: the kernel has these two from now on, both or none: info
 * and attrib/ show them, and the next process opens them (tcmulib_initialize()). 0 or -errno (-EINVAL: more than 255 bytes, or a
 * comma or a newline, which the kernel's control file cannot take). Writes to configfs, which may block for as long
 * as somebody removes dev, until the answer to REMOVED.
 */
void tcmulib_device_exchange_config(struct tcmu_device *dev, char **cfgstring, uint64_t *size);
int tcmulib_device_store_config(struct tcmu_device *dev, const char *cfgstring, uint64_t size);

/*
 * Shows the handlers on the system bus, so that tcmu-runner shows them to targetcli beside its own
 * (user:SUBTYPE), asks their check_config() and leaves their devices alone. Comes back at once, with or without
 * a bus or a tcmu-runner; both may come, go and come back. Ends with tcmulib_close(). Needs a running GLib main
 * loop: the thread's default main context at this call, where check_config() is called too; call
 * tcmulib_close() on that thread. The bus's policy (tcmu-runner.conf) has to allow it: root, usually.
 */
void tcmulib_register(struct tcmulib_context *ctx);

/* ---- the ring of a device ------------------------------------------------------------------ */

/*
 * One SCSI command. cdb and iovec are private copies that the program may change (tcmu_iovec_seek);
 * the memory that iovec points to is the data area shared with the kernel: read it for writes,
 * fill it for reads, and do not touch it after tcmulib_command_complete().
 */
struct tcmulib_cmd {
	uint16_t cmd_id;
	/* A process before this one has had the command, and died before it was answered: it may have
	 * been executed, in whole or in part. What that one said with tcmulib_command_set_mark(). */
	bool again;
	uint32_t mark;
	uint8_t *cdb; /* whole: the length of tcmu_cdb_get_length() is there */
	struct iovec *iovec;
	size_t iov_cnt;
	uint8_t sense_buf[TCMU_SENSE_BUFFERSIZE]; /* for TCMU_STS_PASSTHROUGH_ERR; zeroed */
	void *hm_private; /* hm_cmd_size bytes of the program's own, 16-byte aligned, not cleared */

	/* Set before completion. Data-in commands only: only the first read_len bytes of the buffer
	 * were written, the initiator gets just these and a residual. 0: all of the buffer counts.
	 * A kernel without TCMU_RING_READ_LEN gets the rest zeroed instead. */
	uint32_t read_len;
	/* Answer it, but keep the data blocks, and all that belongs to this struct (cdb, iovec,
	 * hm_private), until tcmulib_free_kept_buffer(): something may still use them. Until then it
	 * counts as in flight. Without TCMU_RING_KEEP_BUF this is ignored. */
	bool keep_buf;
};

/* Features of a ring (mailbox flags, target_core_user.h). */
#define TCMU_RING_OOO      (1u << 0) /* commands may be completed in any order */
#define TCMU_RING_READ_LEN (1u << 1)
#define TCMU_RING_TMR      (1u << 2)
#define TCMU_RING_KEEP_BUF (1u << 3)

enum tcmulib_ring_state {
	TCMULIB_RING_CLOSED, /* not started yet, or released */
	TCMULIB_RING_RUNNING,
	TCMULIB_RING_DRAINING, /* reset from outside: old commands must end, then it runs again */
	TCMULIB_RING_PARKED,   /* insane contents: untouched from now on; tcmulib_ring_reason() */
	TCMULIB_RING_GONE,     /* the kernel has removed the device */
};

/* A task management function that LIO has carried out (attrib/tmr_notification=1): the commands in
 * cmd_ids are aborted for the initiator, which waits for their completion here. */
struct tcmulib_tmr {
	uint8_t type; /* enum tcm_tmreq_table of the kernel: 1 ABORT TASK, 5 LUN RESET */
	uint32_t cmd_cnt;
	const uint16_t *cmd_ids; /* valid until the next ring call */
};

/* Maps the ring and continues where the predecessor left off (cmd_tail). If that one died with commands
 * in flight, all that it has not answered comes again, with tcmulib_cmd.again set; so call this only when
 * its I/O is provably over (the handler's lock on its storage is held). After a predecessor that does
 * not keep the ring as a journal: the slow road, block + reset + unblock (the initiator gets BUSY and
 * resends). Called by get_next_command and processing_start
 * if not before, once; called by the program after a failure it tries again. 0 (also if started
 * already) or -errno; -EPROTO: a ring that this library does not understand. May block for some ms
 * (configfs), or, if the process has no descriptors left, for some seconds. */
int tcmulib_device_start(struct tcmu_device *dev);

/* The next new command, NULL if there is none now (or a TMR comes first, or the ring is not running,
 * or the memory for commands with many iovs is used up). No event comes for what was left for one of
 * the last two reasons: a program with commands in flight calls this again after completing some, or
 * asks tcmulib_ring_pending(). hm_cmd_size: bytes wanted at cmd->hm_private; the first call fixes it for the device. */
struct tcmulib_cmd *tcmulib_get_next_command(struct tcmu_device *dev, int hm_cmd_size);

/* After get_next_command returned NULL: the TMR it stopped at, or NULL. There may be commands behind
 * it, for which no event comes: the ring is drained when both calls have returned NULL. A program that
 * never calls this loses the notice; after the first time its get_next_command no longer stops at a
 * TMR, so all should call this, if only to look for the commands behind. */
const struct tcmulib_tmr *tcmulib_get_next_tmr(struct tcmu_device *dev);

/* Answers cmd, in any order; cmd is invalid afterwards and its data area may belong to another
 * command at once, so all I/O into it must be over (unless keep_buf is set). sts: enum tcmu_sts (not ASYNC_HANDLED). The
 * kernel is told by the next tcmulib_processing_complete(). */
void tcmulib_command_complete(struct tcmu_device *dev, struct tcmulib_cmd *cmd, int sts);

/* For commands that must not be executed twice (COMPARE AND WRITE): how far this one has come, in a
 * word of the program's own, which a process after a death of this one finds in tcmulib_cmd.mark. 0:
 * nothing that matters. A store to the ring; it is gone with the answer. */
void tcmulib_command_set_mark(struct tcmu_device *dev, struct tcmulib_cmd *cmd, uint32_t mark);

/* Will get_next_command give commands that a dead process has had (tcmulib_cmd.again)? Known when the ring is
 * started. Who has marked some may want to go on with those first. */
bool tcmulib_ring_replays(struct tcmu_device *dev);

/* Acknowledges the event that made the device's descriptor readable (one read). Not needed with an
 * edge-triggered watch. */
void tcmulib_processing_start(struct tcmu_device *dev);

/* Rings the doorbell if anything was completed since the last time. One system call at most; the
 * kernel copies data of reads inside it. */
void tcmulib_processing_complete(struct tcmu_device *dev);

/* The command with this id (as a TMR names it) that is not answered yet, or NULL. */
struct tcmulib_cmd *tcmulib_command_by_id(struct tcmu_device *dev, uint16_t cmd_id);

/* Gives back what a command completed with keep_buf has kept; it is invalid afterwards. 0 or -errno
 * (-EINVAL: none of this id is kept). A ring call: rings the doorbell if that is due, and writes to
 * configfs, unless the kernel has dropped the buffer itself (reset, removal). The file is below the
 * storage object: for as long as somebody removes that, until the answer to REMOVED, the call may block. */
int tcmulib_free_kept_buffer(struct tcmu_device *dev, uint16_t cmd_id);

/* Are there entries that get_next_command would look at? One load from shared memory, no system
 * call: for spinning. */
bool tcmulib_ring_pending(struct tcmu_device *dev);
/* Bytes of those entries, at the same price: does waiting a little make it more? */
uint32_t tcmulib_ring_backlog(struct tcmu_device *dev);

/* Commands handed out and not completed yet, or completed with keep_buf and not yet freed. */
uint32_t tcmulib_ring_in_flight(struct tcmu_device *dev);

/* For a device that nobody uses just now: gives the memory of its commands back to the system, with what the
 * last ones have left in hm_private. It comes again, as zeros, when it is needed. A ring call. 0, or -EBUSY
 * while commands are in flight as above. */
int tcmulib_ring_trim(struct tcmu_device *dev);

uint32_t tcmulib_ring_features(struct tcmu_device *dev);
enum tcmulib_ring_state tcmulib_ring_state(struct tcmu_device *dev);

/* Why the ring is parked (a sentence), or NULL. Owned by the library. */
const char *tcmulib_ring_reason(struct tcmu_device *dev);

/* Two bytes that live as long as the device in the kernel, across processes: 0 until one sets it. For what
 * initiators rely on and no restart may change (is the write cache off?). Only while the ring is
 * started; 0 and no effect otherwise. */
uint16_t tcmulib_device_note(struct tcmu_device *dev);
void tcmulib_device_set_note(struct tcmu_device *dev, uint16_t note);

/* Leaves the ring in order for a successor: with nothing in flight, marks it cleanly stopped and
 * stops consuming. -EBUSY while commands are in flight. Called by tcmulib_device_release() too. */
int tcmulib_device_stop(struct tcmu_device *dev);

/* ---- device properties (api.c) ------------------------------------------------------------- */

void *tcmu_dev_get_private(struct tcmu_device *dev);
void tcmu_dev_set_private(struct tcmu_device *dev, void *priv);
int tcmu_dev_get_fd(struct tcmu_device *dev);
struct tcmulib_handler *tcmu_dev_get_handler(struct tcmu_device *dev);

/* subtype/config, without "tcm-user/hba/name/"; owned by dev, changes only in reconfig. */
char *tcmu_dev_get_cfgstring(struct tcmu_device *dev);
/* The storage object's configfs directory below target/core, "user_0/name": the device's name in
 * messages. */
const char *tcmu_dev_get_name(struct tcmu_device *dev);
uint32_t tcmu_dev_get_minor(struct tcmu_device *dev); /* of /dev/uioN */

/* dev_size as configfs has it, in bytes; 0 when none was given. Updated after a DEV_SIZE reconfig. */
uint64_t tcmu_dev_get_config_size(struct tcmu_device *dev);

void tcmu_dev_set_num_lbas(struct tcmu_device *dev, uint64_t num_lbas);
uint64_t tcmu_dev_get_num_lbas(struct tcmu_device *dev);
void tcmu_dev_set_block_size(struct tcmu_device *dev, uint32_t block_size); /* bytes */
uint32_t tcmu_dev_get_block_size(struct tcmu_device *dev);
/* The logarithm of logical blocks per physical block, for READ CAPACITY(16). */
void tcmu_dev_set_phys_exponent(struct tcmu_device *dev, uint32_t exponent);
uint32_t tcmu_dev_get_phys_exponent(struct tcmu_device *dev);
void tcmu_dev_set_max_xfer_len(struct tcmu_device *dev, uint32_t blocks);
uint32_t tcmu_dev_get_max_xfer_len(struct tcmu_device *dev);
void tcmu_dev_set_max_unmap_len(struct tcmu_device *dev, uint32_t blocks);
uint32_t tcmu_dev_get_max_unmap_len(struct tcmu_device *dev);
void tcmu_dev_set_opt_unmap_gran(struct tcmu_device *dev, uint32_t blocks);
uint32_t tcmu_dev_get_opt_unmap_gran(struct tcmu_device *dev);
void tcmu_dev_set_unmap_gran_align(struct tcmu_device *dev, uint32_t blocks);
uint32_t tcmu_dev_get_unmap_gran_align(struct tcmu_device *dev);
void tcmu_dev_set_write_cache_enabled(struct tcmu_device *dev, bool on);
bool tcmu_dev_get_write_cache_enabled(struct tcmu_device *dev);
void tcmu_dev_set_solid_state_media(struct tcmu_device *dev, bool on);
bool tcmu_dev_get_solid_state_media(struct tcmu_device *dev);
void tcmu_dev_set_unmap_enabled(struct tcmu_device *dev, bool on);
bool tcmu_dev_get_unmap_enabled(struct tcmu_device *dev);
/* Do unmapped blocks read as zeros (LBPRZ)? */
void tcmu_dev_set_unmap_zeroes(struct tcmu_device *dev, bool on);
bool tcmu_dev_get_unmap_zeroes(struct tcmu_device *dev);
void tcmu_dev_set_write_protect_enabled(struct tcmu_device *dev, bool on);
bool tcmu_dev_get_write_protect_enabled(struct tcmu_device *dev);
/* Has it a medium that START STOP UNIT ejects and loads (RMB of INQUIRY)? It is loaded at first. */
void tcmu_dev_set_removable(struct tcmu_device *dev, bool on);
bool tcmu_dev_get_removable(struct tcmu_device *dev);
/* Is a write of up to so many blocks never seen in part, by no read, nor found in part after a loss of
 * power? Then there is WRITE ATOMIC(16). 0: there is not. For handlers of tcmu-runner the power is what
 * counts (tcmur_cmd_atomic()): reads are kept away by the runner, where this was set in open(). Of physical
 * blocks that are larger than logical ones, only whole ones are written so. */
void tcmu_dev_set_max_atomic_len(struct tcmu_device *dev, uint32_t blocks);
uint32_t tcmu_dev_get_max_atomic_len(struct tcmu_device *dev);

uint64_t tcmu_lba_to_byte(struct tcmu_device *dev, uint64_t lba);
uint64_t tcmu_byte_to_lba(struct tcmu_device *dev, uint64_t byte);

/* ---- CDBs, iovecs, sense data (api.c) ------------------------------------------------------ */

/* Bytes of the CDB by its group code (SPC-5 4.2.5.1, and the kernel's table for the vendor groups);
 * for 7Fh 8 + ADDITIONAL CDB LENGTH. */
int tcmu_cdb_get_length(uint8_t *cdb);
uint64_t tcmu_cdb_get_lba(uint8_t *cdb);
uint32_t tcmu_cdb_get_xfer_length(uint8_t *cdb); /* blocks; READ(6) with 0 gives 256 */
uint64_t tcmu_cdb_to_byte(struct tcmu_device *dev, uint8_t *cdb);

size_t tcmu_iovec_length(struct iovec *iov, size_t cnt);
/* Consumes count bytes from the front; returns how many iovecs are used up. */
size_t tcmu_iovec_seek(struct iovec *iov, size_t count);
void tcmu_iovec_zero(struct iovec *iov, size_t cnt);
bool tcmu_iovec_zeroed(struct iovec *iov, size_t cnt);
/* Offset of the first difference, -1 if none in size bytes. */
off_t tcmu_iovec_compare(void *mem, struct iovec *iov, size_t size);
/* Copies and consumes nothing of iov; returns the bytes copied. */
size_t tcmu_memcpy_into_iovec(struct iovec *iov, size_t cnt, void *src, size_t len);
size_t tcmu_memcpy_from_iovec(void *dst, size_t len, struct iovec *iov, size_t cnt);

/* Fixed-format sense data; asc_ascq: ASC in the high byte. Returns TCMU_STS_PASSTHROUGH_ERR. */
int tcmu_sense_set_data(uint8_t *sense_buf, uint8_t key, uint16_t asc_ascq);
void tcmu_sense_set_info(uint8_t *sense_buf, uint32_t info);

/* Emulation: each fills the whole of iov (the rest of it with zeros) and returns an enum tcmu_sts;
 * with TCMU_STS_OK the command can be completed. port is unused (0). */
int tcmu_emulate_inquiry(struct tcmu_device *dev, void *port, uint8_t *cdb, struct iovec *iov,
			 size_t cnt);
int tcmu_emulate_test_unit_ready(uint8_t *cdb, struct iovec *iov, size_t cnt);
int tcmu_emulate_read_capacity_10(uint64_t num_lbas, uint32_t block_size, uint8_t *cdb,
				  struct iovec *iov, size_t cnt);
int tcmu_emulate_read_capacity_16(struct tcmu_device *dev, uint8_t *cdb, struct iovec *iov,
				  size_t cnt);
int tcmu_emulate_mode_sense(struct tcmu_device *dev, uint8_t *cdb, struct iovec *iov, size_t cnt);
int tcmu_emulate_mode_select(struct tcmu_device *dev, uint8_t *cdb, struct iovec *iov, size_t cnt);

/* ---- configfs ------------------------------------------------------------------------------ */

/* A file's text without its last newline, malloc'ed; NULL with errno. path is absolute. */
char *tcmu_cfgfs_get_str(const char *path);
int tcmu_cfgfs_set_str(const char *path, const char *val, int len);         /* 0 or -errno */
int tcmu_cfgfs_dev_get_attr_int(struct tcmu_device *dev, const char *name); /* attrib/name */
int tcmu_cfgfs_mod_param_set_u32(const char *name, uint32_t val);           /* target_core_user */

/* A file of the storage object's directory ("wwn/vpd_unit_serial", "attrib/cmd_time_out"), last
 * newline removed, NUL-terminated. Bytes read or -errno. Any thread; do not call it on a path that
 * the reply to REMOVED waits for (the kernel holds the directory's lock then). */
ssize_t tcmu_dev_read_attr(struct tcmu_device *dev, const char *name, char *buf, size_t size);
/* The value of a file of wwn/ ("vpd_unit_serial"), without the text in front of it and spaces around
 * it. Its length; 0: there is none, and buf is unchanged. Written after 'enable' without an event, so
 * it is read each time it is needed. */
size_t tcmu_dev_read_wwn(struct tcmu_device *dev, const char *name, char *buf, size_t size);
int tcmu_dev_write_attr(struct tcmu_device *dev, const char *name, const char *val);

/*
 * Anything in the target's configfs, which is where the ports and the initiators are. path: below
 * target/, "core/user_0/name/alua" or "iscsi/iqn.x/tpgt_1/acls".
 *
 * Any thread. They block, and may sleep uninterruptibly in the kernel: a directory cannot be looked
 * into while something in it is being removed, and a removal may wait for the commands that are under
 * way (a LUN's link, an ACL), or for the reply to REMOVED. So what waits for one of these on behalf of
 * a command needs an end to its patience, unless it is about the storage object's own directory.
 */
/* A file, as tcmu_dev_read_attr(). A file with lists (alua/NAME/members) has NULs in it. */
ssize_t tcmu_target_read(const char *path, char *buf, size_t size);
/* Where a symbolic link leads, NUL-terminated. Its bytes or -errno (-EINVAL: not a link, -E2BIG: buf
 * is too small). */
ssize_t tcmu_target_link(const char *path, char *buf, size_t size);
/* The names in a directory, in no order, each with its NUL, one behind the other. Bytes used or -errno
 * (-E2BIG: there are more). */
ssize_t tcmu_target_list(const char *path, char *buf, size_t size);

/* ---- messages ------------------------------------------------------------------------------ */

enum tcmu_log_level { TCMU_LOG_ERROR = 1, TCMU_LOG_WARN, TCMU_LOG_INFO, TCMU_LOG_DEBUG };

/* The command that a message is about. */
struct tcmu_log_about {
	const uint8_t *cdb; /* a whole one, or NULL */
	uint64_t lba;
	bool has_lba;
	bool has_sense;
	uint8_t sense_key, asc, ascq; /* SPC-5 4.4 */
	bool wanted;                  /* neither the level nor the rate holds it back: a trace */
};

/* A message, as a sink gets it: everything is valid during the call. */
struct tcmu_log_record {
	enum tcmu_log_level level;
	const char *device;                 /* "user_0/name"; NULL: it concerns none */
	const char *handler;                /* its subtype; NULL: none, or not known yet */
	const char *message;                /* a line of UTF-8 without its end */
	const struct tcmu_log_about *about; /* or NULL */
};

/* Where messages go; nowhere by default. The sink may be called from any thread. Set it before anything
 * else. */
void tcmu_set_log_sink(void (*sink)(const struct tcmu_log_record *record, void *arg), void *arg);
void tcmu_set_log_level(enum tcmu_log_level level); /* default TCMU_LOG_INFO */
enum tcmu_log_level tcmu_get_log_level(void);

/* At most so many messages of each level about one device within TCMU_LOG_RATE_SEC seconds; the rest is counted,
 * and the count is told. 0, the default: no limit. Any thread. */
#define TCMU_LOG_RATE_SEC 10
void tcmu_set_log_rate(unsigned int messages);
/* Tells how many messages about dev were dropped, which otherwise the next message does. Those of a time that is not
 * over only if now is set. Any thread. */
void tcmu_log_settle(struct tcmu_device *dev, bool now);

/* dev may be NULL. errno is preserved. */
void tcmu_log(enum tcmu_log_level level, struct tcmu_device *dev, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same about a command. */
void tcmu_log_command(enum tcmu_log_level level, struct tcmu_device *dev,
		      const struct tcmu_log_about *about, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#define tcmu_err(...)           tcmu_log(TCMU_LOG_ERROR, NULL, __VA_ARGS__)
#define tcmu_warn(...)          tcmu_log(TCMU_LOG_WARN, NULL, __VA_ARGS__)
#define tcmu_info(...)          tcmu_log(TCMU_LOG_INFO, NULL, __VA_ARGS__)
#define tcmu_dbg(...)           tcmu_log(TCMU_LOG_DEBUG, NULL, __VA_ARGS__)
#define tcmu_dev_err(dev, ...)  tcmu_log(TCMU_LOG_ERROR, dev, __VA_ARGS__)
#define tcmu_dev_warn(dev, ...) tcmu_log(TCMU_LOG_WARN, dev, __VA_ARGS__)
#define tcmu_dev_info(dev, ...) tcmu_log(TCMU_LOG_INFO, dev, __VA_ARGS__)
#define tcmu_dev_dbg(dev, ...)  tcmu_log(TCMU_LOG_DEBUG, dev, __VA_ARGS__)

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
