/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi/mode.h"

#include "scsi/mode_pages.h"
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

#define LONGLBA 0x01 /* byte 4 of the header in the 10-byte form */

#define LIST_MAX 512 /* more than all pages with their header and block descriptor */

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

/* ---- MODE SENSE ---- */

/* SBC-4 6.5, the short (8 bytes) and the long LBA (16 bytes) mode parameter block descriptor.
 * Returns its bytes. */
static size_t put_block_descriptor(const struct scsi_lu *lu, bool long_lba, uint8_t *data)
{
	uint64_t blocks = scsi_lu_no_medium(lu) ? 0 : lu->num_lbas;

	if (long_lba) {
		put_be64(data, blocks);
		put_be32(data + 12, lu->block_size);
		return 16;
	}
	put_be32(data, blocks < UINT32_MAX ? (uint32_t)blocks : UINT32_MAX);
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

	if (lu->write_protect || lu->swp)
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

/* SPC-5 MODE SENSE, PAGE CODE and SUBPAGE CODE: 3Fh is each page, subpage FFh each subpage. */
static bool is_asked_for(const struct scsi_mode_page *page, unsigned int code, unsigned int subpage)
{
	if (code != MODE_PAGE_ALL && code != page->code)
		return false;
	return subpage == MODE_SUBPAGE_ALL || subpage == page->subpage;
}

/* Why there was nothing to return: the place of the CDB that is wrong. */
static struct scsi_sense no_such_page(const struct scsi_lu *lu, unsigned int code)
{
	const struct scsi_mode_page *page;

	for (size_t i = 0; (page = scsi_mode_page(lu, i)); i++) {
		if (code == page->code)
			return scsi_sense_cdb_field(3, -1);
	}
	return scsi_sense_cdb_field(2, 5);
}

uint8_t scsi_mode_sense(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf, size_t cap,
			size_t *len, struct scsi_sense *sense)
{
	uint8_t data[LIST_MAX] = { 0 };
	struct form form = form_of(cdb);
	unsigned int pc = cdb[2] >> 6, code = cdb[2] & 0x3f, found = 0;
	const struct scsi_mode_page *page;
	size_t size;

	/* SPC-5 MODE SENSE, PC 11b */
	if (pc == MODE_PC_SAVED && !lu->saves)
		return scsi_refuse(len, sense, SCSI_SENSE_SAVING_NOT_SUPPORTED);
	/* SPC-5 MODE SENSE, page 3Fh: subpages 00h and FFh, nothing between. */
	if (code == MODE_PAGE_ALL && cdb[3] != 0 && cdb[3] != MODE_SUBPAGE_ALL)
		return scsi_refuse(len, sense, scsi_sense_cdb_field(3, -1));

	size = put_header(lu, cdb, data);
	for (size_t i = 0; (page = scsi_mode_page(lu, i)); i++) {
		if (!is_asked_for(page, code, cdb[3]))
			continue;
		scsi_mode_put_page(lu, page, pc, data + size);
		size += page->size;
		found++;
	}
	if (!found)
		return scsi_refuse(len, sense, no_such_page(lu, code));

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

static const struct scsi_mode_page *find_page(const struct scsi_lu *lu, uint8_t code,
					      uint8_t subpage)
{
	const struct scsi_mode_page *page;

	for (size_t i = 0; (page = scsi_mode_page(lu, i)); i++) {
		if (page->code == code && page->subpage == subpage)
			break;
	}
	return page;
}

/* SPC-5 MODE SELECT: a bit that cannot be changed has to be as it is. */
static int check_unchanged(const struct scsi_lu *lu, const struct scsi_mode_page *page,
			   const struct list *list, struct scsi_sense *sense)
{
	uint8_t current[SCSI_MODE_PAGE_MAX], mask[SCSI_MODE_PAGE_MAX];

	scsi_mode_put_page(lu, page, MODE_PC_CURRENT, current);
	scsi_mode_put_page(lu, page, MODE_PC_CHANGEABLE, mask);
	for (size_t i = scsi_mode_page_header(page); i < page->size; i++) {
		unsigned int wrong = (list->data[list->at + i] ^ current[i]) & ~mask[i];

		if (wrong)
			return refuse(sense, scsi_sense_param_field((uint16_t)(list->at + i),
								    31 - __builtin_clz(wrong)));
	}
	return 0;
}

/* The page's header. PS is reserved in MODE SELECT. PAGE LENGTH has to be what MODE SENSE returns. */
static int parse_page_header(const struct scsi_lu *lu, const struct list *list,
			     const struct scsi_mode_page **page, struct scsi_sense *sense)
{
	const uint8_t *data = list->data + list->at;
	bool spf;

	if (need(list, 2, sense))
		return -1;
	spf = data[0] & SCSI_MODE_SPF;
	if (spf && need(list, 4, sense))
		return -1;
	*page = find_page(lu, data[0] & 0x3f, spf ? data[1] : 0);
	if (!*page)
		return refuse(sense, scsi_sense_param_field((uint16_t)list->at, 5));
	if (spf != ((*page)->subpage != 0)) /* subpage 00h in sub_page format */
		return refuse(sense, scsi_sense_param_field((uint16_t)(list->at + 1), -1));
	if (spf && get_be16(data + 2) != (*page)->size - 4)
		return refuse(sense, scsi_sense_param_field((uint16_t)(list->at + 2), -1));
	if (!spf && data[1] != (*page)->size - 2)
		return refuse(sense, scsi_sense_param_field((uint16_t)(list->at + 1), -1));
	return 0;
}

static int parse_page(const struct scsi_lu *lu, struct list *list, struct scsi_mode_values *values,
		      struct scsi_sense *sense)
{
	const struct scsi_mode_page *page;

	if (parse_page_header(lu, list, &page, sense) || need(list, page->size, sense) ||
	    check_unchanged(lu, page, list, sense))
		return -1;
	if (page->take)
		page->take(list->data + list->at, values);
	list->at += page->size;
	return 0;
}

static bool same_values(const struct scsi_mode_values *a, const struct scsi_mode_values *b)
{
	for (unsigned int i = 0; i < SCSI_THRESHOLD_COUNT; i++) {
		if (a->threshold[i].enabled != b->threshold[i].enabled ||
		    a->threshold[i].count != b->threshold[i].count)
			return false;
	}
	return a->wce == b->wce && a->d_sense == b->d_sense && a->swp == b->swp &&
	       a->lbpere == b->lbpere;
}

/* The header, the block descriptor, and the pages into *values. */
static int parse_list(const struct scsi_lu *lu, const struct form *form, struct list *list,
		      struct scsi_mode_values *values, struct scsi_sense *sense)
{
	if (parse_header(lu, form, list, sense))
		return -1;
	while (list->at < list->size) {
		if (parse_page(lu, list, values, sense))
			return -1;
	}
	return 0;
}

uint8_t scsi_mode_select(const struct scsi_lu *lu, const uint8_t *cdb, const uint8_t *param,
			 size_t param_len, struct scsi_mode_change *out, struct scsi_sense *sense)
{
	struct form form = form_of(cdb);
	struct list list = { .data = param };
	struct scsi_mode_values current = scsi_mode_current(lu), values = current;

	memset(out, 0, sizeof(*out));
	out->values = current;
	/* SPC-5 MODE SELECT, SP */
	if (cdb[1] & SP && !lu->saves) {
		*sense = scsi_sense_cdb_field(1, 0);
		return SAM_STAT_CHECK_CONDITION;
	}
	/* PARAMETER LIST LENGTH 0 is no error. */
	if (form.list_len) {
		/* PF 0: pages in a format of our own, which there is not. */
		if (!(cdb[1] & PF)) {
			*sense = scsi_sense_cdb_field(1, 4);
			return SAM_STAT_CHECK_CONDITION;
		}
		list.size = form.list_len < param_len ? form.list_len : param_len;
		if (parse_list(lu, &form, &list, &values, sense))
			return SAM_STAT_CHECK_CONDITION;
	}
	/* The initiator says more than it sent. */
	if (form.list_len > param_len) {
		*sense = SCSI_SENSE_PARAM_LIST_LENGTH;
		return SAM_STAT_CHECK_CONDITION;
	}
	out->values = values;
	out->changed = !same_values(&values, &current);
	out->save = cdb[1] & SP;
	return SAM_STAT_GOOD;
}
