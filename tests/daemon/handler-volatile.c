/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A storage with a volatile cache that outlives the daemon. The config is volatile/PATH: writes go to PATH.cache,
 * a flush brings them to PATH.disk. Whoever takes its power away, while no daemon has it open, makes the
 * two the same, block by block, as he likes. As long as there is PATH.lazy a flush does nothing and says it has.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tcmu-runner.h"

#define BLOCK 512u

struct lun {
	int cache, disk;
	pthread_mutex_t lock; /* a block is written and read in one go */
	bool *dirty;          /* by block */
	uint64_t blocks;
};

static int file_of(struct tcmu_device *dev, const char *name, int flags)
{
	char path[512];

	snprintf(path, sizeof(path), "%s.%s", strchr(tcmu_dev_get_cfgstring(dev), '/') + 1, name);
	return open(path, flags | O_CLOEXEC, 0600);
}

static int volatile_open(struct tcmu_device *dev, bool reopen)
{
	struct lun *lun = calloc(1, sizeof(*lun));
	off_t size = (off_t)tcmu_dev_get_config_size(dev);

	(void)reopen;
	lun->cache = file_of(dev, "cache", O_RDWR | O_CREAT);
	lun->disk = file_of(dev, "disk", O_RDWR | O_CREAT);
	lun->blocks = (uint64_t)size / BLOCK;
	if (lun->cache < 0 || lun->disk < 0 || ftruncate(lun->cache, size) ||
	    ftruncate(lun->disk, size))
		return -EIO;
	pthread_mutex_init(&lun->lock, NULL);
	lun->dirty = malloc(lun->blocks);
	memset(lun->dirty, true, lun->blocks); /* whatever the last daemon has left */
	tcmur_dev_set_private(dev, lun);
	tcmu_dev_set_write_cache_enabled(dev, true);
	tcmu_dev_set_unmap_enabled(dev, true);
	tcmu_dev_set_unmap_zeroes(dev, true);
	tcmu_dev_set_max_unmap_len(dev, 8192);
	return 0;
}

static void volatile_close(struct tcmu_device *dev)
{
	struct lun *lun = tcmur_dev_get_private(dev);

	close(lun->cache);
	close(lun->disk);
	free(lun->dirty);
	pthread_mutex_destroy(&lun->lock);
	free(lun);
}

/* A block to or from the cache. */
static bool transfer(struct lun *lun, uint8_t *data, uint64_t block, bool in)
{
	off_t off = (off_t)(block * BLOCK);
	ssize_t n;

	pthread_mutex_lock(&lun->lock);
	n = in ? pread(lun->cache, data, BLOCK, off) : pwrite(lun->cache, data, BLOCK, off);
	lun->dirty[block] |= !in;
	pthread_mutex_unlock(&lun->lock);
	return n == (ssize_t)BLOCK;
}

static bool each_block(struct lun *lun, struct iovec *iov, size_t iov_cnt, uint64_t block, bool in)
{
	for (; iov_cnt; iov++, iov_cnt--)
		for (size_t at = 0; at < iov->iov_len; at += BLOCK)
			if (!transfer(lun, (uint8_t *)iov->iov_base + at, block++, in))
				return false;
	return true;
}

static int volatile_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
			 size_t iov_cnt, size_t len, off_t off)
{
	(void)cmd, (void)len;
	return each_block(tcmur_dev_get_private(dev), iov, iov_cnt, (uint64_t)off / BLOCK, true)
		       ? TCMU_STS_OK
		       : TCMU_STS_RD_ERR;
}

static int volatile_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
			  size_t iov_cnt, size_t len, off_t off)
{
	(void)cmd, (void)len;
	return each_block(tcmur_dev_get_private(dev), iov, iov_cnt, (uint64_t)off / BLOCK, false)
		       ? TCMU_STS_OK
		       : TCMU_STS_WR_ERR;
}

static int volatile_unmap(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off,
			  uint64_t len)
{
	static uint8_t zeros[BLOCK]; /* never written */

	(void)cmd;
	for (uint64_t at = off; at < off + len; at += BLOCK)
		if (!transfer(tcmur_dev_get_private(dev), zeros, at / BLOCK, false))
			return TCMU_STS_WR_ERR;
	return TCMU_STS_OK;
}

static bool settle(struct lun *lun, uint64_t block)
{
	off_t off = (off_t)(block * BLOCK);
	uint8_t data[BLOCK];

	if (!lun->dirty[block])
		return true;
	lun->dirty[block] = false;
	return pread(lun->cache, data, BLOCK, off) == (ssize_t)BLOCK &&
	       pwrite(lun->disk, data, BLOCK, off) == (ssize_t)BLOCK;
}

/* Writes come in between. */
static int volatile_flush(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	struct lun *lun = tcmur_dev_get_private(dev);
	int lazy = file_of(dev, "lazy", O_RDONLY);
	bool ok = true;

	(void)cmd;
	if (lazy >= 0) {
		close(lazy);
		return TCMU_STS_OK;
	}
	for (uint64_t block = 0; block < lun->blocks && ok; block++) {
		pthread_mutex_lock(&lun->lock);
		ok = settle(lun, block);
		pthread_mutex_unlock(&lun->lock);
	}
	return ok ? TCMU_STS_OK : TCMU_STS_WR_ERR;
}

static struct tcmur_handler volatile_handler = {
	.name = "Volatile cache",
	.subtype = "volatile",
	.cfg_desc = "volatile/PATH of its files",
	.nr_threads = 4,
	.open = volatile_open,
	.close = volatile_close,
	.read = volatile_read,
	.write = volatile_write,
	.unmap = volatile_unmap,
	.flush = volatile_flush,
};

TCMUR_REGISTER_HANDLER(volatile_handler)
