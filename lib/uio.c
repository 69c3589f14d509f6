/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/configfs.h"
#include "lib/kernel.h"
#include "lib/uio.h"
#include "util/cleanup.h"

#define UIO_CLASS "/sys/class/uio"

int tcmu_uio_open(uint32_t minor)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/dev/uio%" PRIu32, minor);
	/* Non-blocking: a doorbell in an io_uring is then done inline (io_uring/rw.c). */
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int map_size(uint32_t minor, size_t *size)
{
	char path[48], text[32], *end;
	unsigned long long v;
	ssize_t n;

	snprintf(path, sizeof(path), "uio%" PRIu32 "/maps/map0/size", minor);
	n = tcmu_configfs_read(UIO_CLASS, path, text, sizeof(text));
	if (n < 0)
		return (int)n;
	errno = 0;
	v = strtoull(text, &end, 0); /* "0x00000000..." */
	if (errno || end == text || *end || v == 0 || v > SIZE_MAX)
		return -EPROTO;
	*size = (size_t)v;
	return 0;
}

int tcmu_uio_map(uint32_t minor, int fd, void **map, size_t *len)
{
	size_t size = 0;
	int ret = map_size(minor, &size);
	void *p;

	if (ret)
		return ret;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	*map = p;
	*len = size;
	return 0;
}

int tcmu_uio_ack(int fd)
{
	int32_t count; /* uio takes no other size (drivers/uio/uio.c: uio_read()) */

	while (read(fd, &count, sizeof(count)) < 0) {
		if (errno == EAGAIN)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

int tcmu_uio_kick(int fd)
{
	static const int32_t on = 1; /* not looked at (uio_write(), tcmu_irqcontrol()) */

	while (write(fd, &on, sizeof(on)) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

ssize_t tcmu_uio_name(uint32_t minor, char *name, size_t size)
{
	char path[32];

	snprintf(path, sizeof(path), "uio%" PRIu32 "/name", minor);
	return tcmu_configfs_read(UIO_CLASS, path, name, size);
}

int tcmu_uio_scan(void (*found)(uint32_t minor, const char *name, void *arg), void *arg)
{
	AUTO_CLOSEDIR DIR *dir = opendir(UIO_CLASS);
	struct dirent *entry;

	if (!dir)
		return errno == ENOENT ? 0 : -errno; /* no uio module: no devices */
	while ((entry = readdir(dir))) {
		char name[TCMU_UIO_NAME_MAX];
		uint64_t minor;
		size_t size;

		if (strncmp(entry->d_name, "uio", 3) ||
		    tcmu_configfs_parse_u64(entry->d_name + 3, &minor) || minor > UINT32_MAX)
			continue;
		if (tcmu_uio_name((uint32_t)minor, name, sizeof(name)) < 0)
			continue; /* it went away */
		if (strncmp(name, "tcm-user/", 9))
			continue;
		/* The name is the first to be there and the last to go. A device without a map is being
		 * made, and its event comes when it is whole; or it is being removed (drivers/uio/uio.c:
		 * __uio_register_device(), uio_unregister_device()). */
		if (map_size((uint32_t)minor, &size) != -ENOENT)
			found((uint32_t)minor, name, arg);
	}
	return 0;
}
