/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bare/PATH[;OPTION]...: a file, and nothing but open, close, read and write, on two threads that block. All that
 * an initiator gets beyond READ and WRITE is the runner's doing: scripts/long/82-conformance-bare.sh.
 *
 * With another BARE_SUBTYPE it stands in for a handler whose storage is a cluster: of what follows the subtype, the text
 * after the last slash is a file in BARE_DIR (systemd/50-clients.sh).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tcmu-runner.h"

#ifdef BARE_SUBTYPE
static int bare_reconfig(struct tcmu_device *dev, struct tcmulib_cfg_info *cfg)
{
	int fd = (int)(intptr_t)tcmur_dev_get_private(dev);

	if (cfg->type == TCMULIB_CFG_DEV_SIZE)
		return ftruncate(fd, (off_t)cfg->data.dev_size) ? -errno : 0;
	return cfg->type == TCMULIB_CFG_WRITE_CACHE ? 0 : -EOPNOTSUPP;
}
#else
#define BARE_SUBTYPE  "bare"
#define BARE_DIR      ""
#define bare_reconfig NULL
#endif

/* ;phys=BYTES ;removable ;ro: what a handler may say of its storage without a callback for it. */
static void set_options(struct tcmu_device *dev, const char *options)
{
	const char *phys = strstr(options, ";phys=");
	unsigned long ratio = phys ? strtoul(phys + 6, NULL, 10) / tcmu_dev_get_block_size(dev) : 1;

	tcmu_dev_set_phys_exponent(dev, ratio > 1 ? (uint32_t)__builtin_ctzl(ratio) : 0);
	tcmu_dev_set_removable(dev, strstr(options, ";removable"));
	tcmu_dev_set_write_protect_enabled(dev, strstr(options, ";ro"));
}

static int bare_open(struct tcmu_device *dev, bool reopen)
{
	const char *config = strchr(tcmu_dev_get_cfgstring(dev), '/');
	char path[PATH_MAX] = "";
	int fd = -1;

	(void)reopen;
	if (config) {
		int len = (int)strcspn(config + 1, ";");

		snprintf(path, sizeof(path), "%.*s", len, config + 1);
		if (*BARE_DIR && strrchr(path, '/'))
			snprintf(path, sizeof(path), "%s/%.*s", BARE_DIR, 200,
				 strrchr(strndupa(config + 1, (size_t)len), '/') + 1);
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) || !tcmu_dev_get_num_lbas(dev)) {
		tcmu_dev_err(dev, "bare: %s and a dev_size are needed: %s",
			     path[0] ? path : "a path", strerror(errno));
		if (fd >= 0)
			close(fd);
		return -EINVAL;
	}
	set_options(dev, config + strcspn(config, ";"));
	tcmur_dev_set_private(dev, (void *)(intptr_t)fd);
	return 0;
}

static void bare_close(struct tcmu_device *dev)
{
	close((int)(intptr_t)tcmur_dev_get_private(dev));
}

/* All of it: what the kernel moves at once may be less, and so is what it takes at once. */
static bool move(struct tcmu_device *dev, bool write, struct iovec *iov, size_t iov_cnt, size_t len,
		 off_t off)
{
	int fd = (int)(intptr_t)tcmur_dev_get_private(dev);

	while (len) {
		int some = iov_cnt < 64 ? (int)iov_cnt : 64;
		ssize_t done = write ? pwritev(fd, iov, some, off) : preadv(fd, iov, some, off);

		if (done <= 0)
			return false;
		len -= (size_t)done;
		off += done;
		for (; iov_cnt && (size_t)done >= iov->iov_len; iov++, iov_cnt--)
			done -= (ssize_t)iov->iov_len;
		if (iov_cnt) {
			iov->iov_base = (char *)iov->iov_base + done;
			iov->iov_len -= (size_t)done;
		}
	}
	return true;
}

static int bare_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		     size_t iov_cnt, size_t len, off_t off)
{
	(void)cmd;
	return move(dev, false, iov, iov_cnt, len, off) ? TCMU_STS_OK : TCMU_STS_RD_ERR;
}

static int bare_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		      size_t iov_cnt, size_t len, off_t off)
{
	(void)cmd;
	return move(dev, true, iov, iov_cnt, len, off) ? TCMU_STS_OK : TCMU_STS_WR_ERR;
}

static struct tcmur_handler bare_handler = {
	.name = "Bare",
	.subtype = BARE_SUBTYPE,
	.cfg_desc = BARE_SUBTYPE "/PATH: a file, for tests; set dev_size",
	.nr_threads = 2,
	.open = bare_open,
	.close = bare_close,
	.reconfig = bare_reconfig,
	.read = bare_read,
	.write = bare_write,
};

TCMUR_REGISTER_HANDLER(bare_handler)
