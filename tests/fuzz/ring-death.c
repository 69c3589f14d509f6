/* SPDX-License-Identifier: Apache-2.0 */
/* The model of deaths: what an honest kernel has put on the ring comes again, until it has its answer. */
#include <assert.h>
#include <string.h>

#include "lib/ring-mem.h"
#include "tests/fuzz/ring-model.h"

#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)

static struct tcmu_abi_entry *entry(const struct model *m, uint32_t off)
{
	return (void *)(m->map + m->cmdr_off + off);
}

/* ---- answers that a process after a death has given ------------------------------------------- */

static void check_lost_answer(const struct model *m, const struct tcmu_abi_entry *ent)
{
	const struct model_request *r = &m->requests[ent->hdr.cmd_id];

	assert(r->lost && !ent->hdr.uflags && !ent->rsp.read_len);
	assert(ent->rsp.scsi_status == (r->mark ? 2 : 8));
	if (r->mark)
		assert(ent->rsp.sense[2] == 0x0b && ent->rsp.sense[12] == 0x44);
}

/* The answer that the dead process was about to give, as far as there is room for its sense data. */
static void check_dead_answer(const struct model *m, const struct tcmu_abi_entry *ent)
{
	const struct model_answer *a = &m->answer;
	uint8_t len = a->sense[7];

	if (m->death->in_next || ent->hdr.cmd_id != a->id) {
		check_lost_answer(m, ent);
		return;
	}
	assert(ent->hdr.uflags == a->uflags && ent->rsp.scsi_status == a->status);
	assert(ent->rsp.read_len == a->read_len);
	if (a->status != 2 || !memcmp(ent->rsp.sense, a->sense, sizeof(a->sense)))
		return;
	assert(!memcmp(ent->rsp.sense, a->sense, 7));
	assert(ent->rsp.sense[7] == (len < 60 ? len : 60));
	for (uint32_t i = 8; i < sizeof(a->sense); i++)
		assert(ent->rsp.sense[i] == (i < 20 || (len > 12 && i < 68) ? a->sense[i] : 0));
}

void model_collect(struct model *m, bool dead)
{
	uint32_t tail = model_mailbox(m)->cmd_tail;

	while (m->cleaned != tail) {
		const struct tcmu_abi_entry *ent = entry(m, m->cleaned);
		uint16_t id = ent->hdr.cmd_id;

		if (ring_entry_op(ent->hdr.len_op) == TCMU_ABI_OP_CMD) {
			assert(id < MODEL_IDS && m->ids[id] == ID_LIVE);
			if (dead)
				check_dead_answer(m, ent);
			m->ids[id] = ent->hdr.uflags & TCMU_ABI_UFLAG_KEEP_BUF ? ID_KEPT : ID_FREE;
		}
		m->cleaned = (m->cleaned + ring_entry_len(ent->hdr.len_op)) % m->size;
	}
	/* The others have not been given, and so nothing has moved for them. */
	for (uint32_t i = m->moves_count; dead && i--;) {
		if (m->ids[m->moves[i].answered] == ID_LIVE)
			m->requests[m->moves[i].moved].lost = m->moves[i].was_lost;
	}
	if (!m->death->happens || dead)
		model_check_journal(m);
}

/* ---- requests --------------------------------------------------------------------------------- */

static void check_request(const struct model *m, const struct tcmu_abi_entry *ent)
{
	const struct model_request *r = &m->requests[ent->hdr.cmd_id];
	uint64_t cdb_off = ent->req.cdb_off;

	assert(ent->req.mark == r->mark);
	if (r->lost) {
		assert(!cdb_off && !ent->req.iov_cnt && !ent->req.iov_bidi_cnt);
		return;
	}
	assert(ent->req.iov_cnt == r->iov_cnt && ent->req.iov_bidi_cnt == r->bidi_cnt);
	assert(!memcmp(ent->req.iov, r->iov, 16 * (r->iov_cnt + r->bidi_cnt)));
	assert(cdb_off >=
	       (size_t)((const uint8_t *)ent - m->map) + 48 + 16 * (r->iov_cnt + r->bidi_cnt));
	assert(cdb_off + r->cdb_len <=
	       (size_t)((const uint8_t *)ent - m->map) + ring_entry_len(ent->hdr.len_op));
	assert(!memcmp(m->map + cdb_off, r->cdb, r->cdb_len));
}

void model_check_journal(const struct model *m)
{
	const struct tcmu_abi_mailbox *mb = model_mailbox(m);
	bool seen[MODEL_IDS] = { false };

	for (uint32_t off = mb->cmd_tail; off != mb->cmd_head;) {
		const struct tcmu_abi_entry *ent = entry(m, off);

		if (ring_entry_op(ent->hdr.len_op) == TCMU_ABI_OP_CMD) {
			assert(ent->hdr.cmd_id < MODEL_IDS && !seen[ent->hdr.cmd_id]);
			seen[ent->hdr.cmd_id] = true;
			check_request(m, ent);
		}
		off = (off + ring_entry_len(ent->hdr.len_op)) % m->size;
	}
	for (unsigned int id = 0; id < MODEL_IDS; id++)
		assert(seen[id] == (m->ids[id] == ID_LIVE));
}

void model_check_given(struct model *m, const struct tcmulib_cmd *cmd)
{
	struct model_request *r = &m->requests[cmd->cmd_id];

	assert(cmd->cmd_id < MODEL_IDS && m->ids[cmd->cmd_id] == ID_LIVE);
	assert(!r->held && !r->lost);
	assert(cmd->mark == r->mark && cmd->iov_cnt == r->iov_cnt);
	for (uint32_t i = 0; i < r->iov_cnt; i++) {
		assert(cmd->iovec[i].iov_base == m->map + (uintptr_t)r->iov[i].iov_base);
		assert(cmd->iovec[i].iov_len == r->iov[i].iov_len);
	}
	assert(!memcmp(cmd->cdb, r->cdb, r->cdb_len));
	if (!m->loose && r->given != GIVEN_MAYBE)
		assert(cmd->again == (r->given == GIVEN));
	r->held = true;
	/* A process that dies in the call has not told the program. */
	r->given = m->death->happens && r->given != GIVEN ? GIVEN_MAYBE : GIVEN;
}

void model_marked(struct model *m, uint16_t id, uint32_t slot, uint32_t mark)
{
	const struct tcmu_abi_entry *ent = (const void *)(m->death->map + m->cmdr_off + slot);

	/* One that dies in the call has made it, or not. */
	if (!m->death->happens || ent->req.mark == mark)
		m->requests[id].mark = mark;
}

/* ---- the end of a process --------------------------------------------------------------------- */

void model_snapshot(struct model *m)
{
	m->death->happens = true;
	m->death->cleaned = m->cleaned;
	m->death->stale = m->stale;
	m->death->loose = m->loose;
	memcpy(m->death->ids, m->ids, sizeof(m->ids));
	memcpy(m->death->map, m->map, m->map_len);
}

static void spoil(void *at, size_t len)
{
	memset(at, 0x5a, len);
}

/* What stands between two stores whose order counts may be written, or not, or in part. */
static void tear_memory(struct model *m)
{
	struct tcmu_abi_mailbox *mb = model_mailbox(m);
	struct tcmu_ring_scratch *s = (void *)mb->scratch;
	struct tcmu_abi_entry *ent;

	switch (s->stage) {
	case RING_STAGE_IDLE:
		spoil(&s->answer, sizeof(s->answer));
		spoil(&s->spare, sizeof(s->spare));
		spoil(s->sense, sizeof(s->sense));
		spoil(mb->pad0, sizeof(mb->pad0));
		break;
	case RING_STAGE_COPY:
		ent = entry(m, s->spare);
		spoil(&ent->hdr.cmd_id, 2);
		spoil(&ent->req.iov_cnt, 8);
		spoil(&ent->req.cdb_off, 8);
		spoil(&ent->req.mark, 4);
		spoil(ent->req.iov, ring_entry_len(ent->hdr.len_op) - TCMU_ABI_IOV_OFF);
		break;
	case RING_STAGE_ANSWER:
		if (mb->cmd_tail != s->tails.from)
			break;
		ent = entry(m, mb->cmd_tail);
		spoil(&ent->hdr.cmd_id, 2);
		spoil(&ent->hdr.uflags, 1);
		spoil(&ent->rsp, s->answer.status == 2 ? sizeof(ent->rsp) : 8);
		break;
	}
}

void model_die(struct model *m, bool tear)
{
	struct model_death *d = m->death;

	if (d->happens) {
		/* Slots that the tail has passed are the kernel's at once. */
		if (m->honest) {
			const struct tcmu_abi_mailbox *then = (const void *)d->map;
			uint32_t off = d->cleaned;

			while (off != then->cmd_tail) {
				uint32_t len = ring_entry_len(entry(m, off)->hdr.len_op);

				assert(!memcmp(entry(m, off), d->map + m->cmdr_off + off, len));
				off = (off + len) % m->size;
			}
		}
		memcpy(m->map, d->map, m->map_len);
		memcpy(m->ids, d->ids, sizeof(m->ids));
		m->cleaned = d->cleaned;
		m->stale = d->stale;
		m->loose = d->loose;
	} else {
		m->moves_count = 0;
	}
	if (tear && m->honest)
		tear_memory(m);
	for (unsigned int id = 0; id < MODEL_IDS; id++)
		m->requests[id].held = false;
	model_sync(m);
	d->happens = false;
}

#pragma clang attribute pop
