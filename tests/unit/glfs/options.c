/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "handlers/glfs/gluster.h"

static struct gluster_options opts;

static void good(const char *cfgstring)
{
	char *reason = NULL;
	int ret = gluster_options_parse(cfgstring, &opts, &reason);

	if (ret)
		fail_msg("'%s' is refused: %s", cfgstring, reason);
	assert_null(reason);
}

static void server(size_t i, const char *transport, const char *host, int port)
{
	assert_true(i < opts.server_count);
	assert_string_equal(opts.servers[i].transport, transport);
	assert_string_equal(opts.servers[i].host, host);
	assert_int_equal(opts.servers[i].port, port);
}

static void test_gluster_block(void **state)
{
	(void)state;
	good("glfs/vol-1@gw_1.example/block-store/6a5c-9");
	assert_string_equal(opts.volume, "vol-1");
	assert_string_equal(opts.path, "/block-store/6a5c-9");
	assert_int_equal(opts.server_count, 1);
	server(0, "tcp", "gw_1.example", 24007);
	assert_false(opts.create);
	assert_false(opts.read_only);
	assert_int_equal(opts.timeout, 0);
	assert_int_equal(opts.phys_size, 4096);
	assert_string_equal(opts.log, "/var/log/tcmu-runner-glfs.log");
	assert_int_equal(opts.log_level, 4);
	gluster_options_free(&opts);
}

static void test_servers(void **state)
{
	(void)state;
	good("glfs/v@a/f;server=b:1;server=[fe80::1];port=24008;server=[::1]:2;socket=/run/g.sock");
	assert_int_equal(opts.server_count, 5);
	server(0, "tcp", "a", 24008);
	server(1, "tcp", "b", 1);
	server(2, "tcp", "fe80::1", 24008);
	server(3, "tcp", "::1", 2);
	server(4, "unix", "/run/g.sock", 0);
	gluster_options_free(&opts);

	good("v@/f;socket=/run/g.sock"); /* as check_config has it from some clients */
	assert_int_equal(opts.server_count, 1);
	server(0, "unix", "/run/g.sock", 0);
	gluster_options_free(&opts);

	good("glfs/v@h/f;server=1;server=2;server=3;server=4;server=5;server=6;server=7");
	assert_int_equal(opts.server_count, GLUSTER_SERVERS_MAX);
	gluster_options_free(&opts);
}

static void test_others(void **state)
{
	(void)state;
	good("glfs/v@h/f;create;removable;timeout=5;log=/tmp/x;loglevel=9;phys=512");
	assert_true(opts.create);
	assert_true(opts.removable);
	assert_int_equal(opts.timeout, 5);
	assert_string_equal(opts.log, "/tmp/x");
	assert_int_equal(opts.log_level, 9);
	assert_int_equal(opts.phys_size, 512);
	gluster_options_free(&opts);
	good("glfs/v@h/a@b/c d;ro"); /* only the first '@' and the first '/' behind it count */
	assert_string_equal(opts.path, "/a@b/c d");
	assert_true(opts.read_only);
	gluster_options_free(&opts);
}

/* What is refused, and what the sentence has to have. */
static void test_refused(void **state)
{
	static const struct {
		const char *cfgstring, *said;
	} rows[] = {
		{ "glfs/", "no '@'" },
		{ "glfs/vol", "'vol' has no '@'" },
		{ "glfs/vol/host/path", "no '@'" },
		{ "glfs/@host/path", "names no volume" },
		{ "glfs/vo l@host/path", "'vo l' is no name of a volume" },
		{ "glfs/../x@host/path", "is no name of a volume" },
		{ "glfs/vol@host", "no path" },
		{ "glfs/vol@host/", "no path" },
		{ "glfs/vol@host;ro", "no path" },
		{ "glfs/vol@/path", "names no host" },
		{ "glfs/vol@h st/path", "'h st' is no name or address" },
		{ "glfs/vol@a@b/path", "'a@b' is no name or address" },
		{ "glfs/vol@:1/path", "is no name or address" },
		{ "glfs/vol@host:/path", "'host:' is no server" },
		{ "glfs/vol@host:0/path", "'host:0' is no server" },
		{ "glfs/vol@host:65536/path", "is no server" },
		{ "glfs/vol@host:12x/path", "is no server" },
		{ "glfs/vol@[::1/path", "lacks the ']'" },
		{ "glfs/vol@[::1]x/path", "is no server" },
		{ "glfs/vol@[]/path", "is no name or address" },
		{ "glfs/v@h/f;server=", "is no name or address" },
		{ "glfs/v@h/"
		  "f;server=1;server=2;server=3;server=4;server=5;server=6;server=7;server=8",
		  "'8' is one server too many" },
		{ "glfs/v@h/f;port=", "'port=' is no port" },
		{ "glfs/v@h/f;port=70000", "'port=70000' is no port" },
		{ "glfs/v@h/f;socket=x", "'socket=x' is not the absolute path" },
		{ "glfs/v@h/f;timeout=0", "'timeout=0' is no time" },
		{ "glfs/v@h/f;timeout=1014", "'timeout=1014' is no time" },
		{ "glfs/v@h/f;timeout=1e3", "'timeout=1e3' is no time" },
		{ "glfs/v@h/f;log=x", "'log=x' is not an absolute path" },
		{ "glfs/v@h/f;loglevel=0", "'loglevel=0' is none of" },
		{ "glfs/v@h/f;loglevel=10", "'loglevel=10' is none of" },
		{ "glfs/v@h/f;phys=1000", "'phys=1000' is no size" },
		{ "glfs/v@h/f;phys=256", "'phys=256' is no size" },
		{ "glfs/v@h/f;phys=131072", "'phys=131072' is no size" },
		{ "glfs/v@h/f;direct", "'direct' is no option" },
		{ "glfs/v@h/f;", "'' is no option" },
		{ "glfs/v@h/f;;ro", "'' is no option" },
		{ "glfs/v@h/f;creat", "'creat' is no option" },
		{ "glfs/v@h/f;create=1", "'create=1' is no option" },
		{ "glfs/v@h/f;create;ro", "exclude each other" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *reason = NULL;

		assert_int_equal(gluster_options_parse(rows[i].cfgstring, &opts, &reason), -EINVAL);
		assert_non_null(reason);
		if (!strstr(reason, rows[i].said))
			fail_msg("'%s': not '%s', but: %s", rows[i].cfgstring, rows[i].said,
				 reason);
		assert_null(opts.volume);
		assert_int_equal(opts.server_count, 0);
		free(reason);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gluster_block),
		cmocka_unit_test(test_servers),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
