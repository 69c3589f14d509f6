/* SPDX-License-Identifier: Apache-2.0 */
/* The initiator of fuzz-commands: mostly what the table of commands has, with plausible fields; now and then
 * a bit that is not, or anything. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "scsi_defs.h"
#include "tests/fuzz/commands.h"
#include "util/be.h"

static void put_field(uint8_t *cdb, struct scsi_field field, uint64_t value)
{
	for (unsigned int i = field.size; i-- > 0; value >>= 8)
		cdb[field.at + i] |= (uint8_t)value;
}

/* Few blocks, near each other, so that commands meet. */
static uint64_t some_lba(void)
{
	uint32_t v = take(1);

	if (v < 0xc0)
		return v % 16;
	return v < 0xf8 ? v - 0xc0 + BLOCKS - 48 : (uint64_t)take(4) << (v % 8 * 4);
}

static uint64_t some_blocks(void)
{
	uint32_t v = take(1);

	if (v < 0xe0)
		return v % 9;
	return v < 0xf8 ? v % BLOCKS : (uint64_t)take(4) >> (v % 8 * 4);
}

/* Bits of byte 1 that the row has, but not most of the time those that are refused. */
static void options(struct sent *s)
{
	uint8_t *cdb = s->fc.cdb, allowed = s->op->usage[1] | s->op->ignored[1];

	if (s->op->lba.at == 1)
		return;
	if (s->op->service_action != SCSI_NO_SA)
		allowed &= 0xe0;
	cdb[1] |= (uint8_t)take(1) & allowed;
}

/* Behind the address: the bytes that are neither that nor the length. */
static void other_bytes(struct sent *s)
{
	for (unsigned int i = 2; i + 1 < s->op->cdb_len; i++) {
		bool is_field = (i >= s->op->lba.at && i < s->op->lba.at + s->op->lba.size) ||
				(i >= s->op->xfer.at && i < s->op->xfer.at + s->op->xfer.size);

		if (!is_field && s->op->usage[i])
			s->fc.cdb[i] |= (uint8_t)take(1) & s->op->usage[i];
	}
}

static void from_table(struct sent *s)
{
	const struct scsi_opcode *op = &scsi_opcodes[take(1) % scsi_opcode_count];

	s->op = op;
	s->fc.cdb[0] = op->opcode;
	if (op->service_action != SCSI_NO_SA)
		s->fc.cdb[1] = (uint8_t)op->service_action;
	options(s);
	other_bytes(s);
	if (op->lba.size)
		put_field(s->fc.cdb, op->lba, some_lba());
	if (op->xfer.size && (op->lba.size && op->id != SCSI_GET_LBA_STATUS))
		put_field(s->fc.cdb, op->xfer, some_blocks());
	else if (op->xfer.size && op->dir == SCSI_DIR_IN)
		put_field(s->fc.cdb, op->xfer, take(1) * 5);
}

static void anything(struct sent *s)
{
	for (unsigned int i = 0; i < 16; i++)
		s->fc.cdb[i] = (uint8_t)take(1);
	if (s->fc.cdb[0] == 0x7f)
		for (size_t i = 16; i < fake_cdb_len(s->fc.cdb); i++)
			s->fc.cdb[i] = (uint8_t)i;
}

/* ---- data --------------------------------------------------------------------------------------- */

static size_t out_len(const struct sent *s)
{
	uint64_t blocks = s->blocks < BLOCKS ? s->blocks : BLOCKS;

	switch (s->op->id) {
	case SCSI_COMPARE_AND_WRITE:
		blocks *= 2;
		break;
	case SCSI_WRITE_SAME:
		blocks = s->op->cdb_len == 16 && s->fc.cdb[1] & 0x01 ? 0 : 1;
		break;
	case SCSI_VERIFY:
		if (!(s->fc.cdb[1] & 0x06))
			blocks = 0;
		else if ((s->fc.cdb[1] & 0x06) == 0x06)
			blocks = 1;
		break;
	default:
		break;
	}
	return (size_t)blocks * w.block_size;
}

static void one_block(uint8_t *p, uint32_t what, uint32_t seed)
{
	if (what % 4 == 1)
		memset(p, 0, w.block_size);
	else if (what % 4 == 2)
		memset(p, (int)seed, w.block_size);
	else
		for (uint32_t i = 0; i < w.block_size; i += 4)
			put_be32(p + i, seed * 0x01010101 + i * 0x9e3779b9);
}

/* What is on the medium already makes a comparison succeed. */
static void fill_blocks(struct sent *s, uint8_t *data, size_t len)
{
	uint32_t what = take(1), seed = take(1);
	size_t room = s->lba < BLOCKS ? (size_t)(BLOCKS - s->lba) * w.block_size : 0;

	for (size_t at = 0; at + w.block_size <= len; at += w.block_size)
		one_block(data + at, what, what & 4 ? seed : seed + (uint32_t)at / w.block_size);
	if (len % w.block_size)
		memset(data + len - len % w.block_size, (int)seed, len % w.block_size);
	if (!(what & 8) || !room)
		return;
	if (s->op->id == SCSI_COMPARE_AND_WRITE)
		len /= 2;
	memcpy(data, w.medium + s->lba * w.block_size, len < room ? len : room);
}

static size_t in_len(const struct sent *s)
{
	uint64_t len = scsi_cdb_xfer(s->op, s->fc.cdb);

	if (s->op->id == SCSI_READ)
		len *= w.block_size;
	else if (s->op->id == SCSI_READ_CAPACITY_10)
		len = 8;
	return len < DATA_MAX ? (size_t)len : DATA_MAX;
}

/* The buffer is mostly as long as the CDB says. */
static size_t some_len(size_t len)
{
	uint32_t v = take(1);

	if (v < 0xd0)
		return len;
	if (v < 0xe0)
		return len + v % 16;
	if (v < 0xf0)
		return len > v % 16 ? len - v % 16 : 0;
	return v % 16 * 300;
}

static void make_data(struct sent *s)
{
	static uint8_t list[DATA_MAX];
	bool is_range = s->op && s->op->flags & SCSI_F_RANGE;
	size_t len = 0, filled;

	if (s->op && s->op->dir == SCSI_DIR_OUT && !is_range) {
		memset(list, 0, 512);
		make_list(s, list, &len);
	} else if (s->op) {
		len = s->op->dir == SCSI_DIR_OUT ? out_len(s) : in_len(s);
	}
	if (s->op && s->op->dir == SCSI_DIR_NONE)
		len = 0;
	filled = len;
	len = some_len(len);
	len = len < DATA_MAX ? len : DATA_MAX;
	s->fc.len = len;
	s->fc.dir = !s->op || s->op->dir == SCSI_DIR_IN ? FAKE_IN : FAKE_OUT;
	if (!s->op && take(1) & 1)
		s->fc.dir = FAKE_OUT;
	if (s->op && take(1) >= 0xf8) {
		s->fc.dir = s->fc.dir == FAKE_OUT ? FAKE_IN : FAKE_OUT;
		s->fc.odd = true;
	}
	if (!len)
		s->fc.dir = FAKE_NONE;
	s->data = calloc(1, len ? len : 1);
	s->fc.data = s->data;
	if (s->fc.dir != FAKE_OUT)
		return;
	if (is_range)
		fill_blocks(s, s->data, len);
	else if (s->op)
		memcpy(s->data, list, len < filled ? len : filled);
}

void make_command(struct sent *s)
{
	uint32_t how = take(1), at;

	if (how < 0xf0)
		from_table(s);
	else if (how < 0xf4)
		s->fc.cdb[0] = VENDOR_OPCODE;
	else
		anything(s);
	if (how >= 0xd8 && how < 0xf0) {
		at = take(1);
		s->fc.cdb[at / 8 % 16] ^= (uint8_t)(1u << at % 8);
	}
	s->op = scsi_opcode_find(s->fc.cdb);
	if (s->op && s->op->flags & SCSI_F_RANGE) {
		s->lba = scsi_cdb_lba(s->op, s->fc.cdb);
		s->blocks = scsi_cdb_xfer(s->op, s->fc.cdb);
		if (s->op->id == SCSI_WRITE_SAME && !s->blocks && s->lba < BLOCKS)
			s->blocks = BLOCKS - s->lba; /* WSNZ is 0 */
	}
	make_data(s);
	assert(s->data);
}
