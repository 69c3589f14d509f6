/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

/* "0123456789" in five pieces, two of them empty, between canaries. */
struct pieces {
	uint8_t mem[64];
	struct iovec iov[5];
};

static const size_t sizes[5] = { 3, 0, 4, 3, 0 };

static void begin(struct pieces *p)
{
	size_t at = 4, value = 0;

	serial_file = NULL;
	memset(p->mem, CANARY, sizeof(p->mem));
	for (size_t i = 0; i < 5; i++) {
		p->iov[i].iov_base = sizes[i] ? p->mem + at : NULL;
		p->iov[i].iov_len = sizes[i];
		for (size_t j = 0; j < sizes[i]; j++)
			p->mem[at + j] = (uint8_t)('0' + value++);
		at += sizes[i] + 4;
	}
}

/* Nothing but the pieces has changed. */
static void assert_canaries(const struct pieces *p)
{
	size_t at = 0;

	for (size_t i = 0; i < 5; i++) {
		for (size_t j = 0; j < 4; j++)
			assert_int_equal(p->mem[at + j], CANARY);
		at += 4 + sizes[i];
	}
	for (; at < sizeof(p->mem); at++)
		assert_int_equal(p->mem[at], CANARY);
}

static void length_is_the_sum(void **state)
{
	struct pieces p;

	(void)state;
	begin(&p);
	assert_int_equal(tcmu_iovec_length(p.iov, 5), 10);
	assert_int_equal(tcmu_iovec_length(p.iov, 0), 0);
}

static void copy_out(void **state)
{
	struct pieces p;
	char buf[16];

	(void)state;
	begin(&p);
	for (size_t len = 0; len <= 12; len++) {
		size_t expected = len < 10 ? len : 10;

		memset(buf, CANARY, sizeof(buf));
		assert_int_equal(tcmu_memcpy_from_iovec(buf, len, p.iov, 5), expected);
		assert_memory_equal(buf, "0123456789", expected);
		assert_int_equal((uint8_t)buf[expected], CANARY);
	}
	assert_int_equal(p.iov[0].iov_len, 3); /* nothing is consumed */
}

static void copy_in(void **state)
{
	struct pieces p;
	char buf[10];

	(void)state;
	for (size_t len = 0; len <= 12; len++) {
		char src[] = "abcdefghijkl";
		size_t expected = len < 10 ? len : 10;

		begin(&p);
		assert_int_equal(tcmu_memcpy_into_iovec(p.iov, 5, src, len), expected);
		assert_canaries(&p);
		tcmu_memcpy_from_iovec(buf, 10, p.iov, 5);
		assert_memory_equal(buf, src, expected);
		assert_memory_equal(buf + expected, &"0123456789"[expected], 10 - expected);
	}
}

static void copy_without_iovecs(void **state)
{
	char buf[4] = "abc";

	(void)state;
	assert_int_equal(tcmu_memcpy_into_iovec(NULL, 0, buf, 4), 0);
	assert_int_equal(tcmu_memcpy_from_iovec(buf, 4, NULL, 0), 0);
}

static void seek_consumes_from_the_front(void **state)
{
	/* How many iovecs are used up after so many bytes. */
	static const size_t used[10] = { 0, 0, 0, 1, 2, 2, 2, 3, 3, 3 };
	struct pieces p;
	char buf[10];

	(void)state;
	for (size_t count = 0; count < 10; count++) {
		size_t n;

		begin(&p);
		n = tcmu_iovec_seek(p.iov, count);
		assert_int_equal(n, used[count]);
		assert_int_equal(tcmu_iovec_length(p.iov + n, 5 - n), 10 - count);
		assert_int_equal(tcmu_iovec_length(p.iov, n), 0);
		tcmu_memcpy_from_iovec(buf, 10, p.iov + n, 5 - n);
		assert_memory_equal(buf, &"0123456789"[count], 10 - count);
	}
}

static void seek_to_the_end(void **state)
{
	struct pieces p;

	(void)state;
	begin(&p);
	assert_int_equal(tcmu_iovec_seek(p.iov, 10), 4); /* the last one is empty: not needed */
	assert_int_equal(tcmu_iovec_length(p.iov, 5), 0);
}

static void seek_step_by_step(void **state)
{
	struct pieces p;
	struct iovec *iov = p.iov;

	(void)state;
	begin(&p);
	for (size_t i = 0; i < 10; i++) {
		char c;

		assert_int_equal(tcmu_memcpy_from_iovec(&c, 1, iov, (size_t)(p.iov + 5 - iov)), 1);
		assert_int_equal(c, '0' + (int)i);
		iov += tcmu_iovec_seek(iov, 1);
	}
}

static void zero_fills_the_pieces_only(void **state)
{
	struct pieces p;

	(void)state;
	begin(&p);
	tcmu_iovec_zero(p.iov, 5);
	assert_canaries(&p);
	assert_true(tcmu_iovec_zeroed(p.iov, 5));
}

static void one_bit_is_not_zero(void **state)
{
	uint8_t buf[100] = { 0 };

	(void)state;
	for (size_t len = 0; len <= sizeof(buf); len++) {
		struct iovec iov = { buf, len };

		assert_true(tcmu_iovec_zeroed(&iov, 1));
		for (size_t i = 0; i < sizeof(buf); i++) {
			buf[i] = 0x10;
			assert_int_equal(tcmu_iovec_zeroed(&iov, 1), i >= len);
			buf[i] = 0;
		}
	}
}

static void zeroed_looks_at_every_piece(void **state)
{
	struct pieces p;

	(void)state;
	begin(&p);
	tcmu_iovec_zero(p.iov, 5);
	*(uint8_t *)p.iov[3].iov_base = 1;
	assert_false(tcmu_iovec_zeroed(p.iov, 5));
	assert_true(tcmu_iovec_zeroed(p.iov, 3));
	assert_true(tcmu_iovec_zeroed(NULL, 0));
}

static void equal_data_compare_equal(void **state)
{
	struct pieces p;
	char same[] = "0123456789";

	(void)state;
	begin(&p);
	for (size_t size = 0; size <= 10; size++)
		assert_int_equal(tcmu_iovec_compare(same, p.iov, size), -1);
}

static void compare_finds_the_first_difference(void **state)
{
	struct pieces p;

	(void)state;
	begin(&p);
	for (int i = 0; i < 10; i++) {
		char other[] = "0123456789";

		other[i] = '#';
		other[9] = '#';
		assert_int_equal(tcmu_iovec_compare(other, p.iov, 10), i);
		/* Not in what is compared. */
		assert_int_equal(tcmu_iovec_compare(other, p.iov, (size_t)i), -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(length_is_the_sum),
		cmocka_unit_test(copy_out),
		cmocka_unit_test(copy_in),
		cmocka_unit_test(copy_without_iovecs),
		cmocka_unit_test(seek_consumes_from_the_front),
		cmocka_unit_test(seek_to_the_end),
		cmocka_unit_test(seek_step_by_step),
		cmocka_unit_test(zero_fills_the_pieces_only),
		cmocka_unit_test(one_bit_is_not_zero),
		cmocka_unit_test(zeroed_looks_at_every_piece),
		cmocka_unit_test(equal_data_compare_equal),
		cmocka_unit_test(compare_finds_the_first_difference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
