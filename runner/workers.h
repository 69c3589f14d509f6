/* SPDX-License-Identifier: Apache-2.0 */
/* The worker threads of one device: started when there is work and nobody idle, ended when idle for
 * a while, joined at the end. */
#ifndef RUNNER_WORKERS_H
#define RUNNER_WORKERS_H

#include <pthread.h>
#include <stdbool.h>

#include "runner/thread.h"

/* Intrusive: lives in the command or the tcmur_io until run() is called. */
struct runner_job {
	struct runner_job *next;
	void (*run)(struct runner_job *job); /* on a worker; the job may be gone when it returns */
};

struct runner_workers {
	const char *device;   /* whom they work for; or NULL */
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t work;
	pthread_cond_t ended;
	struct runner_job *first, **last;
	unsigned int max;
	unsigned int count;  /* threads that exist */
	unsigned int idle;   /* of them, waiting */
	unsigned int wanted; /* signals under way to idle ones */
	bool stop;
	struct runner_thread *ended_thread; /* the last that ended, to be joined; or NULL */
};

/* At most max threads. 0 or -errno. */
int runner_workers_init(struct runner_workers *w, unsigned int max);
/* Waits until all jobs have run and all threads have ended. */
void runner_workers_fini(struct runner_workers *w);
/* Ends all threads if all wait for work; the next job starts one. Device's thread. */
void runner_workers_trim(struct runner_workers *w);
/* Appends the chain first..*last of n jobs. Device's thread. If no thread can be started and there
 * is none, the jobs run here. */
void runner_workers_submit(struct runner_workers *w, struct runner_job *first,
			   struct runner_job **last, unsigned int n);

/* Takes out the first job of a chain (for workers: of those that none of them has begun) that lies in
 * this memory and that may() permits. The chain ends at last. NULL: there is none. Any thread. */
struct runner_job *runner_job_take(struct runner_job **first, struct runner_job ***last,
				   const void *from, const void *to,
				   bool (*may)(const struct runner_job *job));
struct runner_job *runner_workers_take(struct runner_workers *w, const void *from, const void *to,
				       bool (*may)(const struct runner_job *job));

#endif
