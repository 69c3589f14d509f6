/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer on the ring: the input is a script of stores into the shared memory and of calls. Whatever
 * the memory holds, the library must not read or write outside it, and the tail that it stores must be
 * one that the kernel can walk to: inside the ring, on a multiple of 8, never past what was consumed.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ring.h"

#define RING_SIZE 1024u
#define MAP_LEN   (sizeof(struct tcmu_abi_mailbox) + RING_SIZE + 4096)
#define LIVE_MAX  64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tcmulib_cmd *live[LIVE_MAX];
static unsigned int live_count;

struct input {
	const uint8_t *data;
	size_t left;
};

static uint32_t take(struct input *in, size_t bytes)
{
	uint32_t v = 0;

	if (in->left < bytes) {
		in->left = 0;
		return 0;
	}
	memcpy(&v, in->data, bytes);
	in->data += bytes;
	in->left -= bytes;
	return v;
}

static void check_tail(const struct tcmu_ring *ring, uint32_t before, uint32_t pos)
{
	uint32_t tail = ring->mb->cmd_tail;

	if (tail == before)
		return;
	assert(tail < RING_SIZE && tail % 8 == 0);
	/* from before to pos in ring order */
	assert((tail - before + RING_SIZE) % RING_SIZE <= (pos - before + RING_SIZE) % RING_SIZE);
}

/* A valid command entry at pos, so that the fuzzer gets deep quickly. */
static void put_command(struct tcmu_ring *ring, struct input *in, uint32_t *head)
{
	uint32_t iovs = take(in, 1) % 7, len = 48 + 16 * iovs;
	struct tcmu_abi_entry *ent;

	if (len < 112)
		len = 112;
	len += 16;
	if (*head % 8 || *head + len > RING_SIZE)
		return;
	ent = (void *)(ring->entries + *head);
	memset(ent, 0, len);
	ent->hdr.len_op = len | TCMU_ABI_OP_CMD;
	ent->hdr.cmd_id = (uint16_t)take(in, 1);
	ent->req.iov_cnt = iovs;
	for (uint32_t i = 0; i < iovs; i++) {
		ent->req.iov[i].iov_base =
			(void *)(uintptr_t)(sizeof(struct tcmu_abi_mailbox) + RING_SIZE + 512 * i);
		ent->req.iov[i].iov_len = take(in, 1);
	}
	ent->req.cdb_off = sizeof(struct tcmu_abi_mailbox) + *head + len - 16;
	((uint8_t *)ent)[len - 16] = (uint8_t)take(in, 1);
	*head = (*head + len) % RING_SIZE;
	ring->mb->cmd_head = *head;
}

static void next(struct tcmu_ring *ring)
{
	struct tcmulib_cmd *cmd = tcmu_ring_next(ring, 24);

	if (!cmd) {
		tcmu_ring_next_tmr(ring);
		return;
	}
	memset(cmd->hm_private, 0x5a, 24);
	for (size_t i = 0; i < cmd->iov_cnt; i++)
		memset(cmd->iovec[i].iov_base, 0xa5, cmd->iovec[i].iov_len);
	if (live_count < LIVE_MAX)
		live[live_count++] = cmd;
}

static void complete(struct tcmu_ring *ring, uint32_t which)
{
	if (!live_count)
		return;
	which %= live_count;
	live[which]->read_len = which * 3;
	tcmu_ring_complete(ring, live[which], which % 3 ? 0 : 2);
	live[which] = live[--live_count];
}

static void step(struct tcmu_ring *ring, uint8_t *map, struct input *in, uint32_t *head)
{
	uint32_t before, pos, at;

	switch (take(in, 1) % 8) {
	case 0: /* any store into mailbox or ring */
		at = take(in, 2) % (uint32_t)(MAP_LEN - 4);
		memset(map + at, (int)take(in, 1), 1 + take(in, 1) % 4);
		break;
	case 1:
		*head = take(in, 2) & 0x7f8;
		ring->mb->cmd_head = *head;
		break;
	case 2: /* reset_ring */
		ring->mb->cmd_tail = 0;
		ring->mb->cmd_head = *head = 0;
		break;
	case 3:
	case 4:
		put_command(ring, in, head);
		break;
	case 5:
	case 6:
		before = ring->mb->cmd_tail;
		next(ring);
		pos = ring->pos;
		check_tail(ring, before, pos);
		break;
	case 7:
		before = ring->mb->cmd_tail;
		pos = ring->pos;
		complete(ring, take(in, 1));
		check_tail(ring, before, pos);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t *map = calloc(1, MAP_LEN);
	struct tcmu_abi_mailbox *mb = (void *)map;
	struct tcmu_ring ring;
	uint32_t head = 0;

	live_count = 0;
	mb->version = TCMU_ABI_MAILBOX_VERSION;
	mb->flags = (uint16_t)(take(&in, 1) | TCMU_ABI_CAP_OOO);
	mb->cmdr_off = sizeof(*mb);
	mb->cmdr_size = RING_SIZE;
	if (!tcmu_ring_attach(&ring, map, MAP_LEN) && !tcmu_ring_start(&ring)) {
		while (in.left)
			step(&ring, map, &in, &head);
		while (live_count)
			complete(&ring, 0);
		tcmu_ring_stop(&ring);
	}
	tcmu_ring_detach(&ring);
	free(map);
	return 0;
}
