/* SPDX-License-Identifier: Apache-2.0 */
/* Commands with somebody waiting for them. */
#include "fake-kernel.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

void fake_cmd_init(struct fake_cmd *cmd, const uint8_t *cdb, size_t cdb_len, enum fake_dir dir,
		   void *data, size_t len)
{
	memset(cmd, 0, sizeof(*cmd));
	memcpy(cmd->cdb, cdb, cdb_len);
	cmd->dir = dir;
	cmd->data = data;
	cmd->len = dir == FAKE_NONE ? 0 : len;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static void wake(struct fake_cmd *cmd)
{
	pthread_mutex_lock(&lock);
	*(int *)cmd->arg = 1;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&lock);
}

int fake_exec(struct fake_ring *r, struct fake_cmd *cmd, int timeout_ms)
{
	struct timespec until;
	int done = 0, ret = 0;

	cmd->done = wake;
	cmd->arg = &done;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (timeout_ms + 999) / 1000;
	fake_ring_submit(r, cmd);
	pthread_mutex_lock(&lock);
	while (!done && !ret)
		ret = pthread_cond_timedwait(&cond, &lock, &until);
	if (!done) {
		pthread_mutex_unlock(&lock);
		fake_ring_expire(r, cmd);
		pthread_mutex_lock(&lock);
		while (!done)
			pthread_cond_wait(&cond, &lock);
		ret = cmd->expired ? -ETIMEDOUT : 0;
	} else {
		ret = 0;
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

int fake_wait_idle(struct fake_ring *r, int timeout_ms)
{
	uint64_t end = fake_now_ms() + (uint64_t)timeout_ms;
	struct fake_ring_stats st;
	bool idle;

	do {
		fake_ring_get_stats(r, &st);
		idle = !st.unanswered && !st.in_flight && st.drained;
	} while (!idle && fake_now_ms() < end && poll(NULL, 0, 1) == 0);
	fake_ring_check_idle(r);
	return idle ? 0 : -ETIMEDOUT;
}
