/* SPDX-License-Identifier: Apache-2.0 */
/* org.kernel.TCMURunner1: what an administrator sees of the devices and may do to them. */
#include "bus.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "tests/conformance/state.h"

#define ADMIN       "org.kernel.TCMURunner1"
#define ADMIN_PATH  "/org/kernel/TCMURunner1"
#define ERROR(name) "GDBus.Error:" ADMIN ".Error." name ": "
#define INVALID     "GDBus.Error:org.freedesktop.DBus.Error.InvalidArgs"

static GVariant *ask(const char *method, GVariant *args, GError **error)
{
	return bus_call(client, ADMIN_PATH, ADMIN, method, args, error);
}

/* What GetDevice says; NULL: nothing. */
static GVariant *device(const char *name)
{
	GVariant *ret = ask("GetDevice", g_variant_new("(s)", name), NULL), *dict;

	if (!ret)
		return NULL;
	dict = g_variant_get_child_value(ret, 0);
	g_variant_unref(ret);
	return dict;
}

static char *text_of(const char *name, const char *key)
{
	g_autoptr(GVariant) dict = device(name);
	char *text = NULL;

	if (dict)
		assert_true(g_variant_lookup(dict, key, "s", &text));
	return text ? text : g_strdup("(no device)");
}

static void text_is(const char *name, const char *key, const char *expected)
{
	g_autofree char *text = text_of(name, key);

	assert_string_equal(text, expected);
}

static void number_is(const char *name, const char *key, uint64_t expected)
{
	g_autoptr(GVariant) dict = device(name);
	guint64 now = 0;

	assert_non_null(dict);
	assert_true(g_variant_lookup(dict, key, "t", &now));
	if (now != expected)
		fail_msg("%s of %s: %llu instead of %llu", key, name, (unsigned long long)now,
			 (unsigned long long)expected);
}

static void wait_state(const char *name, const char *state)
{
	uint64_t end = fake_now_ms() + LONG_MS;

	for (;;) {
		g_autofree char *now = text_of(name, "State");

		if (!strcmp(now, state))
			return;
		if (fake_now_ms() > end)
			fail_msg("%s: %s instead of %s", name, now, state);
		usleep(2000);
	}
}

/* A method of one device; error: how it begins, NULL: there is none. */
static void act(const char *method, const char *name, const char *error)
{
	g_autoptr(GError) got = NULL;
	GVariant *ret = ask(method, g_variant_new("(s)", name), &got);

	if (ret)
		g_variant_unref(ret);
	if (error ? !got || !g_str_has_prefix(got->message, error) : !ret)
		fail_msg("%s(%.40s): %s", method, name, got ? got->message : "no error");
}

static bool is_free(const char *file)
{
	int fd = open(world_path(&w, file), O_RDWR | O_CLOEXEC);
	bool free_now = !flock(fd, LOCK_EX | LOCK_NB);

	close(fd);
	return free_now;
}

/* ---- what it shows ---- */

static unsigned int listed(void)
{
	GVariant *ret = ask("ListDevices", NULL, NULL), *list;
	unsigned int n;

	assert_non_null(ret);
	list = g_variant_get_child_value(ret, 0);
	n = (unsigned int)g_variant_n_children(list);
	g_variant_unref(list);
	g_variant_unref(ret);
	return n;
}

static void shows(void **state)
{
	g_autofree char *config = NULL;
	uint8_t buf[512];
	struct fake_dev *dev;

	(void)state;
	start_usual(all_handlers());
	assert_int_equal(listed(), 0);
	dev = file_lun(&w, "disk", MIB);
	wait_state("disk", "serving");
	text_is("user_0/disk", "Name", "user_0/disk");
	text_is("disk", "Handler", "file");
	text_is("disk", "Error", "");
	config = g_strconcat("file/", world_path(&w, "disk"), NULL);
	text_is("disk", "Config", config);
	number_is("disk", "Size", MIB);
	number_is("disk", "Commands", 0);
	for (int i = 0; i < 3; i++)
		ASSERT_OUTCOME(read_block(dev, 5, buf), GOOD);
	ASSERT_OUTCOME(write_block(dev, 5, 1), GOOD);
	ASSERT_OUTCOME(write_block(dev, MIB / 512, 1), SENSE(5u, 0x21u, 0u));
	ASSERT_OUTCOME(tur(dev), GOOD);
	number_is("disk", "Commands", 6);
	number_is("disk", "Reads", 3);
	number_is("disk", "BytesRead", 3 * 512);
	number_is("disk", "Writes", 1);
	number_is("disk", "BytesWritten", 512);
	number_is("disk", "Errors", 1);
	number_is("disk", "InFlight", 0);
	assert_int_equal(truncate(world_path(&w, "disk"), 2 * MIB), 0);
	assert_int_equal(fake_dev_reconfig(dev, "dev_size", "2097152"), 0);
	number_is("disk", "Size", 2 * MIB);
	assert_int_equal(listed(), 1);
	assert_int_equal(fake_dev_remove(dev), 0);
	act("GetDevice", "disk", ERROR("NoSuchDevice"));
	for (uint64_t end = fake_now_ms() + LONG_MS; listed(); usleep(2000)) /* its thread ends */
		assert_true(fake_now_ms() < end);
	stop();
}

static void in_flight_and_aborted(void **state)
{
	struct fake_dev *dev;
	struct bg bg;

	(void)state;
	start_usual(all_handlers());
	dev = slow_lun("slow1");
	hold("slow1", "read");
	bg_submit(dev, &bg, read_one, FAKE_IN);
	reached("slow1", "read begins", 1);
	number_is("slow1", "InFlight", 1);
	fake_ring_tmr(fake_dev_ring(dev), 5, (struct fake_cmd *[]) { &bg.cmd }, 1);
	bg_wait(&bg);
	let_go("slow1", "read");
	for (uint64_t end = fake_now_ms() + LONG_MS; fake_now_ms() < end; usleep(2000)) {
		g_autoptr(GVariant) dict = device("slow1");
		guint64 now = 1;

		g_variant_lookup(dict, "InFlight", "t", &now);
		if (!now)
			break;
	}
	number_is("slow1", "InFlight", 0);
	number_is("slow1", "Aborted", 1);
	number_is("slow1", "Resets", 1);
	stop();
}

/* ---- states, and the signals that tell of them ---- */

static GString *heard;

static void on_signal(GDBusConnection *c, const char *sender, const char *path,
		      const char *interface, const char *name, GVariant *args, gpointer arg)
{
	const char *dev, *state;

	(void)c, (void)sender, (void)path, (void)interface, (void)name, (void)arg;
	g_variant_get(args, "(&s&s)", &dev, &state);
	g_string_append_printf(heard, "%s=%s ", dev, state);
}

static void hear(const char *text)
{
	uint64_t end = fake_now_ms() + LONG_MS;

	while (!strstr(heard->str, text)) {
		if (fake_now_ms() > end)
			fail_msg("'%s' was not heard, but '%s'", text, heard->str);
		g_main_context_iteration(NULL, FALSE);
		usleep(1000);
	}
}

static void states(void **state)
{
	struct fake_dev *dev;
	uint64_t before;
	struct bg bg;
	guint id;

	(void)state;
	heard = g_string_new(NULL);
	start_usual(all_handlers());
	id = g_dbus_connection_signal_subscribe(client, SERVICE, ADMIN, "DeviceChanged", ADMIN_PATH,
						NULL, G_DBUS_SIGNAL_FLAGS_NONE, on_signal, NULL,
						NULL);
	assert_int_equal(listed(), 0); /* the subscription is there */
	dev = slow_lun("slow1");
	hear("user_0/slow1=serving");
	stop();

	spoil("slow1", "open", true);
	start_usual(all_handlers());
	assert_true(bus_wait_name(client, SERVICE, true));
	wait_state("slow1", "failed");
	text_is("slow1", "Error", strerror(EIO));
	hear("user_0/slow1=failed");
	before = fake_now_ms();
	spoil("slow1", "open", false);
	act("Reopen", "slow1", NULL);
	ASSERT_OUTCOME(tur(dev), GOOD);
	assert_true(fake_now_ms() - before < 4000);
	text_is("slow1", "Error", "");

	hold("slow1", "read");
	bg_submit(dev, &bg, read_one, FAKE_IN);
	reached("slow1", "read begins", 1);
	act("Resume", "slow1", NULL); /* nothing to do */
	GDBusMessage *m = g_dbus_message_new_method_call(SERVICE, ADMIN_PATH, ADMIN, "Drain");
	g_dbus_message_set_body(m, g_variant_new("(s)", "slow1"));
	g_dbus_connection_send_message(client, m, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
	g_object_unref(m);
	wait_state("slow1", "draining");
	act("Drain", "slow1", ERROR("Busy"));
	act("Reopen", "slow1", ERROR("Busy"));
	act("Resume", "slow1", ERROR("Busy"));
	let_go("slow1", "read");
	bg_wait(&bg);
	wait_state("slow1", "drained");
	hear("user_0/slow1=drained");
	assert_int_equal(fake_dev_remove(dev), 0);
	hear("user_0/slow1=gone");
	g_dbus_connection_signal_unsubscribe(client, id);
	g_string_free(heard, TRUE);
	stop();
}

/* ---- work on the storage ---- */

static void drained(void **state)
{
	struct fake_dev *dev, *other;
	struct bg bg;

	(void)state;
	start_usual(TCMU_HANDLERS);
	dev = file_lun(&w, "disk", MIB);
	other = file_lun(&w, "other", MIB);
	for (int i = 0; i < 4; i++) {
		ASSERT_OUTCOME(write_block(dev, 0, (uint8_t)i), GOOD);
		act("Drain", "disk", NULL);
		act("Drain", "disk", NULL);
		text_is("disk", "State", "drained");
		assert_true(is_free("disk"));
		bg_submit(dev, &bg, read_one, FAKE_IN);
		assert_int_equal(fake_dev_reconfig(dev, "dev_size", "2097152"), -EAGAIN);
		act("Reopen", "disk", ERROR("Busy"));
		ASSERT_OUTCOME(tur(other), GOOD);
		usleep(50000);
		assert_false(atomic_load(&bg.done));
		if (i < 2) {
			act("Resume", "disk", NULL);
		} else { /* which knows nothing of it */
			restart(TCMU_HANDLERS, i == 3);
			assert_true(bus_wait_name(client, SERVICE, true));
		}
		bg_wait(&bg);
		ASSERT_OUTCOME(outcome(&bg.cmd), GOOD);
		assert_int_equal(bg.buf[0], i);
		wait_state("disk", "serving");
	}
	/* The storage is not there when it is resumed. */
	act("Drain", "disk", NULL);
	assert_int_equal(rename(world_path(&w, "disk"), "/tmp/tcmu-test-away"), 0);
	act("Resume", "disk", NULL);
	wait_state("disk", "failed");
	bg_submit(dev, &bg, read_one, FAKE_IN);
	assert_int_equal(rename("/tmp/tcmu-test-away", world_path(&w, "disk")), 0);
	act("Resume", "disk", NULL);
	bg_wait(&bg);
	assert_int_equal(bg.cmd.status, 0);
	wait_state("disk", "serving");
	act("Reopen", "disk", NULL);
	ASSERT_OUTCOME(tur(dev), GOOD); /* no unit attention: it is the same */
	number_is("disk", "InFlight", 0);
	act("Drain", "disk", NULL);
	stop();
}

/* Beside reads and writes whose data are checked. */
static void beside_load(void **state)
{
	struct fake_dev *dev;
	struct load *load;

	(void)state;
	start_usual(TCMU_HANDLERS);
	dev = file_lun(&w, "disk", 4 * MIB);
	load = file_load(dev, 4 * MIB, 7);
	for (unsigned int i = 0; i < scaled(60); i++) {
		assert_int_equal(load_progress(load, 20, LONG_MS), 0);
		act("Drain", "disk", NULL);
		assert_true(is_free("disk"));
		act("Resume", "disk", NULL);
		assert_int_equal(load_progress(load, 20, LONG_MS), 0);
		act("Reopen", "disk", NULL);
	}
	assert_int_equal(load_finish(load), 0);
	assert_int_equal(fake_dev_remove(dev), 0);
	stop();
}

/* ---- properties ---- */

static GVariant *property(const char *name)
{
	GVariant *ret = bus_call(client, ADMIN_PATH, "org.freedesktop.DBus.Properties", "Get",
				 g_variant_new("(ss)", ADMIN, name), NULL);
	GVariant *value;

	assert_non_null(ret);
	g_variant_get(ret, "(v)", &value);
	g_variant_unref(ret);
	return value;
}

static bool set_level(GVariant *value)
{
	GVariant *ret = bus_call(client, ADMIN_PATH, "org.freedesktop.DBus.Properties", "Set",
				 g_variant_new("(ssv)", ADMIN, "LogLevel", value), NULL);

	if (ret)
		g_variant_unref(ret);
	return ret;
}

static void level_is(const char *expected)
{
	GVariant *value = property("LogLevel");

	assert_string_equal(g_variant_get_string(value, NULL), expected);
	g_variant_unref(value);
}

static void properties(void **state)
{
	GVariant *value;

	(void)state;
	start_usual(TCMU_HANDLERS);
	value = property("Version");
	assert_int_equal(g_variant_get_uint32(value), 1);
	g_variant_unref(value);
	value = property("DaemonVersion");
	assert_string_equal(g_variant_get_string(value, NULL), TCMU_VERSION);
	g_variant_unref(value);
	level_is("info");
	assert_true(set_level(g_variant_new_string("debug")));
	level_is("debug");
	assert_int_equal(count(said(), "log_level is 'debug'"), 1);
	assert_false(set_level(g_variant_new_string("loud")));
	assert_false(set_level(g_variant_new_string("")));
	assert_false(set_level(g_variant_new_uint32(1)));
	level_is("debug");
	assert_true(set_level(g_variant_new_string("info")));
	stop();
}

/* What the manual says to type. */
static void manual(void **state)
{
	FILE *f = fopen(TCMU_MANUAL, "re");
	unsigned int lines = 0;
	char line[512], cmd[600];

	(void)state;
	assert_non_null(f);
	start_usual(TCMU_HANDLERS);
	file_lun(&w, "disk1", MIB);
	while (fgets(line, sizeof(line), f)) {
		size_t n = 0;

		if (strncmp(line, "gdbus ", 6) != 0)
			continue;
		for (size_t i = 0; line[i] && line[i] != '\n'; i++) {
			if (line[i] != '\\')
				cmd[n++] = line[i];
		}
		snprintf(cmd + n, sizeof(cmd) - n, " >>%s 2>&1", world_path(&w, "gdbus.log"));
		if (system(cmd)) /* NOLINT: the manual's */
			fail_msg("%s", cmd);
		lines++;
	}
	fclose(f);
	assert_true(lines >= 6);
	wait_state("disk1", "serving");
	stop();
}

/* ---- the trace ---- */

static void set_trace(const char *name, bool on, const char *error)
{
	g_autoptr(GError) got = NULL;
	GVariant *ret = ask("SetTrace", g_variant_new("(sb)", name, on), &got);

	if (ret)
		g_variant_unref(ret);
	if (error ? !got || !g_str_has_prefix(got->message, error) : !ret)
		fail_msg("SetTrace(%s): %s", name, got ? got->message : "no error");
}

static void traced(void **state)
{
	struct fake_dev *disk, *other;

	(void)state;
	start_usual(TCMU_HANDLERS);
	disk = file_lun(&w, "disk", MIB);
	other = file_lun(&w, "other", MIB);
	set_trace("user_0/disk", true, NULL);
	ASSERT_OUTCOME(tur(disk), GOOD);
	ASSERT_OUTCOME(tur(other), GOOD);
	assert_int_equal(count(said(), "user_0/disk: trace: TEST UNIT READY, 00 00 00 00 00 00, "),
			 1);
	set_trace("disk", true, NULL); /* no change, of which nothing is said */
	set_trace("disk", false, NULL);
	ASSERT_OUTCOME(tur(disk), GOOD);
	assert_int_equal(count(said(), "trace: TEST UNIT READY"), 1);
	assert_int_equal(count(said(), "user_0/disk: its commands are traced"), 2);
	set_trace("none", true, ERROR("NoSuchDevice"));
	set_trace("a/b", true, ERROR("Refused"));
	assert_null(ask("SetTrace", g_variant_new("(s)", "disk"), NULL));
	stop();
}

/* ---- attacks ---- */

static void malformed(void **state)
{
	static const char *const methods[] = { "GetDevice", "Reopen", "Drain", "Resume" };
	static const char *const names[] = { "",
					     "/",
					     "..",
					     "a/b",
					     "user_/x",
					     "user_0/",
					     "user_0/..",
					     "user_0/a/b",
					     "\n",
					     "%s%n",
					     "user_999999999999999999999/x",
					     "\xc3\xa4" };
	g_autofree char *huge = g_strnfill(4 << 20, 'x');

	(void)state;
	start_usual(TCMU_HANDLERS);
	witness_start(9);
	for (size_t m = 0; m < 4; m++) {
		for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
			act(methods[m], names[i], "GDBus.Error:" ADMIN ".Error.");
		act(methods[m], huge, ERROR("Refused"));
		for (int i = 0; i < 3; i++) {
			g_autoptr(GError) error = NULL;
			GVariant *args = i == 0   ? g_variant_new("(ss)", "a", "b")
					 : i == 1 ? g_variant_new("(u)", 1)
						  : NULL;

			assert_null(ask(methods[m], args, &error));
			assert_true(g_str_has_prefix(error->message, INVALID));
		}
	}
	assert_null(ask("ListDevices", g_variant_new("(s)", "x"), NULL));
	assert_null(ask("Nothing", NULL, NULL));
	assert_null(bus_call(client, ADMIN_PATH "/x", ADMIN, "ListDevices", NULL, NULL));
	assert_null(bus_call(client, ROOT, ADMIN, "ListDevices", NULL, NULL));
	g_autofree char *nodes = bus_handlers(client); /* it is not among the handlers */
	assert_string_equal(nodes, "file " GLFS "null qcow");
	witness_end();
	log_is_clean();
	stop();
}

static long resident_kib(void)
{
	char path[64], line[256];
	long kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)w.d.pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "VmRSS: %ld", &kib);
	fclose(f);
	return kib;
}

/* Calls that nobody waits for, and a unit that must not notice them. */
static void send_many(unsigned int n)
{
	static const char *const methods[] = { "GetDevice", "ListDevices", "Reopen", "Resume",
					       "No" };

	for (unsigned int i = 0; i < n; i++) {
		const char *method = methods[i % 5];
		GDBusMessage *m = g_dbus_message_new_method_call(SERVICE, ADMIN_PATH, ADMIN,
								 method);

		if (i % 5 != 1)
			g_dbus_message_set_body(m,
						g_variant_new("(s)", i % 7 ? "none" : "witness"));
		g_dbus_message_set_flags(m, G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
		g_dbus_connection_send_message(client, m, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL,
					       NULL);
		g_object_unref(m);
	}
	assert_true(g_dbus_connection_flush_sync(client, NULL, NULL));
	wait_state("witness", "serving"); /* all before it are answered, or refused */
}

static void flood(void **state)
{
	long before, after;
	uint64_t begun;

	(void)state;
	start_usual(TCMU_HANDLERS);
	witness_start(11);
	for (int i = 0; i < 2; i++)
		send_many(scaled(20000));
	before = resident_kib();
	begun = fake_now_ms();
	for (int i = 0; i < 5; i++)
		send_many(scaled(20000));
	print_message("%u calls in %llu ms\n", 5 * scaled(20000),
		      (unsigned long long)(fake_now_ms() - begun));
	after = resident_kib();
	print_message("%ld KiB, then %ld KiB\n", before, after);
	if (SLOWER == 1)
		assert_true(after < before + 8192); /* 80 bytes a call */
	witness_end();
	stop();
}

/* Beside a unit that is served: lists of many. */
static void many(void **state)
{
	enum { N = 250 };
	static struct fake_dev *dev[N];
	uint64_t begun;
	char name[16];

	(void)state;
	start_usual(TCMU_HANDLERS);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "null%d", i);
		assert_int_equal(lun_create(&w, name, "null/", MIB, &dev[i]), 0);
	}
	begun = fake_now_ms();
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(listed(), N);
	print_message("20 lists of %d devices in %llu ms\n", N,
		      (unsigned long long)(fake_now_ms() - begun));
	for (int i = 0; i < N; i++)
		assert_int_equal(fake_dev_remove(dev[i]), 0);
	stop();
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, bus_open, bus_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(shows),       T(in_flight_and_aborted),
		T(states),      T(drained),
		T(beside_load), T(properties),
		T(manual),      T(traced),
		T(malformed),   T(flood),
		T(many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
