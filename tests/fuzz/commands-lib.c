/* SPDX-License-Identifier: Apache-2.0 */
/* What libtcmu.c and the runner have around them in a daemon, for fuzz-commands. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/context.h"
#include "lib/register.h"
#include "tests/fuzz/commands.h"

/* ---- lib/ ----------------------------------------------------------------------------------------- */

static int kick(int fd)
{
	(void)fd;
	fake_ring_doorbell(w.ring, 1);
	return 0;
}

const struct tcmu_kernel_ops tcmu_kernel_ops = { .dev_kick = kick };

int tcmu_device_start(struct tcmu_device *dev)
{
	(void)dev;
	return 0;
}

int tcmu_device_start_once(struct tcmu_device *dev)
{
	(void)dev;
	return 0;
}

int tcmu_device_stop(struct tcmu_device *dev)
{
	(void)dev;
	return 0;
}

ssize_t tcmu_dev_read_attr(struct tcmu_device *dev, const char *name, char *buf, size_t size)
{
	(void)dev;
	if (strcmp(name, "wwn/vpd_unit_serial"))
		return -ENOENT;
	return snprintf(buf, size, "T10 VPD Unit Serial Number: 0123456789abcdef");
}

int tcmu_dev_write_attr(struct tcmu_device *dev, const char *name, const char *val)
{
	(void)dev;
	if (strcmp(name, "action/free_kept_buf"))
		return -ENOENT;
	return fake_ring_free_kept(w.ring, (uint32_t)strtoul(val, NULL, 10));
}

int tcmu_cfgfs_dev_get_attr_int(struct tcmu_device *dev, const char *name)
{
	(void)dev, (void)name;
	return -ENOENT;
}

ssize_t tcmu_target_read(const char *path, char *buf, size_t size)
{
	(void)path, (void)buf, (void)size;
	return -ENOENT;
}

ssize_t tcmu_target_link(const char *path, char *buf, size_t size)
{
	return tcmu_target_read(path, buf, size);
}

ssize_t tcmu_target_list(const char *path, char *buf, size_t size)
{
	return tcmu_target_read(path, buf, size);
}

void tcmu_log(enum tcmu_log_level level, struct tcmu_device *dev, const char *fmt, ...)
{
	(void)level, (void)dev, (void)fmt;
}

/* Formats it, so that the sanitizers see what it is made of. */
void tcmu_log_command(enum tcmu_log_level level, struct tcmu_device *dev,
		      const struct tcmu_log_about *about, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	(void)level, (void)dev, (void)about;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
}

void tcmu_log_settle(struct tcmu_device *dev, bool now)
{
	(void)dev, (void)now;
}

void tcmu_event_done(struct tcmu_device *dev, int status)
{
	(void)dev, (void)status;
}

/* ---- runner/device.c ------------------------------------------------------------------------------ */

/* The thread sleeps only when it has nothing to do. */
void runner_dev_wake(struct runner_dev *rdev)
{
	(void)rdev;
}

void runner_dev_request(struct runner_dev *rdev, unsigned int req)
{
	if (req & RUNNER_REQ_PARK)
		abort();
	atomic_fetch_or(&rdev->requests, req);
}

bool runner_dev_claim_reply(struct runner_dev *rdev, enum runner_reply kind)
{
	enum runner_reply expected = kind;

	return atomic_compare_exchange_strong(&rdev->reply, &expected, RUNNER_REPLY_NONE);
}

void runner_dev_set_state(struct runner_dev *rdev, enum runner_state state)
{
	atomic_store(&rdev->state, state);
}

void runner_states_changed(void)
{
}

/* ---- not called ----------------------------------------------------------------------------------- */

#define NEVER(ret, name, ...)                                                                      \
	ret name(__VA_ARGS__)                                                                      \
	{                                                                                          \
		abort();                                                                           \
	}

#pragma clang diagnostic ignored "-Wunused-parameter"
NEVER(int, runner_dev_open, struct runner_dev *rdev, bool reopen)
NEVER(void, runner_dev_close, struct runner_dev *rdev)
NEVER(int, runner_dev_open_again, struct runner_dev *rdev, int err)
NEVER(void, tcmu_device_exchange_config, struct tcmu_device *dev, char **cfgstring, uint64_t *size)
NEVER(int, tcmu_device_store_config, struct tcmu_device *dev, const char *cfgstring, uint64_t size)
NEVER(struct tcmulib_context *, tcmu_context_new, struct tcmulib_handler *handlers, size_t n)
NEVER(void, tcmu_context_set_successor, struct tcmulib_context *ctx, bool on)
NEVER(int, tcmu_foreign_set, struct tcmulib_context *ctx, const char *const *subtypes, size_t n)
NEVER(int, tcmu_context_ready, struct tcmulib_context *ctx)
NEVER(void, tcmu_context_close, struct tcmulib_context *ctx)
NEVER(void, tcmu_register, struct tcmulib_context *ctx)
NEVER(void, tcmu_register_end, struct tcmulib_context *ctx)
NEVER(void, tcmu_context_abandon, struct tcmulib_context *ctx)
NEVER(void, tcmu_event_defer, struct tcmu_device *dev)
NEVER(bool, tcmu_event_awaited, struct tcmu_device *dev)
NEVER(void, tcmu_device_end, struct tcmu_device *dev)
