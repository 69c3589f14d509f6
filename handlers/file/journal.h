/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of WRITE ATOMIC, and its only record. */
#ifndef FILE_JOURNAL_H
#define FILE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "file.h"

#define FILE_ATOMIC_ATTRIBUTE "user.tcmu.atomic" /* of the file: struct file_record.id */

#define FILE_ATOMIC_MAX  131072 /* bytes of one write: at least one block of any size */
#define FILE_RECORD_SIZE 4096   /* the data follow */

/* Padded with zeros to FILE_RECORD_SIZE. */
struct file_record {
	uint64_t magic;
	uint64_t number; /* how many since the file was opened */
	uint64_t off;    /* bytes */
	uint32_t len;
	uint32_t reserved;
	uint8_t id[16]; /* of the file */
	uint64_t crc;   /* of the whole record and the data */
};

enum file_journal_state {
	FILE_JOURNAL_EMPTY,
	FILE_JOURNAL_DOUBTFUL, /* it should be empty: nothing of it is in the file */
	FILE_JOURNAL_FULL,     /* its write may be in the file in part, or has to be cleared */
};

struct file_journal {
	int fd;
	enum file_journal_state state; /* the device's thread */

	/* A worker while it writes or repairs. */
	enum file_journal_state after; /* what it leaves behind */
	const char *what;              /* failed */
	bool lost;                     /* see file_sync_failed() */
	uint8_t id[16];
	uint64_t number;
	uint8_t *buf; /* record and data, fit for O_DIRECT; kept until the state is EMPTY */
	uint64_t crc_table[256];
};

/* ---- recover.c ---- */

/* Is it possible at all? 0 or -errno with *reason. */
int file_journal_check(const struct file_options *opts, const struct file_target *target,
		       char **reason);
/*
 * Under the file's lock, before anything of it is served: with the option ;atomic or without, a write
 * that was under way when a process died is brought to its end. *journal: with the option, else NULL.
 * 0 or -errno with *reason (NULL: no memory).
 */
int file_journal_open(const struct file_options *opts, const struct file_target *target,
		      struct file_journal **journal, char **reason);

/* ---- journal.c ---- */

/* On a worker, one at a time, in state EMPTY: all of it. 0 or -errno; then j->what has failed. j->after is
 * for the device's thread to make j->state. fd: of the file. */
int file_journal_write(struct file_journal *j, int fd, struct iovec *iov, size_t iov_cnt,
		       uint64_t off, uint32_t len);
/* The same in any other state: does what is left to do. */
int file_journal_repair(struct file_journal *j, int fd);

/* fd: of the file. A journal that is not empty is left for the next opening. */
void file_journal_close(struct file_journal *j, int fd);

/* The memory, with fd -1; NULL: there is none. */
struct file_journal *file_journal_new(void);
/* Closes j->fd too. NULL is ignored. */
void file_journal_free(struct file_journal *j);

enum file_journal_kind {
	FILE_JOURNAL_NOTHING,
	FILE_JOURNAL_RECORD, /* whole: in j->buf */
	FILE_JOURNAL_OTHER_VERSION,
	FILE_JOURNAL_STRANGER, /* a file of something else */
};

/* What is in j->fd? 0 or -errno. */
int file_journal_load(struct file_journal *j, enum file_journal_kind *kind);
/* Makes it an empty one, durably but for its directory entry. 0 or -errno. */
int file_journal_format(struct file_journal *j);

#endif
