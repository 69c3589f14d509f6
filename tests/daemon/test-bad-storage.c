/* SPDX-License-Identifier: Apache-2.0 */
/* A file that somebody changes under a running unit: what is gone is an error at the right block, what
 * is there is right, and nothing of it reaches another unit. Every block holds its own number, whoever
 * has written it, so any answer can be judged at any time. */
#include "crowd.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE    (4 * MIB)
#define BLOCKS  (SIZE / 512)
#define MAX_IO  32 /* blocks */
#define THREADS 4

enum { MEDIUM_READ = 0x31100, MEDIUM_WRITE = 0x30c00, NO_SPACE = 0x72707 };

static void fill(uint64_t lba, uint8_t *buf, uint32_t blocks)
{
	for (uint32_t i = 0; i < blocks * 64; i++) {
		uint64_t v = (lba + i / 64 + 1) * 0x9e3779b97f4a7c15ull + i % 64;

		memcpy(buf + (size_t)i * 8, &v, 8);
	}
}

static const char *full_file(const char *name)
{
	uint8_t *buf = malloc(SIZE);
	const char *path = world_path(&w, name);
	int fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);

	fill(0, buf, BLOCKS);
	assert_int_equal(write(fd, buf, SIZE), SIZE);
	close(fd);
	free(buf);
	return path;
}

static struct fake_dev *full_lun(const char *name)
{
	struct fake_dev *dev;
	char config[200];

	snprintf(config, sizeof(config), "file/%s", full_file(name));
	assert_int_equal(lun_create(&w, name, config, SIZE, &dev), 0);
	return dev;
}

/* ---- one command ---- */

struct outcome {
	unsigned int sense; /* key << 16 | asc << 8 | ascq; 0: GOOD */
	bool told;          /* the block that failed */
	uint64_t lba;
};

static struct outcome run(struct fake_dev *dev, uint8_t opcode, uint64_t lba, uint32_t blocks,
			  uint8_t *buf)
{
	uint8_t cdb[16] = { opcode, [12] = (uint8_t)(blocks >> 8), [13] = (uint8_t)blocks };
	struct outcome out = { 0 };
	struct fake_cmd cmd;

	for (int i = 0; i < 8; i++)
		cdb[9 - i] = (uint8_t)(lba >> (8 * i));
	fake_cmd_init(&cmd, cdb, sizeof(cdb), opcode == 0x88 ? FAKE_IN : FAKE_OUT, buf,
		      (size_t)blocks * 512);
	if (fake_exec(fake_dev_ring(dev), &cmd, LONG_MS)) {
		out.sense = ~0u;
	} else if (cmd.status) {
		out.sense = (cmd.sense[2] & 0xfu) << 16 | (unsigned int)cmd.sense[12] << 8 |
			    cmd.sense[13];
		if (cmd.status != 2)
			out.sense = 0xff000000u | cmd.status;
		out.told = cmd.sense[0] & 0x80;
		out.lba = (uint64_t)cmd.sense[3] << 24 | (uint64_t)cmd.sense[4] << 16 |
			  (uint64_t)cmd.sense[5] << 8 | cmd.sense[6];
	}
	return out;
}

/* What belongs there, or zeros where the file has ended in between: not at the end of a block. */
static bool is_right(const uint8_t *buf, const uint8_t *want, size_t len, bool zeros)
{
	for (size_t i = 0; i < len; i++)
		if (buf[i] != want[i] && !(zeros && !buf[i]))
			return false;
	return true;
}

/* GOOD with what belongs there; or this sense, with this block. */
static void reads(struct fake_dev *dev, uint64_t lba, uint32_t blocks, unsigned int sense,
		  uint64_t bad)
{
	static uint8_t buf[MAX_IO * 512], want[MAX_IO * 512];
	struct outcome out = run(dev, 0x88, lba, blocks, buf);

	assert_int_equal(out.sense, sense);
	if (sense) {
		assert_true(out.told);
		assert_int_equal(out.lba, bad);
		return;
	}
	fill(lba, want, blocks);
	assert_memory_equal(buf, want, (size_t)blocks * 512);
}

static void writes(struct fake_dev *dev, uint64_t lba, uint32_t blocks)
{
	static uint8_t buf[MAX_IO * 512];

	fill(lba, buf, blocks);
	assert_int_equal(run(dev, 0x8a, lba, blocks, buf).sense, 0);
}

/* ---- many ---- */

struct hammer {
	struct fake_dev *dev;
	uint64_t write_end; /* writes stay in front of this block */
	bool zeros;         /* are all right */
	unsigned int seed;
	pthread_t thread[THREADS];
	_Atomic(bool) stop;
	_Atomic(unsigned int) begun, commands, good_reads, good_writes, read_errors, no_space,
		wrong;
};

static void judge_read(struct hammer *h, const struct outcome *out, uint64_t lba, uint32_t blocks,
		       const uint8_t *buf, uint8_t *want)
{
	if (out->sense) {
		bool right = out->sense == MEDIUM_READ && out->told && out->lba >= lba &&
			     out->lba < lba + blocks;

		atomic_fetch_add(right ? &h->read_errors : &h->wrong, 1);
		return;
	}
	atomic_fetch_add(&h->good_reads, 1);
	fill(lba, want, blocks);
	if (!is_right(buf, want, (size_t)blocks * 512, h->zeros))
		atomic_fetch_add(&h->wrong, 1);
}

static void *hammers(void *arg)
{
	struct hammer *h = arg;
	unsigned int seed = h->seed + atomic_fetch_add(&h->begun, 1);
	uint8_t *buf = malloc(MAX_IO * 512), *want = malloc(MAX_IO * 512);

	while (!atomic_load(&h->stop)) {
		uint32_t blocks = 1 + (unsigned int)rand_r(&seed) % MAX_IO;
		uint64_t lba = (unsigned int)rand_r(&seed) % (BLOCKS - blocks);
		bool write = rand_r(&seed) & 1 && lba + blocks <= h->write_end;
		struct outcome out;

		if (write)
			fill(lba, buf, blocks);
		out = run(h->dev, write ? 0x8a : 0x88, lba, blocks, buf);
		atomic_fetch_add(&h->commands, 1);
		if (!write)
			judge_read(h, &out, lba, blocks, buf, want);
		else
			atomic_fetch_add(!out.sense              ? &h->good_writes
					 : out.sense == NO_SPACE ? &h->no_space
								 : &h->wrong,
					 1);
	}
	free(buf);
	free(want);
	return NULL;
}

static void hammer_start(struct hammer *h)
{
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&h->thread[i], NULL, hammers, h), 0);
}

/* Until so many more are answered. */
static void hammer_on(struct hammer *h, unsigned int n)
{
	unsigned int goal = atomic_load(&h->commands) + scaled(n);
	uint64_t end = fake_now_ms() + LONG_MS;

	while (atomic_load(&h->commands) < goal) {
		assert_true(fake_now_ms() < end);
		usleep(1000);
	}
}

static void hammer_stop(struct hammer *h)
{
	atomic_store(&h->stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(h->thread[i], NULL);
	print_message("%u reads (%u failed), %u writes (%u without space), %u wrong\n",
		      h->good_reads + h->read_errors, h->read_errors, h->good_writes + h->no_space,
		      h->no_space, h->wrong);
	assert_int_equal(h->wrong, 0);
}

/* ---- smaller ---- */

/* Reads end where the file does, and say at which block; what is still there is not touched by that. */
static void cut_in_half(void **state)
{
	static struct hammer h = { .write_end = BLOCKS / 2, .seed = 10 };
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_HANDLERS);
	witness_start(1);
	dev = h.dev = full_lun("half");
	hammer_start(&h);
	hammer_on(&h, 500);
	assert_int_equal(truncate(world_path(&w, "half"), SIZE / 2), 0);
	hammer_on(&h, 1000);
	hammer_stop(&h);
	assert_true(h.read_errors && h.good_reads && h.good_writes);
	assert_true(proc_said(&w.d, "something has made it smaller"));
	assert_int_equal(count(said(), "something has made it smaller"), 1);

	reads(dev, BLOCKS / 2 - 8, 8, 0, 0);
	reads(dev, BLOCKS / 2 - 3, 8, MEDIUM_READ, BLOCKS / 2);
	reads(dev, BLOCKS / 2, 1, MEDIUM_READ, BLOCKS / 2);
	reads(dev, BLOCKS - 1, 1, MEDIUM_READ, BLOCKS - 1);
	/* Not at the end of a block: the one that is incomplete is bad as a whole. */
	assert_int_equal(truncate(world_path(&w, "half"), SIZE / 2 - 100), 0);
	reads(dev, BLOCKS / 2 - 8, 8, MEDIUM_READ, BLOCKS / 2 - 1);
	reads(dev, BLOCKS / 2 - 8, 7, 0, 0);
	/* What is written anew is there again. */
	writes(dev, BLOCKS / 2 - 1, 9);
	reads(dev, BLOCKS / 2 - 8, 16, 0, 0);
	reads(dev, BLOCKS / 2 + 8, 1, MEDIUM_READ, BLOCKS / 2 + 8);
	assert_int_equal(capacity(dev), SIZE);
	assert_int_equal(fake_dev_remove(dev), 0);
	witness_end();
}

/* To nothing and back, again and again, under reads and writes: whatever they meet. */
static void emptied(void **state)
{
	static struct hammer h = { .write_end = BLOCKS, .zeros = true, .seed = 20 };
	unsigned int seed = test_seed(21);

	(void)state;
	start_usual(TCMU_HANDLERS);
	witness_start(2);
	h.dev = full_lun("empty");
	hammer_start(&h);
	for (int i = 0; i < 40; i++) {
		off_t size = i % 4 ? (off_t)((unsigned int)rand_r(&seed) % SIZE) : 0;

		hammer_on(&h, 40);
		assert_int_equal(truncate(world_path(&w, "empty"), size), 0);
		hammer_on(&h, 20);
		if (i % 3 == 0)
			assert_int_equal(truncate(world_path(&w, "empty"), SIZE), 0);
	}
	hammer_stop(&h);
	assert_true(h.read_errors && h.good_reads && h.good_writes);
	assert_int_equal(truncate(world_path(&w, "empty"), SIZE), 0);
	writes(h.dev, BLOCKS - 8, 8);
	reads(h.dev, BLOCKS - 8, 8, 0, 0);
	assert_int_equal(fake_dev_remove(h.dev), 0);
	witness_end();
}

/* ---- another one ---- */

/* A unit keeps the file that it has opened. */
static void deleted_replaced_forbidden(void **state)
{
	static struct hammer h = { .write_end = BLOCKS, .seed = 30 };
	struct fake_dev *dev;
	char here[300], there[300], byte = 'x';
	struct stat st;
	int fd;

	(void)state;
	start_usual(TCMU_HANDLERS);
	witness_start(3);
	h.dev = full_lun("lun");
	hammer_start(&h);
	hammer_on(&h, 200);
	snprintf(here, sizeof(here), "%s", world_path(&w, "lun"));
	assert_int_equal(chmod(here, 0), 0);
	hammer_on(&h, 200);
	snprintf(there, sizeof(there), "%s", world_file(&w, "other", SIZE));
	assert_int_equal(rename(there, here), 0);
	hammer_on(&h, 200);
	assert_int_equal(stat(here, &st), 0);
	assert_int_equal(st.st_blocks, 0);
	assert_int_equal(unlink(here), 0);
	hammer_on(&h, 200);
	hammer_stop(&h);
	assert_int_equal(h.read_errors + h.no_space, 0);
	/* A link to what is gone: a new file of the same name is another one. */
	fd = open(here, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, &byte, 1), 1);
	close(fd);
	assert_int_equal(fake_dev_reconfig(h.dev, "dev_size", "8388608"), 0);
	assert_int_equal(test_unit_ready(h.dev), 0x2a09);
	assert_int_equal(capacity(h.dev), 2 * SIZE);
	assert_int_equal(stat(here, &st), 0);
	assert_int_equal(st.st_size, 1);
	snprintf(there, sizeof(there), "file/%s", world_file(&w, "lun", SIZE));
	assert_int_equal(lun_create(&w, "new", there, SIZE, &dev), 0);
	assert_int_equal(fake_dev_remove(dev), 0);
	assert_int_equal(fake_dev_remove(h.dev), 0);
	witness_end();
}

/* ---- full ---- */

/* Writes that find no room say so, and reads go on; when there is room again, so do writes. */
static void fills_up(struct hammer *h, void (*make_room)(void))
{
	hammer_start(h);
	hammer_on(h, 2000);
	hammer_stop(h);
	assert_true(h->no_space && h->good_writes && h->good_reads);
	assert_int_equal(h->read_errors, 0);
	assert_int_equal(count(said(), "a write at byte"), 1);
	if (make_room) {
		make_room();
		for (uint64_t lba = 0; lba < BLOCKS; lba += MAX_IO) {
			writes(h->dev, lba, MAX_IO);
			reads(h->dev, lba, MAX_IO, 0, 0);
		}
	}
	assert_int_equal(test_unit_ready(h->dev), 0);
	assert_int_equal(fake_dev_remove(h->dev), 0);
}

static void make_room(void)
{
	assert_int_equal(mount("none", world_path(&w, "small"), NULL, MS_REMOUNT, "size=16m"), 0);
}

static void file_system_full(void **state)
{
	static struct hammer h = { .write_end = BLOCKS, .zeros = true, .seed = 40 };
	char config[200];

	(void)state;
	mkdir(world_path(&w, "small"), 0700);
	/* In a namespace of our own, and the daemon's: nothing is left of it. */
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", world_path(&w, "small"), "tmpfs", 0, "size=1m")) {
		print_message("no mount(2) here\n");
		skip();
	}
	start_usual(TCMU_HANDLERS);
	witness_start(4);
	snprintf(config, sizeof(config), "file/%s;create", world_path(&w, "small/lun"));
	assert_int_equal(lun_create(&w, "full", config, SIZE, &h.dev), 0);
	fills_up(&h, make_room);
	witness_end();
	stop();
	assert_int_equal(umount2(world_path(&w, "small"), MNT_DETACH), 0);
}

/* A file may not grow beyond a limit. Where the daemon starts this signal is ignored. */
static void file_size_limited(void **state)
{
	static const char *const limited[] = { "/bin/sh", "-c",
					       "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\"",
					       NULL };
	static struct hammer h = { .write_end = BLOCKS, .seed = 50 };

	(void)state;
	assert_int_equal(daemon_start(&w, limited), 0);
	h.dev = full_lun("limited");
	fills_up(&h, NULL);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, crowd_open, crowd_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(cut_in_half),      T(emptied),           T(deleted_replaced_forbidden),
		T(file_system_full), T(file_size_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
