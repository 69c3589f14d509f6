/* SPDX-License-Identifier: Apache-2.0 */
/* SEND DIAGNOSTIC and RECEIVE DIAGNOSTIC RESULTS (SPC-5). Pure. */
#ifndef SCSI_DIAGNOSTIC_H
#define SCSI_DIAGNOSTIC_H

#include <stddef.h>
#include <stdint.h>

#include "scsi/lu.h"
#include "scsi/sense.h"

/* May this SEND DIAGNOSTIC be answered GOOD? The default self-test has nothing that could fail, the
 * supported diagnostic pages page may be asked for; there are no other self-tests and pages. param: the
 * data-out buffer, param_len bytes of it. Returns the SCSI status, GOOD or CHECK CONDITION with *sense
 * filled. */
uint8_t scsi_send_diagnostic(const uint8_t *cdb, const uint8_t *param, size_t param_len,
			     struct scsi_sense *sense);

/* The answer to cdb in buf, cut to the ALLOCATION LENGTH and to cap; *len: its bytes, 0 on error: the
 * supported diagnostic pages page, which is the only one. Returns the SCSI status. */
uint8_t scsi_receive_diagnostic(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf,
				size_t cap, size_t *len, struct scsi_sense *sense);

#endif
