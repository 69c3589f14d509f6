/* SPDX-License-Identifier: Apache-2.0 */
/* Parameter lists for fuzz-commands. A new one is a row of makers[]. */
#include <string.h>

#include "scsi/inquiry.h"
#include "scsi/mode_pages.h"
#include "scsi_defs.h"
#include "tests/fuzz/commands.h"
#include "util/be.h"

static void set_length(struct sent *s, size_t len)
{
	const struct scsi_opcode *op = s->op;

	for (unsigned int i = op->xfer.size; i-- > 0; len >>= 8)
		s->fc.cdb[op->xfer.at + i] = (uint8_t)len;
}

/* The header, then pages as they are but for what the input changes. */
static size_t mode_pages(struct sent *s, uint8_t *list)
{
	size_t header = s->op->cdb_len == 6 ? 4 : 8, len = header;
	uint32_t what = take(1), flips;
	struct scsi_lu lu;

	runner_lu(&w.rdev, &lu, 0);
	s->fc.cdb[1] |= 0x10;        /* PF */
	if ((what & 0x60) == 0x60) { /* a block descriptor */
		list[header - 1] = 8;
		put_be32(list + len, BLOCKS);
		put_be24(list + len + 5, w.block_size);
		len += 8;
	}
	for (unsigned int n = 1 + (what >> 7); n; n--, what >>= 3) {
		const struct scsi_mode_page *page = scsi_mode_page(&lu, what % 8);

		if (!page)
			continue;
		scsi_mode_put_page(&lu, page, 0, list + len);
		list[len] &= 0x7f; /* PS */
		flips = take(1);
		if (page->code == MODE_PAGE_CACHING)
			list[len + 2] ^= (uint8_t)flips & 0x04; /* WCE */
		if (page->code == MODE_PAGE_CONTROL && !page->subpage) {
			list[len + 2] ^= (uint8_t)flips & 0x04; /* D_SENSE */
			list[len + 4] ^= (uint8_t)flips & 0x08; /* SWP */
		}
		len += page->size;
	}
	return len;
}

static size_t unmap(struct sent *s, uint8_t *list)
{
	uint32_t n = take(1) % 6;
	size_t len = 8;

	(void)s;
	for (; n; n--, len += 16) {
		put_be64(list + len, take(1) % (BLOCKS + 2));
		put_be32(list + len + 8, take(1) % 12);
	}
	put_be16(list, (uint16_t)(len - 2));
	put_be16(list + 2, (uint16_t)(len - 8));
	return len;
}

static size_t pattern(uint8_t *to)
{
	size_t len = 1 + take(1) % 16;

	for (size_t i = 0; i < len; i++)
		to[i] = (uint8_t)take(1);
	return len;
}

static size_t format(struct sent *s, uint8_t *list)
{
	uint32_t what = take(1);
	size_t header = s->fc.cdb[1] & 0x20 ? 8 : 4, len;

	s->fc.cdb[1] &= 0x30; /* LONGLIST, FMTDATA */
	list[1] = (uint8_t)(what & 0x02);
	if (!(what & 0x04))
		return header;
	list[1] |= 0x88; /* FOV, IP */
	list[header + 1] = 0x01;
	len = pattern(list + header + 4);
	put_be16(list + header + 2, (uint16_t)len);
	return header + 4 + len;
}

static size_t sanitize(struct sent *s, uint8_t *list)
{
	size_t len;

	if (s->op->service_action != SANITIZE_SA_OVERWRITE)
		return 0;
	list[0] = (uint8_t)take(1) & 0x9f; /* INVERT, OVERWRITE COUNT */
	if (list[0] & 0x18 && take(1) % 8)
		list[0] &= 0x83;
	len = pattern(list + 4);
	put_be16(list + 2, (uint16_t)len);
	return 4 + len;
}

static size_t diagnostic(struct sent *s, uint8_t *list)
{
	(void)s;
	list[0] = (uint8_t)take(1) & 0x01;
	return take(1) & 1 ? 4 : 0;
}

/* Within the unit: one CSCD descriptor, up to three segments. */
static size_t extended_copy(struct sent *s, uint8_t *list)
{
	static const uint8_t usage[] = { 0, 2, 3, 3 };
	uint32_t what = take(1), n = 1 + (what & 0x0f) % 3;
	uint8_t *cscd = list + 16, *seg = cscd + 32;
	struct scsi_lu lu;

	(void)s;
	list[1] = (uint8_t)(usage[what >> 4 & 3] << 3); /* LIST ID USAGE */
	list[0] = usage[what >> 4 & 3] == 3 ? 0 : what >> 6;
	put_be16(list + 2, 32);
	put_be32(list + 8, n * 28);
	cscd[0] = 0xe4;
	cscd[4] = 0x01;
	cscd[5] = 0x03;
	cscd[7] = SCSI_NAA_SIZE;
	runner_lu(&w.rdev, &lu, RUNNER_LU_WWN);
	scsi_lu_naa(&lu, cscd + 8);
	put_be24(cscd + 29, w.block_size);
	for (; n; n--, seg += 28) {
		seg[0] = 0x02;
		seg[3] = 24;
		put_be16(seg + 10, (uint16_t)(take(1) % 24));
		put_be64(seg + 12, take(1) % (BLOCKS + 2));
		put_be64(seg + 20, take(1) % (BLOCKS + 2));
	}
	return (size_t)(seg - list);
}

/* Of a command that has no maker. */
static size_t anything(struct sent *s, uint8_t *list)
{
	size_t len = take(1) % 64;

	(void)s;
	for (size_t i = 0; i < len; i++)
		list[i] = (uint8_t)take(1);
	return len;
}

static size_t (*const makers[SCSI_CMD_COUNT])(struct sent *s, uint8_t *list) = {
	[SCSI_MODE_SELECT] = mode_pages,     [SCSI_UNMAP] = unmap,
	[SCSI_FORMAT_UNIT] = format,         [SCSI_SANITIZE] = sanitize,
	[SCSI_SEND_DIAGNOSTIC] = diagnostic, [SCSI_EXTENDED_COPY] = extended_copy,
};

void make_list(struct sent *s, uint8_t *list, size_t *len)
{
	uint32_t how = take(1);

	*len = makers[s->op->id] ? makers[s->op->id](s, list) : anything(s, list);
	if (how >= 0xe0 && *len)
		list[take(1) % *len] ^= (uint8_t)(1u << how % 8);
	set_length(s, *len);
	if (how >= 0xd0 && how < 0xe0)
		set_length(s, take(1));
}
