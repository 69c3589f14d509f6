/* SPDX-License-Identifier: Apache-2.0 */
/* READ DEFECT DATA(10) and (12) (SBC-4): there are no defects. Pure. */
#ifndef SCSI_DEFECTS_H
#define SCSI_DEFECTS_H

#include <stddef.h>
#include <stdint.h>

#include "scsi/lu.h"
#include "scsi/sense.h"

/* The answer to cdb in buf, cut to the ALLOCATION LENGTH and to cap; *len: its bytes, 0 on error. The
 * lists that were asked for, both empty. Returns the SCSI status, GOOD or CHECK CONDITION with *sense
 * filled. */
uint8_t scsi_read_defect_data(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf,
			      size_t cap, size_t *len, struct scsi_sense *sense);

#endif
