/* SPDX-License-Identifier: Apache-2.0 */
/* How a command gets onto the ring (queue_cmd_ring() and around, target_core_user.c). */
#include "fake-ring-int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SAM_GOOD          0x00
#define SAM_CHECK         0x02
#define SAM_BUSY          0x08
#define SAM_TASK_SET_FULL 0x28
#define SAM_TASK_ABORTED  0x40

size_t fake_cdb_len(const uint8_t *cdb)
{
	static const uint8_t by_group[8] = { 6, 10, 10, 12, 16, 12, 10, 10 };

	if (cdb[0] == 0x7f)
		return (size_t)8 + cdb[7] > FAKE_CDB_MAX ? FAKE_CDB_MAX : (size_t)8 + cdb[7];
	return by_group[cdb[0] >> 5];
}

void fake_lock(struct fake_ring *r)
{
	pthread_mutex_lock(&r->lock);
}

void fake_unlock(struct fake_ring *r)
{
	struct fake_cmd *cmd = r->finished, *next;

	r->finished = NULL;
	r->finished_end = &r->finished;
	pthread_mutex_unlock(&r->lock);
	for (; cmd; cmd = next) {
		next = cmd->next;
		if (cmd->done)
			cmd->done(cmd);
	}
}

/* The initiator gets its answer; the request itself may stay (expired, kept). */
void fake_finish(struct fake_ring *r, struct fake_req *req, uint8_t status)
{
	struct fake_cmd *cmd = req->cmd;

	cmd->status = req->aborted ? SAM_TASK_ABORTED : status;
	cmd->req = NULL;
	cmd->next = NULL;
	req->cmd = NULL;
	r->st.unanswered--;
	*r->finished_end = cmd;
	r->finished_end = &cmd->next;
}

void fake_finish_sense(struct fake_ring *r, struct fake_req *req, uint8_t key, uint8_t asc,
		       uint8_t ascq)
{
	struct fake_cmd *cmd = req->cmd;

	memset(cmd->sense, 0, sizeof(cmd->sense));
	cmd->sense[0] = 0x70;
	cmd->sense[2] = key;
	cmd->sense[7] = 10;
	cmd->sense[12] = asc;
	cmd->sense[13] = ascq;
	fake_finish(r, req, SAM_CHECK);
}

static void free_blocks(struct fake_ring *r, struct fake_req *req, uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++) {
		r->blk_used[req->dbi[i]] = 0;
		r->blk_free++;
		if (req->dbi[i] < r->blk_hint)
			r->blk_hint = req->dbi[i];
	}
}

void fake_free_id(struct fake_ring *r, struct fake_req *req)
{
	if (!req->id)
		return;
	r->ids[req->id] = NULL;
	if (req->id < r->id_hint)
		r->id_hint = req->id;
	r->st.in_flight--;
}

/* Frees it with its blocks; they are poisoned if it was ever on the ring. */
void fake_req_free(struct fake_ring *r, struct fake_req *req)
{
	if (req->id) {
		fake_blocks_poison(r, req);
		free_blocks(r, req, req->dbi_cnt);
	}
	list_del(&req->node);
	free(req->dbi);
	free(req);
}

/* The lowest free blocks, one by one; false and nothing taken if they do not suffice. */
static bool alloc_blocks(struct fake_ring *r, struct fake_req *req)
{
	uint32_t b = r->blk_hint;

	if (r->blk_free < req->dbi_cnt)
		return false;
	for (uint32_t i = 0; i < req->dbi_cnt; i++) {
		while (r->blk_used[b])
			b++;
		r->blk_used[b] = 1;
		r->blk_free--;
		req->dbi[i] = b++;
	}
	r->blk_hint = b;
	return true;
}

/* Neighbouring blocks share an iov; Data-Out and bidi Data-In start a new one each. */
uint32_t fake_count_iovs(const struct fake_req *req, uint32_t from, uint32_t to)
{
	uint32_t n = 0;

	for (uint32_t i = from; i < to; i++)
		n += i == from || req->dbi[i] != req->dbi[i - 1] + 1;
	return n;
}

/* iov: zeros. */
void fake_fill_iovs(struct fake_ring *r, const struct fake_req *req, struct iovec *iov)
{
	uint32_t bidi = req->dbi_cnt - req->bidi_cnt;

	for (uint32_t i = 0; i < req->dbi_cnt; i++) {
		if (!i || i == bidi || req->dbi[i] != req->dbi[i - 1] + 1) {
			if (i)
				iov++;
			iov->iov_base = (void *)(r->data_off + (size_t)req->dbi[i] * r->blk_size);
		}
		iov->iov_len += fake_req_bytes_in(r, req, i);
	}
}

static bool ring_space(const struct fake_ring *r, uint32_t len)
{
	uint32_t to_end = r->cmdr_size - r->head;
	uint32_t need = to_end >= len ? len : len + to_end;
	uint32_t used = r->head >= r->cleaned ? r->head - r->cleaned
					      : r->cmdr_size - r->cleaned + r->head;

	return r->cmdr_size - used - 1 >= need;
}

static void publish(struct fake_ring *r)
{
	if (r->hold_head)
		return;
	for (; r->slot_hidden != r->slot_next; r->slot_hidden++)
		fake_decoy_replace(r, fake_slot(r, r->slot_hidden));
	r->head_visible = r->head;
	__atomic_store_n(&r->mb->cmd_head, r->head, __ATOMIC_RELEASE);
}

static void event(struct fake_ring *r)
{
	if (r->plugged || r->hold_head) {
		r->event_owed = true;
		return;
	}
	r->st.events++;
	if (r->notify)
		r->notify(r->notify_arg);
}

static struct fake_slot *push_slot(struct fake_ring *r, uint8_t op, uint32_t len, uint16_t id)
{
	struct fake_slot *s = fake_slot(r, r->slot_next++);

	*s = (struct fake_slot) { .off = r->head, .len = len, .op = op, .id = id };
	fake_check_ring_free(r, s->off, len);
	r->head = (r->head + len) % r->cmdr_size;
	return s;
}

/* The rest of the ring is too short for len: a PAD that is visible on its own, without an event. */
static void insert_pad(struct fake_ring *r, uint32_t len)
{
	uint32_t rest = r->cmdr_size - r->head;
	struct tcmu_abi_hdr *hdr = (void *)(r->cmdr + r->head);

	if (rest >= len)
		return;
	push_slot(r, TCMU_ABI_OP_PAD, rest, 0);
	*hdr = (struct tcmu_abi_hdr) { .len_op = rest | TCMU_ABI_OP_PAD };
	r->st.pads++;
	publish(r);
}

/* The kernel has one more: that of the decoys. */
static uint16_t alloc_id(struct fake_ring *r)
{
	while (r->id_hint < FAKE_DECOY_ID && r->ids[r->id_hint])
		r->id_hint++;
	if (r->id_hint >= FAKE_DECOY_ID)
		return 0;
	if (r->id_hint > r->id_high)
		r->id_high = r->id_hint;
	return (uint16_t)r->id_hint;
}

static void write_entry(struct fake_ring *r, struct fake_req *req, uint32_t base, uint32_t len)
{
	uint32_t data_cnt = req->dbi_cnt - req->bidi_cnt;
	uint64_t cdb_off = (uint64_t)(r->cmdr - r->base) + r->head + base;
	uint8_t *to = r->cmdr + r->head;
	struct tcmu_abi_entry *ent;
	struct fake_slot *slot;

	req->slot_seq = r->slot_next;
	slot = push_slot(r, TCMU_ABI_OP_CMD, len, req->id);
	if (fake_decoy_wanted(r)) {
		fake_decoy_show(r, slot, req->cdb);
		to = slot->real;
	}
	ent = (void *)to;
	memset(ent, 0, len);
	fake_blocks_take(r, req);
	if (req->dir == FAKE_OUT)
		fake_copy(r, req, true, false, req->cmd->data, req->len);
	fake_prefill(r, req);
	fake_fill_iovs(r, req, ent->req.iov);
	ent->req.iov_cnt = fake_count_iovs(req, 0, data_cnt);
	ent->req.iov_bidi_cnt = fake_count_iovs(req, data_cnt, req->dbi_cnt);
	ent->hdr.cmd_id = req->id;
	ent->hdr.len_op = len | TCMU_ABI_OP_CMD;
	memcpy(to + base, req->cdb, fake_cdb_len(req->cdb));
	ent->req.cdb_off = cdb_off;
	if (slot->real && !r->hold_head)
		fake_decoy_wait(r);
}

static bool wait_in_qfull(struct fake_ring *r, struct fake_req *req)
{
	if (!r->cfg.qfull_time_out)
		return false;
	list_add_tail(&r->qfull, &req->node);
	r->st.qfull++;
	return true;
}

enum queued { ON_RING, WAITS, ANSWERED };

/* Commands that wait have no blocks and no id: others may need them to make progress. */
static enum queued queue_cmd(struct fake_ring *r, struct fake_req *req)
{
	uint32_t data_cnt = req->dbi_cnt - req->bidi_cnt, iovs, base, len;

	if (r->blocked) {
		fake_finish(r, req, SAM_BUSY);
		return ANSWERED;
	}
	if (r->broken) {
		fake_finish_sense(r, req, 0x02, 0x08, 0x00);
		return ANSWERED;
	}
	if (!list_empty(&r->qfull))
		goto wait;
	if (req->dbi_cnt > r->cfg.data_blocks) {
		fake_finish_sense(r, req, 0x05, 0x24, 0x00);
		return ANSWERED;
	}
	if (!alloc_blocks(r, req))
		goto wait;
	iovs = fake_count_iovs(req, 0, data_cnt) + fake_count_iovs(req, data_cnt, req->dbi_cnt);
	base = (uint32_t)offsetof(struct tcmu_abi_entry, req.iov) + iovs * sizeof(struct iovec);
	if (base < sizeof(struct tcmu_abi_entry))
		base = sizeof(struct tcmu_abi_entry);
	len = base + ((uint32_t)fake_cdb_len(req->cdb) + 7) / 8 * 8;
	if (len > r->cmdr_size / 2) {
		free_blocks(r, req, req->dbi_cnt);
		fake_finish_sense(r, req, 0x05, 0x24, 0x00);
		return ANSWERED;
	}
	if (!ring_space(r, len)) {
		free_blocks(r, req, req->dbi_cnt);
		goto wait;
	}
	req->id = alloc_id(r);
	if (!req->id) {
		free_blocks(r, req, req->dbi_cnt);
		fake_finish(r, req, SAM_TASK_SET_FULL);
		return ANSWERED;
	}
	r->ids[req->id] = req;
	req->iov_cnt = iovs;
	req->queued_ms = fake_now_ms();
	if (++r->st.in_flight > r->st.max_in_flight)
		r->st.max_in_flight = r->st.in_flight;
	r->st.cmds++;
	fake_check_mailbox(r);
	insert_pad(r, len);
	write_entry(r, req, base, len);
	publish(r);
	event(r);
	return ON_RING;
wait:
	if (wait_in_qfull(r, req))
		return WAITS;
	fake_finish(r, req, SAM_TASK_SET_FULL);
	return ANSWERED;
}

void fake_ring_submit(struct fake_ring *r, struct fake_cmd *cmd)
{
	struct fake_req *req = calloc(1, sizeof(*req));
	uint32_t blk = r->blk_size;

	list_init(&req->node);
	req->cmd = cmd;
	req->dir = cmd->dir;
	req->len = cmd->dir == FAKE_NONE ? 0 : cmd->len;
	req->bidi_len = cmd->dir == FAKE_OUT && cmd->bidi_in ? cmd->bidi_len : 0;
	memcpy(req->cdb, cmd->cdb, sizeof(req->cdb));
	req->bidi_cnt = (uint32_t)((req->bidi_len + blk - 1) / blk);
	req->dbi_cnt = (uint32_t)((req->len + blk - 1) / blk) + req->bidi_cnt;
	req->dbi = calloc(req->dbi_cnt + 1, sizeof(*req->dbi));
	cmd->req = req;
	cmd->residual = 0;
	cmd->expired = cmd->kept = false;
	memset(cmd->sense, 0, sizeof(cmd->sense));
	fake_lock(r);
	r->st.unanswered++;
	if (queue_cmd(r, req) == ANSWERED)
		fake_req_free(r, req);
	fake_unlock(r);
}

/* The whole queue is taken off first: a command that still does not fit goes back to the end, the
 * rest behind it, as in the kernel. */
void fake_run_qfull(struct fake_ring *r, bool fail)
{
	struct list all;

	list_init(&all);
	list_for_each (node, &r->qfull) {
		list_del(node);
		list_add_tail(&all, node);
	}
	list_for_each (node, &all) {
		struct fake_req *req = container_of(node, struct fake_req, node);

		list_del(node);
		if (fail) {
			fake_finish(r, req, SAM_BUSY);
			fake_req_free(r, req);
			continue;
		}
		switch (queue_cmd(r, req)) {
		case ON_RING:
			break;
		case ANSWERED:
			fake_req_free(r, req);
			break;
		case WAITS:
			list_for_each (rest, &all) {
				list_del(rest);
				list_add_tail(&r->qfull, rest);
			}
			return;
		}
	}
}

static bool queue_tmr(struct fake_ring *r, struct fake_tmr *tmr)
{
	uint32_t ids = tmr->cnt * (uint32_t)sizeof(uint16_t);
	uint32_t len = ((uint32_t)sizeof(struct tcmu_abi_tmr) + ids + 7) / 8 * 8;
	struct tcmu_abi_tmr *ent;

	if (r->broken)
		goto out;
	if (!list_empty(&r->tmrs) || !ring_space(r, len)) {
		list_add_tail(&r->tmrs, &tmr->node);
		return false;
	}
	fake_check_mailbox(r);
	insert_pad(r, len);
	ent = (void *)(r->cmdr + r->head);
	push_slot(r, TCMU_ABI_OP_TMR, len, 0);
	memset(ent, 0, len);
	ent->hdr.len_op = len | TCMU_ABI_OP_TMR;
	ent->type = tmr->type;
	ent->cmd_cnt = tmr->cnt;
	memcpy(ent->cmd_ids, tmr->ids, ids);
	r->st.tmrs++;
	publish(r);
	/* Plugging does not hold this one back. */
	r->st.events++;
	if (r->notify)
		r->notify(r->notify_arg);
out:
	free(tmr);
	return true;
}

/* Before commands that wait. True if none is left. */
bool fake_run_tmrs(struct fake_ring *r)
{
	struct list all;

	list_init(&all);
	list_for_each (node, &r->tmrs) {
		list_del(node);
		list_add_tail(&all, node);
	}
	list_for_each (node, &all) {
		list_del(node);
		if (queue_tmr(r, container_of(node, struct fake_tmr, node)))
			continue;
		list_for_each (rest, &all) {
			list_del(rest);
			list_add_tail(&r->tmrs, rest);
		}
		return false;
	}
	return true;
}

void fake_ring_tmr(struct fake_ring *r, uint8_t type, struct fake_cmd **cmds, size_t n)
{
	struct fake_tmr *tmr = calloc(1, sizeof(*tmr) + n * sizeof(uint16_t));

	list_init(&tmr->node);
	tmr->type = type;
	fake_lock(r);
	for (size_t i = 0; i < n; i++) {
		struct fake_req *req = cmds[i]->req;

		if (!req)
			continue;
		req->aborted = true;
		if (req->id) {
			req->aborted_ms = fake_now_ms();
			r->any_aborted = true;
			tmr->ids[tmr->cnt++] = req->id;
			continue;
		}
		fake_finish(r, req, SAM_TASK_ABORTED);
		fake_req_free(r, req);
	}
	queue_tmr(r, tmr);
	fake_unlock(r);
}

void fake_ring_plug(struct fake_ring *r, bool on)
{
	fake_lock(r);
	r->plugged = on;
	if (!on && r->event_owed) {
		r->event_owed = false;
		event(r);
	}
	fake_unlock(r);
}

void fake_ring_hold_head(struct fake_ring *r, bool on)
{
	fake_lock(r);
	r->hold_head = on;
	publish(r);
	if (!on && r->event_owed) {
		r->event_owed = false;
		event(r);
	}
	fake_unlock(r);
}
