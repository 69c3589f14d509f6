/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "lib/device.h"
#include "libtcmu.h"
#include "test.h"

static char last[2048], last_dev[64];
static int count;

static void sink(enum tcmu_log_level level, const char *dev_name, const char *msg, void *arg)
{
	(void)level;
	assert_ptr_equal(arg, &count);
	snprintf(last, sizeof(last), "%s", msg);
	snprintf(last_dev, sizeof(last_dev), "%s", dev_name ? dev_name : "-");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages),
		cmocka_unit_test(untrusted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
