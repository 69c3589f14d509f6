/* SPDX-License-Identifier: Apache-2.0 */
#include "fileio.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

ssize_t qcow_pread_some(int fd, void *buf, size_t len, uint64_t off)
{
	size_t have = 0;

	while (have < len) {
		ssize_t n = pread(fd, (char *)buf + have, len - have, (off_t)(off + have));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

int qcow_pread(int fd, void *buf, size_t len, uint64_t off)
{
	ssize_t n = qcow_pread_some(fd, buf, len, off);

	if (n < 0)
		return (int)n;
	return (size_t)n == len ? 0 : -ENODATA;
}

static int write_all(int fd, const void *buf, size_t len, uint64_t off, int flags)
{
	size_t done = 0;

	while (done < len) {
		struct iovec iov = { (char *)buf + done, len - done };
		ssize_t n = pwritev2(fd, &iov, 1, (off_t)(off + done), flags);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

int qcow_pwrite(int fd, const void *buf, size_t len, uint64_t off)
{
	return write_all(fd, buf, len, off, 0);
}

int qcow_pwrite_durable(int fd, const void *buf, size_t len, uint64_t off)
{
	return write_all(fd, buf, len, off, RWF_DSYNC);
}

int qcow_sync(int fd)
{
	return fdatasync(fd) ? -errno : 0;
}
