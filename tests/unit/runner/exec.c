/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executors: a CDB and a data buffer in, status, sense, data and handler calls out. Dispatch
 * and operations are the real ones; the ring, the device's loop and the handler are played here.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/device.h"
#include "runner/device.h"
#include "runner/runner.h"
#include "scsi/inquiry.h"
#include "util/be.h"

#define BLOCK  512u
#define BLOCKS 4096u

static struct tcmu_device dev;
static struct runner_dev rdev;
static struct runner_handler entry;
static struct tcmur_handler handler;

static char cfgstring[] = "mem/";
static uint8_t medium[BLOCK * BLOCKS];

/* What the handler was asked, a letter each: r w f u s (read, write, flush, unmap, write same). */
static char calls[4096];
static int unmap_sts, writesame_sts, read_sts, flush_sts;
static uint64_t bad_byte; /* reads over it fail */

/* ---- the library and the rest of the runner ---- */

static struct {
	bool done;
	int sts;
	uint8_t sense[SCSI_SENSE_SIZE];
	uint32_t read_len;
} answer;

void tcmulib_command_complete(struct tcmu_device *d, struct tcmulib_cmd *cmd, int sts)
{
	(void)d;
	assert_false(answer.done);
	answer.done = true;
	answer.sts = sts;
	answer.read_len = cmd->read_len;
	memcpy(answer.sense, cmd->sense_buf, sizeof(answer.sense));
}

ssize_t tcmu_dev_read_attr(struct tcmu_device *d, const char *name, char *buf, size_t size)
{
	(void)d, (void)name, (void)buf, (void)size;
	return -ENOENT;
}

static uint8_t note;

uint8_t tcmulib_device_note(struct tcmu_device *d)
{
	(void)d;
	return note;
}

void tcmulib_device_set_note(struct tcmu_device *d, uint8_t n)
{
	(void)d;
	note = n;
}

void tcmu_log(enum tcmu_log_level level, struct tcmu_device *d, const char *fmt, ...)
{
	(void)level, (void)d, (void)fmt;
}

void runner_dev_wake(struct runner_dev *r)
{
	(void)r;
}

void runner_dev_request(struct runner_dev *r, unsigned int req)
{
	(void)r, (void)req;
	fail_msg("the handler was found at fault");
}

/* ---- the handler: memory; reads complete at once, the rest inside the callback ---- */

static void called(char what)
{
	size_t n = strlen(calls);

	if (n < sizeof(calls) - 1) {
		calls[n] = what;
		calls[n + 1] = '\0';
	}
}

static int mem_read(struct tcmu_device *d, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
		    size_t len, off_t off)
{
	(void)d;
	called('r');
	assert_int_equal(tcmu_iovec_length(iov, iov_cnt), len);
	assert_true((size_t)off + len <= sizeof(medium));
	if (read_sts)
		return read_sts;
	if (bad_byte >= (uint64_t)off && bad_byte < (uint64_t)off + len) {
		tcmur_cmd_set_error_offset(cmd, bad_byte);
		return TCMU_STS_RD_ERR;
	}
	tcmu_memcpy_into_iovec(iov, iov_cnt, medium + off, len);
	tcmu_iovec_seek(iov, len); /* a handler may */
	return TCMU_STS_OK;
}

static int mem_write(struct tcmu_device *d, struct tcmur_cmd *cmd, struct iovec *iov,
		     size_t iov_cnt, size_t len, off_t off)
{
	called('w');
	assert_int_equal(tcmu_iovec_length(iov, iov_cnt), len);
	assert_true((size_t)off + len <= sizeof(medium));
	tcmu_memcpy_from_iovec(medium + off, len, iov, iov_cnt);
	tcmu_iovec_seek(iov, len);
	tcmur_cmd_complete(d, cmd, TCMU_STS_OK);
	return TCMU_STS_ASYNC_HANDLED;
}

static int mem_flush(struct tcmu_device *d, struct tcmur_cmd *cmd)
{
	(void)d, (void)cmd;
	called('f');
	return flush_sts;
}

static int mem_unmap(struct tcmu_device *d, struct tcmur_cmd *cmd, uint64_t off, uint64_t len)
{
	(void)d, (void)cmd;
	called('u');
	assert_true(off + len <= sizeof(medium));
	if (!unmap_sts)
		memset(medium + off, 0, len);
	return unmap_sts;
}

static int mem_writesame(struct tcmu_device *d, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
			 struct iovec *iov, size_t iov_cnt)
{
	uint8_t block[BLOCK];

	(void)d, (void)cmd;
	called('s');
	assert_int_equal(tcmu_iovec_length(iov, iov_cnt), BLOCK);
	assert_true(off + len <= sizeof(medium));
	tcmu_memcpy_from_iovec(block, BLOCK, iov, iov_cnt);
	tcmu_iovec_seek(iov, BLOCK);
	if (writesame_sts)
		return writesame_sts;
	for (uint64_t at = off; at < off + len; at += BLOCK)
		memcpy(medium + at, block, BLOCK);
	return TCMU_STS_OK;
}

/* ---- a command ---- */

static uint8_t data[1 << 20];
static uint8_t sent[1 << 20]; /* the initiator's buffer */

static int setup(void **state)
{
	(void)state;
	memset(&dev, 0, sizeof(dev));
	dev.fd = -1;
	dev.cfgstring = cfgstring;
	dev.num_lbas = BLOCKS;
	dev.block_size = BLOCK;
	dev.max_xfer_len = 1024;
	dev.max_unmap_len = 2048;
	dev.write_cache = dev.unmap = dev.unmap_zeroes = true;

	memset(&handler, 0, sizeof(handler));
	handler.subtype = "mem";
	handler.read = mem_read;
	handler.write = mem_write;
	handler.flush = mem_flush;
	handler.unmap = mem_unmap;
	handler.writesame = mem_writesame;

	memset(&rdev, 0, sizeof(rdev));
	rdev.dev = &dev;
	rdev.entry = &entry;
	rdev.handler = &handler;
	rdev.bounce_last = &rdev.bounce_first;
	mpsc_init(&rdev.cmds_done);

	unmap_sts = writesame_sts = read_sts = flush_sts = TCMU_STS_OK;
	bad_byte = UINT64_MAX;
	for (size_t i = 0; i < sizeof(medium); i++)
		medium[i] = (uint8_t)(i / BLOCK + i % 251);
	memset(data, 0xee, sizeof(data));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_null(rdev.bounce_owner);
	free(rdev.bounce);
	return 0;
}

/* Runs it to its end, with data_len bytes of data cut into pieces (0: one). The outcome. */
static int run_pieces(const uint8_t *cdb, size_t data_len, size_t piece)
{
	static union {
		struct runner_cmd rc;
		uint8_t room[4096];
	} mem;
	static struct iovec iov[512];
	struct tcmulib_cmd cmd = { 0 };
	uint8_t copy[16];

	memcpy(copy, cdb, sizeof(copy));
	cmd.cdb = copy;
	cmd.iovec = iov;
	for (size_t at = 0; at < data_len; cmd.iov_cnt++) {
		size_t n = piece && data_len - at > piece ? piece : data_len - at;

		iov[cmd.iov_cnt] = (struct iovec) { data + at, n };
		at += n;
	}
	memset(&mem, 0xa5, sizeof(mem));
	cmd.hm_private = &mem.rc;
	memset(&answer, 0, sizeof(answer));
	calls[0] = '\0';

	memcpy(sent, data, sizeof(sent));
	runner_dispatch(&rdev, &cmd);
	while (!answer.done)
		assert_true(runner_ops_reap(&rdev));
	assert_false(runner_ops_reap(&rdev));
	/* The initiator has its own copy of what it sent. */
	if (scsi_opcode_find(cdb) && scsi_opcode_find(cdb)->dir == SCSI_DIR_OUT)
		memcpy(data, sent, sizeof(data));
	return answer.sts;
}

static int run(const uint8_t *cdb, size_t data_len)
{
	return run_pieces(cdb, data_len, 0);
}

static void expect_sense(int sts, uint8_t key, uint8_t asc, uint8_t ascq)
{
	struct scsi_sense sense;

	if (sts != TCMU_STS_PASSTHROUGH_ERR) {
		scsi_sense_from_sts(sts, &sense);
		scsi_sense_build(&sense, false, answer.sense);
	}
	assert_int_equal(answer.sense[2] & 0xf, key);
	assert_int_equal(answer.sense[12], asc);
	assert_int_equal(answer.sense[13], ascq);
}

static const uint8_t *cdb10(uint8_t opcode, uint8_t byte1, uint32_t lba, uint16_t blocks)
{
	static uint8_t cdb[16];

	memset(cdb, 0, sizeof(cdb));
	cdb[0] = opcode;
	cdb[1] = byte1;
	put_be32(cdb + 2, lba);
	put_be16(cdb + 7, blocks);
	return cdb;
}

static const uint8_t *cdb16(uint8_t opcode, uint8_t byte1, uint64_t lba, uint32_t blocks)
{
	static uint8_t cdb[16];

	memset(cdb, 0, sizeof(cdb));
	cdb[0] = opcode;
	cdb[1] = byte1;
	put_be64(cdb + 2, lba);
	put_be32(cdb + 10, blocks);
	return cdb;
}

#define READ10   0x28
#define WRITE10  0x2a
#define VERIFY10 0x2f
#define SYNC10   0x35
#define WSAME10  0x41
#define WSAME16  0x93
#define VERIFY16 0x8f
#define UNMAP10  0x42

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

static bool is_zero(uint64_t lba, uint64_t blocks)
{
	for (uint64_t i = lba * BLOCK; i < (lba + blocks) * BLOCK; i++)
		if (medium[i])
			return false;
	return true;
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
}

static void write_same_to_the_end(void **state)
{
	(void)state;
	fill_data();
	assert_int_equal(run(cdb10(WSAME10, 0, BLOCKS - 3, 0), BLOCK), TCMU_STS_OK);
	expect_pattern(BLOCKS - 3, 3, data);
	dev.num_lbas = SCSI_MAX_WRITE_SAME + 1;
	expect_sense(run(cdb10(WSAME10, 0, 0, 0), BLOCK), 5, 0x24, 0);
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

/* ---- the small ones ---- */

static void small_answers(void **state)
{
	const uint8_t tur[16] = { 0x00 };
	const uint8_t inquiry[16] = { 0x12, 0, 0, 0, 96 };
	const uint8_t serial[16] = { 0x12, 1, 0x80, 0, 255 };
	const uint8_t limits[16] = { 0x12, 1, 0xb0, 0, 64 };
	const uint8_t rc10[16] = { 0x25 };
	const uint8_t rc16[16] = { 0x9e, 0x10, [13] = 32 };
	const uint8_t sense6[16] = { 0x1a, 0, 0x3f, 0, 255 };
	const uint8_t rsoc[16] = { 0xa3, 0x0c, [6] = 0xff, [7] = 0xff, [8] = 0xff };

	(void)state;
	assert_int_equal(run(tur, 0), TCMU_STS_OK);
	assert_int_equal(run(inquiry, 96), TCMU_STS_OK);
	assert_memory_equal(data + 8, "LIO-ORG ", 8);
	assert_int_equal(run(serial, 255), TCMU_STS_OK);
	assert_int_equal(run(limits, 64), TCMU_STS_OK);
	assert_int_equal(get_be64(data + 36), SCSI_MAX_WRITE_SAME);
	assert_int_equal(run(rc10, 8), TCMU_STS_OK);
	assert_int_equal(get_be32(data), BLOCKS - 1);
	assert_int_equal(run(rc16, 32), TCMU_STS_OK);
	assert_int_equal(get_be64(data), BLOCKS - 1);
	assert_int_equal(run(sense6, 255), TCMU_STS_OK);
	assert_int_equal(run(rsoc, sizeof(data)), TCMU_STS_OK);
	assert_true(get_be32(data) > 8);
	assert_string_equal(calls, "");
}

static void request_sense_reports_unit_attention_once(void **state)
{
	const uint8_t cdb[16] = { 0x03, 0, 0, 0, 252 };

	(void)state;
	atomic_store(&rdev.unit_attentions, RUNNER_UA_CAPACITY_CHANGED);
	assert_int_equal(run(cdb, 252), TCMU_STS_OK);
	assert_int_equal(data[2] & 0xf, 6);
	assert_int_equal(data[12], 0x2a);
	assert_int_equal(data[13], 0x09);
	assert_int_equal(run(cdb, 252), TCMU_STS_OK);
	assert_int_equal(data[2] & 0xf, 0);
	assert_int_equal(data[12], 0);
}

/* The caching page as MODE SENSE gives it, with this WCE. */
static int select_wce(bool wce)
{
	const uint8_t sense6[16] = { 0x1a, 8, 0x08, 0, 255 };
	const uint8_t select6[16] = { 0x15, 0x10, 0, 0, 24 };

	assert_int_equal(run(sense6, 255), TCMU_STS_OK);
	data[0] = 0;
	data[2] = 0;
	data[4] &= 0x3f;
	data[6] = (uint8_t)(wce ? data[6] | 4 : data[6] & ~4);
	return run(select6, 24);
}

static void mode_select_turns_the_cache(void **state)
{
	(void)state;
	assert_int_equal(select_wce(true), TCMU_STS_OK);
	assert_string_equal(calls, "");
	assert_int_equal(select_wce(false), TCMU_STS_OK);
	assert_string_equal(calls, "f");
	assert_false(dev.write_cache);
	assert_int_equal(select_wce(true), TCMU_STS_OK);
	assert_string_equal(calls, "");
	assert_true(dev.write_cache);

	flush_sts = TCMU_STS_WR_ERR;
	expect_sense(select_wce(false), 3, 0x0c, 0);
	assert_true(dev.write_cache);
}

static void start_stop(void **state)
{
	uint8_t cdb[16] = { 0x1b };

	(void)state;
	assert_int_equal(run(cdb, 0), TCMU_STS_OK);
	assert_string_equal(calls, "f");
	cdb[4] = 0x01;
	cdb[1] = 0x01; /* IMMED */
	assert_int_equal(run(cdb, 0), TCMU_STS_OK);
	assert_string_equal(calls, "");
	cdb[4] = 0x02; /* LOEJ */
	expect_sense(run(cdb, 0), 5, 0x24, 0);
	cdb[4] = 0x31;
	expect_sense(run(cdb, 0), 5, 0x24, 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

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
		T(unmap_runs_the_list),
		T(unmap_is_a_hint_but_errors_count),
		T(unmap_refusals),
		T(unmap_without_cache_is_flushed),
		T(write_same_by_the_handler),
		T(write_same_by_writes),
		T(write_same_unmaps_zeros_only),
		T(write_same_ndob),
		T(write_same_to_the_end),
		T(write_same_refusals),
		T(small_answers),
		T(request_sense_reports_unit_attention_once),
		T(mode_select_turns_the_cache),
		T(start_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
