/* SPDX-License-Identifier: Apache-2.0 */
/* What the runner answers by itself. */
#include "rig.h"
#include "scsi/inquiry.h"

/* ---- the small ones ---- */

static void small_answers(void **state)
{
	const uint8_t tur[16] = { 0x00 };
	const uint8_t inquiry[16] = { 0x12, 0, 0, 0, 96 };
	const uint8_t serial[16] = { 0x12, 1, 0x80, 0, 255 };
	const uint8_t limits[16] = { 0x12, 1, 0xb0, 0, 64 };
	const uint8_t rc10[16] = { 0x25 };
	const uint8_t rc16[16] = { 0x9e, 0x10, [13] = 32 };
	const uint8_t sense6[16] = { 0x1a, 0, 0x3f, 0, 255 };
	const uint8_t rstmf[16] = { 0xa3, 0x0d, [9] = 4 };
	const uint8_t rsoc[16] = { 0xa3, 0x0c, [6] = 0xff, [7] = 0xff, [8] = 0xff };

	(void)state;
	assert_int_equal(run(tur, 0), TCMU_STS_OK);
	assert_int_equal(run(inquiry, 96), TCMU_STS_OK);
	assert_memory_equal(data + 8, "LIO-ORG ", 8);
	assert_int_equal(run(serial, 255), TCMU_STS_OK);
	assert_int_equal(run(limits, 64), TCMU_STS_OK);
	assert_int_equal(get_be64(data + 36), 0); /* no limit for so few blocks */
	assert_int_equal(run(rc10, 8), TCMU_STS_OK);
	assert_int_equal(get_be32(data), BLOCKS - 1);
	assert_int_equal(run(rc16, 32), TCMU_STS_OK);
	assert_int_equal(get_be64(data), BLOCKS - 1);
	assert_int_equal(run(sense6, 255), TCMU_STS_OK);
	assert_int_equal(run(rsoc, sizeof(data)), TCMU_STS_OK);
	assert_true(get_be32(data) > 8);
	assert_int_equal(run(rstmf, 4), TCMU_STS_OK);
	assert_int_equal(get_be32(data), 0x88000000); /* ATS, LURS */
	assert_string_equal(calls, "");
}

static void request_sense_reports_unit_attention_once(void **state)
{
	const uint8_t cdb[16] = { 0x03, 0, 0, 0, 252 };

	(void)state;
	atomic_store(&rdev.unit_attentions, RUNNER_UA_CAPACITY_CHANGED);
	assert_int_equal(run(cdb, 252), TCMU_STS_OK);
	assert_int_equal(data[2] & 0xf, 6);
	assert_int_equal(data[12], 0x2a);
	assert_int_equal(data[13], 0x09);
	assert_int_equal(run(cdb, 252), TCMU_STS_OK);
	assert_int_equal(data[2] & 0xf, 0);
	assert_int_equal(data[12], 0);
}

/* The caching page as MODE SENSE gives it, with this WCE. */
static int select_wce_sp(bool wce, bool sp)
{
	const uint8_t sense6[16] = { 0x1a, 8, 0x08, 0, 255 };
	const uint8_t select6[16] = { 0x15, 0x10 | sp, 0, 0, 24 };

	assert_int_equal(run(sense6, 255), TCMU_STS_OK);
	data[0] = 0;
	data[2] = 0;
	data[4] &= 0x3f;
	data[6] = (uint8_t)(wce ? data[6] | 4 : data[6] & ~4);
	return run(select6, 24);
}

static int select_wce(bool wce)
{
	return select_wce_sp(wce, false);
}

static void mode_select_turns_the_cache(void **state)
{
	(void)state;
	assert_int_equal(select_wce(true), TCMU_STS_OK);
	assert_string_equal(calls, "");
	assert_int_equal(select_wce(false), TCMU_STS_OK);
	assert_string_equal(calls, "f");
	assert_false(dev.write_cache);
	assert_int_equal(select_wce(true), TCMU_STS_OK);
	assert_string_equal(calls, "");
	assert_true(dev.write_cache);

	flush_sts = TCMU_STS_WR_ERR;
	expect_sense(select_wce(false), 3, 0x0c, 0);
	assert_true(dev.write_cache);
}

static bool cache_when_stored;
static int store_sts;
static char stored[TCMUR_SAVED_MAX];

static int store(struct tcmu_device *d, struct tcmur_cmd *cmd, const void *text, size_t len)
{
	(void)cmd;
	cache_when_stored = tcmu_dev_get_write_cache_enabled(d);
	memcpy(stored, text, len);
	return store_sts;
}

/* What is written while it may still fail is durable, as the cache will have been off then. */
static void cache_is_off_until_it_is_on(void **state)
{
	(void)state;
	handler.store_saved = store;
	rdev.saves = true;
	assert_int_equal(select_wce(false), TCMU_STS_OK);
	for (int round = 0; round < 2; round++) {
		store_sts = round ? TCMU_STS_OK : TCMU_STS_WR_ERR;
		cache_when_stored = true;
		if (round)
			assert_int_equal(select_wce_sp(true, true), TCMU_STS_OK);
		else
			expect_sense(select_wce_sp(true, true), 3, 0x0c, 0);
		assert_false(cache_when_stored);
		assert_non_null(strstr(stored, "wce=1"));
		assert_int_equal(dev.write_cache, round);
		assert_int_equal(rdev.mode_saved.wce, round);
	}
}

static void start_stop(void **state)
{
	uint8_t cdb[16] = { 0x1b };

	(void)state;
	assert_int_equal(run(cdb, 0), TCMU_STS_OK);
	assert_string_equal(calls, "f");
	cdb[4] = 0x01;
	cdb[1] = 0x01; /* IMMED */
	assert_int_equal(run(cdb, 0), TCMU_STS_OK);
	assert_string_equal(calls, "");
	cdb[4] = 0x02; /* LOEJ */
	expect_sense(run(cdb, 0), 5, 0x24, 0);
	cdb[4] = 0x31; /* STANDBY: rests, as after STOP */
	assert_int_equal(run(cdb, 0), TCMU_STS_OK);
	assert_string_equal(calls, "f");
}

/* ---- FORMAT UNIT with IMMED, when the daemon stops ---- */

static const uint8_t format_cdb[16] = { 0x04, 0x10 /* FMTDATA */ };
static uint8_t format_list[4] = { 0, 0x02 /* IMMED */ };

static void format_is_not_begun_at_a_stop(void **state)
{
	(void)state;
	rdev.stopping = true;
	memcpy(data, format_list, sizeof(format_list));
	assert_int_equal(run(format_cdb, sizeof(format_list)), TCMU_STS_BUSY);
	assert_null(rdev.wipe);
	assert_int_equal(rdev.health, RUNNER_HEALTH_OK);
	assert_string_equal(calls, "");
}

/* GOOD was said, so the next daemon must not pretend that nothing was asked for. */
static void format_that_was_promised_has_failed(void **state)
{
	static struct rig_cmd before, format;

	(void)state;
	hold = true;
	rig_start(&before, cdb10(WRITE10, 0, 5, 1), data, BLOCK, 0);
	rig_start(&format, format_cdb, format_list, sizeof(format_list), 0);
	assert_true(format.outcome.done);
	assert_int_equal(format.outcome.sts, TCMU_STS_OK);
	rdev.stopping = true;
	rig_release(0);
	assert_true(before.outcome.done);
	assert_null(rdev.wipe);
	assert_int_equal(rdev.health, RUNNER_FORMAT_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(small_answers),
		T(request_sense_reports_unit_attention_once),
		T(mode_select_turns_the_cache),
		T(cache_is_off_until_it_is_on),
		T(start_stop),
		T(format_is_not_begun_at_a_stop),
		T(format_that_was_promised_has_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
