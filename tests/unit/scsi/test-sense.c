/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include "libtcmu.h"

static void build(const struct scsi_sense *sense, bool desc, uint8_t *buf)
{
	memset(buf, CANARY, SCSI_SENSE_SIZE + 8);
	scsi_sense_build(sense, desc, buf);
	for (int i = 0; i < 8; i++)
		assert_int_equal(buf[SCSI_SENSE_SIZE + i], CANARY);
}

static void assert_zero_after(const uint8_t *buf, size_t from)
{
	for (size_t i = from; i < SCSI_SENSE_SIZE; i++)
		assert_int_equal(buf[i], 0);
}

static void fixed_format(void **state)
{
	static const uint8_t expected[18] = { 0x70, 0, 0x05, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x21 };
	uint8_t buf[SCSI_SENSE_SIZE + 8];

	(void)state;
	build(&SCSI_SENSE_LBA_OUT_OF_RANGE, false, buf);
	assert_memory_equal(buf, expected, 18);
	assert_zero_after(buf, 18);
	assert_int_equal(scsi_sense_length(buf), 18);
}

static void fixed_format_with_information(void **state)
{
	static const uint8_t expected[18] = { 0xf0, 0, 0x03, 0xff, 0xff, 0xff, 0xff,
					      10,   0, 0,    0,    0,    0x11 };
	struct scsi_sense sense = SCSI_SENSE_READ_ERROR;
	uint8_t buf[SCSI_SENSE_SIZE + 8];

	(void)state;
	sense.has_info = true;
	sense.info = UINT32_MAX;
	build(&sense, false, buf);
	assert_memory_equal(buf, expected, 18);
}

static void fixed_format_with_a_field_pointer(void **state)
{
	struct scsi_sense sense = scsi_sense_cdb_field(0x0102, 5);
	uint8_t buf[SCSI_SENSE_SIZE + 8];

	(void)state;
	build(&sense, false, buf);
	assert_int_equal(buf[12], 0x24);
	assert_int_equal(buf[15], 0x80 | 0x40 | 0x08 | 5);
	assert_int_equal(get_be16(buf + 16), 0x0102);
	sense = scsi_sense_param_field(7, -1);
	build(&sense, false, buf);
	assert_int_equal(buf[12], 0x26);
	assert_int_equal(buf[15], 0x80);
	assert_int_equal(get_be16(buf + 16), 7);
}

static void descriptor_format(void **state)
{
	static const uint8_t expected[8] = { 0x72, 0x07, 0x27, 0x07, 0, 0, 0, 0 };
	uint8_t buf[SCSI_SENSE_SIZE + 8];

	(void)state;
	build(&SCSI_SENSE_NO_SPACE, true, buf);
	assert_memory_equal(buf, expected, 8);
	assert_zero_after(buf, 8);
	assert_int_equal(scsi_sense_length(buf), 8);
}

static void information_above_32_bits(void **state)
{
	static const uint8_t fixed[8] = { 0x70, 0, 0x03, 0, 0, 0, 0, 10 };
	static const uint8_t desc[20] = { 0x72, 0x03, 0x11, 0x00, 0, 0, 0,    12,   0x00, 0x0a,
					  0x80, 0,    0,    0,    0, 1, 0x23, 0x45, 0x67, 0x89 };
	struct scsi_sense sense = SCSI_SENSE_READ_ERROR;
	uint8_t buf[SCSI_SENSE_SIZE + 8];

	(void)state;
	sense.has_info = true;
	sense.info = 0x123456789;
	build(&sense, false, buf); /* no place for it: not VALID */
	assert_memory_equal(buf, fixed, 8);
	build(&sense, true, buf);
	assert_memory_equal(buf, desc, 20);
	assert_zero_after(buf, 20);
}

static void descriptors_follow_each_other(void **state)
{
	struct scsi_sense sense = scsi_sense_param_field(0x0304, 6);
	uint8_t buf[SCSI_SENSE_SIZE + 8];
	static const uint8_t expected[8] = { 0x02, 0x06, 0, 0, 0x80 | 0x08 | 6, 0x03, 0x04, 0 };

	(void)state;
	sense.has_info = true;
	build(&sense, true, buf);
	assert_int_equal(buf[7], 20);
	assert_memory_equal(buf + 20, expected, 8);
	assert_int_equal(scsi_sense_length(buf), 28);
}

static void progress_is_in_the_place_of_a_field_pointer(void **state)
{
	static const uint8_t fixed[3] = { 0x80, 0x80, 0x00 };
	static const uint8_t desc[16] = { 0x72, 0x02, 0x04, 0x1b, 0,    0,    0,    8,
					  0x02, 0x06, 0,    0,    0x80, 0x80, 0x00, 0 };
	struct scsi_sense sense = scsi_sense_progress(SCSI_SENSE_SANITIZE_IN_PROGRESS, 1, 2);
	uint8_t buf[SCSI_SENSE_SIZE + 8];

	(void)state;
	build(&sense, false, buf);
	assert_int_equal(buf[2], NOT_READY);
	assert_memory_equal(buf + 15, fixed, 3);
	assert_zero_after(buf, 18);
	build(&sense, true, buf);
	assert_memory_equal(buf, desc, 16);
	assert_zero_after(buf, 16);
}

static void progress_grows_and_never_ends(void **state)
{
	static const uint64_t totals[] = { 1,     2,     3,          1000,       65535,
					   65536, 65537, 1ull << 47, 1ull << 48, UINT64_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(totals) / sizeof(totals[0]); i++) {
		uint16_t last = 0;

		for (unsigned int part = 0; part <= 16; part++) {
			uint64_t done = totals[i] / 16 * part;
			struct scsi_sense sense = scsi_sense_progress(SCSI_SENSE_FORMAT_IN_PROGRESS,
								      done, totals[i]);

			assert_true(sense.has_progress);
			assert_true(sense.progress >= last);
			if (totals[i] >= 65536 && part < 16) /* exact but for the rounding */
				assert_in_range(sense.progress, part ? part * 4096 - 16 : 0,
						part * 4096 + 16);
			last = sense.progress;
		}
		assert_int_equal(scsi_sense_progress(SCSI_SENSE_NONE, 0, totals[i]).progress, 0);
		assert_int_equal(
			scsi_sense_progress(SCSI_SENSE_NONE, totals[i], totals[i]).progress,
			UINT16_MAX);
	}
}

static void incorrect_length_indicator(void **state)
{
	static const uint8_t desc[12] = { 0x72, 0x05, 0x21, 0, 0, 0, 0, 4, 0x05, 0x02, 0, 0x20 };
	struct scsi_sense sense = SCSI_SENSE_LBA_OUT_OF_RANGE;
	uint8_t buf[SCSI_SENSE_SIZE + 8];

	(void)state;
	sense.ili = true;
	build(&sense, false, buf);
	assert_int_equal(buf[2], 0x25);
	build(&sense, true, buf);
	assert_memory_equal(buf, desc, 12);
	assert_zero_after(buf, 12);
}

static void all_descriptors_at_once_fit(void **state)
{
	struct scsi_sense sense = scsi_sense_cdb_field(1, 1);
	uint8_t buf[SCSI_SENSE_SIZE + 8];

	(void)state;
	sense.has_info = true;
	sense.ili = true;
	build(&sense, true, buf);
	assert_int_equal(scsi_sense_length(buf), 8 + 12 + 8 + 4);
	assert_int_equal(buf[8], 0x00);
	assert_int_equal(buf[20], 0x02);
	assert_int_equal(buf[28], 0x05);
	assert_zero_after(buf, 32);
}

static void new_outcomes_by_name(void **state)
{
	(void)state;
	assert_sense(&SCSI_SENSE_MEDIUM_NOT_PRESENT, 0x02, 0x3a00);
	assert_sense(&SCSI_SENSE_SANITIZE_IN_PROGRESS, 0x02, 0x041b);
	assert_sense(&SCSI_SENSE_FORMAT_IN_PROGRESS, 0x02, 0x0404);
	assert_sense(&SCSI_SENSE_SANITIZE_FAILED, 0x03, 0x3103);
	assert_sense(&SCSI_SENSE_FORMAT_FAILED, 0x03, 0x3101);
	assert_sense(&SCSI_SENSE_REMOVAL_PREVENTED, 0x05, 0x5302);
	assert_sense(&SCSI_SENSE_THRESHOLD_REACHED, 0x06, 0x3807);
	assert_sense(&SCSI_SENSE_SOFTWARE_WRITE_PROTECTED, 0x07, 0x2702);
}

/* libtcmu.h promises these. */
static void outcomes_have_the_promised_sense(void **state)
{
	static const struct {
		enum tcmu_sts sts;
		uint8_t key;
		uint16_t asc;
	} cases[] = {
		{ TCMU_STS_NOT_HANDLED, 0x05, 0x2000 },
		{ TCMU_STS_WR_ERR, 0x03, 0x0c00 },
		{ TCMU_STS_RD_ERR, 0x03, 0x1100 },
		{ TCMU_STS_MISCOMPARE, 0x0e, 0x1d00 },
		{ TCMU_STS_INVALID_CMD, 0x05, 0x2000 },
		{ TCMU_STS_INVALID_CDB, 0x05, 0x2400 },
		{ TCMU_STS_INVALID_PARAM_LIST, 0x05, 0x2600 },
		{ TCMU_STS_INVALID_PARAM_LIST_LEN, 0x05, 0x1a00 },
		{ TCMU_STS_RANGE, 0x05, 0x2100 },
		{ TCMU_STS_NO_SPACE, 0x07, 0x2707 },
		{ TCMU_STS_WRITE_PROTECTED, 0x07, 0x2700 },
		{ TCMU_STS_HW_ERR, 0x04, 0x4400 },
		{ TCMU_STS_NOT_READY, 0x02, 0x0400 },
		{ TCMU_STS_TIMEOUT, 0x0b, 0x2e02 },
		{ TCMU_STS_ABORTED, 0x0b, 0x0000 },
		{ TCMU_STS_CAPACITY_CHANGED, 0x06, 0x2a09 },
		{ TCMU_STS_FRMT_IN_PROGRESS, 0x02, 0x0404 },
		{ TCMU_STS_NOTSUPP_SAVE_PARAMS, 0x05, 0x3900 },
	};
	struct scsi_sense sense;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(&sense, CANARY, sizeof(sense));
		assert_int_equal(scsi_sense_from_sts(cases[i].sts, &sense),
				 SAM_STAT_CHECK_CONDITION);
		assert_sense(&sense, cases[i].key, cases[i].asc);
		assert_false(sense.has_info);
		assert_false(sense.has_field);
	}
}

static void outcomes_without_sense(void **state)
{
	struct scsi_sense sense;

	(void)state;
	assert_int_equal(scsi_sense_from_sts(TCMU_STS_OK, &sense), SAM_STAT_GOOD);
	assert_int_equal(scsi_sense_from_sts(TCMU_STS_BUSY, &sense), SAM_STAT_BUSY);
	assert_int_equal(scsi_sense_from_sts(TCMU_STS_NO_RESOURCE, &sense), SAM_STAT_TASK_SET_FULL);
	assert_int_equal(scsi_sense_from_sts(TCMU_STS_PASSTHROUGH_ERR, &sense),
			 SAM_STAT_CHECK_CONDITION);
	assert_sense(&sense, NO_SENSE, 0);
}

static void unknown_outcomes_are_hardware_errors(void **state)
{
	static const int unknown[] = { -1, -22, TCMU_STS_COUNT, 1 << 20, TCMU_STS_ASYNC_HANDLED };
	struct scsi_sense sense;

	(void)state;
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		assert_int_equal(scsi_sense_from_sts(unknown[i], &sense), SAM_STAT_CHECK_CONDITION);
		assert_sense(&sense, HARDWARE_ERROR, ASC_INTERNAL_TARGET_FAILURE);
	}
}

static void every_outcome_has_a_status(void **state)
{
	struct scsi_sense sense;

	(void)state;
	for (int sts = TCMU_STS_OK + 1; sts < TCMU_STS_COUNT; sts++)
		assert_int_not_equal(scsi_sense_from_sts(sts, &sense), SAM_STAT_GOOD);
}

/* What a handler, or scsi_sense_build(), has written, in both formats. */
static void can_be_read(void **state)
{
	uint8_t buf[SCSI_SENSE_SIZE + 8];
	struct scsi_sense sense;

	(void)state;
	for (int desc = 0; desc < 2; desc++) {
		build(&SCSI_SENSE_NO_SPACE, desc, buf);
		memset(&sense, CANARY, sizeof(sense));
		scsi_sense_read(buf, &sense);
		assert_memory_equal(&sense, &SCSI_SENSE_NO_SPACE, sizeof(sense));
	}
	buf[0] = 0x7f; /* vendor specific */
	scsi_sense_read(buf, &sense);
	assert_int_equal(sense.key | sense.asc | sense.ascq, 0);
	assert_string_equal(scsi_sense_key_name(MISCOMPARE), "MISCOMPARE");
	assert_string_equal(scsi_sense_key_name(ABORTED_COMMAND), "ABORTED COMMAND");
	assert_string_equal(scsi_status_name(SAM_STAT_TASK_SET_FULL), "TASK SET FULL");
	assert_string_equal(scsi_status_name(1), "unknown status");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fixed_format),
		cmocka_unit_test(fixed_format_with_information),
		cmocka_unit_test(fixed_format_with_a_field_pointer),
		cmocka_unit_test(descriptor_format),
		cmocka_unit_test(information_above_32_bits),
		cmocka_unit_test(descriptors_follow_each_other),
		cmocka_unit_test(progress_is_in_the_place_of_a_field_pointer),
		cmocka_unit_test(progress_grows_and_never_ends),
		cmocka_unit_test(incorrect_length_indicator),
		cmocka_unit_test(all_descriptors_at_once_fit),
		cmocka_unit_test(new_outcomes_by_name),
		cmocka_unit_test(outcomes_have_the_promised_sense),
		cmocka_unit_test(outcomes_without_sense),
		cmocka_unit_test(unknown_outcomes_are_hardware_errors),
		cmocka_unit_test(every_outcome_has_a_status),
		cmocka_unit_test(can_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
