/* SPDX-License-Identifier: Apache-2.0 */
/* What a service manager is told: here this program is one, with a socket for sd_notify(3). */
#include "crowd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define STOP_SEC  10 /* start_usual() */
#define CLOSE_SEC 5
#define SPARE_SEC 10

static int sock = -1;
/* All of it, each datagram with a newline before and two after. */
static char told[1 << 18];
static size_t told_len, mark;

static void listen_here(void)
{
	const char *path = world_path(&w, "notify");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	assert_in_range(strlen(path), 1, sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(sock >= 0);
	assert_int_equal(bind(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	told_len = mark = 0;
	told[0] = '\0';
	setenv("NOTIFY_SOCKET", addr.sun_path, 1);
	unsetenv("WATCHDOG_PID");
}

static int notify_open(void **state)
{
	int ret = crowd_open(state);

	listen_here();
	return ret;
}

static int notify_close(void **state)
{
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	close(sock);
	return crowd_close(state);
}

static bool take_one(int timeout_ms)
{
	struct pollfd pfd = { .fd = sock, .events = POLLIN };
	char buf[4096];
	ssize_t n;

	if (poll(&pfd, 1, timeout_ms) <= 0)
		return false;
	n = recv(sock, buf, sizeof(buf) - 1, 0);
	assert_true(n > 0);
	buf[n] = '\0';
	assert_true(told_len + (size_t)n + 4 < sizeof(told));
	told_len += (size_t)sprintf(told + told_len, "\n%s\n\n", buf);
	return true;
}

static void take_all(void)
{
	while (take_one(0))
		;
}

/* What comes is looked at from here on. */
static void mark_here(void)
{
	take_all();
	mark = told_len;
}

/* Where a line that begins so was told; NULL: it was not. */
static const char *find(const char *line)
{
	char at[200];
	const char *p;

	snprintf(at, sizeof(at), "\n%s", line);
	p = strstr(told + mark, at);
	return p ? p + 1 : NULL;
}

static const char *expect(const char *line)
{
	uint64_t end = fake_now_ms() + LONG_MS;

	take_all();
	while (!find(line)) {
		if (fake_now_ms() > end || !take_one(LONG_MS)) {
			print_error("never told '%s' in:%s\n", line, told + mark);
			fail();
		}
	}
	return find(line);
}

static void ready_and_status(void **state)
{
	const char *ready;
	struct fake_dev *dev;
	char line[100];

	(void)state;
	start_usual(all_handlers());
	ready = expect("READY=1\n");
	assert_true(expect("STATUS=") < ready);
	assert_non_null(strstr(told, "file"));
	assert_non_null(strstr(told, ", 0 devices\n"));
	mark_here();
	dev = file_lun(&w, "one", MIB);
	assert_non_null(strstr(expect("STATUS="), ", 1 device\n"));
	mark_here();
	assert_int_equal(fake_dev_remove(dev), 0);
	assert_non_null(strstr(expect("STATUS="), ", 0 devices\n"));
	assert_null(find("READY=1"));
	mark_here();
	kill(w.d.pid, SIGTERM);
	expect("STOPPING=1\n");
	/* A stop may take so long, and the manager must not be less patient. */
	snprintf(line, sizeof(line), "EXTEND_TIMEOUT_USEC=%d000000\n",
		 STOP_SEC + CLOSE_SEC + SPARE_SEC);
	expect(line);
	assert_int_equal(proc_wait(&w.d, LONG_MS), 0);
	take_all();
	assert_null(find("READY=1"));
	assert_null(strstr(told, "WATCHDOG="));
}

static void reload(void **state)
{
	const char *begin, *end;

	(void)state;
	start_usual(all_handlers());
	expect("READY=1\n");
	for (int i = 0; i < 3; i++) {
		mark_here();
		kill(w.d.pid, SIGHUP);
		end = expect("READY=1\n");
		begin = expect("RELOADING=1\nMONOTONIC_USEC=");
		assert_true(begin < end);
	}
	mark_here();
	stop();
	expect("STOPPING=1\n");
	assert_null(find("RELOADING=1"));
}

/* A storage that hangs keeps nobody waiting who is behind us in the order of start. */
static void ready_beside_one_that_hangs(void **state)
{
	struct fake_dev *dev;

	(void)state;
	start_usual(all_handlers());
	dev = slow_lun("slow");
	proc_kill(&w.d);
	hold("slow", "open");
	mark_here();
	start_usual(all_handlers());
	expect("READY=1\n");
	assert_non_null(strstr(told + mark, ", 1 device\n"));
	reached("slow", "open begins", 2);
	let_go("slow", "open");
	reached("slow", "open ends", 2);
	assert_int_equal(fake_dev_remove(dev), 0);
	stop();
}

/* As often as it takes, from the main loop, also while it waits for the end of a device that hangs. */
static void watchdog(void **state)
{
	struct fake_dev *dev;
	struct bg bg;

	(void)state;
	setenv("WATCHDOG_USEC", "300000", 1);
	start_usual(all_handlers());
	dev = slow_lun("slow");
	for (int i = 0; i < 5; i++) {
		mark_here();
		expect("WATCHDOG=1\n");
	}
	hold("slow", "read");
	bg_submit(dev, &bg, read_one, FAKE_IN);
	reached("slow", "read begins", 1);
	kill(w.d.pid, SIGTERM);
	expect("STOPPING=1\n");
	for (int i = 0; i < 5; i++) {
		mark_here();
		expect("WATCHDOG=1\n");
	}
	let_go("slow", "read");
	assert_int_equal(proc_wait(&w.d, LONG_MS), 0);
	bg_wait(&bg);
	assert_int_equal(bg.cmd.status, 0);
	/* Another process's. */
	setenv("WATCHDOG_PID", "1", 1);
	start_usual(all_handlers());
	mark_here();
	assert_int_equal(fake_dev_remove(dev), 0);
	usleep(700000);
	take_all();
	assert_null(find("WATCHDOG=1"));
	unsetenv("WATCHDOG_PID");
	stop();
}

/* The process is the same, and so is what it tells. */
static void upgrade(void **state)
{
	const char *begin;

	(void)state;
	setenv("WATCHDOG_USEC", "3000000", 1);
	start_usual(all_handlers());
	expect("READY=1\n");
	witness_start(5);
	for (int i = 0; i < 3; i++) {
		mark_here();
		kill(w.d.pid, SIGUSR2);
		begin = expect("RELOADING=1\nMONOTONIC_USEC=");
		expect("EXTEND_TIMEOUT_USEC=");
		assert_true(begin < expect("READY=1\n"));
		assert_true(begin < expect("WATCHDOG=1\n"));
		assert_null(find("STOPPING=1"));
	}
	witness_end();
	stop();
	expect("STOPPING=1\n");
}

static void nobody_asks(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	setenv("WATCHDOG_USEC", "300000", 1);
	start_usual(all_handlers());
	kill(w.d.pid, SIGHUP);
	usleep(500000);
	stop();
	take_all();
	assert_int_equal(told_len, 0);
	/* One that is not there. */
	setenv("NOTIFY_SOCKET", world_path(&w, "missing"), 1);
	start_usual(all_handlers());
	witness_start(6);
	witness_end();
	stop();
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, notify_open, notify_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(ready_and_status), T(reload),  T(ready_beside_one_that_hangs),
		T(watchdog),         T(upgrade), T(nobody_asks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
