/* SPDX-License-Identifier: Apache-2.0 */
/* For tests that never ask the kernel anything. */
#include "lib/kernel.h"

const struct tcmu_kernel_ops tcmu_kernel_ops = { 0 };
