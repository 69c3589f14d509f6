/* SPDX-License-Identifier: Apache-2.0 */
#include "record-script.h"

#include <stdlib.h>
#include <string.h>

static void digest(struct record *rec, const uint8_t *p, size_t len)
{
	while (len--)
		rec->digest = (rec->digest ^ *p++) * 0x100000001b3ull; /* FNV-1a */
}

static void print_bytes(struct record *rec, const uint8_t *p, size_t len)
{
	size_t zeros = 0;

	if (rec->quiet) {
		digest(rec, p, len);
		return;
	}
	/* Runs of zeros are counted. */
	for (size_t i = 0; i < len; i++) {
		if (!p[i]) {
			zeros++;
			continue;
		}
		if (zeros)
			fprintf(rec->out, " %zux00", zeros);
		zeros = 0;
		fprintf(rec->out, " %02x", p[i]);
	}
	if (zeros)
		fprintf(rec->out, " %zux00", zeros);
	fputc('\n', rec->out);
}

/* The entries that the kernel has added. Of a PAD only the header is written by it. */
static void look(struct record *rec)
{
	uint32_t head = __atomic_load_n(&rec->c.mb->cmd_head, __ATOMIC_ACQUIRE);

	while (rec->seen != head) {
		uint8_t *ent = rec->c.cmdr + rec->seen;
		struct tcmu_abi_hdr *hdr = (void *)ent;
		uint32_t len = hdr->len_op & ~TCMU_ABI_OP_MASK;
		bool is_pad = (hdr->len_op & TCMU_ABI_OP_MASK) == TCMU_ABI_OP_PAD;
		bool quiet = rec->quiet;

		rec->quiet &= !is_pad;
		if (!rec->quiet)
			fprintf(rec->out, "  at %u%s:", rec->seen, is_pad ? " PAD" : "");
		print_bytes(rec, ent, is_pad ? sizeof(*hdr) : len);
		rec->quiet = quiet;
		rec->seen = (rec->seen + len) % rec->c.size;
		if (!is_pad) {
			int slot = rec->waiting[0];

			memmove(rec->waiting, rec->waiting + 1, sizeof(int) * --rec->waiting_cnt);
			ref_free(&rec->cmd[slot]);
			ref_next(&rec->c, &rec->cmd[slot]);
			rec->on_ring[slot] = true;
		}
	}
}

static void submit_cdb(struct record *rec, int slot, const uint8_t *cdb, size_t cdb_len,
		       enum record_dir dir, size_t len)
{
	if (!rec->quiet)
		fprintf(rec->out, "submit %d: opcode %02x, %s %zu\n", slot, cdb[0],
			dir == RECORD_OUT  ? "out"
			: dir == RECORD_IN ? "in"
					   : "none",
			len);
	rec->waiting[rec->waiting_cnt++] = slot;
	rec->on_ring[slot] = false;
	rec->submit(rec->arg, slot, cdb, cdb_len, dir, len);
	look(rec);
	if (!rec->on_ring[slot])
		fprintf(rec->out, "  waits\n");
}

static void submit(struct record *rec, int slot, enum record_dir dir, size_t len)
{
	static const uint8_t opcode[] = {
		[RECORD_NONE] = 0x00, [RECORD_OUT] = 0x2a, [RECORD_IN] = 0x28
	};
	uint8_t cdb[10] = { opcode[dir], 0, 0, 0, (uint8_t)slot, 0, 0, 0, (uint8_t)(len / 512) };

	submit_cdb(rec, slot, cdb, dir == RECORD_NONE ? 6 : 10, dir, len);
}

static void kicked(struct record *rec, int slot)
{
	struct record_result res;

	rec->kick(rec->arg);
	rec->on_ring[slot] = false;
	res = rec->reap(rec->arg, slot);
	if (!rec->quiet)
		fprintf(rec->out, "answer %d, id %u: status %02x, sense %x/%02x, residual %d\n",
			slot, rec->cmd[slot].id, res.status, res.key, res.asc, res.residual);
	look(rec);
}

static void answer(struct record *rec, int slot)
{
	struct ref_cmd *cmd = &rec->cmd[slot];

	if (cmd->cdb[0] == 0x28)
		ref_fill(cmd, (uint8_t)slot, ref_len(cmd));
	ref_answer(&rec->c, cmd->id, 0, 0, 0);
	kicked(rec, slot);
}

static void title(struct record *rec, const char *what)
{
	fprintf(rec->out, "# %s: head %u, tail %u\n", what, rec->c.mb->cmd_head,
		rec->c.mb->cmd_tail);
}

static void kinds_of_commands(struct record *rec)
{
	static const struct {
		uint8_t cdb[32];
		uint8_t len;
		enum record_dir dir;
		size_t data;
	} rows[] = {
		{ { 0x00 }, 6, RECORD_NONE, 0 },
		{ { 0x12, 0, 0, 0, 36 }, 6, RECORD_IN, 36 },
		{ { 0x28, 0, 0, 0, 0, 0, 0, 0, 1 }, 10, RECORD_IN, 512 },
		{ { 0x2a, 0, 0, 0, 0, 0, 0, 0, 8 }, 10, RECORD_OUT, 4096 },
		{ { 0xa8, 0, 0, 0, 0, 0, 0, 0, 0, 10 }, 12, RECORD_IN, 5000 },
		{ { 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128 }, 16, RECORD_IN, 65536 },
		{ { 0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0 }, 16, RECORD_OUT, 524288 },
		{ { 0x35 }, 10, RECORD_NONE, 0 },
		{ { 0x60, 1, 2, 3, 4, 5, 6, 7, 8, 9 }, 12, RECORD_NONE, 0 },
		{ { 0xc0, 1, 2, 3, 4, 5, 6, 7, 8, 9 }, 10, RECORD_NONE, 0 },
		{ { 0xe5, 1, 2, 3, 4, 5, 6, 7, 8, 9 }, 10, RECORD_OUT, 700 },
		{ { 0x7f, 0, 0, 0, 0, 0, 0, 24, 0, 9 }, 32, RECORD_NONE, 0 },
	};

	title(rec, "one at a time");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		submit_cdb(rec, 0, rows[i].cdb, rows[i].len, rows[i].dir, rows[i].data);
		if (rows[i].dir == RECORD_IN)
			ref_fill(&rec->cmd[0], 0x55, rows[i].data);
		ref_answer(&rec->c, rec->cmd[0].id, 0, 0, 0);
		kicked(rec, 0);
	}
}

static void answers(struct record *rec)
{
	title(rec, "READ_LEN, sense data, UNKNOWN_OP");
	submit(rec, 0, RECORD_IN, 4096);
	ref_fill(&rec->cmd[0], 0x11, 100);
	ref_answer(&rec->c, rec->cmd[0].id, 0, TCMU_ABI_UFLAG_READ_LEN, 100);
	kicked(rec, 0);
	submit(rec, 0, RECORD_OUT, 512);
	ref_answer_sense(&rec->c, rec->cmd[0].id, 5, 0x21);
	kicked(rec, 0);
	submit(rec, 0, RECORD_NONE, 0);
	ref_answer(&rec->c, rec->cmd[0].id, 0, TCMU_ABI_UFLAG_UNKNOWN_OP, 0);
	kicked(rec, 0);
}

/* Lowest free blocks and ids after answers in another order; pieces that are apart. */
static void out_of_order(struct record *rec)
{
	title(rec, "out of order");
	for (int i = 0; i < 12; i++)
		submit(rec, i, i & 1 ? RECORD_IN : RECORD_OUT, 4096);
	for (int i = 10; i >= 0; i -= 2)
		answer(rec, i); /* blocks 10, 8, .. 0 */
	submit(rec, 20, RECORD_IN, 3 * 4096);
	submit(rec, 21, RECORD_OUT, 2 * 4096 + 512);
	submit(rec, 22, RECORD_NONE, 0);
	answer(rec, 20);
	answer(rec, 5);
	submit(rec, 23, RECORD_OUT, 5 * 4096); /* five pieces: a longer entry */
	submit(rec, 24, RECORD_IN, 8 * 4096);
	for (int i = 1; i < 12; i += 2)
		if (rec->on_ring[i])
			answer(rec, i);
	for (int i = 24; i > 20; i--)
		answer(rec, i);
}

static void kept(struct record *rec)
{
	title(rec, "kept buffers");
	submit(rec, 0, RECORD_OUT, 8192);
	submit(rec, 1, RECORD_OUT, 4096);
	ref_answer(&rec->c, rec->cmd[0].id, 0, TCMU_ABI_UFLAG_KEEP_BUF, 0);
	kicked(rec, 0);
	answer(rec, 1);
	submit(rec, 2, RECORD_OUT, 4096); /* id 1 and blocks 0, 1 are still taken */
	rec->free_kept(rec->arg, rec->cmd[0].id);
	submit(rec, 3, RECORD_OUT, 4 * 4096);
	answer(rec, 2);
	answer(rec, 3);
}

/* Data area full: the ninth waits, and comes as soon as there is room. */
static void full_area(struct record *rec)
{
	int n = (int)((RECORD_AREA_MB << 20) / RECORD_MAX_DATA);

	title(rec, "full data area");
	for (int i = 0; i < n; i++)
		submit(rec, i, RECORD_OUT, RECORD_MAX_DATA);
	submit(rec, n, RECORD_OUT, 4096);
	submit(rec, n + 1, RECORD_NONE, 0);
	answer(rec, 3);
	for (int i = 0; i < n + 2; i++)
		if (i != 3)
			answer(rec, i);
}

/* Around the ring; a few entries in flight, answered crosswise. */
static void wrap(struct record *rec)
{
	title(rec, "around the ring (a digest of the entries; PADs as they are)");
	rec->quiet = true;
	for (int round = 0; round < 1800; round++) {
		for (int i = 0; i < 5; i++)
			submit(rec, i, i & 1 ? RECORD_IN : RECORD_OUT,
			       (size_t)512 << (unsigned int)((round + i) % 5));
		answer(rec, 3);
		answer(rec, 0);
		answer(rec, 4);
		answer(rec, 1);
		answer(rec, 2);
		if (round % 200 == 0)
			fprintf(rec->out, "  round %d: head %u, digest %016llx\n", round,
				rec->c.mb->cmd_head, (unsigned long long)rec->digest);
	}
	rec->quiet = false;
	title(rec, "end");
}

void record_script(struct record *rec)
{
	struct tcmu_abi_mailbox *mb = (void *)rec->c.base;

	rec->digest = 0xcbf29ce484222325ull;
	ref_init(&rec->c, rec->c.base);
	rec->seen = rec->c.pos;
	fprintf(rec->out, "mailbox: version %u, flags %#x, cmdr_off %u, cmdr_size %u\n",
		mb->version, mb->flags, mb->cmdr_off, mb->cmdr_size);
	kinds_of_commands(rec);
	answers(rec);
	out_of_order(rec);
	kept(rec);
	full_area(rec);
	wrap(rec);
	for (int i = 0; i < RECORD_SLOTS; i++)
		ref_free(&rec->cmd[i]);
}
