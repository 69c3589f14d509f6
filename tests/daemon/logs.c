/* SPDX-License-Identifier: Apache-2.0 */
#include "logs.h"

#include "tests/ring/fake-kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* sd_journal_sendv(3) and syslog(3) know but these. */
#define JOURNAL "/run/systemd/journal/socket"
#define SYSLOG  "/dev/log"

static int journal_fd = -1, syslog_fd = -1;

/* A directory that has what the daemon and its libraries want of /dev, and room for a socket. */
static bool mount_dev(void)
{
	static const char *const names[] = { "null", "zero", "full", "random", "urandom" };
	char from[64], to[64];

	if (mkdir("/run/dev", 0755) || mkdir("/run/dev/shm", 0777))
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(from, sizeof(from), "/dev/%s", names[i]);
		snprintf(to, sizeof(to), "/run/dev/%s", names[i]);
		close(open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
		if (mount(from, to, NULL, MS_BIND, NULL))
			return false;
	}
	return !mount("/dev/shm", "/run/dev/shm", NULL, MS_BIND, NULL) &&
	       !mount("/run/dev", "/dev", NULL, MS_BIND | MS_REC, NULL);
}

bool logs_mount(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", "/run", "tmpfs", 0, NULL) || !mount_dev())
		return false;
	return !mkdir("/run/systemd", 0755) && !mkdir("/run/systemd/journal", 0755);
}

static int listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		perror(path);
	return fd;
}

void logs_open(void)
{
	journal_fd = listen_at(JOURNAL);
	syslog_fd = listen_at(SYSLOG);
}

void logs_close(void)
{
	close(journal_fd);
	close(syslog_fd);
	journal_fd = syslog_fd = -1;
}

static const char *next_with(int fd, const char *text, int timeout_ms)
{
	static char message[8192];
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint64_t end = fake_now_ms() + (uint64_t)timeout_ms;
	ssize_t len;

	while (fake_now_ms() < end) {
		if (poll(&pfd, 1, 100) <= 0)
			continue;
		len = recv(fd, message, sizeof(message) - 1, 0);
		message[len > 0 ? len : 0] = '\0';
		if (strstr(message, text))
			return message;
	}
	return NULL;
}

const char *logs_journal(const char *text, int timeout_ms)
{
	return next_with(journal_fd, text, timeout_ms);
}

const char *logs_syslog(const char *text, int timeout_ms)
{
	return next_with(syslog_fd, text, timeout_ms);
}
