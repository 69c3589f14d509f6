/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An asynchronous RAM disk. All its devices share one thread that the runner knows nothing of and that
 * outlives them: nothing but the runner itself keeps a device until that thread has done with it. A
 * config of foreign/twice makes it complete each read twice, against the rules.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tcmu-runner.h"

struct job {
	struct job *next;
	struct tcmu_device *dev;
	struct tcmur_cmd *cmd;
	struct iovec *iov;
	size_t iov_cnt, len;
	char *mem;
	bool in;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static struct job *jobs;
static bool ending;
static pthread_t thread;

static void *foreign_main(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&lock);
	while (jobs || !ending) {
		struct job *job = jobs;

		if (!job) {
			pthread_cond_wait(&cond, &lock);
			continue;
		}
		jobs = job->next;
		pthread_mutex_unlock(&lock);
		if (job->in)
			tcmu_memcpy_into_iovec(job->iov, job->iov_cnt, job->mem, job->len);
		else
			tcmu_memcpy_from_iovec(job->mem, job->len, job->iov, job->iov_cnt);
		tcmur_cmd_complete(job->dev, job->cmd, TCMU_STS_OK);
		pthread_mutex_lock(&lock);
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

static int foreign_init(void)
{
	return -pthread_create(&thread, NULL, foreign_main, NULL);
}

static void foreign_destroy(void)
{
	pthread_mutex_lock(&lock);
	ending = true;
	pthread_cond_signal(&cond);
	pthread_mutex_unlock(&lock);
	pthread_join(thread, NULL);
}

static bool is_twice(struct tcmu_device *dev)
{
	return !strcmp(tcmu_dev_get_cfgstring(dev), "foreign/twice");
}

static int foreign_open(struct tcmu_device *dev, bool reopen)
{
	void *mem = calloc(tcmu_dev_get_num_lbas(dev), tcmu_dev_get_block_size(dev));

	(void)reopen;
	if (!mem)
		return -ENOMEM;
	tcmur_dev_set_private(dev, mem);
#ifndef NDEBUG
	if (is_twice(dev))
		tcmu_dev_info(dev, "foreign: no second completion, assertions are on");
#endif
	return 0;
}

static void foreign_close(struct tcmu_device *dev)
{
	free(tcmur_dev_get_private(dev));
}

static int queue(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
		 size_t len, off_t off, bool in)
{
	struct job *job = tcmur_cmd_priv(cmd);

	*job = (struct job) {
		.dev = dev,
		.cmd = cmd,
		.iov = iov,
		.iov_cnt = iov_cnt,
		.len = len,
		.mem = (char *)tcmur_dev_get_private(dev) + off,
		.in = in,
	};
	pthread_mutex_lock(&lock);
	job->next = jobs;
	jobs = job;
	pthread_cond_signal(&cond);
	pthread_mutex_unlock(&lock);
	return TCMU_STS_ASYNC_HANDLED;
}

static int foreign_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
			size_t iov_cnt, size_t len, off_t off)
{
	if (!is_twice(dev))
		return queue(dev, cmd, iov, iov_cnt, len, off, true);
	tcmu_iovec_zero(iov, iov_cnt);
	tcmur_cmd_complete(dev, cmd, TCMU_STS_OK);
#ifdef NDEBUG /* the runner asserts */
	tcmur_cmd_complete(dev, cmd, TCMU_STS_OK);
#endif
	return TCMU_STS_ASYNC_HANDLED;
}

static int foreign_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
			 size_t iov_cnt, size_t len, off_t off)
{
	return queue(dev, cmd, iov, iov_cnt, len, off, false);
}

static struct tcmur_handler foreign_handler = {
	.name = "Foreign",
	.subtype = "foreign",
	.cfg_desc = "foreign/ANYTHING",
	.cmd_priv_size = sizeof(struct job),
	.init = foreign_init,
	.destroy = foreign_destroy,
	.open = foreign_open,
	.close = foreign_close,
	.read = foreign_read,
	.write = foreign_write,
};

TCMUR_REGISTER_HANDLER(foreign_handler)
