/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer on the ring: the input is a script of what the kernel, the program and a successor do, and of
 * stores into the shared memory by nobody knows whom. Whatever the memory holds, the library writes what
 * ring-model.c allows and nothing else, and the tail only comes to where the kernel can walk. As long as
 * the script keeps the kernel's rules the ring is never parked, and every command is answered once.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/ring-model.h"

#define PRIV_SIZE 24
#define LIVE_MAX  512
#define DATA_LEN  4096u

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

static uint32_t take(size_t bytes)
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

static uint32_t ring_end(void)
{
	return m.cmdr_off + m.size <= m.map_len ? m.size : 0;
}

static size_t last_entry; /* where it is in the mapping */

static void publish(const struct tcmu_abi_hdr *hdr)
{
	struct tcmu_abi_mailbox *mb = model_mailbox(&m);
	uint32_t len = hdr->len_op & ~TCMU_ABI_OP_MASK;
	size_t off = (size_t)((const uint8_t *)hdr - m.map);

	/* Of a PAD only the header has been written. */
	model_sync_part(&m, off, hdr->len_op & TCMU_ABI_OP_MASK ? len : sizeof(*hdr));
	last_entry = off;
	mb->cmd_head = (mb->cmd_head + len) % ring_end();
	model_sync_part(&m, offsetof(struct tcmu_abi_mailbox, cmd_head), sizeof(mb->cmd_head));
}

/* Room for an entry of len bytes, with PAD in front of it if it does not fit the rest of the ring
 * (target_core_user.c: is_ring_space_avail(), ring_insert_padding()). NULL: none. */
static struct tcmu_abi_hdr *make_entry(uint32_t len)
{
	struct tcmu_abi_mailbox *mb = model_mailbox(&m);
	uint32_t head = mb->cmd_head, tail = mb->cmd_tail, end = ring_end(), need = len, used;
	struct tcmu_abi_hdr *hdr;

	if (head >= end || head % 8 || tail >= end || len > end / 2)
		return NULL;
	if (len > end - head)
		need += end - head;
	used = head >= tail ? head - tail : end - tail + head;
	if (need > end - used - 1)
		return NULL;
	if (need > len) {
		hdr = (void *)(m.map + m.cmdr_off + head);
		memset(hdr, 0, sizeof(*hdr));
		hdr->len_op = (end - head) | TCMU_ABI_OP_PAD;
		publish(hdr);
		head = 0;
	}
	hdr = (void *)(m.map + m.cmdr_off + head);
	memset(hdr, 0, len);
	hdr->len_op = len;
	return hdr;
}

static uint16_t free_id(void)
{
	uint16_t id = 1;

	while (id < MODEL_IDS && m.ids[id])
		id++;
	return id;
}

/* queue_cmd_ring() */
static void put_command(void)
{
	uint32_t form = take(1), iovs = form % 8, bidi = form >= 0xf0 ? take(1) % 4 : 0;
	uint32_t base, cdb_len, op = take(1), more = op == 0x7f ? take(1) : 0;
	static const uint8_t cdb_lens[8] = { 6, 10, 10, 12, 16, 12, 10, 10 };
	struct tcmu_abi_entry *ent;
	uint16_t id = free_id();

	if (form % 32 == 31)
		iovs = take(1) % 64;
	cdb_len = op == 0x7f ? 8 + more : cdb_lens[op >> 5];
	cdb_len = cdb_len < 260 ? cdb_len : 260;
	base = 48 + 16 * (iovs + bidi);
	base = base < sizeof(*ent) ? (uint32_t)sizeof(*ent) : base;
	if (id == MODEL_IDS)
		return;
	ent = (void *)make_entry(base + (cdb_len + 7) / 8 * 8);
	if (!ent)
		return;
	ent->hdr.len_op |= TCMU_ABI_OP_CMD;
	ent->hdr.cmd_id = id;
	ent->req.iov_cnt = iovs;
	ent->req.iov_bidi_cnt = bidi;
	ent->req.cdb_off = (uint64_t)((uint8_t *)ent - m.map) + base;
	for (uint32_t i = 0; i < iovs + bidi; i++) {
		uint32_t at = take(1) * 16;

		ent->req.iov[i].iov_base = (void *)(uintptr_t)(m.data_off + at);
		ent->req.iov[i].iov_len = (take(1) * 16) % (DATA_LEN + 1 - at);
	}
	((uint8_t *)ent)[base] = (uint8_t)op;
	((uint8_t *)ent)[base + 7] = (uint8_t)more;
	m.ids[id] = ID_LIVE;
	publish(&ent->hdr);
}

/* queue_tmr_ring() */
static void put_tmr(void)
{
	uint32_t ids = take(1) % 8;
	struct tcmu_abi_tmr *tmr =
		(void *)make_entry((uint32_t)sizeof(*tmr) + (2 * ids + 7) / 8 * 8);

	if (!tmr)
		return;
	tmr->hdr.len_op |= TCMU_ABI_OP_TMR;
	tmr->type = (uint8_t)take(1);
	tmr->cmd_cnt = ids;
	for (uint32_t i = 0; i < ids; i++)
		tmr->cmd_ids[i] = (uint16_t)take(1);
	publish(&tmr->hdr);
}

/* One of a later kernel (tcmu-design.rst). Not at 0: in what may happen there while the tail is 0 too, a
 * reset is told by the cookie, which only the known kinds have room for. */
static void put_unknown(void)
{
	struct tcmu_abi_hdr *hdr = make_entry(8 + take(1) % 8 * 8);

	if (!hdr)
		return;
	if ((uint8_t *)hdr == m.map + m.cmdr_off) {
		model_sync(&m);
		return;
	}
	hdr->len_op |= 3 + take(1) % 5;
	publish(hdr);
}

/* In the middle of a call. What a reset does to it is not always foreseeable; a new command does not
 * matter, unless head and tail are already where no kernel would have put them. */
void ring_strike(void)
{
	uint32_t turn;

	if (!m.strike || --m.strike)
		return;
	turn = take(1);
	m.struck = !m.honest;
	if (turn % 4 < 2)
		model_kernel_reset(&m);
	if (turn % 4)
		put_command();
}

/* ---- nobody ----------------------------------------------------------------------------------- */

/* Into the entry that was put last, or anywhere. */
static void store(void)
{
	uint32_t how = take(1), value = take(4);
	size_t at = how & 4 ? last_entry + take(1) : take(2);

	m.honest = false;
	memcpy(m.map + at % (m.map_len - 4), &value, 1 + how % 4);
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

/* What a program must not do, and may not take anybody else along. */
static void misbehave(void)
{
	struct tcmulib_cmd *cmd = live_count ? live[0].cmd : NULL;

	m.honest = false;
	switch (take(1) % 3) {
	case 0: /* another hm_cmd_size */
		model_before(&m);
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

/* Another process takes over, from one that stopped or from a dead one. */
static bool succeed(uint32_t how)
{
	if (how & 1)
		model_stop(&m);
	live_count = 0;
	kept_count = 0;
	tcmu_ring_detach(&m.ring);
	return start(how & 2);
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
	default:
		return succeed(take(1));
	}
	return true;
}

static bool step(void)
{
	switch (take(1) % 16) {
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
		put_command();
		break;
	case 6:
		put_tmr();
		break;
	case 7:
		put_unknown();
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
		model_note(&m, (uint16_t)(take(1) * 0x101));
		model_questions(&m, (uint16_t)take(2));
		break;
	case 15:
		return rarely();
	}
	return true;
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
	struct tcmu_abi_mailbox *mb;
	uint32_t first;

	in.data = data;
	in.left = size;
	live_count = 0;
	kept_count = 0;
	last_entry = 0;
	memset(&m, 0, sizeof(m));
	first = take(1);
	if (first == 0xff)
		attach_to_nothing();
	m.size = sizes[first % 6];
	m.cmdr_off = (uint32_t)sizeof(*mb) << (first >= 128);
	m.data_off = m.cmdr_off + m.size;
	m.map_len = m.data_off + DATA_LEN;
	m.map = calloc(1, m.map_len); /* the sanitizer guards its ends */
	m.shadow = shadow;
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
			served = step();
		if (served)
			finish();
	}
	tcmu_ring_detach(&m.ring);
	free(m.map);
	return 0;
}
