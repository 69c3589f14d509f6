/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer on whole sequences of commands: the fake kernel's ring, the library and the runner's loop with
 * all its executors, on one thread. The input says what the initiator sends, when and how the handler ends
 * what it was asked for, and what happens beside it: aborts, commands that expire, time, a write cache
 * turned off, a daemon that stops and the next one. The fake ring's verdicts and commands-model.c judge:
 * each command is answered once, with data that were on the medium, and does what its standard says.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/commands.h"
#include "tests/ring/fake-ring-int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RESTARTS_MAX 3
#define IDLE_TURNS   100000 /* of the loop after the input's end: more are a hang */

struct world w;
static unsigned int turns;

uint32_t take(size_t bytes)
{
	uint32_t v = 0;

	if (w.left < bytes) {
		w.left = 0;
		return 0;
	}
	memcpy(&v, w.in, bytes);
	w.in += bytes;
	w.left -= bytes;
	return v;
}

int commands_clock(clockid_t clock, struct timespec *now)
{
	(void)clock;
	w.clock_ns += 1000;
	now->tv_sec = (time_t)(w.clock_ns / 1000000000);
	now->tv_nsec = (long)(w.clock_ns % 1000000000);
	return 0;
}

/* ---- the initiator ------------------------------------------------------------------------------ */

static void answered(struct fake_cmd *fc)
{
	struct sent *s = container_of(fc, struct sent, fc);

	assert(!s->ended);
	s->ended = true;
	w.unanswered--;
	model_answered(s);
}

static void submit(void)
{
	struct sent *s;

	if (w.sent_count == CMDS_MAX)
		return;
	s = calloc(1, sizeof(*s));
	make_command(s);
	s->fc.done = answered;
	w.sent[w.sent_count++] = s;
	w.unanswered++;
	model_sent(s);
	fake_ring_submit(w.ring, &s->fc);
}

/* One of the last ones that nobody has answered, NULL: there is none. */
static struct sent *some_sent(uint32_t which)
{
	struct sent *open[8];
	unsigned int n = 0;

	for (unsigned int i = w.sent_count; i-- > 0 && n < 8;)
		if (!w.sent[i]->ended)
			open[n++] = w.sent[i];
	return n ? open[which % n] : NULL;
}

static void abort_some(void)
{
	uint32_t what = take(1);
	struct fake_cmd *cmds[8];
	size_t n = 0;

	for (unsigned int i = 0; i < what % 4 + 1; i++) {
		struct sent *s = some_sent(what / 8 + i);

		if (!s || s->aborted)
			break;
		s->aborted = true;
		cmds[n++] = &s->fc;
	}
	fake_ring_tmr(w.ring, what & 4 ? 5 : 1, cmds, n);
}

static void expire_one(void)
{
	struct sent *s = some_sent(take(1));

	if (!s || s->aborted)
		return;
	s->id = fake_ring_cmd_id(w.ring, &s->fc);
	fake_ring_expire(w.ring, &s->fc);
}

/* ---- the kernel and the main thread ------------------------------------------------------------- */

static void kernel_mood(void)
{
	uint32_t what = take(1);

	switch (what % 4) {
	case 0:
		fake_ring_hold_head(w.ring, what & 4);
		break;
	case 1:
		fake_ring_fragment(w.ring, what & 4);
		break;
	default:
		fake_ring_reclaim(w.ring);
		break;
	}
}

static void reconfig(void)
{
	uint32_t what = take(1);

	if (what & 0x80) {
		runner_dev_unit_attention(&w.rdev, what & 1 ? RUNNER_UA_CAPACITY_CHANGED
							    : RUNNER_UA_MODE_CHANGED);
		return;
	}
	if (atomic_load(&w.rdev.reconfig_busy) || w.rdev.stopping)
		return;
	w.rdev.reconfig = (struct tcmulib_cfg_info) { .type = TCMULIB_CFG_WRITE_CACHE };
	w.rdev.reconfig.data.write_cache = what & 1;
	atomic_store(&w.rdev.reply, what & 2 ? RUNNER_REPLY_NONE : RUNNER_REPLY_RECONFIG);
	atomic_store(&w.rdev.reconfig_busy, true);
	runner_dev_request(&w.rdev, RUNNER_REQ_RECONFIG);
}

static void stop(void)
{
	if (w.stop_asked || (!w.finishing && w.restarts >= RESTARTS_MAX))
		return;
	w.stop_asked = true;
	runner_dev_request(&w.rdev, RUNNER_REQ_STOP);
}

/* False: the loop has a turn first. */
static bool step(void)
{
	uint32_t what = take(1);

	switch (what % 16) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
	case 5:
		submit();
		break;
	case 6:
	case 7:
	case 8:
	case 9:
		handler_work(take(1), take(1));
		break;
	case 10:
		w.clock_ns += take(1) * UINT64_C(1000000);
		break;
	case 11:
		kernel_mood();
		break;
	case 12:
		if (take(1) & 1)
			expire_one();
		else
			abort_some();
		break;
	case 13:
		reconfig();
		break;
	case 14:
		if (take(1) < 0x40)
			stop();
		break;
	default:
		handler_work(0, 0);
		break;
	}
	return what & 0x80;
}

/* All is done that was begun; then nobody may wait for anything. */
static void finish(int timeout_ms)
{
	struct fake_ring_stats st;

	w.finishing = true;
	assert(++turns < IDLE_TURNS);
	fake_ring_hold_head(w.ring, false);
	fake_ring_fragment(w.ring, false);
	fake_ring_reclaim(w.ring);
	if (handler_has_work()) {
		handler_work(0, 0);
		return;
	}
	fake_ring_get_stats(w.ring, &st);
	if (tcmu_ring_pending(&w.dev.ring) && !w.stop_asked)
		return;
	if (timeout_ms >= 0) {
		w.clock_ns += (uint64_t)timeout_ms * 1000000;
		return;
	}
	assert(!w.stop_asked);
	assert(!st.unanswered && !st.in_flight);
	stop();
}

/* In place of g_source_set_ready_time(). */
void commands_ready_time(GSource *source, gint64 usec)
{
	(void)source;
	w.looks = usec >= 0;
}

/* In place of epoll_wait(): the device's thread has nothing to do. */
int commands_wait(int fd, struct epoll_event *events, int max, int timeout_ms)
{
	(void)fd, (void)events, (void)max;
	model_cache();
	if (w.looks)
		runner_idle_look(&w.rdev.idle);
	if (!w.left) {
		finish(timeout_ms);
		return 0;
	}
	while (step() && w.left)
		;
	return 0;
}

/* ---- the daemon --------------------------------------------------------------------------------- */

static void set_properties(uint32_t bits, uint32_t limits)
{
	static char cfgstring[] = "fuzz/";
	struct tcmu_device *dev = &w.dev;

	memset(dev, 0, sizeof(*dev));
	dev->fd = 0; /* never used */
	dev->cfgstring = cfgstring;
	dev->num_lbas = BLOCKS;
	dev->block_size = w.block_size;
	dev->write_cache = !(bits & 1);
	dev->unmap = bits & 2;
	dev->unmap_zeroes = bits & 4;
	dev->removable = bits & 8;
	dev->write_protect = (bits & 0x70) == 0x70;
	dev->solid_state = bits & 0x80;
	dev->max_xfer_len = limits & 1 ? 16 : 0;
	dev->max_unmap_len = limits & 2 ? 8 : 0;
	dev->max_atomic_len = limits & 4 ? 8 : 0;
	dev->opt_unmap_gran = limits & 8 ? 4 : 0;
	dev->priv = &w.rdev;
}

static void serve(void)
{
	struct runner_dev *rdev = &w.rdev;
	void *bounce = rdev->bounce;

	memset(rdev, 0, sizeof(*rdev));
	rdev->bounce = bounce;
	rdev->dev = &w.dev;
	rdev->entry = &w.entry;
	rdev->handler = &w.entry.handler;
	rdev->bounce_last = &rdev->bounce_first;
	rdev->batch_last = &rdev->batch_first;
	runner_ops_init(rdev);
	rdev->copy_last = &rdev->copy_first;
	list_init(&rdev->ranges);
	list_init(&rdev->aborted);
	list_init(&rdev->visits.node);
	mpsc_init(&rdev->visits.arrived);
	mpsc_init(&rdev->cmds_done);
	mpsc_init(&rdev->ios_done);
	atomic_store(&rdev->state, RUNNER_RUNNING);
	w.stop_asked = false;
	w.looks = false;

	w.dev.map = fake_ring_base(w.ring);
	w.dev.map_len = fake_ring_map_len(w.ring);
	assert(!tcmu_ring_attach(&w.dev.ring, w.dev.map, w.dev.map_len));
	assert(tcmu_ring_resumable(&w.dev.ring));
	assert(!tcmu_ring_start(&w.dev.ring));
	runner_note_restore(rdev);
	runner_cmdproc(rdev);
	assert(!tcmu_ring_stop(&w.dev.ring));
	if (tcmu_ring_take_kick(&w.dev.ring))
		fake_ring_doorbell(w.ring, 1);
	tcmu_ring_detach(&w.dev.ring);

	assert(!rdev->bounce_owner && !rdev->bounce_first && !rdev->wipe);
	/* Set for an aborted command that ended before. */
	assert(!rdev->timers || rdev->timers == &rdev->abort_timer);
	assert(list_empty(&rdev->aborted) && !rdev->copy && !rdev->copy_first);
	assert(list_empty(&rdev->ranges) && !rdev->ranges_exclusive && !rdev->ranges_waiting);
	assert(!rdev->active && !rdev->batch_count && !handler_has_work());
	free(rdev->own);
}

static void judge(void)
{
	fake_ring_check_idle(w.ring);
	if (fake_verdicts_total(&w.verdicts, stderr))
		abort();
	assert(!w.unanswered);
	for (unsigned int i = 0; i < w.sent_count; i++)
		assert(w.sent[i]->ended);
}

static bool known_opcode(uint8_t opcode)
{
	return scsi_opcode_known(opcode);
}

/* With READ_LEN and KEEP_BUF, as kernels of today, and without; new ones would take longer than all
 * the rest. */
static struct fake_ring *get_ring(bool read_len)
{
	static struct fake_ring *rings[2];
	struct fake_ring_cfg cfg = {
		.ring_bytes = 2048,
		.pages_per_blk = 1,
		.data_blocks = 24,
		.qfull_time_out = -1,
		.decoys = 1u << 30, /* with the head held only */
		.flags = TCMU_ABI_CAP_OOO | TCMU_ABI_CAP_TMR |
			 (read_len ? TCMU_ABI_CAP_READ_LEN | TCMU_ABI_CAP_KEEP_BUF : 0),
	};

	if (!rings[read_len]) {
		if (!w.verdicts.first[0][0])
			fake_verdicts_init(&w.verdicts);
		rings[read_len] = fake_ring_new(&cfg, &w.verdicts);
	}
	fake_ring_recycle(rings[read_len]);
	return rings[read_len];
}

static void prepare(void)
{
	static uint8_t medium[BLOCKS * BLOCK_SIZE_MAX];
	uint32_t shape = take(2), bits = take(1), limits = take(1);

	w.block_size = (limits & 0xe0) == 0xe0 ? 4096 : 512;
	w.medium = medium;
	for (uint32_t b = 0; b < BLOCKS; b++)
		memset(medium + (size_t)b * w.block_size, (int)b + 1, w.block_size);
	w.ring = get_ring(!(limits & 0x10));
	w.sent_count = w.unanswered = w.restarts = 0;
	w.finishing = false;
	w.clock_ns = 1000000000;
	turns = 0;
	set_properties(bits, limits);
	handler_reset(shape);
	/* A handler's own answer may be any. */
	w.ring->cfg.known_opcode = w.entry.handler.handle_cmd ? NULL : known_opcode;
	model_reset();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fake_ring_stats st;

	w.in = data;
	w.left = size;
	prepare();
	do {
		serve();
		w.restarts++;
		fake_ring_get_stats(w.ring, &st);
	} while (w.left || st.unanswered || st.in_flight || !st.drained);
	judge();
	for (unsigned int i = 0; i < w.sent_count; i++) {
		free(w.sent[i]->data);
		free(w.sent[i]);
	}
	free(w.rdev.bounce);
	w.rdev.bounce = NULL;
	return 0;
}
