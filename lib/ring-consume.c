/* SPDX-License-Identifier: Apache-2.0 */
/* The ring: taking entries out. Everything in an entry is checked before it is used, and copied, for
 * an answer to another command may overwrite the slot. */
#include <string.h>

#include "lib/ring.h"
#include "lib/ring-mem.h"
#include "scsi/cdb.h"

#define CMD_MIN_LEN ((uint32_t)sizeof(struct tcmu_abi_entry)) /* the answer must fit */
#define TMR_MIN_LEN ((uint32_t)offsetof(struct tcmu_abi_tmr, cmd_ids))

/* A CMD entry whose counts and places are known to be inside it. */
struct request {
	uint16_t cmd_id;
	uint32_t iov_cnt;
	uint32_t bidi_cnt;
	const struct iovec *iov;
	const uint8_t *cdb;
	uint32_t cdb_len;
	uint32_t mark;
};

uint32_t ring_cdb_length(const uint8_t *cdb, uint64_t avail)
{
	uint32_t len;

	if (cdb[0] == 0x7f && avail < 8) /* ADDITIONAL CDB LENGTH is byte 7 */
		return 0;
	len = (uint32_t)scsi_cdb_length(cdb);
	return len <= avail ? len : 0;
}

static bool parse_request(struct tcmu_ring *ring, uint32_t len, struct request *req)
{
	const struct tcmu_abi_entry *ent = (void *)ring_hdr(ring, ring->pos);
	uint64_t start = (uint64_t)ring->cmdr_off + ring->pos, iovs_end, cdb_off;

	if (len < CMD_MIN_LEN)
		return ring_insane(ring, "entry at %u: a command of %u bytes", ring->pos, len);
	req->cmd_id = ent->hdr.cmd_id;
	if (!req->cmd_id || ring->cmds[req->cmd_id].live)
		return ring_insane(ring, "entry at %u: cmd_id %u %s", ring->pos, req->cmd_id,
				   req->cmd_id ? "is in flight already" : "is not a valid one");

	req->iov_cnt = ent->req.iov_cnt;
	req->bidi_cnt = ent->req.iov_bidi_cnt;
	req->iov = ent->req.iov;
	req->mark = ent->req.mark;
	iovs_end = TCMU_ABI_IOV_OFF +
		   ((uint64_t)req->iov_cnt + req->bidi_cnt) * sizeof(struct iovec);
	if (iovs_end > len)
		return ring_insane(ring, "entry at %u: %u + %u iovs in %u bytes", ring->pos,
				   req->iov_cnt, req->bidi_cnt, len);

	cdb_off = ent->req.cdb_off;
	if (cdb_off < start + iovs_end || cdb_off >= start + len)
		return ring_insane(ring, "entry at %u: CDB at %llu, outside the entry", ring->pos,
				   (unsigned long long)cdb_off);
	req->cdb = ring->map + cdb_off;
	req->cdb_len = ring_cdb_length(req->cdb, start + len - cdb_off);
	if (!req->cdb_len)
		return ring_insane(ring, "entry at %u: CDB %02x does not fit the entry", ring->pos,
				   req->cdb[0]);
	return true;
}

/* The memory of iov, whose base is an offset from the start of the mapping, in *out. */
static bool map_iov(struct tcmu_ring *ring, const struct iovec *iov, struct iovec *out)
{
	uint64_t base = (uintptr_t)iov->iov_base;
	uint64_t len = iov->iov_len;

	if (base < ring->data_off || base > ring->map_len || len > ring->map_len - base)
		return ring_insane(ring, "entry at %u: %llu bytes at %llu, outside the data area",
				   ring->pos, (unsigned long long)len, (unsigned long long)base);
	out->iov_base = ring->map + base;
	out->iov_len = len;
	return true;
}

/* Where the copies of iovs and CDB go: into the context, or into a block from the pool. A ring that
 * cannot say READ_LEN needs the iovs twice (tcmu_ring_orig_iov()). False: not now. */
static bool place_copies(struct tcmu_ring *ring, struct tcmu_ring_cmd *cmd,
			 const struct request *req)
{
	size_t iovs = ring->features & TCMU_RING_READ_LEN ? req->iov_cnt : (size_t)req->iov_cnt * 2;
	size_t iov_bytes = iovs > TCMU_RING_INLINE_IOVS ? iovs * sizeof(struct iovec) : 0;
	size_t cdb_bytes = req->cdb_len > TCMU_RING_INLINE_CDB ? req->cdb_len : 0;

	cmd->pub.iovec = cmd->iov;
	cmd->pub.cdb = cmd->cdb;
	cmd->extra = NULL;
	if (!iov_bytes && !cdb_bytes)
		return true;
	if (iov_bytes + cdb_bytes > (size_t)1 << TCMU_POOL_MAX_SHIFT)
		return ring_insane(ring, "entry at %u: %u iovs are too many", ring->pos,
				   req->iov_cnt);
	cmd->extra = tcmu_pool_get(&ring->pool, iov_bytes + cdb_bytes, &cmd->extra_class);
	if (!cmd->extra) {
		ring->starved = true;
		return false;
	}
	if (iov_bytes)
		cmd->pub.iovec = cmd->extra;
	if (cdb_bytes)
		cmd->pub.cdb = (uint8_t *)cmd->extra + iov_bytes;
	return true;
}

/* No program fills the data-in buffer of a bidirectional command here, and the kernel does not clear
 * recycled pages: without this the initiator would get another command's data. */
static bool clear_bidi(struct tcmu_ring *ring, const struct request *req)
{
	for (uint32_t i = 0; i < req->bidi_cnt; i++) {
		struct iovec iov;

		if (!map_iov(ring, &req->iov[req->iov_cnt + i], &iov))
			return false;
		memset(iov.iov_base, 0, iov.iov_len);
	}
	return true;
}

static bool copy_request(struct tcmu_ring *ring, struct tcmu_ring_cmd *cmd,
			 const struct request *req)
{
	uint64_t data_len = 0;

	for (uint32_t i = 0; i < req->iov_cnt; i++) {
		if (!map_iov(ring, &req->iov[i], &cmd->pub.iovec[i]))
			return false;
		data_len += cmd->pub.iovec[i].iov_len;
	}
	if (!(ring->features & TCMU_RING_READ_LEN) && req->iov_cnt)
		memcpy(cmd->pub.iovec + req->iov_cnt, cmd->pub.iovec,
		       req->iov_cnt * sizeof(struct iovec));
	if (req->cdb_len < sizeof(cmd->cdb)) /* who looks too far finds zeros */
		memset(cmd->cdb, 0, sizeof(cmd->cdb));
	memcpy(cmd->pub.cdb, req->cdb, req->cdb_len);

	cmd->data_len = data_len;
	cmd->orig_cnt = req->iov_cnt;
	cmd->slot = ring->pos;
	cmd->pub.cmd_id = req->cmd_id;
	cmd->pub.again = ring->replaying;
	cmd->pub.mark = req->mark;
	cmd->pub.iov_cnt = req->iov_cnt;
	memset(cmd->pub.sense_buf, 0, sizeof(cmd->pub.sense_buf));
	cmd->pub.hm_private = ring->priv ? ring->priv + req->cmd_id * ring->priv_size : NULL;
	cmd->pub.read_len = 0;
	cmd->pub.keep_buf = false;
	return true;
}

static struct tcmulib_cmd *consume_command(struct tcmu_ring *ring, uint32_t len_op)
{
	struct tcmu_ring_cmd *cmd;
	struct request req;

	if (!parse_request(ring, ring_entry_len(len_op), &req))
		return NULL;
	cmd = &ring->cmds[req.cmd_id];
	/* The kernel has dropped that buffer in a reset which left no trace: nothing was on the ring, and
	 * it began at 0. The new command waits for the old one's memory. */
	if (cmd->kept) {
		ring->starved = true;
		return NULL;
	}
	if (!place_copies(ring, cmd, &req))
		return NULL;
	/* A copy of what a reset has replaced meanwhile may be half of this and half of that. */
	if (!copy_request(ring, cmd, &req) || !clear_bidi(ring, &req) || ring_was_reset(ring)) {
		if (cmd->extra)
			tcmu_pool_put(&ring->pool, cmd->extra, cmd->extra_class);
		return NULL;
	}
	cmd->live = true;
	ring->in_flight++;
	ring_consumed(ring, len_op);
	return &cmd->pub;
}

static bool peek_once(struct tcmu_ring *ring, uint32_t *len_op)
{
	uint32_t head, len;

	/* The head first: reset_ring stores the tail before the head, so a head of after a reset is
	 * never taken for one of before. */
	while (head = ring_load_head(ring), ring_was_reset(ring)) {
		if (!ring_check_running(ring))
			return false;
	}
	if (head == ring->pos)
		return false;
	if (head >= ring->size || head % TCMU_ABI_OP_ALIGN)
		return ring_insane(ring, "mailbox: head %u in a ring of %u bytes", head,
				   ring->size);
	*len_op = ring_hdr(ring, ring->pos)->len_op;
	len = ring_entry_len(*len_op);
	if (len < sizeof(struct tcmu_abi_hdr) || len > ring->size - ring->pos ||
	    len > ring_distance(ring, ring->pos, head))
		return ring_insane(ring,
				   "entry at %u: length %u, with head at %u in a ring of %u bytes",
				   ring->pos, len, head, ring->size);
	return true;
}

/* Is there an entry at pos? Its len_op in *len_op then: of a length that lies within the ring and in
 * front of head. One at 0 gets its cookie before it is read, so that none is read half and half. */
static bool peek_entry(struct tcmu_ring *ring, uint32_t *len_op)
{
	struct tcmu_abi_entry *ent = (void *)ring->entries;

	if (!peek_once(ring, len_op))
		return false;
	if (ring->pos || ring->cookie || ring_entry_len(*len_op) < TMR_MIN_LEN ||
	    (ring_entry_op(*len_op) != TCMU_ABI_OP_CMD &&
	     ring_entry_op(*len_op) != TCMU_ABI_OP_TMR))
		return true;
	__atomic_store_n(&ent->req.cookie, TCMU_RING_COOKIE, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* a store, then loads */
	ring->cookie = true;
	return peek_once(ring, len_op);
}

static bool tmr_sane(struct tcmu_ring *ring, uint32_t len_op)
{
	const struct tcmu_abi_tmr *tmr = (void *)ring_hdr(ring, ring->pos);
	uint32_t len = ring_entry_len(len_op);

	if (len < TMR_MIN_LEN || tmr->cmd_cnt > (len - TMR_MIN_LEN) / sizeof(tmr->cmd_ids[0]))
		return ring_insane(ring, "entry at %u: a TMR of %u bytes with %u ids", ring->pos,
				   len, len < TMR_MIN_LEN ? 0 : tmr->cmd_cnt);
	return true;
}

/* A TMR: true if the program should be told first. One that has drained the ring before and never
 * asked does not want to know. */
static bool stop_at_tmr(struct tcmu_ring *ring)
{
	if (ring->at_tmr || (ring->drained_once && !ring->asks_tmr)) {
		ring->at_tmr = false;
		return false;
	}
	ring->at_tmr = true;
	return true;
}

/* hm_private areas of their own, so that the contexts stay dense. */
static bool make_priv(struct tcmu_ring *ring, size_t priv_size)
{
	ring->priv_size = (priv_size + 15) & ~(size_t)15;
	ring->priv = ring_lazy_table(TCMU_RING_MAX_CMDS * ring->priv_size);
	return ring->priv ||
	       ring_insane(ring, "no memory for %zu bytes for each command", priv_size);
}

struct tcmulib_cmd *tcmu_ring_next(struct tcmu_ring *ring, size_t priv_size)
{
	uint32_t len_op;

	/* Whether it was reset is looked at with each entry. */
	if (ring->state != TCMULIB_RING_RUNNING && !ring_settle(ring))
		return NULL;
	if (priv_size && !ring->priv && !make_priv(ring, priv_size))
		return NULL;
	if (priv_size > ring->priv_size) {
		ring_park(ring, "hm_cmd_size grew from %zu to %zu", ring->priv_size, priv_size);
		return NULL;
	}
	while (peek_entry(ring, &len_op)) {
		uint32_t op = ring_entry_op(len_op);

		if (__builtin_expect(ring->replaying, 0) && ring_journal_lost(ring, len_op)) {
			ring_journal_answer_lost(ring, len_op);
			if (ring->state != TCMULIB_RING_RUNNING)
				return NULL;
			continue;
		}
		if (op == TCMU_ABI_OP_CMD) {
			struct tcmulib_cmd *cmd = consume_command(ring, len_op);

			if (!cmd && ring->state == TCMULIB_RING_RUNNING && ring_was_reset(ring))
				continue; /* there may be new ones, without another event */
			return cmd;
		}
		if (op == TCMU_ABI_OP_TMR && !tmr_sane(ring, len_op)) {
			if (ring->state == TCMULIB_RING_RUNNING)
				continue; /* reset, as above */
			return NULL;
		}
		if (op == TCMU_ABI_OP_TMR && stop_at_tmr(ring))
			return NULL;
		if (op != TCMU_ABI_OP_PAD &&
		    op != TCMU_ABI_OP_TMR) /* tcmu-design.rst asks for it */
			ring_hdr(ring, ring->pos)->uflags |= TCMU_ABI_UFLAG_UNKNOWN_OP;
		ring_consumed(ring, len_op);
	}
	if (ring->state == TCMULIB_RING_RUNNING)
		ring_pass_unanswered(ring);
	ring->drained_once = true;
	return NULL;
}

const struct tcmulib_tmr *tcmu_ring_next_tmr(struct tcmu_ring *ring)
{
	const struct tcmu_abi_tmr *tmr;
	uint32_t len_op;

	ring->asks_tmr = true;
	/* at_tmr last: a reset that is noticed here starts the ring anew, without it. */
	if (!ring_check_running(ring) || !ring->at_tmr || !peek_entry(ring, &len_op) ||
	    !ring->at_tmr)
		return NULL;
	ring->at_tmr = false;
	/* Another one, if it stood at 0 and the ring was reset: get_next_command() has it next. */
	if (ring_entry_op(len_op) != TCMU_ABI_OP_TMR || !tmr_sane(ring, len_op))
		return NULL;
	tmr = (void *)ring_hdr(ring, ring->pos);
	ring->tmr.type = tmr->type;
	ring->tmr.cmd_cnt = tmr->cmd_cnt;
	ring->tmr.cmd_ids = tmr->cmd_ids;
	ring_consumed(ring, len_op);
	return &ring->tmr;
}

const struct iovec *tcmu_ring_orig_iov(const struct tcmu_ring *ring, const struct tcmulib_cmd *pub,
				       size_t *cnt)
{
	const struct tcmu_ring_cmd *cmd = (const void *)pub;
	const struct iovec *iov = cmd->iov;

	if (ring->features & TCMU_RING_READ_LEN)
		return NULL;
	*cnt = cmd->orig_cnt;
	if ((size_t)cmd->orig_cnt * 2 > TCMU_RING_INLINE_IOVS)
		iov = cmd->extra;
	return iov + cmd->orig_cnt;
}
