/* SPDX-License-Identifier: Apache-2.0 */
/* Violation 20b: looked at between any two stores of a user space that swaps slots. */
#include "violations.h"

#include "swap-rig.h"

/* All that is wrong is said once, at the store that made it so. */
static void boundary(void *arg)
{
	(void)arg;
	fake_ring_check_swap(g.r);
}

/* Three commands in flight, and the last is answered first. */
static void answer_the_last(unsigned int faults)
{
	struct fake_ring_cfg cfg = FAKE_RING_CFG_DEFAULT;
	struct ref_swap s = { .faults = faults, .boundary = boundary };
	struct ref_cmd cmd[3];

	cfg.ring_bytes = 4096;
	swap_cfg(&cfg);
	violation_rig(&cfg);
	ref_swap_init(&s, fake_ring_base(g.r));
	for (int i = 0; i < 3; i++) {
		rig_submit(&g, i, FAKE_OUT, 4096);
		assert_true(ref_swap_next(&s, &cmd[i]));
		ref_free(&cmd[i]);
	}
	assert_true(ref_swap_answer(&s, cmd[2].id, 0));
	if (faults & REF_TAIL_LATE)
		assert_true(ref_swap_answer(&s, cmd[1].id, 0));
	ref_swap_free(&s);
	expect(faults ? FAKE_V_SWAP : FAKE_V_NONE);
}

static void right(void **state)
{
	(void)state;
	answer_the_last(0);
}

static void tail_before_swap(void **state)
{
	(void)state;
	answer_the_last(REF_TAIL_FIRST);
}

static void no_swap(void **state)
{
	(void)state;
	answer_the_last(REF_NO_SWAP);
}

static void pos_stays(void **state)
{
	(void)state;
	answer_the_last(REF_POS_STAYS);
}

static void no_note(void **state)
{
	(void)state;
	answer_the_last(REF_NO_NOTE);
}

static void tail_late(void **state)
{
	(void)state;
	answer_the_last(REF_TAIL_LATE);
}

#define T(kind, fn) VIOLATION(FAKE_V_##kind, fn)

const struct violation violations_swap[] = {
	T(NONE, right),     T(SWAP, tail_before_swap), T(SWAP, no_swap),
	T(SWAP, pos_stays), T(SWAP, no_note),          T(SWAP, tail_late),
};
const size_t violations_swap_cnt = sizeof(violations_swap) / sizeof(violations_swap[0]);
