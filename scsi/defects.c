/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi/defects.h"

#include "scsi/reply.h"
#include "util/be.h"

#define FORMAT          0x07
#define FORMAT_RESERVED 0x07
#define LISTS           0x18 /* REQ_PLIST and PLISTV, REQ_GLIST and GLISTV: the same bits */

uint8_t scsi_read_defect_data(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf,
			      size_t cap, size_t *len, struct scsi_sense *sense)
{
	bool twelve = cdb[0] == READ_DEFECT_DATA_12;
	unsigned int at = twelve ? 1 : 2;
	uint8_t data[8] = { 0 };

	(void)lu;
	/* SBC-4 6.2, DEFECT LIST FORMAT: 111b is reserved; without an address descriptor all others
	 * are the same. */
	if ((cdb[at] & FORMAT) == FORMAT_RESERVED)
		return scsi_refuse(len, sense, scsi_sense_cdb_field((uint16_t)at, 2));

	/* SBC-4 READ DEFECT DATA parameter data: DEFECT LIST LENGTH 0, in (12) with GENERATION CODE 0
	 * (not supported). */
	data[1] = cdb[at] & (LISTS | FORMAT);
	return scsi_reply(buf, cap, len, data, twelve ? 8 : 4,
			  twelve ? get_be32(cdb + 6) : get_be16(cdb + 7));
}
