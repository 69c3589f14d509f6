/* SPDX-License-Identifier: Apache-2.0 */
/* WRITE ATOMIC(16) (SBC-4) on the file handler: its limits, and that nobody ever sees a part of one. */
#include "state.h"

#include <stdio.h>
#include <sys/xattr.h>
#include <unistd.h>

#define FIRST  64u /* the range that all are after */
#define BLOCKS 128u
#define BYTES  (BLOCKS * 512)
#define ODD    5u /* of it, the block that WRITE(16) writes */

static struct fake_dev *lun(const char *name, const char *options)
{
	const char *path = world_file(&w, name, MIB);
	struct fake_dev *dev = NULL;
	char config[400];

	if (setxattr(path, "user.test", "x", 1, 0)) /* see the option ;atomic */
		skip();
	snprintf(config, sizeof(config), "file/%s%s", path, options);
	assert_int_equal(lun_create(&w, name, config, MIB, &dev), 0);
	tur(dev);
	return dev;
}

static void make_cdb(uint8_t *cdb, uint8_t opcode, uint8_t byte1, uint64_t lba, uint16_t blocks)
{
	const int at = 12; /* TRANSFER LENGTH, of the others its lower half */

	memset(cdb, 0, 16);
	cdb[0] = opcode;
	cdb[1] = byte1;
	for (int i = 0; i < 8; i++)
		cdb[2 + i] = (uint8_t)(lba >> (56 - 8 * i));
	cdb[at] = (uint8_t)(blocks >> 8);
	cdb[at + 1] = (uint8_t)blocks;
}

static unsigned int write_atomic(struct fake_dev *dev, uint64_t lba, uint16_t blocks, size_t len)
{
	static uint8_t data[300 * 512];
	uint8_t cdb[16];

	memset(data, 'a', sizeof(data));
	make_cdb(cdb, 0x9c, 0, lba, blocks);
	return send_cmd(dev, cdb, FAKE_OUT, len ? data : NULL, len);
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t max_atomic(struct fake_dev *dev)
{
	uint8_t page[64] = { 0 };

	ASSERT_OUTCOME(send_cmd(dev, CDB(0x12, 1, 0xb0, 0, 64), FAKE_IN, page, sizeof(page)), GOOD);
	/* ALIGNMENT, GRANULARITY, MAXIMUM TRANSFER LENGTH WITH BOUNDARY, BOUNDARY SIZE */
	for (int i = 48; i < 64; i++)
		assert_int_equal(page[i], 0);
	return be32(page + 44);
}

static void limits(void **state)
{
	struct fake_dev *dev, *plain;
	uint8_t cdb[16], data[512] = { 0 };

	(void)state;
	start_usual(TCMU_HANDLERS);
	dev = lun("limits", ";atomic;phys=512");
	plain = lun("plain", "");
	assert_int_equal(max_atomic(dev), 256);
	assert_int_equal(max_atomic(plain), 0);
	ASSERT_OUTCOME(write_atomic(plain, 0, 1, 512), INVALID_OPCODE);

	ASSERT_OUTCOME(write_atomic(dev, 0, 1, 512), GOOD);
	ASSERT_OUTCOME(write_atomic(dev, 3, 256, 256 * 512), GOOD);
	ASSERT_OUTCOME(write_atomic(dev, MIB / 512 - 1, 1, 512), GOOD);
	ASSERT_OUTCOME(write_atomic(dev, 0, 0, 0), GOOD);
	ASSERT_OUTCOME(write_atomic(dev, 0, 257, 257 * 512), INVALID_FIELD_IN_CDB);
	assert_int_equal(last.sense[15] & 0xc0, 0xc0); /* SKSV, C/D: the TRANSFER LENGTH */
	assert_int_equal(last.sense[17], 12);
	ASSERT_OUTCOME(write_atomic(dev, 0, 0xffff, 512), SENSE(5u, 0x21u, 0u));
	ASSERT_OUTCOME(write_atomic(dev, 0, 2, 512), INVALID_FIELD_IN_CDB);
	ASSERT_OUTCOME(write_atomic(dev, MIB / 512, 1, 512), SENSE(5u, 0x21u, 0u));
	ASSERT_OUTCOME(write_atomic(dev, MIB / 512 - 1, 2, 1024), SENSE(5u, 0x21u, 0u));
	make_cdb(cdb, 0x9c, 0x08, 7, 1); /* FUA */
	ASSERT_OUTCOME(send_cmd(dev, cdb, FAKE_OUT, data, sizeof(data)), GOOD);
	cdb[11] = 1; /* ATOMIC BOUNDARY */
	ASSERT_OUTCOME(send_cmd(dev, cdb, FAKE_OUT, data, sizeof(data)), INVALID_FIELD_IN_CDB);
	assert_int_equal(fake_dev_remove(dev), 0);
	assert_int_equal(fake_dev_remove(plain), 0);
}

/* SBC-4 6.6, ATOMIC ALIGNMENT and ATOMIC TRANSFER LENGTH GRANULARITY: whole physical blocks. */
static void whole_physical_blocks(void **state)
{
	uint8_t page[64] = { 0 };
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_HANDLERS);
	dev = lun("physical", ";atomic;phys=4096");
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x12, 1, 0xb0, 0, 64), FAKE_IN, page, sizeof(page)), GOOD);
	assert_int_equal(be32(page + 44), 256);
	assert_int_equal(be32(page + 48), 8);
	assert_int_equal(be32(page + 52), 8);
	ASSERT_OUTCOME(write_atomic(dev, 8, 16, 16 * 512), GOOD);
	ASSERT_OUTCOME(write_atomic(dev, 16, 0, 0), GOOD);
	ASSERT_OUTCOME(write_atomic(dev, 0, 1, 512), INVALID_FIELD_IN_CDB);
	assert_int_equal(last.sense[17], 12); /* TRANSFER LENGTH */
	ASSERT_OUTCOME(write_atomic(dev, 1, 8, 8 * 512), INVALID_FIELD_IN_CDB);
	assert_int_equal(last.sense[17], 2); /* LOGICAL BLOCK ADDRESS */
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* ---- all at once ---- */

enum { WRITERS = 4, VERIFIERS = 2, READERS = 9, FLIGHTS = WRITERS + VERIFIERS + READERS + 1 };

struct flight {
	struct fake_cmd cmd;
	_Atomic(bool) done;
	bool busy;
	uint8_t data[BYTES];
};

static struct flight flights[FLIGHTS];
static unsigned int atomic_writes, reads, verifies, plain_writes, turn;

static void landed(struct fake_cmd *cmd)
{
	atomic_store((_Atomic(bool) *)cmd->arg, true);
}

/* One letter in all blocks; in the odd one perhaps that of WRITE(16). */
static void assert_whole(const uint8_t *data)
{
	for (unsigned int i = 0; i < BYTES; i++) {
		if (data[i] != data[0] && !(i / 512 == ODD && data[i] == 'w'))
			fail_msg("block %u has '%c', the first one '%c'", i / 512, data[i],
				 data[0]);
	}
}

/* Where it differs first: in the first byte, or in the odd block. */
static void assert_verified(const struct fake_cmd *cmd)
{
	uint32_t info = be32(cmd->sense + 3);

	if (!cmd->status)
		return;
	assert_int_equal(outcome(cmd), SENSE(0xeu, 0x1du, 0u));
	if (info != 0 && info != ODD * 512)
		fail_msg("a VERIFY has seen a part: it differs at byte %u", info);
}

static void look_at(const struct flight *f)
{
	long i = f - flights;

	if (f->cmd.status == 0x08) /* the daemon was killed */
		return;
	if (i < WRITERS) {
		assert_int_equal(f->cmd.status, 0);
		atomic_writes++;
	} else if (i < WRITERS + VERIFIERS) {
		assert_verified(&f->cmd);
		verifies++;
	} else if (i < WRITERS + VERIFIERS + READERS) {
		assert_int_equal(f->cmd.status, 0);
		assert_whole(f->data);
		reads++;
	} else {
		assert_int_equal(f->cmd.status, 0);
		plain_writes++;
	}
}

static void take_off(struct fake_dev *dev, struct flight *f)
{
	long i = f - flights;
	enum fake_dir dir = FAKE_OUT;
	size_t len = BYTES;
	uint8_t cdb[16];

	memset(f->data, (int)('A' + turn++ % 23), BYTES);
	if (i < WRITERS) {
		make_cdb(cdb, 0x9c, 0, FIRST, BLOCKS);
	} else if (i < WRITERS + VERIFIERS) {
		make_cdb(cdb, 0x8f, 3 << 1, FIRST, BLOCKS);
		len = 512;
	} else if (i < WRITERS + VERIFIERS + READERS) {
		make_cdb(cdb, 0x88, 0, FIRST, BLOCKS);
		dir = FAKE_IN;
	} else {
		make_cdb(cdb, 0x8a, 0, FIRST + ODD, 1);
		memset(f->data, 'w', 512);
		len = 512;
	}
	fake_cmd_init(&f->cmd, cdb, 16, dir, f->data, len);
	f->cmd.done = landed;
	f->cmd.arg = (void *)&f->done;
	atomic_store(&f->done, false);
	f->busy = true;
	fake_ring_submit(fake_dev_ring(dev), &f->cmd);
}

/* until: this many atomic writes are done; 0: nothing new takes off, and all land. */
static void fly(struct fake_dev *dev, unsigned int until)
{
	uint64_t end = fake_now_ms() + LONG_MS;
	unsigned int busy;

	do {
		busy = 0;
		for (struct flight *f = flights; f < flights + FLIGHTS; f++) {
			if (f->busy && atomic_load(&f->done)) {
				f->busy = false;
				look_at(f);
			}
			if (!f->busy && atomic_writes < until)
				take_off(dev, f);
			busy += f->busy;
		}
		assert_true(fake_now_ms() < end);
		usleep(20);
	} while (until ? atomic_writes < until : busy);
}

static void begin_flights(struct fake_dev *dev)
{
	memset(flights, 0, sizeof(flights));
	atomic_writes = reads = verifies = plain_writes = 0;
	ASSERT_OUTCOME(write_atomic(dev, FIRST, BLOCKS, BYTES), GOOD);
}

static void never_seen_in_part(void **state)
{
	static const char *const options[] = { ";atomic", ";atomic;direct" };
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_HANDLERS);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		dev = lun(i ? "direct" : "buffered", options[i]);
		begin_flights(dev);
		fly(dev, 300);
		fly(dev, 0);
		assert_true(reads > 100 && verifies > 50 && plain_writes > 50);
		assert_int_equal(fake_dev_remove(dev), 0);
	}
}

/* What it was doing when it was killed is over when the next one has opened the file. */
static void not_when_the_daemon_dies(void **state)
{
	struct fake_dev *dev;
	uint8_t cdb[16], data[BYTES];

	(void)state;
	start_usual(TCMU_HANDLERS);
	dev = lun("killed", ";atomic");
	for (unsigned int i = 0; i < 6; i++) {
		begin_flights(dev);
		fly(dev, 5 + i * 3);
		restart(TCMU_HANDLERS, true);
		fly(dev, 0);
		make_cdb(cdb, 0x88, 0, FIRST, BLOCKS);
		ASSERT_OUTCOME(send_cmd(dev, cdb, FAKE_IN, data, BYTES), GOOD);
		assert_whole(data);
	}
	assert_int_equal(fake_dev_remove(dev), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, faults_open, faults_close)
	const struct CMUnitTest tests[] = {
		T(limits),
		T(whole_physical_blocks),
		T(never_seen_in_part),
		T(not_when_the_daemon_dies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
