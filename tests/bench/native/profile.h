/* SPDX-License-Identifier: Apache-2.0 */
/* Under callgrind with --instr-atstart=no: counts from here on, and stops. */
#ifndef TESTS_BENCH_NATIVE_PROFILE_H
#define TESTS_BENCH_NATIVE_PROFILE_H

#include <stdbool.h>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else /* nobody counts */
#define CALLGRIND_START_INSTRUMENTATION (void)0
#define CALLGRIND_STOP_INSTRUMENTATION  (void)0
#endif

static inline void bench_profile(bool on)
{
	if (on)
		CALLGRIND_START_INSTRUMENTATION;
	else
		CALLGRIND_STOP_INSTRUMENTATION;
}

#endif
