/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock is held by a thread of its own, which has a table of descriptors of its own with nothing else in
 * it. When a process is killed while one of its threads sleeps uninterruptibly, as in configfs next to a
 * removal that waits for an answer, the other threads' descriptors stay open until that one wakes up, which
 * may take the next daemon; and that one must be able to start.
 */
#include "daemon/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "libtcmu.h"
#include "util/cleanup.h"

#define WAIT_MS 10000
#define STEP_MS 10

static struct {
	pthread_t thread;
	sem_t ready, end;
	int fd; /* in the thread's table, and in ours until it is ready */
	int err;
	bool runs;
} holder;

static void *hold(void *arg)
{
	(void)arg;
	if (unshare(CLONE_FILES)) {
		holder.err = -errno;
	} else {
		/* A log that is rotated must not stay open here. Before Linux 5.9 it does. */
		if (holder.fd)
			close_range(0, (unsigned int)holder.fd - 1, 0);
		close_range((unsigned int)holder.fd + 1, ~0U, 0);
	}
	sem_post(&holder.ready);
	while (sem_wait(&holder.end))
		;
	flock(holder.fd, LOCK_UN); /* before anybody knows that this thread has ended */
	return NULL;
}

/* Not a single signal is for it. */
static int start_holder(void)
{
	sigset_t all, old;
	int ret;

	sem_init(&holder.ready, 0, 0);
	sem_init(&holder.end, 0, 0);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = -pthread_create(&holder.thread, NULL, hold, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret)
		return ret;
	pthread_setname_np(holder.thread, "tcmu-lock");
	holder.runs = true;
	while (sem_wait(&holder.ready))
		;
	return holder.err;
}

static bool is_gone(const char *pid)
{
	long n = strtol(pid, NULL, 10);

	return n > 0 && n <= INT_MAX && kill((pid_t)n, 0) && errno == ESRCH;
}

/* -EBUSY: pid has it. What is left of a process that was killed, a thread or a child that has not come to its
 * exec() yet, may have it a little longer. */
static int take(int fd, const char *path, char pid[32])
{
	for (int ms = 0;; ms += STEP_MS) {
		ssize_t n;

		if (!flock(fd, LOCK_EX | LOCK_NB))
			return 0;
		if (errno != EWOULDBLOCK)
			return -errno;
		n = pread(fd, pid, 31, 0);
		strcpy(pid + (n > 0 ? n : 0), n > 0 ? "" : "?");
		pid[strcspn(pid, "\n")] = '\0';
		if (ms >= WAIT_MS || !is_gone(pid))
			return -EBUSY;
		if (!ms)
			tcmu_warn("process %s is gone, but %s is still locked: waiting for its end",
				  pid, path);
		usleep(STEP_MS * 1000);
	}
}

static int take_and_sign(int fd, const char *path)
{
	char pid[32] = "";
	int ret = take(fd, path, pid), len;

	if (ret == -EBUSY)
		tcmu_err("another tcmu-runner is running: process %s holds %s. Stop it first", pid,
			 path);
	else if (ret)
		tcmu_err("cannot lock %s: %s", path, strerror(-ret));
	if (ret)
		return ret;
	len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)len, 0) != len)
		tcmu_warn("cannot write our process number into %s: %s", path, strerror(errno));
	return 0;
}

int daemon_lock(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int ret;

	if (fd < 0) {
		ret = -errno;
		tcmu_err("cannot open the lock file %s: %s; run as root, or give another "
			 "--lock-file",
			 path, strerror(errno));
		return ret;
	}
	ret = take_and_sign(fd, path);
	if (ret)
		return ret;
	holder.fd = fd;
	ret = start_holder();
	if (ret) {
		tcmu_warn("no thread of its own can hold %s (%s): if this process is killed while "
			  "it waits in the kernel, the next one may be refused",
			  path, strerror(-ret));
		fd = -1; /* stays open */
	}
	return 0;
}

void daemon_unlock(void)
{
	if (!holder.runs)
		return;
	sem_post(&holder.end);
	pthread_join(holder.thread, NULL);
	holder.runs = false;
}
