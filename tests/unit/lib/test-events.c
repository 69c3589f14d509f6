/* SPDX-License-Identifier: Apache-2.0 */
/* Events, deferral, scans and the end, against a kernel that notes what it is told. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/context.h"
#include "lib/device.h"
#include "test.h"

/* ---- the kernel ------------------------------------------------------------------------------- */

#define MAP_LEN (1u << 16)

struct tcmu_kernel {
	int fd; /* an eventfd: how many events are queued */
};

static struct {
	struct tcmu_kernel k;
	struct tcmu_event events[16];
	int event_count;
	bool overflow;
	bool reply_on;
	struct {
		enum tcmu_event_type type;
		uint32_t device_id;
		int status;
		bool mapped; /* a ring was mapped, or a descriptor open, when it came */
	} replies[16];
	int reply_count;
	struct tcmu_found found[16];
	int found_count;
	bool stuck;
	int released;
	int reply_error; /* what the next reply gets */
	int kicks;
	void (*on_kick)(void);
	int reads;        /* of attributes */
	int fail_unblock; /* so many times */
	uint32_t tail;    /* of the ring, when it is mapped */
	int busy_opens;   /* the next opens fail with EBUSY */
	int peers[16];    /* of the descriptors of minor N */
	void *maps[16];
	bool dirty; /* a command is on each ring, from nobody */
	char written[256];
} kernel;

static int event_storm; /* the first event comes so many times */

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

static bool still_open(uint32_t minor)
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

static bool k_waiter_stuck(struct tcmu_kernel *k)
{
	(void)k;
	return kernel.stuck;
}

static int k_release_waiters(struct tcmu_kernel *k)
{
	(void)k;
	kernel.released++;
	kernel.stuck = false;
	return 0;
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

static ssize_t k_attr_read(struct tcmu_kernel *k, const char *path, char *buf, size_t size)
{
	(void)k;
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
	.event_fd = k_event_fd,
	.next_event = k_next_event,
	.reply = k_reply,
	.scan = k_scan,
	.waiter_stuck = k_waiter_stuck,
	.release_waiters = k_release_waiters,
	.dev_open = k_dev_open,
	.dev_map = k_dev_map,
	.dev_ack = k_dev_ack,
	.dev_kick = k_dev_kick,
	.attr_read = k_attr_read,
	.attr_write = k_attr_write,
};

static void push(const struct tcmu_event *ev)
{
	uint64_t one = 1;

	kernel.events[kernel.event_count++] = *ev;
	assert_int_equal(write(kernel.k.fd, &one, sizeof(one)), sizeof(one));
}

/* An event of the device at minor, whose DEVICE_ID is 100 more. */
static void event(enum tcmu_event_type type, uint32_t minor, const char *config)
{
	struct tcmu_event ev = { .type = type, .minor = minor, .device_id = 100 + minor };

	snprintf(ev.uio_name, sizeof(ev.uio_name), "tcm-user/0/d%u/%s", minor, config);
	push(&ev);
}

static void exists(uint32_t minor, const char *config, bool enabled)
{
	struct tcmu_found *dev = &kernel.found[kernel.found_count++];

	dev->minor = minor;
	dev->device_id = 100 + minor;
	dev->enabled = enabled;
	snprintf(dev->uio_name, sizeof(dev->uio_name), "tcm-user/0/d%u/%s", minor, config);
}

/* ---- the program ------------------------------------------------------------------------------ */

static struct {
	struct tcmu_device *dev; /* of the last added() */
	struct tcmulib_cfg_info cfg;
	char cfgstring[64];
	int added, removed, reconfigs;
	int status; /* what callbacks return */
	bool defer;
	bool start;
} prog;

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

static struct tcmulib_context *ctx;

static void start(void)
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

/* One turn of the program's loop. True if there was something to do. */
static bool turn(void)
{
	struct pollfd pfd = { .fd = tcmulib_get_master_fd(ctx), .events = POLLIN };
	bool ready = poll(&pfd, 1, 0) == 1;

	if (ready)
		assert_int_equal(tcmulib_master_fd_ready(ctx), 0);
	return ready;
}

static void later(void)
{
	/* Time passes: deadlines are in ms of CLOCK_MONOTONIC, all of them within 10 s. */
	tcmu_events_check_deadlines(ctx, tcmu_now_ms() + 10000);
}

static void assert_reply(int i, enum tcmu_event_type type, uint32_t minor, int status)
{
	assert_true(i < kernel.reply_count);
	assert_int_equal(kernel.replies[i].type, type);
	assert_int_equal(kernel.replies[i].device_id, 100 + minor);
	assert_int_equal(kernel.replies[i].status, status);
}

static int setup(void **state)
{
	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	memset(&prog, 0, sizeof(prog));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < 16; i++) {
		if (kernel.peers[i])
			close(kernel.peers[i]);
	}
	return 0;
}

/* ---- tests ------------------------------------------------------------------------------------ */

static void a_device_comes_and_goes(void **state)
{
	(void)state;
	start();
	event(TCMU_EVENT_ADDED, 1, "test/a b/c\n");
	assert_true(turn());
	assert_int_equal(prog.added, 1);
	assert_reply(0, TCMU_EVENT_ADDED, 1, 0);
	assert_string_equal(tcmu_dev_get_name(prog.dev), "user_0/d1");
	assert_string_equal(tcmu_dev_get_cfgstring(prog.dev), "test/a b/c");
	assert_int_equal(tcmu_dev_get_minor(prog.dev), 1);
	assert_int_equal(tcmu_dev_get_block_size(prog.dev), 4096);
	assert_int_equal(tcmu_dev_get_config_size(prog.dev), 1048576);
	assert_int_equal(tcmu_dev_get_num_lbas(prog.dev), 256);
	assert_false(turn());

	event(TCMU_EVENT_ADDED, 1, "test/a b/c\n"); /* again: nobody waits for a second answer */
	turn();
	assert_int_equal(prog.added, 1);
	assert_int_equal(kernel.reply_count, 1);

	event(TCMU_EVENT_REMOVED, 1, "test/a b/c\n");
	turn();
	assert_int_equal(prog.removed, 1);
	assert_reply(1, TCMU_EVENT_REMOVED, 1, 0);
	assert_false(kernel.replies[1].mapped);
	tcmulib_close(ctx);
	assert_int_equal(prog.removed, 1);
	assert_false(kernel.reply_on);
}

static void a_refusal_closes_before_the_reply(void **state)
{
	(void)state;
	start();
	prog.status = -EBADF;
	prog.start = true;
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	assert_reply(0, TCMU_EVENT_ADDED, 1, -EBADF);
	assert_false(kernel.replies[0].mapped);
	assert_int_equal(prog.removed, 0);

	prog.start = false;
	event(TCMU_EVENT_ADDED, 2, "test/bad");
	turn();
	assert_int_equal(prog.added, 1);
	assert_reply(1, TCMU_EVENT_ADDED, 2, -EINVAL);
	tcmulib_close(ctx);
}

static void *done_thread(void *arg)
{
	tcmulib_event_done(prog.dev, *(int *)arg);
	if (*(int *)arg < 0)
		tcmulib_device_release(prog.dev);
	return NULL;
}

static void done_from_a_thread(int status)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, done_thread, &status), 0);
	pthread_join(thread, NULL);
}

static void deferred_replies(void **state)
{
	(void)state;
	start();
	prog.defer = true;
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	assert_int_equal(kernel.reply_count, 0);
	done_from_a_thread(0);
	assert_int_equal(kernel.reply_count, 0);
	assert_true(turn());
	assert_reply(0, TCMU_EVENT_ADDED, 1, 0);

	event(TCMU_EVENT_ADDED, 2, "test/");
	turn();
	done_from_a_thread(-ENXIO); /* released too, before the reply */
	assert_true(turn());
	assert_reply(1, TCMU_EVENT_ADDED, 2, -ENXIO);
	assert_false(kernel.replies[1].mapped);

	event(TCMU_EVENT_REMOVED, 1, "test/");
	turn();
	assert_int_equal(prog.removed, 1);
	assert_int_equal(kernel.reply_count, 2);
	tcmulib_event_done(prog.dev, 0);
	turn();
	assert_reply(2, TCMU_EVENT_REMOVED, 1, 0);
	/* The place is free for another device while the program still has the old one. */
	struct tcmu_device *old = prog.dev;

	prog.defer = false;
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	assert_reply(3, TCMU_EVENT_ADDED, 1, 0);
	tcmulib_device_release(old);
	assert_ptr_not_equal(prog.dev, old);
	tcmulib_close(ctx);
	assert_int_equal(prog.removed, 2);
}

static void a_removal_waits_for_the_addition(void **state)
{
	struct tcmu_device *dev;

	(void)state;
	start();
	prog.defer = true;
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	dev = prog.dev;
	event(TCMU_EVENT_REMOVED, 1, "test/"); /* the kernel has given the addition up */
	turn();
	assert_int_equal(prog.removed, 0);
	prog.defer = false;
	tcmulib_event_done(dev, 0);
	turn();
	assert_int_equal(prog.removed, 1);
	assert_int_equal(kernel.reply_count, 1); /* none of the type that nobody waits for */
	assert_reply(0, TCMU_EVENT_REMOVED, 1, 0);

	prog.defer = true;
	event(TCMU_EVENT_ADDED, 2, "test/");
	turn();
	event(TCMU_EVENT_ADDED, 2, "test/"); /* twice the same is one */
	turn();
	tcmulib_event_done(prog.dev, 0);
	turn();
	assert_int_equal(kernel.reply_count, 2);
	assert_reply(1, TCMU_EVENT_ADDED, 2, 0);

	event(TCMU_EVENT_ADDED, 3, "test/");
	turn();
	dev = prog.dev;
	event(TCMU_EVENT_REMOVED, 3, "test/");
	turn();
	tcmulib_event_done(dev, -EIO);
	tcmulib_device_release(dev);
	turn();
	assert_int_equal(kernel.reply_count, 3);
	assert_reply(2, TCMU_EVENT_REMOVED, 3, 0);
	prog.defer = false;
	tcmulib_close(ctx);
}

static void another_device_in_the_same_place(void **state)
{
	(void)state;
	start();
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	close(kernel.peers[1]); /* the uio device is dead */
	kernel.peers[1] = 0;
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	assert_int_equal(prog.removed, 1);
	assert_int_equal(prog.added, 2);
	assert_int_equal(kernel.reply_count, 2);
	assert_reply(1, TCMU_EVENT_ADDED, 1, 0);
	tcmulib_close(ctx);
	assert_int_equal(prog.removed, 2);
}

static void reconfigurations(void **state)
{
	struct tcmu_event ev = {
		.type = TCMU_EVENT_RECONFIG,
		.minor = 1,
		.device_id = 101,
		.uio_name = "tcm-user/0/d1/test/",
		.cfg_type = TCMULIB_CFG_DEV_SIZE,
		.dev_size = 2097152,
	};

	(void)state;
	start();
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	push(&ev);
	turn();
	assert_reply(1, TCMU_EVENT_RECONFIG, 1, 0);
	assert_int_equal(prog.cfg.data.dev_size, 2097152);
	assert_int_equal(tcmu_dev_get_config_size(prog.dev), 2097152);

	prog.status = -EPERM;
	ev.dev_size = 1;
	push(&ev);
	turn();
	assert_reply(2, TCMU_EVENT_RECONFIG, 1, -EPERM);
	assert_int_equal(tcmu_dev_get_config_size(prog.dev), 2097152);

	prog.status = 0;
	prog.defer = true;
	ev.cfg_type = TCMULIB_CFG_DEV_CFGSTR;
	strcpy(ev.dev_cfg, "test/new\n");
	push(&ev);
	turn();
	assert_string_equal(prog.cfgstring, "test/new");
	assert_string_equal(tcmu_dev_get_cfgstring(prog.dev), "test/");
	tcmulib_event_done(prog.dev, 0);
	assert_string_equal(tcmu_dev_get_cfgstring(prog.dev), "test/new");
	turn();
	assert_reply(3, TCMU_EVENT_RECONFIG, 1, 0);

	strcpy(ev.dev_cfg, "testing/new"); /* another's subtype */
	push(&ev);
	turn();
	assert_reply(4, TCMU_EVENT_RECONFIG, 1, -EINVAL);
	assert_int_equal(prog.reconfigs, 3);
	prog.defer = false;
	tcmulib_close(ctx);
}

static void subtypes_of_nobody_have_their_grace(void **state)
{
	(void)state;
	start();
	event(TCMU_EVENT_ADDED, 1, "tes/x");     /* whole: neither a part of ours */
	event(TCMU_EVENT_ADDED, 2, "testing/x"); /* nor ours a part */
	event(TCMU_EVENT_REMOVED, 3, "other/x");
	turn();
	assert_int_equal(kernel.reply_count, 0);
	turn();
	assert_int_equal(kernel.reply_count, 0);
	event(TCMU_EVENT_REMOVED, 2, "testing/x"); /* its owner has answered ADDED */
	turn();
	later();
	assert_int_equal(kernel.reply_count, 3);
	assert_reply(0, TCMU_EVENT_ADDED, 1, -ENOENT);
	assert_reply(1, TCMU_EVENT_REMOVED, 3, 0);
	assert_reply(2, TCMU_EVENT_REMOVED, 2, 0);
	assert_int_equal(prog.added, 0);
	tcmulib_close(ctx);
}

static void a_busy_device_is_tried_again(void **state)
{
	(void)state;
	start();
	kernel.busy_opens = 1;
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	assert_int_equal(prog.added, 0);
	assert_int_equal(kernel.reply_count, 0);
	later();
	assert_int_equal(prog.added, 1);
	assert_reply(0, TCMU_EVENT_ADDED, 1, 0);
	tcmulib_close(ctx);
}

static void devices_found_by_the_scan(void **state)
{
	(void)state;
	exists(1, "test/", true);
	exists(2, "test/", false);
	exists(3, "other/", true);
	start();
	assert_int_equal(prog.added, 2);
	assert_int_equal(kernel.reply_count, 1); /* only where somebody waits */
	assert_reply(0, TCMU_EVENT_ADDED, 2, 0);

	kernel.found_count = 1; /* 2 and 3 went away, 4 came, events were lost */
	close(kernel.peers[2]);
	kernel.peers[2] = 0;
	exists(4, "test/", false);
	kernel.overflow = true;
	event(TCMU_EVENT_ADDED, 4, "test/");
	turn();
	assert_int_equal(prog.added, 3);
	assert_int_equal(prog.removed, 1);
	assert_reply(kernel.reply_count - 1, TCMU_EVENT_ADDED, 4, 0);
	tcmulib_close(ctx);
	assert_int_equal(prog.removed, 3);
}

static void stuck_writers_are_released(void **state)
{
	(void)state;
	start();
	prog.defer = true;
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	kernel.stuck = true;
	tcmu_context_check_waiters(ctx,
				   tcmu_now_ms()); /* it may be this one that is seen waiting */
	assert_int_equal(kernel.released, 0);
	assert_int_not_equal(ctx->check_at, 0);
	tcmulib_event_done(prog.dev, 0);
	turn();
	tcmu_context_check_waiters(ctx, tcmu_now_ms());
	assert_int_equal(kernel.released, 0); /* it may be about to go on */
	assert_int_not_equal(ctx->check_at, 0);
	event(TCMU_EVENT_REMOVED, 9, "test/");
	tcmu_context_check_waiters(ctx, tcmu_now_ms()); /* it waits for this one to be read */
	assert_int_equal(kernel.released, 0);
	prog.defer = false;
	turn();
	tcmu_context_check_waiters(ctx, tcmu_now_ms());
	assert_int_equal(kernel.released, 1);
	assert_int_not_equal(ctx->rescan_at, 0);
	prog.defer = false;
	tcmulib_close(ctx);
}

static void the_end_answers_all(void **state)
{
	struct tcmu_device *opening, *closing;

	(void)state;
	start();
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	prog.defer = true;
	event(TCMU_EVENT_REMOVED, 1, "test/");
	turn();
	closing = prog.dev;
	event(TCMU_EVENT_ADDED, 2, "test/");
	turn();
	opening = prog.dev;
	event(TCMU_EVENT_ADDED, 3, "other/");
	turn();
	event(TCMU_EVENT_ADDED, 4, "test/"); /* never read */
	kernel.reply_count = 0;
	tcmulib_close(ctx);
	assert_int_equal(kernel.reply_count, 4);
	assert_reply(0, TCMU_EVENT_ADDED, 4, 0);
	assert_reply(1, TCMU_EVENT_ADDED, 2, 0); /* the program deferred even now: it has it open */
	assert_int_equal(prog.removed, 2);
	tcmulib_event_done(opening, 0); /* late: harmless */
	tcmulib_device_release(opening);
	tcmulib_event_done(closing, 0);
	tcmulib_device_release(closing); /* ends the context too */
}

static void the_end_refuses_what_it_could_end(void **state)
{
	(void)state;
	start();
	prog.defer = true;
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	prog.defer = false;
	tcmulib_close(ctx);
	assert_int_equal(kernel.reply_count, 1);
	assert_reply(0, TCMU_EVENT_ADDED, 1, -ESHUTDOWN);
	assert_false(kernel.replies[0].mapped);
	assert_int_equal(prog.removed, 1);
}

static void the_slow_road_unblocks(void **state)
{
	(void)state;
	kernel.dirty = true;
	prog.start = true;
	start();
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	assert_string_equal(kernel.written, "user_0/d1/action/block_dev=1 "
					    "user_0/d1/action/reset_ring=1 "
					    "user_0/d1/action/block_dev=0 ");
	assert_int_equal(tcmulib_ring_state(prog.dev), TCMULIB_RING_RUNNING);
	tcmulib_close(ctx);
}

/* A second answer could meet a RECONFIG that waits by now, and lose its writer. */
static void added_is_answered_once(void **state)
{
	(void)state;
	exists(1, "test/", false);
	exists(2, "test/", true);
	exists(3, "test/", false);
	start();
	assert_int_equal(kernel.reply_count, 2);
	event(TCMU_EVENT_ADDED, 1, "test/");
	event(TCMU_EVENT_ADDED, 2, "test/");
	turn();
	assert_int_equal(prog.added, 3);
	assert_int_equal(kernel.reply_count, 2);
	tcmulib_close(ctx);
}

/* But the scan may see a device before the kernel has begun to wait. */
static void added_is_answered_again_if_it_was_too_early(void **state)
{
	(void)state;
	exists(1, "test/", false);
	kernel.reply_error = -ENODEV;
	start();
	assert_int_equal(kernel.reply_count, 1);
	for (int i = 0; i < 2; i++) {
		event(TCMU_EVENT_ADDED, 1, "test/");
		turn();
		assert_int_equal(kernel.reply_count, 2);
		assert_reply(1, TCMU_EVENT_ADDED, 1, 0);
	}
	assert_int_equal(prog.added, 1);
	assert_int_equal(ctx->rescan_at, 0);
	tcmulib_close(ctx);
}

static void a_lost_reply_is_looked_after(void **state)
{
	(void)state;
	start();
	ctx->check_at = 0;
	kernel.reply_error = -ENOMEM;
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	assert_int_not_equal(ctx->check_at, 0);
	tcmulib_close(ctx);
}

/* The removal says that the addition was given up: a deadline must not answer before it is read. */
static void deadlines_wait_for_unread_events(void **state)
{
	(void)state;
	start();
	event(TCMU_EVENT_ADDED, 1, "other/");
	turn();
	container_of(ctx->pending.next, struct tcmu_pending, node)->deadline = 1;
	for (int i = 0; i < 16; i++)
		event(TCMU_EVENT_RECONFIG, 2, "other/");
	event_storm = 70;
	tcmulib_master_fd_ready(ctx);
	assert_int_equal(kernel.reply_count, 0);
	event_storm = 0;
	kernel.event_count = 0;
	event(TCMU_EVENT_REMOVED, 1, "other/");
	turn();
	assert_int_equal(kernel.reply_count, 0);
	later();
	assert_reply(kernel.reply_count - 1, TCMU_EVENT_REMOVED, 1, 0);
	for (int i = 0; i < kernel.reply_count; i++)
		assert_int_not_equal(kernel.replies[i].type, TCMU_EVENT_ADDED);
	tcmulib_close(ctx);
}

static void long_names(void **state)
{
	struct tcmu_event ev = { .type = TCMU_EVENT_ADDED, .minor = 1, .device_id = 101 };

	(void)state;
	start();
	snprintf(ev.uio_name, sizeof(ev.uio_name), "tcm-user/0/%0255d/test/%0250d", 1, 2);
	push(&ev);
	turn();
	assert_int_equal(strlen(tcmu_dev_get_cfgstring(prog.dev)), 255);
	tcmulib_close(ctx);
}

static void a_found_device_is_not_looked_at_again(void **state)
{
	(void)state;
	exists(1, "test/", true);
	kernel.found[0].block_size = 4096;
	kernel.found[0].dev_size = 8192;
	start();
	assert_int_equal(kernel.reads, 0);
	assert_int_equal(tcmu_dev_get_num_lbas(prog.dev), 2);
	tcmulib_close(ctx);
}

/* One that existed before us: for ever, and nobody waits for it. */
static void a_busy_device_that_existed(void **state)
{
	struct tcmu_event ev = {
		.type = TCMU_EVENT_RECONFIG,
		.minor = 1,
		.device_id = 101,
		.uio_name = "tcm-user/0/d1/test/",
	};

	(void)state;
	exists(1, "test/", true);
	kernel.busy_opens = 3;
	start();
	assert_false(tcmu_context_busy(ctx));
	later();
	push(&ev);
	turn();
	assert_reply(0, TCMU_EVENT_RECONFIG, 1, -ENODEV);
	container_of(ctx->pending.next, struct tcmu_pending, node)->deadline = 1;
	later();
	assert_int_equal(prog.added, 0);
	later();
	assert_int_equal(prog.added, 1);
	assert_int_equal(kernel.reply_count, 1);
	tcmulib_close(ctx);
}

static void the_same_object_in_another_place(void **state)
{
	struct tcmu_event ev = {
		.type = TCMU_EVENT_ADDED,
		.minor = 2,
		.device_id = 101,
		.uio_name = "tcm-user/0/d1/test/",
	};
	struct tcmu_device *first;

	(void)state;
	start();
	prog.defer = true;
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	first = prog.dev;
	prog.defer = false;
	push(&ev);
	turn();
	assert_int_equal(kernel.reply_count, 1);
	tcmulib_event_done(first, -EIO); /* would be taken for the second's */
	tcmulib_device_release(first);
	turn();
	assert_int_equal(kernel.reply_count, 1);
	tcmulib_close(ctx);
}

static void a_failed_start_is_tried_again(void **state)
{
	(void)state;
	start();
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	kernel.tail = 4000; /* insane, and no reset helps, for this is where it is mapped anew */
	kernel.fail_unblock = 100;
	kernel.dirty = true;
	assert_int_equal(tcmulib_device_start(prog.dev), -EMFILE);
	assert_null(tcmulib_get_next_command(prog.dev, 0)); /* does not try */
	kernel.fail_unblock = 2;
	kernel.kicks = 0;
	assert_int_equal(tcmulib_device_start(prog.dev), 0);
	assert_int_equal(kernel.fail_unblock, 0);
	assert_int_equal(kernel.kicks, 1); /* for what was published before */
	assert_int_equal(tcmulib_ring_state(prog.dev), TCMULIB_RING_RUNNING);
	tcmulib_close(ctx);
}

static void an_insane_tail_is_reset_before_it_is_looked_at(void **state)
{
	(void)state;
	start();
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	kernel.tail = 12;
	assert_int_equal(tcmulib_device_start(prog.dev), 0);
	assert_string_equal(kernel.written, "user_0/d1/action/reset_ring=1 "
					    "user_0/d1/action/block_dev=1 "
					    "user_0/d1/action/reset_ring=1 "
					    "user_0/d1/action/block_dev=0 ");
	tcmulib_close(ctx);
}

static pthread_barrier_t in_kick, go_on;

static void pause_in_kick(void)
{
	kernel.on_kick = NULL;
	pthread_barrier_wait(&in_kick);
	pthread_barrier_wait(&go_on);
}

/* The thread is in the middle of tcmulib_event_done() when the context ends. */
static void the_end_meets_an_answer(void **state)
{
	int status = -EIO;
	pthread_t thread;

	(void)state;
	pthread_barrier_init(&in_kick, NULL, 2);
	pthread_barrier_init(&go_on, NULL, 2);
	start();
	prog.start = true;
	prog.defer = true;
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	prog.dev->ring.kick = true; /* an answer without a doorbell yet */
	kernel.on_kick = pause_in_kick;
	assert_int_equal(pthread_create(&thread, NULL, done_thread, &status), 0);
	pthread_barrier_wait(&in_kick);
	tcmulib_close(ctx);
	assert_int_equal(kernel.reply_count, 1);
	assert_reply(0, TCMU_EVENT_ADDED, 1, 0);
	pthread_barrier_wait(&go_on);
	pthread_join(thread, NULL); /* it has released the device */
	assert_int_equal(kernel.reply_count, 1);
	pthread_barrier_destroy(&in_kick);
	pthread_barrier_destroy(&go_on);
}

static void abandoning_answers_and_touches_nothing(void **state)
{
	struct tcmu_device *dev;

	(void)state;
	start();
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	prog.defer = true;
	event(TCMU_EVENT_REMOVED, 1, "test/");
	turn();
	dev = prog.dev;
	event(TCMU_EVENT_ADDED, 2, "test/");
	turn();
	event(TCMU_EVENT_ADDED, 3, "other/");
	turn();
	event(TCMU_EVENT_RECONFIG, 4, "other/"); /* never read */
	kernel.reply_count = 0;
	tcmulib_abandon(ctx);
	assert_false(kernel.reply_on);
	assert_int_equal(kernel.reply_count, 4);
	assert_reply(0, TCMU_EVENT_RECONFIG, 4, -ESHUTDOWN);
	assert_reply(1, TCMU_EVENT_REMOVED, 1, 0);
	assert_reply(2, TCMU_EVENT_ADDED, 2, 0);
	assert_reply(3, TCMU_EVENT_ADDED, 3, 0);
	assert_int_equal(prog.removed, 1);
	assert_true(kernel.replies[1].mapped);
	tcmulib_event_done(dev, 0); /* a thread that comes back after all */
	assert_int_equal(kernel.reply_count, 4);

	prog.defer = false; /* the test itself goes on */
	tcmulib_device_release(dev);
	tcmulib_close(ctx);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_device_comes_and_goes),
		TEST(a_refusal_closes_before_the_reply),
		TEST(deferred_replies),
		TEST(a_removal_waits_for_the_addition),
		TEST(another_device_in_the_same_place),
		TEST(reconfigurations),
		TEST(subtypes_of_nobody_have_their_grace),
		TEST(a_busy_device_is_tried_again),
		TEST(devices_found_by_the_scan),
		TEST(stuck_writers_are_released),
		TEST(the_end_answers_all),
		TEST(the_end_refuses_what_it_could_end),
		TEST(the_slow_road_unblocks),
		TEST(added_is_answered_once),
		TEST(added_is_answered_again_if_it_was_too_early),
		TEST(a_lost_reply_is_looked_after),
		TEST(deadlines_wait_for_unread_events),
		TEST(long_names),
		TEST(a_found_device_is_not_looked_at_again),
		TEST(a_busy_device_that_existed),
		TEST(the_same_object_in_another_place),
		TEST(a_failed_start_is_tried_again),
		TEST(an_insane_tail_is_reset_before_it_is_looked_at),
		TEST(the_end_meets_an_answer),
		TEST(abandoning_answers_and_touches_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
