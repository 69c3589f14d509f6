/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A unit whose handler hangs, with as many commands as an initiator sends: others keep their latency, come, go, and
 * find it serving when the handler comes back. Figures of the real kernel: tests/bench/isolation.sh.
 */
#include "crowd.h"

#include <stdlib.h>
#include <time.h>

#define DEPTH   255 /* to the one that hangs */
#define THREADS 4   /* of handler-slow.c */
#define COUNT   200 /* commands of which the median counts */
#define LEAST   5   /* rounds */
#define ROUNDS  30
#define MORE(t) ((t)*3 / 2)

static struct bg hung[DEPTH];

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Of commands one at a time: some do not wait on the device's thread, a flush is a worker's. */
static uint64_t median_ns(struct fake_dev *dev)
{
	static const uint8_t flush[16] = { 0x91 };
	static uint64_t took[COUNT];
	static uint8_t buf[512];
	struct fake_cmd cmd;

	for (int i = 0; i < COUNT; i++) {
		if (i % 10 == 0)
			fake_cmd_init(&cmd, flush, 16, FAKE_NONE, NULL, 0);
		else if (i % 2)
			fake_cmd_init(&cmd, write_one, 16, FAKE_OUT, buf, sizeof(buf));
		else
			fake_cmd_init(&cmd, read_one, 16, FAKE_IN, buf, sizeof(buf));
		took[i] = now_ns();
		assert_int_equal(fake_exec(fake_dev_ring(dev), &cmd, LONG_MS), 0);
		took[i] = now_ns() - took[i];
		assert_int_equal(cmd.status, 0);
	}
	qsort(took, COUNT, sizeof(took[0]), compare);
	return took[COUNT / 2];
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void hang(struct fake_dev *dev, unsigned int round)
{
	hold("hung", "write");
	for (int i = 0; i < DEPTH; i++)
		bg_submit(dev, &hung[i], write_one, FAKE_OUT);
	reached("hung", "write begins", (round - 1) * DEPTH + THREADS);
}

static void come_back(void)
{
	let_go("hung", "write");
	for (int i = 0; i < DEPTH; i++) {
		bg_wait(&hung[i]);
		assert_int_equal(hung[i].cmd.status, 0);
	}
}

/* This machine has other work: only the fastest round of each kind says something. */
static void others_keep_their_latency(void **state)
{
	struct fake_dev *measured, *stuck, *other;
	uint64_t alone = UINT64_MAX, beside = UINT64_MAX;

	(void)state;
	start_usual(all_handlers());
	measured = file_lun(&w, "measured", MIB);
	stuck = slow_lun("hung");
	assert_int_equal(test_unit_ready(measured), 0);
	for (unsigned int round = 1; round <= LEAST || (round <= ROUNDS && beside > MORE(alone));
	     round++) {
		struct fake_ring_stats st;

		alone = least(alone, median_ns(measured));
		hang(stuck, round);
		beside = least(beside, median_ns(measured));
		other = slow_lun("other");
		assert_int_equal(fake_dev_remove(other), 0);
		fake_ring_get_stats(fake_dev_ring(stuck), &st);
		assert_int_equal(st.unanswered, DEPTH);
		come_back();
	}
	print_message("alone %llu ns, beside the one that hangs %llu ns\n",
		      (unsigned long long)alone, (unsigned long long)beside);
	assert_true(beside <= MORE(alone));
	assert_int_equal(fake_wait_idle(fake_dev_ring(stuck), LONG_MS), 0);
	assert_int_equal(fake_dev_remove(stuck), 0);
	assert_int_equal(fake_dev_remove(measured), 0);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(others_keep_their_latency, crowd_open, crowd_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
