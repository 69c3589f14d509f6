/* SPDX-License-Identifier: Apache-2.0 */
/* A storm of random commands on one unit while another one is used as usual: every command has one
 * right answer, only the blocks that a command names change, and then both go on. */
#include "crowd.h"
#include "storm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SIZE (STORM_BLOCKS * 512ull)

static uint8_t *medium; /* what it must hold */

static struct fake_dev *storm_lun(const char *name)
{
	struct fake_dev_cfg cfg = { .name = name,
				    .size = SIZE,
				    .ring = { .ring_bytes = 65536,
					      .pages_per_blk = 1,
					      .data_blocks = 512,
					      .qfull_time_out = -1,
					      .pos_off = 76 } }; /* as lun_create() */
	char config[200];
	struct fake_dev *dev;
	int fd;

	snprintf(config, sizeof(config), "file/%s", world_path(&w, name));
	medium = malloc(SIZE);
	for (size_t i = 0; i < SIZE; i++)
		medium[i] = (uint8_t)(i / 512 * 7 + i % 512 * 13 + (i >> 13));
	fd = open(world_path(&w, name), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, medium, SIZE), SIZE);
	close(fd);
	cfg.config = config;
	assert_int_equal(fake_dev_create(w.k, &cfg, &dev), 0);
	return dev;
}

static void wrong(const struct fake_cmd *cmd, const char *what)
{
	storm_print(cmd);
	fail_msg("%s", what);
}

static void file_blocks(int fd, uint32_t lba, uint32_t blocks, uint8_t *buf)
{
	assert_int_equal(pread(fd, buf, (size_t)blocks * 512, (off_t)lba * 512), blocks * 512ll);
}

static void compare_all(int fd, const char *when)
{
	uint8_t *now = malloc(SIZE);

	file_blocks(fd, 0, STORM_BLOCKS, now);
	for (uint32_t lba = 0; lba < STORM_BLOCKS; lba++)
		if (memcmp(now + lba * 512ul, medium + lba * 512ul, 512))
			fail_msg("%s, block %u has changed, and nobody named it", when, lba);
	free(now);
}

/* Which commands there are is what it says itself. */
static void learn(struct storm *s, struct fake_dev *dev)
{
	static const uint8_t all[16] = { 0xa3, 0x0c, [8] = 0x10 };
	static uint8_t list[4096];
	struct fake_cmd cmd;
	const char *what;

	fake_cmd_init(&cmd, all, sizeof(all), FAKE_IN, list, sizeof(list));
	assert_int_equal(fake_exec(fake_dev_ring(dev), &cmd, LONG_MS), 0);
	what = storm_learn(s, list, sizeof(list) - cmd.residual);
	if (cmd.status || what)
		fail_msg("%s", what);
}

/* It has to be as if nothing had been before. */
static void works(struct fake_dev *dev)
{
	static uint8_t data[512];
	struct bg bg;

	assert_int_equal(fake_wait_idle(fake_dev_ring(dev), LONG_MS), 0);
	assert_int_equal(test_unit_ready(dev), 0);
	assert_int_equal(capacity(dev), SIZE);
	memset(bg.buf, 0x5a, sizeof(bg.buf));
	bg_submit(dev, &bg, write_one, FAKE_OUT);
	bg_wait(&bg);
	assert_int_equal(bg.cmd.status, 0);
	memset(bg.buf, 0, sizeof(bg.buf));
	bg_submit(dev, &bg, read_one, FAKE_IN);
	bg_wait(&bg);
	assert_int_equal(bg.cmd.status, 0);
	memset(data, 0x5a, sizeof(data));
	assert_memory_equal(bg.buf, data, sizeof(data));
}

/* ---- one after the other: what each one does is certain ---- */

/* The blocks after a command that was answered GOOD, into medium. */
static void follow(const struct fake_cmd *cmd, uint32_t lba, uint32_t blocks, int fd)
{
	uint8_t *at = medium + (size_t)lba * 512, *now;
	uint8_t op = cmd->cdb[0];

	if (cmd->odd) { /* nobody can know what it has written */
		file_blocks(fd, lba, blocks, at);
	} else if (op == 0x41 || op == 0x93) {
		if (op == 0x93 && cmd->cdb[1] & 1)
			memset(at, 0, (size_t)blocks * 512);
		else
			for (uint32_t i = 0; i < blocks; i++)
				memcpy(at + (size_t)i * 512, cmd->data, 512);
	} else if (op == 0x42) { /* a request: a block may stay as it is */
		now = malloc((size_t)blocks * 512 + 1);
		file_blocks(fd, lba, blocks, now);
		for (uint32_t i = 0; i < blocks; i++)
			if (memcmp(now + (size_t)i * 512, at + (size_t)i * 512, 512))
				memset(at + (size_t)i * 512, 0, 512);
		free(now);
	} else {
		memcpy(at, cmd->data, (size_t)blocks * 512);
	}
}

static void check_changes(const struct fake_cmd *cmd, int fd)
{
	uint32_t lba, blocks;
	uint8_t *now;
	bool beyond, same;

	for (unsigned int n = 0; storm_range(cmd, n, &lba, &blocks, &beyond); n++) {
		uint8_t op = cmd->cdb[0];
		bool no_data = op == 0x42 || (op == 0x93 && cmd->cdb[1] & 1);
		size_t need = op == 0x41 || op == 0x93 ? 512 : (size_t)blocks * 512;

		if (!cmd->status && blocks && beyond)
			wrong(cmd, "GOOD for blocks beyond the end");
		if (!cmd->status && blocks && !no_data && cmd->len < need)
			wrong(cmd, "GOOD for data that were not sent");
		if (!cmd->status)
			follow(cmd, lba, blocks, fd);
		now = malloc((size_t)blocks * 512 + 1);
		file_blocks(fd, lba, blocks, now);
		same = !memcmp(now, medium + (size_t)lba * 512, (size_t)blocks * 512);
		free(now);
		if (!same)
			wrong(cmd, cmd->status ? "refused, but it has changed the medium"
					       : "the medium does not hold what it wrote");
	}
}

static void check_read(const struct fake_cmd *cmd)
{
	uint8_t op = cmd->cdb[0];
	uint32_t lba, blocks;
	size_t len = cmd->len / 512 * 512;

	if (cmd->status || cmd->dir != FAKE_IN)
		return;
	if (op == 0x08) {
		lba = (uint32_t)storm_get(cmd->cdb + 1, 3) & 0x1fffff;
		blocks = cmd->cdb[4] ? cmd->cdb[4] : 256;
	} else if (op == 0x28 || op == 0xa8) {
		lba = (uint32_t)storm_get(cmd->cdb + 2, 4);
		blocks = (uint32_t)storm_get(cmd->cdb + (op == 0x28 ? 7 : 6), op == 0x28 ? 2 : 4);
	} else if (op == 0x88) {
		if (storm_get(cmd->cdb + 2, 8) > STORM_BLOCKS)
			wrong(cmd, "GOOD for blocks beyond the end");
		lba = (uint32_t)storm_get(cmd->cdb + 2, 8);
		blocks = (uint32_t)storm_get(cmd->cdb + 10, 4);
	} else {
		return;
	}
	if (lba > STORM_BLOCKS || blocks > STORM_BLOCKS - lba)
		wrong(cmd, "GOOD for blocks beyond the end");
	if (len > (size_t)blocks * 512)
		len = (size_t)blocks * 512;
	if (memcmp(cmd->data, medium + (size_t)lba * 512, len))
		wrong(cmd, "read something else");
	/* "Nothing" cannot be said on the ring. */
	if (len && cmd->residual != cmd->len - len)
		wrong(cmd, "a wrong residual");
}

/* VERIFY: GOOD or MISCOMPARE is the truth. */
static void check_verify(const struct fake_cmd *cmd)
{
	bool ten = cmd->cdb[0] == 0x2f;
	uint64_t lba = storm_get(cmd->cdb + 2, ten ? 4 : 8);
	uint64_t blocks = ten ? storm_get(cmd->cdb + 7, 2) : storm_get(cmd->cdb + 10, 4);
	unsigned int bytchk = cmd->cdb[1] >> 1 & 3;
	bool same = true;

	if ((cmd->cdb[0] != 0x2f && cmd->cdb[0] != 0x8f) || cmd->dir == FAKE_IN ||
	    (cmd->status && (cmd->sense[2] & 0xf) != 0xe))
		return;
	if (lba > STORM_BLOCKS || blocks > STORM_BLOCKS - lba ||
	    (blocks && bytchk && cmd->len < (bytchk == 1 ? blocks * 512 : 512)))
		wrong(cmd, "verified what there is not");
	for (uint64_t i = 0; i < blocks && bytchk; i++)
		same &= !memcmp(medium + (lba + i) * 512,
				(uint8_t *)cmd->data + (bytchk == 1 ? i * 512 : 0), 512);
	if (same != !cmd->status)
		wrong(cmd, same ? "MISCOMPARE of what is the same" : "GOOD for what differs");
}

static void one_by_one(void **state)
{
	struct storm s = { .write_zone = STORM_BLOCKS };
	struct fake_dev *dev;
	struct storm_cmd sc;
	const char *what;
	int fd;

	(void)state;
	s.seed = test_seed(1000);
	start_usual(TCMU_HANDLERS);
	witness_start(1);
	dev = storm_lun("one");
	learn(&s, dev);
	s.medium = medium;
	fd = open(world_path(&w, "one"), O_RDONLY | O_CLOEXEC);
	storm_alloc(&sc);
	for (unsigned int i = 0; i < scaled(20000); i++) {
		storm_compose(&s, &sc);
		assert_int_equal(fake_exec(fake_dev_ring(dev), &sc.cmd, LONG_MS), 0);
		what = storm_wrong(&s, &sc.cmd);
		if (what)
			wrong(&sc.cmd, what);
		if (storm_is_stranger(&s, &sc.cmd))
			file_blocks(fd, 0, STORM_BLOCKS, medium);
		check_changes(&sc.cmd, fd);
		check_read(&sc.cmd);
		check_verify(&sc.cmd);
		if (i % 2048 == 0)
			compare_all(fd, "in between");
	}
	print_message("%lu GOOD, %lu refused, %lu unknown\n", s.good, s.refused, s.unknown);
	assert_true(s.good && s.refused && s.unknown);
	compare_all(fd, "at the end");
	works(dev);
	assert_int_equal(fake_dev_remove(dev), 0);
	witness_end();
	storm_free(&sc);
	close(fd);
	free(medium);
}

/* ---- many at once: what nobody named stays ---- */

enum { DEPTH = 48 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static struct storm_cmd *answered[DEPTH];
static int answers;

static void take_answer(struct fake_cmd *cmd)
{
	struct storm_cmd *sc = cmd->arg;

	pthread_mutex_lock(&lock);
	sc->done++;
	answered[answers++] = sc;
	pthread_cond_signal(&cond);
	pthread_mutex_unlock(&lock);
}

static struct storm_cmd *next_answer(void)
{
	struct timespec until;
	struct storm_cmd *sc;
	int ret = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LONG_MS / 1000;
	pthread_mutex_lock(&lock);
	while (!answers && !ret)
		ret = pthread_cond_timedwait(&cond, &lock, &until);
	sc = answers ? answered[--answers] : NULL;
	pthread_mutex_unlock(&lock);
	assert_non_null(sc);
	assert_int_equal(sc->done, 1);
	return sc;
}

static void mark(const struct fake_cmd *cmd, uint8_t *named)
{
	uint32_t lba, blocks;
	bool beyond;

	for (unsigned int n = 0; storm_range(cmd, n, &lba, &blocks, &beyond); n++)
		memset(named + lba, 1, blocks);
}

static void many_at_once(void **state)
{
	static uint8_t named[STORM_BLOCKS];
	static struct storm_cmd sc[DEPTH];
	struct storm s = { .write_zone = STORM_BLOCKS / 2, .no_strangers = true };
	unsigned int sent = 0, in_flight = 0, kept = 0;
	struct fake_dev *dev;
	int fd;

	(void)state;
	s.seed = test_seed(2000);
	start_usual(TCMU_HANDLERS);
	witness_start(2);
	dev = storm_lun("many");
	learn(&s, dev);
	fd = open(world_path(&w, "many"), O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < DEPTH; i++)
		storm_alloc(&sc[i]);
	while (in_flight || sent < scaled(30000)) {
		struct storm_cmd *next = in_flight < DEPTH && sent < DEPTH ? &sc[sent]
									   : next_answer();
		const char *what = next->done ? storm_wrong(&s, &next->cmd) : NULL;

		if (what)
			wrong(&next->cmd, what);
		if (next->done && !next->cmd.status)
			mark(&next->cmd, named);
		in_flight -= (unsigned int)next->done;
		next->done = 0;
		if (sent >= scaled(30000))
			continue;
		storm_compose(&s, next);
		next->cmd.done = take_answer;
		next->cmd.arg = next;
		sent++;
		in_flight++;
		fake_ring_submit(fake_dev_ring(dev), &next->cmd);
	}
	for (uint32_t lba = 0; lba < STORM_BLOCKS; lba++) {
		kept += !named[lba];
		if (named[lba])
			file_blocks(fd, lba, 1, medium + (size_t)lba * 512);
	}
	print_message("%lu GOOD, %lu refused, %lu unknown, %u blocks named by nobody\n", s.good,
		      s.refused, s.unknown, kept);
	assert_true(kept);
	compare_all(fd, "at the end");
	works(dev);
	assert_int_equal(fake_dev_remove(dev), 0);
	witness_end();
	for (int i = 0; i < DEPTH; i++)
		storm_free(&sc[i]);
	close(fd);
	free(medium);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, crowd_open, crowd_close)

int main(void)
{
	const struct CMUnitTest tests[] = { T(one_by_one), T(many_at_once) };

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
