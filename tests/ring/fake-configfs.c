/* SPDX-License-Identifier: Apache-2.0 */
/* The files of target/core/user_0/NAME, and what happens when one is written (target_core_user.c,
 * target_core_configfs.c). */
#include "fake-kernel-int.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_GROUP "alua/default_tg_pt_gp/"

struct fake_attr *fake_attr_find(struct fake_dev *dev, const char *name)
{
	return fake_attr_in(dev->attrs, name);
}

void fake_attr_set(struct fake_dev *dev, const char *name, const char *fmt, ...)
{
	char val[FAKE_ATTR_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(val, sizeof(val), fmt, ap);
	va_end(ap);
	fake_attr_put(&dev->attrs, name, false, val);
}

void fake_attrs_free(struct fake_dev *dev)
{
	fake_attr_free_all(&dev->attrs);
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
		{ DEFAULT_GROUP "tg_pt_gp_id", "0" },
		{ DEFAULT_GROUP "alua_access_state", "0" },
		{ DEFAULT_GROUP "alua_access_status", "None" },
		{ DEFAULT_GROUP "alua_access_type", "Implicit and Explicit" },
		{ DEFAULT_GROUP "alua_support_active_nonoptimized", "1" },
		{ DEFAULT_GROUP "alua_support_active_optimized", "1" },
		{ DEFAULT_GROUP "alua_support_lba_dependent", "1" },
		{ DEFAULT_GROUP "alua_support_offline", "1" },
		{ DEFAULT_GROUP "alua_support_standby", "1" },
		{ DEFAULT_GROUP "alua_support_transitioning", "1" },
		{ DEFAULT_GROUP "alua_support_unavailable", "1" },
		{ DEFAULT_GROUP "implicit_trans_secs", "0" },
		{ DEFAULT_GROUP "preferred", "0" },
		{ "statistics/scsi_dev/ports", "0" },
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
	fake_attr_set(dev, DEFAULT_GROUP "members", "%s", "");
	fake_attr_set(dev, "info", "%s", "");
}

struct fake_dev *fake_configfs_find(struct fake_kernel *k, const char *path, const char **file)
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

/* "alua/GROUP/NAME"? */
static bool is_in_group(const char *file, const char *name)
{
	const char *last = strrchr(file, '/');

	return !strncmp(file, "alua/", 5) && last && !strcmp(last + 1, name);
}

/* rmdir holds the locks that a lookup needs, as long as REMOVED has no reply. */
static bool sleeps(const struct fake_dev *dev, const char *file)
{
	bool waits = dev->pending.type && !dev->pending.done;

	if (waits) /* for ADDED: who looks up means one that had the name before */
		return dev->pending.type == TCMU_EVENT_REMOVED;
	return dev->k->late_lookups && !strcmp(file, "attrib/tmr_notification");
}

int64_t fake_configfs_read(struct fake_kernel *k, const char *path, char *val, size_t size)
{
	const char *file;
	struct fake_dev *dev = fake_configfs_find(k, path, &file);
	struct fake_attr *a = dev ? fake_attr_find(dev, file) : NULL;

	if (!a)
		return -ENOENT;
	if (sleeps(dev, file))
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
	else if (is_in_group(file, "members"))
		return (int64_t)fake_members(a->val, val, size);
	else
		snprintf(val, size, "%.*s", (int)size - 1, a->val);
	return (int64_t)strlen(val);
}

/* dev_size and the like through control: no event, a program reports its own changes so; and the name of the
 * uio device stays as it is. */
static int64_t write_control(struct fake_dev *dev, const char *val)
{
	char all[FAKE_ATTR_MAX], *rest = all, *one;
	unsigned long long n;

	snprintf(all, sizeof(all), "%s", val);
	while ((one = strsep(&rest, ",\n"))) {
		if (sscanf(one, "dev_size=%llu", &n) == 1) {
			dev->size = n;
			fake_attr_set(dev, "attrib/dev_size", "%llu\n", n);
		} else if (!strncmp(one, "dev_config=", 11)) {
			snprintf(dev->cfg, sizeof(dev->cfg), "%s", one + 11);
			fake_attr_set(dev, "attrib/dev_config", "%s\n", one + 11);
		}
	}
	return 0;
}

/* Those whose change is an event that only we could answer: the writer would wait for itself. */
static bool is_reconfig(const char *file)
{
	return !strcmp(file, "attrib/dev_size") || !strcmp(file, "attrib/dev_config") ||
	       !strcmp(file, "attrib/emulate_write_cache");
}

/* target_tg_pt_gp_alua_access_state_store(): it is an implicit transition, and takes the type for one. */
static int64_t write_state(struct fake_dev *dev, const char *file, const char *val)
{
	size_t dir = (size_t)(strrchr(file, '/') + 1 - file);
	const struct fake_attr *type;
	char path[256];

	snprintf(path, sizeof(path), "%.*salua_access_type", (int)dir, file);
	type = fake_attr_find(dev, path);
	if (!type || !strstr(type->val, "Implicit"))
		return -EINVAL;
	fake_attr_set(dev, file, "%s\n", val);
	snprintf(path, sizeof(path), "%.*salua_access_status", (int)dir, file);
	fake_attr_set(dev, path, "Altered by Implicit ALUA\n");
	return 0;
}

static int64_t write_status(struct fake_dev *dev, const char *file, const char *val)
{
	static const char *const texts[] = { "None", "Altered by Explicit STPG",
					     "Altered by Implicit ALUA" };
	int n = atoi(val);

	if (n < 0 || n > 2)
		return -EINVAL;
	fake_attr_set(dev, file, "%s\n", texts[n]);
	return 0;
}

int64_t fake_configfs_write(struct fake_kernel *k, const char *path, const char *val)
{
	const char *file;
	struct fake_dev *dev = fake_configfs_find(k, path, &file);
	struct fake_attr *a = dev ? fake_attr_find(dev, file) : NULL;
	int n = atoi(val);

	if (!a)
		return -ENOENT;
	if (sleeps(dev, file))
		return -EAGAIN;
	if (is_reconfig(file)) {
		fake_verdict(&k->v, FAKE_V_REPLY_LATE, "%s was written by who must answer it",
			     file);
		return -EDEADLK;
	}
	if (!strcmp(file, "control"))
		return write_control(dev, val);
	if (is_in_group(file, "alua_access_state"))
		return write_state(dev, file, val);
	if (is_in_group(file, "alua_access_status"))
		return write_status(dev, file, val);
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
