/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Range locks: several commands at a time on a handler that does an operation when the test says so.
 * Whoever writes to the range of a COMPARE AND WRITE (or of its kin) waits for it, and it for them; for
 * WRITE ATOMIC reads wait as well.
 */
#include "rig.h"

static struct rig_cmd cmd[16];
static uint8_t buf[16][8 * BLOCK];

/* A WRITE of one letter. */
static void start_write(int i, uint32_t lba, uint16_t n, uint8_t letter)
{
	memset(buf[i], letter, n * BLOCK);
	rig_start(&cmd[i], cdb10(WRITE10, 0, lba, n), buf[i], n * BLOCK, 0);
}

/* A COMPARE AND WRITE from one letter to another. */
static void start_caw(int i, uint64_t lba, uint8_t n, uint8_t from, uint8_t to)
{
	memset(buf[i], from, n * BLOCK);
	memset(buf[i] + n * BLOCK, to, n * BLOCK);
	rig_start(&cmd[i], caw_cdb(0, lba, n), buf[i], 2u * n * BLOCK, 0);
}

static bool blocks_are(uint64_t lba, uint64_t n, uint8_t letter)
{
	for (uint64_t i = lba * BLOCK; i < (lba + n) * BLOCK; i++) {
		if (medium[i] != letter)
			return false;
	}
	return true;
}

static int setup_held(void **state)
{
	setup(state);
	memset(medium, 'a', sizeof(medium));
	handler.writesame = NULL;
	hold = true;
	return 0;
}

static void write_waits_for_caw(void **state)
{
	(void)state;
	start_caw(0, 10, 2, 'a', 'b');
	assert_true(rig_holds(&cmd[0]));
	start_write(1, 11, 3, 'w'); /* overlaps the end */
	start_write(2, 8, 3, 'w');  /* overlaps the beginning */
	start_write(3, 12, 1, 'w'); /* touches it only */
	start_write(4, 9, 1, 'x');
	assert_false(rig_holds(&cmd[1]));
	assert_false(rig_holds(&cmd[2]));
	assert_true(rig_holds(&cmd[3]));
	assert_false(cmd[4].outcome.done);

	rig_release_of(&cmd[0]); /* has read */
	assert_false(rig_holds(&cmd[1]));
	rig_release_of(&cmd[0]); /* has written */
	assert_true(cmd[0].outcome.done);
	assert_true(blocks_are(10, 2, 'b'));
	assert_true(rig_holds(&cmd[1]) && rig_holds(&cmd[2]));
	while (held_count)
		rig_release(0);
	assert_true(blocks_are(11, 1, 'w'));
}

static void caw_waits_for_writes_in_flight(void **state)
{
	(void)state;
	start_write(0, 5, 6, 'w');
	start_write(1, 20, 1, 'w'); /* elsewhere */
	start_write(2, 10, 1, 'x'); /* beside the first: two writes do not wait for each other */
	start_caw(3, 10, 1, 'a', 'b');
	assert_true(rig_holds(&cmd[0]) && rig_holds(&cmd[2]));
	assert_false(rig_holds(&cmd[3]));
	rig_release_of(&cmd[0]);
	assert_false(rig_holds(&cmd[3]));
	rig_release_of(&cmd[2]);
	assert_true(rig_holds(&cmd[3]));
	rig_release_of(&cmd[3]); /* reads 'x': a miscompare */
	assert_int_equal(cmd[3].outcome.sts, TCMU_STS_PASSTHROUGH_ERR);
	assert_int_equal(cmd[3].outcome.sense[2], 0xe);
	rig_release_of(&cmd[1]);
}

static void reads_do_not_wait(void **state)
{
	(void)state;
	start_caw(0, 10, 1, 'a', 'b');
	rig_start(&cmd[1], cdb10(READ10, 0, 10, 1), buf[1], BLOCK, 0);
	assert_true(rig_holds(&cmd[1]));
	rig_release_of(&cmd[1]);
	assert_int_equal(buf[1][0], 'a');
	rig_release_of(&cmd[0]);
	rig_release_of(&cmd[0]);
}

/* A COMPARE AND WRITE that waits is not overtaken by writes that come later: it does not starve. */
static void waiting_is_in_order(void **state)
{
	(void)state;
	start_write(0, 10, 1, 'w');
	start_caw(1, 10, 2, 'a', 'b');
	start_write(2, 11, 1, 'x'); /* would not collide with the first */
	start_write(3, 10, 2, 'y');
	start_caw(4, 11, 1, 'y', 'z');
	start_write(5, 12, 1, 'v'); /* behind nobody */
	assert_false(rig_holds(&cmd[2]));
	assert_true(rig_holds(&cmd[5]));
	rig_release_of(&cmd[0]);
	assert_true(rig_holds(&cmd[1]));
	assert_false(rig_holds(&cmd[2]));
	rig_release_of(&cmd[1]); /* a miscompare: 'w' */
	assert_true(cmd[1].outcome.done);
	assert_true(rig_holds(&cmd[2]) && rig_holds(&cmd[3]));
	assert_false(rig_holds(&cmd[4]));
	rig_release_of(&cmd[3]);
	assert_false(rig_holds(&cmd[4]));
	rig_release_of(&cmd[2]);
	assert_true(rig_holds(&cmd[4]));
	rig_release_of(&cmd[5]);
	rig_release_of(&cmd[4]); /* 'x' was written after 'y' */
	assert_int_equal(cmd[4].outcome.sense[2], 0xe);
}

static void unmap_locks_each_range(void **state)
{
	uint8_t *list = buf[1];

	(void)state;
	start_caw(0, 20, 1, 'a', 'b');
	memset(list, 0, 8 + 32);
	put_be16(list, 6 + 32);
	put_be16(list + 2, 32);
	put_be64(list + 8, 10);
	put_be32(list + 16, 2);
	put_be64(list + 24, 19);
	put_be32(list + 32, 2);
	rig_start(&cmd[1], cdb10(UNMAP10, 0, 0, 40), list, 40, 7);
	assert_true(rig_holds(&cmd[1])); /* the first range is free */
	start_caw(2, 11, 1, 'a', 'c');
	assert_false(rig_holds(&cmd[2]));
	rig_release_of(&cmd[1]);
	assert_false(rig_holds(&cmd[1])); /* the second is not */
	rig_release_of(&cmd[0]);
	rig_release_of(&cmd[0]);
	assert_true(blocks_are(20, 1, 'b'));
	assert_true(rig_holds(&cmd[1]));
	rig_release_of(&cmd[1]);
	assert_true(cmd[1].outcome.done);
	assert_true(is_zero(10, 2) && is_zero(19, 2));
	while (held_count)
		rig_release(0);
	assert_int_equal(cmd[2].outcome.sense[2], 0xe); /* it found zeros */
}

static void write_same_and_its_kin_wait(void **state)
{
	(void)state;
	start_caw(0, 20, 1, 'a', 'b');
	memset(buf[1], 'w', sizeof(buf[0]) * 4);
	rig_start(&cmd[1], cdb10(WSAME10, 0, 18, 5), buf[1], BLOCK, 0);
	rig_start(&cmd[2], cdb10(WAV10, 2, 18, 5), buf[2], 5 * BLOCK, 0);
	rig_start(&cmd[3], cdb16(ORWRITE, 0, 18, 5), buf[3], 5 * BLOCK, 0);
	rig_start(&cmd[4], cdb16(WRITE16, 0, 18, 5), buf[4], 5 * BLOCK, 0);
	rig_start(&cmd[5], cdb10(VERIFY10, 0, 20, 1), NULL, 0, 0); /* waits for the bounce buffer */
	assert_int_equal(held_count, 1);
	for (int i = 0; i < 100 && held_count; i++)
		rig_release(0);
	for (int i = 0; i < 6; i++)
		assert_int_equal(cmd[i].outcome.sts, TCMU_STS_OK);
	assert_true(blocks_are(18, 5, 'w'));
}

static void lock_ends_with_an_error(void **state)
{
	(void)state;
	hold = false;
	caw_sts = TCMU_STS_WR_ERR;
	handler.caw = mem_caw;
	start_caw(0, 20, 1, 'a', 'b');
	assert_true(cmd[0].outcome.done);
	caw_sts = TCMU_STS_OK;
	start_write(1, 20, 1, 'w');
	assert_true(blocks_are(20, 1, 'w'));
}

/* ---- WRITE ATOMIC: reads wait too ---- */

static void start_atomic(int i, uint64_t lba, uint16_t n, uint8_t letter)
{
	memset(buf[i], letter, n * BLOCK);
	rig_start(&cmd[i], cdb16(ATOMIC16, 0, lba, n), buf[i], n * BLOCK, 0);
}

static void start_read(int i, uint32_t lba, uint16_t n)
{
	rig_start(&cmd[i], cdb10(READ10, 0, lba, n), buf[i], n * BLOCK, 0);
}

static void reads_wait_for_write_atomic(void **state)
{
	(void)state;
	dev.max_atomic_len = 8;
	start_atomic(0, 10, 4, 'b');
	start_read(1, 13, 2);
	memset(buf[2], 'b', BLOCK);
	rig_start(&cmd[2], cdb10(VERIFY10, 2, 10, 1), buf[2], BLOCK, 0);
	start_read(3, 14, 2); /* touches it only */
	start_write(4, 12, 1, 'w');
	rig_start(&cmd[5], cdb10(PREF10, 0, 10, 4), NULL, 0, 0);
	assert_true(rig_holds(&cmd[0]) && rig_holds(&cmd[3]));
	assert_int_equal(held_count, 2);
	rig_release_of(&cmd[0]);
	assert_true(rig_holds(&cmd[1]) && rig_holds(&cmd[2]) && rig_holds(&cmd[4]));
	while (held_count)
		rig_release(0);
	for (int i = 0; i < 6; i++)
		assert_int_equal(cmd[i].outcome.sts, TCMU_STS_OK);
	assert_int_equal(buf[1][0], 'b');
	assert_int_equal(buf[1][BLOCK], 'a');
	assert_true(blocks_are(12, 1, 'w'));
}

/* It waits for them in its turn, and reads that come later wait behind it. */
static void write_atomic_waits_for_reads(void **state)
{
	(void)state;
	dev.max_atomic_len = 8;
	start_read(0, 8, 4);
	start_write(1, 13, 1, 'w');
	start_atomic(2, 10, 4, 'b');
	start_read(3, 10, 1);
	start_read(4, 9, 1); /* beside the first one, out of the way of the other */
	assert_true(rig_holds(&cmd[0]) && rig_holds(&cmd[1]) && rig_holds(&cmd[4]));
	assert_false(rig_holds(&cmd[2]) || rig_holds(&cmd[3]));
	rig_release_of(&cmd[0]);
	assert_false(rig_holds(&cmd[2]));
	assert_int_equal(buf[0][3 * BLOCK], 'a');
	rig_release_of(&cmd[1]);
	assert_true(rig_holds(&cmd[2]));
	assert_false(rig_holds(&cmd[3]));
	rig_release_of(&cmd[2]);
	rig_release_of(&cmd[3]);
	assert_int_equal(buf[3][0], 'b');
	rig_release_of(&cmd[4]);
}

/* Of all others reads keep out of the way, and with no WRITE ATOMIC they are not even in the list. */
static void reads_wait_for_nothing_else(void **state)
{
	(void)state;
	start_read(0, 10, 1);
	assert_ptr_equal(rdev.ranges.next, &rdev.ranges);
	rig_release_of(&cmd[0]);
	dev.max_atomic_len = 8;
	start_write(1, 10, 2, 'w');
	start_caw(2, 20, 2, 'a', 'b');
	start_read(3, 10, 4);
	start_read(4, 10, 4);
	start_read(5, 20, 1);
	assert_true(rig_holds(&cmd[3]) && rig_holds(&cmd[4]) && rig_holds(&cmd[5]));
	rig_release_of(&cmd[2]); /* has the bounce buffer, twice with the handler */
	rig_release_of(&cmd[2]);
	start_caw(6, 10, 1, 'w', 'x');
	assert_false(rig_holds(&cmd[6])); /* the write is in its way, not the reads */
	rig_release_of(&cmd[1]);
	assert_true(rig_holds(&cmd[6]));
	while (held_count)
		rig_release(0);
}

/* ---- chance ---- */

static uint32_t chance_state;

static uint32_t chance(uint32_t n)
{
	chance_state = chance_state * 1664525 + 1013904223;
	return (chance_state >> 8) % n;
}

#define INITIATORS 8
#define COUNTER    50u /* its block */

struct initiator {
	uint32_t seen, done;
	bool busy;
};

/* Adds one, by COMPARE AND WRITE of what it has seen last; sees what is there at a miscompare. */
static void increment(struct initiator *who, int i, uint8_t n)
{
	if (who->busy && cmd[i].outcome.done) {
		who->busy = false;
		if (cmd[i].outcome.sts == TCMU_STS_OK)
			who->done++;
		who->seen = get_be32(medium + COUNTER * BLOCK); /* a read may be at any moment */
	}
	if (who->busy)
		return;
	who->busy = true;
	memset(buf[i], 0, 2u * n * BLOCK);
	put_be32(buf[i], who->seen);
	put_be32(buf[i] + n * BLOCK, who->seen + 1);
	rig_start(&cmd[i], caw_cdb(0, COUNTER, n), buf[i], 2u * n * BLOCK, 0);
}

/* Something that writes next to the counter, with ORWRITE of 0 also over it. */
static void disturb(int i)
{
	static const uint8_t zeros[24] = { 0 };
	uint32_t what = chance(4);

	if (cmd[i].outcome.done == false && cmd[i].lib.cdb)
		return;
	memset(buf[i], 0, sizeof(buf[i]));
	if (what == 0)
		rig_start(&cmd[i], cdb16(ORWRITE, 0, COUNTER - 1, 4), buf[i], 4 * BLOCK, 0);
	else if (what == 1)
		rig_start(&cmd[i], cdb10(WRITE10, 0, COUNTER + 1, 3), buf[i], 3 * BLOCK, 0);
	else if (what == 2)
		rig_start(&cmd[i], cdb10(WSAME10, 8, COUNTER - 2, 2), buf[i], BLOCK, 0);
	else
		rig_start(&cmd[i], cdb10(UNMAP10, 0, 0, 24), memcpy(buf[i], zeros, 24), 24, 0);
}

static void no_increment_is_lost(void **state)
{
	struct initiator who[INITIATORS] = { 0 };
	uint32_t done = 0;

	(void)state;
	memset(medium, 0, sizeof(medium));
	memset(cmd, 0, sizeof(cmd));
	for (chance_state = 1; done < 20000;) {
		int i = (int)chance(12);

		if (i < INITIATORS)
			increment(&who[i], i, i % 2 ? 1 : 3);
		else
			disturb(i);
		for (uint32_t n = chance(3); n-- && held_count;)
			rig_release(chance((uint32_t)held_count));
		done = 0;
		for (int k = 0; k < INITIATORS; k++)
			done += who[k].done;
	}
	while (held_count)
		rig_release(0);
	done = 0;
	for (int k = 0; k < INITIATORS; k++) {
		if (who[k].busy && cmd[k].outcome.sts == TCMU_STS_OK)
			who[k].done++;
		done += who[k].done;
	}
	assert_int_equal(get_be32(medium + COUNTER * BLOCK), done);
}

#define H(test) cmocka_unit_test_setup_teardown(test, setup_held, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		H(write_waits_for_caw),         H(caw_waits_for_writes_in_flight),
		H(reads_do_not_wait),           H(waiting_is_in_order),
		H(unmap_locks_each_range),      H(write_same_and_its_kin_wait),
		H(lock_ends_with_an_error),     H(no_increment_is_lost),
		H(reads_wait_for_write_atomic), H(write_atomic_waits_for_reads),
		H(reads_wait_for_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
