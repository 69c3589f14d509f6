/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi/mode.h"

#include "scsi/reply.h"
#include "util/be.h"

/* CDB byte 1 */
#define DBD   0x08
#define LLBAA 0x10
#define PF    0x10
#define SP    0x01

/* DEVICE-SPECIFIC PARAMETER (SBC-4 6.5) */
#define DSP_WP     0x80
#define DSP_DPOFUA 0x10

/* Byte 0 of a page, and of the header's byte 4 in the 10-byte form */
#define PAGE_PS  0x80
#define PAGE_SPF 0x40
#define LONGLBA  0x01

#define CACHING_WCE 0x04

#define PAGE_MAX 20 /* bytes of the longest page */

struct mode_page {
	uint8_t code;
	uint8_t size; /* with its two header bytes */
	void (*current)(const struct scsi_lu *lu, uint8_t *page);
	uint8_t changeable[PAGE_MAX]; /* mask of the bits that MODE SELECT may change */
};

/* What differs between the 6-byte and the 10-byte commands. */
struct form {
	size_t header;
	size_t list_len; /* ALLOCATION or PARAMETER LIST LENGTH of the CDB */
	bool ten;
};

static struct form form_of(const uint8_t *cdb)
{
	bool ten = cdb[0] == MODE_SENSE_10 || cdb[0] == MODE_SELECT_10;

	return (struct form) {
		.header = ten ? 8 : 4,
		.list_len = ten ? get_be16(cdb + 7) : cdb[4],
		.ten = ten,
	};
}

/* ---- pages ---- */

/* SBC-4 6.5, Caching mode page. */
static void caching(const struct scsi_lu *lu, uint8_t *page)
{
	if (lu->write_cache)
		page[2] |= CACHING_WCE;
}

/* SPC-5 7.5, Control mode page: GLTSD (nothing is saved), QUEUE ALGORITHM MODIFIER 1 (unrestricted
 * reordering), D_SENSE 0 (fixed format), SWP, BUSY TIMEOUT PERIOD unlimited. */
static void control(const struct scsi_lu *lu, uint8_t *page)
{
	page[2] = 0x02;
	page[3] = 0x10;
	if (lu->write_protect)
		page[4] |= 0x08;
	put_be16(page + 8, 0xffff);
}

/* SPC-5 7.5, Informational Exceptions Control mode page: DEXCPT, there are none. */
static void informational_exceptions(const struct scsi_lu *lu, uint8_t *page)
{
	(void)lu;
	page[2] = 0x08;
}

/* SBC-4 6.5, Read-Write Error Recovery mode page: nothing is recovered here. */
static void rw_error_recovery(const struct scsi_lu *lu, uint8_t *page)
{
	(void)lu;
	(void)page;
}

/* In ascending order, as SPC-5 wants page 3Fh answered. None has subpages. */
static const struct mode_page pages[] = {
	{ MODE_PAGE_RW_ERROR_RECOVERY, 12, rw_error_recovery, { 0 } },
	{ MODE_PAGE_CACHING, 20, caching, { [2] = CACHING_WCE } },
	{ MODE_PAGE_CONTROL, 12, control, { 0 } },
	{ MODE_PAGE_INFORMATIONAL_EXCEPTIONS, 12, informational_exceptions, { 0 } },
};
static const size_t page_count = sizeof(pages) / sizeof(pages[0]);

static void put_page_header(const struct mode_page *page, uint8_t *data)
{
	data[0] = page->code; /* PS 0: not savable */
	data[1] = page->size - 2;
}

/* Copies the page's mask of changeable bits. */
static void put_changeable(const struct scsi_lu *lu, const struct mode_page *page, uint8_t *mask)
{
	memcpy(mask, page->changeable, page->size);
	if (page->code == MODE_PAGE_CACHING && lu->wce_fixed)
		mask[2] &= (uint8_t)~CACHING_WCE;
}

/* The page's values, zeros elsewhere in its bytes. */
static void put_page(const struct scsi_lu *lu, const struct mode_page *page, unsigned int pc,
		     uint8_t *data)
{
	memset(data, 0, page->size);
	if (pc == MODE_PC_CHANGEABLE)
		put_changeable(lu, page, data);
	else
		page->current(lu, data);
	put_page_header(page, data);
}

/* ---- MODE SENSE ---- */

/* SBC-4 6.5, the short (8 bytes) and the long LBA (16 bytes) mode parameter block descriptor.
 * Returns its bytes. */
static size_t put_block_descriptor(const struct scsi_lu *lu, bool long_lba, uint8_t *data)
{
	if (long_lba) {
		put_be64(data, lu->num_lbas);
		put_be32(data + 12, lu->block_size);
		return 16;
	}
	put_be32(data, lu->num_lbas < UINT32_MAX ? (uint32_t)lu->num_lbas : UINT32_MAX);
	put_be24(data + 5, lu->block_size);
	return 8;
}

/* Header and block descriptor but for MODE DATA LENGTH. Returns their bytes. */
static size_t put_header(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *data)
{
	struct form form = form_of(cdb);
	bool long_lba = form.ten && cdb[1] & LLBAA;
	size_t desc = 0;
	uint8_t dsp = DSP_DPOFUA;

	if (lu->write_protect)
		dsp |= DSP_WP;
	if (!(cdb[1] & DBD))
		desc = put_block_descriptor(lu, long_lba, data + form.header);
	if (form.ten) {
		data[3] = dsp;
		if (desc && long_lba)
			data[4] = LONGLBA;
		put_be16(data + 6, (uint16_t)desc);
	} else {
		data[2] = dsp;
		data[3] = (uint8_t)desc;
	}
	return form.header + desc;
}

uint8_t scsi_mode_sense(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf, size_t cap,
			size_t *len, struct scsi_sense *sense)
{
	uint8_t data[8 + 16 + 255] = { 0 };
	struct form form = form_of(cdb);
	unsigned int pc = cdb[2] >> 6, code = cdb[2] & 0x3f, found = 0;
	size_t size;

	/* SPC-5 MODE SENSE, PC 11b: nothing is saved here. */
	if (pc == MODE_PC_SAVED)
		return scsi_refuse(len, sense, SCSI_SENSE_SAVING_NOT_SUPPORTED);
	/* SPC-5 MODE SENSE, SUBPAGE CODE: 00h, and FFh for all there are. */
	if (cdb[3] != 0 && cdb[3] != MODE_SUBPAGE_ALL)
		return scsi_refuse(len, sense, scsi_sense_cdb_field(3, -1));

	size = put_header(lu, cdb, data);
	for (size_t i = 0; i < page_count; i++) {
		if (code != MODE_PAGE_ALL && code != pages[i].code)
			continue;
		put_page(lu, &pages[i], pc, data + size);
		size += pages[i].size;
		found++;
	}
	/* SPC-5 MODE SENSE: a page that is not there. */
	if (!found)
		return scsi_refuse(len, sense, scsi_sense_cdb_field(2, 5));

	/* MODE DATA LENGTH does not count itself. */
	if (form.ten)
		put_be16(data, (uint16_t)(size - 2));
	else
		data[0] = (uint8_t)(size - 1);
	return scsi_reply(buf, cap, len, data, size, form.list_len);
}

/* ---- MODE SELECT ---- */

/* The parameter list that is being parsed. */
struct list {
	const uint8_t *data;
	size_t size;
	size_t at; /* what was parsed */
};

static int refuse(struct scsi_sense *sense, struct scsi_sense why)
{
	*sense = why;
	return -1;
}

/* Are there n more bytes? SPC-5 MODE SELECT: a list that ends inside a header, a block descriptor or
 * a page is a PARAMETER LIST LENGTH ERROR. */
static int need(const struct list *list, size_t n, struct scsi_sense *sense)
{
	return list->size - list->at < n ? refuse(sense, SCSI_SENSE_PARAM_LIST_LENGTH) : 0;
}

/* SBC-4 6.5: neither the capacity nor the block length changes, so a block descriptor has to name
 * what is, or leave the capacity alone (0; all ones: the most there is). */
static int check_block_descriptor(const struct scsi_lu *lu, bool long_lba, const struct list *list,
				  struct scsi_sense *sense)
{
	const uint8_t *desc = list->data + list->at;
	uint64_t blocks = long_lba ? get_be64(desc) : get_be32(desc);
	uint64_t most = long_lba ? UINT64_MAX : UINT32_MAX;
	uint32_t block_size = long_lba ? get_be32(desc + 12) : get_be24(desc + 5);
	size_t size_at = long_lba ? 12 : 5;

	if (blocks != 0 && blocks != most && blocks != lu->num_lbas)
		return refuse(sense, scsi_sense_param_field((uint16_t)list->at, -1));
	if (block_size != lu->block_size)
		return refuse(sense, scsi_sense_param_field((uint16_t)(list->at + size_at), -1));
	return 0;
}

/* The header and the block descriptor. MODE DATA LENGTH is reserved and DEVICE-SPECIFIC PARAMETER
 * without effect in MODE SELECT (SPC-5 7.5, SBC-4 6.5): not looked at. */
static int parse_header(const struct scsi_lu *lu, const struct form *form, struct list *list,
			struct scsi_sense *sense)
{
	const uint8_t *data = list->data;
	size_t medium_at = form->ten ? 2 : 1, desc_at = form->ten ? 6 : 3, desc_len;
	bool long_lba;

	if (need(list, form->header, sense))
		return -1;
	/* MEDIUM TYPE: 00h is what SBC-4 has. */
	if (data[medium_at])
		return refuse(sense, scsi_sense_param_field((uint16_t)medium_at, -1));
	long_lba = form->ten && data[4] & LONGLBA;
	desc_len = form->ten ? get_be16(data + 6) : data[3];
	list->at = form->header;
	if (!desc_len)
		return 0;

	/* BLOCK DESCRIPTOR LENGTH: one, of the size that LONGLBA says. */
	if (desc_len != (long_lba ? 16 : 8))
		return refuse(sense, scsi_sense_param_field((uint16_t)desc_at, -1));
	if (need(list, desc_len, sense) || check_block_descriptor(lu, long_lba, list, sense))
		return -1;
	list->at += desc_len;
	return 0;
}

static const struct mode_page *find_page(uint8_t code)
{
	for (size_t i = 0; i < page_count; i++) {
		if (pages[i].code == code)
			return &pages[i];
	}
	return NULL;
}

/* SPC-5 MODE SELECT: a bit that cannot be changed has to be as it is. */
static int check_unchanged(const struct scsi_lu *lu, const struct mode_page *page,
			   const struct list *list, struct scsi_sense *sense)
{
	uint8_t current[PAGE_MAX], mask[PAGE_MAX];

	put_page(lu, page, MODE_PC_CURRENT, current);
	put_changeable(lu, page, mask);
	for (size_t i = 2; i < page->size; i++) {
		unsigned int wrong = (list->data[list->at + i] ^ current[i]) & ~mask[i];

		if (wrong)
			return refuse(sense, scsi_sense_param_field((uint16_t)(list->at + i),
								    31 - __builtin_clz(wrong)));
	}
	return 0;
}

static int parse_page(const struct scsi_lu *lu, struct list *list, struct scsi_mode_change *out,
		      struct scsi_sense *sense)
{
	const struct mode_page *page;
	const uint8_t *data = list->data + list->at;

	if (need(list, 2, sense))
		return -1;
	/* SPF: there are no subpages. PS is reserved in MODE SELECT. */
	if (data[0] & PAGE_SPF)
		return refuse(sense, scsi_sense_param_field((uint16_t)list->at, 6));
	page = find_page(data[0] & 0x3f);
	if (!page)
		return refuse(sense, scsi_sense_param_field((uint16_t)list->at, 5));
	/* SPC-5 MODE SELECT: PAGE LENGTH has to be what MODE SENSE returns. */
	if (data[1] != page->size - 2)
		return refuse(sense, scsi_sense_param_field((uint16_t)(list->at + 1), -1));
	if (need(list, page->size, sense) || check_unchanged(lu, page, list, sense))
		return -1;
	if (page->code == MODE_PAGE_CACHING) {
		out->wce = data[2] & CACHING_WCE;
		out->wce_valid = out->wce != lu->write_cache;
	}
	list->at += page->size;
	return 0;
}

uint8_t scsi_mode_select(const struct scsi_lu *lu, const uint8_t *cdb, const uint8_t *param,
			 size_t param_len, struct scsi_mode_change *out, struct scsi_sense *sense)
{
	struct form form = form_of(cdb);
	struct list list = { .data = param };
	struct scsi_mode_change change = { 0 };

	memset(out, 0, sizeof(*out));
	/* SPC-5 MODE SELECT, SP: nothing is saved here. */
	if (cdb[1] & SP) {
		*sense = scsi_sense_cdb_field(1, 0);
		return SAM_STAT_CHECK_CONDITION;
	}
	/* PARAMETER LIST LENGTH 0 is no error. */
	if (!form.list_len)
		return SAM_STAT_GOOD;
	/* PF 0: pages in a format of our own, which there is not. */
	if (!(cdb[1] & PF)) {
		*sense = scsi_sense_cdb_field(1, 4);
		return SAM_STAT_CHECK_CONDITION;
	}

	list.size = form.list_len < param_len ? form.list_len : param_len;
	if (parse_header(lu, &form, &list, sense))
		return SAM_STAT_CHECK_CONDITION;
	while (list.at < list.size) {
		if (parse_page(lu, &list, &change, sense))
			return SAM_STAT_CHECK_CONDITION;
	}
	/* The initiator says more than it sent. */
	if (form.list_len > param_len) {
		*sense = SCSI_SENSE_PARAM_LIST_LENGTH;
		return SAM_STAT_CHECK_CONDITION;
	}
	*out = change;
	return SAM_STAT_GOOD;
}
