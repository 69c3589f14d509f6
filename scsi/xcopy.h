/* SPDX-License-Identifier: Apache-2.0 */
/* EXTENDED COPY(LID1) and the RECEIVE COPY RESULTS commands (SPC-4 6.4, 6.18 to 6.21): block to block, the
 * logical units named by their NAA designators. Pure. */
#ifndef SCSI_XCOPY_H
#define SCSI_XCOPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scsi/inquiry.h"
#include "scsi/lu.h"
#include "scsi/sense.h"
#include "scsi/xcopy_limits.h"

#define SCSI_XCOPY_HEADER   16 /* bytes */
#define SCSI_XCOPY_LIST_MAX (SCSI_XCOPY_HEADER + SCSI_XCOPY_MAX_LIST)

/* LIST ID USAGE */
enum scsi_xcopy_usage {
	SCSI_XCOPY_HOLD = 0,    /* the status is kept for RECEIVE COPY RESULTS */
	SCSI_XCOPY_DISCARD = 2, /* it need not be kept after the end */
	SCSI_XCOPY_NO_ID = 3,   /* there is no list identifier */
};

struct scsi_xcopy_cscd {
	bool named; /* by an NAA designator: naa is filled */
	uint8_t naa[SCSI_NAA_SIZE];
	uint8_t type;        /* PERIPHERAL DEVICE TYPE */
	uint32_t block_size; /* DISK BLOCK LENGTH; 0: not said */
};

struct scsi_xcopy_segment {
	uint16_t from, to; /* scsi_xcopy.cscd */
	uint16_t blocks;   /* of the source, of the destination if dc */
	bool dc;
	uint64_t from_lba, to_lba;
};

struct scsi_xcopy {
	uint8_t list_id;
	enum scsi_xcopy_usage usage;
	unsigned int cscds, segments;
	struct scsi_xcopy_cscd cscd[SCSI_XCOPY_MAX_CSCD];
	struct scsi_xcopy_segment segment[SCSI_XCOPY_MAX_SEGMENTS];
};

/*
 * Checks the whole parameter list: len bytes, the PARAMETER LIST LENGTH of the CDB; of one that is longer
 * than SCSI_XCOPY_LIST_MAX, so many bytes are looked at. No bytes are no error and nothing to do. 0 with
 * *out filled, or -1 with *sense: 05/1A/00 for a list that ends too early or has too much, 05/26/06 to
 * 05/26/0B, 05/26/00 with the field pointer, 0A/08/04 for a segment whose end is not in the list.
 */
int scsi_xcopy_parse(const uint8_t *list, size_t len, struct scsi_xcopy *out,
		     struct scsi_sense *sense);

/* Where byte (of a CSCD descriptor) of that end is in the parameter list. */
uint16_t scsi_xcopy_cscd_at(unsigned int cscd, uint16_t byte);

/* COPY ABORTED with this additional sense code and the number of the segment (SPC-4 6.4.3.3). byte >= 0:
 * the field that is wrong, in the segment descriptor. */
struct scsi_sense scsi_xcopy_aborted(unsigned int asc, uint16_t segment, int byte);

/* What one segment reads and writes, in blocks. */
struct scsi_xcopy_span {
	uint64_t from, to; /* which logical unit: any number that is its own */
	uint64_t from_lba, from_blocks;
	uint64_t to_lba, to_blocks;
};

/* May these segments, of which some blocks may have been written, be done again from the first on, with
 * the same outcome? Not if one wrote where it or one before it had read. */
bool scsi_xcopy_repeatable(const struct scsi_xcopy_span *span, size_t n);

/* ---- RECEIVE COPY RESULTS ---- */

/* COPY MANAGER STATUS */
enum scsi_xcopy_state {
	SCSI_XCOPY_RUNNING = 0,
	SCSI_XCOPY_DONE = 1,
	SCSI_XCOPY_FAILED = 2,
};

/* What is kept of a copy. Zeroed: nothing. */
struct scsi_xcopy_result {
	bool has_status, has_details; /* what RECEIVE COPY RESULTS has not fetched yet */
	uint8_t list_id;
	uint8_t state;     /* enum scsi_xcopy_state */
	uint16_t segments; /* done */
	uint64_t bytes;    /* written */
	uint8_t sense_len; /* of a copy that has failed */
	uint8_t sense[48]; /* what the end that has failed said */
};

/* The answers, cut to the ALLOCATION LENGTH and to cap. Each returns GOOD, or CHECK CONDITION with *sense:
 * 05/24/00 if result is NULL. *all: has everything been fetched, so that it need not be kept? */
uint8_t scsi_xcopy_status(const struct scsi_xcopy_result *result, const uint8_t *cdb, uint8_t *buf,
			  size_t cap, size_t *len, bool *all, struct scsi_sense *sense);
uint8_t scsi_xcopy_details(const struct scsi_xcopy_result *result, const uint8_t *cdb, uint8_t *buf,
			   size_t cap, size_t *len, bool *all, struct scsi_sense *sense);
uint8_t scsi_xcopy_parameters(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf,
			      size_t cap, size_t *len, struct scsi_sense *sense);

#endif
