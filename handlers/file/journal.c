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
 * A record must never get into another file, or into another state of this one. So each opening gives
 * the file a new random identity, which every record carries, as an extended attribute: that is neither
 * in a copy of the contents nor in a file that takes this one's name. It is there exactly as long as a
 * journal may be needed: closing takes it away. A file that has it and no journal beside it has been
 * separated from it, and what it lacks is not guessed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "file.h"
#include "journal.h"

#define ATTRIBUTE "user.tcmu.atomic"

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

/* ---- opening: what is there? ---- */

struct opening {
	const struct file_options *opts;
	const struct file_target *target;
	struct file_journal *j;
	char *path;  /* of the journal */
	bool has_id; /* the file has an identity: j->id */
	char **reason;
};

static int refuse(const struct opening *o, int err, const char *what)
{
	return file_refuse(o->reason, err, "the journal '%s' of '%s' %s: %s", o->path,
			   o->opts->path, what, strerror(err));
}

static int load_id(struct opening *o)
{
	ssize_t ret = fgetxattr(o->target->fd, ATTRIBUTE, o->j->id, sizeof(o->j->id));

	o->has_id = ret == sizeof(o->j->id);
	if (ret >= 0 || errno == ENODATA || errno == EOPNOTSUPP || errno == ERANGE)
		return 0;
	return file_refuse(o->reason, errno,
			   "the attribute " ATTRIBUTE " of '%s' cannot be read: %s", o->opts->path,
			   strerror(errno));
}

static int refuse_missing(const struct opening *o)
{
	return file_refuse(
		o->reason, ENOENT,
		"'%s' was in use with the option ;atomic when its daemon ended, or is a copy from "
		"such a time, and its journal '%s' is missing: a WRITE ATOMIC may be there in "
		"part. "
		"Bring the journal here; or, if there is none, check the data and then remove the "
		"mark: setfattr -x " ATTRIBUTE " '%s'",
		o->opts->path, o->path, o->opts->path);
}

/* Something that is no journal has its name. */
static int refuse_stranger(const struct opening *o)
{
	if (!o->has_id && !o->opts->atomic)
		return 0;
	return file_refuse(o->reason, EEXIST,
			   "'%s' is not a journal of the file handler, which needs this name for "
			   "that of '%s'; give it another one",
			   o->path, o->opts->path);
}

/* Reads all of it. -ENOENT: there is none, or nothing of ours; *reason tells whether that is wrong. */
static int read_journal(struct opening *o, char *head)
{
	ssize_t got = read_all(o->j->fd, head, HEAD_SIZE, 0);
	ssize_t more = read_all(o->j->fd, o->j->buf, sizeof(zeros), RECORD_OFF);
	struct stat st;

	if (got < 0 || more < 0)
		return refuse(o, (int)(got < 0 ? -got : -more), "cannot be read");
	if (fstat(o->j->fd, &st))
		return refuse(o, errno, "cannot be examined");
	if (!memcmp(head, HEAD VERSION, strlen(HEAD VERSION)))
		return 0;
	if (!memcmp(head, HEAD, strlen(HEAD)))
		return file_refuse(o->reason, EINVAL,
				   "the journal '%s' is of another version of tcmu-runner; serve "
				   "'%s' once with that one",
				   o->path, o->opts->path);
	/* Nothing in it: of an attempt that died. */
	if (st.st_size <= SIZE && !memcmp(head, zeros, HEAD_SIZE) &&
	    !memcmp(o->j->buf, zeros, sizeof(zeros)))
		return 0;
	close(o->j->fd);
	o->j->fd = -1;
	return refuse_stranger(o);
}

static bool holds_record(const struct file_journal *j)
{
	const struct file_record *record = (const void *)j->buf;

	return record->magic == MAGIC && record->len && record->len <= FILE_ATOMIC_MAX &&
	       record->crc == checksum(j);
}

/* ---- opening: what a dead process left ---- */

static int check_record(const struct opening *o)
{
	const struct file_record *record = (const void *)o->j->buf;

	if (!o->has_id || memcmp(record->id, o->j->id, sizeof(record->id)))
		return file_refuse(
			o->reason, EINVAL,
			"the journal '%s' holds a WRITE ATOMIC that was under way when a daemon "
			"ended, and it is not of this '%s': that is another file now, or a copy "
			"without its attribute " ATTRIBUTE
			". If the write does not matter any more, "
			"remove the journal",
			o->path, o->opts->path);
	if (record->off > o->target->size || record->len > o->target->size - record->off)
		return file_refuse(
			o->reason, EINVAL,
			"the journal '%s' holds a WRITE ATOMIC of %u bytes at byte %llu, and '%s' "
			"has %llu bytes: something has made it smaller. Make it as large as it "
			"was; "
			"or, if the write does not matter any more, remove the journal and the "
			"mark: "
			"setfattr -x " ATTRIBUTE " '%s'",
			o->path, record->len, (unsigned long long)record->off, o->opts->path,
			(unsigned long long)o->target->size, o->opts->path);
	if (o->opts->read_only)
		return file_refuse(
			o->reason, EROFS,
			"a WRITE ATOMIC to '%s' was under way when a daemon ended, and with the "
			"option ;ro it cannot be brought to its end from the journal '%s': serve "
			"the "
			"file once without ;ro",
			o->opts->path, o->path);
	return 0;
}

/* Through the page cache: the record need not be as ;direct wants it now. */
static int replay(const struct opening *o)
{
	const struct file_record *record = (const void *)o->j->buf;
	int fd = o->target->fd, flags = fcntl(fd, F_GETFL), ret;

	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_DIRECT))
		return refuse(o, errno, "cannot be replayed");
	ret = finish(o->j, fd);
	if (fcntl(fd, F_SETFL, flags) && !ret)
		ret = -errno;
	if (ret)
		return file_refuse(o->reason, -ret,
				   "a WRITE ATOMIC to '%s' was under way when a daemon ended, and "
				   "cannot be brought to its end: %s failed: %s",
				   o->opts->path, o->j->what ? o->j->what : "fcntl(2)",
				   strerror(-ret));
	tcmu_dev_warn(o->target->claim.dev,
		      "a WRITE ATOMIC of %u bytes at byte %llu was under way when a daemon ended: "
		      "brought to its end from the journal '%s'",
		      record->len, (unsigned long long)record->off, o->path);
	return 0;
}

static int recover(struct opening *o)
{
	int flags = o->opts->read_only ? O_RDONLY : O_RDWR, ret;
	char head[HEAD_SIZE] = { 0 };

	ret = load_id(o);
	if (ret)
		return ret;
	o->j->fd = open(o->path, flags | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (o->j->fd < 0) {
		switch (errno) {
		case ENOENT:
		case ENAMETOOLONG:
			return o->has_id ? refuse_missing(o) : 0;
		case ELOOP:
		case EISDIR:
		case ENXIO:
		case ENODEV:
			return refuse_stranger(o);
		default:
			return refuse(o, errno, "cannot be opened");
		}
	}
	ret = read_journal(o, head);
	if (ret || o->j->fd < 0 || !holds_record(o->j))
		return ret;
	ret = check_record(o);
	return ret ? ret : replay(o);
}

/* ---- opening: a new one ---- */

static int make_empty(struct opening *o)
{
	static const char head[HEAD_SIZE] = HEAD VERSION;
	struct file_journal *j = o->j;
	int ret;

	if (j->fd < 0)
		j->fd = open(o->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (j->fd < 0)
		return refuse(o, errno, "cannot be created");
	/* All of it is written: later there is space for sure, and no metadata to change. */
	ret = write_all(j->fd, zeros, sizeof(zeros), RECORD_OFF);
	if (!ret)
		ret = write_all(j->fd, head, sizeof(head), 0);
	if (!ret && fsync(j->fd))
		ret = -errno;
	if (!ret)
		ret = file_sync_parent(o->path);
	return ret ? refuse(o, -ret, "cannot be written") : 0;
}

static int give_id(struct opening *o)
{
	struct file_journal *j = o->j;

	if (getrandom(j->id, sizeof(j->id), 0) == sizeof(j->id) &&
	    !fsetxattr(o->target->fd, ATTRIBUTE, j->id, sizeof(j->id), 0) && !fsync(o->target->fd))
		return 0;
	if (errno == EOPNOTSUPP)
		return file_refuse(
			o->reason, EOPNOTSUPP,
			"the file system of '%s' has no extended attributes (user.*), "
			"which tie the journal to its file; leave out the option ;atomic",
			o->opts->path);
	return file_refuse(o->reason, errno,
			   "the attribute " ATTRIBUTE " of '%s' cannot be set: %s", o->opts->path,
			   strerror(errno));
}

/* By another name of the file its journal would not be found. */
static int check_names(const struct opening *o)
{
	struct stat st;

	if (fstat(o->target->fd, &st))
		return refuse(o, errno, "cannot be created");
	if (st.st_nlink < 2)
		return 0;
	return file_refuse(
		o->reason, EMLINK,
		"'%s' has %lu names (hard links), and its journal would be beside one of "
		"them; remove the others, or leave out the option ;atomic",
		o->opts->path, (unsigned long)st.st_nlink);
}

static int open_all(struct opening *o)
{
	int ret = recover(o);

	if (ret || o->opts->read_only)
		return ret;
	if (!o->opts->atomic) {
		if (o->has_id)
			fremovexattr(o->target->fd, ATTRIBUTE);
		return 0;
	}
	ret = check_names(o);
	if (!ret)
		ret = make_empty(o);
	return ret ? ret : give_id(o);
}

static int refuse_block_dev(const struct file_options *opts, char **reason)
{
	return file_refuse(
		reason, ENOTBLK,
		"the option ;atomic is for regular files, and '%s' is a block device: "
		"its journal would need a file beside it. Leave the option out, or make a "
		"file system on it and serve a file there",
		opts->path);
}

/* Beside the file itself, by whatever symbolic link it was found. */
static char *path_of(const struct file_options *opts)
{
	char *real = realpath(opts->path, NULL), *path = NULL;

	if (real && asprintf(&path, "%s.atomic", real) < 0)
		path = NULL;
	free(real);
	return path;
}

int file_journal_check(const struct file_options *opts, const struct file_target *target,
		       char **reason)
{
	return opts->atomic && target->block_dev ? refuse_block_dev(opts, reason) : 0;
}

int file_journal_open(const struct file_options *opts, const struct file_target *target,
		      struct file_journal **journal, char **reason)
{
	struct opening o = { .opts = opts, .target = target, .reason = reason };
	int ret = file_journal_check(opts, target, reason);

	*journal = NULL;
	if (ret || target->block_dev)
		return ret;
	o.path = path_of(opts);
	o.j = calloc(1, sizeof(*o.j));
	if (!o.path || !o.j || posix_memalign((void **)&o.j->buf, 4096, sizeof(zeros))) {
		free(o.path);
		free(o.j);
		return -ENOMEM;
	}
	memset(o.j->buf, 0, sizeof(zeros));
	o.j->fd = -1;
	make_crc_table(o.j);
	ret = open_all(&o);
	if (ret || !opts->atomic)
		file_journal_free(o.j);
	else
		*journal = o.j;
	free(o.path);
	return ret;
}

void file_journal_free(struct file_journal *j)
{
	if (j->fd >= 0)
		close(j->fd);
	free(j->buf);
	free(j);
}

void file_journal_close(struct file_journal *j, int fd)
{
	if (j->state == FILE_JOURNAL_EMPTY)
		fremovexattr(fd, ATTRIBUTE);
	file_journal_free(j);
}
