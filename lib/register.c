/* SPDX-License-Identifier: Apache-2.0 */
#include "libtcmu.h"

/* There is no D-Bus service yet; programs may call this all the same. */
void tcmulib_register(struct tcmulib_context *ctx)
{
	(void)ctx;
}
