/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The I/O engine over io_uring: the device's thread hands its transfers to the kernel and waits for them,
 * for the ring of commands and for other threads, all with one system call. What io_uring does not finish
 * in one go (a short transfer, an error that may be transient) is left to a worker (runner/io.c), and so is
 * everything where there is no io_uring: a system that refuses it, a build without liburing.
 */
#ifndef RUNNER_URING_H
#define RUNNER_URING_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

struct runner_dev;
struct tcmur_io;

enum runner_engine { RUNNER_ENGINE_URING, RUNNER_ENGINE_WORKERS };
/* Main thread, before any device: which engine is used. Where there is no io_uring it is the workers. */
void runner_uring_choose(enum runner_engine engine);

/* The rest on the device's thread. Makes rdev->uring; or does not, and the workers do it all. */
void runner_uring_start(struct runner_dev *rdev);
/* Nothing is in flight any more. */
void runner_uring_stop(struct runner_dev *rdev);

enum runner_uring_op { RUNNER_URING_READ, RUNNER_URING_WRITE, RUNNER_URING_WRITE_FUA };

/* Takes the transfer, to be submitted with the next wait; false: it cannot. The outcome goes to
 * runner_io_ended(). */
bool runner_uring_transfer(struct runner_dev *rdev, enum runner_uring_op op, struct tcmur_io *io,
			   int fd, const struct iovec *iov, size_t iov_cnt, off_t off);
/* Submits, and waits for something to happen; at most timeout_ms (-1: for ever, 0: not at all). False:
 * nothing was to be submitted, there have been no transfers for a while, and epoll waits for less. On one processor it may be some
 * milliseconds until a batch of writes to memory is over, whatever else happens. */
bool runner_uring_wait(struct runner_dev *rdev, int timeout_ms);
/* Something is to be submitted or in flight. */
bool runner_uring_busy(const struct runner_dev *rdev);
/* Ends what has completed. */
void runner_uring_reap(struct runner_dev *rdev);

#endif
