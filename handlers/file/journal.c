/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal of WRITE ATOMIC: PATH.atomic, beside the file. No file system of these days promises that
 * a write is found as a whole or not at all when the power goes, so it is done twice:
 *
 *	1. a record, which says where, and the data go into the journal; fdatasync(2)
 *	2. the data go into the file; fdatasync(2)
 *	3. record and data are overwritten with zeros; fdatasync(2)
 *
 * Before 1 is complete the checksum does not fit and nothing in the file has been touched; after it the
 * record brings the write to its end, here or when the file is opened again. Nobody else may write to
 * its range, and be answered, before 3 is complete: the record would bring old data back. The runner
 * sees to that: runner/range.c keeps the range of a WRITE ATOMIC locked until runner/dispatch.c has
 * answered it.
 *
 * recover.c opens it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "file.h"
#include "journal.h"

#define HEAD       "tcmu-runner: journal of WRITE ATOMIC, version "
#define VERSION    "1\n"
#define HEAD_SIZE  4096 /* the file begins with that and zeros */
#define RECORD_OFF HEAD_SIZE
#define SIZE       (RECORD_OFF + FILE_RECORD_SIZE + FILE_ATOMIC_MAX)
#define MAGIC      UINT64_C(0x63696d6f74612e74) /* also tells the byte order */

static uint8_t zeros[FILE_RECORD_SIZE + FILE_ATOMIC_MAX];

/* ---- the checksum: CRC-64 of ECMA-182, as xz(1) has it ---- */

static void make_crc_table(struct file_journal *j)
{
	for (unsigned int i = 0; i < 256; i++) {
		uint64_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT64_C(0xc96c5795d7870f42) : 0);
		j->crc_table[i] = crc;
	}
}

/* Of the record, whose crc counts as zero, and the data behind it. */
static uint64_t checksum(const struct file_journal *j)
{
	const struct file_record *record = (const void *)j->buf;
	uint64_t crc = UINT64_MAX;

	for (size_t i = 0; i < FILE_RECORD_SIZE + record->len; i++) {
		bool own = i >= offsetof(struct file_record, crc) &&
			   i < offsetof(struct file_record, crc) + sizeof(record->crc);

		crc = j->crc_table[(crc ^ (own ? 0 : j->buf[i])) & 0xff] ^ crc >> 8;
	}
	return ~crc;
}

/* ---- files ---- */

static int write_all(int fd, const void *data, size_t len, uint64_t off)
{
	for (size_t done = 0; done < len;) {
		ssize_t ret = pwrite(fd, (const char *)data + done, len - done,
				     (off_t)(off + done));

		if (ret < 0 && errno == EINTR)
			continue;
		if (ret <= 0)
			return ret ? -errno : -EIO;
		done += (size_t)ret;
	}
	return 0;
}

/* Bytes read: fewer at the end of the file; or -errno. */
static ssize_t read_all(int fd, void *data, size_t len, uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		ssize_t ret = pread(fd, (char *)data + done, len - done, (off_t)(off + done));

		if (ret < 0 && errno == EINTR)
			continue;
		if (ret < 0)
			return -errno;
		if (!ret)
			break;
		done += (size_t)ret;
	}
	return (ssize_t)done;
}

static int sync_data(int fd)
{
	int ret;

	do {
		ret = fdatasync(fd);
	} while (ret && errno == EINTR);
	return ret ? -errno : 0;
}

/* ---- the three steps, on a worker ---- */

static int failed(struct file_journal *j, enum file_journal_state after, const char *what, int ret)
{
	j->after = after;
	j->what = what;
	return ret;
}

static int clear(struct file_journal *j)
{
	const struct file_record *record = (const void *)j->buf;
	int ret = write_all(j->fd, zeros, FILE_RECORD_SIZE + record->len, RECORD_OFF);

	return ret ? ret : sync_data(j->fd);
}

/* Steps 2 and 3. */
static int finish(struct file_journal *j, int fd)
{
	const struct file_record *record = (const void *)j->buf;
	int ret;

	ret = write_all(fd, j->buf + FILE_RECORD_SIZE, record->len, record->off);
	if (ret)
		return failed(j, FILE_JOURNAL_FULL, "writing to the file", ret);
	ret = sync_data(fd);
	if (ret) {
		j->lost = true;
		return failed(j, FILE_JOURNAL_FULL, "writing back to the file", ret);
	}
	ret = clear(j);
	if (ret)
		return failed(j, FILE_JOURNAL_FULL, "clearing the journal", ret);
	j->after = FILE_JOURNAL_EMPTY;
	return 0;
}

/* A file system that is full must say so now: in step 2 there is no way back. */
static int reserve(int fd, uint64_t off, uint64_t len)
{
	int ret;

	do {
		ret = fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len);
	} while (ret && errno == EINTR);
	return ret && errno != EOPNOTSUPP && errno != ENOSYS ? -errno : 0;
}

int file_journal_write(struct file_journal *j, int fd, struct iovec *iov, size_t iov_cnt,
		       uint64_t off, uint32_t len)
{
	struct file_record *record = (void *)j->buf;
	int ret = reserve(fd, off, len);

	if (ret)
		return failed(j, FILE_JOURNAL_EMPTY, "reserving space for an atomic write", ret);
	*record = (struct file_record) {
		.magic = MAGIC, .number = ++j->number, .off = off, .len = len
	};
	memcpy(record->id, j->id, sizeof(record->id));
	tcmu_memcpy_from_iovec(j->buf + FILE_RECORD_SIZE, len, iov, iov_cnt);
	record->crc = checksum(j);

	ret = write_all(j->fd, j->buf, FILE_RECORD_SIZE + len, RECORD_OFF);
	if (!ret)
		ret = sync_data(j->fd);
	if (ret) /* it may be there all the same, and must not come back after later writes */
		return failed(j, clear(j) ? FILE_JOURNAL_DOUBTFUL : FILE_JOURNAL_EMPTY,
			      "writing the journal", ret);
	return finish(j, fd);
}

int file_journal_repair(struct file_journal *j, int fd)
{
	int ret;

	if (j->state == FILE_JOURNAL_FULL)
		return finish(j, fd);
	ret = clear(j);
	if (ret)
		return failed(j, FILE_JOURNAL_DOUBTFUL, "clearing the journal", ret);
	j->after = FILE_JOURNAL_EMPTY;
	return 0;
}

/* ---- the whole of it ---- */

struct file_journal *file_journal_new(void)
{
	struct file_journal *j = calloc(1, sizeof(*j));

	if (!j || posix_memalign((void **)&j->buf, 4096, sizeof(zeros))) {
		free(j);
		return NULL;
	}
	memset(j->buf, 0, sizeof(zeros));
	j->fd = -1;
	make_crc_table(j);
	return j;
}

int file_journal_load(struct file_journal *j, enum file_journal_kind *kind)
{
	const struct file_record *record = (const void *)j->buf;
	char head[HEAD_SIZE] = { 0 };
	ssize_t got = read_all(j->fd, head, sizeof(head), 0);
	struct stat st;

	if (got >= 0)
		got = read_all(j->fd, j->buf, sizeof(zeros), RECORD_OFF);
	if (got >= 0 && fstat(j->fd, &st))
		got = -errno;
	if (got < 0)
		return (int)got;
	if (!memcmp(head, HEAD VERSION, strlen(HEAD VERSION)))
		*kind = record->magic == MAGIC && record->len && record->len <= FILE_ATOMIC_MAX &&
					record->crc == checksum(j)
				? FILE_JOURNAL_RECORD
				: FILE_JOURNAL_NOTHING;
	else if (!memcmp(head, HEAD, strlen(HEAD)))
		*kind = FILE_JOURNAL_OTHER_VERSION;
	else if (st.st_size <= SIZE && !memcmp(head, zeros, HEAD_SIZE) &&
		 !memcmp(j->buf, zeros, sizeof(zeros)))
		*kind = FILE_JOURNAL_NOTHING; /* of an attempt that died */
	else
		*kind = FILE_JOURNAL_STRANGER;
	return 0;
}

int file_journal_format(struct file_journal *j)
{
	static const char head[HEAD_SIZE] = HEAD VERSION;
	int ret;

	/* All of it is written: later there is space for sure, and no metadata to change. */
	ret = write_all(j->fd, zeros, sizeof(zeros), RECORD_OFF);
	if (!ret)
		ret = write_all(j->fd, head, sizeof(head), 0);
	return !ret && fsync(j->fd) ? -errno : ret;
}

void file_journal_free(struct file_journal *j)
{
	if (!j)
		return;
	if (j->fd >= 0)
		close(j->fd);
	free(j->buf);
	free(j);
}

void file_journal_close(struct file_journal *j, int fd)
{
	if (j->state == FILE_JOURNAL_EMPTY)
		fremovexattr(fd, FILE_ATOMIC_ATTRIBUTE);
	file_journal_free(j);
}
