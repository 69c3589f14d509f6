/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a ring: fake-ring.c, fake-complete.c, fake-judge.c, fake-check.c, fake-decoy.c,
 * fake-actions.c, fake-reset.c, fake-swap.c. */
#ifndef TESTS_RING_FAKE_RING_INT_H
#define TESTS_RING_FAKE_RING_INT_H

#include <pthread.h>

#include "fake-ring.h"
#include "lib/abi.h"
#include "util/list.h"

#define FAKE_MAX_ID 0xffffu

/* A command inside the ring; outlives the initiator's struct when it expired or is kept. */
struct fake_req {
	struct list node;     /* qfull queue, or nothing */
	struct fake_cmd *cmd; /* NULL: expired or kept, the initiator has its answer */
	uint16_t id;          /* 0: not on the ring */
	bool expired, kept, aborted, overdue_said;
	uint64_t queued_ms, aborted_ms;
	uint32_t iov_cnt;
	enum fake_dir dir;
	size_t len, bidi_len;
	uint32_t *dbi;
	uint32_t dbi_cnt, bidi_cnt; /* dbi_cnt counts those of bidi too */
	uint32_t slot_seq;          /* of its own entry */
	uint64_t pattern;           /* seed of the data-in fill */
	uint8_t cdb[FAKE_CDB_MAX];
};

struct fake_slot {
	uint32_t off, len;
	uint8_t op;
	uint16_t id;   /* as queued */
	uint8_t *real; /* what the decoy in the slot is replaced with; NULL: it is there */
	bool vendor;   /* the kind of the decoy */
};

/* What is known of a cmd_id from before; kept until a command with that id is answered in order. */
#define FAKE_ID_DONE    1u /* answered */
#define FAKE_ID_OLD     2u /* answered before a restart of user space */
#define FAKE_ID_KILLED  4u /* ended by a reset of the ring */
#define FAKE_ID_ABORTED 8u /* answered after it was aborted */

struct fake_tmr {
	struct list node;
	uint8_t type;
	uint32_t cnt;
	uint16_t ids[];
};

struct fake_ring {
	pthread_mutex_t lock; /* cmdr_lock of the kernel */
	struct fake_ring_cfg cfg;
	struct fake_verdicts *v;
	int memfd;
	uint8_t *base;
	struct tcmu_abi_mailbox *mb;
	uint8_t *cmdr;
	uint32_t cmdr_size;
	size_t data_off, map_len, file_len; /* without the page of the decoys */
	uint8_t *decoy;
	uint32_t blk_size;

	uint32_t head;           /* where the next entry goes */
	uint32_t head_visible;   /* what cmd_head says */
	uint32_t cleaned;        /* cmdr_last_cleaned */
	uint32_t ring_high;      /* the ring was used up to here: free bytes below are poisoned */
	struct fake_slot *slots; /* FIFO of the entries between cleaned and head */
	uint32_t slot_first, slot_next; /* sequence numbers, index modulo slot_cap */
	uint32_t slot_hidden;           /* first one that cmd_head does not cover */
	uint32_t slot_cap;
	uint8_t mb_copy[offsetof(struct tcmu_abi_mailbox, pad0)]; /* that is the program's */

	uint8_t *blk_used;
	uint32_t *blk_high; /* bytes of a block that were ever used: poisoned when free */
	uint32_t blk_hint, blk_free;
	struct fake_req **ids;
	uint8_t *id_marks; /* FAKE_ID_*, by cmd_id */
	uint32_t id_hint;
	uint32_t id_high; /* no command ever had a higher one */

	/* Since the last reset no new command was answered. Meanwhile the old slots are neither
	 * poisoned nor checked: user space cannot know before it looks. */
	bool reset_unseen, reset_said;
	uint64_t reset_ms, served_ms;    /* when it was reset; when somebody new began to serve */
	uint32_t reset_tail, reset_used; /* where the old entries were */
	bool any_aborted;

	struct list qfull, tmrs;
	bool blocked, broken, plugged, event_owed, hold_head;
	uint64_t seed;
	unsigned int dice;
	void (*notify)(void *arg);
	void *notify_arg;
	bool (*ack)(const struct fake_cmd *cmd, uint8_t status, void *arg);
	void *ack_arg;

	struct fake_cmd *finished, **finished_end; /* done() is due when the lock is dropped */
	struct fake_ring_stats st;
};

static inline struct fake_slot *fake_slot(struct fake_ring *r, uint32_t seq)
{
	return &r->slots[seq % r->slot_cap];
}

/* fake-ring.c */
void fake_lock(struct fake_ring *r);
void fake_unlock(struct fake_ring *r); /* and runs done() of what was finished */
void fake_finish(struct fake_ring *r, struct fake_req *req, uint8_t status);
void fake_finish_sense(struct fake_ring *r, struct fake_req *req, uint8_t key, uint8_t asc,
		       uint8_t ascq);
void fake_req_free(struct fake_ring *r, struct fake_req *req);
void fake_free_id(struct fake_ring *r, struct fake_req *req);
void fake_run_qfull(struct fake_ring *r, bool fail);
bool fake_run_tmrs(struct fake_ring *r);

void fake_fill_iovs(struct fake_ring *r, const struct fake_req *req, struct iovec *iov);
uint32_t fake_count_iovs(const struct fake_req *req, uint32_t from, uint32_t to);

/* fake-check.c */
uint32_t fake_req_bytes_in(const struct fake_ring *r, const struct fake_req *req, uint32_t i);
void fake_check_mailbox(struct fake_ring *r);
void fake_check_ring_free(struct fake_ring *r, uint32_t off, uint32_t len);
void fake_poison_ring(struct fake_ring *r, uint32_t off, uint32_t len);
void fake_blocks_take(struct fake_ring *r, struct fake_req *req);
void fake_blocks_poison(struct fake_ring *r, struct fake_req *req);
void fake_prefill(struct fake_ring *r, struct fake_req *req);
void fake_check_canary(struct fake_ring *r, struct fake_req *req);
/* Are the first len bytes of the data-in buffer all written? */
bool fake_is_filled(struct fake_ring *r, struct fake_req *req, size_t len);
void fake_copy(struct fake_ring *r, struct fake_req *req, bool to_area, bool bidi, void *buf,
	       size_t len);

/* fake-complete.c */
bool fake_handle_completions(struct fake_ring *r);
/* Was the entry of this command read, as far as the consumer's position tells? */
bool fake_was_read(struct fake_ring *r, const struct fake_req *req);

/* fake-judge.c */
void fake_judge_answer(struct fake_ring *r, struct fake_req *req, const struct tcmu_abi_entry *ent,
		       size_t len);
/* After the data-in has reached the initiator's buffer. */
void fake_judge_data(struct fake_ring *r, const struct fake_req *req, uint8_t status);
/* Which verdict an answer with this id deserves that it may not have; usual: unless the id's past says
 * more. */
enum fake_verdict fake_judge_id(const struct fake_ring *r, uint16_t id, enum fake_verdict usual);

/* fake-decoy.c */
void fake_decoy_init(struct fake_ring *r);
bool fake_decoy_wanted(struct fake_ring *r);
/* A decoy into the slot; the real entry will be made in slot->real. */
void fake_decoy_show(struct fake_ring *r, struct fake_slot *slot, const uint8_t *cdb);
void fake_decoy_wait(struct fake_ring *r);
void fake_decoy_replace(struct fake_ring *r, struct fake_slot *slot);
void fake_decoy_check(struct fake_ring *r);

/* fake-reset.c */
void fake_drop_commands(struct fake_ring *r, int level);
void fake_drop_tmrs(struct fake_ring *r);
void fake_reset_seen(struct fake_ring *r);

#endif
