/* SPDX-License-Identifier: Apache-2.0 */
/* Restarts, and resets from outside (action/reset_ring). */
#include <errno.h>

#include "rig.h"

static void reset(struct rig *rig) /* as tcmu_reset_ring() does it */
{
	rig->mb->cmd_tail = 0;
	rig->mb->cmd_head = 0;
}

/* The same memory, another process. */
static void reattach(struct rig *rig)
{
	tcmu_ring_detach(&rig->ring);
	assert_int_equal(tcmu_ring_attach(&rig->ring, rig->map, rig->map_len), 0);
}

static void a_clean_stop_is_continued(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig_command(&rig, 1);
	rig_command(&rig, 2);
	tcmu_ring_complete(&rig.ring, rig_next(&rig, 1), SAM_STAT_GOOD);
	assert_int_equal(tcmu_ring_stop(&rig.ring), 0); /* 2 was never looked at */
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_CLOSED);
	rig_nothing(&rig);

	reattach(&rig);
	assert_true(tcmu_ring_resumable(&rig.ring));
	assert_int_equal(tcmu_ring_start(&rig.ring), 0);
	tcmu_ring_complete(&rig.ring, rig_next(&rig, 2), SAM_STAT_GOOD);
	assert_int_equal(rig.mb->cmd_tail, rig.mb->cmd_head);
	rig_end(&rig);
}

static void no_clean_stop_with_commands_in_flight(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig_command(&rig, 1);
	rig_next(&rig, 1);
	assert_int_equal(tcmu_ring_stop(&rig.ring), -EBUSY);
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_RUNNING);
	rig_end(&rig);
}

static void a_crash_with_nothing_to_answer_is_continued(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig_command(&rig, 1);
	tcmu_ring_complete(&rig.ring, rig_next(&rig, 1), SAM_STAT_GOOD);
	reattach(&rig);
	assert_true(tcmu_ring_resumable(&rig.ring));
	rig_end(&rig);
}

static void an_unknown_predecessor_is_not_trusted(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig, RIG_FLAGS);
	rig_command(&rig, 1);
	assert_int_equal(tcmu_ring_attach(&rig.ring, rig.map, rig.map_len), 0);
	assert_false(tcmu_ring_resumable(&rig.ring));
	rig_end(&rig);
}

static void a_stale_clean_mark_is_not_trusted(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	assert_int_equal(tcmu_ring_stop(&rig.ring), 0);
	rig_command(&rig, 1); /* then a daemon without marks answered 1, read 2 and died */
	rig_command(&rig, 2);
	rig.mb->cmd_tail = RIG_SLOT;
	reattach(&rig);
	assert_false(tcmu_ring_resumable(&rig.ring));
	rig_end(&rig);
}

static void an_unfinished_reset_is_repeated(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig_command(&rig, 1);
	tcmu_ring_complete(&rig.ring, rig_next(&rig, 1), SAM_STAT_GOOD);
	reattach(&rig);
	tcmu_ring_mark_resetting(&rig.ring);
	assert_int_equal(ring_scratch(&rig.ring)->pos, RIG_SLOT); /* how far the first one came */
	reattach(&rig);
	assert_false(tcmu_ring_resumable(&rig.ring)); /* although tail == head */
	rig_end(&rig);
}

static void old_answers_do_not_reach_a_reset_ring(void **state)
{
	struct tcmulib_cmd *one, *two;
	struct tcmu_abi_entry before;
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig_command(&rig, 1);
	tcmu_ring_complete(&rig.ring, rig_next(&rig, 1), SAM_STAT_GOOD);
	rig_command(&rig, 1);
	rig_command(&rig, 2);
	one = rig_next(&rig, 1);
	two = rig_next(&rig, 2);
	reset(&rig);
	rig_command(&rig, 1); /* the id is used again: a new command */
	memcpy(&before, rig_entry(&rig, 0), sizeof(before));
	rig_nothing(&rig);
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_DRAINING);
	assert_false(tcmu_ring_pending(&rig.ring));
	tcmu_ring_complete(&rig.ring, one, SAM_STAT_GOOD);
	assert_int_equal(rig.mb->cmd_tail, 0);
	rig_nothing(&rig);
	tcmu_ring_complete(&rig.ring, two, SAM_STAT_GOOD);
	assert_int_equal(rig.mb->cmd_tail, 0);
	assert_memory_equal(&before, rig_entry(&rig, 0), sizeof(before));

	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_RUNNING);
	assert_true(tcmu_ring_pending(&rig.ring));
	tcmu_ring_complete(&rig.ring, rig_next(&rig, 1), SAM_STAT_GOOD);
	assert_int_equal(rig.mb->cmd_tail, RIG_SLOT);
	rig_end(&rig);
}

/* What somebody may still write into holds up the ring that comes after it; the kernel knows nothing of
 * it any more. */
static void a_kept_buffer_is_old_too(void **state)
{
	struct tcmulib_cmd *cmd;
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig_command(&rig, 1);
	rig_put(&rig, RIG_SLOT, 48 + 6 * 16 + 16, 2, 6); /* its iovecs are in the pool */
	rig_head(&rig, RIG_SLOT + 48 + 6 * 16 + 16);
	tcmu_ring_complete(&rig.ring, rig_next(&rig, 1), SAM_STAT_GOOD);
	cmd = tcmu_ring_next(&rig.ring, 40);
	assert_non_null(cmd);
	cmd->keep_buf = true;
	memset(cmd->hm_private, 0x5a, 40);
	tcmu_ring_complete(&rig.ring, cmd, SAM_STAT_CHECK_CONDITION);
	assert_int_equal(rig.ring.in_flight, 1);
	assert_int_equal(tcmu_ring_stop(&rig.ring), -EBUSY);
	reset(&rig);
	rig_command(&rig, 2);
	rig_nothing(&rig);
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_DRAINING);
	assert_int_equal(cmd->iovec[5].iov_len, 512);
	assert_int_equal(*(uint8_t *)cmd->hm_private, 0x5a);
	assert_int_equal(tcmu_ring_free_kept(&rig.ring, 1), -EINVAL);
	assert_int_equal(tcmu_ring_free_kept(&rig.ring, 2), 0);
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_RUNNING);
	tcmu_ring_complete(&rig.ring, rig_next(&rig, 2), SAM_STAT_GOOD);
	assert_int_equal(tcmu_ring_stop(&rig.ring), 0);
	rig_end(&rig);
}

/* Nothing is on the ring and it begins at 0: the reset leaves no trace, but the id comes again. */
static void a_kept_buffer_of_before_an_unseen_reset(void **state)
{
	struct tcmulib_cmd *cmd;
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	for (uint32_t i = 0; i < RIG_RING / RIG_SLOT; i++) {
		rig_command(&rig, 1);
		cmd = rig_next(&rig, 1);
		cmd->keep_buf = i + 1 == RIG_RING / RIG_SLOT;
		tcmu_ring_complete(&rig.ring, cmd, SAM_STAT_GOOD);
	}
	assert_int_equal(rig.mb->cmd_tail, 0);
	reset(&rig);
	rig_command(&rig, 1);
	rig_nothing(&rig);
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_RUNNING);
	assert_false(tcmu_ring_pending(&rig.ring));
	tcmu_ring_free_kept(&rig.ring, 1);
	assert_true(tcmu_ring_pending(&rig.ring));
	tcmu_ring_complete(&rig.ring, rig_next(&rig, 1), SAM_STAT_GOOD);
	assert_int_equal(rig.mb->cmd_tail, RIG_SLOT);
	rig_end(&rig);
}

static void a_reset_is_noticed_by_an_answer(void **state)
{
	struct tcmulib_cmd *cmd;
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig_command(&rig, 1);
	tcmu_ring_complete(&rig.ring, rig_next(&rig, 1), SAM_STAT_GOOD);
	rig_command(&rig, 1);
	cmd = rig_next(&rig, 1);
	reset(&rig);
	tcmu_ring_complete(&rig.ring, cmd, SAM_STAT_GOOD);
	assert_int_equal(rig.mb->cmd_tail, 0);
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_RUNNING);
	rig_end(&rig);
}

/* Nothing was answered in this lap, so the tail does not tell: the head does. */
static void a_reset_at_tail_zero(void **state)
{
	struct tcmulib_cmd *cmd;
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig_command(&rig, 1);
	rig_command(&rig, 2);
	cmd = rig_next(&rig, 1);
	rig_next(&rig, 2);
	reset(&rig);
	rig_command(&rig, 3);
	tcmu_ring_complete(&rig.ring, cmd, SAM_STAT_GOOD);
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_DRAINING);
	assert_int_equal(rig.mb->cmd_tail, 0);
	tcmu_ring_complete(&rig.ring, tcmu_ring_by_id(&rig.ring, 2), SAM_STAT_GOOD);
	rig_next(&rig, 3);
	rig_end(&rig);
}

/* Neither does the head, when the initiator has sent as much again: the first entry is a new one. */
static void a_reset_at_tail_zero_with_the_head_as_before(void **state)
{
	struct tcmulib_cmd *cmd;
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig_command(&rig, 1);
	cmd = rig_next(&rig, 1);
	reset(&rig);
	rig_command(&rig, 1);
	rig_command(&rig, 2);
	rig_nothing(&rig);
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_DRAINING);
	tcmu_ring_complete(&rig.ring, cmd, SAM_STAT_GOOD);
	assert_int_equal(rig.mb->cmd_tail, 0);
	tcmu_ring_complete(&rig.ring, rig_next(&rig, 1), SAM_STAT_GOOD);
	tcmu_ring_complete(&rig.ring, rig_next(&rig, 2), SAM_STAT_GOOD);
	assert_int_equal(rig.mb->cmd_tail, 2 * RIG_SLOT);
	rig_end(&rig);
}

/* Two laps: the slot at 0 is answered, used again, and the tail comes back to it. */
static void the_tail_at_zero_again(void **state)
{
	struct tcmulib_cmd *cmd[8];
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	for (int lap = 0; lap < 3; lap++) {
		for (uint16_t id = 1; id <= 7; id++) {
			rig_command(&rig, id);
			cmd[id] = rig_next(&rig, id);
		}
		for (uint16_t id = 7; id >= 1; id--)
			tcmu_ring_complete(&rig.ring, cmd[id], SAM_STAT_GOOD);
		assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_RUNNING);
		assert_int_equal(rig.mb->cmd_tail, rig.mb->cmd_head);
		rig_nothing(&rig);
	}
	rig_end(&rig);
}

static void a_tail_is_not_stored_over_a_reset(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig.mb->cmd_tail = rig.mb->cmd_head = rig.ring.tail = RIG_SLOT;
	reset(&rig); /* after the last look */
	rig.ring.tail = 2 * RIG_SLOT;
	ring_store_tail(&rig.ring, RIG_SLOT);
	assert_int_equal(rig.mb->cmd_tail, 0);
	assert_false(tcmu_ring_take_kick(&rig.ring));
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_DRAINING);
	rig_nothing(&rig);
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_RUNNING);
	rig_end(&rig);
}

static void put_tmr(struct rig *rig, uint32_t off)
{
	struct tcmu_abi_tmr *tmr = (void *)rig_entry(rig, off);

	memset(tmr, 0, 40);
	tmr->hdr.len_op = 40 | TCMU_ABI_OP_TMR;
	tmr->type = 5;
	rig_head(rig, off + 40);
}

static void a_tmr_is_not_asked_for_across_a_reset(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig_command(&rig, 1);
	tcmu_ring_complete(&rig.ring, rig_next(&rig, 1), SAM_STAT_GOOD);
	put_tmr(&rig, RIG_SLOT);
	rig_nothing(&rig);
	reset(&rig);
	rig_command(&rig, 2);
	assert_null(tcmu_ring_next_tmr(&rig.ring));
	rig_next(&rig, 2); /* not swallowed in its place */
	rig_end(&rig);

	rig_start(&rig, RIG_FLAGS); /* the same with the TMR in the first place */
	put_tmr(&rig, 0);
	rig_nothing(&rig);
	reset(&rig);
	rig_command(&rig, 2);
	assert_null(tcmu_ring_next_tmr(&rig.ring));
	rig_next(&rig, 2);
	rig_end(&rig);
}

static void a_parked_ring_is_never_continued(void **state)
{
	struct tcmulib_cmd *cmd;
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig_command(&rig, 1);
	cmd = rig_next(&rig, 1);
	tcmu_ring_complete(&rig.ring, cmd, SAM_STAT_GOOD);
	tcmu_ring_complete(&rig.ring, cmd, SAM_STAT_GOOD); /* twice */
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_PARKED);
	assert_int_equal(tcmu_ring_stop(&rig.ring), 0);
	assert_int_equal(rig.mb->cmd_tail, rig.mb->cmd_head);
	reattach(&rig);
	assert_false(tcmu_ring_resumable(&rig.ring));
	tcmu_ring_mark_resetting(&rig.ring);
	reset(&rig);
	assert_int_equal(tcmu_ring_start(&rig.ring), 0);
	assert_true(tcmu_ring_resumable(&rig.ring));
	rig_end(&rig);
}

static void a_reset_to_nonsense_parks(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig_command(&rig, 1);
	rig.mb->cmd_tail = 24;
	rig_nothing(&rig);
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_PARKED);
	assert_string_not_equal(rig.ring.reason, "");
	rig_end(&rig);
}

static void a_removed_device_is_left_alone(void **state)
{
	struct tcmulib_cmd *cmd;
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig_command(&rig, 1);
	rig_command(&rig, 2);
	cmd = rig_next(&rig, 1);
	tcmu_ring_set_gone(&rig.ring);
	rig_nothing(&rig);
	assert_false(tcmu_ring_pending(&rig.ring));
	tcmu_ring_complete(&rig.ring, cmd, SAM_STAT_GOOD);
	assert_int_equal(rig.ring.in_flight, 0);
	assert_int_equal(rig.mb->cmd_tail, 0);
	assert_int_equal(tcmu_ring_stop(&rig.ring), 0);
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_GONE);
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_clean_stop_is_continued),
		cmocka_unit_test(no_clean_stop_with_commands_in_flight),
		cmocka_unit_test(a_crash_with_nothing_to_answer_is_continued),
		cmocka_unit_test(an_unknown_predecessor_is_not_trusted),
		cmocka_unit_test(a_stale_clean_mark_is_not_trusted),
		cmocka_unit_test(an_unfinished_reset_is_repeated),
		cmocka_unit_test(old_answers_do_not_reach_a_reset_ring),
		cmocka_unit_test(a_kept_buffer_is_old_too),
		cmocka_unit_test(a_kept_buffer_of_before_an_unseen_reset),
		cmocka_unit_test(a_reset_is_noticed_by_an_answer),
		cmocka_unit_test(a_reset_at_tail_zero),
		cmocka_unit_test(a_reset_at_tail_zero_with_the_head_as_before),
		cmocka_unit_test(the_tail_at_zero_again),
		cmocka_unit_test(a_tail_is_not_stored_over_a_reset),
		cmocka_unit_test(a_tmr_is_not_asked_for_across_a_reset),
		cmocka_unit_test(a_parked_ring_is_never_continued),
		cmocka_unit_test(a_reset_to_nonsense_parks),
		cmocka_unit_test(a_removed_device_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
