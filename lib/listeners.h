/* SPDX-License-Identifier: Apache-2.0 */
/* Who else receives the kernel's TCM-User events: another daemon, which may own what we do not. */
#ifndef LIB_LISTENERS_H
#define LIB_LISTENERS_H

#include <stdint.h>

/*
 * Is another generic netlink socket of this network namespace, not the one with own_port, a member of
 * group? Asks the kernel by sock_diag(7), waiting 5 s at most. 1: yes, and *port is that of one of them
 * (most programs' is their pid, or has it in its lower 22 bits); 0: no; or -errno (ENOENT: a kernel
 * without CONFIG_NETLINK_DIAG).
 */
int tcmu_listeners_find(unsigned int group, uint32_t own_port, uint32_t *port);

#endif
