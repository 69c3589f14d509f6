/* SPDX-License-Identifier: Apache-2.0 */
/* WRITE ATOMIC through the file handler, several commands at a time, and on a storage that fails. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/device.h"
#include "runner/device.h"
#include "runner/runner.h"

#define BLOCK 512u
#define SIZE  (1u << 20)
#define LEN   (16u * BLOCK)
#define CMDS  12

struct tcmur_handler *tcmur_handler_entry(void);

static struct tcmur_handler *handler;
static struct runner_handler entry;
static struct tcmu_device dev;
static struct runner_dev rdev;
static char dir[64], path[128], journal_path[160], cfg[256];
static char last_error[1024];

/* ---- the C library, where it has to fail: on one of the two files ---- */

static _Atomic(int) write_errno, sync_errno;
static const char *bad_path; /* which one */

static bool is_bad(int fd)
{
	struct stat a, b;

	return bad_path && !fstat(fd, &a) && !stat(bad_path, &b) && a.st_ino == b.st_ino;
}

int fdatasync(int fd)
{
	int err = is_bad(fd) ? atomic_load(&sync_errno) : 0;

	errno = err;
	return err ? -1 : 0;
}

/* It fails in the middle, as a full file system does. */
ssize_t pwrite(int fd, const void *data, size_t len, off_t off)
{
	struct iovec iov = { (void *)(uintptr_t)data, len };
	int err = is_bad(fd) ? atomic_load(&write_errno) : 0;

	if (err && len <= BLOCK) {
		errno = err;
		return -1;
	}
	if (err)
		iov.iov_len = len / 2 / BLOCK * BLOCK;
	return pwritev(fd, &iov, 1, off);
}

/* ---- the library and the rest of the runner ---- */

void tcmu_log(enum tcmu_log_level level, struct tcmu_device *d, const char *fmt, ...)
{
	va_list args;

	(void)d;
	if (level > TCMU_LOG_WARN)
		return;
	va_start(args, fmt);
	vsnprintf(last_error, sizeof(last_error), fmt, args);
	va_end(args);
}

ssize_t tcmu_dev_read_attr(struct tcmu_device *d, const char *name, char *buf, size_t size)
{
	(void)d, (void)name, (void)buf, (void)size;
	return -ENOENT;
}

enum tcmulib_ring_state tcmulib_ring_state(struct tcmu_device *d)
{
	(void)d;
	return TCMULIB_RING_RUNNING;
}

void runner_dev_wake(struct runner_dev *r)
{
	(void)r;
}

void runner_dev_request(struct runner_dev *r, unsigned int req)
{
	(void)r, (void)req;
	fail_msg("the handler was found at fault");
}

/* ---- a device ---- */

static int open_with(const char *options)
{
	snprintf(cfg, sizeof(cfg), "file/%s%s", path, options);
	dev.cfgstring = cfg;
	last_error[0] = '\0';
	return handler->open(&dev, false);
}

static void must_open(const char *options)
{
	if (open_with(options))
		fail_msg("%s", last_error);
}

static int make_device(void **state)
{
	(void)state;
	strcpy(dir, "/var/tmp/tcmu-atomic-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/disk", dir);
	snprintf(journal_path, sizeof(journal_path), "%s.atomic", path);

	handler = tcmur_handler_entry();
	memset(&dev, 0, sizeof(dev));
	memset(&rdev, 0, sizeof(rdev));
	strcpy(dev.name, "user_0/disk");
	dev.fd = -1;
	dev.block_size = BLOCK;
	dev.config_size = SIZE;
	dev.num_lbas = SIZE / BLOCK;
	dev.priv = &rdev;
	rdev.dev = &dev;
	rdev.entry = &entry;
	rdev.handler = handler;
	rdev.bounce_last = &rdev.bounce_first;
	rdev.batch_last = &rdev.batch_first;
	runner_ops_init(&rdev);
	mpsc_init(&rdev.cmds_done);
	mpsc_init(&rdev.ios_done);
	write_errno = sync_errno = 0;
	bad_path = NULL;
	return runner_workers_init(&rdev.workers, 4);
}

static int remove_device(void **state)
{
	(void)state;
	runner_workers_fini(&rdev.workers);
	unlink(path);
	unlink(journal_path);
	return rmdir(dir);
}

/* ---- commands ---- */

struct command {
	union {
		struct runner_cmd rc;
		uint8_t room[4096];
	};
	struct tcmulib_cmd lib;
	struct iovec iov;
	uint8_t data[LEN];
	int outcome;
};

static struct command cmd[CMDS];

static void ended(struct runner_cmd *rc, int sts)
{
	container_of((void *)rc, struct command, rc)->outcome = sts;
}

static struct runner_cmd *begin(int i, bool atomic, char letter)
{
	static const struct scsi_opcode op = { .id = SCSI_WRITE_ATOMIC };
	struct command *c = &cmd[i];

	memset(c, 0, sizeof(*c));
	memset(c->data, letter, LEN);
	c->rc.rdev = &rdev;
	c->rc.pub.lib_cmd = &c->lib;
	c->rc.op = atomic ? &op : NULL;
	c->iov = (struct iovec) { c->data, LEN };
	c->outcome = -1;
	return &c->rc;
}

static void start_atomic(int i, uint64_t off, char letter)
{
	runner_op_write(begin(i, true, letter), &cmd[i].iov, 1, LEN, off, ended);
}

static void start_write(int i, uint64_t off, char letter)
{
	runner_op_write(begin(i, false, letter), &cmd[i].iov, 1, LEN, off, ended);
}

static void start_read(int i, uint64_t off)
{
	runner_op_read(begin(i, false, 0), &cmd[i].iov, 1, LEN, off, ended);
}

static int finish(int i)
{
	while (cmd[i].outcome < 0) {
		runner_batch_flush(&rdev);
		runner_io_reap(&rdev);
		runner_ops_reap(&rdev);
		if (cmd[i].outcome < 0)
			poll(NULL, 0, 1);
	}
	return cmd[i].outcome;
}

static int do_atomic(uint64_t off, char letter)
{
	start_atomic(0, off, letter);
	return finish(0);
}

static int do_read(uint64_t off)
{
	start_read(0, off);
	return finish(0);
}

static int do_flush(void)
{
	runner_op_flush(begin(0, false, 0), ended);
	return finish(0);
}

static bool all_are(const uint8_t *data, char letter)
{
	return data[0] == (uint8_t)letter && !memcmp(data, data + 1, LEN - 1);
}

/* ---- tests ---- */

static void how_much(void **state)
{
	(void)state;
	must_open(";create");
	assert_int_equal(dev.max_atomic_len, 0);
	assert_int_equal(access(journal_path, F_OK), -1);
	handler->close(&dev);
	must_open(";atomic");
	assert_int_equal(dev.max_atomic_len, 256);
	handler->close(&dev);
	dev.block_size = 65536;
	dev.num_lbas = SIZE / 65536;
	must_open(";atomic");
	assert_int_equal(dev.max_atomic_len, 2);
	handler->close(&dev);
	must_open("");
	assert_int_equal(dev.max_atomic_len, 0);
	handler->close(&dev);
}

static void many_at_a_time(void **state)
{
	const char *options[] = { ";create;atomic", ";direct;atomic" };

	(void)state;
	for (int k = 0; k < 2; k++) {
		int ret = open_with(options[k]);

		if (k && ret == -EINVAL)
			skip();
		assert_int_equal(ret, 0);
		for (int round = 0; round < 20; round++) {
			for (int i = 0; i < CMDS; i++) {
				if (i % 3)
					start_atomic(i, (uint64_t)i * LEN, (char)('a' + i + round));
				else
					start_write(i, (uint64_t)i * LEN, (char)('a' + i + round));
			}
			for (int i = 0; i < CMDS; i++)
				assert_int_equal(finish(i), TCMU_STS_OK);
			for (int i = 0; i < CMDS; i++) {
				assert_int_equal(do_read((uint64_t)i * LEN), TCMU_STS_OK);
				assert_true(all_are(cmd[0].data, (char)('a' + i + round)));
			}
		}
		handler->close(&dev);
	}
}

/* In the file in part: nobody sees that. */
static void all_wait_for_a_full_journal(void **state)
{
	(void)state;
	must_open(";create;atomic");
	assert_int_equal(do_atomic(0, 'a'), TCMU_STS_OK);
	bad_path = path;
	write_errno = ENOSPC;
	assert_int_equal(do_atomic(0, 'b'), TCMU_STS_NO_SPACE);
	assert_non_null(strstr(last_error, "every read and write"));
	assert_int_equal(do_read(0), TCMU_STS_RD_ERR);
	start_atomic(1, 4 * LEN, 'c');
	start_write(2, 8 * LEN, 'd');
	runner_op_unmap(begin(3, false, 0), 12 * LEN, LEN, ended);
	begin(4, false, 0);
	cmd[4].iov.iov_len = BLOCK;
	runner_op_writesame(&cmd[4].rc, 12 * LEN, LEN, &cmd[4].iov, 1, ended);
	for (int i = 1; i < 5; i++)
		assert_int_equal(finish(i), TCMU_STS_NO_SPACE);
	assert_int_equal(do_flush(), TCMU_STS_OK);

	write_errno = 0;
	for (int i = 0; i < CMDS; i++) {
		if (i < 6)
			start_read(i, 0);
		else if (i < 9)
			start_atomic(i, (uint64_t)i * LEN, 'd');
		else
			start_write(i, (uint64_t)i * LEN, 'e');
	}
	for (int i = 0; i < CMDS; i++)
		assert_int_equal(finish(i), TCMU_STS_OK);
	for (int i = 0; i < 6; i++)
		assert_true(all_are(cmd[i].data, 'b'));
	assert_non_null(strstr(last_error, "is over now"));
	assert_int_equal(do_read(7 * LEN), TCMU_STS_OK);
	assert_true(all_are(cmd[0].data, 'd'));
	handler->close(&dev);
}

static void closed_with_a_full_journal(void **state)
{
	(void)state;
	must_open(";create;atomic");
	assert_int_equal(do_atomic(0, 'a'), TCMU_STS_OK);
	bad_path = path;
	write_errno = EIO;
	assert_int_equal(do_atomic(0, 'b'), TCMU_STS_WR_ERR);
	handler->close(&dev);
	assert_int_equal(open_with(";atomic"), -EIO);
	assert_non_null(strstr(last_error, "cannot be brought to its end"));
	assert_int_equal(open_with(";ro"), -EROFS);
	write_errno = 0;
	must_open("");
	assert_non_null(strstr(last_error, "brought to its end from"));
	assert_int_equal(do_read(0), TCMU_STS_OK);
	assert_true(all_are(cmd[0].data, 'b'));
	handler->close(&dev);
	must_open(";ro");
	handler->close(&dev);
}

/* What else was in the page cache is lost: no flush is believed again, but the write is whole. */
static void failed_flush_of_the_file(void **state)
{
	(void)state;
	must_open(";create;atomic");
	bad_path = path;
	sync_errno = EIO;
	start_atomic(0, 0, 'a');
	start_atomic(1, LEN, 'b');
	assert_int_equal(finish(0), TCMU_STS_WR_ERR);
	assert_int_equal(finish(1), TCMU_STS_WR_ERR);
	sync_errno = 0;
	assert_int_equal(do_flush(), TCMU_STS_WR_ERR);
	assert_int_equal(do_read(0), TCMU_STS_OK);
	assert_true(all_are(cmd[0].data, 'a'));
	assert_int_equal(do_atomic(0, 'c'), TCMU_STS_WR_ERR);
	assert_int_equal(do_read(0), TCMU_STS_OK);
	assert_true(all_are(cmd[0].data, 'a'));
	handler->close(&dev);
}

/* The file is untouched, so it can be read; what is written could be undone by the journal. */
static void writes_wait_for_a_doubtful_journal(void **state)
{
	(void)state;
	must_open(";create;atomic");
	assert_int_equal(do_atomic(0, 'a'), TCMU_STS_OK);
	bad_path = journal_path;
	sync_errno = EIO;
	assert_int_equal(do_atomic(0, 'b'), TCMU_STS_WR_ERR);
	assert_non_null(strstr(last_error, "every write"));
	assert_int_equal(do_read(0), TCMU_STS_OK);
	assert_true(all_are(cmd[0].data, 'a'));
	start_write(1, 0, 'c');
	assert_int_equal(finish(1), TCMU_STS_WR_ERR);
	sync_errno = 0;
	start_write(1, 0, 'c');
	start_atomic(2, LEN, 'd');
	assert_int_equal(finish(1), TCMU_STS_OK);
	assert_int_equal(finish(2), TCMU_STS_OK);
	assert_int_equal(do_flush(), TCMU_STS_OK); /* of the file nothing was lost */
	handler->close(&dev);
	must_open("");
	assert_int_equal(do_read(0), TCMU_STS_OK);
	assert_true(all_are(cmd[0].data, 'c'));
	handler->close(&dev);
}

#define T(test) cmocka_unit_test_setup_teardown(test, make_device, remove_device)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(how_much),
		T(many_at_a_time),
		T(all_wait_for_a_full_journal),
		T(closed_with_a_full_journal),
		T(failed_flush_of_the_file),
		T(writes_wait_for_a_doubtful_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
