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
	for (int on = 0; on < 2; on++) {
		lu.write_cache = on;
		lu.mode_default.wce = !on; /* also where nothing is saved */
		sense_6(&lu, DBD, MODE_PC_CURRENT, MODE_PAGE_CACHING, 0, 255, &a);
		assert_int_equal(a.buf[4 + 2], on ? 0x04 : 0);
		sense_6(&lu, DBD, MODE_PC_DEFAULT, MODE_PAGE_CACHING, 0, 255, &a);
		assert_int_equal(a.buf[4 + 2], on ? 0 : 0x04);
	}
}

/* The pages of an answer, each with its bytes; fills at[] with where they are. Returns how many. */
static size_t split(const struct answer *a, size_t header, size_t *at)
{
	size_t n = 0, pos = header;

	while (pos < a->len) {
		at[n++] = pos;
		pos += a->buf[pos] & 0x40 ? 4u + get_be16(a->buf + pos + 2) : 2u + a->buf[pos + 1];
	}
	assert_int_equal(pos, a->len);
	return n;
}

/* Every bit of every page of a full unit. */
static void what_can_be_changed(void **state)
{
	static const struct {
		uint8_t page, subpage, byte, mask;
	} changeable[] = {
		{ 0x01, 0, 7, 0x80 },  { 0x08, 0, 2, 0x04 },  { 0x0a, 0, 2, 0x04 },
		{ 0x0a, 0, 4, 0x08 },  { 0x1c, 2, 16, 0x80 }, { 0x1c, 2, 20, 0xff },
		{ 0x1c, 2, 21, 0xff }, { 0x1c, 2, 22, 0xff }, { 0x1c, 2, 23, 0xff },
		{ 0x1c, 2, 24, 0x80 }, { 0x1c, 2, 28, 0xff }, { 0x1c, 2, 29, 0xff },
		{ 0x1c, 2, 30, 0xff }, { 0x1c, 2, 31, 0xff },
	};
	struct scsi_lu lu = full_lu();
	struct answer a;
	size_t at[8], count;

	(void)state;
	lu.write_protect = true;
	sense_10(&lu, DBD, MODE_PC_CHANGEABLE, MODE_PAGE_ALL, MODE_SUBPAGE_ALL, 1000, &a);
	count = split(&a, 8, at);
	assert_int_equal(count, 6);
	for (size_t p = 0; p < count; p++) {
		const uint8_t *page = a.buf + at[p];
		bool spf = page[0] & 0x40;
		size_t end = p + 1 < count ? at[p + 1] : a.len;

		for (size_t byte = spf ? 4 : 2; byte < end - at[p]; byte++) {
			uint8_t mask = 0;

			for (size_t i = 0; i < sizeof(changeable) / sizeof(changeable[0]); i++) {
				if (changeable[i].page == (page[0] & 0x3f) &&
				    changeable[i].subpage == (spf ? page[1] : 0) &&
				    changeable[i].byte == byte)
					mask = changeable[i].mask;
			}
			assert_int_equal(page[byte], mask);
		}
	}
}

static void fixed_pages_cannot_be_changed(void **state)
{
	struct scsi_lu lu = full_lu();
	struct answer a;
	size_t at[8], count;

	(void)state;
	lu.wce_fixed = true;
	lu.mode_fixed = true;
	sense_10(&lu, DBD, MODE_PC_CHANGEABLE, MODE_PAGE_ALL, MODE_SUBPAGE_ALL, 1000, &a);
	count = split(&a, 8, at);
	for (size_t p = 0; p < count; p++) {
		size_t end = p + 1 < count ? at[p + 1] : a.len;

		for (size_t i = at[p] + (a.buf[at[p]] & 0x40 ? 4 : 2); i < end; i++)
			assert_int_equal(a.buf[i], 0);
	}
}

static void without_thresholds_lbpere_cannot_be_changed(void **state)
{
	struct scsi_lu lu = full_lu();
	struct answer a;

	(void)state;
	lu.threshold_exponent = 0;
	sense_6(&lu, DBD, MODE_PC_CHANGEABLE, MODE_PAGE_RW_ERROR_RECOVERY, 0, 255, &a);
	assert_int_equal(a.len, 4 + 12);
	assert_int_equal(a.buf[4 + 7], 0);
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
	static const uint8_t expected[12] = { 0x0a, 10, 0x02, 0x10, 0, 0x40, 0, 0, 0xff, 0xff };
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	sense_6(&lu, DBD, MODE_PC_CURRENT, MODE_PAGE_CONTROL, 0, 255, &a);
	assert_int_equal(a.len, 4 + 12);
	assert_memory_equal(a.buf + 4, expected, 12);
}

static void write_protection_shows_in_the_header(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	lu.write_protect = true;
	sense_6(&lu, DBD, MODE_PC_CURRENT, MODE_PAGE_CONTROL, 0, 255, &a);
	assert_int_equal(a.buf[2], 0x90);
	assert_int_equal(a.buf[4 + 4], 0); /* not by software */
	sense_10(&lu, DBD, MODE_PC_CURRENT, MODE_PAGE_CONTROL, 0, 255, &a);
	assert_int_equal(a.buf[3], 0x90);
}

static void swp_and_d_sense_show_in_the_control_page(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	lu.swp = true;
	sense_6(&lu, DBD, MODE_PC_CURRENT, MODE_PAGE_CONTROL, 0, 255, &a);
	assert_int_equal(a.buf[2], 0x90); /* WP, too (SBC-4 6.5) */
	assert_int_equal(a.buf[4 + 2], 0x02);
	assert_int_equal(a.buf[4 + 4], 0x08);
	lu.swp = false;
	lu.d_sense = true;
	sense_6(&lu, DBD, MODE_PC_CURRENT, MODE_PAGE_CONTROL, 0, 255, &a);
	assert_int_equal(a.buf[2], 0x10);
	assert_int_equal(a.buf[4 + 2], 0x06);
	assert_int_equal(a.buf[4 + 4], 0x00);
}

static void control_extension_page(void **state)
{
	static const uint8_t head[4] = { 0x4a, 0x01, 0, 0x1c };
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	for (uint8_t tpgs = 0; tpgs < 4; tpgs++) {
		lu.tpgs = tpgs;
		sense_6(&lu, DBD, MODE_PC_CURRENT, MODE_PAGE_CONTROL,
			MODE_SUBPAGE_CONTROL_EXTENSION, 255, &a);
		assert_int_equal(a.len, 4 + 32);
		assert_memory_equal(a.buf + 4, head, 4);
		assert_int_equal(a.buf[4 + 4], tpgs & 1); /* IALUAE */
		for (int i = 5; i < 32; i++)
			assert_int_equal(a.buf[4 + i], 0);
	}
}

static void informational_exceptions_page(void **state)
{
	static const uint8_t expected[12] = { 0x1c, 10, 0x00, 0x06 };
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	sense_6(&lu, DBD, MODE_PC_CURRENT, MODE_PAGE_INFORMATIONAL_EXCEPTIONS, 0, 255, &a);
	assert_int_equal(a.len, 4 + 12);
	assert_memory_equal(a.buf + 4, expected, 12);
}

static void provisioning_page(void **state)
{
	static const uint8_t expected[32] = {
		0x5c, 0x02, 0, 28, 0x01, [16] = 0x80, 0x01, 0, 0, 0, 0, 0x12, 0x34, /* available */
		0x01, 0x02, 0, 0,  0x56, 0x78,        0,    0,                      /* used */
	};
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	sense_10(&lu, DBD, MODE_PC_CURRENT, MODE_PAGE_INFORMATIONAL_EXCEPTIONS,
		 MODE_SUBPAGE_LOGICAL_BLOCK_PROVISIONING, 255, &a);
	assert_invalid_cdb(&a, 3, -1); /* no thresholds */
	lu.threshold_exponent = 11;
	lu.threshold[SCSI_THRESHOLD_AVAILABLE].enabled = true;
	lu.threshold[SCSI_THRESHOLD_AVAILABLE].count = 0x1234;
	lu.threshold[SCSI_THRESHOLD_USED].count = 0x56780000;
	sense_10(&lu, DBD, MODE_PC_CURRENT, MODE_PAGE_INFORMATIONAL_EXCEPTIONS,
		 MODE_SUBPAGE_LOGICAL_BLOCK_PROVISIONING, 255, &a);
	assert_int_equal(a.len, 8 + 32);
	assert_memory_equal(a.buf + 8, expected, 32);
}

static void lbpere_shows_in_the_error_recovery_page(void **state)
{
	struct scsi_lu lu = full_lu();
	struct answer a;

	(void)state;
	lu.lbpere = true;
	sense_6(&lu, DBD, MODE_PC_CURRENT, MODE_PAGE_RW_ERROR_RECOVERY, 0, 255, &a);
	assert_int_equal(a.buf[4 + 7], 0x80);
	for (int i = 2; i < 12; i++) {
		if (i != 7)
			assert_int_equal(a.buf[4 + i], 0);
	}
}

static void all_pages_ascend(void **state)
{
	static const struct {
		uint8_t subpage;
		bool full;
		int count;
	} cases[] = { { 0, false, 4 }, { 0, true, 4 }, { 0xff, false, 5 }, { 0xff, true, 6 } };
	struct answer a;
	size_t at[8];

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct scsi_lu lu = cases[i].full ? full_lu() : plain_lu();
		int last = -1;

		sense_10(&lu, DBD, MODE_PC_CURRENT, MODE_PAGE_ALL, cases[i].subpage, 1000, &a);
		assert_int_equal(get_be16(a.buf), a.len - 2);
		assert_int_equal(split(&a, 8, at), cases[i].count);
		for (int p = 0; p < cases[i].count; p++) {
			const uint8_t *page = a.buf + at[p];
			int key = (page[0] & 0x3f) << 8 | (page[0] & 0x40 ? page[1] : 0);

			assert_true(key > last);
			last = key;
		}
	}
}

static void all_subpages_of_a_page(void **state)
{
	struct scsi_lu lu = full_lu();
	struct answer a;
	size_t at[8];

	(void)state;
	sense_10(&lu, DBD, MODE_PC_CURRENT, MODE_PAGE_CONTROL, MODE_SUBPAGE_ALL, 1000, &a);
	assert_int_equal(split(&a, 8, at), 2);
	assert_int_equal(a.buf[at[0]] & 0x7f, 0x0a);
	assert_int_equal(a.buf[at[1]] & 0x7f, 0x4a);
	sense_10(&lu, DBD, MODE_PC_CURRENT, MODE_PAGE_CACHING, MODE_SUBPAGE_ALL, 1000, &a);
	assert_int_equal(split(&a, 8, at), 1);
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
	static const uint8_t codes[] = { 0x01, 0x08, 0x0a, 0x1c, 0x3f };
	struct scsi_lu lu = full_lu();
	struct answer a;

	(void)state;
	for (size_t i = 0; i < sizeof(codes); i++) {
		for (unsigned int subpage = 1; subpage < 0xff; subpage++) {
			if ((codes[i] == 0x0a && subpage == 1) ||
			    (codes[i] == 0x1c && subpage == 2))
				continue;
			sense_10(&lu, 0, MODE_PC_CURRENT, codes[i], (uint8_t)subpage, 255, &a);
			assert_invalid_cdb(&a, 3, -1);
		}
	}
}

static void saved_and_default_values(void **state)
{
	struct scsi_lu lu = full_lu();
	struct answer a;

	(void)state;
	lu.swp = true;
	lu.mode_saved.wce = true;
	lu.mode_saved.d_sense = true;
	lu.mode_default.lbpere = true;
	sense_6(&lu, DBD, MODE_PC_SAVED, MODE_PAGE_ALL, 0, 255, &a);
	assert_int_equal(a.status, SAM_STAT_GOOD);
	assert_int_equal(a.buf[4 + 7], 0x00);      /* LBPERE */
	assert_int_equal(a.buf[4 + 12 + 2], 0x04); /* WCE */
	assert_int_equal(a.buf[4 + 32 + 2], 0x06); /* D_SENSE */
	assert_int_equal(a.buf[4 + 32 + 4], 0x00); /* SWP */
	sense_6(&lu, DBD, MODE_PC_DEFAULT, MODE_PAGE_ALL, 0, 255, &a);
	assert_int_equal(a.buf[4 + 7], 0x80);
	assert_int_equal(a.buf[4 + 12 + 2], 0x00);
	assert_int_equal(a.buf[4 + 32 + 2], 0x02);
	assert_int_equal(a.buf[4 + 32 + 4], 0x00);
	sense_6(&lu, DBD, MODE_PC_CURRENT, MODE_PAGE_ALL, 0, 255, &a);
	assert_int_equal(a.buf[4 + 32 + 4], 0x08);
}

/* PS (SPC-5 7.5): of the pages with something that can be changed. */
static void what_can_be_saved(void **state)
{
	static const struct {
		uint8_t byte_0, byte_1;
	} expected[6] = { { 0x81, 10 },   { 0x88, 18 }, { 0x8a, 10 },
			  { 0x4a, 0x01 }, { 0x1c, 10 }, { 0xdc, 0x02 } };
	struct answer a;
	size_t at[8];

	(void)state;
	for (int saves = 0; saves < 2; saves++) {
		struct scsi_lu lu = full_lu();

		lu.saves = saves;
		for (unsigned int pc = 0; pc < 3; pc++) {
			sense_10(&lu, DBD, pc, MODE_PAGE_ALL, MODE_SUBPAGE_ALL, 1000, &a);
			assert_int_equal(split(&a, 8, at), 6);
			for (int p = 0; p < 6; p++) {
				assert_int_equal(a.buf[at[p]],
						 expected[p].byte_0 & (saves ? 0xff : 0x7f));
				assert_int_equal(a.buf[at[p] + 1], expected[p].byte_1);
			}
		}
	}
}

static void without_a_medium_there_are_no_blocks(void **state)
{
	struct scsi_lu lu = full_lu();
	struct answer a;

	(void)state;
	lu.medium_present = false;
	sense_6(&lu, 0, MODE_PC_CURRENT, MODE_PAGE_CACHING, 0, 255, &a);
	assert_int_equal(get_be32(a.buf + 4), 0);
	assert_int_equal(get_be24(a.buf + 9), 512);
	sense_10(&lu, LLBAA, MODE_PC_CURRENT, MODE_PAGE_CACHING, 0, 255, &a);
	assert_true(get_be64(a.buf + 8) == 0);
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
	struct scsi_lu lu = full_lu();
	struct answer whole;

	(void)state;
	sense_6(&lu, 0, MODE_PC_CURRENT, MODE_PAGE_ALL, MODE_SUBPAGE_ALL, 255, &whole);
	assert_int_equal(whole.buf[0], whole.len - 1);
	for (unsigned int pc = 0; pc < 4; pc++) {
		const uint8_t six[16] = { MODE_SENSE, 0, (uint8_t)(pc << 6 | 0x3f), 0xff };
		const uint8_t ten[16] = { MODE_SENSE_10, LLBAA, (uint8_t)(pc << 6 | 0x3f), 0xff };

		assert_cut_everywhere(scsi_mode_sense, &lu, six, 4, 1);
		assert_cut_everywhere(scsi_mode_sense, &lu, ten, 7, 2);
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
		cmocka_unit_test(what_can_be_changed),
		cmocka_unit_test(fixed_pages_cannot_be_changed),
		cmocka_unit_test(without_thresholds_lbpere_cannot_be_changed),
		cmocka_unit_test(fixed_wce_cannot_be_changed),
		cmocka_unit_test(control_page),
		cmocka_unit_test(write_protection_shows_in_the_header),
		cmocka_unit_test(swp_and_d_sense_show_in_the_control_page),
		cmocka_unit_test(control_extension_page),
		cmocka_unit_test(informational_exceptions_page),
		cmocka_unit_test(provisioning_page),
		cmocka_unit_test(lbpere_shows_in_the_error_recovery_page),
		cmocka_unit_test(all_pages_ascend),
		cmocka_unit_test(all_subpages_of_a_page),
		cmocka_unit_test(every_other_page_is_refused),
		cmocka_unit_test(other_subpages_are_refused),
		cmocka_unit_test(saved_and_default_values),
		cmocka_unit_test(what_can_be_saved),
		cmocka_unit_test(without_a_medium_there_are_no_blocks),
		cmocka_unit_test(nothing_is_saved),
		cmocka_unit_test(allocation_length_cuts_but_the_length_field_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
