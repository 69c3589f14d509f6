/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/status.h"

#include <glib.h>

#include "runner/manager.h"
#include "runner/registry.h"

char *daemon_status(void)
{
	g_autoptr(GString) names = g_string_new(NULL);
	size_t handlers = runner_registry_count();
	unsigned int devices = runner_device_count();

	for (size_t i = 0; i < handlers; i++)
		g_string_append_printf(names, "%s%s", i ? ", " : "",
				       runner_registry_at(i)->handler.subtype);
	return g_strdup_printf("%zu handler%s (%s), %u device%s", handlers,
			       handlers == 1 ? "" : "s", names->str, devices,
			       devices == 1 ? "" : "s");
}
