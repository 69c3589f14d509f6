/* SPDX-License-Identifier: Apache-2.0 */
/* One ring with one consumer and a handful of commands: what the ring tests work with. */
#ifndef TESTS_RING_RIG_H
#define TESTS_RING_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "fake-ring.h"
#include "ref-consumer.h"

#define RIG_CMDS 64

struct rig {
	struct fake_verdicts v;
	struct fake_ring *r;
	struct ref_consumer c;
	struct fake_cmd cmd[RIG_CMDS];
	int done[RIG_CMDS];
	uint8_t data[RIG_CMDS][16384];
};

static void rig_done(struct fake_cmd *cmd)
{
	++*(int *)cmd->arg;
}

static inline void rig_open(struct rig *g, const struct fake_ring_cfg *cfg)
{
	memset(g, 0, sizeof(*g));
	fake_verdicts_init(&g->v);
	g->r = fake_ring_new(cfg, &g->v);
	assert_non_null(g->r);
	ref_init(&g->c, fake_ring_base(g->r));
}

static inline void rig_close(struct rig *g)
{
	fake_ring_free(g->r);
	fake_verdicts_destroy(&g->v);
}

/* Submits command i: a READ(10), WRITE(10) or TEST UNIT READY with this much data. */
static inline struct fake_cmd *rig_submit(struct rig *g, int i, enum fake_dir dir, size_t len)
{
	static const uint8_t opcode[] = { [FAKE_NONE] = 0x00, [FAKE_OUT] = 0x2a, [FAKE_IN] = 0x28 };
	struct fake_cmd *cmd = &g->cmd[i];

	assert_true(len <= sizeof(g->data[i]));
	memset(cmd, 0, sizeof(*cmd));
	cmd->cdb[0] = opcode[dir];
	cmd->dir = dir;
	cmd->data = g->data[i];
	cmd->len = len;
	cmd->done = rig_done;
	cmd->arg = &g->done[i];
	g->done[i] = 0;
	fake_ring_submit(g->r, cmd);
	return cmd;
}

/* Takes the next command, which must be there. */
static inline struct ref_cmd rig_next(struct rig *g)
{
	struct ref_cmd cmd;

	assert_true(ref_next(&g->c, &cmd));
	return cmd;
}

/* Takes the next one and answers it GOOD, data-in filled. */
static inline void rig_serve(struct rig *g)
{
	struct ref_cmd cmd = rig_next(g);

	if (cmd.cdb[0] == 0x28)
		ref_fill(&cmd, 0x11, ref_len(&cmd));
	ref_answer(&g->c, cmd.id, 0, 0, 0);
	ref_free(&cmd);
	fake_ring_doorbell(g->r, 1);
}

/* Nothing else was seen than this violation, and it was. */
static inline void rig_expect(struct rig *g, enum fake_verdict kind)
{
	assert_true(fake_verdicts_only(&g->v, kind));
}

#endif
