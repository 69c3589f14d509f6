/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/gather.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <time.h>

#include "runner/clock.h"

#define GATHER_SKIP_MAX 1024
#define HELPER_IDLE_SEC 10
#define GROWN           2 /* a batch of so many times the size was worth the wait */

static unsigned int limit_usec;

void runner_gather_choose(unsigned int usec)
{
	limit_usec = usec;
}

void runner_gather_init(struct runner_gather *g)
{
	sem_init(&g->asked, 0, 0);
	sem_init(&g->idle, 0, 0);
	g->helper = NULL;
	atomic_init(&g->end, false);
	atomic_init(&g->waits, false);
	g->skip = g->failed = 0;
}

static void join_helper(struct runner_gather *g)
{
	const struct sched_param param = { 0 };

	if (g->helper) {
		/* It may never get the processor again on a busy machine. */
		pthread_setschedparam(g->helper->id, SCHED_OTHER, &param);
		runner_thread_join(g->helper);
	}
	g->helper = NULL;
	atomic_store(&g->end, false);
}

void runner_gather_trim(struct runner_gather *g)
{
	if (!g->helper)
		return;
	atomic_store(&g->end, true);
	sem_post(&g->asked);
	join_helper(g);
	while (!sem_trywait(&g->asked)) /* which the next one would take for a question */
		;
}

void runner_gather_fini(struct runner_gather *g)
{
	runner_gather_trim(g);
	sem_destroy(&g->asked);
	sem_destroy(&g->idle);
}

/* False: nobody has posted for so long. */
static bool wait_for(sem_t *sem, uint64_t usec)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)(usec % 1000000 * 1000);
	until.tv_sec += (time_t)(usec / 1000000) + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (sem_clockwait(sem, CLOCK_MONOTONIC, &until)) {
		if (errno != EINTR)
			return false;
	}
	return true;
}

/* That the scheduler picks this thread does not say that nobody else wants to run: who has slept for long
 * is owed a little even in its class. It does when nobody takes the processor that is offered. */
static void wait_until_idle(struct runner_gather *g)
{
	long before = runner_preemptions(), now;

	while (atomic_load(&g->waits)) {
		sched_yield();
		now = runner_preemptions();
		if (now == before)
			return;
		before = now;
	}
}

static void *helper_main(void *arg)
{
	const struct sched_param param = { 0 };
	struct runner_gather *g = ((struct runner_thread *)arg)->arg;

	pthread_setname_np(pthread_self(), "tcmu-gather");
	sched_setscheduler(0, SCHED_IDLE, &param);
	while (wait_for(&g->asked, HELPER_IDLE_SEC * UINT64_C(1000000)) && !atomic_load(&g->end)) {
		wait_until_idle(g);
		sem_post(&g->idle);
	}
	/* Asked after the last look: nobody answers, which the limit ends. */
	atomic_store(&g->end, true);
	return NULL;
}

static bool have_helper(struct runner_gather *g)
{
	if (g->helper && !atomic_load(&g->end))
		return true;
	join_helper(g);
	return !runner_thread_start(&g->helper, helper_main, g, RUNNER_STACK_HELPER);
}

/* True when the processor was idle in time. */
static bool wait_for_idle(struct runner_gather *g)
{
	bool idle;

	if (!have_helper(g))
		return false;
	while (!sem_trywait(&g->idle)) /* of an earlier time, which came too late */
		;
	atomic_store(&g->waits, true);
	sem_post(&g->asked);
	idle = wait_for(&g->idle, limit_usec);
	atomic_store(&g->waits, false);
	return idle;
}

void runner_gather(struct runner_gather *g, struct tcmu_device *dev)
{
	uint32_t before = tcmulib_ring_backlog(dev);

	if (!before || !limit_usec)
		return;
	if (g->skip) {
		g->skip--;
		return;
	}
	if (wait_for_idle(g) && tcmulib_ring_backlog(dev) >= GROWN * before) {
		g->failed = 0;
		return;
	}
	g->failed = g->failed ? g->failed * 2 : 1;
	if (g->failed > GATHER_SKIP_MAX)
		g->failed = GATHER_SKIP_MAX;
	g->skip = g->failed;
}
