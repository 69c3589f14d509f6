/* SPDX-License-Identifier: Apache-2.0 */
/* Parameter lists of commands that carry a list of things to do. Pure. */
#ifndef SCSI_PARAM_H
#define SCSI_PARAM_H

#include <stddef.h>
#include <stdint.h>

#include "scsi/lu.h"
#include "scsi/sense.h"

/* MAXIMUM UNMAP BLOCK DESCRIPTOR COUNT (SBC-4 Block Limits VPD page): a list with its header fits into a page. */
#define SCSI_UNMAP_MAX_DESCRIPTORS 255
#define SCSI_UNMAP_LIST_MAX        (8 + 16 * SCSI_UNMAP_MAX_DESCRIPTORS) /* bytes */

/* MAXIMUM UNMAP LBA COUNT: scsi_lu.max_unmap_len, where there is a limit at most 2^20: initiators (and
 * the suites that judge targets) take a limit above that for nonsense. UINT32_MAX: none. */
uint32_t scsi_unmap_max(const struct scsi_lu *lu);

/* A checked UNMAP parameter list. It points into the list it was parsed from. */
struct scsi_unmap_list {
	const uint8_t *desc; /* the next descriptor */
	size_t count;        /* how many are left */
};

/*
 * Checks the UNMAP parameter list (SBC-4 5.35): len bytes, the PARAMETER LIST LENGTH of the CDB
 * (0: nothing to do, no error; more than 7 otherwise). 0 and *out is ready for scsi_unmap_next(), or
 * -1 with *sense: 1A/00 when the list is shorter than it says or than its header, 26/00 when there
 * are more descriptors than SCSI_UNMAP_MAX_DESCRIPTORS or more blocks than scsi_unmap_max(), 21/00 for a range outside the capacity.
 */
int scsi_unmap_parse(const struct scsi_lu *lu, const uint8_t *list, size_t len,
		     struct scsi_unmap_list *out, struct scsi_sense *sense);

/* The next range that is not empty: 1 with *lba and *blocks, 0 at the end. */
int scsi_unmap_next(struct scsi_unmap_list *list, uint64_t *lba, uint32_t *blocks);

#endif
