/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include "scsi/inquiry.h"
#include "scsi/param.h"

#define STANDARD -1

/* page STANDARD: EVPD 0. */
static void inquire(const struct scsi_lu *lu, int page, size_t alloc, size_t cap, struct answer *a)
{
	uint8_t cdb[6] = { INQUIRY };

	if (page != STANDARD) {
		cdb[1] = 0x01;
		cdb[2] = (uint8_t)page;
	}
	put_be16(cdb + 3, (uint16_t)alloc);
	run(scsi_inquiry, lu, cdb, cap, a);
}

static void get(const struct scsi_lu *lu, int page, struct answer *a)
{
	inquire(lu, page, ROOM, ROOM, a);
	assert_int_equal(a->status, SAM_STAT_GOOD);
}

static void standard_data(void **state)
{
	static const uint8_t head[8] = { 0x00, 0x00, 0x06, 0x12, 91, 0x00, 0x00, 0x02 };
	static const uint8_t versions[6] = { 0x00, 0xa0, 0x04, 0x60, 0x04, 0xc0 };
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	get(&lu, STANDARD, &a);
	assert_int_equal(a.len, 96);
	assert_memory_equal(a.buf, head, 8);
	assert_memory_equal(a.buf + 8, "LIO-ORG TCMU device     0002", 28);
	for (int i = 36; i < 58; i++)
		assert_int_equal(a.buf[i], 0);
	assert_memory_equal(a.buf + 58, versions, 6);
	for (int i = 64; i < 96; i++)
		assert_int_equal(a.buf[i], 0);
}

static void names_are_padded_or_cut(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	strcpy(lu.vendor, "ACME");
	strcpy(lu.product, "0123456789abcdef");
	strcpy(lu.revision, "1");
	get(&lu, STANDARD, &a);
	assert_memory_equal(a.buf + 8, "ACME    0123456789abcdef1   ", 28);
}

static void names_are_ascii(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	strcpy(lu.product, "a\tb\x7f\xc3\xa4");
	get(&lu, STANDARD, &a);
	assert_memory_equal(a.buf + 16, "a_b___          ", 16);
}

static void every_page_is_cut_to_the_allocation_length(void **state)
{
	static const int pages[] = { STANDARD,
				     VPD_SUPPORTED_PAGES,
				     VPD_UNIT_SERIAL_NUMBER,
				     VPD_DEVICE_IDENTIFICATION,
				     VPD_BLOCK_LIMITS,
				     VPD_BLOCK_DEVICE_CHARACTERISTICS,
				     VPD_LOGICAL_BLOCK_PROVISIONING };
	static const size_t allocs[] = { 0, 4, 5, 36, 255 };
	struct scsi_lu lu = plain_lu();
	struct answer whole, a;

	(void)state;
	for (size_t p = 0; p < sizeof(pages) / sizeof(pages[0]); p++) {
		get(&lu, pages[p], &whole);
		for (size_t i = 0; i < sizeof(allocs) / sizeof(allocs[0]); i++) {
			size_t expected = allocs[i] < whole.len ? allocs[i] : whole.len;

			inquire(&lu, pages[p], allocs[i], ROOM, &a);
			assert_int_equal(a.status, SAM_STAT_GOOD);
			assert_int_equal(a.len, expected);
			assert_memory_equal(a.buf, whole.buf, expected);
			/* The same for a buffer that is smaller than the ALLOCATION LENGTH. */
			inquire(&lu, pages[p], ROOM, allocs[i], &a);
			assert_int_equal(a.len, expected);
			assert_memory_equal(a.buf, whole.buf, expected);
		}
	}
}

static void page_code_without_evpd_is_refused(void **state)
{
	const uint8_t cdb[6] = { INQUIRY, 0, VPD_UNIT_SERIAL_NUMBER, 0, 255 };
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	run(scsi_inquiry, &lu, cdb, ROOM, &a);
	assert_invalid_cdb(&a, 2, -1);
}

static void every_page_that_is_not_listed_is_refused(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer list, a;

	(void)state;
	get(&lu, VPD_SUPPORTED_PAGES, &list);
	for (int page = 0; page < 256; page++) {
		inquire(&lu, page, ROOM, ROOM, &a);
		if (memchr(list.buf + 4, page, list.len - 4)) {
			assert_int_equal(a.status, SAM_STAT_GOOD);
			assert_int_equal(a.buf[0], 0);
			assert_int_equal(a.buf[1], page);
			assert_int_equal(get_be16(a.buf + 2), a.len - 4);
		} else {
			assert_invalid_cdb(&a, 2, -1);
		}
	}
}

static void supported_pages_are_ascending(void **state)
{
	static const uint8_t expected[] = { 0, 0, 0, 6, 0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2 };
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	get(&lu, VPD_SUPPORTED_PAGES, &a);
	assert_int_equal(a.len, sizeof(expected));
	assert_memory_equal(a.buf, expected, sizeof(expected));
}

static void serial_number(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	get(&lu, VPD_UNIT_SERIAL_NUMBER, &a);
	assert_int_equal(a.len, 4 + 36);
	assert_memory_equal(a.buf + 4, "12345678-9abc-def0-1234-56789abcdef0", 36);
	lu.serial[0] = '\0';
	get(&lu, VPD_UNIT_SERIAL_NUMBER, &a);
	assert_int_equal(a.len, 8);
	assert_memory_equal(a.buf + 4, "    ", 4);
}

/* The name that initiators know the device by: it must never change. */
static void naa_is_made_from_the_serial_number(void **state)
{
	static const uint8_t expected[20] = { 0x01, 0x03, 0x00, 0x10, 0x60, 0x01, 0x40,
					      0x51, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd,
					      0xef, 0x01, 0x23, 0x45, 0x67, 0x89 };
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	get(&lu, VPD_DEVICE_IDENTIFICATION, &a);
	assert_memory_equal(a.buf + 4, expected, 20);
}

static void naa_of_a_short_serial_number_ends_in_zeros(void **state)
{
	static const uint8_t expected[16] = { 0x60, 0x01, 0x40, 0x5a, 0xb0 };
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	strcpy(lu.serial, "xAyB");
	get(&lu, VPD_DEVICE_IDENTIFICATION, &a);
	assert_memory_equal(a.buf + 8, expected, 16);
}

static void naa_has_the_company_id(void **state)
{
	static const uint8_t expected[4] = { 0x6a, 0xbc, 0xde, 0xf1 };
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	lu.company_id = 0xabcdef;
	get(&lu, VPD_DEVICE_IDENTIFICATION, &a);
	assert_memory_equal(a.buf + 8, expected, 4);
}

static void t10_designator_has_vendor_and_serial_number(void **state)
{
	static const uint8_t expected[4] = { 0x02, 0x01, 0x00, 8 + 36 };
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	get(&lu, VPD_DEVICE_IDENTIFICATION, &a);
	assert_int_equal(a.len, 4 + 20 + 4 + 8 + 36);
	assert_memory_equal(a.buf + 24, expected, 4);
	assert_memory_equal(a.buf + 28, "LIO-ORG 12345678-9abc-def0-1234-56789abcdef0", 44);
}

static void without_a_serial_number_only_t10_is_left(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	lu.serial[0] = '\0';
	get(&lu, VPD_DEVICE_IDENTIFICATION, &a);
	assert_int_equal(a.len, 4 + 4 + 8 + 13);
	assert_memory_equal(a.buf + 8, "LIO-ORG file/disk.img", 21);
}

static void longest_serial_number_fits(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	memset(lu.serial, 'f', sizeof(lu.serial) - 1);
	lu.serial[sizeof(lu.serial) - 1] = '\0';
	get(&lu, VPD_UNIT_SERIAL_NUMBER, &a);
	assert_int_equal(a.len, 4 + 254);
	get(&lu, VPD_DEVICE_IDENTIFICATION, &a);
	assert_int_equal(a.len, 4 + 20 + 4 + 255);
	assert_int_equal(a.buf[4 + 20 + 3], 255);
}

static void block_limits(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	lu.phys_exponent = 3;
	lu.max_unmap_len = 1000;
	lu.opt_unmap_gran = 8;
	lu.unmap_gran_align = 4;
	get(&lu, VPD_BLOCK_LIMITS, &a);
	assert_int_equal(a.len, 64);
	assert_int_equal(a.buf[4], 0);                /* WSNZ */
	assert_int_equal(a.buf[5], 0);                /* COMPARE AND WRITE */
	assert_int_equal(get_be16(a.buf + 6), 8);     /* granularity */
	assert_int_equal(get_be32(a.buf + 8), 2048);  /* maximum */
	assert_int_equal(get_be32(a.buf + 12), 1024); /* optimal */
	assert_int_equal(get_be32(a.buf + 16), 0);    /* prefetch */
	for (int i = 20; i < 36; i++)                 /* no UNMAP */
		assert_int_equal(a.buf[i], 0);
	assert_true(get_be64(a.buf + 36) == SCSI_MAX_WRITE_SAME);
	for (int i = 44; i < 64; i++)
		assert_int_equal(a.buf[i], 0);
}

static void unmap_limits(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	lu.unmap = true;
	get(&lu, VPD_BLOCK_LIMITS, &a);
	assert_int_equal(get_be32(a.buf + 20), UINT32_MAX); /* no limit */
	assert_int_equal(get_be32(a.buf + 24), SCSI_UNMAP_MAX_DESCRIPTORS);
	assert_int_equal(get_be32(a.buf + 28), 0);
	assert_int_equal(get_be32(a.buf + 32), 0); /* UGAVALID */
	lu.max_unmap_len = 1000;
	lu.opt_unmap_gran = 8;
	lu.unmap_gran_align = 4;
	get(&lu, VPD_BLOCK_LIMITS, &a);
	assert_int_equal(get_be32(a.buf + 20), 1000);
	assert_int_equal(get_be32(a.buf + 28), 8);
	assert_int_equal(get_be32(a.buf + 32), 0x80000004);
}

static void rotation_rate(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	get(&lu, VPD_BLOCK_DEVICE_CHARACTERISTICS, &a);
	assert_int_equal(a.len, 64);
	assert_int_equal(get_be16(a.buf + 4), 0);
	lu.solid_state = true;
	get(&lu, VPD_BLOCK_DEVICE_CHARACTERISTICS, &a);
	assert_int_equal(get_be16(a.buf + 4), 1);
}

static void provisioning(void **state)
{
	static const uint8_t full[8] = { 0, 0xb2, 0, 4, 0, 0x00, 0, 0 };
	static const uint8_t thin[8] = { 0, 0xb2, 0, 4, 0, 0xe0, 2, 0 };
	static const uint8_t thin_zeros[8] = { 0, 0xb2, 0, 4, 0, 0xe4, 2, 0 };
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	lu.unmap_zeroes = true; /* means nothing without unmap */
	get(&lu, VPD_LOGICAL_BLOCK_PROVISIONING, &a);
	assert_int_equal(a.len, 8);
	assert_memory_equal(a.buf, full, 8);
	lu.unmap = true;
	get(&lu, VPD_LOGICAL_BLOCK_PROVISIONING, &a);
	assert_memory_equal(a.buf, thin_zeros, 8);
	lu.unmap_zeroes = false;
	get(&lu, VPD_LOGICAL_BLOCK_PROVISIONING, &a);
	assert_memory_equal(a.buf, thin, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(standard_data),
		cmocka_unit_test(names_are_padded_or_cut),
		cmocka_unit_test(names_are_ascii),
		cmocka_unit_test(every_page_is_cut_to_the_allocation_length),
		cmocka_unit_test(page_code_without_evpd_is_refused),
		cmocka_unit_test(every_page_that_is_not_listed_is_refused),
		cmocka_unit_test(supported_pages_are_ascending),
		cmocka_unit_test(serial_number),
		cmocka_unit_test(naa_is_made_from_the_serial_number),
		cmocka_unit_test(naa_of_a_short_serial_number_ends_in_zeros),
		cmocka_unit_test(naa_has_the_company_id),
		cmocka_unit_test(t10_designator_has_vendor_and_serial_number),
		cmocka_unit_test(without_a_serial_number_only_t10_is_left),
		cmocka_unit_test(longest_serial_number_fits),
		cmocka_unit_test(block_limits),
		cmocka_unit_test(unmap_limits),
		cmocka_unit_test(rotation_rate),
		cmocka_unit_test(provisioning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
