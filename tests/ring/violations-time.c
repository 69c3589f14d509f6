/* SPDX-License-Identifier: Apache-2.0 */
/* Violations 17 to 20: too late, too early, or of before. */
#include "violations.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake-kernel.h"

/* 17: the fake kernel looks after it, as it has the doorbells. */
static void no_doorbell(void **state)
{
	const struct tcmu_kernel_ops *ops = &tcmu_kernel_ops;
	struct fake_dev_cfg cfg = {
		.name = "a", .config = "ref/a", .size = 1 << 20, .ring = FAKE_RING_CFG_DEFAULT
	};
	struct fake_kernel *k = fake_kernel_new();
	uint64_t end = fake_now_ms() + 10000;
	struct ref_consumer c;
	struct tcmu_kernel *seam;
	struct fake_dev *dev;
	struct ref_cmd cmd;
	size_t len;
	void *map;
	int fd;

	(void)state;
	fake_kernel_set_patience(k, 50, 1000);
	assert_int_equal(fake_dev_create(k, &cfg, &dev), 0);
	seam = ops->open();
	fd = ops->dev_open(seam, fake_dev_minor(dev));
	assert_int_equal(ops->dev_map(seam, fake_dev_minor(dev), fd, &map, &len), 0);
	ref_init(&c, map);
	fake_ring_submit(fake_dev_ring(dev), &g.cmd[0]);
	assert_true(ref_next(&c, &cmd));
	ref_answer(&c, cmd.id, 0, 0, 0);
	ref_free(&cmd);
	while (!fake_verdict_count(fake_kernel_verdicts(k), FAKE_V_DOORBELL) && fake_now_ms() < end)
		usleep(1000);
	violation_expect(fake_kernel_verdicts(k), FAKE_V_DOORBELL);
	munmap(map, len);
	close(fd);
	ops->close(seam);
	fake_kernel_free(k);
}

/* 18 */
static void answers_what_head_does_not_cover(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	fake_ring_hold_head(g.r, true);
	rig_submit(&g, 0, FAKE_OUT, 512);
	assert_true(ref_next_ahead(&g.c, &cmd));
	fake_ring_hold_head(g.r, false);
	ref_answer(&g.c, cmd.id, 0, 0, 0);
	ref_free(&cmd);
	fake_ring_doorbell(g.r, 1);
	assert_int_equal(g.done[0], 0);
	expect(FAKE_V_READ_AHEAD);
}

/* It has the iovecs too early; the rest is right. */
static void fill_ahead(bool before)
{
	struct ref_cmd cmd;

	fake_ring_hold_head(g.r, true);
	rig_submit(&g, 0, FAKE_IN, 512);
	assert_true(ref_next_ahead(&g.c, &cmd));
	if (before)
		ref_fill(&cmd, 0x22, 512);
	fake_ring_hold_head(g.r, false);
	if (!before)
		ref_fill(&cmd, 0x22, 512);
	ref_free(&cmd);
	g.c.pos = 0;
	rig_serve(&g);
	assert_int_equal(g.done[0], 1);
	expect(FAKE_V_READ_AHEAD);
}

static void fills_before_head_covers(void **state)
{
	(void)state;
	fill_ahead(true);
}

static void fills_by_old_iovecs(void **state)
{
	(void)state;
	fill_ahead(false);
}

static void marks_an_entry_ahead(void **state)
{
	(void)state;
	fake_ring_hold_head(g.r, true);
	rig_submit(&g, 0, FAKE_OUT, 512);
	((struct tcmu_abi_entry *)(void *)g.c.cmdr)->req.cookie = 1;
	fake_ring_hold_head(g.r, false);
	rig_serve(&g);
	expect(FAKE_V_READ_AHEAD);
}

/* Looks at the slot instead of cmd_head, and for the rest does everything right. */
static void poll_the_slot(void *base)
{
	struct ref_consumer c;
	struct ref_cmd cmd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	ref_init(&c, base);
	for (;;) {
		if (!ref_next_ahead(&c, &cmd))
			continue;
		while (__atomic_load_n(&c.mb->cmd_head, __ATOMIC_ACQUIRE) != c.pos)
			;
		ref_answer(&c, cmd.id, 0, 0, 0);
		ref_free(&cmd);
	}
}

/* The knob: nobody holds the head for long, but now and then a decoy is there for a moment. */
static void polls_the_slot(void **state)
{
	struct fake_ring_cfg cfg = FAKE_RING_CFG_DEFAULT;
	uint64_t end = fake_now_ms() + 20000;
	pid_t pid;

	(void)state;
	cfg.ring_bytes = 4096; /* 31 slots of 128 bytes: no PAD */
	cfg.decoys = 2;
	violation_rig(&cfg);
	pid = fork();
	if (!pid)
		poll_the_slot(fake_ring_base(g.r));
	while (!fake_ring_is_broken(g.r) && fake_now_ms() < end) {
		rig_submit(&g, 0, FAKE_OUT, 512);
		while (!g.done[0] && !fake_ring_is_broken(g.r) && fake_now_ms() < end)
			fake_ring_reclaim(g.r);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	expect(FAKE_V_READ_AHEAD);
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
	expect(FAKE_V_TMR);
}

static void aborted_and_late(void **state)
{
	struct fake_cmd *victim = &g.cmd[0];
	struct ref_cmd cmd;

	(void)state;
	rig_submit(&g, 0, FAKE_OUT, 512);
	fake_ring_tmr(g.r, 1, &victim, 1);
	cmd = rig_next(&g);
	fake_ring_check_patience(g.r, 10000);
	expect(FAKE_V_NONE);
	usleep(5000);
	fake_ring_check_patience(g.r, 1);
	ref_answer(&g.c, cmd.id, 0, 0, 0);
	ref_free(&cmd);
	fake_ring_doorbell(g.r, 1);
	expect(FAKE_V_TMR);
}

static void aborted_and_answered_twice(void **state)
{
	struct fake_cmd *victim = &g.cmd[0];
	struct ref_cmd cmd[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		rig_submit(&g, i, FAKE_OUT, 512);
	fake_ring_tmr(g.r, 1, &victim, 1);
	for (int i = 0; i < 2; i++)
		cmd[i] = rig_next(&g);
	for (int i = 0; i < 2; i++) {
		ref_answer(&g.c, cmd[0].id, 0, 0, 0);
		ref_free(&cmd[i]);
	}
	fake_ring_doorbell(g.r, 1);
	expect(FAKE_V_TMR);
}

/* 20: two commands are consumed, not answered, and not at the beginning of the ring, when it is
 * reset. */
static void consume_and_reset(struct ref_cmd cmd[2])
{
	for (int i = 0; i < 3; i++) {
		rig_submit(&g, i, FAKE_OUT, 512);
		rig_serve(&g);
	}
	for (int i = 0; i < 2; i++) {
		rig_submit(&g, i, FAKE_OUT, 512);
		cmd[i] = rig_next(&g);
		ref_free(&cmd[i]);
	}
	fake_ring_reset(g.r, 1);
	assert_int_equal(g.cmd[0].status, 0x08);
	assert_int_equal(g.cmd[1].status, 0x08);
}

static void old_id_in_a_new_slot(void **state)
{
	struct ref_cmd old[2], cmd;

	(void)state;
	consume_and_reset(old);
	ref_init(&g.c, fake_ring_base(g.r));
	rig_submit(&g, 0, FAKE_OUT, 512);
	cmd = rig_next(&g);
	assert_int_equal(cmd.id, old[0].id);
	ref_answer(&g.c, old[1].id, 0, 0, 0);
	ref_free(&cmd);
	fake_ring_doorbell(g.r, 1);
	assert_int_equal(g.done[0], 0);
	expect(FAKE_V_RESET);
}

static void old_answer_in_its_old_slot(void **state)
{
	struct tcmu_abi_entry *ent = (void *)(g.c.cmdr + (size_t)3 * 128);
	struct ref_cmd old[2];

	(void)state;
	consume_and_reset(old);
	ent->rsp.scsi_status = 0;
	g.c.mb->cmd_tail = 4 * 128;
	fake_ring_doorbell(g.r, 1);
	expect(FAKE_V_RESET);
}

/* The id has been given away again, and the new command stands at the tail. */
static void old_answer_for_a_new_command(void **state)
{
	struct fake_ring_cfg cfg = FAKE_RING_CFG_DEFAULT;
	struct ref_cmd old[2];

	(void)state;
	cfg.ring_bytes = 4096;
	cfg.pos_off = 72;
	violation_rig(&cfg);
	for (int i = 0; i < 2; i++) {
		rig_submit(&g, i, FAKE_OUT, 512);
		old[i] = rig_next(&g);
		ref_free(&old[i]);
	}
	memcpy((uint8_t *)g.c.mb + cfg.pos_off, &g.c.pos, sizeof(g.c.pos));
	fake_ring_reset(g.r, 1);
	rig_submit(&g, 2, FAKE_OUT, 512);
	ref_answer(&g.c, old[0].id, 0, 0, 0);
	fake_ring_doorbell(g.r, 1);
	assert_int_equal(g.done[2], 1);
	expect(FAKE_V_RESET);
}

static void waits_at_the_old_place(void **state)
{
	struct ref_cmd old[2];

	(void)state;
	consume_and_reset(old);
	fake_ring_check_patience(g.r, 0); /* nothing to do, nothing to notice */
	rig_submit(&g, 0, FAKE_OUT, 512);
	fake_ring_check_patience(g.r, 10000);
	expect(FAKE_V_NONE);
	usleep(5000);
	fake_ring_check_patience(g.r, 1);
	expect(FAKE_V_RESET);
	fake_verdicts_clear(&g.v);
	fake_ring_check_idle(g.r);
	expect(FAKE_V_RESET);
}

#define T(kind, fn) VIOLATION(FAKE_V_##kind, fn)

const struct violation violations_time[] = {
	T(DOORBELL, no_doorbell),
	T(READ_AHEAD, answers_what_head_does_not_cover),
	T(READ_AHEAD, fills_before_head_covers),
	T(READ_AHEAD, fills_by_old_iovecs),
	T(READ_AHEAD, marks_an_entry_ahead),
	T(READ_AHEAD, polls_the_slot),
	T(TMR, aborted_and_forgotten),
	T(TMR, aborted_and_late),
	T(TMR, aborted_and_answered_twice),
	T(RESET, old_id_in_a_new_slot),
	T(RESET, old_answer_in_its_old_slot),
	T(RESET, old_answer_for_a_new_command),
	T(RESET, waits_at_the_old_place),
};
const size_t violations_time_cnt = sizeof(violations_time) / sizeof(violations_time[0]);
