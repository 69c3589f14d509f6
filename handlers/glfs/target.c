/* SPDX-License-Identifier: Apache-2.0 */
/* The file that is the logical unit's storage: found, opened, claimed, measured. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "gluster.h"

#define CONNECT_MS 20000

#define CLAIM_WAIT_MS    50
#define CLAIM_GIVE_UP_MS 10000

/* ---- claims: to tell at once, and by name, which logical unit of this process has the file ---- */

static pthread_mutex_t claims_mutex = PTHREAD_MUTEX_INITIALIZER; /* guards the list; a leaf */
static struct gluster_claim *claims;

static bool is_conflict(const struct gluster_claim *a, const struct gluster_claim *b)
{
	return a->node == b->node && !memcmp(a->volume_id, b->volume_id, sizeof(a->volume_id)) &&
	       !(a->shared && b->shared);
}

/* Takes the claim, or fills in who has it and whether that one is alive. */
static bool try_claim(struct gluster_claim *claim, char *owner, size_t size, bool *alive)
{
	struct gluster_claim *other;

	pthread_mutex_lock(&claims_mutex);
	for (other = claims; other && !is_conflict(other, claim); other = other->next)
		;
	if (other) {
		/* Its device exists until the claim has been dropped. */
		snprintf(owner, size, "%s", tcmu_dev_get_name(other->dev));
		*alive = tcmulib_ring_state(other->dev) != TCMULIB_RING_GONE;
	} else {
		claim->next = claims;
		claims = claim;
	}
	pthread_mutex_unlock(&claims_mutex);
	return !other;
}

static int take_claim(struct gluster_claim *claim, const char *path, char **reason)
{
	const struct timespec wait = { .tv_nsec = CLAIM_WAIT_MS * 1000000L };
	unsigned int waited_ms = 0;
	char owner[256];
	bool alive;

	while (!try_claim(claim, owner, sizeof(owner), &alive)) {
		if (alive || waited_ms >= CLAIM_GIVE_UP_MS) {
			claim->dev = NULL;
			return gluster_refuse(
				reason, EBUSY,
				"'%s' is in use by %s; only logical units that all have the "
				"option ;ro can share a file",
				path, owner);
		}
		nanosleep(&wait, NULL);
		waited_ms += CLAIM_WAIT_MS;
	}
	return 0;
}

static void drop_claim(struct gluster_claim *claim)
{
	pthread_mutex_lock(&claims_mutex);
	for (struct gluster_claim **c = &claims; *c; c = &(*c)->next) {
		if (*c == claim) {
			*c = claim->next;
			break;
		}
	}
	pthread_mutex_unlock(&claims_mutex);
}

/* ---- the file ---- */

int64_t gluster_target_size(glfs_fd_t *fd)
{
	struct stat st;

	if (glfs_fstat(fd, &st))
		return -errno;
	return st.st_size;
}

static int refuse_open(const struct gluster_options *opts, int err, char **reason)
{
	switch (err) {
	case ENOENT:
		return gluster_refuse(reason, err,
				      "volume '%s' has no file '%s'; make it (truncate -s SIZE on "
				      "a mount of the volume), "
				      "or set dev_size and add the option ;create (its directory "
				      "has to be there)",
				      opts->volume, opts->path);
	case EISDIR:
		return gluster_refuse(reason, err, "'%s' of volume '%s' is a directory", opts->path,
				      opts->volume);
	default:
		return gluster_refuse(reason, err, "'%s' of volume '%s' cannot be opened: %s",
				      opts->path, opts->volume, strerror(err));
	}
}

/* All of it or nothing: a file of another size would be opened as it is the next time. */
static int create_file(glfs_t *fs, const struct gluster_options *opts, uint64_t size,
		       glfs_fd_t **fd, char **reason)
{
	int err;

	if (!size)
		return gluster_refuse(
			reason, EINVAL,
			"volume '%s' has no file '%s', and without dev_size the option "
			";create does not say how large it is to be",
			opts->volume, opts->path);
	*fd = glfs_creat(fs, opts->path, O_RDWR | O_EXCL, 0600);
	if (!*fd)
		return gluster_refuse(reason, errno, "'%s' of volume '%s' cannot be made: %s",
				      opts->path, opts->volume, strerror(errno));
	if (!glfs_ftruncate(*fd, (off_t)size, NULL, NULL) && !glfs_fsync(*fd, NULL, NULL))
		return 0;
	err = errno;
	glfs_unlink(fs, opts->path);
	glfs_close(*fd);
	*fd = NULL;
	return gluster_refuse(reason, err,
			      "'%s' of volume '%s' cannot be made %llu bytes large: %s", opts->path,
			      opts->volume, (unsigned long long)size, strerror(err));
}

static int open_file(const struct gluster_options *opts, struct tcmu_device *dev, uint64_t size,
		     struct gluster_target *target, char **reason)
{
	glfs_t *fs = gluster_volume_fs(target->volume);
	struct stat st;

	target->fd = glfs_open(fs, opts->path, dev && !opts->read_only ? O_RDWR : O_RDONLY);
	if (!target->fd && errno == ENOENT && opts->create) {
		int ret;

		if (!dev) /* it is made when the logical unit is */
			return 0;
		ret = create_file(fs, opts, size, &target->fd, reason);
		if (ret)
			return ret;
	}
	if (!target->fd)
		return refuse_open(opts, errno, reason);
	if (glfs_fstat(target->fd, &st))
		return refuse_open(opts, errno, reason);
	if (S_ISDIR(st.st_mode))
		return refuse_open(opts, EISDIR, reason);
	if (!S_ISREG(st.st_mode))
		return gluster_refuse(reason, EINVAL, "'%s' of volume '%s' is no regular file",
				      opts->path, opts->volume);
	target->size = (uint64_t)st.st_size;
	target->claim.node = st.st_ino;
	return 0;
}

/* Can the bricks deallocate? Behind the end of the file there is nothing to lose. */
static bool probe_unmap(const struct gluster_target *target)
{
	return !glfs_discard(target->fd, (off_t)((target->size + 4095) & ~4095ull), 4096) ||
	       (errno != EOPNOTSUPP && errno != ENOSYS);
}

int gluster_target_open(const char *cfgstring, const struct gluster_options *opts,
			struct tcmu_device *dev, uint64_t size, struct gluster_target *target,
			char **reason)
{
	bool bad;
	int ret;

	memset(target, 0, sizeof(*target));
	ret = gluster_volume_get(cfgstring, opts, CONNECT_MS, &target->volume, reason);
	if (ret)
		return ret;
	ret = open_file(opts, dev, size, target, reason);
	bad = ret == -ENOTCONN || ret == -ESTALE;
	if (!ret && dev) {
		struct gluster_claim *claim = &target->claim;

		claim->dev = dev;
		claim->shared = opts->read_only;
		if (glfs_get_volumeid(gluster_volume_fs(target->volume), claim->volume_id,
				      sizeof(claim->volume_id)) < 0)
			memset(claim->volume_id, 0, sizeof(claim->volume_id));
		ret = take_claim(claim, opts->path, reason);
		if (!ret) /* with ;ro it is refused */
			target->unmap = opts->read_only || probe_unmap(target);
	}
	if (!ret)
		return 0;
	if (target->fd)
		glfs_close(target->fd);
	gluster_volume_put(target->volume, bad);
	return ret;
}

void gluster_target_close(struct gluster_target *target)
{
	if (target->fd)
		glfs_close(target->fd);
	if (target->claim.dev)
		drop_claim(&target->claim);
	gluster_volume_put(target->volume, false);
}
