/* SPDX-License-Identifier: Apache-2.0 */
/* What a CDB's first byte alone says about it, for code that does not know the command. Pure. */
#ifndef SCSI_CDB_H
#define SCSI_CDB_H

#include <stdint.h>

#define SCSI_CDB_MAX 260 /* bytes of the longest CDB: 7Fh with 252 additional bytes */

/* Bytes of the CDB by its group code (SPC-5 4.2.5.1; 10 for the reserved and vendor groups, which is
 * how the kernel counts); 7Fh: 8 + ADDITIONAL CDB LENGTH (byte 7), at most SCSI_CDB_MAX. */
int scsi_cdb_length(const uint8_t *cdb);

/* The LOGICAL BLOCK ADDRESS and TRANSFER LENGTH where the typical CDB of the group has them (SPC-5
 * 4.2.2): what they mean is up to the command. 0 where there is none. The transfer length of
 * READ(6) and WRITE(6) is 256 when the byte is 0. */
uint64_t scsi_cdb_generic_lba(const uint8_t *cdb);
uint32_t scsi_cdb_generic_xfer(const uint8_t *cdb);

#endif
