/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi/sense.h"

#include <string.h>

#include "scsi_defs.h"
#include "util/be.h"

#define SENSE(k, a)                                                                                \
	{                                                                                          \
		.key = (k), .asc = (a) >> 8, .ascq = (a)&0xff                                      \
	}

const struct scsi_sense SCSI_SENSE_NONE = SENSE(NO_SENSE, ASC_NO_ADDITIONAL_SENSE);
const struct scsi_sense SCSI_SENSE_NOT_READY = SENSE(NOT_READY, ASC_NOT_READY_CAUSE_NOT_REPORTABLE);
const struct scsi_sense SCSI_SENSE_FORMAT_IN_PROGRESS = SENSE(NOT_READY,
							      ASC_NOT_READY_FORMAT_IN_PROGRESS);
const struct scsi_sense SCSI_SENSE_SANITIZE_IN_PROGRESS = SENSE(NOT_READY,
								ASC_NOT_READY_SANITIZE_IN_PROGRESS);
const struct scsi_sense SCSI_SENSE_MEDIUM_NOT_PRESENT = SENSE(NOT_READY, ASC_MEDIUM_NOT_PRESENT);
const struct scsi_sense SCSI_SENSE_SANITIZE_FAILED = SENSE(MEDIUM_ERROR,
							   ASC_SANITIZE_COMMAND_FAILED);
const struct scsi_sense SCSI_SENSE_FORMAT_FAILED = SENSE(MEDIUM_ERROR, ASC_FORMAT_COMMAND_FAILED);
const struct scsi_sense SCSI_SENSE_REMOVAL_PREVENTED = SENSE(ILLEGAL_REQUEST,
							     ASC_MEDIUM_REMOVAL_PREVENTED);
const struct scsi_sense SCSI_SENSE_THRESHOLD_REACHED = SENSE(UNIT_ATTENTION, ASC_THRESHOLD_REACHED);
const struct scsi_sense SCSI_SENSE_SOFTWARE_WRITE_PROTECTED = SENSE(DATA_PROTECT,
								    ASC_SOFTWARE_WRITE_PROTECTED);
const struct scsi_sense SCSI_SENSE_WRITE_ERROR = SENSE(MEDIUM_ERROR, ASC_WRITE_ERROR);
const struct scsi_sense SCSI_SENSE_READ_ERROR = SENSE(MEDIUM_ERROR, ASC_UNRECOVERED_READ_ERROR);
const struct scsi_sense SCSI_SENSE_TARGET_FAILURE = SENSE(HARDWARE_ERROR,
							  ASC_INTERNAL_TARGET_FAILURE);
const struct scsi_sense SCSI_SENSE_SET_TPGS_FAILED = SENSE(HARDWARE_ERROR,
							   ASC_SET_TARGET_PORT_GROUPS_FAILED);
const struct scsi_sense SCSI_SENSE_PARAM_LIST_LENGTH = SENSE(ILLEGAL_REQUEST,
							     ASC_PARAMETER_LIST_LENGTH_ERROR);
const struct scsi_sense SCSI_SENSE_INVALID_OPCODE = SENSE(ILLEGAL_REQUEST,
							  ASC_INVALID_COMMAND_OPERATION_CODE);
const struct scsi_sense SCSI_SENSE_LBA_OUT_OF_RANGE = SENSE(ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
const struct scsi_sense SCSI_SENSE_INVALID_FIELD_IN_CDB = SENSE(ILLEGAL_REQUEST,
								ASC_INVALID_FIELD_IN_CDB);
const struct scsi_sense SCSI_SENSE_INVALID_FIELD_IN_PARAM_LIST =
	SENSE(ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_PARAMETER_LIST);
const struct scsi_sense SCSI_SENSE_SAVING_NOT_SUPPORTED =
	SENSE(ILLEGAL_REQUEST, ASC_SAVING_PARAMETERS_NOT_SUPPORTED);
const struct scsi_sense SCSI_SENSE_WRITE_PROTECTED = SENSE(DATA_PROTECT, ASC_WRITE_PROTECTED);
const struct scsi_sense SCSI_SENSE_NO_SPACE = SENSE(DATA_PROTECT, ASC_SPACE_ALLOCATION_FAILED);
const struct scsi_sense SCSI_SENSE_MEDIUM_CHANGED = SENSE(UNIT_ATTENTION,
							  ASC_MEDIUM_MAY_HAVE_CHANGED);
const struct scsi_sense SCSI_SENSE_CAPACITY_CHANGED = SENSE(UNIT_ATTENTION,
							    ASC_CAPACITY_DATA_CHANGED);
const struct scsi_sense SCSI_SENSE_MODE_PARAMETERS_CHANGED = SENSE(UNIT_ATTENTION,
								   ASC_MODE_PARAMETERS_CHANGED);
const struct scsi_sense SCSI_SENSE_ABORTED = SENSE(ABORTED_COMMAND, ASC_NO_ADDITIONAL_SENSE);
const struct scsi_sense SCSI_SENSE_TIMEOUT = SENSE(ABORTED_COMMAND,
						   ASC_COMMAND_TIMEOUT_DURING_PROCESSING);
const struct scsi_sense SCSI_SENSE_MISCOMPARE = SENSE(MISCOMPARE, ASC_MISCOMPARE_DURING_VERIFY);

static struct scsi_sense with_field(struct scsi_sense sense, bool in_cdb, uint16_t byte, int bit)
{
	sense.has_field = true;
	sense.field_in_cdb = in_cdb;
	sense.field = byte;
	if (bit >= 0) {
		sense.has_bit = true;
		sense.bit = bit & 7;
	}
	return sense;
}

struct scsi_sense scsi_sense_cdb_field(uint16_t byte, int bit)
{
	return with_field(SCSI_SENSE_INVALID_FIELD_IN_CDB, true, byte, bit);
}

struct scsi_sense scsi_sense_param_field(uint16_t byte, int bit)
{
	return with_field(SCSI_SENSE_INVALID_FIELD_IN_PARAM_LIST, false, byte, bit);
}

struct scsi_sense scsi_sense_progress(struct scsi_sense what, uint64_t done, uint64_t total)
{
	what.has_progress = true;
	what.has_field = false;
	if (done >= total)
		what.progress = UINT16_MAX;
	else if (total <= UINT64_MAX >> 16)
		what.progress = (uint16_t)((done << 16) / total);
	else /* done below total, so the quotient is below 65536, too, but for the rounding */
		what.progress = (uint16_t)(done / (total >> 16) < UINT16_MAX ? done / (total >> 16)
									     : UINT16_MAX);
	return what;
}

/* SPC-5 4.4.2.4.2: SKSV, C/D, BPV and the bit pointer, then the field pointer; 4.4.2.4.4: SKSV, then the
 * progress indication; 4.4.2.4.5: as the first, with SD in place of C/D. */
static void put_sense_key_specific(const struct scsi_sense *sense, uint8_t *p)
{
	p[0] = 0x80;
	if (sense->has_progress) {
		put_be16(p + 1, sense->progress);
		return;
	}
	if (sense->field_in_cdb)
		p[0] |= 0x40;
	if (sense->field_in_segment)
		p[0] |= 0x20;
	if (sense->has_bit)
		p[0] |= 0x08 | (sense->bit & 7);
	put_be16(p + 1, sense->field);
}

/* SPC-5 4.4.3. */
static void build_fixed(const struct scsi_sense *sense, uint8_t *buf)
{
	buf[0] = 0x70;
	buf[2] = sense->key & 0xf;
	if (sense->ili)
		buf[2] |= 0x20;
	/* VALID stays 0 for what does not fit the field (SPC-5 4.4.3). */
	if (sense->has_info && sense->info <= UINT32_MAX) {
		buf[0] |= 0x80;
		put_be32(buf + 3, (uint32_t)sense->info);
	}
	buf[7] = 18 - 8;
	/* SPC-4 6.4.3.3: its third and fourth bytes */
	if (sense->has_segment)
		put_be16(buf + 8 + 2, sense->segment);
	buf[12] = sense->asc;
	buf[13] = sense->ascq;
	if (sense->has_field || sense->has_progress)
		put_sense_key_specific(sense, buf + 15);
}

/* SPC-5 4.4.2, with the information (4.4.2.2), command-specific information (4.4.2.3), sense key specific
 * (4.4.2.4) and block commands (SBC-4 4.18) descriptors. */
static void build_descriptors(const struct scsi_sense *sense, uint8_t *buf)
{
	uint8_t *p = buf + 8;

	buf[0] = 0x72;
	buf[1] = sense->key & 0xf;
	buf[2] = sense->asc;
	buf[3] = sense->ascq;
	if (sense->has_info) {
		p[0] = 0x00;
		p[1] = 0x0a;
		p[2] = 0x80; /* VALID */
		put_be64(p + 4, sense->info);
		p += 12;
	}
	if (sense->has_segment) {
		p[0] = 0x01;
		p[1] = 0x0a;
		/* What has four bytes in fixed format is in the last four (SPC-5 4.4.2.3). */
		put_be16(p + 4 + 4 + 2, sense->segment);
		p += 12;
	}
	if (sense->has_field || sense->has_progress) {
		p[0] = 0x02;
		p[1] = 0x06;
		put_sense_key_specific(sense, p + 4);
		p += 8;
	}
	if (sense->ili) {
		p[0] = 0x05;
		p[1] = 0x02;
		p[3] = 0x20;
		p += 4;
	}
	buf[7] = (uint8_t)(p - buf - 8);
}

void scsi_sense_build(const struct scsi_sense *sense, bool desc, uint8_t *buf)
{
	memset(buf, 0, SCSI_SENSE_SIZE);
	if (desc)
		build_descriptors(sense, buf);
	else
		build_fixed(sense, buf);
}

void scsi_sense_read(const uint8_t *buf, struct scsi_sense *sense)
{
	*sense = SCSI_SENSE_NONE;
	switch (buf[0] & 0x7f) {
	case 0x70: /* fixed format, current and deferred */
	case 0x71:
		sense->key = buf[2] & 0x0f;
		sense->asc = buf[12];
		sense->ascq = buf[13];
		break;
	case 0x72: /* descriptor format */
	case 0x73:
		sense->key = buf[1] & 0x0f;
		sense->asc = buf[2];
		sense->ascq = buf[3];
		break;
	}
}

const char *scsi_sense_key_name(uint8_t key)
{
	static const char *const names[16] = {
		"NO SENSE",       "RECOVERED ERROR", "NOT READY",      "MEDIUM ERROR",
		"HARDWARE ERROR", "ILLEGAL REQUEST", "UNIT ATTENTION", "DATA PROTECT",
		"BLANK CHECK",    "VENDOR SPECIFIC", "COPY ABORTED",   "ABORTED COMMAND",
		"RESERVED",       "VOLUME OVERFLOW", "MISCOMPARE",     "COMPLETED",
	};

	return names[key & 0x0f];
}

const char *scsi_status_name(uint8_t status)
{
	switch (status) {
	case SAM_STAT_GOOD:
		return "GOOD";
	case SAM_STAT_CHECK_CONDITION:
		return "CHECK CONDITION";
	case SAM_STAT_BUSY:
		return "BUSY";
	case SAM_STAT_RESERVATION_CONFLICT:
		return "RESERVATION CONFLICT";
	case SAM_STAT_TASK_SET_FULL:
		return "TASK SET FULL";
	default:
		return "unknown status";
	}
}

size_t scsi_sense_length(const uint8_t *buf)
{
	return (size_t)8 + buf[7];
}
