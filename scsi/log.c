/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi/log.h"

#include "scsi/reply.h"
#include "util/be.h"

#define DS  0x80 /* disable save: no parameter is saved */
#define SPF 0x40

#define PARAM_HEADER 4
#define BINARY_LIST  0x03 /* parameter control byte: DU 0, TSD 0, FORMAT AND LINKING */

#define SCOPE_DEDICATED 0x01 /* to this logical unit */
#define SCOPE_SHARED    0x02

#define NO_TEMPERATURE 0xff

struct param {
	uint16_t code;
	uint8_t size; /* without its header */
	void (*put)(const struct scsi_log *log, uint8_t *p);
};

struct page {
	uint8_t code;
	bool needs_thresholds;
	const struct param *params; /* by code; NULL: the list of pages */
	size_t count;
};

/* ---- SBC-4 6.4.5, Logical Block Provisioning log page ---- */

static void available(const struct scsi_log *log, uint8_t *p)
{
	put_be32(p, log->available);
	p[4] = SCOPE_SHARED;
}

static void used(const struct scsi_log *log, uint8_t *p)
{
	put_be32(p, log->used);
	p[4] = SCOPE_DEDICATED;
}

static const struct param provisioning[] = {
	{ 0x0001, 8, available },
	{ 0x0002, 8, used },
};

/* ---- SPC-5 7.3, Self-test Results log page: the last 20, and there never was one ---- */

static void no_self_test(const struct scsi_log *log, uint8_t *p)
{
	(void)log;
	(void)p; /* all zeros */
}

#define NO_SELF_TEST(n)                                                                            \
	{                                                                                          \
		n, 16, no_self_test                                                                \
	}

static const struct param self_tests[] = {
	NO_SELF_TEST(1),  NO_SELF_TEST(2),  NO_SELF_TEST(3),  NO_SELF_TEST(4),  NO_SELF_TEST(5),
	NO_SELF_TEST(6),  NO_SELF_TEST(7),  NO_SELF_TEST(8),  NO_SELF_TEST(9),  NO_SELF_TEST(10),
	NO_SELF_TEST(11), NO_SELF_TEST(12), NO_SELF_TEST(13), NO_SELF_TEST(14), NO_SELF_TEST(15),
	NO_SELF_TEST(16), NO_SELF_TEST(17), NO_SELF_TEST(18), NO_SELF_TEST(19), NO_SELF_TEST(20),
};

/* ---- SPC-5 7.3, Informational Exceptions log page ---- */

static void general(const struct scsi_log *log, uint8_t *p)
{
	p[0] = log->ie_asc;
	p[1] = log->ie_ascq;
	p[2] = NO_TEMPERATURE; /* MOST RECENT TEMPERATURE READING */
}

static const struct param exceptions[] = {
	{ 0x0000, 4, general },
};

/* ---- all of them, by page code ---- */

static const struct page pages[] = {
	{ LOG_PAGE_SUPPORTED, false, NULL, 0 },
	{ LOG_PAGE_LOGICAL_BLOCK_PROVISIONING, true, provisioning, 2 },
	{ LOG_PAGE_SELF_TEST_RESULTS, false, self_tests, 20 },
	{ LOG_PAGE_INFORMATIONAL_EXCEPTIONS, false, exceptions, 1 },
};
static const size_t page_count = sizeof(pages) / sizeof(pages[0]);

static bool has_page(const struct scsi_lu *lu, const struct page *page)
{
	return lu->threshold_exponent || !page->needs_thresholds;
}

/* SPC-5 7.3, Supported Log Pages and (with) Supported Log Pages and Subpages. Returns their bytes. */
static size_t put_list(const struct scsi_lu *lu, bool with_subpages, uint8_t *p)
{
	uint8_t *begin = p;

	for (size_t i = 0; i < page_count; i++) {
		if (!has_page(lu, &pages[i]))
			continue;
		*p++ = pages[i].code;
		if (!with_subpages)
			continue;
		*p++ = 0x00;
		if (pages[i].code == LOG_PAGE_SUPPORTED) {
			*p++ = LOG_PAGE_SUPPORTED;
			*p++ = LOG_SUBPAGE_ALL;
		}
	}
	return (size_t)(p - begin);
}

/* The parameters from PARAMETER POINTER on. Returns their bytes. */
static size_t put_params(const struct page *page, const struct scsi_log *log, uint16_t first,
			 uint8_t *p)
{
	uint8_t *begin = p;

	for (size_t i = 0; i < page->count; i++) {
		const struct param *param = &page->params[i];

		if (param->code < first)
			continue;
		put_be16(p, param->code);
		p[2] = BINARY_LIST;
		p[3] = param->size;
		param->put(log, p + PARAM_HEADER);
		p += PARAM_HEADER + param->size;
	}
	return (size_t)(p - begin);
}

static const struct page *find_page(const struct scsi_lu *lu, uint8_t code)
{
	for (size_t i = 0; i < page_count; i++) {
		if (pages[i].code == code && has_page(lu, &pages[i]))
			return &pages[i];
	}
	return NULL;
}

/* PC is without effect: all parameters are lists (SPC-5 LOG SENSE, PC). */
uint8_t scsi_log_sense(const struct scsi_lu *lu, const struct scsi_log *log, const uint8_t *cdb,
		       uint8_t *buf, size_t cap, size_t *len, struct scsi_sense *sense)
{
	uint8_t data[512] = { 0 };
	const struct page *page = find_page(lu, cdb[2] & 0x3f);
	uint16_t first = get_be16(cdb + 5);
	bool all = cdb[3] == LOG_SUBPAGE_ALL;
	size_t size;

	if (!page)
		return scsi_refuse(len, sense, scsi_sense_cdb_field(2, 5));
	if (cdb[3] && !(all && !page->params))
		return scsi_refuse(len, sense, scsi_sense_cdb_field(3, -1));
	/* SPC-5 LOG SENSE, PARAMETER POINTER: at most the last parameter; the lists have none. */
	if (first > (page->params ? page->params[page->count - 1].code : 0))
		return scsi_refuse(len, sense, scsi_sense_cdb_field(5, -1));

	size = page->params ? put_params(page, log, first, data + 4) : put_list(lu, all, data + 4);
	data[0] = page->code;
	if (page->params)
		data[0] |= DS;
	if (all)
		data[0] |= SPF;
	data[1] = cdb[3];
	put_be16(data + 2, (uint16_t)size);
	return scsi_reply(buf, cap, len, data, 4 + size, get_be16(cdb + 7));
}

uint32_t scsi_threshold_sets(const struct scsi_lu *lu, uint64_t blocks)
{
	unsigned int shift = lu->threshold_exponent;
	uint64_t sets = shift < 64 ? blocks >> shift : 0;

	if (shift && shift <= 64 && blocks >> (shift - 1) & 1) /* half a set and more */
		sets++;
	return sets < UINT32_MAX ? (uint32_t)sets : UINT32_MAX;
}
