/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include "scsi_defs.h"
#include "util/be.h"

#define BUF 256

/* A data buffer in two pieces, and a device. */
struct emulation {
	struct tcmu_device dev;
	char cfgstring[16];
	uint8_t mem[BUF + 1];
	struct iovec iov[2];
};

static void begin(struct emulation *e)
{
	memset(e, 0, sizeof(*e));
	serial_file = NULL;
	strcpy(e->cfgstring, "null/0");
	e->dev.cfgstring = e->cfgstring;
	tcmu_dev_set_num_lbas(&e->dev, 1000);
	tcmu_dev_set_block_size(&e->dev, 512);
	tcmu_dev_set_max_xfer_len(&e->dev, 2048);
	memset(e->mem, CANARY, sizeof(e->mem));
	e->iov[0] = (struct iovec) { e->mem, 5 };
	e->iov[1] = (struct iovec) { e->mem + 5, BUF - 5 };
}

/* What follows the first used bytes of the buffer is zeros, and nothing after the buffer. */
static void assert_rest_zero(const struct emulation *e, size_t used)
{
	for (size_t i = used; i < BUF; i++)
		assert_int_equal(e->mem[i], 0);
	assert_int_equal(e->mem[BUF], CANARY);
}

static void assert_untouched(const struct emulation *e)
{
	for (size_t i = 0; i < sizeof(e->mem); i++)
		assert_int_equal(e->mem[i], CANARY);
}

static void inquiry_zeroes_the_rest(void **state)
{
	uint8_t cdb[6] = { INQUIRY, 0, 0, 0, BUF - 1 };
	struct emulation e;

	(void)state;
	begin(&e);
	assert_int_equal(tcmu_emulate_inquiry(&e.dev, NULL, cdb, e.iov, 2), TCMU_STS_OK);
	assert_int_equal(e.mem[4], 91);
	assert_memory_equal(e.mem + 8, "LIO-ORG TCMU device", 19);
	assert_rest_zero(&e, 96);
}

static void inquiry_is_cut_to_the_allocation_length(void **state)
{
	uint8_t cdb[6] = { INQUIRY, 0, 0, 0, 36 };
	struct emulation e;

	(void)state;
	begin(&e);
	assert_int_equal(tcmu_emulate_inquiry(&e.dev, NULL, cdb, e.iov, 2), TCMU_STS_OK);
	assert_memory_equal(e.mem + 32, "0002", 4);
	assert_rest_zero(&e, 36);
}

static void inquiry_is_cut_to_the_buffer(void **state)
{
	uint8_t cdb[6] = { INQUIRY, 0, 0, 0, BUF - 1 };
	struct emulation e;

	(void)state;
	begin(&e);
	e.iov[1].iov_len = 3;
	assert_int_equal(tcmu_emulate_inquiry(&e.dev, NULL, cdb, e.iov, 2), TCMU_STS_OK);
	assert_int_equal(e.mem[8], CANARY);
}

static void inquiry_has_the_serial_number_of_configfs(void **state)
{
	uint8_t cdb[6] = { INQUIRY, 1, VPD_UNIT_SERIAL_NUMBER, 0, BUF - 1 };
	struct emulation e;

	(void)state;
	begin(&e);
	serial_file = "T10 VPD Unit Serial Number: abc-123";
	assert_int_equal(tcmu_emulate_inquiry(&e.dev, NULL, cdb, e.iov, 2), TCMU_STS_OK);
	assert_int_equal(e.mem[3], 7);
	assert_memory_equal(e.mem + 4, "abc-123", 7);
	assert_rest_zero(&e, 11);
}

static void inquiry_without_a_serial_number(void **state)
{
	uint8_t cdb[6] = { INQUIRY, 1, VPD_DEVICE_IDENTIFICATION, 0, BUF - 1 };
	struct emulation e;

	(void)state;
	begin(&e);
	serial_file = "T10 VPD Unit Serial Number: ";
	assert_int_equal(tcmu_emulate_inquiry(&e.dev, NULL, cdb, e.iov, 2), TCMU_STS_OK);
	assert_memory_equal(e.mem + 8, "LIO-ORG null/0", 14);
	assert_rest_zero(&e, 22);
}

static void inquiry_refuses_an_unknown_page(void **state)
{
	uint8_t cdb[6] = { INQUIRY, 1, 0xdd, 0, BUF - 1 };
	struct emulation e;

	(void)state;
	begin(&e);
	assert_int_equal(tcmu_emulate_inquiry(&e.dev, NULL, cdb, e.iov, 2), TCMU_STS_INVALID_CDB);
	assert_untouched(&e);
}

static void test_unit_ready(void **state)
{
	uint8_t cdb[6] = { TEST_UNIT_READY };

	(void)state;
	assert_int_equal(tcmu_emulate_test_unit_ready(cdb, NULL, 0), TCMU_STS_OK);
	cdb[5] = 0x04; /* NACA */
	assert_int_equal(tcmu_emulate_test_unit_ready(cdb, NULL, 0), TCMU_STS_INVALID_CDB);
}

static void read_capacity_10(void **state)
{
	uint8_t cdb[10] = { READ_CAPACITY };
	struct emulation e;

	(void)state;
	begin(&e);
	assert_int_equal(tcmu_emulate_read_capacity_10(1000, 512, cdb, e.iov, 2), TCMU_STS_OK);
	assert_int_equal(get_be32(e.mem), 999);
	assert_int_equal(get_be32(e.mem + 4), 512);
	assert_rest_zero(&e, 8);
}

static void read_capacity_16(void **state)
{
	uint8_t cdb[16] = { SERVICE_ACTION_IN_16, SAI_READ_CAPACITY_16, [13] = 32 };
	struct emulation e;

	(void)state;
	begin(&e);
	tcmu_dev_set_phys_exponent(&e.dev, 3);
	assert_int_equal(tcmu_emulate_read_capacity_16(&e.dev, cdb, e.iov, 2), TCMU_STS_OK);
	assert_int_equal(get_be64(e.mem), 999);
	assert_int_equal(get_be32(e.mem + 8), 512);
	assert_int_equal(e.mem[13], 3);
	assert_rest_zero(&e, 32);
}

static void read_capacity_without_a_capacity(void **state)
{
	uint8_t cdb[10] = { READ_CAPACITY };
	struct emulation e;

	(void)state;
	begin(&e);
	assert_int_equal(tcmu_emulate_read_capacity_10(0, 512, cdb, e.iov, 2), TCMU_STS_NOT_READY);
	assert_untouched(&e);
}

static void mode_sense(void **state)
{
	uint8_t cdb[6] = { MODE_SENSE, 0x08, MODE_PAGE_CACHING, 0, BUF - 1 };
	struct emulation e;

	(void)state;
	begin(&e);
	tcmu_dev_set_write_cache_enabled(&e.dev, true);
	assert_int_equal(tcmu_emulate_mode_sense(&e.dev, cdb, e.iov, 2), TCMU_STS_OK);
	assert_int_equal(e.mem[4], MODE_PAGE_CACHING);
	assert_int_equal(e.mem[6], 0x04);
	assert_rest_zero(&e, 24);
}

static void mode_sense_of_saved_values(void **state)
{
	uint8_t cdb[6] = { MODE_SENSE, 0, 0xc0 | MODE_PAGE_CACHING, 0, BUF - 1 };
	struct emulation e;

	(void)state;
	begin(&e);
	assert_int_equal(tcmu_emulate_mode_sense(&e.dev, cdb, e.iov, 2),
			 TCMU_STS_NOTSUPP_SAVE_PARAMS);
	assert_untouched(&e);
}

/* MODE SELECT of the caching page as it is, but with these bits in byte 2 flipped. */
static int select_caching(struct emulation *e, uint8_t flip, uint8_t list_len)
{
	uint8_t sense_cdb[6] = { MODE_SENSE, 0x08, MODE_PAGE_CACHING, 0, BUF - 1 };
	uint8_t select_cdb[6] = { MODE_SELECT, 0x10, 0, 0, list_len };

	assert_int_equal(tcmu_emulate_mode_sense(&e->dev, sense_cdb, e->iov, 2), TCMU_STS_OK);
	e->mem[0] = 0;
	e->mem[6] ^= flip;
	return tcmu_emulate_mode_select(&e->dev, select_cdb, e->iov, 2);
}

static void mode_select_of_what_is(void **state)
{
	struct emulation e;

	(void)state;
	begin(&e);
	assert_int_equal(select_caching(&e, 0, 24), TCMU_STS_OK);
}

static void mode_select_changes_nothing(void **state)
{
	struct emulation e;

	(void)state;
	begin(&e);
	tcmu_dev_set_write_cache_enabled(&e.dev, true);
	assert_int_equal(select_caching(&e, 0x04, 24), TCMU_STS_INVALID_PARAM_LIST);
	assert_true(tcmu_dev_get_write_cache_enabled(&e.dev));
}

static void mode_select_of_a_truncated_list(void **state)
{
	struct emulation e;

	(void)state;
	begin(&e);
	assert_int_equal(select_caching(&e, 0, 23), TCMU_STS_INVALID_PARAM_LIST_LEN);
}

static void an_unknown_command_is_invalid(void **state)
{
	uint8_t cdb[16] = { 0xff };
	struct emulation e;

	(void)state;
	begin(&e);
	assert_int_equal(tcmu_emulate_test_unit_ready(cdb, e.iov, 2), TCMU_STS_INVALID_CMD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inquiry_zeroes_the_rest),
		cmocka_unit_test(inquiry_is_cut_to_the_allocation_length),
		cmocka_unit_test(inquiry_is_cut_to_the_buffer),
		cmocka_unit_test(inquiry_has_the_serial_number_of_configfs),
		cmocka_unit_test(inquiry_without_a_serial_number),
		cmocka_unit_test(inquiry_refuses_an_unknown_page),
		cmocka_unit_test(test_unit_ready),
		cmocka_unit_test(read_capacity_10),
		cmocka_unit_test(read_capacity_16),
		cmocka_unit_test(read_capacity_without_a_capacity),
		cmocka_unit_test(mode_sense),
		cmocka_unit_test(mode_sense_of_saved_values),
		cmocka_unit_test(mode_select_of_what_is),
		cmocka_unit_test(mode_select_changes_nothing),
		cmocka_unit_test(mode_select_of_a_truncated_list),
		cmocka_unit_test(an_unknown_command_is_invalid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
