/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer on every parser of a parameter list in the pure room. The list, the CDB and the logical unit come
 * from the input, list and CDB in memory that ends with them. What is accepted must lie inside the list and
 * the logical unit; what is refused is refused with a field pointer into what was sent, if with any.
 */
#include "scsi/diagnostic.h"
#include "scsi/format.h"
#include "scsi/mode.h"
#include "scsi/mode_pages.h"
#include "scsi/param.h"
#include "scsi/xcopy.h"
#include "scsi_defs.h"
#include "tests/fuzz/scsi-input.h"
#include "util/be.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct list {
	const uint8_t *bytes;
	size_t len;
};

/* ---- a row for each parser ------------------------------------------------------------------------- */

/* The unit with these values. */
static struct scsi_lu with_values(const struct scsi_lu *lu, const struct scsi_mode_values *values)
{
	struct scsi_lu changed = *lu;

	changed.write_cache = values->wce;
	changed.d_sense = values->d_sense;
	changed.swp = values->swp;
	changed.lbpere = values->lbpere;
	memcpy(changed.threshold, values->threshold, sizeof(changed.threshold));
	return changed;
}

/* The same list again changes nothing more. */
static uint8_t mode_select(const struct input *in, struct list list, struct scsi_sense *sense)
{
	struct scsi_mode_change change, again;
	struct scsi_lu changed;
	uint8_t status;

	status = scsi_mode_select(&in->lu, in->cdb, list.bytes, list.len, &change, sense);
	changed = with_values(&in->lu, &change.values);
	if (status == SAM_STAT_GOOD) {
		assert(!scsi_mode_select(&changed, in->cdb, list.bytes, list.len, &again, sense));
		assert(!again.changed && again.save == change.save);
		assert(!in->lu.wce_fixed || change.values.wce == in->lu.write_cache);
	} else {
		assert(!change.changed && !change.save);
	}
	return status;
}

static uint8_t unmap(const struct input *in, struct list list, struct scsi_sense *sense)
{
	struct scsi_unmap_list out;
	uint64_t lba, total = 0;
	uint32_t blocks;

	if (scsi_unmap_parse(&in->lu, list.bytes, list.len, &out, sense))
		return SAM_STAT_CHECK_CONDITION;
	assert(out.count <= SCSI_UNMAP_MAX_DESCRIPTORS);
	assert(!out.count || (out.desc == list.bytes + 8 && 8 + 16 * out.count <= list.len));
	while (scsi_unmap_next(&out, &lba, &blocks)) {
		assert(blocks && lba <= in->lu.num_lbas && blocks <= in->lu.num_lbas - lba);
		total += blocks;
	}
	assert(!out.count && !scsi_unmap_next(&out, &lba, &blocks));
	assert(scsi_unmap_max(&in->lu) == UINT32_MAX || total <= scsi_unmap_max(&in->lu));
	return SAM_STAT_GOOD;
}

static void check_pattern(const struct input *in, struct list list,
			  const struct scsi_pattern *pattern)
{
	uint8_t block[4096], inverse[4096];
	size_t size = in->lu.block_size;

	assert(pattern->len <= size);
	assert(!pattern->len || (pattern->bytes >= list.bytes &&
				 pattern->bytes + pattern->len <= list.bytes + list.len));
	scsi_pattern_fill(pattern, false, block, size);
	scsi_pattern_fill(pattern, true, inverse, size);
	for (size_t i = 0; i < size; i++) {
		assert(block[i] == (pattern->len ? pattern->bytes[i % pattern->len] : 0));
		assert((block[i] ^ inverse[i]) == 0xff);
	}
}

static uint8_t format(const struct input *in, struct list list, struct scsi_sense *sense)
{
	struct scsi_format out;
	uint8_t status = scsi_format_parse(&in->lu, in->cdb, list.bytes, list.len, &out, sense);

	if (status == SAM_STAT_GOOD)
		check_pattern(in, list, &out.pattern);
	return status;
}

static uint8_t sanitize(const struct input *in, struct list list, struct scsi_sense *sense)
{
	struct scsi_sanitize out;
	uint8_t status = scsi_sanitize_parse(&in->lu, in->cdb, list.bytes, list.len, &out, sense);

	if (status != SAM_STAT_GOOD)
		return status;
	assert(out.service_action == (in->cdb[1] & 0x1f));
	check_pattern(in, list, &out.pattern);
	if (out.service_action == SANITIZE_SA_OVERWRITE) {
		assert(out.passes >= 1 && out.passes <= 31 && out.pattern.len);
		assert(!scsi_sanitize_inverted(&out, out.passes));
		for (unsigned int pass = 1; pass < out.passes; pass++)
			assert(scsi_sanitize_inverted(&out, pass) ==
			       (out.invert && !scsi_sanitize_inverted(&out, pass + 1)));
	}
	return status;
}

static uint8_t diagnostic(const struct input *in, struct list list, struct scsi_sense *sense)
{
	return scsi_send_diagnostic(in->cdb, list.bytes, list.len, sense);
}

static uint8_t xcopy(const struct input *in, struct list list, struct scsi_sense *sense)
{
	static struct scsi_xcopy out;

	(void)in;
	memset(&out, 0xa5, sizeof(out));
	if (scsi_xcopy_parse(list.bytes, list.len, &out, sense))
		return SAM_STAT_CHECK_CONDITION;
	assert(out.cscds <= SCSI_XCOPY_MAX_CSCD && out.segments <= SCSI_XCOPY_MAX_SEGMENTS);
	assert(!out.segments || list.len >= SCSI_XCOPY_HEADER);
	for (unsigned int i = 0; i < out.segments; i++) {
		const struct scsi_xcopy_segment *seg = &out.segment[i];

		assert(seg->from < out.cscds && seg->to < out.cscds);
	}
	return SAM_STAT_GOOD;
}

/* What is asked of a group it can become, and the list says it. */
static uint8_t set_tpgs(const struct input *in, struct list list, struct scsi_sense *sense)
{
	uint8_t want[SCSI_TPG_MAX];
	struct scsi_tpgs groups;

	input_groups(&groups, &in->lu);
	memset(want, 0xa5, sizeof(want));
	if (scsi_set_tpgs_parse(&groups, list.bytes, list.len, get_be32(in->cdb + 6), want, sense))
		return SAM_STAT_CHECK_CONDITION;
	for (size_t i = 0; i < groups.count; i++) {
		const struct scsi_tpg *g = &groups.group[i];

		assert(want[i] == SCSI_TPG_KEEP ||
		       (want[i] <= SCSI_TPG_UNAVAILABLE && g->supported >> want[i] & 1 &&
			g->type & SCSI_TPG_EXPLICIT && list.len >= 8));
	}
	return SAM_STAT_GOOD;
}

static const struct {
	enum scsi_cmd_id id;
	uint8_t (*parse)(const struct input *in, struct list list, struct scsi_sense *sense);
} parsers[] = {
	{ SCSI_MODE_SELECT, mode_select },
	{ SCSI_UNMAP, unmap },
	{ SCSI_FORMAT_UNIT, format },
	{ SCSI_SANITIZE, sanitize },
	{ SCSI_SEND_DIAGNOSTIC, diagnostic },
	{ SCSI_EXTENDED_COPY, xcopy },
	{ SCSI_SET_TARGET_PORT_GROUPS, set_tpgs },
};

/* ---- */

static void set_length(struct input *in, size_t len)
{
	for (unsigned int i = in->op->xfer.size; i-- > 0; len >>= 8)
		in->cdb[in->op->xfer.at + i] = (uint8_t)len;
}

static void parse(const struct input *in, size_t which, struct list list)
{
	struct scsi_sense sense = { 0 };
	uint8_t status = parsers[which].parse(in, list, &sense);

	if (status == SAM_STAT_GOOD)
		return;
	assert(status == SAM_STAT_CHECK_CONDITION);
	check_sense(&sense, in->op, list.len);
}

/* Mode pages as they are, of which the input changes some bits; else what it says. */
static struct list make_list(const struct input *in, const uint8_t *data, size_t len, uint8_t how)
{
	const struct scsi_mode_page *page = scsi_mode_page(&in->lu, how % 16);
	size_t header = in->op->cdb_len == 6 ? 4 : 8;
	uint8_t *bytes;

	if (in->op->id != SCSI_MODE_SELECT || !(how & 0x80) || !page) {
		bytes = malloc(len);
		if (len)
			memcpy(bytes, data, len);
		return (struct list) { bytes, len };
	}
	bytes = calloc(1, header + page->size);
	scsi_mode_put_page(&in->lu, page, 0, bytes + header);
	bytes[header] &= 0x7f; /* PS */
	for (size_t i = 0; i < len && i < page->size; i++)
		bytes[header + i] ^= data[i];
	return (struct list) { bytes, header + page->size };
}

/* The row of parsers[] comes from the input in place of the CDB's operation code. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const size_t count = sizeof(parsers) / sizeof(parsers[0]);
	uint8_t head[INPUT_REST];
	struct list list;
	struct input in;
	size_t which;

	if (size < INPUT_REST)
		return 0;
	memcpy(head, data, sizeof(head));
	which = head[INPUT_LU] % count;
	for (size_t i = 0, n = 0; i < scsi_opcode_count; i++)
		if (scsi_opcodes[i].id == parsers[which].id && n++ <= head[INPUT_LU + 1] % 4)
			head[INPUT_CDB] = (uint8_t)i;
	head[INPUT_LU + 1] = head[INPUT_CDB];
	head[INPUT_LU] &= 0x08;
	input_read(&in, head);
	list = make_list(&in, data + INPUT_REST, size - INPUT_REST, data[INPUT_CDB + 3]);
	if (data[INPUT_CDB] & 0xc0) /* as an initiator does it */
		set_length(&in, list.len);
	assert(in.op && in.op->id == parsers[which].id);
	parse(&in, which, list);
	free((void *)(uintptr_t)list.bytes);
	free(in.cdb);
	return 0;
}
