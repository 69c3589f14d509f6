/* SPDX-License-Identifier: Apache-2.0 */
/* MODE SENSE and MODE SELECT, (6) and (10) (SPC-5 MODE SENSE, MODE SELECT and 7.5, SBC-4 6.5). Pure. */
#ifndef SCSI_MODE_H
#define SCSI_MODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scsi/lu.h"
#include "scsi/sense.h"

/* The answer to cdb in buf, cut to the ALLOCATION LENGTH and to cap; *len: its bytes, 0 on error.
 * Default values are the current ones: nothing is saved. Returns the SCSI status, GOOD or CHECK
 * CONDITION with *sense filled. */
uint8_t scsi_mode_sense(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf, size_t cap,
			size_t *len, struct scsi_sense *sense);

/* What a MODE SELECT wants to be different from lu. */
struct scsi_mode_change {
	bool wce_valid; /* WCE changes to wce */
	bool wce;
};

/* Parses the parameter list: param_len bytes of the data-out buffer at param, of which the PARAMETER
 * LIST LENGTH in cdb counts. Nothing is changed unless the whole list is acceptable. Returns the SCSI
 * status: GOOD with *out filled (for an empty list too), or CHECK CONDITION with *sense filled. */
uint8_t scsi_mode_select(const struct scsi_lu *lu, const uint8_t *cdb, const uint8_t *param,
			 size_t param_len, struct scsi_mode_change *out, struct scsi_sense *sense);

#endif
