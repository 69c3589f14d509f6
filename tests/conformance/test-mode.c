/* SPDX-License-Identifier: Apache-2.0 */
/* Mode parameters that change: what they do, what survives a restart, what is saved. */
#include "state.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/xattr.h>

static struct fake_dev *disk(const char *name, const char *options)
{
	struct fake_dev *dev = NULL;
	char config[400];

	snprintf(config, sizeof(config), "file/%s%s", world_file(&w, name, MIB), options);
	assert_int_equal(lun_create(&w, name, config, MIB, &dev), 0);
	return dev;
}

/* SPC-5 7.5.8, D_SENSE: the format of all sense data, whoever makes them. */
static void d_sense_everywhere(void **state)
{
	static const uint8_t out_of_range[16] = { 0x88, [6] = 1, [13] = 1 };
	struct fake_dev *dev;
	uint8_t buf[512];

	(void)state;
	start_usual(TCMU_HANDLERS);
	dev = disk("format", "");
	for (int round = 0; round < 2; round++) {
		ASSERT_OUTCOME(select_control(dev, !round, false, false), GOOD);
		assert_int_equal(d_sense(dev), !round);
		/* an executor's own, a field pointer, the range gate, no such command, an outcome */
		ASSERT_OUTCOME(send_cmd(dev, CDB(0x12, 0, 0x80, 0, 36), FAKE_IN, buf, 36),
			       INVALID_FIELD_IN_CDB);
		assert_int_equal(sense_is_descriptor(&last), !round);
		ASSERT_OUTCOME(send_cmd(dev, CDB(0, 4), FAKE_NONE, NULL, 0), INVALID_FIELD_IN_CDB);
		assert_int_equal(sense_is_descriptor(&last), !round);
		ASSERT_OUTCOME(send_cmd(dev, out_of_range, FAKE_IN, buf, 512),
			       SENSE(5u, 0x21u, 0u));
		assert_int_equal(sense_is_descriptor(&last), !round);
		ASSERT_OUTCOME(send_cmd(dev, CDB(0xc0), FAKE_NONE, NULL, 0), INVALID_OPCODE);
		assert_int_equal(sense_is_descriptor(&last), !round);
		/* SPC-5 6.39: REQUEST SENSE has a bit of its own */
		ASSERT_OUTCOME(send_cmd(dev, CDB(3, 0, 0, 0, 252), FAKE_IN, buf, 252), GOOD);
		assert_int_equal(buf[0] & 0x7f, 0x70);
		ASSERT_OUTCOME(send_cmd(dev, CDB(3, 1, 0, 0, 252), FAKE_IN, buf, 252), GOOD);
		assert_int_equal(buf[0] & 0x7f, 0x72);
	}
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* A unit attention too. */
static void d_sense_of_unit_attention(void **state)
{
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_HANDLERS);
	dev = disk("attention", "");
	ASSERT_OUTCOME(select_control(dev, true, false, false), GOOD);
	assert_int_equal(fake_dev_reconfig(dev, "dev_size", "2097152"), 0);
	ASSERT_OUTCOME(tur(dev), SENSE(6u, 0x2au, 9u));
	assert_true(sense_is_descriptor(&last));
	assert_int_equal(fake_dev_remove(dev), 0);
}

static const struct {
	const char *what;
	uint8_t cdb[16];
	size_t len;
} writes[] = {
	{ "WRITE(6)", { 0x0a, 0, 0, 0, 1 }, 512 },
	{ "WRITE(10)", { 0x2a, [8] = 1 }, 512 },
	{ "WRITE(12)", { 0xaa, [9] = 1 }, 512 },
	{ "WRITE(16)", { 0x8a, [13] = 1 }, 512 },
	{ "WRITE AND VERIFY(10)", { 0x2e, [8] = 1 }, 512 },
	{ "WRITE AND VERIFY(12)", { 0xae, [9] = 1 }, 512 },
	{ "WRITE AND VERIFY(16)", { 0x8e, [13] = 1 }, 512 },
	{ "WRITE SAME(10)", { 0x41, [8] = 1 }, 512 },
	{ "WRITE SAME(16)", { 0x93, [13] = 1 }, 512 },
	{ "WRITE SAME(16), UNMAP", { 0x93, 8, [13] = 1 }, 512 },
	{ "WRITE SAME(16), NDOB", { 0x93, 1, [13] = 1 }, 0 },
	{ "ORWRITE(16)", { 0x8b, [13] = 1 }, 512 },
	{ "COMPARE AND WRITE", { 0x89, [13] = 1 }, 1024 },
	{ "UNMAP", { 0x42, [8] = 24 }, 24 },
	{ "FORMAT UNIT", { 0x04 }, 0 },
	{ "SANITIZE, overwrite", { 0x48, 0x01, [8] = 8 }, 8 },
	{ "SANITIZE, block erase", { 0x48, 0x02 }, 0 },
};

static void all_writes_are_refused(struct fake_dev *dev, unsigned int with)
{
	static uint8_t data[1024];

	for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
		unsigned int got = send_cmd(dev, writes[i].cdb, FAKE_OUT,
					    writes[i].len ? data : NULL, writes[i].len);

		/* UNMAP is not there on a read-only file */
		if (got != with &&
		    !(with == WRITE_PROTECTED && got == INVALID_OPCODE && writes[i].cdb[0] == 0x42))
			fail_msg("%s: outcome %08x", writes[i].what, got);
	}
}

static bool write_protect_bit(struct fake_dev *dev)
{
	uint8_t buf[64] = { 0 };

	ASSERT_OUTCOME(send_cmd(dev, CDB(0x1a, 8, 0x0a, 0, 64), FAKE_IN, buf, sizeof(buf)), GOOD);
	return buf[2] & 0x80;
}

static void software_write_protect(void **state)
{
	uint8_t buf[512];
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_HANDLERS);
	dev = disk("protected", "");
	ASSERT_OUTCOME(write_block(dev, 0, 0x11), GOOD);
	assert_false(write_protect_bit(dev));
	ASSERT_OUTCOME(select_control(dev, false, true, false), GOOD);
	assert_true(swp(dev));
	assert_true(write_protect_bit(dev));
	all_writes_are_refused(dev, SW_WRITE_PROTECTED);
	ASSERT_OUTCOME(read_block(dev, 0, buf), GOOD);
	assert_int_equal(buf[511], 0x11);
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x35), FAKE_NONE, NULL, 0), GOOD);
	ASSERT_OUTCOME(select_control(dev, false, false, false), GOOD);
	assert_false(write_protect_bit(dev));
	ASSERT_OUTCOME(write_block(dev, 0, 0x22), GOOD);
	assert_int_equal(fake_dev_remove(dev), 0);
}

static void read_only_file(void **state)
{
	uint8_t buf[512];
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_HANDLERS);
	dev = disk("ro", ";ro");
	all_writes_are_refused(dev, WRITE_PROTECTED);
	ASSERT_OUTCOME(read_block(dev, 0, buf), GOOD);
	assert_int_equal(buf[0], 0);
	/* what the file cannot keep cannot be saved */
	ASSERT_OUTCOME(select_control(dev, true, false, true), INVALID_FIELD_IN_CDB);
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* Turning it on is after all that was written before. */
static void swp_flushes(void **state)
{
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = led_lun("swp", MIB);
	ASSERT_OUTCOME(write_block(dev, 0, 1), GOOD);
	assert_int_equal(count(trace("swp"), "flush"), 0);
	ASSERT_OUTCOME(select_control(dev, false, true, false), GOOD);
	assert_int_equal(count(trace("swp"), "flush"), 1);
	ASSERT_OUTCOME(select_control(dev, false, false, false), GOOD);
	led_mark("swp", "fail-flush");
	ASSERT_OUTCOME(select_control(dev, true, true, false), SENSE(3u, 0x0cu, 0u));
	assert_false(d_sense(dev)); /* nothing or all of it */
	assert_false(swp(dev));
	assert_int_equal(fake_dev_remove(dev), 0);
}

static void *turn_cache_on(void *dev)
{
	return (void *)(intptr_t)reconfig_soon(dev, "emulate_write_cache", "1");
}

/* It may fail until its last step, and then the cache has been off all the time. */
static void cache_is_off_until_it_is_on(void **state)
{
	struct fake_dev *dev;
	struct bg bg = { 0 };
	pthread_t thread;
	void *ret;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = led_lun("cache", MIB);
	select_write_cache(dev, false);
	assert_int_equal(count(trace("cache"), "flush"), 1);
	hold("cache", "flush");
	assert_int_equal(pthread_create(&thread, NULL, turn_cache_on, dev), 0);
	reached("cache", "flush", 2);
	bg_submit(dev, &bg, write_one, FAKE_OUT);
	reached("cache", "flush", 3); /* the command's own */
	assert_false(atomic_load(&bg.done));
	led_mark("cache", "fail-flush");
	let_go("cache", "flush");
	pthread_join(thread, &ret);
	assert_int_equal((intptr_t)ret, -EIO);
	bg_wait(&bg);
	ASSERT_OUTCOME(outcome(&bg.cmd), SENSE(3u, 0x0cu, 0u));
	assert_false(write_cache(dev));
	let_go("cache", "x");
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* No initiator notices a restart, so it changes nothing that they rely on. */
static void survives_restarts(void **state)
{
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_HANDLERS);
	dev = disk("lasting", "");
	ASSERT_OUTCOME(select_control(dev, true, true, false), GOOD);
	for (int killed = 0; killed < 2; killed++) {
		restart(TCMU_HANDLERS, killed);
		assert_true(write_cache(dev));
		assert_true(d_sense(dev));
		assert_true(swp(dev));
		ASSERT_OUTCOME(write_block(dev, 0, 1), SW_WRITE_PROTECTED);
		assert_true(sense_is_descriptor(&last));
	}
	ASSERT_OUTCOME(select_control(dev, false, false, false), GOOD);
	restart(TCMU_HANDLERS, false);
	assert_false(d_sense(dev));
	assert_false(swp(dev));
	assert_int_equal(fake_dev_remove(dev), 0);
}

static bool files_keep_attributes(const char *path)
{
	return !setxattr(path, "user.tcmu.test", "1", 1, 0);
}

/* MODE SENSE(6) of this page and page control: its bytes 0 and 4. */
static void control_values(struct fake_dev *dev, uint8_t pc, uint8_t *ps, bool *d, bool *s)
{
	uint8_t buf[64] = { 0 };

	ASSERT_OUTCOME(send_cmd(dev, CDB(0x1a, 8, (uint8_t)(pc << 6 | 0x0a), 0, 64), FAKE_IN, buf,
				sizeof(buf)),
		       GOOD);
	*ps = buf[4] & 0x80;
	*d = buf[4 + 2] & 4;
	*s = buf[4 + 4] & 8;
}

/* SP: kept with the file, for the next device on it. */
static void saved_pages(void **state)
{
	struct fake_dev *dev;
	char config[400];
	uint8_t ps;
	bool d, s;

	(void)state;
	start_usual(TCMU_HANDLERS);
	if (!files_keep_attributes(world_file(&w, "saved", MIB)))
		skip();
	dev = disk("saved", "");
	control_values(dev, 3, &ps, &d, &s);
	assert_true(ps);
	assert_false(d || s);
	ASSERT_OUTCOME(select_control(dev, true, true, true), GOOD);
	ASSERT_OUTCOME(select_control(dev, false, true, false), GOOD);
	control_values(dev, 0, &ps, &d, &s);
	assert_true(!d && s);
	control_values(dev, 3, &ps, &d, &s);
	assert_true(d && s);
	control_values(dev, 2, &ps, &d, &s);
	assert_false(d || s);
	restart(TCMU_HANDLERS, true); /* the current values, not the saved ones */
	control_values(dev, 0, &ps, &d, &s);
	assert_true(!d && s);
	assert_int_equal(fake_dev_remove(dev), 0);

	snprintf(config, sizeof(config), "file/%s", world_path(&w, "saved"));
	assert_int_equal(lun_create(&w, "again", config, MIB, &dev), 0);
	control_values(dev, 0, &ps, &d, &s);
	assert_true(d && s);
	ASSERT_OUTCOME(write_block(dev, 0, 1), SW_WRITE_PROTECTED);
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* A storage that cannot keep them. */
static void not_saved(void **state)
{
	uint8_t buf[64];
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = led_lun("unsaved", MIB);
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x1a, 8, 0xca, 0, 64), FAKE_IN, buf, 64),
		       SAVING_NOT_SUPPORTED);
	ASSERT_OUTCOME(select_control(dev, true, false, true), INVALID_FIELD_IN_CDB);
	assert_false(d_sense(dev));
	assert_int_equal(fake_dev_remove(dev), 0);

	led_mark("failing", "saves");
	led_mark("failing", "fail-store");
	dev = led_lun("failing", MIB);
	ASSERT_OUTCOME(select_control(dev, true, false, true), SENSE(3u, 0x0cu, 0u));
	assert_false(d_sense(dev));
	let_go("failing", "x");
	assert_int_equal(fake_dev_remove(dev), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, faults_open, faults_close)
	const struct CMUnitTest tests[] = {
		T(d_sense_everywhere),
		T(d_sense_of_unit_attention),
		T(software_write_protect),
		T(read_only_file),
		T(swp_flushes),
		T(cache_is_off_until_it_is_on),
		T(survives_restarts),
		T(saved_pages),
		T(not_saved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
