/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The context: one connection to the kernel and the life of its devices. lib/context.c has the loop and
 * the start, lib/events.c what an event does, lib/pending.c its reply, lib/scan.c how devices are found
 * without one, lib/foreign.c what is other daemons', lib/closing.c the end.
 *
 * Threads: all functions belong to the master thread, unless they say otherwise. The lock covers the
 * lists, which the few calls from other threads change; nothing slow happens under it: no callback, no
 * message, no memory, no system call.
 */
#ifndef LIB_CONTEXT_H
#define LIB_CONTEXT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libtcmu.h"
#include "lib/kernel.h"
#include "lib/pending.h"
#include "util/list.h"

/* How long an event for a subtype that nobody here owns waits at least, and how long the kernel may take
 * to let go of a device whose last process has died. */
#define TCMU_GRACE_MS 5000

struct tcmulib_context {
	struct tcmu_kernel *kernel;
	struct tcmulib_handler *handlers;
	size_t handler_count;
	int epoll_fd;
	int done_fd;        /* eventfd: something is in done */
	int timer_fd;       /* the next deadline of any kind */
	uint64_t check_at;  /* ms: look for writers that nobody answers; 0: no need */
	bool seen_stuck;    /* the last look found one */
	uint64_t rescan_at; /* ms: 0: no need */
	bool said_blocked;  /* the last scan could not look at all devices, and has said so */
	bool said_others;   /* ... and that it is left alone */
	bool ending;        /* no event is received any more; the master thread's */
	bool closed;

	struct tcmu_registration *registration; /* lib/register.c; NULL: none */

	/* ---- lib/foreign.c ---- */
	char **foreign; /* subtypes that are never ours */
	size_t foreign_count;
	uint64_t others_at; /* ms; when the kernel was asked who listens; 0: never */
	uint32_t others_port;
	bool others;

	pthread_mutex_t lock;
	struct list devices; /* struct tcmu_device.node */
	struct list
		pending; /* struct tcmu_pending.node: the program's turn, or waiting for a deadline */
	struct list done;  /* ... the reply is to be sent */
	unsigned int refs; /* the program's one and one of each device */
	bool successor;    /* creations are left to the next process */
};

/* Milliseconds of CLOCK_MONOTONIC. Any thread. */
uint64_t tcmu_now_ms(void);

/* An answer may have got lost: look for its writer, after the time that others have. */
void tcmu_context_check_later(struct tcmulib_context *ctx);

/* NULL with errno. */
struct tcmulib_context *tcmu_context_new(struct tcmulib_handler *handlers, size_t n);

int tcmu_context_ready(struct tcmulib_context *ctx);
void tcmu_context_close(struct tcmulib_context *ctx);

/* See tcmulib_set_successor(). */
void tcmu_context_set_successor(struct tcmulib_context *ctx, bool on);

/* See tcmulib_abandon(). */
void tcmu_context_abandon(struct tcmulib_context *ctx);

/* Any thread; the last one frees. */
void tcmu_context_unref(struct tcmulib_context *ctx);

/* The handler whose subtype is exactly the front of config, or NULL. */
struct tcmulib_handler *tcmu_context_handler(struct tcmulib_context *ctx, const char *config);

/* Is an answer of ours still to come that somebody waits for? */
bool tcmu_context_busy(struct tcmulib_context *ctx);

/* ---- lib/events.c ---- */

/* What an event does, up to the reply or the program's deferral of it. silent: no reply is due. */
void tcmu_event_handle(struct tcmulib_context *ctx, const struct tcmu_event *ev, bool silent);

/* Answers what has waited long enough. Returns the next deadline in ms, or 0. */
uint64_t tcmu_events_check_deadlines(struct tcmulib_context *ctx, uint64_t now);

/* The kernel has dropped dev without an event that reached us, or the context ends: removed(). True:
 * dev is gone; false: the program has deferred and still has it. No event of dev may be pending. */
bool tcmu_device_vanished(struct tcmulib_context *ctx, struct tcmu_device *dev);

/* Something is in done. Any thread, without the lock. */
void tcmu_context_wake(struct tcmulib_context *ctx);

/* See tcmulib_event_defer(). */
void tcmu_event_defer(struct tcmu_device *dev);

/* See tcmulib_event_awaited(). */
bool tcmu_event_awaited(struct tcmu_device *dev);

/* See tcmulib_event_done(). Any thread. */
void tcmu_event_done(struct tcmu_device *dev, int status);

/* Takes dev out of the context and frees it. Any thread; see tcmulib_device_release(). */
void tcmu_device_end(struct tcmu_device *dev);

/* ---- lib/foreign.c ---- */

/* See tcmulib_set_foreign(). */
int tcmu_foreign_set(struct tcmulib_context *ctx, const char *const *subtypes, size_t n);
void tcmu_foreign_free(struct tcmulib_context *ctx);

/* Is the subtype of config in that list? */
bool tcmu_foreign_listed(const struct tcmulib_context *ctx, const char *config);

/* Is there another daemon, as far as we know? Then not every writer that waits is ours. */
bool tcmu_foreign_around(struct tcmulib_context *ctx);

/* Is the event none of ours, and there is somebody else who may answer it? */
bool tcmu_foreign_event(struct tcmulib_context *ctx, const struct tcmu_event *ev);

/* Does another daemon rely on it that the kernel waits for its answers? */
bool tcmu_foreign_answers(struct tcmulib_context *ctx);

/* Has somebody else answered ev, as far as can be seen? A late answer of ours could meet another event
 * of the device, and one of the wrong type loses its writer. */
bool tcmu_foreign_answered(struct tcmulib_context *ctx, const struct tcmu_event *ev);

/* pend is of no subtype of ours and has waited for TCMU_GRACE_MS: may another daemon still answer? */
bool tcmu_foreign_may_answer(struct tcmulib_context *ctx, struct tcmu_pending *pend, uint64_t now);

/* Says, once, that it is left to one. */
void tcmu_foreign_say(struct tcmulib_context *ctx, struct tcmu_pending *pend);

/* ---- lib/closing.c ---- */

/* Ends all devices and answers everything that is still waiting, so that the kernel waits for nobody.
 * What the program has deferred stays its own until tcmulib_device_release(). */
void tcmu_events_close(struct tcmulib_context *ctx);

/* Is it the next process that answers ev? Under the lock, or on the master thread. */
bool tcmu_event_is_left(const struct tcmulib_context *ctx, const struct tcmu_event *ev);

/* Answers everything that is still waiting, and leaves the devices as they are. */
void tcmu_events_abandon(struct tcmulib_context *ctx);

/* ---- lib/scan.c ---- */

/* Devices that exist and are unknown are added, known ones that do not exist any more are removed.
 * 0 or -errno. */
int tcmu_context_scan(struct tcmulib_context *ctx);

/* Frees writers that wait for a reply nobody will send, if a look a second ago found them too; scans
 * again afterwards. Only when all events are read. */
void tcmu_context_check_waiters(struct tcmulib_context *ctx, uint64_t now);

#endif
