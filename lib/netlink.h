/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generic netlink family TCM-USER (target_core_user.c, target_core_user.h). One thread.
 *
 * Two sockets: one is a member of the group "config" and only receives; the other sends and gets the
 * acknowledgements. So an acknowledgement never waits behind a storm of events, and no event is
 * mistaken for one.
 */
#ifndef LIB_NETLINK_H
#define LIB_NETLINK_H

#include "lib/kernel.h"

struct tcmu_netlink;

/* NULL with errno: ENOENT: no such family (the module is not loaded); EPERM. */
struct tcmu_netlink *tcmu_netlink_open(void);
void tcmu_netlink_close(struct tcmu_netlink *nl);

/* See struct tcmu_kernel_ops.leave. */
void tcmu_netlink_leave(struct tcmu_netlink *nl);

/* Readable when there may be an event. */
int tcmu_netlink_fd(const struct tcmu_netlink *nl);

/* See struct tcmu_kernel_ops. What is not an event of the kernel is skipped; one that is malformed is
 * refused here. */
int tcmu_netlink_next_event(struct tcmu_netlink *nl, struct tcmu_event *ev);

/* 0 or the kernel's -errno; its answer is there as soon as the message is sent. */
int tcmu_netlink_set_reply(struct tcmu_netlink *nl, bool on);
int tcmu_netlink_reply(struct tcmu_netlink *nl, enum tcmu_event_type type, uint32_t device_id,
		       int status);

/* See struct tcmu_kernel_ops.other_listener. */
int tcmu_netlink_other(const struct tcmu_netlink *nl, uint32_t *port);

#endif
