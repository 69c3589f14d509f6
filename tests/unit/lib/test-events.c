/* SPDX-License-Identifier: Apache-2.0 */
/* Events, deferral and replies. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "events-rig.h"

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
	exists(1, "other/", true);
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
	later(10);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_device_comes_and_goes),
		TEST(a_refusal_closes_before_the_reply),
		TEST(deferred_replies),
		TEST(a_removal_waits_for_the_addition),
		TEST(another_device_in_the_same_place),
		TEST(reconfigurations),
		TEST(added_is_answered_once),
		TEST(added_is_answered_again_if_it_was_too_early),
		TEST(a_lost_reply_is_looked_after),
		TEST(deadlines_wait_for_unread_events),
		TEST(long_names),
		TEST(the_same_object_in_another_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
