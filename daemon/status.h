/* SPDX-License-Identifier: Apache-2.0 */
/* One line about what is served. */
#ifndef DAEMON_STATUS_H
#define DAEMON_STATUS_H

/* "2 handlers (file, null), 3 devices"; g_free() it. Main thread. */
char *daemon_status(void);

#endif
