/* SPDX-License-Identifier: Apache-2.0 */
#include "refuse.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int qcow_refuse(char **reason, int err, const char *fmt, ...)
{
	char *former = *reason;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(reason, fmt, args) < 0)
		*reason = NULL;
	va_end(args);
	free(former); /* it may be one of the arguments */
	return -err;
}
