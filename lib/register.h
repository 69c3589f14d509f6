/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers of a context on the system bus. Main context of the thread that registers them. */
#ifndef LIB_REGISTER_H
#define LIB_REGISTER_H

#include "lib/context.h"

/* See tcmulib_register(). */
void tcmu_register(struct tcmulib_context *ctx);
/* They are gone from the bus; nothing, if they never were there. */
void tcmu_register_end(struct tcmulib_context *ctx);

#endif
