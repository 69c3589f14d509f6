/* SPDX-License-Identifier: Apache-2.0 */
/* EXTENDED COPY(LID1)'s parameter list and the answers of RECEIVE COPY RESULTS (SPC-4 6.4, 6.18 to 6.20). */
#include "rig.h"

#include "scsi/xcopy.h"

#define CSCD    32
#define SEGMENT 28

static uint8_t list[SCSI_XCOPY_LIST_MAX + 256];
static struct scsi_xcopy x;
static struct scsi_sense sense;

static uint8_t *cscd_at(unsigned int i)
{
	return list + SCSI_XCOPY_HEADER + i * CSCD;
}

static uint8_t *segment_at(unsigned int cscds, unsigned int i)
{
	return cscd_at(cscds) + i * SEGMENT;
}

/* A list with so many descriptors; all segments from 0 to the last. Its length. */
static size_t make_list(unsigned int cscds, unsigned int segments)
{
	memset(list, 0, sizeof(list));
	list[0] = 7;
	put_be16(list + 2, (uint16_t)(cscds * CSCD));
	put_be32(list + 8, segments * SEGMENT);
	for (unsigned int i = 0; i < cscds; i++) {
		uint8_t *d = cscd_at(i);

		d[0] = 0xe4;
		d[4] = 0x01;
		d[5] = 0x03;
		d[7] = 16;
		memset(d + 8, (int)(0x60 + i), 16);
		put_be24(d + 29, 512);
	}
	for (unsigned int i = 0; i < segments; i++) {
		uint8_t *d = segment_at(cscds, i);

		d[0] = 0x02;
		put_be16(d + 2, SEGMENT - 4);
		put_be16(d + 6, (uint16_t)(cscds ? cscds - 1 : 0));
		put_be16(d + 10, (uint16_t)(100 + i));
		put_be64(d + 12, 0x0102030405060708);
		put_be64(d + 20, 0x1112131415161718);
	}
	return SCSI_XCOPY_HEADER + cscds * CSCD + segments * SEGMENT;
}

/* From a copy that ends where the list does, so that the sanitizer sees what is read beyond. */
static int parse(size_t len)
{
	uint8_t *copy = exact_copy(list, len < SCSI_XCOPY_LIST_MAX ? len : SCSI_XCOPY_LIST_MAX);
	int ret;

	memset(&sense, 0, sizeof(sense));
	ret = scsi_xcopy_parse(copy, len, &x, &sense);
	free(copy);
	return ret;
}

static void assert_refused(size_t len, uint8_t key, unsigned int asc)
{
	assert_int_equal(parse(len), -1);
	assert_sense(&sense, key, asc);
}

static void good_lists(void **state)
{
	size_t len = make_list(2, 3);

	(void)state;
	segment_at(2, 1)[1] = 0x03;
	assert_int_equal(parse(len), 0);
	assert_int_equal(x.list_id, 7);
	assert_int_equal(x.usage, SCSI_XCOPY_HOLD);
	assert_int_equal(x.cscds, 2);
	assert_int_equal(x.segments, 3);
	assert_true(x.cscd[1].named);
	assert_int_equal(x.cscd[1].naa[15], 0x61);
	assert_int_equal(x.cscd[1].block_size, 512);
	assert_int_equal(x.segment[1].from, 0);
	assert_int_equal(x.segment[1].to, 1);
	assert_int_equal(x.segment[1].blocks, 101);
	assert_true(x.segment[1].dc);
	assert_false(x.segment[0].dc);
	assert_true(x.segment[2].from_lba == 0x0102030405060708);
	assert_true(x.segment[2].to_lba == 0x1112131415161718);
	/* as many as there may be; bytes behind it do not matter */
	assert_int_equal(parse(make_list(SCSI_XCOPY_MAX_CSCD, SCSI_XCOPY_MAX_SEGMENTS)), 0);
	assert_int_equal(x.segments, SCSI_XCOPY_MAX_SEGMENTS);
	assert_int_equal(parse(make_list(2, 3) + 9), 0);
	assert_int_equal(parse(make_list(2, 3) + 1000000), 0);
	/* nothing to do */
	assert_int_equal(parse(0), 0);
	assert_int_equal(x.segments, 0);
	assert_int_equal(parse(make_list(0, 0)), 0);
	assert_int_equal(x.segments, 0);
	assert_int_equal(parse(make_list(3, 0)), 0);
	assert_int_equal(x.cscds, 3);
}

/* A list that is cut anywhere is refused as that. */
static void truncated(void **state)
{
	(void)state;
	for (unsigned int cscds = 1; cscds <= 3; cscds++) {
		size_t len = make_list(cscds, 4 - cscds);

		for (size_t cut = 1; cut < len; cut++)
			assert_refused(cut, ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH_ERROR);
		assert_int_equal(parse(len), 0);
		/* and one whose header says that it ends early */
		for (uint32_t n = 1; n < SEGMENT; n++) {
			put_be32(list + 8, (4 - cscds - 1) * SEGMENT + n);
			assert_refused(len, ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH_ERROR);
		}
	}
}

/* No list, whatever is in it, is read beyond its end or has more than there is room for. */
static void nonsense(void **state)
{
	unsigned int seed = 1;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		size_t len = make_list(i % 4, i % 5);

		for (int n = 0; n < 1 + i % 3; n++) {
			seed = seed * 1103515245 + 12345;
			list[(seed >> 8) % (len + 4)] = (uint8_t)(seed >> 24);
		}
		if (parse(len)) {
			assert_true(sense.key == ILLEGAL_REQUEST || sense.key == COPY_ABORTED);
			continue;
		}
		assert_true(x.cscds <= SCSI_XCOPY_MAX_CSCD);
		assert_true(x.segments <= SCSI_XCOPY_MAX_SEGMENTS);
		for (unsigned int s = 0; s < x.segments; s++)
			assert_true(x.segment[s].from < x.cscds && x.segment[s].to < x.cscds);
	}
}

static void limits(void **state)
{
	(void)state;
	assert_refused(make_list(SCSI_XCOPY_MAX_CSCD + 1, 1), ILLEGAL_REQUEST,
		       ASC_TOO_MANY_TARGET_DESCRIPTORS);
	assert_refused(make_list(1, SCSI_XCOPY_MAX_SEGMENTS + 1), ILLEGAL_REQUEST,
		       ASC_TOO_MANY_SEGMENT_DESCRIPTORS);
	/* both: more than MAXIMUM DESCRIPTOR LIST LENGTH */
	assert_refused(make_list(SCSI_XCOPY_MAX_CSCD + 1, SCSI_XCOPY_MAX_SEGMENTS + 1),
		       ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH_ERROR);
	make_list(1, 1);
	put_be32(list + 8, UINT32_MAX);
	assert_refused(SIZE_MAX / 2, ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH_ERROR);
}

static void types(void **state)
{
	size_t len;

	(void)state;
	for (unsigned int type = 0; type < 256; type++) {
		len = make_list(2, 2);
		cscd_at(1)[0] = (uint8_t)type;
		if (type == 0xe4) {
			assert_int_equal(parse(len), 0);
		} else {
			assert_refused(len, ILLEGAL_REQUEST,
				       ASC_UNSUPPORTED_TARGET_DESCRIPTOR_TYPE);
			assert_field(&sense, false, 16 + CSCD, -1);
		}
		len = make_list(2, 2);
		segment_at(2, 1)[0] = (uint8_t)type;
		if (type == 0x02) {
			assert_int_equal(parse(len), 0);
		} else {
			assert_refused(len, ILLEGAL_REQUEST,
				       ASC_UNSUPPORTED_SEGMENT_DESCRIPTOR_TYPE);
			assert_field(&sense, false, 16 + 2 * CSCD + SEGMENT, -1);
		}
	}
	/* a short one of another type, as stream to stream has */
	len = make_list(1, 1);
	segment_at(1, 0)[0] = 0x03;
	put_be32(list + 8, 16);
	assert_refused(len - 12, ILLEGAL_REQUEST, ASC_UNSUPPORTED_SEGMENT_DESCRIPTOR_TYPE);
}

/* What is changed in the list, what is said, and where it points to. */
static void fields(void **state)
{
	static const struct {
		uint16_t at;
		uint8_t value;
		unsigned int asc;
		int byte, bit;
	} bad[] = {
		{ 1, 0x80, 0x2600, 1, 7 },
		{ 1, 0x40, 0x2600, 1, 6 },
		{ 1, 0x08, 0x2600, 1, 4 },  /* LIST ID USAGE 01b */
		{ 1, 0x18, 0x2600, 0, -1 }, /* 11b with a list identifier */
		{ 3, 33, 0x2600, 2, -1 },
		{ 15, 1, 0x260b, 12, -1 },
		{ 12, 1, 0x260b, 12, -1 },
		{ 16 + 7, 21, 0x2600, 16 + 7, -1 },
		{ 16 + CSCD + 3, 25, 0x2600, 16 + CSCD + 2, -1 },
		{ 16 + CSCD + 2, 1, 0x2600, 16 + CSCD + 2, -1 },
		{ 16 + CSCD + 1, 0x08, 0x2600, 16 + CSCD + 1, -1 },
		{ 16 + CSCD + 1, 0x04, 0x2616, 16 + CSCD + 1, 2 },
	};
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		len = make_list(1, 1) + 40;
		list[bad[i].at] = bad[i].value;
		assert_refused(len, ILLEGAL_REQUEST, bad[i].asc);
		assert_field(&sense, false, (unsigned int)bad[i].byte, bad[i].bit);
	}
	/* hints, and what is obsolete: STR and PRIORITY, LU ID TYPE and NUL */
	len = make_list(1, 1);
	list[1] = 0x20 | 0x07;
	cscd_at(0)[1] = 0xe0;
	assert_int_equal(parse(len), 0);
	list[1] = 0x10;
	assert_int_equal(parse(len), 0);
	assert_int_equal(x.usage, SCSI_XCOPY_DISCARD);
	list[0] = 0;
	list[1] = 0x18;
	assert_int_equal(parse(len), 0);
	assert_int_equal(x.usage, SCSI_XCOPY_NO_ID);
}

/* SPC-4 Table 150: what is not in the list cannot be reached. */
static void ends(void **state)
{
	static const uint16_t outside[] = { 2, 3, 0x7ff, 0x800, 0xf800, 0xffff };
	uint8_t buf[SCSI_SENSE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		for (uint8_t at = 4; at <= 6; at += 2) {
			size_t len = make_list(2, 3);

			put_be16(segment_at(2, 2) + at, outside[i]);
			assert_refused(len, COPY_ABORTED, ASC_UNREACHABLE_COPY_TARGET);
			assert_true(sense.has_segment && sense.field_in_segment);
			assert_int_equal(sense.segment, 2);
			assert_int_equal(sense.field, at);
		}
	}
	/* SPC-5 4.4.3, 4.4.2.4.5: SKSV and SD, the field pointer; the segment's number */
	scsi_sense_build(&sense, false, buf);
	assert_int_equal(buf[2], COPY_ABORTED);
	assert_int_equal(get_be32(buf + 8), 2);
	assert_int_equal(buf[15], 0x80 | 0x20);
	assert_int_equal(get_be16(buf + 16), 6);
	scsi_sense_build(&sense, true, buf);
	assert_int_equal(buf[7], 12 + 8);
	assert_int_equal(buf[8], 0x01);
	assert_int_equal(buf[9], 0x0a);
	assert_true(get_be64(buf + 12) == 2);
	assert_int_equal(buf[20], 0x02);
	assert_int_equal(buf[24], 0x80 | 0x20);
	assert_int_equal(get_be16(buf + 25), 6);
}

/* Other designators are no error until a segment needs them. */
static void names(void **state)
{
	size_t len;

	(void)state;
	len = make_list(1, 1);
	cscd_at(0)[5] = 0x01;
	assert_int_equal(parse(len), 0);
	assert_false(x.cscd[0].named);
	len = make_list(1, 1);
	cscd_at(0)[4] = 0x02;
	assert_int_equal(parse(len), 0);
	assert_false(x.cscd[0].named);
	len = make_list(1, 1);
	cscd_at(0)[5] = 0x13; /* of the port */
	assert_int_equal(parse(len), 0);
	assert_false(x.cscd[0].named);
	len = make_list(1, 1);
	cscd_at(0)[7] = 8;
	assert_int_equal(parse(len), 0);
	assert_false(x.cscd[0].named);
}

static void repeatable(void **state)
{
	static const struct {
		bool good;
		size_t n;
		struct scsi_xcopy_span span[3];
	} cases[] = {
		{ true, 0, { { 1, 1, 0, 8, 4, 8 } } }, /* not begun */
		{ true, 1, { { 1, 2, 0, 8, 4, 8 } } },
		{ true, 1, { { 1, 1, 0, 8, 8, 8 } } },
		{ true, 1, { { 1, 1, 8, 8, 0, 8 } } },
		{ false, 1, { { 1, 1, 0, 8, 7, 8 } } },
		{ false, 1, { { 1, 1, 7, 8, 0, 8 } } },
		{ true, 1, { { 1, 1, 0, 0, 0, 0 } } },
		/* what one has written the next one reads */
		{ true, 2, { { 1, 1, 0, 8, 8, 8 }, { 1, 1, 8, 8, 16, 8 } } },
		/* and the other way round */
		{ false, 2, { { 1, 1, 0, 8, 8, 8 }, { 1, 1, 16, 8, 0, 8 } } },
		{ false, 2, { { 1, 2, 0, 8, 8, 8 }, { 2, 1, 0, 8, 4, 8 } } },
		{ true, 1, { { 1, 2, 0, 8, 8, 8 }, { 2, 1, 0, 8, 4, 8 } } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(scsi_xcopy_repeatable(cases[i].span, cases[i].n), cases[i].good);
}

/* ---- RECEIVE COPY RESULTS ---- */

static struct scsi_xcopy_result result;
static bool all;

static uint8_t run_status(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf, size_t cap,
			  size_t *len, struct scsi_sense *s)
{
	(void)lu;
	return scsi_xcopy_status(&result, cdb, buf, cap, len, &all, s);
}

static uint8_t run_details(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf, size_t cap,
			   size_t *len, struct scsi_sense *s)
{
	(void)lu;
	return scsi_xcopy_details(&result, cdb, buf, cap, len, &all, s);
}

static void statuses(void **state)
{
	struct scsi_lu lu = plain_lu();
	uint8_t cdb[16] = { RECEIVE_COPY_RESULTS, RCR_SA_COPY_STATUS, 9, [13] = 255 };
	struct answer a;

	(void)state;
	result = (struct scsi_xcopy_result) {
		.list_id = 9, .state = SCSI_XCOPY_DONE, .segments = 0x1234, .bytes = 0x12345678
	};
	run(run_status, &lu, cdb, ROOM, &a);
	assert_int_equal(a.len, 12);
	assert_int_equal(get_be32(a.buf), 8);
	assert_int_equal(a.buf[4], 1);
	assert_int_equal(get_be16(a.buf + 5), 0x1234);
	assert_int_equal(a.buf[7], 0);
	assert_int_equal(get_be32(a.buf + 8), 0x12345678);
	assert_true(all);
	cdb[13] = 11;
	run(run_status, &lu, cdb, ROOM, &a);
	assert_false(all);
	cdb[13] = 12;
	assert_cut_everywhere(run_status, &lu, cdb, 10, 4);
	/* more than 32 bits of bytes: in KiB */
	result.bytes = UINT64_C(5) << 32;
	cdb[13] = 255;
	run(run_status, &lu, cdb, ROOM, &a);
	assert_int_equal(a.buf[7], 1);
	assert_int_equal(get_be32(a.buf + 8), 5u << 22);
}

static void details(void **state)
{
	struct scsi_lu lu = plain_lu();
	uint8_t cdb[16] = { RECEIVE_COPY_RESULTS, RCR_SA_FAILED_SEGMENT_DETAILS, 9, [13] = 255 };
	struct answer a;

	(void)state;
	memset(&result, 0, sizeof(result));
	run(run_details, &lu, cdb, ROOM, &a);
	assert_int_equal(a.len, 4);
	assert_int_equal(get_be32(a.buf), 0);
	result.sense_len = 18;
	result.sense[0] = 0x70;
	result.sense[17] = 0x77;
	run(run_details, &lu, cdb, ROOM, &a);
	assert_int_equal(a.len, 78);
	assert_int_equal(get_be32(a.buf), 74);
	assert_int_equal(a.buf[56], SAM_STAT_CHECK_CONDITION);
	assert_int_equal(get_be16(a.buf + 58), 18);
	assert_int_equal(a.buf[60], 0x70);
	assert_int_equal(a.buf[77], 0x77);
	assert_true(all);
	assert_cut_everywhere(run_details, &lu, cdb, 10, 4);
	/* there is no such copy */
	memset(&a.sense, 0, sizeof(a.sense));
	a.status = scsi_xcopy_details(NULL, cdb, a.buf, ROOM, &a.len, &all, &a.sense);
	assert_invalid_cdb(&a, 2, -1);
	assert_false(all);
	a.status = scsi_xcopy_status(NULL, cdb, a.buf, ROOM, &a.len, &all, &a.sense);
	assert_invalid_cdb(&a, 2, -1);
}

static void parameters(void **state)
{
	struct scsi_lu lu = plain_lu();
	uint8_t cdb[16] = { RECEIVE_COPY_RESULTS, RCR_SA_OPERATING_PARAMETERS, [13] = 255 };
	struct answer a;

	(void)state;
	lu.block_size = 4096;
	run(scsi_xcopy_parameters, &lu, cdb, ROOM, &a);
	assert_int_equal(a.len, 46);
	assert_int_equal(get_be32(a.buf), 42);
	assert_int_equal(a.buf[4], 1);
	assert_int_equal(get_be16(a.buf + 8), SCSI_XCOPY_MAX_CSCD);
	assert_int_equal(get_be16(a.buf + 10), SCSI_XCOPY_MAX_SEGMENTS);
	assert_int_equal(get_be32(a.buf + 12), SCSI_XCOPY_MAX_LIST);
	assert_int_equal(get_be32(a.buf + 16), SCSI_XCOPY_MAX_SEGMENT_LEN);
	assert_int_equal(get_be16(a.buf + 34), SCSI_XCOPY_MAX_CONCURRENT);
	assert_int_equal(a.buf[36], SCSI_XCOPY_MAX_CONCURRENT);
	assert_int_equal(a.buf[37], 12);
	assert_int_equal(a.buf[43], 2);
	assert_int_equal(a.buf[44], 0x02);
	assert_int_equal(a.buf[45], 0xe4);
	assert_cut_everywhere(scsi_xcopy_parameters, &lu, cdb, 10, 4);
}

/* The name of page 83h. */
static void own_name(void **state)
{
	struct scsi_lu lu = plain_lu();
	uint8_t cdb[16] = { INQUIRY, 1, VPD_DEVICE_IDENTIFICATION, [4] = 255 }, naa[SCSI_NAA_SIZE];
	struct answer a;

	(void)state;
	run(scsi_inquiry, &lu, cdb, ROOM, &a);
	assert_true(scsi_lu_naa(&lu, naa));
	assert_int_equal(a.buf[7], SCSI_NAA_SIZE);
	assert_memory_equal(a.buf + 8, naa, sizeof(naa));
	strcpy(lu.serial, "zzz");
	assert_false(scsi_lu_naa(&lu, naa));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_lists), cmocka_unit_test(truncated),
		cmocka_unit_test(nonsense),   cmocka_unit_test(limits),
		cmocka_unit_test(types),      cmocka_unit_test(fields),
		cmocka_unit_test(ends),       cmocka_unit_test(names),
		cmocka_unit_test(repeatable), cmocka_unit_test(statuses),
		cmocka_unit_test(details),    cmocka_unit_test(parameters),
		cmocka_unit_test(own_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
