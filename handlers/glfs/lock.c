/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One gateway writes at a time. Several machines may have the same file as a logical unit, so that an initiator
 * with paths through all of them survives each. Whoever writes has Gluster's lock on the file: it is taken for
 * the first command and given back when there have been none for a while. A gateway that gets commands
 * while another one has the lock waits for it, and says so if that is in vain. A gateway that dies loses it with
 * its connections.
 *
 * The lock alone stops nobody who does not ask. Where the volume enforces it (locks.mandatory-locking and
 * features.enforce-mandatory-lock), the bricks refuse a write without it, even one that was sent before, and
 * give it to whoever asks, at once.
 *
 * libgfapi can only wait for a lock, so a thread of the logical unit, its keeper, does that. The owner of a lock is known
 * to libgfapi by the thread: where the bricks look at it, all commands begin on the keeper, which has asked for the lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "gluster.h"

#define ENFORCE "trusted.glusterfs.enforce-mandatory-lock"

#define IDLE_MS   2000  /* without a command: given back */
#define RENEW_MS  2000  /* bricks that were away have forgotten it */
#define RETRY_MS  250   /* another one has it */
#define LOST_MS   100   /* it was taken away: whoever has done that may use it a little */
#define WAIT_MS   10000 /* then a command is answered all the same; initiators give up after 30 s */
#define PROBE_MS  500   /* between looks at a volume that is out of reach */
#define OWNER_LEN 16

/* type: F_WRLCK or F_UNLCK. 0 or -errno; -EAGAIN: another one has it. */
static int set_lock(glfs_fd_t *fd, bool fenced, short type)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET };
	int ret = fenced ? glfs_file_lock(fd, F_SETLK, &fl, GLFS_LK_MANDATORY)
			 : glfs_posix_lock(fd, F_SETLK, &fl);

	if (!ret)
		return 0;
	return errno == EACCES || errno == EBUSY ? -EAGAIN : -errno;
}

static bool is_unsupported(int err)
{
	return err == ENOSYS || err == EOPNOTSUPP || err == EINVAL || err == ENOTSUP;
}

/* ---- who waits ---- */

static void append_locked(struct gluster_lock *lock, struct gluster_cmd *gc)
{
	gc->next = NULL;
	gc->waits = true;
	*lock->last = gc;
	lock->last = &gc->next;
}

/* All that wait, or those that have waited since long. They are nobody's but the caller's now. */
static struct gluster_cmd *take_waiting_locked(struct gluster_lock *lock, uint64_t since_before)
{
	struct gluster_cmd *first = lock->first, **end = &lock->first;

	while (*end && (*end)->since_ms <= since_before) {
		(*end)->waits = false;
		end = &(*end)->next;
	}
	if (end == &lock->first)
		return NULL;
	lock->first = *end;
	*end = NULL;
	if (!lock->first)
		lock->last = &lock->first;
	return first;
}

static void start_all(struct gluster_cmd *gc)
{
	while (gc) {
		struct gluster_cmd *next = gc->next;

		gc->start(gc);
		gc = next;
	}
}

/* err 0: another gateway has the lock. */
static void end_all(struct gluster_cmd *gc, int err)
{
	while (gc) {
		struct gluster_cmd *next = gc->next;

		if (err)
			gluster_cmd_fail(gc, err);
		else
			gluster_cmd_standby(gc);
		gc = next;
	}
}

/* All that wait go in. */
static void let_in_locked(struct gluster_lock *lock)
{
	struct gluster_cmd *first = take_waiting_locked(lock, UINT64_MAX);

	for (struct gluster_cmd *gc = first; gc; gc = gc->next) {
		gc->inside = true;
		lock->inside++;
	}
	pthread_mutex_unlock(&lock->mutex);
	start_all(first);
	pthread_mutex_lock(&lock->mutex);
}

/* ---- the keeper ---- */

static void another_has_it_locked(struct gluster_lun *lun)
{
	struct gluster_lock *lock = &lun->lock;
	uint64_t now = gluster_now_ms();
	struct gluster_cmd *late = now > WAIT_MS ? take_waiting_locked(lock, now - WAIT_MS) : NULL;
	bool tell = late && !lock->told;

	if (tell)
		lock->told = true;
	pthread_mutex_unlock(&lock->mutex);
	if (tell)
		tcmu_dev_warn(
			lun->dev,
			"another gateway has the lock on the file, for more than %d s of commands "
			"here: they are answered with NOT READY. Initiators have to use one "
			"gateway at a time (path_grouping_policy failover)",
			WAIT_MS / 1000);
	end_all(late, 0);
	pthread_mutex_lock(&lock->mutex);
	if (!lock->stop)
		gluster_cond_wait_until(&lock->cond, &lock->mutex, gluster_now_ms() + RETRY_MS);
}

static void take_locked(struct gluster_lun *lun)
{
	struct gluster_lock *lock = &lun->lock;
	struct gluster_cmd *first;
	int ret;

	if (lock->fenced && lock->inside) {
		/* Sent under the lock that was taken away: refused, or on their way. */
		pthread_cond_wait(&lock->cond, &lock->mutex);
		return;
	}
	if (gluster_now_ms() < lock->lost_ms + LOST_MS) {
		gluster_cond_wait_until(&lock->cond, &lock->mutex, lock->lost_ms + LOST_MS);
		return;
	}
	pthread_mutex_unlock(&lock->mutex);
	ret = set_lock(lun->target.fd, lock->fenced, F_WRLCK);
	if (ret && is_unsupported(-ret))
		tcmu_dev_warn(
			lun->dev,
			"the volume has no locks (%s): nothing keeps another gateway from writing "
			"to the same file at the same time",
			strerror(-ret));
	pthread_mutex_lock(&lock->mutex);
	if (ret == -EAGAIN) {
		another_has_it_locked(lun);
		return;
	}
	if (!ret || is_unsupported(-ret)) {
		lock->none = ret != 0;
		lock->held = true;
		lock->told = false;
		lock->used_ms = lock->renewed_ms = gluster_now_ms();
		let_in_locked(lock);
		return;
	}
	first = take_waiting_locked(lock, UINT64_MAX);
	pthread_mutex_unlock(&lock->mutex);
	end_all(first, -ret);
	pthread_mutex_lock(&lock->mutex);
}

/* The bricks that still have it lose nothing by this; those that were away get it again. */
static void renew_locked(struct gluster_lun *lun)
{
	struct gluster_lock *lock = &lun->lock;
	int ret;

	lock->renewed_ms = gluster_now_ms();
	if (lock->fenced) /* that would take it away from who has got it; the bricks tell anyway */
		return;
	pthread_mutex_unlock(&lock->mutex);
	ret = set_lock(lun->target.fd, false, F_WRLCK);
	if (ret == -EAGAIN)
		tcmu_dev_warn(lun->dev, "another gateway has got the lock on the file");
	pthread_mutex_lock(&lock->mutex);
	if (ret)
		lock->held = false;
}

static void give_back_locked(struct gluster_lun *lun)
{
	struct gluster_lock *lock = &lun->lock;

	lock->held = false;
	pthread_mutex_unlock(&lock->mutex);
	set_lock(lun->target.fd, lock->fenced, F_UNLCK);
	pthread_mutex_lock(&lock->mutex);
}

static void held_locked(struct gluster_lun *lun)
{
	struct gluster_lock *lock = &lun->lock;
	uint64_t now = gluster_now_ms();
	uint64_t renew = lock->renewed_ms + RENEW_MS, idle = lock->used_ms + IDLE_MS;

	if (!lock->inside && now >= idle)
		give_back_locked(lun);
	else if (now >= renew)
		renew_locked(lun);
	else
		gluster_cond_wait_until(&lock->cond, &lock->mutex,
					lock->inside || renew < idle ? renew : idle);
}

/* Out of reach: nobody goes in. */
static void away_locked(struct gluster_lun *lun)
{
	struct gluster_lock *lock = &lun->lock;
	struct gluster_cmd *first = take_waiting_locked(lock, UINT64_MAX);
	bool back;

	lock->held = false;
	pthread_mutex_unlock(&lock->mutex);
	end_all(first, ENOTCONN);
	back = gluster_outage_is_over(lun);
	pthread_mutex_lock(&lock->mutex);
	if (!back && !lock->stop && !lock->first)
		gluster_cond_wait_until(&lock->cond, &lock->mutex, gluster_now_ms() + PROBE_MS);
}

static void *keep(void *arg)
{
	struct gluster_lun *lun = arg;
	struct gluster_lock *lock = &lun->lock;

	pthread_mutex_lock(&lock->mutex);
	while (!lock->stop) {
		if (lun->outage.on) {
			away_locked(lun);
			continue;
		}
		if (lock->none)
			let_in_locked(lock);
		if (!lock->none && lock->first && !lock->held)
			take_locked(lun);
		else if (!lock->none && lock->first)
			let_in_locked(lock);
		else if (!lock->none && lock->held)
			held_locked(lun);
		else
			pthread_cond_wait(&lock->cond, &lock->mutex);
	}
	pthread_mutex_unlock(&lock->mutex);
	return NULL;
}

/* ---- for commands ---- */

void gluster_lock_enter(struct gluster_cmd *gc)
{
	struct gluster_lock *lock = &gc->lun->lock;
	bool in;

	pthread_mutex_lock(&lock->mutex);
	in = lock->none || (lock->held && !lock->first && !lock->fenced);
	if (in) {
		lock->inside++;
		gc->inside = true;
	} else {
		gc->since_ms = gluster_now_ms();
		append_locked(lock, gc);
		pthread_cond_signal(&lock->cond);
	}
	pthread_mutex_unlock(&lock->mutex);
	if (in)
		gc->start(gc);
}

void gluster_lock_again(struct gluster_cmd *gc)
{
	struct gluster_lock *lock = &gc->lun->lock;

	if (!lock->fenced || !gc->inside) {
		gc->start(gc);
		return;
	}
	gc->inside = false;
	gluster_lock_leave(lock);
	gluster_lock_enter(gc);
}

void gluster_lock_leave(struct gluster_lock *lock)
{
	pthread_mutex_lock(&lock->mutex);
	lock->used_ms = gluster_now_ms();
	if (!--lock->inside && !lock->held)
		pthread_cond_signal(&lock->cond);
	pthread_mutex_unlock(&lock->mutex);
}

void gluster_lock_doubt(struct gluster_lock *lock)
{
	pthread_mutex_lock(&lock->mutex);
	lock->held = false;
	pthread_cond_signal(&lock->cond);
	pthread_mutex_unlock(&lock->mutex);
}

void gluster_lock_lost(struct gluster_lock *lock)
{
	pthread_mutex_lock(&lock->mutex);
	lock->held = false;
	lock->lost_ms = gluster_now_ms();
	pthread_cond_signal(&lock->cond);
	pthread_mutex_unlock(&lock->mutex);
}

bool gluster_lock_cancel(struct gluster_cmd *gc)
{
	struct gluster_lock *lock = &gc->lun->lock;
	bool waited;

	pthread_mutex_lock(&lock->mutex);
	waited = gc->waits;
	if (waited) {
		struct gluster_cmd **at = &lock->first;

		while (*at != gc)
			at = &(*at)->next;
		*at = gc->next;
		if (!*at)
			lock->last = at;
		gc->waits = false;
	}
	pthread_mutex_unlock(&lock->mutex);
	return waited;
}

/* ---- life ---- */

/* Does the volume enforce locks? Then this file wants it, from now on. */
static bool is_enforced(glfs_fd_t *fd)
{
	char value[16];

	return glfs_fgetxattr(fd, ENFORCE, value, sizeof(value)) >= 0 ||
	       !glfs_fsetxattr(fd, ENFORCE, "set", sizeof("set"), 0);
}

int gluster_lock_init(struct gluster_lock *lock, struct tcmu_device *dev, bool read_only,
		      char **reason)
{
	struct gluster_lun *lun = tcmur_dev_get_private(dev);
	char owner[OWNER_LEN];
	int ret;

	pthread_mutex_init(&lock->mutex, NULL);
	gluster_cond_init(&lock->cond);
	lock->last = &lock->first;
	lock->none = read_only;
	/* Two logical units of one connection would have the same owner. */
	if (read_only)
		lock->fenced = false;
	else if (getrandom(owner, sizeof(owner), 0) != sizeof(owner) ||
		 glfs_fd_set_lkowner(lun->target.fd, owner, sizeof(owner)))
		return gluster_refuse(reason, errno, "a lock on the file cannot be had: %s",
				      strerror(errno));
	else
		lock->fenced = is_enforced(lun->target.fd);
	ret = pthread_create(&lock->keeper, NULL, keep, lun);
	if (ret)
		return gluster_refuse(reason, ret, "a thread cannot be started: %s", strerror(ret));
	lock->running = true;
	pthread_setname_np(lock->keeper, "glfs-lock");
	return 0;
}

void gluster_lock_fini(struct gluster_lock *lock, glfs_fd_t *fd)
{
	if (lock->running) {
		pthread_mutex_lock(&lock->mutex);
		lock->stop = true;
		pthread_cond_signal(&lock->cond);
		pthread_mutex_unlock(&lock->mutex);
		pthread_join(lock->keeper, NULL);
		if (lock->held && !lock->none)
			set_lock(fd, lock->fenced, F_UNLCK);
	}
	pthread_cond_destroy(&lock->cond);
	pthread_mutex_destroy(&lock->mutex);
}
