/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi/format.h"

#include <string.h>

#include "scsi_defs.h"
#include "util/be.h"

/* FORMAT UNIT, CDB byte 1 */
#define LONGLIST      0x20
#define FMTDATA       0x10
#define CMPLST        0x08
#define DEFECT_FORMAT 0x07

/* FORMAT UNIT, parameter list header byte 1 */
#define FOV     0x80
#define DPRY    0x40
#define DCRT    0x20
#define STPF    0x10
#define IP      0x08
#define F_IMMED 0x02

#define IP_DESCRIPTOR 4 /* bytes of an initialization pattern descriptor before its pattern */
#define IP_MODIFIER   0xc0
#define IP_SI         0x20
#define IP_DEFAULT    0x00
#define IP_REPEAT     0x01

/* SANITIZE, CDB byte 1 */
#define S_IMMED        0x80
#define AUSE           0x20
#define SERVICE_ACTION 0x1f

/* SANITIZE, OVERWRITE service action parameter list, byte 0 */
#define OVERWRITE_HEADER 4
#define INVERT           0x80
#define TEST             0x60
#define COUNT            0x1f

static uint8_t refuse(struct scsi_sense *sense, struct scsi_sense why)
{
	*sense = why;
	return SAM_STAT_CHECK_CONDITION;
}

static int highest_bit(unsigned int bits)
{
	return 31 - __builtin_clz(bits);
}

/* ---- FORMAT UNIT ---- */

/* SBC-4 FORMAT UNIT, Initialization pattern descriptor, at byte at of the list. */
static uint8_t parse_pattern(const struct scsi_lu *lu, const uint8_t *param, size_t param_len,
			     size_t at, struct scsi_pattern *out, struct scsi_sense *sense)
{
	const uint8_t *desc = param + at;
	size_t len;

	if (param_len - at < IP_DESCRIPTOR)
		return refuse(sense, SCSI_SENSE_PARAM_LIST_LENGTH);
	len = get_be16(desc + 2);
	/* IP MODIFIER is obsolete. SI would promise something about blocks out of reach. */
	if (desc[0])
		return refuse(sense, scsi_sense_param_field((uint16_t)at, highest_bit(desc[0])));
	if (desc[1] != IP_DEFAULT && desc[1] != IP_REPEAT)
		return refuse(sense, scsi_sense_param_field((uint16_t)(at + 1), -1));
	if (desc[1] == IP_DEFAULT ? len != 0 : len == 0 || len > lu->block_size)
		return refuse(sense, scsi_sense_param_field((uint16_t)(at + 2), -1));
	if (param_len - at - IP_DESCRIPTOR < len)
		return refuse(sense, SCSI_SENSE_PARAM_LIST_LENGTH);
	out->bytes = desc + IP_DESCRIPTOR;
	out->len = len;
	return SAM_STAT_GOOD;
}

/* SBC-4 FORMAT UNIT, parameter list header, long or short. */
static uint8_t parse_format_list(const struct scsi_lu *lu, bool long_list, const uint8_t *param,
				 size_t param_len, struct scsi_format *out,
				 struct scsi_sense *sense)
{
	size_t header = long_list ? 8 : 4;
	uint8_t options;

	if (param_len < header)
		return refuse(sense, SCSI_SENSE_PARAM_LIST_LENGTH);
	options = param[1] & (DPRY | DCRT | STPF | IP);
	/* PROTECTION FIELD USAGE: none without FMTPINFO. */
	if (param[0])
		return refuse(sense, scsi_sense_param_field(0, highest_bit(param[0])));
	/* FOV 0: the options have to be 0, too. */
	if (!(param[1] & FOV) && options)
		return refuse(sense, scsi_sense_param_field(1, highest_bit(options)));
	/* P_I_INFORMATION, PROTECTION INTERVAL EXPONENT */
	if (long_list && param[3])
		return refuse(sense, scsi_sense_param_field(3, highest_bit(param[3])));
	/* DEFECT LIST LENGTH: there is nothing here that could be left out for a defect. */
	if (long_list ? get_be32(param + 4) : get_be16(param + 2))
		return refuse(sense, scsi_sense_param_field(long_list ? 4 : 2, -1));
	out->immed = param[1] & F_IMMED;
	/* DPRY, DCRT, STPF: no defects, no certification. */
	if (options & IP)
		return parse_pattern(lu, param, param_len, header, &out->pattern, sense);
	return SAM_STAT_GOOD;
}

uint8_t scsi_format_parse(const struct scsi_lu *lu, const uint8_t *cdb, const uint8_t *param,
			  size_t param_len, struct scsi_format *out, struct scsi_sense *sense)
{
	uint8_t format = cdb[1] & DEFECT_FORMAT;

	memset(out, 0, sizeof(*out));
	if (!(cdb[1] & FMTDATA)) {
		/* SBC-4 FORMAT UNIT: CMPLST and DEFECT LIST FORMAT are about the list that is not
		 * there. */
		if (cdb[1] & CMPLST)
			return refuse(sense, scsi_sense_cdb_field(1, 3));
		if (format)
			return refuse(sense, scsi_sense_cdb_field(1, 2));
		return SAM_STAT_GOOD;
	}
	/* SBC-4 6.2: short block, long block, bytes from index, physical sector. */
	if (format != 0 && (format < 3 || format > 5))
		return refuse(sense, scsi_sense_cdb_field(1, 2));
	return parse_format_list(lu, cdb[1] & LONGLIST, param, param_len, out, sense);
}

/* ---- SANITIZE ---- */

/* SBC-4 SANITIZE, OVERWRITE service action. */
static uint8_t parse_overwrite(const struct scsi_lu *lu, const uint8_t *param, size_t list_len,
			       struct scsi_sanitize *out, struct scsi_sense *sense)
{
	size_t len = get_be16(param + 2);

	/* TEST: 00b, the others are vendor specific. */
	if (param[0] & TEST)
		return refuse(sense, scsi_sense_param_field(0, highest_bit(param[0] & TEST)));
	/* OVERWRITE COUNT 00h is reserved. */
	if (!(param[0] & COUNT))
		return refuse(sense, scsi_sense_param_field(0, 4));
	if (param[1])
		return refuse(sense, scsi_sense_param_field(1, highest_bit(param[1])));
	/* INITIALIZATION PATTERN LENGTH */
	if (!len || len > lu->block_size)
		return refuse(sense, scsi_sense_param_field(2, -1));
	if (len > list_len - OVERWRITE_HEADER)
		return refuse(sense, SCSI_SENSE_PARAM_LIST_LENGTH);
	out->invert = param[0] & INVERT;
	out->passes = param[0] & COUNT;
	out->pattern.bytes = param + OVERWRITE_HEADER;
	out->pattern.len = len;
	return SAM_STAT_GOOD;
}

uint8_t scsi_sanitize_parse(const struct scsi_lu *lu, const uint8_t *cdb, const uint8_t *param,
			    size_t param_len, struct scsi_sanitize *out, struct scsi_sense *sense)
{
	size_t list_len = get_be16(cdb + 7);

	memset(out, 0, sizeof(*out));
	out->service_action = cdb[1] & SERVICE_ACTION;
	out->immed = cdb[1] & S_IMMED;
	out->ause = cdb[1] & AUSE;
	if (out->service_action != SANITIZE_SA_OVERWRITE) {
		/* SBC-4 SANITIZE, PARAMETER LIST LENGTH requirement */
		if (list_len)
			return refuse(sense, scsi_sense_cdb_field(7, -1));
		return SAM_STAT_GOOD;
	}
	if (list_len <= OVERWRITE_HEADER || list_len > OVERWRITE_HEADER + (size_t)lu->block_size)
		return refuse(sense, scsi_sense_cdb_field(7, -1));
	if (list_len > param_len)
		return refuse(sense, SCSI_SENSE_PARAM_LIST_LENGTH);
	return parse_overwrite(lu, param, list_len, out, sense);
}

bool scsi_sanitize_inverted(const struct scsi_sanitize *what, unsigned int pass)
{
	return what->invert && (what->passes - pass) % 2;
}

void scsi_pattern_fill(const struct scsi_pattern *pattern, bool invert, uint8_t *block, size_t size)
{
	uint8_t flip = invert ? 0xff : 0;

	if (!pattern->len) {
		memset(block, flip, size);
		return;
	}
	for (size_t i = 0; i < size; i++)
		block[i] = pattern->bytes[i % pattern->len] ^ flip;
}
