/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/ring-model.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/ring-mem.h"

/* What the fuzzer is to find is in the library: it need not learn its way through here. */
#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)

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

static const struct tcmu_abi_entry *old_entry(const struct model *m, uint32_t off)
{
	return (const void *)(m->shadow + m->cmdr_off + off);
}

void model_sync(struct model *m)
{
	memcpy(m->shadow, m->map, m->map_len);
}

void model_sync_part(struct model *m, size_t off, size_t len)
{
	memcpy(m->shadow + off, m->map + off, len);
}

/* ---- what may be written ---------------------------------------------------------------------- */

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

void model_allow_scratch(struct model *m)
{
	const struct tcmu_ring_scratch *old = (const void *)old_mailbox(m)->scratch;
	const struct tcmu_ring_scratch *now = (const void *)model_mailbox(m)->scratch;

	if (old->magic == TCMU_RING_SCRATCH_MAGIC) {
		assert(now->magic == old->magic && now->note == old->note);
		assert(!memcmp(now->reserved, old->reserved, sizeof(now->reserved)));
	}
	allow(m, SCRATCH_OFF, sizeof(*now));
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
	const struct tcmu_abi_entry *ent = old_entry(m, off);
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

/* ---- slots ------------------------------------------------------------------------------------ */

/* The ith from the tail. */
static struct model_slot *slot_at(struct model *m, uint32_t i)
{
	return &m->slots[(m->first + i) % MODEL_SLOTS];
}

static uint32_t distance(const struct model *m, uint32_t from, uint32_t to)
{
	return to >= from ? to - from : m->size - from + to;
}

/* The entry at pos has been consumed: it must be a whole one, in front of the head. */
static void push_slot(struct model *m)
{
	uint32_t len_op = old_entry(m, m->pos)->hdr.len_op, len = ring_entry_len(len_op);
	uint32_t op = ring_entry_op(len_op);

	assert(len >= TCMU_ABI_OP_ALIGN && len <= m->size - m->pos);
	assert(len <= distance(m, m->pos, old_mailbox(m)->cmd_head));
	assert(m->count < MODEL_SLOTS);
	*slot_at(m, m->count++) = (struct model_slot) { m->pos, len, op };
	if (op > TCMU_ABI_OP_TMR) {
		size_t off = m->cmdr_off + m->pos + offsetof(struct tcmu_abi_hdr, uflags);

		assert(m->map[off] & TCMU_ABI_UFLAG_UNKNOWN_OP);
		allow(m, off, 1);
	}
	m->pos = (m->pos + len) % m->size;
}

/* The tail has gone over whole slots, with no answers but the one that was given. */
static void check_tail(struct model *m, unsigned int answers)
{
	uint32_t tail = model_mailbox(m)->cmd_tail;

	assert(tail < m->size);
	if (tail != m->tail)
		m->kick = true;
	while (m->tail != tail) {
		assert(m->count);
		assert(slot_at(m, 0)->off == m->tail);
		/* The kernel walks by what stands there now. */
		assert(ring_hdr(&m->ring, m->tail)->len_op ==
		       (slot_at(m, 0)->len | slot_at(m, 0)->op));
		if (slot_at(m, 0)->op == TCMU_ABI_OP_CMD)
			assert(answers--);
		m->tail = (m->tail + slot_at(m, 0)->len) % m->size;
		m->first++;
		m->count--;
	}
	assert(!answers);
	assert(m->ring.tail == tail);
	allow(m, TAIL_OFF, sizeof(tail));
}

/* ---- calls ------------------------------------------------------------------------------------ */

void model_before(struct model *m)
{
	model_unchanged(m);
	m->struck = false;
	m->zeroed = false;
	m->state = m->ring.state;
	m->was_reset = m->state == TCMULIB_RING_DRAINING ||
		       (m->state == TCMULIB_RING_RUNNING && ring_was_reset(&m->ring));
	m->strike = m->planned_strike;
	m->planned_strike = 0;
}

void model_restart(struct model *m)
{
	m->tail = m->pos = old_mailbox(m)->cmd_tail;
	m->first = m->count = 0;
}

/* What holds after every call. */
static void check_state(struct model *m)
{
	enum tcmulib_ring_state now = m->ring.state;

	if (m->state != TCMULIB_RING_RUNNING && m->state != TCMULIB_RING_DRAINING)
		assert(now == m->state); /* and nothing was written: below */
	assert(now != TCMULIB_RING_DRAINING || m->was_reset || m->struck);
	if (now == TCMULIB_RING_PARKED) {
		if (m->honest)
			fprintf(stderr, "parked for nothing: %s\n", m->ring.reason);
		assert(!m->honest);
		assert(m->ring.reason[0]);
	}
	if (now == TCMULIB_RING_PARKED && m->state != now)
		assert(ring_scratch(&m->ring)->state == TCMU_RING_MARK_PARKED);
	if (m->state == TCMULIB_RING_RUNNING || m->state == TCMULIB_RING_DRAINING)
		model_allow_scratch(m);
	if (m->honest && now == TCMULIB_RING_RUNNING) {
		assert(ring_scratch(&m->ring)->state == TCMU_RING_MARK_SERVING);
		assert(ring_scratch(&m->ring)->pos == m->ring.pos);
	}
}

/*
 * Something in the middle of a call. The library cannot help writing where it was about to, so the ring may
 * hold half an answer now; but nothing else of the memory has changed, and its own view is coherent.
 */
static void after_strike(struct model *m)
{
	struct tcmu_abi_mailbox *mb = model_mailbox(m);
	const struct tcmu_ring *ring = &m->ring;

	m->honest = false;
	check_state(m);
	/* Where the kernel set it, unless it was there and a reset could not be told by it. */
	if (m->zeroed && m->tail && !m->was_reset)
		assert(!mb->cmd_tail);
	if (mb->cmd_tail != old_mailbox(m)->cmd_tail)
		assert(mb->cmd_tail < m->size && mb->cmd_tail % TCMU_ABI_OP_ALIGN == 0);
	allow(m, TAIL_OFF, sizeof(mb->cmd_tail));
	allow(m, m->cmdr_off, m->size);
	allow_zeros(m, m->data_off, m->map_len - m->data_off);
	model_unchanged(m);
	m->kick = ring->kick;
	m->tail = ring->tail;
	m->pos = ring->pos;
	m->first = 0;
	m->count = ring->lens_count;
	for (uint32_t i = 0, off = ring->tail; i < m->count; i++) {
		uint32_t len_op = ring->lens[(ring->lens_first + i) & ring->lens_mask];

		*slot_at(m, i) = (struct model_slot) { off, ring_entry_len(len_op),
						       ring_entry_op(len_op) };
		off = (off + ring_entry_len(len_op)) % m->size;
		assert(i + 1 < m->count || off == m->pos);
	}
}

static bool serves(enum tcmulib_ring_state state)
{
	return state == TCMULIB_RING_RUNNING || state == TCMULIB_RING_PARKED;
}

/* Entries of a ring that was reset and parked in one call: how far it came is not known. */
static void allow_unknown_ops(struct model *m, uint32_t pos)
{
	const struct tcmu_abi_mailbox *mb = old_mailbox(m);

	if (!tcmu_ring_ends_sane(&m->ring) || pos >= m->size || pos % TCMU_ABI_OP_ALIGN)
		return;
	while (pos != mb->cmd_head) {
		uint32_t len_op = old_entry(m, pos)->hdr.len_op, len = ring_entry_len(len_op);

		if (len < TCMU_ABI_OP_ALIGN || len > distance(m, pos, mb->cmd_head))
			return;
		if (ring_entry_op(len_op) > TCMU_ABI_OP_TMR)
			allow(m, m->cmdr_off + pos + offsetof(struct tcmu_abi_hdr, uflags), 1);
		pos = (pos + len) % m->size;
	}
}

static void check_command(struct model *m, const struct tcmulib_cmd *cmd)
{
	const struct model_slot *slot = slot_at(m, m->count - 1);
	const struct tcmu_abi_entry *ent = old_entry(m, slot->off);
	uint64_t data_len = 0;

	assert(m->count && slot->op == TCMU_ABI_OP_CMD);
	assert(cmd->cmd_id && cmd->cmd_id == ent->hdr.cmd_id);
	assert(tcmu_ring_by_id(&m->ring, cmd->cmd_id) == cmd);
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
}

void model_consumed(struct model *m, const struct tcmulib_cmd *cmd)
{
	m->strike = 0;
	if (m->struck) {
		after_strike(m);
		return;
	}
	check_state(m);
	if (m->state == TCMULIB_RING_RUNNING || m->state == TCMULIB_RING_DRAINING) {
		bool parked = m->ring.state == TCMULIB_RING_PARKED;

		allow_cookie(m);
		if (m->was_reset && parked) {
			allow_unknown_ops(m, old_mailbox(m)->cmd_tail);
		} else if (serves(m->ring.state)) {
			if (m->was_reset)
				model_restart(m);
			while (m->pos != m->ring.pos)
				push_slot(m);
		}
		if (cmd)
			check_command(m, cmd);
		if (m->ring.state != TCMULIB_RING_DRAINING)
			allow_bidi(m, cmd ? slot_at(m, m->count - 1)->off : m->ring.pos);
		if (m->ring.state == TCMULIB_RING_RUNNING)
			check_tail(m, 0);
	}
	assert(!cmd || m->ring.state == TCMULIB_RING_RUNNING);
	model_unchanged(m);
}

/* The slot that the answer has to be in: the first command's. */
static void check_answer(struct model *m, const struct model_answer *a)
{
	const struct tcmu_abi_entry *ent;
	size_t off;

	for (uint32_t i = 0; i < m->count; i++) {
		const struct model_slot *slot = slot_at(m, i);

		if (slot->op != TCMU_ABI_OP_CMD)
			continue;
		off = m->cmdr_off + slot->off;
		ent = (const void *)(m->map + off);
		if (m->ring.state == TCMULIB_RING_RUNNING) {
			assert(ent->hdr.cmd_id == a->id);
			assert(ent->hdr.uflags == a->uflags);
			assert(ent->rsp.scsi_status == a->status);
			assert(ent->rsp.read_len == a->read_len);
			assert(a->status != 2 ||
			       !memcmp(ent->rsp.sense, a->sense, sizeof(a->sense)));
		}
		/* Behind the length, which must stay; sense data only where the status has it. */
		allow(m, off + 4, 12 + (a->status == 2 ? sizeof(a->sense) : 0));
		return;
	}
	assert(m->ring.state == TCMULIB_RING_PARKED);
}

static struct model_answer expect_answer(const struct model *m, const struct tcmulib_cmd *cmd,
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

/* Honest or not, the kernel gets one answer to each command. */
static void kernel_takes_answer(struct model *m, const struct model_answer *a)
{
	if (!m->honest)
		return;
	assert(a->id < MODEL_IDS && m->ids[a->id] == ID_LIVE);
	m->ids[a->id] = a->uflags & TCMU_ABI_UFLAG_KEEP_BUF ? ID_KEPT : ID_FREE;
}

void model_complete(struct model *m, struct tcmulib_cmd *cmd, uint8_t status)
{
	struct model_answer a = expect_answer(m, cmd, status);
	bool kept = cmd->keep_buf && m->ring.features & TCMU_RING_KEEP_BUF;
	uint32_t in_flight = m->ring.in_flight;

	model_before(m);
	tcmu_ring_complete(&m->ring, cmd, status);
	assert(m->ring.in_flight == in_flight - !kept);
	m->strike = 0;
	assert(!tcmu_ring_by_id(&m->ring, a.id));
	if (m->struck) {
		after_strike(m);
		return;
	}
	check_state(m);
	if (m->state == TCMULIB_RING_RUNNING && !m->was_reset) {
		assert(serves(m->ring.state));
		check_answer(m, &a);
		if (m->ring.state == TCMULIB_RING_RUNNING) {
			check_tail(m, 1);
			kernel_takes_answer(m, &a);
			/* Nothing that needs no answer is left in front of the next command. */
			assert(!m->count || slot_at(m, 0)->op == TCMU_ABI_OP_CMD);
			assert(m->ring.in_flight || m->tail == m->pos);
		}
	} else if (m->ring.state == TCMULIB_RING_RUNNING) {
		assert(m->was_reset && !m->ring.in_flight);
		model_restart(m);
	}
	model_unchanged(m);
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
		after_strike(m);
		return;
	}
	check_state(m);
	assert(!ret || (m->state == TCMULIB_RING_RUNNING && !m->was_reset));
	/* Otherwise a reset that could not be seen has dropped it. */
	if (ret && m->honest && m->ids[id] == ID_KEPT)
		m->ids[id] = ID_FREE;
	if (m->ring.state == TCMULIB_RING_RUNNING &&
	    (m->was_reset || m->state == TCMULIB_RING_DRAINING))
		model_restart(m);
	model_unchanged(m);
}

int model_stop(struct model *m)
{
	int ret;

	model_before(m);
	ret = tcmu_ring_stop(&m->ring);
	m->strike = 0;
	if (m->struck) {
		after_strike(m);
		return ret;
	}
	if (ret) {
		assert(ret == -EBUSY && m->ring.in_flight && m->ring.state == m->state);
		model_unchanged(m);
		return ret;
	}
	/* The one call after which this is right. */
	if (m->ring.state != m->state && m->ring.state == TCMULIB_RING_CLOSED) {
		m->state = TCMULIB_RING_CLOSED;
		model_allow_scratch(m);
		if (m->was_reset)
			model_restart(m);
		check_tail(m, 0);
		assert(tcmu_ring_resumable(&m->ring) || !m->honest);
	}
	check_state(m);
	assert(m->ring.state != TCMULIB_RING_RUNNING && m->ring.state != TCMULIB_RING_DRAINING);
	model_unchanged(m);
	return 0;
}

#pragma clang attribute pop
