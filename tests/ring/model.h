/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an initiator may expect of a disk, whatever becomes of the target meanwhile: each command ends
 * once, and each block holds what was last written to it. Writes may overlap and run at the same time;
 * then either may be the last. A write that failed may have been carried out or not, but not after it
 * was answered. A write is out of the game when another one to that block, which was submitted after its
 * answer, has ended GOOD. Whatever breaks that is verdict 23.
 *
 * Nor does a block go back: who has read something in it, after another write was answered, never finds
 * that other one again.
 *
 * With a volatile cache (model_set_cache()) a loss of power takes each block back to what was last promised to
 * be durable, or to anything that was written since. A promise is a GOOD write with FUA, or without the cache;
 * and a GOOD flush, for all that was answered GOOD before it was submitted. What is older than a promise and
 * comes back is verdict 34.
 *
 * Blocks are stamped, so that each tells which write it is of, and half a block is no block. Any thread.
 */
#ifndef TESTS_RING_MODEL_H
#define TESTS_RING_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "verdict.h"

struct model;

/* All zeros at first. block_size: a multiple of 8, 32 or more. */
struct model *model_new(uint64_t blocks, uint32_t block_size, struct fake_verdicts *v);
void model_free(struct model *m);

/* Call one of them just before the command is submitted; its number, never 0. model_write() makes the
 * data, model_zero() is for a command that leaves zeros (UNMAP, WRITE SAME). */
uint64_t model_write(struct model *m, uint64_t lba, uint32_t blocks, void *data);
uint64_t model_zero(struct model *m, uint64_t lba, uint32_t blocks);
uint64_t model_read(struct model *m, uint64_t lba, uint32_t blocks);
/* From its done(). good: status GOOD; data: what a read that was good has brought. */
void model_answered(struct model *m, uint64_t io, bool good, const void *data);
/* Right behind model_write() and so on, for a command with FUA. */
void model_through(struct model *m, uint64_t io);
/* SYNCHRONIZE CACHE, likewise. */
uint64_t model_flush(struct model *m);
/* Writes from now on stay in a volatile cache if they end GOOD; at first none does. On: before that is
 * submitted; off: when it has ended GOOD. */
void model_set_cache(struct model *m, bool on);
/* The cache is lost now, while nobody serves. What is answered is answered. */
void model_power_cut(struct model *m);
/* A read of a block that is being written may bring some of its words from before and some from after. */
void model_let_tear(struct model *m);
/* A write that failed may come and go, whatever was read, until another one to the block ends GOOD: replicas that did
 * not agree on it. */
void model_let_waver(struct model *m);
/* Nothing is in flight any more: is everything answered? */
void model_quiet(struct model *m);
/* And this is what is on the disk. */
void model_compare(struct model *m, uint64_t lba, uint32_t blocks, const void *data);

#endif
