/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi/opcodes.h"

#include "scsi_defs.h"
#include "util/be.h"

/* Bits of byte 1. */
#define DPO       0x10
#define FUA       0x08
#define RARC      0x04 /* READ: may be ignored (SBC-4, rebuild assist mode) */
#define FUA_NV    0x02 /* obsolete since SBC-4 */
#define RELADR    0x01 /* obsolete since SBC-2 */
#define EVPD      0x01
#define DESC      0x01
#define DBD       0x08
#define LLBAA     0x10
#define PF        0x10
#define SP        0x01
#define IMMED     0x01
#define SC_IMMED  0x02
#define SC_SYNCNV 0x04 /* obsolete since SBC-4 */
#define BYTCHK    0x06
#define WS_UNMAP  0x08
#define WS_NDOB   0x01
#define SA        0x1f

/* Where READ and WRITE(12) and (16) have it: GROUP NUMBER, and in (16) DLD1 and DLD0 above it. */
#define GROUP     0x3f
#define GROUP_DLD 0xff

#define CONTROL        0x00
#define CONTROL_VENDOR 0xc0 /* the vendor specific bits of the CONTROL byte */

#define BYTES_2 0xff, 0xff
#define BYTES_3 0xff, 0xff, 0xff
#define BYTES_4 0xff, 0xff, 0xff, 0xff
#define BYTES_8 BYTES_4, BYTES_4

#define F_READ  (SCSI_F_MEDIUM_READ | SCSI_F_RANGE | SCSI_F_XFER_IS_LEN)
#define F_WRITE (SCSI_F_MEDIUM_WRITE | SCSI_F_RANGE | SCSI_F_XFER_IS_LEN)

const struct scsi_opcode scsi_opcodes[] = {
	{
		.opcode = TEST_UNIT_READY,
		.service_action = SCSI_NO_SA,
		.id = SCSI_TEST_UNIT_READY,
		.name = "TEST UNIT READY",
		.cdb_len = 6,
		.dir = SCSI_DIR_NONE,
		.usage = { TEST_UNIT_READY, 0, 0, 0, 0, CONTROL },
	},
	{
		.opcode = REQUEST_SENSE,
		.service_action = SCSI_NO_SA,
		.id = SCSI_REQUEST_SENSE,
		.name = "REQUEST SENSE",
		.cdb_len = 6,
		.xfer = { 4, 1 },
		.dir = SCSI_DIR_IN,
		.flags = SCSI_F_UA_PASSES,
		.usage = { REQUEST_SENSE, DESC, 0, 0, 0xff, CONTROL },
	},
	{
		.opcode = READ_6,
		.service_action = SCSI_NO_SA,
		.id = SCSI_READ,
		.name = "READ(6)",
		.cdb_len = 6,
		.lba = { 1, 3 },
		.xfer = { 4, 1 },
		.dir = SCSI_DIR_IN,
		.flags = F_READ,
		.usage = { READ_6, 0x1f, BYTES_2, 0xff, CONTROL },
	},
	{
		.opcode = WRITE_6,
		.service_action = SCSI_NO_SA,
		.id = SCSI_WRITE,
		.name = "WRITE(6)",
		.cdb_len = 6,
		.lba = { 1, 3 },
		.xfer = { 4, 1 },
		.dir = SCSI_DIR_OUT,
		.flags = F_WRITE,
		.usage = { WRITE_6, 0x1f, BYTES_2, 0xff, CONTROL },
	},
	{
		.opcode = INQUIRY,
		.service_action = SCSI_NO_SA,
		.id = SCSI_INQUIRY,
		.name = "INQUIRY",
		.cdb_len = 6,
		.xfer = { 3, 2 },
		.dir = SCSI_DIR_IN,
		.flags = SCSI_F_UA_PASSES,
		.usage = { INQUIRY, EVPD, 0xff, BYTES_2, CONTROL },
	},
	{
		.opcode = MODE_SELECT,
		.service_action = SCSI_NO_SA,
		.id = SCSI_MODE_SELECT,
		.name = "MODE SELECT(6)",
		.cdb_len = 6,
		.xfer = { 4, 1 },
		.dir = SCSI_DIR_OUT,
		.usage = { MODE_SELECT, PF | SP, 0, 0, 0xff, CONTROL },
	},
	{
		.opcode = MODE_SENSE,
		.service_action = SCSI_NO_SA,
		.id = SCSI_MODE_SENSE,
		.name = "MODE SENSE(6)",
		.cdb_len = 6,
		.xfer = { 4, 1 },
		.dir = SCSI_DIR_IN,
		.usage = { MODE_SENSE, DBD, 0xff, 0xff, 0xff, CONTROL },
	},
	{
		.opcode = START_STOP,
		.service_action = SCSI_NO_SA,
		.id = SCSI_START_STOP_UNIT,
		.name = "START STOP UNIT",
		.cdb_len = 6,
		.dir = SCSI_DIR_NONE,
		/* POWER CONDITION MODIFIER; POWER CONDITION, NO_FLUSH, LOEJ, START */
		.usage = { START_STOP, IMMED, 0, 0x0f, 0xf7, CONTROL },
	},
	{
		.opcode = READ_CAPACITY,
		.service_action = SCSI_NO_SA,
		.id = SCSI_READ_CAPACITY_10,
		.name = "READ CAPACITY(10)",
		.cdb_len = 10,
		.dir = SCSI_DIR_IN,
		/* LOGICAL BLOCK ADDRESS and PMI, obsolete in SBC-4 */
		.usage = { READ_CAPACITY, 0, BYTES_4, 0, 0, 0x01, CONTROL },
		.ignored = { 0, RELADR },
	},
	{
		.opcode = READ_10,
		.service_action = SCSI_NO_SA,
		.id = SCSI_READ,
		.name = "READ(10)",
		.cdb_len = 10,
		.lba = { 2, 4 },
		.xfer = { 7, 2 },
		.dir = SCSI_DIR_IN,
		.flags = F_READ | SCSI_F_FUA,
		.usage = { READ_10, DPO | FUA, BYTES_4, 0, BYTES_2, CONTROL },
		.ignored = { 0, RARC | FUA_NV | RELADR, 0, 0, 0, 0, GROUP },
	},
	{
		.opcode = WRITE_10,
		.service_action = SCSI_NO_SA,
		.id = SCSI_WRITE,
		.name = "WRITE(10)",
		.cdb_len = 10,
		.lba = { 2, 4 },
		.xfer = { 7, 2 },
		.dir = SCSI_DIR_OUT,
		.flags = F_WRITE | SCSI_F_FUA,
		.usage = { WRITE_10, DPO | FUA, BYTES_4, 0, BYTES_2, CONTROL },
		.ignored = { 0, FUA_NV | RELADR, 0, 0, 0, 0, GROUP },
	},
	{
		.opcode = VERIFY,
		.service_action = SCSI_NO_SA,
		.id = SCSI_VERIFY,
		.name = "VERIFY(10)",
		.cdb_len = 10,
		.lba = { 2, 4 },
		.xfer = { 7, 2 },
		.dir = SCSI_DIR_OUT,
		.flags = SCSI_F_MEDIUM_READ | SCSI_F_RANGE,
		.usage = { VERIFY, DPO | BYTCHK, BYTES_4, 0, BYTES_2, CONTROL },
		.ignored = { 0, RELADR, 0, 0, 0, 0, GROUP },
	},
	{
		.opcode = SYNCHRONIZE_CACHE,
		.service_action = SCSI_NO_SA,
		.id = SCSI_SYNCHRONIZE_CACHE,
		.name = "SYNCHRONIZE CACHE(10)",
		.cdb_len = 10,
		.lba = { 2, 4 },
		.xfer = { 7, 2 },
		.dir = SCSI_DIR_NONE,
		.flags = SCSI_F_RANGE,
		.usage = { SYNCHRONIZE_CACHE, SC_IMMED, BYTES_4, 0, BYTES_2, CONTROL },
		.ignored = { 0, SC_SYNCNV | RELADR, 0, 0, 0, 0, GROUP },
	},
	{
		.opcode = WRITE_SAME,
		.service_action = SCSI_NO_SA,
		.id = SCSI_WRITE_SAME,
		.name = "WRITE SAME(10)",
		.cdb_len = 10,
		.lba = { 2, 4 },
		.xfer = { 7, 2 },
		.dir = SCSI_DIR_OUT,
		.flags = SCSI_F_MEDIUM_WRITE | SCSI_F_RANGE,
		.usage = { WRITE_SAME, WS_UNMAP, BYTES_4, 0, BYTES_2, CONTROL },
		.ignored = { 0, 0, 0, 0, 0, 0, GROUP },
	},
	{
		.opcode = UNMAP,
		.service_action = SCSI_NO_SA,
		.id = SCSI_UNMAP,
		.name = "UNMAP",
		.cdb_len = 10,
		.xfer = { 7, 2 },
		.dir = SCSI_DIR_OUT,
		.flags = SCSI_F_MEDIUM_WRITE | SCSI_F_NEEDS_UNMAP,
		/* ANCHOR is refused: ANC_SUP is 0 (SBC-4 6.6, Logical Block Provisioning page). */
		.usage = { UNMAP, 0, 0, 0, 0, 0, 0, BYTES_2, CONTROL },
		.ignored = { 0, 0, 0, 0, 0, 0, GROUP },
	},
	{
		.opcode = MODE_SELECT_10,
		.service_action = SCSI_NO_SA,
		.id = SCSI_MODE_SELECT,
		.name = "MODE SELECT(10)",
		.cdb_len = 10,
		.xfer = { 7, 2 },
		.dir = SCSI_DIR_OUT,
		.usage = { MODE_SELECT_10, PF | SP, 0, 0, 0, 0, 0, BYTES_2, CONTROL },
	},
	{
		.opcode = MODE_SENSE_10,
		.service_action = SCSI_NO_SA,
		.id = SCSI_MODE_SENSE,
		.name = "MODE SENSE(10)",
		.cdb_len = 10,
		.xfer = { 7, 2 },
		.dir = SCSI_DIR_IN,
		.usage = { MODE_SENSE_10, LLBAA | DBD, 0xff, 0xff, 0, 0, 0, BYTES_2, CONTROL },
	},
	{
		.opcode = READ_16,
		.service_action = SCSI_NO_SA,
		.id = SCSI_READ,
		.name = "READ(16)",
		.cdb_len = 16,
		.lba = { 2, 8 },
		.xfer = { 10, 4 },
		.dir = SCSI_DIR_IN,
		.flags = F_READ | SCSI_F_FUA,
		.usage = { READ_16, DPO | FUA, BYTES_8, BYTES_4, 0, CONTROL },
		/* bit 0 of byte 1 is DLD2 */
		.ignored = { 0, RARC | FUA_NV | 0x01, [14] = GROUP_DLD },
	},
	{
		.opcode = WRITE_16,
		.service_action = SCSI_NO_SA,
		.id = SCSI_WRITE,
		.name = "WRITE(16)",
		.cdb_len = 16,
		.lba = { 2, 8 },
		.xfer = { 10, 4 },
		.dir = SCSI_DIR_OUT,
		.flags = F_WRITE | SCSI_F_FUA,
		.usage = { WRITE_16, DPO | FUA, BYTES_8, BYTES_4, 0, CONTROL },
		.ignored = { 0, FUA_NV | 0x01, [14] = GROUP_DLD },
	},
	{
		.opcode = VERIFY_16,
		.service_action = SCSI_NO_SA,
		.id = SCSI_VERIFY,
		.name = "VERIFY(16)",
		.cdb_len = 16,
		.lba = { 2, 8 },
		.xfer = { 10, 4 },
		.dir = SCSI_DIR_OUT,
		.flags = SCSI_F_MEDIUM_READ | SCSI_F_RANGE,
		.usage = { VERIFY_16, DPO | BYTCHK, BYTES_8, BYTES_4, 0, CONTROL },
		.ignored = { 0, RELADR, [14] = GROUP },
	},
	{
		.opcode = SYNCHRONIZE_CACHE_16,
		.service_action = SCSI_NO_SA,
		.id = SCSI_SYNCHRONIZE_CACHE,
		.name = "SYNCHRONIZE CACHE(16)",
		.cdb_len = 16,
		.lba = { 2, 8 },
		.xfer = { 10, 4 },
		.dir = SCSI_DIR_NONE,
		.flags = SCSI_F_RANGE,
		.usage = { SYNCHRONIZE_CACHE_16, SC_IMMED, BYTES_8, BYTES_4, 0, CONTROL },
		.ignored = { 0, SC_SYNCNV | RELADR, [14] = GROUP },
	},
	{
		.opcode = WRITE_SAME_16,
		.service_action = SCSI_NO_SA,
		.id = SCSI_WRITE_SAME,
		.name = "WRITE SAME(16)",
		.cdb_len = 16,
		.lba = { 2, 8 },
		.xfer = { 10, 4 },
		.dir = SCSI_DIR_OUT,
		.flags = SCSI_F_MEDIUM_WRITE | SCSI_F_RANGE,
		.usage = { WRITE_SAME_16, WS_UNMAP | WS_NDOB, BYTES_8, BYTES_4, 0, CONTROL },
		.ignored = { 0, 0, [14] = GROUP },
	},
	{
		.opcode = SERVICE_ACTION_IN_16,
		.service_action = SAI_READ_CAPACITY_16,
		.id = SCSI_READ_CAPACITY_16,
		.name = "READ CAPACITY(16)",
		.cdb_len = 16,
		.xfer = { 10, 4 },
		.dir = SCSI_DIR_IN,
		.usage = { SERVICE_ACTION_IN_16, SAI_READ_CAPACITY_16, 0, 0, 0, 0, 0, 0, 0, 0,
			   BYTES_4, 0, CONTROL },
		/* LOGICAL BLOCK ADDRESS and PMI, obsolete in SBC-4 */
		.ignored = { 0, 0, BYTES_8, [14] = 0x01 },
	},
	{
		.opcode = MAINTENANCE_IN,
		.service_action = MI_REPORT_SUPPORTED_OPERATION_CODES,
		.id = SCSI_REPORT_SUPPORTED_OPCODES,
		.name = "REPORT SUPPORTED OPERATION CODES",
		.cdb_len = 12,
		.xfer = { 6, 4 },
		.dir = SCSI_DIR_IN,
		/* RCTD, REPORTING OPTIONS */
		.usage = { MAINTENANCE_IN, MI_REPORT_SUPPORTED_OPERATION_CODES, 0x87, 0xff, BYTES_2,
			   BYTES_4, 0, CONTROL },
	},
	{
		.opcode = READ_12,
		.service_action = SCSI_NO_SA,
		.id = SCSI_READ,
		.name = "READ(12)",
		.cdb_len = 12,
		.lba = { 2, 4 },
		.xfer = { 6, 4 },
		.dir = SCSI_DIR_IN,
		.flags = F_READ | SCSI_F_FUA,
		.usage = { READ_12, DPO | FUA, BYTES_4, BYTES_4, 0, CONTROL },
		.ignored = { 0, RARC | FUA_NV | RELADR, [10] = GROUP },
	},
	{
		.opcode = WRITE_12,
		.service_action = SCSI_NO_SA,
		.id = SCSI_WRITE,
		.name = "WRITE(12)",
		.cdb_len = 12,
		.lba = { 2, 4 },
		.xfer = { 6, 4 },
		.dir = SCSI_DIR_OUT,
		.flags = F_WRITE | SCSI_F_FUA,
		.usage = { WRITE_12, DPO | FUA, BYTES_4, BYTES_4, 0, CONTROL },
		.ignored = { 0, FUA_NV | RELADR, [10] = GROUP },
	},
};

const size_t scsi_opcode_count = sizeof(scsi_opcodes) / sizeof(scsi_opcodes[0]);

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

int scsi_cdb_check(const struct scsi_opcode *op, const uint8_t *cdb, struct scsi_sense *sense)
{
	unsigned int last = op->cdb_len - 1u;

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
