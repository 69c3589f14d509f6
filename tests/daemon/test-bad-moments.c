/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon is told to stop, or killed, at any moment: while units come, go and change under load, or
 * while a handler hangs. Nobody is left waiting, no command is lost, and the next one serves them all. */
#include "crowd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { UNITS = 16, BUSY = 3 };

#define BUSY_SIZE (2 * MIB)

/* Units that come and go. */
static struct unit {
	struct shell sh;
	char name[16], config[200];
	bool there, moving;
} unit[UNITS];

/* Units with a load all the time, which are changed. */
static struct busy {
	struct shell sh;
	struct fake_dev *dev;
	struct load *load;
	uint64_t size;
	char val[24];
	bool changing;
} busy[BUSY];

static unsigned int seed;

static unsigned int pick(unsigned int below)
{
	return (unsigned int)rand_r(&seed) % below;
}

static void setup(void)
{
	char name[16];

	start_usual(all_handlers());
	for (int i = 0; i < UNITS; i++) {
		struct unit *u = &unit[i];

		snprintf(u->name, sizeof(u->name), "unit%d", i);
		snprintf(u->config, sizeof(u->config), "file/%s", world_file(&w, u->name, MIB));
		u->sh = (struct shell) { .name = u->name, .config = u->config, .size = MIB };
		u->there = u->moving = false;
	}
	for (int i = 0; i < BUSY; i++) {
		struct load_cfg cfg = { .blocks = BUSY_SIZE / 512,
					.depth = 4,
					.max_io = 16,
					.unmap = true,
					.seed = pick(1000) };

		snprintf(name, sizeof(name), "busy%d", i);
		busy[i].dev = file_lun(&w, name, BUSY_SIZE);
		busy[i].size = BUSY_SIZE;
		busy[i].load = load_start(fake_dev_ring(busy[i].dev), &cfg);
	}
}

/* Things begin to happen. */
static void begin(bool coming, bool going, bool changing)
{
	for (int i = 0; i < UNITS; i++) {
		struct unit *u = &unit[i];

		u->moving = pick(3) && (u->there ? going : coming);
		if (u->moving && u->there)
			shell_remove(&u->sh);
		else if (u->moving)
			shell_create(&u->sh);
	}
	for (int i = 0; i < BUSY; i++) {
		struct busy *b = &busy[i];

		b->changing = changing && pick(2);
		b->sh.dev = b->dev;
		b->sh.attr = i ? "dev_size" : "emulate_write_cache";
		b->sh.val = b->val;
		snprintf(b->val, sizeof(b->val), "%llu",
			 i ? (unsigned long long)b->size + 4096 : pick(2));
		if (b->changing)
			shell_reconfig(&b->sh);
	}
}

static void some_time(void)
{
	usleep(pick(1u << pick(17)));
}

/* While no daemon runs the kernel takes a new size without asking, and who has set it has to see to the file;
 * a smaller one is refused. On a loaded machine a writer can be that late. */
static void enlarge(const struct busy *b, int i)
{
	char name[16];
	struct stat st;

	snprintf(name, sizeof(name), "busy%d", i);
	assert_int_equal(stat(world_path(&w, name), &st), 0);
	if ((uint64_t)st.st_size < b->size)
		assert_int_equal(truncate(world_path(&w, name), (off_t)b->size), 0);
}

/* Every one of them was told something that makes sense. */
static void settle(bool killed)
{
	for (int i = 0; i < UNITS; i++) {
		struct unit *u = &unit[i];
		int ret = u->moving ? shell_wait(&u->sh) : 0;

		if (u->moving && u->there)
			assert_int_equal(ret, 0);
		else if (u->moving && ret && (killed || ret != -ESHUTDOWN))
			fail_msg("%s: creating it gave %d", u->name, ret);
		if (u->moving)
			u->there = !u->there && !ret;
		u->moving = false;
	}
	for (int i = 0; i < BUSY; i++) {
		struct busy *b = &busy[i];
		int ret = b->changing ? shell_wait(&b->sh) : -1;

		if (b->changing && ret && ret != -ESHUTDOWN && ret != -ESRCH && ret != -EAGAIN &&
		    ret != -EBUSY && !(killed && ret == -EINTR))
			fail_msg("busy%d: %s=%s gave %d", i, b->sh.attr, b->val, ret);
		if (i && !ret) {
			b->size += 4096;
			enlarge(b, i);
		}
		b->changing = false;
	}
}

/* With a new daemon: all that should be there are served, the others are not known. */
static void check(void)
{
	for (int i = 0; i < UNITS; i++)
		if (unit[i].there)
			assert_int_equal(capacity(unit[i].sh.dev), MIB);
	for (int i = 0; i < BUSY; i++)
		assert_int_equal(load_progress(busy[i].load, 10, LONG_MS), 0);
	assert_int_equal(world_check(&w), 0);
}

/* The size that configfs has, once the change has been told. */
static void check_sizes(void)
{
	for (int i = 1; i < BUSY; i++) {
		unsigned int ua = test_unit_ready(busy[i].dev);

		assert_true(!ua || ua == 0x2a09);
		assert_int_equal(capacity(busy[i].dev), busy[i].size);
	}
}

static void finish(bool killed)
{
	struct usage now;

	for (int i = 0; i < BUSY; i++) {
		if (!killed)
			assert_int_equal(load_refused(busy[i].load), 0);
		assert_int_equal(load_finish(busy[i].load), 0);
		assert_int_equal(fake_wait_idle(fake_dev_ring(busy[i].dev), LONG_MS), 0);
	}
	check_sizes();
	for (int i = 0; i < BUSY; i++)
		assert_int_equal(fake_dev_remove(busy[i].dev), 0);
	for (int i = 0; i < UNITS; i++)
		if (unit[i].there)
			assert_int_equal(fake_dev_remove(unit[i].sh.dev), 0);
	now = (struct usage) { .files = 100, .sockets = 0 };
	assert_true(usage_is_back(&now));
}

static void stopped(void **state)
{
	(void)state;
	seed = test_seed(100);
	setup();
	for (unsigned int i = 0; i < scaled(36); i++) {
		begin(true, true, true);
		some_time();
		stop();
		for (int b = 0; b < BUSY; b++)
			assert_false(fake_dev_is_open(busy[b].dev));
		/* Whoever is late finds nobody; sometimes the next one is there before that. */
		if (pick(2))
			settle(false);
		start_usual(all_handlers());
		settle(false);
		check();
	}
	finish(false);
	log_is_clean();
}

/* A writer that waited for the dead one: of a creation, found at once; of a change, which leaves no
 * trace, after some seconds, so these come only in the last round. (Of a removal: that takes the real
 * kernel, whose configfs hangs then, tests/vm.) */
static void killed(void **state)
{
	unsigned int rounds = scaled(24);

	(void)state;
	seed = test_seed(200);
	setup();
	for (unsigned int i = 0; i < rounds; i++) {
		bool last = i == rounds - 1;

		begin(true, false, last);
		some_time();
		proc_kill(&w.d);
		start_usual(all_handlers());
		settle(true);
		check();
		if (last)
			break;
		begin(false, true, true); /* in peace */
		settle(false);
	}
	finish(true);
}

/* ---- while something hangs ---- */

/* Stops the daemon, lets go after some time or never, and says with what it has ended. */
static int stop_hung(const char *lun, const char *callback, bool let)
{
	kill(w.d.pid, SIGTERM);
	some_time();
	if (let)
		let_go(lun, callback);
	return proc_wait(&w.d, LONG_MS);
}

/* Once it never comes back: then the daemon does not wait long. */
static bool comes_back(unsigned int i)
{
	return i % 4 != 3;
}

static void start_for(unsigned int i)
{
	start(all_handlers(), "60", comes_back(i) ? "30" : "1");
}

/* The unit that has hung, or never was: now it works. */
static void works(struct shell *sh)
{
	if (!sh->dev)
		assert_int_equal(lun_create(&w, sh->name, sh->config, sh->size, &sh->dev), 0);
	assert_int_equal(test_unit_ready(sh->dev), 0);
	assert_int_equal(fake_dev_remove(sh->dev), 0);
}

static void hung(bool in_open)
{
	const char *callback = in_open ? "open" : "close";
	struct load_cfg cfg = { .blocks = MIB / 512, .depth = 4, .max_io = 16, .seed = pick(1000) };
	struct fake_dev *beside;
	struct load *l;

	start_for(0);
	beside = file_lun(&w, "beside", MIB);
	l = load_start(fake_dev_ring(beside), &cfg);
	for (unsigned int i = 0; i < 3 + scaled(8); i++) {
		char config[200], name[16];
		struct shell sh = { .name = name, .config = config, .size = MIB };

		snprintf(name, sizeof(name), "hung%u", i);
		snprintf(config, sizeof(config), "slow/%s", world_path(&w, name));
		hold(name, callback);
		if (in_open) {
			shell_create(&sh);
		} else {
			sh.dev = slow_lun(name);
			shell_remove(&sh);
		}
		reached(name, in_open ? "open begins" : "close begins", 1);
		assert_int_equal(stop_hung(name, callback, comes_back(i)), comes_back(i) ? 0 : 1);
		/* It may have come back just before the daemon heard of the stop. */
		shell_wait(&sh);
		assert_true(sh.ret == (in_open ? -ESHUTDOWN : 0) || (!sh.ret && comes_back(i)));
		let_go(name, callback);
		start_for(i + 1);
		assert_int_equal(load_progress(l, 20, LONG_MS), 0);
		if (!in_open)
			sh.dev = NULL;
		works(&sh);
	}
	assert_int_equal(load_refused(l), 0);
	assert_int_equal(load_finish(l), 0);
	assert_int_equal(fake_dev_remove(beside), 0);
}

static void while_open_hangs(void **state)
{
	(void)state;
	seed = test_seed(300);
	hung(true);
}

static void while_close_hangs(void **state)
{
	(void)state;
	seed = test_seed(400);
	hung(false);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, crowd_open, crowd_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(stopped),
		T(killed),
		T(while_open_hangs),
		T(while_close_hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
