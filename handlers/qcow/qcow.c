/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The qcow handler: an image of QEMU's as a logical unit.
 *
 * options.c takes the config string apart; layer.c, with header.c, snapshot.c and lock.c, opens the image and
 * what it is backed by; find.c, over slices.c and map.c, says where bytes are; read.c and status.c run the
 * commands. This file is what the runner sees of them. tcmu-handler-qcow(7) is the manual.
 */
#include "qcow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "refuse.h"

#define MAX_XFER_BYTES (8u << 20) /* one command */

/* ---- commands --------------------------------------------------------------------------------- */

static void resumed(struct qcow_waiter *waiter, int err)
{
	struct qcow_cmd *qc =
		(struct qcow_cmd *)(void *)((char *)waiter - offsetof(struct qcow_cmd, waiter));

	if (err)
		qcow_cmd_fail(qc, -err);
	else
		qc->step(qc);
}

struct qcow_cmd *qcow_cmd_begin(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off,
				uint64_t len, void (*step)(struct qcow_cmd *qc))
{
	struct qcow_cmd *qc = tcmur_cmd_priv(cmd);

	qc->waiter.resume = resumed;
	qc->lun = tcmur_dev_get_private(dev);
	qc->cmd = cmd;
	qc->step = step;
	qc->pos = off;
	qc->end = off + len;
	qc->layer = NULL;
	return qc;
}

static int sts_of_errno(int err)
{
	switch (err) {
	case ENOMEM:
	case ENOBUFS:
		return TCMU_STS_NO_RESOURCE;
	case ECANCELED: /* nobody waits for the outcome */
		return TCMU_STS_ABORTED;
	default:
		return TCMU_STS_RD_ERR;
	}
}

void qcow_cmd_fail(struct qcow_cmd *qc, int err)
{
	struct qcow_lun *lun = qc->lun;
	int sts = sts_of_errno(err);

	/* What is damaged has been said; a storage that fails, fails often. */
	if (sts == TCMU_STS_RD_ERR && err != EUCLEAN && err != EBADMSG && lun->errno_said != err) {
		lun->errno_said = err;
		tcmu_dev_err(lun->dev,
			     "a read at byte %llu failed: %s (said again only after an error of "
			     "another kind)",
			     (unsigned long long)qc->pos, strerror(err));
	}
	tcmur_cmd_set_error_offset(qc->cmd, qc->pos);
	tcmur_cmd_complete(lun->dev, qc->cmd, sts);
}

/* ---- open ------------------------------------------------------------------------------------- */

/* dev_size, or without one the size of the disk. */
static int check_size(struct tcmu_device *dev, const struct qcow_layer *top, char **reason)
{
	uint64_t wanted = tcmu_dev_get_config_size(dev);
	uint32_t block_size = tcmu_dev_get_block_size(dev);

	if (wanted > top->size)
		return qcow_refuse(reason, EINVAL,
				   "the disk in '%s' has %llu bytes, dev_size is %llu; make it "
				   "larger (qemu-img resize), or give a smaller dev_size, or none "
				   "to use what is there",
				   top->path, (unsigned long long)top->size,
				   (unsigned long long)wanted);
	if (wanted)
		return 0;
	if (top->size < block_size)
		return qcow_refuse(reason, EINVAL,
				   "the disk in '%s' has %llu bytes, less than one block of %u",
				   top->path, (unsigned long long)top->size, block_size);
	if (top->size % block_size)
		tcmu_dev_warn(dev,
			      "the size of the disk in '%s', %llu bytes, is no multiple of the "
			      "block size %u; the last %llu bytes are not used",
			      top->path, (unsigned long long)top->size, block_size,
			      (unsigned long long)(top->size % block_size));
	tcmu_dev_set_num_lbas(dev, top->size / block_size);
	return 0;
}

static int check_layers(const struct qcow_layer *top, char **reason)
{
	for (const struct qcow_layer *layer = top; layer; layer = layer->backing) {
		if (layer->header.compression == QCOW_ZSTD && !qcow_can_unzstd())
			return qcow_refuse(reason, EOPNOTSUPP,
					   "'%s' is compressed with zstd, and this handler was "
					   "built without libzstd",
					   layer->path);
	}
	return 0;
}

/* What was never repaired, or never can be: what is there is served, since nothing is written. */
static void warn(struct tcmu_device *dev, const struct qcow_layer *top)
{
	for (const struct qcow_layer *layer = top; layer; layer = layer->backing) {
		if (layer->header.incompatible_features & QCOW_INCOMPAT_CORRUPT)
			tcmu_dev_warn(dev,
				      "'%s' is marked as corrupt: what is read of it may be wrong; "
				      "repair it with qemu-img check -r all",
				      layer->path);
	}
}

static void set_properties(struct tcmu_device *dev)
{
	uint32_t block_size = tcmu_dev_get_block_size(dev);

	tcmu_dev_set_max_xfer_len(dev, MAX_XFER_BYTES / block_size);
	tcmu_dev_set_solid_state_media(dev, true);
	tcmu_dev_set_write_cache_enabled(dev, false);
	tcmu_dev_set_write_protect_enabled(dev, true);
	tcmu_dev_set_unmap_enabled(dev, false);
}

static int open_lun(struct tcmu_device *dev, struct qcow_lun *lun, char **reason)
{
	struct qcow_options opts;
	int ret = qcow_options_parse(tcmu_dev_get_cfgstring(dev), &opts, reason);

	if (ret)
		return ret;
	lun->dev = dev;
	lun->top = qcow_layers_open(opts.path, opts.snapshot, true, &ret, reason);
	if (lun->top) {
		ret = check_layers(lun->top, reason);
		if (!ret)
			ret = check_size(dev, lun->top, reason);
		if (!ret)
			ret = qcow_slices_init(&lun->slices, dev, opts.cache);
	}
	qcow_options_free(&opts);
	return ret;
}

static void close_lun(struct qcow_lun *lun)
{
	qcow_slices_fini(&lun->slices);
	qcow_layers_close(lun->top);
	free(lun);
}

static int qcow_open(struct tcmu_device *dev, bool reopen)
{
	struct qcow_lun *lun = calloc(1, sizeof(*lun));
	char *reason = NULL;
	int ret = lun ? open_lun(dev, lun, &reason) : -ENOMEM;

	(void)reopen;
	if (ret) {
		tcmu_dev_err(dev, "qcow: %s", reason ? reason : strerror(-ret));
		if (lun)
			close_lun(lun);
	} else {
		warn(dev, lun->top);
		set_properties(dev);
		tcmur_dev_set_private(dev, lun);
	}
	free(reason);
	return ret;
}

static void qcow_close(struct tcmu_device *dev)
{
	close_lun(tcmur_dev_get_private(dev));
	tcmur_dev_set_private(dev, NULL);
}

static bool qcow_check_config(const char *cfgstring, char **reason)
{
	struct qcow_options opts;
	struct qcow_layer *top;
	int ret = qcow_options_parse(cfgstring, &opts, reason);

	if (ret)
		return false;
	top = qcow_layers_open(opts.path, opts.snapshot, false, &ret, reason);
	if (top)
		ret = check_layers(top, reason);
	qcow_layers_close(top);
	qcow_options_free(&opts);
	return !ret;
}

static int qcow_reconfig(struct tcmu_device *dev, struct tcmulib_cfg_info *cfg)
{
	if (cfg->type == TCMULIB_CFG_WRITE_CACHE)
		return 0; /* the runner sets it; nothing is ever in it */
	tcmu_dev_err(dev,
		     "qcow: a running logical unit cannot change its %s; delete it and create "
		     "it again",
		     cfg->type == TCMULIB_CFG_DEV_SIZE ? "size" : "config string");
	return -EOPNOTSUPP;
}

/* ---- what the runner sees ---------------------------------------------------------------------- */

static int qcow_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		      size_t iov_cnt, size_t len, off_t off)
{
	(void)dev, (void)cmd, (void)iov, (void)iov_cnt, (void)len, (void)off;
	return TCMU_STS_WRITE_PROTECTED;
}

static struct tcmur_handler qcow_handler = {
	.name = "qcow2 image",
	.subtype = QCOW_SUBTYPE,
	.cfg_desc = "qcow/PATH;ro[;OPTION]...\n"
		    "PATH: absolute, of an image of QEMU's: qcow, qcow2 (qcow//srv/disk.qcow2), "
		    "without ',' and ';'\n"
		    "ro: read-only, which is all that is possible so far\n"
		    "snapshot=NAME: the disk as it was when this snapshot in the image was made\n"
		    "cache=BYTES: how much memory L2 tables may take (32M)",
	.cmd_priv_size = sizeof(struct qcow_cmd),
	.check_config = qcow_check_config,
	.reconfig = qcow_reconfig,
	.open = qcow_open,
	.close = qcow_close,
	.read = qcow_read,
	.write = qcow_write,
	.lba_status = qcow_lba_status,
};

TCMUR_REGISTER_HANDLER(qcow_handler)
