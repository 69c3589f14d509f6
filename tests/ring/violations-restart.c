/* SPDX-License-Identifier: Apache-2.0 */
/* Violation 23: a process serves, is killed, and the next one goes on in a wrong way. */
#include "violations.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crash.h"

static struct crash c;

static void open_crash(void)
{
	struct fake_ring_cfg cfg = FAKE_RING_CFG_DEFAULT;

	cfg.ring_bytes = 4096;
	crash_open(&c, &cfg, 1);
}

static void close_crash(void)
{
	violation_expect(&c.v, FAKE_V_RESTART);
	crash_close(&c);
}

static struct ref_cmd take(struct ref_consumer *rc)
{
	struct ref_cmd cmd;

	while (!ref_next(rc, &cmd))
		usleep(10);
	return cmd;
}

static void serve_all(struct crash *k, struct ref_consumer *rc)
{
	for (;;) {
		struct ref_cmd cmd = take(rc);

		crash_execute(k, &cmd);
		ref_answer(rc, cmd.id, 0, 0, 0);
		ref_free(&cmd);
	}
}

static void say(struct crash *k, int step)
{
	k->sh->step = step;
}

static void wait_for_death(void)
{
	for (;;)
		pause();
}

/* ---- an old write is carried out again after a newer one ---- */

/* Keeps the first write in a journal, and does not strike it out when it is done. */
static void keeps_a_journal(struct crash *k)
{
	struct ref_consumer rc;

	ref_init(&rc, fake_ring_base(k->r));
	for (int i = 0; i < 2; i++) {
		struct ref_cmd cmd = take(&rc);

		if (!i)
			memcpy(k->sh->journal, cmd.iov[0].iov_base, CRASH_BLOCK);
		crash_execute(k, &cmd);
		ref_answer(&rc, cmd.id, 0, 0, 0);
	}
	wait_for_death();
}

static void replays_the_journal(struct crash *k)
{
	struct ref_consumer rc;

	if (pwrite(k->disk, k->sh->journal, CRASH_BLOCK, 0) != (ssize_t)CRASH_BLOCK)
		abort();
	ref_init(&rc, fake_ring_base(k->r));
	serve_all(k, &rc);
}

static void an_old_write_again(bool read)
{
	open_crash();
	crash_spawn(&c, keeps_a_journal);
	for (unsigned long i = 0; i < 2; i++) {
		crash_submit(&c, 0, true, 0, 1);
		assert_true(crash_wait_done(&c, i + 1));
	}
	crash_kill(&c);
	crash_spawn(&c, replays_the_journal);
	crash_submit(&c, 0, !read, read ? 0 : 7, 1);
	assert_true(crash_wait_done(&c, 3));
	if (!read)
		crash_judge(&c);
	close_crash();
}

static void a_read_brings_an_old_write(void **state)
{
	(void)state;
	an_old_write_again(true);
}

static void the_disk_holds_an_old_write(void **state)
{
	(void)state;
	an_old_write_again(false);
}

/* ---- a completed id is answered again ---- */

/* The second one first: its answer goes through the slot of the first, whose request is gone then. */
static void answers_the_second(struct crash *k)
{
	struct ref_consumer rc;
	struct ref_cmd cmd[2];

	ref_init(&rc, fake_ring_base(k->r));
	for (int i = 0; i < 2; i++)
		cmd[i] = take(&rc);
	crash_execute(k, &cmd[1]);
	ref_answer(&rc, cmd[1].id, 0, 0, 0);
	wait_for_death();
}

/* As if the slots from the tail on were what is still to do. */
static void trusts_the_slot(struct crash *k)
{
	struct ref_consumer rc;
	struct ref_cmd cmd;

	ref_init(&rc, fake_ring_base(k->r));
	cmd = take(&rc);
	crash_execute(k, &cmd);
	ref_answer(&rc, cmd.id, 0, 0, 0);
	wait_for_death();
}

static void a_completed_id_again(void **state)
{
	(void)state;
	open_crash();
	crash_spawn(&c, answers_the_second);
	crash_submit(&c, 0, true, 0, 1);
	crash_submit(&c, 1, true, 1, 1);
	assert_true(crash_wait_done(&c, 1));
	crash_kill(&c);
	crash_spawn(&c, trusts_the_slot);
	assert_false(crash_wait_done(&c, 2));
	assert_true(fake_ring_is_broken(c.r));
	close_crash();
}

/* The same, but the id is that of a new command by then: it ends, and what is carried out is the old
 * one. */
static void a_new_command_by_an_old_slot(void **state)
{
	(void)state;
	open_crash();
	crash_spawn(&c, answers_the_second);
	crash_submit(&c, 0, false, 0, 1);
	crash_submit(&c, 1, true, 1, 1);
	assert_true(crash_wait_done(&c, 1));
	crash_kill(&c);
	crash_submit(&c, 1, true, 2, 1); /* in the same data block, too */
	crash_spawn(&c, trusts_the_slot);
	assert_true(crash_wait_done(&c, 2));
	crash_kill(&c);
	assert_true(c.io[0].busy);
	assert_false(c.io[1].busy);
	crash_reset(&c);
	crash_judge(&c);
	close_crash();
}

/* ---- what was in flight is forgotten ---- */

static void takes_one(struct crash *k)
{
	struct ref_consumer rc;
	struct ref_cmd cmd;

	ref_init(&rc, fake_ring_base(k->r));
	cmd = take(&rc);
	(void)cmd;
	say(k, 1);
	wait_for_death();
}

static void begins_at_head(struct crash *k)
{
	struct ref_consumer rc;

	ref_init(&rc, fake_ring_base(k->r));
	rc.pos = rc.mb->cmd_head;
	say(k, 2);
	wait_for_death();
}

static void a_command_forgotten(void **state)
{
	(void)state;
	open_crash();
	crash_spawn(&c, takes_one);
	crash_submit(&c, 0, true, 0, 1);
	assert_true(crash_wait_step(&c, 1));
	crash_kill(&c);
	crash_spawn(&c, begins_at_head);
	assert_true(crash_wait_step(&c, 2));
	crash_judge(&c);
	close_crash();
}

/* ---- an answer without the work ---- */

static void answers_only(struct crash *k)
{
	struct ref_consumer rc;

	ref_init(&rc, fake_ring_base(k->r));
	for (;;) {
		struct ref_cmd cmd = take(&rc);

		ref_answer(&rc, cmd.id, 0, 0, 0);
		ref_free(&cmd);
	}
}

static void acknowledged_and_lost(void **state)
{
	(void)state;
	open_crash();
	crash_spawn(&c, takes_one);
	crash_submit(&c, 0, true, 0, 1);
	assert_true(crash_wait_step(&c, 1));
	crash_kill(&c);
	crash_spawn(&c, answers_only);
	assert_true(crash_wait_done(&c, 1));
	crash_judge(&c);
	close_crash();
}

#define T(kind, fn) VIOLATION(FAKE_V_##kind, fn)

const struct violation violations_restart[] = {
	T(RESTART, a_read_brings_an_old_write), T(RESTART, the_disk_holds_an_old_write),
	T(RESTART, a_completed_id_again),       T(RESTART, a_new_command_by_an_old_slot),
	T(RESTART, a_command_forgotten),        T(RESTART, acknowledged_and_lost),
};
const size_t violations_restart_cnt = sizeof(violations_restart) / sizeof(violations_restart[0]);
