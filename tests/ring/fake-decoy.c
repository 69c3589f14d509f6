/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who reads an entry that cmd_head does not cover yet? Now and then, and always while the head is held,
 * a slot first gets a decoy: a command in order, of the same length, but with an id that no command
 * has and a buffer that belongs to none. It is replaced just before the head moves. An answer with that
 * id or a store to that buffer tells that it was read (verdict 18).
 */
#include "fake-ring-int.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DECOY_FILL  0xdc
#define DECOY_EVERY 16
#define DECOY_US    20 /* at most */

void fake_decoy_init(struct fake_ring *r)
{
	r->decoy = r->base + r->map_len;
	memset(r->decoy, DECOY_FILL, FAKE_PAGE);
	r->dice = 1;
	if (!r->cfg.decoys)
		r->cfg.decoys = DECOY_EVERY;
}

bool fake_decoy_wanted(struct fake_ring *r)
{
	if (r->cfg.no_decoys || r->cfg.quick)
		return false;
	return r->hold_head || (unsigned int)rand_r(&r->dice) % r->cfg.decoys == 0;
}

/* Either a vendor specific command, which nobody sends by chance, or the real one, which makes user
 * space work on the buffer. */
static void compose(const struct fake_ring *r, const struct fake_slot *slot, const uint8_t *cdb,
		    uint8_t *to)
{
	static const uint8_t vendor[] = { 0xde, 'C', 'O', 'Y', '-', 'D', 'E', 'C', 'O', 'Y' };
	static const uint8_t vendor6[] = { 0x02, 'D', 'E', 'C', 'O', 'Y' };
	uint32_t base = sizeof(struct tcmu_abi_entry), room = slot->len - base;
	struct tcmu_abi_entry *ent = (void *)to;

	memset(to, 0, slot->len);
	ent->hdr.len_op = slot->len | TCMU_ABI_OP_CMD;
	ent->hdr.cmd_id = FAKE_DECOY_ID;
	ent->req.iov_cnt = 1;
	ent->req.iov[0].iov_base = (void *)r->map_len;
	ent->req.iov[0].iov_len = FAKE_PAGE;
	ent->req.cdb_off = (uint64_t)(r->cmdr - r->base) + slot->off + base;
	if (!slot->vendor)
		memcpy(to + base, cdb, fake_cdb_len(cdb));
	else if (room >= sizeof(vendor))
		memcpy(to + base, vendor, sizeof(vendor));
	else
		memcpy(to + base, vendor6, sizeof(vendor6));
}

void fake_decoy_show(struct fake_ring *r, struct fake_slot *slot, const uint8_t *cdb)
{
	slot->real = calloc(1, slot->len);
	slot->vendor = rand_r(&r->dice) % 2;
	compose(r, slot, cdb, slot->real);
	memcpy(r->cmdr + slot->off, slot->real, slot->len);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Without a system call that might sleep: the kernel is as quick. */
void fake_decoy_wait(struct fake_ring *r)
{
	uint64_t end = now_ns() + (uint64_t)(rand_r(&r->dice) % (DECOY_US * 1000));

	while (now_ns() < end)
		;
}

void fake_decoy_check(struct fake_ring *r)
{
	if (r->cfg.quick)
		return;
	if (r->decoy[0] == DECOY_FILL && !memcmp(r->decoy, r->decoy + 1, FAKE_PAGE - 1))
		return;
	for (size_t i = 0; i < FAKE_PAGE; i++) {
		if (r->decoy[i] == DECOY_FILL)
			continue;
		fake_verdict(r->v, FAKE_V_READ_AHEAD, "byte %zu of the decoys' buffer was written",
			     i);
		memset(r->decoy, DECOY_FILL, FAKE_PAGE);
		break;
	}
}

/* The real entry was composed behind the decoy's back, so that is made once more to compare. */
static bool untouched(const struct fake_ring *r, const struct fake_slot *slot)
{
	const struct tcmu_abi_entry *real = (void *)slot->real;
	uint8_t *want = calloc(1, slot->len);
	bool same;

	compose(r, slot,
		slot->real + (real->req.cdb_off - (uint64_t)(r->cmdr - r->base) - slot->off), want);
	same = !memcmp(want, r->cmdr + slot->off, slot->len);
	free(want);
	return same;
}

void fake_decoy_replace(struct fake_ring *r, struct fake_slot *slot)
{
	if (!slot->real)
		return;
	if (!untouched(r, slot))
		fake_verdict(r->v, FAKE_V_READ_AHEAD, "the decoy at ring offset %u was written to",
			     slot->off);
	memcpy(r->cmdr + slot->off, slot->real, slot->len);
	free(slot->real);
	slot->real = NULL;
	fake_decoy_check(r);
}
