/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that take too long: the log tells of them, and the config string may limit them. */
#include "crowd.h"

#include <stdio.h>

static const uint8_t flush[16] = { 0x35 }; /* SYNCHRONIZE CACHE (10) */

/* Given up at the next look after so many seconds. */
static void given_up_after(struct bg *bg, uint64_t begin, unsigned int sec)
{
	bg_wait(bg);
	assert_in_range(fake_now_ms() - begin, sec * 1000, (sec + 5) * 1000 + 2000 * SLOWER + 1000);
	assert_int_equal(bg->cmd.status, 0x02);
	assert_int_equal(bg->cmd.sense[2] & 0xf, 0x0b); /* ABORTED COMMAND */
}

static void too_long(void **state)
{
	struct fake_dev *patient = NULL, *limited = NULL;
	struct bg waits, data, cache, good;
	char config[200];
	uint64_t begin;

	(void)state;
	start_usual(all_handlers());
	patient = slow_lun("patient");
	snprintf(config, sizeof(config), "slow/%s;tcmur_cmd_time_out=5", world_path(&w, "limited"));
	assert_int_equal(lun_create(&w, "limited", config, MIB, &limited), 0);
	hold("patient", "read");
	hold("limited", "read");
	hold("limited", "flush");
	begin = fake_now_ms();
	bg_submit(patient, &waits, read_one, FAKE_IN);
	bg_submit(limited, &data, read_one, FAKE_IN);
	bg_submit(limited, &cache, flush, FAKE_NONE);

	given_up_after(&data, begin, 5);
	assert_false(cache.done);
	/* Others of it are served. */
	bg_submit(limited, &good, write_one, FAKE_OUT);
	bg_wait(&good);
	assert_int_equal(good.cmd.status, 0);

	given_up_after(&cache, begin, 10); /* twice as long as a read */
	assert_int_equal(
		proc_expect(&w.d,
			    "user_0/patient: READ(16) (operation code 88h), LBA 0, 1 blocks, "
			    "has taken 15 s so far: it is with the handler",
			    LONG_MS),
		0);
	assert_false(waits.done);
	let_go("patient", "read");
	let_go("limited", "read");
	let_go("limited", "flush");
	bg_wait(&waits);
	assert_int_equal(waits.cmd.status, 0);
	assert_int_equal(fake_wait_idle(fake_dev_ring(limited), LONG_MS), 0);
	assert_int_equal(count(said(), "has taken"), 1);
	assert_int_equal(fake_dev_remove(patient), 0);
	assert_int_equal(fake_dev_remove(limited), 0);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(too_long, crowd_open, crowd_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
