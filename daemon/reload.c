/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/reload.h"

#include <gio/gio.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/settings.h"
#include "runner/control.h"

#define QUIET_MSEC 200 /* an editor writes more than once */

static struct {
	struct daemon_options *running;
	int argc;
	char **argv;
	GFileMonitor *monitor;
	guint timer;
} reload;

static void say(const char *sentence)
{
	tcmu_err("%s; what was in force stays", sentence);
}

static bool differ(const char *a, const char *b)
{
	return g_strcmp0(a, b) != 0;
}

static bool lists_differ(char **a, char **b)
{
	static char *const none[] = { NULL };

	return !g_strv_equal((const char *const *)(a ? a : none),
			     (const char *const *)(b ? b : none));
}

/* What can change only with a new process, but a new one would have it otherwise. */
static void say_later(struct daemon_options *now)
{
	struct daemon_options *old = reload.running;
	g_autoptr(GString) keys = g_string_new(NULL);

	for (size_t i = 0; i < daemon_numbers_count; i++) {
		const struct daemon_number *n = &daemon_numbers[i];

		if (!n->live && *daemon_number_in(n, now) != *daemon_number_in(n, old))
			g_string_append_printf(keys, " %s", n->key);
	}
	if (now->limits.engine != old->limits.engine)
		g_string_append(keys, " engine");
	if (differ(now->log_dir, old->log_dir))
		g_string_append(keys, " log_dir");
	if (differ(now->handler_path, old->handler_path))
		g_string_append(keys, " handler_path");
	if (lists_differ(now->foreign, old->foreign))
		g_string_append(keys, " foreign");
	if (keys->len)
		tcmu_warn("%s: this takes effect when the daemon is started anew:%s",
			  now->config_path, keys->str);
}

static void set_trace(struct daemon_options *now)
{
	struct daemon_options *old = reload.running;

	g_strfreev(old->trace);
	old->trace = g_steal_pointer(&now->trace);
	runner_set_trace((const char *const *)old->trace);
	tcmu_info("%s: trace has changed", now->config_path);
}

static void set_handler_options(struct daemon_options *now)
{
	struct daemon_options *old = reload.running;

	g_strfreev(old->defaults);
	old->defaults = g_steal_pointer(&now->defaults);
	runner_set_defaults((const char *const *)old->defaults);
	tcmu_info("%s: options of handlers have changed, for what is opened from now on",
		  now->config_path);
}

static void apply(struct daemon_options *now)
{
	struct daemon_options *old = reload.running;

	say_later(now);
	for (size_t i = 0; i < daemon_numbers_count; i++) {
		const struct daemon_number *n = &daemon_numbers[i];
		int *to = daemon_number_in(n, old), from = *daemon_number_in(n, now);

		if (!n->live || *to == from)
			continue;
		tcmu_info("%s: %s is %d now, it was %d", now->config_path, n->key, from, *to);
		*to = from;
	}
	if (now->log_level != old->log_level)
		tcmu_info("%s: log_level has changed", now->config_path);
	old->log_level = now->log_level;
	tcmu_set_log_level(now->log_level);
	if (now->log_target != old->log_target) {
		daemon_log_choose(now->log_target);
		tcmu_info("%s: log_target has changed", now->config_path);
	}
	old->log_target = now->log_target;
	tcmu_set_log_rate((unsigned int)old->log_rate);
	if (lists_differ(now->trace, old->trace))
		set_trace(now);
	if (lists_differ(now->defaults, old->defaults))
		set_handler_options(now);
	runner_set_limits(&old->limits);
}

void daemon_reload_now(void)
{
	struct daemon_options now;
	int ret;

	if (!reload.running)
		return;
	ret = daemon_options_parse(&now, reload.argc, reload.argv, reload.running, say);
	if (!ret)
		apply(&now);
	daemon_options_free(&now);
}

static gboolean quiet(gpointer arg)
{
	(void)arg;
	reload.timer = 0;
	daemon_reload_now();
	return G_SOURCE_REMOVE;
}

static void changed(GFileMonitor *monitor, GFile *file, GFile *other, GFileMonitorEvent event,
		    gpointer arg)
{
	(void)monitor;
	(void)file;
	(void)other;
	(void)event;
	(void)arg;
	if (reload.timer)
		g_source_remove(reload.timer);
	reload.timer = g_timeout_add(QUIET_MSEC, quiet, NULL);
}

void daemon_reload_watch(struct daemon_options *running, int argc, char **argv)
{
	g_autoptr(GFile) file = g_file_new_for_path(running->config_path);
	g_autofree char *dir = g_path_get_dirname(running->config_path);

	reload.running = running;
	reload.argc = argc;
	reload.argv = argv;
	/* GLib would look every few seconds whether the directory has come: SIGHUP does for that. */
	if (!g_file_test(dir, G_FILE_TEST_IS_DIR))
		return;
	reload.monitor = g_file_monitor_file(file, G_FILE_MONITOR_WATCH_MOVES, NULL, NULL);
	if (reload.monitor)
		g_signal_connect(reload.monitor, "changed", G_CALLBACK(changed), NULL);
}

void daemon_reload_end(void)
{
	g_clear_object(&reload.monitor);
	if (reload.timer)
		g_source_remove(reload.timer);
	reload.timer = 0;
	reload.running = NULL;
}
