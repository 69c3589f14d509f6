/* SPDX-License-Identifier: Apache-2.0 */
/* Units over files: what initiators rely on when the storage, the settings or the daemon change. */
#include "faults.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static void block_sizes(void **state)
{
	static const struct {
		uint32_t size;
		int ret;
	} cases[] = { { 524288, -EINVAL }, { 513, -EINVAL }, { 256, -EINVAL }, { 4096, 0 } };
	char config[200], sentence[80];

	(void)state;
	start_usual(TCMU_HANDLERS);
	snprintf(config, sizeof(config), "file/%s", world_file(&w, "blocks", 8 * MIB));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake_dev_cfg cfg = { .name = "blocks",
					    .config = config,
					    .size = 8 * MIB,
					    .block_size = cases[i].size,
					    .ring = FAKE_RING_CFG_DEFAULT };
		struct fake_dev *dev;

		cfg.ring.pos_off = 76; /* as lun_create() */
		assert_int_equal(fake_dev_create(w.k, &cfg, &dev), cases[i].ret);
		snprintf(sentence, sizeof(sentence), "a block size of %u bytes cannot be served",
			 cases[i].size);
		assert_int_equal(proc_said(&w.d, sentence), cases[i].ret != 0);
		if (!cases[i].ret)
			assert_int_equal(fake_dev_remove(dev), 0);
	}
}

static void both_unit_attentions(void **state)
{
	struct fake_dev *dev;
	unsigned int first, second;

	(void)state;
	start_usual(TCMU_HANDLERS);
	dev = file_lun(&w, "attentive", MIB);
	assert_int_equal(fake_dev_reconfig(dev, "dev_size", "2097152"), 0);
	assert_int_equal(fake_dev_reconfig(dev, "emulate_write_cache", "0"), 0);
	first = test_unit_ready(dev);
	second = test_unit_ready(dev);
	assert_true(first == 0x2a09 || second == 0x2a09);
	assert_true(first == 0x2a01 || second == 0x2a01);
	assert_int_equal(test_unit_ready(dev), 0);
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* No initiator notices a restart, so it changes nothing that they rely on. */
static void write_cache_stays_off(void **state)
{
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_HANDLERS);
	dev = file_lun(&w, "cache", MIB);
	assert_true(write_cache(dev));
	select_write_cache(dev, false);
	assert_false(write_cache(dev));
	stop();
	start_usual(TCMU_HANDLERS);
	assert_false(write_cache(dev));
	proc_kill(&w.d);
	start_usual(TCMU_HANDLERS);
	assert_false(write_cache(dev));
	select_write_cache(dev, true);
	stop();
	start_usual(TCMU_HANDLERS);
	assert_true(write_cache(dev));
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* A device from before the start whose storage is missing: its commands wait, and however many they
 * are, the storage is looked for every 5 seconds. */
static void storage_comes_later(void **state)
{
	enum { N = 240 };
	static struct bg bg[N];
	char here[300], away[300];
	struct fake_dev *dev;
	const char *log;
	uint64_t begin;

	(void)state;
	start_usual(TCMU_HANDLERS);
	dev = file_lun(&w, "missing", MIB);
	stop();
	snprintf(here, sizeof(here), "%s", world_path(&w, "missing"));
	snprintf(away, sizeof(away), "%s", world_path(&w, "elsewhere"));
	assert_int_equal(rename(here, away), 0);
	begin = fake_now_ms();
	start_usual(TCMU_HANDLERS);
	assert_int_equal(proc_expect(&w.d, "cannot be served", LONG_MS), 0);
	for (int i = 0; i < N; i++) {
		bg_submit(dev, &bg[i], read_one, FAKE_IN);
		usleep(25000);
	}
	log = said();
	assert_in_range(count(log, "cannot be opened"), 1, 1 + (fake_now_ms() - begin) / 5000);
	assert_int_equal(count(log, "cannot be served"), 1);
	assert_int_equal(rename(away, here), 0);
	for (int i = 0; i < N; i++) {
		bg_wait(&bg[i]);
		assert_int_equal(bg[i].cmd.status, 0);
	}
	assert_int_equal(test_unit_ready(dev), 0);
	assert_int_equal(fake_dev_remove(dev), 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, faults_open, faults_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(block_sizes),
		T(both_unit_attentions),
		T(write_cache_stays_off),
		T(storage_comes_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
