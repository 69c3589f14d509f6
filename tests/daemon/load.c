/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BLOCK     512u
#define ANSWER_MS 60000
#define READ_BACK 256u /* blocks */

struct io {
	struct fake_cmd cmd;
	struct load *l;
	bool busy, retry;
	uint64_t lba;
	uint32_t blocks;
	uint8_t *data;
};

struct load {
	struct fake_ring *r;
	struct load_cfg cfg;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool stop, gone;
	unsigned int seed, bad, busy;
	unsigned long done, refused;
	uint8_t *model, *claimed; /* a byte a block: in flight */
	struct io *ios;
};

static void complain(struct io *io, const char *what)
{
	struct load *l = io->l;

	if (l->bad++ < 5)
		fprintf(stderr,
			"load: opcode %02x, block %llu, %u blocks: %s (status %02x, %02x/%02x)\n",
			io->cmd.cdb[0], (unsigned long long)io->lba, io->blocks, what,
			io->cmd.status, io->cmd.sense[2], io->cmd.sense[12]);
}

static void judge(struct io *io)
{
	struct load *l = io->l;
	const uint8_t *want = l->model + io->lba * BLOCK;
	size_t len = (size_t)io->blocks * BLOCK;

	/* BUSY, TASK SET FULL, UNIT ATTENTION */
	if (io->cmd.status == 0x08 || io->cmd.status == 0x28 ||
	    (io->cmd.status == 0x02 && (io->cmd.sense[2] & 0xf) == 6 && !l->gone)) {
		io->retry = true;
		l->refused += io->cmd.status == 0x08;
		return;
	}
	if (io->cmd.status) {
		if (!l->gone)
			complain(io, "failed");
	} else if (io->cmd.dir == FAKE_IN && memcmp(io->data, want, len)) {
		size_t i = 0;

		while (io->data[i] == want[i])
			i++;
		complain(io, "wrong data");
		fprintf(stderr, "load: at byte %zu: %02x instead of %02x\n", i, io->data[i],
			want[i]);
	}
}

static void answered(struct fake_cmd *cmd)
{
	struct io *io = cmd->arg;
	struct load *l = io->l;

	pthread_mutex_lock(&l->lock);
	judge(io);
	if (!io->retry) {
		memset(l->claimed + io->lba, 0, io->blocks);
		l->done++;
	}
	io->busy = false;
	l->busy--;
	pthread_cond_broadcast(&l->cond);
	pthread_mutex_unlock(&l->lock);
}

static void put(uint8_t *p, int bytes, uint64_t v)
{
	while (bytes--) {
		p[bytes] = (uint8_t)v;
		v >>= 8;
	}
}

/* READ(16), WRITE(16), UNMAP or WRITE SAME(16) over the range; the model follows at once. */
static void compose(struct io *io, unsigned int kind)
{
	struct load *l = io->l;
	uint8_t cdb[16] = { 0 }, *model = l->model + io->lba * BLOCK;
	size_t len = (size_t)io->blocks * BLOCK;
	enum fake_dir dir = FAKE_OUT;

	put(cdb + 2, 8, io->lba);
	put(cdb + 10, 4, io->blocks);
	if (kind < 45) {
		cdb[0] = 0x88;
		dir = FAKE_IN;
	} else if (kind < 90 || !l->cfg.unmap) {
		cdb[0] = 0x8a;
		if (kind < 48)
			cdb[1] = 8; /* FUA */
		for (size_t i = 0; i < len; i += 4) {
			uint32_t v = (uint32_t)rand_r(&l->seed);

			memcpy(io->data + i, &v, 4);
		}
		memcpy(model, io->data, len);
	} else if (kind < 95) {
		memset(cdb, 0, sizeof(cdb));
		cdb[0] = 0x42;
		cdb[8] = 24;
		memset(io->data, 0, 24);
		io->data[1] = 22;
		io->data[3] = 16;
		put(io->data + 8, 8, io->lba);
		put(io->data + 16, 4, io->blocks);
		memset(model, 0, len);
		len = 24;
	} else {
		cdb[0] = 0x93;
		cdb[1] = 8;
		memset(io->data, kind == 95 ? 0 : (int)kind, BLOCK);
		memset(model, kind == 95 ? 0 : (int)kind, len);
		len = BLOCK;
	}
	fake_cmd_init(&io->cmd, cdb, sizeof(cdb), dir, io->data, len);
}

/* A range that nobody uses just now; false if none was found by chance. */
static bool claim(struct load *l, struct io *io)
{
	io->blocks = 1 + (unsigned int)rand_r(&l->seed) % l->cfg.max_io;
	if (io->blocks > l->cfg.blocks)
		io->blocks = (uint32_t)l->cfg.blocks;
	io->lba = (((uint64_t)rand_r(&l->seed) << 20) ^ (uint64_t)rand_r(&l->seed)) %
		  (l->cfg.blocks - io->blocks + 1);
	if (memchr(l->claimed + io->lba, 1, io->blocks))
		return false;
	memset(l->claimed + io->lba, 1, io->blocks);
	compose(io, (unsigned int)rand_r(&l->seed) % 100);
	return true;
}

static void submit(struct load *l, struct io *io)
{
	io->cmd.done = answered;
	io->cmd.arg = io;
	io->busy = true;
	io->retry = false;
	l->busy++;
	pthread_mutex_unlock(&l->lock);
	fake_ring_submit(l->r, &io->cmd);
	pthread_mutex_lock(&l->lock);
}

static struct timespec soon(int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000L;
	if (t.tv_nsec >= 1000000000L) {
		t.tv_nsec -= 1000000000L;
		t.tv_sec++;
	}
	return t;
}

/* One round over all slots; retries come even while stopping, they are promises. */
static bool round_of_work(struct load *l)
{
	bool any = false, refused = false;

	for (unsigned int i = 0; i < l->cfg.depth; i++) {
		struct io *io = &l->ios[i];

		if (io->busy)
			continue;
		if (io->retry && !l->gone) {
			refused = true;
			submit(l, io);
		} else if (!l->stop && claim(l, io)) {
			submit(l, io);
		} else {
			continue;
		}
		any = true;
	}
	if (refused) { /* a blocked device answers at once */
		struct timespec t = { .tv_nsec = 5000000 };

		pthread_mutex_unlock(&l->lock);
		nanosleep(&t, NULL);
		pthread_mutex_lock(&l->lock);
	}
	return any;
}

static void *worker(void *arg)
{
	struct load *l = arg;

	pthread_mutex_lock(&l->lock);
	while (!l->stop || l->busy || round_of_work(l)) {
		struct timespec until = soon(ANSWER_MS);
		unsigned long before = l->done;

		if (round_of_work(l))
			continue;
		if (l->busy && pthread_cond_timedwait(&l->cond, &l->lock, &until) &&
		    l->done == before && l->busy) {
			fprintf(stderr, "load: %u commands without an answer for %d ms\n", l->busy,
				ANSWER_MS);
			l->bad++;
			l->stop = true;
			pthread_mutex_unlock(&l->lock);
			fake_ring_reset(l->r, 2);
			pthread_mutex_lock(&l->lock);
		}
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

struct load *load_start(struct fake_ring *r, const struct load_cfg *cfg)
{
	struct load *l = calloc(1, sizeof(*l));

	l->r = r;
	l->cfg = *cfg;
	l->seed = cfg->seed;
	l->model = calloc(cfg->blocks, BLOCK);
	l->claimed = calloc(cfg->blocks, 1);
	l->ios = calloc(cfg->depth, sizeof(*l->ios));
	for (unsigned int i = 0; i < cfg->depth; i++) {
		l->ios[i].l = l;
		l->ios[i].data = malloc((size_t)cfg->max_io * BLOCK);
	}
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->cond, NULL);
	pthread_create(&l->thread, NULL, worker, l);
	return l;
}

int load_progress(struct load *l, unsigned long n, int timeout_ms)
{
	struct timespec until = soon(timeout_ms);
	unsigned long goal;
	int ret = 0;

	pthread_mutex_lock(&l->lock);
	goal = l->done + n;
	while (l->done < goal && !ret)
		ret = pthread_cond_timedwait(&l->cond, &l->lock, &until);
	ret = l->done < goal ? -1 : 0;
	if (ret)
		fprintf(stderr, "load: %lu commands of %lu in %d ms\n", n - (goal - l->done), n,
			timeout_ms);
	pthread_mutex_unlock(&l->lock);
	return ret;
}

unsigned long load_refused(struct load *l)
{
	unsigned long n;

	pthread_mutex_lock(&l->lock);
	n = l->refused;
	pthread_mutex_unlock(&l->lock);
	return n;
}

static void read_back(struct load *l)
{
	uint8_t *buf = malloc(READ_BACK * BLOCK);

	for (uint64_t lba = 0; lba < l->cfg.blocks && l->bad < 5; lba += READ_BACK) {
		struct io io = { .l = l, .lba = lba, .blocks = READ_BACK, .data = buf };
		uint8_t cdb[16] = { 0x88 };

		if (lba + READ_BACK > l->cfg.blocks)
			io.blocks = (uint32_t)(l->cfg.blocks - lba);
		put(cdb + 2, 8, lba);
		put(cdb + 10, 4, io.blocks);
		fake_cmd_init(&io.cmd, cdb, 16, FAKE_IN, buf, (size_t)io.blocks * BLOCK);
		if (fake_exec(l->r, &io.cmd, ANSWER_MS))
			complain(&io, "no answer");
		else
			judge(&io);
	}
	free(buf);
}

static unsigned int end(struct load *l, bool gone)
{
	unsigned int bad;

	pthread_mutex_lock(&l->lock);
	l->stop = true;
	l->gone = gone;
	pthread_cond_broadcast(&l->cond);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	if (!gone)
		read_back(l);
	bad = l->bad;
	for (unsigned int i = 0; i < l->cfg.depth; i++)
		free(l->ios[i].data);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->cond);
	free(l->model);
	free(l->claimed);
	free(l->ios);
	free(l);
	return bad;
}

unsigned int load_finish(struct load *l)
{
	return end(l, false);
}

unsigned int load_abandon(struct load *l)
{
	return end(l, true);
}
