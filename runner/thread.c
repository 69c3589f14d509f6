/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/thread.h"

#include <errno.h>
#include <sys/mman.h>

#define GUARD ((size_t)64 * 1024) /* whole pages, of whatever size they are */

static void unmap(struct runner_thread *t)
{
	size_t bytes = t->mapping;

	munmap((char *)(t + 1) - bytes, bytes);
}

int runner_thread_start(struct runner_thread **thread, void *(*run)(void *thread), void *arg,
			size_t stack)
{
	char *map = mmap(NULL, GUARD + stack, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	struct runner_thread *t = (void *)(map + GUARD + stack - sizeof(*t));
	pthread_attr_t attr;
	int ret;

	if (map == MAP_FAILED)
		return -errno;
	madvise(map, GUARD + stack, MADV_NOHUGEPAGE);
	t->arg = arg;
	t->mapping = GUARD + stack;
	pthread_attr_init(&attr);
	ret = mprotect(map, GUARD, PROT_NONE) ? -errno : 0;
	if (!ret)
		ret = -pthread_attr_setstack(&attr, map + GUARD, stack - sizeof(*t));
	if (!ret)
		ret = -pthread_create(&t->id, &attr, run, t);
	pthread_attr_destroy(&attr);
	if (ret)
		unmap(t);
	else
		*thread = t;
	return ret;
}

void runner_thread_join(struct runner_thread *thread)
{
	pthread_join(thread->id, NULL);
	unmap(thread);
}
