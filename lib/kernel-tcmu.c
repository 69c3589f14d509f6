/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel as it is: netlink for events, uio for rings, configfs for attributes. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/aside.h"
#include "lib/configfs.h"
#include "lib/device.h"
#include "lib/kernel.h"
#include "lib/looks.h"
#include "lib/netlink.h"
#include "lib/uio.h"
#include "util/cleanup.h"

#define TARGET_ROOT   "/sys/kernel/config/target"
#define CONFIGFS_ROOT TARGET_ROOT "/core"

/* Tasks that wait for a reply; 0 stands for a look that has not come back. */
struct waiters {
	unsigned int count;
	int task[64];
};

struct tcmu_kernel {
	struct tcmu_netlink *nl;
	struct tcmu_looks looks;
	struct waiters waiters; /* of the last kernel_waiter_stuck(), if that was true */
};

/* ---- the connection -------------------------------------------------------------------------- */

static struct tcmu_kernel *kernel_open(void)
{
	struct tcmu_kernel *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->looks.root = CONFIGFS_ROOT;
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

static void kernel_leave(struct tcmu_kernel *k)
{
	tcmu_netlink_leave(k->nl);
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

/* ---- configfs -------------------------------------------------------------------------------- */

static ssize_t write_text(const char *root, const char *path, char *buf, size_t size)
{
	(void)size;
	return tcmu_configfs_write(root, path, buf);
}

static ssize_t kernel_attr_read(struct tcmu_kernel *k, const char *path, char *buf, size_t size,
				const bool *over)
{
	(void)k;
	return tcmu_aside(tcmu_configfs_read, CONFIGFS_ROOT, path, buf, size, over);
}

static int kernel_attr_write(struct tcmu_kernel *k, const char *path, const char *val)
{
	AUTO_FREE char *copy = strdup(val);

	(void)k;
	if (!copy)
		return -ENOMEM;
	return (int)tcmu_aside(write_text, CONFIGFS_ROOT, path, copy, strlen(copy) + 1, NULL);
}

static ssize_t kernel_target_read(const char *path, char *buf, size_t size)
{
	return tcmu_aside(tcmu_configfs_read, TARGET_ROOT, path, buf, size, NULL);
}

static ssize_t kernel_target_link(const char *path, char *buf, size_t size)
{
	return tcmu_aside(tcmu_configfs_link, TARGET_ROOT, path, buf, size, NULL);
}

static ssize_t kernel_target_list(const char *path, char *buf, size_t size)
{
	return tcmu_aside(tcmu_configfs_list, TARGET_ROOT, path, buf, size, NULL);
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

static void kernel_inspect(struct tcmu_kernel *k, struct tcmu_found *dev, size_t n)
{
	tcmu_looks_at(&k->looks, dev, n);
}

static void kernel_close(struct tcmu_kernel *k)
{
	if (!k)
		return;
	tcmu_looks_leave(&k->looks);
	tcmu_netlink_close(k->nl);
	free(k);
}

static bool kernel_look_stuck(struct tcmu_kernel *k)
{
	return tcmu_looks_stuck(&k->looks) || tcmu_aside_left();
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

	if (tcmu_looks_stuck(&k->looks))
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

static bool kernel_dev_is(struct tcmu_kernel *k, const struct tcmu_event *ev)
{
	char name[TCMU_UIO_NAME_MAX], object[TCMU_UIO_NAME_MAX];
	const char *config;
	size_t len, config_len;

	(void)k;
	if (tcmu_uio_name(ev->minor, name, sizeof(name)) < 0)
		return false;
	if (!ev->found)
		return !strcmp(name, ev->uio_name);
	/* What the device serves now may not be what it was enabled with. */
	if (tcmu_device_parse_name(ev->uio_name, object, sizeof(object), &config, &config_len))
		return false;
	len = (size_t)(config - ev->uio_name);
	return !strncmp(name, ev->uio_name, len);
}

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
	.leave = kernel_leave,
	.event_fd = kernel_event_fd,
	.next_event = kernel_next_event,
	.reply = kernel_reply,
	.scan = kernel_scan,
	.inspect = kernel_inspect,
	.look_stuck = kernel_look_stuck,
	.waiter_stuck = kernel_waiter_stuck,
	.other_listener = kernel_other_listener,
	.release_waiters = kernel_release_waiters,
	.dev_is = kernel_dev_is,
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
