/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>

#define BLOCK     512
#define MAX_LUNS  1000
#define MAX_DEPTH 4096
#define MAX_BS    (4 << 20)

static const char summary[] =
	"Runs the daemon's own code in this process, over a kernel of the tests, and sends it\n"
	"commands. CONFIG is what would be the config string of the storage object, null/ or\n"
	"file//PATH; a %d in it is the number of the LUN, from 0. What is written goes to the\n"
	"storage. Prints one line of JSON.";

static int mistake(const char *text)
{
	fprintf(stderr, "bench-native: %s; see bench-native --help\n", text);
	return -1;
}

static int check_number(const char *name, int64_t value, int64_t min, int64_t max)
{
	g_autofree char *text = NULL;

	if (value >= min && value <= max)
		return 0;
	text = g_strdup_printf("--%s=%lld: give a number from %lld to %lld", name, (long long)value,
			       (long long)min, (long long)max);
	return mistake(text);
}

static int check_blocks(const char *name, int64_t value)
{
	g_autofree char *text = g_strdup_printf("--%s=%lld: give a multiple of %d, the block size",
						name, (long long)value, BLOCK);

	return value % BLOCK ? mistake(text) : 0;
}

static int choose(const char *name, const char *value, const char *const names[], int *chosen)
{
	g_autofree char *list = g_strjoinv(", ", (char **)(uintptr_t)names);
	g_autofree char *text = g_strdup_printf("--%s=%s: there are %s", name, value, list);

	for (int i = 0; names[i]; i++) {
		if (value && strcmp(value, names[i]))
			continue;
		*chosen = i;
		return 0;
	}
	return mistake(text);
}

static int check_names(struct bench_options *opt)
{
	static const char *const rws[] = { "randread", "randwrite", "read", "write", NULL };
	static const char *const engines[] = { "workers", "io_uring", NULL };
	int rw = 0, engine = 0;

	if (choose("rw", opt->rw_name, rws, &rw) ||
	    choose("engine", opt->engine_name, engines, &engine))
		return -1;
	opt->rw = (enum bench_rw)rw;
	opt->limits.engine = engine ? RUNNER_ENGINE_URING : RUNNER_ENGINE_WORKERS;
	return 0;
}

static int check(struct bench_options *opt)
{
	if (check_number("luns", opt->luns, 1, MAX_LUNS) ||
	    check_number("depth", opt->depth, 1, MAX_DEPTH) ||
	    check_number("bs", opt->bs, BLOCK, MAX_BS) ||
	    check_number("commands", opt->commands, 1, 1000000000) ||
	    check_number("warm-up", opt->warm_up, 0, 1000000000) ||
	    check_number("gather", (int)opt->limits.gather_usec, 0, 1000000) ||
	    check_number("spin", (int)opt->limits.spin_usec, 0, 1000) ||
	    check_number("size", opt->size, opt->bs, INT64_C(1) << 50))
		return -1;
	if (check_blocks("bs", opt->bs) || check_blocks("size", opt->size))
		return -1;
	if (opt->luns > 1 && g_str_has_prefix(opt->config, "file/") && !strstr(opt->config, "%d"))
		return mistake("each LUN needs a file of its own: put %d into its name");
	return check_names(opt);
}

int bench_options_parse(struct bench_options *opt, int argc, char **argv)
{
	gboolean bursts = FALSE;
	const GOptionEntry entries[] = {
		{ "luns", 0, 0, G_OPTION_ARG_INT, &opt->luns, "Logical units (default 1)", "N" },
		{ "depth", 0, 0, G_OPTION_ARG_INT, &opt->depth,
		  "Commands in flight on each (default 1)", "N" },
		{ "bs", 0, 0, G_OPTION_ARG_INT, &opt->bs, "Bytes of a command (default 4096)",
		  "BYTES" },
		{ "rw", 0, 0, G_OPTION_ARG_STRING, &opt->rw_name,
		  "randread (default), randwrite, read or write", "WHAT" },
		{ "commands", 0, 0, G_OPTION_ARG_INT64, &opt->commands,
		  "So many for each LUN are measured (default 100000)", "N" },
		{ "warm-up", 0, 0, G_OPTION_ARG_INT64, &opt->warm_up,
		  "So many before are not (default 1000)", "N" },
		{ "bursts", 0, 0, G_OPTION_ARG_NONE, &bursts,
		  "Send the next commands together, when all are answered", NULL },
		{ "size", 0, 0, G_OPTION_ARG_INT64, &opt->size, "Bytes of a LUN (default 67108864)",
		  "BYTES" },
		{ "engine", 0, 0, G_OPTION_ARG_STRING, &opt->engine_name,
		  "workers (default) or io_uring", "ENGINE" },
		{ "spin", 0, 0, G_OPTION_ARG_INT, &opt->limits.spin_usec,
		  "As the daemon's (default 0: never)", "USEC" },
		{ "gather", 0, 0, G_OPTION_ARG_INT, &opt->limits.gather_usec,
		  "As the daemon's (default 5000; 0: never)", "USEC" },
		{ "handler-path", 0, 0, G_OPTION_ARG_FILENAME, &opt->handler_path,
		  "Load handlers from DIR (default: those of this build)", "DIR" },
		{ 0 },
	};
	g_autoptr(GOptionContext) context = g_option_context_new("CONFIG");
	g_autoptr(GError) error = NULL;

	*opt = (struct bench_options) {
		.luns = 1,
		.depth = 1,
		.bs = 4096,
		.size = 64 << 20,
		.commands = 100000,
		.warm_up = 1000,
		.limits = { .open_sec = 60, .close_sec = 5, .stop_sec = 30, .gather_usec = 5000 },
	};
	g_option_context_add_main_entries(context, entries, NULL);
	g_option_context_set_summary(context, summary);
	if (!g_option_context_parse(context, &argc, &argv, &error))
		return mistake(error->message);
	if (argc != 2)
		return mistake(argc < 2 ? "it wants a CONFIG" : "it wants one CONFIG only");
	opt->bursts = bursts;
	opt->config = g_strdup(argv[1]);
	if (!opt->handler_path)
		opt->handler_path = g_strdup(TCMU_HANDLERS);
	return check(opt);
}

void bench_options_free(struct bench_options *opt)
{
	g_free(opt->config);
	g_free(opt->handler_path);
	g_free(opt->engine_name);
	g_free(opt->rw_name);
}
