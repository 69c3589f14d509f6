/* SPDX-License-Identifier: Apache-2.0 */
/* Each thing that user space can do wrong, done by hand: the fake must say exactly that. */
#include "rig.h"

static struct rig g;

static int setup(void **state)
{
	struct fake_ring_cfg cfg = FAKE_RING_CFG_DEFAULT;

	(void)state;
	cfg.ring_bytes = 4096;
	rig_open(&g, &cfg);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_close(&g);
	return 0;
}

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
	rig_expect(&g, FAKE_V_TAIL_BOUNDARY);
}

static void tail_out_of_ring(void **state)
{
	(void)state;
	rig_submit(&g, 0, FAKE_NONE, 0);
	set_tail(1 << 20);
	rig_expect(&g, FAKE_V_TAIL_BOUNDARY);
}

/* 2 */
static void tail_beyond_head(void **state)
{
	(void)state;
	rig_submit(&g, 0, FAKE_NONE, 0);
	set_tail(240);
	assert_int_equal(g.done[0], 0);
	rig_expect(&g, FAKE_V_TAIL_BEYOND);
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
	rig_expect(&g, FAKE_V_TAIL_BEYOND);
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
	rig_expect(&g, FAKE_V_TAIL_BACKWARDS);
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
	rig_expect(&g, FAKE_V_LEN_OP);
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
	rig_expect(&g, FAKE_V_CMD_ID);
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
	rig_expect(&g, FAKE_V_CMD_ID);
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
	rig_expect(&g, FAKE_V_UNREAD);
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
	rig_close(&g);
	cfg.ring_bytes = 4096;
	cfg.pos_off = pos_off;
	rig_open(&g, &cfg);
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
	rig_expect(&g, FAKE_V_UNREAD);
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
	rig_expect(&g, FAKE_V_UNANSWERED);
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
	rig_expect(&g, FAKE_V_NOT_DRAINED);
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
	rig_expect(&g, FAKE_V_STALE_STORE);
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
	rig_expect(&g, FAKE_V_STALE_STORE);
}

static void store_ahead_of_head(void **state)
{
	(void)state;
	g.c.cmdr[4000 - 128] = 1;
	fake_ring_check_idle(g.r);
	rig_expect(&g, FAKE_V_STALE_STORE);
}

/* 10 */
static void store_to_mailbox(void **state)
{
	(void)state;
	rig_submit(&g, 0, FAKE_OUT, 512);
	g.c.mb->cmdr_size = 64;
	g.c.size = 4096 - 128;
	rig_serve(&g);
	rig_expect(&g, FAKE_V_MAILBOX);
	g.c.mb->scratch[7] = 1; /* ours */
	fake_ring_check_idle(g.r);
	assert_int_equal(fake_verdict_count(&g.v, FAKE_V_MAILBOX), 1);
	g.c.mb->cmd_head = 8;
	fake_ring_check_idle(g.r);
	assert_int_equal(fake_verdict_count(&g.v, FAKE_V_MAILBOX), 2);
}

/* 11 */
static void store_behind_buffer(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	rig_submit(&g, 0, FAKE_IN, 512);
	cmd = rig_next(&g);
	cmd.iov[0].iov_len = 513;
	ref_fill(&cmd, 0x22, 513);
	ref_answer(&g.c, cmd.id, 0, 0, 0);
	ref_free(&cmd);
	fake_ring_doorbell(g.r, 1);
	rig_expect(&g, FAKE_V_OUTSIDE_IOV);
}

/* 12 */
static void read_not_filled(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	rig_submit(&g, 0, FAKE_IN, 96);
	cmd = rig_next(&g);
	ref_fill(&cmd, 0x22, 36); /* an INQUIRY of old */
	ref_answer(&g.c, cmd.id, 0, 0, 0);
	ref_free(&cmd);
	fake_ring_doorbell(g.r, 1);
	rig_expect(&g, FAKE_V_NOT_FILLED);
}

/* 13 */
static void answer_read_len(enum fake_dir dir, uint32_t len)
{
	struct ref_cmd cmd;

	rig_submit(&g, 0, dir, dir == FAKE_NONE ? 0 : 512);
	cmd = rig_next(&g);
	if (dir == FAKE_IN)
		ref_fill(&cmd, 0x22, 512);
	ref_answer(&g.c, cmd.id, 0, TCMU_ABI_UFLAG_READ_LEN, len);
	ref_free(&cmd);
	fake_ring_doorbell(g.r, 1);
	assert_int_equal(g.done[0], 1);
	rig_expect(&g, FAKE_V_READ_LEN);
}

static void read_len_too_long(void **state)
{
	(void)state;
	answer_read_len(FAKE_IN, 513);
}

static void read_len_zero(void **state)
{
	(void)state;
	answer_read_len(FAKE_IN, 0);
}

static void read_len_of_write(void **state)
{
	(void)state;
	answer_read_len(FAKE_OUT, 512);
}

static void read_len_of_nothing(void **state)
{
	(void)state;
	answer_read_len(FAKE_NONE, 1);
}

/* 14 */
static void check_without_sense(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	rig_submit(&g, 0, FAKE_OUT, 512);
	cmd = rig_next(&g);
	ref_answer(&g.c, cmd.id, 0x02, 0, 0);
	ref_free(&cmd);
	fake_ring_doorbell(g.r, 1);
	rig_expect(&g, FAKE_V_SENSE);
}

static void unknown_op(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	rig_submit(&g, 0, FAKE_NONE, 0);
	cmd = rig_next(&g);
	ref_answer(&g.c, cmd.id, 0, TCMU_ABI_UFLAG_UNKNOWN_OP, 0);
	ref_free(&cmd);
	fake_ring_doorbell(g.r, 1);
	assert_int_equal(g.cmd[0].status, 0x02);
	assert_int_equal(g.cmd[0].sense[2], 0x02);
	assert_int_equal(g.cmd[0].sense[12], 0x08);
	rig_expect(&g, FAKE_V_SENSE);
}

/* 15 */
static bool never_really(const struct fake_cmd *cmd, uint8_t status, void *arg)
{
	(void)cmd;
	(void)arg;
	return status != 0;
}

static void answered_too_early(void **state)
{
	(void)state;
	fake_ring_on_ack(g.r, never_really, NULL);
	rig_submit(&g, 0, FAKE_OUT, 512);
	rig_serve(&g);
	rig_expect(&g, FAKE_V_EARLY_ACK);
}

/* 16 */
static void kept_and_forgotten(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	rig_submit(&g, 0, FAKE_OUT, 512);
	cmd = rig_next(&g);
	ref_answer(&g.c, cmd.id, 0, TCMU_ABI_UFLAG_KEEP_BUF, 0);
	ref_free(&cmd);
	fake_ring_doorbell(g.r, 1);
	fake_ring_check_idle(g.r);
	rig_expect(&g, FAKE_V_KEEP_BUF);
	fake_verdicts_clear(&g.v);
	assert_int_equal(fake_ring_free_kept(g.r, 1), 0);
	rig_expect(&g, FAKE_V_NONE);
	assert_int_equal(fake_ring_free_kept(g.r, 1), -22);
	rig_expect(&g, FAKE_V_KEEP_BUF);
}

/* 19: the initiator's task management function waits for the answer. */
static void aborted_and_forgotten(void **state)
{
	struct fake_cmd *victim = &g.cmd[0];
	struct ref_cmd cmd;

	(void)state;
	rig_submit(&g, 0, FAKE_OUT, 512);
	fake_ring_tmr(g.r, 1, &victim, 1);
	cmd = rig_next(&g);
	ref_free(&cmd);
	fake_ring_check_idle(g.r);
	rig_expect(&g, FAKE_V_TMR);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(tail_inside_entry),       T(tail_out_of_ring),    T(tail_beyond_head),
		T(tail_beyond_hidden_head), T(tail_backwards),      T(len_op_changed),
		T(answer_dead_id),          T(answer_twice),        T(answer_unpublished),
		T(answer_reused_id),        T(never_answered),      T(tmr_not_passed),
		T(late_store_to_slot),      T(late_store_to_data),  T(store_ahead_of_head),
		T(store_to_mailbox),        T(store_behind_buffer), T(read_not_filled),
		T(read_len_too_long),       T(read_len_zero),       T(read_len_of_write),
		T(read_len_of_nothing),     T(check_without_sense), T(unknown_op),
		T(answered_too_early),      T(kept_and_forgotten),  T(aborted_and_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
