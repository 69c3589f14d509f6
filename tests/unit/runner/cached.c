/* SPDX-License-Identifier: Apache-2.0 */
/* What is moved on the device's thread, on real files. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "runner/cached.h"

#define SIZE 65536

static struct runner_cached c;

static int file_in(const char *dir, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/tcmu-cached.XXXXXX", dir);
	fd = mkstemp(path);
	if (fd < 0)
		return fd;
	assert_int_equal(ftruncate(fd, SIZE), 0);
	if (flags) {
		close(fd);
		fd = open(path, O_RDWR | flags);
	}
	unlink(path);
	return fd;
}

static bool move(bool write, int fd, void *buf, size_t len, off_t off)
{
	struct iovec iov = { buf, len };

	return runner_cached_transfer(&c, write, fd, &iov, 1, len, off);
}

static void start(void)
{
	memset(&c, 0xa5, sizeof(c));
	runner_cached_init(&c);
	runner_cached_turn(&c);
}

static void memory_is_always_there(void **state)
{
	char out[4096], in[4096];
	int fd = file_in("/dev/shm", 0);

	(void)state;
	if (fd < 0)
		skip();
	start();
	memset(out, 0x5a, sizeof(out));
	assert_false(move(true, fd, out, sizeof(out), 0)); /* nobody has added it */
	assert_false(runner_cached_all_memory(&c));
	runner_cached_add(&c, fd);
	assert_true(runner_cached_memory(&c, fd));
	assert_true(runner_cached_all_memory(&c));
	assert_false(runner_cached_memory(&c, fd + 1));
	assert_true(move(true, fd, out, sizeof(out), 8192));
	assert_true(move(false, fd, in, sizeof(in), 8192));
	assert_memory_equal(in, out, sizeof(in));
	assert_true(move(false, fd, in, sizeof(in), 0)); /* a hole */
	assert_int_equal(in[0], 0);

	/* Short at the end: not told, and not tried for a while. */
	assert_false(move(false, fd, in, sizeof(in), SIZE - 100));
	assert_false(move(false, fd, in, sizeof(in), 0));
	assert_true(move(false, fd, in, sizeof(in), 0));

	runner_cached_remove(&c, fd);
	assert_false(move(false, fd, in, sizeof(in), 0));
	close(fd);
}

/* Each miss doubles the number of transfers that do not try. */
static void misses_become_rare(void **state)
{
	unsigned int tries = 0;
	char buf[512];
	int fd = file_in("/dev/shm", 0);

	(void)state;
	if (fd < 0)
		skip();
	start();
	runner_cached_add(&c, fd);
	for (int i = 0; i < 1000; i++) {
		unsigned int before = c.files[0].read.skip;

		assert_false(move(false, fd, buf, sizeof(buf), SIZE));
		tries += !before;
	}
	assert_in_range(tries, 7, 1000 / 64 + 8);
	while (c.files[0].read.skip)
		move(false, fd, buf, sizeof(buf), 0);
	assert_true(move(false, fd, buf, sizeof(buf), 0));
	assert_true(move(false, fd, buf, sizeof(buf), 0)); /* forgiven */
	close(fd);
}

/* Whatever the file system here says to RWF_NOWAIT: what is called done is right. */
static void file_on_storage(void **state)
{
	char out[4096], in[4096];
	unsigned int done = 0;
	int fd = file_in("/var/tmp", 0);

	(void)state;
	assert_true(fd >= 0);
	start();
	runner_cached_add(&c, fd);
	assert_false(runner_cached_memory(&c, fd));
	assert_false(runner_cached_all_memory(&c));
	for (int i = 0; i < 100; i++) {
		off_t off = i % 16 * 4096;

		memset(out, i, sizeof(out));
		if (!move(true, fd, out, sizeof(out), off))
			assert_int_equal(pwrite(fd, out, sizeof(out), off), sizeof(out));
		if (i % 10 == 9) {
			assert_int_equal(fsync(fd), 0);
			posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		}
		memset(in, 0xee, sizeof(in));
		if (move(false, fd, in, sizeof(in), off))
			done++;
		else
			assert_int_equal(pread(fd, in, sizeof(in), off), sizeof(in));
		assert_memory_equal(in, out, sizeof(in));
	}
	print_message("%u of 100 reads were served here\n", done);
	close(fd);
}

/* It would wait for the storage. */
static void direct_never(void **state)
{
	int fd = file_in("/var/tmp", O_DIRECT);

	(void)state;
	if (fd < 0)
		skip(); /* no O_DIRECT on that file system */
	start();
	runner_cached_add(&c, fd);
	assert_int_equal(c.count, 0);
	assert_false(runner_cached_wanted(&c, 4096, 1, true));
	close(fd);
}

static void whom_it_is_left_to(void **state)
{
	int fd = file_in("/dev/shm", 0);

	(void)state;
	if (fd < 0)
		skip();
	start();
	assert_false(runner_cached_wanted(&c, 4096, 1, true)); /* no file */
	runner_cached_add(&c, fd);
	c.one_cpu = false;
	runner_cached_turn(&c);
	assert_true(runner_cached_wanted(&c, 4096, 1, true));
	assert_true(runner_cached_wanted(&c, 1 << 20, 2, true));
	assert_false(runner_cached_wanted(&c, 4096, 3, true)); /* one call takes them all */
	assert_true(runner_cached_wanted(&c, 4096, 3, false));
	assert_false(runner_cached_wanted(&c, 1 << 20, 3, false)); /* others copy beside us */
	c.one_cpu = true;
	assert_true(runner_cached_wanted(&c, 1 << 20, 3, true));
	assert_false(runner_cached_wanted(&c, 4096, 3, true));
	close(fd);
}

static void a_turn_has_an_end(void **state)
{
	static char buf[SIZE];
	unsigned int moved = 0;
	int fd = file_in("/dev/shm", 0);

	(void)state;
	if (fd < 0)
		skip();
	start();
	runner_cached_add(&c, fd);
	c.one_cpu = false;
	runner_cached_turn(&c);
	while (runner_cached_wanted(&c, sizeof(buf), 1, true)) {
		assert_true(move(false, fd, buf, sizeof(buf), 0));
		assert_true(++moved < 100);
	}
	assert_int_equal(moved, (256 << 10) / SIZE);
	runner_cached_turn(&c);
	assert_true(runner_cached_wanted(&c, sizeof(buf), 1, true));
	close(fd);
}

static void files_come_and_go(void **state)
{
	int fd[RUNNER_CACHED_FILES + 1];
	char buf[512];

	(void)state;
	start();
	for (size_t i = 0; i <= RUNNER_CACHED_FILES; i++) {
		fd[i] = file_in("/dev/shm", 0);
		if (fd[i] < 0)
			skip();
		runner_cached_add(&c, fd[i]);
	}
	assert_int_equal(c.count, RUNNER_CACHED_FILES);
	assert_false(move(false, fd[RUNNER_CACHED_FILES], buf, sizeof(buf), 0));
	runner_cached_remove(&c, fd[RUNNER_CACHED_FILES]); /* it never was there */
	runner_cached_remove(&c, fd[0]);
	assert_int_equal(c.count, RUNNER_CACHED_FILES - 1);
	for (size_t i = 1; i < RUNNER_CACHED_FILES; i++)
		assert_true(move(false, fd[i], buf, sizeof(buf), 0));
	for (size_t i = 0; i <= RUNNER_CACHED_FILES; i++)
		close(fd[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_always_there), cmocka_unit_test(misses_become_rare),
		cmocka_unit_test(file_on_storage),        cmocka_unit_test(direct_never),
		cmocka_unit_test(whom_it_is_left_to),     cmocka_unit_test(a_turn_has_an_end),
		cmocka_unit_test(files_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
