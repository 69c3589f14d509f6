/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers from shared objects: the only dlopen() of the project. */
#ifndef RUNNER_LOAD_H
#define RUNNER_LOAD_H

/* Loads every handler_*.so of dir into the registry, in the order of their names. What cannot be used
 * is logged and left out. Main thread, once. The number of handlers, or -errno if dir cannot be read. */
int runner_load_dir(const char *dir);

#endif
