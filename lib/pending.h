/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event of the kernel from its arrival to the reply. It is an object of its own because it may
 * outlive the device (whose reply is sent all the same) or never have one (a subtype of nobody).
 * Made by the master thread; the fields below the line are under ctx->lock.
 */
#ifndef LIB_PENDING_H
#define LIB_PENDING_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/kernel.h"
#include "util/list.h"

struct tcmu_pending {
	struct tcmu_event ev;
	struct tcmulib_cfg_info cfg; /* RECONFIG: what the program sees of ev */
	bool deferred;               /* tcmulib_event_defer() inside the callback */
	/* ms; an event of no device is answered then, unless it is silent; 0: the program's turn */
	uint64_t deadline;
	uint64_t retry_at; /* ms; a device that was busy is opened again then */
	bool said_busy;
	bool left; /* to another daemon, which has the device open */

	/* ---- under ctx->lock ---- */
	unsigned int refs;       /* the lists' one and those of threads that end it */
	struct list node;        /* ctx->pending, then ctx->done */
	struct tcmu_device *dev; /* NULL: none, or released */
	int status;              /* the reply's: 0 or -errno */
	bool done;               /* in ctx->done, or past it */
	/* Nobody waits for the reply: the device was found by a scan, or a later event says that the
	 * kernel has given this one up. A reply then could be taken for the later one's, and one of
	 * the wrong type loses its waiter (target_core_user.c: tcmu_genl_cmd_done()). */
	bool silent;
	struct tcmu_event *next; /* came in meanwhile; malloc'ed */
};

struct tcmulib_context;

/* NULL: no memory. silent: see above. */
struct tcmu_pending *tcmu_pending_new(const struct tcmu_event *ev, bool silent);

/* Of one that was never started. */
void tcmu_pending_free(struct tcmu_pending *pend);

/* Is there an event that has not been received yet? */
bool tcmu_event_unread(struct tcmulib_context *ctx);

/* Gives up a reference; the last one frees. Any thread, without the lock. */
void tcmu_pending_put(struct tcmulib_context *ctx, struct tcmu_pending *pend);

/* It is the program's turn, with dev; or, for dev NULL, the deadline's. */
void tcmu_pending_start(struct tcmulib_context *ctx, struct tcmu_pending *pend,
			struct tcmu_device *dev);

/* The status of the reply is known; only the first counts. Any thread (then the master must be woken);
 * _locked: under ctx->lock. */
void tcmu_pending_finish(struct tcmulib_context *ctx, struct tcmu_pending *pend, int status);
void tcmu_pending_finish_locked(struct tcmulib_context *ctx, struct tcmu_pending *pend, int status);

/* Takes the events out that wait for a deadline: those that ev makes obsolete, or all (NULL). They are
 * the caller's, linked by node. */
void tcmu_pending_take_waiting(struct tcmulib_context *ctx, struct list *waiting,
			       const struct tcmu_event *ev);

/* The kernel has one event at a time for a device: what waited for a deadline was given up. True: a
 * scan had found the very device of ev enabled. */
bool tcmu_pending_forget_waiting(struct tcmulib_context *ctx, const struct tcmu_event *ev);

/* Sends the replies that are due, and goes on with what came in meanwhile. */
void tcmu_pending_reply_done(struct tcmulib_context *ctx);

/* Sends one reply. That nobody waits for it (-ENODEV) is no error; after any other the writer is looked
 * for. 0 or -errno. */
int tcmu_event_reply(struct tcmulib_context *ctx, const struct tcmu_event *ev, int status);

/* The reply of a program that leaves: the next one finds the devices by its scan. */
int tcmu_event_closing_status(const struct tcmu_event *ev);

const char *tcmu_event_name(enum tcmu_event_type type);

#endif
