/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/configfs.h"
#include "lib/device.h"
#include "lib/pending.h"

#define UIO_PREFIX "tcm-user/"

int tcmu_device_parse_name(const char *uio_name, char *name, size_t name_size, const char **config,
			   size_t *config_len)
{
	const char *hba, *obj;
	size_t hba_len, obj_len;
	int n;

	if (strncmp(uio_name, UIO_PREFIX, strlen(UIO_PREFIX)))
		return -EINVAL;
	hba = uio_name + strlen(UIO_PREFIX);
	hba_len = strspn(hba, "0123456789");
	if (!hba_len || hba[hba_len] != '/')
		return -EINVAL;
	obj = hba + hba_len + 1;
	obj_len = strcspn(obj, "/");
	if (!obj_len || (obj_len <= 2 && !strncmp(obj, "..", obj_len))) /* it becomes a path */
		return -EINVAL;
	*config = obj + obj_len;
	if (**config == '/')
		(*config)++;
	*config_len = strlen(*config);
	if (*config_len && (*config)[*config_len - 1] == '\n')
		(*config_len)--;
	n = snprintf(name, name_size, "user_%.*s/%.*s", (int)hba_len, hba, (int)obj_len, obj);
	return n < 0 || (size_t)n >= name_size ? -EINVAL : 0;
}

size_t tcmu_device_subtype_len(const char *config)
{
	return strcspn(config, "/");
}

/* ---- attributes ------------------------------------------------------------------------------ */

static int attr_path(const struct tcmu_device *dev, const char *name, char *path, size_t size)
{
	int n = snprintf(path, size, "%s/%s", dev->name, name);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

ssize_t tcmu_dev_read_attr(struct tcmu_device *dev, const char *name, char *buf, size_t size)
{
	char path[TCMU_UIO_NAME_MAX + 128];
	int ret = attr_path(dev, name, path, sizeof(path));

	return ret ? ret : tcmu_kernel_ops.attr_read(dev->kernel, path, buf, size, &dev->removed);
}

int tcmu_dev_write_attr(struct tcmu_device *dev, const char *name, const char *val)
{
	char path[TCMU_UIO_NAME_MAX + 128];
	int ret = attr_path(dev, name, path, sizeof(path));

	return ret ? ret : tcmu_kernel_ops.attr_write(dev->kernel, path, val);
}

ssize_t tcmu_target_read(const char *path, char *buf, size_t size)
{
	return tcmu_kernel_ops.target_read(path, buf, size);
}

ssize_t tcmu_target_link(const char *path, char *buf, size_t size)
{
	return tcmu_kernel_ops.target_link(path, buf, size);
}

ssize_t tcmu_target_list(const char *path, char *buf, size_t size)
{
	return tcmu_kernel_ops.target_list(path, buf, size);
}

int tcmu_cfgfs_dev_get_attr_int(struct tcmu_device *dev, const char *name)
{
	char attr[128], text[32], *end;
	ssize_t n;
	long v;

	snprintf(attr, sizeof(attr), "attrib/%s", name);
	n = tcmu_dev_read_attr(dev, attr, text, sizeof(text));
	if (n < 0)
		return (int)n;
	errno = 0;
	v = strtol(text, &end, 10);
	if (end == text || *end)
		return -EINVAL;
	return errno || v != (int)v ? -ERANGE : (int)v;
}

static uint64_t read_size(struct tcmu_device *dev)
{
	char text[4096];
	uint64_t size;

	if (tcmu_dev_read_attr(dev, "attrib/dev_size", text, sizeof(text)) >= 0 &&
	    !tcmu_configfs_parse_u64(text, &size))
		return size;
	/* Before Linux 4.15 only "info" has it. */
	if (tcmu_dev_read_attr(dev, "info", text, sizeof(text)) >= 0 &&
	    !tcmu_configfs_info_size(text, &size))
		return size;
	return 0;
}

static void preset_properties(struct tcmu_device *dev, const struct tcmu_event *ev)
{
	dev->block_size = ev->block_size;
	dev->config_size = ev->dev_size;
	if (!ev->block_size) {
		int block_size = tcmu_cfgfs_dev_get_attr_int(dev, "hw_block_size");

		dev->block_size = block_size > 0 ? (uint32_t)block_size : TCMU_DEFAULT_BLOCK_SIZE;
		dev->config_size = read_size(dev);
	}
	dev->num_lbas = dev->config_size / dev->block_size;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int take_name(struct tcmu_device *dev, const char *uio_name)
{
	const char *config;
	size_t config_len;
	int ret = tcmu_device_parse_name(uio_name, dev->name, sizeof(dev->name), &config,
					 &config_len);

	if (ret)
		return ret;
	snprintf(dev->uio_name, sizeof(dev->uio_name), "%.*s",
		 (int)(config - uio_name + (ptrdiff_t)config_len), uio_name);
	dev->cfgstring = strndup(config, config_len);
	return dev->cfgstring ? 0 : -ENOMEM;
}

bool tcmu_device_is(struct tcmu_kernel *kernel, const struct tcmu_event *ev)
{
	return !tcmu_kernel_ops.dev_is || tcmu_kernel_ops.dev_is(kernel, ev);
}

struct tcmu_device *tcmu_device_new(struct tcmu_kernel *kernel, const struct tcmu_event *ev)
{
	struct tcmu_device *dev = calloc(1, sizeof(*dev));
	int ret;

	if (!dev)
		return NULL;
	list_init(&dev->node);
	dev->kernel = kernel;
	dev->minor = ev->minor;
	dev->device_id = ev->device_id;
	dev->fd = -1;
	dev->removal = tcmu_pending_new(ev, true);
	ret = dev->removal ? take_name(dev, ev->uio_name) : -ENOMEM;
	if (!ret) {
		ret = tcmu_kernel_ops.dev_open(kernel, ev->minor);
		dev->fd = ret;
	}
	/* Minors are used again: it may be somebody else's by now. An open one is not. */
	if (ret >= 0 && !tcmu_device_is(kernel, ev))
		ret = -ENODEV;
	if (ret < 0) {
		tcmu_device_free(dev);
		errno = -ret;
		return NULL;
	}
	preset_properties(dev, ev);
	return dev;
}

static void unmap(struct tcmu_device *dev)
{
	if (!dev->map)
		return;
	tcmu_ring_detach(&dev->ring);
	munmap(dev->map, dev->map_len);
	dev->map = NULL;
}

void tcmu_device_close(struct tcmu_device *dev)
{
	unmap(dev);
	if (dev->fd >= 0)
		close(dev->fd);
	dev->fd = -1;
}

void tcmu_device_free(struct tcmu_device *dev)
{
	if (!dev)
		return;
	tcmu_device_close(dev);
	if (dev->removal)
		tcmu_pending_free(dev->removal);
	free(dev->cfgstring);
	free(dev->old_cfgstring);
	free(dev);
}

/* Does the descriptor still belong to a device of the kernel? (drivers/uio/uio.c: uio_poll()) */
bool tcmu_device_alive(const struct tcmu_device *dev)
{
	struct pollfd pfd = { .fd = dev->fd };

	return poll(&pfd, 1, 0) <= 0 || !(pfd.revents & (POLLERR | POLLHUP | POLLNVAL));
}

int tcmu_device_apply(struct tcmu_device *dev, const struct tcmulib_cfg_info *cfg)
{
	char *copy;

	switch (cfg->type) {
	case TCMULIB_CFG_DEV_SIZE:
		__atomic_store_n(&dev->config_size, cfg->data.dev_size, __ATOMIC_RELAXED);
		return 0;
	case TCMULIB_CFG_DEV_CFGSTR:
		copy = strdup(cfg->data.dev_cfgstring);
		if (!copy)
			return -ENOMEM;
		free(dev->old_cfgstring);
		dev->old_cfgstring = dev->cfgstring;
		/* Release: whoever gets the pointer finds the text. */
		__atomic_store_n(&dev->cfgstring, copy, __ATOMIC_RELEASE);
		return 0;
	case TCMULIB_CFG_WRITE_CACHE: /* the program's to take over: it may be its cache */
		return 0;
	}
	return 0;
}

void tcmu_device_exchange_config(struct tcmu_device *dev, char **cfgstring, uint64_t *size)
{
	char *old = dev->cfgstring;
	uint64_t old_size = dev->config_size;

	__atomic_store_n(&dev->cfgstring, *cfgstring, __ATOMIC_RELEASE);
	__atomic_store_n(&dev->config_size, *size, __ATOMIC_RELAXED);
	dev->num_lbas = *size / dev->block_size;
	*cfgstring = old;
	*size = old_size;
}

/* One write, which the kernel takes as a whole: no death of this process leaves one without the other.
 * control, because attrib/ would send an event that only this process can answer. */
int tcmu_device_store_config(struct tcmu_device *dev, const char *cfgstring, uint64_t size)
{
	char control[TCMU_CFG_MAX + 64];

	if (strlen(cfgstring) >= TCMU_CFG_MAX || strpbrk(cfgstring, ",\n"))
		return -EINVAL;
	snprintf(control, sizeof(control), "dev_config=%s,dev_size=%llu", cfgstring,
		 (unsigned long long)size);
	return tcmu_dev_write_attr(dev, "control", control);
}

/* ---- start ----------------------------------------------------------------------------------- */

/* Writing to configfs takes a descriptor, and the process may have no more. */
#define UNBLOCK_TRIES    30
#define UNBLOCK_PAUSE_MS 100

/* A device that stays blocked is dead: all commands end in BUSY. spare: a descriptor to be freed for
 * this, or -1. */
static int unblock(struct tcmu_device *dev, int spare)
{
	int ret;

	if (spare >= 0)
		close(spare);
	ret = tcmu_dev_write_attr(dev, "action/block_dev", "0");
	for (int i = 0; i < UNBLOCK_TRIES && (ret == -EMFILE || ret == -ENFILE || ret == -ENOMEM ||
					      ret == -EINTR || ret == -EAGAIN);
	     i++) {
		poll(NULL, 0, UNBLOCK_PAUSE_MS);
		ret = tcmu_dev_write_attr(dev, "action/block_dev", "0");
	}
	return ret;
}

/*
 * The slow road. The kernel gives up all commands on the ring with BUSY and empties it; the initiator
 * sends them again (target_core_user.c: tcmu_block_dev(), tcmu_reset_ring()). Blocked in between, so
 * that nothing comes in that the reset would throw away. Blocking also collects the answers that were
 * published, walking up to the tail, which must not be done with one that leads nowhere.
 */
static int reset_by_kernel(struct tcmu_device *dev)
{
	int spare = fcntl(dev->fd, F_DUPFD_CLOEXEC, 0);
	int ret = 0, unblocked;

	tcmu_dev_warn(dev, "commands are left from a process that did not stop cleanly; resetting "
			   "the ring, initiators will resend them");
	if (!tcmu_ring_ends_sane(&dev->ring))
		ret = tcmu_dev_write_attr(dev, "action/reset_ring", "1");
	if (!ret)
		ret = tcmu_dev_write_attr(dev, "action/block_dev", "1");
	if (!ret)
		ret = tcmu_dev_write_attr(dev, "action/reset_ring", "1");
	unblocked = unblock(dev, spare); /* on every way out */
	if (!ret)
		ret = unblocked;
	if (ret)
		tcmu_dev_err(dev, "cannot reset the ring through configfs action/: %s",
			     strerror(-ret));
	return ret;
}

/* The mark in the mailbox tells a successor to unblock, should we be killed in between. */
static int attach(struct tcmu_device *dev)
{
	int ret = tcmu_ring_attach(&dev->ring, dev->map, dev->map_len);

	if (!ret && !tcmu_ring_resumable(&dev->ring)) {
		tcmu_ring_mark_resetting(&dev->ring);
		ret = reset_by_kernel(dev);
	}
	return ret ? ret : tcmu_ring_start(&dev->ring);
}

int tcmu_device_start(struct tcmu_device *dev)
{
	int ret;

	if (dev->map && !dev->start_error)
		return 0;
	unmap(dev); /* the try before left it */
	if (dev->fd < 0)
		return -ENODEV;
	ret = tcmu_kernel_ops.dev_map(dev->kernel, dev->minor, dev->fd, &dev->map, &dev->map_len);
	if (ret) {
		tcmu_dev_err(dev, "cannot map the ring: %s", strerror(-ret));
	} else {
		ret = attach(dev);
		if (ret == -EPROTO)
			tcmu_dev_err(dev, "the ring cannot be used: %s", dev->ring.reason);
	}
	dev->start_error = ret;
	/* Answers that a process published just before it died: nobody else tells the kernel. */
	if (!ret)
		tcmu_kernel_ops.dev_kick(dev->fd);
	return ret;
}

int tcmu_device_start_once(struct tcmu_device *dev)
{
	return dev->map || dev->start_error ? dev->start_error : tcmu_device_start(dev);
}

int tcmu_device_stop(struct tcmu_device *dev)
{
	int ret = dev->map && !dev->start_error ? tcmu_ring_stop(&dev->ring) : 0;

	if (tcmu_ring_take_kick(&dev->ring) && dev->fd >= 0)
		tcmu_kernel_ops.dev_kick(dev->fd);
	return ret;
}
