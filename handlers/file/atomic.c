/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WRITE ATOMIC, one at a time: there is one journal. The others wait in a line; the first one's work is
 * done by a worker, so that nothing blocks the device's thread.
 *
 * A write that could not be finished may be in the file in part, and its range is unlocked once it has
 * been answered. So whatever comes then stands in line too, tries to finish it first, and fails if that
 * fails. All of this runs on the device's thread but for the functions named work_*.
 */
#include <string.h>

#include "file.h"
#include "journal.h"

static int64_t work_write(struct tcmur_io *io)
{
	struct file_cmd *fc = (struct file_cmd *)io;

	return file_journal_write(fc->lun->journal, fc->lun->target.fd, fc->iov, fc->iov_cnt,
				  fc->off, (uint32_t)fc->len);
}

static int64_t work_repair(struct tcmur_io *io)
{
	struct file_cmd *fc = (struct file_cmd *)io;

	return file_journal_repair(fc->lun->journal, fc->lun->target.fd);
}

static void say_state(struct file_cmd *fc, int err)
{
	const struct file_journal *j = fc->lun->journal;
	const struct file_record *record = (const void *)j->buf;
	const char *now = "";

	if (j->after == j->state)
		return;
	switch (j->after) {
	case FILE_JOURNAL_EMPTY:
		tcmu_dev_warn(fc->dev,
			      "the WRITE ATOMIC that had failed is over now: reads and writes "
			      "go on");
		return;
	case FILE_JOURNAL_DOUBTFUL:
		now = "it cannot be cleared either, and every write to this logical unit";
		break;
	case FILE_JOURNAL_FULL:
		now = "the data may be there in part, and every read and write of this logical "
		      "unit";
		break;
	}
	fc->lun->errno_said = err; /* not once more with each command that fails by it */
	tcmu_dev_err(fc->dev,
		     "a WRITE ATOMIC of %u bytes at byte %llu: %s failed: %s; %s tries to set that "
		     "right first, and fails if it cannot. Repair the storage",
		     record->len, (unsigned long long)record->off, j->what, strerror(err), now);
}

/* A worker has done with the journal. */
static void settle(struct file_cmd *fc, int64_t res)
{
	struct file_journal *j = fc->lun->journal;

	if (res < 0 && j->lost)
		file_sync_failed(fc->dev, fc->lun, (int)-res);
	j->lost = false;
	say_state(fc, (int)-res);
	j->state = j->after;
}

static void leave_line(struct file_lun *lun)
{
	lun->line = lun->line->next;
	if (!lun->line)
		lun->line_last = &lun->line;
}

static void repaired(struct tcmur_io *io, int64_t res);
static void written(struct tcmur_io *io, int64_t res);

static void serve_line(struct file_lun *lun)
{
	struct file_cmd *fc;

	while ((fc = lun->line)) {
		if (lun->journal->state != FILE_JOURNAL_EMPTY) {
			fc->io.done = repaired;
			tcmur_io_work(fc->dev, &fc->io, work_repair);
			return;
		}
		if (!fc->start && !lun->sync_failed) {
			fc->io.done = written;
			tcmur_io_work(fc->dev, &fc->io, work_write);
			return;
		}
		leave_line(lun);
		fc->io.done = fc->done;
		if (fc->start)
			fc->start(fc);
		else /* nothing that is written now can be relied on */
			file_cmd_end(fc, TCMU_STS_WR_ERR);
	}
}

static void stand_in_line(struct file_cmd *fc)
{
	struct file_lun *lun = fc->lun;
	bool first = !lun->line;

	fc->next = NULL;
	if (first)
		lun->line_last = &lun->line;
	*lun->line_last = fc;
	lun->line_last = &fc->next;
	if (first)
		serve_line(lun);
}

static void give_up(struct file_cmd *fc, int err)
{
	struct file_lun *lun = fc->lun;

	leave_line(lun);
	if (!fc->reads) {
		file_cmd_fail(fc, lun->journal->what, fc->off, err, TCMU_STS_WR_ERR);
		return;
	}
	/* Whatever kept the write from its end, to a read it is no lack of space. */
	tcmur_cmd_set_error_offset(fc->cmd, fc->off);
	file_cmd_end(fc, TCMU_STS_RD_ERR);
}

static void repaired(struct tcmur_io *io, int64_t res)
{
	struct file_cmd *fc = (struct file_cmd *)io;
	struct file_lun *lun = fc->lun;

	settle(fc, res);
	if (res < 0)
		give_up(fc, (int)-res);
	serve_line(lun);
}

static void written(struct tcmur_io *io, int64_t res)
{
	struct file_cmd *fc = (struct file_cmd *)io;
	struct file_lun *lun = fc->lun;

	settle(fc, res);
	if (res < 0) {
		give_up(fc, (int)-res);
	} else {
		leave_line(lun);
		file_cmd_end(fc, TCMU_STS_OK);
	}
	serve_line(lun);
}

int file_write_atomic(struct file_cmd *fc)
{
	fc->start = NULL;
	stand_in_line(fc);
	return TCMU_STS_ASYNC_HANDLED;
}

int file_cmd_start(struct file_cmd *fc, bool reads, void (*start)(struct file_cmd *fc))
{
	const struct file_journal *j = fc->lun->journal;

	fc->reads = reads;
	if (__builtin_expect(!j || j->state == FILE_JOURNAL_EMPTY ||
				     (reads && j->state == FILE_JOURNAL_DOUBTFUL),
			     1)) {
		start(fc);
	} else {
		fc->start = start;
		fc->done = fc->io.done;
		stand_in_line(fc);
	}
	return TCMU_STS_ASYNC_HANDLED;
}
