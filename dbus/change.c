/* SPDX-License-Identifier: Apache-2.0 */
/* ChangeMedium: the handler is asked about the new config string as by CheckConfig, then the runner does it. */
#include "dbus/form.h"
#include "dbus/service-int.h"

#include <errno.h>

#include "runner/control.h"

struct change {
	GDBusMethodInvocation *call;
	const struct runner_handler *entry;
	char *name, *cfgstring;
	uint64_t size;
};

static void answer(int err, const char *message, void *arg)
{
	struct change *change = arg;
	g_autofree char *valid = g_utf8_make_valid(message, -1);

	g_dbus_method_invocation_return_value(change->call,
					      g_variant_new("(is)", err < 0 ? -err : err, valid));
	g_free(change->name);
	g_free(change->cfgstring);
	g_free(change);
	check_leave();
}

static void checked(bool good, const char *reason, void *arg)
{
	struct change *change = arg;

	if (good)
		runner_change_medium(change->entry->handler.subtype, change->name, change->size,
				     change->cfgstring, answer, change);
	else
		answer(-EINVAL, reason, change);
}

gboolean change_here(TcmuService1 *object, GDBusMethodInvocation *call, const char *name,
		     guint64 size, const char *cfgstring, void *arg)
{
	const struct runner_handler *entry = arg;
	const char *why = form_name(name);
	struct change *change;

	if (!why)
		why = form_config(entry->handler.subtype, cfgstring);
	if (why) {
		tcmu_service1_complete_change_medium(object, call, EINVAL, why);
		return TRUE;
	}
	if (!check_enter(call))
		return TRUE;
	change = g_new0(struct change, 1);
	change->call = call;
	change->entry = entry;
	change->name = g_strdup(name);
	change->cfgstring = g_strdup(cfgstring);
	change->size = size;
	check_ask(entry, cfgstring, checked, change);
	return TRUE;
}
