/* SPDX-License-Identifier: Apache-2.0 */
/* What counters.so counts, preloaded into bench-native: calls into libc by the threads of devices,
 * their workers and helpers. */
#ifndef TESTS_BENCH_NATIVE_COUNTERS_H
#define TESTS_BENCH_NATIVE_COUNTERS_H

#include <stdatomic.h>
#include <stdbool.h>

struct bench_counters {
	_Atomic(bool) on;
	_Atomic(unsigned long) threads; /* started */
	_Atomic(unsigned long)
		heap; /* malloc(3), free(3) and the like; not to start or join a thread */
	_Atomic(unsigned long) locks; /* mutexes taken */
	_Atomic(unsigned long) wakes; /* conditions and semaphores signalled */
	_Atomic(unsigned long) waits; /* for a condition or semaphore */
};

struct bench_counters *bench_counters(void);

#endif
