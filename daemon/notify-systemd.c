/* SPDX-License-Identifier: Apache-2.0 */
/* The environment is left as it is: a program that follows in this process (daemon/upgrade.c) needs it too. */
#include "daemon/notify.h"

#include <glib.h>
#include <inttypes.h>
#include <stdbool.h>
#include <systemd/sd-daemon.h>

#include "daemon/status.h"
#include "runner/control.h"

#define QUIET_MSEC 200 /* many devices come at once */
/* Beside what the limits say: the log, the lock, threads that are joined. */
#define SPARE_SEC 10

static struct {
	const struct runner_limits *limits;
	char *status; /* as told last */
	guint ping;
	guint status_timer;
	bool ready;
} notify;

static gboolean ping(gpointer arg)
{
	(void)arg;
	sd_notify(0, "WATCHDOG=1");
	return G_SOURCE_CONTINUE;
}

void daemon_notify_begin(const struct runner_limits *limits)
{
	uint64_t usec;

	notify.limits = limits;
	if (sd_watchdog_enabled(0, &usec) <= 0)
		return;
	/* Here and now too: who was before us in this process may have done so long ago. */
	ping(NULL);
	notify.ping = g_timeout_add((guint)CLAMP(usec / 1000 / 3, 1, G_MAXINT), ping, NULL);
}

static gboolean tell_status(gpointer arg)
{
	g_autofree char *now = daemon_status();

	(void)arg;
	notify.status_timer = 0;
	if (g_strcmp0(now, notify.status)) {
		sd_notifyf(0, "STATUS=%s", now);
		g_free(notify.status);
		notify.status = g_steal_pointer(&now);
	}
	return G_SOURCE_REMOVE;
}

static void devices_changed(void)
{
	if (!notify.status_timer)
		notify.status_timer = g_timeout_add(QUIET_MSEC, tell_status, NULL);
}

void daemon_notify_ready(void)
{
	notify.ready = true;
	tell_status(NULL);
	sd_notify(0, "READY=1");
	runner_watch_devices(devices_changed);
}

void daemon_notify_reloading(void)
{
	if (notify.ready)
		sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, g_get_monotonic_time());
}

void daemon_notify_reloaded(void)
{
	if (notify.ready)
		sd_notify(0, "READY=1");
}

/* The last word: no status or reload after it. */
static void leave(const char *state, const char *status)
{
	unsigned int sec = notify.limits->stop_sec + notify.limits->close_sec + SPARE_SEC;

	runner_watch_devices(NULL);
	g_clear_handle_id(&notify.status_timer, g_source_remove);
	notify.ready = false;
	sd_notifyf(0, "%s\nMONOTONIC_USEC=%" PRId64 "\nEXTEND_TIMEOUT_USEC=%" PRIu64 "\nSTATUS=%s",
		   state, g_get_monotonic_time(), (uint64_t)sec * G_USEC_PER_SEC, status);
}

void daemon_notify_upgrading(void)
{
	leave("RELOADING=1", "Finishing what is in flight, for another program");
}

void daemon_notify_stopping(void)
{
	leave("STOPPING=1", "Finishing what is in flight");
}

void daemon_notify_end(void)
{
	runner_watch_devices(NULL);
	g_clear_handle_id(&notify.ping, g_source_remove);
	g_clear_handle_id(&notify.status_timer, g_source_remove);
	g_clear_pointer(&notify.status, g_free);
}
