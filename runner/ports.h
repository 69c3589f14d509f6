/* SPDX-License-Identifier: Apache-2.0 */
/* Who sees which logical units. */
#ifndef RUNNER_PORTS_H
#define RUNNER_PORTS_H

#include <stdbool.h>

struct tcmu_device;

/* May an initiator that sees one of the two copy from one to the other? Any thread that may block on
 * configfs; both devices must exist meanwhile. */
bool runner_copy_allowed(struct tcmu_device *from, struct tcmu_device *to);

#endif
