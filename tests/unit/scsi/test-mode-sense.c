/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include "scsi/mode.h"

#define DBD   0x08
#define LLBAA 0x10

static void sense_6(const struct scsi_lu *lu, uint8_t byte_1, unsigned int pc, uint8_t page,
		    uint8_t subpage, uint8_t alloc, struct answer *a)
{
	const uint8_t cdb[6] = { MODE_SENSE, byte_1, (uint8_t)(pc << 6 | page), subpage, alloc };

	run(scsi_mode_sense, lu, cdb, ROOM, a);
}

static void sense_10(const struct scsi_lu *lu, uint8_t byte_1, unsigned int pc, uint8_t page,
		     uint8_t subpage, uint16_t alloc, struct answer *a)
{
	uint8_t cdb[10] = { MODE_SENSE_10, byte_1, (uint8_t)(pc << 6 | page), subpage };

	put_be16(cdb + 7, alloc);
	run(scsi_mode_sense, lu, cdb, ROOM, a);
}

static void caching_page_6(void **state)
{
	static const uint8_t expected[12 + 20] = {
		31,   0,    0x10, 8,                /* header: DPOFUA */
		0x00, 0x20, 0x00, 0x00, 0, 0, 2, 0, /* block descriptor */
		0x08, 18,
	};
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	sense_6(&lu, 0, MODE_PC_CURRENT, MODE_PAGE_CACHING, 0, 255, &a);
	assert_int_equal(a.status, SAM_STAT_GOOD);
	assert_int_equal(a.len, sizeof(expected));
	assert_memory_equal(a.buf, expected, sizeof(expected));
}

static void caching_page_10(void **state)
{
	static const uint8_t expected[16 + 20] = {
		0,    34,   0,    0x10, 0, 0, 0, 8, /* header: DPOFUA */
		0x00, 0x20, 0x00, 0x00, 0, 0, 2, 0, /* block descriptor */
		0x08, 18,
	};
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	sense_10(&lu, 0, MODE_PC_CURRENT, MODE_PAGE_CACHING, 0, 255, &a);
	assert_int_equal(a.len, sizeof(expected));
	assert_memory_equal(a.buf, expected, sizeof(expected));
}

static void long_lba_block_descriptor(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	lu.num_lbas = 0x123456789a;
	sense_10(&lu, LLBAA, MODE_PC_CURRENT, MODE_PAGE_CACHING, 0, 255, &a);
	assert_int_equal(a.len, 8 + 16 + 20);
	assert_int_equal(a.buf[4], 0x01); /* LONGLBA */
	assert_int_equal(get_be16(a.buf + 6), 16);
	assert_true(get_be64(a.buf + 8) == 0x123456789a);
	assert_int_equal(get_be32(a.buf + 16), 0);
	assert_int_equal(get_be32(a.buf + 20), 512);
}

static void short_block_descriptor_says_when_it_is_too_short(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	lu.num_lbas = 0x100000000;
	sense_10(&lu, 0, MODE_PC_CURRENT, MODE_PAGE_CACHING, 0, 255, &a);
	assert_int_equal(get_be32(a.buf + 8), UINT32_MAX);
	assert_int_equal(a.buf[4], 0);
}

static void dbd_leaves_the_block_descriptor_out(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	sense_6(&lu, DBD, MODE_PC_CURRENT, MODE_PAGE_CACHING, 0, 255, &a);
	assert_int_equal(a.len, 4 + 20);
	assert_int_equal(a.buf[3], 0);
	assert_int_equal(a.buf[4], MODE_PAGE_CACHING);
	sense_10(&lu, DBD | LLBAA, MODE_PC_CURRENT, MODE_PAGE_CACHING, 0, 255, &a);
	assert_int_equal(a.len, 8 + 20);
	assert_int_equal(a.buf[4], 0);
	assert_int_equal(get_be16(a.buf + 6), 0);
}

static void wce_is_that_of_the_unit(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	lu.write_cache = true;
	sense_6(&lu, DBD, MODE_PC_CURRENT, MODE_PAGE_CACHING, 0, 255, &a);
	assert_int_equal(a.buf[4 + 2], 0x04);
	sense_6(&lu, DBD, MODE_PC_DEFAULT, MODE_PAGE_CACHING, 0, 255, &a);
	assert_int_equal(a.buf[4 + 2], 0x04);
}

static void only_wce_can_be_changed(void **state)
{
	static const uint8_t headers[4][2] = {
		{ 0x01, 10 }, { 0x08, 18 }, { 0x0a, 10 }, { 0x1c, 10 }
	};
	struct scsi_lu lu = plain_lu();
	struct answer a;
	size_t at = 4;

	(void)state;
	lu.write_protect = true;
	sense_6(&lu, DBD, MODE_PC_CHANGEABLE, MODE_PAGE_ALL, 0, 255, &a);
	for (size_t i = 0; i < 4; i++) {
		assert_memory_equal(a.buf + at, headers[i], 2);
		for (size_t byte = 2; byte < headers[i][1] + 2u; byte++)
			assert_int_equal(a.buf[at + byte],
					 headers[i][0] == MODE_PAGE_CACHING && byte == 2 ? 4 : 0);
		at += headers[i][1] + 2u;
	}
	assert_int_equal(a.len, at);
}

static void fixed_wce_cannot_be_changed(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	lu.wce_fixed = true;
	sense_6(&lu, DBD, MODE_PC_CHANGEABLE, MODE_PAGE_CACHING, 0, 255, &a);
	assert_int_equal(a.buf[4 + 2], 0);
}

static void control_page(void **state)
{
	static const uint8_t expected[12] = { 0x0a, 10, 0x02, 0x10, 0, 0, 0, 0, 0xff, 0xff };
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	sense_6(&lu, DBD, MODE_PC_CURRENT, MODE_PAGE_CONTROL, 0, 255, &a);
	assert_int_equal(a.len, 4 + 12);
	assert_memory_equal(a.buf + 4, expected, 12);
}

static void write_protection_shows_in_header_and_control_page(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	lu.write_protect = true;
	sense_6(&lu, DBD, MODE_PC_CURRENT, MODE_PAGE_CONTROL, 0, 255, &a);
	assert_int_equal(a.buf[2], 0x90);
	assert_int_equal(a.buf[4 + 4], 0x08);
	sense_10(&lu, DBD, MODE_PC_CURRENT, MODE_PAGE_CONTROL, 0, 255, &a);
	assert_int_equal(a.buf[3], 0x90);
}

static void all_pages_ascend(void **state)
{
	static const uint8_t subpages[2] = { 0, MODE_SUBPAGE_ALL };
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	for (int i = 0; i < 2; i++) {
		size_t at = 8;
		int last = -1, count = 0;

		sense_10(&lu, DBD, MODE_PC_CURRENT, MODE_PAGE_ALL, subpages[i], 1000, &a);
		assert_int_equal(get_be16(a.buf), a.len - 2);
		for (; at < a.len; at += a.buf[at + 1] + 2u, count++) {
			assert_true(a.buf[at] > last);
			last = a.buf[at];
		}
		assert_int_equal(at, a.len);
		assert_int_equal(count, 4);
	}
}

static void every_other_page_is_refused(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	for (uint8_t page = 0; page < 0x40; page++) {
		if (page == 0x01 || page == 0x08 || page == 0x0a || page == 0x1c || page == 0x3f)
			continue;
		sense_6(&lu, 0, MODE_PC_CURRENT, page, 0, 255, &a);
		assert_invalid_cdb(&a, 2, 5);
	}
}

static void other_subpages_are_refused(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	for (unsigned int subpage = 1; subpage < 0xff; subpage++) {
		sense_10(&lu, 0, MODE_PC_CURRENT, MODE_PAGE_CONTROL, (uint8_t)subpage, 255, &a);
		assert_invalid_cdb(&a, 3, -1);
	}
}

static void nothing_is_saved(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	sense_6(&lu, 0, MODE_PC_SAVED, MODE_PAGE_ALL, 0, 255, &a);
	assert_int_equal(a.status, SAM_STAT_CHECK_CONDITION);
	assert_sense(&a.sense, ILLEGAL_REQUEST, ASC_SAVING_PARAMETERS_NOT_SUPPORTED);
}

static void allocation_length_cuts_but_the_length_field_stays(void **state)
{
	static const uint8_t allocs[] = { 0, 1, 3, 4, 5, 12, 36, 255 };
	struct scsi_lu lu = plain_lu();
	struct answer whole, a;

	(void)state;
	sense_6(&lu, 0, MODE_PC_CURRENT, MODE_PAGE_ALL, 0, 255, &whole);
	assert_int_equal(whole.buf[0], whole.len - 1);
	for (size_t i = 0; i < sizeof(allocs); i++) {
		sense_6(&lu, 0, MODE_PC_CURRENT, MODE_PAGE_ALL, 0, allocs[i], &a);
		assert_int_equal(a.len, allocs[i] < whole.len ? allocs[i] : whole.len);
		assert_memory_equal(a.buf, whole.buf, a.len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(caching_page_6),
		cmocka_unit_test(caching_page_10),
		cmocka_unit_test(long_lba_block_descriptor),
		cmocka_unit_test(short_block_descriptor_says_when_it_is_too_short),
		cmocka_unit_test(dbd_leaves_the_block_descriptor_out),
		cmocka_unit_test(wce_is_that_of_the_unit),
		cmocka_unit_test(only_wce_can_be_changed),
		cmocka_unit_test(fixed_wce_cannot_be_changed),
		cmocka_unit_test(control_page),
		cmocka_unit_test(write_protection_shows_in_header_and_control_page),
		cmocka_unit_test(all_pages_ascend),
		cmocka_unit_test(every_other_page_is_refused),
		cmocka_unit_test(other_subpages_are_refused),
		cmocka_unit_test(nothing_is_saved),
		cmocka_unit_test(allocation_length_cuts_but_the_length_field_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
