/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libtcmu.h"
#include "lib/configfs.h"
#include "util/cleanup.h"

#define MODULE_PARAMETERS "/sys/module/target_core_user/parameters"

static ssize_t read_text(const char *path, char *buf, size_t size)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;

	if (fd < 0)
		return -errno;
	if (!size)
		return -EINVAL;
	while (len < size - 1) {
		ssize_t n = read(fd, buf + len, size - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	if (len && buf[len - 1] == '\n')
		len--;
	buf[len] = '\0';
	return (ssize_t)len;
}

/* Each write is one transaction in the kernel: all at once or not at all. */
static int write_text(const char *path, const char *val, size_t len)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, val, len);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

static int join(char *buf, size_t size, const char *root, const char *path)
{
	int n = snprintf(buf, size, "%s/%s", root, path);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

ssize_t tcmu_configfs_read(const char *root, const char *path, char *buf, size_t size)
{
	char full[PATH_MAX];
	int ret = join(full, sizeof(full), root, path);

	return ret ? ret : read_text(full, buf, size);
}

int tcmu_configfs_write(const char *root, const char *path, const char *val)
{
	char full[PATH_MAX];
	int ret = join(full, sizeof(full), root, path);

	return ret ? ret : write_text(full, val, strlen(val));
}

ssize_t tcmu_configfs_link(const char *root, const char *path, char *buf, size_t size)
{
	char full[PATH_MAX];
	int ret = join(full, sizeof(full), root, path);
	ssize_t n;

	if (ret)
		return ret;
	if (!size)
		return -EINVAL;
	n = readlink(full, buf, size);
	if (n < 0)
		return -errno;
	if ((size_t)n == size)
		return -E2BIG;
	buf[n] = '\0';
	return n;
}

ssize_t tcmu_configfs_list(const char *root, const char *path, char *buf, size_t size)
{
	AUTO_CLOSEDIR DIR *dir = NULL;
	char full[PATH_MAX];
	struct dirent *entry;
	size_t used = 0;
	int ret = join(full, sizeof(full), root, path);

	if (ret)
		return ret;
	dir = opendir(full);
	if (!dir)
		return -errno;
	while (errno = 0, (entry = readdir(dir))) {
		size_t len = strlen(entry->d_name) + 1;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (len > size - used)
			return -E2BIG;
		memcpy(buf + used, entry->d_name, len);
		used += len;
	}
	return errno ? -errno : (ssize_t)used;
}

int tcmu_configfs_parse_u64(const char *text, uint64_t *value)
{
	unsigned long long v;
	char *end;

	while (isspace((unsigned char)*text))
		text++;
	if (!isdigit((unsigned char)*text)) /* strtoull() would take a minus */
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno)
		return -errno;
	while (isspace((unsigned char)*end))
		end++;
	if (*end)
		return -EINVAL;
	*value = v;
	return 0;
}

int tcmu_configfs_info_size(const char *info, uint64_t *size)
{
	static const char key[] = " Size: ";
	const char *found = NULL;
	char number[24];
	size_t len;

	for (const char *p = info; (p = strstr(p, key)); p++)
		found = p;
	if (!found)
		return -EINVAL;
	found += strlen(key);
	len = strcspn(found, " \n");
	if (len >= sizeof(number))
		return -EINVAL;
	memcpy(number, found, len);
	number[len] = '\0';
	return tcmu_configfs_parse_u64(number, size);
}

char *tcmu_cfgfs_get_str(const char *path)
{
	char buf[4096]; /* configfs and sysfs give at most a page */
	ssize_t n = read_text(path, buf, sizeof(buf));

	if (n < 0) {
		errno = (int)-n;
		return NULL;
	}
	return strdup(buf);
}

int tcmu_cfgfs_set_str(const char *path, const char *val, int len)
{
	return len < 0 ? -EINVAL : write_text(path, val, (size_t)len);
}

int tcmu_cfgfs_mod_param_set_u32(const char *name, uint32_t val)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", val);
	return tcmu_configfs_write(MODULE_PARAMETERS, name, text);
}
