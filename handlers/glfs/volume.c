/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to volumes. Each has a thread that opens it, keeps it as long as somebody uses it and for a
 * while longer, and closes it: libgfapi may be long about both (glfs_fini() takes up to ten seconds), and
 * no logical unit waits for that of another one. Where everybody asks for the same volume, servers and
 * options there is one connection.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gluster.h"

#define LINGER_MS 20000 /* without a user: a device that is opened again finds it */
#define STOP_MS   1000  /* so long the end of the process waits for the threads */

struct gluster_volume {
	struct gluster_volume *next;
	char *key;
	struct gluster_options opts;
	glfs_t *fs;
	unsigned int users;
	enum { CONNECTING, CONNECTED, FAILED } state;
	int err;     /* FAILED: why */
	bool listed; /* can be found */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards all of this; a leaf */
static pthread_cond_t cond;                               /* whatever changes */
static pthread_once_t cond_once = PTHREAD_ONCE_INIT;
static struct gluster_volume *volumes;
static unsigned int threads;
static bool stopping;

static void init_cond(void)
{
	gluster_cond_init(&cond);
}

/* ---- the list ---- */

/* All that makes a connection another one. malloc'ed, or NULL. */
static char *make_key(const struct gluster_options *opts)
{
	char *key = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&key, &size);

	if (!f)
		return NULL;
	fprintf(f, "%s %u %d %s", opts->volume, opts->timeout, opts->log_level, opts->log);
	for (size_t i = 0; i < opts->server_count; i++)
		fprintf(f, " %s:%s:%d", opts->servers[i].transport, opts->servers[i].host,
			opts->servers[i].port);
	if (fclose(f)) {
		free(key);
		return NULL;
	}
	return key;
}

static void unlist_locked(struct gluster_volume *volume)
{
	if (!volume->listed)
		return;
	for (struct gluster_volume **v = &volumes; *v; v = &(*v)->next) {
		if (*v == volume) {
			*v = volume->next;
			break;
		}
	}
	volume->listed = false;
}

static struct gluster_volume *find_locked(const char *key)
{
	for (struct gluster_volume *v = volumes; v; v = v->next)
		if (!strcmp(v->key, key))
			return v;
	return NULL;
}

/* ---- a connection's thread ---- */

/* What is passed through. Caches: another gateway may have changed what they answer from, and what was written
 * there is nowhere if the machine goes down. io-threads: a thread that sends what ours could have sent, which
 * volumes that are replicated do without by default. */
static const char *const passed[] = {
	"*-write-behind", "*-read-ahead",    "*-io-cache", "*-quick-read", "*-open-behind",
	"*-md-cache",     "*-readdir-ahead", "*-nl-cache", "*-io-threads",
};

static int set_up(glfs_t *fs, const struct gluster_options *opts)
{
	char seconds[16];

	for (size_t i = 0; i < opts->server_count; i++) {
		const struct gluster_server *server = &opts->servers[i];

		if (glfs_set_volfile_server(fs, server->transport, server->host, server->port))
			return -errno;
	}
	for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++)
		if (glfs_set_xlator_option(fs, passed[i], "pass-through", "true"))
			return -errno;
	if (opts->timeout) {
		snprintf(seconds, sizeof(seconds), "%u", opts->timeout);
		if (glfs_set_xlator_option(fs, "*-client-*", "ping-timeout", seconds))
			return -errno;
	}
	if (glfs_set_logging(fs, opts->log, opts->log_level)) {
		tcmu_warn("glfs: libgfapi's log '%s' cannot be written to, so there is none; "
			  "the option ;log=FILE names another one",
			  opts->log);
		if (glfs_set_logging(fs, "/dev/null", opts->log_level))
			return -errno;
	}
	return 0;
}

/* 0 or -errno. *fs has to be given to glfs_fini() in any case, if it is not NULL. */
static int connect_volume(const struct gluster_options *opts, glfs_t **fs)
{
	int ret;

	errno = ENOMEM;
	*fs = glfs_new(opts->volume);
	if (!*fs)
		return -errno;
	ret = set_up(*fs, opts);
	if (ret)
		return ret;
	errno = 0;
	if (glfs_init(*fs))
		return errno ? -errno : -EIO;
	return 0;
}

static bool is_wanted_locked(const struct gluster_volume *volume)
{
	return volume->users || (volume->listed && !stopping);
}

/* Until nobody has used it for a while. */
static void serve_locked(struct gluster_volume *volume)
{
	while (is_wanted_locked(volume)) {
		uint64_t until = gluster_now_ms() + LINGER_MS;

		if (volume->users)
			pthread_cond_wait(&cond, &mutex);
		else
			while (!volume->users && is_wanted_locked(volume))
				if (gluster_cond_wait_until(&cond, &mutex, until) == ETIMEDOUT &&
				    !volume->users)
					unlist_locked(volume);
	}
	unlist_locked(volume);
}

static void *run(void *arg)
{
	struct gluster_volume *volume = arg;
	bool fini;
	int ret;

	ret = connect_volume(&volume->opts, &volume->fs);
	pthread_mutex_lock(&mutex);
	volume->err = -ret;
	volume->state = ret ? FAILED : CONNECTED;
	if (ret)
		unlist_locked(volume);
	pthread_cond_broadcast(&cond);
	serve_locked(volume);
	fini = !stopping;
	pthread_mutex_unlock(&mutex);

	if (fini && volume->fs)
		glfs_fini(volume->fs);
	gluster_options_free(&volume->opts);
	free(volume->key);
	free(volume);

	pthread_mutex_lock(&mutex);
	threads--;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&mutex);
	return NULL;
}

/* ---- for everybody ---- */

/* A new one, its thread started. */
static struct gluster_volume *start_locked(const char *cfgstring, char **key)
{
	struct gluster_volume *volume = calloc(1, sizeof(*volume));
	pthread_attr_t attr;
	char *reason = NULL;
	pthread_t thread;
	int ret;

	if (!volume)
		return NULL;
	/* It was right a moment ago. */
	ret = gluster_options_parse(cfgstring, &volume->opts, &reason);
	free(reason);
	if (!ret) {
		volume->key = *key;
		pthread_attr_init(&attr);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		ret = pthread_create(&thread, &attr, run, volume);
		pthread_attr_destroy(&attr);
	}
	if (ret) {
		gluster_options_free(&volume->opts);
		free(volume);
		return NULL;
	}
	*key = NULL;
	threads++;
	volume->listed = true;
	volume->next = volumes;
	volumes = volume;
	return volume;
}

static void put_locked(struct gluster_volume *volume, bool bad)
{
	if (--volume->users == 0 && bad)
		unlist_locked(volume);
	pthread_cond_broadcast(&cond);
}

static int refuse_connection(const struct gluster_options *opts, int err, char **reason)
{
	const struct gluster_server *server = &opts->servers[0];
	const char *more = opts->server_count > 1 ? " (and the other servers)" : "";

	switch (err) {
	case ENOENT:
		return gluster_refuse(
			reason, err,
			"'%s'%s has no volume '%s'; 'gluster volume list' there shows which "
			"there are",
			server->host, more, opts->volume);
	case EIO:
		return gluster_refuse(
			reason, err,
			"volume '%s' cannot be used through '%s'%s; is it started ('gluster "
			"volume status' there tells), and are its bricks there?",
			opts->volume, server->host, more);
	case ETIMEDOUT:
		return gluster_refuse(
			reason, err,
			"'%s'%s has not answered in time, so volume '%s' cannot be used; is "
			"that the right server, and does nothing block the way?",
			server->host, more, opts->volume);
	default:
		return gluster_refuse(
			reason, err,
			"no connection to volume '%s' through '%s'%s: %s; is glusterd running "
			"there (port %d)?",
			opts->volume, server->host, more, strerror(err),
			server->port ? server->port : 24007);
	}
}

int gluster_volume_get(const char *cfgstring, const struct gluster_options *opts,
		       unsigned int timeout_ms, struct gluster_volume **volume, char **reason)
{
	uint64_t until = gluster_now_ms() + timeout_ms;
	char *key = make_key(opts);
	struct gluster_volume *v;
	int err = 0;

	*volume = NULL;
	if (!key)
		return -ENOMEM;
	pthread_once(&cond_once, init_cond);
	pthread_mutex_lock(&mutex);
	v = stopping ? NULL : find_locked(key);
	if (!v && !stopping)
		v = start_locked(cfgstring, &key);
	if (v) {
		v->users++;
		while (v->state == CONNECTING && !err)
			err = gluster_cond_wait_until(&cond, &mutex, until);
		if (v->state == FAILED)
			err = v->err;
		if (v->state == CONNECTED)
			err = 0;
		if (err)
			put_locked(v, false);
	}
	pthread_mutex_unlock(&mutex);
	free(key);
	if (!v)
		return -ENOMEM;
	if (err)
		return refuse_connection(opts, err, reason);
	*volume = v;
	return 0;
}

void gluster_volume_put(struct gluster_volume *volume, bool bad)
{
	pthread_mutex_lock(&mutex);
	put_locked(volume, bad);
	pthread_mutex_unlock(&mutex);
}

glfs_t *gluster_volume_fs(struct gluster_volume *volume)
{
	return volume->fs;
}

void gluster_volume_stop(void)
{
	uint64_t until = gluster_now_ms() + STOP_MS;
	int ret = 0;

	pthread_once(&cond_once, init_cond);
	pthread_mutex_lock(&mutex);
	stopping = true;
	pthread_cond_broadcast(&cond);
	while (threads && !ret)
		ret = gluster_cond_wait_until(&cond, &mutex, until);
	pthread_mutex_unlock(&mutex);
}
