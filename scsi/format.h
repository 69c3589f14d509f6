/* SPDX-License-Identifier: Apache-2.0 */
/* What FORMAT UNIT and SANITIZE ask for (SBC-4 FORMAT UNIT, SANITIZE). Pure. */
#ifndef SCSI_FORMAT_H
#define SCSI_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scsi/lu.h"
#include "scsi/sense.h"

/* Bytes that each block is filled with, from its first byte on, over and over. They lie in the parameter
 * list that was parsed. len 0: zeros. */
struct scsi_pattern {
	const uint8_t *bytes;
	size_t len; /* at most a block */
};

struct scsi_format {
	bool immed;
	struct scsi_pattern pattern;
};

struct scsi_sanitize {
	uint8_t service_action; /* SANITIZE_SA_* */
	bool immed;
	bool ause; /* EXIT FAILURE MODE may end a failure of this one */
	/* OVERWRITE */
	struct scsi_pattern pattern;
	unsigned int passes; /* 1..31 */
	bool invert;         /* see scsi_sanitize_inverted() */
};

/* Bytes of the longest parameter list that is looked at: a header, a pattern. */
static inline size_t scsi_format_list_max(const struct scsi_lu *lu)
{
	return 8 + 4 + (size_t)lu->block_size;
}

/* FORMAT UNIT. The CDB has no length for the parameter list: param_len bytes of the data-out buffer at
 * param, looked at if FMTDATA is set. Without protection information, with the block length that is, and
 * without a list of defects there is little to choose. Returns the SCSI status: GOOD with *out filled, or
 * CHECK CONDITION with *sense filled: 24/00 and 26/00 with a field pointer, 1A/00 for a list that ends
 * too early. */
uint8_t scsi_format_parse(const struct scsi_lu *lu, const uint8_t *cdb, const uint8_t *param,
			  size_t param_len, struct scsi_format *out, struct scsi_sense *sense);

/* SANITIZE, any service action. param_len: bytes of the data-out buffer. The same outcomes. */
uint8_t scsi_sanitize_parse(const struct scsi_lu *lu, const uint8_t *cdb, const uint8_t *param,
			    size_t param_len, struct scsi_sanitize *out, struct scsi_sense *sense);

/* Does pass (1..passes) write the inverted pattern? With INVERT passes alternate, and the last one is
 * not inverted. */
bool scsi_sanitize_inverted(const struct scsi_sanitize *what, unsigned int pass);

/* Fills one block of size bytes. */
void scsi_pattern_fill(const struct scsi_pattern *pattern, bool invert, uint8_t *block,
		       size_t size);

#endif
