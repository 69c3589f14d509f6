/* SPDX-License-Identifier: Apache-2.0 */
/* The mode pages that MODE SENSE and MODE SELECT work on (SPC-5 7.5, SBC-4 6.5). Pure. */
#ifndef SCSI_MODE_PAGES_H
#define SCSI_MODE_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scsi/lu.h"

#define SCSI_MODE_PAGE_MAX 32 /* bytes of the longest page */

/* Where the descriptor of a threshold begins in the Logical Block Provisioning page (SBC-4 6.5). */
#define SCSI_MODE_THRESHOLD_AT(which) (16 + 8 * (which))

#define SCSI_MODE_PS  0x80 /* in byte 0 of a page */
#define SCSI_MODE_SPF 0x40

struct scsi_mode_page {
	uint8_t code, subpage;
	uint8_t size; /* with its header */
	/* Puts values into a page of zeros, but for its header. */
	void (*put)(const struct scsi_lu *lu, const struct scsi_mode_values *values, uint8_t *page);
	/* The other way round, for what may change; NULL: nothing may. */
	void (*take)(const uint8_t *page, struct scsi_mode_values *values);
	/* The mask of the bits that may change, into zeros; NULL: none may. */
	void (*changeable)(const struct scsi_lu *lu, uint8_t *mask);
	bool needs_thresholds; /* there only with scsi_lu.threshold_exponent */
};

/* The i-th page of this logical unit, by page code and subpage code; NULL behind the last one. */
const struct scsi_mode_page *scsi_mode_page(const struct scsi_lu *lu, size_t i);

static inline size_t scsi_mode_page_header(const struct scsi_mode_page *page)
{
	return page->subpage ? 4 : 2;
}

/* What the logical unit has now. */
struct scsi_mode_values scsi_mode_current(const struct scsi_lu *lu);

/* The page into its size bytes at data, by PAGE CONTROL pc; not MODE_PC_SAVED without lu->saves. Without
 * it default values are the current ones. */
void scsi_mode_put_page(const struct scsi_lu *lu, const struct scsi_mode_page *page,
			unsigned int pc, uint8_t *data);

#endif
