/* SPDX-License-Identifier: Apache-2.0 */
/* A new program in the place of this one, with the same process number and arguments (SIGUSR2). */
#ifndef DAEMON_UPGRADE_H
#define DAEMON_UPGRADE_H

/* Remembers where this program came from: later another one may lie there. argv: as main() got it. */
void daemon_upgrade_init(char **argv);

/* Runs the program that lies there now with --version, and calls ready() on the main loop if that ends with
 * 0; otherwise says why not, and nothing has happened. A second call while the first one is at it has no
 * effect. Main thread; does not block. */
void daemon_upgrade_try(void (*ready)(void));

/* Is it under way, from ready() on? */
int daemon_upgrade_due(void);

/* With nothing left to lose: no device, no thread that works. Comes back only if it has failed, which it
 * has said. */
void daemon_upgrade_exec(void);

#endif
