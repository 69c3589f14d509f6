/* SPDX-License-Identifier: Apache-2.0 */
/* What a ring must never hold: each parks it with a reason, and nothing is stored. */
#include <errno.h>
#include <sys/mman.h>

#include "rig.h"

/* The memory as it is now is what it must be after fn. */
static void assert_parked(struct rig *rig)
{
	uint8_t *before = malloc(rig->map_len);
	uint32_t in_flight = rig->ring.in_flight;

	memcpy(before, rig->map, rig->map_len);
	rig_nothing(rig);
	assert_int_equal(tcmu_ring_state(&rig->ring), TCMULIB_RING_PARKED);
	assert_string_not_equal(rig->ring.reason, "");
	assert_int_equal(rig->ring.in_flight, in_flight);
	assert_false(tcmu_ring_pending(&rig->ring));
	assert_int_equal(tcmu_ring_stop(&rig->ring), in_flight ? -EBUSY : 0);
	assert_false(tcmu_ring_resumable(&rig->ring));
	/* Only our own corner of the mailbox says so, and an entry at 0 has its cookie. */
	memcpy(before + offsetof(struct tcmu_abi_mailbox, scratch), rig->mb->scratch,
	       sizeof(rig->mb->scratch));
	((struct tcmu_abi_entry *)(void *)(before + sizeof(*rig->mb)))->req.cookie =
		rig_entry(rig, 0)->req.cookie;
	assert_memory_equal(before, rig->map, rig->map_len);
	free(before);
}

struct insanity {
	const char *what;
	uint32_t len_op, iov_cnt, bidi_cnt, head;
	uint64_t cdb_off, iov_base, iov_len;
	uint16_t id;
	uint8_t opcode;
};

/* Zero: as it should be. ~0 stands for a zero. */
static const struct insanity table[] = {
	{ .what = "length 0", .len_op = ~0u },
	{ .what = "length 0 of a command", .len_op = TCMU_ABI_OP_CMD },
	{ .what = "shorter than an answer", .len_op = 104 | TCMU_ABI_OP_CMD },
	{ .what = "longer than head", .len_op = 136 | TCMU_ABI_OP_CMD },
	{ .what = "longer than the ring", .len_op = 0xfffffff8u | TCMU_ABI_OP_CMD },
	{ .what = "id 0", .id = 0xffff },
	{ .what = "id in flight", .id = 1 },
	{ .what = "more iovs than room", .iov_cnt = 6 },
	{ .what = "very many iovs", .iov_cnt = 0xffffffff },
	{ .what = "many iovs and bidi iovs", .iov_cnt = 0x80000000, .bidi_cnt = 0x80000000 },
	{ .what = "CDB in front", .cdb_off = 128 },
	{ .what = "CDB over the iovs", .cdb_off = 128 + RIG_SLOT + 48 },
	{ .what = "CDB behind", .cdb_off = 128 + 2 * RIG_SLOT },
	{ .what = "CDB not whole", .cdb_off = 128 + 2 * RIG_SLOT - 8 },
	{ .what = "CDB far away", .cdb_off = ~0ull },
	{ .what = "long CDB not whole", .opcode = VARIABLE_LENGTH_CMD },
	{ .what = "iov in the mailbox", .iov_base = 64 },
	{ .what = "iov in the ring", .iov_base = 128 + RIG_RING - 8 },
	{ .what = "iov behind the mapping", .iov_base = 128 + RIG_RING + RIG_DATA, .iov_len = 1 },
	{ .what = "iov too long", .iov_len = RIG_DATA + 1 },
	{ .what = "iov that wraps", .iov_len = ~0ull - 64 },
	{ .what = "head not aligned", .head = 2 * RIG_SLOT + 4 },
	{ .what = "head outside", .head = RIG_RING },
	{ .what = "TMR too short", .len_op = 24 | TCMU_ABI_OP_TMR },
};

static void entries(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct insanity *t = &table[i];
		struct tcmu_abi_entry *ent;
		struct rig rig;

		print_message("  %s\n", t->what);
		rig_start(&rig, RIG_FLAGS);
		rig_command(&rig, 1);
		rig_next(&rig, 1);
		ent = rig_put(&rig, RIG_SLOT, RIG_SLOT, 2, 1);
		rig_head(&rig, t->head ? t->head : 2 * RIG_SLOT);
		if (t->len_op)
			ent->hdr.len_op = t->len_op == ~0u ? 0 : t->len_op;
		if (t->iov_cnt)
			ent->req.iov_cnt = t->iov_cnt;
		ent->req.iov_bidi_cnt = t->bidi_cnt;
		if (t->cdb_off)
			ent->req.cdb_off = t->cdb_off;
		if (t->iov_base)
			ent->req.iov[0].iov_base = (void *)(uintptr_t)t->iov_base;
		if (t->iov_len)
			ent->req.iov[0].iov_len = t->iov_len;
		if (t->id)
			ent->hdr.cmd_id = t->id == 0xffff ? 0 : t->id;
		((uint8_t *)ent)[RIG_SLOT - 8] = READ_10; /* for a CDB that starts late */
		if (t->opcode) {
			((uint8_t *)ent)[112] = t->opcode;
			((uint8_t *)ent)[119] = 255;
		}
		assert_parked(&rig);
		rig_end(&rig);
	}
}

static void a_tmr_with_too_many_ids(void **state)
{
	struct tcmu_abi_tmr *tmr;
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	tmr = (void *)rig_entry(&rig, 0);
	tmr->hdr.len_op = 40 | TCMU_ABI_OP_TMR;
	tmr->cmd_cnt = 5;
	rig_head(&rig, 40);
	assert_parked(&rig);
	assert_null(tcmu_ring_next_tmr(&rig.ring));
	rig_end(&rig);
}

static void an_entry_across_the_end(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig, RIG_FLAGS);
	rig.mb->cmd_head = rig.mb->cmd_tail = RIG_RING - 64;
	assert_int_equal(tcmu_ring_attach(&rig.ring, rig.map, rig.map_len), 0);
	assert_int_equal(tcmu_ring_start(&rig.ring), 0);
	rig_entry(&rig, RIG_RING - 64)->hdr.len_op = 128 | TCMU_ABI_OP_CMD;
	rig_head(&rig, 64);
	assert_parked(&rig);
	rig_end(&rig);
}

/* The check that keeps the kernel out of its endless loop. */
static void a_slot_that_changed_is_not_answered(void **state)
{
	struct tcmulib_cmd *cmd;
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig_command(&rig, 1);
	cmd = rig_next(&rig, 1);
	rig_entry(&rig, 0)->hdr.len_op = 0;
	tcmu_ring_complete(&rig.ring, cmd, SAM_STAT_GOOD);
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_PARKED);
	assert_int_equal(rig.mb->cmd_tail, 0);
	assert_false(tcmu_ring_take_kick(&rig.ring));
	assert_int_equal(rig.ring.in_flight, 0);
	rig_end(&rig);
}

static void a_double_completion_parks(void **state)
{
	struct tcmulib_cmd *cmd;
	struct rig rig;

	(void)state;
	rig_start(&rig, RIG_FLAGS);
	rig_command(&rig, 1);
	rig_command(&rig, 2);
	cmd = rig_next(&rig, 1);
	rig_next(&rig, 2);
	tcmu_ring_complete(&rig.ring, cmd, SAM_STAT_GOOD);
	tcmu_ring_complete(&rig.ring, cmd, SAM_STAT_GOOD);
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_PARKED);
	assert_int_equal(rig.mb->cmd_tail, RIG_SLOT);
	assert_int_equal(rig.ring.in_flight, 1);
	rig_end(&rig);
}

static void assert_no_attach(struct rig *rig)
{
	assert_int_equal(tcmu_ring_attach(&rig->ring, rig->map, rig->map_len), -EPROTO);
	assert_int_equal(tcmu_ring_state(&rig->ring), TCMULIB_RING_PARKED);
	assert_string_not_equal(rig->ring.reason, "");
	tcmu_ring_detach(&rig->ring);
	tcmu_ring_detach(&rig->ring);
}

static void mailboxes(void **state)
{
	struct rig rig;
	struct tcmu_abi_mailbox good;

	(void)state;
	rig_init(&rig, RIG_FLAGS);
	good = *rig.mb;
	rig.mb->version = 1;
	assert_no_attach(&rig);
	*rig.mb = good;
	rig.mb->flags &= (uint16_t)~TCMU_ABI_CAP_OOO;
	assert_no_attach(&rig);
	*rig.mb = good;
	rig.mb->cmdr_off = 64;
	assert_no_attach(&rig);
	*rig.mb = good;
	rig.mb->cmdr_off = 132;
	assert_no_attach(&rig);
	*rig.mb = good;
	rig.mb->cmdr_size = 0xfffffff8;
	assert_no_attach(&rig);
	*rig.mb = good;
	rig.mb->cmdr_size = 0;
	assert_no_attach(&rig);
	*rig.mb = good;
	rig.map_len = 100;
	assert_no_attach(&rig);
	free(rig.map);

	rig_init(&rig, RIG_FLAGS);
	rig.mb->cmd_tail = rig.mb->cmd_head = 12;
	assert_int_equal(tcmu_ring_attach(&rig.ring, rig.map, rig.map_len), 0);
	assert_false(tcmu_ring_resumable(&rig.ring)); /* although there is nothing between them */
	assert_int_equal(tcmu_ring_start(&rig.ring), -EPROTO);
	assert_int_equal(tcmu_ring_state(&rig.ring), TCMULIB_RING_PARKED);
	rig_nothing(&rig);
	rig_end(&rig);
}

/* Random bytes in front of a random head: nothing crashes, no tail is stored outside. */
static void noise(void **state)
{
	unsigned int seed = 1;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct tcmulib_cmd *cmd;
		struct rig rig;

		rig_start(&rig, (uint16_t)(round | TCMU_ABI_CAP_OOO) & 15);
		for (uint32_t off = 0; off < RIG_RING; off += 8) {
			uint32_t word = (uint32_t)rand_r(&seed);

			rig_put(&rig, off & ~127u, RIG_SLOT, (uint16_t)(off / 128 + 1), off % 5);
			if (word % 11 == 0)
				memcpy(rig.map + 128 + off, &word, sizeof(word));
			if (word % 3)
				off |= 127 & ~7u;
		}
		rig_head(&rig, (uint32_t)rand_r(&seed) % RIG_RING & ~7u);
		while ((cmd = tcmu_ring_next(&rig.ring, 8)))
			tcmu_ring_complete(&rig.ring, cmd, (uint8_t)rand_r(&seed));
		assert_true(rig.mb->cmd_tail < RIG_RING && rig.mb->cmd_tail % 8 == 0);
		rig_end(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries),
		cmocka_unit_test(a_tmr_with_too_many_ids),
		cmocka_unit_test(an_entry_across_the_end),
		cmocka_unit_test(a_slot_that_changed_is_not_answered),
		cmocka_unit_test(a_double_completion_parks),
		cmocka_unit_test(mailboxes),
		cmocka_unit_test(noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
