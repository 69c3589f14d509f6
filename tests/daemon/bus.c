/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

GDBusConnection *client;

static pid_t bus_pid;
static char address[256];

static const char config[] =
	"<busconfig><type>system</type><listen>%s</listen><auth>EXTERNAL</auth>"
	"<policy context='default'><allow user='*'/><deny own='*'/><deny send_type='method_call'/>"
	"<allow send_type='signal'/><allow send_requested_reply='true' send_type='method_return'/>"
	"<allow send_requested_reply='true' send_type='error'/><allow receive_type='method_call'/>"
	"<allow receive_type='method_return'/><allow receive_type='error'/>"
	"<allow receive_type='signal'/><allow send_destination='org.freedesktop.DBus'/></policy>"
	"<include>" TCMU_BUS_POLICY "</include></busconfig>\n";

int bus_open(void **state)
{
	int ret = crowd_open(state);

	bus_choose(&w);
	bus_start(&w);
	client = bus_connect(&w);
	return ret;
}

int bus_close(void **state)
{
	int ret;

	g_clear_object(&client);
	ret = crowd_close(state);
	bus_stop();
	return ret;
}

void bus_choose(struct world *world)
{
	snprintf(address, sizeof(address), "unix:path=%s/bus", world->dir);
	setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1);
}

GDBusConnection *bus_connect(struct world *world)
{
	(void)world;
	return g_dbus_connection_new_for_address_sync(
		address,
		G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
			G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
		NULL, NULL, NULL);
}

void bus_start(struct world *world)
{
	g_autofree char *path = g_strdup(world_path(world, "bus.conf")),
			*option = g_strconcat("--config-file=", path, NULL),
			*log = g_strdup(world_path(world, "bus.log"));
	uint64_t end = fake_now_ms() + LONG_MS;
	GDBusConnection *c;
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fprintf(f, config, address); /* NOLINT: the address is the one conversion */
	fclose(f);
	chmod(world->dir, 0755); /* for a client that is not root */
	unlink(world_path(world, "bus"));
	bus_pid = fork();
	if (!bus_pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!freopen(log, "ae", stderr))
			_exit(127);
		execlp("dbus-daemon", "dbus-daemon", option, "--nofork", "--nopidfile",
		       "--nosyslog", NULL);
		perror("dbus-daemon");
		_exit(127);
	}
	while (!(c = bus_connect(world))) {
		assert_true(fake_now_ms() < end);
		usleep(10000);
	}
	g_object_unref(c);
}

void bus_stop(void)
{
	if (!bus_pid)
		return;
	kill(bus_pid, SIGTERM);
	waitpid(bus_pid, NULL, 0);
	bus_pid = 0;
}

GVariant *bus_call(GDBusConnection *c, const char *path, const char *interface, const char *method,
		   GVariant *args, GError **error)
{
	return g_dbus_connection_call_sync(c, SERVICE, path, interface, method, args, NULL,
					   G_DBUS_CALL_FLAGS_NO_AUTO_START, LONG_MS, NULL, error);
}

static bool name_is(GDBusConnection *c, const char *name)
{
	gboolean there = FALSE;
	GVariant *ret = g_dbus_connection_call_sync(
		c, "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "NameHasOwner",
		g_variant_new("(s)", name), NULL, G_DBUS_CALL_FLAGS_NONE, LONG_MS, NULL, NULL);

	assert_non_null(ret);
	g_variant_get(ret, "(b)", &there);
	g_variant_unref(ret);
	return there;
}

bool bus_wait_name(GDBusConnection *c, const char *name, bool there)
{
	uint64_t end = fake_now_ms() + LONG_MS;

	while (name_is(c, name) != there) {
		if (fake_now_ms() > end)
			return false;
		usleep(10000);
	}
	return true;
}

static gint by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *bus_handlers(GDBusConnection *c)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	GVariant *ret = bus_call(c, ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects",
				 NULL, NULL);
	GVariant *interfaces, *props;
	GVariantIter *objects;
	const char *path, *desc;

	if (!ret)
		return g_strdup("");
	g_variant_get(ret, "(a{oa{sa{sv}}})", &objects);
	while (g_variant_iter_loop(objects, "{&o@a{sa{sv}}}", &path, &interfaces)) {
		props = g_variant_lookup_value(interfaces, SERVICE, G_VARIANT_TYPE("a{sv}"));
		assert_non_null(props);
		assert_true(g_variant_lookup(props, "ConfigDesc", "&s", &desc) && *desc);
		assert_true(g_str_has_prefix(path, ROOT "/"));
		g_ptr_array_add(names, g_strdup(path + strlen(ROOT "/")));
		g_variant_unref(props);
	}
	g_variant_iter_free(objects);
	g_variant_unref(ret);
	g_ptr_array_sort(names, by_name);
	g_ptr_array_add(names, NULL);
	return g_strjoinv(" ", (char **)names->pdata);
}

bool bus_wait_handlers(GDBusConnection *c, const char *expected)
{
	uint64_t end = fake_now_ms() + LONG_MS;

	for (;;) {
		g_autofree char *now = bus_handlers(c);

		if (!strcmp(now, expected))
			return true;
		if (fake_now_ms() > end) {
			print_error("handlers: %s\n", now);
			return false;
		}
		usleep(10000);
	}
}

char *bus_check(GDBusConnection *c, const char *subtype, const char *cfgstring, bool *good)
{
	g_autofree char *path = g_strconcat(ROOT "/", subtype, NULL);
	g_autoptr(GError) error = NULL;
	GVariant *ret = bus_call(c, path, SERVICE, "CheckConfig", g_variant_new("(s)", cfgstring),
				 &error);
	gboolean succeeded = FALSE;
	char *reason = NULL;

	*good = false;
	if (!ret)
		return g_strdup(error->message);
	g_variant_get(ret, "(bs)", &succeeded, &reason);
	g_variant_unref(ret);
	*good = succeeded;
	return reason;
}

char *bus_change(GDBusConnection *c, const char *name, guint64 size, const char *cfgstring, int *rc)
{
	g_autofree char *path = g_strdup_printf(ROOT "/%.*s", (int)strcspn(cfgstring, "/"),
						cfgstring);
	g_autoptr(GError) error = NULL;
	GVariant *ret = bus_call(c, path, SERVICE, "ChangeMedium",
				 g_variant_new("(sts)", name, size, cfgstring), &error);
	char *message = NULL;

	*rc = -1;
	if (!ret)
		return g_strdup(error->message);
	g_variant_get(ret, "(is)", rc, &message);
	g_variant_unref(ret);
	return message;
}
