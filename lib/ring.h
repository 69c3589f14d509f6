/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring of a TCM-User device over any memory: mailbox, entries, contexts of commands. No
 * descriptor, no log, no lock, and no system call but the mmap of its own tables.
 *
 *   tail (what we have answered)      pos (what we have consumed)      head (what the kernel wrote)
 *     |--- slots of commands in flight ----|------- not looked at yet -------|
 *
 * A slot is not tied to the command that came in it: an answer always goes into the slot at tail and
 * carries the cmd_id it is for (target_core_user.c: tcmu_handle_completions() looks only at that),
 * so commands end in any order.
 *
 * What the memory holds is checked before it is used; something insane parks the ring: nothing is
 * stored any more. That matters most for cmd_tail: the kernel walks to it from entry to entry under
 * a mutex, and a tail off an entry boundary makes it walk for ever (tcmu_handle_completions()).
 *
 * Threads: one at a time, but tcmu_ring_state() may be asked by any.
 */
#ifndef LIB_RING_H
#define LIB_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libtcmu.h"
#include "lib/abi.h"
#include "lib/pool.h"

#define TCMU_RING_INLINE_IOVS 4
#define TCMU_RING_INLINE_CDB  16
#define TCMU_RING_MAX_CMDS    65536 /* cmd_ids are 16 bits */

/* A command in flight. The table of these is indexed by cmd_id: ids are dense from 1
 * (target_core_user.c: queue_cmd_ring(), xa_alloc()). */
struct tcmu_ring_cmd {
	struct tcmulib_cmd pub; /* first: what the program sees */
	uint8_t cdb[TCMU_RING_INLINE_CDB];
	struct iovec iov[TCMU_RING_INLINE_IOVS];
	void *extra;       /* from the pool: more iovs, a longer CDB; NULL: all is inline */
	uint64_t data_len; /* bytes of all iovs */
	uint32_t orig_cnt; /* iovs as they came */
	uint32_t slot;     /* where its request stands: lib/ring-journal.c */
	uint8_t extra_class;
	bool live;
	bool kept; /* answered with KEEP_BUF: all here is still in use */
} __attribute__((aligned(64)));

/* cmd_tail before and after the store of it that is under way, or was the last. If it has neither value,
 * somebody has served in between who does not know of this. */
struct tcmu_ring_tails {
	uint32_t from, next;
};

/* An answer but for its sense data, on its way into a slot. */
struct tcmu_ring_answer {
	uint16_t cmd_id;
	uint8_t status, uflags;
	uint32_t read_len;
};

/* What we leave in the mailbox for the next process: mailbox padding is never touched by the kernel
 * and lives as long as the ring (target_core_user.h: struct tcmu_mailbox). */
struct tcmu_ring_scratch {
	uint32_t magic;
	uint16_t version;
	uint16_t state; /* enum tcmu_ring_mark */
	uint32_t pos;   /* how far we have consumed */
	struct tcmu_ring_tails tails;
	/* The answer under way: lib/ring-journal.c */
	struct tcmu_ring_answer answer;
	uint32_t spare; /* the slot that takes the request which stood where the answer goes */
	uint8_t stage;
	uint8_t reserved;
	uint16_t note;     /* the program's: tcmulib_device_set_note() */
	uint8_t sense[20]; /* more of it in the padding behind cmd_head */
	uint8_t unused[4];
};
static_assert(sizeof(struct tcmu_ring_scratch) == 60, "fits the mailbox");

#define TCMU_RING_COOKIE          0x75746352u
#define TCMU_RING_SCRATCH_MAGIC   0x754d4354u /* "TCMu" */
#define TCMU_RING_SCRATCH_VERSION 2

enum tcmu_ring_mark {
	TCMU_RING_MARK_NONE,
	TCMU_RING_MARK_CLEAN,     /* stopped with nothing in flight */
	TCMU_RING_MARK_SERVING,   /* somebody serves, or died while serving */
	TCMU_RING_MARK_RESETTING, /* the device is blocked for a reset, or still is after a death */
	TCMU_RING_MARK_PARKED,    /* insane, or out of step with the kernel: only a reset helps */
};

struct tcmu_ring {
	/* the shared memory */
	uint8_t *map;
	size_t map_len;
	struct tcmu_abi_mailbox *mb;
	uint8_t *entries; /* map + cmdr_off */
	uint32_t size;    /* cmdr_size */
	uint32_t cmdr_off;
	uint32_t data_off; /* start of the data area */

	/* our side of it */
	uint32_t tail; /* what cmd_tail must hold, unless the ring was reset from outside */
	uint32_t pos;
	uint32_t in_flight;
	uint32_t features; /* TCMU_RING_* */
	enum tcmulib_ring_state state;
	bool cookie;       /* the slot at 0 is consumed, not answered, and carries our cookie */
	bool kick;         /* cmd_tail moved since tcmu_ring_take_kick() */
	bool starved;      /* no memory for the next command: it waits until another one ends */
	bool at_tmr;       /* the entry at pos is a TMR that the program may ask for */
	bool asks_tmr;     /* the program does ask */
	bool drained_once; /* and has had the chance to */
	bool replaying;    /* up to replay_end a process before us has consumed, and died */
	uint32_t replay_end;

	/* len_op of each consumed slot from tail to pos: lens[lens_first & mask ..] */
	uint32_t *lens;
	uint32_t lens_mask;
	uint32_t lens_first, lens_count;

	struct tcmu_ring_cmd *cmds; /* TCMU_RING_MAX_CMDS, touched on demand */
	uint8_t *priv;              /* hm_private areas, as cmds; NULL before the first command */
	size_t priv_size;           /* bytes of one, a multiple of 16 */
	struct tcmu_pool pool;

	struct tcmulib_tmr tmr;
	char reason[160]; /* why it is parked */
};

/*
 * Checks the mailbox at map and prepares the tables. The ring stays CLOSED. 0; -EPROTO with a
 * sentence in ring->reason if the mailbox is not one we understand, or the kernel does not take
 * answers out of order; -ENOMEM. ring need not be
 * initialised; tcmu_ring_detach() is allowed after a failure.
 */
int tcmu_ring_attach(struct tcmu_ring *ring, void *map, size_t map_len);

/* May we go on at cmd_tail? True if nothing is unanswered, the predecessor stopped cleanly, or it died
 * and has left a whole journal (lib/ring-journal.c); else the entries do not tell what is still to do,
 * and the ring must be reset first. Also false if a predecessor died in such a reset, before it unblocked
 * the device, if it parked the ring, or if head or tail are not where they can be.
 *
 * A ring with nothing on it is not reset after a crash, although the kernel could have broken it
 * without telling: a reset is three writes to configfs, which block for ever on the master thread while
 * somebody removes the device, and a ring that we have seen broken is marked. */
bool tcmu_ring_resumable(const struct tcmu_ring *ring);

/* Are head and tail inside the ring and on a multiple of 8? Otherwise nothing may make the kernel look
 * at the tail (doorbell, block_dev), but for reset_ring. */
bool tcmu_ring_ends_sane(const struct tcmu_ring *ring);

void tcmu_ring_mark_resetting(struct tcmu_ring *ring);

/* Starts serving at cmd_tail: RUNNING, and marked so in the mailbox. After a death the answer that was
 * under way is given first, and what was consumed and not answered comes again. -EPROTO as above. */
int tcmu_ring_start(struct tcmu_ring *ring);

/* With nothing in flight: marks the ring cleanly stopped and closes it. -EBUSY otherwise. A ring that
 * does not run is left unmarked, and one that still replays as after a death. */
int tcmu_ring_stop(struct tcmu_ring *ring);

/* The program's note in the mailbox; 0 and no effect unless the ring runs or drains. */
uint16_t tcmu_ring_note(const struct tcmu_ring *ring);
void tcmu_ring_set_note(struct tcmu_ring *ring, uint16_t note);

/* Frees the tables. The mapping is the caller's. Idempotent. */
void tcmu_ring_detach(struct tcmu_ring *ring);

/* The next command or NULL; see tcmulib_get_next_command(). */
struct tcmulib_cmd *tcmu_ring_next(struct tcmu_ring *ring, size_t priv_size);

/* The TMR at which tcmu_ring_next() stopped, or NULL. Its ids lie in the ring; they are valid until
 * the next call. */
const struct tcmulib_tmr *tcmu_ring_next_tmr(struct tcmu_ring *ring);

/*
 * Answers cmd with a SCSI status; with CHECK CONDITION (02h) from cmd->sense_buf. cmd is gone
 * afterwards, unless keep_buf is set in it and the ring has KEEP_BUF: then it stays as it is, in flight,
 * until tcmu_ring_free_kept(). In a ring that was reset or does not run the answer is dropped.
 */
void tcmu_ring_complete(struct tcmu_ring *ring, struct tcmulib_cmd *cmd, uint8_t scsi_status);

/* Leaves a word with the request, as long as it is not answered, for a process after our death: that
 * one finds it in tcmulib_cmd.mark. Nothing where the ring does not run. */
void tcmu_ring_set_mark(struct tcmu_ring *ring, const struct tcmulib_cmd *cmd, uint32_t mark);

/* Commands that the next calls of tcmu_ring_next() may give for the second time? */
bool tcmu_ring_replays(const struct tcmu_ring *ring);

/* A command that was answered with KEEP_BUF is gone. 1: the kernel still has its buffer and is to be told
 * (action/free_kept_buf); 0: it has not (reset, or the ring does not run); -EINVAL: there is none. */
int tcmu_ring_free_kept(struct tcmu_ring *ring, uint16_t cmd_id);

/* Gives the memory of commands back to the system. -EBUSY with commands in flight. */
int tcmu_ring_trim(struct tcmu_ring *ring);

/* The iovs of cmd as they came, even if the program has changed its own copy. Kept only for a ring
 * without TCMU_RING_READ_LEN; otherwise NULL. */
const struct iovec *tcmu_ring_orig_iov(const struct tcmu_ring *ring, const struct tcmulib_cmd *cmd,
				       size_t *cnt);

struct tcmulib_cmd *tcmu_ring_by_id(const struct tcmu_ring *ring, uint16_t cmd_id);

/* Entries that tcmu_ring_next() would look at? One load from the mailbox. */
bool tcmu_ring_pending(const struct tcmu_ring *ring);

/* Bytes of entries that tcmu_ring_next() has not looked at. One load from the mailbox. */
uint32_t tcmu_ring_backlog(const struct tcmu_ring *ring);

/* Did cmd_tail move since the last call? */
bool tcmu_ring_take_kick(struct tcmu_ring *ring);

enum tcmulib_ring_state tcmu_ring_state(const struct tcmu_ring *ring);

/* Parks the ring, or says that the device is gone: no store to the mapping from now on. */
void tcmu_ring_set_gone(struct tcmu_ring *ring);

#endif
