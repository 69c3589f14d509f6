/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on a whole medium, for FORMAT UNIT and SANITIZE: a command of the runner's own goes over
 * it in pieces, one at a time and not too many in a second, so that other logical units on the same
 * storage get their share.
 */
#include <stdlib.h>
#include <string.h>

#include "runner/clock.h"
#include "runner/device.h"
#include "runner/runner.h"
#include "scsi_defs.h"

#define PIECE_MAX (128u << 20) /* bytes deallocated or filled by the handler at once */
/* Bytes per second that are written: the storage is shared with others, who do not know of this. The
 * limit is that of md(4) (speed_limit_max). */
#define WRITE_RATE (200u << 20)
#define AHEAD_NS   20000000 /* of that rate, before it pauses */
/* What the initiator was told is gone must not wait in a volatile cache until the end, and a cache full
 * of it must not stop all others that use it. */
#define FLUSH_EVERY (64u << 20)

enum method { BY_UNMAP, BY_WRITESAME, BY_WRITE };

struct runner_wipe {
	struct runner_cmd *waiting; /* answered at the end; NULL: it was IMMED, or aborted */
	enum runner_wipe_kind kind;
	enum runner_health before; /* the state as long as nothing was changed or promised */
	bool started;
	bool inverts;
	enum method method;
	unsigned int pass, passes;
	uint64_t total; /* bytes of the medium, */
	uint64_t done;  /* of which these in this pass, */
	uint64_t piece; /* and these under way */
	uint64_t unflushed;
	int64_t due_ns; /* CLOCK_MONOTONIC: when the rate allows the next piece */
	struct tcmur_io pause;
	uint32_t block_size;
	size_t buf_len; /* whole blocks */
	uint8_t *buf;   /* the pattern again and again */
	struct iovec iov;

	struct tcmulib_cmd lib;
	uint8_t cdb[16];
	struct runner_cmd cmd; /* last: the handler's part follows */
};

static struct runner_wipe *wipe_of(struct runner_cmd *rc)
{
	return rc->rdev->wipe;
}

/* ---- the end ---- */

static void say_failure(struct runner_dev *rdev, int sts)
{
	const struct runner_wipe *w = rdev->wipe;
	const char *what = w->kind == RUNNER_WIPE_FORMAT ? "format" : "sanitize";

	tcmu_dev_err(rdev->dev,
		     "a %s operation %s at byte %llu (pass %u of %u): the logical unit refuses "
		     "commands until one comes to its end",
		     what, sts == TCMU_STS_BUSY ? "is interrupted" : "failed",
		     (unsigned long long)w->done, w->pass + 1, w->passes);
}

static void answer_waiting(struct runner_cmd *rc, enum runner_wipe_kind kind, int sts)
{
	/* BUSY: the initiator sends it again, to the next daemon. */
	if (sts == TCMU_STS_OK || sts == TCMU_STS_BUSY) {
		runner_finish(rc, sts);
		return;
	}
	runner_finish_sense(rc, kind == RUNNER_WIPE_FORMAT ? &SCSI_SENSE_FORMAT_FAILED
							   : &SCSI_SENSE_SANITIZE_FAILED);
}

static void end(struct runner_dev *rdev, int sts)
{
	struct runner_wipe *w = rdev->wipe;
	struct runner_cmd *waiting = w->waiting;
	enum runner_wipe_kind kind = w->kind;

	if (sts == TCMU_STS_OK)
		rdev->health = RUNNER_HEALTH_OK;
	else if (!w->started && waiting)
		rdev->health = w->before;
	else
		say_failure(rdev, sts);
	rdev->wipe = NULL;
	runner_note_write(rdev);
	free(w->buf);
	free(w);
	if (waiting)
		answer_waiting(waiting, kind, sts);
}

/* ---- piece by piece ---- */

static void next(struct runner_cmd *rc);
static void write_piece(struct runner_cmd *rc);

static void all_durable(struct runner_cmd *rc, int sts)
{
	end(rc->rdev, sts);
}

static void invert(struct runner_wipe *w)
{
	for (size_t i = 0; i < w->buf_len; i++)
		w->buf[i] = (uint8_t)~w->buf[i];
}

/* A pass is on stable storage, or the cache could drop it in favour of the next one. */
static void pass_durable(struct runner_cmd *rc, int sts)
{
	struct runner_wipe *w = wipe_of(rc);

	if (sts != TCMU_STS_OK) {
		end(rc->rdev, sts);
		return;
	}
	w->unflushed = 0;
	if (w->done == w->total) {
		w->pass++;
		w->done = 0;
		if (w->inverts)
			invert(w);
		if (w->kind == RUNNER_WIPE_ERASE)
			w->method = BY_UNMAP;
	}
	next(rc);
}

static void piece_done(struct runner_cmd *rc, int sts)
{
	struct runner_wipe *w = wipe_of(rc);

	if (sts == TCMU_STS_NOT_HANDLED && w->method != BY_WRITE && w->kind == RUNNER_WIPE_FORMAT) {
		w->method++;
		next(rc);
		return;
	}
	/* What has been overwritten need not be deallocated too (SBC-4 4.7.3.4). */
	if (sts == TCMU_STS_NOT_HANDLED && w->method == BY_UNMAP)
		sts = TCMU_STS_OK;
	if (sts != TCMU_STS_OK) {
		end(rc->rdev, sts);
		return;
	}
	w->done += w->piece;
	w->unflushed += w->piece;
	if (w->done == w->total || (w->method == BY_WRITE && w->unflushed >= FLUSH_EVERY))
		runner_op_flush(rc, w->pass + 1 == w->passes && w->done == w->total ? all_durable
										    : pass_durable);
	else
		next(rc);
}

static void paused(struct tcmur_io *io, int64_t res)
{
	struct runner_wipe *w = container_of(io, struct runner_wipe, pause);

	(void)res;
	write_piece(&w->cmd);
}

/* The next piece to write, when it is time for it. */
static void pace(struct runner_cmd *rc)
{
	struct runner_wipe *w = wipe_of(rc);
	int64_t now = runner_now_ns();

	if (w->due_ns < now)
		w->due_ns = now; /* what was not used is not made up for */
	w->due_ns += (int64_t)w->piece * 1000000000 / WRITE_RATE;
	if (w->due_ns - now < AHEAD_NS) {
		write_piece(rc);
		return;
	}
	w->pause.done = paused;
	tcmur_io_timer(rc->rdev->dev, &w->pause, (uint64_t)(w->due_ns - now));
}

static uint64_t at_most(uint64_t len, uint64_t most)
{
	return len < most ? len : most;
}

static void write_piece(struct runner_cmd *rc)
{
	struct runner_wipe *w = wipe_of(rc);

	runner_op_write(rc, &w->iov, 1, w->piece, w->done, piece_done);
}

static void next(struct runner_cmd *rc)
{
	struct runner_wipe *w = wipe_of(rc);
	uint64_t left = w->total - w->done, max_unmap;

	if (runner_hurry(rc)) {
		end(rc->rdev, TCMU_STS_BUSY);
		return;
	}
	w->iov.iov_base = w->buf;
	w->iov.iov_len = w->block_size;
	switch (w->method) {
	case BY_UNMAP:
		max_unmap = tcmu_lba_to_byte(rc->rdev->dev,
					     tcmu_dev_get_max_unmap_len(rc->rdev->dev));
		w->piece = at_most(left, at_most(max_unmap ? max_unmap : PIECE_MAX, PIECE_MAX));
		runner_op_unmap(rc, w->done, w->piece, piece_done);
		break;
	case BY_WRITESAME:
		w->piece = at_most(left, PIECE_MAX);
		runner_op_writesame(rc, w->done, w->piece, &w->iov, 1, piece_done);
		break;
	case BY_WRITE:
		w->piece = at_most(left, w->buf_len);
		w->iov.iov_len = (size_t)w->piece;
		pace(rc);
		break;
	}
}

/* ---- the beginning ---- */

static void fill(struct runner_wipe *w, const struct scsi_pattern *pattern)
{
	scsi_pattern_fill(pattern, false, w->buf, w->block_size);
	for (size_t i = w->block_size; i < w->buf_len; i += w->block_size)
		memcpy(w->buf + i, w->buf, w->block_size);
}

static bool is_zero(const struct runner_wipe *w)
{
	return !w->buf[0] && !memcmp(w->buf, w->buf + 1, w->block_size - 1);
}

static enum method first_method(struct runner_dev *rdev, const struct runner_wipe *w)
{
	if (w->kind != RUNNER_WIPE_FORMAT)
		return BY_WRITE;
	if (is_zero(w) && tcmu_dev_get_unmap_enabled(rdev->dev) &&
	    tcmu_dev_get_unmap_zeroes(rdev->dev))
		return BY_UNMAP;
	return BY_WRITESAME;
}

static struct runner_wipe *wipe_new(struct runner_cmd *rc, const struct runner_wipe_plan *plan)
{
	struct runner_dev *rdev = rc->rdev;
	size_t size = sizeof(struct runner_wipe) + rdev->handler->cmd_priv_size;
	struct runner_wipe *w = aligned_alloc(_Alignof(struct runner_wipe), (size + 15) & ~15ul);
	void *buf;

	if (!w || posix_memalign(&buf, 4096, RUNNER_BOUNCE_SIZE)) {
		free(w);
		return NULL;
	}
	memset(w, 0, size);
	w->buf = buf;
	w->kind = plan->kind;
	w->passes = plan->passes ? plan->passes : 1;
	w->inverts = plan->invert;
	w->block_size = tcmu_dev_get_block_size(rdev->dev);
	w->total = tcmu_lba_to_byte(rdev->dev, tcmu_dev_get_num_lbas(rdev->dev));
	w->buf_len = RUNNER_BOUNCE_SIZE - RUNNER_BOUNCE_SIZE % w->block_size;
	fill(w, &plan->pattern);
	/* The last pass leaves the pattern itself. */
	if (w->inverts && w->passes % 2 == 0)
		invert(w);
	w->method = first_method(rdev, w);
	if (w->kind == RUNNER_WIPE_ERASE && tcmu_dev_get_unmap_enabled(rdev->dev))
		w->passes++;
	memcpy(w->cdb, rc->pub.lib_cmd->cdb, 6); /* for a handler that looks */
	w->lib.cdb = w->cdb;
	w->cmd.pub.lib_cmd = &w->lib;
	w->cmd.rdev = rdev;
	return w;
}

void runner_wipe_start(struct runner_cmd *rc, const struct runner_wipe_plan *plan, bool immed)
{
	struct runner_dev *rdev = rc->rdev;
	struct runner_wipe *w;
	struct scsi_sense sense;

	if (rc->abort.asked) {
		runner_finish(rc, TCMU_STS_ABORTED);
		return;
	}
	if (rdev->wipe) { /* begun while this one waited for something */
		runner_wipe_sense(rdev, &sense);
		runner_finish_sense(rc, &sense);
		return;
	}
	if (runner_hurry(rc)) {
		runner_finish(rc, TCMU_STS_BUSY);
		return;
	}
	w = wipe_new(rc, plan);
	if (!w) {
		runner_finish(rc, TCMU_STS_NO_RESOURCE);
		return;
	}
	w->before = rdev->health;
	rdev->wipe = w;
	rdev->health = plan->failed;
	runner_note_write(rdev);
	/* The operation waits for the commands before it; this one waits for the operation. */
	if (rc->active)
		rdev->active--;
	rc->active = false;
	if (immed)
		runner_finish(rc, TCMU_STS_OK);
	else
		w->waiting = rc;
	if (rdev->wipe && !rdev->active)
		runner_wipe_kick(rdev);
}

void runner_wipe_kick(struct runner_dev *rdev)
{
	struct runner_wipe *w = rdev->wipe;

	if (w->started)
		return;
	if (!runner_hurry(&w->cmd))
		w->started = true;
	next(&w->cmd);
}

bool runner_wipe_abandon(struct runner_cmd *rc)
{
	struct runner_wipe *w = rc->rdev->wipe;

	if (!w || w->waiting != rc)
		return false;
	w->waiting = NULL;
	return true;
}

bool runner_wipe_sanitizes(const struct runner_dev *rdev)
{
	return rdev->wipe->kind != RUNNER_WIPE_FORMAT;
}

void runner_wipe_sense(const struct runner_dev *rdev, struct scsi_sense *sense)
{
	const struct runner_wipe *w = rdev->wipe;

	*sense = scsi_sense_progress(w->kind == RUNNER_WIPE_FORMAT
					     ? SCSI_SENSE_FORMAT_IN_PROGRESS
					     : SCSI_SENSE_SANITIZE_IN_PROGRESS,
				     w->pass * w->total + w->done, w->passes * w->total);
}
