/* SPDX-License-Identifier: Apache-2.0 */
/* Devices by their names, and what is told of them (runner/control.h). Main thread. */
#ifndef RUNNER_INFO_H
#define RUNNER_INFO_H

#include "runner/control.h"

struct runner_dev;

/* The device "NAME" or "user_N/NAME", of this subtype (NULL: any), that is not about to end. 0 or -errno with a sentence. */
int runner_find(const char *name, const char *subtype, struct runner_dev **found,
		char why[RUNNER_WHY_MAX]);

#endif
