/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of WRITE ATOMIC when the file is opened: whose is it, and is it there? */
#include "power.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(foreign_journals_are_refused),
		IN_DIR(lost_journals_are_missed),
		IN_DIR(read_only_cannot_replay),
		IN_DIR(smaller_files_are_refused),
		IN_DIR(the_name_is_taken),
		IN_DIR(names_of_the_file),
		IN_DIR(block_devices_are_refused),
		IN_DIR(closed_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
