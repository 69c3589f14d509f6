/* SPDX-License-Identifier: Apache-2.0 */
/* Logical block provisioning thresholds (SBC-4 4.7.3.7): the log page, the mode page, and who is told. */
#include "state.h"

#include <stdio.h>
#include <unistd.h>

#include "util/be.h"

#define REACHED      SENSE(6u, 0x38u, 7u)
#define MODE_CHANGED SENSE(6u, 0x2au, 1u)
#define HW_FAILURE   SENSE(4u, 0x44u, 0u)
#define WATCH_MS     5000 /* runner/threshold.c */
#define NEVER        0xffffffffu

#define AVAILABLE_AT 16u /* in the mode page */
#define USED_AT      24u

/* What the led handler says, in MiB. */
static void pool(const char *name, double used, double available)
{
	char path[200], fresh[220];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.pool", w.dir, name);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	file = fopen(fresh, "we");
	assert_non_null(file);
	fprintf(file, "%.0f %.0f\n", used * MIB, available * MIB);
	fclose(file);
	assert_int_equal(rename(fresh, path), 0);
}

static struct fake_dev *thin_lun(const char *name, uint64_t size)
{
	led_mark(name, "unmaps");
	pool(name, 10, 100);
	return led_lun(name, size);
}

static unsigned int times_asked(const char *name)
{
	return count(trace(name), "provisioning");
}

/* LOG SENSE of page 0Ch, which is also a look at the thresholds. */
static unsigned int log_page(struct fake_dev *dev, uint32_t *used, uint32_t *available)
{
	uint8_t buf[64] = { 0 };
	unsigned int got = send_cmd(dev, CDB(0x4d, 0, 0x4c, 0, 0, 0, 0, 0, 64), FAKE_IN, buf,
				    sizeof(buf));

	if (got != GOOD)
		return got;
	assert_int_equal(buf[0] & 0x3f, 0x0c);
	assert_int_equal(get_be16(buf + 2), 24);
	assert_int_equal(get_be16(buf + 4), 1);
	assert_int_equal(get_be16(buf + 16), 2);
	if (available)
		*available = get_be32(buf + 8);
	if (used)
		*used = get_be32(buf + 20);
	return GOOD;
}

static unsigned int information(void)
{
	return last.sense[0] & 0x80 ? get_be32(last.sense + 3) : NEVER;
}

/* The descriptor that a look was told of already, when another look was quicker; 0: none. */
static unsigned int early;

static void look(struct fake_dev *dev)
{
	unsigned int got = log_page(dev, NULL, NULL);

	if (got == REACHED) {
		assert_int_equal(early, 0);
		early = information();
		got = log_page(dev, NULL, NULL);
	}
	ASSERT_OUTCOME(got, GOOD);
}

static void assert_told(struct fake_dev *dev, unsigned int descriptor)
{
	if (!early) {
		ASSERT_OUTCOME(tur(dev), REACHED);
		early = information();
	}
	assert_int_equal(early, descriptor);
	early = 0;
}

static void assert_not_told(struct fake_dev *dev)
{
	ASSERT_OUTCOME(tur(dev), GOOD);
	assert_int_equal(early, 0);
}

static void assert_told_once(struct fake_dev *dev, unsigned int descriptor)
{
	assert_told(dev, descriptor);
	assert_not_told(dev);
}

/* MODE SENSE(10) of both pages, in the form of a MODE SELECT: 8 bytes of header, 12, 32. */
static void mode_pages(struct fake_dev *dev, uint8_t pc, uint8_t *list)
{
	uint8_t buf[64] = { 0 };

	memset(list, 0, 8 + 12 + 32);
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x5a, 8, (uint8_t)(pc << 6 | 0x01), 0, 0, 0, 0, 0, 64),
				FAKE_IN, buf, sizeof(buf)),
		       GOOD);
	memcpy(list + 8, buf + 8, 12);
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x5a, 8, (uint8_t)(pc << 6 | 0x1c), 2, 0, 0, 0, 0, 64),
				FAKE_IN, buf, sizeof(buf)),
		       GOOD);
	memcpy(list + 20, buf + 8, 32);
	list[8] &= 0x7f;
	list[20] &= 0x7f;
}

/* In MiB; NEVER: not enabled. */
static unsigned int set(struct fake_dev *dev, bool lbpere, unsigned int used,
			unsigned int available, bool sp)
{
	uint8_t list[52];

	mode_pages(dev, 0, list);
	list[8 + 7] = lbpere ? 0x80 : 0;
	list[20 + AVAILABLE_AT] = available == NEVER ? 0 : 0x80;
	put_be32(list + 20 + AVAILABLE_AT + 4, available == NEVER ? 0 : available);
	list[20 + USED_AT] = (used == NEVER ? 0 : 0x80) | 1;
	put_be32(list + 20 + USED_AT + 4, used == NEVER ? 0 : used);
	return send_cmd(dev, CDB(0x55, sp ? 0x11 : 0x10, 0, 0, 0, 0, 0, 0, 52), FAKE_OUT, list,
			sizeof(list));
}

/* The storage that knows, and what is nowhere else. */
static void values(void **state)
{
	uint32_t used, available;
	uint8_t buf[64];
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = thin_lun("thin", 200 * MIB);
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x12, 1, 0xb2, 0, 64), FAKE_IN, buf, 64), GOOD);
	assert_int_equal(buf[4], 11); /* sets of 1 MiB */
	ASSERT_OUTCOME(log_page(dev, &used, &available), GOOD);
	assert_int_equal(used, 10);
	assert_int_equal(available, 100);
	pool("thin", 10.5, 99.4); /* rounded */
	ASSERT_OUTCOME(log_page(dev, &used, &available), GOOD);
	assert_int_equal(used, 11);
	assert_int_equal(available, 99);
	pool("thin", 0, 1e13);
	ASSERT_OUTCOME(log_page(dev, &used, &available), GOOD);
	assert_int_equal(used, 0);
	assert_true(available == UINT32_MAX);
	/* no other page asks, and neither does anything else */
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x4d, 0, 0x40, 0, 0, 0, 0, 0, 64), FAKE_IN, buf, 64),
		       GOOD);
	assert_int_equal(get_be16(buf + 2), 4);
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x4d, 0, 0x6f, 0, 0, 0, 0, 0, 64), FAKE_IN, buf, 64),
		       GOOD);
	assert_int_equal(buf[8], 0);
	ASSERT_OUTCOME(write_block(dev, 0, 1), GOOD);
	assert_int_equal(times_asked("thin"), 1 + 3);
	led_mark("thin", "fail-provisioning");
	ASSERT_OUTCOME(log_page(dev, NULL, NULL), HW_FAILURE);
	assert_int_equal(fake_dev_remove(dev), 0);
}

static void without(void **state)
{
	uint8_t buf[64], list[52];
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	for (int i = 0; i < 2; i++) { /* no pool; one, but no UNMAP */
		const char *name = i ? "thick" : "unknown";

		if (i)
			pool(name, 10, 100);
		else
			led_mark(name, "unmaps");
		dev = led_lun(name, MIB);
		ASSERT_OUTCOME(log_page(dev, NULL, NULL), INVALID_FIELD_IN_CDB);
		ASSERT_OUTCOME(send_cmd(dev, CDB(0x12, 1, 0xb2, 0, 64), FAKE_IN, buf, 64), GOOD);
		assert_int_equal(buf[4], 0);
		ASSERT_OUTCOME(send_cmd(dev, CDB(0x1a, 8, 0x1c, 2, 64), FAKE_IN, list, 52),
			       INVALID_FIELD_IN_CDB);
		assert_int_equal(times_asked(name), 0);
		assert_int_equal(fake_dev_remove(dev), 0);
	}
}

static void crossing(void **state)
{
	uint8_t list[52], buf[32];
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = thin_lun("thin", 200 * MIB);
	ASSERT_OUTCOME(set(dev, true, 20, 50, false), GOOD);
	mode_pages(dev, 0, list);
	assert_int_equal(list[20 + 4], 1); /* SITUA */
	look(dev);
	assert_not_told(dev);
	pool("thin", 10, 49.8); /* inside the range, which is a set wide */
	look(dev);
	assert_not_told(dev);
	pool("thin", 10, 49.5);
	look(dev);
	assert_told_once(dev, AVAILABLE_AT);
	pool("thin", 10, 30);
	look(dev);
	assert_not_told(dev);
	pool("thin", 10, 50.2);
	look(dev);
	pool("thin", 10, 30); /* it did not come out of the range */
	look(dev);
	assert_not_told(dev);
	pool("thin", 10, 51);
	look(dev);
	assert_not_told(dev);
	pool("thin", 20.5, 30); /* both */
	look(dev);
	assert_told(dev, AVAILABLE_AT);
	/* REQUEST SENSE reports it as data */
	ASSERT_OUTCOME(send_cmd(dev, CDB(3, 0, 0, 0, 32), FAKE_IN, buf, 32), GOOD);
	assert_int_equal(buf[2], 6);
	assert_int_equal(buf[12] << 8 | buf[13], 0x3807);
	assert_int_equal(get_be32(buf + 3), USED_AT);
	assert_not_told(dev);
	assert_int_equal(fake_dev_remove(dev), 0);
}

static void not_enabled(void **state)
{
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = thin_lun("thin", 200 * MIB);
	ASSERT_OUTCOME(set(dev, false, 20, 50, false), GOOD); /* LBPERE 0 */
	pool("thin", 100, 10);
	look(dev);
	assert_not_told(dev);
	ASSERT_OUTCOME(set(dev, true, NEVER, NEVER, false), GOOD);
	look(dev);
	assert_not_told(dev);
	assert_int_equal(times_asked("thin"), 1 + 2);
	/* one that is reached already when it is enabled */
	ASSERT_OUTCOME(set(dev, true, 20, NEVER, false), GOOD);
	look(dev);
	assert_told_once(dev, USED_AT);
	/* and none any more */
	ASSERT_OUTCOME(set(dev, true, NEVER, NEVER, false), GOOD);
	pool("thin", 10, 10);
	look(dev);
	pool("thin", 30, 10);
	look(dev);
	assert_not_told(dev);
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* Without anybody who asks: by the clock, and by what is written; and by nothing when there is nothing to
 * be told. */
static void watched(void **state)
{
	uint8_t same[16] = { 0x93, [11] = 2 }, block[512] = { 1 }; /* 131072 blocks, 64 MiB */
	unsigned int before;
	struct fake_dev *dev;
	uint64_t begin, written;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = thin_lun("thin", 200 * MIB);
	begin = fake_now_ms();
	ASSERT_OUTCOME(set(dev, true, NEVER, 50, false), GOOD);
	reached("thin", "provisioning", 2); /* enabling one is worth a look */
	ASSERT_OUTCOME(send_cmd(dev, same, FAKE_OUT, block, 512), GOOD);
	written = fake_now_ms();
	reached("thin", "provisioning", 3);
	if (written - begin <
	    WATCH_MS / 2) /* a machine that is fast enough to tell this from the clock */
		assert_true(fake_now_ms() - begin < WATCH_MS);
	pool("thin", 10, 40);
	ASSERT_OUTCOME(wait_while(dev, GOOD), REACHED);
	assert_true(fake_now_ms() - begin >= WATCH_MS - 100);
	assert_int_equal(information(), AVAILABLE_AT);
	before = times_asked("thin");
	reached("thin", "provisioning", before + 1);
	ASSERT_OUTCOME(tur(dev), GOOD);

	ASSERT_OUTCOME(set(dev, true, NEVER, NEVER, false), GOOD);
	before = times_asked("thin");
	usleep((WATCH_MS + 1000) * 1000);
	ASSERT_OUTCOME(send_cmd(dev, same, FAKE_OUT, block, 512), GOOD);
	usleep(100000);
	assert_int_equal(times_asked("thin"), before);
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* A storage that takes its time keeps nobody but who asked for it; a stop waits for it. */
static void slow_storage(void **state)
{
	static struct bg asking;
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = thin_lun("thin", 200 * MIB);
	led_mark("thin", "hold-provisioning");
	ASSERT_OUTCOME(set(dev, true, NEVER, 50, false), GOOD);
	reached("thin", "provisioning", 2);
	bg_submit(dev, &asking, CDB(0x4d, 0, 0x4c, 0, 0, 0, 0, 0, 64), FAKE_IN);
	reached("thin", "provisioning", 3);
	ASSERT_OUTCOME(write_block(dev, 0, 1), GOOD);
	ASSERT_OUTCOME(tur(dev), GOOD);
	let_go("thin", "provisioning");
	bg_wait(&asking);
	ASSERT_OUTCOME(outcome(&asking.cmd), GOOD);
	assert_int_equal(fake_dev_remove(dev), 0);
}

static void assert_thresholds(struct fake_dev *dev, uint8_t pc, unsigned int used,
			      unsigned int available)
{
	uint8_t list[52];

	mode_pages(dev, pc, list);
	assert_int_equal(list[20 + USED_AT] & 0x80, used == NEVER ? 0 : 0x80);
	assert_int_equal(get_be32(list + 20 + USED_AT + 4), used == NEVER ? 0 : used);
	assert_int_equal(list[20 + AVAILABLE_AT] & 0x80, available == NEVER ? 0 : 0x80);
	assert_int_equal(get_be32(list + 20 + AVAILABLE_AT + 4),
			 available == NEVER ? 0 : available);
	assert_int_equal(list[8 + 7] & 0x80, used == NEVER && available == NEVER ? 0 : 0x80);
}

/* Saved ones live on; others are gone, which is said. */
static void restarts(void **state)
{
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	led_mark("thin", "saves");
	dev = thin_lun("thin", 200 * MIB);
	restart(TCMU_LED_HANDLERS, false); /* nothing was set */
	ASSERT_OUTCOME(tur(dev), GOOD);
	for (int killed = 0; killed < 2; killed++) {
		ASSERT_OUTCOME(set(dev, true, 20, 4000000000u, false), GOOD);
		look(dev);
		assert_told_once(dev, AVAILABLE_AT);
		restart(TCMU_LED_HANDLERS, killed);
		ASSERT_OUTCOME(tur(dev), MODE_CHANGED);
		ASSERT_OUTCOME(tur(dev), GOOD);
		assert_thresholds(dev, 0, NEVER, NEVER);
	}
	ASSERT_OUTCOME(set(dev, true, 20, 4000000000u, true), GOOD);
	look(dev);
	assert_told_once(dev, AVAILABLE_AT);
	restart(TCMU_LED_HANDLERS, true);
	look(dev); /* still reached, still said */
	assert_told_once(dev, AVAILABLE_AT);
	assert_thresholds(dev, 0, 20, 4000000000u);
	assert_thresholds(dev, 3, 20, 4000000000u);
	assert_thresholds(dev, 2, NEVER, NEVER);
	assert_true(write_cache(dev));
	ASSERT_OUTCOME(set(dev, true, 30, NEVER, false), GOOD);
	assert_thresholds(dev, 0, 30, NEVER);
	assert_int_equal(fake_dev_remove(dev), 0);

	dev = led_lun("thin", 200 * MIB); /* another device on the same storage */
	look(dev);
	assert_told_once(dev, AVAILABLE_AT);
	assert_thresholds(dev, 0, 20, 4000000000u);
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* What was saved before there were any. */
static void older_text(void **state)
{
	struct fake_dev *dev;
	FILE *file;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	led_mark("old", "saves");
	file = fopen(world_path(&w, "old.saved"), "we");
	assert_non_null(file);
	fputs("wce=1 d_sense=1 swp=1\n", file);
	fclose(file);
	dev = thin_lun("old", 200 * MIB);
	assert_true(d_sense(dev));
	assert_true(swp(dev));
	assert_thresholds(dev, 0, NEVER, NEVER);
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* The file handler: blocks of the file, and the room of its file system. */
static void of_a_file(void **state)
{
	uint8_t fill[16] = { 0x93, [11] = 2 }, block[512] = { 1 };
	uint32_t used, available;
	struct fake_dev *dev;
	char config[200];

	(void)state;
	start_usual(TCMU_HANDLERS);
	snprintf(config, sizeof(config), "file/%s", world_file(&w, "thin", 256 * MIB));
	assert_int_equal(lun_create(&w, "thin", config, 256 * MIB, &dev), 0);
	ASSERT_OUTCOME(log_page(dev, &used, &available), GOOD);
	assert_int_equal(used, 0);
	assert_true(available > 0);
	ASSERT_OUTCOME(set(dev, true, 60, NEVER, false), GOOD);
	ASSERT_OUTCOME(tur(dev), GOOD);
	ASSERT_OUTCOME(send_cmd(dev, fill, FAKE_OUT, block, 512), GOOD);
	while (log_page(dev, &used, &available) != GOOD)
		assert_int_equal(outcome(&last), REACHED); /* who comes next */
	assert_in_range(used, 64, 66);
	assert_int_equal(fake_dev_remove(dev), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, faults_open, faults_close)
	const struct CMUnitTest tests[] = {
		T(values),       T(without),  T(crossing),   T(not_enabled), T(watched),
		T(slow_storage), T(restarts), T(older_text), T(of_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
