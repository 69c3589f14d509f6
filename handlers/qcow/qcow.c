/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The qcow handler: an image of QEMU's as a logical unit.
 *
 * options.c takes the config string apart; layer.c, with header.c, snapshot.c and lock.c, opens the image and
 * what it is backed by; find.c, over slices.c and map.c, says where bytes are; read.c, write.c, sync.c and
 * status.c run the commands. keeper.c has clusters for those that write, out of refcount.c, and commit.c enters
 * them. This file is what the runner sees of them. tcmu-handler-qcow(7) is the manual.
 */
#include "qcow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "refuse.h"

#define MAX_XFER_BYTES  (8u << 20)    /* one command */
#define MAX_UNMAP_BYTES (1024u << 20) /* one descriptor */
#define FILES_MOST      4

/* ---- commands --------------------------------------------------------------------------------- */

void qcow_cmd_resumed(struct qcow_waiter *waiter, int err)
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
	struct qcow_lun *lun = tcmur_dev_get_private(dev);

	*qc = (struct qcow_cmd) {
		.waiter.resume = qcow_cmd_resumed,
		.lun = lun,
		.cmd = cmd,
		.step = step,
		.pos = off,
		.end = off + len,
		.fail_sts = TCMU_STS_RD_ERR,
		.parity = lun->epoch & 1,
	};
	lun->running[qc->parity]++;
	return qc;
}

void qcow_epoch_try(struct qcow_lun *lun)
{
	for (unsigned int n = 0; n < 2 && !lun->running[(lun->epoch + 1) & 1]; n++)
		lun->epoch++;
}

void qcow_cmd_renew(struct qcow_cmd *qc)
{
	struct qcow_lun *lun = qc->lun;

	lun->running[qc->parity]--;
	qc->parity = lun->epoch & 1;
	lun->running[qc->parity]++;
}

void qcow_cmd_unpin(struct qcow_cmd *qc)
{
	if (--qc->pins == 0 && qc->ended)
		tcmur_cmd_complete(qc->lun->dev, qc->cmd, qc->sts);
}

static void end(struct qcow_cmd *qc, int sts)
{
	struct qcow_lun *lun = qc->lun;

	lun->running[qc->parity]--;
	if (lun->writable)
		qcow_keeper_reclaim(qc);
	qc->sts = sts;
	qc->ended = true;
	if (!qc->pins)
		tcmur_cmd_complete(lun->dev, qc->cmd, sts);
}

void qcow_cmd_end(struct qcow_cmd *qc)
{
	if (qc->finish)
		qc->finish(qc, 0);
	else
		end(qc, TCMU_STS_OK);
}

static int sts_of_errno(int err, int fail_sts)
{
	switch (err) {
	case ENOMEM:
	case ENOBUFS:
		return TCMU_STS_NO_RESOURCE;
	case ECANCELED: /* nobody waits for the outcome */
		return TCMU_STS_ABORTED;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return fail_sts == TCMU_STS_WR_ERR ? TCMU_STS_NO_SPACE : fail_sts;
	default:
		return fail_sts;
	}
}

void qcow_cmd_fail(struct qcow_cmd *qc, int err)
{
	struct qcow_lun *lun = qc->lun;
	int sts = sts_of_errno(err, qc->fail_sts);

	if (qc->finish) {
		qc->finish(qc, err);
		return;
	}
	/* What is damaged has been said; a storage that fails, fails often. */
	if (sts != TCMU_STS_NO_RESOURCE && sts != TCMU_STS_ABORTED && err != EUCLEAN &&
	    err != EBADMSG && lun->errno_said != err) {
		lun->errno_said = err;
		tcmu_dev_err(lun->dev,
			     "a %s at byte %llu failed: %s (said again only after an error of "
			     "another kind)",
			     qc->fail_sts == TCMU_STS_WR_ERR ? "write" : "read",
			     (unsigned long long)qc->pos, strerror(err));
	}
	tcmur_cmd_set_error_offset(qc->cmd, qc->pos);
	end(qc, sts);
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

static void set_properties(struct tcmu_device *dev, const struct qcow_lun *lun,
			   const struct qcow_options *opts)
{
	const struct qcow_header *h = &lun->top->header;
	uint32_t block_size = tcmu_dev_get_block_size(dev);
	uint64_t unit = qcow_unit_bytes(h);
	uint32_t exponent = 0;

	while (block_size << exponent < opts->phys_size) /* both are powers of two */
		exponent++;
	tcmu_dev_set_phys_exponent(dev, exponent);
	tcmu_dev_set_removable(dev, opts->removable);
	tcmu_dev_set_max_xfer_len(dev, MAX_XFER_BYTES / block_size);
	tcmu_dev_set_solid_state_media(dev, true);
	tcmu_dev_set_write_cache_enabled(dev, lun->writable);
	tcmu_dev_set_write_protect_enabled(dev, !lun->writable);
	/* In versions 1 and 2 zeros cannot hide what a backing file has. */
	tcmu_dev_set_unmap_enabled(dev, h->version >= 3 || !lun->top->backing);
	tcmu_dev_set_unmap_zeroes(dev, true);
	tcmu_dev_set_max_unmap_len(dev, (uint32_t)(MAX_UNMAP_BYTES / block_size));
	tcmu_dev_set_unmap_gran_align(dev, 0);
	tcmu_dev_set_opt_unmap_gran(dev, unit > block_size ? (uint32_t)(unit / block_size) : 1);
}

static int open_lun(struct tcmu_device *dev, struct qcow_lun *lun, char **reason)
{
	struct qcow_options opts;
	int ret = qcow_options_parse(tcmu_dev_get_cfgstring(dev), &opts, reason);

	if (ret)
		return ret;
	lun->dev = dev;
	lun->top = qcow_layers_open(opts.path, opts.snapshot,
				    opts.read_only ? QCOW_READ : QCOW_WRITE, &ret, reason);
	if (lun->top) {
		ret = check_layers(lun->top, reason);
		if (!ret)
			ret = check_size(dev, lun->top, reason);
		if (!ret)
			ret = qcow_slices_init(&lun->slices, dev, opts.cache);
		if (!ret && !opts.read_only)
			ret = qcow_writable_open(lun, reason);
		if (!ret)
			set_properties(dev, lun, &opts);
	}
	qcow_options_free(&opts);
	return ret;
}

/* The engine takes four: those that are asked first. */
static void add_files(struct tcmu_device *dev, const struct qcow_lun *lun, bool add)
{
	unsigned int n = 0;

	for (const struct qcow_layer *l = lun->top; l && n < FILES_MOST; l = l->backing) {
		(add ? tcmur_io_add_fd : tcmur_io_remove_fd)(dev, l->fd);
		n++;
		if (l->data_fd != l->fd && n++ < FILES_MOST)
			(add ? tcmur_io_add_fd : tcmur_io_remove_fd)(dev, l->data_fd);
	}
}

static void close_lun(struct qcow_lun *lun)
{
	if (lun->top)
		qcow_writable_close(lun);
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
		tcmur_dev_set_private(dev, lun);
		add_files(dev, lun, true);
	}
	free(reason);
	return ret;
}

static void qcow_close(struct tcmu_device *dev)
{
	struct qcow_lun *lun = tcmur_dev_get_private(dev);

	add_files(dev, lun, false);
	close_lun(lun);
	tcmur_dev_set_private(dev, NULL);
}

static bool qcow_check_config(const char *cfgstring, char **reason)
{
	struct qcow_options opts;
	struct qcow_layer *top;
	int ret = qcow_options_parse(cfgstring, &opts, reason);

	if (ret)
		return false;
	top = qcow_layers_open(opts.path, opts.snapshot, QCOW_LOOK, &ret, reason);
	if (top)
		ret = check_layers(top, reason);
	qcow_layers_close(top);
	qcow_options_free(&opts);
	return !ret;
}

static int resize(struct tcmu_device *dev, struct qcow_lun *lun, uint64_t size)
{
	uint32_t block_size = tcmu_dev_get_block_size(dev);
	uint64_t now = tcmu_lba_to_byte(dev, tcmu_dev_get_num_lbas(dev));
	char *reason = NULL;
	int ret = 0;

	if (!size || size % block_size)
		ret = qcow_refuse(&reason, EINVAL,
				  "dev_size %llu is no multiple of the block size %u",
				  (unsigned long long)size, block_size);
	else if (size < now)
		ret = qcow_refuse(
			&reason, EINVAL,
			"dev_size %llu is less than the %llu bytes of the logical unit: data "
			"would be lost. To make it smaller all the same, delete it and create "
			"it again",
			(unsigned long long)size, (unsigned long long)now);
	else if (size > lun->top->size && !lun->writable)
		ret = qcow_refuse(
			&reason, EROFS,
			"the disk in '%s' has %llu bytes, less than the new dev_size %llu, and "
			"with the option ;ro it is not made larger",
			lun->top->path, (unsigned long long)lun->top->size,
			(unsigned long long)size);
	else if (size > lun->top->size)
		ret = qcow_grow(lun, size, &reason);
	if (ret)
		tcmu_dev_err(dev, "qcow: %s", reason ? reason : strerror(-ret));
	free(reason);
	return ret;
}

static int qcow_reconfig(struct tcmu_device *dev, struct tcmulib_cfg_info *cfg)
{
	switch (cfg->type) {
	case TCMULIB_CFG_DEV_SIZE:
		return resize(dev, tcmur_dev_get_private(dev), cfg->data.dev_size);
	case TCMULIB_CFG_WRITE_CACHE:
		return 0; /* the runner sets it, and flushes */
	case TCMULIB_CFG_DEV_CFGSTR:
		break;
	}
	tcmu_dev_err(dev,
		     "qcow: a running logical unit cannot change its config string; delete it and "
		     "create it again");
	return -EOPNOTSUPP;
}

/* ---- what the runner sees ---------------------------------------------------------------------- */

static struct tcmur_handler qcow_handler = {
	.name = "qcow2 image",
	.subtype = QCOW_SUBTYPE,
	.cfg_desc = "qcow/PATH[;OPTION]...\n"
		    "PATH: absolute, of an image of QEMU's: qcow, qcow2 (qcow//srv/disk.qcow2), "
		    "without ',' and ';'\n"
		    "ro: read-only\n"
		    "snapshot=NAME: the disk as it was when this snapshot in the image was made; "
		    "with ro\n"
		    "cache=BYTES: how much memory L2 tables may take (32M)\n"
		    "removable: a medium that initiators can eject and load\n"
		    "phys=BYTES: the size of a physical block, as initiators see it",
	.cmd_priv_size = sizeof(struct qcow_cmd),
	.flags = TCMUR_HANDLER_FUA,
	.check_config = qcow_check_config,
	.reconfig = qcow_reconfig,
	.open = qcow_open,
	.close = qcow_close,
	.read = qcow_read,
	.write = qcow_write,
	.flush = qcow_flush,
	.unmap = qcow_unmap,
	.writesame = qcow_writesame,
	.lba_status = qcow_lba_status,
	.provisioning = qcow_provisioning,
};

TCMUR_REGISTER_HANDLER(qcow_handler)
