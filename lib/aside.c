/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/aside.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 20 /* how often *over is looked at */

int tcmu_aside_start(pthread_t *thread, void *(*fn)(void *arg), void *arg)
{
	sigset_t all, old;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = -pthread_create(thread, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

void tcmu_aside_begin(const char *name)
{
	pthread_setname_np(pthread_self(), name);
	close_range(0, ~0U, CLOSE_RANGE_UNSHARE); /* Linux 5.9 */
}

/* ---- one access ------------------------------------------------------------------------------- */

struct errand {
	ssize_t (*fn)(const char *root, const char *path, char *buf, size_t size);
	const char *root;
	char *path, *buf;
	size_t size;
	pthread_mutex_t lock; /* a leaf; guards what follows */
	pthread_cond_t ended;
	ssize_t ret;
	bool done; /* the thread is through */
	bool left; /* nobody waits; the thread frees it */
};

static unsigned int left; /* how many are */

static void destroy(struct errand *e)
{
	pthread_cond_destroy(&e->ended);
	pthread_mutex_destroy(&e->lock);
	free(e->buf);
	free(e->path);
	free(e);
}

static struct errand *create(const char *path, const char *buf, size_t size)
{
	struct errand *e = calloc(1, sizeof(*e));
	pthread_condattr_t attr;

	if (!e)
		return NULL;
	e->path = strdup(path);
	e->buf = malloc(size ? size : 1);
	if (!e->path || !e->buf) {
		free(e->buf);
		free(e->path);
		free(e);
		return NULL;
	}
	memcpy(e->buf, buf, size);
	e->size = size;
	pthread_mutex_init(&e->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&e->ended, &attr);
	pthread_condattr_destroy(&attr);
	return e;
}

static void *errand_thread(void *arg)
{
	struct errand *e = arg;
	ssize_t ret;
	bool mine;

	tcmu_aside_begin("tcmu-configfs");
	ret = e->fn(e->root, e->path, e->buf, e->size);
	pthread_mutex_lock(&e->lock);
	e->ret = ret;
	e->done = true;
	mine = e->left;
	pthread_cond_signal(&e->ended);
	pthread_mutex_unlock(&e->lock);
	if (mine) {
		destroy(e);
		__atomic_sub_fetch(&left, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void wait_a_moment(struct errand *e)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += LOOK_MS * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	pthread_cond_timedwait(&e->ended, &e->lock, &until);
}

/* False: it was left. */
static bool wait_for(struct errand *e, const bool *over)
{
	bool done;

	pthread_mutex_lock(&e->lock);
	while (!e->done && !(over && __atomic_load_n(over, __ATOMIC_RELAXED)))
		wait_a_moment(e);
	done = e->done;
	if (!done) {
		__atomic_add_fetch(&left, 1, __ATOMIC_RELAXED);
		e->left = true;
	}
	pthread_mutex_unlock(&e->lock);
	return done;
}

ssize_t tcmu_aside(ssize_t (*fn)(const char *root, const char *path, char *buf, size_t size),
		   const char *root, const char *path, char *buf, size_t size, const bool *over)
{
	struct errand *e = create(path, buf, size);
	pthread_t thread;
	ssize_t ret;

	if (!e)
		return -ENOMEM;
	e->fn = fn;
	e->root = root;
	ret = tcmu_aside_start(&thread, errand_thread, e);
	if (ret) {
		destroy(e);
		return ret;
	}
	if (!wait_for(e, over)) {
		pthread_detach(thread);
		return -ENODEV;
	}
	pthread_join(thread, NULL);
	ret = e->ret;
	memcpy(buf, e->buf, size);
	destroy(e);
	return ret;
}

bool tcmu_aside_left(void)
{
	return __atomic_load_n(&left, __ATOMIC_RELAXED) != 0;
}
