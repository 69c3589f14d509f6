/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each thing that a user space can do wrong, done on purpose: the fake must say exactly that. The
 * numbers, their names (verdict.h), and where they are shown:
 *
 *    1  cmd_tail not on an entry boundary                    violations-ring.c
 *    2  cmd_tail beyond cmd_head                             violations-ring.c
 *    3  cmd_tail backwards                                   violations-ring.c
 *    4  len_op of a slot changed                             violations-ring.c
 *    5  a slot that names no live command                    violations-ring.c
 *    6  answered unread                                      violations-ring.c
 *    7  never answered                                       violations-ring.c
 *    8  idle, but PAD or TMR slots not passed                violations-ring.c
 *    9  a store to a slot or block that is free              violations-ring.c
 *   10  a store to the kernel's part of the mailbox          violations-ring.c
 *   11  a store behind the buffer                            violations-answer.c
 *   12  data-in that nobody wrote                            violations-answer.c
 *   13  senseless READ_LEN                                   violations-answer.c
 *   14  CHECK CONDITION without sense, UNKNOWN_OP            violations-answer.c
 *   15  answered before it was done                          violations-answer.c
 *   16  kept buffers                                         violations-answer.c
 *   17  no doorbell in time                                  violations-time.c
 *   18  read ahead of cmd_head                               violations-time.c
 *   19  aborted, and not answered in time, or twice          violations-time.c
 *   20  a reset not noticed, old ids answered after it       violations-time.c
 *   20b slots from tail to pos not the unanswered requests   violations-swap.c
 *   21  more than 1,024 iovecs                               violations-answer.c
 *   22  an unknown opcode not refused with 05/20/00          violations-answer.c
 *   23  after a kill: again, never, or in another order      violations-restart.c
 *
 * The last test fails if one of these numbers was not seen.
 */
#include "violations.h"

#include <stdlib.h>

struct rig g;

static bool shown[FAKE_V_COUNT], shown_now[FAKE_V_COUNT];

void violation_rig(const struct fake_ring_cfg *cfg)
{
	rig_close(&g);
	rig_open(&g, cfg);
}

void violation_expect(struct fake_verdicts *v, enum fake_verdict kind)
{
	assert_true(fake_verdicts_only(v, kind));
	shown[kind] = true;
	shown_now[kind] = true;
}

static int setup(void **state)
{
	struct fake_ring_cfg cfg = FAKE_RING_CFG_DEFAULT;

	(void)state;
	memset(shown_now, 0, sizeof(shown_now));
	cfg.ring_bytes = 4096;
	rig_open(&g, &cfg);
	return 0;
}

static int teardown(void **state)
{
	const struct violation *v = *state;

	rig_close(&g);
	return shown_now[v->kind] ? 0 : -1;
}

static void every_number_is_shown(void **state)
{
	char buf[8];
	int missing = 0;

	(void)state;
	for (int kind = 1; kind < FAKE_V_RING_END; kind++) {
		if (shown[kind])
			continue;
		print_error("violation %s (%s) has no test that shows it\n",
			    fake_verdict_number(kind, buf), fake_verdict_name(kind));
		missing++;
	}
	assert_int_equal(missing, 0);
}

static size_t add(struct CMUnitTest *to, const struct violation *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char number[8], *name;

		if (asprintf(&name, "%s: %s",
			     v[i].kind ? fake_verdict_number(v[i].kind, number) : "-",
			     v[i].name) < 0)
			abort();
		to[i] = (struct CMUnitTest) { name, v[i].test, setup, teardown,
					      (void *)(uintptr_t)&v[i] };
	}
	return n;
}

int main(void)
{
	size_t n = violations_ring_cnt + violations_answer_cnt + violations_time_cnt +
		   violations_swap_cnt + violations_restart_cnt;
	struct CMUnitTest *tests = calloc(n + 1, sizeof(*tests));
	size_t at = 0;
	int ret;

	at += add(tests + at, violations_ring, violations_ring_cnt);
	at += add(tests + at, violations_answer, violations_answer_cnt);
	at += add(tests + at, violations_time, violations_time_cnt);
	at += add(tests + at, violations_swap, violations_swap_cnt);
	at += add(tests + at, violations_restart, violations_restart_cnt);
	tests[at++] = (struct CMUnitTest) { "every number is shown", every_number_is_shown, NULL,
					    NULL, NULL };
	ret = _cmocka_run_group_tests("violations", tests, at, NULL, NULL);
	for (size_t i = 0; i < n; i++)
		free((void *)(uintptr_t)tests[i].name);
	free(tests);
	return ret;
}
