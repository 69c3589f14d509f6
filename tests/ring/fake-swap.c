/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user space that swaps slots makes the ring its own journal: to answer B before A, whose request
 * stands in the slot at the tail, it moves that request into B's slot first. Whoever finds the ring
 * after a crash then reads from it what is still to do. That must be true between any two stores. As an
 * answer lies over the request, one slot is always in pieces while an answer is written; a note in the
 * mailbox tells which one, and for which command.
 */
#include "fake-ring-int.h"

#include <stdlib.h>
#include <string.h>

struct look {
	struct fake_ring *r;
	uint32_t tail, pos; /* bytes from r->cleaned */
	struct fake_intent intent;
	int8_t *cnt; /* by cmd_id: slots minus unanswered commands, must be 0 */
	bool ok;
};

#define BAD(l, ...) (fake_verdict((l)->r->v, FAKE_V_SWAP, __VA_ARGS__), (l)->ok = false)

static uint32_t distance(const struct fake_ring *r, uint32_t off)
{
	return (off + r->cmdr_size - r->cleaned) % r->cmdr_size;
}

/* Is this the request as it was queued? Only the place of its CDB may be another one. */
static bool is_intact(struct fake_ring *r, const struct fake_slot *slot, struct fake_req *req)
{
	const struct tcmu_abi_entry *ent = (void *)(r->cmdr + slot->off);
	uint32_t data_cnt = fake_count_iovs(req, 0, req->dbi_cnt - req->bidi_cnt);
	uint64_t start = (uint64_t)(r->cmdr - r->base) + slot->off, at = ent->req.cdb_off - start;
	uint32_t iovs_end = (uint32_t)(offsetof(struct tcmu_abi_entry, req.iov) +
				       req->iov_cnt * sizeof(struct iovec));
	struct iovec *want;
	bool same;

	if (r->cfg.may_lose && !ent->req.cdb_off && !ent->req.iov_cnt && !ent->req.iov_bidi_cnt)
		return true;
	if (ent->req.iov_cnt != data_cnt || ent->req.iov_bidi_cnt != req->iov_cnt - data_cnt ||
	    ent->req.cdb_off < start || at < iovs_end || at > slot->len ||
	    fake_cdb_len(req->cdb) > slot->len - at)
		return false;
	want = calloc(req->iov_cnt + 1, sizeof(*want));
	fake_fill_iovs(r, req, want);
	same = !memcmp(ent->req.iov, want, req->iov_cnt * sizeof(*want)) &&
	       !memcmp(r->base + ent->req.cdb_off, req->cdb, fake_cdb_len(req->cdb));
	free(want);
	return same;
}

static void look_at_slot(struct look *l, const struct fake_slot *slot)
{
	struct tcmu_abi_hdr *hdr = (void *)(l->r->cmdr + slot->off);
	struct fake_req *req = l->r->ids[hdr->cmd_id];

	if ((l->intent.stage == FAKE_INTENT_COPY && slot->off == l->intent.spare) ||
	    (l->intent.stage == FAKE_INTENT_ANSWER && slot->off == l->intent.to))
		return;
	l->cnt[hdr->cmd_id]++;
	if (!req || req->kept)
		BAD(l, "the slot at %u has cmd_id %u, which is not in flight", slot->off,
		    hdr->cmd_id);
	else if (!is_intact(l->r, slot, req))
		BAD(l, "the slot at %u has cmd_id %u, but not its request", slot->off, hdr->cmd_id);
}

/* Answers that are published, but not processed yet, are answers. */
static void look_at_slots(struct look *l)
{
	struct fake_ring *r = l->r;

	for (uint32_t seq = r->slot_first; seq != r->slot_hidden; seq++) {
		struct fake_slot *slot = fake_slot(r, seq);
		struct tcmu_abi_hdr *hdr = (void *)(r->cmdr + slot->off);
		uint32_t at = distance(r, slot->off);

		if (slot->op != TCMU_ABI_OP_CMD)
			continue;
		if (at < l->tail)
			l->cnt[hdr->cmd_id]++;
		else if (at < l->pos)
			look_at_slot(l, slot);
	}
	if (l->intent.stage != FAKE_INTENT_NONE)
		l->cnt[l->intent.id]++;
}

static void compare(struct look *l)
{
	/* Ids are dense; others are no commands in flight, which was said already. */
	for (uint64_t id = 1; id <= l->r->st.max_in_flight; id++) {
		struct fake_req *req = l->r->ids[id];

		if (req && !req->kept && fake_was_read(l->r, req))
			l->cnt[id]--;
		if (l->cnt[id])
			BAD(l, "tail %u, pos %u: cmd_id %u, opcode %02x, is there %s", l->tail,
			    l->pos, (unsigned int)id, req ? req->cdb[0] : 0,
			    l->cnt[id] > 0 ? "too often" : "no more");
	}
}

bool fake_ring_check_swap(struct fake_ring *r)
{
	struct look l = { .r = r, .ok = true };
	uint32_t tail, pos;

	fake_lock(r);
	/* After a reset the position counts again when user space has noticed. */
	if (r->broken || r->reset_unseen)
		goto out;
	tail = __atomic_load_n(&r->mb->cmd_tail, __ATOMIC_ACQUIRE);
	memcpy(&pos, (uint8_t *)r->mb + r->cfg.pos_off, sizeof(pos));
	l.tail = distance(r, tail);
	l.pos = distance(r, pos);
	if (l.tail > l.pos || l.pos > distance(r, r->head_visible)) {
		BAD(&l, "tail %u, pos %u, head %u: in another order", tail, pos, r->head_visible);
		goto out;
	}
	if (r->cfg.read_intent)
		r->cfg.read_intent(r->mb, &l.intent);
	if (l.intent.to != tail) /* that one was published already */
		l.intent.stage = FAKE_INTENT_NONE;
	l.cnt = calloc(FAKE_MAX_ID + 1, 1);
	look_at_slots(&l);
	compare(&l);
	free(l.cnt);
out:
	fake_unlock(r);
	return l.ok;
}
