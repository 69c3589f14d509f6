/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of the copies of a logical unit, between EXTENDED COPY and RECEIVE COPY RESULTS. Device's
 * thread. */
#ifndef RUNNER_XCOPY_H
#define RUNNER_XCOPY_H

#include <stdbool.h>
#include <stdint.h>

#include "scsi/xcopy.h"

struct runner_dev;

/* copyresults.c: until it is fetched, or others take its place. */
void runner_copy_keep(struct runner_dev *rdev, const struct scsi_xcopy_result *result);
/* copyresults.c: what is kept with this list identifier. */
void runner_copy_forget(struct runner_dev *rdev, uint8_t list_id);
/* xcopy.c: a copy that goes on, or waits, with this list identifier. False: there is none. */
bool runner_copy_progress(const struct runner_dev *rdev, uint8_t list_id,
			  struct scsi_xcopy_result *result);

#endif
