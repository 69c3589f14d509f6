/* SPDX-License-Identifier: Apache-2.0 */
/* Only one daemon runs per lock file. */
#ifndef DAEMON_LOCK_H
#define DAEMON_LOCK_H

/* 0; or -errno after an error message (-EBUSY: another one holds it). Until daemon_unlock(), or the process
 * is ended, by whatever. */
int daemon_lock(const char *path);
void daemon_unlock(void);

#endif
