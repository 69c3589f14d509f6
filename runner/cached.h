/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transfers between memory and memory: where the data are in the page cache, and nothing of it has to wait for
 * a device, the device's thread moves them itself, which costs less than handing them to anybody. All on the
 * device's thread.
 */
#ifndef RUNNER_CACHED_H
#define RUNNER_CACHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define RUNNER_CACHED_FILES 4 /* of one device; further ones do without */

enum runner_cached_way {
	RUNNER_CACHED_NEVER,
	RUNNER_CACHED_TRY,    /* RWF_NOWAIT, while it comes out well */
	RUNNER_CACHED_MEMORY, /* tmpfs has no storage below to wait for, but swap, and no RWF_NOWAIT */
};

struct runner_cached_dir {
	enum runner_cached_way way;
	unsigned int skip;   /* transfers until the next try */
	unsigned int failed; /* so many were skipped last */
};

struct runner_cached_file {
	int fd;
	bool in_memory; /* on tmpfs */
	struct runner_cached_dir read, write;
};

struct runner_cached {
	struct runner_cached_file files[RUNNER_CACHED_FILES];
	unsigned int count;
	bool others;   /* some were turned down */
	bool one_cpu;  /* nobody could do it beside us */
	uint64_t left; /* of the bytes of this turn: with none, no other transfer begins */
};

/* After the device's thread has started. */
void runner_cached_init(struct runner_cached *c);
/* Before the handler opens (again). */
void runner_cached_clear(struct runner_cached *c);
/* The file that this descriptor has open is looked at once; it stays open until it is removed. */
void runner_cached_add(struct runner_cached *c, int fd);
void runner_cached_remove(struct runner_cached *c, int fd);
bool runner_cached_has(const struct runner_cached *c, int fd);
/* Is this one of them, and on tmpfs? */
bool runner_cached_memory(const struct runner_cached *c, int fd);
/* Are all on tmpfs that were ever to be added, and there are some? */
bool runner_cached_all_memory(const struct runner_cached *c);

/* At the start of a turn. */
void runner_cached_turn(struct runner_cached *c);
/* Is a transfer of len bytes to be tried here, with so many to be started now? batches: whoever takes it
 * otherwise takes all of them with one system call. */
bool runner_cached_wanted(const struct runner_cached *c, size_t len, unsigned int transfers,
			  bool batches);
/* True: all of it is done, len bytes. False: nobody has been told anything, and it has to be done from the
 * start. */
bool runner_cached_transfer(struct runner_cached *c, bool write, int fd, const struct iovec *iov,
			    size_t iov_cnt, size_t len, off_t off);

#endif
