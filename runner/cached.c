/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/cached.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define FEW        2           /* transfers for which a batch does not pay */
#define LARGE      (64u << 10) /* bytes that are worth waking somebody who copies beside us */
#define TURN_BYTES (256u << 10)
#define TURN_ALONE (1u << 20) /* on one processor: the answers have to wait all the same */
#define SKIP_MAX   64

void runner_cached_clear(struct runner_cached *c)
{
	c->count = 0;
	c->others = false;
}

void runner_cached_init(struct runner_cached *c)
{
	cpu_set_t cpus;

	runner_cached_clear(c);
	c->one_cpu = !sched_getaffinity(0, sizeof(cpus), &cpus) && CPU_COUNT(&cpus) == 1;
}

static bool is_memory(int fd)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) && fs.f_type == TMPFS_MAGIC;
}

void runner_cached_add(struct runner_cached *c, int fd)
{
	int flags = fcntl(fd, F_GETFL);
	enum runner_cached_way way;
	struct stat st;

	/* O_DIRECT passes the page cache by, O_DSYNC (of which O_SYNC is more) writes through it: a transfer
	 * waits for the storage whatever it is told. */
	if (c->count == RUNNER_CACHED_FILES || flags < 0 || flags & (O_DIRECT | O_DSYNC) ||
	    fstat(fd, &st)) {
		c->others = true;
		return;
	}
	way = S_ISREG(st.st_mode) && is_memory(fd) ? RUNNER_CACHED_MEMORY : RUNNER_CACHED_TRY;
	c->files[c->count++] = (struct runner_cached_file) {
		.fd = fd,
		.in_memory = way == RUNNER_CACHED_MEMORY,
		.read.way = way,
		.write.way = way,
	};
}

static const struct runner_cached_file *find(const struct runner_cached *c, int fd)
{
	for (unsigned int i = 0; i < c->count; i++) {
		if (c->files[i].fd == fd)
			return &c->files[i];
	}
	return NULL;
}

void runner_cached_remove(struct runner_cached *c, int fd)
{
	for (unsigned int i = 0; i < c->count; i++) {
		if (c->files[i].fd == fd) {
			c->files[i] = c->files[--c->count];
			return;
		}
	}
}

bool runner_cached_has(const struct runner_cached *c, int fd)
{
	return find(c, fd);
}

bool runner_cached_memory(const struct runner_cached *c, int fd)
{
	const struct runner_cached_file *file = find(c, fd);

	return file && file->in_memory;
}

bool runner_cached_all_memory(const struct runner_cached *c)
{
	for (unsigned int i = 0; i < c->count; i++) {
		if (!c->files[i].in_memory)
			return false;
	}
	return c->count && !c->others;
}

void runner_cached_turn(struct runner_cached *c)
{
	c->left = c->one_cpu ? TURN_ALONE : TURN_BYTES;
}

bool runner_cached_wanted(const struct runner_cached *c, size_t len, unsigned int transfers,
			  bool batches)
{
	if (!c->count || !c->left)
		return false;
	if (transfers <= FEW)
		return true;
	/* A large one costs by its bytes, not by its calls. */
	return len >= LARGE ? c->one_cpu : !batches;
}

/* What was not in the page cache may come into it: tried again later, and later. */
static void missed(struct runner_cached_dir *dir)
{
	dir->failed = dir->failed ? dir->failed * 2 : 1;
	if (dir->failed > SKIP_MAX)
		dir->failed = SKIP_MAX;
	dir->skip = dir->failed;
}

bool runner_cached_transfer(struct runner_cached *c, bool write, int fd, const struct iovec *iov,
			    size_t iov_cnt, size_t len, off_t off)
{
	struct runner_cached_file *file = (struct runner_cached_file *)(uintptr_t)find(c, fd);
	struct runner_cached_dir *dir;
	ssize_t ret;
	int flags;

	if (!file || iov_cnt > IOV_MAX)
		return false;
	dir = write ? &file->write : &file->read;
	if (dir->way == RUNNER_CACHED_NEVER)
		return false;
	if (dir->skip) {
		dir->skip--;
		return false;
	}
	flags = dir->way == RUNNER_CACHED_TRY ? RWF_NOWAIT : 0;
	/* The rule, on tmpfs: no array of iovecs for the kernel to fetch and check. */
	if (!flags && iov_cnt == 1)
		ret = write ? pwrite(fd, iov->iov_base, iov->iov_len, off)
			    : pread(fd, iov->iov_base, iov->iov_len, off);
	else
		ret = write ? pwritev2(fd, iov, (int)iov_cnt, off, flags)
			    : preadv2(fd, iov, (int)iov_cnt, off, flags);
	c->left -= len < c->left ? len : c->left;
	if (ret >= 0 && (size_t)ret == len) {
		dir->failed = 0;
		return true;
	}
	if (ret < 0 && errno == EOPNOTSUPP)
		dir->way = RUNNER_CACHED_NEVER;
	else
		missed(dir);
	return false;
}
