/* SPDX-License-Identifier: Apache-2.0 */
/*
 * org.kernel.TCMURunner1: the daemon and its devices, for administrators.
 *
 * Lists are made one at a time, when the main loop has nothing else to do, and put into a message by another
 * thread, which takes far longer with many devices; no more than some wait. So whoever asks without end waits, or is refused,
 * but holds up no device.
 */
#include "dbus/form.h"
#include "dbus/service-int.h"

#include <errno.h>
#include <org.kernel.TCMURunner1.h>
#include <string.h>

#include "runner/control.h"

#define NAME      "org.kernel.TCMURunner1"
#define PATH      "/org/kernel/TCMURunner1"
#define VERSION   1
#define LISTS_MAX 16

static GDBusConnection *bus;
static guint object_id, list_idle;
static GQueue lists = G_QUEUE_INIT; /* of GDBusMethodInvocation */
static GThreadPool *teller;
static gint lists_told; /* the teller's */

/* ---- errors ---- */

static const char *error_name(int err)
{
	switch (err < 0 ? -err : err) {
	case ENOENT:
		return NAME ".Error.NoSuchDevice";
	case ENOTUNIQ:
		return NAME ".Error.Ambiguous";
	case EAGAIN:
	case EBUSY:
		return NAME ".Error.Busy";
	case ETIMEDOUT:
		return NAME ".Error.Timeout";
	case EINVAL:
		return NAME ".Error.Refused";
	default:
		return NAME ".Error.Failed";
	}
}

static void fail(GDBusMethodInvocation *call, int err, const char *message)
{
	g_autofree char *valid = g_utf8_make_valid(message, -1);

	g_dbus_method_invocation_return_dbus_error(call, error_name(err), valid);
}

/* ---- devices ---- */

static void add_text(GVariantBuilder *b, const char *key, const char *text)
{
	g_variant_builder_add(b, "{sv}", key,
			      g_variant_new_take_string(g_utf8_make_valid(text, -1)));
}

static GVariant *describe(const struct runner_device_info *info)
{
	GVariantBuilder b;

	g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
	add_text(&b, "Name", info->name);
	add_text(&b, "Handler", info->handler);
	add_text(&b, "Config", info->config);
	add_text(&b, "State", info->state);
	add_text(&b, "Error", info->error);
	g_variant_builder_add(&b, "{sv}", "Size", g_variant_new_uint64(info->size));
	g_variant_builder_add(&b, "{sv}", "BlockSize", g_variant_new_uint32(info->block_size));
	g_variant_builder_add(&b, "{sv}", "Traced", g_variant_new_boolean(info->traced));
	for (size_t i = 0; i < RUNNER_COUNTERS; i++)
		g_variant_builder_add(&b, "{sv}", runner_counter_names[i],
				      g_variant_new_uint64(info->counters[i]));
	return g_variant_builder_end(&b);
}

/* All of them as they are now, to be told by another thread. */
struct list {
	GDBusMethodInvocation *call;
	GArray *infos; /* of struct runner_device_info */
	GStringChunk *strings;
};

static void add_device(const struct runner_device_info *info, void *arg)
{
	struct runner_device_info copy = *info;
	struct list *list = arg;

	copy.name = g_string_chunk_insert(list->strings, info->name);
	copy.config = g_string_chunk_insert(list->strings, info->config);
	g_array_append_val(list->infos, copy);
}

static void tell_list(gpointer data, gpointer arg)
{
	struct list *list = data;
	GVariantBuilder b;

	(void)arg;
	g_variant_builder_init(&b, G_VARIANT_TYPE("aa{sv}"));
	for (guint i = 0; i < list->infos->len; i++)
		g_variant_builder_add_value(
			&b, describe(&g_array_index(list->infos, struct runner_device_info, i)));
	g_dbus_method_invocation_return_value(list->call, g_variant_new("(aa{sv})", &b));
	g_array_unref(list->infos);
	g_string_chunk_free(list->strings);
	g_free(list);
	g_atomic_int_add(&lists_told, -1);
}

static gboolean next_list(gpointer arg)
{
	GDBusMethodInvocation *call = g_queue_pop_head(&lists);
	struct list *list;

	(void)arg;
	if (!call) {
		list_idle = 0;
		return G_SOURCE_REMOVE;
	}
	list = g_new(struct list, 1);
	*list = (struct list) {
		.call = call,
		.infos = g_array_new(FALSE, FALSE, sizeof(struct runner_device_info)),
		.strings = g_string_chunk_new(4096),
	};
	runner_each_info(add_device, list);
	if (!teller)
		teller = g_thread_pool_new(tell_list, NULL, 1, FALSE, NULL);
	g_atomic_int_inc(&lists_told);
	g_thread_pool_push(teller, list, NULL);
	return G_SOURCE_CONTINUE;
}

static void list_devices(GDBusMethodInvocation *call)
{
	if (g_queue_get_length(&lists) + (guint)g_atomic_int_get(&lists_told) >= LISTS_MAX) {
		g_dbus_method_invocation_return_error(
			call, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED,
			"%d lists are asked for: try again later", LISTS_MAX);
		return;
	}
	g_queue_push_tail(&lists, call);
	if (!list_idle)
		list_idle = g_idle_add(next_list, NULL);
}

static void get_device(GDBusMethodInvocation *call, const char *name)
{
	struct runner_device_info info;
	char why[RUNNER_WHY_MAX];
	int err = runner_get_info(name, &info, why);

	if (err)
		fail(call, err, why);
	else
		g_dbus_method_invocation_return_value(call,
						      g_variant_new("(@a{sv})", describe(&info)));
}

static void set_trace(GDBusMethodInvocation *call, const char *name, gboolean on)
{
	char why[RUNNER_WHY_MAX];
	int err = runner_trace(name, on, why);

	if (err)
		fail(call, err, why);
	else
		g_dbus_method_invocation_return_value(call, NULL);
}

static void answer(int err, const char *message, void *call)
{
	if (err)
		fail(call, err, message);
	else
		g_dbus_method_invocation_return_value(call, NULL);
	check_leave();
}

/* ---- the object ---- */

static void called(GDBusConnection *connection, const char *sender, const char *path,
		   const char *interface, const char *method, GVariant *args,
		   GDBusMethodInvocation *call, gpointer arg)
{
	static const struct {
		const char *name;
		void (*act)(const char *device, runner_answer *answer, void *arg);
	} acts[] = {
		{ "Reopen", runner_reopen },
		{ "Drain", runner_drain },
		{ "Resume", runner_resume },
	};
	const char *device, *why;
	gboolean on = FALSE;

	(void)connection, (void)sender, (void)path, (void)interface, (void)arg;
	if (!strcmp(method, "ListDevices")) {
		list_devices(call);
		return;
	}
	if (!strcmp(method, "SetTrace"))
		g_variant_get(args, "(&sb)", &device, &on);
	else
		g_variant_get(args, "(&s)", &device);
	why = form_name(device);
	if (why) {
		fail(call, EINVAL, why);
		return;
	}
	if (!strcmp(method, "GetDevice")) {
		get_device(call, device);
		return;
	}
	if (!strcmp(method, "SetTrace")) {
		set_trace(call, device, on);
		return;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(acts); i++) {
		if (!strcmp(method, acts[i].name) && check_enter(call))
			acts[i].act(device, answer, call);
	}
}

static const char *const levels[] = {
	[TCMU_LOG_ERROR] = "error",
	[TCMU_LOG_WARN] = "warning",
	[TCMU_LOG_INFO] = "info",
	[TCMU_LOG_DEBUG] = "debug",
};

static GVariant *get_property(GDBusConnection *connection, const char *sender, const char *path,
			      const char *interface, const char *property, GError **error,
			      gpointer arg)
{
	(void)connection, (void)sender, (void)path, (void)interface, (void)error, (void)arg;
	if (!strcmp(property, "Version"))
		return g_variant_new_uint32(VERSION);
	if (!strcmp(property, "DaemonVersion"))
		return g_variant_new_string(TCMU_VERSION);
	return g_variant_new_string(levels[tcmu_get_log_level()]);
}

static gboolean set_property(GDBusConnection *connection, const char *sender, const char *path,
			     const char *interface, const char *property, GVariant *value,
			     GError **error, gpointer arg)
{
	const char *text = g_variant_get_string(value, NULL);

	(void)connection, (void)path, (void)interface, (void)property, (void)arg;
	for (size_t i = TCMU_LOG_ERROR; i < G_N_ELEMENTS(levels); i++) {
		if (strcmp(text, levels[i]))
			continue;
		if (i != tcmu_get_log_level())
			tcmu_info("log_level is '%s' until the configuration file is read again "
				  "(%s asked for it)",
				  levels[i], sender);
		tcmu_set_log_level((enum tcmu_log_level)i);
		return TRUE;
	}
	g_set_error(error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS,
		    "'%.32s' is no log level: error, warning, info or debug", text);
	return FALSE;
}

static void device_changed(const char *name, const char *state)
{
	g_autofree char *valid = g_utf8_make_valid(name, -1);

	if (bus)
		g_dbus_connection_emit_signal(bus, NULL, PATH, NAME, "DeviceChanged",
					      g_variant_new("(ss)", valid, state), NULL);
}

void admin_export(GDBusConnection *connection)
{
	static const GDBusInterfaceVTable vtable = {
		.method_call = called,
		.get_property = get_property,
		.set_property = set_property,
	};
	g_autoptr(GError) error = NULL;

	object_id = g_dbus_connection_register_object(
		connection, PATH,
		(GDBusInterfaceInfo *)(uintptr_t)&org_kernel_tcmurunner1_interface, &vtable, NULL,
		NULL, &error);
	if (!object_id) {
		tcmu_err("cannot publish " PATH ": %s", error->message);
		return;
	}
	bus = g_object_ref(connection);
	runner_watch_states(device_changed);
}

void admin_drop(void)
{
	GDBusMethodInvocation *call;

	if (!bus)
		return;
	runner_watch_states(NULL);
	g_dbus_connection_unregister_object(bus, object_id);
	g_clear_object(&bus);
	while ((call = g_queue_pop_head(&lists)))
		fail(call, EAGAIN, "the daemon leaves the bus");
	if (list_idle)
		g_source_remove(list_idle);
	list_idle = 0;
	if (teller)
		g_thread_pool_free(teller, FALSE, TRUE);
	teller = NULL;
}
