/* SPDX-License-Identifier: Apache-2.0 */
/* A handler as they were written for tcmu-runner 1.x: handler_init(), OK means "queued". */
#include "tcmu-runner.h"

static int old_open(struct tcmu_device *dev, bool reopen)
{
	(void)reopen;
	tcmu_dev_set_write_cache_enabled(dev, false);
	return 0;
}

static void old_close(struct tcmu_device *dev)
{
	(void)dev;
}

static int old_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		    size_t iov_cnt, size_t len, off_t off)
{
	(void)len;
	(void)off;
	tcmu_iovec_zero(iov, iov_cnt);
	tcmur_cmd_complete(dev, cmd, TCMU_STS_OK);
	return TCMU_STS_OK;
}

static int old_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		     size_t iov_cnt, size_t len, off_t off)
{
	(void)iov;
	(void)iov_cnt;
	(void)len;
	(void)off;
	tcmur_cmd_complete(dev, cmd, TCMU_STS_OK);
	return TCMU_STS_OK;
}

static int old_init(void)
{
	tcmu_info("old_style: init was called");
	return 0;
}

static struct tcmur_handler old_handler = {
	.name = "A handler of the older kind",
	.subtype = "old",
	.cfg_desc = "old/anything",
	.open = old_open,
	.close = old_close,
	.read = old_read,
	.write = old_write,
	.init = old_init,
};

__attribute__((visibility("default"))) int handler_init(void)
{
	return tcmur_register_handler(&old_handler);
}
