/* SPDX-License-Identifier: Apache-2.0 */
/* systemd's journal, where messages have fields: systemd.journal-fields(7). */
#ifndef DAEMON_JOURNAL_H
#define DAEMON_JOURNAL_H

#include <stdbool.h>

#include "libtcmu.h"

/* Is stderr a stream into the journal? */
bool daemon_journal_has_stderr(void);
/* line: the message as people are to see it; priority: of syslog(3). False: the journal cannot be reached. Any
 * thread. */
bool daemon_journal_send(const struct tcmu_log_record *record, int priority, const char *line);

#endif
