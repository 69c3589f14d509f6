/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/workers.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "runner/blame.h"
#include "tcmu-runner.h"

#define WORKER_IDLE_SEC 10

int runner_workers_init(struct runner_workers *w, unsigned int max)
{
	pthread_condattr_t attr;
	int ret = -pthread_mutex_init(&w->lock, NULL);

	if (ret)
		return ret;
	/* Monotonic: an idle time-out must not depend on the wall clock. */
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->work, &attr);
	pthread_cond_init(&w->ended, &attr);
	pthread_condattr_destroy(&attr);
	w->first = NULL;
	w->last = &w->first;
	w->max = max;
	w->count = w->idle = w->wanted = 0;
	w->stop = false;
	w->device = NULL;
	w->ended_thread = NULL;
	return 0;
}

/* A job, or NULL: end. Called and returns with the lock held. */
static struct runner_job *next_job_locked(struct runner_workers *w)
{
	struct timespec until = { 0 };
	struct runner_job *job;

	while (!w->first) {
		int ret;

		if (w->stop)
			return NULL;
		if (!until.tv_sec) {
			clock_gettime(CLOCK_MONOTONIC, &until);
			until.tv_sec += WORKER_IDLE_SEC;
		}
		w->idle++;
		ret = pthread_cond_timedwait(&w->work, &w->lock, &until);
		w->idle--;
		if (w->wanted)
			w->wanted--;
		if (ret == ETIMEDOUT && !w->first)
			return NULL;
	}
	job = w->first;
	w->first = job->next;
	if (!w->first)
		w->last = &w->first;
	return job;
}

static void *worker_main(void *arg)
{
	struct runner_thread *self = arg, *before;
	struct runner_workers *w = self->arg;
	struct runner_job *job;

	pthread_setname_np(pthread_self(), "tcmu-worker");
	runner_blame_thread(w->device);
	pthread_mutex_lock(&w->lock);
	while ((job = next_job_locked(w))) {
		pthread_mutex_unlock(&w->lock);
		job->run(job);
		pthread_mutex_lock(&w->lock);
	}
	/* Each one that ends joins the one before it; the last is joined by trim or fini. */
	before = w->ended_thread;
	w->ended_thread = self;
	w->count--;
	pthread_cond_signal(&w->ended);
	pthread_mutex_unlock(&w->lock);
	runner_blame_thread(NULL);
	if (before)
		runner_thread_join(before);
	return NULL;
}

static void run_here(struct runner_workers *w)
{
	for (;;) {
		struct runner_job *job;

		pthread_mutex_lock(&w->lock);
		job = w->count ? NULL : w->first;
		if (job) {
			w->first = job->next;
			if (!w->first)
				w->last = &w->first;
		}
		pthread_mutex_unlock(&w->lock);
		if (!job)
			return;
		job->run(job);
	}
}

void runner_workers_submit(struct runner_workers *w, struct runner_job *first,
			   struct runner_job **last, unsigned int n)
{
	unsigned int wake, start, free_idle;

	pthread_mutex_lock(&w->lock);
	*w->last = first;
	w->last = last;
	*last = NULL;
	free_idle = w->idle > w->wanted ? w->idle - w->wanted : 0;
	wake = n < free_idle ? n : free_idle;
	w->wanted += wake;
	start = n - wake < w->max - w->count ? n - wake : w->max - w->count;
	w->count += start;
	pthread_mutex_unlock(&w->lock);

	while (wake--)
		pthread_cond_signal(&w->work);
	while (start) {
		struct runner_thread *thread;
		int ret = runner_thread_start(&thread, worker_main, w, RUNNER_STACK_HELPER);

		if (ret) {
			tcmu_warn("cannot start a worker thread: %s; fewer of them will serve",
				  strerror(-ret));
			pthread_mutex_lock(&w->lock);
			w->count -= start;
			pthread_mutex_unlock(&w->lock);
			run_here(w);
			return;
		}
		start--;
	}
}

struct runner_job *runner_workers_take(struct runner_workers *w, const void *from, const void *to,
				       bool (*may)(const struct runner_job *job))
{
	struct runner_job *job;

	pthread_mutex_lock(&w->lock);
	job = runner_job_take(&w->first, &w->last, from, to, may);
	pthread_mutex_unlock(&w->lock);
	return job;
}

static void stop_locked(struct runner_workers *w)
{
	w->stop = true;
	pthread_cond_broadcast(&w->work);
	while (w->count)
		pthread_cond_wait(&w->ended, &w->lock);
	w->stop = false;
}

/* The last one that has ended, when there is no other any more. */
static void join_last(struct runner_workers *w)
{
	if (w->ended_thread)
		runner_thread_join(w->ended_thread);
	w->ended_thread = NULL;
}

void runner_workers_trim(struct runner_workers *w)
{
	bool none = false;

	pthread_mutex_lock(&w->lock);
	if (!w->first && w->idle == w->count) {
		stop_locked(w);
		none = true;
	}
	pthread_mutex_unlock(&w->lock);
	if (none)
		join_last(w);
}

void runner_workers_fini(struct runner_workers *w)
{
	pthread_mutex_lock(&w->lock);
	stop_locked(w);
	pthread_mutex_unlock(&w->lock);
	join_last(w);
	pthread_cond_destroy(&w->work);
	pthread_cond_destroy(&w->ended);
	pthread_mutex_destroy(&w->lock);
}
