/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi/report_opcodes.h"

#include "scsi/opcodes.h"
#include "scsi/reply.h"
#include "util/be.h"

#define RCTD             0x80
#define TIMEOUTS_SIZE    12
#define DESC_SIZE        8
#define MAX_COMMANDS     200
#define SUPPORT_NO       0x01
#define SUPPORT_STANDARD 0x03

/* REPORTING OPTIONS (SPC-5 6.35). */
enum { REPORT_ALL, REPORT_OPCODE, REPORT_OPCODE_SA, REPORT_EITHER };

/* What the kernel's target answers without asking us. */
static const struct scsi_opcode kernel_rows[] = {
	{
		.opcode = REPORT_LUNS,
		.service_action = SCSI_NO_SA,
		.name = "REPORT LUNS",
		.cdb_len = 12,
		.xfer = { 6, 4 },
		.dir = SCSI_DIR_IN,
		.usage = { REPORT_LUNS, 0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0 },
	},
};
static const size_t kernel_count = sizeof(kernel_rows) / sizeof(kernel_rows[0]);

/* The i-th command that this logical unit has; NULL: skip it. i < row_count(). */
static const struct scsi_opcode *row(const struct scsi_lu *lu, size_t i)
{
	const struct scsi_opcode *op;

	if (i >= scsi_opcode_count)
		return &kernel_rows[i - scsi_opcode_count];
	op = &scsi_opcodes[i];
	return op->flags & SCSI_F_NEEDS_UNMAP && !lu->unmap ? NULL : op;
}

static size_t row_count(void)
{
	return scsi_opcode_count + kernel_count;
}

/* SPC-5 6.35, command timeouts descriptor: no timeouts are indicated. Returns its bytes. */
static size_t put_timeouts(uint8_t *p)
{
	put_be16(p, TIMEOUTS_SIZE - 2);
	return TIMEOUTS_SIZE;
}

/* SPC-5 6.35.2: all_commands parameter data. */
static size_t all_commands(const struct scsi_lu *lu, bool rctd, uint8_t *data)
{
	uint8_t *p = data + 4;

	for (size_t i = 0; i < row_count(); i++) {
		const struct scsi_opcode *op = row(lu, i);

		if (!op)
			continue;
		p[0] = op->opcode;
		if (op->service_action != SCSI_NO_SA) {
			put_be16(p + 2, op->service_action);
			p[5] |= 0x01; /* SERVACTV */
		}
		put_be16(p + 6, op->cdb_len);
		if (rctd) {
			p[5] |= 0x02; /* CTDP */
			p += put_timeouts(p + DESC_SIZE);
		}
		p += DESC_SIZE;
	}
	put_be32(data, (uint32_t)(p - data - 4));
	return (size_t)(p - data);
}

/* SPC-5 6.35.3: one_command parameter data; op NULL: not supported. */
static size_t one_command(const struct scsi_opcode *op, bool rctd, uint8_t *data)
{
	size_t size = 4;

	if (!op) {
		data[1] = SUPPORT_NO;
		return size;
	}
	data[1] = SUPPORT_STANDARD;
	put_be16(data + 2, op->cdb_len);
	memcpy(data + 4, op->usage, op->cdb_len);
	size += op->cdb_len;
	if (rctd) {
		data[1] |= 0x80; /* CTDP */
		size += put_timeouts(data + size);
	}
	return size;
}

/* Looks the command up; *with_sa: does this operation code have service actions? */
static const struct scsi_opcode *lookup(const struct scsi_lu *lu, uint8_t opcode, uint16_t sa,
					bool *known, bool *with_sa)
{
	const struct scsi_opcode *found = NULL;

	*known = false;
	*with_sa = false;
	for (size_t i = 0; i < row_count(); i++) {
		const struct scsi_opcode *op = row(lu, i);

		if (!op || op->opcode != opcode)
			continue;
		*known = true;
		*with_sa = op->service_action != SCSI_NO_SA;
		if (!*with_sa || op->service_action == sa)
			found = op;
	}
	return found;
}

uint8_t scsi_report_opcodes(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf, size_t cap,
			    size_t *len, struct scsi_sense *sense)
{
	uint8_t data[4 + MAX_COMMANDS * (DESC_SIZE + TIMEOUTS_SIZE)] = { 0 };
	uint32_t alloc = get_be32(cdb + 6);
	uint16_t sa = get_be16(cdb + 4);
	bool rctd = cdb[2] & RCTD, known, with_sa;
	const struct scsi_opcode *op = lookup(lu, cdb[3], sa, &known, &with_sa);

	switch (cdb[2] & 0x07) {
	case REPORT_ALL:
		return scsi_reply(buf, cap, len, data, all_commands(lu, rctd, data), alloc);
	case REPORT_OPCODE:
		/* SPC-5 6.35, 001b: not for an operation code that has service actions. */
		if (known && with_sa)
			return scsi_refuse(len, sense, scsi_sense_cdb_field(2, 2));
		break;
	case REPORT_OPCODE_SA:
		/* SPC-5 6.35, 010b: only for an operation code that has service actions. */
		if (known && !with_sa)
			return scsi_refuse(len, sense, scsi_sense_cdb_field(2, 2));
		break;
	case REPORT_EITHER:
		/* SPC-5 6.35, 011b: without service actions, the requested one has to be zero. */
		if (known && !with_sa && sa)
			op = NULL;
		break;
	default:
		return scsi_refuse(len, sense, scsi_sense_cdb_field(2, 2));
	}
	return scsi_reply(buf, cap, len, data, one_command(op, rctd, data), alloc);
}
