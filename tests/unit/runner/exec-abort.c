/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Aborted commands, wherever they are: what they wait for goes on without them, what they hold is given
 * back (teardown() looks), and the handler hears no more of them.
 */
#include "rig.h"

#include <unistd.h>

#define ABORT_TASK 1
#define LUN_RESET  5

static struct rig_cmd cmd[8];
static uint8_t buf[8][600 * BLOCK];

static int setup_held(void **state)
{
	setup(state);
	memset(medium, 'a', sizeof(medium));
	memset(buf, 'a', sizeof(buf));
	hold = true;
	return 0;
}
#define H(test) cmocka_unit_test_setup_teardown(test, setup_held, teardown)

static void start(int i, const uint8_t *cdb, size_t len)
{
	rig_start(&cmd[i], cdb, buf[i], len, 0);
}

static void start_write(int i, uint32_t lba, uint8_t letter)
{
	memset(buf[i], letter, BLOCK);
	start(i, cdb10(WRITE10, 0, lba, 1), BLOCK);
}

static void start_caw(int i, uint64_t lba, uint8_t to)
{
	memset(buf[i], 'a', BLOCK);
	memset(buf[i] + BLOCK, to, BLOCK);
	start(i, caw_cdb(0, lba, 1), 2 * BLOCK);
}

/* The n-th operation of this command (from 0) is with the handler when it is aborted. False: it has not
 * so many. */
static bool aborted_at(const uint8_t *cdb, size_t len, unsigned int n)
{
	size_t seen;

	calls[0] = '\0';
	start(0, cdb, len);
	for (unsigned int i = 0; i < n; i++) {
		if (cmd[0].outcome.done)
			return false;
		rig_release_of(&cmd[0]);
	}
	if (cmd[0].outcome.done)
		return false;
	seen = strlen(calls);
	rig_tmr(ABORT_TASK, &cmd[0], NULL);
	assert_false(cmd[0].outcome.done);
	rig_release_of(&cmd[0]);
	assert_true(cmd[0].outcome.done);
	assert_false(cmd[0].outcome.kept);
	assert_int_equal(strlen(calls), seen);
	assert_null(rdev.bounce_owner);
	assert_true(list_empty(&rdev.ranges));
	return true;
}

static unsigned int each_operation(const uint8_t *from, size_t len)
{
	unsigned int n = 0;
	uint8_t cdb[16];

	memcpy(cdb, from, sizeof(cdb));
	while (aborted_at(cdb, len, n))
		n++;
	return n;
}

static void between_any_two_operations(void **state)
{
	uint8_t unmap[16] = { UNMAP10, [8] = 8 + 3 * 16 };

	(void)state;
	handler.writesame = NULL;
	assert_int_equal(each_operation(cdb10(READ10, 0x08, 0, 1), BLOCK), 2); /* FUA: a flush */
	assert_int_equal(each_operation(cdb10(WRITE10, 0x08, 0, 1), BLOCK), 2);
	assert_int_equal(each_operation(cdb10(SYNC10, 0, 0, 0), 0), 1);
	assert_int_equal(each_operation(cdb10(VERIFY10, 0x02, 0, 600), 600 * BLOCK), 2);
	assert_int_equal(each_operation(cdb10(WAV10, 0x02, 0, 600), 600 * BLOCK), 5);
	assert_int_equal(each_operation(cdb16(ORWRITE, 0, 0, 600), 600 * BLOCK), 4);
	assert_int_equal(each_operation(cdb16(WSAME16, 0, 0, 1100), BLOCK), 3);
	put_be16(buf[0], 6 + 3 * 16);
	put_be16(buf[0] + 2, 3 * 16);
	for (uint8_t i = 0; i < 3; i++) {
		memset(buf[0] + 8 + i * 16, 0, 16);
		put_be64(buf[0] + 8 + i * 16, 8u * i);
		put_be32(buf[0] + 8 + i * 16 + 8, 4);
	}
	assert_int_equal(each_operation(unmap, 8 + 3 * 16), 3);
}

/* COMPARE AND WRITE: all or nothing. */
static void caw_is_never_half_done(void **state)
{
	(void)state;
	start_caw(0, 10, 'b'); /* reads */
	rig_tmr(LUN_RESET, &cmd[0], NULL);
	rig_release_of(&cmd[0]);
	assert_true(cmd[0].outcome.done);
	assert_int_equal(medium[10 * BLOCK], 'a');
	start_caw(0, 10, 'b');
	rig_release_of(&cmd[0]); /* writes */
	rig_tmr(LUN_RESET, &cmd[0], NULL);
	rig_release_of(&cmd[0]);
	assert_true(cmd[0].outcome.done);
	assert_int_equal(medium[10 * BLOCK], 'b');
	assert_int_equal(medium[11 * BLOCK - 1], 'b');
}

static void waiting_for_a_range(void **state)
{
	(void)state;
	start_caw(0, 10, 'b');
	start_write(1, 10, 'x');
	start_caw(2, 10, 'y');
	start_write(3, 10, 'z');
	assert_int_equal(held_count, 1);
	rig_tmr(ABORT_TASK, &cmd[1], &cmd[2]);
	assert_true(cmd[1].outcome.done && cmd[2].outcome.done);
	assert_int_equal(cmd[1].outcome.sts, TCMU_STS_PASSTHROUGH_ERR);
	assert_int_equal(cmd[1].outcome.sense[2] & 0xf, 0xb); /* ABORTED COMMAND */
	assert_int_equal(rdev.ranges_waiting, 1);
	assert_int_equal(held_count, 1); /* the one behind them still waits for the first */
	rig_release_of(&cmd[0]);
	rig_release_of(&cmd[0]);
	assert_int_equal(medium[10 * BLOCK], 'b');
	rig_release_of(&cmd[3]);
	assert_int_equal(medium[10 * BLOCK], 'z');
}

static void waiting_for_the_bounce_buffer(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		start(i, cdb10(VERIFY10, 0x02, (uint32_t)i, 1), BLOCK);
	assert_int_equal(held_count, 1);
	rig_tmr(ABORT_TASK, &cmd[2], &cmd[4]); /* one in the middle, the last */
	assert_true(cmd[2].outcome.done && cmd[4].outcome.done);
	rig_tmr(ABORT_TASK, &cmd[1], NULL); /* the first */
	assert_true(cmd[1].outcome.done);
	start(5, cdb10(VERIFY10, 0x02, 5, 1), BLOCK);
	rig_release_of(&cmd[0]);
	rig_release_of(&cmd[3]);
	rig_release_of(&cmd[5]);
	for (int i = 0; i < 6; i++)
		assert_true(cmd[i].outcome.done);
	assert_int_equal(cmd[5].outcome.sts, TCMU_STS_OK);
}

/* The range of one whose operation goes on stays its own: who comes after it finds what that leaves. */
static void range_is_held_until_the_operation_is_over(void **state)
{
	(void)state;
	start_write(0, 10, 'w');
	start_caw(1, 10, 'b');
	rig_tmr(ABORT_TASK, &cmd[0], NULL);
	assert_false(rig_holds(&cmd[1]));
	rig_release_of(&cmd[0]);
	rig_release_of(&cmd[1]);
	assert_true(cmd[1].outcome.done); /* MISCOMPARE */
	assert_int_equal(medium[10 * BLOCK], 'w');
}

static unsigned int cancels;

static void mem_cancel(struct tcmu_device *d, struct tcmur_cmd *pub)
{
	cancels++;
	for (size_t i = 0; i < held_count; i++) {
		if (&held[i].cmd->rc.pub != pub)
			continue;
		memmove(held + i, held + i + 1, (--held_count - i) * sizeof(held[0]));
		tcmur_cmd_complete(d, pub, TCMU_STS_ABORTED);
		return;
	}
	fail_msg("nothing of it is under way");
}

static void handler_is_asked(void **state)
{
	(void)state;
	cancels = 0;
	handler.cancel = mem_cancel;
	start_write(0, 10, 'w');
	start_write(1, 11, 'w');
	start(2, cdb16(ORWRITE, 0, 100, 600), 600 * BLOCK);
	rig_tmr(ABORT_TASK, &cmd[0], &cmd[0]); /* named twice */
	assert_int_equal(cancels, 1);
	assert_true(cmd[0].outcome.done);
	rig_tmr(LUN_RESET, &cmd[1], &cmd[2]);
	assert_int_equal(cancels, 3);
	assert_true(cmd[1].outcome.done && cmd[2].outcome.done);
	rig_tmr(LUN_RESET, &cmd[1], &cmd[2]); /* answered before it was told */
	assert_int_equal(cancels, 3);
	assert_int_equal(medium[10 * BLOCK], 'a');
}

static void wait_a_bit(unsigned int ms)
{
	for (; ms; ms--) {
		usleep(1000);
		runner_io_reap(&rdev);
		rig_reap();
	}
}

static void handler_that_takes_long(void **state)
{
	(void)state;
	start_write(0, 10, 'w');
	start(1, cdb10(READ10, 0, 20, 1), BLOCK);
	start_caw(2, 10, 'b'); /* waits for the first */
	start_write(3, 30, 'w');
	rig_tmr(LUN_RESET, &cmd[0], &cmd[1]);
	wait_a_bit(100);
	assert_false(cmd[0].outcome.done || cmd[1].outcome.done);
	rig_tmr(LUN_RESET, &cmd[3], NULL);
	rig_release_of(&cmd[3]); /* in time */
	assert_false(cmd[3].outcome.kept);
	wait_a_bit(1200);
	assert_true(cmd[0].outcome.kept && cmd[1].outcome.kept);
	assert_int_equal(freed, 0);
	assert_false(rig_holds(&cmd[2]));
	rig_release_of(&cmd[1]);
	assert_int_equal(freed, 1);
	rig_release_of(&cmd[0]);
	assert_int_equal(freed, 2);
	rig_release_of(&cmd[2]);
	assert_true(cmd[2].outcome.done);
	assert_false(cmd[2].outcome.kept);
}

static void ring_without_keep_buf(void **state)
{
	(void)state;
	ring_features = TCMU_RING_OOO | TCMU_RING_TMR;
	start_write(0, 10, 'w');
	rig_tmr(ABORT_TASK, &cmd[0], NULL);
	wait_a_bit(1200);
	assert_false(cmd[0].outcome.done);
	rig_release_of(&cmd[0]);
	assert_true(cmd[0].outcome.done);
	assert_false(cmd[0].outcome.kept);
}

/* SAM-5 6.3.3; an ABORT TASK is none. */
static void reset_allows_removal(void **state)
{
	(void)state;
	rdev.prevented = true;
	rig_tmr(ABORT_TASK, NULL, NULL);
	assert_true(rdev.prevented);
	rig_tmr(LUN_RESET, NULL, NULL);
	assert_false(rdev.prevented);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		H(between_any_two_operations),
		H(caw_is_never_half_done),
		H(waiting_for_a_range),
		H(waiting_for_the_bounce_buffer),
		H(range_is_held_until_the_operation_is_over),
		H(handler_is_asked),
		H(handler_that_takes_long),
		H(ring_without_keep_buf),
		H(reset_allows_removal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
