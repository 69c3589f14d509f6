/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of WRITE ATOMIC: the power goes, or the storage fails, at each of its steps. */
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
		land_all();
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

/* What SANITIZE shall remove is not kept here. */
static void no_data_stay_in_the_journal(void **state)
{
	static uint8_t byte[1 << 18];
	ssize_t n;
	int fd;

	(void)state;
	memset(new_data, 'S', LEN);
	must_open();
	assert_int_equal(write_new(), 0);
	close_it();
	fd = open(journal_path, O_RDONLY | O_CLOEXEC);
	n = read(fd, byte, sizeof(byte));
	assert_int_equal(n, 4096 + 4096 + FILE_ATOMIC_MAX);
	close(fd);
	for (ssize_t i = 4096; i < n; i++)
		assert_int_equal(byte[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(whole_writes),
		IN_DIR(power_fails_anywhere),
		IN_DIR(power_fails_in_the_replay),
		IN_DIR(damaged_journals_are_ignored),
		IN_DIR(steps_fail),
		IN_DIR(no_data_stay_in_the_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
