/* SPDX-License-Identifier: Apache-2.0 */
/* The end of every function of this room that answers a data-in command. Pure. */
#ifndef SCSI_REPLY_H
#define SCSI_REPLY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "scsi/sense.h"
#include "scsi_defs.h"

/* Copies data, cut to the ALLOCATION LENGTH alloc (SPC-5 4.2.5.6: that is no error, and the length
 * fields inside data stay as they are) and to cap. Returns GOOD. */
static inline uint8_t scsi_reply(uint8_t *buf, size_t cap, size_t *len, const uint8_t *data,
				 size_t size, size_t alloc)
{
	if (size > alloc)
		size = alloc;
	if (size > cap)
		size = cap;
	if (size)
		memcpy(buf, data, size);
	*len = size;
	return SAM_STAT_GOOD;
}

/* Returns CHECK CONDITION. */
static inline uint8_t scsi_refuse(size_t *len, struct scsi_sense *sense, struct scsi_sense why)
{
	*len = 0;
	*sense = why;
	return SAM_STAT_CHECK_CONDITION;
}

#endif
