/* SPDX-License-Identifier: Apache-2.0 */
#include "memory-file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE      4096u
#define PAGES_MAX (1u << 18) /* 1 GiB; what is behind it is not there to be had */
#define FDS       1024

static uint8_t *page[PAGES_MAX]; /* NULL: a hole */
static uint32_t used[PAGES_MAX]; /* the others */
static size_t used_count;
static uint64_t size;
static ino_t node;
static dev_t fs;
static signed char ours[FDS]; /* 0: not known; a descriptor is asked once */

ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t off);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t off);
ssize_t __wrap_preadv64(int fd, const struct iovec *iov, int cnt, off_t off);
ssize_t __wrap_pwritev64v2(int fd, const struct iovec *iov, int cnt, off_t off, int flags);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len);
int __wrap_ftruncate64(int fd, off_t len);
int __wrap_fdatasync(int fd);
off_t __wrap_lseek64(int fd, off_t off, int whence);
int __wrap_close(int fd);
int __real_close(int fd);
int __wrap_fstat64(int fd, struct stat *st);
int __real_fstat64(int fd, struct stat *st);
off_t __real_lseek64(int fd, off_t off, int whence);

void memory_file_begin(int fd)
{
	struct stat st;

	assert(!__real_fstat64(fd, &st));
	fs = st.st_dev;
	node = st.st_ino;
}

void memory_file_clear(void)
{
	while (used_count) {
		uint32_t n = used[--used_count];

		free(page[n]);
		page[n] = NULL;
	}
	size = 0;
}

static bool is_ours(int fd)
{
	struct stat st;

	assert(fd >= 0 && fd < FDS);
	if (!ours[fd]) {
		assert(!__real_fstat64(fd, &st));
		ours[fd] = st.st_dev == fs && st.st_ino == node ? 1 : -1;
	}
	return ours[fd] == 1;
}

int __wrap_fstat64(int fd, struct stat *st)
{
	int ret = __real_fstat64(fd, st);

	if (!ret && is_ours(fd))
		st->st_size = (off_t)size;
	return ret;
}

int __wrap_close(int fd)
{
	if (fd >= 0 && fd < FDS)
		ours[fd] = 0;
	return __real_close(fd);
}

ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t offset)
{
	uint64_t off = (uint64_t)offset;
	size_t done = 0;

	assert(is_ours(fd));
	if (off >= size)
		return 0;
	if (len > size - off)
		len = (size_t)(size - off);
	while (done < len) {
		uint64_t at = off + done;
		size_t n = PAGE - at % PAGE;
		const uint8_t *p = at / PAGE < PAGES_MAX ? page[at / PAGE] : NULL;

		if (n > len - done)
			n = len - done;
		if (p)
			memcpy((char *)buf + done, p + at % PAGE, n);
		else
			memset((char *)buf + done, 0, n);
		done += n;
	}
	return (ssize_t)len;
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset)
{
	uint64_t off = (uint64_t)offset;
	size_t done = 0;

	assert(is_ours(fd));
	if (off > (uint64_t)PAGES_MAX * PAGE || len > (uint64_t)PAGES_MAX * PAGE - off) {
		errno = ENOSPC;
		return -1;
	}
	while (done < len) {
		uint64_t at = off + done;
		uint8_t **p = &page[at / PAGE];
		size_t n = PAGE - at % PAGE;

		if (n > len - done)
			n = len - done;
		if (!*p) {
			*p = calloc(1, PAGE);
			assert(*p);
			used[used_count++] = (uint32_t)(at / PAGE);
		}
		memcpy(*p + at % PAGE, (const char *)buf + done, n);
		done += n;
	}
	if (off + len > size)
		size = off + len;
	return (ssize_t)len;
}

ssize_t __wrap_preadv64(int fd, const struct iovec *iov, int cnt, off_t off)
{
	ssize_t sum = 0;

	for (int i = 0; i < cnt; i++) {
		ssize_t n = __wrap_pread64(fd, iov[i].iov_base, iov[i].iov_len, off + sum);

		if (n < 0)
			return n;
		sum += n;
	}
	return sum;
}

ssize_t __wrap_pwritev64v2(int fd, const struct iovec *iov, int cnt, off_t off, int flags)
{
	ssize_t sum = 0;

	(void)flags;
	for (int i = 0; i < cnt; i++) {
		ssize_t n = __wrap_pwrite64(fd, iov[i].iov_base, iov[i].iov_len, off + sum);

		if (n < 0)
			return n;
		sum += n;
	}
	return sum;
}

/* Of what there is. */
static void zero(uint64_t off, uint64_t end)
{
	for (size_t i = 0; i < used_count; i++) {
		uint64_t first = (uint64_t)used[i] * PAGE;
		uint64_t from = off > first ? off - first : 0;
		uint64_t to = end < first + PAGE ? end - first : PAGE;

		if (first < end && first + PAGE > off)
			memset(page[used[i]] + from, 0, to - from);
	}
}

int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
{
	assert(is_ours(fd));
	assert(mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE));
	if (off < 0 || len <= 0 || off + len < 0) {
		errno = EINVAL;
		return -1;
	}
	zero((uint64_t)off, (uint64_t)(off + len));
	return 0;
}

int __wrap_ftruncate64(int fd, off_t len)
{
	assert(is_ours(fd));
	if (len < 0) {
		errno = EINVAL;
		return -1;
	}
	zero((uint64_t)len, UINT64_MAX);
	size = (uint64_t)len;
	return 0;
}

int __wrap_fdatasync(int fd)
{
	assert(is_ours(fd));
	return 0;
}

off_t __wrap_lseek64(int fd, off_t off, int whence)
{
	if (!is_ours(fd))
		return __real_lseek64(fd, off, whence);
	assert(whence == SEEK_END && !off);
	return (off_t)size;
}
