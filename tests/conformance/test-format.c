/* SPDX-License-Identifier: Apache-2.0 */
/* FORMAT UNIT (SBC-4 5.4): what is left on the medium, who waits, and what an end in between leaves. */
#include "state.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE (2 * MIB)

static const uint8_t format[16] = { 0x04 };
static const uint8_t format_list[16] = { 0x04, 0x10 }; /* FMTDATA, short header */
/* FOV, IMMED; FOV, IP with a pattern of four bytes */
static uint8_t immed_list[4] = { 0, 0x82 };
static uint8_t pattern_list[12] = { 0, 0x88, 0, 0, 0, 0x01, 0, 4, 0xde, 0xad, 0xbe, 0xef };

static void zeroes_all(void **state)
{
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = led_lun("plain", SIZE);
	medium_fill("plain", 0x5a);
	ASSERT_OUTCOME(send_cmd(dev, format, FAKE_NONE, NULL, 0), GOOD);
	assert_true(medium_is("plain", 0));
	assert_non_null(strstr(trace("plain"), "flush")); /* not in a cache only */
	assert_int_equal(count(trace("plain"), "unmap"), 0);
	assert_int_equal(fake_dev_remove(dev), 0);
}

static void deallocates(void **state)
{
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	led_mark("thin", "unmaps");
	dev = led_lun("thin", 9 * MIB); /* more than one deallocation: 4 MiB at once */
	medium_fill("thin", 0x5a);
	ASSERT_OUTCOME(send_cmd(dev, format, FAKE_NONE, NULL, 0), GOOD);
	assert_true(medium_is("thin", 0));
	assert_int_equal(count(trace("thin"), "unmap"), 3);
	assert_int_equal(count(trace("thin"), "write"), 0);
	assert_int_equal(fake_dev_remove(dev), 0);
}

static uint64_t allocated(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void gives_space_back(void **state)
{
	struct fake_dev *dev;
	uint8_t buf[512];

	(void)state;
	start_usual(TCMU_HANDLERS);
	dev = file_lun(&w, "file", SIZE);
	for (uint64_t lba = 0; lba < SIZE / 512; lba += 64)
		ASSERT_OUTCOME(write_block(dev, lba, 0x33), GOOD);
	assert_true(allocated(world_path(&w, "file")) > 0);
	ASSERT_OUTCOME(send_cmd(dev, format, FAKE_NONE, NULL, 0), GOOD);
	assert_int_equal(allocated(world_path(&w, "file")), 0);
	ASSERT_OUTCOME(read_block(dev, 64, buf), GOOD);
	assert_int_equal(buf[0], 0);
	assert_int_equal(fake_dev_remove(dev), 0);
}

static void writes_a_pattern(void **state)
{
	struct fake_dev *dev;
	uint8_t buf[512];

	(void)state;
	start_usual(TCMU_HANDLERS);
	dev = file_lun(&w, "pattern", SIZE);
	ASSERT_OUTCOME(send_cmd(dev, format_list, FAKE_OUT, pattern_list, sizeof(pattern_list)),
		       GOOD);
	for (uint64_t lba = 0; lba < SIZE / 512; lba += SIZE / 512 - 1) {
		ASSERT_OUTCOME(read_block(dev, lba, buf), GOOD);
		for (size_t i = 0; i < sizeof(buf); i++)
			assert_int_equal(buf[i], pattern_list[8 + i % 4]);
	}
	assert_int_equal(fake_dev_remove(dev), 0);
}

static const struct {
	const char *what;
	uint8_t cdb[16];
	enum fake_dir dir;
	size_t len;
} refused[] = {
	{ "TEST UNIT READY", { 0 }, FAKE_NONE, 0 },
	{ "READ(10)", { 0x28, [8] = 1 }, FAKE_IN, 512 },
	{ "WRITE(10)", { 0x2a, [8] = 1 }, FAKE_OUT, 512 },
	{ "MODE SENSE(6)", { 0x1a, 8, 0x0a, 0, 64 }, FAKE_IN, 64 },
	{ "START STOP UNIT", { 0x1b, 0, 0, 0, 1 }, FAKE_NONE, 0 },
	{ "READ CAPACITY(10)", { 0x25 }, FAKE_IN, 8 },
	{ "FORMAT UNIT", { 0x04 }, FAKE_NONE, 0 },
	{ "SANITIZE", { 0x48, 0x82 }, FAKE_NONE, 0 },
	{ "REPORT SUPPORTED OPERATION CODES", { 0xa3, 0x0c, [9] = 64 }, FAKE_IN, 64 },
};

/* While it goes on: NOT READY with progress for all but INQUIRY and REQUEST SENSE. */
static void everybody_waits(void **state)
{
	static uint8_t data[512];
	struct fake_dev *dev, *other;
	int before, now;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = led_lun("slow", SIZE);
	other = led_lun("other", SIZE);
	medium_fill("slow", 0x5a);
	hold("slow", "write");
	ASSERT_OUTCOME(send_cmd(dev, format_list, FAKE_OUT, immed_list, sizeof(immed_list)), GOOD);
	reached("slow", "write", 1);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		unsigned int got = send_cmd(dev, refused[i].cdb, refused[i].dir,
					    refused[i].len ? data : NULL, refused[i].len);

		if (got != FORMAT_IN_PROGRESS)
			fail_msg("%s: outcome %08x", refused[i].what, got);
		assert_int_not_equal(progress(last.sense), -1);
	}
	before = progress(last.sense);
	ASSERT_OUTCOME(send_cmd(dev, CDB(0xc0), FAKE_NONE, NULL, 0), INVALID_OPCODE);
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x12, 0, 0, 0, 36), FAKE_IN, data, 36), GOOD);
	for (uint8_t desc = 0; desc < 2; desc++) {
		ASSERT_OUTCOME(send_cmd(dev, CDB(3, desc, 0, 0, 252), FAKE_IN, data, 252), GOOD);
		assert_int_equal(desc ? data[1] : data[2], 2);
		assert_int_equal(desc ? data[2] : data[12], 4);
		assert_int_equal(desc ? data[3] : data[13], 4);
		assert_int_equal(progress(data), before);
	}
	/* other units are not concerned */
	ASSERT_OUTCOME(write_block(other, 0, 1), GOOD);
	let_go("slow", "write");
	reached("slow", "write", 2);
	hold("slow", "write");
	if (tur(dev) == FORMAT_IN_PROGRESS) {
		now = progress(last.sense);
		assert_true(now > before && now < 65536);
	}
	let_go("slow", "write");
	ASSERT_OUTCOME(wait_while(dev, FORMAT_IN_PROGRESS), GOOD);
	assert_true(medium_is("slow", 0));
	assert_int_equal(fake_dev_remove(dev), 0);
	assert_int_equal(fake_dev_remove(other), 0);
}

/* A write that was there first is over before the first block is formatted. */
static void waits_for_writes(void **state)
{
	struct bg write, fmt;
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = led_lun("queue", SIZE);
	hold("queue", "write");
	memset(write.buf, 0x77, sizeof(write.buf));
	bg_submit(dev, &write, write_one, FAKE_OUT);
	reached("queue", "write 0+512 77", 1);
	bg_submit(dev, &fmt, format, FAKE_NONE);
	while (tur(dev) != FORMAT_IN_PROGRESS)
		usleep(1000);
	assert_int_equal(progress(last.sense), 0);
	usleep(50000);
	assert_int_equal(count(trace("queue"), "write"), 1);
	assert_false(atomic_load(&fmt.done));
	let_go("queue", "write");
	bg_wait(&write);
	bg_wait(&fmt);
	ASSERT_OUTCOME(outcome(&fmt.cmd), GOOD);
	assert_true(medium_is("queue", 0));
	assert_int_equal(fake_dev_remove(dev), 0);
}

static void failure(void **state)
{
	uint8_t buf[512];
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = led_lun("bad", SIZE);
	led_mark("bad", "fail-write");
	ASSERT_OUTCOME(send_cmd(dev, format, FAKE_NONE, NULL, 0), FORMAT_COMMAND_FAILED);
	for (int killed = 0; killed < 2; killed++) {
		ASSERT_OUTCOME(tur(dev), FORMAT_CORRUPTED);
		ASSERT_OUTCOME(read_block(dev, 0, buf), FORMAT_CORRUPTED);
		ASSERT_OUTCOME(write_block(dev, 0, 0), FORMAT_CORRUPTED);
		ASSERT_OUTCOME(send_cmd(dev, CDB(0x1a, 8, 0x0a, 0, 64), FAKE_IN, buf, 64), GOOD);
		restart(TCMU_LED_HANDLERS, killed);
	}
	/* SANITIZE(EXIT FAILURE MODE) is about something else */
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x48, 0x1f), FAKE_NONE, NULL, 0), GOOD);
	ASSERT_OUTCOME(tur(dev), FORMAT_CORRUPTED);
	spoil("bad", "write", false);
	ASSERT_OUTCOME(send_cmd(dev, format, FAKE_NONE, NULL, 0), GOOD);
	ASSERT_OUTCOME(tur(dev), GOOD);
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* A stop does not wait for it. The command is sent again, to the next daemon. */
static void stop_in_between(void **state)
{
	struct bg fmt;
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = led_lun("stopped", SIZE);
	medium_fill("stopped", 0x5a);
	hold("stopped", "write");
	bg_submit(dev, &fmt, format, FAKE_NONE);
	reached("stopped", "write", 1);
	assert_int_equal(kill(w.d.pid, SIGTERM), 0);
	usleep(100000);
	let_go("stopped", "write");
	bg_wait(&fmt);
	ASSERT_OUTCOME(outcome(&fmt.cmd), BUSY_STATUS);
	assert_int_equal(proc_wait(&w.d, LONG_MS), 0);
	assert_true(count(trace("stopped"), "write") <= 2);
	start_usual(TCMU_LED_HANDLERS);
	ASSERT_OUTCOME(tur(dev), FORMAT_CORRUPTED);
	ASSERT_OUTCOME(send_cmd(dev, format, FAKE_NONE, NULL, 0), GOOD);
	ASSERT_OUTCOME(tur(dev), GOOD);
	assert_true(medium_is("stopped", 0));
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* One that had not begun has changed nothing. */
static void stop_before_it_begins(void **state)
{
	struct bg write, fmt;
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = led_lun("early", SIZE);
	hold("early", "write");
	bg_submit(dev, &write, write_one, FAKE_OUT);
	reached("early", "write", 1);
	bg_submit(dev, &fmt, format, FAKE_NONE);
	while (tur(dev) != FORMAT_IN_PROGRESS)
		usleep(1000);
	assert_int_equal(kill(w.d.pid, SIGTERM), 0);
	usleep(100000);
	let_go("early", "write");
	bg_wait(&write);
	bg_wait(&fmt);
	ASSERT_OUTCOME(outcome(&fmt.cmd), BUSY_STATUS);
	assert_int_equal(proc_wait(&w.d, LONG_MS), 0);
	assert_int_equal(count(trace("early"), "write"), 1);
	start_usual(TCMU_LED_HANDLERS);
	ASSERT_OUTCOME(tur(dev), GOOD);
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* A crash: the medium is neither what it was nor formatted. */
static void crash_in_between(void **state)
{
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = led_lun("crashed", SIZE);
	hold("crashed", "write");
	ASSERT_OUTCOME(send_cmd(dev, format_list, FAKE_OUT, immed_list, sizeof(immed_list)), GOOD);
	reached("crashed", "write", 1);
	proc_kill(&w.d);
	let_go("crashed", "write");
	start_usual(TCMU_LED_HANDLERS);
	ASSERT_OUTCOME(tur(dev), FORMAT_CORRUPTED);
	ASSERT_OUTCOME(send_cmd(dev, format, FAKE_NONE, NULL, 0), GOOD);
	ASSERT_OUTCOME(tur(dev), GOOD);
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* Removal of a unit that is being formatted. */
static void removal(void **state)
{
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = led_lun("removed", 64 * MIB);
	ASSERT_OUTCOME(send_cmd(dev, format_list, FAKE_OUT, immed_list, sizeof(immed_list)), GOOD);
	assert_int_equal(fake_dev_remove(dev), 0);
	assert_true(count(trace("removed"), "write") < 256);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, faults_open, faults_close)
	const struct CMUnitTest tests[] = {
		T(zeroes_all),       T(deallocates), T(gives_space_back), T(writes_a_pattern),
		T(everybody_waits),  T(failure),     T(stop_in_between),  T(stop_before_it_begins),
		T(crash_in_between), T(removal),     T(waits_for_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
