/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of bench-native. */
#ifndef TESTS_BENCH_NATIVE_OPTIONS_H
#define TESTS_BENCH_NATIVE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "runner/manager.h"

enum bench_rw { BENCH_RANDREAD, BENCH_RANDWRITE, BENCH_READ, BENCH_WRITE };

struct bench_options {
	char *config; /* "%d" in it: the number of the LUN */
	char *handler_path;
	char *engine_name;
	char *rw_name;
	int luns, depth, bs;       /* bs: bytes of a command's data */
	int64_t size;              /* bytes of a LUN */
	int64_t commands, warm_up; /* of each LUN */
	bool bursts; /* the next commands when all of the last ones are answered, not one by one */
	enum bench_rw rw;
	struct runner_limits limits;
};

/* 0; 1: --help was said, exit 0; -1: a mistake was said, exit 2. */
int bench_options_parse(struct bench_options *opt, int argc, char **argv);
void bench_options_free(struct bench_options *opt);

#endif
