/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CDB and the initiator's buffer disagree: the kernel lets that through. Never more than the
 * buffer is touched (the fake watches its end), and what was not sent is told as a residual.
 */
#include "scsi.h"

static void read_longer_buffer(void **state)
{
	static const struct scsi_case fill = {
		"WRITE(10)", EXPECT_GOOD, FAKE_OUT, 4096, { 0x2a, 0, 0, 0, 0, 0, 0, 0, 8 }, 0x37
	};
	static const struct scsi_case c = { "READ(10) of 2 into 8",
					    EXPECT_GOOD,
					    FAKE_IN,
					    4096,
					    { 0x28, 0, 0, 0, 0, 0, 0, 0, 2 },
					    0 };
	uint8_t buf[4096];
	struct fake_cmd *cmd;

	(void)state;
	scsi_do(scsi_dev(), &fill, NULL);
	memset(buf, 0xe1, sizeof(buf));
	cmd = scsi_do(scsi_dev(), &c, buf);
	assert_int_equal(cmd->residual, 3072);
	assert_int_equal(buf[1023], 0x37);
	assert_int_equal(buf[1024], 0xe1);
}

static void read_shorter_buffer(void **state)
{
	static const struct scsi_case c = { "READ(10) of 8 into 3",
					    EXPECT_GOOD,
					    FAKE_IN,
					    1536,
					    { 0x28, 0, 0, 0, 0, 0, 0, 0, 8 },
					    0 };
	static const struct scsi_case big = { "READ(16) of 4096 into 1",
					      EXPECT_GOOD,
					      FAKE_IN,
					      512,
					      { 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0 },
					      0 };
	static const struct scsi_case odd = { "READ(10) into 700 bytes",
					      EXPECT_GOOD,
					      FAKE_IN,
					      700,
					      { 0x28, 0, 0, 0, 0, 0, 0, 0, 2 },
					      0 };
	uint8_t buf[4096];
	struct fake_cmd *cmd;

	(void)state;
	scsi_do(scsi_dev(), &c, buf);
	scsi_do(scsi_dev(), &big, buf);
	cmd = scsi_do(scsi_dev(), &odd, buf);
	assert_true(cmd->residual == 0 || cmd->residual == 700 - 512);
}

/* A write that sends less than it announces: GOOD would say that all of it was written. */
static void write_shorter_buffer(void **state)
{
	static const struct scsi_case before = {
		"WRITE(10)", EXPECT_GOOD, FAKE_OUT, 4096, { 0x2a, 0, 0, 0, 0, 0, 0, 0, 8 }, 0x01
	};
	static const struct scsi_case c = { "WRITE(10) of 8 with 3",
					    EXPECT_INVALID_FIELD,
					    FAKE_OUT,
					    1536,
					    { 0x2a, 0, 0, 0, 0, 0, 0, 0, 8 },
					    0x02 };
	static const struct scsi_case rd = {
		"READ(10)", EXPECT_GOOD, FAKE_IN, 4096, { 0x28, 0, 0, 0, 0, 0, 0, 0, 8 }, 0
	};
	uint8_t buf[4096];

	(void)state;
	scsi_do(scsi_dev(), &before, NULL);
	scsi_do(scsi_dev(), &c, NULL);
	scsi_do(scsi_dev(), &rd, buf);
	for (size_t i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], 0x01);
}

static void write_longer_buffer(void **state)
{
	static const struct scsi_case before = {
		"WRITE(10)", EXPECT_GOOD, FAKE_OUT, 4096, { 0x2a, 0, 0, 0, 0, 0, 0, 0, 8 }, 0x03
	};
	static const struct scsi_case c = {
		"WRITE(10) of 2 with 8",          EXPECT_GOOD, FAKE_OUT, 4096,
		{ 0x2a, 0, 0, 0, 0, 0, 0, 0, 2 }, 0x04
	};
	static const struct scsi_case rd = {
		"READ(10)", EXPECT_GOOD, FAKE_IN, 4096, { 0x28, 0, 0, 0, 0, 0, 0, 0, 8 }, 0
	};
	uint8_t buf[4096];

	(void)state;
	scsi_do(scsi_dev(), &before, NULL);
	scsi_do(scsi_dev(), &c, NULL);
	scsi_do(scsi_dev(), &rd, buf);
	for (size_t i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], i < 1024 ? 0x04 : 0x03);
}

/* No buffer at all, whatever the CDB says; and the wrong direction. */
static void no_buffer(void **state)
{
	static const uint8_t cdbs[][16] = {
		{ 0x28, 0, 0, 0, 0, 0, 0, 0, 8 },
		{ 0x2a, 0, 0, 0, 0, 0, 0, 0, 8 },
		{ 0x12, 0, 0, 0, 36 },
		{ 0x1a, 0, 0x3f, 0, 64 },
		{ 0x25 },
		{ 0x15, 0x10, 0, 0, 24 },
		{ 0x42, 0, 0, 0, 0, 0, 0, 0, 24 },
		{ 0x41, 0, 0, 0, 0, 0, 0, 0, 8 },
		{ 0x2f, 2, 0, 0, 0, 0, 0, 0, 8 },
		{ 0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 1 },
		{ 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32 },
	};
	static uint8_t data[4096];
	static struct fake_cmd cmd;

	(void)state;
	for (size_t i = 0; i < sizeof(cdbs) / sizeof(cdbs[0]); i++) {
		for (int dir = FAKE_NONE; dir <= FAKE_IN; dir++) {
			/* One byte is the shortest buffer there is. */
			fake_cmd_init(&cmd, cdbs[i], 16, (enum fake_dir)dir, data, 1);
			cmd.odd = scsi_is_odd(cdbs[i][0], (enum fake_dir)dir);
			assert_int_equal(fake_exec(fake_dev_ring(scsi_dev()), &cmd, 30000), 0);
			assert_true(cmd.status == 0 || cmd.status == 2);
			fake_cmd_init(&cmd, cdbs[i], 16, (enum fake_dir)dir, data, 4096);
			cmd.odd = scsi_is_odd(cdbs[i][0], (enum fake_dir)dir);
			assert_int_equal(fake_exec(fake_dev_ring(scsi_dev()), &cmd, 30000), 0);
			assert_true(cmd.status == 0 || cmd.status == 2);
		}
	}
}

/* Answers shorter than the buffer: the residual says so, and the rest is not touched. */
static void short_answers(void **state)
{
	static const struct {
		uint8_t cdb[16];
		size_t answer; /* its length; 0: as byte 4 tells */
	} rows[] = {
		{ { 0x25 }, 8 },
		{ { 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0 }, 32 },
		{ { 0x12, 0, 0, 0, 36 }, 36 },
		{ { 0x12, 1, 0x00, 0, 4 }, 4 },
		{ { 0x1a, 0, 0x3f, 0, 4 }, 4 },
		{ { 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8 }, 8 },
		{ { 0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0, 4 }, 4 },
		{ { 0x03, 0, 0, 0, 8 }, 8 },
	};
	uint8_t buf[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct scsi_case c = { "short answer", EXPECT_GOOD, FAKE_IN, 512, { 0 }, 0 };
		struct fake_cmd *cmd;

		memcpy(c.cdb, rows[i].cdb, 16);
		memset(buf, 0xe7, sizeof(buf));
		cmd = scsi_do(scsi_dev(), &c, buf);
		assert_int_equal(cmd->residual, 512 - rows[i].answer);
		assert_int_equal(buf[rows[i].answer], 0xe7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read_longer_buffer),
		cmocka_unit_test(read_shorter_buffer),
		cmocka_unit_test(write_shorter_buffer),
		cmocka_unit_test(write_longer_buffer),
		cmocka_unit_test(no_buffer),
		cmocka_unit_test(short_answers),
	};

	return cmocka_run_group_tests(tests, scsi_setup, scsi_teardown) + scsi_failures();
}
