/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka with what it wants included before. */
#ifndef TEST_H
#define TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#endif
