/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "lib/context.h"
#include "lib/device.h"

int tcmu_event_closing_status(const struct tcmu_event *ev)
{
	return ev->type == TCMU_EVENT_RECONFIG ? -ESHUTDOWN : 0;
}

const char *tcmu_event_name(enum tcmu_event_type type)
{
	switch (type) {
	case TCMU_EVENT_ADDED:
		return "ADDED";
	case TCMU_EVENT_REMOVED:
		return "REMOVED";
	case TCMU_EVENT_RECONFIG:
		return "RECONFIG";
	}
	return "?";
}

int tcmu_event_reply(struct tcmulib_context *ctx, const struct tcmu_event *ev, int status)
{
	/* -ENODEV: nothing waits any more; somebody else was faster or waits were reset. */
	int ret = tcmu_kernel_ops.reply(ctx->kernel, ev->type, ev->device_id, status);

	if (ret && ret != -ENODEV) {
		tcmu_err("%s: the reply to %s (status %d) was not taken: %s", ev->uio_name,
			 tcmu_event_name(ev->type), status, strerror(-ret));
		tcmu_context_check_later(ctx);
	}
	return ret;
}

/* ---- pending events -------------------------------------------------------------------------- */

struct tcmu_pending *tcmu_pending_new(const struct tcmu_event *ev, bool silent)
{
	struct tcmu_pending *pend = calloc(1, sizeof(*pend));

	if (!pend)
		return NULL;
	pend->ev = *ev;
	pend->silent = silent;
	pend->refs = 1;
	list_init(&pend->node);
	return pend;
}

void tcmu_pending_free(struct tcmu_pending *pend)
{
	free(pend->next);
	free(pend);
}

void tcmu_pending_put(struct tcmulib_context *ctx, struct tcmu_pending *pend)
{
	bool last;

	pthread_mutex_lock(&ctx->lock);
	last = --pend->refs == 0;
	pthread_mutex_unlock(&ctx->lock);
	if (last)
		tcmu_pending_free(pend);
}

/* dev may be NULL: waits for its deadline, not for the program. */
void tcmu_pending_start(struct tcmulib_context *ctx, struct tcmu_pending *pend,
			struct tcmu_device *dev)
{
	pthread_mutex_lock(&ctx->lock);
	list_del(&pend->node);
	list_add_tail(&ctx->pending, &pend->node);
	pend->dev = dev;
	if (dev) {
		pend->deadline = 0;
		dev->pending = pend;
	}
	pthread_mutex_unlock(&ctx->lock);
}

void tcmu_pending_finish_locked(struct tcmulib_context *ctx, struct tcmu_pending *pend, int status)
{
	if (pend->done)
		return;
	pend->done = true;
	pend->status = status;
	list_del(&pend->node);
	list_add_tail(&ctx->done, &pend->node);
}

void tcmu_pending_finish(struct tcmulib_context *ctx, struct tcmu_pending *pend, int status)
{
	pthread_mutex_lock(&ctx->lock);
	tcmu_pending_finish_locked(ctx, pend, status);
	pthread_mutex_unlock(&ctx->lock);
}

/* A silent one waits for the device to be free, not for the kernel: a reconfig does not end it. */
static bool obsolete(const struct tcmu_pending *pend, const struct tcmu_event *ev)
{
	return pend->ev.device_id == ev->device_id &&
	       (!pend->silent || ev->type != TCMU_EVENT_RECONFIG);
}

void tcmu_pending_take_waiting(struct tcmulib_context *ctx, struct list *waiting,
			       const struct tcmu_event *ev)
{
	pthread_mutex_lock(&ctx->lock);
	list_for_each (node, &ctx->pending) {
		struct tcmu_pending *pend = container_of(node, struct tcmu_pending, node);

		if (pend->deadline && (!ev || obsolete(pend, ev))) {
			list_del(&pend->node);
			list_add_tail(waiting, &pend->node);
		}
	}
	pthread_mutex_unlock(&ctx->lock);
}

bool tcmu_pending_forget_waiting(struct tcmulib_context *ctx, const struct tcmu_event *ev)
{
	struct list old;
	bool enabled = false;

	list_init(&old);
	tcmu_pending_take_waiting(ctx, &old, ev);
	list_for_each (node, &old) {
		struct tcmu_pending *pend = container_of(node, struct tcmu_pending, node);

		enabled |= pend->silent && pend->ev.minor == ev->minor;
		tcmu_pending_put(ctx, pend);
	}
	return enabled;
}

/* ---- replies ---------------------------------------------------------------------------------- */

/* The reply of pend is due; frees it. What came in for the device meanwhile is next. */
static void conclude(struct tcmulib_context *ctx, struct tcmu_pending *pend,
		     struct tcmu_device *dev)
{
	struct tcmu_event *next = pend->next;

	if (next && next->type == TCMU_EVENT_ADDED && pend->ev.type == TCMU_EVENT_ADDED) {
		/* The same event again, or another device at the same place? */
		if (pend->status < 0 || !dev || tcmu_device_alive(dev)) {
			free(next);
			next = NULL;
		} else {
			pend->silent = true;
		}
	}
	/* A scan sees a device before the kernel waits for the answer to its ADDED. */
	if (!pend->silent && tcmu_event_reply(ctx, &pend->ev, pend->status) == -ENODEV && dev &&
	    pend->ev.type == TCMU_EVENT_ADDED)
		dev->added_early = true;
	pend->next = NULL;
	tcmu_pending_put(ctx, pend);
	if (next)
		tcmu_event_handle(ctx, next, false);
	free(next);
}

bool tcmu_event_unread(struct tcmulib_context *ctx)
{
	struct pollfd pfd = { .fd = tcmu_kernel_ops.event_fd(ctx->kernel), .events = POLLIN };

	return poll(&pfd, 1, 0) > 0;
}

/*
 * A device that a scan has found not enabled: that may have been answered by a process that has died since,
 * and only not come to pass yet when we looked. The object may be in removal by now, and for an answer of
 * another type than that which it waits for the kernel drops the wait and never ends it, until the machine is
 * booted. So events come first: REMOVED silences the answer.
 */
static bool is_in_doubt(const struct tcmu_pending *pend)
{
	return pend->ev.found && pend->ev.type == TCMU_EVENT_ADDED && !pend->silent;
}

/* The first, but for those in doubt, which are the last. */
static struct tcmu_pending *next_done_locked(struct tcmulib_context *ctx)
{
	struct tcmu_pending *in_doubt = NULL;

	list_for_each (node, &ctx->done) {
		struct tcmu_pending *pend = container_of(node, struct tcmu_pending, node);

		if (!is_in_doubt(pend))
			return pend;
		in_doubt = in_doubt ? in_doubt : pend;
	}
	return in_doubt;
}

void tcmu_pending_reply_done(struct tcmulib_context *ctx)
{
	for (;;) {
		struct tcmu_pending *pend;
		struct tcmu_device *dev = NULL;

		pthread_mutex_lock(&ctx->lock);
		pend = next_done_locked(ctx);
		if (pend && is_in_doubt(pend) && !ctx->ending && tcmu_event_unread(ctx))
			pend = NULL;
		if (pend) {
			list_del(&pend->node);
			dev = pend->dev;
		}
		if (dev) {
			dev->pending = NULL;
			/* The program has it until it releases it; it is no device any more. */
			if (pend->ev.type == TCMU_EVENT_ADDED && pend->status < 0) {
				list_del(&dev->node);
				dev = NULL;
			}
		}
		pthread_mutex_unlock(&ctx->lock);
		if (!pend)
			return;
		conclude(ctx, pend, pend->ev.type == TCMU_EVENT_REMOVED ? NULL : dev);
	}
}
