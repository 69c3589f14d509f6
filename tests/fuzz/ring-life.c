/* SPDX-License-Identifier: Apache-2.0 */
/* The model at the ends of a ring's life, and what does not move it. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lib/ring-mem.h"
#include "tests/fuzz/ring-model.h"

#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)

#define SCRATCH_OFF offsetof(struct tcmu_abi_mailbox, scratch)
#define NOTE_OFF    (SCRATCH_OFF + offsetof(struct tcmu_ring_scratch, note))

void model_note(struct model *m, uint16_t note)
{
	bool effect;

	model_before(m);
	m->strike = 0;
	effect = m->state == TCMULIB_RING_RUNNING || m->state == TCMULIB_RING_DRAINING;
	tcmu_ring_set_note(&m->ring, note);
	assert(tcmu_ring_note(&m->ring) == (effect ? note : 0));
	if (effect)
		model_sync_part(m, NOTE_OFF, 2);
	assert(m->ring.state == m->state);
	model_unchanged(m);
}

void model_questions(struct model *m, uint16_t id)
{
	model_before(m);
	m->strike = 0;
	assert(tcmu_ring_take_kick(&m->ring) == m->kick);
	assert(!tcmu_ring_take_kick(&m->ring));
	m->kick = false;
	assert(tcmu_ring_state(&m->ring) == m->state);
	if (m->state != TCMULIB_RING_RUNNING && m->state != TCMULIB_RING_DRAINING)
		assert(!tcmu_ring_pending(&m->ring) && !tcmu_ring_note(&m->ring));
	else
		tcmu_ring_pending(&m->ring);
	tcmu_ring_by_id(&m->ring, id);
	assert(tcmu_ring_resumable(&m->ring) == expect_resumable(m));
	assert(tcmu_ring_trim(&m->ring) == (m->ring.in_flight ? -EBUSY : 0));
	model_unchanged(m);
}

/* The process before this one has left the memory as it is: may it be gone on with? */
static void make_resumable(struct model *m)
{
	const struct tcmu_abi_mailbox *mb = model_mailbox(m);
	bool resumable = tcmu_ring_resumable(&m->ring);

	model_unchanged(m);
	assert(resumable == expect_resumable(m));
	if (resumable) {
		assert(tcmu_ring_ends_sane(&m->ring));
		assert(mb->cmd_head < m->size && mb->cmd_head % 8 == 0);
		assert(mb->cmd_tail < m->size && mb->cmd_tail % 8 == 0);
		return;
	}
	/* No death loses anything, but that it may not have been seen that the kernel was reset. */
	assert(!m->honest || m->stale);
	tcmu_ring_mark_resetting(&m->ring);
	expect_mark(m, TCMU_RING_MARK_RESETTING);
	model_unchanged(m);
	assert(!tcmu_ring_resumable(&m->ring));
	model_kernel_reset(m);
}

/* The kernel in the middle of the start. The first look has decided whether it is a take-over. */
static void after_strike(struct model *m)
{
	struct tcmu_abi_mailbox *mb = model_mailbox(m);
	const struct tcmu_ring_scratch *old = expect_scratch(m), *now = ring_scratch(&m->ring);

	m->honest = false;
	if (m->zeroed)
		assert(!mb->cmd_tail);
	assert(mb->cmd_tail < m->size && mb->cmd_tail % 8 == 0);
	if (expect_marked(m))
		assert(now->note == old->note && now->reserved == old->reserved);
	model_sync_part(m, SCRATCH_OFF, sizeof(*now));
	model_sync_part(m, offsetof(struct tcmu_abi_mailbox, cmd_tail), sizeof(mb->cmd_tail));
	model_sync_part(m, m->cmdr_off, m->size);
	model_unchanged(m);
	m->count = 0;
	m->overtaken = false;
	model_resync(m, NULL);
}

static void after_start(struct model *m)
{
	struct tcmu_ring *ring = &m->ring;

	assert(ring->state == TCMULIB_RING_RUNNING);
	assert(!ring->in_flight);
	if (m->struck) {
		after_strike(m);
		return;
	}
	if (expect_whole(m))
		expect_take_over(m);
	else
		expect_fresh(m);
	model_unchanged(m);
	assert(ring->tail == m->tail && ring->pos == m->pos);
	assert(tcmu_ring_replays(ring) == m->replaying);
	if (m->honest)
		model_collect(m, true);
}

int model_start(struct model *m)
{
	struct tcmu_ring *ring = &m->ring;
	uint16_t note;
	int ret;

	model_unchanged(m);
	memset(ring, 0xa5, sizeof(*ring)); /* need not be initialised */
	ret = tcmu_ring_attach(ring, m->map, m->map_len);
	model_unchanged(m);
	if (ret) {
		assert(!m->honest && ret == -EPROTO && ring->reason[0]);
		return ret;
	}
	m->size = ring->size;
	m->cmdr_off = ring->cmdr_off;
	m->data_off = ring->data_off;
	make_resumable(m);
	note = expect_marked(m) ? expect_scratch(m)->note : 0;
	m->struck = m->zeroed = false;
	m->starting = true;
	m->strike = m->planned_strike;
	m->planned_strike = 0;
	ret = tcmu_ring_start(ring);
	m->strike = 0;
	m->starting = false;
	if (ret) {
		assert(!m->honest && ret == -EPROTO && ring->state == TCMULIB_RING_PARKED);
		model_unchanged(m);
		return ret;
	}
	after_start(m);
	assert(tcmu_ring_note(ring) == note); /* the predecessor's */
	assert(!tcmu_ring_pending(ring) || model_mailbox(m)->cmd_head != ring->pos);
	m->kick = ring->kick;
	return 0;
}

#pragma clang attribute pop
