/* SPDX-License-Identifier: Apache-2.0 */
/* SANITIZE (SBC-4 4.11, 5.30): every block is written, as often and with what was asked for. */
#include "state.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SIZE (1 * MIB)

#define OVERWRITE   0x01
#define BLOCK_ERASE 0x02
#define EXIT        0x1f
#define IMMED       0x80
#define AUSE        0x20

static unsigned int simple(struct fake_dev *dev, uint8_t byte1)
{
	return send_cmd(dev, CDB(0x48, byte1), FAKE_NONE, NULL, 0);
}

/* A pattern of one byte. */
static unsigned int overwrite(struct fake_dev *dev, uint8_t byte1, uint8_t count_byte, uint8_t fill)
{
	uint8_t list[5] = { count_byte, 0, 0, 1, fill };

	return send_cmd(dev, CDB(0x48, (uint8_t)(byte1 | OVERWRITE), [8] = 5), FAKE_OUT, list,
			sizeof(list));
}

/* "w.." and "f" in the order in which they came: first bytes of each pass' first write, and flushes. */
static const char *passes(const char *name)
{
	static char out[256];
	const char *line = trace(name);

	out[0] = '\0';
	while (*line && strlen(out) < sizeof(out) - 8) {
		if (!strncmp(line, "write 0+", 8))
			snprintf(out + strlen(out), 8, "%.2s ", strchr(line, '\n') - 2);
		else if (!strncmp(line, "flush", 5))
			strcat(out, "f ");
		else if (!strncmp(line, "unmap 0+", 8))
			strcat(out, "u ");
		line = strchr(line, '\n') + 1;
	}
	return out;
}

static void overwrites(void **state)
{
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	led_mark("once", "unmaps"); /* no reason not to write */
	dev = led_lun("once", SIZE);
	ASSERT_OUTCOME(overwrite(dev, 0, 1, 0xa5), GOOD);
	assert_true(medium_is("once", 0xa5));
	assert_string_equal(passes("once"), "a5 f ");
	assert_int_equal(count(trace("once"), "write"), 4);
	ASSERT_OUTCOME(overwrite(dev, AUSE, 1, 0), GOOD); /* zeros too */
	assert_true(medium_is("once", 0));
	assert_int_equal(count(trace("once"), "write"), 8);
	ASSERT_OUTCOME(tur(dev), GOOD);
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* OVERWRITE COUNT and INVERT: the last pass is the pattern, each is durable before the next one. */
static void several_passes(void **state)
{
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = led_lun("three", SIZE);
	ASSERT_OUTCOME(overwrite(dev, 0, 3, 0x11), GOOD);
	assert_string_equal(passes("three"), "11 f 11 f 11 f ");
	assert_int_equal(fake_dev_remove(dev), 0);
	dev = led_lun("odd", SIZE);
	ASSERT_OUTCOME(overwrite(dev, 0, 0x80 | 3, 0x11), GOOD);
	assert_string_equal(passes("odd"), "11 f ee f 11 f ");
	assert_true(medium_is("odd", 0x11));
	assert_int_equal(fake_dev_remove(dev), 0);
	dev = led_lun("even", SIZE);
	ASSERT_OUTCOME(overwrite(dev, 0, 0x80 | 2, 0x11), GOOD);
	assert_string_equal(passes("even"), "ee f 11 f ");
	assert_true(medium_is("even", 0x11));
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* A pattern that does not fit evenly begins anew in each block. */
static void patterns(void **state)
{
	uint8_t list[4 + 512], buf[512];
	static const size_t lens[] = { 3, 4, 256, 512 };
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_HANDLERS);
	dev = file_lun(&w, "patterns", SIZE);
	for (size_t n = 0; n < sizeof(lens) / sizeof(lens[0]); n++) {
		uint8_t cdb[16] = { 0x48, OVERWRITE };

		for (size_t i = 0; i < lens[n]; i++)
			list[4 + i] = (uint8_t)(i * 7 + n + 1);
		list[0] = 1;
		list[1] = 0;
		list[2] = (uint8_t)(lens[n] >> 8);
		list[3] = (uint8_t)lens[n];
		cdb[7] = (uint8_t)((lens[n] + 4) >> 8);
		cdb[8] = (uint8_t)(lens[n] + 4);
		ASSERT_OUTCOME(send_cmd(dev, cdb, FAKE_OUT, list, lens[n] + 4), GOOD);
		for (uint64_t lba = 0; lba < SIZE / 512; lba += 1023) {
			ASSERT_OUTCOME(read_block(dev, lba, buf), GOOD);
			for (size_t i = 0; i < sizeof(buf); i++)
				assert_int_equal(buf[i], list[4 + i % lens[n]]);
		}
	}
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* Written with zeros first, since a hole alone leaves the old blocks to the file system. */
static void erases(void **state)
{
	uint8_t buf[512];
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	led_mark("erased", "unmaps");
	dev = led_lun("erased", SIZE);
	medium_fill("erased", 0x5a);
	ASSERT_OUTCOME(simple(dev, BLOCK_ERASE), GOOD);
	assert_true(medium_is("erased", 0));
	assert_string_equal(passes("erased"), "00 f u f ");
	assert_int_equal(count(trace("erased"), "write"), 4);
	/* VPD page B1h, WABEREQ: reads are fine afterwards */
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x12, 1, 0xb1, 0, 64), FAKE_IN, buf, 64), GOOD);
	assert_int_equal(buf[7] >> 6, 1);
	ASSERT_OUTCOME(read_block(dev, 0, buf), GOOD);
	assert_int_equal(fake_dev_remove(dev), 0);
}

static void bad_requests(void **state)
{
	static uint8_t list[600];
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	led_mark("refused", "unmaps");
	dev = led_lun("refused", SIZE);
	medium_fill("refused", 0x5a);
	for (uint8_t action = 0; action < 32; action++) {
		if (action != OVERWRITE && action != BLOCK_ERASE && action != EXIT)
			ASSERT_OUTCOME(simple(dev, action), INVALID_FIELD_IN_CDB);
	}
	ASSERT_OUTCOME(simple(dev, 0x40 | BLOCK_ERASE), INVALID_FIELD_IN_CDB);
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x48, BLOCK_ERASE, [8] = 8), FAKE_OUT, list, 8),
		       INVALID_FIELD_IN_CDB);
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x48, EXIT, [8] = 8), FAKE_OUT, list, 8),
		       INVALID_FIELD_IN_CDB);
	for (uint8_t len = 0; len < 5; len++)
		ASSERT_OUTCOME(send_cmd(dev, CDB(0x48, OVERWRITE, [8] = len), FAKE_OUT, list, 8),
			       INVALID_FIELD_IN_CDB);
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x48, OVERWRITE, [7] = 2, [8] = 5), FAKE_OUT, list, 517),
		       INVALID_FIELD_IN_CDB);
	ASSERT_OUTCOME(overwrite(dev, 0, 0, 0), INVALID_FIELD_IN_LIST);
	list[0] = 1;
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x48, OVERWRITE, [8] = 8), FAKE_OUT, list, 8),
		       INVALID_FIELD_IN_LIST);
	ASSERT_OUTCOME(simple(dev, EXIT), GOOD); /* nothing has failed */
	ASSERT_OUTCOME(tur(dev), GOOD);
	assert_true(medium_is("refused", 0x5a));
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* While it goes on; and it goes on when its command is aborted. */
static void goes_on(void **state)
{
	uint8_t buf[512];
	struct fake_cmd *victim;
	struct bg cmd;
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = led_lun("busy", SIZE);
	medium_fill("busy", 0x5a);
	hold("busy", "write");
	memcpy(cmd.buf, ((const uint8_t[]) { 1, 0, 0, 1, 0x33 }), 5);
	bg_submit(dev, &cmd, CDB(0x48, OVERWRITE, [8] = 5), FAKE_OUT);
	reached("busy", "write", 1);
	ASSERT_OUTCOME(tur(dev), SANITIZE_IN_PROGRESS);
	assert_int_not_equal(progress(last.sense), -1);
	ASSERT_OUTCOME(start_stop(dev, 0x03), SANITIZE_IN_PROGRESS);
	ASSERT_OUTCOME(read_block(dev, 0, buf), SANITIZE_IN_PROGRESS);
	ASSERT_OUTCOME(simple(dev, EXIT), SANITIZE_IN_PROGRESS);
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x1a, 8, 0x08, 0, 64), FAKE_IN, buf, 64), GOOD);
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x12, 0, 0, 0, 36), FAKE_IN, buf, 36), GOOD);
	ASSERT_OUTCOME(send_cmd(dev, CDB(3, 0, 0, 0, 18), FAKE_IN, buf, 18), GOOD);
	assert_int_equal(buf[12], 0x04);
	assert_int_equal(buf[13], 0x1b);
	victim = &cmd.cmd;
	fake_ring_tmr(fake_dev_ring(dev), 5, &victim, 1); /* LOGICAL UNIT RESET */
	bg_wait(&cmd);                                    /* although not a byte was written */
	ASSERT_OUTCOME(tur(dev), SANITIZE_IN_PROGRESS);
	let_go("busy", "write");
	ASSERT_OUTCOME(wait_while(dev, SANITIZE_IN_PROGRESS), GOOD);
	assert_true(medium_is("busy", 0x33));
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* SBC-4 4.11.4: the failed states, and what ends them. */
static void failure(void **state)
{
	uint8_t buf[64];
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	led_mark("bad", "unmaps");
	dev = led_lun("bad", SIZE);
	for (int killed = 0; killed < 2; killed++) {
		led_mark("bad", "fail-write");
		ASSERT_OUTCOME(overwrite(dev, AUSE, 1, 1), SANITIZE_FAILED);
		ASSERT_OUTCOME(tur(dev), SANITIZE_FAILED);
		restart(TCMU_LED_HANDLERS, killed);
		ASSERT_OUTCOME(tur(dev), SANITIZE_FAILED);
		ASSERT_OUTCOME(write_block(dev, 0, 0), SANITIZE_FAILED);
		/* of the mode pages, those that SBC-4 4.11.2 lists */
		ASSERT_OUTCOME(send_cmd(dev, CDB(0x1a, 8, 0x0a, 0, 64), FAKE_IN, buf, 64), GOOD);
		ASSERT_OUTCOME(send_cmd(dev, CDB(0x1a, 8, 0x01, 0, 64), FAKE_IN, buf, 64),
			       SANITIZE_FAILED);
		ASSERT_OUTCOME(send_cmd(dev, CDB(0x04), FAKE_NONE, NULL, 0), SANITIZE_FAILED);
		ASSERT_OUTCOME(send_cmd(dev, CDB(0x12, 0, 0, 0, 36), FAKE_IN, buf, 36), GOOD);
		ASSERT_OUTCOME(simple(dev, EXIT), GOOD);
		ASSERT_OUTCOME(tur(dev), GOOD);

		/* restricted completion mode */
		ASSERT_OUTCOME(simple(dev, BLOCK_ERASE), SANITIZE_FAILED);
		restart(TCMU_LED_HANDLERS, killed);
		ASSERT_OUTCOME(tur(dev), SANITIZE_FAILED);
		ASSERT_OUTCOME(simple(dev, EXIT), INVALID_FIELD_IN_CDB);
		ASSERT_OUTCOME(overwrite(dev, AUSE, 1, 1), INVALID_FIELD_IN_CDB);
		spoil("bad", "write", false);
		ASSERT_OUTCOME(simple(dev, AUSE | BLOCK_ERASE), INVALID_FIELD_IN_CDB);
		ASSERT_OUTCOME(tur(dev), SANITIZE_FAILED);
		ASSERT_OUTCOME(simple(dev, BLOCK_ERASE), GOOD);
		ASSERT_OUTCOME(tur(dev), GOOD);
	}
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* Whoever relies on it must not be told that all is well. */
static void interrupted(void **state)
{
	struct fake_dev *dev;

	(void)state;
	for (int killed = 0; killed < 2; killed++) {
		const char *name = killed ? "crash" : "stop";

		start_usual(TCMU_LED_HANDLERS);
		dev = led_lun(name, SIZE);
		hold(name, "write");
		ASSERT_OUTCOME(overwrite(dev, IMMED, 1, 0x44), GOOD);
		reached(name, "write", 1);
		if (killed)
			proc_kill(&w.d);
		else
			assert_int_equal(kill(w.d.pid, SIGTERM), 0);
		usleep(100000);
		let_go(name, "write");
		if (!killed)
			assert_int_equal(proc_wait(&w.d, LONG_MS), 0);
		start_usual(TCMU_LED_HANDLERS);
		ASSERT_OUTCOME(tur(dev), SANITIZE_FAILED);
		ASSERT_OUTCOME(overwrite(dev, 0, 1, 0x55), GOOD);
		ASSERT_OUTCOME(tur(dev), GOOD);
		assert_true(medium_is(name, 0x55));
		assert_int_equal(fake_dev_remove(dev), 0);
		stop();
	}
}

/* A unit that cannot deallocate has no BLOCK ERASE (it promises deallocated blocks), but the rest. */
static void without_deallocation(void **state)
{
	struct fake_dev *dev;
	uint8_t buf[64];

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = led_lun("thick", SIZE);
	ASSERT_OUTCOME(simple(dev, BLOCK_ERASE), INVALID_FIELD_IN_CDB);
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x12, 1, 0xb1, 0, 64), FAKE_IN, buf, 64), GOOD);
	assert_int_equal(buf[7] >> 6, 0);
	ASSERT_OUTCOME(overwrite(dev, 0, 1, 0x66), GOOD);
	assert_true(medium_is("thick", 0x66));
	assert_int_equal(fake_dev_remove(dev), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, faults_open, faults_close)
	const struct CMUnitTest tests[] = {
		T(overwrites), T(several_passes), T(patterns),
		T(erases),     T(bad_requests),   T(goes_on),
		T(failure),    T(interrupted),    T(without_deallocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
