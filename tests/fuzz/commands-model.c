/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each command may do to the medium, and what it may be answered then. Everything happens on one
 * thread, so each block has a history; commands that are under way together may be carried out in any order,
 * but each as its standard says.
 */
#include <assert.h>
#include <string.h>

#include "scsi_defs.h"
#include "tests/fuzz/commands.h"
#include "util/be.h"

#define HISTORY_MAX 16384u

static struct {
	uint32_t block;
	uint64_t at, old;
} history[HISTORY_MAX];
static unsigned int history_count;

static uint8_t zeros[BLOCK_SIZE_MAX];
static uint64_t zero_hash;

uint64_t hash_block(const uint8_t *p)
{
	uint64_t h = w.block_size, v;

	for (uint32_t i = 0; i < w.block_size; i += 8) {
		memcpy(&v, p + i, 8);
		h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	return h;
}

void model_reset(void)
{
	history_count = 0;
	zero_hash = hash_block(zeros);
	for (uint32_t b = 0; b < BLOCKS; b++)
		w.hash[b] = hash_block(w.medium + (size_t)b * w.block_size);
	w.now = 1;
	w.flushed = w.deallocated = w.cache_changed_at = 0;
	w.cache_was = tcmu_dev_get_write_cache_enabled(&w.dev);
}

void model_changed(uint64_t block)
{
	uint64_t hash = hash_block(w.medium + block * w.block_size);

	if (hash == w.hash[block])
		return;
	if (history_count < HISTORY_MAX) {
		history[history_count].block = (uint32_t)block;
		history[history_count].at = w.now;
		history[history_count++].old = w.hash[block];
	}
	w.hash[block] = hash;
}

/* Did the block look like this at any time since then? */
static bool had(uint64_t block, uint64_t hash, uint64_t since)
{
	if (w.hash[block] == hash || history_count == HISTORY_MAX)
		return true;
	for (unsigned int i = history_count; i-- > 0 && history[i].at >= since;)
		if (history[i].block == block && history[i].old == hash)
			return true;
	return false;
}

void model_dirty(struct sent *s, bool stable)
{
	if (s)
		s->dirty_at = stable ? 0 : w.now;
}

void model_cache(void)
{
	bool on = tcmu_dev_get_write_cache_enabled(&w.dev);

	if (on != w.cache_was)
		w.cache_changed_at = ++w.now;
	w.cache_was = on;
}

/* ---- FORMAT UNIT, SANITIZE: the pattern that they ask for --------------------------------------- */

static void look_like(struct sent *s, const uint8_t *pattern, size_t len)
{
	uint8_t block[BLOCK_SIZE_MAX];

	for (int i = 0; i < 2; i++) {
		for (size_t at = 0; at < w.block_size; at++)
			block[at] = (uint8_t)((len ? pattern[at % len] : 0) ^ (i ? 0xff : 0));
		s->looks[i] = hash_block(block);
	}
}

static void read_pattern(struct sent *s)
{
	const uint8_t *list = s->data, *cdb = s->fc.cdb;
	size_t len = s->fc.dir == FAKE_OUT ? s->fc.len : 0, at;

	s->wipes = true;
	if (s->op->id == SCSI_FORMAT_UNIT) {
		at = cdb[1] & 0x20 ? 8 : 4;
		if (!(cdb[1] & 0x10) || len < at + 4 || !(list[1] & 0x08) || !list[at + 1])
			look_like(s, NULL, 0);
		else if (at + 4 + get_be16(list + at + 2) <= len)
			look_like(s, list + at + 4, get_be16(list + at + 2));
	} else if (s->op->service_action == SANITIZE_SA_OVERWRITE) {
		if (len > 4 && 4u + get_be16(list + 2) <= len)
			look_like(s, list + 4, get_be16(list + 2));
	} else {
		look_like(s, NULL, 0);
	}
}

static bool is_immed(const struct sent *s)
{
	if (s->op->id == SCSI_SANITIZE)
		return s->fc.cdb[1] & 0x80;
	return s->fc.cdb[1] & 0x10 && s->fc.len > 1 && s->data[1] & 0x02;
}

/* EXTENDED COPY writes what was anywhere on the medium since it was sent. */
static bool copied(const struct sent *s, uint64_t hash)
{
	if (!s->op || s->op->id != SCSI_EXTENDED_COPY)
		return false;
	for (uint64_t b = 0; b < BLOCKS; b++)
		if (had(b, hash, s->sent_at))
			return true;
	return false;
}

/* By the runner's own command. */
static void wiped_or_copied(const uint8_t *block)
{
	uint64_t hash = hash_block(block);

	for (unsigned int i = 0; i < w.sent_count; i++)
		if ((w.sent[i]->wipes &&
		     (hash == w.sent[i]->looks[0] || hash == w.sent[i]->looks[1])) ||
		    copied(w.sent[i], hash))
			return;
	assert(!"the medium is overwritten with what nobody asked for");
}

/* ---- what the handler is asked ------------------------------------------------------------------ */

static void inside(struct sent *s, uint64_t off, uint64_t len)
{
	assert(!tcmu_dev_get_write_protect_enabled(&w.dev));
	if (!s)
		return;
	assert(off >= s->lba * w.block_size);
	assert(off + len <= (s->lba + s->blocks) * w.block_size);
	for (uint64_t b = off / w.block_size; b < (off + len) / w.block_size; b++)
		s->applied |= UINT64_C(1) << b;
}

static const uint8_t *pattern_of(const struct sent *s)
{
	return s->op->cdb_len == 16 && s->fc.cdb[1] & 0x01 ? zeros : s->data;
}

void model_same(struct sent *s, const uint8_t *block, uint64_t off, uint64_t len)
{
	inside(s, off, len);
	if (!s) {
		wiped_or_copied(block);
		return;
	}
	assert(s->op && s->op->id == SCSI_WRITE_SAME);
	assert(s->fc.odd || !memcmp(block, pattern_of(s), w.block_size));
}

static void or_write(struct sent *s, const uint8_t *bytes, uint64_t off, uint64_t len)
{
	const uint8_t *given = s->data + (off - s->lba * w.block_size);

	for (uint64_t i = 0; i < len; i++)
		assert(bytes[i] == (w.medium[off + i] | given[i]));
}

void model_write(struct sent *s, const struct iovec *iov, size_t iov_cnt, uint64_t off,
		 uint64_t len)
{
	static uint8_t bytes[BLOCKS * BLOCK_SIZE_MAX];
	uint64_t from;

	inside(s, off, len);
	tcmu_memcpy_from_iovec(bytes, len, (struct iovec *)(uintptr_t)iov, iov_cnt);
	for (uint64_t i = 0; !s && i < len; i += w.block_size)
		wiped_or_copied(bytes + i);
	if (!s || s->fc.odd)
		return;
	assert(s->op && s->op->flags & SCSI_F_MEDIUM_WRITE);
	from = off - s->lba * w.block_size;
	switch (s->op->id) {
	case SCSI_WRITE:
	case SCSI_WRITE_AND_VERIFY:
	case SCSI_WRITE_ATOMIC:
		assert(!memcmp(bytes, s->data + from, len));
		break;
	case SCSI_ORWRITE:
		or_write(s, bytes, off, len);
		break;
	case SCSI_COMPARE_AND_WRITE: /* nobody came in between */
		assert(!from && len == s->blocks * w.block_size);
		assert(!memcmp(w.medium + off, s->data, len));
		assert(!memcmp(bytes, s->data + len, len));
		break;
	case SCSI_WRITE_SAME:
		for (uint64_t i = 0; i < len; i += w.block_size)
			assert(!memcmp(bytes + i, pattern_of(s), w.block_size));
		break;
	default:
		assert(!"this command does not write");
	}
}

/* The blocks of an UNMAP parameter list. */
static uint64_t descriptors(const struct sent *s)
{
	size_t len = get_be16(s->fc.cdb + 7), end;
	uint64_t bits = 0;

	if (s->fc.odd || len < 8 || len > s->fc.len)
		return 0;
	end = 8u + get_be16(s->data + 2);
	for (size_t at = 8; at + 16 <= end && at + 16 <= len; at += 16)
		for (uint64_t b = 0; b < get_be32(s->data + at + 8) && b < BLOCKS; b++)
			bits |= UINT64_C(1) << (get_be64(s->data + at) + b) % BLOCKS;
	return bits;
}

void model_unmap(struct sent *s, uint64_t off, uint64_t len)
{
	assert(tcmu_dev_get_unmap_enabled(&w.dev));
	if (s && s->op && s->op->id == SCSI_UNMAP) {
		assert(!tcmu_dev_get_write_protect_enabled(&w.dev));
		for (uint64_t b = off / w.block_size; b < (off + len) / w.block_size; b++) {
			assert(s->fc.odd || descriptors(s) >> b & 1);
			s->applied |= UINT64_C(1) << b;
		}
		return;
	}
	inside(s, off, len);
	if (!s)
		return;
	assert(s->op && s->op->id == SCSI_WRITE_SAME && s->fc.cdb[1] & 0x08);
	assert(s->fc.odd || !memcmp(pattern_of(s), zeros, w.block_size));
	assert(tcmu_dev_get_unmap_zeroes(&w.dev));
}

/* ---- what the initiator is told ----------------------------------------------------------------- */

void model_sent(struct sent *s)
{
	s->sent_at = ++w.now;
	model_cache();
	s->cache_off = !w.cache_was;
	if (s->op && (s->op->id == SCSI_FORMAT_UNIT || s->op->id == SCSI_SANITIZE))
		read_pattern(s);
}

static uint64_t range_bits(const struct sent *s)
{
	uint64_t bits = s->blocks >= BLOCKS ? UINT64_MAX : (UINT64_C(1) << s->blocks) - 1;

	return s->blocks ? bits << s->lba : 0;
}

static void read_is_right(const struct sent *s)
{
	size_t got = s->fc.len - s->fc.residual, want = s->fc.len - s->fc.len % w.block_size;

	if (want > s->blocks * w.block_size)
		want = (size_t)s->blocks * w.block_size;
	assert(got >= want);
	for (size_t at = 0; at < want; at += w.block_size)
		assert(had(s->lba + at / w.block_size, hash_block(s->data + at), s->sent_at));
	for (size_t at = want; at < got; at++)
		assert(!s->data[at]);
}

static void compared(const struct sent *s)
{
	uint8_t bytchk = s->fc.cdb[1] >> 1 & 3;

	for (uint64_t b = 0; bytchk && !s->fc.odd && b < s->blocks; b++)
		assert(had(s->lba + b, hash_block(s->data + (bytchk == 1 ? b * w.block_size : 0)),
			   s->sent_at));
}

/* Nobody has claimed more than what was done. */
static void is_durable(const struct sent *s)
{
	bool off = s->cache_off && w.cache_changed_at < s->sent_at;
	bool fua = s->op->flags & SCSI_F_FUA && s->fc.cdb[1] & 0x08;

	if (!w.entry.handler.flush)
		return;
	if (s->dirty_at && (fua || off || s->op->id == SCSI_WRITE_AND_VERIFY))
		assert(w.flushed > s->dirty_at);
	if (s->op->id == SCSI_SYNCHRONIZE_CACHE)
		assert(w.flushed > s->sent_at);
}

static void is_wiped(const struct sent *s)
{
	bool erase = s->op->id == SCSI_SANITIZE && s->op->service_action != SANITIZE_SA_OVERWRITE;

	if (is_immed(s) || s->fc.odd || erase)
		return;
	for (uint64_t b = 0; b < BLOCKS; b++)
		assert(had(b, s->looks[0], s->sent_at));
}

static void good(const struct sent *s)
{
	const struct scsi_opcode *op = s->op;

	assert(!s->failed);
	if (!op)
		return;
	if (op->flags & SCSI_F_RANGE)
		assert(s->lba <= BLOCKS && s->blocks <= BLOCKS - s->lba);
	if (op->flags & SCSI_F_MEDIUM_WRITE && op->flags & SCSI_F_RANGE)
		assert(s->applied == range_bits(s));
	is_durable(s);
	switch (op->id) {
	case SCSI_READ:
		if (!s->fc.odd)
			read_is_right(s);
		break;
	case SCSI_VERIFY:
		compared(s);
		break;
	case SCSI_UNMAP:
		if (w.entry.handler.unmap && !s->fc.odd)
			assert(s->asked == descriptors(s));
		break;
	case SCSI_FORMAT_UNIT:
	case SCSI_SANITIZE:
		is_wiped(s);
		break;
	default:
		break;
	}
}

static void refused(const struct sent *s)
{
	const uint8_t *sense = s->fc.sense;
	bool desc = (sense[0] & 0x7f) >= 0x72;
	uint8_t key = (desc ? sense[1] : sense[2]) & 0x0f;

	if (!s->failed && (key == NOT_READY || key == ILLEGAL_REQUEST || key == UNIT_ATTENTION ||
			   key == DATA_PROTECT || key == MISCOMPARE))
		assert(!s->applied || (s->op && s->op->id == SCSI_WRITE_AND_VERIFY));
	/* SPC-5 4.4.2.4.2: the field pointer of a CDB is inside it. */
	if (!desc && key == ILLEGAL_REQUEST && (sense[15] & 0xc0) == 0xc0)
		assert(get_be16(sense + 16) < fake_cdb_len(s->fc.cdb));
}

/* Bytes at the beginning of a buffer of the wrong direction that may be anything: with GOOD, they are on the
 * medium now. */
static size_t on_medium(const struct sent *s)
{
	const struct scsi_opcode *op = s->op;
	uint64_t len = s->blocks * w.block_size;

	/* A handler may have consumed the iovecs of what it failed to write. */
	if (s->failed && !(op && op->dir == SCSI_DIR_IN))
		return s->fc.len;
	if (!op || s->fc.status != SAM_STAT_GOOD)
		return 0;
	if (op->id == SCSI_VERIFY)
		len = s->fc.cdb[1] & 0x06 ? len : 0;
	else if (op->id == SCSI_COMPARE_AND_WRITE)
		len *= 2;
	else if (op->id != SCSI_WRITE && op->id != SCSI_WRITE_AND_VERIFY &&
		 op->id != SCSI_WRITE_ATOMIC)
		len = 0;
	return len < s->fc.len ? (size_t)len : s->fc.len;
}

/* What was in the ring before is nobody's business. */
static void no_foreign_bytes(const struct sent *s)
{
	if (s->fc.dir != FAKE_IN || s->fc.status == SAM_STAT_CHECK_CONDITION)
		return;
	if (s->fc.status == SAM_STAT_GOOD && (!s->op || s->op->dir == SCSI_DIR_IN))
		return; /* the fake ring's verdict 12 */
	for (size_t i = on_medium(s); i < s->fc.len; i++)
		assert(!s->data[i]);
}

void model_answered(struct sent *s)
{
	model_cache();
	if (s->aborted || s->fc.expired)
		return;
	no_foreign_bytes(s);
	if (s->fc.status == SAM_STAT_GOOD)
		good(s);
	else if (s->fc.status == SAM_STAT_CHECK_CONDITION)
		refused(s);
	else
		assert(s->fc.status == SAM_STAT_BUSY || s->fc.status == SAM_STAT_TASK_SET_FULL);
}
