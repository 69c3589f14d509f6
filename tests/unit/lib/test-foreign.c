/* SPDX-License-Identifier: Apache-2.0 */
/* What belongs to other daemons, or to nobody. */
#include <errno.h>

#include "events-rig.h"

static void subtypes_of_nobody_have_their_grace(void **state)
{
	(void)state;
	start();
	exists(2, "testing/x", true);
	exists(3, "other/x", true);
	event(TCMU_EVENT_ADDED, 1, "tes/x");     /* whole: neither a part of ours */
	event(TCMU_EVENT_ADDED, 2, "testing/x"); /* nor ours a part */
	event(TCMU_EVENT_REMOVED, 3, "other/x");
	turn();
	assert_int_equal(kernel.reply_count, 0);
	turn();
	assert_int_equal(kernel.reply_count, 0);
	event(TCMU_EVENT_REMOVED, 2, "testing/x"); /* its owner has answered ADDED */
	turn();
	later(10);
	assert_int_equal(kernel.reply_count, 3);
	assert_reply(0, TCMU_EVENT_ADDED, 1, -ENOENT);
	assert_reply(1, TCMU_EVENT_REMOVED, 3, 0);
	assert_reply(2, TCMU_EVENT_REMOVED, 2, 0);
	assert_int_equal(prog.added, 0);
	tcmulib_close(ctx);
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

/* A listener may own what we do not: it gets time. */
static void another_daemon_has_longer(void **state)
{
	(void)state;
	kernel.others = 1;
	start();
	event(TCMU_EVENT_ADDED, 1, "other/x");
	event(TCMU_EVENT_RECONFIG, 2, "other/x");
	turn();
	later(10);
	later(50);
	assert_int_equal(kernel.reply_count, 0);
	later(61);
	assert_int_equal(kernel.reply_count, 2);
	assert_reply(0, TCMU_EVENT_ADDED, 1, -ENOENT);
	tcmulib_close(ctx);
}

static void another_daemon_leaves(void **state)
{
	(void)state;
	kernel.others = 1;
	start();
	event(TCMU_EVENT_ADDED, 1, "other/x");
	turn();
	later(10);
	assert_int_equal(kernel.reply_count, 0);
	kernel.others = 0;
	ctx->others_at = 1; /* the last look was long ago */
	later(11);
	assert_reply(0, TCMU_EVENT_ADDED, 1, -ENOENT);
	tcmulib_close(ctx);
}

/* A late answer could meet another event of the device, and lose its writer. */
static void what_another_daemon_has_answered(void **state)
{
	(void)state;
	start();
	exists(1, "other/x", true); /* it is enabled now */
	event(TCMU_EVENT_ADDED, 1, "other/x");
	turn();
	later(10);
	kernel.inspect_error = -ETIMEDOUT; /* it is being removed already */
	event(TCMU_EVENT_ADDED, 2, "other/x");
	turn();
	later(10);
	event(TCMU_EVENT_REMOVED, 4, "other/x"); /* it is gone */
	turn();
	later(10);
	assert_int_equal(kernel.reply_count, 0);
	kernel.inspect_error = -ENOMEM; /* we do not know */
	event(TCMU_EVENT_ADDED, 3, "other/x");
	turn();
	later(10);
	assert_reply(0, TCMU_EVENT_ADDED, 3, -ENOENT);
	assert_int_equal(kernel.reply_count, 1);
	tcmulib_close(ctx);
}

static void what_is_listed_is_never_answered(void **state)
{
	const char *list[] = { "go", "others" };

	(void)state;
	exists(1, "others/x", false); /* before us, and before its daemon */
	start();
	assert_int_equal(tcmulib_set_foreign(ctx, list, 2), 0);
	event(TCMU_EVENT_ADDED, 2, "others/x");
	event(TCMU_EVENT_RECONFIG, 3, "go/x");
	event(TCMU_EVENT_REMOVED, 4, "go/x");
	event(TCMU_EVENT_ADDED, 5, "other/x"); /* matched whole */
	turn();
	later(10);
	later(100);
	assert_int_equal(kernel.reply_count, 1);
	assert_reply(0, TCMU_EVENT_ADDED, 5, -ENOENT);
	event(TCMU_EVENT_ADDED, 6, "go/x"); /* never read */
	event(TCMU_EVENT_ADDED, 7, "test/x");
	tcmulib_close(ctx);
	assert_int_equal(kernel.reply_count, 2);
	assert_reply(1, TCMU_EVENT_ADDED, 7, 0);
}

/* The end answers for itself only, if somebody else may answer the rest. */
static void the_end_beside_another_daemon(void **state)
{
	(void)state;
	kernel.others = 1;
	start();
	event(TCMU_EVENT_ADDED, 1, "other/x");
	turn();
	event(TCMU_EVENT_REMOVED, 2, "other/x"); /* never read */
	event(TCMU_EVENT_REMOVED, 3, "test/x");
	tcmulib_close(ctx);
	assert_int_equal(kernel.reply_count, 1);
	assert_reply(0, TCMU_EVENT_REMOVED, 3, 0);
}

/* Whether the kernel waits for answers is one switch for all. */
static void the_switch_at_the_end(void **state)
{
	(void)state;
	kernel.others = 1;
	exists(1, "other/x", true);
	start();
	tcmulib_close(ctx);
	assert_false(kernel.reply_on); /* that daemon gives no answers */

	kernel.found[0].awaits_replies = true;
	start();
	tcmulib_close(ctx);
	assert_true(kernel.reply_on);

	kernel.others = 0; /* it is gone */
	start();
	tcmulib_close(ctx);
	assert_false(kernel.reply_on);

	kernel.others = 1;
	kernel.found_count = 0;
	exists(1, "test/x", true); /* our own */
	kernel.found[0].awaits_replies = true;
	start();
	tcmulib_close(ctx);
	assert_false(kernel.reply_on);
}

static void two_looks(void)
{
	tcmu_context_check_waiters(ctx, tcmu_now_ms());
	tcmu_context_check_waiters(ctx, tcmu_now_ms());
}

/* A reset would end the waits of all. */
static void writers_of_another_daemon_are_left_alone(void **state)
{
	const char *list[] = { "go" };

	(void)state;
	kernel.others = 1;
	start();
	kernel.stuck = true;
	two_looks();
	two_looks();
	assert_int_equal(kernel.released, 0);
	assert_int_not_equal(ctx->check_at, 0); /* it may end, and leave some behind */
	kernel.others = 0;
	ctx->others_at = 1;
	assert_int_equal(tcmulib_set_foreign(ctx, list, 1), 0); /* one that cannot be seen */
	two_looks();
	assert_int_equal(kernel.released, 0);
	assert_int_equal(tcmulib_set_foreign(ctx, NULL, 0), 0);
	two_looks();
	assert_int_equal(kernel.released, 1);
	tcmulib_close(ctx);
}

/* Unknown is no: a writer must not wait for ever for a daemon that is not there. */
static void nobody_knows_who_listens(void **state)
{
	(void)state;
	kernel.others = -ENOENT;
	start();
	event(TCMU_EVENT_ADDED, 1, "other/x");
	turn();
	later(10);
	assert_reply(0, TCMU_EVENT_ADDED, 1, -ENOENT);
	tcmulib_close(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(subtypes_of_nobody_have_their_grace),
		TEST(stuck_writers_are_released),
		TEST(another_daemon_has_longer),
		TEST(another_daemon_leaves),
		TEST(what_another_daemon_has_answered),
		TEST(what_is_listed_is_never_answered),
		TEST(the_end_beside_another_daemon),
		TEST(the_switch_at_the_end),
		TEST(writers_of_another_daemon_are_left_alone),
		TEST(nobody_knows_who_listens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
