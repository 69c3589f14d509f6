/* SPDX-License-Identifier: Apache-2.0 */
/* From layer to layer, down to the one that has it. */
#include <errno.h>

#include "qcow.h"

int qcow_say_damaged(struct qcow_lun *lun, struct qcow_layer *layer, uint64_t pos, const char *what)
{
	if (!layer->corrupt_said)
		tcmu_dev_err(lun->dev,
			     "'%s' is damaged: for byte %llu of the disk it has %s; check it with "
			     "qemu-img check (said once for this file)",
			     layer->path, (unsigned long long)pos, what);
	layer->corrupt_said = true;
	/* Nobody knows what writing would destroy. */
	if (lun->writable && layer == lun->top)
		lun->damaged = true;
	return -EUCLEAN;
}

static int say_corrupt(struct qcow_cmd *qc, struct qcow_layer *layer, const char *what)
{
	return qcow_say_damaged(qc->lun, layer, qc->pos, what);
}

/* As qcow_find(), in an image. */
static int look_in(struct qcow_cmd *qc, struct qcow_layer *layer)
{
	const struct qcow_header *h = &layer->header;
	uint32_t l1_shift = h->cluster_bits + h->l2_bits;
	uint64_t span = qcow_slice_span(h);
	uint64_t table = qcow_l2_table(h, layer->l1[qc->pos >> l1_shift]);
	uint64_t in_table = qc->pos & ((1ull << l1_shift) - 1);
	struct qcow_slice *slice;
	const char *wrong;
	uint64_t off;

	if (!table) {
		qc->place = (struct qcow_place) { .where = QCOW_ELSEWHERE,
						  .len = (1ull << l1_shift) - in_table };
		if (qc->place.len > qc->len)
			qc->place.len = qc->len;
		return 1;
	}
	if (h->version > 1 && table & ((1ull << h->cluster_bits) - 1))
		return say_corrupt(qc, layer, "an L2 table that is not at the start of a cluster");
	off = table + in_table / span * qcow_slice_bytes(h);
	if (off >= layer->file_size)
		return say_corrupt(qc, layer, "an L2 table behind the end of the file");
	if (!qcow_slices_get(&qc->lun->slices, layer, off, &qc->waiter, &slice))
		return 0;
	if (qc->len > span - qc->pos % span)
		qc->len = span - qc->pos % span;
	wrong = qcow_map(h, slice->iov.iov_base, qc->pos % span, qc->len, &qc->place);
	return wrong ? say_corrupt(qc, layer, wrong) : 1;
}

/* place is in no layer. */
static int no_layer(struct qcow_cmd *qc)
{
	qc->place = (struct qcow_place) { .where = QCOW_ZEROS, .len = qc->len };
	qc->found = NULL;
	qc->layer = NULL;
	return 1;
}

int qcow_find(struct qcow_cmd *qc)
{
	int ret;

	if (!qc->layer) {
		qc->layer = qc->lun->top;
		qc->len = qc->end - qc->pos;
	}
	for (;;) {
		struct qcow_layer *layer = qc->layer;

		/* What is behind the end of a backing file reads as zeros, whatever that is backed by. */
		if (qc->pos >= layer->size)
			return no_layer(qc);
		if (qc->len > layer->size - qc->pos)
			qc->len = layer->size - qc->pos;
		if (layer->raw) {
			qc->place = (struct qcow_place) { .where = QCOW_DATA,
							  .len = qc->len,
							  .off = qc->pos };
			ret = 1;
		} else {
			ret = look_in(qc, layer);
		}
		if (ret == 0)
			return 0;
		if (ret < 0 || qc->place.where != QCOW_ELSEWHERE) {
			qc->found = layer;
			qc->layer = NULL;
			return ret;
		}
		qc->len = qc->place.len;
		if (!layer->backing)
			return no_layer(qc);
		qc->layer = layer->backing;
	}
}
