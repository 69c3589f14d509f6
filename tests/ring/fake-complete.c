/* SPDX-License-Identifier: Apache-2.0 */
/* How answers come off the ring (tcmu_handle_completions(), target_core_user.c). */
#include "fake-ring-int.h"

#include <stdio.h>
#include <string.h>

#define SAM_CHECK 0x02

/* Length of the data-in that is transferred. */
static size_t read_len(struct fake_ring *r, struct fake_req *req, const struct tcmu_abi_entry *ent,
		       bool *valid)
{
	uint32_t n = ent->rsp.read_len;

	*valid = false;
	if (!(ent->hdr.uflags & TCMU_ABI_UFLAG_READ_LEN))
		return req->len;
	if ((req->dir != FAKE_IN || !n || n > req->len) && !req->cmd->odd)
		fake_verdict(r->v, FAKE_V_READ_LEN,
			     "cmd_id %u, opcode %02x: READ_LEN %u for %zu bytes%s", req->id,
			     req->cdb[0], n, req->len, req->dir == FAKE_IN ? "" : ", not data-in");
	if (req->dir != FAKE_IN || !n)
		return req->len;
	*valid = true;
	return n < req->len ? n : req->len;
}

static void answer(struct fake_ring *r, struct fake_req *req, const struct tcmu_abi_entry *ent)
{
	struct fake_cmd *cmd = req->cmd;
	size_t len;
	bool valid;

	if (ent->hdr.uflags & TCMU_ABI_UFLAG_UNKNOWN_OP) {
		fake_verdict(r->v, FAKE_V_SENSE, "cmd_id %u, opcode %02x: UNKNOWN_OP", req->id,
			     req->cdb[0]);
		fake_finish_sense(r, req, 0x02, 0x08, 0x00);
		return;
	}
	len = read_len(r, req, ent, &valid);
	fake_judge_answer(r, req, ent, len);
	if (ent->rsp.scsi_status == SAM_CHECK) {
		memcpy(cmd->sense, ent->rsp.sense, sizeof(cmd->sense));
		if (!valid) {
			cmd->residual = req->dir == FAKE_IN ? req->len : 0;
			fake_finish(r, req, SAM_CHECK);
			return;
		}
	}
	if (req->bidi_cnt)
		fake_copy(r, req, false, true, cmd->bidi_in,
			  req->len < req->bidi_len ? req->len : req->bidi_len);
	else if (req->dir == FAKE_IN)
		fake_copy(r, req, false, false, cmd->data, len);
	cmd->residual = valid ? req->len - len : 0;
	fake_judge_data(r, req, ent->rsp.scsi_status);
	fake_finish(r, req, ent->rsp.scsi_status);
}

/* The consumer's position, where it tells. */
bool fake_was_read(struct fake_ring *r, const struct fake_req *req)
{
	uint32_t pos, dist, at, used;

	if ((int32_t)(req->slot_seq - r->slot_hidden) >= 0)
		return false;
	/* Its own slot was passed before: it had been read. */
	if (!r->cfg.pos_off || (int32_t)(req->slot_seq - r->slot_first) < 0)
		return true;
	memcpy(&pos, (uint8_t *)r->mb + r->cfg.pos_off, sizeof(pos));
	at = fake_slot(r, req->slot_seq)->off;
	dist = (pos + r->cmdr_size - r->cleaned) % r->cmdr_size;
	used = (r->head_visible + r->cmdr_size - r->cleaned) % r->cmdr_size;
	if (dist > used) /* of before a reset */
		return false;
	return (at + r->cmdr_size - r->cleaned) % r->cmdr_size < dist;
}

/* One passed CMD slot. False: the ring is broken. */
static bool complete_one(struct fake_ring *r, const struct fake_slot *s)
{
	struct tcmu_abi_entry *ent = (void *)(r->cmdr + s->off);
	struct fake_req *req = r->ids[ent->hdr.cmd_id];
	struct fake_cmd *cmd = req ? req->cmd : NULL;
	bool keep = ent->hdr.uflags & TCMU_ABI_UFLAG_KEEP_BUF;

	if (!req || req->kept) {
		fake_verdict(r->v, fake_judge_id(r, ent->hdr.cmd_id, FAKE_V_CMD_ID),
			     "the slot at %u (queued as %u) answers cmd_id %u: %s", s->off, s->id,
			     ent->hdr.cmd_id,
			     req ? "already answered, its buffer is kept" : "not in flight");
		return false;
	}
	if (!fake_was_read(r, req))
		fake_verdict(r->v, fake_judge_id(r, req->id, FAKE_V_UNREAD),
			     "cmd_id %u, opcode %02x, was answered unread", req->id, req->cdb[0]);
	else if (r->reset_unseen)
		fake_reset_seen(r);
	r->id_marks[req->id] = FAKE_ID_DONE | (req->aborted ? FAKE_ID_ABORTED : 0);
	r->st.completions++;
	if (!req->expired)
		answer(r, req, ent);
	else
		fake_check_canary(r, req);
	req->expired = false;
	if (keep) {
		req->kept = true;
		if (cmd)
			cmd->kept = true;
		return true;
	}
	fake_free_id(r, req);
	fake_req_free(r, req);
	return true;
}

/* Which verdict a tail deserves that is no boundary between cleaned and head. */
static void bad_tail(struct fake_ring *r, uint32_t tail)
{
	uint32_t size = r->cmdr_size;
	uint32_t used = (r->head_visible + size - r->cleaned) % size;
	uint32_t dist = (tail + size - r->cleaned) % size;
	enum fake_verdict kind = FAKE_V_TAIL_BOUNDARY;

	r->broken = true;
	if (r->reset_unseen && tail < size &&
	    (tail + size - r->reset_tail) % size <= r->reset_used) {
		kind = FAKE_V_RESET;
	} else if (tail < size && tail % 8 == 0 && dist > used) {
		uint32_t back = size - dist, beyond = dist - used;

		kind = back <= beyond ? FAKE_V_TAIL_BACKWARDS : FAKE_V_TAIL_BEYOND;
	}
	fake_verdict(r->v, kind, "cmd_tail %u with %u..%u on the ring of %u bytes", tail,
		     r->cleaned, r->head_visible, size);
}

static bool is_boundary(struct fake_ring *r, uint32_t tail)
{
	if (tail == r->head_visible)
		return true;
	for (uint32_t seq = r->slot_first; seq != r->slot_hidden; seq++)
		if (fake_slot(r, seq)->off == tail)
			return true;
	return false;
}

bool fake_handle_completions(struct fake_ring *r)
{
	uint32_t tail = __atomic_load_n(&r->mb->cmd_tail, __ATOMIC_ACQUIRE);
	bool freed = false;

	if (r->broken)
		return false;
	fake_check_mailbox(r);
	fake_decoy_check(r);
	if (tail == r->cleaned)
		return false;
	if (!is_boundary(r, tail)) {
		bad_tail(r, tail);
		return false;
	}
	while (r->cleaned != tail) {
		struct fake_slot *s = fake_slot(r, r->slot_first);
		struct tcmu_abi_hdr *hdr = (void *)(r->cmdr + s->off);

		freed = true;
		if (hdr->len_op != (s->len | s->op)) {
			fake_verdict(r->v, FAKE_V_LEN_OP,
				     "len_op at ring offset %u is %#x, not %#x", s->off,
				     hdr->len_op, s->len | s->op);
			hdr->len_op = s->len | s->op;
		}
		if (s->op == TCMU_ABI_OP_CMD && !complete_one(r, s)) {
			r->broken = true;
			return false;
		}
		fake_poison_ring(r, s->off, s->len);
		r->cleaned = (r->cleaned + s->len) % r->cmdr_size;
		r->slot_first++;
	}
	return freed && fake_run_tmrs(r);
}

static void process(struct fake_ring *r)
{
	if (fake_handle_completions(r))
		fake_run_qfull(r, false);
}

void fake_ring_doorbell(struct fake_ring *r, unsigned int n)
{
	fake_lock(r);
	r->st.doorbells += n;
	if (r->cleaned == __atomic_load_n(&r->mb->cmd_tail, __ATOMIC_RELAXED))
		r->st.empty_doorbells++;
	process(r);
	fake_unlock(r);
}

void fake_ring_reclaim(struct fake_ring *r)
{
	fake_lock(r);
	process(r);
	fake_unlock(r);
}

bool fake_ring_published(struct fake_ring *r)
{
	bool yes;

	fake_lock(r);
	yes = !r->broken && r->cleaned != __atomic_load_n(&r->mb->cmd_tail, __ATOMIC_RELAXED);
	fake_unlock(r);
	return yes;
}
