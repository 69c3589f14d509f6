/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "lib/pool.h"

void tcmu_pool_init(struct tcmu_pool *pool, size_t limit)
{
	memset(pool, 0, sizeof(*pool));
	pool->limit = limit;
}

static void *take_free(struct tcmu_pool *pool, unsigned int cls)
{
	void *block = pool->free[cls];

	if (block)
		memcpy(&pool->free[cls], block, sizeof(void *));
	return block;
}

static void free_kept(struct tcmu_pool *pool)
{
	for (unsigned int cls = 0; cls < TCMU_POOL_CLASSES; cls++) {
		void *block;

		while ((block = take_free(pool, cls))) {
			free(block);
			pool->bytes -= (size_t)1 << (cls + TCMU_POOL_MIN_SHIFT);
		}
	}
}

void tcmu_pool_deinit(struct tcmu_pool *pool)
{
	free_kept(pool);
	pool->bytes = 0;
}

void *tcmu_pool_get(struct tcmu_pool *pool, size_t size, uint8_t *cls)
{
	unsigned int c = 0;
	size_t bytes;
	void *block;

	while (c < TCMU_POOL_CLASSES && size > (size_t)1 << (c + TCMU_POOL_MIN_SHIFT))
		c++;
	if (c == TCMU_POOL_CLASSES)
		return NULL;
	*cls = (uint8_t)c;
	block = take_free(pool, c);
	if (block)
		return block;

	bytes = (size_t)1 << (c + TCMU_POOL_MIN_SHIFT);
	if (pool->bytes + bytes > pool->limit)
		free_kept(pool); /* other sizes were in use before */
	if (pool->bytes + bytes > pool->limit)
		return NULL;
	block = malloc(bytes); /* aligned for struct iovec: malloc(3) */
	if (block)
		pool->bytes += bytes;
	return block;
}

void tcmu_pool_put(struct tcmu_pool *pool, void *block, uint8_t cls)
{
	memcpy(block, &pool->free[cls], sizeof(void *));
	pool->free[cls] = block;
}
