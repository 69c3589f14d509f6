/* SPDX-License-Identifier: Apache-2.0 */
/* One short life of the daemon under valgrind: no leak, no invalid access. Skipped without valgrind
 * and under sanitizers, which do the same. */
#include "daemon-test.h"

#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static void short_life(void **state)
{
	static const char *const valgrind[] = {
		"/usr/bin/valgrind", "-q", "--error-exitcode=9", "--leak-check=full",
		"--show-leak-kinds=definite", "--errors-for-leak-kinds=definite",
		/* Rings are written by two processes, which the tool
						 * cannot know. */
		NULL
	};
	struct fake_dev *a, *b;
	struct world w;
	struct load *l;
	char config[64];

	(void)state;
	world_open(&w);
	assert_int_equal(daemon_start(&w, valgrind), 0);
	a = file_lun(&w, "a", 2 * MIB);
	b = file_lun(&w, "b", MIB);
	snprintf(config, sizeof(config), "file/%s", "/nonexistent/file");
	assert_true(lun_create(&w, "c", config, MIB, &b) < 0);
	l = file_load(a, 2 * MIB, 8);
	assert_int_equal(load_progress(l, 300, 2 * LONG_MS), 0);
	assert_int_equal(load_finish(l), 0);
	assert_int_equal(fake_wait_idle(fake_dev_ring(a), LONG_MS), 0);
	assert_int_equal(fake_dev_reconfig(a, "dev_size", "4194304"), 0);
	assert_int_equal(fake_dev_remove(a), 0);
	/* b is left to the end. */
	assert_int_equal(world_close(&w), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(short_life) };

	if (SANITIZED || access("/usr/bin/valgrind", X_OK))
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
