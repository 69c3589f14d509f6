/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-native: how fast the daemon is by itself. The runner's main loop on the main thread, its devices
 * over the fake kernel of tests/ring, and a thread that measures.
 */
#include <dlfcn.h>
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "counters.h"
#include "daemon/log.h"
#include "libtcmu.h"
#include "lun.h"
#include "options.h"
#include "profile.h"
#include "runner/load.h"
#include "runner/registry.h"
#include "tasks.h"

#define POS_OFF 76 /* lib/ring.h: struct tcmu_ring_scratch */

struct bench {
	struct bench_options opt;
	struct fake_kernel *k;
	struct fake_dev **devs;
	struct bench_lun **luns;
	struct bench_counters *counters; /* NULL: counters.so is not preloaded */
	GMainLoop *loop;
	bool failed;
};

static struct bench b;

/* What is counted, so far; afterwards the difference. */
struct figures {
	int64_t usec;
	uint64_t doorbells, switches;
};

static struct figures look(void)
{
	struct figures f = { .switches = tasks_named(getpid(), "tcmu-device").switches };

	for (int i = 0; i < b.opt.luns; i++)
		f.doorbells += bench_lun_doorbells(b.luns[i]);
	f.usec = g_get_monotonic_time();
	return f;
}

static int create_lun(int i)
{
	g_autofree char *number = g_strdup_printf("%d", i);
	g_autofree char *name = g_strdup_printf("lun%d", i);
	g_auto(GStrv) parts = g_strsplit(b.opt.config, "%d", -1);
	g_autofree char *config = g_strjoinv(number, parts);
	struct fake_dev_cfg cfg = {
		.name = name,
		.config = config,
		.size = (uint64_t)b.opt.size,
		.ring = FAKE_RING_CFG_DEFAULT,
	};
	int ret;

	cfg.ring.data_blocks = (uint32_t)b.opt.depth *
			       (((uint32_t)b.opt.bs + FAKE_PAGE - 1) / FAKE_PAGE);
	cfg.ring.pos_off = POS_OFF;
	cfg.ring.quick = true;
	ret = fake_dev_create(b.k, &cfg, &b.devs[i]);
	if (ret)
		fprintf(stderr, "bench-native: a LUN with the config string %s: %s\n", config,
			strerror(-ret));
	else
		b.luns[i] = bench_lun_new(fake_dev_ring(b.devs[i]), &b.opt, (unsigned int)i);
	return ret;
}

/* So many commands for each LUN, all of them at the same time. */
static int run(int64_t commands)
{
	int ret = 0;

	for (int i = 0; i < b.opt.luns && commands; i++)
		bench_lun_start(b.luns[i], commands);
	for (int i = 0; i < b.opt.luns && commands && !ret; i++)
		ret = bench_lun_wait(b.luns[i]);
	return ret;
}

static int compare(const void *p, const void *q)
{
	uint32_t x = *(const uint32_t *)p, y = *(const uint32_t *)q;

	return (x > y) - (x < y);
}

static void print_latencies(uint64_t commands)
{
	static const struct {
		const char *name;
		double part;
	} percentiles[] = { { "p50", 0.5 }, { "p99", 0.99 }, { "p99.9", 0.999 } };
	g_autofree uint32_t *all = g_new(uint32_t, commands);
	uint32_t *end = all;

	for (int i = 0; i < b.opt.luns; i++)
		end = bench_lun_latencies(b.luns[i], end);
	qsort(all, commands, sizeof(*all), compare);
	for (size_t i = 0; i < G_N_ELEMENTS(percentiles); i++) {
		uint64_t at = (uint64_t)((double)commands * percentiles[i].part);

		printf(", \"latency_%s_us\": %.1f", percentiles[i].name, all[at] / 1000.0);
	}
}

static void print(const struct figures *before, const struct figures *after)
{
	uint64_t commands = (uint64_t)b.opt.commands * (uint64_t)b.opt.luns;
	double n = (double)commands;
	g_autofree char *config = g_strescape(b.opt.config, NULL);

	printf("{\"config\": \"%s\", \"rw\": \"%s\", \"bs\": %d, \"depth\": %d, \"luns\": %d, "
	       "\"engine\": \"%s\", \"gather\": %u, \"spin\": %u, \"commands\": %" PRIu64,
	       config, b.opt.rw_name ? b.opt.rw_name : "randread", b.opt.bs, b.opt.depth,
	       b.opt.luns, b.opt.limits.engine == RUNNER_ENGINE_URING ? "io_uring" : "workers",
	       b.opt.limits.gather_usec, b.opt.limits.spin_usec, commands);
	printf(", \"per_second\": %.0f", n * 1e6 / (double)(after->usec - before->usec));
	print_latencies(commands);
	printf(", \"doorbells\": %.4f, \"switches\": %.4f",
	       (double)(after->doorbells - before->doorbells) / n,
	       (double)(after->switches - before->switches) / n);
	if (b.counters)
		printf(", \"threads\": %lu, \"heap\": %lu, \"locks\": %lu, \"wakes\": %lu, "
		       "\"waits\": %lu",
		       b.counters->threads, b.counters->heap, b.counters->locks, b.counters->wakes,
		       b.counters->waits);
	printf("}\n");
}

static int measure(void)
{
	struct figures before, after;
	int ret;

	for (int i = 0; i < b.opt.luns; i++)
		if (create_lun(i))
			return -1;
	if (run(b.opt.warm_up))
		return -1;
	before = look();
	if (b.counters)
		b.counters->on = true;
	bench_profile(true);
	ret = run(b.opt.commands);
	bench_profile(false);
	if (b.counters)
		b.counters->on = false;
	after = look();
	if (!ret)
		print(&before, &after);
	return ret;
}

static void stopped(unsigned int hung)
{
	b.failed |= hung != 0;
	g_main_loop_quit(b.loop);
}

static gboolean stop(gpointer arg)
{
	(void)arg;
	runner_stop(stopped);
	return G_SOURCE_REMOVE;
}

static void *measuring(void *arg)
{
	(void)arg;
	b.failed = measure() != 0;
	g_idle_add(stop, NULL);
	return NULL;
}

static int serve(void)
{
	GThread *thread;
	int ret = runner_load_dir(b.opt.handler_path);

	if (ret <= 0) {
		fprintf(stderr,
			"bench-native: no usable handler_*.so in %s: give another --handler-path\n",
			b.opt.handler_path);
		return -1;
	}
	ret = runner_start(&b.opt.limits, NULL);
	if (ret) {
		fprintf(stderr, "bench-native: the runner does not start: %s\n", strerror(-ret));
		return -1;
	}
	b.loop = g_main_loop_new(NULL, FALSE);
	thread = g_thread_new("measuring", measuring, NULL);
	g_main_loop_run(b.loop);
	g_thread_join(thread);
	g_main_loop_unref(b.loop);
	return b.failed ? -1 : 0;
}

int main(int argc, char **argv)
{
	struct bench_counters *(*counters)(void);
	int ret = bench_options_parse(&b.opt, argc, argv);

	if (!ret) {
		*(void **)&counters = dlsym(RTLD_DEFAULT, "bench_counters");
		b.counters = counters ? counters() : NULL;
		daemon_log_open(NULL, DAEMON_LOG_STDERR, TCMU_LOG_INFO, 0);
		tcmu_set_log_level(TCMU_LOG_WARN);
		b.devs = g_new0(struct fake_dev *, b.opt.luns);
		b.luns = g_new0(struct bench_lun *, b.opt.luns);
		b.k = fake_kernel_new();
		ret = serve() ? 1 : 0;
		if (fake_verdicts_total(fake_kernel_verdicts(b.k), stderr))
			ret = 1;
		fake_kernel_free(b.k);
		for (int i = 0; i < b.opt.luns; i++)
			if (b.luns[i])
				bench_lun_free(b.luns[i]);
		g_free(b.devs);
		g_free(b.luns);
		runner_registry_free();
		daemon_log_close();
	} else {
		ret = ret > 0 ? 0 : 2;
	}
	bench_options_free(&b.opt);
	return ret;
}
