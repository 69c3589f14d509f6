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

/* ---- heap: glibc's own names, as dlsym(3) itself needs memory ---- */

#define EXPORT __attribute__((visibility("default")))

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);
void __libc_free(void *p);

EXPORT void *malloc(size_t size)
{
	COUNT(heap);
	return __libc_malloc(size);
}

EXPORT void *calloc(size_t n, size_t size)
{
	COUNT(heap);
	return __libc_calloc(n, size);
}

EXPORT void *realloc(void *p, size_t size)
{
	COUNT(heap);
	return __libc_realloc(p, size);
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
	COUNT(heap);
	return __libc_memalign(align, size);
}

EXPORT int posix_memalign(void **p, size_t align, size_t size)
{
	COUNT(heap);
	*p = __libc_memalign(align, size);
	return *p ? 0 : ENOMEM;
}

EXPORT void free(void *p)
{
	if (p)
		COUNT(heap);
	__libc_free(p);
}

/* ---- locks ---- */

/* A function that counts and goes on to the one behind it. */
#define COUNTED(what, type, name, parameters, arguments)                                           \
	EXPORT type name parameters                                                                \
	{                                                                                          \
		static type(*_Atomic next) parameters;                                             \
		type(*fn) parameters = next;                                                       \
                                                                                                   \
		if (!fn)                                                                           \
			next = fn = (type(*) parameters)dlsym(RTLD_NEXT, #name);                   \
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
