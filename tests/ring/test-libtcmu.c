/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libtcmu through its public interface on the fake kernel, in one process: a master thread, a ring
 * thread that answers in any order, and an initiator. Rings of random shapes.
 */
#include <stdlib.h>

#include "lib-rig.h"

#define DEPTH    40
#define MAX_DATA (80u << 10)
#define HELD     64

static _Atomic(unsigned long) done;
static _Atomic(bool) busy[DEPTH];
static struct fake_cmd cmds[DEPTH];
static uint8_t *data[DEPTH];
static _Atomic(bool) zeroed; /* a ring without READ_LEN: the rest is zeros */

/* ---- the program on libtcmu ---- */

static void complete(struct tcmu_device *dev, struct tcmulib_cmd *cmd, unsigned int *seed)
{
	size_t len = tcmu_iovec_length(cmd->iovec, cmd->iov_cnt);
	uint16_t id = cmd->cmd_id;
	int sts = TCMU_STS_OK;
	bool keep = false;

	if (cmd->cdb[0] == 0x88) {
		if (len && rand_r(seed) % 4 == 0) {
			len = 1 + (size_t)rand_r(seed) % len;
			cmd->read_len = (uint32_t)len;
		}
		for (size_t i = 0; i < cmd->iov_cnt && len; i++) {
			size_t n = cmd->iovec[i].iov_len < len ? cmd->iovec[i].iov_len : len;

			memset(cmd->iovec[i].iov_base, 0x5c, n);
			len -= n;
		}
	} else if (cmd->cdb[0] == 0xaa) {
		for (size_t i = 0; i < cmd->iov_cnt; i++)
			if (*(uint8_t *)cmd->iovec[i].iov_base != 0xa5)
				WRONG();
		keep = tcmulib_ring_features(dev) & TCMU_RING_KEEP_BUF && rand_r(seed) % 8 == 0;
		cmd->keep_buf = keep;
	} else if (rand_r(seed) % 2) {
		sts = rand_r(seed) % 2 ? TCMU_STS_INVALID_CMD : TCMU_STS_RANGE;
	}
	tcmulib_command_complete(dev, cmd, sts);
	if (keep) {
		/* The kernel has to know of the answer first. */
		tcmulib_processing_complete(dev);
		if (tcmulib_free_kept_buffer(dev, id))
			WRONG();
	}
}

static void *ring_thread(void *arg)
{
	struct tcmulib_cmd *held[HELD];
	unsigned int seed = 4711;
	int n = 0;

	(void)arg;
	while (!stop) {
		struct tcmu_device *dev = served;
		const struct tcmulib_tmr *tmr;
		struct tcmulib_cmd *cmd;

		if (!dev) {
			n = 0;
			ring_idle = true;
			usleep(200);
			continue;
		}
		if (rand_r(&seed) % 4 == 0)
			tcmulib_processing_start(dev);
		while (n < HELD && (cmd = tcmulib_get_next_command(dev, 64)))
			held[n++] = cmd;
		/* Its commands may have been answered between the kernel's look and ours. */
		while (n < HELD && (tmr = tcmulib_get_next_tmr(dev)))
			for (uint32_t i = 0; i < tmr->cmd_cnt; i++)
				if (tmr->type != 5 || !tmr->cmd_ids[i])
					WRONG();
		for (int c = n ? 1 + rand_r(&seed) % n : 0; c; c--) {
			int i = rand_r(&seed) % n;

			complete(dev, held[i], &seed);
			held[i] = held[--n];
		}
		tcmulib_processing_complete(dev);
	}
	return NULL;
}

/* ---- the initiator ---- */

static void ended(struct fake_cmd *cmd)
{
	int i = (int)(cmd - cmds);

	if (cmd->status != 0 && cmd->status != 0x02 && cmd->status != 0x40 && !cmd->expired)
		WRONG();
	if (cmd->status == 0x02 && cmd->cdb[0] != 0x7f && !cmd->expired)
		WRONG();
	if (cmd->dir == FAKE_IN && !cmd->status && cmd->len > cmd->residual &&
	    data[i][cmd->len - cmd->residual - 1] != 0x5c && (!zeroed || data[i][cmd->len - 1]))
		WRONG();
	busy[i] = false;
	done++;
}

static void submit_some(struct fake_ring *r, unsigned int *seed)
{
	int i = rand_r(seed) % DEPTH;
	struct fake_cmd *cmd = &cmds[i], *victims[DEPTH];
	int n = 0;

	if (busy[i]) {
		usleep(20);
		return;
	}
	busy[i] = true;
	memset(cmd, 0, sizeof(*cmd));
	cmd->dir = (enum fake_dir)(rand_r(seed) % 3);
	cmd->cdb[0] = cmd->dir == FAKE_IN ? 0x88 : cmd->dir == FAKE_OUT ? 0xaa : 0x7f;
	cmd->cdb[7] = cmd->cdb[0] == 0x7f ? (uint8_t)(rand_r(seed) % 253) : 0;
	cmd->data = data[i];
	cmd->len = cmd->dir ? (size_t)(rand_r(seed) % MAX_DATA) : 0;
	if (cmd->dir == FAKE_OUT)
		memset(cmd->data, 0xa5, cmd->len);
	cmd->done = ended;
	fake_ring_submit(r, cmd);
	switch (rand_r(seed) % 64) {
	case 0:
		/* Without its data buffer: the kernel takes the answer of an expired command
		 * whenever it comes. */
		if (cmd->dir != FAKE_IN)
			fake_ring_expire(r, cmd);
		break;
	case 1:
		for (int v = 0; v < 4; v++)
			if (busy[v])
				victims[n++] = &cmds[v];
		fake_ring_tmr(r, 5, victims, (size_t)n);
		break;
	case 2:
		fake_ring_reclaim(r);
		break;
	}
}

static void one_device(unsigned int seed)
{
	static const uint32_t pages[] = { 1, 1, 4, 64 };
	struct fake_dev_cfg cfg = {
		.name = "lib", .config = "test/lib", .size = 1 << 20, .ring = FAKE_RING_CFG_DEFAULT
	};
	uint64_t end = fake_now_ms() + 30000;
	struct fake_dev *dev;

	cfg.ring.ring_bytes = 2048 + (uint32_t)rand_r(&seed) % 20000 / 8 * 8;
	cfg.ring.pages_per_blk = pages[rand_r(&seed) % 4];
	cfg.ring.data_blocks = 25 + (uint32_t)rand_r(&seed) % 200;
	cfg.ring.flags = seed % 3 ? 0 : 1;
	zeroed = cfg.ring.flags;
	cfg.ring.pos_off = 76; /* lib/ring.h: struct tcmu_ring_scratch */
	done = 0;
	assert_int_equal(fake_dev_create(k, &cfg, &dev), 0);
	while (done < 1500 && fake_now_ms() < end)
		submit_some(fake_dev_ring(dev), &seed);
	assert_int_equal(fake_wait_idle(fake_dev_ring(dev), 20000), 0);
	assert_int_equal(fake_dev_remove(dev), 0);
	if (!fake_verdicts_only(fake_kernel_verdicts(k), FAKE_V_NONE) || wrong)
		fail_msg("ring of %u bytes, %u blocks of %u pages: %lu wrong, the last in line %d",
			 cfg.ring.ring_bytes, cfg.ring.data_blocks, cfg.ring.pages_per_blk, wrong,
			 last_wrong);
}

static void all_devices(void)
{
	for (int i = 0; i < DEPTH; i++)
		data[i] = malloc(MAX_DATA);
	for (unsigned int i = 1; i <= 8; i++)
		one_device(i * 77);
}

static void any_order(void **state)
{
	(void)state;
	lib_rig_run(ring_thread, all_devices);
	for (int i = 0; i < DEPTH; i++)
		free(data[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(any_order) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
