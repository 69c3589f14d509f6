/* SPDX-License-Identifier: Apache-2.0 */
/* What belongs to other daemons on this kernel: their subtypes, and the writers that wait for them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/context.h"
#include "lib/device.h"

/* How long what the kernel said about other listeners counts. */
#define LOOK_AGAIN_MS 1000

/* How long another daemon, which may own a subtype, has to answer. Then it is nobody's. */
#define FOREIGN_MS 60000

static void free_subtypes(char **subtypes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(subtypes[i]);
	free(subtypes);
}

int tcmu_foreign_set(struct tcmulib_context *ctx, const char *const *subtypes, size_t n)
{
	char **copy = calloc(n ? n : 1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		copy[i] = strdup(subtypes[i]);
		if (!copy[i]) {
			free_subtypes(copy, i);
			return -ENOMEM;
		}
	}
	tcmu_foreign_free(ctx);
	ctx->foreign = copy;
	ctx->foreign_count = n;
	return 0;
}

void tcmu_foreign_free(struct tcmulib_context *ctx)
{
	free_subtypes(ctx->foreign, ctx->foreign_count);
	ctx->foreign = NULL;
	ctx->foreign_count = 0;
}

bool tcmu_foreign_listed(const struct tcmulib_context *ctx, const char *config)
{
	size_t len = tcmu_device_subtype_len(config);

	for (size_t i = 0; i < ctx->foreign_count; i++) {
		if (strlen(ctx->foreign[i]) == len && !memcmp(ctx->foreign[i], config, len))
			return true;
	}
	return false;
}

static bool others_listen(struct tcmulib_context *ctx)
{
	uint64_t now = tcmu_now_ms();
	int ret;

	if (ctx->others_at && now < ctx->others_at + LOOK_AGAIN_MS)
		return ctx->others;
	ret = tcmu_kernel_ops.other_listener
		      ? tcmu_kernel_ops.other_listener(ctx->kernel, &ctx->others_port)
		      : 0;
	if (ret < 0 && !ctx->others_at)
		tcmu_info("whether other daemons listen to the kernel's events cannot be known "
			  "(%s): it is taken for no",
			  strerror(-ret));
	ctx->others = ret > 0;
	ctx->others_at = now;
	return ctx->others;
}

bool tcmu_foreign_around(struct tcmulib_context *ctx)
{
	return ctx->foreign_count || others_listen(ctx);
}

bool tcmu_foreign_event(struct tcmulib_context *ctx, const struct tcmu_event *ev)
{
	char name[TCMU_UIO_NAME_MAX];
	const char *config;
	size_t len;

	if (tcmu_device_parse_name(ev->uio_name, name, sizeof(name), &config, &len) ||
	    tcmu_context_handler(ctx, config))
		return false;
	return tcmu_foreign_listed(ctx, config) || others_listen(ctx);
}

struct census {
	struct tcmulib_context *ctx;
	bool answered;
};

/* A device of another daemon that is enabled, and whose ADDED had to be answered, was answered. */
static void look_at(const struct tcmu_found *found, void *arg)
{
	struct tcmu_event ev = { .type = TCMU_EVENT_ADDED, .minor = found->minor };
	struct census *census = arg;
	struct tcmu_found dev = *found;

	memcpy(ev.uio_name, found->uio_name, sizeof(ev.uio_name));
	if (census->answered || !tcmu_foreign_event(census->ctx, &ev))
		return;
	if (tcmu_kernel_ops.inspect)
		tcmu_kernel_ops.inspect(census->ctx->kernel, &dev, 1);
	if (dev.err)
		return;
	census->answered = dev.enabled && dev.awaits_replies;
}

bool tcmu_foreign_answers(struct tcmulib_context *ctx)
{
	struct census census = { .ctx = ctx };

	if (tcmu_foreign_around(ctx))
		tcmu_kernel_ops.scan(ctx->kernel, look_at, &census);
	return census.answered;
}

static void is_there(const struct tcmu_found *found, void *arg)
{
	struct tcmu_found *wanted = arg;

	wanted->enabled |= found->minor == wanted->minor;
}

bool tcmu_foreign_answered(struct tcmulib_context *ctx, const struct tcmu_event *ev)
{
	struct tcmu_found dev = { .minor = ev->minor };

	memcpy(dev.uio_name, ev->uio_name, sizeof(dev.uio_name));
	switch (ev->type) {
	case TCMU_EVENT_ADDED:
		if (!tcmu_kernel_ops.inspect)
			return false;
		tcmu_kernel_ops.inspect(ctx->kernel, &dev, 1);
		/* No such object, or it is just being removed (its directory blocks). */
		return dev.err == -ENOENT || dev.err == -ETIMEDOUT || (!dev.err && dev.enabled);
	case TCMU_EVENT_REMOVED: /* not by inspect(), which blocks if it is not */
		return !tcmu_kernel_ops.scan(ctx->kernel, is_there, &dev) && !dev.enabled;
	case TCMU_EVENT_RECONFIG:
		break;
	}
	return false;
}

bool tcmu_foreign_may_answer(struct tcmulib_context *ctx, struct tcmu_pending *pend, uint64_t now)
{
	return now < pend->deadline + (FOREIGN_MS - TCMU_GRACE_MS) && others_listen(ctx);
}

void tcmu_foreign_say(struct tcmulib_context *ctx, struct tcmu_pending *pend)
{
	if (!pend->said_busy)
		tcmu_warn("%s: %s is left for %d s to another daemon (netlink port %u), since no "
			  "handler here has this subtype",
			  pend->ev.uio_name, tcmu_event_name(pend->ev.type), FOREIGN_MS / 1000,
			  ctx->others_port);
	pend->said_busy = true;
}
