/* SPDX-License-Identifier: Apache-2.0 */
/* REPORT SUPPORTED OPERATION CODES (SPC-5 6.35), made from the table of scsi/opcodes.c. Pure. */
#ifndef SCSI_REPORT_OPCODES_H
#define SCSI_REPORT_OPCODES_H

#include <stddef.h>
#include <stdint.h>

#include "scsi/lu.h"
#include "scsi/sense.h"

/* The answer to cdb in buf, cut to the ALLOCATION LENGTH and to cap; *len: its bytes, 0 on error.
 * Listed is what scsi_opcode_enabled() allows, and what the kernel answers itself: REPORT LUNS, and with
 * lu->reservations RESERVE, RELEASE and PERSISTENT RESERVE. Returns the SCSI status, GOOD or CHECK CONDITION with *sense
 * filled. */
uint8_t scsi_report_opcodes(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf, size_t cap,
			    size_t *len, struct scsi_sense *sense);

#endif
