/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include "scsi/mode.h"

#define PF 0x10
#define SP 0x01

/* A parameter list that is being made, and what comes of it. */
struct select {
	struct scsi_lu lu;
	uint8_t list[256];
	size_t len;
	bool ten;
	uint8_t byte_1;
	uint8_t status;
	struct scsi_mode_change change;
	struct scsi_sense sense;
};

static void begin(struct select *s, bool ten)
{
	memset(s, 0, sizeof(*s));
	s->lu = plain_lu();
	s->ten = ten;
	s->byte_1 = PF;
	s->len = ten ? 8 : 4;
}

static void add_block_descriptor(struct select *s, uint32_t blocks, uint32_t block_size)
{
	s->list[s->ten ? 7 : 3] = 8;
	put_be32(s->list + s->len, blocks);
	put_be24(s->list + s->len + 5, block_size);
	s->len += 8;
}

static void add_long_block_descriptor(struct select *s, uint64_t blocks, uint32_t block_size)
{
	s->list[4] = 0x01;
	s->list[7] = 16;
	put_be64(s->list + s->len, blocks);
	put_be32(s->list + s->len + 12, block_size);
	s->len += 16;
}

/* The page as MODE SENSE returns it. Returns where it is in the list. */
static size_t add_page(struct select *s, uint8_t page)
{
	const uint8_t cdb[6] = { MODE_SENSE, 0x08, page, 0, 255 };
	size_t at = s->len;
	struct answer a;

	run(scsi_mode_sense, &s->lu, cdb, ROOM, &a);
	memcpy(s->list + at, a.buf + 4, a.len - 4);
	s->len += a.len - 4;
	return at;
}

/* list_len: what the CDB says; sent: what the initiator sent. */
static void send_lengths(struct select *s, size_t list_len, size_t sent)
{
	uint8_t cdb[10] = { s->ten ? MODE_SELECT_10 : MODE_SELECT, s->byte_1 };

	if (s->ten)
		put_be16(cdb + 7, (uint16_t)list_len);
	else
		cdb[4] = (uint8_t)list_len;
	memset(&s->change, CANARY, sizeof(s->change));
	memset(&s->sense, 0, sizeof(s->sense));
	s->status = scsi_mode_select(&s->lu, cdb, s->list, sent, &s->change, &s->sense);
}

static void send(struct select *s)
{
	send_lengths(s, s->len, s->len);
}

static void assert_refused(const struct select *s, unsigned int asc_ascq)
{
	assert_int_equal(s->status, SAM_STAT_CHECK_CONDITION);
	assert_sense(&s->sense, ILLEGAL_REQUEST, asc_ascq);
	assert_false(s->change.wce_valid);
}

static void assert_bad_param(const struct select *s, unsigned int byte, int bit)
{
	assert_refused(s, ASC_INVALID_FIELD_IN_PARAMETER_LIST);
	assert_field(&s->sense, false, byte, bit);
}

static void assert_no_change(const struct select *s)
{
	assert_int_equal(s->status, SAM_STAT_GOOD);
	assert_false(s->change.wce_valid);
}

static void an_empty_list_is_no_error(void **state)
{
	struct select s;

	(void)state;
	begin(&s, false);
	send_lengths(&s, 0, 0);
	assert_no_change(&s);
	begin(&s, true);
	s.byte_1 = 0; /* PF matters to pages only */
	send_lengths(&s, 0, 0);
	assert_no_change(&s);
}

static void what_mode_sense_returned_is_accepted(void **state)
{
	struct select s;

	(void)state;
	for (int ten = 0; ten < 2; ten++) {
		begin(&s, ten);
		s.lu.write_cache = true;
		s.lu.write_protect = true;
		add_block_descriptor(&s, (uint32_t)s.lu.num_lbas, s.lu.block_size);
		add_page(&s, MODE_PAGE_ALL);
		send(&s);
		assert_no_change(&s);
	}
}

static void wce_on(void **state)
{
	struct select s;
	size_t at;

	(void)state;
	for (int ten = 0; ten < 2; ten++) {
		begin(&s, ten);
		at = add_page(&s, MODE_PAGE_CACHING);
		s.list[at + 2] |= 0x04;
		send(&s);
		assert_int_equal(s.status, SAM_STAT_GOOD);
		assert_true(s.change.wce_valid);
		assert_true(s.change.wce);
	}
}

static void wce_off(void **state)
{
	struct select s;
	size_t at;

	(void)state;
	begin(&s, false);
	s.lu.write_cache = true;
	at = add_page(&s, MODE_PAGE_CACHING);
	s.list[at + 2] &= (uint8_t)~0x04;
	send(&s);
	assert_int_equal(s.status, SAM_STAT_GOOD);
	assert_true(s.change.wce_valid);
	assert_false(s.change.wce);
}

static void fixed_wce_is_refused(void **state)
{
	struct select s;
	size_t at;

	(void)state;
	begin(&s, false);
	s.lu.wce_fixed = true;
	at = add_page(&s, MODE_PAGE_CACHING);
	s.list[at + 2] |= 0x04;
	send(&s);
	assert_bad_param(&s, at + 2, 2);
}

/* Every bit of every page but WCE, PS and those of the page's header. */
static void every_fixed_bit_is_refused_and_pointed_to(void **state)
{
	static const uint8_t codes[] = { 0x01, 0x08, 0x0a, 0x1c };
	struct select s;

	(void)state;
	for (size_t i = 0; i < sizeof(codes); i++) {
		size_t at, size;

		begin(&s, true);
		at = add_page(&s, codes[i]);
		size = s.list[at + 1] + 2u;
		for (size_t bit = 16; bit < 8 * size; bit++) {
			if (codes[i] == MODE_PAGE_CACHING && bit == 16 + 2)
				continue;
			s.list[at + bit / 8] ^= (uint8_t)(1u << bit % 8);
			send(&s);
			assert_bad_param(&s, (unsigned int)(at + bit / 8), (int)(bit % 8));
			s.list[at + bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	}
}

static void a_bad_page_undoes_the_good_one_before(void **state)
{
	struct select s;
	size_t at;

	(void)state;
	begin(&s, true);
	at = add_page(&s, MODE_PAGE_CACHING);
	s.list[at + 2] |= 0x04;
	at = add_page(&s, MODE_PAGE_CONTROL);
	s.list[at + 2] ^= 0x04; /* D_SENSE */
	send(&s);
	assert_bad_param(&s, at + 2, 2);
}

static void ps_is_not_looked_at(void **state)
{
	struct select s;
	size_t at;

	(void)state;
	begin(&s, false);
	at = add_page(&s, MODE_PAGE_CACHING);
	s.list[at] |= 0x80;
	send(&s);
	assert_no_change(&s);
}

static void the_device_specific_parameter_is_not_looked_at(void **state)
{
	struct select s;

	(void)state;
	begin(&s, false);
	s.list[2] = 0x90;
	add_page(&s, MODE_PAGE_CACHING);
	send(&s);
	assert_no_change(&s);
}

static void saving_is_refused(void **state)
{
	struct select s;

	(void)state;
	begin(&s, false);
	s.byte_1 = PF | SP;
	add_page(&s, MODE_PAGE_CACHING);
	send(&s);
	assert_refused(&s, ASC_INVALID_FIELD_IN_CDB);
	assert_field(&s.sense, true, 1, 0);
}

static void pages_without_pf_are_refused(void **state)
{
	struct select s;

	(void)state;
	begin(&s, false);
	s.byte_1 = 0;
	add_page(&s, MODE_PAGE_CACHING);
	send(&s);
	assert_refused(&s, ASC_INVALID_FIELD_IN_CDB);
	assert_field(&s.sense, true, 1, 4);
}

static void another_medium_type_is_refused(void **state)
{
	struct select s;

	(void)state;
	begin(&s, false);
	s.list[1] = 1;
	send(&s);
	assert_bad_param(&s, 1, -1);
	begin(&s, true);
	s.list[2] = 1;
	send(&s);
	assert_bad_param(&s, 2, -1);
}

static void block_descriptors_that_change_nothing_are_accepted(void **state)
{
	static const uint64_t counts[] = { 0, 0x200000, UINT64_MAX };
	struct select s;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		begin(&s, false);
		add_block_descriptor(&s, (uint32_t)counts[i], 512);
		send(&s);
		assert_no_change(&s);
		begin(&s, true);
		add_long_block_descriptor(&s, counts[i], 512);
		send(&s);
		assert_no_change(&s);
	}
}

static void block_descriptors_that_change_something_are_refused(void **state)
{
	struct select s;

	(void)state;
	begin(&s, false);
	add_block_descriptor(&s, 0x200001, 512);
	send(&s);
	assert_bad_param(&s, 4, -1);
	begin(&s, false);
	add_block_descriptor(&s, 0, 4096);
	send(&s);
	assert_bad_param(&s, 4 + 5, -1);
	begin(&s, true);
	add_long_block_descriptor(&s, 0xffffffff, 512);
	send(&s);
	assert_bad_param(&s, 8, -1);
	begin(&s, true);
	add_long_block_descriptor(&s, 0, 4096);
	send(&s);
	assert_bad_param(&s, 8 + 12, -1);
}

static void block_descriptor_length_has_to_be_one_descriptor(void **state)
{
	struct select s;

	(void)state;
	begin(&s, false);
	add_block_descriptor(&s, 0, 512);
	s.list[3] = 16;
	s.len += 8;
	send(&s);
	assert_bad_param(&s, 3, -1);
	begin(&s, true);
	add_long_block_descriptor(&s, 0, 512);
	s.list[7] = 8;
	send(&s);
	assert_bad_param(&s, 6, -1);
}

static void unknown_pages_are_refused(void **state)
{
	struct select s;

	(void)state;
	for (uint8_t code = 0; code < 0x40; code++) {
		if (code == 0x01 || code == 0x08 || code == 0x0a || code == 0x1c)
			continue;
		begin(&s, true);
		s.list[8] = code;
		s.list[9] = 10;
		s.len = 8 + 12;
		send(&s);
		assert_bad_param(&s, 8, 5);
	}
}

static void subpages_are_refused(void **state)
{
	struct select s;
	size_t at;

	(void)state;
	begin(&s, false);
	at = add_page(&s, MODE_PAGE_CONTROL);
	s.list[at] |= 0x40;
	send(&s);
	assert_bad_param(&s, at, 6);
}

static void another_page_length_is_refused(void **state)
{
	struct select s;
	size_t at;

	(void)state;
	for (unsigned int length = 0; length < 256; length++) {
		if (length == 18)
			continue;
		begin(&s, false);
		at = add_page(&s, MODE_PAGE_CACHING);
		s.list[at + 1] = (uint8_t)length;
		send(&s);
		assert_bad_param(&s, at + 1, -1);
	}
}

/* A list is complete after its header, its block descriptor and each page; nowhere else. */
static void a_truncated_list_is_a_length_error(void **state)
{
	struct select s;

	(void)state;
	for (int ten = 0; ten < 2; ten++) {
		size_t header = ten ? 8 : 4;

		begin(&s, ten);
		add_block_descriptor(&s, 0, 512);
		add_page(&s, MODE_PAGE_CACHING);
		add_page(&s, MODE_PAGE_CONTROL);
		for (size_t len = 1; len <= s.len; len++) {
			send_lengths(&s, len, s.len);
			if (len == header + 8 || len == header + 28 || len == header + 40)
				assert_no_change(&s);
			else
				assert_refused(&s, ASC_PARAMETER_LIST_LENGTH_ERROR);
		}
	}
}

static void less_data_than_announced_is_a_length_error(void **state)
{
	struct select s;

	(void)state;
	begin(&s, false);
	add_page(&s, MODE_PAGE_CACHING);
	for (size_t sent = 0; sent < s.len; sent++) {
		send_lengths(&s, s.len, sent);
		assert_refused(&s, ASC_PARAMETER_LIST_LENGTH_ERROR);
	}
	/* Also when what came is complete by itself. */
	send_lengths(&s, s.len + 12, s.len);
	assert_refused(&s, ASC_PARAMETER_LIST_LENGTH_ERROR);
}

static void data_after_the_list_are_not_looked_at(void **state)
{
	struct select s;

	(void)state;
	begin(&s, false);
	add_page(&s, MODE_PAGE_CACHING);
	memset(s.list + s.len, 0xff, 8);
	send_lengths(&s, s.len, s.len + 8);
	assert_no_change(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_list_is_no_error),
		cmocka_unit_test(what_mode_sense_returned_is_accepted),
		cmocka_unit_test(wce_on),
		cmocka_unit_test(wce_off),
		cmocka_unit_test(fixed_wce_is_refused),
		cmocka_unit_test(every_fixed_bit_is_refused_and_pointed_to),
		cmocka_unit_test(a_bad_page_undoes_the_good_one_before),
		cmocka_unit_test(ps_is_not_looked_at),
		cmocka_unit_test(the_device_specific_parameter_is_not_looked_at),
		cmocka_unit_test(saving_is_refused),
		cmocka_unit_test(pages_without_pf_are_refused),
		cmocka_unit_test(another_medium_type_is_refused),
		cmocka_unit_test(block_descriptors_that_change_nothing_are_accepted),
		cmocka_unit_test(block_descriptors_that_change_something_are_refused),
		cmocka_unit_test(block_descriptor_length_has_to_be_one_descriptor),
		cmocka_unit_test(unknown_pages_are_refused),
		cmocka_unit_test(subpages_are_refused),
		cmocka_unit_test(another_page_length_is_refused),
		cmocka_unit_test(a_truncated_list_is_a_length_error),
		cmocka_unit_test(less_data_than_announced_is_a_length_error),
		cmocka_unit_test(data_after_the_list_are_not_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
