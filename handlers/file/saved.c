/* SPDX-License-Identifier: Apache-2.0 */
/* Saved mode pages: an extended attribute of the file, which goes where the file goes. */
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "file.h"

#define ATTRIBUTE "user.tcmu.mode"

/* A block device's node is in a devtmpfs, which forgets. With ;ro nothing of the file is changed. */
ssize_t file_load_saved(struct tcmu_device *dev, void *data, size_t size)
{
	struct file_lun *lun = tcmur_dev_get_private(dev);
	ssize_t ret;

	if (lun->target.block_dev || lun->read_only)
		return -EOPNOTSUPP;
	ret = fgetxattr(lun->target.fd, ATTRIBUTE, data, size);
	if (ret >= 0)
		return ret;
	if (errno == ERANGE)
		tcmu_dev_warn(dev,
			      "the file's attribute " ATTRIBUTE " is not one of ours: ignored");
	return errno == ENODATA || errno == ERANGE ? 0 : -errno;
}

static void synced(struct tcmur_io *io, int64_t res)
{
	struct file_cmd *fc = (struct file_cmd *)io;

	if (res < 0)
		file_sync_failed(fc->dev, fc->lun, (int)-res);
	file_cmd_end(fc, res < 0 ? TCMU_STS_WR_ERR : TCMU_STS_OK);
}

static int64_t work_sync(struct tcmur_io *io)
{
	/* fdatasync(2) would leave the attribute out. */
	return fsync(((struct file_cmd *)io)->lun->target.fd) ? -errno : 0;
}

static int64_t work_store(struct tcmur_io *io)
{
	struct file_cmd *fc = (struct file_cmd *)io;

	return fsetxattr(fc->lun->target.fd, ATTRIBUTE, fc->saved, fc->len, 0) ? -errno : 0;
}

static void stored(struct tcmur_io *io, int64_t res)
{
	struct file_cmd *fc = (struct file_cmd *)io;

	if (res < 0) {
		tcmu_dev_err(fc->dev, "the file's attribute " ATTRIBUTE " cannot be set: %s",
			     strerror((int)-res));
		file_cmd_end(fc, res == -ENOSPC || res == -EDQUOT ? TCMU_STS_NO_SPACE
								  : TCMU_STS_WR_ERR);
		return;
	}
	io->done = synced;
	tcmur_io_work(fc->dev, io, work_sync);
}

int file_store_saved(struct tcmu_device *dev, struct tcmur_cmd *cmd, const void *data, size_t len)
{
	struct file_cmd *fc = file_cmd_begin(dev, cmd, stored);

	fc->saved = data;
	fc->len = len;
	tcmur_io_work(dev, &fc->io, work_store);
	return TCMU_STS_ASYNC_HANDLED;
}
