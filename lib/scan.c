/* SPDX-License-Identifier: Apache-2.0 */
/* Devices without an event: at the start, and after events were lost. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/context.h"
#include "lib/device.h"

/* How many devices are looked at together; each takes a thread for a moment. */
#define LOOKS_AT_ONCE 256

struct scan_result {
	struct tcmu_found *dev;
	size_t count;
	size_t room;
	bool failed; /* no memory for all */
};

static void add_found(const struct tcmu_found *dev, void *arg)
{
	struct scan_result *result = arg;

	if (result->count == result->room) {
		size_t room = result->room ? result->room * 2 : 16;
		struct tcmu_found *more = reallocarray(result->dev, room, sizeof(*more));

		if (!more) {
			result->failed = true;
			return;
		}
		result->dev = more;
		result->room = room;
	}
	result->dev[result->count++] = *dev;
}

/* The nth device, from 0, that has no event under way; NULL: there are not as many. */
static struct tcmu_device *idle_device(struct tcmulib_context *ctx, size_t n)
{
	struct tcmu_device *found = NULL;

	pthread_mutex_lock(&ctx->lock);
	list_for_each (node, &ctx->devices) {
		struct tcmu_device *dev = container_of(node, struct tcmu_device, node);

		if (!dev->pending && n-- == 0) {
			found = dev;
			break;
		}
	}
	pthread_mutex_unlock(&ctx->lock);
	return found;
}

/* The descriptor tells, not the name: sysfs may show it half changed by a reconfig, or that of a new
 * device in the same place. */
static void end_vanished(struct tcmulib_context *ctx)
{
	struct tcmu_device *dev;
	size_t n = 0;

	while ((dev = idle_device(ctx, n))) {
		if (tcmu_device_alive(dev))
			n++;
		else
			tcmu_device_vanished(ctx, dev); /* out of the list, whatever it does */
	}
}

/* Do we know what is at this minor: a device, or an event that waits? */
static bool is_known(struct tcmulib_context *ctx, uint32_t minor)
{
	bool known = false;

	pthread_mutex_lock(&ctx->lock);
	list_for_each (node, &ctx->devices)
		known |= container_of(node, struct tcmu_device, node)->minor == minor;
	list_for_each (node, &ctx->pending) {
		struct tcmu_pending *pend = container_of(node, struct tcmu_pending, node);

		known |= pend->ev.minor == minor;
	}
	pthread_mutex_unlock(&ctx->lock);
	return known;
}

/* A program that serves another medium than the one it was given has told configfs, not uio: see
 * tcmulib_device_store_config(). */
static void use_config(struct tcmu_event *ev, const char *config)
{
	char name[TCMU_UIO_NAME_MAX];
	const char *old;
	size_t old_len;

	if (!*config || tcmu_device_parse_name(ev->uio_name, name, sizeof(name), &old, &old_len))
		return;
	if (old[-1] == '/' && (strlen(config) != old_len || memcmp(config, old, old_len)))
		snprintf(ev->uio_name + (old - ev->uio_name),
			 sizeof(ev->uio_name) - (size_t)(old - ev->uio_name), "%s", config);
}

static void add_unknown(struct tcmulib_context *ctx, const struct tcmu_found *found)
{
	struct tcmu_event ev = { .type = TCMU_EVENT_ADDED, .minor = found->minor, .found = true };

	ev.device_id = found->device_id;
	ev.block_size = found->block_size;
	ev.dev_size = found->dev_size;
	memcpy(ev.uio_name, found->uio_name, sizeof(ev.uio_name));
	use_config(&ev, found->config);
	/* Not enabled: whoever enables it still waits for the answer to an ADDED that nobody saw. */
	tcmu_event_handle(ctx, &ev, found->enabled);
}

/* Those that we do not know go to the front; returns how many they are. */
static size_t sort_out(struct tcmulib_context *ctx, struct tcmu_found *dev, size_t n)
{
	size_t unknown = 0;

	for (size_t i = 0; i < n; i++) {
		if (!is_known(ctx, dev[i].minor))
			dev[unknown++] = dev[i];
	}
	return unknown;
}

/* Returns how many cannot be looked at, because they are being removed. */
static unsigned int add_all(struct tcmulib_context *ctx, struct tcmu_found *dev, size_t n)
{
	unsigned int blocked = 0;

	if (tcmu_kernel_ops.inspect)
		tcmu_kernel_ops.inspect(ctx->kernel, dev, n);
	for (size_t i = 0; i < n; i++) {
		if (dev[i].err == -ETIMEDOUT)
			blocked++;
		else if (dev[i].err)
			tcmu_warn("%s: cannot look at it in configfs: %s", dev[i].uio_name,
				  strerror(-dev[i].err));
		else
			add_unknown(ctx, &dev[i]);
	}
	return blocked;
}

/* A removal that waits for an answer is ended by tcmu_context_check_waiters(), and the device with it;
 * but it may have been the machine that was slow. */
static void look_again(struct tcmulib_context *ctx, unsigned int blocked)
{
	if (blocked && !ctx->said_blocked)
		tcmu_warn("%u devices cannot be looked at in configfs, as when they are being "
			  "removed: trying again",
			  blocked);
	ctx->said_blocked = blocked;
	if (blocked) {
		ctx->rescan_at = tcmu_now_ms() + 1000;
		tcmu_context_check_later(ctx);
	}
}

int tcmu_context_scan(struct tcmulib_context *ctx)
{
	struct scan_result result = { 0 };
	int ret = tcmu_kernel_ops.scan(ctx->kernel, add_found, &result);
	unsigned int blocked = 0;

	if (!ret && result.failed)
		ret = -ENOMEM;
	if (!ret) {
		end_vanished(ctx);
		result.count = sort_out(ctx, result.dev, result.count);
		for (size_t i = 0, n; i < result.count; i += n) {
			n = result.count - i;
			if (n > LOOKS_AT_ONCE)
				n = LOOKS_AT_ONCE;
			blocked += add_all(ctx, &result.dev[i], n);
		}
		look_again(ctx, blocked);
	}
	free(result.dev);
	return ret;
}

void tcmu_context_check_waiters(struct tcmulib_context *ctx, uint64_t now)
{
	bool again = ctx->seen_stuck;
	int ret;

	ctx->check_at = now + 1000;
	if (tcmu_context_busy(ctx)) /* it may be ours to answer: ask again */
		return;
	ctx->seen_stuck = tcmu_kernel_ops.waiter_stuck(ctx->kernel);
	if (again && !ctx->seen_stuck) { /* those are gone; are there others? */
		again = false;
		ctx->seen_stuck = tcmu_kernel_ops.waiter_stuck(ctx->kernel);
	}
	if (!ctx->seen_stuck) {
		ctx->check_at = 0;
		return;
	}
	/* Seen for the first time, or it waits for what came in while we looked. */
	if (!again || tcmu_event_unread(ctx))
		return;
	if (tcmu_foreign_around(ctx)) { /* a reset would end the waits for the others too */
		if (!ctx->said_others)
			tcmu_warn(
				"a process waits for the answer to an event of a device; it may "
				"be another daemon's to give, so it is left alone. To end all such "
				"waits: write 1 to block_netlink, 1 to reset_netlink and 0 to "
				"block_netlink in /sys/module/target_core_user/parameters");
		ctx->said_others = true;
		ctx->check_at = now + TCMU_GRACE_MS;
		return;
	}
	ctx->seen_stuck = false;
	ctx->check_at = 0;
	ret = tcmu_kernel_ops.release_waiters(ctx->kernel);
	if (ret)
		tcmu_err("a process waits for an answer that got lost, and cannot be released: %s",
			 strerror(-ret));
	else
		tcmu_warn("released processes that waited for an answer that got lost");
	/* A removal that was waiting goes on now, without an event. */
	ctx->rescan_at = now + 1000;
}
