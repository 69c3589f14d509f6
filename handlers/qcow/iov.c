/* SPDX-License-Identifier: Apache-2.0 */
/* A command's iovecs, piece by piece. */
#include "qcow.h"

void qcow_cut(struct qcow_cmd *qc, uint64_t len)
{
	size_t n = 0;

	while (qc->iov[n].iov_len < len)
		len -= qc->iov[n++].iov_len;
	qc->cut_cnt = n + 1;
	qc->cut_off = qc->iov[n].iov_len - (size_t)len;
	qc->iov[n].iov_len = (size_t)len;
}

void qcow_uncut(struct qcow_cmd *qc)
{
	if (qc->cut_cnt)
		qc->iov[qc->cut_cnt - 1].iov_len += qc->cut_off;
	qc->cut_cnt = 0;
}

void qcow_advance(struct qcow_cmd *qc, uint64_t len)
{
	size_t used;

	qcow_uncut(qc);
	used = tcmu_iovec_seek(qc->iov, (size_t)len);
	qc->iov += used;
	qc->iov_cnt -= used;
	qc->pos += len;
}
