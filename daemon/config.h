/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file. */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include "daemon/options.h"

/*
 * Sets what the file says in *opt, which holds the defaults. A value that is wrong is said, with its line, by
 * say(), and leaves what old has (NULL: the default). How many were wrong; -errno when the file cannot be read
 * or understood, which is said too, and nothing of it is used; it need not be there, unless it is required.
 */
int daemon_config_read(struct daemon_options *opt, const struct daemon_options *old,
		       const char *path, bool required, void (*say)(const char *sentence));
/* The same with its text, of len bytes; path is what it is called in sentences. */
int daemon_config_parse(struct daemon_options *opt, const struct daemon_options *old,
			const char *path, const char *text, size_t len,
			void (*say)(const char *sentence));

#endif
