/* SPDX-License-Identifier: Apache-2.0 */
#include "counters.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

static struct bench_counters counters;

__attribute__((visibility("default"))) struct bench_counters *bench_counters(void)
{
	return &counters;
}

/* In a call that begins or ends a thread: what it allocates is the thread's. */
static __thread int in_thread_call __attribute__((tls_model("initial-exec")));

/* The runner calls its threads tcmu-device, tcmu-worker and tcmu-gather. */
static bool is_runners(void)
{
	char name[17] = "";

	return atomic_load_explicit(&counters.on, memory_order_relaxed) &&
	       !prctl(PR_GET_NAME, name) && !strncmp(name, "tcmu-", 5);
}

#define COUNT(what)                                                                                \
	do {                                                                                       \
		if (is_runners())                                                                  \
			atomic_fetch_add(&counters.what, 1);                                       \
	} while (0)

#define COUNT_HEAP()                                                                               \
	do {                                                                                       \
		if (!in_thread_call)                                                               \
			COUNT(heap);                                                               \
	} while (0)

#define EXPORT __attribute__((visibility("default")))

/* ---- heap: glibc's own names, as dlsym(3) itself needs memory ---- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);
void __libc_free(void *p);

EXPORT void *malloc(size_t size)
{
	COUNT_HEAP();
	return __libc_malloc(size);
}

EXPORT void *calloc(size_t n, size_t size)
{
	COUNT_HEAP();
	return __libc_calloc(n, size);
}

EXPORT void *realloc(void *p, size_t size)
{
	COUNT_HEAP();
	return __libc_realloc(p, size);
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
	COUNT_HEAP();
	return __libc_memalign(align, size);
}

EXPORT int posix_memalign(void **p, size_t align, size_t size)
{
	COUNT_HEAP();
	*p = __libc_memalign(align, size);
	return *p ? 0 : ENOMEM;
}

EXPORT void free(void *p)
{
	if (p)
		COUNT_HEAP();
	__libc_free(p);
}

/* ---- threads ---- */

/* The function behind the one of that name here. */
#define NEXT(type, name, parameters)                                                               \
	static type(*_Atomic next) parameters;                                                     \
	type(*fn) parameters = next;                                                               \
                                                                                                   \
	if (!fn)                                                                                   \
	next = fn = (type(*) parameters)dlsym(RTLD_NEXT, #name)

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
			  void *arg)
{
	NEXT(int, pthread_create, (pthread_t *, const pthread_attr_t *, void *(*)(void *), void *));
	int ret;

	COUNT(threads);
	in_thread_call++;
	ret = fn(thread, attr, start, arg);
	in_thread_call--;
	return ret;
}

EXPORT int pthread_join(pthread_t thread, void **result)
{
	NEXT(int, pthread_join, (pthread_t, void **));
	int ret;

	in_thread_call++;
	ret = fn(thread, result);
	in_thread_call--;
	return ret;
}

/* ---- locks ---- */

/* A function that counts and goes on to the one behind it. */
#define COUNTED(what, type, name, parameters, arguments)                                           \
	EXPORT type name parameters                                                                \
	{                                                                                          \
		NEXT(type, name, parameters);                                                      \
                                                                                                   \
		COUNT(what);                                                                       \
		return fn arguments;                                                               \
	}

COUNTED(locks, int, pthread_mutex_lock, (pthread_mutex_t * m), (m))
COUNTED(wakes, int, pthread_cond_signal, (pthread_cond_t * c), (c))
COUNTED(wakes, int, pthread_cond_broadcast, (pthread_cond_t * c), (c))
COUNTED(wakes, int, sem_post, (sem_t * s), (s))
COUNTED(waits, int, pthread_cond_wait, (pthread_cond_t * c, pthread_mutex_t *m), (c, m))
COUNTED(waits, int, pthread_cond_timedwait,
	(pthread_cond_t * c, pthread_mutex_t *m, const struct timespec *t), (c, m, t))
COUNTED(waits, int, sem_clockwait, (sem_t * s, clockid_t clock, const struct timespec *t),
	(s, clock, t))
