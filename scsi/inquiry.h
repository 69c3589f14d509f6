/* SPDX-License-Identifier: Apache-2.0 */
/* INQUIRY: standard data and vital product data pages (SPC-5 INQUIRY and 7.7, SBC-4 6.6). Pure. */
#ifndef SCSI_INQUIRY_H
#define SCSI_INQUIRY_H

#include <stddef.h>
#include <stdint.h>

#include "scsi/lu.h"
#include "scsi/sense.h"

/* MAXIMUM WRITE SAME LENGTH in blocks (SBC-4 Block Limits VPD page): what one command may make the medium busy
 * with when the blocks have to be written one by one. */
#define SCSI_MAX_WRITE_SAME 0x80000u
/* A unit of no more blocks than that has no limit, and 0 blocks mean "to the end"; where that could be
 * more than one command may write, they are refused (WSNZ is 1). */
bool scsi_wsnz(uint64_t num_lbas);

/* Blocks that WRITE ATOMIC counts in: ATOMIC ALIGNMENT and ATOMIC TRANSFER LENGTH GRANULARITY, whole
 * physical blocks. */
uint32_t scsi_atomic_granularity(uint32_t phys_exponent);
/* MAXIMUM ATOMIC TRANSFER LENGTH: scsi_lu.atomic_max, at most MAXIMUM TRANSFER LENGTH, in whole physical
 * blocks. */
uint32_t scsi_atomic_max(const struct scsi_lu *lu);

#define SCSI_NAA_SIZE 16 /* of an NAA IEEE Registered Extended designator */

/* The NAA designator of page 83h in naa[SCSI_NAA_SIZE]; EXTENDED COPY names logical units by it. False: it
 * has none, as its serial number has no hex digit. */
bool scsi_lu_naa(const struct scsi_lu *lu, uint8_t *naa);

/* The answer to cdb in buf, cut to the ALLOCATION LENGTH and to cap; *len: its bytes, 0 on error.
 * Returns the SCSI status, GOOD or CHECK CONDITION with *sense filled. */
uint8_t scsi_inquiry(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf, size_t cap,
		     size_t *len, struct scsi_sense *sense);

#endif
