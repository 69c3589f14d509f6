/* SPDX-License-Identifier: Apache-2.0 */
#include "ref-consumer.h"

#include <stdlib.h>
#include <string.h>

static uint32_t op(const struct tcmu_abi_hdr *hdr)
{
	return hdr->len_op & TCMU_ABI_OP_MASK;
}

static uint32_t len(const struct tcmu_abi_hdr *hdr)
{
	return hdr->len_op & ~TCMU_ABI_OP_MASK;
}

void ref_init(struct ref_consumer *c, void *base)
{
	c->base = base;
	c->mb = base;
	c->cmdr = c->base + c->mb->cmdr_off;
	c->size = c->mb->cmdr_size;
	c->pos = c->mb->cmd_tail;
}

size_t ref_cdb_len(const uint8_t *cdb)
{
	static const uint8_t by_group[8] = { 6, 10, 10, 12, 16, 12, 10, 10 };

	return cdb[0] == 0x7f ? (size_t)8 + cdb[7] : by_group[cdb[0] >> 5];
}

static void read_cmd(struct ref_consumer *c, const struct tcmu_abi_entry *ent, struct ref_cmd *cmd)
{
	uint32_t n = ent->req.iov_cnt + ent->req.iov_bidi_cnt;

	cmd->iov_cnt = ent->req.iov_cnt;
	cmd->bidi_cnt = ent->req.iov_bidi_cnt;
	cmd->iov = calloc(n + 1, sizeof(*cmd->iov));
	for (uint32_t i = 0; i < n; i++) {
		cmd->iov[i].iov_base = c->base + (uintptr_t)ent->req.iov[i].iov_base;
		cmd->iov[i].iov_len = ent->req.iov[i].iov_len;
	}
	memcpy(cmd->cdb, c->base + ent->req.cdb_off, ref_cdb_len(c->base + ent->req.cdb_off));
}

bool ref_take(struct ref_consumer *c, struct ref_cmd *cmd)
{
	struct tcmu_abi_hdr *hdr = (void *)(c->cmdr + c->pos);
	struct tcmu_abi_tmr *tmr = (void *)hdr;

	c->pos = (c->pos + len(hdr)) % c->size;
	if (op(hdr) == TCMU_ABI_OP_PAD)
		return false;
	memset(cmd, 0, sizeof(*cmd));
	cmd->op = (uint8_t)op(hdr);
	cmd->id = hdr->cmd_id;
	if (cmd->op == TCMU_ABI_OP_CMD) {
		read_cmd(c, (void *)hdr, cmd);
	} else {
		cmd->tmr_type = tmr->type;
		cmd->tmr_cnt = tmr->cmd_cnt;
		memcpy(cmd->tmr_ids, tmr->cmd_ids,
		       (tmr->cmd_cnt < 64 ? tmr->cmd_cnt : 64) * sizeof(uint16_t));
	}
	return true;
}

bool ref_next(struct ref_consumer *c, struct ref_cmd *cmd)
{
	uint32_t head = __atomic_load_n(&c->mb->cmd_head, __ATOMIC_ACQUIRE);

	while (c->pos != head)
		if (ref_take(c, cmd))
			return true;
	return false;
}

bool ref_next_ahead(struct ref_consumer *c, struct ref_cmd *cmd)
{
	volatile struct tcmu_abi_hdr *hdr = (void *)(c->cmdr + c->pos);

	if ((hdr->len_op & TCMU_ABI_OP_MASK) != TCMU_ABI_OP_CMD || !hdr->cmd_id)
		return false;
	return ref_take(c, cmd);
}

void ref_free(struct ref_cmd *cmd)
{
	free(cmd->iov);
	cmd->iov = NULL;
}

size_t ref_len(const struct ref_cmd *cmd)
{
	size_t n = 0;

	for (uint32_t i = 0; i < cmd->iov_cnt; i++)
		n += cmd->iov[i].iov_len;
	return n;
}

void ref_fill(struct ref_cmd *cmd, uint8_t byte, size_t n)
{
	for (uint32_t i = 0; i < cmd->iov_cnt && n; i++) {
		size_t part = cmd->iov[i].iov_len < n ? cmd->iov[i].iov_len : n;

		memset(cmd->iov[i].iov_base, byte, part);
		n -= part;
	}
}

void ref_pass(struct ref_consumer *c)
{
	struct tcmu_abi_hdr *hdr = (void *)(c->cmdr + c->mb->cmd_tail);

	__atomic_store_n(&c->mb->cmd_tail, (c->mb->cmd_tail + len(hdr)) % c->size,
			 __ATOMIC_RELEASE);
}

struct tcmu_abi_entry *ref_slot(struct ref_consumer *c)
{
	while (c->mb->cmd_tail != c->pos) {
		struct tcmu_abi_entry *ent = (void *)(c->cmdr + c->mb->cmd_tail);

		if (op(&ent->hdr) == TCMU_ABI_OP_CMD)
			return ent;
		ref_pass(c);
	}
	return NULL;
}

void ref_answer(struct ref_consumer *c, uint16_t id, uint8_t status, uint8_t uflags,
		uint32_t read_len)
{
	struct tcmu_abi_entry *ent = ref_slot(c);

	memset(&ent->rsp, 0, sizeof(ent->rsp));
	ent->rsp.scsi_status = status;
	ent->rsp.read_len = read_len;
	ent->hdr.cmd_id = id;
	ent->hdr.uflags = uflags;
	ref_pass(c);
	ref_slot(c);
}

void ref_answer_sense(struct ref_consumer *c, uint16_t id, uint8_t key, uint8_t asc)
{
	struct tcmu_abi_entry *ent = ref_slot(c);

	memset(&ent->rsp, 0, sizeof(ent->rsp));
	ent->rsp.scsi_status = 0x02;
	ent->rsp.sense[0] = 0x70;
	ent->rsp.sense[2] = key;
	ent->rsp.sense[7] = 10;
	ent->rsp.sense[12] = asc;
	ent->hdr.cmd_id = id;
	ent->hdr.uflags = 0;
	ref_pass(c);
	ref_slot(c);
}
