/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The null handler: discards what is written and reads zeros. A yardstick for everything around the
 * storage, and about the least that a handler can be.
 */
#include <errno.h>

#include "tcmu-runner.h"

/* The runner has set the size from dev_size: without one there is nothing to be had. */
static int null_open(struct tcmu_device *dev, bool reopen)
{
	(void)reopen;
	if (!tcmu_dev_get_num_lbas(dev)) {
		tcmu_dev_err(dev, "null: it has no size; set dev_size");
		return -EINVAL;
	}
	return 0;
}

static void null_close(struct tcmu_device *dev)
{
	(void)dev;
}

/* Nothing here waits, so the outcome is returned at once. */
static int null_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		     size_t iov_cnt, size_t len, off_t off)
{
	(void)dev, (void)cmd, (void)len, (void)off;
	tcmu_iovec_zero(iov, iov_cnt);
	return TCMU_STS_OK;
}

static int null_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		      size_t iov_cnt, size_t len, off_t off)
{
	(void)dev, (void)cmd, (void)iov, (void)iov_cnt, (void)len, (void)off;
	return TCMU_STS_OK;
}

static int null_reconfig(struct tcmu_device *dev, struct tcmulib_cfg_info *cfg)
{
	switch (cfg->type) {
	case TCMULIB_CFG_DEV_SIZE:
		return cfg->data.dev_size < tcmu_dev_get_block_size(dev) ? -EINVAL : 0;
	case TCMULIB_CFG_WRITE_CACHE:
		tcmu_dev_set_write_cache_enabled(dev, cfg->data.write_cache);
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static struct tcmur_handler null_handler = {
	.name = "Null",
	.subtype = "null",
	.cfg_desc = "null/: discards writes and reads zeros; set dev_size",
	.open = null_open,
	.close = null_close,
	.read = null_read,
	.write = null_write,
	.reconfig = null_reconfig,
};

TCMUR_REGISTER_HANDLER(null_handler)
