/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers that can be used. Main thread; entries live until runner_registry_free(). */
#ifndef RUNNER_REGISTRY_H
#define RUNNER_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>

#include "tcmu-runner.h"

struct runner_handler {
	struct tcmur_handler handler; /* the runner's copy; callbacks it lacks are NULL */
	bool old_style;               /* came through tcmur_register_handler() */
	char *path;                   /* the shared object */
	void *dl;   /* its dlopen handle; NULL for a second handler of one object */
	bool ready; /* init() has succeeded */
};

/* Copies and checks h, which was built for struct_size bytes and api_version. Reasons for refusal
 * are logged, naming path. 0 or -errno. */
int runner_registry_add(const struct tcmur_handler *h, size_t struct_size, unsigned int api_version,
			bool old_style, const char *path);
/* Ties dl to the handlers added since mark (a former runner_registry_count()). */
void runner_registry_own(size_t mark, void *dl);
size_t runner_registry_count(void);
const struct runner_handler *runner_registry_at(size_t i);
/* By its whole subtype; NULL: none. */
const struct runner_handler *runner_registry_find(const char *subtype);
/* destroy() and dlclose() of all. No device may be left. */
void runner_registry_free(void);

#endif
