/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel does to a ring, by the rules of target_core_user.c; the input says with which values. */
#include <string.h>

#include "tests/fuzz/ring-model.h"

static uint32_t ring_end(const struct model *m)
{
	return m->cmdr_off + m->size <= m->map_len ? m->size : 0;
}

static void publish(struct model *m, const struct tcmu_abi_hdr *hdr)
{
	struct tcmu_abi_mailbox *mb = model_mailbox(m);
	uint32_t len = hdr->len_op & ~TCMU_ABI_OP_MASK;
	size_t off = (size_t)((const uint8_t *)hdr - m->map);

	/* Of a PAD only the header has been written. */
	model_sync_part(m, off, hdr->len_op & TCMU_ABI_OP_MASK ? len : sizeof(*hdr));
	m->last_entry = off;
	mb->cmd_head = (mb->cmd_head + len) % ring_end(m);
	model_sync_part(m, offsetof(struct tcmu_abi_mailbox, cmd_head), sizeof(mb->cmd_head));
}

/* Room for an entry of len bytes, with PAD in front of it if it does not fit the rest of the ring. What is
 * answered in the call that is under way is taken out later (target_core_user.c: is_ring_space_avail(), ring_insert_padding()). NULL: none. */
static struct tcmu_abi_hdr *make_entry(struct model *m, uint32_t len)
{
	struct tcmu_abi_mailbox *mb = model_mailbox(m);
	uint32_t head = mb->cmd_head, tail = m->honest ? m->cleaned : mb->cmd_tail,
		 end = ring_end(m), need = len, used;
	struct tcmu_abi_hdr *hdr;

	if (head >= end || head % 8 || tail >= end || len > end / 2)
		return NULL;
	if (len > end - head)
		need += end - head;
	used = head >= tail ? head - tail : end - tail + head;
	if (need > end - used - 1)
		return NULL;
	if (need > len) {
		hdr = (void *)(m->map + m->cmdr_off + head);
		memset(hdr, 0, sizeof(*hdr));
		hdr->len_op = (end - head) | TCMU_ABI_OP_PAD;
		publish(m, hdr);
		head = 0;
	}
	hdr = (void *)(m->map + m->cmdr_off + head);
	memset(hdr, 0, len);
	hdr->len_op = len;
	return hdr;
}

static uint16_t free_id(const struct model *m)
{
	uint16_t id = 1;

	while (id < MODEL_IDS && m->ids[id])
		id++;
	return id;
}

/* For ring-death.c. */
static void remember(struct model *m, const struct tcmu_abi_entry *ent, uint32_t cdb_len)
{
	struct model_request *r = &m->requests[ent->hdr.cmd_id];

	r->iov_cnt = ent->req.iov_cnt;
	r->bidi_cnt = ent->req.iov_bidi_cnt;
	r->cdb_len = cdb_len;
	r->mark = 0;
	r->lost = r->held = false;
	r->given = GIVEN_NOT;
	memcpy(r->iov, ent->req.iov, (r->iov_cnt + r->bidi_cnt) * sizeof(struct iovec));
	memcpy(r->cdb, m->map + ent->req.cdb_off, cdb_len);
}

/* queue_cmd_ring() */
void model_put_command(struct model *m)
{
	uint32_t form = take(1), iovs = form % 8, bidi = form >= 0xf0 ? take(1) % 4 : 0;
	uint32_t base, cdb_len, op = take(1), more = op == 0x7f ? take(1) : 0;
	static const uint8_t cdb_lens[8] = { 6, 10, 10, 12, 16, 12, 10, 10 };
	struct tcmu_abi_entry *ent;
	uint16_t id = free_id(m);

	if (form % 32 == 31)
		iovs = take(1) % 64;
	cdb_len = op == 0x7f ? 8 + more : cdb_lens[op >> 5];
	cdb_len = cdb_len < 260 ? cdb_len : 260;
	base = 48 + 16 * (iovs + bidi);
	base = base < sizeof(*ent) ? (uint32_t)sizeof(*ent) : base;
	if (id == MODEL_IDS)
		return;
	ent = (void *)make_entry(m, base + (cdb_len + 7) / 8 * 8);
	if (!ent)
		return;
	ent->hdr.len_op |= TCMU_ABI_OP_CMD;
	ent->hdr.cmd_id = id;
	ent->req.iov_cnt = iovs;
	ent->req.iov_bidi_cnt = bidi;
	ent->req.cdb_off = (uint64_t)((uint8_t *)ent - m->map) + base;
	for (uint32_t i = 0; i < iovs + bidi; i++) {
		uint32_t at = take(1) * 16;

		ent->req.iov[i].iov_base = (void *)(uintptr_t)(m->data_off + at);
		ent->req.iov[i].iov_len = (take(1) * 16) % (MODEL_DATA + 1 - at);
	}
	for (uint32_t i = 1; i < cdb_len; i++)
		((uint8_t *)ent)[base + i] = (uint8_t)(id + i);
	((uint8_t *)ent)[base] = (uint8_t)op;
	if (op == 0x7f)
		((uint8_t *)ent)[base + 7] = (uint8_t)more;
	m->ids[id] = ID_LIVE;
	remember(m, ent, cdb_len);
	publish(m, &ent->hdr);
}

/* queue_tmr_ring() */
void model_put_tmr(struct model *m)
{
	uint32_t ids = take(1) % 8;
	struct tcmu_abi_tmr *tmr =
		(void *)make_entry(m, (uint32_t)sizeof(*tmr) + (2 * ids + 7) / 8 * 8);

	if (!tmr)
		return;
	tmr->hdr.len_op |= TCMU_ABI_OP_TMR;
	tmr->type = (uint8_t)take(1);
	tmr->cmd_cnt = ids;
	for (uint32_t i = 0; i < ids; i++)
		tmr->cmd_ids[i] = (uint16_t)take(1);
	publish(m, &tmr->hdr);
}

/* One of a later kernel (tcmu-design.rst). Not at 0: in what may happen there while the tail is 0 too, a
 * reset is told by the cookie, which only the known kinds have room for. */
void model_put_unknown(struct model *m)
{
	struct tcmu_abi_hdr *hdr = make_entry(m, 8 + take(1) % 8 * 8);

	if (!hdr)
		return;
	if ((uint8_t *)hdr == m->map + m->cmdr_off) {
		model_sync(m);
		return;
	}
	hdr->len_op |= 3 + take(1) % 5;
	publish(m, hdr);
}

void model_kernel_reset(struct model *m)
{
	struct tcmu_abi_mailbox *mb = model_mailbox(m);

	m->struck = true;
	m->zeroed = mb->cmd_tail; /* else it cannot be told by that, in the middle of a call */
	/* In this order: tcmu_reset_ring() */
	mb->cmd_tail = 0;
	mb->cmd_head = 0;
	memset(m->ids, 0, sizeof(m->ids));
	m->cleaned = 0;
	m->stale = m->loose = true; /* until somebody notices */
	model_sync_part(m, offsetof(struct tcmu_abi_mailbox, cmd_tail), sizeof(mb->cmd_tail));
	model_sync_part(m, offsetof(struct tcmu_abi_mailbox, cmd_head), sizeof(mb->cmd_head));
}
