/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executors: a CDB and a data buffer in, status, sense, data and handler calls out. Dispatch,
 * operations and range locks are the real ones; the ring, the device's loop and the handler are played
 * here.
 */
#ifndef TESTS_UNIT_RUNNER_RIG_H
#define TESTS_UNIT_RUNNER_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/device.h"
#include "runner/device.h"
#include "runner/runner.h"
#include "util/be.h"

#define BLOCK  512u
#define BLOCKS 4096u

extern struct tcmu_device dev;
extern struct runner_dev rdev;
extern struct tcmur_handler handler;
extern uint8_t medium[BLOCK * BLOCKS];
extern uint8_t data[1 << 20]; /* the initiator's buffer */

/* What the handler was asked, a letter each: r w f u s c l (read, write, flush, unmap, write same,
 * compare and write, LBA status). */
extern char calls[4096];
extern int unmap_sts, writesame_sts, read_sts, flush_sts, caw_sts, lba_status_sts;
extern uint64_t bad_byte; /* reads over it fail, and so does the handler's COMPARE AND WRITE */
/* A handler's own COMPARE AND WRITE, for handler.caw. It does not compare. */
int mem_caw(struct tcmu_device *d, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
	    struct iovec *iov, size_t iov_cnt);
/* What a process that died has left with each command that is started; what this one leaves, and how many
 * calls the handler had had then. */
extern uint32_t mark_found, mark_set;
extern size_t calls_at_mark;
/* What lba_status() answers, and what it was asked. */
extern struct tcmur_extent extents[8];
extern uint64_t asked_off, asked_len;
extern size_t asked_max;

struct outcome {
	bool done;
	int sts;
	uint8_t sense[SCSI_SENSE_SIZE];
	uint32_t read_len;
	bool kept; /* with keep_buf */
};
extern struct outcome answer; /* of run() */

/* A test of its own device and medium; all commands of it must be over at the end. */
int setup(void **state);
int teardown(void **state);
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* Runs it to its end, with data_len bytes of data, in pieces of this size. The outcome. */
int run_pieces(const uint8_t *cdb, size_t data_len, size_t piece);
int run(const uint8_t *cdb, size_t data_len);
/* The sense data of the outcome that run() returned. */
void expect_sense(int sts, uint8_t key, uint8_t asc, uint8_t ascq);
/* INVALID FIELD IN CDB with the pointer to this byte. */
void expect_bad_field(int sts, uint8_t byte);

const uint8_t *cdb10(uint8_t opcode, uint8_t byte1, uint32_t lba, uint16_t blocks);
const uint8_t *cdb12(uint8_t opcode, uint8_t byte1, uint32_t lba, uint32_t blocks);
const uint8_t *cdb16(uint8_t opcode, uint8_t byte1, uint64_t lba, uint32_t blocks);
bool is_zero(uint64_t lba, uint64_t blocks);

/* ---- several commands at a time ---- */

struct rig_cmd {
	struct tcmulib_cmd lib;
	uint8_t cdb[16];
	struct iovec iov[512];
	struct outcome outcome;
	union {
		struct runner_cmd rc;
		uint8_t room[4096];
	};
};

/* The command arrives; buf stays its own until the outcome is done. */
void rig_start(struct rig_cmd *cmd, const uint8_t *cdb, uint8_t *buf, size_t len, size_t piece);
/* A task management function that names these (NULL: none), 1 ABORT TASK or 5 LUN RESET, and what comes
 * of it at once. */
void rig_tmr(uint8_t type, struct rig_cmd *one, struct rig_cmd *two);
extern uint32_t ring_features; /* TCMU_RING_*: all of them */
extern unsigned int freed;     /* kept buffers that were given back */
/* What has completed goes on, until nothing more does. */
void rig_reap(void);

/* An operation that the handler was asked for and has not done yet; with hold set, all of them. */
struct rig_op {
	char what; /* as in calls */
	struct rig_cmd *cmd;
	struct iovec *iov;
	size_t iov_cnt;
	uint64_t off, len;
};
extern bool hold;
extern struct rig_op held[64];
extern size_t held_count;
/* Does the i-th of them and completes it, and what comes of that; the ones behind it move up. */
void rig_release(size_t i);
/* ... the one of this command, which must have one. */
void rig_release_of(const struct rig_cmd *cmd);
bool rig_holds(const struct rig_cmd *cmd);

#define READ10   0x28
#define WRITE10  0x2a
#define WAV10    0x2e
#define VERIFY10 0x2f
#define PREF10   0x34
#define SYNC10   0x35
#define WSAME10  0x41
#define UNMAP10  0x42
#define WRITE16  0x8a
#define ORWRITE  0x8b
#define WAV16    0x8e
#define VERIFY16 0x8f
#define PREF16   0x90
#define WSAME16  0x93
#define ATOMIC16 0x9c
#define WAV12    0xae
#define VERIFY12 0xaf

/* COMPARE AND WRITE of n blocks. */
const uint8_t *caw_cdb(uint8_t byte1, uint64_t lba, uint8_t n);

#endif
