/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include "scsi/request_sense.h"

static void request(uint8_t desc, uint8_t alloc, struct answer *a)
{
	const uint8_t cdb[6] = { REQUEST_SENSE, desc, 0, 0, alloc };
	struct scsi_lu lu = plain_lu();

	run(scsi_request_sense, &lu, cdb, ROOM, a);
	assert_int_equal(a->status, SAM_STAT_GOOD);
}

static void no_sense_in_fixed_format(void **state)
{
	static const uint8_t expected[18] = { 0x70, [7] = 10 };
	struct answer a;

	(void)state;
	request(0, 252, &a);
	assert_int_equal(a.len, 18);
	assert_memory_equal(a.buf, expected, 18);
}

static void no_sense_in_descriptor_format(void **state)
{
	static const uint8_t expected[8] = { 0x72 };
	struct answer a;

	(void)state;
	request(1, 252, &a);
	assert_int_equal(a.len, 8);
	assert_memory_equal(a.buf, expected, 8);
}

static void allocation_length_cuts(void **state)
{
	struct answer a;

	(void)state;
	for (uint8_t alloc = 0; alloc < 30; alloc++) {
		request(0, alloc, &a);
		assert_int_equal(a.len, alloc < 18 ? alloc : 18);
	}
}

static void what_is_pending_is_reported(void **state)
{
	const uint8_t cdb[6] = { REQUEST_SENSE, 0, 0, 0, 252 };
	struct answer a;

	(void)state;
	assert_int_equal(
		scsi_request_sense_with(&SCSI_SENSE_CAPACITY_CHANGED, cdb, a.buf, ROOM, &a.len),
		SAM_STAT_GOOD);
	assert_int_equal(a.buf[2], UNIT_ATTENTION);
	assert_int_equal(get_be16(a.buf + 12), ASC_CAPACITY_DATA_CHANGED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_sense_in_fixed_format),
		cmocka_unit_test(no_sense_in_descriptor_format),
		cmocka_unit_test(allocation_length_cuts),
		cmocka_unit_test(what_is_pending_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
