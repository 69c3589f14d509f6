/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the service manager is told, by the protocol of sd_notify(3). Where none listens ($NOTIFY_SOCKET is not
 * set), and in a build without libsystemd, nothing is done. Main thread.
 */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include "runner/manager.h"

/* From now on, as long as GLib's default main context is served, the watchdog ($WATCHDOG_USEC) hears of us.
 * limits: how long a stop may take, also after they have changed; used until daemon_notify_end(). */
void daemon_notify_begin(const struct runner_limits *limits);
/* Storage objects can be created and are served. After that the number of devices is kept up to date. */
void daemon_notify_ready(void);
/* Round a change of the configuration, which is told of once we are ready. */
void daemon_notify_reloading(void);
void daemon_notify_reloaded(void);
/* A new program is about to take the place of this one, in this process, and will be ready. */
void daemon_notify_upgrading(void);
/* The end has begun, and takes no longer than limits allow. */
void daemon_notify_stopping(void);
void daemon_notify_end(void);

#endif
