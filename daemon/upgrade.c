/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/upgrade.h"

#include <errno.h>
#include <glib.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "libtcmu.h"

static char program[PATH_MAX];
static char **arguments;
static void (*when_ready)(void); /* while the new program is looked at */
static bool due;

/* "/usr/bin/tcmu-runner (deleted)": replaced before we looked. */
#define DELETED " (deleted)"

void daemon_upgrade_init(char **argv)
{
	ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);

	program[len > 0 ? len : 0] = '\0';
	if (g_str_has_suffix(program, DELETED))
		program[strlen(program) - strlen(DELETED)] = '\0';
	arguments = g_strdupv(argv); /* parsing the options moves them about */
}

static void looked_at(GPid pid, gint status, gpointer arg)
{
	g_autoptr(GError) error = NULL;
	void (*ready)(void) = when_ready;

	(void)arg;
	g_spawn_close_pid(pid);
	when_ready = NULL;
	if (g_spawn_check_wait_status(status, &error)) {
		due = true;
		ready();
	} else {
		tcmu_err("not upgraded: %s --version: %s; this process goes on", program,
			 error->message);
	}
}

void daemon_upgrade_try(void (*ready)(void))
{
	char *argv[] = { program, (char *)(guintptr) "--version", NULL };
	g_autoptr(GError) error = NULL;
	GPid pid;

	if (when_ready || due)
		return;
	if (!g_spawn_async("/", argv, NULL,
			   G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL |
				   G_SPAWN_STDERR_TO_DEV_NULL,
			   NULL, NULL, &pid, &error)) {
		tcmu_err("not upgraded: %s; this process goes on", error->message);
		return;
	}
	when_ready = ready;
	g_child_watch_add(pid, looked_at, NULL);
}

int daemon_upgrade_due(void)
{
	return due;
}

void daemon_upgrade_exec(void)
{
	/* Until the new program has its handlers a signal would end it. */
	signal(SIGUSR2, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	/* Storage libraries have descriptors that are not marked so themselves. */
	close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	execv(program, arguments);
	tcmu_err("cannot execute %s: %s; start it anew", program, strerror(errno));
}
