/* SPDX-License-Identifier: Apache-2.0 */
/* The runner's own option in a config string. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "runner/cfgstring.h"

static void check(const char *cfg, int seconds, const char *left)
{
	char text[256];

	strcpy(text, cfg);
	assert_int_equal(runner_cfg_take_time_out(text), seconds);
	assert_string_equal(text, left);
}

static void taken_wherever_it_stands(void **state)
{
	(void)state;
	check("glfs/v@h/p;tcmur_cmd_time_out=130", 130, "glfs/v@h/p");
	check("file//a;tcmur_cmd_time_out=5;direct", 5, "file//a;direct");
	check("file//a;direct;tcmur_cmd_time_out=0", 0, "file//a;direct");
}

/* The last one counts; none is left for the handler, which does not know it. */
static void given_twice(void **state)
{
	(void)state;
	check("file//a;tcmur_cmd_time_out=5;tcmur_cmd_time_out=6", 6, "file//a");
	check("file//a;tcmur_cmd_time_out=5;ro;tcmur_cmd_time_out=0;direct", 0,
	      "file//a;ro;direct");
	/* All or nothing. */
	check("file//a;tcmur_cmd_time_out=5;tcmur_cmd_time_out=x", -EINVAL,
	      "file//a;tcmur_cmd_time_out=5;tcmur_cmd_time_out=x");
	check("file//a;tcmur_cmd_time_out=x;tcmur_cmd_time_out=5", -EINVAL,
	      "file//a;tcmur_cmd_time_out=x;tcmur_cmd_time_out=5");
}

static void absent(void **state)
{
	(void)state;
	check("file//a", 0, "file//a");
	check("file//a/tcmur_cmd_time_out=5", 0, "file//a/tcmur_cmd_time_out=5");
}

static void refused(void **state)
{
	(void)state;
	check("file//a;tcmur_cmd_time_out=", -EINVAL, "file//a;tcmur_cmd_time_out=");
	check("file//a;tcmur_cmd_time_out=-1", -EINVAL, "file//a;tcmur_cmd_time_out=-1");
	check("file//a;tcmur_cmd_time_out=5s", -EINVAL, "file//a;tcmur_cmd_time_out=5s");
	check("file//a;tcmur_cmd_time_out=99999999999", -EINVAL,
	      "file//a;tcmur_cmd_time_out=99999999999");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(taken_wherever_it_stands),
		cmocka_unit_test(given_twice),
		cmocka_unit_test(absent),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
