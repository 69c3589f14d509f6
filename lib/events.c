/* SPDX-License-Identifier: Apache-2.0 */
/* From an event of the kernel over the program's callback to the reply. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/context.h"
#include "lib/device.h"
#include "util/cleanup.h"

/* How often an open that found the device busy is tried again. */
#define RETRY_MS      100
#define SLOW_RETRY_MS 1000 /* after TCMU_GRACE_MS: another process serves it */

/* ---- callbacks ------------------------------------------------------------------------------- */

void tcmu_device_end(struct tcmu_device *dev)
{
	struct tcmulib_context *ctx = dev->ctx;
	struct tcmu_pending *pend;

	tcmu_device_stop(dev);
	pthread_mutex_lock(&ctx->lock);
	list_del(&dev->node);
	pend = dev->pending;
	if (pend) {
		pend->dev = NULL;
		if (pend->done || tcmu_event_is_left(ctx, &pend->ev))
			pend = NULL; /* the answer is on its way, or left to the context's end */
		else
			pend->refs++; /* it stays in its list: tcmulib_close() may be faster */
	}
	pthread_mutex_unlock(&ctx->lock);

	tcmu_device_free(dev);
	if (pend) { /* the program has not answered: it is done here, now that nothing is mapped */
		tcmu_pending_finish(ctx, pend,
				    pend->ev.type == TCMU_EVENT_REMOVED ? 0 : -ESHUTDOWN);
		tcmu_pending_put(ctx, pend);
		tcmu_context_wake(ctx);
	}
	tcmu_context_unref(ctx);
}

void tcmu_event_defer(struct tcmu_device *dev)
{
	/* pending is changed by the master thread only, but for its end, which comes after this. */
	if (dev->pending)
		dev->pending->deferred = true;
	else
		tcmu_dev_err(dev, "tcmulib_event_defer() outside of a callback");
}

bool tcmu_event_awaited(struct tcmu_device *dev)
{
	return dev->pending && !dev->pending->silent;
}

/* What has to be so before the kernel gets the answer. */
static int before_answer(struct tcmu_device *dev, struct tcmu_pending *pend, int status)
{
	if (status > 0)
		status = -status;
	if (pend->ev.type == TCMU_EVENT_ADDED && status < 0) {
		tcmu_device_stop(dev);
		tcmu_device_close(dev); /* the kernel frees the mailbox after it */
		__atomic_store_n(&dev->removed, true, __ATOMIC_RELAXED);
	} else if (pend->ev.type == TCMU_EVENT_RECONFIG && !status) {
		status = tcmu_device_apply(dev, &pend->cfg);
	}
	return status;
}

void tcmu_event_done(struct tcmu_device *dev, int status)
{
	struct tcmulib_context *ctx = dev->ctx;
	struct tcmu_pending *pend;
	bool valid, closed;

	pthread_mutex_lock(&ctx->lock);
	pend = dev->pending;
	valid = pend && !pend->done;
	if (valid)
		pend->refs++; /* tcmulib_close() may answer it while the lock is not held */
	closed = ctx->closed;
	pthread_mutex_unlock(&ctx->lock);
	if (!valid) {
		if (!closed) /* otherwise tcmulib_close() has answered */
			tcmu_dev_err(dev, "tcmulib_event_done() without an event to answer");
		return;
	}
	status = before_answer(dev, pend, status);
	tcmu_pending_finish(ctx, pend, status);
	tcmu_pending_put(ctx, pend);
	tcmu_context_wake(ctx);
}

static bool config_accepted(struct tcmu_device *dev)
{
	AUTO_FREE char *reason = NULL;

	if (!dev->handler->check_config || dev->handler->check_config(dev->cfgstring, &reason))
		return true;
	tcmu_dev_err(dev, "config '%s' is not usable: %s", dev->cfgstring,
		     reason ? reason : "the handler gives no reason");
	return false;
}

/* dev is new and belongs to the context from here on. */
static void call_added(struct tcmulib_context *ctx, struct tcmu_pending *pend,
		       struct tcmu_device *dev)
{
	int status;

	dev->ctx = ctx;
	pthread_mutex_lock(&ctx->lock);
	ctx->refs++;
	list_add_tail(&ctx->devices, &dev->node);
	pthread_mutex_unlock(&ctx->lock);
	tcmu_pending_start(ctx, pend, dev);

	status = config_accepted(dev) ? dev->handler->added(dev) : -EINVAL;
	if (pend->deferred)
		return;
	status = before_answer(dev, pend, status);
	tcmu_pending_finish(ctx, pend, status);
	if (status < 0)
		tcmu_device_end(dev);
}

/* Until somebody else has answered, or the device is free. */
static void wait_a_while(struct tcmulib_context *ctx, struct tcmu_pending *pend)
{
	uint64_t now = tcmu_now_ms();

	if (!pend->deadline)
		pend->deadline = now + TCMU_GRACE_MS;
	pend->retry_at = now + (now < pend->deadline ? RETRY_MS : SLOW_RETRY_MS);
	tcmu_pending_start(ctx, pend, NULL);
}

/* Is a device that is busy tried again? For ever, if it existed before us: nobody waits for an answer,
 * but its commands wait for somebody. */
static bool may_retry(struct tcmulib_context *ctx, struct tcmu_pending *pend)
{
	bool late = pend->deadline && tcmu_now_ms() >= pend->deadline;

	/* A daemon with our handlers that takes its time: a refusal of ours would have the kernel free
	 * the ring that it has mapped. */
	if (late && !pend->silent && tcmu_foreign_around(ctx))
		pend->silent = pend->left = true;
	if (late && pend->silent && !pend->said_busy) {
		tcmu_warn("%s: another process serves /dev/uio%u; trying again every %d s",
			  pend->ev.uio_name, pend->ev.minor, SLOW_RETRY_MS / 1000);
		pend->said_busy = true;
	}
	return !late || pend->silent;
}

/*
 * Its sizes, which tcmu_device_new() would read, not on a thread that somebody may wait for: the event may be
 * an old one of an object that does not exist any more, and to look for that waits for any removal in the
 * same HBA, which waits for us. False: then it may be like that.
 */
static bool look_up_sizes(struct tcmulib_context *ctx, struct tcmu_event *ev)
{
	struct tcmu_found dev = { .minor = ev->minor };

	if (ev->block_size || !tcmu_kernel_ops.inspect)
		return true;
	memcpy(dev.uio_name, ev->uio_name, sizeof(dev.uio_name));
	tcmu_kernel_ops.inspect(ctx->kernel, &dev, 1);
	if (dev.err == -ETIMEDOUT)
		return false;
	ev->block_size = dev.block_size;
	ev->dev_size = dev.dev_size;
	return true;
}

/* Also for another try: pend may have waited before. */
static void deliver_added(struct tcmulib_context *ctx, struct tcmu_pending *pend,
			  struct tcmulib_handler *handler)
{
	struct tcmu_device *dev;
	int err;

	if (!look_up_sizes(ctx, &pend->ev)) {
		/* If it exists the scan finds it, and who waits. */
		ctx->rescan_at = tcmu_now_ms() + 1000;
		pend->silent = true;
		tcmu_pending_finish(ctx, pend, 0);
		return;
	}
	dev = tcmu_device_new(ctx->kernel, &pend->ev);
	err = errno;
	if (!dev && err != EBUSY && !tcmu_device_is(ctx->kernel, &pend->ev)) {
		/* The kernel takes it away only after the wait for an answer has ended, and there may be
		 * another event of the object by now, which the answer would be taken for. */
		ctx->rescan_at = tcmu_now_ms() + 1000;
		pend->silent = true;
		tcmu_pending_finish(ctx, pend, -err);
		return;
	}
	if (dev) {
		dev->handler = handler;
		/* It has ended since, perhaps without an answer. */
		if (pend->left)
			pend->silent = tcmu_foreign_answered(ctx, &pend->ev);
		call_added(ctx, pend, dev);
	} else if (err == EBUSY && may_retry(ctx, pend)) {
		/* The descriptor of a process that was killed closes when its I/O has ended. */
		wait_a_while(ctx, pend);
	} else {
		tcmu_err("%s: cannot open /dev/uio%u: %s%s", pend->ev.uio_name, pend->ev.minor,
			 strerror(err), err == EBUSY ? " (another process serves it)" : "");
		tcmu_pending_finish(ctx, pend, -err);
	}
}

static bool call_removed(struct tcmulib_context *ctx, struct tcmu_device *dev,
			 const struct tcmu_event *ev, bool silent)
{
	struct tcmu_pending *pend = dev->removal; /* it is there: a device ends once */

	dev->removal = NULL;
	pend->ev = *ev;
	pend->silent = silent;
	pthread_mutex_lock(&ctx->lock);
	list_del(&dev->node); /* its place may be taken by another device after the reply */
	pthread_mutex_unlock(&ctx->lock);
	__atomic_store_n(&dev->removed, true, __ATOMIC_RELAXED);
	tcmu_pending_start(ctx, pend, dev);

	dev->handler->removed(dev);
	if (pend->deferred)
		return false;
	tcmu_pending_finish(ctx, pend, 0);
	tcmu_device_end(dev);
	return true;
}

bool tcmu_device_vanished(struct tcmulib_context *ctx, struct tcmu_device *dev)
{
	struct tcmu_event ev = {
		.type = TCMU_EVENT_REMOVED,
		.device_id = dev->device_id,
		.minor = dev->minor,
	};
	bool gone;

	memcpy(ev.uio_name, dev->uio_name, sizeof(ev.uio_name));
	gone = call_removed(ctx, dev, &ev, true);
	tcmu_pending_reply_done(ctx);
	return gone;
}

static int make_cfg(struct tcmu_device *dev, struct tcmu_pending *pend)
{
	size_t len;

	pend->cfg.type = pend->ev.cfg_type;
	switch (pend->ev.cfg_type) {
	case TCMULIB_CFG_DEV_CFGSTR:
		len = strlen(pend->ev.dev_cfg);
		if (len && pend->ev.dev_cfg[len - 1] == '\n')
			pend->ev.dev_cfg[len - 1] = '\0';
		pend->cfg.data.dev_cfgstring = pend->ev.dev_cfg;
		/* Another subtype would be another handler's. */
		return tcmu_context_handler(dev->ctx, pend->ev.dev_cfg) == dev->handler ? 0
											: -EINVAL;
	case TCMULIB_CFG_DEV_SIZE:
		pend->cfg.data.dev_size = pend->ev.dev_size;
		return 0;
	case TCMULIB_CFG_WRITE_CACHE:
		pend->cfg.data.write_cache = pend->ev.write_cache;
		return 0;
	}
	return -EINVAL;
}

static void call_reconfig(struct tcmulib_context *ctx, struct tcmu_pending *pend,
			  struct tcmu_device *dev)
{
	int status = make_cfg(dev, pend);

	tcmu_pending_start(ctx, pend, dev);
	if (!status)
		status = dev->handler->reconfig ? dev->handler->reconfig(dev, &pend->cfg)
						: -EOPNOTSUPP;
	if (pend->deferred)
		return;
	tcmu_pending_finish(ctx, pend, before_answer(dev, pend, status));
}

/* ---- events ---------------------------------------------------------------------------------- */

static struct tcmu_device *find_device_locked(struct tcmulib_context *ctx, uint32_t minor)
{
	list_for_each (node, &ctx->devices) {
		struct tcmu_device *dev = container_of(node, struct tcmu_device, node);

		if (dev->minor == minor)
			return dev;
	}
	return NULL;
}

/* The kernel has given these up: it is the same storage object, enabled anew in another place, or in
 * removal. */
static void silence_elsewhere(struct list *list, const struct tcmu_event *ev)
{
	list_for_each (node, list) {
		struct tcmu_pending *pend = container_of(node, struct tcmu_pending, node);

		if (pend->ev.device_id == ev->device_id &&
		    (pend->ev.minor != ev->minor || ev->type == TCMU_EVENT_REMOVED))
			pend->silent = true;
	}
}

/*
 * *dev: the device at the event's minor, or NULL. True: the program still works on an earlier event of
 * it; this one is kept for afterwards.
 */
static bool absorb(struct tcmulib_context *ctx, const struct tcmu_event *ev,
		   struct tcmu_device **dev)
{
	struct tcmu_event *copy = malloc(sizeof(*copy)), *unused = copy;
	struct tcmu_pending *pend;

	if (!copy) {
		tcmu_err("no memory for %s of '%s'", tcmu_event_name(ev->type), ev->uio_name);
		tcmu_context_check_later(ctx);
		return true;
	}
	*copy = *ev;
	pthread_mutex_lock(&ctx->lock);
	silence_elsewhere(&ctx->pending, ev);
	silence_elsewhere(&ctx->done, ev);
	*dev = find_device_locked(ctx, ev->minor);
	pend = *dev ? (*dev)->pending : NULL;
	if (pend) {
		/* The kernel has given the earlier one up, unless it is the same again. */
		pend->silent |= ev->type != TCMU_EVENT_ADDED || pend->ev.type != TCMU_EVENT_ADDED;
		unused = pend->next;
		pend->next = copy;
	}
	pthread_mutex_unlock(&ctx->lock);
	free(unused);
	return pend != NULL;
}

/* The event is for dev, which has no other under way. */
static void handle_known(struct tcmulib_context *ctx, struct tcmu_device *dev,
			 const struct tcmu_event *ev, bool silent)
{
	struct tcmu_pending *pend;

	/*
	 * Found by a scan before its event was read. If it was enabled then, nobody waits for the
	 * answer (the kernel sets that when ADDED is answered); if not, the scan's has ended the wait,
	 * but for one that was too early. A second answer might find a RECONFIG waiting, and lose its
	 * writer.
	 */
	if (ev->type == TCMU_EVENT_ADDED) {
		if (dev->added_early && !silent)
			tcmu_event_reply(ctx, ev, 0);
		dev->added_early = false;
		return;
	}
	dev->device_id = ev->device_id;
	if (ev->type == TCMU_EVENT_REMOVED) {
		call_removed(ctx, dev, ev, silent);
		return;
	}
	pend = tcmu_pending_new(ev, silent);
	if (!pend)
		tcmu_event_reply(ctx, ev, -ENOMEM);
	else
		call_reconfig(ctx, pend, dev);
}

/* The event is for no device of ours. */
static void handle_unknown(struct tcmulib_context *ctx, const struct tcmu_event *ev,
			   const char *config, bool silent)
{
	struct tcmulib_handler *handler = tcmu_context_handler(ctx, config);
	struct tcmu_pending *pend;

	if (!handler && (silent || tcmu_foreign_listed(ctx, config)))
		return;
	pend = tcmu_pending_new(ev, silent);
	if (!pend)
		tcmu_event_reply(ctx, ev, ev->type == TCMU_EVENT_REMOVED ? 0 : -ENOMEM);
	else if (!handler)
		wait_a_while(ctx, pend); /* another daemon may own the subtype */
	else if (ev->type == TCMU_EVENT_ADDED)
		deliver_added(ctx, pend, handler);
	else /* one that is not open yet (see may_retry()), or not any more, because the program ends */
		tcmu_pending_finish(ctx, pend, ev->type == TCMU_EVENT_REMOVED ? 0 : -EAGAIN);
}

void tcmu_event_handle(struct tcmulib_context *ctx, const struct tcmu_event *ev, bool silent)
{
	char name[TCMU_UIO_NAME_MAX];
	struct tcmu_device *dev;
	const char *config;
	size_t config_len;

	if (ctx->closed) { /* what came in while the program worked on an earlier one */
		if (!tcmu_foreign_event(ctx, ev))
			tcmu_event_reply(ctx, ev, tcmu_event_closing_status(ev));
		return;
	}
	if (tcmu_device_parse_name(ev->uio_name, name, sizeof(name), &config, &config_len)) {
		tcmu_err("%s of '%s' cannot be handled: the name should be "
			 "tcm-user/HBA/NAME/SUBTYPE/CONFIG",
			 tcmu_event_name(ev->type), ev->uio_name);
		if (!silent)
			tcmu_event_reply(ctx, ev, ev->type == TCMU_EVENT_REMOVED ? 0 : -EINVAL);
		return;
	}
	/* Enabled, so nobody waits for the answer to an ADDED that is read only now. */
	if (tcmu_pending_forget_waiting(ctx, ev) && ev->type == TCMU_EVENT_ADDED)
		silent = true;
	if (absorb(ctx, ev, &dev))
		return;
	/* Another device in its place: its own REMOVED was lost, or it never got that far. */
	if (dev && ev->type == TCMU_EVENT_ADDED &&
	    (strcmp(dev->name, name) || !tcmu_device_alive(dev))) {
		tcmu_device_vanished(ctx, dev);
		dev = NULL;
	}
	if (dev && !strcmp(dev->name, name))
		handle_known(ctx, dev, ev, silent);
	else
		handle_unknown(ctx, ev, config, silent);
	tcmu_pending_reply_done(ctx);
}

/* ---- deadlines ------------------------------------------------------------------------------- */

static int final_status(const struct tcmu_event *ev, int status)
{
	return ev->type == TCMU_EVENT_REMOVED ? 0 : status;
}

static const char *event_config(const struct tcmu_event *ev)
{
	char name[TCMU_UIO_NAME_MAX];
	const char *config = "";
	size_t len;

	tcmu_device_parse_name(ev->uio_name, name, sizeof(name), &config, &len);
	return config;
}

/* Nobody owns the subtype. */
static void refuse(struct tcmulib_context *ctx, struct tcmu_pending *pend, const char *config)
{
	const struct tcmu_event *ev = &pend->ev;

	if (!tcmu_foreign_answered(ctx, ev) &&
	    !tcmu_event_reply(ctx, ev, final_status(ev, -ENOENT)))
		tcmu_warn("%s: no handler here has the subtype '%.*s', and nobody else has "
			  "answered %s: %s",
			  ev->uio_name, (int)tcmu_device_subtype_len(config), config,
			  tcmu_event_name(ev->type),
			  ev->type == TCMU_EVENT_REMOVED ? "done" : "refused (ENOENT)");
	tcmu_pending_put(ctx, pend);
}

/* One event that has waited: answered, tried again, or put back. Returns when to look next. */
static uint64_t check_waiting(struct tcmulib_context *ctx, struct tcmu_pending *pend, uint64_t now)
{
	const char *config = event_config(&pend->ev);
	struct tcmulib_handler *handler = tcmu_context_handler(ctx, config);
	uint64_t at = handler ? pend->retry_at : pend->deadline;

	if (!handler && tcmu_foreign_listed(ctx, config)) {
		tcmu_pending_put(ctx, pend);
		return 0;
	}
	if (!handler && now >= at && tcmu_foreign_may_answer(ctx, pend, now)) {
		if (!pend->said_busy && tcmu_foreign_answered(ctx, &pend->ev)) {
			tcmu_pending_put(ctx, pend);
			return 0;
		}
		tcmu_foreign_say(ctx, pend);
		at = now + 1000;
	}
	if (now < at) {
		tcmu_pending_start(ctx, pend, NULL);
		return at;
	}
	if (handler) {
		deliver_added(ctx, pend, handler);
		return now + RETRY_MS;
	}
	refuse(ctx, pend, config);
	return 0;
}

uint64_t tcmu_events_check_deadlines(struct tcmulib_context *ctx, uint64_t now)
{
	struct list waiting;
	uint64_t next = 0;

	list_init(&waiting);
	tcmu_pending_take_waiting(ctx, &waiting, NULL);
	while (!list_empty(&waiting)) {
		struct tcmu_pending *pend = container_of(waiting.next, struct tcmu_pending, node);
		uint64_t at;

		list_del(&pend->node);
		at = check_waiting(ctx, pend, now);
		if (at && (!next || at < next))
			next = at;
	}
	tcmu_pending_reply_done(ctx);
	return next;
}
