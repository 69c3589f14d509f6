/* SPDX-License-Identifier: Apache-2.0 */
#include "torture.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/ring/journal-rig.h"
#include "tests/ring/model.h"
#include "util/be.h"

#define HOT    96u /* blocks that every second command is in */
#define FUA    0x08
#define BYTCHK 0x02

enum what { READS, WRITES, ZEROES, FLUSHES, CACHE_ON, CACHE_OFF };

struct io {
	struct fake_cmd cmd;
	struct torture *t;
	enum what what;
	bool busy;
	bool lingers; /* the initiator has an answer, the daemon may still be at it */
	uint64_t model;
	uint8_t *data;
};

struct torture {
	struct torture_cfg cfg;
	struct fake_ring *r;
	struct model *m;
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t cond;
	bool stop, pause, resting;
	bool cached, selecting; /* what the model thinks of the cache; it is just being changed */
	unsigned int busy, bad;
	struct torture_counts n;
	struct io io[TORTURE_DEPTH];
	unsigned int seed; /* the thread's own */
};

/* ---- answers ---- */

static void complain(struct io *io, const char *what)
{
	const struct fake_cmd *cmd = &io->cmd;

	if (io->t->bad++ < 5)
		fprintf(stderr, "torture: opcode %02x: %s (status %02x, sense %x/%02x/%02x)\n",
			cmd->cdb[0], what, cmd->status, cmd->sense[2] & 0xfu, cmd->sense[12],
			cmd->sense[13]);
}

static void classify(struct io *io)
{
	struct torture *t = io->t;

	t->n.answers++;
	if (io->cmd.expired)
		t->n.expired++;
	else if (io->cmd.status == 0x40)
		t->n.aborted++;
	else if (io->cmd.status == 0x08)
		t->n.refused++;
	else if (io->cmd.status && (io->cmd.status != 0x02 || (io->cmd.sense[2] & 0xf) != 6))
		complain(io, "failed");
	else if (!io->cmd.status && io->cmd.residual)
		complain(io, "not all of it");
}

static void answered(struct fake_cmd *cmd)
{
	struct io *io = cmd->arg;
	struct torture *t = io->t;

	pthread_mutex_lock(&t->lock);
	classify(io);
	io->lingers = cmd->expired || cmd->kept;
	if (!io->lingers)
		model_answered(t->m, io->model, !cmd->status, io->data);
	if (io->what == CACHE_OFF && !cmd->status) {
		t->cached = false;
		model_set_cache(t->m, false);
	}
	t->selecting &= io->what < CACHE_ON;
	io->busy = false;
	t->busy--;
	pthread_cond_broadcast(&t->cond);
	pthread_mutex_unlock(&t->lock);
}

/* ---- commands ---- */

static unsigned int below(struct torture *t, unsigned int n)
{
	return (unsigned int)rand_r(&t->seed) % n;
}

static void rw_cdb(uint8_t *cdb, uint8_t opcode, uint32_t lba, uint32_t blocks)
{
	cdb[0] = opcode;
	switch (opcode >> 5) {
	case 0:
		put_be24(cdb + 1, lba);
		cdb[4] = (uint8_t)blocks;
		break;
	case 4:
		put_be64(cdb + 2, lba);
		put_be32(cdb + 10, blocks);
		break;
	case 5:
		put_be32(cdb + 2, lba);
		put_be32(cdb + 6, blocks);
		break;
	default:
		put_be32(cdb + 2, lba);
		put_be16(cdb + 7, (uint16_t)blocks);
	}
}

/* READ, or WRITE, or WRITE AND VERIFY, of any length of CDB. */
static void compose_rw(struct io *io, uint8_t *cdb, uint32_t lba, uint32_t blocks)
{
	static const uint8_t reads[] = { 0x08, 0x28, 0xa8, 0x88 };
	static const uint8_t writes[] = { 0x0a, 0x2a, 0xaa, 0x8a, 0x2e, 0xae, 0x8e };
	struct torture *t = io->t;
	bool through = t->cfg.promises & TORTURE_FUA && !below(t, 32), verify;

	if (io->what == READS)
		rw_cdb(cdb, reads[through + below(t, 3)], lba, blocks);
	else
		rw_cdb(cdb, writes[through ? 1 + below(t, 6) : below(t, 4)], lba, blocks);
	verify = (cdb[0] & 0x1f) == 0x0e;
	if (verify)
		cdb[1] = below(t, 2) ? BYTCHK : 0;
	else if (through)
		cdb[1] = FUA;
	io->model = io->what == READS ? model_read(t->m, lba, blocks)
				      : model_write(t->m, lba, blocks, io->data);
	if (through)
		model_through(t->m, io->model);
}

/* UNMAP or WRITE SAME; the length of the data. */
static size_t compose_zeroes(struct io *io, uint8_t *cdb, uint32_t lba, uint32_t blocks)
{
	struct torture *t = io->t;

	io->model = model_zero(t->m, lba, blocks);
	memset(io->data, 0, TORTURE_BLOCK);
	if (below(t, 2)) {
		rw_cdb(cdb, below(t, 2) ? 0x93 : 0x41, lba, blocks);
		cdb[1] = below(t, 2) ? 0x08 : 0; /* UNMAP */
		return TORTURE_BLOCK;
	}
	cdb[0] = 0x42;
	cdb[8] = 24;
	put_be16(io->data, 22);
	put_be16(io->data + 2, 16);
	put_be64(io->data + 8, lba);
	put_be32(io->data + 16, blocks);
	return 24;
}

/* MODE SELECT(6), the Caching page. Off is a flush, too. */
static size_t compose_cache(struct io *io, uint8_t *cdb)
{
	struct torture *t = io->t;

	cdb[0] = 0x15;
	cdb[1] = 0x10;
	cdb[4] = 24;
	memset(io->data, 0, 24);
	io->data[4] = 8;
	io->data[5] = 18;
	io->data[6] = io->what == CACHE_ON ? 4 : 0;
	if (io->what == CACHE_ON) {
		t->cached = true;
		model_set_cache(t->m, true);
	}
	io->model = model_flush(t->m);
	t->selecting = true;
	return 24;
}

static enum what choose(struct torture *t)
{
	bool cache = t->cfg.promises & TORTURE_CACHE;
	unsigned int n = below(t, 1000);

	if (n < 3 && cache && !t->selecting)
		return t->cached ? CACHE_OFF : CACHE_ON;
	if (n < 30 && t->cfg.promises & TORTURE_FLUSH)
		return FLUSHES;
	/* Without the cache they have a flush of their own, which would cover for the writes. */
	if (n < (cache ? 6 : 80))
		return ZEROES;
	return n < 500 ? READS : WRITES;
}

static void compose(struct io *io)
{
	struct torture *t = io->t;
	uint32_t max = below(t, 3) ? 8 : t->cfg.max_io, blocks = 1 + below(t, max);
	uint32_t room = (uint32_t)t->cfg.blocks;
	uint32_t lba = below(t, (below(t, 2) ? HOT : room) - blocks + 1);
	uint8_t cdb[16] = { 0 };
	size_t len = 0;

	io->what = choose(t);
	switch (io->what) {
	case READS:
	case WRITES:
		compose_rw(io, cdb, lba, blocks);
		len = (size_t)blocks * TORTURE_BLOCK;
		break;
	case ZEROES:
		len = compose_zeroes(io, cdb, lba, blocks);
		break;
	case FLUSHES:
		cdb[0] = below(t, 2) ? 0x35 : 0x91;
		io->model = model_flush(t->m);
		break;
	case CACHE_ON:
	case CACHE_OFF:
		len = compose_cache(io, cdb);
	}
	fake_cmd_init(&io->cmd, cdb, sizeof(cdb),
		      io->what == READS ? FAKE_IN
		      : len             ? FAKE_OUT
					: FAKE_NONE,
		      io->data, len);
	io->cmd.done = answered;
	io->cmd.arg = io;
}

/* ---- the thread ---- */

/* Some more; with the lock held but for the submission itself. */
static unsigned int submit_some(struct torture *t)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < TORTURE_DEPTH; i++) {
		struct io *io = &t->io[i];

		if (io->busy || io->lingers || !below(t, 3))
			continue;
		compose(io);
		io->busy = true;
		t->busy++;
		n++;
		pthread_mutex_unlock(&t->lock);
		fake_ring_submit(t->r, &io->cmd);
		pthread_mutex_lock(&t->lock);
	}
	return n;
}

/* One whose outcome does not matter for the time after it, or NULL. */
static struct io *victim(struct torture *t)
{
	struct io *io = &t->io[below(t, TORTURE_DEPTH)];

	return io->busy && io->what < CACHE_ON ? io : NULL;
}

/* What initiators and the kernel do now and then. Without the lock. */
static void disturb(struct torture *t)
{
	struct fake_cmd *cmds[4];
	size_t n = 0;
	struct io *io;

	if (!below(t, 8))
		fake_ring_reclaim(t->r);
	if (!below(t, 32)) {
		pthread_mutex_lock(&t->lock);
		for (int i = 0; i < 8 && n < 4; i++)
			if ((io = victim(t)))
				cmds[n++] = &io->cmd;
		pthread_mutex_unlock(&t->lock);
		fake_ring_tmr(t->r, 1, cmds, n);
	}
	if (!below(t, 256)) {
		pthread_mutex_lock(&t->lock);
		io = victim(t);
		pthread_mutex_unlock(&t->lock);
		if (io)
			fake_ring_expire(t->r, &io->cmd);
	}
}

static struct timespec soon(int ms)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += ms / 1000;
	at.tv_nsec += ms % 1000 * 1000000L;
	if (at.tv_nsec >= 1000000000L) {
		at.tv_nsec -= 1000000000L;
		at.tv_sec++;
	}
	return at;
}

static void *torturer(void *arg)
{
	struct torture *t = arg;

	pthread_mutex_lock(&t->lock);
	while (!t->stop) {
		unsigned int how = below(t, 8), n;
		struct timespec until = soon(1000);

		t->resting = t->pause;
		if (t->pause) {
			pthread_cond_broadcast(&t->cond);
			pthread_cond_wait(&t->cond, &t->lock);
			continue;
		}
		pthread_mutex_unlock(&t->lock);
		fake_ring_plug(t->r, how == 0);
		fake_ring_hold_head(t->r, how == 1);
		pthread_mutex_lock(&t->lock);
		n = submit_some(t);
		pthread_mutex_unlock(&t->lock);
		fake_ring_hold_head(t->r, false);
		fake_ring_plug(t->r, false);
		disturb(t);
		pthread_mutex_lock(&t->lock);
		if (!n && !t->stop && !t->pause)
			pthread_cond_timedwait(&t->cond, &t->lock, &until);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

struct torture *torture_start(const struct torture_cfg *cfg)
{
	struct torture *t = calloc(1, sizeof(*t));

	t->cfg = *cfg;
	t->seed = cfg->seed;
	t->r = fake_dev_ring(cfg->dev);
	t->m = model_new(cfg->blocks, TORTURE_BLOCK, cfg->v);
	t->cached = cfg->disk;
	model_set_cache(t->m, t->cached);
	if (cfg->may_tear)
		model_let_tear(t->m);
	for (unsigned int i = 0; i < TORTURE_DEPTH; i++) {
		t->io[i].t = t;
		t->io[i].data = malloc((size_t)cfg->max_io * TORTURE_BLOCK);
	}
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->cond, NULL);
	pthread_create(&t->thread, NULL, torturer, t);
	return t;
}

/* ---- for the test ---- */

void torture_count(struct torture *t, struct torture_counts *to)
{
	pthread_mutex_lock(&t->lock);
	*to = t->n;
	pthread_mutex_unlock(&t->lock);
}

int torture_progress(struct torture *t, unsigned long n, int timeout_ms)
{
	struct timespec until = soon(timeout_ms);
	unsigned long goal;
	int ret = 0;

	pthread_mutex_lock(&t->lock);
	goal = t->n.answers + n;
	while (t->n.answers < goal && !ret)
		ret = pthread_cond_timedwait(&t->cond, &t->lock, &until);
	ret = t->n.answers < goal ? -1 : 0;
	pthread_mutex_unlock(&t->lock);
	return ret;
}

bool torture_died(struct torture *t)
{
	const struct tcmu_abi_mailbox *mb = fake_ring_base(t->r);
	struct fake_ring_cfg cfg;
	uint32_t pos;

	fake_ring_check_swap(t->r);
	fake_ring_reclaim(t->r);
	journal_cfg(&cfg);
	memcpy(&pos, (const uint8_t *)mb + cfg.pos_off, sizeof(pos));
	return pos != __atomic_load_n(&mb->cmd_tail, __ATOMIC_RELAXED);
}

static int open_file(struct torture *t, const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		perror(path);
		t->bad++;
	}
	return fd;
}

void torture_power_cut(struct torture *t)
{
	int cache = open_file(t, t->cfg.path), disk = open_file(t, t->cfg.disk);
	uint8_t block[TORTURE_BLOCK];
	unsigned int seed = (unsigned int)fake_now_ms();

	for (uint64_t lba = 0; lba < t->cfg.blocks; lba++) {
		bool keep = rand_r(&seed) % 2;
		off_t off = (off_t)(lba * TORTURE_BLOCK);

		if (pread(keep ? cache : disk, block, TORTURE_BLOCK, off) != TORTURE_BLOCK ||
		    pwrite(keep ? disk : cache, block, TORTURE_BLOCK, off) != TORTURE_BLOCK)
			t->bad++;
	}
	close(cache);
	close(disk);
	model_power_cut(t->m);
}

/* Nothing is in flight. */
static void look_at_file(struct torture *t)
{
	uint8_t block[TORTURE_BLOCK];
	int fd = open_file(t, t->cfg.path);

	for (unsigned int i = 0; i < TORTURE_DEPTH; i++) {
		if (t->io[i].lingers)
			model_answered(t->m, t->io[i].model, false, NULL);
		t->io[i].lingers = false;
	}
	model_quiet(t->m);
	for (uint64_t lba = 0; lba < t->cfg.blocks; lba++) {
		if (pread(fd, block, TORTURE_BLOCK, (off_t)(lba * TORTURE_BLOCK)) != TORTURE_BLOCK)
			t->bad++;
		model_compare(t->m, lba, 1, block);
	}
	close(fd);
}

int torture_pause(struct torture *t, int timeout_ms)
{
	struct timespec until = soon(timeout_ms);
	int ret = 0;

	pthread_mutex_lock(&t->lock);
	t->pause = true;
	pthread_cond_broadcast(&t->cond);
	while ((!t->resting || t->busy) && !ret)
		ret = pthread_cond_timedwait(&t->cond, &t->lock, &until);
	pthread_mutex_unlock(&t->lock);
	if (ret || fake_wait_idle(t->r, timeout_ms))
		return -1;
	pthread_mutex_lock(&t->lock);
	look_at_file(t);
	pthread_mutex_unlock(&t->lock);
	return 0;
}

void torture_go_on(struct torture *t)
{
	pthread_mutex_lock(&t->lock);
	t->pause = t->resting = false;
	pthread_cond_broadcast(&t->cond);
	pthread_mutex_unlock(&t->lock);
}

unsigned int torture_stop(struct torture *t)
{
	unsigned int bad;

	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_broadcast(&t->cond);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	bad = t->bad;
	for (unsigned int i = 0; i < TORTURE_DEPTH; i++)
		free(t->io[i].data);
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->cond);
	model_free(t->m);
	free(t);
	return bad;
}
