/* SPDX-License-Identifier: Apache-2.0 */
/* Logical block provisioning thresholds (SBC-4 4.7.3.7). Pure. */
#ifndef SCSI_THRESHOLD_H
#define SCSI_THRESHOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "scsi/lu.h"
#include "scsi/sense.h"

/* THRESHOLD EXPONENT for this capacity: sets of 1 MiB, or of whatever it takes to count all blocks in the 32
 * bits of a THRESHOLD COUNT. Never 0, which would say that there are no thresholds. block_size is a power
 * of 2. */
uint8_t scsi_threshold_exponent(uint64_t num_lbas, uint32_t block_size);

/* Are there thresholds that may be reached: is one enabled, and their reporting (LBPERE)? */
bool scsi_threshold_watched(const struct scsi_mode_values *values);

/*
 * Is threshold which (SCSI_THRESHOLD_*) reached now? blocks is what there is of its resource. True once, then
 * not again before the resource has been on the other side of the threshold range; *armed keeps that, and
 * is true for a threshold that was just enabled.
 */
bool scsi_threshold_reached(const struct scsi_lu *lu, unsigned int which, uint64_t blocks,
			    bool *armed);

/* The sense data of its unit attention. */
struct scsi_sense scsi_threshold_sense(unsigned int which);

#endif
