/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include "scsi/inquiry.h"
#include "scsi/param.h"
#include "scsi/xcopy_limits.h"

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
	/* SAM-5, SPC-4, SBC-3, SBC-4 */
	static const uint8_t versions[8] = { 0x00, 0xa0, 0x04, 0x60, 0x04, 0xc0, 0x06, 0x00 };
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	get(&lu, STANDARD, &a);
	assert_int_equal(a.len, 96);
	assert_memory_equal(a.buf, head, 8);
	assert_memory_equal(a.buf + 8, "LIO-ORG TCMU device     0002", 28);
	for (int i = 36; i < 58; i++)
		assert_int_equal(a.buf[i], 0);
	assert_memory_equal(a.buf + 58, versions, 8);
	for (int i = 66; i < 96; i++)
		assert_int_equal(a.buf[i], 0);
}

static void features_show_in_the_standard_data(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	lu.removable = true;
	get(&lu, STANDARD, &a);
	assert_int_equal(a.buf[1], 0x80);
	assert_int_equal(a.buf[5], 0);
	lu = plain_lu();
	lu.xcopy = true;
	get(&lu, STANDARD, &a);
	assert_int_equal(a.buf[1], 0);
	assert_int_equal(a.buf[5], 0x08);
	lu.xcopy = false;
	for (uint8_t tpgs = 0; tpgs < 4; tpgs++) {
		lu.tpgs = tpgs;
		get(&lu, STANDARD, &a);
		assert_int_equal(a.buf[5], tpgs << 4);
	}
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
	const uint8_t standard[16] = { INQUIRY };
	struct scsi_lu lu = full_lu();
	struct answer list;

	(void)state;
	assert_cut_everywhere(scsi_inquiry, &lu, standard, 3, 2);
	get(&lu, VPD_SUPPORTED_PAGES, &list);
	assert_int_equal(list.len, 4 + 8);
	for (size_t i = 4; i < list.len; i++) {
		const uint8_t cdb[16] = { INQUIRY, 1, list.buf[i] };

		assert_cut_everywhere(scsi_inquiry, &lu, cdb, 3, 2);
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
	struct scsi_lu lus[2] = { plain_lu(), full_lu() };
	struct answer list, a;

	(void)state;
	for (int i = 0; i < 2; i++) {
		get(&lus[i], VPD_SUPPORTED_PAGES, &list);
		for (int page = 0; page < 256; page++) {
			inquire(&lus[i], page, ROOM, ROOM, &a);
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
}

static void supported_pages_are_ascending(void **state)
{
	static const uint8_t plain[] = { 0, 0, 0, 7, 0x00, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2 };
	static const uint8_t full[] = {
		0, 0, 0, 8, 0x00, 0x80, 0x83, 0x86, 0x8f, 0xb0, 0xb1, 0xb2
	};
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	get(&lu, VPD_SUPPORTED_PAGES, &a);
	assert_int_equal(a.len, sizeof(plain));
	assert_memory_equal(a.buf, plain, sizeof(plain));
	lu = full_lu();
	get(&lu, VPD_SUPPORTED_PAGES, &a);
	assert_int_equal(a.len, sizeof(full));
	assert_memory_equal(a.buf, full, sizeof(full));
}

/* Behind those of the logical unit, which stay where they are. */
static void port_designators(void **state)
{
	static const uint8_t expected[16] = { 0x01, 0x14, 0, 4, 0, 0, 0x12, 0x34,
					      0x01, 0x15, 0, 4, 0, 0, 0x56, 0x78 };
	struct scsi_lu plain = plain_lu(), lu = full_lu();
	struct answer before, a;

	(void)state;
	get(&plain, VPD_DEVICE_IDENTIFICATION, &before);
	get(&lu, VPD_DEVICE_IDENTIFICATION, &a);
	assert_int_equal(a.len, before.len + 16);
	assert_memory_equal(a.buf + 4, before.buf + 4, before.len - 4);
	assert_memory_equal(a.buf + before.len, expected, 16);
	lu.relative_port_valid = false;
	get(&lu, VPD_DEVICE_IDENTIFICATION, &a);
	assert_int_equal(a.len, before.len + 8);
	assert_memory_equal(a.buf + before.len, expected + 8, 8);
	lu.tpg_valid = false;
	get(&lu, VPD_DEVICE_IDENTIFICATION, &a);
	assert_int_equal(a.len, before.len);
}

static void extended_inquiry_data(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	get(&lu, VPD_EXTENDED_INQUIRY, &a);
	assert_int_equal(a.len, 64);
	for (int i = 4; i < 64; i++) {
		switch (i) {
		case 5:
			assert_int_equal(a.buf[i], 0x07);
			break;
		case 6:
			assert_int_equal(a.buf[i], 0x01);
			break;
		case 13:
			assert_int_equal(a.buf[i], SCSI_SENSE_SIZE);
			break;
		default:
			assert_int_equal(a.buf[i], 0);
		}
	}
}

/* SPC-5 7.7: descriptors of four bytes and a length that is a multiple of four. */
static void third_party_copy(void **state)
{
	static const struct {
		uint16_t type, len;
	} expected[] = {
		{ 0x0001, 12 }, { 0x0004, 28 }, { 0x0008, 4 }, { 0x000c, 4 }, { 0x8001, 32 }
	};
	static const uint8_t commands[9] = { 8, 0x83, 1, 0x00, 0x84, 3, 0x00, 0x03, 0x04 };
	static const uint8_t descriptors[3] = { 2, 0x02, 0xe4 };
	struct scsi_lu lu = full_lu();
	struct answer a;
	uint8_t *d = a.buf + 4;

	(void)state;
	get(&lu, VPD_THIRD_PARTY_COPY, &a);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(get_be16(d), expected[i].type);
		assert_int_equal(get_be16(d + 2), expected[i].len);
		if (i == 0)
			assert_memory_equal(d + 4, commands, sizeof(commands));
		if (i == 1) {
			assert_int_equal(get_be16(d + 8), SCSI_XCOPY_MAX_CSCD);
			assert_int_equal(get_be16(d + 10), SCSI_XCOPY_MAX_SEGMENTS);
			assert_int_equal(get_be32(d + 12), SCSI_XCOPY_MAX_LIST);
			assert_int_equal(get_be32(d + 16), 0);
		}
		if (i == 2)
			assert_memory_equal(d + 4, descriptors, sizeof(descriptors));
		if (i == 4) {
			assert_int_equal(get_be32(d + 12), SCSI_XCOPY_MAX_SEGMENT_LEN);
			assert_int_equal(d[16], 9); /* 512 bytes */
		}
		d += 4 + expected[i].len;
	}
	assert_ptr_equal(d, a.buf + a.len);
	lu.block_size = 4096;
	get(&lu, VPD_THIRD_PARTY_COPY, &a);
	assert_int_equal(a.buf[a.len - 36 + 16], 12);
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
	lu.num_lbas = SCSI_MAX_WRITE_SAME + 1;
	get(&lu, VPD_BLOCK_LIMITS, &a);
	assert_int_equal(a.buf[4], 1); /* WSNZ */
	assert_true(get_be64(a.buf + 36) == SCSI_MAX_WRITE_SAME);
	lu.num_lbas = SCSI_MAX_WRITE_SAME;
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
	assert_true(get_be64(a.buf + 36) == 0);
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
	lu.max_unmap_len = 1u << 21; /* what nobody believes */
	get(&lu, VPD_BLOCK_LIMITS, &a);
	assert_int_equal(get_be32(a.buf + 20), 1u << 20);
}

static void caw_limit(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	lu.caw_max = 16;
	get(&lu, VPD_BLOCK_LIMITS, &a);
	assert_int_equal(a.buf[5], 16);
	lu.caw_max = 1000; /* the field has a byte, and so has NUMBER OF LOGICAL BLOCKS */
	get(&lu, VPD_BLOCK_LIMITS, &a);
	assert_int_equal(a.buf[5], 255);
}

/* Never above MAXIMUM TRANSFER LENGTH (SBC-4 6.6). */
static void atomic_limits(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	lu.atomic_max = 256;
	get(&lu, VPD_BLOCK_LIMITS, &a);
	assert_int_equal(get_be32(a.buf + 44), 256);
	for (int i = 48; i < 64; i++)
		assert_int_equal(a.buf[i], 0);
	lu.atomic_max = 5000;
	get(&lu, VPD_BLOCK_LIMITS, &a);
	assert_int_equal(get_be32(a.buf + 44), 2048);
	lu.max_xfer_len = 0; /* not reported */
	get(&lu, VPD_BLOCK_LIMITS, &a);
	assert_int_equal(get_be32(a.buf + 44), 5000);
	lu.phys_exponent = 4; /* whole physical blocks */
	get(&lu, VPD_BLOCK_LIMITS, &a);
	assert_int_equal(get_be32(a.buf + 44), 4992);
	assert_int_equal(get_be32(a.buf + 48), 16);
	assert_int_equal(get_be32(a.buf + 52), 16);
	lu.atomic_max = 0;
	get(&lu, VPD_BLOCK_LIMITS, &a);
	for (int i = 44; i < 64; i++)
		assert_int_equal(a.buf[i], 0);
}

static void thresholds_show_in_the_provisioning_page(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	lu.unmap = true;
	lu.threshold_exponent = 11;
	get(&lu, VPD_LOGICAL_BLOCK_PROVISIONING, &a);
	assert_int_equal(a.buf[4], 11);
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
		cmocka_unit_test(features_show_in_the_standard_data),
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
		cmocka_unit_test(port_designators),
		cmocka_unit_test(extended_inquiry_data),
		cmocka_unit_test(third_party_copy),
		cmocka_unit_test(caw_limit),
		cmocka_unit_test(atomic_limits),
		cmocka_unit_test(thresholds_show_in_the_provisioning_page),
		cmocka_unit_test(rotation_rate),
		cmocka_unit_test(provisioning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
