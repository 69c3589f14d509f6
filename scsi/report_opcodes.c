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

/* The usage data behind the service action. */
#define PR_IN   0, 0, 0, 0, 0, 0xff, 0xff, 0
#define PR_TYPE 0xff /* SCOPE and TYPE */
#define PR_OUT  0, 0, 0xff, 0xff, 0xff, 0xff, 0

/* What the kernel's target answers without asking us (drivers/target/target_core_device.c,
 * passthrough_parse_cdb()). REPORT LUNS is the first. */
static const struct scsi_opcode kernel_rows[] = {
	{ REPORT_LUNS, SCSI_NO_SA, .cdb_len = 12,
	  .usage = { 0xa0, 0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0 } },
	{ RESERVE, SCSI_NO_SA, .cdb_len = 6, .usage = { 0x16 } },
	{ RELEASE, SCSI_NO_SA, .cdb_len = 6, .usage = { 0x17 } },
	{ RESERVE_10, SCSI_NO_SA, .cdb_len = 10, .usage = { 0x56 } },
	{ RELEASE_10, SCSI_NO_SA, .cdb_len = 10, .usage = { 0x57 } },
	/* READ KEYS, READ RESERVATION, REPORT CAPABILITIES, READ FULL STATUS */
	{ PERSISTENT_RESERVE_IN, 0x00, .cdb_len = 10, .usage = { 0x5e, 0x00, PR_IN } },
	{ PERSISTENT_RESERVE_IN, 0x01, .cdb_len = 10, .usage = { 0x5e, 0x01, PR_IN } },
	{ PERSISTENT_RESERVE_IN, 0x02, .cdb_len = 10, .usage = { 0x5e, 0x02, PR_IN } },
	{ PERSISTENT_RESERVE_IN, 0x03, .cdb_len = 10, .usage = { 0x5e, 0x03, PR_IN } },
	/* REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT AND ABORT, REGISTER AND IGNORE EXISTING
	 * KEY, REGISTER AND MOVE */
	{ PERSISTENT_RESERVE_OUT, 0x00, .cdb_len = 10, .usage = { 0x5f, 0x00, 0, PR_OUT } },
	{ PERSISTENT_RESERVE_OUT, 0x01, .cdb_len = 10, .usage = { 0x5f, 0x01, PR_TYPE, PR_OUT } },
	{ PERSISTENT_RESERVE_OUT, 0x02, .cdb_len = 10, .usage = { 0x5f, 0x02, PR_TYPE, PR_OUT } },
	{ PERSISTENT_RESERVE_OUT, 0x03, .cdb_len = 10, .usage = { 0x5f, 0x03, 0, PR_OUT } },
	{ PERSISTENT_RESERVE_OUT, 0x04, .cdb_len = 10, .usage = { 0x5f, 0x04, PR_TYPE, PR_OUT } },
	{ PERSISTENT_RESERVE_OUT, 0x05, .cdb_len = 10, .usage = { 0x5f, 0x05, PR_TYPE, PR_OUT } },
	{ PERSISTENT_RESERVE_OUT, 0x06, .cdb_len = 10, .usage = { 0x5f, 0x06, 0, PR_OUT } },
	{ PERSISTENT_RESERVE_OUT, 0x07, .cdb_len = 10, .usage = { 0x5f, 0x07, 0, PR_OUT } },
};
static const size_t kernel_count = sizeof(kernel_rows) / sizeof(kernel_rows[0]);

/* The i-th command that this logical unit has; NULL: skip it. i < row_count(). */
static const struct scsi_opcode *row(const struct scsi_lu *lu, size_t i)
{
	if (i < scsi_opcode_count)
		return scsi_opcode_enabled(&scsi_opcodes[i], lu) ? &scsi_opcodes[i] : NULL;
	i -= scsi_opcode_count;
	return i == 0 || lu->reservations ? &kernel_rows[i] : NULL;
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
