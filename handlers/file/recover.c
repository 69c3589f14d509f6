/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the journal of WRITE ATOMIC: what a dead process left is brought to its end, or refused.
 *
 * A record must never get into another file, or into another state of this one. So each opening gives
 * the file a new random identity, which every record carries, as an extended attribute: that is neither
 * in a copy of the contents nor in a file that takes this one's name. It is there exactly as long as a
 * journal may be needed: closing takes it away. A file that has it and no journal beside it has been
 * separated from it, and what it lacks is not guessed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "file.h"
#include "journal.h"

/* ---- what is there? ---- */

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
	ssize_t ret = fgetxattr(o->target->fd, FILE_ATOMIC_ATTRIBUTE, o->j->id, sizeof(o->j->id));

	o->has_id = ret == sizeof(o->j->id);
	if (ret >= 0 || errno == ENODATA || errno == EOPNOTSUPP || errno == ERANGE)
		return 0;
	return file_refuse(o->reason, errno,
			   "the attribute " FILE_ATOMIC_ATTRIBUTE " of '%s' cannot be read: %s",
			   o->opts->path, strerror(errno));
}

static int refuse_missing(const struct opening *o)
{
	return file_refuse(
		o->reason, ENOENT,
		"'%s' was in use with the option ;atomic when its daemon ended, or is a copy from "
		"such a time, and its journal '%s' is missing: a WRITE ATOMIC may be there in "
		"part. Bring the journal here; or, if there is none, check the data and then "
		"remove the mark: setfattr -x " FILE_ATOMIC_ATTRIBUTE " '%s'",
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

/* *holds_record: a write to bring to its end. j->fd is -1 behind it if there is no journal. */
static int look_into(struct opening *o, bool *holds_record)
{
	enum file_journal_kind kind;
	int ret = file_journal_load(o->j, &kind);

	*holds_record = false;
	if (ret)
		return refuse(o, -ret, "cannot be read");
	switch (kind) {
	case FILE_JOURNAL_NOTHING:
		return 0;
	case FILE_JOURNAL_RECORD:
		*holds_record = true;
		return 0;
	case FILE_JOURNAL_OTHER_VERSION:
		return file_refuse(o->reason, EINVAL,
				   "the journal '%s' is of another version of tcmu-runner; serve "
				   "'%s' once with that one",
				   o->path, o->opts->path);
	case FILE_JOURNAL_STRANGER:
		break;
	}
	close(o->j->fd);
	o->j->fd = -1;
	return refuse_stranger(o);
}

/* ---- what a dead process left ---- */

static int check_record(const struct opening *o)
{
	const struct file_record *record = (const void *)o->j->buf;

	if (!o->has_id || memcmp(record->id, o->j->id, sizeof(record->id)))
		return file_refuse(
			o->reason, EINVAL,
			"the journal '%s' holds a WRITE ATOMIC that was under way when a daemon "
			"ended, and it is not of this '%s': that is another file now, or a copy "
			"without its attribute " FILE_ATOMIC_ATTRIBUTE ". If the write does not "
			"matter any more, remove the journal",
			o->path, o->opts->path);
	if (record->off > o->target->size || record->len > o->target->size - record->off)
		return file_refuse(
			o->reason, EINVAL,
			"the journal '%s' holds a WRITE ATOMIC of %u bytes at byte %llu, and '%s' "
			"has %llu bytes: something has made it smaller. Make it as large as it "
			"was; or, if the write does not matter any more, remove the journal and "
			"the mark: setfattr -x " FILE_ATOMIC_ATTRIBUTE " '%s'",
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
	o->j->state = FILE_JOURNAL_FULL;
	ret = file_journal_repair(o->j, fd);
	o->j->state = o->j->after;
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
	bool holds_record;

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
	ret = look_into(o, &holds_record);
	if (ret || !holds_record)
		return ret;
	ret = check_record(o);
	return ret ? ret : replay(o);
}

/* ---- a new one ---- */

static int make_empty(struct opening *o)
{
	struct file_journal *j = o->j;
	int ret;

	if (j->fd < 0)
		j->fd = open(o->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (j->fd < 0)
		return refuse(o, errno, "cannot be created");
	ret = file_journal_format(j);
	if (!ret)
		ret = file_sync_parent(o->path);
	return ret ? refuse(o, -ret, "cannot be written") : 0;
}

static int give_id(struct opening *o)
{
	struct file_journal *j = o->j;

	if (getrandom(j->id, sizeof(j->id), 0) == sizeof(j->id) &&
	    !fsetxattr(o->target->fd, FILE_ATOMIC_ATTRIBUTE, j->id, sizeof(j->id), 0) &&
	    !fsync(o->target->fd))
		return 0;
	if (errno == EOPNOTSUPP)
		return file_refuse(
			o->reason, EOPNOTSUPP,
			"the file system of '%s' has no extended attributes (user.*), "
			"which tie the journal to its file; leave out the option ;atomic",
			o->opts->path);
	return file_refuse(o->reason, errno,
			   "the attribute " FILE_ATOMIC_ATTRIBUTE " of '%s' cannot be set: %s",
			   o->opts->path, strerror(errno));
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
			fremovexattr(o->target->fd, FILE_ATOMIC_ATTRIBUTE);
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
	o.j = file_journal_new();
	if (!o.path || !o.j) {
		free(o.path);
		file_journal_free(o.j);
		return -ENOMEM;
	}
	ret = open_all(&o);
	if (ret || !opts->atomic)
		file_journal_free(o.j);
	else
		*journal = o.j;
	free(o.path);
	return ret;
}
