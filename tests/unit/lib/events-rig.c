/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "events-rig.h"

/* ---- the kernel ------------------------------------------------------------------------------- */

#define MAP_LEN (1u << 16)

struct noted_kernel kernel;
struct program prog;
struct tcmulib_context *ctx;
int event_storm;

static struct tcmu_kernel *k_open(void)
{
	kernel.k.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return &kernel.k;
}

static void k_close(struct tcmu_kernel *k)
{
	close(k->fd);
}

static int k_set_reply(struct tcmu_kernel *k, bool on)
{
	(void)k;
	kernel.reply_on = on;
	return 0;
}

static void k_leave(struct tcmu_kernel *k)
{
	(void)k;
	kernel.left = true;
}

static int k_event_fd(struct tcmu_kernel *k)
{
	return k->fd;
}

static int k_next_event(struct tcmu_kernel *k, struct tcmu_event *ev)
{
	uint64_t n;

	if (kernel.overflow) {
		kernel.overflow = false;
		return -ENOBUFS;
	}
	if (!kernel.event_count) {
		if (read(k->fd, &n, sizeof(n)) < 0)
			return 0;
		return 0;
	}
	*ev = kernel.events[0];
	if (event_storm && event_storm--)
		return 1;
	memmove(kernel.events, kernel.events + 1, sizeof(kernel.events[0]) * 15);
	kernel.event_count--;
	return 1;
}

bool still_open(uint32_t minor)
{
	struct pollfd pfd = { .fd = kernel.peers[minor] };

	return kernel.peers[minor] && poll(&pfd, 1, 0) == 0;
}

static int k_reply(struct tcmu_kernel *k, enum tcmu_event_type type, uint32_t device_id, int status)
{
	int i = kernel.reply_count++;

	(void)k;
	kernel.replies[i].type = type;
	kernel.replies[i].device_id = device_id;
	kernel.replies[i].status = status;
	kernel.replies[i].mapped = still_open(device_id - 100); /* see event() */
	i = kernel.reply_error;
	kernel.reply_error = 0;
	return i;
}

static int k_scan(struct tcmu_kernel *k, void (*found)(const struct tcmu_found *dev, void *arg),
		  void *arg)
{
	(void)k;
	for (int i = 0; i < kernel.found_count; i++)
		found(&kernel.found[i], arg);
	return 0;
}

static void inspect_one(struct tcmu_found *dev)
{
	for (int i = 0; i < kernel.found_count; i++) {
		if (kernel.found[i].minor == dev->minor) {
			*dev = kernel.found[i];
			return;
		}
	}
	dev->err = kernel.inspect_error;
}

static void k_inspect(struct tcmu_kernel *k, struct tcmu_found *dev, size_t n)
{
	(void)k;
	kernel.inspections++;
	for (size_t i = 0; i < n; i++)
		inspect_one(&dev[i]);
}

static bool k_look_stuck(struct tcmu_kernel *k)
{
	(void)k;
	return kernel.look_stuck;
}

static bool k_waiter_stuck(struct tcmu_kernel *k)
{
	(void)k;
	return kernel.stuck;
}

static int k_other_listener(struct tcmu_kernel *k, uint32_t *port)
{
	(void)k;
	*port = 4711;
	return kernel.others;
}

static int k_release_waiters(struct tcmu_kernel *k)
{
	(void)k;
	kernel.released++;
	kernel.stuck = false;
	return 0;
}

static bool k_dev_is(struct tcmu_kernel *k, const struct tcmu_event *ev)
{
	(void)k;
	return ev->minor != kernel.stale;
}

static int k_dev_open(struct tcmu_kernel *k, uint32_t minor)
{
	int pair[2];

	(void)k;
	if (kernel.busy_opens) {
		kernel.busy_opens--;
		return -EBUSY;
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	if (kernel.peers[minor])
		close(kernel.peers[minor]);
	kernel.peers[minor] = pair[1];
	return pair[0];
}

static int k_dev_map(struct tcmu_kernel *k, uint32_t minor, int fd, void **map, size_t *len)
{
	struct tcmu_abi_mailbox *mb;

	(void)k;
	(void)fd;
	mb = mmap(NULL, MAP_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(mb, MAP_FAILED);
	mb->version = TCMU_ABI_MAILBOX_VERSION;
	mb->flags = TCMU_ABI_CAP_OOO | TCMU_ABI_CAP_READ_LEN;
	mb->cmd_tail = kernel.tail;
	mb->cmdr_off = 128;
	mb->cmdr_size = 4096 - 128;
	mb->cmd_head = kernel.dirty ? 128 : 0;
	kernel.maps[minor] = mb;
	*map = mb;
	*len = MAP_LEN;
	return 0;
}

static int k_dev_ack(int fd)
{
	(void)fd;
	return 0;
}

static int k_dev_kick(int fd)
{
	(void)fd;
	kernel.kicks++;
	if (kernel.on_kick)
		kernel.on_kick();
	return 0;
}

static ssize_t k_attr_read(struct tcmu_kernel *k, const char *path, char *buf, size_t size,
			   const bool *over)
{
	(void)k, (void)over;
	kernel.reads++;
	if (strstr(path, "attrib/hw_block_size"))
		return snprintf(buf, size, "4096");
	if (strstr(path, "info"))
		return snprintf(buf, size, "Config: x Size: 1048576 MaxDataAreaMB: 1");
	return -ENOENT;
}

static int k_attr_write(struct tcmu_kernel *k, const char *path, const char *val)
{
	size_t len = strlen(kernel.written);
	struct tcmu_abi_mailbox *mb = kernel.maps[1];

	(void)k;
	if (kernel.fail_unblock && strstr(path, "block_dev") && *val == '0') {
		kernel.fail_unblock--;
		return -EMFILE;
	}
	snprintf(kernel.written + len, sizeof(kernel.written) - len, "%s=%s ", path, val);
	if (mb && strstr(path, "reset_ring")) {
		mb->cmd_tail = 0;
		mb->cmd_head = 0;
	}
	return 0;
}

const struct tcmu_kernel_ops tcmu_kernel_ops = {
	.open = k_open,
	.close = k_close,
	.set_reply = k_set_reply,
	.leave = k_leave,
	.event_fd = k_event_fd,
	.next_event = k_next_event,
	.reply = k_reply,
	.scan = k_scan,
	.inspect = k_inspect,
	.look_stuck = k_look_stuck,
	.waiter_stuck = k_waiter_stuck,
	.other_listener = k_other_listener,
	.release_waiters = k_release_waiters,
	.dev_is = k_dev_is,
	.dev_open = k_dev_open,
	.dev_map = k_dev_map,
	.dev_ack = k_dev_ack,
	.dev_kick = k_dev_kick,
	.attr_read = k_attr_read,
	.attr_write = k_attr_write,
};

void push(const struct tcmu_event *ev)
{
	uint64_t one = 1;

	kernel.events[kernel.event_count++] = *ev;
	assert_int_equal(write(kernel.k.fd, &one, sizeof(one)), sizeof(one));
}

void event(enum tcmu_event_type type, uint32_t minor, const char *config)
{
	struct tcmu_event ev = { .type = type, .minor = minor, .device_id = 100 + minor };

	snprintf(ev.uio_name, sizeof(ev.uio_name), "tcm-user/0/d%u/%s", minor, config);
	push(&ev);
}

void exists(uint32_t minor, const char *config, bool enabled)
{
	struct tcmu_found *dev = &kernel.found[kernel.found_count++];

	dev->minor = minor;
	dev->device_id = 100 + minor;
	dev->enabled = enabled;
	snprintf(dev->uio_name, sizeof(dev->uio_name), "tcm-user/0/d%u/%s", minor, config);
}

/* ---- the program ------------------------------------------------------------------------------ */

static int on_added(struct tcmu_device *dev)
{
	prog.added++;
	prog.dev = dev;
	if (prog.start)
		assert_int_equal(tcmulib_device_start(dev), 0);
	if (prog.defer)
		tcmulib_event_defer(dev);
	return prog.status;
}

static void on_removed(struct tcmu_device *dev)
{
	prog.removed++;
	prog.dev = dev;
	if (prog.defer)
		tcmulib_event_defer(dev);
}

static int on_reconfig(struct tcmu_device *dev, struct tcmulib_cfg_info *cfg)
{
	prog.reconfigs++;
	prog.cfg = *cfg;
	if (cfg->type == TCMULIB_CFG_DEV_CFGSTR)
		snprintf(prog.cfgstring, sizeof(prog.cfgstring), "%s", cfg->data.dev_cfgstring);
	if (prog.defer)
		tcmulib_event_defer(dev);
	return prog.status;
}

static bool on_check_config(const char *cfgstring, char **reason)
{
	if (!strstr(cfgstring, "bad"))
		return true;
	*reason = strdup("it says bad");
	return false;
}

void start(void)
{
	struct tcmulib_handler handler = {
		.name = "test",
		.subtype = "test",
		.check_config = on_check_config,
		.added = on_added,
		.removed = on_removed,
		.reconfig = on_reconfig,
	};

	ctx = tcmulib_initialize(&handler, 1);
	assert_non_null(ctx);
	assert_true(kernel.reply_on);
}

bool turn(void)
{
	struct pollfd pfd = { .fd = tcmulib_get_master_fd(ctx), .events = POLLIN };
	bool ready = poll(&pfd, 1, 0) == 1;

	if (ready)
		assert_int_equal(tcmulib_master_fd_ready(ctx), 0);
	return ready;
}

void later(unsigned int seconds)
{
	tcmu_events_check_deadlines(ctx, tcmu_now_ms() + seconds * 1000);
}

void assert_reply(int i, enum tcmu_event_type type, uint32_t minor, int status)
{
	assert_true(i < kernel.reply_count);
	assert_int_equal(kernel.replies[i].type, type);
	assert_int_equal(kernel.replies[i].device_id, 100 + minor);
	assert_int_equal(kernel.replies[i].status, status);
}

int setup(void **state)
{
	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	memset(&prog, 0, sizeof(prog));
	return 0;
}

int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < 16; i++) {
		if (kernel.peers[i])
			close(kernel.peers[i]);
	}
	return 0;
}
