/* SPDX-License-Identifier: Apache-2.0 */
/* The files of target/core/user_0/NAME, and what happens when one is written (target_core_user.c,
 * target_core_configfs.c). */
#include "fake-kernel-int.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct fake_attr *fake_attr_find(struct fake_dev *dev, const char *name)
{
	for (struct fake_attr *a = dev->attrs; a; a = a->next)
		if (!strcmp(a->name, name))
			return a;
	return NULL;
}

void fake_attr_set(struct fake_dev *dev, const char *name, const char *fmt, ...)
{
	struct fake_attr *a = fake_attr_find(dev, name);
	va_list ap;

	if (!a) {
		a = calloc(1, sizeof(*a));
		snprintf(a->name, sizeof(a->name), "%s", name);
		a->next = dev->attrs;
		dev->attrs = a;
	}
	va_start(ap, fmt);
	vsnprintf(a->val, sizeof(a->val), fmt, ap);
	va_end(ap);
}

void fake_attrs_free(struct fake_dev *dev)
{
	struct fake_attr *a = dev->attrs, *next;

	for (; a; a = next) {
		next = a->next;
		free(a);
	}
}

void fake_attrs_init(struct fake_dev *dev, const struct fake_dev_cfg *cfg)
{
	static const char *const fixed[][2] = {
		{ "enable", "0" },
		{ "control", "" },
		{ "attrib/cmd_time_out", "30" },
		{ "attrib/qfull_time_out", "-1" },
		{ "attrib/emulate_write_cache", "0" },
		{ "attrib/tmr_notification", "0" },
		{ "attrib/nl_reply_supported", "0" },
		{ "attrib/hw_max_sectors", "128" },
		{ "attrib/hw_queue_depth", "128" },
		{ "attrib/hw_pi_prot_type", "0" },
		{ "attrib/alua_support", "1" },
		{ "attrib/pgr_support", "1" },
		{ "attrib/emulate_pr", "1" },
		{ "attrib/enforce_pr_isids", "1" },
		{ "attrib/force_pr_aptpl", "0" },
		{ "wwn/vendor_id", "LIO-ORG" },
		{ "wwn/revision", "0002" },
		{ "wwn/company_id", "0x001405" },
		{ "action/reset_ring", "" },
		{ "action/free_kept_buf", "" },
		{ "action/block_dev", "unblocked" },
	};
	size_t area = (size_t)cfg->ring.data_blocks * cfg->ring.pages_per_blk * FAKE_PAGE;

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		fake_attr_set(dev, fixed[i][0], "%s\n", fixed[i][1]);
	fake_attr_set(dev, "attrib/dev_config", "%s\n", dev->cfg);
	fake_attr_set(dev, "attrib/dev_size", "%llu\n", (unsigned long long)dev->size);
	fake_attr_set(dev, "attrib/hw_block_size", "%u\n", dev->block_size);
	fake_attr_set(dev, "attrib/max_data_area_mb", "%zu\n", area >> 20);
	fake_attr_set(dev, "attrib/data_pages_per_blk", "%u\n", cfg->ring.pages_per_blk);
	fake_attr_set(dev, "attrib/cmd_ring_size_mb", "1\n");
	fake_attr_set(dev, "wwn/product_id", "%s\n", dev->name);
	fake_attr_set(dev, "wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: %s-serial\n",
		      dev->name);
	fake_attr_set(dev, "info", "%s", "");
}

/* "user_0/NAME/FILE": the device and FILE. */
static struct fake_dev *find(struct fake_kernel *k, const char *path, const char **file)
{
	const char *name = path + strlen("user_0/");

	if (strncmp(path, "user_0/", strlen("user_0/")))
		return NULL;
	*file = strchr(name, '/');
	if (!*file)
		return NULL;
	for (int i = 0; i < FAKE_MAX_DEVS; i++) {
		struct fake_dev *dev = k->devs[i];

		if (!dev || strlen(dev->name) != (size_t)(*file - name) ||
		    memcmp(dev->name, name, strlen(dev->name)))
			continue;
		++*file;
		return dev;
	}
	return NULL;
}

int64_t fake_configfs_read(struct fake_kernel *k, const char *path, char *val, size_t size)
{
	const char *file;
	struct fake_dev *dev = find(k, path, &file);
	struct fake_attr *a = dev ? fake_attr_find(dev, file) : NULL;

	if (!a)
		return -ENOENT;
	/* rmdir holds the locks that a lookup needs, as long as REMOVED has no reply. */
	if (dev->pending.type == TCMU_EVENT_REMOVED && !dev->pending.done)
		return -EAGAIN;
	if (!strcmp(file, "info"))
		snprintf(val, size,
			 "Status: %s  Max Queue Depth: 128  SectorSize: %u  HwMaxSectors: 128\n"
			 "        Config: %s Size: %llu MaxDataAreaMB: 4 DataPagesPerBlk: 1 "
			 "CmdRingSizeMB: 1\n",
			 dev->enabled ? "ACTIVATED" : "DEACTIVATED", dev->block_size, dev->cfg,
			 (unsigned long long)dev->size);
	else if (!strcmp(file, "action/block_dev"))
		snprintf(val, size, "%s\n",
			 fake_ring_is_blocked(dev->ring) ? "blocked" : "unblocked");
	else
		snprintf(val, size, "%.*s", (int)size - 1, a->val);
	return (int64_t)strlen(val);
}

/* dev_size and the like through control: no event, a program reports its own changes so. */
static int64_t write_control(struct fake_dev *dev, const char *val)
{
	unsigned long long n;

	if (sscanf(val, "dev_size=%llu", &n) == 1) {
		dev->size = n;
		fake_attr_set(dev, "attrib/dev_size", "%llu\n", n);
	} else if (!strncmp(val, "dev_config=", 11)) {
		snprintf(dev->cfg, sizeof(dev->cfg), "%s", val + 11);
		fake_attr_set(dev, "attrib/dev_config", "%s\n", val + 11);
	}
	return 0;
}

/* Those whose change is an event that only we could answer: the writer would wait for itself. */
static bool is_reconfig(const char *file)
{
	return !strcmp(file, "attrib/dev_size") || !strcmp(file, "attrib/dev_config") ||
	       !strcmp(file, "attrib/emulate_write_cache");
}

int64_t fake_configfs_write(struct fake_kernel *k, const char *path, const char *val)
{
	const char *file;
	struct fake_dev *dev = find(k, path, &file);
	struct fake_attr *a = dev ? fake_attr_find(dev, file) : NULL;
	int n = atoi(val);

	if (!a)
		return -ENOENT;
	if (dev->pending.type == TCMU_EVENT_REMOVED && !dev->pending.done)
		return -EAGAIN;
	if (is_reconfig(file)) {
		fake_verdict(&k->v, FAKE_V_REPLY_LATE, "%s was written by who must answer it",
			     file);
		return -EDEADLK;
	}
	if (!strcmp(file, "control"))
		return write_control(dev, val);
	if (!strcmp(file, "action/block_dev")) {
		if (n != 0 && n != 1)
			return -EINVAL;
		fake_ring_block(dev->ring, n);
		return 0;
	}
	if (!strcmp(file, "action/reset_ring")) {
		if (n != 1 && n != 2)
			return -EINVAL;
		fake_ring_reset(dev->ring, n);
		return 0;
	}
	if (!strcmp(file, "action/free_kept_buf")) {
		/* A doorbell that was rung before is certainly over before this: write(2) to a uio
		 * device returns when the answers are processed. */
		fake_ring_reclaim(dev->ring);
		return fake_ring_free_kept(dev->ring, (uint32_t)n);
	}
	if (!strcmp(file, "attrib/cmd_time_out") && dev->enabled)
		return -EINVAL; /* as a rule it is exported by then */
	fake_attr_set(dev, file, "%s\n", val);
	return 0;
}
