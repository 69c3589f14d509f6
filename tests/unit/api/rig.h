/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of api.c share: a device without a kernel. Included once per program. */
#ifndef TESTS_UNIT_API_RIG_H
#define TESTS_UNIT_API_RIG_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/device.h"
#include "libtcmu.h"

#define CANARY 0xa5

/* wwn/vpd_unit_serial as configfs has it; NULL: no such file. */
static const char *serial_file;

/* In place of lib/. */
ssize_t tcmu_dev_read_attr(struct tcmu_device *dev, const char *name, char *buf, size_t size)
{
	(void)dev;
	if (!serial_file || strcmp(name, "wwn/vpd_unit_serial"))
		return -ENOENT;
	return snprintf(buf, size, "%s", serial_file);
}

#endif
