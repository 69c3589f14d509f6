/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi/request_sense.h"

#include "scsi/reply.h"

#define DESC 0x01

uint8_t scsi_request_sense_with(const struct scsi_sense *pending, const uint8_t *cdb, uint8_t *buf,
				size_t cap, size_t *len)
{
	uint8_t data[SCSI_SENSE_SIZE];

	scsi_sense_build(pending ? pending : &SCSI_SENSE_NONE, cdb[1] & DESC, data);
	return scsi_reply(buf, cap, len, data, scsi_sense_length(data), cdb[4]);
}

uint8_t scsi_request_sense(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf, size_t cap,
			   size_t *len, struct scsi_sense *sense)
{
	(void)lu;
	(void)sense;
	return scsi_request_sense_with(NULL, cdb, buf, cap, len);
}
