/* SPDX-License-Identifier: Apache-2.0 */
/* Violations 11 to 16, 21 and 22: data and answers. */
#include "violations.h"

#include <stdlib.h>

/* 11 */
static void store_behind_buffer(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	rig_submit(&g, 0, FAKE_IN, 512);
	cmd = rig_next(&g);
	cmd.iov[0].iov_len = 513;
	ref_fill(&cmd, 0x22, 513);
	ref_answer(&g.c, cmd.id, 0, 0, 0);
	ref_free(&cmd);
	fake_ring_doorbell(g.r, 1);
	expect(FAKE_V_OUTSIDE_IOV);
}

/* 12 */
static void read_not_filled(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	rig_submit(&g, 0, FAKE_IN, 96);
	cmd = rig_next(&g);
	ref_fill(&cmd, 0x22, 36); /* an INQUIRY of old */
	ref_answer(&g.c, cmd.id, 0, 0, 0);
	ref_free(&cmd);
	fake_ring_doorbell(g.r, 1);
	expect(FAKE_V_NOT_FILLED);
}

/* 13 */
static void answer_read_len(enum fake_dir dir, uint32_t len)
{
	struct ref_cmd cmd;

	rig_submit(&g, 0, dir, dir == FAKE_NONE ? 0 : 512);
	cmd = rig_next(&g);
	if (dir == FAKE_IN)
		ref_fill(&cmd, 0x22, 512);
	ref_answer(&g.c, cmd.id, 0, TCMU_ABI_UFLAG_READ_LEN, len);
	ref_free(&cmd);
	fake_ring_doorbell(g.r, 1);
	assert_int_equal(g.done[0], 1);
	expect(FAKE_V_READ_LEN);
}

static void read_len_too_long(void **state)
{
	(void)state;
	answer_read_len(FAKE_IN, 513);
}

static void read_len_zero(void **state)
{
	(void)state;
	answer_read_len(FAKE_IN, 0);
}

static void read_len_of_write(void **state)
{
	(void)state;
	answer_read_len(FAKE_OUT, 512);
}

static void read_len_of_nothing(void **state)
{
	(void)state;
	answer_read_len(FAKE_NONE, 1);
}

/* 14 */
static void check_without_sense(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	rig_submit(&g, 0, FAKE_OUT, 512);
	cmd = rig_next(&g);
	ref_answer(&g.c, cmd.id, 0x02, 0, 0);
	ref_free(&cmd);
	fake_ring_doorbell(g.r, 1);
	expect(FAKE_V_SENSE);
}

static void unknown_op(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	rig_submit(&g, 0, FAKE_NONE, 0);
	cmd = rig_next(&g);
	ref_answer(&g.c, cmd.id, 0, TCMU_ABI_UFLAG_UNKNOWN_OP, 0);
	ref_free(&cmd);
	fake_ring_doorbell(g.r, 1);
	assert_int_equal(g.cmd[0].status, 0x02);
	assert_int_equal(g.cmd[0].sense[2], 0x02);
	assert_int_equal(g.cmd[0].sense[12], 0x08);
	expect(FAKE_V_SENSE);
}

/* 15 */
static bool never_really(const struct fake_cmd *cmd, uint8_t status, void *arg)
{
	(void)cmd;
	(void)arg;
	return status != 0;
}

static void answered_too_early(void **state)
{
	(void)state;
	fake_ring_on_ack(g.r, never_really, NULL);
	rig_submit(&g, 0, FAKE_OUT, 512);
	rig_serve(&g);
	expect(FAKE_V_EARLY_ACK);
}

/* 16 */
static void kept_and_forgotten(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	rig_submit(&g, 0, FAKE_OUT, 512);
	cmd = rig_next(&g);
	ref_answer(&g.c, cmd.id, 0, TCMU_ABI_UFLAG_KEEP_BUF, 0);
	ref_free(&cmd);
	fake_ring_doorbell(g.r, 1);
	fake_ring_check_idle(g.r);
	expect(FAKE_V_KEEP_BUF);
	fake_verdicts_clear(&g.v);
	assert_int_equal(fake_ring_free_kept(g.r, 1), 0);
	expect(FAKE_V_NONE);
	assert_int_equal(fake_ring_free_kept(g.r, 1), -22);
	expect(FAKE_V_KEEP_BUF);
}

/* 21: each block in a piece of its own, one more of them than IOV_MAX. */
#define PIECES   (FAKE_MANY_IOVS + 1)
#define MANY_LEN ((size_t)PIECES * FAKE_PAGE)

static uint8_t *many_data, *many_disk;

static bool many_right(const struct fake_cmd *cmd)
{
	return !memcmp(many_disk, cmd->data, cmd->len);
}

static void many_noise(uint8_t *p)
{
	for (size_t i = 0; i < MANY_LEN; i += 4) {
		uint32_t v = (uint32_t)i * 2654435761u;

		memcpy(p + i, &v, 4);
	}
}

/* A READ of what is on the disk, or a WRITE of what is not there yet. */
static struct ref_cmd many_submit(enum fake_dir dir)
{
	struct fake_ring_cfg cfg = FAKE_RING_CFG_DEFAULT;
	struct ref_cmd cmd;

	cfg.ring_bytes = 64 << 10;
	cfg.data_blocks = 2 * PIECES;
	violation_rig(&cfg);
	fake_ring_fragment(g.r, true);
	many_data = calloc(1, MANY_LEN);
	many_disk = calloc(1, MANY_LEN);
	many_noise(dir == FAKE_IN ? many_disk : many_data);
	g.cmd[0] = (struct fake_cmd) { .cdb = { dir == FAKE_IN ? 0x88 : 0x8a },
				       .dir = dir,
				       .data = many_data,
				       .len = MANY_LEN,
				       .right = many_right };
	fake_ring_submit(g.r, &g.cmd[0]);
	cmd = rig_next(&g);
	assert_int_equal(cmd.iov_cnt, PIECES);
	return cmd;
}

/* Between the disk and the first n pieces. */
static void many_transfer(struct ref_cmd *cmd, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *disk = many_disk + (size_t)i * FAKE_PAGE;

		if (cmd->cdb[0] == 0x88)
			memcpy(cmd->iov[i].iov_base, disk, FAKE_PAGE);
		else
			memcpy(disk, cmd->iov[i].iov_base, FAKE_PAGE);
	}
}

static void many_end(struct ref_cmd *cmd, enum fake_verdict kind)
{
	fake_ring_doorbell(g.r, 1);
	expect(kind);
	fake_verdicts_clear(&g.v);
	/* And it goes on. */
	rig_submit(&g, 1, FAKE_IN, 512);
	rig_serve(&g);
	assert_int_equal(g.done[1], 1);
	expect(FAKE_V_NONE);
	ref_free(cmd);
	free(many_data);
	free(many_disk);
}

static void first_1024_of_a_read(void **state)
{
	struct ref_cmd cmd = many_submit(FAKE_IN);

	(void)state;
	many_transfer(&cmd, FAKE_MANY_IOVS);
	ref_answer(&g.c, cmd.id, 0, 0, 0);
	many_end(&cmd, FAKE_V_MANY_IOVS);
}

static void first_1024_of_a_write(void **state)
{
	struct ref_cmd cmd = many_submit(FAKE_OUT);

	(void)state;
	many_transfer(&cmd, FAKE_MANY_IOVS);
	ref_answer(&g.c, cmd.id, 0, 0, 0);
	many_end(&cmd, FAKE_V_MANY_IOVS);
}

static void the_1025th_from_elsewhere(void **state)
{
	struct ref_cmd cmd = many_submit(FAKE_IN);

	(void)state;
	many_transfer(&cmd, PIECES);
	memcpy(cmd.iov[FAKE_MANY_IOVS].iov_base, many_disk, FAKE_PAGE);
	ref_answer(&g.c, cmd.id, 0, 0, 0);
	many_end(&cmd, FAKE_V_MANY_IOVS);
}

/* What preadv(2) says to more than IOV_MAX, passed on. */
static void medium_error_for_1025(void **state)
{
	struct ref_cmd cmd = many_submit(FAKE_IN);

	(void)state;
	ref_answer_sense(&g.c, cmd.id, 3, 0x11);
	many_end(&cmd, FAKE_V_MANY_IOVS);
}

static void no_answer_for_1025(void **state)
{
	struct ref_cmd cmd = many_submit(FAKE_IN);

	(void)state;
	fake_ring_check_idle(g.r);
	many_transfer(&cmd, PIECES);
	ref_answer(&g.c, cmd.id, 0, 0, 0);
	many_end(&cmd, FAKE_V_MANY_IOVS);
}

/* What is allowed: all of it, the truth about less, a refusal. */
static void right_for_1025(void **state)
{
	struct ref_cmd cmd;

	(void)state;
	for (int how = 0; how < 4; how++) {
		cmd = many_submit(how == 3 ? FAKE_OUT : FAKE_IN);
		if (how == 0) {
			ref_answer_sense(&g.c, cmd.id, 5, 0x24);
		} else if (how == 1) {
			g.cmd[0].right = NULL; /* less */
			many_transfer(&cmd, FAKE_MANY_IOVS);
			ref_answer(&g.c, cmd.id, 0, TCMU_ABI_UFLAG_READ_LEN,
				   FAKE_MANY_IOVS * FAKE_PAGE);
		} else {
			many_transfer(&cmd, PIECES);
			ref_answer(&g.c, cmd.id, 0, 0, 0);
		}
		many_end(&cmd, FAKE_V_NONE);
	}
}

/* 22 */
static bool known(uint8_t opcode)
{
	return opcode == 0x28 || opcode == 0x61 || opcode == 0xc1;
}

static void answer_opcode(uint8_t opcode, uint8_t key, uint8_t asc, enum fake_verdict kind)
{
	struct ref_cmd cmd;

	g.cmd[0] = (struct fake_cmd) { .cdb = { opcode } };
	fake_ring_submit(g.r, &g.cmd[0]);
	cmd = rig_next(&g);
	if (key)
		ref_answer_sense(&g.c, cmd.id, key, asc);
	else
		ref_answer(&g.c, cmd.id, 0, 0, 0);
	ref_free(&cmd);
	fake_ring_doorbell(g.r, 1);
	expect(kind);
	fake_verdicts_clear(&g.v);
}

static void unknown_opcode(void **state)
{
	struct fake_ring_cfg cfg = FAKE_RING_CFG_DEFAULT;

	(void)state;
	cfg.known_opcode = known;
	violation_rig(&cfg);
	answer_opcode(0x28, 0, 0, FAKE_V_NONE);
	answer_opcode(0x28, 5, 0x24, FAKE_V_NONE);
	answer_opcode(0x29, 5, 0x20, FAKE_V_NONE);
	answer_opcode(0x29, 6, 0x29, FAKE_V_NONE); /* what comes first */
	answer_opcode(0x29, 0, 0, FAKE_V_OPCODE);
	answer_opcode(0x29, 5, 0x24, FAKE_V_OPCODE);
	answer_opcode(0x29, 3, 0x20, FAKE_V_OPCODE);
	answer_opcode(0xff, 0, 0, FAKE_V_OPCODE);
	/* Whatever the program says that it knows. */
	answer_opcode(0x61, 0, 0, FAKE_V_OPCODE);
	answer_opcode(0xc1, 0, 0, FAKE_V_OPCODE);
}

#define T(kind, fn) VIOLATION(FAKE_V_##kind, fn)

const struct violation violations_answer[] = {
	T(OUTSIDE_IOV, store_behind_buffer),
	T(NOT_FILLED, read_not_filled),
	T(READ_LEN, read_len_too_long),
	T(READ_LEN, read_len_zero),
	T(READ_LEN, read_len_of_write),
	T(READ_LEN, read_len_of_nothing),
	T(SENSE, check_without_sense),
	T(SENSE, unknown_op),
	T(EARLY_ACK, answered_too_early),
	T(KEEP_BUF, kept_and_forgotten),
	T(MANY_IOVS, first_1024_of_a_read),
	T(MANY_IOVS, first_1024_of_a_write),
	T(MANY_IOVS, the_1025th_from_elsewhere),
	T(MANY_IOVS, medium_error_for_1025),
	T(MANY_IOVS, no_answer_for_1025),
	T(NONE, right_for_1025),
	T(OPCODE, unknown_opcode),
};
const size_t violations_answer_cnt = sizeof(violations_answer) / sizeof(violations_answer[0]);
