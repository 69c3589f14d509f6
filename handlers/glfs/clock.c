/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting, by a clock that nobody sets. */
#include <time.h>

#include "gluster.h"

uint64_t gluster_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void gluster_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

int gluster_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t ms)
{
	struct timespec t = { .tv_sec = (time_t)(ms / 1000),
			      .tv_nsec = (long)(ms % 1000) * 1000000 };

	return pthread_cond_timedwait(cond, mutex, &t);
}
