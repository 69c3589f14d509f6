/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: where they go and with what fields, how many of them, and the trace of a unit's commands. */
#include "crowd.h"
#include "logs.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool has_sockets;

static void write_config(const char *text)
{
	FILE *f = fopen(world_path(&w, "tcmu.conf"), "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* The daemon with this configuration and two more arguments. */
static void start_with(const char *text, const char *option, const char *more)
{
	char lock[160], config[200];
	const char *argv[] = {
		TCMU_RUNNER_FAKE, "--handler-path", TCMU_HANDLERS, "--lock-file", lock, "--config",
		config,           engine_option(),  option,        more,          NULL
	};

	write_config(text);
	snprintf(lock, sizeof(lock), "%s/lock", w.dir);
	snprintf(config, sizeof(config), "%s/tcmu.conf", w.dir);
	proc_spawn(&w.d, (char *const *)(uintptr_t)argv);
}

static void start_ready(const char *text)
{
	start_with(text, NULL, NULL);
	assert_int_equal(proc_expect(&w.d, "ready", LONG_MS), 0);
}

static void change_to(const char *text, const char *line)
{
	proc_mark(&w.d);
	write_config(text);
	kill(w.d.pid, SIGHUP);
	assert_int_equal(proc_expect(&w.d, line, LONG_MS), 0);
}

/* A unit whose file has lost its end, so no block can be read. */
static struct fake_dev *spoilt_lun(const char *name)
{
	struct fake_dev *dev = file_lun(&w, name, MIB);

	assert_int_equal(truncate(world_path(&w, name), 0), 0);
	return dev;
}

static void read_lba(struct fake_dev *dev, uint8_t lba, bool fails)
{
	const uint8_t cdb[10] = { 0x28, [5] = lba, [8] = 1 };
	static uint8_t buf[512];
	struct fake_cmd cmd;

	fake_cmd_init(&cmd, cdb, sizeof(cdb), FAKE_IN, buf, sizeof(buf));
	assert_int_equal(fake_exec(fake_dev_ring(dev), &cmd, LONG_MS), 0);
	assert_int_equal(cmd.status, fails ? 2 : 0);
}

/* ---- where they go ---- */

static void need_sockets(void)
{
	if (!has_sockets) {
		puts("SKIP: no mount namespace for the sockets of journal and syslog (not root?)");
		skip();
	}
	logs_open();
}

#ifdef TCMU_WITHOUT_SYSTEMD

/* Nothing is lost. */
static void to_the_journal(void **state)
{
	(void)state;
	need_sockets();
	start_ready("log_target = journal\n");
	logs_close();
	assert_int_equal(proc_stop(&w.d, LONG_MS), 0);
}

#else

static void has_field(const char *message, const char *field)
{
	char line[200];

	snprintf(line, sizeof(line), "%s\n", field);
	if (!strstr(message, line))
		fail_msg("'%s' is not a line of: %s", field, message);
}

static void to_the_journal(void **state)
{
	const char *message;
	struct fake_dev *dev;

	(void)state;
	need_sockets();
	start_with("log_target = journal\n", NULL, NULL);
	message = logs_journal("ready", LONG_MS);
	assert_non_null(message);
	has_field(message, "PRIORITY=6");
	has_field(message, "SYSLOG_IDENTIFIER=tcmu-runner");
	assert_null(strstr(message, "DEVICE="));
	dev = spoilt_lun("spoilt");
	read_lba(dev, 7, true);
	message = logs_journal("MEDIUM", LONG_MS);
	assert_non_null(message);
	has_field(message,
		  "MESSAGE=user_0/spoilt: READ(10), LBA 7, 1 blocks: MEDIUM ERROR 11h/00h");
	has_field(message, "PRIORITY=4");
	has_field(message, "DEVICE=user_0/spoilt");
	has_field(message, "HANDLER=file");
	has_field(message, "CDB=28 00 00 00 00 07 00 00 01 00");
	has_field(message, "LBA=7");
	has_field(message, "SENSE=3/11/00");
	assert_int_equal(count(said(), "MEDIUM"), 0);
	/* To the terminal, without a restart. */
	change_to("log_target = stderr\n", "log_target");
	logs_close();
	assert_int_equal(proc_stop(&w.d, LONG_MS), 0);
}

/* systemd names the stream that it has made of stderr. */
static void follows_stderr(void **state)
{
	char stream[64];
	struct stat st;

	(void)state;
	need_sockets();
	fclose(fopen(w.d.log, "ae"));
	assert_int_equal(stat(w.d.log, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	start_with("", NULL, NULL);
	assert_non_null(logs_journal("ready", LONG_MS));
	assert_string_equal(said(), "");
	assert_int_equal(proc_stop(&w.d, LONG_MS), 0);
	/* One that was redirected since. */
	setenv("JOURNAL_STREAM", "1:2", 1);
	start_ready("");
	assert_int_equal(proc_stop(&w.d, LONG_MS), 0);
	/* The journal is gone: nothing is lost. */
	logs_close();
	unlink("/run/systemd/journal/socket");
	setenv("JOURNAL_STREAM", stream, 1);
	start_ready("");
	unsetenv("JOURNAL_STREAM");
	assert_int_equal(proc_stop(&w.d, LONG_MS), 0);
}

#endif

static void to_syslog(void **state)
{
	const char *message;

	(void)state;
	need_sockets();
	start_with("log_target = syslog\n", NULL, NULL);
	assert_non_null(logs_syslog("ready", LONG_MS));
	read_lba(spoilt_lun("spoilt"), 7, true);
	message = logs_syslog("MEDIUM", LONG_MS);
	assert_non_null(message);
	assert_int_equal(strncmp(message, "<28>", 4), 0); /* LOG_DAEMON, LOG_WARNING */
	assert_non_null(strstr(message, "tcmu-runner["));
	assert_non_null(strstr(message, "]: user_0/spoilt: READ(10), LBA 7, 1 blocks"));
	assert_string_equal(said(), "");
	logs_close();
	assert_int_equal(proc_stop(&w.d, LONG_MS), 0);
}

static void to_the_file_alone(void **state)
{
	char log[200], text[16384] = "";
	FILE *f;

	(void)state;
	snprintf(log, sizeof(log), "%s/tcmu-runner.log", w.dir);
	start_with("log_target = none\n", "--tcmu-log-dir", w.dir);
	for (int i = 0; i < LONG_MS / 10 && !strstr(text, "ready"); i++) {
		usleep(10000);
		f = fopen(log, "re");
		if (f) {
			text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
			fclose(f);
		}
	}
	assert_non_null(strstr(text, "tcmu-runner: ready"));
	assert_string_equal(said(), "");
	assert_int_equal(proc_stop(&w.d, LONG_MS), 0);
}

/* ---- how many ---- */

static unsigned int dropped(void)
{
	unsigned int sum = 0;
	const char *at = said();

	while ((at = strstr(at, "user_0/loud: "))) {
		unsigned int n;

		at += strlen("user_0/loud: ");
		if (sscanf(at, "%u more warnings within 10 s were dropped", &n) == 1)
			sum += n;
	}
	return sum;
}

static void floods(void **state)
{
	struct fake_dev *loud, *other;
	const unsigned int reads = scaled(3000);

	(void)state;
	start_ready("log_rate = 30\n");
	loud = spoilt_lun("loud");
	other = spoilt_lun("other");
	for (unsigned int i = 0; i < reads; i++) {
		read_lba(loud, (uint8_t)i, true);
		if (i == reads / 2)
			read_lba(other, 1, true); /* whose messages are its own */
	}
	assert_int_equal(count(said(), "user_0/other: READ(10)"), 1);
	assert_in_range(count(said(), "user_0/loud: READ(10)"), 1, reads / 2);
	/* None is forgotten, also if there is no other message; one is held back or dropped. */
	for (int i = 0; i < 300 && dropped() + count(said(), "user_0/loud: READ(10)") < reads; i++)
		usleep(100000);
	assert_int_equal(dropped() + count(said(), "user_0/loud: READ(10)"), reads);
	/* All of them, if that is wanted. */
	change_to("log_rate = 0\n", "log_rate is 0 now, it was 30");
	for (unsigned int i = 0; i < 100; i++)
		read_lba(loud, (uint8_t)i, true);
	assert_int_equal(count(said(), "user_0/loud: READ(10)"), 100);
	assert_int_equal(proc_stop(&w.d, LONG_MS), 0);
}

/* ---- the trace ---- */

static void traces(void **state)
{
	struct fake_dev *one, *two;

	(void)state;
	start_ready("trace = two\n");
	/* Hardly anything is said now, but this is asked for. */
	change_to("log_level = error\ntrace = two\n", "log_level has changed");
	one = file_lun(&w, "one", MIB);
	two = file_lun(&w, "two", MIB);
	for (unsigned int i = 0; i < 100; i++) {
		read_lba(one, 8, false);
		read_lba(two, 8, false);
	}
	assert_int_equal(count(said(), "user_0/one: trace:"), 0);
	assert_int_equal(count(said(),
			       "user_0/two: trace: READ(10), 28 00 00 00 00 08 00 00 01 00, "
			       "LBA 8, 1 blocks, buffer of 512 bytes: GOOD after "),
			 100);
	/* While a unit has a load, and by the name with its HBA. */
	witness_start(4);
	change_to("trace = user_0/one, witness\n", "trace has changed");
	read_lba(two, 9, false);
	assert_int_equal(truncate(world_path(&w, "one"), 0), 0);
	read_lba(one, 9, true);
	assert_int_equal(count(said(), "user_0/two: trace:"), 0);
	assert_int_equal(count(said(),
			       "user_0/one: trace: READ(10), 28 00 00 00 00 09 00 00 01 00, "
			       "LBA 9, 1 blocks, buffer of 512 bytes: MEDIUM ERROR 11h/00h "
			       "after "),
			 1);
	assert_int_equal(proc_expect(&w.d, "user_0/witness: trace: ", LONG_MS), 0);
	change_to("", "trace has changed");
	witness_end();
	proc_mark(&w.d);
	read_lba(two, 9, false);
	assert_int_equal(count(said(), "trace:"), 0);
	assert_int_equal(proc_stop(&w.d, LONG_MS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(to_the_journal, crowd_open, crowd_close),
#ifndef TCMU_WITHOUT_SYSTEMD
		cmocka_unit_test_setup_teardown(follows_stderr, crowd_open, crowd_close),
#endif
		cmocka_unit_test_setup_teardown(to_syslog, crowd_open, crowd_close),
		cmocka_unit_test_setup_teardown(to_the_file_alone, crowd_open, crowd_close),
		cmocka_unit_test_setup_teardown(floods, crowd_open, crowd_close),
		cmocka_unit_test_setup_teardown(traces, crowd_open, crowd_close),
	};

	has_sockets = logs_mount();
	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
