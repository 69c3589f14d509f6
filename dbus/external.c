/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers in other processes (tcmulib_register() there). Such a process has a bus name for its handler; as long
 * as that is there, the handler is shown among ours, what is asked of it is passed on, and its devices are left
 * to it.
 */
#include "dbus/form.h"
#include "dbus/service-int.h"

#include <errno.h>
#include <string.h>

#include "runner/control.h"

#define EXTERNAL_MAX 64
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

/* failed: the answer, if there is none from there, without its sentence. */
static void forwarded(GObject *source, GAsyncResult *result, GDBusMethodInvocation *call,
		      GVariant *failed)
{
	g_autoptr(GVariant) none = g_variant_ref_sink(failed);
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant)
		ret = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);

	check_leave();
	if (!ret) {
		g_dbus_error_strip_remote_error(error);
		ret = g_variant_ref_sink(g_variant_new("(*s)", none, error->message));
	}
	g_dbus_method_invocation_return_value(call, ret);
}

static void check_forwarded(GObject *source, GAsyncResult *result, gpointer call)
{
	forwarded(source, result, call, g_variant_new_boolean(FALSE));
}

static void change_forwarded(GObject *source, GAsyncResult *result, gpointer call)
{
	forwarded(source, result, call, g_variant_new_int32(EIO));
}

/* Passes the call on as it is. */
static gboolean forward(struct external *ext, GDBusMethodInvocation *call, const char *answer,
			GAsyncReadyCallback done)
{
	g_autofree char *path = g_strconcat(MANAGER_PATH "/", ext->subtype, NULL);

	if (!check_enter(call))
		return TRUE;
	g_dbus_connection_call(g_dbus_method_invocation_get_connection(call), ext->bus_name, path,
			       SERVICE_NAME, g_dbus_method_invocation_get_method_name(call),
			       g_dbus_method_invocation_get_parameters(call),
			       G_VARIANT_TYPE(answer), G_DBUS_CALL_FLAGS_NO_AUTO_START,
			       FORWARD_MSEC, NULL, done, call);
	return TRUE;
}

static gboolean forward_check(TcmuService1 *object, GDBusMethodInvocation *call,
			      const char *cfgstring, void *arg)
{
	struct external *ext = arg;
	const char *why = form_config(ext->subtype, cfgstring);

	if (!why)
		return forward(ext, call, "(bs)", check_forwarded);
	tcmu_service1_complete_check_config(object, call, FALSE, why);
	return TRUE;
}

static gboolean forward_change(TcmuService1 *object, GDBusMethodInvocation *call, const char *name,
			       guint64 size, const char *cfgstring, void *arg)
{
	struct external *ext = arg;
	const char *why = form_name(name);

	(void)size;
	if (!why)
		why = form_config(ext->subtype, cfgstring);
	if (!why)
		return forward(ext, call, "(is)", change_forwarded);
	tcmu_service1_complete_change_medium(object, call, EINVAL, why);
	return TRUE;
}

static const struct object_ops forwarding = { .check = forward_check, .change = forward_change };

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
	objects_add(ext->subtype, ext->desc, &forwarding, ext);
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

/* Why it is refused; NULL: it is not. */
static const char *refusal(const char *subtype, const char *desc)
{
	const char *why = form_registration(subtype, desc);

	if (why)
		return why;
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
