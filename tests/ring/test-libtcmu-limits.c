/* SPDX-License-Identifier: Apache-2.0 */
/* libtcmu where it is easily done wrong: the ring is reset from outside at any moment, and commands of
 * more iovecs than preadv(2) takes. */
#include <stdlib.h>

#include "lib-rig.h"

static void create(const struct fake_ring_cfg *ring, struct fake_dev **dev)
{
	struct fake_dev_cfg cfg = {
		.name = "lib", .config = "test/lib", .size = 1 << 20, .ring = *ring
	};

	cfg.ring.pos_off = 76; /* lib/ring.h: struct tcmu_ring_scratch */
	assert_int_equal(fake_dev_create(k, &cfg, dev), 0);
}

static void end(struct fake_dev *dev)
{
	assert_int_equal(fake_wait_idle(fake_dev_ring(dev), 20000), 0);
	assert_int_equal(fake_dev_remove(dev), 0);
	assert_true(fake_verdicts_only(fake_kernel_verdicts(k), FAKE_V_NONE));
	if (wrong)
		fail_msg("%lu wrong, the last in line %d", wrong, last_wrong);
}

/* ---- resets ---- */

#define DEPTH    40
#define HELD     32
#define MAX_DATA (16u << 10)
#define RESETS   150

/* A reset comes at any moment between two calls of the library. Inside of one even a correct user space
 * has bad luck: it may just be about to store an answer into a slot that is no longer its own. */
static pthread_mutex_t between = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(unsigned long) done, good;
static _Atomic(bool) busy[DEPTH];
static struct fake_cmd cmds[DEPTH];
static uint8_t data[DEPTH][MAX_DATA];

/* Filled at once: after a reset the buffer belongs to somebody else. */
static struct tcmulib_cmd *take(struct tcmu_device *dev)
{
	struct tcmulib_cmd *cmd;

	pthread_mutex_lock(&between);
	cmd = tcmulib_get_next_command(dev, 0);
	for (size_t i = 0; cmd && cmd->cdb[0] == 0x88 && i < cmd->iov_cnt; i++)
		memset(cmd->iovec[i].iov_base, 0x5c, cmd->iovec[i].iov_len);
	pthread_mutex_unlock(&between);
	return cmd;
}

static void complete(struct tcmu_device *dev, struct tcmulib_cmd *cmd, unsigned int *seed)
{
	pthread_mutex_lock(&between);
	tcmulib_command_complete(dev, cmd,
				 cmd->cdb[0] == 0x7f && rand_r(seed) % 2 ? TCMU_STS_INVALID_CMD
									 : TCMU_STS_OK);
	pthread_mutex_unlock(&between);
}

static void *reset_ring_thread(void *arg)
{
	struct tcmulib_cmd *held[HELD];
	unsigned int seed = 815;
	int n = 0;

	(void)arg;
	while (!stop) {
		struct tcmu_device *dev = served;

		if (!dev) {
			n = 0; /* what a reset has ended */
			ring_idle = true;
			usleep(200);
			continue;
		}
		while (n < HELD && rand_r(&seed) % 16 && (held[n] = take(dev)))
			n++;
		for (int c = n ? rand_r(&seed) % (n + 1) : 0; c; c--) {
			int i = rand_r(&seed) % n;

			complete(dev, held[i], &seed);
			held[i] = held[--n];
		}
		pthread_mutex_lock(&between);
		while (tcmulib_get_next_tmr(dev))
			;
		tcmulib_processing_complete(dev);
		pthread_mutex_unlock(&between);
	}
	return NULL;
}

static void ended(struct fake_cmd *cmd)
{
	int i = (int)(cmd - cmds);

	if (cmd->status != 0 && cmd->status != 0x02 && cmd->status != 0x08)
		WRONG();
	if (cmd->dir == FAKE_IN && !cmd->status && cmd->len && data[i][cmd->len - 1] != 0x5c)
		WRONG();
	good += !cmd->status;
	busy[i] = false;
	done++;
}

static void submit_one(struct fake_ring *r, unsigned int *seed)
{
	int i = rand_r(seed) % DEPTH;
	struct fake_cmd *cmd = &cmds[i];

	if (busy[i]) {
		usleep(20);
		return;
	}
	busy[i] = true;
	memset(cmd, 0, sizeof(*cmd));
	cmd->dir = (enum fake_dir)(rand_r(seed) % 3);
	cmd->cdb[0] = cmd->dir == FAKE_IN ? 0x88 : cmd->dir == FAKE_OUT ? 0xaa : 0x7f;
	cmd->cdb[7] = cmd->dir ? 0 : (uint8_t)(rand_r(seed) % 60);
	cmd->data = data[i];
	cmd->len = cmd->dir ? (size_t)(rand_r(seed) % MAX_DATA) : 0;
	cmd->done = ended;
	fake_ring_submit(r, cmd);
	if (rand_r(seed) % 32 == 0)
		fake_ring_tmr(r, 5, NULL, 0);
}

static void many_resets(void)
{
	struct fake_ring_cfg ring = FAKE_RING_CFG_DEFAULT;
	unsigned int seed = 4;
	struct fake_dev *dev;

	fake_kernel_set_answer_patience(k, 10000);
	ring.ring_bytes = 3000;
	ring.data_blocks = 100;
	ring.decoys = 4;
	create(&ring, &dev);
	for (int n = 0; n < RESETS; n++) {
		unsigned long goal = done + (unsigned long)rand_r(&seed) % 40;
		uint64_t late = fake_now_ms() + 20000;

		while (done < goal && fake_now_ms() < late)
			submit_one(fake_dev_ring(dev), &seed);
		assert_true(done >= goal);
		for (int more = rand_r(&seed) % 8; more; more--)
			submit_one(fake_dev_ring(dev), &seed);
		pthread_mutex_lock(&between);
		fake_ring_reset(fake_dev_ring(dev), 1 + rand_r(&seed) % 2);
		pthread_mutex_unlock(&between);
	}
	end(dev);
	assert_true(good > RESETS);
}

static void reset_at_any_moment(void **state)
{
	(void)state;
	lib_rig_run(reset_ring_thread, many_resets);
}

/* ---- iovecs ---- */

/* The library's mapping and the fake's are two, so that a thread sanitizer sees no order between a
 * command and its answer: these two atomics are the order of everything here. */
static uint8_t *_Atomic disk;
static _Atomic(size_t) iovs_seen;

static void *disk_ring_thread(void *arg)
{
	(void)arg;
	while (!stop) {
		struct tcmu_device *dev = served;
		struct tcmulib_cmd *cmd;

		if (!dev) {
			ring_idle = true;
			usleep(200);
			continue;
		}
		while ((cmd = tcmulib_get_next_command(dev, 0))) {
			size_t len = tcmu_iovec_length(cmd->iovec, cmd->iov_cnt);
			size_t iovs = cmd->iov_cnt;

			if (cmd->cdb[0] == 0x88)
				tcmu_memcpy_into_iovec(cmd->iovec, cmd->iov_cnt, disk, len);
			else
				tcmu_memcpy_from_iovec(disk, len, cmd->iovec, cmd->iov_cnt);
			iovs_seen = iovs;
			tcmulib_command_complete(dev, cmd, TCMU_STS_OK);
		}
		tcmulib_processing_complete(dev);
		usleep(50);
	}
	return NULL;
}

static bool same_as_disk(const struct fake_cmd *cmd)
{
	return iovs_seen && !memcmp(cmd->data, disk, cmd->len);
}

static void noise(uint8_t *p, size_t len, uint32_t salt)
{
	for (size_t i = 0; i + 4 <= len; i += 4) {
		uint32_t v = ((uint32_t)i + salt) * 2654435761u;

		memcpy(p + i, &v, 4);
	}
}

/* len is not a multiple of a page: the last iovec is a short one. */
static void one_transfer(struct fake_ring *r, enum fake_dir dir, uint32_t iovs)
{
	const uint8_t cdb[16] = { dir == FAKE_IN ? 0x88 : 0x8a };
	size_t len = (size_t)iovs * FAKE_PAGE - 512;
	struct fake_cmd cmd;
	uint8_t *buf = calloc(1, len), *medium = calloc(1, len);

	noise(dir == FAKE_IN ? medium : buf, len, iovs);
	iovs_seen = 0;
	disk = medium;
	fake_cmd_init(&cmd, cdb, sizeof(cdb), dir, buf, len);
	cmd.right = same_as_disk;
	assert_int_equal(fake_exec(r, &cmd, 20000), 0);
	assert_int_equal(cmd.status, 0);
	assert_int_equal(iovs_seen, iovs);
	assert_memory_equal(buf, medium, len);
	free(buf);
	free(medium);
}

static void transfers(void)
{
	static const uint32_t counts[] = { 1, 1024, 1025, 2000 };

	/* All features of the ring; and without READ_LEN, where the library keeps the iovecs twice. */
	for (int flags = 0; flags < 2; flags++) {
		struct fake_ring_cfg ring = FAKE_RING_CFG_DEFAULT;
		struct fake_dev *dev;

		ring.flags = (uint16_t)flags;
		ring.data_blocks = 4100;
		create(&ring, &dev);
		fake_ring_fragment(fake_dev_ring(dev), true);
		for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
			one_transfer(fake_dev_ring(dev), FAKE_IN, counts[i]);
			one_transfer(fake_dev_ring(dev), FAKE_OUT, counts[i]);
		}
		end(dev);
	}
}

static void many_iovecs(void **state)
{
	(void)state;
	lib_rig_run(disk_ring_thread, transfers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reset_at_any_moment),
		cmocka_unit_test(many_iovecs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
