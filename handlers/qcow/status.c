/* SPDX-License-Identifier: Apache-2.0 */
/* GET LBA STATUS: what some layer has is mapped. */
#include <errno.h>

#include "qcow.h"

#define LOOKS_MOST 4096 /* an initiator asks again from where we stop */

static void add(struct qcow_cmd *qc)
{
	bool deallocated = qc->place.where == QCOW_ZEROS && !qc->place.stored;
	struct tcmur_extent *last = qc->count ? &qc->extents[qc->count - 1] : NULL;

	if (last && last->deallocated == deallocated)
		last->len += qc->place.len;
	else
		qc->extents[qc->count++] = (struct tcmur_extent) { qc->place.len, deallocated };
	qc->pos += qc->place.len;
}

static void status_step(struct qcow_cmd *qc)
{
	while (qc->pos < qc->end && qc->count < qc->max && qc->looks++ < LOOKS_MOST) {
		int ret = qcow_find(qc);

		if (ret == 0)
			return;
		if (ret < 0 && qc->count == 0) {
			qcow_cmd_fail(qc, -ret);
			return;
		}
		if (ret < 0)
			break; /* said when it is asked from there */
		add(qc);
	}
	qcow_cmd_end(qc);
}

int qcow_lba_status(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
		    struct tcmur_extent *extents, size_t max)
{
	struct qcow_cmd *qc = qcow_cmd_begin(dev, cmd, off, len, status_step);

	qc->extents = extents;
	qc->max = max;
	qc->count = 0;
	qc->looks = 0;
	status_step(qc);
	return TCMU_STS_ASYNC_HANDLED;
}
