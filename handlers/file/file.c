/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file handler: a regular file or a block device as a logical unit, byte for byte.
 *
 * options.c takes the config string apart, target.c and lock.c open what it names, io.c runs the
 * commands, and this file is what the runner sees of them. tcmu-handler-file(7) is the manual.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "journal.h"

#define MAX_XFER_BYTES  (8u << 20)   /* one command */
#define MAX_UNMAP_BYTES (1ull << 30) /* one UNMAP: what a file system does well below a second */

/* ---- open ---- */

static int check_block_size(const struct file_options *opts, const struct file_target *target,
			    uint32_t block_size, char **reason)
{
	int ret;

	if (opts->phys_size && opts->phys_size < block_size)
		return file_refuse(
			reason, EINVAL,
			"a physical block of %u bytes (phys) cannot hold a logical block "
			"of %u; write phys=%u or more, or leave the option out",
			opts->phys_size, block_size, block_size);
	if (!opts->direct)
		return 0;
	if (block_size % target->block_size)
		return file_refuse(reason, EINVAL,
				   "the logical unit has blocks of %u bytes, '%s' needs I/O in "
				   "multiples of %u with the option ;direct; set "
				   "hw_block_size=%u or leave the option out",
				   block_size, opts->path, target->block_size, target->block_size);
	ret = file_target_probe_direct(target->fd, block_size);
	if (ret)
		return file_refuse(reason, -ret,
				   "reading %u bytes of '%s' with O_DIRECT failed: %s; set "
				   "hw_block_size=4096 or leave the option ;direct out",
				   block_size, opts->path, strerror(-ret));
	return 0;
}

/* dev_size, or without one the size of what is there. */
static int check_size(struct tcmu_device *dev, const struct file_options *opts,
		      const struct file_target *target, char **reason)
{
	uint64_t wanted = tcmu_dev_get_config_size(dev);
	uint32_t block_size = tcmu_dev_get_block_size(dev);

	if (wanted && wanted < block_size)
		return file_refuse(reason, EINVAL,
				   "dev_size %llu is less than one block of %u bytes",
				   (unsigned long long)wanted, block_size);
	if (target->size < wanted)
		return file_refuse(reason, EINVAL,
				   "'%s' has %llu bytes, dev_size is %llu; make it larger "
				   "(truncate -s %llu), or give a smaller dev_size, or none to use "
				   "what is there",
				   opts->path, (unsigned long long)target->size,
				   (unsigned long long)wanted, (unsigned long long)wanted);
	if (wanted)
		return 0;
	if (target->size < block_size)
		return file_refuse(reason, EINVAL,
				   "'%s' has %llu bytes, less than one block of %u; set dev_size "
				   "and add the option ;create",
				   opts->path, (unsigned long long)target->size, block_size);
	if (target->size % block_size)
		tcmu_dev_warn(dev,
			      "the size of '%s', %llu bytes, is no multiple of the block size %u; "
			      "the last %llu bytes are not used",
			      opts->path, (unsigned long long)target->size, block_size,
			      (unsigned long long)(target->size % block_size));
	tcmu_dev_set_num_lbas(dev, target->size / block_size);
	return 0;
}

/* How many times b fits into a, as a logarithm; both are powers of two. */
static uint32_t log2_ratio(uint32_t a, uint32_t b)
{
	uint32_t exponent = 0;

	while (b < a) {
		b <<= 1;
		exponent++;
	}
	return exponent;
}

static void set_properties(struct tcmu_device *dev, const struct file_lun *lun,
			   const struct file_options *opts)
{
	const struct file_target *target = &lun->target;
	uint32_t block_size = tcmu_dev_get_block_size(dev);

	tcmu_dev_set_max_xfer_len(dev, MAX_XFER_BYTES / block_size);
	tcmu_dev_set_phys_exponent(
		dev, log2_ratio(opts->phys_size ? opts->phys_size : target->phys_size, block_size));
	tcmu_dev_set_solid_state_media(dev, !target->rotational);
	tcmu_dev_set_write_cache_enabled(dev, !lun->read_only);
	tcmu_dev_set_write_protect_enabled(dev, lun->read_only);
	tcmu_dev_set_removable(dev, opts->removable);
	tcmu_dev_set_max_atomic_len(dev, lun->journal ? FILE_ATOMIC_MAX / block_size : 0);

	tcmu_dev_set_unmap_enabled(dev, target->unmap); /* also with ;ro, where it is refused */
	tcmu_dev_set_unmap_zeroes(dev, !target->discard);
	tcmu_dev_set_max_unmap_len(dev, (uint32_t)(MAX_UNMAP_BYTES / block_size));
	tcmu_dev_set_unmap_gran_align(dev, 0);
	tcmu_dev_set_opt_unmap_gran(
		dev, target->unmap_gran > block_size ? target->unmap_gran / block_size : 1);
}

static int open_lun(struct tcmu_device *dev, struct file_lun *lun, const struct file_options *opts,
		    char **reason)
{
	int ret = file_target_open(opts, dev, tcmu_dev_get_config_size(dev), &lun->target, reason);

	if (ret)
		return ret;
	ret = check_size(dev, opts, &lun->target, reason);
	if (!ret)
		ret = check_block_size(opts, &lun->target, tcmu_dev_get_block_size(dev), reason);
	if (!ret)
		ret = file_journal_open(opts, &lun->target, &lun->journal, reason);
	if (ret)
		file_target_close(&lun->target);
	return ret;
}

static int file_open(struct tcmu_device *dev, bool reopen)
{
	struct file_lun *lun = calloc(1, sizeof(*lun));
	struct file_options opts = { 0 };
	char *reason = NULL;
	int ret = lun ? 0 : -ENOMEM;

	(void)reopen;
	if (!ret)
		ret = file_options_parse(tcmu_dev_get_cfgstring(dev), &opts, &reason);
	if (!ret)
		ret = open_lun(dev, lun, &opts, &reason);
	if (ret) {
		tcmu_dev_err(dev, "file: %s", reason ? reason : strerror(-ret));
		free(lun);
	} else {
		lun->direct = opts.direct;
		lun->read_only = opts.read_only;
		set_properties(dev, lun, &opts);
		tcmur_dev_set_private(dev, lun);
		tcmur_io_add_fd(dev, lun->target.fd);
	}
	free(reason);
	file_options_free(&opts);
	return ret;
}

/* What was not flushed stays in the page cache: not flushing is the initiator's choice. */
static void file_close(struct tcmu_device *dev)
{
	struct file_lun *lun = tcmur_dev_get_private(dev);

	tcmur_io_remove_fd(dev, lun->target.fd);
	if (lun->journal)
		file_journal_close(lun->journal, lun->target.fd);
	file_target_close(&lun->target);
	free(lun);
	tcmur_dev_set_private(dev, NULL);
}

static bool file_check_config(const char *cfgstring, char **reason)
{
	struct file_options opts;
	struct file_target target;
	int ret;

	ret = file_options_parse(cfgstring, &opts, reason);
	if (ret)
		return false;
	ret = file_target_open(&opts, NULL, 0, &target, reason);
	if (!ret) {
		ret = file_journal_check(&opts, &target, reason);
		file_target_close(&target);
	}
	file_options_free(&opts);
	return !ret;
}

/* ---- reconfig ---- */

static int grow_to(struct tcmu_device *dev, struct file_lun *lun, uint64_t size)
{
	int64_t have = file_target_size(lun->target.fd, lun->target.block_dev);

	if (have < 0) {
		tcmu_dev_err(dev, "file: its size cannot be found: %s", strerror((int)-have));
		return (int)have;
	}
	if ((uint64_t)have >= size)
		return 0;
	if (lun->target.block_dev) {
		tcmu_dev_err(
			dev,
			"file: the block device has %lld bytes, less than the new dev_size %llu; "
			"make it larger first",
			(long long)have, (unsigned long long)size);
		return -EINVAL;
	}
	if (lun->read_only) {
		tcmu_dev_err(dev,
			     "file: the file has %lld bytes, less than the new dev_size %llu, and "
			     "with the option ;ro it is not made larger",
			     (long long)have, (unsigned long long)size);
		return -EROFS;
	}
	if (ftruncate(lun->target.fd, (off_t)size)) {
		int ret = -errno;

		tcmu_dev_err(dev, "file: it cannot be made %llu bytes large: %s",
			     (unsigned long long)size, strerror(-ret));
		return ret;
	}
	return 0;
}

static int resize(struct tcmu_device *dev, struct file_lun *lun, uint64_t size)
{
	uint32_t block_size = tcmu_dev_get_block_size(dev);
	uint64_t now = tcmu_lba_to_byte(dev, tcmu_dev_get_num_lbas(dev));

	if (!size || size % block_size) {
		tcmu_dev_err(dev, "file: dev_size %llu is no multiple of the block size %u",
			     (unsigned long long)size, block_size);
		return -EINVAL;
	}
	if (size < now) {
		tcmu_dev_err(dev,
			     "file: dev_size %llu is less than the %llu bytes of the logical unit: "
			     "data would be lost. To make it smaller all the same, delete it and "
			     "create it again",
			     (unsigned long long)size, (unsigned long long)now);
		return -EINVAL;
	}
	return grow_to(dev, lun, size);
}

static int file_reconfig(struct tcmu_device *dev, struct tcmulib_cfg_info *cfg)
{
	struct file_lun *lun = tcmur_dev_get_private(dev);

	switch (cfg->type) {
	case TCMULIB_CFG_DEV_SIZE:
		return resize(dev, lun, cfg->data.dev_size);
	case TCMULIB_CFG_WRITE_CACHE:
		return 0; /* the runner sets it, and flushes */
	case TCMULIB_CFG_DEV_CFGSTR:
		tcmu_dev_err(dev,
			     "file: a running logical unit cannot change to '%s'; delete it and "
			     "create it again",
			     cfg->data.dev_cfgstring);
		return -EOPNOTSUPP;
	}
	return -EOPNOTSUPP;
}

/* ---- what the runner sees ---- */

static struct tcmur_handler file_handler = {
	.name = "File or block device",
	.subtype = FILE_SUBTYPE,
	.cfg_desc = "file/PATH[;OPTION]...\n"
		    "PATH: absolute, of a regular file or a block device (file//srv/disk.img), "
		    "without ',' and ';'\n"
		    "direct: O_DIRECT, without the page cache\n"
		    "ro: read-only\n"
		    "create: make a missing file, dev_size bytes large\n"
		    "removable: a medium that initiators can eject and load\n"
		    "atomic: WRITE ATOMIC(16) of up to 128 KiB, with a journal in PATH.atomic; a "
		    "regular file only\n"
		    "phys=BYTES: the size of a physical block, as initiators see it",
	.cmd_priv_size = sizeof(struct file_cmd),
	.flags = TCMUR_HANDLER_FUA,
	.check_config = file_check_config,
	.reconfig = file_reconfig,
	.open = file_open,
	.close = file_close,
	.read = file_read,
	.write = file_write,
	.flush = file_flush,
	.unmap = file_unmap,
	.writesame = file_writesame,
	.lba_status = file_lba_status,
	.load_saved = file_load_saved,
	.store_saved = file_store_saved,
	.provisioning = file_provisioning,
};

TCMUR_REGISTER_HANDLER(file_handler)
