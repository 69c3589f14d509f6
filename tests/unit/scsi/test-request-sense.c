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

/* Of everything that sense data can have, in both formats, whatever D_SENSE is. */
static struct scsi_sense pending;

static uint8_t request_pending(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf,
			       size_t cap, size_t *len, struct scsi_sense *sense)
{
	(void)lu;
	(void)sense;
	return scsi_request_sense_with(&pending, cdb, buf, cap, len);
}

static void allocation_length_cuts(void **state)
{
	static const uint8_t fixed[16] = { REQUEST_SENSE };
	static const uint8_t desc[16] = { REQUEST_SENSE, 1 };
	struct scsi_lu lu = plain_lu();

	(void)state;
	pending = scsi_sense_progress(SCSI_SENSE_FORMAT_IN_PROGRESS, 1, 3);
	pending.has_info = true;
	pending.info = 0x123456789;
	for (int d_sense = 0; d_sense < 2; d_sense++) {
		lu.d_sense = d_sense;
		assert_cut_everywhere(scsi_request_sense, &lu, fixed, 4, 1);
		assert_cut_everywhere(scsi_request_sense, &lu, desc, 4, 1);
		assert_cut_everywhere(request_pending, &lu, fixed, 4, 1);
		assert_cut_everywhere(request_pending, &lu, desc, 4, 1);
	}
}

static void progress_is_reported_in_both_formats(void **state)
{
	const uint8_t fixed[6] = { REQUEST_SENSE, 0, 0, 0, 252 };
	const uint8_t desc[6] = { REQUEST_SENSE, 1, 0, 0, 252 };
	struct answer a;

	(void)state;
	pending = scsi_sense_progress(SCSI_SENSE_SANITIZE_IN_PROGRESS, 3, 4);
	run(request_pending, NULL, fixed, ROOM, &a);
	assert_int_equal(a.len, 18);
	assert_int_equal(a.buf[0], 0x70);
	assert_int_equal(a.buf[2], NOT_READY);
	assert_int_equal(get_be16(a.buf + 12), 0x041b);
	assert_int_equal(a.buf[15], 0x80);
	assert_int_equal(get_be16(a.buf + 16), 0xc000);
	run(request_pending, NULL, desc, ROOM, &a);
	assert_int_equal(a.len, 16);
	assert_int_equal(a.buf[0], 0x72);
	assert_int_equal(a.buf[8], 0x02);
	assert_int_equal(get_be16(a.buf + 13), 0xc000);
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
		cmocka_unit_test(progress_is_reported_in_both_formats),
		cmocka_unit_test(what_is_pending_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
