/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/defaults.h"

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "runner/cfgstring.h"
#include "runner/control.h"
#include "runner/registry.h"

static char **defaults;

void runner_set_defaults(const char *const *all)
{
	g_strfreev(defaults);
	defaults = g_strdupv((char **)(uintptr_t)all);
	for (char **one = defaults; one && *one; one++) {
		g_autofree char *subtype = g_strndup(*one, strcspn(*one, ";"));

		if (!runner_registry_find(subtype))
			tcmu_warn("there are options for the handler '%s', which is not here",
				  subtype);
	}
}

/* The options for this config string's subtype, "OPTION;OPTION"; NULL: there are none. */
static const char *options_for(const char *cfgstring)
{
	size_t len = strcspn(cfgstring, "/");

	for (char **one = defaults; one && *one; one++) {
		if (!strncmp(*one, cfgstring, len) && (*one)[len] == ';')
			return *one + len + 1;
	}
	return NULL;
}

/* Has it an option with the name of this one, "NAME" or "NAME=VALUE"? */
static bool has_option(const char *cfgstring, const char *option)
{
	size_t len = strcspn(option, "=");

	while ((cfgstring = strchr(cfgstring, ';'))) {
		cfgstring++;
		if (strcspn(cfgstring, "=;") == len && !strncmp(cfgstring, option, len))
			return true;
	}
	return false;
}

int runner_config_make(struct runner_config *config, const char *cfgstring)
{
	g_autofree char *own = g_strdup(cfgstring);
	g_autoptr(GString) all = g_string_new(cfgstring);
	const char *options = options_for(cfgstring);
	g_auto(GStrv) each = g_strsplit(options ? options : "", ";", -1);
	int seconds;

	for (char **option = each; *option; option++) {
		if (**option && !has_option(cfgstring, *option))
			g_string_append_printf(all, ";%s", *option);
	}
	seconds = runner_cfg_take_time_out(all->str);
	if (seconds < 0 || runner_cfg_take_time_out(own) < 0)
		return -EINVAL;
	*config = (struct runner_config) {
		.cfgstring = strdup(all->str),
		.own_len = strlen(own),
		.time_out_sec = (unsigned int)seconds,
	};
	return config->cfgstring ? 0 : -ENOMEM;
}
