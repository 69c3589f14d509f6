/* SPDX-License-Identifier: Apache-2.0 */
#include "stress.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/ring/model.h"
#include "util/be.h"

#define FUA       0x08
#define READ_BACK 128u /* blocks */
#define PAUSE_MS  5    /* before the next command when one was refused or failed */
#define KINDS     4
#define SORTS     16 /* of errors, of one kind of command */
#define DEPTH_MAX 128u

enum kind { READS, WRITES, FLUSHES, UNMAPS };

static const char *const kind_names[KINDS] = { "read", "write", "flush", "unmap" };

struct io {
	struct fake_cmd cmd;
	struct stress *s;
	enum kind kind;
	bool busy, retry;
	uint64_t lba, model, sent; /* sent: the first time, in ms */
	uint32_t blocks;
	uint8_t *data;
};

struct sort {
	char name[16]; /* "2/04/00" */
	unsigned long n;
};

struct count {
	unsigned long good, errors;
	uint64_t longest; /* ms */
	struct sort sort[SORTS];
};

struct stress {
	struct fake_ring *r;
	struct stress_cfg cfg;
	struct fake_verdicts v;
	struct model *m; /* NULL before the first command */
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t cond;
	bool runs, stop, slow;
	bool gone; /* what is left will not be answered by the unit */
	unsigned int busy, seed;
	unsigned long done;
	uint8_t *claimed; /* a byte a block: in flight */
	struct io io[DEPTH_MAX];

	struct count count[KINDS];
	unsigned long retried;
	uint64_t since, first_error, last_error, first_good, last_good; /* ms; 0: none */
};

static struct timespec in_ms(int ms)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += ms / 1000;
	at.tv_nsec += ms % 1000 * 1000000L;
	if (at.tv_nsec >= 1000000000L) {
		at.tv_nsec -= 1000000000L;
		at.tv_sec++;
	}
	return at;
}

static uint64_t now_ms(void)
{
	struct timespec t = in_ms(0);

	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static unsigned int below(struct stress *s, unsigned int n)
{
	return (unsigned int)rand_r(&s->seed) % n;
}

/* ---- answers ---- */

/* BUSY, TASK SET FULL, UNIT ATTENTION */
bool stress_wants_retry(const struct fake_cmd *cmd)
{
	return cmd->status == 0x08 || cmd->status == 0x28 ||
	       (cmd->status == 0x02 && (cmd->sense[2] & 0xf) == 6);
}

static void count_error(struct count *c, const struct fake_cmd *cmd)
{
	char name[16];

	if (cmd->status == 0x02)
		snprintf(name, sizeof(name), "%x/%02x/%02x", cmd->sense[2] & 0xf, cmd->sense[12],
			 cmd->sense[13]);
	else
		snprintf(name, sizeof(name), "status %02x", cmd->status);
	c->errors++;
	for (int i = 0; i < SORTS; i++) {
		if (!c->sort[i].n)
			strcpy(c->sort[i].name, name);
		if (!strcmp(c->sort[i].name, name)) {
			c->sort[i].n++;
			return;
		}
	}
}

static void count(struct io *io)
{
	struct stress *s = io->s;
	struct count *c = &s->count[io->kind];
	uint64_t now = now_ms();

	if (now - io->sent > c->longest)
		c->longest = now - io->sent;
	if (io->cmd.status) {
		count_error(c, &io->cmd);
		s->last_error = now;
		if (!s->first_error)
			s->first_error = now;
		return;
	}
	c->good++;
	s->last_good = now;
	if (!s->first_good)
		s->first_good = now;
}

static void judge(struct io *io)
{
	struct stress *s = io->s;
	bool bad = io->cmd.status;

	model_answered(s->m, io->model, !bad, io->data);
	if (bad && s->cfg.cached && (io->kind == FLUSHES || s->cfg.any_loses))
		model_power_cut(s->m);
	if (io->blocks)
		memset(s->claimed + io->lba, 0, io->blocks);
}

static void answered(struct fake_cmd *cmd)
{
	struct io *io = cmd->arg;
	struct stress *s = io->s;

	pthread_mutex_lock(&s->lock);
	io->retry = stress_wants_retry(cmd) && !s->gone;
	s->slow |= cmd->status;
	if (io->retry) {
		s->retried++;
	} else {
		count(io);
		judge(io);
		s->done++;
	}
	io->busy = false;
	s->busy--;
	pthread_cond_broadcast(&s->cond);
	pthread_mutex_unlock(&s->lock);
}

/* ---- commands ---- */

/* A range that nobody uses just now; false if none was found by chance. */
static bool claim(struct io *io)
{
	struct stress *s = io->s;
	uint64_t max = s->cfg.max_io < s->cfg.blocks ? s->cfg.max_io : s->cfg.blocks;

	io->blocks = 1 + below(s, (unsigned int)max);
	io->lba = (((uint64_t)rand_r(&s->seed) << 20) ^ (uint64_t)rand_r(&s->seed)) %
		  (s->cfg.blocks - io->blocks + 1);
	if (memchr(s->claimed + io->lba, 1, io->blocks))
		return false;
	memset(s->claimed + io->lba, 1, io->blocks);
	return true;
}

/* READ(16), WRITE(16); the length of the data. */
static size_t compose_rw(struct io *io, uint8_t *cdb)
{
	struct stress *s = io->s;

	cdb[0] = io->kind == READS ? 0x88 : 0x8a;
	put_be64(cdb + 2, io->lba);
	put_be32(cdb + 10, io->blocks);
	if (io->kind == READS) {
		io->model = model_read(s->m, io->lba, io->blocks);
	} else {
		io->model = model_write(s->m, io->lba, io->blocks, io->data);
		if (!below(s, 32)) {
			cdb[1] = FUA;
			model_through(s->m, io->model);
		}
	}
	return (size_t)io->blocks * STRESS_BLOCK;
}

/* UNMAP or WRITE SAME(16), with zeros and the UNMAP bit. */
static size_t compose_unmap(struct io *io, uint8_t *cdb)
{
	struct stress *s = io->s;

	io->model = model_zero(s->m, io->lba, io->blocks);
	memset(io->data, 0, STRESS_BLOCK);
	if (below(s, 2)) {
		cdb[0] = 0x93;
		cdb[1] = 0x08;
		put_be64(cdb + 2, io->lba);
		put_be32(cdb + 10, io->blocks);
		return STRESS_BLOCK;
	}
	cdb[0] = 0x42;
	cdb[8] = 24;
	put_be16(io->data, 22);
	put_be16(io->data + 2, 16);
	put_be64(io->data + 8, io->lba);
	put_be32(io->data + 16, io->blocks);
	return 24;
}

static bool compose(struct io *io)
{
	struct stress *s = io->s;
	unsigned int n = below(s, 100);
	enum fake_dir dir = FAKE_OUT;
	uint8_t cdb[16] = { 0 };
	size_t len = 0;

	io->kind = n < s->cfg.flush                                   ? FLUSHES
		   : n < s->cfg.flush + s->cfg.unmap                  ? UNMAPS
		   : n < s->cfg.flush + s->cfg.unmap + s->cfg.reading ? READS
								      : WRITES;
	io->lba = io->blocks = 0;
	if (io->kind != FLUSHES && !claim(io))
		return false;
	switch (io->kind) {
	case READS:
		dir = FAKE_IN;
		len = compose_rw(io, cdb);
		break;
	case WRITES:
		len = compose_rw(io, cdb);
		break;
	case FLUSHES:
		dir = FAKE_NONE;
		cdb[0] = 0x91;
		io->model = model_flush(s->m);
		break;
	case UNMAPS:
		len = compose_unmap(io, cdb);
	}
	fake_cmd_init(&io->cmd, cdb, sizeof(cdb), dir, io->data, len);
	io->cmd.done = answered;
	io->cmd.arg = io;
	io->sent = now_ms();
	return true;
}

/* ---- the thread ---- */

/* With the lock held but for the submission itself. */
static void submit(struct io *io)
{
	struct stress *s = io->s;

	io->busy = true;
	io->retry = false;
	s->busy++;
	pthread_mutex_unlock(&s->lock);
	fake_ring_submit(s->r, &io->cmd);
	pthread_mutex_lock(&s->lock);
}

/* One round over all slots, with at most so many new commands; how many there were. Retries come even while stopping:
 * they are promises. */
static bool round_of_work(struct stress *s, uint64_t budget, uint64_t *new)
{
	bool any = false;

	for (unsigned int i = 0; i < s->cfg.depth; i++) {
		struct io *io = &s->io[i];

		if (io->busy)
			continue;
		if (!io->retry) {
			if (s->stop || *new >= budget || !compose(io))
				continue;
			++*new;
		}
		submit(io);
		any = true;
	}
	return any;
}

static bool has_retries(const struct stress *s)
{
	for (unsigned int i = 0; i < s->cfg.depth; i++)
		if (s->io[i].retry)
			return true;
	return false;
}

static void *worker(void *arg)
{
	struct stress *s = arg;
	uint64_t begun = now_ms(), new = 0;

	pthread_mutex_lock(&s->lock);
	while (!s->stop || s->busy || has_retries(s)) {
		uint64_t budget = s->cfg.rate ? (now_ms() - begun) * s->cfg.rate / 1000 + 1
					      : UINT64_MAX;
		struct timespec until = in_ms(PAUSE_MS);

		if (s->slow) { /* refused or failed: the next ones would be, too */
			s->slow = false;
			pthread_mutex_unlock(&s->lock);
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
			pthread_mutex_lock(&s->lock);
		}
		if (!round_of_work(s, budget, &new))
			pthread_cond_timedwait(&s->cond, &s->lock, &until);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

struct stress *stress_new(struct fake_ring *r)
{
	struct stress *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	s->r = r;
	fake_verdicts_init(&s->v);
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->cond, &attr);
	pthread_condattr_destroy(&attr);
	return s;
}

void stress_free(struct stress *s)
{
	if (s->m)
		model_free(s->m);
	for (unsigned int i = 0; i < DEPTH_MAX; i++)
		free(s->io[i].data);
	free(s->claimed);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->cond);
	fake_verdicts_destroy(&s->v);
	free(s);
}

void stress_begin(struct stress *s, const struct stress_cfg *cfg)
{
	uint64_t blocks = s->m ? s->cfg.blocks : cfg->blocks;

	s->cfg = *cfg;
	s->cfg.blocks = blocks; /* the model's */
	if (s->cfg.depth > DEPTH_MAX)
		s->cfg.depth = DEPTH_MAX;
	s->seed = cfg->seed;
	if (!s->m) {
		s->m = model_new(blocks, STRESS_BLOCK, &s->v);
		s->claimed = calloc(blocks, 1);
	}
	model_set_cache(s->m, cfg->cached);
	if (cfg->wavers)
		model_let_waver(s->m);
	for (unsigned int i = 0; i < s->cfg.depth; i++) {
		struct io *io = &s->io[i];

		io->s = s;
		free(io->data);
		io->data = malloc((size_t)cfg->max_io * STRESS_BLOCK);
	}
	s->stop = s->gone = false;
	s->runs = true;
	s->since = now_ms();
	pthread_create(&s->thread, NULL, worker, s);
}

bool stress_runs(struct stress *s)
{
	return s->runs;
}

unsigned long stress_progress(struct stress *s, unsigned long n, int timeout_ms)
{
	struct timespec until = in_ms(timeout_ms);
	unsigned long before, ret;

	pthread_mutex_lock(&s->lock);
	before = s->done;
	while (s->done - before < n && !pthread_cond_timedwait(&s->cond, &s->lock, &until))
		;
	ret = s->done - before;
	pthread_mutex_unlock(&s->lock);
	return ret;
}

/* ---- figures ---- */

static uint64_t oldest_ms(const struct stress *s)
{
	uint64_t now = now_ms(), age = 0;

	for (unsigned int i = 0; i < s->cfg.depth; i++)
		if ((s->io[i].busy || s->io[i].retry) && now - s->io[i].sent > age)
			age = now - s->io[i].sent;
	return age;
}

static void print_kind(const struct count *c, const char *name, FILE *to)
{
	fprintf(to,
		"\"%s\": {\"good\": %lu, \"errors\": %lu, \"longest_ms\": %" PRIu64
		", \"sorts\": {",
		name, c->good, c->errors, c->longest);
	for (int i = 0; i < SORTS && c->sort[i].n; i++)
		fprintf(to, "%s\"%s\": %lu", i ? ", " : "", c->sort[i].name, c->sort[i].n);
	fprintf(to, "}}, ");
}

void stress_print(struct stress *s, FILE *to)
{
	unsigned long good = 0, errors = 0;
	uint64_t longest, pending;

	pthread_mutex_lock(&s->lock);
	longest = pending = oldest_ms(s);
	fprintf(to, "{");
	for (int i = 0; i < KINDS; i++) {
		const struct count *c = &s->count[i];

		print_kind(c, kind_names[i], to);
		good += c->good;
		errors += c->errors;
		if (c->longest > longest)
			longest = c->longest;
	}
	fprintf(to, "\"good\": %lu, \"errors\": %lu, \"retried\": %lu, ", good, errors, s->retried);
	fprintf(to, "\"longest_ms\": %" PRIu64 ", \"pending_ms\": %" PRIu64 ", \"in_flight\": %u, ",
		longest, pending, s->busy);
	fprintf(to,
		"\"since\": %" PRIu64 ", \"first_error\": %" PRIu64 ", \"last_error\": %" PRIu64,
		s->since, s->first_error, s->last_error);
	fprintf(to, ", \"first_good\": %" PRIu64 ", \"last_good\": %" PRIu64 "}\n", s->first_good,
		s->last_good);
	memset(s->count, 0, sizeof(s->count));
	s->retried = 0;
	s->first_error = s->last_error = s->first_good = s->last_good = 0;
	s->since = now_ms();
	pthread_mutex_unlock(&s->lock);
}

/* ---- the end ---- */

static bool read_one(struct stress *s, uint64_t lba, uint32_t blocks, uint8_t *buf, uint64_t end)
{
	uint8_t cdb[16] = { 0x88 };
	struct fake_cmd cmd;

	put_be64(cdb + 2, lba);
	put_be32(cdb + 10, blocks);
	for (;;) {
		struct timespec soon = in_ms(PAUSE_MS);
		uint64_t now = now_ms();

		fake_cmd_init(&cmd, cdb, sizeof(cdb), FAKE_IN, buf, (size_t)blocks * STRESS_BLOCK);
		if (now >= end || fake_exec(s->r, &cmd, (int)(end - now)))
			return false;
		if (!cmd.status)
			return true;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &soon, NULL);
	}
}

static void read_back(struct stress *s, uint64_t end, struct stress_outcome *to)
{
	uint8_t buf[READ_BACK * STRESS_BLOCK];

	for (uint64_t lba = 0; lba < s->cfg.blocks; lba += READ_BACK) {
		uint32_t n = READ_BACK;

		if (lba + n > s->cfg.blocks)
			n = (uint32_t)(s->cfg.blocks - lba);
		if (!read_one(s, lba, n, buf, end)) {
			to->unread = s->cfg.blocks - lba;
			return;
		}
		model_compare(s->m, lba, n, buf);
		to->read += n;
	}
}

void stress_end(struct stress *s, int timeout_ms, struct stress_outcome *to)
{
	uint64_t begun = now_ms(), end = begun + (uint64_t)timeout_ms;
	struct timespec until = in_ms(timeout_ms);
	int ret = 0;

	memset(to, 0, sizeof(*to));
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	while ((s->busy || has_retries(s)) && ret != ETIMEDOUT)
		ret = pthread_cond_timedwait(&s->cond, &s->lock, &until);
	for (unsigned int i = 0; i < s->cfg.depth; i++) {
		to->stuck += s->io[i].busy || s->io[i].retry;
		s->io[i].retry = false;
	}
	s->gone = to->stuck;
	pthread_mutex_unlock(&s->lock);
	to->wait_ms = now_ms() - begun;
	if (to->stuck)
		fake_ring_reset(s->r, 2);
	pthread_join(s->thread, NULL);
	s->runs = false;
	if (!to->stuck)
		read_back(s, end, to);
	to->wrong = fake_verdicts_total(&s->v, stderr);
	fake_verdicts_clear(&s->v);
}
