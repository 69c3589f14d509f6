/* SPDX-License-Identifier: Apache-2.0 */
#include "util/sysbus.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define AGAIN_MAX_SEC 60

struct sysbus {
	const struct sysbus_ops *ops;
	void *arg;
	GMainContext *context;
	GDBusConnection *connection;
	gulong closed_handler;
	GCancellable *cancellable;
	GSource *again;
	guint again_sec;
	gboolean said;
};

static void sysbus_connect(struct sysbus *bus);

static gboolean connect_again(gpointer arg)
{
	struct sysbus *bus = arg;

	g_clear_pointer(&bus->again, g_source_unref);
	sysbus_connect(bus);
	return G_SOURCE_REMOVE;
}

static void try_later(struct sysbus *bus)
{
	bus->again = g_timeout_source_new_seconds(bus->again_sec);
	g_source_set_callback(bus->again, connect_again, bus, NULL);
	g_source_attach(bus->again, bus->context);
	bus->again_sec = MIN(bus->again_sec * 2, AGAIN_MAX_SEC);
}

static void drop_connection(struct sysbus *bus)
{
	g_signal_handler_disconnect(bus->connection, bus->closed_handler);
	g_clear_object(&bus->connection);
}

static void on_closed(GDBusConnection *connection, gboolean vanished, GError *error, gpointer arg)
{
	struct sysbus *bus = arg;

	(void)connection;
	(void)vanished;
	(void)error;
	drop_connection(bus);
	bus->ops->lost(bus->arg);
	try_later(bus);
}

static void unreachable(struct sysbus *bus, const GError *error)
{
	if (!bus->said)
		bus->ops->unreachable(error->message, bus->arg);
	bus->said = TRUE;
	try_later(bus);
}

static void on_connection(GObject *source, GAsyncResult *result, gpointer arg)
{
	g_autoptr(GError) error = NULL;
	GDBusConnection *connection = g_dbus_connection_new_for_address_finish(result, &error);
	struct sysbus *bus = arg;

	(void)source;
	/* After sysbus_free() there is no bus. */
	if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
		return;
	if (!connection) {
		unreachable(bus, error);
		return;
	}
	bus->connection = connection;
	bus->said = FALSE;
	bus->again_sec = 1;
	g_dbus_connection_set_exit_on_close(connection, FALSE);
	bus->closed_handler = g_signal_connect(connection, "closed", G_CALLBACK(on_closed), bus);
	bus->ops->connected(connection, bus->arg);
}

/* Where there is no bus, its socket is not there: GLib would find that out in a thread, which it keeps for 15 seconds. */
static bool has_socket(const char *address, GError **error)
{
	const char *path = address + strlen("unix:path=");

	if (!g_str_has_prefix(address, "unix:path=") || strpbrk(address, ",;%"))
		return true;
	if (!access(path, F_OK))
		return true;
	g_set_error(error, G_IO_ERROR, (gint)g_io_error_from_errno(errno), "%s: %s", path,
		    g_strerror(errno));
	return false;
}

static void sysbus_connect(struct sysbus *bus)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, &error);

	if (!address || !g_dbus_is_supported_address(address, &error) ||
	    !has_socket(address, &error)) {
		unreachable(bus, error);
		return;
	}
	g_dbus_connection_new_for_address(address,
					  G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
						  G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
					  NULL, bus->cancellable, on_connection, bus);
}

struct sysbus *sysbus_new(const struct sysbus_ops *ops, void *arg)
{
	struct sysbus *bus = g_new0(struct sysbus, 1);

	bus->ops = ops;
	bus->arg = arg;
	bus->again_sec = 1;
	bus->cancellable = g_cancellable_new();
	bus->context = g_main_context_ref_thread_default();
	sysbus_connect(bus);
	return bus;
}

void sysbus_free(struct sysbus *bus)
{
	if (!bus)
		return;
	g_cancellable_cancel(bus->cancellable);
	g_object_unref(bus->cancellable);
	if (bus->again) {
		g_source_destroy(bus->again);
		g_source_unref(bus->again);
	}
	if (bus->connection) {
		GDBusConnection *connection = g_object_ref(bus->connection);

		drop_connection(bus);
		g_dbus_connection_close(connection, NULL, NULL, NULL);
		g_object_unref(connection);
	}
	g_main_context_unref(bus->context);
	g_free(bus);
}
