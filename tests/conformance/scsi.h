/* SPDX-License-Identifier: Apache-2.0 */
/* One daemon with one file-backed logical unit, and commands with their expected outcome by name. */
#ifndef TESTS_CONFORMANCE_SCSI_H
#define TESTS_CONFORMANCE_SCSI_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/ring/fake-kernel.h"

#define LU_BLOCKS 8192u
#define LU_BLOCK  512u

enum expect {
	EXPECT_GOOD,
	EXPECT_LBA_OOB,         /* 05/21/00 */
	EXPECT_INVALID_OPCODE,  /* 05/20/00 */
	EXPECT_INVALID_FIELD,   /* 05/24/00 */
	EXPECT_INVALID_PARAM,   /* 05/26/00 */
	EXPECT_PARAM_LEN,       /* 05/1A/00 */
	EXPECT_NO_SAVING,       /* 05/39/00 */
	EXPECT_MISCOMPARE,      /* 0E/1D/00 */
	EXPECT_WRITE_PROTECTED, /* 07/27/00 */
	EXPECT_STPG_FAILED,     /* 04/67/0A */
};

/* A row of a table: what is sent, and what must come of it. */
struct scsi_case {
	const char *what;
	enum expect expect;
	enum fake_dir dir;
	size_t len; /* of the initiator's buffer */
	uint8_t cdb[16];
	uint8_t fill; /* data-out: every byte */
};

/* Group fixtures; *state is not used. */
int scsi_setup(void **state);
int scsi_teardown(void **state);
int scsi_failures(void); /* to be added to the result of the group: cmocka forgets teardowns */
/* For a program with a logical unit of its own, in the same daemon. */
struct fake_dev *scsi_lun(const char *name, const char *config, uint64_t size);
/* The same on a ring of this kind. */
struct fake_dev *scsi_lun_on(const char *name, const char *config, uint64_t size,
			     const struct fake_ring_cfg *ring);
struct fake_dev *scsi_dev(void); /* the one of the fixture */
const char *scsi_backing(void);  /* its file */
const char *scsi_path(const char *name);
bool scsi_logged(const char *text); /* has the daemon written this to its log? */

/* Sends it; fails the test when the outcome is another one. data: the buffer, or NULL for one of its
 * own that is filled with fill. The command with its results (static). */
struct fake_cmd *scsi_do(struct fake_dev *dev, const struct scsi_case *c, void *data);
void scsi_table(struct fake_dev *dev, const struct scsi_case *rows, size_t n);
#define SCSI_TABLE(rows) scsi_table(scsi_dev(), rows, sizeof(rows) / sizeof((rows)[0]))

/* Does this opcode transfer data, and where? For commands that are sent with another direction. */
bool scsi_is_odd(uint8_t opcode, enum fake_dir dir);

/* The rest of the answer's sense data. */
bool scsi_sense_info(const struct fake_cmd *cmd, uint64_t *info);

#endif
