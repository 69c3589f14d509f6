/* SPDX-License-Identifier: Apache-2.0 */
/* Life of a ring, and what configfs and timers do to it (target_core_user.c). */
#include "fake-ring-int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SAM_TASK_SET_FULL 0x28

#define BLOCK_HELD 2 /* blk_used[]: by fake_ring_fragment() */

static int map_ring(struct fake_ring *r)
{
	r->memfd = memfd_create("tcmu-ring", MFD_CLOEXEC);
	if (r->memfd < 0)
		return -1;
	r->file_len = r->data_off;
	if (ftruncate(r->memfd, (off_t)(FAKE_PAGE + r->file_len)))
		return -1;
	r->base = fake_map(r->memfd, fake_ring_map_len(r));
	return r->base == MAP_FAILED ? -1 : 0;
}

static void first_mailbox(struct fake_ring *r)
{
	r->mb->version = TCMU_ABI_MAILBOX_VERSION;
	r->mb->flags = r->cfg.flags;
	r->mb->cmdr_off = sizeof(*r->mb);
	r->mb->cmdr_size = r->cmdr_size;
	memcpy(r->mb_copy, r->mb, sizeof(r->mb_copy));
}

struct fake_ring *fake_ring_new(const struct fake_ring_cfg *cfg, struct fake_verdicts *v)
{
	struct fake_ring *r = calloc(1, sizeof(*r));

	r->cfg = *cfg;
	r->v = v;
	if (!r->cfg.ring_bytes)
		r->cfg.ring_bytes = 1u << 20;
	if (!r->cfg.flags)
		r->cfg.flags = TCMU_ABI_CAP_OOO | TCMU_ABI_CAP_READ_LEN | TCMU_ABI_CAP_TMR |
			       TCMU_ABI_CAP_KEEP_BUF;
	r->cmdr_size = r->cfg.ring_bytes - (uint32_t)sizeof(struct tcmu_abi_mailbox);
	r->blk_size = r->cfg.pages_per_blk * FAKE_PAGE;
	r->data_off = ((size_t)r->cfg.ring_bytes + FAKE_PAGE - 1) / FAKE_PAGE * FAKE_PAGE;
	r->map_len = r->data_off + (size_t)r->cfg.data_blocks * r->blk_size;
	if (map_ring(r)) {
		int err = errno;

		if (r->memfd >= 0)
			close(r->memfd);
		free(r);
		errno = err;
		return NULL;
	}
	r->mb = (void *)r->base;
	r->cmdr = r->base + sizeof(*r->mb);
	first_mailbox(r);
	r->slot_cap = r->cmdr_size / 32 + 2; /* a TMR without ids is the shortest, and a PAD */
	r->slots = calloc(r->slot_cap, sizeof(*r->slots));
	r->blk_used = calloc(r->cfg.data_blocks, 1);
	r->blk_high = calloc(r->cfg.data_blocks, sizeof(*r->blk_high));
	r->blk_free = r->cfg.data_blocks;
	r->ids = calloc(FAKE_MAX_ID + 1, sizeof(struct fake_req *));
	r->id_marks = calloc(FAKE_MAX_ID + 1, 1);
	r->id_hint = 1;
	r->seed = (uint64_t)getpid() << 32;
	list_init(&r->qfull);
	list_init(&r->tmrs);
	r->finished_end = &r->finished;
	pthread_mutex_init(&r->lock, NULL);
	fake_decoy_init(r);
	return r;
}

void fake_ring_free(struct fake_ring *r)
{
	if (!r)
		return;
	fake_lock(r);
	fake_run_qfull(r, true);
	fake_drop_commands(r, 2);
	fake_drop_tmrs(r);
	for (; r->slot_first != r->slot_next; r->slot_first++)
		free(fake_slot(r, r->slot_first)->real);
	fake_unlock(r);
	munmap(r->base, fake_ring_map_len(r));
	close(r->memfd);
	free(r->slots);
	free(r->blk_used);
	free(r->blk_high);
	free(r->ids);
	free(r->id_marks);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void fake_ring_recycle(struct fake_ring *r)
{
	fake_lock(r);
	fake_run_qfull(r, true);
	fake_drop_commands(r, 2);
	fake_drop_tmrs(r);
	for (; r->slot_first != r->slot_next; r->slot_first++) {
		free(fake_slot(r, r->slot_first)->real);
		fake_slot(r, r->slot_first)->real = NULL;
	}
	fake_unlock(r);
	memset(r->mb, 0, sizeof(*r->mb));
	memset(r->cmdr, 0, r->cmdr_size);
	memset(r->slots, 0, r->slot_cap * sizeof(*r->slots));
	memset(r->blk_used, 0, r->cfg.data_blocks);
	memset(r->blk_high, 0, r->cfg.data_blocks * sizeof(*r->blk_high));
	memset(r->id_marks, 0, r->id_high + 1);
	memset(&r->st, 0, sizeof(r->st));
	/* What the file loses comes back as zeros. */
	r->file_len = r->data_off;
	if (ftruncate(r->memfd, (off_t)(FAKE_PAGE + r->file_len)))
		abort();
	r->head = r->head_visible = r->cleaned = r->ring_high = 0;
	r->slot_first = r->slot_next = r->slot_hidden = 0;
	r->blk_hint = 0;
	r->blk_free = r->cfg.data_blocks;
	r->id_hint = 1;
	r->id_high = 0;
	r->reset_unseen = r->reset_said = r->any_aborted = false;
	r->blocked = r->broken = r->plugged = r->event_owed = r->hold_head = false;
	r->seed = 0;
	first_mailbox(r);
	fake_decoy_init(r);
}

int fake_ring_memfd(struct fake_ring *r)
{
	return r->memfd;
}

size_t fake_ring_map_len(struct fake_ring *r)
{
	return r->map_len + FAKE_PAGE;
}

void *fake_ring_base(struct fake_ring *r)
{
	return r->base;
}

void fake_ring_on_event(struct fake_ring *r, void (*notify)(void *arg), void *arg)
{
	fake_lock(r);
	r->notify = notify;
	r->notify_arg = arg;
	fake_unlock(r);
}

void fake_ring_on_ack(struct fake_ring *r,
		      bool (*done_really)(const struct fake_cmd *cmd, uint8_t status, void *arg),
		      void *arg)
{
	fake_lock(r);
	r->ack = done_really;
	r->ack_arg = arg;
	fake_unlock(r);
}

void fake_ring_expire(struct fake_ring *r, struct fake_cmd *cmd)
{
	struct fake_req *req;

	fake_lock(r);
	req = cmd->req;
	if (req && req->id) {
		cmd->expired = true;
		fake_finish_sense(r, req, 0x02, 0x08, 0x00);
		req->expired = true;
	} else if (req) {
		cmd->expired = true;
		fake_finish(r, req, SAM_TASK_SET_FULL);
		fake_req_free(r, req);
	}
	fake_unlock(r);
}

void fake_ring_block(struct fake_ring *r, bool on)
{
	fake_lock(r);
	if (on && !r->blocked) {
		r->blocked = true;
		fake_handle_completions(r);
		fake_run_qfull(r, true);
	} else if (!on) {
		r->blocked = false;
	}
	fake_unlock(r);
}

bool fake_ring_is_blocked(struct fake_ring *r)
{
	bool yes;

	fake_lock(r);
	yes = r->blocked;
	fake_unlock(r);
	return yes;
}

bool fake_ring_is_broken(struct fake_ring *r)
{
	bool yes;

	fake_lock(r);
	yes = r->broken;
	fake_unlock(r);
	return yes;
}

void fake_ring_fragment(struct fake_ring *r, bool on)
{
	fake_lock(r);
	for (uint32_t b = 1; b < r->cfg.data_blocks; b += 2) {
		if (on && !r->blk_used[b]) {
			r->blk_used[b] = BLOCK_HELD;
			r->blk_free--;
		} else if (!on && r->blk_used[b] == BLOCK_HELD) {
			r->blk_used[b] = 0;
			r->blk_free++;
		}
	}
	r->blk_hint = 0;
	if (!on && list_empty(&r->tmrs))
		fake_run_qfull(r, false);
	fake_unlock(r);
}

int fake_ring_free_kept(struct fake_ring *r, uint32_t id)
{
	struct fake_req *req;
	int ret = 0;

	fake_lock(r);
	req = id <= FAKE_MAX_ID ? r->ids[id] : NULL;
	if (!req || !req->kept) {
		fake_verdict(r->v, FAKE_V_KEEP_BUF, "free_kept_buf %u: nothing is kept there", id);
		ret = -EINVAL;
	} else {
		fake_free_id(r, req);
		fake_req_free(r, req);
		/* Only data space came free: TMRs wait for ring space. */
		if (list_empty(&r->tmrs))
			fake_run_qfull(r, false);
	}
	fake_unlock(r);
	return ret;
}

void fake_ring_closed(struct fake_ring *r)
{
	bool freed = false;

	fake_lock(r);
	for (uint32_t id = 1; id <= FAKE_MAX_ID; id++) {
		struct fake_req *req = r->ids[id];

		if (!req || !req->kept)
			continue;
		fake_free_id(r, req);
		fake_req_free(r, req);
		freed = true;
	}
	if (freed && list_empty(&r->tmrs))
		fake_run_qfull(r, false);
	fake_unlock(r);
}

uint16_t fake_ring_cmd_id(struct fake_ring *r, struct fake_cmd *cmd)
{
	uint16_t id;

	fake_lock(r);
	id = cmd->req ? cmd->req->id : 0;
	fake_unlock(r);
	return id;
}

void fake_ring_get_stats(struct fake_ring *r, struct fake_ring_stats *st)
{
	fake_lock(r);
	*st = r->st;
	st->drained = r->slot_first == r->slot_next;
	fake_unlock(r);
}
