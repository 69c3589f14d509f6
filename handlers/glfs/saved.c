/* SPDX-License-Identifier: Apache-2.0 */
/* Saved mode pages: an extended attribute of the file, which goes where the file goes. */
#include <errno.h>
#include <string.h>

#include "gluster.h"

#define ATTRIBUTE "user.tcmu.mode"

/* With ;ro nothing of the file is changed. */
ssize_t gluster_load_saved(struct tcmu_device *dev, void *data, size_t size)
{
	struct gluster_lun *lun = tcmur_dev_get_private(dev);
	ssize_t ret;

	if (lun->read_only)
		return -EOPNOTSUPP;
	ret = glfs_fgetxattr(lun->target.fd, ATTRIBUTE, data, size);
	if (ret >= 0)
		return ret;
	if (errno == ERANGE)
		tcmu_dev_warn(dev,
			      "the file's attribute " ATTRIBUTE " is not one of ours: ignored");
	return errno == ENODATA || errno == ERANGE ? 0 : -errno;
}

static int64_t work_store(struct tcmur_io *io)
{
	struct gluster_cmd *gc = (struct gluster_cmd *)io;
	glfs_fd_t *fd = gc->lun->target.fd;

	if (glfs_fsetxattr(fd, ATTRIBUTE, gc->saved, gc->len, 0) || glfs_fsync(fd, NULL, NULL))
		return -errno;
	return 0;
}

static void stored(struct tcmur_io *io, int64_t res)
{
	struct gluster_cmd *gc = (struct gluster_cmd *)io;

	if (res < 0)
		gluster_cmd_fail(gc, (int)-res);
	else
		gluster_cmd_end(gc, TCMU_STS_OK);
}

int gluster_store_saved(struct tcmu_device *dev, struct tcmur_cmd *cmd, const void *data,
			size_t len)
{
	struct gluster_cmd *gc = gluster_cmd_begin(
		dev, cmd, "setting the attribute " ATTRIBUTE " of the file", TCMU_STS_WR_ERR);

	gc->saved = data;
	gc->len = len;
	gc->off = 0;
	gc->io.done = stored;
	tcmur_io_work(dev, &gc->io, work_store);
	return TCMU_STS_ASYNC_HANDLED;
}
