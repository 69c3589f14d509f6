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
	uint8_t cdb[16] = { SERVICE_ACTION_IN_16, SAI_GET_LBA_STATUS };

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
		READ_10,  READ_12, READ_16,   WRITE_10,   WRITE_12,
		WRITE_16, VERIFY,  VERIFY_16, WRITE_SAME, WRITE_SAME_16
	};
	struct scsi_sense sense;

	(void)state;
	for (size_t i = 0; i < sizeof(opcodes); i++) {
		for (unsigned int protect = 1; protect < 8; protect++) {
			uint8_t cdb[16] = { opcodes[i], (uint8_t)(protect << 5) };

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
