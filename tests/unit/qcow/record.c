/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct record_file record_files[RECORD_FILES];
unsigned int record_file_count;
struct record_change *record_changes;
size_t record_count;
unsigned int record_fail_in, record_fail_more;
int record_fail_errno = EIO;
bool record_dead;

static size_t room;

/* Large files: that is what the functions are called. */
ssize_t __real_pwrite64(int fd, const void *data, size_t len, off_t off);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t len, off_t off);
ssize_t __real_pwritev64(int fd, const struct iovec *iov, int cnt, off_t off);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int cnt, off_t off);
ssize_t __real_pwritev64v2(int fd, const struct iovec *iov, int cnt, off_t off, int flags);
ssize_t __wrap_pwritev64v2(int fd, const struct iovec *iov, int cnt, off_t off, int flags);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_ftruncate64(int fd, off_t size);
int __wrap_ftruncate64(int fd, off_t size);
int __real_fallocate64(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len);
int __real_posix_fallocate64(int fd, off_t off, off_t len);
int __wrap_posix_fallocate64(int fd, off_t off, off_t len);

void record_begin(const char *path)
{
	struct record_file *file = &record_files[record_file_count++];
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert(record_file_count <= RECORD_FILES);
	assert(fd >= 0 && !fstat(fd, &st));
	*file = (struct record_file) { .path = path,
				       .fs = st.st_dev,
				       .node = st.st_ino,
				       .base = malloc((size_t)st.st_size + 1),
				       .size = (uint64_t)st.st_size };
	assert(pread(fd, file->base, (size_t)st.st_size, 0) == st.st_size);
	close(fd);
}

void record_end(void)
{
	for (unsigned int i = 0; i < record_file_count; i++)
		free(record_files[i].base);
	for (size_t i = 0; i < record_count; i++)
		free(record_changes[i].data);
	free(record_changes);
	record_changes = NULL;
	record_file_count = 0;
	record_count = room = 0;
}

/* NULL: nobody wants to know about this file. */
static struct record_change *change(int fd, enum record_kind kind, uint64_t off, uint64_t len)
{
	struct record_change *c;
	unsigned int file = 0;
	struct stat st;

	if (!record_file_count)
		return NULL;
	assert(!fstat(fd, &st));
	while (record_files[file].fs != st.st_dev || record_files[file].node != st.st_ino) {
		if (++file == record_file_count)
			return NULL;
	}
	if (record_count == room) {
		room = room ? 2 * room : 1024;
		record_changes = realloc(record_changes, room * sizeof(*record_changes));
		assert(record_changes);
	}
	c = &record_changes[record_count++];
	*c = (struct record_change) { .kind = kind, .file = file, .off = off, .len = len };
	return c;
}

static bool fails(void)
{
	if (!record_fail_in || --record_fail_in)
		return false;
	if (record_fail_more) {
		record_fail_more--;
		record_fail_in = 1;
	}
	errno = record_fail_errno;
	return true;
}

static ssize_t written(int fd, const struct iovec *iov, off_t off, ssize_t n, bool durable)
{
	struct record_change *c;
	size_t have = 0;

	if (n <= 0)
		return n;
	c = change(fd, RECORD_WRITE, (uint64_t)off, (uint64_t)n);
	if (!c)
		return n;
	c->durable = durable;
	c->data = malloc((size_t)n);
	assert(c->data);
	for (; have < (size_t)n; iov++) {
		size_t len = iov->iov_len < (size_t)n - have ? iov->iov_len : (size_t)n - have;

		memcpy(c->data + have, iov->iov_base, len);
		have += len;
	}
	return n;
}

static ssize_t length(const struct iovec *iov, int cnt)
{
	size_t len = 0;

	for (int i = 0; i < cnt; i++)
		len += iov[i].iov_len;
	return (ssize_t)len;
}

ssize_t __wrap_pwritev64v2(int fd, const struct iovec *iov, int cnt, off_t off, int flags)
{
	if (record_dead)
		return length(iov, cnt);
	if (fails())
		return -1;
	return written(fd, iov, off, __real_pwritev64v2(fd, iov, cnt, off, flags),
		       flags & (RWF_DSYNC | RWF_SYNC));
}

ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int cnt, off_t off)
{
	if (record_dead)
		return length(iov, cnt);
	if (fails())
		return -1;
	return written(fd, iov, off, __real_pwritev64(fd, iov, cnt, off), false);
}

ssize_t __wrap_pwrite64(int fd, const void *data, size_t len, off_t off)
{
	const struct iovec iov = { (void *)data, len };

	if (record_dead)
		return (ssize_t)len;
	if (fails())
		return -1;
	return written(fd, &iov, off, __real_pwrite64(fd, data, len, off), false);
}

int __wrap_fdatasync(int fd)
{
	if (record_dead)
		return 0;
	if (fails())
		return -1;
	change(fd, RECORD_SYNC, 0, 0); /* the file system under the test needs no sync */
	return 0;
}

int __wrap_fsync(int fd)
{
	return __wrap_fdatasync(fd);
}

int __wrap_ftruncate64(int fd, off_t size)
{
	int ret;

	if (record_dead)
		return 0;
	ret = fails() ? -1 : __real_ftruncate64(fd, size);

	if (!ret)
		change(fd, RECORD_SIZE, (uint64_t)size, 0);
	return ret;
}

int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
{
	int ret;

	if (record_dead)
		return 0;
	ret = fails() ? -1 : __real_fallocate64(fd, mode, off, len);

	if (ret)
		return ret;
	assert(!(mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)));
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		change(fd, RECORD_ZERO, (uint64_t)off, (uint64_t)len);
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		change(fd, RECORD_ALLOCATE, (uint64_t)off, (uint64_t)len);
	return 0;
}

int __wrap_posix_fallocate64(int fd, off_t off, off_t len)
{
	int ret;

	if (record_dead)
		return 0;
	ret = fails() ? record_fail_errno : __real_posix_fallocate64(fd, off, len);

	if (!ret)
		change(fd, RECORD_ALLOCATE, (uint64_t)off, (uint64_t)len);
	return ret;
}
