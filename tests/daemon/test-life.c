/* SPDX-License-Identifier: Apache-2.0 */
/* Units come, change, are refused and go, while the daemon runs. */
#include "daemon-test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct world w;

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

static int create(const char *name, const char *config, uint64_t size)
{
	struct fake_dev *dev;
	int ret = lun_create(&w, name, config, size, &dev);

	if (!ret)
		fake_dev_remove(dev);
	return ret;
}

/* Who writes to 'enable' sees why. The fake checks that the device was closed before the reply. */
static void open_refused(void **state)
{
	char config[400];

	(void)state;
	snprintf(config, sizeof(config), "file/%s", world_path(&w, "missing"));
	assert_int_equal(create("missing", config, MIB), -ENOENT);
	assert_true(proc_said(&w.d, "missing"));
	snprintf(config, sizeof(config), "file/%s", w.dir);
	assert_true(create("directory", config, MIB) < 0);
	snprintf(config, sizeof(config), "file/%s", world_file(&w, "short", MIB));
	assert_true(create("short", config, 2 * MIB) < 0);
	assert_true(create("no-path", "file/", MIB) < 0);
	assert_true(create("relative", "file/x/y", MIB) < 0);
	snprintf(config, sizeof(config), "file/%s;nonsense", world_file(&w, "option", MIB));
	assert_true(create("option", config, MIB) < 0);
	snprintf(config, sizeof(config), "file/%s", world_path(&w, "short"));
	assert_int_equal(create("short", config, MIB), 0); /* and nothing is left behind */
}

static void *create_nobodys(void *arg)
{
	return (void *)(intptr_t)create("unknown", arg, MIB);
}

/* Nobody's subtype: refused, but only after a while, in which another daemon may take it. Neither a
 * prefix nor more than the whole word fits. */
static void unknown_subtype(void **state)
{
	static const char *const configs[] = { "nobody/x", "fil//tmp/x", "files//tmp/x", "",
					       "file" };
	enum { N = sizeof(configs) / sizeof(configs[0]) };
	pthread_t thread[N];
	void *ret;

	(void)state;
	for (int i = 0; i < N; i++)
		pthread_create(&thread[i], NULL, create_nobodys, (char *)(uintptr_t)configs[i]);
	for (int i = 0; i < N; i++) {
		pthread_join(thread[i], &ret);
		assert_true((intptr_t)ret < 0);
		if (i < N - 1)
			assert_int_equal((intptr_t)ret, -ENOENT);
	}
}

/* Two units on one file would corrupt it. */
static void same_file_twice(void **state)
{
	struct fake_dev *dev = file_lun(&w, "shared", MIB);
	char config[400];

	(void)state;
	snprintf(config, sizeof(config), "file/%s", world_path(&w, "shared"));
	assert_true(create("other", config, MIB) < 0);
	assert_int_equal(fake_dev_remove(dev), 0);
	assert_int_equal(create("other", config, MIB), 0);
}

static void removal_under_io(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		struct fake_dev *dev = file_lun(&w, "victim", 8 * MIB);
		struct load *l = file_load(dev, 8 * MIB, 40 + (unsigned int)i);

		assert_int_equal(load_progress(l, 300, LONG_MS), 0);
		assert_int_equal(load_abandon(l), 0); /* ends what is in flight */
		assert_int_equal(fake_dev_remove(dev), 0);
		assert_false(proc_said(&w.d, "hung"));
	}
}

/* A unit whose commands the kernel has given up may be removed, too. */
static void removal_after_expiry(void **state)
{
	static uint8_t buf[4096];
	static const uint8_t cdb[16] = { 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8 };
	struct fake_dev *dev = file_lun(&w, "expiry", MIB);
	struct fake_cmd cmd[32];

	(void)state;
	for (int i = 0; i < 32; i++) {
		fake_cmd_init(&cmd[i], cdb, sizeof(cdb), FAKE_IN, buf, sizeof(buf));
		fake_ring_submit(fake_dev_ring(dev), &cmd[i]);
		fake_ring_expire(fake_dev_ring(dev), &cmd[i]);
	}
	assert_int_equal(fake_dev_remove(dev), 0);
}

static uint64_t capacity(struct fake_dev *dev)
{
	static const uint8_t cdb[16] = { 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32 };
	uint64_t lba = 0;
	uint8_t buf[32];
	struct fake_cmd cmd;

	for (int i = 0; i < 3; i++) {
		fake_cmd_init(&cmd, cdb, sizeof(cdb), FAKE_IN, buf, sizeof(buf));
		assert_int_equal(fake_exec(fake_dev_ring(dev), &cmd, LONG_MS), 0);
		if (!cmd.status)
			break;
		assert_int_equal(cmd.sense[2], 6); /* a unit attention, once */
	}
	assert_int_equal(cmd.status, 0);
	for (int i = 0; i < 8; i++)
		lba = lba << 8 | buf[i];
	return (lba + 1) * 512;
}

static void growth(void **state)
{
	struct fake_dev *dev = file_lun(&w, "growing", MIB);
	static const uint8_t tur[6];
	struct fake_cmd cmd;
	char text[64];
	struct stat st;

	(void)state;
	assert_int_equal(capacity(dev), MIB);
	assert_int_equal(fake_dev_reconfig(dev, "dev_size", "2097152"), 0);
	fake_cmd_init(&cmd, tur, sizeof(tur), FAKE_NONE, NULL, 0);
	assert_int_equal(fake_exec(fake_dev_ring(dev), &cmd, LONG_MS), 0);
	assert_int_equal(cmd.status, 2); /* CAPACITY DATA HAS CHANGED */
	assert_int_equal(cmd.sense[12] << 8 | cmd.sense[13], 0x2a09);
	assert_int_equal(capacity(dev), 2 * MIB);
	assert_int_equal(stat(world_path(&w, "growing"), &st), 0);
	assert_int_equal(st.st_size, 2 * MIB);
	assert_true(fake_dev_reconfig(dev, "dev_size", "4096") < 0); /* shrinking */
	assert_int_equal(capacity(dev), 2 * MIB);
	assert_true(fake_dev_attr(dev, "attrib/dev_size", text, sizeof(text)));
	assert_string_equal(text, "2097152");
	assert_int_equal(fake_dev_remove(dev), 0);
}

static void growth_under_io(void **state)
{
	struct fake_dev *dev = file_lun(&w, "busy-growing", 4 * MIB);
	struct load_cfg cfg = { .blocks = 4 * MIB / 512, .depth = 16, .max_io = 16, .seed = 77 };
	struct load *l;

	(void)state;
	l = load_start(fake_dev_ring(dev), &cfg);
	assert_int_equal(load_progress(l, 200, LONG_MS), 0);
	assert_int_equal(fake_dev_reconfig(dev, "dev_size", "8388608"), 0);
	assert_int_equal(load_progress(l, 200, LONG_MS), 0);
	assert_int_equal(load_finish(l), 0);
	assert_int_equal(fake_dev_remove(dev), 0);
}

static void *creator(void *arg)
{
	*(struct fake_dev **)arg = file_lun(&w, "lost", MIB);
	return NULL;
}

/* The event got lost; a scan finds the device and its writer. */
static void lost_events(void **state)
{
	struct fake_dev *before = file_lun(&w, "before", MIB), *dev = NULL;
	pthread_t thread;

	(void)state;
	fake_kernel_lose_events(w.k, true);
	pthread_create(&thread, NULL, creator, &dev);
	usleep(100000);
	fake_kernel_lose_events(w.k, false);
	pthread_join(thread, NULL);
	assert_non_null(dev);
	assert_int_equal(capacity(dev), MIB);
	assert_int_equal(capacity(before), MIB);
	fake_dev_remove(before);
	fake_dev_remove(dev);
}

static void tmr(void **state)
{
	static uint8_t buf[32][65536];
	struct fake_dev *dev = file_lun(&w, "tmr", MIB);
	struct fake_cmd cmd[32], *all[32];

	(void)state;
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 32; i++) {
			uint8_t cdb[16] = { i & 1 ? 0x8a : 0x88 };

			cdb[13] = 128;
			fake_cmd_init(&cmd[i], cdb, sizeof(cdb), i & 1 ? FAKE_OUT : FAKE_IN, buf[i],
				      sizeof(buf[i]));
			all[i] = &cmd[i];
			fake_ring_submit(fake_dev_ring(dev), &cmd[i]);
		}
		fake_ring_tmr(fake_dev_ring(dev), round & 1 ? 1 : 5, all, round & 1 ? 1 : 32);
		assert_int_equal(fake_wait_idle(fake_dev_ring(dev), LONG_MS), 0);
	}
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* Somebody resets the ring behind the daemon's back (targetcli, a script). */
static void reset_from_outside(void **state)
{
	struct fake_dev *dev = file_lun(&w, "reset", 8 * MIB);
	struct load_cfg cfg = { .blocks = 8 * MIB / 512, .depth = 32, .max_io = 64, .seed = 9 };
	struct load *l = load_start(fake_dev_ring(dev), &cfg);

	(void)state;
	assert_int_equal(load_progress(l, 300, LONG_MS), 0);
	/* With a pause in the load: what the daemon answers to old entries breaks the ring, and no
	 * user space could know. */
	assert_int_equal(load_finish(l), 0);
	assert_int_equal(fake_wait_idle(fake_dev_ring(dev), LONG_MS), 0);
	fake_ring_block(fake_dev_ring(dev), true);
	fake_ring_reset(fake_dev_ring(dev), 1);
	fake_ring_block(fake_dev_ring(dev), false);
	assert_int_equal(capacity(dev), 8 * MIB);
	assert_int_equal(fake_dev_remove(dev), 0);
}

static void many_units(void **state)
{
	enum { N = 40 };
	struct fake_dev *dev[N];
	char name[16];

	(void)state;
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "many%d", i);
		dev[i] = file_lun(&w, name, MIB + (uint64_t)i * 4096);
	}
	for (int i = 0; i < N; i++)
		assert_int_equal(capacity(dev[i]), MIB + i * 4096);
	for (int i = 0; i < N; i++)
		assert_int_equal(fake_dev_remove(dev[i]), 0);
}

static int check(void **state)
{
	(void)state;
	return world_check(&w);
}

#define T(fn) cmocka_unit_test_teardown(fn, check)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(open_refused),         T(unknown_subtype), T(same_file_twice),
		T(removal_under_io),     T(growth),          T(growth_under_io),
		T(removal_after_expiry), T(lost_events),     T(tmr),
		T(reset_from_outside),   T(many_units),
	};

	return cmocka_run_group_tests(tests, setup, teardown) + world_failures();
}
