/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/options.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>

#define NOFILE_DEFAULT 1000000 /* one descriptor per LUN and one or more per backing */

static const char description[] =
	"The daemon runs in the foreground and answers the SCSI commands of all TCM-User storage\n"
	"objects whose config string begins with the subtype of one of its handlers.\n"
	"SIGTERM and SIGINT end it: commands in flight are finished first, devices stay, and the\n"
	"next daemon goes on where this one stopped. SIGUSR2 does the same and executes the "
	"program\n"
	"file anew, as the same process.";

static bool check(struct daemon_options *opt)
{
	if (opt->nofile < 64) {
		fprintf(stderr, "tcmu-runner: --nofile=%d is too few: give at least 64\n",
			opt->nofile);
		return false;
	}
	if ((int)opt->limits.open_sec < 1 || (int)opt->limits.stop_sec < 1) {
		fprintf(stderr, "tcmu-runner: a time-out is given in whole seconds, from 1\n");
		return false;
	}
	if ((int)opt->limits.gather_usec < 0 || opt->limits.gather_usec > 1000000) {
		fprintf(stderr, "tcmu-runner: --gather=%d: give microseconds, from 0 to 1000000\n",
			(int)opt->limits.gather_usec);
		return false;
	}
	if ((int)opt->limits.spin_usec < 0 || opt->limits.spin_usec > 1000) {
		fprintf(stderr, "tcmu-runner: --spin=%d: give microseconds, from 0 to 1000\n",
			(int)opt->limits.spin_usec);
		return false;
	}
	if (opt->limits.nice < -20 || opt->limits.nice > 19) {
		fprintf(stderr, "tcmu-runner: --nice=%d: give a nice value, from -20 to 19\n",
			opt->limits.nice);
		return false;
	}
	for (char **subtype = opt->foreign; subtype && *subtype; subtype++) {
		if (!**subtype || strchr(*subtype, '/')) {
			fprintf(stderr,
				"tcmu-runner: --foreign=%s: a subtype is what a config string has "
				"before its first '/'\n",
				*subtype);
			return false;
		}
	}
	return true;
}

static bool set_engine(struct daemon_options *opt, const char *engine)
{
	static const char *const names[] = {
		[RUNNER_ENGINE_URING] = "io_uring",
		[RUNNER_ENGINE_WORKERS] = "workers",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		if (!engine || !strcmp(engine, names[i])) {
			opt->limits.engine = (enum runner_engine)i;
			return true;
		}
	}
	fprintf(stderr, "tcmu-runner: --engine=%s: there are io_uring and workers\n", engine);
	return false;
}

int daemon_options_parse(struct daemon_options *opt, int argc, char **argv)
{
	gboolean version = FALSE, debug = FALSE;
	g_autofree char *engine = NULL;
	const GOptionEntry entries[] = {
		{ "debug", 'd', 0, G_OPTION_ARG_NONE, &debug, "Say more", NULL },
		{ "nofile", 'f', 0, G_OPTION_ARG_INT, &opt->nofile,
		  "Limit of open files (default 1000000)", "N" },
		{ "tcmu-log-dir", 'l', 0, G_OPTION_ARG_FILENAME, &opt->log_dir,
		  "Write DIR/tcmu-runner.log too", "DIR" },
		{ "version", 'V', 0, G_OPTION_ARG_NONE, &version, "Print the version", NULL },
		{ "handler-path", 0, 0, G_OPTION_ARG_FILENAME, &opt->handler_path,
		  "Load handlers from DIR (default " TCMU_HANDLER_PATH ")", "DIR" },
		{ "foreign", 0, 0, G_OPTION_ARG_STRING_ARRAY, &opt->foreign,
		  "Leave devices of this subtype to another daemon; may be repeated", "SUBTYPE" },
		{ "lock-file", 0, 0, G_OPTION_ARG_FILENAME, &opt->lock_path,
		  "Only one daemon runs per PATH (default /run/tcmu.lock)", "PATH" },
		{ "crash-file", 0, 0, G_OPTION_ARG_FILENAME, &opt->crash_path,
		  "Remember in PATH which device ended the daemon (default: the lock file's path "
		  "and "
		  "\".crashes\")",
		  "PATH" },
		{ "open-timeout", 0, 0, G_OPTION_ARG_INT, &opt->limits.open_sec,
		  "Refuse a storage object whose handler needs longer to open (default 60)",
		  "SEC" },
		{ "engine", 0, 0, G_OPTION_ARG_STRING, &engine,
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
	g_autoptr(GError) error = NULL;

	*opt = (struct daemon_options) {
		.nofile = NOFILE_DEFAULT,
		.limits = { .open_sec = 60,
			    .close_sec = 5,
			    .stop_sec = 30,
			    .gather_usec = 5000,
			    .spin_usec = 20,
			    .nice = 0 },
	};
	g_option_context_add_main_entries(context, entries, NULL);
	g_option_context_set_description(context, description);
	if (!g_option_context_parse(context, &argc, &argv, &error)) {
		fprintf(stderr, "tcmu-runner: %s; see tcmu-runner --help\n", error->message);
		return -1;
	}
	if (argc > 1) {
		fprintf(stderr, "tcmu-runner: '%s' is not an option; see tcmu-runner --help\n",
			argv[1]);
		return -1;
	}
	if (version) {
		/* Programs parse the last word as X.Y.Z. */
		printf("tcmu-runner " TCMU_VERSION "\n");
		return 1;
	}
	if (!check(opt) || !set_engine(opt, engine))
		return -1;
	opt->debug = debug;
	if (!opt->handler_path)
		opt->handler_path = g_strdup(TCMU_HANDLER_PATH);
	if (!opt->lock_path)
		opt->lock_path = g_strdup("/run/tcmu.lock");
	if (!opt->crash_path)
		opt->crash_path = g_strconcat(opt->lock_path, ".crashes", NULL);
	opt->limits.blame_file = opt->crash_path;
	return 0;
}

void daemon_options_free(struct daemon_options *opt)
{
	g_free(opt->log_dir);
	g_free(opt->handler_path);
	g_free(opt->lock_path);
	g_free(opt->crash_path);
	g_strfreev(opt->foreign);
}
