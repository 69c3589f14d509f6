/* SPDX-License-Identifier: Apache-2.0 */
#include "ref-swap.h"

#include <stdlib.h>
#include <string.h>

#define MAGIC 0x50415753u

static struct tcmu_abi_entry *at(struct ref_swap *s, uint32_t off)
{
	return (void *)(s->c.cmdr + off);
}

static uint32_t len(const struct tcmu_abi_entry *ent)
{
	return ent->hdr.len_op & ~TCMU_ABI_OP_MASK;
}

/* Stores in this order, also as far as the compiler is concerned: a SIGKILL may come after any. */
#define PUT(s, to, val) (__atomic_store_n((to), (val), __ATOMIC_RELEASE), boundary(s))

static void boundary(struct ref_swap *s)
{
	if (s->boundary)
		s->boundary(s->arg);
}

static void put_bytes(struct ref_swap *s, void *to, const void *from, size_t n)
{
	const uint8_t *src = from;
	uint8_t *dst = to;
	uint64_t word;

	for (; n >= sizeof(word); n -= sizeof(word)) {
		memcpy(&word, src, sizeof(word));
		PUT(s, (uint64_t *)(void *)dst, word);
		src += sizeof(word);
		dst += sizeof(word);
	}
	for (; n; n--)
		PUT(s, dst++, *src++);
}

static void set_stage(struct ref_swap *s, enum ref_stage stage)
{
	if (!(s->faults & REF_NO_NOTE))
		PUT(s, &s->note->stage, stage);
}

static uint32_t request_len(struct ref_swap *s, const struct tcmu_abi_entry *ent)
{
	uint32_t iovs = ent->req.iov_cnt + ent->req.iov_bidi_cnt;

	return (uint32_t)(offsetof(struct tcmu_abi_entry, req.iov) + iovs * sizeof(struct iovec) +
			  ref_cdb_len(s->c.base + ent->req.cdb_off));
}

/* len_op stays, of course. */
static void move_request(struct ref_swap *s, const struct tcmu_abi_entry *a, uint32_t into)
{
	const uint8_t *cdb = s->c.base + a->req.cdb_off;
	struct tcmu_abi_entry *b = at(s, into);
	uint32_t iovs = a->req.iov_cnt + a->req.iov_bidi_cnt;
	uint8_t *to = (uint8_t *)&b->req.iov[iovs];

	PUT(s, &b->hdr.cmd_id, a->hdr.cmd_id);
	PUT(s, &b->req.iov_cnt, a->req.iov_cnt);
	PUT(s, &b->req.iov_bidi_cnt, a->req.iov_bidi_cnt);
	put_bytes(s, b->req.iov, a->req.iov, iovs * sizeof(struct iovec));
	put_bytes(s, to, cdb, ref_cdb_len(cdb));
	PUT(s, &b->req.cdb_off, (uint64_t)(to - s->c.base));
	s->slot_of[a->hdr.cmd_id] = into;
}

static void write_answer(struct ref_swap *s, uint32_t into)
{
	const struct ref_note *n = s->note;
	struct tcmu_abi_entry *ent = at(s, into);
	uint8_t sense[18] = { 0x70, 0, n->key, 0, 0, 0, 0, 10, 0, 0, 0, 0, n->asc };

	PUT(s, &ent->hdr.cmd_id, n->id);
	PUT(s, &ent->hdr.uflags, n->uflags);
	PUT(s, &ent->rsp.scsi_status, n->status);
	PUT(s, &ent->rsp.read_len, n->read_len);
	if (n->status == 0x02)
		put_bytes(s, ent->rsp.sense, sense, sizeof(sense));
}

static void pass(struct ref_swap *s)
{
	s->tail = (s->tail + len(at(s, s->tail))) % s->c.size;
	if (!(s->faults & REF_TAIL_LATE))
		PUT(s, &s->c.mb->cmd_tail, s->tail);
}

/* Over PADs and TMRs that were consumed. */
static void pass_others(struct ref_swap *s)
{
	while (s->tail != s->c.pos &&
	       (at(s, s->tail)->hdr.len_op & TCMU_ABI_OP_MASK) != TCMU_ABI_OP_CMD)
		pass(s);
}

/* From the note on; also what a crash has left half done is done like this. */
static void carry_out(struct ref_swap *s)
{
	uint32_t to = s->note->to, spare = s->note->spare;
	bool moves = to != spare && !(s->faults & (REF_NO_SWAP | REF_TAIL_FIRST));

	if (s->note->stage != REF_ANSWER && moves) {
		set_stage(s, REF_COPY);
		move_request(s, at(s, to), spare);
	}
	set_stage(s, REF_ANSWER);
	write_answer(s, to);
	pass(s);
	set_stage(s, REF_IDLE);
}

/* Everything is done, only in the wrong order. */
static void carry_out_tail_first(struct ref_swap *s)
{
	uint32_t to = s->note->to, size = len(at(s, to));
	struct tcmu_abi_entry *copy = malloc(size);

	memcpy(copy, at(s, to), size);
	carry_out(s);
	move_request(s, copy, s->note->spare);
	free(copy);
}

static bool answer(struct ref_swap *s, uint16_t id)
{
	struct ref_note *n = s->note;
	uint32_t spare = s->slot_of[id];

	pass_others(s);
	if (spare != s->tail && request_len(s, at(s, s->tail)) > len(at(s, spare)))
		return false;
	PUT(s, &n->to, s->tail);
	PUT(s, &n->spare, spare);
	PUT(s, &n->id, id);
	if (s->faults & REF_TAIL_FIRST && spare != s->tail)
		carry_out_tail_first(s);
	else
		carry_out(s);
	pass_others(s);
	return true;
}

bool ref_swap_answer(struct ref_swap *s, uint16_t id, uint8_t status)
{
	PUT(s, &s->note->status, status);
	return answer(s, id);
}

bool ref_swap_answer_sense(struct ref_swap *s, uint16_t id, uint8_t key, uint8_t asc)
{
	PUT(s, &s->note->status, 0x02);
	PUT(s, &s->note->key, key);
	PUT(s, &s->note->asc, asc);
	return answer(s, id);
}

void ref_swap_publish(struct ref_swap *s)
{
	PUT(s, &s->c.mb->cmd_tail, s->tail);
}

bool ref_swap_next(struct ref_swap *s, struct ref_cmd *cmd)
{
	uint32_t head = __atomic_load_n(&s->c.mb->cmd_head, __ATOMIC_ACQUIRE), start;
	bool found = false;

	while (!found && s->c.pos != head) {
		if (s->replaying && s->c.pos == s->note->pos)
			s->replaying = false;
		start = s->c.pos;
		found = ref_take(&s->c, cmd);
		if (found && cmd->op == TCMU_ABI_OP_CMD)
			s->slot_of[cmd->id] = start;
		if (!s->replaying && !(s->faults & REF_POS_STAYS))
			PUT(s, &s->note->pos, s->c.pos);
	}
	return found;
}

void ref_swap_init(struct ref_swap *s, void *base)
{
	ref_init(&s->c, base);
	s->note = (void *)s->c.mb->scratch;
	s->slot_of = calloc(65536, sizeof(*s->slot_of));
	s->tail = s->c.mb->cmd_tail;
	s->replaying = s->note->magic == MAGIC;
	if (!s->replaying) {
		PUT(s, &s->note->stage, REF_IDLE);
		PUT(s, &s->note->pos, s->tail);
		PUT(s, &s->note->magic, MAGIC);
		return;
	}
	if (s->note->stage != REF_IDLE && s->note->to == s->tail)
		carry_out(s);
	else
		set_stage(s, REF_IDLE);
	s->c.pos = s->tail;
}

void ref_swap_free(struct ref_swap *s)
{
	free(s->slot_of);
	s->slot_of = NULL;
}
