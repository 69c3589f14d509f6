/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing, less than half full. */
#include "owned.h"

#include <errno.h>
#include <stdlib.h>

#define SLOTS_LEAST 64

int qcow_owned_init(struct qcow_owned *owned)
{
	pthread_mutex_init(&owned->lock, NULL);
	owned->slots = SLOTS_LEAST;
	owned->count = 0;
	owned->slot = calloc(owned->slots, sizeof(*owned->slot));
	return owned->slot ? 0 : -ENOMEM;
}

void qcow_owned_fini(struct qcow_owned *owned)
{
	free(owned->slot);
	pthread_mutex_destroy(&owned->lock);
}

static size_t home(const struct qcow_owned *owned, uint64_t key)
{
	return (size_t)(key * 0x9e3779b97f4a7c15ull >> 20) & (owned->slots - 1);
}

/* Where it is, or where it would be. */
static size_t place(const struct qcow_owned *owned, uint64_t key)
{
	size_t i = home(owned, key);

	while (owned->slot[i] && owned->slot[i] != key)
		i = (i + 1) & (owned->slots - 1);
	return i;
}

static int grow(struct qcow_owned *owned)
{
	uint64_t *old = owned->slot;
	size_t slots = owned->slots;

	if (2 * (owned->count + 1) < slots)
		return 0;
	owned->slot = calloc(2 * slots, sizeof(*old));
	if (!owned->slot) {
		owned->slot = old;
		return -ENOMEM;
	}
	owned->slots = 2 * slots;
	for (size_t i = 0; i < slots; i++) {
		if (old[i])
			owned->slot[place(owned, old[i])] = old[i];
	}
	free(old);
	return 0;
}

static int add(struct qcow_owned *owned, uint64_t cluster)
{
	int ret = grow(owned);
	size_t i;

	if (ret)
		return ret;
	i = place(owned, cluster + 1);
	if (owned->slot[i])
		return -EEXIST;
	owned->slot[i] = cluster + 1;
	owned->count++;
	return 0;
}

int qcow_owned_add(struct qcow_owned *owned, uint64_t cluster, uint64_t count)
{
	int ret = 0;

	pthread_mutex_lock(&owned->lock);
	for (uint64_t i = 0; i < count && !ret; i++)
		ret = add(owned, cluster + i);
	pthread_mutex_unlock(&owned->lock);
	return ret;
}

/* Those behind it move up, so that none is cut off from its home by an empty slot. */
static void remove_at(struct qcow_owned *owned, size_t hole)
{
	size_t mask = owned->slots - 1;

	owned->count--;
	for (size_t i = (hole + 1) & mask; owned->slot[i]; i = (i + 1) & mask) {
		size_t from_home = (i - home(owned, owned->slot[i])) & mask;

		if (from_home < ((i - hole) & mask))
			continue;
		owned->slot[hole] = owned->slot[i];
		hole = i;
	}
	owned->slot[hole] = 0;
}

void qcow_owned_remove(struct qcow_owned *owned, uint64_t cluster, uint64_t count)
{
	pthread_mutex_lock(&owned->lock);
	for (uint64_t n = 0; n < count; n++) {
		size_t i = place(owned, cluster + n + 1);

		if (owned->slot[i])
			remove_at(owned, i);
	}
	pthread_mutex_unlock(&owned->lock);
}

bool qcow_owned_has(struct qcow_owned *owned, uint64_t cluster)
{
	bool has;

	pthread_mutex_lock(&owned->lock);
	has = owned->slot[place(owned, cluster + 1)] != 0;
	pthread_mutex_unlock(&owned->lock);
	return has;
}
