/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fixed list of commands and answers, and a text of what the kernel puts on the ring for it. Runs
 * on the real kernel (tests/vm/record.c), which gave the files in recorded/, and on the fake
 * (test-recorded.c), which must give the same text.
 */
#ifndef TESTS_RING_RECORD_SCRIPT_H
#define TESTS_RING_RECORD_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "ref-consumer.h"

#define RECORD_SLOTS    64
#define RECORD_MAX_DATA (512u << 10)
#define RECORD_RING_MB  1
#define RECORD_AREA_MB  4

enum record_dir { RECORD_NONE, RECORD_OUT, RECORD_IN };

struct record_result {
	uint8_t status;
	uint8_t key, asc;
	int residual;
};

/* What differs between the two: who sends commands, and the doorbell. */
struct record {
	FILE *out;
	struct ref_consumer c;
	void *arg;
	/* Sends a command; returns when it is on the ring, or is certain not to get there now. */
	void (*submit)(void *arg, int slot, const uint8_t *cdb, size_t cdb_len, enum record_dir dir,
		       size_t len);
	void (*kick)(void *arg);
	struct record_result (*reap)(void *arg, int slot); /* an answered command */
	void (*free_kept)(void *arg, uint16_t id);

	/* the script's own */
	struct ref_cmd cmd[RECORD_SLOTS];
	bool on_ring[RECORD_SLOTS];
	int waiting[RECORD_SLOTS]; /* not on the ring yet, in order */
	int waiting_cnt;
	uint32_t seen;   /* cmd_head as far as it is in the text */
	uint64_t digest; /* of entries that are not written out */
	bool quiet;
};

/* The ring must be as after a reset: head and tail 0, nothing in flight. */
void record_script(struct record *rec);

#endif
