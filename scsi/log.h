/* SPDX-License-Identifier: Apache-2.0 */
/* LOG SENSE (SPC-5 LOG SENSE and 7.3, SBC-4 6.4). Pure. */
#ifndef SCSI_LOG_H
#define SCSI_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "scsi/lu.h"
#include "scsi/sense.h"

/* The numbers that the pages show. */
struct scsi_log {
	/* Logical block provisioning, in threshold sets (lu->threshold_exponent): what can still be
	 * mapped, by whomever, and what is mapped here. */
	uint32_t available, used;
	/* The informational exception there is, 0: none. */
	uint8_t ie_asc, ie_ascq;
};

/* The answer to cdb in buf, cut to the ALLOCATION LENGTH and to cap; *len: its bytes, 0 on error. The
 * Logical Block Provisioning page is there with lu->threshold_exponent only. Returns the SCSI status, GOOD
 * or CHECK CONDITION with *sense filled. */
uint8_t scsi_log_sense(const struct scsi_lu *lu, const struct scsi_log *log, const uint8_t *cdb,
		       uint8_t *buf, size_t cap, size_t *len, struct scsi_sense *sense);

/* blocks as threshold sets, rounded, and not more than the field can carry. */
uint32_t scsi_threshold_sets(const struct scsi_lu *lu, uint64_t blocks);

#endif
