/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum kind { WRITE, ZERO, READ, FLUSH };

struct io {
	enum kind kind;
	bool good, through; /* through: durable when it is GOOD */
	bool fua;           /* by itself, and not since there is no cache */
	unsigned int answers;
	uint64_t lba, submitted, answered; /* answered: 0 while it is not */
	uint32_t blocks;
};

/* A write that may be what a block holds. over: since when not any more, 0: still. gone: even a loss of power
 * does not bring it back. */
struct writer {
	uint64_t io, over;
	bool gone;
};

struct block {
	struct writer *w;
	uint32_t n, room;
};

struct model {
	pthread_mutex_t lock;
	struct fake_verdicts *v;
	uint64_t blocks, now;
	uint64_t cut; /* when power was last lost, 0: never */
	uint32_t size;
	bool cached, tears, wavers;
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
	m->io[m->io_cnt++] =
		(struct io) { .kind = ZERO, .good = true, .through = true, .answered = 1 };
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
	m->io[n] = (struct io) {
		.kind = kind,
		.through = !m->cached && kind <= ZERO,
		.lba = lba,
		.blocks = blocks,
		.submitted = ++m->now,
	};
	for (uint32_t i = 0; i < blocks && kind <= ZERO; i++) {
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

uint64_t model_flush(struct model *m)
{
	return begin(m, FLUSH, 0, 0, NULL);
}

void model_through(struct model *m, uint64_t io)
{
	pthread_mutex_lock(&m->lock);
	m->io[io].through = m->io[io].fua = true;
	pthread_mutex_unlock(&m->lock);
}

/* ---- what is no longer there ---- */

/* Those that are gone since before the oldest command in flight need not be remembered: nobody may see
 * them any more. */
static void forget(struct model *m, struct block *b)
{
	uint64_t since = m->oldest < m->io_cnt ? m->io[m->oldest].submitted : m->now;
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->n; i++)
		if (!b->w[i].gone || b->w[i].over > since)
			b->w[n++] = b->w[i];
	b->n = n;
}

static bool answered_before(const struct model *m, const struct writer *w, uint64_t when)
{
	return m->io[w->io].answered && m->io[w->io].answered < when;
}

/* What was answered before that time has been overwritten; for good, if that is durable. */
static void outdate(struct model *m, struct block *b, uint64_t before, bool durable)
{
	for (uint32_t i = 0; i < b->n; i++) {
		struct writer *w = &b->w[i];

		if (!answered_before(m, w, before))
			continue;
		if (!w->over)
			w->over = m->now;
		w->gone |= durable;
	}
	forget(m, b);
}

/* A write that was under way when power was lost may have been done before and answered after that. */
static bool is_there(const struct model *m, const struct io *io)
{
	return io->good && (io->through || io->submitted > m->cut);
}

/* Whatever was written, and answered before that time, is durable. */
static void flushed(struct model *m, struct block *b, uint64_t before)
{
	uint64_t newest = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		const struct io *io = &m->io[b->w[i].io];

		if (is_there(m, io) && answered_before(m, &b->w[i], before) &&
		    io->submitted > newest)
			newest = io->submitted;
	}
	outdate(m, b, newest, true);
}

/* Commands have no order: one that was sent before it was turned on may be carried out after that. */
void model_set_cache(struct model *m, bool on)
{
	pthread_mutex_lock(&m->lock);
	m->cached = on;
	for (uint64_t n = m->oldest; n < m->io_cnt && on; n++)
		if (!m->io[n].answered)
			m->io[n].through = m->io[n].fua;
	pthread_mutex_unlock(&m->lock);
}

void model_let_tear(struct model *m)
{
	m->tears = true;
}

void model_let_waver(struct model *m)
{
	m->wavers = true;
}

void model_power_cut(struct model *m)
{
	pthread_mutex_lock(&m->lock);
	m->cut = ++m->now;
	for (uint64_t lba = 0; lba < m->blocks; lba++)
		for (uint32_t i = 0; i < m->block[lba].n; i++)
			if (!m->block[lba].w[i].gone)
				m->block[lba].w[i].over = 0;
	pthread_mutex_unlock(&m->lock);
}

/* ---- what is there ---- */

static bool may_see(const struct writer *w, uint64_t asked)
{
	return !w->over || w->over >= asked;
}

static bool is_of(const struct model *m, const struct writer *w, uint64_t lba, const uint8_t *data)
{
	return m->io[w->io].kind == ZERO ? is_zero(m, data) : is_stamp(m, w->io, lba, data);
}

/* Each word from one of those that it may be of, while one of them was at it. */
static bool is_torn(const struct model *m, uint64_t lba, const uint8_t *data, uint64_t asked)
{
	const struct block *b = &m->block[lba];
	bool busy = false, known = true;

	for (uint32_t i = 0; i < b->n; i++)
		busy |= !answered_before(m, &b->w[i], asked);
	for (uint32_t n = 0; n < m->size / 8 && busy && known; n++) {
		uint64_t v;

		memcpy(&v, data + (size_t)n * 8, 8);
		known = false;
		for (uint32_t i = 0; i < b->n && !known; i++)
			known = may_see(&b->w[i], asked) &&
				v == (m->io[b->w[i].io].kind == ZERO ? 0
								     : word(b->w[i].io, lba, n));
	}
	return busy && known;
}

/* Does it have a write that failed, so that a reader may find that once, and then again what was before? */
static bool is_wavering(const struct model *m, const struct block *b)
{
	for (uint32_t i = 0; i < b->n && m->wavers; i++) {
		const struct io *io = &m->io[b->w[i].io];

		if (!b->w[i].over && io->answered && !io->good)
			return true;
	}
	return false;
}

/* This was there at a time after asked: whatever was answered by then is not, and does not come back. What is
 * there after a loss of power is durable. */
static void seen(struct model *m, uint64_t lba, const uint8_t *data, uint64_t asked)
{
	struct block *b = &m->block[lba];
	bool durable = m->cut;

	if (asked < m->cut || is_wavering(m, b))
		return;
	for (uint32_t i = 0; i < b->n; i++)
		if (may_see(&b->w[i], asked) && is_of(m, &b->w[i], lba, data))
			durable &= answered_before(m, &b->w[i], m->cut);
	for (uint32_t i = 0; i < b->n; i++) {
		struct writer *w = &b->w[i];

		if (!answered_before(m, w, asked) || is_of(m, w, lba, data))
			continue;
		if (!w->over)
			w->over = m->now;
		w->gone |= durable && answered_before(m, w, m->cut);
	}
	forget(m, b);
}

/* May the block hold this, for somebody who asked at that time? */
static bool may_hold(const struct model *m, uint64_t lba, const uint8_t *data, uint64_t asked)
{
	const struct block *b = &m->block[lba];

	for (uint32_t i = 0; i < b->n; i++)
		if (may_see(&b->w[i], asked) && is_of(m, &b->w[i], lba, data))
			return true;
	return false;
}

static void accuse(struct model *m, uint64_t lba, const uint8_t *data, const char *who)
{
	enum fake_verdict kind = FAKE_V_RESTART;
	const char *what = "what was never, or is no longer, there";
	uint64_t io;

	memcpy(&io, data, sizeof(io));
	if (io < m->io_cnt && (io ? is_stamp(m, io, lba, data) : is_zero(m, data))) {
		what = "a write that was overwritten";
		if (m->io[io].answered && m->io[io].answered < m->cut) {
			kind = FAKE_V_LOST;
			what = "a write from before one that was promised to be durable";
		}
	}
	fake_verdict(m->v, kind, "block %llu: %s %s (%llu)", (unsigned long long)lba, who, what,
		     (unsigned long long)io);
}

static void compare(struct model *m, uint64_t lba, uint32_t blocks, const uint8_t *data,
		    uint64_t asked, const char *who)
{
	for (uint32_t i = 0; i < blocks; i++, data += m->size) {
		if (may_hold(m, lba + i, data, asked))
			seen(m, lba + i, data, asked);
		else if (!m->tears || !is_torn(m, lba + i, data, asked))
			accuse(m, lba + i, data, who);
	}
}

/* It has ended GOOD, and so has what it says to be over. */
static void conclude(struct model *m, const struct io *io)
{
	switch (io->kind) {
	case READ:
		for (uint32_t i = 0; i < io->blocks && io->through && io->submitted > m->cut; i++)
			flushed(m, &m->block[io->lba + i], io->submitted);
		break;
	case FLUSH:
		for (uint64_t lba = 0; lba < m->blocks && io->submitted > m->cut; lba++)
			flushed(m, &m->block[lba], io->submitted);
		break;
	case WRITE:
	case ZERO:
		for (uint32_t i = 0; i < io->blocks && is_there(m, io); i++)
			outdate(m, &m->block[io->lba + i], io->submitted, io->through);
		break;
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
	io->answered = ++m->now;
	io->good = good;
	if (good && io->kind == READ)
		compare(m, io->lba, io->blocks, data, io->submitted, "a read brings");
	while (m->oldest < m->io_cnt && m->io[m->oldest].answered)
		m->oldest++;
	if (good)
		conclude(m, io);
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
