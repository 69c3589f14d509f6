/* SPDX-License-Identifier: Apache-2.0 */
/* tcmulib_command_complete(): what an enum tcmu_sts becomes in the slot. */
#include "lib/device.h"
#include "rig.h"

struct bench {
	struct rig rig;
	struct tcmu_device dev;
	uint16_t id;
};

static void bench_start(struct bench *b, uint16_t flags)
{
	memset(b, 0, sizeof(*b));
	rig_start(&b->rig, flags);
	b->dev.ring = b->rig.ring;
	b->dev.map = b->rig.map;
	b->dev.fd = -1;
}

static void bench_end(struct bench *b)
{
	b->rig.ring = b->dev.ring;
	rig_end(&b->rig);
}

static struct tcmulib_cmd *bench_command(struct bench *b)
{
	struct tcmulib_cmd *cmd;

	rig_command(&b->rig, ++b->id);
	cmd = tcmulib_get_next_command(&b->dev, 0);
	assert_non_null(cmd);
	return cmd;
}

/* Completes cmd and returns the slot it was answered in. */
static struct tcmu_abi_entry *bench_complete(struct bench *b, struct tcmulib_cmd *cmd, int sts)
{
	struct tcmu_abi_entry *ent = rig_entry(&b->rig, b->rig.mb->cmd_tail);

	tcmulib_command_complete(&b->dev, cmd, sts);
	assert_int_equal(tcmulib_ring_in_flight(&b->dev), 0);
	return ent;
}

static void outcomes(void **state)
{
	static const struct {
		int sts;
		uint8_t status, key, asc;
	} table[] = {
		{ TCMU_STS_OK, SAM_STAT_GOOD, 0, 0 },
		{ TCMU_STS_BUSY, SAM_STAT_BUSY, 0, 0 },
		{ TCMU_STS_NO_RESOURCE, SAM_STAT_TASK_SET_FULL, 0, 0 },
		{ TCMU_STS_NOT_HANDLED, SAM_STAT_CHECK_CONDITION, 0x05, 0x20 },
		{ TCMU_STS_RANGE, SAM_STAT_CHECK_CONDITION, 0x05, 0x21 },
		{ TCMU_STS_ASYNC_HANDLED, SAM_STAT_CHECK_CONDITION, 0x04, 0x44 },
		{ TCMU_STS_PASSTHROUGH_ERR, SAM_STAT_CHECK_CONDITION, 0x04, 0x44 }, /* no sense */
		{ 4711, SAM_STAT_CHECK_CONDITION, 0x04, 0x44 },
	};
	struct bench b;

	(void)state;
	bench_start(&b, RIG_FLAGS);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct tcmu_abi_entry *ent = bench_complete(&b, bench_command(&b), table[i].sts);

		assert_int_equal(ent->hdr.uflags, 0);
		assert_int_equal(ent->rsp.scsi_status, table[i].status);
		if (table[i].status == SAM_STAT_CHECK_CONDITION) {
			assert_int_equal(ent->rsp.sense[0] & 0x7f, 0x70);
			assert_int_equal(ent->rsp.sense[2], table[i].key);
			assert_int_equal(ent->rsp.sense[12], table[i].asc);
		}
	}
	bench_end(&b);
}

static void sense_of_the_program(void **state)
{
	struct tcmu_abi_entry *ent;
	struct tcmulib_cmd *cmd;
	struct bench b;
	int sts;

	(void)state;
	bench_start(&b, RIG_FLAGS);
	cmd = bench_command(&b);
	sts = tcmu_sense_set_data(cmd->sense_buf, 0x0b, 0x0801);
	ent = bench_complete(&b, cmd, sts);
	assert_int_equal(ent->rsp.scsi_status, SAM_STAT_CHECK_CONDITION);
	assert_int_equal(ent->rsp.sense[2], 0x0b);
	assert_int_equal(ent->rsp.sense[12], 0x08);
	assert_int_equal(ent->rsp.sense[13], 0x01);
	bench_end(&b);
}

/* Other commands' data is in recycled buffers. */
static void zeros_where_read_len_cannot_be_said(void **state)
{
	struct tcmulib_cmd *cmd;
	struct bench b;
	uint8_t *data;

	(void)state;
	bench_start(&b, TCMU_ABI_CAP_OOO);
	data = b.rig.map + b.rig.data_off;
	memset(data, 0xdb, 8192);
	rig_put(&b.rig, 0, RIG_SLOT, 1, 2);
	rig_head(&b.rig, RIG_SLOT);
	cmd = tcmulib_get_next_command(&b.dev, 0);
	tcmu_iovec_seek(cmd->iovec, 500); /* the program's copy: it may */
	cmd->read_len = 100;
	bench_complete(&b, cmd, TCMU_STS_OK);
	assert_int_equal(data[99], 0xdb);
	for (size_t i = 100; i < 512; i++)
		assert_int_equal(data[i], 0);
	assert_int_equal(data[512], 0xdb);
	assert_int_equal(data[4095], 0xdb);
	for (size_t i = 4096; i < 4096 + 512; i++)
		assert_int_equal(data[i], 0);
	assert_int_equal(data[4096 + 512], 0xdb);
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outcomes),
		cmocka_unit_test(sense_of_the_program),
		cmocka_unit_test(zeros_where_read_len_cannot_be_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
