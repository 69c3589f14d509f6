/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's and syslog's sockets, for this process and its children alone. */
#ifndef TESTS_DAEMON_LOGS_H
#define TESTS_DAEMON_LOGS_H

#include <stdbool.h>

/* Call it first, with one thread. False: this process may not have a mount namespace, or a directory lacks. */
bool logs_mount(void);
/* Both sockets, fresh and empty. */
void logs_open(void);
void logs_close(void);
/* The next message that has this text in it, without what comes before, in a static buffer; NULL: none in time. In a
 * journal's message each field is a line. */
const char *logs_journal(const char *text, int timeout_ms);
const char *logs_syslog(const char *text, int timeout_ms);

#endif
