/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two commands that need the same cluster, where there is none yet, must not both give it one; nor may one
 * write to a cluster that another is just replacing. Few entries are changed at a time: a list is enough.
 */
#include "qcow.h"

bool qcow_claim_free(struct qcow_cmd *qc, uint64_t first, uint64_t *last)
{
	for (struct qcow_cmd *other = qc->lun->claims; other; other = other->claim_next) {
		if (other->claim_last < first || other->claim_first > *last)
			continue;
		if (other->claim_first <= first) {
			qc->waiter.next = other->claim_waiters;
			other->claim_waiters = &qc->waiter;
			return false;
		}
		*last = other->claim_first - 1;
	}
	return true;
}

void qcow_claim(struct qcow_cmd *qc, uint64_t first, uint64_t last)
{
	struct qcow_lun *lun = qc->lun;

	qc->claim_first = first;
	qc->claim_last = last;
	qc->claim_waiters = NULL;
	qc->claim_next = lun->claims;
	qc->claim_link = &lun->claims;
	if (lun->claims)
		lun->claims->claim_link = &qc->claim_next;
	lun->claims = qc;
}

void qcow_unclaim(struct qcow_cmd *qc)
{
	struct qcow_waiter *waiter = qc->claim_waiters;

	*qc->claim_link = qc->claim_next;
	if (qc->claim_next)
		qc->claim_next->claim_link = qc->claim_link;
	qc->claim_link = NULL;
	while (waiter) {
		struct qcow_waiter *next = waiter->next;

		waiter->resume(waiter, 0);
		waiter = next;
	}
}
