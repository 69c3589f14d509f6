/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spin/PATH: reads zeros and writes nothing, on the device's thread. As long as there is a file PATH a write
 * does not come back, and computes all the time: tests/bench/isolation.sh.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tcmu-runner.h"

#define ROUNDS (1u << 20) /* between two looks */

static int spin_open(struct tcmu_device *dev, bool reopen)
{
	(void)reopen;
	return strchr(tcmu_dev_get_cfgstring(dev), '/') ? 0 : -EINVAL;
}

static void spin_close(struct tcmu_device *dev)
{
	(void)dev;
}

static int spin_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		     size_t iov_cnt, size_t len, off_t off)
{
	(void)dev, (void)cmd, (void)len, (void)off;
	tcmu_iovec_zero(iov, iov_cnt);
	return TCMU_STS_OK;
}

static int spin_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		      size_t iov_cnt, size_t len, off_t off)
{
	const char *path = strchr(tcmu_dev_get_cfgstring(dev), '/') + 1;

	(void)cmd, (void)iov, (void)iov_cnt, (void)len, (void)off;
	while (!access(path, F_OK)) {
		for (volatile uint32_t i = 0; i < ROUNDS; i++)
			;
	}
	return TCMU_STS_OK;
}

static struct tcmur_handler spin_handler = {
	.name = "Spin",
	.subtype = "spin",
	.cfg_desc = "spin/PATH: a write computes as long as PATH is there; set dev_size",
	.open = spin_open,
	.close = spin_close,
	.read = spin_read,
	.write = spin_write,
};

TCMUR_REGISTER_HANDLER(spin_handler)
