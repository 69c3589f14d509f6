/* SPDX-License-Identifier: Apache-2.0 */
/* The parameter lists of FORMAT UNIT and SANITIZE. */
#include "rig.h"
#include "scsi/format.h"

#define LONGLIST 0x20
#define FMTDATA  0x10
#define CMPLST   0x08

#define FOV   0x80
#define IP    0x08
#define IMMED 0x02

/* What was parsed; the list is freed, so the pattern is kept here. */
struct parse {
	uint8_t status;
	struct scsi_sense sense;
	struct scsi_format format;
	struct scsi_sanitize sanitize;
	uint8_t pattern[4096];
};

static void keep_pattern(struct scsi_pattern *pattern, struct parse *p, const uint8_t *list,
			 size_t len)
{
	if (p->status != SAM_STAT_GOOD || !pattern->len)
		return;
	/* It lies in the list. */
	assert_true(pattern->bytes >= list && pattern->bytes + pattern->len <= list + len);
	memcpy(p->pattern, pattern->bytes, pattern->len);
}

static void format(uint8_t byte_1, const void *bytes, size_t len, struct parse *p)
{
	const uint8_t cdb[6] = { FORMAT_UNIT, byte_1 };
	uint8_t *list = exact_copy(bytes, len);
	struct scsi_lu lu = plain_lu();

	memset(p, 0, sizeof(*p));
	p->status = scsi_format_parse(&lu, cdb, list, len, &p->format, &p->sense);
	keep_pattern(&p->format.pattern, p, list, len);
	free(list);
}

static void sanitize(uint8_t byte_1, const void *bytes, size_t list_len, size_t sent,
		     struct parse *p)
{
	uint8_t cdb[10] = { SANITIZE, byte_1 }, *list = exact_copy(bytes, sent);
	struct scsi_lu lu = plain_lu();

	put_be16(cdb + 7, (uint16_t)list_len);
	memset(p, 0, sizeof(*p));
	p->status = scsi_sanitize_parse(&lu, cdb, list, sent, &p->sanitize, &p->sense);
	keep_pattern(&p->sanitize.pattern, p, list, sent);
	free(list);
}

static void assert_cdb(const struct parse *p, unsigned int byte, int bit)
{
	assert_int_equal(p->status, SAM_STAT_CHECK_CONDITION);
	assert_sense(&p->sense, ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
	assert_field(&p->sense, true, byte, bit);
}

static void assert_param(const struct parse *p, unsigned int byte, int bit)
{
	assert_int_equal(p->status, SAM_STAT_CHECK_CONDITION);
	assert_sense(&p->sense, ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_PARAMETER_LIST);
	assert_field(&p->sense, false, byte, bit);
}

static void assert_too_short(const struct parse *p)
{
	assert_int_equal(p->status, SAM_STAT_CHECK_CONDITION);
	assert_sense(&p->sense, ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH_ERROR);
}

/* ---- FORMAT UNIT ---- */

static void without_a_list_there_is_nothing_to_say(void **state)
{
	struct parse p;

	(void)state;
	format(0, NULL, 0, &p);
	assert_int_equal(p.status, SAM_STAT_GOOD);
	assert_false(p.format.immed);
	assert_int_equal(p.format.pattern.len, 0);
	format(LONGLIST, "\377\377\377\377", 4, &p); /* not looked at */
	assert_int_equal(p.status, SAM_STAT_GOOD);
	format(CMPLST, NULL, 0, &p);
	assert_cdb(&p, 1, 3);
	for (uint8_t defects = 1; defects < 8; defects++) {
		format(defects, NULL, 0, &p);
		assert_cdb(&p, 1, 2);
	}
}

static void defect_list_formats(void **state)
{
	static const uint8_t list[4] = { 0 };
	struct parse p;

	(void)state;
	for (uint8_t defects = 0; defects < 8; defects++) {
		format(FMTDATA | CMPLST | defects, list, 4, &p);
		if (defects == 1 || defects == 2 || defects > 5)
			assert_cdb(&p, 1, 2);
		else
			assert_int_equal(p.status, SAM_STAT_GOOD);
	}
}

/* Each bit of each header: taken, or refused and pointed to. */
static void every_bit_of_the_header(void **state)
{
	struct parse p;

	(void)state;
	for (int is_long = 0; is_long < 2; is_long++) {
		size_t size = is_long ? 8 : 4;

		for (size_t bit = 0; bit < 8 * size; bit++) {
			uint8_t list[8] = { 0 };
			size_t byte = bit / 8;
			bool length = byte >= (is_long ? 4 : 2);

			list[byte] = (uint8_t)(1u << bit % 8);
			format(FMTDATA | (is_long ? LONGLIST : 0), list, size, &p);
			if (length)
				assert_param(&p, is_long ? 4 : 2, -1);
			else if (byte == 0 || byte == 3)
				assert_param(&p, (unsigned int)byte, (int)(bit % 8));
			else if (byte == 1 && list[1] & 0x78) /* options without FOV */
				assert_param(&p, 1, (int)(bit % 8));
			else
				assert_int_equal(p.status, SAM_STAT_GOOD);
			assert_int_equal(p.format.immed, byte == 1 && list[1] == IMMED);
		}
	}
}

static void options_with_fov(void **state)
{
	uint8_t list[4] = { 0, FOV | 0x70 | IMMED };
	struct parse p;

	(void)state;
	format(FMTDATA, list, 4, &p);
	assert_int_equal(p.status, SAM_STAT_GOOD);
	assert_true(p.format.immed);
}

static void initialization_pattern(void **state)
{
	uint8_t list[8 + 4 + 600] = { 0, FOV | IP, 0, 0, 0, 0x01, 0, 3, 0xaa, 0xbb, 0xcc };
	uint8_t zeros[8] = { 0, FOV | IP };
	uint8_t longer[8 + 4 + 2] = { 0, FOV | IP, 0, 0, 0, 0, 0, 0, 0, 0x01, 0, 2, 0x12, 0x34 };
	struct parse p;

	(void)state;
	format(FMTDATA, list, 4 + 4 + 3, &p);
	assert_int_equal(p.status, SAM_STAT_GOOD);
	assert_int_equal(p.format.pattern.len, 3);
	assert_memory_equal(p.pattern, "\xaa\xbb\xcc", 3);
	format(FMTDATA, zeros, sizeof(zeros), &p); /* type 00h */
	assert_int_equal(p.status, SAM_STAT_GOOD);
	assert_int_equal(p.format.pattern.len, 0);
	format(FMTDATA | LONGLIST, longer, sizeof(longer), &p);
	assert_int_equal(p.format.pattern.len, 2);
	assert_memory_equal(p.pattern, "\x12\x34", 2);

	put_be16(list + 6, 512); /* a block */
	format(FMTDATA, list, 8 + 512, &p);
	assert_int_equal(p.format.pattern.len, 512);
	put_be16(list + 6, 513);
	format(FMTDATA, list, 8 + 513, &p);
	assert_param(&p, 6, -1);
	put_be16(list + 6, 0);
	format(FMTDATA, list, 8, &p);
	assert_param(&p, 6, -1);
	list[5] = 0; /* type 00h has no length */
	put_be16(list + 6, 1);
	format(FMTDATA, list, 9, &p);
	assert_param(&p, 6, -1);
	list[5] = 2;
	format(FMTDATA, list, 9, &p);
	assert_param(&p, 5, -1);
	list[4] = 0x20; /* SI */
	format(FMTDATA, list, 9, &p);
	assert_param(&p, 4, 5);
}

static void truncated_format_lists(void **state)
{
	static const uint8_t shorter[4 + 4 + 3] = { 0, FOV | IP, 0, 0, 0, 0x01, 0, 3, 1, 2, 3 };
	static const uint8_t longer[8 + 4 + 3] = { 0, FOV | IP, 0, 0, 0, 0, 0, 0,
						   0, 0x01,     0, 3, 1, 2, 3 };
	struct parse p;

	(void)state;
	for (size_t len = 0; len < sizeof(shorter); len++) {
		format(FMTDATA, shorter, len, &p);
		assert_too_short(&p);
	}
	for (size_t len = 0; len < sizeof(longer); len++) {
		format(FMTDATA | LONGLIST, longer, len, &p);
		assert_too_short(&p);
	}
}

/* ---- SANITIZE ---- */

static void bits_of_the_cdb(void **state)
{
	struct parse p;

	(void)state;
	sanitize(SANITIZE_SA_BLOCK_ERASE, NULL, 0, 0, &p);
	assert_int_equal(p.status, SAM_STAT_GOOD);
	assert_int_equal(p.sanitize.service_action, SANITIZE_SA_BLOCK_ERASE);
	assert_false(p.sanitize.immed || p.sanitize.ause);
	sanitize(0x80 | SANITIZE_SA_BLOCK_ERASE, NULL, 0, 0, &p);
	assert_true(p.sanitize.immed && !p.sanitize.ause);
	sanitize(0x20 | SANITIZE_SA_EXIT_FAILURE_MODE, NULL, 0, 0, &p);
	assert_true(!p.sanitize.immed && p.sanitize.ause);
	assert_int_equal(p.sanitize.service_action, SANITIZE_SA_EXIT_FAILURE_MODE);
}

static void only_overwrite_has_a_list(void **state)
{
	static const uint8_t list[5] = { 1, 0, 0, 1, 0xaa };
	struct parse p;

	(void)state;
	sanitize(SANITIZE_SA_BLOCK_ERASE, list, 5, 5, &p);
	assert_cdb(&p, 7, -1);
	sanitize(SANITIZE_SA_EXIT_FAILURE_MODE, list, 1, 5, &p);
	assert_cdb(&p, 7, -1);
	sanitize(SANITIZE_SA_BLOCK_ERASE, list, 0, 5, &p); /* what is not announced is not there */
	assert_int_equal(p.status, SAM_STAT_GOOD);
}

static void overwrite(void **state)
{
	static const uint8_t list[4 + 3] = { 0x80 | 31, 0, 0, 3, 0xaa, 0xbb, 0xcc };
	struct parse p;

	(void)state;
	sanitize(SANITIZE_SA_OVERWRITE, list, 7, 7, &p);
	assert_int_equal(p.status, SAM_STAT_GOOD);
	assert_true(p.sanitize.invert);
	assert_int_equal(p.sanitize.passes, 31);
	assert_int_equal(p.sanitize.pattern.len, 3);
	assert_memory_equal(p.pattern, "\xaa\xbb\xcc", 3);
}

static void overwrite_lengths(void **state)
{
	uint8_t list[600] = { 1 };
	struct parse p;

	(void)state;
	for (size_t len = 0; len < sizeof(list); len++) {
		bool is = len > 4 && len <= 4 + 512;

		put_be16(list + 2, is ? (uint16_t)(len - 4) : 1);
		sanitize(SANITIZE_SA_OVERWRITE, list, len, len, &p);
		if (is)
			assert_int_equal(p.status, SAM_STAT_GOOD);
		else
			assert_cdb(&p, 7, -1);
	}
	sanitize(SANITIZE_SA_OVERWRITE, list, 65535, sizeof(list), &p);
	assert_cdb(&p, 7, -1);
}

static void truncated_overwrite_lists(void **state)
{
	uint8_t list[4 + 64] = { 1, 0, 0, 64 };
	struct parse p;

	(void)state;
	for (size_t sent = 0; sent < sizeof(list); sent++) {
		/* less than announced */
		sanitize(SANITIZE_SA_OVERWRITE, list, sizeof(list), sent, &p);
		assert_too_short(&p);
		/* the pattern is longer than the list */
		if (sent > 4) {
			sanitize(SANITIZE_SA_OVERWRITE, list, sent, sent, &p);
			assert_too_short(&p);
		}
	}
}

static void overwrite_fields(void **state)
{
	uint8_t list[4 + 512] = { 0, 0, 0, 1 };
	struct parse p;

	(void)state;
	sanitize(SANITIZE_SA_OVERWRITE, list, 5, 5, &p); /* no pass */
	assert_param(&p, 0, 4);
	list[0] = 0x20 | 1; /* TEST */
	sanitize(SANITIZE_SA_OVERWRITE, list, 5, 5, &p);
	assert_param(&p, 0, 5);
	list[0] = 0x40 | 1;
	sanitize(SANITIZE_SA_OVERWRITE, list, 5, 5, &p);
	assert_param(&p, 0, 6);
	list[0] = 1;
	list[1] = 0x10;
	sanitize(SANITIZE_SA_OVERWRITE, list, 5, 5, &p);
	assert_param(&p, 1, 4);
	list[1] = 0;
	put_be16(list + 2, 0);
	sanitize(SANITIZE_SA_OVERWRITE, list, 5, 5, &p);
	assert_param(&p, 2, -1);
	put_be16(list + 2, 513);
	sanitize(SANITIZE_SA_OVERWRITE, list, 516, 516, &p);
	assert_param(&p, 2, -1);
}

/* SBC-4 SANITIZE, INVERT: an even count begins inverted, an odd one does not, and they alternate. */
static void inversion(void **state)
{
	struct scsi_sanitize what = { .invert = true };

	(void)state;
	for (what.passes = 1; what.passes < 32; what.passes++) {
		assert_int_equal(scsi_sanitize_inverted(&what, 1), what.passes % 2 == 0);
		for (unsigned int pass = 2; pass <= what.passes; pass++)
			assert_int_not_equal(scsi_sanitize_inverted(&what, pass),
					     scsi_sanitize_inverted(&what, pass - 1));
		assert_false(scsi_sanitize_inverted(&what, what.passes));
	}
	what.invert = false;
	for (unsigned int pass = 1; pass < 32; pass++)
		assert_false(scsi_sanitize_inverted(&what, pass));
}

static void patterns_fill_a_block(void **state)
{
	static const uint8_t bytes[3] = { 0x12, 0x34, 0x56 };
	struct scsi_pattern pattern = { .bytes = bytes, .len = 3 }, none = { 0 };
	uint8_t *block = malloc(512);

	(void)state;
	scsi_pattern_fill(&pattern, false, block, 512);
	for (int i = 0; i < 512; i++)
		assert_int_equal(block[i], bytes[i % 3]);
	scsi_pattern_fill(&pattern, true, block, 512);
	for (int i = 0; i < 512; i++)
		assert_int_equal(block[i], bytes[i % 3] ^ 0xff);
	scsi_pattern_fill(&none, false, block, 512);
	for (int i = 0; i < 512; i++)
		assert_int_equal(block[i], 0);
	free(block);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_list_there_is_nothing_to_say),
		cmocka_unit_test(defect_list_formats),
		cmocka_unit_test(every_bit_of_the_header),
		cmocka_unit_test(options_with_fov),
		cmocka_unit_test(initialization_pattern),
		cmocka_unit_test(truncated_format_lists),
		cmocka_unit_test(bits_of_the_cdb),
		cmocka_unit_test(only_overwrite_has_a_list),
		cmocka_unit_test(overwrite),
		cmocka_unit_test(overwrite_lengths),
		cmocka_unit_test(truncated_overwrite_lists),
		cmocka_unit_test(overwrite_fields),
		cmocka_unit_test(inversion),
		cmocka_unit_test(patterns_fill_a_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
