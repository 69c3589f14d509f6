/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may use a file. Two locks:
 *
 * - flock(2) on the open file description that does the I/O keeps other processes out. The kernel
 *   keeps it as long as I/O through that description is under way, also when the process has been
 *   killed: having it proves that a crashed predecessor's writes are over.
 * - A table of this process' own logical units, only to tell at once, and by name, which one has
 *   the file: waiting for it would be in vain.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "file.h"

#define BUSY_WAIT_MS    50
#define BUSY_GIVE_UP_MS 10000

static pthread_mutex_t claims_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the list; a leaf */
static struct file_claim *claims;

bool file_wait_busy(int err, unsigned int *waited_ms)
{
	const struct timespec wait = { .tv_nsec = BUSY_WAIT_MS * 1000000L };

	if ((err != EBUSY && err != EWOULDBLOCK) || *waited_ms >= BUSY_GIVE_UP_MS)
		return false;
	nanosleep(&wait, NULL);
	*waited_ms += BUSY_WAIT_MS;
	return true;
}

/* The claim that forbids this one, or NULL. With claims_lock held. */
static struct file_claim *find_conflict_locked(const struct file_claim *claim)
{
	for (struct file_claim *c = claims; c; c = c->next)
		if (c->fs == claim->fs && c->node == claim->node && !(c->shared && claim->shared))
			return c;
	return NULL;
}

/* Takes the claim, or fills in who has it and whether that one is alive. */
static bool try_claim(struct file_claim *claim, char *owner, size_t size, bool *alive)
{
	struct file_claim *conflict;

	pthread_mutex_lock(&claims_lock);
	conflict = find_conflict_locked(claim);
	if (conflict) {
		/* Its device exists until the claim has been dropped. */
		snprintf(owner, size, "%s", tcmu_dev_get_name(conflict->dev));
		*alive = tcmulib_ring_state(conflict->dev) != TCMULIB_RING_GONE;
	} else {
		claim->next = claims;
		claims = claim;
	}
	pthread_mutex_unlock(&claims_lock);
	return !conflict;
}

int file_claim_take(struct file_claim *claim, const char *path, char **reason)
{
	unsigned int waited_ms = 0;
	char owner[256];
	bool alive;

	while (!try_claim(claim, owner, sizeof(owner), &alive)) {
		if (alive || !file_wait_busy(EBUSY, &waited_ms))
			return file_refuse(reason, EBUSY,
					   "'%s' is in use by %s; only logical units that all have "
					   "the option ;ro can share a file",
					   path, owner);
	}
	return 0;
}

void file_claim_drop(struct file_claim *claim)
{
	pthread_mutex_lock(&claims_lock);
	for (struct file_claim **c = &claims; *c; c = &(*c)->next) {
		if (*c == claim) {
			*c = claim->next;
			break;
		}
	}
	pthread_mutex_unlock(&claims_lock);
}

int file_lock(int fd, bool shared, const char *path, char **reason)
{
	unsigned int waited_ms = 0;

	while (flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB)) {
		if (errno == EINTR || file_wait_busy(errno, &waited_ms))
			continue;
		if (errno == EWOULDBLOCK)
			return file_refuse(reason, EBUSY,
					   "'%s' is locked by another process, for more than %u s "
					   "now; 'lslocks' or 'fuser -v' tells by which",
					   path, BUSY_GIVE_UP_MS / 1000);
		return file_refuse(reason, errno,
				   "'%s' cannot be locked: %s; a logical unit needs a file system "
				   "with flock(2)",
				   path, strerror(errno));
	}
	return 0;
}
