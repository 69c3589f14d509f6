/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include "scsi/threshold.h"

static void exponents(void **state)
{
	static const struct {
		uint64_t num_lbas;
		uint32_t block_size;
		uint8_t exponent;
	} cases[] = {
		{ 1, 512, 11 },
		{ 1, 4096, 8 },
		{ 1, 65536, 4 },
		{ 1, 1u << 20, 1 },
		{ 1, 1u << 30, 1 },
		{ (UINT64_C(1) << 43) - 1, 512, 11 },
		{ UINT64_C(1) << 43, 512, 12 }, /* 2^32 sets are one too many */
		{ UINT64_MAX, 512, 32 },
		{ UINT64_MAX, 65536, 32 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(scsi_threshold_exponent(cases[i].num_lbas, cases[i].block_size),
				 cases[i].exponent);
}

static void what_is_watched(void **state)
{
	struct scsi_mode_values values = { 0 };

	(void)state;
	assert_false(scsi_threshold_watched(&values));
	values.lbpere = true;
	assert_false(scsi_threshold_watched(&values));
	values.threshold[SCSI_THRESHOLD_USED].enabled = true;
	assert_true(scsi_threshold_watched(&values));
	values.lbpere = false;
	assert_false(scsi_threshold_watched(&values));
}

/* A step of the resource, in blocks, and what comes of it. */
struct step {
	uint64_t blocks;
	bool reached, armed;
};

static void walk(unsigned int which, uint32_t count, uint8_t exponent, const struct step *steps,
		 size_t n)
{
	struct scsi_lu lu = full_lu();
	bool armed = true;

	lu.threshold_exponent = exponent;
	lu.threshold[which].count = count;
	for (size_t i = 0; i < n; i++) {
		if (scsi_threshold_reached(&lu, which, steps[i].blocks, &armed) !=
			    steps[i].reached ||
		    armed != steps[i].armed)
			fail_msg("step %zu, %llu blocks", i, (unsigned long long)steps[i].blocks);
	}
}

#define WALK(which, count, exponent, ...)                                                          \
	do {                                                                                       \
		static const struct step steps_[] = { __VA_ARGS__ };                               \
		walk(which, count, exponent, steps_, sizeof(steps_) / sizeof(steps_[0]));          \
	} while (0)

/* 10 sets of 16 blocks: a range from 152 to 168. */
static void decreasing(void **state)
{
	(void)state;
	WALK(SCSI_THRESHOLD_AVAILABLE, 10, 4, { 1000, false, true }, { 160, false, true },
	     { 153, false, true }, { 152, true, false }, { 0, false, false }, { 168, false, false },
	     { 152, false, false }, { 169, false, true }, { 1, true, false });
	/* at once, if that is so when it is armed */
	WALK(SCSI_THRESHOLD_AVAILABLE, 10, 4, { 1, true, false }, { 1, false, false });
}

static void increasing(void **state)
{
	(void)state;
	WALK(SCSI_THRESHOLD_USED, 10, 4, { 0, false, true }, { 167, false, true },
	     { 168, true, false }, { 1000, false, false }, { 152, false, false },
	     { 168, false, false }, { 151, false, true }, { 168, true, false });
}

static void the_ends_of_the_scale(void **state)
{
	(void)state;
	WALK(SCSI_THRESHOLD_AVAILABLE, 0, 4, { 1, false, true }, { 0, true, false },
	     { 8, false, false }, { 9, false, true });
	WALK(SCSI_THRESHOLD_USED, 0, 4, { 7, false, true }, { 8, true, false });
	WALK(SCSI_THRESHOLD_USED, UINT32_MAX, 32, { UINT64_MAX - UINT32_MAX, false, true },
	     { UINT64_MAX - INT32_MAX, true, false });
	WALK(SCSI_THRESHOLD_AVAILABLE, UINT32_MAX, 32, { UINT64_MAX, false, true },
	     { UINT64_MAX - UINT32_MAX, false, true }, { UINT64_C(1) << 63, true, false });
}

static void the_sense_names_the_descriptor(void **state)
{
	(void)state;
	for (unsigned int which = 0; which < SCSI_THRESHOLD_COUNT; which++) {
		struct scsi_sense sense = scsi_threshold_sense(which);

		assert_sense(&sense, UNIT_ATTENTION, ASC_THRESHOLD_REACHED);
		assert_true(sense.has_info);
		assert_int_equal(sense.info, which == SCSI_THRESHOLD_AVAILABLE ? 16 : 24);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exponents),
		cmocka_unit_test(what_is_watched),
		cmocka_unit_test(decreasing),
		cmocka_unit_test(increasing),
		cmocka_unit_test(the_ends_of_the_scale),
		cmocka_unit_test(the_sense_names_the_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
