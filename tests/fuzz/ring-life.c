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
	tcmu_ring_resumable(&m->ring);
	assert(tcmu_ring_trim(&m->ring) == (m->ring.in_flight ? -EBUSY : 0));
	model_unchanged(m);
}

void model_kernel_reset(struct model *m)
{
	struct tcmu_abi_mailbox *mb = model_mailbox(m);

	/* In this order: tcmu_reset_ring() */
	mb->cmd_tail = 0;
	mb->cmd_head = 0;
	memset(m->ids, 0, sizeof(m->ids));
	model_sync_part(m, offsetof(struct tcmu_abi_mailbox, cmd_tail), sizeof(mb->cmd_tail));
	model_sync_part(m, offsetof(struct tcmu_abi_mailbox, cmd_head), sizeof(mb->cmd_head));
	m->struck = m->zeroed = true;
}

static void check_resumable(const struct model *m)
{
	const struct tcmu_abi_mailbox *mb = model_mailbox(m);
	const struct tcmu_ring_scratch *scratch = ring_scratch(&m->ring);

	assert(tcmu_ring_ends_sane(&m->ring));
	assert(mb->cmd_head < m->size && mb->cmd_head % 8 == 0);
	assert(mb->cmd_tail < m->size && mb->cmd_tail % 8 == 0);
	if (mb->cmd_head != mb->cmd_tail)
		assert(scratch->state == TCMU_RING_MARK_CLEAN && scratch->pos == mb->cmd_tail);
}

int model_start(struct model *m)
{
	const struct tcmu_ring_scratch *scratch = (const void *)model_mailbox(m)->scratch;
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
	if (tcmu_ring_resumable(ring)) {
		check_resumable(m);
	} else {
		tcmu_ring_mark_resetting(ring);
		assert(!tcmu_ring_resumable(ring));
		model_kernel_reset(m);
	}
	model_sync_part(m, SCRATCH_OFF, sizeof(*scratch)); /* the mark */
	note = scratch->magic == TCMU_RING_SCRATCH_MAGIC ? scratch->note : 0;
	ret = tcmu_ring_start(ring);
	model_allow_scratch(m);
	model_unchanged(m);
	if (ret) {
		assert(!m->honest && ret == -EPROTO && ring->state == TCMULIB_RING_PARKED);
		return ret;
	}
	assert(ring->state == TCMULIB_RING_RUNNING);
	assert(tcmu_ring_note(ring) == note); /* the predecessor's */
	assert(!tcmu_ring_pending(ring) || model_mailbox(m)->cmd_head != ring->pos);
	model_restart(m);
	m->kick = false;
	return 0;
}

#pragma clang attribute pop
