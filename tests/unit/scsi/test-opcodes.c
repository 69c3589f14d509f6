/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include "scsi/cdb.h"
#include "scsi/opcodes.h"

#define CONTROL_NACA 0x04

static const struct scsi_opcode *find(uint8_t opcode)
{
	const uint8_t cdb[16] = { opcode };

	return scsi_opcode_find(cdb);
}

/* A CDB that the row must accept. */
static void good_cdb(const struct scsi_opcode *op, uint8_t *cdb)
{
	memset(cdb, 0, 16);
	cdb[0] = op->opcode;
	if (op->service_action != SCSI_NO_SA)
		cdb[1] = (uint8_t)op->service_action;
}

#define for_each_row(op)                                                                           \
	for (const struct scsi_opcode *op = scsi_opcodes; op < scsi_opcodes + scsi_opcode_count;   \
	     op++)

static void every_row_has_a_name(void **state)
{
	(void)state;
	for_each_row(op) assert_true(op->name && op->name[0]);
}

static void every_row_is_found_by_its_cdb(void **state)
{
	uint8_t cdb[16];

	(void)state;
	for_each_row(op)
	{
		good_cdb(op, cdb);
		assert_ptr_equal(scsi_opcode_find(cdb), op);
		assert_true(scsi_opcode_known(op->opcode));
	}
}

static void rows_of_an_opcode_are_neighbours(void **state)
{
	uint8_t seen[256] = { 0 };

	(void)state;
	for_each_row(op)
	{
		if (op > scsi_opcodes && op[-1].opcode == op->opcode)
			continue;
		assert_false(seen[op->opcode]);
		seen[op->opcode] = 1;
	}
}

static void cdb_length_is_that_of_the_group(void **state)
{
	(void)state;
	for_each_row(op) assert_int_equal(op->cdb_len, scsi_cdb_length(&op->opcode));
}

static void fields_are_inside_the_cdb(void **state)
{
	(void)state;
	for_each_row(op)
	{
		/* The CONTROL byte is the last one. */
		assert_true(op->lba.at + op->lba.size < op->cdb_len);
		assert_true(op->xfer.at + op->xfer.size < op->cdb_len);
		if (op->lba.size)
			assert_true(op->lba.at >= 1);
		if (op->xfer.size)
			assert_true(op->xfer.at >= 2);
	}
}

static void fields_do_not_overlap(void **state)
{
	(void)state;
	for_each_row(op)
	{
		if (op->lba.size && op->xfer.size)
			assert_true(op->lba.at + op->lba.size <= op->xfer.at);
	}
}

static void usage_begins_with_the_opcode(void **state)
{
	(void)state;
	for_each_row(op) assert_int_equal(op->usage[0], op->opcode);
}

static void usage_covers_lba_and_length(void **state)
{
	(void)state;
	for_each_row(op)
	{
		for (unsigned int i = 0; i < op->lba.size; i++)
			assert_int_equal(op->usage[op->lba.at + i],
					 i == 0 && op->lba.size == 3 ? 0x1f : 0xff);
		for (unsigned int i = 0; i < op->xfer.size; i++)
			assert_int_equal(op->usage[op->xfer.at + i], 0xff);
	}
}

static void usage_ends_with_the_cdb(void **state)
{
	(void)state;
	for_each_row(op)
	{
		for (unsigned int i = op->cdb_len; i < sizeof(op->usage); i++) {
			assert_int_equal(op->usage[i], 0);
			assert_int_equal(op->ignored[i], 0);
		}
	}
}

static void usage_has_the_service_action(void **state)
{
	(void)state;
	for_each_row(op)
	{
		if (op->service_action != SCSI_NO_SA)
			assert_int_equal(op->usage[1] & 0x1f, op->service_action);
	}
}

static void no_bit_is_both_used_and_ignored(void **state)
{
	(void)state;
	for_each_row(op)
	{
		for (unsigned int i = 0; i < sizeof(op->usage); i++)
			assert_int_equal(op->usage[i] & op->ignored[i], 0);
	}
}

static void ranges_have_an_lba_and_a_length(void **state)
{
	(void)state;
	for_each_row(op)
	{
		if (op->flags & SCSI_F_RANGE)
			assert_true(op->lba.size && op->xfer.size);
	}
}

static void fua_is_in_the_usage_map_of_those_that_have_it(void **state)
{
	(void)state;
	for_each_row(op)
	{
		if (op->flags & SCSI_F_FUA)
			assert_int_equal(op->usage[1] & 0x18, 0x18); /* DPOFUA is 1 */
	}
}

static void data_go_the_way_of_the_medium(void **state)
{
	(void)state;
	for_each_row(op)
	{
		if (op->flags & SCSI_F_XFER_IS_LEN)
			assert_int_equal(op->dir, op->flags & SCSI_F_MEDIUM_WRITE ? SCSI_DIR_OUT
										  : SCSI_DIR_IN);
	}
}

static void only_three_commands_pass_a_unit_attention(void **state)
{
	(void)state;
	/* SAM-5 5.14: INQUIRY, REPORT LUNS (the kernel's), REQUEST SENSE. */
	for_each_row(op) assert_int_equal(!!(op->flags & SCSI_F_UA_PASSES),
					  op->opcode == INQUIRY || op->opcode == REQUEST_SENSE);
}

static void only_two_commands_of_ours_run_during_a_format(void **state)
{
	(void)state;
	/* SBC-4 4.33: INQUIRY, REPORT LUNS (the kernel's), REQUEST SENSE. */
	for_each_row(op) assert_int_equal(!!(op->flags & SCSI_F_FORMAT_PASSES),
					  op->opcode == INQUIRY || op->opcode == REQUEST_SENSE);
}

static void what_runs_during_a_sanitize_operation(void **state)
{
	static const uint8_t always[] = { INQUIRY, READ_CAPACITY, REQUEST_SENSE };
	uint8_t cdb[16], passed = 0;

	(void)state;
	for_each_row(op)
	{
		good_cdb(op, cdb);
		passed += scsi_sanitize_passes(op, cdb);
		if (op->flags & SCSI_F_FORMAT_PASSES)
			assert_true(scsi_sanitize_passes(op, cdb));
		if (op->flags & (SCSI_F_MEDIUM_READ | SCSI_F_MEDIUM_WRITE))
			assert_false(scsi_sanitize_passes(op, cdb));
	}
	for (size_t i = 0; i < sizeof(always); i++)
		assert_true(scsi_sanitize_passes(find(always[i]), cdb));
	/* and READ CAPACITY(16), the two REPORT SUPPORTED ... */
	assert_int_equal(passed, sizeof(always) + 3);
}

/* SBC-4 4.11.2: LOG SENSE and MODE SENSE, of some pages. */
static void some_pages_are_told_during_a_sanitize_operation(void **state)
{
	(void)state;
	for (unsigned int page = 0; page < 256; page++) {
		uint8_t cdb[16] = { MODE_SENSE, 0, (uint8_t)page };
		uint8_t code = page & 0x3f;

		assert_int_equal(scsi_sanitize_passes(find(MODE_SENSE), cdb),
				 code == 0x08 || code == 0x0a || code == 0x1c);
		cdb[0] = LOG_SENSE;
		assert_int_equal(scsi_sanitize_passes(find(LOG_SENSE), cdb), code == 0x0d);
		cdb[3] = 1; /* a subpage */
		assert_false(scsi_sanitize_passes(find(LOG_SENSE), cdb));
		cdb[0] = MODE_SENSE_10;
		assert_false(scsi_sanitize_passes(find(MODE_SENSE_10), cdb));
	}
}

static void what_is_on_the_medium_needs_the_medium(void **state)
{
	(void)state;
	for_each_row(op)
	{
		if (op->flags & (SCSI_F_MEDIUM_READ | SCSI_F_MEDIUM_WRITE | SCSI_F_RANGE))
			assert_true(op->flags & SCSI_F_NEEDS_MEDIUM);
	}
	assert_true(find(TEST_UNIT_READY)->flags & SCSI_F_NEEDS_MEDIUM);
	assert_true(find(READ_CAPACITY)->flags & SCSI_F_NEEDS_MEDIUM);
	/* What loads the medium, or tells that there is none. */
	assert_false(find(START_STOP)->flags & SCSI_F_NEEDS_MEDIUM);
	assert_false(find(INQUIRY)->flags & SCSI_F_NEEDS_MEDIUM);
	assert_false(find(REQUEST_SENSE)->flags & SCSI_F_NEEDS_MEDIUM);
	assert_false(find(MODE_SENSE)->flags & SCSI_F_NEEDS_MEDIUM);
}

static void whoever_sends_user_data_changes_the_medium(void **state)
{
	(void)state;
	for_each_row(op)
	{
		if (op->dir != SCSI_DIR_OUT)
			continue;
		switch (op->id) {
		case SCSI_VERIFY: /* to compare with */
		case SCSI_MODE_SELECT:
		case SCSI_SEND_DIAGNOSTIC:
		case SCSI_SET_TARGET_PORT_GROUPS:
		case SCSI_EXTENDED_COPY: /* perhaps another medium: the executor asks */
			assert_false(op->flags & SCSI_F_MEDIUM_WRITE);
			break;
		default:
			assert_true(op->flags & SCSI_F_MEDIUM_WRITE);
		}
	}
}

/* Exactly these rows go when the feature goes. */
static void a_feature_takes_its_commands_along(void **state)
{
	static const struct {
		uint32_t flag;
		unsigned int rows;
	} features[] = {
		{ SCSI_F_NEEDS_UNMAP, 1 },      { SCSI_F_NEEDS_REMOVABLE, 1 },
		{ SCSI_F_NEEDS_CAW, 1 },        { SCSI_F_NEEDS_ATOMIC, 1 },
		{ SCSI_F_NEEDS_LBA_STATUS, 1 }, { SCSI_F_NEEDS_XCOPY, 4 },
		{ SCSI_F_NEEDS_SANITIZE, 3 },   { SCSI_F_NEEDS_TPGS, 1 },
		{ SCSI_F_NEEDS_STPG, 1 },
	};
	const struct scsi_lu full = full_lu(), none = { 0 };

	(void)state;
	for_each_row(op)
	{
		assert_true(scsi_opcode_enabled(op, &full));
		assert_int_equal(scsi_opcode_enabled(op, &none), !(op->flags & SCSI_F_NEEDS));
	}
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		struct scsi_lu lu = full_lu();
		unsigned int gone = 0;

		switch (features[i].flag) {
		case SCSI_F_NEEDS_UNMAP:
			lu.unmap = false;
			break;
		case SCSI_F_NEEDS_REMOVABLE:
			lu.removable = false;
			break;
		case SCSI_F_NEEDS_CAW:
			lu.caw_max = 0;
			break;
		case SCSI_F_NEEDS_ATOMIC:
			lu.atomic_max = 0;
			break;
		case SCSI_F_NEEDS_LBA_STATUS:
			lu.lba_status = false;
			break;
		case SCSI_F_NEEDS_XCOPY:
			lu.xcopy = false;
			break;
		case SCSI_F_NEEDS_SANITIZE:
			lu.sanitize = false;
			break;
		case SCSI_F_NEEDS_TPGS:
			lu.tpgs = 0;
			break;
		case SCSI_F_NEEDS_STPG:
			lu.tpgs = 1;
			break;
		}
		for_each_row(op)
		{
			bool erase = op->id == SCSI_SANITIZE &&
				     op->service_action == SANITIZE_SA_BLOCK_ERASE;
			bool expected = (op->flags & SCSI_F_NEEDS) != features[i].flag &&
					(lu.tpgs || !(op->flags & SCSI_F_NEEDS_STPG)) &&
					(lu.unmap || !erase);

			assert_int_equal(scsi_opcode_enabled(op, &lu), expected);
			gone += (op->flags & SCSI_F_NEEDS) == features[i].flag;
		}
		assert_int_equal(gone, features[i].rows);
	}
}

static void a_command_without_an_executor_is_not_enabled(void **state)
{
	(void)state;
	for_each_row(gone)
	{
		struct scsi_lu lu = full_lu();

		lu.absent = UINT64_C(1) << gone->id;
		for_each_row(op) assert_int_equal(scsi_opcode_enabled(op, &lu), op->id != gone->id);
	}
}

static void assert_out_of_range(const struct scsi_opcode *op, const uint8_t *cdb, unsigned int at)
{
	struct scsi_sense sense;

	memset(&sense, 0, sizeof(sense));
	assert_int_equal(scsi_cdb_check_range(op, cdb, 1000, &sense), -1);
	assert_sense(&sense, ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
	assert_field(&sense, true, at, -1);
}

static void put_field(struct scsi_field field, uint64_t value, uint8_t *cdb)
{
	for (unsigned int i = field.size; i-- > 0; value >>= 8)
		cdb[field.at + i] = (uint8_t)value;
}

/* Of 1000 blocks, for each command that has a range. */
static void ranges_end_with_the_medium(void **state)
{
	struct scsi_sense sense;
	uint8_t cdb[16];

	(void)state;
	for_each_row(op)
	{
		if (!(op->flags & SCSI_F_RANGE))
			continue;
		good_cdb(op, cdb);
		put_field(op->lba, 999, cdb);
		put_field(op->xfer, 1, cdb);
		assert_int_equal(scsi_cdb_check_range(op, cdb, 1000, &sense), 0);
		put_field(op->xfer, 2, cdb);
		assert_out_of_range(op, cdb, op->xfer.at);
		put_field(op->lba, 1000, cdb);
		put_field(op->xfer, 1, cdb);
		assert_out_of_range(op, cdb, op->lba.at);
		put_field(op->lba, 1001, cdb);
		assert_out_of_range(op, cdb, op->lba.at);
		put_field(op->xfer, 0, cdb);
		assert_out_of_range(op, cdb, op->lba.at);
		put_field(op->lba, 1000, cdb);
		if (op->lba.size == 3) /* 256 blocks */
			assert_out_of_range(op, cdb, op->lba.at);
		else
			assert_int_equal(scsi_cdb_check_range(op, cdb, 1000, &sense), 0);
	}
}

static void ranges_do_not_wrap_around(void **state)
{
	uint8_t cdb[16] = { READ_16 };

	(void)state;
	put_be64(cdb + 2, UINT64_MAX);
	put_be32(cdb + 10, 2);
	assert_out_of_range(find(READ_16), cdb, 2);
	put_be32(cdb + 10, UINT32_MAX);
	assert_out_of_range(find(READ_16), cdb, 2);
	put_be64(cdb + 2, UINT64_MAX - UINT32_MAX + 1);
	assert_out_of_range(find(READ_16), cdb, 2);
	put_be64(cdb + 2, 0);
	assert_out_of_range(find(READ_16), cdb, 10);
}

static void caw_has_its_length_in_byte_13(void **state)
{
	uint8_t cdb[16] = { COMPARE_AND_WRITE, [13] = 7 };

	(void)state;
	assert_int_equal(scsi_cdb_xfer(find(COMPARE_AND_WRITE), cdb), 7);
	cdb[0] = WRITE_ATOMIC_16;
	assert_int_equal(scsi_cdb_xfer(find(WRITE_ATOMIC_16), cdb), 7);
}

static void every_command_id_has_a_row(void **state)
{
	uint8_t seen[SCSI_CMD_COUNT] = { 0 };

	(void)state;
	for_each_row(op) seen[op->id] = 1;
	for (unsigned int i = 0; i < SCSI_CMD_COUNT; i++)
		assert_true(seen[i]);
}

static void unknown_opcodes_are_not_found(void **state)
{
	unsigned int known = 0, rows = 0;

	(void)state;
	for (unsigned int opcode = 0; opcode < 256; opcode++)
		known += scsi_opcode_known((uint8_t)opcode) != 0;
	for_each_row(op) rows += op == scsi_opcodes || op[-1].opcode != op->opcode;
	assert_int_equal(known, rows);
	assert_null(find(0xff));
	assert_null(find(VARIABLE_LENGTH_CMD));
	assert_false(scsi_opcode_known(0xff));
}

static void another_service_action_is_known_but_not_found(void **state)
{
	uint8_t cdb[16] = { SERVICE_ACTION_IN_16, 0x1f };

	(void)state;
	assert_null(scsi_opcode_find(cdb));
	assert_true(scsi_opcode_known(SERVICE_ACTION_IN_16));
	/* Bits above the field are not part of the service action. */
	cdb[1] = 0xe0 | SAI_READ_CAPACITY_16;
	assert_int_equal(scsi_opcode_find(cdb)->id, SCSI_READ_CAPACITY_16);
}

static void read_6_has_a_21_bit_lba(void **state)
{
	const uint8_t cdb[6] = { READ_6, 0xff, 0xff, 0xff, 1, 0 };

	(void)state;
	assert_int_equal(scsi_cdb_lba(find(READ_6), cdb), 0x1fffff);
	assert_int_equal(scsi_cdb_xfer(find(READ_6), cdb), 1);
}

static void length_0_is_256_in_6_byte_commands_only(void **state)
{
	const uint8_t cdb[16] = { 0 };

	(void)state;
	assert_int_equal(scsi_cdb_xfer(find(READ_6), cdb), 256);
	assert_int_equal(scsi_cdb_xfer(find(WRITE_6), cdb), 256);
	assert_int_equal(scsi_cdb_xfer(find(READ_10), cdb), 0);
	assert_int_equal(scsi_cdb_xfer(find(MODE_SENSE), cdb), 0);
}

static void fields_are_decoded(void **state)
{
	const uint8_t bytes[16] = { 0,    0,    0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc,
				    0xde, 0xf0, 0x11, 0x22, 0x33, 0x44, 0,    0 };

	(void)state;
	assert_int_equal(scsi_cdb_lba(find(READ_10), bytes), 0x12345678);
	assert_int_equal(scsi_cdb_xfer(find(READ_10), bytes), 0xbcde);
	assert_int_equal(scsi_cdb_lba(find(WRITE_12), bytes), 0x12345678);
	assert_int_equal(scsi_cdb_xfer(find(WRITE_12), bytes), 0x9abcdef0);
	assert_true(scsi_cdb_lba(find(WRITE_16), bytes) == 0x123456789abcdef0);
	assert_int_equal(scsi_cdb_xfer(find(WRITE_16), bytes), 0x11223344);
	assert_int_equal(scsi_cdb_lba(find(INQUIRY), bytes), 0);
	assert_int_equal(scsi_cdb_xfer(find(INQUIRY), bytes), 0x3456);
	assert_int_equal(scsi_cdb_xfer(find(TEST_UNIT_READY), bytes), 0);
}

static void a_cdb_of_used_and_ignored_bits_passes(void **state)
{
	struct scsi_sense sense;
	uint8_t cdb[16];

	(void)state;
	for_each_row(op)
	{
		good_cdb(op, cdb);
		assert_int_equal(scsi_cdb_check(op, cdb, &sense), 0);
		for (unsigned int i = op->service_action == SCSI_NO_SA ? 1 : 2; i < op->cdb_len;
		     i++)
			cdb[i] = op->usage[i] | op->ignored[i];
		assert_int_equal(scsi_cdb_check(op, cdb, &sense), 0);
	}
}

static void every_other_bit_is_refused_and_pointed_to(void **state)
{
	struct scsi_sense sense;
	uint8_t cdb[16];

	(void)state;
	for_each_row(op)
	{
		for (int i = 8; i < op->cdb_len * 8; i++) {
			unsigned int byte = (unsigned int)i / 8, bit = (unsigned int)i % 8;
			uint8_t pass = op->usage[byte] | op->ignored[byte];

			if (byte == op->cdb_len - 1u)
				pass |= 0xc0;
			if (byte == 1 && op->service_action != SCSI_NO_SA)
				pass |= 0x1f;
			if (pass >> bit & 1)
				continue;
			good_cdb(op, cdb);
			cdb[byte] |= (uint8_t)(1u << bit);
			assert_int_equal(scsi_cdb_check(op, cdb, &sense), -1);
			assert_sense(&sense, ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
			assert_field(&sense, true, byte, (int)bit);
		}
	}
}

static void naca_is_refused(void **state)
{
	struct scsi_sense sense;
	uint8_t cdb[16];

	(void)state;
	for_each_row(op)
	{
		good_cdb(op, cdb);
		cdb[op->cdb_len - 1] = CONTROL_NACA;
		assert_int_equal(scsi_cdb_check(op, cdb, &sense), -1);
		assert_field(&sense, true, op->cdb_len - 1u, 2);
	}
}

static void protection_fields_are_refused(void **state)
{
	static const uint8_t opcodes[] = {
		READ_10,      READ_12,         READ_16,           WRITE_10,      WRITE_12,
		WRITE_16,     VERIFY,          VERIFY_12,         VERIFY_16,     WRITE_SAME,
		WRITE_VERIFY, WRITE_VERIFY_12, WRITE_VERIFY_16,   WRITE_SAME_16, ORWRITE_16,
		FORMAT_UNIT,  WRITE_ATOMIC_16, COMPARE_AND_WRITE,
	};
	struct scsi_sense sense;

	(void)state;
	for (size_t i = 0; i < sizeof(opcodes); i++) {
		for (unsigned int protect = 1; protect < 8; protect++) {
			uint8_t cdb[16] = { opcodes[i], (uint8_t)(protect << 5) };

			if (opcodes[i] == FORMAT_UNIT && protect == 1)
				continue; /* LONGLIST; FMTPINFO is above it */
			assert_int_equal(scsi_cdb_check(find(opcodes[i]), cdb, &sense), -1);
			assert_sense(&sense, ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
			assert_int_equal(sense.field, 1);
		}
	}
}

static void group_number_and_dpo_pass(void **state)
{
	const uint8_t read_10[10] = { READ_10, 0x18, [6] = 0x3f };
	const uint8_t write_16[16] = { WRITE_16, 0x18, [14] = 0x3f };
	const uint8_t write_12[12] = { WRITE_12, 0x18, [10] = 0x1f };
	const uint8_t unmap[10] = { UNMAP, 0, [6] = 0x1f };
	struct scsi_sense sense;

	(void)state;
	assert_int_equal(scsi_cdb_check(find(READ_10), read_10, &sense), 0);
	assert_int_equal(scsi_cdb_check(find(WRITE_16), write_16, &sense), 0);
	assert_int_equal(scsi_cdb_check(find(WRITE_12), write_12, &sense), 0);
	assert_int_equal(scsi_cdb_check(find(UNMAP), unmap, &sense), 0);
}

static void the_first_bad_byte_is_the_one_pointed_to(void **state)
{
	const uint8_t cdb[6] = { TEST_UNIT_READY, 0, 0x06, 0xff, 0, 0 };
	struct scsi_sense sense;

	(void)state;
	assert_int_equal(scsi_cdb_check(find(TEST_UNIT_READY), cdb, &sense), -1);
	assert_field(&sense, true, 2, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_has_a_name),
		cmocka_unit_test(every_row_is_found_by_its_cdb),
		cmocka_unit_test(rows_of_an_opcode_are_neighbours),
		cmocka_unit_test(cdb_length_is_that_of_the_group),
		cmocka_unit_test(fields_are_inside_the_cdb),
		cmocka_unit_test(fields_do_not_overlap),
		cmocka_unit_test(usage_begins_with_the_opcode),
		cmocka_unit_test(usage_covers_lba_and_length),
		cmocka_unit_test(usage_ends_with_the_cdb),
		cmocka_unit_test(usage_has_the_service_action),
		cmocka_unit_test(no_bit_is_both_used_and_ignored),
		cmocka_unit_test(ranges_have_an_lba_and_a_length),
		cmocka_unit_test(fua_is_in_the_usage_map_of_those_that_have_it),
		cmocka_unit_test(data_go_the_way_of_the_medium),
		cmocka_unit_test(only_three_commands_pass_a_unit_attention),
		cmocka_unit_test(only_two_commands_of_ours_run_during_a_format),
		cmocka_unit_test(what_runs_during_a_sanitize_operation),
		cmocka_unit_test(some_pages_are_told_during_a_sanitize_operation),
		cmocka_unit_test(what_is_on_the_medium_needs_the_medium),
		cmocka_unit_test(whoever_sends_user_data_changes_the_medium),
		cmocka_unit_test(a_feature_takes_its_commands_along),
		cmocka_unit_test(a_command_without_an_executor_is_not_enabled),
		cmocka_unit_test(ranges_end_with_the_medium),
		cmocka_unit_test(ranges_do_not_wrap_around),
		cmocka_unit_test(caw_has_its_length_in_byte_13),
		cmocka_unit_test(every_command_id_has_a_row),
		cmocka_unit_test(unknown_opcodes_are_not_found),
		cmocka_unit_test(another_service_action_is_known_but_not_found),
		cmocka_unit_test(read_6_has_a_21_bit_lba),
		cmocka_unit_test(length_0_is_256_in_6_byte_commands_only),
		cmocka_unit_test(fields_are_decoded),
		cmocka_unit_test(a_cdb_of_used_and_ignored_bits_passes),
		cmocka_unit_test(every_other_bit_is_refused_and_pointed_to),
		cmocka_unit_test(naca_is_refused),
		cmocka_unit_test(protection_fields_are_refused),
		cmocka_unit_test(group_number_and_dpo_pass),
		cmocka_unit_test(the_first_bad_byte_is_the_one_pointed_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
