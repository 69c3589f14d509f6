/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_BENCH_NATIVE_SWITCHES_H
#define TESTS_BENCH_NATIVE_SWITCHES_H

#include <stdint.h>

/* How often the threads of this process that are called so have given the processor away, by themselves or
 * not. 0 if /proc cannot be read. */
uint64_t bench_switches(const char *thread);

#endif
