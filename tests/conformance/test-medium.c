/* SPDX-License-Identifier: Apache-2.0 */
/* A medium that is ejected and loaded (SBC-4 5.31), and who prevents that (SPC-5 6.18). */
#include "state.h"

#include <stdio.h>

#define EJECT 0x02
#define LOAD  0x03

static unsigned int prevent(struct fake_dev *dev, uint8_t how)
{
	return send_cmd(dev, CDB(0x1e, 0, 0, 0, how), FAKE_NONE, NULL, 0);
}

static struct fake_dev *removable(const char *name)
{
	struct fake_dev *dev = NULL;
	char config[400];

	snprintf(config, sizeof(config), "file/%s;removable", world_file(&w, name, MIB));
	assert_int_equal(lun_create(&w, name, config, MIB, &dev), 0);
	return dev;
}

static const struct {
	const char *what;
	uint8_t cdb[16];
	enum fake_dir dir;
	size_t len;
} medium_commands[] = {
	{ "TEST UNIT READY", { 0 }, FAKE_NONE, 0 },
	{ "READ(6)", { 0x08, 0, 0, 0, 1 }, FAKE_IN, 512 },
	{ "READ(10)", { 0x28, [8] = 1 }, FAKE_IN, 512 },
	{ "READ(12)", { 0xa8, [9] = 1 }, FAKE_IN, 512 },
	{ "READ(16)", { 0x88, [13] = 1 }, FAKE_IN, 512 },
	{ "WRITE(6)", { 0x0a, 0, 0, 0, 1 }, FAKE_OUT, 512 },
	{ "WRITE(10)", { 0x2a, [8] = 1 }, FAKE_OUT, 512 },
	{ "WRITE(12)", { 0xaa, [9] = 1 }, FAKE_OUT, 512 },
	{ "WRITE(16)", { 0x8a, [13] = 1 }, FAKE_OUT, 512 },
	{ "WRITE AND VERIFY(10)", { 0x2e, [8] = 1 }, FAKE_OUT, 512 },
	{ "WRITE AND VERIFY(12)", { 0xae, [9] = 1 }, FAKE_OUT, 512 },
	{ "WRITE AND VERIFY(16)", { 0x8e, [13] = 1 }, FAKE_OUT, 512 },
	{ "WRITE SAME(10)", { 0x41, [8] = 1 }, FAKE_OUT, 512 },
	{ "WRITE SAME(16)", { 0x93, [13] = 1 }, FAKE_OUT, 512 },
	{ "ORWRITE(16)", { 0x8b, [13] = 1 }, FAKE_OUT, 512 },
	{ "COMPARE AND WRITE", { 0x89, [13] = 1 }, FAKE_OUT, 1024 },
	{ "UNMAP", { 0x42, [8] = 24 }, FAKE_OUT, 24 },
	{ "VERIFY(10)", { 0x2f, 2, [8] = 1 }, FAKE_OUT, 512 },
	{ "VERIFY(12)", { 0xaf, 2, [9] = 1 }, FAKE_OUT, 512 },
	{ "VERIFY(16)", { 0x8f, 2, [13] = 1 }, FAKE_OUT, 512 },
	{ "PRE-FETCH(10)", { 0x34, [8] = 1 }, FAKE_NONE, 0 },
	{ "PRE-FETCH(16)", { 0x90, [13] = 1 }, FAKE_NONE, 0 },
	{ "SYNCHRONIZE CACHE(10)", { 0x35 }, FAKE_NONE, 0 },
	{ "SYNCHRONIZE CACHE(16)", { 0x91 }, FAKE_NONE, 0 },
	{ "READ CAPACITY(10)", { 0x25 }, FAKE_IN, 8 },
	{ "READ CAPACITY(16)", { 0x9e, 0x10, [13] = 32 }, FAKE_IN, 32 },
	{ "GET LBA STATUS", { 0x9e, 0x12, [13] = 24 }, FAKE_IN, 24 },
	{ "FORMAT UNIT", { 0x04 }, FAKE_NONE, 0 },
	{ "SANITIZE, block erase", { 0x48, 0x02 }, FAKE_NONE, 0 },
};

static void no_medium(struct fake_dev *dev)
{
	static uint8_t data[1024];

	for (size_t i = 0; i < sizeof(medium_commands) / sizeof(medium_commands[0]); i++) {
		unsigned int got = send_cmd(dev, medium_commands[i].cdb, medium_commands[i].dir,
					    medium_commands[i].len ? data : NULL,
					    medium_commands[i].len);

		if (got != NO_MEDIUM)
			fail_msg("%s: outcome %08x", medium_commands[i].what, got);
	}
}

static void eject_and_load(void **state)
{
	uint8_t buf[512] = { 0 };
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_HANDLERS);
	dev = removable("disk");
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x12, 0, 0, 0, 36), FAKE_IN, buf, 36), GOOD);
	assert_true(buf[1] & 0x80); /* RMB */
	ASSERT_OUTCOME(write_block(dev, 7, 0x77), GOOD);
	ASSERT_OUTCOME(start_stop(dev, LOAD), GOOD); /* is loaded */
	ASSERT_OUTCOME(tur(dev), GOOD);
	for (uint8_t immed = 0; immed < 2; immed++) {
		ASSERT_OUTCOME(send_cmd(dev, CDB(0x1b, immed, 0, 0, EJECT), FAKE_NONE, NULL, 0),
			       GOOD);
		no_medium(dev);
		ASSERT_OUTCOME(start_stop(dev, EJECT), GOOD);     /* is ejected */
		ASSERT_OUTCOME(start_stop(dev, 0x01), NO_MEDIUM); /* START: of what? */
		ASSERT_OUTCOME(send_cmd(dev, CDB(0x12, 0, 0, 0, 36), FAKE_IN, buf, 36), GOOD);
		ASSERT_OUTCOME(send_cmd(dev, CDB(3, 0, 0, 0, 18), FAKE_IN, buf, 18), GOOD);
		assert_int_equal(buf[2], 2);
		assert_int_equal(buf[12], 0x3a);
		ASSERT_OUTCOME(send_cmd(dev, CDB(0x1a, 8, 0x3f, 0, 128), FAKE_IN, buf, 128), GOOD);
		ASSERT_OUTCOME(send_cmd(dev, CDB(0x1b, immed, 0, 0, LOAD), FAKE_NONE, NULL, 0),
			       GOOD);
		ASSERT_OUTCOME(tur(dev), GOOD);
		ASSERT_OUTCOME(read_block(dev, 7, buf), GOOD);
		assert_int_equal(buf[100], 0x77);
	}
	assert_int_equal(fake_dev_remove(dev), 0);
}

static void power_conditions(void **state)
{
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_HANDLERS);
	dev = removable("power");
	for (uint8_t power = 1; power < 16; power++) { /* START and LOEJ are ignored */
		ASSERT_OUTCOME(start_stop(dev, (uint8_t)(power << 4 | EJECT)), GOOD);
		ASSERT_OUTCOME(tur(dev), GOOD);
	}
	ASSERT_OUTCOME(start_stop(dev, 0x00), GOOD); /* STOP: others may be using it */
	ASSERT_OUTCOME(tur(dev), GOOD);
	assert_int_equal(fake_dev_remove(dev), 0);
}

static void prevention(void **state)
{
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_HANDLERS);
	dev = removable("kept");
	ASSERT_OUTCOME(prevent(dev, 1), GOOD);
	ASSERT_OUTCOME(start_stop(dev, EJECT), REMOVAL_PREVENTED);
	ASSERT_OUTCOME(tur(dev), GOOD);
	ASSERT_OUTCOME(start_stop(dev, LOAD), GOOD); /* nothing moves */
	ASSERT_OUTCOME(prevent(dev, 2), INVALID_FIELD_IN_CDB);
	ASSERT_OUTCOME(start_stop(dev, EJECT), REMOVAL_PREVENTED);
	ASSERT_OUTCOME(prevent(dev, 0), GOOD);
	ASSERT_OUTCOME(start_stop(dev, EJECT), GOOD);
	ASSERT_OUTCOME(prevent(dev, 1), GOOD);
	ASSERT_OUTCOME(start_stop(dev, LOAD), REMOVAL_PREVENTED);
	ASSERT_OUTCOME(tur(dev), NO_MEDIUM);
	ASSERT_OUTCOME(prevent(dev, 0), GOOD);
	ASSERT_OUTCOME(start_stop(dev, LOAD), GOOD);
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* What is ejected is on stable storage; if it cannot be, nothing is ejected. Who prevents removal
 * meanwhile is heard. */
static void eject_flushes(void **state)
{
	struct bg eject;
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	led_mark("led", "removable");
	dev = led_lun("led", MIB);
	ASSERT_OUTCOME(write_block(dev, 0, 1), GOOD);
	led_mark("led", "fail-flush");
	ASSERT_OUTCOME(start_stop(dev, EJECT), SENSE(3u, 0x0cu, 0u));
	ASSERT_OUTCOME(tur(dev), GOOD);
	spoil("led", "flush", false);
	hold("led", "flush");
	bg_submit(dev, &eject, CDB(0x1b, 0, 0, 0, EJECT), FAKE_NONE);
	reached("led", "flush", 2);
	ASSERT_OUTCOME(prevent(dev, 1), GOOD);
	let_go("led", "flush");
	bg_wait(&eject);
	ASSERT_OUTCOME(outcome(&eject.cmd), REMOVAL_PREVENTED);
	ASSERT_OUTCOME(tur(dev), GOOD);
	ASSERT_OUTCOME(prevent(dev, 0), GOOD);
	ASSERT_OUTCOME(start_stop(dev, EJECT), GOOD);
	assert_int_equal(count(trace("led"), "flush"), 3);
	assert_int_equal(fake_dev_remove(dev), 0);
}

static void fixed_disk(void **state)
{
	struct fake_dev *dev;
	uint8_t buf[36];

	(void)state;
	start_usual(TCMU_HANDLERS);
	dev = file_lun(&w, "fixed", MIB);
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x12, 0, 0, 0, 36), FAKE_IN, buf, 36), GOOD);
	assert_false(buf[1] & 0x80);
	ASSERT_OUTCOME(prevent(dev, 1), INVALID_OPCODE);
	ASSERT_OUTCOME(start_stop(dev, EJECT), INVALID_FIELD_IN_CDB);
	ASSERT_OUTCOME(start_stop(dev, LOAD), INVALID_FIELD_IN_CDB);
	ASSERT_OUTCOME(tur(dev), GOOD);
	assert_int_equal(fake_dev_remove(dev), 0);
}

static void survives_restarts(void **state)
{
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_HANDLERS);
	dev = removable("lasting");
	for (int killed = 0; killed < 2; killed++) {
		ASSERT_OUTCOME(start_stop(dev, EJECT), GOOD);
		restart(TCMU_HANDLERS, killed);
		ASSERT_OUTCOME(tur(dev), NO_MEDIUM);
		ASSERT_OUTCOME(start_stop(dev, LOAD), GOOD);
		ASSERT_OUTCOME(prevent(dev, 1), GOOD);
		restart(TCMU_HANDLERS, killed);
		ASSERT_OUTCOME(tur(dev), GOOD);
		ASSERT_OUTCOME(start_stop(dev, EJECT), REMOVAL_PREVENTED);
		ASSERT_OUTCOME(prevent(dev, 0), GOOD);
	}
	assert_int_equal(fake_dev_remove(dev), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, faults_open, faults_close)
	const struct CMUnitTest tests[] = {
		T(eject_and_load), T(power_conditions), T(prevention),
		T(eject_flushes),  T(fixed_disk),       T(survives_restarts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
