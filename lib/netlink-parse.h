/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of the generic netlink family TCM-USER (target_core_user.h): numbers, and what a datagram
 * of the group "config" says. Pure: bytes in, events out.
 */
#ifndef LIB_NETLINK_PARSE_H
#define LIB_NETLINK_PARSE_H

#include <linux/netlink.h>

#include "lib/kernel.h"

/* enum tcmu_genl_cmd: those of events are enum tcmu_event_type. The *_DONE of an event is its own
 * number and this. */
enum { TCMU_GENL_DONE_OFFSET = 3, TCMU_GENL_SET_FEATURES = 7 };

/* enum tcmu_genl_attr */
enum {
	TCMU_GENL_DEVICE = 1,
	TCMU_GENL_MINOR,
	TCMU_GENL_PAD,
	TCMU_GENL_DEV_CFG,
	TCMU_GENL_DEV_SIZE,
	TCMU_GENL_WRITECACHE,
	TCMU_GENL_CMD_STATUS,
	TCMU_GENL_DEVICE_ID,
	TCMU_GENL_SUPP_KERN_CMD_REPLY,
	TCMU_GENL_MAX = TCMU_GENL_SUPP_KERN_CMD_REPLY,
};

/* A datagram, of which len bytes at next are still to be looked at. */
struct tcmu_datagram {
	struct nlmsghdr *next; /* aligned as such */
	int len;
};

enum tcmu_message {
	TCMU_MESSAGE_NONE,   /* there are no more in this datagram */
	TCMU_MESSAGE_EVENT,  /* *ev is filled in */
	TCMU_MESSAGE_REFUSE, /* an event that cannot be read; its writer waits all the same */
};

/*
 * The next message of datagram that is an event of family. With TCMU_MESSAGE_REFUSE only type and
 * device_id of *ev are known: what a refusal needs. What is no event, or does not say whose, is skipped:
 * nobody could be answered.
 */
enum tcmu_message tcmu_datagram_next(struct tcmu_datagram *datagram, int family,
				     struct tcmu_event *ev);

#endif
