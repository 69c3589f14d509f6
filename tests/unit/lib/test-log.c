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
	assert_string_equal(last, "a?b?[2Jc\xc3\xa4");
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

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(messages) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
