/* SPDX-License-Identifier: Apache-2.0 */
/* What can be set, on the command line as --open-timeout and in the configuration file as open_timeout. */
#ifndef DAEMON_SETTINGS_H
#define DAEMON_SETTINGS_H

#include <glib.h>
#include <stddef.h>

#include "daemon/options.h"

/* A whole number. */
struct daemon_number {
	const char *key; /* as in the file */
	size_t offset;   /* of an int in struct daemon_options */
	int min, max;
	const char *wants;
	bool live; /* may change while the daemon runs */
};

extern const struct daemon_number daemon_numbers[];
extern const size_t daemon_numbers_count;

static inline int *daemon_number_in(const struct daemon_number *n, struct daemon_options *opt)
{
	return (int *)((char *)opt + n->offset);
}

/* Each takes a value as text. NULL, or what is wrong with it, for the end of a sentence. */
const char *daemon_set_number(const struct daemon_number *n, struct daemon_options *opt,
			      const char *value);
const char *daemon_set_engine(struct daemon_options *opt, const char *value);
const char *daemon_set_log_level(struct daemon_options *opt, const char *value);
const char *daemon_set_log_target(struct daemon_options *opt, const char *value);
/* Takes names of devices, a copy of which it keeps. */
const char *daemon_set_trace(struct daemon_options *opt, char **names);
/* Takes subtypes, a copy of which it keeps. */
const char *daemon_set_foreign(struct daemon_options *opt, char **subtypes);

#endif
