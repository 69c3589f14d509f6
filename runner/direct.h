/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much a file that is open with O_DIRECT takes at once. io_uring asks the kernel not to wait, and Linux
 * refuses such a request if the queue of the disk has to cut it: all pages were pinned in vain, and a thread of the
 * kernel's does it once more (block/blk-merge.c, bio_split_rw(); io_uring/rw.c). So the engine cuts it first. All on
 * the device's thread.
 */
#ifndef RUNNER_DIRECT_H
#define RUNNER_DIRECT_H

#include <stddef.h>

#define RUNNER_DIRECT_FILES 4 /* of one device; further ones do without */

struct runner_direct {
	struct runner_direct_file {
		int fd;
		size_t most;
	} files[RUNNER_DIRECT_FILES];
	unsigned int count;
};

/* Before the handler opens (again). */
void runner_direct_clear(struct runner_direct *d);
/* The descriptor is looked at once, its disk's limits are read; it stays open until it is removed. */
void runner_direct_add(struct runner_direct *d, int fd);
void runner_direct_remove(struct runner_direct *d, int fd);
/* Bytes, in whole pages, whatever pages they are; SIZE_MAX: no limit is known, or it is none that is worth a cut. */
size_t runner_direct_most(const struct runner_direct *d, int fd);

#endif
