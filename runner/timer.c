/* SPDX-License-Identifier: Apache-2.0 */
/* The timers of a device: a sorted list, few at a time. */
#include <limits.h>

#include "runner/clock.h"
#include "runner/device.h"
#include "runner/io_job.h"

void tcmur_io_timer(struct tcmu_device *dev, struct tcmur_io *io, uint64_t nsec)
{
	struct io_job *ij = io_job(io);
	struct tcmur_io **at = &runner_dev_of(dev)->timers;

	ij->deadline = runner_now_ns() + (int64_t)nsec;
	while (*at && io_job(*at)->deadline <= ij->deadline)
		at = &io_job(*at)->next_timer;
	ij->next_timer = *at;
	*at = io;
}

int runner_io_timeout(const struct runner_dev *rdev)
{
	int64_t left;

	if (!rdev->timers)
		return -1;
	left = io_job(rdev->timers)->deadline - runner_now_ns();
	if (left <= 0)
		return 0;
	left = (left + 999999) / 1000000; /* up: waking early would only spin */
	return left > INT_MAX ? INT_MAX : (int)left;
}

void runner_timers_reap(struct runner_dev *rdev)
{
	while (rdev->timers && io_job(rdev->timers)->deadline <= runner_now_ns()) {
		struct tcmur_io *io = rdev->timers;

		rdev->timers = io_job(io)->next_timer;
		io->done(io, 0);
	}
}
