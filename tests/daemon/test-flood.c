/* SPDX-License-Identifier: Apache-2.0 */
/* Hundreds of people create and remove units at the same time, some with configs that are no good, while the
 * daemon sleeps, is killed, loses events or is upgraded: each is told what is right, and nothing is left. */
#include "crowd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	N = 240 / SLOWER
}; /* what the fake does is quadratic; a thousand: tests/vm/scripts/long/74-storm.sh */

static struct shell sh[N];
static char name[N][16], config[N][200];
static struct usage before;

/* Each needs three descriptors here, and a ring. */
static void setup(void)
{
	struct rlimit lim;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
	lim.rlim_cur = lim.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &lim), 0);
	fake_kernel_set_patience(w.k, 30000 * SLOWER, 60000 * SLOWER);
	start_usual(all_handlers());
	usage_now(&before);
	for (int i = 0; i < N; i++)
		snprintf(name[i], sizeof(name[i]), "f%d", i);
}

static bool is_bad(int i)
{
	return i % 4 == 3;
}

static void begin_create(int i)
{
	if (is_bad(i))
		snprintf(config[i], sizeof(config[i]),
			 i % 8 == 3 ? "file/%s.missing" : "file/%s;no", world_path(&w, name[i]));
	else
		snprintf(config[i], sizeof(config[i]), "file/%s", world_file(&w, name[i], MIB));
	sh[i] = (struct shell) { .name = name[i], .config = config[i], .size = MIB };
	shell_create(&sh[i]);
}

static void end_create(int i)
{
	int want = !is_bad(i) ? 0 : i % 8 == 3 ? -ENOENT : -EINVAL;

	if (shell_wait(&sh[i]) != want)
		fail_msg("%s (%s): creating it gave %d", name[i], config[i], sh[i].ret);
}

static void create(void (*meanwhile)(void))
{
	for (int i = 0; i < N; i++)
		begin_create(i);
	meanwhile();
	for (int i = 0; i < N; i++)
		end_create(i);
	for (int i = 0; i < N; i += N / 10)
		if (!is_bad(i))
			assert_int_equal(test_unit_ready(sh[i].dev), 0);
}

static void remove_all(void (*meanwhile)(void))
{
	for (int i = 0; i < N; i++)
		if (!is_bad(i))
			shell_remove(&sh[i]);
	meanwhile();
	for (int i = 0; i < N; i++)
		if (!is_bad(i))
			assert_int_equal(shell_wait(&sh[i]), 0);
}

static void nothing(void)
{
}

static void nothing_is_left(void)
{
	struct usage now = before;

	now.files += 2; /* of a daemon that has just begun */
	assert_true(usage_is_back(&now));
	log_is_clean();
}

/* ---- what happens meanwhile ---- */

static bool all_wait(void)
{
	for (int i = 0; i < N; i++)
		if (atomic_load(&sh[i].done))
			return false;
	return true;
}

static void freeze(void)
{
	kill(w.d.pid, SIGSTOP);
}

static void thaw(void)
{
	usleep(200000);
	assert_true(all_wait());
	kill(w.d.pid, SIGCONT);
}

static void find_events(void)
{
	usleep(200000);
	fake_kernel_lose_events(w.k, false);
}

static void die(void)
{
	usleep(50000);
	proc_kill(&w.d);
	start_usual(all_handlers());
}

static void die_with_events_unread(void)
{
	usleep(200000);
	die();
}

static void upgrade(void)
{
	usleep(20000);
	proc_mark(&w.d);
	kill(w.d.pid, SIGUSR2);
	assert_int_equal(proc_expect(&w.d, "ready: ", LONG_MS), 0);
}

/* ---- tests ---- */

static void asleep(void **state)
{
	(void)state;
	setup();
	freeze();
	create(thaw);
	remove_all(nothing);
	fake_kernel_lose_events(w.k, true);
	create(find_events);
	assert_true(strstr(said(), "events of the kernel were lost"));
	remove_all(nothing);
	nothing_is_left();
}

static void killed(void **state)
{
	(void)state;
	setup();
	freeze();
	create(die_with_events_unread);
	freeze();
	remove_all(die_with_events_unread);
	create(die);
	remove_all(nothing);
	nothing_is_left();
}

/* A creation does not notice, whatever it has come to: what is good is served, what is bad refused. */
static void upgraded(void **state)
{
	(void)state;
	setup();
	for (int i = 0; i < 2; i++) {
		create(upgrade);
		remove_all(upgrade);
	}
	nothing_is_left();
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, crowd_open, crowd_close)

int main(void)
{
	const struct CMUnitTest tests[] = { T(asleep), T(killed), T(upgraded) };

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
