/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi/xcopy.h"

#include <string.h>

#include "scsi/reply.h"
#include "scsi_defs.h"
#include "util/be.h"

#define CSCD_SIZE    32
#define SEGMENT_SIZE 28

/* parameter list header, byte 1 */
#define RESERVED_BITS 0xc0
#define USAGE_SHIFT   3

#define CSCD_IDENTIFICATION 0xe4
#define BLOCK_TO_BLOCK      0x02

/* block to block segment descriptor, byte 1 */
#define CAT 0x01
#define DC  0x02
#define FCO 0x04

static int refuse(struct scsi_sense *sense, struct scsi_sense why)
{
	*sense = why;
	return -1;
}

static struct scsi_sense illegal(unsigned int asc)
{
	return (struct scsi_sense) {
		.key = ILLEGAL_REQUEST,
		.asc = (uint8_t)(asc >> 8),
		.ascq = (uint8_t)asc,
	};
}

/* The same, with a pointer to what is wrong. */
static struct scsi_sense illegal_at(unsigned int asc, size_t byte, int bit)
{
	struct scsi_sense sense = scsi_sense_param_field((uint16_t)byte, bit);

	sense.asc = (uint8_t)(asc >> 8);
	sense.ascq = (uint8_t)asc;
	return sense;
}

struct scsi_sense scsi_xcopy_aborted(unsigned int asc, uint16_t segment, int byte)
{
	struct scsi_sense sense = {
		.key = COPY_ABORTED,
		.asc = (uint8_t)(asc >> 8),
		.ascq = (uint8_t)asc,
		.has_segment = true,
		.segment = segment,
	};

	if (byte >= 0) {
		sense.has_field = true;
		sense.field_in_segment = true;
		sense.field = (uint16_t)byte;
	}
	return sense;
}

uint16_t scsi_xcopy_cscd_at(unsigned int cscd, uint16_t byte)
{
	return (uint16_t)(SCSI_XCOPY_HEADER + CSCD_SIZE * cscd + byte);
}

/* ---- the parameter list ---- */

/* SPC-4 6.4.4, LIST ID USAGE. STR and PRIORITY are hints. */
static int parse_identifier(const uint8_t *list, struct scsi_xcopy *out, struct scsi_sense *sense)
{
	uint8_t usage = list[1] >> USAGE_SHIFT & 3;

	if (list[1] & RESERVED_BITS)
		return refuse(sense, scsi_sense_param_field(1, list[1] & 0x80 ? 7 : 6));
	if (usage == 1)
		return refuse(sense, scsi_sense_param_field(1, 4));
	if (usage == SCSI_XCOPY_NO_ID && list[0])
		return refuse(sense, scsi_sense_param_field(0, -1));
	out->list_id = list[0];
	out->usage = (enum scsi_xcopy_usage)usage;
	return 0;
}

/* SPC-4 6.4.5.2. Whom it names is found out when a segment needs it; LU ID TYPE and NUL are obsolete. */
static int parse_cscd(const uint8_t *d, size_t at, struct scsi_xcopy_cscd *out,
		      struct scsi_sense *sense)
{
	uint8_t len = d[7];

	if (d[0] != CSCD_IDENTIFICATION)
		return refuse(sense, illegal_at(ASC_UNSUPPORTED_TARGET_DESCRIPTOR_TYPE, at, -1));
	if (len > 20)
		return refuse(sense, scsi_sense_param_field((uint16_t)(at + 7), -1));
	out->type = d[1] & 0x1f;
	out->block_size = get_be24(d + 29);
	/* CODE SET 1h binary, ASSOCIATION 00b, DESIGNATOR TYPE 3h NAA */
	out->named = (d[4] & 0x0f) == 0x01 && (d[5] & 0x3f) == 0x03 && len == SCSI_NAA_SIZE;
	if (out->named)
		memcpy(out->naa, d + 8, SCSI_NAA_SIZE);
	return 0;
}

/* SPC-4 6.4.6.1, Table 150: the other numbers, null and self, are not supported (page 8Fh). */
static int check_ends(const struct scsi_xcopy *x, struct scsi_sense *sense)
{
	uint16_t number = (uint16_t)x->segments;
	const struct scsi_xcopy_segment *s = &x->segment[number];

	if (s->from >= x->cscds)
		return refuse(sense, scsi_xcopy_aborted(ASC_UNREACHABLE_COPY_TARGET, number, 4));
	if (s->to >= x->cscds)
		return refuse(sense, scsi_xcopy_aborted(ASC_UNREACHABLE_COPY_TARGET, number, 6));
	return 0;
}

/* SPC-4 6.4.6.3. CAT has nothing to do, as what does not come out even is refused. */
static int parse_segment(const uint8_t *d, size_t at, struct scsi_xcopy *x,
			 struct scsi_sense *sense)
{
	if (get_be16(d + 2) != SEGMENT_SIZE - 4)
		return refuse(sense, scsi_sense_param_field((uint16_t)(at + 2), -1));
	/* SPC-5: data are moved here, whatever it takes */
	if (d[1] & FCO)
		return refuse(sense, illegal_at(ASC_FAST_COPY_NOT_POSSIBLE, at + 1, 2));
	if (d[1] & ~(CAT | DC))
		return refuse(sense, scsi_sense_param_field((uint16_t)(at + 1), -1));
	x->segment[x->segments] = (struct scsi_xcopy_segment) {
		.from = get_be16(d + 4),
		.to = get_be16(d + 6),
		.blocks = get_be16(d + 10),
		.dc = d[1] & DC,
		.from_lba = get_be64(d + 12),
		.to_lba = get_be64(d + 20),
	};
	return check_ends(x, sense);
}

/* The descriptors have different lengths: how many there are is known at the end. */
static int parse_segments(const uint8_t *list, size_t at, size_t end, struct scsi_xcopy *x,
			  struct scsi_sense *sense)
{
	for (; at < end; at += SEGMENT_SIZE) {
		if (x->segments == SCSI_XCOPY_MAX_SEGMENTS)
			return refuse(sense, illegal(ASC_TOO_MANY_SEGMENT_DESCRIPTORS));
		if (list[at] != BLOCK_TO_BLOCK)
			return refuse(sense,
				      illegal_at(ASC_UNSUPPORTED_SEGMENT_DESCRIPTOR_TYPE, at, -1));
		if (end - at < SEGMENT_SIZE)
			return refuse(sense, SCSI_SENSE_PARAM_LIST_LENGTH);
		if (parse_segment(list + at, at, x, sense))
			return -1;
		x->segments++;
	}
	return 0;
}

int scsi_xcopy_parse(const uint8_t *list, size_t len, struct scsi_xcopy *x,
		     struct scsi_sense *sense)
{
	size_t cscd_len, at;
	uint64_t segment_len;

	memset(x, 0, sizeof(*x));
	x->usage = SCSI_XCOPY_NO_ID;
	if (!len)
		return 0;
	if (len < SCSI_XCOPY_HEADER)
		return refuse(sense, SCSI_SENSE_PARAM_LIST_LENGTH);
	cscd_len = get_be16(list + 2);
	segment_len = get_be32(list + 8);
	/* SPC-4 6.4.4: MAXIMUM DESCRIPTOR LIST LENGTH; a list that is truncated. */
	if (cscd_len + segment_len > SCSI_XCOPY_MAX_LIST ||
	    cscd_len + segment_len > len - SCSI_XCOPY_HEADER)
		return refuse(sense, SCSI_SENSE_PARAM_LIST_LENGTH);
	if (get_be32(list + 12))
		return refuse(sense, illegal_at(ASC_INLINE_DATA_LENGTH_EXCEEDED, 12, -1));
	if (parse_identifier(list, x, sense))
		return -1;
	if (cscd_len > CSCD_SIZE * SCSI_XCOPY_MAX_CSCD)
		return refuse(sense, illegal(ASC_TOO_MANY_TARGET_DESCRIPTORS));
	if (cscd_len % CSCD_SIZE)
		return refuse(sense, scsi_sense_param_field(2, -1));
	for (at = SCSI_XCOPY_HEADER; x->cscds < cscd_len / CSCD_SIZE; at += CSCD_SIZE) {
		if (parse_cscd(list + at, at, &x->cscd[x->cscds], sense))
			return -1;
		x->cscds++;
	}
	return parse_segments(list, at, at + (size_t)segment_len, x, sense);
}

/* ---- once more from the start? ---- */

static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

bool scsi_xcopy_repeatable(const struct scsi_xcopy_span *span, size_t n)
{
	for (size_t writer = 0; writer < n; writer++) {
		const struct scsi_xcopy_span *w = &span[writer];

		for (size_t reader = 0; reader <= writer; reader++) {
			const struct scsi_xcopy_span *r = &span[reader];

			if (w->to == r->from &&
			    overlap(w->to_lba, w->to_blocks, r->from_lba, r->from_blocks))
				return false;
		}
	}
	return true;
}

/* ---- RECEIVE COPY RESULTS ---- */

#define STATUS_SIZE    12
#define DETAILS_HEADER 60

static uint8_t unknown(size_t *len, bool *all, struct scsi_sense *sense)
{
	*all = false;
	return scsi_refuse(len, sense, scsi_sense_cdb_field(2, -1));
}

/* SPC-4 6.20: TRANSFER COUNT UNITS, 1,024 to this power; the finest that fits. */
static void put_transfer_count(uint8_t *data, uint64_t bytes)
{
	while (bytes > UINT32_MAX) {
		bytes >>= 10;
		data[7]++;
	}
	put_be32(data + 8, (uint32_t)bytes);
}

/* SPC-4 6.20, RECEIVE COPY STATUS(LID1). */
uint8_t scsi_xcopy_status(const struct scsi_xcopy_result *result, const uint8_t *cdb, uint8_t *buf,
			  size_t cap, size_t *len, bool *all, struct scsi_sense *sense)
{
	uint8_t data[STATUS_SIZE] = { 0 };

	if (!result)
		return unknown(len, all, sense);
	put_be32(data, STATUS_SIZE - 4);
	data[4] = result->state; /* HDD 0: no held data */
	put_be16(data + 5, result->segments);
	put_transfer_count(data, result->bytes);
	scsi_reply(buf, cap, len, data, sizeof(data), get_be32(cdb + 10));
	*all = *len == sizeof(data);
	return SAM_STAT_GOOD;
}

/* SPC-4 6.19, RECEIVE COPY FAILURE DETAILS(LID1): nothing behind AVAILABLE DATA when there are none. */
uint8_t scsi_xcopy_details(const struct scsi_xcopy_result *result, const uint8_t *cdb, uint8_t *buf,
			   size_t cap, size_t *len, bool *all, struct scsi_sense *sense)
{
	uint8_t data[DETAILS_HEADER + sizeof(result->sense)] = { 0 };
	size_t size = 4;

	if (!result)
		return unknown(len, all, sense);
	if (result->sense_len) {
		size = DETAILS_HEADER + result->sense_len;
		put_be32(data, (uint32_t)size - 4);
		data[56] = SAM_STAT_CHECK_CONDITION; /* COPY COMMAND STATUS */
		put_be16(data + 58, result->sense_len);
		memcpy(data + DETAILS_HEADER, result->sense, result->sense_len);
	}
	scsi_reply(buf, cap, len, data, size, get_be32(cdb + 10));
	*all = *len == size;
	return SAM_STAT_GOOD;
}

/* SPC-4 6.18, RECEIVE COPY OPERATING PARAMETERS. */
uint8_t scsi_xcopy_parameters(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf,
			      size_t cap, size_t *len, struct scsi_sense *sense)
{
	static const uint8_t implemented[] = { BLOCK_TO_BLOCK, CSCD_IDENTIFICATION };
	uint8_t data[44 + sizeof(implemented)] = { 0 };

	(void)sense;
	put_be32(data, sizeof(data) - 4);
	data[4] = 0x01; /* SNLID: LIST ID USAGE 11b works */
	put_be16(data + 8, SCSI_XCOPY_MAX_CSCD);
	put_be16(data + 10, SCSI_XCOPY_MAX_SEGMENTS);
	put_be32(data + 12, SCSI_XCOPY_MAX_LIST);
	put_be32(data + 16, SCSI_XCOPY_MAX_SEGMENT_LEN);
	/* MAXIMUM INLINE DATA LENGTH, HELD DATA LIMIT, MAXIMUM STREAM DEVICE TRANSFER SIZE 0 */
	put_be16(data + 34, SCSI_XCOPY_MAX_CONCURRENT); /* TOTAL CONCURRENT COPIES */
	data[36] = SCSI_XCOPY_MAX_CONCURRENT;           /* MAXIMUM CONCURRENT COPIES */
	/* DATA SEGMENT GRANULARITY: a power of two of bytes */
	data[37] = lu->block_size ? (uint8_t)(31 - __builtin_clz(lu->block_size)) : 0;
	data[43] = sizeof(implemented);
	memcpy(data + 44, implemented, sizeof(implemented));
	return scsi_reply(buf, cap, len, data, sizeof(data), get_be32(cdb + 10));
}
