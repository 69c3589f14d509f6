/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer on the pure room: CDB, logical unit and parameter list from the input; no function may
 * write beyond its buffer or say more than it wrote. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scsi/capacity.h"
#include "scsi/cdb.h"
#include "scsi/inquiry.h"
#include "scsi/mode.h"
#include "scsi/opcodes.h"
#include "scsi/param.h"
#include "scsi/report_opcodes.h"
#include "scsi/request_sense.h"
#include "scsi/sense.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t (*const functions[])(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf,
				    size_t cap, size_t *len, struct scsi_sense *sense) = {
	scsi_inquiry,          scsi_mode_sense,     scsi_read_capacity_10,
	scsi_read_capacity_16, scsi_report_opcodes, scsi_request_sense,
};

static void fill_lu(struct scsi_lu *lu, const uint8_t *bytes)
{
	memset(lu, 0, sizeof(*lu));
	memcpy(&lu->num_lbas, bytes, 8);
	lu->block_size = bytes[8] & 1 ? 512 : 4096;
	memcpy(&lu->max_xfer_len, bytes + 9, 4);
	lu->opt_xfer_len = lu->max_xfer_len;
	memcpy(&lu->max_unmap_len, bytes + 13, 4);
	lu->opt_unmap_gran = bytes[17];
	lu->write_cache = bytes[18] & 1;
	lu->write_protect = bytes[18] & 2;
	lu->unmap = bytes[18] & 4;
	lu->unmap_zeroes = bytes[18] & 8;
	lu->wce_fixed = bytes[18] & 16;
	for (size_t i = 0; i < bytes[19] % sizeof(lu->serial); i++)
		lu->serial[i] = "0123456789abcdefABCDEF-xyz "[(i * 5 + bytes[19]) % 27];
	memset(lu->name, 'n', bytes[20] % sizeof(lu->name));
	memset(lu->vendor, 'v', bytes[21] % sizeof(lu->vendor));
}

static void walk_unmap(const struct scsi_lu *lu, const uint8_t *list, size_t len)
{
	struct scsi_unmap_list out;
	struct scsi_sense sense;
	uint64_t lba;
	uint32_t blocks;

	if (scsi_unmap_parse(lu, list, len, &out, &sense))
		return;
	while (scsi_unmap_next(&out, &lba, &blocks))
		assert(lba <= lu->num_lbas && blocks <= lu->num_lbas - lba);
}

/* By the first byte alone; a CDB is as long as that says, and no longer. */
static void measure(const uint8_t *data, size_t size)
{
	uint8_t cdb[SCSI_CDB_MAX] = { 0 }, *exact;
	size_t len;

	memcpy(cdb, data, size < sizeof(cdb) ? size : sizeof(cdb));
	len = (size_t)scsi_cdb_length(cdb);
	assert(len >= 6 && len <= SCSI_CDB_MAX);
	exact = malloc(len);
	memcpy(exact, cdb, len);
	assert(scsi_cdb_length(exact) == (int)len);
	scsi_cdb_generic_lba(exact);
	scsi_cdb_generic_xfer(exact);
	if (len <= 16 && scsi_opcode_find(cdb))
		assert(scsi_opcode_known(cdb[0]) && scsi_opcode_find(cdb)->cdb_len == len);
	free(exact);
}

static void build_sense(struct scsi_sense *sense, bool desc, uint64_t info)
{
	uint8_t built[SCSI_SENSE_SIZE];
	size_t len;

	sense->has_info = info & 1;
	sense->info = info >> 8;
	scsi_sense_build(sense, desc, built);
	len = scsi_sense_length(built);
	assert(len >= 8 && len <= sizeof(built));
	while (len < sizeof(built))
		assert(!built[len++]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t cdb[16] = { 0 };
	struct scsi_mode_change change;
	struct scsi_sense sense;
	const struct scsi_opcode *op;
	struct scsi_lu lu;
	size_t cap, len;
	uint8_t *buf, *list;

	if (size < 40)
		return 0;
	measure(data, size);
	memcpy(cdb, data, sizeof(cdb));
	fill_lu(&lu, data + 16);
	cap = data[38] * 4u;
	op = scsi_opcode_find(cdb);
	if (op && !scsi_cdb_check(op, cdb, &sense)) {
		scsi_cdb_lba(op, cdb);
		scsi_cdb_xfer(op, cdb);
	} else if (op) {
		build_sense(&sense, data[39] & 1, lu.num_lbas);
	}
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		buf = malloc(cap); /* the sanitizer guards its end */
		len = 0;
		functions[i](&lu, cdb, buf, cap, &len, &sense);
		assert(len <= cap);
		free(buf);
	}
	len = size - 40;
	list = malloc(len);
	if (len)
		memcpy(list, data + 40, len);
	scsi_mode_select(&lu, cdb, list, len, &change, &sense);
	walk_unmap(&lu, list, len);
	free(list);
	scsi_sense_from_sts((int)data[39], &sense);
	return 0;
}
