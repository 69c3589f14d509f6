/* SPDX-License-Identifier: Apache-2.0 */
/* A handler that has forgotten read(). */
#include "tcmu-runner.h"

static int half_open(struct tcmu_device *dev, bool reopen)
{
	(void)dev;
	(void)reopen;
	return 0;
}

static void half_close(struct tcmu_device *dev)
{
	(void)dev;
}

static struct tcmur_handler half = {
	.name = "half",
	.subtype = "half",
	.open = half_open,
	.close = half_close,
};

TCMUR_REGISTER_HANDLER(half)
