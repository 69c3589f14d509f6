/* SPDX-License-Identifier: Apache-2.0 */
/* When the device's thread looks instead of sleeping, and when no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/spin.h"

static struct runner_spin s;
static int looks, comes_after;

static bool there(void *arg)
{
	(void)arg;
	return looks++ >= comes_after;
}

static bool spin(int after)
{
	looks = 0;
	comes_after = after;
	return runner_spin(&s, there, NULL);
}

static void only_if_told_to(void **state)
{
	(void)state;
	runner_spin_choose(0);
	runner_spin_init(&s, false);
	assert_false(spin(0));
	assert_int_equal(looks, 0);
	runner_spin_choose(100);
	runner_spin_init(&s, true); /* one processor */
	assert_false(spin(0));
	assert_int_equal(looks, 0);
	runner_spin_init(&s, false);
	assert_true(spin(3));
	assert_int_equal(looks, 4);
}

/* In vain: the next 1, 2, 4, ... sleeps come without a look; or at once very many, where a look was interrupted
 * by others who want the processor. */
static void vain_looks_become_rare(void **state)
{
	unsigned int vain = 0;

	(void)state;
	runner_spin_choose(1);
	runner_spin_init(&s, false);
	for (int i = 0; i < 5000; i++) {
		assert_false(spin(INT32_MAX));
		vain += !!looks;
	}
	assert_in_range(vain, 4, 16);
	while (s.skip)
		assert_false(spin(0));
	assert_true(spin(0));
	assert_int_equal(s.failed, 0);
}

/* Also while others run: what is there is not refused for ever. */
static void found_again_and_again(void **state)
{
	unsigned int found = 0;

	(void)state;
	runner_spin_choose(1000);
	runner_spin_init(&s, false);
	for (int i = 0; i < 20000; i++)
		found += spin(1);
	assert_true(found >= 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_if_told_to),
		cmocka_unit_test(vain_looks_become_rare),
		cmocka_unit_test(found_again_and_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
