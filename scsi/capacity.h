/* SPDX-License-Identifier: Apache-2.0 */
/* READ CAPACITY(10) and (16) (SBC-4). Pure. */
#ifndef SCSI_CAPACITY_H
#define SCSI_CAPACITY_H

#include <stddef.h>
#include <stdint.h>

#include "scsi/lu.h"
#include "scsi/sense.h"

/* The answer to cdb in buf, cut to the ALLOCATION LENGTH (READ CAPACITY(10) has none) and to cap;
 * *len: its bytes, 0 on error. A capacity of 0 blocks is NOT READY. Returns the SCSI status, GOOD or
 * CHECK CONDITION with *sense filled. */
uint8_t scsi_read_capacity_10(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf,
			      size_t cap, size_t *len, struct scsi_sense *sense);
uint8_t scsi_read_capacity_16(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf,
			      size_t cap, size_t *len, struct scsi_sense *sense);

#endif
