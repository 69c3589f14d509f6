/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon in a process of its own, over the fake kernel of this one. */
#ifndef TESTS_DAEMON_PROC_H
#define TESTS_DAEMON_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "tests/ring/fake-kernel.h"

struct proc {
	pid_t pid;      /* 0: it does not run */
	char log[160];  /* its stdout and stderr, appended to by each start */
	size_t log_pos; /* where its own part begins */
};

/* A directory for this test; the lock file, logs and backing files go there. */
struct world {
	struct fake_kernel *k;
	char dir[128];
	struct proc d;
	const char *program; /* NULL: the one of this build */
};

void world_open(struct world *w);
/* Stops the daemon if it runs (it must exit with 0) and tells all violations: 0 if there are none.
 * Prints the daemon's log if there is anything to explain. */
int world_close(struct world *w);
/* Were all world_close() of this process fine? cmocka prints that a group's teardown failed, but does
 * not count it: add this to its result. */
int world_failures(void);
/* After a test: 0 if there were no violations since the last look. */
int world_check(struct world *w);
/* dir/name in a static buffer. */
const char *world_path(struct world *w, const char *name);
/* A sparse file of this size, fresh. */
const char *world_file(struct world *w, const char *name, off_t size);

/* argv[0] is the program. stdout and stderr go to p->log. */
void proc_spawn(struct proc *p, char *const argv[]);
/* 0 when it has said text, -1 when it ended or did not in time. */
int proc_expect(struct proc *p, const char *text, int timeout_ms);
bool proc_said(struct proc *p, const char *text);
/* The exit status, 128 + signal, or -1 when it did not end in time (it is killed then). */
int proc_wait(struct proc *p, int timeout_ms);
int proc_stop(struct proc *p, int timeout_ms); /* SIGTERM, then proc_wait() */
void proc_kill(struct proc *p);
/* What it says is looked for from here on. */
void proc_mark(struct proc *p);
void proc_print_log(struct proc *p);

/* The daemon with the handlers of this build; 0 when it is ready. wrapper: a program and its
 * arguments before it (valgrind), NULL-terminated, or NULL. */
/* --engine=..., by TCMU_TEST_ENGINE in the environment: io_uring, else workers. */
const char *engine_option(void);
void daemon_spawn(struct world *w, const char *const wrapper[]);
int daemon_start(struct world *w, const char *const wrapper[]);
/* user_0/NAME with config "file/PATH" or any other. The result of fake_dev_create(). */
int lun_create(struct world *w, const char *name, const char *config, uint64_t size,
	       struct fake_dev **dev);

#endif
