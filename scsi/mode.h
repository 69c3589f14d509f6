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
 * Saved values only with lu->saves; without it, default values are the current ones. Returns the SCSI
 * status, GOOD or CHECK CONDITION with *sense filled. */
uint8_t scsi_mode_sense(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf, size_t cap,
			size_t *len, struct scsi_sense *sense);

/* What a MODE SELECT wants. */
struct scsi_mode_change {
	struct scsi_mode_values values; /* all of them, as they are to be */
	bool changed;                   /* is anything different from lu? */
	bool save;                      /* SP: save all of them, changed or not */
};

/* Parses the parameter list: param_len bytes of the data-out buffer at param, of which the PARAMETER
 * LIST LENGTH in cdb counts. Nothing is changed unless the whole list is acceptable. Returns the SCSI
 * status: GOOD with *out filled (for an empty list too), or CHECK CONDITION with *sense filled and *out
 * asking for nothing. */
uint8_t scsi_mode_select(const struct scsi_lu *lu, const uint8_t *cdb, const uint8_t *param,
			 size_t param_len, struct scsi_mode_change *out, struct scsi_sense *sense);

#endif
