/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi/tpg.h"

#include "rig.h"

static struct scsi_tpgs two_groups(void)
{
	return (struct scsi_tpgs) {
		.count = 2,
		.group = {
			{ .id = 0, .supported = 0xdf, .type = 3, .port_count = 1, .port = { 1 } },
			{ .id = 0x1234, .state = 2, .supported = SCSI_TPG_AO_SUP | SCSI_TPG_S_SUP,
			  .status = 1, .type = SCSI_TPG_EXPLICIT, .preferred = true,
			  .port_count = 2, .port = { 2, 0xabcd } },
		},
		.implicit_seconds = 30,
	};
}

static const uint8_t expected[] = {
	0,    0,    0,    28,                           /* RETURN DATA LENGTH */
	0,    0xdf, 0,    0,    0, 0, 0, 1, 0, 0, 0, 1, /* group 0, port 1 */
	0x82, 5,    0x12, 0x34, 0, 1, 0, 2, 0, 0, 0, 2, /* PREF, standby, by STPG */
	0,    0,    0xab, 0xcd,
};

static uint8_t report(const struct scsi_tpgs *groups, uint8_t byte1, uint32_t alloc, size_t cap,
		      struct answer *a)
{
	uint8_t cdb[16] = { 0xa3, byte1 };

	put_be32(cdb + 6, alloc);
	memset(a->buf, CANARY, sizeof(a->buf));
	a->status = scsi_report_tpgs(groups, cdb, a->buf, cap, &a->len, &a->sense);
	for (size_t i = a->len; i < sizeof(a->buf); i++)
		assert_int_equal(a->buf[i], CANARY);
	return a->status;
}

static void reported(void **state)
{
	struct scsi_tpgs groups = two_groups(), none = { 0 };
	struct answer a;

	(void)state;
	assert_int_equal(report(&groups, 0x0a, 4096, ROOM, &a), SAM_STAT_GOOD);
	assert_int_equal(a.len, sizeof(expected));
	assert_memory_equal(a.buf, expected, sizeof(expected));
	for (uint32_t alloc = 0; alloc <= sizeof(expected); alloc++) {
		assert_int_equal(report(&groups, 0x0a, alloc, ROOM, &a), SAM_STAT_GOOD);
		assert_int_equal(a.len, alloc);
		assert_memory_equal(a.buf, expected, alloc); /* RETURN DATA LENGTH stays */
		report(&groups, 0x0a, 4096, alloc, &a);
		assert_int_equal(a.len, alloc);
	}
	assert_int_equal(report(&none, 0x0a, UINT32_MAX, ROOM, &a), SAM_STAT_GOOD);
	assert_int_equal(a.len, 4);
	assert_int_equal(get_be32(a.buf), 0);
}

static void extended_header(void **state)
{
	struct scsi_tpgs groups = two_groups();
	struct answer a;

	(void)state;
	assert_int_equal(report(&groups, 0x2a, 4096, ROOM, &a), SAM_STAT_GOOD);
	assert_int_equal(a.len, sizeof(expected) + 4);
	assert_int_equal(get_be32(a.buf), sizeof(expected));
	assert_int_equal(a.buf[4], 0x10);
	assert_int_equal(a.buf[5], 30);
	assert_int_equal(get_be16(a.buf + 6), 0);
	assert_memory_equal(a.buf + 8, expected + 4, sizeof(expected) - 4);
	for (unsigned int format = 2; format < 8; format++) {
		report(&groups, (uint8_t)(format << 5 | 0x0a), 4096, ROOM, &a);
		assert_invalid_cdb(&a, 1, 7);
	}
}

static void largest(void **state)
{
	struct scsi_tpgs groups = { .count = SCSI_TPG_MAX };
	struct answer *a = calloc(1, sizeof(*a));
	uint8_t cdb[16] = { 0xa3, 0x2a, 0, 0, 0, 0, 0xff };
	uint8_t *buf = calloc(1, SCSI_TPGS_DATA_MAX);

	(void)state;
	for (size_t i = 0; i < SCSI_TPG_MAX; i++) {
		groups.group[i].id = (uint16_t)i;
		groups.group[i].port_count = SCSI_TPG_PORT_MAX;
	}
	assert_int_equal(
		scsi_report_tpgs(&groups, cdb, buf, SCSI_TPGS_DATA_MAX, &a->len, &a->sense),
		SAM_STAT_GOOD);
	assert_int_equal(a->len, SCSI_TPGS_DATA_MAX);
	assert_int_equal(get_be32(buf), SCSI_TPGS_DATA_MAX - 4);
	free(buf);
	free(a);
}

/* ---- SET TARGET PORT GROUPS ---- */

static uint8_t want[SCSI_TPG_MAX];
static struct scsi_sense sense;

static int set(const uint8_t *list, size_t have, size_t len)
{
	struct scsi_tpgs groups = two_groups();
	uint8_t *copy = exact_copy(list, have);
	int ret;

	memset(&sense, 0, sizeof(sense));
	ret = scsi_set_tpgs_parse(&groups, copy, have, len, want, &sense);
	free(copy);
	return ret;
}

static void expect_field(int ret, unsigned int byte, int bit)
{
	assert_int_equal(ret, -1);
	assert_sense(&sense, ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_PARAMETER_LIST);
	assert_field(&sense, false, byte, bit);
}

static void set_states(void **state)
{
	static const uint8_t list[] = { 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0x12, 0x34, 0x03, 0, 0, 0 };

	(void)state;
	assert_int_equal(set(list, sizeof(list), 12), 0);
	assert_int_equal(want[0], SCSI_TPG_ACTIVE_NON_OPTIMIZED);
	assert_int_equal(want[1], SCSI_TPG_ACTIVE_OPTIMIZED);
	for (size_t i = 2; i < SCSI_TPG_MAX; i++)
		assert_int_equal(want[i], SCSI_TPG_KEEP);
	assert_int_equal(set(list, sizeof(list), 8), 0);
	assert_int_equal(want[1], SCSI_TPG_KEEP);
	assert_int_equal(set(list, sizeof(list), 16), 0); /* the last counts */
	assert_int_equal(want[0], SCSI_TPG_UNAVAILABLE);
	assert_int_equal(set(list, sizeof(list), 4), 0);
	assert_int_equal(want[0], SCSI_TPG_KEEP);
	assert_int_equal(set(list, 0, 0), 0);
}

static void set_lengths(void **state)
{
	static const uint8_t list[16] = { 0 };

	(void)state;
	for (size_t len = 1; len <= sizeof(list); len++) {
		int ret = set(list, sizeof(list), len);

		if (len % 4 == 0) {
			assert_int_equal(ret, 0);
			/* The initiator's buffer is shorter. */
			for (size_t have = 0; have < len; have++) {
				assert_int_equal(set(list, have, len), -1);
				assert_sense(&sense, ILLEGAL_REQUEST,
					     ASC_PARAMETER_LIST_LENGTH_ERROR);
			}
			continue;
		}
		assert_int_equal(ret, -1);
		assert_sense(&sense, ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH_ERROR);
	}
}

static void set_refused(void **state)
{
	uint8_t list[12] = { 0 };
	struct scsi_tpgs groups = two_groups();

	(void)state;
	for (uint8_t s = 4; s < 16; s++) { /* LBA dependent, reserved, offline, transitioning */
		list[8] = s;
		expect_field(set(list, sizeof(list), 12), 8, 3);
	}
	/* Not one that the group supports. */
	put_be16(list + 10, 0x1234);
	list[8] = SCSI_TPG_ACTIVE_NON_OPTIMIZED;
	expect_field(set(list, sizeof(list), 12), 8, 3);
	list[8] = SCSI_TPG_STANDBY;
	assert_int_equal(set(list, sizeof(list), 12), 0);
	put_be16(list + 10, 0x1235);
	expect_field(set(list, sizeof(list), 12), 10, -1);
	/* Implicit only. */
	groups.group[0].type = SCSI_TPG_IMPLICIT;
	expect_field(scsi_set_tpgs_parse(&groups, list, 12, 12, want, &sense), 6, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reported),    cmocka_unit_test(extended_header),
		cmocka_unit_test(largest),     cmocka_unit_test(set_states),
		cmocka_unit_test(set_lengths), cmocka_unit_test(set_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
