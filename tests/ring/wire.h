/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes over the SOCK_SEQPACKET socket between a program that is linked with kernel-fake.c and
 * the fake kernel of a test: one request and one reply at a time on each connection; a connection
 * that joined the event group carries only struct fake_wire_event afterwards. Descriptors go with
 * SCM_RIGHTS. Both ends are built together, so the layout is nobody else's business.
 */
#ifndef TESTS_RING_WIRE_H
#define TESTS_RING_WIRE_H

#include <stdint.h>

#include "lib/kernel.h"

#define FAKE_KERNEL_ENV "TCMU_FAKE_KERNEL"
#define FAKE_ATTR_MAX   4096
#define FAKE_PATH_MAX   512

enum fake_op {
	FAKE_OP_JOIN = 1,
	FAKE_OP_LEAVE, /* the process, on all connections */
	FAKE_OP_SET_REPLY,
	FAKE_OP_REPLY,
	FAKE_OP_SCAN,
	FAKE_OP_STUCK,
	FAKE_OP_RELEASE,
	FAKE_OP_OPEN,
	FAKE_OP_MAP,
	FAKE_OP_ATTR_READ,
	FAKE_OP_ATTR_WRITE,
	FAKE_OP_TARGET_READ,
	FAKE_OP_TARGET_LINK,
	FAKE_OP_TARGET_LIST,
};

struct fake_wire_req {
	uint32_t op;
	uint32_t minor; /* OPEN, MAP; SCAN: the first one to tell */
	uint32_t type;  /* REPLY: enum tcmu_event_type */
	uint32_t device_id;
	int32_t status; /* REPLY; SET_REPLY: on or off */
	char path[FAKE_PATH_MAX];
	char val[FAKE_ATTR_MAX];
};

struct fake_wire_reply {
	int64_t ret;
	uint64_t len; /* MAP: of the mapping */
	char val[FAKE_ATTR_MAX];
};

struct fake_wire_event {
	uint32_t overflow; /* the receive buffer overflowed: events were lost */
	struct tcmu_event ev;
};

#endif
