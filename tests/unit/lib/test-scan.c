/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that were there before the program, or that are busy. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "events-rig.h"

static void a_busy_device_is_tried_again(void **state)
{
	(void)state;
	start();
	kernel.busy_opens = 1;
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	assert_int_equal(prog.added, 0);
	assert_int_equal(kernel.reply_count, 0);
	later(10);
	assert_int_equal(prog.added, 1);
	assert_reply(0, TCMU_EVENT_ADDED, 1, 0);
	tcmulib_close(ctx);
}

/* Another daemon has the same handler, and the device open: the answer is its own to give, and a refusal of
 * ours would have the kernel free the ring under it. */
static void a_device_that_another_daemon_opens(bool it_answered)
{
	kernel.others = 1;
	start();
	kernel.busy_opens = 3;
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	container_of(ctx->pending.next, struct tcmu_pending, node)->deadline = 1;
	later(10);
	later(10);
	assert_int_equal(kernel.reply_count, 0);
	assert_false(tcmu_context_busy(ctx));

	exists(1, "test/", it_answered); /* and now it has died */
	later(10);
	assert_int_equal(prog.added, 1);
	assert_int_equal(kernel.reply_count, it_answered ? 0 : 1);
	if (!it_answered)
		assert_reply(0, TCMU_EVENT_ADDED, 1, 0);
	tcmulib_close(ctx);
}

static void another_daemon_has_answered(void **state)
{
	(void)state;
	a_device_that_another_daemon_opens(true);
}

static void another_daemon_has_not_answered(void **state)
{
	(void)state;
	a_device_that_another_daemon_opens(false);
}

/* It was answered by a process that has died since, and is in removal already: an answer to ADDED would lose
 * the writer that waits for the one to REMOVED. */
static void a_found_one_is_answered_after_what_is_unread(void **state)
{
	(void)state;
	prog.defer = true;
	exists(1, "test/", false);
	start();
	assert_int_equal(prog.added, 1);
	event(TCMU_EVENT_REMOVED, 1, "test/");
	tcmulib_event_done(prog.dev, 0); /* the answer is there before the event is read */
	prog.defer = false;
	turn();
	assert_int_equal(prog.removed, 1);
	assert_int_equal(kernel.reply_count, 1);
	assert_reply(0, TCMU_EVENT_REMOVED, 1, 0);
	tcmulib_close(ctx);
}

/* As that, but it could not be opened. */
static void a_found_one_is_refused_after_what_is_unread(void **state)
{
	(void)state;
	kernel.busy_opens = 1;
	exists(1, "test/", false);
	start();
	assert_int_equal(prog.added, 0);
	container_of(ctx->pending.next, struct tcmu_pending, node)->deadline = 1;
	kernel.busy_opens = 1;
	event(TCMU_EVENT_REMOVED, 1, "test/");
	tcmu_events_check_deadlines(ctx, tcmu_now_ms() + 1000);
	turn();
	assert_int_equal(kernel.reply_count, 1);
	assert_reply(0, TCMU_EVENT_REMOVED, 1, 0);
	tcmulib_close(ctx);
}

static void a_found_one_is_answered_at_the_end(void **state)
{
	(void)state;
	prog.defer = true;
	exists(1, "test/", false);
	start();
	event(TCMU_EVENT_ADDED, 2, "foreign/");
	tcmulib_event_done(prog.dev, 0);
	prog.defer = false;
	tcmulib_close(ctx);
	assert_int_equal(kernel.reply_count, 2);
}

/* Its minor is another device's by now: that one is not opened as this one, nor is anything answered, which
 * could be taken for the answer to another event. */
static void a_stale_event_is_nobodys(void **state)
{
	(void)state;
	start();
	kernel.stale = 1;
	event(TCMU_EVENT_ADDED, 1, "test/");
	event(TCMU_EVENT_ADDED, 2, "test/");
	turn();
	assert_int_equal(prog.added, 1);
	assert_false(still_open(1));
	assert_int_equal(kernel.reply_count, 1);
	assert_reply(0, TCMU_EVENT_ADDED, 2, 0);
	assert_int_not_equal(ctx->rescan_at, 0);
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

/* Another medium, which uio has not heard of; and none that is known. */
static void a_found_device_has_another_config(void **state)
{
	(void)state;
	exists(1, "test/", true);
	snprintf(kernel.found[0].config, sizeof(kernel.found[0].config), "test/another;medium");
	start();
	assert_string_equal(tcmu_dev_get_cfgstring(prog.dev), "test/another;medium");
	assert_string_equal(tcmu_dev_get_name(prog.dev), "user_0/d1");
	tcmulib_close(ctx);
	kernel.found[0].config[0] = '\0';
	start();
	assert_string_equal(tcmu_dev_get_cfgstring(prog.dev), "test/");
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
	later(10);
	push(&ev);
	turn();
	assert_reply(0, TCMU_EVENT_RECONFIG, 1, -EAGAIN);
	container_of(ctx->pending.next, struct tcmu_pending, node)->deadline = 1;
	later(10);
	assert_int_equal(prog.added, 0);
	later(10);
	assert_int_equal(prog.added, 1);
	assert_int_equal(kernel.reply_count, 1);
	tcmulib_close(ctx);
}

static void a_device_that_is_not_served(void **state)
{
	(void)state;
	start();
	event(TCMU_EVENT_RECONFIG, 1, "test/");
	turn();
	assert_reply(0, TCMU_EVENT_RECONFIG, 1, -EAGAIN);
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

/* As while they are being removed. They are looked at together, and later again: it may have been the machine
 * that was slow. */
static void who_cannot_be_looked_at(void **state)
{
	(void)state;
	for (uint32_t minor = 1; minor <= 5; minor++) {
		exists(minor, "test/", true);
		kernel.found[minor - 1].block_size = 512;
		kernel.found[minor - 1].err = minor == 3 ? 0 : -ETIMEDOUT;
	}
	start();
	assert_int_equal(kernel.inspections, 1);
	assert_int_equal(prog.added, 1);
	assert_true(ctx->rescan_at);

	kernel.found[1].err = 0;
	ctx->rescan_at = 1;
	event(TCMU_EVENT_ADDED, 3, "test/"); /* any turn */
	turn();
	assert_int_equal(prog.added, 2);
	assert_true(ctx->rescan_at > 1);
	assert_true(ctx->check_at); /* which has not been put off by it */
	assert_true(ctx->check_at <= tcmu_now_ms() + TCMU_GRACE_MS);

	for (int i = 0; i < 5; i++)
		kernel.found[i].err = 0;
	ctx->rescan_at = 1;
	event(TCMU_EVENT_ADDED, 3, "test/");
	turn();
	assert_int_equal(prog.added, 5);
	assert_int_equal(ctx->rescan_at, 0);
	assert_int_equal(kernel.inspections, 3);
	tcmulib_close(ctx);
}

/* An old event of what does not exist any more: looking for that may wait for a removal that waits for us, so
 * it is not done here; nor is it refused, since it may be there. */
static void an_event_of_what_cannot_be_looked_at(void **state)
{
	(void)state;
	start();
	kernel.inspect_error = -ETIMEDOUT;
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	assert_int_equal(kernel.reads, 0);
	assert_int_equal(kernel.reply_count, 0);
	assert_false(tcmu_context_busy(ctx));
	assert_true(ctx->rescan_at);

	exists(1, "test/", false);
	ctx->rescan_at = 1;
	event(TCMU_EVENT_REMOVED, 2, "test/"); /* any turn */
	turn();
	assert_int_equal(prog.added, 1);
	assert_reply(kernel.reply_count - 1, TCMU_EVENT_ADDED, 1, 0);
	tcmulib_close(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_busy_device_is_tried_again),
		TEST(another_daemon_has_answered),
		TEST(another_daemon_has_not_answered),
		TEST(a_found_one_is_answered_after_what_is_unread),
		TEST(a_found_one_is_refused_after_what_is_unread),
		TEST(a_found_one_is_answered_at_the_end),
		TEST(a_stale_event_is_nobodys),
		TEST(devices_found_by_the_scan),
		TEST(a_found_device_is_not_looked_at_again),
		TEST(a_found_device_has_another_config),
		TEST(a_busy_device_that_existed),
		TEST(a_device_that_is_not_served),
		TEST(a_failed_start_is_tried_again),
		TEST(an_insane_tail_is_reset_before_it_is_looked_at),
		TEST(the_slow_road_unblocks),
		TEST(who_cannot_be_looked_at),
		TEST(an_event_of_what_cannot_be_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
