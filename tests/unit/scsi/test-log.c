/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include "scsi/log.h"

static struct scsi_log numbers;

/* As the others are. */
static uint8_t log_sense(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf, size_t cap,
			 size_t *len, struct scsi_sense *sense)
{
	return scsi_log_sense(lu, &numbers, cdb, buf, cap, len, sense);
}

static void get(const struct scsi_lu *lu, uint8_t byte_2, uint8_t subpage, uint16_t pointer,
		struct answer *a)
{
	uint8_t cdb[10] = { LOG_SENSE, 0, byte_2, subpage };

	put_be16(cdb + 5, pointer);
	put_be16(cdb + 7, ROOM);
	run(log_sense, lu, cdb, ROOM, a);
}

static void assert_answer(const struct answer *a, const void *expected, size_t len)
{
	assert_int_equal(a->status, SAM_STAT_GOOD);
	assert_int_equal(a->len, len);
	assert_memory_equal(a->buf, expected, len);
}

static void supported_pages(void **state)
{
	static const uint8_t plain[] = { 0x00, 0, 0, 3, 0x00, 0x10, 0x2f };
	static const uint8_t full[] = { 0x00, 0, 0, 4, 0x00, 0x0c, 0x10, 0x2f };
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	get(&lu, 0, 0, 0, &a);
	assert_answer(&a, plain, sizeof(plain));
	lu = full_lu();
	get(&lu, 0, 0, 0, &a);
	assert_answer(&a, full, sizeof(full));
}

static void supported_pages_and_subpages(void **state)
{
	static const uint8_t plain[] = { 0x40, 0xff, 0,    8,    0x00, 0x00,
					 0x00, 0xff, 0x10, 0x00, 0x2f, 0x00 };
	static const uint8_t full[] = { 0x40, 0xff, 0,    10,   0x00, 0x00, 0x00,
					0xff, 0x0c, 0x00, 0x10, 0x00, 0x2f, 0x00 };
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	get(&lu, 0, 0xff, 0, &a);
	assert_answer(&a, plain, sizeof(plain));
	lu = full_lu();
	get(&lu, 0, 0xff, 0, &a);
	assert_answer(&a, full, sizeof(full));
}

static void informational_exceptions(void **state)
{
	static const uint8_t none[] = { 0xaf, 0, 0, 8, 0, 0, 0x03, 4, 0, 0, 0xff, 0 };
	static const uint8_t some[] = { 0xaf, 0, 0, 8, 0, 0, 0x03, 4, 0x5d, 0x10, 0xff, 0 };
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	numbers = (struct scsi_log) { 0 };
	for (uint8_t pc = 0; pc < 4; pc++) { /* without effect */
		get(&lu, (uint8_t)(pc << 6 | 0x2f), 0, 0, &a);
		assert_answer(&a, none, sizeof(none));
	}
	numbers.ie_asc = 0x5d;
	numbers.ie_ascq = 0x10;
	get(&lu, 0x2f, 0, 0, &a);
	assert_answer(&a, some, sizeof(some));
}

static void provisioning(void **state)
{
	static const uint8_t both[] = { 0x8c, 0,    0,    24,   0,    1, 0x03, 8, 0x12, 0x34,
					0x56, 0x78, 0x02, 0,    0,    0, 0,    2, 0x03, 8,
					0x9a, 0xbc, 0xde, 0xf0, 0x01, 0, 0,    0 };
	struct scsi_lu lu = full_lu();
	struct answer a;

	(void)state;
	numbers = (struct scsi_log) { .available = 0x12345678, .used = 0x9abcdef0 };
	get(&lu, 0x4c, 0, 0, &a);
	assert_answer(&a, both, sizeof(both));
	get(&lu, 0x4c, 0, 1, &a);
	assert_answer(&a, both, sizeof(both));
	get(&lu, 0x4c, 0, 2, &a); /* from this parameter on */
	assert_int_equal(a.len, 4 + 12);
	assert_int_equal(get_be16(a.buf + 2), 12);
	assert_memory_equal(a.buf + 4, both + 16, 12);
	get(&lu, 0x4c, 0, 3, &a);
	assert_invalid_cdb(&a, 5, -1);
	lu.threshold_exponent = 0;
	get(&lu, 0x4c, 0, 0, &a);
	assert_invalid_cdb(&a, 2, 5);
}

/* 20 of them, each without a result. */
static void self_tests(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	get(&lu, 0x10, 0, 0, &a);
	assert_int_equal(a.status, SAM_STAT_GOOD);
	assert_int_equal(a.len, 4 + 20 * 20);
	assert_int_equal(get_be16(a.buf + 2), 20 * 20);
	for (unsigned int i = 0; i < 20; i++) {
		const uint8_t expected[20] = { 0, (uint8_t)(i + 1), 0x03, 0x10 };

		assert_memory_equal(a.buf + 4 + 20 * i, expected, 20);
	}
	get(&lu, 0x10, 0, 20, &a);
	assert_int_equal(a.len, 4 + 20);
	get(&lu, 0x10, 0, 21, &a);
	assert_int_equal(a.status, SAM_STAT_CHECK_CONDITION);
}

static void every_other_page_is_refused(void **state)
{
	struct scsi_lu lu = full_lu();
	struct answer a;

	(void)state;
	for (uint8_t page = 0; page < 0x40; page++) {
		bool is = page == 0x00 || page == 0x0c || page == 0x10 || page == 0x2f;

		for (unsigned int subpage = 0; subpage < 256; subpage++) {
			get(&lu, page, (uint8_t)subpage, 0, &a);
			if (!is)
				assert_invalid_cdb(&a, 2, 5);
			else if (subpage && !(page == 0 && subpage == 0xff))
				assert_invalid_cdb(&a, 3, -1);
			else
				assert_int_equal(a.status, SAM_STAT_GOOD);
		}
	}
}

static void the_lists_have_no_parameters_to_point_to(void **state)
{
	struct scsi_lu lu = full_lu();
	struct answer a;

	(void)state;
	get(&lu, 0, 0, 1, &a);
	assert_invalid_cdb(&a, 5, -1);
	get(&lu, 0x2f, 0, 1, &a);
	assert_invalid_cdb(&a, 5, -1);
}

static void allocation_length_cuts(void **state)
{
	static const uint8_t cdbs[5][16] = { { LOG_SENSE, 0, 0x50 },
					     { LOG_SENSE },
					     { LOG_SENSE, 0, 0, 0xff },
					     { LOG_SENSE, 0, 0x4c },
					     { LOG_SENSE, 0, 0x6f } };
	struct scsi_lu lu = full_lu();

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_cut_everywhere(log_sense, &lu, cdbs[i], 7, 2);
}

static void sets_are_rounded(void **state)
{
	struct scsi_lu lu = full_lu(); /* sets of 2048 blocks */

	(void)state;
	assert_int_equal(scsi_threshold_sets(&lu, 0), 0);
	assert_int_equal(scsi_threshold_sets(&lu, 1023), 0);
	assert_int_equal(scsi_threshold_sets(&lu, 1024), 1);
	assert_int_equal(scsi_threshold_sets(&lu, 3071), 1);
	assert_int_equal(scsi_threshold_sets(&lu, 3072), 2);
	assert_true(scsi_threshold_sets(&lu, UINT64_MAX) == UINT32_MAX);
	lu.threshold_exponent = 255;
	assert_int_equal(scsi_threshold_sets(&lu, UINT64_MAX), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(supported_pages),
		cmocka_unit_test(supported_pages_and_subpages),
		cmocka_unit_test(self_tests),
		cmocka_unit_test(informational_exceptions),
		cmocka_unit_test(provisioning),
		cmocka_unit_test(every_other_page_is_refused),
		cmocka_unit_test(the_lists_have_no_parameters_to_point_to),
		cmocka_unit_test(allocation_length_cuts),
		cmocka_unit_test(sets_are_rounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
