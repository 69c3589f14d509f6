/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi/tmf.h"

#include "scsi/reply.h"
#include "util/be.h"

#define REPD 0x80

uint8_t scsi_report_tmf(unsigned int supported, const uint8_t *cdb, uint8_t *buf, size_t cap,
			size_t *len, struct scsi_sense *sense)
{
	uint8_t data[16] = { 0 };
	bool extended = cdb[2] & REPD;
	uint32_t alloc = get_be32(cdb + 6);

	/* SPC-5 REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS, ALLOCATION LENGTH: at least four. */
	if (alloc < 4)
		return scsi_refuse(len, sense, scsi_sense_cdb_field(6, -1));
	put_be16(data, (uint16_t)supported);
	if (extended)
		data[3] = 12; /* ADDITIONAL DATA LENGTH: timeouts; TMFTMOV 0, none is given */
	return scsi_reply(buf, cap, len, data, extended ? 16 : 4, alloc);
}
