/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user space of ref-swap.h, looked at between any two of its stores, and killed there: the ring is
 * always its own journal, and each command ends once.
 */
#include <stdlib.h>

#include "rig.h"
#include "swap-rig.h"

#define COMMANDS 1500
#define PENDING  12

static struct rig g;
static struct ref_swap s;
static jmp_buf killed;
static unsigned int seed, stores, kill_at; /* kill_at: 0 never */
static struct ref_cmd pending[PENDING];
static int pending_cnt;

static void boundary(void *arg)
{
	(void)arg;
	stores++;
	if (!fake_ring_check_swap(g.r))
		fail_msg("after store %u", stores);
	if (kill_at && stores == kill_at)
		longjmp(killed, 1);
}

static void forget(void)
{
	for (int i = 0; i < PENDING; i++) /* also one that was just being taken */
		ref_free(&pending[i]);
	pending_cnt = 0;
	ref_swap_free(&s);
}

static void take_over(void)
{
	memset(&s, 0, sizeof(s));
	s.boundary = boundary;
	ref_swap_init(&s, fake_ring_base(g.r));
}

/* The data of a READ is its slot number, so that the right answer reaches the right command. */
static bool serve_one(int i)
{
	struct ref_cmd *cmd = &pending[i];
	bool ok;

	if (cmd->cdb[0] == 0x28)
		ref_fill(cmd, cmd->cdb[2], ref_len(cmd));
	if (cmd->cdb[0] == 0x2a && rand_r(&seed) % 8 == 0)
		ok = ref_swap_answer_sense(&s, cmd->id, 5, 0x24);
	else
		ok = ref_swap_answer(&s, cmd->id, 0);
	if (!ok)
		return false;
	ref_free(cmd);
	pending[i] = pending[--pending_cnt];
	pending[pending_cnt].iov = NULL;
	return true;
}

static void serve_some(void)
{
	while (pending_cnt < PENDING && ref_swap_next(&s, &pending[pending_cnt]))
		pending_cnt += pending[pending_cnt].op == TCMU_ABI_OP_CMD;
	/* What does not fit has to wait for what stands at the tail. */
	for (int n = pending_cnt ? rand_r(&seed) % (pending_cnt + 1) : 0; n; n--)
		if (!serve_one(rand_r(&seed) % pending_cnt) && rand_r(&seed) % 2)
			break;
}

static void submit_some(void)
{
	for (int n = rand_r(&seed) % 6; n; n--) {
		int i = rand_r(&seed) % RIG_CMDS;

		if (g.cmd[i].arg && !g.done[i])
			continue;
		memset(&g.cmd[i], 0, sizeof(g.cmd[i]));
		g.cmd[i].dir = (enum fake_dir)(rand_r(&seed) % 3);
		g.cmd[i].cdb[0] = g.cmd[i].dir == FAKE_IN ? 0x28 : g.cmd[i].dir ? 0x2a : 0x7f;
		g.cmd[i].cdb[2] = (uint8_t)i;
		g.cmd[i].cdb[7] = g.cmd[i].dir ? 0 : (uint8_t)(rand_r(&seed) % 64);
		g.cmd[i].data = g.data[i];
		g.cmd[i].len = g.cmd[i].dir ? 1 + (size_t)rand_r(&seed) % sizeof(g.data[i]) : 0;
		g.cmd[i].done = rig_done;
		g.cmd[i].arg = &g.done[i];
		g.done[i] = 0;
		fake_ring_submit(g.r, &g.cmd[i]);
	}
	if (rand_r(&seed) % 16 == 0)
		fake_ring_tmr(g.r, 5, NULL, 0);
	if (rand_r(&seed) % 32 == 0)
		fake_ring_fragment(g.r, rand_r(&seed) % 2);
}

static void reap(void)
{
	fake_ring_reclaim(g.r);
	for (int i = 0; i < RIG_CMDS; i++) {
		if (!g.done[i])
			continue;
		assert_int_equal(g.done[i], 1);
		assert_true(!g.cmd[i].status || g.cmd[i].sense[12] == 0x24);
		if (g.cmd[i].dir == FAKE_IN)
			assert_int_equal(g.data[i][g.cmd[i].len - 1], i);
	}
}

static void run(bool kills)
{
	struct fake_ring_cfg cfg = FAKE_RING_CFG_DEFAULT;
	struct fake_ring_stats st;
	volatile unsigned int deaths = 0;

	cfg.ring_bytes = 4096 + 8 * 5;
	cfg.data_blocks = 96;
	cfg.decoys = 4;
	swap_cfg(&cfg);
	rig_open(&g, &cfg);
	seed = kills ? 11 : 5;
	stores = 0;
	kill_at = 0;
	take_over();
	if (setjmp(killed)) {
		deaths++;
		forget();
		fake_ring_restarted(g.r);
		kill_at = rand_r(&seed) % 2 ? stores + 1 + (unsigned int)rand_r(&seed) % 20 : 0;
		take_over();
	}
	do {
		kill_at = kills ? stores + 1 + (unsigned int)rand_r(&seed) % 60 : 0;
		submit_some();
		serve_some();
		reap();
		fake_ring_get_stats(g.r, &st);
	} while (st.completions < COMMANDS);
	kill_at = 0;
	fake_ring_fragment(g.r, false);
	do {
		serve_some();
		reap();
		fake_ring_get_stats(g.r, &st);
	} while (st.unanswered || pending_cnt);
	serve_some();
	fake_ring_check_idle(g.r);
	rig_expect(&g, FAKE_V_NONE);
	assert_int_equal(st.completions, st.cmds);
	assert_true(st.pads);
	assert_true(!kills || deaths > 50);
	forget();
	rig_close(&g);
}

static void between_all_stores(void **state)
{
	(void)state;
	run(false);
}

static void killed_between_any(void **state)
{
	(void)state;
	run(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(between_all_stores),
		cmocka_unit_test(killed_between_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
