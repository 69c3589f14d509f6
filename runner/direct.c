/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/direct.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define LEAST (64u << 10) /* below, the requests would be too many */

void runner_direct_clear(struct runner_direct *d)
{
	d->count = 0;
}

/* A number of the queue of block device dev, which may be a partition; 0: unknown. */
static uint64_t queue_limit(dev_t dev, const char *name)
{
	static const char *const places[] = { "queue", "../queue" };
	unsigned long long value = 0;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char path[128];
		FILE *file;

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/%s", major(dev), minor(dev),
			 places[i], name);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fscanf(file, "%llu", &value) != 1)
			value = 0;
		fclose(file);
		break;
	}
	return value;
}

/* The pages of a buffer lie anywhere in memory: a segment for each. */
static size_t most_of(dev_t dev)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t segments = queue_limit(dev, "max_segments") * page;
	uint64_t sectors = (queue_limit(dev, "max_sectors_kb") << 10) / page * page;
	uint64_t most = segments < sectors ? segments : sectors;

	return most < LEAST ? SIZE_MAX : (size_t)most;
}

void runner_direct_add(struct runner_direct *d, int fd)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;
	size_t most;

	if (d->count == RUNNER_DIRECT_FILES || flags < 0 || !(flags & O_DIRECT) || fstat(fd, &st))
		return;
	most = most_of(S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev);
	if (most != SIZE_MAX)
		d->files[d->count++] = (struct runner_direct_file) { fd, most };
}

void runner_direct_remove(struct runner_direct *d, int fd)
{
	for (unsigned int i = 0; i < d->count; i++) {
		if (d->files[i].fd == fd) {
			d->files[i] = d->files[--d->count];
			return;
		}
	}
}

size_t runner_direct_most(const struct runner_direct *d, int fd)
{
	for (unsigned int i = 0; i < d->count; i++) {
		if (d->files[i].fd == fd)
			return d->files[i].most;
	}
	return SIZE_MAX;
}
