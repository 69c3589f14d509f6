/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "lib/context.h"
#include "lib/device.h"

/* Events of one call: replies and deadlines get their turn in a storm too. */
#define EVENTS_PER_TURN 64

uint64_t tcmu_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

struct tcmulib_handler *tcmu_context_handler(struct tcmulib_context *ctx, const char *config)
{
	size_t len = tcmu_device_subtype_len(config);

	for (size_t i = 0; i < ctx->handler_count; i++) {
		struct tcmulib_handler *handler = &ctx->handlers[i];

		/* config may end in the newline of an echo, if there is no '/' */
		if (len && config[len - 1] == '\n')
			len--;
		if (strlen(handler->subtype) == len && !memcmp(handler->subtype, config, len))
			return handler;
	}
	return NULL;
}

bool tcmu_context_busy(struct tcmulib_context *ctx)
{
	bool busy;

	pthread_mutex_lock(&ctx->lock);
	busy = !list_empty(&ctx->done);
	list_for_each (node, &ctx->pending) {
		struct tcmu_pending *pend = container_of(node, struct tcmu_pending, node);

		busy |= !pend->silent || pend->next;
	}
	pthread_mutex_unlock(&ctx->lock);
	return busy;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return !a || (b && b < a) ? b : a;
}

void tcmu_context_check_later(struct tcmulib_context *ctx)
{
	ctx->check_at = earlier(ctx->check_at, tcmu_now_ms() + TCMU_GRACE_MS);
}

void tcmu_context_wake(struct tcmulib_context *ctx)
{
	uint64_t one = 1;

	/* It can only fail when it is readable already. */
	if (write(ctx->done_fd, &one, sizeof(one)) < 0)
		return;
}

/* ---- start and end --------------------------------------------------------------------------- */

static void context_free(struct tcmulib_context *ctx)
{
	if (ctx->kernel)
		tcmu_kernel_ops.close(ctx->kernel);
	if (ctx->epoll_fd >= 0)
		close(ctx->epoll_fd);
	if (ctx->done_fd >= 0)
		close(ctx->done_fd);
	if (ctx->timer_fd >= 0)
		close(ctx->timer_fd);
	pthread_mutex_destroy(&ctx->lock);
	free(ctx->handlers);
	tcmu_foreign_free(ctx);
	free(ctx);
}

void tcmu_context_unref(struct tcmulib_context *ctx)
{
	bool last;

	pthread_mutex_lock(&ctx->lock);
	last = --ctx->refs == 0;
	pthread_mutex_unlock(&ctx->lock);
	if (last)
		context_free(ctx);
}

static int watch(struct tcmulib_context *ctx, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	if (fd < 0)
		return -errno;
	return epoll_ctl(ctx->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int open_descriptors(struct tcmulib_context *ctx)
{
	int ret;

	ctx->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (ctx->epoll_fd < 0)
		return -errno;
	ctx->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = watch(ctx, ctx->done_fd);
	if (ret)
		return ret;
	ctx->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	ret = watch(ctx, ctx->timer_fd);
	if (ret)
		return ret;
	return watch(ctx, tcmu_kernel_ops.event_fd(ctx->kernel));
}

static int copy_handlers(struct tcmulib_context *ctx, struct tcmulib_handler *handlers, size_t n)
{
	ctx->handlers = calloc(n ? n : 1, sizeof(*handlers));
	if (!ctx->handlers)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (!handlers[i].subtype || !*handlers[i].subtype || !handlers[i].added ||
		    !handlers[i].removed) {
			tcmu_err("handler %zu has no subtype, no added() or no removed()", i);
			return -EINVAL;
		}
		handlers[i].ctx = ctx;
		ctx->handlers[i] = handlers[i];
	}
	ctx->handler_count = n;
	return 0;
}

static int context_start(struct tcmulib_context *ctx)
{
	int ret;

	ctx->kernel = tcmu_kernel_ops.open();
	if (!ctx->kernel)
		return -errno;
	ret = open_descriptors(ctx);
	if (ret)
		return ret;
	/* Before the scan: what is created from here on has its event, what was before is found. */
	ret = tcmu_kernel_ops.set_reply(ctx->kernel, true);
	if (ret == -EPERM)
		return ret;
	if (ret) /* before Linux 4.15: nobody ever waits for an answer */
		tcmu_info("the kernel does not wait for answers to its events (%s)",
			  strerror(-ret));
	ret = tcmu_context_scan(ctx);
	if (ret)
		return ret;
	/* Writers that wait since before us are not in the scan, but for creations. */
	tcmu_context_check_later(ctx);
	return tcmu_context_ready(ctx);
}

struct tcmulib_context *tcmu_context_new(struct tcmulib_handler *handlers, size_t n)
{
	struct tcmulib_context *ctx = calloc(1, sizeof(*ctx));
	int ret;

	if (!ctx)
		return NULL;
	ctx->epoll_fd = -1;
	ctx->done_fd = -1;
	ctx->timer_fd = -1;
	ctx->refs = 1;
	pthread_mutex_init(&ctx->lock, NULL);
	list_init(&ctx->devices);
	list_init(&ctx->pending);
	list_init(&ctx->done);
	ret = copy_handlers(ctx, handlers, n);
	if (!ret)
		ret = context_start(ctx);
	if (ret) {
		tcmu_context_close(ctx);
		errno = -ret;
		return NULL;
	}
	return ctx;
}

void tcmu_context_set_successor(struct tcmulib_context *ctx, bool on)
{
	on = on && !tcmu_foreign_around(ctx);
	pthread_mutex_lock(&ctx->lock);
	ctx->successor = on;
	pthread_mutex_unlock(&ctx->lock);
}

/* So that no new event waits for us. It is one switch for all daemons. With a successor creations go on
 * waiting; for the others the kernel does not, once nobody listens (tcmu_netlink_event_send()). */
static void stop_replies(struct tcmulib_context *ctx)
{
	if (ctx->successor)
		tcmu_kernel_ops.leave(ctx->kernel);
	else if (tcmu_foreign_answers(ctx))
		tcmu_info("the kernel goes on waiting for answers to its events, since another "
			  "daemon gives them");
	else
		tcmu_kernel_ops.set_reply(ctx->kernel, false);
}

void tcmu_context_close(struct tcmulib_context *ctx)
{
	if (ctx->kernel) {
		/* A removal waits since before us, for the dead one's sockets may still get its events
		 * (lib/listeners.c); all waits have to end before a program can be executed. */
		if (tcmu_kernel_ops.look_stuck && tcmu_kernel_ops.look_stuck(ctx->kernel)) {
			if (ctx->successor)
				tcmu_warn(
					"a removal waits since before this process, and has to end "
					"before the next one: the kernel accepts what is created "
					"meanwhile as it is");
			tcmu_context_set_successor(ctx, false);
		}
		stop_replies(ctx);
		tcmu_events_close(ctx);
	}
	tcmu_context_unref(ctx);
}

void tcmu_context_abandon(struct tcmulib_context *ctx)
{
	tcmu_context_set_successor(ctx, false);
	stop_replies(ctx);
	tcmu_events_abandon(ctx);
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* 1: none is left; 0: there may be more; or -errno. */
static int read_events(struct tcmulib_context *ctx)
{
	for (int i = 0; i < EVENTS_PER_TURN; i++) {
		struct tcmu_event ev;
		int ret = tcmu_kernel_ops.next_event(ctx->kernel, &ev);

		if (ret == 0)
			return 1;
		if (ret == 1) {
			tcmu_event_handle(ctx, &ev, false);
		} else if (ret == -ENOBUFS) {
			tcmu_warn("events of the kernel were lost, looking for devices again");
			ctx->rescan_at = tcmu_now_ms(); /* once, after what is still there */
		} else {
			tcmu_err("cannot receive events of the kernel: %s", strerror(-ret));
			return ret;
		}
	}
	return 0;
}

static void drain(int fd)
{
	uint64_t count;

	while (read(fd, &count, sizeof(count)) > 0)
		;
}

static void set_timer(struct tcmulib_context *ctx, uint64_t at)
{
	struct itimerspec spec = {
		.it_value = { .tv_sec = (time_t)(at / 1000),
			      .tv_nsec = (long)(at % 1000) * 1000000 },
	};

	timerfd_settime(ctx->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL); /* 0 disarms it */
}

static void do_timed(struct tcmulib_context *ctx)
{
	uint64_t now = tcmu_now_ms(), next;

	if (ctx->rescan_at && now >= ctx->rescan_at) {
		int ret;

		ctx->rescan_at = 0;
		ret = tcmu_context_scan(ctx);
		if (ret) {
			tcmu_err("cannot look for devices: %s", strerror(-ret));
			ctx->rescan_at = now + 1000;
		} else {
			tcmu_context_check_later(ctx);
		}
	}
	if (ctx->check_at && now >= ctx->check_at)
		tcmu_context_check_waiters(ctx, now);
	next = tcmu_events_check_deadlines(ctx, now);
	set_timer(ctx, earlier(next, earlier(ctx->rescan_at, ctx->check_at)));
}

int tcmu_context_ready(struct tcmulib_context *ctx)
{
	int ret;

	drain(ctx->done_fd); /* before the list: what comes after wakes again */
	drain(ctx->timer_fd);
	tcmu_pending_reply_done(ctx);
	ret = read_events(ctx);
	if (!ret) {
		/* Not yet: what is unread may say that the kernel has given up what a deadline would
		 * answer now, and the answer would meet the next event and lose its writer. */
		tcmu_context_wake(ctx);
		return 0;
	}
	do_timed(ctx);
	return ret < 0 ? ret : 0;
}
