/* SPDX-License-Identifier: Apache-2.0 */
/* The config string of the file handler. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "handlers/file/file.h"

static void expect_ok(const char *cfg, const char *path, bool direct, bool read_only, bool create)
{
	struct file_options opts;
	char *reason;

	assert_int_equal(file_options_parse(cfg, &opts, &reason), 0);
	assert_null(reason);
	assert_string_equal(opts.path, path);
	assert_int_equal(opts.direct, direct);
	assert_int_equal(opts.read_only, read_only);
	assert_int_equal(opts.create, create);
	file_options_free(&opts);
}

/* Refused, with a sentence that has this text in it. */
static void expect_refused(const char *cfg, const char *text)
{
	struct file_options opts;
	char *reason;

	assert_int_equal(file_options_parse(cfg, &opts, &reason), -EINVAL);
	assert_non_null(reason);
	if (!strstr(reason, text))
		fail_msg("'%s' does not say '%s'", reason, text);
	assert_null(opts.path);
	free(reason);
}

static void path_alone(void **state)
{
	(void)state;
	expect_ok("file//srv/disk.img", "/srv/disk.img", false, false, false);
	expect_ok("file///x", "//x", false, false, false);
	expect_ok("file//srv/a b=c:d", "/srv/a b=c:d", false, false, false);
}

static void options_in_any_order(void **state)
{
	(void)state;
	expect_ok("file//d;direct", "/d", true, false, false);
	expect_ok("file//d;ro", "/d", false, true, false);
	expect_ok("file//d;create;direct", "/d", true, false, true);
	expect_ok("file//d;direct;ro", "/d", true, true, false);
	expect_ok("file//d;ro;ro", "/d", false, true, false);
}

static void relative_path_says_what_to_write(void **state)
{
	(void)state;
	expect_refused("file/disk.img", "file//srv/disk.img");
	expect_refused("file/disk.img;ro", "'disk.img' is not an absolute path");
	expect_refused("file/", "has no path");
	expect_refused("file/;ro", "has no path");
}

static void unknown_option_is_named(void **state)
{
	(void)state;
	expect_refused("file//d;dircet", "'dircet'");
	expect_refused("file//d;dircet", "direct, ro, create");
	expect_refused("file//d;direct=1", "'direct=1'");
	expect_refused("file//d;r", "'r'");
	expect_refused("file//d;", "''");
	expect_refused("file//d;;ro", "''");
	expect_refused("file//d;RO", "'RO'");
}

static void ro_excludes_what_writes(void **state)
{
	(void)state;
	expect_ok("file//d;atomic;direct", "/d", true, false, false);
	expect_refused("file//d;ro;atomic", "'atomic' and 'ro' exclude each other");
	expect_refused("file//d;create;ro", "exclude each other");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(path_alone),
		cmocka_unit_test(options_in_any_order),
		cmocka_unit_test(relative_path_says_what_to_write),
		cmocka_unit_test(unknown_option_is_named),
		cmocka_unit_test(ro_excludes_what_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
