/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel as it is: netlink for events, uio for rings, configfs for attributes. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/configfs.h"
#include "lib/device.h"
#include "lib/kernel.h"
#include "lib/netlink.h"
#include "lib/uio.h"
#include "util/cleanup.h"

#define TARGET_ROOT   "/sys/kernel/config/target"
#define CONFIGFS_ROOT TARGET_ROOT "/core"

struct look;

/* Tasks that wait for a reply; 0 stands for a look that has not come back. */
struct waiters {
	unsigned int count;
	int task[64];
};

struct tcmu_kernel {
	struct tcmu_netlink *nl;
	struct look *stuck;     /* looks into configfs that have not come back, newest first */
	struct waiters waiters; /* of the last kernel_waiter_stuck(), if that was true */
};

/* ---- the connection -------------------------------------------------------------------------- */

static struct tcmu_kernel *kernel_open(void)
{
	struct tcmu_kernel *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->nl = tcmu_netlink_open();
	if (!k->nl) {
		int saved = errno;

		free(k);
		errno = saved;
		return NULL;
	}
	/* A process that died inside release_waiters() left new events failing. Kernels before 4.15
	 * have no such parameter. */
	tcmu_cfgfs_mod_param_set_u32("block_netlink", 0);
	return k;
}

static int kernel_set_reply(struct tcmu_kernel *k, bool on)
{
	return tcmu_netlink_set_reply(k->nl, on);
}

static int kernel_event_fd(struct tcmu_kernel *k)
{
	return tcmu_netlink_fd(k->nl);
}

static int kernel_next_event(struct tcmu_kernel *k, struct tcmu_event *ev)
{
	return tcmu_netlink_next_event(k->nl, ev);
}

static int kernel_reply(struct tcmu_kernel *k, enum tcmu_event_type type, uint32_t device_id,
			int status)
{
	return tcmu_netlink_reply(k->nl, type, device_id, status);
}

static ssize_t kernel_attr_read(struct tcmu_kernel *k, const char *path, char *buf, size_t size)
{
	(void)k;
	return tcmu_configfs_read(CONFIGFS_ROOT, path, buf, size);
}

static int kernel_attr_write(struct tcmu_kernel *k, const char *path, const char *val)
{
	(void)k;
	return tcmu_configfs_write(CONFIGFS_ROOT, path, val);
}

static ssize_t kernel_target_read(const char *path, char *buf, size_t size)
{
	return tcmu_configfs_read(TARGET_ROOT, path, buf, size);
}

static ssize_t kernel_target_link(const char *path, char *buf, size_t size)
{
	return tcmu_configfs_link(TARGET_ROOT, path, buf, size);
}

static ssize_t kernel_target_list(const char *path, char *buf, size_t size)
{
	return tcmu_configfs_list(TARGET_ROOT, path, buf, size);
}

/* ---- finding devices ------------------------------------------------------------------------- */

struct scan {
	void (*found)(const struct tcmu_found *dev, void *arg);
	void *arg;
};

static void scan_found(uint32_t minor, const char *name, void *arg)
{
	struct tcmu_found dev = { .minor = minor };
	struct scan *scan = arg;

	snprintf(dev.uio_name, sizeof(dev.uio_name), "%s", name);
	scan->found(&dev, scan->arg);
}

static int kernel_scan(struct tcmu_kernel *k,
		       void (*found)(const struct tcmu_found *dev, void *arg), void *arg)
{
	struct scan scan = { found, arg };

	(void)k;
	return tcmu_uio_scan(scan_found, &scan);
}

/* A look into a device's configfs directory, on a thread of its own: while a REMOVED waits for its
 * answer the lookup sleeps uninterruptibly (configfs_rmdir() holds the directory's lock). */
struct look {
	struct look *next;
	pthread_t thread;
	char name[TCMU_UIO_NAME_MAX];
	int ret;
	uint64_t enabled;
	uint64_t awaits;
	uint64_t device_id;
	uint64_t block_size, dev_size;
};

static int look_number(const struct look *look, const char *file, uint64_t *value)
{
	char path[TCMU_UIO_NAME_MAX + 64], text[32];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", look->name, file);
	n = tcmu_configfs_read(CONFIGFS_ROOT, path, text, sizeof(text));
	return n < 0 ? (int)n : tcmu_configfs_parse_u64(text, value);
}

/* What tcmu_device_new() would read, which must not be done on the master thread. */
static void look_properties(struct look *look)
{
	char path[TCMU_UIO_NAME_MAX + 64], text[4096];

	if (look_number(look, "attrib/hw_block_size", &look->block_size))
		look->block_size = 0;
	if (!look_number(look, "attrib/dev_size", &look->dev_size))
		return;
	look->dev_size = 0;
	snprintf(path, sizeof(path), "%s/info", look->name); /* before Linux 4.15 */
	if (tcmu_configfs_read(CONFIGFS_ROOT, path, text, sizeof(text)) >= 0)
		tcmu_configfs_info_size(text, &look->dev_size);
}

static void *look_thread(void *arg)
{
	struct look *look = arg;

	look->ret = look_number(look, "enable", &look->enabled);
	/* The number that netlink calls DEVICE_ID (target_core_stat.c: target_stat_indx_show()). */
	if (!look->ret)
		look->ret = look_number(look, "statistics/scsi_dev/indx", &look->device_id);
	if (!look->ret)
		look_properties(look);
	if (look_number(look, "attrib/nl_reply_supported", &look->awaits)) /* also: -1, never */
		look->awaits = 0;
	return NULL;
}

/* The program's signals are for the program's threads. */
static int start_look(struct look *look)
{
	sigset_t all, old;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = -pthread_create(&look->thread, NULL, look_thread, look);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

static int kernel_inspect(struct tcmu_kernel *k, struct tcmu_found *dev)
{
	struct look *look = calloc(1, sizeof(*look));
	struct timespec deadline;
	const char *config;
	size_t config_len;
	int ret;

	if (!look)
		return -ENOMEM;
	ret = tcmu_device_parse_name(dev->uio_name, look->name, sizeof(look->name), &config,
				     &config_len);
	if (!ret)
		ret = start_look(look);
	if (ret) {
		free(look);
		return ret;
	}
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 1;
	if (pthread_timedjoin_np(look->thread, NULL, &deadline)) {
		look->next = k->stuck;
		k->stuck = look;
		return -ETIMEDOUT;
	}
	ret = look->ret;
	dev->enabled = look->enabled != 0;
	dev->awaits_replies = look->awaits != 0;
	dev->device_id = (uint32_t)look->device_id;
	dev->block_size = look->block_size && look->block_size <= UINT32_MAX
				  ? (uint32_t)look->block_size
				  : TCMU_DEFAULT_BLOCK_SIZE;
	dev->dev_size = look->dev_size;
	free(look);
	return ret;
}

/* Ends the looks that came back; true if one has not. */
static bool look_is_stuck(struct tcmu_kernel *k)
{
	struct look **link = &k->stuck;

	while (*link) {
		struct look *look = *link;

		if (pthread_tryjoin_np(look->thread, NULL)) {
			link = &look->next;
			continue;
		}
		*link = look->next;
		free(look);
	}
	return k->stuck != NULL;
}

static void kernel_close(struct tcmu_kernel *k)
{
	if (!k)
		return;
	look_is_stuck(k);
	while (k->stuck) { /* the thread still writes to it: leak it */
		pthread_detach(k->stuck->thread);
		k->stuck = k->stuck->next;
	}
	tcmu_netlink_close(k->nl);
	free(k);
}

/* ---- writers that wait for an answer ---------------------------------------------------------- */

/* Is the task asleep in target_core_user.c's wait for a reply? Which of the two functions the stack
 * shows depends on inlining. Needs root. */
static bool task_waits(const char *task)
{
	char path[320], text[4096];

	snprintf(path, sizeof(path), "%s/stat", task);
	if (tcmu_configfs_read("/proc", path, text, sizeof(text)) < 0 || !strstr(text, ") D "))
		return false;
	snprintf(path, sizeof(path), "%s/stack", task);
	if (tcmu_configfs_read("/proc", path, text, sizeof(text)) < 0)
		return false;
	return strstr(text, "tcmu_wait_genl_cmd_reply") || strstr(text, "tcmu_netlink_event_send");
}

static void add_waiter(struct waiters *w, int task)
{
	if (w->count < sizeof(w->task) / sizeof(w->task[0]))
		w->task[w->count++] = task;
}

static void add_process(struct waiters *w, const char *pid)
{
	AUTO_CLOSEDIR DIR *dir = NULL;
	char path[280], task[300];
	struct dirent *entry;

	snprintf(path, sizeof(path), "/proc/%s/task", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		snprintf(task, sizeof(task), "%s/task/%.20s", pid, entry->d_name);
		if (task_waits(task))
			add_waiter(w, atoi(entry->d_name));
	}
}

static bool have_one_in_common(const struct waiters *a, const struct waiters *b)
{
	for (unsigned int i = 0; i < a->count; i++) {
		for (unsigned int j = 0; j < b->count; j++) {
			if (a->task[i] == b->task[j])
				return true;
		}
	}
	return false;
}

static bool kernel_waiter_stuck(struct tcmu_kernel *k)
{
	AUTO_CLOSEDIR DIR *dir = opendir("/proc");
	struct waiters now = { 0 };
	struct dirent *entry;
	bool stuck;

	if (look_is_stuck(k))
		add_waiter(&now, 0);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
			add_process(&now, entry->d_name);
	}
	stuck = k->waiters.count ? have_one_in_common(&now, &k->waiters) : now.count > 0;
	if (!stuck)
		now.count = 0;
	k->waiters = now;
	return stuck;
}

static int kernel_other_listener(struct tcmu_kernel *k, uint32_t *port)
{
	return tcmu_netlink_other(k->nl, port);
}

static int kernel_release_waiters(struct tcmu_kernel *k)
{
	int ret;

	k->waiters.count = 0;
	ret = tcmu_cfgfs_mod_param_set_u32("block_netlink", 1);
	if (!ret)
		ret = tcmu_cfgfs_mod_param_set_u32("reset_netlink", 1);
	/* Always: while it is set, creating and removing devices fails. */
	tcmu_cfgfs_mod_param_set_u32("block_netlink", 0);
	return ret;
}

/* ---- rings ----------------------------------------------------------------------------------- */

static int kernel_dev_open(struct tcmu_kernel *k, uint32_t minor)
{
	(void)k;
	return tcmu_uio_open(minor);
}

static int kernel_dev_map(struct tcmu_kernel *k, uint32_t minor, int fd, void **map, size_t *len)
{
	(void)k;
	return tcmu_uio_map(minor, fd, map, len);
}

const struct tcmu_kernel_ops tcmu_kernel_ops = {
	.open = kernel_open,
	.close = kernel_close,
	.set_reply = kernel_set_reply,
	.event_fd = kernel_event_fd,
	.next_event = kernel_next_event,
	.reply = kernel_reply,
	.scan = kernel_scan,
	.inspect = kernel_inspect,
	.waiter_stuck = kernel_waiter_stuck,
	.other_listener = kernel_other_listener,
	.release_waiters = kernel_release_waiters,
	.dev_open = kernel_dev_open,
	.dev_map = kernel_dev_map,
	.dev_ack = tcmu_uio_ack,
	.dev_kick = tcmu_uio_kick,
	.attr_read = kernel_attr_read,
	.attr_write = kernel_attr_write,
	.target_read = kernel_target_read,
	.target_link = kernel_target_link,
	.target_list = kernel_target_list,
};
