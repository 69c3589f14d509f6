/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side of one TCM-User ring, over a memfd: behaves as target_core_user.c does, and
 * watches its user space much more closely than that one (verdict.h).
 *
 * Unlike the kernel, memory that is free is poisoned at once and checked when it is used again, a
 * data-in buffer is filled with a pattern before the command is queued, and the memfd ends behind
 * the highest block ever used, so that touching what was never allocated is a SIGBUS, as there.
 * Behind the data area the mapping has one page more, which belongs to no command: the buffer of the
 * decoys (fake-decoy.c).
 *
 * Any thread may call anything; done() runs on the thread that processed the completion, without
 * any lock of the ring held.
 */
#ifndef TESTS_RING_FAKE_RING_H
#define TESTS_RING_FAKE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fake-map.h"
#include "verdict.h"

#define FAKE_POISON     0xdb
#define FAKE_CANARY     0xc5
#define FAKE_CDB_MAX    260
#define FAKE_SENSE_SIZE 96
#define FAKE_DECOY_ID   0xffff /* no command has it */
#define FAKE_MANY_IOVS  1024   /* IOV_MAX: more are easily done wrong, verdict 21 */

enum fake_dir { FAKE_NONE, FAKE_OUT, FAKE_IN }; /* OUT: from the initiator to the device */

/* What the note of a user space that swaps slots says about the answer under way; see
 * fake_ring_check_swap(). */
struct fake_intent {
	enum { FAKE_INTENT_NONE, FAKE_INTENT_COPY, FAKE_INTENT_ANSWER } stage;
	uint16_t id;    /* the command that is being answered */
	uint32_t to;    /* ring offset of the slot at the tail, where the answer goes */
	uint32_t spare; /* of the slot that takes the request which stood there */
};

struct fake_ring_cfg {
	uint32_t ring_bytes; /* mailbox included; a multiple of 8. 0: 1 MiB */
	uint32_t pages_per_blk;
	uint32_t data_blocks;
	uint16_t flags;     /* of the mailbox; 0: all four features */
	int qfull_time_out; /* 0: TASK SET FULL at once when the ring is full; else wait */
	uint32_t pos_off; /* where in the mailbox user space keeps its read position, 0: nowhere */
	bool lenient_in;  /* do not ask that data-in buffers be filled (verdict 12) */
	/* One of so many entries is a decoy until cmd_head covers it (verdict 18). 0: 16 */
	uint32_t decoys;
	bool no_decoys;
	/* For measuring: as quick as the kernel. No decoys, poison, patterns and canaries, so no
	 * verdicts 9, 11, 12 and 18; the others stand. */
	bool quick;
	/* User space keeps the requests it has not answered in the slots from tail to pos
	 * (verdict 20b), and its note about the answer under way, if it has one, is read by this.
	 * Needs pos_off. */
	bool swap;
	bool may_lose; /* a request may be gone but for its id, with neither CDB nor iovecs */
	void (*read_intent)(const void *mailbox, struct fake_intent *intent);
	/* The opcodes that user space supports; others must be refused (verdict 22). NULL: any
	 * answer will do. */
	bool (*known_opcode)(uint8_t opcode);
};
#define FAKE_RING_CFG_DEFAULT                                                                      \
	{                                                                                          \
		.pages_per_blk = 1, .data_blocks = 1024, .qfull_time_out = -1                      \
	}

/* One SCSI command of the initiator. The caller's until submit, and again from done() on. */
struct fake_cmd {
	uint8_t cdb[FAKE_CDB_MAX];
	enum fake_dir dir;
	void *data; /* OUT: sent; IN: filled */
	size_t len;
	void *bidi_in; /* OUT commands only: an additional data-in buffer */
	size_t bidi_len;
	/* Asked when a command of more than FAKE_MANY_IOVS iovecs ended GOOD: was all of the data
	 * transferred, and right (verdict 21)? NULL: only what the ring can see counts. With the
	 * ring's lock held. */
	bool (*right)(const struct fake_cmd *cmd);
	/* The direction is not the one of the opcode. An entry does not say which one it is, so user
	 * space cannot do right: no verdicts 12 and 13. */
	bool odd;

	uint8_t status;
	uint8_t sense[FAKE_SENSE_SIZE]; /* of CHECK CONDITION */
	size_t residual;                /* of data-in: bytes at the end that were not transferred */
	bool expired; /* answered by the kernel, because user space took too long */
	bool kept;    /* answered with KEEP_BUF: it may still be at its buffer, and the medium */

	void (*done)(struct fake_cmd *cmd);
	void *arg;

	struct fake_req *req; /* the ring's, both */
	struct fake_cmd *next;
};

struct fake_ring_stats {
	uint64_t cmds, pads, tmrs, completions, doorbells, empty_doorbells, qfull, events;
	uint64_t in_flight, max_in_flight; /* on the ring, expired and kept ones too */
	uint64_t unanswered;               /* submitted, and the initiator waits */
	bool drained;                      /* tail == head */
};

struct fake_ring;

/* NULL with errno. */
struct fake_ring *fake_ring_new(const struct fake_ring_cfg *cfg, struct fake_verdicts *v);
/* Answers what is left with 02/08/00. */
void fake_ring_free(struct fake_ring *r);
/* As new, with the same configuration and mapping; what is left is answered as fake_ring_free() does. */
void fake_ring_recycle(struct fake_ring *r);

int fake_ring_memfd(struct fake_ring *r); /* for fake_map(), with the length */
size_t fake_ring_map_len(struct fake_ring *r);
void *fake_ring_base(struct fake_ring *r); /* the fake's own mapping */

/* uio_event_notify(): new entries were published. Called with the ring's lock held. */
void fake_ring_on_event(struct fake_ring *r, void (*notify)(void *arg), void *arg);
/* Called for each answer, before it counts: false is verdict 15. With the ring's lock held. */
void fake_ring_on_ack(struct fake_ring *r,
		      bool (*done_really)(const struct fake_cmd *cmd, uint8_t status, void *arg),
		      void *arg);

void fake_ring_submit(struct fake_ring *r, struct fake_cmd *cmd);
/* As LIO's plugging does: entries are published, the event comes with unplug. */
void fake_ring_plug(struct fake_ring *r, bool on);
/* Entries are queued, but cmd_head stays (on), and decoys stand in their slots; all become visible with
 * off. The kernel never does that for long; it shows who reads beyond cmd_head. */
void fake_ring_hold_head(struct fake_ring *r, bool on);

/* The doorbell (n of them that were not looked at), and what reclaim does without one. Both process
 * what is published. */
void fake_ring_doorbell(struct fake_ring *r, unsigned int n);
void fake_ring_reclaim(struct fake_ring *r);
/* Is something published that was not processed yet? */
bool fake_ring_published(struct fake_ring *r);

/* A task management function that aborts these commands: a TMR entry with their ids. Those still
 * waiting for the ring are answered TASK ABORTED at once, the others when user space is done. */
void fake_ring_tmr(struct fake_ring *r, uint8_t type, struct fake_cmd **cmds, size_t n);
/* cmd_time_out ran out for this command (on the ring) or qfull_time_out (not on the ring). */
void fake_ring_expire(struct fake_ring *r, struct fake_cmd *cmd);
void fake_ring_reset(struct fake_ring *r, int level); /* action/reset_ring: 1 BUSY, 2 hard */
void fake_ring_block(struct fake_ring *r, bool on);   /* action/block_dev */
bool fake_ring_is_blocked(struct fake_ring *r);
/* The process that served the ring is gone and another one takes over: what it answers that was
 * answered before is verdict 23. */
void fake_ring_restarted(struct fake_ring *r);
/* Every second free block is taken (on), so that no two blocks of a command are neighbours and each
 * has an iovec of its own; as if kept buffers lay there. off gives them back. */
void fake_ring_fragment(struct fake_ring *r, bool on);
int fake_ring_free_kept(struct fake_ring *r, uint32_t id); /* action/free_kept_buf */
void fake_ring_closed(struct fake_ring *r);                /* the last close of the descriptor */
bool fake_ring_is_broken(struct fake_ring *r);
uint16_t fake_ring_cmd_id(struct fake_ring *r, struct fake_cmd *cmd); /* 0: not on the ring */

/* User space claims to be idle: verdicts 7 (or 19, 20, 21, which say why), 8, 9 (all free memory is
 * looked at), 10, 16, 18. */
void fake_ring_check_idle(struct fake_ring *r);
/* Is an aborted command unanswered for longer than ms (verdict 19), or after a reset of the ring not
 * one new command answered (verdict 20)? The clock starts anew with fake_ring_restarted(). */
void fake_ring_check_patience(struct fake_ring *r, uint64_t ms);
/* The same question, but nothing is said. */
bool fake_ring_overdue(struct fake_ring *r, uint64_t ms);
/* With cfg.swap: do the slots from tail to pos hold exactly the requests that are consumed and not
 * answered, each as it was queued, and does the note make up for the one that is being changed? If not,
 * verdict 20b and false. At any moment at which user space does nothing: between two of its stores,
 * stopped, or dead. */
bool fake_ring_check_swap(struct fake_ring *r);
void fake_ring_get_stats(struct fake_ring *r, struct fake_ring_stats *st);

uint64_t fake_now_ms(void);
/* The length of a CDB (scsi_command_size() of the kernel). */
size_t fake_cdb_len(const uint8_t *cdb);

#endif
