/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/log.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "daemon/journal.h"
#include "libtcmu.h"

#define LINE_MAX_SIZE 2048 /* of libtcmu's longest name and message */

static char *log_path;
static _Atomic(enum daemon_log_target) log_target = DAEMON_LOG_STDERR;
static int log_fd = -1; /* messages are single O_APPEND writes: no lock between threads */

static const char *const level_names[] = {
	[TCMU_LOG_ERROR] = "error",
	[TCMU_LOG_WARN] = "warning",
	[TCMU_LOG_INFO] = "info",
	[TCMU_LOG_DEBUG] = "debug",
};

static void write_all(int fd, const char *text, size_t len)
{
	/* A log that cannot be written has nowhere to say so. */
	if (write(fd, text, len) < 0)
		return;
}

static size_t time_text(char *buf, size_t size)
{
	struct timespec now;
	struct tm tm;
	size_t len;

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	len = strftime(buf, size, "%Y-%m-%d %H:%M:%S", &tm);
	return len + (size_t)snprintf(buf + len, size - len, ".%03ld ", now.tv_nsec / 1000000);
}

static const int priorities[] = {
	[TCMU_LOG_ERROR] = LOG_ERR,
	[TCMU_LOG_WARN] = LOG_WARNING,
	[TCMU_LOG_INFO] = LOG_INFO,
	[TCMU_LOG_DEBUG] = LOG_DEBUG,
};

/* What people see has no time, level and sender of its own there. */
static bool send_elsewhere(const struct tcmu_log_record *record, enum daemon_log_target target)
{
	char line[LINE_MAX_SIZE];

	if (target == DAEMON_LOG_STDERR)
		return false;
	if (target == DAEMON_LOG_NONE)
		return true;
	snprintf(line, sizeof(line), "%s%s%s", record->device ? record->device : "",
		 record->device ? ": " : "", record->message);
	if (target == DAEMON_LOG_JOURNAL)
		return daemon_journal_send(record, priorities[record->level], line);
	syslog(priorities[record->level], "%s", line);
	return true;
}

static void sink(const struct tcmu_log_record *record, void *arg)
{
	enum daemon_log_target target = atomic_load_explicit(&log_target, memory_order_relaxed);
	const char *dev_name = record->device;
	char line[LINE_MAX_SIZE];
	size_t stamp = time_text(line, sizeof(line));
	int len;

	(void)arg;
	len = snprintf(line + stamp, sizeof(line) - stamp, "tcmu-runner: %s%s%s%s%s\n",
		       record->level == TCMU_LOG_INFO ? "" : level_names[record->level],
		       record->level == TCMU_LOG_INFO ? "" : ": ", dev_name ? dev_name : "",
		       dev_name ? ": " : "", record->message);
	if (len >= (int)(sizeof(line) - stamp)) {
		len = (int)(sizeof(line) - stamp) - 1;
		line[stamp + (size_t)len - 1] = '\n';
	}
	if (!send_elsewhere(record, target))
		write_all(STDERR_FILENO, line + stamp, (size_t)len);
	if (log_fd >= 0)
		write_all(log_fd, line, stamp + (size_t)len);
}

void daemon_log_choose(enum daemon_log_target target)
{
	if (target == DAEMON_LOG_AUTO)
		target = daemon_journal_has_stderr() ? DAEMON_LOG_JOURNAL : DAEMON_LOG_STDERR;
	atomic_store(&log_target, target);
}

static int open_file(void)
{
	return open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
}

int daemon_log_open(const char *dir, enum daemon_log_target target, enum tcmu_log_level level,
		    int rate)
{
	openlog("tcmu-runner", LOG_PID, LOG_DAEMON); /* opens nothing yet */
	daemon_log_choose(target);
	tcmu_set_log_level(level);
	tcmu_set_log_rate((unsigned int)rate);
	tcmu_set_log_sink(sink, NULL);
	if (!dir)
		return 0;
	log_path = g_build_filename(dir, "tcmu-runner.log", NULL);
	log_fd = open_file();
	if (log_fd < 0) {
		int err = errno;

		tcmu_err("cannot write the log %s: %s; give another --tcmu-log-dir", log_path,
			 strerror(err));
		return -err;
	}
	return 0;
}

void daemon_log_reopen(void)
{
	int fd;

	if (log_fd < 0)
		return;
	fd = open_file();
	if (fd < 0) {
		tcmu_err("cannot reopen the log %s: %s; going on with the old one", log_path,
			 strerror(errno));
		return;
	}
	/* In one step, under threads that are writing. */
	dup3(fd, log_fd, O_CLOEXEC);
	close(fd);
}

void daemon_log_close(void)
{
	tcmu_set_log_sink(NULL, NULL);
	closelog();
	if (log_fd >= 0)
		close(log_fd);
	log_fd = -1;
	g_clear_pointer(&log_path, g_free);
}
