/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library's ring in a process that is killed again and again and started anew, and that loses
 * nothing: stopped after each single instruction, with a look at the ring there, and killed at some; and
 * killed at full speed. TCMU_JOURNAL_COMMANDS=N TCMU_JOURNAL_DEATHS=M: the latter longer.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "crash.h"
#include "journal-rig.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TCMU_INSTRUMENTED
#endif

#define PENDING    8
#define RING_BYTES (4096u + 8)
#define MAP_HEAD   (128u + RING_BYTES) /* the mailbox and the entries */

static struct crash c;

static void open_ring(unsigned int seed)
{
	struct fake_ring_cfg cfg = FAKE_RING_CFG_DEFAULT;
	struct tcmu_ring first;

	cfg.ring_bytes = RING_BYTES;
	cfg.data_blocks = 40;
	journal_cfg(&cfg);
	cfg.may_lose = false;
	crash_open(&c, &cfg, seed);
	/* The first one starts before there are commands: the kernel has its answer to ADDED then. */
	assert_int_equal(tcmu_ring_attach(&first, fake_ring_base(c.r), fake_ring_map_len(c.r)), 0);
	assert_int_equal(tcmu_ring_start(&first), 0);
	assert_int_equal(tcmu_ring_stop(&first), 0);
	tcmu_ring_detach(&first);
}

/* ---- the process ------------------------------------------------------------------------------ */

static bool traced;

/* Where whoever traces it has a look. */
static void stop_here(void)
{
	if (traced)
		raise(SIGSTOP);
}

static void execute(struct crash *k, struct tcmulib_cmd *cmd)
{
	off_t off = cmd->cdb[9] * CRASH_BLOCK;

	for (size_t i = 0; i < cmd->iov_cnt; i++) {
		for (size_t n = 0; n < cmd->iovec[i].iov_len;
		     n += CRASH_BLOCK, off += CRASH_BLOCK) {
			uint8_t *p = (uint8_t *)cmd->iovec[i].iov_base + n;
			ssize_t ret = cmd->cdb[0] == 0x88 ? pread(k->disk, p, CRASH_BLOCK, off)
							  : pwrite(k->disk, p, CRASH_BLOCK, off);

			if (ret != (ssize_t)CRASH_BLOCK)
				abort();
		}
	}
}

/* A mark that is another command's, or that comes from nowhere, ends the process. */
static void check_mark(const struct tcmulib_cmd *cmd)
{
	if (cmd->mark && (!cmd->again || cmd->mark != cmd->cdb[9] + 1u))
		_exit(4);
}

static void refuse(struct tcmu_ring *ring, struct tcmulib_cmd *cmd)
{
	cmd->sense_buf[0] = 0x70;
	cmd->sense_buf[2] = 0x05; /* ILLEGAL REQUEST, INVALID FIELD IN CDB */
	cmd->sense_buf[7] = 10;
	cmd->sense_buf[12] = 0x24;
	tcmu_ring_complete(ring, cmd, 0x02);
}

static void serve(struct crash *k)
{
	static struct tcmu_ring ring;
	struct tcmulib_cmd *cmd[PENDING];
	unsigned int seed = (unsigned int)getpid();
	int n = 0;

	if (tcmu_ring_attach(&ring, fake_ring_base(k->r), fake_ring_map_len(k->r)) ||
	    !tcmu_ring_resumable(&ring) || tcmu_ring_start(&ring))
		_exit(3);
	for (;;) {
		while (n < PENDING && (cmd[n] = tcmu_ring_next(&ring, 0)))
			check_mark(cmd[n++]);
		if (!n) {
			if (tcmu_ring_state(&ring) != TCMULIB_RING_RUNNING)
				_exit(5);
			stop_here();
			continue;
		}
		int i = rand_r(&seed) % n;

		tcmu_ring_set_mark(&ring, cmd[i], cmd[i]->cdb[9] + 1u);
		execute(k, cmd[i]);
		stop_here();
		if (rand_r(&seed) % 8)
			tcmu_ring_complete(&ring, cmd[i], 0);
		else
			refuse(&ring, cmd[i]);
		cmd[i] = cmd[--n];
	}
}

/* ---- step by step ----------------------------------------------------------------------------- */

#define STEPS 500 /* more instructions than an answer needs */

static void serve_traced(struct crash *k)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(errno == EPERM ? 77 : 1);
	traced = true;
	stop_here();
	serve(k);
}

/* It goes on, by an instruction or until it stops by itself. */
static void go_on(bool one_step)
{
	int status = 0;

	if (ptrace(one_step ? PTRACE_SINGLESTEP : PTRACE_CONT, c.pid, NULL, NULL) ||
	    waitpid(c.pid, &status, 0) != c.pid || !WIFSTOPPED(status))
		fail_msg("the process ended by itself: %#x", (unsigned int)status);
}

/* A number of instructions; after each that has changed the ring a look. How many looks. */
static unsigned long look_closely(unsigned int steps)
{
	uint8_t before[MAP_HEAD];
	unsigned long looks = 0;

	memcpy(before, fake_ring_base(c.r), MAP_HEAD);
	for (unsigned int n = 1; n <= steps; n++) {
		go_on(true);
		if (!memcmp(before, fake_ring_base(c.r), MAP_HEAD))
			continue;
		memcpy(before, fake_ring_base(c.r), MAP_HEAD);
		looks++;
		if (!fake_ring_check_swap(c.r))
			fail_msg("at instruction %u", n);
	}
	return looks;
}

static bool spawn_traced(void)
{
	int status = 0;

	crash_spawn(&c, serve_traced);
	if (waitpid(c.pid, &status, 0) == c.pid && WIFSTOPPED(status))
		return true;
	c.pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		return false;
	fail_msg("the process ended by itself: %#x", (unsigned int)status);
	return false;
}

static __attribute__((unused)) void after_each_instruction(void **state)
{
	unsigned long looks = 0;

	(void)state;
	open_ring(3);
	for (int n = 0; n < 100; n++) {
		if (!spawn_traced()) {
			crash_close(&c);
			skip();
		}
		for (int stops = rand_r(&c.seed) % 8; stops; stops--) {
			crash_submit_some(&c);
			looks += look_closely(STEPS);
			fake_ring_reclaim(c.r);
			go_on(false);
		}
		looks += look_closely((unsigned int)rand_r(&c.seed) % STEPS);
		crash_kill(&c);
		assert_true(fake_ring_check_swap(c.r));
		fake_ring_reclaim(c.r);
	}
	crash_spawn(&c, serve);
	assert_true(crash_wait_quiet(&c));
	crash_judge(&c);
	fake_ring_check_idle(c.r);
	assert_true(fake_verdicts_only(&c.v, FAKE_V_NONE));
	print_message("%lu looks at a ring that had changed, %lu commands\n", looks, c.done);
	assert_true(looks > 3000);
	crash_close(&c);
}

/* ---- at full speed ---------------------------------------------------------------------------- */

static unsigned long setting(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 10) : otherwise;
}

static void linger(unsigned int us)
{
	uint64_t ns = (uint64_t)(rand_r(&c.seed) % us) * 1000;
	struct timespec t;
	uint64_t end;

	clock_gettime(CLOCK_MONOTONIC, &t);
	end = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec + ns;
	do {
		clock_gettime(CLOCK_MONOTONIC, &t);
	} while ((uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec < end);
}

static void killed_at_full_speed(void **state)
{
	unsigned long deaths = setting("TCMU_JOURNAL_DEATHS", 60);
	unsigned long commands = setting("TCMU_JOURNAL_COMMANDS", 6000);
	struct fake_ring_stats st;
	unsigned long interrupted = 0;

	(void)state;
	open_ring(7);
	crash_spawn(&c, serve);
	for (unsigned long n = 0; n < deaths; n++) {
		while (c.done < commands / deaths * (n + 1)) {
			crash_submit_some(&c);
			assert_true(crash_wait_done(
				&c, c.done + 1 + (unsigned long)rand_r(&c.seed) % 8));
		}
		if (n % 8 == 0) /* so that there certainly is some */
			kill(c.pid, SIGSTOP);
		crash_submit_some(&c);
		linger(300);
		crash_kill(&c);
		assert_true(fake_ring_check_swap(c.r));
		fake_ring_reclaim(c.r);
		fake_ring_get_stats(c.r, &st);
		interrupted += st.unanswered != 0;
		crash_spawn(&c, serve);
	}
	assert_true(crash_wait_quiet(&c));
	crash_judge(&c);
	fake_ring_check_idle(c.r);
	assert_true(fake_verdicts_only(&c.v, FAKE_V_NONE));
	assert_true(interrupted >= deaths / 8);
	assert_true(c.done >= commands / deaths * deaths && !c.refused);
	print_message("%lu commands, %lu deaths, %lu of them with commands in flight\n", c.done,
		      deaths, interrupted);
	crash_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifndef TCMU_INSTRUMENTED /* then the instructions are others, and many more */
		cmocka_unit_test(after_each_instruction),
#endif
		cmocka_unit_test(killed_at_full_speed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
