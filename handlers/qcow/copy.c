/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster that is written in part, and has old contents that are somewhere else: these are read into a
 * buffer, the new ones are put over them, and all of it is written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qcow.h"

#define COPIES_BYTES (4u << 20)
#define COPIES_LEAST 2
#define COPIES_MOST  32
#define COPY_ALIGN   4096

int qcow_copies_init(struct qcow_lun *lun)
{
	size_t bytes = (size_t)1 << lun->top->header.cluster_bits;
	size_t room = bytes < COPY_ALIGN ? COPY_ALIGN : bytes;
	size_t count = COPIES_BYTES / bytes;

	if (count < COPIES_LEAST)
		count = COPIES_LEAST;
	if (count > COPIES_MOST)
		count = COPIES_MOST;
	while (count--) {
		struct qcow_copy *copy = calloc(1, sizeof(*copy));

		if (!copy)
			return -ENOMEM;
		copy->next_of_all = lun->all_copies;
		lun->all_copies = copy;
		copy->next = lun->copies;
		lun->copies = copy;
		copy->room.iov_base = aligned_alloc(COPY_ALIGN, room);
		copy->room.iov_len = bytes;
		if (!copy->room.iov_base)
			return -ENOMEM;
	}
	lun->zeros = aligned_alloc(COPY_ALIGN, QCOW_ZEROS_BYTES);
	if (!lun->zeros)
		return -ENOMEM;
	memset(lun->zeros, 0, QCOW_ZEROS_BYTES);
	return 0;
}

void qcow_copies_fini(struct qcow_lun *lun)
{
	while (lun->all_copies) {
		struct qcow_copy *copy = lun->all_copies;

		lun->all_copies = copy->next_of_all;
		free(copy->room.iov_base);
		free(copy);
	}
	free(lun->zeros);
}

bool qcow_copy_get(struct qcow_cmd *qc)
{
	struct qcow_lun *lun = qc->lun;

	qc->copy = lun->copies;
	if (!qc->copy) {
		qc->waiter.next = lun->for_copy;
		lun->for_copy = &qc->waiter;
		return false;
	}
	lun->copies = qc->copy->next;
	return true;
}

void qcow_copy_put(struct qcow_cmd *qc)
{
	struct qcow_lun *lun = qc->lun;
	struct qcow_waiter *waiter;

	if (!qc->copy)
		return;
	qc->copy->next = lun->copies;
	lun->copies = qc->copy;
	qc->copy = NULL;
	/* Who is woken may not need one any more, or have to wait for something else first. */
	while (lun->copies && (waiter = lun->for_copy)) {
		lun->for_copy = waiter->next;
		waiter->resume(waiter, 0);
	}
}

static void finished(struct qcow_cmd *read, int err)
{
	struct qcow_copy *copy = (struct qcow_copy *)read;

	copy->done(copy->owner, err);
}

void qcow_copy_read(struct qcow_cmd *qc, uint64_t pos, uint64_t len,
		    void (*done)(struct qcow_cmd *owner, int err))
{
	struct qcow_copy *copy = qc->copy;
	struct qcow_cmd *read = &copy->read;

	copy->owner = qc;
	copy->done = done;
	copy->iov = (struct iovec) { copy->room.iov_base, (size_t)len };
	*read = (struct qcow_cmd) {
		.waiter.resume = qcow_cmd_resumed,
		.lun = qc->lun,
		.step = qcow_read_step,
		.finish = finished,
		.pos = pos,
		.end = pos + len,
		.iov = &copy->iov,
		.iov_cnt = 1,
	};
	qcow_read_step(read);
}
