/* SPDX-License-Identifier: Apache-2.0 */
/* The service on the system bus, as targetcli and handlers of other processes meet it. */
#include "bus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crowd.h"

#define HANDLERS     "file foreign slow volatile"
#define MANAGER      ROOT "/HandlerManager1"
#define MANAGER_IFCE SERVICE ".HandlerManager1"
#define NOBODY       65534
#define AS_NOBODY    "as-nobody"

static void check_is(const char *subtype, const char *cfgstring, bool expected, const char *reason)
{
	g_autofree char *said_of_it = NULL;
	bool good;

	said_of_it = bus_check(client, subtype, cfgstring, &good);
	if (good != expected || !strstr(said_of_it, reason)) {
		print_error("'%s': %d, %s\n", cfgstring, good, said_of_it);
		fail();
	}
}

/* What targetcli does (targetcli-fb, ui_backstore.py). */
static void targetcli(void **state)
{
	g_autofree char *good = NULL, *missing = NULL, *all = NULL, *longest = NULL, *timed = NULL;

	(void)state;
	start_usual(TCMU_HANDLERS);
	all = bus_handlers(client);
	assert_string_equal(all, "file " GLFS "null qcow");
	good = g_strconcat("file/", world_file(&w, "disk", MIB), NULL);
	missing = g_strconcat("file/", world_path(&w, "none"), NULL);
	check_is("file", good, true, "success");
	check_is("file", missing, false, "none");
	check_is("file", "null/", false, "begins with 'file/'");
	check_is("file", "", false, "begins with 'file/'");
	check_is("file", "filed/x", false, "begins with 'file/'");
	check_is("null", "null/", true, "success");
	timed = g_strconcat(good, ";tcmur_cmd_time_out=5", NULL);
	check_is("file", timed, true, "success");
	check_is("null", "null/;tcmur_cmd_time_out=x", false, "whole seconds");
	longest = g_strnfill(256, 'x');
	memcpy(longest, "file/", 5);
	check_is("file", longest, false, "256 bytes");
	check_is("nobody", "nobody/x", false, "does not exist");
	stop();
	assert_true(bus_wait_name(client, SERVICE, false));
}

/* How many threads of the daemon are GLib's. */
static unsigned int threads_of_glib(void)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/task", (int)w.d.pid);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	unsigned int n = 0;
	const char *tid;

	assert_non_null(dir);
	while ((tid = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, tid, "comm", NULL), *comm = NULL;

		n += g_file_get_contents(file, &comm, NULL, NULL) &&
		     (g_str_has_prefix(comm, "pool-") || g_str_has_prefix(comm, "gdbus"));
	}
	return n;
}

/* The name is there before storage is opened, which takes its time; no bus costs nothing; a bus that comes or
 * restarts is joined. */
static void coming_and_going(void **state)
{
	struct fake_dev *dev = NULL;
	struct bg good;

	(void)state;
	g_clear_object(&client);
	bus_stop();
	start_usual(all_handlers());
	assert_int_equal(count(said(), "no system bus"), 1);
	assert_int_equal(threads_of_glib(), 0);
	dev = slow_lun("served");
	stop();

	bus_start(&w);
	client = bus_connect(&w);
	hold("served", "open");
	start_usual(all_handlers());
	reached("served", "open begins", 2);
	assert_true(bus_wait_name(client, SERVICE, true));
	let_go("served", "open");

	for (int i = 0; i < 3; i++) {
		g_clear_object(&client);
		bus_stop();
		bg_submit(dev, &good, read_one, FAKE_IN);
		bg_wait(&good);
		assert_int_equal(good.cmd.status, 0);
		bus_start(&w);
		client = bus_connect(&w);
		assert_true(bus_wait_name(client, SERVICE, true));
		assert_true(bus_wait_handlers(client, HANDLERS));
	}
	assert_int_equal(fake_dev_remove(dev), 0);
	stop();
}

/* ---- handlers of other processes ---- */

static void spawn_handler(struct proc *p, const char *subtype)
{
	char *argv[] = { (char *)(uintptr_t)DBUS_HANDLER, (char *)(uintptr_t)subtype, NULL };

	snprintf(p->log, sizeof(p->log), "%s", world_path(&w, "other.log"));
	proc_spawn(p, argv);
}

static void of_another_process(void **state)
{
	struct fake_dev *dev = NULL;
	struct proc other = { 0 };
	int rc;

	(void)state;
	start_usual(TCMU_HANDLERS);
	for (int i = 0; i < 3; i++) {
		spawn_handler(&other, "other");
		assert_true(bus_wait_handlers(client, "file " GLFS "null other qcow"));
		check_is("other", "other/good", true, "success");
		check_is("other", "other/bad", false, "it is not good");
		check_is("other", "file/good", false, "begins with 'other/'");
		/* Asked, and it has no such method. */
		g_autofree char *changed = bus_change(client, "theirs", MIB, "other/good", &rc);
		assert_int_equal(rc, EIO);
		assert_non_null(strstr(changed, "not implemented"));
		g_autofree char *ill = bus_change(client, "a/b", MIB, "other/good", &rc);
		assert_int_equal(rc, EINVAL);
		/* Its devices are its own. */
		assert_int_equal(lun_create(&w, "theirs", "other/good", MIB, &dev), 0);
		assert_int_equal(proc_expect(&other, "added other/good", LONG_MS), 0);
		assert_int_equal(fake_dev_remove(dev), 0);
		if (i == 1)
			assert_int_equal(proc_stop(&other, LONG_MS), 0);
		else
			proc_kill(&other);
		assert_true(bus_wait_handlers(client, "file " GLFS "null qcow"));
	}
	/* It was there first. */
	stop();
	spawn_handler(&other, "other");
	start_usual(TCMU_HANDLERS);
	assert_true(bus_wait_handlers(client, "file " GLFS "null other qcow"));
	/* And the bus restarts. */
	g_clear_object(&client);
	bus_stop();
	bus_start(&w);
	client = bus_connect(&w);
	assert_true(bus_wait_name(client, SERVICE, true));
	assert_true(bus_wait_handlers(client, "file " GLFS "null other qcow"));
	assert_int_equal(proc_stop(&other, LONG_MS), 0);
	stop();
}

static void manage(const char *method, GVariant *args, bool expected, const char *message)
{
	GVariant *ret = bus_call(client, MANAGER, MANAGER_IFCE, method, args, NULL);
	gboolean succeeded;
	const char *text;

	assert_non_null(ret);
	g_variant_get(ret, "(b&s)", &succeeded, &text);
	if (succeeded != expected || !strstr(text, message)) {
		print_error("%s: %d, %s\n", method, succeeded, text);
		fail();
	}
	g_variant_unref(ret);
}

static void register_as(const char *subtype, const char *desc, bool expected, const char *message)
{
	manage("RegisterHandler", g_variant_new("(ss)", subtype, desc), expected, message);
}

static guint32 own(GDBusConnection *c, const char *name, const char *method)
{
	bool request = !strcmp(method, "RequestName");
	guint32 result = 0;
	GVariant *ret = g_dbus_connection_call_sync(
		c, "org.freedesktop.DBus", "/", "org.freedesktop.DBus", method,
		request ? g_variant_new("(su)", name, 0) : g_variant_new("(s)", name), NULL,
		G_DBUS_CALL_FLAGS_NONE, LONG_MS, NULL, NULL);

	if (!ret)
		return 0;
	g_variant_get(ret, "(u)", &result);
	g_variant_unref(ret);
	return result;
}

static void registrations(void **state)
{
	g_autofree char *desc = g_strnfill(5000, 'd');
	char name[100];

	(void)state;
	start_usual(TCMU_HANDLERS);
	register_as("", "", false, "of the form");
	register_as("a-b", "", false, "of the form");
	register_as("a/b", "", false, "of the form");
	register_as("1a", "", false, "of the form");
	register_as("HandlerManager1", "", false, "taken");
	register_as("file", "", false, "has a handler");
	register_as("late", desc, false, "longer");
	register_as("late", "", false, "Cannot find handler bus name");
	manage("UnregisterHandler", g_variant_new("(s)", "late"), false, "no other process");

	assert_int_equal(own(client, MANAGER_IFCE ".mine", "RequestName"), 1);
	register_as("mine", "what is mine", true, "succeeded");
	register_as("mine", "what is mine", true, "succeeded");
	assert_true(bus_wait_handlers(client, "file " GLFS "mine null qcow"));
	manage("UnregisterHandler", g_variant_new("(s)", "mine"), true, "succeeded");
	assert_true(bus_wait_handlers(client, "file " GLFS "null qcow"));
	/* In a loop, and there are no more than there may be. */
	for (unsigned int i = 0; i < scaled(500); i++) {
		register_as("mine", "again", true, "succeeded");
		assert_int_equal(own(client, MANAGER_IFCE ".mine", "ReleaseName"), 1);
		assert_int_equal(own(client, MANAGER_IFCE ".mine", "RequestName"), 1);
		assert_true(bus_wait_handlers(client, "file " GLFS "null qcow"));
	}
	for (int i = 0; i < 65; i++) {
		snprintf(name, sizeof(name), MANAGER_IFCE ".many%d", i);
		assert_int_equal(own(client, name, "RequestName"), 1);
		snprintf(name, sizeof(name), "many%d", i);
		register_as(name, "one of many", i < 64, i < 64 ? "succeeded" : "64 handlers");
	}
	g_clear_object(&client);
	client = bus_connect(&w);
	assert_true(bus_wait_handlers(client, "file " GLFS "null qcow"));
	stop();
}

/* ---- attacks ---- */

#define PROPERTIES "org.freedesktop.DBus.Properties"
#define ADMIN      "org.kernel.TCMURunner1"
#define ADMIN_PATH "/org/kernel/TCMURunner1"

static const struct {
	const char *path, *interface, *method, *args;
} calls[] = {
	{ ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", "" },
	{ ROOT "/file", SERVICE, "CheckConfig", "('file/',)" },
	{ ROOT "/file", SERVICE, "ChangeMedium", "('disk', uint64 1048576, 'file//x')" },
	{ MANAGER, MANAGER_IFCE, "RegisterHandler", "('x', 'y')" },
	{ "/", "a.b", "Nothing", "('x',)" },
	{ ADMIN_PATH, ADMIN, "ListDevices", "" },
	{ ADMIN_PATH, ADMIN, "GetDevice", "('disk',)" },
	{ ADMIN_PATH, ADMIN, "Reopen", "('disk',)" },
	{ ADMIN_PATH, ADMIN, "Drain", "('disk',)" },
	{ ADMIN_PATH, ADMIN, "Resume", "('disk',)" },
	{ ADMIN_PATH, PROPERTIES, "Get", "('" ADMIN "', 'Version')" },
	{ ADMIN_PATH, PROPERTIES, "Set", "('" ADMIN "', 'LogLevel', <'debug'>)" },
	{ ADMIN_PATH, "org.freedesktop.DBus.Introspectable", "Introspect", "" },
};

static void on_signal(GDBusConnection *c, const char *sender, const char *path,
		      const char *interface, const char *name, GVariant *args, gpointer arg)
{
	(void)c, (void)sender, (void)path, (void)interface, (void)name, (void)args;
	(*(unsigned int *)arg)++;
}

/* Within a second or two, in which there are some. */
static unsigned int signals_heard(GDBusConnection *c)
{
	uint64_t end = fake_now_ms() + 1500;
	unsigned int heard = 0;

	g_dbus_connection_signal_subscribe(c, NULL, ADMIN, NULL, NULL, NULL,
					   G_DBUS_SIGNAL_FLAGS_NONE, on_signal, &heard, NULL);
	while (fake_now_ms() < end) {
		g_main_context_iteration(NULL, FALSE);
		usleep(1000);
	}
	return heard;
}

/* In a process of its own, as nobody: how many of the calls were refused by the bus. */
static int attack_as_nobody(void)
{
	GDBusConnection *c;
	int refused = 0;

	if (setgid(NOBODY) || setuid(NOBODY))
		return -1;
	c = bus_connect(&w);
	if (!c)
		return -1;
	for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
		GVariant *args = *calls[i].args ? g_variant_new_parsed(calls[i].args) : NULL;
		g_autoptr(GError) error = NULL;
		GVariant *ret = bus_call(c, calls[i].path, calls[i].interface, calls[i].method,
					 args, &error);

		refused += !ret && g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED);
	}
	refused += !own(c, SERVICE, "RequestName");
	refused += !own(c, MANAGER_IFCE ".x", "RequestName");
	refused += !signals_heard(c);
	return refused;
}

static void nobody(void **state)
{
	struct fake_dev *dev = NULL;
	int status;
	pid_t pid;

	(void)state;
	if (getuid())
		skip();
	start_usual(TCMU_HANDLERS);
	pid = fork();
	if (!pid) { /* GLib's threads are not there after a fork() */
		execl("/proc/self/exe", "test-dbus", AS_NOBODY, w.dir, NULL);
		_exit(127);
	}
	while (!waitpid(pid, &status, WNOHANG)) { /* what is told of devices */
		assert_int_equal(lun_create(&w, "told", "null/", MIB, &dev), 0);
		assert_int_equal(fake_dev_remove(dev), 0);
		usleep(20000);
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), G_N_ELEMENTS(calls) + 3);
	stop();
}

/* Calls that nobody waits for, in bulk, of every kind; and checks that do not come back. A unit is served, other
 * checks are answered, and what is too much is refused. */
static void flood(void **state)
{
	g_autofree char *hung = g_strconcat("slow/", world_path(&w, "hung"), NULL), *path = NULL,
			*good = NULL;
	unsigned int refused = 0;

	(void)state;
	start_usual(all_handlers());
	witness_start(5);
	for (unsigned int i = 0; i < scaled(20000); i++) {
		static const char *const method[] = { "CheckConfig", "NoSuch" };
		GDBusMessage *m = g_dbus_message_new_method_call(SERVICE, ROOT "/file", SERVICE,
								 method[i % 2]);

		if (i % 3)
			g_dbus_message_set_body(m, g_variant_new("(s)", "file/none"));
		g_dbus_message_set_flags(m, G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
		g_dbus_connection_send_message(client, m, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL,
					       NULL);
		g_object_unref(m);
	}
	assert_true(g_dbus_connection_flush_sync(client, NULL, NULL));
	good = g_strconcat("file/", world_file(&w, "disk", MIB), NULL);
	/* The last of them may still be under way, as many as there can be. */
	for (bool succeeded = false; !succeeded;) {
		g_autofree char *why = bus_check(client, "file", good, &succeeded);

		assert_true(succeeded || strstr(why, "try again later"));
	}
	witness_end();

	hold("hung", "check");
	for (unsigned int i = 0; i < 70; i++) {
		GDBusMessage *m = g_dbus_message_new_method_call(SERVICE, ROOT "/slow", SERVICE,
								 "CheckConfig");

		g_dbus_message_set_body(m, g_variant_new("(s)", hung));
		g_dbus_connection_send_message(client, m, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL,
					       NULL);
		g_object_unref(m);
	}
	for (unsigned int i = 0; i < 2; i++) {
		bool succeeded;
		g_autofree char *why = bus_check(client, "file", good, &succeeded);

		refused += !succeeded && strstr(why, "try again later");
	}
	assert_int_equal(refused, 2);
	let_go("hung", "check");
	for (bool succeeded = false; !succeeded;) {
		g_free(bus_check(client, "file", good, &succeeded));
		usleep(10000);
	}
	stop();
}

/* With a check that does not come back the daemon ends all the same. */
static void stopped_while_checking(void **state)
{
	g_autofree char *hung = g_strconcat("slow/", world_path(&w, "hung"), NULL);
	GDBusMessage *m = g_dbus_message_new_method_call(SERVICE, ROOT "/slow", SERVICE,
							 "CheckConfig");

	(void)state;
	start_usual(all_handlers());
	hold("hung", "check");
	g_dbus_message_set_body(m, g_variant_new("(s)", hung));
	g_dbus_connection_send_message(client, m, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
	g_object_unref(m);
	assert_true(g_dbus_connection_flush_sync(client, NULL, NULL));
	reached("hung", "check begins", 1);
	assert_int_equal(proc_stop(&w.d, LONG_MS), 1);
	assert_int_equal(count(said(), "has not come back from checking"), 1);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, bus_open, bus_close)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(targetcli),
		T(coming_and_going),
		T(of_another_process),
		T(registrations),
		T(nobody),
		T(flood),
		T(stopped_while_checking),
	};

	if (argc == 3 && !strcmp(argv[1], AS_NOBODY)) {
		snprintf(w.dir, sizeof(w.dir), "%s", argv[2]);
		bus_choose(&w);
		return attack_as_nobody();
	}
	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
