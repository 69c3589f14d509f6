/* SPDX-License-Identifier: Apache-2.0 */
/* Is this answer a right one for that command? The kernel takes any. */
#include "fake-ring-int.h"

#define SAM_GOOD          0x00
#define SAM_CHECK         0x02
#define SAM_BUSY          0x08
#define SAM_TASK_SET_FULL 0x28

#define KEY_ILLEGAL_REQUEST 5
#define KEY_UNIT_ATTENTION  6

struct sense {
	uint8_t code, key, asc, ascq;
};

static struct sense parse(const uint8_t *s)
{
	uint8_t code = s[0] & 0x7f;

	if (code >= 0x72)
		return (struct sense) { code, s[1] & 0xf, s[2], s[3] };
	return (struct sense) { code, s[2] & 0xf, s[12], s[13] };
}

static bool is_valid(const struct sense *s)
{
	return s->code >= 0x70 && s->code <= 0x73 && s->key;
}

static bool has_many(const struct fake_req *req)
{
	return req->iov_cnt > FAKE_MANY_IOVS;
}

/* A refusal is a right answer; to fail halfway, with MEDIUM ERROR or the like, is not. */
static void judge_sense(struct fake_ring *r, const struct fake_req *req, const uint8_t *bytes)
{
	struct sense s = parse(bytes);

	if (has_many(req) &&
	    (!is_valid(&s) || (s.key != KEY_ILLEGAL_REQUEST && s.key != KEY_UNIT_ATTENTION)))
		fake_verdict(r->v, FAKE_V_MANY_IOVS,
			     "cmd_id %u, opcode %02x, %u iovecs: sense %x/%02x/%02x", req->id,
			     req->cdb[0], req->iov_cnt, s.key, s.asc, s.ascq);
	else if (!is_valid(&s))
		fake_verdict(r->v, FAKE_V_SENSE,
			     "cmd_id %u, opcode %02x: CHECK CONDITION with sense %02x %02x %02x",
			     req->id, req->cdb[0], bytes[0], bytes[1], bytes[2]);
}

/* SPC-5 4.2.5.1: group 3 is reserved but for 7Eh and 7Fh, groups 6 and 7 are vendor specific. */
static bool never_known(uint8_t opcode)
{
	return opcode >= 0xc0 || (opcode >= 0x60 && opcode <= 0x7d);
}

/* What comes before the opcode is looked at may be said instead (SAM-5 5.3.1, 5.14). */
static void judge_opcode(struct fake_ring *r, const struct fake_req *req,
			 const struct tcmu_abi_entry *ent)
{
	uint8_t opcode = req->cdb[0], status = ent->rsp.scsi_status;
	struct sense s = { 0 };

	if (!r->cfg.known_opcode || (!never_known(opcode) && r->cfg.known_opcode(opcode)))
		return;
	if (status == SAM_BUSY || status == SAM_TASK_SET_FULL)
		return;
	if (status == SAM_CHECK) {
		s = parse(ent->rsp.sense);
		if (s.key == KEY_UNIT_ATTENTION ||
		    (s.key == KEY_ILLEGAL_REQUEST && s.asc == 0x20 && !s.ascq))
			return;
	}
	fake_verdict(r->v, FAKE_V_OPCODE,
		     "cmd_id %u: opcode %02x is unknown, but status %02x, sense %x/%02x/%02x",
		     req->id, opcode, status, s.key, s.asc, s.ascq);
}

void fake_judge_answer(struct fake_ring *r, struct fake_req *req, const struct tcmu_abi_entry *ent,
		       size_t len)
{
	fake_check_canary(r, req);
	if (r->ack && !req->aborted && !r->ack(req->cmd, ent->rsp.scsi_status, r->ack_arg))
		fake_verdict(r->v, FAKE_V_EARLY_ACK,
			     "cmd_id %u, opcode %02x: answered before it was done", req->id,
			     req->cdb[0]);
	if (ent->rsp.scsi_status == SAM_CHECK)
		judge_sense(r, req, ent->rsp.sense);
	else if (!ent->rsp.scsi_status && req->dir == FAKE_IN && !r->cfg.lenient_in &&
		 !r->cfg.quick && !req->cmd->odd && !req->aborted && !fake_is_filled(r, req, len))
		fake_verdict(r->v, has_many(req) ? FAKE_V_MANY_IOVS : FAKE_V_NOT_FILLED,
			     "cmd_id %u, opcode %02x: GOOD, but of %zu bytes some were not written",
			     req->id, req->cdb[0], len);
	if (!req->aborted)
		judge_opcode(r, req, ent);
}

void fake_judge_data(struct fake_ring *r, const struct fake_req *req, uint8_t status)
{
	if (status == SAM_GOOD && has_many(req) && !req->aborted && req->cmd->right &&
	    !req->cmd->right(req->cmd))
		fake_verdict(r->v, FAKE_V_MANY_IOVS,
			     "cmd_id %u, opcode %02x, %u iovecs: GOOD, but wrong data", req->id,
			     req->cdb[0], req->iov_cnt);
}

enum fake_verdict fake_judge_id(const struct fake_ring *r, uint16_t id, enum fake_verdict usual)
{
	if (id == FAKE_DECOY_ID)
		return FAKE_V_READ_AHEAD;
	if (r->id_marks[id] & FAKE_ID_OLD)
		return FAKE_V_RESTART;
	if (r->id_marks[id] & FAKE_ID_KILLED)
		return FAKE_V_RESET;
	if (r->id_marks[id] & FAKE_ID_ABORTED)
		return FAKE_V_TMR;
	return usual;
}
