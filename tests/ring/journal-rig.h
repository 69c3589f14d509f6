/* SPDX-License-Identifier: Apache-2.0 */
/* A ring whose user space is the library: lib/ring-journal.c. */
#ifndef TESTS_RING_JOURNAL_RIG_H
#define TESTS_RING_JOURNAL_RIG_H

#include "fake-ring.h"
#include "lib/ring-mem.h"

static inline void journal_read_intent(const void *mailbox, struct fake_intent *intent)
{
	const struct tcmu_ring_scratch *s =
		(const void *)((const struct tcmu_abi_mailbox *)mailbox)->scratch;

	intent->stage = s->stage == RING_STAGE_COPY     ? FAKE_INTENT_COPY
			: s->stage == RING_STAGE_ANSWER ? FAKE_INTENT_ANSWER
							: FAKE_INTENT_NONE;
	intent->id = s->answer.cmd_id;
	intent->to = s->tails.from;
	intent->spare = s->spare;
}

static inline void journal_cfg(struct fake_ring_cfg *cfg)
{
	cfg->swap = true;
	cfg->may_lose = true;
	cfg->pos_off = offsetof(struct tcmu_abi_mailbox, scratch) +
		       offsetof(struct tcmu_ring_scratch, pos);
	cfg->read_intent = journal_read_intent;
}

#endif
