/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of memory in powers of two for the few commands that do not fit their context (many iovs, a
 * long CDB). Freed blocks are kept for the next such command, so a steady load allocates nothing. The
 * total is bounded. One thread at a time.
 */
#ifndef LIB_POOL_H
#define LIB_POOL_H

#include <stddef.h>
#include <stdint.h>

#define TCMU_POOL_MIN_SHIFT 7  /* 128 bytes: 8 iovs */
#define TCMU_POOL_MAX_SHIFT 24 /* 16 MiB: more than the largest entry of an 8 MiB ring needs */
#define TCMU_POOL_CLASSES   (TCMU_POOL_MAX_SHIFT - TCMU_POOL_MIN_SHIFT + 1)

struct tcmu_pool {
	void *free[TCMU_POOL_CLASSES]; /* the first word of a free block points to the next */
	size_t bytes;                  /* allocated, in use or not */
	size_t limit;                  /* at least the largest block */
};

void tcmu_pool_init(struct tcmu_pool *pool, size_t limit);

/* Frees the kept blocks. Blocks in use are lost: call it when there are none. */
void tcmu_pool_deinit(struct tcmu_pool *pool);

/* A block of at least size bytes, 16-byte aligned; *cls is needed to give it back. NULL: the limit is
 * reached (free something first) or there is no memory. */
void *tcmu_pool_get(struct tcmu_pool *pool, size_t size, uint8_t *cls);

void tcmu_pool_put(struct tcmu_pool *pool, void *block, uint8_t cls);

#endif
