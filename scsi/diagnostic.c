/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi/diagnostic.h"

#include "scsi/reply.h"
#include "util/be.h"

/* CDB byte 1 of SEND DIAGNOSTIC */
#define SELF_TEST_CODE 0xe0
#define PF             0x10
#define SELFTEST       0x04

#define PCV 0x01

#define PAGE_HEADER 4

static uint8_t refuse(struct scsi_sense *sense, struct scsi_sense why)
{
	*sense = why;
	return SAM_STAT_CHECK_CONDITION;
}

/* SPC-5 SEND DIAGNOSTIC with a parameter list: one diagnostic page (7.2). Page 00h takes nothing. */
static uint8_t check_page(const uint8_t *param, size_t len, struct scsi_sense *sense)
{
	if (len < PAGE_HEADER)
		return refuse(sense, SCSI_SENSE_PARAM_LIST_LENGTH);
	if (param[0])
		return refuse(sense, scsi_sense_param_field(0, -1));
	if (param[1])
		return refuse(sense, scsi_sense_param_field(1, -1));
	if (get_be16(param + 2))
		return refuse(sense, scsi_sense_param_field(2, -1));
	if (len > PAGE_HEADER)
		return refuse(sense, SCSI_SENSE_PARAM_LIST_LENGTH);
	return SAM_STAT_GOOD;
}

uint8_t scsi_send_diagnostic(const uint8_t *cdb, const uint8_t *param, size_t param_len,
			     struct scsi_sense *sense)
{
	size_t len = get_be16(cdb + 3);

	/* SPC-5 SEND DIAGNOSTIC, SELF-TEST CODE: 000b is all there is; not with a self-test. */
	if (cdb[1] & SELF_TEST_CODE)
		return refuse(sense, scsi_sense_cdb_field(1, 7));
	if (cdb[1] & SELFTEST) {
		/* a self-test takes no parameter list */
		if (len)
			return refuse(sense, scsi_sense_cdb_field(3, -1));
		return SAM_STAT_GOOD;
	}
	if (!len)
		return SAM_STAT_GOOD;
	/* PF 0: a list in a format of our own, which there is not. */
	if (!(cdb[1] & PF))
		return refuse(sense, scsi_sense_cdb_field(1, 4));
	if (len > param_len)
		return refuse(sense, SCSI_SENSE_PARAM_LIST_LENGTH);
	return check_page(param, len, sense);
}

uint8_t scsi_receive_diagnostic(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf,
				size_t cap, size_t *len, struct scsi_sense *sense)
{
	/* SPC-5 7.2, Supported Diagnostic Pages page: PAGE LENGTH 1, itself. */
	static const uint8_t supported[] = { 0x00, 0, 0, 1, 0x00 };

	(void)lu;
	/* PCV 0: the page that the last SEND DIAGNOSTIC asked for, which can be no other one. */
	if (cdb[1] & PCV && cdb[2])
		return scsi_refuse(len, sense, scsi_sense_cdb_field(2, -1));
	return scsi_reply(buf, cap, len, supported, sizeof(supported), get_be16(cdb + 3));
}
