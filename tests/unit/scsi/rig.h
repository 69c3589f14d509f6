/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of scsi/ share. */
#ifndef TESTS_UNIT_SCSI_RIG_H
#define TESTS_UNIT_SCSI_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "scsi/lu.h"
#include "scsi/sense.h"
#include "scsi_defs.h"
#include "util/be.h"

#define CANARY 0xa5
#define ROOM   4096

/* The answer to a data-in command: what was written and what must not have been. */
struct answer {
	uint8_t buf[ROOM + 64];
	size_t len;
	uint8_t status;
	struct scsi_sense sense;
};

static inline struct scsi_lu plain_lu(void)
{
	return (struct scsi_lu) {
		.num_lbas = 0x200000,
		.block_size = 512,
		.max_xfer_len = 2048,
		.opt_xfer_len = 1024,
		.serial = "12345678-9abc-def0-1234-56789abcdef0",
		.name = "file/disk.img",
	};
}

/* Runs f with a buffer of cap bytes; nothing behind *len may change. */
static inline void run(uint8_t (*f)(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf,
				    size_t cap, size_t *len, struct scsi_sense *sense),
		       const struct scsi_lu *lu, const uint8_t *cdb, size_t cap, struct answer *a)
{
	memset(a, 0, sizeof(*a));
	memset(a->buf, CANARY, sizeof(a->buf));
	a->len = 12345;
	a->status = f(lu, cdb, a->buf, cap, &a->len, &a->sense);
	assert_true(a->len <= cap);
	for (size_t i = a->len; i < sizeof(a->buf); i++)
		assert_int_equal(a->buf[i], CANARY);
	if (a->status != SAM_STAT_GOOD)
		assert_int_equal(a->len, 0);
}

static inline void assert_sense(const struct scsi_sense *sense, uint8_t key, unsigned int asc_ascq)
{
	assert_int_equal(sense->key, key);
	assert_int_equal(sense->asc << 8 | sense->ascq, asc_ascq);
}

static inline void assert_field(const struct scsi_sense *sense, bool in_cdb, unsigned int byte,
				int bit)
{
	assert_true(sense->has_field);
	assert_int_equal(sense->field_in_cdb, in_cdb);
	assert_int_equal(sense->field, byte);
	assert_int_equal(sense->has_bit, bit >= 0);
	if (bit >= 0)
		assert_int_equal(sense->bit, bit);
}

/* Refused with 05/24/00 and the field pointer to this place of the CDB; bit < 0: none. */
static inline void assert_invalid_cdb(const struct answer *a, unsigned int byte, int bit)
{
	assert_int_equal(a->status, SAM_STAT_CHECK_CONDITION);
	assert_sense(&a->sense, ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
	assert_field(&a->sense, true, byte, bit);
}

#endif
