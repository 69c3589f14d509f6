/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of scsi/ share. */
#ifndef TESTS_UNIT_SCSI_RIG_H
#define TESTS_UNIT_SCSI_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
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

/* A logical unit with everything that there is. */
static inline struct scsi_lu full_lu(void)
{
	struct scsi_lu lu = plain_lu();

	lu.unmap = true;
	lu.caw_max = 16;
	lu.atomic_max = 256;
	lu.removable = true;
	lu.medium_present = true;
	lu.lba_status = true;
	lu.xcopy = true;
	lu.sanitize = true;
	lu.reservations = true;
	lu.saves = true;
	lu.tpgs = 3;
	lu.relative_port_valid = true;
	lu.relative_port = 0x1234;
	lu.tpg_valid = true;
	lu.tpg = 0x5678;
	lu.threshold_exponent = 11;
	return lu;
}

/* A copy of len bytes that the sanitizer guards the end of; to be freed. */
static inline uint8_t *exact_copy(const void *bytes, size_t len)
{
	uint8_t *copy = calloc(1, len);

	if (len)
		memcpy(copy, bytes, len);
	return copy;
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

/* An ALLOCATION LENGTH of size bytes at byte at of the CDB: the answer is cut there and nowhere else, for
 * each length from 0 on up to one more than all; the same for a buffer that is smaller. */
static inline void assert_cut_everywhere(uint8_t (*f)(const struct scsi_lu *lu, const uint8_t *cdb,
						      uint8_t *buf, size_t cap, size_t *len,
						      struct scsi_sense *sense),
					 const struct scsi_lu *lu, const uint8_t *cdb, size_t at,
					 size_t size)
{
	struct answer whole, a;
	uint8_t c[16];

	memcpy(c, cdb, sizeof(c));
	memset(c + at, 0, size);
	c[at + size - 1] = 0xff;
	if (size > 1)
		c[at + size - 2] = 0x0f;
	run(f, lu, c, ROOM, &whole);
	assert_int_equal(whole.status, SAM_STAT_GOOD);
	for (size_t alloc = 0; alloc <= whole.len + 1 && (size > 1 || alloc < 256); alloc++) {
		size_t expected = alloc < whole.len ? alloc : whole.len;

		if (size > 1)
			c[at + size - 2] = (uint8_t)(alloc >> 8);
		c[at + size - 1] = (uint8_t)alloc;
		run(f, lu, c, ROOM, &a);
		assert_int_equal(a.status, SAM_STAT_GOOD);
		assert_int_equal(a.len, expected);
		assert_memory_equal(a.buf, whole.buf, expected);
	}
	c[at + size - 1] = 0xff;
	if (size > 1)
		c[at + size - 2] = 0x0f;
	for (size_t cap = 0; cap < whole.len; cap++) {
		run(f, lu, c, cap, &a);
		assert_int_equal(a.len, cap);
		assert_memory_equal(a.buf, whole.buf, cap);
	}
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
