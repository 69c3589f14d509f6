/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that comes and goes with the work, on a stack that goes with it: libc would keep the stacks of threads
 * that have ended, with what they have touched, 40 MiB of stacks in a process.
 */
#ifndef RUNNER_THREAD_H
#define RUNNER_THREAD_H

#include <pthread.h>

/* Lies at the top of its stack. */
struct runner_thread {
	pthread_t id;
	void *arg;
};

/* run() gets *thread, whose arg is this one. 0 or -errno. May block, as it makes a mapping. */
int runner_thread_start(struct runner_thread **thread, void *(*run)(void *thread), void *arg);
/* Waits until it has ended; it is gone then. Any other thread, one of them once. */
void runner_thread_join(struct runner_thread *thread);

#endif
