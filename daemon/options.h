/* SPDX-License-Identifier: Apache-2.0 */
/* The command line. */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include <stdbool.h>

#include "runner/manager.h"

struct daemon_options {
	bool debug;
	int nofile;         /* RLIMIT_NOFILE */
	char *log_dir;      /* NULL: messages go to stderr only */
	char *handler_path; /* directory */
	char *lock_path;
	char *crash_path; /* runner/blame.h */
	char **foreign;   /* subtypes of other daemons, NULL at the end; or NULL */
	struct runner_limits limits;
};

/* 0: go on; 1: everything was said (--help, --version), exit 0; -1: a mistake was said, exit 2. */
int daemon_options_parse(struct daemon_options *opt, int argc, char **argv);
void daemon_options_free(struct daemon_options *opt);

#endif
