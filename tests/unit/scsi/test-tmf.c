/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include "scsi/tmf.h"

#define SET (SCSI_TMF_ABORT_TASK | SCSI_TMF_LOGICAL_UNIT_RESET | SCSI_TMF_QUERY_TASK_SET)

static uint8_t report_set(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf, size_t cap,
			  size_t *len, struct scsi_sense *sense)
{
	(void)lu;
	return scsi_report_tmf(SET, cdb, buf, cap, len, sense);
}

static void report(uint8_t byte_2, uint32_t alloc, struct answer *a)
{
	uint8_t cdb[12] = { MAINTENANCE_IN, MI_REPORT_SUPPORTED_TASK_MGMT_FUNCS, byte_2 };

	put_be32(cdb + 6, alloc);
	run(report_set, NULL, cdb, ROOM, a);
}

static void basic_format(void **state)
{
	static const uint8_t expected[4] = { 0x88, 0x02, 0, 0 };
	struct answer a;

	(void)state;
	report(0, 255, &a);
	assert_int_equal(a.len, 4);
	assert_memory_equal(a.buf, expected, 4);
}

static void extended_format(void **state)
{
	static const uint8_t expected[16] = { 0x88, 0x02, 0, 12 };
	struct answer a;

	(void)state;
	report(0x80, 255, &a);
	assert_int_equal(a.len, 16);
	assert_memory_equal(a.buf, expected, 16);
}

static void each_function_has_its_bit(void **state)
{
	static const struct {
		unsigned int function;
		uint8_t byte, bit;
	} bits[] = {
		{ SCSI_TMF_ABORT_TASK, 0, 7 },         { SCSI_TMF_ABORT_TASK_SET, 0, 6 },
		{ SCSI_TMF_CLEAR_ACA, 0, 5 },          { SCSI_TMF_CLEAR_TASK_SET, 0, 4 },
		{ SCSI_TMF_LOGICAL_UNIT_RESET, 0, 3 }, { SCSI_TMF_QUERY_TASK, 0, 2 },
		{ SCSI_TMF_QUERY_ASYNC_EVENT, 1, 2 },  { SCSI_TMF_QUERY_TASK_SET, 1, 1 },
		{ SCSI_TMF_I_T_NEXUS_RESET, 1, 0 },
	};
	static const uint8_t cdb[12] = { MAINTENANCE_IN,
					 MI_REPORT_SUPPORTED_TASK_MGMT_FUNCS, [9] = 16 };
	struct scsi_sense sense;

	(void)state;
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		uint8_t expected[4] = { 0 }, buf[4];
		size_t len;

		expected[bits[i].byte] = (uint8_t)(1u << bits[i].bit);
		scsi_report_tmf(bits[i].function, cdb, buf, sizeof(buf), &len, &sense);
		assert_memory_equal(buf, expected, 4);
	}
}

/* SPC-5: less than four bytes are an error here, as nowhere else. */
static void allocation_length(void **state)
{
	struct answer whole, a;

	(void)state;
	report(0x80, 16, &whole);
	for (uint32_t alloc = 0; alloc <= 17; alloc++) {
		report(0x80, alloc, &a);
		if (alloc < 4) {
			assert_invalid_cdb(&a, 6, -1);
			continue;
		}
		assert_int_equal(a.len, alloc < 16 ? alloc : 16);
		assert_memory_equal(a.buf, whole.buf, a.len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(basic_format),
		cmocka_unit_test(extended_format),
		cmocka_unit_test(each_function_has_its_bit),
		cmocka_unit_test(allocation_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
