/* SPDX-License-Identifier: Apache-2.0 */
/* In place of uring.c where the build has no liburing: the workers do all I/O. */
#include "runner/device.h"
#include "runner/uring.h"

void runner_uring_choose(enum runner_engine engine)
{
	if (engine == RUNNER_ENGINE_URING)
		tcmu_info("this tcmu-runner was built without io_uring (liburing): worker threads "
			  "do all I/O instead");
}

void runner_uring_start(struct runner_dev *rdev)
{
	(void)rdev;
}

void runner_uring_stop(struct runner_dev *rdev)
{
	(void)rdev;
}

bool runner_uring_transfer(struct runner_dev *rdev, enum runner_uring_op op, struct tcmur_io *io,
			   int fd, const struct iovec *iov, size_t iov_cnt, off_t off)
{
	(void)rdev, (void)op, (void)io, (void)fd, (void)iov, (void)iov_cnt, (void)off;
	return false;
}

bool runner_uring_wait(struct runner_dev *rdev, int timeout_ms)
{
	(void)rdev, (void)timeout_ms;
	return false;
}

void runner_uring_reap(struct runner_dev *rdev)
{
	(void)rdev;
}

bool runner_uring_busy(const struct runner_dev *rdev)
{
	(void)rdev;
	return false;
}
