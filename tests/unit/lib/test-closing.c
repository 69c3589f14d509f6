/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a context: nobody is left waiting. */
#include <errno.h>
#include <pthread.h>

#include "events-rig.h"

static void *done_thread(void *status)
{
	tcmulib_event_done(prog.dev, *(int *)status);
	if (*(int *)status < 0)
		tcmulib_device_release(prog.dev);
	return NULL;
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

/* Whatever a creation has come to, the next process answers it. */
static void creations_are_left_to_a_successor(void **state)
{
	struct tcmu_device *released;

	(void)state;
	start();
	prog.defer = true;
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	released = prog.dev;
	event(TCMU_EVENT_ADDED, 2,
	      "test/"); /* the program still has it, and lets go of it at the end */
	event(TCMU_EVENT_ADDED, 3, "other/");
	turn();
	tcmulib_set_successor(ctx, true);
	tcmulib_device_release(released);
	turn();
	event(TCMU_EVENT_ADDED, 4, "test/"); /* never read */
	event(TCMU_EVENT_REMOVED, 5, "test/");
	event(TCMU_EVENT_RECONFIG, 6, "test/");
	prog.defer = false;
	tcmulib_close(ctx);
	assert_true(kernel.left && kernel.reply_on);
	assert_int_equal(kernel.reply_count, 2);
	assert_reply(0, TCMU_EVENT_REMOVED, 5, 0);
	assert_reply(1, TCMU_EVENT_RECONFIG, 6, -ESHUTDOWN);
	assert_false(still_open(1) || still_open(2));
}

/* It does not come after all, or cannot be waited for. */
static void without_a_successor(bool others)
{
	start();
	prog.defer = true;
	event(TCMU_EVENT_ADDED, 1, "test/");
	turn();
	kernel.others = others;
	tcmulib_set_successor(ctx, true);
	if (!others) {
		tcmulib_device_release(prog.dev);
		tcmulib_set_successor(ctx, false);
	}
	prog.defer = false;
	tcmulib_close(ctx);
	assert_false(kernel.left);
	assert_false(kernel.reply_on);
	assert_int_equal(kernel.reply_count, 1);
	assert_reply(0, TCMU_EVENT_ADDED, 1, others ? -ESHUTDOWN : 0);
}

static void a_successor_that_does_not_come(void **state)
{
	(void)state;
	without_a_successor(false);
}

static void a_successor_beside_others(void **state)
{
	(void)state;
	without_a_successor(true);
}

/* Who has waited since before us: our own looks may wait beside it, and no program can be executed then. */
static void what_is_left_over_is_released(void **state)
{
	(void)state;
	kernel.stuck = kernel.look_stuck = true;
	start();
	tcmulib_set_successor(ctx, true);
	tcmulib_close(ctx);
	assert_int_equal(kernel.released, 1);
	assert_false(kernel.left || kernel.reply_on); /* no new one waits */

	kernel.look_stuck = false;
	kernel.stuck = true;
	start();
	tcmulib_set_successor(ctx, true);
	tcmulib_close(ctx); /* nothing but creations can wait: they are left alone */
	assert_int_equal(kernel.released, 1);

	start();
	kernel.others = 1;
	tcmulib_close(ctx);
	assert_int_equal(kernel.released, 1);
	kernel.others = 0;
	start();
	tcmulib_close(ctx);
	assert_int_equal(kernel.released, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_end_answers_all),
		TEST(the_end_refuses_what_it_could_end),
		TEST(the_end_meets_an_answer),
		TEST(abandoning_answers_and_touches_nothing),
		TEST(creations_are_left_to_a_successor),
		TEST(a_successor_that_does_not_come),
		TEST(a_successor_beside_others),
		TEST(what_is_left_over_is_released),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
