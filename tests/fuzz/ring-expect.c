/* SPDX-License-Identifier: Apache-2.0 */
/* What the library's calls have to do to the shared memory, done to the shadow: a second reading of
 * lib/ring.h. */
#include <assert.h>
#include <string.h>

#include "lib/ring-mem.h"
#include "tests/fuzz/ring-model.h"

/* What the fuzzer is to find is in the library: it need not learn its way through here. */
#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)

static struct tcmu_abi_mailbox *mailbox(const struct model *m)
{
	return (void *)m->shadow;
}

struct tcmu_ring_scratch *expect_scratch(const struct model *m)
{
	return (void *)mailbox(m)->scratch;
}

struct tcmu_abi_entry *expect_entry(const struct model *m, uint32_t off)
{
	return (void *)(m->shadow + m->cmdr_off + off);
}

struct model_slot *model_slot_at(struct model *m, uint32_t i)
{
	return &m->slots[(m->first + i) % MODEL_SLOTS];
}

uint32_t model_distance(const struct model *m, uint32_t from, uint32_t to)
{
	return to >= from ? to - from : m->size - from + to;
}

/* ---- marks ------------------------------------------------------------------------------------ */

bool expect_marked(const struct model *m)
{
	const struct tcmu_ring_scratch *s = expect_scratch(m);

	return s->magic == TCMU_RING_SCRATCH_MAGIC && s->version == 2;
}

static void own(struct model *m)
{
	struct tcmu_ring_scratch *s = expect_scratch(m);

	if (!expect_marked(m))
		*s = (struct tcmu_ring_scratch) { .magic = TCMU_RING_SCRATCH_MAGIC, .version = 2 };
}

void expect_mark(struct model *m, enum tcmu_ring_mark mark)
{
	own(m);
	expect_scratch(m)->state = (uint16_t)mark;
}

static void serve(struct model *m)
{
	struct tcmu_ring_scratch *s = expect_scratch(m);

	m->tail = m->pos = mailbox(m)->cmd_tail;
	m->first = m->count = 0;
	m->overtaken = false;
	s->stage = RING_STAGE_IDLE;
	s->tails.from = s->tails.next = m->tail;
	s->state = TCMU_RING_MARK_SERVING;
}

void expect_fresh(struct model *m)
{
	own(m);
	serve(m);
	expect_scratch(m)->pos = m->pos;
	m->replaying = false;
	m->stale = m->loose = false;
}

static bool sane(const struct model *m, uint32_t off)
{
	return off < m->size && off % 8 == 0;
}

bool expect_restart(struct model *m)
{
	const struct tcmu_abi_mailbox *mb = mailbox(m);

	if ((mb->cmd_tail && mb->cmd_tail != mb->cmd_head) || !sane(m, mb->cmd_tail) ||
	    !sane(m, mb->cmd_head) || mb->version != 2 || mb->cmdr_off != m->cmdr_off ||
	    mb->cmdr_size != m->size || !(mb->flags & TCMU_ABI_CAP_OOO))
		return false;
	expect_fresh(m);
	return true;
}

/* ---- answers ---------------------------------------------------------------------------------- */

/* The kernel walks by what stands there now. */
static bool intact(struct model *m)
{
	const struct model_slot *slot = model_slot_at(m, 0);

	return expect_entry(m, m->tail)->hdr.len_op == (slot->len | slot->op) &&
	       slot->len <= model_distance(m, m->tail, m->pos);
}

static void drop_slot(struct model *m)
{
	assert(m->count && model_slot_at(m, 0)->off == m->tail);
	m->tail = (m->tail + model_slot_at(m, 0)->len) % m->size;
	m->first++;
	m->count--;
}

static bool other_at_tail(struct model *m)
{
	return m->count && model_slot_at(m, 0)->op != TCMU_ABI_OP_CMD;
}

bool expect_pass(struct model *m)
{
	uint32_t from = m->tail;

	if (!other_at_tail(m))
		return true;
	while (other_at_tail(m)) {
		if (!intact(m))
			return false;
		drop_slot(m);
	}
	expect_scratch(m)->tails = (struct tcmu_ring_tails) { from, m->tail };
	mailbox(m)->cmd_tail = m->tail;
	m->kick = true;
	return true;
}

static uint64_t cdb_length(const uint8_t *cdb, uint64_t avail)
{
	static const uint8_t lens[8] = { 6, 10, 10, 12, 16, 12, 10, 10 };
	uint64_t len = lens[cdb[0] >> 5];

	if (cdb[0] == 0x7f && avail < 8)
		return 0;
	if (cdb[0] == 0x7f)
		len = 8u + cdb[7] > 260 ? 260 : 8u + cdb[7];
	return len > avail ? 0 : len;
}

/* All but len_op, flags and cookie. False: it does not fit, or is none. */
static bool copy_request(struct model *m, uint32_t from, uint32_t from_len, uint32_t into,
			 uint32_t into_len)
{
	const struct tcmu_abi_entry *a = expect_entry(m, from);
	struct tcmu_abi_entry *b = expect_entry(m, into);
	uint64_t cnt = (uint64_t)a->req.iov_cnt + a->req.iov_bidi_cnt;
	uint64_t start = (uint64_t)m->cmdr_off + from, end = 48 + 16 * cnt, len = 0;

	if (a->req.cdb_off >= start + end && a->req.cdb_off < start + from_len)
		len = cdb_length(m->shadow + a->req.cdb_off, start + from_len - a->req.cdb_off);
	b->hdr.cmd_id = a->hdr.cmd_id;
	b->req.mark = a->req.mark;
	if (!len || end + len > into_len) {
		b->req.iov_cnt = 0;
		b->req.iov_bidi_cnt = 0;
		b->req.cdb_off = 0;
		return false;
	}
	b->req.iov_cnt = a->req.iov_cnt;
	b->req.iov_bidi_cnt = a->req.iov_bidi_cnt;
	memcpy(b->req.iov, a->req.iov, 16 * cnt);
	memcpy(m->shadow + m->cmdr_off + into + end, m->shadow + a->req.cdb_off, len);
	b->req.cdb_off = m->cmdr_off + into + end;
	return true;
}

static struct model_slot *slot_of(struct model *m, uint16_t id)
{
	for (uint32_t i = 0; i < m->count; i++) {
		struct model_slot *slot = model_slot_at(m, i);

		if (slot->op == TCMU_ABI_OP_CMD && slot->id == id)
			return slot;
	}
	return NULL;
}

/* What stands at the tail goes into the slot of the command that is answered. */
static bool move(struct model *m, struct model_slot *own_slot)
{
	struct model_slot *slot = model_slot_at(m, 0);
	uint32_t len_op = expect_entry(m, own_slot->off)->hdr.len_op, len = len_op & ~7u;
	uint16_t answered = own_slot->id;
	bool fits;

	if (expect_entry(m, m->tail)->hdr.cmd_id != slot->id)
		return false;
	if ((len_op & 7) != TCMU_ABI_OP_CMD || len < sizeof(struct tcmu_abi_entry) ||
	    len > m->size - own_slot->off || len > model_distance(m, own_slot->off, m->pos))
		return false;
	expect_scratch(m)->spare = own_slot->off;
	fits = copy_request(m, m->tail, slot->len, own_slot->off, len);
	own_slot->id = slot->id;
	if (m->honest) {
		struct model_request *r = &m->requests[slot->id];

		m->moves[m->moves_count++] = (struct model_move) { answered, slot->id, r->lost };
		r->lost |= 48 + 16 * (r->iov_cnt + r->bidi_cnt) + r->cdb_len > own_slot->len;
		assert(r->lost == !fits);
	}
	return true;
}

static void write_answer(struct model *m, uint32_t off, const struct tcmu_ring_answer *a,
			 const uint8_t *sense)
{
	struct tcmu_abi_entry *ent = expect_entry(m, off);

	ent->hdr.cmd_id = a->cmd_id;
	ent->hdr.uflags = a->uflags;
	memset((uint8_t *)ent + 8, 0, 8);
	ent->rsp.scsi_status = a->status;
	ent->rsp.read_len = a->read_len;
	if (a->status == 2)
		memcpy(ent->rsp.sense, sense, sizeof(ent->rsp.sense));
}

/* The sense data that the mailbox has room for. */
static void keep_sense(struct model *m, const uint8_t *sense)
{
	memcpy(expect_scratch(m)->sense, sense, 20);
	if (sense[7] > 12)
		memcpy(mailbox(m)->pad0, sense + 20, 48);
}

bool expect_answer(struct model *m, const struct model_answer *a)
{
	struct tcmu_ring_answer answer = { a->id, a->status, a->uflags, a->read_len };
	struct tcmu_ring_scratch *s = expect_scratch(m);
	struct model_slot *own_slot = slot_of(m, a->id);

	assert(own_slot);
	if (!expect_pass(m) || !intact(m))
		return false;
	s->tails.from = m->tail;
	s->tails.next = (m->tail + model_slot_at(m, 0)->len) % m->size;
	s->answer = answer;
	if (a->status == 2)
		keep_sense(m, a->sense);
	if (own_slot->off != m->tail && !move(m, own_slot))
		return false;
	write_answer(m, m->tail, &answer, a->sense);
	drop_slot(m);
	mailbox(m)->cmd_tail = m->tail;
	m->kick = true;
	s->stage = RING_STAGE_IDLE;
	return expect_pass(m);
}

/* ---- consuming -------------------------------------------------------------------------------- */

static struct model_answer lost_answer(const struct tcmu_abi_entry *ent)
{
	struct model_answer a = { .id = ent->hdr.cmd_id, .status = ent->req.mark ? 2 : 8 };

	a.sense[0] = 0x70;
	a.sense[2] = 0x0b;
	a.sense[7] = 10;
	a.sense[12] = 0x44;
	return a;
}

bool expect_consume(struct model *m)
{
	struct tcmu_abi_entry *ent = expect_entry(m, m->pos);
	uint32_t len_op = ent->hdr.len_op, len = len_op & ~7u, op = len_op & 7, used = 0;
	struct model_answer a;
	bool lost = m->replaying && op == TCMU_ABI_OP_CMD && len >= sizeof(*ent) &&
		    !ent->req.cdb_off;

	/* A whole one, in front of the head. */
	assert(len >= TCMU_ABI_OP_ALIGN && len <= m->size - m->pos);
	assert(len <= model_distance(m, m->pos, mailbox(m)->cmd_head));
	assert(m->count < MODEL_SLOTS);
	for (uint32_t i = 0; i < m->count; i++)
		used += model_slot_at(m, i)->len;
	m->overtaken |= used + len > m->size;
	*model_slot_at(m, m->count++) = (struct model_slot) {
		m->pos, len, op, op == TCMU_ABI_OP_CMD ? ent->hdr.cmd_id : 0
	};
	if (op > TCMU_ABI_OP_TMR)
		ent->hdr.uflags |= TCMU_ABI_UFLAG_UNKNOWN_OP;
	m->pos = (m->pos + len) % m->size;
	m->replaying &= m->pos != m->replay_end;
	if (!m->replaying)
		expect_scratch(m)->pos = m->pos;
	if (!lost)
		return true;
	a = lost_answer(ent);
	if (m->honest)
		assert(m->ids[a.id] == ID_LIVE && m->requests[a.id].lost &&
		       !m->requests[a.id].mark == (a.status == 8));
	return m->overtaken || expect_answer(m, &a);
}

/* ---- after a death ---------------------------------------------------------------------------- */

/* Is off the place of an entry between tail and end (a command's), with no look at what comes behind? */
static bool is_entry(const struct model *m, uint32_t off, uint32_t end, bool command)
{
	uint32_t at = mailbox(m)->cmd_tail;

	while (at != end && at != off)
		at = (at + (expect_entry(m, at)->hdr.len_op & ~7u)) % m->size;
	return at == off && (!command || (at != end && (expect_entry(m, at)->hdr.len_op & 7) ==
							       TCMU_ABI_OP_CMD));
}

static bool leads_to_head(const struct model *m)
{
	uint32_t at = mailbox(m)->cmd_tail, head = mailbox(m)->cmd_head;

	while (at != head) {
		uint32_t len_op = expect_entry(m, at)->hdr.len_op, len = len_op & ~7u;

		if (len < 8 || len > model_distance(m, at, head) || len > m->size - at)
			return false;
		if ((len_op & 7) == TCMU_ABI_OP_CMD && len < sizeof(struct tcmu_abi_entry))
			return false;
		at = (at + len) % m->size;
	}
	return true;
}

bool expect_whole(const struct model *m)
{
	const struct tcmu_ring_scratch *s = expect_scratch(m);
	uint32_t tail = mailbox(m)->cmd_tail, head = mailbox(m)->cmd_head;

	if (!expect_marked(m) || s->state != TCMU_RING_MARK_SERVING || !sane(m, tail) ||
	    !sane(m, head) || !leads_to_head(m) || !is_entry(m, s->pos, head, false))
		return false;
	if (tail == s->tails.next)
		return true;
	if (tail != s->tails.from || s->stage == RING_STAGE_IDLE)
		return tail == s->tails.from;
	/* An answer is under way: into a command's slot in front of pos, and only over that. */
	if (!is_entry(m, tail, s->pos, true) ||
	    s->tails.next != (tail + (expect_entry(m, tail)->hdr.len_op & ~7u)) % m->size)
		return false;
	/* One that has come after a reset has no cookie, and no sense data. */
	if (!tail && !((const uint8_t *)expect_entry(m, 0))[16])
		return false;
	return s->stage != RING_STAGE_COPY ||
	       (s->spare != tail && is_entry(m, s->spare, s->pos, true));
}

bool expect_resumable(const struct model *m)
{
	const struct tcmu_ring_scratch *s = expect_scratch(m);
	uint32_t tail = mailbox(m)->cmd_tail, head = mailbox(m)->cmd_head;

	if (!sane(m, tail) || !sane(m, head))
		return false;
	if (expect_marked(m) &&
	    (s->state == TCMU_RING_MARK_RESETTING || s->state == TCMU_RING_MARK_PARKED))
		return false;
	if (tail == head)
		return true;
	if (expect_marked(m) && s->state == TCMU_RING_MARK_CLEAN)
		return s->tails.next == tail;
	return expect_whole(m);
}

static void carry_out(struct model *m)
{
	struct tcmu_ring_scratch *s = expect_scratch(m);
	uint8_t sense[TCMU_ABI_SENSE_SIZE] = { 0 };

	if (s->stage == RING_STAGE_COPY)
		copy_request(m, s->tails.from, expect_entry(m, s->tails.from)->hdr.len_op & ~7u,
			     s->spare, expect_entry(m, s->spare)->hdr.len_op & ~7u);
	memcpy(sense, s->sense, 20);
	if (sense[7] > 12)
		memcpy(sense + 20, mailbox(m)->pad0, 48);
	if (sense[7] > 60)
		sense[7] = 60;
	write_answer(m, s->tails.from, &s->answer, sense);
	mailbox(m)->cmd_tail = s->tails.next;
}

void expect_take_over(struct model *m)
{
	struct tcmu_ring_scratch *s = expect_scratch(m);

	if (s->stage != RING_STAGE_IDLE && mailbox(m)->cmd_tail != s->tails.next)
		carry_out(m);
	serve(m);
	m->replay_end = s->pos;
	m->replaying = s->pos != m->tail;
	m->stale &= m->replaying;
	m->loose = m->stale;
}

#pragma clang attribute pop
