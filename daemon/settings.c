/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/settings.h"

#include <string.h>

#include "libtcmu.h"

#define AT(field) offsetof(struct daemon_options, field)

const struct daemon_number daemon_numbers[] = {
	{ "nofile", AT(nofile), 64, INT_MAX, "a number of files, from 64", false },
	{ "log_rate", AT(log_rate), 0, 1000000, "a number of messages, from 0 to 1000000", true },
	{ "open_timeout", AT(limits.open_sec), 1, 86400, "whole seconds, from 1 to 86400", true },
	{ "stop_timeout", AT(limits.stop_sec), 1, 86400, "whole seconds, from 1 to 86400", true },
	{ "gather", AT(limits.gather_usec), 0, 1000000, "microseconds, from 0 to 1000000", false },
	{ "spin", AT(limits.spin_usec), 0, 1000, "microseconds, from 0 to 1000", false },
	{ "nice", AT(limits.nice), -20, 19, "a nice value, from -20 to 19", false },
};

const size_t daemon_numbers_count = G_N_ELEMENTS(daemon_numbers);

const char *daemon_set_number(const struct daemon_number *n, struct daemon_options *opt,
			      const char *value)
{
	gint64 number;

	/* GLib lets white space that is not ASCII's idea of it through in front. */
	if ((!g_ascii_isdigit(*value) && *value != '-' && *value != '+') ||
	    !g_ascii_string_to_signed(value, 10, n->min, n->max, &number, NULL))
		return n->wants;
	*daemon_number_in(n, opt) = (int)number;
	return NULL;
}

const char *daemon_set_engine(struct daemon_options *opt, const char *value)
{
	static const char *const names[] = {
		[RUNNER_ENGINE_URING] = "io_uring",
		[RUNNER_ENGINE_WORKERS] = "workers",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		if (!strcmp(value, names[i])) {
			opt->limits.engine = (enum runner_engine)i;
			return NULL;
		}
	}
	return "io_uring or workers";
}

const char *daemon_set_log_level(struct daemon_options *opt, const char *value)
{
	/* The numbers are those of tcmu-runner 1.6, from "critical" to "each command". */
	static const struct {
		const char *name, *number, *also;
		enum tcmu_log_level level;
	} levels[] = {
		{ "error", "1", "0", TCMU_LOG_ERROR },
		{ "warning", "2", "2", TCMU_LOG_WARN },
		{ "info", "3", "3", TCMU_LOG_INFO },
		{ "debug", "4", "5", TCMU_LOG_DEBUG },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(levels); i++) {
		if (!strcmp(value, levels[i].name) || !strcmp(value, levels[i].number) ||
		    !strcmp(value, levels[i].also)) {
			opt->log_level = levels[i].level;
			return NULL;
		}
	}
	return "error, warning, info or debug, or a number from 0 to 5";
}

const char *daemon_set_log_target(struct daemon_options *opt, const char *value)
{
	static const char *const names[] = {
		[DAEMON_LOG_AUTO] = "auto",       [DAEMON_LOG_STDERR] = "stderr",
		[DAEMON_LOG_JOURNAL] = "journal", [DAEMON_LOG_SYSLOG] = "syslog",
		[DAEMON_LOG_NONE] = "none",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		if (!strcmp(value, names[i])) {
			opt->log_target = (enum daemon_log_target)i;
			return NULL;
		}
	}
	return "auto, stderr, journal, syslog or none";
}

const char *daemon_set_trace(struct daemon_options *opt, char **names)
{
	for (char **name = names; *name; name++) {
		if (!**name || **name == '/')
			return "names of storage objects, as disk0 or user_0/disk0";
	}
	g_strfreev(opt->trace);
	opt->trace = g_strdupv(names);
	return NULL;
}

const char *daemon_set_foreign(struct daemon_options *opt, char **subtypes)
{
	for (char **subtype = subtypes; *subtype; subtype++) {
		if (!**subtype || strchr(*subtype, '/'))
			return "subtypes, what a config string has before its first '/'";
	}
	g_strfreev(opt->foreign);
	opt->foreign = g_strdupv(subtypes);
	return NULL;
}
