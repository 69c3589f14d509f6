/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User space in a process that is killed again and again, at any instruction, and started anew: with a
 * reset of the ring each time, or with the ring as its own journal. Nobody may be accused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "crash.h"
#include "swap-rig.h"

#define PENDING 8
#define DEATHS  60

static struct crash c;

/* Up to so many µs, without a sleep: those are too long. */
static void linger(unsigned int *seed, unsigned int us)
{
	long ns = (long)(rand_r(seed) % us) * 1000;
	struct timespec start, now;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec < ns);
}

/* ---- starts at an empty ring ---- */

static void serve_plain(struct crash *k)
{
	struct ref_cmd cmd[PENDING];
	struct ref_consumer rc;
	unsigned int seed = (unsigned int)getpid();
	int n = 0;

	ref_init(&rc, fake_ring_base(k->r));
	for (;;) {
		while (n < PENDING && ref_next(&rc, &cmd[n]))
			n++;
		if (n) {
			int i = rand_r(&seed) % n;

			linger(&seed, 20);
			crash_execute(k, &cmd[i]);
			ref_answer(&rc, cmd[i].id, 0, 0, 0);
			ref_free(&cmd[i]);
			cmd[i] = cmd[--n];
		}
	}
}

/* ---- goes on where the other one was ---- */

static void serve_swap(struct crash *k)
{
	struct ref_cmd cmd[PENDING];
	struct ref_swap s = { 0 };
	unsigned int seed = (unsigned int)getpid();
	int n = 0;

	ref_swap_init(&s, fake_ring_base(k->r));
	for (;;) {
		while (n < PENDING && ref_swap_next(&s, &cmd[n]))
			n++;
		if (n) {
			int i = rand_r(&seed) % n;

			linger(&seed, 20);
			crash_execute(k, &cmd[i]);
			if (ref_swap_answer(&s, cmd[i].id, 0)) {
				ref_free(&cmd[i]);
				cmd[i] = cmd[--n];
			}
		}
	}
}

/* Kills it somewhere in its work; now and then before it has looked at it, so that there certainly is
 * some. True if there was. */
static bool strike(int n)
{
	struct fake_ring_stats st;

	if (n % 8 == 0)
		kill(c.pid, SIGSTOP);
	crash_submit_some(&c);
	linger(&c.seed, 300);
	crash_kill(&c);
	fake_ring_reclaim(c.r);
	fake_ring_get_stats(c.r, &st);
	return st.unanswered;
}

static void run(void (*serve)(struct crash *k), bool reset)
{
	struct fake_ring_cfg cfg = FAKE_RING_CFG_DEFAULT;
	int interrupted = 0;

	cfg.ring_bytes = 4096 + 8;
	cfg.data_blocks = 40;
	if (!reset)
		swap_cfg(&cfg);
	crash_open(&c, &cfg, 7);
	crash_spawn(&c, serve);
	for (int n = 0; n < DEATHS; n++) {
		for (int round = 0; round < 3; round++) {
			crash_submit_some(&c);
			assert_true(crash_wait_done(
				&c, c.done + 1 + (unsigned long)rand_r(&c.seed) % 8));
		}
		interrupted += strike(n);
		if (reset)
			crash_reset(&c);
		crash_spawn(&c, serve);
	}
	assert_true(crash_wait_quiet(&c));
	crash_judge(&c);
	fake_ring_check_idle(c.r);
	assert_true(fake_verdicts_only(&c.v, FAKE_V_NONE));
	assert_true(interrupted >= DEATHS / 8);
	assert_true(reset ? c.refused : !c.refused);
	crash_close(&c);
}

static void reset_each_time(void **state)
{
	(void)state;
	run(serve_plain, true);
}

static void the_ring_as_journal(void **state)
{
	(void)state;
	run(serve_swap, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reset_each_time),
		cmocka_unit_test(the_ring_as_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
