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
static size_t add_subpage(struct select *s, uint8_t page, uint8_t subpage)
{
	const uint8_t cdb[6] = { MODE_SENSE, 0x08, page, subpage, 255 };
	size_t at = s->len;
	struct answer a;

	run(scsi_mode_sense, &s->lu, cdb, ROOM, &a);
	memcpy(s->list + at, a.buf + 4, a.len - 4);
	s->len += a.len - 4;
	return at;
}

static size_t add_page(struct select *s, uint8_t page)
{
	return add_subpage(s, page, 0);
}

/* list_len: what the CDB says; sent: what the initiator sent. */
static void send_lengths(struct select *s, size_t list_len, size_t sent)
{
	uint8_t cdb[10] = { s->ten ? MODE_SELECT_10 : MODE_SELECT, s->byte_1 }, *list;

	if (s->ten)
		put_be16(cdb + 7, (uint16_t)list_len);
	else
		cdb[4] = (uint8_t)list_len;
	list = exact_copy(s->list, sent);
	memset(&s->change, CANARY, sizeof(s->change));
	memset(&s->sense, 0, sizeof(s->sense));
	s->status = scsi_mode_select(&s->lu, cdb, list, sent, &s->change, &s->sense);
	free(list);
}

static void send(struct select *s)
{
	send_lengths(s, s->len, s->len);
}

static void assert_refused(const struct select *s, unsigned int asc_ascq)
{
	assert_int_equal(s->status, SAM_STAT_CHECK_CONDITION);
	assert_sense(&s->sense, ILLEGAL_REQUEST, asc_ascq);
	assert_false(s->change.changed);
	assert_false(s->change.save);
}

static void assert_bad_param(const struct select *s, unsigned int byte, int bit)
{
	assert_refused(s, ASC_INVALID_FIELD_IN_PARAMETER_LIST);
	assert_field(&s->sense, false, byte, bit);
}

static void assert_no_change(const struct select *s)
{
	assert_int_equal(s->status, SAM_STAT_GOOD);
	assert_false(s->change.changed);
	assert_int_equal(s->change.values.wce, s->lu.write_cache);
	assert_int_equal(s->change.values.d_sense, s->lu.d_sense);
	assert_int_equal(s->change.values.swp, s->lu.swp);
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
		assert_true(s.change.changed);
		assert_true(s.change.values.wce);
		assert_false(s.change.save);
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
	assert_true(s.change.changed);
	assert_false(s.change.values.wce);
}

static void d_sense_and_swp(void **state)
{
	struct select s;
	size_t at;

	(void)state;
	for (int on = 0; on < 2; on++) {
		begin(&s, true);
		s.lu.d_sense = !on;
		s.lu.swp = !on;
		at = add_page(&s, MODE_PAGE_CONTROL);
		s.list[at + 2] ^= 0x04;
		send(&s);
		assert_int_equal(s.status, SAM_STAT_GOOD);
		assert_true(s.change.changed);
		assert_int_equal(s.change.values.d_sense, on);
		assert_int_equal(s.change.values.swp, !on);
		s.list[at + 2] ^= 0x04;
		s.list[at + 4] ^= 0x08;
		send(&s);
		assert_true(s.change.changed);
		assert_int_equal(s.change.values.d_sense, !on);
		assert_int_equal(s.change.values.swp, on);
	}
}

static void several_pages_add_up(void **state)
{
	struct select s;
	size_t at;

	(void)state;
	begin(&s, false);
	at = add_page(&s, MODE_PAGE_CACHING);
	s.list[at + 2] |= 0x04;
	at = add_page(&s, MODE_PAGE_CONTROL);
	s.list[at + 4] |= 0x08;
	send(&s);
	assert_int_equal(s.status, SAM_STAT_GOOD);
	assert_true(s.change.values.wce);
	assert_true(s.change.values.swp);
	assert_false(s.change.values.d_sense);
}

static void thresholds(void **state)
{
	struct select s;
	size_t at;

	(void)state;
	begin(&s, false);
	s.lu.threshold_exponent = 11;
	at = add_page(&s, MODE_PAGE_RW_ERROR_RECOVERY);
	s.list[at + 7] |= 0x80;
	at = add_subpage(&s, MODE_PAGE_INFORMATIONAL_EXCEPTIONS,
			 MODE_SUBPAGE_LOGICAL_BLOCK_PROVISIONING);
	s.list[at + 16] |= 0x80;
	put_be32(s.list + at + 20, 0x12345678);
	put_be32(s.list + at + 28, 5);
	send(&s);
	assert_int_equal(s.status, SAM_STAT_GOOD);
	assert_true(s.change.changed);
	assert_true(s.change.values.lbpere);
	assert_true(s.change.values.threshold[SCSI_THRESHOLD_AVAILABLE].enabled);
	assert_int_equal(s.change.values.threshold[SCSI_THRESHOLD_AVAILABLE].count, 0x12345678);
	assert_false(s.change.values.threshold[SCSI_THRESHOLD_USED].enabled);
	assert_int_equal(s.change.values.threshold[SCSI_THRESHOLD_USED].count, 5);
	/* THRESHOLD RESOURCE is what it is. */
	s.list[at + 17] = 2;
	send(&s);
	assert_bad_param(&s, (unsigned int)at + 17, 1);
	/* SITUA too: nobody knows the I_T nexuses. */
	s.list[at + 17] = 1;
	s.list[at + 4] = 0;
	send(&s);
	assert_bad_param(&s, (unsigned int)at + 4, 0);
}

static void fixed_modes_are_refused(void **state)
{
	struct select s;
	size_t at;

	(void)state;
	begin(&s, false);
	s.lu.mode_fixed = true;
	at = add_page(&s, MODE_PAGE_CONTROL);
	s.list[at + 4] |= 0x08;
	send(&s);
	assert_bad_param(&s, (unsigned int)at + 4, 3);
}

static void saving(void **state)
{
	struct select s;
	size_t at;

	(void)state;
	begin(&s, false);
	s.lu.saves = true;
	s.byte_1 = PF | SP;
	at = add_page(&s, MODE_PAGE_CACHING);
	send(&s);
	assert_no_change(&s);
	assert_true(s.change.save);
	s.list[at + 2] |= 0x04;
	send(&s);
	assert_true(s.change.changed);
	assert_true(s.change.save);
	/* SPC-5: an empty list with SP saves what is. */
	send_lengths(&s, 0, 0);
	assert_no_change(&s);
	assert_true(s.change.save);
	/* nothing of a bad list */
	s.list[at + 3] ^= 1;
	send(&s);
	assert_bad_param(&s, (unsigned int)at + 3, 0);
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

/* Every bit of every page but those that may change, and those of the page's header. */
static void every_fixed_bit_is_refused_and_pointed_to(void **state)
{
	static const uint8_t codes[][2] = { { 0x01, 0 }, { 0x08, 0 }, { 0x0a, 0 },
					    { 0x0a, 1 }, { 0x1c, 0 }, { 0x1c, 2 } };
	struct select s;

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		uint8_t cdb[6] = { MODE_SENSE, 0x08, 0x40 | codes[i][0], codes[i][1], 255 };
		size_t at, header = codes[i][1] ? 4 : 2;
		struct answer mask;

		begin(&s, true);
		s.lu.threshold_exponent = 11;
		run(scsi_mode_sense, &s.lu, cdb, ROOM, &mask);
		at = add_subpage(&s, codes[i][0], codes[i][1]);
		for (size_t bit = 8 * header; bit < 8 * (s.len - at); bit++) {
			s.list[at + bit / 8] ^= (uint8_t)(1u << bit % 8);
			send(&s);
			if (mask.buf[4 + bit / 8] >> bit % 8 & 1) {
				assert_int_equal(s.status, SAM_STAT_GOOD);
				assert_true(s.change.changed);
			} else {
				assert_bad_param(&s, (unsigned int)(at + bit / 8), (int)(bit % 8));
			}
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
	s.list[at + 2] ^= 0x02; /* GLTSD */
	send(&s);
	assert_bad_param(&s, at + 2, 1);
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

static void unknown_subpages_are_refused(void **state)
{
	struct select s;
	size_t at;

	(void)state;
	for (unsigned int subpage = 0; subpage < 256; subpage++) {
		if (subpage == 1)
			continue;
		begin(&s, false);
		at = add_subpage(&s, MODE_PAGE_CONTROL, MODE_SUBPAGE_CONTROL_EXTENSION);
		s.list[at + 1] = (uint8_t)subpage;
		send(&s);
		/* subpage 00h is there, but not in this format */
		assert_bad_param(&s, (unsigned int)at + (subpage ? 0 : 1), subpage ? 5 : -1);
	}
}

static void another_subpage_length_is_refused(void **state)
{
	struct select s;
	size_t at;

	(void)state;
	for (unsigned int length = 0; length < 0x10000; length += 7) {
		begin(&s, false);
		at = add_subpage(&s, MODE_PAGE_CONTROL, MODE_SUBPAGE_CONTROL_EXTENSION);
		put_be16(s.list + at + 2, (uint16_t)length);
		send(&s);
		if (length == 28)
			assert_no_change(&s);
		else
			assert_bad_param(&s, (unsigned int)at + 2, -1);
	}
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
		s.lu.threshold_exponent = 11;
		add_block_descriptor(&s, 0, 512);
		add_page(&s, MODE_PAGE_CACHING);
		add_page(&s, MODE_PAGE_CONTROL);
		add_subpage(&s, MODE_PAGE_CONTROL, MODE_SUBPAGE_CONTROL_EXTENSION);
		add_subpage(&s, MODE_PAGE_INFORMATIONAL_EXCEPTIONS,
			    MODE_SUBPAGE_LOGICAL_BLOCK_PROVISIONING);
		for (size_t len = 1; len <= s.len; len++) {
			send_lengths(&s, len, len);
			if (len == header + 8 || len == header + 28 || len == header + 40 ||
			    len == header + 72 || len == header + 104)
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
		cmocka_unit_test(d_sense_and_swp),
		cmocka_unit_test(several_pages_add_up),
		cmocka_unit_test(thresholds),
		cmocka_unit_test(fixed_modes_are_refused),
		cmocka_unit_test(saving),
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
		cmocka_unit_test(unknown_subpages_are_refused),
		cmocka_unit_test(another_subpage_length_is_refused),
		cmocka_unit_test(another_page_length_is_refused),
		cmocka_unit_test(a_truncated_list_is_a_length_error),
		cmocka_unit_test(less_data_than_announced_is_a_length_error),
		cmocka_unit_test(data_after_the_list_are_not_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
