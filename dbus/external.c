/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers in other processes (tcmulib_register() there). Such a process has a bus name for its handler; as long
 * as that is there, the handler is shown among ours, what is asked of it is passed on, and its devices are left
 * to it.
 */
#include "dbus/service-int.h"

#include <string.h>

#include "runner/control.h"

#define EXTERNAL_MAX 64
#define SUBTYPE_MAX  64   /* bytes */
#define DESC_MAX     4096 /* bytes */
#define FORWARD_MSEC 25000

struct external {
	char *subtype, *desc, *bus_name;
	char *owner; /* its unique name; NULL: it is not there yet */
	guint watch;
	GDBusMethodInvocation *call; /* RegisterHandler, which waits for the name; or NULL */
};

static TcmuService1HandlerManager1 *manager;
static GHashTable *externals; /* by subtype */

/* ---- what the runner does not answer for ---- */

static void tell_runner(void)
{
	g_autofree const char **subtypes = (const char **)g_hash_table_get_keys_as_array(externals,
											 NULL);

	runner_leave_to_others(subtypes);
}

/* ---- life ---- */

static void free_external(gpointer arg)
{
	struct external *ext = arg;

	if (ext->watch)
		g_bus_unwatch_name(ext->watch);
	g_free(ext->subtype);
	g_free(ext->desc);
	g_free(ext->bus_name);
	g_free(ext->owner);
	g_free(ext);
}

static void answer(struct external *ext, bool succeeded, const char *message)
{
	if (ext->call)
		g_dbus_method_invocation_return_value(ext->call,
						      g_variant_new("(bs)", succeeded, message));
	ext->call = NULL;
}

static void end(struct external *ext)
{
	if (ext->owner) {
		tcmu_info("handler '%s' of another process (%s) is gone", ext->subtype, ext->owner);
		objects_remove(ext->subtype);
	}
	g_hash_table_remove(externals, ext->subtype);
	tell_runner();
}

static void forwarded(GObject *source, GAsyncResult *result, gpointer arg)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant)
		ret = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
	GDBusMethodInvocation *call = arg;

	check_leave();
	if (ret) {
		g_dbus_method_invocation_return_value(call, ret);
		return;
	}
	g_dbus_error_strip_remote_error(error);
	g_dbus_method_invocation_return_value(call, g_variant_new("(bs)", FALSE, error->message));
}

static gboolean forward(TcmuService1 *object, GDBusMethodInvocation *call, const char *cfgstring,
			void *arg)
{
	struct external *ext = arg;
	const char *why = check_form(ext->subtype, cfgstring);
	g_autofree char *path = g_strconcat(MANAGER_PATH "/", ext->subtype, NULL);

	if (why) {
		tcmu_service1_complete_check_config(object, call, FALSE, why);
		return TRUE;
	}
	if (!check_enter(call))
		return TRUE;
	g_dbus_connection_call(g_dbus_method_invocation_get_connection(call), ext->bus_name, path,
			       SERVICE_NAME, "CheckConfig", g_variant_new("(s)", cfgstring),
			       G_VARIANT_TYPE("(bs)"), G_DBUS_CALL_FLAGS_NO_AUTO_START,
			       FORWARD_MSEC, NULL, forwarded, call);
	return TRUE;
}

static void appeared(GDBusConnection *connection, const char *name, const char *owner, gpointer arg)
{
	struct external *ext = arg;

	(void)connection;
	(void)name;
	if (ext->owner) { /* another process has taken it over */
		g_free(ext->owner);
		ext->owner = g_strdup(owner);
		return;
	}
	ext->owner = g_strdup(owner);
	tcmu_info("handler '%s' is served by another process (%s)", ext->subtype, owner);
	objects_add(ext->subtype, ext->desc, forward, ext);
	answer(ext, true, "succeeded");
}

static void vanished(GDBusConnection *connection, const char *name, gpointer arg)
{
	struct external *ext = arg;
	g_autofree char *message = g_strconcat("Cannot find handler bus name: ", name, NULL);

	(void)connection;
	answer(ext, false, message);
	end(ext);
}

/* ---- the methods ---- */

static bool is_subtype(const char *s)
{
	if (!g_ascii_isalpha(*s) && *s != '_')
		return false;
	for (size_t i = 1; s[i]; i++) {
		if ((!g_ascii_isalnum(s[i]) && s[i] != '_') || i == SUBTYPE_MAX)
			return false;
	}
	return true;
}

/* Why it is refused; NULL: it is not. */
static const char *refusal(const char *subtype, const char *desc)
{
	if (!is_subtype(subtype))
		return "a subtype is of the form [A-Za-z_][A-Za-z0-9_]*, at most 64 bytes long";
	if (!strcmp(subtype, "HandlerManager1"))
		return "this name is taken by an object of the service";
	if (strlen(desc) > DESC_MAX)
		return "the description is longer than 4096 bytes";
	if (runner_registry_find(subtype))
		return "the daemon has a handler for this subtype";
	if (g_hash_table_size(externals) == EXTERNAL_MAX)
		return "64 handlers of other processes are registered already";
	return NULL;
}

static gboolean on_register(TcmuService1HandlerManager1 *object, GDBusMethodInvocation *call,
			    const char *subtype, const char *desc, gpointer arg)
{
	struct external *ext = g_hash_table_lookup(externals, subtype);
	const char *why;

	(void)arg;
	if (ext) {
		bool same = ext->owner &&
			    !strcmp(ext->owner, g_dbus_method_invocation_get_sender(call));

		tcmu_service1_handler_manager1_complete_register_handler(
			object, call, same,
			same ? "succeeded" : "this subtype is registered already");
		return TRUE;
	}
	why = refusal(subtype, desc);
	if (why) {
		tcmu_service1_handler_manager1_complete_register_handler(object, call, FALSE, why);
		return TRUE;
	}
	ext = g_new0(struct external, 1);
	ext->subtype = g_strdup(subtype);
	ext->desc = g_strdup(desc);
	ext->bus_name = g_strconcat(MANAGER_NAME ".", subtype, NULL);
	ext->call = call;
	g_hash_table_insert(externals, ext->subtype, ext);
	tell_runner();
	ext->watch = g_bus_watch_name_on_connection(g_dbus_method_invocation_get_connection(call),
						    ext->bus_name, G_BUS_NAME_WATCHER_FLAGS_NONE,
						    appeared, vanished, ext, NULL);
	return TRUE;
}

static gboolean on_unregister(TcmuService1HandlerManager1 *object, GDBusMethodInvocation *call,
			      const char *subtype, gpointer arg)
{
	struct external *ext = g_hash_table_lookup(externals, subtype);
	bool known = ext && ext->owner,
	     theirs = known && !strcmp(ext->owner, g_dbus_method_invocation_get_sender(call));

	(void)arg;
	if (theirs)
		end(ext);
	tcmu_service1_handler_manager1_complete_unregister_handler(
		object, call, theirs,
		theirs  ? "succeeded"
		: known ? "this subtype was registered by another process"
			: "no other process has registered this subtype");
	return TRUE;
}

void external_export(GDBusConnection *connection)
{
	g_autoptr(GError) error = NULL;

	externals = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_external);
	manager = tcmu_service1_handler_manager1_skeleton_new();
	g_signal_connect(manager, "handle-register-handler", G_CALLBACK(on_register), NULL);
	g_signal_connect(manager, "handle-unregister-handler", G_CALLBACK(on_unregister), NULL);
	if (!g_dbus_interface_skeleton_export(G_DBUS_INTERFACE_SKELETON(manager), connection,
					      MANAGER_PATH, &error))
		tcmu_err("cannot publish " MANAGER_PATH ": %s", error->message);
}

void external_drop(void)
{
	GHashTableIter iter;
	gpointer ext;

	if (!manager)
		return;
	g_dbus_interface_skeleton_unexport(G_DBUS_INTERFACE_SKELETON(manager));
	g_clear_object(&manager);
	g_hash_table_iter_init(&iter, externals);
	while (g_hash_table_iter_next(&iter, NULL, &ext)) {
		answer(ext, false, "the daemon leaves the bus");
		if (((struct external *)ext)->owner)
			objects_remove(((struct external *)ext)->subtype);
	}
	g_hash_table_remove_all(externals);
	tell_runner();
	g_clear_pointer(&externals, g_hash_table_unref);
}
