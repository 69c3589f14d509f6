/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands whose data lie in more pieces than IOV_MAX, 1,024: the kernel makes one of every gap in the
 * data area. Here every other block of it is taken, by VERIFYs that wait: a device has one bounce
 * buffer, and a long VERIFY has it.
 */
#include "scsi.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/daemon/proc.h"

enum { GAPS = 2000, PAGE = 4096 };

#define LU_SIZE    (16ull << 30)
#define TIMEOUT_MS 60000

struct waiting {
	struct fake_cmd cmd;
	uint8_t data[512];
};

static struct waiting held[GAPS], gap[GAPS];
static struct fake_cmd longest;
static _Atomic(int) held_done, gap_done, longest_done, big_done;

static void count(struct fake_cmd *cmd)
{
	atomic_fetch_add((_Atomic(int) *)cmd->arg, 1);
}

static void submit(struct fake_dev *dev, struct fake_cmd *cmd, _Atomic(int) *done)
{
	cmd->done = count;
	cmd->arg = (void *)done;
	fake_ring_submit(fake_dev_ring(dev), cmd);
}

static void wait_for(_Atomic(int) *done, int n)
{
	uint64_t end = fake_now_ms() + TIMEOUT_MS;

	while (atomic_load(done) < n) {
		assert_true(fake_now_ms() < end);
		usleep(500);
	}
}

static void put(uint8_t *p, int bytes, uint64_t v)
{
	while (bytes--) {
		p[bytes] = (uint8_t)v;
		v >>= 8;
	}
}

/* Takes every other block of the data area. None of the commands is seen before all have their place:
 * those of the gaps end at once, then. */
static void take_every_other(struct fake_dev *dev, uint64_t verify_bytes)
{
	static const uint8_t verify_one[16] = { 0x2f, 3 << 1, [8] = 1 };
	static const uint8_t read_one[16] = { 0x28, [8] = 1 };
	uint8_t verify[16] = { 0x8f };

	put(verify + 10, 4, verify_bytes / 512);
	fake_cmd_init(&longest, verify, 16, FAKE_NONE, NULL, 0);
	atomic_store(&held_done, 0);
	atomic_store(&gap_done, 0);
	atomic_store(&longest_done, 0);
	fake_ring_hold_head(fake_dev_ring(dev), true);
	submit(dev, &longest, &longest_done);
	for (int i = 0; i < GAPS; i++) {
		memset(held[i].data, 0, sizeof(held[i].data)); /* as on the medium */
		fake_cmd_init(&held[i].cmd, verify_one, 16, FAKE_OUT, held[i].data, 512);
		fake_cmd_init(&gap[i].cmd, read_one, 16, FAKE_IN, gap[i].data, 512);
		submit(dev, &held[i].cmd, &held_done);
		submit(dev, &gap[i].cmd, &gap_done);
	}
	fake_ring_hold_head(fake_dev_ring(dev), false);
	wait_for(&gap_done, GAPS);
}

static void all_end(struct fake_dev *dev)
{
	wait_for(&held_done, GAPS);
	wait_for(&longest_done, 1);
	assert_int_equal(longest.status, 0);
	for (int i = 0; i < GAPS; i++) {
		assert_int_equal(held[i].cmd.status, 0);
		assert_int_equal(gap[i].cmd.status, 0);
	}
	assert_int_equal(fake_wait_idle(fake_dev_ring(dev), TIMEOUT_MS), 0);
}

/* One command whose data are in so many pieces. False: those that held the gaps open were done. */
static bool in_pieces(struct fake_dev *dev, uint64_t verify_bytes, uint8_t opcode, uint64_t lba,
		      int pieces, uint8_t *data)
{
	uint8_t cdb[16] = { opcode, opcode == 0x8f ? 1 << 1 : 0 };
	static struct fake_cmd cmd;
	bool held_all;

	put(cdb + 2, 8, lba);
	put(cdb + 10, 4, (uint64_t)pieces * PAGE / 512);
	fake_cmd_init(&cmd, cdb, 16, opcode == 0x88 ? FAKE_IN : FAKE_OUT, data,
		      (size_t)pieces * PAGE);
	take_every_other(dev, verify_bytes);
	atomic_store(&big_done, 0);
	submit(dev, &cmd, &big_done);
	held_all = !atomic_load(&held_done);
	wait_for(&big_done, 1);
	assert_int_equal(cmd.status, 0);
	assert_int_equal(cmd.residual, 0);
	all_end(dev);
	return held_all;
}

static void run(struct fake_dev *dev, uint8_t opcode, uint64_t lba, int pieces, uint8_t *data)
{
	uint64_t bytes = 256ull << 20;

	while (!in_pieces(dev, bytes, opcode, lba, pieces, data)) {
		bytes *= 2;
		assert_true(bytes < LU_SIZE);
	}
}

static void noise(uint8_t *p, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i += 4) {
		uint32_t v = ((uint32_t)i / 4 + seed) * 2654435761u;

		memcpy(p + i, &v, 4);
	}
}

static void transfer(struct fake_dev *dev, const char *file, int pieces)
{
	size_t len = (size_t)pieces * PAGE;
	uint8_t *out = malloc(len), *in = malloc(len);
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	uint64_t lba = 4096 + 7;

	noise(out, len, (uint32_t)pieces);
	run(dev, 0x8a, lba, pieces, out);
	assert_int_equal(pread(fd, in, len, (off_t)lba * 512), len);
	assert_memory_equal(in, out, len);
	memset(in, 0, len);
	run(dev, 0x88, lba, pieces, in);
	assert_memory_equal(in, out, len);
	run(dev, 0x8f, lba, pieces, out); /* VERIFY compares all of it */
	close(fd);
	free(out);
	free(in);
}

static void pieces_of(const char *name, const char *options)
{
	static const int pieces[] = { 1023, 1024, 1025, GAPS };
	/* With all of the gaps taken there is not one block left. */
	static const struct fake_ring_cfg ring = { .ring_bytes = 4 << 20,
						   .pages_per_blk = 1,
						   .data_blocks = 2 * GAPS,
						   .qfull_time_out = -1 };
	char config[300];
	struct fake_dev *dev;

	close(open(scsi_path(name), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	assert_int_equal(truncate(scsi_path(name), (off_t)LU_SIZE), 0);
	snprintf(config, sizeof(config), "file/%s%s", scsi_path(name), options);
	dev = scsi_lun_on(name, config, LU_SIZE, &ring);
	assert_non_null(dev);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		transfer(dev, scsi_path(name), pieces[i]);
	assert_int_equal(fake_dev_remove(dev), 0);
}

static void buffered(void **state)
{
	(void)state;
	pieces_of("pieces", "");
}

/* A parameter list in several pieces: two descriptors at its ends. */
static void list_in_pieces(void **state)
{
	enum { N = 255 };
	static uint8_t list[8 + 16 * N];
	struct scsi_case c = { "UNMAP of a long list",
			       EXPECT_GOOD,
			       FAKE_OUT,
			       sizeof(list),
			       { 0x42, [7] = sizeof(list) >> 8, [8] = sizeof(list) & 0xff },
			       0 };
	static const struct scsi_case fill = { "WRITE(10)", EXPECT_GOOD,       FAKE_OUT,
					       131072,      { 0x2a, [7] = 1 }, 0x6b };
	static const struct scsi_case rd = { "READ(10)", EXPECT_GOOD,       FAKE_IN,
					     131072,     { 0x28, [7] = 1 }, 0 };
	static const struct fake_ring_cfg ring = { .pages_per_blk = 1,
						   .data_blocks = 256,
						   .qfull_time_out = -1 };
	static uint8_t data[131072];
	struct fake_dev *dev;
	char config[300];

	(void)state;
	close(open(scsi_path("list"), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	assert_int_equal(truncate(scsi_path("list"), 1 << 20), 0);
	snprintf(config, sizeof(config), "file/%s", scsi_path("list"));
	dev = scsi_lun_on("list", config, 1 << 20, &ring);
	assert_non_null(dev);
	scsi_do(dev, &fill, NULL);
	put(list, 2, sizeof(list) - 2);
	put(list + 2, 2, sizeof(list) - 8);
	for (int i = 0; i < N; i++) { /* every block but the last one of the 256 */
		put(list + 8 + i * 16, 8, (uint64_t)i);
		put(list + 8 + i * 16 + 8, 4, i % 5 ? 1 : 0);
	}
	scsi_do(dev, &c, list);
	scsi_do(dev, &rd, data);
	for (int i = 0; i < 256; i++)
		assert_int_equal(data[i * 512], i < N && i % 5 ? 0 : 0x6b);
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* O_DIRECT, where the file system has it. */
static void direct(void **state)
{
	int fd = open(scsi_backing(), O_RDWR | O_DIRECT | O_CLOEXEC);

	(void)state;
	if (fd < 0)
		skip();
	close(fd);
	pieces_of("direct", ";direct");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffered),
		cmocka_unit_test(direct),
		cmocka_unit_test(list_in_pieces),
	};

	return cmocka_run_group_tests(tests, scsi_setup, scsi_teardown) + scsi_failures();
}
