/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/pool.h"
#include "test.h"

static void blocks_are_used_again(void **state)
{
	struct tcmu_pool pool;
	uint8_t cls, other;
	void *a, *b;

	(void)state;
	tcmu_pool_init(&pool, 1 << 20);
	a = tcmu_pool_get(&pool, 129, &cls);
	assert_non_null(a);
	assert_int_equal((uintptr_t)a % 16, 0);
	memset(a, 0xff, 256);
	assert_int_equal(pool.bytes, 256);
	b = tcmu_pool_get(&pool, 256, &other);
	assert_int_equal(cls, other);
	assert_ptr_not_equal(a, b);
	tcmu_pool_put(&pool, a, cls);
	tcmu_pool_put(&pool, b, other);
	assert_ptr_equal(tcmu_pool_get(&pool, 200, &cls), b);
	assert_ptr_equal(tcmu_pool_get(&pool, 200, &cls), a);
	assert_int_equal(pool.bytes, 512);
	tcmu_pool_put(&pool, a, cls);
	tcmu_pool_put(&pool, b, cls);
	tcmu_pool_deinit(&pool);
	assert_int_equal(pool.bytes, 0);
}

static void the_limit_holds(void **state)
{
	struct tcmu_pool pool;
	uint8_t small, big;
	void *a, *b;

	(void)state;
	tcmu_pool_init(&pool, 1024);
	a = tcmu_pool_get(&pool, 128, &small);
	assert_null(tcmu_pool_get(&pool, 1024, &big));
	tcmu_pool_put(&pool, a, small);
	b = tcmu_pool_get(&pool, 1024, &big); /* kept blocks of other sizes make room */
	assert_non_null(b);
	assert_null(tcmu_pool_get(&pool, 1, &small));
	tcmu_pool_put(&pool, b, big);
	assert_null(tcmu_pool_get(&pool, (size_t)1 << 40, &big));
	tcmu_pool_deinit(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_used_again),
		cmocka_unit_test(the_limit_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
