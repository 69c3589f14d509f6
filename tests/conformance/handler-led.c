/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handler whose medium is the file PATH.data, led by files beside it. The config is led/PATH.
 * PATH.hold-CALLBACK: this callback does not come back as long as it is there. PATH.fail-CALLBACK: it
 * fails. PATH.unmaps, PATH.saves: looked at by open(). Each call is a line in PATH.trace.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tcmu-runner.h"

static bool there(struct tcmu_device *dev, const char *verb, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s.%s%s", strchr(tcmu_dev_get_cfgstring(dev), '/') + 1, verb,
		 name);
	return !access(path, F_OK);
}

static int file_of(struct tcmu_device *dev, const char *name, int flags)
{
	char path[512];

	snprintf(path, sizeof(path), "%s.%s", strchr(tcmu_dev_get_cfgstring(dev), '/') + 1, name);
	return open(path, flags | O_CLOEXEC, 0600);
}

static int act(struct tcmu_device *dev, const char *name, uint64_t off, uint64_t len, int first)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	char line[128];
	int n = snprintf(line, sizeof(line), "%s %llu+%llu %02x\n", name, (unsigned long long)off,
			 (unsigned long long)len, (unsigned int)first);
	int fd = file_of(dev, "trace", O_WRONLY | O_CREAT | O_APPEND);

	if (fd < 0 || write(fd, line, (size_t)n) < 0)
		perror("trace");
	close(fd);
	while (there(dev, "hold-", name))
		nanosleep(&ms, NULL);
	return there(dev, "fail-", name) ? TCMU_STS_WR_ERR : TCMU_STS_OK;
}

static int led_open(struct tcmu_device *dev, bool reopen)
{
	int fd = file_of(dev, "data", O_RDWR | O_CREAT);

	(void)reopen;
	if (fd < 0 || ftruncate(fd, (off_t)tcmu_dev_get_config_size(dev)))
		return -errno;
	tcmur_dev_set_private(dev, (void *)(intptr_t)fd);
	tcmu_dev_set_write_cache_enabled(dev, true);
	tcmu_dev_set_unmap_enabled(dev, there(dev, "unmaps", ""));
	tcmu_dev_set_unmap_zeroes(dev, true);
	tcmu_dev_set_max_unmap_len(dev, 8192);
	tcmu_dev_set_removable(dev, there(dev, "removable", ""));
	return 0;
}

static int fd_of(struct tcmu_device *dev)
{
	return (int)(intptr_t)tcmur_dev_get_private(dev);
}

static void led_close(struct tcmu_device *dev)
{
	close(fd_of(dev));
}

static int led_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		    size_t iov_cnt, size_t len, off_t off)
{
	(void)cmd;
	if (act(dev, "read", (uint64_t)off, len, 0))
		return TCMU_STS_RD_ERR;
	return preadv(fd_of(dev), iov, (int)iov_cnt, off) == (ssize_t)len ? TCMU_STS_OK
									  : TCMU_STS_RD_ERR;
}

static int led_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		     size_t iov_cnt, size_t len, off_t off)
{
	int sts = act(dev, "write", (uint64_t)off, len, *(uint8_t *)iov[0].iov_base);

	(void)cmd;
	if (sts)
		return sts;
	return pwritev(fd_of(dev), iov, (int)iov_cnt, off) == (ssize_t)len ? TCMU_STS_OK
									   : TCMU_STS_WR_ERR;
}

static int led_flush(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	(void)cmd;
	return act(dev, "flush", 0, 0, 0);
}

static int led_unmap(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len)
{
	int sts = act(dev, "unmap", off, len, 0);

	(void)cmd;
	if (sts)
		return sts;
	if (fallocate(fd_of(dev), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off,
		      (off_t)len))
		return TCMU_STS_WR_ERR;
	return TCMU_STS_OK;
}

static ssize_t led_load_saved(struct tcmu_device *dev, void *data, size_t size)
{
	int fd = file_of(dev, "saved", O_RDONLY);
	ssize_t n = 0;

	if (!there(dev, "saves", ""))
		return -EOPNOTSUPP;
	if (fd >= 0)
		n = read(fd, data, size);
	if (fd >= 0)
		close(fd);
	return n;
}

static int led_store_saved(struct tcmu_device *dev, struct tcmur_cmd *cmd, const void *data,
			   size_t len)
{
	int sts = act(dev, "store", 0, len, 0);
	int fd = sts ? -1 : file_of(dev, "saved", O_WRONLY | O_CREAT | O_TRUNC);

	(void)cmd;
	if (fd >= 0 && write(fd, data, len) != (ssize_t)len)
		sts = TCMU_STS_WR_ERR;
	if (fd >= 0)
		close(fd);
	return sts;
}

static struct tcmur_handler led_handler = {
	.name = "Led by the hand",
	.subtype = "led",
	.cfg_desc = "led/PATH of the files that lead it",
	.nr_threads = 4,
	.open = led_open,
	.close = led_close,
	.read = led_read,
	.write = led_write,
	.flush = led_flush,
	.unmap = led_unmap,
	.load_saved = led_load_saved,
	.store_saved = led_store_saved,
};

TCMUR_REGISTER_HANDLER(led_handler)
