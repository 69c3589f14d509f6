/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "record.h"
#include "rig.h"

#define IOVS_MOST 16
#define EXTENTS   8
#define TRIES     8

struct job {
	struct rig_cmd *rc; /* NULL: free */
	size_t cmd;         /* of load_cmds */
	struct iovec iov[IOVS_MOST];
	uint8_t *buf;
	struct tcmur_extent extents[EXTENTS];
};

struct load_options load_options;
void (*load_between)(void);
void (*load_done)(const struct load_cmd *cmd, uint8_t pattern);

static struct job jobs[RIG_COMMANDS];
static size_t under_way;

static void complain(const struct load_cmd *cmd, const struct job *job, const char *what)
{
	static const char *const names[] = { "",      "write", "writesame", "unmap",
					     "flush", "read",  "lba_status" };

	fprintf(stderr, "command %zu, %s%s of %llu blocks at %llu: %s (status %d) %s\n",
		(size_t)(cmd - load_cmds), names[cmd->kind], cmd->fua ? " (FUA)" : "",
		(unsigned long long)cmd->blocks, (unsigned long long)cmd->lba, what, job->rc->sts,
		rig_error);
	load_wrong++;
}

/* ---- what to do ---- */

/* What the handler does not have, it does not get. */
static unsigned int weight(size_t kind)
{
	if ((kind == LOAD_UNMAP && !rig_handler->unmap) ||
	    (kind == LOAD_SAME && !rig_handler->writesame) ||
	    (kind == LOAD_FLUSH && !rig_handler->flush))
		return 0;
	return load_options.weight[kind];
}

static enum load_kind choose_kind(void)
{
	unsigned int sum = 0;

	for (size_t i = 0; i < LOAD_KINDS; i++)
		sum += weight(i);
	sum = (unsigned int)rig_random(sum);
	for (size_t i = 0; i < LOAD_KINDS; i++) {
		if (sum < weight(i))
			return (enum load_kind)i;
		sum -= weight(i);
	}
	return LOAD_READ;
}

static uint64_t choose_blocks(enum load_kind kind, uint64_t disk)
{
	static const unsigned int lens[] = { 1, 3, 8, 16, 64, 127, 128, 300, 2000 };
	uint64_t n = lens[rig_random(sizeof(lens) / sizeof(*lens))];
	uint64_t most = load_options.most / LOAD_BLOCK;

	if (rig_random(4) == 0)
		n = 1 + rig_random(n * 2);
	if (kind != LOAD_WRITE) /* these take no memory */
		most *= 4;
	if (kind == LOAD_UNMAP && rig_random(4) == 0)
		n *= 8;
	if (n > most)
		n = 1 + rig_random(most);
	return n < disk ? n : 1 + rig_random(disk);
}

/* A range in which nothing is being written, for a command that writes. False: none was found. */
static bool choose_range(struct load_cmd *cmd)
{
	static uint64_t focus;
	uint64_t disk = rig_size / LOAD_BLOCK;
	uint64_t near = load_options.near / LOAD_BLOCK;

	for (int i = 0; i < TRIES; i++) {
		uint64_t lba = rig_random(disk);

		if (rig_random(64) == 0)
			focus = lba;
		if (near && rig_random(2))
			lba = focus + rig_random(near);
		if (rig_random(4) == 0) /* of whole clusters, most likely */
			lba = lba / 128 * 128;
		cmd->lba = lba < disk ? lba : disk - 1;
		cmd->blocks = choose_blocks(cmd->kind, disk);
		if (cmd->blocks > disk - cmd->lba)
			cmd->blocks = disk - cmd->lba;
		if (cmd->kind == LOAD_READ || cmd->kind == LOAD_STATUS ||
		    !model_busy(cmd->lba, cmd->blocks))
			return true;
	}
	return false;
}

/* ---- a command ---- */

static int start(struct job *job, struct load_cmd *cmd)
{
	struct tcmur_handler *h = rig_handler;
	struct tcmur_cmd *pub = &job->rc->pub;
	uint64_t off = cmd->lba * LOAD_BLOCK, len = cmd->blocks * LOAD_BLOCK;
	size_t n;

	switch (cmd->kind) {
	case LOAD_READ:
		memset(job->buf, 0xa5, len);
		n = rig_cut(job->iov, IOVS_MOST, job->buf, len);
		return h->read(rig_dev, pub, job->iov, n, len, (off_t)off);
	case LOAD_WRITE:
		for (uint64_t i = 0; i < cmd->blocks; i++)
			model_contents(job->cmd, cmd->lba + i, job->buf + i * LOAD_BLOCK);
		n = rig_cut(job->iov, IOVS_MOST, job->buf, len);
		return h->write(rig_dev, pub, job->iov, n, len, (off_t)off);
	case LOAD_SAME:
		model_contents(job->cmd, cmd->lba, job->buf);
		job->iov[0] = (struct iovec) { job->buf, LOAD_BLOCK };
		return h->writesame(rig_dev, pub, off, len, job->iov, 1);
	case LOAD_UNMAP:
		return h->unmap(rig_dev, pub, off, len);
	case LOAD_FLUSH:
		return h->flush(rig_dev, pub);
	case LOAD_STATUS:
		memset(job->extents, 0, sizeof(job->extents));
		return h->lba_status(rig_dev, pub, off, len, job->extents, EXTENTS);
	case LOAD_INITIAL:
	case LOAD_KINDS:
		break;
	}
	abort();
}

static void begin(struct job *job)
{
	struct load_cmd new = { .kind = choose_kind() };
	size_t bytes;

	if (new.kind != LOAD_FLUSH && !choose_range(&new))
		return;
	new.fua = new.kind == LOAD_WRITE &&rig_random(16) < load_options.fua;
	new.zero = new.kind == LOAD_SAME &&rig_random(2);
	job->cmd = model_begin(&new);
	bytes = new.blocks *LOAD_BLOCK;
	job->buf = new.kind == LOAD_READ || new.kind == LOAD_WRITE ? malloc(bytes)
								   : malloc(LOAD_BLOCK);
	assert(job->buf);
	job->rc = rig_begin();
	job->rc->held = true;
	job->rc->fua = new.fua;
	under_way++;
	rig_returned(job->rc, start(job, &load_cmds[job->cmd]));
}

static void judge_read(const struct job *job, const struct load_cmd *cmd)
{
	for (uint64_t i = 0; i < cmd->blocks; i++) {
		const uint8_t *block = job->buf + i * LOAD_BLOCK;

		if (model_may_have_been(cmd->lba + i, block, cmd->begun))
			continue;
		complain(cmd, job, "other data");
		load_explain(cmd->lba + i, block, LOAD_NOW, 0);
		return;
	}
}

static void judge_status(const struct job *job, const struct load_cmd *cmd)
{
	static const uint8_t zeros[LOAD_BLOCK];
	uint64_t off = cmd->lba * LOAD_BLOCK, end = off + cmd->blocks * LOAD_BLOCK;

	for (size_t i = 0; i < EXTENTS && job->extents[i].len; i++) {
		uint64_t last = off + job->extents[i].len;

		/* Only blocks that are in it as a whole. */
		for (uint64_t lba = (off + LOAD_BLOCK - 1) / LOAD_BLOCK;
		     job->extents[i].deallocated && lba < last / LOAD_BLOCK; lba++) {
			if (model_may_have_been(lba, zeros, cmd->begun))
				continue;
			complain(cmd, job, "data in what is deallocated");
			return;
		}
		off = last;
	}
	if (off == cmd->lba * LOAD_BLOCK || off > end)
		complain(cmd, job, "no extents, or too many");
}

static void end(struct job *job)
{
	struct load_cmd *cmd = &load_cmds[job->cmd];
	int sts = record_dead ? TCMU_STS_TIMEOUT : job->rc->sts; /* nobody gets its answer */

	if (sts == TCMU_STS_NOT_HANDLED && (cmd->kind == LOAD_UNMAP || cmd->kind == LOAD_SAME))
		cmd->nothing = true;
	else if (sts != TCMU_STS_OK && !load_options.errors && !record_dead)
		complain(cmd, job, "failed");
	model_end(cmd, sts == TCMU_STS_OK);
	if (cmd->ok && cmd->kind == LOAD_READ)
		judge_read(job, cmd);
	if (cmd->ok && cmd->kind == LOAD_STATUS)
		judge_status(job, cmd);
	if (cmd->ok && load_done)
		load_done(cmd, model_pattern(job->cmd));
	free(job->buf);
	job->rc->held = false;
	job->rc = NULL;
	under_way--;
}

void load_run(size_t count)
{
	size_t last = load_cmd_count + count;
	size_t depth = 1 + rig_random(RIG_COMMANDS);

	while ((load_cmd_count < last && !record_dead) || under_way) {
		struct job *job = &jobs[rig_random(RIG_COMMANDS)];

		if (rig_random(100) == 0)
			depth = 1 + rig_random(RIG_COMMANDS);
		if (load_between && rig_random(50) == 0)
			load_between();
		if (job->rc && !job->rc->busy) {
			end(job);
		} else if (!job->rc && load_cmd_count < last && !record_dead && under_way < depth) {
			begin(job);
		} else if (job->rc && !rig_step()) {
			complain(&load_cmds[job->cmd], job, "never ends");
			exit(1);
		}
	}
}

void load_verify(enum load_when when, size_t at, const char *what)
{
	static uint8_t buf[1u << 20];
	unsigned int said = 0;

	for (uint64_t off = 0; off < rig_size;) {
		size_t len = rig_size - off < sizeof(buf) ? (size_t)(rig_size - off) : sizeof(buf);
		int sts = rig_read(buf, len, off);

		if (sts != TCMU_STS_OK) {
			fprintf(stderr, "%s: the read at %llu fails: %d, %s\n", what,
				(unsigned long long)off, sts, rig_error);
			load_wrong++;
		}
		for (size_t i = 0; sts == TCMU_STS_OK && i < len && said < 3; i += LOAD_BLOCK) {
			if (load_may_be((off + i) / LOAD_BLOCK, buf + i, when, at))
				continue;
			fprintf(stderr, "%s: ", what);
			load_explain((off + i) / LOAD_BLOCK, buf + i, when, at);
			load_wrong++;
			said++;
		}
		off += len;
	}
}
