/* SPDX-License-Identifier: Apache-2.0 */
/* EXTENDED COPY(LID1) and RECEIVE COPY RESULTS (SPC-4 6.4, 6.18 to 6.20) between units of one daemon. */
#include "copies.h"

#include <stdio.h>
#include <unistd.h>

/* ---- copies that are done ---- */

static void between_two(void **state)
{
	uint8_t buf[64];
	struct list l;

	(void)state;
	two();
	/* several pieces and not a whole one; to whom the command is sent makes no difference */
	ASSERT_OUTCOME(copy(a, a, b, 10, 100, 3 * PIECE + 7), GOOD);
	assert_blocks("b", 0, 100, 2, 0);
	assert_blocks("b", 100, 3 * PIECE + 7, 1, 10);
	assert_blocks("b", 100 + 3 * PIECE + 7, 100, 2, 100 + 3 * PIECE + 7);
	ASSERT_OUTCOME(copy(a, b, a, 5000, 3000, 2 * PIECE), GOOD);
	assert_blocks("a", 3000, 2 * PIECE, 2, 5000);
	assert_blocks("a", 3000 + 2 * PIECE, 1, 1, 3000 + 2 * PIECE);
	ASSERT_OUTCOME(copy(b, a, b, 0, BLOCKS - 1, 1), GOOD);
	assert_blocks("b", BLOCKS - 1, 1, 1, 0);
	ASSERT_OUTCOME(copy(b, a, b, BLOCKS, 0, 0), GOOD); /* no blocks, at the very end */
	/* DC, with blocks of one size, changes nothing; CAT neither */
	list_begin(&l, 0, 3);
	list_cscd(&l, a);
	list_cscd(&l, b);
	list_segment(&l, 0, 1, 7, 7000, 9)[1] = 0x03;
	ASSERT_OUTCOME(xcopy(a, &l), GOOD);
	assert_blocks("b", 7000, 9, 1, 7);
	assert_blocks("b", 7009, 9, 2, 7009);
	ASSERT_OUTCOME(send_cmd(a, CDB(0x83), FAKE_NONE, NULL, 0), GOOD); /* no list */
	/* 3PC, page 8Fh */
	ASSERT_OUTCOME(send_cmd(a, CDB(0x12, 0, 0, 0, 36), FAKE_IN, buf, 36), GOOD);
	assert_int_equal(buf[5] & 8, 8);
	ASSERT_OUTCOME(send_cmd(a, CDB(0x12, 1, 0x8f, 0, 64), FAKE_IN, buf, 64), GOOD);
	remove_two();
}

static void inside_one(void **state)
{
	(void)state;
	two();
	ASSERT_OUTCOME(copy(a, a, a, 0, 4000, 2 * PIECE + 1), GOOD);
	assert_blocks("a", 4000, 2 * PIECE + 1, 1, 0);
	assert_blocks("a", 0, 4000, 1, 0);
	/* what overlaps, up and down, by less and by more than a piece */
	for (unsigned int by = 1; by <= 2 * PIECE; by += by < 8 ? 3 : 509) {
		number_blocks("a", 1);
		ASSERT_OUTCOME(copy(a, a, a, 100, 100 + by, 4 * PIECE + 3), GOOD);
		assert_blocks("a", 100 + by, 4 * PIECE + 3, 1, 100);
		assert_blocks("a", 0, 100 + by, 1, 0);
		number_blocks("a", 1);
		ASSERT_OUTCOME(copy(a, a, a, 2000, 2000 - by, 4 * PIECE + 3), GOOD);
		assert_blocks("a", 2000 - by, 4 * PIECE + 3, 1, 2000);
		assert_blocks("a", 0, 2000 - by, 1, 0);
	}
	ASSERT_OUTCOME(copy(a, a, a, 50, 50, 2 * PIECE), GOOD);
	remove_two();
}

/* In their order: what one has written the next one reads. */
static void segments(void **state)
{
	struct fake_dev *c;
	struct list l;
	uint8_t buf[64];

	(void)state;
	two();
	c = lun("c", 3);
	list_begin(&l, 9, 0);
	list_cscd(&l, a);
	list_cscd(&l, b);
	list_cscd(&l, c);
	list_segment(&l, 0, 1, 0, 1000, 700);
	list_segment(&l, 1, 0, 1000, 3000, 700);
	list_segment(&l, 0, 0, 3000, 5000, 0);
	list_segment(&l, 0, 2, 3600, 10, 20);
	list_segment(&l, 2, 0, 0, 0, 100);
	ASSERT_OUTCOME(xcopy(a, &l), GOOD);
	assert_blocks("b", 1000, 700, 1, 0);
	assert_blocks("a", 3000, 700, 1, 0);
	assert_blocks("c", 10, 20, 1, 600);
	assert_blocks("c", 30, 20, 3, 30);
	assert_blocks("a", 0, 10, 3, 0);
	assert_blocks("a", 10, 20, 1, 600);
	assert_blocks("a", 30, 70, 3, 30);
	ASSERT_OUTCOME(receive(a, 0, 9, buf, 12), GOOD);
	assert_int_equal(buf[4], 1);
	assert_int_equal(get_be(buf + 5, 2), 5);
	assert_int_equal(get_be(buf + 8, 4), (700 + 700 + 20 + 100) * 512);
	/* what two others do is none of its business */
	list_begin(&l, 9, 0);
	list_cscd(&l, b);
	list_cscd(&l, c);
	list_segment(&l, 0, 1, 0, 0, 1);
	ASSERT_OUTCOME(xcopy(a, &l), NOT_REACHABLE);
	assert_int_equal(fake_dev_remove(c), 0);
	remove_two();
}

/* SBC-4 6.5.6: with the write cache off, what is answered is durable. The destination's cache counts. */
static void cache_off(void **state)
{
	const char *line;

	(void)state;
	two();
	ASSERT_OUTCOME(copy(a, a, b, 0, 0, 2 * PIECE), GOOD);
	assert_int_equal(count(trace("b"), "flush"), 0);
	select_write_cache(b, false);
	while (test_unit_ready(b))
		;
	assert_true(count(trace("b"), "flush") > 0);
	unlink(world_path(&w, "b.trace"));
	ASSERT_OUTCOME(copy(a, a, b, 0, 0, 2 * PIECE), GOOD);
	assert_int_equal(count(trace("b"), "flush"), 1);
	line = strstr(trace("b"), "flush");
	assert_non_null(line);
	assert_null(strstr(line, "write")); /* it is the last */
	assert_int_equal(count(trace("a"), "flush"), 0);
	remove_two();
}

/* One at a time, in whatever order: none is refused. */
static void at_once(void **state)
{
	static struct bg cmds[24];
	struct list l;
	uint8_t buf[64];

	(void)state;
	two();
	hold("a", "read");
	for (unsigned int i = 0; i < 24; i++) {
		list_begin(&l, (uint8_t)(i + 1), 0);
		list_cscd(&l, a);
		list_cscd(&l, b);
		list_segment(&l, 0, 1, i * 10, i * 100, 10);
		list_segment(&l, 1, 0, i * 100, 5000 + i * 10, 10);
		xcopy_submit(i % 2 ? a : b, &cmds[i], &l);
	}
	reached("a", "read", 2); /* one of each unit */
	usleep(50000);
	assert_int_equal(count(trace("a"), "read"), 2);
	for (uint8_t i = 1; i <= 24; i++) { /* they know of those that wait, too */
		ASSERT_OUTCOME(receive(i % 2 ? b : a, 0, i, buf, 12), GOOD);
		assert_int_equal(buf[4], 0);
		ASSERT_OUTCOME(receive(i % 2 ? b : a, 4, i, buf, 64), INVALID_FIELD_IN_CDB);
	}
	let_go("a", "read");
	for (unsigned int i = 0; i < 24; i++) {
		bg_wait(&cmds[i]);
		ASSERT_OUTCOME(outcome(&cmds[i].cmd), GOOD);
		assert_blocks("b", i * 100, 10, 1, i * 10);
		assert_blocks("a", 5000 + i * 10, 10, 1, i * 10);
	}
	remove_two();
}

/* ---- who is it? ---- */

static void names(void **state)
{
	struct fake_dev *secret, *others[8];
	struct list l;
	uint8_t buf[128];
	char name[16];

	(void)state;
	two();
	secret = lun("secret", 5);
	for (unsigned int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "other%u", i);
		others[i] = lun(name, 0x10 + i);
	}
	list_begin(&l, 1, 0);
	list_cscd(&l, a);
	list_cscd(&l, b)[12] ^= 1;
	list_segment(&l, 0, 1, 0, 0, 1);
	ASSERT_OUTCOME(xcopy(a, &l), NOT_REACHABLE);
	assert_int_equal(get_be(last.sense + 8, 4), 0); /* segment, and its destination */
	assert_int_equal(last.sense[15], 0xa0);
	assert_int_equal(get_be(last.sense + 16, 2), 6);
	/* another kind of name */
	list_begin(&l, 1, 0);
	list_cscd(&l, a)[5] = 1;
	list_cscd(&l, b);
	list_segment(&l, 1, 1, 0, 0, 1);
	list_segment(&l, 0, 1, 0, 0, 1);
	ASSERT_OUTCOME(xcopy(b, &l), NOT_REACHABLE);
	assert_int_equal(get_be(last.sense + 8, 4), 1);
	assert_int_equal(get_be(last.sense + 16, 2), 4);
	/* not everybody may */
	ASSERT_OUTCOME(copy(a, a, secret, 0, 0, 1), NOT_AUTHORIZED);
	ASSERT_OUTCOME(copy(a, secret, a, 0, 0, 1), NOT_AUTHORIZED);
	assert_int_equal(count(said(), "EXTENDED COPY"), 2);
	assert_int_equal(count(said(), "EXTENDED COPY from 'user_0/secret' is refused"), 1);
	ASSERT_OUTCOME(copy(secret, secret, secret, 0, 100, 1), GOOD);
	/* every one is found, at first and again, and by another name that it has got */
	for (unsigned int round = 0; round < 2; round++) {
		for (unsigned int i = 0; i < 8; i++) {
			snprintf(name, sizeof(name), "other%u", i);
			ASSERT_OUTCOME(copy(a, others[i], a, round, i, 1), GOOD);
			assert_blocks("a", i, 1, 0x10 + i, round);
		}
	}
	fake_dev_set_attr(others[3], "wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: abcdef\n");
	ASSERT_OUTCOME(copy(a, others[3], a, 9, 1000, 1), GOOD);
	assert_blocks("a", 1000, 1, 0x13, 9);
	/* reserved, perhaps for somebody else */
	fake_dev_set_attr(b, "pr/res_holder", "No SPC-3 Reservation holder\n");
	ASSERT_OUTCOME(copy(a, b, a, 0, 0, 1), GOOD);
	fake_dev_set_attr(b, "pr/res_holder", "SPC-3 Reservation: iSCSI Initiator: iqn.x\n");
	ASSERT_OUTCOME(copy(a, b, a, 0, 0, 1), DEVICE_FAILURE);
	ASSERT_OUTCOME(copy(b, b, a, 0, 0, 1), GOOD); /* the kernel has let the command pass */
	(void)buf;
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(fake_dev_remove(others[i]), 0);
	assert_int_equal(fake_dev_remove(secret), 0);
	remove_two();
}

/* A descriptor that does not describe it. */
static void descriptions(void **state)
{
	struct fake_dev *big = NULL;
	struct fake_dev_cfg cfg = {
		.name = "big", .block_size = 4096, .size = SIZE, .ring = FAKE_RING_CFG_DEFAULT
	};
	char config[200];
	struct list l;

	(void)state;
	two();
	list_begin(&l, 1, 0);
	list_cscd(&l, a);
	list_cscd(&l, b)[1] = 0x01;
	list_segment(&l, 0, 1, 0, 0, 1);
	ASSERT_OUTCOME(xcopy(a, &l), WRONG_TYPE);
	list_begin(&l, 1, 0);
	list_cscd(&l, a);
	put_be(list_cscd(&l, b) + 29, 4096, 3);
	list_segment(&l, 0, 1, 0, 0, 1);
	ASSERT_OUTCOME(xcopy(a, &l), COPY_LIST_FIELD);
	assert_int_equal(last.sense[15], 0x80); /* SD 0: in the list */
	assert_int_equal(get_be(last.sense + 16, 2), 16 + 32 + 29);
	/* blocks of two sizes: what comes out even */
	snprintf(config, sizeof(config), "led/%s", world_path(&w, "big"));
	cfg.config = config;
	cfg.ring.pos_off = 76;
	assert_int_equal(fake_dev_create(w.k, &cfg, &big), 0);
	fake_target_map(big, "loopback", "loopback/naa.5/tpgt_1", "lun_9", 9);
	fake_dev_set_attr(big, "wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: b16\n");
	for (uint8_t dc = 0; dc < 2; dc++) {
		number_blocks("big", 7);
		list_begin(&l, 1, 0);
		list_cscd(&l, a);
		put_be(list_cscd(&l, big) + 29, 4096, 3);
		list_segment(&l, 0, 1, 3, 2, dc ? 2 : 16)[1] = (uint8_t)(dc << 1);
		ASSERT_OUTCOME(xcopy(a, &l), GOOD);
		assert_blocks("big", 2 * 8, 16, 1, 3);
		assert_blocks("big", 4 * 8, 16, 7, 4 * 8);
		list_segment(&l, 0, 1, 3, 2, 15);
		ASSERT_OUTCOME(xcopy(a, &l), INEXACT);
	}
	assert_int_equal(fake_dev_remove(big), 0);
	remove_two();
}

/* ---- copies that fail ---- */

static void ranges(void **state)
{
	struct list l;

	(void)state;
	two();
	ASSERT_OUTCOME(copy(a, a, b, 0, BLOCKS - 1, 2048), COPY_RANGE);
	assert_int_equal(get_be(last.sense + 16, 2), 20);
	ASSERT_OUTCOME(copy(a, a, b, BLOCKS - 1, 0, 2), COPY_RANGE);
	assert_int_equal(get_be(last.sense + 16, 2), 12);
	ASSERT_OUTCOME(copy(a, a, b, UINT64_MAX, 0, 2), COPY_RANGE);
	ASSERT_OUTCOME(copy(a, a, b, 0, UINT64_MAX - 1, 2), COPY_RANGE);
	assert_int_equal(count(trace("b"), "write"), 0); /* not a bit of it */
	list_begin(&l, 1, 0);
	list_cscd(&l, a);
	list_segment(&l, 0, 1, 0, 0, 1);
	ASSERT_OUTCOME(xcopy(a, &l), UNREACHABLE);
	/* smaller in the meantime */
	assert_int_equal(reconfig_soon(b, "dev_size", "1048576"), -95);
	/* an end too early: PARAMETER LIST LENGTH beyond the data */
	ASSERT_OUTCOME(send_cmd(a, CDB(0x83, [13] = 200), FAKE_OUT, l.bytes, l.len),
		       SENSE(5u, 0x1au, 0u));
	for (size_t len = 1; len < l.len; len++) {
		l.bytes[23] = 0; /* of the destination: 0 */
		ASSERT_OUTCOME(
			send_cmd(a, CDB(0x83, [13] = (uint8_t)len), FAKE_OUT, l.bytes, l.len),
			SENSE(5u, 0x1au, 0u));
	}
	ASSERT_OUTCOME(tur(a), GOOD);
	remove_two();
}

static void failures(void **state)
{
	struct list l;
	uint8_t buf[100];

	(void)state;
	two();
	list_begin(&l, 4, 0);
	list_cscd(&l, a);
	list_cscd(&l, b);
	list_segment(&l, 0, 0, 0, 1000, 8);
	list_segment(&l, 0, 1, 0, 0, 2 * PIECE);
	/* write protected: the first segment is done */
	ASSERT_OUTCOME(select_control(b, false, true, false), GOOD);
	while (test_unit_ready(b))
		;
	ASSERT_OUTCOME(xcopy(a, &l), DEVICE_FAILURE);
	assert_int_equal(get_be(last.sense + 8, 4), 1);
	assert_blocks("a", 1000, 8, 1, 0);
	assert_blocks("b", 0, 16, 2, 0);
	ASSERT_OUTCOME(receive(a, 0, 4, buf, 12), GOOD);
	assert_int_equal(buf[4], 2);
	assert_int_equal(get_be(buf + 5, 2), 1);
	assert_int_equal(get_be(buf + 8, 4), 8 * 512);
	ASSERT_OUTCOME(receive(a, 0, 4, buf, 12), INVALID_FIELD_IN_CDB);
	ASSERT_OUTCOME(receive(a, 4, 4, buf, 100), GOOD);
	assert_int_equal(get_be(buf, 4), 74);
	assert_int_equal(buf[56], 2);
	assert_int_equal(buf[60 + 2], 7); /* what b said */
	assert_int_equal(get_be(buf + 60 + 12, 2), 0x2702);
	ASSERT_OUTCOME(receive(a, 4, 4, buf, 100), INVALID_FIELD_IN_CDB);
	/* reading from it is fine */
	ASSERT_OUTCOME(copy(b, b, a, 0, 0, 4), GOOD);
	ASSERT_OUTCOME(select_control(b, false, false, false), GOOD);
	while (test_unit_ready(b))
		;
	spoil("b", "write", true);
	ASSERT_OUTCOME(xcopy(a, &l), DEVICE_FAILURE);
	ASSERT_OUTCOME(receive(a, 4, 4, buf, 100), GOOD);
	assert_int_equal(get_be(buf + 60 + 12, 2), 0x0c00);
	spoil("b", "write", false);
	spoil("a", "read", true);
	ASSERT_OUTCOME(copy(b, a, b, 0, 0, 4 * PIECE), DEVICE_FAILURE);
	spoil("a", "read", false);
	ASSERT_OUTCOME(xcopy(a, &l), GOOD);
	remove_two();
}

/* SPC-4 6.20, and the room for them. */
static void results(void **state)
{
	struct list l;
	uint8_t buf[64];

	(void)state;
	two();
	ASSERT_OUTCOME(receive(a, 0, 1, buf, 12), INVALID_FIELD_IN_CDB);
	ASSERT_OUTCOME(receive(a, 3, 0, buf, 64), GOOD);
	assert_int_equal(get_be(buf + 8, 2), 16);
	assert_int_equal(get_be(buf + 10, 2), 16);
	for (uint8_t usage = 0; usage < 4; usage++) {
		list_begin(&l, usage == 3 ? 0 : 6, usage);
		list_cscd(&l, a);
		list_segment(&l, 0, 0, 0, 1000, 8);
		ASSERT_OUTCOME(xcopy(a, &l), usage == 1 ? INVALID_FIELD_IN_LIST : GOOD);
		ASSERT_OUTCOME(receive(b, 0, l.bytes[0], buf, 12), INVALID_FIELD_IN_CDB);
		if (!usage)
			ASSERT_OUTCOME(receive(a, 0, 6, buf, 4), GOOD); /* not all of it */
		ASSERT_OUTCOME(receive(a, 0, l.bytes[0], buf, 12),
			       usage ? INVALID_FIELD_IN_CDB : GOOD);
	}
	/* a new one with the same identifier takes the old one's place, also when it keeps nothing */
	list_begin(&l, 6, 0);
	list_cscd(&l, a);
	list_segment(&l, 0, 0, 0, 1000, 8);
	ASSERT_OUTCOME(xcopy(a, &l), GOOD);
	l.bytes[1] = 2 << 3;
	ASSERT_OUTCOME(xcopy(a, &l), GOOD);
	ASSERT_OUTCOME(receive(a, 0, 6, buf, 12), INVALID_FIELD_IN_CDB);
	/* one that is refused was none */
	l.bytes[1] = 0;
	put_be(l.bytes + 16 + 32 + 6, 1, 2);
	ASSERT_OUTCOME(xcopy(a, &l), UNREACHABLE);
	ASSERT_OUTCOME(receive(a, 0, 6, buf, 12), INVALID_FIELD_IN_CDB);
	put_be(l.bytes + 16 + 32 + 6, 0, 2);
	/* nor was one that failed before it touched anything; what had its identifier is gone */
	ASSERT_OUTCOME(xcopy(a, &l), GOOD);
	put_be(l.bytes + 16 + 32 + 20, BLOCKS - 1, 8);
	ASSERT_OUTCOME(xcopy(a, &l), COPY_RANGE);
	ASSERT_OUTCOME(receive(a, 0, 6, buf, 12), INVALID_FIELD_IN_CDB);
	ASSERT_OUTCOME(receive(a, 4, 6, buf, 64), INVALID_FIELD_IN_CDB);
	put_be(l.bytes + 16 + 32 + 20, 1000, 8);
	for (uint8_t id = 0; id < 9; id++) {
		l.bytes[0] = id;
		ASSERT_OUTCOME(xcopy(a, &l), GOOD);
	}
	for (uint8_t id = 0; id < 9; id++)
		ASSERT_OUTCOME(receive(a, 0, id, buf, 12), id < 5 ? INVALID_FIELD_IN_CDB : GOOD);
	remove_two();
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, faults_open, faults_close)
	const struct CMUnitTest tests[] = {
		T(between_two), T(inside_one),   T(segments), T(cache_off), T(at_once),
		T(names),       T(descriptions), T(ranges),   T(failures),  T(results),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
