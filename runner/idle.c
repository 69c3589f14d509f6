/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device gives back that nobody uses: the memory of its commands, the bounce buffer, its helpers and
 * their stacks. Some seconds after the last command, once; then its thread sleeps until there is another one.
 *
 * A time-out of the thread's own wait would cost a timer in the kernel for each command, so the main thread
 * looks, as long as it finds that there was something.
 */
#include <sys/mman.h>

#include "runner/device.h"
#include "runner/runner.h"

#define EVERY_USEC (RUNNER_IDLE_SEC * G_TIME_SPAN_SECOND)

/* At the same time for all devices, so that the main thread is woken for all of them at once. */
static void look_later(struct runner_idle *idle)
{
	gint64 now = g_get_monotonic_time();

	g_source_set_ready_time(idle->source, now - now % EVERY_USEC + EVERY_USEC);
}

/* An asynchronous handler's callbacks run on the device's thread and must not block. Is it still at what it did
 * when we looked before? Main thread. */
static void check_deaf(struct runner_dev *rdev)
{
	struct runner_idle *idle = &rdev->idle;

	if (!(atomic_load(&rdev->requests) & (RUNNER_REQ_TRIM | RUNNER_REQ_WATCH)))
		idle->deaf = 0;
	else if (++idle->deaf == RUNNER_DEAF_LOOKS)
		tcmu_dev_warn(rdev->dev,
			      "its thread has not come back from handler '%s' for %d s: no command "
			      "of this device is served meanwhile",
			      rdev->handler->subtype, RUNNER_DEAF_LOOKS * RUNNER_IDLE_SEC);
}

void runner_idle_look(struct runner_idle *idle)
{
	struct runner_dev *rdev = container_of(idle, struct runner_dev, idle);
	unsigned int before = idle->deaf;

	check_deaf(rdev);
	tcmu_log_settle(rdev->dev, false);
	if (idle->deaf != before && (idle->deaf == RUNNER_DEAF_LOOKS || !idle->deaf))
		runner_states_changed();
	if (atomic_exchange(&idle->used, false) || idle->deaf) {
		look_later(idle);
		runner_dev_request(rdev, RUNNER_REQ_WATCH);
		return;
	}
	/* First this: the device's thread may set it anew. */
	g_source_set_ready_time(idle->source, -1);
	tcmu_log_settle(rdev->dev, true); /* there may be no message for a long time */
	runner_dev_request(rdev, RUNNER_REQ_TRIM);
}

static gboolean dispatch(GSource *source, GSourceFunc func, gpointer arg)
{
	(void)source, (void)func;
	runner_idle_look(arg);
	return G_SOURCE_CONTINUE;
}

static gboolean unused(gpointer arg)
{
	(void)arg;
	return G_SOURCE_CONTINUE;
}

void runner_idle_init(struct runner_dev *rdev)
{
	static GSourceFuncs funcs = { .dispatch = dispatch };

	rdev->idle.source = g_source_new(&funcs, sizeof(GSource));
	g_source_set_callback(rdev->idle.source, unused, &rdev->idle, NULL);
	g_source_attach(rdev->idle.source, NULL);
}

void runner_idle_fini(struct runner_dev *rdev)
{
	g_source_destroy(rdev->idle.source);
	g_source_unref(rdev->idle.source);
}

void runner_idle_used(struct runner_dev *rdev)
{
	atomic_store(&rdev->idle.used, true);
	if (!rdev->idle.watched)
		look_later(&rdev->idle);
	rdev->idle.watched = true;
}

void runner_idle_trim(struct runner_dev *rdev)
{
	rdev->idle.watched = false;
	/* Commands since then, or one that takes long: another time. */
	if (atomic_load(&rdev->idle.used) || tcmulib_ring_trim(rdev->dev)) {
		runner_watch(rdev);
		runner_idle_used(rdev);
		return;
	}
	if (rdev->bounce) /* which no command has */
		madvise(rdev->bounce, RUNNER_BOUNCE_SIZE, MADV_DONTNEED);
	runner_workers_trim(&rdev->workers);
	runner_gather_trim(&rdev->gather);
}
