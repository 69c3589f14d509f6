/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer on the CDB and on every answer of the pure room. CDB and logical unit come from the input. The
 * checks of the CDB are compared with a second reading of the table. An answer is what it is whatever the
 * buffer held: no byte is written behind *len, which is no more than the ALLOCATION LENGTH, and a shorter
 * answer is the beginning of a longer one.
 */
#include "scsi/capacity.h"
#include "scsi/defects.h"
#include "scsi/diagnostic.h"
#include "scsi/inquiry.h"
#include "scsi/log.h"
#include "scsi/mode.h"
#include "scsi/report_opcodes.h"
#include "scsi/request_sense.h"
#include "scsi/tmf.h"
#include "scsi/xcopy.h"
#include "scsi_defs.h"
#include "tests/fuzz/scsi-input.h"
#include "util/be.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROOM 8192 /* for the longest answer */

typedef uint8_t responder(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf, size_t cap,
			  size_t *len, struct scsi_sense *sense);

/* ---- every function that answers a data-in command: a row each ------------------------------------ */

static uint8_t log_sense(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf, size_t cap,
			 size_t *len, struct scsi_sense *sense)
{
	const struct scsi_log log = { .available = lu->max_xfer_len,
				      .used = scsi_threshold_sets(lu, lu->num_lbas),
				      .ie_asc = (uint8_t)lu->caw_max };

	return scsi_log_sense(lu, &log, cdb, buf, cap, len, sense);
}

static uint8_t report_tmf(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf, size_t cap,
			  size_t *len, struct scsi_sense *sense)
{
	return scsi_report_tmf(lu->max_unmap_len, cdb, buf, cap, len, sense);
}

static uint8_t request_sense_with(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf,
				  size_t cap, size_t *len, struct scsi_sense *sense)
{
	struct scsi_sense pending = SCSI_SENSE_FORMAT_IN_PROGRESS;

	(void)sense;
	pending = scsi_sense_progress(pending, lu->num_lbas, lu->max_xfer_len + UINT64_C(1));
	return scsi_request_sense_with(&pending, cdb, buf, cap, len);
}

static uint8_t report_tpgs(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf, size_t cap,
			   size_t *len, struct scsi_sense *sense)
{
	struct scsi_tpgs groups;

	input_groups(&groups, lu);
	return scsi_report_tpgs(&groups, cdb, buf, cap, len, sense);
}

static uint8_t copy_results(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf, size_t cap,
			    size_t *len, struct scsi_sense *sense)
{
	struct scsi_xcopy_result result = { .has_status = true,
					    .has_details = true,
					    .list_id = (uint8_t)lu->tpg,
					    .state = lu->caw_max % 3,
					    .segments = (uint16_t)lu->max_unmap_len,
					    .bytes = lu->num_lbas,
					    .sense_len = lu->phys_exponent * 3 };
	bool all;

	switch (cdb[1] & 0x1f) {
	case RCR_SA_COPY_STATUS:
		return scsi_xcopy_status(lu->unmap ? &result : NULL, cdb, buf, cap, len, &all,
					 sense);
	case RCR_SA_FAILED_SEGMENT_DETAILS:
		return scsi_xcopy_details(lu->unmap ? &result : NULL, cdb, buf, cap, len, &all,
					  sense);
	default:
		return scsi_xcopy_parameters(lu, cdb, buf, cap, len, sense);
	}
}

static const struct {
	enum scsi_cmd_id id;
	responder *make;
} responders[] = {
	{ SCSI_INQUIRY, scsi_inquiry },
	{ SCSI_MODE_SENSE, scsi_mode_sense },
	{ SCSI_READ_CAPACITY_10, scsi_read_capacity_10 },
	{ SCSI_READ_CAPACITY_16, scsi_read_capacity_16 },
	{ SCSI_REPORT_SUPPORTED_OPCODES, scsi_report_opcodes },
	{ SCSI_REPORT_SUPPORTED_TMF, report_tmf },
	{ SCSI_REQUEST_SENSE, scsi_request_sense },
	{ SCSI_REQUEST_SENSE, request_sense_with },
	{ SCSI_LOG_SENSE, log_sense },
	{ SCSI_READ_DEFECT_DATA, scsi_read_defect_data },
	{ SCSI_RECEIVE_DIAGNOSTIC_RESULTS, scsi_receive_diagnostic },
	{ SCSI_REPORT_TARGET_PORT_GROUPS, report_tpgs },
	{ SCSI_RECEIVE_COPY_RESULTS, copy_results },
};

struct answer {
	uint8_t status;
	size_t len;
	struct scsi_sense sense;
};

/* Into cap bytes that were all fill. */
static struct answer ask(const struct input *in, responder *make, uint8_t *buf, size_t cap,
			 uint8_t fill)
{
	struct answer a = { .len = SIZE_MAX };

	memset(buf, fill, cap);
	a.status = make(&in->lu, in->cdb, buf, cap, &a.len, &a.sense);
	assert(a.len <= cap);
	for (size_t i = a.len; i < cap; i++)
		assert(buf[i] == fill);
	return a;
}

static void respond(const struct input *in, responder *make, size_t cap)
{
	static uint8_t whole[ROOM];
	uint64_t alloc = in->op->xfer.size ? scsi_cdb_xfer(in->op, in->cdb) : 8;
	uint8_t *buf = malloc(cap), *again = malloc(cap);
	struct answer a = ask(in, make, buf, cap, 0xa5), b = ask(in, make, again, cap, 0x5a), all;

	assert(a.status == b.status && a.len == b.len && !memcmp(buf, again, a.len));
	all = ask(in, make, whole, sizeof(whole), 0x77);
	assert(a.status == all.status && all.len <= alloc);
	assert(a.len == (cap < all.len ? cap : all.len) && !memcmp(buf, whole, a.len));
	if (a.status != SAM_STAT_GOOD) {
		assert(a.status == SAM_STAT_CHECK_CONDITION && !a.len);
		check_sense(&a.sense, in->op, 0);
	}
	free(buf);
	free(again);
}

/* ---- the CDB -------------------------------------------------------------------------------------- */

/* The first byte with a bit that the row neither has nor lets through, 0: none. */
static unsigned int first_bad(const struct input *in, uint8_t *bits)
{
	for (unsigned int i = 1; i < in->op->cdb_len; i++) {
		*bits = in->cdb[i] & ~in->op->usage[i] & ~in->op->ignored[i];
		if (i == 1 && in->op->service_action != SCSI_NO_SA)
			*bits &= 0xe0;
		if (i == in->op->cdb_len - 1u) /* SAM-5 5.2: vendor specific */
			*bits &= 0x3f;
		if (*bits)
			return i;
	}
	return 0;
}

static void check_bits(const struct input *in)
{
	struct scsi_sense sense = { 0 };
	uint8_t bits = 0;
	unsigned int bad = first_bad(in, &bits);

	if (!scsi_cdb_check(in->op, in->cdb, &sense)) {
		assert(!bad);
		return;
	}
	check_sense(&sense, in->op, 0);
	assert(bad && sense.has_field && sense.field_in_cdb && sense.field == bad);
	assert(sense.has_bit && 1u << sense.bit <= bits && 2u << sense.bit > bits);
}

static void check_range(const struct input *in)
{
	struct scsi_sense sense = { 0 };
	unsigned __int128 lba = scsi_cdb_lba(in->op, in->cdb);
	unsigned __int128 end = lba + scsi_cdb_xfer(in->op, in->cdb);

	if (!(in->op->flags & SCSI_F_RANGE))
		return;
	if (!scsi_cdb_check_range(in->op, in->cdb, in->lu.num_lbas, &sense)) {
		assert(end <= in->lu.num_lbas);
		return;
	}
	assert(end > in->lu.num_lbas);
	check_sense(&sense, in->op, 0);
}

/* What REPORT SUPPORTED OPERATION CODES says about this command is what the check lets through. */
static void check_report(const struct input *in)
{
	uint8_t ask_cdb[12] = { MAINTENANCE_IN, MI_REPORT_SUPPORTED_OPERATION_CODES, 0x03 };
	const struct scsi_opcode *op = in->op;
	uint8_t buf[4 + 16], all[16];
	struct scsi_sense sense = { 0 };
	size_t len = 0;

	ask_cdb[3] = op->opcode;
	if (op->service_action != SCSI_NO_SA)
		put_be16(ask_cdb + 4, op->service_action);
	put_be32(ask_cdb + 6, sizeof(buf));
	assert(!scsi_report_opcodes(&in->lu, ask_cdb, buf, sizeof(buf), &len, &sense));
	if (!scsi_opcode_enabled(op, &in->lu)) {
		assert((buf[1] & 7) == 1);
		return;
	}
	assert((buf[1] & 7) == 3 && get_be16(buf + 2) == op->cdb_len);
	assert(len == 4u + op->cdb_len && buf[4] == op->opcode);
	memcpy(all, buf + 4, op->cdb_len);
	assert(!scsi_cdb_check(op, all, &sense));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scsi_sense sense;
	struct input in;

	if (size < INPUT_REST + 2)
		return 0;
	input_read(&in, data);
	scsi_cdb_generic_lba(in.cdb);
	scsi_cdb_generic_xfer(in.cdb);
	if (in.op) {
		check_bits(&in);
		check_range(&in);
		check_report(&in);
		scsi_sanitize_passes(in.op, in.cdb);
		for (size_t i = 0; i < sizeof(responders) / sizeof(responders[0]); i++)
			if (responders[i].id == in.op->id)
				respond(&in, responders[i].make,
					data[INPUT_REST] & 1 ? data[INPUT_REST + 1]
							     : data[INPUT_REST + 1] * 17u);
	}
	if (scsi_sense_from_sts((int8_t)data[INPUT_REST], &sense) == SAM_STAT_CHECK_CONDITION &&
	    sense.key)
		check_sense(&sense, &scsi_opcodes[0], 0);
	free(in.cdb);
	return 0;
}
