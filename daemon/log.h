/* SPDX-License-Identifier: Apache-2.0 */
/* Where messages go: readable lines on stderr, and in a file if there is a log directory. */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include "libtcmu.h"

/* dir may be NULL. 0 or -errno (said on stderr). */
int daemon_log_open(const char *dir, enum tcmu_log_level level);
/* For SIGHUP, after logrotate has moved the file away. */
void daemon_log_reopen(void);
void daemon_log_close(void);

#endif
