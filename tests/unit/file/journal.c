/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal of WRITE ATOMIC when the power goes. Between two flushes a disk may have written any of
 * the sectors that it was given and none of the others: so a child process does a write, what it gives
 * to the two files is kept back until it flushes, and at some step it dies with a chance part of that
 * written. Then the file is opened again.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "handlers/file/journal.h"

#define SECTOR 512u
#define SIZE   (1u << 20)
#define OFF    (77u * SECTOR)
#define LEN    (24u * SECTOR)
#define ID     "user.tcmu.atomic"

struct tcmu_device {
	int unused;
};

static struct tcmu_device dev;
static char dir[64], path[128], journal_path[160];
static char said[1024];

/* ---- the disk ---- */

struct pending {
	int fd;
	off_t off;
	size_t len;
	uint8_t data[SECTOR];
};

static bool disk;   /* on: what is written is kept back */
static int steps;   /* calls that change or flush something, so far */
static int die_at;  /* the power goes in the call of this number */
static int fail_at; /* that one fails, */
static int fail_with;
static bool fails_on; /* and all after it */
static struct pending pending[1024];
static unsigned int pending_count, chance_state;

static unsigned int chance(unsigned int n)
{
	chance_state = chance_state * 1664525u + 1013904223u;
	return (chance_state >> 10) % n;
}

ssize_t __real_pwrite64(int fd, const void *data, size_t len, off_t off);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t len, off_t off);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
int __real_fallocate64(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len);

static void land(const struct pending *p)
{
	if (__real_pwrite64(p->fd, p->data, p->len, p->off) != (ssize_t)p->len)
		_exit(99);
}

/* Some, in any order: here always in the same one, but a sector is written at most twice. */
static void power_goes(void)
{
	unsigned int share = chance(5);

	for (unsigned int i = 0; i < pending_count; i++) {
		if (chance(4) < share)
			land(&pending[i]);
	}
	_exit(7);
}

static bool step_fails(void)
{
	steps++;
	if (steps == die_at)
		power_goes();
	if (!fail_at || (steps != fail_at && !(fails_on && steps > fail_at)))
		return false;
	errno = fail_with;
	return true;
}

ssize_t __wrap_pwrite64(int fd, const void *data, size_t len, off_t off)
{
	if (!disk)
		return __real_pwrite64(fd, data, len, off);
	for (size_t done = 0; done < len; done += SECTOR) {
		struct pending *p = &pending[pending_count++];

		assert_true(pending_count < sizeof(pending) / sizeof(pending[0]));
		p->fd = fd;
		p->off = off + (off_t)done;
		p->len = len - done < SECTOR ? len - done : SECTOR;
		memcpy(p->data, (const char *)data + done, p->len);
	}
	return step_fails() ? -1 : (ssize_t)len;
}

int __wrap_fdatasync(int fd)
{
	unsigned int kept = 0;

	if (!disk)
		return 0; /* of this machine's power nothing depends */
	if (step_fails())
		return -1;
	for (unsigned int i = 0; i < pending_count; i++) {
		if (pending[i].fd == fd)
			land(&pending[i]);
		else
			pending[kept++] = pending[i];
	}
	pending_count = kept;
	return 0;
}

int __wrap_fsync(int fd)
{
	return __wrap_fdatasync(fd);
}

int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
{
	if (disk && step_fails())
		return -1;
	return __real_fallocate64(fd, mode, off, len);
}

/* ---- the rest of the handler and the library ---- */

void tcmu_log(enum tcmu_log_level level, struct tcmu_device *d, const char *fmt, ...)
{
	va_list args;

	(void)level, (void)d;
	va_start(args, fmt);
	vsnprintf(said, sizeof(said), fmt, args);
	va_end(args);
}

int file_refuse(char **reason, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (vasprintf(reason, fmt, args) < 0)
		*reason = NULL;
	va_end(args);
	return -err;
}

int file_sync_parent(const char *p)
{
	assert_string_equal(p, journal_path);
	return 0;
}

size_t tcmu_memcpy_from_iovec(void *dest, size_t len, struct iovec *iov, size_t iov_cnt)
{
	assert_int_equal(iov_cnt, 1);
	assert_int_equal(iov->iov_len, len);
	memcpy(dest, iov->iov_base, len);
	return len;
}

/* ---- a file with its journal ---- */

static struct file_options opts;
static struct file_target target;
static struct file_journal *journal;
static uint8_t old_data[LEN], new_data[LEN], found[LEN];

static int make_dir(void **state)
{
	int fd;

	(void)state;
	strcpy(dir, "/var/tmp/tcmu-journal-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/disk", dir);
	snprintf(journal_path, sizeof(journal_path), "%s.atomic", path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, SIZE))
		return -1;
	close(fd);
	opts = (struct file_options) { .path = path, .atomic = true };
	said[0] = '\0';
	disk = false;
	steps = die_at = fail_at = 0;
	fails_on = false;
	pending_count = 0;
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(path);
	unlink(journal_path);
	return rmdir(dir);
}

/* As file_target_open() does. */
static int open_it(char **reason)
{
	struct stat st;
	int ret;

	target.fd = open(path, (opts.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	assert_true(target.fd >= 0);
	assert_int_equal(fstat(target.fd, &st), 0);
	target.size = (uint64_t)st.st_size;
	target.claim.dev = &dev;
	*reason = NULL;
	ret = file_journal_open(&opts, &target, &journal, reason);
	if (ret)
		close(target.fd);
	return ret;
}

static void must_open(void)
{
	char *reason;

	if (open_it(&reason))
		fail_msg("%s", reason);
	assert_null(reason);
	assert_int_equal(journal != NULL, opts.atomic);
}

static void close_it(void)
{
	if (journal)
		file_journal_close(journal, target.fd);
	close(target.fd);
}

/* As a daemon that is killed leaves it. */
static void abandon_it(void)
{
	file_journal_free(journal);
	close(target.fd);
}

static void must_refuse(int err, const char *text)
{
	char *reason;

	assert_int_equal(open_it(&reason), -err);
	assert_non_null(reason);
	if (!strstr(reason, text))
		fail_msg("'%s' does not say '%s'", reason, text);
	free(reason);
}

static void fill(uint8_t *data, unsigned int seed)
{
	for (size_t i = 0; i < LEN; i++)
		data[i] = (uint8_t)(seed + i / SECTOR * 7 + i);
}

static int write_new(void)
{
	struct iovec iov = { new_data, LEN };

	return file_journal_write(journal, target.fd, &iov, 1, OFF, LEN);
}

static void put_old(void)
{
	assert_int_equal(pwrite(target.fd, old_data, LEN, OFF), LEN);
}

static void look(void)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_int_equal(pread(fd, found, LEN, OFF), LEN);
	close(fd);
}

static bool is_new(void)
{
	look();
	return !memcmp(found, new_data, LEN);
}

static bool is_old(void)
{
	look();
	return !memcmp(found, old_data, LEN);
}

static void crash(int step, unsigned int seed)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		chance_state = seed;
		disk = true;
		die_at = step;
		_exit(write_new() ? 98 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), step ? 7 : 0);
}

/* A write that came to the end of step 1, and no further than into a part of the file. */
static void leave_a_record(void)
{
	must_open();
	put_old();
	crash(4, 3);
	abandon_it();
}

/* ---- tests ---- */

/* fallocate; journal: pwrite, fdatasync; file: pwrite, fdatasync; journal: pwrite, fdatasync */
#define STEPS 7

static void whole_writes(void **state)
{
	(void)state;
	fill(new_data, 1);
	must_open();
	disk = true;
	assert_int_equal(write_new(), 0);
	assert_int_equal(steps, STEPS);
	assert_int_equal(pending_count, 0);
	disk = false;
	assert_int_equal(journal->after, FILE_JOURNAL_EMPTY);
	assert_true(is_new());
	assert_true(fgetxattr(target.fd, ID, found, LEN) > 0);
	close_it();
	assert_true(getxattr(path, ID, found, LEN) < 0); /* needs no journal any more */
	assert_int_equal(access(journal_path, F_OK), 0);
}

static void power_fails_anywhere(void **state)
{
	unsigned int old = 0, new = 0, replayed = 0;

	(void)state;
	for (unsigned int i = 0; i < 1400; i++) {
		int step = 1 + (int)(i % STEPS);

		fill(old_data, i);
		fill(new_data, i + 100);
		if (i % 3 == 0) /* much of it as it was in the journal the last time */
			memset(new_data, 'x', LEN - SECTOR);
		must_open();
		put_old();
		crash(step, i);
		abandon_it();
		opts.atomic = i % 2; /* is in nobody's way */
		said[0] = '\0';
		must_open();
		replayed += said[0] != '\0';
		if (is_new())
			new ++;
		else if (is_old())
			old++;
		else
			fail_msg("torn: step %d, seed %u", step, i);
		assert_false(is_old() && step > 4); /* the file had been flushed */
		close_it();
		opts.atomic = true;
	}
	assert_true(old > 300 && new > 300 && replayed > 200);
}

/* Even where the journal is read and the write repeated the power may fail. */
static void power_fails_in_the_replay(void **state)
{
	(void)state;
	fill(old_data, 1);
	fill(new_data, 2);
	for (unsigned int i = 0; i < 60; i++) {
		leave_a_record();
		for (int again = 0; again < 3; again++) {
			pid_t pid = fork();
			char *reason;

			if (!pid) {
				chance_state = i;
				disk = true;
				die_at = 1 + (int)(i % 4);
				_exit(open_it(&reason) ? 98 : 0);
			}
			waitpid(pid, NULL, 0);
		}
		opts.atomic = false;
		must_open();
		assert_true(is_new());
		close_it();
		opts.atomic = true;
	}
}

static void damaged_journals_are_ignored(void **state)
{
	uint8_t byte;
	int fd;

	(void)state;
	fill(old_data, 1);
	fill(new_data, 2);
	for (off_t at = 4096; at < 4096 + 4096 + (off_t)LEN; at += at < 4096 + 56 ? 1 : 509) {
		leave_a_record();
		fd = open(journal_path, O_RDWR | O_CLOEXEC);
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 1;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		close(fd);
		said[0] = '\0';
		must_open();
		assert_string_equal(said, "");
		close_it();
	}
	for (off_t size = 0; size < 8192 + (off_t)LEN; size += 777) {
		leave_a_record();
		assert_int_equal(truncate(journal_path, size), 0);
		if (size && size < 48) {
			must_refuse(EEXIST, "is not a journal");
			unlink(journal_path);
			removexattr(path, ID);
			continue;
		}
		said[0] = '\0';
		must_open();
		assert_string_equal(said, "");
		close_it();
	}
}

static void foreign_journals_are_refused(void **state)
{
	static const uint8_t other[16] = { 1, 2, 3 };

	(void)state;
	fill(old_data, 1);
	fill(new_data, 2);
	leave_a_record();
	assert_int_equal(setxattr(path, ID, other, sizeof(other), 0), 0);
	must_refuse(EINVAL, "remove the journal");
	assert_int_equal(removexattr(path, ID), 0); /* a copy that was made without */
	must_refuse(EINVAL, "remove the journal");
	opts.atomic = false;
	must_refuse(EINVAL, "remove the journal");
	opts.read_only = true;
	must_refuse(EINVAL, "remove the journal");
	assert_false(is_new());
	unlink(journal_path);
	must_open();
	close_it();
	opts.read_only = false;
}

static void lost_journals_are_missed(void **state)
{
	(void)state;
	fill(new_data, 2);
	leave_a_record();
	unlink(journal_path);
	must_refuse(ENOENT, "setfattr -x user.tcmu.atomic");
	opts.atomic = false;
	must_refuse(ENOENT, "is missing");
	assert_int_equal(removexattr(path, ID), 0);
	must_open();
	close_it();
}

static void read_only_cannot_replay(void **state)
{
	(void)state;
	fill(new_data, 2);
	leave_a_record();
	opts.atomic = false;
	opts.read_only = true;
	must_refuse(EROFS, "once without ;ro");
	opts.read_only = false;
	must_open();
	assert_true(is_new());
	close_it();
	opts.read_only = true;
	must_open();
	close_it();
	opts.read_only = false;
}

static void smaller_files_are_refused(void **state)
{
	(void)state;
	fill(old_data, 1);
	fill(new_data, 2);
	leave_a_record();
	assert_int_equal(truncate(path, OFF + LEN - 1), 0);
	must_refuse(EINVAL, "has made it smaller");
	assert_int_equal(truncate(path, OFF - 1), 0);
	must_refuse(EINVAL, "has made it smaller");
	assert_int_equal(truncate(path, OFF + LEN), 0);
	must_open();
	assert_true(is_new());
	close_it();
}

static void put_at_journal(const char *text)
{
	int fd = open(journal_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void the_name_is_taken(void **state)
{
	char text[100];
	struct stat st;

	(void)state;
	put_at_journal("my thesis\n");
	must_refuse(EEXIST, "is not a journal");
	opts.atomic = false;
	must_open();
	close_it();
	assert_int_equal(stat(journal_path, &st), 0);
	assert_int_equal(st.st_size, 10);
	unlink(journal_path);
	assert_int_equal(symlink("/etc/passwd", journal_path), 0);
	must_open();
	close_it();
	opts.atomic = true;
	must_refuse(EEXIST, "is not a journal");
	unlink(journal_path);
	snprintf(text, sizeof(text), "tcmu-runner: journal of WRITE ATOMIC, version 2\n");
	put_at_journal(text);
	must_refuse(EINVAL, "of another version");
	put_at_journal(""); /* of a daemon that died just then */
	must_open();
	close_it();
}

/* Found by whatever symbolic link, but not by a hard link. */
static void names_of_the_file(void **state)
{
	char link_path[140], hard[140];

	(void)state;
	snprintf(link_path, sizeof(link_path), "%s/link", dir);
	snprintf(hard, sizeof(hard), "%s/hard", dir);
	assert_int_equal(symlink(path, link_path), 0);
	fill(new_data, 2);
	opts.path = link_path;
	leave_a_record();
	opts.path = path;
	must_open();
	assert_true(is_new());
	close_it();
	assert_int_equal(link(path, hard), 0);
	must_refuse(EMLINK, "2 names");
	opts.atomic = false;
	must_open();
	close_it();
	unlink(hard);
	unlink(link_path);
}

static void block_devices_are_refused(void **state)
{
	struct file_target disk_target = { .fd = -1, .block_dev = true };
	char *reason;

	(void)state;
	assert_int_equal(file_journal_open(&opts, &disk_target, &journal, &reason), -ENOTBLK);
	assert_non_null(strstr(reason, "is for regular files"));
	free(reason);
	opts.atomic = false;
	assert_int_equal(file_journal_open(&opts, &disk_target, &journal, &reason), 0);
}

/* What each failing step leaves behind, alone or with all after it. */
static void steps_fail(void **state)
{
	static const struct {
		int step;
		bool on, is_lost;
		enum file_journal_state after;
	} cases[] = {
		{ 1, false, false, FILE_JOURNAL_EMPTY },
		{ 1, true, false, FILE_JOURNAL_EMPTY },
		{ 2, false, false, FILE_JOURNAL_EMPTY },
		{ 2, true, false, FILE_JOURNAL_DOUBTFUL },
		{ 3, false, false, FILE_JOURNAL_EMPTY },
		{ 3, true, false, FILE_JOURNAL_DOUBTFUL },
		{ 4, false, false, FILE_JOURNAL_FULL },
		{ 4, true, false, FILE_JOURNAL_FULL },
		{ 5, false, true, FILE_JOURNAL_FULL },
		{ 5, true, true, FILE_JOURNAL_FULL },
		{ 6, false, false, FILE_JOURNAL_FULL },
		{ 6, true, false, FILE_JOURNAL_FULL },
		{ STEPS, false, false, FILE_JOURNAL_FULL },
		{ STEPS, true, false, FILE_JOURNAL_FULL },
	};

	(void)state;
	fill(old_data, 1);
	fill(new_data, 2);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		must_open();
		put_old();
		disk = true;
		steps = 0;
		fail_at = cases[i].step;
		fails_on = cases[i].on;
		fail_with = ENOSPC;
		assert_int_equal(write_new(), -ENOSPC);
		assert_non_null(journal->what);
		assert_int_equal(journal->after, cases[i].after);
		assert_int_equal(journal->lost, cases[i].is_lost);
		if (cases[i].after == FILE_JOURNAL_EMPTY)
			assert_true(is_old());
		journal->state = journal->after;
		if (journal->state != FILE_JOURNAL_EMPTY && fails_on) {
			assert_int_equal(file_journal_repair(journal, target.fd), -ENOSPC);
			assert_int_equal(journal->after, cases[i].after);
		}
		fail_at = 0;
		if (journal->state != FILE_JOURNAL_EMPTY) {
			assert_int_equal(file_journal_repair(journal, target.fd), 0);
			assert_int_equal(journal->after, FILE_JOURNAL_EMPTY);
			assert_true(cases[i].step < 4 ? is_old() : is_new());
		}
		while (pending_count)
			land(&pending[--pending_count]);
		disk = false;
		/* Nothing of it comes back. */
		journal->state = journal->after;
		put_old();
		abandon_it();
		said[0] = '\0';
		must_open();
		assert_string_equal(said, "");
		assert_true(is_old());
		close_it();
	}
}

/* Closed with work left: the next opening does it. */
static void closed_in_the_middle(void **state)
{
	(void)state;
	fill(new_data, 2);
	must_open();
	fail_at = 4;
	fail_with = EIO;
	disk = true;
	assert_int_equal(write_new(), -EIO);
	disk = false;
	journal->state = journal->after;
	close_it();
	must_open();
	assert_true(is_new());
	close_it();
}

/* What SANITIZE shall remove is not kept here. */
static void no_data_stay_in_the_journal(void **state)
{
	uint8_t byte[1 << 17];
	ssize_t n;
	int fd;

	(void)state;
	memset(new_data, 'S', LEN);
	must_open();
	assert_int_equal(write_new(), 0);
	close_it();
	fd = open(journal_path, O_RDONLY | O_CLOEXEC);
	n = read(fd, byte, sizeof(byte));
	assert_int_equal(n, 4096 + 4096 + 65536);
	close(fd);
	for (ssize_t i = 4096; i < n; i++)
		assert_int_equal(byte[i], 0);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(whole_writes),
		IN_DIR(power_fails_anywhere),
		IN_DIR(power_fails_in_the_replay),
		IN_DIR(damaged_journals_are_ignored),
		IN_DIR(foreign_journals_are_refused),
		IN_DIR(lost_journals_are_missed),
		IN_DIR(read_only_cannot_replay),
		IN_DIR(smaller_files_are_refused),
		IN_DIR(the_name_is_taken),
		IN_DIR(names_of_the_file),
		IN_DIR(block_devices_are_refused),
		IN_DIR(steps_fail),
		IN_DIR(closed_in_the_middle),
		IN_DIR(no_data_stay_in_the_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
