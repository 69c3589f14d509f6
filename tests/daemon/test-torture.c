/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole daemon, killed, stopped and upgraded at any moment, also in the middle of a start, a stop and an
 * upgrade, below initiators whose commands overlap (torture.h): on files, and on a storage with a volatile
 * cache that now and then loses its power, too. Nobody may be accused.
 *
 * TCMU_TORTURE_COMMANDS=N TCMU_TORTURE_KILLS=M: at least as many in each of the two tests.
 */
#include "crowd.h"
#include "torture.h"

#include "tests/ring/journal-rig.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LUNS   3
#define BLOCKS 512u

/* How a unit's ring is made: of the kernel's defaults, too small for what comes, and of odd sizes. */
static const struct shape {
	uint32_t ring_bytes, pages_per_blk, data_blocks, max_io;
} shapes[LUNS] = {
	{ 1u << 20, 1, 1024, 64 },
	{ 4096 + 8, 1, 48, 24 },
	{ 24584, 16, 20, 64 },
};

static struct scene {
	struct torture *t[LUNS];
	struct fake_dev *dev[LUNS];
	char path[LUNS][200], disk[LUNS][200];
	int luns;
	unsigned int seed;
	bool power_cuts;
	/* held: deaths that left commands which the daemon knew of without an answer */
	unsigned long kills, held, upgrades, stops, cuts;
} s;

static unsigned int below(unsigned int n)
{
	return (unsigned int)rand_r(&s.seed) % n;
}

/* Up to so many µs. */
static void linger(unsigned int us)
{
	usleep(below(us) + 1);
}

static unsigned long setting(const char *name, unsigned int otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoul(text, NULL, 10) : scaled(otherwise);
}

/* ---- the units ---- */

static void make_lun(int i, const char *subtype)
{
	const struct shape *shape = &shapes[i];
	struct fake_dev_cfg cfg = { .size = BLOCKS * TORTURE_BLOCK, .ring = FAKE_RING_CFG_DEFAULT };
	struct torture_cfg torture = { .v = fake_kernel_verdicts(w.k),
				       .blocks = BLOCKS,
				       .max_io = shape->max_io,
				       .seed = s.seed + (unsigned int)i };
	char name[16], file[32], config[240];
	bool is_file = !strcmp(subtype, "file");

	snprintf(name, sizeof(name), "%s%d", subtype, i);
	snprintf(config, sizeof(config), "%s/%s", subtype, world_path(&w, name));
	snprintf(file, sizeof(file), "%s%s", name, is_file ? "" : ".cache");
	snprintf(s.path[i], sizeof(s.path[i]), "%s", world_file(&w, file, (off_t)cfg.size));
	snprintf(file, sizeof(file), "%s.disk", name);
	snprintf(s.disk[i], sizeof(s.disk[i]), "%s", world_file(&w, file, (off_t)cfg.size));
	cfg.name = name;
	cfg.config = config;
	cfg.ring.ring_bytes = shape->ring_bytes;
	cfg.ring.pages_per_blk = shape->pages_per_blk;
	cfg.ring.data_blocks = shape->data_blocks;
	journal_cfg(&cfg.ring);
	assert_int_equal(fake_dev_create(w.k, &cfg, &s.dev[i]), 0);
	torture.dev = s.dev[i];
	torture.path = s.path[i];
	torture.disk = is_file ? NULL : s.disk[i];
	torture.promises = is_file ? TORTURE_FUA | TORTURE_FLUSH : 1u << i;
	torture.may_tear = is_file;
	s.t[i] = torture_start(&torture);
}

static void make_scene(const char *subtype, int luns, unsigned int seed)
{
	memset(&s, 0, sizeof(s));
	s.seed = seed;
	s.luns = luns;
	s.power_cuts = strcmp(subtype, "file");
	for (int i = 0; i < luns; i++)
		make_lun(i, subtype);
}

static void pause_and_look(void)
{
	for (int i = 0; i < s.luns; i++)
		assert_int_equal(torture_pause(s.t[i], LONG_MS), 0);
}

static void go_on(void)
{
	for (int i = 0; i < s.luns; i++)
		torture_go_on(s.t[i]);
}

static void count_all(struct torture_counts *all)
{
	struct torture_counts one;

	memset(all, 0, sizeof(*all));
	for (int i = 0; i < s.luns; i++) {
		torture_count(s.t[i], &one);
		all->answers += one.answers;
		all->aborted += one.aborted;
		all->expired += one.expired;
		all->refused += one.refused;
	}
}

static void end_scene(void)
{
	struct torture_counts n;

	pause_and_look();
	count_all(&n);
	print_message(
		"%lu commands (%lu aborted, %lu expired, %lu refused), %lu kills, %lu of them with "
		"commands in hand, %lu power cuts, %lu upgrades, %lu stops\n",
		n.answers, n.aborted, n.expired, n.refused, s.kills, s.held, s.cuts, s.upgrades,
		s.stops);
	for (int i = 0; i < s.luns; i++) {
		assert_int_equal(torture_stop(s.t[i]), 0);
		assert_int_equal(fake_dev_remove(s.dev[i]), 0);
	}
}

/* ---- what becomes of the daemon ---- */

static void spawn_daemon(void)
{
	spawn(all_handlers(), "60", "60");
}

static void expect(const char *text)
{
	assert_int_equal(proc_expect(&w.d, text, LONG_MS), 0);
}

static void die(void)
{
	bool held = false;

	assert_false(proc_said(&w.d, "resetting the ring"));
	proc_kill(&w.d);
	s.kills++;
	for (int i = 0; i < s.luns; i++)
		held |= torture_died(s.t[i]);
	s.held += held;
	if (s.power_cuts && below(2)) {
		for (int i = 0; i < s.luns; i++)
			torture_power_cut(s.t[i]);
		s.cuts++;
	}
}

static void upgrade(void)
{
	proc_mark(&w.d);
	assert_int_equal(kill(w.d.pid, SIGUSR2), 0);
	expect("ready: ");
	s.upgrades++;
}

static void strike(void)
{
	unsigned int how = below(20);

	if (how < 2) {
		upgrade();
		return;
	}
	if (how < 4) {
		stop();
		s.stops++;
	} else {
		if (how < 8) { /* in the middle of a stop or an upgrade */
			assert_int_equal(kill(w.d.pid, how < 6 ? SIGTERM : SIGUSR2), 0);
			linger(20000);
		}
		die();
	}
	spawn_daemon();
	while (how >= 16 && below(2)) { /* in the middle of a start */
		linger(50000);
		die();
		spawn_daemon();
	}
	expect("ready");
}

static void torment(unsigned long commands, unsigned long kills)
{
	struct torture_counts n;

	/* On a slow machine many deaths find nothing to do: until enough did not. */
	for (unsigned long i = 1;; i++) {
		assert_int_equal(
			torture_progress(s.t[below((unsigned int)s.luns)],
					 1 + below(1 + (unsigned int)(commands / kills / 2)),
					 LONG_MS),
			0);
		count_all(&n);
		if (n.answers >= commands && s.kills >= kills && s.held >= kills / 3)
			return;
		assert_true(s.kills < 20 * kills);
		if (below(2))
			linger(3000);
		strike();
		if (i % 16 == 0) {
			pause_and_look();
			go_on();
		}
	}
}

/* ---- tests ---- */

static void torture_units(const char *subtype, int luns, unsigned int commands, unsigned int kills)
{
	uint64_t begin = fake_now_ms();

	spawn_daemon();
	expect("ready");
	make_scene(subtype, luns, test_seed(7));
	torment(setting("TCMU_TORTURE_COMMANDS", commands), setting("TCMU_TORTURE_KILLS", kills));
	end_scene();
	stop();
	print_message("%u s\n", (unsigned int)(fake_now_ms() - begin) / 1000);
}

static void on_files(void **state)
{
	(void)state;
	torture_units("file", LUNS, 25000, 24);
}

static void on_a_volatile_cache(void **state)
{
	(void)state;
	torture_units("volatile", LUNS, 20000, 20);
}

/* The judge is no fool: a flush that is none. */
static void flushes_that_are_lies(void **state)
{
	struct fake_verdicts *v = fake_kernel_verdicts(w.k);

	(void)state;
	spawn_daemon();
	expect("ready");
	close(open(world_path(&w, "volatile0.lazy"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	make_scene("volatile", 1, 1);
	for (int i = 0; i < 20 && !fake_verdict_count(v, FAKE_V_LOST); i++) {
		assert_int_equal(torture_progress(s.t[0], 300, LONG_MS), 0);
		die();
		spawn_daemon();
		expect("ready");
	}
	end_scene();
	stop();
	assert_true(fake_verdicts_only(v, FAKE_V_LOST));
	fake_verdicts_clear(v);
}

static int check(void **state)
{
	(void)state;
	return world_check(&w);
}

static int setup(void **state)
{
	int ret = crowd_open(state);

	fake_kernel_set_answer_patience(w.k, LONG_MS);
	fake_kernel_late_doorbells(w.k, true);
	return ret;
}

#define T(fn) cmocka_unit_test_teardown(fn, check)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(on_files),
		T(on_a_volatile_cache),
		T(flushes_that_are_lies),
	};

	return cmocka_run_group_tests(tests, setup, crowd_close) + world_failures();
}
