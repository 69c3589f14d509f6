/* SPDX-License-Identifier: Apache-2.0 */
/* A system bus of this test's own, with the policy that is installed, and a client as targetcli is one. */
#ifndef TESTS_DAEMON_BUS_H
#define TESTS_DAEMON_BUS_H

#include <gio/gio.h>

#include "crowd.h"

#define SERVICE "org.kernel.TCMUService1"
#define ROOT    "/org/kernel/TCMUService1"

/* A client of the bus. */
extern GDBusConnection *client;

/* cmocka: crowd_open() and crowd_close(), with a bus. */
int bus_open(void **state);
int bus_close(void **state);

/* The daemons of this test look for their bus in w's directory from now on; there is none yet. */
void bus_choose(struct world *world);
void bus_start(struct world *world);
void bus_stop(void);
/* A new connection, or NULL. */
GDBusConnection *bus_connect(struct world *world);

/* A call; NULL with *error set (which may be NULL). args: floating, taken; or NULL. */
GVariant *bus_call(GDBusConnection *c, const char *path, const char *interface, const char *method,
		   GVariant *args, GError **error);
/* Until somebody owns the name, or nobody; false after LONG_MS. */
bool bus_wait_name(GDBusConnection *c, const char *name, bool there);
/* Behind the file handler, where the handlers are sorted, if it is built. */
#ifdef TCMU_GLFS
#define GLFS "glfs "
#else
#define GLFS ""
#endif
/* What GetManagedObjects shows: "file " GLFS "null qcow", sorted. */
char *bus_handlers(GDBusConnection *c);
bool bus_wait_handlers(GDBusConnection *c, const char *expected);
/* The reason, with CheckConfig's verdict in *good. */
char *bus_check(GDBusConnection *c, const char *subtype, const char *cfgstring, bool *good);
/* ChangeMedium of the handler that begins cfgstring: the sentence, with its rc (-1: an error of the bus). */
char *bus_change(GDBusConnection *c, const char *name, guint64 size, const char *cfgstring,
		 int *rc);

#endif
