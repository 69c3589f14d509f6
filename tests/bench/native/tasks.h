/* SPDX-License-Identifier: Apache-2.0 */
/* Threads and memory of a process, out of /proc. */
#ifndef TESTS_BENCH_NATIVE_TASKS_H
#define TESTS_BENCH_NATIVE_TASKS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tasks {
	unsigned int count;
	uint64_t switches; /* how often they have given the processor away, by themselves or not */
};

/* The threads whose names begin so; none if /proc cannot be read. */
struct tasks tasks_named(pid_t pid, const char *prefix);
/* Bytes that are this process' alone and in no file: what goes when it ends. Not those of rings. */
size_t tasks_private_memory(pid_t pid);

#endif
