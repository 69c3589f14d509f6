/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/cfgstring.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char key[] = ";tcmur_cmd_time_out=";

/* The seconds of the option at which option points, and where it ends; or -EINVAL. */
static int parse_time_out(char *option, char **end)
{
	char *value = option + strlen(key);
	unsigned long seconds;

	errno = 0;
	seconds = strtoul(value, end, 10);
	if (!isdigit((unsigned char)*value) || (**end && **end != ';') || errno ||
	    seconds > INT_MAX)
		return -EINVAL;
	return (int)seconds;
}

int runner_cfg_take_time_out(char *cfg)
{
	char *end = cfg, *at;
	int seconds = 0;

	while ((at = strstr(end, key))) {
		seconds = parse_time_out(at, &end);
		if (seconds < 0)
			return seconds;
	}
	for (at = cfg; (at = strstr(at, key));) {
		parse_time_out(at, &end);
		memmove(at, end, strlen(end) + 1);
	}
	return seconds;
}
