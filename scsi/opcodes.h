/* SPDX-License-Identifier: Apache-2.0 */
/*
 * THE table of commands. Data only: decoder, range check, write-protect gate, unit attention gate,
 * dispatch, logs and REPORT SUPPORTED OPERATION CODES read the same row.
 */
#ifndef SCSI_OPCODES_H
#define SCSI_OPCODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scsi/lu.h"
#include "scsi/sense.h"

/* What a row is dispatched by; several opcodes share one. */
enum scsi_cmd_id {
	SCSI_TEST_UNIT_READY,
	SCSI_REQUEST_SENSE,
	SCSI_INQUIRY,
	SCSI_READ_CAPACITY_10,
	SCSI_READ_CAPACITY_16,
	SCSI_MODE_SENSE,
	SCSI_MODE_SELECT,
	SCSI_START_STOP_UNIT,
	SCSI_SYNCHRONIZE_CACHE,
	SCSI_READ,
	SCSI_WRITE,
	SCSI_VERIFY,
	SCSI_UNMAP,
	SCSI_WRITE_SAME,
	SCSI_REPORT_SUPPORTED_OPCODES,
	SCSI_COMPARE_AND_WRITE,
	SCSI_ORWRITE,
	SCSI_WRITE_AND_VERIFY,
	SCSI_WRITE_ATOMIC,
	SCSI_PREFETCH,
	SCSI_GET_LBA_STATUS,
	SCSI_FORMAT_UNIT,
	SCSI_SANITIZE, /* all its service actions */
	SCSI_LOG_SENSE,
	SCSI_PREVENT_ALLOW_MEDIUM_REMOVAL,
	SCSI_READ_DEFECT_DATA,
	SCSI_SEND_DIAGNOSTIC,
	SCSI_RECEIVE_DIAGNOSTIC_RESULTS,
	SCSI_REPORT_SUPPORTED_TMF,
	SCSI_REPORT_TARGET_PORT_GROUPS,
	SCSI_SET_TARGET_PORT_GROUPS,
	SCSI_EXTENDED_COPY,
	SCSI_RECEIVE_COPY_RESULTS,
	SCSI_CMD_COUNT
};

enum scsi_dir { SCSI_DIR_NONE, SCSI_DIR_IN, SCSI_DIR_OUT };

#define SCSI_NO_SA 0xffff /* the opcode has no service action */

/* struct scsi_opcode.flags */
#define SCSI_F_MEDIUM_READ  (1u << 0)
#define SCSI_F_MEDIUM_WRITE (1u << 1) /* refused when write protected */
#define SCSI_F_RANGE        (1u << 2) /* lba and xfer are checked against the capacity */
#define SCSI_F_UA_PASSES    (1u << 3) /* runs in spite of a pending unit attention (SAM-5 5.14) */
#define SCSI_F_XFER_IS_LEN  (1u << 4) /* lba..lba+xfer blocks are the data buffer (READ, WRITE) */
#define SCSI_F_FUA          (1u << 5) /* byte 1 bit 3 is FUA */
#define SCSI_F_NEEDS_MEDIUM (1u << 6) /* 02/3A/00 without a medium */
#define SCSI_F_FORMAT_PASSES                                                                       \
	(1u << 7) /* runs while a format or sanitize operation does (SBC-4 4.11.2, 5.4) */

#define SCSI_F_ZERO_IS_REST (1u << 8) /* xfer 0: all blocks from lba on; see scsi_wsnz() */

/* A command that exists only where the logical unit has the feature: at most one of these, asked by
 * scsi_opcode_enabled(). */
#define SCSI_F_NEEDS_UNMAP      (1u << 16) /* scsi_lu.unmap */
#define SCSI_F_NEEDS_REMOVABLE  (1u << 17) /* scsi_lu.removable */
#define SCSI_F_NEEDS_CAW        (1u << 18) /* scsi_lu.caw_max */
#define SCSI_F_NEEDS_ATOMIC     (1u << 19) /* scsi_lu.atomic_max */
#define SCSI_F_NEEDS_LBA_STATUS (1u << 20) /* scsi_lu.lba_status */
#define SCSI_F_NEEDS_XCOPY      (1u << 21) /* scsi_lu.xcopy */
#define SCSI_F_NEEDS_SANITIZE   (1u << 22) /* scsi_lu.sanitize */
#define SCSI_F_NEEDS_TPGS       (1u << 23) /* scsi_lu.tpgs */
#define SCSI_F_NEEDS_STPG       (1u << 24) /* scsi_lu.tpgs with explicit access */
#define SCSI_F_NEEDS            (0xffffu << 16)

/* A field of a CDB: first byte and bytes; size 0: there is none. */
struct scsi_field {
	uint8_t at, size;
};

struct scsi_opcode {
	uint8_t opcode;
	uint16_t service_action;
	enum scsi_cmd_id id;
	const char *name; /* as in the standard: "READ(10)" */
	uint8_t cdb_len;
	struct scsi_field lba;  /* READ(6), WRITE(6): 21 bits */
	struct scsi_field xfer; /* blocks, or the ALLOCATION/PARAMETER LIST LENGTH in bytes */
	enum scsi_dir dir;
	uint32_t flags;
	uint8_t ignored[16]; /* bits that are let through without a meaning, see scsi_cdb_check() */
	uint8_t usage[16]; /* CDB USAGE DATA (SPC-5 6.35.3): a 1 for each bit we look at; byte 0 is
			    * the opcode */
};

/* Rows of one opcode are neighbours. */
extern const struct scsi_opcode scsi_opcodes[];
extern const size_t scsi_opcode_count;

/* The row of this CDB, by opcode and service action; NULL: not supported. Constant time. */
const struct scsi_opcode *scsi_opcode_find(const uint8_t *cdb);
/* Is there a row with this opcode but another service action? (then the sense is 24/00, not 20/00) */
int scsi_opcode_known(uint8_t opcode);
/* Does this logical unit have the command? What REPORT SUPPORTED OPERATION CODES lists, and nothing
 * else is dispatched: a row that is not enabled is 05/20/00 (05/24/00 with the pointer to the service
 * action when the operation code has an enabled row). Rows without SCSI_F_NEEDS depend on lu->absent
 * only. */
bool scsi_opcode_enabled(const struct scsi_opcode *op, const struct scsi_lu *lu);

uint64_t scsi_cdb_lba(const struct scsi_opcode *op, const uint8_t *cdb);
/* READ(6) and WRITE(6): 0 means 256. */
uint64_t scsi_cdb_xfer(const struct scsi_opcode *op, const uint8_t *cdb);

/* SBC-4 4.5: does the range of a row with SCSI_F_RANGE lie in num_lbas blocks? No block at the very end
 * does. 0, or -1 with *sense: 05/21/00 with a pointer to the address, or to the length where only that is
 * too much. */
int scsi_cdb_check_range(const struct scsi_opcode *op, const uint8_t *cdb, uint64_t num_lbas,
			 struct scsi_sense *sense);

/* Does the command run while a sanitize operation does (SBC-4 4.11.2)? More do than with
 * SCSI_F_FORMAT_PASSES, some by what is in their CDB. op is the row of cdb. */
bool scsi_sanitize_passes(const struct scsi_opcode *op, const uint8_t *cdb);

/* Are only bits set in cdb that this command may have? 0, or -1 with *sense: 05/24/00 and the field
 * pointer to the first bit that is not in op->usage. Let through without a meaning: GROUP NUMBER,
 * DLD, RARC and the obsolete FUA_NV, SYNC_NV and RELADR. Refused among others: the PROTECT fields (no
 * protection information here), NACA (NORMACA is 0 in the INQUIRY data). */
int scsi_cdb_check(const struct scsi_opcode *op, const uint8_t *cdb, struct scsi_sense *sense);

#endif
