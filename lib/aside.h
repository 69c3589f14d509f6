/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accesses to configfs on threads of their own. A lookup there sleeps as long as a removal in the same HBA
 * waits for its answer, and nothing wakes the thread, not even SIGKILL: a process that is killed lives on in
 * it. With the program's descriptors it would keep the rings, the locks on the storage and the sockets from
 * the next process. So these threads have none.
 */
#ifndef LIB_ASIDE_H
#define LIB_ASIDE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A thread that no signal is for. 0 or -errno. */
int tcmu_aside_start(pthread_t *thread, void *(*fn)(void *arg), void *arg);
/* The first thing that it does. */
void tcmu_aside_begin(const char *name);

/*
 * fn(), one of those of lib/configfs.h, with a copy of path and of buf, which is copied back. Any thread;
 * waits for it, but where *over (NULL: never) becomes true, as that of a device that the kernel has removed:
 * -ENODEV then, and what fn() comes to is lost. root is a constant.
 */
ssize_t tcmu_aside(ssize_t (*fn)(const char *root, const char *path, char *buf, size_t size),
		   const char *root, const char *path, char *buf, size_t size, const bool *over);

/* Is there one that nobody has waited for, and that has not come back yet? */
bool tcmu_aside_left(void);

#endif
