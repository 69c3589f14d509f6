/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/cfgstring.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char key[] = ";tcmur_cmd_time_out=";

int runner_cfg_take_time_out(char *cfg)
{
	char *at = strstr(cfg, key), *value, *end;
	unsigned long seconds;

	if (!at)
		return 0;
	value = at + strlen(key);
	errno = 0;
	seconds = strtoul(value, &end, 10);
	if (!isdigit((unsigned char)*value) || (*end && *end != ';') || errno || seconds > INT_MAX)
		return -EINVAL;
	memmove(at, end, strlen(end) + 1);
	return (int)seconds;
}
