/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share. Main thread. */
#ifndef DBUS_SERVICE_INT_H
#define DBUS_SERVICE_INT_H

#include <gio/gio.h>
#include <org.kernel.TCMUService1.h>
#include <stdbool.h>

#include "runner/registry.h"

#define SERVICE_NAME "org.kernel.TCMUService1"
#define SERVICE_PATH "/org/kernel/TCMUService1"
#define MANAGER_NAME SERVICE_NAME ".HandlerManager1"
#define MANAGER_PATH SERVICE_PATH "/HandlerManager1"

/* ---- dbus/objects.c: what the ObjectManager shows ---- */

/* What a handler's object is asked; arg is objects_add()'s. Each answers the call, then or later. */
struct object_ops {
	gboolean (*check)(TcmuService1 *object, GDBusMethodInvocation *call, const char *cfgstring,
			  void *arg);
	gboolean (*change)(TcmuService1 *object, GDBusMethodInvocation *call, const char *name,
			   guint64 size, const char *cfgstring, void *arg);
};

/* Tells of a handler there, under its subtype. */
void objects_add(const char *subtype, const char *config_desc, const struct object_ops *ops,
		 void *arg);
void objects_remove(const char *subtype);
/* On this connection, which is new; NULL: on none. */
void objects_export(GDBusConnection *connection);
void objects_free(void);

/* ---- dbus/check.c: CheckConfig ---- */

/* May one more be under way? Otherwise it is refused. Ends with check_leave(). */
bool check_enter(GDBusMethodInvocation *call);
void check_leave(void);
/* Answers the call: asks a handler of this process, on another thread. */
gboolean check_here(TcmuService1 *object, GDBusMethodInvocation *call, const char *cfgstring,
		    void *entry);
/* Is the config string usable? Asks the handler, on another thread, if it can be asked. done() on the main thread,
 * maybe within the call. */
void check_ask(const struct runner_handler *entry, const char *cfgstring,
	       void (*done)(bool good, const char *reason, void *arg), void *arg);
/* False: some are still under way after so many seconds. */
bool check_wait(unsigned int sec);

/* ---- dbus/change.c: ChangeMedium ---- */

gboolean change_here(TcmuService1 *object, GDBusMethodInvocation *call, const char *name,
		     guint64 size, const char *cfgstring, void *entry);

/* ---- dbus/admin.c: org.kernel.TCMURunner1 ---- */

void admin_export(GDBusConnection *connection);
/* The connection is gone, or is about to be. */
void admin_drop(void);

/* ---- dbus/external.c: handlers of other processes ---- */

void external_export(GDBusConnection *connection);
/* The connection is gone, or is about to be. */
void external_drop(void);

#endif
