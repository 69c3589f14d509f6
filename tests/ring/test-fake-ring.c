/* SPDX-License-Identifier: Apache-2.0 */
/* The fake ring is laid out and behaves as target_core_user.c does. */
#include "rig.h"

#include <stdlib.h>

static struct rig g;

static void open_ring(uint32_t bytes, uint32_t pages, uint32_t blocks)
{
	struct fake_ring_cfg cfg = FAKE_RING_CFG_DEFAULT;

	cfg.ring_bytes = bytes;
	cfg.pages_per_blk = pages;
	cfg.data_blocks = blocks;
	rig_open(&g, &cfg);
}

static struct tcmu_abi_entry *entry_at(uint32_t off)
{
	return (void *)(g.c.cmdr + off);
}

static int close_ring(void **state)
{
	(void)state;
	fake_ring_check_idle(g.r);
	rig_expect(&g, FAKE_V_NONE);
	rig_close(&g);
	return 0;
}

static void mailbox(void **state)
{
	(void)state;
	open_ring(1 << 20, 1, 16);
	assert_int_equal(g.c.mb->version, 2);
	assert_int_equal(g.c.mb->flags, 0xf);
	assert_int_equal(g.c.mb->cmdr_off, 128);
	assert_int_equal(g.c.mb->cmdr_size, (1 << 20) - 128);
	assert_int_equal(fake_ring_map_len(g.r), (1 << 20) + 16 * 4096 + FAKE_PAGE);
}

/* READ(10) with one iov: 112 bytes, the CDB behind, 128 in all. */
static void entry_layout(void **state)
{
	struct tcmu_abi_entry *ent;

	(void)state;
	open_ring(8192, 1, 16);
	rig_submit(&g, 0, FAKE_IN, 5000);
	ent = entry_at(0);
	assert_int_equal(ent->hdr.len_op, 128 | 1);
	assert_int_equal(ent->hdr.cmd_id, 1);
	assert_int_equal(ent->req.iov_cnt, 1);
	assert_int_equal(ent->req.cdb_off, 128 + 112);
	assert_int_equal((uintptr_t)ent->req.iov[0].iov_base, 8192);
	assert_int_equal(ent->req.iov[0].iov_len, 5000);
	assert_int_equal(g.c.cmdr[112], 0x28);
	assert_int_equal(g.c.mb->cmd_head, 128);
	rig_serve(&g);
	assert_int_equal(g.done[0], 1);
	assert_int_equal(g.data[0][4999], 0x11);
}

/* Lowest free blocks; only neighbours share an iov. Five iovs make the entry longer. */
static void blocks(void **state)
{
	struct ref_cmd cmd[12];
	struct tcmu_abi_entry *ent;

	(void)state;
	open_ring(16384, 1, 12);
	for (int i = 0; i < 10; i++) {
		rig_submit(&g, i, FAKE_OUT, 4096);
		cmd[i] = rig_next(&g);
	}
	for (int i = 0; i < 10; i += 2) { /* blocks 0, 2, 4, 6, 8 and ids 1, 3, 5, 7, 9 */
		ref_answer(&g.c, cmd[i].id, 0, 0, 0);
		ref_free(&cmd[i]);
	}
	fake_ring_doorbell(g.r, 1);
	rig_submit(&g, 10, FAKE_OUT, 4 * 4096);
	ent = entry_at(1280);
	assert_int_equal(ent->req.iov_cnt, 4);
	assert_int_equal(ent->hdr.cmd_id, 1);
	assert_int_equal((uintptr_t)ent->req.iov[3].iov_base, 16384 + 6 * 4096);
	cmd[10] = rig_next(&g);
	rig_submit(&g, 0, FAKE_OUT, 2 * 4096 + 1); /* 8, 10, 11 */
	ent = entry_at(1408);
	assert_int_equal(ent->hdr.cmd_id, 3);
	assert_int_equal(ent->req.iov_cnt, 2);
	assert_int_equal(ent->req.iov[1].iov_len, 4097);
	ref_answer(&g.c, cmd[10].id, 0, 0, 0);
	ref_free(&cmd[10]);
	for (int i = 1; i < 10; i += 2) {
		ref_answer(&g.c, cmd[i].id, 0, 0, 0);
		ref_free(&cmd[i]);
	}
	rig_serve(&g);
}

static void five_iovs(void **state)
{
	struct ref_cmd cmd[5], odd[5];

	(void)state;
	open_ring(16384, 1, 10);
	for (int i = 0; i < 5; i++) {
		rig_submit(&g, 2 * i, FAKE_OUT, 4096);
		odd[i] = rig_next(&g);
		rig_submit(&g, 2 * i + 1, FAKE_OUT, 4096);
		cmd[i] = rig_next(&g);
	}
	for (int i = 0; i < 5; i++)
		ref_answer(&g.c, odd[i].id, 0, 0, 0);
	fake_ring_doorbell(g.r, 1);
	g.cmd[10] = (struct fake_cmd) { .cdb = { 0x8a }, .dir = FAKE_OUT, .len = 5 * 4096 };
	g.cmd[10].data = calloc(5, 4096);
	fake_ring_submit(g.r, &g.cmd[10]);
	assert_int_equal(entry_at(1280)->req.iov_cnt, 5);
	assert_int_equal(entry_at(1280)->hdr.len_op, (48 + 5 * 16 + 16) | 1);
	for (int i = 0; i < 5; i++) {
		ref_answer(&g.c, cmd[i].id, 0, 0, 0);
		ref_free(&cmd[i]);
		ref_free(&odd[i]);
	}
	rig_serve(&g);
	free(g.cmd[10].data);
}

/* Only the pages that are needed: behind them is nothing. */
static void big_blocks(void **state)
{
	(void)state;
	open_ring(8192, 64, 4);
	rig_submit(&g, 0, FAKE_OUT, 8192);
	assert_int_equal(entry_at(0)->req.iov_cnt, 1);
	rig_submit(&g, 1, FAKE_OUT, 1);
	assert_int_equal((uintptr_t)entry_at(128)->req.iov[0].iov_base, 8192 + 64 * 4096);
	rig_serve(&g);
	rig_serve(&g);
}

/* 3968 bytes hold 31 entries of 128; the 31st leaves nothing, so there is no PAD. */
static void exact_fit(void **state)
{
	struct fake_ring_stats st;

	(void)state;
	open_ring(4096, 1, 64);
	for (int i = 0; i < 31; i++) {
		rig_submit(&g, i, FAKE_OUT, 512);
		rig_serve(&g);
	}
	assert_int_equal(g.c.mb->cmd_head, 0);
	fake_ring_get_stats(g.r, &st);
	assert_int_equal(st.pads, 0);
}

/* The rest is too short: a PAD over all of it. It becomes visible with the command only because
 * the command follows at once; its slot is one of its own. */
static void pad(void **state)
{
	struct fake_ring_stats st;

	(void)state;
	open_ring(4096 - 8, 1, 64);
	for (int i = 0; i < 30; i++) {
		rig_submit(&g, i, FAKE_OUT, 512);
		rig_serve(&g);
	}
	rig_submit(&g, 30, FAKE_OUT, 512);
	assert_int_equal(entry_at(3840)->hdr.len_op, 120);
	assert_int_equal(g.c.mb->cmd_head, 128);
	rig_serve(&g);
	fake_ring_get_stats(g.r, &st);
	assert_int_equal(st.pads, 1);
}

/* One byte always stays free, so 31 slots hold 30 commands; the rest waits, in order. */
static void ring_full(void **state)
{
	struct fake_ring_stats st;

	(void)state;
	open_ring(4096, 1, 64);
	for (int i = 0; i < 34; i++)
		rig_submit(&g, i, FAKE_OUT, 512);
	fake_ring_get_stats(g.r, &st);
	assert_int_equal(st.in_flight, 30);
	assert_int_equal(st.qfull, 4);
	for (int i = 0; i < 34; i++)
		rig_serve(&g);
	for (int i = 0; i < 34; i++)
		assert_int_equal(g.done[i], 1);
}

static void area_full(void **state)
{
	(void)state;
	open_ring(8192, 1, 4);
	rig_submit(&g, 0, FAKE_OUT, 3 * 4096);
	rig_submit(&g, 1, FAKE_OUT, 2 * 4096);
	rig_submit(&g, 2, FAKE_NONE, 0); /* would fit, but is behind */
	assert_int_equal(fake_ring_cmd_id(g.r, &g.cmd[2]), 0);
	fake_ring_expire(g.r, &g.cmd[1]);
	assert_int_equal(g.cmd[1].status, 0x28);
	rig_serve(&g);
	assert_int_equal(fake_ring_cmd_id(g.r, &g.cmd[2]), 1);
	rig_serve(&g);
	g.cmd[3] = (struct fake_cmd) { .cdb = { 0x2a }, .dir = FAKE_OUT, .len = 5 * 4096 };
	fake_ring_submit(g.r, &g.cmd[3]);
	assert_int_equal(g.cmd[3].status, 0x02); /* larger than the area: at once */
	assert_int_equal(g.cmd[3].sense[12], 0x24);
}

/* Any id in any slot; ids are the lowest free. */
static void out_of_order(void **state)
{
	struct ref_cmd cmd[8];

	(void)state;
	open_ring(4096, 1, 64);
	for (int i = 0; i < 8; i++) {
		rig_submit(&g, i, FAKE_IN, 512);
		cmd[i] = rig_next(&g);
		assert_int_equal(cmd[i].id, i + 1);
	}
	for (int i = 7; i >= 0; i--) {
		ref_fill(&cmd[i], (uint8_t)(0x40 + i), 512);
		ref_answer(&g.c, cmd[i].id, 0, 0, 0);
		fake_ring_doorbell(g.r, 1);
		assert_int_equal(g.done[i], 1);
		assert_int_equal(g.data[i][511], 0x40 + i);
		ref_free(&cmd[i]);
	}
}

static void read_len(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	open_ring(4096, 1, 64);
	rig_submit(&g, 0, FAKE_IN, 96);
	cmd = rig_next(&g);
	ref_fill(&cmd, 0x12, 36);
	ref_answer(&g.c, cmd.id, 0, TCMU_ABI_UFLAG_READ_LEN, 36);
	fake_ring_doorbell(g.r, 1);
	assert_int_equal(g.cmd[0].residual, 60);
	assert_int_equal(g.data[0][35], 0x12);
	assert_int_equal(g.data[0][36], 0);
	ref_free(&cmd);
}

static void sense(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	open_ring(4096, 1, 64);
	rig_submit(&g, 0, FAKE_IN, 96);
	cmd = rig_next(&g);
	ref_answer_sense(&g.c, cmd.id, 5, 0x20);
	fake_ring_doorbell(g.r, 1);
	assert_int_equal(g.cmd[0].status, 2);
	assert_int_equal(g.cmd[0].sense[12], 0x20);
	ref_free(&cmd);
}

static void keep_buf(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	open_ring(4096, 1, 64);
	for (int i = 0; i < 2; i++) {
		rig_submit(&g, i, FAKE_OUT, 512);
		cmd = rig_next(&g);
		assert_int_equal(cmd.id, i + 1);
		ref_answer(&g.c, cmd.id, 0, TCMU_ABI_UFLAG_KEEP_BUF, 0);
		fake_ring_doorbell(g.r, 1);
		assert_int_equal(g.done[i], 1);
		ref_free(&cmd);
	}
	assert_int_equal(fake_ring_free_kept(g.r, 1), 0);
	rig_submit(&g, 2, FAKE_OUT, 512);
	assert_int_equal(fake_ring_cmd_id(g.r, &g.cmd[2]), 1);
	rig_serve(&g);
	fake_ring_closed(g.r); /* frees the other one */
}

/* Aborted commands are named, answered as aborted, and a TMR goes before commands that wait. */
static void tmr(void **state)
{
	struct fake_cmd *victims[3];
	struct ref_cmd cmd;
	uint16_t ids[2];

	(void)state;
	open_ring(4096, 1, 64);
	for (int i = 0; i < 31; i++)
		rig_submit(&g, i, FAKE_OUT, 512);
	victims[0] = &g.cmd[3];
	victims[1] = &g.cmd[5];
	victims[2] = &g.cmd[30]; /* waits for the ring */
	fake_ring_tmr(g.r, 5, victims, 3);
	assert_int_equal(g.done[30], 1);
	assert_int_equal(g.cmd[30].status, 0x40);
	rig_submit(&g, 31, FAKE_OUT, 512);
	for (int i = 0; i < 30; i++)
		rig_serve(&g);
	assert_int_equal(g.cmd[3].status, 0x40);
	assert_int_equal(g.cmd[4].status, 0);
	cmd = rig_next(&g);
	assert_int_equal(cmd.op, TCMU_ABI_OP_TMR);
	assert_int_equal(cmd.tmr_type, 5);
	assert_int_equal(cmd.tmr_cnt, 2);
	ids[0] = cmd.tmr_ids[0];
	ids[1] = cmd.tmr_ids[1];
	assert_int_equal(ids[0], 4);
	assert_int_equal(ids[1], 6);
	rig_serve(&g);
	assert_int_equal(g.done[31], 1);
	fake_ring_tmr(g.r, 1, NULL, 0);
	assert_int_equal(entry_at(g.c.pos)->hdr.len_op, 32 | 2);
	cmd = rig_next(&g);
	ref_slot(&g.c);
}

/* A late answer is taken once, and nothing but the space comes of it. */
static void expiry(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	open_ring(4096, 1, 64);
	rig_submit(&g, 0, FAKE_IN, 512);
	cmd = rig_next(&g);
	fake_ring_expire(g.r, &g.cmd[0]);
	assert_int_equal(g.cmd[0].sense[12], 0x08);
	rig_submit(&g, 1, FAKE_OUT, 512);
	assert_int_equal(fake_ring_cmd_id(g.r, &g.cmd[1]), 2); /* id 1 is still taken */
	ref_fill(&cmd, 1, 512);
	ref_answer(&g.c, cmd.id, 0, 0, 0);
	fake_ring_doorbell(g.r, 1);
	assert_int_equal(g.done[0], 1);
	ref_free(&cmd);
	rig_serve(&g);
}

static void reset(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	open_ring(4096, 1, 64);
	for (int i = 0; i < 31; i++)
		rig_submit(&g, i, FAKE_OUT, 512);
	cmd = rig_next(&g);
	ref_free(&cmd);
	fake_ring_block(g.r, true);
	assert_int_equal(g.cmd[30].status, 0x08);
	assert_int_equal(g.done[0], 0);
	fake_ring_reset(g.r, 1);
	assert_int_equal(g.cmd[0].status, 0x08);
	rig_submit(&g, 0, FAKE_OUT, 512);
	assert_int_equal(g.cmd[0].status, 0x08);
	fake_ring_block(g.r, false);
	assert_int_equal(g.c.mb->cmd_tail, 0);
	ref_init(&g.c, fake_ring_base(g.r));
	rig_submit(&g, 0, FAKE_OUT, 512);
	rig_serve(&g);
	assert_int_equal(g.cmd[0].status, 0);
}

/* A published tail counts without a doorbell, too: slot, id and blocks may be used again. */
static void reclaim(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	open_ring(4096, 1, 64);
	rig_submit(&g, 0, FAKE_OUT, 512);
	cmd = rig_next(&g);
	ref_answer(&g.c, cmd.id, 0, 0, 0);
	ref_free(&cmd);
	assert_true(fake_ring_published(g.r));
	fake_ring_reclaim(g.r);
	assert_int_equal(g.done[0], 1);
}

static void bidi(void **state)
{
	static uint8_t in[4096];
	struct ref_cmd cmd;

	(void)state;
	open_ring(4096, 1, 64);
	g.cmd[0] = (struct fake_cmd) { .cdb = { 0x53 },
				       .dir = FAKE_OUT,
				       .data = g.data[0],
				       .len = 4096,
				       .bidi_in = in,
				       .bidi_len = 4096 };
	fake_ring_submit(g.r, &g.cmd[0]);
	cmd = rig_next(&g);
	assert_int_equal(cmd.iov_cnt, 1);
	assert_int_equal(cmd.bidi_cnt, 1);
	memset(cmd.iov[1].iov_base, 0x77, 4096);
	ref_answer(&g.c, cmd.id, 0, 0, 0);
	fake_ring_doorbell(g.r, 1);
	assert_int_equal(in[4095], 0x77);
	ref_free(&cmd);
}

static void vendor_cdb(void **state)
{
	(void)state;
	open_ring(4096, 1, 64);
	g.cmd[0] = (struct fake_cmd) { .cdb = { 0xc0 } };
	fake_ring_submit(g.r, &g.cmd[0]);
	assert_int_equal(entry_at(0)->hdr.len_op, 128 | 1);
	g.cmd[1] = (struct fake_cmd) { .cdb = { 0x7f, 0, 0, 0, 0, 0, 0, 252 } };
	fake_ring_submit(g.r, &g.cmd[1]);
	assert_int_equal(entry_at(128)->hdr.len_op, (112 + 264) | 1);
	rig_serve(&g);
	rig_serve(&g);
}

#define T(fn) cmocka_unit_test_teardown(fn, close_ring)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(mailbox),   T(entry_layout), T(blocks),    T(five_iovs),  T(big_blocks),
		T(exact_fit), T(pad),          T(ring_full), T(area_full),  T(out_of_order),
		T(read_len),  T(sense),        T(keep_buf),  T(tmr),        T(expiry),
		T(reset),     T(reclaim),      T(bidi),      T(vendor_cdb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
