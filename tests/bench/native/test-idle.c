/* SPDX-License-Identifier: Apache-2.0 */
/* What a LUN costs that nobody uses: one thread, which sleeps, and a little memory. */
#include "tests/daemon/daemon-test.h"

#include <poll.h>
#include <stdio.h>

#include "tasks.h"

#ifdef LONG_TESTS
#define QUIET_SEC 60
#else
#define QUIET_SEC 15
#endif
#define LUNS     50
#define LUN_SIZE MIB
#define IDLE_MS  60000 /* workers and helpers end after 10 s; a busy machine needs longer */
#define REST_MS  11000 /* longer than until the last wake-up, for runner/idle.c */
/* Bytes for each LUN more: a new one, and one that was busy with 32 commands of all kinds. */
#define MEMORY_LIMIT (64u << 10)

static struct world w;
static struct fake_dev *devs[LUNS];
static size_t with_one; /* bytes of private memory */

static int setup(void **state)
{
	(void)state;
	world_open(&w);
	return daemon_start(&w, NULL);
}

static int teardown(void **state)
{
	(void)state;
	return world_close(&w);
}

static void make_lun(int i)
{
	char name[16];

	snprintf(name, sizeof(name), "idle%d", i);
	devs[i] = file_lun(&w, name, LUN_SIZE);
}

/* So that it is idle again: its workers and its helper have been there. */
static void use(int i)
{
	struct load *l = file_load(devs[i], LUN_SIZE, (unsigned int)i);

	assert_int_equal(load_progress(l, 500, LONG_MS), 0);
	assert_int_equal(load_finish(l), 0);
}

static void wait_for_threads(unsigned int luns)
{
	uint64_t end = fake_now_ms() + IDLE_MS;
	unsigned int count;

	do {
		poll(NULL, 0, 200);
		/* The main thread is called tcmu-runner, as the program; and there is tcmu-lock. */
		count = tasks_named(w.d.pid, "tcmu-").count - 2;
	} while (count != luns && fake_now_ms() < end);
	print_message("%u LUNs: %u threads of theirs\n", luns, count);
	assert_int_equal(count, luns);
}

/* Until no device's thread has been woken for a while. */
static void wait_for_rest(void)
{
	uint64_t end = fake_now_ms() + IDLE_MS;
	unsigned long before, now = tasks_named(w.d.pid, "tcmu-device").switches;

	do {
		before = now;
		poll(NULL, 0, REST_MS);
		now = tasks_named(w.d.pid, "tcmu-device").switches;
	} while (now != before && fake_now_ms() < end);
	assert_int_equal(now, before);
}

/* With all LUNs; before: with the first one. */
static void check_memory(size_t before)
{
	size_t now = tasks_private_memory(w.d.pid), each = (now - before) / (LUNS - 1);

	print_message("private memory: %zu KiB with one LUN, %zu KiB with %d: %zu bytes for each\n",
		      before / 1024, now / 1024, LUNS, each);
	assert_true(now >= before);
	assert_true(each <= MEMORY_LIMIT);
}

static void little_memory(void **state)
{
	(void)state;
	make_lun(0);
	use(0);
	wait_for_threads(1);
	with_one = tasks_private_memory(w.d.pid);
	for (int i = 1; i < LUNS; i++)
		make_lun(i);
	wait_for_threads(LUNS);
	check_memory(with_one);
}

/* What they have taken while they were busy they have given back. */
static void little_memory_again(void **state)
{
	(void)state;
	for (int i = 1; i < LUNS; i++)
		use(i);
	wait_for_threads(LUNS);
	wait_for_rest();
	check_memory(with_one);
}

static void sound_sleep(void **state)
{
	uint64_t before = tasks_named(w.d.pid, "tcmu-device").switches;

	(void)state;
	poll(NULL, 0, QUIET_SEC * 1000);
	assert_int_equal(tasks_named(w.d.pid, "tcmu-device").switches, before);
	wait_for_threads(LUNS);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(little_memory),
					    cmocka_unit_test(little_memory_again),
					    cmocka_unit_test(sound_sleep) };

	return cmocka_run_group_tests(tests, setup, teardown) + world_failures();
}
