/* SPDX-License-Identifier: Apache-2.0 */
#include "crash.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 20000

void crash_open(struct crash *c, const struct fake_ring_cfg *cfg, unsigned int seed)
{
	memset(c, 0, sizeof(*c));
	c->seed = seed;
	fake_verdicts_init(&c->v);
	c->r = fake_ring_new(cfg, &c->v);
	c->m = model_new(CRASH_BLOCKS, CRASH_BLOCK, &c->v);
	c->disk = memfd_create("disk", MFD_CLOEXEC);
	if (ftruncate(c->disk, CRASH_BLOCKS * CRASH_BLOCK))
		abort();
	c->sh = mmap(NULL, sizeof(*c->sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (!c->r || c->sh == MAP_FAILED)
		abort();
}

void crash_close(struct crash *c)
{
	if (c->pid)
		crash_kill(c);
	fake_ring_free(c->r);
	model_free(c->m);
	munmap(c->sh, sizeof(*c->sh));
	close(c->disk);
	fake_verdicts_destroy(&c->v);
}

void crash_spawn(struct crash *c, void (*serve)(struct crash *c))
{
	pid_t parent = getpid();

	fflush(NULL);
	c->pid = fork();
	if (c->pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		serve(c);
	_exit(1);
}

void crash_kill(struct crash *c)
{
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
	c->pid = 0;
	fake_ring_closed(c->r);
	fake_ring_restarted(c->r);
}

void crash_reset(struct crash *c)
{
	fake_ring_block(c->r, true);
	fake_ring_reset(c->r, 1);
	fake_ring_block(c->r, false);
}

static void ended(struct fake_cmd *cmd)
{
	struct crash_io *io = cmd->arg;

	model_answered(io->c->m, io->model, !cmd->status, io->data);
	io->busy = false;
	io->c->done++;
	io->c->refused += cmd->status == 0x08;
}

void crash_submit(struct crash *c, int slot, bool write, uint64_t lba, uint32_t blocks)
{
	struct crash_io *io = &c->io[slot];

	memset(&io->cmd, 0, sizeof(io->cmd));
	io->c = c;
	io->busy = true;
	io->cmd.cdb[0] = write ? 0x8a : 0x88;
	io->cmd.cdb[9] = (uint8_t)lba;
	io->cmd.cdb[13] = (uint8_t)blocks;
	io->cmd.dir = write ? FAKE_OUT : FAKE_IN;
	io->cmd.data = io->data;
	io->cmd.len = (size_t)blocks * CRASH_BLOCK;
	io->cmd.done = ended;
	io->cmd.arg = io;
	io->model = write ? model_write(c->m, lba, blocks, io->data)
			  : model_read(c->m, lba, blocks);
	fake_ring_submit(c->r, &io->cmd);
}

void crash_submit_some(struct crash *c)
{
	for (int i = 0; i < CRASH_DEPTH; i++) {
		uint32_t blocks = 1 + (uint32_t)rand_r(&c->seed) % CRASH_MAX_IO;

		if (!c->io[i].busy && rand_r(&c->seed) % 2)
			crash_submit(c, i, rand_r(&c->seed) % 2,
				     (uint64_t)rand_r(&c->seed) % (CRASH_BLOCKS - blocks + 1),
				     blocks);
	}
}

static bool is_quiet(struct crash *c)
{
	struct fake_ring_stats st;

	fake_ring_get_stats(c->r, &st);
	return !st.unanswered;
}

/* There is no doorbell: it is all like memory reclaim. */
#define WAIT(c, cond)                                                                              \
	({                                                                                         \
		uint64_t end = fake_now_ms() + PATIENCE_MS;                                        \
		bool ok;                                                                           \
		do {                                                                               \
			fake_ring_reclaim((c)->r);                                                 \
			ok = (cond);                                                               \
		} while (!ok && fake_now_ms() < end && !fake_ring_is_broken((c)->r) &&             \
			 !usleep(10));                                                             \
		ok;                                                                                \
	})

bool crash_wait_step(struct crash *c, int step)
{
	return WAIT(c, c->sh->step >= step);
}

bool crash_wait_done(struct crash *c, unsigned long done)
{
	return WAIT(c, c->done >= done || is_quiet(c));
}

bool crash_wait_quiet(struct crash *c)
{
	return WAIT(c, is_quiet(c));
}

void crash_judge(struct crash *c)
{
	uint8_t block[CRASH_BLOCK];

	model_quiet(c->m);
	for (uint64_t lba = 0; lba < CRASH_BLOCKS; lba++) {
		if (pread(c->disk, block, CRASH_BLOCK, (off_t)(lba * CRASH_BLOCK)) != CRASH_BLOCK)
			abort();
		model_compare(c->m, lba, 1, block);
	}
}

uint64_t crash_lba(const struct ref_cmd *cmd)
{
	return cmd->cdb[9];
}

void crash_execute(struct crash *c, struct ref_cmd *cmd)
{
	off_t off = (off_t)(crash_lba(cmd) * CRASH_BLOCK);

	for (uint32_t i = 0; i < cmd->iov_cnt; i++) {
		/* A block at a time: a signal is looked at in between. */
		for (size_t n = 0; n < cmd->iov[i].iov_len; n += CRASH_BLOCK, off += CRASH_BLOCK) {
			uint8_t *p = (uint8_t *)cmd->iov[i].iov_base + n;
			ssize_t ret = cmd->cdb[0] == 0x88 ? pread(c->disk, p, CRASH_BLOCK, off)
							  : pwrite(c->disk, p, CRASH_BLOCK, off);

			if (ret != (ssize_t)CRASH_BLOCK)
				abort();
		}
	}
}
