/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer on the ring: the input is a script of what the kernel, the program and a successor do, of deaths
 * in between or in the middle of a call, and of stores into the shared memory by nobody knows whom. Whatever
 * the memory holds, the library writes what ring-expect.c says and nothing else, and the tail only comes to
 * where the kernel can walk. As long as the script keeps the kernel's rules the ring is never parked, every
 * command is answered once, and what is not answered comes again after a death, as it was.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/ring-model.h"

#define PRIV_SIZE 24
#define LIVE_MAX  512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct model m;
static struct {
	struct tcmulib_cmd *cmd;
	uint32_t orig_len; /* bytes of its iovs as they came */
} live[LIVE_MAX];
static unsigned int live_count;
static uint16_t kept[MODEL_IDS];
static unsigned int kept_count;

static struct {
	const uint8_t *data;
	size_t left;
} in;

uint32_t take(size_t bytes)
{
	uint32_t v = 0;

	if (in.left < bytes) {
		in.left = 0;
		return 0;
	}
	memcpy(&v, in.data, bytes);
	in.data += bytes;
	in.left -= bytes;
	return v;
}

/* ---- the kernel ------------------------------------------------------------------------------- */

/* In the middle of a call. What a reset does to it is not always foreseeable; a new command does not
 * matter, unless head and tail are already where no kernel would have put them. Or the process dies there. */
void ring_strike(void)
{
	uint32_t turn;

	if (!m.strike || --m.strike)
		return;
	turn = take(1);
	if (turn >= 128) {
		model_snapshot(&m);
		return;
	}
	/* A start looks at the head more than once, which only matters where the journal is an old one. */
	m.struck = !m.honest || (m.starting && m.stale);
	if (turn % 4 < 2)
		model_kernel_reset(&m);
	if (turn % 4)
		model_put_command(&m);
}

/* ---- nobody ----------------------------------------------------------------------------------- */

/* Into the entry that was put last, or anywhere. */
static void store(void)
{
	uint32_t how = take(1), value = take(4);
	size_t at = how & 4 ? m.last_entry + take(1) : take(2);

	m.honest = false;
	memcpy(m.map + at % (m.map_len - 4), &value, 1 + how % 4);
	model_sync(&m);
}

static void store_entry(uint32_t place, uint32_t which)
{
	struct tcmu_abi_entry *ent;

	place = place < m.size - sizeof(*ent) ? place : 0;
	ent = (void *)(m.map + m.cmdr_off + place);
	switch (which) {
	case 0:
		ent->hdr.cmd_id = (uint16_t)(take(1) % 8);
		break;
	case 1: /* as one that is lost */
		ent->req.cdb_off = 0;
		break;
	case 2:
		ent->hdr.len_op ^= 1u << take(1) % 9;
		break;
	}
}

/* Into what a process leaves for the next one: mostly what it might have been. */
static void store_journal(void)
{
	struct tcmu_abi_mailbox *mb = model_mailbox(&m);
	struct tcmu_ring_scratch *s = (void *)mb->scratch;
	uint32_t which = take(1), value = take(1);
	uint32_t place = value % 4 ? value / 4 * 8
				   : m.slots[(m.first + value / 4) % MODEL_SLOTS].off;

	m.honest = false;
	switch (which % 15) {
	case 0:
	case 1:
		s->stage = (uint8_t)(value % 4);
		break;
	case 2:
		s->tails.from = place;
		break;
	case 3:
		s->tails.next = place;
		break;
	case 4:
		s->tails.next = (s->tails.from + value) % 4096;
		break;
	case 5:
		s->spare = place;
		break;
	case 6:
		s->pos = place;
		break;
	case 7:
		mb->cmd_tail = value % 2 ? place : s->tails.from;
		break;
	case 8:
		s->state = (uint16_t)(value % 8);
		break;
	case 9:
		s->answer.status = (uint8_t)(value & 0xf ? value & 0xfe : 2);
		s->answer.uflags = (uint8_t)take(1);
		break;
	case 10:
		s->sense[value % sizeof(s->sense)] = (uint8_t)take(1);
		break;
	case 11:
		s->version = (uint16_t)(value % 4);
		break;
	default:
		store_entry(place, which % 15 - 12);
		break;
	}
	model_sync(&m);
}

static void store_head(void)
{
	m.honest = false;
	model_mailbox(&m)->cmd_head = take(2) & 0x1ff8;
	model_sync(&m);
}

/* ---- the program ------------------------------------------------------------------------------ */

static uint32_t iov_bytes(const struct iovec *iov, size_t cnt)
{
	uint32_t bytes = 0;

	for (size_t i = 0; i < cnt; i++)
		bytes += (uint32_t)iov[i].iov_len;
	return bytes;
}

static bool next(void)
{
	struct tcmulib_cmd *cmd;

	model_before(&m);
	cmd = tcmu_ring_next(&m.ring, PRIV_SIZE);
	model_consumed(&m, cmd);
	if (!cmd)
		return false;
	assert(live_count < LIVE_MAX);
	live[live_count].cmd = cmd;
	live[live_count++].orig_len = iov_bytes(cmd->iovec, cmd->iov_cnt);
	memset(cmd->hm_private, cmd->cmd_id & 0xff, PRIV_SIZE);
	for (size_t i = 0; i < cmd->iov_cnt; i++) {
		memset(cmd->iovec[i].iov_base, 0xa5, cmd->iovec[i].iov_len);
		cmd->iovec[i].iov_len /= 2; /* as tcmu_iovec_seek() does */
	}
	model_sync(&m);
	return true;
}

static bool next_tmr(void)
{
	const struct tcmulib_tmr *tmr;
	uint32_t off = m.pos;

	model_before(&m);
	tmr = tcmu_ring_next_tmr(&m.ring);
	model_consumed(&m, NULL);
	if (tmr && !m.struck) {
		assert(m.ring.state == TCMULIB_RING_RUNNING && m.count);
		off = m.was_reset ? 0 : off;
		assert((const uint8_t *)tmr->cmd_ids == m.map + m.cmdr_off + off + 32);
		assert(off + 32 + 2 * (uint64_t)tmr->cmd_cnt <= m.size);
	}
	return tmr;
}

static void free_kept(void)
{
	uint16_t id = kept[--kept_count];

	model_free_kept(&m, id);
}

static void complete(uint32_t which, uint32_t how)
{
	struct tcmulib_cmd *cmd;
	const struct iovec *orig;
	size_t cnt;

	if (!live_count)
		return;
	which %= live_count;
	cmd = live[which].cmd;
	for (unsigned int i = 0; i < PRIV_SIZE; i++)
		assert(((uint8_t *)cmd->hm_private)[i] == (cmd->cmd_id & 0xff));
	orig = tcmu_ring_orig_iov(&m.ring, cmd, &cnt);
	assert(!orig == !!(m.ring.features & TCMU_RING_READ_LEN));
	assert(!orig || iov_bytes(orig, cnt) == live[which].orig_len);
	live[which] = live[--live_count];
	cmd->read_len = how & 1 ? how * 5 : 0;
	cmd->keep_buf = how % 16 == 15;
	memset(cmd->sense_buf, (int)how, sizeof(cmd->sense_buf));
	if (cmd->keep_buf && m.ring.features & TCMU_RING_KEEP_BUF) {
		/* For a while, so that others are answered and consumed meanwhile. */
		if (kept_count == 3)
			free_kept();
		kept[kept_count++] = cmd->cmd_id;
	}
	model_complete(&m, cmd, how & 2 ? 2 : (uint8_t)(how & 0xf8));
}

static void set_mark(uint32_t which, uint32_t mark)
{
	if (live_count)
		model_set_mark(&m, live[which % live_count].cmd, mark);
}

/* What a program must not do, and may not take anybody else along. */
static void misbehave(void)
{
	struct tcmulib_cmd *cmd = live_count ? live[0].cmd : NULL;

	m.honest = false;
	switch (take(1) % 3) {
	case 0: /* another hm_cmd_size */
		model_before(&m);
		if (m.was_reset) {
			m.strike = 0; /* there is no call that it could come in */
			return;
		}
		cmd = tcmu_ring_next(&m.ring, PRIV_SIZE + 100);
		assert(!cmd || (m.ring.priv_size >= PRIV_SIZE + 100));
		if (cmd) { /* it was the first one */
			live[live_count].cmd = cmd;
			live[live_count++].orig_len = iov_bytes(cmd->iovec, cmd->iov_cnt);
			memset(cmd->hm_private, cmd->cmd_id & 0xff, PRIV_SIZE);
		}
		model_consumed(&m, cmd);
		break;
	case 1: /* the same command twice */
		if (!cmd || m.ring.state == TCMULIB_RING_GONE)
			return;
		complete(0, 0);
		tcmu_ring_complete(&m.ring, cmd, 0);
		assert(m.ring.state == TCMULIB_RING_PARKED);
		model_sync(&m);
		break;
	case 2:
		tcmu_ring_set_gone(&m.ring);
		break;
	}
}

/* ---- processes -------------------------------------------------------------------------------- */

static bool start(bool poor)
{
	if (model_start(&m))
		return false;
	/* A command with as many iovs as there are has room; two have not. */
	if (poor)
		m.ring.pool.limit = m.ring.features & TCMU_RING_READ_LEN ? 2048 : 4096;
	return true;
}

/* Another process takes over, from one that stopped or from a dead one; which may die as it begins. */
static bool succeed(uint32_t how)
{
	if (how & 1)
		model_stop(&m);
	if (how & 4)
		m.planned_strike = take(1) % 32;
	do {
		live_count = 0;
		kept_count = 0;
		tcmu_ring_detach(&m.ring);
		model_die(&m, how & 8);
		for (uint32_t i = 0; i < how / 32; i++)
			store_journal();
		if (!start(how & 2))
			return false;
	} while (m.death->happens);
	return true;
}

static bool rarely(void)
{
	switch (take(1) % 8) {
	case 0:
		misbehave();
		break;
	case 1:
		model_stop(&m);
		break;
	case 2:
	case 3:
	case 4:
		m.planned_strike = take(1) % 32;
		break;
	case 5:
		store_journal();
		break;
	default:
		return succeed(take(1));
	}
	return true;
}

static bool step(void)
{
	uint32_t what = take(1);

	switch (what % 16) {
	case 0:
		store();
		break;
	case 1:
		store_head();
		break;
	case 2:
		model_kernel_reset(&m);
		break;
	case 3:
	case 4:
	case 5:
		model_put_command(&m);
		break;
	case 6:
		model_put_tmr(&m);
		break;
	case 7:
		model_put_unknown(&m);
		break;
	case 8:
	case 9:
	case 10:
		next();
		break;
	case 11:
	case 12:
		complete(take(1), take(1));
		break;
	case 13:
		next_tmr();
		break;
	case 14:
		if (what & 0x30) {
			set_mark(take(1), take(2));
			break;
		}
		model_note(&m, (uint16_t)(take(1) * 0x101));
		model_questions(&m, (uint16_t)take(2));
		break;
	case 15:
		return rarely();
	}
	return true;
}

/* One that has died in the middle of a step is followed by another one. */
static bool live_on(void)
{
	return step() && (!m.death->happens || succeed(take(1) & ~1u));
}

/* All that is left is done: then nobody waits for anything, if everybody kept the rules. */
static void finish(void)
{
	unsigned int turns = 0;

	do {
		while (live_count)
			complete(0, 0);
		while (kept_count)
			free_kept();
		assert(turns++ < 4 * MODEL_SLOTS);
	} while (next() || next_tmr() || next());
	while (live_count)
		complete(0, 0);
	if (m.honest && m.ring.state == TCMULIB_RING_RUNNING) {
		assert(model_mailbox(&m)->cmd_tail == model_mailbox(&m)->cmd_head);
		assert(m.ring.pos == model_mailbox(&m)->cmd_head && !m.count);
		for (unsigned int id = 0; id < MODEL_IDS; id++)
			assert(m.ids[id] != ID_LIVE);
	}
	assert(!model_stop(&m));
}

/* A mapping too small for a mailbox. */
static void attach_to_nothing(void)
{
	size_t len = take(1) % sizeof(struct tcmu_abi_mailbox);
	void *map = calloc(1, len);

	assert(tcmu_ring_attach(&m.ring, map, len) == -EPROTO);
	assert(m.ring.reason[0]);
	tcmu_ring_detach(&m.ring);
	free(map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t sizes[] = { 256, 512, 1024, 1032, 2040, 3840 };
	static uint8_t shadow[MODEL_MAX_MAP] __attribute__((aligned(64)));
	static struct model_request requests[MODEL_IDS];
	static struct model_death death;
	struct tcmu_abi_mailbox *mb;
	uint32_t first;

	in.data = data;
	in.left = size;
	live_count = 0;
	kept_count = 0;
	memset(&m, 0, sizeof(m));
	first = take(1);
	if (first == 0xff)
		attach_to_nothing();
	m.size = sizes[first % 6];
	m.cmdr_off = (uint32_t)sizeof(*mb) << (first >= 128);
	m.data_off = m.cmdr_off + m.size;
	m.map_len = m.data_off + MODEL_DATA;
	m.map = calloc(1, m.map_len); /* the sanitizer guards its ends */
	m.shadow = shadow;
	m.requests = requests;
	m.death = &death;
	death.happens = false;
	m.honest = true;
	mb = model_mailbox(&m);
	mb->version = TCMU_ABI_MAILBOX_VERSION;
	mb->flags = (uint16_t)(take(1) | TCMU_ABI_CAP_OOO);
	mb->cmdr_off = m.cmdr_off;
	mb->cmdr_size = m.size;
	model_sync(&m);
	if (start(false)) {
		bool served = true;

		while (in.left && served)
			served = live_on();
		if (served)
			finish();
	}
	tcmu_ring_detach(&m.ring);
	free(m.map);
	return 0;
}
