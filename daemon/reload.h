/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file while the daemon runs: read again when it has changed, and on SIGHUP. Main thread. */
#ifndef DAEMON_RELOAD_H
#define DAEMON_RELOAD_H

#include "daemon/options.h"

/* running: what is in force; changed when the file is. argv as main() got it, not changed. */
void daemon_reload_watch(struct daemon_options *running, int argc, char **argv);
void daemon_reload_now(void);
void daemon_reload_end(void);

#endif
