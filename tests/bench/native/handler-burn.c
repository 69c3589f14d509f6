/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handler that computes, as compression or encryption would: burn/ reads zeros and writes nothing,
 * and each command is a checksum over 64 KiB, some times, on a worker of the device.
 */
#include <errno.h>
#include <stdint.h>
#include <sys/uio.h>

#include "tcmu-runner.h"

#define LENGTH (64u << 10)
#define TIMES  3

struct burn_cmd {
	struct tcmur_io io;
	struct tcmu_device *dev;
	struct tcmur_cmd *cmd;
};

static volatile uint8_t data[LENGTH]; /* volatile: nobody computes it beforehand */

/* FNV-1a: each step waits for the one before. */
static int64_t burn(struct tcmur_io *io)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	(void)io;
	for (unsigned int i = 0; i < TIMES * LENGTH; i++)
		sum = (sum ^ data[i % LENGTH]) * UINT64_C(0x100000001b3);
	return sum ? 0 : -EIO;
}

static void burnt(struct tcmur_io *io, int64_t res)
{
	struct burn_cmd *bc = (void *)io;

	tcmur_cmd_complete(bc->dev, bc->cmd, res ? TCMU_STS_HW_ERR : TCMU_STS_OK);
}

static int burn_start(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	struct burn_cmd *bc = tcmur_cmd_priv(cmd);

	*bc = (struct burn_cmd) { .io.done = burnt, .dev = dev, .cmd = cmd };
	tcmur_io_work(dev, &bc->io, burn);
	return TCMU_STS_ASYNC_HANDLED;
}

static int burn_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		     size_t iov_cnt, size_t len, off_t off)
{
	(void)len, (void)off;
	tcmu_iovec_zero(iov, iov_cnt);
	return burn_start(dev, cmd);
}

static int burn_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		      size_t iov_cnt, size_t len, off_t off)
{
	(void)iov, (void)iov_cnt, (void)len, (void)off;
	return burn_start(dev, cmd);
}

static int burn_open(struct tcmu_device *dev, bool reopen)
{
	(void)dev, (void)reopen;
	return 0;
}

static void burn_close(struct tcmu_device *dev)
{
	(void)dev;
}

static struct tcmur_handler burn_handler = {
	.name = "Burn",
	.subtype = "burn",
	.cfg_desc = "burn/: computes",
	.cmd_priv_size = sizeof(struct burn_cmd),
	.open = burn_open,
	.close = burn_close,
	.read = burn_read,
	.write = burn_write,
};

TCMUR_REGISTER_HANDLER(burn_handler)
