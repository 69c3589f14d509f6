/* SPDX-License-Identifier: Apache-2.0 */
#include "lun.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/be.h"

#define BLOCK      512u
#define READ_16    0x88
#define WRITE_16   0x8a
#define PATIENCE_S 60 /* without any answer */
#define NS_IN_S    UINT64_C(1000000000)

struct slot {
	struct fake_cmd cmd;
	struct bench_lun *l;
	uint64_t sent; /* ns */
	uint64_t random;
};

struct bench_lun {
	struct fake_ring *r;
	const struct bench_options *opt;
	unsigned int number;
	struct slot *slots;
	uint8_t *data;
	uint32_t *latencies;
	int64_t goal;
	_Atomic(int64_t) sent, answered;
	_Atomic(int) burst;           /* not answered yet, of this burst */
	_Atomic(uint64_t) next_place; /* of sequential commands */
	_Atomic(unsigned int) failed;
	sem_t done;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_IN_S + (uint64_t)t.tv_nsec;
}

/* xorshift64: the same places each time. */
static uint64_t next_random(struct slot *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return s->random;
}

static uint64_t next_place(struct slot *s)
{
	struct bench_lun *l = s->l;
	uint64_t places = (uint64_t)l->opt->size / (uint64_t)l->opt->bs;

	if (l->opt->rw == BENCH_RANDREAD || l->opt->rw == BENCH_RANDWRITE)
		return next_random(s) % places;
	return atomic_fetch_add_explicit(&l->next_place, 1, memory_order_relaxed) % places;
}

/* Not if the others that are under way are the last ones. */
static void send_one(struct slot *s)
{
	struct bench_lun *l = s->l;
	uint64_t blocks = (uint64_t)l->opt->bs / BLOCK;

	if (atomic_fetch_add(&l->sent, 1) >= l->goal)
		return;
	put_be64(s->cmd.cdb + 2, next_place(s) * blocks);
	s->sent = now_ns();
	fake_ring_submit(l->r, &s->cmd);
}

static void send_all(struct bench_lun *l)
{
	int64_t left = l->goal - atomic_load(&l->answered);
	int n = left < l->opt->depth ? (int)left : l->opt->depth;

	atomic_store(&l->burst, n);
	if (l->opt->bursts)
		fake_ring_plug(l->r, true);
	for (int i = 0; i < n; i++)
		send_one(&l->slots[i]);
	if (l->opt->bursts)
		fake_ring_plug(l->r, false);
}

static void say_failure(struct bench_lun *l, const struct fake_cmd *cmd)
{
	if (!atomic_fetch_add(&l->failed, 1))
		fprintf(stderr,
			"bench-native: LUN %u: opcode %02x failed: status %02x, sense "
			"%x/%02x/%02x\n",
			l->number, cmd->cdb[0], cmd->status, cmd->sense[2] & 0xf, cmd->sense[12],
			cmd->sense[13]);
}

static void answered(struct fake_cmd *cmd)
{
	struct slot *s = cmd->arg;
	struct bench_lun *l = s->l;
	uint64_t took = now_ns() - s->sent;
	int64_t n = atomic_fetch_add(&l->answered, 1);

	l->latencies[n] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
	if (cmd->status) {
		say_failure(l, cmd);
		sem_post(&l->done);
	} else if (n + 1 == l->goal) {
		sem_post(&l->done);
	} else if (!l->opt->bursts) {
		send_one(s);
	} else if (atomic_fetch_sub(&l->burst, 1) == 1) {
		send_all(l);
	}
}

struct bench_lun *bench_lun_new(struct fake_ring *r, const struct bench_options *opt,
				unsigned int number)
{
	bool out = opt->rw == BENCH_RANDWRITE || opt->rw == BENCH_WRITE;
	struct bench_lun *l = calloc(1, sizeof(*l));
	uint8_t cdb[16] = { out ? WRITE_16 : READ_16 };
	size_t bs = (size_t)opt->bs;

	l->r = r;
	l->opt = opt;
	l->number = number;
	l->slots = calloc((size_t)opt->depth, sizeof(*l->slots));
	l->data = calloc((size_t)opt->depth, bs);
	put_be32(cdb + 10, (uint32_t)(bs / BLOCK));
	for (int i = 0; i < opt->depth; i++) {
		struct slot *s = &l->slots[i];

		s->l = l;
		s->random = (number + 1) * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)i;
		fake_cmd_init(&s->cmd, cdb, sizeof(cdb), out ? FAKE_OUT : FAKE_IN,
			      l->data + (size_t)i * bs, bs);
		s->cmd.done = answered;
		s->cmd.arg = s;
	}
	sem_init(&l->done, 0, 0);
	return l;
}

void bench_lun_free(struct bench_lun *l)
{
	sem_destroy(&l->done);
	free(l->latencies);
	free(l->data);
	free(l->slots);
	free(l);
}

void bench_lun_start(struct bench_lun *l, int64_t commands)
{
	free(l->latencies);
	/* Touched here, not while it is measured. */
	l->latencies = malloc((size_t)commands * sizeof(*l->latencies));
	memset(l->latencies, 0xff, (size_t)commands * sizeof(*l->latencies));
	l->goal = commands;
	l->sent = 0;
	l->answered = 0;
	send_all(l);
}

int bench_lun_wait(struct bench_lun *l)
{
	int64_t before = -1, now;
	struct timespec until;

	for (;;) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += PATIENCE_S;
		if (!sem_clockwait(&l->done, CLOCK_MONOTONIC, &until))
			return l->failed ? -1 : 0;
		now = atomic_load(&l->answered);
		if (now == before) {
			fprintf(stderr,
				"bench-native: LUN %u: no answer for %d s, after %lld of %lld\n",
				l->number, PATIENCE_S, (long long)now, (long long)l->goal);
			return -1;
		}
		before = now;
	}
}

uint32_t *bench_lun_latencies(const struct bench_lun *l, uint32_t *to)
{
	memcpy(to, l->latencies, (size_t)l->goal * sizeof(*to));
	return to + l->goal;
}

uint64_t bench_lun_doorbells(const struct bench_lun *l)
{
	struct fake_ring_stats st;

	fake_ring_get_stats(l->r, &st);
	return st.doorbells;
}
