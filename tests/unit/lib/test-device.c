/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "lib/device.h"
#include "test.h"

static void assert_parsed(const char *uio_name, const char *name, const char *config)
{
	char got[TCMU_UIO_NAME_MAX];
	const char *cfg;
	size_t len;

	assert_int_equal(tcmu_device_parse_name(uio_name, got, sizeof(got), &cfg, &len), 0);
	assert_string_equal(got, name);
	assert_int_equal(len, strlen(config));
	assert_memory_equal(cfg, config, len);
}

static void names(void **state)
{
	(void)state;
	assert_parsed("tcm-user/0/disk/file//srv/a.img", "user_0/disk", "file//srv/a.img");
	assert_parsed("tcm-user/12/a b/qcow/x y/z, Size: 1\n", "user_12/a b",
		      "qcow/x y/z, Size: 1");
	assert_parsed("tcm-user/1/disk", "user_1/disk", "");
	assert_parsed("tcm-user/1/disk/", "user_1/disk", "");
	assert_parsed("tcm-user/1/disk/null\n", "user_1/disk", "null");
	assert_parsed("tcm-user/1/.x/null", "user_1/.x", "null");
}

static void strange_names(void **state)
{
	static const char *const bad[] = {
		"",
		"tcm-user",
		"tcm-user/",
		"tcm-user/0",
		"tcm-user/0/",
		"tcm-user/0//x",
		"tcm-user/x/d/f",
		"tcm-loop/0/d/f",
		"tcm-user//d",
		"tcm-user/0/./f",
		"tcm-user/0/../f",
		"tcm-user/0/..",
	};
	char got[TCMU_UIO_NAME_MAX];
	const char *cfg;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(tcmu_device_parse_name(bad[i], got, sizeof(got), &cfg, &len),
				 -EINVAL);
	assert_int_equal(tcmu_device_parse_name("tcm-user/0/disk", got, 4, &cfg, &len), -EINVAL);
}

static void subtypes(void **state)
{
	(void)state;
	assert_int_equal(tcmu_device_subtype_len("file/x/y"), 4);
	assert_int_equal(tcmu_device_subtype_len("file"), 4);
	assert_int_equal(tcmu_device_subtype_len("/x"), 0);
	assert_int_equal(tcmu_device_subtype_len(""), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(strange_names),
		cmocka_unit_test(subtypes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
