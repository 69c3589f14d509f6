/* SPDX-License-Identifier: Apache-2.0 */
/* Accesses to configfs, one of which sleeps, as beside a removal. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/aside.h"
#include "test.h"

static char fifo[64];
static bool over;
static int asleep;  /* how many are in sleep_in() */
static int own_fds; /* descriptors that the thread had when it began */

static void nap(void)
{
	nanosleep(&(struct timespec) { .tv_nsec = 1000000 }, NULL);
}

static int descriptors(void)
{
	DIR *dir = opendir("/proc/thread-self/fd");
	int n = -1; /* the directory's own */

	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

static ssize_t give(const char *root, const char *path, char *buf, size_t size)
{
	own_fds = descriptors();
	assert_string_equal(root, "root");
	assert_string_equal(buf, "what was there");
	return snprintf(buf, size, "%s", path);
}

/* Until somebody opens the other end. */
static ssize_t sleep_in(const char *root, const char *path, char *buf, size_t size)
{
	int fd;

	(void)root;
	__atomic_add_fetch(&asleep, 1, __ATOMIC_RELAXED);
	fd = open(path, O_RDONLY);
	close(fd);
	__atomic_sub_fetch(&asleep, 1, __ATOMIC_RELAXED);
	return snprintf(buf, size, "late");
}

static void wake(void)
{
	close(open(fifo, O_WRONLY));
}

static void is_done(void **state)
{
	char buf[32] = "what was there";

	(void)state;
	assert_true(descriptors() >= 3);
	assert_int_equal(tcmu_aside(give, "root", "path", buf, sizeof(buf), NULL), 4);
	assert_string_equal(buf, "path");
	assert_int_equal(own_fds, 0);
	assert_false(tcmu_aside_left());
}

static void *set_over(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&asleep, __ATOMIC_RELAXED))
		nap();
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	return NULL;
}

static void is_left(void **state)
{
	char buf[32] = "as it was";
	pthread_t thread;

	(void)state;
	over = false;
	pthread_create(&thread, NULL, set_over, NULL);
	assert_int_equal(tcmu_aside(sleep_in, "root", fifo, buf, sizeof(buf), &over), -ENODEV);
	pthread_join(thread, NULL);
	assert_string_equal(buf, "as it was");
	assert_true(tcmu_aside_left());
	wake();
	while (tcmu_aside_left())
		nap();
	assert_string_equal(buf, "as it was");
}

static void *wake_it(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&asleep, __ATOMIC_RELAXED))
		nap();
	wake();
	return NULL;
}

static void is_waited_for(void **state)
{
	char buf[32] = "as it was";
	pthread_t thread;

	(void)state;
	over = false;
	pthread_create(&thread, NULL, wake_it, NULL);
	assert_int_equal(tcmu_aside(sleep_in, "root", fifo, buf, sizeof(buf), &over), 4);
	pthread_join(thread, NULL);
	assert_string_equal(buf, "late");
	assert_false(tcmu_aside_left());
}

static int make_fifo(void **state)
{
	(void)state;
	snprintf(fifo, sizeof(fifo), "/tmp/test-aside-%d", (int)getpid());
	return mkfifo(fifo, 0600);
}

static int remove_fifo(void **state)
{
	(void)state;
	return unlink(fifo);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_done),
		cmocka_unit_test(is_left),
		cmocka_unit_test(is_waited_for),
	};

	return cmocka_run_group_tests(tests, make_fifo, remove_fifo);
}
