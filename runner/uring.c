/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/uring.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <liburing.h>

#include "runner/device.h"

#define ENTRIES      128 /* of one submission; what comes on top is submitted at once */
#define BEHIND_US_MS 5   /* at most, see runner_uring_transfer() */
#define QUIET_WAITS  64  /* with the next one the polls pay no longer */
#define CUTS         32  /* transfers at a time that are cut; further ones go as they are */

/* user_data: the tcmur_io, or one of these. */
#define UDATA_UIO    UINT64_C(1)
#define UDATA_WAKE   UINT64_C(2)
#define UDATA_REMOVE UINT64_C(3)

static enum runner_engine chosen; /* before any device's thread */

/* A transfer in pieces, see runner/direct.h. In the pieces' user_data in place of the tcmur_io. */
struct cut {
	struct tcmur_io *io;
	unsigned int left; /* pieces in flight; 0: this is free */
	int res;           /* of those that are over: bytes, or the first error */
};

struct runner_uring {
	struct io_uring ring;
	struct cut cuts[CUTS];
	unsigned int next_cut;
	bool uio_polled, wake_polled; /* the multishot polls are armed */
	unsigned int transfers;       /* in flight */
	bool behind_us;               /* all of them, see runner_uring_transfer() */
	unsigned int quiet;           /* waits since the last one, with none in flight */
};

/* ---- life ---- */

void runner_uring_choose(enum runner_engine engine)
{
	chosen = engine;
}

static int set_up(struct io_uring *ring)
{
	/* One thread submits and waits, and completions are made where it waits: no interrupts and no
	 * locks. The kernel has that since 6.1, and the next best since 5.19. */
	static const unsigned int flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	};
	int ret = -EINVAL;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && ret == -EINVAL; i++)
		ret = io_uring_queue_init(ENTRIES, ring, flags[i]);
	if (ret)
		return ret;
	/* A time-out for the wait, and no completion lost when their queue is full. */
	if (!(ring->features & IORING_FEAT_EXT_ARG) || !(ring->features & IORING_FEAT_NODROP)) {
		io_uring_queue_exit(ring);
		return -EOPNOTSUPP;
	}
	return 0;
}

static struct io_uring_sqe *get_sqe(struct runner_uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (sqe)
		return sqe;
	io_uring_submit(&u->ring);
	return io_uring_get_sqe(&u->ring);
}

static bool poll_fd(struct runner_uring *u, int fd, uint64_t udata)
{
	struct io_uring_sqe *sqe = get_sqe(u);

	if (!sqe)
		return false;
	/* Edges: neither the kernel's event counter nor the eventfd has to be read. */
	io_uring_prep_poll_multishot(sqe, fd, POLLIN);
	io_uring_sqe_set_data64(sqe, udata);
	return true;
}

static void arm(struct runner_dev *rdev)
{
	struct runner_uring *u = rdev->uring;

	if (!u->uio_polled)
		u->uio_polled = poll_fd(u, tcmu_dev_get_fd(rdev->dev), UDATA_UIO);
	if (!u->wake_polled)
		u->wake_polled = poll_fd(u, rdev->wake_fd, UDATA_WAKE);
}

/* Said once: it is the same for all devices. */
static void say_refused(int err)
{
	static atomic_flag said = ATOMIC_FLAG_INIT;

	if (atomic_flag_test_and_set(&said))
		return;
	tcmu_warn("io_uring cannot be used: %s; worker threads do all I/O instead", strerror(-err));
}

/* The kernel's threads for what cannot be done at once. On tmpfs these are the writes: with one processor a
 * second one is only woken to find the file locked by the first. */
static void one_thread_beside_us(struct io_uring *ring)
{
	unsigned int most[2] = { 1, 0 }; /* those for files; the others as they are */

	io_uring_register_iowq_max_workers(ring, most);
}

void runner_uring_start(struct runner_dev *rdev)
{
	struct runner_uring *u;
	int ret;

	if (chosen == RUNNER_ENGINE_WORKERS)
		return;
	u = calloc(1, sizeof(*u));
	ret = u ? set_up(&u->ring) : -ENOMEM;
	if (ret) {
		free(u);
		say_refused(ret);
		return;
	}
	/* Saves a look-up for each call. Not before Linux 5.18. */
	io_uring_register_ring_fd(&u->ring);
	if (rdev->cached.one_cpu && runner_cached_all_memory(&rdev->cached))
		one_thread_beside_us(&u->ring);
	rdev->uring = u;
	u->quiet = QUIET_WAITS;
}

static void remove_poll(struct runner_uring *u, uint64_t udata)
{
	struct io_uring_sqe *sqe = get_sqe(u);

	if (!sqe)
		return;
	io_uring_prep_poll_remove(sqe, udata);
	io_uring_sqe_set_data64(sqe, UDATA_REMOVE);
}

static void remove_polls(struct runner_uring *u)
{
	if (u->uio_polled)
		remove_poll(u, UDATA_UIO);
	if (u->wake_polled)
		remove_poll(u, UDATA_WAKE);
}

/* A poll that is still armed would hold the UIO device open for a while. One that has just seen an event
 * cannot be removed then (EALREADY), and goes on: so it is asked for until it has ended. */
static void disarm(struct runner_dev *rdev)
{
	struct runner_uring *u = rdev->uring;

	for (int i = 0; i < 100 && (u->uio_polled || u->wake_polled); i++) {
		struct __kernel_timespec ts = { .tv_nsec = 10000000 };
		struct io_uring_cqe *cqe;

		remove_polls(u);
		io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts, NULL);
		runner_uring_reap(rdev);
	}
}

void runner_uring_stop(struct runner_dev *rdev)
{
	if (!rdev->uring)
		return;
	disarm(rdev);
	io_uring_queue_exit(&rdev->uring->ring);
	free(rdev->uring);
	rdev->uring = NULL;
}

/* ---- transfers ---- */

static void prepare_one(struct io_uring_sqe *sqe, enum runner_uring_op op, int fd,
			const struct iovec *iov, off_t off)
{
	unsigned int len = (unsigned int)iov->iov_len;

	if (op == RUNNER_URING_READ) {
		io_uring_prep_read(sqe, fd, iov->iov_base, len, (uint64_t)off);
		return;
	}
	io_uring_prep_write(sqe, fd, iov->iov_base, len, (uint64_t)off);
	sqe->rw_flags = op == RUNNER_URING_WRITE_FUA ? RWF_DSYNC : 0;
}

/* A request to the kernel, which is not submitted yet. False: it takes none. */
static bool request(struct runner_dev *rdev, enum runner_uring_op op, void *udata, int fd,
		    const struct iovec *iov, size_t iov_cnt, off_t off)
{
	struct runner_uring *u = rdev->uring;
	struct io_uring_sqe *sqe = get_sqe(u);

	if (!sqe)
		return false;
	/* The rule: no array of iovecs for the kernel to fetch and check. */
	if (iov_cnt == 1 && iov->iov_len <= INT_MAX) {
		prepare_one(sqe, op, fd, iov, off);
	} else if (op == RUNNER_URING_READ) {
		io_uring_prep_readv(sqe, fd, iov, (unsigned int)iov_cnt, (uint64_t)off);
	} else {
		io_uring_prep_writev2(sqe, fd, iov, (unsigned int)iov_cnt, (uint64_t)off,
				      op == RUNNER_URING_WRITE_FUA ? RWF_DSYNC : 0);
	}
	io_uring_sqe_set_data(sqe, udata);
	u->transfers++;
	return true;
}

/* The iovecs, or a part of the first one, that one request of at most most bytes has. */
struct piece {
	const struct iovec *iov;
	size_t iov_cnt;
	size_t len;
	struct iovec part;
};

/* From byte skip of iov[0] on. */
static void cut_off(struct piece *p, const struct iovec *iov, size_t iov_cnt, size_t skip,
		    size_t most)
{
	*p = (struct piece) { .iov = iov };
	if (!skip) {
		while (p->iov_cnt < iov_cnt && iov[p->iov_cnt].iov_len <= most - p->len)
			p->len += iov[p->iov_cnt++].iov_len;
	}
	if (p->iov_cnt)
		return;
	p->len = iov->iov_len - skip < most ? iov->iov_len - skip : most;
	p->part = (struct iovec) { (char *)iov->iov_base + skip, p->len };
	p->iov = &p->part;
	p->iov_cnt = 1;
}

/* For a transfer that needs one; NULL: it does not, or none is free. */
static struct cut *cut_for(struct runner_uring *u, const struct iovec *iov, size_t iov_cnt,
			   size_t most)
{
	size_t len = tcmu_iovec_length((struct iovec *)(uintptr_t)iov, iov_cnt);
	struct cut *cut = &u->cuts[u->next_cut % CUTS];

	if (len <= most || len > INT_MAX || cut->left)
		return NULL;
	u->next_cut++;
	return cut;
}

static bool transfer_cut(struct runner_dev *rdev, struct cut *cut, enum runner_uring_op op, int fd,
			 const struct iovec *iov, size_t iov_cnt, off_t off, size_t most)
{
	size_t skip = 0;

	while (iov_cnt) {
		struct piece p;

		cut_off(&p, iov, iov_cnt, skip, most);
		if (!request(rdev, op, cut, fd, p.iov, p.iov_cnt, off)) {
			cut->res = -EAGAIN; /* a worker does it, when the pieces are over */
			break;
		}
		cut->left++;
		off += (off_t)p.len;
		if (p.iov != &p.part) {
			iov += p.iov_cnt;
			iov_cnt -= p.iov_cnt;
			continue;
		}
		skip += p.len;
		if (skip == iov->iov_len) {
			skip = 0;
			iov++;
			iov_cnt--;
		}
	}
	return cut->left;
}

bool runner_uring_transfer(struct runner_dev *rdev, enum runner_uring_op op, struct tcmur_io *io,
			   int fd, const struct iovec *iov, size_t iov_cnt, off_t off)
{
	struct runner_uring *u = rdev->uring;
	size_t most = rdev->direct.count ? runner_direct_most(&rdev->direct, fd) : SIZE_MAX;
	struct cut *cut = most < SIZE_MAX ? cut_for(u, iov, iov_cnt, most) : NULL;
	bool idle = !u->transfers;

	if (iov_cnt > IOV_MAX)
		return false;
	if (cut) {
		*cut = (struct cut) { .io = io };
		if (!transfer_cut(rdev, cut, op, fd, iov, iov_cnt, off, most))
			return false;
	} else if (!request(rdev, op, io, fd, iov, iov_cnt, off)) {
		return false;
	}
	/* Linux gives a write to the page cache to a thread of its own. On one processor it gets on as soon as we
	 * sleep, and on tmpfs, which does not wait for anything, with all of them. */
	u->behind_us = (idle || u->behind_us) && op == RUNNER_URING_WRITE && rdev->cached.one_cpu &&
		       runner_cached_memory(&rdev->cached, fd);
	return true;
}

bool runner_uring_busy(const struct runner_dev *rdev)
{
	const struct runner_uring *u = rdev->uring;

	return u && (u->transfers || io_uring_sq_ready(&u->ring));
}

/* While the polls are armed the kernel makes a completion of each event, whoever waits for it. They are asked
 * to end now and then until they have (see disarm()). */
static bool is_quiet(struct runner_dev *rdev)
{
	struct runner_uring *u = rdev->uring;

	if (runner_uring_busy(rdev)) {
		u->quiet = 0;
		return false;
	}
	if (u->quiet < QUIET_WAITS) {
		u->quiet++;
		return false;
	}
	if ((u->uio_polled || u->wake_polled) && ++u->quiet >= 2 * QUIET_WAITS) {
		u->quiet = QUIET_WAITS;
		remove_polls(u);
		io_uring_submit_and_get_events(&u->ring);
	}
	return true;
}

bool runner_uring_wait(struct runner_dev *rdev, int timeout_ms)
{
	struct __kernel_timespec ts = { .tv_sec = timeout_ms / 1000,
					.tv_nsec = timeout_ms % 1000 * 1000000LL };
	struct runner_uring *u = rdev->uring;
	struct io_uring_cqe *cqe;
	unsigned int events = 1;

	if (is_quiet(rdev))
		return false;
	arm(rdev);
	if (timeout_ms == 0 && !io_uring_sq_ready(&u->ring) && !u->transfers)
		return true; /* an event that may wait for us is not needed: we are awake */
	if (u->transfers > 1 && u->behind_us && timeout_ms) {
		events = u->transfers;
		if (timeout_ms < 0 || timeout_ms > BEHIND_US_MS) {
			timeout_ms = BEHIND_US_MS;
			ts = (struct __kernel_timespec) { .tv_nsec = BEHIND_US_MS * 1000000LL };
		}
	}
	if (timeout_ms == 0)
		io_uring_submit_and_get_events(&u->ring);
	else
		io_uring_submit_and_wait_timeout(&u->ring, &cqe, events,
						 timeout_ms < 0 ? NULL : &ts, NULL);
	return true;
}

static void ended(struct runner_uring *u, const struct io_uring_cqe *cqe)
{
	void *udata = io_uring_cqe_get_data(cqe);
	struct cut *cut = udata;

	u->transfers--;
	if ((char *)udata < (char *)u->cuts || (char *)udata >= (char *)(u->cuts + CUTS)) {
		runner_io_ended(udata, cqe->res);
		return;
	}
	if (cqe->res < 0)
		cut->res = cut->res < 0 ? cut->res : cqe->res;
	else if (cut->res >= 0)
		cut->res += cqe->res;
	if (!--cut->left)
		runner_io_ended(cut->io, cut->res);
}

void runner_uring_reap(struct runner_dev *rdev)
{
	struct runner_uring *u = rdev->uring;
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0;

	io_uring_for_each_cqe (&u->ring, head, cqe) {
		bool more = cqe->flags & IORING_CQE_F_MORE;

		n++;
		if (cqe->user_data == UDATA_UIO)
			u->uio_polled = more;
		else if (cqe->user_data == UDATA_WAKE)
			u->wake_polled = more;
		else if (cqe->user_data != UDATA_REMOVE)
			ended(u, cqe);
	}
	io_uring_cq_advance(&u->ring, n);
}
