/* SPDX-License-Identifier: Apache-2.0 */
/* A ring whose user space is that of ref-swap.h. */
#ifndef TESTS_RING_SWAP_RIG_H
#define TESTS_RING_SWAP_RIG_H

#include <string.h>

#include "fake-ring.h"
#include "ref-swap.h"

static inline void swap_read_intent(const void *mailbox, struct fake_intent *intent)
{
	const struct ref_note *n =
		(const void *)((const struct tcmu_abi_mailbox *)mailbox)->scratch;

	intent->stage = n->stage == REF_COPY     ? FAKE_INTENT_COPY
			: n->stage == REF_ANSWER ? FAKE_INTENT_ANSWER
						 : FAKE_INTENT_NONE;
	intent->id = n->id;
	intent->to = n->to;
	intent->spare = n->spare;
}

static inline void swap_cfg(struct fake_ring_cfg *cfg)
{
	cfg->pos_off = REF_POS_OFF;
	cfg->swap = true;
	cfg->read_intent = swap_read_intent;
}

#endif
