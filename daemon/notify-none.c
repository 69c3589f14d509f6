/* SPDX-License-Identifier: Apache-2.0 */
/* A build without libsystemd: nobody is told. */
#include "daemon/notify.h"

void daemon_notify_begin(const struct runner_limits *limits)
{
	(void)limits;
}

void daemon_notify_ready(void)
{
}

void daemon_notify_reloading(void)
{
}

void daemon_notify_reloaded(void)
{
}

void daemon_notify_upgrading(void)
{
}

void daemon_notify_stopping(void)
{
}

void daemon_notify_end(void)
{
}
