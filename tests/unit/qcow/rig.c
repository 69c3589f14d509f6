/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/device.h"

#define OPERATIONS 4096

struct tcmur_handler *tcmur_handler_entry(void);

struct operation {
	struct tcmur_io *io;
	int64_t (*run)(const struct operation *op);
	int fd;
	const struct iovec *iov;
	size_t iov_cnt;
	off_t off, len;
	int flags; /* of pwritev2(2), or the mode of fallocate(2) */
	int64_t (*work)(struct tcmur_io *io);
};

static struct tcmu_device device;
static void *dev_private;
static struct operation operations[OPERATIONS];
static size_t waiting;
static uint64_t state = 1;

struct tcmu_device *const rig_dev = &device;
struct tcmur_handler *rig_handler;
struct rig_cmd rig_cmds[RIG_COMMANDS];
char rig_error[2048];
uint64_t rig_size;
unsigned int rig_fail_in;

/* ---- chance ---- */

void rig_seed(uint64_t seed)
{
	state = seed * 0x9e3779b97f4a7c15ull + 1;
}

uint64_t rig_random(uint64_t below) /* xorshift64* */
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (state * 0x2545f4914f6cdd1dull >> 11) % below;
}

/* ---- the library and the runner ---- */

void tcmu_log(enum tcmu_log_level level, struct tcmu_device *d, const char *fmt, ...)
{
	va_list args;

	(void)d;
	if (level != TCMU_LOG_ERROR)
		return;
	va_start(args, fmt);
	vsnprintf(rig_error, sizeof(rig_error), fmt, args);
	va_end(args);
}

ssize_t tcmu_dev_read_attr(struct tcmu_device *d, const char *name, char *buf, size_t size)
{
	(void)d, (void)name, (void)buf, (void)size;
	return -ENOENT;
}

void *tcmur_dev_get_private(struct tcmu_device *dev)
{
	(void)dev;
	return dev_private;
}

void tcmur_dev_set_private(struct tcmu_device *dev, void *priv)
{
	(void)dev;
	dev_private = priv;
}

void *tcmur_cmd_priv(struct tcmur_cmd *cmd)
{
	return ((struct rig_cmd *)cmd)->priv;
}

void tcmur_cmd_set_error_offset(struct tcmur_cmd *cmd, uint64_t off)
{
	struct rig_cmd *rc = (struct rig_cmd *)cmd;

	rc->error_off_valid = true;
	rc->error_off = off;
}

void tcmur_cmd_complete(struct tcmu_device *dev, struct tcmur_cmd *cmd, int sts)
{
	struct rig_cmd *rc = (struct rig_cmd *)cmd;

	assert(dev == &device);
	assert(rc->busy);
	rc->busy = false;
	rc->sts = sts;
}

bool tcmur_cmd_fua(struct tcmur_cmd *cmd)
{
	return ((struct rig_cmd *)cmd)->fua;
}

bool tcmur_cmd_atomic(struct tcmur_cmd *cmd)
{
	return ((struct rig_cmd *)cmd)->atomic;
}

/* ---- the engine: what an operation does is done at its step, all at once ---- */

static void add(struct tcmu_device *dev, struct operation op)
{
	assert(dev == &device);
	assert(waiting < OPERATIONS);
	assert(op.io->done);
	operations[waiting++] = op;
}

static int64_t run_read(const struct operation *op)
{
	int64_t have = 0;

	for (size_t i = 0; i < op->iov_cnt; i++) {
		ssize_t n = preadv(op->fd, &op->iov[i], 1, op->off + have);

		if (n < 0)
			return -errno;
		have += n;
		if ((size_t)n < op->iov[i].iov_len)
			break;
	}
	return have;
}

static int64_t run_write(const struct operation *op)
{
	int64_t have = 0;

	for (size_t i = 0; i < op->iov_cnt; i += IOV_MAX) {
		size_t cnt = op->iov_cnt - i < IOV_MAX ? op->iov_cnt - i : IOV_MAX;
		ssize_t n = pwritev2(op->fd, op->iov + i, (int)cnt, op->off + have, op->flags);

		if (n < 0)
			return -errno;
		have += n;
	}
	return have;
}

static int64_t run_fsync(const struct operation *op)
{
	return fdatasync(op->fd) ? -errno : 0;
}

static int64_t run_fallocate(const struct operation *op)
{
	return fallocate(op->fd, op->flags, op->off, op->len) ? -errno : 0;
}

static int64_t run_work(const struct operation *op)
{
	return op->work(op->io);
}

static int64_t run_timer(const struct operation *op)
{
	(void)op;
	return 0;
}

void tcmur_io_readv(struct tcmu_device *dev, struct tcmur_io *io, int fd, const struct iovec *iov,
		    size_t iov_cnt, off_t off)
{
	add(dev, (struct operation) { .io = io,
				      .run = run_read,
				      .fd = fd,
				      .iov = iov,
				      .iov_cnt = iov_cnt,
				      .off = off });
}

void tcmur_io_writev(struct tcmu_device *dev, struct tcmur_io *io, int fd, const struct iovec *iov,
		     size_t iov_cnt, off_t off, unsigned int flags)
{
	add(dev, (struct operation) { .io = io,
				      .run = run_write,
				      .fd = fd,
				      .iov = iov,
				      .iov_cnt = iov_cnt,
				      .off = off,
				      .flags = flags & TCMUR_IO_FUA ? RWF_DSYNC : 0 });
}

void tcmur_io_fsync(struct tcmu_device *dev, struct tcmur_io *io, int fd)
{
	add(dev, (struct operation) { .io = io, .run = run_fsync, .fd = fd });
}

void tcmur_io_fallocate(struct tcmu_device *dev, struct tcmur_io *io, int fd, int mode, off_t off,
			off_t len)
{
	add(dev, (struct operation) { .io = io,
				      .run = run_fallocate,
				      .fd = fd,
				      .off = off,
				      .len = len,
				      .flags = mode });
}

void tcmur_io_work(struct tcmu_device *dev, struct tcmur_io *io, int64_t (*fn)(struct tcmur_io *io))
{
	add(dev, (struct operation) { .io = io, .run = run_work, .work = fn });
}

void tcmur_io_timer(struct tcmu_device *dev, struct tcmur_io *io, uint64_t nsec)
{
	(void)nsec; /* any time may have gone by */
	add(dev, (struct operation) { .io = io, .run = run_timer });
}

void tcmur_io_add_fd(struct tcmu_device *dev, int fd)
{
	(void)dev, (void)fd;
}

void tcmur_io_remove_fd(struct tcmu_device *dev, int fd)
{
	(void)dev, (void)fd;
}

uint64_t tcmur_io_progress(const struct tcmur_io *io)
{
	(void)io;
	return 0;
}

unsigned long rig_steps;

bool rig_step(void)
{
	struct operation op;
	size_t n;

	if (!waiting)
		return false;
	rig_steps++;
	n = (size_t)rig_random(waiting);
	op = operations[n];
	operations[n] = operations[--waiting];
	if (rig_fail_in && !--rig_fail_in)
		op.io->done(op.io, -EIO);
	else
		op.io->done(op.io, op.run(&op));
	return true;
}

/* ---- commands ---- */

int rig_open(const char *cfgstring, uint64_t size)
{
	static char copy[8192];
	int ret;

	rig_handler = tcmur_handler_entry();
	assert(sizeof(rig_cmds[0].priv) >= rig_handler->cmd_priv_size);
	memset(&device, 0, sizeof(device));
	snprintf(copy, sizeof(copy), "%s", cfgstring);
	strcpy(device.name, "user_0/rig");
	device.fd = -1;
	device.cfgstring = copy;
	device.block_size = 512;
	device.config_size = size;
	device.num_lbas = size / 512;
	rig_error[0] = '\0';
	ret = rig_handler->open(&device, false);
	rig_size = device.num_lbas * 512;
	return ret;
}

bool rig_close(void)
{
	size_t left = waiting;

	for (size_t i = 0; i < OPERATIONS && rig_step(); i++)
		; /* they may touch what close() frees */
	rig_handler->close(&device);
	assert(!dev_private);
	waiting = 0;
	return !left;
}

struct rig_cmd *rig_begin(void)
{
	for (size_t i = 0; i < RIG_COMMANDS; i++) {
		struct rig_cmd *rc = &rig_cmds[i];

		if (rc->busy || rc->held)
			continue;
		memset(rc, 0, sizeof(*rc));
		rc->busy = true;
		return rc;
	}
	return NULL;
}

void rig_returned(struct rig_cmd *rc, int sts)
{
	if (sts != TCMU_STS_ASYNC_HANDLED)
		tcmur_cmd_complete(&device, &rc->pub, sts);
}

int rig_finish(struct rig_cmd *rc)
{
	while (rc->busy)
		assert(rig_step());
	return rc->sts;
}

size_t rig_cut(struct iovec *iov, size_t max, void *buf, size_t len)
{
	size_t n = 0, have = 0;

	while (have < len) {
		size_t piece = 512 * (1 + (size_t)rig_random(64));

		if (n + 1 == max || piece > len - have)
			piece = len - have;
		iov[n++] = (struct iovec) { (char *)buf + have, piece };
		have += piece;
	}
	return n;
}

int rig_read(void *buf, size_t len, uint64_t off)
{
	struct iovec iov = { buf, len };
	struct rig_cmd *rc = rig_begin();

	rig_returned(rc, rig_handler->read(&device, &rc->pub, &iov, 1, len, (off_t)off));
	return rig_finish(rc);
}

int rig_write(void *buf, size_t len, uint64_t off, bool fua)
{
	struct iovec iov = { buf, len };
	struct rig_cmd *rc = rig_begin();

	rc->fua = fua;
	rig_returned(rc, rig_handler->write(&device, &rc->pub, &iov, 1, len, (off_t)off));
	return rig_finish(rc);
}

int rig_flush(void)
{
	struct rig_cmd *rc = rig_begin();

	rig_returned(rc, rig_handler->flush(&device, &rc->pub));
	return rig_finish(rc);
}

int rig_unmap(uint64_t off, uint64_t len)
{
	struct rig_cmd *rc = rig_begin();

	rig_returned(rc, rig_handler->unmap(&device, &rc->pub, off, len));
	return rig_finish(rc);
}

int rig_resize(uint64_t size)
{
	struct tcmulib_cfg_info cfg = { .type = TCMULIB_CFG_DEV_SIZE, .data.dev_size = size };
	int ret = rig_handler->reconfig(&device, &cfg);

	if (ret)
		return ret;
	device.num_lbas = size / 512;
	rig_size = size;
	return 0;
}
