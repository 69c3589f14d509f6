/* SPDX-License-Identifier: Apache-2.0 */
/* Violations 1 to 10: cmd_tail, slots, ids, and memory that is not user space's. */
#include "violations.h"

static void set_tail(uint32_t tail)
{
	__atomic_store_n(&g.c.mb->cmd_tail, tail, __ATOMIC_RELEASE);
	fake_ring_doorbell(g.r, 1);
}

/* 1 */
static void tail_inside_entry(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	rig_submit(&g, 0, FAKE_OUT, 4096);
	cmd = rig_next(&g);
	set_tail(8);
	assert_true(fake_ring_is_broken(g.r));
	ref_free(&cmd);
	expect(FAKE_V_TAIL_BOUNDARY);
}

static void tail_out_of_ring(void **state)
{
	(void)state;
	rig_submit(&g, 0, FAKE_NONE, 0);
	set_tail(1 << 20);
	expect(FAKE_V_TAIL_BOUNDARY);
}

/* 2 */
static void tail_beyond_head(void **state)
{
	(void)state;
	rig_submit(&g, 0, FAKE_NONE, 0);
	set_tail(240);
	assert_int_equal(g.done[0], 0);
	expect(FAKE_V_TAIL_BEYOND);
}

static void tail_beyond_hidden_head(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	rig_submit(&g, 0, FAKE_OUT, 512);
	fake_ring_hold_head(g.r, true);
	rig_submit(&g, 1, FAKE_OUT, 512);
	cmd = rig_next(&g);
	ref_answer(&g.c, cmd.id, 0, 0, 0);
	ref_free(&cmd);
	ref_pass(&g.c);
	fake_ring_doorbell(g.r, 1);
	expect(FAKE_V_TAIL_BEYOND);
}

/* 3 */
static void tail_backwards(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		rig_submit(&g, i, FAKE_OUT, 512);
		rig_serve(&g);
	}
	set_tail(128);
	expect(FAKE_V_TAIL_BACKWARDS);
}

/* 4 */
static void len_op_changed(void **state)
{
	struct ref_cmd cmd;
	struct tcmu_abi_entry *ent;

	(void)state;
	rig_submit(&g, 0, FAKE_OUT, 512);
	rig_submit(&g, 1, FAKE_OUT, 512);
	cmd = rig_next(&g);
	ent = ref_slot(&g.c);
	ref_answer(&g.c, cmd.id, 0, 0, 0);
	ent->hdr.len_op = 128 | TCMU_ABI_OP_PAD;
	ref_free(&cmd);
	fake_ring_doorbell(g.r, 1);
	assert_int_equal(g.done[0], 1);
	expect(FAKE_V_LEN_OP);
}

/* 5 */
static void answer_dead_id(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	rig_submit(&g, 0, FAKE_OUT, 512);
	cmd = rig_next(&g);
	ref_answer(&g.c, 7, 0, 0, 0);
	ref_free(&cmd);
	fake_ring_doorbell(g.r, 1);
	assert_int_equal(g.done[0], 0);
	assert_true(fake_ring_is_broken(g.r));
	expect(FAKE_V_CMD_ID);
}

static void answer_twice(void **state)
{
	struct ref_cmd cmd[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		rig_submit(&g, i, FAKE_OUT, 512);
	for (int i = 0; i < 2; i++)
		cmd[i] = rig_next(&g);
	for (int i = 0; i < 2; i++)
		ref_answer(&g.c, cmd[0].id, 0, 0, 0);
	for (int i = 0; i < 2; i++)
		ref_free(&cmd[i]);
	fake_ring_doorbell(g.r, 1);
	assert_int_equal(g.done[0], 1);
	expect(FAKE_V_CMD_ID);
}

/* 6: a command was queued, but cmd_head does not cover it yet. */
static void answer_unpublished(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	rig_submit(&g, 0, FAKE_OUT, 512);
	fake_ring_hold_head(g.r, true);
	rig_submit(&g, 1, FAKE_OUT, 512);
	cmd = rig_next(&g);
	ref_answer(&g.c, 2, 0, 0, 0);
	ref_free(&cmd);
	fake_ring_doorbell(g.r, 1);
	expect(FAKE_V_UNREAD);
}

/* 6: what a restart after a crash does when it trusts slots that answers went through. The id in
 * the slot belongs to a new command by then. */
static void answer_reused_id(void **state)
{
	const uint32_t pos_off = 72;
	struct fake_ring_cfg cfg = FAKE_RING_CFG_DEFAULT;
	struct ref_cmd a, b;
	uint32_t *pos;

	(void)state;
	cfg.ring_bytes = 4096;
	cfg.pos_off = pos_off;
	violation_rig(&cfg);
	pos = (void *)((uint8_t *)g.c.mb + pos_off);
	rig_submit(&g, 0, FAKE_OUT, 512);
	rig_submit(&g, 1, FAKE_OUT, 512);
	a = rig_next(&g);
	b = rig_next(&g);
	*pos = g.c.pos;
	ref_answer(&g.c, b.id, 0, 0, 0);
	fake_ring_doorbell(g.r, 1);
	rig_submit(&g, 2, FAKE_OUT, 512); /* has the id of b now */
	ref_init(&g.c, fake_ring_base(g.r));
	ref_free(&b);
	b = rig_next(&g); /* the slot of b, which is the only one left */
	*pos = g.c.pos;
	ref_answer(&g.c, b.id, 0, 0, 0);
	fake_ring_doorbell(g.r, 1);
	assert_int_equal(g.done[2], 1);
	ref_free(&a);
	ref_free(&b);
	expect(FAKE_V_UNREAD);
}

/* 7 */
static void never_answered(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	rig_submit(&g, 0, FAKE_OUT, 512);
	cmd = rig_next(&g);
	ref_free(&cmd);
	fake_ring_check_idle(g.r);
	expect(FAKE_V_UNANSWERED);
}

/* 8 */
static void tmr_not_passed(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	rig_submit(&g, 0, FAKE_OUT, 512);
	rig_serve(&g);
	fake_ring_tmr(g.r, 5, NULL, 0);
	cmd = rig_next(&g);
	assert_int_equal(cmd.op, TCMU_ABI_OP_TMR);
	fake_ring_check_idle(g.r);
	expect(FAKE_V_NOT_DRAINED);
}

/* 9 */
static void late_store_to_slot(void **state)
{
	struct ref_cmd cmd;
	struct tcmu_abi_entry *ent;

	(void)state;
	rig_submit(&g, 0, FAKE_OUT, 512);
	cmd = rig_next(&g);
	ent = ref_slot(&g.c);
	ref_answer(&g.c, cmd.id, 0, 0, 0);
	ref_free(&cmd);
	fake_ring_doorbell(g.r, 1);
	ent->rsp.scsi_status = 0;
	fake_ring_check_idle(g.r);
	expect(FAKE_V_STALE_STORE);
}

static void late_store_to_data(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	rig_submit(&g, 0, FAKE_IN, 512);
	cmd = rig_next(&g);
	ref_fill(&cmd, 0x22, 512);
	ref_answer(&g.c, cmd.id, 0, 0, 0);
	fake_ring_doorbell(g.r, 1);
	ref_fill(&cmd, 0x22, 1);
	ref_free(&cmd);
	rig_submit(&g, 1, FAKE_OUT, 512); /* the same block */
	expect(FAKE_V_STALE_STORE);
}

static void store_ahead_of_head(void **state)
{
	(void)state;
	g.c.cmdr[4000 - 128] = 1;
	fake_ring_check_idle(g.r);
	expect(FAKE_V_STALE_STORE);
}

/* 10 */
static void store_to_mailbox(void **state)
{
	(void)state;
	rig_submit(&g, 0, FAKE_OUT, 512);
	g.c.mb->cmdr_size = 64;
	g.c.size = 4096 - 128;
	rig_serve(&g);
	expect(FAKE_V_MAILBOX);
	g.c.mb->scratch[7] = 1; /* ours */
	fake_ring_check_idle(g.r);
	assert_int_equal(fake_verdict_count(&g.v, FAKE_V_MAILBOX), 1);
	g.c.mb->cmd_head = 8;
	fake_ring_check_idle(g.r);
	assert_int_equal(fake_verdict_count(&g.v, FAKE_V_MAILBOX), 2);
}

#define T(kind, fn) VIOLATION(FAKE_V_##kind, fn)

const struct violation violations_ring[] = {
	T(TAIL_BOUNDARY, tail_inside_entry), T(TAIL_BOUNDARY, tail_out_of_ring),
	T(TAIL_BEYOND, tail_beyond_head),    T(TAIL_BEYOND, tail_beyond_hidden_head),
	T(TAIL_BACKWARDS, tail_backwards),   T(LEN_OP, len_op_changed),
	T(CMD_ID, answer_dead_id),           T(CMD_ID, answer_twice),
	T(UNREAD, answer_unpublished),       T(UNREAD, answer_reused_id),
	T(UNANSWERED, never_answered),       T(NOT_DRAINED, tmr_not_passed),
	T(STALE_STORE, late_store_to_slot),  T(STALE_STORE, late_store_to_data),
	T(STALE_STORE, store_ahead_of_head), T(MAILBOX, store_to_mailbox),
};
const size_t violations_ring_cnt = sizeof(violations_ring) / sizeof(violations_ring[0]);
