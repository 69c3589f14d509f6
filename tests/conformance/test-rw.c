/* SPDX-License-Identifier: Apache-2.0 */
/* READ and WRITE of all sizes, at both ends of the medium and beyond (SBC-4 5.9 .. 5.47). */
#include "scsi.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* The last block is 8191 = 1FFFh. */
static const struct scsi_case ends[] = {
	{ "WRITE(6) first", EXPECT_GOOD, FAKE_OUT, 512, { 0x0a, 0, 0, 0, 1 }, 0x61 },
	{ "READ(6) first", EXPECT_GOOD, FAKE_IN, 512, { 0x08, 0, 0, 0, 1 }, 0 },
	{ "WRITE(6) last", EXPECT_GOOD, FAKE_OUT, 512, { 0x0a, 0, 0x1f, 0xff, 1 }, 0x62 },
	{ "READ(6) last", EXPECT_GOOD, FAKE_IN, 512, { 0x08, 0, 0x1f, 0xff, 1 }, 0 },
	{ "READ(6) 256", EXPECT_GOOD, FAKE_IN, 131072, { 0x08, 0, 0x1f, 0x00, 0 }, 0 },
	{ "WRITE(6) 256", EXPECT_GOOD, FAKE_OUT, 131072, { 0x0a, 0, 0x1f, 0x00, 0 }, 0x63 },
	{ "READ(6) 256, one too far",
	  EXPECT_LBA_OOB,
	  FAKE_IN,
	  131072,
	  { 0x08, 0, 0x1f, 0x01, 0 },
	  0 },
	{ "READ(6) behind", EXPECT_LBA_OOB, FAKE_IN, 512, { 0x08, 0, 0x20, 0, 1 }, 0 },
	{ "WRITE(6) behind", EXPECT_LBA_OOB, FAKE_OUT, 512, { 0x0a, 0, 0x20, 0, 1 }, 0 },
	{ "READ(6) at 1FFFFFh", EXPECT_LBA_OOB, FAKE_IN, 512, { 0x08, 0x1f, 0xff, 0xff, 1 }, 0 },
	{ "WRITE(10) last",
	  EXPECT_GOOD,
	  FAKE_OUT,
	  512,
	  { 0x2a, 0, 0, 0, 0x1f, 0xff, 0, 0, 1 },
	  0x64 },
	{ "READ(10) last", EXPECT_GOOD, FAKE_IN, 512, { 0x28, 0, 0, 0, 0x1f, 0xff, 0, 0, 1 }, 0 },
	{ "READ(10) last two of one",
	  EXPECT_LBA_OOB,
	  FAKE_IN,
	  1024,
	  { 0x28, 0, 0, 0, 0x1f, 0xff, 0, 0, 2 },
	  0 },
	{ "WRITE(10) last two of one",
	  EXPECT_LBA_OOB,
	  FAKE_OUT,
	  1024,
	  { 0x2a, 0, 0, 0, 0x1f, 0xff, 0, 0, 2 },
	  0 },
	{ "READ(10) behind", EXPECT_LBA_OOB, FAKE_IN, 512, { 0x28, 0, 0, 0, 0x20, 0, 0, 0, 1 }, 0 },
	{ "READ(10) at FFFFFFFFh",
	  EXPECT_LBA_OOB,
	  FAKE_IN,
	  512,
	  { 0x28, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 1 },
	  0 },
	{ "READ(10) nothing", EXPECT_GOOD, FAKE_NONE, 0, { 0x28 }, 0 },
	{ "READ(10) nothing at the end", EXPECT_GOOD, FAKE_NONE, 0, { 0x28, 0, 0, 0, 0x20 }, 0 },
	{ "READ(10) nothing behind the end",
	  EXPECT_LBA_OOB,
	  FAKE_NONE,
	  0,
	  { 0x28, 0, 0, 0, 0x20, 1 },
	  0 },
	{ "WRITE(10) nothing", EXPECT_GOOD, FAKE_NONE, 0, { 0x2a }, 0 },
	{ "WRITE(10) FUA", EXPECT_GOOD, FAKE_OUT, 512, { 0x2a, 8, 0, 0, 0, 0, 0, 0, 1 }, 0x65 },
	{ "WRITE(10) DPO", EXPECT_GOOD, FAKE_OUT, 512, { 0x2a, 0x10, 0, 0, 0, 0, 0, 0, 1 }, 0x65 },
	{ "READ(10) FUA DPO", EXPECT_GOOD, FAKE_IN, 512, { 0x28, 0x18, 0, 0, 0, 0, 0, 0, 1 }, 0 },
	{ "READ(10) RDPROTECT",
	  EXPECT_INVALID_FIELD,
	  FAKE_IN,
	  512,
	  { 0x28, 0x20, 0, 0, 0, 0, 0, 0, 1 },
	  0 },
	{ "WRITE(10) WRPROTECT",
	  EXPECT_INVALID_FIELD,
	  FAKE_OUT,
	  512,
	  { 0x2a, 0x20, 0, 0, 0, 0, 0, 0, 1 },
	  0 },
	{ "WRITE(12) last",
	  EXPECT_GOOD,
	  FAKE_OUT,
	  512,
	  { 0xaa, 0, 0, 0, 0x1f, 0xff, 0, 0, 0, 1 },
	  0x66 },
	{ "READ(12) last",
	  EXPECT_GOOD,
	  FAKE_IN,
	  512,
	  { 0xa8, 0, 0, 0, 0x1f, 0xff, 0, 0, 0, 1 },
	  0 },
	{ "READ(12) behind",
	  EXPECT_LBA_OOB,
	  FAKE_IN,
	  512,
	  { 0xa8, 0, 0, 0, 0x20, 0, 0, 0, 0, 1 },
	  0 },
	{ "WRITE(12) FUA", EXPECT_GOOD, FAKE_OUT, 512, { 0xaa, 8, 0, 0, 0, 0, 0, 0, 0, 1 }, 0x66 },
	{ "WRITE(16) last",
	  EXPECT_GOOD,
	  FAKE_OUT,
	  512,
	  { 0x8a, 0, 0, 0, 0, 0, 0, 0, 0x1f, 0xff, 0, 0, 0, 1 },
	  0x67 },
	{ "READ(16) last",
	  EXPECT_GOOD,
	  FAKE_IN,
	  512,
	  { 0x88, 0, 0, 0, 0, 0, 0, 0, 0x1f, 0xff, 0, 0, 0, 1 },
	  0 },
	{ "READ(16) last two of one",
	  EXPECT_LBA_OOB,
	  FAKE_IN,
	  1024,
	  { 0x88, 0, 0, 0, 0, 0, 0, 0, 0x1f, 0xff, 0, 0, 0, 2 },
	  0 },
	{ "READ(16) above 32 bits",
	  EXPECT_LBA_OOB,
	  FAKE_IN,
	  512,
	  { 0x88, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1 },
	  0 },
	{ "READ(16) at the last number of all",
	  EXPECT_LBA_OOB,
	  FAKE_IN,
	  512,
	  { 0x88, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1 },
	  0 },
	{ "WRITE(16) sum overflows",
	  EXPECT_LBA_OOB,
	  FAKE_OUT,
	  1024,
	  { 0x8a, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 2 },
	  0 },
	{ "READ(16) FUA",
	  EXPECT_GOOD,
	  FAKE_IN,
	  512,
	  { 0x88, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 },
	  0 },
	{ "WRITE(16) FUA",
	  EXPECT_GOOD,
	  FAKE_OUT,
	  512,
	  { 0x8a, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 },
	  0x68 },
	{ "READ(10) NACA",
	  EXPECT_INVALID_FIELD,
	  FAKE_IN,
	  512,
	  { 0x28, 0, 0, 0, 0, 0, 0, 0, 1, 4 },
	  0 },
	{ "SYNCHRONIZE CACHE(10) all", EXPECT_GOOD, FAKE_NONE, 0, { 0x35 }, 0 },
	{ "SYNCHRONIZE CACHE(10) IMMED", EXPECT_GOOD, FAKE_NONE, 0, { 0x35, 2 }, 0 },
	{ "SYNCHRONIZE CACHE(10) range",
	  EXPECT_GOOD,
	  FAKE_NONE,
	  0,
	  { 0x35, 0, 0, 0, 0x1f, 0xff, 0, 0, 1 },
	  0 },
	{ "SYNCHRONIZE CACHE(10) behind",
	  EXPECT_LBA_OOB,
	  FAKE_NONE,
	  0,
	  { 0x35, 0, 0, 0, 0x20, 0, 0, 0, 1 },
	  0 },
	{ "SYNCHRONIZE CACHE(16)", EXPECT_GOOD, FAKE_NONE, 0, { 0x91 }, 0 },
};

static void at_the_ends(void **state)
{
	(void)state;
	SCSI_TABLE(ends);
}

/* What is written with each opcode is what each opcode reads, and what the file holds. */
static void round_trips(void **state)
{
	static const struct {
		uint8_t write, read;
		size_t lba_at, len_at;
	} pairs[] = { { 0x0a, 0x08, 2, 4 },
		      { 0x2a, 0x28, 4, 8 },
		      { 0xaa, 0xa8, 4, 9 },
		      { 0x8a, 0x88, 8, 13 } };
	uint8_t out[2048], in[2048], file[2048];
	int fd = open(scsi_backing(), O_RDONLY | O_CLOEXEC);

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct scsi_case c = { "round trip", EXPECT_GOOD, FAKE_OUT, sizeof(out), { 0 }, 0 };

		for (size_t b = 0; b < sizeof(out); b++)
			out[b] = (uint8_t)(b * 7 + i + (b >> 9));
		c.cdb[0] = pairs[i].write;
		c.cdb[pairs[i].lba_at] = 0x11; /* block 1100h + i * 16 */
		c.cdb[pairs[i].lba_at + 1] = (uint8_t)(i * 16);
		c.cdb[pairs[i].len_at] = 4;
		scsi_do(scsi_dev(), &c, out);
		memset(in, 0xee, sizeof(in));
		c.cdb[0] = pairs[i].read;
		c.dir = FAKE_IN;
		scsi_do(scsi_dev(), &c, in);
		assert_memory_equal(in, out, sizeof(out));
		assert_int_equal(pread(fd, file, sizeof(file), (off_t)(0x1100 + i * 16) * 512),
				 sizeof(file));
		assert_memory_equal(file, out, sizeof(out));
	}
	close(fd);
}

/* Neighbours stay as they are. */
static void only_what_was_asked(void **state)
{
	static const struct scsi_case before = { "WRITE of eight",
						 EXPECT_GOOD,
						 FAKE_OUT,
						 4096,
						 { 0x2a, 0, 0, 0, 0, 100, 0, 0, 8 },
						 0x11 };
	static const struct scsi_case middle = {
		"WRITE of one", EXPECT_GOOD, FAKE_OUT, 512, { 0x2a, 0, 0, 0, 0, 103, 0, 0, 1 }, 0x22
	};
	static const struct scsi_case all = {
		"READ of eight", EXPECT_GOOD, FAKE_IN, 4096, { 0x28, 0, 0, 0, 0, 100, 0, 0, 8 }, 0
	};
	uint8_t in[4096];

	(void)state;
	scsi_do(scsi_dev(), &before, NULL);
	scsi_do(scsi_dev(), &middle, NULL);
	scsi_do(scsi_dev(), &all, in);
	for (size_t i = 0; i < sizeof(in); i++)
		assert_int_equal(in[i], i / 512 == 3 ? 0x22 : 0x11);
}

/* More pieces than one system call takes: the data area is fragmented on purpose. */
static void large(void **state)
{
	static const struct scsi_case out = { "WRITE of 2 MiB",
					      EXPECT_GOOD,
					      FAKE_OUT,
					      2 << 20,
					      { 0x8a, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0x10, 0 },
					      0 };
	static const struct scsi_case in = { "READ of 2 MiB",
					     EXPECT_GOOD,
					     FAKE_IN,
					     2 << 20,
					     { 0x88, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0x10, 0 },
					     0 };
	uint32_t *a = malloc(2 << 20), *b = malloc(2 << 20);

	(void)state;
	for (uint32_t i = 0; i < (2 << 20) / 4; i++)
		a[i] = i * 2654435761u;
	scsi_do(scsi_dev(), &out, a);
	scsi_do(scsi_dev(), &in, b);
	assert_memory_equal(a, b, 2 << 20);
	free(a);
	free(b);
}

static void write_protected(void **state)
{
	static const struct scsi_case rows[] = {
		{ "READ(10)", EXPECT_GOOD, FAKE_IN, 512, { 0x28, 0, 0, 0, 0, 0, 0, 0, 1 }, 0 },
		{ "WRITE(6)", EXPECT_WRITE_PROTECTED, FAKE_OUT, 512, { 0x0a, 0, 0, 0, 1 }, 1 },
		{ "WRITE(10)",
		  EXPECT_WRITE_PROTECTED,
		  FAKE_OUT,
		  512,
		  { 0x2a, 0, 0, 0, 0, 0, 0, 0, 1 },
		  1 },
		{ "WRITE(16)",
		  EXPECT_WRITE_PROTECTED,
		  FAKE_OUT,
		  512,
		  { 0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 },
		  1 },
		{ "WRITE SAME(16)",
		  EXPECT_WRITE_PROTECTED,
		  FAKE_OUT,
		  512,
		  { 0x93, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 },
		  0 },
		{ "SYNCHRONIZE CACHE", EXPECT_GOOD, FAKE_NONE, 0, { 0x35 }, 0 },
		{ "TEST UNIT READY", EXPECT_GOOD, FAKE_NONE, 0, { 0 }, 0 },
	};
	static const struct scsi_case mode = {
		"MODE SENSE(6)", EXPECT_GOOD, FAKE_IN, 64, { 0x1a, 8, 0x3f, 0, 64 }, 0
	};
	char config[200];
	uint8_t buf[64];
	struct fake_dev *ro;

	(void)state;
	close(open(scsi_path("ro"), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	assert_int_equal(truncate(scsi_path("ro"), 1 << 20), 0);
	snprintf(config, sizeof(config), "file/%s;ro", scsi_path("ro"));
	ro = scsi_lun("ro", config, 1 << 20);
	assert_non_null(ro);
	scsi_table(ro, rows, sizeof(rows) / sizeof(rows[0]));
	scsi_do(ro, &mode, buf);
	assert_true(buf[2] & 0x80); /* WP */
	fake_dev_remove(ro);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_the_ends),         cmocka_unit_test(round_trips),
		cmocka_unit_test(only_what_was_asked), cmocka_unit_test(large),
		cmocka_unit_test(write_protected),
	};

	return cmocka_run_group_tests(tests, scsi_setup, scsi_teardown) + scsi_failures();
}
