/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum kind { WRITE, ZERO, READ };

struct io {
	enum kind kind;
	unsigned int answers;
	uint64_t lba, submitted, answered; /* answered: 0 while it is not */
	uint32_t blocks;
};

/* A write that may be what a block holds. over: since when not any more, 0: still. */
struct writer {
	uint64_t io, over;
};

struct block {
	struct writer *w;
	uint32_t n, room;
};

struct model {
	pthread_mutex_t lock;
	struct fake_verdicts *v;
	uint64_t blocks, now;
	uint32_t size;
	struct block *block;
	struct io *io; /* by number; 0: the zeros of the beginning */
	uint64_t io_cnt, io_room;
	uint64_t oldest; /* all before this one are answered */
};

struct model *model_new(uint64_t blocks, uint32_t block_size, struct fake_verdicts *v)
{
	struct model *m = calloc(1, sizeof(*m));

	pthread_mutex_init(&m->lock, NULL);
	m->v = v;
	m->blocks = blocks;
	m->size = block_size;
	m->now = 1;
	m->io_room = 1024;
	m->io = calloc(m->io_room, sizeof(*m->io));
	m->io[m->io_cnt++] = (struct io) { .kind = ZERO, .answered = 1 };
	m->oldest = 1;
	m->block = calloc(blocks, sizeof(*m->block));
	for (uint64_t b = 0; b < blocks; b++) {
		m->block[b].w = calloc(4, sizeof(struct writer));
		m->block[b].room = 4;
		m->block[b].n = 1;
	}
	return m;
}

void model_free(struct model *m)
{
	for (uint64_t b = 0; b < m->blocks; b++)
		free(m->block[b].w);
	free(m->block);
	free(m->io);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

/* ---- stamps ---- */

static uint64_t word(uint64_t io, uint64_t lba, uint32_t i)
{
	uint64_t z;

	if (i < 2)
		return i ? lba : io;
	z = (io * 0x9e3779b97f4a7c15ull) ^ (lba << 20) ^ i;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	return z ^ (z >> 31);
}

static void stamp(const struct model *m, uint64_t io, uint64_t lba, uint8_t *to)
{
	for (uint32_t i = 0; i < m->size / 8; i++) {
		uint64_t v = word(io, lba, i);

		memcpy(to + (size_t)i * 8, &v, 8);
	}
}

static bool is_stamp(const struct model *m, uint64_t io, uint64_t lba, const uint8_t *data)
{
	for (uint32_t i = 0; i < m->size / 8; i++) {
		uint64_t v = word(io, lba, i);

		if (memcmp(data + (size_t)i * 8, &v, 8))
			return false;
	}
	return true;
}

static bool is_zero(const struct model *m, const uint8_t *data)
{
	return !data[0] && !memcmp(data, data + 1, m->size - 1);
}

/* ---- commands ---- */

static void add_writer(struct block *b, uint64_t io)
{
	if (b->n == b->room) {
		b->room *= 2;
		b->w = realloc(b->w, b->room * sizeof(*b->w));
	}
	b->w[b->n++] = (struct writer) { .io = io };
}

static uint64_t begin(struct model *m, enum kind kind, uint64_t lba, uint32_t blocks, uint8_t *data)
{
	uint64_t n;

	pthread_mutex_lock(&m->lock);
	if (m->io_cnt == m->io_room) {
		m->io_room *= 2;
		m->io = realloc(m->io, m->io_room * sizeof(*m->io));
	}
	n = m->io_cnt++;
	m->io[n] =
		(struct io) { .kind = kind, .lba = lba, .blocks = blocks, .submitted = ++m->now };
	for (uint32_t i = 0; i < blocks && kind != READ; i++) {
		add_writer(&m->block[lba + i], n);
		if (kind == WRITE)
			stamp(m, n, lba + i, data + (size_t)i * m->size);
	}
	pthread_mutex_unlock(&m->lock);
	return n;
}

uint64_t model_write(struct model *m, uint64_t lba, uint32_t blocks, void *data)
{
	return begin(m, WRITE, lba, blocks, data);
}

uint64_t model_zero(struct model *m, uint64_t lba, uint32_t blocks)
{
	return begin(m, ZERO, lba, blocks, NULL);
}

uint64_t model_read(struct model *m, uint64_t lba, uint32_t blocks)
{
	return begin(m, READ, lba, blocks, NULL);
}

/* A write has ended GOOD. Those that are over since before the oldest command in flight need not be
 * remembered: nobody may see them any more. */
static void outdate(struct model *m, struct block *b, const struct io *by)
{
	uint64_t since = m->oldest < m->io_cnt ? m->io[m->oldest].submitted : m->now;
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		struct writer *w = &b->w[i];
		const struct io *io = &m->io[w->io];

		if (!w->over && io->answered && io->answered < by->submitted)
			w->over = m->now;
		if (!w->over || w->over > since)
			b->w[n++] = *w;
	}
	b->n = n;
}

/* May the block hold this, for somebody who asked at that time? */
static bool may_hold(const struct model *m, uint64_t lba, const uint8_t *data, uint64_t asked)
{
	const struct block *b = &m->block[lba];
	bool zero = is_zero(m, data);

	for (uint32_t i = 0; i < b->n; i++) {
		const struct writer *w = &b->w[i];

		if (w->over && w->over < asked)
			continue;
		if (m->io[w->io].kind == ZERO ? zero : is_stamp(m, w->io, lba, data))
			return true;
	}
	return false;
}

static void compare(struct model *m, uint64_t lba, uint32_t blocks, const uint8_t *data,
		    uint64_t asked, const char *who)
{
	for (uint32_t i = 0; i < blocks; i++, data += m->size) {
		uint64_t io;

		if (may_hold(m, lba + i, data, asked))
			continue;
		memcpy(&io, data, sizeof(io));
		if (io && io < m->io_cnt && is_stamp(m, io, lba + i, data))
			fake_verdict(m->v, FAKE_V_RESTART,
				     "block %llu: %s write %llu, which was overwritten",
				     (unsigned long long)lba + i, who, (unsigned long long)io);
		else
			fake_verdict(m->v, FAKE_V_RESTART,
				     "block %llu: %s what was never, or is no longer, there",
				     (unsigned long long)lba + i, who);
	}
}

void model_answered(struct model *m, uint64_t n, bool good, const void *data)
{
	struct io *io;

	pthread_mutex_lock(&m->lock);
	io = &m->io[n];
	if (io->answers++) {
		fake_verdict(m->v, FAKE_V_RESTART, "command %llu ended %u times",
			     (unsigned long long)n, io->answers);
		goto out;
	}
	if (good && io->kind == READ)
		compare(m, io->lba, io->blocks, data, io->submitted, "a read brings");
	io->answered = ++m->now;
	while (m->oldest < m->io_cnt && m->io[m->oldest].answered)
		m->oldest++;
	for (uint32_t i = 0; i < io->blocks && good && io->kind != READ; i++)
		outdate(m, &m->block[io->lba + i], io);
out:
	pthread_mutex_unlock(&m->lock);
}

void model_quiet(struct model *m)
{
	pthread_mutex_lock(&m->lock);
	for (uint64_t n = m->oldest; n < m->io_cnt; n++)
		if (!m->io[n].answers)
			fake_verdict(m->v, FAKE_V_RESTART, "command %llu never ended",
				     (unsigned long long)n);
	pthread_mutex_unlock(&m->lock);
}

void model_compare(struct model *m, uint64_t lba, uint32_t blocks, const void *data)
{
	pthread_mutex_lock(&m->lock);
	compare(m, lba, blocks, data, ++m->now, "the disk holds");
	pthread_mutex_unlock(&m->lock);
}
