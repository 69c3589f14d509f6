/* SPDX-License-Identifier: Apache-2.0 */
/* The ring as its own journal: what a process finds that comes after one that died. */
#include "rig.h"

#define MARK 0xdecade

/* The same memory, another process. */
static void die(struct rig *rig)
{
	tcmu_ring_detach(&rig->ring);
	assert_int_equal(tcmu_ring_attach(&rig->ring, rig->map, rig->map_len), 0);
}

static void take_over(struct rig *rig)
{
	die(rig);
	assert_true(tcmu_ring_resumable(&rig->ring));
	assert_int_equal(tcmu_ring_start(&rig->ring), 0);
}

static struct tcmulib_cmd *next_again(struct rig *rig, uint16_t id)
{
	struct tcmulib_cmd *cmd = rig_next(rig, id);

	assert_true(cmd->again);
	assert_int_equal(cmd->cdb[0], READ_10);
	assert_int_equal(cmd->cdb[5], id);
	assert_int_equal(cmd->iov_cnt, 1);
	assert_ptr_equal(cmd->iovec->iov_base, rig->map + rig->data_off);
	return cmd;
}

/* 1, 2 and 3 are consumed, 4 is not; 3 and 2 are answered. */
static void all_that_is_not_answered_comes_again(void **state)
{
	struct tcmulib_cmd *cmd[4];
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	for (uint16_t id = 1; id <= 3; id++) {
		rig_command(&rig, id);
		cmd[id] = rig_next(&rig, id);
		assert_false(cmd[id]->again);
	}
	rig_command(&rig, 4);
	tcmu_ring_complete(&rig.ring, cmd[3], SAM_STAT_GOOD);
	tcmu_ring_complete(&rig.ring, cmd[2], SAM_STAT_GOOD);
	assert_int_equal(rig.mb->cmd_tail, 2 * RIG_SLOT);

	take_over(&rig);
	assert_true(tcmu_ring_replays(&rig.ring));
	cmd[1] = next_again(&rig, 1);
	assert_false(tcmu_ring_replays(&rig.ring));
	cmd[0] = rig_next(&rig, 4);
	assert_false(cmd[0]->again);
	rig_nothing(&rig);
	tcmu_ring_complete(&rig.ring, cmd[0], SAM_STAT_GOOD);
	tcmu_ring_complete(&rig.ring, cmd[1], SAM_STAT_GOOD);
	assert_int_equal(rig.mb->cmd_tail, rig.mb->cmd_head);
	rig_end(&rig);
}

/* Dies again before it has come as far as the first one. */
static void a_second_death_loses_nothing(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	for (uint16_t id = 1; id <= 3; id++) {
		rig_command(&rig, id);
		rig_next(&rig, id);
	}
	take_over(&rig);
	next_again(&rig, 1);
	take_over(&rig);
	for (uint16_t id = 1; id <= 3; id++)
		tcmu_ring_complete(&rig.ring, next_again(&rig, id), SAM_STAT_GOOD);
	rig_nothing(&rig);
	rig_end(&rig);
}

/* It stops in an orderly way, but before it has taken all of what the first one had. */
static void what_comes_again_survives_a_stop(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	for (uint16_t id = 1; id <= 3; id++) {
		rig_command(&rig, id);
		rig_next(&rig, id);
	}
	take_over(&rig);
	tcmu_ring_complete(&rig.ring, next_again(&rig, 1), SAM_STAT_GOOD);
	assert_int_equal(tcmu_ring_stop(&rig.ring), 0);
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_CLOSED);
	take_over(&rig);
	next_again(&rig, 2);
	next_again(&rig, 3);
	rig_nothing(&rig);
	rig_end(&rig);
}

static void a_mark_stays_with_its_command(void **state)
{
	struct tcmulib_cmd *cmd[3];
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	for (uint16_t id = 1; id <= 2; id++) {
		rig_command(&rig, id);
		cmd[id] = rig_next(&rig, id);
		assert_int_equal(cmd[id]->mark, 0);
	}
	tcmu_ring_set_mark(&rig.ring, cmd[1], MARK);
	tcmu_ring_complete(&rig.ring, cmd[2], SAM_STAT_GOOD); /* 1 moves */
	take_over(&rig);
	cmd[1] = next_again(&rig, 1);
	assert_int_equal(cmd[1]->mark, MARK);
	tcmu_ring_set_mark(&rig.ring, cmd[1], MARK + 1);
	take_over(&rig);
	cmd[1] = next_again(&rig, 1);
	assert_int_equal(cmd[1]->mark, MARK + 1);
	tcmu_ring_complete(&rig.ring, cmd[1], SAM_STAT_GOOD);
	rig_command(&rig, 1); /* the slot and the id are another command's now */
	assert_int_equal(rig_next(&rig, 1)->mark, 0);
	rig_end(&rig);
}

/* Eight iovs need more than the slot of 128 bytes to which they have to go. */
static void lose_one(struct rig *rig, bool mark)
{
	struct tcmulib_cmd *big, *small;

	rig_start(rig, RIG_FLAGS);
	rig_put(rig, 0, 2 * RIG_SLOT, 1, 8);
	rig_head(rig, 2 * RIG_SLOT);
	rig_command(rig, 2);
	rig_command(rig, 3);
	big = rig_next(rig, 1);
	small = rig_next(rig, 2);
	rig_next(rig, 3);
	if (mark)
		tcmu_ring_set_mark(&rig->ring, big, MARK);
	tcmu_ring_complete(&rig->ring, small, SAM_STAT_GOOD);
	assert_int_equal(big->iov_cnt, 8); /* for us it is there */
	take_over(rig);
}

static void what_does_not_fit_is_sent_again(void **state)
{
	struct tcmu_abi_entry *ent;
	struct rig rig;

	(void)state;
	lose_one(&rig, false);
	tcmu_ring_complete(&rig.ring, next_again(&rig, 3), SAM_STAT_GOOD);
	ent = rig_entry(&rig, 2 * RIG_SLOT);
	assert_int_equal(ent->hdr.cmd_id, 1);
	assert_int_equal(ent->rsp.scsi_status, SAM_STAT_BUSY);
	assert_int_equal(rig.mb->cmd_tail, rig.mb->cmd_head);
	rig_end(&rig);
}

static void what_does_not_fit_and_has_begun_fails(void **state)
{
	struct tcmu_abi_entry *ent;
	struct rig rig;

	(void)state;
	lose_one(&rig, true);
	tcmu_ring_complete(&rig.ring, next_again(&rig, 3), SAM_STAT_GOOD);
	ent = rig_entry(&rig, 2 * RIG_SLOT);
	assert_int_equal(ent->hdr.cmd_id, 1);
	assert_int_equal(ent->rsp.scsi_status, SAM_STAT_CHECK_CONDITION);
	assert_int_equal(ent->rsp.sense[2], ABORTED_COMMAND);
	assert_int_equal(ent->rsp.sense[12], 0x44);
	rig_end(&rig);
}

/* An entry without a CDB is only that where a process before us has consumed. */
static void a_new_entry_without_cdb_is_insane(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig_command(&rig, 1);
	rig_next(&rig, 1);
	rig_command(&rig, 2);
	rig_entry(&rig, RIG_SLOT)->req.cdb_off = 0;
	take_over(&rig);
	next_again(&rig, 1);
	rig_nothing(&rig);
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_PARKED);
	rig_end(&rig);
}

/* 2 is being answered, into the slot of 1, with sense data of so many bytes. */
static void half_an_answer(struct rig *rig, uint8_t sense_len, enum ring_stage stage)
{
	struct tcmulib_cmd *cmd[3];
	struct tcmu_ring_scratch *scratch;
	struct tcmu_abi_entry one;

	rig_start(rig, RIG_FLAGS);
	for (uint16_t id = 1; id <= 2; id++) {
		rig_command(rig, id);
		cmd[id] = rig_next(rig, id);
	}
	one = *rig_entry(rig, 0);
	cmd[2]->sense_buf[0] = 0x72; /* descriptor format (SPC-5 4.4.2) */
	cmd[2]->sense_buf[1] = ILLEGAL_REQUEST;
	cmd[2]->sense_buf[7] = (uint8_t)(sense_len - 8);
	for (uint8_t i = 8; i < sense_len; i++)
		cmd[2]->sense_buf[i] = i;
	tcmu_ring_complete(&rig->ring, cmd[2], SAM_STAT_CHECK_CONDITION);
	/* Back to the middle of it. */
	scratch = ring_scratch(&rig->ring);
	scratch->stage = (uint8_t)stage;
	rig->mb->cmd_tail = scratch->tails.from;
	if (stage == RING_STAGE_COPY) {
		rig_entry(rig, 0)->hdr = one.hdr;
		rig_entry(rig, 0)->req.iov_cnt = one.req.iov_cnt;
		memcpy(rig_entry(rig, 0), &one, sizeof(one));
		((uint8_t *)rig_entry(rig, 0))[112] = READ_10;
		memset(&rig_entry(rig, RIG_SLOT)->req, 0x5a, 40);
	} else {
		memset(rig_entry(rig, 0)->rsp.sense, 0x5a, 40);
	}
}

static void is_answered(struct rig *rig, uint8_t sense_len)
{
	const struct tcmu_abi_entry *ent = rig_entry(rig, 0);

	assert_int_equal(rig->mb->cmd_tail, RIG_SLOT);
	assert_int_equal(ent->hdr.cmd_id, 2);
	assert_int_equal(ent->rsp.scsi_status, SAM_STAT_CHECK_CONDITION);
	assert_int_equal(ent->rsp.sense[0], 0x72);
	assert_int_equal(ent->rsp.sense[1], ILLEGAL_REQUEST);
	assert_int_equal(ent->rsp.sense[7], sense_len - 8);
	for (uint8_t i = 8; i < sense_len; i++)
		assert_int_equal(ent->rsp.sense[i], i);
	tcmu_ring_complete(&rig->ring, next_again(rig, 1), SAM_STAT_GOOD);
	rig_nothing(rig);
	assert_int_equal(rig->mb->cmd_tail, rig->mb->cmd_head);
}

static void an_answer_under_way_is_given(void **state)
{
	static const enum ring_stage stages[] = { RING_STAGE_COPY, RING_STAGE_ANSWER };
	struct rig rig;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		half_an_answer(&rig, 18, stages[i]);
		take_over(&rig);
		is_answered(&rig, 18);
		rig_end(&rig);
		half_an_answer(&rig, 68, stages[i]); /* all that there is room for */
		take_over(&rig);
		is_answered(&rig, 68);
		rig_end(&rig);
	}
	half_an_answer(&rig, 96, RING_STAGE_ANSWER);
	take_over(&rig);
	is_answered(&rig, 68);
	rig_end(&rig);
}

/* ---- journals that cannot be trusted ---- */

static struct tcmulib_cmd *two_in_flight(struct rig *rig)
{
	rig_start(rig, RIG_FLAGS);
	rig_command(rig, 1);
	rig_command(rig, 2);
	rig_next(rig, 1);
	return rig_next(rig, 2);
}

static void not_resumable(struct rig *rig)
{
	die(rig);
	assert_false(tcmu_ring_resumable(&rig->ring));
	rig_end(rig);
}

/* It answers without a note, in any order, and dies too. */
static void of_somebody_else_in_between(void **state)
{
	struct rig rig;

	(void)state;
	two_in_flight(&rig);
	rig_command(&rig, 3);
	rig.mb->cmd_tail = RIG_SLOT;
	not_resumable(&rig);
}

static void of_another_version(void **state)
{
	struct rig rig;

	(void)state;
	two_in_flight(&rig);
	ring_scratch(&rig.ring)->version--;
	not_resumable(&rig);
}

static void with_entries_that_lead_nowhere(void **state)
{
	static const uint32_t len_ops[] = { 0, RIG_SLOT + 8 + TCMU_ABI_OP_CMD, 64 + TCMU_ABI_OP_CMD,
					    RIG_RING + TCMU_ABI_OP_CMD };
	struct rig rig;

	(void)state;
	for (size_t i = 0; i < sizeof(len_ops) / sizeof(len_ops[0]); i++) {
		two_in_flight(&rig);
		rig_entry(&rig, RIG_SLOT)->hdr.len_op = len_ops[i];
		not_resumable(&rig);
	}
}

static void with_a_position_that_is_none(void **state)
{
	struct rig rig;

	(void)state;
	two_in_flight(&rig);
	ring_scratch(&rig.ring)->pos = RIG_SLOT + 8;
	not_resumable(&rig);
	two_in_flight(&rig);
	ring_scratch(&rig.ring)->pos = 4 * RIG_SLOT;
	not_resumable(&rig);
}

static void with_an_answer_to_nowhere(void **state)
{
	struct tcmulib_cmd *two;
	struct rig rig;

	(void)state;
	two = two_in_flight(&rig);
	tcmu_ring_complete(&rig.ring, two, SAM_STAT_GOOD);
	rig.mb->cmd_tail = 0;
	ring_scratch(&rig.ring)->stage = RING_STAGE_COPY;
	ring_scratch(&rig.ring)->spare = 3 * RIG_SLOT;
	not_resumable(&rig);
}

/* It would go somewhere in between two entries. */
static void with_an_answer_that_ends_nowhere(void **state)
{
	static const enum ring_stage stages[] = { RING_STAGE_COPY, RING_STAGE_ANSWER };
	struct rig rig;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		half_an_answer(&rig, 18, stages[i]);
		ring_scratch(&rig.ring)->tails.next += 8;
		not_resumable(&rig);
	}
	half_an_answer(&rig, 18, RING_STAGE_COPY);
	ring_scratch(&rig.ring)->spare = ring_scratch(&rig.ring)->tails.from;
	not_resumable(&rig);
}

/* By action/reset_ring, which leaves the tail at 0; then the same number of bytes came. */
static void with_an_answer_of_before_a_reset(void **state)
{
	static const enum ring_stage stages[] = { RING_STAGE_COPY, RING_STAGE_ANSWER };
	struct rig rig;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		half_an_answer(&rig, 18, stages[i]);
		assert_int_equal(rig.mb->cmd_tail, 0);
		rig_put(&rig, 0, RIG_SLOT, 1, 1);
		not_resumable(&rig);
	}
}

/* By action/reset_ring, when the journal has been looked at already. */
static void a_reset_during_the_take_over_stays(void **state)
{
	struct rig rig;
	uint32_t tail;

	(void)state;
	half_an_answer(&rig, 18, RING_STAGE_ANSWER);
	tail = rig.mb->cmd_tail;
	die(&rig);
	assert_true(ring_journal_whole(&rig.ring, tail));
	rig.mb->cmd_tail = rig.mb->cmd_head = 3 * RIG_SLOT; /* 0 is the tail of before */
	assert_int_equal(ring_journal_take_over(&rig.ring, tail), tail + RIG_SLOT);
	assert_int_equal(rig.mb->cmd_tail, 3 * RIG_SLOT);
	rig_end(&rig);
}

/* Only ours to notice: a request that does not belong where it stands. */
static void a_foreign_id_at_the_tail_parks(void **state)
{
	struct tcmulib_cmd *two;
	struct rig rig;

	(void)state;
	two = two_in_flight(&rig);
	rig_entry(&rig, 0)->hdr.cmd_id = 7;
	tcmu_ring_complete(&rig.ring, two, SAM_STAT_GOOD);
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_PARKED);
	assert_int_equal(rig.mb->cmd_tail, 0);
	rig_end(&rig);
}

/* The moved request could go over the entry behind it, too. */
static void a_slot_that_has_grown_takes_no_request(void **state)
{
	struct tcmulib_cmd *two;
	struct tcmu_abi_entry three;
	struct rig rig;

	(void)state;
	two = two_in_flight(&rig);
	rig_command(&rig, 3);
	three = *rig_entry(&rig, 2 * RIG_SLOT);
	rig_entry(&rig, RIG_SLOT)->hdr.len_op += RIG_SLOT;
	tcmu_ring_complete(&rig.ring, two, SAM_STAT_GOOD);
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_PARKED);
	assert_memory_equal(rig_entry(&rig, 2 * RIG_SLOT), &three, sizeof(three));
	assert_int_equal(rig.mb->cmd_tail, 0);
	rig_end(&rig);
}

/* 1 is consumed again, 2 is a lost one, 3 is there as well. */
static struct tcmulib_cmd *one_before_a_lost_one(struct rig *rig)
{
	two_in_flight(rig);
	rig_command(rig, 3);
	rig_next(rig, 3);
	rig_entry(rig, RIG_SLOT)->req.cdb_off = 0;
	take_over(rig);
	return next_again(rig, 1);
}

/* Where the answer of the lost one parks the ring nothing more is taken out of it. */
static void nothing_comes_behind_a_lost_one_that_parks(void **state)
{
	struct rig rig;

	(void)state;
	one_before_a_lost_one(&rig);
	rig_entry(&rig, 0)->hdr.len_op += 8;
	rig_nothing(&rig);
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_PARKED);
	assert_int_equal(rig.mb->cmd_tail, 0);
	rig_end(&rig);
}

/* The buffer of 1 is still in use, and so is all of its context. */
static void a_lost_one_with_the_id_of_a_kept_one_parks(void **state)
{
	struct tcmulib_cmd *one;
	struct rig rig;

	(void)state;
	one = one_before_a_lost_one(&rig);
	one->keep_buf = true;
	tcmu_ring_complete(&rig.ring, one, SAM_STAT_GOOD);
	rig_entry(&rig, RIG_SLOT)->hdr.cmd_id = 1;
	rig_nothing(&rig);
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_PARKED);
	assert_int_equal(tcmu_ring_free_kept(&rig.ring, 1), 0);
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_that_is_not_answered_comes_again),
		cmocka_unit_test(a_second_death_loses_nothing),
		cmocka_unit_test(what_comes_again_survives_a_stop),
		cmocka_unit_test(a_mark_stays_with_its_command),
		cmocka_unit_test(what_does_not_fit_is_sent_again),
		cmocka_unit_test(what_does_not_fit_and_has_begun_fails),
		cmocka_unit_test(a_new_entry_without_cdb_is_insane),
		cmocka_unit_test(an_answer_under_way_is_given),
		cmocka_unit_test(of_somebody_else_in_between),
		cmocka_unit_test(of_another_version),
		cmocka_unit_test(with_entries_that_lead_nowhere),
		cmocka_unit_test(with_a_position_that_is_none),
		cmocka_unit_test(with_an_answer_to_nowhere),
		cmocka_unit_test(with_an_answer_that_ends_nowhere),
		cmocka_unit_test(with_an_answer_of_before_a_reset),
		cmocka_unit_test(a_reset_during_the_take_over_stays),
		cmocka_unit_test(a_foreign_id_at_the_tail_parks),
		cmocka_unit_test(a_slot_that_has_grown_takes_no_request),
		cmocka_unit_test(nothing_comes_behind_a_lost_one_that_parks),
		cmocka_unit_test(a_lost_one_with_the_id_of_a_kept_one_parks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
