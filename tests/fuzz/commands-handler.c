/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handler of fuzz-commands: memory. What it is asked for is done when the input says, in any order, with
 * any outcome; or, if it is blocking, when a worker takes it.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/commands.h"

static const int outcomes[] = {
	TCMU_STS_RD_ERR,
	TCMU_STS_WR_ERR,
	TCMU_STS_HW_ERR,
	TCMU_STS_NO_SPACE,
	TCMU_STS_BUSY,
	TCMU_STS_NO_RESOURCE,
	TCMU_STS_TIMEOUT,
	TCMU_STS_NOT_HANDLED,
	TCMU_STS_PASSTHROUGH_ERR,
	TCMU_STS_MISCOMPARE,
	TCMU_STS_INVALID_CMD,
	-5,
	12345,
};

/* May it be declined? */
static bool may_decline(const struct held *h)
{
	return h->what == H_UNMAP || h->what == H_SAME || h->what == H_CAW || h->what == H_STATUS ||
	       h->what == H_OWN;
}

static int outcome_of(const struct held *h, uint32_t how)
{
	int sts;

	if (w.finishing || how < 0xc0)
		return h->what == H_OWN && h->cmd->lib_cmd->cdb[0] != VENDOR_OPCODE
			       ? TCMU_STS_NOT_HANDLED
			       : TCMU_STS_OK;
	if (how < 0xd8 && may_decline(h))
		return TCMU_STS_NOT_HANDLED;
	sts = outcomes[how % (sizeof(outcomes) / sizeof(outcomes[0]))];
	if (how & 0x20)
		tcmur_cmd_set_error_offset(h->cmd, h->off + how * 64);
	return sts;
}

/* ---- the storage ------------------------------------------------------------------------------ */

static void changed(uint64_t off, uint64_t len, bool deallocated)
{
	for (uint64_t b = off / w.block_size; b < (off + len) / w.block_size; b++) {
		model_changed(b);
		w.deallocated &= ~(UINT64_C(1) << b);
		w.deallocated |= (uint64_t)deallocated << b;
	}
}

static bool is_stable(const struct held *h)
{
	return !w.entry.handler.flush ||
	       (w.entry.handler.flags & TCMUR_HANDLER_FUA && tcmur_cmd_fua(h->cmd));
}

static void do_write(struct held *h, uint64_t len)
{
	model_write(h->sent, h->iov, h->iov_cnt, h->off, h->len);
	tcmu_memcpy_from_iovec(w.medium + h->off, len, h->iov, h->iov_cnt);
	changed(h->off, len - len % w.block_size, false);
	if (len % w.block_size)
		changed(h->off + len - len % w.block_size, w.block_size, false);
	model_dirty(h->sent, is_stable(h));
}

static void do_unmap(struct held *h)
{
	model_unmap(h->sent, h->off, h->len);
	if (tcmu_dev_get_unmap_zeroes(&w.dev))
		memset(w.medium + h->off, 0, h->len);
	else if (w.dealloc_junk)
		memset(w.medium + h->off, 0x5a, h->len);
	changed(h->off, h->len, tcmu_dev_get_unmap_zeroes(&w.dev));
	model_dirty(h->sent, !w.entry.handler.flush);
}

static void do_same(struct held *h)
{
	uint8_t block[BLOCK_SIZE_MAX];

	assert(tcmu_iovec_length(h->iov, h->iov_cnt) == w.block_size);
	tcmu_memcpy_from_iovec(block, w.block_size, h->iov, h->iov_cnt);
	model_same(h->sent, block, h->off, h->len);
	for (uint64_t at = h->off; at < h->off + h->len; at += w.block_size)
		memcpy(w.medium + at, block, w.block_size);
	changed(h->off, h->len, false);
	model_dirty(h->sent, !w.entry.handler.flush);
}

static int do_caw(struct held *h)
{
	static uint8_t both[DATA_MAX];
	struct iovec second = { both + h->len, h->len };

	assert(2 * h->len <= sizeof(both));
	assert(tcmu_iovec_length(h->iov, h->iov_cnt) == 2 * h->len);
	tcmu_memcpy_from_iovec(both, 2 * h->len, h->iov, h->iov_cnt);
	for (uint64_t i = 0; i < h->len; i++) {
		if (both[i] != w.medium[h->off + i]) {
			tcmur_cmd_set_error_offset(h->cmd, h->off + i);
			return TCMU_STS_MISCOMPARE;
		}
	}
	model_write(h->sent, &second, 1, h->off, h->len);
	memcpy(w.medium + h->off, second.iov_base, h->len);
	changed(h->off, h->len, false);
	model_dirty(h->sent, is_stable(h));
	return TCMU_STS_OK;
}

/* Pieces that are not blocks, and neighbours of one kind. */
static void do_status(struct held *h)
{
	uint64_t off = h->off, step = w.block_size / 2;

	for (size_t i = 0; i < h->iov_cnt && off < h->off + h->len; i++, off += step)
		h->extents[i] = (struct tcmur_extent) { step,
							w.deallocated >> (off / w.block_size) & 1 };
}

/* The vendor's command: the initiator gets all of its buffer filled. */
static void do_own(struct held *h)
{
	struct tcmulib_cmd *cmd = h->cmd->lib_cmd;

	for (size_t i = 0; i < cmd->iov_cnt; i++)
		memset(cmd->iovec[i].iov_base, 0x77, cmd->iovec[i].iov_len);
}

static int do_well(struct held *h)
{
	switch (h->what) {
	case H_READ:
		tcmu_memcpy_into_iovec(h->iov, h->iov_cnt, w.medium + h->off, h->len);
		break;
	case H_WRITE:
		do_write(h, h->len);
		break;
	case H_FLUSH:
		if (h->began_at > w.flushed)
			w.flushed = h->began_at;
		break;
	case H_UNMAP:
		do_unmap(h);
		break;
	case H_SAME:
		do_same(h);
		break;
	case H_CAW:
		return do_caw(h);
	case H_STATUS:
		do_status(h);
		break;
	case H_OWN:
		do_own(h);
		break;
	case H_SAVE:
		assert(h->len <= sizeof(w.saved));
		memcpy(w.saved, h->iov, h->len);
		w.saved_len = h->len;
		break;
	}
	if (h->what == H_READ || h->what == H_WRITE)
		tcmu_iovec_seek(h->iov, h->len); /* a handler may */
	return TCMU_STS_OK;
}

static int carry_out(struct held *h, uint32_t how)
{
	int sts = outcome_of(h, how);

	w.now++;
	if (sts == TCMU_STS_OK)
		return do_well(h);
	if (sts == TCMU_STS_NOT_HANDLED && may_decline(h))
		return sts;
	if (h->sent)
		h->sent->failed = true;
	/* Some of it may have been done. */
	if (h->what == H_WRITE && how & 0x10)
		do_write(h, h->len / 2);
	return sts;
}

/* An asynchronous handler ends what it is still holding. */
static void on_cancel(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	for (unsigned int i = 0; i < w.held_count; i++) {
		if (w.held[i].cmd != cmd)
			continue;
		memmove(w.held + i, w.held + i + 1, (--w.held_count - i) * sizeof(w.held[0]));
		tcmur_cmd_complete(dev, cmd, TCMU_STS_ABORTED);
		return;
	}
}

/* ---- the callbacks ---------------------------------------------------------------------------- */

/* Whose? Of a command that the initiator has an answer to only the id is known. */
static struct sent *sent_of(const struct tcmulib_cmd *cmd)
{
	struct sent *expired = NULL;

	if (!cmd->cmd_id)
		return NULL;
	for (unsigned int i = 0; i < w.sent_count; i++) {
		struct sent *s = w.sent[i];

		if (s->fc.req && fake_ring_cmd_id(w.ring, &s->fc) == cmd->cmd_id)
			return s;
		if (!s->fc.req && s->fc.expired && s->id == cmd->cmd_id)
			expired = s;
	}
	return expired;
}

static int called(struct held h)
{
	uint32_t how;

	w.now++;
	h.began_at = w.now;
	h.sent = sent_of(h.cmd->lib_cmd);
	if (h.sent && h.what == H_UNMAP)
		for (uint64_t b = h.off / w.block_size; b < (h.off + h.len) / w.block_size; b++)
			h.sent->asked |= UINT64_C(1) << b;
	if (h.what != H_FLUSH && h.what != H_OWN && h.what != H_SAVE) {
		assert(h.len && h.off % w.block_size == 0 && h.len % w.block_size == 0);
		assert(h.off + h.len <= (uint64_t)BLOCKS * w.block_size);
	}
	how = w.finishing ? 0 : take(1);
	if (w.blocking)
		return carry_out(&h, how);
	if (how < 0xa0 && w.held_count < HELD_MAX && !w.finishing) {
		w.held[w.held_count++] = h;
		return w.old_style ? TCMU_STS_OK : TCMU_STS_ASYNC_HANDLED;
	}
	how = w.finishing ? 0 : take(1);
	if (!w.old_style && how % 2)
		return carry_out(&h, how);
	tcmur_cmd_complete(&w.dev, h.cmd, carry_out(&h, how));
	return w.old_style ? TCMU_STS_OK : TCMU_STS_ASYNC_HANDLED;
}

static int on_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		   size_t iov_cnt, size_t len, off_t off)
{
	assert(dev == &w.dev && tcmu_iovec_length(iov, iov_cnt) == len);
	return called((struct held) { .what = H_READ,
				      .cmd = cmd,
				      .iov = iov,
				      .iov_cnt = iov_cnt,
				      .off = (uint64_t)off,
				      .len = len });
}

static int on_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
		    size_t iov_cnt, size_t len, off_t off)
{
	assert(dev == &w.dev && tcmu_iovec_length(iov, iov_cnt) == len);
	return called((struct held) { .what = H_WRITE,
				      .cmd = cmd,
				      .iov = iov,
				      .iov_cnt = iov_cnt,
				      .off = (uint64_t)off,
				      .len = len });
}

static int on_flush(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	(void)dev;
	return called((struct held) { .what = H_FLUSH, .cmd = cmd });
}

static int on_unmap(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len)
{
	(void)dev;
	return called((struct held) { .what = H_UNMAP, .cmd = cmd, .off = off, .len = len });
}

static int on_same(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
		   struct iovec *iov, size_t iov_cnt)
{
	(void)dev;
	return called((struct held) { .what = H_SAME,
				      .cmd = cmd,
				      .iov = iov,
				      .iov_cnt = iov_cnt,
				      .off = off,
				      .len = len });
}

static int on_caw(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
		  struct iovec *iov, size_t iov_cnt)
{
	(void)dev;
	return called((struct held) { .what = H_CAW,
				      .cmd = cmd,
				      .iov = iov,
				      .iov_cnt = iov_cnt,
				      .off = off,
				      .len = len });
}

static int on_status(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
		     struct tcmur_extent *extents, size_t max)
{
	(void)dev;
	for (size_t i = 0; i < max; i++)
		assert(!extents[i].len);
	return called((struct held) { .what = H_STATUS,
				      .cmd = cmd,
				      .extents = extents,
				      .iov_cnt = max,
				      .off = off,
				      .len = len });
}

static int on_own(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	(void)dev;
	return called((struct held) { .what = H_OWN, .cmd = cmd });
}

static int on_save(struct tcmu_device *dev, struct tcmur_cmd *cmd, const void *data, size_t len)
{
	(void)dev;
	return called((struct held) {
		.what = H_SAVE, .cmd = cmd, .iov = (void *)(uintptr_t)data, .len = len });
}

static ssize_t load_saved(struct tcmu_device *dev, void *data, size_t size)
{
	(void)dev;
	assert(size >= w.saved_len);
	memcpy(data, w.saved, w.saved_len);
	return (ssize_t)w.saved_len;
}

static int on_reconfig(struct tcmu_device *dev, struct tcmulib_cfg_info *cfg)
{
	(void)dev, (void)cfg;
	return w.finishing || take(1) < 0xc0 ? 0 : -EIO;
}

/* ---- what the input makes of it --------------------------------------------------------------- */

void runner_workers_submit(struct runner_workers *workers, struct runner_job *first,
			   struct runner_job **last, unsigned int n)
{
	(void)workers;
	*w.jobs_end = first;
	w.jobs_end = last;
	*last = NULL;
	w.jobs_count += n;
}

void runner_workers_trim(struct runner_workers *workers)
{
	(void)workers;
}

struct runner_job *runner_workers_take(struct runner_workers *workers, const void *from,
				       const void *to, bool (*may)(const struct runner_job *job))
{
	struct runner_job *job = runner_job_take(&w.jobs, &w.jobs_end, from, to, may);

	(void)workers;
	w.jobs_count -= job != NULL;
	return job;
}

bool handler_has_work(void)
{
	return w.held_count || w.jobs_count;
}

/* The worker that takes the second job may be quicker than the one with the first. */
static void run_job(uint32_t which)
{
	struct runner_job **at = &w.jobs, *job;

	for (which %= w.jobs_count; which; which--)
		at = &(*at)->next;
	job = *at;
	*at = job->next;
	if (!*at)
		w.jobs_end = at;
	w.jobs_count--;
	job->run(job);
}

void handler_work(uint32_t which, uint32_t outcome)
{
	struct held h;

	if (w.jobs_count) {
		run_job(which);
		return;
	}
	if (!w.held_count)
		return;
	which %= w.held_count;
	h = w.held[which];
	memmove(w.held + which, w.held + which + 1, (--w.held_count - which) * sizeof(w.held[0]));
	tcmur_cmd_complete(&w.dev, h.cmd, carry_out(&h, outcome));
}

void handler_reset(uint32_t shape)
{
	w.blocking = shape & 0x100;
	w.old_style = !w.blocking && shape & 0x200;
	w.dealloc_junk = shape & 0x400;
	w.entry.old_style = w.old_style;
	w.entry.handler = (struct tcmur_handler) {
		.subtype = "fuzz",
		.nr_threads = w.blocking ? 4 : 0,
		.cmd_priv_size = shape & 0x800 ? 40 : 0,
		.flags = shape & 0x80 ? TCMUR_HANDLER_FUA : 0,
		.read = on_read,
		.write = on_write,
		.flush = shape & 0x01 ? on_flush : NULL,
		.unmap = shape & 0x02 ? on_unmap : NULL,
		.writesame = shape & 0x04 ? on_same : NULL,
		.caw = shape & 0x08 ? on_caw : NULL,
		.lba_status = shape & 0x10 ? on_status : NULL,
		.handle_cmd = shape & 0x20 ? on_own : NULL,
		.load_saved = shape & 0x40 ? load_saved : NULL,
		.store_saved = shape & 0x40 ? on_save : NULL,
		.reconfig = on_reconfig,
		.cancel = shape & 0x1000 ? on_cancel : NULL,
	};
	w.held_count = w.jobs_count = 0;
	w.jobs = NULL;
	w.jobs_end = &w.jobs;
	w.saved_len = 0;
}
