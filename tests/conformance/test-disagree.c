/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The length in the CDB and the length of the buffer disagree, for every command that has data: a read
 * brings the whole blocks that fit and says how much that was, and whatever changes something does all
 * of it or nothing.
 */
#include "scsi.h"

#include <stdio.h>

enum { N = 8, ROOM = 64 }; /* blocks that are named; blocks that are looked at */

static const size_t lengths[] = { 0,        1,           511,         512,         513,
				  1536,     N * 512 - 1, N * 512,     N * 512 + 1, N * 512 + 511,
				  2 * 4096, 64 * 512,    64 * 512 - 3 };

#define LENGTHS (sizeof(lengths) / sizeof(lengths[0]))

static const struct transfer {
	uint8_t read, write, len_at, size;
} transfers[] = {
	{ 0x08, 0x0a, 4, 6 },
	{ 0x28, 0x2a, 8, 10 },
	{ 0xa8, 0xaa, 9, 12 },
	{ 0x88, 0x8a, 13, 16 },
};

static uint8_t before[ROOM * 512], now[ROOM * 512], buf[ROOM * 512];

/* The blocks from 0 on, each byte telling where it is. */
static void fresh(void)
{
	static const struct scsi_case c = { "WRITE(10)",    EXPECT_GOOD,          FAKE_OUT,
					    sizeof(before), { 0x2a, [8] = ROOM }, 0 };

	for (size_t i = 0; i < sizeof(before); i++)
		before[i] = (uint8_t)(1 + i % 251 + i / 512);
	scsi_do(scsi_dev(), &c, before);
}

/* Blocks from..to hold new; all others what they held. */
static void expect_changed(size_t from, size_t to, const uint8_t *new, const char *what, size_t len)
{
	static const struct scsi_case c = { "READ(10)",  EXPECT_GOOD,          FAKE_IN,
					    sizeof(now), { 0x28, [8] = ROOM }, 0 };

	scsi_do(scsi_dev(), &c, now);
	if (to > from)
		memcpy(before + from * 512, new, (to - from) * 512);
	for (size_t i = 0; i < sizeof(now); i++)
		if (now[i] != before[i])
			fail_msg("%s, buffer of %zu bytes: byte %zu is %02x, not %02x", what, len,
				 i, now[i], before[i]);
}

static struct scsi_case make(const char *what, uint8_t opcode, enum fake_dir dir, size_t len)
{
	return (struct scsi_case) {
		.what = what, .dir = len ? dir : FAKE_NONE, .len = len, .cdb = { opcode }
	};
}

static void reads(void **state)
{
	char what[64];

	(void)state;
	fresh();
	for (size_t t = 0; t < 4; t++) {
		for (size_t i = 0; i < LENGTHS; i++) {
			size_t fits = lengths[i] / 512 < N ? lengths[i] / 512 * 512 : N * 512;
			struct scsi_case c;
			struct fake_cmd *cmd;

			snprintf(what, sizeof(what), "READ(%u) into %zu bytes", transfers[t].size,
				 lengths[i]);
			c = make(what, transfers[t].read, FAKE_IN, lengths[i]);
			c.cdb[transfers[t].len_at] = N;
			memset(buf, 0xee, sizeof(buf));
			cmd = scsi_do(scsi_dev(), &c, buf);
			assert_memory_equal(buf, before, fits);
			if (fits) {
				assert_int_equal(cmd->residual, lengths[i] - fits);
				assert_int_equal(buf[fits], 0xee);
			}
			for (size_t b = 0; !fits && b < lengths[i]; b++)
				assert_int_equal(buf[b], 0); /* "nothing" cannot be said */
		}
	}
}

/* TRANSFER LENGTH 0: no blocks, but for READ(6) and WRITE(6), where it is 256. */
static void of_nothing(void **state)
{
	char what[64];

	(void)state;
	fresh();
	memset(buf, 0x99, sizeof(buf));
	for (size_t t = 0; t < 4; t++) {
		for (size_t i = 0; i < LENGTHS; i++) {
			struct scsi_case c;

			snprintf(what, sizeof(what), "WRITE(%u) of nothing", transfers[t].size);
			c = make(what, transfers[t].write, FAKE_OUT, lengths[i]);
			c.expect = t ? EXPECT_GOOD : EXPECT_INVALID_FIELD;
			scsi_do(scsi_dev(), &c, buf);
			expect_changed(0, 0, NULL, what, lengths[i]);
			c = make("READ of nothing", transfers[t].read, FAKE_IN, lengths[i]);
			scsi_do(scsi_dev(), &c, now);
			for (size_t b = 0; t && b < lengths[i]; b++)
				assert_int_equal(now[b], 0);
			assert_memory_equal(now, before, t ? 0 : lengths[i] / 512 * 512);
		}
	}
}

static void writes(void **state)
{
	char what[64];

	(void)state;
	fresh();
	for (size_t t = 0; t < 4; t++) {
		for (size_t i = 0; i < LENGTHS; i++) {
			bool enough = lengths[i] >= N * 512;
			struct scsi_case c;

			snprintf(what, sizeof(what), "WRITE(%u)", transfers[t].size);
			c = make(what, transfers[t].write, FAKE_OUT, lengths[i]);
			c.cdb[transfers[t].len_at] = N;
			c.expect = enough ? EXPECT_GOOD : EXPECT_INVALID_FIELD;
			memset(buf, (int)(0xa0 + t * 16 + i), sizeof(buf));
			scsi_do(scsi_dev(), &c, buf);
			expect_changed(0, enough ? N : 0, buf, what, lengths[i]);
		}
	}
}

/* WRITE SAME: one block, not more and not less; with NDOB none, and what is sent is not looked at. */
static void write_same(void **state)
{
	static const uint8_t opcodes[] = { 0x41, 0x93 };
	static uint8_t want[ROOM * 512];

	(void)state;
	fresh();
	for (size_t o = 0; o < 2; o++) {
		for (size_t i = 0; i < LENGTHS; i++) {
			struct scsi_case c = make("WRITE SAME", opcodes[o], FAKE_OUT, lengths[i]);

			c.cdb[o ? 13 : 8] = N;
			c.expect = lengths[i] == 512 ? EXPECT_GOOD : EXPECT_INVALID_FIELD;
			memset(buf, (int)(0x40 + o), sizeof(buf));
			scsi_do(scsi_dev(), &c, buf);
			expect_changed(0, lengths[i] == 512 ? N : 0, buf, "WRITE SAME", lengths[i]);
			if (!o)
				continue;
			c.what = "WRITE SAME with NDOB";
			c.cdb[1] = 1;
			c.cdb[9] = 16;
			c.expect = EXPECT_GOOD;
			scsi_do(scsi_dev(), &c, buf);
			expect_changed(16, 16 + N, want, "NDOB", lengths[i]);
		}
	}
}

static void verify(void **state)
{
	static const uint8_t opcodes[] = { 0x2f, 0x8f };

	(void)state;
	fresh();
	memcpy(buf, before, sizeof(buf));
	for (size_t o = 0; o < 2; o++) {
		for (size_t i = 0; i < LENGTHS; i++) {
			struct scsi_case c = make("VERIFY", opcodes[o], FAKE_OUT, lengths[i]);

			c.cdb[o ? 13 : 8] = N;
			c.cdb[1] = 1 << 1;
			c.expect = lengths[i] >= N * 512 ? EXPECT_GOOD : EXPECT_INVALID_FIELD;
			scsi_do(scsi_dev(), &c, buf);
			c.cdb[1] = 3 << 1;
			c.cdb[o ? 13 : 8] = 1;
			c.expect = lengths[i] >= 512 ? EXPECT_GOOD : EXPECT_INVALID_FIELD;
			scsi_do(scsi_dev(), &c, buf);
			c.cdb[1] = 0; /* there are no data then */
			c.expect = EXPECT_GOOD;
			scsi_do(scsi_dev(), &c, buf);
			assert_memory_equal(buf, before, c.len);
		}
	}
}

/* ---- parameter lists ---- */

static void put(uint8_t *p, int bytes, uint64_t v)
{
	while (bytes--) {
		p[bytes] = (uint8_t)v;
		v >>= 8;
	}
}

/* Three descriptors, of the blocks 0, 1 and 2. */
static void unmap(void **state)
{
	static const struct {
		unsigned int in_cdb, in_list, sent;
		enum expect expect;
		unsigned int blocks; /* that are unmapped then */
	} rows[] = {
		{ 56, 48, 56, EXPECT_GOOD, 3 },
		{ 56, 48, 4096, EXPECT_GOOD, 3 },
		{ 56, 48, 57, EXPECT_GOOD, 3 },
		{ 56, 48, 55, EXPECT_PARAM_LEN, 0 },
		{ 56, 48, 1, EXPECT_PARAM_LEN, 0 },
		{ 56, 48, 0, EXPECT_PARAM_LEN, 0 },
		{ 57, 48, 56, EXPECT_PARAM_LEN, 0 },
		{ 65535, 48, 56, EXPECT_PARAM_LEN, 0 },
		{ 7, 48, 56, EXPECT_PARAM_LEN, 0 },
		{ 1, 48, 56, EXPECT_PARAM_LEN, 0 },
		{ 0, 48, 56, EXPECT_GOOD, 0 },
		{ 8, 48, 56, EXPECT_PARAM_LEN, 0 },
		{ 8, 0, 56, EXPECT_GOOD, 0 },
		{ 40, 48, 56, EXPECT_PARAM_LEN, 0 },
		{ 40, 32, 56, EXPECT_GOOD, 2 },
		{ 55, 47, 56, EXPECT_GOOD, 2 }, /* the last one is not complete */
		{ 56, 47, 56, EXPECT_GOOD, 2 },
		{ 56, 33, 56, EXPECT_GOOD, 2 },
		{ 56, 15, 56, EXPECT_GOOD, 0 },
		{ 56, 49, 56, EXPECT_PARAM_LEN, 0 },
		{ 56, 65535, 4096, EXPECT_PARAM_LEN, 0 },
	};
	static const uint8_t zeros[3 * 512];
	static uint8_t list[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct scsi_case c = make("UNMAP", 0x42, FAKE_OUT, rows[i].sent);
		char what[64];

		fresh();
		snprintf(what, sizeof(what), "UNMAP of %u bytes, %u of descriptors", rows[i].in_cdb,
			 rows[i].in_list);
		memset(list, 0xff, sizeof(list)); /* what is beyond must not be looked at */
		put(list, 2, 54);
		put(list + 2, 2, rows[i].in_list);
		for (uint8_t b = 0; b < 3; b++) {
			put(list + 8 + b * 16, 8, b);
			put(list + 16 + b * 16, 4, 1);
		}
		c.what = what;
		put(c.cdb + 7, 2, rows[i].in_cdb);
		c.expect = rows[i].expect;
		scsi_do(scsi_dev(), &c, list);
		expect_changed(0, rows[i].blocks, zeros, what, rows[i].sent);
	}
}

static bool write_cache(void)
{
	static const struct scsi_case c = {
		"MODE SENSE(6)", EXPECT_GOOD, FAKE_IN, 64, { 0x1a, 8, 8, 0, 64 }, 0
	};

	scsi_do(scsi_dev(), &c, buf);
	assert_int_equal(buf[4] & 0x3f, 8);
	return buf[6] & 4;
}

/* A list that would turn the cache off. Only one that is there as a whole does. */
static void mode_select(void **state)
{
	static const struct {
		uint8_t opcode;
		unsigned int in_cdb, sent;
		enum expect expect;
		bool takes_effect;
	} rows[] = {
		{ 0x15, 24, 24, EXPECT_GOOD, true },
		{ 0x15, 24, 25, EXPECT_GOOD, true },
		{ 0x15, 24, 4096, EXPECT_GOOD, true },
		{ 0x15, 24, 23, EXPECT_PARAM_LEN, false },
		{ 0x15, 24, 4, EXPECT_PARAM_LEN, false },
		{ 0x15, 24, 1, EXPECT_PARAM_LEN, false },
		{ 0x15, 24, 0, EXPECT_PARAM_LEN, false },
		{ 0x15, 23, 24, EXPECT_PARAM_LEN, false },
		{ 0x15, 5, 24, EXPECT_PARAM_LEN, false },
		{ 0x15, 3, 24, EXPECT_PARAM_LEN, false },
		{ 0x15, 4, 24, EXPECT_GOOD, false },
		{ 0x15, 0, 24, EXPECT_GOOD, false },
		{ 0x15, 25, 24, EXPECT_PARAM_LEN, false },
		{ 0x15, 255, 24, EXPECT_PARAM_LEN, false },
		{ 0x55, 28, 28, EXPECT_GOOD, true },
		{ 0x55, 28, 4097, EXPECT_GOOD, true },
		{ 0x55, 28, 27, EXPECT_PARAM_LEN, false },
		{ 0x55, 28, 8, EXPECT_PARAM_LEN, false },
		{ 0x55, 28, 0, EXPECT_PARAM_LEN, false },
		{ 0x55, 27, 28, EXPECT_PARAM_LEN, false },
		{ 0x55, 7, 28, EXPECT_PARAM_LEN, false },
		{ 0x55, 8, 28, EXPECT_GOOD, false },
		{ 0x55, 65535, 28, EXPECT_PARAM_LEN, false },
	};
	static uint8_t list[4097];
	struct scsi_case c;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool ten = rows[i].opcode == 0x55;
		uint8_t *page = list + (ten ? 8 : 4);
		char what[64];

		snprintf(what, sizeof(what), "MODE SELECT(%d) of %u bytes with %u", ten ? 10 : 6,
			 rows[i].in_cdb, rows[i].sent);
		memset(list, 0, sizeof(list));
		page[0] = 8;
		page[1] = 18;
		c = make(what, rows[i].opcode, FAKE_OUT, rows[i].sent);
		c.cdb[1] = 0x10;
		put(c.cdb + (ten ? 7 : 3), 2, rows[i].in_cdb);
		c.expect = rows[i].expect;
		scsi_do(scsi_dev(), &c, list);
		if (write_cache() == rows[i].takes_effect)
			fail_msg("%s: the write cache is %s", what,
				 rows[i].takes_effect ? "still on" : "off");
		c = make("MODE SELECT(6)", 0x15, FAKE_OUT, 24);
		c.cdb[1] = 0x10;
		c.cdb[4] = 24;
		memset(list, 0, 24);
		list[4] = 8;
		list[5] = 18;
		list[6] = 4;
		scsi_do(scsi_dev(), &c, list);
		assert_true(write_cache());
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads),       cmocka_unit_test(of_nothing),
		cmocka_unit_test(writes),      cmocka_unit_test(write_same),
		cmocka_unit_test(verify),      cmocka_unit_test(unmap),
		cmocka_unit_test(mode_select),
	};

	return cmocka_run_group_tests(tests, scsi_setup, scsi_teardown) + scsi_failures();
}
