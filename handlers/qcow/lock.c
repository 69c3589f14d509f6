/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU's image locking. Each use of an image is a bit; byte 100 + bit of the file is locked by who makes
 * that use of it, byte 200 + bit by who does not want others to. All are shared locks, of the open file
 * description (fcntl(2), F_OFD_SETLK): who comes later looks whether a byte could be locked exclusively.
 * (Seen with qemu-img 7.2 and lslocks.)
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "layer.h"
#include "refuse.h"

#define USED_AT     100
#define UNSHARED_AT 200

#define USE_READ   0
#define USE_WRITE  1
#define USE_RESIZE 3

#define BUSY_WAIT_MS    50
#define BUSY_GIVE_UP_MS 10000

static int take(int fd, off_t at)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };

	return fcntl(fd, F_OFD_SETLK, &lock) ? -errno : 0;
}

static int release_all(int fd)
{
	struct flock lock = {
		.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = USED_AT, .l_len = 200
	};

	return fcntl(fd, F_OFD_SETLK, &lock) ? -errno : 0;
}

/* Has somebody else locked this byte? 0, -EAGAIN or -errno. */
static int look(int fd, off_t at)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };

	if (fcntl(fd, F_OFD_GETLK, &lock))
		return -errno;
	return lock.l_type == F_UNLCK ? 0 : -EAGAIN;
}

/* Reads it, or writes to it and makes it larger, and wants nobody else to write to it or to resize it. */
static int try_lock(int fd, bool write)
{
	int ret = take(fd, USED_AT + USE_READ);

	if (!ret && write)
		ret = take(fd, USED_AT + USE_WRITE);
	if (!ret && write)
		ret = take(fd, USED_AT + USE_RESIZE);
	if (!ret)
		ret = take(fd, UNSHARED_AT + USE_WRITE);
	if (!ret)
		ret = take(fd, UNSHARED_AT + USE_RESIZE);
	if (!ret)
		ret = look(fd, UNSHARED_AT + USE_READ);
	if (!ret && write)
		ret = look(fd, UNSHARED_AT + USE_WRITE);
	if (!ret && write)
		ret = look(fd, UNSHARED_AT + USE_RESIZE);
	if (!ret)
		ret = look(fd, USED_AT + USE_WRITE);
	if (!ret)
		ret = look(fd, USED_AT + USE_RESIZE);
	if (!ret && flock(fd, (write ? LOCK_EX : LOCK_SH) | LOCK_NB))
		ret = errno == EWOULDBLOCK ? -EAGAIN : -errno;
	if (ret)
		release_all(fd);
	return ret;
}

int qcow_lock(int fd, enum qcow_use use, const char *path, char **reason)
{
	const struct timespec wait = { .tv_nsec = BUSY_WAIT_MS * 1000000L };
	unsigned int waited_ms = 0;
	int ret;

	while ((ret = try_lock(fd, use == QCOW_WRITE)) == -EAGAIN && waited_ms < BUSY_GIVE_UP_MS) {
		nanosleep(&wait, NULL);
		waited_ms += BUSY_WAIT_MS;
	}
	if (ret == -EAGAIN)
		return qcow_refuse(
			reason, EBUSY,
			"'%s' is being %s by another process (QEMU, qemu-img, or another "
			"logical unit), for more than %d s now; 'lslocks' or 'fuser -v' tells "
			"by which",
			path, use == QCOW_WRITE ? "used" : "written to", BUSY_GIVE_UP_MS / 1000);
	if (ret)
		return qcow_refuse(reason, -ret, "'%s' cannot be locked: %s", path, strerror(-ret));
	return 0;
}
