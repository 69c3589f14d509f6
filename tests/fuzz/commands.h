/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of fuzz-commands: an initiator (commands-cdb.c, commands-list.c) and a handler
 * (commands-handler.c) that the input plays, with the library's ring and the runner's loop between them,
 * and a second, simpler reading of what each command may do (commands-model.c).
 */
#ifndef TESTS_FUZZ_COMMANDS_H
#define TESTS_FUZZ_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/device.h"
#include "runner/device.h"
#include "runner/runner.h"
#include "scsi/opcodes.h"
#include "tests/ring/fake-ring.h"

#define BLOCKS         64u
#define BLOCK_SIZE_MAX 4096u
#define CMDS_MAX       64u
#define DATA_MAX       (64u * 1024)
#define HELD_MAX       128u
#define VENDOR_OPCODE  0xc1 /* the handler's own */

/* A command of the initiator. The records live as long as the input. */
struct sent {
	struct fake_cmd fc;
	const struct scsi_opcode *op;
	uint64_t lba, blocks; /* by op */
	uint8_t *data;        /* exactly fc.len bytes */
	uint16_t id;
	bool ended;   /* the initiator has its answer */
	bool aborted; /* so that it does not matter which */
	uint64_t sent_at;
	bool cache_off; /* WCE was 0 when it was sent */

	/* what the handler was asked to do for it */
	uint64_t applied;  /* bits of the blocks that were changed, or would have been */
	uint64_t asked;    /* ... to deallocate */
	uint64_t dirty_at; /* the last change that is not yet on stable storage, 0: none */
	bool failed;       /* some operation was */

	/* FORMAT UNIT, SANITIZE: what a block may look like because of it */
	bool wipes;
	uint64_t looks[2]; /* hashes */
};

/* An operation that the handler has not ended yet. */
struct held {
	enum { H_READ, H_WRITE, H_FLUSH, H_UNMAP, H_SAME, H_CAW, H_STATUS, H_OWN, H_SAVE } what;
	struct tcmur_cmd *cmd;
	struct sent *sent; /* NULL: the runner's own */
	struct iovec *iov;
	size_t iov_cnt;
	uint64_t off, len;
	uint64_t began_at;
	struct tcmur_extent *extents;
};

struct world {
	/* the input */
	const uint8_t *in;
	size_t left;

	struct fake_ring *ring;
	struct fake_verdicts verdicts;
	struct tcmu_device dev;
	struct runner_handler entry;
	struct runner_dev rdev;
	bool stop_asked, finishing;
	unsigned int restarts;

	struct sent *sent[CMDS_MAX];
	unsigned int sent_count, unanswered;

	/* the handler */
	bool blocking, old_style, dealloc_junk;
	struct held held[HELD_MAX];
	unsigned int held_count;
	struct runner_job *jobs, **jobs_end; /* blocking: not taken by a worker yet */
	unsigned int jobs_count;
	uint8_t saved[TCMUR_SAVED_MAX];
	size_t saved_len;

	/* the medium */
	uint32_t block_size;
	uint8_t *medium;
	uint64_t hash[BLOCKS];
	uint64_t deallocated;
	uint64_t now;     /* counts what happens */
	uint64_t flushed; /* when the last flush that ended well began */
	uint64_t cache_changed_at;
	bool cache_was;
	uint64_t clock_ns;

	/* the main loop */
	bool looks; /* runner/idle.c */
};
extern struct world w;

/* The next byte or bytes of the input; zeros behind its end. */
uint32_t take(size_t bytes);

/* commands-cdb.c: fills fc.cdb, op, fc.dir, data. */
void make_command(struct sent *s);
/* commands-list.c: a parameter list for the command; *len bytes in list[DATA_MAX]. */
void make_list(struct sent *s, uint8_t *list, size_t *len);

/* commands-handler.c */
void handler_reset(uint32_t shape);
bool handler_has_work(void);
/* Ends one of the operations, or takes one from the queue of a blocking handler. */
void handler_work(uint32_t which, uint32_t outcome);

/* commands-model.c */
uint64_t hash_block(const uint8_t *p);
void model_reset(void);
/* Before the handler does it: is it what the command asked for? */
void model_write(struct sent *s, const struct iovec *iov, size_t iov_cnt, uint64_t off,
		 uint64_t len);
void model_unmap(struct sent *s, uint64_t off, uint64_t len);
void model_same(struct sent *s, const uint8_t *block, uint64_t off, uint64_t len);
/* The block has another content now. */
void model_changed(uint64_t block);
/* The operation has changed the medium; is that on stable storage at once? */
void model_dirty(struct sent *s, bool stable);
void model_cache(void);
void model_sent(struct sent *s);
void model_answered(struct sent *s);

#endif
