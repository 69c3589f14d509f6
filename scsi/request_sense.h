/* SPDX-License-Identifier: Apache-2.0 */
/* REQUEST SENSE (SPC-5). Pure. */
#ifndef SCSI_REQUEST_SENSE_H
#define SCSI_REQUEST_SENSE_H

#include <stddef.h>
#include <stdint.h>

#include "scsi/lu.h"
#include "scsi/sense.h"

/* NO SENSE as parameter data, in the format that DESC asks for, cut to the ALLOCATION LENGTH and to
 * cap; *len: its bytes. Always GOOD; *sense is not touched. */
uint8_t scsi_request_sense(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf, size_t cap,
			   size_t *len, struct scsi_sense *sense);

/* The same with something to report: a pending unit attention, which is cleared by this (SAM-5
 * 5.14), or progress. NULL: NO SENSE. */
uint8_t scsi_request_sense_with(const struct scsi_sense *pending, const uint8_t *cdb, uint8_t *buf,
				size_t cap, size_t *len);

#endif
