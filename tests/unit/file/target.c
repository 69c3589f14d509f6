/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, locking and measuring what the file handler's path names. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "handlers/file/file.h"

/* A device is only a name here, and perhaps one that the kernel has removed. */
struct tcmu_device {
	const char *name;
	enum tcmulib_ring_state ring;
};

const char *tcmu_dev_get_name(struct tcmu_device *dev)
{
	return dev->name;
}

enum tcmulib_ring_state tcmulib_ring_state(struct tcmu_device *dev)
{
	return dev->ring;
}

static struct tcmu_device dev_a = { .name = "user_0/a", .ring = TCMULIB_RING_RUNNING };
static struct tcmu_device dev_b = { .name = "user_0/b", .ring = TCMULIB_RING_RUNNING };

static char dir[64];
static char path[128];

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/tcmu-file-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/disk", dir);
	dev_a.ring = TCMULIB_RING_RUNNING;
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	if (unlink(path) && errno == EISDIR)
		rmdir(path);
	return rmdir(dir);
}

static void make_file(off_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static struct file_options options(bool read_only, bool create)
{
	return (struct file_options) { .path = path, .read_only = read_only, .create = create };
}

static void expect_refused(struct file_options opts, struct tcmu_device *dev, uint64_t size,
			   int err, const char *text)
{
	struct file_target target;
	char *reason;

	assert_int_equal(file_target_open(&opts, dev, size, &target, &reason), -err);
	assert_non_null(reason);
	if (!strstr(reason, text))
		fail_msg("'%s' does not say '%s'", reason, text);
	free(reason);
}

static void expect_opened(struct file_options opts, struct tcmu_device *dev, uint64_t size,
			  struct file_target *target)
{
	char *reason;
	int ret = file_target_open(&opts, dev, size, target, &reason);

	if (ret)
		fail_msg("%s", reason);
	assert_null(reason);
}

static long ms_since(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - then->tv_sec) * 1000 + (now.tv_nsec - then->tv_nsec) / 1000000;
}

static void opens_and_measures(void **state)
{
	struct file_target target;

	(void)state;
	make_file(1 << 20);
	expect_opened(options(false, false), &dev_a, 0, &target);
	assert_int_equal(target.size, 1 << 20);
	assert_int_equal(target.block_size, 1);
	assert_false(target.block_dev);
	assert_false(fcntl(target.fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(file_target_size(target.fd, false), 1 << 20);
	file_target_close(&target);
	assert_int_equal(target.fd, -1);
}

static void missing_file_hints_at_create(void **state)
{
	(void)state;
	expect_refused(options(false, false), &dev_a, 0, ENOENT, ";create");
}

/* A config string that did not arrive whole. */
static void cut_paths(void **state)
{
	static const struct {
		const char *name, *given, *hint;
	} cases[] = {
		{ "a,b.img", "a", "is it 'a,b.img'? The config string ends at the ','" },
		{ "my disk", "my", "ends at the ' '" },
		{ "pci:0", "pci", "ends at the ':'" },
		{ "disk.img", "disk", ";create" }, /* just another file */
		{ "disk", "other", ";create" },
	};
	char full[120], given[120];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct file_options opts = { .path = given };

		snprintf(full, sizeof(full), "%s/%s", dir, cases[i].name);
		snprintf(given, sizeof(given), "%s/%s", dir, cases[i].given);
		assert_int_equal(mkdir(full, 0700), 0);
		expect_refused(opts, &dev_a, 0, ENOENT, cases[i].hint);
		assert_int_equal(rmdir(full), 0);
	}
}

/* As long as dev_config can be, and the name in the directory goes on. */
static void cut_at_the_limit(void **state)
{
	char given[256], full[260];
	struct file_options opts = { .path = given };
	int base;

	(void)state;
	base = snprintf(given, sizeof(given), "%s/", dir);
	memset(given + base, 'x', (size_t)(250 - base));
	given[250] = '\0';
	snprintf(full, sizeof(full), "%sx", given);
	assert_int_equal(mkdir(full, 0700), 0);
	expect_refused(opts, &dev_a, 0, ENOENT, "at most 255 bytes");
	given[249] = '\0';
	expect_refused(opts, &dev_a, 0, ENOENT, ";create");
	assert_int_equal(rmdir(full), 0);
}

static void wrong_types(void **state)
{
	struct timespec then;

	(void)state;
	mkdir(path, 0700);
	expect_refused(options(false, false), &dev_a, 0, EISDIR, "is a directory");
	rmdir(path);

	clock_gettime(CLOCK_MONOTONIC, &then);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_refused(options(true, false), &dev_a, 0, EINVAL, "neither a regular file");
	assert_true(ms_since(&then) < 1000);
}

static void create_makes_it(void **state)
{
	struct file_target target;
	struct stat st;

	(void)state;
	expect_refused(options(false, true), &dev_a, 0, EINVAL, "set dev_size");
	expect_opened(options(false, true), &dev_a, 12345 * 512, &target);
	assert_int_equal(target.size, 12345 * 512);
	assert_int_equal(fstat(target.fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	file_target_close(&target);

	/* What is there keeps its size. */
	expect_opened(options(false, true), &dev_a, 512, &target);
	assert_int_equal(target.size, 12345 * 512);
	file_target_close(&target);
}

static void create_takes_an_empty_file(void **state)
{
	struct file_target target;

	(void)state;
	make_file(0);
	expect_opened(options(false, true), &dev_a, 4096, &target);
	assert_int_equal(target.size, 4096);
	file_target_close(&target);
}

static void second_unit_is_told_the_first(void **state)
{
	struct file_target target;
	struct timespec then;

	(void)state;
	make_file(4096);
	expect_opened(options(false, false), &dev_a, 0, &target);
	clock_gettime(CLOCK_MONOTONIC, &then);
	expect_refused(options(false, false), &dev_b, 0, EBUSY, "user_0/a");
	expect_refused(options(true, false), &dev_b, 0, EBUSY, "user_0/a");
	assert_true(ms_since(&then) < 1000);
	file_target_close(&target);

	expect_opened(options(false, false), &dev_b, 0, &target);
	file_target_close(&target);
}

static void readers_share(void **state)
{
	struct file_target first, second;

	(void)state;
	make_file(4096);
	expect_opened(options(true, false), &dev_a, 0, &first);
	expect_opened(options(true, false), &dev_b, 0, &second);
	expect_refused(options(false, false), &dev_b, 0, EBUSY, ";ro");
	assert_true(first.unmap); /* which will be refused, but is there */
	file_target_close(&first);
	file_target_close(&second);
}

static void *close_later(void *arg)
{
	usleep(300 * 1000);
	file_target_close(arg);
	return NULL;
}

static void removed_unit_is_waited_for(void **state)
{
	struct file_target first, second;
	pthread_t thread;

	(void)state;
	make_file(4096);
	expect_opened(options(false, false), &dev_a, 0, &first);
	dev_a.ring = TCMULIB_RING_GONE;
	assert_int_equal(pthread_create(&thread, NULL, close_later, &first), 0);
	expect_opened(options(false, false), &dev_b, 0, &second);
	pthread_join(thread, NULL);
	file_target_close(&second);
}

/* Another process that has the lock, and dies or lives. */
static pid_t lock_elsewhere(useconds_t how_long)
{
	int pipefd[2];
	char c;
	pid_t pid;

	assert_int_equal(pipe(pipefd), 0);
	pid = fork();
	if (!pid) {
		int fd = open(path, O_RDWR | O_CLOEXEC);

		if (fd < 0 || flock(fd, LOCK_EX) || write(pipefd[1], "x", 1) != 1)
			_exit(1);
		usleep(how_long);
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(read(pipefd[0], &c, 1), 1);
	close(pipefd[0]);
	close(pipefd[1]);
	return pid;
}

static void dying_process_is_waited_for(void **state)
{
	struct file_target target;
	struct timespec then;
	pid_t pid;

	(void)state;
	make_file(4096);
	pid = lock_elsewhere(400 * 1000);
	clock_gettime(CLOCK_MONOTONIC, &then);
	expect_opened(options(false, false), &dev_a, 0, &target);
	assert_true(ms_since(&then) >= 200);
	file_target_close(&target);
	waitpid(pid, NULL, 0);
}

static void looking_takes_no_lock(void **state)
{
	struct file_target held, target;

	(void)state;
	expect_refused(options(false, false), NULL, 0, ENOENT, "No such file");
	make_file(4096);
	expect_opened(options(false, false), &dev_a, 0, &held);
	expect_opened(options(false, false), NULL, 0, &target);
	file_target_close(&target);
	expect_refused(options(false, false), &dev_b, 0, EBUSY, "user_0/a");
	file_target_close(&held);
}

static void looking_creates_nothing(void **state)
{
	struct file_target target;

	(void)state;
	expect_opened(options(false, true), NULL, 0, &target);
	file_target_close(&target);
	assert_int_equal(access(path, F_OK), -1);

	strcat(path, "/no/such");
	expect_refused(options(false, true), NULL, 0, ENOENT, "cannot be created");
	snprintf(path, sizeof(path), "%s/disk", dir);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(opens_and_measures),
		IN_DIR(missing_file_hints_at_create),
		IN_DIR(cut_paths),
		IN_DIR(cut_at_the_limit),
		IN_DIR(wrong_types),
		IN_DIR(create_makes_it),
		IN_DIR(create_takes_an_empty_file),
		IN_DIR(second_unit_is_told_the_first),
		IN_DIR(readers_share),
		IN_DIR(removed_unit_is_waited_for),
		IN_DIR(dying_process_is_waited_for),
		IN_DIR(looking_takes_no_lock),
		IN_DIR(looking_creates_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
