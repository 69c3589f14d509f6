/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread on a stack that comes and goes with it: libc would keep the stacks of threads that have ended, with
 * what they have touched, 40 MiB of stacks in a process. And no page of it is a huge one: a stack of libc's that
 * happens to end at a multiple of 2 MiB takes so much at once.
 */
#ifndef RUNNER_THREAD_H
#define RUNNER_THREAD_H

#include <pthread.h>
#include <stddef.h>

/* For callbacks of a handler, and ThreadSanitizer takes 900 KiB of it. */
#define RUNNER_STACK_HELPER (1ul << 20)
/* For its open() too, which may expect what is usual. */
#define RUNNER_STACK_DEVICE (8ul << 20)

/* Lies at the top of its stack. */
struct runner_thread {
	pthread_t id;
	void *arg;
	size_t mapping;
};

/* run() gets *thread, whose arg is this one, and so many bytes of stack. 0 or -errno. May block, as it makes a
 * mapping. */
int runner_thread_start(struct runner_thread **thread, void *(*run)(void *thread), void *arg,
			size_t stack);
/* Waits until it has ended; it is gone then. Any other thread, one of them once. */
void runner_thread_join(struct runner_thread *thread);

#endif
