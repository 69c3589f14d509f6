/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/ring-model.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/ring-mem.h"

#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)

#define PAD0_OFF    offsetof(struct tcmu_abi_mailbox, pad0)
#define SCRATCH_OFF offsetof(struct tcmu_abi_mailbox, scratch)
#define TAIL_OFF    offsetof(struct tcmu_abi_mailbox, cmd_tail)

struct tcmu_abi_mailbox *model_mailbox(const struct model *m)
{
	return (void *)m->map;
}

/* As it was before the call. */
static const struct tcmu_abi_mailbox *old_mailbox(const struct model *m)
{
	return (const void *)m->shadow;
}

void model_sync(struct model *m)
{
	memcpy(m->shadow, m->map, m->map_len);
}

void model_sync_part(struct model *m, size_t off, size_t len)
{
	memcpy(m->shadow + off, m->map + off, len);
}

/* ---- what may be written without being foreseen ----------------------------------------------- */

static void allow(struct model *m, size_t off, size_t len)
{
	model_sync_part(m, off, len);
}

static void allow_zeros(struct model *m, size_t off, size_t len)
{
	for (size_t i = off; i < off + len; i++) {
		assert(m->map[i] == m->shadow[i] || !m->map[i]);
		m->shadow[i] = m->map[i];
	}
}

void model_unchanged(const struct model *m)
{
	assert(!memcmp(m->map, m->shadow, m->map_len));
}

static void allow_cookie(struct model *m)
{
	size_t off = m->cmdr_off + offsetof(struct tcmu_abi_entry, req.cookie);
	uint32_t now;

	memcpy(&now, m->map + off, sizeof(now));
	if (now == TCMU_RING_COOKIE)
		allow(m, off, sizeof(now));
}

/* The data-in buffers of a bidirectional command at off, up to the first that is none. */
static void allow_bidi(struct model *m, uint32_t off)
{
	const struct tcmu_abi_entry *ent = expect_entry(m, off);
	uint64_t first, count, base, len;

	if (m->size - off < sizeof(*ent) || ring_entry_op(ent->hdr.len_op) != TCMU_ABI_OP_CMD)
		return;
	first = ent->req.iov_cnt;
	count = ent->req.iov_bidi_cnt;
	if (48 + (first + count) * sizeof(struct iovec) > m->size - off)
		return;
	for (uint64_t i = first; i < first + count; i++) {
		base = (uintptr_t)ent->req.iov[i].iov_base;
		len = ent->req.iov[i].iov_len;
		if (base < m->data_off || base > m->map_len || len > m->map_len - base)
			return;
		allow_zeros(m, base, len);
	}
}

/* ---- calls ------------------------------------------------------------------------------------ */

void model_before(struct model *m)
{
	model_unchanged(m);
	m->struck = m->overtaken;
	m->zeroed = false;
	m->moves_count = 0;
	m->death->in_next = false;
	m->state = m->ring.state;
	m->was_reset = m->state == TCMULIB_RING_DRAINING ||
		       (m->state == TCMULIB_RING_RUNNING && ring_was_reset(&m->ring));
	m->strike = m->planned_strike;
	m->planned_strike = 0;
}

static bool served(const struct model *m)
{
	return m->state == TCMULIB_RING_RUNNING || m->state == TCMULIB_RING_DRAINING;
}

/* What holds after every call. */
static void check_state(struct model *m)
{
	enum tcmulib_ring_state now = m->ring.state;

	if (!served(m))
		assert(now == m->state); /* and nothing was written: below */
	assert(now != TCMULIB_RING_DRAINING || m->was_reset || m->struck);
	if (now == TCMULIB_RING_PARKED) {
		if (m->honest)
			fprintf(stderr, "parked for nothing: %s\n", m->ring.reason);
		assert(!m->honest);
		assert(m->ring.reason[0]);
	}
	if (now == TCMULIB_RING_PARKED && m->state != now) {
		assert(ring_scratch(&m->ring)->state == TCMU_RING_MARK_PARKED);
		if (!m->struck)
			expect_mark(m, TCMU_RING_MARK_PARKED);
	}
}

/* The memory is what the model made of the shadow, and both have come equally far. */
static void check_memory(struct model *m)
{
	const struct tcmu_ring *ring = &m->ring;

	check_state(m);
	model_unchanged(m);
	if (ring->state != TCMULIB_RING_RUNNING)
		return;
	assert(ring->tail == m->tail && ring->pos == m->pos && ring->lens_count == m->count);
	assert(ring->tail == model_mailbox(m)->cmd_tail || ring_was_reset(ring));
	assert(tcmu_ring_replays(ring) == m->replaying);
	if (!m->honest)
		return;
	assert(ring_scratch(ring)->state == TCMU_RING_MARK_SERVING);
	assert(ring_scratch(ring)->stage == RING_STAGE_IDLE);
	model_collect(m, false);
}

/* Whose requests stand in the slots, as the contexts say. */
static void resync_ids(struct model *m, const uint16_t *ids, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct tcmu_ring_cmd *cmd = &m->ring.cmds[ids[i]];

		for (uint32_t k = 0; cmd->live && k < m->count; k++) {
			if (model_slot_at(m, k)->off == cmd->slot)
				model_slot_at(m, k)->id = ids[i];
		}
	}
}

void model_resync(struct model *m, const struct tcmulib_cmd *cmd)
{
	static uint16_t ids[MODEL_SLOTS + 1];
	const struct tcmu_ring *ring = &m->ring;
	uint32_t count = 0;

	for (uint32_t i = 0; i < m->count; i++)
		ids[count++] = model_slot_at(m, i)->id;
	if (cmd)
		ids[count++] = cmd->cmd_id;
	m->kick = ring->kick;
	m->tail = ring->tail;
	m->pos = ring->pos;
	m->replaying = ring->replaying;
	m->replay_end = ring->replay_end;
	m->first = 0;
	m->count = ring->lens_count;
	for (uint32_t i = 0, off = ring->tail; i < m->count; i++) {
		uint32_t len_op = ring->lens[(ring->lens_first + i) & ring->lens_mask];

		*model_slot_at(m, i) = (struct model_slot) { off, ring_entry_len(len_op),
							     ring_entry_op(len_op), 0 };
		off = (off + ring_entry_len(len_op)) % m->size;
		assert(i + 1 < m->count || off == m->pos);
	}
	resync_ids(m, ids, count);
}

/* What is the program's, or nobody's yet, stays as it is, unless all of it was somebody else's. */
static void allow_scratch(struct model *m)
{
	const struct tcmu_ring_scratch *old = expect_scratch(m), *now = ring_scratch(&m->ring);

	if (expect_marked(m)) {
		assert(now->magic == old->magic && now->version == old->version);
		assert(now->note == old->note && now->reserved == old->reserved);
		assert(!memcmp(now->unused, old->unused, sizeof(now->unused)));
	}
	allow(m, SCRATCH_OFF, sizeof(*now));
	allow(m, PAD0_OFF, sizeof(old_mailbox(m)->pad0));
}

/*
 * Something in the middle of a call. The library cannot help writing where it was about to, so the ring may
 * hold half an answer now; but nothing else of the memory has changed, and its own view is coherent.
 */
static void after_strike(struct model *m, const struct tcmulib_cmd *cmd)
{
	struct tcmu_abi_mailbox *mb = model_mailbox(m);

	m->honest = false;
	check_state(m);
	/* Where the kernel set it, unless it was there. */
	if (m->zeroed && !m->was_reset)
		assert(!mb->cmd_tail);
	if (mb->cmd_tail != old_mailbox(m)->cmd_tail)
		assert(mb->cmd_tail < m->size && mb->cmd_tail % TCMU_ABI_OP_ALIGN == 0);
	if (served(m))
		allow_scratch(m);
	allow(m, TAIL_OFF, sizeof(mb->cmd_tail));
	allow(m, m->cmdr_off, m->size);
	allow_zeros(m, m->data_off, m->map_len - m->data_off);
	model_unchanged(m);
	model_resync(m, cmd);
}

static void check_command(struct model *m, const struct tcmulib_cmd *cmd)
{
	const struct model_slot *slot = model_slot_at(m, m->count - 1);
	const struct tcmu_abi_entry *ent = expect_entry(m, slot->off);
	uint64_t data_len = 0;

	assert(m->count && slot->op == TCMU_ABI_OP_CMD);
	assert(cmd->cmd_id && cmd->cmd_id == ent->hdr.cmd_id);
	assert(tcmu_ring_by_id(&m->ring, cmd->cmd_id) == cmd);
	assert(cmd->mark == ent->req.mark);
	assert(cmd->iov_cnt == ent->req.iov_cnt);
	for (size_t i = 0; i < cmd->iov_cnt; i++) {
		uint64_t off = (uintptr_t)ent->req.iov[i].iov_base;

		assert(off >= m->data_off && off <= m->map_len);
		assert(cmd->iovec[i].iov_base == m->map + off);
		assert(cmd->iovec[i].iov_len == ent->req.iov[i].iov_len);
		assert(cmd->iovec[i].iov_len <= m->map_len - off);
		data_len += cmd->iovec[i].iov_len;
	}
	assert(((const struct tcmu_ring_cmd *)cmd)->data_len == data_len);
	assert(ent->req.cdb_off >= (uint64_t)m->cmdr_off + slot->off + 48);
	assert(ent->req.cdb_off < (uint64_t)m->cmdr_off + slot->off + slot->len);
	assert(!memcmp(cmd->cdb, m->shadow + ent->req.cdb_off, 6));
	assert(!cmd->read_len && !cmd->keep_buf && !cmd->sense_buf[0]);
	if (m->honest)
		model_check_given(m, cmd);
}

/* The entries up to the library's pos, and what was passed at the tail. */
static void consume(struct model *m, const struct tcmulib_cmd *cmd)
{
	bool again = m->replaying;

	allow_cookie(m);
	while (m->pos != m->ring.pos) {
		again = m->replaying;
		if (expect_consume(m))
			continue;
		assert(m->ring.state == TCMULIB_RING_PARKED && m->pos == m->ring.pos && !cmd);
		return;
	}
	if (m->overtaken)
		return;
	if (cmd) {
		assert(cmd->again == again);
		check_command(m, cmd);
	}
	allow_bidi(m, cmd ? model_slot_at(m, m->count - 1)->off : m->ring.pos);
	if (model_mailbox(m)->cmd_tail != m->tail)
		assert(expect_pass(m) && !cmd);
}

void model_consumed(struct model *m, const struct tcmulib_cmd *cmd)
{
	m->strike = 0;
	assert(!cmd || m->ring.state == TCMULIB_RING_RUNNING);
	if (m->death->happens)
		m->death->in_next = true;
	if (!m->struck && served(m) && !(m->was_reset && m->ring.in_flight - !!cmd)) {
		if (!m->was_reset || expect_restart(m))
			consume(m, cmd);
		m->struck = m->overtaken;
	}
	if (m->struck) {
		after_strike(m, cmd);
		return;
	}
	check_memory(m);
}

/* ---- answers ---------------------------------------------------------------------------------- */

static struct model_answer make_answer(const struct model *m, const struct tcmulib_cmd *cmd,
				       uint8_t status)
{
	const struct tcmu_ring_cmd *context = (const void *)cmd;
	struct model_answer a = { .id = cmd->cmd_id, .status = status };

	memcpy(a.sense, cmd->sense_buf, sizeof(a.sense));
	if (cmd->read_len && cmd->read_len < context->data_len &&
	    (m->ring.features & TCMU_RING_READ_LEN)) {
		a.uflags |= TCMU_ABI_UFLAG_READ_LEN;
		a.read_len = cmd->read_len;
	}
	if (cmd->keep_buf && (m->ring.features & TCMU_RING_KEEP_BUF))
		a.uflags |= TCMU_ABI_UFLAG_KEEP_BUF;
	return a;
}

/* A call that does not consume, in a ring that was reset before it. */
static void after_reset(struct model *m)
{
	if (!m->ring.in_flight && !expect_restart(m))
		assert(m->ring.state == TCMULIB_RING_PARKED);
}

void model_complete(struct model *m, struct tcmulib_cmd *cmd, uint8_t status)
{
	bool kept = cmd->keep_buf && m->ring.features & TCMU_RING_KEEP_BUF;
	uint32_t in_flight = m->ring.in_flight;

	model_before(m);
	m->answer = make_answer(m, cmd, status);
	tcmu_ring_complete(&m->ring, cmd, status);
	m->strike = 0;
	assert(m->ring.in_flight == in_flight - !kept);
	assert(!tcmu_ring_by_id(&m->ring, m->answer.id));
	if (m->struck) {
		after_strike(m, NULL);
		return;
	}
	if (m->was_reset)
		after_reset(m);
	else if (m->state == TCMULIB_RING_RUNNING && !expect_answer(m, &m->answer))
		assert(m->ring.state == TCMULIB_RING_PARKED);
	check_memory(m);
	if (m->ring.state == TCMULIB_RING_RUNNING && !m->was_reset) {
		/* Nothing that needs no answer is left in front of the next command. */
		assert(!m->count || model_slot_at(m, 0)->op == TCMU_ABI_OP_CMD);
		assert(m->ring.in_flight || m->tail == m->pos);
		if (m->honest)
			assert(m->ids[m->answer.id] != ID_LIVE);
	}
}

void model_free_kept(struct model *m, uint16_t id)
{
	uint32_t in_flight = m->ring.in_flight;
	int ret;

	model_before(m);
	ret = tcmu_ring_free_kept(&m->ring, id);
	assert(ret == 0 || ret == 1);
	assert(m->ring.in_flight == in_flight - 1);
	assert(tcmu_ring_free_kept(&m->ring, id) == -EINVAL);
	m->strike = 0;
	if (m->struck) {
		after_strike(m, NULL);
		return;
	}
	assert(!ret || (m->state == TCMULIB_RING_RUNNING && !m->was_reset));
	/* Otherwise a reset that could not be seen has dropped it. */
	if (ret && m->honest && m->ids[id] == ID_KEPT)
		m->ids[id] = ID_FREE;
	if (m->was_reset)
		after_reset(m);
	check_memory(m);
}

void model_set_mark(struct model *m, struct tcmulib_cmd *cmd, uint32_t mark)
{
	const struct tcmu_ring_cmd *context = (const void *)cmd;
	bool effect;

	model_before(m);
	effect = m->state == TCMULIB_RING_RUNNING && !m->was_reset;
	tcmu_ring_set_mark(&m->ring, cmd, mark);
	m->strike = 0;
	if (m->struck) {
		after_strike(m, NULL);
		return;
	}
	if (effect)
		expect_entry(m, context->slot)->req.mark = mark;
	if (effect && m->honest)
		model_marked(m, cmd->cmd_id, context->slot, mark);
	check_memory(m);
}

int model_stop(struct model *m)
{
	int ret;

	model_before(m);
	ret = tcmu_ring_stop(&m->ring);
	m->strike = 0;
	if (m->struck) {
		after_strike(m, NULL);
		return ret;
	}
	if (ret) {
		assert(ret == -EBUSY && m->ring.in_flight && m->ring.state == m->state);
		model_unchanged(m);
		return ret;
	}
	if (served(m)) {
		if (!m->was_reset || expect_restart(m))
			expect_pass(m);
		/* The one call after which this is right. */
		if (m->ring.state == TCMULIB_RING_CLOSED) {
			m->state = TCMULIB_RING_CLOSED;
			if (!m->replaying)
				expect_mark(m, TCMU_RING_MARK_CLEAN);
			assert(tcmu_ring_resumable(&m->ring) || !m->honest || m->stale);
			if (m->honest)
				model_collect(m, false);
		}
	}
	check_state(m);
	assert(m->ring.state != TCMULIB_RING_RUNNING && m->ring.state != TCMULIB_RING_DRAINING);
	model_unchanged(m);
	return 0;
}

#pragma clang attribute pop
