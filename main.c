/* SPDX-License-Identifier: Apache-2.0 */
/* tcmu-runner: the order of start and stop, signals, the main loop; nothing else. */
#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/lock.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/options.h"
#include "daemon/reload.h"
#include "daemon/status.h"
#include "daemon/system.h"
#include "daemon/upgrade.h"
#include "dbus/service.h"
#include "libtcmu.h"
#include "runner/control.h"
#include "runner/load.h"
#include "runner/manager.h"
#include "runner/registry.h"

static GMainLoop *loop;
static unsigned int hung_devices;
static bool started, stopping, told_to_end;

static void stopped(unsigned int hung)
{
	hung_devices = hung;
	g_main_loop_quit(loop);
}

static void stop(void)
{
	if (!stopping && started) {
		tcmu_info("stopping: finishing what is in flight");
		runner_stop(stopped);
	} else if (!stopping) {
		g_main_loop_quit(loop);
	}
	stopping = true;
}

static void stop_for_upgrade(void)
{
	if (!stopping) {
		daemon_notify_upgrading();
		runner_set_successor(true);
	}
	stop();
}

static gboolean on_stop_signal(gpointer arg)
{
	(void)arg;
	if (!told_to_end)
		daemon_notify_stopping();
	told_to_end = true;
	runner_set_successor(false);
	stop();
	return G_SOURCE_CONTINUE;
}

static gboolean on_upgrade_signal(gpointer arg)
{
	(void)arg;
	if (!stopping)
		daemon_upgrade_try(stop_for_upgrade);
	return G_SOURCE_CONTINUE;
}

static gboolean on_hangup(gpointer arg)
{
	(void)arg;
	daemon_notify_reloading();
	daemon_log_reopen();
	daemon_reload_now();
	daemon_notify_reloaded();
	return G_SOURCE_CONTINUE;
}

static int load_handlers(const char *dir)
{
	int n = runner_load_dir(dir);

	if (n < 0)
		tcmu_err("cannot read the handler directory %s: %s; give another --handler-path",
			 dir, strerror(-n));
	else if (!n)
		tcmu_err("no usable handler_*.so in %s; give another --handler-path", dir);
	return n > 0 ? 0 : -ENOENT;
}

static void say_ready(void)
{
	g_autofree char *status = daemon_status();

	tcmu_info("ready: %s", status);
	daemon_notify_ready();
}

static void settled(void)
{
	g_main_loop_quit(loop);
}

/* Clients of the bus are answered from now on, before any storage is opened, which may take its time. */
static void join_bus(void)
{
	dbus_service_start(settled);
	g_main_loop_run(loop);
}

static int run(const struct daemon_options *opt)
{
	int ret;

	join_bus();
	if (stopping)
		return EXIT_SUCCESS;
	runner_set_trace((const char *const *)opt->trace);
	runner_set_defaults((const char *const *)opt->defaults);
	ret = runner_start(&opt->limits, (const char *const *)opt->foreign);
	if (ret) {
		tcmu_err("cannot connect to the kernel's TCM-User: %s%s", strerror(-ret),
			 ret == -ENOENT  ? "; load target_core_user (modprobe target_core_user)"
			 : ret == -EPERM ? "; run as root (CAP_NET_ADMIN)"
					 : "");
		return EXIT_FAILURE;
	}
	started = true;
	say_ready();
	g_main_loop_run(loop);
	if (hung_devices) {
		tcmu_err("stopped with %u devices hung", hung_devices);
		/* With threads inside handlers: nothing can be taken down under them. One that is
		 * stuck in the kernel does not keep our lock (daemon/lock.c). */
		_exit(EXIT_FAILURE);
	}
	tcmu_info("stopped");
	return EXIT_SUCCESS;
}

static int serve(const struct daemon_options *opt)
{
	int status;

	if (load_handlers(opt->handler_path))
		return EXIT_FAILURE;
	status = run(opt);
	if (!dbus_service_stop(opt->limits.close_sec)) {
		tcmu_err("a handler has not come back from checking a config string");
		_exit(EXIT_FAILURE);
	}
	return status;
}

/* There is no log yet. */
static void say_early(const char *sentence)
{
	fprintf(stderr, "tcmu-runner: error: %s\n", sentence);
}

int main(int argc, char **argv)
{
	struct daemon_options opt;
	int ret, status = EXIT_FAILURE;

	daemon_upgrade_init(argv);
	ret = daemon_options_parse(&opt, argc, argv, NULL, say_early);
	if (ret) {
		daemon_options_free(&opt);
		return ret > 0 ? EXIT_SUCCESS : 2;
	}
	if (!daemon_log_open(opt.log_dir, opt.log_target, opt.log_level, opt.log_rate)) {
		daemon_no_huge_pages();
		if (!daemon_lock(opt.lock_path)) {
			signal(SIGPIPE, SIG_IGN);
			signal(SIGUSR1, SIG_IGN); /* whoever sends it does not want our end */
			loop = g_main_loop_new(NULL, FALSE);
			g_unix_signal_add(SIGTERM, on_stop_signal, NULL);
			g_unix_signal_add(SIGINT, on_stop_signal, NULL);
			g_unix_signal_add(SIGHUP, on_hangup, NULL);
			g_unix_signal_add(SIGUSR2, on_upgrade_signal, NULL);
			daemon_notify_begin(&opt.limits);
			daemon_limit_nofile(opt.nofile);
			daemon_io_flusher();
			daemon_load_module();
			daemon_reload_watch(&opt, argc, argv);
			status = serve(&opt);
			daemon_reload_end();
			daemon_notify_end();
			runner_registry_free();
			g_main_loop_unref(loop);
			daemon_unlock();
			if (!status && daemon_upgrade_due() && !told_to_end) {
				daemon_upgrade_exec();
				status = EXIT_FAILURE;
			}
		}
	}
	daemon_log_close();
	daemon_options_free(&opt);
	return status;
}
