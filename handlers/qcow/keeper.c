/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "qcow.h"

#define BATCH_LEAST      16 /* clusters */
#define BATCH_MOST       8192
#define BATCH_MOST_BYTES (64ull << 20)
#define FREES_LEAST      256
#define FREES_MANY       2048 /* they are not left for a flush that may not come */

static void run_job(struct qcow_cmd *qc, enum qcow_job job);

static struct qcow_keeper *keeper_of(struct qcow_cmd *qc)
{
	return &qc->lun->keeper;
}

static void wait_for_job(struct qcow_cmd *qc)
{
	struct qcow_keeper *k = keeper_of(qc);

	qc->waiter.next = k->waiters;
	k->waiters = &qc->waiter;
}

/* ---- on a worker ------------------------------------------------------------------------------ */

static int work_copy_table(struct qcow_keeper *k, size_t len)
{
	int fd = k->lun->top->fd;
	void *buf = malloc(len);
	int ret = buf ? qcow_pread(fd, buf, len, k->old_table) : -ENOMEM;

	if (!ret)
		ret = qcow_pwrite(fd, buf, len, k->table);
	free(buf);
	/* The entry would lead to zeros, if the power went. */
	return ret ? ret : qcow_refcounts_sync(&k->refcounts);
}

static int work_make_table(struct qcow_keeper *k)
{
	const struct qcow_header *h = &k->lun->top->header;
	size_t len = (size_t)qcow_l2_entry_bytes(h) << h->l2_bits;
	int ret = k->old_table ? work_copy_table(k, len) : 0;
	uint64_t entry = htobe64(qcow_l1_entry(h, k->table));

	if (ret)
		return ret;
	return qcow_pwrite(k->lun->top->fd, &entry, 8, h->l1_table_offset + 8ull * k->l1_index);
}

static int work_reclaim(struct qcow_keeper *k)
{
	int err = 0;

	for (uint64_t i = 0; i < k->reclaim_count; i++) {
		int ret = qcow_refcounts_drop(&k->refcounts, k->reclaim[i].off, k->reclaim[i].len);

		if (ret)
			err = ret; /* it stays counted */
	}
	return err;
}

static int work_sync(struct qcow_keeper *k)
{
	const struct qcow_layer *top = k->lun->top;
	int ret = top->data_fd == top->fd ? 0 : qcow_sync(top->data_fd);

	return ret ? ret : qcow_refcounts_sync(&k->refcounts);
}

static int work_mark_corrupt(struct qcow_keeper *k)
{
	return k->lun->top->header.version < 3
		       ? 0
		       : qcow_header_set_bits(k->refcounts.fd, QCOW_INCOMPAT_AT,
					      QCOW_INCOMPAT_CORRUPT, 0);
}

static int64_t work_locked(struct qcow_keeper *k)
{
	switch (k->job) {
	case QCOW_RESERVE:
		return qcow_refcounts_reserve(&k->refcounts, k->batch, k->got, k->room);
	case QCOW_MAKE_TABLE:
		return work_make_table(k);
	case QCOW_SYNC:
		return work_sync(k);
	case QCOW_GIVE_BACK:
		return work_reclaim(k);
	case QCOW_MARK_CORRUPT:
		return work_mark_corrupt(k);
	case QCOW_NO_JOB:
		break;
	}
	return 0;
}

static int64_t work(struct tcmur_io *io)
{
	struct qcow_keeper *k = (struct qcow_keeper *)io;
	int64_t res;

	pthread_mutex_lock(&k->lock);
	res = work_locked(k);
	pthread_mutex_unlock(&k->lock);
	return res;
}

/* ---- the reserve ------------------------------------------------------------------------------ */

static uint32_t cluster_bits(const struct qcow_keeper *k)
{
	return k->refcounts.cluster_bits;
}

static void reserve_done(struct qcow_keeper *k, int64_t res)
{
	for (int64_t i = 0; i < res; i++) {
		struct qcow_run *last = k->runs ? &k->reserve[k->runs - 1] : NULL;

		if (last && last->off + last->len == k->got[i].off) {
			last->len += k->got[i].len;
			k->reserved += k->got[i].len >> cluster_bits(k);
			continue;
		}
		k->reserve[k->runs++] = k->got[i];
		k->reserved += k->got[i].len >> cluster_bits(k);
	}
	if (res <= 0)
		return;
	k->batch *= 2;
	if (k->batch > BATCH_MOST)
		k->batch = BATCH_MOST;
	if (k->batch << cluster_bits(k) > BATCH_MOST_BYTES)
		k->batch = BATCH_MOST_BYTES >> cluster_bits(k);
}

static uint64_t take(struct qcow_keeper *k, size_t i, uint64_t n)
{
	struct qcow_run *run = &k->reserve[i];
	uint64_t off = run->off;

	run->off += n << cluster_bits(k);
	run->len -= n << cluster_bits(k);
	k->reserved -= n;
	if (!run->len) {
		k->runs--;
		memmove(run, run + 1, (k->runs - i) * sizeof(*run));
	}
	return off;
}

/* 0: there are not so many in a row. */
static uint64_t take_row(struct qcow_keeper *k, uint64_t least, uint64_t most, uint64_t *off)
{
	for (size_t i = 0; i < k->runs; i++) {
		uint64_t have = k->reserve[i].len >> cluster_bits(k);

		if (have < least)
			continue;
		have = have < most ? have : most;
		*off = take(k, i, have);
		return have;
	}
	return 0;
}

static void begin_reserve(struct qcow_cmd *qc, uint64_t least)
{
	struct qcow_keeper *k = keeper_of(qc);

	while (k->batch < least)
		k->batch *= 2;
	k->room = QCOW_RUNS - k->runs;
	run_job(qc, QCOW_RESERVE);
}

uint64_t qcow_keeper_take(struct qcow_cmd *qc, uint64_t least, uint64_t most, uint64_t *off)
{
	struct qcow_keeper *k = keeper_of(qc);
	uint64_t n = take_row(k, least, most, off);

	if (!n)
		wait_for_job(qc);
	/* In time, so that few have to wait; and only with room for what comes. */
	if (k->job == QCOW_NO_JOB &&
	    (!n || (k->reserved < k->batch / 4 && k->runs < QCOW_RUNS / 2))) {
		k->wanted = !n;
		begin_reserve(qc, least);
	}
	return n;
}

/* ---- tables ----------------------------------------------------------------------------------- */

void qcow_keeper_make_table(struct qcow_cmd *qc, uint32_t l1_index)
{
	struct qcow_keeper *k = keeper_of(qc);
	const struct qcow_header *h = &qc->lun->top->header;
	uint64_t clusters = ((uint64_t)qcow_l2_entry_bytes(h) << h->l2_bits) >> h->cluster_bits;

	clusters = clusters ? clusters : 1;
	wait_for_job(qc);
	if (k->job != QCOW_NO_JOB)
		return;
	if (!take_row(k, clusters, clusters, &k->table)) {
		k->wanted = true;
		begin_reserve(qc, clusters);
		return;
	}
	k->l1_index = l1_index;
	k->old_table = qcow_l2_table(h, qc->lun->top->l1[l1_index]);
	run_job(qc, QCOW_MAKE_TABLE);
}

static void table_done(struct qcow_keeper *k, int64_t res)
{
	struct qcow_layer *top = k->lun->top;
	const struct qcow_header *h = &top->header;
	uint64_t len = (uint64_t)qcow_l2_entry_bytes(h) << h->l2_bits;
	uint64_t first = k->table >> h->cluster_bits;
	uint64_t clusters = (len + (1ull << h->cluster_bits) - 1) >> h->cluster_bits;

	if (res) /* perhaps the entry is in the file: the clusters are nobody's, but stay counted */
		return;
	qcow_slices_forget(&k->lun->slices, top, k->table, len);
	top->l1[k->l1_index] = qcow_l1_entry(h, k->table);
	k->lun->commits++;
	if (!k->refcounts.none)
		qcow_owned_add(&k->refcounts.owned, first, clusters); /* no memory: not checked */
	if (!k->old_table)
		return;
	qcow_owned_remove(&k->refcounts.owned, k->old_table >> h->cluster_bits, clusters);
	qcow_keeper_free(k->owner, k->old_table, len);
}

/* ---- what is free ----------------------------------------------------------------------------- */

static bool grow_frees(struct qcow_keeper *k)
{
	uint64_t size = k->frees_size ? 2 * k->frees_size : FREES_LEAST;
	struct qcow_free *frees = malloc(size * sizeof(*frees));

	if (!frees)
		return false;
	for (uint64_t i = k->frees_first; i != k->frees_end; i++)
		frees[i & (size - 1)] = k->frees[i & (k->frees_size - 1)];
	free(k->frees);
	k->frees = frees;
	k->frees_size = size;
	return true;
}

static void begin_sync(struct qcow_cmd *qc)
{
	struct qcow_keeper *k = keeper_of(qc);

	k->sync_end = k->frees_end;
	k->sync_commits = qc->lun->commits;
	run_job(qc, QCOW_SYNC);
}

void qcow_keeper_free(struct qcow_cmd *qc, uint64_t off, uint64_t len)
{
	struct qcow_keeper *k = keeper_of(qc);

	/* Else it stays counted, until the image is checked. */
	if (qc->lun->sync_failed ||
	    (k->frees_end - k->frees_first == k->frees_size && !grow_frees(k)))
		return;
	k->frees[k->frees_end++ & (k->frees_size - 1)] = (struct qcow_free) { off, len,
									      qc->lun->epoch };
	if (k->frees_end - k->frees_durable >= FREES_MANY && k->job == QCOW_NO_JOB)
		begin_sync(qc);
}

void qcow_keeper_durable(struct qcow_lun *lun, uint64_t end)
{
	if (end > lun->keeper.frees_durable)
		lun->keeper.frees_durable = end;
}

void qcow_keeper_reclaim(struct qcow_cmd *qc)
{
	struct qcow_keeper *k = keeper_of(qc);
	uint64_t end = k->frees_first;

	if (k->job != QCOW_NO_JOB || end == k->frees_durable || qc->lun->damaged)
		return;
	qcow_epoch_try(qc->lun);
	while (end != k->frees_durable && end - k->frees_first < QCOW_RECLAIM) {
		const struct qcow_free *f = &k->frees[end & (k->frees_size - 1)];

		if (qc->lun->epoch < f->epoch + 2)
			break;
		k->reclaim[end++ - k->frees_first] = *f;
	}
	if (end == k->frees_first)
		return;
	k->reclaim_count = end - k->frees_first;
	run_job(qc, QCOW_GIVE_BACK);
}

static void sync_done(struct qcow_keeper *k, int64_t res)
{
	struct qcow_lun *lun = k->lun;

	if (res)
		qcow_sync_failed(lun, (int)-res);
	if (lun->sync_failed)
		return;
	qcow_keeper_durable(lun, k->sync_end);
	if (k->sync_commits > lun->synced)
		lun->synced = k->sync_commits;
}

static void reclaim_done(struct qcow_keeper *k, int64_t res)
{
	k->frees_first += k->reclaim_count;
	if (res == -EUCLEAN)
		qcow_say_damaged(k->lun, k->lun->top, 0,
				 "clusters that are used and not counted as such");
}

/* ---- jobs ------------------------------------------------------------------------------------- */

static void resume_waiters(struct qcow_keeper *k, struct qcow_cmd *owner, int err)
{
	struct qcow_waiter *waiter = k->waiters;

	k->waiters = NULL;
	while (waiter) {
		struct qcow_waiter *next = waiter->next;

		/* The others find out for themselves whether they need what was not to be had. */
		waiter->resume(waiter, waiter == &owner->waiter ? err : 0);
		waiter = next;
	}
}

static void job_done(struct tcmur_io *io, int64_t res)
{
	struct qcow_keeper *k = (struct qcow_keeper *)io;
	struct qcow_cmd *owner = k->owner;
	enum qcow_job job = k->job;
	int err = 0;

	k->job = QCOW_NO_JOB;
	k->lun->top->file_size = k->refcounts.file_size;
	if (k->refcounts.sync_err)
		qcow_sync_failed(k->lun, k->refcounts.sync_err);
	switch (job) {
	case QCOW_RESERVE:
		if (k->lun->sync_failed && res > 0)
			res = -EIO; /* their counts may not be durable: they stay as they are */
		err = res < 0 && k->wanted ? (int)res : 0;
		reserve_done(k, res);
		break;
	case QCOW_MAKE_TABLE:
		err = (int)res;
		table_done(k, res);
		break;
	case QCOW_SYNC:
		sync_done(k, res);
		break;
	case QCOW_GIVE_BACK:
		reclaim_done(k, res);
		break;
	case QCOW_MARK_CORRUPT:
	case QCOW_NO_JOB:
		break;
	}
	if (err == -EUCLEAN)
		qcow_say_damaged(k->lun, k->lun->top, owner->pos,
				 "clusters that are used and not counted as such");
	resume_waiters(k, owner, err);
	qcow_cmd_unpin(owner);
}

void qcow_keeper_mark_corrupt(struct qcow_cmd *qc)
{
	if (keeper_of(qc)->job == QCOW_NO_JOB) /* else when the image is closed */
		run_job(qc, QCOW_MARK_CORRUPT);
}

static void run_job(struct qcow_cmd *qc, enum qcow_job job)
{
	struct qcow_keeper *k = keeper_of(qc);

	k->job = job;
	k->owner = qc;
	qc->pins++;
	k->io.done = job_done;
	tcmur_io_work(k->lun->dev, &k->io, work);
}

/* ---- open and close --------------------------------------------------------------------------- */

int qcow_keeper_open(struct qcow_lun *lun, char **reason)
{
	struct qcow_keeper *k = &lun->keeper;

	pthread_mutex_init(&k->lock, NULL);
	k->lun = lun;
	k->batch = BATCH_LEAST;
	return qcow_refcounts_open(&k->refcounts, lun->top, reason);
}

void qcow_keeper_close(struct qcow_lun *lun)
{
	struct qcow_keeper *k = &lun->keeper;
	int ret = lun->sync_failed || lun->damaged ? -EIO : 0;

	/* Only for what is free: it may take long, and what was not flushed stays in the page cache. */
	if (!ret && k->frees_first != k->frees_end)
		ret = work_sync(k);
	if (lun->damaged)
		work_mark_corrupt(k);
	for (uint64_t i = k->frees_first; i != k->frees_end && !ret; i++) {
		const struct qcow_free *f = &k->frees[i & (k->frees_size - 1)];

		ret = qcow_refcounts_drop(&k->refcounts, f->off, f->len);
	}
	if (!ret)
		ret = qcow_refcounts_give_back(&k->refcounts, k->reserve, k->runs);
	if (ret)
		tcmu_dev_warn(lun->dev,
			      "'%s' has clusters that are counted as used and are not; "
			      "qemu-img check -r leaks gives them back",
			      lun->top->path);
	qcow_keeper_abandon(lun);
}

void qcow_keeper_abandon(struct qcow_lun *lun)
{
	struct qcow_keeper *k = &lun->keeper;

	if (!k->lun)
		return;
	qcow_refcounts_close(&k->refcounts);
	pthread_mutex_destroy(&k->lock);
	free(k->frees);
}
