/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "lib/device.h"

#define OPERATIONS 4096

struct tcmur_handler *tcmur_handler_entry(void);

struct operation {
	struct tcmu_device *dev;
	struct tcmur_io *io;
	int fd;
	const struct iovec *iov;
	size_t iov_cnt;
	off_t off;
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

/* ---- the engine ---- */

static void add(struct operation op)
{
	assert(waiting < OPERATIONS);
	assert(op.io->done);
	operations[waiting++] = op;
}

void tcmur_io_readv(struct tcmu_device *dev, struct tcmur_io *io, int fd, const struct iovec *iov,
		    size_t iov_cnt, off_t off)
{
	add((struct operation) { dev, io, fd, iov, iov_cnt, off, NULL });
}

void tcmur_io_work(struct tcmu_device *dev, struct tcmur_io *io, int64_t (*fn)(struct tcmur_io *io))
{
	add((struct operation) { .dev = dev, .io = io, .work = fn });
}

uint64_t tcmur_io_progress(const struct tcmur_io *io)
{
	(void)io;
	return 0;
}

static int64_t read_all(const struct operation *op)
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

bool rig_step(void)
{
	struct operation op;
	size_t n;

	if (!waiting)
		return false;
	n = (size_t)rig_random(waiting);
	op = operations[n];
	operations[n] = operations[--waiting];
	if (rig_fail_in && !--rig_fail_in)
		op.io->done(op.io, -EIO);
	else
		op.io->done(op.io, op.work ? op.work(op.io) : read_all(&op));
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

void rig_close(void)
{
	assert(!waiting);
	rig_handler->close(&device);
	assert(!dev_private);
}

struct rig_cmd *rig_begin(void)
{
	for (size_t i = 0; i < RIG_COMMANDS; i++) {
		struct rig_cmd *rc = &rig_cmds[i];

		if (rc->busy)
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

int rig_read(void *buf, size_t len, uint64_t off)
{
	struct iovec iov = { buf, len };
	struct rig_cmd *rc = rig_begin();

	rig_returned(rc, rig_handler->read(&device, &rc->pub, &iov, 1, len, (off_t)off));
	return rig_finish(rc);
}
