/* SPDX-License-Identifier: Apache-2.0 */
/* The example on libtcmu, a single-threaded RAM disk, under load: the library without the daemon. */
#include "daemon-test.h"

static void ram_disk(void **state)
{
	char *argv[] = { (char *)(uintptr_t)CONSUMER_FAKE, NULL };
	struct load_cfg how = { .blocks = 8192, .depth = 32, .max_io = 64, .seed = 11 };
	struct fake_dev *dev;
	struct world w;
	struct load *l;

	(void)state;
	world_open(&w);
	/* Whenever it is there: a device from before is found by the scan. */
	assert_int_equal(lun_create(&w, "ram", "consumer/", 4 * MIB, &dev), 0);
	proc_spawn(&w.d, argv);
	l = load_start(fake_dev_ring(dev), &how);
	if (load_progress(l, 3000, LONG_MS)) {
		proc_print_log(&w.d);
		fail();
	}
	assert_int_equal(load_finish(l), 0);
	assert_int_equal(fake_wait_idle(fake_dev_ring(dev), LONG_MS), 0);
	assert_int_equal(fake_dev_remove(dev), 0);
	assert_int_equal(world_close(&w), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(ram_disk) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
