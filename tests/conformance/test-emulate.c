/* SPDX-License-Identifier: Apache-2.0 */
/* What a unit says about itself (SPC-5), and how it refuses. */
#include "scsi.h"

#define NONE  EXPECT_GOOD, FAKE_NONE, 0
#define IN(n) EXPECT_GOOD, FAKE_IN, n

static const struct scsi_case good[] = {
	{ "TEST UNIT READY", NONE, { 0 }, 0 },
	{ "REQUEST SENSE", IN(18), { 0x03, 0, 0, 0, 18 }, 0 },
	{ "REQUEST SENSE, descriptors", IN(252), { 0x03, 1, 0, 0, 252 }, 0 },
	{ "INQUIRY 36", IN(36), { 0x12, 0, 0, 0, 36 }, 0 },
	{ "INQUIRY 5", IN(5), { 0x12, 0, 0, 0, 5 }, 0 },
	{ "INQUIRY 0", NONE, { 0x12 }, 0 },
	{ "INQUIRY 96 of 96", IN(96), { 0x12, 0, 0, 0, 96 }, 0 },
	{ "INQUIRY 36 of 512", IN(512), { 0x12, 0, 0, 0, 36 }, 0 },
	{ "INQUIRY 4096", IN(4096), { 0x12, 0, 0, 0x10, 0 }, 0 },
	{ "VPD 00", IN(255), { 0x12, 1, 0x00, 0, 255 }, 0 },
	{ "VPD 80", IN(255), { 0x12, 1, 0x80, 0, 255 }, 0 },
	{ "VPD 83", IN(255), { 0x12, 1, 0x83, 0, 255 }, 0 },
	{ "VPD B0", IN(64), { 0x12, 1, 0xb0, 0, 64 }, 0 },
	{ "VPD B1", IN(64), { 0x12, 1, 0xb1, 0, 64 }, 0 },
	{ "VPD B2", IN(64), { 0x12, 1, 0xb2, 0, 64 }, 0 },
	{ "VPD 83, 4 bytes", IN(4), { 0x12, 1, 0x83, 0, 4 }, 0 },
	{ "MODE SENSE(6) all", IN(192), { 0x1a, 0, 0x3f, 0, 192 }, 0 },
	{ "MODE SENSE(6) caching", IN(64), { 0x1a, 8, 0x08, 0, 64 }, 0 },
	{ "MODE SENSE(6) changeable", IN(64), { 0x1a, 8, 0x48, 0, 64 }, 0 },
	{ "MODE SENSE(6) default", IN(64), { 0x1a, 8, 0x88, 0, 64 }, 0 },
	{ "MODE SENSE(6) control", IN(64), { 0x1a, 8, 0x0a, 0, 64 }, 0 },
	{ "MODE SENSE(10) all", IN(512), { 0x5a, 0, 0x3f, 0, 0, 0, 0, 2, 0 }, 0 },
	{ "MODE SENSE(10) LLBAA", IN(512), { 0x5a, 0x10, 0x3f, 0, 0, 0, 0, 2, 0 }, 0 },
	{ "READ CAPACITY(10)", IN(8), { 0x25 }, 0 },
	{ "READ CAPACITY(16)", IN(32), { 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32 }, 0 },
	{ "READ CAPACITY(16) short",
	  IN(12),
	  { 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12 },
	  0 },
	{ "START", NONE, { 0x1b, 0, 0, 0, 1 }, 0 },
	{ "STOP", NONE, { 0x1b, 0, 0, 0, 0 }, 0 },
	{ "START STOP, power condition", NONE, { 0x1b, 0, 0, 0, 0x20 }, 0 },
	{ "LOG SENSE, supported pages", IN(512), { 0x4d, 0, 0x40, 0, 0, 0, 0, 2 }, 0 },
	{ "READ DEFECT DATA(10)", IN(8), { 0x37, 0, 0x18, 0, 0, 0, 0, 0, 8 }, 0 },
	{ "READ DEFECT DATA(12)", IN(8), { 0xb7, 0x18, 0, 0, 0, 0, 0, 0, 0, 8 }, 0 },
	{ "SEND DIAGNOSTIC, self-test", NONE, { 0x1d, 4 }, 0 },
	{ "RECEIVE DIAGNOSTIC RESULTS", IN(64), { 0x1c, 1, 0, 0, 64 }, 0 },
	{ "RSOC all", IN(4096), { 0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0x10, 0 }, 0 },
	{ "RSOC one", IN(64), { 0xa3, 0x0c, 1, 0x28, 0, 0, 0, 0, 0, 64 }, 0 },
	{ "RSOC service action", IN(64), { 0xa3, 0x0c, 2, 0x9e, 0, 0x10, 0, 0, 0, 64 }, 0 },
	{ "RSOC with timeouts", IN(4096), { 0xa3, 0x0c, 0x80, 0, 0, 0, 0, 0, 0x10, 0 }, 0 },
};

#define BAD_FIELD(dir, n) EXPECT_INVALID_FIELD, dir, n

static const struct scsi_case bad[] = {
	{ "INQUIRY, page without EVPD", BAD_FIELD(FAKE_IN, 36), { 0x12, 0, 0x80, 0, 36 }, 0 },
	{ "INQUIRY, unknown page", BAD_FIELD(FAKE_IN, 36), { 0x12, 1, 0x77, 0, 36 }, 0 },
	{ "MODE SENSE(6), unknown page", BAD_FIELD(FAKE_IN, 64), { 0x1a, 0, 0x15, 0, 64 }, 0 },
	{ "MODE SENSE(6), unknown subpage", BAD_FIELD(FAKE_IN, 64), { 0x1a, 0, 0x08, 7, 64 }, 0 },
	{ "START STOP, LOEJ", BAD_FIELD(FAKE_NONE, 0), { 0x1b, 0, 0, 0, 2 }, 0 },
	{ "RSOC, options 7",
	  BAD_FIELD(FAKE_IN, 64),
	  { 0xa3, 0x0c, 7, 0x28, 0, 0, 0, 0, 0, 64 },
	  0 },
	{ "RSOC, service action where none is",
	  BAD_FIELD(FAKE_IN, 64),
	  { 0xa3, 0x0c, 2, 0x28, 0, 0, 0, 0, 0, 64 },
	  0 },
	{ "RSOC, none where one is",
	  BAD_FIELD(FAKE_IN, 64),
	  { 0xa3, 0x0c, 1, 0x9e, 0, 0, 0, 0, 0, 64 },
	  0 },
	{ "9Eh, another service action",
	  BAD_FIELD(FAKE_IN, 32),
	  { 0x9e, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32 },
	  0 },
	{ "TEST UNIT READY, NACA", BAD_FIELD(FAKE_NONE, 0), { 0, 0, 0, 0, 0, 4 }, 0 },
};

static const struct scsi_case unknown[] = {
	{ "02h", EXPECT_INVALID_OPCODE, FAKE_NONE, 0, { 0x02 }, 0 },
	{ "REZERO", EXPECT_INVALID_OPCODE, FAKE_NONE, 0, { 0x01 }, 0 },
	{ "READ LONG", EXPECT_INVALID_OPCODE, FAKE_IN, 512, { 0x3e }, 0 },
	{ "LOG SELECT", EXPECT_INVALID_OPCODE, FAKE_NONE, 0, { 0x4c }, 0 },
	{ "group 3: 60h", EXPECT_INVALID_OPCODE, FAKE_NONE, 0, { 0x60 }, 0 },
	{ "7Fh, long",
	  EXPECT_INVALID_OPCODE,
	  FAKE_IN,
	  512,
	  { 0x7f, 0, 0, 0, 0, 0, 0, 24, 0, 9 },
	  0 },
	{ "7Fh, longest", EXPECT_INVALID_OPCODE, FAKE_NONE, 0, { 0x7f, 0, 0, 0, 0, 0, 0, 252 }, 0 },
	{ "7Fh, shortest", EXPECT_INVALID_OPCODE, FAKE_NONE, 0, { 0x7f }, 0 },
	{ "vendor C0h", EXPECT_INVALID_OPCODE, FAKE_NONE, 0, { 0xc0 }, 0 },
	{ "vendor C1h, data-in", EXPECT_INVALID_OPCODE, FAKE_IN, 4096, { 0xc1 }, 0 },
	{ "vendor E5h, data-out", EXPECT_INVALID_OPCODE, FAKE_OUT, 4096, { 0xe5 }, 0x5a },
	{ "vendor FFh", EXPECT_INVALID_OPCODE, FAKE_NONE, 0, { 0xff }, 0 },
};

static void supported(void **state)
{
	(void)state;
	SCSI_TABLE(good);
}

static void refused(void **state)
{
	(void)state;
	SCSI_TABLE(bad);
}

static void unsupported(void **state)
{
	(void)state;
	SCSI_TABLE(unknown);
}

/* Every opcode is answered, with whatever data: GOOD or CHECK CONDITION, and with sense data. */
static void every_opcode(void **state)
{
	static uint8_t data[4096];
	static struct fake_cmd cmd;

	(void)state;
	for (int op = 0; op < 256; op++) {
		for (int dir = FAKE_NONE; dir <= FAKE_IN; dir++) {
			uint8_t cdb[16] = { (uint8_t)op };

			fake_cmd_init(&cmd, cdb, sizeof(cdb), (enum fake_dir)dir, data, 4096);
			cmd.odd = scsi_is_odd((uint8_t)op, (enum fake_dir)dir);
			assert_int_equal(fake_exec(fake_dev_ring(scsi_dev()), &cmd, 30000), 0);
			if (cmd.status != 0 && cmd.status != 2)
				fail_msg("opcode %02x, direction %d: status %02x", op, dir,
					 cmd.status);
			if (cmd.status == 2 && !cmd.sense[0])
				fail_msg("opcode %02x, direction %d: no sense", op, dir);
		}
	}
}

static const struct scsi_case *row(const char *what)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!strcmp(good[i].what, what))
			return &good[i];
	fail();
	return NULL;
}

static void capacity(void **state)
{
	uint8_t c10[8], c16[32];

	(void)state;
	scsi_do(scsi_dev(), row("READ CAPACITY(10)"), c10);
	assert_int_equal(c10[2] << 8 | c10[3], LU_BLOCKS - 1);
	assert_int_equal(c10[6] << 8 | c10[7], LU_BLOCK);
	scsi_do(scsi_dev(), row("READ CAPACITY(16)"), c16);
	assert_int_equal(c16[6] << 8 | c16[7], LU_BLOCKS - 1);
	assert_int_equal(c16[10] << 8 | c16[11], LU_BLOCK);
	assert_int_equal(c16[14] & 0xc0, 0xc0); /* LBPME, LBPRZ: a sparse file */
}

static struct scsi_case vpd(uint8_t page)
{
	return (struct scsi_case) {
		"VPD", EXPECT_GOOD, FAKE_IN, 255, { 0x12, 1, page, 0, 255 }, 0
	};
}

static void identity(void **state)
{
	struct scsi_case c = { "INQUIRY", EXPECT_GOOD, FAKE_IN, 96, { 0x12, 0, 0, 0, 96 }, 0 };
	uint8_t buf[255], pages[255];
	struct fake_cmd *cmd;

	(void)state;
	cmd = scsi_do(scsi_dev(), &c, buf);
	assert_int_equal(buf[0], 0);
	assert_true(buf[2] >= 5);
	assert_memory_equal(buf + 8, "LIO-ORG ", 8);
	assert_int_equal(cmd->residual, buf[4] + 5 < 96 ? 96 - (buf[4] + 5) : 0);
	c = vpd(0x80);
	scsi_do(scsi_dev(), &c, buf);
	assert_int_equal(buf[1], 0x80);
	assert_memory_equal(buf + 4, "lu-serial", 9); /* without configfs' own words before it */
	c = vpd(0);
	scsi_do(scsi_dev(), &c, pages);
	for (int i = 0; i < pages[3]; i++) {
		c = vpd(pages[4 + i]);
		scsi_do(scsi_dev(), &c, buf);
		assert_int_equal(buf[1], pages[4 + i]);
		assert_true(!i || pages[4 + i] > pages[3 + i]);
	}
	c = vpd(0xb2);
	scsi_do(scsi_dev(), &c, buf);
	assert_int_equal(buf[5] & 0xe0, 0xe0); /* LBPU, LBPWS, LBPWS10 */
}

/* What RSOC lists is answered otherwise than with "unknown", and vice versa. */
static void opcodes_tell_the_truth(void **state)
{
	static uint8_t list[4096], data[4096];
	static struct fake_cmd cmd;
	bool listed[256] = { false };
	uint32_t len;

	(void)state;
	scsi_do(scsi_dev(), row("RSOC all"), list);
	len = (uint32_t)list[2] << 8 | list[3];
	assert_true(len && len % 8 == 0);
	for (uint32_t i = 0; i < len; i += 8)
		listed[list[4 + i]] = true;
	assert_true(listed[0x28] && listed[0x2a] && listed[0x42] && listed[0x93]);
	for (int op = 0; op < 256; op++) {
		/* These the kernel answers itself, before us (passthrough_parse_cdb()). */
		static const uint8_t by_kernel[] = { 0x16, 0x17, 0x56, 0x57, 0x5e, 0x5f, 0xa0 };
		uint8_t cdb[16] = { (uint8_t)op };
		bool known;

		if (memchr(by_kernel, op, sizeof(by_kernel)))
			continue;
		fake_cmd_init(&cmd, cdb, sizeof(cdb), FAKE_IN, data, sizeof(data));
		cmd.odd = scsi_is_odd((uint8_t)op, FAKE_IN);
		assert_int_equal(fake_exec(fake_dev_ring(scsi_dev()), &cmd, 30000), 0);
		known = cmd.status != 2 || cmd.sense[12] != 0x20;
		if (known != listed[op])
			fail_msg("opcode %02x is %slisted but %sknown", op,
				 listed[op] ? "" : "not ", known ? "" : "un");
	}
}

static bool wce(void)
{
	static const struct scsi_case c = { "MODE SENSE(6)", IN(64), { 0x1a, 8, 8, 0, 64 }, 0 };
	uint8_t buf[64];

	scsi_do(scsi_dev(), &c, buf);
	assert_int_equal(buf[4] & 0x3f, 8);
	return buf[6] & 4;
}

static void mode_select(void **state)
{
	struct scsi_case get = { "MODE SENSE(6)", IN(64), { 0x1a, 8, 8, 0, 64 }, 0 };
	struct scsi_case set = {
		"MODE SELECT(6)", EXPECT_GOOD, FAKE_OUT, 24, { 0x15, 0x10, 0, 0, 24 }, 0
	};
	struct scsi_case set10 = { "MODE SELECT(10)",
				   EXPECT_GOOD,
				   FAKE_OUT,
				   28,
				   { 0x55, 0x10, 0, 0, 0, 0, 0, 0, 28 },
				   0 };
	uint8_t page[64], list[28] = { 0 };

	(void)state;
	scsi_do(scsi_dev(), &get, page);
	memcpy(list + 4, page + 4, 20);
	list[4] &= 0x3f; /* PS is reserved here */
	list[6] &= (uint8_t)~4;
	scsi_do(scsi_dev(), &set, list);
	assert_false(wce());
	memmove(list + 8, list + 4, 20);
	memset(list, 0, 8);
	list[10] |= 4;
	scsi_do(scsi_dev(), &set10, list);
	assert_true(wce());

	set10.expect = EXPECT_INVALID_PARAM; /* what cannot be changed */
	list[10] |= 1;                       /* RCD */
	scsi_do(scsi_dev(), &set10, list);
	list[10] &= (uint8_t)~1;
	list[8] = 0x15; /* no such page */
	scsi_do(scsi_dev(), &set10, list);
	list[8] = 8;
	set10.expect = EXPECT_PARAM_LEN;
	set10.cdb[8] = 20; /* in the middle of the page */
	scsi_do(scsi_dev(), &set10, list);
	assert_true(wce());
	set10.cdb[8] = 0;
	set10.expect = EXPECT_GOOD;
	scsi_do(scsi_dev(), &set10, list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(supported),
		cmocka_unit_test(refused),
		cmocka_unit_test(unsupported),
		cmocka_unit_test(every_opcode),
		cmocka_unit_test(capacity),
		cmocka_unit_test(identity),
		cmocka_unit_test(opcodes_tell_the_truth),
		cmocka_unit_test(mode_select),
	};

	return cmocka_run_group_tests(tests, scsi_setup, scsi_teardown) + scsi_failures();
}
