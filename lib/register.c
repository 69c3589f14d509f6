/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcmulib_register(): each handler has an object and a bus name of its own, and tells tcmu-runner of it, which
 * then shows it among its own; again whenever tcmu-runner, or the bus, has been away.
 */
#include "lib/register.h"

#include <gio/gio.h>
#include <org.kernel.TCMUService1.h>
#include <stdlib.h>

#include "util/sysbus.h"

#define SERVICE_NAME "org.kernel.TCMUService1"
#define MANAGER_NAME SERVICE_NAME ".HandlerManager1"
#define MANAGER_PATH "/org/kernel/TCMUService1/HandlerManager1"

struct published {
	struct tcmu_registration *reg;
	struct tcmulib_handler *handler;
	TcmuService1 *object;
	guint name_id; /* ours */
	bool named;
};

struct tcmu_registration {
	struct sysbus *bus;
	GDBusConnection *connection; /* NULL: none */
	guint watch;                 /* of tcmu-runner's name */
	bool runner_there;
	size_t count;
	struct published published[];
};

/* ---- what tcmu-runner asks ---- */

static gboolean on_check(TcmuService1 *object, GDBusMethodInvocation *call, const char *cfgstring,
			 gpointer arg)
{
	struct published *pub = arg;
	char *reason = NULL;
	bool good = !pub->handler->check_config || pub->handler->check_config(cfgstring, &reason);
	g_autofree char *said = g_utf8_make_valid(reason ? reason : "", -1);

	tcmu_service1_complete_check_config(object, call, good,
					    *said  ? said
					    : good ? "success"
						   : "unknown");
	free(reason);
	return TRUE;
}

/* ---- what tcmu-runner is told ---- */

static void told(GObject *source, GAsyncResult *result, gpointer arg)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant)
		ret = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
	g_autofree char *subtype = arg;
	const char *message = NULL;
	gboolean succeeded = FALSE;

	if (ret)
		g_variant_get(ret, "(b&s)", &succeeded, &message);
	/* A bus or a daemon that is just ending is no error: it comes back. */
	if (ret && !succeeded)
		tcmu_err("tcmu-runner does not show handler '%s': %s", subtype, message);
}

static void tell(struct published *pub)
{
	struct tcmu_registration *reg = pub->reg;
	const char *desc = pub->handler->cfg_desc ? pub->handler->cfg_desc : "";

	if (!pub->named || !reg->runner_there)
		return;
	g_dbus_connection_call(
		reg->connection, SERVICE_NAME, MANAGER_PATH, MANAGER_NAME, "RegisterHandler",
		g_variant_new("(ss)", pub->handler->subtype, desc), G_VARIANT_TYPE("(bs)"),
		G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, NULL, told, g_strdup(pub->handler->subtype));
}

static void name_acquired(GDBusConnection *connection, const char *name, gpointer arg)
{
	struct published *pub = arg;

	(void)connection;
	(void)name;
	pub->named = true;
	tell(pub);
}

static void name_lost(GDBusConnection *connection, const char *name, gpointer arg)
{
	struct published *pub = arg;

	if (connection && !g_dbus_connection_is_closed(connection))
		tcmu_err("the name %s on the system bus is not ours: another process has it, or "
			 "the bus's policy does not allow it",
			 name);
	pub->named = false;
}

static void runner_appeared(GDBusConnection *connection, const char *name, const char *owner,
			    gpointer arg)
{
	struct tcmu_registration *reg = arg;

	(void)connection;
	(void)name;
	(void)owner;
	reg->runner_there = true;
	for (size_t i = 0; i < reg->count; i++)
		tell(&reg->published[i]);
}

static void runner_vanished(GDBusConnection *connection, const char *name, gpointer arg)
{
	struct tcmu_registration *reg = arg;

	(void)connection;
	(void)name;
	reg->runner_there = false;
}

/* ---- on and off the bus ---- */

static void publish(struct published *pub)
{
	g_autofree char *path = g_strconcat(MANAGER_PATH "/", pub->handler->subtype, NULL);
	g_autofree char *name = g_strconcat(MANAGER_NAME ".", pub->handler->subtype, NULL);
	g_autoptr(GError) error = NULL;

	if (!g_variant_is_object_path(path) || !g_dbus_is_name(name)) {
		tcmu_err("handler '%s' is not on the bus: its subtype is not of the form "
			 "[A-Za-z_][A-Za-z0-9_]*",
			 pub->handler->subtype);
		return;
	}
	pub->object = tcmu_service1_skeleton_new();
	tcmu_service1_set_config_desc(pub->object,
				      pub->handler->cfg_desc ? pub->handler->cfg_desc : "");
	g_signal_connect(pub->object, "handle-check-config", G_CALLBACK(on_check), pub);
	if (!g_dbus_interface_skeleton_export(G_DBUS_INTERFACE_SKELETON(pub->object),
					      pub->reg->connection, path, &error)) {
		tcmu_err("handler '%s' is not on the bus: %s", pub->handler->subtype,
			 error->message);
		return;
	}
	pub->name_id = g_bus_own_name_on_connection(pub->reg->connection, name,
						    G_BUS_NAME_OWNER_FLAGS_NONE, name_acquired,
						    name_lost, pub, NULL);
}

static void withdraw(struct published *pub)
{
	if (pub->name_id)
		g_bus_unown_name(pub->name_id);
	if (pub->object)
		g_dbus_interface_skeleton_unexport(G_DBUS_INTERFACE_SKELETON(pub->object));
	g_clear_object(&pub->object);
	pub->name_id = 0;
	pub->named = false;
}

static void connected(GDBusConnection *connection, void *arg)
{
	struct tcmu_registration *reg = arg;

	reg->connection = g_object_ref(connection);
	for (size_t i = 0; i < reg->count; i++)
		publish(&reg->published[i]);
	reg->watch = g_bus_watch_name_on_connection(connection, SERVICE_NAME,
						    G_BUS_NAME_WATCHER_FLAGS_NONE, runner_appeared,
						    runner_vanished, reg, NULL);
}

static void lost(void *arg)
{
	struct tcmu_registration *reg = arg;

	if (!reg->connection)
		return;
	g_bus_unwatch_name(reg->watch);
	reg->runner_there = false;
	for (size_t i = 0; i < reg->count; i++)
		withdraw(&reg->published[i]);
	g_clear_object(&reg->connection);
}

static void unreachable(const char *why, void *arg)
{
	(void)arg;
	tcmu_info("no system bus (%s): tcmu-runner does not show the handlers here until there is",
		  why);
}

void tcmu_register(struct tcmulib_context *ctx)
{
	static const struct sysbus_ops ops = {
		.connected = connected,
		.lost = lost,
		.unreachable = unreachable,
	};
	struct tcmu_registration *reg;

	if (ctx->registration)
		return;
	reg = g_malloc0(sizeof(*reg) + ctx->handler_count * sizeof(reg->published[0]));
	reg->count = ctx->handler_count;
	for (size_t i = 0; i < reg->count; i++)
		reg->published[i] = (struct published) { .reg = reg, .handler = &ctx->handlers[i] };
	ctx->registration = reg;
	reg->bus = sysbus_new(&ops, reg);
}

void tcmu_register_end(struct tcmulib_context *ctx)
{
	struct tcmu_registration *reg = ctx->registration;

	if (!reg)
		return;
	lost(reg);
	sysbus_free(reg->bus);
	g_free(reg);
	ctx->registration = NULL;
}
