/* SPDX-License-Identifier: Apache-2.0 */
#include "proc.h"

#include "tests/ring/journal-rig.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Sanitizers and valgrind slow everything down, and so do other jobs on the machine. */
#define READY_MS 60000
#define STOP_MS  60000

static int failures;

const char *world_path(struct world *w, const char *name)
{
	static char path[320];

	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	return path;
}

const char *world_file(struct world *w, const char *name, off_t size)
{
	const char *path = world_path(w, name);
	int fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, size))
		perror(path);
	close(fd);
	return path;
}

void world_open(struct world *w)
{
	const char *tmp = getenv("TMPDIR");

	/* Whatever bus this machine has is none of ours. GLib starts no thread for an address like this one, whose
	 * locks ThreadSanitizer would not see. */
	setenv("DBUS_SYSTEM_BUS_ADDRESS", "none:", 1);
	memset(w, 0, sizeof(*w));
	snprintf(w->dir, sizeof(w->dir), "%s/tcmu-test.XXXXXX",
		 tmp && strlen(tmp) < 64 ? tmp : "/tmp");
	if (!mkdtemp(w->dir))
		perror(w->dir);
	snprintf(w->d.log, sizeof(w->d.log), "%s/daemon.log", w->dir);
	w->k = fake_kernel_new();
}

static int rm(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int world_close(struct world *w)
{
	unsigned int bad;
	int status = w->d.pid ? proc_stop(&w->d, STOP_MS) : 0;

	if (status)
		fprintf(stderr, "the daemon ended with %d\n", status);
	bad = fake_verdicts_total(fake_kernel_verdicts(w->k), stderr);
	if (status || bad)
		proc_print_log(&w->d);
	fake_kernel_free(w->k);
	nftw(w->dir, rm, 16, FTW_DEPTH | FTW_PHYS);
	failures += status || bad;
	return status || bad;
}

int world_failures(void)
{
	return failures;
}

int world_check(struct world *w)
{
	struct fake_verdicts *v = fake_kernel_verdicts(w->k);

	if (!fake_verdicts_total(v, stderr))
		return 0;
	fake_verdicts_clear(v);
	proc_print_log(&w->d);
	return -1;
}

void proc_spawn(struct proc *p, char *const argv[])
{
	int fd = open(p->log, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);

	p->log_pos = (size_t)lseek(fd, 0, SEEK_END);
	p->pid = fork();
	if (!p->pid) {
		/* A test that dies takes its daemons along. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fd, 1);
		dup2(fd, 2);
		execv(argv[0], argv);
		perror(argv[0]);
		_exit(127);
	}
	close(fd);
}

static bool ended(struct proc *p, int *status)
{
	int st;

	if (waitpid(p->pid, &st, WNOHANG) != p->pid)
		return false;
	p->pid = 0;
	*status = WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
	return true;
}

bool proc_said(struct proc *p, const char *text)
{
	static char buf[1 << 20];
	int fd = open(p->log, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : pread(fd, buf, sizeof(buf) - 1, (off_t)p->log_pos);

	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = '\0';
	return strstr(buf, text);
}

void proc_mark(struct proc *p)
{
	struct stat st;

	if (!stat(p->log, &st))
		p->log_pos = (size_t)st.st_size;
}

int proc_expect(struct proc *p, const char *text, int timeout_ms)
{
	uint64_t end = fake_now_ms() + (uint64_t)timeout_ms;
	int status;

	while (!proc_said(p, text)) {
		if (ended(p, &status)) {
			fprintf(stderr, "it ended with %d before it said \"%s\"\n", status, text);
			proc_print_log(p);
			return -1;
		}
		if (fake_now_ms() > end) {
			fprintf(stderr, "it never said \"%s\"\n", text);
			proc_print_log(p);
			return -1;
		}
		poll(NULL, 0, 5);
	}
	return 0;
}

int proc_wait(struct proc *p, int timeout_ms)
{
	uint64_t end = fake_now_ms() + (uint64_t)timeout_ms;
	int status;

	while (!ended(p, &status)) {
		if (fake_now_ms() > end) {
			fprintf(stderr, "still there after %d ms\n", timeout_ms);
			proc_kill(p);
			return -1;
		}
		poll(NULL, 0, 2);
	}
	return status;
}

int proc_stop(struct proc *p, int timeout_ms)
{
	kill(p->pid, SIGTERM);
	return proc_wait(p, timeout_ms);
}

void proc_kill(struct proc *p)
{
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	p->pid = 0;
}

void proc_print_log(struct proc *p)
{
	FILE *f = fopen(p->log, "re");
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		fprintf(stderr, "  | %s", line);
	if (f)
		fclose(f);
}

const char *engine_option(void)
{
	const char *engine = getenv("TCMU_TEST_ENGINE");

	return engine && !strcmp(engine, "io_uring") ? "--engine=io_uring" : "--engine=workers";
}

void daemon_spawn(struct world *w, const char *const wrapper[])
{
	const char *argv[32];
	char lock[160];
	int n = 0;

	snprintf(lock, sizeof(lock), "%s/lock", w->dir);
	while (wrapper && *wrapper)
		argv[n++] = *wrapper++;
	argv[n++] = w->program ? w->program : TCMU_RUNNER_FAKE;
	argv[n++] = "--handler-path";
	argv[n++] = TCMU_HANDLERS;
	argv[n++] = "--lock-file";
	argv[n++] = lock;
	argv[n++] = engine_option();
	argv[n++] = "-d";
	argv[n] = NULL;
	proc_spawn(&w->d, (char *const *)(uintptr_t)argv);
}

int daemon_start(struct world *w, const char *const wrapper[])
{
	daemon_spawn(w, wrapper);
	return proc_expect(&w->d, "ready", READY_MS);
}

int lun_create(struct world *w, const char *name, const char *config, uint64_t size,
	       struct fake_dev **dev)
{
	struct fake_dev_cfg cfg = {
		.name = name, .config = config, .size = size, .ring = FAKE_RING_CFG_DEFAULT
	};

	/* The scratch of lib/ring.h: its word with the read position. */
	journal_cfg(&cfg.ring);
	return fake_dev_create(w->k, &cfg, dev);
}
