/* SPDX-License-Identifier: Apache-2.0 */
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <unistd.h>

struct world w;

int faults_open(void **state)
{
	(void)state;
	world_open(&w);
	return 0;
}

int faults_close(void **state)
{
	char pattern[200];
	glob_t held;

	(void)state;
	/* After a test that failed: the daemon shall end all the same. */
	snprintf(pattern, sizeof(pattern), "%s/*.hold-*", w.dir);
	if (!glob(pattern, 0, NULL, &held)) {
		for (size_t i = 0; i < held.gl_pathc; i++)
			unlink(held.gl_pathv[i]);
		globfree(&held);
	}
	return world_close(&w);
}

void spawn(const char *handlers, const char *open_sec, const char *stop_sec)
{
	char lock[160];
	const char *argv[] = { TCMU_RUNNER_FAKE,
			       "--handler-path",
			       handlers,
			       "--lock-file",
			       lock,
			       "--open-timeout",
			       open_sec,
			       "--stop-timeout",
			       stop_sec,
			       engine_option(),
			       NULL };

	snprintf(lock, sizeof(lock), "%s/lock", w.dir);
	proc_spawn(&w.d, (char *const *)(uintptr_t)argv);
}

void start(const char *handlers, const char *open_sec, const char *stop_sec)
{
	spawn(handlers, open_sec, stop_sec);
	assert_int_equal(proc_expect(&w.d, "ready", LONG_MS), 0);
}

void start_usual(const char *handlers)
{
	start(handlers, "60", "10");
}

void stop(void)
{
	assert_int_equal(proc_stop(&w.d, LONG_MS), 0);
}

static const char *led(const char *lun, const char *what)
{
	static char path[400];

	snprintf(path, sizeof(path), "%s/%s.%s", w.dir, lun, what);
	return path;
}

static void set(const char *lun, const char *verb, const char *callback, bool on)
{
	char what[64];

	snprintf(what, sizeof(what), "%s-%s", verb, callback);
	if (on)
		close(open(led(lun, what), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	else
		unlink(led(lun, what));
}

void hold(const char *lun, const char *callback)
{
	set(lun, "hold", callback, true);
}

void let_go(const char *lun, const char *callback)
{
	set(lun, "hold", callback, false);
}

void spoil(const char *lun, const char *callback, bool on)
{
	set(lun, "fail", callback, on);
}

static char *slurp(const char *path)
{
	static char buf[1 << 20];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof(buf) - 1);

	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

const char *said(void)
{
	return slurp(w.d.log) + w.d.log_pos;
}

const char *trace(const char *lun)
{
	return slurp(led(lun, "trace"));
}

unsigned int count(const char *text, const char *word)
{
	unsigned int n = 0;

	for (; (text = strstr(text, word)); text += strlen(word))
		n++;
	return n;
}

/* Until the handler has come to this the nth time. */
void reached(const char *lun, const char *line, unsigned int n)
{
	uint64_t end = fake_now_ms() + LONG_MS;

	while (count(trace(lun), line) < n) {
		assert_true(fake_now_ms() < end);
		usleep(1000);
	}
}

int slow_create(const char *name, struct fake_dev **dev)
{
	char config[200];

	snprintf(config, sizeof(config), "slow/%s", world_path(&w, name));
	return lun_create(&w, name, config, MIB, dev);
}

struct fake_dev *slow_lun(const char *name)
{
	struct fake_dev *dev = NULL;

	assert_int_equal(slow_create(name, &dev), 0);
	return dev;
}

/* ---- commands ---- */

const uint8_t read_one[16] = { 0x88, [13] = 1 };
const uint8_t write_one[16] = { 0x8a, [13] = 1 };

static void bg_done(struct fake_cmd *cmd)
{
	atomic_store(&((struct bg *)cmd->arg)->done, true);
}

void bg_submit(struct fake_dev *dev, struct bg *bg, const uint8_t *cdb, enum fake_dir dir)
{
	fake_cmd_init(&bg->cmd, cdb, 16, dir, bg->buf, sizeof(bg->buf));
	bg->cmd.done = bg_done;
	bg->cmd.arg = bg;
	atomic_store(&bg->done, false);
	fake_ring_submit(fake_dev_ring(dev), &bg->cmd);
}

void bg_wait(struct bg *bg)
{
	uint64_t end = fake_now_ms() + LONG_MS;

	while (!atomic_load(&bg->done)) {
		assert_true(fake_now_ms() < end);
		usleep(1000);
	}
}

/* The additional sense code of a unit attention, or 0 when it was GOOD. */
static unsigned int exec(struct fake_dev *dev, const uint8_t *cdb, size_t cdb_len,
			 enum fake_dir dir, void *buf, size_t len)
{
	uint64_t end = fake_now_ms() + LONG_MS;
	struct fake_cmd cmd;

	do { /* BUSY: a daemon has just taken over from one that died */
		fake_cmd_init(&cmd, cdb, cdb_len, dir, buf, len);
		assert_int_equal(fake_exec(fake_dev_ring(dev), &cmd, LONG_MS), 0);
	} while (cmd.status == 8 && fake_now_ms() < end && !usleep(1000));
	if (!cmd.status)
		return 0;
	assert_int_equal(cmd.status, 2);
	assert_int_equal(cmd.sense[2], 6);
	return (unsigned int)cmd.sense[12] << 8 | cmd.sense[13];
}

unsigned int test_unit_ready(struct fake_dev *dev)
{
	static const uint8_t tur[6];

	return exec(dev, tur, sizeof(tur), FAKE_NONE, NULL, 0);
}

uint64_t capacity(struct fake_dev *dev)
{
	static const uint8_t cdb[16] = { 0x9e, 0x10, [13] = 32 };
	uint64_t lba = 0;
	uint8_t buf[32];

	assert_int_equal(exec(dev, cdb, sizeof(cdb), FAKE_IN, buf, sizeof(buf)), 0);
	for (int i = 0; i < 8; i++)
		lba = lba << 8 | buf[i];
	return (lba + 1) * 512;
}

bool write_cache(struct fake_dev *dev)
{
	static const uint8_t cdb[6] = { 0x1a, 0x08, 0x08, 0, 64 };
	uint8_t buf[64] = { 0 };

	assert_int_equal(exec(dev, cdb, sizeof(cdb), FAKE_IN, buf, sizeof(buf)), 0);
	assert_int_equal(buf[4] & 0x3f, 8);
	return buf[4 + 2] & 4;
}

void select_write_cache(struct fake_dev *dev, bool on)
{
	static const uint8_t cdb[6] = { 0x15, 0x10, 0, 0, 24 };
	uint8_t list[24] = { [4] = 8, [5] = 18, [6] = on ? 4 : 0 };

	assert_int_equal(exec(dev, cdb, sizeof(cdb), FAKE_OUT, list, sizeof(list)), 0);
}

/* Also when an earlier one is just being finished. */
int reconfig_soon(struct fake_dev *dev, const char *attr, const char *val)
{
	uint64_t end = fake_now_ms() + LONG_MS;
	int ret;

	while ((ret = fake_dev_reconfig(dev, attr, val)) == -EBUSY && fake_now_ms() < end)
		usleep(1000);
	return ret;
}
