/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to the system bus that comes back: when there is no bus, or it ends, it is tried again, after a
 * second and then less often, at least once a minute. Never ends the process, as GLib's shared connection
 * would. All of it, callbacks too, on the thread of the GLib main context that was the default at sysbus_new().
 */
#ifndef UTIL_SYSBUS_H
#define UTIL_SYSBUS_H

#include <gio/gio.h>

struct sysbus;

struct sysbus_ops {
	/* There is a connection: export objects, own names. */
	void (*connected)(GDBusConnection *connection, void *arg);
	/* It has ended, and with it all that was exported or owned. */
	void (*lost)(void *arg);
	/* There is none; for the first time, and the first time after each that there was. */
	void (*unreachable)(const char *why, void *arg);
};

/* Begins to connect; ops stay the caller's. */
struct sysbus *sysbus_new(const struct sysbus_ops *ops, void *arg);
/* Ends the connection, without a call of lost(). NULL: nothing. */
void sysbus_free(struct sysbus *bus);

#endif
