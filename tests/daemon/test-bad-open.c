/* SPDX-License-Identifier: Apache-2.0 */
/* Fifty units that cannot be opened, or not in time, and others that hang: each writer is told, nothing
 * is left behind, the others do not wait. */
#include "crowd.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { N = 50 };

static struct shell sh[N];
static char name[N][16], config[N][200];

/* How long a unit takes that has nothing to do with those that hang; the machine may be busy. */
#define UNHINDERED_MS (3000 * SLOWER)

static void begin(const char *open_sec, struct usage *before)
{
	start(all_handlers(), open_sec, "10");
	witness_start(1);
	usage_now(before);
	for (int i = 0; i < N; i++) {
		snprintf(name[i], sizeof(name[i]), "n%d", i);
		snprintf(config[i], sizeof(config[i]), "slow/%s", world_path(&w, name[i]));
		sh[i] = (struct shell) { .name = name[i], .config = config[i], .size = MIB };
	}
}

static void create_all(int ret)
{
	for (int i = 0; i < N; i++)
		shell_create(&sh[i]);
	for (int i = 0; i < N; i++)
		assert_int_equal(shell_wait(&sh[i]), ret);
}

static void remove_all_at_once(void)
{
	for (int i = 0; i < N; i++)
		shell_remove(&sh[i]);
	for (int i = 0; i < N; i++)
		assert_int_equal(shell_wait(&sh[i]), 0);
}

static void remove_all(void)
{
	for (int i = 0; i < N; i++)
		assert_int_equal(test_unit_ready(sh[i].dev), 0);
	remove_all_at_once();
}

/* Refused before a thread was needed, then by open(): nobody gets another's answer. */
static void refused(void **state)
{
	struct usage before;

	(void)state;
	begin("60", &before);
	for (int i = 0; i < N; i++)
		snprintf(config[i], sizeof(config[i]), i % 2 ? "file/%s.missing" : "file//%s/x;no",
			 world_path(&w, name[i]));
	for (int i = 0; i < N; i++)
		shell_create(&sh[i]);
	for (int i = 0; i < N; i++)
		assert_int_equal(shell_wait(&sh[i]), i % 2 ? -ENOENT : -EINVAL);
	assert_true(usage_is_back(&before));
	for (int i = 0; i < N; i++)
		snprintf(config[i], sizeof(config[i]), "file/%s", world_file(&w, name[i], MIB));
	create_all(0);
	remove_all();
	assert_true(usage_is_back(&before));
	witness_end();
}

static void open_fails(void **state)
{
	struct usage before;

	(void)state;
	begin("60", &before);
	for (int i = 0; i < N; i++) {
		hold(name[i], "open");
		spoil(name[i], "open", true);
		shell_create(&sh[i]);
	}
	for (int i = 0; i < N; i++)
		reached(name[i], "open begins", 1);
	for (int i = 0; i < N; i++)
		let_go(name[i], "open");
	for (int i = 0; i < N; i++) {
		assert_int_equal(shell_wait(&sh[i]), -EIO);
		assert_int_equal(count(trace(name[i]), "close"), 0);
		spoil(name[i], "open", false);
	}
	assert_true(usage_is_back(&before));
	create_all(0);
	remove_all();
	assert_true(usage_is_back(&before));
	for (int i = 0; i < N; i++)
		assert_int_equal(count(trace(name[i]), "close ends"), 1);
	witness_end();
}

/* After the deadline half of them fail, half succeed: those are closed again. Whoever comes with the
 * same config meanwhile waits for that. */
static void open_ends_too_late(void **state)
{
	struct usage before;

	(void)state;
	begin(SLOWER > 1 ? "10" : "2", &before);
	for (int i = 0; i < N; i++) {
		hold(name[i], "open");
		spoil(name[i], "open", i % 2);
		shell_create(&sh[i]);
	}
	for (int i = 0; i < N; i++)
		assert_int_equal(shell_wait(&sh[i]), -ETIMEDOUT);
	for (int i = 0; i < N; i++)
		shell_create(&sh[i]);
	for (int i = 0; i < N; i++) {
		spoil(name[i], "open", i % 2);
		let_go(name[i], "open");
	}
	for (int i = 0; i < N; i++) {
		assert_int_equal(shell_wait(&sh[i]), i % 2 ? -EIO : 0);
		assert_int_equal(count(trace(name[i]), "close ends"), i % 2 ? 0 : 1);
		if (!sh[i].ret)
			assert_int_equal(fake_dev_remove(sh[i].dev), 0);
		spoil(name[i], "open", false);
	}
	assert_true(usage_is_back(&before));
	create_all(0);
	remove_all();
	assert_true(usage_is_back(&before));
	witness_end();
}

static void others_come_and_go(int times)
{
	for (int i = 0; i < times; i++) {
		struct fake_dev *dev;
		uint64_t start_ms = fake_now_ms();

		dev = i % 2 ? slow_lun("other") : file_lun(&w, "another", MIB);
		assert_int_equal(test_unit_ready(dev), 0);
		assert_int_equal(fake_dev_reconfig(dev, "dev_size", "2097152"), 0);
		assert_int_equal(fake_dev_remove(dev), 0);
		assert_true(fake_now_ms() - start_ms < UNHINDERED_MS);
	}
}

/* Many hang in open(), many in close(), one in reconfig(), one in a read. */
static void others_do_not_wait(void **state)
{
	static struct bg bg;
	struct usage before;

	(void)state;
	begin("60", &before);
	for (int i = 0; i < 20; i++) {
		shell_create(&sh[i]);
		assert_int_equal(shell_wait(&sh[i]), 0);
	}
	hold(name[0], "read");
	bg_submit(sh[0].dev, &bg, read_one, FAKE_IN);
	hold(name[1], "reconfig");
	sh[1].attr = "dev_size";
	sh[1].val = "2097152";
	shell_reconfig(&sh[1]);
	for (int i = 2; i < 20; i++) {
		hold(name[i], "close");
		shell_remove(&sh[i]);
	}
	for (int i = 20; i < 40; i++) {
		hold(name[i], "open");
		shell_create(&sh[i]);
	}
	for (int i = 0; i < 40; i++)
		reached(name[i],
			i < 1    ? "read begins"
			: i < 2  ? "reconfig begins"
			: i < 20 ? "close begins"
				 : "open begins",
			1);
	others_come_and_go(20);
	assert_false(atomic_load(&bg.done) || atomic_load(&sh[1].done));
	for (int i = 2; i < 40; i++)
		let_go(name[i], i < 20 ? "close" : "open");
	let_go(name[0], "read");
	let_go(name[1], "reconfig");
	bg_wait(&bg);
	for (int i = 1; i < 40; i++)
		assert_int_equal(shell_wait(&sh[i]), 0);
	for (int i = 0; i < 40; i == 1 ? i = 20 : i++)
		assert_int_equal(fake_dev_remove(sh[i].dev), 0);
	assert_true(usage_is_back(&before));
	witness_end();
}

static void *comes_and_goes(void *arg)
{
	struct shell *shell = arg;

	for (int i = 0; i < 30 && !shell->ret; i++) {
		uint64_t start_ms = fake_now_ms();

		shell->ret = lun_create(&w, shell->name, shell->config, shell->size, &shell->dev);
		if (!shell->ret)
			shell->ret = fake_dev_remove(shell->dev);
		if (!shell->ret && fake_now_ms() - start_ms >= UNHINDERED_MS)
			shell->ret = -ETIMEDOUT;
	}
	return NULL;
}

/* Whoever looks something up in configfs at the wrong moment sleeps until the answer to REMOVED, so nothing
 * on the way to that answer may wait for it. */
static void looked_up_while_removed(void **state)
{
	struct usage before;

	(void)state;
	begin("60", &before);
	fake_kernel_late_lookups(w.k, true);
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&sh[i].thread, NULL, comes_and_goes, &sh[i]), 0);
	for (int i = 0; i < 8; i++)
		assert_int_equal(shell_wait(&sh[i]), 0);
	fake_kernel_late_lookups(w.k, false);
	assert_true(usage_is_back(&before));
	witness_end();
}

/* The remover does not wait longer than 5 s; the next one with this config does, as long as it takes,
 * but not one that only has the name. */
static void close_that_hangs(void **state)
{
	struct fake_dev *dev = NULL;
	struct usage before;

	(void)state;
	begin("60", &before);
	shell_create(&sh[0]);
	assert_int_equal(shell_wait(&sh[0]), 0);
	hold(name[0], "close");
	shell_remove(&sh[0]);
	reached(name[0], "close begins", 1);
	others_come_and_go(4);
	assert_false(atomic_load(&sh[0].done));
	assert_int_equal(shell_wait(&sh[0]), 0);
	assert_in_range(sh[0].ms, 4000, 15000);
	assert_true(proc_said(&w.d, "user_0/n0: handler 'slow' is still closing"));

	assert_int_equal(lun_create(&w, name[0], config[1], MIB, &dev), 0);
	assert_int_equal(test_unit_ready(dev), 0);
	assert_int_equal(fake_dev_remove(dev), 0);
	shell_create(&sh[0]);
	others_come_and_go(4);
	assert_false(atomic_load(&sh[0].done));
	assert_int_equal(count(trace(name[0]), "open begins"), 1);
	let_go(name[0], "close");
	assert_int_equal(shell_wait(&sh[0]), 0);
	assert_string_equal(trace(name[0]), "open begins\nopen ends\nclose begins\nclose ends\n"
					    "open begins\nopen ends\n");
	assert_int_equal(test_unit_ready(sh[0].dev), 0);
	assert_int_equal(fake_dev_remove(sh[0].dev), 0);
	assert_true(usage_is_back(&before));
	witness_end();
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, crowd_open, crowd_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(refused),
		T(open_fails),
		T(open_ends_too_late),
		T(others_do_not_wait),
		T(looked_up_while_removed),
		T(close_that_hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
