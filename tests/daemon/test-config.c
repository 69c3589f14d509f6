/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file: what it may say, what is said of mistakes, and what changes while a unit is served. */
#include "crowd.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* As an editor does it: a new file in the place of the old one. */
static void write_config(const char *text)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s", world_path(&w, "new.conf"));
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(rename(path, world_path(&w, "tcmu.conf")), 0);
}

static void run_with(const char *option)
{
	char lock[160], config[200];
	const char *argv[] = {
		TCMU_RUNNER_FAKE, "--handler-path", all_handlers(),  "--lock-file", lock,
		"--config",       config,           engine_option(), option,        NULL
	};

	snprintf(lock, sizeof(lock), "%s/lock", w.dir);
	snprintf(config, sizeof(config), "%s/tcmu.conf", w.dir);
	proc_spawn(&w.d, (char *const *)(uintptr_t)argv);
}

static void start_with(const char *option)
{
	run_with(option);
	assert_int_equal(proc_expect(&w.d, "ready", LONG_MS), 0);
}

/* ---- what it may say ---- */

static void check_is(const char *text, int status, const char *line)
{
	write_config(text);
	run_with("--check-config");
	assert_int_equal(proc_wait(&w.d, LONG_MS), status);
	if (line ? !strstr(said(), line) : *said()) {
		print_error("'%s': %s\n", text, said());
		fail();
	}
}

static void mistakes(void **state)
{
	(void)state;
	check_is("", 0, NULL);
	check_is("# log_level = 9\n\n  # x\n", 0, NULL);
	/* As tcmu-runner 1.6 has it. */
	check_is("log_level = 3\nlog_dir = \"/var/log\"\n", 0, NULL);
	check_is(
		"[tcmu-runner]\nlog_level=debug\nengine=workers\nopen_timeout = 5\nstop_timeout=7\n"
		"gather=0\nspin=1\nnice=-3\nnofile=4096\nforeign=a, b;c\nhandler_path=/x\n",
		0, NULL);
	check_is("log_level = 9\n", 2, "line 1: log_level = 9: give error, warning");
	check_is("\nopen_timeout = 0\n", 2, "line 2: open_timeout = 0: give whole seconds, from 1");
	check_is("open_timeout = 5s\n", 2, "line 1: open_timeout = 5s");
	check_is("stop_timeout = 99999999999999999999\n", 2, "line 1: stop_timeout");
	check_is("spin = -1\n", 2, "line 1: spin = -1: give microseconds, from 0 to 1000");
	check_is("engine = fast\n", 2, "line 1: engine = fast: give io_uring or workers");
	check_is("foreign = a/b\n", 2, "line 1: foreign = a/b");
	check_is("log_dir = here\n", 2, "line 1: log_dir = here: give a path");
	check_is("spin = 1\nspni = 1\n", 2, "line 2: there is no setting 'spni'");
	check_is("[file]\nspin = 1\n", 2, "there is no group [file]");
	check_is("spin=1\n[handler:file]\noptions = direct;phys=4096\n", 0, NULL);
	check_is("[handler:file]\nspin = 1\n", 2,
		 "line 2: there is no setting 'spin' in [handler:file]");
	check_is("[handler:a/b]\noptions = x\n", 2, "[handler:a/b] names no handler");
	check_is("log_target = printer\n", 2,
		 "line 1: log_target = printer: give auto, stderr, journal");
	check_is("log_rate = some\n", 2, "line 1: log_rate = some: give a number of messages");
	check_is("trace = a, /b\n", 2, "line 1: trace = a, /b: give names of storage objects");
	check_is("spin = 1\nspin\n", 2, "line 2: 'spin' is not of the form 'key = value'");
	check_is("= 1\n", 2, "line 1: '= 1' is not of the form");
	check_is("[tcmu-runner\nspin = 1\n", 2, "tcmu.conf");
	check_is("spin = \xff\n", 2, "UTF-8");
	unlink(world_path(&w, "tcmu.conf"));
	run_with("--check-config");
	assert_int_equal(proc_wait(&w.d, LONG_MS), 2);
	assert_non_null(strstr(said(), "No such file"));
}

/* ---- while a unit is served ---- */

static void change_to(const char *text, const char *line)
{
	proc_mark(&w.d);
	write_config(text);
	if (proc_expect(&w.d, line, LONG_MS)) {
		print_error("'%s' is not answered by '%s': %s\n", text, line, said());
		fail();
	}
}

/* How long a handler may open, in whole seconds, seen at one that does not come back. */
static unsigned int open_timeout(const char *name)
{
	uint64_t begin = fake_now_ms();
	struct fake_dev *dev;

	hold(name, "open");
	assert_true(slow_create(name, &dev) < 0);
	let_go(name, "open");
	return (unsigned int)((fake_now_ms() - begin) / 1000);
}

static void reread(void **state)
{
	(void)state;
	write_config("open_timeout = 2\n");
	start_with(NULL);
	witness_start(3);
	assert_in_range(open_timeout("one"), 1, 3 + SLOWER);
	/* A bad value keeps the old one, the others of the file count. */
	change_to("open_timeout = never\nstop_timeout = 40\n", "stop_timeout is 40 now, it was 30");
	assert_int_equal(count(said(), "line 1: open_timeout = never: give whole seconds"), 1);
	assert_int_equal(count(said(), "open_timeout is"), 0);
	assert_in_range(open_timeout("two"), 1, 3 + SLOWER);
	/* What cannot be read changes nothing. */
	change_to("open_timeout\n", "line 1: 'open_timeout' is not of the form");
	/* A key that is gone has its default again. */
	change_to("log_level = debug\n", "open_timeout is 60 now, it was 2");
	change_to("log_level = debug\nengine = workers\nspin = 7\nopen_timeout = 3\n",
		  "open_timeout is 3 now");
	assert_int_equal(count(said(), "takes effect when the daemon is started anew: spin"), 1);
	/* Told to, with the file gone. */
	proc_mark(&w.d);
	unlink(world_path(&w, "tcmu.conf"));
	kill(w.d.pid, SIGHUP);
	assert_int_equal(proc_expect(&w.d, "No such file", LONG_MS), 0);
	for (int i = 0; i < 20; i++)
		kill(w.d.pid, SIGHUP);
	witness_end();
	assert_int_equal(proc_stop(&w.d, LONG_MS), 0);
}

/* The command line has the last word; a mistake in the file keeps nobody from starting. */
static void command_line(void **state)
{
	(void)state;
	write_config("open_timeout = 50\nstop_timeout = bad\n");
	start_with("--open-timeout=2");
	assert_non_null(strstr(said(), "line 2: stop_timeout = bad"));
	assert_in_range(open_timeout("one"), 1, 3 + SLOWER);
	change_to("open_timeout = 70\nstop_timeout = 31\n", "stop_timeout is 31 now, it was 30");
	assert_int_equal(count(said(), "open_timeout is"), 0);
	assert_int_equal(proc_stop(&w.d, LONG_MS), 0);
}

/* ---- the groups of handlers ---- */

/* LOGICAL BLOCKS PER PHYSICAL BLOCK EXPONENT, by which an option is seen. */
static unsigned int exponent(struct fake_dev *dev)
{
	static const uint8_t cdb[16] = { 0x9e, 0x10, [13] = 32 };
	struct fake_cmd cmd;
	uint8_t buf[32];

	fake_cmd_init(&cmd, cdb, sizeof(cdb), FAKE_IN, buf, sizeof(buf));
	assert_int_equal(fake_exec(fake_dev_ring(dev), &cmd, LONG_MS), 0);
	assert_int_equal(cmd.status, 0);
	return buf[13] & 0x0f;
}

static struct fake_dev *lun_with(const char *name, const char *options)
{
	struct fake_dev *dev = NULL;
	char config[400];

	snprintf(config, sizeof(config), "file/%s%s", world_file(&w, name, MIB), options);
	assert_int_equal(lun_create(&w, name, config, MIB, &dev), 0);
	return dev;
}

static void options_of_handlers(void **state)
{
	struct fake_dev *one, *two, *three, *four;
	char path[200];

	(void)state;
	write_config("[handler:file]\noptions = \"phys=2048\"\n[handler:fiel]\noptions=ro\n");
	start_with(NULL);
	assert_non_null(strstr(said(), "options for the handler 'fiel', which is not here"));
	one = lun_with("one", "");
	assert_int_equal(exponent(one), 2);
	/* Its own counts more. */
	two = lun_with("two", ";phys=512");
	assert_int_equal(exponent(two), 0);
	/* From now on, with one that the handler does not know. */
	change_to("[handler:file]\noptions = phys=8192;colour=red\n",
		  "options of handlers have changed");
	assert_int_equal(exponent(one), 2);
	snprintf(path, sizeof(path), "file/%s", world_file(&w, "three", MIB));
	assert_true(lun_create(&w, "three", path, MIB, &three) < 0);
	assert_int_equal(proc_expect(&w.d, "'colour=red' is no option", LONG_MS), 0);
	change_to("[handler:file]\noptions = ;phys=1024;;\n", "options of handlers have changed");
	three = lun_with("three", ";removable");
	assert_int_equal(exponent(three), 1);
	/* The same string again is no change. */
	snprintf(path, sizeof(path), "file/%s;removable", world_path(&w, "three"));
	assert_int_equal(reconfig_soon(three, "dev_config", path), 0);
	/* The runner's own option. */
	change_to("[handler:file]\noptions = tcmur_cmd_time_out=x\n",
		  "options of handlers have changed");
	snprintf(path, sizeof(path), "file/%s", world_file(&w, "four", MIB));
	assert_true(lun_create(&w, "four", path, MIB, &four) < 0);
	assert_int_equal(proc_expect(&w.d, "tcmur_cmd_time_out wants whole seconds", LONG_MS), 0);
	/* None again; and after a restart what is there is opened with what is said then. */
	change_to("", "options of handlers have changed");
	four = lun_with("four", "");
	assert_int_not_equal(exponent(four), 2); /* the storage's own */
	assert_int_equal(proc_stop(&w.d, LONG_MS), 0);
	start_with(NULL);
	assert_int_equal(exponent(one), exponent(four));
	assert_int_equal(exponent(two), 0);
	assert_int_equal(proc_stop(&w.d, LONG_MS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(mistakes, crowd_open, crowd_close),
		cmocka_unit_test_setup_teardown(reread, crowd_open, crowd_close),
		cmocka_unit_test_setup_teardown(options_of_handlers, crowd_open, crowd_close),
		cmocka_unit_test_setup_teardown(command_line, crowd_open, crowd_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
