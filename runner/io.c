/* SPDX-License-Identifier: Apache-2.0 */
/* The I/O engine for fd-based handlers: on the device's thread where nothing has to be waited for, over
 * io_uring, over the device's worker threads. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runner/device.h"
#include "runner/io_job.h"
#include "runner/uring.h"

#define IO_WINDOW         64   /* iovecs copied at a time to continue a short transfer */
#define IO_EAGAIN_RETRIES 1000 /* of 1 ms */

static void io_finish(struct io_job *io, int64_t res, uint64_t progress)
{
	struct runner_dev *rdev = io->rdev;

	io->res = res;
	io->progress = progress;
	mpsc_push(&rdev->ios_done, &io->done);
	runner_dev_wake(rdev);
}

/* ---- transfers, on a worker ---- */

/* Where a transfer stands in the caller's iovecs, which are not changed. */
struct cursor {
	const struct iovec *iov;
	size_t cnt;
	size_t skip; /* bytes of iov[0] that are done */
	struct iovec window[IO_WINDOW];
};

/* The iovecs still to transfer; *cnt of them. Without a skip they are the caller's own. */
static const struct iovec *cursor_window(struct cursor *c, size_t *cnt)
{
	if (!c->skip) {
		*cnt = c->cnt < IOV_MAX ? c->cnt : IOV_MAX;
		return c->iov;
	}
	*cnt = c->cnt < IO_WINDOW ? c->cnt : IO_WINDOW;
	memcpy(c->window, c->iov, *cnt * sizeof(c->window[0]));
	c->window[0].iov_base = (char *)c->window[0].iov_base + c->skip;
	c->window[0].iov_len -= c->skip;
	return c->window;
}

static void cursor_advance(struct cursor *c, size_t bytes)
{
	while (c->cnt && bytes >= c->iov[0].iov_len - c->skip) {
		bytes -= c->iov[0].iov_len - c->skip;
		c->skip = 0;
		c->iov++;
		c->cnt--;
	}
	c->skip += bytes;
}

static void nap_1ms(void)
{
	struct timespec ts = { .tv_nsec = 1000000 };

	nanosleep(&ts, NULL);
}

static void run_transfer(struct io_job *io,
			 ssize_t (*xfer)(int fd, const struct iovec *iov, int cnt, off_t off))
{
	struct cursor c;
	int eagain = 0;
	uint64_t done = 0;

	c.iov = io->iov; /* and not its window, which is a kilobyte */
	c.cnt = io->iov_cnt;
	c.skip = 0;
	cursor_advance(&c, 0); /* passes empty iovecs */
	while (c.cnt) {
		size_t cnt;
		const struct iovec *iov = cursor_window(&c, &cnt);
		ssize_t ret = xfer(io->fd, iov, (int)cnt, io->off + (int64_t)done);

		if (ret > 0) {
			done += (uint64_t)ret;
			cursor_advance(&c, (size_t)ret);
		} else if (ret == 0) {
			break; /* end of file */
		} else if (errno == EAGAIN && eagain++ < IO_EAGAIN_RETRIES) {
			nap_1ms();
		} else if (errno != EINTR) {
			io_finish(io, -errno, done);
			return;
		}
	}
	io_finish(io, (int64_t)done, done);
}

static ssize_t xfer_read(int fd, const struct iovec *iov, int cnt, off_t off)
{
	return preadv(fd, iov, cnt, off);
}

static ssize_t xfer_write(int fd, const struct iovec *iov, int cnt, off_t off)
{
	return pwritev(fd, iov, cnt, off);
}

static ssize_t xfer_write_fua(int fd, const struct iovec *iov, int cnt, off_t off)
{
	ssize_t ret = pwritev2(fd, iov, cnt, off, RWF_DSYNC);

	if (ret < 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) {
		ret = pwritev(fd, iov, cnt, off);
		if (ret > 0 && fdatasync(fd) < 0)
			return -1;
	}
	return ret;
}

static void run_read(struct runner_job *job)
{
	run_transfer((struct io_job *)job, xfer_read);
}

static void run_write(struct runner_job *job)
{
	run_transfer((struct io_job *)job, xfer_write);
}

static void run_write_fua(struct runner_job *job)
{
	run_transfer((struct io_job *)job, xfer_write_fua);
}

static void run_fsync(struct runner_job *job)
{
	struct io_job *io = (struct io_job *)job;
	int ret;

	do {
		ret = fdatasync(io->fd);
	} while (ret < 0 && errno == EINTR);
	io_finish(io, ret < 0 ? -errno : 0, 0);
}

static void run_fallocate(struct runner_job *job)
{
	struct io_job *io = (struct io_job *)job;
	int ret;

	do {
		ret = fallocate(io->fd, io->mode, io->off, (off_t)io->len);
	} while (ret < 0 && errno == EINTR);
	io_finish(io, ret < 0 ? -errno : 0, 0);
}

static void run_work(struct runner_job *job)
{
	struct io_job *io = (struct io_job *)job;

	io_finish(io, io->fn(io_of(io)), 0);
}

/* ---- submission, on the device's thread ---- */

static struct io_job *io_prepare(struct tcmu_device *dev, struct tcmur_io *io, int fd, off_t off)
{
	struct io_job *ij = io_job(io);

	ij->rdev = runner_dev_of(dev);
	ij->fd = fd;
	ij->off = off;
	return ij;
}

static void io_submit(struct io_job *io, void (*run)(struct runner_job *job))
{
	struct runner_dev *rdev = io->rdev;

	io->job.run = run;
	io->job.next = NULL;
	*rdev->batch_last = &io->job;
	rdev->batch_last = &io->job.next;
	rdev->batch_count++;
}

/*
 * What a worker does once more from the start, since it may come out well, or to find out how far it gets:
 * nobody has been told anything yet. But for a FUA write that has failed: the error may be one of writing
 * back older data, which the kernel reports once (see file_sync_failed() in handlers/file/io.c).
 */
static bool tried_again(const struct io_job *io, int res)
{
	/* ECANCELED: io_uring could not make a thread for it, and nothing was done. */
	if (res == -EAGAIN || res == -EINTR || res == -EOPNOTSUPP || res == -ECANCELED)
		return true;
	if (res < 0)
		return io->job.run != run_write_fua;
	return (size_t)res != tcmu_iovec_length((struct iovec *)(uintptr_t)io->iov, io->iov_cnt);
}

void runner_io_ended(struct tcmur_io *pub, int res)
{
	struct io_job *io = io_job(pub);

	if (tried_again(io, res)) {
		io->again = 1;
		io_submit(io, io->job.run);
		return;
	}
	io->progress = res < 0 ? 0 : (uint64_t)res;
	pub->done(pub, res);
}

/* Not the handler's own functions, which may have to give back something; nor a flush, whose failure is
 * no matter of one command. */
static bool may_be_left(const struct runner_job *job)
{
	return job->run != run_work && job->run != run_fsync;
}

/* Not a callback of the handler's, which comes back another way (runner/ops.c). */
static bool is_engine_call(const struct runner_job *job)
{
	return job->run == run_read || job->run == run_write || job->run == run_write_fua ||
	       job->run == run_fsync || job->run == run_fallocate || job->run == run_work;
}

struct runner_job *runner_io_take(struct runner_dev *rdev, const void *from, const void *to)
{
	struct runner_job *job = runner_job_take(&rdev->batch_first, &rdev->batch_last, from, to,
						 may_be_left);

	if (job) {
		rdev->batch_count--;
		rdev->worker_calls += is_engine_call(job); /* it comes back as if one had had it */
	} else {
		job = runner_workers_take(&rdev->workers, from, to, may_be_left);
	}
	return job;
}

void runner_io_cancelled(struct runner_job *job)
{
	io_finish((struct io_job *)job, -ECANCELED, 0);
}

/* ---- the round's jobs, each to whoever does it best ---- */

/* Is it a transfer that has not been tried yet? */
static bool is_transfer(const struct runner_job *job)
{
	return (job->run == run_read || job->run == run_write || job->run == run_write_fua) &&
	       !((const struct io_job *)(const void *)job)->again;
}

static size_t transfer_len(const struct io_job *io)
{
	return tcmu_iovec_length((struct iovec *)(uintptr_t)io->iov, io->iov_cnt);
}

/* Would it have to wait for a lock? On tmpfs a write waits for others of the same file, and for fallocate(),
 * which may be about a gigabyte. */
static bool would_wait(const struct io_job *io)
{
	return io->job.run == run_write &&
	       (io->rdev->worker_calls || runner_uring_busy(io->rdev)) &&
	       runner_cached_memory(&io->rdev->cached, io->fd);
}

/* Not FUA: it waits for the storage. */
static bool done_here(struct io_job *io, unsigned int transfers)
{
	struct runner_cached *cached = &io->rdev->cached;
	size_t len;

	if (!cached->count || io->job.run == run_write_fua || would_wait(io))
		return false;
	len = transfer_len(io);
	if (!runner_cached_wanted(cached, len, transfers, io->rdev->uring) ||
	    !runner_cached_transfer(cached, io->job.run == run_write, io->fd, io->iov, io->iov_cnt,
				    len, io->off))
		return false;
	io->res = (int64_t)len;
	return true;
}

static bool given_to_uring(struct io_job *io)
{
	enum runner_uring_op op = io->job.run == run_read    ? RUNNER_URING_READ
				  : io->job.run == run_write ? RUNNER_URING_WRITE
							     : RUNNER_URING_WRITE_FUA;

	/* A FUA write to the page cache that fails after a part of it comes back as a short one, without the
	 * error that is told once (see tried_again()). */
	if (op == RUNNER_URING_WRITE_FUA && runner_cached_has(&io->rdev->cached, io->fd))
		return false;
	return io->rdev->uring && runner_uring_transfer(io->rdev, op, io_of(io), io->fd, io->iov,
							io->iov_cnt, io->off);
}

static unsigned int count_transfers(const struct runner_job *job)
{
	unsigned int n = 0;

	for (; job; job = job->next)
		n += is_transfer(job);
	return n;
}

static void to_workers(struct runner_dev *rdev, struct runner_job *job)
{
	rdev->worker_calls += is_engine_call(job);
	*rdev->batch_last = job;
	rdev->batch_last = &job->next;
	rdev->batch_count++;
}

static void flush_to_workers(struct runner_dev *rdev)
{
	if (!rdev->batch_count)
		return;
	runner_workers_submit(&rdev->workers, rdev->batch_first, rdev->batch_last,
			      rdev->batch_count);
	rdev->batch_first = NULL;
	rdev->batch_last = &rdev->batch_first;
	rdev->batch_count = 0;
}

static struct runner_job *take_batch(struct runner_dev *rdev)
{
	struct runner_job *first = rdev->batch_first;

	*rdev->batch_last = NULL;
	rdev->batch_first = NULL;
	rdev->batch_last = &rdev->batch_first;
	rdev->batch_count = 0;
	return first;
}

bool runner_batch_flush(struct runner_dev *rdev)
{
	struct runner_job *job, *next, *here = NULL, **here_last = &here;
	unsigned int transfers;

	if (!rdev->batch_count)
		return false;
	job = take_batch(rdev);
	transfers = count_transfers(job);
	for (; job; job = next) {
		struct io_job *io = (struct io_job *)job;

		next = job->next;
		if (!is_transfer(job)) {
			to_workers(rdev, job);
		} else if (done_here(io, transfers)) {
			*here_last = job;
			here_last = &job->next;
		} else if (!given_to_uring(io)) {
			to_workers(rdev, job);
		}
	}
	flush_to_workers(rdev);
	*here_last = NULL;
	job = here;
	for (; job; job = next) {
		struct io_job *io = (struct io_job *)job;

		next = job->next; /* before done(): the job may be reused in it */
		io_of(io)->done(io_of(io), io->res);
	}
	return here;
}

/* ---- what handlers call ---- */

void tcmur_io_add_fd(struct tcmu_device *dev, int fd)
{
	runner_cached_add(&runner_dev_of(dev)->cached, fd);
	runner_direct_add(&runner_dev_of(dev)->direct, fd);
}

void tcmur_io_remove_fd(struct tcmu_device *dev, int fd)
{
	runner_cached_remove(&runner_dev_of(dev)->cached, fd);
	runner_direct_remove(&runner_dev_of(dev)->direct, fd);
}

void tcmur_io_readv(struct tcmu_device *dev, struct tcmur_io *io, int fd, const struct iovec *iov,
		    size_t iov_cnt, off_t off)
{
	struct io_job *ij = io_prepare(dev, io, fd, off);

	ij->iov = iov;
	ij->iov_cnt = iov_cnt & INT32_MAX;
	ij->again = 0;
	io_submit(ij, run_read);
}

void tcmur_io_writev(struct tcmu_device *dev, struct tcmur_io *io, int fd, const struct iovec *iov,
		     size_t iov_cnt, off_t off, unsigned int flags)
{
	struct io_job *ij = io_prepare(dev, io, fd, off);

	ij->iov = iov;
	ij->iov_cnt = iov_cnt & INT32_MAX;
	ij->again = 0;
	io_submit(ij, flags & TCMUR_IO_FUA ? run_write_fua : run_write);
}

void tcmur_io_fsync(struct tcmu_device *dev, struct tcmur_io *io, int fd)
{
	io_submit(io_prepare(dev, io, fd, 0), run_fsync);
}

void tcmur_io_fallocate(struct tcmu_device *dev, struct tcmur_io *io, int fd, int mode, off_t off,
			off_t len)
{
	struct io_job *ij = io_prepare(dev, io, fd, off);

	ij->mode = mode;
	ij->len = (uint64_t)len;
	io_submit(ij, run_fallocate);
}

void tcmur_io_work(struct tcmu_device *dev, struct tcmur_io *io, int64_t (*fn)(struct tcmur_io *io))
{
	struct io_job *ij = io_prepare(dev, io, -1, 0);

	ij->fn = fn;
	io_submit(ij, run_work);
}

uint64_t tcmur_io_progress(const struct tcmur_io *io)
{
	return ((const struct io_job *)(const void *)io->priv)->progress;
}

void runner_io_reap(struct runner_dev *rdev)
{
	struct mpsc_node *node = mpsc_take(&rdev->ios_done);

	if (rdev->timers)
		runner_timers_reap(rdev);
	if (rdev->uring)
		runner_uring_reap(rdev);
	while (node) {
		struct io_job *io = container_of(node, struct io_job, done);
		struct tcmur_io *pub = io_of(io);

		node = node->next; /* before done(): the job may be reused in it */
		rdev->worker_calls--;
		pub->done(pub, io->res);
	}
}
