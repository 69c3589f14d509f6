/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CheckConfig. A handler may have to ask a server and may hang there: it is asked on a thread of its own, and no
 * more calls are taken than can hurt nobody.
 */
#include "dbus/form.h"
#include "dbus/service-int.h"

#include <stdlib.h>
#include <string.h>

#include "runner/control.h"

#define THREADS     4
#define UNDER_WAY   64
#define REASON_MAX  1024
#define NO_REASON   "unknown" /* as tcmu-runner 1.6 has it */
#define GOOD_REASON "success"

struct check {
	const struct runner_handler *entry;
	char *cfgstring;
	bool good;
	char *reason; /* malloc'ed, or NULL */
	void (*done)(bool good, const char *reason, void *arg);
	void *arg;
};

static GThreadPool *pool;
static unsigned int under_way;

bool check_enter(GDBusMethodInvocation *call)
{
	if (under_way == UNDER_WAY) {
		g_dbus_method_invocation_return_error(
			call, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED,
			"%d calls are under way: try again later", UNDER_WAY);
		return false;
	}
	under_way++;
	return true;
}

void check_leave(void)
{
	under_way--;
}

/* Main thread. */
static gboolean came_back(gpointer arg)
{
	struct check *check = arg;
	g_autofree char *said = g_utf8_make_valid(check->reason ? check->reason : "", -1);

	check->done(check->good, *said ? said : check->good ? GOOD_REASON : NO_REASON, check->arg);
	free(check->reason);
	g_free(check->cfgstring);
	g_free(check);
	return G_SOURCE_REMOVE;
}

static void ask(gpointer data, gpointer arg)
{
	struct check *check = data;

	(void)arg;
	check->good = check->entry->handler.check_config(check->cfgstring, &check->reason);
	if (check->reason && strlen(check->reason) > REASON_MAX)
		check->reason[REASON_MAX] = '\0';
	g_main_context_invoke(NULL, came_back, check);
}

void check_ask(const struct runner_handler *entry, const char *cfgstring,
	       void (*done)(bool good, const char *reason, void *arg), void *arg)
{
	char *own = runner_config_for_handler(cfgstring);
	struct check *check;

	if (!own) {
		done(false, "tcmur_cmd_time_out wants whole seconds", arg);
		return;
	}
	if (!entry->handler.check_config) {
		free(own);
		done(true, GOOD_REASON, arg);
		return;
	}
	if (!pool)
		pool = g_thread_pool_new(ask, NULL, THREADS, FALSE, NULL);
	check = g_new0(struct check, 1);
	check->entry = entry;
	check->cfgstring = own;
	check->done = done;
	check->arg = arg;
	g_thread_pool_push(pool, check, NULL);
}

static void answer(bool good, const char *reason, void *call)
{
	g_dbus_method_invocation_return_value(call, g_variant_new("(bs)", good, reason));
	check_leave();
}

gboolean check_here(TcmuService1 *object, GDBusMethodInvocation *call, const char *cfgstring,
		    void *arg)
{
	const struct runner_handler *entry = arg;
	const char *why = form_config(entry->handler.subtype, cfgstring);

	if (why)
		tcmu_service1_complete_check_config(object, call, FALSE, why);
	else if (check_enter(call))
		check_ask(entry, cfgstring, answer, call);
	return TRUE;
}

static gboolean too_late(gpointer arg)
{
	*(bool *)arg = true;
	return G_SOURCE_REMOVE;
}

bool check_wait(unsigned int sec)
{
	bool late = false;
	guint timer = g_timeout_add_seconds(sec, too_late, &late);

	while (under_way && !late)
		g_main_context_iteration(NULL, TRUE);
	if (!late)
		g_source_remove(timer);
	if (!under_way && pool) {
		g_thread_pool_free(pool, FALSE, TRUE);
		pool = NULL;
	}
	return !under_way;
}
