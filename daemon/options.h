/* SPDX-License-Identifier: Apache-2.0 */
/* The command line, on top of the configuration file. */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include <stdbool.h>

#include "daemon/log.h"
#include "libtcmu.h"
#include "runner/manager.h"

struct daemon_options {
	char *config_path;
	enum tcmu_log_level log_level;
	enum daemon_log_target log_target;
	int log_rate;       /* tcmu_set_log_rate() */
	char **trace;       /* names of devices, NULL at the end; or NULL */
	int nofile;         /* RLIMIT_NOFILE */
	char *log_dir;      /* NULL: messages go to stderr only */
	char *handler_path; /* directory */
	char *lock_path;
	char *crash_path; /* runner/blame.h */
	char **foreign;   /* subtypes of other daemons, NULL at the end; or NULL */
	char **defaults;  /* runner_set_defaults(), or NULL */
	struct runner_limits limits;
};

/*
 * 0: go on; 1: everything was said (--help, --version, --check-config without a mistake), exit 0; -1: a mistake on
 * the command line was said, exit 2. A mistake in the file is told by say() and leaves what running has, or the
 * default where that is NULL. argv is not changed.
 */
int daemon_options_parse(struct daemon_options *opt, int argc, char **argv,
			 const struct daemon_options *running, void (*say)(const char *sentence));
void daemon_options_free(struct daemon_options *opt);

#endif
