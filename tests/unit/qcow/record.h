/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every change that this process makes to some files, in the order in which they were made: the C library's
 * functions are wrapped (-Wl,--wrap=), so it does not matter who calls them. And what those files can be found
 * to be, had the process or the machine ended at some moment.
 */
#ifndef QCOW_RECORD_H
#define QCOW_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RECORD_FILES 2

enum record_kind {
	RECORD_WRITE,
	RECORD_SIZE,     /* off is the new one */
	RECORD_ALLOCATE, /* off, len: the file is this long at least */
	RECORD_ZERO,
	RECORD_SYNC, /* all that was done to the file before is durable */
};

struct record_change {
	enum record_kind kind;
	unsigned int file;
	bool durable; /* RECORD_WRITE: by itself (RWF_DSYNC) */
	uint64_t off, len;
	uint8_t *data; /* RECORD_WRITE */
};

/* A file as it was when the recording began, and its name. */
struct record_file {
	const char *path;
	dev_t fs;
	ino_t node;
	uint8_t *base;
	uint64_t size;
};

extern struct record_file record_files[RECORD_FILES];
extern unsigned int record_file_count;
extern struct record_change *record_changes;
extern size_t record_count;

/* n: the nth of all calls that write, sync or allocate from now on, to whatever file, fails with
 * record_fail_errno, and so do the record_fail_more that follow it. 0: none. */
extern unsigned int record_fail_in, record_fail_more;
extern int record_fail_errno;

/* All calls that write, sync or allocate do nothing, and succeed: a process that was killed before. */
extern bool record_dead;

/* Changes to this file are recorded from now on. */
void record_begin(const char *path);
void record_end(void);

/* ---- cut.c ---- */

/*
 * A file after the first `at` changes. power: had the machine lost its power then; what was not durable is
 * there or not, as chance has it. Else had the process been killed: the one that comes next may be there
 * in part. *size is its size; malloc'ed.
 */
uint8_t *cut_make(unsigned int file, size_t at, bool power, uint64_t *size);

#endif
