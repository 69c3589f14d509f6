/* SPDX-License-Identifier: Apache-2.0 */
/* READ, WRITE, SYNCHRONIZE CACHE, VERIFY, WRITE ATOMIC, PRE-FETCH. */
#include "rig.h"

/* ---- READ and WRITE ---- */

static void read_moves_blocks(void **state)
{
	(void)state;
	assert_int_equal(run_pieces(cdb10(READ10, 0, 7, 9), 9 * BLOCK, 700), TCMU_STS_OK);
	assert_memory_equal(data, medium + 7 * BLOCK, 9 * BLOCK);
	assert_int_equal(answer.read_len, 0);
	assert_string_equal(calls, "r");
}

static void read_longer_buffer_has_residual(void **state)
{
	(void)state;
	assert_int_equal(run_pieces(cdb10(READ10, 0, 1, 2), 4000, 1000), TCMU_STS_OK);
	assert_memory_equal(data, medium + BLOCK, 2 * BLOCK);
	assert_int_equal(data[2 * BLOCK], 0xee);
	assert_int_equal(answer.read_len, 2 * BLOCK);
}

static void read_shorter_buffer_gets_whole_blocks(void **state)
{
	(void)state;
	assert_int_equal(run(cdb10(READ10, 0, 1, 8), 3 * BLOCK + 100), TCMU_STS_OK);
	assert_memory_equal(data, medium + BLOCK, 3 * BLOCK);
	assert_int_equal(answer.read_len, 3 * BLOCK);
	assert_int_equal(data[3 * BLOCK], 0xee);
}

static void write_of_less_than_announced_is_refused(void **state)
{
	(void)state;
	expect_sense(run(cdb10(WRITE10, 0, 1, 8), 3 * BLOCK), 5, 0x24, 0);
	expect_sense(run(cdb10(WRITE10, 0, 1, 1), 0), 5, 0x24, 0);
	assert_string_equal(calls, "");
}

static void read_of_nothing(void **state)
{
	(void)state;
	assert_int_equal(run(cdb10(READ10, 0, 1, 0), 0), TCMU_STS_OK);
	assert_string_equal(calls, "");
	assert_int_equal(run(cdb10(READ10, 0, 1, 1), 100), TCMU_STS_OK);
	assert_string_equal(calls, "");
	for (int i = 0; i < 100; i++)
		assert_int_equal(data[i], 0);
}

static void read_error_has_lba_and_no_length(void **state)
{
	(void)state;
	bad_byte = 12 * BLOCK + 3;
	expect_sense(run(cdb10(READ10, 0, 10, 4), 5 * BLOCK), 3, 0x11, 0);
	assert_int_equal(answer.sense[0] & 0x80, 0x80);
	assert_int_equal(get_be32(answer.sense + 3), 12);
	assert_int_equal(answer.read_len, 0);
}

static void read_fua_flushes_first(void **state)
{
	(void)state;
	assert_int_equal(run(cdb10(READ10, 8, 0, 1), BLOCK), TCMU_STS_OK);
	assert_string_equal(calls, "fr");
	dev.write_cache = false;
	assert_int_equal(run(cdb10(READ10, 8, 0, 1), BLOCK), TCMU_STS_OK);
	assert_string_equal(calls, "r");
}

static void too_many_blocks(void **state)
{
	(void)state;
	expect_sense(run(cdb10(READ10, 0, 0, 1025), 0), 5, 0x24, 0);
	expect_sense(run(cdb10(WRITE10, 0, 0, 1025), 0), 5, 0x24, 0);
	expect_sense(run(cdb10(VERIFY10, 2, 0, 1025), 1025 * BLOCK), 5, 0x24, 0);
	expect_sense(run(cdb10(READ10, 0, BLOCKS, 1), BLOCK), 5, 0x21, 0);
	assert_string_equal(calls, "");
}

static void write_moves_blocks(void **state)
{
	(void)state;
	assert_int_equal(run_pieces(cdb10(WRITE10, 0, 3, 4), 4 * BLOCK + 77, 333), TCMU_STS_OK);
	assert_memory_equal(medium + 3 * BLOCK, data, 4 * BLOCK);
	assert_int_equal(medium[7 * BLOCK], 7 + (7 * BLOCK) % 251);
	assert_string_equal(calls, "w");
}

static void write_fua_is_flushed(void **state)
{
	(void)state;
	assert_int_equal(run(cdb10(WRITE10, 8, 3, 1), BLOCK), TCMU_STS_OK);
	assert_string_equal(calls, "wf");
	handler.flags = TCMUR_HANDLER_FUA;
	assert_int_equal(run(cdb10(WRITE10, 8, 3, 1), BLOCK), TCMU_STS_OK);
	assert_string_equal(calls, "w");
}

static void sync_cache_flushes(void **state)
{
	(void)state;
	assert_int_equal(run(cdb10(SYNC10, 0, 0, 0), 0), TCMU_STS_OK);
	assert_string_equal(calls, "f");
	assert_int_equal(run(cdb10(SYNC10, 2, 5, 3), 0), TCMU_STS_OK); /* IMMED */
	assert_string_equal(calls, "f");
	flush_sts = TCMU_STS_WR_ERR;
	expect_sense(run(cdb10(SYNC10, 0, 0, 0), 0), 3, 0x0c, 0);
	expect_sense(run(cdb10(SYNC10, 0, BLOCKS - 1, 2), 0), 5, 0x21, 0);
}

/* ---- VERIFY ---- */

static void verify_reads_the_medium(void **state)
{
	(void)state;
	assert_int_equal(run(cdb16(VERIFY16, 0, 0, BLOCKS), 0), TCMU_STS_OK);
	assert_string_equal(calls, "rrrrrrrr"); /* 2 MiB by 256 KiB */
	bad_byte = sizeof(medium) - 1;
	expect_sense(run(cdb16(VERIFY16, 0, 0, BLOCKS), 0), 3, 0x11, 0);
	assert_int_equal(get_be32(answer.sense + 3), BLOCKS - 1);
	assert_int_equal(run(cdb16(VERIFY16, 0, 0, 0), 0), TCMU_STS_OK);
	expect_sense(run(cdb10(VERIFY10, 4, 0, 1), BLOCK), 5, 0x24, 0); /* BYTCHK 2 */
}

static void verify_compares_all(void **state)
{
	(void)state;
	memcpy(data, medium + 100 * BLOCK, 600 * BLOCK);
	assert_int_equal(run_pieces(cdb10(VERIFY10, 2, 100, 600), 600 * BLOCK, 1000), TCMU_STS_OK);
	assert_string_equal(calls, "rr");

	data[599 * BLOCK + 13] ^= 1;
	expect_sense(run_pieces(cdb10(VERIFY10, 2, 100, 600), 600 * BLOCK, 1000), 0xe, 0x1d, 0);
	assert_int_equal(get_be32(answer.sense + 3), 599 * BLOCK + 13);

	expect_sense(run(cdb10(VERIFY10, 2, 100, 600), 599 * BLOCK), 5, 0x24, 0);
}

static void verify_compares_one(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 600; i++)
		memset(medium + i * BLOCK, 0x42, BLOCK);
	memset(data, 0x42, BLOCK);
	assert_int_equal(run_pieces(cdb10(VERIFY10, 6, 0, 600), BLOCK, 200), TCMU_STS_OK);
	medium[555 * BLOCK + 511] = 0;
	expect_sense(run_pieces(cdb10(VERIFY10, 6, 0, 600), BLOCK, 200), 0xe, 0x1d, 0);
	assert_int_equal(get_be32(answer.sense + 3), 555 * BLOCK + 511);
	expect_sense(run(cdb10(VERIFY10, 6, 0, 600), 0), 5, 0x24, 0);
}

/* ---- WRITE ATOMIC, PRE-FETCH ---- */

static const uint8_t *atomic_cdb(uint8_t byte1, uint64_t lba, uint16_t blocks)
{
	static uint8_t cdb[16];

	memcpy(cdb, cdb16(ATOMIC16, byte1, lba, blocks), sizeof(cdb));
	return cdb;
}

static void write_atomic_needs_a_promise(void **state)
{
	(void)state;
	expect_sense(run(atomic_cdb(0, 3, 1), BLOCK), 5, 0x20, 0);
	dev.max_atomic_len = 8;
	assert_int_equal(run_pieces(atomic_cdb(0, 3, 8), 8 * BLOCK, 1000), TCMU_STS_OK);
	assert_memory_equal(medium + 3 * BLOCK, data, 8 * BLOCK);
	assert_string_equal(calls, "w"); /* in one piece */
	assert_int_equal(run(atomic_cdb(8, 3, 1), BLOCK), TCMU_STS_OK);
	assert_string_equal(calls, "wf");
	expect_bad_field(run(atomic_cdb(0, 3, 9), 9 * BLOCK), 12);
	assert_string_equal(calls, "");
	assert_int_equal(run(atomic_cdb(0, 3, 0), 0),
			 TCMU_STS_OK); /* no error, and nothing to do */
	expect_sense(run(atomic_cdb(0, BLOCKS + 1, 0), 0), 5, 0x21, 0);
	expect_sense(run(atomic_cdb(0, BLOCKS - 1, 2), 2 * BLOCK), 5, 0x21, 0);
	assert_string_equal(calls, "");
}

static void prefetch_caches_nothing(void **state)
{
	(void)state;
	assert_int_equal(run(cdb10(PREF10, 0, 0, 256), 0), TCMU_STS_OK);
	assert_int_equal(run(cdb10(PREF10, 2, 0, 0), 0), TCMU_STS_OK); /* IMMED */
	assert_int_equal(run(cdb16(PREF16, 2, BLOCKS, 0), 0), TCMU_STS_OK);
	expect_sense(run(cdb16(PREF16, 0, BLOCKS - 1, 2), 0), 5, 0x21, 0);
	expect_sense(run(cdb10(PREF10, 2, BLOCKS + 1, 0), 0), 5, 0x21, 0);
	assert_string_equal(calls, "");
}

static void verify_12(void **state)
{
	(void)state;
	memcpy(data, medium + 100 * BLOCK, 6 * BLOCK);
	assert_int_equal(run(cdb12(VERIFY12, 2, 100, 6), 6 * BLOCK), TCMU_STS_OK);
	data[5] ^= 1;
	expect_sense(run(cdb12(VERIFY12, 2, 100, 6), 6 * BLOCK), 0xe, 0x1d, 0);
	expect_bad_field(run(cdb12(VERIFY12, 2, 100, 6), 5 * BLOCK), 6);
	expect_bad_field(run(cdb12(VERIFY12, 4, 100, 6), 6 * BLOCK), 1);
}

/* ---- a command that sends, with a buffer to receive ---- */

static bool all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

/* What is left in the buffer goes to the initiator; what was in it before is somebody else's. */
static void no_foreign_bytes(void **state)
{
	static uint8_t buf[3 * BLOCK];
	static struct rig_cmd cmd;

	(void)state;
	memset(buf, 0xee, sizeof(buf));
	rig_start(&cmd, cdb10(WRITE10, 0, 5, 1), buf, sizeof(buf), 700);
	assert_int_equal(cmd.outcome.sts, TCMU_STS_OK);
	assert_int_equal(medium[6 * BLOCK - 1], 0xee);
	assert_true(all_zero(buf + BLOCK, 2 * BLOCK));

	memset(buf, 0xee, sizeof(buf));
	rig_start(&cmd, cdb10(WRITE10, 0, 5, 0), buf, sizeof(buf), 700);
	assert_int_equal(cmd.outcome.sts, TCMU_STS_OK);
	assert_true(all_zero(buf, sizeof(buf)));

	flush_sts = TCMU_STS_BUSY;
	memset(buf, 0xee, sizeof(buf));
	rig_start(&cmd, cdb10(SYNC10, 0, 0, 0), buf, sizeof(buf), 700);
	assert_int_equal(cmd.outcome.sts, TCMU_STS_BUSY);
	assert_int_equal(cmd.outcome.read_len, 0);
	assert_true(all_zero(buf, sizeof(buf)));
}

/* A data-in buffer that a VERIFY has by mistake comes back with BUSY: all of it zeroed, also what has been
 * compared already. */
static void busy_verify_leaves_nothing(void **state)
{
	const uint16_t blocks = 2 * RUNNER_BOUNCE_SIZE / BLOCK;
	static struct rig_cmd cmd;
	const size_t len = (size_t)blocks * BLOCK;

	(void)state;
	assert_true(len <= sizeof(data));
	memset(medium, 0x5a, len);
	memset(data, 0x5a, len);
	hold = true;
	rig_start(&cmd, cdb10(VERIFY10, 0x02, 0, blocks), data, len, BLOCK * 3);
	rdev.stopping = true;
	rig_release(0);
	assert_true(cmd.outcome.done);
	assert_int_equal(cmd.outcome.sts, TCMU_STS_BUSY);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(data[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(read_moves_blocks),
		T(read_longer_buffer_has_residual),
		T(read_shorter_buffer_gets_whole_blocks),
		T(write_of_less_than_announced_is_refused),
		T(read_of_nothing),
		T(read_error_has_lba_and_no_length),
		T(read_fua_flushes_first),
		T(too_many_blocks),
		T(write_moves_blocks),
		T(write_fua_is_flushed),
		T(sync_cache_flushes),
		T(verify_reads_the_medium),
		T(verify_compares_all),
		T(verify_compares_one),
		T(write_atomic_needs_a_promise),
		T(prefetch_caches_nothing),
		T(verify_12),
		T(no_foreign_bytes),
		T(busy_verify_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
