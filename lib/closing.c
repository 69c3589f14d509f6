/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a context: nobody in the kernel may be left waiting. */
#include <errno.h>

#include "lib/context.h"
#include "lib/device.h"

bool tcmu_event_is_left(const struct tcmulib_context *ctx, const struct tcmu_event *ev)
{
	return ctx->successor && ev->type == TCMU_EVENT_ADDED;
}

/* Events that nobody has read yet. The next process finds the devices by its scan; another daemon has
 * its own copy. */
static void answer_unread(struct tcmulib_context *ctx)
{
	struct tcmu_event ev;
	int ret;

	while ((ret = tcmu_kernel_ops.next_event(ctx->kernel, &ev)) == 1 || ret == -ENOBUFS) {
		if (ret == 1 && !tcmu_foreign_event(ctx, &ev) && !tcmu_event_is_left(ctx, &ev))
			tcmu_event_reply(ctx, &ev, tcmu_event_closing_status(&ev));
	}
}

/* ... and has ended the device. */
static int closing_reply(const struct tcmu_event *ev)
{
	return ev->type == TCMU_EVENT_REMOVED ? 0 : -ESHUTDOWN;
}

static void close_device(struct tcmulib_context *ctx, struct tcmu_device *dev)
{
	struct tcmu_pending *pend;
	bool gone;

	pthread_mutex_lock(&ctx->lock);
	pend = dev->pending;
	if (pend && pend->done) { /* answered just now: that goes first */
		pthread_mutex_unlock(&ctx->lock);
		return;
	}
	dev->pending = NULL;
	if (pend) {
		/* A tcmulib_event_done() that is under way has its own reference. */
		list_del(&pend->node);
		pend->dev = NULL;
		pend->done = true;
	}
	list_del(&dev->node);
	pthread_mutex_unlock(&ctx->lock);

	gone = tcmu_device_vanished(ctx, dev);
	if (!pend)
		return;
	/* A negative answer to ADDED frees the mailbox in the kernel, so it must not be given while
	 * the program still has the device; the next process finds it then. */
	if (!pend->silent && !(gone && tcmu_event_is_left(ctx, &pend->ev)))
		tcmu_event_reply(
			ctx, &pend->ev,
			pend->ev.type == TCMU_EVENT_ADDED && !gone ? 0 : closing_reply(&pend->ev));
	if (pend->next && !tcmu_event_is_left(ctx, pend->next))
		tcmu_event_reply(ctx, pend->next, tcmu_event_closing_status(pend->next));
	tcmu_pending_put(ctx, pend);
}

/* What waits for another daemon still may. */
static void leave_foreign(struct tcmulib_context *ctx)
{
	struct list waiting;

	list_init(&waiting);
	tcmu_pending_take_waiting(ctx, &waiting, NULL);
	while (!list_empty(&waiting)) {
		struct tcmu_pending *pend = container_of(waiting.next, struct tcmu_pending, node);

		list_del(&pend->node);
		if (tcmu_foreign_event(ctx, &pend->ev))
			tcmu_pending_put(ctx, pend);
		else
			tcmu_pending_start(ctx, pend, NULL);
	}
}

/* Events of nobody, and those that the program still works on. */
static void answer_pending(struct tcmulib_context *ctx)
{
	struct list *pending = &ctx->pending;

	leave_foreign(ctx);
	pthread_mutex_lock(&ctx->lock);
	ctx->closed = true;
	while (!list_empty(pending)) {
		struct tcmu_pending *pend = container_of(pending->next, struct tcmu_pending, node);

		if (pend->dev)
			pend->dev->pending = NULL;
		pend->dev = NULL;
		pend->silent |= tcmu_event_is_left(ctx, &pend->ev);
		tcmu_pending_finish_locked(ctx, pend, tcmu_event_closing_status(&pend->ev));
	}
	pthread_mutex_unlock(&ctx->lock);
	tcmu_pending_reply_done(ctx);
}

static struct tcmu_device *first_device(struct tcmulib_context *ctx)
{
	struct tcmu_device *dev = NULL;

	pthread_mutex_lock(&ctx->lock);
	if (!list_empty(&ctx->devices))
		dev = container_of(ctx->devices.next, struct tcmu_device, node);
	pthread_mutex_unlock(&ctx->lock);
	return dev;
}

/*
 * Writers that have waited since before us, when we end before it was time for them. Also because our own
 * looks wait beside them, and no program is executed, nor does the process end, as long as one does.
 */
static void release_left_over(struct tcmulib_context *ctx)
{
	if (!ctx->check_at || ctx->successor || tcmu_foreign_around(ctx))
		return;
	if (tcmu_kernel_ops.waiter_stuck(ctx->kernel))
		tcmu_kernel_ops.release_waiters(ctx->kernel);
}

void tcmu_events_close(struct tcmulib_context *ctx)
{
	struct tcmu_device *dev;

	ctx->ending = true;
	answer_unread(ctx);
	while (tcmu_pending_reply_done(ctx), (dev = first_device(ctx)))
		close_device(ctx, dev);
	answer_pending(ctx);
	release_left_over(ctx);
}

void tcmu_events_abandon(struct tcmulib_context *ctx)
{
	ctx->ending = true;
	answer_unread(ctx);
	answer_pending(ctx);
	release_left_over(ctx);
}
