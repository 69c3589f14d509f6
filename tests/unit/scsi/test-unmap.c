/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include "scsi/param.h"

/* A list that is being made, and what comes of it. */
struct parse {
	struct scsi_lu lu;
	uint8_t list[8 + 16 * 300];
	size_t len;
	int ret;
	struct scsi_unmap_list out;
	struct scsi_sense sense;
};

static void begin(struct parse *p)
{
	memset(p, 0, sizeof(*p));
	p->lu = plain_lu();
	p->len = 8;
}

static void add(struct parse *p, uint64_t lba, uint32_t blocks)
{
	put_be64(p->list + p->len, lba);
	put_be32(p->list + p->len + 8, blocks);
	p->len += 16;
	put_be16(p->list, (uint16_t)(p->len - 2));
	put_be16(p->list + 2, (uint16_t)(p->len - 8));
}

static void parse(struct parse *p)
{
	p->ret = scsi_unmap_parse(&p->lu, p->list, p->len, &p->out, &p->sense);
}

static void assert_refused(const struct parse *p, unsigned int asc_ascq)
{
	assert_int_equal(p->ret, -1);
	assert_sense(&p->sense, ILLEGAL_REQUEST, asc_ascq);
}

static void assert_next(struct parse *p, uint64_t lba, uint32_t blocks)
{
	uint64_t got_lba;
	uint32_t got_blocks;

	assert_int_equal(scsi_unmap_next(&p->out, &got_lba, &got_blocks), 1);
	assert_true(got_lba == lba);
	assert_int_equal(got_blocks, blocks);
}

static void assert_end(struct parse *p)
{
	uint64_t lba;
	uint32_t blocks;

	assert_int_equal(p->ret, 0);
	assert_int_equal(scsi_unmap_next(&p->out, &lba, &blocks), 0);
}

static void ranges_come_in_their_order(void **state)
{
	struct parse p;

	(void)state;
	begin(&p);
	add(&p, 5, 10);
	add(&p, 0, 1);
	add(&p, 0x1fffff, 1);
	parse(&p);
	assert_int_equal(p.ret, 0);
	assert_next(&p, 5, 10);
	assert_next(&p, 0, 1);
	assert_next(&p, 0x1fffff, 1);
	assert_end(&p);
}

static void an_empty_list_is_no_error(void **state)
{
	struct parse p;

	(void)state;
	begin(&p);
	p.ret = scsi_unmap_parse(&p.lu, NULL, 0, &p.out, &p.sense);
	assert_end(&p);
}

static void a_list_without_descriptors_is_no_error(void **state)
{
	struct parse p;

	(void)state;
	begin(&p);
	parse(&p);
	assert_end(&p);
}

static void less_than_a_header_is_a_length_error(void **state)
{
	struct parse p;

	(void)state;
	begin(&p);
	for (p.len = 1; p.len < 8; p.len++) {
		parse(&p);
		assert_refused(&p, ASC_PARAMETER_LIST_LENGTH_ERROR);
	}
}

static void less_than_announced_is_a_length_error(void **state)
{
	struct parse p;

	(void)state;
	begin(&p);
	add(&p, 0, 1);
	for (p.len = 8; p.len < 24; p.len++) {
		parse(&p);
		assert_refused(&p, ASC_PARAMETER_LIST_LENGTH_ERROR);
	}
}

static void an_incomplete_last_descriptor_is_ignored(void **state)
{
	struct parse p;

	(void)state;
	begin(&p);
	add(&p, 1, 2);
	p.len += 15;
	put_be16(p.list + 2, 16 + 15);
	parse(&p);
	assert_next(&p, 1, 2);
	assert_end(&p);
}

static void data_after_the_descriptors_are_not_looked_at(void **state)
{
	struct parse p;

	(void)state;
	begin(&p);
	add(&p, 1, 2);
	memset(p.list + p.len, 0xff, 32);
	p.len += 32;
	parse(&p);
	assert_next(&p, 1, 2);
	assert_end(&p);
}

static void empty_ranges_are_skipped(void **state)
{
	struct parse p;

	(void)state;
	begin(&p);
	add(&p, 1, 0);
	add(&p, UINT64_MAX, 0);
	add(&p, 7, 1);
	add(&p, 2, 0);
	parse(&p);
	assert_int_equal(p.ret, 0);
	assert_next(&p, 7, 1);
	assert_end(&p);
}

static void ranges_outside_the_capacity_are_refused(void **state)
{
	static const struct {
		uint64_t lba;
		uint32_t blocks;
		uint16_t field; /* UNMAP LOGICAL BLOCK ADDRESS or NUMBER OF LOGICAL BLOCKS */
	} cases[] = {
		{ 0x200000, 1, 24 },
		{ 0x1fffff, 2, 32 },
		{ 0, 0x200001, 32 },
		{ UINT64_MAX, 1, 24 },
		{ UINT64_MAX, UINT32_MAX, 24 },
		{ UINT64_MAX - 0xfffffffe, UINT32_MAX, 24 },
	};
	struct parse p;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(&p);
		add(&p, 0, 1);
		add(&p, cases[i].lba, cases[i].blocks);
		parse(&p);
		assert_refused(&p, ASC_LBA_OUT_OF_RANGE);
		assert_field(&p.sense, false, cases[i].field, -1);
	}
}

static void a_range_does_not_wrap_around(void **state)
{
	struct parse p;

	(void)state;
	begin(&p);
	p.lu.num_lbas = UINT64_MAX;
	add(&p, UINT64_MAX - 1, 5);
	parse(&p);
	assert_refused(&p, ASC_LBA_OUT_OF_RANGE);
}

static void the_whole_medium_is_a_range(void **state)
{
	struct parse p;

	(void)state;
	begin(&p);
	add(&p, 0, 0x200000);
	parse(&p);
	assert_int_equal(p.ret, 0);
	assert_next(&p, 0, 0x200000);
}

static void the_sum_of_blocks_is_limited(void **state)
{
	struct parse p;

	(void)state;
	begin(&p);
	p.lu.max_unmap_len = 100;
	add(&p, 0, 60);
	add(&p, 200, 40);
	parse(&p);
	assert_int_equal(p.ret, 0);
	add(&p, 400, 1);
	parse(&p);
	assert_refused(&p, ASC_INVALID_FIELD_IN_PARAMETER_LIST);
	assert_field(&p.sense, false, 8 + 2 * 16 + 8, -1);
}

static void the_sum_does_not_wrap_around(void **state)
{
	struct parse p;

	(void)state;
	begin(&p);
	p.lu.num_lbas = UINT64_MAX;
	p.lu.max_unmap_len = 1000;
	add(&p, 0, UINT32_MAX);
	add(&p, 0, 2);
	parse(&p);
	assert_refused(&p, ASC_INVALID_FIELD_IN_PARAMETER_LIST);
}

/* What the Block Limits page says is what counts. */
static void limits_above_a_million_blocks_are_cut(void **state)
{
	struct parse p;

	(void)state;
	begin(&p);
	p.lu.num_lbas = UINT64_MAX;
	p.lu.max_unmap_len = 1u << 21;
	assert_int_equal(scsi_unmap_max(&p.lu), 1u << 20);
	add(&p, 0, 1u << 20);
	parse(&p);
	assert_int_equal(p.ret, 0);
	add(&p, 0, 1);
	parse(&p);
	assert_refused(&p, ASC_INVALID_FIELD_IN_PARAMETER_LIST);
	p.lu.max_unmap_len = UINT32_MAX - 1;
	assert_int_equal(scsi_unmap_max(&p.lu), 1u << 20);
	p.lu.max_unmap_len = 77;
	assert_int_equal(scsi_unmap_max(&p.lu), 77);
}

static void no_limit_is_no_limit(void **state)
{
	static const uint32_t none[] = { 0, UINT32_MAX };
	struct parse p;

	(void)state;
	for (int i = 0; i < 2; i++) {
		begin(&p);
		p.lu.num_lbas = UINT64_MAX;
		p.lu.max_unmap_len = none[i];
		assert_true(scsi_unmap_max(&p.lu) == UINT32_MAX);
		add(&p, 0, UINT32_MAX);
		add(&p, 0, UINT32_MAX);
		parse(&p);
		assert_int_equal(p.ret, 0);
	}
}

static void the_number_of_descriptors_is_limited(void **state)
{
	struct parse p;

	(void)state;
	begin(&p);
	for (int i = 0; i < SCSI_UNMAP_MAX_DESCRIPTORS; i++)
		add(&p, 0, 1);
	assert_int_equal(p.len, SCSI_UNMAP_LIST_MAX);
	parse(&p);
	assert_int_equal(p.ret, 0);
	add(&p, 0, 1);
	parse(&p);
	assert_refused(&p, ASC_INVALID_FIELD_IN_PARAMETER_LIST);
	assert_field(&p.sense, false, 2, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_come_in_their_order),
		cmocka_unit_test(an_empty_list_is_no_error),
		cmocka_unit_test(a_list_without_descriptors_is_no_error),
		cmocka_unit_test(less_than_a_header_is_a_length_error),
		cmocka_unit_test(less_than_announced_is_a_length_error),
		cmocka_unit_test(an_incomplete_last_descriptor_is_ignored),
		cmocka_unit_test(data_after_the_descriptors_are_not_looked_at),
		cmocka_unit_test(empty_ranges_are_skipped),
		cmocka_unit_test(ranges_outside_the_capacity_are_refused),
		cmocka_unit_test(a_range_does_not_wrap_around),
		cmocka_unit_test(the_whole_medium_is_a_range),
		cmocka_unit_test(the_sum_of_blocks_is_limited),
		cmocka_unit_test(the_sum_does_not_wrap_around),
		cmocka_unit_test(limits_above_a_million_blocks_are_cut),
		cmocka_unit_test(no_limit_is_no_limit),
		cmocka_unit_test(the_number_of_descriptors_is_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
