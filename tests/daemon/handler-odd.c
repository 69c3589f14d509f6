/* SPDX-License-Identifier: Apache-2.0 */
/* A handler with one thing wrong, which ODD_* says; see CMakeLists.txt. */
#include <errno.h>

#include "tcmu-runner.h"

#ifndef ODD_SUBTYPE
#define ODD_SUBTYPE "odd"
#endif
#ifndef ODD_INIT
#define ODD_INIT 0
#endif

__attribute__((unused)) static int odd_open(struct tcmu_device *dev, bool reopen)
{
	(void)dev, (void)reopen;
	return -ENXIO;
}

__attribute__((unused)) static void odd_close(struct tcmu_device *dev)
{
	(void)dev;
}

static int odd_io(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
		  size_t len, off_t off)
{
	(void)dev, (void)cmd, (void)iov, (void)iov_cnt, (void)len, (void)off;
	return TCMU_STS_RD_ERR;
}

static int odd_init(void)
{
	return ODD_INIT;
}

static struct tcmur_handler odd = {
#ifndef ODD_NO_NAME
	.name = "Odd",
#endif
#ifndef ODD_NO_SUBTYPE
	.subtype = ODD_SUBTYPE,
#endif
#ifdef ODD_THREADS
	.nr_threads = ODD_THREADS,
#endif
#ifdef ODD_CMD_PRIV_SIZE
	.cmd_priv_size = ODD_CMD_PRIV_SIZE,
#endif
#ifndef ODD_NO_OPEN
	.open = odd_open,
#endif
#ifndef ODD_NO_CLOSE
	.close = odd_close,
#endif
#ifndef ODD_NO_WRITE
	.write = odd_io,
#endif
	.read = odd_io,
	.init = odd_init,
};

#if defined(ODD_ENTRY) || defined(ODD_STRUCT_SIZE)
__attribute__((visibility("default"))) struct tcmur_handler *tcmur_handler_entry(void);

struct tcmur_handler *tcmur_handler_entry(void)
{
#ifdef ODD_ENTRY
	return odd.name ? ODD_ENTRY : &odd;
#else
	odd._struct_size = ODD_STRUCT_SIZE;
	odd._api_version = TCMUR_API_VERSION;
	return &odd;
#endif
}
#elif defined(ODD_HANDLER_INIT)
/* Registers it so many times, and returns ODD_INIT. */
__attribute__((visibility("default"))) int handler_init(void)
{
	for (int i = 0; i < ODD_HANDLER_INIT; i++)
		tcmur_register_handler(&odd);
	return odd_init();
}
#else
TCMUR_REGISTER_HANDLER(odd)
#endif
