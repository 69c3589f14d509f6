/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon ends, in order or not, and the next one goes on. */
#include "daemon-test.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

static struct world w;

static int setup(void **state)
{
	(void)state;
	world_open(&w);
	return daemon_start(&w, NULL);
}

static int teardown(void **state)
{
	(void)state;
	return world_close(&w);
}

static void idle(struct fake_dev *dev)
{
	assert_int_equal(fake_wait_idle(fake_dev_ring(dev), LONG_MS), 0);
}

static void stop(void)
{
	assert_int_equal(proc_stop(&w.d, LONG_MS), 0);
}

static void start(void)
{
	assert_int_equal(daemon_start(&w, NULL), 0);
}

static void nothing_to_do(void **state)
{
	(void)state;
	stop();
	/* A create without a daemon does not hang. */
	assert_false(fake_kernel_replies(w.k));
	start();
}

/* What is in flight is finished, what was not begun waits for the next daemon: nobody notices. */
static void restart_under_io(void **state)
{
	struct fake_dev *a = file_lun(&w, "a", 8 * MIB), *b = file_lun(&w, "b", 4 * MIB);
	struct load *la = file_load(a, 8 * MIB, 1), *lb = file_load(b, 4 * MIB, 2);

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(load_progress(la, 200, LONG_MS), 0);
		assert_int_equal(load_progress(lb, 100, LONG_MS), 0);
		stop();
		assert_false(fake_dev_is_open(a));
		assert_false(fake_dev_is_open(b));
		start();
	}
	assert_int_equal(load_progress(la, 200, LONG_MS), 0);
	assert_int_equal(load_refused(la) + load_refused(lb), 0);
	assert_int_equal(load_finish(la), 0);
	assert_int_equal(load_finish(lb), 0);
	idle(a);
	idle(b);
	assert_int_equal(fake_dev_remove(a), 0);
	assert_int_equal(fake_dev_remove(b), 0);
}

/* Stopped with nothing in flight: all answered, tail == head. */
static void stop_when_idle(void **state)
{
	struct fake_dev *dev = file_lun(&w, "quiet", 4 * MIB);
	struct load *l = file_load(dev, 4 * MIB, 3);

	(void)state;
	assert_int_equal(load_progress(l, 500, LONG_MS), 0);
	assert_int_equal(load_finish(l), 0);
	stop();
	idle(dev);
	start();
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* Killed at any moment: the next one goes on with what is on the ring; nobody has to send anything again,
 * and what was acknowledged stays. */
static void killed_under_io(void **state)
{
	struct fake_dev *dev = file_lun(&w, "crash", 8 * MIB);
	/* At most four pages, which always fit into a slot. */
	struct load_cfg cfg = {
		.blocks = 8 * MIB / 512, .depth = 32, .max_io = 24, .unmap = true, .seed = 4
	};
	struct load *l = load_start(fake_dev_ring(dev), &cfg);
	bool again = false;

	(void)state;
	/* On a slow machine most deaths find everything answered: until one did not. */
	for (int i = 0; i < 15 || (!again && i < 200); i++) {
		assert_int_equal(load_progress(l, 150 + (unsigned int)i % 15 * 37, LONG_MS), 0);
		proc_kill(&w.d);
		assert_true(fake_ring_check_swap(fake_dev_ring(dev)));
		start();
		/* It is ready before its devices are: what they say comes before their answers. */
		assert_int_equal(load_progress(l, 100, LONG_MS), 0);
		again |= proc_said(&w.d, "commands are executed again");
		assert_false(proc_said(&w.d, "resetting the ring"));
	}
	assert_int_equal(load_progress(l, 300, LONG_MS), 0);
	assert_int_equal(load_refused(l), 0);
	assert_int_equal(load_finish(l), 0);
	assert_true(again);
	idle(dev);
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* Of commands with many iovecs some do not fit where they would have to go; they are sent again. */
static void killed_under_large_io(void **state)
{
	struct fake_dev *dev = file_lun(&w, "large", 8 * MIB);
	struct load_cfg cfg = { .blocks = 8 * MIB / 512, .depth = 32, .max_io = 256, .seed = 6 };
	struct load *l;

	(void)state;
	fake_ring_fragment(fake_dev_ring(dev), true);
	l = load_start(fake_dev_ring(dev), &cfg);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(load_progress(l, 150, LONG_MS), 0);
		proc_kill(&w.d);
		start();
		assert_int_equal(load_progress(l, 100, LONG_MS), 0);
		assert_false(proc_said(&w.d, "resetting the ring"));
	}
	assert_int_equal(load_progress(l, 100, LONG_MS), 0);
	assert_int_equal(load_finish(l), 0);
	fake_ring_fragment(fake_dev_ring(dev), false);
	idle(dev);
	assert_int_equal(fake_dev_remove(dev), 0);
}

/*
 * Initiators that count in block 0 with COMPARE AND WRITE. Each GOOD is one, also when the daemon is killed
 * between the writing and the answer: executed twice it would be a MISCOMPARE, and one too many.
 */
#define COUNTERS 6

struct counter {
	pthread_t thread;
	struct fake_ring *r;
	_Atomic(unsigned long) *good;
	_Atomic(bool) *stop;
	unsigned int failed;
};

static bool exec_rw(struct fake_ring *r, uint8_t opcode, uint8_t blocks, enum fake_dir dir,
		    uint8_t *buf, size_t len, struct fake_cmd *cmd)
{
	uint8_t cdb[16] = { opcode, [13] = blocks };

	do {
		fake_cmd_init(cmd, cdb, sizeof(cdb), dir, buf, len);
		if (fake_exec(r, cmd, LONG_MS))
			return false;
	} while (cmd->status == 0x02 && (cmd->sense[2] & 0xf) == 0x06); /* UNIT ATTENTION */
	return true;
}

static void *count(void *arg)
{
	struct counter *me = arg;
	uint8_t buf[1024];
	struct fake_cmd cmd;
	uint64_t n;

	while (!*me->stop) {
		if (!exec_rw(me->r, 0x88, 1, FAKE_IN, buf, 512, &cmd) || cmd.status) {
			me->failed++;
			break;
		}
		memcpy(buf + 512, buf, 512);
		memcpy(&n, buf, sizeof(n));
		n++;
		memcpy(buf + 512, &n, sizeof(n));
		if (!exec_rw(me->r, 0x89, 1, FAKE_OUT, buf, 1024, &cmd))
			me->failed++;
		else if (!cmd.status)
			++*me->good;
		else if (cmd.status != 0x02 || (cmd.sense[2] & 0xf) != 0x0e) /* MISCOMPARE */
			me->failed++;
	}
	return NULL;
}

static void killed_under_compare_and_write(void **state)
{
	struct fake_dev *dev = file_lun(&w, "counter", MIB);
	struct counter c[COUNTERS] = { 0 };
	_Atomic(unsigned long) good = 0;
	_Atomic(bool) stop_counting = false;
	uint8_t buf[512];
	struct fake_cmd cmd;
	uint64_t n;

	(void)state;
	for (int i = 0; i < COUNTERS; i++) {
		c[i].r = fake_dev_ring(dev);
		c[i].good = &good;
		c[i].stop = &stop_counting;
		pthread_create(&c[i].thread, NULL, count, &c[i]);
	}
	for (int i = 0; i < 25; i++) {
		unsigned long before = good;

		while (good < before + 10)
			usleep(100);
		usleep((unsigned int)i * 37);
		proc_kill(&w.d);
		start();
	}
	stop_counting = true;
	for (int i = 0; i < COUNTERS; i++) {
		pthread_join(c[i].thread, NULL);
		assert_int_equal(c[i].failed, 0);
	}
	assert_true(exec_rw(fake_dev_ring(dev), 0x88, 1, FAKE_IN, buf, sizeof(buf), &cmd));
	memcpy(&n, buf, sizeof(n));
	assert_int_equal(n, good);
	idle(dev);
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* A device from before the first daemon, and commands that wait since then. */
static void device_before_start(void **state)
{
	struct fake_dev *dev;
	struct load *l;

	(void)state;
	stop();
	dev = file_lun(&w, "early", 4 * MIB);
	assert_false(fake_dev_is_open(dev));
	l = file_load(dev, 4 * MIB, 5);
	start();
	assert_int_equal(load_progress(l, 300, LONG_MS), 0);
	assert_int_equal(load_finish(l), 0);
	idle(dev);
	assert_int_equal(fake_dev_remove(dev), 0);
}

static void removed_while_down(void **state)
{
	struct fake_dev *dev = file_lun(&w, "short-lived", MIB);

	(void)state;
	stop();
	assert_int_equal(fake_dev_remove(dev), 0);
	start();
}

/* Only one daemon; the other one says whom to stop. */
static void second_instance(void **state)
{
	struct proc first = w.d;
	char pid[32];

	(void)state;
	snprintf(pid, sizeof(pid), "%d", (int)first.pid);
	{
		char lock[160];
		char *argv[] = { (char *)(uintptr_t)TCMU_RUNNER_FAKE,
				 (char *)(uintptr_t) "--handler-path",
				 (char *)(uintptr_t)TCMU_HANDLERS,
				 (char *)(uintptr_t) "--lock-file",
				 lock,
				 NULL };
		struct proc second = { 0 };

		snprintf(lock, sizeof(lock), "%s/lock", w.dir);
		snprintf(second.log, sizeof(second.log), "%s/second.log", w.dir);
		proc_spawn(&second, argv);
		assert_true(proc_wait(&second, LONG_MS) > 0);
		assert_true(proc_said(&second, pid));
	}
	assert_int_equal(kill(w.d.pid, 0), 0);
}

/* Its child is still on the way to exec(), and has the lock. */
static void lock_of_a_process_that_is_gone(void **state)
{
	pid_t gone = fork();
	int fd;

	(void)state;
	if (!gone)
		_exit(0);
	assert_int_equal(waitpid(gone, NULL, 0), gone);
	stop();
	fd = open(world_path(&w, "lock"), O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_true(dprintf(fd, "%d\n", (int)gone) > 0);
	daemon_spawn(&w, NULL);
	assert_int_equal(proc_expect(&w.d, "is still locked", LONG_MS), 0);
	close(fd);
	assert_int_equal(proc_expect(&w.d, "ready", LONG_MS), 0);
}

static void interrupted(void **state)
{
	(void)state;
	kill(w.d.pid, SIGINT);
	assert_int_equal(proc_wait(&w.d, LONG_MS), 0);
	start();
	kill(w.d.pid, SIGHUP); /* logs are opened anew; it goes on */
	usleep(50000);
	assert_int_equal(kill(w.d.pid, 0), 0);
}

/* ---- upgrade ---- */

static unsigned int count_fds(void)
{
	unsigned int n = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)w.d.pid);
	dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void upgrade(void)
{
	proc_mark(&w.d);
	kill(w.d.pid, SIGUSR2);
	assert_int_equal(proc_expect(&w.d, "ready: ", LONG_MS), 0);
}

/* The same process goes on as another program; nobody notices. */
static void upgraded_under_io(void **state)
{
	struct fake_dev *a = file_lun(&w, "a", 8 * MIB), *b = file_lun(&w, "b", 4 * MIB);
	struct load *la = file_load(a, 8 * MIB, 1), *lb = file_load(b, 4 * MIB, 2);
	uint64_t begin, longest = 0;
	unsigned int fds = 0;

	(void)state;
	for (int i = 0; i < 10; i++) {
		assert_int_equal(load_progress(la, 100, LONG_MS), 0);
		begin = fake_now_ms();
		upgrade();
		assert_int_equal(load_progress(la, 1, LONG_MS), 0);
		if (fake_now_ms() - begin > longest)
			longest = fake_now_ms() - begin;
		if (!fds)
			fds = count_fds();
	}
	print_message("from the signal to the next answer: %u ms at most\n", (unsigned int)longest);
	assert_in_range(count_fds(), 1, fds + 2); /* one more may be on its way */
	assert_int_equal(load_refused(la) + load_refused(lb), 0);
	assert_int_equal(load_finish(la), 0);
	assert_int_equal(load_finish(lb), 0);
	idle(a);
	idle(b);
	assert_int_equal(fake_dev_remove(a), 0);
	assert_int_equal(fake_dev_remove(b), 0);
}

static void put_program(const char *from, const char *to)
{
	char cmd[1000];

	/* Over a running program one cannot write. */
	snprintf(cmd, sizeof(cmd), "cp '%s' '%s.new' && chmod 755 '%s.new' && mv '%s.new' '%s'",
		 from, to, to, to, to);
	assert_int_equal(system(cmd), 0);
}

static void upgraded_to_what_does_not_run(void **state)
{
	char program[160], bad[160], exe[64], path[200] = "";
	struct fake_dev *dev;
	struct load *l;
	FILE *f;

	(void)state;
	snprintf(program, sizeof(program), "%s", world_path(&w, "tcmu-runner"));
	snprintf(bad, sizeof(bad), "%s", world_path(&w, "bad"));
	put_program(TCMU_RUNNER_FAKE, program);
	f = fopen(bad, "w");
	assert_non_null(f);
	fputs("#!/bin/sh\nexit 3\n", f);
	fclose(f);
	stop();
	w.program = program;
	start();
	dev = file_lun(&w, "dev", 4 * MIB);
	l = file_load(dev, 4 * MIB, 3);

	put_program(bad, program);
	kill(w.d.pid, SIGUSR2);
	assert_int_equal(proc_expect(&w.d, "not upgraded: ", LONG_MS), 0);
	assert_int_equal(load_progress(l, 100, LONG_MS), 0);
	assert_int_equal(unlink(program), 0);
	proc_mark(&w.d);
	kill(w.d.pid, SIGUSR2);
	assert_int_equal(proc_expect(&w.d, "not upgraded: ", LONG_MS), 0);
	assert_int_equal(load_progress(l, 100, LONG_MS), 0);

	put_program(TCMU_RUNNER_FAKE, program);
	upgrade();
	snprintf(exe, sizeof(exe), "/proc/%d/exe", (int)w.d.pid);
	assert_true(readlink(exe, path, sizeof(path) - 1) > 0);
	assert_string_equal(path, program); /* without "(deleted)": the new one */
	assert_int_equal(load_progress(l, 100, LONG_MS), 0);
	assert_int_equal(load_refused(l), 0);
	assert_int_equal(load_finish(l), 0);
	idle(dev);
	assert_int_equal(fake_dev_remove(dev), 0);
	stop();
	w.program = NULL;
	start();
}

static int check(void **state)
{
	(void)state;
	return world_check(&w);
}

#define T(fn) cmocka_unit_test_teardown(fn, check)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(nothing_to_do),         T(restart_under_io),
		T(stop_when_idle),        T(killed_under_io),
		T(killed_under_large_io), T(killed_under_compare_and_write),
		T(device_before_start),   T(removed_while_down),
		T(upgraded_under_io),     T(upgraded_to_what_does_not_run),
		T(second_instance),       T(lock_of_a_process_that_is_gone),
		T(interrupted),
	};

	return cmocka_run_group_tests(tests, setup, teardown) + world_failures();
}
