/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include "scsi/capacity.h"

static void get_10(uint64_t num_lbas, struct answer *a)
{
	const uint8_t cdb[10] = { READ_CAPACITY };
	struct scsi_lu lu = plain_lu();

	lu.num_lbas = num_lbas;
	run(scsi_read_capacity_10, &lu, cdb, ROOM, a);
}

static void get_16(const struct scsi_lu *lu, uint32_t alloc, struct answer *a)
{
	uint8_t cdb[16] = { SERVICE_ACTION_IN_16, SAI_READ_CAPACITY_16 };

	put_be32(cdb + 10, alloc);
	run(scsi_read_capacity_16, lu, cdb, ROOM, a);
}

static void last_block_and_block_length(void **state)
{
	static const uint8_t expected[8] = { 0x00, 0x1f, 0xff, 0xff, 0, 0, 2, 0 };
	struct answer a;

	(void)state;
	get_10(0x200000, &a);
	assert_int_equal(a.status, SAM_STAT_GOOD);
	assert_int_equal(a.len, 8);
	assert_memory_equal(a.buf, expected, 8);
}

static void read_capacity_10_says_when_it_is_too_short(void **state)
{
	static const struct {
		uint64_t num_lbas;
		uint32_t last;
	} cases[] = {
		{ 1, 0 },
		{ 0xffffffff, 0xfffffffe },
		{ 0x100000000, 0xffffffff }, /* the last one: also what says "too many" */
		{ 0x100000001, 0xffffffff },
		{ UINT64_MAX, 0xffffffff },
	};
	struct answer a;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		get_10(cases[i].num_lbas, &a);
		assert_int_equal(get_be32(a.buf), cases[i].last);
	}
}

static void read_capacity_10_wants_lba_0_without_pmi(void **state)
{
	uint8_t cdb[10] = { READ_CAPACITY, 0, 0, 0, 0, 1 };
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	run(scsi_read_capacity_10, &lu, cdb, ROOM, &a);
	assert_invalid_cdb(&a, 2, -1);
	cdb[8] = 0x01;
	run(scsi_read_capacity_10, &lu, cdb, ROOM, &a);
	assert_int_equal(a.status, SAM_STAT_GOOD);
}

static void without_a_capacity_the_unit_is_not_ready(void **state)
{
	struct scsi_lu lu = { .block_size = 512 };
	struct answer a;

	(void)state;
	get_10(0, &a);
	assert_int_equal(a.status, SAM_STAT_CHECK_CONDITION);
	assert_sense(&a.sense, NOT_READY, ASC_NOT_READY_CAUSE_NOT_REPORTABLE);
	get_16(&lu, 32, &a);
	assert_int_equal(a.status, SAM_STAT_CHECK_CONDITION);
	assert_sense(&a.sense, NOT_READY, ASC_NOT_READY_CAUSE_NOT_REPORTABLE);
}

static void read_capacity_16(void **state)
{
	static const uint8_t expected[32] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					      0xfe, 0,    0,    0x10, 0,    0,    3 };
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	lu.num_lbas = UINT64_MAX;
	lu.block_size = 4096;
	lu.phys_exponent = 3;
	lu.unmap_zeroes = true; /* means nothing without unmap */
	get_16(&lu, 32, &a);
	assert_int_equal(a.len, 32);
	assert_memory_equal(a.buf, expected, 32);
}

static void provisioning_bits(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	lu.unmap = true;
	get_16(&lu, 32, &a);
	assert_int_equal(a.buf[14], 0x80);
	lu.unmap_zeroes = true;
	get_16(&lu, 32, &a);
	assert_int_equal(a.buf[14], 0xc0);
}

static void exponent_does_not_leave_its_field(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	lu.phys_exponent = 99;
	get_16(&lu, 32, &a);
	assert_int_equal(a.buf[13], 0x0f);
}

static void allocation_length_cuts(void **state)
{
	static const uint8_t cdb[16] = { SERVICE_ACTION_IN_16, SAI_READ_CAPACITY_16 };
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	assert_cut_everywhere(scsi_read_capacity_16, &lu, cdb, 10, 4);
	get_16(&lu, UINT32_MAX, &a);
	assert_int_equal(a.len, 32);
	/* READ CAPACITY(10) has no ALLOCATION LENGTH: only the buffer cuts. */
	for (size_t cap = 0; cap < 8; cap++) {
		const uint8_t ten[10] = { READ_CAPACITY };

		run(scsi_read_capacity_10, &lu, ten, cap, &a);
		assert_int_equal(a.len, cap);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(last_block_and_block_length),
		cmocka_unit_test(read_capacity_10_says_when_it_is_too_short),
		cmocka_unit_test(read_capacity_10_wants_lba_0_without_pmi),
		cmocka_unit_test(without_a_capacity_the_unit_is_not_ready),
		cmocka_unit_test(read_capacity_16),
		cmocka_unit_test(provisioning_bits),
		cmocka_unit_test(exponent_does_not_leave_its_field),
		cmocka_unit_test(allocation_length_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
