/* SPDX-License-Identifier: Apache-2.0 */
/* UNMAP, WRITE SAME and VERIFY (SBC-4 5.35, 5.50, 5.36). */
#include "scsi.h"

#include <sys/stat.h>

static void write_blocks(uint16_t lba, uint8_t n, uint8_t fill)
{
	const struct scsi_case c = { "WRITE(10)",
				     EXPECT_GOOD,
				     FAKE_OUT,
				     (size_t)n * 512,
				     { 0x2a, 0, 0, 0, (uint8_t)(lba >> 8), (uint8_t)lba, 0, 0, n },
				     fill };

	scsi_do(scsi_dev(), &c, NULL);
}

/* Do n blocks from lba hold only this byte? */
static bool blocks_are(uint16_t lba, uint8_t n, uint8_t fill)
{
	const struct scsi_case c = { "READ(10)",
				     EXPECT_GOOD,
				     FAKE_IN,
				     (size_t)n * 512,
				     { 0x28, 0, 0, 0, (uint8_t)(lba >> 8), (uint8_t)lba, 0, 0, n },
				     0 };
	static uint8_t buf[256 * 512];

	scsi_do(scsi_dev(), &c, buf);
	for (size_t i = 0; i < (size_t)n * 512; i++)
		if (buf[i] != fill)
			return false;
	return true;
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* The parameter list of UNMAP with these ranges; its length. */
static uint16_t unmap_list(uint8_t *list, const uint16_t (*ranges)[2], int n)
{
	memset(list, 0, 8 + (size_t)n * 16);
	put16(list, 6 + (uint32_t)n * 16);
	put16(list + 2, (uint32_t)n * 16);
	for (int i = 0; i < n; i++) {
		put16(list + 8 + i * 16 + 6, ranges[i][0]);
		put16(list + 8 + i * 16 + 10, ranges[i][1]);
	}
	return (uint16_t)(8 + n * 16);
}

static void unmap_it(enum expect expect, uint8_t *list, uint16_t len, size_t buffer)
{
	struct scsi_case c = {
		"UNMAP", expect, buffer ? FAKE_OUT : FAKE_NONE, buffer, { 0x42 }, 0
	};

	put16(c.cdb + 7, len);
	scsi_do(scsi_dev(), &c, list);
}

static void unmap(void **state)
{
	static const uint16_t two[][2] = { { 1024, 64 }, { 1152, 8 } };
	static const uint16_t none[][2] = { { 1024, 0 } };
	static const uint16_t beyond[][2] = { { 1032, 8 }, { 8191, 2 } };
	uint8_t list[64];
	uint16_t len;

	(void)state;
	write_blocks(1024, 136, 0x77);
	len = unmap_list(list, two, 2);
	unmap_it(EXPECT_GOOD, list, len, len);
	assert_true(blocks_are(1024, 64, 0));
	assert_true(blocks_are(1088, 64, 0x77));
	assert_true(blocks_are(1152, 8, 0));
	write_blocks(1024, 16, 0x78);
	len = unmap_list(list, beyond, 2);
	unmap_it(EXPECT_LBA_OOB, list, len, len);
	assert_true(blocks_are(1024, 16, 0x78)); /* all or nothing */
	len = unmap_list(list, none, 1);
	unmap_it(EXPECT_GOOD, list, len, len);
	assert_true(blocks_are(1024, 1, 0x78));
	unmap_it(EXPECT_GOOD, NULL, 0, 0);
	len = unmap_list(list, two, 2);
	unmap_it(EXPECT_PARAM_LEN, list, 7, 7);    /* not even a header */
	unmap_it(EXPECT_PARAM_LEN, list, len, 24); /* longer than what was sent */
}

/* Several ranges in one file become holes: storage is given back. */
static void unmap_frees(void **state)
{
	static const uint16_t range[][2] = { { 4096, 2048 } };
	uint8_t list[64];
	struct stat before, after;
	uint16_t len = unmap_list(list, range, 1);

	(void)state;
	for (uint16_t lba = 4096; lba < 6144; lba += 128)
		write_blocks(lba, 128, 0x41);
	assert_int_equal(stat(scsi_backing(), &before), 0);
	unmap_it(EXPECT_GOOD, list, len, len);
	assert_int_equal(stat(scsi_backing(), &after), 0);
	assert_true(after.st_blocks <= before.st_blocks - 2048 + 16);
	assert_true(blocks_are(4096, 255, 0));
}

static struct scsi_case ws(uint8_t op, uint8_t flags, uint16_t lba, uint16_t n, uint8_t fill)
{
	struct scsi_case c = { "WRITE SAME", EXPECT_GOOD, FAKE_OUT, 512, { op, flags }, fill };

	put16(c.cdb + (op == 0x93 ? 8 : 4), lba);
	put16(c.cdb + (op == 0x93 ? 12 : 7), n);
	return c;
}

static void write_same(void **state)
{
	struct scsi_case c;
	uint8_t block[512];

	(void)state;
	write_blocks(2000, 64, 0x33);
	c = ws(0x93, 0, 2001, 30, 0x44);
	scsi_do(scsi_dev(), &c, NULL);
	assert_true(blocks_are(2000, 1, 0x33));
	assert_true(blocks_are(2001, 30, 0x44));
	assert_true(blocks_are(2031, 33, 0x33));
	c = ws(0x41, 0, 2031, 8, 0x55);
	scsi_do(scsi_dev(), &c, NULL);
	assert_true(blocks_are(2031, 8, 0x55));
	c = ws(0x93, 8, 2001, 30, 0); /* UNMAP, zeros */
	scsi_do(scsi_dev(), &c, NULL);
	assert_true(blocks_are(2001, 30, 0));
	c = ws(0x93, 8, 2001, 30, 0x66); /* UNMAP, but no zeros: written all the same */
	scsi_do(scsi_dev(), &c, NULL);
	assert_true(blocks_are(2001, 30, 0x66));
	c = ws(0x93, 1, 2001, 10, 0); /* NDOB */
	c.dir = FAKE_NONE;
	c.len = 0;
	scsi_do(scsi_dev(), &c, NULL);
	assert_true(blocks_are(2001, 10, 0));
	for (int i = 0; i < 512; i++)
		block[i] = (uint8_t)(i * 3);
	c = ws(0x93, 0, 3000, 1000, 0);
	scsi_do(scsi_dev(), &c, block);
	for (uint16_t lba = 3000; lba < 4000; lba += 111) {
		const struct scsi_case rd = { "READ(10)",
					      EXPECT_GOOD,
					      FAKE_IN,
					      512,
					      { 0x28, 0, 0, 0, (uint8_t)(lba >> 8), (uint8_t)lba, 0,
						0, 1 },
					      0 };
		uint8_t buf[512];

		scsi_do(scsi_dev(), &rd, buf);
		assert_memory_equal(buf, block, 512);
	}
	c = ws(0x93, 0, 8100, 0, 0x12); /* to the end: WSNZ is 0 */
	scsi_do(scsi_dev(), &c, NULL);
	assert_true(blocks_are(8100, 92, 0x12));
}

static void write_same_bad(void **state)
{
	struct scsi_case c;

	(void)state;
	c = ws(0x93, 0, 8191, 2, 0);
	c.expect = EXPECT_LBA_OOB;
	scsi_do(scsi_dev(), &c, NULL);
	c = ws(0x41, 0, 8192, 1, 0);
	c.expect = EXPECT_LBA_OOB;
	scsi_do(scsi_dev(), &c, NULL);
	c = ws(0x93, 0x10, 0, 1, 0); /* ANCHOR */
	c.expect = EXPECT_INVALID_FIELD;
	scsi_do(scsi_dev(), &c, NULL);
	c = ws(0x93, 0x20, 0, 1, 0); /* WRPROTECT */
	c.expect = EXPECT_INVALID_FIELD;
	scsi_do(scsi_dev(), &c, NULL);
	c = ws(0x93, 0, 0, 1, 0); /* less than a block */
	c.len = 256;
	c.expect = EXPECT_INVALID_FIELD;
	scsi_do(scsi_dev(), &c, NULL);
	c = ws(0x93, 0, 0, 1, 0);
	c.dir = FAKE_NONE;
	c.len = 0;
	c.expect = EXPECT_INVALID_FIELD;
	scsi_do(scsi_dev(), &c, NULL);
}

static struct scsi_case verify_case(uint8_t op, uint8_t bytchk, uint16_t lba, uint16_t n,
				    size_t len, uint8_t fill)
{
	struct scsi_case c = { "VERIFY",
			       EXPECT_GOOD,
			       len ? FAKE_OUT : FAKE_NONE,
			       len,
			       { op, (uint8_t)(bytchk << 1) },
			       fill };

	put16(c.cdb + (op == 0x8f ? 8 : 4), lba);
	put16(c.cdb + (op == 0x8f ? 12 : 7), n);
	return c;
}

static void verify(void **state)
{
	uint8_t data[16 * 512];
	struct fake_cmd *cmd;
	struct scsi_case c;
	uint64_t info;

	(void)state;
	write_blocks(500, 16, 0x21);
	c = verify_case(0x2f, 0, 500, 16, 0, 0);
	scsi_do(scsi_dev(), &c, NULL);
	c = verify_case(0x2f, 1, 500, 16, 16 * 512, 0x21);
	scsi_do(scsi_dev(), &c, NULL);
	c = verify_case(0x8f, 1, 500, 16, 16 * 512, 0x21);
	scsi_do(scsi_dev(), &c, NULL);
	c = verify_case(0x2f, 3, 500, 16, 512, 0x21);
	scsi_do(scsi_dev(), &c, NULL);
	c.expect = EXPECT_MISCOMPARE;
	c.fill = 0x22;
	scsi_do(scsi_dev(), &c, NULL);
	memset(data, 0x21, sizeof(data));
	data[5000] ^= 1;
	c = verify_case(0x2f, 1, 500, 16, 16 * 512, 0);
	c.expect = EXPECT_MISCOMPARE;
	cmd = scsi_do(scsi_dev(), &c, data);
	assert_true(scsi_sense_info(cmd, &info));
	assert_int_equal(info, 5000);
	c = verify_case(0x2f, 2, 500, 1, 512, 0);
	c.expect = EXPECT_INVALID_FIELD;
	scsi_do(scsi_dev(), &c, NULL);
	c = verify_case(0x2f, 0, 8191, 2, 0, 0);
	c.expect = EXPECT_LBA_OOB;
	scsi_do(scsi_dev(), &c, NULL);
	c = verify_case(0x2f, 0, 8191, 0, 0, 0);
	scsi_do(scsi_dev(), &c, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unmap),      cmocka_unit_test(unmap_frees),
		cmocka_unit_test(write_same), cmocka_unit_test(write_same_bad),
		cmocka_unit_test(verify),
	};

	return cmocka_run_group_tests(tests, scsi_setup, scsi_teardown) + scsi_failures();
}
