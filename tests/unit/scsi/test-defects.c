/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include "scsi/defects.h"

static void ten(uint8_t byte_2, struct answer *a)
{
	const uint8_t cdb[10] = { READ_DEFECT_DATA, 0, byte_2, 0, 0, 0, 0, 0, 255 };
	struct scsi_lu lu = plain_lu();

	run(scsi_read_defect_data, &lu, cdb, ROOM, a);
}

static void twelve(uint8_t byte_1, uint32_t index, struct answer *a)
{
	uint8_t cdb[12] = { READ_DEFECT_DATA_12, byte_1 };
	struct scsi_lu lu = plain_lu();

	put_be32(cdb + 2, index);
	put_be32(cdb + 6, 255);
	run(scsi_read_defect_data, &lu, cdb, ROOM, a);
}

/* PLISTV and GLISTV for those that were asked for, in each format that there is. */
static void both_lists_are_empty(void **state)
{
	struct answer a;

	(void)state;
	for (uint8_t bits = 0; bits < 0x20; bits++) {
		const uint8_t expected[8] = { 0, bits };

		ten(bits, &a);
		if ((bits & 7) == 7) {
			assert_invalid_cdb(&a, 2, 2);
		} else {
			assert_int_equal(a.len, 4);
			assert_memory_equal(a.buf, expected, 4);
		}
		twelve(bits, 0, &a);
		if ((bits & 7) == 7) {
			assert_invalid_cdb(&a, 1, 2);
		} else {
			assert_int_equal(a.len, 8);
			assert_memory_equal(a.buf, expected, 8);
		}
	}
}

static void any_index_is_behind_the_end(void **state)
{
	static const uint8_t expected[8] = { 0, 0x18 };
	struct answer a;

	(void)state;
	twelve(0x18, UINT32_MAX, &a);
	assert_int_equal(a.len, 8);
	assert_memory_equal(a.buf, expected, 8);
}

static void allocation_length_cuts(void **state)
{
	static const uint8_t short_cdb[16] = { READ_DEFECT_DATA, 0, 0x18 };
	static const uint8_t long_cdb[16] = { READ_DEFECT_DATA_12, 0x18 };
	struct scsi_lu lu = plain_lu();

	(void)state;
	assert_cut_everywhere(scsi_read_defect_data, &lu, short_cdb, 7, 2);
	assert_cut_everywhere(scsi_read_defect_data, &lu, long_cdb, 6, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_lists_are_empty),
		cmocka_unit_test(any_index_is_behind_the_end),
		cmocka_unit_test(allocation_length_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
