/* SPDX-License-Identifier: Apache-2.0 */
/* The ring: attaching, states, and the side of the answers. lib/ring-consume.c has the other side. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/ring.h"
#include "lib/ring-mem.h"

#define RING_MIN_SIZE   256u
#define RING_POOL_LIMIT (64u << 20) /* bytes for commands that do not fit their context */

static bool is_marked(const struct tcmu_ring *ring)
{
	const struct tcmu_ring_scratch *scratch = ring_scratch(ring);

	return scratch->magic == TCMU_RING_SCRATCH_MAGIC &&
	       scratch->version == TCMU_RING_SCRATCH_VERSION;
}

/* What is somebody else's, or nobody's, becomes ours. */
static void own_scratch(struct tcmu_ring *ring)
{
	struct tcmu_ring_scratch *scratch = ring_scratch(ring);

	if (is_marked(ring))
		return;
	memset(scratch, 0, sizeof(*scratch));
	scratch->magic = TCMU_RING_SCRATCH_MAGIC;
	scratch->version = TCMU_RING_SCRATCH_VERSION;
}

static void set_mark(struct tcmu_ring *ring, enum tcmu_ring_mark mark)
{
	struct tcmu_ring_scratch *scratch = ring_scratch(ring);

	own_scratch(ring);
	/* Release: whoever finds the mark after a SIGKILL finds the rest as it was written. */
	__atomic_store_n(&scratch->state, (uint16_t)mark, __ATOMIC_RELEASE);
}

static void park(struct tcmu_ring *ring, const char *fmt, va_list ap)
{
	vsnprintf(ring->reason, sizeof(ring->reason), fmt, ap);
	/* The successor must reset it even if it looks idle. One that never ran is not ours to mark. */
	if (ring->state == TCMULIB_RING_RUNNING || ring->state == TCMULIB_RING_DRAINING)
		set_mark(ring, TCMU_RING_MARK_PARKED);
	ring_set_state(ring, TCMULIB_RING_PARKED);
}

void ring_park(struct tcmu_ring *ring, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	park(ring, fmt, ap);
	va_end(ap);
}

void ring_park_insane(struct tcmu_ring *ring, const char *fmt, ...)
{
	va_list ap;

	if (ring->state == TCMULIB_RING_RUNNING && ring_was_reset(ring))
		return;
	va_start(ap, fmt);
	park(ring, fmt, ap);
	va_end(ap);
}

/* ---- attaching and leaving ------------------------------------------------------------------- */

void *ring_lazy_table(size_t bytes)
{
	void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (table == MAP_FAILED)
		return NULL;
	madvise(table, bytes, MADV_NOHUGEPAGE);
	return table;
}

static bool offset_sane(const struct tcmu_ring *ring, uint32_t off)
{
	return off < ring->size && off % TCMU_ABI_OP_ALIGN == 0;
}

bool tcmu_ring_ends_sane(const struct tcmu_ring *ring)
{
	return offset_sane(ring, ring_load_head(ring)) && offset_sane(ring, ring_load_tail(ring));
}

static int check_mailbox(struct tcmu_ring *ring)
{
	const struct tcmu_abi_mailbox *mb = ring->mb;

	if (mb->version != TCMU_ABI_MAILBOX_VERSION)
		ring_park(ring, "mailbox version %u, this library knows %u", mb->version,
			  TCMU_ABI_MAILBOX_VERSION);
	else if (mb->cmdr_off < sizeof(*mb) || mb->cmdr_off % TCMU_ABI_OP_ALIGN ||
		 mb->cmdr_size < RING_MIN_SIZE || mb->cmdr_size % TCMU_ABI_OP_ALIGN ||
		 (uint64_t)mb->cmdr_off + mb->cmdr_size > ring->map_len)
		ring_park(ring, "mailbox: ring of %u bytes at %u in a mapping of %zu",
			  mb->cmdr_size, mb->cmdr_off, ring->map_len);
	else if (!(mb->flags & TCMU_ABI_CAP_OOO))
		ring_park(ring, "the kernel takes answers only in the order of the commands; "
				"this library needs the mailbox flag OOOC (Linux 4.6)");
	else
		return 0;
	return -EPROTO;
}

static uint32_t slots_mask(uint32_t ring_size)
{
	uint32_t n = 1;

	while (n <= ring_size / TCMU_ABI_OP_ALIGN)
		n <<= 1;
	return n - 1;
}

static size_t lens_bytes(const struct tcmu_ring *ring)
{
	return ((size_t)ring->lens_mask + 1) * sizeof(*ring->lens);
}

int tcmu_ring_attach(struct tcmu_ring *ring, void *map, size_t map_len)
{
	int ret;

	memset(ring, 0, sizeof(*ring));
	tcmu_pool_init(&ring->pool, RING_POOL_LIMIT);
	ring->map = map;
	ring->map_len = map_len;
	ring->mb = map;
	if (map_len < sizeof(*ring->mb)) {
		ring_park(ring, "a mapping of %zu bytes holds no mailbox", map_len);
		return -EPROTO;
	}
	ret = check_mailbox(ring);
	if (ret)
		return ret;
	ring->size = ring->mb->cmdr_size;
	ring->cmdr_off = ring->mb->cmdr_off;
	ring->data_off = ring->cmdr_off + ring->size;
	ring->entries = ring->map + ring->cmdr_off;
	ring->features = ring->mb->flags &
			 (TCMU_RING_OOO | TCMU_RING_READ_LEN | TCMU_RING_TMR | TCMU_RING_KEEP_BUF);

	ring->lens_mask = slots_mask(ring->size);
	ring->lens = ring_lazy_table(lens_bytes(ring));
	ring->cmds = ring_lazy_table(TCMU_RING_MAX_CMDS * sizeof(*ring->cmds));
	return ring->lens && ring->cmds ? 0 : -ENOMEM;
}

/* A context that is free holds nothing: all of it is written with the next command (copy_request()), and live
 * and kept are false in zeros as well, so an answer that comes a second time is still one of nothing. */
int tcmu_ring_trim(struct tcmu_ring *ring)
{
	if (ring->in_flight)
		return -EBUSY;
	if (ring->cmds)
		madvise(ring->cmds, TCMU_RING_MAX_CMDS * sizeof(*ring->cmds), MADV_DONTNEED);
	if (ring->priv)
		madvise(ring->priv, TCMU_RING_MAX_CMDS * ring->priv_size, MADV_DONTNEED);
	if (ring->lens && !ring->lens_count)
		madvise(ring->lens, lens_bytes(ring), MADV_DONTNEED);
	tcmu_pool_deinit(&ring->pool);
	return 0;
}

void tcmu_ring_detach(struct tcmu_ring *ring)
{
	if (ring->cmds) {
		for (uint32_t id = 1; ring->in_flight && id < TCMU_RING_MAX_CMDS; id++) {
			if (ring->cmds[id].live || ring->cmds[id].kept)
				ring_free_cmd(ring, &ring->cmds[id]);
		}
		munmap(ring->cmds, TCMU_RING_MAX_CMDS * sizeof(*ring->cmds));
	}
	if (ring->lens)
		munmap(ring->lens, lens_bytes(ring));
	if (ring->priv)
		munmap(ring->priv, TCMU_RING_MAX_CMDS * ring->priv_size);
	ring->cmds = NULL;
	ring->lens = NULL;
	ring->priv = NULL;
	tcmu_pool_deinit(&ring->pool);
	if (ring->state == TCMULIB_RING_RUNNING || ring->state == TCMULIB_RING_DRAINING)
		ring_set_state(ring, TCMULIB_RING_CLOSED);
}

bool tcmu_ring_resumable(const struct tcmu_ring *ring)
{
	const struct tcmu_ring_scratch *scratch = ring_scratch(ring);
	uint32_t tail = ring_load_tail(ring);

	if (is_marked(ring) &&
	    (scratch->state == TCMU_RING_MARK_RESETTING || scratch->state == TCMU_RING_MARK_PARKED))
		return false;
	/* The one that is used, too: the kernel may have moved it in between. */
	if (!offset_sane(ring, tail) || !tcmu_ring_ends_sane(ring))
		return false;
	if (tail == ring_load_head(ring))
		return true;
	if (!is_marked(ring))
		return false;
	/* A daemon that does not know the mark may have served after the one that set it; then the
	 * tail has moved on. */
	return scratch->state == TCMU_RING_MARK_CLEAN ? scratch->tails.next == tail
						      : ring_journal_whole(ring, tail);
}

void tcmu_ring_mark_resetting(struct tcmu_ring *ring)
{
	set_mark(ring, TCMU_RING_MARK_RESETTING);
}

static int start(struct tcmu_ring *ring, bool after_death)
{
	uint32_t head = ring_load_head(ring);
	uint32_t tail = ring_load_tail(ring);

	if (check_mailbox(ring))
		return -EPROTO;
	if (ring->mb->cmdr_size != ring->size || ring->mb->cmdr_off != ring->cmdr_off) {
		ring_park(ring, "the mailbox has changed its layout");
		return -EPROTO;
	}
	if (!offset_sane(ring, head) || !offset_sane(ring, tail)) {
		ring_park(ring, "mailbox: head %u, tail %u in a ring of %u bytes", head, tail,
			  ring->size);
		return -EPROTO;
	}
	own_scratch(ring);
	if (after_death && ring_journal_whole(ring, tail))
		tail = ring_journal_take_over(ring, tail);
	else
		ring_journal_new(ring);
	ring->tail = ring->pos = tail;
	ring->lens_first = 0;
	ring->lens_count = 0;
	ring->starved = false;
	ring->at_tmr = false;
	ring->cookie = false;
	ring_note_tails(ring, ring->tail, ring->tail);
	if (!ring->replaying)
		ring_scratch(ring)->pos = ring->pos;
	set_mark(ring, TCMU_RING_MARK_SERVING);
	ring_set_state(ring, TCMULIB_RING_RUNNING);
	return 0;
}

int tcmu_ring_start(struct tcmu_ring *ring)
{
	return start(ring, true);
}

int tcmu_ring_stop(struct tcmu_ring *ring)
{
	if (ring->in_flight)
		return -EBUSY;
	if (ring_check_running(ring)) {
		ring_pass_unanswered(ring);
		if (ring->state == TCMULIB_RING_RUNNING) {
			/* What a dead process has left is still that, also for the next one. */
			if (!ring->replaying)
				set_mark(ring, TCMU_RING_MARK_CLEAN);
			ring_set_state(ring, TCMULIB_RING_CLOSED);
		}
	}
	return 0;
}

static bool has_note(const struct tcmu_ring *ring)
{
	return ring->state == TCMULIB_RING_RUNNING || ring->state == TCMULIB_RING_DRAINING;
}

uint16_t tcmu_ring_note(const struct tcmu_ring *ring)
{
	return has_note(ring) ? ring_scratch(ring)->note : 0;
}

void tcmu_ring_set_note(struct tcmu_ring *ring, uint16_t note)
{
	if (has_note(ring))
		ring_scratch(ring)->note = note;
}

void tcmu_ring_set_gone(struct tcmu_ring *ring)
{
	ring_set_state(ring, TCMULIB_RING_GONE);
}

/* ---- reset from outside ---------------------------------------------------------------------- */

/* Once no old command is left: goes on in the ring as it is now. */
static void end_draining(struct tcmu_ring *ring)
{
	uint32_t tail = ring_load_tail(ring);

	if (tail != 0 && tail != ring_load_head(ring))
		ring_park(ring, "the ring was reset from outside, but to tail %u and head %u", tail,
			  ring_load_head(ring));
	else
		start(ring, false);
}

bool ring_settle(struct tcmu_ring *ring)
{
	if (ring->state == TCMULIB_RING_RUNNING && ring_was_reset(ring))
		ring_set_state(ring, TCMULIB_RING_DRAINING);
	if (ring->state == TCMULIB_RING_DRAINING && !ring->in_flight)
		end_draining(ring);
	return ring->state == TCMULIB_RING_RUNNING;
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Is the slot at tail still what it was when it was consumed, and in front of pos? The last chance to
 * notice a mistake, ours or anybody's, before the kernel would hang on it. */
static bool slot_intact(struct tcmu_ring *ring)
{
	uint32_t len_op = ring->lens[ring->lens_first & ring->lens_mask];
	uint32_t now = ring_hdr(ring, ring->tail)->len_op;

	if (now != len_op)
		ring_park(ring, "slot at %u: len_op is %#x, was %#x when it was consumed",
			  ring->tail, now, len_op);
	else if (ring_entry_len(len_op) > ring_distance(ring, ring->tail, ring->pos))
		ring_park(ring, "slot at %u: %u bytes reach beyond what was consumed (%u)",
			  ring->tail, ring_entry_len(len_op), ring->pos);
	else
		return true;
	return false;
}

/* Steps over the slot at tail; slot_intact() was true. */
static void pass_slot(struct tcmu_ring *ring)
{
	if (!ring->tail)
		ring->cookie = false;
	ring->tail += ring_entry_len(ring->lens[ring->lens_first++ & ring->lens_mask]);
	if (ring->tail == ring->size)
		ring->tail = 0;
	if (!--ring->lens_count)
		ring->lens_first = 0; /* the same few cache lines again */
}

static inline bool other_at_tail(const struct tcmu_ring *ring)
{
	return ring->lens_count &&
	       ring_entry_op(ring->lens[ring->lens_first & ring->lens_mask]) != TCMU_ABI_OP_CMD;
}

static __attribute__((noinline)) bool pass_some(struct tcmu_ring *ring)
{
	uint32_t tail = ring->tail;

	do {
		if (!slot_intact(ring))
			return false;
		pass_slot(ring);
	} while (other_at_tail(ring));
	ring_note_tails(ring, tail, ring->tail);
	ring_store_tail(ring, tail);
	return ring->state == TCMULIB_RING_RUNNING;
}

/* Steps over all slots at tail that are no commands. False: the ring does not run any more. */
static inline bool pass_others(struct tcmu_ring *ring)
{
	return !other_at_tail(ring) || pass_some(ring);
}

void ring_pass_unanswered(struct tcmu_ring *ring)
{
	pass_others(ring);
}

static struct tcmu_ring_answer make_answer(const struct tcmu_ring *ring,
					   const struct tcmu_ring_cmd *cmd, uint8_t status)
{
	struct tcmu_ring_answer a = {
		.cmd_id = (uint16_t)(cmd - ring->cmds),
		.status = status,
	};

	/* read_len 0 cannot be said, and all of the buffer need not be (tcmu_handle_completion()). */
	if (cmd->pub.read_len && cmd->pub.read_len < cmd->data_len &&
	    (ring->features & TCMU_RING_READ_LEN)) {
		a.uflags |= TCMU_ABI_UFLAG_READ_LEN;
		a.read_len = cmd->pub.read_len;
	}
	if (cmd->pub.keep_buf && (ring->features & TCMU_RING_KEEP_BUF))
		a.uflags |= TCMU_ABI_UFLAG_KEEP_BUF;
	return a;
}

void ring_free_cmd(struct tcmu_ring *ring, struct tcmu_ring_cmd *cmd)
{
	if (cmd->extra)
		tcmu_pool_put(&ring->pool, cmd->extra, cmd->extra_class);
	cmd->extra = NULL;
	cmd->live = cmd->kept = false;
	ring->in_flight--;
	ring->starved = false;
}

void tcmu_ring_complete(struct tcmu_ring *ring, struct tcmulib_cmd *pub, uint8_t scsi_status)
{
	struct tcmu_ring_cmd *cmd = (void *)pub;
	struct tcmu_ring_answer a;
	uint32_t tail;

	if (!cmd->live) {
		ring_park(ring, "command %u was completed twice", (unsigned int)(cmd - ring->cmds));
		return;
	}
	/* Before the context is free: an answer to a reset ring is dropped, but ends the command. */
	if (ring_check_running(ring)) {
		if (!pass_others(ring))
			goto out;
		if (!ring->lens_count) {
			ring_park(ring, "no slot is left for the answer of command %u",
				  (unsigned int)(cmd - ring->cmds));
			goto out;
		}
		if (!slot_intact(ring))
			goto out;
		a = make_answer(ring, cmd, scsi_status);
		if (!ring_journal_begin(ring, cmd, a))
			goto out;
		tail = ring->tail;
		ring_write_answer(ring, tail, a, pub->sense_buf);
		pass_slot(ring);
		ring_store_tail(ring, tail);
		ring_set_stage(ring, RING_STAGE_IDLE);
		if (ring->state == TCMULIB_RING_RUNNING)
			pass_others(ring);
	}
out:
	cmd->live = false;
	cmd->kept = cmd->pub.keep_buf && (ring->features & TCMU_RING_KEEP_BUF);
	if (!cmd->kept)
		ring_free_cmd(ring, cmd);
	if (ring->state == TCMULIB_RING_DRAINING)
		ring_check_running(ring);
}

int tcmu_ring_free_kept(struct tcmu_ring *ring, uint16_t cmd_id)
{
	bool told;

	if (!ring->cmds || !ring->cmds[cmd_id].kept)
		return -EINVAL;
	/* It counts as in flight, so a ring that runs now has not been reset since the answer. */
	told = ring_check_running(ring);
	ring_free_cmd(ring, &ring->cmds[cmd_id]);
	ring_check_running(ring);
	return told;
}

/* ---- questions ------------------------------------------------------------------------------- */

struct tcmulib_cmd *tcmu_ring_by_id(const struct tcmu_ring *ring, uint16_t cmd_id)
{
	return ring->cmds && ring->cmds[cmd_id].live ? &ring->cmds[cmd_id].pub : NULL;
}

bool tcmu_ring_pending(const struct tcmu_ring *ring)
{
	if (ring->state == TCMULIB_RING_RUNNING)
		return ring_load_head(ring) != ring->pos && !(ring->starved && ring->in_flight);
	return ring->state == TCMULIB_RING_DRAINING && !ring->in_flight;
}

uint32_t tcmu_ring_backlog(const struct tcmu_ring *ring)
{
	uint32_t head;

	if (ring->state != TCMULIB_RING_RUNNING)
		return 0;
	head = ring_load_head(ring); /* not checked yet */
	return head < ring->size ? ring_distance(ring, ring->pos, head) : 0;
}

bool tcmu_ring_take_kick(struct tcmu_ring *ring)
{
	bool kick = ring->kick;

	ring->kick = false;
	return kick;
}

enum tcmulib_ring_state tcmu_ring_state(const struct tcmu_ring *ring)
{
	return __atomic_load_n(&ring->state, __ATOMIC_RELAXED);
}
