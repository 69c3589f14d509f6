/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include "scsi/cdb.h"

static void length_by_group(void **state)
{
	static const struct {
		uint8_t opcode;
		int length;
	} cases[] = {
		{ 0x00, 6 },  { 0x1f, 6 },  { 0x20, 10 }, { 0x3f, 10 }, { 0x40, 10 },
		{ 0x5f, 10 }, { 0x60, 12 }, { 0x7e, 12 }, { 0x80, 16 }, { 0x9f, 16 },
		{ 0xa0, 12 }, { 0xbf, 12 }, { 0xc0, 10 }, { 0xe0, 10 }, { 0xff, 10 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(scsi_cdb_length(&cases[i].opcode), cases[i].length);
}

static void variable_length_counts_its_additional_bytes(void **state)
{
	uint8_t cdb[8] = { VARIABLE_LENGTH_CMD };

	(void)state;
	assert_int_equal(scsi_cdb_length(cdb), 8);
	cdb[7] = 0x18;
	assert_int_equal(scsi_cdb_length(cdb), 32);
	cdb[7] = 252;
	assert_int_equal(scsi_cdb_length(cdb), SCSI_CDB_MAX);
	cdb[7] = 255;
	assert_int_equal(scsi_cdb_length(cdb), SCSI_CDB_MAX);
}

static void lba_and_length_by_group(void **state)
{
	const uint8_t read_6[6] = { READ_6, 0xff, 0x12, 0x34, 0x56, 0 };
	const uint8_t read_10[10] = { READ_10, 0, 1, 2, 3, 4, 0, 5, 6, 0 };
	const uint8_t read_12[12] = { READ_12, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0 };
	const uint8_t read_16[16] = { READ_16, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0 };
	uint8_t read_32[32] = {
		VARIABLE_LENGTH_CMD, [7] = 0x18, [9] = SA_READ_32, [19] = 7, [31] = 9
	};

	(void)state;
	assert_int_equal(scsi_cdb_generic_lba(read_6), 0x1f1234);
	assert_int_equal(scsi_cdb_generic_xfer(read_6), 0x56);
	assert_int_equal(scsi_cdb_generic_lba(read_10), 0x01020304);
	assert_int_equal(scsi_cdb_generic_xfer(read_10), 0x0506);
	assert_int_equal(scsi_cdb_generic_lba(read_12), 0x01020304);
	assert_int_equal(scsi_cdb_generic_xfer(read_12), 0x05060708);
	assert_true(scsi_cdb_generic_lba(read_16) == 0x0102030405060708);
	assert_int_equal(scsi_cdb_generic_xfer(read_16), 0x090a0b0c);
	assert_int_equal(scsi_cdb_generic_lba(read_32), 7);
	assert_int_equal(scsi_cdb_generic_xfer(read_32), 9);
}

static void zero_is_256_for_read_6_and_write_6(void **state)
{
	const uint8_t read_6[6] = { READ_6 }, write_6[6] = { WRITE_6 }, inquiry[6] = { INQUIRY };

	(void)state;
	assert_int_equal(scsi_cdb_generic_xfer(read_6), 256);
	assert_int_equal(scsi_cdb_generic_xfer(write_6), 256);
	assert_int_equal(scsi_cdb_generic_xfer(inquiry), 0);
}

static void vendor_groups_have_neither(void **state)
{
	const uint8_t cdb[16] = { 0xc0, 1, 2, 3, 4, 5, 6, 7, 8, 9 };

	(void)state;
	assert_int_equal(scsi_cdb_generic_lba(cdb), 0);
	assert_int_equal(scsi_cdb_generic_xfer(cdb), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(length_by_group),
		cmocka_unit_test(variable_length_counts_its_additional_bytes),
		cmocka_unit_test(lba_and_length_by_group),
		cmocka_unit_test(zero_is_256_for_read_6_and_write_6),
		cmocka_unit_test(vendor_groups_have_neither),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
