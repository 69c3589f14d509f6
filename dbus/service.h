/* SPDX-License-Identifier: Apache-2.0 */
/*
 * org.kernel.TCMUService1 on the system bus: the handlers, for targetcli and its like. Without a bus, or when it
 * restarts, the daemon goes on, and joins it as soon as it is there. Main thread, GLib's default main context.
 */
#ifndef DBUS_SERVICE_H
#define DBUS_SERVICE_H

#include <stdbool.h>

/* With all handlers in the registry. settled(): once, from the main loop, when the name is ours or will not be
 * for now, after 2 seconds at the latest. */
void dbus_service_start(void (*settled)(void));
/* No call is answered any more. False: a handler's check_config() does not come back, so the handlers cannot be
 * unloaded; it was waited for up to sec seconds. */
bool dbus_service_stop(unsigned int sec);

#endif
