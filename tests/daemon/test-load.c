/* SPDX-License-Identifier: Apache-2.0 */
/* Random I/O at queue depth 32 against a model of the disk, with rings of all shapes. */
#include "daemon-test.h"

#include <stdlib.h>

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

static void run(const char *name, const struct fake_ring_cfg *ring, const struct load_cfg *how,
		const char *options, unsigned long commands)
{
	struct fake_dev_cfg cfg = { .name = name, .size = how->blocks * 512, .ring = *ring };
	struct fake_ring_stats st;
	struct fake_dev *dev;
	char config[400];
	struct load *l;

	snprintf(config, sizeof(config), "file/%s%s",
		 world_file(&w, name, (off_t)how->blocks * 512), options);
	cfg.config = config;
	cfg.ring.pos_off = 76; /* lib/ring.h: struct tcmu_ring_scratch */
	assert_int_equal(fake_dev_create(w.k, &cfg, &dev), 0);
	l = load_start(fake_dev_ring(dev), how);
	assert_int_equal(load_progress(l, commands, LONG_MS), 0);
	assert_int_equal(load_finish(l), 0);
	assert_int_equal(fake_wait_idle(fake_dev_ring(dev), LONG_MS), 0);
	fake_ring_get_stats(fake_dev_ring(dev), &st);
	print_message("%s: %llu commands, %llu doorbells, %llu of them for nothing, %llu waited\n",
		      name, (unsigned long long)st.completions, (unsigned long long)st.doorbells,
		      (unsigned long long)st.empty_doorbells, (unsigned long long)st.qfull);
	assert_int_equal(fake_dev_remove(dev), 0);
}

static void usual(void **state)
{
	struct fake_ring_cfg ring = { .pages_per_blk = 1,
				      .data_blocks = 2048,
				      .qfull_time_out = -1 };
	struct load_cfg how = {
		.blocks = 16384, .depth = 32, .max_io = 128, .unmap = true, .seed = 1
	};

	(void)state;
	run("usual", &ring, &how, "", 4000);
}

/* Wraps all the time, with PADs, and most commands wait for the ring. */
static void tiny_ring(void **state)
{
	struct fake_ring_cfg ring = {
		.ring_bytes = 4096 + 8, .pages_per_blk = 1, .data_blocks = 512, .qfull_time_out = -1
	};
	struct load_cfg how = {
		.blocks = 16384, .depth = 64, .max_io = 16, .unmap = true, .seed = 2
	};

	(void)state;
	run("tiny-ring", &ring, &how, "", 4000);
}

/* Many short pieces per command, and an area that is full as a rule. */
static void tiny_area(void **state)
{
	struct fake_ring_cfg ring = { .pages_per_blk = 1, .data_blocks = 96, .qfull_time_out = -1 };
	struct load_cfg how = {
		.blocks = 16384, .depth = 32, .max_io = 256, .unmap = true, .seed = 3
	};

	(void)state;
	run("tiny-area", &ring, &how, "", 3000);
}

static void big_blocks(void **state)
{
	struct fake_ring_cfg ring = { .pages_per_blk = 64,
				      .data_blocks = 64,
				      .qfull_time_out = -1 };
	struct load_cfg how = {
		.blocks = 16384, .depth = 48, .max_io = 256, .unmap = true, .seed = 4
	};

	(void)state;
	run("big-blocks", &ring, &how, "", 3000);
}

/* A kernel before READ_LEN, TMR and KEEP_BUF. */
static void old_kernel(void **state)
{
	struct fake_ring_cfg ring = {
		.pages_per_blk = 1, .data_blocks = 1024, .qfull_time_out = -1, .flags = 1
	};
	struct load_cfg how = {
		.blocks = 16384, .depth = 32, .max_io = 64, .unmap = true, .seed = 5
	};

	(void)state;
	run("old-kernel", &ring, &how, "", 2000);
}

static void one_by_one(void **state)
{
	struct fake_ring_cfg ring = { .pages_per_blk = 1,
				      .data_blocks = 256,
				      .qfull_time_out = -1 };
	struct load_cfg how = { .blocks = 4096, .depth = 1, .max_io = 8, .unmap = true, .seed = 6 };

	(void)state;
	run("one-by-one", &ring, &how, "", 1000);
}

static void direct(void **state)
{
	struct fake_ring_cfg ring = { .pages_per_blk = 16,
				      .data_blocks = 128,
				      .qfull_time_out = -1 };
	struct load_cfg how = {
		.blocks = 16384, .depth = 32, .max_io = 64, .unmap = true, .seed = 7
	};

	(void)state;
	run("direct", &ring, &how, ";direct", 1000);
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
		T(usual),      T(tiny_ring),  T(tiny_area), T(big_blocks),
		T(old_kernel), T(one_by_one), T(direct),
	};

	return cmocka_run_group_tests(tests, setup, teardown) + world_failures();
}
