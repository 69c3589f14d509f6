/* SPDX-License-Identifier: Apache-2.0 */
/* A unit that ends the daemon again and again is not served any more; the others are, and lose nothing. */
#include "crowd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DEATHS 3 /* runner/blame.h: RUNNER_BLAME_MAX */

static const char *crash_file(void)
{
	return world_path(&w, "lock.crashes");
}

/* From now on this callback ends the process: by abort(), by a bad pointer or by a stack overflow. */
static void set_crash(const char *lun, const char *callback, const char *how)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.crash-%s", w.dir, lun, callback);
	if (!how) {
		assert_int_equal(unlink(path), 0);
		return;
	}
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(how, f);
	fclose(f);
}

static void start_again(void)
{
	start(all_handlers(), "60", "10");
}

/* So often in all, by itself. It runs then. */
static void dies(void)
{
	for (int i = 1; i < DEATHS; i++) {
		assert_true(proc_wait(&w.d, LONG_MS) > 0);
		spawn(all_handlers(), "60", "10");
	}
	assert_true(proc_wait(&w.d, LONG_MS) > 0);
	start_again();
}

static void the_others_are_served(const char *how)
{
	struct fake_dev *bad, *good;
	struct load *l;
	struct bg bg;

	start_again();
	good = file_lun(&w, "good", 4 * MIB);
	bad = slow_lun("bad");
	l = file_load(good, 4 * MIB, 1);
	set_crash("bad", "read", how);
	bg_submit(bad, &bg, read_one, FAKE_IN);
	dies(); /* each time it executes the read again */
	assert_int_equal(load_progress(l, 300, LONG_MS), 0);
	assert_int_equal(proc_expect(&w.d,
				     "user_0/bad: handler 'slow' has ended the daemon here 3 times",
				     LONG_MS),
			 0);
	assert_false(bg.done);
	/* Repaired: it goes on by itself, where it was. */
	set_crash("bad", "read", NULL);
	assert_int_equal(unlink(crash_file()), 0);
	bg_wait(&bg);
	assert_int_equal(bg.cmd.status, 0);
	assert_int_equal(load_refused(l), 0);
	assert_int_equal(load_finish(l), 0);
	assert_int_equal(fake_dev_remove(bad), 0);
	assert_int_equal(fake_dev_remove(good), 0);
	stop();
}

static void abort_in_a_worker(void **state)
{
	(void)state;
	the_others_are_served("abort");
}

static void bad_pointer_in_a_worker(void **state)
{
	(void)state;
	the_others_are_served("pointer");
}

static void stack_overflow_in_a_worker(void **state)
{
	(void)state;
	the_others_are_served("stack");
}

/* Its creator waits through three deaths, and is refused then; so is the next one, for a while. */
static void crash_in_open(void **state)
{
	char config[200];
	struct shell sh = { .name = "opens", .config = config, .size = MIB };

	(void)state;
	snprintf(config, sizeof(config), "slow/%s", world_path(&w, "opens"));
	start_again();
	set_crash("opens", "open", "abort");
	shell_create(&sh);
	dies();
	assert_int_equal(shell_wait(&sh), -ECANCELED);
	sh.done = false;
	shell_create(&sh);
	assert_int_equal(shell_wait(&sh), -ECANCELED);
	set_crash("opens", "open", NULL);
	assert_int_equal(unlink(crash_file()), 0);
	sh.done = false;
	shell_create(&sh);
	assert_int_equal(shell_wait(&sh), 0);
	assert_int_equal(fake_dev_remove(sh.dev), 0);
	stop();
}

/* SIGKILL is nobody's fault. */
static void killed(void **state)
{
	struct fake_dev *dev;
	struct bg bg;

	(void)state;
	start_again();
	dev = slow_lun("kept");
	hold("kept", "read");
	bg_submit(dev, &bg, read_one, FAKE_IN);
	for (unsigned int i = 1; i <= DEATHS + 1; i++) {
		reached("kept", "read begins", i);
		proc_kill(&w.d);
		start_again();
	}
	let_go("kept", "read");
	bg_wait(&bg);
	assert_int_equal(bg.cmd.status, 0);
	assert_int_equal(fake_dev_remove(dev), 0);
	stop();
}

/* Lines that are old, or that nobody here has written. */
static void odd_lines(void **state)
{
	struct fake_dev *dev;
	FILE *f;

	(void)state;
	f = fopen(crash_file(), "w");
	assert_non_null(f);
	for (int i = 0; i < 5; i++)
		fputs("1700000000 6 user_0/odd\n99999999999 6 user_0/odd\nuser_0/odd\n\n 6 \n", f);
	for (int i = 0; i < 2000; i++)
		fputs("\x01%s%n\xff", f);
	fclose(f);
	start_again();
	dev = slow_lun("odd");
	assert_int_equal(fake_dev_remove(dev), 0);
	stop();
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, crowd_open, crowd_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(abort_in_a_worker),
		T(bad_pointer_in_a_worker),
		T(stack_overflow_in_a_worker),
		T(crash_in_open),
		T(killed),
		T(odd_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
