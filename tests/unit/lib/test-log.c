/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "lib/device.h"
#include "libtcmu.h"
#include "test.h"

static char last[2048], last_dev[64];
static int count;

static void sink(const struct tcmu_log_record *record, void *arg)
{
	assert_ptr_equal(arg, &count);
	snprintf(last, sizeof(last), "%s", record->message);
	snprintf(last_dev, sizeof(last_dev), "%s", record->device ? record->device : "-");
	count++;
	errno = EIO;
}

static void messages(void **state)
{
	struct tcmu_device dev = { .name = "user_0/disk" };
	char longer[2000];

	(void)state;
	tcmu_err("nobody listens");
	tcmu_set_log_sink(sink, &count);
	errno = ENOENT;
	tcmu_info("%d\n", 7);
	assert_int_equal(errno, ENOENT);
	assert_string_equal(last, "7");
	assert_string_equal(last_dev, "-");
	tcmu_dev_warn(&dev, "a\nb\033[2Jc\xc3\xa4");
	assert_string_equal(last, "a\\x0ab\\x1b[2Jc\xc3\xa4");
	assert_string_equal(last_dev, "user_0/disk");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	tcmu_err("%s", longer);
	assert_int_equal(strlen(last), 1023);
	assert_string_equal(last + 1020, "...");
	assert_int_equal(count, 3);
	tcmu_dbg("below the level");
	assert_int_equal(count, 3);
	tcmu_set_log_level(TCMU_LOG_DEBUG);
	tcmu_dbg("seen");
	assert_int_equal(count, 4);
	tcmu_set_log_level(TCMU_LOG_ERROR);
	tcmu_warn("not seen");
	assert_int_equal(count, 4);
	tcmu_set_log_sink(NULL, NULL);
}

/* Names and config strings are anybody's: what is not plain text is shown by its bytes. */
static void untrusted(void **state)
{
	static const struct {
		const char *text, *shown;
	} rows[] = {
		{ "a\n\n", "a" },
		{ "\n", "" },
		{ "\na\n", "\\x0aa" },
		{ "\ta\x7f\x01", "\\x09a\\x7f\\x01" },
		{ "%s%n", "%s%n" },
		{ "\xc2\x9b\xc2\xa0", "\\xc2\\x9b\xc2\xa0" }, /* C1 */
		{ "\xe2\x82\xac\xf0\x9f\x90\xa7", "\xe2\x82\xac\xf0\x9f\x90\xa7" },
		{ "\xc3", "\\xc3" }, /* cut off */
		{ "\xe2\x82", "\\xe2\\x82" },
		{ "\xc0\xaf\xe0\x80\xaf", "\\xc0\\xaf\\xe0\\x80\\xaf" }, /* overlong */
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },                   /* a surrogate */
		{ "\xf4\x90\x80\x80\xff", "\\xf4\\x90\\x80\\x80\\xff" },
	};
	struct tcmu_device dev = { 0 };
	char longer[2000];

	(void)state;
	tcmu_set_log_sink(sink, &count);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(dev.name, sizeof(dev.name), "%s", rows[i].text);
		tcmu_dev_err(&dev, "%s", rows[i].text);
		assert_string_equal(last, rows[i].shown);
		assert_string_equal(last_dev, rows[i].shown);
	}
	/* No character is cut in two, neither an escaped one. */
	for (int room = 0; room < 4; room++) {
		memset(longer, 'x', sizeof(longer));
		strcpy(longer + 1023 - 3 - 4 + room, "\x01yyyyyyyyy");
		tcmu_err("%s", longer);
		assert_string_equal(last + 1023 - 3 - 4 + room, room ? "..." : "\\x01...");
	}
	tcmu_set_log_sink(NULL, NULL);
}

/* ---- how many ---- */

static unsigned int dropped_said;
static _Atomic(unsigned int) delivered;

static void counting_sink(const struct tcmu_log_record *record, void *arg)
{
	unsigned int n;

	(void)arg;
	if (sscanf(record->message, "%u more", &n) == 1)
		dropped_said += n;
	else
		delivered++;
}

static void *shout(void *arg)
{
	for (int i = 0; i < 10000; i++)
		tcmu_dev_warn(arg, "x");
	return NULL;
}

static void rate(void **state)
{
	const struct tcmu_log_about traced = { .wanted = true };
	struct tcmu_device loud = { .name = "a" }, quiet = { .name = "b" };
	pthread_t threads[4];

	(void)state;
	tcmu_set_log_level(TCMU_LOG_INFO);
	tcmu_set_log_sink(counting_sink, NULL);
	tcmu_set_log_rate(50);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, shout, &loud);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	/* Some more if a window has ended meanwhile. */
	assert_in_range(delivered, 50, 500);
	tcmu_log_settle(&loud, true);
	assert_int_equal(delivered + dropped_said, 40000);
	/* Not another device, nor another level, nor what is about none, nor a trace. */
	shout(&loud);
	delivered = dropped_said = 0;
	tcmu_dev_warn(&quiet, "x");
	tcmu_dev_err(&loud, "x");
	tcmu_log_command(TCMU_LOG_WARN, &loud, &traced, "x");
	assert_int_equal(delivered, 3);
	for (int i = 0; i < 100; i++)
		tcmu_warn("x");
	assert_int_equal(delivered, 103);
	/* Nothing to settle: the time is not over, or nothing was dropped. */
	tcmu_log_settle(&quiet, true);
	assert_int_equal(dropped_said, 0);
	tcmu_set_log_rate(0);
	shout(&quiet);
	assert_int_equal(delivered, 10103);
	tcmu_set_log_sink(NULL, NULL);
}

/* ---- about a command ---- */

static struct tcmu_log_record got;

static void record_sink(const struct tcmu_log_record *record, void *arg)
{
	(void)arg;
	got = *record;
}

static void records(void **state)
{
	static const uint8_t cdb[6] = { 0 };
	const struct tcmu_log_about about = { .cdb = cdb, .has_lba = true, .lba = 7 };
	struct tcmulib_handler handler = { .subtype = "file" };
	struct tcmu_device dev = { .name = "user_0/disk", .handler = &handler };

	(void)state;
	tcmu_set_log_sink(record_sink, NULL);
	tcmu_log_command(TCMU_LOG_ERROR, &dev, &about, "x");
	assert_int_equal(got.level, TCMU_LOG_ERROR);
	assert_string_equal(got.handler, "file");
	assert_ptr_equal(got.about, &about);
	tcmu_info("x");
	assert_null(got.device);
	assert_null(got.handler);
	assert_null(got.about);
	tcmu_set_log_sink(NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages),
		cmocka_unit_test(untrusted),
		cmocka_unit_test(rate),
		cmocka_unit_test(records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
