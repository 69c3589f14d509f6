/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a loss of power leaves. Each sector reaches the disk as the page cache had it at some moment: the last
 * one at which it was made durable, or any later one, whatever its neighbours do. What needs the file system's
 * journal (sizes, holes) is found in the order in which it was done, up to some moment; a sector is not
 * found as of before a hole that is there, nor as of after one that is not.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"
#include "rig.h"

#define SECTOR 512u
#define PAGE   4096u

struct span {
	size_t from, to; /* as of so many changes */
};

struct cut {
	unsigned int file;
	size_t at;
	size_t journal; /* so many changes are in it */
	struct span *sectors;
	uint64_t count;
	uint8_t *bytes;
	uint64_t size;
};

static uint64_t end_of(const struct record_change *c)
{
	return c->off + c->len;
}

static bool is_journaled(const struct record_change *c)
{
	return c->kind == RECORD_ZERO || c->kind == RECORD_SIZE || c->kind == RECORD_ALLOCATE;
}

/* The sectors that a change is about. */
static struct span sectors_of(const struct cut *cut, const struct record_change *c)
{
	switch (c->kind) {
	case RECORD_WRITE:
	case RECORD_ZERO:
		return (struct span) { c->off / SECTOR, (end_of(c) + SECTOR - 1) / SECTOR };
	case RECORD_SIZE: /* those behind it are zeros from then on, should they be of the file again */
		return (struct span) { c->off / SECTOR, cut->count };
	case RECORD_ALLOCATE:
	case RECORD_SYNC:
		break;
	}
	return (struct span) { 0, 0 };
}

static void make_room(struct cut *cut)
{
	uint64_t most = record_files[cut->file].size;

	for (size_t i = 0; i < record_count; i++) {
		const struct record_change *c = &record_changes[i];

		if (c->file == cut->file && c->kind != RECORD_SYNC && end_of(c) > most)
			most = end_of(c);
	}
	cut->count = (most + SECTOR - 1) / SECTOR;
	cut->bytes = calloc(cut->count + 1, SECTOR);
	cut->sectors = calloc(cut->count + 1, sizeof(*cut->sectors));
	assert(cut->bytes && cut->sectors);
	memcpy(cut->bytes, record_files[cut->file].base, record_files[cut->file].size);
}

/* As of when each sector may be found. */
static void find_spans(struct cut *cut, size_t synced)
{
	for (uint64_t s = 0; s < cut->count; s++)
		cut->sectors[s] = (struct span) { synced, cut->at };
	for (size_t i = synced; i < cut->at; i++) {
		const struct record_change *c = &record_changes[i];
		struct span about = sectors_of(cut, c);
		bool durable = c->durable || (is_journaled(c) && i < cut->journal);

		if (c->file != cut->file || (!durable && !is_journaled(c)))
			continue;
		for (uint64_t s = about.from; s < about.to; s++) {
			struct span *span = &cut->sectors[s];

			if (durable && span->from < i + 1)
				span->from = i + 1;
			else if (!durable && span->to > i)
				span->to = i;
		}
	}
}

/* How likely is it that a sector is as old, as new as it can be, of 16; and which are alike? */
struct mood {
	unsigned int old, new;
	unsigned int shift;
};

static struct mood choose_mood(void)
{
	static const struct mood moods[] = { { 5, 5, 9 },   { 1, 15, 9 },  { 15, 1, 9 },
					     { 8, 8, 12 },  { 1, 15, 12 }, { 4, 4, 12 },
					     { 15, 1, 12 }, { 8, 8, 16 },  { 4, 4, 16 },
					     { 2, 14, 16 } };

	return moods[rig_random(sizeof(moods) / sizeof(*moods))];
}

/* One moment for each sector, in from. */
static void choose(struct cut *cut)
{
	struct mood mood = choose_mood();
	unsigned int kind = 0;
	uint64_t where = 0;

	for (uint64_t s = 0; s < cut->count; s++) {
		struct span *span = &cut->sectors[s];

		if (!s || s * SECTOR >> mood.shift != (s - 1) * SECTOR >> mood.shift) {
			kind = (unsigned int)rig_random(16);
			where = rig_random(1 << 16);
		}
		if (span->to < span->from)
			span->to = span->from;
		if (kind < mood.old)
			continue;
		if (kind < mood.old + mood.new)
			span->from = span->to;
		else
			span->from += (span->to - span->from) * where >> 16;
	}
}

/* The part of a change that is in sector s. */
static void apply(struct cut *cut, const struct record_change *c, uint64_t s)
{
	uint64_t from = s * SECTOR, to = from + SECTOR;

	if (c->off > from)
		from = c->off;
	if (c->kind != RECORD_SIZE && end_of(c) < to)
		to = end_of(c);
	if (c->kind == RECORD_WRITE)
		memcpy(cut->bytes + from, c->data + (from - c->off), to - from);
	else if (to > from)
		memset(cut->bytes + from, 0, to - from);
}

static void apply_all(struct cut *cut)
{
	for (size_t i = 0; i < cut->at; i++) {
		const struct record_change *c = &record_changes[i];
		struct span about = sectors_of(cut, c);

		if (c->file != cut->file)
			continue;
		for (uint64_t s = about.from; s < about.to; s++) {
			if (i < cut->sectors[s].from)
				apply(cut, c, s);
		}
	}
}

/* A write makes the file longer at some moment of its own: when it is written back. */
static void find_size(struct cut *cut, size_t synced)
{
	size_t grown = synced + (size_t)rig_random(cut->at - synced + 1);
	uint64_t size = record_files[cut->file].size;

	if (rig_random(2))
		grown = cut->at;
	for (size_t i = 0; i < cut->at; i++) {
		const struct record_change *c = &record_changes[i];

		if (c->file != cut->file)
			continue;
		if (c->kind == RECORD_SIZE && i < cut->journal)
			size = c->off;
		if ((c->kind == RECORD_ALLOCATE && i < cut->journal) ||
		    (c->kind == RECORD_WRITE && (c->durable || i < grown))) {
			if (size < end_of(c))
				size = end_of(c);
		}
	}
	cut->size = size;
}

/* A write that a signal has ended: so many pages of it are there. */
static void apply_part(struct cut *cut)
{
	struct record_change c;

	if (cut->at == record_count || rig_random(2))
		return;
	c = record_changes[cut->at];
	if (c.file != cut->file || c.kind != RECORD_WRITE)
		return;
	c.len = rig_random(end_of(&c) / PAGE - c.off / PAGE + 1) * PAGE;
	if (c.len <= c.off % PAGE)
		return;
	c.len -= c.off % PAGE;
	memcpy(cut->bytes + c.off, c.data, c.len);
	if (cut->size < end_of(&c))
		cut->size = end_of(&c);
}

uint8_t *cut_make(unsigned int file, size_t at, bool power, uint64_t *size)
{
	struct cut cut = { .file = file, .at = at };
	size_t synced = at;

	if (power) {
		for (synced = at; synced; synced--) {
			const struct record_change *c = &record_changes[synced - 1];

			if (c->file == file && c->kind == RECORD_SYNC)
				break;
		}
	}
	cut.journal = synced + (size_t)rig_random(at - synced + 1);
	if (rig_random(2))
		cut.journal = at;
	make_room(&cut);
	find_spans(&cut, synced);
	choose(&cut);
	find_size(&cut, synced);
	apply_all(&cut);
	if (!power)
		apply_part(&cut);
	if (cut.size < cut.count * SECTOR) /* what is behind it is lost */
		memset(cut.bytes + cut.size, 0, cut.count * SECTOR - cut.size);
	free(cut.sectors);
	*size = cut.size;
	return cut.bytes;
}
