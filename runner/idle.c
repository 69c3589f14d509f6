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

#define IDLE_SEC 5 /* once to twice that after the last command */

/* Main thread. */
static gboolean look(gpointer arg)
{
	struct runner_idle *idle = arg;

	if (atomic_exchange(&idle->used, false))
		return G_SOURCE_CONTINUE;
	runner_dev_request(container_of(idle, struct runner_dev, idle), RUNNER_REQ_TRIM);
	return G_SOURCE_REMOVE;
}

void runner_idle_end(struct runner_dev *rdev)
{
	g_source_remove_by_user_data(&rdev->idle);
}

void runner_idle_used(struct runner_dev *rdev)
{
	atomic_store(&rdev->idle.used, true);
	if (!rdev->idle.watched)
		g_timeout_add_seconds(IDLE_SEC, look, &rdev->idle);
	rdev->idle.watched = true;
}

void runner_idle_trim(struct runner_dev *rdev)
{
	rdev->idle.watched = false;
	/* Commands since then, or one that takes long: another time. */
	if (atomic_load(&rdev->idle.used) || tcmulib_ring_trim(rdev->dev)) {
		runner_idle_used(rdev);
		return;
	}
	if (rdev->bounce) /* which no command has */
		madvise(rdev->bounce, RUNNER_BOUNCE_SIZE, MADV_DONTNEED);
	runner_workers_trim(&rdev->workers);
	runner_gather_trim(&rdev->gather);
}
