/* SPDX-License-Identifier: Apache-2.0 */
/* Where messages go: to stderr, the journal or syslog, and into a file if there is a log directory. */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include "libtcmu.h"

enum daemon_log_target {
	DAEMON_LOG_AUTO,   /* the journal if stderr leads there, stderr else */
	DAEMON_LOG_STDERR, /* readable lines */
	DAEMON_LOG_JOURNAL,
	DAEMON_LOG_SYSLOG,
	DAEMON_LOG_NONE, /* the file alone */
};

/* dir may be NULL; rate as of tcmu_set_log_rate(). 0 or -errno (said on stderr). */
int daemon_log_open(const char *dir, enum daemon_log_target target, enum tcmu_log_level level,
		    int rate);
/* From now on. Any time between open and close, main thread. */
void daemon_log_choose(enum daemon_log_target target);
/* For SIGHUP, after logrotate has moved the file away. */
void daemon_log_reopen(void);
void daemon_log_close(void);

#endif
