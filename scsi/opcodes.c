/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi/opcodes.h"

#include <string.h>

#include "scsi/inquiry.h"
#include "scsi_defs.h"
#include "util/be.h"

#define SA             0x1f
#define CONTROL_VENDOR 0xc0 /* the vendor specific bits of the CONTROL byte */

/* 1 + the first row of each operation code, 0: there is none. Made from the table when the program
 * is loaded, so that a new command is one row and nothing else. */
static uint8_t first_row[256];

__attribute__((constructor)) static void make_index(void)
{
	for (size_t i = scsi_opcode_count; i-- > 0;)
		first_row[scsi_opcodes[i].opcode] = (uint8_t)(i + 1);
}

const struct scsi_opcode *scsi_opcode_find(const uint8_t *cdb)
{
	size_t i = first_row[cdb[0]];

	if (!i)
		return NULL;
	for (i--; i < scsi_opcode_count && scsi_opcodes[i].opcode == cdb[0]; i++) {
		const struct scsi_opcode *op = &scsi_opcodes[i];

		if (op->service_action == SCSI_NO_SA || op->service_action == (cdb[1] & SA))
			return op;
	}
	return NULL;
}

int scsi_opcode_known(uint8_t opcode)
{
	return first_row[opcode] != 0;
}

bool scsi_opcode_enabled(const struct scsi_opcode *op, const struct scsi_lu *lu)
{
	if (lu->absent >> op->id & 1)
		return false;
	switch (op->flags & SCSI_F_NEEDS) {
	case 0:
		return true;
	case SCSI_F_NEEDS_UNMAP:
		return lu->unmap;
	case SCSI_F_NEEDS_REMOVABLE:
		return lu->removable;
	case SCSI_F_NEEDS_CAW:
		return lu->caw_max;
	case SCSI_F_NEEDS_ATOMIC:
		return scsi_atomic_max(lu);
	case SCSI_F_NEEDS_LBA_STATUS:
		return lu->lba_status;
	case SCSI_F_NEEDS_XCOPY:
		return lu->xcopy;
	case SCSI_F_NEEDS_SANITIZE:
		/* BLOCK ERASE deallocates (SBC-4 4.11.3) */
		return lu->sanitize && (op->service_action != SANITIZE_SA_BLOCK_ERASE || lu->unmap);
	case SCSI_F_NEEDS_TPGS:
		return lu->tpgs;
	case SCSI_F_NEEDS_STPG:
		return lu->tpgs & 0x02;
	default:
		return false;
	}
}

static uint64_t get_field(struct scsi_field field, const uint8_t *cdb)
{
	switch (field.size) {
	case 1:
		return cdb[field.at];
	case 2:
		return get_be16(cdb + field.at);
	case 3:
		return get_be24(cdb + field.at);
	case 4:
		return get_be32(cdb + field.at);
	case 8:
		return get_be64(cdb + field.at);
	default:
		return 0;
	}
}

/* SBC-3 READ(6), WRITE(6): 21 bits of address, one byte of length. */
static int is_rw_6(const struct scsi_opcode *op)
{
	return op->lba.size == 3;
}

uint64_t scsi_cdb_lba(const struct scsi_opcode *op, const uint8_t *cdb)
{
	uint64_t lba = get_field(op->lba, cdb);

	return is_rw_6(op) ? lba & 0x1fffff : lba;
}

uint64_t scsi_cdb_xfer(const struct scsi_opcode *op, const uint8_t *cdb)
{
	uint64_t xfer = get_field(op->xfer, cdb);

	return is_rw_6(op) && !xfer ? 256 : xfer;
}

int scsi_cdb_check_range(const struct scsi_opcode *op, const uint8_t *cdb, uint64_t num_lbas,
			 struct scsi_sense *sense)
{
	uint64_t lba = scsi_cdb_lba(op, cdb), xfer = scsi_cdb_xfer(op, cdb);
	bool beyond = lba > num_lbas || (lba == num_lbas && xfer);

	if (!beyond && xfer <= num_lbas - lba)
		return 0;
	*sense = SCSI_SENSE_LBA_OUT_OF_RANGE;
	sense->has_field = true;
	sense->field_in_cdb = true;
	sense->field = beyond ? op->lba.at : op->xfer.at;
	return -1;
}

bool scsi_sanitize_passes(const struct scsi_opcode *op, const uint8_t *cdb)
{
	uint8_t page = cdb[2] & 0x3f; /* of LOG SENSE and MODE SENSE */

	switch (op->id) {
	case SCSI_INQUIRY:
	case SCSI_READ_CAPACITY_10:
	case SCSI_READ_CAPACITY_16:
	case SCSI_REPORT_SUPPORTED_OPCODES:
	case SCSI_REPORT_SUPPORTED_TMF:
	case SCSI_REQUEST_SENSE:
		return true;
	case SCSI_LOG_SENSE:
		return page == LOG_PAGE_TEMPERATURE && !cdb[3];
	case SCSI_MODE_SENSE:
		return !cdb[3] && (page == MODE_PAGE_INFORMATIONAL_EXCEPTIONS ||
				   page == MODE_PAGE_CACHING || page == MODE_PAGE_CONTROL);
	default:
		return false;
	}
}

/* All bits are known ones: what nearly every CDB is found to be, 8 bytes at a time. The operation code is
 * among the usage data. */
static bool all_known(const struct scsi_opcode *op, const uint8_t *cdb)
{
	unsigned int at = 0;
	uint64_t bad = 0;

	for (; at + 8u <= op->cdb_len; at += 8) {
		uint64_t bits, usage, ignored;

		memcpy(&bits, cdb + at, sizeof(bits));
		memcpy(&usage, op->usage + at, sizeof(usage));
		memcpy(&ignored, op->ignored + at, sizeof(ignored));
		bad |= bits & ~(usage | ignored);
	}
	for (; at < op->cdb_len; at++)
		bad |= cdb[at] & (uint8_t) ~(op->usage[at] | op->ignored[at]);
	return !bad;
}

int scsi_cdb_check(const struct scsi_opcode *op, const uint8_t *cdb, struct scsi_sense *sense)
{
	unsigned int last = op->cdb_len - 1u;

	if (all_known(op, cdb))
		return 0;

	for (unsigned int i = 1; i <= last; i++) {
		uint8_t bad = cdb[i] & ~(op->usage[i] | op->ignored[i]);

		if (i == 1 && op->service_action != SCSI_NO_SA)
			bad &= ~SA;
		if (i == last)
			bad &= ~CONTROL_VENDOR;
		if (bad) {
			*sense = scsi_sense_cdb_field((uint16_t)i, 31 - __builtin_clz(bad));
			return -1;
		}
	}
	return 0;
}
