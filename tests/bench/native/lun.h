/* SPDX-License-Identifier: Apache-2.0 */
/* An initiator that keeps one LUN busy, with as little work of its own as possible: a command that
 * is answered is sent again from there, on the thread that looks at the doorbells. */
#ifndef TESTS_BENCH_NATIVE_LUN_H
#define TESTS_BENCH_NATIVE_LUN_H

#include "options.h"
#include "tests/ring/fake-kernel.h"

struct bench_lun;

/* opt is kept. */
struct bench_lun *bench_lun_new(struct fake_ring *r, const struct bench_options *opt,
				unsigned int number);
void bench_lun_free(struct bench_lun *l);
/* So many commands, from now on. */
void bench_lun_start(struct bench_lun *l, int64_t commands);
/* Until all are answered. 0, or -1 after saying what went wrong: one failed, or they do not come. */
int bench_lun_wait(struct bench_lun *l);
/* Appends how long each of the last bench_lun_start() took, in nanoseconds; returns the place behind. */
uint32_t *bench_lun_latencies(const struct bench_lun *l, uint32_t *to);
/* Doorbells so far. */
uint64_t bench_lun_doorbells(const struct bench_lun *l);

#endif
