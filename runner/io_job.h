/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine keeps in a struct tcmur_io: for runner/io.c and runner/timer.c alone. */
#ifndef RUNNER_IO_JOB_H
#define RUNNER_IO_JOB_H

#include <assert.h>

#include "runner/device.h"

/* What tcmur_io.priv holds: the request until run() has finished, then the result. */
struct io_job {
	union {
		struct runner_job job;
		struct mpsc_node done;
		struct tcmur_io *next_timer;
	};
	struct runner_dev *rdev;
	union {
		const struct iovec *iov;
		int64_t (*fn)(struct tcmur_io *io);
		uint64_t len;
		uint64_t progress; /* result */
	};
	union {
		int64_t off;
		int64_t deadline; /* ns, CLOCK_MONOTONIC */
		int64_t res;      /* result */
	};
	union {
		struct {
			uint32_t iov_cnt : 31;
			uint32_t again : 1; /* a worker has to do it */
		};
		int mode;
	};
	int fd;
};
static_assert(sizeof(struct io_job) == sizeof(((struct tcmur_io *)0)->priv), "tcmur_io.priv");

static inline struct io_job *io_job(struct tcmur_io *io)
{
	return (struct io_job *)(void *)io->priv;
}

static inline struct tcmur_io *io_of(struct io_job *io)
{
	return container_of((void *)io, struct tcmur_io, priv);
}

#endif
