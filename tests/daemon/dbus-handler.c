/* SPDX-License-Identifier: Apache-2.0 */
/* A program on libtcmu with handlers of its own, the subtypes of its arguments, which it shows on the bus. */
#include <gio/gio.h>
#include <glib-unix.h>
#include <stdio.h>
#include <string.h>

#include "libtcmu.h"

static bool check_config(const char *cfgstring, char **reason)
{
	if (strstr(cfgstring, "good"))
		return true;
	*reason = strdup("it is not good");
	return false;
}

static int added(struct tcmu_device *dev)
{
	printf("added %s\n", tcmu_dev_get_cfgstring(dev));
	fflush(stdout);
	return 0;
}

static void removed(struct tcmu_device *dev)
{
	(void)dev;
}

static gboolean ready(gint fd, GIOCondition condition, gpointer ctx)
{
	(void)fd;
	(void)condition;
	return tcmulib_master_fd_ready(ctx) >= 0;
}

static gboolean quit(gpointer loop)
{
	g_main_loop_quit(loop);
	return G_SOURCE_REMOVE;
}

int main(int argc, char **argv)
{
	struct tcmulib_handler handlers[8] = { { 0 } };
	GMainLoop *loop = g_main_loop_new(NULL, FALSE);
	struct tcmulib_context *ctx;
	size_t n = 0;

	for (; (int)n + 1 < argc && n < G_N_ELEMENTS(handlers); n++)
		handlers[n] = (struct tcmulib_handler) {
			.name = argv[n + 1],
			.subtype = argv[n + 1],
			.cfg_desc = "anything that is good",
			.check_config = check_config,
			.added = added,
			.removed = removed,
		};
	ctx = tcmulib_initialize(handlers, n);
	if (!ctx)
		return 1;
	tcmulib_register(ctx);
	tcmulib_register(ctx); /* once is enough */
	g_unix_fd_add(tcmulib_get_master_fd(ctx), G_IO_IN, ready, ctx);
	g_unix_signal_add(SIGTERM, quit, loop);
	g_main_loop_run(loop);
	tcmulib_close(ctx);
	g_main_loop_unref(loop);
	return 0;
}
