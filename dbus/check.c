/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CheckConfig. A handler may have to ask a server and may hang there: it is asked on a thread of its own, and no
 * more calls are taken than can hurt nobody.
 */
#include "dbus/service-int.h"

#include <stdlib.h>
#include <string.h>

#define THREADS     4
#define UNDER_WAY   64
#define CONFIG_MAX  255 /* bytes, drivers/target/target_core_user.c: TCMU_CONFIG_LEN */
#define REASON_MAX  1024
#define NO_REASON   "unknown" /* as tcmu-runner 1.6 has it */
#define GOOD_REASON "success"

struct check {
	GDBusMethodInvocation *call;
	const struct runner_handler *entry;
	char *cfgstring;
	bool succeeded;
	char *reason; /* malloc'ed, or NULL */
};

static GThreadPool *pool;
static unsigned int under_way;

const char *check_form(const char *subtype, const char *cfgstring)
{
	static char why[160];
	size_t len = strlen(cfgstring), prefix = strlen(subtype);

	if (len > CONFIG_MAX)
		g_snprintf(why, sizeof(why), "the config string has %zu bytes, the kernel takes %d",
			   len, CONFIG_MAX);
	else if (strncmp(cfgstring, subtype, prefix) || cfgstring[prefix] != '/')
		g_snprintf(why, sizeof(why), "a config string for '%s' begins with '%s/'", subtype,
			   subtype);
	else
		return NULL;
	return why;
}

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
static gboolean answer(gpointer arg)
{
	struct check *check = arg;
	g_autofree char *said = g_utf8_make_valid(check->reason ? check->reason : "", -1);
	const char *reason = *said ? said : check->succeeded ? GOOD_REASON : NO_REASON;

	g_dbus_method_invocation_return_value(check->call,
					      g_variant_new("(bs)", check->succeeded, reason));
	free(check->reason);
	g_free(check->cfgstring);
	g_free(check);
	check_leave();
	return G_SOURCE_REMOVE;
}

static void ask(gpointer data, gpointer arg)
{
	struct check *check = data;

	(void)arg;
	check->succeeded = check->entry->handler.check_config(check->cfgstring, &check->reason);
	if (check->reason && strlen(check->reason) > REASON_MAX)
		check->reason[REASON_MAX] = '\0';
	g_main_context_invoke(NULL, answer, check);
}

gboolean check_here(TcmuService1 *object, GDBusMethodInvocation *call, const char *cfgstring,
		    void *arg)
{
	const struct runner_handler *entry = arg;
	const char *why = check_form(entry->handler.subtype, cfgstring);
	struct check *check;

	if (why || !entry->handler.check_config) {
		tcmu_service1_complete_check_config(object, call, !why, why ? why : GOOD_REASON);
		return TRUE;
	}
	if (!check_enter(call))
		return TRUE;
	if (!pool)
		pool = g_thread_pool_new(ask, NULL, THREADS, FALSE, NULL);
	check = g_new0(struct check, 1);
	check->call = call;
	check->entry = entry;
	check->cfgstring = g_strdup(cfgstring);
	g_thread_pool_push(pool, check, NULL);
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
