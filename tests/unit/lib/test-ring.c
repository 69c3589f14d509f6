/* SPDX-License-Identifier: Apache-2.0 */
/* Consuming and answering in a healthy ring. */
#include <errno.h>

#include "rig.h"

static void copies_the_request(void **state)
{
	struct tcmulib_cmd *cmd;
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig_put(&rig, 0, RIG_SLOT, 7, 4);
	rig_head(&rig, RIG_SLOT);
	assert_true(tcmu_ring_pending(&rig.ring));
	cmd = tcmu_ring_next(&rig.ring, 40);
	assert_non_null(cmd);
	memset(rig_entry(&rig, 0), 0xdb, RIG_SLOT); /* the copies must not care */
	assert_int_equal(cmd->cmd_id, 7);
	assert_int_equal(cmd->cdb[0], READ_10);
	assert_int_equal(cmd->cdb[5], 7);
	assert_int_equal(cmd->iov_cnt, 4);
	for (unsigned int i = 0; i < 4; i++) {
		assert_ptr_equal(cmd->iovec[i].iov_base, rig.map + rig.data_off + i * 4096);
		assert_int_equal(cmd->iovec[i].iov_len, 512);
	}
	assert_int_equal((uintptr_t)cmd->hm_private % 16, 0);
	memset(cmd->hm_private, 0xff, 40);
	assert_int_equal(rig.ring.in_flight, 1);
	assert_false(tcmu_ring_pending(&rig.ring));
	rig_nothing(&rig);
	rig_end(&rig);
}

static void answers_go_to_the_slot_at_tail(void **state)
{
	struct tcmulib_cmd *first, *second;
	struct tcmu_abi_entry *ent;
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig_command(&rig, 1);
	rig_command(&rig, 2);
	first = rig_next(&rig, 1);
	second = rig_next(&rig, 2);
	assert_false(tcmu_ring_take_kick(&rig.ring));

	memset(second->sense_buf, 0x70, sizeof(second->sense_buf));
	tcmu_ring_complete(&rig.ring, second, SAM_STAT_CHECK_CONDITION);
	assert_int_equal(rig.mb->cmd_tail, RIG_SLOT);
	ent = rig_entry(&rig, 0);
	assert_int_equal(ent->hdr.len_op, RIG_SLOT | TCMU_ABI_OP_CMD);
	assert_int_equal(ent->hdr.cmd_id, 2);
	assert_int_equal(ent->hdr.uflags, 0);
	assert_int_equal(ent->rsp.scsi_status, SAM_STAT_CHECK_CONDITION);
	assert_int_equal(ent->rsp.sense[95], 0x70);
	assert_null(tcmu_ring_by_id(&rig.ring, 2));

	tcmu_ring_complete(&rig.ring, first, SAM_STAT_GOOD);
	assert_int_equal(rig.mb->cmd_tail, 2 * RIG_SLOT);
	assert_int_equal(rig_entry(&rig, RIG_SLOT)->hdr.cmd_id, 1);
	assert_true(tcmu_ring_take_kick(&rig.ring));
	assert_false(tcmu_ring_take_kick(&rig.ring));
	assert_int_equal(rig.ring.in_flight, 0);
	assert_int_equal(rig.ring.lens_first, 0); /* cache-hot again */
	rig_end(&rig);
}

static void an_id_comes_again_at_once(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	for (int i = 0; i < 1000; i++) { /* many laps */
		rig_command(&rig, 1);
		tcmu_ring_complete(&rig.ring, rig_next(&rig, 1), SAM_STAT_GOOD);
		assert_int_equal(rig.mb->cmd_tail, rig.mb->cmd_head);
	}
	rig_end(&rig);
}

static void padding_at_the_end_is_passed(void **state)
{
	struct tcmulib_cmd *cmd;
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig_command(&rig, 2);
	tcmu_ring_complete(&rig.ring, rig_next(&rig, 2), SAM_STAT_GOOD);
	rig_put(&rig, RIG_SLOT, RIG_RING - RIG_SLOT - 8, 1, 1);
	rig_head(&rig, RIG_RING - 8);
	cmd = rig_next(&rig, 1);
	rig_entry(&rig, RIG_RING - 8)->hdr.len_op = 8 | TCMU_ABI_OP_PAD;
	rig_head(&rig, 0);
	rig_nothing(&rig);
	assert_int_equal(rig.mb->cmd_tail, RIG_SLOT); /* the command is in front of the padding */
	tcmu_ring_complete(&rig.ring, cmd, SAM_STAT_GOOD);
	assert_int_equal(rig.mb->cmd_tail, 0); /* once around */
	assert_int_equal(rig.ring.lens_count, 0);
	assert_true(tcmu_ring_take_kick(&rig.ring));
	rig_end(&rig);
}

static void padding_alone_is_passed_too(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig, RIG_FLAGS);
	rig.mb->cmd_head = rig.mb->cmd_tail = RIG_RING - 64;
	assert_int_equal(tcmu_ring_attach(&rig.ring, rig.map, rig.map_len), 0);
	assert_int_equal(tcmu_ring_start(&rig.ring), 0);
	rig_entry(&rig, RIG_RING - 64)->hdr.len_op = 64 | TCMU_ABI_OP_PAD;
	rig_head(&rig, 0);
	rig_nothing(&rig);
	assert_int_equal(rig.mb->cmd_tail, 0);
	rig_end(&rig);
}

static void unknown_operations_are_flagged(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig_entry(&rig, 0)->hdr.len_op = 40 | 5;
	rig_put(&rig, 40, RIG_SLOT, 3, 0);
	rig_head(&rig, 40 + RIG_SLOT);
	tcmu_ring_complete(&rig.ring, rig_next(&rig, 3), SAM_STAT_GOOD);
	assert_int_equal(rig_entry(&rig, 0)->hdr.uflags, TCMU_ABI_UFLAG_UNKNOWN_OP);
	assert_int_equal(rig.mb->cmd_tail, 40 + RIG_SLOT);
	rig_end(&rig);
}

static void put_tmr(struct rig *rig, uint32_t off, uint16_t id)
{
	struct tcmu_abi_tmr *tmr = (void *)rig_entry(rig, off);

	memset(tmr, 0, 40);
	tmr->hdr.len_op = 40 | TCMU_ABI_OP_TMR;
	tmr->type = 1;
	tmr->cmd_cnt = 1;
	tmr->cmd_ids[0] = id;
}

static void a_tmr_stops_whoever_asks(void **state)
{
	const struct tcmulib_tmr *tmr;
	struct tcmulib_cmd *cmd;
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig_command(&rig, 1);
	put_tmr(&rig, RIG_SLOT, 1);
	rig_put(&rig, RIG_SLOT + 40, RIG_SLOT, 2, 1);
	rig_head(&rig, RIG_SLOT + 40 + RIG_SLOT);
	cmd = rig_next(&rig, 1);
	rig_nothing(&rig);
	assert_true(tcmu_ring_pending(&rig.ring));
	tmr = tcmu_ring_next_tmr(&rig.ring);
	assert_non_null(tmr);
	assert_int_equal(tmr->type, 1);
	assert_int_equal(tmr->cmd_cnt, 1);
	assert_int_equal(tmr->cmd_ids[0], 1);
	assert_null(tcmu_ring_next_tmr(&rig.ring));
	tcmu_ring_complete(&rig.ring, cmd, SAM_STAT_TASK_ABORTED);
	assert_int_equal(rig.mb->cmd_tail, RIG_SLOT + 40);
	tcmu_ring_complete(&rig.ring, rig_next(&rig, 2), SAM_STAT_GOOD);
	assert_int_equal(rig.mb->cmd_tail, rig.mb->cmd_head);
	rig_end(&rig);
}

static void a_tmr_does_not_stop_whoever_does_not_ask(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig_nothing(&rig); /* a chance to ask */
	put_tmr(&rig, 0, 1);
	rig_put(&rig, 40, RIG_SLOT, 2, 1);
	rig_head(&rig, 40 + RIG_SLOT);
	tcmu_ring_complete(&rig.ring, rig_next(&rig, 2), SAM_STAT_GOOD);
	assert_int_equal(rig.mb->cmd_tail, rig.mb->cmd_head);

	put_tmr(&rig, 40 + RIG_SLOT, 1);
	rig_head(&rig, 80 + RIG_SLOT);
	rig_nothing(&rig); /* and with nothing in flight */
	assert_int_equal(rig.mb->cmd_tail, rig.mb->cmd_head);
	rig_end(&rig);
}

static void read_len_and_keep_buf_where_the_ring_has_them(void **state)
{
	struct tcmulib_cmd *cmd;
	struct tcmu_abi_entry *ent;
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	ent = rig_entry(&rig, 0);
	rig_command(&rig, 1);
	cmd = rig_next(&rig, 1);
	cmd->read_len = 36;
	cmd->keep_buf = true;
	tcmu_ring_complete(&rig.ring, cmd, SAM_STAT_GOOD);
	assert_int_equal(ent->hdr.uflags, TCMU_ABI_UFLAG_READ_LEN | TCMU_ABI_UFLAG_KEEP_BUF);
	assert_int_equal(ent->rsp.read_len, 36);
	assert_null(tcmu_ring_by_id(&rig.ring, 1));
	assert_int_equal(tcmu_ring_free_kept(&rig.ring, 1), 1);
	assert_int_equal(tcmu_ring_free_kept(&rig.ring, 1), -EINVAL);
	rig_command(&rig, 1);
	cmd = rig_next(&rig, 1);
	assert_int_equal(cmd->read_len, 0);
	assert_false(cmd->keep_buf);
	cmd->read_len = 512; /* all of it: nothing to say */
	tcmu_ring_complete(&rig.ring, cmd, SAM_STAT_GOOD);
	assert_int_equal(rig_entry(&rig, RIG_SLOT)->hdr.uflags, 0);
	rig_end(&rig);

	rig_start(&rig, TCMU_ABI_CAP_OOO);
	ent = rig_entry(&rig, 0);
	rig_command(&rig, 1);
	cmd = rig_next(&rig, 1);
	cmd->read_len = 36;
	cmd->keep_buf = true;
	tcmu_ring_complete(&rig.ring, cmd, SAM_STAT_GOOD);
	assert_int_equal(ent->hdr.uflags, 0);
	rig_end(&rig);
}

static void original_iovs_without_read_len(void **state)
{
	struct tcmulib_cmd *cmd;
	const struct iovec *orig;
	struct rig rig;
	size_t cnt = 0;

	(void)state;
	for (uint32_t iovs = 1; iovs <= 4; iovs++) { /* inline, and from the pool */
		rig_start(&rig, TCMU_ABI_CAP_OOO);
		rig_put(&rig, 0, RIG_SLOT, 1, iovs);
		rig_head(&rig, RIG_SLOT);
		cmd = rig_next(&rig, 1);
		memset(cmd->iovec, 0, cmd->iov_cnt * sizeof(*cmd->iovec));
		orig = tcmu_ring_orig_iov(&rig.ring, cmd, &cnt);
		assert_int_equal(cnt, iovs);
		assert_ptr_equal(orig[iovs - 1].iov_base,
				 rig.map + rig.data_off + (iovs - 1) * 4096);
		rig_end(&rig);
	}
}

static void big_commands_use_the_pool(void **state)
{
	struct tcmulib_cmd *cmd;
	struct tcmu_abi_entry *ent;
	struct rig rig;
	uint8_t *cdb;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	for (int i = 0; i < 10; i++) {
		uint32_t head = rig.mb->cmd_head;

		if (head + 400 > RIG_RING) {
			rig_entry(&rig, head)->hdr.len_op = (RIG_RING - head) | TCMU_ABI_OP_PAD;
			head = 0;
		}
		ent = rig_put(&rig, head, 48 + 16 * 15 + 32, 5, 15);
		cdb = (uint8_t *)ent + 48 + 16 * 15;
		cdb[0] = VARIABLE_LENGTH_CMD;
		cdb[7] = 24;
		cdb[31] = 0x5a;
		rig_head(&rig, head + 48 + 16 * 15 + 32);
		cmd = rig_next(&rig, 5);
		assert_int_equal(cmd->iov_cnt, 15);
		assert_ptr_equal(cmd->iovec[14].iov_base, rig.map + rig.data_off + 14 * 4096);
		assert_int_equal(cmd->cdb[31], 0x5a);
		tcmu_ring_complete(&rig.ring, cmd, SAM_STAT_GOOD);
		assert_int_equal(rig.mb->cmd_tail, rig.mb->cmd_head);
	}
	assert_int_equal(rig.ring.pool.bytes, 512); /* one block, used again and again */
	rig_end(&rig);
}

static void an_empty_pool_pauses(void **state)
{
	struct tcmulib_cmd *cmd;
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig.ring.pool.limit = 128;
	rig_put(&rig, 0, 192, 1, 8);
	rig_put(&rig, 192, 192, 2, 8);
	rig_head(&rig, 384);
	cmd = rig_next(&rig, 1);
	rig_nothing(&rig);
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_RUNNING);
	assert_false(tcmu_ring_pending(&rig.ring)); /* no use in spinning */
	tcmu_ring_complete(&rig.ring, cmd, SAM_STAT_GOOD);
	assert_true(tcmu_ring_pending(&rig.ring));
	tcmu_ring_complete(&rig.ring, rig_next(&rig, 2), SAM_STAT_GOOD);
	rig_end(&rig);
}

static void memory_is_given_back_when_nothing_is_in_flight(void **state)
{
	struct tcmulib_cmd *cmd;
	struct rig rig;
	uint8_t *priv;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	assert_int_equal(tcmu_ring_trim(&rig.ring), 0); /* never used */
	rig_put(&rig, 0, 192, 1, 8);
	rig_head(&rig, 192);
	cmd = tcmu_ring_next(&rig.ring, 100);
	priv = cmd->hm_private;
	*priv = 0x5a;
	assert_int_equal(tcmu_ring_trim(&rig.ring), -EBUSY);
	cmd->keep_buf = true;
	tcmu_ring_complete(&rig.ring, cmd, SAM_STAT_GOOD);
	assert_int_equal(tcmu_ring_trim(&rig.ring), -EBUSY); /* something may still write there */
	assert_int_equal(*priv, 0x5a);
	assert_int_equal(tcmu_ring_free_kept(&rig.ring, 1), 1);
	assert_int_equal(tcmu_ring_trim(&rig.ring), 0);
	assert_int_equal(*priv, 0);
	assert_int_equal(rig.ring.pool.bytes, 0);

	rig_put(&rig, 192, 192, 1, 8);
	rig_head(&rig, 384);
	cmd = tcmu_ring_next(&rig.ring, 100);
	assert_int_equal(cmd->iov_cnt, 8);
	assert_ptr_equal(cmd->hm_private, priv);
	tcmu_ring_complete(&rig.ring, cmd, SAM_STAT_GOOD);
	assert_int_equal(rig.mb->cmd_tail, 384);
	assert_int_equal(tcmu_ring_trim(&rig.ring), 0);
	/* One that is over stays over. */
	tcmu_ring_complete(&rig.ring, cmd, SAM_STAT_GOOD);
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_PARKED);
	assert_string_equal(rig.ring.reason, "command 1 was completed twice");
	rig_end(&rig);
}

static void bidi_buffers_are_cleared(void **state)
{
	struct tcmu_abi_entry *ent;
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	memset(rig.map + rig.data_off, 0xdb, RIG_DATA);
	ent = rig_put(&rig, 0, RIG_SLOT, 1, 2);
	ent->req.iov_cnt = 1;
	ent->req.iov_bidi_cnt = 1;
	rig_head(&rig, RIG_SLOT);
	assert_int_equal(rig_next(&rig, 1)->iov_cnt, 1);
	assert_int_equal(rig.map[rig.data_off + 4096], 0);
	assert_int_equal(rig.map[rig.data_off + 4096 + 511], 0);
	assert_int_equal(rig.map[rig.data_off + 4096 + 512], 0xdb);
	assert_int_equal(rig.map[rig.data_off], 0xdb);
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_the_request),
		cmocka_unit_test(answers_go_to_the_slot_at_tail),
		cmocka_unit_test(an_id_comes_again_at_once),
		cmocka_unit_test(padding_at_the_end_is_passed),
		cmocka_unit_test(padding_alone_is_passed_too),
		cmocka_unit_test(unknown_operations_are_flagged),
		cmocka_unit_test(a_tmr_stops_whoever_asks),
		cmocka_unit_test(a_tmr_does_not_stop_whoever_does_not_ask),
		cmocka_unit_test(read_len_and_keep_buf_where_the_ring_has_them),
		cmocka_unit_test(original_iovs_without_read_len),
		cmocka_unit_test(big_commands_use_the_pool),
		cmocka_unit_test(an_empty_pool_pauses),
		cmocka_unit_test(memory_is_given_back_when_nothing_is_in_flight),
		cmocka_unit_test(bidi_buffers_are_cleared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
