/* SPDX-License-Identifier: Apache-2.0 */
/* The device's thread at work: one loop, one wait for everything. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "runner/cfgstring.h"
#include "runner/device.h"
#include "runner/pause.h"
#include "runner/runner.h"
#include "runner/uring.h"
#include "scsi_defs.h"

#define BATCH_MAX 128

/* All new entries at once, but so many that those who submit faster than we look do not keep the first ones
 * from being started. */
static void drain_ring(struct runner_dev *rdev)
{
	int size = (int)runner_cmd_size(rdev);
	unsigned int left = BATCH_MAX;
	const struct tcmulib_tmr *tmr;
	struct tcmulib_cmd *cmd;

	while (left) {
		while (left && (cmd = tcmulib_get_next_command(rdev->dev, size))) {
			runner_dispatch(rdev, cmd);
			left--;
			if (tcmulib_ring_pending(rdev->dev))
				continue;
			if (!atomic_load_explicit(&rdev->idle.used, memory_order_relaxed))
				runner_idle_used(rdev);
			return;
		}
		tmr = left ? tcmulib_get_next_tmr(rdev->dev) : NULL;
		if (!tmr)
			return;
		runner_abort_tmr(rdev, tmr);
	}
}

/* Before they are executed for the second time, those that were in the middle of what nobody else may come
 * between (COMPARE AND WRITE): they have their range first. A TMR of that time is void: what it aborted
 * is executed, and its initiator waits for the end, whichever. */
static void drain_replay(struct runner_dev *rdev)
{
	g_autoptr(GPtrArray) rest = g_ptr_array_new();
	int size = (int)runner_cmd_size(rdev);
	unsigned int begun = 0;
	struct tcmulib_cmd *cmd;

	while (tcmulib_ring_replays(rdev->dev)) {
		cmd = tcmulib_get_next_command(rdev->dev, size);
		if (!cmd && !tcmulib_get_next_tmr(rdev->dev))
			break;
		if (cmd && cmd->mark) {
			runner_dispatch(rdev, cmd);
			begun++;
		} else if (cmd) {
			g_ptr_array_add(rest, cmd);
		}
	}
	tcmu_dev_warn(rdev->dev,
		      "the process before this one died; %u commands are executed again, %u that "
		      "had begun go on",
		      rest->len, begun);
	for (guint i = 0; i < rest->len; i++)
		runner_dispatch(rdev, g_ptr_array_index(rest, i));
}

/* The outcome of a reconfig, for the writer and, if it is still there, for the device. */
static void answer_reconfig(struct runner_dev *rdev, int ret)
{
	struct tcmulib_cfg_info cfg = rdev->reconfig;
	bool ours = runner_dev_claim_reply(rdev, RUNNER_REPLY_RECONFIG);
	uint64_t lbas;

	/* Past the deadline the kernel keeps the old value, and so do we. */
	if (cfg.type == TCMULIB_CFG_WRITE_CACHE)
		runner_dev_set_write_cache(rdev, ret || !ours ? rdev->cache_before
							      : cfg.data.write_cache);
	atomic_store(&rdev->reconfig_busy, false);
	if (!ours)
		return;
	if (!ret && cfg.type == TCMULIB_CFG_DEV_SIZE) {
		lbas = tcmu_byte_to_lba(rdev->dev, cfg.data.dev_size);
		if (lbas != tcmu_dev_get_num_lbas(rdev->dev)) {
			tcmu_dev_set_num_lbas(rdev->dev, lbas);
			atomic_store(&rdev->size, cfg.data.dev_size);
			runner_dev_unit_attention(rdev, RUNNER_UA_CAPACITY_CHANGED);
		}
	}
	if (!ret && cfg.type == TCMULIB_CFG_DEV_CFGSTR)
		rdev->config_len = strlen(cfg.data.dev_cfgstring);
	if (!ret && cfg.type == TCMULIB_CFG_WRITE_CACHE &&
	    rdev->cache_before != cfg.data.write_cache)
		runner_dev_unit_attention(rdev, RUNNER_UA_MODE_CHANGED);
	tcmulib_event_done(rdev->dev, ret);
}

int runner_own_flush(struct runner_dev *rdev, void (*done)(struct runner_cmd *rc, int sts))
{
	if (rdev->own_busy)
		return -EBUSY;
	if (!rdev->own)
		rdev->own = aligned_alloc(16, (runner_cmd_size(rdev) + 15) & ~(size_t)15);
	if (!rdev->own)
		return -ENOMEM;
	memset(rdev->own, 0, runner_cmd_size(rdev));
	rdev->own_cdb[0] = SYNCHRONIZE_CACHE; /* for a handler that looks */
	rdev->own_lib.cdb = rdev->own_cdb;
	rdev->own->pub.lib_cmd = &rdev->own_lib;
	rdev->own->rdev = rdev;
	rdev->own_busy = true;
	runner_op_flush(rdev->own, done);
	return 0;
}

static void reconfig_flushed(struct runner_cmd *rc, int sts)
{
	struct runner_dev *rdev = rc->rdev;

	rdev->own_busy = false;
	answer_reconfig(rdev, sts == TCMU_STS_OK ? 0 : -EIO);
}

/* Size and write cache are promises about durability: the handler flushes before we answer, like any
 * flush, while commands go on. */
static void flush_for_reconfig(struct runner_dev *rdev)
{
	int ret = runner_own_flush(rdev, reconfig_flushed);

	if (ret)
		answer_reconfig(rdev, ret);
}

static bool same_config(struct tcmu_device *dev, const char *cfgstring)
{
	g_autofree char *own = g_strdup(cfgstring);
	size_t len = runner_dev_of(dev)->config_len;

	runner_cfg_take_time_out(own);
	return strlen(own) == len && !strncmp(own, tcmu_dev_get_cfgstring(dev), len);
}

/*
 * targetcli writes each attribute when it restores a configuration. What is so already is no change
 * that a handler could refuse: the same config string, and no size where there was none.
 */
static bool is_so_already(struct tcmu_device *dev, const struct tcmulib_cfg_info *cfg)
{
	switch (cfg->type) {
	case TCMULIB_CFG_DEV_CFGSTR:
		return same_config(dev, cfg->data.dev_cfgstring);
	case TCMULIB_CFG_DEV_SIZE:
		return !cfg->data.dev_size && !tcmu_dev_get_config_size(dev);
	case TCMULIB_CFG_WRITE_CACHE:
		return false;
	}
	return false;
}

static void answer_no_change(struct runner_dev *rdev)
{
	bool ours = runner_dev_claim_reply(rdev, RUNNER_REPLY_RECONFIG);

	atomic_store(&rdev->reconfig_busy, false);
	if (ours)
		tcmulib_event_done(rdev->dev, 0);
}

static void handle_reconfig(struct runner_dev *rdev)
{
	struct tcmulib_cfg_info *cfg = &rdev->reconfig;
	const struct tcmur_handler *h = rdev->handler;
	int ret;

	if (is_so_already(rdev->dev, cfg)) {
		answer_no_change(rdev);
		return;
	}
	rdev->cache_before = tcmu_dev_get_write_cache_enabled(rdev->dev);
	/* A format or sanitize operation that began says of the whole medium that it is done. */
	if (rdev->wipe && cfg->type == TCMULIB_CFG_DEV_SIZE)
		ret = -EBUSY;
	else
		ret = h->reconfig ? h->reconfig(rdev->dev, cfg) : -EOPNOTSUPP;

	if (!ret && atomic_load(&rdev->reply) != RUNNER_REPLY_RECONFIG)
		ret = -ETIMEDOUT; /* nobody waits for it any more */
	/* Off at once; on when nothing can fail any more, or what is written meanwhile would be answered
	 * but not durable with the cache off, as it then stays. */
	if (!ret && cfg->type == TCMULIB_CFG_WRITE_CACHE && !cfg->data.write_cache)
		runner_dev_set_write_cache(rdev, false);
	if (!ret && !tcmu_dev_get_write_protect_enabled(rdev->dev))
		flush_for_reconfig(rdev);
	else
		answer_reconfig(rdev, ret);
}

static void handle_requests(struct runner_dev *rdev)
{
	unsigned int req = atomic_exchange(&rdev->requests, 0);

	if (req & RUNNER_REQ_RECONFIG)
		handle_reconfig(rdev);
	if (req & RUNNER_REQ_PARK) {
		atomic_store(&rdev->parked, true);
		runner_states_changed();
	}
	if (req & RUNNER_REQ_PAUSE && rdev->pause)
		runner_pause_begin(rdev);
	if (req & RUNNER_REQ_RESUME && !(req & RUNNER_REQ_STOP))
		runner_pause_resume(rdev);
	if (req & RUNNER_REQ_WATCH)
		runner_watch(rdev);
	if (req & RUNNER_REQ_TRIM)
		runner_idle_trim(rdev);
	if (req & RUNNER_REQ_STOP) {
		rdev->stopping = true;
		runner_pause_end(rdev, -ESHUTDOWN,
				 "the storage object is being removed, or the daemon ends");
		runner_visits_close(rdev);
		runner_dev_set_state(rdev, RUNNER_PAUSED);
	}
}

/* Does it take new commands? */
static bool takes_commands(const struct runner_dev *rdev)
{
	return !rdev->stopping && !atomic_load_explicit(&rdev->parked, memory_order_relaxed) &&
	       !rdev->held;
}

/* Is there something to do, but for what a descriptor tells? */
static bool has_work(struct runner_dev *rdev)
{
	return rdev->here_first || atomic_load(&rdev->requests) ||
	       atomic_load(&rdev->cmds_done.top) || atomic_load(&rdev->ios_done.top) ||
	       atomic_load(&rdev->visits.arrived.top) ||
	       (takes_commands(rdev) && tcmulib_ring_pending(rdev->dev));
}

/* has_work(), for a look or two more or less. */
static bool work_there(void *arg)
{
	const struct runner_dev *rdev = arg;

	return rdev->here_first || tcmulib_ring_pending(rdev->dev) ||
	       atomic_load_explicit(&rdev->visits.arrived.top, memory_order_relaxed) ||
	       atomic_load_explicit(&rdev->cmds_done.top, memory_order_relaxed) ||
	       atomic_load_explicit(&rdev->ios_done.top, memory_order_relaxed) ||
	       atomic_load_explicit(&rdev->requests, memory_order_relaxed);
}

/* Not while io_uring has something: its completions are made in the wait. */
static bool spin(struct runner_dev *rdev, int timeout_ms)
{
	return timeout_ms && takes_commands(rdev) && !runner_uring_busy(rdev) &&
	       runner_spin(&rdev->spin, work_there, rdev);
}

void runner_sleep(struct runner_dev *rdev, int timeout_ms)
{
	struct epoll_event events[2];

	if (spin(rdev, timeout_ms))
		return;
	/* Announced first, looked at again after: whoever pushes after our look sees the flag. */
	atomic_store(&rdev->sleeping, true);
	if (has_work(rdev))
		timeout_ms = 0;
	if ((!rdev->uring || !runner_uring_wait(rdev, timeout_ms)) && timeout_ms)
		epoll_wait(rdev->epoll_fd, events, 2, timeout_ms);
	atomic_store(&rdev->sleeping, false);
}

static void turn(struct runner_dev *rdev)
{
	runner_cached_turn(&rdev->cached);
	if (atomic_load_explicit(&rdev->requests, memory_order_relaxed))
		handle_requests(rdev);
	/* What is over first, or its slots and buffers would keep new commands waiting; last what those have
	 * ended at once. */
	runner_io_reap(rdev);
	runner_visits_reap(rdev);
	if (takes_commands(rdev)) {
		runner_gather(&rdev->gather, rdev->dev);
		drain_ring(rdev);
	}
	do {
		runner_ops_reap(rdev);
	} while (runner_batch_flush(rdev));
}

bool runner_quiet(struct runner_dev *rdev)
{
	return !tcmulib_ring_in_flight(rdev->dev) && !rdev->wipe && !rdev->thresholds.asking &&
	       !rdev->own_busy && !atomic_load(&rdev->reconfig_busy) &&
	       !atomic_load(&rdev->visits.guests);
}

void runner_cmdproc(struct runner_dev *rdev)
{
	runner_visits_open(rdev);
	runner_idle_used(rdev);
	if (tcmulib_ring_replays(rdev->dev))
		drain_replay(rdev);
	for (;;) {
		turn(rdev);
		/* In flight nothing more: the ring's tail stands where we stopped to consume. */
		if (rdev->stopping && runner_quiet(rdev))
			return;
		tcmulib_processing_complete(rdev->dev);
		if (rdev->stale)
			runner_pause_look(rdev);
		if (rdev->pause && runner_quiet(rdev)) {
			runner_pause_turn(rdev); /* may take its time: what is over has been told */
			continue;                /* what it has begun is handed over in turn() */
		}
		runner_sleep(rdev, runner_io_timeout(rdev));
	}
}
