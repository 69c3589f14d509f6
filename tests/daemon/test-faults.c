/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers that are slow, hang or break the rules: what was promised to whoever waits holds all the
 * same. handler-slow.c and handler-foreign.c play these parts.
 */
#include "faults.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

/* Somebody in another shell: rmdir, or the writer of 'enable'. */
struct shell {
	pthread_t thread;
	const char *name;
	struct fake_dev *dev;
	int ret;
	_Atomic(bool) done;
};

static void *remover(void *arg)
{
	struct shell *sh = arg;

	sh->ret = fake_dev_remove(sh->dev);
	atomic_store(&sh->done, true);
	return NULL;
}

static void *creator(void *arg)
{
	struct shell *sh = arg;

	sh->ret = slow_create(sh->name, &sh->dev);
	atomic_store(&sh->done, true);
	return NULL;
}

/* ---- slow ---- */

/* Past the deadline the writer was told "no", and so it stays, whatever the handler says later. */
static void late_reconfig(void **state)
{
	struct fake_dev *dev;

	(void)state;
	start(TCMU_TEST_HANDLERS, "2", "10");
	dev = slow_lun("a");

	hold("a", "reconfig");
	assert_int_equal(fake_dev_reconfig(dev, "dev_size", "2097152"), -ETIMEDOUT);
	assert_int_equal(fake_dev_reconfig(dev, "dev_size", "4194304"), -EBUSY);
	assert_int_equal(fake_dev_reconfig(dev, "emulate_write_cache", "0"), -EBUSY);
	let_go("a", "reconfig");
	reached("a", "reconfig ends", 1);
	assert_int_equal(capacity(dev), MIB);
	assert_int_equal(reconfig_soon(dev, "dev_size", "2097152"), 0);
	assert_int_equal(test_unit_ready(dev), 0x2a09);
	assert_int_equal(capacity(dev), 2 * MIB);

	hold("a", "reconfig");
	assert_int_equal(fake_dev_reconfig(dev, "emulate_write_cache", "0"), -ETIMEDOUT);
	let_go("a", "reconfig");
	reached("a", "reconfig ends", 3);
	assert_true(write_cache(dev));
	assert_int_equal(reconfig_soon(dev, "emulate_write_cache", "0"), 0);
	assert_int_equal(test_unit_ready(dev), 0x2a01);
	assert_false(write_cache(dev));
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* The late answer is not mistaken for the one to the event after it: REMOVED waits for close(). */
static void removal_after_late_reconfig(void **state)
{
	struct shell sh = { 0 };

	(void)state;
	start(TCMU_TEST_HANDLERS, "2", "10");
	sh.dev = slow_lun("b");
	hold("b", "reconfig");
	hold("b", "close");
	assert_int_equal(fake_dev_reconfig(sh.dev, "dev_size", "2097152"), -ETIMEDOUT);
	pthread_create(&sh.thread, NULL, remover, &sh);
	usleep(100000);
	let_go("b", "reconfig");
	reached("b", "close begins", 1);
	usleep(100000);
	assert_false(atomic_load(&sh.done));
	let_go("b", "close");
	pthread_join(sh.thread, NULL);
	assert_int_equal(sh.ret, 0);
	assert_int_equal(count(trace("b"), "close ends"), 1);
}

/* A write that began with the cache on, and ends after it was turned off, is durable like all others:
 * the flush for the turning off came too early for it. */
static void write_under_way(const char *name, bool by_mode_select)
{
	struct fake_dev *dev = slow_lun(name);
	static struct bg bg;
	const char *written;

	hold(name, "write");
	bg_submit(dev, &bg, write_one, FAKE_OUT);
	reached(name, "write begins", 1);
	if (by_mode_select) {
		select_write_cache(dev, false);
	} else {
		assert_int_equal(fake_dev_reconfig(dev, "emulate_write_cache", "0"), 0);
		assert_int_equal(test_unit_ready(dev), 0x2a01);
	}
	assert_int_equal(count(trace(name), "flush ends"), 1);
	assert_false(atomic_load(&bg.done));
	let_go(name, "write");
	bg_wait(&bg);
	assert_int_equal(bg.cmd.status, 0);
	written = strstr(trace(name), "write ends");
	assert_non_null(written);
	assert_non_null(strstr(written, "flush ends"));
	assert_int_equal(fake_dev_remove(dev), 0);
}

static void write_cache_off_under_write(void **state)
{
	(void)state;
	start_usual(TCMU_TEST_HANDLERS);
	write_under_way("selected", true);
	write_under_way("configured", false);
}

/* Whoever creates is told in time, nobody else waits, and what open() still brings is closed again
 * before the next one opens the same storage. */
static void hung_open(void **state)
{
	struct shell sh = { .name = "hung" };
	struct fake_dev *good, *other;

	(void)state;
	start(TCMU_TEST_HANDLERS, "2", "10");
	good = slow_lun("good");
	hold("hung", "open");
	pthread_create(&sh.thread, NULL, creator, &sh);
	reached("hung", "open begins", 1);
	assert_int_equal(test_unit_ready(good), 0);
	other = slow_lun("other");
	assert_int_equal(fake_dev_remove(other), 0);
	assert_int_equal(count(trace("hung"), "open ends"), 0);
	pthread_join(sh.thread, NULL);
	assert_int_equal(sh.ret, -ETIMEDOUT);
	assert_true(proc_said(&w.d, "user_0/hung"));
	assert_int_equal(test_unit_ready(good), 0);

	hold("hung", "close");
	let_go("hung", "open");
	pthread_create(&sh.thread, NULL, creator, &sh);
	reached("hung", "close begins", 1);
	usleep(100000);
	let_go("hung", "close");
	pthread_join(sh.thread, NULL);
	assert_int_equal(sh.ret, 0);
	assert_string_equal(trace("hung"), "open begins\nopen ends\nclose begins\nclose ends\n"
					   "open begins\nopen ends\n");
	assert_int_equal(test_unit_ready(sh.dev), 0);
	assert_int_equal(fake_dev_remove(sh.dev), 0);
	assert_int_equal(fake_dev_remove(good), 0);
}

/* A handler that never comes back does not keep the daemon, nor those that wait for it, nor the next
 * daemon. */
static void hung_stop(void **state)
{
	struct fake_dev *dev, *late;
	static struct bg bg;

	(void)state;
	start(TCMU_TEST_HANDLERS, "60", "1");
	dev = slow_lun("stuck");
	hold("stuck", "read");
	hold("stuck", "lock");
	bg_submit(dev, &bg, read_one, FAKE_IN);
	reached("stuck", "read begins", 1);
	assert_int_equal(proc_stop(&w.d, LONG_MS), 1);
	assert_true(proc_said(&w.d, "user_0/stuck: handler 'slow' has not finished"));
	assert_false(fake_kernel_replies(w.k));
	late = slow_lun("late"); /* nobody is there to be waited for */
	let_go("stuck", "read");
	start(TCMU_TEST_HANDLERS, "60", "10");
	let_go("stuck", "lock");
	bg_wait(&bg); /* GOOD or BUSY: the initiator goes on */
	assert_int_equal(capacity(dev), MIB);
	assert_int_equal(capacity(late), MIB);
	assert_int_equal(fake_dev_remove(dev), 0);
	assert_int_equal(fake_dev_remove(late), 0);
}

/* ---- completions ---- */

static struct fake_dev *foreign_lun(const char *name, const char *config)
{
	struct fake_dev *dev = NULL;

	assert_int_equal(lun_create(&w, name, config, MIB, &dev), 0);
	return dev;
}

/* The thread that completes is not the runner's: it may still be about to wake a device that has
 * ended, meanwhile, because of what it completed. */
static void foreign_thread(void **state)
{
	struct load_cfg cfg = { .blocks = MIB / 512, .depth = 16, .max_io = 16, .seed = 21 };
	struct fake_dev *busy, *dev;
	struct load *lasting, *l;

	(void)state;
	start_usual(TCMU_TEST_HANDLERS);
	busy = foreign_lun("busy", "foreign/busy");
	lasting = load_start(fake_dev_ring(busy), &cfg);
	for (int i = 0; i < 40; i++) {
		dev = foreign_lun("brief", "foreign/brief");
		cfg.seed = 22 + (unsigned int)i;
		l = load_start(fake_dev_ring(dev), &cfg);
		assert_int_equal(load_progress(l, 50, LONG_MS), 0);
		assert_int_equal(load_abandon(l), 0);
		assert_int_equal(fake_dev_remove(dev), 0);
	}
	assert_int_equal(load_progress(lasting, 100, LONG_MS), 0);
	assert_int_equal(load_finish(lasting), 0);
	assert_int_equal(fake_dev_remove(busy), 0);
}

/* Nobody can tell what a second completion was for: this device does nothing any more, the others do
 * not notice. */
static void completed_twice(void **state)
{
	struct fake_dev *dev, *good;
	static struct bg bg, other;

	(void)state;
	start_usual(TCMU_TEST_HANDLERS);
	good = foreign_lun("good", "foreign/good");
	dev = foreign_lun("twice", "foreign/twice");
	bg_submit(dev, &bg, read_one, FAKE_IN);
	bg_wait(&bg);
	assert_int_equal(bg.cmd.status, 0);
	if (proc_said(&w.d, "assertions are on")) {
		fake_dev_remove(dev);
		fake_dev_remove(good);
		skip();
	}
	assert_int_equal(proc_expect(&w.d, "user_0/twice: handler 'foreign' is at fault", LONG_MS),
			 0);
	assert_true(proc_said(&w.d, "The device is parked"));
	bg_submit(dev, &bg, read_one, FAKE_IN);
	usleep(200000);
	assert_false(atomic_load(&bg.done));
	bg_submit(good, &other, read_one, FAKE_IN);
	bg_wait(&other);
	assert_int_equal(other.cmd.status, 0);
	fake_ring_expire(fake_dev_ring(dev), &bg.cmd); /* what the kernel does in the end */
	assert_int_equal(fake_dev_remove(dev), 0);
	assert_int_equal(fake_dev_remove(good), 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, faults_open, faults_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(late_reconfig),
		T(removal_after_late_reconfig),
		T(write_cache_off_under_write),
		T(hung_open),
		T(hung_stop),
		T(foreign_thread),
		T(completed_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
