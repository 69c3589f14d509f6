/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Initiator, user space and kernel on threads of their own, with everything that may happen at any
 * moment; rings of random shapes. A user space that does right must never be accused, and each
 * command must end once. Consumer and kernel share one mapping, so that a thread sanitizer sees the
 * order of their loads and stores.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "rig.h"

#define DEPTH    48
#define MAX_DATA (64u << 10)
#define PENDING  64

struct stress {
	struct fake_verdicts v;
	struct fake_ring *r;
	_Atomic(bool) stop, no_more;
	_Atomic(unsigned long) done, wrong;
	pthread_mutex_t lock;
	struct fake_cmd cmd[DEPTH];
	bool busy[DEPTH];
	uint8_t *data[DEPTH];
	unsigned int seed;
};

static struct stress s;

static void ended(struct fake_cmd *cmd)
{
	int i = (int)(cmd - s.cmd);

	if (cmd->status != 0 && cmd->status != 0x40 && cmd->status != 0x28 && !cmd->expired)
		s.wrong++;
	if (cmd->dir == FAKE_IN && !cmd->status && cmd->len > cmd->residual &&
	    s.data[i][cmd->len - cmd->residual - 1] != 0x5c)
		s.wrong++;
	pthread_mutex_lock(&s.lock);
	s.busy[i] = false;
	pthread_mutex_unlock(&s.lock);
	s.done++;
}

static void *initiator(void *arg)
{
	unsigned int seed = s.seed;

	(void)arg;
	while (!s.stop) {
		int i = rand_r(&seed) % DEPTH;
		struct fake_cmd *cmd = &s.cmd[i];
		bool busy;

		pthread_mutex_lock(&s.lock);
		busy = s.busy[i];
		s.busy[i] = true;
		pthread_mutex_unlock(&s.lock);
		if (busy) {
			usleep(10);
			continue;
		}
		memset(cmd, 0, sizeof(*cmd));
		cmd->dir = (enum fake_dir)(rand_r(&seed) % 3);
		cmd->cdb[0] = cmd->dir == FAKE_IN ? 0x88 : cmd->dir == FAKE_OUT ? 0xaa : 0x7f;
		cmd->cdb[7] = cmd->cdb[0] == 0x7f ? (uint8_t)(rand_r(&seed) % 253) : 0;
		cmd->data = s.data[i];
		cmd->len = cmd->dir ? (size_t)(rand_r(&seed) % MAX_DATA) : 0;
		cmd->done = ended;
		fake_ring_submit(s.r, cmd);
	}
	return NULL;
}

/* Doorbells that nobody rang, events that come late. */
static void *kernel(void *arg)
{
	unsigned int seed = s.seed + 1;

	(void)arg;
	while (!s.stop) {
		int what = rand_r(&seed) % 8;

		fake_ring_reclaim(s.r);
		if (what == 0)
			fake_ring_hold_head(s.r, true);
		else if (what == 1)
			fake_ring_tmr(s.r, 5, NULL, 0);
		usleep(50);
		fake_ring_hold_head(s.r, false);
	}
	return NULL;
}

static void answer(struct ref_consumer *c, struct ref_cmd *cmd, unsigned int *seed)
{
	size_t len = ref_len(cmd);

	if (cmd->cdb[0] != 0x88) {
		ref_answer(c, cmd->id, 0, 0, 0);
	} else if (len && rand_r(seed) % 4 == 0) {
		len = 1 + (size_t)rand_r(seed) % len;
		ref_fill(cmd, 0x5c, len);
		ref_answer(c, cmd->id, 0, TCMU_ABI_UFLAG_READ_LEN, (uint32_t)len);
	} else {
		ref_fill(cmd, 0x5c, len);
		ref_answer(c, cmd->id, 0, 0, 0);
	}
	ref_free(cmd);
}

static void *consumer(void *arg)
{
	struct ref_cmd held[PENDING];
	struct ref_consumer c;
	unsigned int seed = s.seed + 2;
	int n = 0;

	(void)arg;
	ref_init(&c, fake_ring_base(s.r));
	/* Ends when nobody submits any more and all that came is answered. */
	for (;;) {
		bool last = s.no_more; /* before the look that finds nothing */
		struct fake_ring_stats st;

		while (n < PENDING && ref_next(&c, &held[n]))
			n += held[n].op == TCMU_ABI_OP_CMD;
		for (int k = n ? 1 + rand_r(&seed) % n : 0; k; k--) {
			int i = rand_r(&seed) % n;

			answer(&c, &held[i], &seed);
			held[i] = held[--n];
		}
		ref_slot(&c); /* what needs no answer */
		fake_ring_doorbell(s.r, 1);
		fake_ring_get_stats(s.r, &st);
		if (last && !st.unanswered && !n && st.drained)
			return NULL;
	}
}

static void one_ring(unsigned int seed)
{
	struct fake_ring_cfg cfg = FAKE_RING_CFG_DEFAULT;
	static const uint32_t pages[] = { 1, 1, 4, 64 };
	pthread_t t[3];

	s.seed = seed;
	cfg.ring_bytes = 2048 + (uint32_t)rand_r(&seed) % 20000 / 8 * 8;
	cfg.pages_per_blk = pages[rand_r(&seed) % 4];
	cfg.data_blocks = (20 + (uint32_t)rand_r(&seed) % 200);
	cfg.decoys = 2;
	fake_verdicts_init(&s.v);
	pthread_mutex_init(&s.lock, NULL);
	s.stop = false;
	s.no_more = false;
	s.done = 0;
	s.wrong = 0;
	memset(s.busy, 0, sizeof(s.busy));
	s.r = fake_ring_new(&cfg, &s.v);
	assert_non_null(s.r);
	pthread_create(&t[0], NULL, consumer, NULL);
	pthread_create(&t[1], NULL, kernel, NULL);
	pthread_create(&t[2], NULL, initiator, NULL);
	for (int ms = 0; ms < 20000 && s.done < 1500; ms++)
		usleep(1000);
	s.stop = true;
	pthread_join(t[2], NULL);
	pthread_join(t[1], NULL);
	s.no_more = true;
	pthread_join(t[0], NULL);
	fake_ring_check_idle(s.r);
	if (!fake_verdicts_only(&s.v, FAKE_V_NONE) || s.wrong || s.done < 1500)
		fail_msg("ring of %u bytes, %u blocks of %u pages: %lu done, %lu wrong",
			 cfg.ring_bytes, cfg.data_blocks, cfg.pages_per_blk, s.done, s.wrong);
	fake_ring_free(s.r);
	fake_verdicts_destroy(&s.v);
	pthread_mutex_destroy(&s.lock);
}

static void all_at_once(void **state)
{
	(void)state;
	for (int i = 0; i < DEPTH; i++)
		s.data[i] = calloc(1, MAX_DATA);
	for (unsigned int seed = 1; seed <= 8; seed++)
		one_ring(seed * 1000);
	for (int i = 0; i < DEPTH; i++)
		free(s.data[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(all_at_once) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
