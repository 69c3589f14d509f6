/* SPDX-License-Identifier: Apache-2.0 */
/* UNMAP, WRITE SAME, GET LBA STATUS. */
#include "rig.h"
#include "scsi/inquiry.h"

/* ---- UNMAP ---- */

static const uint8_t *unmap_cdb(uint8_t byte1, uint16_t len)
{
	return cdb10(UNMAP10, byte1, 0, len);
}

static size_t unmap_list(unsigned int n, uint64_t lba, uint32_t blocks, uint64_t step)
{
	memset(data, 0, 8 + 16 * n);
	put_be16(data, (uint16_t)(6 + 16 * n));
	put_be16(data + 2, (uint16_t)(16 * n));
	for (unsigned int i = 0; i < n; i++) {
		put_be64(data + 8 + 16 * i, lba + i * step);
		put_be32(data + 8 + 16 * i + 8, blocks);
	}
	return 8 + 16 * n;
}

static void unmap_runs_the_list(void **state)
{
	size_t len = unmap_list(3, 10, 2, 100);

	(void)state;
	assert_int_equal(run(unmap_cdb(0, (uint16_t)len), len), TCMU_STS_OK);
	assert_string_equal(calls, "uuu");
	assert_true(is_zero(10, 2) && is_zero(110, 2) && is_zero(210, 2));
	assert_false(is_zero(12, 1));

	/* Scattered. */
	len = unmap_list(3, 20, 2, 100);
	assert_int_equal(run_pieces(unmap_cdb(0, (uint16_t)len), len, 5), TCMU_STS_OK);
	assert_true(is_zero(20, 2) && is_zero(120, 2) && is_zero(220, 2));
	assert_int_equal(run(unmap_cdb(0, 0), 0), TCMU_STS_OK);
	assert_string_equal(calls, "");
}

static void unmap_joins_neighbours(void **state)
{
	size_t len = unmap_list(5, 10, 2, 2);

	(void)state;
	assert_int_equal(run_pieces(unmap_cdb(0, (uint16_t)len), len, 9), TCMU_STS_OK);
	assert_string_equal(calls, "u");
	assert_true(is_zero(10, 10));
	assert_false(is_zero(9, 1));
	assert_false(is_zero(20, 1));

	/* Not over a gap, and one without blocks is none. */
	len = unmap_list(5, 30, 2, 2);
	put_be32(data + 8 + 16 * 1 + 8, 0);
	put_be64(data + 8 + 16 * 3, 100);
	assert_int_equal(run(unmap_cdb(0, (uint16_t)len), len), TCMU_STS_OK);
	assert_string_equal(calls, "uuuu");
	assert_true(is_zero(30, 2) && is_zero(34, 2) && is_zero(100, 2) && is_zero(38, 2));
	assert_false(is_zero(32, 1));
	assert_false(is_zero(36, 1));
}

static void unmap_is_a_hint_but_errors_count(void **state)
{
	size_t len = unmap_list(3, 10, 2, 100);

	(void)state;
	unmap_sts = TCMU_STS_NOT_HANDLED;
	assert_int_equal(run(unmap_cdb(0, (uint16_t)len), len), TCMU_STS_OK);
	assert_string_equal(calls, "uuu");
	unmap_sts = TCMU_STS_WR_ERR;
	expect_sense(run_pieces(unmap_cdb(0, (uint16_t)len), len, 9), 3, 0x0c, 0);
	assert_string_equal(calls, "u");
}

static void unmap_refusals(void **state)
{
	size_t len = unmap_list(2, BLOCKS - 1, 1, 1);

	(void)state;
	expect_sense(run(unmap_cdb(0, (uint16_t)len), len), 5, 0x21, 0);
	expect_sense(run_pieces(unmap_cdb(0, (uint16_t)len), len, 7), 5, 0x21, 0);
	expect_sense(run(unmap_cdb(1, (uint16_t)len), len), 5, 0x24, 0);     /* ANCHOR */
	expect_sense(run(unmap_cdb(0, (uint16_t)len), len - 1), 5, 0x1a, 0); /* short data */
	expect_sense(run(unmap_cdb(0, 7), 7), 5, 0x1a, 0);
	len = unmap_list(1, 0, 2049, 0);
	expect_sense(run(unmap_cdb(0, (uint16_t)len), len), 5, 0x26, 0);
	dev.unmap = false;
	expect_sense(run(unmap_cdb(0, (uint16_t)len), len), 5, 0x20, 0);
	assert_string_equal(calls, "");
}

static void unmap_without_cache_is_flushed(void **state)
{
	size_t len = unmap_list(1, 0, 1, 0);

	(void)state;
	dev.write_cache = false;
	assert_int_equal(run(unmap_cdb(0, (uint16_t)len), len), TCMU_STS_OK);
	assert_string_equal(calls, "uf");
}

/* ---- WRITE SAME ---- */

static void expect_pattern(uint64_t lba, uint64_t blocks, const uint8_t *block)
{
	for (uint64_t i = 0; i < blocks; i++)
		assert_memory_equal(medium + (lba + i) * BLOCK, block, BLOCK);
}

static void fill_data(void)
{
	for (unsigned int i = 0; i < BLOCK; i++)
		data[i] = (uint8_t)(i * 7 + 1);
}

static void write_same_by_the_handler(void **state)
{
	(void)state;
	fill_data();
	assert_int_equal(run(cdb10(WSAME10, 0, 5, 1000), BLOCK), TCMU_STS_OK);
	assert_string_equal(calls, "s");
	expect_pattern(5, 1000, data);
}

static void write_same_by_writes(void **state)
{
	uint8_t guard[BLOCK];

	(void)state;
	fill_data();
	memcpy(guard, medium + 1005 * BLOCK, BLOCK);
	writesame_sts = TCMU_STS_NOT_HANDLED;
	assert_int_equal(run_pieces(cdb10(WSAME10, 0, 5, 1000), BLOCK, 256), TCMU_STS_OK);
	assert_string_equal(calls, "sww");
	expect_pattern(5, 1000, data);
	assert_memory_equal(medium + 1005 * BLOCK, guard, BLOCK);

	/* More pieces than there are copies for. */
	data[0] ^= 0xff;
	assert_int_equal(run_pieces(cdb10(WSAME10, 0, 0, 1), BLOCK, 100), TCMU_STS_OK);
	assert_string_equal(calls, "w");
	expect_pattern(0, 1, data);

	handler.writesame = NULL;
	dev.write_cache = false;
	assert_int_equal(run(cdb10(WSAME10, 0, 9, 3), BLOCK), TCMU_STS_OK);
	assert_string_equal(calls, "wf");
	expect_pattern(9, 3, data);
}

static void write_same_unmaps_zeros_only(void **state)
{
	(void)state;
	fill_data();
	assert_int_equal(run(cdb10(WSAME10, 8, 5, 10), BLOCK), TCMU_STS_OK);
	assert_string_equal(calls, "s");
	expect_pattern(5, 10, data);

	memset(data, 0, BLOCK);
	assert_int_equal(run(cdb10(WSAME10, 8, 5, 10), BLOCK), TCMU_STS_OK);
	assert_string_equal(calls, "u");
	assert_true(is_zero(5, 10));
	assert_int_equal(run(cdb10(WSAME10, 0, 5, 10), BLOCK), TCMU_STS_OK);
	assert_string_equal(calls, "s");

	dev.unmap_zeroes = false;
	assert_int_equal(run(cdb10(WSAME10, 8, 5, 10), BLOCK), TCMU_STS_OK);
	assert_string_equal(calls, "s");
	dev.unmap_zeroes = true;
	unmap_sts = writesame_sts = TCMU_STS_NOT_HANDLED;
	assert_int_equal(run(cdb10(WSAME10, 8, 50, 10), BLOCK), TCMU_STS_OK);
	assert_string_equal(calls, "usw");
	assert_true(is_zero(50, 10));
}

static void write_same_ndob(void **state)
{
	(void)state;
	assert_int_equal(run(cdb16(WSAME16, 1, 5, 10), 0), TCMU_STS_OK);
	assert_string_equal(calls, "s");
	assert_true(is_zero(5, 10));
	assert_int_equal(run(cdb16(WSAME16, 9, 25, 10), 0), TCMU_STS_OK);
	assert_string_equal(calls, "u");
	assert_true(is_zero(25, 10));
	writesame_sts = TCMU_STS_NOT_HANDLED;
	assert_int_equal(run(cdb16(WSAME16, 1, 45, 10), 0), TCMU_STS_OK);
	assert_string_equal(calls, "sw");
	assert_true(is_zero(45, 10));
	/* With NDOB a block that is sent all the same is not looked at. */
	fill_data();
	assert_int_equal(run(cdb16(WSAME16, 1, 65, 10), BLOCK), TCMU_STS_OK);
	assert_true(is_zero(65, 10));
}

/* WSNZ is 0: all that follow, and nobody else writes there meanwhile; and 1 where that may be too many. */
static void write_same_of_no_blocks(void **state)
{
	(void)state;
	fill_data();
	assert_int_equal(run(cdb10(WSAME10, 0, BLOCKS - 3, 0), BLOCK), TCMU_STS_OK);
	expect_pattern(BLOCKS - 3, 3, data);
	assert_string_equal(calls, "s");
	assert_int_equal(run(cdb16(WSAME16, 8, BLOCKS, 0), BLOCK), TCMU_STS_OK); /* none */
	assert_string_equal(calls, "");
	dev.num_lbas = SCSI_MAX_WRITE_SAME + 1;
	expect_bad_field(run(cdb10(WSAME10, 0, BLOCKS - 3, 0), BLOCK), 7);
	expect_bad_field(run(cdb16(WSAME16, 8, 0, 0), BLOCK), 10);
	expect_bad_field(run(cdb16(WSAME16, 0, 0, SCSI_MAX_WRITE_SAME + 1), BLOCK), 10);
	assert_string_equal(calls, "");
}

static void write_same_refusals(void **state)
{
	(void)state;
	expect_sense(run(cdb10(WSAME10, 0x10, 0, 1), BLOCK), 5, 0x24, 0); /* ANCHOR */
	expect_sense(run(cdb10(WSAME10, 0, 0, 1), 2 * BLOCK), 5, 0x24, 0);
	expect_sense(run(cdb10(WSAME10, 0, 0, 1), 0), 5, 0x24, 0);
	expect_sense(run(cdb10(WSAME10, 1, 0, 1), 0), 5, 0x24, 0); /* NDOB is in (16) only */
	dev.unmap = false;
	expect_sense(run(cdb10(WSAME10, 8, 0, 1), BLOCK), 5, 0x24, 0);
	assert_string_equal(calls, "");
}

/* ---- GET LBA STATUS ---- */

static const uint8_t *lba_status_cdb(uint64_t lba, uint32_t alloc)
{
	static uint8_t cdb[16];

	memcpy(cdb, cdb16(0x9e, 0x12, lba, alloc), sizeof(cdb));
	return cdb;
}

struct descriptor {
	uint64_t lba;
	uint32_t blocks;
	uint8_t status;
};

static void expect_descriptors(size_t n, const struct descriptor *want)
{
	assert_int_equal(get_be32(data), 4 + 16 * n);
	assert_int_equal(answer.read_len, 8 + 16 * n);
	for (size_t i = 0; i < n; i++) {
		const uint8_t *d = data + 8 + 16 * i;

		assert_int_equal(get_be64(d), want[i].lba);
		assert_int_equal(get_be32(d + 8), want[i].blocks);
		assert_int_equal(d[12], want[i].status);
		assert_int_equal(get_be32(d + 12) & 0xffffff, 0);
	}
}

static void lba_status_rounds_to_whole_blocks(void **state)
{
	static const struct descriptor want[] = {
		{ 100, 3, 1 }, { 103, 2, 0 }, { 105, 5, 1 }, { 110, 1, 0 }
	};

	(void)state;
	extents[0] = (struct tcmur_extent) { BLOCK + 100, true };
	extents[1] = (struct tcmur_extent) { 2 * BLOCK, true };
	extents[2] = (struct tcmur_extent) { BLOCK, false }; /* ends in the middle of 104 */
	extents[3] = (struct tcmur_extent) { 6 * BLOCK, true };
	extents[4] = (struct tcmur_extent) { 10, false };
	extents[5] = (struct tcmur_extent) { 10, true };
	extents[6] = (struct tcmur_extent) { 10, false };
	assert_int_equal(run(lba_status_cdb(100, 4096), 4096), TCMU_STS_OK);
	expect_descriptors(4, want);
	assert_string_equal(calls, "l");
	assert_int_equal(asked_off, 100 * BLOCK);
	assert_int_equal(asked_len, (BLOCKS - 100) * BLOCK);
	assert_int_equal(asked_max, 255);
}

static void lba_status_is_cut(void **state)
{
	static const struct descriptor to_the_end[] = { { BLOCKS - 2, 2, 1 } };
	static const struct descriptor two[] = { { 0, 4, 1 }, { 4, 4, 0 } };

	(void)state;
	extents[0] = (struct tcmur_extent) { UINT64_MAX, true }; /* far beyond the end */
	assert_int_equal(run(lba_status_cdb(BLOCKS - 2, 4096), 4096), TCMU_STS_OK);
	expect_descriptors(1, to_the_end);

	for (size_t i = 0; i < 8; i++)
		extents[i] = (struct tcmur_extent) { 4 * BLOCK, !(i % 2) };
	assert_int_equal(run(lba_status_cdb(0, 8 + 2 * 16 + 15), 4096), TCMU_STS_OK);
	expect_descriptors(2, two);
	assert_int_equal(asked_max, 2);
	/* The initiator's buffer counts as well. */
	assert_int_equal(run(lba_status_cdb(0, 4096), 8 + 2 * 16), TCMU_STS_OK);
	assert_int_equal(get_be32(data), 4 + 32);

	/* Less than one descriptor: its beginning, with the length of the whole. */
	memset(data, 0xee, 64);
	assert_int_equal(run(lba_status_cdb(0, 20), 64), TCMU_STS_OK);
	assert_int_equal(answer.read_len, 20);
	assert_int_equal(get_be32(data), 4 + 16);
	assert_int_equal(data[20], 0xee);
	assert_int_equal(run(lba_status_cdb(0, 3), 64), TCMU_STS_OK);
	assert_int_equal(answer.read_len, 3);
	assert_int_equal(run(lba_status_cdb(0, 0), 0), TCMU_STS_OK);
}

static void lba_status_unknown_is_mapped(void **state)
{
	static const struct descriptor all[] = { { 7, BLOCKS - 7, 0 } };
	static const struct descriptor one[] = { { 7, 1, 0 } };

	(void)state;
	lba_status_sts = TCMU_STS_NOT_HANDLED;
	extents[0] = (struct tcmur_extent) { 4096, true };
	assert_int_equal(run(lba_status_cdb(7, 64), 64), TCMU_STS_OK);
	expect_descriptors(1, all);
	lba_status_sts = TCMU_STS_OK;
	extents[0].len = 0; /* no extent at all */
	assert_int_equal(run(lba_status_cdb(7, 64), 64), TCMU_STS_OK);
	expect_descriptors(1, all);
	extents[0] = (struct tcmur_extent) { BLOCK - 1, true }; /* of block 7 not all is known */
	assert_int_equal(run(lba_status_cdb(7, 64), 64), TCMU_STS_OK);
	expect_descriptors(1, one);

	extents[0] = (struct tcmur_extent) { 4096, true };
	handler.lba_status = NULL;
	assert_int_equal(run(lba_status_cdb(7, 64), 64), TCMU_STS_OK);
	expect_descriptors(1, all);
	handler.lba_status = NULL;
	dev.unmap = false; /* fully provisioned */
	assert_int_equal(run(lba_status_cdb(7, 64), 64), TCMU_STS_OK);
	expect_descriptors(1, all);
	assert_string_equal(calls, "");
}

static void lba_status_of_a_large_medium(void **state)
{
	static const struct descriptor want[] = { { 0, UINT32_MAX, 1 },
						  { UINT32_MAX, UINT32_MAX, 1 },
						  { UINT64_C(0x1fffffffe), 2, 1 } };

	(void)state;
	dev.num_lbas = UINT64_C(0x200000000);
	extents[0] = (struct tcmur_extent) { UINT64_MAX, true };
	assert_int_equal(run(lba_status_cdb(0, 4096), 4096), TCMU_STS_OK);
	expect_descriptors(3, want);
	assert_int_equal(run(lba_status_cdb(0, 24), 24), TCMU_STS_OK);
	assert_int_equal(get_be32(data + 16), UINT32_MAX);
}

static void lba_status_refusals(void **state)
{
	const uint8_t report_type[16] = { 0x9e, 0x12, [13] = 64, [14] = 1 };

	(void)state;
	expect_sense(run(lba_status_cdb(BLOCKS, 64), 64), 5, 0x21, 0);
	assert_int_equal(answer.sense[15] & 0xc0, 0xc0); /* SKSV, C/D */
	assert_int_equal(get_be16(answer.sense + 16), 2);
	expect_sense(run(lba_status_cdb(UINT64_MAX, 64), 64), 5, 0x21, 0);
	expect_bad_field(run(report_type, 64), 14);
	assert_string_equal(calls, "");
	lba_status_sts = TCMU_STS_RD_ERR;
	expect_sense(run(lba_status_cdb(0, 64), 64), 3, 0x11, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(unmap_runs_the_list),
		T(unmap_joins_neighbours),
		T(unmap_is_a_hint_but_errors_count),
		T(unmap_refusals),
		T(unmap_without_cache_is_flushed),
		T(write_same_by_the_handler),
		T(write_same_by_writes),
		T(write_same_unmaps_zeros_only),
		T(write_same_ndob),
		T(write_same_of_no_blocks),
		T(write_same_refusals),
		T(lba_status_rounds_to_whole_blocks),
		T(lba_status_is_cut),
		T(lba_status_unknown_is_mapped),
		T(lba_status_of_a_large_medium),
		T(lba_status_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
