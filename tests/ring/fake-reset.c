/* SPDX-License-Identifier: Apache-2.0 */
/* The ring is reset, or its user space is another one: what counts from then on, and how long it may
 * take until that shows. */
#include "fake-ring-int.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SAM_BUSY 0x08

uint64_t fake_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void fake_drop_tmrs(struct fake_ring *r)
{
	list_for_each (node, &r->tmrs) {
		list_del(node);
		free(container_of(node, struct fake_tmr, node));
	}
}

/* Ends everything on the ring. */
void fake_drop_commands(struct fake_ring *r, int level)
{
	for (uint32_t id = 1; id <= r->id_high; id++) {
		struct fake_req *req = r->ids[id];

		if (!req)
			continue;
		if (!req->kept)
			r->id_marks[id] |= FAKE_ID_KILLED;
		fake_free_id(r, req);
		if (req->cmd && level == 1)
			fake_finish(r, req, SAM_BUSY);
		else if (req->cmd)
			fake_finish_sense(r, req, 0x02, 0x08, 0x00);
		fake_req_free(r, req);
	}
}

/* Nothing of the old entries counts any more, wherever user space is with them. */
void fake_ring_reset(struct fake_ring *r, int level)
{
	uint32_t tail;

	fake_lock(r);
	fake_check_mailbox(r);
	fake_drop_commands(r, level);
	fake_drop_tmrs(r);
	for (; r->slot_first != r->slot_next; r->slot_first++) {
		free(fake_slot(r, r->slot_first)->real);
		fake_slot(r, r->slot_first)->real = NULL;
	}
	r->slot_hidden = r->slot_next;
	tail = __atomic_load_n(&r->mb->cmd_tail, __ATOMIC_RELAXED);
	r->reset_tail = tail < r->cmdr_size ? tail : 0;
	r->reset_used = (r->head + r->cmdr_size - r->reset_tail) % r->cmdr_size;
	r->reset_unseen = true;
	r->reset_said = false;
	r->reset_ms = fake_now_ms();
	r->cleaned = 0;
	r->head = 0;
	r->head_visible = 0;
	__atomic_store_n(&r->mb->cmd_tail, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&r->mb->cmd_head, 0, __ATOMIC_RELEASE);
	r->broken = false;
	fake_run_qfull(r, false);
	fake_unlock(r);
}

/* A new command is answered: user space is done with the old ones, and what is free stays as it is from
 * now on. */
void fake_reset_seen(struct fake_ring *r)
{
	r->reset_unseen = false;
	if (r->head >= r->cleaned) {
		fake_poison_ring(r, 0, r->cleaned);
		if (r->ring_high > r->head)
			fake_poison_ring(r, r->head, r->ring_high - r->head);
	} else {
		fake_poison_ring(r, r->head, r->cleaned - r->head);
	}
}

void fake_ring_restarted(struct fake_ring *r)
{
	fake_lock(r);
	r->served_ms = fake_now_ms();
	for (uint32_t id = 0; id <= r->id_high; id++)
		if (r->id_marks[id] & FAKE_ID_DONE)
			r->id_marks[id] |= FAKE_ID_OLD;
	fake_unlock(r);
	if (r->cfg.swap)
		fake_ring_check_swap(r);
}

static bool is_over(const struct fake_ring *r, uint64_t since, uint64_t ms)
{
	if (since < r->served_ms)
		since = r->served_ms;
	return fake_now_ms() - since > ms;
}

static bool overdue(struct fake_ring *r, uint64_t ms, bool judge)
{
	bool aborted = r->any_aborted, reset = r->reset_unseen && !r->reset_said;
	uint64_t left = r->st.in_flight;
	bool found = false;

	if (r->broken || (!aborted && !reset))
		return false;
	r->any_aborted = false;
	for (uint32_t id = 1; left; id++) {
		struct fake_req *req = r->ids[id];

		left -= !!req;
		if (!req || req->kept)
			continue;
		if (req->aborted && !req->overdue_said) {
			if (is_over(r, req->aborted_ms, ms)) {
				found = true;
				req->overdue_said = judge;
				if (judge)
					fake_verdict(r->v, FAKE_V_TMR,
						     "cmd_id %u was aborted %llu ms ago", id,
						     (unsigned long long)ms);
			}
			r->any_aborted |= !req->overdue_said;
		}
		if (reset && !r->reset_said && is_over(r, req->queued_ms, ms)) {
			found = true;
			r->reset_said = judge;
			if (judge)
				fake_verdict(r->v, FAKE_V_RESET,
					     "%llu ms after a reset cmd_id %u has no answer",
					     (unsigned long long)ms, id);
		}
	}
	return found;
}

bool fake_ring_overdue(struct fake_ring *r, uint64_t ms)
{
	bool yes;

	fake_lock(r);
	yes = overdue(r, ms, false);
	fake_unlock(r);
	return yes;
}

void fake_ring_check_patience(struct fake_ring *r, uint64_t ms)
{
	fake_lock(r);
	overdue(r, ms, true);
	fake_unlock(r);
}
