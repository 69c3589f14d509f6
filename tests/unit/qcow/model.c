/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"

/* A command in the history of a block; what was there before it. 0: the initial contents. */
struct past {
	size_t cmd, before;
};

struct load_cmd *load_cmds;
size_t load_cmd_count;
unsigned int load_wrong;

static size_t cmd_room;
static struct past *pasts;
static size_t past_count, past_room;
static size_t *newest; /* of each block, in pasts */
static bool *busy;
static uint64_t blocks_all;
static const uint8_t *initial;
static uint64_t initial_size;
static uint64_t events;

static void *grow(void *array, size_t *room, size_t size)
{
	*room = *room ? 2 * *room : 1024;
	array = realloc(array, *room * size);
	assert(array);
	return array;
}

void load_init(const uint8_t *contents, uint64_t size)
{
	load_fini();
	initial = contents;
	initial_size = size;
	load_grow(size);
	load_cmds = grow(load_cmds, &cmd_room, sizeof(*load_cmds));
	load_cmds[0] = (struct load_cmd) { .kind = LOAD_INITIAL, .ok = true };
	load_cmd_count = past_count = 1;
	pasts = grow(pasts, &past_room, sizeof(*pasts));
	pasts[0] = (struct past) { 0, 0 };
}

void load_grow(uint64_t size)
{
	uint64_t blocks = size / LOAD_BLOCK;

	newest = realloc(newest, (blocks + 1) * sizeof(*newest));
	busy = realloc(busy, (blocks + 1) * sizeof(*busy));
	assert(newest && busy);
	for (; blocks_all < blocks; blocks_all++) {
		newest[blocks_all] = 0;
		busy[blocks_all] = false;
	}
}

void load_fini(void)
{
	free(load_cmds);
	free(pasts);
	free(newest);
	free(busy);
	load_cmds = NULL;
	pasts = NULL;
	newest = NULL;
	busy = NULL;
	load_cmd_count = cmd_room = past_count = past_room = 0;
	blocks_all = events = 0;
}

static bool writes(const struct load_cmd *cmd)
{
	return cmd->kind == LOAD_WRITE || cmd->kind == LOAD_SAME || cmd->kind == LOAD_UNMAP;
}

size_t model_begin(const struct load_cmd *new)
{
	size_t n = load_cmd_count++;
	struct load_cmd *cmd;

	if (n == cmd_room)
		load_cmds = grow(load_cmds, &cmd_room, sizeof(*load_cmds));
	cmd = &load_cmds[n];
	*cmd = *new;
	cmd->begun = ++events;
	cmd->begun_at = record_count;
	cmd->ended = UINT64_MAX;
	cmd->ended_at = cmd->durable_at = SIZE_MAX;
	for (uint64_t i = 0; writes(cmd) && i < cmd->blocks; i++) {
		if (past_count == past_room)
			pasts = grow(pasts, &past_room, sizeof(*pasts));
		pasts[past_count] = (struct past) { n, newest[cmd->lba + i] };
		newest[cmd->lba + i] = past_count++;
		busy[cmd->lba + i] = true;
	}
	return n;
}

void model_end(struct load_cmd *cmd, bool ok)
{
	cmd->ok = ok;
	cmd->ended = ++events;
	cmd->ended_at = record_count;
	if (ok && cmd->fua)
		cmd->durable_at = record_count;
	for (uint64_t i = 0; writes(cmd) && i < cmd->blocks; i++)
		busy[cmd->lba + i] = false;
	for (size_t i = 0; ok && cmd->kind == LOAD_FLUSH && i < load_cmd_count; i++) {
		struct load_cmd *before = &load_cmds[i];

		if (before->ok && before->ended < cmd->begun && before->durable_at > record_count)
			before->durable_at = record_count;
	}
}

bool model_busy(uint64_t lba, uint64_t blocks)
{
	return memchr(busy + lba, true, blocks);
}

/* ---- contents ---- */

uint8_t model_pattern(size_t n)
{
	return (uint8_t)(1 + n % 255);
}

void model_contents(size_t n, uint64_t lba, uint8_t *block)
{
	const struct load_cmd *cmd = &load_cmds[n];
	uint64_t words[LOAD_BLOCK / 8];
	uint64_t off = lba * LOAD_BLOCK;

	memset(block, 0, LOAD_BLOCK);
	if (cmd->kind == LOAD_INITIAL) {
		if (off < initial_size)
			memcpy(block, initial + off, LOAD_BLOCK);
		return;
	}
	if (cmd->kind == LOAD_UNMAP || cmd->zero)
		return;
	if (!load_options.tags) {
		memset(block, model_pattern(n), LOAD_BLOCK);
		return;
	}
	if (cmd->kind == LOAD_SAME)
		lba = cmd->lba;
	for (size_t i = 0; i < LOAD_BLOCK / 8; i++)
		words[i] = (uint64_t)n << 32 | lba;
	memcpy(block, words, LOAD_BLOCK);
}

static bool equals(size_t n, uint64_t lba, const uint8_t *block)
{
	uint8_t have[LOAD_BLOCK];

	model_contents(n, lba, have);
	return !memcmp(have, block, LOAD_BLOCK);
}

/* Nothing older than this is there at that moment. */
static bool is_last(const struct load_cmd *cmd, enum load_when when, size_t at)
{
	switch (when) {
	case LOAD_NOW:
		return cmd->ok;
	case LOAD_KILLED:
		return cmd->ok && cmd->ended_at <= at;
	case LOAD_CUT:
		return cmd->ok && cmd->durable_at <= at;
	}
	return false;
}

bool load_may_be(uint64_t lba, const uint8_t *block, enum load_when when, size_t at)
{
	for (size_t i = newest[lba];; i = pasts[i].before) {
		const struct load_cmd *cmd = &load_cmds[pasts[i].cmd];

		if (cmd->nothing || (when != LOAD_NOW && cmd->begun_at > at))
			continue;
		if (equals(pasts[i].cmd, lba, block))
			return true;
		if (!i || is_last(cmd, when, at))
			return false;
	}
}

bool model_may_have_been(uint64_t lba, const uint8_t *block, uint64_t begun)
{
	for (size_t i = newest[lba];; i = pasts[i].before) {
		const struct load_cmd *cmd = &load_cmds[pasts[i].cmd];

		if (cmd->nothing)
			continue;
		if (equals(pasts[i].cmd, lba, block))
			return true;
		if (!i || (cmd->ok && cmd->ended < begun))
			return false;
	}
}

/* ---- for people ---- */

static void name_contents(const uint8_t *block)
{
	uint64_t word, last;

	memcpy(&word, block, 8);
	memcpy(&last, block + LOAD_BLOCK - 8, 8);
	if (!word && !last)
		fprintf(stderr, "zeros");
	else if (load_options.tags && word >> 32 < load_cmd_count)
		fprintf(stderr, "what command %u wrote to block %u", (unsigned int)(word >> 32),
			(unsigned int)word);
	else
		fprintf(stderr, "%016llx...%016llx", (unsigned long long)word,
			(unsigned long long)last);
}

void load_explain(uint64_t lba, const uint8_t *block, enum load_when when, size_t at)
{
	static const char *const names[] = { "initial", "write", "same", "unmap" };
	unsigned int shown = 0;

	fprintf(stderr, "block %llu has ", (unsigned long long)lba);
	name_contents(block);
	fprintf(stderr, "; its history, latest first:");
	for (size_t i = newest[lba]; shown < 6; i = pasts[i].before) {
		const struct load_cmd *cmd = &load_cmds[pasts[i].cmd];
		uint8_t have[LOAD_BLOCK];

		if (when == LOAD_NOW || cmd->begun_at <= at) {
			model_contents(pasts[i].cmd, lba, have);
			fprintf(stderr,
				" [%s %zu%s%s, %llu+%llu, begun %zd, ended %zd, durable %zd: ",
				names[cmd->kind], pasts[i].cmd, cmd->fua ? " FUA" : "",
				cmd->nothing ? " not handled" : (cmd->ok ? "" : " not done"),
				(unsigned long long)cmd->lba, (unsigned long long)cmd->blocks,
				cmd->begun_at, cmd->ended_at, cmd->durable_at);
			name_contents(have);
			fprintf(stderr, "]");
			shown++;
		}
		if (!i)
			break;
	}
	fprintf(stderr, "\n");
}
