/* SPDX-License-Identifier: Apache-2.0 */
/* What test-violations.c and the files with the tests share. */
#ifndef TESTS_RING_VIOLATIONS_H
#define TESTS_RING_VIOLATIONS_H

#include "rig.h"

/* A user space that does one thing wrong; the fake must say exactly that. */
struct violation {
	enum fake_verdict kind;
	const char *name;
	void (*test)(void **state);
};

#define VIOLATION(kind, fn)                                                                        \
	{                                                                                          \
		kind, #fn, fn                                                                      \
	}

extern const struct violation violations_ring[], violations_answer[], violations_time[],
	violations_swap[], violations_restart[];
extern const size_t violations_ring_cnt, violations_answer_cnt, violations_time_cnt,
	violations_swap_cnt, violations_restart_cnt;

/* Before each test opened with a ring of 4 KiB, and closed after it. */
extern struct rig g;
/* Another one instead. */
void violation_rig(const struct fake_ring_cfg *cfg);
/* This kind of verdict was given, and no other one; a test that never gets here with its own kind has
 * failed. */
void violation_expect(struct fake_verdicts *v, enum fake_verdict kind);

static inline void expect(enum fake_verdict kind)
{
	violation_expect(&g.v, kind);
}

#endif
