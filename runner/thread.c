/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/thread.h"

#include <errno.h>
#include <sys/mman.h>

#define GUARD   (64 * 1024)   /* whole pages, of whatever size they are */
#define STACK   (1024 * 1024) /* a handler's callback runs on it, and ThreadSanitizer takes 900 KiB */
#define MAPPING (GUARD + STACK)

static void *mapping_of(struct runner_thread *t)
{
	return (char *)(t + 1) - MAPPING;
}

int runner_thread_start(struct runner_thread **thread, void *(*run)(void *thread), void *arg)
{
	char *map = mmap(NULL, MAPPING, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	struct runner_thread *t = (void *)(map + MAPPING - sizeof(*t));
	pthread_attr_t attr;
	int ret;

	if (map == MAP_FAILED)
		return -errno;
	t->arg = arg;
	pthread_attr_init(&attr);
	ret = mprotect(map, GUARD, PROT_NONE) ? -errno : 0;
	if (!ret)
		ret = -pthread_attr_setstack(&attr, map + GUARD, STACK - sizeof(*t));
	if (!ret)
		ret = -pthread_create(&t->id, &attr, run, t);
	pthread_attr_destroy(&attr);
	if (ret)
		munmap(map, MAPPING);
	else
		*thread = t;
	return ret;
}

void runner_thread_join(struct runner_thread *thread)
{
	pthread_join(thread->id, NULL);
	munmap(mapping_of(thread), MAPPING);
}
