/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a config string would do, for somebody who waits two seconds at most: libgfapi may need longer. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gluster.h"

#define PATIENCE_MS     1800
#define STOP_MS         1000
#define LEAST_BLOCK     512
#define UNFINISHED_MOST 16 /* threads that nobody waits for any more */

struct check {
	char *cfgstring;
	char *reason;
	int ret;
	bool done;
	bool left; /* by who has asked: the thread frees it */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards all of this; a leaf */
static pthread_cond_t cond;
static pthread_once_t cond_once = PTHREAD_ONCE_INIT;
static unsigned int threads;

static void init_cond(void)
{
	gluster_cond_init(&cond);
}

static void free_check(struct check *check)
{
	free(check->cfgstring);
	free(check->reason);
	free(check);
}

static int look(const char *cfgstring, char **reason)
{
	struct gluster_options opts;
	struct gluster_target target;
	int ret = gluster_options_parse(cfgstring, &opts, reason);

	if (ret)
		return ret;
	ret = gluster_target_open(cfgstring, &opts, NULL, 0, &target, reason);
	if (!ret) {
		if (target.fd && target.size < LEAST_BLOCK)
			ret = gluster_refuse(
				reason, EINVAL,
				"'%s' of volume '%s' has %llu bytes, less than one block; make "
				"it larger (truncate -s SIZE on a mount of the volume)",
				opts.path, opts.volume, (unsigned long long)target.size);
		gluster_target_close(&target);
	}
	gluster_options_free(&opts);
	return ret;
}

static void *run(void *arg)
{
	struct check *check = arg;
	int ret = look(check->cfgstring, &check->reason);
	bool left;

	pthread_mutex_lock(&mutex);
	check->ret = ret;
	check->done = true;
	left = check->left;
	threads--;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&mutex);
	if (left)
		free_check(check);
	return NULL;
}

/* False: there is no thread. */
static bool start(struct check *check)
{
	pthread_attr_t attr;
	pthread_t thread;
	bool started;

	pthread_mutex_lock(&mutex);
	started = threads < UNFINISHED_MOST;
	if (started)
		threads++;
	pthread_mutex_unlock(&mutex);
	if (!started)
		return false;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	started = !pthread_create(&thread, &attr, run, check);
	pthread_attr_destroy(&attr);
	if (!started) {
		pthread_mutex_lock(&mutex);
		threads--;
		pthread_mutex_unlock(&mutex);
	}
	return started;
}

bool gluster_check_config(const char *cfgstring, char **reason)
{
	struct check *check;
	uint64_t until = gluster_now_ms() + PATIENCE_MS;
	bool done, good = false;
	int ret = 0;

	pthread_once(&cond_once, init_cond);
	*reason = NULL;
	check = calloc(1, sizeof(*check));
	if (!check)
		return false;
	check->cfgstring = strdup(cfgstring);
	if (!check->cfgstring || !start(check)) {
		free_check(check);
		gluster_refuse(reason, EAGAIN,
			       "too many checks of this kind are still waiting for their "
			       "servers; try again later");
		return false;
	}

	pthread_mutex_lock(&mutex);
	while (!check->done && !ret)
		ret = gluster_cond_wait_until(&cond, &mutex, until);
	done = check->done;
	check->left = !done;
	pthread_mutex_unlock(&mutex);
	if (!done) {
		gluster_refuse(
			reason, ETIMEDOUT,
			"'%s': the servers have not answered within %d ms; are the addresses "
			"right, and do the volume's bricks run?",
			cfgstring, PATIENCE_MS);
		return false;
	}
	good = !check->ret;
	*reason = check->reason;
	check->reason = NULL;
	free_check(check);
	return good;
}

void gluster_check_stop(void)
{
	uint64_t until = gluster_now_ms() + STOP_MS;
	int ret = 0;

	pthread_once(&cond_once, init_cond);
	pthread_mutex_lock(&mutex);
	while (threads && !ret)
		ret = gluster_cond_wait_until(&cond, &mutex, until);
	pthread_mutex_unlock(&mutex);
}
