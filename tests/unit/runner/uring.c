/* SPDX-License-Identifier: Apache-2.0 */
/* Transfers over io_uring that are cut, since the file's disk takes no more at once: on a real file through the
 * real io_uring. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/device.h"
#include "runner/device.h"
#include "runner/uring.h"

#define PAGE 4096u
#define MOST (4 * PAGE)
#define SIZE (64 * PAGE)
#define MANY 40 /* transfers at a time: more than are cut */

static struct runner_dev rdev;
static struct tcmu_device dev;
static int fd;
static uint8_t file[SIZE], buf[SIZE];
static struct tcmur_io ios[MANY];
static int results[MANY];
static unsigned int ended;

void tcmu_log(enum tcmu_log_level level, struct tcmu_device *d, const char *fmt, ...)
{
	(void)level, (void)d, (void)fmt;
}

ssize_t tcmu_dev_read_attr(struct tcmu_device *d, const char *name, char *out, size_t size)
{
	(void)d, (void)name, (void)out, (void)size;
	return -ENOENT;
}

void runner_io_ended(struct tcmur_io *io, int res)
{
	results[io - ios] = res;
	ended++;
}

static int set_up(void **state)
{
	char path[] = "/var/tmp/tcmu-uring-XXXXXX";

	(void)state;
	fd = mkstemp(path);
	unlink(path);
	for (size_t i = 0; i < SIZE; i++)
		file[i] = (uint8_t)(i / 512 * 31 + i);
	assert_int_equal(pwrite(fd, file, SIZE, 0), SIZE);
	memset(buf, 0, sizeof(buf));
	memset(&rdev, 0, sizeof(rdev));
	dev.fd = eventfd(0, EFD_NONBLOCK);
	rdev.dev = &dev;
	rdev.wake_fd = eventfd(0, EFD_NONBLOCK);
	runner_uring_start(&rdev);
	rdev.direct.files[0] = (struct runner_direct_file) { fd, MOST };
	rdev.direct.count = 1;
	ended = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	runner_uring_stop(&rdev);
	close(fd);
	close(dev.fd);
	close(rdev.wake_fd);
	return 0;
}

static void wait_for(unsigned int n)
{
	for (int i = 0; i < 1000 && ended < n; i++) {
		runner_uring_wait(&rdev, 100);
		runner_uring_reap(&rdev);
	}
	assert_int_equal(ended, n);
	assert_false(runner_uring_busy(&rdev));
}

static int transfer(enum runner_uring_op op, const struct iovec *iov, size_t cnt, off_t off)
{
	ended = 0;
	assert_true(runner_uring_transfer(&rdev, op, &ios[0], fd, iov, cnt, off));
	wait_for(1);
	return results[0];
}

/* Longer and shorter than a piece, and across its end. */
static const size_t lengths[] = { 9, 1, 2, 3, 4, 1, 1, 1, 1, 1, 17 };
#define LENGTHS (sizeof(lengths) / sizeof(lengths[0]))

/* The buffer from its end to its start, so that no iovec goes on where another ends. */
static size_t make_iovs(struct iovec *iov)
{
	uint8_t *at = buf + SIZE;
	size_t len = 0;

	for (size_t i = 0; i < LENGTHS; i++) {
		at -= lengths[i] * PAGE;
		iov[i] = (struct iovec) { at, lengths[i] * PAGE };
		len += lengths[i] * PAGE;
	}
	return len;
}

static void test_read(void **state)
{
	struct iovec iov[LENGTHS];
	size_t len = make_iovs(iov), at = PAGE;

	(void)state;
	assert_int_equal(transfer(RUNNER_URING_READ, iov, LENGTHS, PAGE), len);
	for (size_t i = 0; i < LENGTHS; i++) {
		assert_memory_equal(iov[i].iov_base, file + at, iov[i].iov_len);
		at += iov[i].iov_len;
	}
}

static void test_write(void **state)
{
	struct iovec iov[LENGTHS];
	size_t len = make_iovs(iov), at = 2 * PAGE;
	static uint8_t got[SIZE];

	(void)state;
	for (size_t i = 0; i < SIZE; i++)
		buf[i] = (uint8_t)(i / 512 * 7 + i);
	assert_int_equal(transfer(RUNNER_URING_WRITE, iov, LENGTHS, 2 * PAGE), len);
	assert_int_equal(pread(fd, got, SIZE, 0), SIZE);
	assert_memory_equal(got, file, 2 * PAGE);
	for (size_t i = 0; i < LENGTHS; i++) {
		assert_memory_equal(iov[i].iov_base, got + at, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	assert_memory_equal(got + at, file + at, SIZE - at);
}

/* Told once, when the last piece is over. */
static void test_end_of_file(void **state)
{
	struct iovec iov = { buf, 10 * PAGE };

	(void)state;
	assert_int_equal(transfer(RUNNER_URING_READ, &iov, 1, SIZE - 5 * PAGE), 5 * PAGE);
	assert_int_equal(transfer(RUNNER_URING_READ, &iov, 1, SIZE), 0);
}

static void test_error(void **state)
{
	struct iovec iov = { buf, 10 * PAGE };
	char path[64];
	int read_only;

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	read_only = open(path, O_RDONLY);
	assert_true(read_only >= 0);
	assert_int_equal(dup2(read_only, fd), fd);
	close(read_only);
	assert_int_equal(transfer(RUNNER_URING_WRITE, &iov, 1, 0), -EBADF);
	assert_int_equal(transfer(RUNNER_URING_READ, &iov, 1, 0), 10 * PAGE);
}

/* One piece of three fails: the error counts, whatever the others have. */
static void test_error_of_one(void **state)
{
	struct iovec iov[3] = { { buf, MOST }, { NULL, MOST }, { buf + MOST, MOST } };

	(void)state;
	assert_int_equal(transfer(RUNNER_URING_READ, iov, 3, 0), -EFAULT);
}

static void test_many(void **state)
{
	struct iovec iov = { buf, SIZE };

	(void)state;
	for (unsigned int i = 0; i < MANY; i++)
		assert_true(
			runner_uring_transfer(&rdev, RUNNER_URING_READ, &ios[i], fd, &iov, 1, 0));
	wait_for(MANY);
	for (unsigned int i = 0; i < MANY; i++)
		assert_int_equal(results[i], SIZE);
	assert_memory_equal(buf, file, SIZE);
}

/* What the disk of the file takes: in pages, and not with a buffered file, which is never cut. */
static void test_limit(void **state)
{
	struct runner_direct direct = { .count = 0 };
	char path[64];
	int other;

	(void)state;
	runner_direct_add(&direct, fd);
	assert_int_equal(runner_direct_most(&direct, fd), SIZE_MAX);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	other = open(path, O_RDONLY | O_DIRECT);
	if (other < 0)
		skip();
	runner_direct_add(&direct, other);
	if (direct.count) {
		assert_int_equal(direct.files[0].fd, other);
		assert_in_range(runner_direct_most(&direct, other), 64 << 10, SIZE_MAX - 1);
		assert_int_equal(runner_direct_most(&direct, other) % PAGE, 0);
	}
	assert_int_equal(runner_direct_most(&direct, fd), SIZE_MAX);
	runner_direct_remove(&direct, other);
	assert_int_equal(runner_direct_most(&direct, other), SIZE_MAX);
	close(other);
}

static bool has_uring(void)
{
	struct runner_dev probe = { .wake_fd = -1 };

	runner_uring_start(&probe);
	if (!probe.uring)
		return false;
	runner_uring_stop(&probe);
	return true;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_write, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_end_of_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_error, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_error_of_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_limit, set_up, tear_down),
	};

	if (!has_uring()) {
		printf("SKIP: there is no io_uring here\n");
		return 77;
	}

	return cmocka_run_group_tests(tests, NULL, NULL);
}
