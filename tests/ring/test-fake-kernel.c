/* SPDX-License-Identifier: Apache-2.0 */
/* The fake kernel over its socket, with a consumer that uses the kernel seam as libtcmu does. */
#include "rig.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake-kernel.h"

static const struct tcmu_kernel_ops *ops = &tcmu_kernel_ops;

/* A daemon with one device, as a thread. */
struct server {
	pthread_t thread;
	struct tcmu_kernel *k;
	_Atomic(bool) stop;
	int refuse;     /* answer to ADDED */
	bool keep_open; /* while refusing */
	bool wrong_type, mute, no_kick;
	_Atomic(bool) deaf; /* looks at no entry */
	int fd;
	struct ref_consumer c;
	void *map;
	size_t len;
	_Atomic(int) reconfigs, overflows, served;
};

static struct fake_kernel *k;
static struct server s;

static void dev_start(uint32_t minor)
{
	s.fd = ops->dev_open(s.k, minor);
	if (s.fd < 0)
		return;
	assert_int_equal(ops->dev_map(s.k, minor, s.fd, &s.map, &s.len), 0);
	ref_init(&s.c, s.map);
}

static void dev_end(void)
{
	if (s.fd < 0)
		return;
	munmap(s.map, s.len);
	close(s.fd);
	s.fd = -1;
}

static void on_event(struct tcmu_event *ev)
{
	int status = 0, type = (int)ev->type;

	if (s.mute)
		return;
	if (ev->type == TCMU_EVENT_ADDED) {
		dev_start(ev->minor);
		status = s.refuse;
		if (status && !s.keep_open)
			dev_end();
	} else if (ev->type == TCMU_EVENT_REMOVED) {
		dev_end();
	} else {
		s.reconfigs++;
	}
	if (s.wrong_type)
		type = type == TCMU_EVENT_ADDED ? TCMU_EVENT_REMOVED : TCMU_EVENT_ADDED;
	ops->reply(s.k, type, ev->device_id, status);
}

static void on_found(const struct tcmu_found *dev, void *arg)
{
	(void)arg;
	dev_start(dev->minor);
	if (!dev->enabled)
		ops->reply(s.k, TCMU_EVENT_ADDED, dev->device_id, 0);
}

static void serve(void)
{
	struct ref_cmd cmd;
	bool any = false;

	while (s.fd >= 0 && !s.deaf && ref_next(&s.c, &cmd)) {
		if (cmd.op == TCMU_ABI_OP_CMD) {
			if (cmd.cdb[0] == 0x28)
				ref_fill(&cmd, 0x33, ref_len(&cmd));
			ref_answer(&s.c, cmd.id, 0, 0, 0);
			s.served++;
		}
		ref_free(&cmd);
		any = true;
	}
	if (any && !s.no_kick)
		ops->dev_kick(s.fd);
}

static void *server(void *arg)
{
	struct tcmu_event ev;
	int ret;

	(void)arg;
	while (!s.stop) {
		struct pollfd fds[2] = { { .fd = ops->event_fd(s.k), .events = POLLIN },
					 { .fd = s.fd, .events = POLLIN } };

		poll(fds, s.fd >= 0 ? 2 : 1, 10);
		while ((ret = ops->next_event(s.k, &ev)) == 1)
			on_event(&ev);
		if (ret == -ENOBUFS) {
			s.overflows++;
			ops->scan(s.k, on_found, NULL);
		}
		if (s.fd >= 0 && fds[1].revents && ops->dev_ack(s.fd))
			dev_end();
		serve();
	}
	return NULL;
}

static void start(void)
{
	s.fd = -1;
	s.stop = false;
	s.k = ops->open();
	assert_non_null(s.k);
	assert_int_equal(ops->set_reply(s.k, true), 0);
	ops->scan(s.k, on_found, NULL);
	pthread_create(&s.thread, NULL, server, NULL);
}

static void stop(void)
{
	s.stop = true;
	pthread_join(s.thread, NULL);
	dev_end();
	ops->close(s.k);
}

static int setup(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	k = fake_kernel_new();
	assert_non_null(k);
	fake_kernel_set_patience(k, 300, 1000);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_kernel_free(k);
	return 0;
}

static int create(struct fake_dev **dev)
{
	struct fake_dev_cfg cfg = {
		.name = "a", .config = "ref/a", .size = 1 << 20, .ring = FAKE_RING_CFG_DEFAULT
	};

	return fake_dev_create(k, &cfg, dev);
}

static void only(enum fake_verdict kind)
{
	assert_true(fake_verdicts_only(fake_kernel_verdicts(k), kind));
}

static void some_io(struct fake_dev *dev, int n)
{
	static uint8_t buf[8192];
	static const uint8_t cdb[10] = { 0x28 };
	struct fake_cmd cmd;

	for (int i = 0; i < n; i++) {
		fake_cmd_init(&cmd, cdb, sizeof(cdb), FAKE_IN, buf, sizeof(buf));
		assert_int_equal(fake_exec(fake_dev_ring(dev), &cmd, 5000), 0);
		assert_int_equal(cmd.status, 0);
		assert_int_equal(buf[8191], 0x33);
	}
}

static void whole_life(void **state)
{
	struct fake_dev *dev;
	char text[64];

	(void)state;
	start();
	assert_int_equal(create(&dev), 0);
	assert_true(fake_dev_is_open(dev));
	some_io(dev, 200);
	assert_int_equal(fake_dev_reconfig(dev, "dev_size", "2097152"), 0);
	assert_int_equal(s.reconfigs, 1);
	assert_true(fake_dev_attr(dev, "attrib/dev_size", text, sizeof(text)));
	assert_string_equal(text, "2097152");
	assert_int_equal(fake_wait_idle(fake_dev_ring(dev), 1000), 0);
	assert_int_equal(fake_dev_remove(dev), 0);
	stop();
	only(FAKE_V_NONE);
}

static void attributes(void **state)
{
	struct fake_dev *dev;
	char text[64];

	(void)state;
	start();
	assert_int_equal(create(&dev), 0);
	assert_int_equal(ops->attr_read(s.k, "user_0/a/attrib/cmd_time_out", text, 64, NULL), 2);
	assert_string_equal(text, "30");
	assert_int_equal(ops->attr_read(s.k, "user_0/b/attrib/cmd_time_out", text, 64, NULL),
			 -ENOENT);
	assert_int_equal(ops->attr_write(s.k, "user_0/a/action/block_dev", "1"), 0);
	assert_true(fake_ring_is_blocked(fake_dev_ring(dev)));
	assert_int_equal(ops->attr_write(s.k, "user_0/a/action/reset_ring", "1"), 0);
	assert_int_equal(ops->attr_write(s.k, "user_0/a/action/reset_ring", "3"), -EINVAL);
	assert_int_equal(ops->attr_write(s.k, "user_0/a/action/block_dev", "0"), 0);
	some_io(dev, 1);
	stop();
	only(FAKE_V_NONE);
}

/* What is below target/, the members of a group as the kernel writes them, a state's change. */
static void target(void **state)
{
	static const char two[] = "iSCSI/iqn.x/tpgt_1/lun_0\n\0iSCSI/iqn.x/tpgt_1/lun_1\n";
	static const char group[] = "user_0/a/alua/default_tg_pt_gp/alua_access_state";
	struct fake_dev *dev;
	char text[512];

	(void)state;
	start();
	assert_int_equal(create(&dev), 0);
	fake_target_map(dev, "iSCSI", "iscsi/iqn.x/tpgt_1", "lun_0", 1);
	fake_target_map(dev, "iSCSI", "iscsi/iqn.x/tpgt_1", "lun_1", 2);
	assert_int_equal(ops->target_list("core/user_0/a/alua", text, sizeof(text)), 17);
	assert_string_equal(text, "default_tg_pt_gp");
	assert_int_equal(ops->target_list("core/user_0/a/alua", text, 16), -E2BIG);
	assert_int_equal(ops->target_list("core/user_0/b/alua", text, sizeof(text)), -ENOENT);
	assert_int_equal(ops->target_read("core/user_0/a/alua/default_tg_pt_gp/members", text, 512),
			 sizeof(two));
	assert_memory_equal(text, two, sizeof(two));
	assert_int_equal(ops->target_list("iscsi/iqn.x/tpgt_1", text, sizeof(text)), 9);
	assert_int_equal(ops->target_list("iscsi/iqn.x/tpgt_1/acls", text, sizeof(text)), 0);
	assert_true(ops->target_link("iscsi/iqn.x/tpgt_1/lun/lun_1/port", text, 512) > 0);
	assert_non_null(strstr(text, "/target/core/user_0/a"));
	assert_int_equal(ops->target_read("iscsi/iqn.x/tpgt_1/lun/lun_1/port", text, 512), -EINVAL);
	assert_int_equal(ops->attr_write(s.k, group, "1"), 0);
	assert_int_equal(ops->attr_read(s.k, group, text, sizeof(text), NULL), 1);
	assert_string_equal(text, "1");
	fake_dev_set_attr(dev, "alua/default_tg_pt_gp/alua_access_type", "Explicit");
	assert_int_equal(ops->attr_write(s.k, group, "0"), -EINVAL);
	fake_target_remove(k, "iscsi/iqn.x");
	assert_int_equal(ops->target_list("iscsi/iqn.x/tpgt_1", text, sizeof(text)), -ENOENT);
	stop();
	only(FAKE_V_NONE);
}

static void refused(void **state)
{
	struct fake_dev *dev;

	(void)state;
	s.refuse = -ENOENT;
	start();
	assert_int_equal(create(&dev), -ENOENT);
	stop();
	only(FAKE_V_NONE);
}

static void refused_while_open(void **state)
{
	struct fake_dev *dev;

	(void)state;
	s.refuse = -ENOENT;
	s.keep_open = true;
	start();
	assert_int_equal(create(&dev), -ENOENT);
	stop();
	only(FAKE_V_OPEN_AT_REFUSAL);
}

static void wrong_reply(void **state)
{
	struct fake_dev *dev;

	(void)state;
	s.wrong_type = true;
	fake_kernel_set_patience(k, 300, 200);
	start();
	assert_int_equal(create(&dev), -ETIMEDOUT);
	stop();
	assert_int_equal(fake_verdict_count(fake_kernel_verdicts(k), FAKE_V_REPLY_TYPE), 1);
	assert_int_equal(fake_verdict_count(fake_kernel_verdicts(k), FAKE_V_REPLY_LATE), 1);
}

static void no_reply(void **state)
{
	struct fake_dev *dev;

	(void)state;
	s.mute = true;
	fake_kernel_set_patience(k, 300, 200);
	start();
	assert_int_equal(create(&dev), -ETIMEDOUT);
	stop();
	only(FAKE_V_REPLY_LATE);
}

static void lost_doorbell(void **state)
{
	struct fake_dev *dev;

	(void)state;
	start();
	s.no_kick = true;
	assert_int_equal(create(&dev), 0);
	some_io(dev, 1);
	stop();
	only(FAKE_V_DOORBELL);
}

/* After a reset of the ring nobody looks at the new commands; but nobody is to blame while there is
 * nobody. */
static void unnoticed_reset(void **state)
{
	static struct fake_cmd cmd; /* ends with the device */
	uint64_t end = fake_now_ms() + 10000;
	struct fake_dev *dev;

	(void)state;
	fake_kernel_set_answer_patience(k, 50);
	start();
	assert_int_equal(create(&dev), 0);
	some_io(dev, 1);
	stop();
	fake_ring_reset(fake_dev_ring(dev), 1);
	fake_ring_submit(fake_dev_ring(dev), &cmd);
	poll(NULL, 0, 200);
	only(FAKE_V_NONE);
	s.deaf = true;
	start();
	while (!fake_verdict_count(fake_kernel_verdicts(k), FAKE_V_RESET) && fake_now_ms() < end)
		poll(NULL, 0, 10);
	stop();
	only(FAKE_V_RESET);
}

/* The one who opens the device next answers what was answered before. */
static void answered_again(void **state)
{
	static struct fake_cmd cmd[2]; /* the first ends with the device */
	struct fake_dev *dev;
	struct ref_cmd c;

	(void)state;
	s.deaf = true;
	start();
	assert_int_equal(create(&dev), 0);
	for (int i = 0; i < 2; i++)
		fake_ring_submit(fake_dev_ring(dev), &cmd[i]);
	s.deaf = false;
	assert_int_equal(fake_wait_idle(fake_dev_ring(dev), 5000), 0);
	stop();
	s.k = ops->open();
	dev_start(fake_dev_minor(dev));
	fake_ring_submit(fake_dev_ring(dev), &cmd[0]);
	assert_true(ref_next(&s.c, &c));
	ref_free(&c);
	ref_answer(&s.c, 2, 0, 0, 0);
	fake_ring_reclaim(fake_dev_ring(dev));
	dev_end();
	ops->close(s.k);
	only(FAKE_V_RESTART);
}

/* A device from before, without anybody to wait for; and one open at a time. */
static void found_at_start(void **state)
{
	struct fake_dev *dev;

	(void)state;
	assert_int_equal(create(&dev), 0);
	start();
	some_io(dev, 10);
	assert_int_equal(ops->dev_open(s.k, fake_dev_minor(dev)), -EBUSY);
	stop();
	assert_false(fake_dev_is_open(dev));
	start();
	some_io(dev, 10);
	stop();
	only(FAKE_V_NONE);
}

static void *writer(void *arg)
{
	return (void *)(intptr_t)create(arg);
}

/* An event is lost; the overflow is told, and the scan finds the device and its waiting writer. */
static void overflow(void **state)
{
	struct fake_dev *dev;
	pthread_t thread;
	void *ret;

	(void)state;
	start();
	fake_kernel_lose_events(k, true);
	pthread_create(&thread, NULL, writer, &dev);
	poll(NULL, 0, 100);
	assert_true(ops->waiter_stuck(s.k));
	fake_kernel_lose_events(k, false);
	pthread_join(thread, &ret);
	assert_int_equal((intptr_t)ret, 0);
	assert_int_equal(s.overflows, 1);
	some_io(dev, 1);
	stop();
	only(FAKE_V_NONE);
}

static void released(void **state)
{
	struct fake_dev *dev;
	pthread_t thread;
	void *ret;

	(void)state;
	s.mute = true;
	start();
	pthread_create(&thread, NULL, writer, &dev);
	/* As soon as it waits. */
	do {
		poll(NULL, 0, 10);
		assert_int_equal(ops->release_waiters(s.k), 0);
	} while (pthread_tryjoin_np(thread, &ret));
	assert_int_equal((intptr_t)ret, -EINTR);
	stop();
	only(FAKE_V_NONE);
}

/* Each event is an edge, also if nobody reads them. And at the end the descriptor hangs up. */
static void edges(void **state)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	struct fake_cmd cmd = { .cdb = { 0 } };
	struct fake_dev *dev;
	int ep = epoll_create1(0);
	struct ref_cmd c;

	(void)state;
	assert_int_equal(create(&dev), 0);
	s.k = ops->open();
	dev_start(fake_dev_minor(dev));
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, s.fd, &ev), 0);
	for (int i = 0; i < 3000; i++) {
		fake_ring_submit(fake_dev_ring(dev), &cmd);
		assert_int_equal(epoll_wait(ep, &ev, 1, 1000), 1);
		assert_int_equal(epoll_wait(ep, &ev, 1, 0), 0);
		assert_true(ref_next(&s.c, &c));
		ref_answer(&s.c, c.id, 0, 0, 0);
		ref_free(&c);
		fake_ring_reclaim(fake_dev_ring(dev));
	}
	assert_int_equal(ops->dev_ack(s.fd), 0);
	assert_int_equal(ops->dev_kick(s.fd), 0);
	fake_dev_remove(dev);
	assert_int_equal(epoll_wait(ep, &ev, 1, 1000), 1);
	assert_true(ev.events & EPOLLHUP);
	assert_int_equal(ops->dev_ack(s.fd), -EIO);
	assert_int_equal(ops->dev_kick(s.fd), -EINVAL);
	assert_int_equal(s.c.mb->version, 2); /* the mapping stays */
	dev_end();
	ops->close(s.k);
	close(ep);
	only(FAKE_V_NONE);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(whole_life),         T(attributes),     T(target),   T(refused),
		T(refused_while_open), T(wrong_reply),    T(no_reply), T(lost_doorbell),
		T(found_at_start),     T(overflow),       T(released), T(edges),
		T(unnoticed_reset),    T(answered_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
