/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handler whose medium is the file PATH.data, led by files beside it. The config is led/PATH.
 * PATH.hold-CALLBACK: this callback does not come back as long as it is there. PATH.fail-CALLBACK: it
 * fails. PATH.unmaps, PATH.saves: looked at by open(). PATH.pool: bytes used and bytes available, as text.
 * Each call is a line in PATH.trace.
 *
 * Built with LED_CANCEL it is "ledc", whose calls come back when they are cancelled; with LED_ENGINE
 * "lede", which is asynchronous: writes are led like here, reads are plain calls of the I/O engine.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tcmu-runner.h"

static const struct timespec ms = { .tv_nsec = 1000000 };

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

#ifdef LED_CANCEL
static _Atomic(int) *cancelled(struct tcmur_cmd *cmd)
{
	return tcmur_cmd_priv(cmd);
}

static bool is_cancelled(struct tcmur_cmd *cmd)
{
	return cmd && atomic_load(cancelled(cmd));
}
#else
static bool is_cancelled(struct tcmur_cmd *cmd)
{
	(void)cmd;
	return false;
}
#endif

static int act(struct tcmu_device *dev, struct tcmur_cmd *cmd, const char *name, uint64_t off,
	       uint64_t len, int first)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "%s %llu+%llu %02x\n", name, (unsigned long long)off,
			 (unsigned long long)len, (unsigned int)first);
	int fd = file_of(dev, "trace", O_WRONLY | O_CREAT | O_APPEND);

	if (fd < 0 || write(fd, line, (size_t)n) < 0)
		perror("trace");
	close(fd);
	while (there(dev, "hold-", name)) {
		if (is_cancelled(cmd))
			return TCMU_STS_ABORTED;
		nanosleep(&ms, NULL);
	}
	return there(dev, "fail-", name) ? TCMU_STS_WR_ERR : TCMU_STS_OK;
}

static int led_open(struct tcmu_device *dev, bool reopen)
{
	int fd = file_of(dev, "data", O_RDWR | O_CREAT);

	(void)reopen;
	while (there(dev, "hold-", "open"))
		nanosleep(&ms, NULL);
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

#ifndef LED_ENGINE
static int led_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		    size_t iov_cnt, size_t len, off_t off)
{
	int sts = act(dev, cmd, "read", (uint64_t)off, len, 0);

	if (sts)
		return sts == TCMU_STS_ABORTED ? sts : TCMU_STS_RD_ERR;
	return preadv(fd_of(dev), iov, (int)iov_cnt, off) == (ssize_t)len ? TCMU_STS_OK
									  : TCMU_STS_RD_ERR;
}

#endif

static int led_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		     size_t iov_cnt, size_t len, off_t off)
{
	int sts = act(dev, cmd, "write", (uint64_t)off, len, *(uint8_t *)iov[0].iov_base);

	if (sts)
		return sts;
	return pwritev(fd_of(dev), iov, (int)iov_cnt, off) == (ssize_t)len ? TCMU_STS_OK
									   : TCMU_STS_WR_ERR;
}

static int led_flush(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	return act(dev, cmd, "flush", 0, 0, 0);
}

static int led_unmap(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len)
{
	int sts = act(dev, cmd, "unmap", off, len, 0);

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
	int sts = act(dev, cmd, "store", 0, len, 0);
	int fd = sts ? -1 : file_of(dev, "saved", O_WRONLY | O_CREAT | O_TRUNC);

	if (fd >= 0 && write(fd, data, len) != (ssize_t)len)
		sts = TCMU_STS_WR_ERR;
	if (fd >= 0)
		close(fd);
	return sts;
}

#ifdef LED_CANCEL
static void led_cancel(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	(void)dev;
	atomic_store(cancelled(cmd), 1);
}
#endif

#ifdef LED_ENGINE
struct async {
	struct tcmur_io io; /* first */
	struct tcmu_device *dev;
	struct tcmur_cmd *cmd;
	struct iovec *iov;
	size_t iov_cnt, len;
	off_t off;
};

static struct async *async_of(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
			      size_t iov_cnt, size_t len, off_t off)
{
	struct async *as = tcmur_cmd_priv(cmd);

	*as = (struct async) { { 0 }, dev, cmd, iov, iov_cnt, len, off };
	return as;
}

static int64_t work_write(struct tcmur_io *io)
{
	struct async *as = (struct async *)io;

	return led_write(as->dev, as->cmd, as->iov, as->iov_cnt, as->len, as->off);
}

static void write_ended(struct tcmur_io *io, int64_t res)
{
	struct async *as = (struct async *)io;

	tcmur_cmd_complete(as->dev, as->cmd, (int)res);
}

static int async_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		       size_t iov_cnt, size_t len, off_t off)
{
	struct async *as = async_of(dev, cmd, iov, iov_cnt, len, off);

	as->io.done = write_ended;
	tcmur_io_work(dev, &as->io, work_write);
	return TCMU_STS_ASYNC_HANDLED;
}

static void read_ended(struct tcmur_io *io, int64_t res)
{
	struct async *as = (struct async *)io;
	int fd = file_of(as->dev, "cancelled", O_WRONLY | O_CREAT | O_APPEND);

	if (res == -ECANCELED && write(fd, "x", 1) != 1)
		perror("cancelled");
	close(fd);
	tcmur_cmd_complete(as->dev, as->cmd,
			   res == (int64_t)as->len ? TCMU_STS_OK : TCMU_STS_RD_ERR);
}

static int async_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		      size_t iov_cnt, size_t len, off_t off)
{
	struct async *as = async_of(dev, cmd, iov, iov_cnt, len, off);

	as->io.done = read_ended;
	tcmur_io_readv(dev, &as->io, fd_of(dev), iov, iov_cnt, off);
	return TCMU_STS_ASYNC_HANDLED;
}

#define SUBTYPE "lede"
#elif defined(LED_CANCEL)
#define SUBTYPE "ledc"
#else
#define SUBTYPE "led"
#endif

static int led_provisioning(struct tcmu_device *dev, uint64_t *used, uint64_t *available)
{
	int fd = file_of(dev, "pool", O_RDONLY);
	char text[64] = "";
	ssize_t n;

	if (fd < 0)
		return -EOPNOTSUPP;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (act(dev, NULL, "provisioning", 0, 0, 0))
		return -EIO;
	return n > 0 && sscanf(text, "%" SCNu64 " %" SCNu64, used, available) == 2 ? 0 : -EINVAL;
}

static int led_reconfig(struct tcmu_device *dev, struct tcmulib_cfg_info *cfg)
{
	(void)dev;
	return cfg->type == TCMULIB_CFG_WRITE_CACHE ? 0 : -EOPNOTSUPP;
}

static struct tcmur_handler led_handler = {
	.name = "Led by the hand",
	.subtype = SUBTYPE,
	.cfg_desc = "led/PATH of the files that lead it",
	.open = led_open,
	.close = led_close,
	.reconfig = led_reconfig,
#ifdef LED_ENGINE
	.cmd_priv_size = sizeof(struct async),
	.read = async_read,
	.write = async_write,
#else
	.nr_threads = 4,
	.read = led_read,
	.write = led_write,
#endif
	.flush = led_flush,
	.unmap = led_unmap,
	.load_saved = led_load_saved,
	.store_saved = led_store_saved,
#ifdef LED_CANCEL
	.cmd_priv_size = sizeof(_Atomic(int)),
	.cancel = led_cancel,
#endif
	.provisioning = led_provisioning,
};

TCMUR_REGISTER_HANDLER(led_handler)
