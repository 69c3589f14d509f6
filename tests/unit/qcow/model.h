/* SPDX-License-Identifier: Apache-2.0 */
/* The history of each block: which commands have written to it, and so what it can be. */
#ifndef QCOW_MODEL_H
#define QCOW_MODEL_H

#include "load.h"

/* A copy of new is the last of load_cmds; its number. */
size_t model_begin(const struct load_cmd *new);
void model_end(struct load_cmd *cmd, bool ok);
/* Is one of these blocks being written to? */
bool model_busy(uint64_t lba, uint64_t blocks);

/* What command n writes to a block. */
void model_contents(size_t n, uint64_t lba, uint8_t *block);
/* The byte of command n, where they are not told apart by tags. */
uint8_t model_pattern(size_t n);

/* May a read that began with this event, and ends now, get this? */
bool model_may_have_been(uint64_t lba, const uint8_t *block, uint64_t begun);

#endif
