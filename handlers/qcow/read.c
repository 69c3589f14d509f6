/* SPDX-License-Identifier: Apache-2.0 */
/* Place by place, until all of the command's bytes are there. */
#include <errno.h>

#include "qcow.h"

static void zeros(struct qcow_cmd *qc, uint64_t len)
{
	if (!len)
		return;
	qcow_cut(qc, len);
	tcmu_iovec_zero(qc->iov, qc->cut_cnt);
	qcow_advance(qc, len);
}

static void read_done(struct tcmur_io *io, int64_t res)
{
	struct qcow_cmd *qc = (struct qcow_cmd *)io;
	uint64_t len = qc->place.len;

	if (res < 0) {
		qcow_uncut(qc);
		qc->pos += tcmur_io_progress(io);
		qcow_cmd_fail(qc, (int)-res);
		return;
	}
	qcow_advance(qc, (uint64_t)res);
	/* A file may end before its last cluster does, and what is cut off reads as zeros. */
	zeros(qc, len - (uint64_t)res);
	qc->step(qc);
}

static int64_t work_inflate(struct tcmur_io *io)
{
	struct qcow_cmd *qc = (struct qcow_cmd *)io;

	return qcow_work_inflate(qc->found, &qc->place, qc->iov, qc->cut_cnt);
}

static void inflated(struct tcmur_io *io, int64_t res)
{
	struct qcow_cmd *qc = (struct qcow_cmd *)io;

	if (res < 0) {
		if (res == -EBADMSG && !qc->found->corrupt_said) {
			tcmu_dev_err(
				qc->lun->dev,
				"'%s' is damaged: the compressed cluster at byte %llu, for byte "
				"%llu of the disk, cannot be decompressed (said once for this "
				"file)",
				qc->found->path, (unsigned long long)qc->place.off,
				(unsigned long long)qc->pos);
			qc->found->corrupt_said = true;
		}
		qcow_cmd_fail(qc, (int)-res);
		return;
	}
	qcow_advance(qc, qc->place.len);
	qc->step(qc);
}

/* True: goes on at once. */
static bool read_place(struct qcow_cmd *qc)
{
	switch (qc->place.where) {
	case QCOW_DATA:
		qcow_cut(qc, qc->place.len);
		qc->io.done = read_done;
		tcmur_io_readv(qc->lun->dev, &qc->io, qc->found->data_fd, qc->iov, qc->cut_cnt,
			       (off_t)qc->place.off);
		return false;
	case QCOW_COMPRESSED:
		qcow_cut(qc, qc->place.len);
		qc->io.done = inflated;
		tcmur_io_work(qc->lun->dev, &qc->io, work_inflate);
		return false;
	case QCOW_ZEROS:
	case QCOW_ELSEWHERE:
		break;
	}
	zeros(qc, qc->place.len);
	return true;
}

void qcow_read_step(struct qcow_cmd *qc)
{
	while (qc->pos < qc->end) {
		int ret = qcow_find(qc);

		if (ret == 0)
			return;
		if (ret < 0) {
			qcow_cmd_fail(qc, -ret);
			return;
		}
		if (!read_place(qc))
			return;
	}
	qcow_cmd_end(qc);
}

int qcow_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
	      size_t len, off_t off)
{
	struct qcow_cmd *qc = qcow_cmd_begin(dev, cmd, (uint64_t)off, len, qcow_read_step);

	qc->iov = iov;
	qc->iov_cnt = iov_cnt;
	qcow_read_step(qc);
	return TCMU_STS_ASYNC_HANDLED;
}
