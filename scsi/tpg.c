/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi/tpg.h"

#include <string.h>

#include "scsi/reply.h"
#include "util/be.h"

#define FORMAT          0xe0 /* PARAMETER DATA FORMAT, byte 1 of the CDB */
#define FORMAT_LENGTH   0x00
#define FORMAT_EXTENDED 0x20

#define LIST_HEADER 4
#define LIST_DESC   4
#define STATE_MASK  0x0f

static uint8_t *put_group(const struct scsi_tpg *g, uint8_t *d)
{
	d[0] = (g->preferred ? 0x80 : 0) | (g->state & STATE_MASK);
	d[1] = g->supported;
	put_be16(d + 2, g->id);
	d[4] = 0;
	d[5] = g->status;
	d[6] = 0;
	d[7] = g->port_count;
	d += 8;
	for (size_t i = 0; i < g->port_count; i++, d += 4) {
		put_be16(d, 0);
		put_be16(d + 2, g->port[i]);
	}
	return d;
}

uint8_t scsi_report_tpgs(const struct scsi_tpgs *groups, const uint8_t *cdb, uint8_t *buf,
			 size_t cap, size_t *len, struct scsi_sense *sense)
{
	uint8_t data[SCSI_TPGS_DATA_MAX] = { 0 }, *d = data + 4;

	switch (cdb[1] & FORMAT) {
	case FORMAT_LENGTH:
		break;
	case FORMAT_EXTENDED:
		d[0] = 0x10; /* FORMAT TYPE 001b */
		d[1] = groups->implicit_seconds;
		d += 4;
		break;
	default: /* SPC-5 6.36, PARAMETER DATA FORMAT: reserved */
		return scsi_refuse(len, sense, scsi_sense_cdb_field(1, 7));
	}
	for (size_t i = 0; i < groups->count; i++)
		d = put_group(&groups->group[i], d);
	put_be32(data, (uint32_t)(d - data - 4)); /* RETURN DATA LENGTH */
	return scsi_reply(buf, cap, len, data, (size_t)(d - data), get_be32(cdb + 6));
}

/* SPC-5 6.42: can a group be asked to take this state? Reserved ones, LBA DEPENDENT and TRANSITIONING
 * cannot be asked for, and OFFLINE is one of a port and not of a group. */
static bool is_settable(const struct scsi_tpg *g, uint8_t state)
{
	return state <= SCSI_TPG_UNAVAILABLE && g->supported >> state & 1;
}

int scsi_set_tpgs_parse(const struct scsi_tpgs *groups, const uint8_t *list, size_t have,
			size_t len, uint8_t want[SCSI_TPG_MAX], struct scsi_sense *sense)
{
	memset(want, SCSI_TPG_KEEP, SCSI_TPG_MAX);
	/* SPC-5 6.42, PARAMETER LIST LENGTH: zero is no error. */
	if (!len)
		return 0;
	if (len < LIST_HEADER || (len - LIST_HEADER) % LIST_DESC || have < len) {
		*sense = SCSI_SENSE_PARAM_LIST_LENGTH;
		return -1;
	}
	for (size_t at = LIST_HEADER; at < len; at += LIST_DESC) {
		uint8_t state = list[at] & STATE_MASK;
		uint16_t id = get_be16(list + at + 2);
		size_t i = 0;

		if (state > SCSI_TPG_UNAVAILABLE) {
			*sense = scsi_sense_param_field((uint16_t)at, 3);
			return -1;
		}
		while (i < groups->count && groups->group[i].id != id)
			i++;
		if (i == groups->count || !(groups->group[i].type & SCSI_TPG_EXPLICIT)) {
			*sense = scsi_sense_param_field((uint16_t)(at + 2), -1);
			return -1;
		}
		if (!is_settable(&groups->group[i], state)) {
			*sense = scsi_sense_param_field((uint16_t)at, 3);
			return -1;
		}
		want[i] = state;
	}
	return 0;
}
