/* SPDX-License-Identifier: Apache-2.0 */
/* A build without libsystemd. */
#include "daemon/journal.h"

bool daemon_journal_has_stderr(void)
{
	return false;
}

bool daemon_journal_send(const struct tcmu_log_record *record, int priority, const char *line)
{
	(void)record;
	(void)priority;
	(void)line;
	return false;
}
