/* SPDX-License-Identifier: Apache-2.0 */
/* The ObjectManager: one object for each handler that can be used, and no other, as targetcli shows them all. */
#include "dbus/service-int.h"

static GDBusObjectManagerServer *manager;

static char *path_of(const char *subtype)
{
	return g_strconcat(SERVICE_PATH "/", subtype, NULL);
}

void objects_add(const char *subtype, const char *config_desc, const struct object_ops *ops,
		 void *arg)
{
	g_autofree char *path = path_of(subtype);
	g_autofree char *desc = g_utf8_make_valid(config_desc ? config_desc : "", -1);
	g_autoptr(GDBusObjectSkeleton) object = g_dbus_object_skeleton_new(path);
	g_autoptr(TcmuService1) handler = tcmu_service1_skeleton_new();

	tcmu_service1_set_config_desc(handler, desc);
	g_signal_connect(handler, "handle-check-config", G_CALLBACK(ops->check), arg);
	g_signal_connect(handler, "handle-change-medium", G_CALLBACK(ops->change), arg);
	g_dbus_object_skeleton_add_interface(object, G_DBUS_INTERFACE_SKELETON(handler));
	if (!manager)
		manager = g_dbus_object_manager_server_new(SERVICE_PATH);
	g_dbus_object_manager_server_export(manager, object);
}

void objects_remove(const char *subtype)
{
	g_autofree char *path = path_of(subtype);

	g_dbus_object_manager_server_unexport(manager, path);
}

void objects_export(GDBusConnection *connection)
{
	if (!manager)
		manager = g_dbus_object_manager_server_new(SERVICE_PATH);
	g_dbus_object_manager_server_set_connection(manager, connection);
}

void objects_free(void)
{
	g_clear_object(&manager);
}
