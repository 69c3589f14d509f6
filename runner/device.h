/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One logical unit in the runner: its thread, its state, what is asked of it.
 *
 * The device's thread owns everything here but the fields marked otherwise. The main thread asks by
 * runner_dev_request() and is told by the two notify callbacks, which run on the main thread.
 */
#ifndef RUNNER_DEVICE_H
#define RUNNER_DEVICE_H

#include <glib.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "runner/cached.h"
#include "runner/direct.h"
#include "runner/gather.h"
#include "runner/registry.h"
#include "runner/spin.h"
#include "runner/visit.h"
#include "runner/wipe.h"
#include "runner/workers.h"
#include "scsi/lu.h"
#include "scsi/sense.h"
#include "scsi/xcopy.h"
#include "tcmu-runner.h"
#include "util/list.h"
#include "util/mpsc.h"

struct runner_cmd;
struct runner_copy;
struct runner_pause;
struct runner_uring;

#define RUNNER_COPY_RESULTS 4 /* copies whose outcome RECEIVE COPY RESULTS can fetch */

enum runner_state {
	RUNNER_DISCOVERED, /* known, its thread not yet started */
	RUNNER_OPENING,    /* in the handler's open() */
	RUNNER_RUNNING,
	RUNNER_PAUSED,   /* consumes nothing, finishes what is in flight */
	RUNNER_CLOSING,  /* in the handler's close() */
	RUNNER_GONE,     /* the thread has ended or is about to */
	RUNNER_FAILED,   /* open() failed on a device that the kernel already has: tried again */
	RUNNER_CHANGING, /* as PAUSED, for runner/pause.h */
	RUNNER_DRAINED,  /* its storage is closed, until it is told to go on */
};

/* What the main thread asks for: bits of runner_dev.requests. */
#define RUNNER_REQ_STOP     (1u << 0) /* finish what is in flight, close, end the thread */
#define RUNNER_REQ_RECONFIG (1u << 1) /* runner_dev.reconfig is filled */
#define RUNNER_REQ_PARK     (1u << 2) /* a handler broke a rule: consume nothing more */
#define RUNNER_REQ_TRIM     (1u << 3) /* nobody has used it for a while: runner_idle_trim() */
#define RUNNER_REQ_WATCH    (1u << 4) /* it is in use: runner_watch() */
#define RUNNER_REQ_PAUSE    (1u << 5) /* runner_dev.pause is filled, or given up */
#define RUNNER_REQ_RESUME                                                                          \
	(1u << 6) /* go on after RUNNER_PAUSE_DRAIN; open() now, if that had failed */

/* The answer that a configfs writer waits for: given exactly once, by whoever claims it. The kernel has
 * one event at a time for a device; a handler that comes back after the deadline may find another. */
enum runner_reply {
	RUNNER_REPLY_NONE,
	RUNNER_REPLY_ADDED,
	RUNNER_REPLY_RECONFIG,
	RUNNER_REPLY_REMOVED,
};

/* Unit attentions. */
#define RUNNER_UA_MEDIUM_CHANGED   (1u << 0)             /* 28/00 */
#define RUNNER_UA_CAPACITY_CHANGED (1u << 1)             /* 2A/09 */
#define RUNNER_UA_MODE_CHANGED     (1u << 2)             /* 2A/01 */
#define RUNNER_UA_THRESHOLD(which) (1u << (3 + (which))) /* 38/07, SCSI_THRESHOLD_* */

/* Logical block provisioning thresholds: runner/threshold.c. Their settings are in the mode values. */
struct runner_thresholds {
	bool known;   /* the handler knows how much storage there is */
	bool watched; /* one is enabled, and told of */
	bool asking, again;
	bool timing;
	bool failed; /* the last answer, which was said */
	bool armed[SCSI_THRESHOLD_COUNT];
	uint64_t written;         /* bytes since it was asked */
	uint64_t used, available; /* bytes: the answer, a worker's while it is asked */
	struct tcmur_io ask, timer;
};

/* What it has done since it is served. Written by the device's thread alone (runner_count()), read by any. */
struct runner_counters {
	_Atomic(uint64_t) begun, ended, errors, reads, writes;
	_Atomic(uint64_t) read_blocks, written_blocks;
	_Atomic(uint64_t) aborted, expired, resets;
};

/* No read-modify-write: nobody else writes it. */
static inline void runner_count(_Atomic(uint64_t) *counter, uint64_t n)
{
	uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, now + n, memory_order_relaxed);
}

struct runner_idle {
	_Atomic(bool) used; /* any thread: since the main thread has looked */
	bool watched;       /* it looks now and then */
	unsigned int deaf;  /* main thread: looks since the device's thread has answered to one */
	GSource *source;    /* of the main loop, made and freed there */
};

struct runner_dev {
	struct tcmu_device *dev;
	const struct runner_handler *entry;  /* the registry's, outlives the device */
	const struct tcmur_handler *handler; /* &entry->handler */
	void *handler_private;

	_Atomic(enum runner_state) state;      /* runner_dev_set_state(); any thread may read */
	_Atomic(unsigned int) requests;        /* any thread */
	_Atomic(enum runner_reply) reply;      /* any thread */
	_Atomic(unsigned int) unit_attentions; /* RUNNER_UA_*: each told to one command */
	_Atomic(bool) traced;                  /* any thread: each command is told of */
	_Atomic(bool) sleeping; /* the thread is in, or on its way into, epoll_wait */
	int wake_fd;            /* eventfd */
	int epoll_fd;
	bool existed;      /* enabled before our start: no reply, retried */
	bool blamed;       /* runner/blame.h: that was said; main thread */
	bool stopping;     /* RUNNER_REQ_STOP was seen */
	size_t config_len; /* runner/defaults.h: own_len */
	unsigned int
		time_out_sec; /* of the config string, 0: none; set before the thread is there */
	_Atomic(bool) parked;
	bool opened;

	/* For runner/info.c; any thread may read. */
	struct runner_counters counters;
	_Atomic(uint64_t) size;       /* bytes */
	_Atomic(uint32_t) block_size; /* bytes */
	_Atomic(int) error;           /* -errno: why it is FAILED */
	_Atomic(const char *) fault;  /* why it is parked, if the handler has broken a rule */

	/* runner/pause.h: the main thread's until RUNNER_REQ_PAUSE, then the device's, until its ended(). */
	struct runner_pause *pause;
	bool held;           /* takes no new commands */
	bool drained;        /* held until RUNNER_REQ_RESUME */
	bool stale;          /* what waits in the ring was meant for the medium before */
	int64_t stale_until; /* CLOCK_MONOTONIC, ns */

	struct mpsc_node *here_first, **here_last; /* like cmds_done, of this thread */
	_Atomic(int) completing;    /* threads between their push into cmds_done and the wake-up */
	struct mpsc cmds_done;      /* runner_cmd.node: operations that have an outcome */
	struct mpsc ios_done;       /* tcmur_io: engine calls that have a result */
	struct runner_uring *uring; /* NULL: the workers transfer, and epoll waits */
	struct runner_workers workers;
	struct runner_gather gather;
	struct runner_cached cached;
	struct runner_direct direct;
	struct runner_spin spin;
	struct runner_idle idle;
	struct runner_job *batch_first,
		**batch_last; /* for the engine and the workers, handed over once per round */
	unsigned int batch_count;
	unsigned int worker_calls; /* engine calls that workers have */
	struct tcmur_io *timers;   /* sorted by deadline */

	/* A command of our own, for what a reconfig or a pause needs from the handler. */
	struct runner_cmd *own;
	bool own_busy;
	struct tcmulib_cmd own_lib;
	uint8_t own_cdb[16];

	/* What initiators rely on, also after a restart: runner/note.c. WCE is the library's. */
	struct scsi_mode_values mode; /* but for wce */
	bool ejected;
	bool prevented; /* PREVENT ALLOW MEDIUM REMOVAL */
	enum runner_health health;
	bool saves; /* the storage has a place for saved mode pages */
	struct scsi_mode_values mode_saved, mode_default;
	struct runner_thresholds thresholds;

	/* Aborted commands whose operation is with the handler, by the time at which they are answered
	 * all the same: runner/abort.c. */
	struct list aborted;
	struct tcmur_io abort_timer;
	bool abort_timer_set;
	struct runner_job abort_job; /* turns tmr_notification on */
	_Atomic(int64_t) tpg_said;   /* seconds: a refused SET TARGET PORT GROUPS was logged */

	unsigned int active;      /* commands that may touch the medium: runner_cmd.active */
	struct runner_wipe *wipe; /* a format or sanitize operation, NULL: none */

	/* Commands with a locked range, in the order in which they came: runner/range.c. */
	struct list ranges;
	unsigned int ranges_exclusive; /* in the list, of those that somebody could wait for */
	unsigned int ranges_waiting;

	struct runner_visits visits; /* of other devices' threads: runner/visit.c */

	struct runner_copy *copy;                   /* EXTENDED COPY that goes on, NULL: none */
	struct runner_cmd *copy_first, **copy_last; /* waiting for its end: runner_cmd.next */
	struct scsi_xcopy_result copy_results[RUNNER_COPY_RESULTS];
	unsigned int copy_result_next; /* overwritten next */

	void *bounce;
	struct runner_cmd *bounce_owner;
	struct runner_cmd *bounce_first, **bounce_last; /* waiting for it */

	/* Main thread. */
	struct list node;
	struct runner_thread *thread;
	bool has_thread;
	bool leaving;  /* told to stop: its config string may come again before it has closed */
	bool pausing;  /* pause is the device's thread's */
	bool draining; /* and it is to be drained */
	bool forgiven; /* runner/blame.h: it is served all the same */
	const char *told_state;
	guint deadline; /* GLib source of the pending reply */
	void (*ended)(struct runner_dev *rdev);

	/* Filled by the main thread before RUNNER_REQ_RECONFIG, read by the device's thread, which
	 * has done with it when it clears reconfig_busy. */
	_Atomic(bool) reconfig_busy;
	struct tcmulib_cfg_info reconfig;
	char reconfig_cfg[512];
	bool cache_before; /* WCE, for a change of it that comes to nothing */
};

/* Main thread. A device in state DISCOVERED; ended() is called on the main thread when its thread
 * has ended. */
struct runner_dev *runner_dev_new(struct tcmu_device *dev, const struct runner_handler *entry,
				  bool existed, void (*ended)(struct runner_dev *rdev));
/* Main thread, before any device: the nice value of their threads. */
void runner_dev_choose_nice(int nice);
/* Main thread. Starts the thread, which opens and serves. 0 or -errno. */
int runner_dev_start(struct runner_dev *rdev);
/* Main thread, after ended() or before start: joins and frees. The tcmu_device is not touched. */
void runner_dev_free(struct runner_dev *rdev);

/* Any thread. */
void runner_dev_request(struct runner_dev *rdev, unsigned int req);
/* Device's thread: this is its state from now on. */
void runner_dev_set_state(struct runner_dev *rdev, enum runner_state state);
/* Any thread: wakes the device's thread if it sleeps. */
void runner_dev_wake(struct runner_dev *rdev);
/* Any thread: true for the one caller that now has to give the reply of this kind. */
bool runner_dev_claim_reply(struct runner_dev *rdev, enum runner_reply kind);
/* The next command that may report it gets this unit attention, RUNNER_UA_*. Any thread. */
void runner_dev_unit_attention(struct runner_dev *rdev, unsigned int ua);
/* Takes one that waits into *sense; false if there is none. */
bool runner_dev_take_unit_attention(struct runner_dev *rdev, struct scsi_sense *sense);

/* Device's thread, in its loop with nothing under way (runner/pause.c): open() and close() of the handler. 0 or
 * -errno. */
int runner_dev_open(struct runner_dev *rdev, bool reopen);
void runner_dev_close(struct runner_dev *rdev);
/* open() has failed with err: again and again, until it succeeds (0) or a stop is asked for. */
int runner_dev_open_again(struct runner_dev *rdev, int err);

/* runner/note.c, on the device's thread. Sets WCE, also for the daemon that comes after this one:
 * initiators do not notice a restart. */
void runner_dev_set_write_cache(struct runner_dev *rdev, bool on);
/* After a change of what it covers (see struct runner_dev): the next daemon finds it so. */
void runner_note_write(struct runner_dev *rdev);
/* At the start: as the last daemon left it; for a new device, as the storage has it saved. */
void runner_note_restore(struct runner_dev *rdev);
/* runner/mode.c: reads the saved mode pages from the storage (rdev->saves, mode_saved, mode_default). */
void runner_mode_load(struct runner_dev *rdev);
/* runner/mode.c: makes these the current values; neither flushes nor writes the note. */
void runner_mode_apply(struct runner_dev *rdev, const struct scsi_mode_values *values);

/* runner/mode.c: the current values. */
void runner_mode_current(struct runner_dev *rdev, struct scsi_mode_values *values);
/* runner/mode.c: there is another medium, or the same one anew: the current values are what they were before, as
 * far as it allows them. True: they are not. */
bool runner_mode_carry_over(struct runner_dev *rdev, const struct scsi_mode_values *before);

/* runner/threshold.c, on the device's thread. After open(), before the mode values are set: asks the handler
 * whether it knows how much storage there is. May block. */
void runner_thresholds_open(struct runner_dev *rdev);
/* THRESHOLD EXPONENT, 0: there are no thresholds. */
uint8_t runner_threshold_exponent(const struct runner_dev *rdev);
/* rdev->mode has changed; before: what was. */
void runner_thresholds_changed(struct runner_dev *rdev, const struct scsi_mode_values *before);
/* While they are watched: so many blocks are going to be written. */
void runner_thresholds_written(struct runner_dev *rdev, uint64_t blocks);
/* The handler has just said so many bytes. */
void runner_thresholds_check(struct runner_dev *rdev, uint64_t used, uint64_t available);

static inline struct runner_dev *runner_dev_of(struct tcmu_device *dev)
{
	return tcmu_dev_get_private(dev);
}

/* runner/info.c. Any thread: what it tells of some device has changed. */
void runner_states_changed(void);
/* Main thread: this device is about to be freed. */
void runner_states_gone(struct runner_dev *rdev);

/* runner/cmdproc.c: serves the ring until a stop is asked for and nothing is in flight. */
void runner_cmdproc(struct runner_dev *rdev);
/* runner/cmdproc.c: is nothing under way that the handler is needed for? */
bool runner_quiet(struct runner_dev *rdev);
/* runner/cmdproc.c: flushes, while commands go on or not; rdev->own has the outcome in done(), which first
 * takes own_busy back. -EBUSY, -ENOMEM: it was not begun. */
int runner_own_flush(struct runner_dev *rdev, void (*done)(struct runner_cmd *rc, int sts));
/* runner/cmdproc.c: sleeps until woken, at most timeout_ms (-1: for ever); for the retry of open(). */
void runner_sleep(struct runner_dev *rdev, int timeout_ms);

/* runner/idle.c. Device's thread, at the start and with a command while rdev->idle.used is false: some seconds
 * after the last one the main thread asks for the trim. */
void runner_idle_used(struct runner_dev *rdev);
/* runner/watch.c. Device's thread, between two rounds: looks for commands that take too long, every
 * RUNNER_IDLE_SEC while there are any. */
#define RUNNER_IDLE_SEC   5
#define RUNNER_DEAF_LOOKS 3 /* after so many without an answer its thread counts as hung */
void runner_watch(struct runner_dev *rdev);

/* Device's thread, between two rounds: gives back what it does not need without a command. Does not wait for
 * anything but threads that have nothing to do. */
void runner_idle_trim(struct runner_dev *rdev);
/* Main thread: before the device's thread is there, when it has ended, and when it is time to look. */
void runner_idle_init(struct runner_dev *rdev);
void runner_idle_fini(struct runner_dev *rdev);
void runner_idle_look(struct runner_idle *idle);

/* runner/dispatch.c: a new command from the ring. */
void runner_dispatch(struct runner_dev *rdev, struct tcmulib_cmd *lib_cmd);
size_t runner_cmd_size(const struct runner_dev *rdev); /* bytes of a runner_cmd with its cmd_priv */

/* runner/report.c. Main thread: these devices are traced, NULL: none; and is this one of them? */
void runner_trace_choose(const char *const *names);
bool runner_trace_wants(const char *name);
/* Device's thread. What a message about this command has for fields. */
void runner_report_about(const struct runner_cmd *rc, struct tcmu_log_about *about);
/* A command of a traced device begins. */
void runner_report_begin(struct runner_cmd *rc);
/* A command of a traced device has come to its end with sts, or one of any device without GOOD; what sense data it has
 * are in its buffer. */
void runner_report_end(struct runner_cmd *rc, int sts);

/* runner/ops.c, on the device's thread before its first operation. */
void runner_ops_init(struct runner_dev *rdev);
/* runner/ops.c: runs the steps of operations that have an outcome. */
void runner_ops_reap(struct runner_dev *rdev);
/* runner/ops.c, any thread: a handler broke the rule in reason; the device is parked. */
void runner_ops_fault(struct runner_dev *rdev, const char *reason);

/* runner/abort.c, device's thread. After the device was taken into service: asks the kernel to tell of
 * task management functions, unless that is set already. */
void runner_abort_start(struct runner_dev *rdev);
/* LIO has carried out this one: ends the commands that it names as early as they can. */
void runner_abort_tmr(struct runner_dev *rdev, const struct tcmulib_tmr *tmr);
/* One of them. Nothing is answered in the call, but maybe in this round. */
void runner_abort_command(struct runner_cmd *rc);
/* dispatch.c: this aborted command is over. True: it was answered before, and now it is gone. */
bool runner_abort_end(struct runner_cmd *rc);

/* runner/io.c: takes out a job that lies in this memory, if there is one that waits for a worker and may
 * be left undone. */
struct runner_job *runner_io_take(struct runner_dev *rdev, const void *from, const void *to);
/* Ends an engine call that was taken out, with -ECANCELED. */
void runner_io_cancelled(struct runner_job *job);
/* runner/io.c: runs done() of engine calls that have a result, and timers. */
void runner_io_reap(struct runner_dev *rdev);
/* runner/timer.c: runs done() of those that are due. */
void runner_timers_reap(struct runner_dev *rdev);
/* Milliseconds until the next timer, -1: none. */
int runner_io_timeout(const struct runner_dev *rdev);
/* runner/io.c, for uring.c: this transfer has come to an end with res, bytes or -errno. */
void runner_io_ended(struct tcmur_io *io, int res);
/* Starts the round's jobs: those of the workers with one lock. True: some have come to their end, and there
 * may be more to do. */
bool runner_batch_flush(struct runner_dev *rdev);

#endif
