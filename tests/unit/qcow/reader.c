/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow-reader CONFIG SEED TWIN: the disk of an image is what the raw file TWIN has. All of it is read, by many
 * commands at once, of any length and order; and what is said to be deallocated reads as zeros. TWIN "-": it
 * is open until the standard input ends. TWIN "costs": how many operations blocks at random cost.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "rig.h"

#define LEN_MOST  (1u << 20)
#define IOVS_MOST 16

struct job {
	struct rig_cmd *rc;
	uint64_t off;
	size_t len;
	struct iovec iov[IOVS_MOST];
	uint8_t *buf;
	struct tcmur_extent extents[8];
	bool status;
};

static struct job jobs[RIG_COMMANDS];
static const uint8_t *twin;
static int wrong;

static void complain(const struct job *job, const char *what)
{
	fprintf(stderr, "%s of %zu bytes at %llu: %s (status %d) %s\n",
		job->status ? "status" : "read", job->len, (unsigned long long)job->off, what,
		job->rc->sts, rig_error);
	wrong++;
}

static void begin_job(struct job *job, uint64_t off, size_t len)
{
	job->rc = rig_begin();
	job->rc->held = true;
	job->off = off;
	job->len = len;
	job->status = rig_random(8) == 0;
	if (job->status) {
		memset(job->extents, 0, sizeof(job->extents));
		rig_returned(job->rc, rig_handler->lba_status(rig_dev, &job->rc->pub, off, len,
							      job->extents, 8));
		return;
	}
	memset(job->buf, 0xa5, len);
	rig_returned(job->rc, rig_handler->read(rig_dev, &job->rc->pub, job->iov,
						rig_cut(job->iov, IOVS_MOST, job->buf, len), len,
						(off_t)off));
}

static bool all_zeros(uint64_t off, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++) {
		if (twin[off + i])
			return false;
	}
	return true;
}

static void judge(const struct job *job)
{
	uint64_t off = job->off;

	if (job->rc->sts != TCMU_STS_OK)
		return complain(job, "failed");
	if (!job->status && memcmp(job->buf, twin + off, job->len))
		return complain(job, "other data");
	for (size_t i = 0; job->status && i < 8 && job->extents[i].len; i++) {
		if (job->extents[i].deallocated && !all_zeros(off, job->extents[i].len))
			return complain(job, "data in what is deallocated");
		off += job->extents[i].len;
	}
	if (job->status && (off == job->off || off > job->off + job->len))
		complain(job, "no extents, or too many");
}

/* Once over all of the disk, and as often somewhere. */
static void run(void)
{
	uint64_t next = 0;
	size_t left = 0;

	while (next < rig_size || left) {
		struct job *job = &jobs[rig_random(RIG_COMMANDS)];

		if (job->rc) {
			if (job->rc->busy) {
				rig_step();
				continue;
			}
			judge(job);
			job->rc->held = false;
			job->rc = NULL;
			left--;
		} else if (next < rig_size) {
			uint64_t off = rig_random(2) ? next : rig_random(rig_size / 512) * 512;
			uint64_t most = rig_random(4) ? 65536 : LEN_MOST;
			size_t len = 512 * (1 + (size_t)rig_random(most / 512));

			if (len > rig_size - off)
				len = (size_t)(rig_size - off);
			begin_job(job, off, len);
			if (off == next && !job->status)
				next += len;
			left++;
		}
	}
}

/* One after the other: those for the first of them fill no cache. */
static int costs(void)
{
	unsigned long most = 0, before;
	uint8_t buf[4096];

	for (int i = 0; i < 2000; i++) {
		before = rig_steps;
		if (rig_read(buf, sizeof(buf), rig_random(rig_size / sizeof(buf)) * sizeof(buf)))
			return 1;
		if (rig_steps - before > most)
			most = rig_steps - before;
	}
	printf("%lu of all, at most %lu\n", rig_steps, most);
	return rig_close() ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct stat st;
	int fd, ret;

	if (argc != 4) {
		fprintf(stderr, "usage: qcow-reader CONFIG SEED TWIN\n");
		return 2;
	}
	rig_seed(strtoull(argv[2], NULL, 10));
	ret = rig_open(argv[1], 0);
	if (ret) {
		fprintf(stderr, "open: %s: %s\n", strerror(-ret), rig_error);
		return 3;
	}
	if (!strcmp(argv[3], "-")) { /* only served, until the input ends */
		puts("open");
		fflush(stdout);
		while (getchar() != EOF)
			;
		rig_close();
		return 0;
	}
	if (!strcmp(argv[3], "costs"))
		return costs();
	fd = open(argv[3], O_RDONLY);
	if (fd < 0 || fstat(fd, &st) || (uint64_t)st.st_size / 512 * 512 != rig_size) {
		fprintf(stderr, "%s does not have %llu bytes\n", argv[3],
			(unsigned long long)rig_size);
		return 2;
	}
	twin = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	for (size_t i = 0; i < RIG_COMMANDS; i++)
		jobs[i].buf = malloc(LEN_MOST);
	run();
	if (!rig_close()) {
		fprintf(stderr, "operations are under way at the end\n");
		wrong++;
	}
	for (size_t i = 0; i < RIG_COMMANDS; i++)
		free(jobs[i].buf);
	return wrong ? 1 : 0;
}
