/* SPDX-License-Identifier: Apache-2.0 */
/* A handler of a later API. */
#include "tcmu-runner.h"

static struct tcmur_handler later = { .name = "later", .subtype = "later" };

__attribute__((visibility("default"))) struct tcmur_handler *tcmur_handler_entry(void);

struct tcmur_handler *tcmur_handler_entry(void)
{
	later._struct_size = sizeof(later) + 64;
	later._api_version = 99;
	return &later;
}
