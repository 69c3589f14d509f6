/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/service.h"

#include "dbus/service-int.h"
#include "util/sysbus.h"

#define SETTLE_SEC 2

static struct sysbus *bus;
static guint name_id, settle_timer;
static void (*settled)(void);

static void settle(void)
{
	void (*tell)(void) = settled;

	settled = NULL;
	if (settle_timer)
		g_source_remove(settle_timer);
	settle_timer = 0;
	if (tell)
		tell();
}

static gboolean settle_late(gpointer arg)
{
	(void)arg;
	settle_timer = 0;
	settle();
	return G_SOURCE_REMOVE;
}

static void name_acquired(GDBusConnection *connection, const char *name, gpointer arg)
{
	(void)connection;
	(void)arg;
	tcmu_dbg("the name %s on the system bus is ours", name);
	settle();
}

/* It waits in the bus's queue from now on, if it may own the name at all. */
static void name_lost(GDBusConnection *connection, const char *name, gpointer arg)
{
	(void)arg;
	if (!connection || g_dbus_connection_is_closed(connection))
		return;
	tcmu_warn("the name %s on the system bus is not ours, so targetcli does not see the "
		  "handlers here: another process has it, or the bus's policy does not allow it "
		  "(tcmu-runner.conf in /etc/dbus-1/system.d or /usr/share/dbus-1/system.d)",
		  name);
	settle();
}

static void forget(void)
{
	if (name_id)
		g_bus_unown_name(name_id);
	name_id = 0;
	admin_drop();
	external_drop();
	objects_export(NULL);
}

static void connected(GDBusConnection *connection, void *arg)
{
	(void)arg;
	objects_export(connection);
	external_export(connection);
	admin_export(connection);
	name_id = g_bus_own_name_on_connection(connection, SERVICE_NAME,
					       G_BUS_NAME_OWNER_FLAGS_NONE, name_acquired,
					       name_lost, NULL, NULL);
}

static void lost(void *arg)
{
	(void)arg;
	tcmu_info("the system bus is gone; it is joined again when it is there");
	forget();
}

static gboolean settle_now(gpointer arg)
{
	(void)arg;
	settle();
	return G_SOURCE_REMOVE;
}

static void unreachable(const char *why, void *arg)
{
	(void)arg;
	tcmu_info("no system bus (%s): targetcli does not see the handlers here, everything else "
		  "goes on; it is joined when it is there",
		  why);
	g_idle_add(settle_now, NULL);
}

void dbus_service_start(void (*tell)(void))
{
	static const struct sysbus_ops ops = {
		.connected = connected,
		.lost = lost,
		.unreachable = unreachable,
	};

	static const struct object_ops here = { .check = check_here, .change = change_here };

	settled = tell;
	settle_timer = g_timeout_add_seconds(SETTLE_SEC, settle_late, NULL);
	for (size_t i = 0; i < runner_registry_count(); i++) {
		const struct runner_handler *entry = runner_registry_at(i);

		objects_add(entry->handler.subtype, entry->handler.cfg_desc, &here,
			    (void *)(uintptr_t)entry);
	}
	bus = sysbus_new(&ops, NULL);
}

bool dbus_service_stop(unsigned int sec)
{
	forget();
	sysbus_free(bus);
	bus = NULL;
	objects_free();
	return check_wait(sec);
}
