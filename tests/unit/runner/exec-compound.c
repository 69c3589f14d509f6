/* SPDX-License-Identifier: Apache-2.0 */
/* COMPARE AND WRITE, ORWRITE, WRITE AND VERIFY. */
#include "rig.h"

/* ---- COMPARE AND WRITE ---- */

static void fill(uint8_t *to, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		to[i] = (uint8_t)(i * 31 + i / BLOCK + seed);
}

/* Data-out: n blocks as they are on the medium, then n blocks of something else. */
static void caw_data(uint64_t lba, size_t n)
{
	memcpy(data, medium + lba * BLOCK, n * BLOCK);
	fill(data + n * BLOCK, n * BLOCK, 5);
}

static void caw_writes_what_was_equal(void **state)
{
	static uint8_t want[255 * BLOCK];
	uint8_t before[BLOCK], after[BLOCK];

	(void)state;
	memcpy(before, medium + 9 * BLOCK, BLOCK);
	memcpy(after, medium + 265 * BLOCK, BLOCK);
	caw_data(10, 255);
	memcpy(want, data + 255 * BLOCK, sizeof(want));
	assert_int_equal(run_pieces(caw_cdb(0, 10, 255), 510 * BLOCK, 1000), TCMU_STS_OK);
	assert_string_equal(calls, "rw");
	assert_memory_equal(medium + 10 * BLOCK, want, sizeof(want));
	assert_memory_equal(medium + 9 * BLOCK, before, BLOCK);
	assert_memory_equal(medium + 265 * BLOCK, after, BLOCK);
}

static void caw_of_one_block(void **state)
{
	(void)state;
	caw_data(BLOCKS - 1, 1);
	assert_int_equal(run(caw_cdb(0, BLOCKS - 1, 1), 2 * BLOCK), TCMU_STS_OK);
	fill(data, BLOCK, 5);
	assert_memory_equal(medium + (BLOCKS - 1) * BLOCK, data, BLOCK);
	assert_int_equal(run(caw_cdb(0, 0, 0), 0), TCMU_STS_OK);
	assert_string_equal(calls, "");
	assert_int_equal(run(caw_cdb(0, BLOCKS, 0), 0), TCMU_STS_OK);
}

static void caw_miscompare_says_where(void **state)
{
	static uint8_t before[sizeof(medium)];

	(void)state;
	memcpy(before, medium, sizeof(medium));
	caw_data(10, 4);
	data[3 * BLOCK + 17] ^= 0x80;
	expect_sense(run_pieces(caw_cdb(0, 10, 4), 8 * BLOCK, 300), 0xe, 0x1d, 0);
	assert_int_equal(answer.sense[0] & 0x80, 0x80);
	assert_int_equal(get_be32(answer.sense + 3), 3 * BLOCK + 17);
	assert_string_equal(calls, "r");
	assert_memory_equal(medium, before, sizeof(medium));
}

static void caw_refusals(void **state)
{
	static uint8_t before[sizeof(medium)];

	(void)state;
	memcpy(before, medium, sizeof(medium));
	caw_data(0, 4);
	expect_bad_field(run(caw_cdb(0, 0, 1), 4 * BLOCK), 13); /* more data than announced */
	expect_bad_field(run(caw_cdb(0, 0, 3), 4 * BLOCK), 13); /* less */
	expect_bad_field(run(caw_cdb(0, 0, 2), 4 * BLOCK - 1), 13);
	expect_bad_field(run(caw_cdb(0, 0, 1), 0), 13);
	/* The one byte is too small for 256, and GOOD would say that they were compared. */
	expect_bad_field(run(caw_cdb(0, 0, 0), 512 * BLOCK), 13);
	expect_sense(run(caw_cdb(0, BLOCKS - 1, 2), 4 * BLOCK), 5, 0x21, 0);
	expect_sense(run(caw_cdb(0x20, 0, 2), 4 * BLOCK), 5, 0x24, 0); /* WRPROTECT */
	dev.max_xfer_len = 3;
	expect_bad_field(run(caw_cdb(0, 0, 4), 8 * BLOCK), 13);
	dev.max_xfer_len = 1024;
	dev.write_protect = true;
	expect_sense(run(caw_cdb(0, 0, 2), 4 * BLOCK), 7, 0x27, 0);
	assert_string_equal(calls, "");
	dev.write_protect = false;
	bad_byte = BLOCK + 1;
	expect_sense(run(caw_cdb(0, 0, 2), 4 * BLOCK), 3, 0x11, 0);
	assert_int_equal(get_be32(answer.sense + 3), 1);
	assert_memory_equal(medium, before, sizeof(medium));
}

/* More than the bounce buffer holds. */
static void caw_is_limited_by_the_block_size(void **state)
{
	(void)state;
	dev.block_size = 4096;
	dev.num_lbas = sizeof(medium) / 4096;
	memcpy(data, medium, 65 * 4096);
	assert_int_equal(runner_caw_max(&rdev), 64);
	assert_int_equal(run(caw_cdb(0, 0, 64), 128 * 4096), TCMU_STS_OK);
	expect_bad_field(run(caw_cdb(0, 0, 65), 130 * 4096), 13);
}

static void caw_is_durable_with_fua_and_without_cache(void **state)
{
	(void)state;
	caw_data(3, 1);
	assert_int_equal(run(caw_cdb(8, 3, 1), 2 * BLOCK), TCMU_STS_OK);
	assert_string_equal(calls, "rwf");
	caw_data(3, 1);
	dev.write_cache = false;
	assert_int_equal(run(caw_cdb(0, 3, 1), 2 * BLOCK), TCMU_STS_OK);
	assert_string_equal(calls, "rwf");
	handler.flags = TCMUR_HANDLER_FUA;
	caw_data(3, 1);
	assert_int_equal(run(caw_cdb(8, 3, 1), 2 * BLOCK), TCMU_STS_OK);
	assert_string_equal(calls, "rw");
}

static void caw_by_the_handler(void **state)
{
	(void)state;
	handler.caw = mem_caw;
	fill(data, 2 * BLOCK, 9);
	assert_int_equal(run_pieces(caw_cdb(0, 3, 1), 2 * BLOCK, 100), TCMU_STS_OK);
	assert_string_equal(calls, "c");
	fill(data, 2 * BLOCK, 9);
	assert_memory_equal(medium + 3 * BLOCK, data + BLOCK, BLOCK);

	bad_byte = 3 * BLOCK + 99;
	expect_sense(run(caw_cdb(0, 3, 1), 2 * BLOCK), 0xe, 0x1d, 0);
	assert_int_equal(get_be32(answer.sense + 3), 99);
	bad_byte = BLOCK; /* not even in the range: no offset, rather than a wrong one */
	expect_sense(run(caw_cdb(8, 3, 1), 2 * BLOCK), 0xe, 0x1d, 0);
	assert_int_equal(answer.sense[0] & 0x80, 0);
	assert_string_equal(calls, "c");
	bad_byte = UINT64_MAX;

	assert_int_equal(run(caw_cdb(8, 3, 1), 2 * BLOCK), TCMU_STS_OK);
	assert_string_equal(calls, "cf");
	/* It is the flush that was declined, not the whole. */
	flush_sts = TCMU_STS_NOT_HANDLED;
	expect_sense(run(caw_cdb(8, 3, 1), 2 * BLOCK), 3, 0x0c, 0);
	assert_string_equal(calls, "cf");
	flush_sts = TCMU_STS_OK;
	caw_sts = TCMU_STS_NOT_HANDLED;
	caw_data(3, 1);
	assert_int_equal(run(caw_cdb(8, 3, 1), 2 * BLOCK), TCMU_STS_OK);
	assert_string_equal(calls, "crwf");
	fill(data, BLOCK, 5);
	assert_memory_equal(medium + 3 * BLOCK, data, BLOCK);
}

/* The second half of what caw_data() makes is there, or is what the medium had. */
static void expect_block(uint64_t lba, unsigned int seed)
{
	uint8_t want[BLOCK];

	fill(want, BLOCK, seed);
	assert_memory_equal(medium + lba * BLOCK, want, BLOCK);
}

/* Killed after it has compared, before, while or after it wrote: the one thing left to do is to write. */
static void caw_goes_on_after_a_death(void **state)
{
	uint32_t mark;

	(void)state;
	caw_data(10, 1);
	assert_int_equal(run(caw_cdb(0, 10, 1), 2 * BLOCK), TCMU_STS_OK);
	assert_int_equal(calls_at_mark, 1); /* "r", and nothing is written yet */
	mark = mark_set;
	assert_true(mark);
	expect_block(10, 5);

	mark_found = mark;
	assert_int_equal(run(caw_cdb(0, 10, 1), 2 * BLOCK), TCMU_STS_OK); /* written already */
	assert_string_equal(calls, "w");
	expect_block(10, 5);
	fill(medium + 10 * BLOCK, BLOCK / 2, 77); /* in part */
	assert_int_equal(run(caw_cdb(0, 10, 1), 2 * BLOCK), TCMU_STS_OK);
	expect_block(10, 5);

	mark_found = 0; /* one that had not begun compares */
	expect_sense(run(caw_cdb(0, 10, 1), 2 * BLOCK), 0xe, 0x1d, 0);
	assert_string_equal(calls, "r");
	assert_int_equal(mark_set, 0);
}

/* The handler has done both or nothing. */
static void caw_of_the_handler_after_a_death(void **state)
{
	uint32_t mark;

	(void)state;
	handler.caw = mem_caw;
	caw_data(10, 1);
	assert_int_equal(run(caw_cdb(0, 10, 1), 2 * BLOCK), TCMU_STS_OK);
	assert_int_equal(calls_at_mark, 0);
	mark = mark_set;
	assert_true(mark);

	mark_found = mark;
	assert_int_equal(run(caw_cdb(0, 10, 1), 2 * BLOCK), TCMU_STS_OK);
	assert_string_equal(calls, "r");
	assert_int_equal(run(caw_cdb(8, 10, 1), 2 * BLOCK), TCMU_STS_OK); /* FUA */
	assert_string_equal(calls, "rf");
	fill(medium + 10 * BLOCK, BLOCK, 77);
	assert_int_equal(run(caw_cdb(0, 10, 1), 2 * BLOCK), TCMU_STS_OK);
	assert_string_equal(calls, "rc");
	expect_block(10, 5);
	read_sts = TCMU_STS_RD_ERR;
	expect_sense(run(caw_cdb(0, 10, 1), 2 * BLOCK), 3, 0x11, 0);
	read_sts = TCMU_STS_OK;
	mark_found = 0;
	/* One that declines has written nothing: then only a comparison counts. */
	caw_sts = TCMU_STS_NOT_HANDLED;
	expect_sense(run(caw_cdb(0, 10, 1), 2 * BLOCK), 0xe, 0x1d, 0);
	assert_string_equal(calls, "cr");
	assert_int_equal(mark_set, 0);
	caw_sts = TCMU_STS_OK;
	handler.caw = NULL;
}

/* ---- ORWRITE ---- */

static void orwrite_sets_bits(void **state)
{
	static uint8_t want[sizeof(medium)];

	(void)state;
	memcpy(want, medium, sizeof(want));
	fill(data, 1024 * BLOCK, 77);
	for (size_t i = 0; i < 1024 * BLOCK; i++)
		want[9 * BLOCK + i] |= data[i];
	assert_int_equal(run_pieces(cdb16(ORWRITE, 0, 9, 1024), 1024 * BLOCK, 1100), TCMU_STS_OK);
	assert_string_equal(calls, "rwrw"); /* 512 KiB by 256 KiB */
	assert_memory_equal(medium, want, sizeof(want));

	assert_int_equal(run(cdb16(ORWRITE, 8, 9, 1), BLOCK), TCMU_STS_OK);
	assert_string_equal(calls, "rwf");
	dev.write_cache = false;
	assert_int_equal(run(cdb16(ORWRITE, 0, 9, 1), BLOCK), TCMU_STS_OK);
	assert_string_equal(calls, "rwf");
	assert_int_equal(run(cdb16(ORWRITE, 0, 9, 0), 0), TCMU_STS_OK);
	assert_int_equal(run(cdb16(ORWRITE, 0, BLOCKS, 0), 0), TCMU_STS_OK);
}

static void orwrite_refusals(void **state)
{
	static uint8_t before[sizeof(medium)];

	(void)state;
	memcpy(before, medium, sizeof(medium));
	expect_bad_field(run(cdb16(ORWRITE, 0, 0, 2), BLOCK), 10);
	expect_bad_field(run(cdb16(ORWRITE, 0, 0, 1025), 1025 * BLOCK), 10);
	expect_sense(run(cdb16(ORWRITE, 0, BLOCKS - 1, 2), 2 * BLOCK), 5, 0x21, 0);
	expect_sense(run(cdb16(ORWRITE, 0x20, 0, 1), BLOCK), 5, 0x24, 0); /* ORPROTECT */
	assert_string_equal(calls, "");
	bad_byte = 0;
	expect_sense(run(cdb16(ORWRITE, 0, 0, 2), 2 * BLOCK), 3, 0x11, 0);
	assert_memory_equal(medium, before, sizeof(medium));
}

/* ---- WRITE AND VERIFY ---- */

static void write_verify_writes_flushes_reads(void **state)
{
	const uint8_t *cdbs[3];
	uint8_t copies[3][16];

	(void)state;
	memcpy(copies[0], cdb10(WAV10, 0, 5, 600), 16);
	memcpy(copies[1], cdb12(WAV12, 2, 5, 600), 16);
	memcpy(copies[2], cdb16(WAV16, 2, 5, 600), 16);
	for (unsigned int i = 0; i < 3; i++) {
		cdbs[i] = copies[i];
		fill(data, 600 * BLOCK, i);
		assert_int_equal(run_pieces(cdbs[i], 600 * BLOCK, 900), TCMU_STS_OK);
		assert_string_equal(calls, "wwfrr");
		fill(data, 600 * BLOCK, i);
		assert_memory_equal(medium + 5 * BLOCK, data, 600 * BLOCK);
	}
	dev.write_cache = false;
	assert_int_equal(run(cdb10(WAV10, 0, 5, 600), 600 * BLOCK), TCMU_STS_OK);
	assert_string_equal(calls, "wwfrr"); /* once */
	assert_int_equal(run(cdb10(WAV10, 2, 5, 0), 0), TCMU_STS_OK);
}

/* A medium that does not keep what is written: it reads something else. */
static int forgetful_write(struct tcmu_device *d, struct tcmur_cmd *cmd, struct iovec *iov,
			   size_t iov_cnt, size_t len, off_t off)
{
	(void)d, (void)cmd;
	tcmu_memcpy_from_iovec(medium + off, len, iov, iov_cnt);
	medium[(size_t)off + len - 7] ^= 1;
	return TCMU_STS_OK;
}

static void write_verify_finds_what_is_wrong(void **state)
{
	(void)state;
	handler.write = forgetful_write;
	expect_sense(run(cdb10(WAV10, 2, 5, 600), 600 * BLOCK), 0xe, 0x1d, 0);
	assert_int_equal(get_be32(answer.sense + 3), RUNNER_BOUNCE_SIZE - 7);
	assert_int_equal(run(cdb10(WAV10, 0, 5, 600), 600 * BLOCK), TCMU_STS_OK); /* readable */
	bad_byte = 6 * BLOCK;
	expect_sense(run(cdb10(WAV10, 0, 5, 2), 2 * BLOCK), 3, 0x11, 0);
	assert_int_equal(get_be32(answer.sense + 3), 6);
	flush_sts = TCMU_STS_WR_ERR;
	expect_sense(run(cdb10(WAV10, 0, 9, 2), 2 * BLOCK), 3, 0x0c, 0);
}

static void write_verify_refusals(void **state)
{
	(void)state;
	expect_bad_field(run(cdb10(WAV10, 0, 0, 2), BLOCK), 7);
	expect_bad_field(run(cdb12(WAV12, 0, 0, 2), BLOCK), 6);
	expect_bad_field(run(cdb16(WAV16, 0, 0, 2000), 2000 * BLOCK), 10);
	expect_sense(run(cdb10(WAV10, 4, 0, 1), BLOCK), 5, 0x24, 0); /* BYTCHK 10b */
	expect_sense(run(cdb10(WAV10, 0, BLOCKS, 1), BLOCK), 5, 0x21, 0);
	dev.write_protect = true;
	expect_sense(run(cdb10(WAV10, 0, 0, 1), BLOCK), 7, 0x27, 0);
	assert_string_equal(calls, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(caw_writes_what_was_equal),
		T(caw_of_one_block),
		T(caw_miscompare_says_where),
		T(caw_refusals),
		T(caw_is_limited_by_the_block_size),
		T(caw_is_durable_with_fua_and_without_cache),
		T(caw_by_the_handler),
		T(caw_goes_on_after_a_death),
		T(caw_of_the_handler_after_a_death),
		T(orwrite_sets_bits),
		T(orwrite_refusals),
		T(write_verify_writes_flushes_reads),
		T(write_verify_finds_what_is_wrong),
		T(write_verify_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
