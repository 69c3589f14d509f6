/* SPDX-License-Identifier: Apache-2.0 */
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

struct tcmu_device {
	int unused;
};

static struct tcmu_device dev;

char dir[64], path[128], journal_path[160];
char said[1024];

/* ---- the disk ---- */

struct pending {
	int fd;
	off_t off;
	size_t len;
	uint8_t data[SECTOR];
};

bool disk, fails_on;
int steps, die_at, fail_at, fail_with;
unsigned int pending_count, chance_state;

static struct pending pending[1024];

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

void land_all(void)
{
	while (pending_count)
		land(&pending[--pending_count]);
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

struct file_options opts;
struct file_target target;
struct file_journal *journal;
uint8_t old_data[LEN], new_data[LEN], found[LEN];

int make_dir(void **state)
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

int remove_dir(void **state)
{
	(void)state;
	unlink(path);
	unlink(journal_path);
	return rmdir(dir);
}

int open_it(char **reason)
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

void must_open(void)
{
	char *reason;

	if (open_it(&reason))
		fail_msg("%s", reason);
	assert_null(reason);
	assert_int_equal(journal != NULL, opts.atomic);
}

void close_it(void)
{
	if (journal)
		file_journal_close(journal, target.fd);
	close(target.fd);
}

void abandon_it(void)
{
	file_journal_free(journal);
	close(target.fd);
}

void must_refuse(int err, const char *text)
{
	char *reason;

	assert_int_equal(open_it(&reason), -err);
	assert_non_null(reason);
	if (!strstr(reason, text))
		fail_msg("'%s' does not say '%s'", reason, text);
	free(reason);
}

void fill(uint8_t *data, unsigned int seed)
{
	for (size_t i = 0; i < LEN; i++)
		data[i] = (uint8_t)(seed + i / SECTOR * 7 + i);
}

int write_new(void)
{
	struct iovec iov = { new_data, LEN };

	return file_journal_write(journal, target.fd, &iov, 1, OFF, LEN);
}

void put_old(void)
{
	assert_int_equal(pwrite(target.fd, old_data, LEN, OFF), LEN);
}

static void look(void)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_int_equal(pread(fd, found, LEN, OFF), LEN);
	close(fd);
}

bool is_new(void)
{
	look();
	return !memcmp(found, new_data, LEN);
}

bool is_old(void)
{
	look();
	return !memcmp(found, old_data, LEN);
}

void crash(int step, unsigned int seed)
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

void leave_a_record(void)
{
	must_open();
	put_old();
	crash(4, 3);
	abandon_it();
}
