/* SPDX-License-Identifier: Apache-2.0 */
/* REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS (SPC-5). Pure. */
#ifndef SCSI_TMF_H
#define SCSI_TMF_H

#include <stddef.h>
#include <stdint.h>

#include "scsi/sense.h"

/* The functions, as the bits of the first two bytes of the answer. */
#define SCSI_TMF_ABORT_TASK         0x8000
#define SCSI_TMF_ABORT_TASK_SET     0x4000
#define SCSI_TMF_CLEAR_ACA          0x2000
#define SCSI_TMF_CLEAR_TASK_SET     0x1000
#define SCSI_TMF_LOGICAL_UNIT_RESET 0x0800
#define SCSI_TMF_QUERY_TASK         0x0400
#define SCSI_TMF_QUERY_ASYNC_EVENT  0x0004
#define SCSI_TMF_QUERY_TASK_SET     0x0002
#define SCSI_TMF_I_T_NEXUS_RESET    0x0001

/* The answer to cdb in buf, cut to the ALLOCATION LENGTH and to cap; *len: its bytes, 0 on error.
 * supported: SCSI_TMF_*. Returns the SCSI status, GOOD or CHECK CONDITION with *sense filled. */
uint8_t scsi_report_tmf(unsigned int supported, const uint8_t *cdb, uint8_t *buf, size_t cap,
			size_t *len, struct scsi_sense *sense);

#endif
