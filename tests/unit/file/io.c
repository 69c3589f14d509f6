/* SPDX-License-Identifier: Apache-2.0 */
/* The file handler as a whole, on a real file through the real I/O engine. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/device.h"
#include "runner/device.h"
#include "runner/runner.h"

#define BLOCK 512u
#define SIZE  (4u << 20)

struct tcmur_handler *tcmur_handler_entry(void);

static struct tcmur_handler *handler;
static struct runner_handler entry;
static struct tcmu_device dev;
static struct runner_dev rdev;
static char dir[64], path[128], cfg[256];
static char last_error[1024];
static int sync_errno; /* what fdatasync(2) fails with */
static int no_space;   /* so many FUA writes fail with ENOSPC in their write-back */

/* ---- the C library, where it has to fail ---- */

int fdatasync(int fd)
{
	if (!sync_errno)
		return fsync(fd);
	errno = sync_errno;
	sync_errno = 0; /* reported once, as the kernel does */
	return -1;
}

ssize_t pwritev2(int fd, const struct iovec *iov, int cnt, off_t off, int flags)
{
	ssize_t ret = pwritev(fd, iov, cnt, off);

	(void)flags;
	if (ret >= 0 && no_space) {
		no_space--;
		errno = ENOSPC;
		return -1;
	}
	return ret < 0 || !fsync(fd) ? ret : -1;
}

/* ---- the library and the rest of the runner ---- */

void tcmu_log(enum tcmu_log_level level, struct tcmu_device *d, const char *fmt, ...)
{
	va_list args;

	(void)d;
	if (level != TCMU_LOG_ERROR)
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

static int make_device(void **state)
{
	(void)state;
	strcpy(dir, "/var/tmp/tcmu-file-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/disk", dir);

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
	sync_errno = no_space = 0;
	return runner_workers_init(&rdev.workers, 4);
}

static int remove_device(void **state)
{
	(void)state;
	runner_workers_fini(&rdev.workers);
	unlink(path);
	return rmdir(dir);
}

/* ---- operations, one at a time ---- */

static union {
	struct runner_cmd rc;
	uint8_t room[4096];
} mem;
static struct tcmulib_cmd cmd;
static int outcome;

static void ended(struct runner_cmd *rc, int sts)
{
	(void)rc;
	outcome = sts;
}

static void begin(bool fua)
{
	memset(&mem, 0, sizeof(mem));
	mem.rc.rdev = &rdev;
	mem.rc.pub.lib_cmd = &cmd;
	mem.rc.fua = fua;
	outcome = -1;
}

static int finish(void)
{
	while (outcome < 0) {
		runner_batch_flush(&rdev);
		runner_io_reap(&rdev);
		runner_ops_reap(&rdev);
		if (outcome < 0)
			poll(NULL, 0, 1);
	}
	return outcome;
}

static int do_read(struct iovec *iov, size_t cnt, uint64_t off)
{
	begin(false);
	runner_op_read(&mem.rc, iov, cnt, tcmu_iovec_length(iov, cnt), off, ended);
	return finish();
}

static int do_write(struct iovec *iov, size_t cnt, uint64_t off, bool fua)
{
	begin(fua);
	runner_op_write(&mem.rc, iov, cnt, tcmu_iovec_length(iov, cnt), off, ended);
	return finish();
}

static int do_flush(void)
{
	begin(false);
	runner_op_flush(&mem.rc, ended);
	return finish();
}

static int do_unmap(uint64_t off, uint64_t len)
{
	begin(false);
	runner_op_unmap(&mem.rc, off, len, ended);
	return finish();
}

static uint8_t buf[1 << 20], other[1 << 20];

static void fill(uint8_t seed)
{
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(seed + i / BLOCK * 3 + i);
}

/* ---- tests ---- */

static void create_write_read_flush(void **state)
{
	struct iovec out = { buf, sizeof(buf) };
	struct iovec in[2] = { { other, 1000 }, { other + 1000, sizeof(other) - 1000 } };

	(void)state;
	assert_int_equal(open_with(""), -ENOENT);
	assert_non_null(strstr(last_error, ";create"));
	assert_int_equal(open_with(";create"), 0);
	assert_true(dev.write_cache);
	assert_true(dev.unmap_zeroes);
	assert_int_equal(dev.max_xfer_len, (8 << 20) / BLOCK);
	fill(1);
	assert_int_equal(do_write(&out, 1, 3 * BLOCK, false), TCMU_STS_OK);
	assert_int_equal(do_read(in, 2, 3 * BLOCK), TCMU_STS_OK);
	assert_memory_equal(buf, other, sizeof(buf));
	assert_int_equal(do_flush(), TCMU_STS_OK);
	assert_int_equal(do_write(&out, 1, 0, true), TCMU_STS_OK);
	handler->close(&dev);
	assert_null(tcmur_dev_get_private(&dev));
}

static void failed_flush_is_for_ever(void **state)
{
	struct iovec out = { buf, BLOCK };

	(void)state;
	assert_int_equal(open_with(";create"), 0);
	sync_errno = EIO;
	assert_int_equal(do_flush(), TCMU_STS_WR_ERR);
	assert_non_null(strstr(last_error, "every flush fails from now on"));
	assert_int_equal(do_flush(), TCMU_STS_WR_ERR);
	assert_int_equal(do_write(&out, 1, 0, false), TCMU_STS_OK);
	handler->close(&dev);
	assert_int_equal(open_with(""), 0);
	assert_int_equal(do_flush(), TCMU_STS_OK);
	handler->close(&dev);
}

static void no_space_in_write_back_is_a_failed_flush(void **state)
{
	struct iovec out = { buf, BLOCK };

	(void)state;
	assert_int_equal(open_with(";create"), 0);
	no_space = 1;
	assert_int_equal(do_write(&out, 1, 0, true), TCMU_STS_WR_ERR);
	assert_int_equal(do_flush(), TCMU_STS_WR_ERR);
	handler->close(&dev);
}

static void lack_of_space_is_told(void **state)
{
	struct iovec out = { buf, 8 * BLOCK };
	struct rlimit old, small;

	(void)state;
	assert_int_equal(open_with(";create"), 0);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	small.rlim_cur = 4 * BLOCK;
	setrlimit(RLIMIT_FSIZE, &small); /* EFBIG */
	assert_int_equal(do_write(&out, 1, BLOCK, false), TCMU_STS_NO_SPACE);
	assert_int_equal(do_write(&out, 1, BLOCK, true), TCMU_STS_NO_SPACE);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(do_flush(), TCMU_STS_OK);
	assert_int_equal(do_write(&out, 1, BLOCK, true), TCMU_STS_OK);
	handler->close(&dev);
}

static void shrunk_file_is_a_read_error(void **state)
{
	struct iovec in = { other, 8 * BLOCK };

	(void)state;
	assert_int_equal(open_with(";create"), 0);
	assert_int_equal(truncate(path, 10 * BLOCK), 0);
	assert_int_equal(do_read(&in, 1, 8 * BLOCK), TCMU_STS_RD_ERR);
	assert_true(mem.rc.error_off_valid);
	assert_int_equal(mem.rc.error_off, 10 * BLOCK);
	assert_int_equal(do_read(&in, 1, 1 * BLOCK), TCMU_STS_OK);
	handler->close(&dev);
}

static void unmap_and_zeros(void **state)
{
	struct iovec out = { buf, sizeof(buf) }, zero = { other, BLOCK },
		     in = { other, BLOCK * 64 };
	int sts;

	(void)state;
	assert_int_equal(open_with(";create"), 0);
	if (!dev.unmap)
		skip();
	fill(9);
	assert_int_equal(do_write(&out, 1, 0, false), TCMU_STS_OK);
	assert_int_equal(do_unmap(3 * BLOCK, 40 * BLOCK), TCMU_STS_OK);

	memset(other, 0, BLOCK);
	begin(false);
	runner_op_writesame(&mem.rc, 43 * BLOCK, 5 * BLOCK, &zero, 1, ended);
	sts = finish();
	assert_int_equal(sts, TCMU_STS_OK);
	assert_int_equal(do_read(&in, 1, 0), TCMU_STS_OK);
	assert_memory_equal(other, buf, 3 * BLOCK);
	for (size_t i = 3 * BLOCK; i < 48 * BLOCK; i++)
		assert_int_equal(other[i], 0);
	assert_memory_equal(other + 48 * BLOCK, buf + 48 * BLOCK, 16 * BLOCK);

	begin(false);
	runner_op_writesame(&mem.rc, 0, 5 * BLOCK, &out, 1, ended);
	assert_int_equal(finish(), TCMU_STS_NOT_HANDLED);
	handler->close(&dev);
}

static void direct_takes_odd_buffers(void **state)
{
	/* Not aligned, and iovecs that are no whole blocks. */
	struct iovec out[2] = { { buf + 1, 100 }, { buf + 101, 8 * 4096 - 100 } };
	struct iovec in[2] = { { other + 3, 5000 }, { other + 5003, 8 * 4096 - 5000 } };
	int ret;

	(void)state;
	dev.block_size = 4096;
	ret = open_with(";create;direct");
	if (ret == -EINVAL)
		skip();
	assert_int_equal(ret, 0);
	fill(77);
	assert_int_equal(do_write(out, 2, 4096, true), TCMU_STS_OK);
	assert_int_equal(do_read(in, 2, 4096), TCMU_STS_OK);
	assert_memory_equal(buf + 1, other + 3, 8 * 4096);
	assert_int_equal(truncate(path, 3 * 4096), 0);
	assert_int_equal(do_read(in, 2, 4096), TCMU_STS_RD_ERR);
	assert_int_equal(mem.rc.error_off, 3 * 4096);
	handler->close(&dev);
}

static void read_only_is_write_protected(void **state)
{
	struct iovec in = { other, BLOCK };

	(void)state;
	assert_int_equal(open_with(";create"), 0);
	handler->close(&dev);
	assert_int_equal(open_with(";ro"), 0);
	assert_true(dev.write_protect);
	assert_false(dev.write_cache);
	assert_int_equal(do_read(&in, 1, 0), TCMU_STS_OK);
	assert_int_equal(do_flush(), TCMU_STS_OK);
	handler->close(&dev);
}

static void sizes(void **state)
{
	struct tcmulib_cfg_info cfg_info = { .type = TCMULIB_CFG_DEV_SIZE };
	struct stat st;

	(void)state;
	assert_int_equal(open_with(";create"), 0);
	handler->close(&dev);

	dev.config_size = SIZE + BLOCK;
	assert_int_equal(open_with(""), -EINVAL);
	assert_non_null(strstr(last_error, "truncate -s 4194816"));
	dev.config_size = 0;
	dev.num_lbas = 0;
	assert_int_equal(truncate(path, SIZE + 100), 0);
	assert_int_equal(open_with(""), 0);
	assert_int_equal(dev.num_lbas, SIZE / BLOCK);

	cfg_info.data.dev_size = SIZE - BLOCK;
	assert_int_equal(handler->reconfig(&dev, &cfg_info), -EINVAL);
	cfg_info.data.dev_size = SIZE + 1;
	assert_int_equal(handler->reconfig(&dev, &cfg_info), -EINVAL);
	cfg_info.data.dev_size = 2 * SIZE;
	assert_int_equal(handler->reconfig(&dev, &cfg_info), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 2 * SIZE);

	cfg_info.type = TCMULIB_CFG_WRITE_CACHE;
	cfg_info.data.write_cache = false;
	assert_int_equal(handler->reconfig(&dev, &cfg_info), 0);
	cfg_info.type = TCMULIB_CFG_DEV_CFGSTR;
	cfg_info.data.dev_cfgstring = cfg;
	assert_int_equal(handler->reconfig(&dev, &cfg_info), -EOPNOTSUPP);
	handler->close(&dev);
}

static void check_config_explains(void **state)
{
	char *reason = NULL;

	(void)state;
	snprintf(cfg, sizeof(cfg), "file/%s", path);
	assert_false(handler->check_config(cfg, &reason));
	assert_non_null(strstr(reason, "No such file"));
	free(reason);
	strcat(cfg, ";create");
	assert_true(handler->check_config(cfg, &reason));
	assert_false(handler->check_config("file/x", &reason));
	free(reason);
}

#define T(test) cmocka_unit_test_setup_teardown(test, make_device, remove_device)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(create_write_read_flush),
		T(failed_flush_is_for_ever),
		T(no_space_in_write_back_is_a_failed_flush),
		T(lack_of_space_is_told),
		T(shrunk_file_is_a_read_error),
		T(unmap_and_zeros),
		T(direct_takes_odd_buffers),
		T(read_only_is_write_protected),
		T(sizes),
		T(check_config_explains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
