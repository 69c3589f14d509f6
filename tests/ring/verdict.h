/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fake kernel has against its user space. A real kernel answers such things with a broken
 * ring, a lockup, leaked or corrupted data; here each has a name, is counted and explained, and the
 * test decides. The numbers are stable: tests and messages use them. Those from 31 on are about
 * netlink and configfs, and the medium (model.h), not about the ring.
 */
#ifndef TESTS_RING_VERDICT_H
#define TESTS_RING_VERDICT_H

#include <pthread.h>
#include <stdio.h>

enum fake_verdict {
	FAKE_V_NONE = 0,
	FAKE_V_TAIL_BOUNDARY = 1,  /* cmd_tail is inside an entry */
	FAKE_V_TAIL_BEYOND = 2,    /* cmd_tail is beyond cmd_head */
	FAKE_V_TAIL_BACKWARDS = 3, /* cmd_tail moved back over entries */
	FAKE_V_LEN_OP = 4,         /* len_op of a slot was changed */
	FAKE_V_CMD_ID = 5,         /* a passed slot names no live command */
	FAKE_V_UNREAD = 6,         /* a command was answered that nobody has read */
	FAKE_V_UNANSWERED = 7,     /* user space is idle, a command has no answer */
	FAKE_V_NOT_DRAINED = 8,    /* nothing in flight, but PAD or TMR slots were not passed */
	FAKE_V_STALE_STORE = 9,    /* a store to a slot or block that is free */
	FAKE_V_MAILBOX = 10,       /* a store to the kernel's part of the mailbox */
	FAKE_V_OUTSIDE_IOV = 11,   /* a store behind the end of the command's buffer */
	FAKE_V_NOT_FILLED = 12,    /* GOOD data-in with bytes nobody wrote */
	FAKE_V_READ_LEN = 13,      /* READ_LEN without sense: 0, too long, not a read */
	FAKE_V_SENSE = 14,         /* CHECK CONDITION without sense data, or UNKNOWN_OP */
	FAKE_V_EARLY_ACK = 15,     /* answered before the work was done */
	FAKE_V_KEEP_BUF = 16,      /* kept buffer leaked, or freed although not kept */
	FAKE_V_DOORBELL = 17,      /* published, but nobody rang */
	FAKE_V_READ_AHEAD = 18,    /* an entry was read that cmd_head did not cover yet */
	FAKE_V_TMR = 19,           /* an aborted command is not answered, or twice */
	FAKE_V_RESET = 20,         /* reset_ring was not noticed, or an old id answered after it */
	FAKE_V_MANY_IOVS = 21,     /* a command of more than 1,024 iovecs went wrong */
	FAKE_V_OPCODE = 22,        /* an unknown opcode was not answered 05/20/00 */
	FAKE_V_RESTART = 23,       /* after a kill: answered again, lost, or out of order */
	FAKE_V_SWAP = 24,          /* 20b: with slot swapping the ring is not its own journal */
	FAKE_V_RING_END,           /* one more than the last that is about a ring */
	FAKE_V_REPLY_TYPE = 31,    /* a reply of the wrong type: the waiter is lost */
	FAKE_V_REPLY_LATE = 32,    /* a writer of configfs got no answer in time */
	FAKE_V_OPEN_AT_REFUSAL = 33, /* refused while still open or mapped */
	FAKE_V_LOST = 34,            /* what was promised to be durable is lost */
	FAKE_V_COUNT
};

struct fake_verdicts {
	pthread_mutex_t lock;
	unsigned int seen[FAKE_V_COUNT];
	char first[FAKE_V_COUNT][160]; /* the sentence of the first of each kind */
};

void fake_verdicts_init(struct fake_verdicts *v);
void fake_verdicts_destroy(struct fake_verdicts *v);
void fake_verdict(struct fake_verdicts *v, enum fake_verdict kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
unsigned int fake_verdict_count(struct fake_verdicts *v, enum fake_verdict kind);
/* All of them; prints a sentence for each kind to out unless that is NULL. */
unsigned int fake_verdicts_total(struct fake_verdicts *v, FILE *out);
/* Exactly this kind (or none at all with FAKE_V_NONE)? Prints what else there was. */
int fake_verdicts_only(struct fake_verdicts *v, enum fake_verdict kind);
void fake_verdicts_clear(struct fake_verdicts *v);
const char *fake_verdict_name(enum fake_verdict kind);
/* Its number, which is "20b" for FAKE_V_SWAP. In a buffer of the caller's. */
const char *fake_verdict_number(enum fake_verdict kind, char buf[8]);

#endif
