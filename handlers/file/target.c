/* SPDX-License-Identifier: Apache-2.0 */
/* What is at the path: open it, lock it, measure it. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "file.h"

#define PHYS_SIZE_MAX 4096 /* more than this as a physical block upsets initiators */

/* ---- open ---- */

static int refuse_open(const struct file_options *opts, int err, char **reason)
{
	const char *hint = "";
	char *cut = NULL;
	int ret;

	switch (err) {
	case ENOENT:
		cut = file_cut_hint(opts->path);
		hint = cut ? cut : "; create it, or add the option ;create and set dev_size";
		break;
	case EROFS:
		hint = "; add the option ;ro for a read-only logical unit";
		break;
	case EACCES:
	case EPERM:
		hint = "; the daemon needs to read and write it (the option ;ro: to read it)";
		break;
	case EBUSY:
		hint = "; is it mounted, part of a volume, or used by another program?";
		break;
	case EINVAL:
		if (opts->direct)
			hint = "; does the file system know O_DIRECT? Otherwise leave out the "
			       "option "
			       ";direct";
		break;
	}
	ret = file_refuse(reason, err, "'%s' cannot be opened: %s%s", opts->path, strerror(err),
			  hint);
	free(cut);
	return ret;
}

int file_sync_parent(const char *path)
{
	char copy[PATH_MAX];
	int fd, ret = 0;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fsync(fd) && errno != EINVAL)
		ret = -errno;
	close(fd);
	return ret;
}

/* ;create: a file of this size, if there is none yet or an empty one (of an attempt that died). */
static int create(const struct file_options *opts, uint64_t size, char **reason)
{
	struct stat st;
	int fd, ret = 0;

	if (!stat(opts->path, &st) && !(S_ISREG(st.st_mode) && !st.st_size))
		return 0;
	if (!size)
		return file_refuse(reason, EINVAL,
				   "'%s' cannot be created without a size; set dev_size",
				   opts->path);

	fd = open(opts->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
	if (fd < 0)
		return file_refuse(reason, errno, "'%s' cannot be created: %s", opts->path,
				   strerror(errno));
	/* Under the lock: another logical unit may have made it and filled it meanwhile. */
	if (flock(fd, LOCK_EX | LOCK_NB) || fstat(fd, &st)) {
		ret = errno == EWOULDBLOCK ? 0 : -errno; /* in use: opening it will tell */
		close(fd);
		return ret;
	}
	if (!st.st_size && (ftruncate(fd, (off_t)size) || fsync(fd)))
		ret = -errno;
	close(fd);
	if (!ret)
		ret = file_sync_parent(opts->path);
	if (ret)
		return file_refuse(reason, -ret, "'%s' cannot be made %llu bytes large: %s",
				   opts->path, (unsigned long long)size, strerror(-ret));
	return 0;
}

static int check_type(const char *path, const struct stat *st, char **reason)
{
	if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
		return 0;
	if (S_ISDIR(st->st_mode))
		return file_refuse(reason, EISDIR,
				   "'%s' is a directory; name a regular file or a block device",
				   path);
	return file_refuse(reason, EINVAL, "'%s' is neither a regular file nor a block device",
			   path);
}

static void identify(struct file_claim *claim, const struct stat *st)
{
	claim->fs = S_ISBLK(st->st_mode) ? st->st_rdev : st->st_dev;
	claim->node = S_ISBLK(st->st_mode) ? 0 : st->st_ino;
}

/* O_NONBLOCK, so that what turns out to be a FIFO cannot hang the open, is taken off again: with it
 * io_uring would fail what has to wait. O_EXCL keeps a block device from being mounted. */
static int open_fd(const struct file_options *opts, bool look_only, bool block_dev, char **reason)
{
	int flags = O_CLOEXEC | O_NONBLOCK | (opts->direct ? O_DIRECT : 0);
	unsigned int waited_ms = 0;
	int fd;

	if (look_only || opts->read_only)
		flags |= O_RDONLY;
	else
		flags |= O_RDWR | (block_dev ? O_EXCL : 0);

	do {
		fd = open(opts->path, flags);
	} while (fd < 0 && (errno == EINTR || file_wait_busy(errno, &waited_ms)));
	if (fd < 0)
		return refuse_open(opts, errno, reason);

	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK)) {
		int err = errno;

		close(fd);
		return refuse_open(opts, err, reason);
	}
	return fd;
}

/* ---- measure ---- */

int64_t file_target_size(int fd, bool block_dev)
{
	struct stat st;
	uint64_t size;

	if (block_dev)
		return ioctl(fd, BLKGETSIZE64, &size) ? -errno : (int64_t)size;
	return fstat(fd, &st) ? -errno : (int64_t)st.st_size;
}

int file_target_probe_direct(int fd, uint32_t block_size)
{
	void *buf;
	int ret = posix_memalign(&buf, 4096, block_size);

	if (ret)
		return -ret;
	/* The second block, if there is one: 0 is a multiple of everything. */
	if (pread(fd, buf, block_size, (off_t)block_size) < 0)
		ret = -errno;
	free(buf);
	return ret;
}

/* A number of the queue of block device dev, which may be a partition; -1: unknown. */
static int64_t queue_attr(dev_t dev, const char *name)
{
	static const char *const places[] = { "queue", "../queue" };
	long long value = -1;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char path[128];
		FILE *file;

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/%s", major(dev), minor(dev),
			 places[i], name);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fscanf(file, "%lld", &value) != 1)
			value = -1;
		fclose(file);
		break;
	}
	return value;
}

static bool is_power_of_2(uint64_t n)
{
	return n && !(n & (n - 1));
}

static int measure_block_dev(struct file_target *target, const struct stat *st)
{
	unsigned int phys = 0;
	int logical = 0, align = 0;
	int64_t gran;

	if (ioctl(target->fd, BLKSSZGET, &logical))
		return -errno;
	target->block_size = (uint32_t)logical;
	if (!ioctl(target->fd, BLKPBSZGET, &phys) && !ioctl(target->fd, BLKALIGNOFF, &align) &&
	    !align)
		target->phys_size = phys;

	/* fallocate(2) on a block device is Write Zeroes, permitted to deallocate: exactly what a
	 * unit with LBPRZ needs. Discard alone promises nothing about what is read afterwards. */
	target->unmap = true;
	if (queue_attr(st->st_rdev, "write_zeroes_max_bytes") == 0) {
		target->discard = queue_attr(st->st_rdev, "discard_max_bytes") > 0;
		target->unmap = target->discard;
	}
	gran = queue_attr(st->st_rdev, "discard_granularity");
	if (gran > 0 && gran <= UINT32_MAX)
		target->unmap_gran = (uint32_t)gran;
	return 0;
}

static void measure_regular(struct file_target *target, const struct stat *st)
{
	off_t beyond = (st->st_size | 0xfffff) + 1;

	target->block_size = 1;
	target->phys_size = (uint32_t)st->st_blksize;
	target->unmap_gran = (uint32_t)st->st_blksize;

	/* A hole in what does not exist: changes nothing, but a file system that cannot do it says so.
	 * Through a descriptor for reading it cannot be found out, nor will it ever be asked for. */
	target->unmap = !fallocate(target->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, beyond,
				   0x1000) ||
			(errno != EOPNOTSUPP && errno != ENOSYS);
}

static int measure(struct file_target *target, const struct stat *st, const char *path,
		   char **reason)
{
	dev_t dev = target->block_dev ? st->st_rdev : st->st_dev;
	int64_t size = file_target_size(target->fd, target->block_dev);
	int ret = size < 0 ? (int)size : 0;

	if (!ret && target->block_dev)
		ret = measure_block_dev(target, st);
	else if (!ret)
		measure_regular(target, st);
	if (ret)
		return file_refuse(reason, -ret, "the size of '%s' cannot be found: %s", path,
				   strerror(-ret));

	target->size = (uint64_t)size;
	if (target->phys_size > PHYS_SIZE_MAX)
		target->phys_size = PHYS_SIZE_MAX;
	if (!is_power_of_2(target->phys_size))
		target->phys_size = 0;
	if (!is_power_of_2(target->unmap_gran))
		target->unmap_gran = 0;
	target->rotational = queue_attr(dev, "rotational") == 1;
	return 0;
}

/* ---- all of it ---- */

/* Could a file be created here? */
static int look_parent(const struct file_options *opts, char **reason)
{
	char copy[PATH_MAX];

	snprintf(copy, sizeof(copy), "%s", opts->path);
	if (faccessat(AT_FDCWD, dirname(copy), W_OK | X_OK, AT_EACCESS))
		return file_refuse(reason, errno, "'%s' cannot be created: %s", opts->path,
				   strerror(errno));
	return 0;
}

static int look_before(const struct file_options *opts, struct stat *st, bool look_only,
		       char **reason)
{
	if (stat(opts->path, st))
		return refuse_open(opts, errno, reason);
	if (look_only && !opts->read_only && faccessat(AT_FDCWD, opts->path, W_OK, AT_EACCESS))
		return refuse_open(opts, errno, reason);
	return check_type(opts->path, st, reason);
}

static int open_locked(const struct file_options *opts, struct file_target *target, char **reason)
{
	bool look_only = !target->claim.dev;
	struct file_claim found;
	struct stat st;
	int ret;

	ret = open_fd(opts, look_only, target->block_dev, reason);
	if (ret < 0)
		return ret;
	target->fd = ret;
	if (!look_only) {
		ret = file_lock(target->fd, opts->read_only, opts->path, reason);
		if (ret)
			return ret;
	}

	if (fstat(target->fd, &st))
		return refuse_open(opts, errno, reason);
	identify(&found, &st);
	if (target->claim.fs != found.fs || target->claim.node != found.node)
		return file_refuse(reason, EAGAIN,
				   "'%s' was replaced while it was opened; try again", opts->path);
	return measure(target, &st, opts->path, reason);
}

int file_target_open(const struct file_options *opts, struct tcmu_device *dev, uint64_t size,
		     struct file_target *target, char **reason)
{
	struct stat st;
	int ret;

	memset(target, 0, sizeof(*target));
	target->fd = -1;
	target->claim.dev = dev;
	target->claim.shared = opts->read_only;
	*reason = NULL;

	if (opts->create && !dev && access(opts->path, F_OK) && errno == ENOENT)
		return look_parent(opts, reason);
	if (opts->create && dev) {
		ret = create(opts, size, reason);
		if (ret)
			return ret;
	}
	ret = look_before(opts, &st, !dev, reason);
	if (ret)
		return ret;
	target->block_dev = S_ISBLK(st.st_mode);
	identify(&target->claim, &st);
	if (dev) {
		ret = file_claim_take(&target->claim, opts->path, reason);
		if (ret)
			return ret;
	}
	ret = open_locked(opts, target, reason);
	if (ret)
		file_target_close(target);
	return ret;
}

/* The claim first: whoever takes it next waits for the lock. */
void file_target_close(struct file_target *target)
{
	file_claim_drop(&target->claim);
	if (target->fd >= 0)
		close(target->fd);
	target->fd = -1;
}
