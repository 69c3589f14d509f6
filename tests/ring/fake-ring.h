/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side of one TCM-User ring, over a memfd: behaves as target_core_user.c does, and
 * watches its user space much more closely than that one (verdict.h).
 *
 * Unlike the kernel, memory that is free is poisoned at once and checked when it is used again, a
 * data-in buffer is filled with a pattern before the command is queued, and the memfd ends behind
 * the highest block ever used, so that touching what was never allocated is a SIGBUS, as there.
 *
 * Any thread may call anything; done() runs on the thread that processed the completion, without
 * any lock of the ring held.
 */
#ifndef TESTS_RING_FAKE_RING_H
#define TESTS_RING_FAKE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "verdict.h"

#define FAKE_POISON     0xdb
#define FAKE_CANARY     0xc5
#define FAKE_PAGE       4096u
#define FAKE_CDB_MAX    260
#define FAKE_SENSE_SIZE 96

enum fake_dir { FAKE_NONE, FAKE_OUT, FAKE_IN }; /* OUT: from the initiator to the device */

struct fake_ring_cfg {
	uint32_t ring_bytes; /* mailbox included; a multiple of 8. 0: 1 MiB */
	uint32_t pages_per_blk;
	uint32_t data_blocks;
	uint16_t flags;     /* of the mailbox; 0: all four features */
	int qfull_time_out; /* 0: TASK SET FULL at once when the ring is full; else wait */
	uint32_t pos_off; /* where in the mailbox user space keeps its read position, 0: nowhere */
	bool lenient_in;  /* do not ask that data-in buffers be filled (verdict 12) */
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
	/* The direction is not the one of the opcode. An entry does not say which one it is, so user
	 * space cannot do right: no verdicts 12 and 13. */
	bool odd;

	uint8_t status;
	uint8_t sense[FAKE_SENSE_SIZE]; /* of CHECK CONDITION */
	size_t residual;                /* of data-in: bytes at the end that were not transferred */
	bool expired; /* answered by the kernel, because user space took too long */

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

int fake_ring_memfd(struct fake_ring *r);
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
/* Entries are written, but cmd_head stays (on); all become visible with off. The kernel never does
 * that for long; it shows who reads beyond cmd_head. */
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
int fake_ring_free_kept(struct fake_ring *r, uint32_t id); /* action/free_kept_buf */
void fake_ring_closed(struct fake_ring *r);                /* the last close of the descriptor */
bool fake_ring_is_broken(struct fake_ring *r);
uint16_t fake_ring_cmd_id(struct fake_ring *r, struct fake_cmd *cmd); /* 0: not on the ring */

/* User space claims to be idle: verdicts 7, 8, 9 (all free memory is looked at), 10, 16. */
void fake_ring_check_idle(struct fake_ring *r);
void fake_ring_get_stats(struct fake_ring *r, struct fake_ring_stats *st);

/* The length of a CDB (scsi_command_size() of the kernel). */
size_t fake_cdb_len(const uint8_t *cdb);

#endif
