/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The glfs handler: a file of a GlusterFS volume as a logical unit, byte for byte.
 *
 * options.c takes the config string apart, volume.c connects, target.c opens the file, check.c looks whether that
 * would work, io.c, provision.c, status.c and saved.c run the commands, lock.c keeps two gateways apart, and this
 * file is what the runner sees of them. tcmu-handler-glfs(7) is the manual.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gluster.h"

#define MAX_XFER_BYTES  (4u << 20)   /* one command */
#define MAX_UNMAP_BYTES (1ull << 30) /* one UNMAP */
#define UNMAP_GRAIN     4096u        /* what the bricks' file systems have at least */

/* ---- open ---- */

/* dev_size, or without one the size of what is there. */
static int check_size(struct tcmu_device *dev, const struct gluster_options *opts,
		      const struct gluster_target *target, char **reason)
{
	uint64_t wanted = tcmu_dev_get_config_size(dev);
	uint32_t block_size = tcmu_dev_get_block_size(dev);

	if (wanted && wanted < block_size)
		return gluster_refuse(reason, EINVAL,
				      "dev_size %llu is less than one block of %u bytes",
				      (unsigned long long)wanted, block_size);
	if (target->size < wanted)
		return gluster_refuse(
			reason, EINVAL,
			"'%s' of volume '%s' has %llu bytes, dev_size is %llu; make it "
			"larger (truncate -s %llu on a mount of the volume), or give a "
			"smaller dev_size, or none to use what is there",
			opts->path, opts->volume, (unsigned long long)target->size,
			(unsigned long long)wanted, (unsigned long long)wanted);
	if (wanted)
		return 0;
	if (target->size < block_size)
		return gluster_refuse(
			reason, EINVAL,
			"'%s' of volume '%s' has %llu bytes, less than one block of %u; "
			"make it larger, or remove it, set dev_size and add the option "
			";create",
			opts->path, opts->volume, (unsigned long long)target->size, block_size);
	if (target->size % block_size)
		tcmu_dev_warn(
			dev,
			"the size of '%s', %llu bytes, is no multiple of the block size %u; the "
			"last %llu bytes are not used",
			opts->path, (unsigned long long)target->size, block_size,
			(unsigned long long)(target->size % block_size));
	tcmu_dev_set_num_lbas(dev, target->size / block_size);
	return 0;
}

static void set_properties(struct tcmu_device *dev, const struct gluster_lun *lun,
			   const struct gluster_options *opts)
{
	uint32_t block_size = tcmu_dev_get_block_size(dev), exponent = 0;

	while (block_size << exponent < opts->phys_size) /* both are powers of two */
		exponent++;
	tcmu_dev_set_phys_exponent(dev, exponent);
	tcmu_dev_set_removable(dev, opts->removable);

	tcmu_dev_set_max_xfer_len(dev, MAX_XFER_BYTES / block_size);
	tcmu_dev_set_solid_state_media(dev, false);
	tcmu_dev_set_write_cache_enabled(dev, !lun->read_only);
	tcmu_dev_set_write_protect_enabled(dev, lun->read_only);

	tcmu_dev_set_unmap_enabled(dev, lun->target.unmap);
	tcmu_dev_set_unmap_zeroes(dev, true);
	tcmu_dev_set_max_unmap_len(dev, (uint32_t)(MAX_UNMAP_BYTES / block_size));
	tcmu_dev_set_unmap_gran_align(dev, 0);
	tcmu_dev_set_opt_unmap_gran(dev, block_size < UNMAP_GRAIN ? UNMAP_GRAIN / block_size : 1);
}

static int open_lun(struct tcmu_device *dev, struct gluster_lun *lun, const char *cfgstring,
		    const struct gluster_options *opts, char **reason)
{
	int ret = gluster_target_open(cfgstring, opts, dev, tcmu_dev_get_config_size(dev),
				      &lun->target, reason);

	if (ret)
		return ret;
	lun->dev = dev;
	lun->read_only = opts->read_only;
	ret = check_size(dev, opts, &lun->target, reason);
	if (!ret) {
		tcmur_dev_set_private(dev, lun);
		ret = gluster_lock_init(&lun->lock, dev, lun->read_only, reason);
		if (ret)
			gluster_lock_fini(&lun->lock, lun->target.fd);
	}
	if (ret) {
		tcmur_dev_set_private(dev, NULL);
		gluster_target_close(&lun->target);
	}
	return ret;
}

static int gluster_open(struct tcmu_device *dev, bool reopen)
{
	struct gluster_lun *lun = calloc(1, sizeof(*lun));
	const char *cfgstring = tcmu_dev_get_cfgstring(dev);
	struct gluster_options opts = { 0 };
	char *reason = NULL;
	int ret = lun ? 0 : -ENOMEM;

	(void)reopen;
	if (!ret)
		ret = gluster_options_parse(cfgstring, &opts, &reason);
	if (!ret)
		ret = open_lun(dev, lun, cfgstring, &opts, &reason);
	if (ret) {
		tcmu_dev_err(dev, "glfs: %s", reason ? reason : strerror(-ret));
		free(lun);
	} else {
		pthread_mutex_init(&lun->flush_mutex, NULL);
		set_properties(dev, lun, &opts);
	}
	free(reason);
	gluster_options_free(&opts);
	return ret;
}

static void gluster_close(struct tcmu_device *dev)
{
	struct gluster_lun *lun = tcmur_dev_get_private(dev);

	gluster_lock_fini(&lun->lock, lun->target.fd);
	gluster_target_close(&lun->target);
	pthread_mutex_destroy(&lun->flush_mutex);
	free(lun);
	tcmur_dev_set_private(dev, NULL);
}

/* ---- reconfig ---- */

static int grow_to(struct tcmu_device *dev, struct gluster_lun *lun, uint64_t size)
{
	int64_t have = gluster_target_size(lun->target.fd);

	if (have < 0) {
		tcmu_dev_err(dev, "glfs: the file's size cannot be found: %s",
			     strerror((int)-have));
		return (int)have;
	}
	if ((uint64_t)have < size && lun->read_only) {
		tcmu_dev_err(dev,
			     "glfs: the file has %lld bytes, less than the new dev_size %llu, and "
			     "with the "
			     "option ;ro it is not made larger",
			     (long long)have, (unsigned long long)size);
		return -EROFS;
	}
	if ((uint64_t)have < size && glfs_ftruncate(lun->target.fd, (off_t)size, NULL, NULL)) {
		int ret = -errno;

		tcmu_dev_err(dev, "glfs: the file cannot be made %llu bytes large: %s",
			     (unsigned long long)size, strerror(-ret));
		return ret;
	}
	lun->target.size = (uint64_t)have > size ? (uint64_t)have : size;
	return 0;
}

static int resize(struct tcmu_device *dev, struct gluster_lun *lun, uint64_t size)
{
	uint32_t block_size = tcmu_dev_get_block_size(dev);
	uint64_t now = tcmu_lba_to_byte(dev, tcmu_dev_get_num_lbas(dev));

	if (!size || size % block_size) {
		tcmu_dev_err(dev, "glfs: dev_size %llu is no multiple of the block size %u",
			     (unsigned long long)size, block_size);
		return -EINVAL;
	}
	if (size < now) {
		tcmu_dev_err(dev,
			     "glfs: dev_size %llu is less than the %llu bytes of the logical unit: "
			     "data would be lost. To make it smaller all the same, delete it and "
			     "create it again",
			     (unsigned long long)size, (unsigned long long)now);
		return -EINVAL;
	}
	return grow_to(dev, lun, size);
}

static int gluster_reconfig(struct tcmu_device *dev, struct tcmulib_cfg_info *cfg)
{
	struct gluster_lun *lun = tcmur_dev_get_private(dev);

	switch (cfg->type) {
	case TCMULIB_CFG_DEV_SIZE:
		return resize(dev, lun, cfg->data.dev_size);
	case TCMULIB_CFG_WRITE_CACHE:
		return 0; /* the runner sets it, and flushes */
	case TCMULIB_CFG_DEV_CFGSTR:
		tcmu_dev_err(dev,
			     "glfs: a running logical unit cannot change to '%s'; delete it and "
			     "create it "
			     "again",
			     cfg->data.dev_cfgstring);
		return -EOPNOTSUPP;
	}
	return -EOPNOTSUPP;
}

/* ---- what the runner sees ---- */

/* libgfapi's own threads are ended by the end of the process. */
static void gluster_destroy(void)
{
	gluster_check_stop();
	gluster_volume_stop();
}

static struct tcmur_handler gluster_handler = {
	.name = "File of a GlusterFS volume",
	.subtype = GLUSTER_SUBTYPE,
	.cfg_desc =
		"glfs/VOLUME@HOST/PATH[;OPTION]...\n"
		"PATH: of a file within the volume, without ',' and ';'\n"
		"server=HOST: another server that knows the volume, tried after those before it\n"
		"port=N: of servers that have none of their own (default 24007)\n"
		"socket=PATH: of a glusterd on this machine; HOST may be left out then\n"
		"timeout=SECONDS: until a brick that says nothing is given up (default: the "
		"volume's "
		"network.ping-timeout)\n"
		"create: make a missing file, dev_size bytes large\n"
		"ro: read-only\n"
		"log=FILE, loglevel=N: libgfapi's messages (default "
		"/var/log/tcmu-runner-glfs.log, 4)",
	.cmd_priv_size = sizeof(struct gluster_cmd),
	.flags = TCMUR_HANDLER_FUA,
	.check_config = gluster_check_config,
	.reconfig = gluster_reconfig,
	.open = gluster_open,
	.close = gluster_close,
	.handle_cmd = gluster_handle_cmd,
	.read = gluster_read,
	.write = gluster_write,
	.flush = gluster_flush,
	.unmap = gluster_unmap,
	.writesame = gluster_writesame,
	.cancel = gluster_cancel,
	.destroy = gluster_destroy,
	.lba_status = gluster_lba_status,
	.load_saved = gluster_load_saved,
	.store_saved = gluster_store_saved,
	.provisioning = gluster_provisioning,
};

TCMUR_REGISTER_HANDLER(gluster_handler)
