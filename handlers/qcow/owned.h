/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clusters of an image that hold metadata: header, tables, refcount blocks. In a damaged image an entry
 * may point to one of them, and data written there would destroy more. Any thread.
 */
#ifndef QCOW_OWNED_H
#define QCOW_OWNED_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qcow_owned {
	pthread_mutex_t lock;
	uint64_t *slot; /* a cluster's number + 1; 0: empty. A power of two of them */
	size_t slots, count;
};

int qcow_owned_init(struct qcow_owned *owned);
void qcow_owned_fini(struct qcow_owned *owned);
/* 0; -EEXIST: something else has it; -ENOMEM. */
int qcow_owned_add(struct qcow_owned *owned, uint64_t cluster, uint64_t count);
void qcow_owned_remove(struct qcow_owned *owned, uint64_t cluster, uint64_t count);
bool qcow_owned_has(struct qcow_owned *owned, uint64_t cluster);

#endif
