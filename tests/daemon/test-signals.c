/* SPDX-License-Identifier: Apache-2.0 */
/* Each signal that the manual names, while units are in use. */
#include "crowd.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* It goes on, and so do its units. */
static void survives(int signum)
{
	pid_t pid = w.d.pid;

	for (int i = 0; i < 20; i++) {
		assert_int_equal(kill(pid, signum), 0);
		usleep(10000);
	}
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
}

static void ignored(void **state)
{
	(void)state;
	start_usual(all_handlers());
	witness_start(11);
	survives(SIGPIPE);
	survives(SIGUSR1);
	survives(SIGHUP);
	witness_end();
	stop();
}

static void ends_with(int signum, int status)
{
	assert_int_equal(kill(w.d.pid, signum), 0);
	assert_int_equal(proc_wait(&w.d, LONG_MS), status);
	start_usual(all_handlers());
}

static void ends(void **state)
{
	(void)state;
	start_usual(all_handlers());
	witness_start(12);
	for (int i = 0; i < 3; i++) {
		ends_with(SIGTERM, 0);
		ends_with(SIGINT, 0);
		ends_with(SIGKILL, 128 + SIGKILL);
		/* A watchdog's: once is enough, and the next one goes on. */
		ends_with(SIGABRT, 128 + SIGABRT);
	}
	witness_end();
	stop();
}

/* A thread that serves a unit; 0: there is none. */
static pid_t unit_thread(void)
{
	char path[64], comm[32];
	struct dirent *e;
	pid_t found = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)w.d.pid);
	dir = opendir(path);
	assert_non_null(dir);
	while (!found && (e = readdir(dir))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/comm", (int)w.d.pid, e->d_name);
		f = fopen(path, "re");
		if (f && fgets(comm, sizeof(comm), f) && !strcmp(comm, "tcmu-device\n"))
			found = (pid_t)atoi(e->d_name);
		if (f)
			fclose(f);
	}
	closedir(dir);
	return found;
}

/* What somebody else sends is taken by any thread, and no fault of the unit that it serves. */
static void blames_nobody(void **state)
{
	struct fake_dev *dev;

	(void)state;
	start_usual(all_handlers());
	dev = file_lun(&w, "one", MIB);
	for (int i = 0; i < 5; i++) {
		pid_t tid = unit_thread();

		assert_true(tid > 0);
		assert_int_equal(syscall(SYS_tgkill, w.d.pid, tid, SIGABRT), 0);
		assert_int_equal(proc_wait(&w.d, LONG_MS), 128 + SIGABRT);
		start_usual(all_handlers());
		assert_int_equal(test_unit_ready(dev), 0);
	}
	assert_int_equal(fake_dev_remove(dev), 0);
	stop();
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, crowd_open, crowd_close)

int main(void)
{
	const struct CMUnitTest tests[] = { T(ignored), T(ends), T(blames_nobody) };

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
