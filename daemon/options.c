/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/options.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/settings.h"

#define NOFILE_DEFAULT 1000000 /* one descriptor per LUN and one or more per backing */

static const char description[] =
	"The daemon runs in the foreground and answers the SCSI commands of all TCM-User storage\n"
	"objects whose config string begins with the subtype of one of its handlers.\n"
	"SIGTERM and SIGINT end it: commands in flight are finished first, devices stay, and the\n"
	"next daemon goes on where this one stopped. SIGUSR2 does the same and executes the "
	"program\n"
	"file anew, as the same process.";

/* What was given as a number, and is one, but not in its range. */
static bool check_numbers(struct daemon_options *opt)
{
	for (size_t i = 0; i < daemon_numbers_count; i++) {
		const struct daemon_number *n = &daemon_numbers[i];
		int value = *daemon_number_in(n, opt);
		g_autofree char *option = NULL;

		if (value >= n->min && value <= n->max)
			continue;
		option = g_strdelimit(g_strdup(n->key), "_", '-');
		fprintf(stderr, "tcmu-runner: --%s=%d: give %s\n", option, value, n->wants);
		return false;
	}
	return true;
}

static bool check_given(const char *option, const char *value, const char *wants)
{
	if (wants)
		fprintf(stderr, "tcmu-runner: --%s=%s: give %s\n", option, value, wants);
	return !wants;
}

/* The command line itself; strings are NULL and lists empty where it has none. */
struct given {
	gboolean version, debug, check;
	char *engine, *config_path, *log_dir, *log_target, *handler_path, *lock_path, *crash_path;
	char **foreign, **trace;
};

static void given_free(struct given *g)
{
	g_free(g->engine);
	g_free(g->config_path);
	g_free(g->log_dir);
	g_free(g->log_target);
	g_free(g->handler_path);
	g_free(g->lock_path);
	g_free(g->crash_path);
	g_strfreev(g->foreign);
	g_strfreev(g->trace);
}

/* Numbers go into *opt. 0 or -1. */
static int parse_line(struct daemon_options *opt, struct given *g, int argc, char **argv)
{
	const GOptionEntry entries[] = {
		{ "debug", 'd', 0, G_OPTION_ARG_NONE, &g->debug, "Say more", NULL },
		{ "config", 0, 0, G_OPTION_ARG_FILENAME, &g->config_path,
		  "Read PATH (default " TCMU_CONFIG_PATH ")", "PATH" },
		{ "check-config", 0, 0, G_OPTION_ARG_NONE, &g->check,
		  "Only say what is wrong with that file", NULL },
		{ "nofile", 'f', 0, G_OPTION_ARG_INT, &opt->nofile,
		  "Limit of open files (default 1000000)", "N" },
		{ "tcmu-log-dir", 'l', 0, G_OPTION_ARG_FILENAME, &g->log_dir,
		  "Write DIR/tcmu-runner.log too", "DIR" },
		{ "log-target", 0, 0, G_OPTION_ARG_STRING, &g->log_target,
		  "Where else: auto (default), stderr, journal, syslog or none", "WHERE" },
		{ "log-rate", 0, 0, G_OPTION_ARG_INT, &opt->log_rate,
		  "At most N messages of a level about one device within 10 s (default 20; 0: "
		  "all)",
		  "N" },
		{ "trace", 0, 0, G_OPTION_ARG_STRING_ARRAY, &g->trace,
		  "Tell of each command of this storage object; may be repeated", "NAME" },
		{ "version", 'V', 0, G_OPTION_ARG_NONE, &g->version, "Print the version", NULL },
		{ "handler-path", 0, 0, G_OPTION_ARG_FILENAME, &g->handler_path,
		  "Load handlers from DIR (default " TCMU_HANDLER_PATH ")", "DIR" },
		{ "foreign", 0, 0, G_OPTION_ARG_STRING_ARRAY, &g->foreign,
		  "Leave devices of this subtype to another daemon; may be repeated", "SUBTYPE" },
		{ "lock-file", 0, 0, G_OPTION_ARG_FILENAME, &g->lock_path,
		  "Only one daemon runs per PATH (default /run/tcmu.lock)", "PATH" },
		{ "crash-file", 0, 0, G_OPTION_ARG_FILENAME, &g->crash_path,
		  "Remember in PATH which device ended the daemon (default: the lock file's path "
		  "and "
		  "\".crashes\")",
		  "PATH" },
		{ "open-timeout", 0, 0, G_OPTION_ARG_INT, &opt->limits.open_sec,
		  "Refuse a storage object whose handler needs longer to open (default 60)",
		  "SEC" },
		{ "engine", 0, 0, G_OPTION_ARG_STRING, &g->engine,
		  "How handlers like 'file' do I/O: io_uring (default) or workers", "ENGINE" },
		{ "gather", 0, 0, G_OPTION_ARG_INT, &opt->limits.gather_usec,
		  "Wait so long at most for commands to gather (default 5000; 0: never)", "USEC" },
		{ "nice", 0, 0, G_OPTION_ARG_INT, &opt->limits.nice,
		  "Nice value of the threads that serve the LUNs (default 0)", "N" },
		{ "spin", 0, 0, G_OPTION_ARG_INT, &opt->limits.spin_usec,
		  "Look for the next command so long at most before sleeping (default 20; 0: "
		  "never)",
		  "USEC" },
		{ "stop-timeout", 0, 0, G_OPTION_ARG_INT, &opt->limits.stop_sec,
		  "Wait so long for commands in flight at the end (default 30)", "SEC" },
		{ 0 },
	};
	g_autoptr(GOptionContext) context = g_option_context_new("- SCSI targets in user space");
	g_autofree char **args = g_memdup2(argv, sizeof(*argv) * ((size_t)argc + 1));
	g_autoptr(GError) error = NULL;
	char **rest = args;

	g_option_context_add_main_entries(context, entries, NULL);
	g_option_context_set_description(context, description);
	if (!g_option_context_parse(context, &argc, &rest, &error)) {
		fprintf(stderr, "tcmu-runner: %s; see tcmu-runner --help\n", error->message);
		return -1;
	}
	if (argc > 1) {
		fprintf(stderr, "tcmu-runner: '%s' is not an option; see tcmu-runner --help\n",
			rest[1]);
		return -1;
	}
	return 0;
}

static void set_defaults(struct daemon_options *opt)
{
	*opt = (struct daemon_options) {
		.log_level = TCMU_LOG_INFO,
		.log_target = DAEMON_LOG_AUTO,
		.log_rate = 20,
		.nofile = NOFILE_DEFAULT,
		.handler_path = g_strdup(TCMU_HANDLER_PATH),
		.limits = { .open_sec = 60,
			    .close_sec = 5,
			    .stop_sec = 30,
			    .gather_usec = 5000,
			    .spin_usec = 20,
			    .nice = 0 },
	};
}

static void take(char **field, char **given)
{
	if (!*given)
		return;
	g_free(*field);
	*field = g_steal_pointer(given);
}

/* What the command line has beside numbers. */
static bool set_given(struct daemon_options *opt, struct given *g)
{
	if (g->engine && !check_given("engine", g->engine, daemon_set_engine(opt, g->engine)))
		return false;
	if (g->foreign) {
		g_autofree char *all = g_strjoinv(" --foreign=", g->foreign);

		if (!check_given("foreign", all, daemon_set_foreign(opt, g->foreign)))
			return false;
	}
	if (g->log_target &&
	    !check_given("log-target", g->log_target, daemon_set_log_target(opt, g->log_target)))
		return false;
	if (g->trace) {
		g_autofree char *all = g_strjoinv(" --trace=", g->trace);

		if (!check_given("trace", all, daemon_set_trace(opt, g->trace)))
			return false;
	}
	if (g->debug)
		opt->log_level = TCMU_LOG_DEBUG;
	take(&opt->log_dir, &g->log_dir);
	take(&opt->handler_path, &g->handler_path);
	take(&opt->lock_path, &g->lock_path);
	take(&opt->crash_path, &g->crash_path);
	if (!opt->lock_path)
		opt->lock_path = g_strdup("/run/tcmu.lock");
	if (!opt->crash_path)
		opt->crash_path = g_strconcat(opt->lock_path, ".crashes", NULL);
	opt->limits.blame_file = opt->crash_path;
	return true;
}

static int parse_all(struct daemon_options *opt, struct given *g, int argc, char **argv,
		     const struct daemon_options *running, void (*say)(const char *sentence))
{
	struct given again = { 0 };
	int ret;

	if (parse_line(opt, g, argc, argv))
		return -1;
	if (g->version) {
		/* Programs parse the last word as X.Y.Z. */
		printf("tcmu-runner " TCMU_VERSION "\n");
		return 1;
	}
	daemon_options_free(opt);
	set_defaults(opt);
	opt->config_path = g_strdup(g->config_path ? g->config_path : TCMU_CONFIG_PATH);
	ret = daemon_config_read(opt, running, opt->config_path, g->config_path, say);
	if (g->check)
		return ret ? -1 : 1;
	if (ret < 0 && running)
		return ret;
	/* Once more, now on top of the file. */
	ret = parse_line(opt, &again, argc, argv);
	given_free(&again);
	return ret || !check_numbers(opt) || !set_given(opt, g) ? -1 : 0;
}

int daemon_options_parse(struct daemon_options *opt, int argc, char **argv,
			 const struct daemon_options *running, void (*say)(const char *sentence))
{
	struct given g = { 0 };
	int ret;

	set_defaults(opt);
	ret = parse_all(opt, &g, argc, argv, running, say);
	given_free(&g);
	return ret;
}

void daemon_options_free(struct daemon_options *opt)
{
	g_free(opt->config_path);
	g_free(opt->log_dir);
	g_free(opt->handler_path);
	g_free(opt->lock_path);
	g_free(opt->crash_path);
	g_strfreev(opt->foreign);
	g_strfreev(opt->trace);
	g_strfreev(opt->defaults);
}
