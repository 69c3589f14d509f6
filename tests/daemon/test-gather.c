/* SPDX-License-Identifier: Apache-2.0 */
/* One processor, which the initiator needs as well: commands gather (runner/gather.h), so that one doorbell
 * tells of many answers. */
#include "daemon-test.h"

#include <sched.h>

#define ROUNDS   10
#define COMMANDS 4000
/* At a depth of 32. Without gathering it was 8 at most. */
#define COMMANDS_PER_DOORBELL 12

static struct world w;
static cpu_set_t all_processors;

static int setup(void **state)
{
	cpu_set_t one;
	int first = 0;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(all_processors), &all_processors), 0);
	while (!CPU_ISSET(first, &all_processors))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	world_open(&w);
	return daemon_start(&w, NULL);
}

static int teardown(void **state)
{
	(void)state;
	sched_setaffinity(0, sizeof(all_processors), &all_processors);
	return world_close(&w);
}

static double commands_per_doorbell(struct fake_ring *r, struct load *l)
{
	struct fake_ring_stats before, after;

	fake_ring_get_stats(r, &before);
	assert_int_equal(load_progress(l, COMMANDS, LONG_MS), 0);
	fake_ring_get_stats(r, &after);
	return (double)(after.completions - before.completions) /
	       (double)(after.doorbells - before.doorbells);
}

/* Somebody else may need the processor for a while, and then nothing gathers: so the best of some rounds. */
static void gathers(void **state)
{
	struct load_cfg how = { .blocks = 8192, .depth = 32, .max_io = 8, .seed = 5 };
	struct fake_dev *dev = file_lun(&w, "gathers", 4 << 20);
	struct load *l = load_start(fake_dev_ring(dev), &how);
	double best = 0;

	(void)state;
	for (int i = 0; i < ROUNDS && best < COMMANDS_PER_DOORBELL; i++) {
		double now = commands_per_doorbell(fake_dev_ring(dev), l);

		print_message("%.1f commands per doorbell\n", now);
		if (now > best)
			best = now;
	}
	assert_int_equal(load_finish(l), 0);
	assert_int_equal(fake_wait_idle(fake_dev_ring(dev), LONG_MS), 0);
	assert_int_equal(fake_dev_remove(dev), 0);
	assert_true(best >= COMMANDS_PER_DOORBELL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(gathers) };

	return cmocka_run_group_tests(tests, setup, teardown) + world_failures();
}
