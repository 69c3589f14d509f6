/* SPDX-License-Identifier: Apache-2.0 */
/* What fuzz-scsi and fuzz-params make of the beginning of their inputs: a logical unit and a CDB. */
#ifndef TESTS_FUZZ_SCSI_INPUT_H
#define TESTS_FUZZ_SCSI_INPUT_H

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scsi/cdb.h"
#include "scsi/opcodes.h"
#include "scsi/sense.h"
#include "scsi/tpg.h"

#define INPUT_LU   56 /* bytes */
#define INPUT_CDB  (INPUT_LU + 2)
#define INPUT_REST (INPUT_CDB + 16)

struct input {
	struct scsi_lu lu;
	const struct scsi_opcode *op; /* NULL: none has this CDB */
	uint8_t *cdb;                 /* exactly its bytes, on the heap */
};

static inline void input_text(char *to, size_t size, uint8_t seed)
{
	for (size_t i = 0; i < seed % size; i++)
		to[i] = "0123456789abcdefABCDEF-xyz "[(i * 5 + seed) % 27];
}

static inline struct scsi_mode_values input_values(uint8_t bits)
{
	struct scsi_mode_values v = {
		.wce = bits & 1, .d_sense = bits & 2, .swp = bits & 4, .lbpere = bits & 8
	};

	for (unsigned int i = 0; i < SCSI_THRESHOLD_COUNT; i++)
		v.threshold[i] = (struct scsi_threshold) { bits >> (4 + i) & 1, bits * 77u };
	return v;
}

static inline void input_flags(struct scsi_lu *lu, uint32_t bits)
{
	bool *const flags[] = {
		&lu->write_cache,  &lu->wce_fixed,           &lu->write_protect, &lu->swp,
		&lu->d_sense,      &lu->mode_fixed,          &lu->saves,         &lu->solid_state,
		&lu->removable,    &lu->medium_present,      &lu->medium_locked, &lu->unmap,
		&lu->unmap_zeroes, &lu->lba_status,          &lu->xcopy,         &lu->sanitize,
		&lu->reservations, &lu->relative_port_valid, &lu->tpg_valid,     &lu->lbpere,
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		*flags[i] = bits >> i & 1;
	lu->block_size = bits >> 31 ? 4096 : 512;
}

static inline void input_lu(struct scsi_lu *lu, const uint8_t *p)
{
	struct scsi_mode_values now = input_values(p[40]);
	uint32_t flags;

	memset(lu, 0, sizeof(*lu));
	memcpy(&flags, p, 4);
	input_flags(lu, flags);
	memcpy(&lu->num_lbas, p + 4, 8);
	memcpy(&lu->max_xfer_len, p + 12, 4);
	memcpy(&lu->max_unmap_len, p + 16, 4);
	memcpy(&lu->atomic_max, p + 20, 4);
	memcpy(&lu->absent, p + 24, 8);
	if (p[39] & 0xc0)
		lu->absent = 0;
	lu->opt_xfer_len = p[32] & 1 ? lu->max_xfer_len : p[32];
	lu->opt_unmap_gran = p[33];
	lu->unmap_gran_align = p[34];
	lu->caw_max = p[35];
	lu->phys_exponent = p[36] % 16;
	lu->threshold_exponent = p[37] % 40;
	lu->tpgs = p[38] % 4;
	memcpy(&lu->relative_port, p + 44, 2);
	memcpy(&lu->tpg, p + 46, 2);
	memcpy(lu->threshold, now.threshold, sizeof(lu->threshold));
	lu->mode_saved = input_values(p[41]);
	lu->mode_default = input_values(p[42]);
	memcpy(&lu->company_id, p + 48, 3);
	input_text(lu->vendor, sizeof(lu->vendor), p[51]);
	input_text(lu->product, sizeof(lu->product), p[52]);
	input_text(lu->revision, sizeof(lu->revision), p[53]);
	input_text(lu->serial, sizeof(lu->serial), p[54]);
	input_text(lu->name, sizeof(lu->name), p[55]);
}

/* Target port groups for the unit. */
static inline void input_groups(struct scsi_tpgs *groups, const struct scsi_lu *lu)
{
	memset(groups, 0, sizeof(*groups));
	groups->implicit_seconds = (uint8_t)lu->tpg;
	groups->count = lu->caw_max % (SCSI_TPG_MAX + 1);
	for (size_t i = 0; i < groups->count; i++) {
		struct scsi_tpg *g = &groups->group[i];
		uint32_t bits = (lu->max_unmap_len + (uint32_t)i) * 2654435761u;

		g->id = (uint16_t)(lu->tpg % 8 + i);
		g->state = bits >> 28;
		g->supported = (uint8_t)bits;
		g->status = bits >> 26 & 3;
		g->type = bits >> 24 & 3;
		g->preferred = bits >> 23 & 1;
		g->port_count = (bits >> 8) % (SCSI_TPG_PORT_MAX + 1);
		for (unsigned int p = 0; p < g->port_count; p++)
			g->port[p] = (uint16_t)(lu->relative_port + p);
	}
}

/* A command of the table; by how, with a page code that there is, and without bits that it has not. */
static inline void input_row(uint8_t *cdb, const struct scsi_opcode *op, uint8_t how)
{
	static const uint8_t pages[] = { 0x00, 0x80, 0x83, 0x86, 0x8f, 0xb0, 0xb1, 0xb2,
					 0x01, 0x08, 0x0a, 0x1c, 0x3f, 0x0d, 0x0c, 0x2f };

	cdb[0] = op->opcode;
	if (op->service_action != SCSI_NO_SA)
		cdb[1] = (uint8_t)((cdb[1] & ~0x1f) | op->service_action);
	if (how & 0x10)
		cdb[2] = pages[cdb[2] % 16] ^ (op->id == SCSI_INQUIRY ? 0 : cdb[2] & 0xc0);
	for (unsigned int i = 0; how & 0x08 && i < op->cdb_len; i++)
		cdb[i] &= op->usage[i] | op->ignored[i];
}

/* Of INPUT_REST bytes at data. Mostly a command of the table, by its number. */
static inline void input_read(struct input *in, const uint8_t *data)
{
	uint8_t cdb[SCSI_CDB_MAX] = { 0 };
	size_t len;

	input_lu(&in->lu, data);
	memcpy(cdb, data + INPUT_CDB, 16);
	if (data[INPUT_LU] < 0xe0)
		input_row(cdb, &scsi_opcodes[data[INPUT_LU + 1] % scsi_opcode_count],
			  data[INPUT_LU]);
	len = (size_t)scsi_cdb_length(cdb);
	assert(len >= 6 && len <= SCSI_CDB_MAX);
	in->cdb = malloc(len); /* the sanitizer guards its end */
	memcpy(in->cdb, cdb, len);
	in->op = scsi_opcode_find(in->cdb);
	assert(!in->op || (scsi_opcode_known(cdb[0]) && in->op->cdb_len == len));
}

/* Sense data with a key, that point into the CDB or the list_len bytes of the parameter list if at all. */
static inline void check_sense(const struct scsi_sense *sense, const struct scsi_opcode *op,
			       size_t list_len)
{
	uint8_t built[SCSI_SENSE_SIZE];
	size_t len;

	assert(sense->key && sense->key < 16);
	if (sense->has_field) {
		assert(sense->field < (sense->field_in_cdb ? op->cdb_len : list_len));
		assert(!sense->has_bit || sense->bit < 8);
	}
	for (int desc = 0; desc < 2; desc++) {
		memset(built, 0xa5, sizeof(built));
		scsi_sense_build(sense, desc, built);
		len = scsi_sense_length(built);
		assert(len >= 8 && len <= sizeof(built));
		assert((built[0] & 0x7f) == (desc ? 0x72 : 0x70));
		assert((built[desc ? 1 : 2] & 0x0f) == sense->key);
		while (len < sizeof(built))
			assert(!built[len++]);
	}
}

#endif
