/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/looks.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/aside.h"
#include "lib/configfs.h"
#include "lib/device.h"

#define PATIENCE_SEC 1

struct tcmu_look {
	struct tcmu_look *next;
	struct tcmu_found *dev; /* whom it is for, unless it is late; not the thread's business */
	const char *root;
	pthread_t thread;
	char uio_name[TCMU_UIO_NAME_MAX];
	char name[TCMU_UIO_NAME_MAX];
	int ret;
	uint64_t enabled;
	uint64_t awaits;
	uint64_t device_id;
	uint64_t block_size, dev_size;
	char config[TCMU_CFG_MAX];
};

/* ---- the thread ------------------------------------------------------------------------------- */

static int look_number(const struct tcmu_look *look, const char *file, uint64_t *value)
{
	char path[TCMU_UIO_NAME_MAX + 64], text[32];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", look->name, file);
	n = tcmu_configfs_read(look->root, path, text, sizeof(text));
	return n < 0 ? (int)n : tcmu_configfs_parse_u64(text, value);
}

/* What tcmu_device_new() would read, which must not be done on the master thread. */
static void look_properties(struct tcmu_look *look)
{
	char path[TCMU_UIO_NAME_MAX + 64], text[4096];

	if (look_number(look, "attrib/hw_block_size", &look->block_size))
		look->block_size = 0;
	if (!look_number(look, "attrib/dev_size", &look->dev_size))
		return;
	look->dev_size = 0;
	snprintf(path, sizeof(path), "%s/info", look->name); /* before Linux 4.15 */
	if (tcmu_configfs_read(look->root, path, text, sizeof(text)) >= 0)
		tcmu_configfs_info_size(text, &look->dev_size);
}

/* Not there before Linux 4.15. */
static void look_config(struct tcmu_look *look)
{
	char path[TCMU_UIO_NAME_MAX + 64];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/attrib/dev_config", look->name);
	n = tcmu_configfs_read(look->root, path, look->config, sizeof(look->config));
	if (n > 0 && look->config[n - 1] == '\n') /* of who wrote it with echo */
		n--;
	look->config[n > 0 ? n : 0] = '\0';
}

static void *look_thread(void *arg)
{
	struct tcmu_look *look = arg;

	tcmu_aside_begin("tcmu-look");
	look->ret = look_number(look, "enable", &look->enabled);
	/* The number that netlink calls DEVICE_ID (target_core_stat.c: target_stat_indx_show()). */
	if (!look->ret)
		look->ret = look_number(look, "statistics/scsi_dev/indx", &look->device_id);
	if (!look->ret) {
		look_properties(look);
		look_config(look);
	}
	if (look_number(look, "attrib/nl_reply_supported", &look->awaits)) /* also: -1, never */
		look->awaits = 0;
	return NULL;
}

/* ---- its master ------------------------------------------------------------------------------- */

static bool is_stuck(const struct tcmu_looks *looks, const char *uio_name)
{
	for (const struct tcmu_look *look = looks->stuck; look; look = look->next) {
		if (!strcmp(look->uio_name, uio_name))
			return true;
	}
	return false;
}

/* NULL: dev->err says why. */
static struct tcmu_look *begin(struct tcmu_looks *looks, struct tcmu_found *dev)
{
	struct tcmu_look *look;
	const char *config;
	size_t config_len;

	dev->err = -ETIMEDOUT;
	if (is_stuck(looks, dev->uio_name))
		return NULL;
	dev->err = -ENOMEM;
	look = calloc(1, sizeof(*look));
	if (!look)
		return NULL;
	look->dev = dev;
	look->root = looks->root;
	memcpy(look->uio_name, dev->uio_name, sizeof(look->uio_name));
	dev->err = tcmu_device_parse_name(dev->uio_name, look->name, sizeof(look->name), &config,
					  &config_len);
	if (!dev->err)
		dev->err = tcmu_aside_start(&look->thread, look_thread, look);
	if (dev->err) {
		free(look);
		return NULL;
	}
	return look;
}

static void end(struct tcmu_look *look)
{
	struct tcmu_found *dev = look->dev;

	dev->err = look->ret;
	dev->enabled = look->enabled != 0;
	dev->awaits_replies = look->awaits != 0;
	dev->device_id = (uint32_t)look->device_id;
	dev->block_size = look->block_size && look->block_size <= UINT32_MAX
				  ? (uint32_t)look->block_size
				  : TCMU_DEFAULT_BLOCK_SIZE;
	dev->dev_size = look->dev_size;
	memcpy(dev->config, look->config, sizeof(dev->config));
	free(look);
}

void tcmu_looks_at(struct tcmu_looks *looks, struct tcmu_found *dev, size_t n)
{
	struct tcmu_look *begun = NULL, *look;
	struct timespec deadline;

	tcmu_looks_stuck(looks);
	for (size_t i = 0; i < n; i++) {
		look = begin(looks, &dev[i]);
		if (look) {
			look->next = begun;
			begun = look;
		}
	}
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += PATIENCE_SEC; /* for all: a thousand removals may be waiting */
	while ((look = begun)) {
		begun = look->next;
		if (!pthread_timedjoin_np(look->thread, NULL, &deadline)) {
			end(look);
			continue;
		}
		look->dev->err = -ETIMEDOUT;
		look->dev = NULL;
		look->next = looks->stuck;
		looks->stuck = look;
	}
}

bool tcmu_looks_stuck(struct tcmu_looks *looks)
{
	struct tcmu_look **link = &looks->stuck;

	while (*link) {
		struct tcmu_look *look = *link;

		if (pthread_tryjoin_np(look->thread, NULL)) {
			link = &look->next;
			continue;
		}
		*link = look->next;
		free(look);
	}
	return looks->stuck != NULL;
}

void tcmu_looks_leave(struct tcmu_looks *looks)
{
	tcmu_looks_stuck(looks);
	while (looks->stuck) { /* the thread still writes to it */
		pthread_detach(looks->stuck->thread);
		looks->stuck = looks->stuck->next;
	}
}
