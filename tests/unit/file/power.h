/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file with its journal of WRITE ATOMIC on a disk whose power goes. Between two flushes a disk may have
 * written any of the sectors that it was given and none of the others: so a child process does a write,
 * what it gives to the two files is kept back until it flushes, and at some step it dies with a chance
 * part of that written. Then the file is opened again.
 */
#ifndef TESTS_UNIT_FILE_POWER_H
#define TESTS_UNIT_FILE_POWER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "handlers/file/journal.h"

#define SECTOR 512u
#define SIZE   (1u << 20)
#define OFF    (77u * SECTOR) /* what is written atomically */
#define LEN    (24u * SECTOR)
#define ID     "user.tcmu.atomic"

/* ---- the disk ---- */

extern bool disk;   /* on: what is written is kept back */
extern int steps;   /* calls that change or flush something, so far */
extern int die_at;  /* the power goes in the call of this number */
extern int fail_at; /* that one fails, */
extern int fail_with;
extern bool fails_on;              /* and all after it */
extern unsigned int pending_count; /* sectors that are kept back */
extern unsigned int chance_state;
void land_all(void); /* they are written */

/* ---- the file ---- */

extern char dir[64], path[128], journal_path[160];
extern char said[1024]; /* the last line of the log */
extern struct file_options opts;
extern struct file_target target;
extern struct file_journal *journal;
extern uint8_t old_data[LEN], new_data[LEN], found[LEN];

int make_dir(void **state);
int remove_dir(void **state);
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

/* As file_target_open() and the handler's open() do it. 0 or -errno with *reason. */
int open_it(char **reason);
void must_open(void);
void must_refuse(int err, const char *text);
void close_it(void);
void abandon_it(void); /* as a daemon that is killed leaves it */

void fill(uint8_t *data, unsigned int seed);
void put_old(void);
int write_new(void); /* atomically */
bool is_new(void);   /* what is in the file */
bool is_old(void);

/* A child's write; the power goes in this step (0: it does not). */
void crash(int step, unsigned int seed);
/* A write that came to the end of step 1, and no further than into a part of the file. */
void leave_a_record(void);

#endif
