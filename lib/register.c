/* SPDX-License-Identifier: Apache-2.0 */
#include "libtcmu.h"

/* Nothing yet: the D-Bus service comes with its own issue. */
void tcmulib_register(struct tcmulib_context *ctx)
{
	(void)ctx;
}
