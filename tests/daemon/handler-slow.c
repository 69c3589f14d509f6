/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A blocking handler that the test leads by the hand. The config is slow/PATH: each callback notes its
 * begin and its end in PATH.trace and does not come back as long as there is a file PATH.hold-NAME.
 * open() and reconfig() fail with EIO as long as there is a file PATH.fail-NAME. As long as there is a file
 * PATH.crash-NAME the callback ends the process in the way that it says. The medium is removable if PATH has
 * "medium" in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tcmu-runner.h"

static void note(const char *base, const char *name, const char *what)
{
	char path[512], line[64];
	int len = snprintf(line, sizeof(line), "%s %s\n", name, what);
	int fd;

	snprintf(path, sizeof(path), "%s.trace", base);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, line, (size_t)len) < 0)
		perror(path);
	close(fd);
}

static void wait_while(const char *path)
{
	const struct timespec ms = { .tv_nsec = 1000000 };

	while (!access(path, F_OK))
		nanosleep(&ms, NULL);
}

static volatile int for_ever = 1;

static int fill_stack(volatile char *above)
{
	volatile char room[4096];

	room[0] = above ? above[0] : 1;
	return for_ever ? fill_stack(room) + room[0] : 0;
}

static void crash_as(const char *path)
{
	int *volatile nowhere = (int *)(uintptr_t)64; /* UBSan would find NULL first */
	char how[16] = "";
	FILE *f = fopen(path, "re");

	if (!f)
		return;
	if (!fgets(how, sizeof(how), f))
		perror(path);
	fclose(f);
	if (!strcmp(how, "pointer"))
		*nowhere = 1;
	if (!strcmp(how, "stack"))
		fill_stack(NULL);
	abort();
}

/* 0, or -EIO where that is wanted. */
static int act_at(const char *cfgstring, const char *name)
{
	const char *base = strchr(cfgstring, '/') + 1;
	char hold[512], fail[512], crash[512];

	snprintf(hold, sizeof(hold), "%s.hold-%s", base, name);
	snprintf(fail, sizeof(fail), "%s.fail-%s", base, name);
	snprintf(crash, sizeof(crash), "%s.crash-%s", base, name);
	note(base, name, "begins");
	crash_as(crash);
	wait_while(hold);
	note(base, name, "ends");
	return access(fail, F_OK) ? 0 : -EIO;
}

static int act(struct tcmu_device *dev, const char *name)
{
	return act_at(tcmu_dev_get_cfgstring(dev), name);
}

static bool slow_check_config(const char *cfgstring, char **reason)
{
	(void)reason;
	return !act_at(cfgstring, "check");
}

/*
 * A thread that is stuck in the kernel keeps its process' files open after the exit. A child that has
 * but the daemon's lock, as long as there is PATH.hold-lock, is the same for whoever wants that lock.
 */
static void keep_lock(struct tcmu_device *dev)
{
	char hold[512], link[64], path[512] = "";
	ssize_t len;
	int fd;

	snprintf(hold, sizeof(hold), "%s.hold-lock", strchr(tcmu_dev_get_cfgstring(dev), '/') + 1);
	if (access(hold, F_OK))
		return;
	for (fd = 3; fd < 1024; fd++) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		len = readlink(link, path, sizeof(path) - 1);
		path[len > 0 ? len : 0] = '\0';
		if (len > 5 && !strcmp(path + len - 5, "/lock"))
			break;
	}
	if (fd < 1024 && !fork()) {
		close_range(0, (unsigned int)fd - 1, 0);
		close_range((unsigned int)fd + 1, ~0u, 0);
		wait_while(hold);
		_exit(0);
	}
}

static int slow_open(struct tcmu_device *dev, bool reopen)
{
	(void)reopen;
	tcmu_dev_set_write_cache_enabled(dev, true);
	tcmu_dev_set_removable(dev, strstr(tcmu_dev_get_cfgstring(dev), "medium"));
	return act(dev, "open");
}

static void slow_close(struct tcmu_device *dev)
{
	act(dev, "close");
}

static int slow_reconfig(struct tcmu_device *dev, struct tcmulib_cfg_info *cfg)
{
	(void)cfg;
	return act(dev, "reconfig");
}

static int slow_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		     size_t iov_cnt, size_t len, off_t off)
{
	(void)cmd, (void)len, (void)off;
	keep_lock(dev);
	act(dev, "read");
	tcmu_iovec_zero(iov, iov_cnt);
	return TCMU_STS_OK;
}

static int slow_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		      size_t iov_cnt, size_t len, off_t off)
{
	(void)cmd, (void)iov, (void)iov_cnt, (void)len, (void)off;
	act(dev, "write");
	return TCMU_STS_OK;
}

static int slow_flush(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	(void)cmd;
	act(dev, "flush");
	return TCMU_STS_OK;
}

static struct tcmur_handler slow_handler = {
	.name = "Slow",
	.subtype = "slow",
	.cfg_desc = "slow/PATH of the files that lead it",
	.nr_threads = 4,
	.check_config = slow_check_config,
	.open = slow_open,
	.close = slow_close,
	.reconfig = slow_reconfig,
	.read = slow_read,
	.write = slow_write,
	.flush = slow_flush,
};

TCMUR_REGISTER_HANDLER(slow_handler)
