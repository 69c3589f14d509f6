/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi/cdb.h"

#include "scsi_defs.h"
#include "util/be.h"

/* The group code: the three high bits of the operation code (SPC-5 4.2.5.1). */
static unsigned int group(const uint8_t *cdb)
{
	return cdb[0] >> 5;
}

int scsi_cdb_length(const uint8_t *cdb)
{
	static const uint8_t length[8] = { 6, 10, 10, 12, 16, 12, 10, 10 };
	int len;

	if (cdb[0] != VARIABLE_LENGTH_CMD)
		return length[group(cdb)];
	len = 8 + cdb[7];
	return len < SCSI_CDB_MAX ? len : SCSI_CDB_MAX;
}

/* READ(32), WRITE(32) and their kin: SPC-5 4.2.3, ADDITIONAL CDB LENGTH 18h. */
static int is_32_byte(const uint8_t *cdb)
{
	return cdb[0] == VARIABLE_LENGTH_CMD && cdb[7] == 0x18;
}

uint64_t scsi_cdb_generic_lba(const uint8_t *cdb)
{
	if (is_32_byte(cdb))
		return get_be64(cdb + 12);
	switch (group(cdb)) {
	case 0:
		return get_be24(cdb + 1) & 0x1fffff;
	case 1:
	case 2:
	case 5:
		return get_be32(cdb + 2);
	case 4:
		return get_be64(cdb + 2);
	default:
		return 0;
	}
}

uint32_t scsi_cdb_generic_xfer(const uint8_t *cdb)
{
	if (is_32_byte(cdb))
		return get_be32(cdb + 28);
	switch (group(cdb)) {
	case 0:
		if ((cdb[0] == READ_6 || cdb[0] == WRITE_6) && cdb[4] == 0)
			return 256;
		return cdb[4];
	case 1:
	case 2:
		return get_be16(cdb + 7);
	case 4:
		return get_be32(cdb + 10);
	case 5:
		return get_be32(cdb + 6);
	default:
		return 0;
	}
}
