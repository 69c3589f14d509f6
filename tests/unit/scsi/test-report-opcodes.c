/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include "scsi/opcodes.h"
#include "scsi/report_opcodes.h"

#define RCTD 0x80

/* REPORT LUNS; RESERVE and RELEASE, PERSISTENT RESERVE IN and OUT */
#define KERNEL_LUNS         1
#define KERNEL_RESERVATIONS (4 + 4 + 8)
#define KERNEL              (KERNEL_LUNS + KERNEL_RESERVATIONS)

static void report(const struct scsi_lu *lu, uint8_t options, uint8_t opcode, uint16_t sa,
		   uint32_t alloc, struct answer *a)
{
	uint8_t cdb[12] = { MAINTENANCE_IN, MI_REPORT_SUPPORTED_OPERATION_CODES, options, opcode };

	put_be16(cdb + 4, sa);
	put_be32(cdb + 6, alloc);
	run(scsi_report_opcodes, lu, cdb, ROOM, a);
}

static void all_commands_are_those_of_the_table(void **state)
{
	struct scsi_lu lu = full_lu();
	struct answer a;
	const uint8_t *desc = a.buf + 4;

	(void)state;
	report(&lu, 0, 0, 0, ROOM, &a);
	assert_int_equal(a.status, SAM_STAT_GOOD);
	assert_int_equal(get_be32(a.buf), a.len - 4);
	assert_int_equal(a.len, 4 + 8 * (scsi_opcode_count + KERNEL));
	for (size_t i = 0; i < scsi_opcode_count; i++, desc += 8) {
		const struct scsi_opcode *op = &scsi_opcodes[i];
		bool servactv = op->service_action != SCSI_NO_SA;

		assert_int_equal(desc[0], op->opcode);
		assert_int_equal(desc[1], 0);
		assert_int_equal(get_be16(desc + 2), servactv ? op->service_action : 0);
		assert_int_equal(desc[4], 0);
		assert_int_equal(desc[5], servactv);
		assert_int_equal(get_be16(desc + 6), op->cdb_len);
	}
	assert_int_equal(desc[0], REPORT_LUNS); /* the kernel's */
	assert_int_equal(get_be16(desc + 6), 12);
}

static void timeouts_descriptors_follow_their_command(void **state)
{
	static const uint8_t timeouts[12] = { 0, 10 };
	struct scsi_lu lu = full_lu();
	struct answer a;

	(void)state;
	report(&lu, RCTD, 0, 0, ROOM, &a);
	assert_int_equal(a.len, 4 + 20 * (scsi_opcode_count + KERNEL));
	assert_int_equal(get_be32(a.buf), a.len - 4);
	for (size_t at = 4; at < a.len; at += 20) {
		assert_int_equal(a.buf[at + 5] & 0x02, 0x02); /* CTDP */
		assert_memory_equal(a.buf + at + 8, timeouts, 12);
	}
}

static unsigned int listed(const struct scsi_lu *lu, uint8_t opcode)
{
	struct answer a;
	unsigned int n = 0;

	report(lu, 0, 0, 0, ROOM, &a);
	for (size_t at = 4; at < a.len; at += 8)
		n += a.buf[at] == opcode;
	return n;
}

static void unmap_is_reported_where_it_works(void **state)
{
	struct scsi_lu lu = plain_lu();
	struct answer a;

	(void)state;
	assert_int_equal(listed(&lu, UNMAP), 0);
	report(&lu, 1, UNMAP, 0, ROOM, &a);
	assert_int_equal(a.buf[1], 0x01);
	lu.unmap = true;
	assert_int_equal(listed(&lu, UNMAP), 1);
	report(&lu, 1, UNMAP, 0, ROOM, &a);
	assert_int_equal(a.buf[1], 0x03);
}

/* The list and the answers about single commands, for each unit, are what is enabled. */
static void reported_is_what_is_enabled(void **state)
{
	struct scsi_lu lus[] = { plain_lu(), full_lu(), full_lu() };
	struct answer a;

	(void)state;
	lus[2].absent = UINT64_C(1) << SCSI_READ | UINT64_C(1) << SCSI_SANITIZE;
	for (size_t l = 0; l < 3; l++) {
		size_t enabled = 0;

		for (size_t i = 0; i < scsi_opcode_count; i++) {
			const struct scsi_opcode *op = &scsi_opcodes[i];
			bool is = scsi_opcode_enabled(op, &lus[l]);
			bool servactv = op->service_action != SCSI_NO_SA;

			enabled += is;
			report(&lus[l], 3, op->opcode, servactv ? op->service_action : 0, ROOM, &a);
			assert_int_equal(a.buf[1], is ? 0x03 : 0x01);
		}
		report(&lus[l], 0, 0, 0, ROOM, &a);
		assert_int_equal(a.len, 4 + 8 * (enabled + (l ? KERNEL : KERNEL_LUNS)));
	}
}

static void reservations_are_the_kernels(void **state)
{
	static const uint8_t usage[10] = { 0x5f, 0x04, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0 };
	struct scsi_lu lu = full_lu();
	struct answer a;

	(void)state;
	assert_int_equal(listed(&lu, RESERVE), 1);
	assert_int_equal(listed(&lu, RELEASE_10), 1);
	assert_int_equal(listed(&lu, PERSISTENT_RESERVE_IN), 4);
	assert_int_equal(listed(&lu, PERSISTENT_RESERVE_OUT), 8);
	report(&lu, 2, PERSISTENT_RESERVE_OUT, 4, ROOM, &a);
	assert_int_equal(a.buf[1], 0x03);
	assert_memory_equal(a.buf + 4, usage, 10);
	lu.reservations = false;
	assert_int_equal(listed(&lu, RESERVE), 0);
	assert_int_equal(listed(&lu, PERSISTENT_RESERVE_IN), 0);
	report(&lu, 2, PERSISTENT_RESERVE_OUT, 4, ROOM, &a);
	assert_int_equal(a.buf[1], 0x01);
}

static void sanitize_by_service_action(void **state)
{
	struct scsi_lu lu = full_lu();
	struct answer a;

	(void)state;
	for (uint16_t sa = 0; sa < 0x20; sa++) {
		bool is = sa == 0x01 || sa == 0x02 || sa == 0x1f;

		report(&lu, 2, SANITIZE, sa, ROOM, &a);
		assert_int_equal(a.buf[1], is ? 0x03 : 0x01);
		if (is)
			assert_int_equal(a.buf[5] & 0x1f, sa);
	}
	/* The field has 16 bits. */
	report(&lu, 2, SANITIZE, 0x101, ROOM, &a);
	assert_int_equal(a.buf[1], 0x01);
}

static void one_command_has_its_usage_data(void **state)
{
	struct scsi_lu lu = full_lu();
	struct answer a;

	(void)state;
	for (size_t i = 0; i < scsi_opcode_count; i++) {
		const struct scsi_opcode *op = &scsi_opcodes[i];
		bool servactv = op->service_action != SCSI_NO_SA;

		report(&lu, servactv ? 2 : 1, op->opcode, servactv ? op->service_action : 0, ROOM,
		       &a);
		assert_int_equal(a.status, SAM_STAT_GOOD);
		assert_int_equal(a.len, 4 + op->cdb_len);
		assert_int_equal(a.buf[0], 0);
		assert_int_equal(a.buf[1], 0x03);
		assert_int_equal(get_be16(a.buf + 2), op->cdb_len);
		assert_memory_equal(a.buf + 4, op->usage, op->cdb_len);
	}
}

static void one_command_with_timeouts(void **state)
{
	static const uint8_t timeouts[12] = { 0, 10 };
	struct scsi_lu lu = full_lu();
	struct answer a;

	(void)state;
	report(&lu, RCTD | 1, READ_10, 0, ROOM, &a);
	assert_int_equal(a.len, 4 + 10 + 12);
	assert_int_equal(a.buf[1], 0x83);
	assert_memory_equal(a.buf + 14, timeouts, 12);
}

static void read_10_has_dpo_and_fua_in_its_usage_data(void **state)
{
	static const uint8_t usage[10] = {
		READ_10, 0x18, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0
	};
	struct scsi_lu lu = full_lu();
	struct answer a;

	(void)state;
	report(&lu, 1, READ_10, 0, ROOM, &a);
	assert_memory_equal(a.buf + 4, usage, 10);
}

static void an_unknown_command_is_not_supported(void **state)
{
	struct scsi_lu lu = full_lu();
	struct answer a;

	(void)state;
	for (uint8_t options = 1; options <= 3; options++) {
		static const uint8_t expected[4] = { 0, 0x01, 0, 0 };

		report(&lu, options, 0xff, 0, ROOM, &a);
		assert_int_equal(a.status, SAM_STAT_GOOD);
		assert_int_equal(a.len, 4);
		assert_memory_equal(a.buf, expected, 4);
	}
}

static void an_unknown_service_action_is_not_supported(void **state)
{
	struct scsi_lu lu = full_lu();
	struct answer a;

	(void)state;
	for (uint8_t options = 2; options <= 3; options++) {
		report(&lu, options, MAINTENANCE_IN, 0x1f, ROOM, &a);
		assert_int_equal(a.status, SAM_STAT_GOOD);
		assert_int_equal(a.len, 4);
		assert_int_equal(a.buf[1], 0x01);
	}
}

static void option_1_wants_no_service_actions(void **state)
{
	struct scsi_lu lu = full_lu();
	struct answer a;

	(void)state;
	report(&lu, 1, SERVICE_ACTION_IN_16, 0, ROOM, &a);
	assert_invalid_cdb(&a, 2, 2);
}

static void option_2_wants_service_actions(void **state)
{
	struct scsi_lu lu = full_lu();
	struct answer a;

	(void)state;
	report(&lu, 2, READ_10, 0, ROOM, &a);
	assert_invalid_cdb(&a, 2, 2);
}

static void option_3_takes_either(void **state)
{
	struct scsi_lu lu = full_lu();
	struct answer a;

	(void)state;
	report(&lu, 3, READ_10, 0, ROOM, &a);
	assert_int_equal(a.buf[1], 0x03);
	report(&lu, 3, SERVICE_ACTION_IN_16, SAI_READ_CAPACITY_16, ROOM, &a);
	assert_int_equal(a.buf[1], 0x03);
	report(&lu, 3, READ_10, 1, ROOM, &a);
	assert_int_equal(a.buf[1], 0x01);
}

static void reserved_options_are_refused(void **state)
{
	struct scsi_lu lu = full_lu();
	struct answer a;

	(void)state;
	for (uint8_t options = 4; options < 8; options++) {
		report(&lu, options, READ_10, 0, ROOM, &a);
		assert_invalid_cdb(&a, 2, 2);
	}
}

static void allocation_length_cuts(void **state)
{
	static const uint8_t one[16] = { MAINTENANCE_IN, MI_REPORT_SUPPORTED_OPERATION_CODES,
					 RCTD | 1, READ_10 };
	static const uint8_t all[16] = { MAINTENANCE_IN, MI_REPORT_SUPPORTED_OPERATION_CODES };
	static const uint8_t none[16] = { MAINTENANCE_IN, MI_REPORT_SUPPORTED_OPERATION_CODES, 1,
					  0xff };
	struct scsi_lu lu = full_lu();

	(void)state;
	assert_cut_everywhere(scsi_report_opcodes, &lu, one, 6, 4);
	assert_cut_everywhere(scsi_report_opcodes, &lu, all, 6, 4);
	assert_cut_everywhere(scsi_report_opcodes, &lu, none, 6, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_commands_are_those_of_the_table),
		cmocka_unit_test(timeouts_descriptors_follow_their_command),
		cmocka_unit_test(unmap_is_reported_where_it_works),
		cmocka_unit_test(reported_is_what_is_enabled),
		cmocka_unit_test(reservations_are_the_kernels),
		cmocka_unit_test(sanitize_by_service_action),
		cmocka_unit_test(one_command_has_its_usage_data),
		cmocka_unit_test(one_command_with_timeouts),
		cmocka_unit_test(read_10_has_dpo_and_fua_in_its_usage_data),
		cmocka_unit_test(an_unknown_command_is_not_supported),
		cmocka_unit_test(an_unknown_service_action_is_not_supported),
		cmocka_unit_test(option_1_wants_no_service_actions),
		cmocka_unit_test(option_2_wants_service_actions),
		cmocka_unit_test(option_3_takes_either),
		cmocka_unit_test(reserved_options_are_refused),
		cmocka_unit_test(allocation_length_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
