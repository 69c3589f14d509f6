/* SPDX-License-Identifier: Apache-2.0 */
/* Properties of a device, CDBs in its units, sense data. */
#include "rig.h"
#include "scsi_defs.h"
#include "util/be.h"

#define assert_property(name, value)                                                               \
	do {                                                                                       \
		tcmu_dev_set_##name(&dev, value);                                                  \
		assert_true(tcmu_dev_get_##name(&dev) == (value));                                 \
	} while (0)

static void properties_are_kept(void **state)
{
	struct tcmu_device dev = { 0 };

	(void)state;
	serial_file = NULL;
	assert_property(num_lbas, UINT64_MAX);
	assert_property(block_size, 4096u);
	assert_property(phys_exponent, 3u);
	assert_property(max_xfer_len, 2048u);
	assert_property(max_unmap_len, UINT32_MAX);
	assert_property(opt_unmap_gran, 8u);
	assert_property(unmap_gran_align, 7u);
	assert_property(write_cache_enabled, true);
	assert_property(solid_state_media, true);
	assert_property(unmap_enabled, true);
	assert_property(unmap_zeroes, true);
	assert_property(write_protect_enabled, true);
	assert_property(removable, true);
	assert_property(max_atomic_len, 64u);
	assert_property(private, (void *)&dev);
}

/* Each setter has a field of its own. */
static void properties_do_not_share_fields(void **state)
{
	struct tcmu_device dev = { 0 };

	(void)state;
	tcmu_dev_set_unmap_enabled(&dev, true);
	assert_false(tcmu_dev_get_unmap_zeroes(&dev));
	assert_false(tcmu_dev_get_write_cache_enabled(&dev));
	assert_false(tcmu_dev_get_write_protect_enabled(&dev));
	assert_false(tcmu_dev_get_removable(&dev));
	assert_false(tcmu_dev_get_solid_state_media(&dev));
	tcmu_dev_set_max_xfer_len(&dev, 1);
	tcmu_dev_set_opt_unmap_gran(&dev, 2);
	assert_int_equal(tcmu_dev_get_max_xfer_len(&dev), 1);
	assert_int_equal(tcmu_dev_get_max_unmap_len(&dev), 0);
	assert_int_equal(tcmu_dev_get_unmap_gran_align(&dev), 0);
}

static void identity_is_that_of_the_device(void **state)
{
	struct tcmulib_handler handler = { 0 };
	char cfgstring[] = "file/disk.img";
	struct tcmu_device dev = {
		.handler = &handler,
		.fd = 42,
		.minor = 7,
		.config_size = 1 << 20,
		.cfgstring = cfgstring,
		.name = "user_0/disk",
	};

	(void)state;
	assert_ptr_equal(tcmu_dev_get_handler(&dev), &handler);
	assert_int_equal(tcmu_dev_get_fd(&dev), 42);
	assert_int_equal(tcmu_dev_get_minor(&dev), 7);
	assert_int_equal(tcmu_dev_get_config_size(&dev), 1 << 20);
	assert_string_equal(tcmu_dev_get_cfgstring(&dev), "file/disk.img");
	assert_string_equal(tcmu_dev_get_name(&dev), "user_0/disk");
}

static void blocks_and_bytes(void **state)
{
	struct tcmu_device dev = { .block_size = 4096 };
	uint8_t cdb[10] = { READ_10, 0, 0x80, 0, 0, 1 };

	(void)state;
	assert_true(tcmu_lba_to_byte(&dev, 0xffffffffff) == 0xffffffffff000);
	assert_true(tcmu_byte_to_lba(&dev, 0xffffffffff000) == 0xffffffffff);
	assert_int_equal(tcmu_byte_to_lba(&dev, 4095), 0);
	assert_true(tcmu_cdb_to_byte(&dev, cdb) == 0x80000001ull * 4096);
	dev.block_size = 0;
	assert_int_equal(tcmu_byte_to_lba(&dev, 4096), 0);
}

static void cdb_helpers(void **state)
{
	uint8_t read_6[6] = { READ_6, 0, 0, 9 };
	uint8_t varlen[8] = { VARIABLE_LENGTH_CMD, [7] = 0x18 };

	(void)state;
	assert_int_equal(tcmu_cdb_get_length(read_6), 6);
	assert_int_equal(tcmu_cdb_get_length(varlen), 32);
	assert_int_equal(tcmu_cdb_get_lba(read_6), 9);
	assert_int_equal(tcmu_cdb_get_xfer_length(read_6), 256);
}

static void sense_data_are_fixed_format(void **state)
{
	static const uint8_t expected[18] = {
		0x70, 0, 0x03, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x11, 0x14
	};
	uint8_t buf[TCMU_SENSE_BUFFERSIZE];

	(void)state;
	memset(buf, CANARY, sizeof(buf));
	assert_int_equal(tcmu_sense_set_data(buf, MEDIUM_ERROR, 0x1114), TCMU_STS_PASSTHROUGH_ERR);
	assert_memory_equal(buf, expected, 18);
	for (size_t i = 18; i < sizeof(buf); i++)
		assert_int_equal(buf[i], 0);
}

static void sense_information(void **state)
{
	uint8_t buf[TCMU_SENSE_BUFFERSIZE];

	(void)state;
	tcmu_sense_set_data(buf, MEDIUM_ERROR, ASC_UNRECOVERED_READ_ERROR);
	tcmu_sense_set_info(buf, 0x12345678);
	assert_int_equal(buf[0], 0xf0);
	assert_int_equal(get_be32(buf + 3), 0x12345678);
	assert_int_equal(get_be16(buf + 12), ASC_UNRECOVERED_READ_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(properties_are_kept),
		cmocka_unit_test(properties_do_not_share_fields),
		cmocka_unit_test(identity_is_that_of_the_device),
		cmocka_unit_test(blocks_and_bytes),
		cmocka_unit_test(cdb_helpers),
		cmocka_unit_test(sense_data_are_fixed_format),
		cmocka_unit_test(sense_information),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
