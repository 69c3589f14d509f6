/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include "scsi/diagnostic.h"

#define PF       0x10
#define SELFTEST 0x04
#define OFFLINE  0x03 /* DEVOFFL, UNITOFFL */

static struct scsi_sense sense;

static uint8_t send(uint8_t byte_1, const void *param, size_t list_len, size_t sent)
{
	uint8_t cdb[6] = { SEND_DIAGNOSTIC, byte_1 }, *list = exact_copy(param, sent), status;

	put_be16(cdb + 3, (uint16_t)list_len);
	memset(&sense, 0, sizeof(sense));
	status = scsi_send_diagnostic(cdb, list, sent, &sense);
	free(list);
	return status;
}

static void assert_good(uint8_t status)
{
	assert_int_equal(status, SAM_STAT_GOOD);
}

static void assert_cdb_field(uint8_t status, unsigned int byte, int bit)
{
	assert_int_equal(status, SAM_STAT_CHECK_CONDITION);
	assert_sense(&sense, ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
	assert_field(&sense, true, byte, bit);
}

static void assert_param_field(uint8_t status, unsigned int byte)
{
	assert_int_equal(status, SAM_STAT_CHECK_CONDITION);
	assert_sense(&sense, ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_PARAMETER_LIST);
	assert_field(&sense, false, byte, -1);
}

static void assert_length_error(uint8_t status)
{
	assert_int_equal(status, SAM_STAT_CHECK_CONDITION);
	assert_sense(&sense, ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH_ERROR);
}

static void the_default_self_test_is_good(void **state)
{
	(void)state;
	assert_good(send(SELFTEST, NULL, 0, 0));
	assert_good(send(SELFTEST | PF | OFFLINE, NULL, 0, 0));
	assert_good(send(0, NULL, 0, 0));
	assert_good(send(PF, NULL, 0, 0));
}

static void other_self_tests_are_refused(void **state)
{
	(void)state;
	for (unsigned int code = 1; code < 8; code++) {
		assert_cdb_field(send((uint8_t)(code << 5), NULL, 0, 0), 1, 7);
		assert_cdb_field(send((uint8_t)(code << 5 | SELFTEST), NULL, 0, 0), 1, 7);
	}
}

static void a_self_test_takes_no_list(void **state)
{
	(void)state;
	assert_cdb_field(send(SELFTEST | PF, "\0\0\0\0", 4, 4), 3, -1);
}

static void a_list_without_pf_is_refused(void **state)
{
	(void)state;
	assert_cdb_field(send(0, "\0\0\0\0", 4, 4), 1, 4);
}

static void page_0_and_nothing_else(void **state)
{
	uint8_t page[4] = { 0 };

	(void)state;
	assert_good(send(PF, page, 4, 4));
	for (unsigned int i = 0; i < 4; i++) {
		memset(page, 0, 4);
		page[i] = 1;
		assert_param_field(send(PF, page, 4, 4), i < 3 ? i : 2);
	}
}

static void truncated_lists(void **state)
{
	static const uint8_t page[8] = { 0 };

	(void)state;
	for (size_t len = 1; len < 4; len++)
		assert_length_error(send(PF, page, len, len));
	for (size_t sent = 0; sent < 4; sent++) /* less than announced */
		assert_length_error(send(PF, page, 4, sent));
	assert_length_error(send(PF, page, 5, 5));
	assert_length_error(send(PF, page, 65535, 8));
	assert_good(send(PF, page, 4, 8));
}

static void results(void **state)
{
	static const uint8_t expected[5] = { 0, 0, 0, 1, 0 };
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	for (unsigned int pcv = 0; pcv < 2; pcv++) {
		for (unsigned int page = 0; page < 256; page++) {
			const uint8_t cdb[16] = { RECEIVE_DIAGNOSTIC, (uint8_t)pcv, (uint8_t)page,
						  0, 255 };

			run(scsi_receive_diagnostic, &lu, cdb, ROOM, &a);
			if (pcv && page) {
				assert_invalid_cdb(&a, 2, -1);
				continue;
			}
			assert_int_equal(a.len, 5);
			assert_memory_equal(a.buf, expected, 5);
			if (!page)
				assert_cut_everywhere(scsi_receive_diagnostic, &lu, cdb, 3, 2);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_default_self_test_is_good),
		cmocka_unit_test(other_self_tests_are_refused),
		cmocka_unit_test(a_self_test_takes_no_list),
		cmocka_unit_test(a_list_without_pf_is_refused),
		cmocka_unit_test(page_0_and_nothing_else),
		cmocka_unit_test(truncated_lists),
		cmocka_unit_test(results),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
