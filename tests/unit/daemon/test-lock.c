/* SPDX-License-Identifier: Apache-2.0 */
/* Who has the lock, and when it is free again. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/lock.h"

static char path[] = "/tmp/lock.XXXXXX";

static int setup(void **state)
{
	(void)state;
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* what a daemon leaves behind is our child */
	strcpy(path + strlen(path) - 6, "XXXXXX");
	close(mkstemp(path));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path);
}

static void wait_for_ever(void)
{
	alarm(60); /* a test that fails leaves nobody for long */
	for (;;)
		pause();
}

/*
 * A thread that sleeps uninterruptibly lives on when the process is killed, and with it the descriptors that it
 * shares with the others. Here it is a process that shares them, for a thread that cannot be killed takes a
 * kernel that waits for something.
 */
static pid_t start_thread(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);

	while (!pid)
		wait_for_ever();
	return pid;
}

/* A daemon that has the lock, and tells the number of that thread. */
static pid_t start_daemon(pid_t *thread)
{
	pid_t pid, said;
	int told[2];

	assert_int_equal(pipe(told), 0);
	pid = fork();
	if (!pid) {
		said = daemon_lock(path) ? -1 : start_thread();
		if (write(told[1], &said, sizeof(said)) != sizeof(said))
			_exit(1);
		wait_for_ever();
	}
	assert_int_equal(read(told[0], &said, sizeof(said)), sizeof(said));
	assert_true(said > 0);
	*thread = said;
	close(told[0]);
	close(told[1]);
	return pid;
}

static void kill_it(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void one_at_a_time(void **state)
{
	char text[32] = "";
	pid_t thread, pid = start_daemon(&thread);
	FILE *f = fopen(path, "re");

	(void)state;
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	assert_int_equal(atoi(text), pid);
	assert_int_equal(daemon_lock(path), -EBUSY);
	kill_it(pid);
	kill_it(thread);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(daemon_lock(path), 0);
		daemon_unlock();
	}
}

static void a_stuck_thread_does_not_keep_it(void **state)
{
	pid_t thread, pid = start_daemon(&thread);

	(void)state;
	kill_it(pid);
	assert_int_equal(waitpid(thread, NULL, WNOHANG), 0); /* it is there */
	assert_int_equal(daemon_lock(path), 0);
	daemon_unlock();
	kill_it(thread);
}

/* A log that was rotated would not be freed as long as the thread with the lock has it. */
static void nothing_else_is_kept(void **state)
{
	int p[2];
	char c;

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(daemon_lock(path), 0);
	close(p[1]);
	assert_int_equal(read(p[0], &c, 1), 0); /* nobody has the other end */
	daemon_unlock();
	close(p[0]);
}

static void nowhere(void **state)
{
	(void)state;
	assert_int_equal(daemon_lock("/nowhere/lock"), -ENOENT);
	daemon_unlock();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_at_a_time),
		TEST(a_stuck_thread_does_not_keep_it),
		TEST(nothing_else_is_kept),
		TEST(nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
