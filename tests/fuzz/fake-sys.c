/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fake-sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FAKE_DIR ((DIR *)&sys)

struct fake_sys sys;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_close(int fd);
int __wrap_close(int fd);
ssize_t __real_read(int fd, void *buf, size_t len);
ssize_t __wrap_read(int fd, void *buf, size_t len);
ssize_t __real_write(int fd, const void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len);
DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
struct dirent *__real_readdir(DIR *dir);
struct dirent *__wrap_readdir(DIR *dir);
int __real_closedir(DIR *dir);
int __wrap_closedir(DIR *dir);
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);

int __wrap_open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	if (strncmp(path, "/sys/", 5))
		return __real_open(path, flags, mode);
	snprintf(sys.path, sizeof(sys.path), "%s", path);
	sys.at = 0;
	sys.open_files++;
	return FAKE_FD;
}

int __wrap_close(int fd)
{
	if (fd != FAKE_FD)
		return __real_close(fd);
	sys.open_files--;
	return 0;
}

ssize_t __wrap_read(int fd, void *buf, size_t len)
{
	if (fd != FAKE_FD)
		return __real_read(fd, buf, len);
	if (sys.eintr && sys.eintr--) {
		errno = EINTR;
		return -1;
	}
	if (sys.broken && sys.at) {
		errno = EIO;
		return -1;
	}
	len = least(len, least(sys.chunk, sys.len - sys.at));
	memcpy(buf, sys.content + sys.at, len);
	sys.at += len;
	return (ssize_t)len;
}

ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
	if (fd != FAKE_FD)
		return __real_write(fd, buf, len);
	sys.writes++;
	sys.written_len = least(len, least(sys.chunk, sizeof(sys.written)));
	memcpy(sys.written, buf, sys.written_len);
	return (ssize_t)sys.written_len;
}

DIR *__wrap_opendir(const char *path)
{
	return strncmp(path, "/sys/", 5) ? __real_opendir(path) : FAKE_DIR;
}

struct dirent *__wrap_readdir(DIR *dir)
{
	const char *name, *content;

	if (dir != FAKE_DIR)
		return __real_readdir(dir);
	if (!sys.next_entry(&name, &content))
		return NULL;
	sys.entries++;
	snprintf(sys.entry.d_name, sizeof(sys.entry.d_name), "%s", name);
	set_content(content, strlen(content));
	return &sys.entry;
}

int __wrap_closedir(DIR *dir)
{
	return dir == FAKE_DIR ? 0 : __real_closedir(dir);
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	if (fd != FAKE_FD)
		return __real_mmap(addr, len, prot, flags, fd, off);
	sys.map_len = len;
	return &sys;
}
