/* SPDX-License-Identifier: Apache-2.0 */
/* The fake kernel has no target ports: all may be copied but what is called secret. */
#include <string.h>

#include "libtcmu.h"
#include "runner/ports.h"

bool runner_copy_allowed(struct tcmu_device *from, struct tcmu_device *to)
{
	return !strstr(tcmu_dev_get_name(from), "secret") &&
	       !strstr(tcmu_dev_get_name(to), "secret");
}
