/* SPDX-License-Identifier: Apache-2.0 */
/* The config string as a handler gets it: without what is the runner's, with the options that all of its logical units have. */
#ifndef RUNNER_DEFAULTS_H
#define RUNNER_DEFAULTS_H

#include <stddef.h>

struct runner_config {
	char *cfgstring; /* malloc'ed */
	size_t own_len; /* bytes at its front that do not come from defaults: what names the logical unit */
	unsigned int time_out_sec;
};

/* Of the string that configfs has, in which an option counts more than a default with the same name. 0; -EINVAL: a
 * time-out is no whole number; -ENOMEM. Main thread. */
int runner_config_make(struct runner_config *config, const char *cfgstring);

#endif
